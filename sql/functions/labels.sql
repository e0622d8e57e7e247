-- access: public
CREATE FUNCTION crm_deals_internal.label(labels jsonb, name text, language text DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE COST 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(labels ->> wanted.language,
                    labels ->> split_part(wanted.language, '-', 1),
                    name)
    FROM (SELECT coalesce(language, current_setting('crm_deals.language', true), '')) AS wanted (language)
$$;

COMMENT ON FUNCTION crm_deals_internal.label(jsonb, text, text) IS
    'Internal: returns the label in a language. It falls back from de-AT to de, then to the name.';
