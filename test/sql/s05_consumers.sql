\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5, "Consumers": subscribing, reading, acknowledging.
SELECT crm_deals.create_pipeline(
    'P',
    '[{"name": "A"}, {"name": "B", "probability": 20}, {"name": "Won", "key": "w", "status": "won"}, '
    '{"name": "Paid", "key": "w2", "status": "won"}, {"name": "Lost", "key": "l", "status": "lost"}, '
    '{"name": "Silent", "key": "s", "status": "abandoned"}]') AS p \gset
-- What a call of read_events() delivers, in its order.
CREATE FUNCTION t.read(consumer text, most integer DEFAULT 100, lease interval DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(concat(r.payload ->> 'deal_name', ' ', r.kind), ', ' ORDER BY r.place)
            FROM crm_deals.read_events(consumer, most, lease) WITH ORDINALITY
                     AS r (id, deal_id, kind, occurred_at, payload, place));
END
$$;
-- The id of an event.
CREATE FUNCTION t.event_id(wanted_name text, wanted_version integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT e.id FROM crm_deals.deal_event AS e
            WHERE e.deal_id = t.deal(wanted_name) AND e.version = wanted_version);
END
$$;
CREATE FUNCTION t.ack(consumer text, wanted_name text, wanted_version integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN crm_deals.ack_events(consumer, t.event_id(wanted_name, wanted_version));
END
$$;
-- Reads and acknowledges until nothing comes.
CREATE FUNCTION t.drain(wanted text, most integer DEFAULT 100) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    batch bigint[];
    result bigint[] := '{}';
BEGIN
    LOOP
        batch := ARRAY(SELECT r.id
                       FROM crm_deals.read_events(wanted, most) WITH ORDINALITY
                                AS r (id, deal_id, kind, occurred_at, payload, place)
                       ORDER BY r.place);
        EXIT WHEN batch = '{}';
        result := result || batch;
        PERFORM crm_deals.ack_events(wanted, batch[cardinality(batch)]);
    END LOOP;
    RETURN result;
END
$$;

-- A listener that was away misses nothing: where a consumer starts
INSERT INTO crm_deals.deal (name) VALUES ('before 1'), ('before 2');
SELECT is(crm_deals.subscribe('late')::text, '', 'section 5: subscribe() returns nothing');
SELECT crm_deals.subscribe('early', from_start => true) AS none \gset
SELECT is(t.read('late'), NULL, 'section 5: a new consumer starts now');
SELECT is(t.read('early'), 'before 1 created, before 2 created', 'section 5: from_start: at the start of the log');
INSERT INTO crm_deals.deal (name) VALUES ('after');
SELECT is(t.read('late'), 'after created', 'section 5: what comes is delivered');
SELECT is(t.read('early'), 'before 1 created, before 2 created, after created',
          'section 5: unacknowledged events come again, before new ones');

-- ack_events() acknowledges that event and all delivered before it.
SELECT is(t.ack('early', 'before 2', 1), 2::bigint, 'section 5: that event and all delivered before it');
SELECT is(t.ack('early', 'before 2', 1), 0::bigint, 'section 5: what is acknowledged already counts nothing');
SELECT is(t.ack('early', 'before 1', 1), 0::bigint, 'section 5: nor does one before it');
SELECT is(t.read('early'), 'after created', 'section 5: the others come again');
SELECT is(t.read('early'), 'after created', 'section 5: and again');
SELECT is(t.ack('late', 'before 1', 1), 0::bigint, 'section 5: an event that was not delivered is not acknowledged');
SELECT is(crm_deals.ack_events('late', 999999), 0::bigint, 'section 5: nor one that does not exist');
SELECT is(crm_deals.ack_events('late', NULL), 0::bigint, 'section 5: nor NULL');
SELECT is(t.read('late'), 'after created', 'section 5: which changed nothing');
SELECT is(t.ack('late', 'after', 1) + t.ack('early', 'after', 1), 2::bigint,
          'section 5: consumers do not share a place');
SELECT is(t.read('late') IS NULL AND t.read('early') IS NULL, true,
          'section 5: what all was acknowledged does not come');
-- An event that the consumer has not read yet is not acknowledged by one after it.
INSERT INTO crm_deals.deal (name) VALUES ('n1'), ('n2'), ('n3'), ('n4'), ('n5');
SELECT is(t.ack('late', 'n5', 1), 0::bigint, 'section 5: one that waits cannot be acknowledged before it is read');

-- max_events
SELECT is(t.read('late', 2), 'n1 created, n2 created', 'section 5: max_events bounds a batch');
SELECT is(t.read('late', 1), 'n1 created', 'section 5: max_events bounds what comes again');
SELECT is(t.read('late', 3), 'n1 created, n2 created, n3 created', 'section 5: what comes again counts in it');
SELECT is(t.ack('late', 'n1', 1), 1::bigint, 'section 5: in parts');
INSERT INTO crm_deals.deal (name) VALUES ('n6');
SELECT is(t.read('late', 4), 'n2 created, n3 created, n4 created, n5 created',
          'section 5: the rest before what is new');
SELECT is(t.ack('late', 'n5', 1), 4::bigint, 'section 5: of several batches at once');
SELECT is(t.read('late', 2147483647), 'n6 created', 'section 5: max_events as large as can be');
SELECT is(t.ack('late', 'n6', 1), 1::bigint, 'section 5: to the end');
UPDATE crm_deals.deal SET amount = 1;
UPDATE crm_deals.deal SET amount = 2;
SELECT is(cardinality(t.drain('late', 1)), 18, 'section 5: one by one: all of them');
SELECT is(cardinality(t.drain('early', 7)), 24, 'section 5: seven by seven: all of them');
SELECT is(t.read('late') IS NULL AND t.read('early') IS NULL, true, 'section 5: and none twice');

-- The caller's own uncommitted events are not delivered, and not lost.
BEGIN;
INSERT INTO crm_deals.deal (name) VALUES ('own');
SELECT is(t.read('late'), NULL, 'section 5: none is seen before it is committed, the own ones neither');
INSERT INTO crm_deals.deal (name) VALUES ('own too');
SELECT is(t.read('late'), NULL, 'section 5: a second look finds none, either');
COMMIT;
SELECT is(t.read('late'), 'own created, own too created', 'section 5: after the commit they come');
BEGIN;
SAVEPOINT a;
UPDATE crm_deals.deal SET amount = 3 WHERE name = 'own';
ROLLBACK TO a;
SAVEPOINT b;
UPDATE crm_deals.deal SET amount = 4 WHERE name = 'own';
SELECT is(t.read('late'), 'own created, own too created', 'section 5: in a savepoint neither');
RELEASE b;
COMMIT;
SELECT is(t.read('late'), 'own created, own too created, own updated',
          'section 5: what a savepoint took back never comes, the rest does');
SELECT is(cardinality(t.drain('late')), 3, 'section 5: acknowledged');
-- A read that is rolled back does not count. Without a lease it holds nothing afterwards.
UPDATE crm_deals.deal SET amount = 5 WHERE name = 'own';
BEGIN;
SELECT is(t.read('late'), 'own updated', 'section 5: a batch in a transaction');
SELECT is(t.ack('late', 'own', 3), 1::bigint, 'section 5: acknowledged there');
SELECT is(t.read('late'), NULL, 'section 5: does not come again there');
ROLLBACK;
SELECT is(t.read('late'), 'own updated',
          'section 5: an acknowledgement that is rolled back was none: the event comes again');
BEGIN;
SAVEPOINT a;
SELECT is(t.ack('late', 'own', 3), 1::bigint, 'section 5: acknowledged in a savepoint');
ROLLBACK TO a;
COMMIT;
SELECT is(t.read('late'), 'own updated', 'section 5: that is rolled back: it comes again');
-- Within one transaction a batch is its own.
BEGIN;
SELECT is(t.read('late') || '; ' || t.read('late'), 'own updated; own updated',
          'section 5: the reading transaction may read it again');
COMMIT;

-- Leases
SELECT is(t.read('late', 100, '1 hour'), 'own updated', 'section 5: a batch with a lease');
SELECT is(t.read('late'), NULL, 'section 5: until acknowledged or expired it is that call''s: no rows');
SELECT is(t.read('late', 1, '1 second'), NULL, 'section 5: with another lease neither');
UPDATE crm_deals.deal SET amount = 6 WHERE name = 'own';
SELECT is(t.read('late'), NULL, 'section 5: what is new waits, too');
SELECT is(t.ack('late', 'own', 3), 1::bigint, 'section 5: to acknowledge it ends the lease');
SELECT is(t.read('late', 100, '1 hour'), 'own updated', 'section 5: the next batch comes, with a lease of its own');
SELECT is(t.read('late'), NULL, 'section 5: held');
SELECT ok((SELECT leased_until BETWEEN clock_timestamp() + interval '30 min' AND clock_timestamp() + interval '1 hour'
           FROM crm_deals.event_consumer WHERE consumer = 'late'), 'section 5: for as long as it was asked for');
-- An hour passes.
UPDATE crm_deals.event_consumer SET leased_until = leased_until - interval '1 hour' WHERE consumer = 'late';
SELECT is(t.read('late'), 'own updated', 'section 5: expired: unacknowledged events come again');
UPDATE crm_deals.deal SET amount = 7 WHERE name = 'own';
UPDATE crm_deals.deal SET amount = 7 WHERE name = 'own too';
SELECT is(t.read('late', 3, '1 hour'), 'own updated, own updated, own too updated', 'section 5: a lease of three');
SELECT is(t.ack('late', 'own', 5), 2::bigint, 'section 5: two of them acknowledged');
SELECT is(t.read('late'), NULL, 'section 5: the third is leased still');
SELECT is(t.ack('late', 'own too', 2), 1::bigint, 'section 5: the last one');
SELECT is(t.read('late', 100, '1 hour'), NULL, 'section 5: an empty batch');
UPDATE crm_deals.deal SET amount = 8 WHERE name = 'own';
SELECT is(t.read('late'), 'own updated', 'section 5: has no lease: what comes is delivered at once');
SELECT is(cardinality(t.drain('late')) , 1, 'section 5: acknowledged');
-- A lease ends when its own events are acknowledged, even if others are not.
INSERT INTO crm_deals.deal (name) VALUES ('l1'), ('l2'), ('l3'), ('l4');
SELECT is(t.read('late'), 'l1 created, l2 created, l3 created, l4 created', 'section 5: four delivered');
SELECT is(t.read('late', 2, '1 hour'), 'l1 created, l2 created', 'section 5: two of them leased');
SELECT is(t.read('late'), NULL, 'section 5: held');
SELECT is(t.ack('late', 'l2', 1), 2::bigint, 'section 5: both acknowledged');
SELECT is(t.read('late'), 'l3 created, l4 created', 'section 5: the others were not leased: they come at once');
SELECT is(cardinality(t.drain('late')), 2, 'section 5: acknowledged');
-- A lease outlives its transaction. If the transaction rolls back, the lease is gone together with the read.
UPDATE crm_deals.deal SET amount = 9 WHERE name = 'own';
BEGIN;
SELECT is(t.read('late', 100, '1 hour'), 'own updated', 'section 5: leased in a transaction');
ROLLBACK;
SELECT is(t.read('late'), 'own updated', 'section 5: that is rolled back: nobody has it');
SELECT cardinality(t.drain('late') || t.drain('early')) AS none \gset

-- Kinds by meaning
SELECT crm_deals.subscribe(kind, ARRAY[kind]) AS none
FROM unnest('{created,stage_changed,won,lost,abandoned,reopened,updated,deleted,merged,redacted,reverted}'::text[])
         AS kind
\g /dev/null
SELECT crm_deals.subscribe('closed', '{won,lost,abandoned}'), crm_deals.subscribe('all'),
       crm_deals.subscribe(
           'all by name',
           '{created,stage_changed,won,lost,abandoned,reopened,updated,deleted,merged,redacted,reverted}') \gset none_
CREATE FUNCTION t.move(stage_key text) RETURNS void LANGUAGE sql AS $$
    UPDATE crm_deals.deal SET stage_id = t.stage(stage_key, 'P'), lost_reason = CASE stage_key WHEN 'l' THEN 'price' END
    WHERE name = 'k';
$$;
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('k', :p);
SELECT t.move('b') AS none \gset
SELECT t.move('w') AS none \gset
SELECT t.move('w2') AS none \gset
SELECT t.move('l') AS none \gset
SELECT t.move('s') AS none \gset
SELECT t.move('a') AS none \gset
UPDATE crm_deals.deal SET amount = 1 WHERE name = 'k';
SELECT t.move('w') AS none \gset
DELETE FROM crm_deals.deal WHERE name = 'k';
INSERT INTO crm_deals.deal (name, stage_id, lost_reason)
SELECT 'born ' || v.key, t.stage(v.key, 'P'), CASE v.key WHEN 'l' THEN 'price' END
FROM (VALUES ('w'), ('l'), ('s')) AS v (key);
UPDATE crm_deals.stage SET status = 'open' WHERE id = t.stage('w2', 'P');
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('by stage', t.stage('w2', 'P'));
UPDATE crm_deals.stage SET status = 'won' WHERE id = t.stage('w2', 'P');
SELECT is(t.read(v.kind), v.events, 'section 5: a consumer of ' || v.kind)
FROM (VALUES ('created', 'k created, born w created, born l created, born s created, by stage created'),
             ('stage_changed', 'k stage_changed, k won, k stage_changed, k lost, k abandoned, k reopened, k won'),
             ('won', 'k won, k won, born w created, by stage won'),
             ('lost', 'k lost, born l created'),
             ('abandoned', 'k abandoned, born s created'),
             ('reopened', 'k reopened'),
             ('updated', 'k updated'),
             ('deleted', 'k deleted'),
             ('merged', NULL), ('redacted', NULL), ('reverted', NULL),
             ('closed',
              'k won, k lost, k abandoned, k won, born w created, born l created, born s created, by stage won'),
             ('all',
              'k created, k stage_changed, k won, k stage_changed, k lost, k abandoned, k reopened, k updated, k won, '
              'k deleted, born w created, born l created, born s created, by stage created, '
              'by stage won')) AS v (kind, events);
SELECT is(t.read('all by name'), t.read('all'), 'section 5: all kinds by name are all');
-- Undo, merge and redaction write events of their own kinds. Consumers also get them by what they mean.
SELECT crm_deals.ack_events(c.consumer, c.unacked[cardinality(c.unacked)]) AS none FROM crm_deals.event_consumer AS c
WHERE c.unacked <> '{}'
\g /dev/null
INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, pipeline_id,
                                  from_stage_id, to_stage_id, from_status, status, changes, transaction)
