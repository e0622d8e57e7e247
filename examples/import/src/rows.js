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

    // Of the headers for one column, the one that the mapping names first counts.
    isFirst(header, column) {
        const rivals = Object.keys(this.mapping.columns).filter((name) => this.mapping.columns[name] === column);
        const found = rivals.find((name) => this.header.some((other) => folded(other) === folded(name)));
        return folded(found) === folded(header);
    }

    // What the database is told: every column of the export has a name there, or is left out.
    columns() {
        const columns = this.names.map((name, i) => {
            const column = columnOf(this.mapping, this.header[i]);
            return [name, column && this.isFirst(this.header[i], column) ? column : null];
        });
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

    // A value with a delimiter that is not in quotes moves the cells behind it, and the last ones would be lost.
    checkWidth(record, number) {
        if (record.slice(this.names.length).every((cell) => cell.trim() === '')) return;
        throw new Error(`row ${number} of ${this.file.path} has ${record.length} cells, but the header has `
            + `${this.names.length}: put values with a "${this.file.delimiter}" into quotes`);
    }

    clean(cell, i) {
        const prefix = this.mapping.prefixes[this.header[i]];
        return prefix && cell.startsWith(prefix) ? cell.slice(prefix.length) : cell;
    }

    async *[Symbol.asyncIterator]() {
        let begun = false;
        let number = 0;
        for await (const record of this.file.records()) {
            if (!begun) {
                begun = isHeader(this.mapping, record);
            } else if (this.isRow(record)) {
                number += 1;
                this.checkWidth(record, number);
                yield this.names.map((_, i) => record[i] ?? '');
            }
        }
    }
}
