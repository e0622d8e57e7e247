\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5, "Consumers": an event tells the deal as it was when it happened, and only to those who may see it.
SELECT crm_deals.create_pipeline('P',
                                 '[{"name": "A"}, {"name": "B", "probability": 20}, '
                                 '{"name": "Won", "key": "w", "status": "won"}, '
                                 '{"name": "Lost", "key": "l", "status": "lost"}]') AS p \gset
INSERT INTO crm_deals.account (name) VALUES ('Acme'), ('Globex');
SELECT crm_deals.subscribe('c') AS none \gset
-- The payloads that wait, by deal and version.
CREATE FUNCTION t.payload(consumer text DEFAULT 'c')
RETURNS TABLE (id bigint, deal_id bigint, version integer, kind text, occurred_at timestamptz,
               payload jsonb) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT r.id, r.deal_id, e.version, r.kind, r.occurred_at, r.payload
        FROM crm_deals.read_events(consumer, 10000) AS r JOIN crm_deals.deal_event AS e ON e.id = r.id;
END
$$;
CREATE FUNCTION t.ack_all(wanted text DEFAULT 'c') RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm_deals.read_events(wanted, 10000);
    RETURN (SELECT crm_deals.ack_events(wanted, c.unacked[cardinality(c.unacked)]) FROM crm_deals.event_consumer AS c
            WHERE c.consumer = wanted);
END
$$;

-- Every key and every value
BEGIN;
SET LOCAL crm_deals.actor = 'Anna';
INSERT INTO crm_deals.deal (name, pipeline_id, account_id, amount, currency, owner, external_id, notes)
VALUES ('Größe "9"', :p, 1, 12.50, 'USD', 'anna', 'X-1', 'n');
COMMIT;
SELECT t.deal('Größe "9"') AS d \gset
SELECT crm_deals.move_deal(:d, 'l', note => 'why', actor => 'Bob', lost_reason => 'price') AS none \gset
SELECT is((SELECT string_agg(k, ' ' ORDER BY k) FROM t.payload() AS r, jsonb_object_keys(r.payload) AS k
           WHERE version = 2),
          'account_id actor amount batch_id changes closed_at currency deal_id deal_name event event_id external_id '
          'lost_reason new_stage note occurred_at old_stage owner pipeline_id status',
          'section 5: the keys of a payload');
SELECT is(r.payload - 'changes',
          jsonb_build_object('event', 'deal.created', 'event_id', r.id, 'batch_id', e.batch_id, 'deal_id', :d,
                             'deal_name', 'Größe "9"', 'pipeline_id', :p, 'old_stage', NULL,
                             'new_stage', jsonb_build_object('id', t.stage('a', 'P'), 'key', 'a', 'name', 'A'),
                             'status', 'open', 'amount', 12.50, 'currency', 'USD', 'actor', 'Anna',
                             'occurred_at', e.occurred_at, 'note', NULL, 'external_id', 'X-1', 'account_id', 1,
                             'owner', 'anna', 'lost_reason', NULL, 'closed_at', NULL),
          'section 5: of a creation')
FROM t.payload() AS r JOIN crm_deals.deal_event AS e USING (id) WHERE r.version = 1;
SELECT is(r.payload - 'changes',
          jsonb_build_object('event', 'deal.lost', 'event_id', r.id, 'batch_id', e.batch_id, 'deal_id', :d,
                             'deal_name', 'Größe "9"', 'pipeline_id', :p,
                             'old_stage', jsonb_build_object('id', t.stage('a', 'P'), 'key', 'a', 'name', 'A'),
                             'new_stage', jsonb_build_object('id', t.stage('l', 'P'), 'key', 'l', 'name', 'Lost'),
                             'status', 'lost', 'amount', 12.50, 'currency', 'USD', 'actor', 'Bob',
                             'occurred_at', e.occurred_at, 'note', 'why', 'external_id', 'X-1', 'account_id', 1,
                             'owner', 'anna', 'lost_reason', 'price', 'closed_at', e.occurred_at),
          'section 5: of a move')
