\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 2: install() brings back each view and each trigger that is missing. They are dropped one by one.
CREATE FUNCTION t.ours() RETURNS TABLE (name text, command text) LANGUAGE sql AS $$
    SELECT format('view %s', c.relname), format('DROP VIEW crm_deals.%I CASCADE', c.relname)
    FROM pg_class AS c
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'v' AND c.relname <> 'installation'
      AND c.relname !~ '^_'
    UNION ALL
    SELECT format('trigger %s of %s', t.tgname, c.relname),
           format('DROP TRIGGER %I ON crm_deals.%I', t.tgname, c.relname)
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND NOT t.tgisinternal
$$;
CREATE TABLE t.installed AS SELECT * FROM t.ours();
CREATE FUNCTION t.not_brought_back() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM t.installed LOOP
        EXECUTE one.command;
        PERFORM crm_deals.install();
        RETURN QUERY SELECT format('%s after %s', i.name, one.command)
                     FROM t.installed AS i WHERE i.name NOT IN (SELECT o.name FROM t.ours() AS o);
    END LOOP;
END
$$;
SELECT cmp_ok((SELECT count(*) FROM t.installed WHERE name LIKE 'view %'), '>=', 4::bigint,
              'section 2: there are views');
SELECT cmp_ok((SELECT count(*) FROM t.installed WHERE name LIKE 'trigger %'), '>=', 30::bigint,
              'section 2: there are triggers');
SELECT is_empty('SELECT t.not_brought_back()', 'section 2: install() brings back each of them');
-- PostgreSQL 19 has no other strings than the standard ones.
SELECT count(set_config(s.name, s.value, false)) AS set
FROM (VALUES ('escape_string_warning', 'off'), ('standard_conforming_strings', 'off'),
             ('quote_all_identifiers', 'on')) AS s (name, value)
WHERE s.name = 'quote_all_identifiers' OR current_setting('server_version_num')::integer < 190000 \gset
SELECT is_empty('SELECT t.not_brought_back()', 'section 2: also under other settings');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 4: and no rule is broken');

SELECT * FROM finish();
