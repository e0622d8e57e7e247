\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 3 and 12: add_stage(), reorder_stages(), remove_stage(), archived stages.
CREATE FUNCTION t.stages(pipeline_name text DEFAULT 'Sales') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(key || CASE WHEN archived_at IS NOT NULL THEN '*' ELSE '' END, ' ' ORDER BY position)
            FROM crm_deals.stage WHERE pipeline_id = t.pipeline(pipeline_name));
END
$$;
-- add_stage
SELECT crm_deals.add_stage(:sales, 'Trial run', before_key => 'negotiation', probability => 60,
                           labels => '{"de": "Test"}', required_fields => '{amount}',
                           rots_after => '5 days') AS trial \gset
SELECT is(t.stages(), 'lead qualified proposal trial_run negotiation won lost', 'add_stage: before another');
SELECT is((SELECT concat_ws(' ', name, status, probability, labels, required_fields, rots_after) FROM crm_deals.stage
           WHERE id = :trial),
          'Trial run open 60 {"de": "Test"} {amount} @ 5 days', 'add_stage: everything it may say');
SELECT crm_deals.add_stage(:sales, 'Silent', key => 'gone', status => 'abandoned') AS gone \gset
SELECT is(t.stages() || ' ' || (SELECT probability FROM crm_deals.stage WHERE id = :gone),
          'lead qualified proposal trial_run negotiation won lost gone 0', 'add_stage: at the end without before_key');
SELECT is(t.after(format('SELECT crm_deals.add_stage(%s, ''Zero'', before_key => ''lead'')', :sales),
                  'SELECT t.stages()'),
          'zero lead qualified proposal trial_run negotiation won lost gone', 'add_stage: before the first');
SELECT is(t.after(format('SELECT crm_deals.add_stage(%s, ''Zero'', before_key => ''Lead''); '
                         'INSERT INTO crm_deals.deal (name) VALUES (''x'')',
                         :sales),
                  'SELECT t.state(''x'')'),
          'zero open 0 v1', 'add_stage: where the next deal starts');
SELECT crm_deals.add_stage(:sales, 'Paid', status => 'won') AS paid \gset
SELECT is((SELECT probability || ' ' || status FROM crm_deals.stage WHERE key = 'paid'), '100 won',
          'add_stage: probability 100 for won');
