// The rows of an export: without titles, repeated headers and the words that a system puts before a name.
import { columnOf, folded, isHeader } from './mapping.js';

// The column that a file of rejected rows has beside those of the export.
export const problemHeader = 'import_problem';

// The column for the pipeline of the mapping, if the export has none of its own.
export const pipelineColumn = 'pipeline of the mapping';

const sameRecord = (one, other) =>
    one.length === other.length && one.every((cell, i) => folded(cell) === folded(other[i]));

// A name stands once in a table, and has at most 63 bytes.
function distinct(headers) {
    const seen = new Set();
    return headers.map((header, i) => {
        let name = Buffer.from(header.replace(/^\ufeff/, '').trim() || `column ${i + 1}`).subarray(0, 58).toString()
            .replace(/\ufffd+$/, '');
        for (let n = 2; seen.has(folded(name)); n += 1) name = `${name.replace(/ \(\d+\)$/, '')} (${n})`;
        seen.add(folded(name));
        return name;
    });
}

// Reads the header, then yields the rows. A cell that is missing at the end of a row is empty.
export class Rows {
    constructor(file, mapping) {
        Object.assign(this, { file, mapping });
    }

    async findHeader() {
        for await (const record of this.file.records()) {
            if (isHeader(this.mapping, record)) {
                this.header = record;
                this.names = distinct(record);
                return;
            }
        }
        const wanted = Object.entries(this.mapping.columns).filter(([, column]) => column).map(([name]) => `"${name}"`);
        throw new Error(`no line of ${this.file.path} looks like the header of such an export; `
            + `it should have some of ${wanted.join(', ')}`);
    }

    // Rows that name no pipeline go to that of the mapping. Returns its name.
    pipeline() {
        const named = this.header.some((header) => columnOf(this.mapping, header) === 'pipeline');
        return named || this.mapping.into !== 'deals' ? undefined : this.mapping.pipeline?.name;
    }

    // What the database is told: every column of the export has a name there, or is left out.
    columns() {
        const columns = this.names.map((name, i) => [name, columnOf(this.mapping, this.header[i]) ?? null]);
        return Object.fromEntries(this.pipeline() ? [...columns, [pipelineColumn, 'pipeline']] : columns);
    }

    unknown() {
        return this.names.filter((name, i) => columnOf(this.mapping, this.header[i]) === undefined
            && folded(name) !== folded(problemHeader));
    }

    isRow(record) {
        const filled = record.filter((cell) => cell.trim() !== '').length;
        return filled > (this.mapping.titles ? 1 : 0) && !sameRecord(record, this.header);
    }

    clean(cell, i) {
        const prefix = this.mapping.prefixes[this.header[i]];
        return prefix && cell.startsWith(prefix) ? cell.slice(prefix.length) : cell;
    }

    async *[Symbol.asyncIterator]() {
        let begun = false;
        for await (const record of this.file.records()) {
            if (!begun) {
                begun = isHeader(this.mapping, record);
            } else if (this.isRow(record)) {
                yield this.names.map((_, i) => record[i] ?? '');
            }
        }
    }
}
