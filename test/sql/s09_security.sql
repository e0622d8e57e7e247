\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 9: row security, triggers, search_path.
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'manager'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
INSERT INTO crm_deals.deal (name, owner)
VALUES ('alice 1', 'regress_crm_alice'), ('alice 2', 'regress_crm_alice'), ('bob 1', 'regress_crm_bob');
SELECT t.deal('bob 1') AS bob1, t.deal('alice 1') AS alice1 \gset
CREATE POLICY own ON crm_deals.deal USING (owner = current_user);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
INSERT INTO crm_deals.deal_alias (old_id, deal_id) VALUES (9001, :bob1);

SELECT is(t.get('SELECT string_agg(name, '', '' ORDER BY name) FROM crm_deals.deal', 'regress_crm_alice'),
          'alice 1, alice 2', 'section 9: the table');
SELECT is(t.get('SELECT string_agg(name, '', '' ORDER BY name) FROM crm_deals.deal_overview', 'regress_crm_alice'),
          'alice 1, alice 2', 'section 9: row security holds in deal_overview');
SELECT is(t.dry(v.statement, 'regress_crm_alice'), 'P0002', 'section 9: row security holds in ' || v.name)
FROM (VALUES ('move_deal', format('SELECT crm_deals.move_deal(%s, ''won'')', :bob1)),
             ('move_deal by id', format('SELECT crm_deals.move_deal(%s, %s)', :bob1, t.stage('won'))),
             ('move_deal with override', format('SELECT crm_deals.move_deal(%s, ''won'', override => ''x'')', :bob1)),
             ('check_move', format('SELECT * FROM crm_deals.check_move(%s, ''won'')', :bob1)),
             ('resolve_deal', format('SELECT crm_deals.resolve_deal(%s)', :bob1)),
             ('move_deal through an alias', 'SELECT crm_deals.move_deal(9001, ''won'')'),
             ('check_move through an alias',
              'SELECT * FROM crm_deals.check_move(9001, ''won'')')) AS v (name, statement);
SELECT is(t.dry('SELECT crm_deals.resolve_deal(9001)', 'regress_crm_alice'), 'P0002',
          'section 9: row security holds in resolve_deal through an alias');
SELECT is(
    t.get(format('SELECT string_agg(outcome, '' '' ORDER BY deal_id) FROM crm_deals.move_deals(ARRAY[%s, %s], ''won'')',
                 :alice1, :bob1),
          'regress_crm_alice'),
    'moved not_found', 'section 9: row security holds in move_deals');
SELECT is(t.state('bob 1') || ', ' || t.state('alice 1'), 'lead open 10 v1, won won 100 closed v2',
          'section 9: what cannot be seen did not move');
SELECT is(t.kinds('alice 1'), 'created won', 'section 9: what can be seen is logged');
-- No error text names a deal that the caller cannot see: hidden and missing read alike.
CREATE FUNCTION t.message_as(statement text, role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN message || detail;
END
$$;
SELECT is(replace(t.message_as(format('SELECT crm_deals.move_deal(%s, ''won'')', :bob1), 'regress_crm_alice'),
                  :bob1::text, 'N'),
          replace(t.message_as('SELECT crm_deals.move_deal(4711, ''won'')', 'regress_crm_alice'), '4711', 'N'),
          'section 9: a hidden deal reads like one that does not exist');
SELECT crm_deals.grant_access('regress_crm_alice', 'admin') AS none \gset
SELECT unalike(t.message_as('SELECT crm_deals.remove_stage(t.stage(''lead''))', 'regress_crm_alice'), '%1 deal%',
               'section 9: remove_stage does not count what the caller cannot see');
SELECT is(t.dry('SELECT crm_deals.remove_stage(t.stage(''lead''), t.stage(''qualified''))', 'regress_crm_alice') ~ '^23503',
          true, 'section 9: nor moves it');
SELECT crm_deals.grant_access('regress_crm_alice', 'manager') AS none \gset
-- verify() proves what the caller can see.
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal SET probability = 77;
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
SELECT is(t.get('SELECT string_agg(DISTINCT deal_id::text, '' '') FROM crm_deals.verify()', 'regress_crm_bob'),
          :bob1::text, 'section 9: row security holds in verify()');
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal AS d SET probability = s.probability FROM crm_deals.stage AS s WHERE s.id = d.stage_id;
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
-- WITH CHECK
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, owner) VALUES ('x', 'regress_crm_bob')$$, 'regress_crm_alice'),
          '42501', 'section 9: WITH CHECK holds on INSERT');
