\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Section 9: one policy on deal protects all tables. Every answer that alice gets is the same with bob's deals and
-- without them.
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'manager'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
UPDATE crm_deals.deal SET owner = CASE WHEN id % 2 = 0 THEN 'regress_crm_alice' ELSE 'regress_crm_bob' END;
-- What hangs on deals: of each, and between them.
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) SELECT id, 1 + id % 5, 'buyer' FROM crm_deals.deal;
INSERT INTO crm_deals.activity (kind, subject, deal_id, account_id)
SELECT 'call', 'About ' || id, id, account_id
FROM crm_deals.deal;
INSERT INTO crm_deals.activity (kind, subject, account_id) VALUES ('call', 'Of no deal', 1);
INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity)
SELECT id + v.n, id, 0.9
FROM crm_deals.deal, (VALUES (1), (2)) AS v (n)
WHERE id BETWEEN 10 AND 20;
INSERT INTO crm_deals.deal_alias (old_id, deal_id) SELECT 9000 + id, id FROM crm_deals.deal WHERE id <= 10;
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE stage_id = t.stage('lead');
UPDATE crm_deals.stage SET rots_after = '1 day';
DELETE FROM crm_deals.deal WHERE id IN (31, 32);
SELECT clock_timestamp() AS moment \gset
UPDATE crm_deals.deal SET amount = amount + 1;
DELETE FROM crm_deals.deal WHERE id IN (33, 34);

SELECT is(t.try('SELECT crm_deals.protect_children()', 'regress_crm_alice'), '42501',
          'protect_children is for the owner of the tables');
-- Without a policy on deal it changes nothing, not even for deleted deals.
CREATE FUNCTION t.counts() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(t.get(format('SELECT count(*) FROM crm_deals.%I', r), 'regress_crm_alice'), ' ')
    FROM unnest(ARRAY['deal_event', 'deal_duplicate', 'deal_contact', 'activity', 'deal_alias',
                      'deal_stage_history']) AS r
$$;
SELECT t.counts() AS before \gset
SELECT crm_deals.protect_children() \gset none_
SELECT crm_deals.protect_children() \gset none_
SELECT is(t.counts(), :'before', 'protect_children without row security on deal hides nothing');
SELECT is((SELECT string_agg(c.relname || ' ' || p.polname || ' ' || p.polcmd::text || ' ' || c.relrowsecurity || ' '
                             || c.relforcerowsecurity,
                             ', ' ORDER BY c.relname)
           FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
           WHERE c.relnamespace = 'crm_deals'::regnamespace),
          'activity crm_deals_visible_deal * true false, deal_alias crm_deals_visible_deal * true false, '
          'deal_contact crm_deals_visible_deal * true false, deal_duplicate crm_deals_visible_deal * true false, '
          'deal_event crm_deals_visible_deal * true false',
          'protect_children: one policy each, called twice');
SELECT is((SELECT count(*) FROM pg_depend AS d JOIN pg_policy AS p ON p.oid = d.objid
           WHERE d.classid = 'pg_policy'::regclass AND d.deptype = 'e'),
          0::bigint, 'the policies are the user''s, not the extension''s');

CREATE POLICY own ON crm_deals.deal USING (owner = current_user);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;

-- Everything that alice can ask. The number of a policy's own table is not hers to see.
CREATE TABLE t.question (name text, query text);
INSERT INTO t.question
SELECT 'table or view ' || c.relname, format('SELECT x FROM crm_deals.%I AS x', c.relname) FROM pg_class AS c
WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind IN ('r', 'v')
  AND has_table_privilege('regress_crm_alice', c.oid, 'SELECT');