SELECT is(t.dry(v.statement), v.result, 'add_stage: ' || v.statement)
FROM (VALUES ('SELECT crm_deals.add_stage(4711, ''x'')', 'P0002'), ('SELECT crm_deals.add_stage(NULL, ''x'')', 'P0002'),
             ('SELECT crm_deals.add_stage(1, ''x'', before_key => ''nowhere'')', 'P0002'),
             ('SELECT crm_deals.add_stage(1, ''x'', status => ''maybe'')', '22023'),
             ('SELECT crm_deals.add_stage(1, NULL)', '23502 stage.name'),
             ('SELECT crm_deals.add_stage(1, '''')', '23514 stage.name stage_name'),
             ('SELECT crm_deals.add_stage(1, ''x'', key => ''lead'')', '23505 stage stage_pipeline_key'),
             ('SELECT crm_deals.add_stage(1, ''x'', probability => 101)', '23514 stage stage_probability'),
             ('SELECT crm_deals.add_stage(1, ''x'', required_fields => ''{nothing}'')',
              '22023 stage.required_fields')) AS v (statement, result);
SELECT is(t.error('SELECT crm_deals.add_stage(4711, ''x'')', 'detail') ~ 'Sales', true,
          'section 10: an unknown pipeline: naming the ones that exist');
SELECT is(t.error('SELECT crm_deals.add_stage(1, ''x'', before_key => ''nowhere'')', 'detail')
              ~ 'lead.*qualified.*proposal',
          true, 'section 10: an unknown stage: naming the ones that exist');

-- reorder_stages
SELECT crm_deals.reorder_stages(:sales,
                                '{proposal,lead,qualified,trial_run,negotiation,won,lost,paid,gone}') AS none \gset
SELECT is(t.stages(), 'proposal lead qualified trial_run negotiation won lost paid gone',
          'reorder_stages: the order of the keys');
SELECT is(t.dry(format('SELECT crm_deals.reorder_stages(1, %L)', v.keys)), '22023',
          'reorder_stages: must name every stage: ' || coalesce(v.keys, 'NULL'))
FROM (VALUES ('{lead,qualified}'), ('{}'), (NULL),
             ('{lead,qualified,proposal,trial_run,negotiation,won,lost,paid,gone,more}'),
             ('{lead,lead,qualified,proposal,trial_run,negotiation,won,lost,paid,gone}'),
             ('{NULL,lead,qualified,proposal,trial_run,negotiation,won,lost,paid,gone}')) AS v (keys);
SELECT is(t.dry('SELECT crm_deals.reorder_stages(4711, ''{a}'')'), 'P0002',
          'reorder_stages: an unknown pipeline is P0002');
SELECT crm_deals.reorder_stages(:sales,
                                '{lead,qualified,proposal,trial_run,negotiation,won,lost,paid,gone}') AS none \gset

-- remove_stage
SELECT is(crm_deals.remove_stage(t.stage('paid')), 0::bigint, 'remove_stage: of an empty stage moves none');
SELECT is(t.stages(), 'lead qualified proposal trial_run negotiation won lost gone',
          'remove_stage: one that the log does not mention is deleted');
INSERT INTO crm_deals.deal (name, stage_id, amount) SELECT 'r' || n, :trial, 1 FROM generate_series(1, 3) AS n;
SELECT is(t.dry(format('SELECT crm_deals.remove_stage(%s)', :trial)), '23503 deal deal_stage_fkey',
          'remove_stage: of a stage that holds deals is 23503');
SELECT is(t.dry(format('DELETE FROM crm_deals.stage WHERE id = %s', :trial)), '23503 deal deal_stage_fkey',
          'section 3: so is a plain DELETE');
SELECT is(t.dry(format('DELETE FROM crm_deals.pipeline WHERE id = %s', :sales)), '23503 stage stage_pipeline_id_fkey',
          'section 3: and that of a pipeline');
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SELECT is(crm_deals.remove_stage(:trial, t.stage('proposal')), 3::bigint, 'remove_stage: returns the deals moved');
SELECT is((SELECT string_agg(t.state(name), ', ' ORDER BY name) FROM crm_deals.deal WHERE name LIKE 'r_'),
          'proposal open 50 v2, proposal open 50 v2, proposal open 50 v2', 'remove_stage: they are there');
SELECT is((SELECT string_agg(DISTINCT kind, ' ') || ' ' || count(DISTINCT batch_id) FROM crm_deals.deal_event
           WHERE id > :last_event),
          'stage_changed 1', 'remove_stage: as moves, in one batch');
SELECT is(t.stages(), 'lead qualified proposal trial_run* negotiation won lost gone',
          'section 3: a stage that the log mentions is archived');
-- An archived stage
SELECT is(t.dry(format('UPDATE crm_deals.deal SET stage_id = %s WHERE name = ''r1''', :trial)),
          '23514 deal.stage_id deal_stage_archived', 'section 3: no move into an archived stage');
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, stage_id) VALUES (''x'', %s)', :trial)),
          '23514 deal.stage_id deal_stage_archived', 'section 3: no INSERT either');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('r1'), 'trial_run', override => 'x')$$),
          '23514 deal.stage_id deal_stage_archived', 'section 3: nor with an override');
SELECT is((SELECT string_agg(rule, ' ') FROM crm_deals.check_move(t.deal('r1'), 'trial_run')), 'stage_archived',
          'section 3: check_move says so');
