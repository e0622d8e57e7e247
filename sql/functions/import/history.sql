-- The history: each row of it becomes an event of the log.

-- Rows of a history that are about one deal and one stage, one after the other, are one stay: only the first of them
-- counts, unless the amount changes. Rows of one moment are taken in the order of "position", else in their own; each
-- that counts is a microsecond later than the one before it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_steps()
RETURNS TABLE (_row bigint, entered_at timestamptz, place bigint, stage_id bigint, stage text, problem text,
               is_repeated boolean, actor text, lost_reason text, amount numeric, previous_amount numeric)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e._row, e.entered_at + (greatest(e.tie, 1) - 1) * interval '1 microsecond', e.place, e.stage_id, e.stage,
           e.problem, e.is_repeated, e.actor, e.lost_reason, e.amount, e.previous_amount
    FROM (SELECT e.*,
                 count(*) FILTER (WHERE e.is_repeated IS NOT TRUE)
                     OVER (PARTITION BY e._row, e.entered_at ORDER BY e.place) AS tie
          FROM (SELECT e.*, lag(e.amount) OVER deal AS previous_amount,
                       e.stage_id = lag(e.stage_id) OVER deal
                           AND (e.amount IS NULL OR e.amount = lag(e.amount) OVER deal) IS TRUE AS is_repeated
                FROM (SELECT r._row, h.entered_at, h.stage, m.id AS stage_id, h.actor, h.lost_reason, h.amount,
                             concat_ws(E'\n', h._problem, m.problem) AS problem,
                             row_number() OVER (PARTITION BY r._row ORDER BY h.entered_at, h.position, h._row) AS place
                      FROM pg_temp._crm_deals_history AS h
                      JOIN pg_temp._crm_deals_rows AS r
                        ON r.external_id = h.external_id
                       AND (h.organization IS NULL OR h.organization = r.organization)
                      LEFT JOIN pg_temp._crm_deals_stages AS m ON m.pipeline_id = r.pipeline_id AND m.stage = h.stage
                      WHERE r._problem IS NULL) AS e
                WINDOW deal AS (PARTITION BY e._row ORDER BY e.place)) AS e) AS e
$$;
COMMENT ON FUNCTION crm_deals_internal.import_steps() IS
    'Internal: lists the rows of the history, in the order of each deal.';

-- Events of deals that exist may be in the log already: they say nothing new.
-- access: write
CREATE FUNCTION crm_deals_internal.import_number_steps() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
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
    SELECT e.*, r.id, t.status, row_number() OVER deal AS step, lead(e._row) OVER deal IS NULL AS is_last,
           bool_or(e.amount IS NOT NULL) OVER (PARTITION BY e._row) AS has_amounts,
           lag(e.entered_at) OVER deal AS previous_at, lag(e.stage_id) OVER deal AS previous_stage_id,
           NOT r._is_new AND EXISTS (SELECT FROM crm_deals.deal_event AS v
                                     WHERE v.deal_id = r.id AND v.occurred_at = e.entered_at
                                       AND v.to_stage_id = e.stage_id) AS is_known
    FROM crm_deals_internal.import_steps() AS e
    JOIN pg_temp._crm_deals_rows AS r ON r._row = e._row
    LEFT JOIN crm_deals.stage AS t ON t.id = e.stage_id
    WHERE e.is_repeated IS NOT TRUE
    WINDOW deal AS (PARTITION BY e._row ORDER BY e.place);
    ANALYZE pg_temp._crm_deals_steps;

    UPDATE pg_temp._crm_deals_rows AS r
    SET _note = e.note
    FROM (SELECT e._row, string_agg(DISTINCT format('Its history enters stage "%s" several times in a row: that is one '
                                                    'stay.', e.stage), E'\n') AS note
          FROM crm_deals_internal.import_steps() AS e
          WHERE e.is_repeated
          GROUP BY e._row) AS e
    WHERE r._row = e._row;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_number_steps() IS
    'Internal: fills _crm_deals_steps with the events of the history, numbered for each deal.';

