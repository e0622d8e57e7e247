-- The list view: a deal with its names, to filter and sort.
CREATE OR REPLACE VIEW crm_deals.deal_overview WITH (security_invoker = true) AS
    SELECT d.id,
           d.organization,
           d.name,
           d.pipeline_id,
           p.name AS pipeline,
           d.stage_id,
           s.key AS stage_key,
           s.name AS stage_name,
           crm_deals._label(s.labels, s.name) AS stage_label,
           d.status,
           d.amount,
           d.currency,
           d.probability,
           d.probability_overridden,
           d.amount * d.probability / 100 AS weighted_amount,
           d.expected_close_date,
           d.closed_at,
           d.lost_reason,
           d.account_id,
           coalesce(a.label, d.account_id::text) AS account_label,
           d.primary_contact_id,
           coalesce(c.label, d.primary_contact_id::text) AS contact_label,
           d.owner,
           coalesce(o.label, d.owner::text) AS owner_label,
           d.source,
           d.notes,
           d.custom_fields,
           d.external_id,
           d.version,
           d.stage_entered_at,
           floor(extract(epoch FROM now() - d.stage_entered_at) / 86400)::integer AS days_in_stage,
           d.created_at,
           d.updated_at,
           (SELECT count(*)
            FROM crm_deals.deal_duplicate AS u
            WHERE u.resolution = 'open' AND (u.deal_id = d.id OR u.other_deal_id = d.id)) AS open_duplicates
    FROM crm_deals.deal AS d
    JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
    JOIN crm_deals.stage AS s ON s.id = d.stage_id
    LEFT JOIN crm_deals._account AS a ON a.id = d.account_id
    LEFT JOIN crm_deals._contact AS c ON c.id = d.primary_contact_id
    LEFT JOIN crm_deals._owner AS o ON o.id = d.owner;

-- How far each consumer of events is.
CREATE OR REPLACE VIEW crm_deals.consumer_status WITH (security_invoker = true) AS
    SELECT c.consumer,
           p.events AS pending,
           p.oldest AS oldest_pending_at,
           c.last_acked_at
    FROM crm_deals.event_consumer AS c
    CROSS JOIN LATERAL (SELECT count(*) AS events, min(w.occurred_at) AS oldest
                        FROM crm_deals._pending(c.consumer) AS w) AS p
    WHERE c.consumer <> crm_deals._dispatcher();
