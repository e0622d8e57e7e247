\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 9: what everybody may execute is pure, or it checks its caller.
SELECT t.drop_roles('regress_crm_nobody', 'regress_crm_keeper') AS none \gset
CREATE ROLE regress_crm_nobody;
CREATE ROLE regress_crm_keeper;
GRANT USAGE ON SCHEMA crm_deals TO regress_crm_nobody;
CREATE TABLE t.function AS
    SELECT p.oid, p.pronamespace::regnamespace::text AS schema, p.proname::text AS name, p.provolatile, p.prorettype,
           has_function_privilege('public', p.oid, 'EXECUTE') AS is_public,
           format('SELECT %s(%s)', p.oid::regproc,
                  (SELECT string_agg(format('NULL::%s', a.type::regtype), ', ')
                   FROM unnest(p.proargtypes) AS a (type))) AS call
    FROM pg_proc AS p
    WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace) AND p.prokind = 'f'
      AND NOT 'internal'::regtype = ANY (p.proargtypes);
SELECT is((SELECT string_agg(f.name, ' ') FROM t.function AS f WHERE f.schema = 'crm_deals' AND f.is_public), 'install',
          'section 9: of what is public, everybody may execute install()');
SELECT is(t.dry('SELECT crm_deals.install()', 'regress_crm_nobody'), '42501', 'section 9: which refuses strangers');
SELECT is(t.dry('SELECT crm_deals_internal.install_as(''' || current_user || '''::regrole, NULL, NULL, NULL, NULL)',
                'regress_crm_nobody'), '42501', 'section 9: by whatever way');

-- What runs in the name of the tables' owner, or inside an index, a view or a trigger, needs no grant.
SELECT is_empty($$SELECT f.name FROM t.function AS f WHERE f.prorettype = 'trigger'::regtype AND NOT f.is_public$$,
                'section 9: trigger functions need no grant');
SELECT is_empty($$SELECT DISTINCT f.name, pg_describe_object(d.classid, d.objid, 0)
                  FROM t.function AS f
                  JOIN pg_depend AS d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = f.oid
                      AND d.classid IN ('pg_class'::regclass, 'pg_rewrite'::regclass, 'pg_trigger'::regclass,
                                        'pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass)
                  WHERE NOT f.is_public$$,
                'section 9: nor do functions of views, indexes, triggers, defaults, constraints and policies');

-- A volatile one writes or locks: a caller who is nobody is refused, whatever the arguments.
CREATE FUNCTION t.refusals() RETURNS TABLE (call text, state text) LANGUAGE sql AS $$
    SELECT f.call, t.dry(f.call, 'regress_crm_nobody')
    FROM t.function AS f
    WHERE f.is_public AND f.provolatile = 'v' AND f.prorettype <> 'trigger'::regtype
$$;
SELECT is_empty($$SELECT r.call, r.state FROM t.refusals() AS r
                  WHERE r.state <> '42501'
                    -- These have nothing to do, or nothing that they can do, without arguments.
                    AND r.call !~ '_field_index|grant_functions|install_as'$$,
                'section 9: everybody may execute nothing that writes');
SELECT cmp_ok((SELECT count(*) FROM t.refusals()), '>', 10::bigint, 'section 9: and there are some');

-- A role with rights to the tables is not their owner, either.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA crm_deals TO regress_crm_nobody;
SELECT is(t.dry(v.call, 'regress_crm_nobody'), '42501', 'section 9: ' || v.call)
FROM (VALUES ('SELECT crm_deals_internal.subscribe(''x'', NULL, true, false, ''x'')'),
             ('SELECT crm_deals_internal.unsubscribe(''x'', ''x'')'),
             ('SELECT crm_deals_internal.read_events(''x'', 1, NULL, ''x'')'),
             ('SELECT crm_deals_internal.ack_events(''x'', 1, ''x'')'),
             ('SELECT crm_deals_internal.take_for_dispatch(1)'),
             ('SELECT crm_deals_internal.log_snapshot()'),
             ('SELECT crm_deals_internal.prune_events(''2001-01-01'', ''x'')'),
             ('SELECT crm_deals_internal.redact_events(NULL, ''{1}'', NULL, NULL)'),
             ('SELECT crm_deals_internal.index_custom_field(''deal'', ''x'')'),
             ('SELECT crm_deals_internal.rebuild_duplicates()')) AS v (call);
-- What works inside of a function of ours only, whoever calls it
SELECT is(t.dry(v.call), v.state, 'section 9: ' || v.call)
FROM (VALUES ('SELECT crm_deals_internal.import_as(''x'')', '55000'),
             ('SELECT crm_deals_internal.next_deal_id()', '55000'),
             ('SELECT crm_deals_internal.redact_events(''{1}'', NULL, NULL)', '42501')) AS v (call, state);
-- A member of the owner's role may do what the owner may.
SELECT current_user AS owner \gset
GRANT :"owner" TO regress_crm_keeper;
SELECT is(t.dry('SELECT crm_deals_internal.subscribe(''x'', NULL, true, false, ''x'')', 'regress_crm_keeper'), 'done',
          'section 9: a member of the owner''s role may do what the owner may');

SELECT t.drop_roles('regress_crm_nobody', 'regress_crm_keeper') AS none \gset
SELECT * FROM finish();
