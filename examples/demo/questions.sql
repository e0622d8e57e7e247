-- What is to be won in this year: by each of the team, and by the team as a whole.
INSERT INTO crm_deals.target (pipeline_id, owner, starts_on, ends_on, currency, amount)
SELECT p.id, o.owner, date_trunc('year', CURRENT_DATE),
       date_trunc('year', CURRENT_DATE) + interval '1 year' - interval '1 day', 'EUR', o.amount
FROM crm_deals.pipeline AS p
CROSS JOIN (SELECT DISTINCT d.owner, 200000 FROM crm_deals.deal AS d WHERE d.owner IS NOT NULL
            UNION ALL
            SELECT NULL, 1000000) AS o (owner, amount)
WHERE p.name = 'New Business';

SELECT max(occurred_at) AS loaded FROM crm_deals.deal_event WHERE kind = 'created' \gset
SELECT deal_id AS deal, format('Deal %s was %s.', deal_id, kind) AS who
FROM crm_deals.deal_event
WHERE kind = 'lost' AND occurred_at > :'loaded'
ORDER BY id DESC
LIMIT 1 \gset

\echo '-- What happened to the open deals since they were loaded? The rows of a currency sum from "opening" to "closing".'
\echo '-- SELECT * FROM crm_deals.pipeline_changes(from_at => …);'
SELECT currency, change, deal_count, amount FROM crm_deals.pipeline_changes(:'loaded');

\echo
\echo '-- How did the open deals of a pipeline develop?'
\set ECHO queries
SELECT at::date AS day, group_label AS stage, deal_count, amount
FROM crm_deals.pipeline_trend('month', CURRENT_DATE, pipeline => 'Renewals')
WHERE currency = 'EUR';

SELECT group_label AS owner, currency, target, won, gap, round(coverage, 2) AS coverage
FROM crm_deals.attainment('owner', 'year', pipeline => 'New Business');

\set ECHO none
\echo '--' :who
\set ECHO queries
SELECT to_char(at, 'YYYY-MM-DD HH24:MI') AS at, actor, title FROM crm_deals.timeline(:deal, 3);
