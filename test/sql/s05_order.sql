\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: the events of one deal come in order of version. Their ids rise with the version, whatever triggers do
-- inside a statement.
CREATE FUNCTION t.disorder() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT format('deal %s: version %s has id %s, the one before %s', e.deal_id, e.version, e.id, e.before)
    FROM (SELECT *, lag(o.id) OVER (PARTITION BY o.deal_id ORDER BY o.version) AS before
          FROM crm_deals.deal_event AS o) AS e
    WHERE e.id <= e.before;
END
$$;
SELECT crm_deals.subscribe('c') AS none \gset
-- Reads in batches of three and returns the deliveries whose version is not higher than that of the one before.
CREATE FUNCTION t.read_in_disorder() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    event record;
    last_version jsonb := '{}';
    wrong text[] := '{}';
    last_id bigint;
BEGIN
    LOOP
        last_id := NULL;
        FOR event IN SELECT r.id, r.deal_id, (SELECT e.version FROM crm_deals.deal_event AS e WHERE e.id = r.id)
            FROM crm_deals.read_events('c', 3) WITH ORDINALITY AS r (id, deal_id, kind, occurred_at, payload, place)
            ORDER BY r.place LOOP
            IF event.version <= coalesce((last_version ->> event.deal_id::text)::integer, 0) THEN
                wrong := wrong || format('deal %s: version %s after %s', event.deal_id, event.version,
                                         last_version ->> event.deal_id::text);
            END IF;
            last_version := last_version || jsonb_build_object(event.deal_id::text, event.version);
            last_id := event.id;
        END LOOP;
        EXIT WHEN last_id IS NULL;
        PERFORM crm_deals.ack_events('c', last_id);
    END LOOP;
    RETURN array_to_string(wrong, ', ') || CASE WHEN last_version = '{}' THEN 'nothing' ELSE '' END;
END
$$;
-- How many batches the last event ids fall into, and whether each is numbered by its first event.
CREATE TABLE t.mark (id bigint);
INSERT INTO t.mark VALUES (0);
CREATE FUNCTION t.batches() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text := (SELECT format('%s batches, %s events%s', count(DISTINCT e.batch_id), count(*),
                                  (SELECT ', not by its first: ' || string_agg(b.batch_id::text, ' ')
                                   FROM (SELECT i.batch_id FROM crm_deals.deal_event AS i
                                         WHERE i.id > (SELECT max(m.id) FROM t.mark AS m) GROUP BY 1
                                         HAVING min(i.id) <> i.batch_id) AS b))
                    FROM crm_deals.deal_event AS e WHERE e.id > (SELECT max(m.id) FROM t.mark AS m));
BEGIN
    INSERT INTO t.mark SELECT max(e.id) FROM crm_deals.deal_event AS e;
    RETURN result;
END
$$;
SELECT t.new_deals('d', 5, 'lead') AS none \gset
SELECT is(t.batches(), '5 batches, 5 events', 'section 5: batch_id: one a statement');
UPDATE crm_deals.deal SET amount = 0;
SELECT is(t.batches(), '1 batches, 5 events', 'section 5: batch_id: one for all of a statement');

-- A user's triggers that change the same deal again, at every place where there can be one
CREATE FUNCTION t.again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_level = 'ROW' THEN
        IF coalesce(new.amount, 0) < tg_argv[0]::numeric THEN
            UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE id = new.id;
        END IF;
    ELSIF EXISTS (SELECT FROM crm_deals.deal WHERE coalesce(amount, 0) < tg_argv[0]::numeric) THEN
        UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE coalesce(amount, 0) < tg_argv[0]::numeric;
    END IF;
    RETURN new;
END
$$;
-- Runs statements with such a trigger, and says how many events they made and which of them were out of order.
CREATE FUNCTION t.with_trigger(definition text, statements text, depth integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT max(e.id) FROM crm_deals.deal_event AS e);
    wrong text;
