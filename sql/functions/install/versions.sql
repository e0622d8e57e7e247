-- Three versions have to fit each other. The library changes if its file is replaced, the functions change by ALTER
-- EXTENSION UPDATE, the tables by install(). The version that counts is that of the functions.

-- access: public
CREATE FUNCTION crm_deals_internal.extension_version() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'crm_deals'
$$;
COMMENT ON FUNCTION crm_deals_internal.extension_version() IS
    'Internal: returns the version of the functions.';

-- access: public
CREATE FUNCTION crm_deals_internal.check_library_version() RETURNS void
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'crm_deals_check_library_version';
COMMENT ON FUNCTION crm_deals_internal.check_library_version() IS
    'Internal: raises an error if library and functions are of different releases.';

-- access: owner
CREATE FUNCTION crm_deals_internal.record_installation(columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE crm_deals_internal.fill(crm_deals_internal.schema('installation'),
                                    jsonb_build_object('version', quote_literal(crm_deals_internal.extension_version()),
                                                       'columns', quote_literal(columns)));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.record_installation(jsonb) IS
    'Internal: keeps the version of the tables and the mapping of columns.';
