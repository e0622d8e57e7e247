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
               'custom_fields', d.custom_fields,
               'next_activity', (SELECT jsonb_build_object(
                                            'id', n.id,
                                            'kind', n.kind,
                                            'subject', n.subject,
                                            'due_at', n.due_at,
                                            'is_overdue', n.is_overdue,
                                            'assignee', CASE WHEN n.assignee IS NOT NULL
                                                             THEN jsonb_build_object('id', n.assignee,
                                                                                     'label', n.assignee_label) END)
                                 FROM crm_deals._next_activity AS n
                                 WHERE n.deal_id = d.id))
    FROM crm_deals.deal AS d
    JOIN crm_deals.stage AS s ON s.id = d.stage_id
    LEFT JOIN crm_deals._account AS a ON a.id = d.account_id
    LEFT JOIN crm_deals._owner AS o ON o.id = d.owner
    WHERE d.id = ANY (deals);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.cards(bigint[]) IS
    'Internal: returns deals as the cards of a board.';

-- Sort -----------------------------------------------------------------------

-- value is what decides, over d and the tables in joined. A page key holds it. Texts are compared as comparison says.
-- Labels are not in deal: is_label.
-- access: read
CREATE FUNCTION crm_deals_internal.board_sort(sort text, OUT name text, OUT member text, OUT value text, OUT type text,
                                              OUT is_nullable boolean, OUT is_label boolean, OUT joined text,
                                              OUT comparison text, OUT direction text, OUT ordering text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    name := coalesce(sort, '-stage_entered_at');
    direction := CASE WHEN starts_with(name, '-') THEN 'DESC' ELSE 'ASC' END;
    SELECT v.member, v.value, v.type, v.is_nullable, v.joined IS NOT NULL, coalesce(v.joined, ''),
           CASE v.type WHEN 'text' THEN 'lower(%s COLLATE "default")' ELSE '%s' END
    INTO member, value, type, is_nullable, is_label, joined, comparison
    FROM (VALUES ('stage_entered_at', 'd.stage_entered_at', 'timestamptz', false, NULL),
                 ('created_at', 'd.created_at', 'timestamptz', false, NULL),
                 ('updated_at', 'd.updated_at', 'timestamptz', false, NULL),
                 ('expected_close_date', 'd.expected_close_date', 'date', true, NULL),
                 ('amount', 'd.amount', 'numeric', true, NULL),
                 ('probability', 'd.probability', 'numeric', false, NULL),
                 ('name', 'd.name', 'text', false, NULL),
                 ('account', 'coalesce(sort_account.label, d.account_id::text)', 'text', true,
                  'LEFT JOIN crm_deals._account AS sort_account ON sort_account.id = d.account_id'),
                 ('owner', 'coalesce(sort_owner.label, d.owner::text)', 'text', true,
                  'LEFT JOIN crm_deals._owner AS sort_owner ON sort_owner.id = d.owner'),
                 ('stage', 'sort_stage.position', 'integer', false,
                  'JOIN crm_deals.stage AS sort_stage ON sort_stage.id = d.stage_id'))
         AS v (member, value, type, is_nullable, joined)
    WHERE v.member = CASE direction WHEN 'DESC' THEN substr(name, 2) ELSE name END;
    IF member IS NULL THEN
        RAISE EXCEPTION 'deals on a board cannot be sorted by "%"', sort
            USING ERRCODE = '22023',
                  HINT = 'They can be sorted by stage_entered_at, amount, expected_close_date, updated_at, '
                         'created_at, name, probability, account, owner or stage; with a minus sign before it '
                         'descending.';
    END IF;
    -- An index serves columns without NULLs only if nothing is said of them.
    ordering := format('%s %s%s, d.id %2$s', format(comparison, value), direction,
                       CASE WHEN is_nullable THEN ' NULLS LAST' END);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board_sort(text) IS
    'Internal: returns how to sort deals on a board, as pieces of SQL. NULL is the newest in the stage first.';

-- No index knows labels, so all deals that match are read and sorted.
-- access: read
CREATE FUNCTION crm_deals_internal.board_ordering(sort text, joined text, condition text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most CONSTANT integer := 10000;
    sorting record := crm_deals_internal.board_sort(sort);
    matching integer;
BEGIN
    IF sorting.is_label THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM crm_deals.deal AS d %s WHERE %s LIMIT %s) AS m',
                       joined, condition, most + 1)
        INTO matching;
        IF matching > most THEN
            RAISE EXCEPTION 'too many deals match to sort them by "%"', sort
                USING ERRCODE = '22023', DETAIL = format('More than %s deals match.', most),
                      HINT = 'Give a filter, or sort by a column of deal.';
        END IF;
    END IF;
    RETURN sorting.ordering;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board_ordering(text, text, text) IS
    'Internal: returns how to order the deals of a condition. Refuses to sort very many by a label.';

