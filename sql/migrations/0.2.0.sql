-- Tables of 0.1.0 become those of 0.2.0.
ALTER TABLE crm_deals.event_consumer ADD COLUMN subscribed_by text;
ALTER TABLE crm_deals.activity ADD COLUMN assignee @owner_key@;
