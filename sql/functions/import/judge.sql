-- Finds the rows that made a write fail. It is asked only then: it costs more than the write. It need not find all of
-- them: the triggers have the last word.

-- access: write
CREATE FUNCTION crm_deals_internal.why_not(old anyelement, new anyelement, gates boolean) RETURNS text
LANGUAGE c STABLE COST 100 AS 'MODULE_PATHNAME', 'crm_deals_why_not';
COMMENT ON FUNCTION crm_deals_internal.why_not(anyelement, anyelement, boolean) IS
    'Internal: returns the rules that a deal would break if "old", NULL for a new deal, became "new"; NULL for none.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_similar(low bigint, high bigint, threshold real, renamed bigint[],
                                                  moved bigint[])
RETURNS TABLE (row_number bigint, other_deal_id bigint, other_row bigint, similarity real)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'crm_deals_import_similar';
COMMENT ON FUNCTION crm_deals_internal.import_similar(bigint, bigint, real, bigint[], bigint[]) IS
    'Internal: returns rows that are refused as duplicates of a deal, NULL if the caller does not see it, or of a row.';

-- Rows whose account is still to be created are left out: a gate may require an account.
-- access: write
CREATE FUNCTION crm_deals_internal.import_judge_gates(low bigint, high bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed_values text;
    differs text;
    refused bigint;
BEGIN
    SELECT c.changed_values, c.differs INTO changed_values, differs FROM crm_deals_internal.import_changes() AS c;
    EXECUTE format($query$
        UPDATE pg_temp._crm_deals_rows AS r
        SET _problem = j.why
        FROM (SELECT n._row, crm_deals_internal.why_not(
                         NULL::crm_deals.deal, jsonb_populate_record(NULL::crm_deals.deal, to_jsonb(n.*)), true) AS why
              FROM pg_temp._crm_deals_new AS n
              WHERE n._row BETWEEN $1 AND $2
              UNION ALL
              SELECT n._row, crm_deals_internal.why_not(
                         d.*, jsonb_populate_record(d.*, (SELECT to_jsonb(c.*) FROM (SELECT %s) AS c)), true)
              FROM pg_temp._crm_deals_changes AS n, crm_deals.deal AS d
              WHERE d.id = n.id AND n._row BETWEEN $1 AND $2 AND (%s)) AS j
        WHERE r._row = j._row AND j.why IS NOT NULL AND NOT (r._creates_account AND r.account_id IS NULL)
        $query$, coalesce(changed_values, 'd.id'), coalesce(differs, 'false'))
    USING low, high;
    GET DIAGNOSTICS refused = ROW_COUNT;
    RETURN refused > 0;
EXCEPTION WHEN OTHERS THEN
    -- A value that does not fit into a column of the user's own, for example. Halving finds its row.
    IF crm_deals_internal.import_is_fatal(SQLSTATE) THEN
        RAISE;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge_gates(bigint, bigint) IS
    'Internal: refuses rows that break a gate or another rule; tells whether there were any.';

-- Rows are judged as if they came one after the other. For few rows halving is quicker, as this reads every deal. It
-- does not see that a rename of an earlier row makes a name free: that, too, is left to halving.
-- access: write
CREATE FUNCTION crm_deals_internal.import_judge_names(low bigint, high bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    few CONSTANT bigint := 16;
    lowest real := (SELECT min(p.duplicate_threshold)
                    FROM pg_temp._crm_deals_rows AS r JOIN crm_deals.pipeline AS p ON p.id = r.pipeline_id
                    WHERE r._row BETWEEN low AND high AND r._problem IS NULL AND p.duplicate_policy = 'reject');
    renamed bigint[];
    moved bigint[];
BEGIN
    IF lowest IS NULL OR high - low < few THEN
        RETURN false;
    END IF;
    SELECT coalesce(array_agg(d.id ORDER BY d.id) FILTER (WHERE r._writes_name), '{}'),
           coalesce(array_agg(d.id ORDER BY d.id) FILTER (WHERE r.stage_id <> d.stage_id OR r._creates_account
                                                          OR r.account_id IS DISTINCT FROM d.account_id), '{}')
    INTO renamed, moved
    FROM pg_temp._crm_deals_rows AS r JOIN crm_deals.deal AS d ON d.id = r.id
    WHERE r._row BETWEEN low AND high AND r._problem IS NULL AND NOT r._is_new AND NOT r._again;

    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = format(E'deal "%s" looks like a duplicate\n%s', s.name,
        CASE WHEN l.id IS NULL
             THEN format('Pipeline "%s" refuses names whose similarity with another deal''s is %s or more.',
                         p.name, p.duplicate_threshold)
             ELSE format('Deal %s is named "%s": the similarity is %s, and pipeline "%s" refuses from %s on.',
                         l.id, l.name, l.similarity, p.name, p.duplicate_threshold) END)
    FROM (SELECT f.row_number, f.similarity, coalesce(o.id, w.id) AS id, coalesce(o.name, v.name) AS name
          FROM crm_deals_internal.import_similar(low, high, lowest, renamed, moved) AS f
          LEFT JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
          LEFT JOIN pg_temp._crm_deals_rows AS w ON w._row = f.other_row
          LEFT JOIN pg_temp._crm_deals_source AS v ON v._row = f.other_row) AS l,
         pg_temp._crm_deals_source AS s, crm_deals.pipeline AS p
    WHERE r._row = l.row_number AND s._row = r._row AND p.id = r.pipeline_id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_judge_names(bigint, bigint) IS
    'Internal: refuses rows as duplicates; tells whether there were any.';

-- The judgement of names and the attempt are undone together: if the attempt fails, a row may go that others were
-- like, and then these are no duplicates.
-- access: write
CREATE FUNCTION crm_deals_internal.import_try_without_duplicates(low bigint, high bigint, judged boolean,
                                                                 callers_path text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_any boolean;
BEGIN
    found_any := crm_deals_internal.import_judge_names(low, high) OR judged;
    IF found_any THEN
        PERFORM crm_deals_internal.import_write_range(low, high, callers_path);
    END IF;
    RETURN found_any;
EXCEPTION WHEN OTHERS THEN
    IF crm_deals_internal.import_is_fatal(SQLSTATE) THEN
        RAISE;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_try_without_duplicates(bigint, bigint, boolean, text) IS
    'Internal: refuses duplicates and, if rows were refused, tries to write the others; tells whether it wrote them.';
