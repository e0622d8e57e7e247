\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 10: errors are lower-case messages with full-sentence DETAIL and HINT, and fields a program can read.
SELECT crm_deals.create_pipeline(
    'Strict',
    '[{"name": "A"}, {"name": "B"}, {"name": "C", "required_fields": ["amount"]}, {"name": "Lost", "status": "lost"}]',
    gates => '{"forbid_skipping": true}') AS strict \gset
INSERT INTO crm_deals.custom_field (entity, key, type)
VALUES ('deal', 'number', 'number'), ('account', 'number', 'number');
SELECT t.new_deals('d', 2, 'lead'), t.new_deal('s', 'a', 'Strict') \gset none_
SELECT crm_deals.create_pipeline('Closed', '[{"name": "Z"}]') AS closed \gset
UPDATE crm_deals.pipeline SET is_active = false WHERE id = :closed;
SELECT crm_deals.add_stage(:sales, 'Old') AS old \gset
UPDATE crm_deals.stage SET archived_at = now() WHERE id = :old;
CREATE FUNCTION t.fields(statement text)
RETURNS TABLE (state text, schema_name text, place text, constraint_name text, message text, detail text,
               hint text) LANGUAGE plpgsql AS $$
DECLARE
    table_name text;
    column_name text;
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'TT000', MESSAGE = 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, schema_name = SCHEMA_NAME, table_name = TABLE_NAME,
    column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME,
                            message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    place := concat_ws('.', table_name, nullif(column_name, ''));
    RETURN NEXT;
