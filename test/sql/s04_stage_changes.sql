\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: a change of a stage's status, probability or position.
SELECT crm_deals.create_pipeline('P',
                                 '[{"name": "A", "probability": 10}, {"name": "B", "probability": 20}, '
                                 '{"name": "C", "probability": 30}, {"name": "Won", "key": "w", "status": "won"}, '
                                 '{"name": "Lost", "key": "l", "status": "lost"}]') AS p \gset
SELECT t.new_deals('a', 2, 'a', 'P'), t.new_deals('b', 3, 'b', 'P'), t.new_deals('w', 1, 'w', 'P'),
       t.new_deals('l', 1, 'l', 'P') \gset none_
UPDATE crm_deals.deal SET probability = 90 WHERE name = 'b3';
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
CREATE FUNCTION t.states(pattern text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(name || ': ' || t.state(name), ', ' ORDER BY name) FROM crm_deals.deal
            WHERE name LIKE pattern);
END
$$;

-- status
UPDATE crm_deals.stage SET status = 'won', probability = 100 WHERE id = t.stage('b', 'P');
SELECT is(t.states('b_'), 'b1: b won 100 closed v2, b2: b won 100 closed v2, b3: b won 100 closed v3',
          'section 3: a change of status re-derives the stage''s deals');
SELECT is((SELECT string_agg(concat_ws(' ', d.name, e.kind, e.from_status, e.status, e.from_stage_id = e.to_stage_id),
                             ', ' ORDER BY d.name)
           FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          'b1 won open won t, b2 won open won t, b3 won open won t', 'section 3: logged as a move does');
SELECT is((SELECT bool_and(d.closed_at = e.occurred_at) FROM crm_deals.deal_event AS e
           JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.id > :last_event),
          true, 'section 3: and stamped');
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE id > :last_event), 1::bigint,
          'section 5: as one batch');
SELECT is(t.states('a_') || ' ' || t.states('w_'), 'a1: a open 10 v1, a2: a open 10 v1 w1: w won 100 closed v1',
          'section 3: other stages'' deals stay');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold after open -> won');

-- to lost: a reason is needed
SELECT is(t.try($$UPDATE crm_deals.stage SET status = 'lost', probability = 0 WHERE id = t.stage('b', 'P')$$),
          '23514 deal.lost_reason deal_lost_reason', 'section 3: to lost it needs crm_deals.default_lost_reason');
SELECT matches(t.error($$UPDATE crm_deals.stage SET status = 'lost' WHERE id = t.stage('b', 'P')$$, 'detail'), '\m3\M',
               'section 3: the error has the count');
SELECT is(t.states('b_'), 'b1: b won 100 closed v2, b2: b won 100 closed v2, b3: b won 100 closed v3',
          'section 3: and leaves everything as it was');
SET crm_deals.default_lost_reason = 'reorganized';
UPDATE crm_deals.stage SET status = 'lost', probability = 0 WHERE id = t.stage('b', 'P');
SELECT is(t.states('b_'), 'b1: b lost 0 closed (reorganized) v3, b2: b lost 0 closed (reorganized) v3, '
                          'b3: b lost 0 closed (reorganized) v4', 'section 3: with it they are lost for that reason');
RESET crm_deals.default_lost_reason;
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('a', 'P') WHERE name LIKE 'b_';
                    UPDATE crm_deals.stage SET status = 'open' WHERE id = t.stage('b', 'P');
                    UPDATE crm_deals.stage SET status = 'lost' WHERE id = t.stage('b', 'P')$$,
                  'SELECT t.states(''b_'')'),
          'b1: a open 10 v4, b2: a open 10 v4, b3: a open 10 v5', 'section 3: a stage without deals needs no reason');

-- lost -> abandoned -> open
UPDATE crm_deals.stage SET status = 'abandoned' WHERE id = t.stage('b', 'P');
SELECT is(t.states('b_'), 'b1: b abandoned 0 closed v4, b2: b abandoned 0 closed v4, b3: b abandoned 0 closed v5',
          'rule 4: leaving lost clears the reason');
UPDATE crm_deals.stage SET status = 'open', probability = 25 WHERE id = t.stage('b', 'P');
SELECT is(t.states('b_'), 'b1: b open 25 v5, b2: b open 25 v5, b3: b open 25 v6',
          'rule 2: closed -> open clears the closing time');
