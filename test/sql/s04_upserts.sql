\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rules 4 and 5 check an upsert by what it does: as an INSERT if it inserts the row, as an UPDATE if it updates it.
SELECT crm_deals.create_pipeline('Strict',
                                 '[{"name": "A"}, {"name": "B", "probability": 20}, {"name": "C", "probability": 30}, '
                                 '{"name": "Won", "key": "w", "status": "won"}, '
                                 '{"name": "Lost", "key": "l", "status": "lost"}]',
    gates => '{"forbid_skipping": true}') AS strict \gset
CREATE FUNCTION t.upsert(ext text, stage_key text, action text, reason text DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT format('INSERT INTO crm_deals.deal (name, external_id, stage_id, amount, lost_reason)
                   VALUES (%L, %L, %s, 7, %L)
                   ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO %s',
                  ext, ext, t.stage(stage_key, 'Strict'), reason, action)
$$;
INSERT INTO crm_deals.deal (name, external_id, stage_id)
VALUES ('x', 'x', t.stage('a', 'Strict')), ('y', 'y', t.stage('a', 'Strict'));
UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Strict') WHERE name = 'x';

-- ON CONFLICT DO NOTHING
SELECT is(t.after(t.upsert('x', 'c', 'NOTHING'), $$SELECT t.state('x')$$), 'b open 20 v2',
          'rule 5: DO NOTHING on a row that exists breaks no gate');
SELECT is(t.after(t.upsert('x', 'l', 'NOTHING'), $$SELECT t.state('x')$$), 'b open 20 v2', 'rule 5: nor rule 4');
SELECT is(t.dry(t.upsert('z', 'c', 'NOTHING')), '23514 deal.stage_id deal_gate',
          'rule 5: one that is inserted is judged');
SELECT is(t.dry(t.upsert('z', 'l', 'NOTHING')), '23514 deal.stage_id deal_gate', 'rule 5: all of it');
SELECT is(t.after(t.upsert('z', 'a', 'NOTHING'), $$SELECT t.state('z')$$), 'a open 0 v1',
          'rule 5: inserted where it may start');

-- ON CONFLICT DO UPDATE
SELECT is(t.after(t.upsert('x', 'w', 'UPDATE SET amount = excluded.amount'), $$SELECT t.state('x')$$), 'b open 20 v3',
          'rule 5: DO UPDATE of another column is judged as that UPDATE');
SELECT is(t.after(t.upsert('x', 'c', 'UPDATE SET stage_id = excluded.stage_id'), $$SELECT t.state('x')$$),
          'c open 30 v3', 'rule 5: DO UPDATE of the stage is judged as a move: one step');
SELECT is(t.dry(t.upsert('y', 'c', 'UPDATE SET stage_id = excluded.stage_id')), '23514 deal.stage_id deal_gate',
          'rule 5: two steps are refused');
SELECT is(t.after(t.upsert('x', 'c', 'UPDATE SET stage_id = excluded.stage_id, status = excluded.status,
                                          probability = excluded.probability,
                                      closed_at = excluded.closed_at, currency = excluded.currency,
                                      lost_reason = excluded.lost_reason, custom_fields = excluded.custom_fields'),
                  $$SELECT t.state('x')$$),
          'c open 30 v3', 'rule 5: what EXCLUDED carries may be derived already');
SELECT is(t.dry(t.upsert('y', 'l', 'UPDATE SET stage_id = excluded.stage_id')),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: DO UPDATE into lost needs a reason');
SELECT is(t.after(t.upsert('y', 'l', 'UPDATE SET stage_id = excluded.stage_id, lost_reason = excluded.lost_reason',
                           'price'),
                  $$SELECT t.state('y')$$),
          'l lost 0 closed (price) v2', 'rule 4: and takes it');
SELECT is(t.dry(t.upsert('z', 'c', 'UPDATE SET amount = excluded.amount')), '23514 deal.stage_id deal_gate',
          'rule 5: an upsert that inserts is judged as INSERT');
SELECT is(t.after(t.upsert('x', 'c', 'UPDATE SET amount = 7 WHERE false'), $$SELECT t.state('x')$$), 'b open 20 v2',
          'rule 5: DO UPDATE … WHERE that takes no row does nothing');
SELECT is(t.after(t.upsert('x', 'c', 'UPDATE SET amount = excluded.amount'), $$SELECT t.kinds('x')$$),
          'created stage_changed updated', 'rule 7: an upsert that updates is logged as updated');

-- Mixed, in one statement
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
INSERT INTO crm_deals.deal (name, external_id, stage_id, amount)
VALUES ('m1', 'm1', t.stage('a', 'Strict'), 1), ('x', 'x', t.stage('w', 'Strict'), 2),
       ('m2', 'm2', t.stage('a', 'Strict'), 3), ('y', 'y', t.stage('l', 'Strict'), 4)
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET amount = excluded.amount;
SELECT is((SELECT string_agg(d.name || ' ' || e.kind || ' ' || e.amount, ', ' ORDER BY d.name)
           FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          'm1 created 1, m2 created 3, x updated 2, y updated 4',
          'rule 7: a mixed upsert logs what happened to each row');
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 1::bigint,
          'section 5: as one batch');
-- The same key without an organization is the same deal
SELECT is(t.try($$INSERT INTO crm_deals.deal (name, external_id) VALUES ('again', 'x')$$),
          '23505 deal deal_external_id', 'section 3: external_id is unique, also where there is no organization');
SELECT crm_deals.create_pipeline('Acme', organization => 'acme') AS acme \gset
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, external_id, organization) VALUES ('again', 'x', 'acme')$$), 'done',
          'section 3: per organization');

