\echo '-- The table is drawn from the rows of this query, one for each month and currency:'
\echo '-- SELECT * FROM crm_deals.forecast();'
\echo '-- An open deal is in the month it is expected to close in. If that month is over, it is overdue.'
\echo '-- A won deal is in the month it was won in.'
SELECT coalesce(to_char(month, 'YYYY-MM'), 'no date')
           || CASE WHEN sum(deal_count) > 0 AND month < date_trunc('month', CURRENT_DATE) THEN E'\noverdue' ELSE '' END
           AS month,
       sum(deal_count) AS "open deals",
       string_agg(to_char(amount, 'FM999,999,999 ') || currency, ' + ' ORDER BY currency)
           FILTER (WHERE deal_count > 0) AS amount,
       string_agg(to_char(weighted_amount, 'FM999,999,999 ') || currency, ' + ' ORDER BY currency)
           FILTER (WHERE deal_count > 0) AS weighted,
       sum(won_count) AS won,
       string_agg(to_char(won_amount, 'FM999,999,999 ') || currency, ' + ' ORDER BY currency)
           FILTER (WHERE won_count > 0) AS "won amount"
FROM crm_deals.forecast() AS f
GROUP BY f.month
ORDER BY f.month;
