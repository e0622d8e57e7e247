-- Delivers events to a consumer, and takes its acknowledgements.

-- That is an event after the cut, or an event of a transaction that was running in it.
-- access: public
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
                           LATERAL (SELECT FROM crm_deals.deal_event AS e WHERE e.transaction = r.transaction
                                    LIMIT 1) AS e);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.has_news(pg_snapshot, bigint) IS
    'Internal: tells whether an event is visible that was not in the cut.';

-- It takes no lock: a consumer that looks in vain writes nothing.
-- access: public
CREATE FUNCTION crm_deals_internal.has_events(consumer text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c record;
BEGIN
    SELECT e.unacked, e.upto, e.leased_until, e.seen, e.seen_id
    INTO c
    FROM crm_deals.event_consumer AS e
    WHERE e.consumer = consumer;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    RETURN c.unacked <> '{}' OR c.upto IS NOT NULL OR c.leased_until IS NOT NULL
           OR crm_deals_internal.has_news(c.seen, c.seen_id);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.has_events(text) IS
    'Internal: tells whether take_events() has anything to do for a consumer.';

-- The batch begins with the events that were delivered and not acknowledged. Then come the rest of the cut that is
-- being delivered, and a new cut.
-- access: public
CREATE FUNCTION crm_deals_internal.take_events(consumer text, max_events integer, lease interval) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    c record;    -- the consumer
    batch bigint[];
    news bigint[];
    room bigint;
    is_new_cut boolean := false;
    moved boolean := false;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF NOT crm_deals_internal.has_events(consumer) THEN
        RETURN '{}';
    END IF;
    SELECT e.* INTO c FROM crm_deals.event_consumer AS e WHERE e.consumer = consumer FOR UPDATE SKIP LOCKED;
    IF NOT FOUND OR c.leased_until > clock_timestamp() THEN
        RETURN '{}';
    END IF;

    batch := c.unacked[1:max_events];
    WHILE cardinality(batch) < max_events LOOP
        room := max_events - cardinality(batch);
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
            unacked = c.unacked, leased = CASE WHEN lease IS NULL THEN 0 ELSE cardinality(batch) END,
            leased_until = clock_timestamp() + lease
        WHERE e.consumer = consumer;
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.take_events(text, integer, interval) IS
    'Internal: returns the ids of the next events for a consumer and notes them as delivered.';

-- access: public
CREATE FUNCTION crm_deals_internal.read_events(consumer text, max_events integer, lease interval, caller name)
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF crm_deals_internal.enter_consumer(consumer, caller) THEN
        RETURN crm_deals_internal.take_events(consumer, max_events, lease);
    END IF;
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.read_events(text, integer, interval, name) IS
    'Internal: returns the ids of the events that read_events() delivers, as the owner of the tables.';

-- access: public
CREATE FUNCTION crm_deals_internal.ack_events(consumer text, event_id bigint, caller name) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    delivered bigint[];
    still_leased integer;
    place integer;
BEGIN
    IF NOT crm_deals_internal.enter_consumer(consumer, caller) THEN
        RETURN 0;
    END IF;
    SELECT c.unacked, c.leased
    INTO delivered, still_leased
    FROM crm_deals.event_consumer AS c
    WHERE c.consumer = consumer
    FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer, caller);
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
COMMENT ON FUNCTION crm_deals_internal.ack_events(text, bigint, name) IS
    'Internal: does the work of ack_events() as the owner of the tables.';
