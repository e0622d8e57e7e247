// The tables of crm_deals as Drizzle sees them. Keys of accounts, contacts and owners are texts here, whatever type
// the host's keys are of: pg hands bigint and uuid over as texts, too.
import { bigint, boolean, date, integer, jsonb, numeric, pgSchema, text, timestamp } from 'drizzle-orm/pg-core';

const crm = pgSchema('crm_deals');
const key = (name) => bigint(name, { mode: 'number' });
const moment = (name) => timestamp(name, { withTimezone: true, mode: 'date' });

export const stages = crm.table('stage', {
  id: key('id').primaryKey(),
  pipelineId: key('pipeline_id').notNull(),
  key: text('key').notNull(),
  name: text('name').notNull(),
});

export const leads = crm.table('lead', {
  id: key('id').primaryKey().generatedByDefaultAsIdentity(),
  companyName: text('company_name'),
  firstName: text('first_name'),
  lastName: text('last_name'),
  email: text('email'),
  status: text('status').notNull().default('new'),
  source: text('source'),
  customFields: jsonb('custom_fields').notNull().default({}),
  externalId: text('external_id'),
  convertedAt: moment('converted_at'),
  accountId: text('account_id'),
  contactId: text('contact_id'),
  dealId: key('deal_id'),
});

export const deals = crm.table('deal', {
  id: key('id').primaryKey().generatedByDefaultAsIdentity(),
  organization: text('organization'),
  name: text('name').notNull(),
  accountId: text('account_id'),
  primaryContactId: text('primary_contact_id'),
  pipelineId: key('pipeline_id').notNull(),
  stageId: key('stage_id').notNull(),
  status: text('status').notNull(),
  amount: numeric('amount'),
  currency: text('currency').notNull(),
  probability: numeric('probability').notNull(),
  probabilityOverridden: boolean('probability_overridden').notNull().default(false),
  expectedCloseDate: date('expected_close_date'),
  closedAt: moment('closed_at'),
  lostReason: text('lost_reason'),
  owner: text('owner'),
  source: text('source'),
  notes: text('notes'),
  customFields: jsonb('custom_fields').notNull().default({}),
  externalId: text('external_id'),
  version: integer('version').notNull(),
  lastOpenStageId: key('last_open_stage_id'),
  stageEnteredAt: moment('stage_entered_at').notNull(),
  createdAt: moment('created_at').notNull(),
  updatedAt: moment('updated_at').notNull(),
});

export const activities = crm.table('activity', {
  id: key('id').primaryKey().generatedByDefaultAsIdentity(),
  kind: text('kind').notNull(),
  subject: text('subject').notNull(),
  body: text('body'),
  actor: text('actor'),
  dealId: key('deal_id'),
  leadId: key('lead_id'),
});

export const stakeholders = crm.table('deal_contact', {
  dealId: key('deal_id').notNull(),
  contactId: text('contact_id').notNull(),
  role: text('role'),
});

export const events = crm.table('deal_event', {
  id: key('id').primaryKey(),
  dealId: key('deal_id').notNull(),
  version: integer('version').notNull(),
  kind: text('kind').notNull(),
  actor: text('actor').notNull(),
  changes: jsonb('changes').notNull(),
});