FROM t.payload() AS r JOIN crm_deals.deal_event AS e USING (id) WHERE r.version = 2;
SELECT is((SELECT bool_and(r.payload -> 'changes' = e.changes AND r.kind = e.kind AND r.occurred_at = e.occurred_at
                           AND r.deal_id = e.deal_id AND r.payload ->> 'event' = 'deal.' || e.kind)
           FROM t.payload() AS r JOIN crm_deals.deal_event AS e USING (id)),
          true, 'section 5: its columns and changes are those of the log');
DELETE FROM crm_deals.deal WHERE id = :d;
SELECT is(r.payload - 'changes',
          jsonb_build_object('event', 'deal.deleted', 'event_id', r.id, 'batch_id', e.batch_id, 'deal_id', :d,
                             'deal_name', 'Größe "9"', 'pipeline_id', :p,
                             'old_stage', jsonb_build_object('id', t.stage('l', 'P'), 'key', 'l', 'name', 'Lost'),
                             'new_stage', NULL, 'status', NULL, 'amount', NULL, 'currency', NULL, 'actor', current_user,
                             'occurred_at', e.occurred_at, 'note', NULL, 'external_id', 'X-1', 'account_id', 1,
                             'owner', NULL, 'lost_reason', NULL, 'closed_at', r.payload -> 'closed_at'),
          'section 5: of a deleted deal, with the name that it had')
FROM t.payload() AS r JOIN crm_deals.deal_event AS e USING (id) WHERE r.version = 3;
SELECT is((SELECT (payload ->> 'closed_at')::timestamptz FROM t.payload() WHERE version = 3),
          (SELECT occurred_at FROM t.payload() WHERE version = 2), 'section 5: and the time it was closed');
SELECT is((SELECT count(DISTINCT payload ->> 'deal_name') FROM t.payload()), 1::bigint,
          'section 5: its earlier events have its name still');
SELECT t.ack_all() AS none \gset

-- Deleted, restored, and changed before anybody read of it
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('Back again', :p);
SELECT t.deal('Back again') AS d \gset
DELETE FROM crm_deals.deal WHERE id = :d;
SELECT crm_deals.restore_deal(:d) AS none \gset
UPDATE crm_deals.deal SET name = 'Another', external_id = 'X-2', account_id = 2, stage_id = t.stage('w', 'P')
WHERE id = :d;
SELECT is((SELECT array_agg(concat_ws(' ', kind, payload ->> 'deal_name', payload ->> 'external_id',
                                      payload ->> 'account_id', (payload ->> 'closed_at')::timestamptz = occurred_at)
                            ORDER BY version)
           FROM t.payload()),
          '{created Back again,deleted Back again,reverted Back again,won Another X-2 2 t}'::text[],
          'section 5: a deleted deal that was restored and won since: each event as it was then');
SELECT t.ack_all() AS none \gset
DELETE FROM crm_deals.deal WHERE id = :d;
SELECT t.ack_all() AS none \gset

-- Uncut
INSERT INTO crm_deals.deal (name, pipeline_id, owner, notes, custom_fields)
VALUES (repeat('ä', 20000), :p, repeat('o', 20000), repeat('n', 100000), jsonb_build_object('k', repeat('v', 50000)));
SELECT is((SELECT concat_ws(' ', length(payload ->> 'deal_name'), length(payload ->> 'owner'),
                            length(payload -> 'changes' -> 'notes' ->> 1),
                            length(payload -> 'changes' -> 'custom_fields.k' ->> 1))
           FROM t.payload()),
          '20000 20000 100000 50000', 'section 5: uncut');
SELECT is((SELECT payload ->> 'deal_name' = name FROM t.payload() JOIN crm_deals.deal AS d ON d.id = deal_id), true,
          'section 5: to the letter');
UPDATE crm_deals.deal
SET name = E'tab\t, "quote", \\, \x01, \U0001F600', amount = ('1.' || repeat('0', 9000) || '25')::numeric, owner = NULL;
UPDATE crm_deals.stage SET name = repeat('"', 9000) WHERE id = t.stage('b', 'P');
SELECT crm_deals.move_deal((SELECT id FROM crm_deals.deal), 'b', note => repeat(E'\n', 30000),
                           actor => repeat('é', 9000)) AS none \gset
