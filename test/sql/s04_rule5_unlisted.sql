\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 5, forbid_unlisted: moves to open and won stages must be in stage_transition.
SELECT crm_deals.create_pipeline('Listed', '[{"name": "A", "next": ["b", "c"]}, {"name": "B", "next": ["c", "a"]},
    {"name": "C", "next": ["w"]}, {"name": "D"},
    {"name": "Won", "key": "w", "status": "won"}, {"name": "Lost", "key": "l", "status": "lost", "next": ["d"]},
    {"name": "Silent", "key": "s", "status": "abandoned"}]',
    gates => '{"forbid_unlisted": true}') AS listed \gset
CREATE FUNCTION t.ways(deal_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.key, ' ' ORDER BY s.position) FILTER (WHERE t.dry(
               format('UPDATE crm_deals.deal SET stage_id = %s, lost_reason = %L WHERE name = %L', s.id,
                      CASE s.status WHEN 'lost' THEN 'price' END, deal_name)) = 'done')
    FROM crm_deals.stage AS s WHERE s.pipeline_id = t.pipeline('Listed')
$$;
CREATE FUNCTION t.starts() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.key, ' ' ORDER BY s.position) FILTER (WHERE t.dry(
               format('INSERT INTO crm_deals.deal (name, stage_id, lost_reason) VALUES (''x'', %s, %L)', s.id,
                      CASE s.status WHEN 'lost' THEN 'price' END)) = 'done')
    FROM crm_deals.stage AS s WHERE s.pipeline_id = t.pipeline('Listed')
$$;
SELECT is((SELECT string_agg(f.key || '>' || s.key, ' ' ORDER BY f.position, s.position)
           FROM crm_deals.stage_transition AS x
           JOIN crm_deals.stage AS f ON f.id = x.from_stage_id JOIN crm_deals.stage AS s ON s.id = x.to_stage_id),
          'a>b a>c b>a b>c c>w l>d', 'section 3: next of create_pipeline is in stage_transition');
-- With the gate off deals stand everywhere.
UPDATE crm_deals.pipeline SET forbid_unlisted = false WHERE id = :listed;
SELECT t.new_deal('in ' || s.key, s.key, 'Listed') AS none FROM crm_deals.stage AS s WHERE pipeline_id = :listed
\g /dev/null
UPDATE crm_deals.pipeline SET forbid_unlisted = true WHERE id = :listed;
SELECT is(t.ways('in ' || v.key), v.ways, 'rule 5 forbid_unlisted: from ' || v.key || ' to ' || v.ways)
FROM (VALUES ('a', 'a b c l s'), ('b', 'a b c l s'), ('c', 'c w l s'), ('d', 'd l s'), ('w', 'w l s'), ('l', 'd l s'),
             ('s', 'l s')) AS v (key, ways);
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('d', 'Listed') WHERE name = 'in a'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_unlisted: the error is deal_gate');
SELECT is(t.starts(), 'a l s', 'rule 5 forbid_unlisted: without a listed start the first open stage is one');
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
VALUES (NULL, t.stage('b', 'Listed')), (NULL, t.stage('w', 'Listed'));
SELECT is(t.starts(), 'b w l s', 'section 3: transitions from NULL are the permitted starts');
SELECT t.new_deal('from afar', 'lead') AS none \gset
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Listed') WHERE name = 'from afar'$$),
          'done', 'rule 5 forbid_unlisted: a change of pipeline counts as INSERT there: to a listed start');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('c', 'Listed') WHERE name = 'from afar'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_unlisted: and to no other stage');
-- The list is read anew.
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
VALUES (t.stage('d', 'Listed'), t.stage('w', 'Listed'));
SELECT is(t.ways('in d'), 'd w l s', 'rule 5 forbid_unlisted: a move that was listed since is free');
DELETE FROM crm_deals.stage_transition WHERE from_stage_id = t.stage('d', 'Listed');
SELECT is(t.ways('in d'), 'd l s', 'rule 5 forbid_unlisted: one that was unlisted is not');
UPDATE crm_deals.stage_transition SET to_stage_id = t.stage('d', 'Listed')
WHERE from_stage_id = t.stage('a', 'Listed') AND to_stage_id = t.stage('b', 'Listed');
SELECT is(t.ways('in a'), 'a c d l s', 'rule 5 forbid_unlisted: one that was changed leads elsewhere');
TRUNCATE crm_deals.stage_transition;
SELECT is(t.ways('in a') || ', ' || t.starts(), 'a l s, a l s',
          'rule 5 forbid_unlisted: an empty list leaves the first open stage, lost and abandoned');
-- A pipeline without an open stage has no start but a listed one.
SELECT crm_deals.create_pipeline('Shut', '[{"key": "w", "name": "Won", "status": "won"},
    {"key": "l", "name": "Lost", "status": "lost"}]', gates => '{"forbid_unlisted": true}') AS shut \gset
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('w', 'Shut') WHERE name = 'from afar'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_unlisted: without an open stage a won one is no start');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('l', 'Shut'), lost_reason = 'x'
                  WHERE name = 'from afar'$$),
          'done', 'rule 5 forbid_unlisted: a lost one stays reachable');
INSERT INTO crm_deals.stage_transition (to_stage_id) VALUES (t.stage('w', 'Shut'));
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('w', 'Shut') WHERE name = 'from afar'$$),
          'done', 'rule 5 forbid_unlisted: unless it is listed as one');
SELECT is(t.dry($$INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
                  SELECT t.stage('a', 'Listed'), t.stage('b', 'Listed')
                  FROM generate_series(1, 2)$$),
          '23505 stage_transition stage_transition_once', 'section 3: a transition is listed once');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
