-- install(): the first call makes the tables, a later one brings them up to date.

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

-- access: owner
CREATE FUNCTION crm_deals_internal.bring_back_installation() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('crm_deals.installation') IS NULL THEN
        RAISE WARNING 'the view crm_deals.installation was missing'
            USING DETAIL = 'It held the mapping of columns and the levels that grant_access() gave.',
                  HINT = 'Give the argument columns of install() again, then the levels.';
        PERFORM crm_deals_internal.record_installation('{}');
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.bring_back_installation() IS
    'Internal: makes the view of install()''s arguments if somebody dropped it.';

-- Tables of ours without the others are the rest of a damage that install() does not hide by making new, empty ones.
-- access: owner
CREATE FUNCTION crm_deals_internal.check_tables_are_whole(parts text[]) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(t.name, ', ')
    INTO missing
    FROM unnest(parts) AS p (part)
    CROSS JOIN LATERAL crm_deals_internal.tables_of(p.part) AS t (name)
    WHERE to_regclass(t.name) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'tables of crm_deals are missing'
            USING ERRCODE = '55000',
                  DETAIL = format('These are not there: %s.', missing),
                  HINT = 'Restore them from a backup. install() does not put empty tables in their place.';
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.check_tables_are_whole(text[]) IS
    'Internal: refuses tables of ours of which some are missing.';

-- access: owner
CREATE FUNCTION crm_deals_internal.members() RETURNS TABLE (oid oid, schema text, name text, acl aclitem[])
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid, p.pronamespace::regnamespace::text, p.proname::text, p.proacl
    FROM pg_extension AS e
    JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc AS p ON p.oid = d.objid
    WHERE e.extname = 'crm_deals'
$$;
COMMENT ON FUNCTION crm_deals_internal.members() IS
    'Internal: lists the functions of the extension.';

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
        SELECT m.oid FROM crm_deals_internal.members() AS m WHERE NOT has_function_privilege(owner, m.oid, 'EXECUTE')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', member, owner);
    END LOOP;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.let_owner_execute() IS
    'Internal: lets the owner of the tables execute the functions that run in their name.';

-- A function that an upgrade makes anew has lost the grants on it. The upgrade keeps them in a table, until here.
-- access: owner
CREATE FUNCTION crm_deals_internal.renew_grants() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost record;
BEGIN
    IF to_regclass('crm_deals.upgrade_grants') IS NULL THEN
        RETURN;
    END IF;
    FOR lost IN
        SELECT p.oid::regprocedure AS function, coalesce(quote_ident(r.rolname), 'PUBLIC') AS role, g.grantable
        FROM crm_deals.upgrade_grants AS g
        JOIN crm_deals_internal.members() AS p ON p.schema = 'crm_deals' AND p.name = g.function
        LEFT JOIN pg_roles AS r ON r.rolname = g.role_name
        WHERE g.role_name IS NULL OR r.rolname IS NOT NULL
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s %s', lost.function, lost.role,
                       CASE WHEN lost.grantable THEN 'WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    DROP TABLE crm_deals.upgrade_grants;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.renew_grants() IS
    'Internal: gives back the grants on functions that an upgrade made anew.';

-- access: owner
CREATE FUNCTION crm_deals_internal.update_tables(account_table regclass, contact_table regclass, owner_table regclass,
                                                 columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    installed record;
    words jsonb;
BEGIN
    -- Under REPEATABLE READ the snapshot can be older than the tables: another installer has just done all.
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = 'crm_deals.deal'::regclass) THEN
        RETURN;
    END IF;
    -- What is made here belongs to the owner of the tables, also if a superuser calls. The role ends with the function.
    PERFORM set_config('role', pg_get_userbyid(c.relowner), true)
    FROM pg_class AS c
    WHERE c.oid = 'crm_deals.deal'::regclass AND pg_get_userbyid(c.relowner) <> current_user
      AND pg_has_role(c.relowner, 'MEMBER');
    PERFORM crm_deals_internal.bring_back_installation();
    PERFORM crm_deals_internal.check_installed_with(account_table, contact_table, owner_table);
    SELECT i.version, i.columns || coalesce(update_tables.columns, '{}') AS columns,
           coalesce(i.account_table, to_regclass('crm_deals.account')) AS account_table,
           coalesce(i.contact_table, to_regclass('crm_deals.contact')) AS contact_table,
           i.owner_table
    INTO installed
    FROM crm_deals.installation AS i;
    words := crm_deals_internal.words(installed.account_table, installed.contact_table, installed.owner_table,
                                      installed.columns);

    PERFORM crm_deals_internal.migrate_tables(installed.version, words);
    PERFORM crm_deals_internal.check_tables_are_whole(
        crm_deals_internal.parts_of_tables(installed.account_table = to_regclass('crm_deals.account'),
                                           installed.contact_table = to_regclass('crm_deals.contact')));
    IF EXISTS (SELECT FROM crm_deals.installation AS i
               WHERE i.version <> crm_deals_internal.extension_version() OR i.columns <> installed.columns) THEN
        PERFORM crm_deals_internal.record_installation(installed.columns);
    END IF;
    PERFORM crm_deals_internal.bring_back(words);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.update_tables(regclass, regclass, regclass, jsonb) IS
    'Internal: does a later call of install().';

-- access: owner
CREATE FUNCTION crm_deals_internal.install(account_table regclass, contact_table regclass, owner_table regclass,
                                           columns jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $$
DECLARE
    granted record;
BEGIN
    -- One installer runs at a time; the second one finds everything in place.
    PERFORM pg_advisory_xact_lock(hashtextextended('crm_deals.install', 0));
    PERFORM crm_deals_internal.check_library_version();
    PERFORM crm_deals_internal.check_columns(coalesce(columns, '{}'));

    IF to_regclass('crm_deals.installation') IS NULL
       AND (to_regclass('crm_deals.deal') IS NULL OR to_regclass('crm_deals.deal_event') IS NULL) THEN
        PERFORM crm_deals_internal.create_tables(account_table, contact_table, owner_table, coalesce(columns, '{}'));
    ELSE
        PERFORM crm_deals_internal.let_owner_execute();
        PERFORM crm_deals_internal.update_tables(account_table, contact_table, owner_table, columns);
    END IF;
    -- While the triggers were gone, nobody kept the names. After a restore the index can be of another server.
    IF strpos(coalesce(pg_get_indexdef(to_regclass('crm_deals.deal_name_signatures')), ''),
              quote_literal(crm_deals_internal.made_for())) = 0 THEN
        PERFORM crm_deals_internal.rebuild_duplicates();
    END IF;
    PERFORM crm_deals_internal.let_owner_execute();
    PERFORM crm_deals_internal.renew_grants();
    IF crm_deals_internal.children_are_protected() THEN
        PERFORM crm_deals_internal.protect_children();
    END IF;

    PERFORM crm_deals_internal.revoke_retired_privileges();
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
