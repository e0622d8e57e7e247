-- What views call. The costs make PostgreSQL sort and limit a list before it calls them.

-- access: public
CREATE FUNCTION crm_deals_internal.label(labels jsonb, name text, language text DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE COST 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(labels ->> wanted.language,
                    labels ->> split_part(wanted.language, '-', 1),
                    name)
    FROM (SELECT coalesce(language, current_setting('crm_deals.language', true), '')) AS wanted (language)
$$;

COMMENT ON FUNCTION crm_deals_internal.label(jsonb, text, text) IS
    'Internal: returns the label in a language. It falls back from de-AT to de, then to the name.';

-- access: public
CREATE FUNCTION crm_deals_internal.added_columns(deal jsonb) RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'crm_deals_added_columns';
COMMENT ON FUNCTION crm_deals_internal.added_columns(jsonb) IS
    'Internal: returns the columns that users added, of a row of deal.';
