-- Reading the log so that nothing is missed. Event ids commit out of order, so a
-- consumer goes from cut to cut: a cut is a snapshot; of the events visible in it
-- and not in the one before it gets each once, by id. Ids of one deal rise with its
-- version, and a change commits before the next one of that deal begins, so the
-- order within a deal holds. Nobody waits for a transaction that is still running:
-- what it wrote is in the cut after its end.
--
-- The functions that start with "_" run as the owner of the tables, called by the
-- public ones in src/consumers.c.

-- In the transaction numbers of the log. All that has begun and not ended is listed
-- as running, the caller's own transaction too.
-- access: owner
CREATE FUNCTION crm_deals_internal.log_snapshot() RETURNS pg_snapshot
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_log_snapshot';
COMMENT ON FUNCTION crm_deals_internal.log_snapshot() IS
    'Internal: the snapshot of the calling statement, as the log numbers transactions.';

-- access: admin
CREATE FUNCTION crm_deals_internal.event_kinds(version integer, kind text, from_stage_id bigint, from_status text,
                                       to_stage_id bigint, status text) RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_event_kinds';
COMMENT ON FUNCTION crm_deals_internal.event_kinds(integer, text, bigint, text, bigint, text) IS
    'Internal: every kind by which a consumer may ask for an event.';

-- The dispatcher is a consumer, too: of what writers left to it.
-- access: admin
CREATE FUNCTION crm_deals_internal.dispatcher() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT 'crm_deals dispatcher' $$;
COMMENT ON FUNCTION crm_deals_internal.dispatcher() IS
    'Internal: the name under which the dispatcher keeps its place.';

-- A body that is parsed here and inlined where it is called.
-- access: admin
CREATE FUNCTION crm_deals_internal.is_wanted(consumer text, kinds text[], include_imports boolean,
                                     origin text, dispatch text, event_kinds text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (include_imports OR origin OPERATOR(pg_catalog.=) 'live')
   AND CASE WHEN consumer OPERATOR(pg_catalog.=) crm_deals_internal.dispatcher() THEN dispatch OPERATOR(pg_catalog.<>) 'counted'
            ELSE kinds IS NULL OR kinds OPERATOR(pg_catalog.&&) event_kinds END;
COMMENT ON FUNCTION crm_deals_internal.is_wanted(text, text[], boolean, text, text, text[]) IS
    'Internal: whether a consumer gets an event.';

-- Transactions that were running in "seen" are looked up one by one, later ones have ids beyond "seen_id": what was
-- delivered before is not read again. The order by transaction and id is that of an index, and of none but that: where
-- the log came in a few large transactions, as an import's, ids alone would look as selective to the planner.
-- access: admin
CREATE FUNCTION crm_deals_internal.events_between(consumer text, kinds text[], include_imports boolean,
                                          seen pg_snapshot, seen_id bigint, upto pg_snapshot, upto_id bigint,
                                          delivered_id bigint, most bigint) RETURNS TABLE (id bigint, occurred_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan    -- one plan, by keys
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
                         AND crm_deals_internal.is_wanted(events_between.consumer, events_between.kinds, events_between.include_imports,
                                                  e.origin, e.dispatch,
                                                  crm_deals_internal.event_kinds(e.version, e.kind, e.from_stage_id, e.from_status::text,
                                                                         e.to_stage_id, e.status::text))
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
           AND crm_deals_internal.is_wanted(events_between.consumer, events_between.kinds, events_between.include_imports,
                                    e.origin, e.dispatch,
                                    crm_deals_internal.event_kinds(e.version, e.kind, e.from_stage_id, e.from_status::text,
                                                           e.to_stage_id, e.status::text))
         ORDER BY e.id
         LIMIT events_between.most)
    ) AS e
    ORDER BY e.id
    LIMIT events_between.most;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.events_between(text, text[], boolean, pg_snapshot, bigint, pg_snapshot, bigint, bigint, bigint) IS
    'Internal: the first events that a consumer gets of those visible in one snapshot and not in an earlier one.';