SELECT is(t.kinds('b1'), 'created won lost abandoned reopened', 'section 5: each with its kind');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold after closed -> open');
-- The reason of the deals if the pipeline does not require one
UPDATE crm_deals.pipeline SET lost_reason_required = false WHERE id = :p;
SELECT is(
    t.after($$UPDATE crm_deals.stage SET status = 'lost' WHERE id = t.stage('a', 'P')$$, 'SELECT t.states(''a_'')'),
    'a1: a lost 0 closed v2, a2: a lost 0 closed v2', 'section 3: none is needed where the pipeline asks for none');
UPDATE crm_deals.pipeline SET lost_reason_required = true WHERE id = :p;
-- Gates do not judge deals that stay.
UPDATE crm_deals.pipeline SET forbid_skipping = true, forbid_backward = true WHERE id = :p;
SELECT is(
    t.after($$UPDATE crm_deals.stage SET status = 'won' WHERE id = t.stage('a', 'P')$$, 'SELECT t.states(''a_'')'),
    'a1: a won 100 closed v2, a2: a won 100 closed v2', 'rule 5: gates do not judge a deal that stays in its stage');
SELECT is(t.after($$UPDATE crm_deals.stage SET status = 'open' WHERE id = t.stage('w', 'P')$$,
                  'SELECT t.states(''w_'')'),
          'w1: w open 100 v2', 'rule 5: nor does forbid_backward when the stage opens');
UPDATE crm_deals.pipeline SET forbid_skipping = false, forbid_backward = false WHERE id = :p;

-- probability
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
UPDATE crm_deals.stage SET probability = 15 WHERE id = t.stage('a', 'P');
SELECT is(t.states('a_'), 'a1: a open 15 v2, a2: a open 15 v2', 'rule 3: deals follow the stage''s own number');
SELECT is((SELECT string_agg(DISTINCT kind || ' ' || changes, ', ') || ' ' || count(*) FROM crm_deals.deal_event
           WHERE id > :last_event),
          'updated {"probability": [10, 15]} 2', 'rule 3: one updated event a deal');
UPDATE crm_deals.stage SET probability = 15.0 WHERE id = t.stage('a', 'P');
SELECT is(t.states('a_'), 'a1: a open 15 v2, a2: a open 15 v2', 'rule 3: the same number is no change');
UPDATE crm_deals.stage SET probability = probability + 1 WHERE pipeline_id = :p AND status = 'open';
SELECT is(t.states('a_') || ', ' || t.states('b_'),
          'a1: a open 16.0 v3, a2: a open 16.0 v3, b1: b open 26 v6, b2: b open 26 v6, b3: b open 26 v7',
          'rule 3: of several stages at once');

-- position, name: no deal changes
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT crm_deals.reorder_stages(:p, '{c,b,a,w,l}') AS none \gset
UPDATE crm_deals.stage
SET name = upper(name), labels = '{"de": "x"}', description = 'y', rots_after = '3 days', required_fields = '{amount}'
WHERE pipeline_id = :p;
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE id > :last_event), 0::bigint,
          'section 3: position, name, labels, required fields change no deal');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('x', t.pipeline('P'))$$),
          '23514 deal.stage_id deal_required_fields', 'section 3: but the next writer sees them');
UPDATE crm_deals.stage SET required_fields = '{}' WHERE pipeline_id = :p;
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('x', t.pipeline('P'))$$,
                  'SELECT t.state(''x'')'),
          'c open 31 v1', 'section 3: the first open stage is the one of now');
-- In one transaction a writer sees what it has just changed, and forgets what was rolled back.
BEGIN;
SAVEPOINT s;
UPDATE crm_deals.stage SET probability = 99 WHERE id = t.stage('c', 'P');
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('seen', :p);
SELECT is(t.state('seen'), 'c open 99 v1', 'section 3: a change of a stage is seen in its own transaction');
ROLLBACK TO s;
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('unseen', :p);
SELECT is(t.state('unseen'), 'c open 31 v1', 'section 3: and forgotten when it is rolled back');
COMMIT;
-- The event of a changed status has the actor that changed the stage.
SET crm_deals.actor = 'operator';
UPDATE crm_deals.stage SET status = 'won' WHERE id = t.stage('c', 'P');
RESET crm_deals.actor;
SELECT is((SELECT actor || ' ' || kind FROM crm_deals.deal_event WHERE deal_id = t.deal('unseen') AND version = 2),
          'operator won', 'section 4: the actor is who changed the stage');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
