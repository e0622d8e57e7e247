\i :include/setup.sql
SELECT crm_deals.install() AS version \gset
-- The pipeline of the default stages, and one with every kind of closed stage and no gate.
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
