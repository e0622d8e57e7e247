-- One move a transaction, each client on deals of its own: the sides that have triggers.
\set deal :base + :client_id * :deals_a_client + random(1, :deals_a_client)
UPDATE crm_deals.deal SET stage_id = 5 - stage_id WHERE id = :deal;
