-- What the texts of the source mean. Each look-up fills a temporary table, from the distinct texts, in one statement.

-- ----------
-- Pipelines
-- ----------

-- "searched" is the organization in which names are looked for. "owner" is the organization of the pipeline: in it the
-- row's external_id is looked for.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_pipelines() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_pipelines ON COMMIT DROP AS
    SELECT w._place, w.given_id, w.default_id, w.searched,
           CASE WHEN coalesce(w.given_id, w.default_id) IS NULL THEN w.searched ELSE p.organization END AS owner,
           CASE WHEN w.given_id IS NULL AND w.pipeline IS NOT NULL
                THEN format('Pipeline "%s" does not exist.', w.pipeline)
                WHEN w.given_id IS NULL AND w.pipeline_id IS NOT NULL
                THEN format('Pipeline %s does not exist.', w.pipeline_id) END AS problem
    FROM (SELECT r.*,
                 CASE WHEN r.pipeline IS NOT NULL THEN crm_deals_internal.pipeline_in(r.searched, r.pipeline)
                      ELSE (SELECT p.id FROM crm_deals.pipeline AS p WHERE p.id = r.pipeline_id) END AS given_id,
                 CASE WHEN num_nonnulls(r.pipeline, r.pipeline_id) = 0
                      THEN crm_deals_internal.pipeline_in(r.searched, NULL) END AS default_id
          FROM (SELECT DISTINCT s._place, s.pipeline, s.pipeline_id,
                       coalesce(s.organization, nullif(current_setting('crm_deals.organization', true), '')) AS searched
                FROM pg_temp._crm_deals_source AS s) AS r) AS w
    LEFT JOIN crm_deals.pipeline AS p ON p.id = coalesce(w.given_id, w.default_id);
    ANALYZE pg_temp._crm_deals_pipelines;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_pipelines() IS
    'Internal: fills _crm_deals_pipelines with the pipelines that the rows mean.';

-- ----------
-- Stages
-- ----------

