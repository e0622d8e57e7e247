-- import_accounts(), import_contacts() and import_leads(): what they import are parties, in these files. Parties go the
-- way of the deals, from the source to the outcomes. What is particular to them is here: their tables, which may be the
-- host's, and the columns that a source of them can have. party_rows.sql and party_write.sql have their steps.

-- ----------
-- Fields and columns
-- ----------

-- A field is what a table of parties holds; "name" is the column of the source that gives it, "value" the expression
-- that is written: "s" is the row of the source, "r" what was found for it. "reading" is that of
-- import_known_columns(), or "key" for a key of ours.
-- access: write
CREATE FUNCTION crm_deals_internal.import_party_fields(entity text)
RETURNS TABLE (field text, name text, reading text, value text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.field, f.name, f.reading, f.value
    FROM (VALUES ('external_id', 'external_id', 'name', 'r.external_id', '{account,contact,lead}'::text[]),
                 ('organization', 'organization', 'name', 'r.organization', '{account,contact,lead}'),
                 ('name', 'name', 'name', 's.name', '{account}'),
                 ('company_name', 'company_name', 'name', 's.company_name', '{lead}'),
                 ('first_name', 'first_name', 'name', 's.first_name', '{contact,lead}'),
                 ('last_name', 'last_name', 'name', 's.last_name', '{contact,lead}'),
                 ('email', 'email', 'name', 's.email', '{contact,lead}'),
                 ('phone', 'phone', 'name', 's.phone', '{contact,lead}'),
                 ('account_id', 'account', 'name', 'r.account_id', '{contact,lead}'),
                 ('account_id', 'account_id', 'key', 'r.account_id', '{contact,lead}'),
                 ('contact_id', 'contact', 'name', 'r.contact_id', '{lead}'),
                 ('contact_id', 'contact_id', 'key', 'r.contact_id', '{lead}'),
                 ('deal_id', 'deal_id', 'key', 'r.deal_id', '{lead}'),
                 ('status', 'status', 'name', 'r.status', '{lead}'),
                 ('converted_at', 'converted_at', 'moment', 'r.converted_at', '{lead}'),
                 ('source', 'source', 'name', 's.source', '{lead}'),
                 ('owner', 'owner', 'name', 'r.owner', '{account,contact,lead}'),
                 ('owner', 'owner_id', 'key', 'r.owner', '{account,contact,lead}'),
                 ('custom_fields', 'custom_fields', 'cast', 'r.custom_fields', '{account,contact,lead}')
         ) AS f (field, name, reading, value, entities)
    WHERE entity = ANY (f.entities)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party_fields(text) IS
    'Internal: lists the fields of accounts, contacts or leads, and the columns of a source that give them.';

-- "columns" maps each field that the table has to the column that holds it. "fields_there" is the expression of the
-- custom fields of "t", a row of the table.
-- access: write
CREATE FUNCTION crm_deals_internal.import_party(entity text, OUT relation regclass, OUT key_column text,
                                                OUT key_type text, OUT columns jsonb, OUT fields_there text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF entity = 'lead' THEN
        relation := 'crm_deals.lead';
        key_column := 'id';
        key_type := 'bigint';
        SELECT jsonb_object_agg(f.field, f.field) INTO columns FROM crm_deals_internal.import_party_fields(entity) AS f;
    ELSE
        SELECT h.* INTO relation, key_column, key_type, columns FROM crm_deals_internal.host(entity) AS h;
    END IF;
    fields_there := coalesce('coalesce(t.' || quote_ident(columns ->> 'custom_fields') || '::jsonb, ''{}'')',
                             '''{}''::jsonb');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party(text) IS
    'Internal: returns the table of accounts, contacts or leads, its key and its columns.';

-- The table's further columns, the user's among them, are imported under their own names.
-- access: write
CREATE FUNCTION crm_deals_internal.import_party_own_columns(entity text) RETURNS TABLE (name text, type text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT a.attname::text, format_type(a.atttypid, -1)
    FROM crm_deals_internal.import_party(import_party_own_columns.entity) AS p
    JOIN pg_attribute AS a ON a.attrelid = p.relation
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
      AND a.attname <> p.key_column AND a.attname !~ '^_'
      AND NOT EXISTS (SELECT FROM jsonb_each_text(p.columns) AS m WHERE m.value = a.attname)
      AND NOT EXISTS (SELECT FROM crm_deals_internal.import_party_fields(import_party_own_columns.entity) AS f
                      WHERE f.name = a.attname)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party_own_columns(text) IS
    'Internal: lists the columns of a table of parties that hold no field of ours.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_party_columns(entity text)
RETURNS TABLE (name text, type text, reading text, by_key boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT f.name, t.type, CASE f.reading WHEN 'key' THEN crm_deals_internal.import_reading(t.type) ELSE f.reading END,
           f.reading = 'key'
    FROM crm_deals_internal.import_party_fields(entity) AS f
    LEFT JOIN pg_attribute AS a ON a.attrelid = to_regclass('crm_deals.deal')
                               AND a.attname = CASE f.field WHEN 'contact_id' THEN 'primary_contact_id'
                                                            WHEN 'deal_id' THEN 'id' ELSE f.field END
    CROSS JOIN LATERAL (SELECT CASE f.reading WHEN 'key' THEN format_type(a.atttypid, -1)
                                              WHEN 'moment' THEN 'timestamp with time zone'
                                              WHEN 'cast' THEN 'jsonb' ELSE 'text' END) AS t (type)
    UNION ALL
    SELECT o.name, o.type, crm_deals_internal.import_reading(o.type), false
    FROM crm_deals_internal.import_party_own_columns(entity) AS o
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party_columns(text) IS
    'Internal: lists the columns that a source of accounts, contacts or leads can have.';

-- ----------
-- Tables of the host
-- ----------

-- One column for the whole name of a contact is enough (party_write.sql).
-- access: write
CREATE FUNCTION crm_deals_internal.import_check_party(entity text, given text[]) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    party record;
    names text[] := '{first_name,last_name}';
    missing text;
    example text;
BEGIN
    SELECT * INTO party FROM crm_deals_internal.import_party(entity);
    SELECT string_agg(DISTINCT m.name, ', '), min(m.field)
    INTO missing, example
    FROM (SELECT f.field, f.name
          FROM crm_deals_internal.import_party_fields(entity) AS f
          WHERE f.name = ANY (given)
             OR f.field = 'custom_fields'
                AND EXISTS (SELECT FROM unnest(given) AS g (name) WHERE g.name ~ '^custom_fields')
             OR f.field = 'name') AS m
    WHERE NOT party.columns ? m.field AND NOT (m.field = ANY (names) AND party.columns ?| names);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no column for: %', party.relation, missing
            USING ERRCODE = '55000',
                  DETAIL = format('Imported are the columns to which install() has mapped the fields of %ss.', entity),
                  HINT = format('Name the column with install(columns => ''{"%s": {"%s": "..."}}''), or leave the '
                                'field out: map its header to null in the argument "columns".', entity, example);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_party(text, text[]) IS
    'Internal: refuses a source with fields that the host''s table has no column for.';