SELECT 1, -1, v.version, v.kind, now(), 'x', 'x', :p, t.stage(v.f, 'P'), t.stage(v.t, 'P'), v.fs::crm_deals.deal_status,
       v.ts::crm_deals.deal_status, '{}',
       (SELECT (max(transaction::text::bigint) >> 48 << 48) + pg_current_xact_id()::text::bigint
        FROM crm_deals.deal_event)::text::xid8
FROM (VALUES (2, 'reverted', 'w', 'b', 'won', 'open'), (3, 'reverted', 'b', 'w', 'open', 'won'),
             (4, 'reverted', 'w', 'w', 'won', 'won'), (5, 'reverted', 'w', 'l', 'won', 'lost'),
             (6, 'redacted', 'l', 'l', 'lost', 'lost'), (7, 'merged', 'l', NULL, 'lost', NULL))
         AS v (version, kind, f, t, fs, ts)
ORDER BY v.version;
SELECT is((SELECT string_agg((SELECT e.version::text FROM crm_deals.deal_event AS e WHERE e.id = r.id),
                             ' ' ORDER BY r.place)
           FROM crm_deals.read_events(v.kind) WITH ORDINALITY AS r (id, deal_id, kind, occurred_at, payload, place)),
          v.versions, 'section 5: by meaning: ' || v.kind)
