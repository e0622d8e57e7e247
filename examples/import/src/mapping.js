// A mapping says what the columns of a system's export are called here. ../README.md describes the files.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../mappings/', import.meta.url));

export function mappingNames() {
    return readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => name.replace(/\.json$/, '')).sort();
}

// Headers are compared as the database does it.
export const folded = (header) => header.replace(/^\ufeff/, '').replace(/[\s_]+/g, ' ').trim().toLowerCase();

export function readMapping({ system, formats, withContacts }) {
    const path = mappingNames().includes(system) ? `${folder}${system}.json` : system;
    if (!existsSync(path)) throw new Error(`there is no mapping "${system}": give one of ${mappingNames().join(', ')}`);
    const mapping = JSON.parse(readFileSync(path, 'utf8'));
    const columns = { ...mapping.columns };
    if (mapping.contact) columns[mapping.contact] = withContacts ? 'primary_contact' : null;
    return { into: 'deals', prefixes: {}, ...mapping, columns, formats: { ...mapping.formats, ...formats } };
}

// The column of the database for a header: null leaves it out, undefined says that the mapping does not know it.
export function columnOf(mapping, header) {
    const entry = Object.entries(mapping.columns).find(([name]) => folded(name) === folded(header));
    return entry?.[1];
}

const names = ['name', 'last_name', 'company_name'];

// An export may begin with titles. The header is the first record that has the names that the mapping asks for.
export function isHeader(mapping, record) {
    const known = record.map((cell) => columnOf(mapping, cell)).filter((column) => typeof column === 'string');
    return known.length >= 2 && known.some((column) => names.includes(column));
}
