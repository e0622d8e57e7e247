\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 2: two objects, the code and your data.
SELECT is((SELECT extnamespace::regnamespace::text || ' ' || extrelocatable FROM pg_extension
           WHERE extname = 'crm_deals'),
          'crm_deals false', 'section 2: schema crm_deals, not relocatable');
SELECT is((SELECT trusted || ' ' || superuser FROM pg_available_extension_versions
           WHERE name = 'crm_deals' AND installed),
          'true true', 'section 2: trusted');
SELECT is((SELECT count(*) FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace), 0::bigint,
          'section 2: CREATE EXTENSION creates no relation');
-- Before install()
SELECT is(t.dry(v.statement), '55000', 'section 10: without tables 55000: ' || v.statement)
FROM (VALUES ('SELECT crm_deals.create_pipeline(''Sales'')'), ('SELECT crm_deals.add_stage(1, ''x'')'),
             ('SELECT crm_deals.reorder_stages(1, ''{a}'')'), ('SELECT crm_deals.remove_stage(1)'),
             ('SELECT crm_deals.move_deal(1, ''won'')'), ('SELECT crm_deals.move_deal(1, 1)'),
             ('SELECT * FROM crm_deals.move_deals(''{1}'', ''won'')'),
             ('SELECT * FROM crm_deals.check_move(1, ''won'')'), ('SELECT crm_deals.resolve_deal(1)'),
             ('SELECT * FROM crm_deals.verify()'),
             ('SELECT crm_deals.grant_access(''pg_monitor'', ''read'')')) AS v (statement);
SELECT matches(t.error('SELECT crm_deals.move_deal(1, ''won'')', 'hint'), 'install\(\)',
               'section 10: with a HINT to run install()');
SELECT matches(t.error('SELECT crm_deals.create_pipeline(''Sales'')', 'hint'), 'install\(\)',
               'section 10: from SQL functions, too');

-- install()
SELECT is(crm_deals.install(), (SELECT extversion FROM pg_extension WHERE extname = 'crm_deals'),
          'section 2: install() returns the installed version');
SELECT is((SELECT count(*) FROM pg_class
           WHERE relnamespace = 'crm_deals'::regnamespace AND relowner <> current_user::regrole),
          0::bigint, 'section 2: everything is owned by the caller');
SELECT is((SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
           WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'),
          'account activity contact custom_field deal deal_alias deal_contact deal_duplicate deal_event '
          'deal_merge deal_name event_consumer exchange_rate lead log_format log_generation log_pruning lost_reason '
          'pipeline stage stage_name stage_transition target',
          'section 3: the tables');
SELECT is((SELECT string_agg(t.typname, ' ') FROM pg_type AS t
           WHERE t.typnamespace = 'crm_deals'::regnamespace AND t.typtype = 'e'),
          'deal_status', 'section 2: deal_status is the only enum');
SELECT is((SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum
           WHERE enumtypid = 'crm_deals.deal_status'::regtype),
          'open won lost abandoned', 'section 3: its values');
SELECT is((SELECT string_agg(format('%s %s', c.relname, s.n_live_tup), ', ')
           FROM pg_class AS c JOIN pg_stat_all_tables AS s ON s.relid = c.oid
           WHERE c.relnamespace = 'crm_deals'::regnamespace
             AND c.relname IN ('pipeline', 'stage', 'deal', 'custom_field', 'exchange_rate', 'lost_reason')
             AND s.n_live_tup > 0),
          NULL, 'section 2: install() seeds no rows');
SELECT is((SELECT count(*) FROM crm_deals.pipeline) + (SELECT count(*) FROM crm_deals.stage)
          + (SELECT count(*) FROM crm_deals.account) + (SELECT count(*) FROM crm_deals.exchange_rate)
          + (SELECT count(*) FROM crm_deals.custom_field),
          0::numeric::bigint, 'section 2: none at all');

-- What the extension owns: functions, and the operator class that the index of names is made of
SELECT is((SELECT string_agg(DISTINCT d.classid::regclass::text, ' ')
           FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
           WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'crm_deals'),
          'pg_namespace pg_opclass pg_operator pg_opfamily pg_proc',
          'section 2: the extension owns code and the schema of what is internal: no type, no table');
SELECT is((SELECT string_agg(DISTINCT format('%s.%s', c.relname, a.attname), ', ') FROM pg_attribute AS a
           JOIN pg_class AS c ON c.oid = a.attrelid
           JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass AND d.objid = a.atttypid AND d.deptype = 'e'
           WHERE c.relnamespace = 'crm_deals'::regnamespace),
          NULL, 'section 2: no column has a type that is an extension member');
SELECT is((SELECT count(*) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
           WHERE c.relnamespace = 'crm_deals'::regnamespace AND a.attgenerated <> ''),
          0::bigint, 'section 2: nor a generated value');
SELECT is((SELECT count(*)
           FROM pg_proc AS p,
                unnest(p.prorettype || p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}')) AS a (type)
           JOIN pg_type AS y ON y.oid = a.type
           WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
             AND y.typnamespace <> 'pg_catalog'::regnamespace),
          0::bigint, 'section 2: extension functions take and return built-in types only');
-- The library's users: no default of a column needs an extension function, so the rows stay when it goes.
SELECT is((SELECT count(*) FROM pg_attrdef AS f
           JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
           JOIN pg_depend AS m ON m.classid = d.refclassid AND m.objid = d.refobjid AND m.deptype = 'e'
           WHERE f.adrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)),
          0::bigint, 'section 2: no default needs an extension function');

