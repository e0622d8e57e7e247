-- No status will ever be added, so this is an enum. Every other kind is text with a CHECK.
CREATE TYPE crm_deals.deal_status AS ENUM ('open', 'won', 'lost', 'abandoned');
