-- Everyone sees and writes the deals that name them as owner.
-- (owner is a text here, as without a table of owners.)
ALTER TABLE crm_deals.deal ALTER COLUMN owner SET DEFAULT current_user;
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_deals ON crm_deals.deal
    USING (owner = current_user)
    WITH CHECK (owner = current_user);
