\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: limits are met exactly.
SET crm_deals.notify = off;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT t.new_deals('d', 5, 'lead') AS none \gset

-- notify_limit: what a transaction leaves to the dispatcher. It is rolled back, so that no dispatcher starts. What a
-- savepoint took back does not count, what one released does.
CREATE FUNCTION t.win(VARIADIC deals text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = ANY (deals)
$$;
CREATE FUNCTION t.marks() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(d.name || ' ' || coalesce(e.dispatch, '-'), ', ' ORDER BY e.id), 'none')
    FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.kind <> 'created'
$$;
SET crm_deals.notify = dispatch;
BEGIN;
SAVEPOINT a;
SELECT t.win('d1', 'd2') AS none, set_config('crm_deals.notify_limit', '2', true) AS none \gset
SELECT t.marks() AS at_limit \gset
SELECT t.win('d3') AS none \gset
SELECT t.marks() AS above \gset
SELECT t.win('d4') AS none \gset
SELECT t.marks() AS two_above \gset
ROLLBACK TO a;
SELECT set_config('crm_deals.notify_limit', '2', true) AS none, t.win('d1') AS none \gset
SAVEPOINT b;
SELECT t.win('d2') AS none \gset
RELEASE b;
SELECT t.win('d3', 'd4') AS none \gset
SELECT t.marks() AS released \gset
SAVEPOINT c;
SELECT t.win('d5') AS none \gset
RELEASE c;
SELECT t.marks() AS counted \gset
ROLLBACK TO a;
SELECT set_config('crm_deals.notify_limit', '1', true) AS none, t.win('d1') AS none \gset
SAVEPOINT d;
SELECT t.win('d2') AS none \gset
ROLLBACK TO d;
SELECT t.win('d3') AS none \gset
SELECT t.win('d4') AS none \gset
SELECT t.marks() AS taken_back \gset
ROLLBACK TO a;
SELECT set_config('crm_deals.notify_limit', '1', true) AS none, t.win('d1') AS none \gset
SAVEPOINT e;
SELECT t.win('d2') AS none \gset
RELEASE e;
SELECT t.win('d3') AS none \gset
SELECT t.marks() AS begun \gset
ROLLBACK TO a;
SELECT set_config('crm_deals.notify_limit', '0', true) AS none, t.win('d1', 'd2') AS none \gset
SELECT t.marks() AS nought \gset
ROLLBACK TO a;
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT t.win('d1') AS none \gset
SELECT t.marks() AS secured \gset
ROLLBACK;
SET crm_deals.notify = off;
SELECT is(v.have, v.want, 'section 5: notify_limit: ' || v.what)
FROM (VALUES (1, :'at_limit', 'd1 full, d2 full', 'at the limit each by itself'),
             (2, :'above', 'd1 full, d2 full, d3 summary', 'one above: a summary'),
             (3, :'two_above', 'd1 full, d2 full, d3 summary, d4 counted', 'two above: counted in it'),
             (4, :'released', 'd1 full, d2 full, d3 summary, d4 counted', 'what a savepoint released counts'),
             (5, :'counted', 'd1 full, d2 full, d3 summary, d4 counted, d5 counted', 'and is counted in the summary'),
             (6, :'taken_back', 'd1 full, d3 summary, d4 counted', 'what a savepoint took back does not count'),
             (7, :'begun', 'd1 full, d2 summary, d3 counted', 'a summary that a savepoint began is the only one'),
             (8, :'nought', 'd1 summary, d2 counted', 'none by itself if the limit is 0'),
             (9, :'secured', 'd1 ids', 'ids while row security is on')) AS v (place, have, want, what)
ORDER BY v.place;

-- read_events(max_events): as many as there are, one fewer, one more
SELECT crm_deals.subscribe('erp', from_start => true) AS none \gset
SELECT is((SELECT count(*) FROM crm_deals.deal_event), 5::bigint, '(five events)');
SELECT is(t.after('SELECT 1', format('SELECT count(*) FROM crm_deals.read_events(''erp'', %s)', v.most)), v.wanted,
          'section 5: read_events of at most ' || v.most)
FROM (VALUES (1, '1'), (4, '4'), (5, '5'), (6, '5')) AS v (most, wanted);
SELECT is(t.try(format('SELECT crm_deals.read_events(''erp'', %s)', v.most)), '22023',
          'section 5: read_events of at most ' || v.most)
FROM (VALUES ('0'), ('-1')) AS v (most);
CREATE FUNCTION t.batches(most integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    batch text;
    last bigint;
    result text[] := '{}';
BEGIN
    LOOP
        SELECT string_agg(d.name, ' ' ORDER BY r.id), max(r.id) INTO batch, last
        FROM crm_deals.read_events('erp', most) AS r JOIN crm_deals.deal AS d ON d.id = r.deal_id;
        result := result || coalesce(batch, 'end');
        EXIT WHEN batch IS NULL OR cardinality(result) > 9;
        PERFORM crm_deals.ack_events('erp', last);
    END LOOP;
    RETURN array_to_string(result, ', ');
END
$$;
SELECT is(t.after('SELECT 1', format('SELECT t.batches(%s)', v.most)), v.wanted, 'section 5: batches of ' || v.most)
FROM (VALUES (1, 'd1, d2, d3, d4, d5, end'), (2, 'd1 d2, d3 d4, d5, end'), (4, 'd1 d2 d3 d4, d5, end'),
             (5, 'd1 d2 d3 d4 d5, end'), (6, 'd1 d2 d3 d4 d5, end')) AS v (most, wanted);
-- ack_events: that event and those before it, and no other; what is left comes again, and fills the batch
SELECT is(t.after(format('SELECT * FROM crm_deals.read_events(''erp'', 4);
                          SELECT crm_deals.ack_events(''erp'', (SELECT min(id) + %s FROM crm_deals.deal_event))',
                         v.place),
                  'SELECT string_agg(d.name, '' '' ORDER BY r.id)
                   FROM crm_deals.read_events(''erp'', 3) AS r JOIN crm_deals.deal AS d ON d.id = r.deal_id'),
          v.wanted, format('section 5: four read, the first %s acknowledged, three read', v.place + 1))
FROM (VALUES (0, 'd2 d3 d4'), (1, 'd3 d4 d5'), (2, 'd4 d5'), (3, 'd5')) AS v (place, wanted);

-- prune_events(before): the moment itself stays, the microsecond before it goes; so it is with the horizon.
SELECT crm_deals.unsubscribe('erp') AS none \gset
UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1';
UPDATE crm_deals.deal SET amount = 2 WHERE name = 'd1';
SELECT occurred_at AS first FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 1 \gset
SELECT occurred_at AS second FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 2 \gset
SELECT is(t.after('SELECT 1', format('SELECT crm_deals.prune_events(%L::timestamptz + %L)', v.at, v.plus)), v.wanted,
          'section 5: prune_events: ' || v.what)
FROM (VALUES (:'first', '0', '0', 'at the moment of the first event'),
             (:'first', '1 microsecond', '1', 'just after it'),
             (:'second', '-1 microsecond', '1', 'just before the second'), (:'second', '0', '1', 'at the second'),
             (:'second', '1 microsecond', '2', 'just after it')) AS v (at, plus, wanted, what);
SELECT is(t.try('SELECT crm_deals.prune_events(now())'), 'done',
          'section 5: prune_events: now is no moment of the future');
SELECT is(t.try('SELECT crm_deals.prune_events(now() + interval ''1 microsecond'')'), '22023',
          'section 5: prune_events: a microsecond later is one');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
