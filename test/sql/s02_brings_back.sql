\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 2: install() brings back each view, trigger, index, constraint, default, NOT NULL and identity that is
-- missing, and names what it cannot bring back. What there is to drop is read from the catalogs.
SELECT t.drop_roles('crm_test_reader') \gset
CREATE ROLE crm_test_reader;
SELECT crm_deals.grant_access('crm_test_reader', 'read') \gset
SELECT crm_deals.create_pipeline('Gated', gates => '{"forbid_skipping": true}') \gset
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (last_name, account_id) VALUES ('Doe', 1);
INSERT INTO crm_deals.deal (name, account_id) VALUES ('One', 1), ('Two', NULL);
INSERT INTO crm_deals.lead (last_name) VALUES ('Roe');
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('note', 'x', 1);

-- What is there: a line for each object, and for each privilege of a role with a level.
CREATE FUNCTION t.catalog() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT format('column %s.%I %s not null %s default %s identity %s', c.oid::regclass, a.attname,
                  format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity)
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    UNION ALL
    SELECT format('constraint %s of %s %s %s', conname, conrelid::regclass, pg_get_constraintdef(oid), convalidated)
    FROM pg_constraint WHERE connamespace = 'crm_deals'::regnamespace
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)
    UNION ALL
    SELECT format('%s enabled %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT format('view %s %s %s', oid::regclass, reloptions, pg_get_viewdef(oid))
    FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT format('%s may %s %s', a.grantee::regrole, a.privilege_type, c.oid::regclass)
    FROM pg_class AS c, aclexplode(c.relacl) AS a
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND a.grantee = 'crm_test_reader'::regrole
    UNION ALL
    SELECT format('comment %s.%s %s', objoid::regclass, objsubid, description)
    FROM pg_description
    WHERE classoid = 'pg_class'::regclass
      AND objoid IN (SELECT oid FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace)
$$;
CREATE TABLE t.before AS SELECT c AS line FROM t.catalog() AS c;

-- What can be dropped, and how. What is gone already went along with something that it hangs on.
CREATE TABLE t.droppable AS
    SELECT 'view' AS kind, c.relname::text AS relation, c.relname::text AS name,
           format('DROP VIEW IF EXISTS crm_deals.%I CASCADE', c.relname) AS command
    FROM pg_class AS c
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'v' AND c.relname <> 'installation'
    UNION ALL
    SELECT 'trigger', c.relname, t.tgname, format('DROP TRIGGER %I ON crm_deals.%I', t.tgname, c.relname)
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT 'index', c.relname, x.relname, format('DROP INDEX crm_deals.%I', x.relname)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_class AS x ON x.oid = i.indexrelid
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r'
      AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
    UNION ALL
    SELECT format('constraint %s', k.contype), c.relname, k.conname,
           format('ALTER TABLE crm_deals.%I DROP CONSTRAINT IF EXISTS %I CASCADE', c.relname, k.conname)
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND k.contype <> 'n'
    UNION ALL
    SELECT d.kind, c.relname, a.attname, format('ALTER TABLE crm_deals.%I ALTER COLUMN %I DROP %s', c.relname,
                                                a.attname, d.kind)
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    JOIN LATERAL (SELECT 'DEFAULT' AS kind WHERE a.atthasdef
                  UNION ALL
                  SELECT 'NOT NULL'
                  WHERE a.attnotnull AND a.attidentity = ''
                    AND NOT EXISTS (SELECT FROM pg_index AS i
                                    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
                  UNION ALL
                  SELECT 'IDENTITY' WHERE a.attidentity <> '') AS d ON true
    WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r';

-- Views are dropped one by one; of the rest, one object of every table at a time, triggers apart. Or all is dropped at
-- once.
CREATE FUNCTION t.not_brought_back(at_once boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    commands text;
    message text;
    detail text;
BEGIN
    FOR commands IN
        SELECT string_agg(d.command, '; ')
        FROM (SELECT p.command, CASE WHEN at_once THEN 0
                                     WHEN p.kind = 'view' THEN row_number() OVER (ORDER BY p.kind DESC, p.name)
                                     WHEN p.kind = 'IDENTITY' THEN 3000
                                     ELSE CASE p.kind WHEN 'trigger' THEN 1000 ELSE 2000 END
                                          + row_number() OVER (PARTITION BY p.relation, p.kind = 'trigger'
                                                               ORDER BY p.kind, p.name)
                                END AS turn
              FROM t.droppable AS p) AS d
        GROUP BY d.turn
        ORDER BY d.turn
    LOOP
        BEGIN
            EXECUTE commands;
            PERFORM crm_deals.install();
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            RETURN NEXT format('%s %s after %s', message, detail, commands);
        END;
        RETURN QUERY SELECT format('%s after %s', b.line, commands)
                     FROM (SELECT line FROM t.before EXCEPT SELECT t.catalog()) AS b;
        RETURN QUERY SELECT format('%s is too much after %s', c.line, commands)
                     FROM (SELECT t.catalog() AS line EXCEPT SELECT line FROM t.before) AS c;
    END LOOP;
END
$$;
SELECT cmp_ok((SELECT count(*) FROM t.droppable WHERE kind = k.kind), '>=', k.at_least,
              format('section 2: what can be dropped: %s', k.kind))
FROM (VALUES ('view', 7::bigint), ('trigger', 30), ('index', 20), ('constraint c', 40), ('constraint f', 20),
             ('constraint p', 15), ('constraint u', 5), ('DEFAULT', 30), ('NOT NULL', 50), ('IDENTITY', 10))
    AS k (kind, at_least);
SELECT is_empty('SELECT t.not_brought_back(false)', 'section 2: install() brings back each of them');
ALTER VIEW crm_deals.stale_deals RESET (security_invoker);
SELECT crm_deals.install() \gset
SELECT is_empty('SELECT line FROM t.before EXCEPT SELECT t.catalog()', 'section 2: and the options of a view');
SELECT is(crm_deals_internal.of_host('constraint', 'FOREIGN KEY (a2, b) REFERENCES crm_deals.host_owner(id)',
                                     '{"owner_table": "public.employee"}'),
          'FOREIGN KEY (a2, b) REFERENCES public.employee(id)', 'section 2: any key to a table of the host');
-- PostgreSQL 19 has no other strings than the standard ones, and no settings for them.
SELECT count(set_config(s.name, s.value, false)) AS set
FROM (VALUES ('escape_string_warning', 'off'), ('standard_conforming_strings', 'off'),
             ('quote_all_identifiers', 'on'), ('DateStyle', 'German')) AS s (name, value)
WHERE s.name IN ('quote_all_identifiers', 'DateStyle') OR current_setting('server_version_num')::integer < 190000 \gset
TRUNCATE t.before;
INSERT INTO t.before SELECT t.catalog();
SELECT is_empty('SELECT t.not_brought_back(true)', 'section 2: also all at once, under other settings');
RESET ALL;
SET client_min_messages = warning;
SELECT is_empty($$ SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
                   WHERE c.relnamespace = 'crm_deals'::regnamespace AND a.attidentity <> ''
                     AND (xpath('/row/m/text()', query_to_xml(format(
                             'SELECT coalesce(max(%I), 0) >= nextval(pg_get_serial_sequence(%L, %L)) AS m
                              FROM crm_deals.%I', a.attname, 'crm_deals.' || quote_ident(c.relname), a.attname,
                             c.relname), false, true, '')))[1]::text = 'true' $$,
                'section 2: an identity that came back goes on behind the ids that are there');
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name) VALUES ('Three') $$), 'done', 'section 2: and deals are written');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 4: and no rule is broken');

