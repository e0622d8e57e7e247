\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 2 and 10: C code trusts nothing that a user can alter. What differs from what install() made is an error
-- that names it, never a crash. 31_mutations runs everything against every mutation.
CREATE ROLE regress_crm_other;
CREATE ROLE regress_crm_writer;
SELECT t.new_deals('d', 3, 'lead') AS none \gset
SELECT crm_deals.grant_access('regress_crm_writer', 'write') AS none \gset
SELECT crm_deals.subscribe('bell') AS none \gset

-- Runs a statement after another one, rolls both back, and returns the error's state, message and detail.
CREATE FUNCTION t.refusal(first text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE first;
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION WHEN SQLSTATE 'TT000' THEN
    RETURN 'done';
WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;
CREATE FUNCTION t.hint(first text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE first;
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN hint;
END
$$;

\set insert 'INSERT INTO crm_deals.deal (name) VALUES (''new'')'
\set move 'SELECT crm_deals.move_deal(t.deal(''d1''), ''won'')'
\set board 'SELECT crm_deals.board()'
\set read 'SELECT crm_deals.read_events(''bell'')'
CREATE TABLE t.use (statement text);
INSERT INTO t.use VALUES (:'insert'), (:'move'), (:'board'), (:'read'), ('DELETE FROM crm_deals.deal'),
    ('SELECT crm_deals.find_duplicates(''d1'')'), ('SELECT crm_deals.merge_deals(t.deal(''d1''), t.deal(''d2''))'),
    ('UPDATE crm_deals.stage SET name = ''x'''), ('SELECT crm_deals.verify()');
CREATE TABLE t.difference (command text, says text);
INSERT INTO t.difference VALUES
    ('ALTER TABLE crm_deals.deal_event DROP COLUMN amount CASCADE, ADD COLUMN amount text',
     'table crm_deals.deal_event is not as installed Column "amount" has type text, not numeric.'),
    ('ALTER TABLE crm_deals.lead ALTER COLUMN phone TYPE char(9)',
     'table crm_deals.lead is not as installed Column "phone" has type character, not text.'),
    ('ALTER TABLE crm_deals.pipeline ALTER COLUMN duplicate_policy DROP NOT NULL',
     'table crm_deals.pipeline is not as installed Column "duplicate_policy" may be NULL.'),
    ('ALTER TABLE crm_deals.lead RENAME COLUMN custom_fields TO fields',
     'table crm_deals.lead is not as installed Column "custom_fields" is missing.'),
    ('ALTER TABLE crm_deals.deal_name RENAME TO other; CREATE VIEW crm_deals.deal_name AS TABLE crm_deals.other',
     'table crm_deals.deal_name is not as installed It is a view.'),
    ('ALTER TABLE crm_deals.deal_event RENAME TO other; CREATE TABLE crm_deals.deal_event (LIKE crm_deals.other) '
     'PARTITION BY LIST (kind)',
     'table crm_deals.deal_event is not as installed It is a partitioned table.'),
    ('ALTER TABLE crm_deals.log_generation SET UNLOGGED',
     'table crm_deals.log_generation is not as installed It is not permanent.'),
    ('ALTER TABLE crm_deals.event_consumer OWNER TO regress_crm_other',
     format('table crm_deals.event_consumer is not as installed It belongs to role "regress_crm_other", '
            'the table deal to role "%s".', current_user)),
    ('ALTER VIEW crm_deals.installation OWNER TO regress_crm_other',
     format('table crm_deals.installation is not as installed It belongs to role "regress_crm_other", '
            'the table deal to role "%s".', current_user)),
    ('ALTER SCHEMA crm_deals OWNER TO regress_crm_other',
     format('schema crm_deals is not as installed It belongs to role "regress_crm_other", '
            'the table deal to role "%s".', current_user)),
    ('DROP TABLE crm_deals.stage_name',
     'table crm_deals.stage_name does not exist The extension holds the code; its tables are made by install().');
SELECT is((SELECT string_agg(DISTINCT t.refusal(d.command, u.statement), E'\n') FROM t.use AS u), '55000 ' || d.says,
          format('section 2: whatever one calls, the error says: %s', regexp_replace(d.says, 'role "[^"]*"\.', '…')))
FROM t.difference AS d ORDER BY d.says;
SELECT is((SELECT string_agg(DISTINCT t.refusal('SELECT 1', u.statement), E'\n') FROM t.use AS u), 'done',
          'section 2: and nothing of it stays');

-- What a user may do
ALTER TABLE crm_deals.deal_name ADD COLUMN extra integer, DROP COLUMN organization, ADD COLUMN organization text;
ALTER TABLE crm_deals.deal_event ADD COLUMN seen boolean;
ALTER TABLE crm_deals.lead ALTER COLUMN phone TYPE varchar(20);
SET client_min_messages = error;    -- the index of names is gone with its column
SELECT is((SELECT string_agg(DISTINCT t.refusal('ANALYZE crm_deals.deal', u.statement), E'\n') FROM t.use AS u), 'done',
          'section 2: other columns, another order and varchar are welcome');
RESET client_min_messages;

-- Owners
CREATE FUNCTION t.reassign() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    place record;
BEGIN
    FOR place IN SELECT c.oid::regclass AS name, c.relkind AS kind FROM pg_class AS c
                 WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO regress_crm_other', place.name);
    END LOOP;
    ALTER SCHEMA crm_deals OWNER TO regress_crm_other;
END
$$;
SELECT is((SELECT string_agg(DISTINCT t.refusal('SELECT t.reassign()', u.statement), E'\n') FROM t.use AS u),
          '55000 the owner of the tables of crm_deals may not execute its functions '
          'The tables belong to role "regress_crm_other".',
          'section 2: so does a new owner who may not execute the functions');
SELECT is(t.hint('SELECT t.reassign()', :'insert'), 'A superuser runs SELECT crm_deals.install().',
          'section 2: the hint says what to do');
SELECT is(t.hint('ALTER TABLE crm_deals.lead OWNER TO regress_crm_other', :'insert'),
          format('Run ALTER TABLE crm_deals.lead OWNER TO %I; then a superuser runs SELECT crm_deals.install().',
                 current_user),
          'section 2: and so if a table alone has another owner');

-- A view of other types in place of deal, which move_deal() would read
SELECT matches(t.refusal('ALTER TABLE crm_deals.deal RENAME TO kept; CREATE VIEW crm_deals.deal AS SELECT id, name, '
                         'pipeline_id, stage_id, version, lost_reason, status, 81985529216486895 AS probability, '
                         '''x''::text AS closed_at, updated_at FROM crm_deals.kept', :'move'),
               '^55000 table crm_deals.deal is not as installed It is a view',
               'section 10: a view cannot pass for deal');

-- A value of the enum that the rules do not know; labels that are gone
SELECT matches(t.refusal('ALTER TYPE crm_deals.deal_status RENAME VALUE ''won'' TO ''gone''', :'insert'),
               '^55000 table crm_deals.deal is not as installed Its status has no label "won"',
               'section 10: nor an enum without our labels');

-- Rows that a caller makes up
SELECT matches(t.refusal('SELECT 1', format('SELECT %s', call)), '^' || result, 'section 10: a row made up: ' || call)
FROM (VALUES ('crm_deals_internal.why_not(NULL, jsonb_populate_record(NULL::crm_deals.deal, ''{}''), false)', 'done'),
             ('crm_deals_internal.why_not(jsonb_populate_record(NULL::crm_deals.deal, ''{}''), '
              'jsonb_populate_record(NULL::crm_deals.deal, ''{}''), true)',
              '23502 null value in column "status" of a deal A row of crm_deals.deal is never without it.'),
             ('crm_deals_internal.broken_rules(jsonb_populate_record(d, ''{"status": null}''), t.stage(''won''), NULL, '
              'false) FROM crm_deals.deal AS d',
              '23502 null value in column "status" of a deal A row of crm_deals.deal is never without it.'),
             ('crm_deals_internal.import_broken_rules(jsonb_populate_record(d, ''{"probability": null, "name": null}'')'
              ', jsonb_populate_record(NULL::crm_deals.deal, ''{}'')) FROM crm_deals.deal AS d',
              'done'))
     AS v (call, result);

-- Tables in pg_temp that pass for those of an import: a view over a function that returns something else each time
CREATE SEQUENCE t.turn;
CREATE FUNCTION t.turns(every integer) RETURNS TABLE (n bigint) LANGUAGE plpgsql AS $$
BEGIN
    n := nextval('t.turn') / every;
    RETURN NEXT;
END
$$;
CREATE FUNCTION t.similar(source text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM setval('t.turn', 1, false);
    CREATE TEMPORARY TABLE _crm_deals_steps (_row bigint, step integer, stage_id bigint);
    CREATE TEMPORARY TABLE _crm_deals_rows AS
        SELECT n::bigint AS _row, NULL::text AS organization, false AS _creates_account, NULL::bigint AS account_id,
               NULL::text AS _account_organization, NULL::bigint AS id, 1::bigint AS pipeline_id, 1::bigint AS stage_id,
               true AS _writes_name, NULL::text AS _problem, false AS _again
        FROM generate_series(1, 3) AS n;
    EXECUTE 'CREATE TEMPORARY VIEW _crm_deals_source AS ' || source;
    PERFORM crm_deals_internal.import_similar(1, 3, 0.5, '{}', '{}');
    RETURN 'done';
END
$$;
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject';
SELECT is(t.refusal('SELECT 1', format('SELECT t.similar(%L)', source)), result, 'section 10: ' || what)
FROM (VALUES ('rows without a name', 'SELECT n::bigint AS _row, NULL::text AS account, NULL::text AS name '
              'FROM generate_series(1, 3) AS n', 'done'),
             ('rows whose name is gone the second time',
              'SELECT r::bigint AS _row, NULL::text AS account, (CASE t.n WHEN 0 THEN ''d1'' END)::text AS name '
              'FROM generate_series(1, 3) AS r, t.turns(2) AS t', 'done'),
             ('names of another type',
              'SELECT n::bigint AS _row, 1 AS account, 5::bigint AS name FROM generate_series(1, 3) AS n',
              '42883 function pg_catalog.lower(integer) does not exist'),
             ('names that are numbers', 'SELECT n::bigint AS _row, NULL::text AS account, 5::bigint AS name '
              'FROM generate_series(1, 3) AS n', 'done')) AS v (what, source, result);
CREATE FUNCTION t.close_all(name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CLOSE ALL';
    RETURN name;
END
$$;
SELECT is(t.try($$SELECT t.similar('SELECT n::bigint AS _row, NULL::text AS account, t.close_all(''d'' || n) AS name '
                                   'FROM generate_series(1, 3) AS n')$$),
          '24000', 'section 10: names that close the cursor that reads them');
SELECT is(t.try(format('SELECT * FROM crm_deals_internal.import_similar(%s, 0.5, ''{}'', ''{}'')', range)), '22023',
          'section 10: no range of rows: ' || range)
FROM (VALUES ('-9223372036854775808, 9223372036854775807'), ('1, 5000000000'), ('0, 1'), ('5, 1')) AS v (range);
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag';

-- An index of a user's own under the name of ours is not read as ours.
CREATE FUNCTION t.found(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    SET LOCAL client_min_messages = error;
    EXECUTE command;
    INSERT INTO crm_deals.deal (name) VALUES ('Long enough a name'), ('Long enough a nam');
    SELECT string_agg(f.deal_name, ', ' ORDER BY f.deal_name)
           || ', ' || (SELECT count(*) FROM crm_deals.deal_duplicate AS u JOIN crm_deals.deal AS d ON d.id = u.deal_id
                       WHERE d.name LIKE 'Long%')
    INTO result FROM crm_deals.find_duplicates('Long enough a name') AS f;
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION WHEN SQLSTATE 'TT000' THEN
    RETURN result;
WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT is(t.found(replace(command, 'INDEX crm', 'INDEX deal_name_signatures ON crm')),
          'Long enough a nam, Long enough a name, 1', 'section 6: duplicates are found with ' || what)
FROM (VALUES ('no index', 'SELECT 1'),
             ('a b-tree', 'CREATE INDEX crm_deals.deal_name (name)'),
             ('an index of another table', 'CREATE INDEX crm_deals.deal (name)'),
             ('an index of arrays', 'CREATE INDEX crm_deals.deal_name USING gin ((ARRAY[name]))'),
             ('our operators on something else',
              'CREATE INDEX crm_deals.deal_name USING gin ((ARRAY[deal_id]) crm_deals_internal.signature_ops)'),
             ('signatures of something else',
              'CREATE INDEX crm_deals.deal_name USING gin (crm_deals_internal.signatures(name, organization, '
              '0.8::real, ' || quote_literal(crm_deals_internal.made_for())
              || '::text) crm_deals_internal.signature_ops)'),
             ('a part of an index',
              'CREATE INDEX crm_deals.deal_name USING gin ((ARRAY[deal_id]) crm_deals_internal.signature_ops) '
              'WHERE deal_id < 0'),
             ('a table of its name', 'CREATE TABLE crm_deals.deal_name_signatures (x integer)'),
             ('another index in place of the primary key',
              'ALTER TABLE crm_deals.deal_name DROP CONSTRAINT deal_name_pkey; '
              'CREATE UNIQUE INDEX deal_name_id ON crm_deals.deal_name (deal_id); '
              'CREATE UNIQUE INDEX deal_name_pkey ON crm_deals.deal (external_id)')) AS v (what, command);
SET client_min_messages = warning;
SELECT crm_deals.rebuild_duplicates() AS none \gset
RESET client_min_messages;

-- What runs as the owner runs under a pinned search path: a trigger of the owner's on the log does not find what the
-- writer has in his own one.
CREATE SCHEMA evil;
CREATE TABLE t.noted (actor text, path text);
CREATE FUNCTION t.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO t.noted VALUES (current_user, current_setting('search_path'));
    RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER INSERT ON crm_deals.deal_event FOR EACH ROW EXECUTE FUNCTION t.note();
SET search_path = evil, public;
SELECT is(t.after('INSERT INTO crm_deals.deal (name) VALUES (''e'')',
                  'SELECT string_agg(DISTINCT path, ''; '') FROM t.noted'),
          'pg_catalog, pg_temp', 'section 2: a trigger on the log runs under a pinned search path');
SELECT is(current_setting('search_path'), 'evil, public', 'section 2: the writer''s path is as it was');
ALTER TABLE crm_deals.deal_event ADD CONSTRAINT small CHECK (deal_id < 0) NOT VALID;
SELECT is(t.try('INSERT INTO crm_deals.deal (name) VALUES (''e'')'), '23514 deal_event small',
          'section 2: after an error');
SELECT is(current_setting('search_path'), 'evil, public', 'section 2: the writer''s path is as it was, too');
ALTER TABLE crm_deals.deal_event DROP CONSTRAINT small;
RESET search_path;
DROP TRIGGER note ON crm_deals.deal_event;

SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 4: no rule is broken');
SELECT t.drop_roles('regress_crm_other', 'regress_crm_writer') AS none \gset
SELECT * FROM finish();
