-- Only the role that creates the extension may execute its functions; grant_access() passes the right on. The schema
-- may hold functions of others, which stay as they are.
DO $$
DECLARE
    member regprocedure;
BEGIN
    FOR member IN
        SELECT d.objid::regprocedure
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass
          AND d.refclassid = 'pg_catalog.pg_extension'::regclass
          AND d.deptype = 'e'
          AND e.extname = 'crm_deals'
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', member);
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO @extowner@ WITH GRANT OPTION', member);
    END LOOP;
END
$$;