SELECT is(t.dry($$UPDATE crm_deals.deal SET owner = 'regress_crm_bob'$$, 'regress_crm_alice'), '42501',
          'section 9: and on UPDATE');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, owner) VALUES ('x', 'regress_crm_alice')$$,
                  'SELECT count(*) FROM crm_deals.deal', 'regress_crm_alice'),
          '3', 'section 9: a deal of one''s own');
-- A plan that was kept for one role is not used for another.
SELECT is(t.get(format('SELECT stage_key FROM crm_deals.move_deal(%s, ''qualified'')', :bob1), 'regress_crm_bob'),
          'qualified', 'section 9: the owner moves it in the same session');
SELECT is(t.dry(format('SELECT crm_deals.move_deal(%s, ''won'')', :bob1), 'regress_crm_alice'), 'P0002',
          'section 9: and the other still cannot');
-- When the owner of the tables changes a stage, every deal in it changes, whether the owner sees it or not.
UPDATE crm_deals.stage SET probability = 26 WHERE id = t.stage('qualified');
SELECT is(t.state('bob 1'), 'qualified open 26 v3', 'section 3: deals follow their stage under row security, too');
-- FORCE: the policies also hold for the owner, and the log is still written.
ALTER TABLE crm_deals.deal FORCE ROW LEVEL SECURITY;
SELECT is(t.get(format('SELECT stage_key FROM crm_deals.move_deal(%s, ''proposal'')', :bob1), 'regress_crm_bob'),
          'proposal', 'section 9: FORCE ROW LEVEL SECURITY');
ALTER TABLE crm_deals.deal NO FORCE ROW LEVEL SECURITY;
SELECT is(t.kinds('bob 1'), 'created stage_changed updated stage_changed', 'section 9: the log has it');

-- Views and functions run as their caller.
SELECT is((SELECT string_agg(relname, ' ') FROM pg_class
           WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'v'
             AND NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'),
          NULL, 'section 9: every view is security_invoker');
SELECT is((SELECT string_agg(proname, ' ') FROM pg_proc
           WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace) AND prosecdef),
          NULL, 'section 9: no function is SECURITY DEFINER');
SELECT is((SELECT string_agg(proname, ' ') FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
           WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
             AND lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL
             AND NOT EXISTS (SELECT FROM unnest(proconfig) AS c WHERE c = 'search_path=pg_catalog, pg_temp')),
          NULL, 'section 9: every function that resolves names pins search_path');
SELECT is((SELECT string_agg(proname, ' ') FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
           WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace) AND lanname = 'c'
             AND proconfig IS NOT NULL),
          NULL, 'section 9: C code carries no SET');

-- Trigger functions refuse to run on any relation but the installed one. Here: on a table of the same name and columns
-- in another schema.
CREATE FUNCTION t.attach(function regproc, relation text, timing text, events text, level text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE t.%I (LIKE crm_deals.%I INCLUDING DEFAULTS INCLUDING GENERATED)', relation, relation);
    EXECUTE format('INSERT INTO t.%I SELECT * FROM crm_deals.%I LIMIT 1', relation, relation);
    EXECUTE format('CREATE TRIGGER x %s %s ON t.%I FOR EACH %s EXECUTE FUNCTION %s()', timing, events, relation, level,
                   function);
    IF events = 'DELETE' THEN
        EXECUTE format('DELETE FROM t.%I', relation);
    ELSE
        EXECUTE format('INSERT INTO t.%I SELECT * FROM crm_deals.%I LIMIT 1', relation, relation);
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION
    WHEN SQLSTATE 'TT000' THEN RETURN 'ran';
    WHEN OTHERS THEN RETURN SQLSTATE;
END
$$;
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('account', 'x', 'text');
INSERT INTO crm_deals.exchange_rate VALUES ('USD', 'EUR', 0.9);
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.activity (kind, subject) VALUES ('note', 'x');
INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount) VALUES ('2026-01-01', '2026-01-31', 'EUR', 1);
SELECT is(t.attach(p.oid::regproc, v.relation, v.timing, v.events, v.level), '39P01',
          'section 9: ' || v.function || ' refuses to run on t.' || v.relation)
