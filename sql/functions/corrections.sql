-- Corrections: undo_batch() and restore_deal(). The functions of the schema crm_deals_internal run as the caller. The
-- public functions (src/functions/corrections.c) call them and tell the rules what their statements mean.

-- organization and status are missing: the rules derive them.
-- access: write
CREATE FUNCTION crm_deals_internal.deal_columns() RETURNS TABLE (name text, may_be_null boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text, NOT a.attnotnull
    FROM pg_attribute AS a
    WHERE a.attrelid = 'crm_deals.deal'::regclass
      AND a.attnum > 0
      AND NOT a.attisdropped
      AND a.attgenerated = ''
      AND a.attname NOT IN ('organization', 'status')
$$;
COMMENT ON FUNCTION crm_deals_internal.deal_columns() IS
    'Internal: lists the columns of deal that a correction can write.';

-- The two arrays are aligned.
-- access: manager
CREATE FUNCTION crm_deals_internal.revert_changes(deal_ids bigint[], changes jsonb[], callers_path text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(CASE c.name WHEN 'custom_fields' THEN
                          'custom_fields = crm_deals_internal.custom_fields_before(x.custom_fields, w.changes)'
                      ELSE format('%1$I = r.%1$I', c.name) END, ', ')
    INTO columns
    FROM crm_deals_internal.deal_columns() AS c
    WHERE c.name NOT IN ('id', 'version', 'created_at', 'updated_at')
      AND EXISTS (SELECT FROM unnest(revert_changes.changes) AS w (changes), jsonb_object_keys(w.changes) AS k (key)
                  WHERE k.key = c.name OR c.name = 'custom_fields' AND starts_with(k.key, 'custom_fields.'));
    PERFORM crm_deals_internal.write_as_caller(
        callers_path,
        format('UPDATE crm_deals.deal AS d
                SET %s
                FROM unnest($1, $2) AS w (deal_id, changes)
                JOIN crm_deals.deal AS x ON x.id = w.deal_id
                CROSS JOIN LATERAL crm_deals_internal.old_row(x.*, w.changes) AS r
                WHERE d.id = w.deal_id', columns),
        deal_ids, changes);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.revert_changes(bigint[], jsonb[], text) IS
    'Internal: sets the columns that these changes are about back to their old values.';

-- The two arrays are aligned. A column that did not exist when a deal was deleted, and cannot be NULL, gets its
-- default.
-- access: manager
CREATE FUNCTION crm_deals_internal.reinsert_deleted(events bigint[], changes jsonb[], callers_path text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text;
    sources text;
BEGIN
    SELECT string_agg(format('%I', c.name), ', '),
           string_agg(CASE c.name WHEN 'version' THEN 'e.version + 1'
                                  WHEN 'updated_at' THEN 'e.occurred_at'
                                  WHEN 'custom_fields'
                                  THEN 'crm_deals_internal.custom_fields_before(NULL, w.changes)'
                                  ELSE format('r.%I', c.name) END, ', ')
    INTO columns, sources
    FROM crm_deals_internal.deal_columns() AS c
    WHERE c.may_be_null
       OR c.name = 'custom_fields'
       OR EXISTS (SELECT FROM unnest(reinsert_deleted.changes) AS w (changes) WHERE w.changes ? c.name);
    PERFORM crm_deals_internal.write_as_caller(
        callers_path,
        format('INSERT INTO crm_deals.deal (%s)
                SELECT %s
                FROM unnest($1, $2) AS w (event_id, changes)
                JOIN crm_deals.deal_event AS e ON e.id = w.event_id
                CROSS JOIN LATERAL crm_deals_internal.old_row(NULL::crm_deals.deal, w.changes) AS r
                ORDER BY e.deal_id', columns, sources),
        events, changes);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.reinsert_deleted(bigint[], jsonb[], text) IS
    'Internal: inserts deals again, as they were when these events deleted them.';

-- access: manager
CREATE FUNCTION crm_deals_internal.restore_deal(deal_id bigint, callers_path text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last record;
BEGIN
    IF EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = deal_id) THEN
        RAISE EXCEPTION 'deal % is not deleted', deal_id USING ERRCODE = '55000';
    END IF;
    SELECT e.id, e.kind, e.merged_into, e.changes
    INTO last
    FROM crm_deals.deal_event AS e
    WHERE e.deal_id = deal_id
    ORDER BY e.version DESC
    LIMIT 1;
    IF last.kind = 'merged' THEN
        RAISE EXCEPTION 'deal % was merged into deal %', deal_id, last.merged_into USING ERRCODE = '55000';
    ELSIF last.kind IS DISTINCT FROM 'deleted' THEN
        RAISE EXCEPTION 'deal % does not exist', deal_id
            USING ERRCODE = 'P0002', DETAIL = 'The log does not know of a deal of this id that was deleted.';
    END IF;
    SELECT last.id, r.readable, r.uncertain
    INTO last
    FROM crm_deals_internal.readable_changes(last.changes,
                                             last.id <= crm_deals_internal.last_session_event()) AS r;
    IF last.uncertain IS NOT NULL THEN
        RAISE EXCEPTION 'it is not certain what deal % was', deal_id USING ERRCODE = '55000', DETAIL = last.uncertain;
    END IF;
    PERFORM crm_deals_internal.reinsert_deleted(ARRAY[last.id], ARRAY[last.readable], callers_path);
    RETURN deal_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.restore_deal(bigint, text) IS
    'Internal: does the work of restore_deal() as the caller.';

-- The number of a batch is the id of its first event; the others have the same transaction and higher ids.
-- access: manager
CREATE FUNCTION crm_deals_internal.batch_events(batch_id bigint)
RETURNS TABLE (id bigint, deal_id bigint, version integer, kind text, changes jsonb, uncertain text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT e.id, e.deal_id, e.version, e.kind, r.readable, r.uncertain
    FROM crm_deals.deal_event AS f
    JOIN crm_deals.deal_event AS e ON e.transaction = f.transaction AND e.id >= f.id
    CROSS JOIN LATERAL crm_deals_internal.readable_changes(
        e.changes, e.id <= (SELECT crm_deals_internal.last_session_event())) AS r
    WHERE f.id = batch_id AND e.batch_id = batch_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % does not exist', batch_id
            USING ERRCODE = 'P0002', DETAIL = 'The log has no event of this batch, or no longer its first one.',
                  HINT = 'See column batch_id of deal_event.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.batch_events(bigint) IS
    'Internal: returns the events of a batch, that is, of one statement.';

-- access: manager
CREATE FUNCTION crm_deals_internal.undo_batch(batch_id bigint, callers_path text)
RETURNS TABLE (deal_id bigint, outcome text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- These arrays are aligned. They hold the events of the batch after which nothing happened to their deals, and
    -- whose old values are certain.
    last_ids bigint[];
    last_deals bigint[];
    last_kinds text[];
    last_changes jsonb[];
    uncertain_ids bigint[];
BEGIN
    PERFORM crm_deals_internal.enter_as_writer();
    PERFORM FROM crm_deals.deal AS d
    WHERE d.id IN (SELECT e.deal_id FROM crm_deals_internal.batch_events(batch_id) AS e)
    ORDER BY d.id
    FOR UPDATE;

    SELECT array_agg(e.id) FILTER (WHERE e.uncertain IS NULL), array_agg(e.deal_id) FILTER (WHERE e.uncertain IS NULL),
           array_agg(e.kind) FILTER (WHERE e.uncertain IS NULL),
           array_agg(e.changes) FILTER (WHERE e.uncertain IS NULL),
           array_agg(e.id) FILTER (WHERE e.uncertain IS NOT NULL)
    INTO last_ids, last_deals, last_kinds, last_changes, uncertain_ids
    FROM crm_deals_internal.batch_events(batch_id) AS e
    LEFT JOIN crm_deals.deal AS d ON d.id = e.deal_id
    WHERE CASE e.kind WHEN 'merged' THEN false
                      WHEN 'deleted' THEN d.id IS NULL
                           AND NOT EXISTS (SELECT FROM crm_deals.deal_event AS l
                                           WHERE l.deal_id = e.deal_id AND l.version > e.version)
                      ELSE d.version = e.version END;

    -- An event that changed the id from null created the deal.
    PERFORM crm_deals_internal.write_as_caller(
        callers_path, 'DELETE FROM crm_deals.deal AS d WHERE d.id = ANY ($1)', array_agg(l.deal_id))
    FROM unnest(last_deals, last_changes) AS l (deal_id, changes)
    WHERE l.changes -> 'id' -> 0 = 'null'::jsonb
    HAVING count(*) > 0;
    PERFORM crm_deals_internal.reinsert_deleted(array_agg(l.id), array_agg(l.changes), callers_path)
    FROM unnest(last_ids, last_kinds, last_changes) AS l (id, kind, changes)
    WHERE l.kind = 'deleted'
    HAVING count(*) > 0;
    PERFORM crm_deals_internal.revert_changes(array_agg(l.deal_id), array_agg(l.changes), callers_path)
    FROM unnest(last_deals, last_kinds, last_changes) AS l (deal_id, kind, changes)
    WHERE l.kind <> 'deleted' AND NOT l.changes ? 'id'
    HAVING count(*) > 0;

    RETURN QUERY
    SELECT e.deal_id,
           CASE WHEN e.id = ANY (last_ids) THEN 'reverted'
                WHEN e.id = ANY (uncertain_ids) THEN 'uncertain'
                ELSE 'changed_since' END,
           CASE WHEN e.id = ANY (last_ids) THEN NULL
                WHEN e.id = ANY (uncertain_ids) THEN e.uncertain
                WHEN e.kind = 'merged' THEN 'It was merged.'
                WHEN d.id IS NULL THEN 'It was deleted since.'
                WHEN e.kind = 'deleted' THEN 'It was restored since.'
                ELSE format('Its version is %s, that of the batch was %s.', d.version, e.version) END
    FROM crm_deals_internal.batch_events(batch_id) AS e
    LEFT JOIN crm_deals.deal AS d ON d.id = e.deal_id
    ORDER BY e.deal_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.undo_batch(bigint, text) IS
    'Internal: does the work of undo_batch() as the caller.';
