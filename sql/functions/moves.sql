-- Moves deals, and says beforehand what a move would break. Functions that read the cache of pipelines are not
-- parallel safe: they take the latest snapshot, which a parallel query must not.

-- access: manager
CREATE FUNCTION crm_deals_internal.override_gates() RETURNS void
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'SELECT';
COMMENT ON FUNCTION crm_deals_internal.override_gates() IS
    'Internal: does nothing. A role that may execute it may override gates.';

-- access: read
CREATE FUNCTION crm_deals_internal.find_stage(pipeline bigint, stage text) RETURNS bigint
LANGUAGE c STABLE STRICT COST 10 AS 'MODULE_PATHNAME', 'crm_deals_find_stage';
COMMENT ON FUNCTION crm_deals_internal.find_stage(bigint, text) IS
    'Internal: finds a stage of a pipeline by key, name, label or id. Returns NULL if there is none.';

-- access: read
CREATE FUNCTION crm_deals_internal.broken_rules(deal anyelement, to_stage_id bigint, lost_reason text, override boolean)
RETURNS TABLE (rule text, detail text, data jsonb)
LANGUAGE c STABLE COST 100 ROWS 1 AS 'MODULE_PATHNAME', 'crm_deals_rules_broken_by_move';
COMMENT ON FUNCTION crm_deals_internal.broken_rules(anyelement, bigint, text, boolean) IS
    'Internal: returns the rules that a deal would break if it moved to a stage.';

-- access: write
CREATE FUNCTION crm_deals_internal.move(deal_ids bigint[], to_stage_id bigint, note text, actor text, lost_reason text,
                                        override text, callers_path text) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_move_under_path';
COMMENT ON FUNCTION crm_deals_internal.move(bigint[], bigint, text, text, text, text, text) IS
    'Internal: moves deals with one UPDATE. Returns its batch in the log, NULL if nothing changed.';