-- A text is a key in the pipeline, else a name in it, else an id. No text, '', means the stage where deals start.
-- "choices" are the keys that an ambiguous name can mean. The arrays are aligned; 0 stands for no pipeline.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_stages(pipelines bigint[], texts text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO pg_temp._crm_deals_stages (pipeline_id, stage, id, choices)
    SELECT w.pipeline_id, w.stage, coalesce(k.id, n.id, i.id, f.id),
           CASE WHEN k.id IS NULL AND n.active > 1 THEN n.keys END
    FROM unnest(pipelines, texts) AS w (pipeline_id, stage)
    LEFT JOIN crm_deals.stage AS k ON k.pipeline_id = w.pipeline_id AND k.key = w.stage
    LEFT JOIN (SELECT n.pipeline_id, n.name, (array_agg(n.id ORDER BY n.archived_at NULLS FIRST))[1] AS id,
                      count(*) FILTER (WHERE n.archived_at IS NULL) AS active,
                      string_agg(n.key, ', ' ORDER BY n.position) FILTER (WHERE n.archived_at IS NULL) AS keys
               FROM crm_deals.stage AS n GROUP BY n.pipeline_id, n.name) AS n
           ON n.pipeline_id = w.pipeline_id AND n.name = w.stage
    LEFT JOIN crm_deals.stage AS i ON i.id::text = w.stage
    LEFT JOIN (SELECT DISTINCT ON (f.pipeline_id) f.pipeline_id, f.id
               FROM crm_deals.stage AS f WHERE f.status = 'open' AND f.archived_at IS NULL
               ORDER BY f.pipeline_id, f.position) AS f
           ON f.pipeline_id = w.pipeline_id AND w.stage = ''
    WHERE NOT EXISTS (SELECT FROM pg_temp._crm_deals_stages AS m
                      WHERE m.pipeline_id = w.pipeline_id AND m.stage = w.stage);
    ANALYZE pg_temp._crm_deals_stages;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_stages(bigint[], text[]) IS
    'Internal: adds to _crm_deals_stages what these texts mean in these pipelines.';

-- ----------
-- Accounts and owners
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_names_wanted(entity text) RETURNS TABLE (name text, organization text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF entity = 'owner' THEN
        RETURN QUERY SELECT DISTINCT s.owner, NULL FROM pg_temp._crm_deals_source AS s WHERE s.owner IS NOT NULL;
    ELSE
        RETURN QUERY
        SELECT DISTINCT s.account, coalesce(p.owner, p.searched)
        FROM pg_temp._crm_deals_source AS s
        JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
        WHERE s.account IS NOT NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_names_wanted(text) IS
    'Internal: lists the accounts or owners that the rows name.';

-- Rank 1 is an account of the row's organization; rank 2 an account of none, or any account if the row has none.
-- access: write
CREATE FUNCTION crm_deals_internal.import_name_rank(host regclass, organization_column text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN has_column_privilege(host, organization_column, 'SELECT')
                THEN format('CASE WHEN t.%1$I::text IS NOT DISTINCT FROM w.organization THEN 1 '
                            'WHEN t.%1$I IS NULL OR w.organization IS NULL THEN 2 END', organization_column)
                ELSE '1' END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_name_rank(regclass, text) IS
    'Internal: returns the expression that ranks accounts of one name; accounts without a rank do not count.';

-- Blanks and case do not count. A text that is no name is tried as a key.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_names(entity text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    staging text := '_crm_deals_' || entity || 's';
    by_name text := 'false';
    rank text := '1';
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS '
                   'SELECT NULL::text AS name, NULL::text AS organization, NULL::text AS problem, d.%I AS key '
                   'FROM crm_deals.deal AS d WHERE false',
                   staging, CASE entity WHEN 'account' THEN 'account_id' ELSE 'owner' END);
    IF host.host IS NULL THEN
        EXECUTE format('INSERT INTO pg_temp.%I (name, key) '
                       'SELECT w.name, w.name FROM crm_deals_internal.import_names_wanted($1) AS w', staging)
        USING entity;
        RETURN;
    END IF;
    IF host.columns ? 'name' THEN
        by_name := format('lower(btrim(t.%I::text)) = lower(w.name)', host.columns ->> 'name');
    END IF;
    IF entity = 'account' THEN
        rank := crm_deals_internal.import_name_rank(host.host, host.columns ->> 'organization');
    END IF;
    EXECUTE format(
        'WITH wanted AS MATERIALIZED (SELECT * FROM crm_deals_internal.import_names_wanted($1)), '
        'named AS (SELECT r.name, r.organization, array_agg(r.key ORDER BY r.key) AS keys '
        '          FROM (SELECT w.name, w.organization, t.%1$I AS key, '
        '                       rank() OVER (PARTITION BY w.name, w.organization ORDER BY %4$s) AS place '
        '                FROM wanted AS w JOIN %2$s AS t ON %3$s WHERE %4$s IS NOT NULL) AS r '
        '          WHERE r.place = 1 GROUP BY r.name, r.organization), '
        'keyed AS (SELECT w.name, w.organization, t.%1$I AS key '
        '          FROM (SELECT w.name, w.organization, crm_deals_internal.try_cast(w.name, NULL::%5$s) AS key '
        '                FROM wanted AS w OFFSET 0) AS w '
        '          JOIN %2$s AS t ON t.%1$I = w.key) '
        'INSERT INTO pg_temp.%6$I (name, organization, key, problem) '
        'SELECT w.name, w.organization, '
        '       CASE WHEN n.keys IS NULL THEN k.key WHEN cardinality(n.keys) = 1 THEN n.keys[1] END, '
        '       CASE WHEN n.keys IS NULL AND k.key IS NULL THEN format(''%7$s "%%s" does not exist.'', w.name) '
        '            WHEN cardinality(n.keys) > 1 '
        '            THEN format(''%7$s "%%s" is ambiguous: it can be %%s.'', w.name, '
        '                        array_to_string(n.keys[:20], '', '')) END '
        'FROM wanted AS w '
        'LEFT JOIN named AS n ON n.name = w.name AND n.organization IS NOT DISTINCT FROM w.organization '
        'LEFT JOIN keyed AS k ON k.name = w.name AND k.organization IS NOT DISTINCT FROM w.organization',
        host.key_column, host.host, by_name, rank, host.key_type, staging, initcap(entity))
    USING entity;
    EXECUTE format('ANALYZE pg_temp.%I', staging);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_names(text) IS
    'Internal: fills _crm_deals_accounts or _crm_deals_owners with what the names mean.';
