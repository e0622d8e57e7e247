-- The arguments that boards, forecasts and reports share: a pipeline, a filter, a grouping. Filter and grouping become
-- pieces of SQL over a row of deal called d. Values get into them only as literals that format() quotes. Values are
-- judged before they get there, by functions that are called in expressions: so an error names the argument, and its
-- CONTEXT shows no SQL.

-- access: read
CREATE FUNCTION crm_deals_internal.pipeline_in(organization text, pipeline text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN pipeline_in.pipeline IS NULL
                THEN coalesce((SELECT p.id FROM crm_deals.pipeline AS p
                               WHERE p.is_default AND p.organization = pipeline_in.organization),
                              (SELECT p.id FROM crm_deals.pipeline AS p
                               WHERE p.is_default AND p.organization IS NULL))
                ELSE coalesce((SELECT p.id FROM crm_deals.pipeline AS p
                               WHERE p.name = pipeline_in.pipeline AND p.organization = pipeline_in.organization),
                              (SELECT p.id FROM crm_deals.pipeline AS p
                               WHERE p.name = pipeline_in.pipeline AND p.organization IS NULL),
                              (SELECT p.id FROM crm_deals.pipeline AS p
                               WHERE p.id = CASE WHEN pipeline_in.pipeline ~ '^[0-9]{1,18}$'
                                                 THEN pipeline_in.pipeline::bigint END)) END
$$;
COMMENT ON FUNCTION crm_deals_internal.pipeline_in(text, text) IS
    'Internal: finds a pipeline by name in an organization, then system-wide, then by its id as text. NULL finds the '
    'default pipeline. Returns NULL if there is none.';

-- access: read
CREATE FUNCTION crm_deals_internal.find_pipeline(pipeline text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    IF pipeline IS NOT NULL THEN
        found_id := crm_deals_internal.pipeline_in(nullif(current_setting('crm_deals.organization', true), ''),
                                                   pipeline);
        IF found_id IS NULL THEN
            found_id := crm_deals_internal.raise_unknown_pipeline(pipeline);    -- PERFORM would show SQL in CONTEXT
        END IF;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.find_pipeline(text) IS
    'Internal: finds a pipeline for the session, or raises an error. NULL finds NULL.';

-- access: read
CREATE FUNCTION crm_deals_internal.default_pipeline() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint := crm_deals_internal.pipeline_in(
        nullif(current_setting('crm_deals.organization', true), ''), NULL);
BEGIN
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'there is no default pipeline'
            USING ERRCODE = 'P0002', HINT = 'Name a pipeline, or make one the default.';
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.default_pipeline() IS
    'Internal: returns the default pipeline of the session''s organization, else the system''s, or raises an error.';

-- access: read
CREATE FUNCTION crm_deals_internal.organization_of(pipeline_id bigint) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF pipeline_id IS NULL THEN
        RETURN nullif(current_setting('crm_deals.organization', true), '');
    END IF;
    RETURN (SELECT p.organization FROM crm_deals.pipeline AS p WHERE p.id = pipeline_id);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.organization_of(bigint) IS
    'Internal: returns the organization whose custom fields count: the pipeline''s, or the session''s if there is no '
    'pipeline.';

-- access: read
CREATE FUNCTION crm_deals_internal.deal_field(key text, organization text, OUT type text, OUT options jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    SELECT f.type, f.options
    INTO type, options
    FROM crm_deals.custom_field AS f
    WHERE f.entity = 'deal' AND f.key = deal_field.key
      AND (f.organization = deal_field.organization OR f.organization IS NULL)
    ORDER BY f.organization NULLS LAST
    LIMIT 1;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deal_field(text, text) IS
    'Internal: returns type and options of a custom field of deals, NULL if it is not defined.';

-- No index has a deal's pipeline or status. Both follow from the stage, so deals are found by their stages, archived
-- ones included.
-- access: read
CREATE FUNCTION crm_deals_internal.stages_of(pipeline_id bigint, statuses text[] DEFAULT NULL) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN ARRAY(SELECT s.id
                 FROM crm_deals.stage AS s
                 WHERE (pipeline_id IS NULL OR s.pipeline_id = stages_of.pipeline_id)
                   AND (statuses IS NULL OR s.status::text = ANY (statuses)));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stages_of(bigint, text[]) IS
    'Internal: returns the stages of a pipeline, or of all, also by status. Deals are found by them.';

-- Filter ---------------------------------------------------------------------

-- It is called in expressions. PERFORM would show its text in CONTEXT.
-- access: read
CREATE FUNCTION crm_deals_internal.refuse_filter(problem text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%', problem
        USING ERRCODE = '22023',
              HINT = 'A filter is an object with owner, account_id, contact_id, source, status, id, stage, pipeline, '
                     'currency, lost_reason (a value or an array), amount {min, max}, expected_close_date, '
                     'created_at, closed_at {from, to}, overdue (true or false), text, '
                     'custom_fields {key: value}. null means deals without a value.';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.refuse_filter(text) IS
    'Internal: raises the error of a filter that is not understood.';

-- access: read
CREATE FUNCTION crm_deals_internal.refuse_value(key text, accepted text, given jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN crm_deals_internal.refuse_filter(
        format('filter %s must be %s, not %s', key, accepted,
               CASE WHEN length(given::text) > 60 THEN left(given::text, 60) || '...' ELSE given::text END));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.refuse_value(text, text, jsonb) IS
    'Internal: raises the error of a value that a filter does not take.';

-- access: read
CREATE FUNCTION crm_deals_internal.column_type(expression text) RETURNS oid
LANGUAGE sql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT a.atttypid
    FROM pg_attribute AS a
    WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND format('d.%I', a.attname) = expression
$$;
COMMENT ON FUNCTION crm_deals_internal.column_type(text) IS
    'Internal: returns the type of an expression that is a column of a deal d, else NULL.';

-- The keys of host tables are integers, UUIDs or texts. A column of another type is compared as text.
-- access: read
CREATE FUNCTION crm_deals_internal.fits(value text, type oid) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN
                    CASE WHEN value ~ '^[+-]?[0-9]{1,19}$'
                         THEN abs(value::numeric) <= CASE type WHEN 'int2'::regtype THEN 32767
                                                               WHEN 'int4'::regtype THEN 2147483647
                                                               ELSE 9223372036854775807 END
                         ELSE false END
                WHEN type = 'uuid'::regtype THEN value ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                ELSE true END
$$;
COMMENT ON FUNCTION crm_deals_internal.fits(text, oid) IS
    'Internal: says whether a text can be a value of a type of keys.';

-- The values of a key, which is of a column of that type; of a custom field if the type is NULL.
-- access: read
CREATE FUNCTION crm_deals_internal.wanted_values(key text, wanted jsonb, type oid) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given jsonb := CASE jsonb_typeof(wanted) WHEN 'array' THEN wanted ELSE jsonb_build_array(wanted) END;
    given_values text[];
    odd jsonb;
BEGIN
    SELECT array_agg(e.value #>> '{}'),
           (array_agg(e.value) FILTER (WHERE jsonb_typeof(e.value) IN ('object', 'array')
                                          OR (type IS NOT NULL AND jsonb_typeof(e.value) = 'boolean')
                                          OR (e.value <> 'null'
                                              AND NOT crm_deals_internal.fits(e.value #>> '{}', type))))[1]
    INTO given_values, odd
    FROM jsonb_array_elements(given) AS e (value);
    IF odd IS NOT NULL THEN
        RETURN crm_deals_internal.refuse_value(
            key, CASE WHEN type IS NULL THEN 'a value'
                      WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'an integer'
                      WHEN type = 'uuid'::regtype THEN 'a UUID'
                      ELSE 'a text' END || ', null, or an array of these', odd);
    END IF;
    RETURN coalesce(given_values, '{}');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.wanted_values(text, jsonb, oid) IS
    'Internal: returns the values of a key of a filter as texts.';

-- A null among the values means deals without a value.
-- access: read
CREATE FUNCTION crm_deals_internal.one_of(expression text, wanted text[]) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given_values text[] := array_remove(wanted, NULL);
BEGIN
    RETURN format('(%s)', concat_ws(' OR ',
        CASE cardinality(given_values) WHEN 0 THEN 'false'
                                       WHEN 1 THEN format('%s = %L', expression, given_values[1])
                                       ELSE format('%s = ANY (%L)', expression, given_values) END,
        CASE WHEN array_position(wanted, NULL) IS NOT NULL THEN format('%s IS NULL', expression) END));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.one_of(text, text[]) IS
    'Internal: returns the condition that an expression is one of the values.';

-- access: read
CREATE FUNCTION crm_deals_internal.column_condition(column_name text, key text, wanted jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
DECLARE
    expression text := format('d.%I', column_name);
    type oid := crm_deals_internal.column_type(expression);
BEGIN
    RETURN crm_deals_internal.one_of(
        CASE WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype, 'text'::regtype)
             THEN expression ELSE expression || '::text' END,
        crm_deals_internal.wanted_values(key, wanted, type));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.column_condition(text, text, jsonb) IS
    'Internal: returns the condition that a column of a deal is one of the values of a filter.';

-- No cast, since a text that is no day would fail in it with an error that does not name the filter.
-- access: read
CREATE FUNCTION crm_deals_internal.day_of(given text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.part[3]::integer <= extract(day FROM p.first + interval '1 month' - interval '1 day')
                THEN p.first + p.part[3]::integer - 1 END
    FROM (SELECT m.part, make_date(m.part[1]::integer, m.part[2]::integer, 1) AS first
          FROM regexp_match(given, '^(?!0000)([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$') AS m (part)
          WHERE m.part IS NOT NULL
          OFFSET 0) AS p
$$;
COMMENT ON FUNCTION crm_deals_internal.day_of(text) IS
    'Internal: returns the day that a text of the form YYYY-MM-DD names, else NULL.';

-- Days are of the session's time zone, and both ends are inclusive. An end that is NULL is open.
-- access: read
CREATE FUNCTION crm_deals_internal.within_days(expression text, from_day date, to_day date) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(nullif(concat_ws(' AND ',
        CASE WHEN isfinite(from_day) THEN format('%s >= %L::date', expression, from_day) END,
        CASE WHEN to_day = '5874897-12-31' THEN format('%s IS NOT NULL', expression) -- no day comes after it
             WHEN isfinite(to_day) THEN format('%s < %L::date', expression, to_day + 1) END), ''), 'true')
$$;
COMMENT ON FUNCTION crm_deals_internal.within_days(text, date, date) IS
    'Internal: returns the condition that a date or a moment is in a range of days.';

-- access: read
CREATE FUNCTION crm_deals_internal.check_range(from_date date, to_date date) RETURNS date
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF from_date > to_date THEN
        RAISE EXCEPTION 'from_date % is after to_date %', to_char(from_date, 'YYYY-MM-DD'),
                        to_char(to_date, 'YYYY-MM-DD')
            USING ERRCODE = '22023', HINT = 'Both days are part of the range; for one day give it twice.';
    ELSIF greatest(nullif(from_date, 'infinity'), nullif(to_date, 'infinity')) > '294276-12-30' THEN
        RAISE EXCEPTION 'the range of days is out of bounds'
            USING ERRCODE = '22023', HINT = 'Leave out an end that is not needed.';
    END IF;
    RETURN from_date;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_range(date, date) IS
    'Internal: returns the first day of a range, or raises an error if the range has no days.';

-- A range of amounts has min and max, one of days has from and to. Both ends are inclusive, and each may be missing.
-- access: read
CREATE FUNCTION crm_deals_internal.one_range(expression text, key text, given jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    days CONSTANT boolean := key <> 'amount';
    ends CONSTANT text[] := CASE WHEN days THEN ARRAY['from', 'to'] ELSE ARRAY['min', 'max'] END;
    bounds CONSTANT text[] := ARRAY[given ->> ends[1], given ->> ends[2]];
BEGIN
    IF given = 'null' THEN
        RETURN expression || ' IS NULL';
    ELSIF jsonb_typeof(given) <> 'object' OR given - ends <> '{}'
          OR jsonb_path_exists(given, '$.* ? (@.type() != $type && @.type() != "null")',
                               jsonb_build_object('type', CASE WHEN days THEN 'string' ELSE 'number' END))
          OR (days AND (SELECT bool_or(crm_deals_internal.day_of(b.bound) IS NULL)
                        FROM unnest(bounds) AS b (bound) WHERE b.bound IS NOT NULL)) THEN
        RETURN crm_deals_internal.refuse_value(
            key, CASE WHEN days THEN '{"from": day, "to": day} with days as YYYY-MM-DD'
                      ELSE '{"min": number, "max": number}' END || ', null, or an array of these', given);
    ELSIF days THEN
        RETURN crm_deals_internal.within_days(expression, crm_deals_internal.day_of(bounds[1]),
                                              crm_deals_internal.day_of(bounds[2]));
    END IF;
    RETURN concat_ws(' AND ', 'true', expression || ' >= ' || quote_literal(bounds[1]),
                     expression || ' <= ' || quote_literal(bounds[2]));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.one_range(text, text, jsonb) IS
    'Internal: returns the condition that an expression is in a range of a filter.';

-- access: read
CREATE FUNCTION crm_deals_internal.in_ranges(expression text, key text, wanted jsonb) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('(%s)', coalesce(string_agg(crm_deals_internal.one_range(expression, key, e.value), ' OR '),
                                   'false'))
    FROM jsonb_array_elements(CASE jsonb_typeof(wanted) WHEN 'array' THEN wanted
                                                        ELSE jsonb_build_array(wanted) END) AS e (value)
$$;
COMMENT ON FUNCTION crm_deals_internal.in_ranges(text, text, jsonb) IS
    'Internal: returns the condition that an expression is in one of the ranges of a filter.';

-- access: read
CREATE FUNCTION crm_deals_internal.field_condition(key text, wanted jsonb, organization text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field_type text := (crm_deals_internal.deal_field(key, organization)).type;
    given_values text[] := crm_deals_internal.wanted_values('custom_fields.' || key, wanted, NULL);
    of_none text := CASE WHEN array_position(given_values, NULL) IS NOT NULL
                         THEN format(' OR d.custom_fields ->> %L IS NULL', key) END;
BEGIN
    IF field_type = 'multiselect' THEN
        RETURN format('(d.custom_fields -> %1$L ?| %2$L::text[]%3$s%4$s)', key, array_remove(given_values, NULL),
                      of_none, CASE WHEN of_none IS NOT NULL
                                    THEN format(' OR d.custom_fields -> %L = ''[]''', key) END);
    ELSIF field_type = 'number' AND NOT jsonb_path_exists(wanted,
                                                          '$[*] ? (@.type() != "number" && @.type() != "null")') THEN
        -- A value that is no number was stored before the field was defined.
        RETURN format('(jsonb_typeof(d.custom_fields -> %1$L) = ''number'' AND %2$s%3$s)', key,
                      crm_deals_internal.one_of(format('(d.custom_fields ->> %L)::numeric', key),
                                                array_remove(given_values, NULL)),
                      of_none);
    END IF;
    RETURN crm_deals_internal.one_of(format('(d.custom_fields ->> %L)', key), given_values);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.field_condition(text, jsonb, text) IS
    'Internal: returns the condition of a filter on a custom field, in the words of its index.';

-- access: read
CREATE FUNCTION crm_deals_internal.fields_condition(wanted jsonb, organization text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(crm_deals_internal.field_condition(f.key, f.value, organization), ' AND '), 'true')
    FROM jsonb_each(wanted) AS f
$$;
COMMENT ON FUNCTION crm_deals_internal.fields_condition(jsonb, text) IS
    'Internal: returns the condition of a filter on custom fields.';

-- access: read
CREATE FUNCTION crm_deals_internal.pipelines_called(wanted text[]) RETURNS bigint[]
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(crm_deals_internal.find_pipeline(w.name)), '{}')
    FROM unnest(wanted) AS w (name)
    WHERE w.name IS NOT NULL
$$;
COMMENT ON FUNCTION crm_deals_internal.pipelines_called(text[]) IS
    'Internal: returns the pipelines that texts mean, or raises an error.';

-- A text means a stage of each pipeline: by key, else by name, else by a label. Digits that mean none are an id.
-- Writers look stages up in the same way, in their cache (src/config/stage_lookup.c).
-- access: read
CREATE FUNCTION crm_deals_internal.stages_called(wanted text[], pipelines bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_ids bigint[];
    unknown text;
BEGIN
    WITH called AS (
        SELECT c.name, s.id, c.rank, min(c.rank) OVER (PARTITION BY c.name, s.pipeline_id) AS best_here,
               min(c.rank) OVER (PARTITION BY c.name) AS best
        FROM crm_deals.stage AS s,
             LATERAL (VALUES (s.key, 1), (s.name, 2), (s.id::text, 4)
                      UNION ALL
                      SELECT l.value, 3 FROM jsonb_each_text(s.labels) AS l) AS c (name, rank)
        WHERE pipelines IS NULL OR s.pipeline_id = ANY (pipelines)
    )
    SELECT array_agg(DISTINCT c.id), min(w.name) FILTER (WHERE c.id IS NULL)
    INTO found_ids, unknown
    FROM unnest(wanted) AS w (name)
    LEFT JOIN called AS c ON c.name = w.name AND c.rank = c.best_here AND (c.rank < 4 OR c.best = 4);
    IF unknown IS NOT NULL THEN
        unknown := crm_deals_internal.raise_unknown_stage(unknown, CASE cardinality(pipelines)
                                                                   WHEN 1 THEN pipelines[1] END);
    END IF;
    RETURN coalesce(array_remove(found_ids, NULL), '{}');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stages_called(text[], bigint[]) IS
    'Internal: returns the stages that texts mean, in some pipelines or in all, or raises an error.';

-- access: read
CREATE FUNCTION crm_deals_internal.status_condition(wanted jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statuses text[] := crm_deals_internal.wanted_values('status', wanted, 'text'::regtype);
BEGIN
    IF NOT statuses <@ ARRAY['open', 'won', 'lost', 'abandoned'] THEN
        RETURN crm_deals_internal.refuse_value('status', 'open, won, lost or abandoned, or an array of these', wanted);
    END IF;
    RETURN crm_deals_internal.one_of('d.status', statuses);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.status_condition(jsonb) IS
    'Internal: returns the condition of a filter on the status.';

-- The stages that the keys stage and pipeline leave. pipeline_id is the pipeline that the caller asks for, or NULL.
-- access: read
CREATE FUNCTION crm_deals_internal.stage_condition(filter jsonb, pipeline_id bigint) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pipelines bigint[] := CASE WHEN pipeline_id IS NOT NULL THEN ARRAY[pipeline_id] END;
    stages bigint[];
BEGIN
    IF filter ? 'pipeline' THEN
        pipelines := crm_deals_internal.pipelines_called(
            crm_deals_internal.wanted_values('pipeline', filter -> 'pipeline', 'text'::regtype));
        stages := ARRAY(SELECT s.id FROM crm_deals.stage AS s WHERE s.pipeline_id = ANY (pipelines));
    END IF;
    IF filter ? 'stage' AND pipelines IS DISTINCT FROM '{}' THEN
        stages := crm_deals_internal.stages_called(
            array_remove(crm_deals_internal.wanted_values('stage', filter -> 'stage', 'text'::regtype), NULL),
            pipelines);
    END IF;
    RETURN format('d.stage_id = ANY (%L)', stages);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stage_condition(jsonb, bigint) IS
    'Internal: returns the condition of a filter on stage and pipeline.';

-- access: read
CREATE FUNCTION crm_deals_internal.key_condition(key text, wanted jsonb, organization text, today date) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE
    WHEN key IN ('id', 'owner', 'account_id', 'primary_contact_id', 'source', 'lost_reason') THEN
        RETURN crm_deals_internal.column_condition(key, key, wanted);
    WHEN key = 'contact_id' THEN
        RETURN crm_deals_internal.column_condition('primary_contact_id', key, wanted);
    WHEN key = 'currency' THEN
        RETURN crm_deals_internal.one_of(
            'd.currency', upper(crm_deals_internal.wanted_values(key, wanted, 'text'::regtype)::text)::text[]);
    WHEN key = 'status' THEN
        RETURN crm_deals_internal.status_condition(wanted);
    WHEN key IN ('amount', 'expected_close_date', 'created_at', 'closed_at') THEN
        RETURN crm_deals_internal.in_ranges(format('d.%I', key), key, wanted);
    WHEN key = 'overdue' AND wanted IN ('true', 'false') THEN
        RETURN format('(d.status = ''open'' AND d.expected_close_date < %L::date)%s', today,
                      CASE wanted WHEN 'false' THEN ' IS NOT TRUE' END);
    WHEN key = 'overdue' THEN
        RETURN crm_deals_internal.refuse_value(key, 'true or false', wanted);
    WHEN key = 'text' AND jsonb_typeof(wanted) = 'string' THEN
        RETURN format('(d.name ILIKE %1$L OR d.external_id ILIKE %1$L OR d.notes ILIKE %1$L)',
                      '%' || regexp_replace(wanted #>> '{}', E'([%_\\\\])', E'\\\\\\1', 'g') || '%');
    WHEN key = 'text' THEN
        RETURN crm_deals_internal.refuse_value(key, 'a text', wanted);
    WHEN key = 'custom_fields' AND jsonb_typeof(wanted) = 'object' THEN
        RETURN crm_deals_internal.fields_condition(wanted, organization);
    WHEN key = 'custom_fields' THEN
        RETURN crm_deals_internal.refuse_value(key, 'an object of fields and their values', wanted);
    ELSE
        RETURN crm_deals_internal.refuse_filter(format('a filter has no "%s"', key));
    END CASE;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.key_condition(text, jsonb, text, date) IS
    'Internal: returns the condition of one key of a filter.';

-- pipeline_id is the pipeline that the caller asks for, or NULL. Stages are looked up in it. What is overdue is so on
-- the day "today".
-- access: read
CREATE FUNCTION crm_deals_internal.filter_condition(filter jsonb, organization text, pipeline_id bigint DEFAULT NULL,
                                                    today date DEFAULT CURRENT_DATE) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
    conditions text[] := '{}';
BEGIN
    IF filter IS NULL OR filter = 'null' THEN
        RETURN 'true';
    ELSIF jsonb_typeof(filter) <> 'object' THEN
        RETURN crm_deals_internal.refuse_filter('the filter must be an object');
    END IF;
    FOR part IN SELECT f.key, f.value FROM jsonb_each(filter - '{stage,pipeline}'::text[]) AS f LOOP
        conditions := conditions
                      || crm_deals_internal.key_condition(part.key, part.value, organization, today);
    END LOOP;
    IF filter ?| '{stage,pipeline}' THEN
        conditions := conditions || crm_deals_internal.stage_condition(filter, pipeline_id);
    END IF;
    RETURN coalesce(nullif(array_to_string(conditions, ' AND '), ''), 'true');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.filter_condition(jsonb, text, bigint, date) IS
    'Internal: returns a filter as a condition on a row of deal called d.';

-- Grouping -------------------------------------------------------------------

-- The options of a select or multiselect field, each a text or an object {"value", "labels"}.
-- access: read
CREATE FUNCTION crm_deals_internal.field_options(options jsonb, language text)
RETURNS TABLE (option_value text, label text, ordinal integer)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT v.option_value, crm_deals_internal.label(e.option -> 'labels', v.option_value, language), e.number::integer
    FROM jsonb_array_elements(options) WITH ORDINALITY AS e (option, number),
         LATERAL (SELECT CASE jsonb_typeof(e.option) WHEN 'string' THEN e.option #>> '{}'
                                                     ELSE e.option ->> 'value' END) AS v (option_value)
$$;
COMMENT ON FUNCTION crm_deals_internal.field_options(jsonb, text) IS
    'Internal: returns the options of a custom field in their order.';

-- A deal is in the group of each value of a multiselect field; without values it is in that of NULL.
-- access: read
CREATE FUNCTION crm_deals_internal.field_grouping(key text, language text, organization text,
                                                  OUT group_key text, OUT joined text, OUT group_label text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    joined := '';
    group_key := format('(d.custom_fields ->> %L)', key);
    group_label := format('(%L::jsonb ->> g.raw)',
                          (SELECT jsonb_object_agg(o.option_value, o.label)
                           FROM crm_deals_internal.deal_field(key, organization) AS f,
                                LATERAL crm_deals_internal.field_options(f.options, language) AS o));
    IF EXISTS (SELECT FROM crm_deals.custom_field AS f
               WHERE f.entity = 'deal' AND f.key = field_grouping.key AND f.type = 'multiselect') THEN
        joined := format('LEFT JOIN LATERAL (
                              SELECT DISTINCT v.value
                              FROM jsonb_array_elements_text(
                                       CASE jsonb_typeof(d.custom_fields -> %1$L)
                                       WHEN ''array'' THEN d.custom_fields -> %1$L
                                       ELSE jsonb_build_array(d.custom_fields -> %1$L) END) AS v (value)
                          ) AS several ON true', key);
        group_key := 'several.value';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.field_grouping(text, text, text) IS
    'Internal: returns how to group deals by a custom field, as pieces of SQL.';

-- group_key says what to group by, over d and the tables in joined; group_label is its label, over g.raw. The
-- organization is the one whose custom fields count.
-- access: read
CREATE FUNCTION crm_deals_internal.grouping(group_by text, language text, organization text DEFAULT NULL,
                                            OUT group_key text, OUT joined text, OUT group_label text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pieces record;
BEGIN
    joined := '';
    CASE
    WHEN group_by IS NULL THEN
        group_key := 'NULL::text';
        group_label := 'NULL::text';
    WHEN group_by IN ('owner', 'account', 'account_id', 'contact', 'contact_id', 'primary_contact_id') THEN
        group_key := CASE WHEN group_by = 'owner' THEN 'd.owner'
                          WHEN group_by LIKE 'account%' THEN 'd.account_id'
                          ELSE 'd.primary_contact_id' END;
        group_label := format('(SELECT h.label FROM crm_deals.%I AS h WHERE h.id = g.raw)',
                              CASE WHEN group_by = 'owner' THEN '_owner'
                                   WHEN group_by LIKE 'account%' THEN '_account'
                                   ELSE '_contact' END);
    WHEN group_by = 'stage' THEN
        joined := 'JOIN crm_deals.stage AS s ON s.id = d.stage_id';
        group_key := 's.key';
        group_label := format('(SELECT crm_deals_internal.label(n.labels, n.name, %L)
                                FROM crm_deals.stage AS n WHERE n.key = g.raw ORDER BY n.id LIMIT 1)', language);
    WHEN group_by IN ('pipeline', 'pipeline_id', 'stage_id') THEN
        group_key := CASE WHEN group_by = 'stage_id' THEN 'd.stage_id' ELSE 'd.pipeline_id' END;
        group_label := format('(SELECT crm_deals_internal.label(n.labels, n.name, %L)
                                FROM crm_deals.%I AS n WHERE n.id = g.raw)', language,
                              CASE WHEN group_by = 'stage_id' THEN 'stage' ELSE 'pipeline' END);
    WHEN starts_with(group_by, 'custom_fields.') THEN
        pieces := crm_deals_internal.field_grouping(substr(group_by, length('custom_fields.') + 1), language,
                                                    organization);
        group_key := pieces.group_key;
        joined := pieces.joined;
        group_label := pieces.group_label;
    WHEN group_by IN (SELECT a.attname FROM pg_attribute AS a
                      WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped) THEN
        group_key := format('d.%I::text', group_by);
        group_label := 'g.raw';
    ELSE
        RAISE EXCEPTION 'deals cannot be grouped by "%"', group_by
            USING ERRCODE = '22023',
                  HINT = 'They can be grouped by stage, pipeline, owner, account, contact, custom_fields.KEY, or '
                         'a column of deal.';
    END CASE;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.grouping(text, text, text) IS
    'Internal: returns how to group deals, as pieces of SQL.';

-- Groups that exist before any deal is in them, in their order.
-- access: read
CREATE FUNCTION crm_deals_internal.known_groups(group_by text, organization text, language text)
RETURNS TABLE (group_key text, group_label text, ordinal integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    field record;
BEGIN
    IF group_by = 'status' THEN
        RETURN QUERY
        SELECT s.status, s.status, s.number::integer
        FROM unnest(ARRAY['open', 'won', 'lost', 'abandoned']) WITH ORDINALITY AS s (status, number);
    ELSIF starts_with(group_by, 'custom_fields.') THEN
        field := crm_deals_internal.deal_field(substr(group_by, length('custom_fields.') + 1), organization);
        IF field.type IN ('select', 'multiselect') THEN
            RETURN QUERY SELECT o.* FROM crm_deals_internal.field_options(field.options, language) AS o;
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.known_groups(text, text, text) IS
    'Internal: returns the options of a field, or the statuses: groups that are shown even if they are empty.';
