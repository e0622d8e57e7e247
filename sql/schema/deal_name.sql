-- The names of deals stand beside the deals, so that a change of stage does not write the index of names. The trigger
-- of deal keeps them, for organizations in which a pipeline looks for duplicates. There is no foreign key: a stray row
-- does no harm, and the check would slow down every new deal.
CREATE TABLE crm_deals.deal_name (
    deal_id      bigint PRIMARY KEY,
    organization text,
    name         text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor = 0.05);
