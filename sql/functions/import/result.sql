-- What import_deals() returns: an outcome for each row of the source, and for each deal that only the history has.

-- access: write
CREATE FUNCTION crm_deals_internal.import_result()
RETURNS TABLE (row_number bigint, external_id text, outcome text, deal_id bigint, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- "|| ''" copies a text: a long value that the temporary table keeps out of line is gone when the table is dropped.
    RETURN QUERY
    SELECT r._row, r.external_id || '',
           CASE WHEN r._problem IS NOT NULL THEN 'rejected'
                WHEN u.similar IS NOT NULL THEN 'flagged'
                WHEN r._is_new THEN 'created'
                WHEN d.version > r._version THEN 'updated'
                ELSE 'unchanged' END,
           CASE WHEN r._problem IS NULL OR NOT r._is_new THEN r.id END,
           left(coalesce(r._problem, nullif(concat_ws(E'\n', r._note, u.similar), '')), 4000)
    FROM pg_temp._crm_deals_rows AS r
    LEFT JOIN LATERAL (SELECT d.version FROM crm_deals.deal AS d WHERE d.id = r.id AND NOT r._is_new OFFSET 0) AS d
           ON true
    -- If a deal was renamed, it may be the other deal of a flag that was there.
    LEFT JOIN LATERAL (SELECT string_agg(format('Similar to deal %s, "%s".', o.id, o.name), E'\n'
                                         ORDER BY f.similarity DESC, o.id) AS similar
                       FROM (SELECT f.other_deal_id AS id, f.similarity FROM crm_deals.deal_duplicate AS f
                             WHERE f.deal_id = r.id AND f.resolution = 'open'
                             UNION ALL
                             SELECT f.deal_id, f.similarity FROM crm_deals.deal_duplicate AS f
                             WHERE f.other_deal_id = r.id AND f.resolution = 'open' AND NOT r._is_new) AS f
                       CROSS JOIN LATERAL (SELECT o.id, o.name FROM crm_deals.deal AS o WHERE o.id = f.id OFFSET 0) AS o
                       WHERE r._problem IS NULL AND r._writes_name AND (r._is_new OR d.version > r._version)) AS u
           ON true
    ORDER BY r._row;

    RETURN QUERY
    SELECT NULL::bigint, h.external_id || '', 'rejected', NULL::bigint,
           'The source has no row of this external_id, only the history has.'
    FROM pg_temp._crm_deals_history AS h
    WHERE NOT EXISTS (SELECT FROM pg_temp._crm_deals_rows AS r WHERE r.external_id = h.external_id)
    GROUP BY h.external_id
    ORDER BY h.external_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_result() IS
    'Internal: returns the outcome of each row.';
