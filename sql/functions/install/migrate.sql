-- A later call of install() brings tables of an older version up to this one. A migration (sql/migrations) does only
-- what cannot be told from the schema: it adds, drops and renames columns, and creates types. Tables that are
-- new are made from their part of the schema. Constraints, defaults, indexes, triggers and views are brought back
-- afterwards as if they had been lost (bring_back.sql).

-- access: owner
CREATE FUNCTION crm_deals_internal.release_number(version text) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_to_array(version, '.')::integer[]
$$;
COMMENT ON FUNCTION crm_deals_internal.release_number(text) IS
    'Internal: returns a version as numbers, which compare in the right order.';

-- access: owner
CREATE FUNCTION crm_deals_internal.migrations_since(version text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT m.version
    FROM unnest(crm_deals_internal.migrations()) AS m (version)
    WHERE crm_deals_internal.release_number(m.version) > crm_deals_internal.release_number(migrations_since.version)
    ORDER BY crm_deals_internal.release_number(m.version)
$$;
COMMENT ON FUNCTION crm_deals_internal.migrations_since(text) IS
    'Internal: returns the versions after this one that change tables, oldest first.';

-- Everything is named at once, before anything is changed.
-- access: owner
CREATE FUNCTION crm_deals_internal.check_nothing_stands_in_the_way(version text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    migration text;
    found text[];
    obstacles text[] := '{}';
BEGIN
    FOR migration IN SELECT m FROM crm_deals_internal.migrations_since(version) AS m LOOP
        EXECUTE format('SELECT array_agg(o.obstacle) FROM (%s) AS o (obstacle)',
                       crm_deals_internal.schema(migration || '-obstacles'))
        INTO found;
        obstacles := obstacles || found;
    END LOOP;
    IF obstacles <> '{}' THEN
        RAISE EXCEPTION 'something stands in the way of the new version of crm_deals'
            USING ERRCODE = '55000',
                  DETAIL = array_to_string(obstacles, E'\n'),
                  HINT = 'Rename it, or drop it and create it again after the upgrade.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_nothing_stands_in_the_way(text) IS
    'Internal: refuses to migrate tables if objects of the user''s are in the way.';

-- access: owner
CREATE FUNCTION crm_deals_internal.tables_of(part text) RETURNS SETOF text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT m.words[1]
    FROM regexp_matches(crm_deals_internal.schema(part), 'CREATE TABLE (crm_deals[.][a-z0-9_]+)', 'g') AS m (words)
$$;
COMMENT ON FUNCTION crm_deals_internal.tables_of(text) IS
    'Internal: lists the tables that a part of the schema makes.';

-- A part of which no table is there is new.
-- access: owner
CREATE FUNCTION crm_deals_internal.create_new_tables(words jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY crm_deals_internal.parts(false, false) LOOP
        IF (SELECT bool_and(to_regclass(t) IS NULL) FROM crm_deals_internal.tables_of(part) AS t) THEN
            EXECUTE crm_deals_internal.fill(crm_deals_internal.schema(part), words);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.create_new_tables(jsonb) IS
    'Internal: makes the tables that an older version did not have.';

-- access: owner
CREATE FUNCTION crm_deals_internal.migrate_tables(version text, words jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    migration text;
BEGIN
    IF crm_deals_internal.release_number(version)
       > crm_deals_internal.release_number(crm_deals_internal.extension_version()) THEN
        RAISE EXCEPTION 'the tables of crm_deals are newer than the extension'
            USING ERRCODE = '55000',
                  DETAIL = format('The tables are of version %s, the extension is of version %s.', version,
                                  crm_deals_internal.extension_version()),
                  HINT = 'Run ALTER EXTENSION crm_deals UPDATE.';
    END IF;
    IF version = crm_deals_internal.extension_version() THEN
        RETURN;
    END IF;
    PERFORM crm_deals_internal.check_nothing_stands_in_the_way(version);
    FOR migration IN SELECT m FROM crm_deals_internal.migrations_since(version) AS m LOOP
        EXECUTE crm_deals_internal.fill(crm_deals_internal.schema(migration), words);
    END LOOP;
    PERFORM crm_deals_internal.create_new_tables(words);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.migrate_tables(text, jsonb) IS
    'Internal: makes tables of an older version those of this one.';
