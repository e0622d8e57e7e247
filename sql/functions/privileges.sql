-- The owners of the extension, of the schema and of the tables may execute the functions; grant_access() passes the
-- right on. Of level public are functions that run in the name of the tables' owner, or inside an index, a view or a
-- trigger: each is pure or checks its caller. Privileges are set on functions that this script has made, no others: on
-- older ones PostgreSQL would take the user's grants for the extension's, and pg_dump would leave them out. An older
-- one has initial privileges already; what it needs besides, install() grants.
DO $$
DECLARE
    member record;
    owners text := (SELECT string_agg(DISTINCT o.owner::regrole::text, ', ')
                    FROM (SELECT e.extowner FROM pg_extension AS e WHERE e.extname = 'crm_deals'
                          UNION ALL
                          SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'crm_deals'
                          UNION ALL
                          SELECT c.relowner FROM pg_class AS c WHERE c.oid = to_regclass('crm_deals.deal'))
                         AS o (owner));
BEGIN
    FOR member IN
        SELECT m.oid::regprocedure AS function, m.is_public
        FROM crm_deals_internal.members() AS m
        WHERE NOT EXISTS (SELECT FROM pg_init_privs AS i WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = m.oid)
    LOOP
        IF NOT member.is_public THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', member.function);
        END IF;
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s WITH GRANT OPTION', member.function, owners);
    END LOOP;
END
$$;
