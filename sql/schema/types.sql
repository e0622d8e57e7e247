-- Closed for good, hence an enum; every other kind is text with a CHECK.
CREATE TYPE crm_deals.deal_status AS ENUM ('open', 'won', 'lost', 'abandoned');