SELECT is(t.dry($$DELETE FROM crm_deals.stage WHERE key = 'trial_run'$$), 'done',
          'section 3: a plain DELETE of a stage without deals');
UPDATE crm_deals.pipeline SET forbid_skipping = true WHERE id = :sales;
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('negotiation') WHERE name = 'r1'$$), 'done',
          'rule 5: forbid_skipping passes over an archived stage');
UPDATE crm_deals.stage SET required_fields = '{owner}' WHERE id = :trial;
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('negotiation') WHERE name = 'r1'$$), 'done',
          'rule 5: required fields of an archived stage are not asked');
UPDATE crm_deals.pipeline SET forbid_skipping = false WHERE id = :sales;
SELECT crm_deals.reorder_stages(:sales, '{qualified,lead,proposal,negotiation,won,lost,gone}') AS none \gset
SELECT is(regexp_replace(t.stages(), ' ?trial_run\*', ''), 'qualified lead proposal negotiation won lost gone',
          'reorder_stages: need not name an archived stage');
SELECT crm_deals.reorder_stages(:sales, '{lead,qualified,proposal,negotiation,won,lost,gone}') AS none \gset
UPDATE crm_deals.stage SET archived_at = NULL WHERE id = :trial;
SELECT is(t.dry(format('UPDATE crm_deals.deal SET stage_id = %s, amount = 1, owner = ''a'' WHERE name = ''r1''',
                       :trial)),
          'done', 'section 3: a stage may come back');
-- A stage that holds deals
CREATE FUNCTION t.archive(key text) RETURNS text LANGUAGE sql
RETURN format('UPDATE crm_deals.stage SET archived_at = now() WHERE id = %s', t.stage(key));
SELECT is(t.dry(t.archive('proposal')), '23503 deal.stage_id deal_stage_fkey',
          'section 3: archiving a stage that holds deals is 23503');
SELECT is(t.dry('INSERT INTO crm_deals.stage (id, pipeline_id, name) SELECT id, pipeline_id, name FROM crm_deals.stage '
                'WHERE key = ''proposal'' ON CONFLICT (id) DO UPDATE SET archived_at = now()'),
          '23503 deal.stage_id deal_stage_fkey', 'section 3: an upsert is refused, too');
-- In 0.1 one could archive a stage while deals were in it: the deals still work, and verify() lists them.
SET session_replication_role = replica;
UPDATE crm_deals.stage SET archived_at = now() WHERE id = t.stage('proposal');
RESET session_replication_role;
SELECT is((SELECT string_agg(rule || ' ' || (deal_id = t.deal('r1')), ', ') FROM crm_deals.verify() AS v
           WHERE deal_id = t.deal('r1') AND detail ~ 'archived'),
          '0 true', 'verify() lists the deals of an archived stage');
SELECT is(t.dry('UPDATE crm_deals.stage SET archived_at = archived_at - interval ''1 day'', name = ''Old'' '
                'WHERE key = ''proposal'''), 'done', 'section 3: such a stage can be changed');
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = 5 WHERE name = 'r1'$$), 'done',
          'section 3: a deal in an archived stage goes on');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'r1'$$), 'done',
          'section 3: and may leave it');
UPDATE crm_deals.stage SET archived_at = NULL WHERE id = t.stage('proposal');
-- The first open stage is none that is archived.
UPDATE crm_deals.stage SET archived_at = now() WHERE id = t.stage('lead');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name) VALUES ('x')$$, $$SELECT t.state('x')$$), 'qualified open 25 v1',
          'section 3: a deal does not start in an archived stage');
UPDATE crm_deals.stage SET archived_at = NULL WHERE id = t.stage('lead');
-- remove_stage with rules in the way
UPDATE crm_deals.pipeline SET forbid_skipping = true, forbid_backward = true WHERE id = :sales;
SELECT is(t.after(format('SELECT crm_deals.remove_stage(%s, %s)', t.stage('proposal'), t.stage('lead')),
                  $$SELECT t.state('r1')$$),
          'lead open 10 v3', 'remove_stage: gates do not stop it');