SELECT is((SELECT (payload ->> 'deal_name' = d.name AND (payload ->> 'amount')::numeric = d.amount
                   AND payload ->> 'actor' = repeat('é', 9000) AND payload ->> 'note' = repeat(E'\n', 30000)
                   AND payload -> 'new_stage' ->> 'name' = repeat('"', 9000))::text
           FROM t.payload() AS r JOIN crm_deals.deal AS d ON d.id = deal_id WHERE r.version = 3),
          'true', 'section 5: any text, any number');
UPDATE crm_deals.stage SET name = 'B' WHERE id = t.stage('b', 'P');
SELECT t.ack_all() AS none \gset
DELETE FROM crm_deals.deal;

-- As it was when it happened: what a deal was after each of its events
CREATE TABLE t.was (deal_id bigint, version integer, name text, external_id text, account_id jsonb,
                    closed_at timestamptz, stage_key text, stage_name text, PRIMARY KEY (deal_id, version));
CREATE PROCEDURE t.happens(statement text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    INSERT INTO t.was
    SELECT d.id, d.version, d.name, d.external_id, to_jsonb(d.account_id), d.closed_at, s.key, s.name
    FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id
    ON CONFLICT DO NOTHING;
END
$$;
CREATE FUNCTION t.wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT format('deal %s, version %s: %s, was %s', r.deal_id, r.version, r.payload - 'changes', to_jsonb(w))
    FROM t.payload() AS r JOIN t.was AS w USING (deal_id, version)
    WHERE (r.payload ->> 'deal_name', r.payload ->> 'external_id', nullif(r.payload -> 'account_id', 'null'),
           (r.payload ->> 'closed_at')::timestamptz, r.payload -> 'new_stage' ->> 'key',
           r.payload -> 'new_stage' ->> 'name')
          IS DISTINCT FROM (w.name, w.external_id, w.account_id, w.closed_at, w.stage_key, w.stage_name);
END
$$;
SELECT t.ack_all() AS none \gset
CALL t.happens(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''one'', %s), (''two'', %1$s)', :p));
CALL t.happens('UPDATE crm_deals.deal SET amount = 1');
CALL t.happens('UPDATE crm_deals.deal SET name = name || '' renamed''');
CALL t.happens('UPDATE crm_deals.deal SET account_id = 1, external_id = id');
CALL t.happens('UPDATE crm_deals.deal SET stage_id = t.stage(''w'', ''P'')');
CALL t.happens('UPDATE crm_deals.stage SET name = ''Gewonnen'', key = ''gewonnen'' WHERE id = t.stage(''w'', ''P'')');
CALL t.happens('UPDATE crm_deals.deal SET closed_at = ''2020-02-03 04:05:06.789Z''');
CALL t.happens('UPDATE crm_deals.deal SET name = ''new'', account_id = NULL WHERE name = ''one renamed''');
CALL t.happens('UPDATE crm_deals.deal SET stage_id = t.stage(''b'', ''P''), account_id = 2');
CALL t.happens('UPDATE crm_deals.stage SET name = ''Talk'' WHERE id = t.stage(''b'', ''P'')');
CALL t.happens('UPDATE crm_deals.deal SET external_id = NULL, amount = 2');
CALL t.happens('UPDATE crm_deals.stage SET name = ''B'' WHERE id = t.stage(''b'', ''P'')');
CALL t.happens('UPDATE crm_deals.deal SET stage_id = t.stage(''l'', ''P''), lost_reason = ''price''');
CALL t.happens('UPDATE crm_deals.deal SET external_id = ''again'' WHERE name = ''new''');
SELECT is((SELECT count(*) FROM t.was), 20::bigint, 'section 5: two deals of ten versions');
SELECT is_empty('SELECT t.wrong()', 'section 5: names, account, external id, closing time and stage are those of then');
SELECT is((SELECT string_agg(DISTINCT concat(payload -> 'old_stage' ->> 'key', ' ', payload -> 'old_stage' ->> 'name',
                                             ' ', payload -> 'new_stage' ->> 'key', ' ',
                                             payload -> 'new_stage' ->> 'name'),
                             ', ')
           FROM t.payload() WHERE kind = 'reopened'),
          'gewonnen Gewonnen b B', 'section 5: the old stage by its name of then, too');
-- In one transaction, with a stage that is renamed between
BEGIN;
CALL t.happens('UPDATE crm_deals.deal SET stage_id = t.stage(''a'', ''P''), name = name || '' 2''');
CALL t.happens('UPDATE crm_deals.stage SET name = ''Start'' WHERE id = t.stage(''a'', ''P'')');
CALL t.happens('UPDATE crm_deals.deal SET amount = 3, name = name || '' 3''');
CALL t.happens('UPDATE crm_deals.stage SET name = ''First'' WHERE id = t.stage(''a'', ''P'')');
CALL t.happens('UPDATE crm_deals.deal SET amount = 4, name = name || '' 4''');
COMMIT;
SELECT is_empty('SELECT t.wrong()', 'section 5: within one transaction as well');
-- Deleted
SELECT t.deal('new 2 3 4') AS d \gset
DELETE FROM crm_deals.deal WHERE id = :d;
SELECT is_empty('SELECT t.wrong()', 'section 5: also when the deal is deleted');
SELECT is((SELECT (w.name, w.external_id, w.account_id) = (r.payload ->> 'deal_name', r.payload ->> 'external_id',
                                                           r.payload -> 'account_id')
           FROM t.payload() AS r JOIN t.was AS w ON w.deal_id = r.deal_id AND w.version = r.version - 1
           WHERE r.kind = 'deleted' AND r.deal_id = :d),
          true, 'section 5: its deletion says what it was');
-- A stage that is removed
SELECT crm_deals.add_stage(:p, 'Extra', 'extra') AS extra \gset
CALL t.happens('UPDATE crm_deals.deal SET stage_id = ' || :extra);
SELECT crm_deals.remove_stage(:extra, t.stage('a', 'P')) AS none \gset
SELECT is_empty('SELECT t.wrong()', 'section 5: stages that are in no board any more have their names');
SELECT t.ack_all() AS none \gset

-- Row security: ids only for deals that the caller cannot see.
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_consume', 'regress_crm_write', 'regress_crm_read',
                    'regress_crm_team') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_consume;
