-- Deals and their history from CSV files, by one call. In the folder of this file: psql -f import.sql
--
-- The columns of a temporary table may all be texts: what is no number or no date rejects its row, with the reason.
BEGIN;
CREATE TEMPORARY TABLE deals (
    external_id text, name text, stage text, account text, owner text, amount text, currency text,
    created_at text, closed_at text, lost_reason text, "custom_fields.seats" text);
\copy deals FROM 'deals.csv' (FORMAT csv, HEADER)
CREATE TEMPORARY TABLE history (
    external_id text, stage text, entered_at text, actor text, lost_reason text, amount text);
\copy history FROM 'history.csv' (FORMAT csv, HEADER)

SELECT row_number, external_id, outcome, detail
FROM crm_deals.import_deals('deals', history => 'history', create_accounts => true, actor => 'import of the old CRM');
COMMIT;

-- What the history has become.
SELECT d.external_id, e.occurred_at, e.kind, s.key AS stage, e.amount, e.actor
FROM crm_deals.deal_event AS e
JOIN crm_deals.deal AS d ON d.id = e.deal_id
JOIN crm_deals.stage AS s ON s.id = e.to_stage_id
WHERE d.external_id IN (SELECT h.external_id FROM history AS h)
ORDER BY d.external_id, e.version;
