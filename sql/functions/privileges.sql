-- Only the owners of the extension, of the schema and of the tables may execute the functions; grant_access() passes
-- the right on. Privileges are set on functions that this script has made, no others: on older ones PostgreSQL would
-- take the user's grants for the extension's, and pg_dump would leave them out. An older one has initial privileges
-- already.
DO $$
DECLARE
    member regprocedure;
    owners text := (SELECT string_agg(DISTINCT o.owner::regrole::text, ', ')
                    FROM (SELECT e.extowner FROM pg_extension AS e WHERE e.extname = 'crm_deals'
                          UNION ALL
                          SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'crm_deals'
                          UNION ALL
                          SELECT c.relowner FROM pg_class AS c WHERE c.oid = to_regclass('crm_deals.deal'))
                         AS o (owner));
BEGIN
    FOR member IN
        SELECT m.oid
        FROM crm_deals_internal.members() AS m
        WHERE NOT EXISTS (SELECT FROM pg_init_privs AS i WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = m.oid)
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', member);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s WITH GRANT OPTION', member, owners);
    END LOOP;
END
$$;
