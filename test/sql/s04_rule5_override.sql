\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 5, overriding: by move_deal(override) of a manager, or crm_deals.enforce_gates = off.
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_manager', 'regress_crm_admin') AS none \gset
CREATE ROLE regress_crm_writer;
CREATE ROLE regress_crm_manager;
CREATE ROLE regress_crm_admin;
SELECT crm_deals.create_pipeline('Strict', '[{"name": "A"}, {"name": "B"}, {"name": "C", "required_fields": ["amount"]},
    {"name": "Won", "key": "w", "status": "won"},
    {"name": "Lost", "key": "l", "status": "lost", "required_fields": ["notes"]}]',
                                 gates => '{"forbid_skipping": true, "forbid_backward": true, "forbid_unlisted": true}')
           AS strict \gset
SELECT crm_deals.grant_access('regress_crm_writer', 'write'), crm_deals.grant_access('regress_crm_manager', 'manager'),
       crm_deals.grant_access('regress_crm_admin', 'admin') \gset none_
SELECT t.new_deals('d', 5, 'a', 'Strict') AS none \gset

SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d1'), 'c', override => 'the boss said so')$$,
                'regress_crm_writer'),
          '42501', 'rule 5 override: a role of level write may not');
SELECT is(t.dry($$SELECT * FROM crm_deals.move_deals(ARRAY[t.deal('d1')], 'c', override => 'the boss said so')$$,
                'regress_crm_writer'),
          '42501', 'rule 5 override: with move_deals neither');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d1'), 'c', override => 'the boss said so')$$, v.role),
          'done', 'rule 5 override: ' || v.role || ' may')
FROM (VALUES ('regress_crm_manager'), ('regress_crm_admin')) AS v (role);
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d1'), 'c')$$, 'regress_crm_manager'),
          '23514 deal.stage_id deal_gate', 'rule 5 override: a manager who does not say so is bound');
SELECT is(t.dry(format('SELECT crm_deals.move_deal(t.deal(''d1''), ''c'', override => %L)', v.reason)),
          '22023', 'rule 5 override: a blank reason is none')
FROM (VALUES (''), (E' \t')) AS v (reason);
SELECT is(t.get($$SELECT stage_key
                  FROM crm_deals.move_deal(t.deal('d1'), 'c', override => 'the boss said so', note => 'hurry')$$,
                'regress_crm_manager'),
          'c', 'rule 5 override: it skips gates and required fields');
SELECT is((SELECT bypassed FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 2),
          '{forbid_skipping,forbid_unlisted,required_fields}',
          'rule 5 override: bypassed names the rules that would have refused');
SELECT matches((SELECT note FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 2),
          'hurry.*the boss said so', 'rule 5 override: note and reason are in the log');
SELECT is(t.get($$SELECT stage_key FROM crm_deals.move_deal(t.deal('d1'), 'a', override => 'back')$$,
                'regress_crm_manager'),
          'a', 'rule 5 override: it goes backward, too');
SELECT is((SELECT bypassed FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 3),
          '{forbid_backward,forbid_unlisted}', 'rule 5 override: bypassed names just the rules broken');
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d2'), 'l', override => 'the boss said so')$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 5 override: never rule 4');
UPDATE crm_deals.pipeline SET is_active = false WHERE id = :strict;
SELECT t.new_deal('afar', 'lead') AS none \gset
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('afar'), t.stage('a', 'Strict'), override => 'the boss said so')$$),
          '23514 deal.pipeline_id deal_pipeline_active', 'rule 5 override: nor a pipeline that takes no deals');
UPDATE crm_deals.pipeline SET is_active = true WHERE id = :strict;
SELECT is(t.after($$SELECT crm_deals.move_deal(t.deal('d2'), 'l', override => 'x', lost_reason => 'price')$$,
                  $$SELECT bypassed FROM crm_deals.deal_event WHERE deal_id = t.deal('d2') AND version = 2$$),
          '{required_fields}', 'rule 5 override: with a reason it is lost');
-- If an override was not needed, the event names no rule.
SELECT is(t.after($$INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
                    VALUES (t.stage('a', 'Strict'), t.stage('b', 'Strict'));
                    SELECT crm_deals.move_deal(t.deal('d2'), 'b', override => 'to be sure')$$,
                  $$SELECT kind || ' ' || (bypassed IS NULL) FROM crm_deals.deal_event
                    WHERE deal_id = t.deal('d2') AND version = 2$$),
          'stage_changed true', 'rule 5 override: bypassed is empty where no rule would have refused');
-- The override ends with the call.
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d2'), 'c', override => 'x');
                  UPDATE crm_deals.deal SET stage_id = t.stage('c', 'Strict') WHERE name = 'd3'$$),
          '23514 deal.stage_id deal_gate', 'rule 5 override: it ends with the call');
SELECT is(t.dry($statement$
              DO $$BEGIN
                  BEGIN PERFORM crm_deals.move_deal(t.deal('d2'), 'l', override => 'x');
                  EXCEPTION WHEN check_violation THEN NULL; END;
                  UPDATE crm_deals.deal SET stage_id = t.stage('c', 'Strict') WHERE name = 'd3';
              END$$ $statement$),
          '23514 deal.stage_id deal_gate', 'rule 5 override: also when the call fails');

-- If a user's trigger writes another deal during an overridden move, the gates still hold for that deal.
CREATE FUNCTION t.drag_along() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.name = 'd4' THEN
        UPDATE crm_deals.deal SET stage_id = new.stage_id WHERE name = 'd5';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER drag AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.drag_along();
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d4'), 'c', override => 'x')$$),
          '23514 deal.stage_id deal_gate',
          'rule 5 override: it holds for the deal of the call, not for others that a trigger moves');
DROP TRIGGER drag ON crm_deals.deal;

-- crm_deals.enforce_gates
SET crm_deals.enforce_gates = off;
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('bulk', t.stage('c', 'Strict'));
SELECT is((SELECT bypassed FROM crm_deals.deal_event WHERE deal_id = t.deal('bulk')),
          '{forbid_skipping,forbid_unlisted,required_fields}',
          'rule 5: crm_deals.enforce_gates = off lets in and bypassed names the rules');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id, notes) VALUES ('x', t.stage('l', 'Strict'), 'n')$$),
          '23514 deal.lost_reason deal_lost_reason', 'rule 5: never rule 4');
RESET crm_deals.enforce_gates;
SELECT is(t.dry($$SET LOCAL crm_deals.enforce_gates = off$$, 'regress_crm_admin'), '42501',
          'rule 5: crm_deals.enforce_gates takes a superuser');
GRANT SET ON PARAMETER crm_deals.enforce_gates TO regress_crm_writer;
SELECT is(t.after($$SET LOCAL crm_deals.enforce_gates = off;
                    INSERT INTO crm_deals.deal (name, stage_id) VALUES ('x', t.stage('c', 'Strict'))$$,
                  $$SELECT t.state('x')$$, 'regress_crm_writer'),
          'c open 0 v1', 'rule 5: or GRANT SET ON PARAMETER');
REVOKE SET ON PARAMETER crm_deals.enforce_gates FROM regress_crm_writer;
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_manager', 'regress_crm_admin') AS none \gset

SELECT * FROM finish();
