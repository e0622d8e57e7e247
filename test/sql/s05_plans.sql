\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: how much is read for a batch depends on the batch and not on the log. The test looks at the plans and
-- counts the rows that they read. A log of two hundred thousand events, a thousand in each transaction.
ALTER TABLE crm_deals.deal_event DISABLE TRIGGER USER;
INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name,
                                  pipeline_id, from_stage_id, to_stage_id, from_status, status, changes, transaction)
OVERRIDING SYSTEM VALUE
SELECT n, n, n % 20000 + 1, n / 20000 + 1,
       CASE WHEN n < 20000 THEN 'created' WHEN n % 100 = 0 THEN 'won' ELSE 'updated' END,
       '2020-01-01'::timestamptz + n * interval '1 s', 'x', 'x', 1,
       CASE WHEN n >= 20000 THEN 1 END, CASE WHEN n % 100 = 0 THEN 5 ELSE 1 END,
       CASE WHEN n >= 20000 THEN 'open'::crm_deals.deal_status END,
       CASE WHEN n % 100 = 0 THEN 'won' ELSE 'open' END::crm_deals.deal_status,
       '{"amount": [1, 2]}', (3 + n / 1000)::text::xid8
FROM generate_series(0, 199999) AS n;
ALTER TABLE crm_deals.deal_event ENABLE TRIGGER USER;
SELECT setval(pg_get_serial_sequence('crm_deals.deal_event', 'id'), 200000) AS none \gset
VACUUM (ANALYZE) crm_deals.deal_event;

