-- import_deals(): from a table of any origin to deals and their log, set by set.
-- Everything runs as the caller, in the context that src/import.c gives it.
--
-- On the way the rows are in temporary tables, which are gone when the call ends:
--   _crm_deals_source     the source, its columns of the right types
--   _crm_deals_history    the history, likewise
--   _crm_deals_pipelines, _crm_deals_accounts, _crm_deals_owners
--                         what the texts of the source mean
--   _crm_deals_rows       for each row of the source what is to be done with it
--   _crm_deals_steps      the events of the history, numbered

-- ----------
-- What C knows
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_as(actor text) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_import_as';
COMMENT ON FUNCTION crm_deals_internal.import_as(text) IS
    'Internal: who did what the running import writes next; NULL is the actor of the import.';

-- access: write
CREATE FUNCTION crm_deals_internal.next_deal_id() RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_next_deal_id';
COMMENT ON FUNCTION crm_deals_internal.next_deal_id() IS
    'Internal: the next id of a deal.';

-- access: write
CREATE FUNCTION crm_deals_internal.wrong_custom_fields(pipeline_id bigint, old jsonb, new jsonb) RETURNS text
LANGUAGE c STABLE COST 10 AS 'MODULE_PATHNAME', 'crm_deals_wrong_custom_fields';
COMMENT ON FUNCTION crm_deals_internal.wrong_custom_fields(bigint, jsonb, jsonb) IS
    'Internal: which custom fields of a deal are not as defined; NULL where all are.';

-- access: write
CREATE FUNCTION crm_deals_internal.why_not(old anyelement, new anyelement, gates boolean) RETURNS text
LANGUAGE c STABLE COST 100 AS 'MODULE_PATHNAME', 'crm_deals_why_not';
COMMENT ON FUNCTION crm_deals_internal.why_not(anyelement, anyelement, boolean) IS
    'Internal: the rules that a row of deal would break as another one, NULL for a new one; NULL where it breaks none.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_similar(low bigint, high bigint, threshold real, renamed bigint[], moved bigint[])
RETURNS TABLE (row_number bigint, other_deal_id bigint, other_row bigint, similarity real)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'crm_deals_import_similar';
COMMENT ON FUNCTION crm_deals_internal.import_similar(bigint, bigint, real, bigint[], bigint[]) IS
    'Internal: the rows that their pipelines refuse as duplicates of a deal, NULL where the caller does not see it, or of an earlier row.';

