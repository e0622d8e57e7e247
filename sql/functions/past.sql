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
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_hide_later';
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

-- ----------
-- Deals at several moments
-- ----------

-- One column of a deal before an event e, if t.sign is 1, or after it. The event has the tracked columns itself; for
-- the others, l has the changes that came later, and d is the deal of today.
-- access: read
CREATE FUNCTION crm_deals_internal.column_around(name text, type oid) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT CASE
        WHEN name = 'id' THEN 'e.deal_id'
        WHEN name = 'stage_id' THEN 'CASE t.sign WHEN 1 THEN e.from_stage_id ELSE e.to_stage_id END'
        WHEN name = 'status' THEN 'CASE t.sign WHEN 1 THEN e.from_status ELSE e.status END'
        WHEN name IN ('pipeline_id', 'amount', 'currency', 'probability', 'expected_close_date', 'owner', 'lost_reason')
        THEN format('CASE WHEN t.sign = 1 AND e.changes ? %1$L THEN (e.changes -> %1$L ->> 0)::%2$s
                          ELSE e.%1$I::%2$s END', name, format_type(type, -1))
        END
$$;
COMMENT ON FUNCTION crm_deals_internal.column_around(text, oid) IS
    'Internal: returns a column of a deal before or after an event, as a piece of SQL; NULL if the event lacks it.';

-- Columns that the log does not track are those of today with all later changes taken back, for every event anew. So
-- the events of each deal pass from the last one to the first. Nothing is before a creation.
-- access: read
CREATE FUNCTION crm_deals_internal.events_with_changes(after timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
AS $$
    SELECT format($query$(
        SELECT e.*, lag(e.version) OVER deal AS next_version,
               crm_deals_internal.first_changes(e.changes) OVER deal AS changes_since,
               crm_deals_internal.first_changes(e.changes) OVER (deal ROWS BETWEEN UNBOUNDED PRECEDING
                                                                              AND 1 PRECEDING) AS changes_later
        FROM (SELECT e.deal_id, e.version, e.occurred_at, e.pipeline_id, e.from_stage_id, e.to_stage_id, e.from_status,
                     e.status, e.amount, e.currency, e.probability, e.expected_close_date, e.owner, e.lost_reason,
                     CASE WHEN e.kind = 'created' THEN '{}' ELSE e.changes END AS changes
              FROM crm_deals.deal_event AS e
              WHERE e.occurred_at > %L) AS e
        WINDOW deal AS (PARTITION BY e.deal_id ORDER BY e.version DESC))$query$, after)
$$;
COMMENT ON FUNCTION crm_deals_internal.events_with_changes(timestamptz) IS
    'Internal: returns the events after a moment, each with the changes since it and later, as a piece of SQL.';

-- A subquery x beside a row of deal d, in one pass over the log. The deals of a moment are the rows of x.until >= its
-- number, less those of x.sign -1: every deal of today counts until the last moment; each event, until the moment
-- before it, puts back what was and takes away what it made. "used" is the SQL in which d stands: columns that it does
-- not mention are left out. The moments rise; within a deal, events do, too.
-- access: read
CREATE FUNCTION crm_deals_internal.deals_through(moments timestamptz[], used text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
    hides CONSTANT boolean := row_security_active('crm_deals.deal');
    wanted record;
BEGIN
    PERFORM crm_deals_internal.check_moment(moments[1]);
    SELECT string_agg(format('d.%I AS c%s', c.name, c.number), ', ' ORDER BY c.number) AS of_today,
           string_agg(coalesce(c.tracked, crm_deals_internal.column_before(c.name, c.type)), ', '
                      ORDER BY c.number) AS around_event,
           string_agg(format('x.c%s AS %I', c.number, c.name), ', ' ORDER BY c.number) AS named,
           bool_and(c.tracked IS NOT NULL) AS all_tracked
    INTO wanted
    FROM (SELECT a.attname::text AS name, a.atttypid AS type, a.attnum AS number,
                 crm_deals_internal.column_around(a.attname, a.atttypid) AS tracked
          FROM pg_attribute AS a
          WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND (strpos(used, 'd.' || a.attname) > 0 OR strpos(used, format('d.%I', a.attname)) > 0)) AS c;
    RETURN format($query$(
        SELECT %1$s AS until, 1 AS sign, %2$s FROM crm_deals.deal AS d
        UNION ALL
        SELECT width_bucket(e.occurred_at, %3$L::timestamptz[]), t.sign, %4$s
        FROM %5$s AS e
        CROSS JOIN (VALUES (1), (-1)) AS t (sign)%6$s
        WHERE e.occurred_at > %7$L AND CASE t.sign WHEN 1 THEN e.from_stage_id ELSE e.to_stage_id END IS NOT NULL
        ) AS x
        CROSS JOIN LATERAL (SELECT %8$s) AS d$query$,
        cardinality(moments), wanted.of_today,
        -- What happens at a moment has happened.
        ARRAY(SELECT m.at + interval '1 microsecond' FROM unnest(moments) WITH ORDINALITY AS m (at, number)
              ORDER BY m.number),
        wanted.around_event,
        CASE WHEN wanted.all_tracked THEN 'crm_deals.deal_event'
             ELSE crm_deals_internal.events_with_changes(moments[1]) END,
        -- Under row security nobody sees deleted deals.
        CASE WHEN hides OR NOT wanted.all_tracked
             THEN format(' %s JOIN crm_deals.deal AS d ON d.id = e.deal_id', CASE WHEN NOT hides THEN 'LEFT' END) END
        || CASE WHEN wanted.all_tracked THEN '' ELSE $query$
        CROSS JOIN LATERAL (
            SELECT CASE t.sign WHEN 1 THEN e.version ELSE e.next_version END AS first_version,
                   CASE WHEN t.sign = 1 OR e.next_version IS NOT NULL THEN e.deal_id END AS deal_id,
                   CASE t.sign WHEN 1 THEN e.changes_since ELSE e.changes_later END AS changes) AS l$query$ END,
        moments[1], wanted.named);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deals_through(timestamptz[], text) IS
    'Internal: returns the deals as they were at several moments, as a piece of SQL.';
