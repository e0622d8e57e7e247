-- Why a row is refused before anything is written. import_refuse_values() says early, and of all rows, what the
-- constraints of the table would refuse one by one. All other rules are those that the triggers enforce, judged by the
-- same code (src/rules).

-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_values(given text[], chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gives_name boolean := 'name' = ANY (given);
    gives_account boolean := 'account_id' = ANY (given);
    gives_contact boolean := 'primary_contact_id' = ANY (given);
    gives_owner boolean := 'owner_id' = ANY (given)
                           AND (SELECT h.host FROM crm_deals_internal.host('owner') AS h) IS NOT NULL;
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = concat_ws(E'\n', r._problem, j.problem)
    FROM (SELECT r._row, nullif(concat_ws(E'\n',
              CASE WHEN (r._is_new OR gives_name) AND s.name IS NULL
                   THEN 'A deal needs a name.' END,
              CASE WHEN s.amount < 0 THEN 'The amount is negative.'
                   WHEN s.amount >= 'Infinity' THEN 'The amount is not finite.' END,
              CASE WHEN s.probability < 0 OR s.probability > 100 THEN 'The probability is not between 0 and 100.' END,
              CASE WHEN NOT isfinite(s.expected_close_date) OR NOT isfinite(s.closed_at)
                        OR NOT isfinite(s._closed_at_from) OR NOT isfinite(s.created_at)
                        OR NOT isfinite(s.stage_entered_at)
                   THEN 'A date is not finite.' END,
              CASE WHEN jsonb_typeof(r.custom_fields) <> 'object' THEN 'custom_fields is not an object.' END,
              CASE WHEN gives_account AND s.account_id IS NOT NULL
                        AND NOT EXISTS (SELECT FROM crm_deals._account AS a WHERE a.id = s.account_id)
                   THEN format('Account %s does not exist.', s.account_id) END,
              CASE WHEN gives_contact AND s.primary_contact_id IS NOT NULL
                        AND NOT EXISTS (SELECT FROM crm_deals._contact AS c WHERE c.id = s.primary_contact_id)
                   THEN format('Contact %s does not exist.', s.primary_contact_id) END,
              CASE WHEN gives_owner AND s.owner_id IS NOT NULL
                        AND NOT EXISTS (SELECT FROM crm_deals._owner AS o WHERE o.id = s.owner_id)
                   THEN format('Owner %s does not exist.', s.owner_id) END), '') AS problem
          FROM pg_temp._crm_deals_rows AS r
          JOIN pg_temp._crm_deals_source AS s ON s._row = r._row
          WHERE chosen IS NULL OR r._row = ANY (chosen)) AS j
    WHERE r._row = j._row AND j.problem IS NOT NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_values(text[], bigint[]) IS
    'Internal: refuses rows with values that a constraint of deal refuses.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_broken_rules(old anyelement, stated anyelement) RETURNS text
LANGUAGE c STABLE COST 100 AS 'MODULE_PATHNAME', 'crm_deals_import_broken_rules';
COMMENT ON FUNCTION crm_deals_internal.import_broken_rules(anyelement, anyelement) IS
    'Internal: returns the rules, gates apart, that a deal would break if it became what a row states, or NULL.';

-- Columns that no rule judges are NULL. So are columns that the source lacks: of these it states nothing.
-- access: write
CREATE FUNCTION crm_deals_internal.import_stated_deal() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('ROW(%s)::crm_deals.deal', string_agg(coalesce(v.value, 'NULL'), ', ' ORDER BY a.attnum))
    FROM pg_attribute AS a
    LEFT JOIN (VALUES ('organization', 's.organization'), ('pipeline_id', 'p.given_id'), ('stage_id', 'r.stage_id'),
                      ('currency', 's.currency'), ('closed_at', 'r.closed_at'), ('lost_reason', 'r.lost_reason'),
                      ('created_at', 's.created_at'), ('stage_entered_at', 'r.stage_entered_at'),
                      ('expected_close_date', 's.expected_close_date'), ('amount', 's.amount'),
                      ('custom_fields', 'r.custom_fields')) AS v (name, value) ON v.name = a.attname
    WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stated_deal() IS
    'Internal: returns the expression that makes a row of deal of what a row of the source states.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_contradictions(chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format($query$
        UPDATE pg_temp._crm_deals_rows AS r
        SET _problem = j.problem
        FROM (SELECT r._row, crm_deals_internal.import_broken_rules(d.deal, %s) AS problem
              FROM pg_temp._crm_deals_rows AS r
              JOIN pg_temp._crm_deals_source AS s ON s._row = r._row
              JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
              LEFT JOIN LATERAL (SELECT ROW(d.*)::crm_deals.deal AS deal FROM crm_deals.deal AS d
                                 WHERE d.id = r.id AND NOT r._is_new OFFSET 0) AS d ON true
              WHERE r._problem IS NULL AND r.stage_id IS NOT NULL AND jsonb_typeof(r.custom_fields) = 'object'
                AND ($1 IS NULL OR r._row = ANY ($1)) OFFSET 0) AS j
        WHERE r._row = j._row AND j.problem IS NOT NULL
        $query$, crm_deals_internal.import_stated_deal())
    USING chosen;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_contradictions(bigint[]) IS
    'Internal: refuses rows that contradict themselves, the configuration or the deal that is there.';
