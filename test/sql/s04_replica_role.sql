\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 4: under session_replication_role = replica rows are taken as they are.
SELECT t.new_deals('d', 2, 'lead') AS none \gset
SELECT max(id) AS last_event FROM crm_deals.deal_event \gset
SET session_replication_role = replica;
INSERT INTO crm_deals.deal (id, name, pipeline_id, stage_id, status, currency, probability, closed_at, version,
                            stage_entered_at, created_at, updated_at)
VALUES (100, 'copied', :sales, t.stage('lead'), 'won', 'EUR', 3, '2020-01-02', 17, '2020-01-02', '2020-01-01',
        '2020-01-02');
UPDATE crm_deals.deal SET stage_id = t.stage('won'), version = 40, created_at = '2001-02-03' WHERE name = 'd1';
DELETE FROM crm_deals.deal WHERE name = 'd2';
INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name,
                                  pipeline_id, changes) OVERRIDING SYSTEM VALUE
VALUES (1000, 1000, 100, 17, 'created', '2020-01-02', 'a', 'b', :sales, '{}');
UPDATE crm_deals.deal_event SET note = 'applied' WHERE id = 1000;
UPDATE crm_deals.stage SET probability = 33 WHERE id = t.stage('lead');
RESET session_replication_role;
SELECT is(t.state('copied'), 'lead won 3 closed v17', 'section 4: replica: an INSERT is taken as it is');
SELECT is((SELECT t.state('d1') || ' ' || (created_at = '2001-02-03') FROM crm_deals.deal WHERE name = 'd1'),
          'won open 10 v40 true', 'section 4: replica: an UPDATE, too');
SELECT is(t.state('d2'), NULL, 'section 4: replica: and a DELETE');
SELECT is((SELECT string_agg(id || ' ' || note, ', ') FROM crm_deals.deal_event WHERE id > :last_event), '1000 applied',
          'section 4: replica: nothing is logged, the log is written by what is applied');
-- DISABLE TRIGGER ALL, as pg_restore --disable-triggers does, and back
ALTER TABLE crm_deals.deal DISABLE TRIGGER ALL;
UPDATE crm_deals.deal SET probability = 11 WHERE name = 'd1';
ALTER TABLE crm_deals.deal ENABLE TRIGGER ALL;
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE id > :last_event), 1::bigint,
          'section 4: --disable-triggers: nothing is logged');
SELECT is((SELECT count(*) FROM pg_trigger
           WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)
             AND NOT tgisinternal AND tgenabled <> 'O'),
          0::bigint, 'section 4: our triggers are ordinary ones');
SELECT is(t.dry($$UPDATE crm_deals.deal SET status = 'lost' WHERE name = 'd1'$$),
          '23514 deal.status deal_status_matches_stage', 'section 4: and are back in force');
-- When the triggers are enabled again, they check what a writer does next.
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('new', t.stage('qualified'))$$,
                  $$SELECT t.state('new') || ' ' || t.kinds('new')$$),
          'qualified open 25 v1 created', 'section 4: a writer after it is bound as ever');

SELECT * FROM finish();