BEGIN
    EXECUTE format('CREATE TRIGGER %s EXECUTE FUNCTION t.again(%s)', definition, depth);
    EXECUTE statements;
    EXECUTE format('DROP TRIGGER %s ON crm_deals.deal', split_part(definition, ' ', 1));
    SELECT string_agg(d, ', ') INTO wrong FROM t.disorder() AS d;
    RETURN concat_ws('; ', (SELECT format('%s deals, %s events', count(DISTINCT e.deal_id), count(*))
                            FROM crm_deals.deal_event AS e WHERE e.id > before), wrong);
END
$$;
SELECT is(t.with_trigger(v.definition, $$UPDATE crm_deals.deal SET amount = 0, notes = concat(notes, 'x')$$, v.depth),
          v.result, 'section 5: ' || v.definition || ', ' || v.depth || ' deep')
FROM (VALUES ('a AFTER UPDATE ON crm_deals.deal FOR EACH ROW', 1, '5 deals, 10 events'),
             ('a AFTER UPDATE ON crm_deals.deal FOR EACH ROW', 7, '5 deals, 40 events'),
             ('zzz AFTER UPDATE ON crm_deals.deal FOR EACH ROW', 2, '5 deals, 15 events'),
             ('a AFTER UPDATE ON crm_deals.deal FOR EACH STATEMENT', 1, '5 deals, 10 events'),
             ('a AFTER UPDATE ON crm_deals.deal FOR EACH STATEMENT', 5, '5 deals, 30 events'),
             ('zzz AFTER UPDATE ON crm_deals.deal FOR EACH STATEMENT', 5, '5 deals, 30 events'))
         AS v (definition, depth, result);
SELECT is(t.with_trigger(v.definition, $$INSERT INTO crm_deals.deal (name) VALUES ('i1'), ('i2'), ('i3')$$, 1),
          v.result, 'section 5: ' || v.definition || ': an INSERT')
FROM (VALUES ('a AFTER INSERT ON crm_deals.deal FOR EACH ROW', '3 deals, 6 events'),
             ('zzz AFTER INSERT ON crm_deals.deal FOR EACH ROW', '3 deals, 6 events'),
             ('a AFTER INSERT ON crm_deals.deal FOR EACH STATEMENT', '3 deals, 6 events'),
             ('zzz AFTER INSERT ON crm_deals.deal FOR EACH STATEMENT', '3 deals, 6 events')) AS v (definition, result);
SELECT is(t.with_trigger('a AFTER INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW',
                         $$INSERT INTO crm_deals.deal (name) VALUES ('j1'), ('j2')$$, 4),
          '2 deals, 10 events', 'section 5: an INSERT, then UPDATEs inside each other');
SELECT is(t.with_trigger('a AFTER INSERT OR UPDATE ON crm_deals.deal FOR EACH STATEMENT',
                         $$INSERT INTO crm_deals.deal (name) VALUES ('k1'), ('k2')$$, 3) ~ ';',
          false, 'section 5: the same by statement triggers');
SELECT is(t.read_in_disorder(), '', 'section 5: a consumer gets the events of each deal in order of version');

-- BEFORE ROW triggers that change deals that the statement has changed before
CREATE FUNCTION t.neighbour() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 AND new.name = 'n3' THEN
        UPDATE crm_deals.deal SET notes = concat(notes, new.name) WHERE name IN ('n1', 'n2');
    END IF;
    RETURN new;
END
$$;
SELECT t.new_deals('n', 5, 'lead') AS none \gset
CREATE TRIGGER neighbour BEFORE UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.neighbour();
UPDATE crm_deals.deal SET amount = 100 WHERE name ~ '^n[1-5]$';
DROP TRIGGER neighbour ON crm_deals.deal;
SELECT is(
    (SELECT string_agg(t.kinds(name) || ' ' || (SELECT count(*) FROM crm_deals.deal_event AS e
                                                WHERE e.deal_id = d.id AND e.changes ? 'amount' AND e.version = 2),
                       ', ' ORDER BY name)
     FROM crm_deals.deal AS d WHERE name ~ '^n[1-5]$'),
    'created updated updated 1, created updated updated 1, created updated 1, created updated 1, created updated 1',
    'section 5: a BEFORE ROW trigger that changes others of the same statement');
