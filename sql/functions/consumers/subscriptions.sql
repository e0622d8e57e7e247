-- Makes and removes consumers, and says who may use one: the role that subscribed, its members, and admins. Whoever has
-- DELETE on the view installation is an admin (level_marks()).

-- access: public
CREATE FUNCTION crm_deals_internal.may_use_consumer(subscribed_by text, caller name) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT has_table_privilege(caller, 'crm_deals.installation', 'DELETE')
           OR EXISTS (SELECT FROM pg_roles AS r
                      WHERE r.rolname = may_use_consumer.subscribed_by::name
                        AND pg_has_role(may_use_consumer.caller, r.oid, 'MEMBER'))
$$;
COMMENT ON FUNCTION crm_deals_internal.may_use_consumer(text, name) IS
    'Internal: tells whether a role may use a consumer that another role has made.';

-- access: public
CREATE FUNCTION crm_deals_internal.raise_unknown_consumer(consumer text, caller name) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    RAISE EXCEPTION 'consumer "%" does not exist', consumer
        USING ERRCODE = 'P0002',
              DETAIL = coalesce((SELECT 'There are '
                                        || string_agg(format('"%s"', c.consumer), ', ' ORDER BY c.consumer) || '.'
                                 FROM (SELECT e.consumer
                                       FROM crm_deals.event_consumer AS e
                                       WHERE e.consumer <> crm_deals_internal.dispatcher()
                                         AND crm_deals_internal.may_use_consumer(e.subscribed_by, caller)
                                       ORDER BY e.consumer
                                       LIMIT 50) AS c),
                                'There is none.'),
              HINT = 'Run subscribe() first.';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.raise_unknown_consumer(text, name) IS
    'Internal: raises the error that names the consumers that the caller may use.';

-- A consumer of 0.1 belongs to nobody until the first role that is no admin uses it. If another session is using it at
-- this moment, the result is false. It does not wait.
-- access: public
CREATE FUNCTION crm_deals_internal.claim_consumer(consumer text, caller name) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    PERFORM FROM crm_deals.event_consumer AS c
    WHERE c.consumer = consumer AND c.subscribed_by IS NULL
    FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE crm_deals.event_consumer AS c SET subscribed_by = caller WHERE c.consumer = consumer;
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.claim_consumer(text, name) IS
    'Internal: makes a role the owner of a consumer that has none.';

-- access: public
CREATE FUNCTION crm_deals_internal.enter_consumer(consumer text, caller name) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscribed_by text;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    SELECT c.subscribed_by INTO subscribed_by
    FROM crm_deals.event_consumer AS c
    WHERE c.consumer = consumer AND consumer <> crm_deals_internal.dispatcher();
    IF FOUND AND crm_deals_internal.may_use_consumer(subscribed_by, caller) THEN
        RETURN true;
    ELSIF FOUND AND subscribed_by IS NULL THEN
        RETURN crm_deals_internal.claim_consumer(consumer, caller);
    END IF;
    PERFORM crm_deals_internal.raise_unknown_consumer(consumer, caller);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.enter_consumer(text, name) IS
    'Internal: refuses a consumer that the caller may not use. Returns false if another session is claiming it.';

-- Names are unique among all roles, so a name that is taken cannot be hidden.
-- access: public
CREATE FUNCTION crm_deals_internal.check_subscriber(consumer text, caller name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.enter_consumer(consumer, caller)
    WHERE EXISTS (SELECT FROM crm_deals.event_consumer AS c WHERE c.consumer = consumer);
EXCEPTION WHEN no_data_found THEN
    RAISE EXCEPTION 'consumer "%" belongs to another role', consumer
        USING ERRCODE = '42501', HINT = 'Choose another name, or become a member of that role.';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_subscriber(text, name) IS
    'Internal: refuses to subscribe under the name of another role''s consumer.';

-- access: public
CREATE FUNCTION crm_deals_internal.subscribe(consumer text, kinds text[], from_start boolean, include_imports boolean,
                                             caller name) RETURNS void
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
    PERFORM crm_deals_internal.check_subscriber(consumer, caller);
    IF EXISTS (SELECT FROM crm_deals.event_consumer AS c
               WHERE c.consumer = consumer
                 AND (c.kinds, c.include_imports) IS NOT DISTINCT FROM (kinds, coalesce(include_imports, false))) THEN
        RETURN;
    END IF;
    -- A consumer that wants more than before must wait for a prune_events() that does not know of it yet.
    IF from_start OR EXISTS (SELECT FROM crm_deals.event_consumer AS c WHERE c.consumer = consumer) THEN
        LOCK TABLE crm_deals.log_pruning IN ROW EXCLUSIVE MODE;
    END IF;
    INSERT INTO crm_deals.event_consumer AS c (consumer, subscribed_by, kinds, include_imports, seen, seen_id)
    SELECT consumer, caller, kinds, coalesce(include_imports, false),
           CASE WHEN from_start THEN '1:1:' ELSE crm_deals_internal.log_snapshot() END,
           CASE WHEN from_start THEN 0 ELSE coalesce((SELECT max(e.id) FROM crm_deals.deal_event AS e), 0) END
    ON CONFLICT ON CONSTRAINT event_consumer_pkey DO UPDATE
        SET kinds = excluded.kinds, include_imports = excluded.include_imports
        WHERE crm_deals_internal.may_use_consumer(c.subscribed_by, caller);
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.check_subscriber(consumer, caller);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.subscribe(text, text[], boolean, boolean, name) IS
    'Internal: does the work of subscribe() as the owner of the tables.';

-- access: public
CREATE FUNCTION crm_deals_internal.unsubscribe(consumer text, caller name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    DELETE FROM crm_deals.event_consumer AS c
    WHERE c.consumer = consumer AND consumer <> crm_deals_internal.dispatcher()
      AND crm_deals_internal.may_use_consumer(c.subscribed_by, caller);
    IF NOT FOUND THEN
        PERFORM crm_deals_internal.raise_unknown_consumer(consumer, caller);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.unsubscribe(text, name) IS
    'Internal: does the work of unsubscribe() as the owner of the tables.';
