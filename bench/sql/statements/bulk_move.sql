-- Moves the deals :first to :last in one statement.
UPDATE crm_deals.deal SET stage_id = 5 - stage_id WHERE id BETWEEN :first AND :last;
