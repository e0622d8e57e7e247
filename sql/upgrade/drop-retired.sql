
-- Nothing calls any more what was retired.
DO $$
DECLARE
    routines text := (SELECT string_agg(p.oid::regprocedure::text, ', ')
                      FROM pg_extension AS e
                      JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
                          AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
                      JOIN pg_proc AS p ON p.oid = d.objid
                      WHERE e.extname = 'crm_deals' AND p.proname LIKE 'retired %');
BEGIN
    IF routines IS NOT NULL THEN
        EXECUTE 'DROP ROUTINE ' || routines;
    END IF;
END
$$;