FROM (VALUES ('deal_begin', 'deal', 'BEFORE', 'INSERT', 'STATEMENT'), ('deal_rules', 'deal', 'BEFORE', 'INSERT', 'ROW'),
             ('deal_capture', 'deal', 'AFTER', 'INSERT', 'STATEMENT'),
             ('deal_delete', 'deal', 'BEFORE', 'DELETE', 'ROW'),
             ('append_only', 'deal_event', 'BEFORE', 'DELETE', 'STATEMENT'),
             ('append_only_row', 'deal_event', 'BEFORE', 'DELETE', 'ROW'),
             ('activity_out_of_bounds', 'activity', 'AFTER', 'INSERT', 'ROW'),
             ('edit_begin', 'stage', 'BEFORE', 'INSERT', 'STATEMENT'),
             ('lock_before_change', 'stage', 'BEFORE', 'INSERT', 'STATEMENT'),
             ('stage_rules', 'stage', 'BEFORE', 'INSERT', 'ROW'),
             ('rederive_deals', 'stage', 'AFTER', 'INSERT', 'STATEMENT'),
             ('stages_given_up', 'stage', 'AFTER', 'INSERT', 'STATEMENT'),
             ('rename_lost_reasons', 'lost_reason', 'AFTER', 'INSERT', 'STATEMENT'),
             ('pipeline_rules', 'pipeline', 'BEFORE', 'INSERT', 'ROW'),
             ('currency_rules', 'exchange_rate', 'BEFORE', 'INSERT', 'ROW'),
             ('custom_field_rules', 'account', 'BEFORE', 'INSERT', 'ROW'),
             ('fill_nulls', 'activity', 'BEFORE', 'INSERT', 'ROW'),
             ('forget_pipelines', 'stage', 'AFTER', 'INSERT', 'STATEMENT'),
             ('stage_defaults', 'stage', 'BEFORE', 'INSERT', 'ROW'),
             ('clear_other_default', 'pipeline', 'BEFORE', 'INSERT', 'ROW'),
             ('keep_names', 'pipeline', 'AFTER', 'INSERT', 'ROW'),
             ('keep_stage_name', 'stage', 'AFTER', 'INSERT', 'ROW'),
             ('lock_targets', 'target', 'BEFORE', 'INSERT', 'STATEMENT'),
             ('target_organization', 'target', 'BEFORE', 'INSERT', 'ROW'),
             ('target_rules', 'target', 'AFTER', 'INSERT', 'ROW')) AS v (function, relation, timing, events, level)
LEFT JOIN pg_proc AS p ON p.proname = v.function AND p.pronamespace = 'crm_deals_internal'::regnamespace;
SELECT is((SELECT count(*) FROM pg_proc
           WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
             AND prorettype = 'trigger'::regtype),
          25::bigint, 'section 9: these are all of them');
SELECT is(t.dry('SELECT crm_deals_internal.deal_rules()'), '39P01', 'section 9: a trigger function cannot be called');
-- Nor in the wrong place on the right table.
SELECT isnt(t.after(format('CREATE TRIGGER x %s ON crm_deals.deal FOR EACH %s EXECUTE FUNCTION '
                           'crm_deals_internal.%I(); UPDATE crm_deals.deal SET amount = 1',
                           v.timing, v.level, v.function),
                    'SELECT ''ran'''),
            '42883', 'section 10: ' || v.function || ' attached ' || v.timing || ' ' || v.level || ' does not crash')
FROM (VALUES ('deal_rules', 'AFTER UPDATE', 'ROW'), ('deal_rules', 'BEFORE UPDATE', 'STATEMENT'),
             ('deal_capture', 'BEFORE UPDATE', 'ROW'), ('deal_capture', 'AFTER UPDATE', 'STATEMENT'),
             ('stage_rules', 'BEFORE UPDATE', 'ROW'), ('rederive_deals', 'AFTER UPDATE', 'ROW'),
             ('append_only', 'BEFORE UPDATE', 'ROW'), ('deal_begin', 'AFTER UPDATE', 'ROW'))
         AS v (function, timing, level);
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset

SELECT * FROM finish();