CREATE ROLE regress_crm_write;
CREATE ROLE regress_crm_read;
SELECT crm_deals.grant_access('regress_crm_alice', 'write'), crm_deals.grant_access('regress_crm_consume', 'consume'),
       crm_deals.grant_access('regress_crm_write', 'write'),
       crm_deals.grant_access('regress_crm_read', 'read') \gset none_
-- Both read as members of the role that the consumer belongs to.
CREATE ROLE regress_crm_team;
GRANT regress_crm_team TO regress_crm_alice, regress_crm_consume;
UPDATE crm_deals.event_consumer SET subscribed_by = 'regress_crm_team' WHERE consumer = 'c';
-- Read and consume besides: two grants by hand.
GRANT EXECUTE ON FUNCTION crm_deals.read_events(text, integer, interval),
    crm_deals.ack_events(text, bigint) TO regress_crm_alice;
CREATE FUNCTION t.seen_by(role text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get('SELECT string_agg(coalesce(payload ->> ''deal_name'', ''?'') || '' '' || kind, '', '' '
                 'ORDER BY place) FROM crm_deals.read_events(''c'') WITH ORDINALITY AS r (id, deal_id, kind, '
                 'occurred_at, payload, place)',
                 role)
$$;
INSERT INTO crm_deals.deal (name, pipeline_id, owner, account_id, notes)
VALUES ('hers', :p, 'regress_crm_alice', 1, 'secret'), ('his', :p, 'bob', 1, 'secret');
SELECT is(t.seen_by('regress_crm_consume'), 'hers created, his created',
          'section 9: consume: full payloads, without row security');
CREATE POLICY own ON crm_deals.deal USING (owner = current_user);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT is(t.seen_by('regress_crm_alice'), 'hers created, ? created',
          'section 9: row security: full payloads for what the caller sees');
SELECT is(t.seen_by('regress_crm_consume'), '? created, ? created',
          'section 9: row security: who may not read deals sees ids');
SELECT is(t.seen_by(current_user), 'hers created, his created', 'section 9: row security: the owner sees all');
SELECT t.deal('his') AS his, t.deal('hers') AS hers \gset
SELECT is(t.get('SELECT payload FROM crm_deals.read_events(''c'') WHERE deal_id = ' || :his,
                'regress_crm_alice')::jsonb,
          jsonb_build_object('event', 'deal.created', 'event_id', e.id, 'batch_id', e.batch_id, 'deal_id', :his,
                             'pipeline_id', :p, 'old_stage', NULL,
                             'new_stage', jsonb_build_object('id', t.stage('a', 'P'))),
          'section 9: row security: nothing but ids')
FROM crm_deals.deal_event AS e WHERE e.deal_id = :his AND e.version = 1;
UPDATE crm_deals.deal SET owner = 'bob' WHERE name = 'hers';
SELECT is(t.seen_by('regress_crm_alice'), '? created, ? created, ? updated',
          'section 9: row security: as it is now, not as it was then');
UPDATE crm_deals.deal SET owner = 'regress_crm_alice' WHERE name = 'hers';
DELETE FROM crm_deals.deal WHERE name = 'hers';
SELECT is(t.seen_by('regress_crm_alice'), '? created, ? created, ? updated, ? updated, ? deleted',
          'section 9: row security: a deleted deal is visible to nobody');
ALTER TABLE crm_deals.deal FORCE ROW LEVEL SECURITY;
SELECT t.drop_roles('regress_crm_owner') AS none \gset
CREATE ROLE regress_crm_owner;
SELECT is(t.seen_by(current_user), 'hers created, his created, hers updated, hers updated, hers deleted',
          'section 9: row security: a superuser goes round it');
ALTER TABLE crm_deals.deal NO FORCE ROW LEVEL SECURITY;
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON crm_deals.deal;
SELECT is(t.seen_by('regress_crm_alice'), 'hers created, his created, hers updated, hers updated, hers deleted',
          'section 9: without row security again all');
-- A policy that calls a function of the caller's schemas, or fails, does so as the caller.
CREATE FUNCTION t.who() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'regress_crm_alice' THEN
        RAISE EXCEPTION 'runs as %', current_user;
    END IF;
    RETURN false;
END
$$;
CREATE POLICY own ON crm_deals.deal USING (t.who());
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT is(t.seen_by('regress_crm_alice'), '? created, ? created, ? updated, ? updated, ? deleted',
          'section 9: row security: policies run as the caller');
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON crm_deals.deal;
SELECT t.ack_all() AS none \gset

-- The level consume is enough for all of this and allows nothing else. Other levels do not allow it.
INSERT INTO crm_deals.deal (name) VALUES ('consumed');
SELECT is(t.get(v.call, 'regress_crm_consume'), v.result,
          'section 9: consume: ' || regexp_replace(v.call, '\d\d+', 'N'))
FROM (VALUES ('SELECT crm_deals.subscribe(''erp'', ''{created}'', true)', ''),
             ('SELECT payload ->> ''deal_name'' FROM crm_deals.read_events(''c'')', 'consumed'),
             ('SELECT payload -> ''new_stage'' ->> ''key'' FROM crm_deals.read_events(''c'', 1, ''1 hour'')', 'lead'),
             (format('SELECT crm_deals.ack_events(''c'', %s)', (SELECT max(id) FROM crm_deals.deal_event)), '1'),
             ('SELECT crm_deals.unsubscribe(''erp'')', ''), ('SELECT crm_deals.start_dispatcher()', '42501'),
             ('SELECT crm_deals.prune_events(now())', '42501'),
             ('SELECT * FROM crm_deals.redact(actor => ''x'')', '42501'),
             ('SELECT count(*) FROM crm_deals.consumer_status', '42501'),
             ('SELECT count(*) FROM crm_deals.event_consumer', '42501'),
             ('SELECT crm_deals_internal.ack_events(''c'', 1, ''x'')', '42501'),
             ('SELECT crm_deals_internal.take_events(''c'', 1, NULL)', '42501'),
             ('SELECT crm_deals_internal.read_events(''c'', 1, NULL, ''x'')', '42501'),
             ('SELECT crm_deals_internal.event_facts(''{1}'')', '42501'),
             ('SELECT crm_deals_internal.pending(''c'')', '42501'),
             ('SELECT crm_deals_internal.take_for_dispatch(1)', '42501'),
             ('SELECT crm_deals_internal.subscribe(''x'', NULL, true, true, ''x'')', '42501'),
             ('SELECT count(*) FROM crm_deals.deal_event', '42501'), ('SELECT count(*) FROM crm_deals.deal', '42501'),
             ('INSERT INTO crm_deals.event_consumer (consumer) VALUES (''x'')', '42501'),
             ('SELECT crm_deals.verify()', '42501')) AS v (call, result);
SELECT is(t.dry(v.call, 'regress_crm_' || v.role), '42501', 'section 9: ' || v.role || ': not ' || v.call)
FROM (VALUES ('SELECT crm_deals.subscribe(''x'')'), ('SELECT * FROM crm_deals.read_events(''c'')'),
             ('SELECT crm_deals.ack_events(''c'', 1)'), ('SELECT crm_deals.unsubscribe(''c'')')) AS c (call),
     LATERAL (SELECT c.call, r.role FROM unnest('{read,write}'::text[]) AS r (role)) AS v;
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_consume', 'regress_crm_write', 'regress_crm_read',
                    'regress_crm_owner', 'regress_crm_team') AS none \gset
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

