-- The host's tables and ours look the same through these three views: an id and a label. Everything that shows an
-- account, a contact or an owner reads them.
CREATE OR REPLACE VIEW crm_deals._account WITH (security_invoker = true) AS
    SELECT t.@account_primary_key@ AS id, @account_label@ AS label
    FROM @account_table@ AS t;

CREATE OR REPLACE VIEW crm_deals._contact WITH (security_invoker = true) AS
    SELECT t.@contact_primary_key@ AS id, @contact_label@ AS label
    FROM @contact_table@ AS t;

CREATE OR REPLACE VIEW crm_deals._owner WITH (security_invoker = true) AS
    SELECT t.@owner_primary_key@ AS id, @owner_label@ AS label
    FROM @owner_table@ AS t;
