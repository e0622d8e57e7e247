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

-- If some of our tables are gone, install() does not hide the loss by making new, empty ones.
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

-- Whoever owns the schema can put anything into it, so the tables of somebody else would not be safe there.
-- access: public
CREATE FUNCTION crm_deals_internal.check_owners(schema_owner oid, tables_owner oid) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others text;
BEGIN
    IF tables_owner IS NULL AND pg_get_userbyid(schema_owner) <> current_user THEN
        RAISE EXCEPTION 'schema crm_deals belongs to role "%", and install() was called by role "%"',
                        pg_get_userbyid(schema_owner), current_user
            USING ERRCODE = '42501',
                  HINT = format('Run SET ROLE %I before, or ALTER SCHEMA crm_deals OWNER TO %I.',
                                pg_get_userbyid(schema_owner), current_user);
    ELSIF NOT pg_has_role(tables_owner, 'MEMBER') THEN
        RAISE EXCEPTION 'role "%" does not own the tables of crm_deals', current_user
            USING ERRCODE = '42501',
                  HINT = format('Role "%s" owns them. It, a member of it or a superuser can call install().',
                                pg_get_userbyid(tables_owner));
    END IF;

    SELECT string_agg(format('%s belongs to role "%s".', o.name, pg_get_userbyid(o.owner)), E'\n' ORDER BY o.name)
    INTO others
    FROM (SELECT 'Schema crm_deals', schema_owner
          UNION ALL
          SELECT format('Relation crm_deals.%I', c.relname), c.relowner
          FROM pg_class AS c
          WHERE c.relnamespace = 'crm_deals'::regnamespace
            AND c.relname = ANY (crm_deals_internal.relations_of_schema())) AS o (name, owner)
    WHERE o.owner <> tables_owner;
    IF others IS NOT NULL THEN
        RAISE EXCEPTION 'what belongs to crm_deals has different owners'
            USING ERRCODE = '55000',
                  DETAIL = format(E'Table crm_deals.deal belongs to role "%s".\n%s', pg_get_userbyid(tables_owner),
                                  others),
                  HINT = format('Give all of it to one role, such as by ALTER SCHEMA crm_deals OWNER TO %1$I or '
                                'ALTER TABLE ... OWNER TO %1$I.', pg_get_userbyid(tables_owner));
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.check_owners(oid, oid) IS
    'Internal: refuses install() to a role without the right to it, or if schema and tables have different owners.';

-- The owner of the tables passes levels of access on, so it needs every function, with the right to grant it. What
-- runs in the name of the owner, or inside an index, a view or a trigger, everybody may execute. An upgrade leaves such
-- grants on older functions to us, and a new owner has none.
-- access: public
CREATE FUNCTION crm_deals_internal.grant_functions(owner oid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member record;
BEGIN
    FOR member IN
        SELECT m.oid::regprocedure AS function,
               NOT has_function_privilege(owner, m.oid, 'EXECUTE WITH GRANT OPTION') AS owner_lacks,
               m.is_public AND NOT has_function_privilege('public', m.oid, 'EXECUTE') AS public_lacks
        FROM crm_deals_internal.members() AS m
        WHERE has_function_privilege(m.oid, 'EXECUTE WITH GRANT OPTION')
    LOOP
        IF member.owner_lacks THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s WITH GRANT OPTION', member.function, owner::regrole);
        END IF;
        IF member.public_lacks THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', member.function);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM crm_deals_internal.members() AS m
               WHERE NOT has_function_privilege(owner, m.oid, 'EXECUTE')) THEN
        RAISE EXCEPTION 'role "%" lacks rights to functions of crm_deals', pg_get_userbyid(owner)
            USING ERRCODE = '42501',
                  DETAIL = 'The owner of the tables needs all of them.',
                  HINT = format('A superuser has to %srun GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_deals, '
                                'crm_deals_internal TO %s WITH GRANT OPTION.',
                                CASE WHEN to_regclass('crm_deals.deal') IS NOT NULL THEN 'call install(), or to ' END,
                                owner::regrole);
    END IF;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.grant_functions(oid) IS
    'Internal: lets the owner of the tables execute all functions, and everybody those that all need.';

-- A function that an upgrade makes anew has lost the grants on it. The upgrade keeps them in a table, until here. There
-- is one for each upgrade since install() was called. The table's comment tells it from a table of the user's.
-- access: owner
CREATE FUNCTION crm_deals_internal.renew_grants() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept regclass;
    lost record;