-- MERGE
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
MERGE INTO crm_deals.deal AS d
USING (VALUES ('x', 'c', 'move'), ('y', NULL, 'delete'), ('m1', NULL, 'amount'), ('n', 'a', 'insert'),
              ('m2', NULL, 'nothing')) AS s (ext, stage_key, what) ON d.external_id = s.ext
WHEN MATCHED AND s.what = 'delete' THEN DELETE
WHEN MATCHED AND s.what = 'move' THEN UPDATE SET stage_id = t.stage(s.stage_key, 'Strict')
WHEN MATCHED AND s.what = 'amount' THEN UPDATE SET amount = 50
WHEN MATCHED THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT (name, external_id, stage_id) VALUES (s.ext, s.ext, t.stage(s.stage_key, 'Strict'));
SELECT is((SELECT string_agg(e.kind || ' v' || e.version, ', ' ORDER BY e.kind) FROM crm_deals.deal_event AS e
           WHERE e.id > :last_event),
          'created v1, deleted v3, stage_changed v4, updated v2', 'rule 7: MERGE logs what happened to each row');
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 1::bigint,
          'section 5: as one batch');
SELECT is(t.dry($$MERGE INTO crm_deals.deal AS d USING (VALUES ('q')) AS s (ext) ON d.external_id = s.ext
                  WHEN NOT MATCHED THEN INSERT (name, stage_id) VALUES (s.ext, t.stage('c', 'Strict'))$$),
          '23514 deal.stage_id deal_gate', 'rule 5: gates hold in MERGE … INSERT');
SELECT is(t.dry($$MERGE INTO crm_deals.deal AS d USING (VALUES ('m1')) AS s (ext) ON d.external_id = s.ext
                  WHEN MATCHED THEN UPDATE SET stage_id = t.stage('c', 'Strict')$$),
          '23514 deal.stage_id deal_gate', 'rule 5: and in MERGE … UPDATE');
SELECT is(t.dry($$MERGE INTO crm_deals.deal AS d USING (VALUES ('m1')) AS s (ext) ON d.external_id = s.ext
                  WHEN MATCHED THEN UPDATE SET status = 'won'$$),
          '23514 deal.status deal_status_matches_stage', 'rule 1: as does the status');

-- COPY
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
COPY crm_deals.deal (name, external_id, amount, custom_fields) FROM stdin;
c1	c1	10	{"a": 1}
c2	c2	\N	{}
c3	c3	30	{}
\.
SELECT is((SELECT string_agg(t.state(d.name) || ' ' || e.kind, ', ' ORDER BY d.name) FROM crm_deals.deal_event AS e
           JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          'lead open 10 v1 created, lead open 10 v1 created, lead open 10 v1 created',
          'rule 7: COPY obeys the rules and logs each row');
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 1::bigint,
          'section 5: as one batch');
\set ON_ERROR_STOP off
COPY crm_deals.deal (name, status) FROM stdin;
fine	open
not fine	won
\.
\set ON_ERROR_STOP on
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE name LIKE '%fine'), 0::bigint,
          'rule 1: a COPY with one row that contradicts leaves nothing');

