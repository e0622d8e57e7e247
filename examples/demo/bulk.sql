\set ECHO queries
SET crm_deals.actor = 'maya';
SET crm_deals.notify_limit = 3;

\set QUIET off
UPDATE crm_deals.deal AS d
SET stage_id = qualified.id
FROM crm_deals.stage AS lead
JOIN crm_deals.stage AS qualified ON qualified.pipeline_id = lead.pipeline_id AND qualified.key = 'qualified'
WHERE d.stage_id = lead.id AND lead.key = 'lead' AND d.source = 'referral';
\set QUIET on

\echo '-- One statement is one batch in the log. Notifications beyond the limit become one summary.'
SELECT batch_id, kind, actor, count(*) AS deals
FROM crm_deals.deal_event
GROUP BY batch_id, kind, actor
ORDER BY batch_id DESC
LIMIT 1;
