-- A level of access is a set of ordinary privileges.

-- access: owner
CREATE FUNCTION crm_deals_internal.level_includes(level text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE level
        WHEN 'read' THEN ARRAY['read']
        WHEN 'consume' THEN ARRAY['consume']
        WHEN 'write' THEN ARRAY['read', 'write']
        WHEN 'manager' THEN ARRAY['read', 'write', 'manager']
        WHEN 'admin' THEN ARRAY['read', 'consume', 'write', 'manager', 'admin']
    END
$$;
COMMENT ON FUNCTION crm_deals_internal.level_includes(text) IS
    'Internal: returns the levels that a level includes.';

-- access: owner
CREATE FUNCTION crm_deals_internal.table_privileges() RETURNS TABLE (level text, relation text, privileges text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'read', r.relation, 'SELECT'
    FROM unnest(ARRAY['pipeline', 'stage', 'stage_transition', 'lost_reason', 'custom_field', 'exchange_rate', 'target',
                      'deal', 'deal_alias', 'deal_contact', 'deal_duplicate', 'deal_event', 'stage_name',
                      'log_pruning', 'log_generation', 'log_format',
                      'activity', 'lead', 'account', 'contact', '_account', '_contact', '_owner', 'deal_overview',
                      'deal_stage_history', 'stale_deals', 'open_task', '_next_activity']) AS r (relation)
    UNION ALL
    SELECT 'write', r.relation, 'INSERT, UPDATE, DELETE'
    FROM unnest(ARRAY['deal', 'deal_contact', 'activity', 'account', 'contact', 'lead']) AS r (relation)
    UNION ALL
    SELECT 'admin', r.relation, 'INSERT, UPDATE, DELETE'
    FROM unnest(ARRAY['pipeline', 'stage', 'stage_transition', 'lost_reason', 'custom_field',
                      'exchange_rate']) AS r (relation)
    UNION ALL
    VALUES ('manager', 'target', 'INSERT, UPDATE, DELETE'),
           ('admin', 'event_consumer', 'SELECT'),
           ('admin', 'consumer_status', 'SELECT')
$$;
COMMENT ON FUNCTION crm_deals_internal.table_privileges() IS
    'Internal: lists what each level may do with each table.';

-- @function_privileges@

-- access: public
CREATE FUNCTION crm_deals_internal.members() RETURNS TABLE (oid oid, schema text, name text, acl aclitem[],
                                                             is_public boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid, n.nspname::text, p.proname::text, p.proacl,
           EXISTS (SELECT FROM crm_deals_internal.function_privileges() AS f
                   WHERE f.level = 'public' AND f.schema = n.nspname AND f.function = p.proname)
    FROM pg_extension AS e
    JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc AS p ON p.oid = d.objid
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE e.extname = 'crm_deals'
$$;
COMMENT ON FUNCTION crm_deals_internal.members() IS
    'Internal: lists the functions of the extension.';

-- Each level may read key and label of the host's tables, since boards and lists show them. A level that writes may
-- also find, create and change accounts and contacts, by the columns that are mapped.
-- access: owner
CREATE FUNCTION crm_deals_internal.host_columns()
    RETURNS TABLE (host regclass, level text, privilege text, columns text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.host, w.level, w.privilege, string_agg(DISTINCT quote_ident(c.name), ', ')
    FROM crm_deals.installation AS i
    CROSS JOIN LATERAL (VALUES ('account', i.account_table), ('contact', i.contact_table),
                        ('owner', i.owner_table)) AS h (entity, host)
    CROSS JOIN (VALUES ('read', 'SELECT'), ('write', 'SELECT'), ('write', 'INSERT'), ('write', 'UPDATE'))
        AS w (level, privilege)
    CROSS JOIN LATERAL (SELECT crm_deals_internal.mapped_column(h.entity, m.field, h.host, i.columns)
                        FROM crm_deals_internal.mappable() AS m
                        WHERE m.entity = h.entity AND (m.in_label OR w.level = 'write')
                          AND (w.privilege <> 'UPDATE' OR m.field NOT IN ('external_id', 'organization'))
                        UNION ALL
                        SELECT k.name FROM crm_deals_internal.primary_key(h.host) AS k
                        WHERE w.privilege = 'SELECT') AS c (name)
    WHERE h.host IS NOT NULL AND h.host NOT IN (coalesce(to_regclass('crm_deals.account'), 0),
                                                coalesce(to_regclass('crm_deals.contact'), 0))
      AND c.name IS NOT NULL
      AND (w.level = 'read' OR h.entity <> 'owner')
    GROUP BY h.host, w.level, w.privilege
$$;
COMMENT ON FUNCTION crm_deals_internal.host_columns() IS
    'Internal: returns the columns of the host''s tables that a level may read or write.';

-- access: owner
CREATE FUNCTION crm_deals_internal.may_grant(host regclass, privilege text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, privilege || ' WITH GRANT OPTION')
    FROM pg_class AS c
    WHERE c.oid = host
$$;
COMMENT ON FUNCTION crm_deals_internal.may_grant(regclass, text) IS
    'Internal: returns whether the caller may grant a privilege on a host table.';

-- A role that writes into a host table needs its schema, and the sequences that fill its columns; identity columns
-- need none. If the host itself granted something on the table, the role still needs these when our level goes.
-- access: owner
CREATE FUNCTION crm_deals_internal.host_surroundings(role_name text)
    RETURNS TABLE (privilege text, has boolean, still_needs boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH host AS (
        SELECT DISTINCT h.host AS oid FROM crm_deals_internal.host_columns() AS h WHERE h.privilege = 'INSERT'
    )
    SELECT DISTINCT format('USAGE ON SCHEMA %I', n.nspname), has_schema_privilege(role_name, n.oid, 'USAGE'),
           EXISTS (SELECT FROM pg_class AS r
                   WHERE r.relnamespace = n.oid AND r.relkind IN ('r', 'v', 'm', 'p', 'f')
                     AND has_any_column_privilege(role_name, r.oid, 'SELECT, INSERT, UPDATE'))
    FROM host AS h
    JOIN pg_class AS c ON c.oid = h.oid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE pg_has_role(n.nspowner, 'USAGE')
    UNION ALL
    SELECT DISTINCT format('USAGE ON SEQUENCE %s', s.oid::regclass), has_sequence_privilege(role_name, s.oid, 'USAGE'),
           has_any_column_privilege(role_name, h.oid, 'INSERT')
    FROM host AS h
    JOIN pg_attrdef AS a ON a.adrelid = h.oid
    JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
    WHERE pg_has_role(s.relowner, 'USAGE')
$$;
COMMENT ON FUNCTION crm_deals_internal.host_surroundings(text) IS
    'Internal: returns what a role needs besides columns to write into a host table.';

-- What the levels consist of, as ends of GRANT commands: SELECT ON crm_deals.deal.
-- access: owner
CREATE FUNCTION crm_deals_internal.privileges(levels text[]) RETURNS TABLE (privilege text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'USAGE ON SCHEMA crm_deals'
    UNION ALL
    SELECT format('%s ON crm_deals.installation', m.mark)
    FROM crm_deals_internal.level_marks() AS m
    WHERE m.level = ANY (levels)
    UNION ALL
    SELECT format('%s ON crm_deals.%I', t.privileges, t.relation)
    FROM crm_deals_internal.table_privileges() AS t
    WHERE t.level = ANY (levels) AND to_regclass('crm_deals.' || t.relation) IS NOT NULL
    UNION ALL
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure)
    FROM crm_deals_internal.function_privileges() AS f
    JOIN pg_proc AS p ON p.proname = f.function AND p.pronamespace = to_regnamespace(f.schema)
    WHERE f.level = ANY (levels)
    UNION ALL
    SELECT format('%s (%s) ON %s', h.privilege, h.columns, h.host)
    FROM crm_deals_internal.host_columns() AS h
    WHERE h.level = ANY (levels) AND crm_deals_internal.may_grant(h.host, h.privilege)
$$;
COMMENT ON FUNCTION crm_deals_internal.privileges(text[]) IS
    'Internal: returns the privileges of levels on the tables that are there.';

-- One GRANT gives a privilege to all roles of a level: many roles cost hardly more than one.
-- access: owner
CREATE FUNCTION crm_deals_internal.grant_level(role_names text[], level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    roles text := (SELECT string_agg(quote_ident(r), ', ') FROM unnest(role_names) AS r);
    granted text;
BEGIN
    FOR granted IN SELECT p.privilege
        FROM crm_deals_internal.privileges(crm_deals_internal.level_includes(level)) AS p LOOP
        EXECUTE format('GRANT %s TO %s', granted, roles);
    END LOOP;
    FOR granted IN
        SELECT format('GRANT %s TO %I', s.privilege, r.name)
        FROM unnest(role_names) AS r (name)
        CROSS JOIN LATERAL crm_deals_internal.host_surroundings(r.name) AS s
        WHERE 'write' = ANY (crm_deals_internal.level_includes(level)) AND NOT s.has
    LOOP
        EXECUTE granted;
    END LOOP;

    FOR granted IN
        SELECT format('GRANT %s ON %s TO %s', string_agg(format('%s (%s)', h.privilege, h.columns), ', '), h.host,
                      roles)
        FROM crm_deals_internal.host_columns() AS h
        WHERE h.level = ANY (crm_deals_internal.level_includes(grant_level.level))
            AND NOT crm_deals_internal.may_grant(h.host, h.privilege)
        GROUP BY h.host
    LOOP
        RAISE WARNING 'role % was not given all that its level needs of a table of another owner', roles
            USING HINT = format('Its owner has to run: %s;', granted);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.grant_level(text[], text) IS
    'Internal: gives roles the privileges of a level.';

-- The privileges on the view installation record which role has which level; nobody can write to that view. There the
-- levels are dumped with the schema, follow roles that are renamed or dropped, and outlive the functions.
-- access: owner
CREATE FUNCTION crm_deals_internal.level_marks() RETURNS TABLE (level text, mark text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('read', 'SELECT'), ('consume', 'REFERENCES'), ('write', 'INSERT'), ('manager', 'UPDATE'),
           ('admin', 'DELETE')
$$;
COMMENT ON FUNCTION crm_deals_internal.level_marks() IS
    'Internal: lists which privilege on the view installation stands for which level.';

-- access: owner
CREATE FUNCTION crm_deals_internal.granted_levels() RETURNS TABLE (role_name text, level text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.rolname, (array_agg(m.level ORDER BY cardinality(crm_deals_internal.level_includes(m.level)) DESC))[1]
    FROM pg_class AS c
    CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    JOIN crm_deals_internal.level_marks() AS m ON m.mark = a.privilege_type
    JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE c.oid = to_regclass('crm_deals.installation') AND a.grantee <> c.relowner
    GROUP BY r.rolname
$$;
COMMENT ON FUNCTION crm_deals_internal.granted_levels() IS
    'Internal: returns the levels that grant_access() gave.';

-- access: owner
CREATE FUNCTION crm_deals_internal.revoke_levels(role_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = error
AS $$
DECLARE
    wrote boolean := EXISTS (SELECT FROM crm_deals_internal.granted_levels() AS g
                             WHERE g.role_name = revoke_levels.role_name
                                 AND 'write' = ANY (crm_deals_internal.level_includes(g.level)));
    revoked text;
    grantor text;
BEGIN
    FOR revoked IN SELECT p.privilege
        FROM crm_deals_internal.privileges(ARRAY['read', 'consume', 'write', 'manager', 'admin']) AS p LOOP
        EXECUTE format('REVOKE %s FROM %I', revoked, role_name);
    END LOOP;
    FOR revoked IN SELECT s.privilege FROM crm_deals_internal.host_surroundings(role_name) AS s WHERE wrote
        AND NOT s.still_needs LOOP
        EXECUTE format('REVOKE %s FROM %I', revoked, role_name);
    END LOOP;

    -- Only the role that granted a privilege can take it back.
    SELECT pg_get_userbyid(a.grantor)
    INTO grantor
    FROM crm_deals_internal.function_privileges() AS f
    JOIN pg_proc AS p ON p.proname = f.function AND p.pronamespace = to_regnamespace(f.schema)
    CROSS JOIN LATERAL aclexplode(p.proacl) AS a
    JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE r.rolname = role_name AND f.level <> 'public'
    LIMIT 1;
    IF grantor IS NOT NULL THEN
        RAISE EXCEPTION 'the access of role "%" was granted by role "%"', role_name, grantor
            USING ERRCODE = '42501',
                  HINT = format('Only role "%s" can take it back or change it. If the tables were its own before, a '
                                'superuser runs DROP OWNED BY %I, after REASSIGN OWNED.', grantor, grantor);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.revoke_levels(text) IS
    'Internal: takes the privileges of every level from a role.';

-- An earlier version may have given a level a function that this one keeps to itself. Public functions are left alone:
-- a grant on one can be the user's own.
-- access: owner
CREATE FUNCTION crm_deals_internal.revoke_retired_privileges() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    retired record;
BEGIN
    FOR retired IN
        SELECT m.oid::regprocedure AS function, g.role_name
        FROM crm_deals_internal.members() AS m
        CROSS JOIN LATERAL aclexplode(m.acl) AS a
        JOIN pg_roles AS r ON r.oid = a.grantee
        JOIN crm_deals_internal.granted_levels() AS g ON g.role_name = r.rolname
        WHERE m.schema = 'crm_deals_internal' AND pg_get_userbyid(a.grantor) = current_user
          AND NOT EXISTS (SELECT FROM crm_deals_internal.function_privileges() AS f
                          WHERE f.schema = m.schema AND f.function = m.name
                            AND f.level = ANY (crm_deals_internal.level_includes(g.level)))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM %I', retired.function, retired.role_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.revoke_retired_privileges() IS
    'Internal: takes internal functions from roles whose level no longer needs them.';

-- The owner has every privilege without a level, and C code acts as the owner.
-- access: owner
CREATE FUNCTION crm_deals_internal.check_no_owner(role regrole) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.check_installed();
    IF EXISTS (SELECT FROM pg_class AS c
               WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r' AND c.relowner = role) THEN
        RAISE EXCEPTION 'role "%" owns the tables of crm_deals', pg_get_userbyid(role)
            USING ERRCODE = '22023', HINT = 'The owner has every right and needs no level.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_no_owner(regrole) IS
    'Internal: refuses a level for the owner of the tables.';

-- access: owner
CREATE FUNCTION crm_deals_internal.grant_access(role regrole, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := pg_get_userbyid(role);
BEGIN
    IF crm_deals_internal.level_includes(level) IS NULL THEN
        RAISE EXCEPTION 'there is no level "%"', level
            USING ERRCODE = '22023', HINT = 'The levels are read, consume, write, manager, admin.';
    END IF;
    PERFORM crm_deals_internal.check_no_owner(role);
    PERFORM crm_deals_internal.revoke_levels(name);
    PERFORM crm_deals_internal.grant_level(ARRAY[name], level);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.grant_access(regrole, text) IS
    'Internal: what crm_deals.grant_access() does.';

-- access: owner
CREATE FUNCTION crm_deals_internal.revoke_access(role regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.check_no_owner(role);
    PERFORM crm_deals_internal.revoke_levels(pg_get_userbyid(role));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.revoke_access(regrole) IS
    'Internal: what crm_deals.revoke_access() does.';
