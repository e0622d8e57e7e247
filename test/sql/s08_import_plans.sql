\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: what an import costs does not depend on statistics. An index that is read as a whole for each deal shows:
-- deal_board has the id as its last column, and no statement of an import needs that index.
SET crm_deals.notify = off;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';

-- Imports deals with a history of four steps; returns their outcomes, and how often the board's index was scanned.
CREATE FUNCTION t.import_scans(outcome text, dry_run boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    scans_before bigint := pg_stat_get_xact_numscans('crm_deals.deal_board'::regclass);
    imported bigint;
BEGIN
    CREATE TEMPORARY TABLE source ON COMMIT DROP AS
    SELECT 'crm-' || n AS external_id, outcome || ' ' || n AS name, 'negotiation' AS stage FROM generate_series(1, 300) AS n;
    CREATE TEMPORARY TABLE history ON COMMIT DROP AS
    SELECT 'crm-' || n AS external_id, s.key AS stage,
           timestamptz '2026-01-01' + n * interval '1 day' + s.position * interval '1 hour' AS entered_at
    FROM generate_series(1, 300) AS n, crm_deals.stage AS s
    WHERE s.position <= 4;
    SELECT count(*) FILTER (WHERE i.outcome = outcome)
    INTO imported
    FROM crm_deals.import_deals('source', history => 'history', dry_run => dry_run) AS i;
    DROP TABLE source, history;
    RETURN format('%s %s, %s scans', imported, outcome,
                  pg_stat_get_xact_numscans('crm_deals.deal_board'::regclass) - scans_before);
END
$$;

BEGIN;
SELECT is(t.import_scans('created'), '300 created, 0 scans', 'a table that was never analysed');
SELECT is(t.import_scans('updated'), '300 updated, 0 scans', 'again in the same transaction');
ROLLBACK;

-- The rolled-back rows still fill pages.
ANALYZE crm_deals.deal, crm_deals.deal_event;
SELECT is((SELECT c.relpages > 0 AND c.reltuples = 0 FROM pg_class AS c WHERE c.oid = 'crm_deals.deal'::regclass), true,
            'statistics say that a table with pages is empty');
BEGIN;
SELECT is(t.import_scans('created', true), '300 created, 0 scans', 'a rehearsal after a rolled-back import');
SELECT is(t.import_scans('created'), '300 created, 0 scans', 'an import after a rehearsal');
COMMIT;

DELETE FROM crm_deals.deal;
ANALYZE crm_deals.deal, crm_deals.deal_event;
BEGIN;
SELECT is(t.import_scans('created'), '300 created, 0 scans', 'a table that was analysed after a DELETE');
SELECT is(t.import_scans('updated'), '300 updated, 0 scans', 'the statistics are still those of the empty table');
COMMIT;

SELECT * FROM finish();
