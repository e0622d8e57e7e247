// What is done in the database: one transaction, which a rehearsal rolls back.
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';

import { stringify } from 'csv-stringify';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

import { pipelineColumn } from './rows.js';

const quoted = (name) => pg.escapeIdentifier(name);

export async function connect() {
    const client = new pg.Client({ connectionString: process.env.DATABASE_URL, application_name: 'crm_deals import' });
    await client.connect();
    return client;
}

// The stages of a new database are those that the other system has by default.
export async function providePipeline(client, wanted) {
    if (!wanted) return false;
    const { rows } = await client.query(
        `SELECT FROM crm_deals.pipeline AS p
         WHERE p.name = $1 AND (p.organization IS NULL
                                OR p.organization = nullif(current_setting('crm_deals.organization', true), ''))`,
        [wanted.name]);
    if (rows.length > 0) return false;
    await client.query('SELECT crm_deals.create_pipeline($1, $2)', [wanted.name, JSON.stringify(wanted.stages)]);
    return true;
}

// Copies the rows into a temporary table of texts, as they stand in the file. An empty cell is NULL.
export async function copyRows(client, rows, progress) {
    const names = rows.names.map(quoted);
    const columns = names.map((name) => `${name} text`);
    if (rows.pipeline()) columns.push(`${quoted(pipelineColumn)} text DEFAULT ${pg.escapeLiteral(rows.pipeline())}`);
    await client.query(`CREATE TEMPORARY TABLE incoming (${columns.join(', ')}) ON COMMIT DROP`);
    let count = 0;
    async function* counted() {
        for await (const row of rows) {
            count += 1;
            progress(count);
            yield row.map((cell, i) => rows.clean(cell, i));
        }
    }
    await pipeline(Readable.from(counted()), stringify({ cast: { string: (cell) => cell } }),
                   client.query(copyFrom(`COPY pg_temp.incoming (${names.join(', ')}) FROM STDIN (FORMAT csv)`)));
    return count;
}

const importOf = {
    deals: `SELECT * FROM crm_deals.import_deals('pg_temp.incoming', columns => $1, formats => $2, dry_run => $3,
                                                 actor => $4, create_accounts => $5, lost_reason => $6,
                                                 closed_at_from => $7)`,
    accounts: `SELECT * FROM crm_deals.import_accounts('pg_temp.incoming', columns => $1, formats => $2, dry_run => $3,
                                                       actor => $4)`,
    contacts: `SELECT * FROM crm_deals.import_contacts('pg_temp.incoming', columns => $1, formats => $2, dry_run => $3,
                                                       actor => $4)`,
    leads: `SELECT * FROM crm_deals.import_leads('pg_temp.incoming', columns => $1, formats => $2, dry_run => $3,
                                                 actor => $4)`,
};

// Returns the outcome of each row.
export async function importRows(client, mapping, columns, settings) {
    const values = [columns, mapping.formats, settings.dryRun, settings.actor];
    if (mapping.into === 'deals') {
        const { create_accounts: createAccounts = true, lost_reason: lostReason } = mapping;
        const hasClosing = Object.values(columns).includes(mapping.closed_at_from);
        values.push(createAccounts, settings.lostReason ?? lostReason, hasClosing ? mapping.closed_at_from : null);
    }
    const { rows } = await client.query(importOf[mapping.into], values);
    return rows;
}
