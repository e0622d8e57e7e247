-- A change of a column that no index holds, a new text each time.
\set deal :client_id * :own + random(1, :own)
UPDATE crm_deals.deal SET notes = 'called at ' || clock_timestamp() WHERE id = :deal;
