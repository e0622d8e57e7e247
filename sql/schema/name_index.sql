-- Every pair of names as similar as the threshold, or more, has a signature in
-- common. What the signatures depend on is the last argument: where it is no
-- longer true, the index is not relied on (src/name_index.c).
CREATE INDEX deal_name_signatures ON crm_deals.deal_name
    USING gin (crm_deals_internal.signatures(organization, name, @threshold@::real, @made_for@::text) crm_deals_internal.signature_ops)
    WITH (fastupdate = off);
