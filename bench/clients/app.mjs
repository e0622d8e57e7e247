// Moves deals as an application does: begin, select for update, check, update, insert into the log, notify, commit.
// "ours" sends the UPDATE alone: that is enough if the database keeps the rules.
//
//   node app.mjs DATABASE app|ours CLIENTS SECONDS DEALS_A_CLIENT on|off      prints moves a second; on: notify
//
// Several clients share two threads, as they do in pgbench; all statements are prepared.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import pg from 'pg';

pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text);

const statement = (name, text) => (values) => ({ name, text, values });
const begin = { text: 'BEGIN' };
const commit = { text: 'COMMIT' };
const select = statement('select', `SELECT *, clock_timestamp() AS moment FROM crm_deals.deal
    WHERE id = $1 FOR UPDATE`);
const update = statement('update', `UPDATE crm_deals.deal
    SET stage_id = $2, status = $3, probability = $4, version = version + 1, stage_entered_at = $5, updated_at = $5
    WHERE id = $1`);
const log = statement('log', `INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at,
        actor, session_user_name, pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency,
        probability, expected_close_date, owner, lost_reason, changes)
    OVERRIDING SYSTEM VALUE
    SELECT e.id, e.id, $1, $2, 'stage_changed', $3, current_user, session_user, $4, $5, $6, $7, $8, $9, $10, $11, $12,
           $13, $14, $15
    FROM nextval('crm_deals.deal_event_id_seq') AS e (id)
    RETURNING id`);
const notify = statement('notify', "SELECT pg_notify('crm_deals_stage_changed', $1)");
const move = statement('move', 'UPDATE crm_deals.deal SET stage_id = 5 - stage_id WHERE id = $1');

function check(stages, deal, target) {
    if (!target || target.pipeline_id !== deal.pipeline_id || target.archived_at)
        throw new Error('there is no such stage');
    if (target.forbid_backward && target.status === 'open' && target.position < stages.get(deal.stage_id).position)
        throw new Error('never backward');
    for (const field of target.required_fields) if (deal[field] === null) throw new Error(`${field} is missing`);
}

async function moveByHand(client, stages, id, notifies) {
    await client.query(begin);
    const deal = (await client.query(select([id]))).rows[0];
    const target = stages.get(String(5 - deal.stage_id));
    check(stages, deal, target);
    await client.query(update([id, target.id, target.status, target.probability, deal.moment]));
    const changes = {
        stage_id: [Number(deal.stage_id), Number(target.id)],
        probability: [Number(deal.probability), Number(target.probability)],
        stage_entered_at: [deal.stage_entered_at, deal.moment],
    };
    const logged = await client.query(log([id, deal.version + 1, deal.moment, deal.pipeline_id, deal.stage_id,
        target.id, deal.status, target.status, deal.amount, deal.currency, target.probability, deal.expected_close_date,
        deal.owner, deal.lost_reason, changes]));
    if (notifies) {
        const from = stages.get(deal.stage_id);
        await client.query(notify([JSON.stringify({
            event: 'deal.stage_changed', event_id: logged.rows[0].id, deal_id: id, deal_name: deal.name,
            pipeline_id: deal.pipeline_id, old_stage: { id: from.id, key: from.key, name: from.name },
            new_stage: { id: target.id, key: target.key, name: target.name },
            status: target.status, amount: deal.amount, currency: deal.currency, occurred_at: deal.moment,
        })]));
    }
    await client.query(commit);
}

async function connect(database) {
    const client = new pg.Client({ host: process.env.PGHOST, database });
    await client.connect();
    return client;
}

async function moveUntil(deadline, client, stages, number, { kind, dealsAClient, notifies }) {
    let moves = 0;
    while (Date.now() < deadline) {
        const id = number * dealsAClient + 1 + Math.floor(Math.random() * dealsAClient);
        if (kind === 'app') await moveByHand(client, stages, id, notifies);
        else await client.query(move([id]));
        moves += 1;
    }
    return moves;
}

// Moves a second of this thread's clients.
async function movesASecond(settings) {
    const { database, seconds, clients, threads, thread } = settings;
    const numbers = Array.from({ length: clients }, (_, number) => number)
        .filter((number) => number % threads === thread);
    const connections = await Promise.all(numbers.map(() => connect(database)));
    const { rows } = await connections[0].query(`SELECT s.*, p.forbid_backward
        FROM crm_deals.stage AS s JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id`);
    const stages = new Map(rows.map((stage) => [stage.id, stage]));
    const begun = Date.now();
    const moves = await Promise.all(connections.map((client, place) =>
        moveUntil(begun + seconds * 1000, client, stages, numbers[place], settings)));
    const rate = sum(moves) * 1000 / (Date.now() - begun);
    await Promise.all(connections.map((client) => client.end()));
    return rate;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

if (isMainThread) {
    const [database, kind, clients, seconds, dealsAClient, notifies] = process.argv.slice(2);
    const threads = Math.min(Number(clients), 2);
    const settings = {
        database, kind, threads, clients: Number(clients), seconds: Number(seconds), dealsAClient: Number(dealsAClient),
        notifies: notifies === 'on',
    };
    const rates = await Promise.all(Array.from({ length: threads }, (_, thread) => new Promise((resolve, reject) => {
        const worker = new Worker(new URL(import.meta.url), { workerData: { ...settings, thread } });
        worker.on('message', resolve);
        worker.on('error', reject);
    })));
    console.log(sum(rates).toFixed(2));
} else {
    parentPort.postMessage(await movesASecond(workerData));
}
