-- Ours with duplicate_policy = flag: it looks for every new name among the others.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag';
VACUUM (FREEZE, ANALYZE) crm_deals.deal_name;
