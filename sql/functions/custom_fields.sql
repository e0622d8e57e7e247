-- Indexes on custom fields. These functions run as the owner of the tables; src/functions/field_index.c calls them. So
-- whoever may define fields may index them.

-- The table that has the custom fields, the host's or ours, and the column.
-- access: public
CREATE FUNCTION crm_deals_internal.custom_fields_of(entity text, OUT relation regclass, OUT column_name text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF entity IN ('account', 'contact') THEN
        SELECT h.host, h.columns ->> 'custom_fields' INTO relation, column_name
        FROM crm_deals_internal.host(entity) AS h;
    ELSIF entity IN ('deal', 'lead') THEN
        relation := 'crm_deals.' || entity;
        column_name := 'custom_fields';
    ELSE
        RAISE EXCEPTION 'there are no custom fields of "%"', entity
            USING ERRCODE = '22023', HINT = 'The entities are deal, lead, account, contact.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.custom_fields_of(text) IS
    'Internal: returns table and column of an entity''s custom fields. The column is NULL if the host has none.';

-- An index of a field, as CREATE INDEX takes it and as the catalog shows it: the expression that filters use, with a
-- guard for numbers. An index that cast every value would refuse values from before the definition, and values that
-- are written after it was removed.
-- access: public
CREATE FUNCTION crm_deals_internal.field_index(kind text, column_name text, key text,
                                       OUT method text, OUT expression text, OUT predicate text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE field_index.kind WHEN 'array' THEN 'gin' ELSE 'btree' END,
           format(CASE field_index.kind WHEN 'number' THEN '((%I ->> %s::text))::numeric'
                                         WHEN 'array' THEN '(%I -> %s::text)'
                                         ELSE '(%I ->> %s::text)' END, column_name, k.literal),
           CASE field_index.kind WHEN 'number'
               THEN format('(jsonb_typeof((%I -> %s::text)) = ''number''::text)', column_name, k.literal) END
    -- The catalog shows a text this way, and never as E'...'.
    FROM (SELECT '''' || replace(key, '''', '''''') || '''') AS k (literal)
$$;
COMMENT ON FUNCTION crm_deals_internal.field_index(text, text, text) IS
    'Internal: returns the one expression by which a custom field is filtered and indexed.';

-- access: public
CREATE FUNCTION crm_deals_internal.existing_field_index(kind text, relation regclass, column_name text, key text)
    RETURNS regclass
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
SET standard_conforming_strings = on
AS $$
    SELECT i.indexrelid::regclass
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam
    CROSS JOIN LATERAL crm_deals_internal.field_index(existing_field_index.kind, column_name,
                                                      existing_field_index.key) AS f
    WHERE i.indrelid = relation AND i.indisvalid AND i.indnatts = 1
      AND a.amname = f.method
      AND pg_get_expr(i.indexprs, i.indrelid) = f.expression
      AND pg_get_expr(i.indpred, i.indrelid) IS NOT DISTINCT FROM f.predicate
    ORDER BY i.indexrelid
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_deals_internal.existing_field_index(text, regclass, text, text) IS
    'Internal: returns the index of a custom field, whoever made it, or NULL.';

-- The kinds of index that the definitions of a key need, the system-wide definition first.
-- access: public
CREATE FUNCTION crm_deals_internal.field_kinds(entity text, key text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(k.kind ORDER BY k.own, k.kind)
    FROM (SELECT CASE f.type WHEN 'multiselect' THEN 'array'
                             WHEN 'number' THEN 'number' ELSE 'text' END AS kind,
                 bool_and(f.organization IS NOT NULL) AS own
          FROM crm_deals.custom_field AS f
          WHERE f.entity = field_kinds.entity AND f.key = field_kinds.key
          GROUP BY 1) AS k
$$;
COMMENT ON FUNCTION crm_deals_internal.field_kinds(text, text) IS
    'Internal: returns the indexes that a custom field needs: more than one if organizations define it differently.';

-- This DDL waits for others as long as a change of stages does (src/config/stage_lock.c).
-- access: public
CREATE FUNCTION crm_deals_internal.execute_impatiently(statement text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    timeout_before text := current_setting('lock_timeout');
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    IF timeout_before = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);
    END IF;
    EXECUTE statement;
    PERFORM set_config('lock_timeout', timeout_before, true);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.execute_impatiently(text) IS
    'Internal: runs a statement with a lock_timeout of 5 seconds if none is set.';

-- access: public
CREATE FUNCTION crm_deals_internal.name_of_field_index(relation regclass, key text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT n.name
    FROM pg_class AS c
    CROSS JOIN LATERAL (SELECT left(format('%s_custom_%s', c.relname, crm_deals_internal.slug(key)), 46)) AS s (start)
    CROSS JOIN LATERAL (VALUES (1, s.start), (2, s.start || '_' || left(md5(key), 8)),
                               (3, s.start || '_' || left(md5(key || clock_timestamp()), 8))) AS n (place, name)
    WHERE c.oid = relation
      AND NOT EXISTS (SELECT FROM pg_class AS o WHERE o.relnamespace = c.relnamespace AND o.relname = n.name)
    ORDER BY n.place
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_deals_internal.name_of_field_index(regclass, text) IS
    'Internal: returns a free name for the index of a custom field.';

-- access: public
CREATE FUNCTION crm_deals_internal.create_field_index(kind text, relation regclass, column_name text, key text)
    RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
#variable_conflict use_variable
DECLARE
    wanted record;
BEGIN
    SELECT * INTO wanted FROM crm_deals_internal.field_index(kind, column_name, key);
    PERFORM crm_deals_internal.execute_impatiently(
        format('CREATE INDEX %I ON %s USING %s ((%s)) %s', crm_deals_internal.name_of_field_index(relation, key),
               relation,
               wanted.method, wanted.expression, 'WHERE ' || wanted.predicate));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.create_field_index(text, regclass, text, text) IS
    'Internal: creates an index of a custom field.';

-- access: public
CREATE FUNCTION crm_deals_internal.ensure_field_index(kind text, relation regclass, column_name text, key text)
    RETURNS regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    existing regclass := crm_deals_internal.existing_field_index(kind, relation, column_name, key);
BEGIN
    IF existing IS NULL THEN
        PERFORM crm_deals_internal.create_field_index(kind, relation, column_name, key);
        existing := crm_deals_internal.existing_field_index(kind, relation, column_name, key);
    END IF;
    RETURN existing;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.ensure_field_index(text, regclass, text, text) IS
    'Internal: returns the index of a custom field, which it creates if it is missing.';

-- Drops an index of a kind that no definition needs any more. An index that is not named like ours is the user's.
-- access: public
CREATE FUNCTION crm_deals_internal.drop_field_index(kind text, relation regclass, column_name text, key text)
    RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    stale regclass := crm_deals_internal.existing_field_index(kind, relation, column_name, key);
BEGIN
    IF EXISTS (SELECT FROM pg_class AS i JOIN pg_class AS r ON r.oid = relation
               WHERE i.oid = stale AND starts_with(i.relname, r.relname || '_custom_')) THEN
        PERFORM crm_deals_internal.execute_impatiently(format('DROP INDEX %s', stale));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.drop_field_index(text, regclass, text, text) IS
    'Internal: drops an index of a custom field if there is one.';

-- access: public
CREATE FUNCTION crm_deals_internal.raise_undefined_field(entity text, key text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'custom field "%" of the % is not defined', key, entity
        USING ERRCODE = 'P0002',
              DETAIL = coalesce((SELECT 'There are ' || string_agg(DISTINCT format('"%s"', f.key), ', ') || '.'
                                 FROM crm_deals.custom_field AS f WHERE f.entity = entity), 'There is none.');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.raise_undefined_field(text, text) IS
    'Internal: raises the error that names the custom fields that are defined.';

-- access: public
CREATE FUNCTION crm_deals_internal.index_custom_field(entity text, key text) RETURNS regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    kinds text[];
    made regclass[];
BEGIN
    PERFORM crm_deals_internal.check_acts_as_owner();
    SELECT * INTO place FROM crm_deals_internal.custom_fields_of(entity);
    kinds := crm_deals_internal.field_kinds(entity, key);
    IF kinds IS NULL THEN
        PERFORM crm_deals_internal.raise_undefined_field(entity, key);
    ELSIF place.column_name IS NULL THEN
        RAISE EXCEPTION 'table % has no column of custom fields', place.relation
            USING ERRCODE = '55000', HINT = 'Name one in the argument columns of crm_deals.install().';
    END IF;

    PERFORM crm_deals_internal.drop_field_index(k.kind, place.relation, place.column_name, key)
    FROM unnest(ARRAY['text', 'number', 'array']) AS k (kind)
    WHERE k.kind <> ALL (kinds);
    made := ARRAY(SELECT crm_deals_internal.ensure_field_index(k.kind, place.relation, place.column_name, key)
                  FROM unnest(kinds) WITH ORDINALITY AS k (kind, place) ORDER BY k.place);
    RETURN made[1];
END
$$;
COMMENT ON FUNCTION crm_deals_internal.index_custom_field(text, text) IS
    'Internal: does index_custom_field() as the owner of the tables.';
