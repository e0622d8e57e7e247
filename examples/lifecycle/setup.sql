-- What an administrator decides before the first deal: how it is sold, what is asked of it, and who may work.
-- The role sales is there already: CREATE ROLE sales LOGIN.

-- Stages are entered one after the other, and a proposal takes an amount and a number of seats.
SELECT crm_deals.create_pipeline('New Business', '[
    {"key": "qualified",   "name": "Qualified",   "probability": 20, "labels": {"de": "Qualifiziert"}},
    {"key": "proposal",    "name": "Proposal",    "probability": 50, "labels": {"de": "Angebot"},
     "required_fields": ["amount", "custom_fields.seats"]},
    {"key": "negotiation", "name": "Negotiation", "probability": 80, "labels": {"de": "Verhandlung"}},
    {"key": "won",         "name": "Won",  "status": "won",  "labels": {"de": "Gewonnen"}},
    {"key": "lost",        "name": "Lost", "status": "lost", "labels": {"de": "Verloren"}}]',
    gates => '{"forbid_skipping": true}');

-- What leads and deals are asked alike goes from one to the other.
INSERT INTO crm_deals.custom_field (entity, key, type, options, label) VALUES
    ('lead', 'seats',  'number', NULL, 'Seats'),
    ('deal', 'seats',  'number', NULL, 'Seats'),
    ('deal', 'region', 'select', '["north", "south"]', 'Region');

SELECT crm_deals.grant_access('sales', 'write');
