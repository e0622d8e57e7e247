-- What a row says of how its deal ended: closing time, reason, and since when the deal is in its stage. Nothing is
-- invented: a deal that the row closes needs a closing time.

-- The step at which the history's deal got the status that it has at the end. A status that goes on through several
-- stages began with the first of them.
-- access: write
CREATE FUNCTION crm_deals_internal.import_ends_of_histories()
RETURNS TABLE (_row bigint, closed_at timestamptz, lost_reason text, first_at timestamptz, last_at timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f._row, min(f.entered_at) FILTER (WHERE f.status = f.final AND f.others_after = 0),
           (array_agg(f.lost_reason ORDER BY f.step DESC))[1], min(f.entered_at), max(f.entered_at)
    FROM (SELECT f.*, count(*) FILTER (WHERE f.status <> f.final)
                          OVER (PARTITION BY f._row ORDER BY f.step DESC) AS others_after
          FROM (SELECT f._row, f.step, f.entered_at, f.lost_reason, t.status,
                       first_value(t.status) OVER (PARTITION BY f._row ORDER BY f.step DESC) AS final
                FROM pg_temp._crm_deals_steps AS f
                JOIN crm_deals.stage AS t ON t.id = f.stage_id) AS f) AS f
    GROUP BY f._row
$$;
COMMENT ON FUNCTION crm_deals_internal.import_ends_of_histories() IS
    'Internal: says of each history when it began and ended, and since when its last status holds.';

-- The catalogue's spelling of a reason; one that is not in the catalogue stays as it is, and the rules refuse it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_reasons() RETURNS TABLE (pipeline_id bigint, folded text, name text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT ON (l.pipeline_id, k.folded) l.pipeline_id, k.folded, l.name
    FROM crm_deals.lost_reason AS l
    CROSS JOIN LATERAL (SELECT lower(crm_deals_internal.import_folded(n.name)), n.rank
                        FROM (SELECT l.name, 1 UNION ALL SELECT b.value, 2 FROM jsonb_each_text(l.labels) AS b)
                            AS n (name, rank)) AS k (folded, rank)
    ORDER BY l.pipeline_id, k.folded, l.is_active DESC, k.rank, l.id
$$;
COMMENT ON FUNCTION crm_deals_internal.import_reasons() IS
    'Internal: lists the lost reasons of catalogues, by what they are called.';

-- A mere day stands for 12:00, for the deal's creation if that is later on the same day, and for the closing time of a
-- deal that was closed on that day.
-- access: write
CREATE FUNCTION crm_deals_internal.import_closing_time(stated timestamptz, is_day boolean, created_at timestamptz,
                                                       closed_at timestamptz, time_zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN NOT is_day THEN stated
                WHEN (stated AT TIME ZONE time_zone)::date = (closed_at AT TIME ZONE time_zone)::date THEN closed_at
                WHEN (stated AT TIME ZONE time_zone)::date = (created_at AT TIME ZONE time_zone)::date
                THEN greatest(stated, created_at)
                ELSE stated END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_closing_time(timestamptz, boolean, timestamptz, timestamptz, text) IS
    'Internal: returns the moment that a closing time of the source means.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_no_closing_time(status text, given text[]) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('A deal that is %s needs a closing time, which is not made up: give closed_at%s.', status,
                  CASE WHEN '_closed_at_from' = ANY (given) THEN ', or fill the column that closed_at_from names'
                       WHEN 'expected_close_date' = ANY (given)
                       THEN ', or pass closed_at_from => ''expected_close_date'''
                       ELSE ', or a history' END)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_no_closing_time(text, text[]) IS
    'Internal: says that a row closes a deal without a closing time, and what to do.';

-- "d" is the deal that is there, "t" the stage that it goes to. A deal that is closed already keeps its closing time; a
-- row may state another.
-- access: write
CREATE FUNCTION crm_deals_internal.import_settle(given text[], lost_reason text, time_zone text, chosen bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
AS $$
#variable_conflict use_variable
DECLARE
    gives_reason boolean := 'lost_reason' = ANY (given);
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _closes = j.closes,
        closed_at = j.closed_at,
        lost_reason = CASE WHEN j.status = 'lost' THEN coalesce(j.reason, j.kept_reason, lost_reason) ELSE j.reason END,
        stage_entered_at = CASE WHEN j.closes OR j.is_new AND j.status <> 'open'
                                THEN coalesce(j.stage_entered_at, j.closed_at)
                                ELSE coalesce(j.stage_entered_at, j.last_at, CASE WHEN j.is_new THEN j.created_at END)
                                END,
        _problem = CASE WHEN j.closes AND j.closed_at IS NULL
                        THEN crm_deals_internal.import_no_closing_time(j.status, given) END
    FROM (SELECT r._row, r._is_new AS is_new, t.status::text AS status, s.stage_entered_at, h.last_at,
                 coalesce(s.created_at, d.created_at, h.first_at) AS created_at,
                 t.status <> 'open' AND (d.id IS NULL OR d.status = 'open') AS closes,
                 CASE WHEN t.status = 'open' THEN s.closed_at
                      ELSE coalesce(
                          crm_deals_internal.import_closing_time(
                              s.closed_at, s."_is_day.closed_at", coalesce(s.created_at, d.created_at, h.first_at),
                              d.closed_at, time_zone),
                          d.closed_at,
                          crm_deals_internal.import_closing_time(
                              s._closed_at_from, s."_is_day._closed_at_from",
                              coalesce(s.created_at, d.created_at, h.first_at), NULL, time_zone),
                          h.closed_at) END AS closed_at,
                 coalesce(k.name, s.lost_reason, h.lost_reason) AS reason,
                 CASE WHEN NOT gives_reason OR lost_reason IS NOT NULL THEN d.lost_reason END AS kept_reason
          FROM pg_temp._crm_deals_rows AS r
          JOIN pg_temp._crm_deals_source AS s ON s._row = r._row
          JOIN crm_deals.stage AS t ON t.id = r.stage_id
          LEFT JOIN LATERAL (SELECT d.* FROM crm_deals.deal AS d WHERE d.id = r.id AND NOT r._is_new OFFSET 0) AS d
                 ON true
          LEFT JOIN crm_deals_internal.import_ends_of_histories() AS h ON h._row = r._row
          LEFT JOIN crm_deals_internal.import_reasons() AS k
                 ON k.pipeline_id = r.pipeline_id AND k.folded = lower(crm_deals_internal.import_folded(s.lost_reason))
          WHERE r._problem IS NULL AND (chosen IS NULL OR r._row = ANY (chosen))) AS j
    WHERE r._row = j._row;
    PERFORM crm_deals_internal.import_refuse_contradictions(chosen);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_settle(text[], text, text, bigint[]) IS
    'Internal: notes closing time, reason and moment of entry in _crm_deals_rows, or why the row is refused.';