-- The plan of a function's query as it runs: its parameters unknown, its settings in force.
CREATE FUNCTION t.plan(function text, arguments text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    called pg_proc;
    body text;
    setting text;
    line text;
    result text := '';
BEGIN
    SELECT * INTO STRICT called FROM pg_proc
    WHERE proname = function AND pronamespace = 'crm_deals_internal'::regnamespace;
    body := coalesce(substring(called.prosrc FROM 'RETURN QUERY(.*?);'), called.prosrc);
    FOR n IN REVERSE called.pronargs .. 1 LOOP
        body := replace(body, format('%s.%s', function, called.proargnames[n]), '$' || n);
    END LOOP;
    body := regexp_replace(body, '(\$\d+)(_id)', '\1', 'g');
    PERFORM set_config(split_part(s, '=', 1), split_part(s, '=', 2), true) FROM unnest(called.proconfig) AS s;
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    EXECUTE format('PREPARE t_plan (%s) AS %s',
                   (SELECT string_agg(format_type(a, NULL), ', ' ORDER BY place)
                    FROM unnest(called.proargtypes::oid[]) WITH ORDINALITY AS u (a, place)),
                   body);
    FOR line IN EXECUTE format('EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF, FORMAT JSON) EXECUTE t_plan (%s)',
                               arguments) LOOP
        result := result || line;
    END LOOP;
    DEALLOCATE t_plan;
    PERFORM set_config('search_path', 'public', true);
    RETURN result;
END
$$;
CREATE FUNCTION t.nodes(plan jsonb) RETURNS TABLE (node text, relation text, index text, rows bigint) LANGUAGE sql AS $$
    WITH RECURSIVE n (j) AS (
        SELECT plan -> 0 -> 'Plan'
        UNION ALL
        SELECT c FROM n, jsonb_array_elements(n.j -> 'Plans') AS c
    )
    SELECT j ->> 'Node Type', j ->> 'Relation Name', j ->> 'Index Name',
           (j ->> 'Actual Loops')::bigint * ((j ->> 'Actual Rows')::numeric
                                             + coalesce((j ->> 'Rows Removed by Filter')::numeric, 0)
                                             + coalesce((j ->> 'Rows Removed by Index Recheck')::numeric, 0))::bigint
    FROM n
$$;
-- The scans of the log: by which index, and how many rows they read in all.
CREATE FUNCTION t.scans(function text, arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT concat(n.node, ' ', n.index), ', ') || ': ' || sum(n.rows)
    FROM t.nodes(t.plan(function, arguments)) AS n WHERE n.relation = 'deal_event'
$$;
CREATE FUNCTION t.between(kinds text, seen text, seen_id bigint, delivered_id bigint, most bigint)
RETURNS text LANGUAGE sql AS $$
    SELECT t.scans('events_between',
                   format('%L, %L, false, %L, %s, %L, 199999, %s, %s', 'c', kinds, seen, seen_id, '203:203:',
                          delivered_id, most))
$$;
-- What a read is made of: the primary key from the place on, and (transaction, id) for those that were running.
SELECT is(t.between(NULL, v.seen, v.seen_id, v.delivered_id, v.most), v.scans, 'section 5: ' || v.what)
FROM (VALUES ('a hundred from the start of the log', '1:1:', -1, -1, 100,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 100'),
             ('a thousand from the start of the log', '1:1:', -1, -1, 1000,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 1000'),
             ('a thousand in the middle of it', '1:1:', -1, 100000, 1000,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 1000'),
             ('a hundred at its end', '202:202:', 198999, 0, 100,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 100'),
             ('more than there are', '202:202:', 198999, 0, 5000,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 1000'),
             ('nothing new', '203:203:', 199999, 0, 1000,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 0'),
             ('a hundred of one that was running, early in the log', '202:203:202', 199999, 0, 100,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 100'),
             ('a thousand of three that were running', '50:203:50,120,121', 199999, 0, 1000,
              'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 3000'))
         AS v (what, seen, seen_id, delivered_id, most, scans);
SELECT is(t.between('{won}', '1:1:', -1, 0, 10), 'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 1000',
          'section 5: ten won ones among a thousand: those in between are read, none beyond');
SELECT is(t.scans('events_between', $$'c', NULL, false, '50:203:50,120,121', 199999, '203:203:', 199999, 0, 1000$$),
          'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 3000',
          'section 5: of transactions that were running, the batch of each');
SELECT is(t.scans('events_between', $$'c', NULL, false, '50:203:50,120,121', 199999, '50:203:50', 199999, 0, 1000$$),
          'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 2000',
          'section 5: one that is running still is not read');
-- A log that came in one large transaction, as an import's, and a small one that was running
BEGIN;
ALTER TABLE crm_deals.deal_event DISABLE TRIGGER USER;
UPDATE crm_deals.deal_event SET transaction = '3' WHERE id < 199000;
ANALYZE crm_deals.deal_event;
SELECT is(t.between(NULL, '202:203:202', 199999, 0, 5000),
          'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 1000',
          'section 5: of a small transaction that was running, none of the large one before it');
SELECT is(t.between(NULL, '202:203:202', 199999, 199499, 5000),
          'Index Scan deal_event_pkey, Index Scan deal_event_transaction: 500', 'section 5: and from the place on');
ROLLBACK;
-- The whole call, by the counters of the log
SELECT crm_deals.subscribe('c', from_start => true), crm_deals.subscribe('now') \gset none_
-- Rows of the log that a call reads, 'all' where it scans the whole of it.
CREATE FUNCTION t.reads(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    none bigint;
    was record;
    new record;
BEGIN
    SELECT * INTO was FROM pg_stat_xact_all_tables WHERE relid = 'crm_deals.deal_event'::regclass;
    EXECUTE query INTO none;
    SELECT * INTO new FROM pg_stat_xact_all_tables WHERE relid = 'crm_deals.deal_event'::regclass;
    RETURN CASE WHEN new.seq_scan > was.seq_scan THEN 'all' ELSE (new.idx_tup_fetch - was.idx_tup_fetch)::text END;
END
$$;
SELECT t.reads('SELECT count(*) FROM crm_deals.read_events(''c'', 100)') AS first,
       t.reads('SELECT crm_deals.ack_events(''c'', 99)') AS ack \gset
SELECT cmp_ok(:'first'::integer, '<=', 1400,
              'section 5: a hundred at the start: they, and the later ones of their deals');
SELECT is(:'ack'::text, '0', 'section 5: to acknowledge them reads nothing');
UPDATE crm_deals.event_consumer SET delivered_id = 180000 WHERE consumer = 'c';
SELECT t.reads('SELECT count(*) FROM crm_deals.read_events(''c'', 100)') AS late \gset
SELECT cmp_ok(:'late'::integer, '<=', 300,
              'section 5: a hundred near the end: no more for two hundred thousand before them');
SELECT cmp_ok(t.reads('SELECT count(*) FROM crm_deals.read_events(''now'', 100)')::integer, '<=', 3,
              'section 5: one that finds nothing reads nothing');
INSERT INTO crm_deals.deal (id, name) VALUES (500001, 'new');
SELECT cmp_ok(t.reads('SELECT count(*) FROM crm_deals.read_events(''now'', 100)')::integer, '<=', 10,
              'section 5: one that finds one event reads that');
SELECT cmp_ok(t.reads('SELECT pending FROM crm_deals.consumer_status WHERE consumer = ''now''')::integer, '<=', 10,
              'section 3: consumer_status: what is pending is read, not the log');

SELECT * FROM finish();
