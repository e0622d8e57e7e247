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
-- A deal that is closed already and gets a number of its own
CREATE FUNCTION t.closed_with_override(next text) RETURNS text LANGUAGE sql AS $$
    SELECT t.after('UPDATE crm_deals.deal SET stage_id = t.stage(''won'') WHERE name = ''d3'';
                    UPDATE crm_deals.deal SET probability = 80 WHERE name = ''d3'';' || next, 'SELECT t.chance(''d3'')')
$$;
SELECT is(t.closed_with_override(v.next), v.result, 'rule 3: an override of a closed deal ' || v.what)
FROM (VALUES ('', '80 overridden', 'is one'),
             ($$UPDATE crm_deals.deal SET notes = 'any' WHERE name = 'd3'$$,
              '80 overridden', 'survives a change of another column'),
             ($$UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE name = 'd3'$$,
              '50', 'ends when the deal is reopened'),
             ($$SELECT crm_deals.move_deal(t.deal('d3'), 'proposal')$$,
              '50', 'ends when move_deal() reopens the deal'),
             ($$UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd3'$$,
              '10', 'ends when the deal goes back to its old stage'),
             ($$UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price' WHERE name = 'd3'$$,
              '0', 'ends when the deal is lost'),
             ($$UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price' WHERE name = 'd3';
                UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd3'$$,
              '10', 'does not come back after that'),
             ($$UPDATE crm_deals.deal SET stage_id = t.stage('proposal'), probability = probability WHERE name = 'd3'$$,
              '50', 'ends though the statement names the column'))
     AS v (next, result, what);
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
