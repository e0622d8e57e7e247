-- Open deals by the month they are expected in, won deals by the month they were won in; sums per currency.
WITH forecast AS (
    SELECT date_trunc('month', CASE WHEN status = 'open' THEN expected_close_date ELSE closed_at::date END)::date
               AS month,
           currency,
           count(*) FILTER (WHERE status = 'open') AS open_deals,
           to_char(sum(amount) FILTER (WHERE status = 'open'), 'FM999,999,999 ') || currency AS amount,
           to_char(sum(weighted_amount) FILTER (WHERE status = 'open'), 'FM999,999,999 ') || currency AS weighted,
           count(*) FILTER (WHERE status = 'won') AS won_deals,
           to_char(sum(amount) FILTER (WHERE status = 'won'), 'FM999,999,999 ') || currency AS won
    FROM crm_deals.deal_overview
    WHERE status IN ('open', 'won')
    GROUP BY 1, 2
)
SELECT coalesce(to_char(month, 'YYYY-MM'), 'no date') AS month,
       sum(open_deals) AS "open deals",
       string_agg(amount, ' + ' ORDER BY currency) AS amount,
       string_agg(weighted, ' + ' ORDER BY currency) AS weighted,
       sum(won_deals) AS "won deals",
       string_agg(won, ' + ' ORDER BY currency) AS won
FROM forecast
GROUP BY forecast.month
ORDER BY forecast.month;