-- What cannot be brought back is an error that names it, and nothing is changed.
CREATE TABLE t.lost (what text, command text, named text);
INSERT INTO t.lost VALUES
    ('a column', 'ALTER TABLE crm_deals.deal DROP COLUMN notes CASCADE', 'notes'),
    ('a column of another type', 'ALTER TABLE crm_deals.lead ALTER COLUMN phone TYPE varchar(20)', 'phone'),
    ('a column of another name', 'ALTER TABLE crm_deals.lead RENAME COLUMN source TO origin', 'source'),
    ('a table', 'DROP TABLE crm_deals.lost_reason CASCADE', 'lost_reason'),
    ('a table of another name', 'ALTER TABLE crm_deals.exchange_rate RENAME TO rate', 'exchange_rate'),
    ('a table that is a view now', 'DROP TABLE crm_deals.deal_alias CASCADE;
      CREATE VIEW crm_deals.deal_alias AS SELECT 1::bigint AS old_id, ''''::text AS old_external_id,
                                                 1::bigint AS deal_id', 'deal_alias'),
    ('a view that is a table now', 'DROP VIEW crm_deals.stale_deals; CREATE TABLE crm_deals.stale_deals ()',
     'stale_deals'),
    ('a view with a column of another type', 'DROP VIEW crm_deals.stale_deals;
      CREATE VIEW crm_deals.stale_deals AS SELECT 1 AS deal_id', 'stale_deals'),
    ('an index of whose name there is a table', 'DROP INDEX crm_deals.deal_owner; CREATE TABLE crm_deals.deal_owner ()',
     'deal_owner'),
    ('a CHECK that rows break', 'ALTER TABLE crm_deals.activity DROP CONSTRAINT activity_kind;
      INSERT INTO crm_deals.activity (kind, subject) VALUES (''fax'', ''x'')', 'activity_kind'),
    ('a foreign key that rows break', 'ALTER TABLE crm_deals.activity DROP CONSTRAINT activity_deal_id_fkey;
      INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES (''note'', ''x'', 4711)', 'activity_deal_id_fkey'),
    ('a unique index that rows break', 'DROP INDEX crm_deals.account_external_id;
      INSERT INTO crm_deals.account (name, external_id) VALUES (''a'', ''x''), (''b'', ''x'')', 'account_external_id'),
    ('a UNIQUE that rows break', 'ALTER TABLE crm_deals.custom_field DROP CONSTRAINT custom_field_once;
      INSERT INTO crm_deals.custom_field (entity, key, type)
      VALUES (''lead'', ''k'', ''text''), (''lead'', ''k'', ''text'')',
     'custom_field_once'),
    ('a primary key that rows break', 'ALTER TABLE crm_deals.activity DROP CONSTRAINT activity_pkey;
      INSERT INTO crm_deals.activity (id, kind, subject) SELECT id, kind, subject FROM crm_deals.activity',
     'activity_pkey'),
    ('a NOT NULL that rows break', 'ALTER TABLE crm_deals.activity ALTER COLUMN subject DROP NOT NULL;
      INSERT INTO crm_deals.activity (kind) VALUES (''note'')', 'subject');
CREATE FUNCTION t.refusal(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE command;
    PERFORM crm_deals.install();
    RETURN 'install() succeeded';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN format('%s %s: %s', SQLSTATE, SQLERRM, detail);
END
$$;
SELECT matches(t.refusal(l.command), format('^55000 .*: .*\m%s\M', l.named),
               format('section 2: an error names %s', l.what))
FROM t.lost AS l;
-- Those of them that can be lost at the same time
CREATE TABLE t.all_lost AS
    SELECT what, command, named FROM t.lost WHERE what ~ '^(a column|a view that|an index|a CHECK|a foreign|a NOT)';
CREATE TABLE t.refusal AS SELECT t.refusal(string_agg(command, '; ')) AS of_all FROM t.all_lost;
SELECT is_empty('SELECT l.what, r.of_all FROM t.all_lost AS l, t.refusal AS r
                 WHERE r.of_all !~ (''^55000 .*: .*[^a-z_]'' || l.named || ''([^a-z_]|$)'')',
                'section 2: an error names all of it at once');

-- So does an index of names that was made on another server, and came with a dump.
DROP INDEX crm_deals.deal_name_signatures;
CREATE INDEX deal_name_signatures ON crm_deals.deal_name
    USING gin (crm_deals_internal.signatures(organization, name, 0.85::real, 'elsewhere'::text)
               crm_deals_internal.signature_ops)
    WITH (fastupdate = off);
SELECT crm_deals.install() \gset
SELECT unalike(pg_get_indexdef('crm_deals.deal_name_signatures'::regclass), '%elsewhere%',
               'section 2: an index of names that this server cannot use is made anew');
-- The view that holds the arguments of install() comes back, too.
DROP VIEW crm_deals.installation;
SET client_min_messages = error;
SELECT is(crm_deals.install(), (SELECT extversion FROM pg_extension WHERE extname = 'crm_deals'),
          'section 2: install() brings back the view of its arguments');
SET client_min_messages = warning;
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name) VALUES ('Four') $$), 'done', 'section 2: and deals are written');
SELECT crm_deals.revoke_access('crm_test_reader') \gset
DROP ROLE crm_test_reader;
SELECT * FROM finish();