FROM (VALUES ('reverted', '2 3 4 5'), ('stage_changed', '2 3 5'), ('won', '3'), ('lost', '5'), ('reopened', '2'),
             ('abandoned', NULL), ('redacted', '6'), ('merged', '7'), ('updated', NULL), ('created', NULL),
             ('deleted', NULL), ('all', '2 3 4 5 6 7')) AS v (kind, versions);
SET crm_deals.allow_truncate = on;
TRUNCATE crm_deals.deal_event, crm_deals.deal CASCADE;
RESET crm_deals.allow_truncate;
SELECT is(t.read('all'), NULL, 'section 5: a log that was truncated has nothing for anybody');
-- However it is notified
SET crm_deals.notify = off;
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('silent', t.stage('w', 'P'));
SET crm_deals.notify = on;
SET crm_deals.notify_limit = 0;
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('summary 1', t.stage('w', 'P')), ('summary 2', t.stage('w', 'P'));
RESET crm_deals.notify_limit;
SET crm_deals.notify_payload = 'ids';
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('ids', t.stage('w', 'P'));
RESET crm_deals.notify_payload;
RESET crm_deals.notify;
SELECT is(t.read('won'), 'silent created, summary 1 created, summary 2 created, ids created',
          'section 5: in any case of summary, off or ids');

