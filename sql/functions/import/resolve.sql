-- What is to be done with each row: which deal it means, and the keys of its stage, its account and its owner.

-- access: write
CREATE FUNCTION crm_deals_internal.import_make_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_stages (
        pipeline_id bigint, stage text, id bigint, choices text) ON COMMIT DROP;
    CREATE TEMPORARY TABLE pg_temp._crm_deals_found (_row bigint, deal_id bigint, pipeline_id bigint) ON COMMIT DROP;
    CREATE TEMPORARY TABLE pg_temp._crm_deals_rows ON COMMIT DROP AS
    SELECT NULL::bigint AS _row, NULL::text AS _problem, NULL::boolean AS _is_new, NULL::boolean AS _writes_name,
           NULL::boolean AS _again, NULL::boolean AS _creates_account, NULL::integer AS _version,
           NULL::text AS _account_organization, d.id, d.external_id, d.organization, d.pipeline_id, d.stage_id,
           d.account_id, d.owner, d.custom_fields
    FROM crm_deals.deal AS d
    WHERE false;
    CREATE INDEX ON pg_temp._crm_deals_rows (_row);
    CREATE INDEX ON pg_temp._crm_deals_rows (id);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_make_tables() IS
    'Internal: makes the empty tables _crm_deals_stages, _crm_deals_found and _crm_deals_rows.';

-- They are locked in the order of their ids, as every writer of several deals does.
-- access: write
CREATE FUNCTION crm_deals_internal.import_lock_deals() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    locked bigint;
BEGIN
    SELECT count(*)
    INTO locked
    FROM (SELECT d.id
          FROM crm_deals.deal AS d
          WHERE d.id IN (SELECT x.id FROM crm_deals.deal AS x
                         JOIN pg_temp._crm_deals_source AS s ON s.external_id = x.external_id
                         UNION
                         SELECT a.deal_id FROM crm_deals.deal_alias AS a
                         JOIN pg_temp._crm_deals_source AS s ON s.external_id = a.old_external_id)
          ORDER BY d.id
          FOR NO KEY UPDATE) AS l;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_lock_deals() IS
    'Internal: locks the deals that the rows may change.';

