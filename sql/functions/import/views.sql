-- What the source says of the deals to write, as two temporary views: _crm_deals_new has a row for each deal to insert,
-- _crm_deals_changes one for each deal that exists. Their columns are those that the INSERT and the UPDATE write.
-- Columns that begin with "_", and the id of a change, say which row it is about. Rows that are refused are in neither.

-- A deal with a history begins with its first event.
-- access: write
CREATE FUNCTION crm_deals_internal.import_values_of_new(given text[]) RETURNS TABLE (name text, value text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES ('id', 'r.id'), ('external_id', 'r.external_id'), ('name', 's.name'), ('pipeline_id', 'r.pipeline_id'),
           ('stage_id', 'coalesce(f.stage_id, r.stage_id)'), ('account_id', 'r.account_id'),
           ('primary_contact_id', 'r.primary_contact_id'),
           ('amount', 'CASE WHEN f.step IS NULL OR f.is_last OR NOT f.has_amounts THEN coalesce(f.amount, s.amount) '
                      'ELSE f.amount END'), ('currency', 's.currency'),
           ('probability', 'CASE WHEN f.is_last IS NOT FALSE AND r.closed_at IS NULL THEN s.probability END'),
           ('expected_close_date', 's.expected_close_date'),
           ('closed_at', 'CASE WHEN f.is_last IS NOT FALSE THEN r.closed_at END'),
           ('lost_reason', 'CASE WHEN f.is_last IS NOT FALSE THEN r.lost_reason ELSE f.lost_reason END'),
           ('last_open_stage_id', 'CASE WHEN f.is_last IS NOT FALSE THEN r.last_open_stage_id END'),
           ('owner', 'r.owner'), ('source', 's.source'), ('notes', 's.notes'), ('custom_fields', 'r.custom_fields'),
           ('stage_entered_at', 'CASE WHEN f.is_last IS NOT FALSE THEN r.stage_entered_at END'),
           ('created_at', 'coalesce(s.created_at, f.entered_at)'), ('updated_at', 'f.entered_at')
    UNION ALL
    SELECT o.name, format('s.%I', o.name) FROM unnest(crm_deals_internal.import_own_columns(given)) AS o (name)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_values_of_new(text[]) IS
    'Internal: lists the columns of a new deal and the expressions that give their values.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_values_of_changes(given text[]) RETURNS TABLE (name text, value text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.name, a.value
    FROM (VALUES ('name', 's.name', '{name}'::text[]),
                 ('account_id', 'r.account_id', '{account,account_id}'),
                 ('primary_contact_id', 'r.primary_contact_id', '{primary_contact,primary_contact_id}'),
                 ('pipeline_id', 'r.pipeline_id', '{pipeline,pipeline_id,stage,stage_id,status}'),
                 ('stage_id', 'r.stage_id', '{pipeline,pipeline_id,stage,stage_id,status}'),
                 ('last_open_stage_id', 'r.last_open_stage_id', '{status}'),
                 ('amount', 's.amount', '{amount}'), ('currency', 's.currency', '{currency}'),
                 ('probability', 'CASE WHEN r.closed_at IS NULL THEN s.probability END', '{probability}'),
                 ('closed_at', 'r.closed_at', '{closed_at,pipeline,pipeline_id,stage,stage_id,status}'),
                 ('stage_entered_at', 'r.stage_entered_at',
                  '{stage_entered_at,pipeline,pipeline_id,stage,stage_id,status}'),
                 ('expected_close_date', 's.expected_close_date', '{expected_close_date}'),
                 ('lost_reason', 'r.lost_reason', '{lost_reason,pipeline,pipeline_id,stage,stage_id,status}'),
                 ('owner', 'r.owner', '{owner,owner_id}'), ('source', 's.source', '{source}'),
                 ('notes', 's.notes', '{notes}')
         ) AS a (name, value, columns)
    WHERE a.columns && given
    UNION ALL
    SELECT 'custom_fields', 'r.custom_fields'
    WHERE EXISTS (SELECT FROM unnest(given) AS g (name) WHERE g.name ~ '^custom_fields')
    UNION ALL
    SELECT o.name, format('s.%I', o.name) FROM unnest(crm_deals_internal.import_own_columns(given)) AS o (name)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_values_of_changes(text[]) IS
    'Internal: lists the columns that the source gives for a deal that exists, and the expressions of their values.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_make_views(given text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    new_deals text := (SELECT string_agg(format('%s AS %I', v.value, v.name), ', ')
                       FROM crm_deals_internal.import_values_of_new(given) AS v);
    changes text := (SELECT string_agg(format('%s AS %I', v.value, v.name), ', ')
                     FROM crm_deals_internal.import_values_of_changes(given) AS v);
BEGIN
    EXECUTE format('CREATE TEMPORARY VIEW _crm_deals_new AS '
                   'SELECT r._row, f.actor AS _actor, %s '
                   'FROM pg_temp._crm_deals_rows AS r '
                   'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                   'LEFT JOIN pg_temp._crm_deals_steps AS f ON f._row = r._row AND f.step = 1 '
                   'WHERE r._is_new AND r._problem IS NULL AND NOT r._again', new_deals);
    EXECUTE format('CREATE TEMPORARY VIEW _crm_deals_changes AS '
                   'SELECT %s '
                   'FROM pg_temp._crm_deals_rows AS r '
                   'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
                   'WHERE NOT r._is_new AND r._problem IS NULL AND NOT r._again',
                   concat_ws(', ', 'r._row', 'r._version', 'r.id', changes));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_make_views(text[]) IS
    'Internal: makes the views _crm_deals_new and _crm_deals_changes.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_written_columns(view_name text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
    FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass('pg_temp.' || view_name) AND a.attnum > 0 AND a.attname !~ '^_'
      AND NOT (view_name = '_crm_deals_changes' AND a.attname = 'id')
$$;
COMMENT ON FUNCTION crm_deals_internal.import_written_columns(text) IS
    'Internal: returns the columns of one of these views that are written.';

-- A NULL of the source clears what a deal can be without, and ends an override of the probability. A user's column is
-- compared byte by byte: its type may have no equality. "d" is the deal, "n" its row in _crm_deals_changes.
-- access: write
CREATE FUNCTION crm_deals_internal.import_changes(OUT columns text, OUT changed_values text, OUT differs text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH given AS (
        SELECT c.name,
               CASE WHEN c.name IN ('currency', 'closed_at', 'stage_entered_at', 'last_open_stage_id')
                    THEN format('coalesce(n.%1$I, d.%1$I)', c.name)
                    WHEN c.name = 'probability'
                    THEN 'coalesce(n.probability, CASE WHEN NOT d.probability_overridden THEN d.probability END)'
                    ELSE format('n.%I', c.name) END AS value,
               c.name = ANY (crm_deals_internal.import_own_columns(ARRAY[c.name])) AS is_own
        FROM unnest(crm_deals_internal.import_written_columns('_crm_deals_changes')) AS c (name)
    )
    SELECT string_agg(quote_ident(g.name), ', '),
           string_agg(format('%s AS %I', g.value, g.name), ', '),
           string_agg(format(CASE WHEN g.is_own THEN 'record_image_ne(ROW(d.%I), ROW(%s))'
                                  ELSE 'd.%I IS DISTINCT FROM %s' END, g.name, g.value), ' OR ')
    FROM given AS g
$$;
COMMENT ON FUNCTION crm_deals_internal.import_changes() IS
    'Internal: returns the columns that the UPDATE sets, their values, and in which deals that is a change.';
