-- The arguments that boards, forecasts and reports share: a pipeline, a filter, a grouping. Filter and grouping become
-- pieces of SQL over a row of deal called d. Values get into them only as literals that format() quotes.

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
            PERFORM crm_deals_internal.raise_unknown_pipeline(pipeline);
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

-- access: read
CREATE FUNCTION crm_deals_internal.refuse_filter(problem text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%', problem
        USING ERRCODE = '22023',
              HINT = 'A filter is an object with owner, account_id, contact_id, source, status (a value or an array), '
                     'amount {min, max}, expected_close_date, created_at, closed_at {from, to}, text, '
                     'custom_fields {key: value}.';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.refuse_filter(text) IS
    'Internal: raises the error of a filter that is not understood.';

-- A null among the values means deals without a value.
-- access: read
CREATE FUNCTION crm_deals_internal.one_of(expression text, key text, wanted jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given jsonb := CASE jsonb_typeof(wanted) WHEN 'array' THEN wanted ELSE jsonb_build_array(wanted) END;
    given_values text[] := ARRAY(SELECT e.value FROM jsonb_array_elements_text(given) AS e (value)
                                 WHERE e.value IS NOT NULL);
BEGIN
    IF jsonb_path_exists(given, 'strict $[*] ? (@.type() == "object" || @.type() == "array")') THEN
        PERFORM crm_deals_internal.refuse_filter(format('filter %s must be a value or an array of values', key));
    END IF;
    RETURN format('(%s)', concat_ws(' OR ',
        CASE cardinality(given_values) WHEN 0 THEN 'false'
                                       WHEN 1 THEN format('%s = %L', expression, given_values[1])
                                       ELSE format('%s = ANY (%L)', expression, given_values) END,
        CASE WHEN given @> '[null]' THEN format('%s IS NULL', expression) END));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.one_of(text, text, jsonb) IS
    'Internal: returns the condition that an expression is one of the values of a filter.';

-- A range is an object that has no other keys than its two ends.
-- access: read
CREATE FUNCTION crm_deals_internal.bounds(key text, given jsonb, lower_key text, upper_key text, type text,
                                  OUT lower_bound text, OUT upper_bound text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(given) <> 'object' OR given - lower_key - upper_key <> '{}'
       OR jsonb_path_exists(given, '$.* ? (@.type() != $type && @.type() != "null")',
                            jsonb_build_object('type', type)) THEN
        PERFORM crm_deals_internal.refuse_filter(format('filter %s must be an object of %s and %s, each a %s', key,
                                                        lower_key, upper_key,
                                                CASE type WHEN 'string' THEN 'day as YYYY-MM-DD' ELSE type END));
    END IF;
    lower_bound := given ->> lower_key;
    upper_bound := given ->> upper_key;
    IF type = 'string' AND concat(lower_bound || ' ', upper_bound || ' ') !~ '^([0-9]{4}-[0-9]{2}-[0-9]{2} )*$' THEN
        PERFORM crm_deals_internal.refuse_filter(format('filter %s must name days as YYYY-MM-DD', key));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.bounds(text, jsonb, text, text, text) IS
    'Internal: returns the two ends of a range in a filter.';

-- Days are of the session's time zone, and both ends are inclusive. An end that is NULL is open.
-- access: read
CREATE FUNCTION crm_deals_internal.within_days(expression text, from_day date, to_day date) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(nullif(concat_ws(' AND ',
        CASE WHEN isfinite(from_day) THEN format('%s >= %L::date', expression, from_day) END,
        CASE WHEN isfinite(to_day) THEN format('%s < %L::date', expression, to_day + 1) END), ''), 'true')
$$;
COMMENT ON FUNCTION crm_deals_internal.within_days(text, date, date) IS
    'Internal: returns the condition that a date or a moment is in a range of days.';

-- access: read
CREATE FUNCTION crm_deals_internal.field_condition(key text, wanted jsonb, organization text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field_type text := (crm_deals_internal.deal_field(key, organization)).type;
    given jsonb := CASE jsonb_typeof(wanted) WHEN 'array' THEN wanted ELSE jsonb_build_array(wanted) END;
BEGIN
    IF field_type = 'multiselect' THEN
        RETURN format('(d.custom_fields -> %L ?| %L::text[]%s)', key,
                      ARRAY(SELECT e.value FROM jsonb_array_elements_text(given) AS e (value)
                            WHERE e.value IS NOT NULL),
                      CASE WHEN given @> '[null]' THEN format(' OR d.custom_fields ->> %L IS NULL', key) END);
    ELSIF field_type = 'number' AND NOT jsonb_path_exists(given,
                                                          '$[*] ? (@.type() != "number" && @.type() != "null")') THEN
        -- A value that is no number was stored before the field was defined.
        RETURN format('(jsonb_typeof(d.custom_fields -> %1$L) = ''number'' AND %2$s%3$s)', key,
                      crm_deals_internal.one_of(format('(d.custom_fields ->> %L)::numeric', key),
                                                'custom_fields.' || key,
                                        jsonb_path_query_array(given, '$[*] ? (@.type() == "number")')),
                      CASE WHEN given @> '[null]' THEN format(' OR d.custom_fields ->> %L IS NULL', key) END);
    END IF;
    RETURN crm_deals_internal.one_of(format('(d.custom_fields ->> %L)', key), 'custom_fields.' || key, given);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.field_condition(text, jsonb, text) IS
    'Internal: returns the condition of a filter on a custom field, in the words of its index.';

-- access: read
CREATE FUNCTION crm_deals_internal.filter_condition(filter jsonb, organization text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
    bounds record;
    conditions text[] := '{}';
BEGIN
    IF filter IS NULL OR filter = 'null' THEN
        RETURN 'true';
    ELSIF jsonb_typeof(filter) <> 'object' THEN
        PERFORM crm_deals_internal.refuse_filter('the filter must be an object');
    END IF;

    FOR part IN SELECT f.key, f.value FROM jsonb_each(filter) AS f LOOP
        CASE part.key
        WHEN 'owner', 'account_id', 'source' THEN
            conditions := conditions || crm_deals_internal.one_of(format('d.%I', part.key), part.key, part.value);
        WHEN 'contact_id' THEN
            conditions := conditions || crm_deals_internal.one_of('d.primary_contact_id', part.key, part.value);
        WHEN 'status' THEN
            IF jsonb_path_exists(part.value,
                                 '$[*] ? (!(@ == "open" || @ == "won" || @ == "lost" || @ == "abandoned"))') THEN
                PERFORM crm_deals_internal.refuse_filter(
                    'filter status must be open, won, lost or abandoned, or an array of these');
            END IF;
            conditions := conditions || crm_deals_internal.one_of('d.status', part.key, part.value);
        WHEN 'amount' THEN
            bounds := crm_deals_internal.bounds(part.key, part.value, 'min', 'max', 'number');
            conditions := conditions || concat_ws(' AND ', 'true', 'd.amount >= ' || quote_literal(bounds.lower_bound),
                                                  'd.amount <= ' || quote_literal(bounds.upper_bound));
        WHEN 'expected_close_date', 'created_at', 'closed_at' THEN
            bounds := crm_deals_internal.bounds(part.key, part.value, 'from', 'to', 'string');
            conditions := conditions || crm_deals_internal.within_days(format('d.%I', part.key),
                                                                 bounds.lower_bound::date, bounds.upper_bound::date);
        WHEN 'text' THEN
            IF jsonb_typeof(part.value) <> 'string' THEN
                PERFORM crm_deals_internal.refuse_filter('filter text must be a text');
            END IF;
            conditions := conditions || format('(d.name ILIKE %1$L OR d.external_id ILIKE %1$L OR d.notes ILIKE %1$L)',
                                               '%' || regexp_replace(filter ->> 'text', E'([%_\\\\])', E'\\\\\\1',
                                                                     'g') || '%');
        WHEN 'custom_fields' THEN
            IF jsonb_typeof(part.value) <> 'object' THEN
                PERFORM crm_deals_internal.refuse_filter('filter custom_fields must be an object');
            END IF;
            conditions := conditions || ARRAY(SELECT crm_deals_internal.field_condition(f.key, f.value, organization)
                                              FROM jsonb_each(part.value) AS f);
        ELSE
            PERFORM crm_deals_internal.refuse_filter(format('a filter has no "%s"', part.key));
        END CASE;
    END LOOP;
    RETURN coalesce(nullif(array_to_string(conditions, ' AND '), ''), 'true');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.filter_condition(jsonb, text) IS
    'Internal: returns a filter as a condition on a row of deal called d.';

-- Grouping -------------------------------------------------------------------

-- group_key says what to group by, over d and the tables in joined; group_label is its label, over g.raw.
-- access: read
CREATE FUNCTION crm_deals_internal.grouping(group_by text, language text,
                                    OUT group_key text, OUT joined text, OUT group_label text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
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
        group_key := format('(d.custom_fields ->> %L)', substr(group_by, length('custom_fields.') + 1));
        group_label := 'g.raw';
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
COMMENT ON FUNCTION crm_deals_internal.grouping(text, text) IS
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
        IF field.type = 'select' THEN
            RETURN QUERY
            SELECT o.option_value, crm_deals_internal.label(o.option -> 'labels', o.option_value, language),
                   o.number::integer
            FROM (SELECT CASE jsonb_typeof(e.option) WHEN 'string' THEN e.option #>> '{}' ELSE e.option ->> 'value' END,
                         e.option, e.number
                  FROM jsonb_array_elements(field.options) WITH ORDINALITY AS e (option, number))
                 AS o (option_value, option, number);
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.known_groups(text, text, text) IS
    'Internal: returns the options of a select field, or the statuses: groups that are shown even if they are empty.';
