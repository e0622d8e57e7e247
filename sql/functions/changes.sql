-- What happened to the open pipeline between two moments. A deal is in at a moment if it is open then, and if pipeline,
-- filter and range hold by its values of then. Its cells are its groups of then, in its currency of then.

-- access: read
CREATE FUNCTION crm_deals_internal.check_changes(from_at timestamptz, to_at timestamptz, close_from date,
                                                 close_to date, filter jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF from_at > to_at THEN
        RAISE EXCEPTION 'the first moment is after the second'
            USING ERRCODE = '22023', DETAIL = format('from_at is %s, to_at is %s.', from_at, to_at),
                  HINT = 'Exchange the two.';
    ELSIF close_from > close_to THEN
        RAISE EXCEPTION 'the range of expected closes ends before it begins'
            USING ERRCODE = '22023', DETAIL = format('close_from is %s, close_to is %s.', close_from, close_to),
                  HINT = 'Exchange the two.';
    ELSIF filter ?| '{status,closed_at}' THEN
        RAISE EXCEPTION 'changes of the pipeline cannot be filtered by status or closed_at'
            USING ERRCODE = '22023', DETAIL = 'Deals that are open at one of the moments are looked at, whatever '
                                              'becomes of them.',
                  HINT = 'Leave these keys out. The column "change" says what was won, lost or abandoned.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_changes(timestamptz, timestamptz, date, date, jsonb) IS
    'Internal: refuses arguments of pipeline_changes() that contradict each other.';

-- A query of the deals of a moment that changed after the first one: a row for each cell of a deal. changes_query()
-- has changed_deal.
-- access: read
CREATE FUNCTION crm_deals_internal.changed_deals(at timestamptz, group_key text, joined text, condition text,
                                                 close_from date, close_to date) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format($query$
        SELECT f.*, f.fits AND f.status = 'open' AND f.in_range AS is_in
        FROM (SELECT d.id, d.status::text, coalesce(d.amount, 0) AS amount, %2$s AS raw, d.currency, d.created_at,
                     d.closed_at, (%4$s) IS TRUE AS fits, (%5$s) IS TRUE AS in_range, (%6$s) IS TRUE AS closed_in_range
              FROM %1$s AS d %3$s) AS f$query$,
        crm_deals_internal.deals_before(at, 'changed_deal'), group_key, joined, condition,
        crm_deals_internal.within_days('d.expected_close_date', close_from, close_to),
        crm_deals_internal.within_days('d.closed_at', close_from, close_to))
$$;
COMMENT ON FUNCTION crm_deals_internal.changed_deals(timestamptz, text, text, text, date, date) IS
    'Internal: returns the deals of a moment that changed since the first one, as a piece of SQL.';

-- Deals without an event after the first moment are the same at both, unless the filter depends on the day (overdue).
-- The others have a story: was_in and is_in at the two moments; closes, if they leave as won, lost or abandoned; came
-- and went, how they get into a cell and out of it.
-- access: read
CREATE FUNCTION crm_deals_internal.changes_query() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN $query$
    WITH changed AS MATERIALIZED (
        SELECT DISTINCT e.deal_id FROM crm_deals.deal_event AS e WHERE e.occurred_at > $1 %9$s
    ), changed_deal AS MATERIALIZED (
        SELECT d.* FROM crm_deals.deal AS d WHERE EXISTS (SELECT FROM changed AS c WHERE c.deal_id = d.id)
    ), before AS MATERIALIZED (%1$s), after AS MATERIALIZED (%2$s), cell AS (
        SELECT c.id, c.raw, c.currency, bool_or(c.of_then) AS had, bool_or(NOT c.of_then) AS has
        FROM (SELECT b.id, b.raw, b.currency, true FROM before AS b
              UNION ALL
              SELECT a.id, a.raw, a.currency, false FROM after AS a) AS c (id, raw, currency, of_then)
        GROUP BY c.id, c.raw, c.currency
    ), story AS (
        SELECT coalesce(a.id, b.id) AS id, b.amount AS a0, a.amount AS a1, a.status,
               b.is_in IS TRUE AS was_in, a.is_in IS TRUE AS is_in,
               (a.status <> 'open'
                AND (b.is_in IS TRUE
                     OR a.fits AND a.closed_at > $1 AND a.closed_at <= $2 AND a.closed_in_range)) IS TRUE AS closes,
               CASE WHEN b.is_in THEN 'entered'
                    WHEN b.id IS NULL AND a.created_at > $1 THEN 'created'
                    WHEN b.status <> 'open' THEN 'reopened'
                    WHEN b.fits THEN 'pulled_in'
                    ELSE 'entered' END AS came,
               CASE WHEN a.id IS NULL THEN 'deleted'
                    WHEN a.fits AND a.status = 'open' AND NOT a.is_in THEN 'pushed_out'
                    ELSE 'left' END AS went
        FROM (SELECT DISTINCT ON (b.id) b.* FROM before AS b ORDER BY b.id) AS b
        FULL JOIN (SELECT DISTINCT ON (a.id) a.* FROM after AS a ORDER BY a.id) AS a ON a.id = b.id
    ), step AS (
        SELECT c.raw, c.currency, r.change, r.deals, r.amount
        FROM (SELECT c.raw, c.currency, t.*, t.was_in AND c.had AS from_here,
                     (t.is_in OR t.closes) AND c.has AS to_here
              FROM cell AS c JOIN story AS t ON t.id = c.id) AS c
        CROSS JOIN LATERAL (VALUES
            ('opening', c.from_here, 1, c.a0),
            (c.came, c.to_here AND NOT c.from_here, 1, c.a1),
            (CASE WHEN c.a1 > c.a0 THEN 'increased' ELSE 'decreased' END,
             c.from_here AND c.to_here AND c.a1 <> c.a0 AND c.status IN ('open', 'won'),
             sign(c.a1 - c.a0), c.a1 - c.a0),
            (c.went, c.from_here AND NOT c.to_here, -1, -c.a0),
            (c.status, c.to_here AND c.closes, -1,
             -CASE WHEN c.from_here AND c.status <> 'won' THEN c.a0 ELSE c.a1 END),
            ('closing', c.to_here AND c.is_in, 1, c.a1)) AS r (change, applies, deals, amount)
        WHERE r.applies
        UNION ALL
        SELECT u.raw, u.currency, m.change, u.deals, u.amount
        FROM (SELECT %3$s AS raw, d.currency, count(*) AS deals, coalesce(sum(d.amount), 0) AS amount
              FROM crm_deals.deal AS d %4$s
              WHERE d.status = 'open' AND d.stage_id = ANY (%5$L) AND (%6$s) AND %7$s
                AND NOT EXISTS (SELECT FROM changed AS c WHERE c.deal_id = d.id)
              GROUP BY 1, d.currency) AS u
        CROSS JOIN (VALUES ('opening'), ('closing')) AS m (change)
    ), g AS (
        SELECT s.raw, s.currency, s.change, sum(s.deals)::bigint AS deals, sum(s.amount) AS amount
        FROM step AS s
        GROUP BY s.raw, s.currency, s.change
    )
    SELECT g.raw::text, coalesce(%8$s, g.raw::text), g.currency, g.change, g.deals, g.amount
    FROM g
    ORDER BY 2 NULLS LAST, 1 NULLS LAST, 3,
             array_position('{opening,created,entered,reopened,pulled_in,increased,decreased,won,lost,abandoned,'
                            'pushed_out,left,deleted,closing}', g.change)
$query$;
COMMENT ON FUNCTION crm_deals_internal.changes_query() IS
    'Internal: returns the query of pipeline_changes().';

-- access: read
CREATE FUNCTION crm_deals_internal.pipeline_changes(from_at timestamptz, to_at timestamptz, pipeline text,
                                                    close_from date, close_to date, filter jsonb, group_by text)
RETURNS TABLE (group_key text, group_label text, currency text, change text, deal_count bigint, amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off    -- compiling takes longer than the query
AS $$
#variable_conflict use_variable
DECLARE
    pipeline_id bigint;
    organization text;
    groups record;
    conditions text[];    -- of the two moments
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.check_moment(from_at);
    PERFORM crm_deals_internal.check_moment(to_at);
    PERFORM crm_deals_internal.check_changes(from_at, to_at, close_from, close_to, filter);
    pipeline_id := crm_deals_internal.find_pipeline(pipeline);
    organization := crm_deals_internal.organization_of(pipeline_id);
    groups := crm_deals_internal.grouping(group_by, NULL, organization);
    conditions := ARRAY(SELECT concat_ws(' AND ', 'd.pipeline_id = ' || pipeline_id,
                                         crm_deals_internal.filter_condition(filter, organization, pipeline_id, m.day))
                        FROM unnest(ARRAY[from_at::date, to_at::date]) WITH ORDINALITY AS m (day, number)
                        ORDER BY m.number);
    RETURN QUERY EXECUTE format(crm_deals_internal.changes_query(),
        crm_deals_internal.changed_deals(from_at, groups.group_key, groups.joined, conditions[1], close_from, close_to),
        crm_deals_internal.changed_deals(to_at, groups.group_key, groups.joined, conditions[2], close_from, close_to),
        groups.group_key, groups.joined, crm_deals_internal.stages_of(pipeline_id, ARRAY['open']), conditions[1],
        crm_deals_internal.within_days('d.expected_close_date', close_from, close_to), groups.group_label,
        CASE WHEN conditions[1] <> conditions[2]
             THEN format('UNION SELECT d.id FROM crm_deals.deal AS d WHERE (%s) IS DISTINCT FROM (%s)',
                         conditions[1], conditions[2]) END)
    USING from_at, to_at;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.pipeline_changes(timestamptz, timestamptz, text, date, date, jsonb, text) IS
    'Internal: what crm_deals.pipeline_changes() does.';
