-- Corrections: undo_batch() and restore_deal(). The functions of the schema crm_deals_internal run as the caller. The
-- public functions (src/functions/corrections.c) call them and tell the rules what their statements mean: they hand out
-- a ticket, and only statements that are run with it are exempt (src/base/write_context.h).

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
-- access: write
CREATE FUNCTION crm_deals_internal.revert_changes(deal_ids bigint[], changes jsonb[], ticket text)
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
    IF columns IS NULL THEN
        RETURN;
    END IF;
    PERFORM crm_deals_internal.write_as_caller(
        ticket,
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
-- access: write
CREATE FUNCTION crm_deals_internal.reinsert_deleted(events bigint[], changes jsonb[], ticket text)
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
        ticket,
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

-- ----------
-- What can be put back
-- ----------

-- Restoring asks for no gate. But a deal goes only where a board shows it, and nobody can say why it was lost if its
-- stage means so only since. "lost_reason" is the deal's reason if the changes do not say which one it had.
-- access: write
CREATE FUNCTION crm_deals_internal.no_way_back(changes jsonb, old_status text, lost_reason text,
                                               OUT broken text, OUT detail text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    back bigint := changes -> 'stage_id' ->> 0;
    stage record;
BEGIN
    IF back IS NULL THEN
        RETURN;
    END IF;
    SELECT s.id, s.name, s.status::text AS status, s.archived_at, p.lost_reason_required
    INTO stage
    FROM crm_deals.stage AS s JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id
    WHERE s.id = back;
    IF stage.id IS NULL THEN
        broken := 'deal_stage_fkey';
        detail := format('Its stage %s is gone.', back);
    ELSIF stage.archived_at IS NOT NULL THEN
        broken := 'deal_stage_archived';
        detail := format('Its stage "%s" is archived: no board would show it.', stage.name);
    ELSIF stage.status = 'lost' AND old_status <> 'lost' AND stage.lost_reason_required
          AND btrim(coalesce(CASE WHEN changes ? 'lost_reason' THEN changes -> 'lost_reason' ->> 0
                                  ELSE lost_reason END, '')) = '' THEN
        broken := 'deal_lost_reason';
        detail := format('Its stage "%s" is lost now, and it has no lost reason.', stage.name);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.no_way_back(jsonb, text, text) IS
    'Internal: says which rule keeps a deal from the stage that it was in, NULL if none does.';

-- What the stage or the catalogue of reasons made of a deal that is back.
-- access: write
CREATE FUNCTION crm_deals_internal.what_differs(deal_id bigint, changes jsonb, old_status text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(concat_ws(' ',
               CASE WHEN what_differs.changes ? 'stage_id' AND d.status::text <> what_differs.old_status
                    THEN format('Its stage "%s" is %s now; it was %s.', s.name, d.status, what_differs.old_status) END,
               CASE WHEN what_differs.changes ? 'lost_reason'
                         AND EXISTS (SELECT FROM crm_deals.lost_reason AS l WHERE l.pipeline_id = d.pipeline_id)
                         AND NOT EXISTS (SELECT FROM crm_deals.lost_reason AS l
                                         WHERE l.pipeline_id = d.pipeline_id AND l.name = d.lost_reason)
                    THEN format('The lost reason "%s" is not in the catalogue any more.', d.lost_reason) END,
               CASE WHEN what_differs.changes -> 'external_id' ->> 0 <> coalesce(d.external_id, '')
                    THEN 'Its external id belongs to another deal now.' END,
               CASE WHEN what_differs.changes -> 'name' ->> 0 = '[redacted]' THEN 'It was redacted.' END), '')
    FROM crm_deals.deal AS d
    JOIN crm_deals.stage AS s ON s.id = d.stage_id
    WHERE d.id = what_differs.deal_id
$$;
COMMENT ON FUNCTION crm_deals_internal.what_differs(bigint, jsonb, text) IS
    'Internal: says how a deal that is back differs from what it was.';

-- access: write
CREATE FUNCTION crm_deals_internal.why_unchanged(deal_id bigint, changes jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN NOT why_unchanged.changes ? 'stage_id'
                     AND (why_unchanged.changes ? 'status'
                          OR why_unchanged.changes ? 'probability' AND NOT d.probability_overridden)
                THEN format('It follows its stage "%s": status %s, probability %s.', s.name, d.status, d.probability)
                ELSE 'It has the old values, or a trigger, a rule or row security let it stay.' END
    FROM crm_deals.deal AS d
    JOIN crm_deals.stage AS s ON s.id = d.stage_id
    WHERE d.id = why_unchanged.deal_id
$$;
COMMENT ON FUNCTION crm_deals_internal.why_unchanged(bigint, jsonb) IS
    'Internal: says why undo_batch() changed nothing.';

-- ----------
-- restore_deal()
-- ----------

-- access: manager
CREATE FUNCTION crm_deals_internal.restore_deal(deal_id bigint, ticket text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last record;
    refusal record;
BEGIN
    IF EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = deal_id) THEN
        RAISE EXCEPTION 'deal % is not deleted', deal_id USING ERRCODE = '55000';
    END IF;
    SELECT e.id, e.batch_id, e.kind, e.merged_into, e.from_status::text AS status, e.changes
    INTO last
    FROM crm_deals.deal_event AS e
    WHERE e.deal_id = deal_id
    ORDER BY e.version DESC
    LIMIT 1;
    IF last.kind = 'merged' THEN
        RAISE EXCEPTION 'deal % was merged into deal %', deal_id, last.merged_into
            USING ERRCODE = '55000', HINT = format('undo_batch(%s) undoes the merge.', last.batch_id);
    ELSIF last.kind IS DISTINCT FROM 'deleted' THEN
        RAISE EXCEPTION 'deal % does not exist', deal_id
            USING ERRCODE = 'P0002', DETAIL = 'The log does not know of a deal of this id that was deleted.';
    END IF;
    SELECT last.id, last.status, r.readable, r.uncertain
    INTO last
    FROM crm_deals_internal.readable_changes(last.changes,
                                             last.id <= crm_deals_internal.last_session_event()) AS r;
    IF last.uncertain IS NOT NULL THEN
        RAISE EXCEPTION 'it is not certain what deal % was', deal_id USING ERRCODE = '55000', DETAIL = last.uncertain;
    END IF;
    SELECT n.broken, n.detail INTO refusal FROM crm_deals_internal.no_way_back(last.readable, last.status, NULL) AS n;
    IF refusal.broken IS NOT NULL THEN
        RAISE EXCEPTION 'deal % cannot be restored', deal_id
            USING ERRCODE = CASE refusal.broken WHEN 'deal_stage_fkey' THEN '23503' ELSE '23514' END,
                  DETAIL = refusal.detail, SCHEMA = 'crm_deals', TABLE = 'deal', CONSTRAINT = refusal.broken,
                  COLUMN = CASE refusal.broken WHEN 'deal_lost_reason' THEN 'lost_reason' ELSE 'stage_id' END,
                  HINT = CASE refusal.broken
                             WHEN 'deal_stage_archived' THEN 'Set archived_at of the stage to NULL, then restore it.'
                             WHEN 'deal_lost_reason' THEN 'Change the status of the stage, then restore it.'
                             ELSE 'Create it anew; the log has what it was.' END;
    END IF;
    PERFORM crm_deals_internal.reinsert_deleted(ARRAY[last.id], ARRAY[last.readable], ticket);
    RETURN deal_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.restore_deal(bigint, text) IS
    'Internal: does the work of restore_deal() as the caller.';

-- ----------
-- undo_batch(): the batch
-- ----------

-- The values of several changes of a deal, the earliest first: the old values are those of the first change.
-- access: write
CREATE FUNCTION crm_deals_internal.folded_changes(changes jsonb[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN cardinality(folded_changes.changes) = 1 THEN folded_changes.changes[1]
           ELSE (SELECT jsonb_object_agg(c.key, c.value ORDER BY l.place DESC)
                 FROM unnest(folded_changes.changes) WITH ORDINALITY AS l (changes, place)
                 CROSS JOIN LATERAL jsonb_each(l.changes) AS c) END
$$;
COMMENT ON FUNCTION crm_deals_internal.folded_changes(jsonb[]) IS
    'Internal: makes one change of the changes that a batch made to a deal.';

-- An import writes several events of a deal. If the earliest that is left is no creation, the log may have lost some.
-- access: write
CREATE FUNCTION crm_deals_internal.pruned_import(deal_id bigint, version integer, is_import boolean) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'Its earlier events were pruned, so the log may not have all that the import did.'
    WHERE pruned_import.is_import
      AND pruned_import.version > 1
      AND NOT EXISTS (SELECT FROM crm_deals.deal_event AS e
                      WHERE e.deal_id = pruned_import.deal_id AND e.version = pruned_import.version - 1)
$$;
COMMENT ON FUNCTION crm_deals_internal.pruned_import(bigint, integer, boolean) IS
    'Internal: says that events of an import may be missing before this version of a deal, or returns NULL.';

-- The number of a batch is the id of its first event; the others have the same transaction and higher ids. An import
-- writes several events of a deal, so the event here is the deal's last one.
-- access: write
CREATE FUNCTION crm_deals_internal.deals_of_batch(batch_id bigint, actor text)
RETURNS TABLE (deal_id bigint, event_id bigint, version integer, kind text, merged_into bigint, old_status text,
               changes jsonb, uncertain text, is_own boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT e.deal_id, max(e.id), max(e.version), (array_agg(e.kind ORDER BY e.version DESC))[1], max(e.merged_into),
           (array_agg(e.from_status::text ORDER BY e.version))[1],
           crm_deals_internal.folded_changes(array_agg(r.readable ORDER BY e.version)),
           nullif(concat_ws(
               ' ',
               string_agg(CASE WHEN e.kind = 'merged' AND e.id <= crm_deals_internal.last_session_event()
                               THEN 'Release 0.1 merged it, and did not record what moved.' ELSE r.uncertain END,
                          ' ' ORDER BY e.version),
               crm_deals_internal.pruned_import(e.deal_id, min(e.version), bool_or(e.origin = 'import'))), ''),
           bool_and(e.actor = actor AND e.session_user_name = session_user)
    FROM crm_deals.deal_event AS f
    JOIN crm_deals.deal_event AS e ON e.transaction = f.transaction AND e.id >= f.id
    CROSS JOIN LATERAL crm_deals_internal.readable_changes(
        e.changes, e.id <= (SELECT crm_deals_internal.last_session_event())) AS r
    WHERE f.id = batch_id AND e.batch_id = batch_id
    GROUP BY e.deal_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % does not exist', batch_id
            USING ERRCODE = 'P0002', DETAIL = 'The log has no event of this batch, or no longer its first one.',
                  HINT = 'See column batch_id of deal_event.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deals_of_batch(bigint, text) IS
    'Internal: returns what a batch, that is, one statement, did to each deal.';

-- The deals may be gone, or hidden from the caller.
-- access: write
CREATE FUNCTION crm_deals_internal.place_of_deal(deal_id bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.id
    FROM crm_deals.deal AS d
    WHERE d.id = place_of_deal.deal_id
       OR d.id = (SELECT a.deal_id FROM crm_deals.deal_alias AS a WHERE a.old_id = place_of_deal.deal_id)
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_deals_internal.place_of_deal(bigint) IS
    'Internal: returns the deal itself or the one that it was merged into, NULL if there is none.';

-- access: write
CREATE FUNCTION crm_deals_internal.lock_batch(batch_id bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm_deals_internal.enter_as_writer();
    PERFORM FROM crm_deals.deal AS d
    WHERE d.id IN (SELECT p.deal_id
                   FROM crm_deals.deal_event AS f
                   JOIN crm_deals.deal_event AS e ON e.transaction = f.transaction AND e.id >= f.id
                   CROSS JOIN LATERAL (SELECT e.deal_id
                                       UNION ALL
                                       SELECT crm_deals_internal.place_of_deal(e.merged_into)
                                       WHERE e.merged_into IS NOT NULL) AS p
                   WHERE f.id = lock_batch.batch_id AND e.batch_id = lock_batch.batch_id)
    ORDER BY d.id
    FOR UPDATE;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.lock_batch(bigint) IS
    'Internal: locks the deals of a batch, in the order of their ids.';

-- ----------
-- undo_batch(): what can be undone
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.unchanged_values(deal anyelement, changes jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- An amount and its currency are one value.
    SELECT coalesce(jsonb_object_agg(u.key, u.value), '{}')
    FROM (SELECT c.key, c.value,
                 bool_and(c.value -> 1 = coalesce(
                     CASE WHEN starts_with(c.key, 'custom_fields.')
                          THEN w.row #> ARRAY['custom_fields', '0', substr(c.key, length('custom_fields.') + 1)]
                          ELSE w.row -> c.key -> 0 END, 'null'))
                 OVER (PARTITION BY CASE c.key WHEN 'currency' THEN 'amount' ELSE c.key END) AS is_unchanged
          FROM crm_deals_internal.logged_row(unchanged_values.deal) AS w (row),
               jsonb_each(unchanged_values.changes) AS c) AS u
    WHERE u.is_unchanged
$$;
COMMENT ON FUNCTION crm_deals_internal.unchanged_values(anyelement, jsonb) IS
    'Internal: returns those changes of a deal whose new values it still has.';

-- What to do with each deal of the batch: "step" is delete, insert, revert, or merge for both deals of a merge. A deal
-- without a step is left alone.
-- access: write
CREATE FUNCTION crm_deals_internal.undo_plan(batch_id bigint, actor text)
RETURNS TABLE (deal_id bigint, event_id bigint, kind text, version integer, old_status text, is_own boolean,
               step text, changes jsonb, outcome text, detail text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH batch AS (
        SELECT b.*, d.id IS NOT NULL AS is_there, d.version AS current_version, d.lost_reason AS current_reason,
               b.kind IN ('deleted', 'merged') AS is_deletion,
               (b.changes -> 'id' -> 0 = 'null') IS TRUE AS is_creation,
               (b.deal_id = max(b.merged_into) OVER ()) IS TRUE AS is_survivor,
               CASE WHEN b.deal_id = max(b.merged_into) OVER () AND d.id IS NOT NULL
                    THEN crm_deals_internal.unchanged_values(d.*, b.changes) END AS unchanged
        FROM crm_deals_internal.deals_of_batch(undo_plan.batch_id, undo_plan.actor) AS b
        LEFT JOIN crm_deals.deal AS d ON d.id = b.deal_id
    ), judged AS (
        SELECT b.*, n.detail AS no_way,
               EXISTS (SELECT FROM crm_deals.deal_event AS l
                       WHERE l.deal_id = b.deal_id AND l.version > b.version) AS has_later,
               b.is_creation AND EXISTS (SELECT FROM crm_deals.deal_event AS l
                                         WHERE l.deal_id = b.deal_id AND l.version = b.version - 1
                                           AND l.kind = 'merged') AS is_return
        FROM batch AS b
        CROSS JOIN LATERAL crm_deals_internal.no_way_back(b.changes, b.old_status, b.current_reason) AS n
    ), found AS (
        SELECT j.*, CASE
            WHEN j.is_deletion AND j.is_there THEN 'It was restored since.'
            WHEN j.is_deletion AND j.has_later THEN 'It was restored since, and is gone again.'
            WHEN NOT j.is_deletion AND NOT j.is_there THEN
                coalesce((SELECT format('It was merged into deal %s since.', a.deal_id)
                          FROM crm_deals.deal_alias AS a JOIN crm_deals.deal AS m ON m.id = a.deal_id
                          WHERE a.old_id = j.deal_id), 'It was deleted since.')
            WHEN j.is_survivor AND j.unchanged = '{}' THEN 'What it took from the other deal was changed since.'
            WHEN NOT j.is_survivor AND j.current_version <> j.version THEN
                format('Its version is %s, that of the batch was %s.', j.current_version, j.version)
            WHEN NOT j.is_creation AND j.no_way IS NOT NULL THEN j.no_way
            WHEN j.is_return THEN 'It came back from a merge. merge_deals() merges it again.'
            END AS since
        FROM judged AS j
    )
    SELECT f.deal_id, f.event_id, f.kind, f.version, f.old_status, f.is_own,
           CASE WHEN f.since IS NOT NULL OR f.uncertain IS NOT NULL OR f.stays_merged THEN NULL
                WHEN f.kind = 'merged' OR f.is_survivor THEN 'merge'
                WHEN f.is_deletion THEN 'insert'
                WHEN f.is_creation THEN 'delete'
                ELSE 'revert' END,
           CASE WHEN f.is_survivor THEN f.unchanged ELSE f.changes END,
           CASE WHEN f.since IS NOT NULL THEN 'changed_since'
                WHEN f.uncertain IS NOT NULL THEN 'uncertain'
                WHEN f.stays_merged THEN 'unchanged' END,
           CASE WHEN f.since IS NOT NULL THEN f.since
                WHEN f.uncertain IS NOT NULL THEN f.uncertain
                WHEN f.stays_merged THEN 'The other deal does not come back.'
                WHEN f.is_survivor AND f.unchanged <> f.changes THEN
                    format('These stay, because they were changed since: %s.',
                           (SELECT string_agg(k.key, ', ' ORDER BY k.key)
                            FROM jsonb_object_keys(f.changes) AS k (key) WHERE NOT f.unchanged ? k.key)) END
    FROM (SELECT o.*, o.is_survivor
                 AND max(coalesce(o.since, o.uncertain)) FILTER (WHERE o.kind = 'merged') OVER () IS NOT NULL
                 AS stays_merged
          FROM found AS o) AS f
$$;
COMMENT ON FUNCTION crm_deals_internal.undo_plan(bigint, text) IS
    'Internal: returns what undo_batch() does with each deal of a batch.';

-- Level write may undo what it did itself, as long as nothing was built on it.
-- access: write
CREATE FUNCTION crm_deals_internal.check_may_undo(batch_id bigint, is_own boolean, changed_deal bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM pg_proc AS p
               WHERE p.pronamespace = 'crm_deals_internal'::regnamespace AND p.proname = 'restore_deal'
                 AND has_function_privilege(p.oid, 'EXECUTE')) THEN
        RETURN;    -- level manager
    END IF;
    -- The survivor of a merge may have got no value, and then it has no event in the batch.
    changed_deal := coalesce(changed_deal,
                             (SELECT min(l.deal_id)
                              FROM crm_deals.deal_event AS e
                              JOIN crm_deals.deal_event AS l ON l.deal_id = e.merged_into
                                  AND l.occurred_at > e.occurred_at AND l.batch_id <> batch_id
                              WHERE e.id = batch_id));
    IF is_own IS NOT TRUE OR changed_deal IS NOT NULL THEN
        RAISE EXCEPTION 'permission denied to undo batch %', batch_id
            USING ERRCODE = '42501',
                  DETAIL = 'Level write may undo a batch that is wholly its own, and of which no deal has changed '
                           'since. '
                           || CASE WHEN is_own IS NOT TRUE
                                   THEN 'This batch has events of another actor or session user.'
                                   ELSE format('Deal %s has changed.', changed_deal) END,
                  HINT = 'A role of level manager may undo every batch.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_may_undo(bigint, boolean, bigint) IS
    'Internal: refuses to undo a batch to a role of level write that did not make it, or not last.';

-- ----------
-- undo_batch(): doing it
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.without_taken_external_id(changes jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM crm_deals.deal AS d
                             WHERE d.external_id = c.changes -> 'external_id' ->> 0
                               AND d.organization IS NOT DISTINCT FROM c.changes -> 'organization' ->> 0)
                THEN c.changes - 'external_id'::text ELSE c.changes END
    FROM (VALUES (without_taken_external_id.changes)) AS c (changes)
$$;
COMMENT ON FUNCTION crm_deals_internal.without_taken_external_id(jsonb) IS
    'Internal: returns the changes of a deletion without the external id if another deal has it now.';

-- A deal whose status changed, but not its stage, followed its stage, and still does.
-- access: write
CREATE FUNCTION crm_deals_internal.without_the_stages_doing(changes jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN c.changes ? 'status' AND NOT c.changes ?| '{stage_id,id}'
                THEN c.changes - ARRAY['status', 'closed_at', 'lost_reason', 'probability', 'probability_overridden',
                                         'stage_entered_at', 'last_open_stage_id']
                ELSE c.changes END
    FROM (VALUES (without_the_stages_doing.changes)) AS c (changes)
$$;
COMMENT ON FUNCTION crm_deals_internal.without_the_stages_doing(jsonb) IS
    'Internal: returns the changes of a deal without those that followed from a change of its stage''s status.';

-- The arrays are aligned. Of a merge the survivor comes first: it may have got the external id of the duplicate.
-- access: write
CREATE FUNCTION crm_deals_internal.undo_step(step text, kinds text[], deals bigint[], events bigint[], changes jsonb[],
                                             ticket text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF step = 'delete' THEN
        PERFORM crm_deals_internal.write_as_caller(
            ticket, 'DELETE FROM crm_deals.deal AS d WHERE d.id = ANY ($1)', deals);
    ELSIF step = 'insert' THEN
        PERFORM crm_deals_internal.reinsert_deleted(events, changes, ticket);
    ELSIF step = 'revert' THEN
        PERFORM crm_deals_internal.revert_changes(
            deals, ARRAY(SELECT crm_deals_internal.without_the_stages_doing(c.changes)
                         FROM unnest(changes) WITH ORDINALITY AS c (changes, place) ORDER BY c.place), ticket);
    ELSE
        PERFORM crm_deals_internal.revert_changes(array_agg(m.deal), array_agg(m.changes), ticket)
        FROM unnest(kinds, deals, changes) AS m (kind, deal, changes) WHERE m.kind <> 'merged'
        HAVING count(*) > 0;
        PERFORM crm_deals_internal.reinsert_deleted(
            array_agg(m.event), array_agg(crm_deals_internal.without_taken_external_id(m.changes)), ticket)
        FROM unnest(kinds, events, changes) AS m (kind, event, changes) WHERE m.kind = 'merged'
        HAVING count(*) > 0;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.undo_step(text, text[], bigint[], bigint[], jsonb[], text) IS
    'Internal: does one of the steps of undo_batch() with deals of the batch.';

-- If a constraint or a trigger refuses one of the deals, each half is tried alone, and at last each deal. Returns
-- {"deal": [outcome, detail]} of those that were refused. The deals of a merge are tried together only.
-- access: write
CREATE FUNCTION crm_deals_internal.try_undo_step(step text, kinds text[], deals bigint[], events bigint[],
                                                 changes jsonb[], ticket text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n integer := cardinality(deals);
    middle integer := n / 2;
    message text;
    explanation text;
    is_taken boolean;
BEGIN
    BEGIN
        PERFORM crm_deals_internal.undo_step(step, kinds, deals, events, changes, ticket);
        RETURN '{}';
    EXCEPTION WHEN integrity_constraint_violation OR raise_exception OR triggered_action_exception THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, explanation = PG_EXCEPTION_DETAIL;
        is_taken := SQLSTATE IN ('23503', '23505');
    END;
    IF n > 1 AND step <> 'merge' THEN
        RETURN crm_deals_internal.try_undo_step(step, kinds[:middle], deals[:middle], events[:middle],
                                                changes[:middle], ticket)
               || crm_deals_internal.try_undo_step(step, kinds[middle + 1:], deals[middle + 1:], events[middle + 1:],
                                                   changes[middle + 1:], ticket);
    END IF;
    RETURN (SELECT jsonb_object_agg(d.id, jsonb_build_array(
                       CASE WHEN is_taken THEN 'changed_since' ELSE 'rejected' END,
                       concat_ws(' ', upper(left(message, 1)) || substr(message, 2) || '.', nullif(explanation, ''))))
            FROM unnest(deals) AS d (id));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.try_undo_step(text, text[], bigint[], bigint[], jsonb[], text) IS
    'Internal: does one of the steps of undo_batch(), and returns which deals refused it, and why.';

-- access: write
CREATE FUNCTION crm_deals_internal.undo_batch(batch_id bigint, actor text, ticket text)
RETURNS TABLE (deal_id bigint, outcome text, detail text, merged_event bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- The plan, as aligned arrays
    deals bigint[]; events bigint[]; kinds text[]; versions integer[]; statuses text[]; steps text[];
    changes jsonb[]; outcomes text[]; details text[];
    is_own boolean; changed bigint;
    refused jsonb := '{}';
BEGIN
    PERFORM crm_deals_internal.lock_batch(batch_id);
    SELECT array_agg(p.deal_id), array_agg(p.event_id), array_agg(p.kind), array_agg(p.version),
           array_agg(p.old_status), array_agg(p.step), array_agg(p.changes), array_agg(p.outcome), array_agg(p.detail),
           bool_and(p.is_own), min(p.deal_id) FILTER (WHERE p.outcome = 'changed_since')
    INTO deals, events, kinds, versions, statuses, steps, changes, outcomes, details, is_own, changed
    FROM crm_deals_internal.undo_plan(batch_id, actor) AS p;
    PERFORM crm_deals_internal.check_may_undo(batch_id, is_own, changed);

    SELECT coalesce(jsonb_object_agg(r.key, r.value), '{}')
    INTO refused
    FROM (SELECT p.step, array_agg(p.kind) AS kinds, array_agg(p.deal) AS deals, array_agg(p.event) AS events,
                 array_agg(p.changes) AS changes
          FROM unnest(steps, kinds, deals, events, changes) AS p (step, kind, deal, event, changes)
          WHERE p.step IS NOT NULL
          GROUP BY p.step
          ORDER BY p.step = 'revert') AS w
    CROSS JOIN LATERAL crm_deals_internal.try_undo_step(w.step, w.kinds, w.deals, w.events, w.changes,
                                                        ticket) AS t (refused)
    CROSS JOIN LATERAL jsonb_each(t.refused) AS r;

    RETURN QUERY
    SELECT o.deal, o.outcome,
           -- Most deals are as they were, so the function is not asked about them.
           CASE WHEN o.outcome = 'reverted' AND (o.is_otherwise OR o.changes ?| '{lost_reason,external_id}')
                THEN nullif(concat_ws(' ', o.detail, crm_deals_internal.what_differs(o.deal, o.changes, o.status)), '')
                WHEN o.outcome = 'unchanged'
                THEN coalesce(o.detail, crm_deals_internal.why_unchanged(o.deal, o.changes))
                ELSE o.detail END,
           CASE WHEN o.outcome = 'reverted' AND o.kind = 'merged' THEN o.event END
    FROM (SELECT p.deal, p.event, p.kind, p.changes, p.status,
                 coalesce(refused -> p.deal::text ->> 0, p.outcome,
                          CASE WHEN p.step IN ('insert', 'delete') OR p.kind = 'merged' OR d.version <> p.version
                               THEN 'reverted' ELSE 'unchanged' END) AS outcome,
                 coalesce(refused -> p.deal::text ->> 1, p.detail) AS detail,
                 d.status::text <> p.status OR p.changes -> 'name' ->> 0 = '[redacted]' AS is_otherwise
          FROM unnest(steps, kinds, deals, events, versions, changes, statuses, outcomes, details)
               AS p (step, kind, deal, event, version, changes, status, outcome, detail)
          LEFT JOIN crm_deals.deal AS d ON d.id = p.deal) AS o
    ORDER BY o.deal;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.undo_batch(bigint, text, text) IS
    'Internal: does the work of undo_batch() as the caller. "merged_event" is that of a duplicate that is back: the '
    'public function puts back what the merge moved.';
