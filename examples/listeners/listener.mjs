import pg from 'pg';

const db = new pg.Client();
let ring = () => {};
db.on('notification', () => ring());
await db.connect();
await db.query('LISTEN crm_deals');
await db.query("SELECT crm_deals.subscribe('node')");
for (;;) {
    const bell = new Promise((resolve) => { ring = resolve; setTimeout(resolve, 10_000); });
    await db.query('BEGIN');
    const { rows } = await db.query("SELECT id, payload FROM crm_deals.read_events('node')");
    for (const { payload } of rows) console.log(JSON.stringify(payload)); // your work
    if (rows.length > 0) await db.query("SELECT crm_deals.ack_events('node', $1)", [rows.at(-1).id]);
    await db.query('COMMIT');
    if (rows.length === 0) await bell;
}
