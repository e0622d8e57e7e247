-- The forecast: what is expected and what was won, month by month.

-- The amount in base is the amount in currency * times / per. The two numbers stay apart, so that an amount is divided
-- only once.
-- access: read
CREATE FUNCTION crm_deals_internal.rate_of_pair(currency text, base text, at date, OUT times numeric, OUT per numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    SELECT CASE WHEN r.currency = rate_of_pair.currency THEN r.rate ELSE 1 END,
           CASE WHEN r.currency = rate_of_pair.currency THEN 1 ELSE r.rate END
    INTO times, per
    FROM crm_deals.exchange_rate AS r
    WHERE r.valid_from <= at
      AND ((r.currency = rate_of_pair.currency AND r.base = rate_of_pair.base)
           OR (r.currency = rate_of_pair.base AND r.base = rate_of_pair.currency))
    ORDER BY r.currency = rate_of_pair.currency DESC, r.valid_from DESC
    LIMIT 1;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.rate_of_pair(text, text, date) IS
    'Internal: returns the rate between two currencies on a day, direct, else inverse, else NULL.';

-- access: read
CREATE FUNCTION crm_deals_internal.rate(currency text, convert_to text, at date, OUT times numeric, OUT per numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    leg record;
BEGIN
    IF currency = convert_to THEN
        times := 1;
        per := 1;
        RETURN;
    END IF;
    SELECT r.times, r.per INTO times, per FROM crm_deals_internal.rate_of_pair(currency, convert_to, at) AS r;
    IF times IS NOT NULL THEN
        RETURN;
    END IF;

    -- The conversion may go through one common base; of several, the first by name counts.
    SELECT f.times * t.per, f.per * t.times
    INTO times, per
    FROM (SELECT DISTINCT r.base FROM crm_deals.exchange_rate AS r WHERE r.currency = rate.currency
          UNION
          SELECT DISTINCT r.currency FROM crm_deals.exchange_rate AS r WHERE r.base = rate.currency) AS common (base),
         LATERAL crm_deals_internal.rate_of_pair(rate.currency, common.base, at) AS f,
         LATERAL crm_deals_internal.rate_of_pair(rate.convert_to, common.base, at) AS t
    WHERE f.times IS NOT NULL AND t.times IS NOT NULL
    ORDER BY common.base COLLATE "C"
    LIMIT 1;
    IF times IS NULL THEN
        RAISE EXCEPTION 'there is no exchange rate from % to % on %', currency, convert_to, at
            USING ERRCODE = 'P0002', HINT = 'Insert one into crm_deals.exchange_rate.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.rate(text, text, date) IS
    'Internal: returns how to convert a currency on a day: direct, else inverse, else through one common base.';

-- An amount that need not be divided keeps its decimals.
-- access: read
CREATE FUNCTION crm_deals_internal.converted(amount numeric, times numeric, per numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN per = 1 THEN amount * times ELSE amount * times / per END
$$;
COMMENT ON FUNCTION crm_deals_internal.converted(numeric, numeric, numeric) IS
    'Internal: converts an amount at an exchange rate.';

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

    -- Deals are summed by day first, since many deals have few days; then the month is found once for each day.
    RETURN QUERY EXECUTE format($query$
        WITH part AS (
            SELECT d.expected_close_date AS day, %1$s AS raw, d.currency, count(*) AS deals, sum(d.amount) AS amount,
                   sum(d.amount) * (d.probability * 0.01) AS weighted, 0 AS won_deals, NULL::numeric AS won_amount
            FROM %2$s
            WHERE d.status = 'open' AND %7$s AND %4$s
            GROUP BY d.expected_close_date, 2, d.currency, d.probability
            UNION ALL
            SELECT d.closed_at::date, %1$s, d.currency, 0, NULL, NULL, count(*), sum(d.amount)
            FROM %2$s
            WHERE d.status = 'won' AND d.closed_at IS NOT NULL AND %3$s AND %5$s
            GROUP BY 1, 2, d.currency
        ), monthly AS (
            -- Days beyond the years of timestamps have a month, too.
            SELECT CASE WHEN isfinite(p.day) THEN p.day - extract(day FROM p.day)::integer + 1 ELSE p.day END AS month,
                   p.raw, p.currency, sum(p.deals) AS deals,
                   sum(p.amount) AS amount, sum(p.weighted) AS weighted,
                   sum(p.won_deals) AS won_deals, sum(p.won_amount) AS won_amount
            FROM part AS p
            GROUP BY 1, p.raw, p.currency
        ), rate AS (
            SELECT c.currency, r.times, r.per
            FROM (SELECT m.currency FROM monthly AS m
                  GROUP BY m.currency HAVING bool_or(m.amount IS NOT NULL OR m.won_amount IS NOT NULL)) AS c,
                 LATERAL crm_deals_internal.rate(c.currency, coalesce($1, c.currency), $2) AS r
        ), g AS (
            SELECT m.month, m.raw, coalesce($1, m.currency) AS currency,
                   sum(m.deals)::bigint AS deals, sum(m.won_deals)::bigint AS won_deals,
                   coalesce(sum(crm_deals_internal.converted(m.amount, r.times, r.per)), 0) AS amount,
                   coalesce(sum(crm_deals_internal.converted(m.weighted, r.times, r.per)), 0) AS weighted,
                   coalesce(sum(crm_deals_internal.converted(m.won_amount, r.times, r.per)), 0) AS won_amount
            FROM monthly AS m
            LEFT JOIN rate AS r ON r.currency = m.currency
            GROUP BY m.month, m.raw, 3
        )
        SELECT g.month, g.raw::text, coalesce(%6$s, g.raw::text), g.currency, g.deals, g.amount, g.weighted,
               g.won_deals, g.won_amount
        FROM g
        ORDER BY 1 NULLS LAST, 3 NULLS LAST, 2 NULLS LAST, 4
        $query$, grouping.group_key, deals, condition,
        crm_deals_internal.within_days('d.expected_close_date', from_date, to_date),
        crm_deals_internal.within_days('d.closed_at', from_date, to_date), grouping.group_label, open_condition)
    USING convert_to, today;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.forecast(text, text, date, date, jsonb, text, timestamptz) IS
    'Internal: what crm_deals.forecast() does.';
