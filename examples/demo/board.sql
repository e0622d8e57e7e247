-- Every stage in its order, empty ones included; sums per currency.
WITH total AS (
    SELECT stage_id,
           currency,
           count(*) AS deals,
           to_char(sum(amount), 'FM999,999,999 ') || currency AS amount,
           to_char(sum(weighted_amount) FILTER (WHERE status = 'open'), 'FM999,999,999 ') || currency AS weighted
    FROM crm_deals.deal_overview
    GROUP BY stage_id, currency
)
SELECT p.name AS pipeline,
       s.name AS stage,
       coalesce(sum(t.deals), 0) AS deals,
       string_agg(t.amount, ' + ' ORDER BY t.currency) AS amount,
       string_agg(t.weighted, ' + ' ORDER BY t.currency) AS weighted
FROM crm_deals.pipeline AS p
JOIN crm_deals.stage AS s ON s.pipeline_id = p.id
LEFT JOIN total AS t ON t.stage_id = s.id
WHERE s.archived_at IS NULL
GROUP BY p.id, s.id
ORDER BY p.id, s.position;
