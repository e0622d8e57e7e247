-- What is to be done with each row: which deal it means, and the keys of its stage, its account and its owner.
--
-- The planner may believe that there are no deals, for example if deal was analysed while it was empty. So each row
-- looks its deal up: a LATERAL query with OFFSET 0, which the planner cannot turn round. Rows of new deals look nothing
-- up: the condition stands inside the query. src/functions/import.c sees to it that the primary key is used in any
-- table.

-- access: write
CREATE FUNCTION crm_deals_internal.import_make_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CREATE TEMPORARY TABLE pg_temp._crm_deals_stages (
        pipeline_id bigint, stage text, id bigint, problem text) ON COMMIT DROP;
    CREATE TEMPORARY TABLE pg_temp._crm_deals_found (_row bigint, deal_id bigint, pipeline_id bigint) ON COMMIT DROP;
    CREATE TEMPORARY TABLE pg_temp._crm_deals_rows ON COMMIT DROP AS
    SELECT NULL::bigint AS _row, NULL::text AS _problem, NULL::text AS _note, NULL::boolean AS _is_new,
           NULL::boolean AS _writes_name, NULL::boolean AS _again, NULL::boolean AS _creates_account,
           NULL::integer AS _version, NULL::text AS _account_organization, NULL::boolean AS _closes,
           d.id, d.external_id, d.organization, d.pipeline_id, d.stage_id, d.last_open_stage_id, d.account_id,
           d.primary_contact_id, d.owner, d.custom_fields, d.closed_at, d.stage_entered_at, d.lost_reason
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
          WHERE d.id = ANY (ARRAY(
              SELECT x.id
              FROM pg_temp._crm_deals_source AS s
              CROSS JOIN LATERAL (SELECT x.id FROM crm_deals.deal AS x WHERE x.external_id = s.external_id
                                  UNION ALL
                                  SELECT a.deal_id FROM crm_deals.deal_alias AS a
                                  WHERE a.old_external_id = s.external_id
                                  OFFSET 0) AS x
              WHERE s.external_id IS NOT NULL))
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
    SELECT s._row, x.id, coalesce(p.given_id, x.pipeline_id, p.default_id)
    FROM pg_temp._crm_deals_source AS s
    JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
    LEFT JOIN LATERAL (SELECT x.*
                       FROM (SELECT d.id, d.pipeline_id, NULL::bigint AS old_id
                             FROM crm_deals.deal AS d
                             WHERE d.external_id = s.external_id AND d.organization IS NOT DISTINCT FROM p.owner
                             UNION ALL
                             SELECT m.id, m.pipeline_id, a.old_id
                             FROM crm_deals.deal_alias AS a JOIN crm_deals.deal AS m ON m.id = a.deal_id
                             WHERE a.old_external_id = s.external_id AND m.organization IS NOT DISTINCT FROM p.owner
                            ) AS x
                       ORDER BY x.old_id DESC NULLS FIRST LIMIT 1) AS x ON s.external_id IS NOT NULL
    WHERE chosen IS NULL OR s._row = ANY (chosen);
    ANALYZE pg_temp._crm_deals_found;

    PERFORM crm_deals_internal.import_find_stages(array_agg(w.pipeline_id), array_agg(w.stage))
    FROM (SELECT DISTINCT f.pipeline_id, s.stage
          FROM pg_temp._crm_deals_found AS f
          JOIN pg_temp._crm_deals_source AS s ON s._row = f._row
          WHERE f.pipeline_id IS NOT NULL AND s.stage IS NOT NULL) AS w (pipeline_id, stage)
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_deals(bigint[]) IS
    'Internal: fills _crm_deals_found with the deal and the pipeline of each row, or of the chosen ones.';

