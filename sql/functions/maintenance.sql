-- The log is append-only, with two exceptions: old events are pruned, and a person is erased. These functions run as
-- the owner of the tables. src/functions/maintenance.c calls them; nothing else may change the log.

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

-- access: public
CREATE FUNCTION crm_deals_internal.redact_contact(contact text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    blanked bigint;
BEGIN
    IF to_regclass('crm_deals.contact') IS NULL THEN
        RAISE NOTICE 'the contacts are in a table of the host'
            USING HINT = 'The host erases them; their activities in crm_deals are removed.';
        RETURN NULL;
    END IF;
    UPDATE crm_deals.contact AS c
    SET first_name = NULL, last_name = '[redacted]', email = NULL, phone = NULL, external_id = NULL,
        custom_fields = '{}'
    WHERE c.id::text = contact;
    GET DIAGNOSTICS blanked = ROW_COUNT;
    IF blanked = 0 THEN
        RAISE EXCEPTION 'contact % does not exist', contact USING ERRCODE = 'P0002';
    END IF;
    RETURN blanked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_contact(text) IS
    'Internal: blanks a contact. Returns NULL if contacts are the host''s.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact_lead(lead bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    blanked bigint;
BEGIN
    UPDATE crm_deals.lead AS l
    SET company_name = '[redacted]', first_name = NULL, last_name = NULL, email = NULL, phone = NULL,
        external_id = NULL, custom_fields = '{}'
    WHERE l.id = lead;
    GET DIAGNOSTICS blanked = ROW_COUNT;
    IF blanked = 0 THEN
        RAISE EXCEPTION 'lead % does not exist', lead USING ERRCODE = 'P0002';
    END IF;
    RETURN blanked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_lead(bigint) IS
    'Internal: blanks a lead.';

-- The deals that the caller names, those merged into them, and those that they were merged into.
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
      AND NOT EXISTS (SELECT FROM crm_deals.deal_event AS e WHERE e.deal_id = a.id)
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

-- The change of each deal becomes an event of kind redacted.
-- access: public
CREATE FUNCTION crm_deals_internal.redact_deals(deals bigint[], owner text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    blanked bigint;
BEGIN
    IF owner IS NULL THEN
        UPDATE crm_deals.deal AS d
        SET name = '[redacted]', notes = CASE WHEN d.notes IS NOT NULL THEN '[redacted]' END,
            custom_fields = crm_deals_internal.redacted_fields(d.custom_fields)
        WHERE d.id = ANY (deals);
    ELSE
        UPDATE crm_deals.deal AS d
        SET name = CASE WHEN d.id = ANY (deals) THEN '[redacted]' ELSE d.name END,
            notes = CASE WHEN d.id = ANY (deals) AND d.notes IS NOT NULL THEN '[redacted]' ELSE d.notes END,
            custom_fields = CASE WHEN d.id = ANY (deals) THEN crm_deals_internal.redacted_fields(d.custom_fields)
                ELSE d.custom_fields END,
            owner = CASE WHEN d.owner = owner THEN '[redacted]' ELSE d.owner END
        WHERE d.id = ANY (deals) OR d.owner = owner;
    END IF;
    GET DIAGNOSTICS blanked = ROW_COUNT;
    RETURN blanked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_deals(bigint[], text) IS
    'Internal: blanks deals, and their owner if an owner is a text.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact_owner(relation regclass, owner text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    blanked bigint := 0;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF relation IS NOT NULL THEN
        EXECUTE format('UPDATE %s SET owner = ''[redacted]'' WHERE owner = $1', relation) USING owner;
        GET DIAGNOSTICS blanked = ROW_COUNT;
    END IF;
    RETURN blanked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_owner(regclass, text) IS
    'Internal: blanks an owner in accounts, contacts and leads if an owner is a text.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact_activities(contact text, lead bigint, deals bigint[], actor text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    deleted bigint;
    blanked bigint;
BEGIN
    DELETE FROM crm_deals.activity AS a WHERE a.contact_id::text = contact OR a.lead_id = lead;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    UPDATE crm_deals.activity AS a
    SET subject = CASE WHEN a.deal_id = ANY (deals) THEN '[redacted]' ELSE a.subject END,
        body = CASE WHEN a.deal_id = ANY (deals) AND a.body IS NOT NULL THEN '[redacted]' ELSE a.body END,
        actor = CASE WHEN a.actor = actor THEN '[redacted]' ELSE a.actor END
    WHERE a.deal_id = ANY (deals) OR a.actor = actor;
    GET DIAGNOSTICS blanked = ROW_COUNT;
    RETURN deleted + blanked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_activities(text, bigint, bigint[], text) IS
    'Internal: deletes the activities of a contact or a lead, and blanks those of deals and of an actor.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact_events(deals bigint[], actor text, owner text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    UPDATE crm_deals.deal_event AS e
    SET note = CASE WHEN e.deal_id = ANY (deals) AND e.kind <> 'redacted' AND e.note IS NOT NULL THEN '[redacted]'
        ELSE e.note END,
        changes = crm_deals_internal.redacted_changes(e.changes, e.deal_id = ANY (deals), owner),
        actor = CASE WHEN e.actor = actor THEN '[redacted]' ELSE e.actor END,
        session_user_name = CASE WHEN e.session_user_name = actor THEN '[redacted]' ELSE e.session_user_name END,
        owner = CASE WHEN e.owner = owner THEN '[redacted]' ELSE e.owner END
    WHERE e.deal_id = ANY (deals)
       OR e.actor = actor OR e.session_user_name = actor OR e.owner = owner OR e.changes -> 'owner' ? owner;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact_events(bigint[], text, text) IS
    'Internal: blanks what the log says of deals, of an actor and of an owner.';

-- access: public
CREATE FUNCTION crm_deals_internal.redact(contact text, lead bigint, deals bigint[], actor text)
RETURNS TABLE (relation text, rows bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- If owners are in a host table, an owner is a key, and stays.
    owner text := (SELECT actor FROM crm_deals.installation AS i WHERE i.owner_table IS NULL);
    n bigint;
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF num_nonnulls(contact, lead, deals, actor) = 0 THEN
        RAISE EXCEPTION 'nothing to redact is named'
            USING ERRCODE = '22023', HINT = 'Name a contact, a lead, deals or an actor.';
    END IF;
    deals := crm_deals_internal.deals_to_redact(coalesce(deals, '{}'));

    IF deals <> '{}' OR actor IS NOT NULL THEN
        RETURN QUERY SELECT 'deal', crm_deals_internal.redact_deals(deals, owner);
    END IF;
    IF contact IS NOT NULL THEN
        RETURN QUERY SELECT 'contact', b.n FROM crm_deals_internal.redact_contact(contact) AS b (n)
        WHERE b.n IS NOT NULL;
    END IF;
    IF lead IS NOT NULL THEN
        RETURN QUERY SELECT 'lead', crm_deals_internal.redact_lead(lead);
    END IF;
    RETURN QUERY SELECT 'activity', crm_deals_internal.redact_activities(contact, lead, deals, actor);
    RETURN QUERY SELECT 'deal_event', crm_deals_internal.redact_events(deals, actor, owner);

    IF actor IS NOT NULL THEN
        UPDATE crm_deals.deal_duplicate AS u SET resolved_by = '[redacted]' WHERE u.resolved_by = actor;
        GET DIAGNOSTICS n = ROW_COUNT;
        RETURN QUERY SELECT 'deal_duplicate', n;
        UPDATE crm_deals.log_pruning AS p SET pruned_by = '[redacted]' WHERE p.pruned_by = actor;
    END IF;
    IF owner IS NOT NULL THEN
        RETURN QUERY
        SELECT r.name, crm_deals_internal.redact_owner(to_regclass('crm_deals.' || r.name), owner)
        FROM unnest(ARRAY['account', 'contact', 'lead']) AS r (name);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.redact(text, bigint, bigint[], text) IS
    'Internal: does redact() as the owner of the tables.';
