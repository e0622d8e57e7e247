\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 9 and 10: to a caller an invisible deal is one that does not exist. Every public function is called with
-- everything that can name one, once with bob's deals and once after they are gone without a trace. What alice is told
-- must be the same. A function that is new needs its calls here: see t.call.
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'admin'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
SELECT crm_deals.create_pipeline('Strict', gates => '{"forbid_skipping": true}'),
       crm_deals.create_pipeline('Guarded') \gset none_
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE name = 'Guarded';
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (first_name, last_name) VALUES ('A', 'B');
INSERT INTO crm_deals.lead (company_name) VALUES ('one'), ('two');
SET crm_deals.actor = 'eve';
-- 1 to 4: alice's. 11 to 16: bob's; 14 is deleted, 15 is merged into 16, and 13 has the name of alice's.
INSERT INTO crm_deals.deal (id, name, owner, external_id, account_id, amount, pipeline_id) VALUES
    (1, 'Alpha of alice', 'regress_crm_alice', 'a1', 1, 10, 1),
    (2, 'Beta of alice', 'regress_crm_alice', 'a2', 1, 20, 1),
    (3, 'Gamma of alice', 'regress_crm_alice', 'a3', 1, 30, 1),
    (4, 'Gamma of alice', 'regress_crm_alice', 'a4', 1, 30, 1);
SELECT crm_deals.move_deal(1, 'qualified'), crm_deals.subscribe('erp', from_start => true) \gset none_
INSERT INTO crm_deals.deal (id, name, owner, external_id, account_id, amount, pipeline_id) VALUES
    (11, 'Secret of bob', 'regress_crm_bob', 'b1', 1, 100, 1), (12, 'Hidden thing', 'regress_crm_bob', 'b2', 1, 200, 1),
    (13, 'Gamma of alice', 'regress_crm_bob', 'b3', 1, 300, 1), (14, 'Gone', 'regress_crm_bob', 'b4', 1, 400, 1),
    (15, 'Merged', 'regress_crm_bob', 'b5', 1, 500, 1), (16, 'Survivor', 'regress_crm_bob', 'b6', 1, 600, 1),
    (17, 'Guarded thing', 'regress_crm_bob', 'b7', 1, 600, 3);
SELECT crm_deals.move_deal(11, 'qualified', note => 'secret') AS none, crm_deals.merge_deals(16, 15) AS none2 \gset
DELETE FROM crm_deals.deal WHERE id = 14;
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'x', 1), ('call', 'x', 11);
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) VALUES (1, 1, 'buyer'), (11, 1, 'buyer');
UPDATE crm_deals.deal SET source = 'fair' WHERE id IN (1, 2, 12, 13);
RESET crm_deals.actor;
DELETE FROM crm_deals.deal_duplicate;
SELECT max(batch_id) FILTER (WHERE deal_id = 11) AS batch, max(batch_id) FILTER (WHERE deal_id = 14) AS deletion,
       max(batch_id) FILTER (WHERE deal_id = 12) AS mixed
FROM crm_deals.deal_event \gset
CREATE POLICY own ON crm_deals.deal USING (owner = current_user);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT crm_deals.protect_children() AS none \gset
CREATE TABLE t.source AS SELECT * FROM (VALUES
    ('x1', 'Secret of bob', '5', 'qualified'), ('x2', 'Guarded thing', '5', NULL), ('a1', 'Hidden thing', '6', NULL),
    (NULL, 'Gone', '7', NULL)) AS s (external_id, name, amount, stage), (VALUES ('regress_crm_alice')) AS o (owner);
GRANT SELECT ON t.source TO PUBLIC;

