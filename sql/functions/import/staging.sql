-- Copies the source and the history into temporary tables and converts their columns to our types.

-- A text that looks as a program writes it needs no attempt that can fail, hence no subtransaction.
-- access: write
CREATE FUNCTION crm_deals_internal.try_cast(value text, INOUT kind anyelement)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a_day CONSTANT text := '[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])';
    a_time CONSTANT text := '([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?';
    a_zone CONSTANT text := 'Z|[+-](0[0-9]|1[0-3])(:?[0-5][0-9])?';
    plain CONSTANT text := CASE pg_typeof(kind)::text
        WHEN 'numeric' THEN '^[+-]?[0-9]{1,100}([.][0-9]{1,100})?$'
        WHEN 'bigint' THEN '^[+-]?[0-9]{1,18}$'
        WHEN 'integer' THEN '^[+-]?[0-9]{1,9}$'
        WHEN 'text' THEN ''
        WHEN 'date' THEN format('^%s$', a_day)
        WHEN 'timestamp with time zone' THEN format('^%s([ T]%s(%s)?)?$', a_day, a_time, a_zone)
        WHEN 'crm_deals.deal_status' THEN '^(open|won|lost|abandoned)$'
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
    'Internal: returns a text as a value of another type, or NULL if it is no such value.';

-- It is an expression and no function: a function that sets its search_path costs microseconds a row.
-- access: write
CREATE FUNCTION crm_deals_internal.import_filled(column_name text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT format(E'nullif(btrim(s.%I::text, E'' \\t\\r\\n''), '''')', column_name) $$;
COMMENT ON FUNCTION crm_deals_internal.import_filled(text) IS
    'Internal: returns the expression that trims a column of the source; it is NULL if nothing is left.';

-- Only free texts keep their blanks. A "careful" expression is NULL if a value cannot be converted; any other fails.
-- access: write
CREATE FUNCTION crm_deals_internal.import_expression(name text, type text, source_type text, careful boolean)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN source_type IS NULL THEN format('NULL::%s', type)
        WHEN type = 'text' AND name IN ('pipeline', 'stage', 'account', 'owner', 'organization', 'currency',
                                        'lost_reason', 'actor') THEN filled.value
        WHEN type = 'text' AND name = 'external_id' THEN
            format('CASE WHEN %s IS NOT NULL THEN s.%I::text END', filled.value, name)
        WHEN type = 'text' THEN format('s.%I::text', name)
        WHEN type = source_type THEN format('s.%I', name)
        -- A text between the two could name its time zone by letters that have another meaning here.
        WHEN source_type ~ '^(date|timestamp)' AND type ~ '^(date|timestamp)' THEN format('s.%I::%s', name, type)
        WHEN careful THEN format('crm_deals_internal.try_cast(%s, NULL::%s)', filled.value, type)
        ELSE format('%s::%s', filled.value, type) END
    FROM crm_deals_internal.import_filled(name) AS filled (value)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_expression(text, text, text, boolean) IS
    'Internal: returns the expression that converts a column of the source.';

-- A NULL of the source becomes a JSON null. A function takes a hundred arguments at most: hence the chunks.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fields_expression(names text[], are_texts boolean[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(c.object, ' || '), 'NULL::jsonb')
    FROM (SELECT format('jsonb_build_object(%s)', string_agg(f.pair, ', ')) AS object
          FROM (SELECT f.place, format('%L, %s', substr(f.name, length('custom_fields.') + 1),
                                       CASE WHEN f.is_text THEN crm_deals_internal.import_filled(f.name)
                                            ELSE format('to_jsonb(s.%I)', f.name) END) AS pair
                FROM unnest(names, are_texts) WITH ORDINALITY AS f (name, is_text, place)) AS f
          GROUP BY f.place / 40) AS c
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fields_expression(text[], boolean[]) IS
    'Internal: returns the expression that gathers the columns custom_fields.KEY in one object.';

-- "c.x" is the converted column x, "c._raw.x" its text.
-- access: write
CREATE FUNCTION crm_deals_internal.import_type_problem(name text, type text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('CASE WHEN c.%1$I IS NULL AND c.%2$I IS NOT NULL THEN format(%3$L, left(c.%2$I, 100)) END',
                  name, '_raw.' || name, format('%s "%%s" is not of type %s.', replace(name, '%', '%%'), type))
$$;
COMMENT ON FUNCTION crm_deals_internal.import_type_problem(text, text) IS
    'Internal: returns the expression that says why a value could not be converted.';

-- The query returns all columns that we know; those that the source lacks are NULL. Its column _place is the same in
-- rows that say the same of their pipeline.
-- access: write
CREATE FUNCTION crm_deals_internal.import_query(source regclass, names text[], types text[], careful boolean)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    converted text;
    staged text;
    raw text;
    problems text;
    fields text;
BEGIN
    SELECT string_agg(format('%s AS %I', w.expression, w.name), ', ' ORDER BY w.place),
           string_agg(format('c.%I', w.name), ', ' ORDER BY w.place),
           string_agg(format(', %s AS %I', crm_deals_internal.import_filled(w.name), '_raw.' || w.name), '')
               FILTER (WHERE w.can_fail),
           string_agg(crm_deals_internal.import_type_problem(w.name, w.type), ', ' ORDER BY w.place)
               FILTER (WHERE w.can_fail)
    INTO converted, staged, raw, problems
    FROM (SELECT k.name, k.type, k.place, careful AND k.type NOT IN ('text', g.source_type) AS can_fail,
                 crm_deals_internal.import_expression(k.name, k.type, g.source_type, careful) AS expression
          FROM unnest(names, types) WITH ORDINALITY AS k (name, type, place)
          LEFT JOIN crm_deals_internal.import_columns(source, names, types) AS g ON g.name = k.name) AS w;

    SELECT crm_deals_internal.import_fields_expression(array_agg(g.name), array_agg(g.is_text))
    INTO fields
    FROM crm_deals_internal.import_columns(source, names, types) AS g
    WHERE g.name <> ALL (names);

    RETURN format('SELECT c._row, %s AS _problem, %s, c._fields%s '
                  'FROM (SELECT row_number() OVER () AS _row, %s%s, %s AS _fields FROM %s AS s OFFSET 0) AS c',
                  coalesce(E'nullif(concat_ws(E''\\n'', ' || problems || '), '''')', 'NULL::text'), staged,
                  CASE WHEN 'pipeline' = ANY (names)
                       THEN ', format(''%L %L %L'', c.pipeline, c.pipeline_id, c.organization) AS _place' END,
                  converted, raw, fields, source);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_query(regclass, text[], text[], boolean) IS
    'Internal: returns the query that reads and converts a table to import; a careful one names wrong values.';

-- Rows get their numbers in the order in which a plain scan finds them. The first query converts quickly. If it
-- fails, the second one converts value by value.
-- access: write
CREATE FUNCTION crm_deals_internal.import_stage(staging text, source regclass, names text[], types text[])
RETURNS void
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
    'Internal: makes a temporary copy of a table to import, with our types.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_stage_history(history regclass) RETURNS void
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
    SELECT array_agg(c.name), array_agg(c.type)
    INTO names, types
    FROM crm_deals_internal.import_history_columns() AS c;
    PERFORM crm_deals_internal.import_check_columns(history, names, ARRAY['external_id', 'stage', 'entered_at'], false);
    PERFORM crm_deals_internal.import_stage('_crm_deals_history', history, names, types);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stage_history(regclass) IS
    'Internal: makes a temporary copy of the history, or an empty one.';
