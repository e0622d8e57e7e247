-- Are we on target? What is to be won, what was, and what is open.

-- The first and the last day that are asked for: without dates the period of today, without one of them as far as the
-- period of today or of the other one. Without periods an end that is not given is open.
-- access: read
CREATE FUNCTION crm_deals_internal.attainment_days(period text, INOUT from_date date, INOUT to_date date)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    length CONSTANT interval := CASE period WHEN 'quarter' THEN interval '3 months'
                                            ELSE ('1 ' || period)::interval END;
    first_day CONSTANT date := coalesce(from_date, crm_deals_internal.period_start(period, least(to_date,
                                                                                                 CURRENT_DATE)));
BEGIN
    PERFORM crm_deals_internal.check_finite(from_date, to_date);
    to_date := coalesce(to_date, crm_deals_internal.period_start(period, greatest(from_date, CURRENT_DATE)) + length
                                 - interval '1 day', 'infinity');
    from_date := coalesce(first_day, '-infinity');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.attainment_days(text, date, date) IS
    'Internal: returns the days that attainment() is about.';

-- A target in several periods is split by days: what falls to it up to the period's end, less what does so up to its
-- start. So the parts sum to it.
-- access: read
CREATE FUNCTION crm_deals_internal.target_part(amount numeric, starts_on date, ends_on date, first_day date,
                                               next_day date) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN next_day > ends_on THEN amount
                ELSE round(amount * (next_day - starts_on) / (ends_on - starts_on + 1), 2) END
           - CASE WHEN first_day <= starts_on THEN 0
                  ELSE round(amount * (first_day - starts_on) / (ends_on - starts_on + 1), 2) END
$$;
COMMENT ON FUNCTION crm_deals_internal.target_part(numeric, date, date, date, date) IS
    'Internal: returns the part of a target that falls to some of its days.';

