-- What users add to crm_deals, whatever its version. The roles reader, consumer, clerk, boss, admin and visitor are
-- there. The variable hosts is that of install.sql; with host tables fewer roles have a level, to keep the dump small.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;

SELECT crm_deals.grant_access(g.role::regrole, g.level)
FROM (VALUES ('reader', 'read'), ('consumer', 'consume'), ('clerk', 'write'), ('boss', 'manager'), ('admin', 'admin'))
    AS g (role, level)
WHERE g.role = 'clerk' OR NOT :'hosts'::boolean;
SELECT crm_deals.protect_children();
INSERT INTO crm_deals.custom_field (entity, key, label, type, options)
VALUES ('deal', 'plan', 'Plan', 'select', '["small", "big"]');
SELECT crm_deals.index_custom_field('deal', 'plan');

-- Columns, with all that a column can have
CREATE TABLE public.campaign (id integer PRIMARY KEY, title text);
CREATE TYPE public.mood AS ENUM ('good', 'bad');
CREATE DOMAIN public.percent AS numeric CHECK (value BETWEEN 0 AND 100);
ALTER TABLE crm_deals.deal
    ADD COLUMN campaign_id integer REFERENCES public.campaign,
    ADD COLUMN tags text[] DEFAULT '{new}',
    ADD COLUMN "Mixed Case" numeric(10, 2) CONSTRAINT "My check" CHECK ("Mixed Case" > 0),
    ADD COLUMN mood public.mood NOT NULL DEFAULT 'good',
    ADD COLUMN share public.percent,
    ADD COLUMN title text COLLATE "C",
    ADD COLUMN doubled numeric GENERATED ALWAYS AS (amount * 2) STORED;
ALTER TABLE crm_deals.deal ALTER COLUMN title SET STORAGE external, ALTER COLUMN owner SET STATISTICS 500;
ALTER TABLE crm_deals.stage ADD COLUMN colour text DEFAULT 'grey';
ALTER TABLE crm_deals.activity ADD COLUMN place text;
ALTER TABLE crm_deals.lead ADD COLUMN score integer;
ALTER TABLE crm_deals.event_consumer ADD COLUMN contact_person text;
ALTER TABLE crm_deals.deal_duplicate ADD COLUMN remark text;

-- Indexes, statistics, constraints, keys to our tables
CREATE INDEX my_campaign ON crm_deals.deal (campaign_id) WHERE campaign_id IS NOT NULL;
CREATE INDEX my_name ON crm_deals.deal USING gin (name public.gin_trgm_ops);
CREATE UNIQUE INDEX my_event ON crm_deals.deal_event (deal_id, id) INCLUDE (kind);
CREATE INDEX my_lower_name ON crm_deals.lead (lower(last_name), lower(first_name));
CREATE STATISTICS public.my_statistics ON source, owner FROM crm_deals.deal;
ALTER TABLE crm_deals.deal ADD CONSTRAINT my_dates CHECK (expected_close_date > '1990-01-01') NOT VALID;
ALTER TABLE crm_deals.stage ADD CONSTRAINT my_stage_name UNIQUE (pipeline_id, name);
CREATE TABLE public.invoice (
    id bigint PRIMARY KEY,
    deal_id bigint REFERENCES crm_deals.deal ON DELETE SET NULL,
    stage_id bigint REFERENCES crm_deals.stage,
    event_id bigint REFERENCES crm_deals.deal_event);
ALTER TABLE crm_deals.deal SET (fillfactor = 80);
ALTER TABLE crm_deals.lead REPLICA IDENTITY FULL;
SET client_min_messages = error;
CREATE PUBLICATION my_publication FOR TABLE crm_deals.deal, crm_deals.deal_event;
RESET client_min_messages;

