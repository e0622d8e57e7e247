SELECT id AS deal FROM crm_deals.deal WHERE custom_fields ? 'order_number' \gset

SELECT e.version,
       e.kind,
       e.actor,
       s.name AS stage,
       CASE
           WHEN e.kind = 'created' THEN 'every column'
           ELSE (SELECT string_agg(concat(key, ': ', coalesce(value ->> 0, '–'), ' → ', coalesce(value ->> 1, '–')),
                                   E'\n' ORDER BY key)
                 FROM jsonb_each(e.changes))
       END AS changes,
       e.note
FROM crm_deals.deal_event AS e
JOIN crm_deals.stage AS s ON s.id = e.to_stage_id
WHERE e.deal_id = :deal
ORDER BY e.version;
