-- What the background worker of crm_deals.notify = dispatch does; the worker itself is src/events/dispatcher.c.

-- The events that the worker sends next. It acknowledges them at once: the notifications and its place commit
-- together.
-- access: public
CREATE FUNCTION crm_deals_internal.take_for_dispatch(most integer) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch bigint[];
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF NOT EXISTS (SELECT FROM crm_deals.event_consumer AS c WHERE c.consumer = crm_deals_internal.dispatcher()) THEN
        INSERT INTO crm_deals.event_consumer (consumer, include_imports, seen, seen_id)
        VALUES (crm_deals_internal.dispatcher(), true, '1:1:', 0);
    END IF;
    batch := crm_deals_internal.take_events(crm_deals_internal.dispatcher(), most, NULL::interval);
    IF batch <> '{}' THEN
        UPDATE crm_deals.event_consumer AS c
        SET unacked = '{}', last_acked_at = clock_timestamp()
        WHERE c.consumer = crm_deals_internal.dispatcher();
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.take_for_dispatch(integer) IS
    'Internal: returns the ids of the next events that writers left to the dispatcher.';

-- One summary for each kind of event that a transaction wrote beyond crm_deals.notify_limit. The dispatcher sends those
-- whose kind is a channel.
-- access: public
CREATE FUNCTION crm_deals_internal.summaries(transaction xid8)
RETURNS TABLE (kind text, batch_id bigint, events bigint, first_event_id bigint, last_event_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.kind, CASE WHEN min(e.batch_id) = max(e.batch_id) THEN min(e.batch_id) END, count(*), min(e.id), max(e.id)
    FROM crm_deals.deal_event AS e
    CROSS JOIN LATERAL (SELECT DISTINCT u.kind
                        FROM unnest(crm_deals_internal.event_kinds(e.version, e.kind, e.from_stage_id,
                                                                   e.from_status::text,
                                                           e.to_stage_id, e.status::text)) AS u (kind)) AS k
    WHERE e.transaction = summaries.transaction
      AND e.dispatch IN ('summary', 'counted')
    GROUP BY k.kind
$$;
COMMENT ON FUNCTION crm_deals_internal.summaries(xid8) IS
    'Internal: returns what the summaries of a transaction say.';
