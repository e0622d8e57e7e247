-- What is to be done. The condition implies the predicate of two indexes on activity.
-- Under row security the view shows nothing of deals that the caller cannot see.
CREATE OR REPLACE VIEW crm_deals.open_task WITH (security_invoker = true) AS
    SELECT t.id,
           t.kind,
           t.subject,
           t.body,
           t.due_at,
           coalesce(t.due_at < now(), false) AS is_overdue,
           t.assignee,
           coalesce(o.label, t.assignee::text) AS assignee_label,
           t.deal_id,
           d.name AS deal_name,
           t.account_id,
           coalesce(a.label, t.account_id::text) AS account_label,
           t.contact_id,
           coalesce(c.label, t.contact_id::text) AS contact_label,
           t.lead_id,
           t.occurred_at,
           t.actor
    FROM crm_deals.activity AS t
    LEFT JOIN crm_deals.deal AS d ON d.id = t.deal_id
    LEFT JOIN crm_deals._owner AS o ON o.id = t.assignee
    LEFT JOIN crm_deals._account AS a ON a.id = t.account_id
    LEFT JOIN crm_deals._contact AS c ON c.id = t.contact_id
    WHERE t.done_at IS NULL
      AND (t.kind = 'task' OR (t.due_at IS NOT NULL AND t.kind IN ('call', 'meeting', 'email', 'event')))
      AND (t.deal_id IS NULL OR d.id IS NOT NULL);

COMMENT ON VIEW crm_deals.open_task IS
    'Activities that are not done: tasks, and calls, meetings, e-mails and events that are due.';
COMMENT ON COLUMN crm_deals.open_task.id IS 'The activity.';
COMMENT ON COLUMN crm_deals.open_task.kind IS 'task, call, meeting, email or event.';
COMMENT ON COLUMN crm_deals.open_task.subject IS 'The subject of the activity.';
COMMENT ON COLUMN crm_deals.open_task.body IS 'The body of the activity.';
COMMENT ON COLUMN crm_deals.open_task.due_at IS 'When it is due. A task need not be due.';
COMMENT ON COLUMN crm_deals.open_task.is_overdue IS 'Whether that moment has passed.';
COMMENT ON COLUMN crm_deals.open_task.assignee IS 'Who is to do it.';
COMMENT ON COLUMN crm_deals.open_task.assignee_label IS 'The name of the assignee, else the key.';
COMMENT ON COLUMN crm_deals.open_task.deal_id IS 'The deal that it is about.';
COMMENT ON COLUMN crm_deals.open_task.deal_name IS 'The name of the deal.';
COMMENT ON COLUMN crm_deals.open_task.account_id IS 'The account that it is about.';
COMMENT ON COLUMN crm_deals.open_task.account_label IS 'The name of the account, else the key.';
COMMENT ON COLUMN crm_deals.open_task.contact_id IS 'The contact that it is about.';
COMMENT ON COLUMN crm_deals.open_task.contact_label IS 'The name of the contact, else the key.';
COMMENT ON COLUMN crm_deals.open_task.lead_id IS 'The lead that it is about.';
COMMENT ON COLUMN crm_deals.open_task.occurred_at IS 'When the activity was recorded.';
COMMENT ON COLUMN crm_deals.open_task.actor IS 'Who recorded the activity.';

-- The next activity of each deal that has an open task: the earliest due one, overdue ones too; those without a date
-- come last.
CREATE OR REPLACE VIEW crm_deals._next_activity WITH (security_invoker = true) AS
    SELECT d.id AS deal_id, n.id, n.kind, n.subject, n.due_at, n.is_overdue, n.assignee, n.assignee_label
    FROM crm_deals.deal AS d
    CROSS JOIN LATERAL (SELECT t.*
                        FROM crm_deals.open_task AS t
                        WHERE t.deal_id = d.id
                        ORDER BY t.due_at, t.id
                        LIMIT 1) AS n;

COMMENT ON VIEW crm_deals._next_activity IS 'The next activity of each deal, for boards and lists.';

-- The list view: a deal with the names of all that it refers to, to filter and sort.
CREATE OR REPLACE VIEW crm_deals.deal_overview WITH (security_invoker = true) AS
    SELECT d.id,
           d.organization,
           d.name,
           d.pipeline_id,
           p.name AS pipeline,
           d.stage_id,
           s.key AS stage_key,
           s.name AS stage_name,
           crm_deals_internal.label(s.labels, s.name) AS stage_label,
           d.status,
           d.amount,
           d.currency,
           d.probability,
           d.probability_overridden,
           d.amount * (d.probability * 0.01) AS weighted_amount,
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
            WHERE u.resolution = 'open' AND (u.deal_id = d.id OR u.other_deal_id = d.id)) AS open_duplicates,
           -- Not a join: what is not selected is not looked up, and a page is sorted first.
           (SELECT n.id FROM crm_deals._next_activity AS n WHERE n.deal_id = d.id) AS next_activity_id,
           (SELECT n.subject FROM crm_deals._next_activity AS n WHERE n.deal_id = d.id) AS next_activity,
           (SELECT n.due_at FROM crm_deals._next_activity AS n WHERE n.deal_id = d.id) AS next_activity_due_at,
           -- Of the whole row, so that the view depends on no column of the user's.
           crm_deals_internal.added_columns(to_jsonb(d.*)) AS added
    FROM crm_deals.deal AS d
    JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
    JOIN crm_deals.stage AS s ON s.id = d.stage_id
    LEFT JOIN crm_deals._account AS a ON a.id = d.account_id
    LEFT JOIN crm_deals._contact AS c ON c.id = d.primary_contact_id
    LEFT JOIN crm_deals._owner AS o ON o.id = d.owner;

