-- Ours where every new name is looked for among the others: duplicate_policy = flag.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag';
VACUUM (FREEZE, ANALYZE) crm_deals.deal_name;