-- All that a consumer has still to acknowledge; what runs is counted when it ends.
-- access: admin
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
         LATERAL crm_deals_internal.events_between(c.consumer, c.kinds, c.include_imports, coalesce(c.upto, c.seen), coalesce(c.upto_id, c.seen_id),
                                           '9223372036854775807:9223372036854775807:', 9223372036854775807, 0, NULL) AS e
    WHERE c.consumer = pending.consumer
$$;
COMMENT ON FUNCTION crm_deals_internal.pending(text) IS
    'Internal: the events that a consumer has not acknowledged.';

-- access: owner
CREATE FUNCTION crm_deals_internal.raise_unknown_consumer(consumer text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'consumer "%" does not exist', consumer
        USING ERRCODE = 'P0002',
              DETAIL = coalesce((SELECT 'There are ' || string_agg(format('"%s"', c.consumer), ', ' ORDER BY c.consumer) || '.'
                                 FROM (SELECT e.consumer
                                       FROM crm_deals.event_consumer AS e
                                       WHERE e.consumer <> crm_deals_internal.dispatcher()
                                       ORDER BY e.consumer
                                       LIMIT 50) AS c),
                                'There is none.'),
              HINT = 'Run subscribe() first.';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.raise_unknown_consumer(text) IS
    'Internal: the error that names the consumers that exist.';

-- access: owner
CREATE FUNCTION crm_deals_internal.subscribe(consumer text, kinds text[], from_start boolean, include_imports boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text[] := ARRAY['created', 'stage_changed', 'won', 'lost', 'abandoned', 'reopened', 'updated',
                                   'deleted', 'merged', 'redacted', 'reverted'];
    unknown text := (SELECT coalesce(k.kind, 'NULL') FROM unnest(kinds) AS k (kind) WHERE k.kind = ANY (known) IS NOT TRUE LIMIT 1);
BEGIN
    IF unknown IS NOT NULL OR kinds = '{}' THEN
        RAISE EXCEPTION '%', CASE WHEN unknown IS NULL THEN 'no kinds of events are named'
                                  ELSE format('there are no events of kind "%s"', unknown) END
            USING ERRCODE = '22023', HINT = format('The kinds are %s; NULL is all of them.', array_to_string(known, ', '));
    END IF;
    IF consumer = crm_deals_internal.dispatcher() THEN
        RAISE EXCEPTION 'the name "%" is reserved', consumer USING ERRCODE = '22023', HINT = 'Choose another name.';
    END IF;
    IF EXISTS (SELECT FROM crm_deals.event_consumer AS c
               WHERE c.consumer = consumer
                 AND (c.kinds, c.include_imports) IS NOT DISTINCT FROM (kinds, coalesce(include_imports, false))) THEN
        RETURN;
    END IF;
    -- Who wants more than before waits for a prune_events() that did not know it.
    IF from_start OR EXISTS (SELECT FROM crm_deals.event_consumer AS c WHERE c.consumer = consumer) THEN
        LOCK TABLE crm_deals.log_pruning IN ROW EXCLUSIVE MODE;
    END IF;
    INSERT INTO crm_deals.event_consumer AS c (consumer, kinds, include_imports, seen, seen_id)
    SELECT consumer, kinds, coalesce(include_imports, false),
           CASE WHEN from_start THEN '1:1:' ELSE crm_deals_internal.log_snapshot() END,
           CASE WHEN from_start THEN 0 ELSE coalesce((SELECT max(e.id) FROM crm_deals.deal_event AS e), 0) END
    ON CONFLICT ON CONSTRAINT event_consumer_pkey DO UPDATE
        SET kinds = excluded.kinds, include_imports = excluded.include_imports;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.subscribe(text, text[], boolean, boolean) IS
    'Internal: subscribe() as the owner of the tables.';

-- access: owner
CREATE FUNCTION crm_deals_internal.unsubscribe(consumer text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM crm_deals.event_consumer AS c WHERE c.consumer = consumer AND consumer <> crm_deals_internal.dispatcher();
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.unsubscribe(text) IS
    'Internal: unsubscribe() as the owner of the tables.';

-- Is there an event behind the cut, or one of a transaction that was running in it?
-- access: owner
CREATE FUNCTION crm_deals_internal.has_news(seen pg_snapshot, seen_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    RETURN coalesce((SELECT max(e.id) FROM crm_deals.deal_event AS e), 0) <> has_news.seen_id
           OR EXISTS (SELECT FROM pg_snapshot_xip(has_news.seen) AS r (transaction),
                           LATERAL (SELECT FROM crm_deals.deal_event AS e WHERE e.transaction = r.transaction LIMIT 1) AS e);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.has_news(pg_snapshot, bigint) IS
    'Internal: whether anything is visible that was not in a cut.';

-- The next batch, its ids in the order of delivery: first what was delivered and not
-- acknowledged, then the rest of the cut on the way, then a new cut.
-- access: owner
CREATE FUNCTION crm_deals_internal.take_events(consumer text, max_events integer, lease interval) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    c record;
    batch bigint[];
    news bigint[];
    room bigint;
    is_new_cut boolean := false;
    moved boolean := false;
BEGIN
    SELECT e.* INTO c FROM crm_deals.event_consumer AS e WHERE e.consumer = consumer;
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer);
    END IF;
    -- who looks in vain writes nothing, no lock neither
    IF c.unacked = '{}' AND c.upto IS NULL AND c.leased_until IS NULL AND NOT crm_deals_internal.has_news(c.seen, c.seen_id) THEN
        RETURN '{}';
    END IF;
    SELECT e.* INTO c FROM crm_deals.event_consumer AS e WHERE e.consumer = consumer FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN '{}';
    END IF;
    IF c.leased_until > clock_timestamp() THEN
        RETURN '{}';
    END IF;

    batch := c.unacked[1:max_events];
    LOOP
        room := max_events - cardinality(batch);
        EXIT WHEN room <= 0;
        IF c.upto IS NULL THEN
            EXIT WHEN is_new_cut OR NOT crm_deals_internal.has_news(c.seen, c.seen_id);
            SELECT crm_deals_internal.log_snapshot(), coalesce((SELECT max(e.id) FROM crm_deals.deal_event AS e), 0)
            INTO c.upto, c.upto_id;
            c.delivered_id := 0;
            is_new_cut := true;
        END IF;

        moved := true;
        news := ARRAY(SELECT e.id
                      FROM crm_deals_internal.events_between(c.consumer, c.kinds, c.include_imports, c.seen, c.seen_id,
                                                     c.upto, c.upto_id, c.delivered_id, room) AS e);
        batch := batch || news;
        c.unacked := c.unacked || news;
        IF cardinality(news) = room THEN
            c.delivered_id := news[room];
        ELSE
            c.seen := c.upto;
            c.seen_id := c.upto_id;
            c.upto := NULL;
            c.upto_id := NULL;
        END IF;
    END LOOP;

    lease := CASE WHEN batch <> '{}' THEN lease END;
    IF moved OR lease IS NOT NULL OR c.leased_until IS NOT NULL THEN
        UPDATE crm_deals.event_consumer AS e
        SET seen = c.seen, seen_id = c.seen_id, upto = c.upto, upto_id = c.upto_id, delivered_id = c.delivered_id,
            unacked = c.unacked, leased = CASE WHEN lease IS NULL THEN 0 ELSE cardinality(batch) END, leased_until = clock_timestamp() + lease
        WHERE e.consumer = consumer;
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.take_events(text, integer, interval) IS
    'Internal: the ids of the events that read_events() delivers next.';

-- Names, account, external id and closing time are those that the deal had then: the old value of the next change of
-- each. Here, where any of these events has one: an object of them by the event's id.
-- access: owner
CREATE FUNCTION crm_deals_internal.changed_since(ids bigint[]) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = on
SET enable_mergejoin = on
SET jit = off
AS $$
    WITH event AS MATERIALIZED (
        SELECT e.id, e.deal_id, e.version
        FROM unnest(changed_since.ids) AS a (id)
        JOIN crm_deals.deal_event AS e ON e.id = a.id
    ), kept AS (
        SELECT k.key FROM unnest(ARRAY['name', 'external_id', 'account_id', 'closed_at']) AS k (key)
    ), later AS MATERIALIZED (
        SELECT l.deal_id, l.version, k.key, l.changes -> k.key -> 0 AS old
        FROM (SELECT e.deal_id, min(e.version) AS version FROM event AS e GROUP BY e.deal_id) AS first
        JOIN crm_deals.deal_event AS l ON l.deal_id = first.deal_id AND l.version > first.version
        JOIN kept AS k ON l.changes ? k.key
    ), next_change AS (
        -- going back in versions, the change of each key that was met last; events come before a change of their own
        SELECT m.id, m.deal_id, m.key,
               min(m.version) FILTER (WHERE m.id IS NULL)
                   OVER (PARTITION BY m.deal_id, m.key ORDER BY m.version DESC, m.id IS NULL ROWS UNBOUNDED PRECEDING) AS version
        FROM (SELECT e.id, e.deal_id, e.version, k.key FROM event AS e CROSS JOIN kept AS k
              UNION ALL
              SELECT NULL, l.deal_id, l.version, l.key FROM later AS l) AS m
    ), changed AS (
        SELECT n.id, jsonb_object_agg(n.key, l.old) AS old
        FROM next_change AS n
        JOIN later AS l ON l.deal_id = n.deal_id AND l.key = n.key AND l.version = n.version
        WHERE n.id IS NOT NULL
        GROUP BY n.id
    )
    SELECT jsonb_object_agg(c.id, c.old) FROM changed AS c
$$;
COMMENT ON FUNCTION crm_deals_internal.changed_since(bigint[]) IS
    'Internal: what the deals of these events had then and have no longer.';

-- Few of many events, by keys: a plan that is made once, where making one takes longer than a short batch.
-- access: owner
CREATE FUNCTION crm_deals_internal.event_facts(ids bigint[])
RETURNS TABLE (id bigint, deal_id bigint, kind text, occurred_at timestamptz, batch_id bigint, pipeline_id bigint,
               old_stage_id bigint, old_stage_key text, old_stage_name text,
               new_stage_id bigint, new_stage_key text, new_stage_name text,
               old_status text, status text, deal_name text, amount numeric, currency text, actor text,
               changes jsonb, note text, external_id text, account_id jsonb, owner text, lost_reason text,
               closed_at timestamptz, transaction xid8, dispatch text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH event AS MATERIALIZED (
        SELECT a.place, e.*
        FROM unnest(event_facts.ids) WITH ORDINALITY AS a (id, place)
        JOIN crm_deals.deal_event AS e ON e.id = a.id
    ), since AS MATERIALIZED (
        SELECT CASE WHEN bool_or(EXISTS (SELECT FROM crm_deals.deal_event AS l
                                         WHERE l.deal_id = first.deal_id AND l.version > first.version
                                           AND l.changes ?| '{name,external_id,account_id,closed_at}'))
                    THEN crm_deals_internal.changed_since(event_facts.ids) END AS changed,
               EXISTS (SELECT FROM crm_deals.stage_name AS n WHERE n.until > min(first.occurred_at)) AS stages_changed
        FROM (SELECT e.deal_id, min(e.version) AS version, min(e.occurred_at) AS occurred_at
              FROM event AS e GROUP BY e.deal_id) AS first
    )
    SELECT e.id, e.deal_id, e.kind, e.occurred_at, e.batch_id, e.pipeline_id,
           e.from_stage_id, coalesce(from_then.key, from_stage.key), coalesce(from_then.name, from_stage.name),
           e.to_stage_id, coalesce(to_then.key, to_stage.key), coalesce(to_then.name, to_stage.name),
           e.from_status::text, e.status::text,
           CASE WHEN o.old ? 'name' THEN o.old ->> 'name' ELSE d.name END,
           e.amount, e.currency, e.actor, e.changes, e.note,
           CASE WHEN o.old ? 'external_id' THEN o.old ->> 'external_id' ELSE d.external_id END,
           CASE WHEN o.old ? 'account_id' THEN o.old -> 'account_id' ELSE coalesce(to_jsonb(d.account_id), 'null') END,
           e.owner, e.lost_reason,
           CASE WHEN o.old ? 'closed_at' THEN (o.old ->> 'closed_at')::timestamptz ELSE d.closed_at END,
           e.transaction, e.dispatch
    FROM event AS e
    CROSS JOIN since
    -- a deal that the event deleted: all that it had, and nothing of one that was restored since
    LEFT JOIN crm_deals.deal AS d ON d.id = e.deal_id AND e.to_stage_id IS NOT NULL
    CROSS JOIN LATERAL (SELECT CASE WHEN e.to_stage_id IS NOT NULL THEN since.changed -> e.id::text
                                    ELSE (SELECT jsonb_object_agg(c.key, c.value -> 0) FROM jsonb_each(e.changes) AS c)
                               END) AS o (old)
    LEFT JOIN crm_deals.stage AS from_stage ON from_stage.id = e.from_stage_id
    LEFT JOIN crm_deals.stage AS to_stage ON to_stage.id = e.to_stage_id
    LEFT JOIN LATERAL (SELECT n.key, n.name FROM crm_deals.stage_name AS n
                       WHERE since.stages_changed AND n.stage_id = e.from_stage_id AND n.until > e.occurred_at
                       ORDER BY n.until LIMIT 1) AS from_then ON true
    LEFT JOIN LATERAL (SELECT n.key, n.name FROM crm_deals.stage_name AS n
                       WHERE since.stages_changed AND n.stage_id = e.to_stage_id AND n.until > e.occurred_at
                       ORDER BY n.until LIMIT 1) AS to_then ON true
    ORDER BY e.place;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.event_facts(bigint[]) IS
    'Internal: events with all that a payload says of them, as it was when they happened.';

-- access: owner
CREATE FUNCTION crm_deals_internal.read_events(consumer text, max_events integer, lease interval) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF consumer = crm_deals_internal.dispatcher() THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer);
    END IF;
    RETURN crm_deals_internal.take_events(consumer, max_events, lease);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.read_events(text, integer, interval) IS
    'Internal: read_events() as the owner of the tables; the ids of its events.';

-- access: owner
CREATE FUNCTION crm_deals_internal.ack_events(consumer text, event_id bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    delivered bigint[];
    still_leased integer;
    place integer;
BEGIN
    SELECT c.unacked, c.leased INTO delivered, still_leased FROM crm_deals.event_consumer AS c WHERE c.consumer = consumer FOR UPDATE;
    IF NOT FOUND OR consumer = crm_deals_internal.dispatcher() THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer);
    END IF;
    place := array_position(delivered, event_id);
    IF place IS NULL THEN
        RETURN 0;
    END IF;
    still_leased := greatest(still_leased - place, 0);
    UPDATE crm_deals.event_consumer AS c
    SET unacked = delivered[place + 1:],
        last_acked_at = clock_timestamp(),
        leased = still_leased,
        leased_until = CASE WHEN still_leased > 0 THEN c.leased_until END
    WHERE c.consumer = consumer;
    RETURN place;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.ack_events(text, bigint) IS
    'Internal: ack_events() as the owner of the tables.';

-- access: owner
CREATE FUNCTION crm_deals_internal.keep_stage_name() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_keep_stage_name';
COMMENT ON FUNCTION crm_deals_internal.keep_stage_name() IS
    'Trigger: keeps what a stage was called, for the events of that time.';
