\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 3: probability follows the stage until it is overridden.
CREATE FUNCTION t.chance(wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', probability, CASE WHEN probability_overridden THEN 'overridden' END)
            FROM crm_deals.deal WHERE name = wanted);
END
$$;
SELECT t.new_deals('d', 4, 'lead') AS none \gset

SELECT is(t.chance('d1'), '10', 'rule 3: a new deal has its stage''s probability');
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE name = 'd1';
SELECT is(t.chance('d1'), '25', 'rule 3: it moves with the stage');

-- Overriding and ending that
UPDATE crm_deals.deal SET probability = 33 WHERE name = 'd1';
SELECT is(t.chance('d1'), '33 overridden', 'rule 3: a value written is an override');
UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE name = 'd1';
SELECT is(t.chance('d1'), '33 overridden', 'rule 3: it survives a move between open stages');
UPDATE crm_deals.deal SET notes = 'any' WHERE name = 'd1';
SELECT is(t.chance('d1'), '33 overridden', 'rule 3: and a change of another column');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = 50 WHERE name = 'd1'$$, $$SELECT t.chance('d1')$$),
          '50', 'rule 3: a value that equals the stage''s ends the override');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = 50.00 WHERE name = 'd1'$$, $$SELECT t.chance('d1')$$),
          '50', 'rule 3: whatever its scale');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = NULL WHERE name = 'd1'$$, $$SELECT t.chance('d1')$$),
          '50', 'rule 3: NULL ends the override');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability_overridden = false WHERE name = 'd1'$$,
                  $$SELECT t.chance('d1')$$),
          '50', 'rule 3: probability_overridden = false ends it too');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = 40, stage_id = t.stage('negotiation') WHERE name = 'd1'$$,
                  $$SELECT t.chance('d1')$$),
          '40 overridden', 'rule 3: a value written with a move is an override in the new stage');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = 75, stage_id = t.stage('negotiation') WHERE name = 'd1'$$,
                  $$SELECT t.chance('d1')$$),
          '75', 'rule 3: unless it is the new stage''s');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = NULL, stage_id = t.stage('negotiation') WHERE name = 'd1'$$,
                  $$SELECT t.chance('d1')$$),
          '75', 'rule 3: NULL with a move gives the new stage''s');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd1'$$, $$SELECT t.chance('d1')$$),
          '100', 'rule 3: closing as won ends it');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price' WHERE name = 'd1'$$,
                  $$SELECT t.chance('d1')$$),
          '0', 'rule 3: closing as lost ends it');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd1';
                    UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE name = 'd1'$$,
                  $$SELECT t.chance('d1')$$),
          '50', 'rule 3: reopening does not bring it back');
-- What is written to a closed deal
SELECT is(t.after('UPDATE crm_deals.deal SET stage_id = t.stage(''won'') WHERE name = ''d3''; ' || v.next,
                  'SELECT t.chance(''d3'')'), v.result, 'rule 3: a deal that stays won: ' || v.what)
FROM (VALUES ('UPDATE crm_deals.deal SET probability = 80 WHERE name = ''d3''', '23514 deal.probability deal_probability',
              'a number of its own is 23514'),
             ('UPDATE crm_deals.deal SET probability = 100.00 WHERE name = ''d3''', '100', 'the stage''s is none'),
             ('UPDATE crm_deals.deal SET probability = NULL WHERE name = ''d3''', '100', 'NULL is none'),
             ('UPDATE crm_deals.deal SET probability = probability, notes = ''x'' WHERE name = ''d3''', '100',
              'nor is one that is left as it was'),
             ('UPDATE crm_deals.deal SET probability_overridden = true WHERE name = ''d3''', '100',
              'the mark alone says nothing'),
             ('SELECT crm_deals.create_pipeline(''Two'', ''[{"name": "A"}, {"name": "W", "status": "won"}]''); '
              'UPDATE crm_deals.deal SET pipeline_id = t.pipeline(''Two''), probability = 80 WHERE name = ''d3''',
              '23514 deal.probability deal_probability', 'in another pipeline, too'),
             ('UPDATE crm_deals.deal SET stage_id = t.stage(''lost''), lost_reason = ''x'', probability = 80 '
              'WHERE name = ''d3''', '0', 'the statement that loses it derives'),
             ('UPDATE crm_deals.deal SET stage_id = t.stage(''lead''), probability = 80 WHERE name = ''d3''',
              '80 overridden', 'reopened, it may have one'))
     AS v (next, result, what);
SELECT is(t.after(format('UPDATE crm_deals.deal SET stage_id = t.stage(%L), lost_reason = %L, probability = 40 '
                         'WHERE name = ''d3''', v.stage, v.reason), 'SELECT t.chance(''d3'')'),
          v.result, 'rule 3: what comes along with the closing is derived: ' || v.stage)
FROM (VALUES ('won', NULL, '100'), ('lost', 'x', '0')) AS v (stage, reason, result);
SELECT is(t.after('INSERT INTO crm_deals.deal (name, stage_id, probability) VALUES (''a'', t.stage(''won''), 40)',
                  'SELECT t.chance(''a'')'), '100', 'rule 3: and with an INSERT of a closed deal');
SELECT is(t.after('CREATE TEMP TABLE i ON COMMIT DROP AS SELECT ''i'' AS external_id, ''i'' AS name, ''won'' AS stage, '
                  'now() AS closed_at, 40 AS probability; SELECT crm_deals.import_deals(''i''); '
                  'UPDATE i SET probability = 41; SELECT crm_deals.import_deals(''i'')',
                  'SELECT t.chance(''i'')'), '100', 'rule 3: and with an import');
