-- The columns of a source: their headers, and what each of them means.

-- ----------
-- What there is to import
-- ----------

-- "reading" says how a value is read (staging.sql):
--
--   name      a text without what surrounds it
--   text      a text as it is
--   code      a name in capital letters
--   number, day, moment
--   closing   a moment; a mere day stands for 12:00
--   cast      anything else
--
-- "by_key" columns hold our own keys; they count only if "columns" of the call names them.
-- access: write
CREATE FUNCTION crm_deals_internal.import_known_columns(entity text)
RETURNS TABLE (name text, type text, reading text, by_key boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF entity = 'history' THEN
        RETURN QUERY
        VALUES ('external_id', 'text', 'name', false), ('organization', 'text', 'name', false),
               ('stage', 'text', 'name', false), ('entered_at', 'timestamp with time zone', 'moment', false),
               ('position', 'numeric', 'number', false), ('actor', 'text', 'name', false),
               ('lost_reason', 'text', 'name', false), ('amount', 'numeric', 'number', false);
    ELSIF entity = 'deal' THEN
        RETURN QUERY SELECT * FROM crm_deals_internal.import_deal_columns();
    ELSE
        RETURN QUERY SELECT * FROM crm_deals_internal.import_party_columns(entity);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_known_columns(text) IS
    'Internal: lists the columns that a source can have, besides custom_fields.KEY.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_reading(type text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN type IN ('text', 'character varying') THEN 'text'
                WHEN type IN ('numeric', 'bigint', 'integer', 'smallint', 'real', 'double precision') THEN 'number'
                WHEN type = 'date' THEN 'day'
                WHEN type ~ '^timestamp' THEN 'moment'
                ELSE 'cast' END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_reading(text) IS
    'Internal: says how a value of a column of this type is read.';

-- pipeline, stage, account, primary_contact and owner are texts that name something; status is a word.
-- access: write
CREATE FUNCTION crm_deals_internal.import_deal_columns()
RETURNS TABLE (name text, type text, reading text, by_key boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT v.name, 'text', 'name', false
    FROM unnest(ARRAY['external_id', 'organization', 'pipeline', 'stage', 'status', 'account', 'primary_contact',
                      'owner', 'lost_reason']) AS v (name)
    UNION ALL
    VALUES ('_closed_at_from', 'timestamp with time zone', 'closing', true)
    UNION ALL
    SELECT CASE a.attname WHEN 'owner' THEN 'owner_id' ELSE a.attname::text END, t.type,
           CASE WHEN a.attname = 'currency' THEN 'code' WHEN a.attname = 'closed_at' THEN 'closing'
                ELSE crm_deals_internal.import_reading(t.type) END,
           a.attname IN ('pipeline_id', 'stage_id', 'account_id', 'primary_contact_id', 'owner')
    FROM pg_attribute AS a, format_type(a.atttypid, -1) AS t (type)
    WHERE a.attrelid = to_regclass('crm_deals.deal') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND a.attname NOT IN ('id', 'version', 'updated_at', 'probability_overridden', 'last_open_stage_id',
                            'external_id', 'organization', 'pipeline', 'stage', 'status', 'account',
                            'primary_contact', 'owner_id', 'lost_reason')
      AND a.attname !~ '^_'
$$;
COMMENT ON FUNCTION crm_deals_internal.import_deal_columns() IS
    'Internal: lists the columns that a source of import_deals() can have.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_own_columns(given text[]) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(c.name), '{}')
    FROM crm_deals_internal.import_deal_columns() AS c
    WHERE c.name = ANY (given)
      AND c.name NOT IN ('organization', 'name', 'account_id', 'primary_contact_id', 'pipeline_id', 'stage_id',
                         'owner_id', 'status', 'amount', 'currency', 'probability', 'expected_close_date', 'closed_at',
                         'lost_reason', 'owner', 'source', 'notes', 'custom_fields', 'external_id',
                         'stage_entered_at', 'created_at', 'pipeline', 'stage', 'account', 'primary_contact')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_own_columns(text[]) IS
    'Internal: returns those of the columns that a user has added to deal.';

-- ----------
-- Headers
-- ----------

-- Headers count as equal in any case, with blanks or "_", and with or without a byte order mark.
-- access: write
CREATE FUNCTION crm_deals_internal.import_header(header text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT lower(translate(crm_deals_internal.import_folded(header), ' ', '_')) $$;
COMMENT ON FUNCTION crm_deals_internal.import_header(text) IS
    'Internal: returns a header as headers are compared.';

-- "value" is the expression of the column's values in "FROM source AS s".
-- access: write
CREATE FUNCTION crm_deals_internal.import_headers(source regclass, rows jsonb)
RETURNS TABLE (place bigint, header text, type text, value text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT a.attnum::bigint, a.attname::text, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), -1),
           format('s.%I', a.attname)
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT min(e.place * 10000 + k.place), k.key, 'value', format('s._value -> %L', k.key)
    FROM jsonb_array_elements(rows) WITH ORDINALITY AS e (value, place),
         jsonb_object_keys(CASE WHEN jsonb_typeof(e.value) = 'object' THEN e.value ELSE '{}' END)
             WITH ORDINALITY AS k (key, place)
    GROUP BY k.key
$$;
COMMENT ON FUNCTION crm_deals_internal.import_headers(regclass, jsonb) IS
    'Internal: lists the columns of a source, or the keys of the objects that stand in its place.';

-- The names that a header can stand for; "contact" is short for primary_contact. Keys that are defined count, too.
-- access: write
CREATE FUNCTION crm_deals_internal.import_names(entity text)
RETURNS TABLE (header text, name text, type text, reading text, by_key boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.name, k.name, k.type, k.reading, k.by_key FROM crm_deals_internal.import_known_columns(entity) AS k
    UNION ALL
    SELECT 'contact', k.name, k.type, k.reading, k.by_key
    FROM crm_deals_internal.import_known_columns(entity) AS k
    WHERE k.name = 'primary_contact'
    UNION ALL
    SELECT DISTINCT 'custom_fields.' || c.key, 'custom_fields.' || c.key, 'jsonb', 'field', false
    FROM crm_deals.custom_field AS c
    WHERE c.entity = import_names.entity
$$;
COMMENT ON FUNCTION crm_deals_internal.import_names(text) IS
    'Internal: lists the headers that need no mapping, and the columns that they mean.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_mapping(columns jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(columns) NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'columns is not an object' USING ERRCODE = '22023',
            HINT = 'Write it like ''{"Opportunity Name": "name", "Record ID": "external_id", "Created By": null}''.';
    END IF;
    SELECT string_agg(format('"%s": %s', c.key, c.value), ', ' ORDER BY c.key)
    INTO wrong
    FROM jsonb_each(CASE WHEN jsonb_typeof(columns) = 'object' THEN columns END) AS c
    WHERE jsonb_typeof(c.value) NOT IN ('string', 'null');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'columns maps headers to something that is no name: %', wrong USING ERRCODE = '22023',
            HINT = 'A header is mapped to the name of a column, or to null, which leaves it out.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_mapping(jsonb) IS
    'Internal: refuses an argument "columns" that is no mapping.';

-- What each header means. Without a name it is unknown; with leaves_out it is left out.
-- access: write
CREATE FUNCTION crm_deals_internal.import_meanings(entity text, source regclass, rows jsonb, columns jsonb)
RETURNS TABLE (place bigint, header text, type text, value text, name text, leaves_out boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH known AS MATERIALIZED (
        SELECT k.*, crm_deals_internal.import_header(k.header) AS folded
        FROM crm_deals_internal.import_names(import_meanings.entity) AS k
    ), mapping AS MATERIALIZED (
        SELECT c.key, c.value AS target, crm_deals_internal.import_header(c.key) AS folded
        FROM jsonb_each_text(CASE WHEN jsonb_typeof(columns) = 'object' THEN columns END) AS c
    ), headers AS MATERIALIZED (
        SELECT h.*, crm_deals_internal.import_header(h.header) AS folded
        FROM crm_deals_internal.import_headers(import_meanings.source, import_meanings.rows) AS h
    )
    SELECT h.place, h.header, h.type, h.value, coalesce(k.name, free.name), m.key IS NOT NULL AND m.target IS NULL
    FROM headers AS h
    LEFT JOIN LATERAL (SELECT c.* FROM mapping AS c WHERE c.folded = h.folded
                       ORDER BY c.key = h.header DESC, c.key LIMIT 1) AS m ON true
    LEFT JOIN LATERAL (SELECT n.name FROM known AS n
                       WHERE CASE WHEN m.key IS NULL THEN n.folded = h.folded AND NOT n.by_key
                                  ELSE n.header = m.target AND n.header !~ '^_' END
                       ORDER BY n.header = h.header DESC, n.header LIMIT 1) AS k ON true
    LEFT JOIN LATERAL (SELECT 'custom_fields.' || (regexp_match(n.name, '^custom[ _]fields[.](.+)$', 'i'))[1]
                       FROM (SELECT CASE WHEN m.key IS NULL THEN crm_deals_internal.import_text(h.header)
                                         ELSE m.target END) AS n (name)
                       WHERE import_meanings.entity <> 'history') AS free (name) ON true
$$;
COMMENT ON FUNCTION crm_deals_internal.import_meanings(text, regclass, jsonb, jsonb) IS
    'Internal: says which column each header of a source means.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_columns(entity text, source regclass, rows jsonb, columns jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    what text := CASE WHEN source IS NULL THEN '"rows"' ELSE format('table %s', source) END;
    wrong text;
BEGIN
    PERFORM crm_deals_internal.import_check_mapping(import_check_columns.columns);
    SELECT string_agg(quote_ident(m.header), ', ' ORDER BY m.place)
    INTO wrong
    FROM crm_deals_internal.import_meanings(entity, source, import_check_columns.rows, columns) AS m
    WHERE m.name IS NULL AND NOT m.leaves_out;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '% has columns that cannot be imported: %', what, wrong
            USING ERRCODE = '42703',
                  DETAIL = (SELECT format('There are %s%s.', string_agg(DISTINCT n.name, ', '),
                                          CASE WHEN entity <> 'history' THEN ', custom_fields.KEY' ELSE '' END)
                            FROM crm_deals_internal.import_names(entity) AS n
                            WHERE n.reading <> 'field' AND n.header !~ '^_'),
                  HINT = 'The argument "columns" maps a header to one of these, or to null, which leaves it out. '
                         'Columns that hold our keys, such as stage_id, must be mapped.';
    END IF;
    SELECT string_agg(format('%s and %s are both %s', m.headers[1], m.headers[2], m.name), '; ')
    INTO wrong
    FROM (SELECT m.name, array_agg(quote_ident(m.header) ORDER BY m.place) AS headers
          FROM crm_deals_internal.import_meanings(entity, source, import_check_columns.rows, columns) AS m
          WHERE NOT m.leaves_out GROUP BY m.name HAVING count(*) > 1) AS m;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '% has several columns for one thing: %', what, wrong
            USING ERRCODE = '42701', HINT = 'Map one of them to null in the argument "columns": that leaves it out.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_columns(text, regclass, jsonb, jsonb) IS
    'Internal: refuses a source with columns that mean nothing, or mean the same.';

-- A custom field is read by its definition, if all organizations define it alike; else as it is.
-- access: write
CREATE FUNCTION crm_deals_internal.import_columns(entity text, source regclass, rows jsonb, columns jsonb)
RETURNS TABLE (name text, type text, reading text, source_type text, value text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT m.name, CASE WHEN k.name IS NULL THEN 'jsonb' ELSE k.type END,
           CASE WHEN k.name IS NOT NULL THEN k.reading
                ELSE coalesce((SELECT CASE min(c.type) WHEN 'number' THEN 'number' WHEN 'date' THEN 'day' END
                               FROM crm_deals.custom_field AS c
                               WHERE c.entity = import_columns.entity AND 'custom_fields.' || c.key = m.name
                               HAVING min(c.type) = max(c.type)), 'field') END,
           m.type, m.value
    FROM crm_deals_internal.import_meanings(entity, source, rows, columns) AS m
    LEFT JOIN crm_deals_internal.import_known_columns(entity) AS k ON k.name = m.name
    WHERE NOT m.leaves_out
    ORDER BY m.place
$$;
COMMENT ON FUNCTION crm_deals_internal.import_columns(text, regclass, jsonb, jsonb) IS
    'Internal: lists the columns of a source that are imported, and how each is read.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_references(given text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    entity text;
BEGIN
    FOREACH entity IN ARRAY ARRAY['pipeline', 'stage', 'account', 'primary_contact', 'contact', 'owner'] LOOP
        IF given @> ARRAY[entity, entity || '_id'] THEN
            RAISE EXCEPTION 'the source has both % and %_id', entity, entity
                USING ERRCODE = '42701',
                      HINT = 'Map one of them to null in the argument "columns": that leaves it out.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_references(text[]) IS
    'Internal: refuses a source that has two columns for the pipeline, the stage, the account, the contact or the '
    'owner.';
