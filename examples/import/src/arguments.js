// The command line.
import { parseArgs } from 'node:util';

import { mappingNames } from './mapping.js';

export class UsageError extends Error {}

const usage = () => `Brings a CSV export of another CRM into crm_deals.

    run FILE.csv --as SYSTEM [--dry-run] [options]

SYSTEM is one of ${mappingNames().join(', ')}, or the path of a mapping of your own (a .json file).

    --dry-run             shows what would happen, and leaves nothing behind
    --formats JSON        how texts are read, e.g. '{"date": "DMY", "decimal": ","}'; overrides the mapping's
    --with-contacts       the contacts of the export are in the database already
    --lost-reason TEXT    the reason of lost deals that have none
    --actor NAME          who is named in the log
    --encoding NAME       e.g. windows-1252, if the guess is wrong
    --delimiter CHARACTER e.g. ';', if the guess is wrong
    --rejected FILE       where rejected rows go; FILE-rejected.csv if it is not given

The database is that of DATABASE_URL, or of PGHOST, PGDATABASE and so on. Exit status 0: no row was rejected; 1: some
were; 2: nothing was imported.
`;

const options = {
    as: { type: 'string' },
    'dry-run': { type: 'boolean', default: false },
    formats: { type: 'string' },
    'lost-reason': { type: 'string' },
    'with-contacts': { type: 'boolean', default: false },
    actor: { type: 'string' },
    encoding: { type: 'string' },
    delimiter: { type: 'string' },
    rejected: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
};

function parse(argv) {
    try {
        return parseArgs({ args: argv, options, allowPositionals: true });
    } catch (error) {
        throw new UsageError(`${error.message}\n\n${usage()}`);
    }
}

function parseFormats(text) {
    try {
        return text === undefined ? {} : JSON.parse(text);
    } catch {
        throw new UsageError(`--formats is no JSON: ${text}`);
    }
}

// Returns what the command line says, or null if it asks for help.
export function readArguments(argv) {
    const { values, positionals } = parse(argv);
    if (values.help) {
        console.log(usage());
        return null;
    }
    if (positionals.length !== 1 || !values.as) throw new UsageError(usage());
    const [file] = positionals;
    return {
        file,
        system: values.as,
        dryRun: values['dry-run'],
        formats: parseFormats(values.formats),
        withContacts: values['with-contacts'],
        lostReason: values['lost-reason'],
        actor: values.actor,
        encoding: values.encoding,
        delimiter: values.delimiter,
        rejected: values.rejected ?? file.replace(/(\.[^./]*)?$/, '-rejected.csv'),
    };
}
