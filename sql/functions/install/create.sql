-- The first call of install().

-- The host may have accounts and contacts of its own.
-- access: public
CREATE FUNCTION crm_deals_internal.parts(own_account boolean, own_contact boolean) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(p.part ORDER BY p.number)
    FROM unnest(crm_deals_internal.parts_with_tables()
                || ARRAY['views', 'triggers', 'own_account_triggers', 'own_contact_triggers'])
         WITH ORDINALITY AS p (part, number)
    WHERE (own_account OR p.part NOT IN ('account', 'own_account_triggers'))
      AND (own_contact OR p.part NOT IN ('contact', 'own_contact_triggers'))
$$;
COMMENT ON FUNCTION crm_deals_internal.parts(boolean, boolean) IS
    'Internal: lists the parts of the schema that make tables, views and triggers here, in their order.';

-- access: owner
CREATE FUNCTION crm_deals_internal.create_tables(account_table regclass, contact_table regclass, owner_table regclass,
                                                 columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own_account boolean := account_table IS NULL;
    own_contact boolean := contact_table IS NULL;
    words jsonb := crm_deals_internal.words_of('owner', owner_table, columns);
    part text;
BEGIN
    EXECUTE crm_deals_internal.schema('types');
    IF NOT own_account THEN
        words := words || crm_deals_internal.words_of('account', account_table, columns);
    END IF;
    IF NOT own_contact THEN
        words := words || crm_deals_internal.words_of('contact', contact_table, columns);
    END IF;

    FOREACH part IN ARRAY crm_deals_internal.parts(own_account, own_contact) LOOP
        EXECUTE crm_deals_internal.fill(crm_deals_internal.schema(part), words);
        IF part IN ('account', 'contact') THEN
            words := words || crm_deals_internal.words_of(part, to_regclass('crm_deals.' || part), columns);
        END IF;
    END LOOP;
    PERFORM crm_deals_internal.record_installation(columns);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.create_tables(regclass, regclass, regclass, jsonb) IS
    'Internal: does the first call of install().';
