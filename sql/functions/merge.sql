-- merge_deals() makes one deal of two. These functions run as the caller. The public function (src/functions/merge.c)
-- calls them; it also repoints the foreign keys, and writes the aliases, which the caller may not write.

-- The deals are locked in the order of their ids. An id of a deal that was merged means the deal that survived.
-- access: write
CREATE FUNCTION crm_deals_internal.lock_to_merge(survivor bigint, duplicate bigint) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    organizations text[];
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
    SELECT array_agg(d.organization)
    INTO organizations
    FROM (SELECT d.id, d.organization
          FROM crm_deals.deal AS d
          WHERE d.id IN (survivor, duplicate)
          ORDER BY d.id
          FOR UPDATE) AS d;
    IF cardinality(organizations) IS DISTINCT FROM 2 THEN
        RAISE EXCEPTION 'one of the deals % and % is gone', survivor, duplicate USING ERRCODE = 'P0002';
    ELSIF organizations[1] IS DISTINCT FROM organizations[2] THEN
        RAISE EXCEPTION 'deals of different organizations cannot be merged' USING ERRCODE = '22023';
    END IF;
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

-- access: write
CREATE FUNCTION crm_deals_internal.move_stakeholders(survivor bigint, duplicate bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM crm_deals.deal_contact AS c WHERE c.deal_id = duplicate) THEN
        RETURN;
    END IF;
    PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
        INSERT INTO crm_deals.deal_contact AS s (deal_id, contact_id, role)
        SELECT $1, c.contact_id, c.role FROM crm_deals.deal_contact AS c WHERE c.deal_id = $2
        ON CONFLICT (deal_id, contact_id) DO UPDATE SET role = excluded.role WHERE s.role IS NULL
        $write$, survivor, duplicate);
    PERFORM crm_deals_internal.write_as_caller(
        callers_path, 'DELETE FROM crm_deals.deal_contact AS c WHERE c.deal_id = $1', duplicate);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.move_stakeholders(bigint, bigint, text) IS
    'Internal: makes the stakeholders of the duplicate those of the survivor.';

-- The survivor keeps its own stage, status and owner. An amount moves with its currency.
-- access: write
CREATE FUNCTION crm_deals_internal.columns_of_duplicate() RETURNS TABLE (name text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.name
    FROM crm_deals_internal.deal_columns() AS c
    WHERE c.may_be_null
      AND c.name NOT IN ('pipeline_id', 'stage_id', 'closed_at', 'lost_reason', 'owner', 'amount', 'currency',
                         'probability', 'probability_overridden', 'last_open_stage_id')
$$;
COMMENT ON FUNCTION crm_deals_internal.columns_of_duplicate() IS
    'Internal: lists the columns that the survivor of a merge takes from its duplicate if it has no value.';

-- "gone" is the duplicate, a row of deal.
-- access: write
CREATE FUNCTION crm_deals_internal.fill_gaps_from_duplicate(survivor bigint, gone anyelement,
                                                             callers_path text) RETURNS void
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
        callers_path,
        format('UPDATE crm_deals.deal AS d SET %s WHERE d.id = $1',
               concat_ws(', ', assignments, 'custom_fields = ($2).custom_fields || d.custom_fields')),
        survivor, gone);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.fill_gaps_from_duplicate(bigint, anyelement, text) IS
    'Internal: gives a deal the values of its duplicate that it lacks.';

-- access: write
CREATE FUNCTION crm_deals_internal.merge_deals(survivor bigint, duplicate bigint, callers_path text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone crm_deals.deal;
BEGIN
    SELECT d.* INTO gone FROM crm_deals.deal AS d WHERE d.id = duplicate;
    PERFORM crm_deals_internal.move_stakeholders(survivor, duplicate, callers_path);
    IF crm_deals_internal.write_as_caller(
           callers_path, 'DELETE FROM crm_deals.deal AS d WHERE d.id = $1', duplicate) <> 1 THEN
        RAISE EXCEPTION 'deal % was not deleted', duplicate
            USING ERRCODE = '09000', DETAIL = 'A trigger, a rule or row security on crm_deals.deal let it stay.';
    END IF;
    PERFORM crm_deals_internal.fill_gaps_from_duplicate(survivor, gone, callers_path);
    RETURN gone.external_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.merge_deals(bigint, bigint, text) IS
    'Internal: moves stakeholders and values, and deletes the duplicate; returns its external id.';
