-- import_deals(): from a table of any origin to deals and their log.
--
-- This file has the call; the files after it have its steps, in their order. All statements run as the caller, in the
-- write context that src/functions/import.c gives them. What a step finds stands in temporary tables until the call
-- ends:
--
--   _crm_deals_source     the source, its columns converted to our types                         (staging.sql)
--   _crm_deals_history    the history, likewise
--   _crm_deals_pipelines  the pipelines that the rows name                                       (lookup.sql)
--   _crm_deals_accounts   the accounts that the rows name
--   _crm_deals_owners     the owners that the rows name
--   _crm_deals_contacts   the contacts that the rows name, for a moment
--   _crm_deals_stages     the stages that the rows and the history name
--   _crm_deals_found      for each row the deal that is there already, and its pipeline          (resolve.sql)
--   _crm_deals_rows       for each row the keys that were found, or why it is refused
--   _crm_deals_steps      the events of the history, numbered for each deal                      (history.sql)
--   _crm_deals_new        a view: the deals to insert                                            (views.sql)
--   _crm_deals_changes    a view: the deals to update

-- access: write
CREATE FUNCTION crm_deals_internal.call_import_deals(source regclass, history regclass, gates boolean,
                                                     create_accounts boolean, actor text, columns jsonb, formats jsonb,
                                                     dry_run boolean, lost_reason text, closed_at_from text, rows jsonb)
RETURNS TABLE (row_number bigint, external_id text, outcome text, deal_id bigint, detail text)
LANGUAGE c VOLATILE COST 1000000 AS 'MODULE_PATHNAME', 'crm_deals_import';
COMMENT ON FUNCTION crm_deals_internal.call_import_deals(regclass, regclass, boolean, boolean, text, jsonb, jsonb,
                                                         boolean, text, text, jsonb) IS
    'Internal: does the same as crm_deals.import_deals(), for functions of ours.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_rights(entity text, relation regclass) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT (has_any_column_privilege(relation, 'INSERT') AND has_any_column_privilege(relation, 'UPDATE')) THEN
        RAISE EXCEPTION 'permission denied to import %s', entity USING ERRCODE = '42501';
    END IF;
    IF current_setting('session_replication_role') = 'replica' THEN
        RAISE EXCEPTION '%s cannot be imported while session_replication_role is replica', entity
            USING ERRCODE = '55000', DETAIL = 'The triggers that derive and log what is imported are off.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_rights(text, regclass) IS
    'Internal: refuses a caller who may not write the table at once, not for each row.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_rows(rows jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(rows) <> 'array' THEN
        RAISE EXCEPTION 'rows is not an array' USING ERRCODE = '22023',
            HINT = 'Write it like ''[{"external_id": "crm-1", "name": "Crane"}]''.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_rows(jsonb) IS
    'Internal: refuses an argument "rows" that is no array.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_names() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken text;
BEGIN
    SELECT string_agg(format('pg_temp.%I', c.relname), ', ')
    INTO taken
    FROM pg_class AS c
    WHERE c.relnamespace = pg_my_temp_schema()
      AND c.relname IN ('_crm_deals_source', '_crm_deals_history', '_crm_deals_pipelines', '_crm_deals_accounts',
                        '_crm_deals_owners', '_crm_deals_contacts', '_crm_deals_stages', '_crm_deals_found',
                        '_crm_deals_rows', '_crm_deals_steps', '_crm_deals_new', '_crm_deals_changes',
                        '_crm_deals_written', '_crm_deals_statements');
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'names that an import needs are taken: %', taken
            USING ERRCODE = '55006', DETAIL = 'They are free unless an import is at work in this session.',
                  HINT = 'Drop or rename temporary tables of these names.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_names() IS
    'Internal: refuses an import within an import, and temporary tables of the names that an import needs.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_drop() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DROP VIEW pg_temp._crm_deals_new, pg_temp._crm_deals_changes;
    DROP TABLE pg_temp._crm_deals_source, pg_temp._crm_deals_history, pg_temp._crm_deals_pipelines,
               pg_temp._crm_deals_accounts, pg_temp._crm_deals_owners, pg_temp._crm_deals_stages,
               pg_temp._crm_deals_found, pg_temp._crm_deals_rows, pg_temp._crm_deals_steps;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_drop() IS
    'Internal: drops the temporary tables and views of an import.';

