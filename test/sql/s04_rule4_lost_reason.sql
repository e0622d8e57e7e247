\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 4: a lost deal has a reason if its pipeline requires one.
SELECT crm_deals.create_pipeline('Catalogue', '[{"name": "Start"}, {"name": "Won", "status": "won"},
    {"name": "Lost", "status": "lost"},
    {"name": "Refused", "status": "lost"}, {"name": "Silent", "status": "abandoned"}]') AS catalogue \gset
INSERT INTO crm_deals.lost_reason (pipeline_id, name, is_active)
VALUES (:catalogue, 'price', true), (:catalogue, 'timing', true), (:catalogue, 'fax', false);
SELECT crm_deals.create_pipeline('Easy') AS easy \gset
UPDATE crm_deals.pipeline SET lost_reason_required = false WHERE id = :easy;
SELECT t.new_deals('d', 3, 'lead') AS none \gset
SELECT t.new_deals('c', 3, 'start', 'Catalogue') AS none \gset
SELECT t.new_deals('e', 3, 'lead', 'Easy') AS none \gset

SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('lost') WHERE name = 'd1'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: entering a lost stage needs a reason');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('a', t.stage('lost'))$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: on INSERT too');
SELECT is(t.dry(format('UPDATE crm_deals.deal SET stage_id = t.stage(''lost''), lost_reason = %L WHERE name = ''d1''',
                       v.reason)),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: ' || v.what || ' is no reason')
FROM (VALUES ('', 'an empty text'), (E' \t\n', 'a blank text')) AS v (reason, what);
UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price' WHERE name = 'd1';
SELECT is(t.state('d1'), 'lost lost 0 closed (price) v2', 'rule 4: with one it is lost');

-- The rule is checked when a deal enters the stage, and when the reason changes.
SELECT is(t.after($$UPDATE crm_deals.deal SET lost_reason = 'timing' WHERE name = 'd1'$$, $$SELECT t.state('d1')$$),
          'lost lost 0 closed (timing) v3', 'rule 4: the reason of a lost deal may change');
SELECT is(t.dry($$UPDATE crm_deals.deal SET lost_reason = NULL WHERE name = 'd1'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: a lost deal cannot lose its reason');
SELECT is(t.dry($$UPDATE crm_deals.deal SET lost_reason = ' ' WHERE name = 'd1'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: nor blank it');
UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Easy') WHERE name = 'e1';
SELECT is(t.state('e1'), 'lost lost 0 closed v2', 'rule 4: a pipeline that asks for none gets none');
UPDATE crm_deals.pipeline SET lost_reason_required = true WHERE id = :easy;
SELECT is(t.after($$UPDATE crm_deals.deal SET notes = 'any' WHERE name = 'e1'$$, $$SELECT t.state('e1')$$),
          'lost lost 0 closed v3',
          'rule 4: a deal lost before the pipeline asked is not judged when another column changes');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'rule 4: nor by verify()');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Sales') WHERE name = 'e1'$$,
                  $$SELECT concat_ws(' ', t.state('e1'), (SELECT count(*) FROM crm_deals.verify()))$$),
          'lost lost 0 closed v3 0', 'rule 4: nor if it moves on to a lost stage of a pipeline that asks');
SELECT is(t.dry($$UPDATE crm_deals.deal SET lost_reason = '' WHERE name = 'e1'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: but when the reason changes');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Easy') WHERE name = 'e2'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: and the next one that is lost needs one');

-- Leaving clears, the log keeps
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd1';
SELECT is(t.state('d1'), 'lead open 10 v3', 'rule 4: leaving a lost stage clears the reason');
SELECT is((SELECT changes -> 'lost_reason' FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 3),
          '["price", null]', 'rule 4: and the log keeps it');
SELECT is((SELECT lost_reason FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 2),
          'price', 'rule 4: also as a tracked value');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('lost') WHERE name = 'd1'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: losing it again needs a reason again');
SELECT is(t.dry($$UPDATE crm_deals.deal SET lost_reason = 'price' WHERE name = 'd2'$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: a deal that is not lost cannot be given a reason');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, lost_reason) VALUES ('a', 'price')$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 4: on INSERT neither');

-- The catalogue
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Catalogue'), lost_reason = 'bad luck'
                  WHERE name = 'c1'$$),
          '23514 deal.lost_reason deal_lost_reason',
          'section 3: where a pipeline has a catalogue, a reason must be in it');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Catalogue'), lost_reason = 'fax'
                  WHERE name = 'c1'$$),
          '23514 deal.lost_reason deal_lost_reason', 'section 3: one that is not active does not count');
SELECT is(t.error($$UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Catalogue'), lost_reason = 'bad luck'
                    WHERE name = 'c1'$$,
                  'detail') ~ '"price", "timing"',
          true, 'section 10: the error names the reasons there are');
UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Catalogue'), lost_reason = 'timing' WHERE name = 'c1';
SELECT is(t.state('c1'), 'lost lost 0 closed (timing) v2', 'section 3: a reason of the catalogue is taken');
UPDATE crm_deals.deal SET stage_id = t.stage('refused', 'Catalogue') WHERE name = 'c1';
SELECT is(t.state('c1'), 'refused lost 0 closed (timing) v3', 'rule 4: lost -> lost keeps the reason');
DELETE FROM crm_deals.lost_reason WHERE name = 'timing';
SELECT is(t.after($$UPDATE crm_deals.deal SET notes = 'any' WHERE name = 'c1'$$, $$SELECT t.state('c1')$$),
          'refused lost 0 closed (timing) v4', 'rule 4: a reason that left the catalogue stays where it is');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Catalogue') WHERE name = 'c1'$$,
                  $$SELECT t.state('c1')$$),
          'lost lost 0 closed (timing) v4', 'rule 4: and goes along to another lost stage');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('silent', 'Catalogue') WHERE name = 'c2'$$,
                  $$SELECT t.state('c2')$$),
          'silent abandoned 0 closed v2', 'rule 4: abandoned needs no reason');
SELECT is(t.dry($$INSERT INTO crm_deals.lost_reason (pipeline_id, name)
                  SELECT id, 'price'
                  FROM crm_deals.pipeline
                  WHERE name = 'Catalogue'$$),
          '23505 lost_reason lost_reason_once', 'section 3: a reason is in the catalogue once');

-- t.broken() is no use here: e1 was lost before its pipeline required a reason.
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() finds nothing');

SELECT * FROM finish();
