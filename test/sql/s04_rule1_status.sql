\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 1: a deal's status and pipeline are its stage's.
SELECT crm_deals.create_pipeline('Renewals', '[{"name": "Due", "probability": 60}, {"name": "Renewed", "status": "won"},
    {"name": "Churned", "status": "lost"}, {"name": "Dropped", "status": "abandoned"}]') AS renewals \gset
SELECT crm_deals.create_pipeline('Acme sales', organization => 'acme') AS acme \gset

-- INSERT
SELECT is(t.after(format('INSERT INTO crm_deals.deal (name, stage_id, lost_reason) VALUES (''a'', %s, %L)',
                         t.stage(v.key, v.pipeline), v.reason),
                  $$SELECT t.state('a') || ' ' || pipeline_id FROM crm_deals.deal WHERE name = 'a'$$),
          v.state || ' ' || t.pipeline(v.pipeline),
          'rule 1: a deal inserted into ' || v.key || ' has the status and the pipeline of the stage')
FROM (VALUES ('lead', 'Sales', NULL, 'lead open 10 v1'),
             ('negotiation', 'Sales', NULL, 'negotiation open 75 v1'),
             ('won', 'Sales', NULL, 'won won 100 closed v1'),
             ('lost', 'Sales', 'price', 'lost lost 0 closed (price) v1'),
             ('due', 'Renewals', NULL, 'due open 60 v1'),
             ('renewed', 'Renewals', NULL, 'renewed won 100 closed v1'),
             ('churned', 'Renewals', 'price', 'churned lost 0 closed (price) v1'),
             ('dropped', 'Renewals', NULL, 'dropped abandoned 0 closed v1')) AS v (key, pipeline, reason, state);
SELECT is(t.after(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''a'', %s)', :renewals),
                  $$SELECT t.state('a')$$),
          'due open 60 v1', 'rule 1: an INSERT with a pipeline alone starts in its first open stage');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name) VALUES ('a')$$, $$SELECT t.state('a')$$),
          'lead open 10 v1',
          'section 3: an INSERT with a name alone starts in the default pipeline''s first open stage');
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, stage_id, status) VALUES (''a'', %s, ''open'')',
                       t.stage('won'))),
          '23514 deal.status deal_status_matches_stage', 'rule 1: an INSERT into won with status open is an error');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, status) VALUES ('a', 'won')$$),
          '23514 deal.status deal_status_matches_stage',
          'rule 1: an INSERT with status won and no stage is an error, not bent');
SELECT is(t.after(format('INSERT INTO crm_deals.deal (name, stage_id, status) VALUES (''a'', %s, ''won'')',
                         t.stage('won')),
                  $$SELECT t.state('a')$$),
          'won won 100 closed v1', 'rule 1: an INSERT that says the stage''s own status is taken');
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, stage_id, pipeline_id) VALUES (''a'', %s, %s)',
                       t.stage('lead'), :renewals)),
          '23514 deal.pipeline_id deal_stage_in_pipeline', 'rule 1: a stage of another pipeline is an error on INSERT');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('a', 4711)$$),
          '23503 deal.stage_id deal_stage_fkey', 'rule 1: an unknown stage is a foreign key violation');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('a', 4711)$$),
          '23503 deal.pipeline_id deal_stage_fkey', 'rule 1: an unknown pipeline is a foreign key violation');

-- UPDATE
SELECT t.new_deals('d', 3, 'qualified') AS none \gset
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd1'$$, $$SELECT t.state('d1')$$),
          'won won 100 closed v2',
          'rule 1: a plain UPDATE of stage_id takes status, probability and closing time along');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name LIKE 'd_'$$,
                  $$SELECT string_agg(t.state(name), ', ' ORDER BY name) FROM crm_deals.deal$$),
          'won won 100 closed v2, won won 100 closed v2, won won 100 closed v2',
          'rule 1: so does one of many rows');
SELECT is(t.dry(format('UPDATE crm_deals.deal SET status = %L WHERE name = ''d1''', v.status)),
          '23514 deal.status deal_status_matches_stage',
          'rule 1: UPDATE of status alone to ' || v.status || ' is an error')
