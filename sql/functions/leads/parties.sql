-- The account and the contact of a lead: those that the caller names, else those that are there, else new ones.

-- The error keeps the SQLSTATE, the table, the column and the constraint of the one that it stands for.
-- access: write
CREATE FUNCTION crm_deals_internal.raise_refused(entity text, state text, message text, detail text,
                                                 table_name text, column_name text, constraint_name text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'the % of the lead cannot be found or written in table %',
                    entity, (SELECT h.host FROM crm_deals_internal.host(entity) AS h)
        USING ERRCODE = state, DETAIL = concat_ws(E'\n', message, nullif(detail, '')),
              HINT = crm_deals_internal.way_out(entity),
              TABLE = table_name, COLUMN = column_name, CONSTRAINT = constraint_name;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.raise_refused(text, text, text, text, text, text, text) IS
    'Internal: raises an error of a table of accounts or contacts again, with the hint to use_account or use_contact.';

-- What is not found is looked for once more under the lock: another conversion may have created it meanwhile.
-- access: write
CREATE FUNCTION crm_deals_internal.find_contact_or_lock(lead jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    contact text := crm_deals_internal.find_contact(lead);
BEGIN
    IF contact IS NULL THEN
        PERFORM crm_deals_internal.lock_new('contact', lead ->> 'organization',
                                            crm_deals_internal.filled(lead ->> 'email'));
        contact := crm_deals_internal.find_contact(lead);
    END IF;
    RETURN contact;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.find_contact_or_lock(jsonb) IS
    'Internal: finds the contact of a lead; if there is none, no other conversion creates it until this one ends.';

-- A lead that names no company gets no new account.
-- access: write
CREATE FUNCTION crm_deals_internal.find_or_create_account(lead jsonb, contact text, callers_path text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    account text := crm_deals_internal.find_account(lead, contact);
    company text := crm_deals_internal.filled(lead ->> 'company_name');
BEGIN
    IF account IS NULL AND company IS NOT NULL THEN
        PERFORM crm_deals_internal.lock_new('account', lead ->> 'organization', company);
        account := coalesce(crm_deals_internal.find_account(lead, contact),
                            crm_deals_internal.create_account(lead, callers_path));
    END IF;
    RETURN account;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.find_or_create_account(jsonb, text, text) IS
    'Internal: finds the account of a lead, else creates it.';

-- "lacking" has the columns that are empty. Another conversion may fill them while this one waits for the row.
-- access: write
CREATE FUNCTION crm_deals_internal.fill_contact(contact text, lead jsonb, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    said jsonb;
    lacking text[];
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host('contact');
    said := crm_deals_internal.as_columns('contact', jsonb_build_object(
        'first_name', crm_deals_internal.filled(lead ->> 'first_name'),
        'last_name', crm_deals_internal.filled(lead ->> 'last_name'),
        'phone', crm_deals_internal.filled(lead ->> 'phone')), host.columns);
    IF contact IS NULL OR said = '{}' THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT f.name FROM (VALUES %s) AS f (name, value)
                                 WHERE crm_deals_internal.filled(f.value) IS NULL)
                    FROM %s AS t WHERE t.%I = $1::%s',
                   (SELECT string_agg(format('(%1$L, t.%1$I::text)', k.name), ', ')
                    FROM jsonb_object_keys(said) AS k (name)),
                   host.host, host.key_column, host.key_type)
    INTO lacking
    USING contact;
    IF cardinality(lacking) > 0 THEN
        PERFORM crm_deals_internal.write_as_caller(
            callers_path,
            format('UPDATE %s AS t SET %s FROM jsonb_to_record($2) AS r (%s) WHERE t.%I = $1::%s', host.host,
                   (SELECT string_agg(format('%1$I = CASE WHEN crm_deals_internal.filled(t.%1$I::text) IS NULL '
                                             'THEN r.%1$I ELSE t.%1$I END', l.name), ', ')
                    FROM unnest(lacking) AS l (name)),
                   (crm_deals_internal.record_columns(host.host, lacking)).definitions,
                   host.key_column, host.key_type),
            contact, said);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.fill_contact(text, jsonb, text) IS
    'Internal: gives a contact the names and the phone number of the lead, as far as it has none.';

-- The contact is looked for first, as the account can be found by it, but created last, as it names its account. A lead
-- without an account that joins a deal, an object or NULL, belongs to the account of that deal.
-- access: write
CREATE FUNCTION crm_deals_internal.parties_of_lead(lead jsonb, INOUT account text, INOUT contact text, deal jsonb,
                                                   callers_path text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    entity text;
    state text;
    message text;
    detail text;
    table_name text;
    column_name text;
    constraint_name text;
BEGIN
    entity := 'contact';
    IF contact IS NULL THEN
        contact := crm_deals_internal.find_contact_or_lock(lead);
        PERFORM crm_deals_internal.fill_contact(contact, lead, callers_path);
    END IF;
    entity := 'account';
    account := coalesce(account, crm_deals_internal.find_or_create_account(lead, contact, callers_path));
    PERFORM crm_deals_internal.check_account_of_deal(deal, account);
    account := coalesce(account, deal ->> 'account_id');
    IF contact IS NULL AND crm_deals_internal.names_person(lead) THEN
        entity := 'contact';
        contact := crm_deals_internal.create_contact(lead, account, callers_path);
    END IF;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                            table_name = TABLE_NAME, column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
    PERFORM crm_deals_internal.raise_refused(entity, state, message, detail, table_name, column_name, constraint_name);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.parties_of_lead(jsonb, text, text, jsonb, text) IS
    'Internal: finds or creates the account and the contact of a lead, those that are not given.';
