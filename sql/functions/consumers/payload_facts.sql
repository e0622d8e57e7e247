-- What a payload says of an event, as it was when the event happened.

-- A payload says the name, the account, the external id and the closing time that the deal had when the event happened.
-- That is the old value in the next change of each of them. The result has an object of such values for each event that
-- needs one, under the id of the event.
-- access: public
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
        -- Going back in versions, this is the change of each key that was met last. An event comes before its change.
        SELECT m.id, m.deal_id, m.key,
               min(m.version) FILTER (WHERE m.id IS NULL)
                   OVER (PARTITION BY m.deal_id, m.key ORDER BY m.version DESC, m.id IS NULL
                         ROWS UNBOUNDED PRECEDING) AS version
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
    'Internal: returns the values that the deals of these events had then and have no longer.';

-- These are few of many events, found by index. The plan is made once: making it takes longer than a short batch.
-- access: public
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
        SELECT a.place, e.id, e.deal_id, e.version, e.kind, e.occurred_at, e.batch_id, e.pipeline_id, e.from_stage_id,
               e.to_stage_id, e.from_status, e.status, e.amount, e.currency, e.actor, e.changes, e.note, e.owner,
               e.lost_reason, e.transaction, e.dispatch
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
    -- If the event deleted the deal, its changes say all that the deal had; the deal may have been restored since.
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
    'Internal: returns all that payloads say of these events, as it was when they happened.';

-- access: public
CREATE FUNCTION crm_deals_internal.keep_stage_name() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'crm_deals_keep_stage_name';
COMMENT ON FUNCTION crm_deals_internal.keep_stage_name() IS
    'Trigger: keeps the old name and key of a stage, for payloads of events of that time.';
