-- The indexes of the side "by hand": one for each question that needs a fast answer.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
-- The board reads the cards of a stage, latest first; the forecast open deals by day; reports closed deals by day.
DROP INDEX crm_deals.deal_board, crm_deals.deal_closed;
CREATE INDEX deal_board ON crm_deals.deal (stage_id, stage_entered_at DESC, id DESC);
CREATE INDEX deal_forecast ON crm_deals.deal (expected_close_date, stage_id) WHERE status = 'open';
CREATE INDEX deal_closed ON crm_deals.deal (closed_at) WHERE closed_at IS NOT NULL;
-- Account, contact, owner and external id have theirs. This one finds names like a given one.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX deal_name_like ON crm_deals.deal USING gin (name gin_trgm_ops);
-- By hand nothing looks for transactions in the log.
DROP INDEX crm_deals.deal_event_transaction;
ANALYZE crm_deals.deal;