-- account_id is a value of the host's key type.
CREATE PROCEDURE t.host(type text, first text, second text) LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS t.firm CASCADE;
    DROP SCHEMA crm_deals CASCADE;
    CREATE EXTENSION crm_deals CASCADE;
    EXECUTE format('CREATE TABLE t.firm (id %s PRIMARY KEY, name text)', type);
    EXECUTE format('INSERT INTO t.firm VALUES (%L, ''first''), (%L, ''second'')', first, second);
    PERFORM crm_deals.install('t.firm');
    PERFORM crm_deals.create_pipeline('P');
    PERFORM crm_deals.subscribe('c');
    EXECUTE format('INSERT INTO crm_deals.deal (name, account_id) VALUES (''d'', %L)', first);
    EXECUTE format('UPDATE crm_deals.deal SET account_id = %L', second);
    UPDATE crm_deals.deal SET account_id = NULL;
    EXECUTE format('UPDATE crm_deals.deal SET account_id = %L', first);
END
$$;
CALL t.host('bigint', '9007199254740993', '2');
SELECT is((SELECT string_agg((payload -> 'account_id')::text, ' ' ORDER BY version) FROM t.payload()),
          '9007199254740993 2 null 9007199254740993', 'section 5: account_id: bigint');
CALL t.host('integer', '7', '8');
SELECT is((SELECT string_agg((payload -> 'account_id')::text, ' ' ORDER BY version) FROM t.payload()), '7 8 null 7',
          'section 5: account_id: integer');
CALL t.host('uuid', '0b6e7f0e-0000-4000-8000-000000000001', '0b6e7f0e-0000-4000-8000-000000000002');
SELECT is((SELECT string_agg((payload -> 'account_id')::text, ' ' ORDER BY version) FROM t.payload()),
          '"0b6e7f0e-0000-4000-8000-000000000001" "0b6e7f0e-0000-4000-8000-000000000002" null '
          '"0b6e7f0e-0000-4000-8000-000000000001"',
          'section 5: account_id: uuid');
CALL t.host('text', 'a "quoted" key', '42');
SELECT is((SELECT string_agg((payload -> 'account_id')::text, ' ' ORDER BY version) FROM t.payload()),
          '"a \"quoted\" key" "42" null "a \"quoted\" key"', 'section 5: account_id: text');

SELECT * FROM finish();