INSERT INTO t.question
SELECT 'function ' || q, 'SELECT x FROM crm_deals.' || q || ' AS x'
FROM unnest(ARRAY['board()', 'board(group_by => ''owner'')', 'board(''Service'', ''account'')',
                  'board(filter => ''{"status": "open"}'')',
                  'board_cards(''Sales'', ''qualified'', card_limit => 1000)',
                  'board_cards(''Sales'', ''regress_crm_bob'', ''owner'')',
                  'board_cards(''Sales'', ''1'', ''account'', card_limit => 1000)',
                'forecast()', 'forecast(group_by => ''owner'')', format('forecast(as_of => %L)', :'moment'),
                format('deals_as_of(%L)', :'moment'), 'deals_as_of(clock_timestamp())', 'deals_as_of(''2020-01-01'')',
                format('pipeline_changes(%L, clock_timestamp(), group_by => ''owner'')', :'moment'),
                format('pipeline_changes(''2020-01-01'', %L, ''Sales'')', :'moment'),
                'attainment()', 'attainment(''owner'', NULL)', 'win_rate()', 'win_rate(''owner'', NULL)', 'lost_reasons()',
                'sales_velocity()',
                'sales_velocity(''account'', NULL)', 'pipeline_summary()', 'pipeline_summary(''owner'')',
                'stage_conversion()', 'stage_conversion(''owner'', ''day'')', 'verify()']) AS q;
INSERT INTO t.question
SELECT 'function ' || q, format('SELECT x FROM (SELECT p.group_key, p.currency, p.deal_count, p.amount
                                                FROM crm_deals.%s AS p) AS x', q)
FROM unnest(ARRAY['pipeline_trend()', 'pipeline_trend(''month'', group_by => ''account'')']) AS q;
INSERT INTO t.question SELECT 'error of ' || q, format('SELECT t.message(%L) AS x', 'SELECT crm_deals.' || q)
FROM unnest(ARRAY['move_deal(1, ''won'')', 'move_deal(9001, ''won'')', 'check_move(1, ''won'')', 'resolve_deal(1)',
                  'resolve_deal(9001)', 'forecast(convert_to => ''EUR'', filter => ''{"owner": "regress_crm_bob"}'')',
                  'board(filter => ''{"custom_fields": {"secret": 1}}'')', 'board(''None'')']) AS q;
INSERT INTO t.question
VALUES ('move_deals', 'SELECT x FROM crm_deals.move_deals(ARRAY[1, 3, 9001], ''won'') AS x'),
       ('a child of a hidden deal',
        $$SELECT t.message('INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES (''call'', ''x'', 1)')
                     AS x$$),
       ('a stakeholder of a hidden deal',
        $$SELECT t.message('INSERT INTO crm_deals.deal_contact (deal_id, contact_id) VALUES (1, 1)') AS x$$),
       ('an UPDATE of all',
        $$SELECT t.message('UPDATE crm_deals.deal_contact SET role = ''x'' WHERE deal_id = 1') AS x$$),
       ('a DELETE of a hidden child', $$SELECT t.message('DELETE FROM crm_deals.activity WHERE deal_id = 1') AS x$$);
CREATE FUNCTION t.message(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
    changed bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN 'done ' || changed;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' ', SQLSTATE, message, detail, hint);
END
$$;
-- The clock shows in two columns of the views.
CREATE FUNCTION t.answer(query text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get(format('SELECT coalesce(string_agg(a, E''\n'' ORDER BY a), ''(none)'') '
                        'FROM (SELECT regexp_replace(to_jsonb(x)::text, ''"(overdue|duration)": "[^"]*"'', '''', '
                        '''g'') AS a FROM (%s) AS x) AS y',
                        query),
                 'regress_crm_alice')
$$;
CREATE TABLE t.with_bob AS SELECT name, t.answer(query) AS answer FROM t.question;
SELECT is((SELECT string_agg(name, ', ') FROM t.with_bob WHERE answer ~ 'regress_crm_bob' AND name !~ 'convert_to'),
          NULL, 'bob is named nowhere');
