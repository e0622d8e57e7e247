-- The reports: first what they share, then each of them. A report gathers its deals into parts, by period and group.
-- Parts without a deal come from empty_groups().

-- access: read
CREATE FUNCTION crm_deals_internal.check_period(period text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF period NOT IN ('day', 'week', 'month', 'quarter', 'year') THEN
        RAISE EXCEPTION 'there is no period "%"', period
            USING ERRCODE = '22023', HINT = 'The periods are day, week, month, quarter, year; NULL is the whole range.';
    END IF;
    RETURN period;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_period(text) IS
    'Internal: returns a period, or raises an error if it is unknown.';

-- access: read
CREATE FUNCTION crm_deals_internal.period_start(period text, day date) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT date_trunc(period, day::timestamp)::date
$$;
COMMENT ON FUNCTION crm_deals_internal.period_start(text, date) IS
    'Internal: returns the first day of the period that a day is in, NULL if there are no periods.';

-- Counts on by one from period to period.
-- access: read
CREATE FUNCTION crm_deals_internal.period_number(period text, day date) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE period WHEN 'day' THEN day - '2001-01-01'::date
                       WHEN 'week' THEN floor((day - '2001-01-01'::date) / 7.0)
                       ELSE floor((extract(year FROM day) * 12 + extract(month FROM day) - 1)
                                  / CASE period WHEN 'month' THEN 1 WHEN 'quarter' THEN 3 ELSE 12 END) END::integer
$$;
COMMENT ON FUNCTION crm_deals_internal.period_number(text, date) IS
    'Internal: returns the number of the period that a day is in.';

-- The periods of a range, each with the day after its last day. Without a period, the whole range is one. An end that
-- the caller does not give is that of the data, but then one odd day far away does not make more than 10,000 periods.
-- access: read
CREATE FUNCTION crm_deals_internal.periods(period text, from_date date, to_date date, first_day date, last_day date)
    RETURNS TABLE (period_start date, next_start date)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step CONSTANT interval := CASE period WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || period)::interval END;
    range_end CONSTANT date := coalesce(to_date, least(last_day, greatest(from_date, CURRENT_DATE + 1)));
    range_start date := coalesce(from_date, first_day);
BEGIN
    IF period IS NULL THEN
        RETURN QUERY SELECT NULL::date, range_end + 1;
        RETURN;
    ELSIF NOT (isfinite(range_start) AND isfinite(range_end)) OR range_start IS NULL OR range_end IS NULL THEN
        RETURN;
    END IF;
    IF crm_deals_internal.period_number(period, range_end) - crm_deals_internal.period_number(period, range_start)
       >= 10000 THEN
        IF from_date IS NOT NULL THEN
            RAISE EXCEPTION 'the range has more than 10,000 periods'
                USING ERRCODE = '22023', HINT = 'Ask for longer periods or for fewer days.';
        END IF;
        range_start := range_end - CASE period WHEN 'day' THEN 9999 WHEN 'week' THEN 9999 * 7
                                               WHEN 'month' THEN 9998 * 30 WHEN 'quarter' THEN 9998 * 90
                                               ELSE 9998 * 365 END;
    END IF;
    RETURN QUERY
    SELECT p.start::date, least((p.start + step)::date, range_end + 1)
    FROM generate_series(date_trunc(period, range_start::timestamp), range_end::timestamp, step) AS p (start);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.periods(text, date, date, date, date) IS
    'Internal: returns the periods of a range of days, at most 10,000.';

-- Without groups every period has a row. With groups that are known beforehand, each of them has a row in every
-- period.
-- access: read
CREATE FUNCTION crm_deals_internal.empty_groups(by text, organization text, period text, from_date date, to_date date,
                                                first_day date, last_day date)