-- Functions and triggers
CREATE FUNCTION public.shout() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN new.title := upper(new.title); RETURN new; END';
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION public.shout();
CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER my_log AFTER INSERT ON crm_deals.deal_event FOR EACH ROW EXECUTE FUNCTION public.nothing();
CREATE TRIGGER my_sleeping AFTER UPDATE ON crm_deals.stage FOR EACH STATEMENT EXECUTE FUNCTION public.nothing();
ALTER TABLE crm_deals.stage DISABLE TRIGGER my_sleeping;
CREATE FUNCTION public.deals_of(wanted text) RETURNS SETOF crm_deals.deal LANGUAGE sql STABLE
AS 'SELECT d.* FROM crm_deals.deal AS d WHERE d.source = wanted';

-- Views on our tables and on our views
CREATE VIEW public.my_deals WITH (security_barrier = true) AS
    SELECT d.id, d.name, d.status, d.amount, d.stage_id, d.campaign_id, s.colour
    FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id;
CREATE VIEW public.my_log AS SELECT e.id, e.deal_id, e.kind, e.changes FROM crm_deals.deal_event AS e;
CREATE MATERIALIZED VIEW public.my_sums AS
    SELECT d.status, count(*) AS deals FROM crm_deals.deal AS d GROUP BY d.status;
CREATE UNIQUE INDEX my_sums_status ON public.my_sums (status);
CREATE VIEW public.my_overview WITH (security_invoker = true) AS
    SELECT o.id, o.name, o.stage_key, o.stage_label, o.account_label, o.owner_label, o.weighted_amount
    FROM crm_deals.deal_overview AS o;
CREATE VIEW public.my_stays AS SELECT h.deal_id, h.stage_key, h.entered_at FROM crm_deals.deal_stage_history AS h;
CREATE VIEW public.my_stale AS SELECT x.deal_id, x.name, x.stage_label FROM crm_deals.stale_deals AS x;
CREATE VIEW public.my_consumers AS SELECT c.consumer, c.last_acked_at FROM crm_deals.consumer_status AS c;

-- Row security
CREATE POLICY my_deals ON crm_deals.deal USING (owner IS NULL OR owner = CURRENT_USER OR CURRENT_USER <> 'reader');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY my_leads ON crm_deals.lead AS RESTRICTIVE FOR SELECT TO clerk USING (status <> 'converted');
CREATE POLICY my_leads_too ON crm_deals.lead USING (true) WITH CHECK (email IS NOT NULL OR email IS NULL);
ALTER TABLE crm_deals.lead ENABLE ROW LEVEL SECURITY;

-- Privileges of a role without a level, and one more for a role with one
GRANT USAGE ON SCHEMA crm_deals TO visitor;
GRANT SELECT (id, name, status, campaign_id) ON crm_deals.deal TO visitor;
GRANT UPDATE (notes) ON crm_deals.deal TO visitor;
GRANT SELECT ON crm_deals.stage, crm_deals.pipeline TO visitor WITH GRANT OPTION;
GRANT SELECT, INSERT ON crm_deals.activity TO visitor;
GRANT SELECT ON crm_deals.deal_overview, crm_deals.stale_deals, public.my_deals, public.my_overview TO visitor;
GRANT SELECT (consumer) ON crm_deals.event_consumer TO reader;
GRANT SELECT ON crm_deals.pipeline_id_seq TO visitor;
GRANT EXECUTE ON FUNCTION crm_deals.board, crm_deals.forecast, crm_deals.win_rate, crm_deals.find_duplicates,
    crm_deals.read_events, crm_deals.deals_as_of TO visitor;
GRANT EXECUTE ON FUNCTION crm_deals.check_move TO visitor WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION crm_deals.verify TO PUBLIC;

-- Comments, one of them on a column of ours
COMMENT ON COLUMN crm_deals.deal.campaign_id IS 'where it came from';
COMMENT ON COLUMN crm_deals.deal.source IS 'our list of sources is in the wiki';
COMMENT ON INDEX crm_deals.my_campaign IS 'my index';
COMMENT ON CONSTRAINT my_dates ON crm_deals.deal IS 'my constraint';
COMMENT ON TRIGGER shout ON crm_deals.deal IS 'my trigger';
COMMENT ON POLICY my_deals ON crm_deals.deal IS 'my policy';
COMMENT ON VIEW public.my_deals IS 'my view';