END
$$;
CREATE TABLE t.errors AS
SELECT v.n, v.statement, v.wanted, f.*
FROM (VALUES (1, 'UPDATE crm_deals.deal SET stage_id = t.stage(''c'', ''Strict'') WHERE name = ''s''',
              '23514 crm_deals deal.stage_id deal_gate'),
             (2, 'INSERT INTO crm_deals.deal (name, stage_id) VALUES (''x'', t.stage(''b'', ''Strict''))',
              '23514 crm_deals deal.stage_id deal_gate'),
             (3,
              'UPDATE crm_deals.pipeline SET forbid_skipping = false; '
              'UPDATE crm_deals.deal SET stage_id = t.stage(''c'', ''Strict'') WHERE name = ''s''',
              '23514 crm_deals deal.stage_id deal_required_fields'),
             (4, 'UPDATE crm_deals.deal SET stage_id = t.stage(''lost'') WHERE name = ''d1''',
              '23514 crm_deals deal.lost_reason deal_lost_reason'),
             (5, 'UPDATE crm_deals.deal SET lost_reason = ''price'' WHERE name = ''d1''',
              '23514 crm_deals deal.lost_reason deal_lost_reason'),
             (6, 'UPDATE crm_deals.deal SET status = ''won'' WHERE name = ''d1''',
              '23514 crm_deals deal.status deal_status_matches_stage'),
             (7, 'UPDATE crm_deals.deal SET stage_id = t.stage(''won''), pipeline_id = t.pipeline(''Strict'') '
                 'WHERE name = ''d1''', '23514 crm_deals deal.pipeline_id deal_stage_in_pipeline'),
             (8, 'UPDATE crm_deals.deal SET organization = ''acme'' WHERE name = ''d1''',
              '23514 crm_deals deal.organization deal_organization_matches_pipeline'),
             (9, 'UPDATE crm_deals.deal SET closed_at = now() WHERE name = ''d1''',
              '23514 crm_deals deal.closed_at deal_closed_at'),
             (10, 'UPDATE crm_deals.deal SET stage_id = t.stage(''z'', ''Closed'') WHERE name = ''d1''',
              '23514 crm_deals deal.pipeline_id deal_pipeline_active'),
             (11, 'UPDATE crm_deals.deal SET stage_id = t.stage(''old'') WHERE name = ''d1''',
              '23514 crm_deals deal.stage_id deal_stage_archived'),
             (12, 'UPDATE crm_deals.deal SET custom_fields = ''{"number": "x"}'' WHERE name = ''d1''',
              '23514 crm_deals deal.custom_fields deal_custom_fields'),
             (13, 'UPDATE crm_deals.deal SET currency = ''XYZ'' WHERE name = ''d1''',
              '23514 crm_deals deal.currency deal_currency'),
             (14, 'UPDATE crm_deals.deal SET id = 9 WHERE name = ''d1''', '23514 crm_deals deal.id deal_immutable'),
             (15, 'UPDATE crm_deals.deal SET created_at = ''2001-01-01'' WHERE name = ''d1''',
              '23514 crm_deals deal.created_at deal_immutable'),
             (16, 'UPDATE crm_deals.deal SET version = 7 WHERE name = ''d1''',
              'UD001 crm_deals deal.version deal_version'),
             (17, 'SELECT crm_deals.move_deal(t.deal(''d1''), ''won'', expected_version => 7)',
              'UD001 crm_deals deal.version deal_version'),
             (18, 'SELECT crm_deals.move_deal(t.deal(''s''), ''c'')', '23514 crm_deals deal.stage_id deal_gate'),
             (19, 'INSERT INTO crm_deals.account (name, custom_fields) VALUES (''x'', ''{"number": "x"}'')',
              '23514 crm_deals account.custom_fields account_custom_fields'),
             (20, 'UPDATE crm_deals.stage SET pipeline_id = t.pipeline(''Strict'') WHERE key = ''won''',
              '23514 crm_deals stage.pipeline_id stage_immutable'),
             (21, 'UPDATE crm_deals.stage SET status = ''lost'' WHERE id = t.stage(''lead'')',
              '23514 crm_deals deal.lost_reason deal_lost_reason'),
             (22, 'UPDATE crm_deals.pipeline SET currency = ''XYZ''',
              '23514 crm_deals pipeline.currency pipeline_currency'),
             (23, 'UPDATE crm_deals.stage SET required_fields = ''{nothing}''',
              '22023 crm_deals stage.required_fields'),
             (24, 'UPDATE crm_deals.deal SET stage_id = 4711', '23503 crm_deals deal.stage_id deal_stage_fkey'),
             (25, 'UPDATE crm_deals.deal SET pipeline_id = 4711', '23503 crm_deals deal.pipeline_id deal_stage_fkey'),
             (26, 'UPDATE crm_deals.deal SET amount = 1e18', '23514 crm_deals deal.amount deal_bounds'),
             (27, 'DELETE FROM crm_deals.deal_event', '42501 crm_deals deal_event'),
             (28, 'TRUNCATE crm_deals.deal CASCADE', '42501 crm_deals deal'),
             (29, 'SELECT crm_deals.move_deal(4711, ''won'')', 'P0002'),
             (30, 'SELECT crm_deals.move_deal(t.deal(''d1''), ''nowhere'')', 'P0002'),
             (31, 'SELECT crm_deals.check_move(t.deal(''d1''), ''nowhere'')', 'P0002'),
             (32, 'SELECT crm_deals.check_move(4711, ''won'')', 'P0002'),
             (33, 'SELECT crm_deals.resolve_deal(4711)', 'P0002'),
             (34, 'SELECT crm_deals.add_stage(4711, ''x'')', 'P0002'),
             (35, 'SELECT crm_deals.add_stage(1, ''x'', before_key => ''nowhere'')', 'P0002'),
             (36, 'SELECT crm_deals.remove_stage(4711)', 'P0002'),
             (37, 'SELECT crm_deals.reorder_stages(4711, ''{}'')', 'P0002'),
             (38, 'SELECT crm_deals.reorder_stages(1, ''{lead}'')', '22023'),
             (39, 'SELECT crm_deals.remove_stage(t.stage(''lead''))', '23503 crm_deals deal deal_stage_fkey'),
             (40, 'SELECT crm_deals.create_pipeline(''x'', ''{}'')', '22023'),
             (41, 'SELECT crm_deals.create_pipeline(''x'', gates => ''[]'')', '22023'),
             (42, 'SELECT crm_deals.create_pipeline(''x'', ''[{"name": "x", "colour": "red"}]'')', '22023'),
             (43, 'SELECT crm_deals.create_pipeline(''x'', ''[{"name": "x", "status": "maybe"}]'')', '22023'),
             (44, 'SELECT crm_deals.add_stage(1, ''x'', status => ''maybe'')', '22023'),
             (45, 'SELECT crm_deals.grant_access(current_user::regrole, ''owner'')', '22023'),
             (46, 'SELECT crm_deals.move_deal(t.deal(''d1''), ''won'', override => '''')', '22023'),
             (47, 'SELECT crm_deals.move_deal(NULL, ''won'')', '22004'),
             (48, 'UPDATE crm_deals.pipeline SET is_default = false; INSERT INTO crm_deals.deal (name) VALUES (''x'')',
              'P0002'),
             (49, 'SELECT crm_deals.install(account_table => ''crm_deals.lead'')', '55000'),
             (50, 'UPDATE crm_deals.pipeline SET organization = ''acme'' WHERE id = 1',
              '23514 crm_deals pipeline.organization pipeline_immutable'),
             (51,
              'INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (1, ''price''); '
              'UPDATE crm_deals.deal SET stage_id = t.stage(''lost''), lost_reason = ''x'' WHERE name = ''d1''',
              '23514 crm_deals deal.lost_reason deal_lost_reason'),
             (52, 'INSERT INTO crm_deals.deal (name, stage_id) VALUES (''x'', t.stage(''lost''))',
              '23514 crm_deals deal.lost_reason deal_lost_reason')) AS v (n, statement, wanted),
     LATERAL t.fields(v.statement) AS f;