-- A query of the parts of targets by period and group: by owner those of owners, else the team's, or the owners' where
-- the team has none. attainment() has period.
-- access: read
CREATE FUNCTION crm_deals_internal.target_parts(by text, pipeline_id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format($query$
        SELECT a.period_start, a.raw, a.currency, sum(a.part) AS target
        FROM (SELECT p.period_start, %1$s AS raw, t.currency, t.owner,
                     crm_deals_internal.target_part(t.amount, t.starts_on, t.ends_on, p.first_day, p.next_day) AS part,
                     bool_or(t.owner IS NULL) OVER (PARTITION BY p.next_day, t.organization, t.pipeline_id,
                                                                 t.currency) AS team_has_one
              FROM crm_deals.target AS t
              JOIN %4$s AS p ON t.starts_on < p.next_day AND t.ends_on >= p.first_day
              WHERE %2$s) AS a
        WHERE %3$s
        GROUP BY a.period_start, a.raw, a.currency$query$,
        CASE by WHEN 'owner' THEN 't.owner' WHEN 'pipeline' THEN 't.pipeline_id'
                WHEN 'organization' THEN 't.organization' ELSE 'NULL::text' END,
        CASE WHEN pipeline_id IS NOT NULL THEN format('t.pipeline_id = %L', pipeline_id)
             WHEN by = 'pipeline' THEN 't.pipeline_id IS NOT NULL' ELSE 'true' END,
        CASE by WHEN 'owner' THEN 'a.owner IS NOT NULL' ELSE 'a.owner IS NULL OR NOT a.team_has_one' END,
        'period')
$$;
COMMENT ON FUNCTION crm_deals_internal.target_parts(text, bigint) IS
    'Internal: returns what is to be won by period and group, as a piece of SQL.';

-- access: read
CREATE FUNCTION crm_deals_internal.attainment(by text, period text, from_date date, to_date date, pipeline text,
                                              convert_to text)
RETURNS TABLE (period_start date, group_key text, group_label text, currency text, target numeric, won numeric,
               open_amount numeric, weighted numeric, gap numeric, coverage numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(by, period, from_date, to_date, pipeline, NULL);
    days record := crm_deals_internal.attainment_days(period, from_date, to_date);
BEGIN
    IF by NOT IN ('owner', 'pipeline', 'organization') THEN
        RAISE EXCEPTION 'there is no attainment by "%"', by
            USING ERRCODE = '22023', HINT = 'It can be by owner, pipeline or organization.';
    END IF;
    convert_to := crm_deals_internal.check_convert_to(convert_to);
    -- Deals are summed by day first, since many deals have few days. What was won is converted at the rate of its day,
    -- everything else at that of today.
    RETURN QUERY EXECUTE format($query$
        WITH period AS MATERIALIZED (
            SELECT p.period_start, greatest(p.period_start, $2) AS first_day, p.next_start AS next_day
            FROM crm_deals_internal.periods($1, $2, $3, NULL, NULL) AS p
        ), daily AS (
            SELECT d.closed_at::date AS day, %1$s AS raw, d.currency, d.closed_at::date AS rate_day,
                   coalesce(sum(d.amount), 0) AS won, 0.0 AS open, 0.0 AS weighted
            FROM crm_deals.deal AS d %2$s
            WHERE d.status = 'won' AND %3$s AND %4$s
            GROUP BY 1, 2, d.currency
            UNION ALL
            SELECT d.expected_close_date, %1$s, d.currency, CURRENT_DATE, 0, coalesce(sum(d.amount), 0),
                   coalesce(sum(d.amount * (d.probability * 0.01)), 0)
            FROM crm_deals.deal AS d %2$s
            WHERE d.status = 'open' AND d.stage_id = ANY (%5$L) AND %3$s AND d.expected_close_date IS NOT NULL AND %6$s
            GROUP BY d.expected_close_date, 2, d.currency
        ), part AS MATERIALIZED (
            SELECT date_trunc($1, y.day::timestamp)::date AS period_start, y.raw, y.currency, y.rate_day,
                   NULL::numeric AS target, y.won, y.open, y.weighted
            FROM daily AS y
            UNION ALL
            SELECT t.period_start, t.raw, t.currency, CURRENT_DATE, t.target, 0, 0, 0
            FROM (%7$s) AS t
        ), rate AS MATERIALIZED (
            SELECT r.*
            FROM (SELECT array_agg(w.currency) AS currencies, array_agg(w.rate_day) AS days
                  FROM (SELECT DISTINCT p.currency, p.rate_day FROM part AS p WHERE $4 IS NOT NULL) AS w) AS w,
                 LATERAL crm_deals_internal.rates(w.currencies, w.days, $4) AS r
            WHERE w.currencies IS NOT NULL
        ), g AS (
            SELECT p.period_start, p.raw, CASE WHEN r.times IS NULL THEN p.currency ELSE $4 END AS currency,
                   sum(%8$s) AS target, sum(%9$s) AS won, sum(%10$s) AS open, sum(%11$s) AS weighted
            FROM part AS p
            %13$s
            GROUP BY p.period_start, p.raw, 3
        )
        SELECT g.period_start, g.raw::text, coalesce(%12$s, g.raw::text), g.currency, g.target, g.won, g.open,
               g.weighted, g.target - g.won, g.open / CASE WHEN g.target > g.won THEN g.target - g.won END
        FROM g
        ORDER BY 1, 3, 2, 4
        $query$, scope.group_key, scope.joined, scope.condition,
        crm_deals_internal.within_days('d.closed_at', days.from_date, days.to_date),
        crm_deals_internal.stages_of(scope.pipeline_id, ARRAY['open']),
        crm_deals_internal.within_days('d.expected_close_date', days.from_date, days.to_date),
        crm_deals_internal.target_parts(by, scope.pipeline_id),
        crm_deals_internal.converted('p.target', 'r.times', 'r.per'),
        crm_deals_internal.converted('p.won', 'r.times', 'r.per'),
        crm_deals_internal.converted('p.open', 'r.times', 'r.per'),
        crm_deals_internal.converted('p.weighted', 'r.times', 'r.per'), scope.group_label,
        crm_deals_internal.joined_rates(convert_to))
    USING period, days.from_date, days.to_date, convert_to;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.attainment(text, text, date, date, text, text) IS
    'Internal: what crm_deals.attainment() does.';
