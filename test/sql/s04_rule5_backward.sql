\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 5, forbid_backward: never to an earlier open stage, nor from closed to open.
SELECT crm_deals.create_pipeline('Steps', '[{"name": "A"}, {"name": "B"}, {"name": "C"}, {"name": "D"},
    {"name": "Won", "key": "w", "status": "won"},
    {"name": "Lost", "key": "l", "status": "lost"}, {"name": "Silent", "key": "s", "status": "abandoned"}]',
                                 gates => '{"forbid_backward": true}') AS steps \gset
CREATE FUNCTION t.ways(deal_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.key, ' ' ORDER BY s.position) FILTER (WHERE t.dry(
               format('UPDATE crm_deals.deal SET stage_id = %s, lost_reason = %L WHERE name = %L', s.id,
                      CASE s.status WHEN 'lost' THEN 'price' END, deal_name)) = 'done')
    FROM crm_deals.stage AS s WHERE s.pipeline_id = t.pipeline('Steps')
$$;
SELECT t.new_deal('in ' || s.key, s.key, 'Steps') AS none FROM crm_deals.stage AS s WHERE pipeline_id = :steps
ORDER BY position
\g /dev/null
SELECT is(t.ways('in ' || v.key), v.ways, 'rule 5 forbid_backward: from ' || v.key || ' to ' || v.ways)
FROM (VALUES ('a', 'a b c d w l s'), ('b', 'b c d w l s'), ('c', 'c d w l s'), ('d', 'd w l s'),
             ('w', 'w l s'), ('l', 'w l s'), ('s', 'w l s')) AS v (key, ways);
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('a', 'Steps') WHERE name = 'in b'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_backward: the error is deal_gate');
SELECT is((SELECT string_agg(s.key, ' ' ORDER BY s.position) FILTER (WHERE t.dry(
               format('INSERT INTO crm_deals.deal (name, stage_id, lost_reason) VALUES (''x'', %s, %L)', s.id,
                      CASE s.status WHEN 'lost' THEN 'price' END)) = 'done')
           FROM crm_deals.stage AS s WHERE s.pipeline_id = :steps),
          'a b c d w l s', 'rule 5 forbid_backward: an INSERT may start anywhere');
SELECT t.new_deal('from afar', 'won') AS none \gset
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Steps') WHERE name = 'from afar'$$),
          'done', 'rule 5 forbid_backward: a change of pipeline counts as INSERT there');
-- Reordering stages checks no deal that stays where it is. Afterwards the new order decides what is earlier.
SELECT crm_deals.reorder_stages(:steps, '{c,a,b,d,w,l,s}') AS none \gset
SELECT is(t.ways('in b'), 'b d w l s', 'rule 5 forbid_backward: the order of the stages is the one of now');
SELECT is(t.ways('in c'), 'c a b d w l s', 'rule 5 forbid_backward: a stage that moved to the front leads to all');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
