\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: what the log says of a value does not depend on the session, and undo, restore and merge read it back
-- exactly, whatever its type.
CREATE SCHEMA elsewhere;
CREATE EXTENSION hstore SCHEMA elsewhere;
CREATE EXTENSION citext SCHEMA elsewhere;
CREATE EXTENSION ltree SCHEMA elsewhere;
CREATE EXTENSION cube SCHEMA elsewhere;
CREATE EXTENSION seg SCHEMA elsewhere;
CREATE EXTENSION isn SCHEMA elsewhere;
CREATE EXTENSION intarray SCHEMA elsewhere;
SET search_path = public, elsewhere, pg_catalog;
CREATE TYPE elsewhere.mood AS ENUM ('glad', 'so, so', '"sad"');
CREATE TYPE elsewhere.place AS (name text, since date, open tstzrange, size float8, waits interval);
CREATE TYPE elsewhere.journey AS (stops elsewhere.place[], fare money, note hstore);
CREATE DOMAIN elsewhere.share AS numeric(5, 2) CHECK (value <= 100);
CREATE DOMAIN elsewhere.wait AS interval CHECK (value <> '7 days');
CREATE DOMAIN elsewhere.waits AS elsewhere.wait[];
CREATE DOMAIN elsewhere.spot AS elsewhere.place;
CREATE TYPE elsewhere.floatrange AS RANGE (subtype = float8);
CREATE TABLE elsewhere."Odd table" (a integer);

