\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 9: levels of access.
SELECT t.drop_roles('regress_crm_nobody', 'regress_crm_read', 'regress_crm_consume', 'regress_crm_write',
                    'regress_crm_manager', 'regress_crm_admin', 'regress crm "odd"') AS none \gset
CREATE ROLE regress_crm_nobody;
CREATE ROLE regress_crm_read;
CREATE ROLE regress_crm_consume;
CREATE ROLE regress_crm_write;
CREATE ROLE regress_crm_manager;
CREATE ROLE regress_crm_admin;
CREATE ROLE "regress crm ""odd""";
SELECT crm_deals.grant_access(('regress_crm_' || level)::regrole, level) AS none
FROM unnest('{read,consume,write,manager,admin}'::text[]) AS level
\g /dev/null
SELECT t.new_deals('d', 3, 'lead') AS none \gset
INSERT INTO crm_deals.account (name) VALUES ('Acme') RETURNING id AS acme \gset

-- Tables
CREATE FUNCTION t.tables(role text, privilege text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
    WHERE relnamespace = 'crm_deals'::regnamespace AND relkind IN ('r', 'v', 'S') AND relname !~ '^_'
      AND relname NOT IN ('installation', 'access_grant')
      AND CASE relkind
               WHEN 'S' THEN has_sequence_privilege(
                   role, oid, CASE privilege WHEN 'SELECT' THEN 'SELECT' WHEN 'UPDATE' THEN 'UPDATE' END)
               ELSE has_table_privilege(role, oid, privilege) END
$$;
SELECT is(t.tables('regress_crm_' || role, 'SELECT'),
          'account activity contact custom_field deal deal_alias deal_contact deal_duplicate deal_event deal_overview '
          'deal_stage_history exchange_rate lead log_format log_generation log_pruning lost_reason open_task pipeline '
          'stage stage_name stage_transition stale_deals target',
          'section 9: ' || role || ': SELECT on all but consumers')
FROM unnest('{read,write,manager}'::text[]) AS role;
SELECT is(t.tables('regress_crm_admin', 'SELECT'),
          'account activity consumer_status contact custom_field deal deal_alias deal_contact deal_duplicate '
          'deal_event deal_overview deal_stage_history event_consumer exchange_rate lead log_format log_generation '
          'log_pruning '
          'lost_reason open_task pipeline stage stage_name stage_transition stale_deals target',
          'section 9: admin: SELECT on all, consumers too: what pruning keeps for them');
SELECT is(t.tables('regress_crm_' || v.role, v.privilege), v.tables,
          'section 9: ' || v.role || ': ' || v.privilege || ' on ' || coalesce(v.tables, 'nothing'))
FROM (VALUES ('nobody', NULL), ('consume', NULL), ('read', NULL),
             ('write', 'account activity contact deal deal_contact lead'),
             ('manager', 'account activity contact deal deal_contact lead target'),
             ('admin',
              'account activity contact custom_field deal deal_contact exchange_rate lead lost_reason pipeline stage '
              'stage_transition target')) AS r (role, tables),
     LATERAL (SELECT r.role, p.privilege, r.tables FROM unnest('{INSERT,UPDATE,DELETE}'::text[]) AS p (privilege)) AS v;
SELECT is((SELECT string_agg(t.tables('regress_crm_' || role, privilege), ' ')
           FROM unnest('{nobody,read,consume,write,manager,admin}'::text[]) AS role,
                unnest('{TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS privilege),
          NULL, 'section 9: nobody: TRUNCATE, REFERENCES, TRIGGER');
SELECT is(t.tables('regress_crm_nobody', 'SELECT'), NULL, 'section 9: without a grant nothing can be read');
SELECT is(t.tables('regress_crm_consume', 'SELECT'), NULL, 'section 9: consume: nothing else');

-- Functions. s09_public.sql tests what everybody may execute.
CREATE FUNCTION t.functions(role text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_proc
    WHERE pronamespace = 'crm_deals'::regnamespace AND has_function_privilege(role, oid, 'EXECUTE')
      AND NOT has_function_privilege('public', oid, 'EXECUTE')
$$;
SELECT is(t.functions('regress_crm_' || v.role), v.functions, 'section 9: ' || v.role || ': functions')
FROM (VALUES ('nobody', NULL), ('consume', 'ack_events read_events subscribe unsubscribe'),
             ('read',
              'attainment board board_cards check_move deals_as_of find_duplicates forecast lost_reasons '
              'pipeline_changes pipeline_summary pipeline_trend resolve_deal sales_velocity scan_duplicates '
              'stage_conversion timeline verify win_rate'),
             ('write',
              'attainment board board_cards check_move convert_lead deals_as_of dismiss_duplicate find_duplicates '
              'forecast import_accounts import_contacts import_deals import_leads '
              'lost_reasons merge_deals move_deal move_deals pipeline_changes '
              'pipeline_summary pipeline_trend resolve_deal sales_velocity scan_duplicates stage_conversion '
              'start_dispatcher timeline undo_batch verify win_rate'),
             ('manager',
              'attainment board board_cards check_move convert_lead deals_as_of dismiss_duplicate find_duplicates '
              'forecast import_accounts import_contacts import_deals import_leads '
              'lost_reasons merge_deals move_deal move_deals pipeline_changes '
              'pipeline_summary pipeline_trend resolve_deal restore_deal sales_velocity scan_duplicates '
              'stage_conversion start_dispatcher timeline undo_batch verify win_rate'),
             ('admin',
              'ack_events add_stage attainment board board_cards check_move convert_lead create_pipeline '
              'deals_as_of dismiss_duplicate find_duplicates flag_duplicates forecast import_accounts '
              'import_contacts import_deals import_leads '
              'index_custom_field lost_reasons merge_deals move_deal move_deals pipeline_changes pipeline_summary '
              'pipeline_trend prune_events read_events rebuild_duplicates redact remove_stage reorder_stages '
              'resolve_deal restore_deal sales_velocity scan_duplicates stage_conversion start_dispatcher subscribe '
              'timeline undo_batch unsubscribe verify win_rate')) AS v (role, functions);
SELECT is(has_schema_privilege('regress_crm_' || v.role, 'crm_deals', 'USAGE') || ' '
          || has_schema_privilege('regress_crm_' || v.role, 'crm_deals', 'CREATE'),
          v.may, 'section 9: ' || v.role || ': the schema')
FROM (VALUES ('nobody', 'false false'), ('read', 'true false'), ('admin', 'true false')) AS v (role, may);

-- read
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal_overview', 'regress_crm_read'), '3',
          'section 9: read: the list view');
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal_event', 'regress_crm_read'), '3', 'section 9: read: the log');
SELECT is(t.get('SELECT count(*) FROM crm_deals.verify()', 'regress_crm_read'), '0', 'section 9: read: verify()');
SELECT is(t.get('SELECT count(*) FROM crm_deals.check_move(1, ''won'')', 'regress_crm_read'), '0',
          'section 9: read: check_move()');
SELECT is(t.get('SELECT crm_deals.resolve_deal(1)', 'regress_crm_read'), '1', 'section 9: read: resolve_deal()');
SELECT is(t.dry(v.statement, 'regress_crm_read'), '42501', 'section 9: read: not ' || v.statement)
FROM (VALUES ('UPDATE crm_deals.deal SET amount = 1'), ('INSERT INTO crm_deals.deal (name) VALUES (''x'')'),
             ('DELETE FROM crm_deals.deal'), ('SELECT crm_deals.move_deal(1, ''won'')'),
             ('SELECT * FROM crm_deals.move_deals(''{1}'', ''won'')'), ('SELECT * FROM crm_deals.event_consumer'),
             ('SELECT crm_deals.create_pipeline(''x'')')) AS v (statement);
SELECT is(t.dry('SELECT count(*) FROM crm_deals.deal', 'regress_crm_consume'), '42501',
          'section 9: consume: not deals');

-- write does the whole job
SELECT is(t.try(v.statement, 'regress_crm_write'), 'done', 'section 9: write: ' || v.statement)
FROM (VALUES ('INSERT INTO crm_deals.account (name, owner) VALUES (''Globex'', ''anna'')'),
             ('INSERT INTO crm_deals.contact (first_name, account_id) SELECT ''Ada'', max(id) FROM crm_deals.account'),
             ('INSERT INTO crm_deals.lead (company_name) VALUES (''New'')'),
             ('INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, amount) '
              'SELECT ''written'', (SELECT max(id) FROM crm_deals.account), (SELECT max(id) '
              'FROM crm_deals.contact), 5'),
             ('INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) '
              'SELECT d.id, d.primary_contact_id, ''buyer'' FROM crm_deals.deal AS d WHERE name = ''written'''),
             ('INSERT INTO crm_deals.activity (kind, subject, deal_id) SELECT ''call'', ''x'', id FROM crm_deals.deal '
              'WHERE name = ''written'''),
             ('UPDATE crm_deals.deal SET amount = 7, custom_fields = ''{"a": 1}'' WHERE name = ''written'''),
             ('SELECT crm_deals.move_deal(t.deal(''written''), ''qualified'', note => ''x'')'),
             ('SELECT * FROM crm_deals.move_deals(ARRAY[t.deal(''written'')], ''won'', note => ''x'')'),
             ('SELECT * FROM crm_deals.check_move(t.deal(''written''), ''lost'')'),
             ('UPDATE crm_deals.account SET name = ''Globex Ltd'' WHERE name = ''Globex'''),
             ('DELETE FROM crm_deals.activity WHERE kind = ''call'''),
             ('UPDATE crm_deals.lead SET status = ''working''')) AS v (statement);
SELECT is(t.kinds('written') || ' '
          || (SELECT string_agg(DISTINCT actor, ' ') FROM crm_deals.deal_event WHERE deal_id = t.deal('written')),
          'created updated stage_changed won regress_crm_write', 'section 9: write: its changes reach the log');
SELECT t.deal('written') AS written \gset
SELECT is(t.try('DELETE FROM crm_deals.deal WHERE name = ''written''', 'regress_crm_write'), 'done',
          'section 9: write: a delete with all that hangs on it');
SELECT is(t.kinds(:written), 'created updated stage_changed won deleted', 'section 9: write: logged, too');
SELECT is(t.dry(v.statement, 'regress_crm_' || v.role), '42501', 'section 9: ' || v.role || ': not ' || v.statement)
FROM (VALUES ('write', 'UPDATE crm_deals.deal_event SET note = ''x'''), ('write', 'DELETE FROM crm_deals.deal_event'),
             ('write', 'TRUNCATE crm_deals.deal_event'),
             ('write', 'INSERT INTO crm_deals.deal_event (deal_id) VALUES (1)'),
             ('admin', 'DELETE FROM crm_deals.deal_event'),
             ('write', 'INSERT INTO crm_deals.deal_alias VALUES (1, NULL, 2)'),
             ('write', 'UPDATE crm_deals.deal_duplicate SET resolution = ''dismissed'''),
             ('write', 'UPDATE crm_deals.stage SET probability = 1'),
             ('write', 'UPDATE crm_deals.pipeline SET forbid_skipping = false'),
             ('write', 'INSERT INTO crm_deals.custom_field (entity, key, type) VALUES (''deal'', ''x'', ''text'')'),
             ('write', 'SELECT crm_deals.create_pipeline(''x'')'), ('write', 'SELECT crm_deals.add_stage(1, ''x'')'),
             ('write', 'SELECT crm_deals.reorder_stages(1, ''{}'')'), ('write', 'SELECT crm_deals.remove_stage(1)'),
             ('manager', 'SELECT crm_deals.remove_stage(1)'),
             ('manager', 'INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''EUR'', 1)'),
             ('write', 'TRUNCATE crm_deals.deal CASCADE'),
             ('write', 'SELECT crm_deals.move_deal(1, ''won'', override => ''x'')'),
             ('write', 'SELECT crm_deals_internal.move(''{1}'', 5, NULL, NULL, NULL, ''x'', ''public'')'),
             ('write', 'ALTER TABLE crm_deals.deal DISABLE TRIGGER ALL'),
             ('admin', 'ALTER TABLE crm_deals.deal DISABLE TRIGGER ALL'),
             ('write', 'SET LOCAL session_replication_role = replica'),
             ('write', 'SELECT crm_deals.grant_access(''regress_crm_write'', ''admin'')'),
             ('admin', 'SELECT crm_deals.grant_access(''regress_crm_write'', ''admin'')'),
             ('write', 'SELECT crm_deals.install()')) AS v (role, statement);
SELECT is(t.dry('SELECT crm_deals.move_deal(1, ''won'', override => ''x'')', 'regress_crm_manager'), 'done',
          'section 9: manager: may override');

-- admin: pipelines, stages, fields, rates
SELECT is(t.try(v.statement, 'regress_crm_admin'), 'done', 'section 9: admin: ' || v.statement)
FROM (VALUES ('SELECT crm_deals.create_pipeline(''Second'', ''[{"name": "A", "next": ["b"]}, {"name": "B"}]'', '
              'is_default => true)'),
             ('SELECT crm_deals.create_pipeline(''Third'')'),
             ('SELECT crm_deals.add_stage(t.pipeline(''Second''), ''C'', before_key => ''b'')'),
             ('SELECT crm_deals.reorder_stages(t.pipeline(''Second''), ''{b,a,c}'')'),
             ('UPDATE crm_deals.stage SET probability = 44 WHERE key = ''lead'''),
             ('UPDATE crm_deals.stage SET status = ''won'' WHERE id = t.stage(''qualified'')'),
             ('UPDATE crm_deals.stage SET status = ''open'' WHERE id = t.stage(''qualified'')'),
             ('UPDATE crm_deals.pipeline SET forbid_skipping = true WHERE name = ''Second'''),
             ('INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (t.pipeline(''Second''), ''price'')'),
             ('INSERT INTO crm_deals.custom_field (entity, key, type) VALUES (''deal'', ''x'', ''text'')'),
             ('INSERT INTO crm_deals.exchange_rate VALUES (''USD'', ''EUR'', 0.9)'),
             ('DELETE FROM crm_deals.stage_transition'),
             ('SELECT crm_deals.remove_stage(t.stage(''lead''), t.stage(''proposal''))'),
             ('SELECT crm_deals.remove_stage(t.stage(''c'', ''Second''))')) AS v (statement);
SELECT is((SELECT string_agg(t.state(name) || ' ' || t.kinds(name), ', ' ORDER BY name) FROM crm_deals.deal
           WHERE name = 'd1'),
          'proposal open 50 v3 created updated stage_changed', 'section 9: admin: deals followed');

-- Every level once more: it can be granted twice, it replaces the level before, and it can be revoked.
SELECT crm_deals.grant_access('"regress crm ""odd"""', 'write'),
       crm_deals.grant_access('"regress crm ""odd"""', 'write') \gset none_
SELECT is(t.dry('UPDATE crm_deals.deal SET amount = 1', 'regress crm "odd"'), 'done',
          'section 9: grant_access is idempotent, whatever the role''s name');
SELECT crm_deals.grant_access('"regress crm ""odd"""', 'read') AS none \gset
SELECT is(t.dry('UPDATE crm_deals.deal SET amount = 1', 'regress crm "odd"'), '42501',
          'section 9: a lower level takes away what the higher one gave');
SELECT crm_deals.revoke_access('"regress crm ""odd"""'), crm_deals.revoke_access('"regress crm ""odd"""') \gset none_
SELECT is(t.tables('regress crm "odd"', 'SELECT') IS NULL AND t.functions('regress crm "odd"') IS NULL
          AND NOT has_schema_privilege('regress crm "odd"', 'crm_deals', 'USAGE'),
          true, 'section 9: revoke_access takes all, and is idempotent');
SELECT is(t.dry(v.statement), v.result, 'section 9: ' || v.statement)
FROM (VALUES ('SELECT crm_deals.grant_access(''regress_crm_read'', ''owner'')', '22023'),
             ('SELECT crm_deals.grant_access(''regress_crm_read'', NULL)', '22023'),
             ('SELECT crm_deals.grant_access(''regress_crm_read'', '''')', '22023'),
             ('SELECT crm_deals.grant_access(''no_such_role'', ''read'')', '42704')) AS v (statement, result);

-- A later install() covers what it creates.
DROP VIEW crm_deals.deal_overview;
SELECT crm_deals.install() AS version \gset
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal_overview', 'regress_crm_' || v.role), v.result,
          'section 9: after a later install(): ' || v.role || ' and what is new')
FROM (VALUES ('nobody', '42501'), ('consume', '42501'), ('read', '3'), ('write', '3'),
             ('admin', '3')) AS v (role, result);
SELECT is(t.functions('regress_crm_' || v.role), v.functions,
          'section 9: after a later install(): ' || v.role || ': functions as before')
FROM (VALUES ('nobody', NULL), ('consume', 'ack_events read_events subscribe unsubscribe'),
             ('read',
              'attainment board board_cards check_move deals_as_of find_duplicates forecast lost_reasons '
              'pipeline_changes pipeline_summary pipeline_trend resolve_deal sales_velocity scan_duplicates '
              'stage_conversion timeline verify win_rate'),
             ('write',
              'attainment board board_cards check_move convert_lead deals_as_of dismiss_duplicate find_duplicates '
              'forecast import_accounts import_contacts import_deals import_leads '
              'lost_reasons merge_deals move_deal move_deals pipeline_changes '
              'pipeline_summary pipeline_trend resolve_deal sales_velocity scan_duplicates stage_conversion '
              'start_dispatcher timeline undo_batch verify win_rate')) AS v (role, functions);
SELECT is(t.dry('SELECT crm_deals.move_deal(t.deal(''d1''), ''won'', override => ''x'')', 'regress_crm_write'), '42501',
          'section 9: after a later install(): write may not override');
SELECT is(t.dry('SELECT crm_deals.move_deal(t.deal(''d1''), ''won'', override => ''x'')', 'regress_crm_manager'),
          'done', 'section 9: after a later install(): manager may');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT t.drop_roles('regress_crm_nobody', 'regress_crm_read', 'regress_crm_consume', 'regress_crm_write',
                    'regress_crm_manager', 'regress_crm_admin', 'regress crm "odd"') AS none \gset

SELECT * FROM finish();
