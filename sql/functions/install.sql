-- install() and what it needs. It fills the host's tables into the DDL of sql/schema, in place of words like
-- @account_table@.

-- access: owner
CREATE FUNCTION crm_deals_internal.fill(ddl text, words jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    word record;
BEGIN
    FOR word IN SELECT key, value FROM jsonb_each_text(words) LOOP
        ddl := replace(ddl, '@' || word.key || '@', word.value);
    END LOOP;
    RETURN ddl;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.fill(text, jsonb) IS
    'Internal: fills the host''s tables, keys and labels into DDL of the schema.';

-- The fields of the host's tables that we read and write.
-- access: write
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

-- access: owner
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
-- access: write
CREATE FUNCTION crm_deals_internal.primary_key(host regclass) RETURNS TABLE (name text, type text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
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
    SELECT k.name, k.type INTO primary_key FROM crm_deals_internal.primary_key(host) AS k;
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
CREATE FUNCTION crm_deals_internal.code_version() RETURNS text
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'crm_deals_code_version';
COMMENT ON FUNCTION crm_deals_internal.code_version() IS
    'Internal: returns the version of the library.';

-- access: owner
CREATE FUNCTION crm_deals_internal.record_installation(columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE crm_deals_internal.fill(crm_deals_internal.schema('installation'),
                            jsonb_build_object('version', quote_literal(crm_deals_internal.code_version()),
                                               'columns', quote_literal(columns)));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.record_installation(jsonb) IS
    'Internal: keeps the version of the tables and the mapping of columns.';

-- access: owner
CREATE FUNCTION crm_deals_internal.create_tables(account_table regclass, contact_table regclass, owner_table regclass,
                                         columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    words jsonb;
    part text;
BEGIN
    EXECUTE crm_deals_internal.schema('types');

    words := crm_deals_internal.words_of('owner', owner_table, columns);
    IF account_table IS NULL THEN
        EXECUTE crm_deals_internal.fill(crm_deals_internal.schema('account'), words);
        account_table := 'crm_deals.account'::regclass;
    END IF;
    words := words || crm_deals_internal.words_of('account', account_table, columns);
    IF contact_table IS NULL THEN
        EXECUTE crm_deals_internal.fill(crm_deals_internal.schema('contact'), words);
        contact_table := 'crm_deals.contact'::regclass;
    END IF;
    words := words || crm_deals_internal.words_of('contact', contact_table, columns);

    FOREACH part IN ARRAY ARRAY['host_views', 'pipeline', 'custom_field', 'deal', 'deal_name', 'lead', 'activity',
                                'event_log', 'consumers'] LOOP
        EXECUTE crm_deals_internal.fill(crm_deals_internal.schema(part), words);
    END LOOP;

    PERFORM crm_deals_internal.record_installation(columns);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.create_tables(regclass, regclass, regclass, jsonb) IS
    'Internal: does the first call of install().';

-- The views and triggers that a part of the schema creates are read from its DDL, so that no list of them can be
-- forgotten. The patterns have no backslash: its meaning depends on standard_conforming_strings.
-- access: owner
CREATE FUNCTION crm_deals_internal.part_is_complete(part text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT EXISTS (SELECT
                       FROM regexp_matches(crm_deals_internal.schema(part),
                                           'CREATE OR REPLACE VIEW (crm_deals[.][a-z_]+)', 'g') AS m (words)
                       WHERE to_regclass(m.words[1]) IS NULL)
       AND NOT EXISTS (SELECT
                       FROM regexp_matches(crm_deals_internal.schema(part),
                                           'CREATE OR REPLACE TRIGGER ([a-z_]+) [^;]*? ON (crm_deals[.][a-z_]+)', 'g')
                            AS m (words)
                       WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
                                         WHERE t.tgrelid = to_regclass(m.words[2]) AND t.tgname = m.words[1]))
$$;

COMMENT ON FUNCTION crm_deals_internal.part_is_complete(text) IS
    'Internal: whether all views and triggers of a part of the schema are there.';

-- DROP EXTENSION takes the views and triggers along, since they depend on its functions. Here they come back. A part
-- that is complete is left alone, and nothing of it is locked.
-- access: owner
CREATE FUNCTION crm_deals_internal.attach_code() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['views', 'triggers']
        || CASE WHEN to_regclass('crm_deals.account') IS NOT NULL THEN ARRAY['own_account_triggers'] ELSE '{}' END
        || CASE WHEN to_regclass('crm_deals.contact') IS NOT NULL THEN ARRAY['own_contact_triggers'] ELSE '{}' END
    LOOP
        IF NOT crm_deals_internal.part_is_complete(part) THEN
            EXECUTE crm_deals_internal.schema(part);
        END IF;
    END LOOP;

    -- While the triggers were gone, nobody kept the names.
    IF to_regclass('crm_deals.deal_name_signatures') IS NULL THEN
        PERFORM crm_deals_internal.rebuild_duplicates();
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.attach_code() IS
    'Internal: brings back the views, the triggers and the index of names that are missing.';

-- access: owner
CREATE FUNCTION crm_deals_internal.check_installed_with(account_table regclass, contact_table regclass,
                                                        owner_table regclass)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT v.entity, v.wanted, v.installed
        FROM crm_deals.installation AS i,
             LATERAL (VALUES ('account', check_installed_with.account_table, i.account_table),
                             ('contact', check_installed_with.contact_table, i.contact_table),
                             ('owner', check_installed_with.owner_table, i.owner_table)) AS v (entity, wanted,
                                                                                               installed)
    LOOP
        IF asked.wanted <> coalesce(asked.installed, 0::regclass) THEN
            RAISE EXCEPTION 'crm_deals is installed with another % table', asked.entity
                USING ERRCODE = '55000',
                      DETAIL = format('Deals refer to %s.',
                                      coalesce(asked.installed::text, 'no table: an owner is a text')),
                      HINT = 'Leave the argument out to keep what is installed.';
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.check_installed_with(regclass, regclass, regclass) IS
    'Internal: refuses a later call of install() that names other tables than the first one.';

-- A new mapping gives the host's tables new labels.
-- access: owner
CREATE FUNCTION crm_deals_internal.map_columns(columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    words jsonb;
BEGIN
    SELECT crm_deals_internal.words_of('owner', i.owner_table, map_columns.columns)
           || crm_deals_internal.words_of('account', i.account_table, map_columns.columns)
           || crm_deals_internal.words_of('contact', i.contact_table, map_columns.columns)
    INTO words
    FROM crm_deals.installation AS i;
    EXECUTE crm_deals_internal.fill(crm_deals_internal.schema('host_views'), words);
    PERFORM crm_deals_internal.record_installation(columns);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.map_columns(jsonb) IS
    'Internal: does a later call of install() that maps columns again.';

-- Makes tables of an older version those of this one. There is no older version yet.
-- access: owner
CREATE FUNCTION crm_deals_internal.migrate_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tables_version text := (SELECT i.version FROM crm_deals.installation AS i);
    code_version text := crm_deals_internal.code_version();
BEGIN
    IF string_to_array(tables_version, '.')::integer[] > string_to_array(code_version, '.')::integer[] THEN
        RAISE EXCEPTION 'the tables of crm_deals are newer than the extension'
            USING ERRCODE = '55000',
                  DETAIL = format('The tables are of version %s, the extension is of version %s.', tables_version,
                                  code_version),
                  HINT = 'Run ALTER EXTENSION crm_deals UPDATE.';
    ELSIF tables_version <> code_version THEN
        PERFORM crm_deals_internal.record_installation((SELECT i.columns FROM crm_deals.installation AS i));
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.migrate_tables() IS
    'Internal: does the call of install() after an upgrade of the extension.';

-- C code acts as the owner of the tables, a role that need not own the extension.
-- access: owner
CREATE FUNCTION crm_deals_internal.let_owner_execute() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner regrole := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm_deals.deal'::regclass);
    member regprocedure;
BEGIN
    FOR member IN
        SELECT d.objid
        FROM pg_depend AS d
        JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
          AND e.extname = 'crm_deals'
          AND NOT has_function_privilege(owner, d.objid, 'EXECUTE')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', member, owner);
    END LOOP;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.let_owner_execute() IS
    'Internal: lets the owner of the tables execute the functions that run in their name.';

-- access: owner
CREATE FUNCTION crm_deals_internal.install(account_table regclass, contact_table regclass, owner_table regclass,
                                           columns jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
    granted record;
BEGIN
    -- One installer runs at a time; the second one finds everything in place.
    PERFORM pg_advisory_xact_lock(hashtextextended('crm_deals.install', 0));
    PERFORM crm_deals_internal.check_columns(coalesce(columns, '{}'));

    IF to_regclass('crm_deals.installation') IS NULL THEN
        PERFORM crm_deals_internal.create_tables(account_table, contact_table, owner_table, coalesce(columns, '{}'));
    ELSE
        PERFORM crm_deals_internal.check_installed_with(account_table, contact_table, owner_table);
        PERFORM crm_deals_internal.migrate_tables();
        columns := (SELECT i.columns || install.columns FROM crm_deals.installation AS i);
        IF columns <> (SELECT i.columns FROM crm_deals.installation AS i) THEN
            PERFORM crm_deals_internal.map_columns(columns);
        END IF;
    END IF;
    PERFORM crm_deals_internal.attach_code();
    PERFORM crm_deals_internal.let_owner_execute();
    IF crm_deals_internal.children_are_protected() THEN
        PERFORM crm_deals_internal.protect_children();
    END IF;

    FOR granted IN
        SELECT g.role_name, g.level FROM crm_deals_internal.granted_levels() AS g
    LOOP
        PERFORM crm_deals_internal.grant_level(granted.role_name, granted.level);
    END LOOP;
    RETURN (SELECT i.version FROM crm_deals.installation AS i);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.install(regclass, regclass, regclass, jsonb) IS
    'Internal: what crm_deals.install() does.';
