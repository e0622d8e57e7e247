\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: the past as a pruned log, an imported history, an undo and a restored deal tell it.
CREATE TABLE t.copy (at timestamptz, id bigint, "row" jsonb);
CREATE FUNCTION t.take_copy() RETURNS void LANGUAGE sql AS $$
    WITH m AS MATERIALIZED (SELECT clock_timestamp() AS at)
    INSERT INTO t.copy SELECT m.at, d.id, to_jsonb(d) FROM m, crm_deals.deal AS d
$$;
-- The differences between deals_as_of() and the copies, at the moment of each copy.
CREATE FUNCTION t.differing() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
    FROM (SELECT DISTINCT at FROM t.copy) AS m,
         LATERAL (SELECT coalesce(p.id, c.id) AS id, to_jsonb(p) AS past, c."row"
                  FROM crm_deals.deals_as_of(m.at) AS p
                  FULL JOIN (SELECT c.id, c."row" FROM t.copy AS c WHERE c.at = m.at) AS c ON c.id = p.id) AS both_sides
    WHERE past IS NULL OR "row" IS NULL
       OR EXISTS (SELECT FROM jsonb_each(past) AS e WHERE e.value IS DISTINCT FROM "row" -> e.key)
$$;
SELECT t.new_deals('d', 5, 'lead'), t.take_copy() \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('qualified'), amount = 5, custom_fields = '{"a": 1}'
WHERE name IN ('d1', 'd2', 'd3');
SELECT t.take_copy() AS none \gset
DELETE FROM crm_deals.deal WHERE name = 'd1';
SELECT t.take_copy() AS none, clock_timestamp() AS horizon, max(at) AS before_horizon FROM t.copy \gset
UPDATE crm_deals.deal SET stage_id = t.stage('won'), name = name || '!' WHERE name IN ('d2', 'd4');
SELECT t.take_copy() AS none \gset
SELECT outcome FROM crm_deals.undo_batch((SELECT batch_id FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1))
WHERE false;
SELECT is((SELECT string_agg(outcome, ' ')
           FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event WHERE kind = 'won'))),
          'reverted reverted', 'an undo');
SELECT t.take_copy() AS none \gset
SELECT is(crm_deals.restore_deal((SELECT deal_id FROM crm_deals.deal_event WHERE kind = 'deleted')) > 0, true,
          'a restored deal');
SELECT t.take_copy() AS none \gset
SELECT is(crm_deals.merge_deals(t.deal('d3'), t.deal('d5')), t.deal('d3'), 'a merge');
SELECT t.take_copy() AS none \gset
SELECT is(t.differing(), 0::bigint, 'deals_as_of: as the copies say, through undo, deletion, restore and merge');
-- Pruned
SELECT is(crm_deals.prune_events(:'horizon') > 0, true, 'prune_events removes something');
DELETE FROM t.copy WHERE at < :'horizon';
SELECT is((SELECT count(DISTINCT at) FROM t.copy), 4::bigint, 'copies after the horizon');
SELECT is(t.differing(), 0::bigint, 'section 11: what as-of needs after the horizon is kept');
SELECT is(t.try(format('SELECT * FROM crm_deals.deals_as_of(%L)', :'before_horizon')), '22023',
          'section 7: a moment before the horizon is an error');
SELECT is(t.try(format('SELECT * FROM crm_deals.forecast(as_of => %L)', :'before_horizon')), '22023',
          'section 7: of forecast, too');
SELECT is(t.get(format('SELECT count(*) FROM crm_deals.deals_as_of(%L)', :'horizon')), '4',
          'the horizon itself is not');
-- An imported history
CREATE TEMPORARY TABLE source (external_id text, name text, stage text, created_at timestamptz);
INSERT INTO source VALUES ('h', 'history', 'won', '2020-01-01');
CREATE TEMPORARY TABLE history (external_id text, stage text, entered_at timestamptz, amount numeric);
INSERT INTO history
VALUES ('h', 'lead', '2020-01-01 12:00Z', 1), ('h', 'proposal', '2020-02-01 12:00Z', 2),
       ('h', 'won', '2020-03-01 12:00Z', 3);
SELECT is((SELECT outcome FROM crm_deals.import_deals('source', 'history')), 'created',
          'section 8: a history is imported');
SELECT is((SELECT string_agg(stage_key || ' ' || (entered_at AT TIME ZONE 'UTC')::date::text
                             || coalesce(' ' || (left_at AT TIME ZONE 'UTC')::date::text, ''),
                             ', ' ORDER BY entered_at)
           FROM crm_deals.deal_stage_history WHERE deal_id = t.deal('history')),
          (SELECT concat_ws(', ', 'lead ' || a::text || ' ' || b::text, 'proposal ' || b::text || ' ' || c::text,
                            'won ' || c::text)
           FROM (VALUES (date '2020-01-01', date '2020-02-01', date '2020-03-01')) AS v (a, b, c)),
          'section 8: deal_stage_history shows it');
TRUNCATE crm_deals.log_pruning;    -- as if nothing had been
SELECT is((SELECT string_agg(concat_ws(' ', s.key, p.status, p.amount, p.version), ', ' ORDER BY m.at)
           FROM (VALUES (timestamptz '2019-12-01Z'), ('2020-01-15Z'), ('2020-02-15Z'), ('2020-03-15Z')) AS m (at),
                LATERAL crm_deals.deals_as_of(m.at) AS p
           JOIN crm_deals.stage AS s ON s.id = p.stage_id WHERE p.name = 'history'),
          'lead open 1 1, proposal open 2 2, won won 3 3', 'section 8: deals_as_of shows it');
SELECT is_empty('SELECT * FROM crm_deals.verify() WHERE deal_id = t.deal(''history'')', 'verify() agrees');

SELECT * FROM finish();
