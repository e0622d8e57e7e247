// The life of a deal through Drizzle: a deal is read as an object, changed, and written back as a whole row, as
// applications do that know nothing of the rules. The database derives the rest, and refuses what is stale.
import { and, asc, eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import pg from 'pg';

import { activities, deals, events, leads, stages, stakeholders } from './schema.js';

const cause = (error) => error.cause ?? error;

export async function lifecycle(prefix) {
  const client = new pg.Client();
  await client.connect();
  const db = drizzle(client);
  await db.execute(sql`SELECT set_config('crm_deals.actor', 'anna', false)`);

  const [lead] = await db.insert(leads).values({
    externalId: `${prefix}-lead`, companyName: 'Nordvik Timber', firstName: 'Ingrid', lastName: 'Solberg',
    email: 'ingrid@nordvik.example', source: 'web site', customFields: { seats: 40 },
  }).returning();
  await db.insert(activities).values({ kind: 'call', subject: 'First call', leadId: lead.id });
  await db.update(leads).set({ ...lead, status: 'qualified' }).where(eq(leads.id, lead.id));

  const argument = JSON.stringify({ name: 'Nordvik: order intake', external_id: `${prefix}-deal` });
  const { rows: [converted] } = await db.execute(
    sql`SELECT * FROM crm_deals.convert_lead(${lead.id}, deal => ${argument})`);
  const dealId = Number(converted.deal_id);
  await db.insert(stakeholders).values({ dealId, contactId: converted.contact_id, role: 'champion' });

  const read = async () => (await db.select().from(deals).where(eq(deals.id, dealId)))[0];
  const save = async (deal) => (await db.update(deals).set(deal).where(eq(deals.id, dealId)).returning())[0];
  const stage = async (deal, wanted) => (await db.select().from(stages)
    .where(and(eq(stages.pipelineId, deal.pipelineId), eq(stages.key, wanted))))[0].id;

  // A whole row that comes back as it was is no change.
  const first = await read();
  const unchanged = await save(first);

  // Changes of the application's own columns; status, probability and closing time come back with the row.
  let deal = await save({
    ...unchanged, amount: '24000', customFields: { ...unchanged.customFields, region: 'north' },
  });
  const refused = await save({ ...deal, stageId: await stage(deal, 'won') }).catch(cause);
  deal = await save({ ...deal, stageId: await stage(deal, 'proposal') });
  deal = await save({ ...deal, stageId: await stage(deal, 'negotiation') });
  deal = await save({ ...deal, stageId: await stage(deal, 'won') });

  // What was read before those changes is stale.
  const stale = await save({ ...first, notes: 'overwrites what others wrote' }).catch(cause);
  // A status that contradicts the stage is an error.
  const contradiction = await save({ ...deal, status: 'open' }).catch(cause);

  const log = await db.select().from(events).where(eq(events.dealId, dealId)).orderBy(asc(events.version));
  const { rows: [{ count }] } = await db.execute(
    sql`SELECT count(*)::int FROM crm_deals.verify() WHERE deal_id = ${dealId}`);
  await client.end();
  return {
    unchanged: unchanged.version,
    refused: [refused.code, refused.constraint],
    won: [deal.status, deal.probability, deal.closedAt instanceof Date, deal.version],
    stale: stale.code,
    contradiction: [contradiction.code, contradiction.constraint],
    log: log.map((event) => `${event.kind} ${event.actor}`),
    broken: count,
  };
}
