-- The log is append-only, with two exceptions: old events are pruned, and a person is erased.
-- src/functions/maintenance.c and redact.c do it with the functions here; nothing else may change the log.

-- access: read
CREATE FUNCTION crm_deals_internal.pruning_horizon() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT max(p.horizon) FROM crm_deals.log_pruning AS p $$;
COMMENT ON FUNCTION crm_deals_internal.pruning_horizon() IS
    'Internal: returns the moment before which the log is incomplete, NULL if nothing was pruned.';

-- Removes the beginning of each deal's log: the events before the horizon, but not its latest event, and none from the
-- first on that a consumer has not acknowledged. Events that are committed meanwhile stay, and nobody can subscribe
-- meanwhile.
-- access: public
CREATE FUNCTION crm_deals_internal.prune_events(before timestamptz, actor text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    batch_size CONSTANT integer := 10000;
    cut pg_snapshot;
    -- parallel to each other: deals in ascending order, and the first version of each that a consumer has not
    -- acknowledged
    held_deals bigint[];
    held_versions integer[];
    batch bigint[];
    last_id bigint := 0;
    removed bigint;
    pruned bigint := 0;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF before IS NULL OR before > now() THEN
        RAISE EXCEPTION 'the log can be pruned before a moment in the past' USING ERRCODE = '22023';
    END IF;
    LOCK TABLE crm_deals.log_pruning IN SHARE ROW EXCLUSIVE MODE;
    SELECT crm_deals_internal.log_snapshot(), coalesce(array_agg(h.deal_id ORDER BY h.deal_id), '{}'),
           array_agg(h.version ORDER BY h.deal_id)
    INTO cut, held_deals, held_versions
    FROM (SELECT e.deal_id, min(e.version) AS version
          FROM crm_deals.event_consumer AS c
          CROSS JOIN LATERAL crm_deals_internal.pending(c.consumer) AS p
          JOIN crm_deals.deal_event AS e ON e.id = p.id
          WHERE p.occurred_at < before
          GROUP BY e.deal_id) AS h;

    LOOP
        SELECT array_agg(e.id), max(e.id)
        INTO batch, last_id
        FROM (SELECT e.id FROM crm_deals.deal_event AS e WHERE e.id > last_id ORDER BY e.id LIMIT batch_size) AS e;
        EXIT WHEN batch IS NULL;
        DELETE FROM crm_deals.deal_event AS e
        WHERE e.id = ANY (batch)
          AND e.occurred_at < before
          AND pg_visible_in_snapshot(e.transaction, cut)
          AND (held_deals[width_bucket(e.deal_id, held_deals)] = e.deal_id
               AND held_versions[width_bucket(e.deal_id, held_deals)] <= e.version) IS NOT TRUE
          AND EXISTS (SELECT FROM crm_deals.deal_event AS l WHERE l.deal_id = e.deal_id AND l.version > e.version);
        GET DIAGNOSTICS removed = ROW_COUNT;
        pruned := pruned + removed;
    END LOOP;

    IF pruned > 0 THEN
        INSERT INTO crm_deals.log_pruning (horizon, pruned_by, events) VALUES (before, actor, pruned);
    END IF;
    RETURN pruned;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.prune_events(timestamptz, text) IS
    'Internal: does prune_events() as the owner of the tables.';

-- Texts are blanked. Values of other types cannot be blanked, so they are removed.
-- access: public
CREATE FUNCTION crm_deals_internal.redacted_fields(custom_fields jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(f.key, '[redacted]'::text) FILTER (WHERE jsonb_typeof(f.value) = 'string'), '{}')
    FROM jsonb_each(redacted_fields.custom_fields) AS f
$$;
COMMENT ON FUNCTION crm_deals_internal.redacted_fields(jsonb) IS
    'Internal: returns custom fields without what they said.';

-- In a named deal everything that may name a person is blanked, in other deals only the owner.
-- access: public
CREATE FUNCTION crm_deals_internal.redacted_changes(changes jsonb, is_named boolean, actor text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(c.key, CASE
               WHEN is_named
                    AND (c.key IN ('name', 'notes', 'custom_fields') OR starts_with(c.key, 'custom_fields.')) THEN
                   (SELECT jsonb_agg(CASE v.value WHEN 'null' THEN v.value ELSE '"[redacted]"' END ORDER BY v.place)
                    FROM jsonb_array_elements(c.value) WITH ORDINALITY AS v (value, place))
               WHEN c.key = 'owner' THEN
                   (SELECT jsonb_agg(CASE v.value #>> '{}' WHEN actor THEN '"[redacted]"' ELSE v.value END
                                     ORDER BY v.place)
                    FROM jsonb_array_elements(c.value) WITH ORDINALITY AS v (value, place))
               ELSE c.value END), '{}')
    FROM jsonb_each(redacted_changes.changes) AS c
$$;
COMMENT ON FUNCTION crm_deals_internal.redacted_changes(jsonb, boolean, text) IS
    'Internal: returns the changes of an event without what they said of a person.';

-- The statements of redact() are in src/functions/redact.c. It writes deals, contacts and the like as the caller, so
-- that row security decides which rows it reaches. Only the log, flags and the history of pruning are written as the
-- owner of the tables. What follows says which of their rows.

-- The deals that the caller names and may see, and those that they were merged into. Where row security is on, nobody
-- sees a deleted deal.
-- access: public
CREATE FUNCTION crm_deals_internal.deals_to_redact(deals bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    unknown bigint;
BEGIN
    SELECT a.id
    INTO unknown
    FROM unnest(deals) AS a (id)
    WHERE NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = a.id)
      AND NOT EXISTS (SELECT FROM crm_deals.deal_alias AS m JOIN crm_deals.deal AS d ON d.id = m.deal_id
                      WHERE m.old_id = a.id)
      AND (row_security_active('crm_deals.deal'::regclass)
           OR NOT EXISTS (SELECT FROM crm_deals.deal_event AS e WHERE e.deal_id = a.id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'deal % does not exist', unknown USING ERRCODE = 'P0002';
    END IF;
    RETURN ARRAY(SELECT a.id FROM unnest(deals) AS a (id)
                 UNION
                 SELECT m.deal_id FROM crm_deals.deal_alias AS m WHERE m.old_id = ANY (deals));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deals_to_redact(bigint[]) IS
    'Internal: returns the deals that a redaction is about.';

-- If a policy reads the owner of a row, a row without its owner could be one that nobody sees.
-- access: public
CREATE FUNCTION crm_deals_internal.policy_reads_owner(relation text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT
                   FROM pg_policy AS p
                   JOIN pg_class AS c ON c.oid = p.polrelid AND c.relrowsecurity
                   JOIN pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                       AND d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid
                   LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                   WHERE a.attname = 'owner'
                      -- the row as a whole, as in USING (may_see(deal))
                      OR p.polrelid = r.oid AND concat(p.polqual, p.polwithcheck) LIKE '%:varattno 0 %')
    FROM to_regclass('crm_deals.' || policy_reads_owner.relation) AS r (oid)
$$;
COMMENT ON FUNCTION crm_deals_internal.policy_reads_owner(text) IS
    'Internal: tells whether row security on a table depends on the owner of a row.';

-- The events that name the actor, and all events of the deals, as far as the caller sees both the event and its deal.
-- NULL means that row security hides nothing from the caller.
-- access: public
CREATE FUNCTION crm_deals_internal.events_to_redact(deals bigint[], actor text, owner text) RETURNS bigint[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN row_security_active('crm_deals.deal'::regclass)
                     OR row_security_active('crm_deals.deal_event'::regclass)
                THEN ARRAY(SELECT e.id
                           FROM crm_deals.deal_event AS e
                           WHERE e.deal_id = ANY (events_to_redact.deals)
                              OR (e.actor = events_to_redact.actor OR e.session_user_name = events_to_redact.actor
                                  OR e.owner = events_to_redact.owner OR e.changes -> 'owner' ? events_to_redact.owner)
                                 AND EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = e.deal_id)) END
$$;
COMMENT ON FUNCTION crm_deals_internal.events_to_redact(bigint[], text, text) IS
    'Internal: returns the events that a caller under row security may redact.';

-- access: public
CREATE FUNCTION crm_deals_internal.flags_to_redact(actor text, OUT deals bigint[], OUT other_deals bigint[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(u.deal_id), array_agg(u.other_deal_id)
    FROM crm_deals.deal_duplicate AS u
    JOIN crm_deals.deal AS d ON d.id = u.deal_id
    JOIN crm_deals.deal AS o ON o.id = u.other_deal_id
    WHERE u.resolved_by = flags_to_redact.actor
$$;
COMMENT ON FUNCTION crm_deals_internal.flags_to_redact(text) IS
    'Internal: returns the dismissed pairs of deals that the caller sees and the actor has dismissed.';

-- A deal that keeps its owner keeps it in its log, too.
-- access: public
CREATE FUNCTION crm_deals_internal.redact_events(events bigint[], deals bigint[], actor text, owner text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    WITH chosen AS (
        SELECT e.id, e.deal_id = ANY (deals) AS is_named,
               CASE WHEN NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = e.deal_id AND d.owner::text = owner)
                    THEN owner END AS owner
        FROM crm_deals.deal_event AS e
        WHERE (events IS NULL OR e.id = ANY (events))
          AND (e.deal_id = ANY (deals)
               OR e.actor = actor OR e.session_user_name = actor OR e.owner = owner OR e.changes -> 'owner' ? owner)
    )
    UPDATE crm_deals.deal_event AS e
    SET note = CASE WHEN c.is_named AND e.kind <> 'redacted' AND e.note IS NOT NULL THEN '[redacted]' ELSE e.note END,
        changes = crm_deals_internal.redacted_changes(e.changes, c.is_named, c.owner),
        actor = CASE WHEN e.actor = actor THEN '[redacted]' ELSE e.actor END,
        session_user_name = CASE WHEN e.session_user_name = actor THEN '[redacted]' ELSE e.session_user_name END,
        owner = CASE WHEN e.owner = c.owner THEN '[redacted]' ELSE e.owner END
    FROM chosen AS c
    WHERE e.id = c.id
      AND (c.is_named OR e.actor = actor OR e.session_user_name = actor
           OR e.owner = c.owner OR e.changes -> 'owner' ? c.owner);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_events(bigint[], bigint[], text, text) IS
    'Internal: blanks what the log says of deals, of an actor and of an owner.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact_flags(deals bigint[], other_deals bigint[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    UPDATE crm_deals.deal_duplicate AS u
    SET resolved_by = '[redacted]'
    FROM unnest(redact_flags.deals, redact_flags.other_deals) AS f (deal_id, other_deal_id)
    WHERE u.deal_id = f.deal_id AND u.other_deal_id = f.other_deal_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_flags(bigint[], bigint[]) IS
    'Internal: blanks who dismissed these pairs.';

-- Flags that a merge took away, and its undoing would bring back
-- access: public
CREATE FUNCTION crm_deals_internal.redact_merges(actor text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    UPDATE crm_deals.deal_merge AS m
    SET moved = jsonb_set(m.moved, '{flags}',
                          (SELECT jsonb_agg(CASE f.flag -> 'resolved_by' ->> 0 WHEN redact_merges.actor
                                            THEN f.flag || '{"resolved_by": ["[redacted]", null]}' ELSE f.flag END)
                           FROM jsonb_array_elements(m.moved -> 'flags') AS f (flag)))
    WHERE jsonb_path_query_array(m.moved, '$.flags[*].resolved_by[0]') ? redact_merges.actor;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_merges(text) IS
    'Internal: blanks who dismissed pairs of deals that were merged.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact_pruning(actor text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    UPDATE crm_deals.log_pruning AS p SET pruned_by = '[redacted]' WHERE p.pruned_by = redact_pruning.actor;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_pruning(text) IS
    'Internal: blanks who pruned the log.';
