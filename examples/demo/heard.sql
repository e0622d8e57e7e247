CREATE TEMPORARY TABLE heard (place integer GENERATED ALWAYS AS IDENTITY, channel text, payload jsonb);
\copy heard (channel, payload) FROM 'heard.tsv' (FORMAT csv, DELIMITER E'\t', QUOTE E'\x02')

SELECT channel,
       coalesce(payload ->> 'deal_name', payload ->> 'count' || ' more deals in one message') AS deal,
       concat_ws(' → ', payload #>> '{old_stage,name}', payload #>> '{new_stage,name}') AS move,
       payload ->> 'actor' AS actor
FROM heard
ORDER BY place;