RETURNS TABLE (period_start date, group_key text, group_label text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.period_start, k.group_key, k.group_label
    FROM crm_deals_internal.periods(period, from_date, to_date, first_day, last_day) AS p,
         LATERAL (SELECT NULL::text AS group_key, NULL::text AS group_label WHERE by IS NULL
                  UNION ALL
                  SELECT k.group_key, k.group_label
                  FROM crm_deals_internal.known_groups(by, organization, NULL) AS k) AS k
$$;
COMMENT ON FUNCTION crm_deals_internal.empty_groups(text, text, text, date, date, date, date) IS
    'Internal: returns the rows that a report has even if no deal is in them.';

-- access: read
CREATE FUNCTION crm_deals_internal.report_scope(by text, period text, from_date date, to_date date, pipeline text,
                                                filter jsonb,
                                        OUT group_key text, OUT joined text, OUT group_label text,
                                        OUT condition text, OUT pipeline_id bigint, OUT organization text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    grouping record;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    period := crm_deals_internal.check_period(period);
    from_date := crm_deals_internal.check_range(from_date, to_date);
    pipeline_id := crm_deals_internal.find_pipeline(pipeline);
    organization := crm_deals_internal.organization_of(pipeline_id);
    grouping := crm_deals_internal.grouping(by, NULL, organization);
    group_key := grouping.group_key;
    joined := grouping.joined;
    group_label := grouping.group_label;
    condition := crm_deals_internal.filter_condition(filter, organization, pipeline_id);
    IF pipeline_id IS NOT NULL THEN
        condition := format('d.stage_id = ANY (%L) AND %s', crm_deals_internal.stages_of(pipeline_id), condition);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.report_scope(text, text, date, date, text, jsonb) IS
    'Internal: checks the arguments that reports share, and returns them as pieces of SQL.';

-- access: read
CREATE FUNCTION crm_deals_internal.win_rate(by text, period text, from_date date, to_date date, pipeline text,
                                            filter jsonb)
RETURNS TABLE (period_start date, group_key text, group_label text, won_count bigint, lost_count bigint,
               abandoned_count bigint, win_rate numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(by, period, from_date, to_date, pipeline, filter);
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH daily AS (
            SELECT d.closed_at::date AS day, %s AS raw, d.status, count(*) AS deals
            FROM crm_deals.deal AS d %s
            WHERE d.closed_at IS NOT NULL AND %s AND %s
            GROUP BY 1, 2, d.status
        ), g AS (
            SELECT crm_deals_internal.period_start($1, y.day) AS period_start, y.raw,
                   sum(y.deals) FILTER (WHERE y.status = 'won') AS won,
                   sum(y.deals) FILTER (WHERE y.status = 'lost') AS lost,
                   sum(y.deals) FILTER (WHERE y.status = 'abandoned') AS abandoned
            FROM daily AS y
            GROUP BY 1, y.raw
        ), part AS (
            SELECT g.period_start, g.raw::text AS group_key, coalesce(%s, g.raw::text) AS group_label, g.won, g.lost,
                   g.abandoned
            FROM g
            UNION ALL
            SELECT e.period_start, e.group_key, e.group_label, NULL, NULL, NULL
            FROM crm_deals_internal.empty_groups($2, $3, $1, $4, $5, (SELECT min(y.day) FROM daily AS y),
                                                 (SELECT max(y.day) FROM daily AS y)) AS e
        ), total AS (
            SELECT p.period_start, p.group_key, max(p.group_label) AS group_label,
                   coalesce(sum(p.won), 0)::bigint AS won,
                   coalesce(sum(p.lost), 0)::bigint AS lost, coalesce(sum(p.abandoned), 0)::bigint AS abandoned
            FROM part AS p
            GROUP BY p.period_start, p.group_key
        )
        SELECT t.period_start, t.group_key, t.group_label, t.won, t.lost, t.abandoned,
               round(t.won / nullif(t.won + t.lost, 0)::numeric, 4)
        FROM total AS t
        ORDER BY t.period_start, t.group_label, t.group_key
        $query$, scope.group_key, scope.joined, scope.condition,
        crm_deals_internal.within_days('d.closed_at', from_date, to_date), scope.group_label)
    USING period, by, scope.organization, from_date, to_date;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.win_rate(text, text, date, date, text, jsonb) IS
    'Internal: what crm_deals.win_rate() does.';

-- access: read
CREATE FUNCTION crm_deals_internal.lost_reasons(by text, period text, from_date date, to_date date, pipeline text,
                                                filter jsonb)
RETURNS TABLE (period_start date, group_key text, group_label text, lost_reason text, reason_label text, currency text,
               deal_count bigint, amount numeric, share numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(by, period, from_date, to_date, pipeline, filter);
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH daily AS (
            SELECT d.closed_at::date AS day, %s AS raw, d.lost_reason, d.currency, count(*) AS deals,
                   sum(d.amount) AS amount
            FROM crm_deals.deal AS d %s
            WHERE d.status = 'lost' AND d.closed_at IS NOT NULL AND %s AND %s
            GROUP BY 1, 2, d.lost_reason, d.currency
        ), g AS (
            SELECT crm_deals_internal.period_start($1, y.day) AS period_start, y.raw, y.lost_reason, y.currency,
                   sum(y.deals) AS deals, sum(y.amount) AS amount
            FROM daily AS y
            GROUP BY 1, y.raw, y.lost_reason, y.currency
        ), listed AS (
            SELECT DISTINCT ON (r.name) r.name, crm_deals_internal.label(r.labels, r.name) AS label, r.is_active
            FROM crm_deals.lost_reason AS r
            WHERE $6 IS NULL OR r.pipeline_id = $6
            ORDER BY r.name, r.is_active DESC, r.id
        ), part AS (
            SELECT g.period_start, g.raw::text AS group_key, coalesce(%s, g.raw::text) AS group_label,
                   g.lost_reason, g.currency, g.deals, g.amount
            FROM g
            UNION ALL
            SELECT e.period_start, e.group_key, e.group_label, l.name, NULL, 0, 0
            FROM crm_deals_internal.empty_groups($2, $3, $1, $4, $5, (SELECT min(y.day) FROM daily AS y),
                                                 (SELECT max(y.day) FROM daily AS y)) AS e,
                 listed AS l
            WHERE l.is_active
        ), total AS (
            SELECT p.*,
                   bool_or(p.currency IS NOT NULL) OVER (PARTITION BY p.period_start, p.group_key,
                                                         p.lost_reason) AS has_deals,
                   round(p.deals / nullif(sum(p.deals) OVER (PARTITION BY p.period_start, p.group_key), 0), 4) AS share
            FROM part AS p
        )
        SELECT t.period_start, t.group_key, t.group_label, t.lost_reason, coalesce(l.label, t.lost_reason), t.currency,
               t.deals::bigint, coalesce(t.amount, 0), t.share
        FROM total AS t
        LEFT JOIN listed AS l ON l.name = t.lost_reason
        WHERE t.currency IS NOT NULL OR NOT t.has_deals
        ORDER BY t.period_start, t.group_label, t.group_key,
                 sum(t.deals) OVER (PARTITION BY t.period_start, t.group_key, t.lost_reason) DESC,
                 t.lost_reason, t.currency
        $query$, scope.group_key, scope.joined, scope.condition,
        crm_deals_internal.within_days('d.closed_at', from_date, to_date), scope.group_label)
    USING period, by, scope.organization, from_date, to_date, scope.pipeline_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.lost_reasons(text, text, date, date, text, jsonb) IS
    'Internal: what crm_deals.lost_reasons() does.';

-- access: read
CREATE FUNCTION crm_deals_internal.sales_velocity(by text, period text, from_date date, to_date date, pipeline text,
                                                  filter jsonb)
RETURNS TABLE (period_start date, group_key text, group_label text, currency text, open_count bigint, won_count bigint,
               lost_count bigint, win_rate numeric, mean_won_amount numeric, mean_days_to_win numeric, velocity numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(by, period, from_date, to_date, pipeline, filter);
BEGIN
    -- A deal is open at the end of a period if it was created by then and not closed: the sum of all steps until then
    -- counts them.
    RETURN QUERY EXECUTE format($query$
        WITH step AS (
            SELECT d.created_at::date AS day, %1$s AS raw, d.currency, count(*) AS net, 0 AS won, 0 AS lost,
                   NULL::numeric AS won_amount, 0 AS won_amounts, NULL::numeric AS won_seconds
            FROM crm_deals.deal AS d %2$s
            WHERE (d.closed_at IS NULL OR (d.closed_at::date >= d.created_at::date AND %4$s)) AND %5$s AND %3$s
            GROUP BY 1, 2, d.currency
            UNION ALL
            SELECT d.closed_at::date, %1$s, d.currency,
                   -count(*) FILTER (WHERE d.created_at::date <= d.closed_at::date),
                   count(*) FILTER (WHERE d.status = 'won'), count(*) FILTER (WHERE d.status = 'lost'),
                   sum(d.amount) FILTER (WHERE d.status = 'won'), count(d.amount) FILTER (WHERE d.status = 'won'),
                   sum(greatest(extract(epoch FROM d.closed_at - d.created_at), 0)) FILTER (WHERE d.status = 'won')
            FROM crm_deals.deal AS d %2$s
            WHERE d.closed_at IS NOT NULL AND %6$s AND %3$s
            GROUP BY 1, 2, d.currency
        ), period AS (
            SELECT p.period_start, p.next_start, lag(p.next_start) OVER (ORDER BY p.next_start) AS previous
            FROM crm_deals_internal.periods($1, $2, coalesce($3, CURRENT_DATE),
                                            (SELECT min(s.day) FROM step AS s), NULL) AS p
        ), g AS (
            SELECT s.raw, s.currency FROM step AS s GROUP BY s.raw, s.currency
        ), series AS (
            SELECT g.raw::text AS group_key, coalesce(%7$s, g.raw::text) AS group_label, g.currency,
                   p.period_start, p.next_start, t.net, t.won, t.lost, t.won_amount, t.won_amounts, t.won_seconds
            FROM g
            CROSS JOIN period AS p
            LEFT JOIN (SELECT s.raw, s.currency, p.next_start, sum(s.net) AS net, sum(s.won) AS won,
                       sum(s.lost) AS lost,
                              sum(s.won_amount) AS won_amount, sum(s.won_amounts) AS won_amounts,
                              sum(s.won_seconds) AS won_seconds
                       FROM step AS s
                       JOIN period AS p ON s.day < p.next_start AND (s.day >= p.previous OR p.previous IS NULL)
                       GROUP BY s.raw, s.currency, p.next_start) AS t
              ON coalesce(t.raw::text, '') = coalesce(g.raw::text, '') AND (t.raw IS NULL) = (g.raw IS NULL)
             AND t.currency = g.currency AND t.next_start = p.next_start
        ), known AS (
            SELECT k.group_key, k.group_label FROM crm_deals_internal.known_groups($4, $5, NULL) AS k
            UNION ALL
            SELECT NULL, NULL WHERE $4 IS NULL
        ), total AS (
            SELECT s.period_start, s.group_key, s.group_label, s.currency,
                   sum(s.net) OVER (PARTITION BY s.group_key, s.currency ORDER BY s.next_start)::bigint AS open,
                   coalesce(s.won, 0)::bigint AS won, coalesce(s.lost, 0)::bigint AS lost,
                   s.won / nullif(s.won + s.lost, 0) AS rate, s.won_amount / nullif(s.won_amounts, 0) AS mean_amount,
                   s.won_seconds / 86400 / nullif(s.won, 0) AS mean_days
            FROM series AS s
            UNION ALL
            SELECT p.period_start, k.group_key, k.group_label, NULL, 0, 0, 0, NULL, NULL, NULL
            FROM known AS k
            CROSS JOIN period AS p
            WHERE NOT EXISTS (SELECT FROM series AS s WHERE s.group_key IS NOT DISTINCT FROM k.group_key)
        )
        SELECT t.period_start, t.group_key, t.group_label, t.currency, coalesce(t.open, 0), t.won, t.lost,
               round(t.rate, 4), t.mean_amount, t.mean_days,
               t.open * t.rate * t.mean_amount / CASE WHEN t.mean_days > 0 THEN t.mean_days END
        FROM total AS t
        WHERE t.open > 0 OR t.won > 0 OR t.lost > 0
           OR EXISTS (SELECT FROM known AS k WHERE k.group_key IS NOT DISTINCT FROM t.group_key)
        ORDER BY t.period_start, t.group_label, t.group_key, t.currency
        $query$, scope.group_key, scope.joined, scope.condition,
        crm_deals_internal.within_days('d.closed_at', from_date, NULL),
        crm_deals_internal.within_days('d.created_at', NULL, to_date),
        crm_deals_internal.within_days('d.closed_at', from_date, to_date), scope.group_label)
    USING period, from_date, to_date, by, scope.organization;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.sales_velocity(text, text, date, date, text, jsonb) IS
    'Internal: what crm_deals.sales_velocity() does.';

-- access: read
CREATE FUNCTION crm_deals_internal.pipeline_summary(by text, period text, from_date date, to_date date, pipeline text,
                                                    filter jsonb)
RETURNS TABLE (group_key text, group_label text, pipeline_id bigint, stage_id bigint, stage_key text, stage_label text,
               currency text, deal_count bigint, amount numeric, weighted_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(by, period, from_date, to_date, pipeline, filter);
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH fine AS (
            SELECT d.stage_id, %s AS raw, d.currency, d.probability, count(*) AS deals, sum(d.amount) AS amount
            FROM crm_deals.deal AS d %s
            WHERE %s AND %s
            GROUP BY d.stage_id, 2, d.currency, d.probability, scale(d.probability)
        ), g AS (
            SELECT f.stage_id, f.raw, f.currency, sum(f.deals)::bigint AS deals, coalesce(sum(f.amount), 0) AS amount,
                   coalesce(sum(f.amount * (f.probability * 0.01)), 0.00) AS weighted
            FROM fine AS f
            GROUP BY f.stage_id, f.raw, f.currency
        ), part AS (
            SELECT g.stage_id, g.raw::text AS group_key, coalesce(%s, g.raw::text) AS group_label, g.currency,
                   g.deals, g.amount, g.weighted
            FROM g
        ), total AS (
            SELECT p.* FROM part AS p
            UNION ALL
            SELECT s.id, e.group_key, e.group_label, NULL, 0, 0, 0
            FROM crm_deals_internal.empty_groups($1, $2, NULL, NULL, NULL, NULL, NULL) AS e, crm_deals.stage AS s
            WHERE s.archived_at IS NULL AND ($3 IS NULL OR s.pipeline_id = $3)
              AND NOT EXISTS (SELECT FROM part AS p WHERE p.stage_id = s.id AND p.group_key IS NOT DISTINCT
                              FROM e.group_key)
        )
        SELECT t.group_key, t.group_label, s.pipeline_id, s.id, s.key, crm_deals_internal.label(s.labels, s.name),
               t.currency,
               t.deals, t.amount, t.weighted
        FROM total AS t
        JOIN crm_deals.stage AS s ON s.id = t.stage_id
        ORDER BY t.group_label, t.group_key, s.pipeline_id, s.position, t.currency
        $query$, scope.group_key, scope.joined, scope.condition,
        crm_deals_internal.within_days('d.created_at', from_date, to_date), scope.group_label)
    USING by, scope.organization, scope.pipeline_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.pipeline_summary(text, text, date, date, text, jsonb) IS
    'Internal: what crm_deals.pipeline_summary() does.';

-- access: read
CREATE FUNCTION crm_deals_internal.stage_conversion(by text, period text, from_date date, to_date date, pipeline text,
                                                    filter jsonb)
RETURNS TABLE (period_start date, group_key text, group_label text, pipeline_id bigint, stage_id bigint, stage_key text,
               stage_label text, entered_count bigint, converted_count bigint, conversion_rate numeric,
               median_stay interval)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    scope record := crm_deals_internal.report_scope(by, period, from_date, to_date, pipeline, filter);
BEGIN
    -- rank says how far a stage is: its position, with won furthest, and lost and abandoned nowhere. Events before the
    -- range are not read.
    RETURN QUERY EXECUTE format($query$
        WITH ranked AS MATERIALIZED (
            SELECT s.id, s.pipeline_id, s.position, s.status,
                   CASE s.status WHEN 'open' THEN s.position::bigint WHEN 'won' THEN 9223372036854775807 END AS rank
            FROM crm_deals.stage AS s
        ), stay AS (
            SELECT e.deal_id, e.version, e.stage_id, e.entered_at,
                   lead(e.occurred_at) OVER (PARTITION BY e.deal_id ORDER BY e.version) AS left_at
            FROM (SELECT e.deal_id, e.version, e.to_stage_id AS stage_id, e.occurred_at,
                         CASE e.kind WHEN 'created'
                                     THEN least(e.occurred_at, (e.changes -> 'stage_entered_at' ->> 1)::timestamptz)
                                     ELSE e.occurred_at END AS entered_at
                  FROM crm_deals.deal_event AS e
                  WHERE e.from_stage_id IS DISTINCT FROM e.to_stage_id AND %s
                  OFFSET 0) AS e
        ), judged AS (
            SELECT s.deal_id, s.stage_id, s.entered_at, s.left_at - s.entered_at AS duration, r.status,
                   max(r.rank) OVER (PARTITION BY s.deal_id, r.pipeline_id ORDER BY s.version
                                     ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) > r.rank AS converted
            FROM stay AS s
            JOIN ranked AS r ON r.id = s.stage_id
        ), entry AS (
            SELECT crm_deals_internal.period_start($1, j.entered_at::date) AS period_start, %s AS raw, j.stage_id,
                   j.deal_id, j.duration,
                   coalesce(j.converted, false) AS converted
            FROM judged AS j
            JOIN crm_deals.deal AS d ON d.id = j.deal_id %s
            WHERE j.status = 'open' AND %s AND %s
        ), g AS (
            SELECT n.period_start, n.raw, n.stage_id, count(DISTINCT n.deal_id) AS entered,
                   count(DISTINCT n.deal_id) FILTER (WHERE n.converted) AS converted,
                   percentile_cont(0.5) WITHIN GROUP (ORDER BY n.duration) AS median
            FROM entry AS n
            GROUP BY n.period_start, n.raw, n.stage_id
        ), part AS (
            SELECT g.period_start, g.raw::text AS group_key, coalesce(%s, g.raw::text) AS group_label, g.stage_id,
                   g.entered, g.converted, g.median
            FROM g
        ), total AS (
            SELECT p.* FROM part AS p
            UNION ALL
            SELECT e.period_start, e.group_key, e.group_label, r.id, 0, 0, NULL
            FROM crm_deals_internal.empty_groups($2, $3, $1, $4, $5,
                                                 (SELECT min(n.entered_at)::date FROM judged AS n),
                                                 (SELECT max(n.entered_at)::date FROM judged AS n)) AS e
            JOIN crm_deals.stage AS r ON r.status = 'open' AND r.archived_at IS NULL
                AND ($6 IS NULL OR r.pipeline_id = $6)
            WHERE NOT EXISTS (SELECT FROM part AS p
                              WHERE p.stage_id = r.id AND p.period_start IS NOT DISTINCT FROM e.period_start
                                AND p.group_key IS NOT DISTINCT FROM e.group_key)
        )
        SELECT t.period_start, t.group_key, t.group_label, s.pipeline_id, s.id, s.key,
               crm_deals_internal.label(s.labels, s.name),
               t.entered, t.converted, round(t.converted / nullif(t.entered, 0)::numeric, 4), t.median
        FROM total AS t
        JOIN crm_deals.stage AS s ON s.id = t.stage_id
        ORDER BY t.period_start, t.group_label, t.group_key, s.pipeline_id, s.position
        $query$, crm_deals_internal.within_days('e.occurred_at', from_date, NULL), scope.group_key, scope.joined,
        scope.condition,
        crm_deals_internal.within_days('j.entered_at', from_date, to_date), scope.group_label)
    USING period, by, scope.organization, from_date, to_date, scope.pipeline_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stage_conversion(text, text, date, date, text, jsonb) IS
    'Internal: what crm_deals.stage_conversion() does.';
