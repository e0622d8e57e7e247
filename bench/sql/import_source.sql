-- The files that the work "import of many deals" reads: what a file from elsewhere says of :deals deals, and the same
-- deals with what the rules derive, for the bare table.
CREATE TEMPORARY TABLE made AS
SELECT n, 'erp-' || n AS external_id, 'Deal number ' || n || ' of the year' AS name, a.name AS account,
       a.id AS account_id, s.key AS stage, s.id AS stage_id, s.pipeline_id, s.status, s.probability,
       round((random() * 100000)::numeric, 2) AS amount, date '2026-12-01' + n % 300 AS expected_close_date,
       'user' || n % 50 AS owner, timestamptz '2024-01-01' + n * interval '1 second' AS created_at,
       CASE s.status WHEN 'lost' THEN 'price' END AS lost_reason
FROM generate_series(1, :deals) AS n
JOIN crm_deals.account AS a ON a.name = 'Account ' || 1 + n % 10000
JOIN crm_deals.stage AS s ON s.position = 1 + n % 6;
COPY (SELECT external_id, name, account, stage, amount, expected_close_date, owner, created_at, lost_reason
      FROM made ORDER BY n) TO :'source' (FORMAT csv);
COPY (SELECT external_id, name, account_id, stage_id, pipeline_id, status, probability, amount, 'EUR',
             expected_close_date, owner, created_at, lost_reason, CASE WHEN status <> 'open' THEN created_at END,
             created_at, created_at
      FROM made ORDER BY n) TO :'bare' (FORMAT csv);
