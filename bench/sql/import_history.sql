-- The files that the work "import of deals with history" reads: :deals deals, and five steps of each.
DROP TABLE IF EXISTS made, made_history;
CREATE TABLE made AS
SELECT 'erp-' || n AS external_id, 'Deal number ' || n || ' of the year' AS name, 'Account ' || 1 + n % 10000 AS account,
       s.key AS stage, n % 100000 + 0.5 AS amount, date '2026-12-01' + n % 300 AS expected_close_date,
       'user' || n % 50 AS owner, timestamptz '2024-01-01' + n * interval '1 second' AS created_at,
       CASE s.status WHEN 'lost' THEN 'price' END AS lost_reason
FROM generate_series(1, :deals) AS n
JOIN crm_deals.stage AS s ON s.position = CASE n % 3 WHEN 0 THEN 1 + (n + 5) % 4 ELSE 4 + n % 3 END;
CREATE TABLE made_history AS
SELECT 'erp-' || n AS external_id, s.key AS stage,
       timestamptz '2024-01-01' + n * interval '1 second' + k * interval '1 day' AS entered_at,
       'user' || (n + k) % 50 AS actor
FROM generate_series(1, :deals) AS n
CROSS JOIN generate_series(1, 5) AS k
JOIN crm_deals.stage AS s ON s.position = CASE WHEN k < 5 OR n % 3 = 0 THEN 1 + (n + k) % 4 ELSE 4 + n % 3 END;
COPY made TO :'source' (FORMAT csv);
COPY made_history TO :'history' (FORMAT csv);