SELECT is(concat_ws(' ', state, nullif(schema_name, ''), nullif(place, ''), nullif(constraint_name, '')), wanted,
          'section 10: ' || statement)
FROM t.errors ORDER BY n;
SELECT is((SELECT string_agg(format('%s: %s', n, message), '; ') FROM t.errors
           WHERE message !~ '^([[:lower:]"]|(TRUNCATE|DELETE)\M)' OR message ~ '\.$' OR message ~ '\n'),
          NULL, 'section 10: messages are lower-case, of one line, without a full stop');
SELECT is((SELECT string_agg(format('%s: %s', n, line), '; ') FROM t.errors, regexp_split_to_table(detail, '\n') AS line
           WHERE line <> '' AND line !~ '^(["[:upper:]]|[^[:ascii:]]).*\.$'),
          NULL, 'section 10: DETAIL is full sentences');
SELECT is((SELECT string_agg(format('%s: %s', n, hint), '; ') FROM t.errors
           WHERE hint <> '' AND hint !~ '^["[:upper:]].*\.$'),
          NULL, 'section 10: HINT is a full sentence');
SELECT is((SELECT string_agg(n::text, ' ' ORDER BY n) FROM t.errors WHERE state IN ('23514', 'UD001') AND detail = ''),
          NULL, 'section 10: a broken rule has a DETAIL');
-- P0002 names the ones that exist.
SELECT matches((SELECT detail || hint FROM t.errors WHERE n = 30), 'lead.*qualified.*proposal.*negotiation.*won.*lost',
               'section 10: an unknown stage: the pipeline''s');
SELECT unalike((SELECT detail || hint FROM t.errors WHERE n = 30), '%old%', 'section 10: without the archived ones');
SELECT matches((SELECT detail || hint FROM t.errors WHERE n = 31), 'lead.*qualified.*proposal.*negotiation.*won.*lost',
               'section 10: in check_move, too');
SELECT matches((SELECT detail || hint FROM t.errors WHERE n = 34), 'Sales.*Strict',
               'section 10: an unknown pipeline: the ones there are');
SELECT matches((SELECT detail || hint FROM t.errors WHERE n = 37), 'Sales.*Strict',
               'section 10: in reorder_stages, too');
SELECT matches((SELECT detail FROM t.errors WHERE n = 16), '\m1\M',
               'section 10: a stale version: the current one in DETAIL');
-- Every failure leaves nothing behind.
SELECT is((SELECT count(*) FROM crm_deals.deal_event), 3::bigint, 'section 10: every failure left nothing behind');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
-- The id of a deal that is gone: the error does not tell what became of that deal, which the writer may not see.
DELETE FROM crm_deals.deal WHERE id = t.deal('d2') RETURNING id AS gone \gset
SELECT is(t.try(format('INSERT INTO crm_deals.deal (id, name) VALUES (%s, ''x'')', :gone)),
          '23505 deal_event deal_event_version', 'section 9: the id of a deal that is gone');
SELECT is(t.error(format('INSERT INTO crm_deals.deal (id, name) VALUES (%s, ''x'')', :gone), 'detail'),
          'The log has an event of this version of the deal already. The id of a deal is not used again.',
          'section 9: no text names its version');
-- A session that only ever met errors goes on.
SELECT is(t.dry($$SELECT crm_deals.move_deal(t.deal('d1'), 'won')$$), 'done', 'section 10: and the session goes on');

SELECT * FROM finish();
