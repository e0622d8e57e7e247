-- Makes and removes consumers.

-- access: public
CREATE FUNCTION crm_deals_internal.raise_unknown_consumer(consumer text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'consumer "%" does not exist', consumer
        USING ERRCODE = 'P0002',
              DETAIL = coalesce((SELECT 'There are '
                                        || string_agg(format('"%s"', c.consumer), ', ' ORDER BY c.consumer) || '.'
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
    'Internal: raises the error that names the consumers that exist.';

-- access: public
CREATE FUNCTION crm_deals_internal.subscribe(consumer text, kinds text[], from_start boolean, include_imports boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text[] := ARRAY['created', 'stage_changed', 'won', 'lost', 'abandoned', 'reopened', 'updated',
                                   'deleted', 'merged', 'redacted', 'reverted'];
    unknown text := (SELECT coalesce(k.kind, 'NULL') FROM unnest(kinds) AS k (kind)
                     WHERE k.kind = ANY (known) IS NOT TRUE LIMIT 1);
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF unknown IS NOT NULL OR kinds = '{}' THEN
        RAISE EXCEPTION '%', CASE WHEN unknown IS NULL THEN 'no kinds of events are named'
                                  ELSE format('there are no events of kind "%s"', unknown) END
            USING ERRCODE = '22023',
                  HINT = format('The kinds are %s; NULL means all of them.', array_to_string(known, ', '));
    END IF;
    IF consumer = crm_deals_internal.dispatcher() THEN
        RAISE EXCEPTION 'the name "%" is reserved', consumer USING ERRCODE = '22023', HINT = 'Choose another name.';
    END IF;
    IF EXISTS (SELECT FROM crm_deals.event_consumer AS c
               WHERE c.consumer = consumer
                 AND (c.kinds, c.include_imports) IS NOT DISTINCT FROM (kinds, coalesce(include_imports, false))) THEN
        RETURN;
    END IF;
    -- A consumer that wants more than before must wait for a prune_events() that does not know of it yet.
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
    'Internal: does the work of subscribe() as the owner of the tables.';

-- access: public
CREATE FUNCTION crm_deals_internal.unsubscribe(consumer text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    DELETE FROM crm_deals.event_consumer AS c
    WHERE c.consumer = consumer AND consumer <> crm_deals_internal.dispatcher();
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.unsubscribe(text) IS
    'Internal: does the work of unsubscribe() as the owner of the tables.';
