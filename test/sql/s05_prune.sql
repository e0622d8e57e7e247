\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: prune_events(before) keeps each deal's latest event and whatever a consumer has not acknowledged.
-- The log in short: each deal with the versions that are left of it.
CREATE FUNCTION t.log() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(v.name || ' ' || v.versions, ', ' ORDER BY v.name)
            FROM (SELECT coalesce(d.name, 'gone') AS name,
                         string_agg(e.version::text, ' ' ORDER BY e.version) AS versions
                  FROM crm_deals.deal_event AS e LEFT JOIN crm_deals.deal AS d ON d.id = e.deal_id
                  GROUP BY e.deal_id, d.name) AS v);
END
$$;
CREATE FUNCTION t.write(names text) RETURNS void LANGUAGE sql AS $$
    UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE name ~ names;
$$;
CREATE FUNCTION t.prune(before text DEFAULT 'now()') RETURNS text LANGUAGE sql AS $$
    SELECT t.get('SELECT crm_deals.prune_events(' || before || ')')
$$;
INSERT INTO crm_deals.deal (name) VALUES ('a'), ('b'), ('c'), ('d');
SELECT t.write('a|b') AS none \gset
SELECT t.write('a|d') AS none \gset
SELECT is(t.log(), 'a 1 2 3, b 1 2, c 1, d 1 2', 'section 5: a log');
SELECT is(t.try('SELECT crm_deals.prune_events(' || v.before || ')'), '22023', 'section 5: before ' || v.before)
FROM (VALUES ('now() + interval ''1 s'''), ('NULL'), ('''infinity''')) AS v (before);
SELECT is(t.prune('''-infinity'''), '0', 'section 5: nothing is older than -infinity');
SELECT is(t.prune('''2000-01-01'''), '0', 'section 5: nor than 2000');
SELECT is((SELECT count(*) FROM crm_deals.log_pruning), 0::bigint, 'section 5: nothing pruned, no horizon');
SELECT is(t.after('SELECT crm_deals.prune_events(now())', 'SELECT t.log()'), 'a 3, b 2, c 1, d 2',
          'section 5: of each deal the latest event stays');
SELECT is(t.after('SELECT crm_deals.prune_events(now())', 'SELECT crm_deals.prune_events(now())'), '0',
          'section 5: a second time there is nothing left');
SELECT is(t.after('SELECT crm_deals.prune_events(now())', 'SELECT count(*) FROM crm_deals.verify()'), '0',
          'section 5: verify() agrees with what is left');
-- The moment
SELECT clock_timestamp() AS moment, pg_sleep(0.002) AS none \gset
SELECT t.write('a') AS none \gset
SELECT t.write('a|c') AS none \gset
SELECT is(t.after(format('SELECT crm_deals.prune_events(%L)', :'moment'), 'SELECT t.log()'), 'a 4 5, b 2, c 2, d 2',
          'section 5: what happened since stays');
SELECT is(t.after(format('SELECT crm_deals.prune_events(%L)',
                         (SELECT occurred_at FROM crm_deals.deal_event WHERE deal_id = t.deal('a') AND version = 4)),
                  'SELECT t.log()'),
          'a 4 5, b 2, c 2, d 2', 'section 5: what happened at the moment itself stays, too');

-- What a consumer waits for
SELECT crm_deals.subscribe('erp', from_start => true), crm_deals.subscribe('lost', '{lost}', true),
       crm_deals.subscribe('now') \gset none_
SELECT is(t.prune(), '0', 'section 5: a consumer that has read nothing keeps everything');
SELECT is((SELECT count(*) FROM crm_deals.read_events('erp', 6)), 6::bigint, 'section 5: six delivered');
SELECT is(t.prune(), '0', 'section 5: not acknowledged');
SELECT is((SELECT string_agg(deal_id || ' ' || kind, ', ' ORDER BY id) FROM crm_deals.read_events('erp', 6)),
          '1 created, 2 created, 3 created, 4 created, 1 updated, 2 updated', 'section 5: they come again all');
SELECT crm_deals.ack_events('erp', 6) AS none \gset
SELECT is(t.prune(), '5', 'section 5: what all consumers acknowledged goes');
SELECT is((SELECT string_agg(e.version::text, ' ' ORDER BY e.version) FROM crm_deals.deal_event AS e
           WHERE e.deal_id = t.deal('a')),
          '3 4 5', 'section 5: unread ones stay');
SELECT is((SELECT count(*) FROM crm_deals.read_events('erp', 100)), 5::bigint, 'section 5: and are delivered');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: verify() agrees');
-- Pruning removes the oldest events of each deal and leaves no gap: what follows an event that a consumer still needs
-- stays, too.
SELECT crm_deals.unsubscribe('erp'), crm_deals.unsubscribe('now') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price' WHERE name IN ('a', 'b');
SELECT t.write('a|b') AS none \gset
SELECT t.write('a|b') AS none \gset
SELECT is(t.prune() || ': ' || t.log(), '4: a 6 7 8, b 3 4 5, c 2, d 2',
          'section 5: of each deal a beginning of its log goes, as far as no consumer waits');
