-- The same in the pipeline that does not.
\set deal 2 * random(1, :deals) - 1
UPDATE crm_deals.deal SET stage_id = :plain_stages - stage_id WHERE id = :deal;