-- Imports
SELECT crm_deals.subscribe('imports', include_imports => true),
       crm_deals.subscribe('imports won', '{won}', include_imports => true) \gset none_
SELECT cardinality(t.drain(consumer)) AS none FROM crm_deals.event_consumer
\g /dev/null
CREATE FUNCTION t.import() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.origin := 'import'; RETURN new; END$$;
CREATE TRIGGER import BEFORE INSERT ON crm_deals.deal_event FOR EACH ROW EXECUTE FUNCTION t.import();
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('imported won', t.stage('w', 'P')), ('imported', t.stage('a', 'P'));
DROP TRIGGER import ON crm_deals.deal_event;
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('live', t.stage('w', 'P'));
SELECT is(t.read(v.consumer), v.events, 'section 5: imports: ' || v.consumer)
FROM (VALUES ('all', 'live created'), ('won', 'live created'),
             ('imports', 'imported won created, imported created, live created'),
             ('imports won', 'imported won created, live created')) AS v (consumer, events);

-- A second subscribe() keeps the place and sets kinds and include_imports again.
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('again 1', t.stage('a', 'P')), ('again 2', t.stage('w', 'P'));
SELECT crm_deals.subscribe('imports', '{won}') AS none \gset
SELECT is(t.read('imports'), 'imported won created, imported created, live created, again 2 created',
          'section 5: what was delivered comes again whatever the kinds; what is new is by the new ones');
