CREATE OR REPLACE TRIGGER crm_deals_custom_fields AFTER INSERT OR UPDATE ON crm_deals.account
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.custom_field_rules();
