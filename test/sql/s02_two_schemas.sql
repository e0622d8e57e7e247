\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 2: schema crm_deals is public; what is internal stands in crm_deals_internal, out of reach of users.
SELECT t.drop_roles('regress_crm_maker') AS none \gset
CREATE TABLE t.member AS
    SELECT d.classid, d.objid, i.type, i.schema
    FROM pg_extension AS e
    JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
    WHERE e.extname = 'crm_deals';
CREATE FUNCTION t.types_in(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT m.type, ', ' ORDER BY m.type) FROM t.member AS m WHERE m.schema = wanted
$$;
SELECT is(t.types_in('crm_deals'), 'function', 'section 2: of the extension, crm_deals holds functions only');
SELECT is(t.types_in('crm_deals_internal'), 'aggregate, function, operator, operator class, operator family',
          'section 2: the rest is internal');
SELECT is_empty($$SELECT m.type, m.schema FROM t.member AS m
                  WHERE m.type <> 'schema' AND coalesce(m.schema NOT IN ('crm_deals', 'crm_deals_internal'), true)$$,
                'section 2: and nothing is elsewhere');

-- The public functions
CREATE TABLE t.face AS
    SELECT p.*, p.prosqlbody IS NOT NULL AS is_sql FROM pg_proc AS p
    JOIN t.member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.schema = 'crm_deals';
CREATE TABLE t.internal AS
    SELECT p.* FROM pg_proc AS p
    JOIN t.member AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid AND m.schema = 'crm_deals_internal';
CREATE TABLE t.behind AS
    SELECT f.oid AS face, i.oid AS internal
    FROM t.face AS f
    JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_proc'::regclass
    JOIN t.internal AS i ON i.oid = d.refobjid;
SELECT is_empty($$SELECT f.proname FROM t.face AS f JOIN pg_language AS l ON l.oid = f.prolang
                  WHERE NOT (l.lanname = 'c' OR l.lanname = 'sql' AND f.is_sql AND f.proconfig IS NULL)$$,
                'section 2: each is C, or SQL whose names were resolved when it was created');
SELECT is_empty($$SELECT f.proname, pg_describe_object(d.refclassid, d.refobjid, 0)
                  FROM t.face AS f
                  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'n'
                  WHERE (d.refclassid, d.refobjid) <> ('pg_namespace'::regclass, 'crm_deals'::regnamespace)
                    AND NOT (d.refclassid = 'pg_proc'::regclass
                             AND EXISTS (SELECT FROM t.internal AS i WHERE i.oid = d.refobjid))$$,
                'section 2: they need internal functions only');
SELECT is((SELECT count(*) FROM t.behind), (SELECT count(*) FROM t.face AS f WHERE f.is_sql),
          'section 2: of SQL one each');
-- A function that writes as the caller has one more argument, the caller's search_path.
CREATE FUNCTION t.traits(p pg_proc) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', p.proname,
                     trim_array(p.proargtypes::oid[], ('callers_path' = ANY (coalesce(p.proargnames, '{}')))::integer),
                     array_remove(coalesce(p.proargnames, '{}'), 'callers_path'), p.provolatile, p.proparallel, p.procost, p.prorows,
                     p.proretset, p.proisstrict, pg_get_function_result(p.oid))
$$;
SELECT is_empty($$SELECT t.traits(f), t.traits(i)
                  FROM t.behind AS b JOIN pg_proc AS f ON f.oid = b.face JOIN pg_proc AS i ON i.oid = b.internal
                  WHERE t.traits(f) <> t.traits(i)$$,
                'section 2: of the same name, arguments, result, volatility, parallel safety, COST and ROWS');

