-- The columns that a source and a history may have.

-- pipeline, stage, account, owner and external_id are texts: a name, or a key.
-- access: write
CREATE FUNCTION crm_deals_internal.import_deal_columns() RETURNS TABLE (name text, type text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT a.attname::text, CASE WHEN a.attname = 'owner' THEN 'text' ELSE format_type(a.atttypid, -1) END
    FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass('crm_deals.deal') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND a.attname NOT IN ('id', 'version', 'updated_at', 'probability_overridden', 'last_open_stage_id',
                            'pipeline', 'stage', 'account')
      AND a.attname !~ '^_'
    UNION ALL
    VALUES ('pipeline', 'text'), ('stage', 'text'), ('account', 'text')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_deal_columns() IS
    'Internal: lists the columns that a source of import_deals() can have, besides custom_fields.KEY.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_own_columns(given text[]) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(c.name), '{}')
    FROM crm_deals_internal.import_deal_columns() AS c
    WHERE c.name = ANY (given)
      AND c.name NOT IN ('organization', 'name', 'account_id', 'primary_contact_id', 'pipeline_id', 'stage_id',
                         'status', 'amount', 'currency', 'probability', 'expected_close_date', 'closed_at',
                         'lost_reason', 'owner', 'source', 'notes', 'custom_fields', 'external_id',
                         'stage_entered_at', 'created_at', 'pipeline', 'stage', 'account')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_own_columns(text[]) IS
    'Internal: returns those of the columns that a user has added to deal.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_history_columns() RETURNS TABLE (name text, type text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('external_id', 'text'), ('stage', 'text'), ('entered_at', 'timestamp with time zone'),
           ('actor', 'text'), ('lost_reason', 'text'), ('amount', 'numeric')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_history_columns() IS
    'Internal: lists the columns that a history of import_deals() can have.';

-- "names" and "types" are the columns that we know. Any other column is a custom field.
-- access: write
CREATE FUNCTION crm_deals_internal.import_columns(source regclass, names text[], types text[])
RETURNS TABLE (name text, type text, source_type text, is_text boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT a.attname::text, coalesce(w.type, 'jsonb'), format_type(a.atttypid, -1), t.typcategory = 'S'
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN unnest(names, types) AS w (name, type) ON w.name = a.attname
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
$$;
COMMENT ON FUNCTION crm_deals_internal.import_columns(regclass, text[], text[]) IS
    'Internal: lists the columns of a table to import, each with the type that it gets and the type that it has.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_columns(source regclass, names text[], wanted text[],
                                                        with_custom_fields boolean) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given text[] := ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                          WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum);
    unknown text;
    missing text;
BEGIN
    SELECT string_agg(quote_ident(g.name), ', ')
    INTO unknown
    FROM unnest(given) AS g (name)
    WHERE g.name <> ALL (names) AND NOT (with_custom_fields AND g.name ~ E'^custom_fields\\..');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'table % has columns that cannot be imported: %', source, unknown
            USING ERRCODE = '42703',
                  HINT = format('It can have %s%s.', array_to_string(names, ', '),
                                CASE WHEN with_custom_fields THEN ', custom_fields.KEY' END);
    END IF;

    SELECT string_agg(w.name, ', ') INTO missing FROM unnest(wanted) AS w (name) WHERE w.name <> ALL (given);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % lacks columns: %', source, missing USING ERRCODE = '42703';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_columns(regclass, text[], text[], boolean) IS
    'Internal: refuses a table to import that has unknown columns, or lacks one that is needed.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_references(given text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['pipeline', 'stage', 'account'] LOOP
        IF given @> ARRAY[entity, entity || '_id'] THEN
            RAISE EXCEPTION 'the source has both % and %_id', entity, entity
                USING ERRCODE = '42701', HINT = 'Leave one of them out.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_references(text[]) IS
    'Internal: refuses a source that has two columns for the pipeline, the stage or the account.';
