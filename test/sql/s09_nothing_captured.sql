\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 9: whatever users made before, no name in what we make means it. The catalogs show what the names in
-- functions, views, defaults, constraints, indexes and policies were resolved to. (make lint reads the SQL itself:
-- test/harness/sql-names.)
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;

\i :include/traps.sql
CREATE SCHEMA crm_deals;
SELECT cmp_ok(trap.lay('crm_deals'), '>', 1000::bigint, 'section 9: traps are laid in schema crm_deals');
ALTER EXTENSION pg_trgm SET SCHEMA trap;
SELECT cmp_ok(trap.lay('trap'), '>', 1000::bigint, 'section 9: and in the schema of pg_trgm');

SET search_path = crm_deals, trap, pg_catalog, public;
CREATE EXTENSION crm_deals;
SELECT crm_deals.install() AS version \gset
SELECT crm_deals.install() AS version \gset
SELECT crm_deals.protect_children() \gset none_
RESET search_path;
SELECT is(:'version'::text, e.extversion, 'section 9: the extension and the tables are made nevertheless')
FROM pg_extension AS e WHERE e.extname = 'crm_deals';
SELECT is(t.try('SET LOCAL search_path = crm_deals, pg_catalog; SELECT ''pg_class''::pg_catalog.regclass = 1::oid'),
          'P0001', 'section 9: the traps work');

-- What functions run under
SELECT is_empty($$SELECT p.oid::regprocedure, p.proconfig
                  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
                  WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
                    AND EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                AND d.deptype = 'e')
                    AND l.lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL
                    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
                    -- It writes as the caller, with every name and operator qualified.
                    AND p.proname <> 'clear_other_default'$$,
                'section 9: a function is C, or was resolved when it was made, or pins search_path');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p
                  WHERE p.pronamespace = 'crm_deals_internal'::regnamespace AND p.prosecdef$$,
                'section 9: none runs with the rights of who made it');
SELECT is_empty($$SELECT p.proname, count(*)
                  FROM pg_proc AS p
                  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'crm_deals'
                  WHERE p.proname <> 'move_deal'
                  GROUP BY p.pronamespace, p.proname HAVING count(*) > 1$$,
                'section 2: a name has one signature');

-- pg_depend lists what an object needs, but for what is in pg_catalog.
CREATE TABLE t.needed AS
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS object, i.type, i.schema, i.identity
    FROM pg_depend AS d
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS o
    CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS i
    WHERE (coalesce(o.schema, '') IN ('crm_deals', 'crm_deals_internal')
           OR o.identity ~ '\m(crm_deals|crm_deals_internal)\.')
      AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_cast'::regclass,
                           'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_collation'::regclass,
                           'pg_conversion'::regclass)
      -- What belongs to the traps themselves
      AND NOT EXISTS (SELECT FROM pg_proc AS p WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid
                      AND p.pronamespace = 'crm_deals'::regnamespace
                      AND NOT EXISTS (SELECT FROM pg_depend AS m WHERE m.classid = d.classid AND m.objid = p.oid
                                      AND m.deptype = 'e'))
      AND NOT (d.classid = 'pg_operator'::regclass AND o.schema = 'crm_deals')
      AND NOT (d.classid IN ('pg_type'::regclass, 'pg_constraint'::regclass)
               AND o.identity ~ '^crm_deals\.(text|regclass)\M|on crm_deals\.(text|regclass)\M')
      AND d.deptype <> 'i';
SELECT is_empty($$SELECT n.object, n.type, n.identity FROM t.needed AS n
                  WHERE NOT (n.schema = 'crm_deals_internal' OR (n.schema = 'crm_deals' AND n.type = 'type'
                                                                AND n.identity = 'crm_deals.deal_status'))$$,
                'section 9: what we make needs pg_catalog, crm_deals_internal and our one type');
SELECT cmp_ok((SELECT count(*) FROM t.needed AS n), '>', 50::bigint, 'section 9: and it needs something');

DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP EXTENSION pg_trgm;
DROP SCHEMA trap CASCADE;
SELECT * FROM finish();