COMMENT ON COLUMN crm_deals.deal_overview.next_activity_id IS 'The open task that is next.';
COMMENT ON COLUMN crm_deals.deal_overview.next_activity IS 'The subject of the next activity.';
COMMENT ON COLUMN crm_deals.deal_overview.next_activity_due_at IS 'When the next activity is due.';
COMMENT ON COLUMN crm_deals.deal_overview.added IS 'The columns that users added to deal, by name.';

-- How far each consumer has read.
CREATE OR REPLACE VIEW crm_deals.consumer_status WITH (security_invoker = true) AS
    SELECT c.consumer,
           p.events AS pending,
           p.oldest AS oldest_pending_at,
           c.last_acked_at
    FROM crm_deals.event_consumer AS c
    CROSS JOIN LATERAL (SELECT count(*) AS events, min(w.occurred_at) AS oldest
                        FROM crm_deals_internal.pending(c.consumer) AS w) AS p
    WHERE c.consumer <> crm_deals_internal.dispatcher()
      AND crm_deals_internal.may_use_consumer(c.subscribed_by, current_user);

-- One row for each stay of a deal in a stage, also of deleted deals. If the log was pruned, the first event that is
-- left begins a stay whose start is unknown, unless the deal is still in that stage and has the time itself.
-- Under row security the view shows the caller's deals only, and does not tell that there are others.
CREATE OR REPLACE VIEW crm_deals.deal_stage_history WITH (security_invoker = true) AS
    SELECT y.deal_id,
           y.stage_id,
           s.key AS stage_key,
           y.entered_at,
           y.left_at,
           coalesce(y.left_at, now()) - y.entered_at AS duration,
           y.actor
    FROM (SELECT x.deal_id,
                 x.stage_id,
                 CASE WHEN x.began OR x.left_at IS NOT NULL THEN x.entered_at ELSE d.stage_entered_at END AS entered_at,
                 x.left_at,
                 x.actor
          FROM (SELECT e.deal_id, b.stage_id, b.began, b.entered_at, b.actor,
                       lead(b.at) OVER (PARTITION BY e.deal_id ORDER BY b.version) AS left_at
                FROM (SELECT v.deal_id, v.version, v.kind, v.from_stage_id, v.to_stage_id, v.occurred_at, v.actor,
                             (v.changes -> 'stage_entered_at' ->> 1)::timestamptz AS stage_entered_at,
                             row_number() OVER (PARTITION BY v.deal_id ORDER BY v.version) AS number
                      FROM crm_deals.deal_event AS v) AS e
                CROSS JOIN LATERAL (
                    SELECT e.version, e.to_stage_id AS stage_id, e.occurred_at AS at, true AS began, e.actor,
                           CASE e.kind WHEN 'created' THEN least(e.stage_entered_at, e.occurred_at)
                                       ELSE e.occurred_at END AS entered_at
                    WHERE e.from_stage_id IS DISTINCT FROM e.to_stage_id
                    UNION ALL
                    SELECT e.version - 1, e.from_stage_id, NULL AS at, false, NULL AS actor, NULL AS entered_at
                    WHERE e.number = 1 AND e.from_stage_id IS NOT NULL) AS b) AS x
          LEFT JOIN crm_deals.deal AS d ON d.id = x.deal_id
          WHERE x.stage_id IS NOT NULL
            AND (d.id IS NOT NULL OR NOT row_security_active('crm_deals.deal'::regclass))) AS y
    LEFT JOIN crm_deals.stage AS s ON s.id = y.stage_id;

-- Deals that have been in their stage for longer than its rots_after.
CREATE OR REPLACE VIEW crm_deals.stale_deals WITH (security_invoker = true) AS
    SELECT d.id AS deal_id,
           d.name,
           d.pipeline_id,
           d.stage_id,
           s.key AS stage_key,
           crm_deals_internal.label(s.labels, s.name) AS stage_label,
           d.owner,
           coalesce(o.label, d.owner::text) AS owner_label,
           d.amount,
           d.currency,
           d.stage_entered_at,
           s.rots_after,
           now() - s.rots_after - d.stage_entered_at AS overdue
    FROM crm_deals.stage AS s
    JOIN crm_deals.deal AS d ON d.stage_id = s.id AND d.stage_entered_at < now() - s.rots_after
    LEFT JOIN crm_deals._owner AS o ON o.id = d.owner
    WHERE s.rots_after IS NOT NULL;
