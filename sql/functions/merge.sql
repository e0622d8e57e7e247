-- merge_deals() makes one deal of two. These functions run as the caller. The public function (src/functions/merge.c)
-- calls them; it also repoints the foreign keys, and writes the aliases, which the caller may not write.

-- What was won or is still open must not disappear in a deal that was lost.
-- access: write
CREATE FUNCTION crm_deals_internal.check_merge_status(survivor bigint, survivor_status text, duplicate bigint,
                                                      duplicate_status text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ranks CONSTANT jsonb := '{"won": 2, "open": 1, "lost": 0, "abandoned": 0}';
BEGIN
    IF ranks -> duplicate_status > ranks -> survivor_status THEN
        RAISE EXCEPTION 'deal % is % and cannot be merged into deal %, which is %', duplicate, duplicate_status,
                        survivor, survivor_status
            USING ERRCODE = '23514', SCHEMA = 'crm_deals', TABLE = 'deal', COLUMN = 'status',
                  CONSTRAINT = 'deal_merge_status',
                  DETAIL = 'A duplicate goes only into a survivor of at least its own rank: won, then open, then lost '
                           'and abandoned.',
                  HINT = format('Exchange the two: merge_deals(%s, %s).', duplicate, survivor);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_merge_status(bigint, text, bigint, text) IS
    'Internal: refuses a merge in which the duplicate ranks above the survivor.';

-- The deals are locked in the order of their ids. An id of a deal that was merged means the deal that survived.
-- access: write
CREATE FUNCTION crm_deals_internal.lock_to_merge(survivor bigint, duplicate bigint) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    organizations text[];
    statuses jsonb;
BEGIN
    IF survivor IS NULL OR duplicate IS NULL THEN
        RAISE EXCEPTION 'merge_deals needs two deals' USING ERRCODE = '22004';
    END IF;
    PERFORM crm_deals_internal.enter_as_writer();
    survivor := crm_deals_internal.resolve_deal(survivor);
    duplicate := crm_deals_internal.resolve_deal(duplicate);
    IF survivor = duplicate THEN
        RAISE EXCEPTION 'deal % cannot be merged with itself', survivor USING ERRCODE = '22023';
    END IF;
    SELECT array_agg(d.organization), jsonb_object_agg(d.id, d.status)
    INTO organizations, statuses
    FROM (SELECT d.id, d.organization, d.status
          FROM crm_deals.deal AS d
          WHERE d.id IN (survivor, duplicate)
          ORDER BY d.id
          FOR UPDATE) AS d;
    IF cardinality(organizations) IS DISTINCT FROM 2 THEN
        RAISE EXCEPTION 'one of the deals % and % is gone', survivor, duplicate USING ERRCODE = 'P0002';
    ELSIF organizations[1] IS DISTINCT FROM organizations[2] THEN
        RAISE EXCEPTION 'deals of different organizations cannot be merged' USING ERRCODE = '22023';
    END IF;
    PERFORM crm_deals_internal.check_merge_status(survivor, statuses ->> survivor::text,
                                                  duplicate, statuses ->> duplicate::text);
    RETURN ARRAY[survivor, duplicate];
END
$$;
COMMENT ON FUNCTION crm_deals_internal.lock_to_merge(bigint, bigint) IS
    'Internal: locks the two deals of a merge and returns their ids.';

-- They are of one column, in any table. Stakeholders, flags and aliases are treated apart: merge.c repoints the others.
-- access: write
CREATE FUNCTION crm_deals_internal.references_to_deal()
RETURNS TABLE (name text, relation regclass, field text, may_wait boolean, waits boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.conname::text, c.conrelid::regclass, a.attname::text, c.condeferrable, c.condeferred
    FROM pg_constraint AS c
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    JOIN pg_attribute AS k ON k.attrelid = c.confrelid AND k.attnum = c.confkey[1]
    WHERE c.contype = 'f'
      AND c.confrelid = 'crm_deals.deal'::regclass
      AND cardinality(c.conkey) = 1
      AND k.attname = 'id'
      AND c.conparentid = 0
      AND c.conrelid NOT IN ('crm_deals.deal_contact'::regclass, 'crm_deals.deal_duplicate'::regclass,
                             'crm_deals.deal_alias'::regclass)
    ORDER BY c.conrelid::regclass::text, c.conname
$$;
COMMENT ON FUNCTION crm_deals_internal.references_to_deal() IS
    'Internal: lists the foreign keys to deal that a merge repoints.';

-- Of two roles of a stakeholder both are kept. A role may itself be several, with commas between them.
-- access: write
CREATE FUNCTION crm_deals_internal.both_roles(role text, other_role text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(r.role, ', ' ORDER BY r.place)
    FROM (SELECT DISTINCT ON (lower(btrim(p.role))) btrim(p.role) AS role, p.place
          FROM string_to_table(concat_ws(',', both_roles.role, both_roles.other_role), ',')
               WITH ORDINALITY AS p (role, place)
          WHERE btrim(p.role) <> ''
          ORDER BY lower(btrim(p.role)), p.place) AS r
$$;
COMMENT ON FUNCTION crm_deals_internal.both_roles(text, text) IS
    'Internal: returns the roles of a stakeholder of two deals, each once.';

-- Returns what moved: {"contacts": of the rows that are the survivor's now, "shared": [{"row", "was", "is"}] with the
-- duplicate's row, and the survivor's role before and after}. What is left of the duplicate's goes with it.
-- access: write
CREATE FUNCTION crm_deals_internal.move_stakeholders(survivor bigint, duplicate bigint, ticket text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    moved jsonb;
BEGIN
    SELECT jsonb_build_object(
               'contacts', coalesce(jsonb_agg(c.contact_id::text) FILTER (WHERE s.deal_id IS NULL), '[]'),
               'shared', coalesce(jsonb_agg(jsonb_build_object(
                             'row', crm_deals_internal.logged_row(c.*), 'was', s.role,
                             'is', CASE WHEN crm_deals_internal.both_roles(c.role, NULL) IS NULL THEN s.role
                                        ELSE crm_deals_internal.both_roles(s.role, c.role) END,
                             'contact', c.contact_id::text)) FILTER (WHERE s.deal_id IS NOT NULL), '[]'))
    INTO moved
    FROM crm_deals.deal_contact AS c
    LEFT JOIN crm_deals.deal_contact AS s ON s.deal_id = survivor AND s.contact_id = c.contact_id
    WHERE c.deal_id = duplicate
    HAVING count(*) > 0;
    IF moved IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM crm_deals_internal.write_as_caller(ticket, $write$
        UPDATE crm_deals.deal_contact AS s
        SET role = w.moved ->> 'is'
        FROM jsonb_array_elements($2 -> 'shared') AS w (moved)
        WHERE s.deal_id = $1 AND s.contact_id::text = w.moved ->> 'contact' AND s.role IS DISTINCT FROM w.moved ->> 'is'
        $write$, survivor, moved);
    PERFORM crm_deals_internal.write_as_caller(ticket, $write$
        UPDATE crm_deals.deal_contact AS c
        SET deal_id = $1
        WHERE c.deal_id = $2 AND $3 -> 'contacts' ? c.contact_id::text
        $write$, survivor, duplicate, moved);
    PERFORM crm_deals_internal.write_as_caller(
        ticket, 'DELETE FROM crm_deals.deal_contact AS c WHERE c.deal_id = $1', duplicate);
    RETURN moved;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.move_stakeholders(bigint, bigint, text) IS
    'Internal: makes the stakeholders of the duplicate those of the survivor, and returns what moved.';

-- Returns {"id", "body"} of the activity that keeps the notes, NULL if there are none.
-- access: write
CREATE FUNCTION crm_deals_internal.keep_notes(survivor bigint, gone_name text, notes text, actor text, ticket text)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF btrim(coalesce(notes, ''), E' \t\r\n') = '' THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object('id', crm_deals_internal.write_as_caller_returning(ticket, $write$
        INSERT INTO crm_deals.activity (kind, subject, body, actor, deal_id)
        VALUES ('note', format('Notes of merged deal: %s', $1), $2, $3, $4)
        RETURNING id::text
        $write$, gone_name, notes, actor, survivor)::bigint);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.keep_notes(bigint, text, text, text, text) IS
    'Internal: makes an activity of the survivor of the notes of the duplicate.';

-- The survivor keeps its own stage, status and owner. An amount moves with its currency. Notes become an activity.
-- access: write
CREATE FUNCTION crm_deals_internal.columns_of_duplicate() RETURNS TABLE (name text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.name
    FROM crm_deals_internal.deal_columns() AS c
    WHERE c.may_be_null
      AND c.name NOT IN ('pipeline_id', 'stage_id', 'closed_at', 'lost_reason', 'owner', 'amount', 'currency',
                         'probability', 'probability_overridden', 'last_open_stage_id', 'notes')
$$;
COMMENT ON FUNCTION crm_deals_internal.columns_of_duplicate() IS
    'Internal: lists the columns that the survivor of a merge takes from its duplicate if it has no value.';

-- "gone" is the duplicate, a row of deal.
-- access: write
CREATE FUNCTION crm_deals_internal.fill_gaps_from_duplicate(survivor bigint, gone anyelement,
                                                             ticket text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    lacking text[];
    assignments text;
BEGIN
    EXECUTE format('SELECT ARRAY[%s] FROM crm_deals.deal AS d WHERE d.id = $1',
                   (SELECT string_agg(format('CASE WHEN d.%1$I IS NOT DISTINCT FROM NULL '
                                             'AND ($2).%1$I IS DISTINCT FROM NULL THEN %1$L::text END', c.name), ', ')
                    FROM (SELECT f.name FROM crm_deals_internal.columns_of_duplicate() AS f
                          UNION ALL VALUES ('amount')) AS c))
    INTO lacking
    USING survivor, gone;
    SELECT string_agg(format('%1$I = ($2).%1$I', c.name), ', ')
    INTO assignments
    FROM unnest(array_remove(lacking, NULL::text)
                || CASE WHEN 'amount' = ANY (lacking) THEN ARRAY['currency'] END) AS c (name);
    PERFORM crm_deals_internal.write_as_caller(
        ticket,
        format('UPDATE crm_deals.deal AS d SET %s WHERE d.id = $1',
               concat_ws(', ', assignments, 'custom_fields = ($2).custom_fields || d.custom_fields')),
        survivor, gone);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.fill_gaps_from_duplicate(bigint, anyelement, text) IS
    'Internal: gives a deal the values of its duplicate that it lacks.';

-- Returns what to record of the merge.
-- access: write
CREATE FUNCTION crm_deals_internal.merge_deals(survivor bigint, duplicate bigint, actor text, ticket text,
                                               OUT external_id text, OUT moved jsonb)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone crm_deals.deal;
BEGIN
    SELECT d.* INTO gone FROM crm_deals.deal AS d WHERE d.id = duplicate;
    moved := jsonb_build_object(
        'stakeholders', crm_deals_internal.move_stakeholders(survivor, duplicate, ticket),
        'note', crm_deals_internal.keep_notes(survivor, gone.name, gone.notes, actor, ticket));
    IF crm_deals_internal.write_as_caller(
           ticket, 'DELETE FROM crm_deals.deal AS d WHERE d.id = $1', duplicate) <> 1 THEN
        RAISE EXCEPTION 'deal % was not deleted', duplicate
            USING ERRCODE = '09000', DETAIL = 'A trigger, a rule or row security on crm_deals.deal let it stay.';
    END IF;
    PERFORM crm_deals_internal.fill_gaps_from_duplicate(survivor, gone, ticket);
    external_id := gone.external_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.merge_deals(bigint, bigint, text, text) IS
    'Internal: moves stakeholders, notes and values, and deletes the duplicate.';

-- ----------
-- Undoing a merge, once the duplicate is back
-- ----------

-- "later" are the contacts that a later merge of the survivor found in both deals: their rows are the other deal's.
-- access: write
CREATE FUNCTION crm_deals_internal.return_stakeholders(place bigint, duplicate bigint, moved jsonb, later jsonb,
                                                       ticket text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    columns text;
    returned bigint;
BEGIN
    SELECT string_agg(quote_ident(a.attname), ', r.')
    INTO columns
    FROM pg_attribute AS a
    WHERE a.attrelid = 'crm_deals.deal_contact'::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated = '';
    returned := crm_deals_internal.write_as_caller(ticket, $write$
        UPDATE crm_deals.deal_contact AS c
        SET deal_id = $2
        WHERE c.deal_id = $1 AND $3 -> 'contacts' ? c.contact_id::text AND NOT $4 ? c.contact_id::text
        $write$, place, duplicate, moved, later);
    PERFORM crm_deals_internal.write_as_caller(ticket, $write$
        UPDATE crm_deals.deal_contact AS s
        SET role = w.moved ->> 'was'
        FROM jsonb_array_elements($2 -> 'shared') AS w (moved)
        WHERE s.deal_id = $1 AND s.contact_id::text = w.moved ->> 'contact'
          AND s.role IS NOT DISTINCT FROM w.moved ->> 'is' AND s.role IS DISTINCT FROM w.moved ->> 'was'
        $write$, place, moved);
    RETURN returned + crm_deals_internal.write_as_caller(ticket, format($write$
        INSERT INTO crm_deals.deal_contact (%s)
        SELECT r.%s
        FROM jsonb_array_elements($1 -> 'shared') AS w (moved)
        JOIN crm_deals._contact AS k ON k.id::text = w.moved ->> 'contact'
        CROSS JOIN LATERAL crm_deals_internal.old_row(NULL::crm_deals.deal_contact, w.moved -> 'row') AS r
        $write$, replace(columns, ' r.', ' '), columns), moved);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.return_stakeholders(bigint, bigint, jsonb, jsonb, text) IS
    'Internal: puts back the stakeholders that a merge moved, and returns their number.';

-- A note that was changed since stays.
-- access: write
CREATE FUNCTION crm_deals_internal.delete_kept_notes(place bigint, duplicate bigint, note bigint, ticket text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN note IS NULL OR crm_deals_internal.write_as_caller(ticket, $write$
        DELETE FROM crm_deals.activity AS a
        USING crm_deals.deal AS d
        WHERE a.id = $1 AND a.deal_id = $2 AND d.id = $3 AND a.body = d.notes
        $write$, note, place, duplicate) > 0;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.delete_kept_notes(bigint, bigint, bigint, text) IS
    'Internal: deletes the activity that a merge made of the duplicate''s notes; returns whether none is left.';
