\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rules 1, 2, 4 and 5: a closed deal that keeps its status, in its pipeline or another.
SELECT crm_deals.create_pipeline('Strict', $$[{"name": "First", "required_fields": ["owner"]},
                                              {"name": "Second", "required_fields": ["source"]},
                                              {"name": "Out", "status": "lost", "required_fields": ["source"]},
                                              {"name": "In", "status": "won", "required_fields": ["notes"]},
                                              {"name": "In late", "status": "won"},
                                              {"name": "Out late", "status": "lost"}]$$,
                                 gates => '{"forbid_skipping": true, "forbid_backward": true, "forbid_unlisted": true}')
    AS strict \gset
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:strict, 'too dear');
SELECT crm_deals.create_pipeline('Only open', '[{"name": "Begin"}]') AS only_open \gset
INSERT INTO crm_deals.deal (name) VALUES ('o'), ('w'), ('l');
UPDATE crm_deals.deal SET stage_id = t.stage('won'), closed_at = '2026-01-02 12:00+00' WHERE name = 'w';
UPDATE crm_deals.deal SET stage_id = t.stage('lost'), closed_at = '2026-01-03 12:00+00', lost_reason = 'price'
WHERE name = 'l';
CREATE FUNCTION t.place(wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', s.name, d.status, d.probability, d.lost_reason, to_char(d.closed_at AT TIME ZONE 'UTC', 'DD.MM. HH24:MI'))
            FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id WHERE d.name = wanted);
END
$$;

SELECT is(t.after(format(v.statement, :strict), format('SELECT t.place(%L)', v.name)), v.result, 'rule 1: ' || v.what)
FROM (VALUES ('w', 'UPDATE crm_deals.deal SET pipeline_id = %s WHERE name = ''w''',
              'In won 100 02.01. 12:00', 'a won deal goes to the first won stage; no gate, no field'),
             ('l', 'UPDATE crm_deals.deal SET pipeline_id = %s WHERE name = ''l''',
              'Out lost 0 price 03.01. 12:00', 'a lost one to the first lost stage, with its reason'),
             ('l', 'UPDATE crm_deals.deal SET pipeline_id = %s, status = status, lost_reason = lost_reason, '
                   'closed_at = closed_at, probability = probability WHERE name = ''l''',
              'Out lost 0 price 03.01. 12:00', 'so does a client that writes whole rows'),
             ('w', 'UPDATE crm_deals.stage SET archived_at = now() WHERE key = ''in''; '
                   'UPDATE crm_deals.deal SET pipeline_id = %s WHERE name = ''w''',
              'In late won 100 02.01. 12:00', 'an archived stage takes none'),
             ('o', 'UPDATE crm_deals.deal SET owner = ''ann'', pipeline_id = %s WHERE name = ''o''',
              'First open 0', 'an open deal goes to the first open stage'),
             ('w', 'UPDATE crm_deals.deal SET owner = ''ann'', pipeline_id = %s, status = ''open'' WHERE name = ''w''',
              'First open 0', 'a status that is written opens the deal'))
     AS v (name, statement, result, what);
SELECT is(t.dry(format('UPDATE crm_deals.deal SET pipeline_id = %s WHERE name = %L', v.pipeline, v.name)), v.result,
          'rule 1: ' || v.what)
FROM (VALUES ('w', :only_open, '23514 deal.pipeline_id deal_status_matches_stage', 'no won stage is 23514'),
             ('l', :only_open, '23514 deal.pipeline_id deal_status_matches_stage', 'no lost stage is 23514'),
             ('w', 4711, '23503 deal.pipeline_id deal_stage_fkey', 'an unknown pipeline stays 23503'))
     AS v (name, pipeline, result, what);
SELECT is(t.dry('UPDATE crm_deals.pipeline SET is_active = false WHERE name = ''Strict''; '
                'UPDATE crm_deals.deal SET pipeline_id = t.pipeline(''Strict'') WHERE name = ''w'''),
          '23514 deal.pipeline_id deal_pipeline_active', 'section 3: no deal enters a pipeline that is not active');

-- Within a pipeline
UPDATE crm_deals.deal SET pipeline_id = :strict WHERE name IN ('w', 'l');
SELECT is(t.after(v.statement, format('SELECT t.place(%L)', v.name)), v.result, 'rule 5: ' || v.what)
FROM (VALUES ('w', $$UPDATE crm_deals.deal SET stage_id = t.stage('in_late', 'Strict') WHERE name = 'w'$$,
              'In late won 100 02.01. 12:00', 'won to won keeps the stamp, and asks nothing'),
             ('w', $$SELECT crm_deals.move_deal(t.deal('w'), 'in_late')$$,
              'In late won 100 02.01. 12:00', 'move_deal() does the same'),
             ('l', $$UPDATE crm_deals.deal SET stage_id = t.stage('out_late', 'Strict') WHERE name = 'l'$$,
              'Out late lost 0 price 03.01. 12:00', 'lost to lost keeps a reason that is not in the catalogue'),
             ('l', $$UPDATE crm_deals.deal SET stage_id = t.stage('out_late', 'Strict'), lost_reason = 'too dear'
                     WHERE name = 'l'$$,
              'Out late lost 0 too dear 03.01. 12:00', 'or takes another of the catalogue'),
             ('l', $$UPDATE crm_deals.deal SET stage_id = t.stage('out_late', 'Strict'), lost_reason = 'rain'
                     WHERE name = 'l'$$,
              '23514 deal.lost_reason deal_lost_reason', 'but a reason that changes is judged'),
             ('w', $$UPDATE crm_deals.deal SET stage_id = t.stage('out', 'Strict'), lost_reason = 'too dear'
                     WHERE name = 'w'$$,
              '23514 deal.stage_id deal_required_fields', 'another status is entered as ever'),
             ('w', $$UPDATE crm_deals.deal SET stage_id = t.stage('second', 'Strict') WHERE name = 'w'$$,
              '23514 deal.stage_id deal_gate', 'and so is an open stage'))
     AS v (name, statement, result, what);
SELECT is_empty($$SELECT * FROM crm_deals.check_move(t.deal('w'), 'in_late')$$, 'check_move() says the same');
SELECT is((SELECT outcome FROM crm_deals.move_deals(ARRAY[t.deal('l')], 'out_late')), 'moved',
          'and move_deals()');

SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT * FROM finish();
