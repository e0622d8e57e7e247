// Brings a CSV export of another CRM into crm_deals.
import { readArguments, UsageError } from './arguments.js';
import { CsvFile } from './csv-file.js';
import { connect, copyRows, importRows, providePipeline } from './database.js';
import { readMapping } from './mapping.js';
import { printOutcomes, printReasons, writeRejected } from './outcomes.js';
import { Rows } from './rows.js';

const everySo = 10_000;
const sayProgress = (count) => {
    if (count % everySo === 0) process.stderr.write(`\r${count.toLocaleString('en')} rows read`);
};

// A long import says that it is still at work.
async function withClock(what, work) {
    const started = Date.now();
    const clock = setInterval(() => {
        process.stderr.write(`\r${what}: ${Math.round((Date.now() - started) / 1000)} s`);
    }, 1000);
    try {
        return await work();
    } finally {
        clearInterval(clock);
        if (Date.now() - started > 1000) process.stderr.write('\n');
    }
}

async function importFile(client, rows, mapping, settings) {
    await client.query('BEGIN');
    if (await providePipeline(client, mapping.into === 'deals' && mapping.pipeline)) {
        console.log(`the pipeline "${mapping.pipeline.name}" is made, `
            + `with the stages that ${mapping.system} has by default`);
    }
    const count = await copyRows(client, rows, sayProgress);
    if (count >= everySo) process.stderr.write('\n');
    const outcomes = await withClock(`${count.toLocaleString('en')} rows at work`, () =>
        importRows(client, mapping, rows.columns(), settings));
    await client.query(settings.dryRun ? 'ROLLBACK' : 'COMMIT');
    return outcomes;
}

async function main(settings) {
    const mapping = readMapping(settings);
    const file = await CsvFile.open(settings.file, settings);
    const rows = new Rows(file, mapping);
    await rows.findHeader();
    console.log(`${settings.file}: ${file.encoding}, delimiter "${file.delimiter.replace('\t', '\\t')}"`);
    if (rows.unknown().length > 0) {
        console.log(`left out, since the mapping does not know them: ${rows.unknown().join(', ')}`);
    }

    const client = await connect();
    client.on('notice', ({ message }) => console.log(message));
    try {
        const outcomes = await importFile(client, rows, mapping, settings);
        const rejected = outcomes.filter(({ outcome }) => outcome === 'rejected');
        printOutcomes(outcomes);
        printReasons(rejected);
        if (rejected.length > 0) {
            await writeRejected(settings.rejected, rows, rejected);
            console.log(`\nrejected rows, each with its reason: ${settings.rejected}`);
        }
        if (settings.dryRun) console.log('\nThis was a rehearsal: nothing was changed.');
        return rejected.length > 0 ? 1 : 0;
    } finally {
        await client.end();
    }
}

try {
    const settings = readArguments(process.argv.slice(2));
    process.exitCode = settings ? await main(settings) : 0;
} catch (error) {
    const { message, detail, hint } = error.errors?.[0] ?? error;
    const report = ['error: ' + message, detail, hint].filter(Boolean).join('\n');
    console.error(error instanceof UsageError ? message : report);
    process.exitCode = 2;
}