DELETE FROM crm_deals.deal WHERE name ~ '^n[1-5]$';
SELECT t.new_deals('n', 5, 'lead') AS none \gset
CREATE TRIGGER zzz_neighbour BEFORE UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.neighbour();
UPDATE crm_deals.deal SET amount = 100 WHERE name ~ '^n[1-5]$';
DROP TRIGGER zzz_neighbour ON crm_deals.deal;
SELECT is(t.kinds('n1'), 'created updated updated', 'section 5: and one that sorts after ours');
SELECT is_empty('SELECT t.disorder()', 'section 5: their ids, too, rise with the version');
-- AFTER ROW triggers that change others: before, after, and the same, with deletes
CREATE FUNCTION t.others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() <= 2 THEN
        UPDATE crm_deals.deal SET notes = concat(notes, '+') WHERE name ~ '^d[1-5]$';
    END IF;
    IF new.name = 'd3' AND pg_trigger_depth() = 1 THEN
        DELETE FROM crm_deals.deal WHERE id = new.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER others AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.others();
UPDATE crm_deals.deal SET amount = 200 WHERE name ~ '^d[1-5]$';
DROP TRIGGER others ON crm_deals.deal;
SELECT is_empty('SELECT t.disorder()',
                'section 5: an AFTER ROW trigger that changes all of the statement, twice, and deletes one');
SELECT is(t.read_in_disorder(), '', 'section 5: a consumer gets them in order of version');

-- Upserts, MERGE, WITH, functions, several in one statement, with such a trigger
CREATE TRIGGER again AFTER INSERT
OR UPDATE ON crm_deals.deal FOR EACH ROW WHEN (pg_trigger_depth() < 3) EXECUTE FUNCTION t.again('1000');
INSERT INTO crm_deals.deal (name, external_id, amount) VALUES ('u1', 'u1', 0), ('u2', 'u2', 0)
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET amount = excluded.amount;
INSERT INTO crm_deals.deal (name, external_id, amount) VALUES ('u1', 'u1', 0), ('u4', 'u4', 0), ('u2', 'u2', 0)
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET amount = excluded.amount;
INSERT INTO crm_deals.deal (name, external_id, amount) VALUES ('u3', 'u3', 0), ('u1', 'u1', 0), ('u2', 'u2', 0)
ON CONFLICT DO NOTHING;
INSERT INTO crm_deals.deal (name, external_id, amount) SELECT 'v' || n, 'v' || n, n FROM generate_series(1, 50) AS n;
UPDATE crm_deals.deal SET amount = 1 WHERE external_id LIKE 'v%';
MERGE INTO crm_deals.deal AS d
USING (SELECT 'v' || n AS id FROM generate_series(40, 60) AS n) AS s ON d.external_id = s.id
WHEN MATCHED AND s.id = 'v45' THEN DELETE WHEN MATCHED THEN UPDATE SET amount = 2
WHEN NOT MATCHED THEN INSERT (name, external_id) VALUES (s.id, s.id);
WITH one AS (UPDATE crm_deals.deal SET amount = 3 WHERE external_id = 'v1' RETURNING id),
     two AS (INSERT INTO crm_deals.deal (name, external_id) VALUES ('w', 'w') RETURNING id),
     three AS (DELETE FROM crm_deals.deal WHERE external_id = 'v3') UPDATE crm_deals.deal
SET amount = 4 WHERE external_id = 'v2';
SELECT crm_deals.move_deal(t.deal('v4'), 'won', note => 'x') AS none \gset
SELECT count(*) AS none
FROM crm_deals.move_deals(ARRAY(SELECT id FROM crm_deals.deal WHERE external_id LIKE 'v%'), 'proposal') \gset
UPDATE crm_deals.stage SET status = 'abandoned' WHERE id = t.stage('proposal');
UPDATE crm_deals.stage SET status = 'open' WHERE id = t.stage('proposal');
COPY crm_deals.deal (name, external_id) FROM STDIN;
c1	c1
c2	c2
\.
SELECT is_empty('SELECT t.disorder()',
                'section 5: upserts, bulk, MERGE, WITH, COPY, functions and changes of stages with such a trigger');