SELECT is(cardinality(t.drain('imports')), 4, 'section 5: from where it stood');
SELECT crm_deals.subscribe('imports', from_start => true) AS none \gset
SELECT is(t.read('imports'), NULL, 'section 5: from_start counts only for a new one');
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('again 3', t.stage('a', 'P'));
SELECT is(t.read('imports'), 'again 3 created', 'section 5: all kinds again');

-- unsubscribe
SELECT is(crm_deals.unsubscribe('imports')::text, '', 'section 5: unsubscribe() returns nothing');
SELECT is(t.try($$SELECT * FROM crm_deals.read_events('imports')$$), 'P0002', 'section 5: it is gone');
SELECT crm_deals.subscribe('imports') AS none \gset
SELECT is(t.read('imports'), NULL, 'section 5: and so is its place');
INSERT INTO crm_deals.deal (name) VALUES ('again 4');
SELECT is(t.read('imports'), 'again 4 created', 'section 5: a new one starts now');

-- consumer_status
SELECT is((SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = 'crm_deals.consumer_status'::regclass AND attnum > 0),
          'consumer pending oldest_pending_at last_acked_at', 'section 3: the columns of consumer_status');
SELECT crm_deals.unsubscribe(consumer) AS none FROM crm_deals.event_consumer
\g /dev/null
SELECT crm_deals.subscribe('s'), crm_deals.subscribe('s lost', '{lost}') \gset none_
CREATE FUNCTION t.status(wanted text DEFAULT 's') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', s.pending,
                             (SELECT min(d.name)
                              FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id
                              WHERE e.occurred_at = s.oldest_pending_at),
                             CASE WHEN s.last_acked_at IS NOT NULL THEN 'acked' END)
            FROM crm_deals.consumer_status AS s WHERE s.consumer = wanted);