-- A deal is found by its own external_id, else by that of a deal that was merged into it. Its pipeline is the one that
-- the row names, else the one that the deal is in, else the default one.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_deals(chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM pg_temp._crm_deals_found AS f WHERE f._row = ANY (chosen);
    INSERT INTO pg_temp._crm_deals_found (_row, deal_id, pipeline_id)
    SELECT s._row, coalesce(x.id, l.id), coalesce(p.given_id, x.pipeline_id, l.pipeline_id, p.default_id)
    FROM pg_temp._crm_deals_source AS s
    JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
    LEFT JOIN crm_deals.deal AS x ON x.external_id = s.external_id AND x.organization IS NOT DISTINCT FROM p.owner
    LEFT JOIN (SELECT DISTINCT ON (a.old_external_id, m.organization)
                      a.old_external_id, m.organization, m.id, m.pipeline_id
               FROM crm_deals.deal_alias AS a JOIN crm_deals.deal AS m ON m.id = a.deal_id
               WHERE a.old_external_id IS NOT NULL
               ORDER BY a.old_external_id, m.organization, a.old_id DESC) AS l
           ON x.id IS NULL AND l.old_external_id = s.external_id AND l.organization IS NOT DISTINCT FROM p.owner
    WHERE chosen IS NULL OR s._row = ANY (chosen);
    ANALYZE pg_temp._crm_deals_found;

    PERFORM crm_deals_internal.import_find_stages(array_agg(w.pipeline_id), array_agg(w.stage))
    FROM (SELECT DISTINCT coalesce(f.pipeline_id, 0), coalesce(s.stage, '')
          FROM pg_temp._crm_deals_found AS f
          JOIN pg_temp._crm_deals_source AS s ON s._row = f._row) AS w (pipeline_id, stage);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_deals(bigint[]) IS
    'Internal: fills _crm_deals_found with the deal and the pipeline of each row, or of the chosen ones.';

-- A deal whose row names no stage stays where it is, or starts in the pipeline that the row names.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fill_rows(given text[], create_accounts boolean, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    by_id boolean := 'account_id' = ANY (given);    -- how the source gives accounts
    by_name boolean := 'account' = ANY (given);
    gives_fields boolean := EXISTS (SELECT FROM unnest(given) AS g (name) WHERE g.name ~ '^custom_fields');
BEGIN
    INSERT INTO pg_temp._crm_deals_rows (
        _row, _problem, _is_new, _writes_name, _again, _creates_account, _version, _account_organization,
        id, external_id, organization, pipeline_id, stage_id, account_id, owner, custom_fields)
    SELECT j._row, nullif(concat_ws(E'\n', j.problem, j.pipeline_problem, j.stage_problem,
                                    CASE WHEN NOT j.creates_account THEN j.account_problem END, j.owner_problem), ''),
           j.is_new, j.writes_name, false, j.creates_account, j.version, j.account_organization,
           CASE WHEN j.is_new THEN crm_deals_internal.next_deal_id() ELSE j.deal_id END,
           j.external_id, j.organization, j.pipeline_id, j.stage_id, j.account_id, j.owner, j.custom_fields
    FROM (
        SELECT s._row, s._problem AS problem, s.external_id, d.id AS deal_id, d.version,
               t.id AS stage_id, t.pipeline_id, d.id IS NULL AS is_new, d.id IS NULL OR s.name <> d.name AS writes_name,
               CASE WHEN d.id IS NULL THEN p.owner ELSE d.organization END AS organization,
               coalesce(p.owner, p.searched) AS account_organization,
               CASE WHEN by_id THEN s.account_id WHEN by_name THEN a.key ELSE d.account_id END AS account_id,
               a.problem AS account_problem, o.key AS owner, o.problem AS owner_problem,
               create_accounts AND a.key IS NULL AND a.problem ~ 'does not exist' IS TRUE AS creates_account,
               CASE WHEN NOT gives_fields THEN coalesce(d.custom_fields, '{}')
                    ELSE crm_deals_internal.import_merged(
                             CASE WHEN d.id IS NOT NULL AND 'custom_fields' <> ALL (given) THEN d.custom_fields
                                  ELSE coalesce(s.custom_fields, '{}') END,
                             CASE WHEN s._fields IS NOT NULL
                                  THEN crm_deals_internal.import_fields(s._fields, p.owner) END) END AS custom_fields,
               coalesce(p.problem, CASE WHEN f.pipeline_id IS NULL THEN 'There is no default pipeline.' END)
                   AS pipeline_problem,
               CASE WHEN m.choices IS NOT NULL THEN format('Stage "%s" is ambiguous: it can be %s.', s.stage, m.choices)
                    WHEN t.id IS NOT NULL THEN NULL
                    WHEN s.stage_id IS NOT NULL THEN format('Stage %s does not exist.', s.stage_id)
                    WHEN f.pipeline_id IS NULL THEN NULL
                    WHEN s.stage IS NULL THEN 'The pipeline has no open stage to start in.'
                    ELSE format('Stage "%s" does not exist in the pipeline of the deal.', s.stage) END AS stage_problem
        FROM pg_temp._crm_deals_found AS f
        JOIN pg_temp._crm_deals_source AS s ON s._row = f._row
        JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
        LEFT JOIN crm_deals.deal AS d ON d.id = f.deal_id
        LEFT JOIN pg_temp._crm_deals_stages AS m
               ON m.pipeline_id = coalesce(f.pipeline_id, 0) AND m.stage = coalesce(s.stage, '')
        LEFT JOIN crm_deals.stage AS t
               ON t.id = CASE WHEN s.stage IS NOT NULL THEN m.id
                              WHEN s.stage_id IS NOT NULL THEN s.stage_id
                              WHEN d.pipeline_id = f.pipeline_id THEN d.stage_id
                              ELSE m.id END
        LEFT JOIN pg_temp._crm_deals_accounts AS a
               ON a.name = s.account AND a.organization IS NOT DISTINCT FROM coalesce(p.owner, p.searched)
        LEFT JOIN pg_temp._crm_deals_owners AS o ON o.name = s.owner
        WHERE chosen IS NULL OR s._row = ANY (chosen)
        ORDER BY s._row
        OFFSET 0) AS j;
    ANALYZE pg_temp._crm_deals_rows;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fill_rows(text[], boolean, bigint[]) IS
    'Internal: adds the rows, or the chosen ones, to _crm_deals_rows, with keys in place of texts.';

-- The first of several rows that mean one deal counts.
-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_twins(chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = concat_ws(E'\n', r._problem, format('Row %s has the same external_id.', f.first))
    FROM (SELECT t.external_id, t.organization, min(t._row) AS first
          FROM pg_temp._crm_deals_rows AS t
          WHERE t.external_id IS NOT NULL
          GROUP BY t.external_id, t.organization
          HAVING count(*) > 1) AS f
    WHERE r.external_id = f.external_id AND r.organization IS NOT DISTINCT FROM f.organization AND r._row > f.first
      AND (chosen IS NULL OR r._row = ANY (chosen));

    -- After a merge, two external_ids can mean one deal.
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = format('Row %s is the same deal.', f.first)
    FROM (SELECT t.id, min(t._row) AS first
          FROM pg_temp._crm_deals_rows AS t
          WHERE NOT t._is_new
          GROUP BY t.id
          HAVING count(DISTINCT t.external_id) > 1) AS f
    WHERE NOT r._is_new AND r.id = f.id AND r._row > f.first AND r._problem IS NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_twins(bigint[]) IS
    'Internal: refuses rows that mean the deal of an earlier row.';

-- The planner may believe that there are no deals, if deal was analysed while a first import was at work. Then it
-- chooses nested loops that read all deals for each row. The callers have "SET enable_nestloop", so that the setting
-- ends with them. They fire no trigger: a trigger would keep plans that were made under the setting.
-- access: write
CREATE FUNCTION crm_deals_internal.import_forbid_wrong_plans() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT set_config('enable_nestloop', 'off', true)
    FROM pg_temp._crm_deals_source AS s
    HAVING count(*) > pg_relation_size('crm_deals.deal') / current_setting('block_size')::integer
$$;
COMMENT ON FUNCTION crm_deals_internal.import_forbid_wrong_plans() IS
    'Internal: forbids nested loops if the source has more rows than deal has pages, so that reading deal is quick.';

-- "given" are the columns of the source. "chosen" are numbers of rows; NULL stands for all.
-- access: write
CREATE FUNCTION crm_deals_internal.import_resolve(given text[], create_accounts boolean, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
SET enable_nestloop = on
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.import_forbid_wrong_plans();
    PERFORM crm_deals_internal.import_lock_deals();
    PERFORM crm_deals_internal.import_find_deals(chosen);
    PERFORM crm_deals_internal.import_fill_rows(given, create_accounts, chosen);
    PERFORM crm_deals_internal.import_refuse_values(given, chosen);
    PERFORM crm_deals_internal.import_refuse_contradictions(given, chosen);
    PERFORM crm_deals_internal.import_refuse_twins(chosen);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_resolve(text[], boolean, bigint[]) IS
    'Internal: notes in _crm_deals_rows what is to be done with each row, or why it is refused.';
