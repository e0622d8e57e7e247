
-- Nothing calls any more what was retired.
DO $$
DECLARE
    routines text := (SELECT string_agg(m.oid::regprocedure::text, ', ')
                      FROM crm_deals_internal.members() AS m
                      WHERE m.name LIKE 'retired %');
BEGIN
    IF routines IS NOT NULL THEN
        EXECUTE 'DROP ROUTINE ' || routines;
    END IF;
END
$$;
