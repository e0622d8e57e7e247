-- A move between two open stages, whose ids have the sum :stages, in the pipeline that flags duplicates.
\set deal 2 * random(1, :deals)
UPDATE crm_deals.deal SET stage_id = :stages - stage_id WHERE id = :deal;