-- The calls, by the name of the function. H stands for a deal that is hidden, one in each row of t.hidden.
CREATE TABLE t.call (function text, call text);
INSERT INTO t.call VALUES
    ('move_deal', 'move_deal(H, ''won'')'), ('move_deal', 'move_deal(H, 3::bigint)'),
    ('move_deal', 'move_deal(H, ''won'', expected_version => 1, override => ''x'')'),
    ('move_deal', 'move_deal(H, ''nowhere'')'),
    ('move_deals', 'move_deals(ARRAY[1, H, 2], ''won'', note => ''n'')'),
    ('move_deals', 'move_deals(ARRAY[H], ''none'')'),
    ('check_move', 'check_move(H, ''won'')'), ('check_move', 'check_move(H, ''none'')'),
    ('resolve_deal', 'resolve_deal(H)'), ('restore_deal', 'restore_deal(H)'),
    ('undo_batch', 'undo_batch(BATCH)'), ('undo_batch', 'undo_batch(DELETION)'),
    ('undo_batch', 'undo_batch(MIXED)'),
    ('merge_deals', 'merge_deals(1, H)'), ('merge_deals', 'merge_deals(H, 1)'), ('merge_deals', 'merge_deals(H, H)'),
    ('dismiss_duplicate', 'dismiss_duplicate(1, H)'), ('dismiss_duplicate', 'dismiss_duplicate(H, 1)'),
    ('dismiss_duplicate', 'dismiss_duplicate(H, H)'),
    ('redact', 'redact(deals => ARRAY[H])'), ('redact', 'redact(deals => ARRAY[1, H])'),
    ('redact', 'redact(actor => ''eve'')'), ('redact', 'redact(actor => ''regress_crm_bob'')'),
    ('convert_lead', 'convert_lead(1, deal => ''{"name": "Secret of bob", "owner": "regress_crm_alice"}'')'),
    ('convert_lead', 'convert_lead(1, deal => ''{"name": "x", "external_id": "b5", "owner": "regress_crm_alice"}'')'),
    ('convert_lead', 'convert_lead(1, use_deal => H)'),
    ('timeline', 'timeline(H)'), ('timeline', 'timeline(H, 1, now())'), ('timeline', 'timeline(1)'),
    ('import_deals', 'import_deals(''t.source'')'), ('import_deals', 'import_deals(''t.source'', gates => true)'),
    ('import_accounts', 'import_accounts(rows => ''[{"external_id": "b5", "name": "Secret of bob"}]'')'),
    ('import_contacts', 'import_contacts(rows => ''[{"external_id": "b5", "last_name": "Secret of bob"}]'')'),
    ('import_leads', 'import_leads(rows => ''[{"external_id": "b5", "company_name": "Secret of bob"}]'')'),
    ('import_leads', 'import_leads(rows => ''[{"company_name": "x", "deal_id": H}]'', columns => ''{"deal_id": "deal_id"}'')'),
    ('find_duplicates', 'find_duplicates(''Secret of bob'', 0.1)'), ('scan_duplicates', 'scan_duplicates(0.1)'),
    ('flag_duplicates', 'flag_duplicates()'), ('flag_duplicates', 'flag_duplicates(''Sales'')'),
    ('rebuild_duplicates', 'rebuild_duplicates()'), ('verify', 'verify()'),
    ('board', 'board()'), ('board', 'board(group_by => ''owner'')'), ('board', 'board(group_by => ''account'')'),
    ('board', 'board(filter => ''{"owner": "regress_crm_bob"}'')'),
    ('board_cards', 'board_cards(NULL, ''qualified'')'),
    ('board_cards', 'board_cards(NULL, ''regress_crm_bob'', ''owner'')'),
    ('forecast', 'forecast()'), ('forecast', 'forecast(as_of => now() - interval ''0 s'')'),
    ('deals_as_of', 'deals_as_of(clock_timestamp())'), ('win_rate', 'win_rate()'),
    ('stage_conversion', 'stage_conversion()'), ('sales_velocity', 'sales_velocity()'),
    ('pipeline_changes', 'pipeline_changes(''-infinity'')'),
    ('pipeline_changes', 'pipeline_changes(''-infinity'', clock_timestamp(), group_by => ''owner'')'),
    ('lost_reasons', 'lost_reasons()'), ('pipeline_summary', 'pipeline_summary()'),
    ('attainment', 'attainment()'), ('attainment', 'attainment(''owner'', NULL)'),
    ('pipeline_trend', 'pipeline_trend()'), ('pipeline_trend', 'pipeline_trend(group_by => ''account'')'),
    ('subscribe', 'subscribe(''mine'', from_start => true)'), ('ack_events', 'ack_events(''nobody'', H)'),
    ('unsubscribe', 'unsubscribe(''nobody'')'), ('read_events', 'read_events(''nobody'')'),
    ('start_dispatcher', 'start_dispatcher()'),
    ('create_pipeline', 'create_pipeline(''Secret of bob'')'), ('add_stage', 'add_stage(1, ''New'')'),
    ('reorder_stages', 'reorder_stages(1, ''{won,lead}'')'),
    ('index_custom_field', 'index_custom_field(''deal'', ''x'')'),
    -- for the owner of the tables alone: all are told the same
    ('install', 'install()'), ('load_sample', 'load_sample()'), ('grant_access', 'grant_access(''regress_crm_alice'', ''read'')'),
    ('revoke_access', 'revoke_access(''regress_crm_alice'')'), ('protect_children', 'protect_children()'),
    -- Their work is about all deals, whoever calls them: the number of events removed, a stage that holds deals.
    ('prune_events', NULL), ('remove_stage', NULL);