FROM (VALUES ('won'), ('lost'), ('abandoned')) AS v (status);
SELECT is(t.dry($$UPDATE crm_deals.deal SET status = NULL WHERE name = 'd1'$$),
          'done', 'rule 1: status NULL says nothing');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = t.stage('won'), status = 'lost' WHERE name = 'd1'$$),
          '23514 deal.status deal_status_matches_stage', 'rule 1: so is a status other than that of the new stage');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won'), status = 'won' WHERE name = 'd1'$$,
                  $$SELECT t.state('d1')$$),
          'won won 100 closed v2', 'rule 1: the status of the new stage may be said');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('won'), status = 'open' WHERE name = 'd1'$$,
                  $$SELECT t.state('d1')$$),
          'won won 100 closed v2', 'rule 1: the old status, left as it was, is not a statement');
SELECT is(t.after(format('UPDATE crm_deals.deal SET pipeline_id = %s WHERE name = ''d1''', :renewals),
                  $$SELECT t.state('d1')$$),
          'due open 60 v2', 'rule 1: UPDATE of pipeline_id alone goes to that one''s first open stage');
SELECT is(t.after(format('UPDATE crm_deals.deal SET stage_id = %s WHERE name = ''d1''', t.stage('renewed', 'Renewals')),
                  $$SELECT t.state('d1') || ' ' || (pipeline_id = t.pipeline('Renewals')) FROM crm_deals.deal
                    WHERE name = 'd1'$$),
          'renewed won 100 closed v2 true',
          'rule 1: UPDATE of stage_id to another pipeline''s takes pipeline_id along');
SELECT is(t.after(format('UPDATE crm_deals.deal SET stage_id = %s, pipeline_id = %s WHERE name = ''d1''',
                         t.stage('renewed', 'Renewals'), :renewals),
                  $$SELECT t.state('d1')$$),
          'renewed won 100 closed v2', 'rule 1: both may be said together');
SELECT is(t.dry(format('UPDATE crm_deals.deal SET stage_id = %s, pipeline_id = %s WHERE name = ''d1''',
                       t.stage('proposal'), :renewals)),
          '23514 deal.pipeline_id deal_stage_in_pipeline',
          'rule 1: a stage and a pipeline that is not its own are an error');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = 4711 WHERE name = 'd1'$$),
          '23503 deal.stage_id deal_stage_fkey', 'rule 1: UPDATE to an unknown stage is a foreign key violation');
SELECT is(t.dry($$UPDATE crm_deals.deal SET stage_id = NULL WHERE name = 'd1'$$),
          'done', 'rule 1: a deal is always in a stage: NULL says nothing');
SELECT is(t.dry($$UPDATE crm_deals.deal SET pipeline_id = NULL WHERE name = 'd1'$$),
          'done', 'rule 1: and in a pipeline');

-- Organization
SELECT is(t.after(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''a'', %s)', :acme),
                  $$SELECT organization FROM crm_deals.deal WHERE name = 'a'$$),
          'acme', 'section 3: deal.organization is its pipeline''s');
SELECT is(t.dry($$UPDATE crm_deals.deal SET organization = 'acme' WHERE name = 'd1'$$),
          '23514 deal.organization deal_organization_matches_pipeline',
          'section 3: another organization than the pipeline''s is an error');
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, organization, pipeline_id) VALUES (''a'', ''globex'', %s)',
                       :acme)),
          '23514 deal.organization deal_organization_matches_pipeline', 'section 3: on INSERT too');
SELECT is(t.after(format('UPDATE crm_deals.deal SET pipeline_id = %s WHERE name = ''d1''', :acme),
                  $$SELECT organization FROM crm_deals.deal WHERE name = 'd1'$$),
          'acme', 'section 3: a deal that changes pipeline changes organization with it');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, organization) VALUES ('a', 'acme')$$,
                  $$SELECT (pipeline_id = t.pipeline('Acme sales'))::text FROM crm_deals.deal WHERE name = 'a'$$),
          'true', 'section 3: the default pipeline is that of the organization');
SELECT is(t.after($$SET LOCAL crm_deals.organization = 'acme'; INSERT INTO crm_deals.deal (name) VALUES ('a')$$,
                  $$SELECT organization FROM crm_deals.deal WHERE name = 'a'$$),
          'acme', 'section 3: the setting crm_deals.organization says whose default pipeline');

SELECT is((SELECT string_agg(DISTINCT pg_get_constraintdef(oid), '; ') FROM pg_constraint
           WHERE conrelid = 'crm_deals.deal'::regclass AND contype = 'f' AND cardinality(conkey) = 2),
          'FOREIGN KEY (stage_id, pipeline_id) REFERENCES crm_deals.stage(id, pipeline_id)',
          'section 4: what can be declared is declared: the composite foreign key');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