-- "r" is the deal, "e" the event. The log is append-only: what is added to a deal comes after all that is there.
-- access: write
CREATE FUNCTION crm_deals_internal.import_judge_steps(given text[]) RETURNS TABLE (row_number bigint, problem text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e._row, nullif(concat_ws(E'\n',
        nullif(e.problem, ''),
        CASE WHEN e.stage IS NULL THEN 'A row of its history has no stage.' END,
        CASE WHEN t.archived_at IS NOT NULL THEN format('Stage "%s" of its history is archived.', e.stage) END,
        CASE WHEN e.entered_at IS NULL AND e.problem !~ '^entered_at' THEN 'A row of its history has no entered_at.'
             WHEN NOT isfinite(e.entered_at) THEN 'A date of its history is not finite.'
             WHEN e.entered_at < '1900-01-01 00:00:00+00' THEN 'Its history begins before 1900.'
             WHEN e.entered_at > clock_timestamp() THEN 'Its history goes on in the future.' END,
        CASE WHEN e.amount < 0 OR e.amount >= 'Infinity' THEN 'An amount of its history is negative or not finite.'
             WHEN e.amount >= 1e18 THEN 'An amount of its history is 10^18 or more.' END,
        CASE WHEN t.status <> 'lost' AND e.lost_reason IS NOT NULL
             THEN format('Stage "%s" of its history is not lost, yet has a lost reason.', e.stage)
             WHEN t.status = 'lost' AND p.lost_reason_required AND NOT e.is_last AND e.lost_reason IS NULL
                  AND NOT e.is_known
             THEN format('Stage "%s" of its history needs a lost_reason.', e.stage) END,
        CASE WHEN e.is_last AND e.stage_id <> r.stage_id
             THEN 'Its history ends in another stage than the deal is in.' END,
        CASE WHEN e.is_last AND 'amount' = ANY (import_judge_steps.given) AND e.amount <> s.amount
             THEN format('Its history ends with the amount %s, the deal has %s.', e.amount, s.amount) END,
        CASE WHEN NOT r._is_new AND NOT e.is_known AND e.entered_at <= d.updated_at
             THEN format('Its history has a step of %s that is not in the log, and the deal has changed at %s. What is '
                         'added to a deal that exists comes after its last change.', e.entered_at, d.updated_at) END),
        '')
    FROM pg_temp._crm_deals_steps AS e
    JOIN pg_temp._crm_deals_rows AS r ON r._row = e._row
    JOIN pg_temp._crm_deals_source AS s ON s._row = e._row
    JOIN crm_deals.pipeline AS p ON p.id = r.pipeline_id
    LEFT JOIN crm_deals.stage AS t ON t.id = e.stage_id
    LEFT JOIN LATERAL (SELECT d.updated_at FROM crm_deals.deal AS d WHERE d.id = r.id AND NOT r._is_new OFFSET 0) AS d
           ON true;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge_steps(text[]) IS
    'Internal: returns for each event of the history why it is refused, or NULL.';

-- Rows whose history is refused are refused. Events that are in the log already are dropped.
-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_histories(given text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = j.problems
    FROM (SELECT f.row_number, string_agg(DISTINCT l.line, E'\n') AS problems
          FROM crm_deals_internal.import_judge_steps(given) AS f, string_to_table(f.problem, E'\n') AS l (line)
          GROUP BY f.row_number) AS j
    WHERE r._row = j.row_number;

    DELETE FROM pg_temp._crm_deals_steps AS f
    USING pg_temp._crm_deals_rows AS r
    WHERE r._row = f._row AND (r._problem IS NOT NULL OR f.is_known);
    CREATE INDEX ON pg_temp._crm_deals_steps (step, id);
    CREATE INDEX ON pg_temp._crm_deals_steps (_row, step);
    ANALYZE pg_temp._crm_deals_steps;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_histories(text[]) IS
    'Internal: refuses rows whose history cannot be imported, and drops events that are in the log already.';
