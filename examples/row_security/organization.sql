-- Many organizations in one database: the application says for which it works,
--     SET crm_deals.organization = 'acme';
-- Any session can set this, so it protects only where nobody but the
-- application connects.
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;

CREATE POLICY organization_deals ON crm_deals.deal
    USING (organization = current_setting('crm_deals.organization', true))
    WITH CHECK (organization = current_setting('crm_deals.organization', true));
