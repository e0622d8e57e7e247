-- Two names that reach the threshold have a signature in common. The last argument says what the signatures depend on:
-- if that no longer holds, nothing relies on the index (src/duplicates/name_index.c).
CREATE INDEX deal_name_signatures ON crm_deals.deal_name
    USING gin (crm_deals_internal.signatures(organization, name, @threshold@::real,
                                             @made_for@::text) crm_deals_internal.signature_ops)
    WITH (fastupdate = off);