END
$$;
SELECT is(t.status(), '0', 'section 3: consumer_status: nothing pending, never acknowledged');
INSERT INTO crm_deals.deal (name) VALUES ('s1');
INSERT INTO crm_deals.deal (name) VALUES ('s2');
INSERT INTO crm_deals.deal (name) VALUES ('s3');
SELECT is(t.status(), '3 s1', 'section 3: consumer_status: three pending, since the oldest of them');
SELECT is(t.status('s lost'), '0', 'section 3: consumer_status: by kinds');
SELECT is(t.read('s', 2), 's1 created, s2 created', 'section 3: two read');
SELECT is(t.status(), '3 s1', 'section 3: consumer_status: what is not acknowledged is pending');
SELECT is(t.ack('s', 's1', 1), 1::bigint, 'section 3: one acknowledged');
SELECT is(t.status(), '2 s2 acked', 'section 3: consumer_status: one less');
SELECT is((SELECT last_acked_at BETWEEN now() - interval '1 min' AND clock_timestamp() FROM crm_deals.consumer_status
           WHERE consumer = 's'),
          true, 'section 3: consumer_status: acknowledged just now');
SELECT is(cardinality(t.drain('s')), 2, 'section 3: the rest');
SELECT is(t.status(), '0 acked', 'section 3: consumer_status: none left');
-- The dispatcher is nobody's consumer.
INSERT INTO crm_deals.event_consumer (consumer) VALUES (crm_deals_internal.dispatcher());
SELECT is((SELECT string_agg(consumer, ', ' ORDER BY consumer) FROM crm_deals.consumer_status), 's, s lost',
          'section 3: consumer_status: the dispatcher is hidden');
SELECT is(t.try(format(v.call, crm_deals_internal.dispatcher())), v.state,
          format('section 5: the dispatcher is no consumer: ' || v.call, crm_deals_internal.dispatcher()))
FROM (VALUES ('SELECT crm_deals.subscribe(%L)', '22023'), ('SELECT crm_deals.unsubscribe(%L)', 'P0002'),
             ('SELECT * FROM crm_deals.read_events(%L)', 'P0002'),
             ('SELECT crm_deals.ack_events(%L, 1)', 'P0002')) AS v (call, state);

