-- How the open pipeline developed.

-- access: read
CREATE FUNCTION crm_deals_internal.check_finite(from_date date, to_date date) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (isfinite(from_date) AND isfinite(to_date)) THEN
        RAISE EXCEPTION 'the days must be finite'
            USING ERRCODE = '22023', HINT = 'Leave out an end that is not needed.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_finite(date, date) IS
    'Internal: refuses a range of days that is infinite.';

-- A step ends when the next one begins, or the day after the last day does. The step of today ends now.
-- access: read
CREATE FUNCTION crm_deals_internal.step_ends(step text, from_date date, to_date date) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last_day CONSTANT date := coalesce(to_date, CURRENT_DATE);
    first_day CONSTANT date := coalesce(from_date, crm_deals_internal.period_start(step, last_day), last_day);
BEGIN
    PERFORM crm_deals_internal.check_finite(from_date, to_date);
    RETURN ARRAY(
        SELECT DISTINCT e.at
        FROM crm_deals_internal.periods(step,
            CASE WHEN from_date IS NULL AND step IS NOT NULL
                 THEN first_day - 11 * CASE step WHEN 'quarter' THEN interval '3 months'
                                                 ELSE ('1 ' || step)::interval END
                 ELSE first_day END::date, last_day, NULL, NULL) AS p
        CROSS JOIN LATERAL (SELECT least(p.next_start::timestamptz, now()) AS at) AS e
        WHERE coalesce(p.period_start, first_day) <= CURRENT_DATE
          AND (from_date IS NOT NULL OR e.at >= crm_deals_internal.pruning_horizon()) IS NOT FALSE
        ORDER BY e.at);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.step_ends(text, date, date) IS
    'Internal: returns the ends of the steps of a range of days, by default of the last twelve steps.';

-- What is overdue is so by the day of each moment: at the moments after number o.last, if the deal has a date. Returns
-- y.until and y.sign in place of those of x, and the condition on rows.
-- access: read
CREATE FUNCTION crm_deals_internal.overdue_through(moments timestamptz[], overdue boolean, OUT joined text,
                                                   OUT condition text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
    last_not_overdue CONSTANT text := format(
        'CROSS JOIN LATERAL (SELECT width_bucket(d.expected_close_date, %L::date[]) AS last) AS o ', moments::date[]);
BEGIN
    condition := 'true';
    IF overdue THEN
        joined := last_not_overdue || 'CROSS JOIN LATERAL (VALUES (x.until, x.sign), (o.last, - x.sign)) '
                                      'AS y (until, sign)';
        condition := 'o.last < x.until';
    ELSIF NOT overdue THEN
        joined := last_not_overdue || 'CROSS JOIN LATERAL (SELECT least(x.until, o.last) AS until, x.sign) AS y';
    ELSE
        joined := 'CROSS JOIN LATERAL (SELECT x.until, x.sign) AS y';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.overdue_through(timestamptz[], boolean) IS
    'Internal: returns the filter "overdue" for deals at several moments, as pieces of SQL.';

-- The deltas of each group are summed from now back to the first moment. A sum holds from its moment down to the moment
-- after which the next delta counts. A plan that sorts all events would take several times as long as one that hashes
-- them.
-- access: read
CREATE FUNCTION crm_deals_internal.pipeline_trend(step text, from_date date, to_date date, pipeline text,
                                                  group_by text, filter jsonb)
RETURNS TABLE (at timestamptz, group_key text, group_label text, currency text, deal_count bigint, amount numeric,
               weighted_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 1000
SET search_path = pg_catalog, pg_temp
SET enable_sort = off
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(group_by, step, from_date, to_date, pipeline, filter);
    moments CONSTANT timestamptz[] := crm_deals_internal.step_ends(step, from_date, to_date);
    overdue record;
    condition text;
BEGIN
    IF cardinality(moments) = 0 THEN
        RETURN;
    END IF;
    overdue := crm_deals_internal.overdue_through(moments, (filter ->> 'overdue')::boolean);
    condition := concat_ws(' AND ', overdue.condition,
        CASE WHEN scope.pipeline_id IS NOT NULL
             THEN format('d.stage_id = ANY (%L)', crm_deals_internal.stages_of(scope.pipeline_id)) END,
        crm_deals_internal.filter_condition(CASE WHEN filter ? 'overdue' THEN filter - 'overdue' ELSE filter END,
                                            scope.organization, scope.pipeline_id));
    RETURN QUERY EXECUTE format($query$
        WITH delta AS (
            SELECT y.until, %1$s AS raw, d.currency, sum(y.sign)::bigint AS deals,
                   coalesce(sum(y.sign * d.amount), 0) AS amount,
                   coalesce(sum(y.sign * d.amount * (d.probability * 0.01)), 0) AS weighted
            FROM %2$s
            %3$s
            %4$s
            WHERE d.status = 'open' AND %5$s
            GROUP BY y.until, 2, d.currency
        ), total AS (
            SELECT t.raw::text AS group_key, t.currency, t.until, lead(t.until, 1, 0) OVER back AS before,
                   sum(t.deals) OVER back AS deals, sum(t.amount) OVER back AS amount,
                   sum(t.weighted) OVER back AS weighted
            FROM delta AS t
            WINDOW back AS (PARTITION BY t.raw, t.currency ORDER BY t.until DESC)
        ), named AS (
            SELECT g.raw::text AS group_key, %6$s AS group_label
            FROM (SELECT DISTINCT t.raw FROM delta AS t WHERE t.raw IS NOT NULL) AS g
        )
        SELECT ($1)[m.number], t.group_key, coalesce(n.group_label, t.group_key), t.currency, t.deals::bigint,
               t.amount, t.weighted
        FROM total AS t
        CROSS JOIN LATERAL generate_series(t.before + 1, t.until) AS m (number)
        LEFT JOIN named AS n ON n.group_key = t.group_key
        WHERE t.deals > 0
        ORDER BY 1, 3, 2, 4
        $query$, scope.group_key,
        crm_deals_internal.deals_through(
            moments, concat_ws(' ', scope.group_key, scope.joined, overdue.joined, condition,
                               'd.status d.currency d.probability d.amount')),
        overdue.joined, scope.joined, condition, scope.group_label)
    USING moments;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.pipeline_trend(text, date, date, text, text, jsonb) IS
    'Internal: what crm_deals.pipeline_trend() does.';