-- Code calls internal functions only. Hints name public ones, as a person calls them: "crm_deals.install()."
CREATE FUNCTION t.calls(schema text, name text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM t.internal AS i WHERE i.prosrc ~ format('\m%s\.%s\s*\((?!\)\.)', schema, name)
$$;
SELECT is_empty($$SELECT f.proname FROM t.face AS f WHERE t.calls('crm_deals', f.proname) > 0$$,
                'section 2: no internal function calls a public one');
SELECT cmp_ok(t.calls('crm_deals_internal', 'resolve_deal'), '>=', 2::bigint, 'section 2: which would be found');
SELECT is_empty($$SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
                  FROM t.face AS f
                  JOIN pg_depend AS d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.oid$$,
                'section 2: no view, trigger, index or function needs a public function');

-- Rights
CREATE TABLE t.allowed AS
    SELECT l.level, p.oid, p.proname, p.prosrc
    FROM unnest('{read,consume,write,manager,admin}'::text[]) AS l (level)
    JOIN crm_deals_internal.function_privileges() AS f ON f.level = ANY (crm_deals_internal.level_includes(l.level))
    JOIN pg_proc AS p ON p.pronamespace = f.schema::regnamespace AND p.proname = f.function;
CREATE FUNCTION t.levels(function oid) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN has_function_privilege('public', function, 'EXECUTE') THEN 'public'
                ELSE coalesce((SELECT string_agg(a.level, ' ' ORDER BY a.level) FROM t.allowed AS a
                               WHERE a.oid = function), 'owner') END
$$;
SELECT is_empty($$SELECT b.face::regprocedure, t.levels(b.face), t.levels(b.internal) FROM t.behind AS b
                  WHERE t.levels(b.face) <> t.levels(b.internal)$$,
                'section 9: a public function and what it calls are of the same level');
CREATE TABLE t.call AS
    SELECT DISTINCT a.level, a.proname AS caller, i.proname AS called, i.oid
    FROM t.allowed AS a
    CROSS JOIN LATERAL regexp_matches(a.prosrc, '\mcrm_deals_internal\.([a-z0-9_]+)\s*\(', 'g') AS m (found)
    JOIN t.internal AS i ON i.proname = m.found[1];
SELECT is_empty($$SELECT c.level, c.caller, c.called FROM t.call AS c
                  WHERE NOT EXISTS (SELECT FROM t.allowed AS a WHERE a.level = c.level AND a.oid = c.oid)
                    AND NOT has_function_privilege('public', c.oid, 'EXECUTE')$$,
                'section 9: each level may execute what its functions call');
SELECT cmp_ok((SELECT count(*) FROM t.call), '>', 200::bigint, 'section 9: and there is much of it');
SELECT is_empty($$SELECT DISTINCT i.proname, c.found[1]
                  FROM t.internal AS i
                  CROSS JOIN LATERAL regexp_matches(i.prosrc, '\mcrm_deals_internal\.([a-z0-9_]+)\s*\(', 'g')
                      AS c (found)
                  JOIN t.internal AS o ON o.proname = c.found[1]
                  WHERE has_function_privilege('public', i.oid, 'EXECUTE')
                    AND NOT has_function_privilege('public', o.oid, 'EXECUTE')$$,
                'section 9: and so may everybody');

-- Nobody creates anything among what is internal, and what somebody creates in crm_deals changes nothing.
CREATE ROLE regress_crm_maker;
SELECT crm_deals.grant_access('regress_crm_maker', 'admin') AS none \gset
GRANT CREATE ON SCHEMA crm_deals TO regress_crm_maker;
SELECT is((SELECT string_agg(a.privilege_type, ' ')
           FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
           WHERE n.nspname = 'crm_deals_internal' AND a.grantee <> n.nspowner), 'USAGE',
          'section 2: of crm_deals_internal others have USAGE');
SELECT is(t.dry(v.statement, 'regress_crm_maker'), '42501', 'section 2: nobody makes ' || v.what || ' in it')
FROM (VALUES ('a function', 'CREATE FUNCTION crm_deals_internal.mine() RETURNS integer RETURN 1'),
             ('an overload', 'CREATE FUNCTION crm_deals_internal.resolve_deal(integer) RETURNS bigint RETURN $1'),
             ('an operator', 'CREATE OPERATOR crm_deals_internal.= (RIGHTARG = bigint, FUNCTION = pg_catalog.int8abs)'),
             ('a table', 'CREATE TABLE crm_deals_internal.deal (id bigint)'),
             ('a type', 'CREATE TYPE crm_deals_internal.deal_status AS ENUM ()')) AS v (what, statement);
-- For every internal function one of the same name and arguments that raises, in crm_deals, as far as PL/pgSQL knows
-- their types; overloads; operators.
CREATE FUNCTION t.lay_traps() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    laid bigint := 0;
    trap record;
BEGIN
    FOR trap IN
        SELECT i.proname AS name, pg_get_function_arguments(i.oid) AS arguments, pg_get_function_result(i.oid) AS result
        FROM t.internal AS i
        WHERE i.prokind = 'f' AND i.prorettype <> 'internal'::regtype
          AND NOT i.proargtypes::oid[] && '{internal,"\"any\""}'::regtype[]::oid[]
          AND NOT EXISTS (SELECT FROM t.face AS f WHERE f.proname = i.proname AND f.proargtypes = i.proargtypes)
        UNION ALL
        VALUES ('resolve_deal', 'deal_id integer', 'bigint'), ('protect_children', 'anew boolean DEFAULT true', 'void'),
               ('equal', 'bigint, bigint', 'boolean'), ('equal', 'text, text', 'boolean'),
               ('less', 'timestamptz, timestamptz', 'boolean'), ('join', 'text, text', 'text')
    LOOP
        EXECUTE format('CREATE FUNCTION crm_deals.%I(%s) RETURNS %s LANGUAGE plpgsql
                        AS ''BEGIN RAISE EXCEPTION ''''trap''''; END''',
                       trap.name, trap.arguments, trap.result);
        laid := laid + 1;
    END LOOP;
    CREATE OPERATOR crm_deals.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = crm_deals.equal);
    CREATE OPERATOR crm_deals.= (LEFTARG = text, RIGHTARG = text, FUNCTION = crm_deals.equal);
    CREATE OPERATOR crm_deals.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = crm_deals.less);
    CREATE OPERATOR crm_deals.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = crm_deals.join);
    RETURN laid;
