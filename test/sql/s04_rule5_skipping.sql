\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 5, forbid_skipping. There is a won stage between the open stages; it does not count as a step.
SELECT crm_deals.create_pipeline('Steps', '[{"name": "A"}, {"name": "B"},
    {"name": "Early win", "key": "w0", "status": "won"}, {"name": "C"}, {"name": "D"},
    {"name": "Won", "key": "w", "status": "won"}, {"name": "Paid", "key": "w2", "status": "won"},
    {"name": "Lost", "key": "l", "status": "lost"},
    {"name": "Silent", "key": "s", "status": "abandoned"}]',
                                 gates => '{"forbid_skipping": true}') AS steps \gset
-- A deal in any stage, come there by legal steps.
CREATE FUNCTION t.deal_in(name text, path text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm_deals.deal (name, stage_id) VALUES (deal_in.name, t.stage(path[1], 'Steps'));
    FOR step IN 2 .. cardinality(path) LOOP
        UPDATE crm_deals.deal AS d
        SET stage_id = t.stage(path[step], 'Steps'), lost_reason = CASE path[step] WHEN 'l' THEN 'price' END
        WHERE d.name = deal_in.name;
    END LOOP;
END
$$;
-- The stages to which a deal may move from its present stage.
CREATE FUNCTION t.ways(deal_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.key, ' ' ORDER BY s.position) FILTER (WHERE t.dry(
               format('UPDATE crm_deals.deal SET stage_id = %s, lost_reason = %L WHERE name = %L', s.id,
                      CASE s.status WHEN 'lost' THEN 'price' END, deal_name)) = 'done')
    FROM crm_deals.stage AS s WHERE s.pipeline_id = t.pipeline('Steps')
$$;

SELECT t.deal_in('in a', '{a}'), t.deal_in('in b', '{a,b}'), t.deal_in('in c', '{a,b,c}'),
       t.deal_in('in d', '{a,b,c,d}'), t.deal_in('won', '{a,b,c,d,w}'), t.deal_in('lost in a', '{a,l}'),
       t.deal_in('lost in c', '{a,b,c,l}'), t.deal_in('lost in d', '{a,b,c,d,l}'), t.deal_in('silent in b', '{a,b,s}'),
       t.deal_in('lost, then silent', '{a,b,l,s}'), t.deal_in('reopened', '{a,b,c,l,b}') \gset none_
SELECT is(t.ways('in a'), 'a b l s', 'rule 5 forbid_skipping: from the first stage to the next, lost and abandoned');
SELECT is(t.ways('in b'), 'a b c l s', 'rule 5 forbid_skipping: a closed stage between does not count as a step');
SELECT is(t.ways('in c'), 'a b c d l s', 'rule 5 forbid_skipping: backward is free');
SELECT is(t.ways('in d'), 'a b w0 c d w w2 l s', 'rule 5 forbid_skipping: to won only from the last open stage');
SELECT is(t.ways('won'), 'a b w0 c d w w2 l s',
          'rule 5 forbid_skipping: reopening goes no further than the last open stage the deal was in');
SELECT is(t.ways('lost in a'), 'a l s',
          'rule 5 forbid_skipping: a deal lost in the first stage reopens there, and is not won');
SELECT is(t.ways('lost in c'), 'a b c l s', 'rule 5 forbid_skipping: a deal lost in the third reopens up to that');
SELECT is(t.ways('lost in d'), 'a b w0 c d w w2 l s',
          'rule 5 forbid_skipping: lost -> won if the last open stage was the last one');
SELECT is(t.ways('silent in b'), 'a b l s', 'rule 5 forbid_skipping: abandoned as lost');
SELECT is(t.ways('lost, then silent'), 'a b l s',
          'rule 5 forbid_skipping: lost -> abandoned keeps the last open stage');
SELECT is(t.ways('reopened'), 'a b c l s', 'rule 5 forbid_skipping: a reopened deal goes on from where it is');
SELECT is((SELECT string_agg(s.key, ' ' ORDER BY s.position) FILTER (WHERE t.dry(
               format('INSERT INTO crm_deals.deal (name, stage_id, lost_reason) VALUES (''x'', %s, %L)', s.id,
                      CASE s.status WHEN 'lost' THEN 'price' END)) = 'done')
           FROM crm_deals.stage AS s WHERE s.pipeline_id = :steps),
          'a', 'rule 5 forbid_skipping: an INSERT starts in the first open stage');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('c', 'Steps') WHERE name = 'in a'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_skipping: the error is deal_gate');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('x', t.stage('c', 'Steps'))$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_skipping: on INSERT too');

-- A change of pipeline counts as INSERT there.
SELECT t.new_deal('from afar', 'negotiation') AS none \gset
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('a', 'Steps') WHERE name = 'from afar'$$,
                  $$SELECT t.state('from afar')$$),
          'a open 0 v2', 'rule 5 forbid_skipping: a deal of another pipeline enters at the first open stage');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Steps') WHERE name = 'from afar'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 forbid_skipping: and nowhere else');

-- A deal that stays in its stage is not checked. A new gate does not apply to earlier moves.
SELECT is(t.after($$UPDATE crm_deals.deal SET notes = 'any', stage_id = stage_id WHERE name = 'in d'$$,
                  $$SELECT t.state('in d')$$),
          'd open 0 v5', 'rule 5: a deal that stays is not judged');
SELECT crm_deals.create_pipeline('Later') AS later \gset
SELECT t.new_deal('old', 'negotiation', 'Later') AS none \gset
UPDATE crm_deals.pipeline SET forbid_skipping = true WHERE id = :later;
SELECT is(t.after($$UPDATE crm_deals.deal SET amount = 5 WHERE name = 'old'$$, $$SELECT t.state('old')$$),
          'negotiation open 75 v2', 'rule 5: nor one that came there before the gate was set');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('new', t.stage('negotiation', 'Later'))$$),
          '23514 deal.stage_id deal_gate', 'rule 5: a new one is');
UPDATE crm_deals.pipeline SET forbid_skipping = false WHERE id = :later;
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('new', t.stage('negotiation', 'Later'))$$),
          'done', 'rule 5: and no longer when the gate is taken away');
-- Set-based: one bad row refuses the statement.
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Steps')
                  WHERE name IN ('in a', 'in b', 'in c', 'lost in a')$$),
          '23514 deal.stage_id deal_gate', 'rule 5: one row that breaks a rule refuses the whole statement');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
