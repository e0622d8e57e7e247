// What became of the rows: a line for each kind, and a file of those that were rejected.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';

import { stringify } from 'csv-stringify';

import { problemHeader } from './rows.js';

const order = ['created', 'updated', 'unchanged', 'flagged', 'rejected'];
const shown = 5;

export function printOutcomes(outcomes) {
    const counts = new Map();
    for (const { outcome } of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    for (const outcome of [...counts.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b))) {
        console.log(`${String(counts.get(outcome)).padStart(9)} ${outcome}`);
    }
}

// Reasons that differ in a value only count as one.
export function printReasons(rejected) {
    const reasons = new Map();
    for (const { row_number: row, detail } of rejected) {
        const kind = detail.replace(/"[^"]*"/g, '"…"');
        if (!reasons.has(kind)) reasons.set(kind, { count: 0, row, detail });
        reasons.get(kind).count += 1;
    }
    for (const { count, row, detail } of [...reasons.values()].sort((a, b) => b.count - a.count).slice(0, shown)) {
        const others = count > 1 ? ` and ${count - 1} more` : '';
        console.log(`\nrow ${row}${others}:\n    ${detail.replace(/\n/g, '\n    ')}`);
    }
    if (reasons.size > shown) console.log(`\n... and ${reasons.size - shown} other reasons: the file has them`);
}

// The file has the header and the rows of the export, and why each was rejected. Mended, it can be sent again.
export async function writeRejected(path, rows, rejected) {
    const reasons = new Map(rejected.map(({ row_number: row, detail }) => [Number(row), detail]));
    const old = rows.names.indexOf(problemHeader);
    const withProblem = (record, problem) => [...record.filter((_, i) => i !== old), problem];
    async function* records() {
        let number = 0;
        yield withProblem(rows.names, problemHeader);
        for await (const row of rows) {
            number += 1;
            if (reasons.has(number)) yield withProblem(row, reasons.get(number));
        }
    }
    await pipeline(Readable.from(records()), stringify({ bom: true, delimiter: rows.file.delimiter }),
                   createWriteStream(path));
}