SELECT is((SELECT count(*) FROM crm_deals.read_events('lost')), 2::bigint, 'section 5: that is what it waits for');
SELECT is(t.prune(), '0', 'section 5: delivered is not acknowledged');
SELECT is(crm_deals.ack_events('lost', (SELECT max(id) FROM crm_deals.deal_event WHERE kind = 'lost')), 2::bigint,
          'section 5: acknowledged');
SELECT is(t.prune() || ': ' || t.log(), '4: a 8, b 5, c 2, d 2', 'section 5: then they go');
-- A lease, and one that is rolled back
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name IN ('a', 'b');
UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price' WHERE name IN ('a', 'b');
SELECT t.write('a|b') AS none \gset
SELECT is((SELECT count(*) FROM crm_deals.read_events('lost', 1, '1 hour')), 1::bigint, 'section 5: one of two leased');
SELECT is(t.prune() || ': ' || t.log(), '4: a 10 11, b 7 8, c 2, d 2',
          'section 5: what is leased and what is left of the cut stay');
SELECT is((SELECT count(*) FROM crm_deals.read_events('lost', 1)), 0::bigint, 'section 5: leased still');
SELECT is((SELECT pending FROM crm_deals.consumer_status WHERE consumer = 'lost'), 2::bigint,
          'section 5: both pending');
SELECT crm_deals.unsubscribe('lost') AS none \gset
-- Deals that are gone
DELETE FROM crm_deals.deal WHERE name IN ('c', 'd');
SELECT is(t.prune() || ': ' || t.log(), '4: a 11, b 8, gone 3, gone 3',
          'section 5: of a deleted deal its deletion stays');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: verify() agrees: a log that is not whole is no fault');
-- What happens afterwards goes on as always.
SELECT t.write('a') AS none \gset
INSERT INTO crm_deals.deal (name) VALUES ('young');
UPDATE crm_deals.deal SET name = 'younger', amount = 5 WHERE name = 'young';
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: and after new writes');
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal SET notes = 'behind its back' WHERE name = 'younger';
SELECT is((SELECT string_agg(rule || ' ' || detail, ', ') FROM crm_deals.verify()),
          '7 notes is "behind its back", the log has null',
          'section 4: verify() still proves deals whose log is whole');
UPDATE crm_deals.deal SET notes = NULL WHERE name = 'younger';
UPDATE crm_deals.deal SET amount = 99 WHERE name = 'a';
SELECT matches((SELECT string_agg(rule || ' ' || detail, ', ') FROM crm_deals.verify()),
               '^7 differs from its last event', 'section 4: and the last event of those whose log is not');
UPDATE crm_deals.deal
SET amount
    = (SELECT e.amount FROM crm_deals.deal_event AS e WHERE e.deal_id = crm_deals.deal.id ORDER BY version DESC LIMIT 1)
WHERE name = 'a';
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 4: put right again');
-- A new consumer, from what is left
SELECT crm_deals.subscribe('start', from_start => true) AS none \gset
SELECT is((SELECT count(*) FROM crm_deals.read_events('start')), (SELECT count(*) FROM crm_deals.deal_event),
          'section 5: from_start: all that is left of the log');
SELECT is((SELECT string_agg(DISTINCT payload ->> 'deal_name', ', ' ORDER BY payload ->> 'deal_name')
           FROM crm_deals.read_events('start') WHERE kind <> 'deleted'),
          'a, b, young, younger', 'section 5: with the names of then, as far as the log has them');
SELECT is((SELECT string_agg(DISTINCT payload ->> 'deal_name', ', ' ORDER BY payload ->> 'deal_name')
           FROM crm_deals.read_events('start') WHERE kind = 'deleted'),
          'c, d', 'section 5: of deleted ones, too');
-- Imported events stay only if a consumer includes imports.
SELECT crm_deals.unsubscribe('start'), crm_deals.subscribe('live'),
       crm_deals.subscribe('imports', include_imports => true) \gset none_
