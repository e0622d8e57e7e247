-- Custom fields: the columns custom_fields.KEY of a row, as their definitions want them.

-- A text that cannot be converted stays a text; the rules refuse it later.
-- access: write
CREATE FUNCTION crm_deals_internal.import_field(type text, value jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN jsonb_typeof(value) <> 'string' THEN value
        WHEN type = 'number' AND value #>> '{}' ~ '^[+-]?[0-9]{1,100}([.][0-9]{1,100})?([eE][+-]?[0-9]{1,2})?$' THEN
            to_jsonb((value #>> '{}')::numeric)
        WHEN type = 'boolean' AND lower(value #>> '{}') IN ('true', 't', 'yes', 'y', 'on', '1') THEN 'true'
        WHEN type = 'boolean' AND lower(value #>> '{}') IN ('false', 'f', 'no', 'n', 'off', '0') THEN 'false'
        WHEN type = 'multiselect' THEN
            coalesce(CASE WHEN value #>> '{}' LIKE '[%'
                          THEN crm_deals_internal.try_cast(value #>> '{}', NULL::jsonb) END,
                     (SELECT jsonb_agg(btrim(e.element)) FROM string_to_table(value #>> '{}', ';') AS e (element)))
        ELSE value END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_field(text, jsonb) IS
    'Internal: converts a value of the source to the type of a custom field.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_fields(fields jsonb, organization text, entity text DEFAULT 'deal')
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(f.key, CASE WHEN d.type IN ('number', 'boolean', 'multiselect')
                                        THEN crm_deals_internal.import_field(d.type, f.value) ELSE f.value END)
    FROM jsonb_each(fields) AS f
    LEFT JOIN LATERAL (SELECT c.type FROM crm_deals.custom_field AS c
                       WHERE c.entity = import_fields.entity AND c.key = f.key
                         AND (c.organization = import_fields.organization OR c.organization IS NULL)
                       ORDER BY c.organization IS NULL LIMIT 1) AS d ON jsonb_typeof(f.value) = 'string'
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fields(jsonb, text, text) IS
    'Internal: converts the columns custom_fields.KEY of a row, by the definitions of its organization.';

-- A key of the source replaces the value that is there; a NULL of the source removes it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_merged(there jsonb, fields jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN fields IS NULL OR jsonb_typeof(there) <> 'object' THEN there
                ELSE (there || fields) - ARRAY(SELECT f.key FROM jsonb_each(fields) AS f WHERE f.value = 'null') END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_merged(jsonb, jsonb) IS
    'Internal: merges the custom fields of a row into those of a deal.';
