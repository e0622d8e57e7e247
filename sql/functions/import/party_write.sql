-- Writes accounts, contacts and leads, in the ranges of write.sql, and returns their outcomes.

-- ----------
-- Statements
-- ----------

-- The columns that the source gives, and the expressions of their values: those of something new, or of a change. A
-- change keeps what it was found by, and when it was made. A host's contact with one column for the whole name gets
-- that.
-- access: write
CREATE FUNCTION crm_deals_internal.import_party_values(entity text, given text[], of_change boolean)
RETURNS TABLE (name text, value text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT ON (p.columns ->> f.field) p.columns ->> f.field,
           CASE WHEN entity = 'contact' AND f.field IN ('first_name', 'last_name')
                     AND NOT p.columns ?& '{first_name,last_name}'
                THEN (SELECT format('nullif(concat_ws('' '', %s), '''')', string_agg(format('s.%I', n.name), ', '))
                      FROM unnest('{first_name,last_name}'::text[]) AS n (name) WHERE n.name = ANY (given))
                ELSE f.value END
    FROM crm_deals_internal.import_party(entity) AS p
    JOIN crm_deals_internal.import_party_fields(entity) AS g
      ON g.name = ANY (given) OR g.field = 'organization' AND NOT of_change
         OR g.field = 'custom_fields' AND EXISTS (SELECT FROM unnest(given) AS c (name) WHERE c.name ~ '^custom_fields')
    -- The one column for the whole name is that of either field.
    JOIN crm_deals_internal.import_party_fields(entity) AS f
      ON f.name = g.name OR f.field IN ('first_name', 'last_name') AND g.field IN ('first_name', 'last_name')
                            AND NOT p.columns ? g.field
    WHERE p.columns ? f.field AND NOT (of_change AND f.field IN ('external_id', 'organization'))
    UNION ALL
    SELECT o.name, format('s.%I', o.name)
    FROM crm_deals_internal.import_party_own_columns(entity) AS o
    WHERE o.name = ANY (given) AND NOT (of_change AND o.name = 'created_at')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party_values(text, text[], boolean) IS
    'Internal: lists the columns to write for accounts, contacts or leads, and the expressions of their values.';

-- "differs" compares byte by byte: a type of the user's may have no equality. So a number is compared as the column
-- would hold it: 5 as 5.00 in a column of numeric(10,2). Texts keep their length: one that is too long is refused and
-- not cut. In JSON 5 and 5.0 are the same.
-- access: write
CREATE FUNCTION crm_deals_internal.import_party_columns_written(entity text, given text[], of_change boolean)
RETURNS TABLE (name text, value text, differs text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT v.name, format('(%s)::%s', v.value, format_type(a.atttypid, -1)),
           format(CASE WHEN a.atttypid = 'jsonb'::regtype THEN 't.%I IS DISTINCT FROM (%s)::%s'
                       ELSE 'record_image_ne(ROW(t.%I), ROW((%s)::%s))' END, v.name, v.value,
                  format_type(a.atttypid, CASE WHEN t.typcategory = 'S' THEN -1 ELSE a.atttypmod END))
    FROM crm_deals_internal.import_party_values(entity, given, of_change) AS v
    JOIN crm_deals_internal.import_party(entity) AS p ON true
    JOIN pg_attribute AS a ON a.attrelid = p.relation AND a.attname = v.name
    JOIN pg_type AS t ON t.oid = a.atttypid
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party_columns_written(text, text[], boolean) IS
    'Internal: does the same, with the values in the types of the columns, and in which rows they are a change.';

-- "changed" finds, of the rows from $1 to $2, those that the UPDATE would change. The INSERT numbers the new keys in
-- the order of the rows.
-- access: write
CREATE FUNCTION crm_deals_internal.import_prepare_parties(entity text, given text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    party record;
    fresh record;
    change record;
BEGIN
    SELECT * INTO party FROM crm_deals_internal.import_party(entity);
    SELECT string_agg(quote_ident(c.name), ', ') AS names, string_agg(c.value, ', ') AS listed
    INTO fresh
    FROM crm_deals_internal.import_party_columns_written(entity, given, false) AS c;
    SELECT string_agg(quote_ident(c.name), ', ') AS names, string_agg(c.value, ', ') AS listed,
           string_agg(c.differs, ' OR ') AS differs
    INTO change
    FROM crm_deals_internal.import_party_columns_written(entity, given, true) AS c;
    CREATE TEMPORARY TABLE pg_temp._crm_deals_statements ON COMMIT DROP AS
    SELECT format('WITH w AS (INSERT INTO %s AS t (%s) SELECT %s FROM pg_temp._crm_deals_rows AS r '
                  'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                  'WHERE r._row BETWEEN $1 AND $2 AND r._is_new AND r._problem IS NULL AND NOT r._again '
                  'ORDER BY r._row RETURNING t.%I AS id) '
                  'INSERT INTO pg_temp._crm_deals_written (place, id) SELECT row_number() OVER (), w.id FROM w',
                  party.relation, fresh.names, fresh.listed, party.key_column) AS inserts,
           CASE WHEN change.names IS NOT NULL THEN
           format('SELECT r.id FROM pg_temp._crm_deals_rows AS r '
                  'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                  'CROSS JOIN LATERAL (SELECT FROM %s AS t WHERE t.%I = r.id AND (%s) OFFSET 0) AS t '
                  'WHERE r._row BETWEEN $1 AND $2 AND NOT r._is_new AND r._problem IS NULL AND NOT r._again',
                  party.relation, party.key_column, change.differs) END AS changed,
           format('WITH w AS (UPDATE %1$s AS t SET (%2$s) = (SELECT %3$s FROM pg_temp._crm_deals_rows AS r '
                  'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                  'WHERE r.id = t.%4$I AND NOT r._is_new AND r._problem IS NULL AND NOT r._again) '
                  'WHERE t.%4$I = ANY ($1) RETURNING t.%4$I AS id) '
                  'INSERT INTO pg_temp._crm_deals_written (id) SELECT w.id FROM w',
                  party.relation, change.names, change.listed, party.key_column) AS updates;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_prepare_parties(text, text[]) IS
    'Internal: makes _crm_deals_statements, the statements that write the rows.';

-- ----------
-- Writing
-- ----------

-- If fewer keys come back than rows went in, nobody knows whose they are. Then the rows are tried one by one.
-- access: write
CREATE FUNCTION crm_deals_internal.import_insert_parties(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    fresh bigint[] := ARRAY(SELECT r._row FROM pg_temp._crm_deals_rows AS r
                            WHERE r._row BETWEEN low AND high AND r._is_new AND r._problem IS NULL AND NOT r._again
                            ORDER BY r._row);
BEGIN
    IF fresh = '{}' THEN
        RETURN;
    END IF;
    TRUNCATE pg_temp._crm_deals_written;    -- attempts that failed would leave dead rows
    IF crm_deals_internal.write_as_caller(callers_path, (SELECT w.inserts FROM pg_temp._crm_deals_statements AS w),
                                          low, high) <> cardinality(fresh) THEN
        RAISE EXCEPTION 'A trigger or row security suppressed the row.' USING ERRCODE = '09000';
    END IF;
    -- Planned anew each time: the rows are very many or few.
    EXECUTE 'UPDATE pg_temp._crm_deals_rows AS r SET id = w.id '
            'FROM unnest($1) WITH ORDINALITY AS f (_row, place), pg_temp._crm_deals_written AS w '
            'WHERE w.place = f.place AND r._row = f._row' USING fresh;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_insert_parties(bigint, bigint, text) IS
    'Internal: inserts the new accounts, contacts or leads of these rows.';

-- Those that are already as the source says are not touched. A source that gives nothing but external_id changes
-- nothing.
-- access: write
CREATE FUNCTION crm_deals_internal.import_update_parties(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    prepared record;
BEGIN
    SELECT w.changed, w.updates INTO prepared FROM pg_temp._crm_deals_statements AS w;
    IF prepared.changed IS NULL THEN
        RETURN;
    END IF;
    TRUNCATE pg_temp._crm_deals_written;
    -- What the UPDATE is to write stands here, too: whatever it writes is here twice.
    EXECUTE 'INSERT INTO pg_temp._crm_deals_written (id) ' || prepared.changed USING low, high;
    IF NOT EXISTS (SELECT FROM pg_temp._crm_deals_written) THEN
        RETURN;
    END IF;
    PERFORM crm_deals_internal.write_as_caller(callers_path, prepared.updates,
                                               (SELECT array_agg(w.id) FROM pg_temp._crm_deals_written AS w));
    UPDATE pg_temp._crm_deals_rows AS r
    SET _is_written = w.is_written,
        _problem = CASE WHEN NOT w.is_written THEN 'A trigger or row security suppressed the change.' END
    FROM (SELECT w.id, count(*) > 1 AS is_written FROM pg_temp._crm_deals_written AS w GROUP BY w.id) AS w
    WHERE r.id = w.id AND NOT r._is_new AND r._problem IS NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_update_parties(bigint, bigint, text) IS
    'Internal: updates the accounts, contacts or leads of these rows that exist and differ.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_write_parties_again(entity text, given text[], callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    chosen bigint[] := ARRAY(SELECT r._row FROM pg_temp._crm_deals_rows AS r WHERE r._again ORDER BY r._row);
BEGIN
    IF chosen = '{}' THEN
        RETURN;
    END IF;
    DELETE FROM pg_temp._crm_deals_rows AS r WHERE r._again;
    PERFORM crm_deals_internal.import_resolve_parties(entity, given, chosen);
    PERFORM crm_deals_internal.import_write(w._row, w._row, false, false, callers_path)
    FROM unnest(chosen) AS w (_row);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_parties_again(text, text[], text) IS
    'Internal: gives rows whose external_id another session has just inserted a second attempt, as updates.';

-- ----------
-- The call
-- ----------

-- "|| ''" as in import_result().
-- access: write
CREATE FUNCTION crm_deals_internal.import_party_result()
RETURNS TABLE (row_number bigint, external_id text, outcome text, id text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT r._row, r.external_id || '',
           CASE WHEN r._problem IS NOT NULL THEN 'rejected' WHEN r._is_new THEN 'created'
                WHEN r._is_written THEN 'updated' ELSE 'unchanged' END,
           CASE WHEN r._problem IS NULL OR NOT r._is_new THEN r.id::text || '' END, left(r._problem, 4000)
    FROM pg_temp._crm_deals_rows AS r
    ORDER BY r._row;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_party_result() IS
    'Internal: returns the outcome of each row.';

-- Triggers of the user's that write deals or activities find the actor in the setting. If the import fails, the end of
-- the (sub)transaction puts it back.
-- access: write
CREATE FUNCTION crm_deals_internal.import_parties(entity text, source regclass, actor text, columns jsonb,
                                                  formats jsonb, rows jsonb, callers_path text)
RETURNS TABLE (row_number bigint, external_id text, outcome text, id text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1    -- as in import_deals()
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    read_formats jsonb := crm_deals_internal.import_formats(formats);
    actor_before text := coalesce(current_setting('crm_deals.actor', true), '');
    given text[];
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.import_check_rights(entity, (crm_deals_internal.import_party(entity)).relation);
    PERFORM crm_deals_internal.import_check_names();
    PERFORM crm_deals_internal.import_check_rows(rows);
    given := crm_deals_internal.import_stage('_crm_deals_source', entity, source, rows, columns, read_formats);
    PERFORM crm_deals_internal.import_check_references(given);
    PERFORM crm_deals_internal.import_check_party(entity, given);
    PERFORM crm_deals_internal.import_place_parties();
    PERFORM crm_deals_internal.import_make_party_tables(entity);
    PERFORM crm_deals_internal.import_resolve_parties(entity, given, NULL);
    PERFORM crm_deals_internal.import_prepare_parties(entity, given);
    PERFORM set_config('crm_deals.actor', coalesce(actor, actor_before), true);
    PERFORM crm_deals_internal.import_write_all(false, callers_path);
    PERFORM crm_deals_internal.import_write_parties_again(entity, given, callers_path);
    PERFORM set_config('crm_deals.actor', actor_before, true);
    RETURN QUERY
    SELECT r.row_number, r.external_id, r.outcome, r.id, r.detail FROM crm_deals_internal.import_party_result() AS r;
    DROP TABLE pg_temp._crm_deals_source, pg_temp._crm_deals_found, pg_temp._crm_deals_rows, pg_temp._crm_deals_written,
               pg_temp._crm_deals_statements;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_parties(text, regclass, text, jsonb, jsonb, jsonb, text) IS
    'Internal: does the work of import_accounts(), import_contacts() and import_leads().';
