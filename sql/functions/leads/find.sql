-- Finds the account and the contact that a lead is already, and checks keys that the caller names.

-- access: write
CREATE FUNCTION crm_deals_internal.existing_key(entity text, key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    found_key text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    BEGIN
        EXECUTE format('SELECT t.%1$I::text FROM %2$s AS t WHERE t.%1$I = $1::%3$s',
                       host.key_column, host.host, host.key_type)
        INTO found_key
        USING key;
    EXCEPTION WHEN data_exception THEN
        RETURN NULL;    -- the text cannot be a key
    END;
    RETURN found_key;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.existing_key(text, text) IS
    'Internal: returns the key of an account, contact or owner that exists, as its table writes it, else NULL.';

-- access: write
CREATE FUNCTION crm_deals_internal.given_key(entity text, key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_key text := crm_deals_internal.existing_key(entity, key);
BEGIN
    IF found_key IS NULL THEN
        RAISE EXCEPTION '% "%" does not exist', entity, key USING ERRCODE = 'P0002';
    END IF;
    RETURN found_key;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.given_key(text, text) IS
    'Internal: returns the key given as use_account or use_contact; raises an error if there is no such row.';

-- Compares the column and the value after "expression" is applied to both. Our own tables have an index on each
-- expression that is used: external_id, lower(btrim(name)), lower(email).
-- access: write
CREATE FUNCTION crm_deals_internal.key_by(entity text, field text, expression text, value text, organization text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    keys text[];
    names text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    IF value IS NULL OR NOT host.columns ? field THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT array_agg(f.key::text ORDER BY f.key), '
                   'string_agg(format(''%%s (%%s)'', f.key, f.value), '', '' ORDER BY f.key) '
                   'FROM (SELECT t.%I AS key, t.%I AS value FROM %s AS t WHERE %s = %s AND %s LIMIT 20) AS f',
                   host.key_column, host.columns ->> field, host.host,
                   format(expression, format('t.%I::text', host.columns ->> field)), format(expression, '$1'),
                   CASE WHEN host.columns ? 'organization'
                        THEN format('t.%I::text IS NOT DISTINCT FROM $2', host.columns ->> 'organization')
                        ELSE 'true' END)
    INTO keys, names
    USING value, organization;
    IF cardinality(keys) > 1 THEN
        RAISE EXCEPTION 'more than one % has the % "%"', entity, field, value
            USING ERRCODE = 'P0003',
                  DETAIL = format('There are %s.', names),
                  HINT = format('Say which one is meant with use_%s.', entity);
    END IF;
    RETURN keys[1];
END
$$;
COMMENT ON FUNCTION crm_deals_internal.key_by(text, text, text, text, text) IS
    'Internal: returns the key of the one account or contact with a value, or NULL; several are an error.';

-- access: write
CREATE FUNCTION crm_deals_internal.account_of_contact(contact text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    account text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host('contact');
    IF contact IS NULL OR NOT host.columns ? 'account_id' THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT t.%I::text FROM %s AS t WHERE t.%I = $1::%s',
                   host.columns ->> 'account_id', host.host, host.key_column, host.key_type)
    INTO account
    USING contact;
    RETURN account;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.account_of_contact(text) IS
    'Internal: returns the account that a contact belongs to.';

-- access: write
CREATE FUNCTION crm_deals_internal.find_contact(lead jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(crm_deals_internal.key_by('contact', 'external_id', '%s', lead ->> 'external_id',
                                              lead ->> 'organization'),
                    crm_deals_internal.key_by('contact', 'email', 'lower(%s)',
                                              crm_deals_internal.filled(lead ->> 'email'), lead ->> 'organization'))
$$;
COMMENT ON FUNCTION crm_deals_internal.find_contact(jsonb) IS
    'Internal: finds the contact of a lead by external_id, else by e-mail address.';

-- access: write
CREATE FUNCTION crm_deals_internal.find_account(lead jsonb, contact text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(crm_deals_internal.key_by('account', 'external_id', '%s', lead ->> 'external_id',
                                              lead ->> 'organization'),
                    crm_deals_internal.account_of_contact(contact),
                    crm_deals_internal.key_by('account', 'name', 'lower(btrim(%s))',
                                              crm_deals_internal.filled(lead ->> 'company_name'),
                                              lead ->> 'organization'))
$$;
COMMENT ON FUNCTION crm_deals_internal.find_account(jsonb, text) IS
    'Internal: finds the account of a lead by external_id, else by its contact, else by name.';

-- If two conversions are about to create the same account or contact, the second waits here and finds it afterwards.
-- The locks are 1,024 at most, so that one transaction can convert any number of leads.
-- access: write
CREATE FUNCTION crm_deals_internal.lock_new(entity text, organization text, value text) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(
               hashtext('crm_deals.convert_lead'),
               hashtext(concat_ws(' ', lock_new.entity, lock_new.organization, lower(lock_new.value))) & 1023)
    WHERE lock_new.value IS NOT NULL
$$;
COMMENT ON FUNCTION crm_deals_internal.lock_new(text, text, text) IS
    'Internal: lets one conversion at a time create an account of a name, or a contact of an e-mail address.';
