-- What the texts of the source mean. Each look-up fills a temporary table, from the distinct texts, in one statement.
-- Texts are compared in any case, and with blanks of any kind made one: lower(import_folded(...)).

-- ----------
-- Pipelines
-- ----------

-- A pipeline of the organization goes before a system-wide one, a name before a label, and the same spelling before
-- any other.
-- access: write
CREATE FUNCTION crm_deals_internal.import_pipeline(searched text, pipeline text) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.id
    FROM crm_deals.pipeline AS p
    CROSS JOIN LATERAL (SELECT p.name, 1 UNION ALL SELECT l.value, 2 FROM jsonb_each_text(p.labels) AS l)
        AS n (name, rank)
    WHERE (p.organization = import_pipeline.searched OR p.organization IS NULL)
      AND lower(crm_deals_internal.import_folded(n.name))
          = lower(crm_deals_internal.import_folded(import_pipeline.pipeline))
    ORDER BY p.organization IS NULL, n.rank, n.name <> import_pipeline.pipeline, p.id
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_deals_internal.import_pipeline(text, text) IS
    'Internal: finds a pipeline by its name or label, in any case.';

-- "searched" is the organization in which names are looked for. "owner" is the organization of the pipeline: in it the
-- row's external_id is looked for.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_pipelines() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    existing text := (SELECT string_agg(format('"%s"', p.name), ', ' ORDER BY p.name)
                      FROM (SELECT p.name FROM crm_deals.pipeline AS p ORDER BY p.id LIMIT 50) AS p);
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_pipelines ON COMMIT DROP AS
    SELECT w._place, w.given_id, w.default_id, w.searched,
           CASE WHEN coalesce(w.given_id, w.default_id) IS NULL THEN w.searched ELSE p.organization END AS owner,
           CASE WHEN w.given_id IS NULL AND w.pipeline IS NOT NULL
                THEN format('Pipeline "%s" does not exist. There are %s.', w.pipeline, existing)
                WHEN w.given_id IS NULL AND w.pipeline_id IS NOT NULL
                THEN format('Pipeline %s does not exist.', w.pipeline_id) END AS problem
    FROM (SELECT r.*,
                 CASE WHEN r.pipeline IS NOT NULL THEN crm_deals_internal.import_pipeline(r.searched, r.pipeline)
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

-- All that the stages are called: keys, names and labels, in the order in which they are tried.
-- access: write
CREATE FUNCTION crm_deals_internal.import_stage_names()
RETURNS TABLE (pipeline_id bigint, name text, folded text, id bigint, key text, rank integer)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.pipeline_id, n.name, lower(crm_deals_internal.import_folded(n.name)), s.id, s.key,
           n.rank + CASE WHEN s.archived_at IS NULL THEN 0 ELSE 10 END
    FROM crm_deals.stage AS s
    CROSS JOIN LATERAL (SELECT s.key, 1 UNION ALL SELECT s.name, 2
                        UNION ALL SELECT l.value, 3 FROM jsonb_each_text(s.labels) AS l) AS n (name, rank)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stage_names() IS
    'Internal: lists the keys, names and labels of all stages.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_unknown_stage(pipeline bigint, stage text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Stage "%s" does not exist in pipeline "%s". Its stages are %s.%s', import_unknown_stage.stage,
                  (SELECT p.name FROM crm_deals.pipeline AS p WHERE p.id = import_unknown_stage.pipeline),
                  string_agg(format('"%s"', s.name), ', ' ORDER BY s.position),
                  CASE WHEN import_unknown_stage.stage ~ '^[0-9]+$'
                       THEN ' Ids of ours count only in a column that "columns" maps to stage_id.' ELSE '' END)
    FROM (SELECT s.name, s.position FROM crm_deals.stage AS s
          WHERE s.pipeline_id = import_unknown_stage.pipeline AND s.archived_at IS NULL
          ORDER BY s.position LIMIT 50) AS s
