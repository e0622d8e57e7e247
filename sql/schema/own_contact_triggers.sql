CREATE OR REPLACE TRIGGER crm_deals_custom_fields AFTER INSERT OR UPDATE ON crm_deals.contact
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.custom_field_rules();
CREATE OR REPLACE TRIGGER zz_crm_deals_nulls BEFORE INSERT OR UPDATE ON crm_deals.contact
    FOR EACH ROW EXECUTE FUNCTION crm_deals_internal.fill_nulls('custom_fields', 'created_at');
