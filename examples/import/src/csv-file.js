// A CSV file as it comes: finds its encoding and its delimiter, and reads its records as a stream.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';

import { parse } from 'csv-parse';
import { parse as parseAtOnce } from 'csv-parse/sync';
import iconv from 'iconv-lite';

const delimiters = [',', ';', '\t', '|'];
const beginning = 64 * 1024;
const bomsOf = [
    ['utf-8', [0xef, 0xbb, 0xbf]],
    ['utf-16le', [0xff, 0xfe]],
    ['utf-16be', [0xfe, 0xff]],
];

async function readBeginning(path) {
    const file = await open(path);
    try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(beginning), 0, beginning, 0);
        return buffer.subarray(0, bytesRead);
    } finally {
        await file.close();
    }
}

async function isUtf8(path) {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    try {
        for await (const chunk of createReadStream(path)) decoder.decode(chunk, { stream: true });
        decoder.decode();
        return true;
    } catch (error) {
        if (error instanceof TypeError) return false;
        throw error;
    }
}

// A byte order mark says it. Else what is no UTF-8 is what Excel writes in Western Europe.
async function findEncoding(path, start) {
    const found = bomsOf.find(([, bom]) => bom.every((byte, i) => start[i] === byte));
    if (found) return found[0];
    return (await isUtf8(path)) ? 'utf-8' : 'windows-1252';
}

// Returns the delimiter by which the records of the beginning have most columns.
function findDelimiter(text) {
    const columnsBy = (delimiter) => {
        const records = parseAtOnce(text, { delimiter, to: 20, relax_quotes: true, relax_column_count: true,
                                            skip_records_with_error: true });
        return Math.max(0, ...records.map((record) => record.length));
    };
    const counts = delimiters.map(columnsBy);
    return delimiters[counts.indexOf(Math.max(...counts))];
}

export class CsvFile {
    constructor(path, encoding, delimiter) {
        Object.assign(this, { path, encoding, delimiter });
    }

    static async open(path, { encoding, delimiter }) {
        const start = await readBeginning(path);
        if (encoding !== undefined && !iconv.encodingExists(encoding)) {
            throw new Error(`unknown encoding "${encoding}"`);
        }
        const name = encoding ?? (await findEncoding(path, start));
        return new CsvFile(path, name, delimiter ?? findDelimiter(iconv.decode(start, name)));
    }

    // Yields the records as arrays of texts. Lines that are empty are left out.
    async *records() {
        const decoded = createReadStream(this.path).pipe(iconv.decodeStream(this.encoding));
        const parser = decoded.pipe(
            parse({ delimiter: this.delimiter, bom: true, relax_quotes: true, relax_column_count: true,
                    skip_empty_lines: true }));
        decoded.on('error', (error) => parser.destroy(error));
        yield* parser;
    }
}
