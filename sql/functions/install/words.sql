-- install() fills the host's tables into the DDL of sql/schema, in place of words like @account_table@.

-- In one pass: what is filled in is a name of the user's and may look like one of the words.
-- access: public
CREATE FUNCTION crm_deals_internal.fill(ddl text, words jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pieces text[] := regexp_split_to_array(ddl, '@[a-z_]+@');
    word text;
    turn integer := 1;
    filled text := pieces[1];
BEGIN
    FOR word IN SELECT m.words[1] FROM regexp_matches(ddl, '@([a-z_]+)@', 'g') AS m (words) LOOP
        turn := turn + 1;
        filled := filled || coalesce(words ->> word, format('@%s@', word)) || pieces[turn];
    END LOOP;
    RETURN filled;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.fill(text, jsonb) IS
    'Internal: fills the host''s tables, keys and labels into DDL of the schema.';

-- The fields of the host's tables that we read and write.
-- access: public
CREATE FUNCTION crm_deals_internal.mappable() RETURNS TABLE (entity text, field text, in_label boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('account', 'name', true),
           ('account', 'organization', false),
           ('account', 'external_id', false),
           ('account', 'owner', false),
           ('account', 'custom_fields', false),
           ('contact', 'first_name', true),
           ('contact', 'last_name', true),
           ('contact', 'email', false),
           ('contact', 'phone', false),
           ('contact', 'account_id', false),
           ('contact', 'organization', false),
           ('contact', 'external_id', false),
           ('contact', 'owner', false),
           ('contact', 'custom_fields', false),
           ('owner', 'name', true),
           ('owner', 'email', false)
$$;

COMMENT ON FUNCTION crm_deals_internal.mappable() IS
    'Internal: lists what the argument columns of install() may map.';

-- A field is mapped to the column that the mapping names, else to the column of its own name.
-- access: owner
CREATE FUNCTION crm_deals_internal.mapped_column(entity text, field text, host regclass, columns jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text
    FROM pg_attribute AS a
    WHERE a.attrelid = host
      AND a.attname = coalesce(columns -> entity ->> field, field)
      AND a.attnum > 0
      AND NOT a.attisdropped
$$;

COMMENT ON FUNCTION crm_deals_internal.mapped_column(text, text, regclass, jsonb) IS
    'Internal: returns the column of a host table that a field is mapped to, or NULL.';

-- access: public
CREATE FUNCTION crm_deals_internal.check_columns(columns jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mapped record;
BEGIN
    IF jsonb_typeof(columns) <> 'object' OR jsonb_path_exists(columns, '$.* ? (@.type() != "object")') THEN
        RAISE EXCEPTION 'columns must be an object of objects'
            USING ERRCODE = '22023', HINT = 'Such as {"account": {"name": "company"}}.';
    END IF;
    FOR mapped IN
        SELECT e.key AS entity, f.key AS field, f.value AS target
        FROM jsonb_each(columns) AS e, LATERAL jsonb_each(e.value) AS f
    LOOP
        IF jsonb_typeof(mapped.target) <> 'string'
           OR NOT EXISTS (SELECT FROM crm_deals_internal.mappable() AS m
                          WHERE m.entity = mapped.entity AND m.field = mapped.field) THEN
            RAISE EXCEPTION 'columns cannot map "%" of "%"', mapped.field, mapped.entity
                USING ERRCODE = '22023',
                      HINT = format('It can map, each to the name of a column: %s.',
                                    (SELECT string_agg(m.entity || '.' || m.field, ', ')
                                     FROM crm_deals_internal.mappable() AS m));
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.check_columns(jsonb) IS
    'Internal: refuses a mapping of fields that the product does not know.';

-- Without a table of owners, an owner is a text that is its own label.
-- access: owner
CREATE FUNCTION crm_deals_internal.words_of_plain_owner() RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'owner_table', '(SELECT NULL::text AS id WHERE false)',
        'owner_key', 'text',
        'owner_primary_key', 'id',
        'owner_reference', '',
        'owner_label', 't.id')
$$;

COMMENT ON FUNCTION crm_deals_internal.words_of_plain_owner() IS
    'Internal: returns what the DDL says if the host has no table of owners.';

-- Deals refer to a host table by this key. There is no row if the key is not a single column.
-- access: public
CREATE FUNCTION crm_deals_internal.primary_key(host regclass) RETURNS TABLE (name text, type text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT a.attname::text, format_type(a.atttypid, NULL)
    FROM pg_index AS i
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = host AND i.indisprimary AND i.indnkeyatts = 1
$$;

COMMENT ON FUNCTION crm_deals_internal.primary_key(regclass) IS
    'Internal: returns name and type of a host table''s primary key, if it is a single column.';

-- What the DDL needs to know of a host table: its key, the type of the key, its label.
-- access: owner
CREATE FUNCTION crm_deals_internal.words_of(entity text, host regclass, columns jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    primary_key record;
    missing text;
    label text;
BEGIN
    IF host IS NULL THEN
        RETURN crm_deals_internal.words_of_plain_owner();
    END IF;
    -- Our own tables may have lost their primary keys: install() brings these back.
    SELECT k.name, k.type INTO primary_key
    FROM (SELECT 'id', 'bigint' WHERE host IN (to_regclass('crm_deals.account'), to_regclass('crm_deals.contact'))
          UNION ALL
          SELECT k.name, k.type FROM crm_deals_internal.primary_key(host) AS k) AS k (name, type)
    LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table % has no primary key of a single column', host
            USING ERRCODE = '42830', HINT = format('Deals refer to the %s by such a key.', entity);
    ELSIF primary_key.type NOT IN ('bigint', 'integer', 'uuid', 'text') THEN
        RAISE EXCEPTION 'the primary key of table % is of type %', host, primary_key.type
            USING ERRCODE = '42804', HINT = 'Keys can be bigint, integer, uuid or text.';
    END IF;

    SELECT string_agg(format('%I', f.value), ', ')
    INTO missing
    FROM jsonb_each_text(coalesce(columns -> entity, '{}')) AS f
    WHERE crm_deals_internal.mapped_column(entity, f.key, host, columns) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'table % has no column %', host, missing USING ERRCODE = '42703';
    END IF;

    SELECT string_agg('t.' || quote_ident(crm_deals_internal.mapped_column(m.entity, m.field, host, columns)), ', '
                      ORDER BY m.field)
    INTO label
    FROM crm_deals_internal.mappable() AS m
    WHERE m.entity = words_of.entity AND m.in_label;

    RETURN jsonb_build_object(
        entity || '_table', host::text,
        entity || '_key', primary_key.type,
        entity || '_primary_key', quote_ident(primary_key.name),
        entity || '_reference', 'REFERENCES ' || host::text,
        entity || '_label', CASE WHEN label IS NULL THEN 'NULL::text'
                                 ELSE format('nullif(concat_ws('' '', %s), '''')', label) END);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.words_of(text, regclass, jsonb) IS
    'Internal: returns key, type and label of a host table, for the DDL. NULL stands for no table of owners.';

-- access: owner
CREATE FUNCTION crm_deals_internal.words(account_table regclass, contact_table regclass, owner_table regclass,
                                         columns jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.words_of('account', account_table, columns)
           || crm_deals_internal.words_of('contact', contact_table, columns)
           || crm_deals_internal.words_of('owner', owner_table, columns)
$$;

COMMENT ON FUNCTION crm_deals_internal.words(regclass, regclass, regclass, jsonb) IS
    'Internal: returns what the DDL needs to know of all tables of the host.';
