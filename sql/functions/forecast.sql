-- The forecast: what is expected and what was won, month by month.

-- access: read
CREATE FUNCTION crm_deals_internal.forecast(pipeline text, convert_to text, from_date date, to_date date,
                                            filter jsonb, group_by text, as_of timestamptz)
RETURNS TABLE (month date, group_key text, group_label text, currency text, deal_count bigint, amount numeric,
               weighted_amount numeric, won_count bigint, won_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    pipeline_id bigint;
    organization text;
    today CONSTANT date := coalesce(as_of::date, CURRENT_DATE);
    grouping record;
    deals text;
    condition text;
    open_condition text;    -- the stages of today say little of the past
BEGIN
    PERFORM crm_deals_internal.check_installed();
    from_date := crm_deals_internal.check_range(from_date, to_date);
    convert_to := crm_deals_internal.check_convert_to(convert_to);
    pipeline_id := crm_deals_internal.find_pipeline(pipeline);
    organization := crm_deals_internal.organization_of(pipeline_id);
    grouping := crm_deals_internal.grouping(group_by, NULL, organization);
    deals := CASE WHEN as_of IS NULL THEN 'crm_deals.deal'
        ELSE crm_deals_internal.deals_before(as_of) END || ' AS d ' || grouping.joined;
    condition := crm_deals_internal.filter_condition(filter, organization, pipeline_id, today);
    IF pipeline_id IS NOT NULL THEN
        condition := format('d.stage_id = ANY (%L) AND %s', crm_deals_internal.stages_of(pipeline_id), condition);
    END IF;
    open_condition := condition;
    IF as_of IS NULL THEN
        open_condition := format('d.stage_id = ANY (%L) AND %s',
                                 crm_deals_internal.stages_of(pipeline_id, ARRAY['open']), condition);
    END IF;

    -- Deals are summed by day first, since many deals have few days; then the month is found once for each day. What
    -- was won is converted at the rate of its day.
    RETURN QUERY EXECUTE format($query$
        WITH part AS %8$s MATERIALIZED (
            SELECT d.expected_close_date AS day, %1$s AS raw, d.currency, count(*) AS deals, sum(d.amount) AS amount,
                   sum(d.amount * (d.probability * 0.01)) AS weighted, 0 AS won_deals, NULL::numeric AS won_amount,
                   $2 AS rate_day
            FROM %2$s
            WHERE d.status = 'open' AND %7$s AND %4$s
            GROUP BY d.expected_close_date, 2, d.currency
            UNION ALL
            SELECT d.closed_at::date, %1$s, d.currency, 0, NULL, NULL, count(*), sum(d.amount), d.closed_at::date
            FROM %2$s
            WHERE d.status = 'won' AND d.closed_at IS NOT NULL AND %3$s AND %5$s
            GROUP BY 1, 2, d.currency
        ), rate AS MATERIALIZED (
            SELECT r.*
            FROM (SELECT array_agg(n.currency) AS currencies, array_agg(n.rate_day) AS days
                  FROM (SELECT DISTINCT p.currency, p.rate_day FROM part AS p WHERE $1 IS NOT NULL) AS n) AS n,
                 LATERAL crm_deals_internal.rates(n.currencies, n.days, $1) AS r
            WHERE n.currencies IS NOT NULL
        ), monthly AS (
            -- Days beyond the years of timestamps have a month, too.
            SELECT CASE WHEN isfinite(p.day) THEN p.day - extract(day FROM p.day)::integer + 1 ELSE p.day END AS month,
                   p.raw, p.currency, r.times, r.per, sum(p.deals) AS deals,
                   sum(p.amount) AS amount, sum(p.weighted) AS weighted,
                   sum(p.won_deals) AS won_deals, sum(p.won_amount) AS won_amount
            FROM part AS p
            %12$s
            GROUP BY 1, p.raw, p.currency, r.times, r.per
        ), g AS (
            SELECT m.month, m.raw, CASE WHEN m.times IS NULL THEN m.currency ELSE $1 END AS currency,
                   sum(m.deals)::bigint AS deals, sum(m.won_deals)::bigint AS won_deals,
                   coalesce(sum(%9$s), 0) AS amount, coalesce(sum(%10$s), 0) AS weighted,
                   coalesce(sum(%11$s), 0) AS won_amount
            FROM monthly AS m
            GROUP BY m.month, m.raw, 3
        )
        SELECT g.month, g.raw::text, coalesce(%6$s, g.raw::text), g.currency, g.deals, g.amount, g.weighted,
               g.won_deals, g.won_amount
        FROM g
        ORDER BY 1 NULLS LAST, 3 NULLS LAST, 2 NULLS LAST, 4
        $query$, grouping.group_key, deals, condition,
        crm_deals_internal.within_days('d.expected_close_date', from_date, to_date),
        crm_deals_internal.within_days('d.closed_at', from_date, to_date), grouping.group_label, open_condition,
        CASE WHEN convert_to IS NULL THEN 'NOT' END,
        crm_deals_internal.converted('m.amount', 'm.times', 'm.per'),
        crm_deals_internal.converted('m.weighted', 'm.times', 'm.per'),
        crm_deals_internal.converted('m.won_amount', 'm.times', 'm.per'),
        crm_deals_internal.joined_rates(convert_to))
    USING convert_to, today;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.forecast(text, text, date, date, jsonb, text, timestamptz) IS
    'Internal: what crm_deals.forecast() does.';
