-- The board of a pipeline: columns with exact counts and sums and their first cards, and the next cards of one column.

-- access: read
CREATE FUNCTION crm_deals_internal.check_card_limit(card_limit integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF card_limit IS NULL OR card_limit < 0 THEN
        RAISE EXCEPTION 'card_limit must be 0 or more' USING ERRCODE = '22023', HINT = 'With 0 there are no cards.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_card_limit(integer) IS
    'Internal: refuses a negative number of cards.';

-- access: read
CREATE FUNCTION crm_deals_internal.cards(deals bigint[]) RETURNS TABLE (id bigint, card jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000 ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT d.id,
           jsonb_build_object(
               'id', d.id,
               'name', d.name,
               'stage', s.key,
               'account', CASE WHEN d.account_id IS NOT NULL
                               THEN jsonb_build_object('id', d.account_id, 'label',
                                                       coalesce(a.label, d.account_id::text)) END,
               'owner', CASE WHEN d.owner IS NOT NULL
                             THEN jsonb_build_object('id', d.owner, 'label', coalesce(o.label, d.owner::text)) END,
               'amount', d.amount,
               'currency', d.currency,
               'probability', d.probability,
               'expected_close_date', d.expected_close_date,
               'stage_entered_at', d.stage_entered_at,
               'version', d.version,
               'external_id', d.external_id,
               'custom_fields', d.custom_fields)
    FROM crm_deals.deal AS d
    JOIN crm_deals.stage AS s ON s.id = d.stage_id
    LEFT JOIN crm_deals._account AS a ON a.id = d.account_id
    LEFT JOIN crm_deals._owner AS o ON o.id = d.owner
    WHERE d.id = ANY (deals);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.cards(bigint[]) IS
    'Internal: returns deals as the cards of a board.';

-- access: read
CREATE FUNCTION crm_deals_internal.board_sums_add(sums internal, currency text, amount numeric, probability numeric)
    RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1 AS 'MODULE_PATHNAME', 'crm_deals_board_sums_add';
COMMENT ON FUNCTION crm_deals_internal.board_sums_add(internal, text, numeric, numeric) IS
    'Internal: adds a deal to the sums of a column.';

-- access: read
CREATE FUNCTION crm_deals_internal.board_sums_result(sums internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_board_sums_result';
COMMENT ON FUNCTION crm_deals_internal.board_sums_result(internal) IS
    'Internal: returns the sums of a column.';

-- access: read
CREATE AGGREGATE crm_deals_internal.board_sums(currency text, amount numeric, probability numeric) (
    SFUNC = crm_deals_internal.board_sums_add,
    STYPE = internal,
    SSPACE = 1000,
    FINALFUNC = crm_deals_internal.board_sums_result,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm_deals_internal.board_sums(text, numeric, numeric) IS
    'Internal: counts deals, and sums their amounts and weighted amounts for each currency.';

-- Counts and sums come from the index deal_board alone, and the cards from its front.
-- access: read
CREATE FUNCTION crm_deals_internal.stage_columns(pipeline_id bigint, card_limit integer, filter jsonb)
RETURNS TABLE (stage_id bigint, sums jsonb, deals bigint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statuses text[];
BEGIN
    IF filter ? 'status' THEN
        statuses := ARRAY(SELECT v.status #>> '{}' FROM jsonb_path_query(filter, '$.status[*]') AS v (status));
    END IF;
    RETURN QUERY EXECUTE format($query$
        SELECT t.stage_id, t.sums,
               ARRAY(SELECT d.id
                     FROM crm_deals.deal AS d
                     WHERE d.stage_id = t.stage_id AND %2$s
                     ORDER BY d.stage_entered_at DESC, d.id DESC
                     LIMIT $1)
        FROM (SELECT d.stage_id, crm_deals_internal.board_sums(d.currency, d.amount, d.probability) AS sums
              FROM crm_deals.deal AS d
              WHERE d.stage_id = ANY (%1$L) AND %2$s
              GROUP BY d.stage_id) AS t
        $query$, crm_deals_internal.stages_of(pipeline_id, statuses), crm_deals_internal.filter_condition(filter, NULL))
    USING card_limit;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stage_columns(bigint, integer, jsonb) IS
    'Internal: returns sums and first deals of each stage that holds any, for a filter that the index deal_board can '
    'judge.';

-- One pass over the deals serves any filter, any grouping and any row security.
-- access: read
CREATE FUNCTION crm_deals_internal.group_columns(pipeline_id bigint, group_by text, card_limit integer, condition text,
                                                 language text)
RETURNS TABLE (group_key text, group_label text, sums jsonb, deals bigint[])
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000 ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    grouping record := crm_deals_internal.grouping(group_by, language);
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH matched AS (
            SELECT %1$s AS raw, d.id, d.currency, d.probability, d.amount,
                   row_number() OVER (PARTITION BY %1$s ORDER BY d.stage_entered_at DESC, d.id DESC) AS place
            FROM crm_deals.deal AS d %2$s
            WHERE d.stage_id = ANY ($1) AND %3$s
        ), g AS (
            SELECT m.raw, crm_deals_internal.board_sums(m.currency, m.amount, m.probability) AS sums,
                   array_agg(m.id ORDER BY m.place) FILTER (WHERE m.place <= $2) AS deals
            FROM matched AS m
            GROUP BY m.raw
        )
        SELECT g.raw::text, coalesce(%4$s, g.raw::text), g.sums, g.deals
        FROM g
        $query$, grouping.group_key, grouping.joined, condition, grouping.group_label)
    USING crm_deals_internal.stages_of(pipeline_id), card_limit;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.group_columns(bigint, text, integer, text, text) IS
    'Internal: returns sums and first deals of each group that holds any.';

-- access: read
CREATE FUNCTION crm_deals_internal.board(pipeline text, group_by text, card_limit integer, filter jsonb,
                                         language text)
RETURNS TABLE (column_key text, label text, ordinal integer, deal_count bigint, amounts jsonb, weighted_amounts jsonb,
               cards jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000 ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted_pipeline bigint;
    by_stage boolean := coalesce(group_by, 'stage') = 'stage';
    in_index boolean;
    organization text;
    condition text;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.check_card_limit(card_limit);
    wanted_pipeline := coalesce(crm_deals_internal.find_pipeline(pipeline), crm_deals_internal.default_pipeline());
    organization := crm_deals_internal.organization_of(wanted_pipeline);
    condition := crm_deals_internal.filter_condition(filter, organization, wanted_pipeline);
    in_index := by_stage AND NOT row_security_active('crm_deals.deal')
                AND (filter IS NULL OR filter = 'null'
                     OR (jsonb_typeof(filter) = 'object' AND filter - 'status' = '{}'));

    RETURN QUERY
    WITH filled AS MATERIALIZED (
        SELECT c.stage_id::text AS group_key, NULL::text AS group_label, c.sums, c.deals
        FROM crm_deals_internal.stage_columns(wanted_pipeline, card_limit, filter) AS c
        WHERE in_index
        UNION ALL
        SELECT c.group_key, c.group_label, c.sums, c.deals
        FROM crm_deals_internal.group_columns(wanted_pipeline, CASE WHEN by_stage THEN 'stage_id' ELSE group_by END,
                                              card_limit, condition, language) AS c
        WHERE NOT in_index
    ), known AS (
        SELECT s.id::text AS group_key, s.key AS column_key,
               crm_deals_internal.label(s.labels, s.name, language) AS label,
               s.position AS place
        FROM crm_deals.stage AS s
        WHERE by_stage AND s.pipeline_id = wanted_pipeline AND s.archived_at IS NULL
        UNION ALL
        SELECT k.group_key, k.group_key, k.group_label, k.ordinal
        FROM crm_deals_internal.known_groups(group_by, organization, language) AS k
        WHERE NOT by_stage
    ), shown AS (
        SELECT k.column_key, k.label, k.place, f.sums, f.deals
        FROM known AS k
        LEFT JOIN filled AS f ON f.group_key = k.group_key
        UNION ALL
        SELECT f.group_key, CASE WHEN f.group_key IS NULL THEN 'Unassigned' ELSE f.group_label END, NULL,
               f.sums, f.deals
        FROM filled AS f
        WHERE NOT by_stage AND NOT EXISTS (SELECT FROM known AS k WHERE k.group_key = f.group_key)
    ), pile AS (
        -- A deal may stand first in several columns, so all cards of a column say whose cards they are.
        SELECT u.deals, jsonb_agg(c.card ORDER BY u.place) AS cards
        FROM (SELECT f.deals, u.id, u.place FROM (SELECT DISTINCT f.deals FROM filled AS f) AS f,
              unnest(f.deals) WITH ORDINALITY AS u (id, place)) AS u
        JOIN crm_deals_internal.cards(ARRAY(SELECT u.id FROM filled AS f,
                                            unnest(f.deals) AS u (id))) AS c ON c.id = u.id
        GROUP BY u.deals
    )
    SELECT s.column_key, s.label,
           row_number() OVER (ORDER BY s.place NULLS LAST, s.column_key IS NULL, s.label, s.column_key)::integer,
           coalesce((s.sums ->> 'deals')::bigint, 0), coalesce(s.sums -> 'amounts', '{}'),
           coalesce(s.sums -> 'weighted', '{}'),
           coalesce(p.cards, '[]')
    FROM shown AS s
    LEFT JOIN pile AS p ON p.deals = s.deals
    ORDER BY 3;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board(text, text, integer, jsonb, text) IS
    'Internal: what crm_deals.board() does.';

-- A page key says where a page ended; board_cards() returns it.
-- access: read
CREATE FUNCTION crm_deals_internal.page_condition(after jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF after IS NULL OR after = 'null' THEN
        RETURN 'true';
    ELSIF jsonb_typeof(after) <> 'object' OR after - 'stage_entered_at' - 'id' <> '{}'
          OR coalesce(after ->> 'id' !~ '^[0-9]{1,18}$', true)
          OR coalesce(after ->> 'stage_entered_at' !~ '^[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:.]+[+-][0-9:]+( BC)?$',
                      true) THEN
        RAISE EXCEPTION 'after is not the key of a page'
            USING ERRCODE = '22023', HINT = 'Give the page_key of the last card of the page before.';
    END IF;
    RETURN format('(d.stage_entered_at, d.id) < (%L::timestamptz, %L::bigint)', after ->> 'stage_entered_at',
                  after ->> 'id');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.page_condition(jsonb) IS
    'Internal: returns the condition that a card comes after a page key.';

-- access: read
CREATE FUNCTION crm_deals_internal.board_cards(pipeline text, column_key text, group_by text, after jsonb,
                                               card_limit integer, filter jsonb, language text)
RETURNS TABLE (card jsonb, page_key jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted_pipeline bigint;
    stages bigint[];
    wanted_stage bigint;
    in_column text;
    grouping record;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.check_card_limit(card_limit);
    wanted_pipeline := coalesce(crm_deals_internal.find_pipeline(pipeline), crm_deals_internal.default_pipeline());

    IF coalesce(group_by, 'stage') = 'stage' THEN
        stages := crm_deals_internal.stages_called(ARRAY[column_key], ARRAY[wanted_pipeline]);
        SELECT s.id INTO wanted_stage
        FROM crm_deals.stage AS s
        WHERE s.id = ANY (stages) AND s.archived_at IS NULL;
        IF wanted_stage IS NULL THEN
            wanted_stage := crm_deals_internal.raise_unknown_stage(column_key, wanted_pipeline);
        END IF;
        grouping := crm_deals_internal.grouping(NULL, language);
        in_column := format('d.stage_id = %L', wanted_stage);
    ELSE
        grouping := crm_deals_internal.grouping(group_by, language);
        in_column := format(CASE WHEN column_key IS NULL THEN '%s IS NULL'
                                 WHEN crm_deals_internal.fits(column_key,
                                                              crm_deals_internal.column_type(grouping.group_key))
                                 THEN '%s = %L'
                                 ELSE 'false' END || ' AND d.stage_id = ANY (%3$L)',
                            grouping.group_key, column_key, crm_deals_internal.stages_of(wanted_pipeline));
    END IF;

    RETURN QUERY EXECUTE format($query$
        WITH page AS MATERIALIZED (
            SELECT d.id, d.stage_entered_at
            FROM crm_deals.deal AS d %s
            WHERE %s AND %s AND %s
            ORDER BY d.stage_entered_at DESC, d.id DESC
            LIMIT $1
        )
        SELECT c.card, jsonb_build_object('stage_entered_at', p.stage_entered_at, 'id', p.id)
        FROM page AS p
        JOIN crm_deals_internal.cards(ARRAY(SELECT p.id FROM page AS p)) AS c ON c.id = p.id
        ORDER BY p.stage_entered_at DESC, p.id DESC
        $query$, grouping.joined, in_column, crm_deals_internal.page_condition(after),
        crm_deals_internal.filter_condition(filter, crm_deals_internal.organization_of(wanted_pipeline),
                                            wanted_pipeline))
    USING card_limit;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board_cards(text, text, text, jsonb, integer, jsonb, text) IS
    'Internal: what crm_deals.board_cards() does.';