SELECT is((SELECT count(*) > 30 FROM t.with_bob WHERE answer <> '(none)'), true, 'alice is told something');
SELECT is(t.get('SELECT (SELECT count(*) FROM crm_deals.deal) || '' '' || (SELECT count(DISTINCT deal_id) '
                'FROM crm_deals.deal_event) || '' '' || (SELECT count(*) '
                'FROM crm_deals.deal_contact) || '' '' || (SELECT count(*) FROM crm_deals.activity '
                'WHERE deal_id IS NULL)',
                'regress_crm_alice'),
          '198 198 198 1', 'alice sees what hangs on her deals, and activities of no deal');
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal_duplicate', 'regress_crm_alice'),
          (SELECT count(*)::text FROM crm_deals.deal_duplicate WHERE deal_id % 2 = 0 AND other_deal_id % 2 = 0),
          'a flag is hers only where both deals are');
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal_event WHERE kind = ''deleted''', 'regress_crm_alice'), '0',
          'events of deals that are gone are nobody''s under row security');
SELECT is(t.get(format('SELECT count(*) FROM crm_deals.deals_as_of(%L)', :'moment'), 'regress_crm_alice') || ' '
          || (SELECT count(*) FROM crm_deals.deals_as_of(:'moment')),
          '198 398', 'deals_as_of: nor in the past, but the owner of the tables has them all');
-- Functions and the history follow the policy on deal even if the log itself has no policy.
ALTER TABLE crm_deals.deal_event DISABLE ROW LEVEL SECURITY;
SELECT is(t.answer(q.query), w.answer, 'also without a policy on the log: ' || replace(q.name, :'moment', '…'))
FROM t.question AS q JOIN t.with_bob AS w ON w.name = q.name WHERE q.name ~ 'function|deal_stage_history'
ORDER BY q.name COLLATE "C";
ALTER TABLE crm_deals.deal_event ENABLE ROW LEVEL SECURITY;
-- bob's deals go, without a trace in the log.
SET session_replication_role = replica;
DELETE FROM crm_deals.deal_event WHERE deal_id % 2 = 1;
DELETE FROM crm_deals.deal_contact WHERE deal_id % 2 = 1;
DELETE FROM crm_deals.deal_duplicate WHERE deal_id % 2 = 1 OR other_deal_id % 2 = 1;
DELETE FROM crm_deals.deal_alias WHERE deal_id % 2 = 1;
DELETE FROM crm_deals.activity WHERE deal_id % 2 = 1;
DELETE FROM crm_deals.deal WHERE id % 2 = 1;
RESET session_replication_role;
SELECT is(t.answer(q.query), w.answer, 'the same without bob''s deals: ' || replace(q.name, :'moment', '…'))
FROM t.question AS q JOIN t.with_bob AS w ON w.name = q.name ORDER BY q.name COLLATE "C";

-- Writing to the children of one's own deals works as before.
SELECT is(t.dry($$INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'x', 2)$$,
                'regress_crm_alice'),
          'done', 'an activity of one''s own deal');
SELECT is(t.after($$SELECT crm_deals.move_deal(id, 'proposal', note => 'mine') FROM crm_deals.deal
                    WHERE stage_id = t.stage('qualified') ORDER BY id LIMIT 1$$,
                  'SELECT count(*) FROM crm_deals.activity WHERE body = ''mine''', 'regress_crm_alice'),
          '1', 'move_deal writes log and note under the policies');
-- install() protects what is new, and leaves a policy that is there as it is.
DROP POLICY crm_deals_visible_deal ON crm_deals.deal_alias;
ALTER POLICY crm_deals_visible_deal ON crm_deals.activity USING (true);
SELECT crm_deals.install() \gset none_
SELECT is((SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_policy AS p
           JOIN pg_class AS c ON c.oid = p.polrelid WHERE p.polname = 'crm_deals_visible_deal'),
          'activity, deal_alias, deal_contact, deal_duplicate, deal_event',
          'install() protects a child that has no policy yet');
SELECT is((SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'crm_deals.activity'::regclass),
          'true', 'and leaves one that a user changed');

DROP POLICY own ON crm_deals.deal;
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
SELECT * FROM finish();
