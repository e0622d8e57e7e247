// The life of a deal through pg: SQL with parameters, functions of crm_deals as ordinary queries.
import pg from 'pg';

export async function lifecycle(prefix) {
  const client = new pg.Client();
  await client.connect();
  const one = async (sql, values) => (await client.query(sql, values)).rows[0];
  const heard = [];
  client.on('notification', ({ channel }) => heard.push(channel));
  await client.query('LISTEN crm_deals_won');
  await client.query("SELECT set_config('crm_deals.actor', 'anna', false)");

  const lead = await one(
    `INSERT INTO crm_deals.lead (external_id, company_name, first_name, last_name, email, source, custom_fields)
     VALUES ($1, 'Nordvik Timber', 'Ingrid', 'Solberg', 'ingrid@nordvik.example', 'web site', $2) RETURNING id`,
    [`${prefix}-lead`, { seats: 40 }]);
  await client.query(
    "INSERT INTO crm_deals.activity (kind, subject, lead_id) VALUES ('call', 'First call', $1)", [lead.id]);

  const converted = await one(
    'SELECT * FROM crm_deals.convert_lead($1, deal => $2)',
    [lead.id, { name: 'Nordvik: order intake', external_id: `${prefix}-deal`, expected_close_date: '2027-01-31' }]);
  const deal = converted.deal_id;
  await client.query(
    "INSERT INTO crm_deals.deal_contact SELECT $1, contact_id, 'champion' FROM crm_deals.lead WHERE id = $2",
    [deal, lead.id]);

  const missing = (await client.query("SELECT rule, detail FROM crm_deals.check_move($1, 'proposal')", [deal])).rows;
  const refused = await client.query("SELECT crm_deals.move_deal($1, 'proposal')", [deal]).catch((error) => error);

  await client.query('UPDATE crm_deals.deal SET amount = $2 WHERE id = $1', [deal, 24000]);
  await client.query("SELECT crm_deals.move_deal($1, 'proposal', note => 'Sent by mail')", [deal]);
  await client.query("SELECT crm_deals.move_deal($1, 'negotiation')", [deal]);
  const won = await one("SELECT * FROM crm_deals.move_deal($1, 'won', note => 'Signed')", [deal]);

  const log = (await client.query(
    'SELECT kind, actor FROM crm_deals.deal_event WHERE deal_id = $1 ORDER BY version', [deal])).rows;
  const { count } = await one('SELECT count(*)::int FROM crm_deals.verify() WHERE deal_id = $1', [deal]);
  await client.end();
  return {
    missing: missing.map((rule) => rule.rule),
    refused: [refused.code, refused.constraint],
    won: [won.stage_key, won.status, won.closed_at instanceof Date, won.version],
    log: log.map((event) => `${event.kind} ${event.actor}`),
    heard,
    broken: count,
  };
}