-- access: write
CREATE FUNCTION crm_deals_internal.moved_subject(from_stage text, to_stage text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_moved_subject';
COMMENT ON FUNCTION crm_deals_internal.moved_subject(text, text) IS
    'Internal: returns the subject of the note that a move records.';

-- access: read
CREATE FUNCTION crm_deals_internal.resolve_deal(deal_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current bigint;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    current := coalesce((SELECT d.id FROM crm_deals.deal AS d WHERE d.id = resolve_deal.deal_id),
                        (SELECT d.id
                         FROM crm_deals.deal_alias AS a
                         JOIN crm_deals.deal AS d ON d.id = a.deal_id
                         WHERE a.old_id = resolve_deal.deal_id));
    IF current IS NULL THEN
        RAISE EXCEPTION 'deal % does not exist', deal_id USING ERRCODE = 'P0002';
    END IF;
    RETURN current;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.resolve_deal(bigint) IS
    'Internal: what crm_deals.resolve_deal() does.';

-- access: read
CREATE FUNCTION crm_deals_internal.check_move(deal bigint, to_stage text, lost_reason text)
RETURNS TABLE (rule text, detail text, data jsonb)
LANGUAGE plpgsql STABLE COST 1000 ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current bigint;
    pipeline bigint;
    target bigint;
BEGIN
    current := crm_deals_internal.resolve_deal(deal);
    SELECT d.pipeline_id INTO pipeline FROM crm_deals.deal AS d WHERE d.id = current;
    target := crm_deals_internal.find_stage(pipeline, to_stage);
    IF target IS NULL THEN
        PERFORM crm_deals_internal.raise_unknown_stage(to_stage, pipeline);
    END IF;
    RETURN QUERY
    SELECT b.rule, b.detail, b.data
    FROM crm_deals.deal AS d, LATERAL crm_deals_internal.broken_rules(d.*, target, check_move.lost_reason, false) AS b
    WHERE d.id = current;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_move(bigint, text, text) IS
    'Internal: what crm_deals.check_move() does.';

-- Deals are locked in the order of their ids, and judged by the code that enforces the rules. "asked" is the id that
-- the caller gave; "id" is the deal that it means, merged deals followed, and NULL if there is none.
-- access: write
CREATE FUNCTION crm_deals_internal.lock_to_move(deal_ids bigint[], to_stage text, lost_reason text, overrides boolean)
RETURNS TABLE (asked bigint, id bigint, source bigint, target bigint, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    asked_ids bigint[] := ARRAY(SELECT DISTINCT a.id FROM unnest(deal_ids) AS a (id)
                                WHERE a.id IS NOT NULL ORDER BY a.id);
    -- parallel to asked_ids
    meant_ids bigint[];
BEGIN
    PERFORM crm_deals_internal.enter_as_writer();
    meant_ids := ARRAY(SELECT coalesce(d.id, l.deal_id)
                       FROM unnest(asked_ids) WITH ORDINALITY AS a (id, number)
                       LEFT JOIN crm_deals.deal AS d ON d.id = a.id
                       LEFT JOIN crm_deals.deal_alias AS l ON l.old_id = a.id
                       ORDER BY a.number);
    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT f.id, f.source, f.target,
               CASE WHEN f.target IS NULL
                    THEN format('stage_exists: Stage "%s" does not exist in its pipeline.', to_stage)
                    WHEN f.target <> f.source
                    THEN (SELECT string_agg(b.rule || ': ' || b.detail, E'\n')
                          FROM crm_deals_internal.broken_rules(f.locked, f.target, lost_reason, overrides) AS b)
               END AS reason
        FROM (SELECT l.id, l.source, l.locked, crm_deals_internal.find_stage(l.pipeline, to_stage) AS target
              FROM (SELECT d.id, d.stage_id AS source, d.pipeline_id AS pipeline,
                           (d.*)::crm_deals.deal AS locked
                    FROM crm_deals.deal AS d
                    WHERE d.id = ANY (meant_ids)
                    ORDER BY d.id
                    FOR NO KEY UPDATE) AS l) AS f
    )
    SELECT a.asked, j.id, j.source, j.target, j.reason
    FROM unnest(asked_ids, meant_ids) AS a (asked, meant)
    LEFT JOIN judged AS j ON j.id = a.meant;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.lock_to_move(bigint[], text, text, boolean) IS
    'Internal: locks the deals of move_deals(), and says where each goes and why it may not.';

-- access: write
CREATE FUNCTION crm_deals_internal.record_moves(batches bigint[], note text, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.activity (kind, subject, body, occurred_at, actor, deal_id)
        SELECT 'note', crm_deals_internal.moved_subject(s.name, t.name), $2, e.occurred_at, e.actor, e.deal_id
        FROM crm_deals.deal_event AS e
        JOIN crm_deals.stage AS s ON s.id = e.from_stage_id
        JOIN crm_deals.stage AS t ON t.id = e.to_stage_id
        WHERE e.id >= (SELECT min(b.id) FROM unnest($1) AS b (id)) AND e.batch_id = ANY ($1)
        $write$, batches, note);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.record_moves(bigint[], text, text) IS
    'Internal: records the moves of these batches as note activities of their deals.';

-- access: write
CREATE FUNCTION crm_deals_internal.move_deals(deal_ids bigint[], to_stage text, note text, actor text,
                                              lost_reason text, override text, callers_path text)
RETURNS TABLE (deal_id bigint, outcome text, detail text, event_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- parallel to each other, as lock_to_move() returns them
    asked bigint[];
    found bigint[];
    sources bigint[];
    targets bigint[];
    reasons text[];
    destination bigint;
    batches bigint[];
BEGIN
    IF to_stage IS NULL THEN
        RAISE EXCEPTION 'move_deals needs a stage' USING ERRCODE = '22004';
    END IF;
    SELECT array_agg(j.asked), array_agg(j.id), array_agg(j.source), array_agg(j.target), array_agg(j.reason)
    INTO asked, found, sources, targets, reasons
    FROM crm_deals_internal.lock_to_move(deal_ids, to_stage, lost_reason, override IS NOT NULL) AS j;

    FOREACH destination IN ARRAY ARRAY(SELECT DISTINCT f.target
                                       FROM unnest(sources, targets, reasons) AS f (source, target, reason)
                                       WHERE f.target <> f.source AND f.reason IS NULL)
    LOOP
        batches := batches || crm_deals_internal.move(
            ARRAY(SELECT DISTINCT f.id FROM unnest(found, sources, targets, reasons) AS f (id, source, target, reason)
                  WHERE f.target = destination AND f.target <> f.source AND f.reason IS NULL ORDER BY f.id),
            destination, note, actor, lost_reason, override, callers_path);
    END LOOP;
    IF note IS NOT NULL THEN
        PERFORM crm_deals_internal.record_moves(batches, note, callers_path);
    END IF;

    RETURN QUERY
    WITH moved AS (
        SELECT e.id, e.deal_id
        FROM crm_deals.deal_event AS e
        WHERE e.id >= (SELECT min(b.id) FROM unnest(batches) AS b (id)) AND e.batch_id = ANY (batches)
    )
    SELECT f.asked,
           CASE WHEN f.id IS NULL THEN 'not_found'
                WHEN f.reason IS NULL AND f.target = f.source THEN 'unchanged'
                WHEN m.id IS NULL THEN 'rejected'
                ELSE 'moved' END,
           CASE WHEN f.reason IS NULL AND f.target <> f.source AND m.id IS NULL THEN 'A trigger suppressed the move.'
                ELSE f.reason END,
           m.id
    FROM unnest(asked, found, sources, targets, reasons) AS f (asked, id, source, target, reason)
    LEFT JOIN moved AS m ON m.deal_id = f.id
    ORDER BY f.asked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.move_deals(bigint[], text, text, text, text, text, text) IS
    'Internal: what crm_deals.move_deals() does.';
