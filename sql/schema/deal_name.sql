-- The names of deals beside them, and apart from what moves: a change of stage
-- pays nothing for the index of names. Kept by the trigger of deal, for
-- organizations in which a pipeline looks for duplicates. Without a foreign key:
-- a row too much does no harm, and the check would cost every new deal.
CREATE TABLE crm_deals.deal_name (
    deal_id      bigint PRIMARY KEY,
    organization text,
    name         text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor = 0.05);
