-- verify() proves the rules on the data, with plain SQL that knows nothing of the triggers.
-- access: read
CREATE FUNCTION crm_deals_internal.verify() RETURNS TABLE (rule integer, deal_id bigint, detail text)
LANGUAGE plpgsql STABLE COST 1000000
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.check_installed();
    RETURN QUERY
    WITH judged AS (
        SELECT d.id, d.status, d.pipeline_id, d.organization, d.created_at, d.closed_at, d.probability,
               d.probability_overridden, d.lost_reason, d.stage_id, d.stage_entered_at, d.version, d.amount, d.currency,
               d.expected_close_date, d.owner, d.updated_at,
               jsonb_build_object('name', d.name, 'account_id', d.account_id, 'primary_contact_id',
                                  d.primary_contact_id,
                                  'source', d.source, 'notes', d.notes, 'external_id', d.external_id) AS untracked,
               s.status AS stage_status, s.pipeline_id AS stage_pipeline_id, s.probability AS stage_probability,
               s.archived_at IS NOT NULL AS stage_is_archived,
               p.organization AS pipeline_organization, p.lost_reason_required, p.lost_reason_required_since
        FROM crm_deals.deal AS d
        LEFT JOIN crm_deals.stage AS s ON s.id = d.stage_id
        LEFT JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
    ), event AS (
        -- Under row security it is about the caller's deals only, and does not tell that there are others.
        SELECT e.id, e.deal_id, e.version, e.kind, e.occurred_at, e.from_stage_id, e.to_stage_id, e.status, e.amount,
               e.currency, e.probability, e.expected_close_date, e.owner, e.lost_reason, e.changes
        FROM crm_deals.deal_event AS e
        WHERE NOT row_security_active('crm_deals.deal')
            OR EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = e.deal_id)
    ), whole AS (
        -- Deals whose log is complete; prune_events() has removed the beginning of the others.
        SELECT e.deal_id FROM event AS e WHERE e.version <= 1 AND e.from_stage_id IS NULL
        UNION ALL
        SELECT DISTINCT e.deal_id FROM event AS e WHERE crm_deals_internal.pruning_horizon() IS NULL
    ), last_event AS (
        SELECT DISTINCT ON (e.deal_id) e.*
        FROM event AS e
        ORDER BY e.deal_id, e.version DESC
    ), step AS (
        SELECT e.id, e.deal_id, e.version, e.from_stage_id, e.occurred_at,
               lag(e.version) OVER deal AS previous_version, lag(e.to_stage_id) OVER deal AS previous_stage_id,
               lag(e.occurred_at) OVER deal AS previous_at, lag(e.kind) OVER deal AS previous_kind
        FROM event AS e
        WINDOW deal AS (PARTITION BY e.deal_id ORDER BY e.version)
    ), last_change AS (
        SELECT DISTINCT ON (e.deal_id, c.key) e.deal_id, c.key, c.value -> 1 AS value
        FROM event AS e, LATERAL jsonb_each(e.changes) AS c
        WHERE c.key IN ('name', 'account_id', 'primary_contact_id', 'source', 'notes', 'external_id')
        ORDER BY e.deal_id, c.key, e.version DESC
    )
    -- 0: what stands beside the numbered rules
    SELECT 0, NULL, format('table %s inherits from %s: writes through the parent or into the child obey no rule',
                           i.inhrelid::regclass, i.inhparent::regclass)
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.relnamespace = to_regnamespace('crm_deals')
                      AND (c.oid = i.inhrelid OR c.oid = i.inhparent AND c.relkind = 'r')
    UNION ALL
    SELECT 0, j.id, format('%s is out of bounds: %s', b.name, b.value)
    FROM judged AS j,
         LATERAL (VALUES ('created_at', j.created_at::text,
                          j.created_at < '1900-01-01 00:00:00+00' OR j.created_at > now() + interval '1 day'),
                         ('closed_at', j.closed_at::text,
                          j.closed_at < '1900-01-01 00:00:00+00' OR j.closed_at > now() + interval '1 day'),
                         ('stage_entered_at', j.stage_entered_at::text,
                          j.stage_entered_at < '1900-01-01 00:00:00+00'
                          OR j.stage_entered_at > now() + interval '1 day'),
                         ('expected_close_date', j.expected_close_date::text,
                          j.expected_close_date NOT BETWEEN '1900-01-01' AND '2999-12-31'),
                         ('amount', j.amount::text, j.amount >= 1e18)) AS b (name, value, is_out)
    WHERE b.is_out
    UNION ALL
    SELECT 0, a.deal_id, format('done_at of activity %s is out of bounds: %s', a.id, a.done_at)
    FROM crm_deals.activity AS a
    WHERE a.done_at < '1900-01-01 00:00:00+00' OR a.done_at > now() + interval '1 day'
    UNION ALL
    SELECT 0, NULL, 'names of deals are missing in deal_name: run rebuild_duplicates()'
    WHERE NOT row_security_active('crm_deals.deal') AND crm_deals_internal.names_are_missing()
    UNION ALL
    SELECT 0, j.id, format('is in stage %s, which is archived', j.stage_id)
    FROM judged AS j WHERE j.stage_is_archived
    UNION ALL
    SELECT 0, j.id, 'nothing is seen of its name'
    FROM judged AS j WHERE crm_deals_internal.is_blank(j.untracked ->> 'name')
    UNION ALL
    SELECT 1, j.id, format('status is %s, its stage''s is %s', j.status, j.stage_status)
    FROM judged AS j WHERE j.status IS DISTINCT FROM j.stage_status
    UNION ALL
    SELECT 1, j.id, format('pipeline is %s, its stage''s is %s', j.pipeline_id, j.stage_pipeline_id)
    FROM judged AS j WHERE j.pipeline_id IS DISTINCT FROM j.stage_pipeline_id
    UNION ALL
    SELECT 1, j.id, format('organization is %s, its pipeline''s is %s', j.organization, j.pipeline_organization)
    FROM judged AS j WHERE j.organization IS DISTINCT FROM j.pipeline_organization
    UNION ALL
    SELECT 2, j.id, format('status is %s, closed_at is %s', j.status, j.closed_at)
    FROM judged AS j WHERE (j.status = 'open') <> (j.closed_at IS NULL)
    UNION ALL
    SELECT 3, j.id, format('probability is %s, its stage''s is %s, and it is not overridden', j.probability,
                           j.stage_probability)
    FROM judged AS j WHERE NOT j.probability_overridden AND j.probability IS DISTINCT FROM j.stage_probability
    UNION ALL
    SELECT 3, j.id, format('probability is %s, its stage''s is %s, and the deal is closed', j.probability,
                           j.stage_probability)
    FROM judged AS j
    WHERE j.probability_overridden AND j.status <> 'open' AND j.probability IS DISTINCT FROM j.stage_probability
    UNION ALL
    SELECT 3, NULL, format('stage %s is %s, its probability is %s', s.id, s.status, s.probability)
    FROM crm_deals.stage AS s
    WHERE s.status <> 'open' AND s.probability <> CASE s.status WHEN 'won' THEN 100 ELSE 0 END
    UNION ALL
    SELECT 4, j.id, 'lost without a reason'
    FROM judged AS j
    WHERE j.status = 'lost' AND btrim(coalesce(j.lost_reason, '')) = ''
      AND j.lost_reason_required AND j.stage_entered_at >= j.lost_reason_required_since
      -- Else it was lost before it came into this stage, and was asked for no reason
      AND j.closed_at >= j.stage_entered_at
    UNION ALL
    SELECT 4, j.id, format('status is %s, with a lost reason', j.status)
    FROM judged AS j WHERE j.status <> 'lost' AND j.lost_reason IS NOT NULL
    UNION ALL
    SELECT 5, e.deal_id, format('event %s moves it from stage %s, it was in %s', e.id, e.from_stage_id,
                                e.previous_stage_id)
    FROM step AS e
    WHERE e.previous_version = e.version - 1 AND e.previous_kind <> 'deleted'
      AND e.from_stage_id IS DISTINCT FROM e.previous_stage_id
    UNION ALL
    SELECT 6, j.id, format('version is %s, that of its last event is %s', j.version, e.version)
    FROM judged AS j JOIN last_event AS e ON e.deal_id = j.id
    WHERE j.version <> e.version
    UNION ALL
    SELECT 6, e.deal_id, format('event %s of version %s is not later than the one before', e.id, e.version)
    FROM step AS e WHERE e.occurred_at <= e.previous_at
    UNION ALL
    SELECT 7, e.deal_id, format('events are missing before version %s', e.version)
    FROM step AS e
    WHERE coalesce(e.previous_version, 0) < e.version - 1
      AND (e.previous_version IS NOT NULL OR EXISTS (SELECT FROM whole AS w WHERE w.deal_id = e.deal_id))
    UNION ALL
    SELECT 7, e.deal_id, format('is gone, its last event is %s', e.kind)
    FROM last_event AS e
    WHERE e.kind NOT IN ('deleted', 'merged') AND NOT EXISTS (SELECT FROM judged AS j WHERE j.id = e.deal_id)
    UNION ALL
    SELECT 7, j.id, 'has no event'
    FROM judged AS j WHERE NOT EXISTS (SELECT FROM last_event AS e WHERE e.deal_id = j.id)
    UNION ALL
    SELECT 7, j.id, format('differs from its last event %s', e.id)
    FROM judged AS j JOIN last_event AS e ON e.deal_id = j.id AND e.version = j.version
    WHERE (j.stage_id, j.status, j.amount, j.currency, j.probability, j.expected_close_date, j.owner::text,
           j.lost_reason, j.updated_at)
          IS DISTINCT FROM
          (e.to_stage_id, e.status, e.amount, e.currency, e.probability, e.expected_close_date, e.owner,
           e.lost_reason, e.occurred_at)
    UNION ALL
    SELECT 7, j.id, format('%s is %s, the log has %s', u.key, u.value, coalesce(c.value, 'null'))
    FROM judged AS j
    JOIN last_event AS e ON e.deal_id = j.id AND e.version = j.version
    CROSS JOIN LATERAL jsonb_each(j.untracked) AS u
    LEFT JOIN last_change AS c ON c.deal_id = j.id AND c.key = u.key
    WHERE u.value <> coalesce(c.value, 'null')
      AND (c.key IS NOT NULL OR EXISTS (SELECT FROM whole AS w WHERE w.deal_id = j.id))
    ORDER BY 1, 2, 3;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.verify() IS
    'Internal: what crm_deals.verify() does.';
