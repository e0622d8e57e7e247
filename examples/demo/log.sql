SELECT id AS deal, format('Deal %s is "%s".', id, name) AS who
FROM crm_deals.deal
WHERE custom_fields ? 'order_number' \gset

\echo '--' :who
\echo '-- The log has ids of stages, and microseconds. Here you see names and seconds.'
CREATE FUNCTION pg_temp.shown(field text, value text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT s.name FROM crm_deals.stage AS s WHERE field LIKE '%stage_id' AND s.id::text = value),
                    regexp_replace(value, '^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\D.*', '\1 \2'), '–')
$$;

SELECT e.version,
       e.kind,
       e.actor,
       CASE
           WHEN e.kind = 'created' THEN 'every column'
           ELSE (SELECT string_agg(format('%s: %s → %s', replace(key, 'stage_id', 'stage'),
                                          pg_temp.shown(key, value ->> 0), pg_temp.shown(key, value ->> 1)),
                                   E'\n' ORDER BY key)
                 FROM jsonb_each(e.changes))
       END AS changes,
       e.note
FROM crm_deals.deal_event AS e
WHERE e.deal_id = :deal
ORDER BY e.version;

\echo '-- The same as sentences, in German.'
SELECT t.at::date, t.kind, t.title FROM crm_deals.timeline(:deal, language => 'de') AS t ORDER BY t.at;
