-- A change of a column that no index holds, a new text each time.
\set deal :client_id * :deals_a_client + random(1, :deals_a_client)
UPDATE crm_deals.deal SET notes = 'called at ' || clock_timestamp() WHERE id = :deal;