-- Errors
SELECT is(t.try(v.call), v.state, 'section 10: ' || v.call)
FROM (VALUES ('SELECT * FROM crm_deals.read_events(''nobody'')', 'P0002'),
             ('SELECT crm_deals.ack_events(''nobody'', 1)', 'P0002'),
             ('SELECT crm_deals.unsubscribe(''nobody'')', 'P0002'),
             ('SELECT * FROM crm_deals.read_events(NULL)', 'P0002'), ('SELECT crm_deals.ack_events(NULL, 1)', 'P0002'),
             ('SELECT crm_deals.unsubscribe(NULL)', 'P0002'),
             ('SELECT * FROM crm_deals.read_events(''s'', 0)', '22023'),
             ('SELECT * FROM crm_deals.read_events(''s'', -1)', '22023'),
             ('SELECT * FROM crm_deals.read_events(''s'', NULL)', '22023'),
             ('SELECT * FROM crm_deals.read_events(''s'', 1, ''0'')', '22023'),
             ('SELECT * FROM crm_deals.read_events(''s'', 1, ''-1 s'')', '22023'),
             ('SELECT crm_deals.subscribe(''x'', ''{won,win}'')', '22023'),
             ('SELECT crm_deals.subscribe(''x'', ''{won,NULL}'')', '22023'),
             ('SELECT crm_deals.subscribe(''x'', ''{}'')', '22023'),
             ('SELECT crm_deals.subscribe(''s'', ''{Won}'')', '22023'),
             ('SELECT crm_deals.subscribe('''')', '23514 event_consumer event_consumer_name'),
             ('SELECT crm_deals.subscribe(E'' \t\n'')', '23514 event_consumer event_consumer_name'),
             ('SELECT crm_deals.subscribe(NULL)', '23502 event_consumer.consumer')) AS v (call, state);
SELECT is(t.error('SELECT crm_deals.unsubscribe(''nobody'')', v.field), v.text,
          'section 10: an unknown consumer: ' || v.field)
FROM (VALUES ('message', 'consumer "nobody" does not exist'), ('detail', 'There are "s", "s lost".'),
             ('hint', 'Run subscribe() first.')) AS v (field, text);
SELECT is(t.after('DELETE FROM crm_deals.event_consumer',
                  $$SELECT t.error('SELECT * FROM crm_deals.read_events(''nobody'')', 'detail')$$),
          'There is none.', 'section 10: where there is none');
SELECT alike(t.error('SELECT crm_deals.subscribe(''x'', ''{won,win}'')', v.field), v.text,
             'section 10: an unknown kind: ' || v.field)
FROM (VALUES ('message', '%"win"%'),
             ('hint',
              '%created, stage_changed, won, lost, abandoned, reopened, updated, deleted, merged, redacted, reverted%'))
         AS v (field, text);
SELECT is(t.after(format('SELECT crm_deals.subscribe(%L)', v.name),
                  format('SELECT count(*) FROM crm_deals.consumer_status WHERE consumer = %L', v.name)),
          '1', 'section 5: any other name: ' || v.name)
FROM (VALUES ('ERP → Größe'), ('"''\'), (' x ')) AS v (name);
INSERT INTO crm_deals.deal (name) VALUES ('e1');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(t.try('SELECT * FROM crm_deals.read_events(''s'')'), '25001',
          'section 5: it needs READ COMMITTED: not REPEATABLE READ');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(t.try('SELECT * FROM crm_deals.read_events(''s'')'), '25001', 'section 5: not SERIALIZABLE');
COMMIT;
BEGIN ISOLATION LEVEL READ UNCOMMITTED;
SELECT is(t.read('s'), 'e1 created', 'section 5: READ UNCOMMITTED is READ COMMITTED');
COMMIT;
BEGIN READ ONLY;
SELECT is(t.try(v.call), '25006', 'section 11: in a read-only transaction: ' || v.call)
FROM (VALUES ('SELECT * FROM crm_deals.read_events(''s'')'), ('SELECT crm_deals.ack_events(''s'', 1)'),
             ('SELECT crm_deals.subscribe(''x'')'), ('SELECT crm_deals.unsubscribe(''s'')')) AS v (call);
SELECT is(t.status(), '1 e1 acked', 'section 11: consumer_status is readable there');
COMMIT;
SELECT is(t.read('s'), 'e1 created', 'section 10: failures left nothing behind');
SELECT is(cardinality(t.drain('s')), 1, 'section 5: to the end');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
