-- Levels of access: each a set of ordinary privileges.

CREATE FUNCTION crm_deals._level_includes(level text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE level
        WHEN 'read' THEN ARRAY['read']
        WHEN 'consume' THEN ARRAY['consume']
        WHEN 'write' THEN ARRAY['read', 'write']
        WHEN 'manager' THEN ARRAY['read', 'write', 'manager']
        WHEN 'admin' THEN ARRAY['read', 'write', 'manager', 'admin']
    END
$$;
COMMENT ON FUNCTION crm_deals._level_includes(text) IS
    'Internal: the levels that a level holds.';

CREATE FUNCTION crm_deals._table_privileges() RETURNS TABLE (level text, relation text, privileges text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'read', r.relation, 'SELECT'
    FROM unnest(ARRAY['pipeline', 'stage', 'stage_transition', 'lost_reason', 'custom_field', 'exchange_rate',
                      'deal', 'deal_alias', 'deal_contact', 'deal_duplicate', 'deal_event', 'activity', 'lead',
                      'account', 'contact', '_account', '_contact', '_owner', 'deal_overview']) AS r (relation)
    UNION ALL
    SELECT 'write', r.relation, 'INSERT, UPDATE, DELETE'
    FROM unnest(ARRAY['deal', 'deal_contact', 'activity', 'account', 'contact', 'lead']) AS r (relation)
    UNION ALL
    SELECT 'admin', r.relation, 'INSERT, UPDATE, DELETE'
    FROM unnest(ARRAY['pipeline', 'stage', 'stage_transition', 'lost_reason', 'custom_field', 'exchange_rate']) AS r (relation)
$$;
COMMENT ON FUNCTION crm_deals._table_privileges() IS
    'Internal: what each level may do with each table.';

CREATE FUNCTION crm_deals._function_privileges() RETURNS TABLE (level text, function text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('read', '_label'),
           ('read', '_check_installed'),
           ('read', '_find_stage'),
           ('read', '_broken_rules'),
           ('read', '_raise_unknown_pipeline'),
           ('read', '_raise_unknown_stage'),
           ('read', 'check_move'),
           ('read', 'resolve_deal'),
           ('read', 'verify'),
           ('write', '_enter_as_writer'),
           ('write', '_move'),
           ('write', '_moved_subject'),
           ('write', 'move_deal'),
           ('write', 'move_deals'),
           ('manager', '_override_gates'),
           ('admin', '_check_pipeline_arguments'),
           ('admin', '_default_stages'),
           ('admin', '_list_moves'),
           ('admin', '_lock_out_writers'),
           ('admin', '_slug'),
           ('admin', '_stage_is_logged'),
           ('admin', '_text_array'),
           ('admin', 'create_pipeline'),
           ('admin', 'add_stage'),
           ('admin', 'reorder_stages'),
           ('admin', 'remove_stage')
$$;
COMMENT ON FUNCTION crm_deals._function_privileges() IS
    'Internal: which functions each level may execute.';

-- The columns of the host's own tables that labels are made of.
CREATE FUNCTION crm_deals._host_columns() RETURNS TABLE (host regclass, columns text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.host, string_agg(DISTINCT quote_ident(c.name), ', ')
    FROM crm_deals.installation AS i,
         LATERAL (VALUES ('account', i.account_table), ('contact', i.contact_table), ('owner', i.owner_table)) AS h (entity, host),
         LATERAL (SELECT crm_deals._mapped_column(h.entity, m.field, h.host, i.columns)
                  FROM crm_deals._mappable() AS m
                  WHERE m.entity = h.entity
                  UNION ALL
                  SELECT a.attname
                  FROM pg_index AS x
                  JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
                  WHERE x.indrelid = h.host AND x.indisprimary) AS c (name)
    WHERE h.host IS NOT NULL AND h.host NOT IN (coalesce(to_regclass('crm_deals.account'), 0),
                                                coalesce(to_regclass('crm_deals.contact'), 0))
      AND c.name IS NOT NULL
    GROUP BY h.host
$$;
COMMENT ON FUNCTION crm_deals._host_columns() IS
    'Internal: key and mapped columns of the host''s tables, which every level may read.';

CREATE FUNCTION crm_deals._revoke_all(role_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = error
AS $$
DECLARE
    granted record;
BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA crm_deals FROM %I', role_name);
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crm_deals FROM %I', role_name);
    EXECUTE format('REVOKE USAGE ON SCHEMA crm_deals FROM %I', role_name);
    FOR granted IN SELECT h.host, h.columns FROM crm_deals._host_columns() AS h LOOP
        EXECUTE format('REVOKE SELECT (%s) ON %s FROM %I', granted.columns, granted.host, role_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals._revoke_all(text) IS
    'Internal: takes every privilege on the schema and on the host''s columns from a role.';

CREATE FUNCTION crm_deals._grant_level(role_name text, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    included text[] := crm_deals._level_includes(level);
    granted record;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA crm_deals TO %I', role_name);
    FOR granted IN
        SELECT format('GRANT %s ON crm_deals.%I TO %I', t.privileges, t.relation, role_name) AS command
        FROM crm_deals._table_privileges() AS t
        WHERE t.level = ANY (included) AND to_regclass('crm_deals.' || t.relation) IS NOT NULL
        UNION ALL
        SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, role_name)
        FROM crm_deals._function_privileges() AS f
        JOIN pg_proc AS p ON p.proname = f.function AND p.pronamespace = 'crm_deals'::regnamespace
        WHERE f.level = ANY (included)
        UNION ALL
        SELECT format('GRANT SELECT (%s) ON %s TO %I', h.columns, h.host, role_name)
        FROM crm_deals._host_columns() AS h
        WHERE 'read' = ANY (included)
    LOOP
        EXECUTE granted.command;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals._grant_level(text, text) IS
    'Internal: the privileges of a level, on the tables that are there.';

CREATE FUNCTION crm_deals.grant_access(role regrole, level text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := pg_get_userbyid(role);
BEGIN
    IF crm_deals._level_includes(level) IS NULL THEN
        RAISE EXCEPTION 'there is no level "%"', level
            USING ERRCODE = '22023', HINT = 'The levels are read, consume, write, manager, admin.';
    END IF;
    PERFORM crm_deals._check_installed();
    PERFORM crm_deals._revoke_all(name);
    PERFORM crm_deals._grant_level(name, level);
    INSERT INTO crm_deals.access_grant (role_name, level)
    VALUES (name, grant_access.level)
    ON CONFLICT (role_name) DO UPDATE SET level = excluded.level;
END
$$;
COMMENT ON FUNCTION crm_deals.grant_access(regrole, text) IS
    'Gives a role one level of access, read, consume, write, manager or admin, in place of the one it had.';

CREATE FUNCTION crm_deals.revoke_access(role regrole) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals._check_installed();
    PERFORM crm_deals._revoke_all(pg_get_userbyid(role));
    DELETE FROM crm_deals.access_grant AS g WHERE g.role_name = pg_get_userbyid(role);
END
$$;
COMMENT ON FUNCTION crm_deals.revoke_access(regrole) IS
    'Takes from a role what grant_access() gave it.';
