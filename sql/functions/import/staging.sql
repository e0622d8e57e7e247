-- Copies a source into a temporary table and converts its columns to our types: import_stage() does it for any table
-- that import_known_columns() describes.

-- A text that looks as a program writes it needs no attempt that can fail, hence no subtransaction.
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

-- ----------
-- Values
-- ----------

-- The query that stages a source has three levels. "s" is the source. "r" has its values: texts without what surrounds
-- them, and values that are taken as they are. "c" has our types, and the texts for messages. All of it is expressions,
-- and no functions: a function that sets its search_path costs microseconds a row.

-- Says whether values of this type are numbers, or dates, already. What JSON holds is known only of each value.
-- access: write
CREATE FUNCTION crm_deals_internal.import_is_exact(reading text, source_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN reading = 'number' THEN source_type ~ '^(numeric|bigint|integer|smallint|real|double|money|oid)'
                WHEN reading IN ('day', 'moment', 'closing') THEN source_type ~ '^(date|timestamp)'
                WHEN reading = 'field' THEN source_type !~ '^(value|text|character|citext|name)'
                ELSE false END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_is_exact(text, text) IS
    'Internal: says whether values of this type are taken as they are.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_raw(name text, type text, reading text, source_type text, value text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN source_type = 'value' THEN
            format(CASE reading
                   WHEN 'number' THEN 'CASE WHEN jsonb_typeof(%1$s) <> ''number'' '
                                      'THEN crm_deals_internal.import_text((%1$s) #>> ''{}'') END AS %2$I, %1$s AS %3$I'
                   WHEN 'text' THEN 'CASE WHEN crm_deals_internal.import_text((%1$s) #>> ''{}'') IS NOT NULL '
                                    'THEN (%1$s) #>> ''{}'' END AS %2$I, %1$s AS %3$I'
                   ELSE 'crm_deals_internal.import_text((%1$s) #>> ''{}'') AS %2$I, %1$s AS %3$I' END,
                   value, name, '_json.' || name)
        WHEN crm_deals_internal.import_is_exact(reading, source_type) OR reading = 'cast' AND type = source_type
        THEN format('%s AS %I', value, name)
        WHEN reading = 'text'
        THEN format('CASE WHEN crm_deals_internal.import_text(%1$s::text) IS NOT NULL THEN %1$s::text END AS %2$I',
                    value, name)
        ELSE format('crm_deals_internal.import_text(%s::text) AS %I', value, name) END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_raw(text, text, text, text, text) IS
    'Internal: returns the expressions that take a value out of the source.';

-- "read" is the expression of a text of ours. A "careful" conversion is NULL if it fails; any other is quicker.
-- access: write
CREATE FUNCTION crm_deals_internal.import_cast(read text, type text, careful boolean) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(CASE WHEN careful AND type <> 'numeric' THEN 'crm_deals_internal.try_cast((%s)::text, NULL::%s)'
                       ELSE '(%s)::%s' END, read, type)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_cast(text, text, boolean) IS
    'Internal: returns the expression that converts a text to a type.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_converted_date(raw text, type text, reading text, source_type text,
                                                         date_format text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN source_type = 'date' AND reading = 'closing' THEN format('(%s + time ''12:00'')::%s', raw, type)
        WHEN crm_deals_internal.import_is_exact(reading, source_type) THEN format('%s::%s', raw, type)
        WHEN reading = 'day' THEN format('crm_deals_internal.import_day(%s, %L)', raw, date_format)
        ELSE format('crm_deals_internal.import_moment(%s, %L, %s)::%s', raw, date_format,
                    CASE reading WHEN 'closing' THEN 12 ELSE 0 END, type) END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_converted_date(text, text, text, text, text) IS
    'Internal: returns the expression that converts a value to a day or a moment.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_converted_number(raw text, json text, type text, source_type text,
                                                           careful boolean, formats jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN type = source_type THEN raw
        WHEN source_type = 'money' THEN format('%s::numeric::%s', raw, type)
        WHEN crm_deals_internal.import_is_exact('number', source_type) THEN
            crm_deals_internal.import_cast(raw || '::text', type, careful)
        ELSE crm_deals_internal.import_cast(
            format(CASE WHEN source_type = 'value'
                        THEN 'coalesce(crm_deals_internal.import_number(%1$s, %2$L, %3$L), '
                             'CASE WHEN jsonb_typeof(%4$s) = ''number'' THEN %4$s #>> ''{}'' END)'
                        ELSE 'crm_deals_internal.import_number(%1$s, %2$L, %3$L)' END,
                   raw, coalesce(formats ->> 'decimal', '.'), formats ->> 'thousands', json), type, careful) END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_converted_number(text, text, text, text, boolean, jsonb) IS
    'Internal: returns the expression that converts a value to a number.';

-- "raw" and "json" are expressions of the value.
-- access: write
CREATE FUNCTION crm_deals_internal.import_converted_value(raw text, json text, type text, reading text,
                                                          source_type text, careful boolean, formats jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN reading IN ('name', 'text') THEN format('%s::%s', raw, type)
        WHEN reading = 'code' THEN format('upper(%s)', raw)
        WHEN reading = 'number' THEN
            crm_deals_internal.import_converted_number(raw, json, type, source_type, careful, formats)
        WHEN reading IN ('day', 'moment', 'closing') THEN
            crm_deals_internal.import_converted_date(raw, type, reading, source_type, formats ->> 'date')
        WHEN reading = 'field' AND source_type = 'value' THEN
            format('CASE WHEN jsonb_typeof(%2$s) = ''string'' THEN to_jsonb(%1$s) ELSE %2$s END', raw, json)
        WHEN reading = 'field' THEN format('to_jsonb(%s)', raw)
        WHEN type = source_type THEN raw
        WHEN source_type = 'value' AND type = 'jsonb' THEN
            format('CASE WHEN jsonb_typeof(%s) = ''string'' THEN %s WHEN %s IS NOT NULL THEN %s END',
                   json, crm_deals_internal.import_cast(raw, type, careful), raw, json)
        ELSE crm_deals_internal.import_cast(raw, type, careful) END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_converted_value(text, text, text, text, text, boolean, jsonb) IS
    'Internal: returns the expression that converts a value to our type.';

-- A custom field of a type becomes JSON afterwards; what cannot be converted stays a text there.
-- access: write
CREATE FUNCTION crm_deals_internal.import_converted(name text, type text, reading text, source_type text,
                                                    ambiguity text, careful boolean, formats jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN reading = 'number' AND source_type = 'value' AND ambiguity IS NOT NULL
             AND name NOT LIKE 'custom_fields.%' THEN
            crm_deals_internal.import_converted_value('NULL', v.json, type, reading, source_type, careful, formats)
        WHEN ambiguity IS NOT NULL THEN format('NULL::%s', type)
        WHEN name LIKE 'custom_fields.%' AND reading <> 'field' THEN
            format('coalesce(to_jsonb(%s), %s)',
                   crm_deals_internal.import_converted_value(
                       v.raw, v.json, CASE reading WHEN 'number' THEN 'numeric' ELSE 'date' END, reading, source_type,
                       careful, formats),
                   CASE WHEN source_type = 'value' THEN v.json ELSE format('to_jsonb(%s)', v.raw) END)
        ELSE crm_deals_internal.import_converted_value(v.raw, v.json, type, reading, source_type, careful, formats) END
    FROM (SELECT format('r.%I', name), format('r.%I', '_json.' || name)) AS v (raw, json)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_converted(text, text, text, text, text, boolean, jsonb) IS
    'Internal: returns the expression that converts a column of the source.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_value_problem(name text, type text, reading text, source_type text,
                                                        ambiguity text, formats jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN ambiguity IS NOT NULL THEN format('CASE WHEN c.%I IS NOT NULL THEN %L END', '_raw.' || name, ambiguity)
        WHEN source_type = 'value' AND reading NOT IN ('field', 'cast') THEN
            format('CASE WHEN jsonb_typeof(c.%1$I) IN (''object'', ''array'') THEN %2$L WHEN %3$s THEN %4$s END',
                   '_json.' || name, v.label || ' is not a single value.', v.fails, v.message)
        ELSE format('CASE WHEN %s THEN %s END', v.fails, v.message) END
    FROM (SELECT l.label, format('c.%I IS NULL AND c.%I IS NOT NULL', name, '_raw.' || name) AS fails,
                 format('format(%L, left(c.%I::text, 100))',
                        format(CASE WHEN reading = 'number' THEN '%s "%%s" cannot be read as a number%s.'
                                    WHEN reading IN ('day', 'moment', 'closing')
                                    THEN '%s "%%s" cannot be read as a date%s.'
                                    ELSE '%s "%%s" is not of type ' || type || '.' END,
                               replace(l.label, '%', '%%'),
                               coalesce(' with formats => ' || quote_literal(nullif(l.formats, '{}')), '')),
                        '_raw.' || name) AS message
          FROM (SELECT ltrim(name, '_'),
                       jsonb_strip_nulls(CASE reading WHEN 'number' THEN formats - '{date,time_zone}'::text[]
                                                           ELSE formats - '{decimal,thousands,time_zone}'::text[] END)
               ) AS l (label, formats)) AS v
$$;
COMMENT ON FUNCTION crm_deals_internal.import_value_problem(text, text, text, text, text, jsonb) IS
    'Internal: returns the expression that says why a value could not be converted.';

-- ----------
-- The query
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_from(source regclass) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN source IS NOT NULL THEN format('%s AS s', source)
                ELSE '(SELECT CASE WHEN jsonb_typeof(e.value) = ''object'' THEN e.value END AS _value '
                     'FROM jsonb_array_elements($1) AS e (value)) AS s' END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_from(regclass) IS
    'Internal: returns what a staging query reads: the source, or the rows that stand in its place, $1.';

-- "columns" are those of import_columns(). Each format that is not given is judged over all texts of a column. Adds to
-- the columns why their texts are ambiguous. A custom field's text that no format reads stays a text: the rules refuse
-- its row alone.
-- access: write
CREATE FUNCTION crm_deals_internal.import_judge_formats(source regclass, rows jsonb, columns jsonb,
                                                        formats jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    judged record;
    query text;
    example text;
    example_row bigint;
    readings integer;
BEGIN
    FOR judged IN
        SELECT c.place, c.name, c.reading,
               crm_deals_internal.import_raw(c.name, c.type, c.reading, c.source_type, c.value) AS raw,
               format('crm_deals_internal.import_%s_readings(r.%I)',
                      CASE c.reading WHEN 'number' THEN 'number' ELSE 'moment' END, c.name) AS readings
        FROM (SELECT c.place - 1 AS place, d.*
              FROM jsonb_array_elements(columns) WITH ORDINALITY AS c (value, place),
                   jsonb_to_record(c.value)
                       AS d (name text, type text, reading text, source_type text, value text)) AS c
        WHERE CASE WHEN c.reading = 'number' THEN formats ->> 'decimal' IS NULL
                   ELSE c.reading IN ('day', 'moment', 'closing') AND formats ->> 'date' IS NULL END
          AND NOT crm_deals_internal.import_is_exact(c.reading, c.source_type)
    LOOP
        query := format('FROM (SELECT row_number() OVER () AS _row, %s FROM %s OFFSET 0) AS r',
                        judged.raw, crm_deals_internal.import_from(source));
        EXECUTE format('SELECT bit_and(%s) %s', judged.readings, query)
                || CASE WHEN judged.name LIKE 'custom_fields.%' THEN format(' WHERE %s <> 0', judged.readings)
                        ELSE '' END
        INTO readings
        USING rows;
        IF readings & 1 = 0 THEN
            EXECUTE format('SELECT r._row, r.%I %s WHERE %s & 1 = 0 ORDER BY r._row LIMIT 1',
                           judged.name, query, judged.readings)
            INTO example_row, example
            USING rows;
            columns := jsonb_set(columns, ARRAY[judged.place::text, 'ambiguity'],
                to_jsonb(crm_deals_internal.import_ambiguity(ltrim(judged.name, '_'), judged.reading, example,
                                                             example_row, readings)));
        END IF;
    END LOOP;
    RETURN columns;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge_formats(regclass, jsonb, jsonb, jsonb) IS
    'Internal: finds columns whose texts are ambiguous without a format.';

-- A NULL of the source becomes a JSON null. A function takes a hundred arguments at most: hence the chunks.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fields_expression(names text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(c.object, ' || '), 'NULL::jsonb')
    FROM (SELECT format('jsonb_build_object(%s)',
                        string_agg(format('%L, c.%I', substr(f.name, length('custom_fields.') + 1), f.name), ', '))
                     AS object
          FROM unnest(names) WITH ORDINALITY AS f (name, place)
          GROUP BY f.place / 40) AS c
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fields_expression(text[]) IS
    'Internal: returns the expression that gathers the columns custom_fields.KEY in one object.';

-- A column that the source lacks is NULL. A closing time has a flag beside it that says whether it was a mere day.
-- access: write
CREATE FUNCTION crm_deals_internal.import_staged_columns(entity text, columns jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(CASE WHEN columns @> jsonb_build_array(jsonb_build_object('name', k.name))
                           THEN format('c.%I', k.name) ELSE format('NULL::%s AS %I', k.type, k.name) END
                      || CASE WHEN k.reading <> 'closing' THEN ''
                              WHEN columns @> jsonb_build_array(jsonb_build_object('name', k.name))
                              THEN format(', c.%I', '_is_day.' || k.name)
                              ELSE format(', false AS %I', '_is_day.' || k.name) END, ', ')
    FROM crm_deals_internal.import_known_columns(entity) AS k
$$;
COMMENT ON FUNCTION crm_deals_internal.import_staged_columns(text, jsonb) IS
    'Internal: lists all columns that a source can have, for the staging query.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_is_day(name text, source_type text, date_format text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(CASE WHEN source_type = 'date' THEN '(r.%1$I IS NOT NULL) AS %2$I'
                       WHEN source_type ~ '^timestamp' THEN 'false AS %2$I'
                       ELSE '(crm_deals_internal.import_moment(r.%1$I, %3$L, 0) '
                            '<> crm_deals_internal.import_moment(r.%1$I, %3$L, 1)) IS TRUE AS %2$I' END,
                  name, '_is_day.' || name, date_format)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_is_day(text, text, text) IS
    'Internal: returns the expression that says whether a closing time is a mere day.';

-- Rows with one _place say the same of their pipeline.
-- access: write
CREATE FUNCTION crm_deals_internal.import_place(columns jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(', format(''%%L %%L %%L'', %s) AS _place',
                  string_agg(CASE WHEN columns @> jsonb_build_array(jsonb_build_object('name', p.name))
                                  THEN format('c.%I', p.name) ELSE 'NULL' END, ', '))
    FROM unnest(ARRAY['pipeline', 'pipeline_id', 'organization']) AS p (name)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_place(jsonb) IS
    'Internal: returns the expression of what a row says of its pipeline.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_query(entity text, source regclass, columns jsonb, formats jsonb,
                                                careful boolean) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    listed record;
BEGIN
    SELECT string_agg(', ' || crm_deals_internal.import_raw(c.name, c.type, c.reading, c.source_type, c.value), '')
               AS raw,
           string_agg(format(', %s AS %I', crm_deals_internal.import_converted(
                                 c.name, c.type, c.reading, c.source_type, c.ambiguity, careful, formats), c.name)
                      || CASE WHEN c.may_fail THEN format(', r.%I AS %I', c.name, '_raw.' || c.name) ELSE '' END
                      || CASE WHEN c.may_fail AND c.source_type = 'value' THEN format(', r.%I', '_json.' || c.name)
                              ELSE '' END
                      || CASE WHEN c.reading <> 'closing' THEN ''
                              ELSE ', ' || crm_deals_internal.import_is_day(c.name, c.source_type, formats ->> 'date')
                              END,
                      '') AS converted,
           string_agg(', ' || crm_deals_internal.import_value_problem(
                          c.name, c.type, c.reading, c.source_type, c.ambiguity, formats), '')
               FILTER (WHERE c.may_fail) AS problems,
           array_agg(c.name) FILTER (WHERE c.name LIKE 'custom_fields.%') AS fields
    INTO listed
    FROM (SELECT d.*, CASE WHEN d.source_type = 'value'
                           THEN d.name NOT LIKE 'custom_fields.%' OR d.ambiguity IS NOT NULL
                           WHEN crm_deals_internal.import_is_exact(d.reading, d.source_type) THEN careful
                           WHEN d.reading = 'cast' THEN careful AND d.type <> d.source_type
                           WHEN d.name LIKE 'custom_fields.%' THEN d.ambiguity IS NOT NULL
                           ELSE d.reading IN ('number', 'day', 'moment', 'closing') END AS may_fail
          FROM jsonb_to_recordset(columns) AS d (name text, type text, reading text, source_type text, value text,
                                                 ambiguity text)) AS c;
    RETURN format('SELECT c._row, nullif(array_to_string(ARRAY[%s%s]::text[], chr(10)), '''') AS _problem, %s, '
                  '%s AS _fields%s FROM (SELECT r._row%s%s FROM (SELECT row_number() OVER () AS _row%s%s FROM %s '
                  'OFFSET 0) AS r OFFSET 0) AS c',
                  CASE WHEN source IS NULL THEN 'CASE WHEN NOT c._is_object THEN ''The row is not an object.'' END'
                       ELSE 'NULL' END,
                  listed.problems, crm_deals_internal.import_staged_columns(entity, columns),
                  crm_deals_internal.import_fields_expression(listed.fields),
                  CASE entity WHEN 'deal' THEN crm_deals_internal.import_place(columns) END,
                  CASE WHEN source IS NULL THEN ', r._is_object' END, listed.converted,
                  CASE WHEN source IS NULL THEN ', s._value IS NOT NULL AS _is_object' END, listed.raw,
                  crm_deals_internal.import_from(source));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_query(text, regclass, jsonb, jsonb, boolean) IS
    'Internal: returns the query that reads and converts a source; a careful one names wrong values.';

-- ----------
-- Staging
-- ----------

-- "also" has columns beside those of the source: {"_closed_at_from": "Close Date"}. Its values are headers or columns.
-- access: write
CREATE FUNCTION crm_deals_internal.import_listed_columns(entity text, source regclass, rows jsonb, columns jsonb,
                                                         also jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    listed jsonb;
    added jsonb;
    missing text;
BEGIN
    PERFORM crm_deals_internal.import_check_columns(entity, source, rows, columns);
    SELECT coalesce(jsonb_agg(to_jsonb(c.*)), '[]')
    INTO listed
    FROM crm_deals_internal.import_columns(entity, source, rows, columns) AS c;

    SELECT jsonb_agg(jsonb_build_object('name', a.key, 'type', k.type, 'reading', k.reading,
                                        'source_type', m.type, 'value', m.value)) FILTER (WHERE m.type IS NOT NULL),
           string_agg(format('"%s"', a.value), ', ') FILTER (WHERE m.type IS NULL)
    INTO added, missing
    FROM jsonb_each_text(also) AS a
    JOIN crm_deals_internal.import_known_columns(entity) AS k ON k.name = a.key
    LEFT JOIN LATERAL (SELECT m.type, m.value
                       FROM crm_deals_internal.import_meanings(entity, source, rows, columns) AS m
                       WHERE m.name = a.value
                          OR crm_deals_internal.import_header(m.header) = crm_deals_internal.import_header(a.value)
                       ORDER BY m.header = a.value DESC, m.name = a.value DESC, m.place LIMIT 1) AS m ON true
    WHERE a.value IS NOT NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the source has no column %', missing
            USING ERRCODE = '42703', DETAIL = 'Argument closed_at_from names a column of the source.';
    END IF;
    RETURN listed || coalesce(added, '[]');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_listed_columns(text, regclass, jsonb, jsonb, jsonb) IS
    'Internal: returns the columns of a source that are imported, as an array of objects.';

-- Makes the temporary table "staging" of a source, or of the array "rows". It has all columns that the entity can have,
-- and _row, _problem and _fields. Returns the columns that the source has.
--
-- Rows get their numbers in the order in which a plain scan finds them. The first query converts quickly. If it fails,
-- the second one converts value by value. "formats" comes from import_formats().
-- access: write
CREATE FUNCTION crm_deals_internal.import_stage(staging text, entity text, source regclass, rows jsonb, columns jsonb,
                                                formats jsonb, also jsonb DEFAULT NULL) RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET synchronize_seqscans = off
SET max_parallel_workers_per_gather = 0
SET default_statistics_target = 10
AS $$
#variable_conflict use_variable
DECLARE
    callers_zone CONSTANT text := current_setting('TimeZone');
    listed jsonb := crm_deals_internal.import_listed_columns(entity, source, rows, columns, also);
BEGIN
    PERFORM set_config('TimeZone', formats ->> 'time_zone', true);
    listed := crm_deals_internal.import_judge_formats(source, rows, listed, formats);
    BEGIN
        EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS %s', staging,
                       crm_deals_internal.import_query(entity, source, listed, formats, false)) USING rows;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR SQLSTATE '0A000' THEN
        EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS %s', staging,
                       crm_deals_internal.import_query(entity, source, listed, formats, true)) USING rows;
    END;
    PERFORM set_config('TimeZone', callers_zone, true);
    EXECUTE format('CREATE INDEX ON pg_temp.%I (_row)', staging);
    EXECUTE format('ANALYZE pg_temp.%I', staging);
    RETURN ARRAY(SELECT c.value ->> 'name' FROM jsonb_array_elements(listed) AS c);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stage(text, text, regclass, jsonb, jsonb, jsonb, jsonb) IS
    'Internal: makes a temporary copy of a source, with our types; returns the columns that the source has.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_stage_history(history regclass, columns jsonb, formats jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given text[];
    missing text;
BEGIN
    IF history IS NULL THEN
        CREATE TEMPORARY TABLE pg_temp._crm_deals_history (
            _row bigint, _problem text, external_id text, organization text, stage text, entered_at timestamptz,
            position numeric, actor text, lost_reason text, amount numeric) ON COMMIT DROP;
        RETURN;
    END IF;
    given := crm_deals_internal.import_stage('_crm_deals_history', 'history', history, NULL,
                                             crm_deals_internal.import_history_mapping(columns), formats);
    SELECT string_agg(w.name, ', ')
    INTO missing
    FROM unnest(ARRAY['external_id', 'stage', 'entered_at']) AS w (name)
    WHERE w.name <> ALL (given);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % lacks columns: %', history, missing USING ERRCODE = '42703';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stage_history(regclass, jsonb, jsonb) IS
    'Internal: makes a temporary copy of the history, or an empty one.';
