
-- Functions that this version does not have, or has with other arguments or another result, go. What of the user's
-- depends on them, or stands in the way of the tables, is named first, all of it at once.
DO $$
DECLARE
    signatures CONSTANT text[] := ARRAY[@signatures@];
    retired oid[];
    routine regprocedure;
    in_the_way text;
BEGIN
    SELECT array_agg(p.oid)
    INTO retired
    FROM pg_extension AS e
    JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc AS p ON p.oid = d.objid
    WHERE e.extname = 'crm_deals'
      AND (NOT EXISTS (SELECT FROM unnest(signatures) AS s (signature)
                       WHERE to_regprocedure(s.signature) = p.oid)
           OR p.oid IN (SELECT to_regprocedure(s.signature) FROM unnest(ARRAY[@made_anew@]::text[]) AS s (signature)));

    SELECT string_agg(o.obstacle, E'\n' ORDER BY o.obstacle)
    INTO in_the_way
    FROM (
        SELECT DISTINCT format('%s depends on %s, which the new version lacks or makes anew.',
                               replace(pg_describe_object(d.classid, d.objid, d.objsubid), 'rule _RETURN on ', ''),
                               pg_describe_object(d.refclassid, d.refobjid, 0))
        FROM pg_depend AS d
        WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = ANY (retired)
          AND NOT EXISTS (SELECT FROM pg_depend AS m
                          WHERE m.classid = d.classid AND m.objid = d.objid AND m.deptype = 'e')
        UNION ALL
        SELECT format('%s exists, and the new version adds one of that name.',
                      pg_describe_object('pg_proc'::regclass, to_regprocedure(s.signature), 0))
        FROM unnest(signatures) AS s (signature)
        WHERE to_regprocedure(s.signature) IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_depend AS m
                          WHERE m.classid = 'pg_proc'::regclass AND m.objid = to_regprocedure(s.signature)
                            AND m.deptype = 'e')
@obstacles@
    ) AS o (obstacle);
    IF in_the_way IS NOT NULL THEN
        RAISE EXCEPTION 'something stands in the way of the new version of crm_deals'
            USING ERRCODE = '55000', DETAIL = in_the_way,
                  HINT = 'Rename what has a name that is needed. Drop what depends on a function, and create it again '
                         'after the upgrade.';
    END IF;

    -- install() gives back what is granted on public functions. The table is not the extension's. It cannot tell all
    -- that a level gave from what a user granted to a role with a level, so it keeps both.
    IF EXISTS (SELECT FROM pg_proc AS p, aclexplode(p.proacl) AS a
               WHERE p.oid = ANY (retired) AND p.pronamespace = 'crm_deals'::regnamespace
                 AND p.proname NOT LIKE '!_%' ESCAPE '!') THEN
        -- An upgrade before, after which nobody called install(), has left one.
        IF to_regclass('crm_deals.upgrade_grants') IS NOT NULL THEN
            EXECUTE format('ALTER TABLE crm_deals.upgrade_grants RENAME TO upgrade_grants_%s',
                           to_regclass('crm_deals.upgrade_grants')::oid);
        END IF;
        CREATE TABLE crm_deals.upgrade_grants AS
        SELECT r.rolname::text AS role_name, p.proname::text AS function, a.is_grantable AS grantable
        FROM pg_proc AS p
        CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE p.oid = ANY (retired) AND p.pronamespace = 'crm_deals'::regnamespace
          AND p.proname NOT LIKE '!_%' ESCAPE '!'
          AND a.grantee <> p.proowner;
        EXECUTE format('ALTER TABLE crm_deals.upgrade_grants OWNER TO %s',
                       (SELECT n.nspowner::regrole FROM pg_namespace AS n WHERE n.nspname = 'crm_deals'));
        COMMENT ON TABLE crm_deals.upgrade_grants IS 'Grants that crm_deals.install() gives back.';
        ALTER EXTENSION crm_deals DROP TABLE crm_deals.upgrade_grants;
    END IF;

    -- Functions that stay can call them until these are replaced, too: they are dropped at the end of the script.
    FOREACH routine IN ARRAY coalesce(retired, '{}') LOOP
        EXECUTE format('ALTER ROUTINE %s RENAME TO %I', routine, 'retired ' || routine::oid);
    END LOOP;
END
$$;