-- What the history may be called in the mapping of the source; the mapping of other columns does not concern it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_history_mapping(columns jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(c.key, c.value)
    FROM jsonb_each_text(CASE WHEN jsonb_typeof(columns) = 'object' THEN columns END) AS c
    WHERE (c.value IS NULL OR EXISTS (SELECT FROM crm_deals_internal.import_known_columns('history') AS k
                                      WHERE k.name = c.value))
      AND NOT EXISTS (SELECT FROM crm_deals_internal.import_known_columns('history') AS k
                      WHERE k.name = crm_deals_internal.import_header(c.key))
$$;
COMMENT ON FUNCTION crm_deals_internal.import_history_mapping(jsonb) IS
    'Internal: returns what the argument "columns" says of the history.';

-- JIT would compile each of the many statements for longer than it runs.
-- access: write
CREATE FUNCTION crm_deals_internal.import_deals(source regclass, history regclass, gates boolean,
                                                create_accounts boolean, columns jsonb, formats jsonb, lost_reason text,
                                                closed_at_from text, rows jsonb, callers_path text)
RETURNS TABLE (row_number bigint, external_id text, outcome text, deal_id bigint, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1    -- columns of the source become texts, and then values of our types
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    read_formats jsonb := crm_deals_internal.import_formats(formats);
    given text[];    -- the columns that the source has
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.import_check_rights('deal', 'crm_deals.deal');
    PERFORM crm_deals_internal.import_check_names();
    PERFORM crm_deals_internal.import_check_rows(rows);
    gates := coalesce(gates, false);
    lost_reason := crm_deals_internal.import_text(lost_reason);
    given := crm_deals_internal.import_stage('_crm_deals_source', 'deal', source, rows, columns, read_formats,
                                             jsonb_build_object('_closed_at_from', closed_at_from));
    PERFORM crm_deals_internal.import_check_references(given);
    create_accounts := coalesce(create_accounts, false) AND 'account' = ANY (given);
    IF create_accounts THEN
        PERFORM crm_deals_internal.import_check_accounts();
    END IF;
    PERFORM crm_deals_internal.import_stage_history(history, columns, read_formats);

    PERFORM crm_deals_internal.enter_as_writer();
    PERFORM crm_deals_internal.import_find_pipelines();
    PERFORM crm_deals_internal.import_find_names('account', 'account' = ANY (given));
    PERFORM crm_deals_internal.import_find_names('owner', 'owner' = ANY (given));
    PERFORM crm_deals_internal.import_make_tables();
    PERFORM crm_deals_internal.import_resolve(given, create_accounts, NULL);
    PERFORM crm_deals_internal.import_number_steps();
    PERFORM crm_deals_internal.import_refuse_histories(given);
    PERFORM crm_deals_internal.import_settle(given, lost_reason, read_formats ->> 'time_zone', NULL);
    PERFORM crm_deals_internal.import_make_views(given);
    PERFORM crm_deals_internal.import_write_all(gates, callers_path);
    PERFORM crm_deals_internal.import_write_again(given, create_accounts, lost_reason, read_formats ->> 'time_zone',
                                                  gates, callers_path);
    RETURN QUERY
    SELECT r.row_number, r.external_id, r.outcome, r.deal_id, r.detail FROM crm_deals_internal.import_result() AS r;
    PERFORM crm_deals_internal.import_drop();
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_deals(regclass, regclass, boolean, boolean, jsonb, jsonb, text, text,
                                                    jsonb,
                                                    text) IS
    'Internal: does the work of import_deals() in its write context.';
