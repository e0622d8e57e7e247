-- forecast() returns a row for each month and currency: open deals by the month they are expected to close in, won
-- deals by the month they were won in. Here each month is one row.
\echo SELECT * FROM crm_deals.forecast();
SELECT coalesce(to_char(month, 'YYYY-MM'), 'no date') AS month,
       sum(deal_count) AS "open deals",
       string_agg(to_char(amount, 'FM999,999,999 ') || currency, ' + ' ORDER BY currency)
           FILTER (WHERE deal_count > 0) AS amount,
       string_agg(to_char(weighted_amount, 'FM999,999,999 ') || currency, ' + ' ORDER BY currency)
           FILTER (WHERE deal_count > 0) AS weighted,
       sum(won_count) AS "won deals",
       string_agg(to_char(won_amount, 'FM999,999,999 ') || currency, ' + ' ORDER BY currency)
           FILTER (WHERE won_count > 0) AS won
FROM crm_deals.forecast() AS f
GROUP BY f.month
ORDER BY f.month;
