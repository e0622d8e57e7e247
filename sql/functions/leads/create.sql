-- Creates the account and the contact that a lead becomes.

-- access: write
CREATE FUNCTION crm_deals_internal.person_name(lead jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm_deals_internal.filled(concat_ws(' ', lead ->> 'first_name', lead ->> 'last_name')) $$;
COMMENT ON FUNCTION crm_deals_internal.person_name(jsonb) IS
    'Internal: returns the name of the person, or NULL if the lead names none.';

-- access: write
CREATE FUNCTION crm_deals_internal.names_person(lead jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.filled(concat(lead ->> 'first_name', lead ->> 'last_name', lead ->> 'email',
                                            lead ->> 'phone')) IS NOT NULL
$$;
COMMENT ON FUNCTION crm_deals_internal.names_person(jsonb) IS
    'Internal: tells whether the lead says anything of which a contact can be made.';

-- access: write
CREATE FUNCTION crm_deals_internal.inherited_fields(lead jsonb, entity text, organization text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(v.key, v.value), '{}')
    FROM jsonb_each(inherited_fields.lead -> 'custom_fields') AS v
    WHERE v.value <> 'null'
      AND EXISTS (SELECT FROM crm_deals.custom_field AS f
                  WHERE f.entity = inherited_fields.entity AND f.key = v.key
                    AND (f.organization IS NULL OR f.organization = inherited_fields.organization))
$$;
COMMENT ON FUNCTION crm_deals_internal.inherited_fields(jsonb, text, text) IS
    'Internal: returns the custom fields of a lead that are defined for what it becomes, too.';

-- If the table of contacts has one column for the name, the whole name goes there.
-- access: write
CREATE FUNCTION crm_deals_internal.as_columns(entity text, fields jsonb, columns jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(columns ->> f.key, f.value), '{}')
    FROM jsonb_each(jsonb_strip_nulls(
             fields || CASE WHEN as_columns.entity = 'contact' AND NOT columns ?& ARRAY['first_name', 'last_name']
                            THEN (SELECT jsonb_build_object('first_name', whole.name, 'last_name', whole.name)
                                  FROM (SELECT crm_deals_internal.person_name(fields)) AS whole (name))
                            ELSE '{}' END)) AS f
    WHERE columns ? f.key
$$;
COMMENT ON FUNCTION crm_deals_internal.as_columns(text, jsonb, jsonb) IS
    'Internal: puts the fields of an account or contact under the names of the columns that hold them.';

-- The hint of every error that a host table causes.
-- access: write
CREATE FUNCTION crm_deals_internal.way_out(entity text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT format('Create the %1$s yourself and give its key as use_%1$s.', entity) $$;
COMMENT ON FUNCTION crm_deals_internal.way_out(text) IS
    'Internal: returns the hint that names use_account or use_contact.';

-- The table must have a column for one of the "essential" fields: else nothing of the lead would be kept.
-- access: write
CREATE FUNCTION crm_deals_internal.create_from_lead(entity text, lead jsonb, fields jsonb, essential text[],
                                                    callers_path text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    IF NOT host.columns ?| essential THEN
        RAISE EXCEPTION 'the % of the lead cannot be written to table %', entity, host.host
            USING ERRCODE = '55000',
                  DETAIL = format('No column of it is mapped to %s.', array_to_string(essential, ' or ')),
                  HINT = crm_deals_internal.way_out(entity);
    END IF;
    fields := fields || jsonb_build_object(
        'organization', lead -> 'organization', 'external_id', lead -> 'external_id', 'owner', lead -> 'owner',
        'custom_fields', nullif(crm_deals_internal.inherited_fields(lead, entity, lead ->> 'organization'), '{}'));
    RETURN crm_deals_internal.insert_row(host.host, host.key_column,
                                         crm_deals_internal.as_columns(entity, fields, host.columns), callers_path);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.create_from_lead(text, jsonb, jsonb, text[], text) IS
    'Internal: creates an account or contact with these fields and returns its key.';

-- access: write
CREATE FUNCTION crm_deals_internal.create_account(lead jsonb, callers_path text) RETURNS text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.create_from_lead(
               'account', lead, jsonb_build_object('name', crm_deals_internal.filled(lead ->> 'company_name')),
               ARRAY['name'], callers_path)
$$;
COMMENT ON FUNCTION crm_deals_internal.create_account(jsonb, text) IS
    'Internal: creates the account of a lead and returns its key.';

-- access: write
CREATE FUNCTION crm_deals_internal.create_contact(lead jsonb, account text, callers_path text) RETURNS text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.create_from_lead(
               'contact', lead,
               jsonb_build_object('first_name', crm_deals_internal.filled(lead ->> 'first_name'),
                                  'last_name', crm_deals_internal.filled(lead ->> 'last_name'),
                                  'email', crm_deals_internal.filled(lead ->> 'email'),
                                  'phone', crm_deals_internal.filled(lead ->> 'phone'),
                                  'account_id', account),
               CASE WHEN crm_deals_internal.person_name(lead) IS NOT NULL THEN ARRAY['first_name', 'last_name']
                    WHEN crm_deals_internal.filled(lead ->> 'email') IS NOT NULL THEN ARRAY['email']
                    ELSE ARRAY['phone'] END,
               callers_path)
$$;
COMMENT ON FUNCTION crm_deals_internal.create_contact(jsonb, text, text) IS
    'Internal: creates the contact of a lead and returns its key.';