$$;
COMMENT ON FUNCTION crm_deals_internal.import_unknown_stage(bigint, text) IS
    'Internal: says that a stage does not exist, and which ones do.';

-- The same spelling goes before any other. The arrays are aligned.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_stages(pipelines bigint[], texts text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO pg_temp._crm_deals_stages (pipeline_id, stage, id, problem)
    SELECT w.pipeline_id, w.stage, CASE WHEN cardinality(n.ids) = 1 THEN n.ids[1] END,
           CASE WHEN n.ids IS NULL THEN crm_deals_internal.import_unknown_stage(w.pipeline_id, w.stage)
                WHEN cardinality(n.ids) > 1
                THEN format('Stage "%s" is ambiguous: it can be %s. Name it by its key.', w.stage,
                            array_to_string(n.keys, ', ')) END
    FROM unnest(pipelines, texts) AS w (pipeline_id, stage)
    LEFT JOIN LATERAL (SELECT array_agg(n.id ORDER BY n.key) AS ids, array_agg(n.key ORDER BY n.key) AS keys
                       FROM (SELECT DISTINCT n.id, n.key, rank() OVER (
                                 ORDER BY n.rank + CASE WHEN n.name = w.stage THEN 0 ELSE 5 END) AS place
                             FROM crm_deals_internal.import_stage_names() AS n
                             WHERE n.pipeline_id = w.pipeline_id
                               AND n.folded = lower(crm_deals_internal.import_folded(w.stage))) AS n
                       WHERE n.place = 1) AS n ON true
    WHERE NOT EXISTS (SELECT FROM pg_temp._crm_deals_stages AS m
                      WHERE m.pipeline_id = w.pipeline_id AND m.stage = w.stage);
    ANALYZE pg_temp._crm_deals_stages;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_stages(bigint[], text[]) IS
    'Internal: adds to _crm_deals_stages what these texts mean in these pipelines.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_first_stages() RETURNS TABLE (pipeline_id bigint, status text, id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT ON (s.pipeline_id, s.status) s.pipeline_id, s.status::text, s.id
    FROM crm_deals.stage AS s
    WHERE s.archived_at IS NULL
    ORDER BY s.pipeline_id, s.status, s.position
$$;
COMMENT ON FUNCTION crm_deals_internal.import_first_stages() IS
    'Internal: lists the first stage of each status in each pipeline.';

-- The words are those that create_pipeline() knows.
-- access: write
CREATE FUNCTION crm_deals_internal.import_status(word text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(crm_deals_internal.status_of_word(word),
                    CASE WHEN lower(crm_deals_internal.import_folded(word)) IN ('open', 'offen') THEN 'open' END)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_status(text) IS
    'Internal: returns the status that a word of the source means, or NULL.';

-- ----------
-- Accounts, contacts and owners
-- ----------

-- "account" is the key of the account in which a contact is looked for first. "imported" is what the rows are.
-- access: write
CREATE FUNCTION crm_deals_internal.import_names_wanted(entity text, imported text)
RETURNS TABLE (name text, organization text, account text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF entity = 'owner' THEN
        RETURN QUERY SELECT DISTINCT s.owner, NULL, NULL FROM pg_temp._crm_deals_source AS s WHERE s.owner IS NOT NULL;
    ELSIF imported <> 'deal' AND entity = 'account' THEN
        RETURN QUERY
        SELECT DISTINCT s.account, s.organization, NULL FROM pg_temp._crm_deals_source AS s WHERE s.account IS NOT NULL;
    ELSIF imported <> 'deal' THEN
        RETURN QUERY
        SELECT DISTINCT s.contact, s.organization, r.account_id::text
        FROM pg_temp._crm_deals_source AS s
        JOIN pg_temp._crm_deals_rows AS r ON r._row = s._row
        WHERE s.contact IS NOT NULL;
    ELSIF entity = 'account' THEN
        RETURN QUERY
        SELECT DISTINCT s.account, coalesce(p.owner, p.searched), NULL
        FROM pg_temp._crm_deals_source AS s
        JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
        WHERE s.account IS NOT NULL;
    ELSE
        RETURN QUERY
        SELECT DISTINCT s.primary_contact, r._account_organization, r.account_id::text
        FROM pg_temp._crm_deals_source AS s
        JOIN pg_temp._crm_deals_rows AS r ON r._row = s._row
        WHERE s.primary_contact IS NOT NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_names_wanted(text, text) IS
    'Internal: lists the accounts, contacts or owners that the rows name.';

-- A contact of the row's account goes before any other. Something of the row's organization goes before something of
-- none; a row of no organization can mean any. "c" is a row of the host's table by one of its names, "w" what is
-- wanted.
-- access: write
CREATE FUNCTION crm_deals_internal.import_name_rank(host regclass, columns jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(
        CASE WHEN has_column_privilege(host, columns ->> 'account_id', 'SELECT')
             THEN 'CASE WHEN c.account = w.account THEN 0 ELSE 100 END + ' END,
        CASE WHEN has_column_privilege(host, columns ->> 'organization', 'SELECT')
             THEN 'CASE WHEN c.organization IS NOT DISTINCT FROM w.organization THEN 10 '
                  'WHEN c.organization IS NULL OR w.organization IS NULL THEN 20 END + ' END,
        'c.rank')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_name_rank(regclass, jsonb) IS
    'Internal: returns the expression that ranks rows of one name; those without a rank do not count.';

-- Those that the rank needs.
-- access: write
CREATE FUNCTION crm_deals_internal.import_host_places(host regclass, columns jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format(CASE WHEN has_column_privilege(host, columns ->> f.field, 'SELECT') THEN 't.%I::text AS %s'
                                  ELSE 'NULL::text AS %2$s' END, coalesce(columns ->> f.field, ''), f.name), ', ')
    FROM (VALUES ('account_id', 'account'), ('organization', 'organization')) AS f (field, name)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_host_places(regclass, jsonb) IS
    'Internal: returns the expressions of the account and the organization of a row of the host''s table.';

-- An external id goes before a name, a name before an e-mail address. Columns that the caller cannot read do not count.
-- access: write
CREATE FUNCTION crm_deals_internal.import_host_names(host regclass, columns jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH readable AS (
        SELECT c.key AS field, format('t.%I::text', c.value) AS expression
        FROM jsonb_each_text(columns) AS c
        WHERE has_column_privilege(host, c.value, 'SELECT')
    )
    SELECT coalesce(string_agg(format('(%s, %s)', n.expression, n.rank), ', '), '(NULL::text, 0)')
    FROM (SELECT r.expression, array_position(ARRAY['external_id', 'name', 'email'], r.field)
          FROM readable AS r WHERE r.field IN ('external_id', 'name', 'email')
          UNION ALL
          SELECT format('concat_ws('' '', %s)', string_agg(r.expression, ', ' ORDER BY r.field)), 2
          FROM readable AS r WHERE r.field IN ('first_name', 'last_name')
          HAVING count(*) > 0) AS n (expression, rank)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_host_names(regclass, jsonb) IS
    'Internal: returns the expressions of all that a row of the host''s table is called, as VALUES.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_make_names(entity text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    staging text := '_crm_deals_' || entity || 's';
BEGIN
    EXECUTE format('CREATE TEMPORARY TABLE pg_temp.%I ON COMMIT DROP AS '
                   'SELECT NULL::text AS name, NULL::text AS organization, NULL::text AS account, '
                   'NULL::text AS problem, NULL::boolean AS is_missing, d.%I AS key '
                   'FROM crm_deals.deal AS d WHERE false',
                   staging, CASE entity WHEN 'account' THEN 'account_id' WHEN 'contact' THEN 'primary_contact_id'
                                        ELSE 'owner' END);
    RETURN staging;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_make_names(text) IS
    'Internal: makes the empty table _crm_deals_accounts, _crm_deals_contacts or _crm_deals_owners.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_name_problem(entity text, imported text, name text, keys text[])
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN keys IS NULL
                THEN format('%s "%s" does not exist. It is looked for by external id, name and e-mail address.%s',
                            initcap(entity), name,
                            CASE WHEN entity = 'account' AND imported = 'deal'
                                 THEN ' With create_accounts => true it is created.' ELSE '' END)
                WHEN cardinality(keys) > 1
                THEN format('%s "%s" is ambiguous: it can be %s. Name it by its external id, or give its key in a '
                            'column that "columns" maps to %s.', initcap(entity), name,
                            array_to_string(keys[:20], ', '),
                            CASE WHEN entity = 'contact' AND imported = 'deal' THEN 'primary_contact_id'
                                 ELSE entity || '_id' END) END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_name_problem(text, text, text, text[]) IS
    'Internal: says why a name means nothing, or more than one thing.';

-- The host's table is read once and joined by hashes: the planner may know nothing of it. Its names are materialized:
-- else what takes them out of the row, a nested loop, would hide from the planner what it costs to join in another one.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_names(entity text, is_given boolean, imported text DEFAULT 'deal')
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    staging text := crm_deals_internal.import_make_names(entity);
BEGIN
    IF NOT is_given THEN
        RETURN;
    END IF;
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    IF host.host IS NULL THEN
        EXECUTE format('INSERT INTO pg_temp.%I (name, key) SELECT w.name, crm_deals_internal.import_folded(w.name) '
                       'FROM crm_deals_internal.import_names_wanted($1, $2) AS w', staging)
        USING entity, imported;
        RETURN;
    END IF;
    EXECUTE format(
        'WITH wanted AS MATERIALIZED (SELECT w.*, row_number() OVER () AS number, '
        '                                    lower(crm_deals_internal.import_folded(w.name)) AS folded '
        '                             FROM crm_deals_internal.import_names_wanted($1, $2) AS w), '
        'called AS MATERIALIZED (SELECT t.%1$I AS key, %6$s, n.rank, '
        '                               lower(crm_deals_internal.import_folded(n.name)) AS folded '
        '                        FROM %2$s AS t CROSS JOIN LATERAL (VALUES %3$s) AS n (name, rank)), '
        'ranked AS (SELECT DISTINCT w.number, c.key, rank() OVER (PARTITION BY w.number ORDER BY %4$s) AS place '
        '           FROM called AS c JOIN wanted AS w ON w.folded = c.folded '
        '           WHERE %4$s IS NOT NULL), '
        'named AS (SELECT r.number, array_agg(r.key ORDER BY r.key) AS keys '
        '          FROM ranked AS r WHERE r.place = 1 GROUP BY r.number) '
        'INSERT INTO pg_temp.%5$I (name, organization, account, key, is_missing, problem) '
        'SELECT w.name, w.organization, w.account, CASE WHEN cardinality(n.keys) = 1 THEN n.keys[1] END, '
        '       n.keys IS NULL, crm_deals_internal.import_name_problem($1, $2, w.name, n.keys::text[]) '
        'FROM wanted AS w '
        'LEFT JOIN named AS n ON n.number = w.number',
        host.key_column, host.host, crm_deals_internal.import_host_names(host.host, host.columns),
        crm_deals_internal.import_name_rank(host.host, host.columns), staging,
        crm_deals_internal.import_host_places(host.host, host.columns))
    USING entity, imported;
    EXECUTE format('ANALYZE pg_temp.%I', staging);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_names(text, boolean, text) IS
    'Internal: fills _crm_deals_accounts, _crm_deals_contacts or _crm_deals_owners with what the names mean.';