BEGIN
    FOR kept IN
        SELECT c.oid
        FROM pg_class AS c
        WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relname ~ '^upgrade_grants(_[0-9]+)?$'
          AND c.relkind = 'r' AND pg_get_userbyid(c.relowner) = current_user AND NOT c.relrowsecurity
          AND obj_description(c.oid, 'pg_class') LIKE 'Grants that % gives back.'
    LOOP
        FOR lost IN EXECUTE format($query$
            SELECT p.oid::regprocedure AS function, coalesce(quote_ident(r.rolname), 'PUBLIC') AS role, g.grantable
            FROM %s AS g
            JOIN crm_deals_internal.members() AS p ON p.schema = 'crm_deals' AND p.name = g.function
            LEFT JOIN pg_roles AS r ON r.rolname = g.role_name
            WHERE (g.role_name IS NULL OR r.rolname IS NOT NULL)
              -- The owners have theirs already, and cannot grant it to themselves.
              AND NOT EXISTS (SELECT FROM aclexplode(p.acl) AS a
                              WHERE a.grantee = r.oid AND a.is_grantable >= g.grantable)
            $query$, kept)
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s %s', lost.function, lost.role,
                           CASE WHEN lost.grantable THEN 'WITH GRANT OPTION' ELSE '' END);
        END LOOP;
        EXECUTE format('DROP TABLE %s', kept);
    END LOOP;
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
    PERFORM crm_deals_internal.bring_back_installation();
    PERFORM crm_deals_internal.check_installed_with(account_table, contact_table, owner_table);
    SELECT i.version, i.columns || coalesce(update_tables.columns, '{}') AS columns,
           coalesce(i.account_table, to_regclass('crm_deals.account')) AS account_table,
           coalesce(i.contact_table, to_regclass('crm_deals.contact')) AS contact_table,
           i.owner_table
    INTO installed
    FROM crm_deals.installation AS i;
    IF installed.account_table IS NULL OR installed.contact_table IS NULL THEN
        RAISE EXCEPTION 'install() cannot tell which table holds the %',
                        CASE WHEN installed.account_table IS NULL THEN 'accounts' ELSE 'contacts' END
            USING ERRCODE = '55000',
                  DETAIL = 'The foreign keys of deal and the views of labels are gone, or refer to no table.';
    END IF;
    words := crm_deals_internal.words(installed.account_table, installed.contact_table, installed.owner_table,
                                      installed.columns);

    PERFORM crm_deals_internal.migrate_tables(installed.version, words);
    PERFORM crm_deals_internal.check_tables_are_whole(
        crm_deals_internal.parts(installed.account_table = to_regclass('crm_deals.account'),
                                 installed.contact_table = to_regclass('crm_deals.contact')));
    IF EXISTS (SELECT FROM crm_deals.installation AS i
               WHERE i.version <> crm_deals_internal.extension_version() OR i.columns <> installed.columns) THEN
        PERFORM crm_deals_internal.record_installation(installed.columns);
    END IF;
    PERFORM crm_deals_internal.bring_back(
        words,
        jsonb_strip_nulls(jsonb_build_object(
            'account', nullif(installed.account_table, to_regclass('crm_deals.account'))::oid,
            'contact', nullif(installed.contact_table, to_regclass('crm_deals.contact'))::oid,
            'owner', installed.owner_table::oid)),
        installed.columns);
END
$$;

COMMENT ON FUNCTION crm_deals_internal.update_tables(regclass, regclass, regclass, jsonb) IS
    'Internal: does a later call of install().';

-- Without one of its triggers a table has no rules and no log. So install() does not rely on what it has run.
-- access: owner
CREATE FUNCTION crm_deals_internal.check_triggers_are_there() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(format('"%s" of crm_deals.%s', w.name, w.relation), ', ' ORDER BY w.relation, w.name)
    INTO missing
    FROM (VALUES ('deal', 'crm_deals_begin'), ('deal', 'zz_crm_deals_rules'), ('deal', 'crm_deals_capture_insert'),
                 ('deal', 'crm_deals_capture_update'), ('deal', 'crm_deals_capture_delete'),
                 ('deal', 'crm_deals_no_truncate'), ('deal_event', 'crm_deals_append_only'),
                 ('stage', 'zz_crm_deals_rules'), ('pipeline', 'zz_crm_deals_rules')) AS w (relation, name)
    WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
                      WHERE t.tgrelid = to_regclass('crm_deals.' || w.relation) AND t.tgname = w.name);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'install() has not made all that crm_deals needs'
            USING ERRCODE = '55000', DETAIL = format('These triggers are not there: %s.', missing);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_triggers_are_there() IS
    'Internal: refuses tables that have lost the triggers of rules and log.';

