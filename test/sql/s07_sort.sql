\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: the sort of board and board_cards, and their page keys.
SET crm_deals.notify = off;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'SQL, DMY';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT crm_deals.create_pipeline('Empty') AS none \gset
INSERT INTO crm_deals.account (name) VALUES ('zeta'), ('Alpha'), ('ALPHA'), ('Émile'), ('it''s %s \1');
-- Ties, NULLs, texts that differ in case alone, numbers that differ in scale alone, microseconds.
INSERT INTO crm_deals.deal (id, name, stage_id, amount, expected_close_date, probability, account_id, owner, source,
                            created_at, stage_entered_at)
SELECT CASE n WHEN 40 THEN 9223372036854775806 WHEN 39 THEN -7 ELSE n END,
       (ARRAY['acme', 'ACME', 'Acme ', 'Ångström', 'ångström', 'b_c', 'B-C', '.', '''" %1$s \'])[1 + n % 9] || repeat('x', n % 3),
       t.stage((ARRAY['lead', 'qualified', 'lead', 'proposal'])[1 + n % 4]),
       (ARRAY[NULL, 100, 100.0, 100.00, 0, 0.1, 123456789012345678, 99999.999999999999999999])[1 + n % 8],
       (ARRAY[NULL, '2026-02-28', '2028-02-29', '1999-12-31', '2026-03-01'])[1 + n % 5]::date,
       (ARRAY[10, 33.3, 33.30, 0])[1 + n % 4],
       (ARRAY[NULL, 1, 2, 3, 4, 5])[1 + n % 6],
       (ARRAY[NULL, 'bob', 'Bob', 'ann', 'BOB'])[1 + n % 5],
       (ARRAY[NULL, 'web', 'fair'])[1 + n % 3],
       '2026-01-01'::timestamptz + n % 7 * interval '1 microsecond',
       '2026-02-01'::timestamptz + n % 9 * interval '1 microsecond'
FROM generate_series(1, 40) AS n;
CREATE TABLE t.sort (sort text, expression text);
INSERT INTO t.sort VALUES
    ('stage_entered_at', 'd.stage_entered_at'), ('amount', 'd.amount'), ('updated_at', 'd.updated_at'),
    ('expected_close_date', 'd.expected_close_date'), ('created_at', 'd.created_at'), ('name', 'lower(d.name)'),
    ('probability', 'd.probability'), ('owner', 'lower(d.owner)'),
    ('account', '(SELECT lower(a.name) FROM crm_deals.account AS a WHERE a.id = d.account_id)'),
    ('stage', '(SELECT s.position FROM crm_deals.stage AS s WHERE s.id = d.stage_id)');
INSERT INTO t.sort SELECT '-' || sort, expression FROM t.sort;

-- The cards of each column by plain SQL.
CREATE FUNCTION t.wanted(sort text, column_of text, condition text) RETURNS TABLE (key text, cards jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    direction text := CASE WHEN sort LIKE '-%' THEN 'DESC' ELSE 'ASC' END;
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT (%1$s)::text, jsonb_agg(d.id ORDER BY %2$s %3$s NULLS LAST, d.id %3$s) FROM crm_deals.deal AS d
         WHERE %4$s GROUP BY 1', column_of,
        (SELECT s.expression FROM t.sort AS s WHERE s.sort = wanted.sort), direction, condition);
END
$$;
-- The first page of a column from board, the others from board_cards.
CREATE FUNCTION t.pages(first jsonb, after jsonb, column_key text, group_by text, size integer, filter jsonb, sort text)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    page record;
    result jsonb := jsonb_path_query_array(first, '$[*].id');
BEGIN
    WHILE after IS NOT NULL LOOP
        SELECT jsonb_agg(c.card -> 'id' ORDER BY c.place) AS ids, (array_agg(c.page_key ORDER BY c.place DESC))[1] AS last
        INTO page
        FROM crm_deals.board_cards('Sales', column_key, group_by, after, size, filter, NULL, sort)
             WITH ORDINALITY AS c (card, page_key, place);
        result := result || coalesce(page.ids, '[]');
        after := page.last;
    END LOOP;
    RETURN result;
END
$$;
CREATE FUNCTION t.differs(sort text, group_by text, column_of text, condition text, filter jsonb, size integer)
RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('column %s: %s, not %s', w.key, p.ids, w.cards), '; ')
    FROM t.wanted(sort, column_of, condition) AS w
    LEFT JOIN crm_deals.board('Sales', group_by, size, filter, NULL, sort) AS b ON b.column_key IS NOT DISTINCT FROM w.key
    CROSS JOIN LATERAL t.pages(b.cards, b.page_key, b.column_key, group_by, size, filter, sort) AS p (ids)
    WHERE p.ids IS DISTINCT FROM w.cards
$$;
SELECT is(t.differs(s.sort, g.by, g.column_of, g.condition, g.filter, g.size), NULL,
          format('section 7: sorted by %s, board by %s, pages of %s', s.sort, g.by, g.size))
FROM t.sort AS s,
     (VALUES ('stage', '(SELECT key FROM crm_deals.stage WHERE id = d.stage_id)', 'true', NULL::jsonb, 7),
             ('source', 'd.source', 'd.amount >= 0', '{"amount": {"min": 0}}', 9))
     AS g (by, column_of, condition, filter, size);

-- Page keys
SELECT is((SELECT count(*) FROM crm_deals.board('Sales') AS a, crm_deals.board('Sales', sort => '-stage_entered_at') AS b
           WHERE a.column_key = b.column_key AND a.cards = b.cards AND a.page_key IS NOT DISTINCT FROM b.page_key), 6::bigint,
          'section 7: sort: -stage_entered_at is the default');
SELECT is((SELECT string_agg(concat_ws(' ', column_key, page_key -> 'id' = cards -> -1 -> 'id'), ', ' ORDER BY ordinal)
           FROM crm_deals.board('Sales', card_limit => 2, sort => '-amount')),
          'lead t, qualified t, proposal t, negotiation, won, lost', 'section 7: board: page_key is that of the last card');
SELECT is((SELECT count(page_key) FROM crm_deals.board('Sales', card_limit => 0)), 0::bigint, '... NULL without cards');
-- What 0.1 had, a client could make of a card.
SELECT is((SELECT array_agg(card -> 'id')
           FROM crm_deals.board_cards('Sales', 'lead', after => jsonb_build_object(
                    'id', b.cards -> 4 -> 'id', 'stage_entered_at', b.cards -> 4 -> 'stage_entered_at'), card_limit => 2)),
          ARRAY[b.cards -> 5 -> 'id', b.cards -> 6 -> 'id'], 'section 7: a page key that names no sort is of the default')
FROM crm_deals.board('Sales') AS b WHERE b.column_key = 'lead';
SELECT is(t.try(format('SELECT crm_deals.board_cards(''Sales'', ''lead'', after => %L, sort => %L)', v.key, v.sort)),
          v.state, format('section 7: page key %s, sort %s', v.key, v.sort))
FROM (VALUES ('{"id": 1, "stage_entered_at": "2026-01-01T00:00:00+00:00"}', 'amount', '22023'),
             ('{"id": 1, "stage_entered_at": "2026-01-01T00:00:00+00:00"}', 'stage_entered_at', '22023'),
             ('{"id": 1, "sort": "amount", "amount": 5}', '-amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": 5}', NULL, '22023'),
             ('{"id": 1, "sort": "-amount", "amount": 5}', 'amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": 5}', 'probability', '22023'),
             ('{"id": 1, "sort": "amount", "amount": 5}', 'amount', 'done'),
             ('{"id": 1, "sort": "amount", "amount": null}', 'amount', 'done'),
             ('null', 'amount', 'done'),
             ('{"id": 1, "sort": "amount", "amount": "5"}', 'amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": "NaN"}', 'amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": [5]}', 'amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": true}', 'amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": 1e400}', 'amount', 'done'),
             ('{"id": 1, "sort": "amount"}', 'amount', '22023'),
             ('{"sort": "amount", "amount": 5}', 'amount', '22023'),
             ('{"id": null, "sort": "amount", "amount": 5}', 'amount', '22023'),
             ('{"id": "1", "sort": "amount", "amount": 5}', 'amount', 'done'),
             ('{"id": 1.5, "sort": "amount", "amount": 5}', 'amount', '22023'),
             ('{"id": 9223372036854775807, "sort": "amount", "amount": 5}', 'amount', 'done'),
             ('{"id": 9223372036854775808, "sort": "amount", "amount": 5}', 'amount', '22023'),
             ('{"id": -9223372036854775808, "sort": "amount", "amount": 5}', 'amount', 'done'),
             ('{"id": -9223372036854775809, "sort": "amount", "amount": 5}', 'amount', '22023'),
             ('{"id": {"a": 1}, "sort": "amount", "amount": 5}', 'amount', '22023'),
             ('{"id": 1, "sort": 5, "amount": 5}', 'amount', '22023'),
             ('{"id": 1, "sort": "amount", "amount": 5, "name": "x"}', 'amount', '22023'),
             ('[]', 'amount', '22023'), ('"x"', 'amount', '22023'), ('5', 'amount', '22023'), ('{}', 'amount', '22023'),
             ('{"id": 1, "sort": "probability", "probability": null}', 'probability', '22023'),
             ('{"id": 1, "sort": "name", "name": null}', 'name', '22023'),
             ('{"id": 1, "sort": "name", "name": 5}', 'name', '22023'),
             ('{"id": 1, "sort": "name", "name": "x'' OR true --"}', 'name', 'done'),
             ('{"id": 1, "sort": "owner", "owner": null}', 'owner', 'done'),
             ('{"id": 1, "sort": "stage", "stage": "lead"}', 'stage', '22023'),
             ('{"id": 1, "sort": "stage", "stage": 2.5}', 'stage', '22023'),
             ('{"id": 1, "sort": "stage", "stage": 2147483648}', 'stage', '22023'),
             ('{"id": 1, "sort": "stage", "stage": 2147483647}', 'stage', 'done'),
             ('{"id": 1, "sort": "stage", "stage": 2}', 'stage', 'done'),
             ('{"id": 1, "stage_entered_at": null}', NULL, '22023'),
             ('{"id": 1, "stage_entered_at": 5}', NULL, '22023')) AS v (key, sort, state);
SELECT is(t.try(format('SELECT crm_deals.board_cards(''Sales'', ''lead'', after => %L, sort => %L)',
                       jsonb_build_object('id', 1, 'sort', v.sort, v.sort, v.value), v.sort)),
          v.state, format('section 7: page key %s of %s', v.value, v.sort))
FROM (VALUES ('expected_close_date', '2028-02-29', 'done'), ('expected_close_date', '2026-02-29', '22023'),
             ('expected_close_date', '1900-02-29', '22023'), ('expected_close_date', '2000-02-29', 'done'),
             ('expected_close_date', '2026-04-31', '22023'), ('expected_close_date', '2026-12-31', 'done'),
             ('expected_close_date', '2026-13-01', '22023'), ('expected_close_date', '2026-00-01', '22023'),
             ('expected_close_date', '2026-01-00', '22023'), ('expected_close_date', '0000-01-01', '22023'),
             ('expected_close_date', '5874897-12-31', 'done'), ('expected_close_date', '5874898-01-01', '22023'),
             ('expected_close_date', '0001-02-29 BC', 'done'), ('expected_close_date', '0002-02-29 BC', '22023'),
             ('expected_close_date', '4714-12-01 BC', '22023'), ('expected_close_date', '01-02-2026', '22023'),
             ('expected_close_date', 'today', '22023'), ('expected_close_date', 'infinity', '22023'),
             ('expected_close_date', '', '22023'),
             ('created_at', '2026-01-01T00:00:00+00:00', 'done'), ('created_at', '2026-01-01T23:59:59.999999-05:30', 'done'),
             ('created_at', '2026-01-01T00:00:00Z', 'done'), ('created_at', '1890-01-01T00:00:00+05:53:28', 'done'),
             ('created_at', '0044-03-15T12:00:00+00:00 BC', 'done'), ('created_at', '4713-01-01T00:00:00+00:00 BC', 'done'),
             ('created_at', '294275-12-31T23:59:59.999999-15:59', 'done'), ('created_at', '294276-01-01T00:00:00+00:00', '22023'),
             ('created_at', '2026-02-30T00:00:00+00:00', '22023'), ('created_at', '2026-01-01T24:00:00+00:00', '22023'),
             ('created_at', '2026-01-01T00:60:00+00:00', '22023'), ('created_at', '2026-01-01T00:00:60+00:00', '22023'),
             ('created_at', '2026-01-01T00:00:00+16:00', '22023'), ('created_at', '2026-01-01T00:00:00', '22023'),
             ('created_at', '2026-01-01', '22023'), ('created_at', '2026-01-01T00:00:00.+00:00', '22023'),
             ('created_at', 'infinity', '22023'), ('created_at', 'now', '22023')) AS v (sort, value, state);

-- Errors
SELECT is(t.try(v.call), '22023', 'section 10: ' || v.call)
FROM (SELECT format(c.call, s.sort)
      FROM (VALUES ('SELECT crm_deals.board(sort => %L)'),
                   ('SELECT crm_deals.board_cards(NULL, ''lead'', sort => %L)')) AS c (call),
           (VALUES (''), ('-'), ('--amount'), ('+amount'), ('Amount'), (' amount'), ('id'), ('notes'),
                   ('amount, id'), ('amount; DROP TABLE crm_deals.deal'), ('custom_fields.x')) AS s (sort)) AS v (call);

-- Labels: at most 10,000 deals
SET session_replication_role = replica;
INSERT INTO crm_deals.deal (id, name, owner, pipeline_id, stage_id, status, currency, probability, version, created_at,
                            stage_entered_at, updated_at)
SELECT 1000 + n, 'Filler ' || n, 'o' || n % 2, :sales, t.stage('lead'), 'open', 'EUR', 10, 1, now(), now(), now()
FROM generate_series(1, 10000 - (SELECT count(*) FROM crm_deals.deal)) AS n;
RESET session_replication_role;
ANALYZE crm_deals.deal;
CREATE FUNCTION t.of_label(sort text, filter text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(', ', t.try(format('SELECT crm_deals.board(''Sales'', sort => %L, filter => %L)', sort, filter)),
                     t.try(format('SELECT crm_deals.board_cards(''Sales'', ''lead'', sort => %L, filter => %L)', sort, filter)))
$$;
SELECT is(t.of_label('-owner'), 'done, done', 'section 7: 10,000 deals are sorted by a label');
INSERT INTO crm_deals.deal (id, name, stage_id) SELECT 100000 + n, 'one more', t.stage('lead') FROM generate_series(1, 60) AS n;
SELECT is(t.of_label(v.sort, v.filter), v.answer, format('section 7: 10,060 deals, %s, %s', v.sort, v.filter))
FROM (VALUES ('owner', NULL, '22023, 22023'), ('-account', NULL, '22023, 22023'), ('stage', NULL, '22023, 22023'),
             ('owner', '{"owner": ["o0", "o1"]}', 'done, done'), ('-name', NULL, 'done, done'),
             ('amount', NULL, 'done, done')) AS v (sort, filter, answer);
SELECT is(t.try('SELECT crm_deals.board_cards(''Sales'', ''qualified'', sort => ''owner'')'), 'done',
          'section 7: what counts for board_cards is its column');

-- What is read: the newest or the oldest in a stage come from the index.
CREATE FUNCTION t.rows_read(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'crm_deals.deal'::regclass);
    scans bigint := (SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'crm_deals.deal'::regclass);
BEGIN
    EXECUTE query;
    RETURN (SELECT format('%s scans, %s rows', seq_scan - scans,
                          CASE WHEN idx_tup_fetch - before <= 100 THEN 'few' ELSE 'many' END)
            FROM pg_stat_xact_user_tables WHERE relid = 'crm_deals.deal'::regclass);
END
$$;
VACUUM crm_deals.deal;
SELECT is(t.rows_read(format('SELECT count(*) FROM crm_deals.board_cards(''Sales'', ''lead'', sort => %L, after => %L)',
                             v.sort, v.after)), '0 scans, few rows', 'section 7: a page reads few rows: ' || v.sort)
FROM (VALUES ('-stage_entered_at', NULL), ('stage_entered_at', NULL),
             ('stage_entered_at', '{"id": 1, "sort": "stage_entered_at", "stage_entered_at": "2026-03-01T00:00:00+00:00"}'))
     AS v (sort, after);
SELECT * FROM finish();
