-- Exchange rates: what amounts of several currencies are worth in one.

-- access: read
CREATE FUNCTION crm_deals_internal.check_convert_to(convert_to text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF convert_to !~* '^[a-z]{3}$' THEN
        RAISE EXCEPTION 'convert_to is "%"', convert_to
            USING ERRCODE = '22023', HINT = 'It is a currency of three letters, such as EUR.';
    END IF;
    RETURN upper(convert_to);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_convert_to(text) IS
    'Internal: returns a currency in capitals, or raises an error if it is none.';

-- access: read
CREATE FUNCTION crm_deals_internal.rate_of_pair(currency text, base text, day text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('(SELECT r.rate FROM crm_deals.exchange_rate AS r
                    WHERE r.currency = %s AND r.base = %s AND r.valid_from <= %s
                    ORDER BY r.valid_from DESC LIMIT 1)', currency, base, day)
$$;
COMMENT ON FUNCTION crm_deals_internal.rate_of_pair(text, text, text) IS
    'Internal: returns the rate of one currency in another on a day, as a piece of SQL over three expressions.';

-- The rates of currencies on days: the two arrays are pairs. An amount in the new currency is amount * times / per; the
-- two numbers stay apart, so that an amount is divided only once. A rate is direct, else inverse, else it leads through
-- one common base, of several the first by name. What has no rate has no row, and one WARNING names the currencies.
-- access: read
CREATE FUNCTION crm_deals_internal.rates(currencies text[], days date[], convert_to text)
RETURNS TABLE (currency text, day date, times numeric, per numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    missing text[] := '{}';
BEGIN
    FOR currency, day, times, per IN EXECUTE format($query$
        WITH straight AS MATERIALIZED (
            SELECT w.currency, w.day, CASE w.currency WHEN $3 THEN 1 ELSE %s END AS direct, %s AS inverse
            FROM (SELECT DISTINCT w.currency, w.day FROM unnest($1, $2) AS w (currency, day)) AS w
        ), pair AS MATERIALIZED (
            SELECT r.currency, r.base FROM crm_deals.exchange_rate AS r
            UNION
            SELECT r.base, r.currency FROM crm_deals.exchange_rate AS r
        ), leg AS (
            SELECT s.currency, s.day, f.base, %s AS first_direct, %s AS first_inverse, %s AS last_direct,
                   %s AS last_inverse
            FROM straight AS s
            JOIN pair AS f ON f.currency = s.currency
            JOIN pair AS t ON t.currency = $3 AND t.base = f.base
            WHERE s.direct IS NULL AND s.inverse IS NULL
        ), through AS (
            SELECT DISTINCT ON (l.currency, l.day) l.currency, l.day,
                   coalesce(l.first_direct, 1) * coalesce(l.last_direct, 1) AS times,
                   CASE WHEN l.first_direct IS NULL THEN l.first_inverse ELSE 1 END
                   * CASE WHEN l.last_direct IS NULL THEN l.last_inverse ELSE 1 END AS per
            FROM leg AS l
            WHERE coalesce(l.first_direct, l.first_inverse) > 0 AND coalesce(l.last_direct, l.last_inverse) > 0
            ORDER BY l.currency, l.day, l.base COLLATE "C"
        )
        SELECT s.currency, s.day, coalesce(s.direct, CASE WHEN s.inverse > 0 THEN 1 END, t.times),
               CASE WHEN s.direct > 0 THEN 1 ELSE coalesce(s.inverse, t.per) END
        FROM straight AS s
        LEFT JOIN through AS t ON t.currency = s.currency AND t.day = s.day
        $query$, crm_deals_internal.rate_of_pair('w.currency', '$3', 'w.day'),
        crm_deals_internal.rate_of_pair('$3', 'w.currency', 'w.day'),
        crm_deals_internal.rate_of_pair('s.currency', 'f.base', 's.day'),
        crm_deals_internal.rate_of_pair('f.base', 's.currency', 's.day'),
        crm_deals_internal.rate_of_pair('f.base', '$3', 's.day'),
        crm_deals_internal.rate_of_pair('$3', 'f.base', 's.day'))
        USING currencies, days, convert_to
    LOOP
        IF times IS NOT NULL THEN
            RETURN NEXT;
        ELSIF currency <> ALL (missing) THEN
            missing := missing || currency;
        END IF;
    END LOOP;
    IF missing <> '{}' THEN
        RAISE WARNING 'there is no exchange rate to % for %', convert_to,
                      (SELECT string_agg(m.currency, ', ' ORDER BY m.currency COLLATE "C")
                       FROM unnest(missing) AS m (currency))
            USING DETAIL = 'What has no rate is in rows of its own currency.',
                  HINT = 'Insert a rate that is valid on these days into crm_deals.exchange_rate.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.rates(text[], date[], text) IS
    'Internal: returns how to convert currencies on days, and warns of those that have no rate.';

-- An amount that need not be divided keeps its decimals. One without a rate stays as it is.
-- access: read
CREATE FUNCTION crm_deals_internal.converted(amount text, times text, per text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('CASE WHEN %2$s IS NULL THEN %1$s WHEN %3$s = 1 THEN %1$s * %2$s ELSE %1$s * %2$s / %3$s END', amount,
                  times, per)
$$;
COMMENT ON FUNCTION crm_deals_internal.converted(text, text, text) IS
    'Internal: returns an amount at a rate of rates(), as a piece of SQL over three expressions.';

-- Without a currency to convert to nothing is joined, since a plan that sorts for it takes a quarter longer.
-- access: read
CREATE FUNCTION crm_deals_internal.joined_rates(convert_to text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN convert_to IS NULL THEN 'CROSS JOIN (SELECT NULL::numeric AS times, NULL::numeric AS per) AS r'
                ELSE 'LEFT JOIN rate AS r ON r.currency = p.currency AND r.day = p.rate_day' END
$$;
COMMENT ON FUNCTION crm_deals_internal.joined_rates(text) IS
    'Internal: returns the join of parts p with their rates r, as a piece of SQL.';
