// One connection to PostgreSQL: the doorbell, and the functions of crm_deals that a consumer calls.
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const connectTimeout = 10_000;
const queryTimeout = 30_000;
const closeTimeout = 1000;

// read_events needs READ COMMITTED and writes, whatever the database's defaults are. The server is to notice within
// a minute when our machine is gone, and to free the lock.
const sessionSettings = `
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3`;

export class Database {
    #client;
    #consumer;
    #lost;

    // changed() is called when the bell rings and when the connection is lost.
    constructor({ connectionString, consumer }, changed) {
        this.#consumer = consumer;
        this.#client = new pg.Client({
            connectionString,
            application_name: `webhook-relay ${consumer}`,
            connectionTimeoutMillis: connectTimeout,
            query_timeout: queryTimeout,
        });
        const lose = (error = new Error('the connection was closed')) => {
            this.#lost ??= error;
            changed();
        };
        this.#client.on('error', lose);
        this.#client.on('end', lose);
        this.#client.on('notification', changed);
    }

    async connect() {
        await this.#client.connect();
        await this.#client.query(sessionSettings);
        await this.#client.query('LISTEN crm_deals');
    }

    check() {
        if (this.#lost) throw this.#lost;
    }

    async subscribe({ kinds, fromStart, includeImports }) {
        await this.#client.query('SELECT crm_deals.subscribe($1, $2, $3, $4)', [
            this.#consumer,
            kinds.length > 0 ? kinds : null,
            fromStart,
            includeImports,
        ]);
    }

    // Whether this connection is the consumer's one that reads. It stays so until it is closed.
    async lead() {
        const key = createHash('sha256').update(`crm_deals relay ${this.#consumer}`).digest().readBigInt64BE();
        const { rows } = await this.#client.query('SELECT pg_try_advisory_lock($1) AS leads', [key]);
        return rows[0].leads;
    }

    // The payload as text: a number of JavaScript does not hold every numeric.
    async readEvents(maxEvents, lease) {
        const { rows } = await this.#client.query(
            `SELECT id, deal_id AS "dealId", kind, payload::text AS body
             FROM crm_deals.read_events($1, $2, make_interval(secs => $3))`,
            [this.#consumer, maxEvents, lease / 1000],
        );
        return rows;
    }

    async acknowledge(id) {
        await this.#client.query('SELECT crm_deals.ack_events($1, $2)', [this.#consumer, id]);
    }

    // Events that are not acknowledged, and the age of the oldest in seconds.
    async lag() {
        const { rows } = await this.#client.query(
            `SELECT pending::float8, coalesce(extract(epoch FROM now() - oldest_pending_at), 0)::float8 AS age
             FROM crm_deals.consumer_status WHERE consumer = $1`,
            [this.#consumer],
        );
        return rows[0];
    }

    // Waits only so long for a server that may be gone.
    async close() {
        await Promise.race([this.#client.end().catch(() => {}), sleep(closeTimeout)]);
    }
}

// Whether an error stays until somebody changes something: wrong arguments, names, privileges, passwords; no
// tables; an unknown consumer. All others, such as a server that restarts, pass.
export function isPermanent(error) {
    return /^(22|23|28|3D|3F|42|55000|P0)/.test(error.code ?? '') && error.code.length === 5;
}