-- Idempotent
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
SELECT t.new_deal('d', 'lead') AS none \gset
SELECT is(crm_deals.install(), (SELECT extversion FROM pg_extension WHERE extname = 'crm_deals'),
          'section 2: install() again is idempotent');
SELECT is(t.state('d'), 'lead open 10 v1', 'section 2: and leaves the data');
SELECT is(t.kinds('d'), 'created', 'section 2: without an event');
-- It re-attaches triggers and views that are missing.
SELECT count(*) AS triggers FROM pg_trigger
WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace) AND NOT tgisinternal \gset
DO $$
DECLARE
    missing record;
BEGIN
    FOR missing IN SELECT tgname, tgrelid::regclass AS relation FROM pg_trigger
        WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)
          AND NOT tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', missing.tgname, missing.relation);
    END LOOP;
    DROP VIEW crm_deals.deal_overview;
END
$$;
SELECT is((SELECT crm_deals.install() IS NOT NULL), true, 'section 2: install() where triggers are missing');
SELECT is((SELECT count(*) FROM pg_trigger
           WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)
             AND NOT tgisinternal),
          :triggers::bigint, 'section 2: re-attaches every one');
SELECT is((SELECT count(*) FROM crm_deals.deal_overview), 1::bigint, 'section 2: and the view');
SELECT is(t.dry($$UPDATE crm_deals.deal SET status = 'won'$$), '23514 deal.status deal_status_matches_stage',
          'section 2: rules hold again');
DROP TRIGGER zz_crm_deals_rules ON crm_deals.deal;
SELECT is((SELECT crm_deals.install() IS NOT NULL), true, 'section 2: where one is missing');
SELECT is((SELECT count(*) FROM pg_trigger
           WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)
             AND NOT tgisinternal),
          :triggers::bigint, 'section 2: that one');

-- It works with any search_path and with pg_trgm in any schema; hostile names in the path change nothing.
SET search_path = '';
SELECT crm_deals.install() AS version \gset
INSERT INTO crm_deals.deal (name) VALUES ('no path');
UPDATE crm_deals.deal SET stage_id = 5 WHERE name = 'no path';
SELECT d.deal_id AS moved FROM crm_deals.move_deal(2, 'lead') AS d \gset
RESET search_path;
SELECT is(:moved, 2, 'section 2: with an empty search_path');
CREATE SCHEMA t_hostile;
CREATE TABLE t_hostile.deal (id integer);
CREATE TABLE t_hostile.stage (id integer);
CREATE TABLE t_hostile.pg_class (oid integer);
CREATE FUNCTION t_hostile.now() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hostile'; END$$;
CREATE FUNCTION t_hostile.coalesce_(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hostile'; END$$;
CREATE FUNCTION t_hostile.equal(bigint, bigint)
RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hostile'; END$$;
CREATE FUNCTION t_hostile.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE OPERATOR t_hostile.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = t_hostile.equal);
CREATE FUNCTION t_hostile.differ(text, text)
RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hostile'; END$$;
CREATE OPERATOR t_hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = t_hostile.differ);
CREATE TEMP TABLE deal (id integer);
CREATE TEMP TABLE stage (id integer);
SET search_path = pg_temp, t_hostile, pg_catalog, public;
SELECT crm_deals.install() AS version \gset
SELECT crm_deals.create_pipeline('Hostile') AS hostile \gset
SELECT crm_deals.add_stage(:hostile, 'More', before_key => 'won') AS more \gset
SELECT crm_deals.reorder_stages(:hostile, '{lead,more,qualified,proposal,negotiation,won,lost}') AS none \gset
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('hostile', :hostile) RETURNING id AS h \gset
SELECT m.version AS v2 FROM crm_deals.move_deal(:h, 'more', note => 'x') AS m \gset
SELECT m.outcome AS v3 FROM crm_deals.move_deals(ARRAY[:h], 'lost', lost_reason => 'price', note => 'x') AS m \gset
SELECT count(*) AS checked FROM crm_deals.check_move(:h, 'won') \gset
SELECT crm_deals.remove_stage(:more) AS removed \gset
UPDATE crm_deals.stage SET probability = 11 WHERE key OPERATOR(pg_catalog.=) 'lead';
SELECT count(*) AS wrong FROM crm_deals.verify() \gset
SELECT count(*) AS listed FROM crm_deals.deal_overview \gset
RESET search_path;
SELECT is(:'v2' || ' ' || :'v3' || ' ' || :checked || ' ' || :removed || ' ' || :wrong || ' ' || :listed,
          '2 moved 0 0 0 3', 'section 9: hostile tables, functions and operators in the path change nothing');
DROP TABLE pg_temp.deal, pg_temp.stage;
DROP SCHEMA t_hostile CASCADE;
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

-- If something of the same name is in the way, install() fails and leaves nothing behind.
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
CREATE EXTENSION crm_deals;
CREATE TABLE crm_deals.deal (mine integer);
SELECT is(t.try('SELECT crm_deals.install()'), '42P07', 'section 10: install() next to a table of that name fails');
SELECT is((SELECT string_agg(relname, ' ') FROM pg_class
           WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'),
          'deal', 'section 10: and leaves nothing behind');
DROP TABLE crm_deals.deal;
SELECT is((SELECT crm_deals.install() IS NOT NULL), true, 'section 10: then it installs');

SELECT * FROM finish();
