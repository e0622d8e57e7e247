-- We pick a deal by its stage and amount, not by its id, because the data may change.
SELECT id AS deal, format('Deal %s is "%s", in stage "%s".', id, name, stage_name) AS who
FROM crm_deals.deal_overview
WHERE pipeline = 'New Business' AND stage_key = 'negotiation'
ORDER BY amount DESC NULLS LAST, id
LIMIT 1 \gset

\echo '--' :who
\set ECHO queries
UPDATE crm_deals.deal
SET amount = amount + 500, custom_fields = custom_fields || '{"order_number": "PO-4711"}'
WHERE id = :deal
RETURNING name, amount, version;

SELECT stage_key, status, probability, closed_at, version
FROM crm_deals.move_deal(:deal, 'won', note => 'Signed by both sides', actor => 'anna');

\set ECHO none
SELECT id AS deal, format('Deal %s is "%s", in stage "%s".', id, name, stage_name) AS who
FROM crm_deals.deal_overview
WHERE pipeline = 'New Business' AND stage_key = 'proposal'
ORDER BY amount DESC NULLS LAST, id
LIMIT 1 \gset
\echo '--' :who
\set ECHO queries
SELECT stage_key, status, probability, closed_at, version
FROM crm_deals.move_deal(:deal, 'lost', lost_reason => 'chose a competitor', actor => 'tom');

\set ECHO none
SELECT d.id AS deal,
       s.id AS renewed,
       format('Deal %s is "%s", in stage "%s". Stage %s is "%s".', d.id, d.name, d.stage_name, s.id, s.name) AS who
FROM crm_deals.deal_overview AS d
JOIN crm_deals.stage AS s ON s.pipeline_id = d.pipeline_id AND s.key = 'renewed'
WHERE d.pipeline = 'Renewals' AND d.stage_key = 'quote_sent'
ORDER BY d.amount DESC NULLS LAST, d.id
LIMIT 1 \gset
\echo '-- A plain UPDATE obeys the same rules. Status, probability and closed_at follow the stage.'
\echo '--' :who
\set ECHO queries
UPDATE crm_deals.deal SET stage_id = :renewed WHERE id = :deal
RETURNING name, status, probability, closed_at, version;
