-- psql -f listener.sql    psql cannot wait for a notification: it looks once a second.
SELECT crm_deals.subscribe('psql');
SELECT e.id, e.deal_id, e.kind, e.payload ->> 'deal_name' AS deal, crm_deals.ack_events('psql', e.id) AS acknowledged
FROM crm_deals.read_events('psql') AS e
\watch 1