-- 0.1 let a closed deal have a number of its own.
SET session_replication_role = replica;
UPDATE crm_deals.deal SET stage_id = t.stage('won'), status = 'won', probability = 80, probability_overridden = true,
                          closed_at = now()
WHERE name = 'd4';
RESET session_replication_role;
SELECT is(t.after('UPDATE crm_deals.deal ' || v.next || ' WHERE name = ''d4''', 'SELECT t.chance(''d4'')'),
          v.result, 'rule 3: one of 0.1 ' || v.what)
FROM (VALUES ('SET notes = ''x''', '80 overridden', 'stays'),
             ('SET notes = ''x'', probability = 80.0', '80 overridden', 'stays if a client writes it back'),
             ('SET probability = 70', '23514 deal.probability deal_probability', 'takes no other'),
             ('SET probability = 100', '100', 'may be put right'),
             ('SET probability = NULL', '100', 'ends with NULL'),
             ('SET stage_id = t.stage(''lead'')', '10', 'ends when the deal is reopened'),
             ('SET stage_id = t.stage(''lost''), lost_reason = ''x''', '0', 'ends when the deal is lost'),
             ('SET stage_id = t.stage(''lead''), probability = probability', '10', 'ends though the column is named'))
     AS v (next, result, what);
SELECT is((SELECT string_agg(rule || ' ' || detail, ', ') FROM crm_deals.verify() AS v
           WHERE deal_id = t.deal('d4') AND rule = 3),
          '3 probability is 80, its stage''s is 100, and the deal is closed', 'rule 3: verify() lists it');
SET session_replication_role = replica;
DELETE FROM crm_deals.deal WHERE name = 'd4';
ALTER TABLE crm_deals.deal_event DISABLE TRIGGER USER;
DELETE FROM crm_deals.deal_event WHERE deal_id NOT IN (SELECT id FROM crm_deals.deal);
ALTER TABLE crm_deals.deal_event ENABLE TRIGGER USER;
RESET session_replication_role;
-- The stage itself
SELECT is(t.after(v.statement, 'SELECT status || '' '' || probability FROM crm_deals.stage WHERE id = t.stage(''lead'')'),
          v.result, 'rule 3: a stage: ' || v.statement)
FROM (VALUES ('UPDATE crm_deals.stage SET status = ''won'' WHERE id = t.stage(''lead'')', 'won 100'),
             ('UPDATE crm_deals.stage SET status = ''abandoned'' WHERE id = t.stage(''lead'')', 'abandoned 0'),
             ('UPDATE crm_deals.stage SET status = ''won'', probability = probability WHERE id = t.stage(''lead'')',
              'won 100'),
             ('UPDATE crm_deals.stage SET status = ''won'', probability = 40 WHERE id = t.stage(''lead'')',
              '23514 stage stage_probability'),
             ('UPDATE crm_deals.stage SET probability = 99 WHERE id = t.stage(''won'')', '23514 stage stage_probability'),
             ('UPDATE crm_deals.stage SET probability = 1 WHERE id = t.stage(''lost'')', '23514 stage stage_probability'),
             ('INSERT INTO crm_deals.stage (pipeline_id, name, status, probability) VALUES (1, ''x'', ''won'', 0)',
              '23514 stage stage_probability'),
             ('SELECT crm_deals.add_stage(1, ''x'', status => ''lost'', probability => 5)',
              '23514 stage stage_probability'))
     AS v (statement, result);
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, probability) VALUES ('a', 42)$$, $$SELECT t.chance('a')$$),
          '42 overridden', 'rule 3: a value given on INSERT is an override');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, probability) VALUES ('a', 10)$$, $$SELECT t.chance('a')$$),
          '10', 'rule 3: unless it is the stage''s');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, probability) VALUES ('a', NULL)$$, $$SELECT t.chance('a')$$),
          '10', 'rule 3: or NULL');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = 0 WHERE name = 'd2'$$, $$SELECT t.chance('d2')$$),
          '0 overridden', 'rule 3: 0 is a value');
SELECT is(t.after($$UPDATE crm_deals.deal SET probability = 100 WHERE name = 'd2'$$, $$SELECT t.chance('d2')$$),
          '100 overridden', 'rule 3: so is 100');

-- A value that is not one
SELECT alike(t.dry(format('UPDATE crm_deals.deal SET probability = %L WHERE name = ''d2''', v.value)),
             '23514 deal% deal_probability',
             'section 3: probability is 0 to 100, not ' || v.value)
FROM (VALUES ('-0.1'), ('100.1'), ('NaN'), ('Infinity'), ('-Infinity')) AS v (value);

-- The stage's own number is edited
SELECT t.new_deals('p', 3, 'proposal') AS none \gset
UPDATE crm_deals.deal SET probability = 90 WHERE name = 'p3';
SELECT coalesce(max(id), 0) AS last_event FROM crm_deals.deal_event \gset
UPDATE crm_deals.stage SET probability = 55 WHERE id = t.stage('proposal');
SELECT is((SELECT string_agg(name || ' ' || t.chance(name), ', ' ORDER BY name) FROM crm_deals.deal
           WHERE name LIKE 'p_' OR name = 'd1'),
          'd1 33 overridden, p1 55, p2 55, p3 90 overridden',
          'rule 3: deals follow the stage''s own number, overridden ones do not');
SELECT is((SELECT string_agg(d.name || ' ' || e.kind || ' ' || e.changes, ', ' ORDER BY d.name)
           FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          'p1 updated {"probability": [50, 55]}, p2 updated {"probability": [50, 55]}',
          'rule 3: as one updated event a deal');

SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