-- access: read
CREATE FUNCTION crm_deals_internal.page_keys(deals bigint[], sort text) RETURNS TABLE (id bigint, page_key jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 1000 ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sorting record := crm_deals_internal.board_sort(sort);
BEGIN
    RETURN QUERY EXECUTE format($query$
        SELECT d.id, jsonb_build_object('sort', %L, %L, %s, 'id', d.id)
        FROM crm_deals.deal AS d %s
        WHERE d.id = ANY ($1)
        $query$, sorting.name, sorting.member, sorting.value, sorting.joined)
    USING deals;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.page_keys(bigint[], text) IS
    'Internal: returns the page keys of deals: where each stands on a board.';

-- A page key comes from a client. PostgreSQL 15 cannot try a cast without an error of its own.
-- access: read
CREATE FUNCTION crm_deals_internal.is_day(day text, last_year integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(day, '^([0-9]{4,7})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])( BC)?$');
    is_bc boolean := parts[4] IS NOT NULL;
    year integer := parts[1];
BEGIN
    -- The calendar repeats after 400 years.
    RETURN parts IS NOT NULL AND year BETWEEN 1 AND CASE WHEN is_bc THEN 4713 ELSE last_year END
           AND parts[3]::integer <= extract(day FROM make_date(2400 + CASE WHEN is_bc THEN 1 - year ELSE year END % 400,
                                                               parts[2]::integer, 1) + interval '1 month - 1 day');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.is_day(text, integer) IS
    'Internal: returns whether a text is a day in the form of ISO 8601.';

-- access: read
CREATE FUNCTION crm_deals_internal.is_page_value(value jsonb, type text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment text[];
BEGIN
    CASE type
    WHEN 'text' THEN
        RETURN jsonb_typeof(value) = 'string';
    WHEN 'numeric' THEN
        RETURN jsonb_typeof(value) = 'number';
    WHEN 'integer' THEN
        RETURN jsonb_typeof(value) = 'number' AND trunc(value::numeric) = value::numeric
               AND value::numeric BETWEEN -2147483648 AND 2147483647;
    WHEN 'date' THEN
        RETURN jsonb_typeof(value) = 'string' AND crm_deals_internal.is_day(value #>> '{}', 5874897);
    WHEN 'timestamptz' THEN
        moment := regexp_match(value #>> '{}', '^([0-9-]+)T([01][0-9]|2[0-3])(:[0-5][0-9]){2}([.][0-9]{1,6})?'
                                               '(Z|[+-](0[0-9]|1[0-5])(:[0-5][0-9]){0,2})( BC)?$');
        RETURN jsonb_typeof(value) = 'string' AND moment IS NOT NULL
               AND crm_deals_internal.is_day(moment[1] || coalesce(moment[8], ''), 294275);
    END CASE;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.is_page_value(jsonb, text) IS
    'Internal: returns whether the value of a page key can be cast to a type.';

-- access: read
CREATE FUNCTION crm_deals_internal.page_problem(after jsonb, sort text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sorting record := crm_deals_internal.board_sort(sort);
    value jsonb := CASE jsonb_typeof(after) WHEN 'object' THEN after -> sorting.member END;
BEGIN
    -- The key of 0.1 did not name the sort.
    IF jsonb_typeof(after) = 'object' AND coalesce(after ->> 'sort', '-stage_entered_at') <> sorting.name THEN
        RETURN 'after is the key of a page of another sort';
    ELSIF value IS NULL OR after - ARRAY['sort', sorting.member, 'id'] <> '{}'
          OR coalesce(after ->> 'id' !~ '^-?[0-9]{1,19}$', true)
          OR NOT (value = 'null' AND sorting.is_nullable
                  OR crm_deals_internal.is_page_value(value, sorting.type)) THEN
        RETURN 'after is not the key of a page';
    ELSIF (after ->> 'id')::numeric NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
        RETURN 'after is not the key of a page';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.page_problem(jsonb, text) IS
    'Internal: returns what is wrong with a page key of a sort, or NULL.';

-- access: read
CREATE FUNCTION crm_deals_internal.page_condition(after jsonb, sort text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sorting record := crm_deals_internal.board_sort(sort);
    operator text := CASE sorting.direction WHEN 'DESC' THEN '<' ELSE '>' END;
    problem text;
BEGIN
    IF after IS NULL OR after = 'null' THEN
        RETURN 'true';
    END IF;
    problem := crm_deals_internal.page_problem(after, sort);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '%', problem
            USING ERRCODE = '22023', HINT = 'Give the page_key of the last card of the page before, and its sort.';
    END IF;
    IF after -> sorting.member = 'null' THEN
        RETURN format('%s IS NULL AND d.id %s %L::bigint', sorting.value, operator, after ->> 'id');
    END IF;
    RETURN format('((%s, d.id) %s (%s, %L::bigint)%s)', format(sorting.comparison, sorting.value), operator,
                  format(sorting.comparison, format('%L::%s', after ->> sorting.member, sorting.type)),
                  after ->> 'id', CASE WHEN sorting.is_nullable THEN format(' OR %s IS NULL', sorting.value) END);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.page_condition(jsonb, text) IS
    'Internal: returns the condition that a card comes after a page key.';

-- Columns --------------------------------------------------------------------

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
CREATE FUNCTION crm_deals_internal.stage_columns(pipeline_id bigint, card_limit integer, filter jsonb, joined text,
                                                 ordering text)
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
                     FROM crm_deals.deal AS d %3$s
                     WHERE d.stage_id = t.stage_id AND %2$s
                     ORDER BY %4$s
                     LIMIT $1)
        FROM (SELECT d.stage_id, crm_deals_internal.board_sums(d.currency, d.amount, d.probability) AS sums
              FROM crm_deals.deal AS d
              WHERE d.stage_id = ANY (%1$L) AND %2$s
              GROUP BY d.stage_id) AS t
        $query$, crm_deals_internal.stages_of(pipeline_id, statuses), crm_deals_internal.filter_condition(filter, NULL),
        joined, ordering)
    USING card_limit;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.stage_columns(bigint, integer, jsonb, text, text) IS
    'Internal: returns sums and first deals of each stage that holds any, for a filter that the index deal_board can '
    'judge.';

-- One pass over the deals serves any filter, any grouping and any row security.
-- access: read
CREATE FUNCTION crm_deals_internal.group_columns(pipeline_id bigint, group_by text, card_limit integer, condition text,
                                                 language text, joined text, ordering text)
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
                   row_number() OVER (PARTITION BY %1$s ORDER BY %5$s) AS place
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
        $query$, grouping.group_key, concat_ws(' ', grouping.joined, joined), condition, grouping.group_label,
        ordering)
    USING crm_deals_internal.stages_of(pipeline_id), card_limit;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.group_columns(bigint, text, integer, text, text, text, text) IS
    'Internal: returns sums and first deals of each group that holds any.';

-- access: read
CREATE FUNCTION crm_deals_internal.board(pipeline text, group_by text, card_limit integer, filter jsonb,
                                         language text, sort text)
RETURNS TABLE (column_key text, label text, ordinal integer, deal_count bigint, amounts jsonb, weighted_amounts jsonb,
               cards jsonb, page_key jsonb)
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
    sorting record := crm_deals_internal.board_sort(sort);
    ordering text;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.check_card_limit(card_limit);
    wanted_pipeline := coalesce(crm_deals_internal.find_pipeline(pipeline), crm_deals_internal.default_pipeline());
    organization := crm_deals_internal.organization_of(wanted_pipeline);
    condition := crm_deals_internal.filter_condition(filter, organization, wanted_pipeline);
    in_index := by_stage AND NOT row_security_active('crm_deals.deal')
                AND (filter IS NULL OR filter = 'null'
                     OR (jsonb_typeof(filter) = 'object' AND filter - 'status' = '{}'));
    ordering := crm_deals_internal.board_ordering(
        sort, '', format('d.stage_id = ANY (%L) AND %s', crm_deals_internal.stages_of(wanted_pipeline), condition));

    RETURN QUERY
    WITH filled AS MATERIALIZED (
        SELECT c.stage_id::text AS group_key, NULL::text AS group_label, c.sums, c.deals
        FROM crm_deals_internal.stage_columns(wanted_pipeline, card_limit, filter, sorting.joined, ordering) AS c
        WHERE in_index
        UNION ALL
        SELECT c.group_key, c.group_label, c.sums, c.deals
        FROM crm_deals_internal.group_columns(wanted_pipeline, CASE WHEN by_stage THEN 'stage_id' ELSE group_by END,
                                              card_limit, condition, language, sorting.joined, ordering) AS c
        WHERE NOT in_index
    ), known AS (
        SELECT s.id::text AS group_key, s.key AS column_key,
               crm_deals_internal.label(s.labels, s.name, language) AS label,
               s.position AS place
        FROM crm_deals.stage AS s
        WHERE by_stage AND s.pipeline_id = wanted_pipeline
          -- Deals that were in an archived stage before that was refused do not disappear.
          AND (s.archived_at IS NULL OR s.id::text IN (SELECT f.group_key FROM filled AS f))
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
           coalesce(p.cards, '[]'), k.page_key
    FROM shown AS s
    LEFT JOIN pile AS p ON p.deals = s.deals
    LEFT JOIN crm_deals_internal.page_keys(ARRAY(SELECT f.deals[cardinality(f.deals)] FROM filled AS f), sort) AS k
        ON k.id = s.deals[cardinality(s.deals)]
    ORDER BY 3;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board(text, text, integer, jsonb, text, text) IS
    'Internal: what crm_deals.board() does.';

-- access: read
CREATE FUNCTION crm_deals_internal.board_column(pipeline_id bigint, column_key text, group_by text, language text,
                                                OUT joined text, OUT condition text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    stages bigint[];
    wanted_stage bigint;
    grouping record;
BEGIN
    IF coalesce(group_by, 'stage') = 'stage' THEN
        stages := crm_deals_internal.stages_called(ARRAY[column_key], ARRAY[pipeline_id]);
        SELECT s.id INTO wanted_stage
        FROM crm_deals.stage AS s
        WHERE s.id = ANY (stages)
          AND (s.archived_at IS NULL OR EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.stage_id = s.id));
        IF wanted_stage IS NULL THEN
            wanted_stage := crm_deals_internal.raise_unknown_stage(column_key, pipeline_id);
        END IF;
        joined := '';
        condition := format('d.stage_id = %L', wanted_stage);
    ELSE
        grouping := crm_deals_internal.grouping(group_by, language);
        joined := grouping.joined;
        condition := format(CASE WHEN column_key IS NULL THEN '%s IS NULL'
                                 WHEN crm_deals_internal.fits(column_key,
                                                              crm_deals_internal.column_type(grouping.group_key))
                                 THEN '%s = %L'
                                 ELSE 'false' END || ' AND d.stage_id = ANY (%3$L)',
                            grouping.group_key, column_key, crm_deals_internal.stages_of(pipeline_id));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board_column(bigint, text, text, text) IS
    'Internal: returns the condition of one column of a board, over d and what is joined.';

-- access: read
CREATE FUNCTION crm_deals_internal.board_cards(pipeline text, column_key text, group_by text, after jsonb,
                                               card_limit integer, filter jsonb, language text, sort text)
RETURNS TABLE (card jsonb, page_key jsonb)
LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    sorting record := crm_deals_internal.board_sort(sort);
    wanted_pipeline bigint;
    wanted record;
    condition text;
    ordering text;
    page bigint[];
BEGIN
    PERFORM crm_deals_internal.check_installed();
    PERFORM crm_deals_internal.check_card_limit(card_limit);
    wanted_pipeline := coalesce(crm_deals_internal.find_pipeline(pipeline), crm_deals_internal.default_pipeline());
    wanted := crm_deals_internal.board_column(wanted_pipeline, column_key, group_by, language);
    condition := concat_ws(' AND ', wanted.condition, crm_deals_internal.filter_condition(
        filter, crm_deals_internal.organization_of(wanted_pipeline), wanted_pipeline));
    ordering := crm_deals_internal.board_ordering(sort, wanted.joined, condition);

    EXECUTE format('SELECT ARRAY(SELECT d.id FROM crm_deals.deal AS d %s WHERE %s ORDER BY %s LIMIT $1)',
                   concat_ws(' ', wanted.joined, sorting.joined),
                   concat_ws(' AND ', condition, crm_deals_internal.page_condition(after, sort)), ordering)
    INTO page
    USING card_limit;
    RETURN QUERY
    SELECT c.card, k.page_key
    FROM unnest(page) WITH ORDINALITY AS p (id, place)
    JOIN crm_deals_internal.cards(page) AS c ON c.id = p.id
    JOIN crm_deals_internal.page_keys(page, sort) AS k ON k.id = p.id
    ORDER BY p.place;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.board_cards(text, text, text, jsonb, integer, jsonb, text, text) IS
    'Internal: what crm_deals.board_cards() does.';