-- The stage of a row follows from what it says:
--
--   a stage, and its status or none           that stage
--   an open stage and a closed status         the first stage of that status; the open one is the last open stage
--   a status alone                            the first stage of it; a deal that has it stays
--   nothing                                   a deal stays; in another pipeline: the first stage of its status
--
-- "d" is the deal that is there, "t" the stage named, "w" the status meant.
-- access: write
CREATE FUNCTION crm_deals_internal.import_stages_of_rows(chosen bigint[])
RETURNS TABLE (_row bigint, stage_id bigint, pipeline_id bigint, last_open_stage_id bigint, problem text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT j._row, CASE WHEN j.problem IS NULL THEN coalesce(j.stage_id, f.id) END, j.pipeline_id,
           CASE WHEN j.problem IS NULL AND j.stage_id IS NULL AND j.named_status = 'open' AND j.wanted <> 'open'
                THEN j.named_id END,
           CASE WHEN j.problem IS NOT NULL THEN j.problem
                WHEN j.stage_id IS NULL AND f.id IS NULL AND j.pipeline_id IS NOT NULL
                THEN format('The pipeline has no stage of status "%s".', j.wanted) END
    FROM (SELECT x._row, x.pipeline_id, t.id AS named_id, t.status::text AS named_status,
                 coalesce(w.status, CASE WHEN t.id IS NULL THEN x.status END, 'open') AS wanted,
                 -- the stage, unless it is the first one of a status
                 CASE WHEN t.id IS NOT NULL AND (w.status IS NULL OR w.status = t.status::text) THEN t.id
                      WHEN x.deal_pipeline_id = x.pipeline_id AND coalesce(w.status, x.status) = x.status
                           AND (t.id IS NULL OR w.status <> 'open') THEN x.deal_stage_id END AS stage_id,
                 CASE WHEN x.status_word IS NOT NULL AND w.status IS NULL
                      THEN format('Status "%s" is unknown. There are open, won, lost and abandoned.', x.status_word)
                      WHEN m.problem IS NOT NULL THEN m.problem
                      WHEN x.stage_id IS NOT NULL AND t.id IS NULL
                      THEN format('Stage %s does not exist.', x.stage_id)
                      WHEN t.status <> 'open' AND t.status::text <> w.status
                      THEN format('Status "%s" contradicts stage "%s", which is %s. Leave one of them out.',
                                  x.status_word, t.name, t.status) END AS problem
          FROM (SELECT f._row, f.pipeline_id, s.stage, s.stage_id, s.status AS status_word,
                       d.pipeline_id AS deal_pipeline_id, d.stage_id AS deal_stage_id, d.status::text AS status
                FROM pg_temp._crm_deals_found AS f
                JOIN pg_temp._crm_deals_source AS s ON s._row = f._row
                LEFT JOIN LATERAL (SELECT d.pipeline_id, d.stage_id, d.status
                                   FROM crm_deals.deal AS d WHERE d.id = f.deal_id OFFSET 0) AS d
                       ON f.deal_id IS NOT NULL
                WHERE import_stages_of_rows.chosen IS NULL
                   OR f._row = ANY (import_stages_of_rows.chosen)) AS x
          LEFT JOIN (SELECT v.status_word, crm_deals_internal.import_status(v.status_word) AS status
                     FROM (SELECT DISTINCT s.status FROM pg_temp._crm_deals_source AS s
                           WHERE s.status IS NOT NULL OFFSET 0) AS v (status_word)) AS w
                 ON w.status_word = x.status_word
          LEFT JOIN pg_temp._crm_deals_stages AS m ON m.pipeline_id = x.pipeline_id AND m.stage = x.stage
          LEFT JOIN crm_deals.stage AS t ON t.id = CASE WHEN x.stage IS NOT NULL THEN m.id ELSE x.stage_id END) AS j
    LEFT JOIN crm_deals_internal.import_first_stages() AS f
           ON f.pipeline_id = j.pipeline_id AND f.status = j.wanted
$$;
COMMENT ON FUNCTION crm_deals_internal.import_stages_of_rows(bigint[]) IS
    'Internal: returns the stage of each row.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_fill_rows(given text[], create_accounts boolean, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    by_id boolean := 'account_id' = ANY (given);    -- how the source gives accounts and owners
    by_name boolean := 'account' = ANY (given);
    owner_by_id boolean := 'owner_id' = ANY (given);
    gives_fields boolean := EXISTS (SELECT FROM unnest(given) AS g (name) WHERE g.name ~ '^custom_fields');
BEGIN
    INSERT INTO pg_temp._crm_deals_rows (
        _row, _problem, _is_new, _writes_name, _again, _creates_account, _version, _account_organization,
        id, external_id, organization, pipeline_id, stage_id, last_open_stage_id, account_id, primary_contact_id, owner,
        custom_fields)
    SELECT j._row, nullif(concat_ws(E'\n', j.problem, j.pipeline_problem, j.stage_problem,
                                    CASE WHEN NOT j.creates_account THEN j.account_problem END, j.owner_problem), ''),
           j.is_new, j.writes_name, false, j.creates_account, j.version, j.account_organization,
           CASE WHEN j.is_new THEN crm_deals_internal.next_deal_id() ELSE j.deal_id END,
           j.external_id, j.organization, j.pipeline_id, j.stage_id, j.last_open_stage_id, j.account_id,
           j.primary_contact_id, j.owner, j.custom_fields
    FROM (
        SELECT s._row, s._problem AS problem, s.external_id, d.id AS deal_id, d.version,
               t.stage_id, coalesce(g.pipeline_id, t.pipeline_id) AS pipeline_id, t.last_open_stage_id,
               d.id IS NULL AS is_new, d.id IS NULL OR s.name <> d.name AS writes_name,
               CASE WHEN d.id IS NULL THEN p.owner ELSE d.organization END AS organization,
               coalesce(p.owner, p.searched) AS account_organization,
               CASE WHEN by_id THEN s.account_id WHEN by_name THEN a.key ELSE d.account_id END AS account_id,
               a.problem AS account_problem, s.primary_contact_id,
               CASE WHEN owner_by_id THEN s.owner_id ELSE o.key END AS owner, o.problem AS owner_problem,
               create_accounts AND a.is_missing IS TRUE AS creates_account,
               CASE WHEN NOT gives_fields THEN coalesce(d.custom_fields, '{}')
                    ELSE crm_deals_internal.import_merged(
                             CASE WHEN d.id IS NOT NULL AND 'custom_fields' <> ALL (given) THEN d.custom_fields
                                  ELSE coalesce(s.custom_fields, '{}') END,
                             CASE WHEN s._fields IS NOT NULL
                                  THEN crm_deals_internal.import_fields(s._fields, p.owner) END) END AS custom_fields,
               coalesce(p.problem, CASE WHEN t.pipeline_id IS NULL THEN 'There is no default pipeline.' END)
                   AS pipeline_problem,
               t.problem AS stage_problem
        FROM crm_deals_internal.import_stages_of_rows(chosen) AS t
        JOIN pg_temp._crm_deals_found AS f ON f._row = t._row
        JOIN pg_temp._crm_deals_source AS s ON s._row = t._row
        JOIN pg_temp._crm_deals_pipelines AS p ON p._place = s._place
        LEFT JOIN crm_deals.stage AS g ON g.id = t.stage_id
        LEFT JOIN LATERAL (SELECT d.* FROM crm_deals.deal AS d WHERE d.id = f.deal_id OFFSET 0) AS d
               ON f.deal_id IS NOT NULL
        LEFT JOIN pg_temp._crm_deals_accounts AS a
               ON a.name = s.account AND a.organization IS NOT DISTINCT FROM coalesce(p.owner, p.searched)
        LEFT JOIN pg_temp._crm_deals_owners AS o ON o.name = s.owner
        ORDER BY s._row
        OFFSET 0) AS j;
    ANALYZE pg_temp._crm_deals_rows;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fill_rows(text[], boolean, bigint[]) IS
    'Internal: adds the rows, or the chosen ones, to _crm_deals_rows, with keys in place of texts.';

-- The rows must be there already: a contact is looked for in the account of its row first.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fill_contacts(given text[], chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF 'primary_contact' <> ALL (given) THEN
        RETURN;
    END IF;
    PERFORM crm_deals_internal.import_find_names('contact', true);
    UPDATE pg_temp._crm_deals_rows AS r
    SET primary_contact_id = c.key, _problem = nullif(concat_ws(E'\n', r._problem, c.problem), '')
    FROM pg_temp._crm_deals_source AS s, pg_temp._crm_deals_contacts AS c
    WHERE s._row = r._row AND c.name = s.primary_contact AND (chosen IS NULL OR r._row = ANY (chosen))
      AND c.organization IS NOT DISTINCT FROM r._account_organization
      AND c.account IS NOT DISTINCT FROM r.account_id::text;
    DROP TABLE pg_temp._crm_deals_contacts;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fill_contacts(text[], bigint[]) IS
    'Internal: finds the primary contacts of the rows.';

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

-- "given" are the columns of the source. "chosen" are numbers of rows; NULL stands for all.
-- access: write
CREATE FUNCTION crm_deals_internal.import_resolve(given text[], create_accounts boolean, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.import_lock_deals();
    PERFORM crm_deals_internal.import_find_deals(chosen);
    PERFORM crm_deals_internal.import_fill_rows(given, create_accounts, chosen);
    PERFORM crm_deals_internal.import_fill_contacts(given, chosen);
    PERFORM crm_deals_internal.import_refuse_values(given, chosen);
    PERFORM crm_deals_internal.import_refuse_twins(chosen);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_resolve(text[], boolean, bigint[]) IS
    'Internal: notes in _crm_deals_rows what is to be done with each row, or why it is refused.';
