\set ECHO queries
INSERT INTO crm_deals.activity (kind, subject, due_at, assignee, deal_id)
SELECT 'call', 'Ask for the decision', stage_entered_at + interval '2 weeks', owner, id
FROM crm_deals.deal_overview
WHERE status = 'open' AND owner IS NOT NULL
ORDER BY amount DESC NULLS LAST, id
LIMIT 3;

SELECT assignee_label, subject, is_overdue, deal_name, deal_id FROM crm_deals.open_task ORDER BY due_at, id;