END
$$;
GRANT SELECT ON t.internal, t.face TO regress_crm_maker;
-- What each public function answers, one after the other, but for ids that a sequence gives.
CREATE FUNCTION t.answers() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call text;
    answer text;
    result text;
BEGIN
    FOREACH call IN ARRAY ARRAY[
        'SELECT crm_deals.create_pipeline(''Made'') IS NOT NULL AS made',
        'SELECT crm_deals.add_stage(1::bigint, ''Demo'', before_key => ''won'') IS NOT NULL AS added',
        'SELECT crm_deals.reorder_stages(1::bigint, ''{lead,demo,qualified,proposal,negotiation,won,lost}'')',
        'SELECT m.stage_key, m.version FROM crm_deals.move_deal(1::bigint, ''demo'', note => ''n'') AS m',
        'SELECT m.deal_id, m.outcome FROM crm_deals.move_deals(''{1,2}'', ''qualified'') AS m',
        'SELECT * FROM crm_deals.check_move(1::bigint, ''won'')',
        'SELECT crm_deals.resolve_deal(1::bigint)',
        'SELECT crm_deals.remove_stage(s.id, 1) FROM crm_deals.stage AS s WHERE s.key OPERATOR(pg_catalog.=) ''demo''',
        'SELECT b.column_key, b.deal_count, b.amounts FROM crm_deals.board() AS b',
        'SELECT b.column_key, b.deal_count FROM crm_deals.board(NULL, ''owner'', 5, ''{"status": "open"}'') AS b',
        'SELECT b.card -> ''name'' AS name FROM crm_deals.board_cards(NULL, ''qualified'') AS b',
        'SELECT f.deal_count FROM crm_deals.forecast(''Sales'', ''EUR'', as_of => pg_catalog.now()) AS f',
        'SELECT d.id FROM crm_deals.deals_as_of(pg_catalog.now()) AS d ORDER BY 1',
        'SELECT c.change, c.amount FROM crm_deals.pipeline_changes(''2020-01-01'', group_by => ''stage'') AS c',
        'SELECT a.group_key, a.won FROM crm_deals.attainment(''owner'', convert_to => ''EUR'') AS a',
        'SELECT p.group_key, p.deal_count FROM crm_deals.pipeline_trend(''day'', group_by => ''account'') AS p',
        'SELECT w.won_count FROM crm_deals.win_rate(''owner'', NULL) AS w',
        'SELECT s.stage_key, s.entered_count FROM crm_deals.stage_conversion(NULL, NULL) AS s',
        'SELECT s.open_count FROM crm_deals.sales_velocity(NULL, NULL) AS s',
        'SELECT l.lost_reason FROM crm_deals.lost_reasons(NULL, NULL) AS l',
        'SELECT p.stage_key, p.deal_count FROM crm_deals.pipeline_summary() AS p',
        'SELECT f.deal_id FROM crm_deals.find_duplicates(''Timber order'', 0.3) AS f ORDER BY 1',
        'SELECT s.deal_id FROM crm_deals.scan_duplicates(0.5) AS s',
        'SELECT crm_deals.flag_duplicates(''Sales'')',
        'SELECT crm_deals.dismiss_duplicate(1::bigint, 2::bigint)',
        'SELECT crm_deals.merge_deals(1::bigint, 2::bigint, ''maker'')',
        'SELECT crm_deals.resolve_deal(2::bigint)',
        'SELECT c.deal_id IS NOT NULL AS made FROM crm_deals.convert_lead(1::bigint) AS c',
        'SELECT i.outcome FROM crm_deals.import_deals(''t.source'') AS i',
        'SELECT crm_deals.index_custom_field(''deal'', ''seats'') IS NOT NULL AS made',
        'SELECT r.relation, r.rows FROM crm_deals.redact(deals => ''{1}'', reason => ''asked'') AS r',
        'SELECT crm_deals.prune_events(''2001-01-01'')',
        'SELECT * FROM crm_deals.verify()',
        'SELECT o.id, o.stage_key FROM crm_deals.deal_overview AS o WHERE o.id OPERATOR(pg_catalog.=) 1']
    LOOP
        EXECUTE format('SELECT string_agg(x::text, '' '') FROM (%s) AS x', call) INTO answer;
        result := concat_ws(E'\n', result, coalesce(answer, 'none'));
    END LOOP;
    RETURN result;