-- Data-modifying WITH
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
WITH gone AS (DELETE FROM crm_deals.deal WHERE name = 'c1' RETURNING name),
     changed AS (UPDATE crm_deals.deal SET amount = 99 WHERE name = 'c2' RETURNING name),
     made AS (INSERT INTO crm_deals.deal (name) SELECT name || ' again' FROM gone RETURNING name)
UPDATE crm_deals.deal SET notes = 'from WITH' WHERE name = 'c3';
SELECT is((SELECT string_agg(e.kind || ' v' || e.version, ', ' ORDER BY e.kind, e.version)
           FROM crm_deals.deal_event AS e WHERE e.id > :last_event),
          'created v1, deleted v2, updated v2, updated v2', 'rule 7: each part of a data-modifying WITH is logged');
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 1::bigint,
          'section 5: as one batch');
SELECT is(t.dry($$WITH x AS (INSERT INTO crm_deals.deal (name, stage_id) VALUES ('w', t.stage('c', 'Strict'))
                             RETURNING 1)
                  SELECT * FROM x$$),
          '23514 deal.stage_id deal_gate', 'rule 5: gates hold in WITH');
-- Two statements are two batches, in one transaction, too.
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
BEGIN;
UPDATE crm_deals.deal SET amount = 1 WHERE name IN ('c2', 'c3');
UPDATE crm_deals.deal SET amount = 2 WHERE name IN ('c2', 'c3');
COMMIT;
SELECT is((SELECT string_agg(n::text, ' ')
           FROM (SELECT count(*) AS n FROM crm_deals.deal_event WHERE id > :last_event GROUP BY batch_id) AS b),
          '2 2', 'section 5: one number a statement');
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
UPDATE crm_deals.deal SET amount = 1 WHERE name = 'c2' \; UPDATE crm_deals.deal SET amount = 1 WHERE name = 'c3';
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 2::bigint,
          'section 5: also of one query string');
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
DO $$BEGIN FOR n IN 1 .. 3 LOOP UPDATE crm_deals.deal SET amount = 10 + n WHERE name = 'c2'; END LOOP; END$$;
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 3::bigint,
          'section 5: also of one function');
-- Statements of a user's trigger between the triggers of an upsert are batches of their own.
CREATE FUNCTION t.nest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.name <> 'c3' THEN UPDATE crm_deals.deal SET notes = 'nested by ' || new.name WHERE name = 'c3'; END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER nest AFTER INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.nest();
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
INSERT INTO crm_deals.deal (name, external_id, amount)
VALUES ('n1', 'n1', 1), ('m1', 'm1', 2), ('n2', 'n2', 3), ('x', 'x', 4)
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET amount = excluded.amount + 60;
DROP TRIGGER nest ON crm_deals.deal;
SELECT is((SELECT string_agg(names, '; ' ORDER BY names)
           FROM (SELECT string_agg(d.name, ' ' ORDER BY d.name) AS names FROM crm_deals.deal_event AS e
                 JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event GROUP BY batch_id) AS b),
          'c3; c3; c3; c3; m1 n1 n2 x', 'section 5: one number a statement, also where triggers run others in between');
-- RETURNING gives what is stored. Writing through an updatable view works, too.
WITH written AS (UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'c2'
                 RETURNING status, probability, version, closed_at IS NOT NULL AS closed)
SELECT is((SELECT concat_ws(' ', status, probability, closed) FROM written), 'won 100 t',
          'rule 1: RETURNING gives what was derived');
CREATE VIEW t.my_deals AS SELECT id, name, stage_id, status FROM crm_deals.deal;
SELECT is(t.after($$UPDATE t.my_deals SET stage_id = t.stage('won') WHERE name = 'c3'$$, $$SELECT t.state('c3')$$)
              ~ '^won won 100 closed',
          true, 'rule 1: holds through a view of the user''s');
SELECT is(t.dry($$UPDATE t.my_deals SET status = 'lost' WHERE name = 'c3'$$),
          '23514 deal.status deal_status_matches_stage', 'rule 1: a contradiction, too');
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE batch_id NOT IN (SELECT id FROM crm_deals.deal_event)),
          0::bigint, 'section 5: a batch has the number of one of its events');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
