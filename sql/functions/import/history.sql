-- The history of new deals: each row of it becomes an event of the log.

-- The last event makes the deal what its source says. If no event has an amount, the deal has its amount from the
-- first event on.
-- access: write
CREATE FUNCTION crm_deals_internal.import_number_steps(given text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.import_find_stages(array_agg(w.pipeline_id), array_agg(w.stage))
    FROM (SELECT DISTINCT r.pipeline_id, h.stage
          FROM pg_temp._crm_deals_history AS h
          JOIN pg_temp._crm_deals_rows AS r ON r.external_id = h.external_id
          WHERE r._problem IS NULL AND h.stage IS NOT NULL) AS w
    HAVING count(*) > 0;

    CREATE TEMPORARY TABLE pg_temp._crm_deals_steps ON COMMIT DROP AS
    SELECT e._row, e.id, e.step, e.is_last, e.stage_id, e.entered_at, e.actor,
           CASE WHEN e.is_last THEN coalesce(e.final_reason, e.lost_reason) ELSE e.lost_reason END AS lost_reason,
           CASE WHEN e.is_last OR NOT e.has_amounts AND e.step = 1 THEN coalesce(e.amount, e.final_amount)
                ELSE e.amount END AS amount,
           CASE WHEN e.is_last THEN e.closed_at END AS closed_at,
           CASE WHEN e.is_last THEN e.probability END AS probability,
           -- what the judgement of the history needs
           e.problem, e.stage, e.choices, e.amount AS given_amount, e.lost_reason AS given_reason, e.final_amount,
           lag(e.entered_at) OVER deal AS previous_at, lag(e.stage_id) OVER deal AS previous_stage_id,
           lag(e.amount) OVER deal AS previous_amount
    FROM (SELECT r._row, r.id, h._problem AS problem, h.stage, h.entered_at, h.actor, h.lost_reason, h.amount,
                 m.choices, t.id AS stage_id, s.lost_reason AS final_reason, s.closed_at, s.probability,
                 CASE WHEN 'amount' = ANY (given) THEN s.amount END AS final_amount,
                 row_number() OVER deal AS step, lead(h._row) OVER deal IS NULL AS is_last,
                 bool_or(h.amount IS NOT NULL) OVER (PARTITION BY r._row) AS has_amounts
          FROM pg_temp._crm_deals_history AS h
          JOIN pg_temp._crm_deals_rows AS r ON r.external_id = h.external_id
          JOIN pg_temp._crm_deals_source AS s ON s._row = r._row
          LEFT JOIN pg_temp._crm_deals_stages AS m ON m.pipeline_id = r.pipeline_id AND m.stage = h.stage
          LEFT JOIN crm_deals.stage AS t ON t.id = m.id AND t.pipeline_id = r.pipeline_id
          WHERE r._problem IS NULL
          WINDOW deal AS (PARTITION BY r._row ORDER BY h.entered_at, h._row)) AS e
    WINDOW deal AS (PARTITION BY e._row ORDER BY e.step);
    CREATE INDEX ON pg_temp._crm_deals_steps (step, _row);
    ANALYZE pg_temp._crm_deals_steps;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_number_steps(text[]) IS
    'Internal: fills _crm_deals_steps with the events of the history, numbered for each deal.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_judge_steps() RETURNS TABLE (row_number bigint, problem text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e._row, nullif(concat_ws(E'\n',
        e.problem,
        CASE WHEN e.choices IS NOT NULL THEN format('Stage "%s" of its history is ambiguous.', e.stage)
             WHEN e.stage_id IS NULL
             THEN format('Stage "%s" of its history does not exist in its pipeline.', e.stage) END,
        CASE WHEN t.archived_at IS NOT NULL THEN format('Stage "%s" of its history is archived.', e.stage) END,
        CASE WHEN e.entered_at IS NULL AND e.problem IS NULL THEN 'A row of its history has no entered_at.'
             WHEN NOT isfinite(e.entered_at) THEN 'A date of its history is not finite.'
             WHEN e.entered_at < '1900-01-01 00:00:00+00' THEN 'Its history begins before 1900.'
             WHEN e.entered_at > clock_timestamp() THEN 'Its history goes on in the future.'
             WHEN e.entered_at = e.previous_at
             THEN format('Its history has two rows of %s.', e.entered_at) END,
        CASE WHEN e.stage_id = e.previous_stage_id
                  AND (e.given_amount IS NULL OR e.given_amount = e.previous_amount)
             THEN format('Its history enters stage "%s" twice in a row.', e.stage) END,
        CASE WHEN e.given_amount < 0 OR e.given_amount >= 'Infinity'
             THEN 'An amount of its history is negative or not finite.'
             WHEN e.given_amount >= 1e18 THEN 'An amount of its history is 10^18 or more.' END,
        CASE WHEN t.status <> 'lost' AND e.given_reason IS NOT NULL
             THEN format('Stage "%s" of its history is not lost, yet has a lost reason.', e.stage)
             WHEN t.status = 'lost' AND p.lost_reason_required AND NOT e.is_last AND e.given_reason IS NULL
             THEN format('Stage "%s" of its history needs a lost_reason.', e.stage) END,
        CASE WHEN e.is_last AND e.stage_id <> r.stage_id
             THEN 'Its history ends in another stage than the deal is in.' END,
        CASE WHEN e.is_last AND e.given_amount <> e.final_amount
             THEN format('Its history ends with the amount %s, the deal has %s.',
                         e.given_amount, e.final_amount) END), '')
    FROM pg_temp._crm_deals_steps AS e
    JOIN pg_temp._crm_deals_rows AS r ON r._row = e._row
    JOIN crm_deals.pipeline AS p ON p.id = r.pipeline_id
    LEFT JOIN crm_deals.stage AS t ON t.id = e.stage_id
    WHERE r._is_new;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge_steps() IS
    'Internal: returns for each event of the history of a new deal why it is refused, or NULL.';

-- A deal that exists has its history in the log. The same history may be imported again: it says nothing new.
-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_histories() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = 'The deal exists already: a history is imported along with a new one.'
    WHERE NOT r._is_new
      AND EXISTS (SELECT FROM pg_temp._crm_deals_steps AS f
                  WHERE f._row = r._row
                    AND NOT EXISTS (SELECT FROM crm_deals.deal_event AS v
                                    WHERE v.deal_id = r.id AND v.occurred_at = f.entered_at
                                      AND v.to_stage_id = f.stage_id));

    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = j.problems
    FROM (SELECT f.row_number, string_agg(DISTINCT f.problem, E'\n') AS problems
          FROM crm_deals_internal.import_judge_steps() AS f
          GROUP BY f.row_number) AS j
    WHERE r._row = j.row_number AND j.problems IS NOT NULL;

    DELETE FROM pg_temp._crm_deals_steps AS f
    USING pg_temp._crm_deals_rows AS r
    WHERE r._row = f._row AND (r._problem IS NOT NULL OR NOT r._is_new);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_histories() IS
    'Internal: refuses rows whose history cannot be imported, and drops events that are in the log already.';
