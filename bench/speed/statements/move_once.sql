-- Deal after deal, each once, scattered over the table; 7919 is a prime.
\set place :place + 1
\set deal 1 + (:place * 7919) % :deals
UPDATE crm_deals.deal SET stage_id = 5 - stage_id WHERE id = :deal;