-- access: owner
CREATE FUNCTION crm_deals_internal.install_tables(account_table regclass, contact_table regclass,
                                                  owner_table regclass, columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    level record;
BEGIN
    IF NOT crm_deals_internal.has_tables() THEN
        PERFORM crm_deals_internal.create_tables(account_table, contact_table, owner_table, coalesce(columns, '{}'));
    ELSIF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = 'crm_deals.deal'::regclass) THEN
        PERFORM crm_deals_internal.update_tables(account_table, contact_table, owner_table, columns);
    ELSE
        -- Under REPEATABLE READ the snapshot can be older than the tables: another installer has just done all.
        RETURN;
    END IF;
    PERFORM crm_deals_internal.check_triggers_are_there();
    -- While the triggers were gone, nobody kept the names. After a restore the index can be of another server.
    IF strpos(coalesce(pg_get_indexdef(to_regclass('crm_deals.deal_name_signatures')), ''),
              quote_literal(crm_deals_internal.made_for())) = 0 THEN
        PERFORM crm_deals_internal.rebuild_duplicates();
    END IF;
    PERFORM crm_deals_internal.renew_grants();
    IF crm_deals_internal.children_are_protected() THEN
        PERFORM crm_deals_internal.protect_children();
    END IF;

    PERFORM crm_deals_internal.revoke_retired_privileges();
    FOR level IN
        SELECT g.level, array_agg(g.role_name) AS roles FROM crm_deals_internal.granted_levels() AS g GROUP BY g.level
    LOOP
        PERFORM crm_deals_internal.grant_level(level.roles, level.level);
    END LOOP;
END
$$;

COMMENT ON FUNCTION crm_deals_internal.install_tables(regclass, regclass, regclass, jsonb) IS
    'Internal: does the work of install(), as the owner of the tables.';

-- access: public
CREATE FUNCTION crm_deals_internal.install_as(owner oid, account_table regclass, contact_table regclass,
                                              owner_table regclass, columns jsonb) RETURNS void
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_deals_install_as';
COMMENT ON FUNCTION crm_deals_internal.install_as(oid, regclass, regclass, regclass, jsonb) IS
    'Internal: runs install_tables() as a role that the caller is a member of.';

-- access: public
CREATE FUNCTION crm_deals_internal.has_tables() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT to_regclass('crm_deals.installation') IS NOT NULL
           OR (to_regclass('crm_deals.deal') IS NOT NULL AND to_regclass('crm_deals.deal_event') IS NOT NULL)
$$;
COMMENT ON FUNCTION crm_deals_internal.has_tables() IS
    'Internal: returns whether install() has made the tables.';

-- Whoever calls, the owner of the tables does the work. So what is made belongs to that role, and nobody lends it more
-- rights than it has. Until then nothing of the owner's is run.
-- access: public
CREATE FUNCTION crm_deals_internal.install(account_table regclass, contact_table regclass, owner_table regclass,
                                           columns jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
SET standard_conforming_strings = on
SET quote_all_identifiers = off
SET transform_null_equals = off
SET array_nulls = on
AS $$
DECLARE
    schema_owner oid := (SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'crm_deals');
    owner oid;
BEGIN
    -- One installer runs at a time; the second one finds everything in place.
    PERFORM pg_advisory_xact_lock(hashtextextended('crm_deals.install', 0));
    PERFORM crm_deals_internal.check_library_version();
    PERFORM crm_deals_internal.check_columns(coalesce(columns, '{}'));
    IF crm_deals_internal.has_tables() THEN
        owner := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm_deals.deal'::regclass);
    END IF;
    PERFORM crm_deals_internal.check_owners(schema_owner, owner);
    owner := coalesce(owner, schema_owner);
    PERFORM crm_deals_internal.grant_functions(owner);
    PERFORM crm_deals_internal.install_as(owner, account_table, contact_table, owner_table, columns);
    -- A superuser also replaces views that somebody else made before.
    PERFORM crm_deals_internal.check_owners(schema_owner, owner);
    RETURN crm_deals_internal.extension_version();
END
$$;

COMMENT ON FUNCTION crm_deals_internal.install(regclass, regclass, regclass, jsonb) IS
    'Internal: what crm_deals.install() does.';