SELECT is(t.dry(format('SELECT crm_deals.remove_stage(%s, %s)', t.stage('proposal'), t.stage(v.target))),
          '23514 deal.status deal_status_matches_stage', 'section 3: deals do not become ' || v.target || ' with it')
FROM (VALUES ('won'), ('lost'), ('gone')) AS v (target);
UPDATE crm_deals.pipeline SET forbid_skipping = false, forbid_backward = false WHERE id = :sales;
SELECT crm_deals.create_pipeline('Other', '[{"name": "In", "probability": 5}]') AS other \gset
SELECT is(t.after(format('SELECT crm_deals.remove_stage(%s, %s)', t.stage('proposal'), t.stage('in', 'Other')),
                  $$SELECT t.state('r1')$$),
          'in open 5 v3', 'remove_stage: to another pipeline''s stage');
SELECT is(t.dry(v.statement), v.result, 'remove_stage: ' || v.what)
FROM (VALUES ('an unknown stage', 'SELECT crm_deals.remove_stage(4711)', 'P0002'),
             ('NULL', 'SELECT crm_deals.remove_stage(NULL)', 'P0002'),
             ('an unknown target', 'SELECT crm_deals.remove_stage(t.stage(''proposal''), 4711)', 'P0002'),
             ('itself as the target', 'SELECT crm_deals.remove_stage(t.stage(''proposal''), t.stage(''proposal''))',
              '22023')) AS v (what, statement, result);
-- stage_transition and the order of the rest
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id) VALUES (t.stage('lead'), t.stage('gone'));
SELECT is(crm_deals.remove_stage(t.stage('gone')), 0::bigint, 'remove_stage: of a stage that is listed');
SELECT is((SELECT count(*) FROM crm_deals.stage_transition), 0::bigint, 'remove_stage: the listed moves go with it');
-- The last stage of a status
SELECT is(t.dry(t.archive('won')), '23514 stage.status stage_last_of_status',
          'section 3: archiving the last won stage is 23514');
SELECT is(t.dry(v.statement), v.result, 'section 3: ' || v.what)
FROM (VALUES ('removing the last won stage is 23514', 'SELECT crm_deals.remove_stage(t.stage(''won''))',
              '23514 stage.status stage_last_of_status'),
             ('so is a plain DELETE', 'DELETE FROM crm_deals.stage WHERE key = ''won''',
              '23514 stage.status stage_last_of_status'),
             ('the last open stage', 'SELECT crm_deals.remove_stage(t.stage(''in'', ''Other''))', 'done'),
             ('a won stage beside another', 'SELECT crm_deals.add_stage(t.pipeline(''Sales''), ''Paid'', status => ''won''); '
              'DELETE FROM crm_deals.stage WHERE key = ''won''', 'done'),
             ('an archived one does not count', 'SELECT crm_deals.add_stage(t.pipeline(''Sales''), ''Paid'', '
              'status => ''won''); UPDATE crm_deals.stage SET archived_at = now() WHERE key = ''paid''; '
              'DELETE FROM crm_deals.stage WHERE key = ''won''', '23514 stage.status stage_last_of_status'),
             ('the last lost stage may go', 'DELETE FROM crm_deals.stage WHERE key = ''lost''', 'done'),
             ('all open ones at once may not', 'UPDATE crm_deals.deal SET stage_id = t.stage(''won''); '
              'UPDATE crm_deals.stage SET archived_at = now() WHERE status = ''open'' AND pipeline_id = '
              't.pipeline(''Sales'')', '23514 stage.status stage_last_of_status'),
             ('a pipeline goes with all of its stages', 'DELETE FROM crm_deals.stage WHERE pipeline_id = '
              't.pipeline(''Other''); DELETE FROM crm_deals.pipeline WHERE name = ''Other''', 'done'))
     AS v (what, statement, result);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
