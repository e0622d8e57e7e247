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
    'Internal: finds a stage of a pipeline by key, name or id. Returns NULL if there is none.';

-- access: read
CREATE FUNCTION crm_deals_internal.broken_rules(deal anyelement, to_stage_id bigint, lost_reason text, override boolean)
RETURNS TABLE (rule text, detail text)
LANGUAGE c STABLE COST 100 ROWS 1 AS 'MODULE_PATHNAME', 'crm_deals_broken_rules';
COMMENT ON FUNCTION crm_deals_internal.broken_rules(anyelement, bigint, text, boolean) IS
    'Internal: returns the rules that a deal would break if it moved to a stage.';

-- access: write
CREATE FUNCTION crm_deals_internal.move(deal_ids bigint[], to_stage_id bigint, note text, actor text, lost_reason text,
                                override text) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_move';
COMMENT ON FUNCTION crm_deals_internal.move(bigint[], bigint, text, text, text, text) IS
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
RETURNS TABLE (rule text, detail text)
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
    SELECT b.rule, b.detail
    FROM crm_deals.deal AS d, LATERAL crm_deals_internal.broken_rules(d, target, check_move.lost_reason, false) AS b
    WHERE d.id = current;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_move(bigint, text, text) IS
    'Internal: what crm_deals.check_move() does.';

-- access: write
CREATE FUNCTION crm_deals_internal.move_deals(deal_ids bigint[], to_stage text, note text, actor text,
                                              lost_reason text, override text)
RETURNS TABLE (deal_id bigint, outcome text, detail text, event_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    asked bigint[] := ARRAY(SELECT DISTINCT a.id FROM unnest(deal_ids) AS a (id) WHERE a.id IS NOT NULL ORDER BY a.id);
    -- parallel to asked: the deal that each id means, merged deals followed
    meant bigint[];
    -- parallel to each other: the deals that were found, their stages, their new stages, the refusals
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
    PERFORM crm_deals_internal.enter_as_writer();
    meant := ARRAY(SELECT coalesce(d.id, l.deal_id)
                   FROM unnest(asked) WITH ORDINALITY AS a (id, number)
                   LEFT JOIN crm_deals.deal AS d ON d.id = a.id
                   LEFT JOIN crm_deals.deal_alias AS l ON l.old_id = a.id
                   ORDER BY a.number);

    -- Deals are locked in the order of their ids, and judged by the code that enforces the rules.
    SELECT array_agg(j.id ORDER BY j.id), array_agg(j.source ORDER BY j.id), array_agg(j.target ORDER BY j.id),
           array_agg(CASE WHEN j.target IS NULL THEN format('Stage "%s" does not exist in its pipeline.', to_stage)
                          WHEN j.target <> j.source THEN
                              (SELECT string_agg(b.detail, E'\n')
                               FROM crm_deals_internal.broken_rules(j.locked, j.target, lost_reason,
                                                                    override IS NOT NULL) AS b) END
                     ORDER BY j.id)
    INTO found, sources, targets, reasons
    FROM (SELECT l.id, l.source, l.locked, crm_deals_internal.find_stage(l.pipeline, to_stage) AS target
          FROM (SELECT d.id, d.stage_id AS source, d.pipeline_id AS pipeline, d AS locked
                FROM crm_deals.deal AS d
                WHERE d.id = ANY (meant)
                ORDER BY d.id
                FOR NO KEY UPDATE) AS l) AS j;

    FOREACH destination IN ARRAY ARRAY(SELECT DISTINCT f.target
                                       FROM unnest(sources, targets, reasons) AS f (source, target, reason)
                                       WHERE f.target <> f.source AND f.reason IS NULL)
    LOOP
        batches := batches || crm_deals_internal.move(
            ARRAY(SELECT f.id FROM unnest(found, sources, targets, reasons) AS f (id, source, target, reason)
                  WHERE f.target = destination AND f.target <> f.source AND f.reason IS NULL),
            destination, note, actor, lost_reason, override);
    END LOOP;

    RETURN QUERY
    WITH moved AS (
        SELECT e.id, e.deal_id, e.occurred_at, e.actor
        FROM crm_deals.deal_event AS e
        WHERE e.id >= (SELECT min(b.id) FROM unnest(batches) AS b (id)) AND e.batch_id = ANY (batches)
    ), result AS (
        SELECT a.id AS asked, m.id AS event,
               CASE WHEN f.id IS NULL THEN 'not_found'
                    WHEN f.reason IS NOT NULL THEN 'rejected'
                    WHEN f.target = f.source THEN 'unchanged'
                    WHEN m.id IS NULL THEN 'rejected'
                    ELSE 'moved' END AS outcome,
               CASE WHEN f.reason IS NULL AND f.target <> f.source AND m.id IS NULL
                   THEN 'A trigger suppressed the move.'
                    ELSE f.reason END AS reason
        FROM unnest(asked, meant) AS a (id, meant)
        LEFT JOIN unnest(found, sources, targets, reasons) AS f (id, source, target, reason) ON f.id = a.meant
        LEFT JOIN moved AS m ON m.deal_id = f.id
    ), noted AS (
        INSERT INTO crm_deals.activity (kind, subject, body, occurred_at, actor, deal_id)
        SELECT 'note', crm_deals_internal.moved_subject(s.name, t.name), note, m.occurred_at, m.actor, m.deal_id
        FROM moved AS m
        JOIN unnest(found, sources, targets) AS f (id, source, target) ON f.id = m.deal_id
        JOIN crm_deals.stage AS s ON s.id = f.source
        JOIN crm_deals.stage AS t ON t.id = f.target
        WHERE note IS NOT NULL
    )
    SELECT r.asked, r.outcome, r.reason, r.event
    FROM result AS r
    ORDER BY r.asked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.move_deals(bigint[], text, text, text, text, text) IS
    'Internal: what crm_deals.move_deals() does.';
