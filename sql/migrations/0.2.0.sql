-- Tables of 0.1.0 become those of 0.2.0.
-- bring_back() makes it again, once it has put the probabilities right.
ALTER TABLE crm_deals.stage DROP CONSTRAINT IF EXISTS stage_probability;
ALTER TABLE crm_deals.event_consumer ADD COLUMN subscribed_by text;
ALTER TABLE crm_deals.activity ADD COLUMN assignee @owner_key@;
