\echo '-- The picture is drawn from the rows of this query, one for each column:'
\echo '--' SELECT * FROM crm_deals.board(:'pipeline', card_limit => 2);
SELECT line.title AS " ",
       format(E'%s\n%s deal%s', b.label, b.deal_count, CASE WHEN b.deal_count <> 1 THEN 's' END) AS label,
       line.content,
       b.ordinal
FROM crm_deals.board(:'pipeline', card_limit => 2) AS b,
     LATERAL (SELECT 0, 'amount', string_agg(to_char(value::numeric, 'FM999,999,999 ') || key, E'\n' ORDER BY key)
              FROM jsonb_each_text(b.amounts)
              UNION ALL
              SELECT 0, 'weighted', string_agg(to_char(value::numeric, 'FM999,999,999 ') || key, E'\n' ORDER BY key)
              FROM jsonb_each_text(b.weighted_amounts)
              UNION ALL
              SELECT place,
                     'card ' || place,
                     concat_ws(E'\n', trim(regexp_replace(card ->> 'name', '(\S.{0,14})(\s+|$)', E'\\1\n', 'g'), E'\n'),
                               to_char((card ->> 'amount')::numeric, 'FM999,999,999 ') || (card ->> 'currency'),
                               card #>> '{owner,label}', ' ')
              FROM jsonb_array_elements(b.cards) WITH ORDINALITY AS c (card, place)) AS line (place, title, content)
ORDER BY line.place, line.title, b.ordinal
\crosstabview 1 2 3 4
