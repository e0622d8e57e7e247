-- Accounts, contacts and owners stand in tables of the host application, or in ours. install() has noted which tables
-- and which columns of them. These functions answer from those notes, for the host's tables and ours alike.

-- "columns" maps each field of ours that the table has to the column that holds it.
-- access: public
CREATE FUNCTION crm_deals_internal.host(entity text, OUT host regclass, OUT key_column text, OUT key_type text,
                                        OUT columns jsonb)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mapping jsonb;
BEGIN
    SELECT CASE entity WHEN 'account' THEN i.account_table WHEN 'contact' THEN i.contact_table ELSE i.owner_table END,
           coalesce(i.columns -> entity, '{}')
    INTO host, mapping
    FROM crm_deals.installation AS i;
    SELECT k.name, k.type INTO key_column, key_type FROM crm_deals_internal.primary_key(host) AS k;
    SELECT coalesce(jsonb_object_agg(m.field, a.attname), '{}')
    INTO columns
    FROM crm_deals_internal.mappable() AS m
    JOIN pg_attribute AS a ON a.attrelid = host AND a.attname = coalesce(mapping ->> m.field, m.field)
                              AND a.attnum > 0 AND NOT a.attisdropped
    WHERE m.entity = entity;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.host(text) IS
    'Internal: returns the table, the key and the mapped columns of accounts, contacts or owners.';

-- access: write
CREATE FUNCTION crm_deals_internal.filled(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT nullif(btrim(value, E' \t\r\n'), '') $$;
COMMENT ON FUNCTION crm_deals_internal.filled(text) IS
    'Internal: returns a text without the blanks around it, or NULL if nothing is left.';

-- access: write
CREATE FUNCTION crm_deals_internal.record_columns(relation regclass, fields text[],
                                                  OUT names text, OUT definitions text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
           string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (fields)
$$;
COMMENT ON FUNCTION crm_deals_internal.record_columns(regclass, text[]) IS
    'Internal: lists those of the fields that a table has a column for, for INSERT and for jsonb_to_record().';

-- access: write
CREATE FUNCTION crm_deals_internal.insert_row(relation regclass, key_column text, columns jsonb, callers_path text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    listed record;
    new_key text;
BEGIN
    SELECT *
    INTO listed
    FROM crm_deals_internal.record_columns(relation, ARRAY(SELECT jsonb_object_keys(columns)));
    new_key := crm_deals_internal.write_as_caller_returning(
        callers_path,
        format('INSERT INTO %s AS t (%2$s) SELECT %2$s FROM jsonb_to_record($1) AS r (%3$s) RETURNING t.%4$I::text',
               relation, listed.names, listed.definitions, key_column),
        columns);
    IF new_key IS NULL THEN
        RAISE EXCEPTION 'the new row of % was suppressed', relation
            USING ERRCODE = '09000', DETAIL = 'A trigger or a rule on the table let no row be inserted.';
    END IF;
    RETURN new_key;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.insert_row(regclass, text, jsonb, text) IS
    'Internal: inserts one row, given as an object whose keys are columns, and returns its key as text.';