-- Each type with the values that are hard. They are written under one session's settings, read under another's.
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
CREATE TABLE t.sample (n integer GENERATED ALWAYS AS IDENTITY, type text, value text);
INSERT INTO t.sample (type, value) VALUES
    ('boolean', 'f'), ('smallint', '-32768'), ('integer', '2147483647'), ('bigint', '-9223372036854775808'),
    ('oid', '4294967295'), ('real', '1e-45'), ('real', '16777216.5'), ('real', 'NaN'), ('real', '-0'),
    ('double precision', '0.30000000000000004'), ('double precision', '1e-300'), ('double precision', '-0'),
    ('double precision', '-Infinity'), ('double precision', '4.9406564584124654e-324'),
    ('double precision', '1.7976931348623157e308'), ('numeric', 'NaN'), ('numeric', '-Infinity'),
    ('numeric', '1.50'), ('numeric', '1e-40'), ('numeric', '1e200'), ('numeric(10,3)', '1.500'),
    ('money', '-12345.67'), ('text', ''), ('text', E'"\\n\t\x01 {NULL,[1,2)} null'), ('text', 'null'), ('text', '5'),
    ('varchar(3)', 'ab '), ('character(5)', 'ab'), ('"char"', 'x'), ('name', 'a name'),
    ('bytea', '\x00ff5c78'), ('bytea', ''),
    ('date', '-infinity'), ('date', '0044-03-15 BC'), ('date', '4713-01-01 BC'), ('date', '5874897-12-31'),
    ('date', '2026-02-03'), ('time', '24:00:00'), ('time(3)', '01:02:03.456'), ('timetz', '00:00:00.000001-15:59'),
    ('timestamp', 'infinity'), ('timestamp', '0001-02-03 04:05:06.789012 BC'),
    ('timestamp', '294276-12-31 23:59:59.999999'), ('timestamptz', '-infinity'),
    ('timestamptz', '1883-11-18 12:03:58.000001+00'), ('timestamptz', '0044-03-15 BC 00:00:00+00'),
    ('timestamptz', '294276-12-31 23:59:59.999999+00'), ('timestamptz', '2026-02-03 04:05:06.1+00'),
    ('interval', '1 year -2 mons +3 days -04:05:06.789'), ('interval', '-1 day +00:00:01'), ('interval', '-00:00:01'),
    ('interval', '-1 years -1 mons -1 days -1 hours'), ('interval', '0'), ('interval', '178000000 years'),
    ('int4range', 'empty'), ('int4range', '[,5)'), ('int8range', '(,)'), ('numrange', '(1.50,NaN]'),
    ('daterange', '[2026-02-03,2026-04-05)'), ('daterange', '[-infinity,infinity]'),
    ('tsrange', '["2026-02-03 04:05:06.7",)'), ('tstzrange', '["2026-02-03 04:05:06+00","2026-07-05 00:00:00+00")'),
    ('elsewhere.floatrange', '[0.1,0.30000000000000004)'),
    ('datemultirange', '{[2026-02-03,2026-04-05),[2027-01-02,)}'), ('tstzmultirange', '{}'),
    ('nummultirange', '{[1.0,2.00),(3,)}'), ('daterange[]', '{empty,NULL,"[2026-02-03,2026-04-05)"}'),
    ('integer[]', '{}'), ('integer[]', '{1,NULL,3}'), ('integer[]', '[0:2]={1,2,3}'), ('integer[]', '{{1,2},{NULL,4}}'),
    ('integer[]', '[-1:0][5:6]={{1,2},{3,4}}'), ('text[]', '{a,NULL,"NULL","","\"","{}"," b "}'),
    ('text[]', '[2:2]={NULL}'), ('double precision[]', '{0.30000000000000004,NaN,-0,1e-300}'),
    ('date[]', '{2026-02-03,0044-03-15 BC,infinity}'), ('timestamptz[]', '{"2026-02-03 04:05:06+00",NULL}'),
    ('interval[]', '{"-1 day +00:00:01","-00:00:01"}'), ('boolean[]', '{t,f,NULL}'), ('numeric(5,1)[]', '{1.0,NaN}'),
    ('character(3)[]', '{a,NULL}'), ('bytea[]', '{"\\x0001",NULL}'), ('money[]', '{1.5}'), ('box[]', '{(1,1),(0,0)}'),
    ('jsonb[]', '{"null",NULL,"{\"a\": [1.0]}"}'), ('uuid[]', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
    ('jsonb', 'null'), ('jsonb', '"null"'), ('jsonb', '[]'), ('jsonb', '{"a": [1.50, null, "x"], "b": {}}'),
    ('jsonb', '1.500'), ('jsonb', 'true'),
    ('json', 'null'), ('json', '{"b": 1,  "a": 1.50, "a": 2}'), ('json', '"text"'), ('json', '[1, 2]'), ('json', ' 5 '),
    ('jsonpath', '$.a ? (@ > 1)'), ('xml', '<a b="c"/>'), ('xml', 'text <b>and</b> more'),
    ('xml', '<?xml version="1.0"?><!DOCTYPE a><a/>'), ('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
    ('bit(5)', '10100'), ('bit varying', ''), ('bit varying(9)', '0101'), ('inet', '::1/64'), ('inet', '10.0.0.1/8'),
    ('cidr', '10.0.0.0/8'), ('macaddr', '08:00:2b:01:02:03'), ('macaddr8', '08:00:2b:01:02:03:04:05'),
    ('point', '(0.30000000000000004,-0)'), ('line', '{1,0.1,1e-300}'), ('lseg', '[(0,0),(1,0.1)]'),
    ('box', '(2,2),(0.1,1)'), ('path', '[(0,0),(1,1.1)]'),
    ('polygon', '((0,0),(1,1),(2,0))'), ('circle', '<(1,2),0.1>'),
    ('tsvector', '''a'':1A,2 ''it''''s'':3'), ('tsquery', '''a'' & !''b'':*B'), ('pg_lsn', '16/B374D848'),
    ('txid_snapshot', '10:20:10,14'), ('xid8', '18446744073709551615'), ('tid', '(1,2)'),
    ('regclass', 'elsewhere."Odd table"'), ('regclass', 'pg_class'), ('regtype', 'elsewhere.place'),
    ('regtype', 'timestamp with time zone'), ('regproc', 'crm_deals.install'), ('regprocedure', 't.drop_roles(text[])'),
    ('regoper', 'pg_catalog.||/'), ('regoperator', '+(integer,integer)'), ('regnamespace', 'elsewhere'),
    ('regconfig', 'english'), ('regdictionary', 'simple'), ('regcollation', '"C"'),
    ('regclass[]', '{"elsewhere.\"Odd table\"",pg_class}'),
    ('elsewhere.mood', 'so, so'), ('elsewhere.mood[]', '{glad,"\"sad\""}'), ('elsewhere.share', '99.90'),
    ('elsewhere.wait', '-1 day +00:00:01'), ('elsewhere.waits', '[3:4]={"-00:00:01",NULL}'),
    ('elsewhere.place',
     '("a ""b"", (c)",2026-02-03,"[""2026-02-03 04:05:06+00"",)",0.30000000000000004,"-1 day +00:00:01")'),
    ('elsewhere.place', '(,,,,)'),
    ('elsewhere.spot', '(x,2026-03-02,empty,NaN,-00:00:01)'),
    ('elsewhere.journey', '("{""(a,2026-02-03,,1e-300,)"",""(b,,,,)""}",12.5,"""k""=>NULL")'),
    ('elsewhere.hstore', '"a"=>"1", "b c"=>NULL, "\"q\""=>"NULL"'), ('elsewhere.hstore', ''),
    ('elsewhere.hstore[]', '{"\"a\"=>\"{1}\"",NULL}'), ('elsewhere.citext', 'MiXed'),
    ('elsewhere.citext[]', '{A,NULL}'),
    ('elsewhere.ltree', 'Top.Science'), ('elsewhere.lquery', 'Top.*{1,2}.!a@'), ('elsewhere.ltxtquery', 'a & !b*'),
    ('elsewhere.ltree[]', '{a.b,c}'), ('elsewhere.cube', '(0.30000000000000004, 1),(2, 3)'), ('elsewhere.cube', '()'),
    ('elsewhere.seg', '1.50 .. 2.5e1'), ('elsewhere.seg', '~0.3'), ('elsewhere.isbn', '0-393-04002-X'),
    ('elsewhere.isbn13', '978-0-393-04002-9'), ('elsewhere.ean13', '220-050-000-001-4'),
    ('elsewhere.query_int', '1 & !(2 | 3)');
SELECT string_agg(format('ADD COLUMN %I %s', 'c' || s.n, s.type), ', ' ORDER BY s.n) AS added,
       string_agg(format('%I = %L', 'c' || s.n, s.value), ', ' ORDER BY s.n) AS assigned,
       string_agg(format('%I = NULL', 'c' || s.n), ', ' ORDER BY s.n) AS cleared,
       string_agg(format('CASE WHEN NOT record_image_eq(ROW(d.%1$I), ROW(c.%1$I)) THEN %2$L || d.%1$I::text END',
                         'c' || s.n, s.type || ' ' || s.value || ' became '), ', ' ORDER BY s.n) AS differing
FROM t.sample AS s \gset
ALTER TABLE crm_deals.deal :added;
INSERT INTO crm_deals.deal (name) VALUES ('d'), ('survivor');
UPDATE crm_deals.deal SET :assigned WHERE name = 'd';
CREATE TABLE t.copy AS SELECT * FROM crm_deals.deal WHERE name = 'd';
SELECT t.deal('d') AS d, t.deal('survivor') AS survivor \gset
-- The values of a deal that are not the copy's; numbers of another scale are not the same.
SELECT format($$
    CREATE FUNCTION t.differing(deal bigint) RETURNS text LANGUAGE sql SET search_path = elsewhere, pg_catalog AS $f$
        SELECT coalesce((SELECT string_agg(v.value, E'\n') FROM unnest(ARRAY[%s]) AS v (value)), 'none')
        FROM crm_deals.deal AS d, t.copy AS c WHERE d.id = deal
    $f$ $$, :'differing') AS statement \gset
:statement;
SELECT is(t.differing(:d), 'none', 'the copy is exact');
CREATE FUNCTION t.last_batch() RETURNS bigint LANGUAGE sql AS $$
    SELECT batch_id FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1
$$;
SELECT format($$
    CREATE FUNCTION t.differing(at timestamptz) RETURNS text LANGUAGE plpgsql
    SET search_path = elsewhere, pg_catalog AS $f$
    DECLARE
        result text;
    BEGIN
        EXECUTE %L || crm_deals_internal.deals_before(at) || ' AS d, t.copy AS c WHERE d.name = ''d''' INTO result;
        RETURN coalesce(result, 'none');
    END $f$ $$,
    format('SELECT (SELECT string_agg(v.value, E''\n'') FROM unnest(ARRAY[%s]) AS v (value)) FROM ', :'differing')
) AS statement \gset
:statement;
-- Two sessions that have nothing in common.
CREATE FUNCTION t.as_one() RETURNS void LANGUAGE sql AS $$
    SELECT set_config(s.name, s.value, false)
    FROM (VALUES ('datestyle', 'German, DMY'), ('timezone', 'Pacific/Apia'), ('intervalstyle', 'sql_standard'),
                 ('extra_float_digits', '-15'), ('bytea_output', 'escape'), ('xmloption', 'document'),
                 ('array_nulls', 'on'), ('quote_all_identifiers', 'on'),
                 ('search_path', 'elsewhere, public, t, pg_catalog')) AS s (name, value)
$$;
CREATE FUNCTION t.as_other() RETURNS void LANGUAGE sql AS $$
    SELECT set_config(s.name, s.value, false)
    FROM (VALUES ('datestyle', 'SQL, MDY'), ('timezone', 'America/New_York'), ('intervalstyle', 'iso_8601'),
                 ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('xmloption', 'content'),
                 ('array_nulls', 'off'), ('quote_all_identifiers', 'off'), ('search_path', 'pg_catalog, public')
         ) AS s (name, value)
$$;
-- Undo
SELECT clock_timestamp()::text AS before \gset
SELECT t.as_one() AS none \gset
UPDATE crm_deals.deal SET :cleared WHERE name = 'd';
CREATE TABLE t.logged AS SELECT e.changes FROM crm_deals.deal_event AS e ORDER BY e.id DESC LIMIT 1;
SELECT t.as_other() AS none \gset
SELECT is((SELECT outcome FROM crm_deals.undo_batch(t.last_batch())), 'reverted', 'undo_batch: by another session');
SELECT is(t.differing(:d), 'none', 'undo_batch: every value is what it was');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() finds nothing');
UPDATE crm_deals.deal SET :cleared WHERE name = 'd';
SELECT is((SELECT e.changes FROM crm_deals.deal_event AS e ORDER BY e.id DESC LIMIT 1), (SELECT changes FROM t.logged),
          'both sessions logged the same');
SELECT t.as_one() AS none \gset
SELECT is((SELECT outcome FROM crm_deals.undo_batch(t.last_batch())), 'reverted', 'undo_batch: the other way round');
SELECT is(t.differing(:d), 'none', 'undo_batch: every value is what it was');
-- The past
SELECT t.as_other() AS none \gset
SELECT is(t.differing(:'before'::timestamptz), 'none', 'section 7: the past has the same values');
SELECT t.as_one() AS none \gset
-- Restore
DELETE FROM crm_deals.deal WHERE name = 'd';
SELECT t.as_other() AS none \gset
SELECT is(crm_deals.restore_deal(:d), :d::bigint, 'restore_deal: by another session');
SELECT is(t.differing(:d), 'none', 'restore_deal: every value is what it was');
DELETE FROM crm_deals.deal WHERE name = 'd';
SELECT t.as_one() AS none \gset
SELECT is((SELECT outcome FROM crm_deals.undo_batch(t.last_batch())), 'reverted', 'undo_batch: of a deletion');
SELECT is(t.differing(:d), 'none', 'undo_batch: every value is what it was');
-- Merge
SELECT is(crm_deals.merge_deals(:survivor, :d), :survivor::bigint, 'merge_deals: the survivor has nothing of its own');
SELECT is(t.differing(:survivor), 'none', 'merge_deals: every value is the duplicate''s');
-- Import
RESET ALL;
SET client_min_messages = warning;
SELECT string_agg(format('c.%I', 'c' || s.n), ', ' ORDER BY s.n) AS columns
FROM t.sample AS s \gset
SELECT t.as_one() AS none \gset
CREATE TABLE t.incoming AS SELECT 'imported' AS name, 'imported' AS external_id, :columns FROM t.copy AS c;
SELECT is((SELECT outcome FROM crm_deals.import_deals('t.incoming')), 'created',
          'import_deals: a source of these types');
SELECT t.as_other() AS none \gset
SELECT is(t.differing(t.deal('imported')), 'none', 'import_deals: every value is the source''s');
SELECT t.as_one() AS none \gset
SELECT is((SELECT outcome FROM crm_deals.import_deals('t.incoming')), 'unchanged', 'import_deals: the same again');
UPDATE t.incoming SET c10 = 0.3;
SELECT is((SELECT outcome FROM crm_deals.import_deals('t.incoming')), 'updated',
          'import_deals: a difference that this session does not show');
SELECT is((SELECT c10 = 0.3 FROM crm_deals.deal WHERE name = 'imported'), true, 'import_deals: it is written');
RESET ALL;
SET client_min_messages = warning;
CREATE TABLE t.texts AS SELECT 'texts' AS name, 'ab'::text AS c28, '10100'::text AS c103;
SELECT is((SELECT outcome FROM crm_deals.import_deals('t.texts')), 'created', 'import_deals: a source of texts');
SELECT is((SELECT concat_ws(' ', c28::text, c103) FROM crm_deals.deal WHERE name = 'texts'), 'ab 10100',
          'import_deals: they are not cut');
-- The form
RESET ALL;
SET client_min_messages = warning;
SELECT is((SELECT changes - ARRAY['id', 'stage_id', 'pipeline_id', 'created_at', 'stage_entered_at', 'updated_at']
           FROM crm_deals.deal_event WHERE deal_id = :survivor ORDER BY id LIMIT 1),
          '{"name": [null, "survivor"], "status": [null, "open"], "version": [null, 1], "currency": [null, "EUR"],
            "probability": [null, 10], "probability_overridden": [null, false]}'::jsonb,
          'a pair of an old and a new value for each column');
ALTER TABLE crm_deals.deal ADD COLUMN extra jsonb, ADD COLUMN period tstzrange, ADD COLUMN stay interval,
    ADD COLUMN place elsewhere.place, ADD COLUMN moment timestamptz;
CREATE FUNCTION t.extra(written text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE crm_deals.deal SET extra = %s WHERE name = ''survivor''', written);
    RETURN (SELECT changes -> 'extra' FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1);
END
$$;
SELECT is(t.extra($$'null'$$), '[null, null, "new"]', 'a JSON null: a third element says that the new value is one');
SELECT is(t.extra($$'5'$$), '[null, 5, "old"]', '... or the old one');
SELECT is(t.extra('NULL'), '[5, null]', 'NULL: two elements');
UPDATE crm_deals.deal
SET period = '[2026-02-03 04:05:06+01,)', stay = '-1 day +1 second', place = '(a,2026-02-03,,0.1,1 day)',
    moment = '2026-02-03 04:05:06+01'
WHERE name = 'survivor';
SELECT is((SELECT changes FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1),
          '{"period": [null, "[\"2026-02-03 03:05:06+00\",)"], "stay": [null, "-1 days +00:00:01"],
            "place": [null, "(a,2026-02-03,,0.1,\"1 day\")"], "moment": [null, "2026-02-03T03:05:06+00:00"]}'::jsonb,
          'other types: their text in ISO form, in UTC');
SELECT is(t.extra($$'null'$$), '[null, null, "new"]', 'a JSON null once more');
SELECT is(t.extra('NULL'), '[null, null, "old"]', 'from a JSON null to NULL');
SELECT is((SELECT outcome FROM crm_deals.undo_batch(t.last_batch())), 'reverted', 'undo_batch');
SELECT is((SELECT extra FROM crm_deals.deal WHERE id = :survivor), 'null'::jsonb, 'undo_batch: the JSON null is back');
-- A domain still refuses what it forbids now
ALTER TABLE crm_deals.deal ADD COLUMN rate elsewhere.share;
UPDATE crm_deals.deal SET rate = 50 WHERE name = 'survivor';
UPDATE crm_deals.deal SET rate = 10 WHERE name = 'survivor';
ALTER DOMAIN elsewhere.share ADD CHECK (value < 20) NOT VALID;
SELECT matches((SELECT u.outcome || ' ' || u.detail FROM crm_deals.undo_batch(t.last_batch()) AS u),
               '^rejected .*share_check1', 'a domain refuses a value that it forbids now');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() finds nothing');
DROP SCHEMA t, elsewhere CASCADE;

SELECT * FROM finish();
