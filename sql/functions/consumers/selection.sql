-- Which events a consumer gets, and in which order.
--
-- Ids of events are not committed in their order. So a consumer goes from cut to cut. A cut is a snapshot: of the
-- events that are visible in it and were not visible in the cut before, the consumer gets each once, by id. The ids of
-- one deal rise with its version, and a change commits before the next change of that deal begins, so the order within
-- a deal holds. No consumer waits for a transaction that is still running: its events are in the first cut after its
-- end.
--
-- The functions of the schema crm_deals_internal run as the owner of the tables. The public functions call them
-- (src/events/consumers.c).

-- It counts in the transaction numbers of the log. It lists every transaction that has begun and not ended as running,
-- the caller's own included.
-- access: public
CREATE FUNCTION crm_deals_internal.log_snapshot() RETURNS pg_snapshot
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_log_snapshot';
COMMENT ON FUNCTION crm_deals_internal.log_snapshot() IS
    'Internal: returns the snapshot of the calling statement, as the log numbers transactions.';

-- access: public
CREATE FUNCTION crm_deals_internal.event_kinds(version integer, kind text, from_stage_id bigint, from_status text,
                                               to_stage_id bigint, status text) RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_event_kinds';
COMMENT ON FUNCTION crm_deals_internal.event_kinds(integer, text, bigint, text, bigint, text) IS
    'Internal: returns every kind under which a consumer can subscribe to an event.';

-- The dispatcher is a consumer, too: it reads the events whose notifications writers left to it.
-- access: public
CREATE FUNCTION crm_deals_internal.dispatcher() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT 'crm_deals dispatcher' $$;
COMMENT ON FUNCTION crm_deals_internal.dispatcher() IS
    'Internal: returns the name under which the dispatcher keeps its place in the log.';

-- The body is parsed here, so that it is inlined where it is called.
-- access: public
CREATE FUNCTION crm_deals_internal.is_wanted(consumer text, kinds text[], include_imports boolean,
                                             origin text, dispatch text, event_kinds text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (include_imports OR origin OPERATOR(pg_catalog.=) 'live')
   AND CASE WHEN consumer OPERATOR(pg_catalog.=) crm_deals_internal.dispatcher()
            THEN dispatch OPERATOR(pg_catalog.<>) 'counted'
            ELSE kinds IS NULL OR kinds OPERATOR(pg_catalog.&&) event_kinds END;
COMMENT ON FUNCTION crm_deals_internal.is_wanted(text, text[], boolean, text, text, text[]) IS
    'Internal: tells whether a consumer gets an event.';

-- What was delivered before is not read again: transactions that were running in "seen" are looked up one by one, and
-- the events of later ones have ids beyond "seen_id". ORDER BY e.transaction, e.id is the order of one index and of no
-- other. If the log came in a few large transactions, as from imports, the order by id alone would look as cheap to the
-- planner.
-- access: public
CREATE FUNCTION crm_deals_internal.events_between(consumer text, kinds text[], include_imports boolean,
                                                  seen pg_snapshot, seen_id bigint, upto pg_snapshot, upto_id bigint,
                                                  delivered_id bigint, most bigint)
RETURNS TABLE (id bigint, occurred_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan    -- one plan, by index
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.id, e.occurred_at
    FROM (
        (SELECT w.id, w.occurred_at
         FROM pg_snapshot_xip(events_between.seen) AS r (transaction),
              LATERAL (SELECT e.id, e.occurred_at
                       FROM crm_deals.deal_event AS e
                       WHERE (e.transaction, e.id) > (r.transaction, events_between.delivered_id)
                         AND e.transaction <= r.transaction
                         AND crm_deals_internal.is_wanted(
                                 events_between.consumer, events_between.kinds, events_between.include_imports,
                                 e.origin, e.dispatch,
                                 crm_deals_internal.event_kinds(e.version, e.kind, e.from_stage_id,
                                                                e.from_status::text, e.to_stage_id, e.status::text))
                       ORDER BY e.transaction, e.id
                       LIMIT events_between.most) AS w
         WHERE pg_visible_in_snapshot(r.transaction, events_between.upto))
        UNION ALL
        (SELECT e.id, e.occurred_at
         FROM crm_deals.deal_event AS e
         WHERE e.id > greatest(events_between.delivered_id, events_between.seen_id)
           AND e.id <= events_between.upto_id
           AND e.transaction >= pg_snapshot_xmax(events_between.seen)
           AND pg_visible_in_snapshot(e.transaction, events_between.upto)
           AND crm_deals_internal.is_wanted(
                   events_between.consumer, events_between.kinds, events_between.include_imports, e.origin, e.dispatch,
                   crm_deals_internal.event_kinds(e.version, e.kind, e.from_stage_id, e.from_status::text,
                                                  e.to_stage_id, e.status::text))
         ORDER BY e.id
         LIMIT events_between.most)
    ) AS e
    ORDER BY e.id
    LIMIT events_between.most;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.events_between(text, text[], boolean, pg_snapshot, bigint, pg_snapshot, bigint,
                                                      bigint, bigint) IS
    'Internal: returns the first events for a consumer that are visible in one snapshot and not in an earlier one.';

-- Events of transactions that are still running are not among them.
-- access: public
CREATE FUNCTION crm_deals_internal.pending(consumer text) RETURNS TABLE (id bigint, occurred_at timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
    SELECT e.id, e.occurred_at
    FROM crm_deals.event_consumer AS c,
         LATERAL unnest(c.unacked) AS u (id)
    JOIN crm_deals.deal_event AS e ON e.id = u.id
    WHERE c.consumer = pending.consumer
    UNION ALL
    SELECT e.id, e.occurred_at
    FROM crm_deals.event_consumer AS c,
         LATERAL crm_deals_internal.events_between(c.consumer, c.kinds, c.include_imports, c.seen, c.seen_id,
                                                   c.upto, c.upto_id, c.delivered_id, NULL) AS e
    WHERE c.consumer = pending.consumer AND c.upto IS NOT NULL
    UNION ALL
    SELECT e.id, e.occurred_at
    FROM crm_deals.event_consumer AS c,
         LATERAL crm_deals_internal.events_between(c.consumer, c.kinds, c.include_imports,
                                                   coalesce(c.upto, c.seen), coalesce(c.upto_id, c.seen_id),
                                                   '9223372036854775807:9223372036854775807:', 9223372036854775807,
                                                   0, NULL) AS e
    WHERE c.consumer = pending.consumer
$$;
COMMENT ON FUNCTION crm_deals_internal.pending(text) IS
    'Internal: returns the events that a consumer has still to acknowledge.';