CREATE FUNCTION t.import() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.origin := 'import'; RETURN new; END$$;
CREATE TRIGGER import BEFORE INSERT ON crm_deals.deal_event FOR EACH ROW EXECUTE FUNCTION t.import();
INSERT INTO crm_deals.deal (name) VALUES ('imported');
SELECT t.write('imported') AS none \gset
DROP TRIGGER import ON crm_deals.deal_event;
SELECT t.prune() AS none \gset
SELECT is((SELECT string_agg(version::text, ' ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('imported')),
          '1 2', 'section 5: imports that a consumer asks for stay');
SELECT crm_deals.unsubscribe('imports') AS none \gset
SELECT t.prune() AS none \gset
SELECT is((SELECT string_agg(version::text, ' ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('imported')),
          '2', 'section 5: others do not');

-- Horizons
SELECT is((SELECT bool_and(horizon <= pruned_at + interval '1 s' AND pruned_by = current_user AND events > 0)
           FROM crm_deals.log_pruning),
          true, 'section 5: each pruning is in log_pruning');
SELECT is((SELECT string_agg(p.events::text, ' ' ORDER BY p.id)
           FROM (SELECT * FROM crm_deals.log_pruning ORDER BY id LIMIT 5) AS p),
          '5 4 4 4 4', 'section 5: with how many events it removed');
SELECT is(crm_deals_internal.pruning_horizon(), (SELECT max(horizon) FROM crm_deals.log_pruning),
          'section 5: the latest horizon counts');
SELECT is(t.after('SELECT crm_deals.prune_events(''2001-01-01'')',
                  'SELECT crm_deals_internal.pruning_horizon() = (SELECT max(horizon) FROM crm_deals.log_pruning)'),
          'true', 'section 5: an earlier one does not put it back');

-- In batches: many events at once
SELECT crm_deals.unsubscribe('live') AS none \gset
SELECT t.prune() AS none \gset
INSERT INTO crm_deals.deal (name) SELECT 'many ' || n FROM generate_series(1, 8000) AS n;
UPDATE crm_deals.deal SET amount = 1 WHERE name LIKE 'many%';
UPDATE crm_deals.deal SET amount = 2 WHERE name LIKE 'many%';
SELECT is(t.prune(), '16000', 'section 11: in batches: sixteen thousand of twenty-four');
SELECT is((SELECT count(*) FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id
           WHERE d.name LIKE 'many%'),
          8000::bigint, 'section 11: one of each deal is left');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 11: verify() agrees');

-- Append-only otherwise
SELECT is(t.dry(v.statement), '42501 deal_event', 'section 5: after it as before: ' || v.statement)
FROM (VALUES ('DELETE FROM crm_deals.deal_event'), ('UPDATE crm_deals.deal_event SET note = ''x'''),
             ('TRUNCATE crm_deals.deal_event')) AS v (statement);
SELECT t.write('^a$') AS none \gset
SELECT t.write('^a$') AS none \gset
CREATE FUNCTION t.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE tg_argv[0];
    RETURN old;
END
$$;
-- Inside a trigger of the user's that the pruning fires, and after it has failed
CREATE FUNCTION t.meddled(at text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER meddle %s ON crm_deals.deal_event FOR EACH %s EXECUTE FUNCTION t.meddle(%L)',
                   split_part(at, ' / ', 1), split_part(at, ' / ', 2), statement);
    RETURN t.dry('SELECT crm_deals.prune_events(now())');
END
$$;
SELECT is(t.after('SELECT 1', format('SELECT t.meddled(%L, %L)', v.at, s.statement)), s.result,
          'section 5: a user''s trigger ' || v.at || ' during the pruning: ' || s.statement)
FROM (VALUES ('BEFORE DELETE / STATEMENT'), ('AFTER DELETE / STATEMENT'), ('BEFORE DELETE / ROW'),
             ('AFTER DELETE / ROW')) AS v (at),
     (VALUES ('SELECT 1', 'done'), ('DELETE FROM crm_deals.deal_event WHERE version = 3', '42501 deal_event'),
             ('UPDATE crm_deals.deal_event SET note = ''x''', '42501 deal_event'),
             ('TRUNCATE crm_deals.deal_event', '55006')) AS s (statement, result)
ORDER BY 1;
SELECT is(t.dry('DELETE FROM crm_deals.deal_event'), '42501 deal_event',
          'section 5: a pruning that failed leaves no door open');
-- A trigger on deals changes nothing of it.
SELECT is(t.prune(), '2', 'section 5: and is made up for');
SELECT is((SELECT string_agg(version::text, ' ') FROM crm_deals.deal_event WHERE deal_id = t.deal('a')), '14',
          'section 5: to the latest event');
-- Who may
SELECT t.drop_roles('regress_crm_manager', 'regress_crm_admin') AS none \gset
CREATE ROLE regress_crm_manager;
CREATE ROLE regress_crm_admin;
SELECT crm_deals.grant_access('regress_crm_manager', 'manager'),
       crm_deals.grant_access('regress_crm_admin', 'admin') \gset none_
SELECT t.write('^a$') AS none \gset
SELECT is(t.get('SELECT crm_deals.prune_events(now())', 'regress_crm_manager'), '42501',
          'section 9: manager: not prune_events()');
SELECT is(t.get('SELECT crm_deals.prune_events(now())', 'regress_crm_admin'), '1', 'section 9: admin: prune_events()');
SELECT is((SELECT pruned_by FROM crm_deals.log_pruning ORDER BY id DESC LIMIT 1), 'regress_crm_admin',
          'section 5: log_pruning says who');
SELECT is(t.dry('DELETE FROM crm_deals.deal_event', 'regress_crm_admin'), '42501',
          'section 9: admin: nothing else of the log');
SELECT t.drop_roles('regress_crm_manager', 'regress_crm_admin') AS none \gset
BEGIN READ ONLY;
SELECT is(t.try('SELECT crm_deals.prune_events(now())'), '25006', 'section 11: not in a read-only transaction');
COMMIT;
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
