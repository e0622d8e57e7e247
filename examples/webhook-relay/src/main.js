// Starts and stops the relay. Exit status 0: stopped by a signal, all that was sent is acknowledged; 1: it could
// not go on; 2: wrong settings.
import { readSettings } from './config.js';
import { DeadLetters } from './dead-letters.js';
import { createSender } from './delivery.js';
import { serveEndpoints } from './endpoints.js';
import { createLog, problem } from './log.js';
import { Metrics } from './metrics.js';
import { Relay } from './relay.js';

function settingsOrExit() {
    try {
        return readSettings(process.env);
    } catch (error) {
        createLog().error('cannot start', problem(error));
        return process.exit(2);
    }
}

const settings = settingsOrExit();
const log = createLog(settings.logLevel);
const metrics = new Metrics();
const deadLetters = new DeadLetters(settings.deadLetters);
const relay = new Relay({ settings, log, metrics, deadLetters, send: createSender(settings) });

// A second signal, and a database that does not answer within the grace time, end it at once.
function stop() {
    const giveUp = () => {
        log.error('stopped before all that was sent is acknowledged: it will be sent again');
        process.exit(1);
    };
    relay.stop();
    setTimeout(giveUp, settings.grace + 1000).unref();
    for (const signal of ['SIGTERM', 'SIGINT']) process.removeAllListeners(signal).once(signal, giveUp);
}
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop);

try {
    await deadLetters.prepare().catch((error) => {
        throw new Error(`dead letters cannot be written: ${error.message}`);
    });
    const server = await serveEndpoints(settings, metrics, relay);
    log.info('started', { url: settings.url.origin + settings.url.pathname, http_port: server.address().port });
    await relay.run();
    log.info('stopped');
    process.exit(0);
} catch (error) {
    log.error('cannot go on', problem(error));
    process.exit(1);
}