SELECT is(t.read_in_disorder(), '', 'section 5: a consumer gets them in order of version, too');
DROP TRIGGER again ON crm_deals.deal;

-- Savepoints: what is rolled back loses its ids.
CREATE FUNCTION t.perhaps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(new.amount, 0) < 3 THEN
        BEGIN
            UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE id = new.id;
            IF new.id % 2 = 0 AND pg_trigger_depth() > 1 THEN RAISE EXCEPTION USING ERRCODE = 'TT001'; END IF;
        EXCEPTION WHEN SQLSTATE 'TT001' THEN
            UPDATE crm_deals.deal SET notes = 'taken back', amount = 5 WHERE id = new.id;
        END;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER perhaps AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.perhaps();
UPDATE crm_deals.deal SET amount = 0 WHERE external_id LIKE 'v%';
BEGIN;
UPDATE crm_deals.deal SET amount = 0 WHERE name = 'd1';
SAVEPOINT a;
UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1';
ROLLBACK TO a;
UPDATE crm_deals.deal SET amount = 2 WHERE name IN ('d1', 'd2');
SAVEPOINT b;
UPDATE crm_deals.deal SET amount = 0 WHERE name IN ('d1', 'd2');
RELEASE b;
DELETE FROM crm_deals.deal WHERE name = 'd2';
COMMIT;
DROP TRIGGER perhaps ON crm_deals.deal;
SELECT is_empty('SELECT t.disorder()', 'section 5: savepoints inside triggers, half of them taken back');
-- A statement that fails in the middle, and one after it in the same transaction
CREATE FUNCTION t.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE crm_deals.deal SET notes = concat(notes, 'f') WHERE id = new.id AND pg_trigger_depth() < 2;
    IF new.name = 'd4' THEN RAISE EXCEPTION USING ERRCODE = 'TT001'; END IF;
    RETURN NULL;
END
$$;
BEGIN;
CREATE TRIGGER fail AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.fail();
SELECT is(t.try('UPDATE crm_deals.deal SET amount = 7 WHERE name ~ ''^d[1-5]$'''), 'TT001',
          'section 5: a statement that fails inside a trigger');
DROP TRIGGER fail ON crm_deals.deal;
UPDATE crm_deals.deal SET amount = 8 WHERE name ~ '^d[1-5]$';
COMMIT;
SELECT is_empty('SELECT t.disorder()', 'section 5: the next ones take ids after all');
SELECT is(t.read_in_disorder(), '', 'section 5: a consumer gets all of it in order of version');
SELECT is(t.read_in_disorder(), 'nothing', 'section 5: once');

-- A batch is a statement: those inside it are batches of their own.
CREATE TRIGGER again AFTER UPDATE ON crm_deals.deal FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION t.again('1000000');
SELECT t.batches() AS none \gset
UPDATE crm_deals.deal SET notes = 'batch' WHERE name IN ('d1', 'd4', 'd5');
DROP TRIGGER again ON crm_deals.deal;
SELECT is((SELECT string_agg(DISTINCT b.deals, ', ')
           FROM (SELECT string_agg(e.deal_id::text, ' ' ORDER BY e.deal_id) AS deals FROM crm_deals.deal_event AS e
                 WHERE e.id > (SELECT max(id) FROM t.mark) AND e.deal_id IN (t.deal('d1'), t.deal('d4'), t.deal('d5'))
                 GROUP BY e.batch_id) AS b),
          (SELECT string_agg(d.id::text, ' ' ORDER BY d.id) FROM crm_deals.deal AS d WHERE name IN ('d1', 'd4', 'd5')),
          'section 5: batch_id: outer and inner statement each have all their events');
SELECT matches(t.batches(), '^2 batches', 'section 5: batch_id: two statements, two batches');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
