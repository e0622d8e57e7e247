-- Deals as they were: the rows of today, and those that were deleted since, with the changes of later events taken
-- back. Only events after the moment are read.

-- access: read
CREATE FUNCTION crm_deals_internal.check_moment(at timestamptz) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF at IS NULL THEN
        RAISE EXCEPTION 'the moment must not be null' USING ERRCODE = '22004';
    ELSIF at < crm_deals_internal.pruning_horizon() THEN
        RAISE EXCEPTION 'the log does not go back to %', at
            USING ERRCODE = '22023', DETAIL = format('Events before %s were pruned.',
                                                     crm_deals_internal.pruning_horizon());
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_moment(timestamptz) IS
    'Internal: refuses a moment before the log begins.';

-- Of the changes of a deal's events, an earlier one hides a later one: each key keeps the old value of its first
-- change. A change of all custom fields hides later changes of single fields.
-- access: read
CREATE FUNCTION crm_deals_internal.hide_later(later jsonb, earlier jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF earlier ? 'custom_fields' THEN
        later := later - ARRAY(SELECT k.key FROM jsonb_object_keys(later) AS k (key)
                               WHERE starts_with(k.key, 'custom_fields.'));
    END IF;
    RETURN later || earlier;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.hide_later(jsonb, jsonb) IS
    'Internal: returns the changes of two events of a deal, the earlier on top.';

-- access: read
CREATE AGGREGATE crm_deals_internal.first_changes(jsonb) (
    SFUNC = crm_deals_internal.hide_later,
    STYPE = jsonb,
    INITCOND = '{}',
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm_deals_internal.first_changes(jsonb) IS
    'Internal: returns the first change of each key. The changes come with the latest event first.';

-- access: read
CREATE FUNCTION crm_deals_internal.custom_fields_before(custom_fields jsonb, changes jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change record;
BEGIN
    IF changes ? 'custom_fields' THEN
        custom_fields := changes -> 'custom_fields' -> 0;
    END IF;
    IF jsonb_typeof(custom_fields) IS DISTINCT FROM 'object' THEN    -- of a deal that is gone, or redacted
        custom_fields := '{}';
    END IF;
    FOR change IN
        SELECT substr(c.key, length('custom_fields.') + 1) AS field, c.value -> 0 AS old
        FROM jsonb_each(changes) AS c
        WHERE starts_with(c.key, 'custom_fields.')
    LOOP
        custom_fields := CASE change.old WHEN 'null' THEN custom_fields - change.field
                                         ELSE custom_fields || jsonb_build_object(change.field, change.old) END;
    END LOOP;
    RETURN custom_fields;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.custom_fields_before(jsonb, jsonb) IS
    'Internal: returns custom fields with later changes taken back.';

-- One column of a deal d, with the later changes l.changes taken back.
-- access: read
CREATE FUNCTION crm_deals_internal.column_before(name text, type oid) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT CASE
        WHEN name = 'id' THEN
            'coalesce(d.id, l.deal_id)'
        WHEN name = 'version' THEN
            'coalesce(l.first_version - 1, d.version)'
        WHEN name = 'updated_at' THEN
            'CASE WHEN l.deal_id IS NULL THEN d.updated_at END'
        WHEN name = 'custom_fields' THEN
            'CASE WHEN l.deal_id IS NULL THEN d.custom_fields
                  ELSE crm_deals_internal.custom_fields_before(d.custom_fields, l.changes) END'
        WHEN t.typtype = 'e' OR type IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype,
                                         'numeric'::regtype, 'text'::regtype, 'varchar'::regtype, 'uuid'::regtype,
                                         'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN
            format('CASE WHEN l.changes ? %1$L THEN (l.changes -> %1$L ->> 0)::%2$s ELSE d.%1$I END', name, type_name)
        ELSE
            format('CASE WHEN l.changes ? %1$L
                         THEN crm_deals_internal.old_value(l.changes -> %1$L, NULL::%2$s) ELSE d.%1$I END',
                   name, type_name)
        END
    FROM pg_type AS t, LATERAL (SELECT format_type(type, -1)) AS f (type_name)
    WHERE t.oid = type
$$;
COMMENT ON FUNCTION crm_deals_internal.column_before(text, oid) IS
    'Internal: returns a column of a deal as it was, as a piece of SQL.';

-- A subquery with all columns of deal and its rows as they were. Under row security nobody sees deleted deals. The
-- deals of now may be only some, but all that changed after the moment must be among them.
-- access: read
CREATE FUNCTION crm_deals_internal.deals_before(at timestamptz, deals_of_now text DEFAULT 'crm_deals.deal') RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'    -- other styles write time zones like IST, which are read as another one
AS $$
BEGIN
    PERFORM crm_deals_internal.check_moment(at);
    RETURN format($query$(
        WITH touched AS MATERIALIZED (
            SELECT e.deal_id, min(e.version) AS first_version,
                   coalesce(min(e.version) = min(e.version) FILTER (WHERE e.from_stage_id IS NULL),
                            false) AS began_later
            FROM crm_deals.deal_event AS e
            WHERE e.occurred_at > %2$L
            GROUP BY e.deal_id
        ), later AS (
            SELECT t.deal_id, t.first_version, c.changes
            FROM touched AS t
            CROSS JOIN LATERAL (SELECT crm_deals_internal.first_changes(e.changes ORDER BY e.version DESC) AS changes
                                FROM crm_deals.deal_event AS e
                                WHERE e.deal_id = t.deal_id AND e.version >= t.first_version) AS c
            WHERE NOT t.began_later
        )
        SELECT %1$s
        FROM %4$s AS d
        FULL JOIN later AS l ON l.deal_id = d.id
        WHERE NOT EXISTS (SELECT FROM touched AS t WHERE t.began_later AND t.deal_id = d.id)
          AND (d.id IS NOT NULL OR NOT %3$L))$query$,
        (SELECT string_agg(format('%s AS %I', crm_deals_internal.column_before(a.attname, a.atttypid), a.attname),
                           ', ' ORDER BY a.attnum)
         FROM pg_attribute AS a
         WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped),
        at, row_security_active('crm_deals.deal'), deals_of_now);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deals_before(timestamptz, text) IS
    'Internal: returns the table of deals as it was, as a piece of SQL.';

-- access: read
CREATE FUNCTION crm_deals_internal.deals_as_of(at timestamptz)
RETURNS TABLE (id bigint, name text, account_id text, pipeline_id bigint, stage_id bigint, status text, amount numeric,
               currency text, probability numeric, expected_close_date date, closed_at timestamptz, owner text,
               lost_reason text, custom_fields jsonb, version integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_installed();
    RETURN QUERY EXECUTE
        'SELECT d.id, d.name, d.account_id::text, d.pipeline_id, d.stage_id, d.status::text, d.amount,
                d.currency, d.probability,
                d.expected_close_date, d.closed_at, d.owner::text, d.lost_reason, d.custom_fields, d.version
         FROM ' || crm_deals_internal.deals_before(at) || ' AS d';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deals_as_of(timestamptz) IS
    'Internal: what crm_deals.deals_as_of() does.';