END
$$;
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'seats', 'number');
INSERT INTO crm_deals.deal (name, amount, currency) VALUES ('Timber order', 10, 'EUR'), ('Timber orders', 20, 'EUR');
INSERT INTO crm_deals.lead (company_name, last_name) VALUES ('Nordvik', 'Solberg');
CREATE TABLE t.source AS SELECT 'i1' AS external_id, 'Imported' AS name;
GRANT SELECT ON t.source TO regress_crm_maker;
SELECT t.after('SELECT', 'SELECT t.answers()', 'regress_crm_maker') AS plain \gset
SELECT matches(:'plain'::text, '\(1,moved\) \(2,moved\)', 'section 2: without traps the work is done');
\set traps 'SELECT t.lay_traps(); SET LOCAL search_path = crm_deals, pg_catalog, public'
SELECT is(t.after(:'traps', 'SELECT t.answers()', 'regress_crm_maker'), :'plain',
          'section 2: what users create in crm_deals changes no answer');
SELECT cmp_ok(t.after('SELECT', 'SELECT t.lay_traps()', 'regress_crm_maker')::bigint, '>', 150::bigint,
              'section 2: these are many');
SELECT is(t.after(:'traps', v.query, 'regress_crm_maker'), 'P0001', 'section 2: and they work: ' || v.query)
FROM (VALUES ('SELECT ''a''::text = ''b''::text'), ('SELECT crm_deals.find_pipeline(''Sales'')'),
             ('SELECT crm_deals.resolve_deal(1)')) AS v (query);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

-- Whoever makes the internal schema first stands in the way of the extension.
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
SELECT is(to_regnamespace('crm_deals_internal'), NULL, 'section 2: the internal schema goes with the extension');
SELECT is(t.dry('CREATE SCHEMA crm_deals_internal; CREATE EXTENSION crm_deals'), '42P06',
          'section 2: a schema of that name stands in the way');
SELECT is(t.dry('CREATE EXTENSION crm_deals'), 'done', 'section 2: else it is there again');
SELECT t.drop_roles('regress_crm_maker') AS none \gset

SELECT * FROM finish();