-- access: write
CREATE FUNCTION crm_deals_internal.is_currency(code text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_is_currency';
COMMENT ON FUNCTION crm_deals_internal.is_currency(text) IS
    'Internal: whether a text is an ISO 4217 code.';

-- ----------
-- Columns
-- ----------

-- What a source may say of a deal. References are texts: a name, or a key.
-- access: write
CREATE FUNCTION crm_deals_internal.import_deal_columns() RETURNS TABLE (name text, type text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text,
           CASE WHEN a.attname IN ('owner', 'status') THEN 'text' ELSE format_type(a.atttypid, NULL) END
    FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass('crm_deals.deal') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND a.attname NOT IN ('id', 'version', 'updated_at', 'probability_overridden', 'last_open_stage_id',
                            'pipeline', 'stage', 'account')
      AND a.attname !~ '^_'
    UNION ALL
    VALUES ('pipeline', 'text'), ('stage', 'text'), ('account', 'text')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_deal_columns() IS
    'Internal: the columns that a source of import_deals() can have, besides custom_fields.KEY.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_history_columns() RETURNS TABLE (name text, type text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('external_id', 'text'), ('stage', 'text'), ('entered_at', 'timestamp with time zone'),
           ('actor', 'text'), ('lost_reason', 'text'), ('amount', 'numeric')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_history_columns() IS
    'Internal: the columns that a history of import_deals() can have.';

-- The columns that a table has, with what they mean: a name and a type of ours.
-- access: write
CREATE FUNCTION crm_deals_internal.import_columns(source regclass, names text[], types text[])
RETURNS TABLE (name text, type text, source_type text, is_text boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text, coalesce(w.type, 'jsonb'), format_type(a.atttypid, NULL), t.typcategory = 'S'
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN unnest(names, types) AS w (name, type) ON w.name = a.attname
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
$$;
COMMENT ON FUNCTION crm_deals_internal.import_columns(regclass, text[], text[]) IS
    'Internal: the columns of a table to import; those without a type of ours are custom fields.';

-- access: write
CREATE FUNCTION crm_deals_internal.check_import_columns(source regclass, names text[], wanted text[], with_custom_fields boolean)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given text[] := ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                          WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum);
    unknown text;
    missing text;
BEGIN
    SELECT string_agg(quote_ident(g.name), ', ')
    INTO unknown
    FROM unnest(given) AS g (name)
    WHERE g.name <> ALL (names) AND NOT (with_custom_fields AND g.name ~ '^custom_fields\..');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'table % has columns that cannot be imported: %', source, unknown
            USING ERRCODE = '42703',
                  HINT = format('It can have %s%s.', array_to_string(names, ', '),
                                CASE WHEN with_custom_fields THEN ', custom_fields.KEY' END);
    END IF;

    SELECT string_agg(w.name, ', ') INTO missing FROM unnest(wanted) AS w (name) WHERE w.name <> ALL (given);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % lacks columns: %', source, missing USING ERRCODE = '42703';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_import_columns(regclass, text[], text[], boolean) IS
    'Internal: refuses a table to import that has columns that mean nothing, or lacks one that is needed.';

-- Two columns that say the same may say two things.
-- access: write
CREATE FUNCTION crm_deals_internal.check_import_references(given text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['pipeline', 'stage', 'account'] LOOP
        IF given @> ARRAY[entity, entity || '_id'] THEN
            RAISE EXCEPTION 'the source has both % and %_id', entity, entity
                USING ERRCODE = '42701', HINT = 'Leave one of them out.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_import_references(text[]) IS
    'Internal: refuses a source that names pipeline, stage or account in two columns.';

-- ----------
-- Types
-- ----------

-- A value of another type, NULL where the text is none. What is written as a program
-- writes it needs no attempt that could fail, hence no subtransaction.
-- access: write
CREATE FUNCTION crm_deals_internal.try_cast(value text, INOUT kind anyelement)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    plain CONSTANT text := CASE pg_typeof(kind)::text
        WHEN 'numeric' THEN '^[+-]?[0-9]{1,100}([.][0-9]{1,100})?$'
        WHEN 'bigint' THEN '^[+-]?[0-9]{1,18}$'
        WHEN 'integer' THEN '^[+-]?[0-9]{1,9}$'
        WHEN 'text' THEN ''
        WHEN 'date' THEN '^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$'
        WHEN 'timestamp with time zone' THEN
            '^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])([ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-3])(:?[0-5][0-9])?)?)?$'
        END;
BEGIN
    kind := NULL;
    IF value IS NULL OR value ~ plain THEN
        kind := value;
        RETURN;
    END IF;
    BEGIN
        kind := value;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR SQLSTATE '0A000' THEN
        kind := NULL;
    END;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.try_cast(text, anyelement) IS
    'Internal: a text as a value of another type; NULL where it is none.';

-- A text without the blanks around it, NULL where nothing is left: an expression, as a function that pins its
-- search_path costs microseconds a row.
-- access: write
CREATE FUNCTION crm_deals_internal.import_filled(expression text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT format('nullif(btrim(%s::text, E'' \t\r\n''), '''')', expression) $$;
COMMENT ON FUNCTION crm_deals_internal.import_filled(text) IS
    'Internal: the expression that trims a text.';

-- A column of the source as it is to be staged. A blank is nothing, but in free texts.
-- access: write
CREATE FUNCTION crm_deals_internal.import_expression(name text, type text, source_type text, careful boolean) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN source_type IS NULL THEN format('NULL::%s', type)
        WHEN type = 'text' AND name IN ('pipeline', 'stage', 'account', 'owner', 'organization', 'status', 'currency',
                                        'lost_reason', 'actor') THEN
            crm_deals_internal.import_filled(format('s.%I', name))
        WHEN type = 'text' AND name = 'external_id' THEN
            format('CASE WHEN %s IS NOT NULL THEN s.%I::text END', crm_deals_internal.import_filled(format('s.%I', name)), name)
        WHEN type = 'text' THEN format('s.%I::text', name)
        WHEN type = source_type THEN format('s.%I', name)
        -- as a text it could name its time zone by letters that others use, too
        WHEN source_type ~ '^(date|timestamp)' AND type ~ '^(date|timestamp)' THEN format('s.%I::%s', name, type)
        WHEN careful THEN format('crm_deals_internal.try_cast(%s, NULL::%s)', crm_deals_internal.import_filled(format('s.%I', name)), type)
        ELSE format('%s::%s', crm_deals_internal.import_filled(format('s.%I', name)), type) END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_expression(text, text, text, boolean) IS
    'Internal: the expression that gives a column of the source its type.';

-- The columns custom_fields.KEY as one object; a NULL of the source is a JSON null. A
-- function takes a hundred arguments, hence the chunks.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fields_expression(names text[], are_texts boolean[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(c.object, ' || '), 'NULL::jsonb')
    FROM (SELECT format('jsonb_build_object(%s)',
                        string_agg(format('%L, %s', substr(f.name, length('custom_fields.') + 1),
                                          CASE WHEN f.is_text THEN crm_deals_internal.import_filled(format('s.%I', f.name))
                                               ELSE format('to_jsonb(s.%I)', f.name) END), ', ')) AS object
          FROM unnest(names, are_texts) WITH ORDINALITY AS f (name, is_text, place)
          GROUP BY f.place / 40) AS c
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fields_expression(text[], boolean[]) IS
    'Internal: the expression that gathers the columns custom_fields.KEY.';

-- The query that stages a table: all columns of ours, those that it lacks as NULL. "_place" tells apart
-- what rows say of their pipeline.
-- access: write
CREATE FUNCTION crm_deals_internal.import_query(source regclass, names text[], types text[], careful boolean) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    columns text;
    staged text;
    raw text;
    problems text;
    fields text;
BEGIN
    WITH given AS (
        SELECT c.name, c.type, c.source_type, c.is_text FROM crm_deals_internal.import_columns(source, names, types) AS c
    ), wanted AS (
        SELECT w.name, w.type, g.source_type, w.place,
               careful AND w.type NOT IN ('text', g.source_type) AS can_fail
        FROM unnest(names, types) WITH ORDINALITY AS w (name, type, place)
        LEFT JOIN given AS g ON g.name = w.name
    )
    SELECT string_agg(format('%s AS %I', crm_deals_internal.import_expression(w.name, w.type, w.source_type, careful), w.name), ', ' ORDER BY w.place),
           string_agg(format('c.%I', w.name), ', ' ORDER BY w.place),
           coalesce(string_agg(format(', %s AS %I', crm_deals_internal.import_filled(format('s.%I', w.name)), '_raw.' || w.name), '') FILTER (WHERE w.can_fail), ''),
           coalesce('nullif(concat_ws(E''\n'', '
                    || string_agg(format('CASE WHEN c.%1$I IS NULL AND c.%2$I IS NOT NULL THEN format(%3$L, left(c.%2$I, 100)) END',
                                         w.name, '_raw.' || w.name,
                                         replace(w.name, '%', '%%') || ' "%s" is not of type ' || w.type || '.'), ', ' ORDER BY w.place)
                       FILTER (WHERE w.can_fail)
                    || '), '''')', 'NULL::text'),
           (SELECT crm_deals_internal.import_fields_expression(array_agg(g.name), array_agg(g.is_text))
            FROM given AS g WHERE g.name <> ALL (names))
    INTO columns, staged, raw, problems, fields
    FROM wanted AS w;
    RETURN format('SELECT c._row, %s AS _problem, %s, c._fields%s '
                  'FROM (SELECT row_number() OVER () AS _row, %s%s, %s AS _fields FROM %s AS s OFFSET 0) AS c',
                  problems, staged,
                  CASE WHEN 'pipeline' = ANY (names)
                       THEN ', format(''%L %L %L'', c.pipeline, c.pipeline_id, c.organization) AS _place' END,
                  columns, raw, coalesce(fields, 'NULL::jsonb'), source);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_query(regclass, text[], text[], boolean) IS
    'Internal: the query that reads a table to import; a careful one finds the values that have a wrong type.';

-- Rows are numbered as a plain scan finds them. First all at once; where that fails,
-- again and value by value.
-- access: write
CREATE FUNCTION crm_deals_internal.import_stage(staging text, source regclass, names text[], types text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET synchronize_seqscans = off
SET max_parallel_workers_per_gather = 0
SET default_statistics_target = 10
AS $$
#variable_conflict use_variable
BEGIN
    BEGIN
        EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS %s',
                       staging, crm_deals_internal.import_query(source, names, types, false));
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR SQLSTATE '0A000' THEN
        EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS %s',
                       staging, crm_deals_internal.import_query(source, names, types, true));
    END;
    EXECUTE format('CREATE INDEX ON pg_temp.%I (_row)', staging);
    EXECUTE format('ANALYZE pg_temp.%I', staging);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stage(text, regclass, text[], text[]) IS
    'Internal: a temporary copy of a table to import, with our types.';

-- ----------
-- What the texts mean
-- ----------

-- A name of the organization, else one of the whole system, else an id.
-- access: write
CREATE FUNCTION crm_deals_internal.import_pipeline(pipeline text, organization text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.id
    FROM crm_deals.pipeline AS p
    WHERE p.name = import_pipeline.pipeline AND (p.organization = import_pipeline.organization OR p.organization IS NULL)
       OR p.id::text = import_pipeline.pipeline
    ORDER BY p.name = import_pipeline.pipeline DESC, p.organization IS NULL
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_deals_internal.import_pipeline(text, text) IS
    'Internal: the pipeline that a text means in an organization.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_default_pipeline(organization text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.id
    FROM crm_deals.pipeline AS p
    WHERE p.is_default AND (p.organization = import_default_pipeline.organization OR p.organization IS NULL)
    ORDER BY p.organization IS NULL
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_deals_internal.import_default_pipeline(text) IS
    'Internal: the pipeline of rows that name none.';

-- The organization of a row is that of its pipeline: in it the deal is looked for.
-- access: write
CREATE FUNCTION crm_deals_internal.import_pipelines() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_pipelines ON COMMIT DROP AS
    SELECT w._place, w.given_id, w.default_id,
           coalesce((SELECT p.organization FROM crm_deals.pipeline AS p WHERE p.id = coalesce(w.given_id, w.default_id)),
                    CASE WHEN coalesce(w.given_id, w.default_id) IS NULL THEN w.searched END) AS owner,
           w.searched
    FROM (SELECT r._place, r.searched,
                 CASE WHEN r.pipeline IS NOT NULL THEN crm_deals_internal.import_pipeline(r.pipeline, r.searched)
                      ELSE (SELECT p.id FROM crm_deals.pipeline AS p WHERE p.id = r.pipeline_id) END AS given_id,
                 CASE WHEN num_nonnulls(r.pipeline, r.pipeline_id) = 0
                      THEN crm_deals_internal.import_default_pipeline(r.searched) END AS default_id
          FROM (SELECT DISTINCT s._place, s.pipeline, s.pipeline_id,
                       coalesce(s.organization, nullif(current_setting('crm_deals.organization', true), '')) AS searched
                FROM pg_temp._crm_deals_source AS s) AS r) AS w;
    ANALYZE pg_temp._crm_deals_pipelines;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_pipelines() IS
    'Internal: the pipelines that the rows mean.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_names_wanted(entity text) RETURNS TABLE (name text, organization text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF entity = 'owner' THEN
        RETURN QUERY SELECT DISTINCT s.owner, NULL FROM pg_temp._crm_deals_source AS s WHERE s.owner IS NOT NULL;
    ELSE
        RETURN QUERY
        SELECT DISTINCT s.account, coalesce(p.owner, p.searched)
        FROM pg_temp._crm_deals_source AS s
        JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
        WHERE s.account IS NOT NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_names_wanted(text) IS
    'Internal: the accounts or owners that the rows name.';

-- What the names mean: blanks and case do not count; a text that is no name is tried as a key.
-- access: write
CREATE FUNCTION crm_deals_internal.import_names(entity text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    staging text := '_crm_deals_' || entity || 's';
    by_name text := 'false';
    rank text := '1';
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS '
                   'SELECT NULL::text AS name, NULL::text AS organization, NULL::text AS problem, d.%I AS key '
                   'FROM crm_deals.deal AS d WHERE false', staging, CASE entity WHEN 'account' THEN 'account_id' ELSE 'owner' END);
    IF host.host IS NULL THEN
        EXECUTE format('INSERT INTO pg_temp.%I (name, key) SELECT w.name, w.name FROM crm_deals_internal.import_names_wanted($1) AS w', staging)
        USING entity;
        RETURN;
    END IF;

    IF host.columns ? 'name' THEN
        by_name := format('lower(btrim(t.%I::text)) = lower(w.name)', host.columns ->> 'name');
    END IF;
    IF entity = 'account' AND has_column_privilege(host.host, host.columns ->> 'organization', 'SELECT') THEN
        rank := format('CASE WHEN t.%1$I::text IS NOT DISTINCT FROM w.organization THEN 1 '
                       'WHEN t.%1$I IS NULL OR w.organization IS NULL THEN 2 END', host.columns ->> 'organization');
    END IF;
    EXECUTE format(
        'WITH wanted AS MATERIALIZED (SELECT w.name, w.organization FROM crm_deals_internal.import_names_wanted($1) AS w), '
        'named AS (SELECT r.name, r.organization, array_agg(r.key ORDER BY r.key) AS keys '
        '          FROM (SELECT w.name, w.organization, t.%1$I AS key, '
        '                       rank() OVER (PARTITION BY w.name, w.organization ORDER BY %4$s) AS place '
        '                FROM wanted AS w JOIN %2$s AS t ON %3$s WHERE %4$s IS NOT NULL) AS r '
        '          WHERE r.place = 1 GROUP BY r.name, r.organization), '
        'keyed AS (SELECT w.name, w.organization, t.%1$I AS key '
        '          FROM (SELECT w.name, w.organization, crm_deals_internal.try_cast(w.name, NULL::%5$s) AS key FROM wanted AS w OFFSET 0) AS w '
        '          JOIN %2$s AS t ON t.%1$I = w.key) '
        'INSERT INTO pg_temp.%6$I (name, organization, key, problem) '
        'SELECT w.name, w.organization, CASE WHEN n.keys IS NULL THEN k.key WHEN cardinality(n.keys) = 1 THEN n.keys[1] END, '
        '       CASE WHEN n.keys IS NULL AND k.key IS NULL THEN format(''%7$s "%%s" does not exist.'', w.name) '
        '            WHEN cardinality(n.keys) > 1 THEN format(''%7$s "%%s" is ambiguous: it can be %%s.'', w.name, '
        '                                                     array_to_string(n.keys[:20], '', '')) END '
        'FROM wanted AS w '
        'LEFT JOIN named AS n ON n.name = w.name AND n.organization IS NOT DISTINCT FROM w.organization '
        'LEFT JOIN keyed AS k ON k.name = w.name AND k.organization IS NOT DISTINCT FROM w.organization',
        host.key_column, host.host, by_name, rank, host.key_type, staging, initcap(entity))
    USING entity;
    EXECUTE format('ANALYZE pg_temp.%I', staging);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_names(text) IS
    'Internal: the accounts or owners that the rows mean.';

-- ----------
-- Custom fields
-- ----------

-- A text of the source as the definition wants it; what cannot be so stays a text, and is refused as one.
-- access: write
CREATE FUNCTION crm_deals_internal.import_field(type text, value jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN jsonb_typeof(value) <> 'string' THEN value
        WHEN type = 'number' AND value #>> '{}' ~ '^[+-]?[0-9]{1,100}([.][0-9]{1,100})?([eE][+-]?[0-9]{1,2})?$' THEN
            to_jsonb((value #>> '{}')::numeric)
        WHEN type = 'boolean' AND lower(value #>> '{}') IN ('true', 't', 'yes', 'y', 'on', '1') THEN 'true'
        WHEN type = 'boolean' AND lower(value #>> '{}') IN ('false', 'f', 'no', 'n', 'off', '0') THEN 'false'
        WHEN type = 'multiselect' THEN
            coalesce(CASE WHEN value #>> '{}' LIKE '[%' THEN crm_deals_internal.try_cast(value #>> '{}', NULL::jsonb) END,
                     (SELECT jsonb_agg(btrim(e.element)) FROM string_to_table(value #>> '{}', ';') AS e (element)))
        ELSE value END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_field(text, jsonb) IS
    'Internal: a custom field of the source as its definition wants it.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_fields(fields jsonb, organization text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(f.key, crm_deals_internal.import_field(
               (SELECT c.type FROM crm_deals.custom_field AS c
                WHERE c.entity = 'deal' AND c.key = f.key
                  AND (c.organization = import_fields.organization OR c.organization IS NULL)
                ORDER BY c.organization IS NULL LIMIT 1), f.value))
    FROM jsonb_each(fields) AS f
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fields(jsonb, text) IS
    'Internal: the columns custom_fields.KEY of a row, as the definitions of its organization want them.';

-- Keys that the source has take the place of those that are there; those it has as NULL go.
-- access: write
CREATE FUNCTION crm_deals_internal.import_merged(there jsonb, fields jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN fields IS NULL OR jsonb_typeof(there) <> 'object' THEN there
                ELSE (there || fields) - ARRAY(SELECT f.key FROM jsonb_each(fields) AS f WHERE f.value = 'null') END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_merged(jsonb, jsonb) IS
    'Internal: custom fields with those of the source.';

-- ----------
-- What is to be done with each row, and why not
-- ----------

-- The deals that are there already, locked in the order of their ids.
-- access: write
CREATE FUNCTION crm_deals_internal.import_lock() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    locked bigint;
BEGIN
    SELECT count(*)
    INTO locked
    FROM (SELECT d.id
          FROM crm_deals.deal AS d
          WHERE d.id IN (SELECT x.id FROM crm_deals.deal AS x
                         JOIN pg_temp._crm_deals_source AS s ON s.external_id = x.external_id
                         UNION
                         SELECT a.deal_id FROM crm_deals.deal_alias AS a
                         JOIN pg_temp._crm_deals_source AS s ON s.external_id = a.old_external_id)
          ORDER BY d.id
          FOR NO KEY UPDATE) AS l;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_lock() IS
    'Internal: locks the deals that the rows may change.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_rows_table() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_rows ON COMMIT DROP AS
    SELECT NULL::bigint AS _row, NULL::text AS _problem, NULL::boolean AS _is_new, NULL::boolean AS _writes_name, NULL::boolean AS _again,
           NULL::boolean AS _creates_account, NULL::integer AS _version, NULL::text AS _lost_reason, NULL::text AS _account_organization,
           d.id, d.external_id, d.organization, d.pipeline_id, d.stage_id, d.account_id, d.owner, d.custom_fields
    FROM crm_deals.deal AS d
    WHERE false;
    CREATE INDEX ON pg_temp._crm_deals_rows (_row);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_rows_table() IS
    'Internal: where it is kept what is to be done with each row.';

-- "given": the columns of the source; "chosen": the rows, NULL for all.
-- access: write
CREATE FUNCTION crm_deals_internal.import_resolve(given text[], create_accounts boolean, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
AS $$
#variable_conflict use_variable
DECLARE
    gives_name boolean := 'name' = ANY (given);
    gives_reason boolean := 'lost_reason' = ANY (given);
    gives_account boolean := 'account_id' = ANY (given);
    names_account boolean := 'account' = ANY (given);
    gives_contact boolean := 'primary_contact_id' = ANY (given);
    gives_fields boolean := EXISTS (SELECT FROM unnest(given) AS g (name) WHERE g.name ~ '^custom_fields');
    gives_all_fields boolean := 'custom_fields' = ANY (given);
BEGIN
    INSERT INTO pg_temp._crm_deals_rows (_row, _problem, _is_new, _writes_name, _again, _creates_account, _version, _lost_reason, _account_organization,
                                         id, external_id, organization, pipeline_id, stage_id, account_id, owner, custom_fields)
    SELECT j._row, j.problem, j.is_new, j.writes_name, false, j.creates_account, j.version, j.lost_reason, j.account_organization,
           CASE WHEN j.is_new THEN crm_deals_internal.next_deal_id() ELSE j.deal_id END,
           j.external_id, j.organization, j.pipeline_id, j.stage_id, j.account_id, j.owner, j.custom_fields
    FROM (
        SELECT r._row, r.is_new, r.is_new OR gives_name AND r.name <> r.stored_name AS writes_name, r.version, r.deal_id, r.external_id, r.organization, r.target_pipeline_id AS pipeline_id,
               r.target_stage_id AS stage_id, r.account_id, r.owner, r.custom_fields, r.lost_reason, r.account_organization,
               r.account_problem IS NOT NULL AND r.account_key_missing AND create_accounts AS creates_account,
               nullif(concat_ws(E'\n',
                   r.problem,
                   CASE WHEN (r.is_new OR gives_name) AND coalesce(btrim(r.name, E' \t\r\n'), '') = '' THEN 'A deal needs a name.' END,
                   CASE WHEN r.pipeline IS NOT NULL AND r.given_pipeline_id IS NULL THEN format('Pipeline "%s" does not exist.', r.pipeline)
                        WHEN r.written_pipeline_id IS NOT NULL AND r.given_pipeline_id IS NULL THEN format('Pipeline %s does not exist.', r.written_pipeline_id)
                        WHEN r.pipeline_id IS NULL THEN 'There is no default pipeline.' END,
                   CASE WHEN r.written_organization <> r.target_organization OR r.target_organization IS NULL AND r.target_pipeline_id IS NOT NULL AND r.written_organization IS NOT NULL
                        THEN format('Organization "%s" contradicts the pipeline of the deal.', r.written_organization) END,
                   CASE WHEN r.stages_named > 1 THEN format('Stage "%s" is ambiguous: it can be %s.', r.stage, r.stage_keys)
                        WHEN r.stage IS NOT NULL AND r.given_stage_id IS NULL AND r.pipeline_id IS NOT NULL
                        THEN format('Stage "%s" does not exist in the pipeline of the deal.', r.stage)
                        WHEN r.written_stage_id IS NOT NULL AND r.target_stage_id IS NULL THEN format('Stage %s does not exist.', r.written_stage_id)
                        WHEN r.target_stage_id IS NULL AND r.pipeline_id IS NOT NULL THEN 'The pipeline has no open stage to start in.'
                        WHEN r.target_pipeline_id <> r.given_pipeline_id THEN 'The stage is not one of the pipeline.' END,
                   CASE WHEN r.enters_pipeline AND NOT r.is_active THEN 'The pipeline is not active.' END,
                   CASE WHEN r.enters AND r.archived_at IS NOT NULL THEN 'The stage is archived.' END,
                   CASE WHEN r.written_status <> r.status::text
                        THEN format('Status "%s" contradicts the stage, which is %s.', r.written_status, r.status) END,
                   CASE WHEN r.amount < 0 THEN 'The amount is negative.' WHEN r.amount >= 'Infinity' THEN 'The amount is not finite.' END,
                   CASE WHEN NOT crm_deals_internal.is_currency(r.currency) THEN format('"%s" is not a currency code.', r.currency) END,
                   CASE WHEN r.probability < 0 OR r.probability > 100 THEN 'The probability is not between 0 and 100.' END,
                   CASE WHEN NOT isfinite(r.expected_close_date) OR NOT isfinite(r.closed_at) OR NOT isfinite(r.created_at)
                             OR NOT isfinite(r.stage_entered_at) THEN 'A date is not finite.' END,
                   CASE WHEN r.created_at NOT IN (r.stored_created_at, date_trunc('milliseconds', r.stored_created_at))
                        THEN format('The deal was created at %s already, that does not change.', r.stored_created_at) END,
                   CASE WHEN r.closed_at IS NOT NULL AND r.status = 'open' THEN 'An open deal has no closing time.' END,
                   CASE WHEN gives_reason AND r.written_reason IS NOT NULL AND r.status <> 'lost' THEN 'A deal that is not lost has no lost reason.'
                        WHEN r.status <> 'lost' OR NOT r.reason_is_judged THEN NULL
                        WHEN r.lost_reason IS NULL AND r.lost_reason_required THEN 'A lost deal needs a lost_reason.'
                        WHEN r.lost_reason IS NOT NULL
                             AND EXISTS (SELECT FROM crm_deals.lost_reason AS l WHERE l.pipeline_id = r.target_pipeline_id AND l.is_active)
                             AND NOT EXISTS (SELECT FROM crm_deals.lost_reason AS l
                                             WHERE l.pipeline_id = r.target_pipeline_id AND l.is_active AND l.name = r.lost_reason)
                        THEN format('"%s" is none of the lost reasons of the pipeline.', r.lost_reason) END,
                   CASE WHEN NOT (r.account_key_missing AND create_accounts) THEN r.account_problem END,
                   r.owner_problem,
                   CASE WHEN gives_account AND r.written_account_id IS NOT NULL AND r.account_id IS NULL
                        THEN format('Account %s does not exist.', r.written_account_id) END,
                   CASE WHEN gives_contact AND r.written_contact_id IS NOT NULL AND NOT r.contact_exists
                        THEN format('Contact %s does not exist.', r.written_contact_id) END,
                   CASE WHEN gives_fields AND jsonb_typeof(r.custom_fields) <> 'object' THEN 'custom_fields is not an object.'
                        ELSE crm_deals_internal.wrong_custom_fields(r.target_pipeline_id, r.stored_fields, r.custom_fields) END), '') AS problem
        FROM (
            SELECT s._row, s._problem AS problem, s.name, s.external_id, s.pipeline, s.pipeline_id AS written_pipeline_id,
                   s.organization AS written_organization, s.stage, s.stage_id AS written_stage_id, s.status AS written_status,
                   s.amount, s.currency, s.probability, s.expected_close_date, s.closed_at, s.created_at, s.stage_entered_at,
                   s.lost_reason AS written_reason, s.account_id AS written_account_id, s.primary_contact_id AS written_contact_id,
                   d.id IS NULL AS is_new, d.id AS deal_id, d.version, d.name AS stored_name, d.created_at AS stored_created_at, d.custom_fields AS stored_fields,
                   coalesce(p.owner, p.searched) AS account_organization,
                   p.given_id AS given_pipeline_id, coalesce(p.given_id, d.pipeline_id, p.default_id) AS pipeline_id,
                   CASE WHEN d.id IS NULL THEN p.owner ELSE d.organization END AS organization,
                   coalesce(k.id, n.id, i.id) AS given_stage_id, CASE WHEN k.id IS NULL THEN n.stages END AS stages_named, n.keys AS stage_keys,
                   t.id AS target_stage_id, t.status, t.archived_at,
                   tp.id AS target_pipeline_id, tp.organization AS target_organization, tp.is_active, tp.lost_reason_required,
                   d.stage_id IS DISTINCT FROM t.id AS enters, d.pipeline_id IS DISTINCT FROM tp.id AS enters_pipeline,
                   CASE WHEN h.lost_reason IS NOT NULL AND s.lost_reason IS NULL THEN h.lost_reason
                        WHEN gives_reason OR d.id IS NULL THEN s.lost_reason ELSE d.lost_reason END AS lost_reason,
                   d.stage_id IS DISTINCT FROM t.id OR gives_reason AND s.lost_reason IS DISTINCT FROM d.lost_reason AS reason_is_judged,
                   CASE WHEN gives_account THEN w.id WHEN names_account THEN a.key ELSE d.account_id END AS account_id, a.problem AS account_problem,
                   a.key IS NULL AND a.problem ~ 'does not exist' AS account_key_missing,
                   o.key AS owner, o.problem AS owner_problem, c.id IS NOT NULL AS contact_exists,
                   CASE WHEN gives_fields THEN
                        crm_deals_internal.import_merged(CASE WHEN gives_all_fields OR d.id IS NULL THEN coalesce(s.custom_fields, '{}') ELSE d.custom_fields END,
                                                 CASE WHEN s._fields IS NOT NULL THEN crm_deals_internal.import_fields(s._fields, p.owner) END)
                        WHEN d.id IS NULL THEN '{}' ELSE d.custom_fields END AS custom_fields
            FROM pg_temp._crm_deals_source AS s
            JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
            -- the deal that it is about: by its own external_id, else by that of one merged into it
            LEFT JOIN crm_deals.deal AS x ON x.external_id = s.external_id AND x.organization IS NOT DISTINCT FROM p.owner
            LEFT JOIN (SELECT DISTINCT ON (l.old_external_id, m.organization) l.old_external_id, m.organization, m.id
                       FROM crm_deals.deal_alias AS l JOIN crm_deals.deal AS m ON m.id = l.deal_id
                       WHERE l.old_external_id IS NOT NULL
                       ORDER BY l.old_external_id, m.organization, l.old_id DESC) AS l
                   ON x.id IS NULL AND l.old_external_id = s.external_id AND l.organization IS NOT DISTINCT FROM p.owner
            LEFT JOIN crm_deals.deal AS d ON d.id = coalesce(x.id, l.id)
            -- its stage: by key, by name, by id; else where it is; else where deals start
            LEFT JOIN crm_deals.stage AS k ON k.pipeline_id = coalesce(p.given_id, d.pipeline_id, p.default_id) AND k.key = s.stage
            LEFT JOIN (SELECT n.pipeline_id, n.name, (array_agg(n.id ORDER BY n.archived_at NULLS FIRST))[1] AS id,
                              count(*) FILTER (WHERE n.archived_at IS NULL) AS stages,
                              string_agg(n.key, ', ' ORDER BY n.position) FILTER (WHERE n.archived_at IS NULL) AS keys
                       FROM crm_deals.stage AS n GROUP BY n.pipeline_id, n.name) AS n
                   ON n.pipeline_id = coalesce(p.given_id, d.pipeline_id, p.default_id) AND n.name = s.stage
            LEFT JOIN crm_deals.stage AS i ON i.id::text = s.stage
            LEFT JOIN (SELECT DISTINCT ON (f.pipeline_id) f.pipeline_id, f.id
                       FROM crm_deals.stage AS f WHERE f.status = 'open' AND f.archived_at IS NULL
                       ORDER BY f.pipeline_id, f.position) AS f
                   ON f.pipeline_id = coalesce(p.given_id, d.pipeline_id, p.default_id)
            LEFT JOIN crm_deals.stage AS t
                   ON t.id = CASE WHEN s.stage IS NOT NULL THEN coalesce(k.id, n.id, i.id)
                                  WHEN s.stage_id IS NOT NULL THEN s.stage_id
                                  WHEN d.pipeline_id = coalesce(p.given_id, d.pipeline_id) THEN d.stage_id
                                  ELSE f.id END
            LEFT JOIN crm_deals.pipeline AS tp ON tp.id = t.pipeline_id
            LEFT JOIN pg_temp._crm_deals_accounts AS a
                   ON a.name = s.account AND a.organization IS NOT DISTINCT FROM coalesce(p.owner, p.searched)
            LEFT JOIN pg_temp._crm_deals_owners AS o ON o.name = s.owner
            LEFT JOIN crm_deals._account AS w ON gives_account AND w.id = s.account_id
            LEFT JOIN crm_deals._contact AS c ON gives_contact AND c.id = s.primary_contact_id
            LEFT JOIN (SELECT DISTINCT ON (h.external_id) h.external_id, h.lost_reason
                       FROM pg_temp._crm_deals_history AS h ORDER BY h.external_id, h.entered_at DESC) AS h
                   ON h.external_id = s.external_id
            WHERE chosen IS NULL OR s._row = ANY (chosen)) AS r
        ORDER BY r._row
        OFFSET 0) AS j;
    ANALYZE pg_temp._crm_deals_rows;
    PERFORM crm_deals_internal.import_find_twice(chosen);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_resolve(text[], boolean, bigint[]) IS
    'Internal: what is to be done with each row, or why it is refused.';

-- Of rows that mean one deal the first counts.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_twice(chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = concat_ws(E'\n', r._problem, format('Row %s has the same external_id.', f.first))
    FROM (SELECT t.external_id, t.organization, min(t._row) AS first
          FROM pg_temp._crm_deals_rows AS t
          WHERE t.external_id IS NOT NULL
          GROUP BY t.external_id, t.organization
          HAVING count(*) > 1) AS f
    WHERE r.external_id = f.external_id AND r.organization IS NOT DISTINCT FROM f.organization AND r._row > f.first
      AND (chosen IS NULL OR r._row = ANY (chosen));

    -- By different external_ids, after a merge.
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = concat_ws(E'\n', r._problem, format('Row %s is the same deal.', f.first))
    FROM (SELECT t.id, min(t._row) AS first
          FROM pg_temp._crm_deals_rows AS t
          WHERE NOT t._is_new
          GROUP BY t.id
          HAVING count(DISTINCT t.external_id) > 1) AS f
    WHERE NOT r._is_new AND r.id = f.id AND r._row > f.first AND r._problem IS NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_twice(bigint[]) IS
    'Internal: refuses rows that mean the deal of an earlier row.';

-- ----------
-- The history
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_history(history regclass) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    names text[];
    types text[];
BEGIN
    IF history IS NULL THEN
        CREATE TEMPORARY TABLE pg_temp._crm_deals_history (
            _row bigint, _problem text, external_id text, stage text, entered_at timestamptz,
            actor text, lost_reason text, amount numeric) ON COMMIT DROP;
        RETURN;
    END IF;
    SELECT array_agg(c.name), array_agg(c.type) INTO names, types FROM crm_deals_internal.import_history_columns() AS c;
    PERFORM crm_deals_internal.check_import_columns(history, names, ARRAY['external_id', 'stage', 'entered_at'], false);
    PERFORM crm_deals_internal.import_stage('_crm_deals_history', history, names, types);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_history(regclass) IS
    'Internal: a temporary copy of the history.';

-- Each row of the history is an event; the last one makes the deal what its source says.
-- access: write
CREATE FUNCTION crm_deals_internal.import_steps(given text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_steps ON COMMIT DROP AS
    SELECT e._row, e.id, e.step, e.is_last, e.stage_id, e.entered_at, e.actor,
           CASE WHEN e.is_last THEN coalesce(e.final_reason, e.lost_reason) ELSE e.lost_reason END AS lost_reason,
           CASE WHEN e.is_last OR NOT e.has_amounts AND e.step = 1 THEN coalesce(e.amount, e.final_amount) ELSE e.amount END AS amount,
           CASE WHEN e.is_last THEN e.closed_at END AS closed_at,
           CASE WHEN e.is_last THEN e.probability END AS probability,
           nullif(concat_ws(E'\n',
               e._problem,
               CASE WHEN e.stages > 1 THEN format('Stage "%s" of its history is ambiguous.', e.stage)
                    WHEN e.stage_id IS NULL THEN format('Stage "%s" of its history does not exist in its pipeline.', e.stage) END,
               CASE WHEN e.archived_at IS NOT NULL THEN format('Stage "%s" of its history is archived.', e.stage) END,
               CASE WHEN e.entered_at IS NULL THEN CASE WHEN e._problem IS NULL THEN 'A row of its history has no entered_at.' END
                    WHEN NOT isfinite(e.entered_at) THEN 'A date of its history is not finite.'
                    WHEN e.entered_at > clock_timestamp() THEN 'Its history goes on in the future.'
                    WHEN e.entered_at = e.previous_at THEN format('Its history has two rows of %s.', e.entered_at) END,
               CASE WHEN e.stage_id = e.previous_stage_id AND (e.amount IS NULL OR e.amount = e.previous_amount)
                    THEN format('Its history enters stage "%s" twice in a row.', e.stage) END,
               CASE WHEN e.amount < 0 OR e.amount >= 'Infinity' THEN 'An amount of its history is negative or not finite.' END,
               CASE WHEN e.status <> 'lost' AND e.lost_reason IS NOT NULL
                    THEN format('Stage "%s" of its history is not lost, yet has a lost reason.', e.stage)
                    WHEN e.status = 'lost' AND e.lost_reason_required AND NOT e.is_last AND e.lost_reason IS NULL
                    THEN format('Stage "%s" of its history needs a lost_reason.', e.stage) END,
               CASE WHEN e.is_last AND e.stage_id <> e.final_stage_id THEN 'Its history ends in another stage than the deal is in.' END,
               CASE WHEN e.is_last AND e.amount <> e.final_amount
                    THEN format('Its history ends with the amount %s, the deal has %s.', e.amount, e.final_amount) END), '') AS problem,
           e.is_known
    FROM (SELECT r._row, r.id, h._problem, h.stage, h.entered_at, h.actor, h.lost_reason, h.amount,
                 coalesce(k.id, n.id, i.id) AS stage_id, CASE WHEN k.id IS NULL THEN n.stages END AS stages,
                 t.status, t.archived_at, tp.lost_reason_required,
                 r.stage_id AS final_stage_id, r._lost_reason AS final_reason,
                 CASE WHEN 'amount' = ANY (given) THEN s.amount END AS final_amount, s.closed_at, s.probability,
                 row_number() OVER deal AS step, lead(h._row) OVER deal IS NULL AS is_last,
                 lag(h.entered_at) OVER deal AS previous_at, lag(coalesce(k.id, n.id, i.id)) OVER deal AS previous_stage_id,
                 lag(h.amount) OVER deal AS previous_amount, bool_or(h.amount IS NOT NULL) OVER (PARTITION BY r._row) AS has_amounts,
                 NOT r._is_new AND EXISTS (SELECT FROM crm_deals.deal_event AS v
                                           WHERE v.deal_id = r.id AND v.occurred_at = h.entered_at
                                             AND v.to_stage_id = coalesce(k.id, n.id, i.id)) AS is_known
          FROM pg_temp._crm_deals_history AS h
          JOIN pg_temp._crm_deals_rows AS r ON r.external_id = h.external_id
          JOIN pg_temp._crm_deals_source AS s ON s._row = r._row
          LEFT JOIN crm_deals.stage AS k ON k.pipeline_id = r.pipeline_id AND k.key = h.stage
          LEFT JOIN (SELECT n.pipeline_id, n.name, (array_agg(n.id ORDER BY n.archived_at NULLS FIRST))[1] AS id,
                            count(*) FILTER (WHERE n.archived_at IS NULL) AS stages
                     FROM crm_deals.stage AS n GROUP BY n.pipeline_id, n.name) AS n
                 ON n.pipeline_id = r.pipeline_id AND n.name = h.stage
          LEFT JOIN crm_deals.stage AS i ON i.id::text = h.stage AND i.pipeline_id = r.pipeline_id
          LEFT JOIN crm_deals.stage AS t ON t.id = coalesce(k.id, n.id, i.id)
          LEFT JOIN crm_deals.pipeline AS tp ON tp.id = r.pipeline_id
          WHERE r._problem IS NULL
          WINDOW deal AS (PARTITION BY r._row ORDER BY h.entered_at, h._row)) AS e;

    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = f.problem
    FROM (SELECT t._row, CASE WHEN bool_or(NOT q._is_new AND NOT t.is_known)
                              THEN 'The deal exists already: a history is imported along with a new one.'
                              ELSE string_agg(DISTINCT t.problem, E'\n') FILTER (WHERE q._is_new) END AS problem
          FROM pg_temp._crm_deals_steps AS t JOIN pg_temp._crm_deals_rows AS q ON q._row = t._row
          GROUP BY t._row) AS f
    WHERE r._row = f._row AND f.problem IS NOT NULL;

    -- What is in the log already has nothing to say.
    DELETE FROM pg_temp._crm_deals_steps AS t
    USING pg_temp._crm_deals_rows AS r
    WHERE r._row = t._row AND (r._problem IS NOT NULL OR NOT r._is_new);
    CREATE INDEX ON pg_temp._crm_deals_steps (step, _row);
    ANALYZE pg_temp._crm_deals_steps;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_steps(text[]) IS
    'Internal: the events of the history, and why a deal''s history is refused.';

-- ----------
-- Writing
-- ----------

-- Columns of the deal that only this database has.
-- access: write
CREATE FUNCTION crm_deals_internal.import_own_columns(given text[]) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(c.name), '{}')
    FROM crm_deals_internal.import_deal_columns() AS c
    WHERE c.name = ANY (given)
      AND c.name NOT IN ('organization', 'name', 'account_id', 'primary_contact_id', 'pipeline_id', 'stage_id', 'status',
                         'amount', 'currency', 'probability', 'expected_close_date', 'closed_at', 'lost_reason', 'owner',
                         'source', 'notes', 'custom_fields', 'external_id', 'stage_entered_at', 'created_at',
                         'pipeline', 'stage', 'account')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_own_columns(text[]) IS
    'Internal: the columns of the source that a user has added to deal.';

-- $1 to $2: the rows, $3: who did it. A deal with a history begins with its first event.
-- access: write
CREATE FUNCTION crm_deals_internal.import_insert(given text[], OUT columns text, OUT query text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(quote_ident(c.name), ', ' ORDER BY c.place),
           format('SELECT %s FROM pg_temp._crm_deals_rows AS r '
                  'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                  'LEFT JOIN pg_temp._crm_deals_steps AS f ON f._row = r._row AND f.step = 1 '
                  'WHERE r._row BETWEEN $1 AND $2 AND r._is_new AND r._problem IS NULL AND NOT r._again '
                  'AND f.actor IS NOT DISTINCT FROM $3 ORDER BY r._row',
                  string_agg(format('%s AS %I', c.value, c.name), ', ' ORDER BY c.place))
    FROM (SELECT v.place, v.name, v.value
          FROM (VALUES (1, 'id', 'r.id'), (2, 'external_id', 'r.external_id'), (3, 'name', 's.name'),
                       (4, 'pipeline_id', 'r.pipeline_id'), (5, 'stage_id', 'coalesce(f.stage_id, r.stage_id)'),
                       (6, 'account_id', 'r.account_id'), (7, 'primary_contact_id', 's.primary_contact_id'),
                       (8, 'amount', 'CASE WHEN f._row IS NULL THEN s.amount ELSE f.amount END'), (9, 'currency', 's.currency'),
                       (10, 'probability', 'CASE WHEN f._row IS NULL THEN s.probability ELSE f.probability END'),
                       (11, 'expected_close_date', 's.expected_close_date'),
                       (12, 'closed_at', 'CASE WHEN f._row IS NULL THEN s.closed_at ELSE f.closed_at END'),
                       (13, 'lost_reason', 'CASE WHEN f._row IS NULL THEN s.lost_reason ELSE f.lost_reason END'),
                       (14, 'owner', 'r.owner'), (15, 'source', 's.source'), (16, 'notes', 's.notes'),
                       (17, 'custom_fields', 'r.custom_fields'),
                       (18, 'stage_entered_at', 'CASE WHEN f._row IS NULL THEN s.stage_entered_at END'),
                       (19, 'created_at', 'coalesce(s.created_at, f.entered_at)'), (20, 'updated_at', 'f.entered_at')) AS v (place, name, value)
          UNION ALL
          SELECT 20 + o.place, o.name, format('s.%I', o.name)
          FROM unnest(crm_deals_internal.import_own_columns(given)) WITH ORDINALITY AS o (name, place)) AS c
$$;
COMMENT ON FUNCTION crm_deals_internal.import_insert(text[]) IS
    'Internal: the columns of new deals, and the query that gives them.';

-- What the source makes of each column of a deal that is there: a NULL clears what a deal can be without.
-- access: write
CREATE FUNCTION crm_deals_internal.import_assignments(given text[]) RETURNS TABLE (name text, value text, is_own boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT a.name, a.value, false
    FROM (VALUES ('name', 'name', 's.name'),
                 ('account', 'account_id', 'r.account_id'), ('account_id', 'account_id', 'r.account_id'),
                 ('primary_contact_id', 'primary_contact_id', 's.primary_contact_id'),
                 ('pipeline', 'pipeline_id', 'r.pipeline_id'), ('pipeline_id', 'pipeline_id', 'r.pipeline_id'),
                 ('stage', 'pipeline_id', 'r.pipeline_id'), ('stage_id', 'pipeline_id', 'r.pipeline_id'),
                 ('pipeline', 'stage_id', 'r.stage_id'), ('pipeline_id', 'stage_id', 'r.stage_id'),
                 ('stage', 'stage_id', 'r.stage_id'), ('stage_id', 'stage_id', 'r.stage_id'),
                 ('amount', 'amount', 's.amount'),
                 ('currency', 'currency', 'coalesce(s.currency, d.currency)'),
                 -- NULL ends an override
                 ('probability', 'probability', 'coalesce(s.probability, CASE WHEN NOT d.probability_overridden THEN d.probability END)'),
                 ('expected_close_date', 'expected_close_date', 's.expected_close_date'),
                 ('closed_at', 'closed_at', 'coalesce(s.closed_at, d.closed_at)'),
                 ('lost_reason', 'lost_reason', 's.lost_reason'),
                 ('owner', 'owner', 'r.owner'), ('source', 'source', 's.source'), ('notes', 'notes', 's.notes')) AS a (column_given, name, value)
    WHERE a.column_given = ANY (given)
    UNION ALL
    SELECT 'custom_fields', 'r.custom_fields', false
    WHERE EXISTS (SELECT FROM unnest(given) AS g (name) WHERE g.name ~ '^custom_fields')
    UNION ALL
    SELECT o.name, format('s.%I', o.name), true FROM unnest(crm_deals_internal.import_own_columns(given)) AS o (name)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_assignments(text[]) IS
    'Internal: the columns that the source sets in a deal that is there, and what to.';

-- $1 to $2: the rows. Deals that are so already are not touched. A column of the user's own may
-- have a type that knows no equality: its text does.
-- access: write
CREATE FUNCTION crm_deals_internal.import_update(given text[], OUT assignments text, OUT changes text, OUT query text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format('%I = %s', a.name, a.value), ', '),
           string_agg(format('%s AS %I', a.value, a.name), ', '),
           format('pg_temp._crm_deals_rows AS r JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                  'WHERE d.id = r.id AND r._row BETWEEN $1 AND $2 AND NOT r._is_new AND r._problem IS NULL AND NOT r._again AND (%s)',
                  string_agg(format(CASE WHEN a.is_own THEN 'd.%I::text IS DISTINCT FROM %s::text' ELSE 'd.%I IS DISTINCT FROM %s' END,
                                    a.name, a.value), ' OR '))
    FROM crm_deals_internal.import_assignments(given) AS a
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION crm_deals_internal.import_update(text[]) IS
    'Internal: what an import sets in deals that are there, and in which; NULL where the source says nothing of them.';

-- $1 to $2: the rows. An account that several rows name is made once.
-- access: write
CREATE FUNCTION crm_deals_internal.import_create_accounts(OUT "insert" text, OUT assign text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    name_column text;
    organization_column text;
    searched CONSTANT text := '(SELECT r._row, s.account AS name, r._account_organization AS organization '
        'FROM pg_temp._crm_deals_rows AS r '
        'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
        'WHERE r._row BETWEEN $1 AND $2 AND r._creates_account AND r._problem IS NULL AND NOT r._again) AS w';
    same text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host('account');
    name_column := host.columns ->> 'name';
    organization_column := host.columns ->> 'organization';
    IF name_column IS NULL THEN
        RAISE EXCEPTION 'accounts cannot be created in table %', host.host
            USING ERRCODE = '55000', DETAIL = 'It has no column for their name.',
                  HINT = 'Name it with install(columns => ''{"account": {"name": "company"}}'').';
    END IF;
    same := format('lower(btrim(t.%I::text)) = lower(w.name)', name_column)
            || CASE WHEN organization_column IS NULL THEN ''
                    ELSE format(' AND t.%I::text IS NOT DISTINCT FROM w.organization', organization_column) END;
    "insert" := format('INSERT INTO %1$s (%2$s) SELECT %3$s FROM (SELECT DISTINCT ON (lower(w.name), w.organization) w.name, w.organization FROM %4$s '
                       'ORDER BY lower(w.name), w.organization, w._row) AS w WHERE NOT EXISTS (SELECT FROM %1$s AS t WHERE %5$s)',
                       host.host, concat_ws(', ', quote_ident(name_column), quote_ident(organization_column)),
                       concat_ws(', ', 'w.name', CASE WHEN organization_column IS NOT NULL THEN 'w.organization' END), searched, same);
    assign := format('UPDATE pg_temp._crm_deals_rows AS r SET account_id = t.%I FROM %s JOIN %s AS t ON %s WHERE r._row = w._row',
                     host.key_column, searched, host.host, same);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_create_accounts() IS
    'Internal: the statements that create the accounts that are missing, and name them in the rows.';

-- What a trigger of the user's or row security let pass by is said.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_suppressed(low bigint, high bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = 'A trigger or row security suppressed the row.'
    WHERE r._row BETWEEN low AND high AND r._problem IS NULL AND r._is_new AND NOT r._again
      AND NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = r.id);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_suppressed(bigint, bigint) IS
    'Internal: marks new rows that were not written.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_write_new(job jsonb, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    who text;
    written bigint;
    total bigint := 0;
BEGIN
    FOR who IN SELECT NULL UNION SELECT f.actor FROM pg_temp._crm_deals_steps AS f WHERE f.step = 1 AND f._row BETWEEN low AND high LOOP
        PERFORM crm_deals_internal.import_as(who);
        EXECUTE job ->> 'insert' USING low, high, who;
        GET DIAGNOSTICS written = ROW_COUNT;
        total := total + written;
    END LOOP;
    PERFORM crm_deals_internal.import_as(NULL);
    IF total < (SELECT count(*) FROM pg_temp._crm_deals_rows AS r
                WHERE r._row BETWEEN low AND high AND r._is_new AND r._problem IS NULL AND NOT r._again) THEN
        PERFORM crm_deals_internal.import_find_suppressed(low, high);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_new(jsonb, bigint, bigint) IS
    'Internal: writes the new deals of a range of rows.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_write_changes(job jsonb, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    expected bigint;
    written bigint;
BEGIN
    EXECUTE job ->> 'differs' INTO expected USING low, high;
    IF expected > 0 THEN
        EXECUTE job ->> 'update' USING low, high;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written < expected THEN
            UPDATE pg_temp._crm_deals_rows AS r
            SET _problem = 'A trigger or row security suppressed the change.'
            FROM crm_deals.deal AS d
            WHERE r._row BETWEEN low AND high AND d.id = r.id AND NOT r._is_new AND r._problem IS NULL AND NOT r._again
              AND d.version = r._version;
        END IF;
        -- A closing time or probability that a deal had before it moved is no statement of the UPDATE that moves it;
        -- it is one of the source.
        IF (job ->> 'gives_stamps')::boolean THEN
            EXECUTE job ->> 'update' USING low, high;
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_changes(jsonb, bigint, bigint) IS
    'Internal: changes the deals that are there of a range of rows.';

-- The events after the first: the next one of all deals at once, but for who did it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write_history(low bigint, high bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    next record;
BEGIN
    FOR next IN SELECT DISTINCT f.step, f.actor FROM pg_temp._crm_deals_steps AS f
                WHERE f.step > 1 AND f._row BETWEEN low AND high ORDER BY f.step, f.actor LOOP
        PERFORM crm_deals_internal.import_as(next.actor);
        UPDATE crm_deals.deal AS d
        SET stage_id = f.stage_id,
            updated_at = f.entered_at,
            amount = coalesce(f.amount, d.amount),
            lost_reason = coalesce(f.lost_reason, d.lost_reason),
            closed_at = coalesce(f.closed_at, d.closed_at),
            probability = coalesce(f.probability, d.probability)
        FROM pg_temp._crm_deals_steps AS f
        JOIN pg_temp._crm_deals_rows AS r ON r._row = f._row
        WHERE d.id = r.id AND f.step = next.step AND f.actor IS NOT DISTINCT FROM next.actor
          AND r._row BETWEEN low AND high AND r._problem IS NULL AND NOT r._again;
    END LOOP;
    PERFORM crm_deals_internal.import_as(NULL);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_history(bigint, bigint) IS
    'Internal: the events of the history after those that create the deals, of a range of rows.';

-- An error that is not about a row: no other row would fare better.
-- access: write
CREATE FUNCTION crm_deals_internal.import_is_fatal(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT left(state, 2) IN ('25', '40', '53', '57', '58', 'XX') OR state = '55P03'
           OR left(state, 2) = '42' AND state <> '42501'
$$;
COMMENT ON FUNCTION crm_deals_internal.import_is_fatal(text) IS
    'Internal: whether an error has nothing to do with the row that was written.';

-- One more attempt for a row whose external_id another session has just written, and who finds it now.
-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse(chosen bigint, problem text, is_taken boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _again = is_taken AND r._is_new,
        _problem = CASE WHEN NOT (is_taken AND r._is_new) THEN problem END
    WHERE r._row = chosen AND r._problem IS NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse(bigint, text, boolean) IS
    'Internal: keeps why a row could not be written.';

-- Which rows break a rule, by the code that enforces them: asked only when the write has failed, as it costs
-- more than the write. It finds what it can; deals whose account is still to be made are not asked.
-- access: write
CREATE FUNCTION crm_deals_internal.import_judge(job jsonb, low bigint, high bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mark CONSTANT text := 'UPDATE pg_temp._crm_deals_rows AS r SET _problem = j.why FROM (%s) AS j '
        'WHERE r.id = j.id AND r._row BETWEEN $1 AND $2 AND r._problem IS NULL AND j.why IS NOT NULL '
        'AND NOT (r._creates_account AND r.account_id IS NULL)';
    gates boolean := job ->> 'gates';
    who text;
    found_now bigint;
    found_bad bigint := 0;
BEGIN
    FOR who IN SELECT NULL UNION SELECT f.actor FROM pg_temp._crm_deals_steps AS f WHERE f.step = 1 AND f._row BETWEEN low AND high LOOP
        EXECUTE format(mark, job ->> 'judge_new') USING low, high, who, gates;
        GET DIAGNOSTICS found_now = ROW_COUNT;
        found_bad := found_bad + found_now;
    END LOOP;
    IF job ? 'judge_changes' THEN
        EXECUTE format(mark, job ->> 'judge_changes') USING low, high, NULL::text, gates;
        GET DIAGNOSTICS found_now = ROW_COUNT;
        found_bad := found_bad + found_now;
    END IF;
    RETURN found_bad > 0;
EXCEPTION WHEN OTHERS THEN
    IF crm_deals_internal.import_is_fatal(SQLSTATE) THEN
        RAISE;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge(jsonb, bigint, bigint) IS
    'Internal: finds rows that break a rule; whether there were any.';

-- Which rows are refused as duplicates, as if they came one after the other. Of few rows halving finds them sooner:
-- this reads every deal. Renames make place for earlier rows only where they are written: that, too, is left to it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_judge_names(low bigint, high bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    few CONSTANT bigint := 16;
    lowest real := (SELECT min(p.duplicate_threshold)
                    FROM pg_temp._crm_deals_rows AS r JOIN crm_deals.pipeline AS p ON p.id = r.pipeline_id
                    WHERE r._row BETWEEN low AND high AND r._problem IS NULL AND p.duplicate_policy = 'reject');
    renamed bigint[];
    moved bigint[];
BEGIN
    IF lowest IS NULL OR high - low < few THEN
        RETURN false;
    END IF;
    SELECT coalesce(array_agg(d.id ORDER BY d.id) FILTER (WHERE r._writes_name), '{}'),
           coalesce(array_agg(d.id ORDER BY d.id) FILTER (WHERE r.stage_id <> d.stage_id OR r._creates_account
                                                          OR r.account_id IS DISTINCT FROM d.account_id), '{}')
    INTO renamed, moved
    FROM pg_temp._crm_deals_rows AS r JOIN crm_deals.deal AS d ON d.id = r.id
    WHERE r._row BETWEEN low AND high AND r._problem IS NULL AND NOT r._is_new AND NOT r._again;

    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = format(E'deal "%s" looks like a duplicate\n%s', s.name,
                          CASE WHEN l.id IS NULL THEN format('Pipeline "%s" refuses names whose similarity with another deal''s is %s or more.',
                                                             p.name, p.duplicate_threshold)
                               ELSE format('Deal %s is named "%s": the similarity is %s, and pipeline "%s" refuses from %s on.',
                                           l.id, l.name, l.similarity, p.name, p.duplicate_threshold) END)
    FROM (SELECT f.row_number, f.similarity, coalesce(o.id, w.id) AS id, coalesce(o.name, v.name) AS name
          FROM crm_deals_internal.import_similar(low, high, lowest, renamed, moved) AS f
          LEFT JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
          LEFT JOIN pg_temp._crm_deals_rows AS w ON w._row = f.other_row
          LEFT JOIN pg_temp._crm_deals_source AS v ON v._row = f.other_row) AS l,
         pg_temp._crm_deals_source AS s, crm_deals.pipeline AS p
    WHERE r._row = l.row_number AND s._row = r._row AND p.id = r.pipeline_id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge_names(bigint, bigint) IS
    'Internal: finds rows that are refused as duplicates; whether there were any.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_write_range(job jsonb, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF job ? 'create_accounts' THEN
        EXECUTE job ->> 'create_accounts' USING low, high;
        EXECUTE job ->> 'assign_accounts' USING low, high;
    END IF;
    PERFORM crm_deals_internal.import_write_new(job, low, high);
    PERFORM crm_deals_internal.import_write_history(low, high);
    IF job ? 'update' THEN
        PERFORM crm_deals_internal.import_write_changes(job, low, high);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_range(jsonb, bigint, bigint) IS
    'Internal: writes a range of rows, all or none.';

-- All at once; what fails is judged, and where that is not enough halved until the rows that cannot be written stand alone.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write(job jsonb, low bigint, high bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state text;
    message text;
    detail text;
    constraint_name text;
    judged boolean := false;
    middle bigint;
BEGIN
    IF low > high THEN
        RETURN;
    END IF;
    BEGIN
        PERFORM crm_deals_internal.import_write_range(job, low, high);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                                constraint_name = CONSTRAINT_NAME;
        IF crm_deals_internal.import_is_fatal(state) THEN
            RAISE;
        END IF;
    END;
    IF (job ->> 'may_judge')::boolean THEN
        job := job || '{"may_judge": false}';
        judged := crm_deals_internal.import_judge(job, low, high);
    END IF;
    IF judged OR low < high AND state = '23505' AND constraint_name = 'deal_duplicate' THEN
        -- Names are judged for this attempt: where it fails, too, an earlier row may go that others were like.
        BEGIN
            IF crm_deals_internal.import_judge_names(low, high) OR judged THEN
                PERFORM crm_deals_internal.import_write_range(job, low, high);
                RETURN;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            IF crm_deals_internal.import_is_fatal(SQLSTATE) THEN
                RAISE;
            END IF;
        END;
    END IF;
    IF low = high THEN
        PERFORM crm_deals_internal.import_refuse(low, concat_ws(E'\n', message, nullif(detail, '')),
                                         state = '23505' AND constraint_name = 'deal_external_id' AND (job ->> 'may_repeat')::boolean);
    ELSE
        middle := low + (high - low) / 2;
        PERFORM crm_deals_internal.import_write(job, low, middle);
        PERFORM crm_deals_internal.import_write(job, middle + 1, high);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write(jsonb, bigint, bigint) IS
    'Internal: writes a range of rows, without those that cannot be written.';

-- ----------
-- The call
-- ----------

-- Neither a leftover nor a call from within: the names are ours until the end.
-- access: write
CREATE FUNCTION crm_deals_internal.import_check_free() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken text;
BEGIN
    SELECT string_agg(format('pg_temp.%I', c.relname), ', ')
    INTO taken
    FROM pg_class AS c
    WHERE c.relnamespace = pg_my_temp_schema()
      AND c.relname IN ('_crm_deals_source', '_crm_deals_history', '_crm_deals_pipelines', '_crm_deals_accounts',
                        '_crm_deals_owners', '_crm_deals_rows', '_crm_deals_steps');
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'names that import_deals needs are taken: %', taken
            USING ERRCODE = '55006', DETAIL = 'They are free unless an import is at work in this session.',
                  HINT = 'Drop or rename temporary tables of these names.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_free() IS
    'Internal: refuses an import within an import, and temporary tables of its names.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_rights() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (has_any_column_privilege('crm_deals.deal', 'INSERT') AND has_any_column_privilege('crm_deals.deal', 'UPDATE')) THEN
        RAISE EXCEPTION 'permission denied to import deals' USING ERRCODE = '42501';
    END IF;
    IF current_setting('session_replication_role') = 'replica' THEN
        RAISE EXCEPTION 'deals cannot be imported while session_replication_role is replica'
            USING ERRCODE = '55000', DETAIL = 'The triggers that derive and log what is imported are off.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_rights() IS
    'Internal: who may not write deals is told so once, not for each row.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_job(given text[], create_accounts boolean, gates boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    job jsonb;
    accounts record;
BEGIN
    SELECT jsonb_build_object(
               'insert', format('INSERT INTO crm_deals.deal (%s) %s', n.columns, n.query),
               'judge_new', format('SELECT n.id, crm_deals_internal.why_not(NULL::crm_deals.deal, jsonb_populate_record(NULL::crm_deals.deal, to_jsonb(n)), $4) AS why '
                                   'FROM (%s) AS n', n.query),
               'may_repeat', true, 'may_judge', true, 'gates', gates,
               'gives_stamps', given && ARRAY['closed_at', 'probability'])
           || CASE WHEN u.query IS NULL THEN '{}' ELSE jsonb_build_object(
               'update', format('UPDATE crm_deals.deal AS d SET %s FROM %s', u.assignments, u.query),
               'differs', format('SELECT count(*) FROM crm_deals.deal AS d, %s', u.query),
               'judge_changes', format('SELECT d.id, crm_deals_internal.why_not(d, jsonb_populate_record(d, to_jsonb((SELECT c FROM (SELECT %s) AS c))), $4) AS why '
                                       'FROM crm_deals.deal AS d, %s', u.changes, u.query)) END
    INTO job
    FROM crm_deals_internal.import_insert(given) AS n
    LEFT JOIN crm_deals_internal.import_update(given) AS u ON true;
    IF create_accounts AND 'account' = ANY (given) THEN
        SELECT * INTO accounts FROM crm_deals_internal.import_create_accounts();
        job := job || jsonb_build_object('create_accounts', accounts."insert", 'assign_accounts', accounts.assign);
    END IF;
    RETURN job;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_job(text[], boolean, boolean) IS
    'Internal: the statements of an import.';

-- Rows that another session made an update of the insert that they were are resolved once more.
-- access: write
CREATE FUNCTION crm_deals_internal.import_repeat(given text[], create_accounts boolean, job jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    chosen bigint[] := ARRAY(SELECT r._row FROM pg_temp._crm_deals_rows AS r WHERE r._again ORDER BY r._row);
BEGIN
    IF chosen <> '{}' THEN
        DELETE FROM pg_temp._crm_deals_rows AS r WHERE r._again;
        PERFORM crm_deals_internal.import_lock();
        PERFORM crm_deals_internal.import_resolve(given, create_accounts, chosen);
        UPDATE pg_temp._crm_deals_rows AS r
        SET _problem = 'The deal exists already: a history is imported along with a new one.'
        WHERE r._row = ANY (chosen) AND NOT r._is_new AND r._problem IS NULL
          AND EXISTS (SELECT FROM pg_temp._crm_deals_steps AS f WHERE f._row = r._row);
        DELETE FROM pg_temp._crm_deals_steps AS f
        USING pg_temp._crm_deals_rows AS r
        WHERE r._row = f._row AND r._row = ANY (chosen) AND NOT r._is_new;
        FOR i IN 1 .. cardinality(chosen) LOOP
            PERFORM crm_deals_internal.import_write(job || '{"may_repeat": false}', chosen[i], chosen[i]);
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_repeat(text[], boolean, jsonb) IS
    'Internal: the second attempt of rows that met another session''s.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_result()
RETURNS TABLE (row_number bigint, external_id text, outcome text, deal_id bigint, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- Copies: what a temporary table keeps out of line goes with it.
    RETURN QUERY
    SELECT r._row, r.external_id || '',
           CASE WHEN r._problem IS NOT NULL THEN 'rejected'
                WHEN u.similar IS NOT NULL THEN 'flagged'
                WHEN r._is_new THEN 'created'
                WHEN d.version > r._version THEN 'updated'
                ELSE 'unchanged' END,
           CASE WHEN r._problem IS NULL OR NOT r._is_new THEN r.id END,
           left(coalesce(r._problem, u.similar), 4000)
    FROM pg_temp._crm_deals_rows AS r
    LEFT JOIN crm_deals.deal AS d ON NOT r._is_new AND d.id = r.id
    -- a renamed deal may be the other one of a flag that was there
    LEFT JOIN LATERAL (SELECT string_agg(format('Similar to deal %s, "%s".', o.id, o.name), E'\n' ORDER BY f.similarity DESC, o.id) AS similar
                       FROM (SELECT f.other_deal_id AS id, f.similarity FROM crm_deals.deal_duplicate AS f
                             WHERE f.deal_id = r.id AND f.resolution = 'open'
                             UNION ALL
                             SELECT f.deal_id, f.similarity FROM crm_deals.deal_duplicate AS f
                             WHERE f.other_deal_id = r.id AND f.resolution = 'open' AND NOT r._is_new) AS f
                       JOIN crm_deals.deal AS o ON o.id = f.id
                       WHERE r._problem IS NULL AND r._writes_name AND (r._is_new OR d.version > r._version)) AS u ON true
    ORDER BY r._row;

    RETURN QUERY
    SELECT NULL::bigint, h.external_id || '', 'rejected', NULL::bigint, 'The source has no row of this external_id, only the history has.'
    FROM pg_temp._crm_deals_history AS h
    WHERE NOT EXISTS (SELECT FROM pg_temp._crm_deals_rows AS r WHERE r.external_id = h.external_id)
    GROUP BY h.external_id
    ORDER BY h.external_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_result() IS
    'Internal: the outcome of each row.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_deals(source regclass, history regclass, gates boolean, create_accounts boolean)
RETURNS TABLE (row_number bigint, external_id text, outcome text, deal_id bigint, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    names text[];
    types text[];
    given text[];
    job jsonb;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.import_check_rights();
    PERFORM crm_deals_internal.import_check_free();
    SELECT array_agg(c.name), array_agg(c.type) INTO names, types FROM crm_deals_internal.import_deal_columns() AS c;
    PERFORM crm_deals_internal.check_import_columns(source, names, '{}', true);
    given := ARRAY(SELECT c.name FROM crm_deals_internal.import_columns(source, names, types) AS c);
    PERFORM crm_deals_internal.check_import_references(given);
    create_accounts := coalesce(create_accounts, false);
    job := crm_deals_internal.import_job(given, create_accounts, coalesce(gates, false));

    PERFORM crm_deals_internal.import_stage('_crm_deals_source', source, names, types);
    PERFORM crm_deals_internal.import_history(history);
    PERFORM crm_deals_internal.enter_as_writer();
    PERFORM crm_deals_internal.import_pipelines();
    PERFORM crm_deals_internal.import_names('account');
    PERFORM crm_deals_internal.import_names('owner');
    PERFORM crm_deals_internal.import_rows_table();
    PERFORM crm_deals_internal.import_lock();
    PERFORM crm_deals_internal.import_resolve(given, create_accounts, NULL);
    PERFORM crm_deals_internal.import_steps(given);
    PERFORM crm_deals_internal.import_write(job, 1, (SELECT coalesce(max(s._row), 0) FROM pg_temp._crm_deals_source AS s));
    PERFORM crm_deals_internal.import_repeat(given, create_accounts, job);
    RETURN QUERY SELECT r.row_number, r.external_id, r.outcome, r.deal_id, r.detail FROM crm_deals_internal.import_result() AS r;
    DROP TABLE pg_temp._crm_deals_source, pg_temp._crm_deals_history, pg_temp._crm_deals_pipelines, pg_temp._crm_deals_accounts,
               pg_temp._crm_deals_owners, pg_temp._crm_deals_rows, pg_temp._crm_deals_steps;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_deals(regclass, regclass, boolean, boolean) IS
    'Internal: import_deals() in its context.';
