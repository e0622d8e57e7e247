// replay.js FILE: sends the dead letters of FILE once more, in their order. Those that fail again are dead letters
// again, in RELAY_DEAD_LETTERS. Exit status 0: all were delivered; 1: some were not; 2: wrong settings.
import { open, realpath } from 'node:fs/promises';
import { readSettings } from './config.js';
import { DeadLetters } from './dead-letters.js';
import { createSender } from './delivery.js';
import { createLog, problem } from './log.js';

const log = createLog();

async function replay(path, settings) {
    const send = createSender(settings);
    const deadLetters = new DeadLetters(settings.deadLetters);
    let failed = 0;

    await deadLetters.prepare();
    if ((await realpath(path)) === (await realpath(deadLetters.path))) {
        throw new Error(`move ${path} away first: the relay writes to it`);
    }
    const file = await open(path);
    for await (const line of file.readLines()) {
        const { event_id: id, deal_id: dealId, kind, tries, body } = JSON.parse(line);
        const outcome = await send({ id, body });
        if (!outcome.delivered) {
            failed += 1;
            await deadLetters.write({ id, dealId, kind, body, tries: tries + 1 }, outcome.error);
        }
        log.info(outcome.delivered ? 'delivered' : 'dead letter', { event_id: id, deal_id: dealId, kind, ...outcome });
    }
    return failed;
}

try {
    if (process.argv.length !== 3) throw new Error('usage: replay.js FILE');
    const failed = await replay(process.argv[2], readSettings(process.env));
    process.exit(failed > 0 ? 1 : 0);
} catch (error) {
    log.error('cannot go on', problem(error));
    process.exit(2);
}