SELECT is((SELECT string_agg(DISTINCT p.proname, ', ') FROM pg_proc AS p
           WHERE p.pronamespace = 'crm_deals'::regnamespace
             AND NOT EXISTS (SELECT FROM t.call AS c WHERE c.function = p.proname)),
          NULL, 'section 9: every public function is called here');
-- Statements
INSERT INTO t.call
SELECT 'statement', s.statement
FROM (VALUES ('INSERT INTO crm_deals.lead (company_name, deal_id) VALUES (''x'', H) RETURNING 1'),
             ('UPDATE crm_deals.lead SET deal_id = H WHERE id = 2 RETURNING 1'),
             ('INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES (''call'', ''x'', H) RETURNING 1'),
             ('UPDATE crm_deals.activity SET deal_id = H RETURNING 1'),
             ('INSERT INTO crm_deals.deal_contact (deal_id, contact_id) VALUES (H, 1) RETURNING 1'),
             ('UPDATE crm_deals.deal_contact SET deal_id = H RETURNING 1'),
             ('UPDATE crm_deals.deal SET name = ''Secret of bob'' WHERE id = 1 RETURNING 1'),
             ('UPDATE crm_deals.deal SET amount = 1 WHERE id = H RETURNING 1'),
             ('DELETE FROM crm_deals.deal WHERE id = H RETURNING 1'),
             ('INSERT INTO crm_deals.deal (name, owner) VALUES (''Secret of bob'', ''regress_crm_alice'') RETURNING 1'),
             ('INSERT INTO crm_deals.deal (name, owner, pipeline_id) '
              'VALUES (''Guarded things'', ''regress_crm_alice'', 1) RETURNING 1'))
         AS s (statement);
CREATE TABLE t.hidden (id bigint);
INSERT INTO t.hidden VALUES (11), (14), (15), (16);
-- A call that has no H is made once.
CREATE VIEW t.question AS
    SELECT DISTINCT c.function,
           replace(replace(replace(regexp_replace(c.call, '\mH\M', h.id::text, 'g'), 'BATCH', :'batch'),
                           'DELETION', :'deletion'), 'MIXED', :'mixed') AS call
    FROM t.call AS c, t.hidden AS h
    WHERE c.call IS NOT NULL AND (c.call ~ '\mH\M' OR h.id = 11);

-- All that a caller is told: rows, or each field of the error. The same ids are drawn each time; times are left out.
CREATE FUNCTION t.told(function text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    sequence regclass;
    result text;
    message text;
    detail text;
    hint text;
    fields text;
BEGIN
    FOR sequence IN SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'S' LOOP
        PERFORM setval(sequence, 100000);
    END LOOP;
    BEGIN
        SET LOCAL ROLE regress_crm_alice;
        EXECUTE CASE WHEN told.function = 'statement'
                     THEN format('WITH x AS (%s) SELECT string_agg(x::text, '' '') FROM x', told.call)
                     ELSE format('SELECT string_agg(to_jsonb(x)::text, E''\n'' ORDER BY to_jsonb(x)::text) '
                                 'FROM crm_deals.%s AS x', told.call) END
        INTO result;
        RAISE EXCEPTION USING ERRCODE = 'TT000';
    EXCEPTION
        WHEN SQLSTATE 'TT000' THEN
            NULL;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
                                    fields = CONSTRAINT_NAME;
            result := concat_ws(' | ', SQLSTATE, message, detail, hint, fields);
    END;
    RETURN regexp_replace(coalesce(result, '(none)'), '\d{4}-\d\d-\d\d[T ][\d:.+]+', 'TIME', 'g');
END
$$;
CREATE TABLE t.with_bob AS SELECT q.function, q.call, t.told(q.function, q.call) AS told FROM t.question AS q;
SELECT is((SELECT string_agg(w.call, ', ') FROM t.with_bob AS w
           WHERE w.told ~* 'secret of bob' AND w.call !~* 'secret'), NULL, 'section 9: bob''s names are told nowhere');
-- bob's deals go, without a trace in the log.
SET session_replication_role = replica;
DELETE FROM crm_deals.deal_event WHERE deal_id > 4;
DELETE FROM crm_deals.deal_contact WHERE deal_id > 4;
DELETE FROM crm_deals.deal_duplicate WHERE deal_id > 4 OR other_deal_id > 4;
DELETE FROM crm_deals.deal_alias WHERE deal_id > 4;
DELETE FROM crm_deals.activity WHERE deal_id > 4;
DELETE FROM crm_deals.deal WHERE id > 4;
DELETE FROM crm_deals.deal_name WHERE deal_id > 4;
RESET session_replication_role;
SELECT is(w.told, t.told(w.function, w.call), 'section 9: without bob the same: ' || w.call)
FROM t.with_bob AS w ORDER BY w.function, w.call COLLATE "C";
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset

SELECT * FROM finish();
