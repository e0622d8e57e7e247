\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Section 7: the board and its cards, beside plain SQL over the same deals.

-- The card of the contract, in plain SQL.
CREATE FUNCTION t.card(d crm_deals.deal) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', d.id, 'name', d.name,
                              'stage', (SELECT key FROM crm_deals.stage WHERE id = d.stage_id),
        'account', (SELECT jsonb_build_object('id', id, 'label', name) FROM crm_deals.account WHERE id = d.account_id),
        'owner', CASE WHEN d.owner IS NOT NULL THEN jsonb_build_object('id', d.owner, 'label', d.owner) END,
        'amount', d.amount, 'currency', d.currency, 'probability', d.probability,
        'expected_close_date', d.expected_close_date,
        'stage_entered_at', d.stage_entered_at, 'version', d.version, 'external_id', d.external_id,
        'custom_fields', d.custom_fields, 'next_activity', NULL)
$$;
-- One column of a board by plain SQL, of the deals d that a condition takes.
CREATE FUNCTION t.column(condition text, card_limit integer DEFAULT 20) RETURNS TABLE (
    deal_count bigint, amounts jsonb, weighted_amounts jsonb, cards jsonb)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('WITH d AS (SELECT * FROM crm_deals.deal AS d WHERE %s)
        SELECT (SELECT count(*) FROM d),
               (SELECT coalesce(jsonb_object_agg(currency, a), ''{}'')
                FROM (SELECT currency, sum(coalesce(amount, 0)) AS a FROM d GROUP BY 1) AS x),
               (SELECT coalesce(jsonb_object_agg(currency, a), ''{}'')
                FROM (SELECT currency, sum(coalesce(amount, 0) * probability / 100) AS a FROM d GROUP BY 1) AS x),
               (SELECT coalesce(jsonb_agg(t.card(x) ORDER BY x.stage_entered_at DESC, x.id DESC), ''[]'')
                FROM (SELECT * FROM d ORDER BY stage_entered_at DESC, id DESC LIMIT %s) AS x)',
                                condition, card_limit);
END
$$;
-- Compares a whole board with the expected columns: the key, label and condition of each.
CREATE FUNCTION t.board(arguments text, columns text) RETURNS text LANGUAGE sql AS $$
    SELECT t.same('SELECT column_key, label, ordinal, deal_count, amounts, weighted_amounts, cards
                   FROM crm_deals.board(' || arguments || ')',
                  'SELECT c.key::text, c.label::text, c.ordinal::integer, k.* FROM (' || columns
                  || ') AS c (key, label, condition, ordinal), LATERAL t.column(c.condition) AS k')
$$;

SELECT is(t.board($$'Sales'$$,
                  format('SELECT key, name, format(''d.stage_id = %%s'', id), row_number() OVER (ORDER BY position) '
                         'FROM crm_deals.stage WHERE pipeline_id = %s',
                         :sales)),
          'same', 'board by stage: every stage in order, cards, counts, sums');
SELECT is(t.board('',
                  format('SELECT key, name, format(''d.stage_id = %%s'', id), row_number() OVER (ORDER BY position) '
                         'FROM crm_deals.stage WHERE pipeline_id = %s',
                         :sales)),
          'same', 'pipeline NULL: the default one');
SELECT is(t.board(format('%L', :service),
                  format('SELECT key, name, format(''d.stage_id = %%s'', id), row_number() OVER (ORDER BY position) '
                         'FROM crm_deals.stage WHERE pipeline_id = %s',
                         :service)),
          'same', 'pipeline by id');
SELECT is((SELECT string_agg(concat_ws(' ', column_key, deal_count, amounts, weighted_amounts, cards), ', ')
           FROM crm_deals.board('Sales') WHERE deal_count = 0),
          'nobody_here 0 {} {} []', 'an empty stage is a column');
SELECT is((SELECT string_agg(label, ', ' ORDER BY ordinal) FROM crm_deals.board('Service', language => v.language)),
          v.labels, 'labels in ' || v.language)
FROM (VALUES ('de-AT', 'Ticket, Angebot, Done, Gone, Asleep'), ('de', 'Ticket, Angebot, Done, Gone, Asleep'),
             ('fr', 'Ticket, Offer, Done, Gone, Asleep')) AS v (language, labels);
SELECT is(t.after('SET LOCAL crm_deals.language = ''de''',
                  'SELECT label FROM crm_deals.board(''Service'') WHERE ordinal = 2'),
          'Angebot', 'language: by default crm_deals.language');

-- Every filter by itself, and all together, by stage, by owner and by a custom field.
CREATE TABLE t.filter (filter jsonb, condition text);
INSERT INTO t.filter VALUES
    ('{}', 'true'), ('null', 'true'),
    ('{"owner": "ann"}', 'd.owner = ''ann'''), ('{"owner": ["ann", "bob"]}', 'd.owner IN (''ann'', ''bob'')'),
    ('{"owner": null}', 'd.owner IS NULL'),
    ('{"owner": ["ann", null]}', '(d.owner = ''ann'' OR d.owner IS NULL)'), ('{"owner": []}', 'false'),
    ('{"owner": "nobody"}', 'false'),
    ('{"account_id": 3}', 'd.account_id = 3'),
    ('{"account_id": ["1", 2, null]}', '(d.account_id IN (1, 2) OR d.account_id IS NULL)'),
    ('{"contact_id": [2, 3]}', 'd.primary_contact_id IN (2, 3)'), ('{"source": "web"}', 'd.source = ''web'''),
    ('{"source": ""}', 'd.source = '''''),
    ('{"status": "open"}', 'd.status = ''open'''),
    ('{"status": ["won", "abandoned"]}', 'd.status IN (''won'', ''abandoned'')'),
    ('{"amount": {"min": 1000}}', 'd.amount >= 1000'),
    ('{"amount": {"min": 1000.5, "max": 5000}}', 'd.amount BETWEEN 1000.5 AND 5000'), ('{"amount": {}}', 'true'),
    ('{"amount": {"max": null}}', 'true'),
    ('{"expected_close_date": {"from": "2026-05-01", "to": "2026-05-31"}}',
     'd.expected_close_date BETWEEN ''2026-05-01'' AND ''2026-05-31'''),
    ('{"created_at": {"from": "2025-09-10", "to": "2025-11-20"}}',
     '(d.created_at AT TIME ZONE current_setting(''timezone''))::date BETWEEN ''2025-09-10'' AND ''2025-11-20'''),
    ('{"closed_at": {"from": "2025-12-01"}}',
     '(d.closed_at AT TIME ZONE current_setting(''timezone''))::date >= ''2025-12-01'''),
    ('{"closed_at": {"to": "2025-12-01"}}',
     '(d.closed_at AT TIME ZONE current_setting(''timezone''))::date <= ''2025-12-01'''),
    ('{"text": "order_INTAKE"}', 'strpos(lower(d.name), ''order_intake'') > 0'),
    ('{"text": "50%"}', 'strpos(d.name, ''50%'') > 0'),
    ('{"text": "back\\"}', 'strpos(d.name, ''back'' || chr(92)) > 0'),
    ('{"text": "NOTE of"}', 'd.notes IS NOT NULL'), ('{"text": "ext-3"}', 'd.external_id LIKE ''ext-3%'''),
    ('{"text": "_%_"}', 'false'),
    ('{"custom_fields": {"region": "north"}}', 'd.custom_fields ->> ''region'' = ''north'''),
    ('{"custom_fields": {"region": ["north", null]}}',
     'coalesce(d.custom_fields ->> ''region'', ''north'') = ''north'''),
    ('{"custom_fields": {"seats": 2, "hot": true}}', 'd.custom_fields @> ''{"seats": 2, "hot": true}'''),
    ('{"custom_fields": {"seats": [0, 3.0]}}', '(d.custom_fields ->> ''seats'')::integer IN (0, 3)'),
    ('{"custom_fields": {"since": ["2026-01-01", "2026-01-02"]}}', 'd.custom_fields ->> ''since'' < ''2026-01-03'''),
    ('{"custom_fields": {"tags": "b"}}', 'd.custom_fields -> ''tags'' @> ''["b"]'''),
    ('{"custom_fields": {"tags": ["b", null]}}', 'coalesce(nullif(d.custom_fields -> ''tags'', ''[]''), ''["b"]'') @> ''["b"]'''),
    ('{"custom_fields": {"free": "x"}}', 'd.custom_fields ->> ''free'' = ''x'''),
    ('{"custom_fields": {"missing": null}}', 'true'),
    ('{"owner": ["ann", "cleo"], "status": ["open", "won"], "amount": {"min": 100}, '
     '"source": ["web", null], "custom_fields": {"seats": [1, 2, 3]}}',
     'd.owner <> ''bob'' AND d.status IN (''open'', ''won'') AND d.amount >= 100 AND coalesce(d.source, '
     '''web'') = ''web'' AND (d.custom_fields ->> ''seats'')::integer > 0');
SELECT is(t.board(format('''Sales'', filter => %L', f.filter),
                  format('SELECT key, name, format(''d.stage_id = %%s '
                         'AND %%s'', id, %L), row_number() OVER (ORDER BY position) FROM crm_deals.stage '
                         'WHERE pipeline_id = %s',
                         f.condition, :sales)),
          'same', 'filter, by stage: ' || f.filter::text)
FROM t.filter AS f;
SET timezone = 'Pacific/Auckland';
SELECT is(t.board(format('''Sales'', filter => %L', f.filter),
                  format('SELECT key, name, format(''d.stage_id = %%s '
                         'AND %%s'', id, %L), row_number() OVER (ORDER BY position) FROM crm_deals.stage '
                         'WHERE pipeline_id = %s',
                         f.condition, :sales)),
          'same', 'days are those of the session''s time zone: ' || f.filter::text)
FROM t.filter AS f WHERE f.filter::text ~ '_at';
SET timezone = 'Europe/Vienna';

-- Grouped by other columns: the values in the order of their labels, deals without a value last.
CREATE FUNCTION t.group_board(group_by text, expression text, label text DEFAULT 'k', filter text DEFAULT NULL,
                              condition text DEFAULT 'true')
RETURNS text LANGUAGE sql AS $$
    SELECT t.board(format('''Sales'', %L, filter => %L', group_by, filter),
        format('SELECT k, coalesce(%s, ''Unassigned''),
                       format(''d.pipeline_id = %%s AND %%s AND %%s IS NOT DISTINCT FROM %%L'', p, %L, %L, k),
                       row_number() OVER (ORDER BY k IS NULL, %s, k)
                FROM (SELECT DISTINCT (%s)::text AS k, t.pipeline(''Sales'') AS p FROM crm_deals.deal AS d
                      WHERE d.pipeline_id = t.pipeline(''Sales'') AND %s) AS g',
               label, condition, '(' || expression || ')::text', label, expression, condition))
$$;
SELECT is(t.group_board(v.group_by, v.expression, v.label), 'same', 'board by ' || v.group_by)
FROM (VALUES ('owner', 'd.owner', 'k'), ('source', 'd.source', 'k'),
             ('account', 'd.account_id', '(SELECT name FROM crm_deals.account WHERE id = k::bigint)'),
             ('account_id', 'd.account_id', '(SELECT name FROM crm_deals.account WHERE id = k::bigint)'),
             ('contact', 'd.primary_contact_id',
              '(SELECT concat_ws('' '', first_name, last_name) FROM crm_deals.contact WHERE id = k::bigint)'),
             ('currency', 'd.currency', 'k'), ('lost_reason', 'd.lost_reason', 'k'),
             ('expected_close_date', 'd.expected_close_date', 'k'), ('probability', 'd.probability', 'k'),
             ('custom_fields.free', 'd.custom_fields ->> ''free''', 'k'),
             ('custom_fields.seats', 'd.custom_fields ->> ''seats''', 'k'),
             ('custom_fields.none', 'NULL::text', 'k')) AS v (group_by, expression, label);
SELECT is(t.group_board('owner', 'd.owner', 'k', f.filter::text, f.condition), 'same',
          'filter, by owner: ' || f.filter::text)
FROM t.filter AS f WHERE f.condition <> 'false';
SELECT is(t.board($$'Sales', 'custom_fields.region', language => 'de'$$,
                  $$VALUES ('south', 'south', 'd.pipeline_id = 1 AND d.custom_fields ->> ''region'' = ''south''', 1),
                           ('north', 'Nord', 'd.pipeline_id = 1 AND d.custom_fields ->> ''region'' = ''north''', 2),
                           ('nowhere', 'nowhere', 'false', 3),
                           (NULL, 'Unassigned', 'd.pipeline_id = 1 AND d.custom_fields ->> ''region'' IS NULL', 4)$$),
          'same', 'board by a select field: its options in their order, empty ones included, Unassigned last');
UPDATE crm_deals.custom_field SET options = '["south", "nowhere"]' WHERE key = 'region';
SELECT is((SELECT string_agg(coalesce(column_key, '(null)'), ', ' ORDER BY ordinal)
           FROM crm_deals.board('Sales', 'custom_fields.region')),
          'south, nowhere, north, (null)', 'values that are missing from the options come after them');
SELECT is((SELECT string_agg(coalesce(column_key, '(null)'), ', ' ORDER BY ordinal)
           FROM crm_deals.board('Sales', 'custom_fields.region', filter => '{"custom_fields": {"region": "south"}}')),
          'south, nowhere', 'no Unassigned column where none is without a value');
SELECT is((SELECT string_agg(column_key || ' ' || deal_count, ', ' ORDER BY ordinal)
           FROM crm_deals.board('Sales', 'status', filter => '{"status": "lost"}')),
          (SELECT format('open 0, won 0, lost %s, abandoned 0', count(*)) FROM crm_deals.deal
           WHERE pipeline_id = :sales AND status = 'lost'),
          'board by status: every status');
ALTER TABLE crm_deals.deal ADD COLUMN "Own ""column" integer;
UPDATE crm_deals.deal SET "Own ""column" = id % 3;
SELECT is(t.group_board('Own "column', 'd."Own ""column"'), 'same', 'board by a column that a user added');
SELECT is(t.group_board('custom_fields.it''s', 'd.custom_fields ->> ''it''''s'''), 'same', 'a key with a quote');
UPDATE crm_deals.stage SET archived_at = now() WHERE id = t.stage('nobody_here');
SELECT is((SELECT count(*) FROM crm_deals.board('Sales') WHERE column_key = 'nobody_here'), 0::bigint,
          'an archived stage without deals is in no board');
SELECT is(t.after('SET LOCAL session_replication_role = replica; '
                  'UPDATE crm_deals.stage SET archived_at = now() WHERE id = t.stage(''proposal'')',
                  'SELECT string_agg(column_key, '' '' ORDER BY ordinal) FROM crm_deals.board(''Sales'')'),
          'lead qualified proposal negotiation won lost silent', 'one that still holds deals is');

-- Pages: all cards of a column, page by page, are the column.
CREATE FUNCTION t.pages(pipeline text, column_key text, group_by text, filter jsonb, size integer)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    after jsonb;
    page record;
    result jsonb := '[]';
BEGIN
    LOOP
        SELECT jsonb_agg(c.card ORDER BY c.n) AS cards, (array_agg(c.page_key ORDER BY c.n DESC))[1] AS last,
               count(*) AS size INTO page
        FROM (SELECT *, row_number() OVER () AS n
              FROM crm_deals.board_cards(pipeline, column_key, group_by, after, size, filter)) AS c;
        result := result || coalesce(page.cards, '[]');
        EXIT WHEN page.size < size;
        after := page.last;
    END LOOP;
    RETURN result;
END
$$;
SELECT is((SELECT string_agg(b.column_key, ', ') FROM crm_deals.board('Sales', v.group_by, 1000, v.filter) AS b
           WHERE t.pages('Sales', b.column_key, v.group_by, v.filter, 7) <> b.cards),
          NULL, format('board_cards by %s, %s: the pages of each column are its cards', v.group_by, v.filter))
FROM (VALUES ('stage', NULL::jsonb), ('owner', NULL), ('account', NULL), ('custom_fields.region', NULL),
             ('stage', '{"owner": ["ann", null]}'), ('source', '{"status": "open", "amount": {"min": 10}}'),
             ('status', NULL), ('stage', '{"status": "won"}'), ('stage_id', NULL), ('pipeline', NULL),
             ('currency', '{"text": "plain"}')) AS v (group_by, filter);
SELECT is((SELECT jsonb_agg(card) FROM crm_deals.board_cards('Sales', 'lead')),
          (SELECT cards FROM crm_deals.board('Sales') WHERE column_key = 'lead'),
          'the first page is what the board shows');
-- Deals that entered at the same moment are told apart by their ids.
INSERT INTO crm_deals.deal (name, stage_id, stage_entered_at)
SELECT 'Twin ' || n, t.stage('qualified'), '2026-02-02 10:00+00'
FROM generate_series(1, 10) AS n;
SELECT is(t.pages('Sales', 'qualified', 'stage', NULL, 3)
              = (SELECT cards FROM crm_deals.board('Sales', card_limit => 1000) WHERE column_key = 'qualified'),
          true, 'pages through deals of one moment');
SELECT is((SELECT sum(jsonb_array_length(cards)) || ' ' || sum(deal_count)
           FROM crm_deals.board('Sales', card_limit => 0)),
          (SELECT '0 ' || count(*) FROM crm_deals.deal WHERE pipeline_id = :sales), 'card_limit 0: counts only');
SELECT is((SELECT count(*) FROM crm_deals.board_cards('Sales', 'nothing', 'owner')), 0::bigint,
          'a value that no deal has: no cards');

-- A table of owners with keys of its own: ids in their type, labels by name, in board.
SELECT is(v.have, v.want, 'section 7: ' || v.what)
FROM (VALUES ('organization: its own pipeline of that name first',
              t.after($$SELECT crm_deals.create_pipeline('Sales', '[{"name": "Here"}]', organization => 'acme');
                        SET LOCAL crm_deals.organization = 'acme'$$,
                      $$SELECT string_agg(column_key, ', ') FROM crm_deals.board('Sales')$$),
              'here'),
             ('organization: its own default first',
              t.after($$SELECT crm_deals.create_pipeline('Other', '[{"name": "Here"}]', organization => 'acme');
                        SET LOCAL crm_deals.organization = 'acme'$$,
                      $$SELECT string_agg(column_key, ', ') FROM crm_deals.board()$$),
              'here'),
             ('organization: of no other',
              t.after($$SELECT crm_deals.create_pipeline('Other', '[{"name": "Here"}]', organization => 'acme')$$,
                      $$SELECT t.error('SELECT crm_deals.board(''Other'')', 'message')$$),
              'pipeline "Other" does not exist'),
             ('a pipeline named by digits goes before an id',
              t.after(format($$SELECT crm_deals.create_pipeline('%s', '[{"name": "Digits"}]')$$, :service),
                      format($$SELECT string_agg(column_key, ', ') FROM crm_deals.board('%s')$$, :service)),
              'digits')) AS v (what, have, want);

-- Errors
SELECT is(t.try(v.call), v.state, 'error: ' || v.call)
FROM (VALUES ($$SELECT crm_deals.board('None')$$, 'P0002'), ($$SELECT crm_deals.board('4711')$$, 'P0002'),
             ($$SELECT crm_deals.board(card_limit => -1)$$, '22023'),
             ($$SELECT crm_deals.board(card_limit => NULL)$$, '22023'),
             ($$SELECT crm_deals.board(group_by => 'colour')$$, '22023'),
             ($$SELECT crm_deals.board(group_by => '')$$, '22023'),
             ($$SELECT crm_deals.board(group_by => 'xmin')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"colour": 1}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '[]')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '"x"')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"status": "maybe"}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"status": ["open", null]}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"owner": {"a": 1}}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"owner": [["a"]]}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"amount": 5}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"amount": {"from": 5}}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"amount": {"min": "5"}}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"created_at": {"min": 5}}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"created_at": {"from": "today"}}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"created_at": {"from": "2026-01-01", "to": "yesterday"}}')$$,
              '22023'),
             ($$SELECT crm_deals.board(filter => '{"text": 5}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"custom_fields": "x"}')$$, '22023'),
             ($$SELECT crm_deals.board(filter => '{"custom_fields": {"region": {"a": 1}}}')$$, '22023'),
             ($$SELECT crm_deals.board_cards('Sales', 'none')$$, 'P0002'),
             ($$SELECT crm_deals.board_cards('Sales', NULL)$$, 'P0002'),
             ($$SELECT crm_deals.board_cards('None', 'lead')$$, 'P0002'),
             ($$SELECT crm_deals.board_cards('Sales', 'nobody_here')$$, 'P0002'),
             ($$SELECT crm_deals.board_cards('Sales', 'lead', 'colour')$$, '22023'),
             ($$SELECT crm_deals.board_cards('Sales', 'lead', card_limit => -1)$$, '22023'),
             ($$SELECT crm_deals.board_cards('Sales', 'lead', after => '{}')$$, '22023'),
             ($$SELECT crm_deals.board_cards('Sales', 'lead', after => '5')$$, '22023'),
             ($$SELECT crm_deals.board_cards('Sales', 'lead', after => '{"id": 1, "stage_entered_at": "never"}')$$,
              '22023'),
             ('SELECT crm_deals.board_cards(''Sales'', ''lead'', '
              'after => ''{"id": "x", "stage_entered_at": "2026-01-01T00:00:00+00:00"}'')',
              '22023')) AS v (call, state);
SELECT matches(t.error($$SELECT crm_deals.board(filter => '{"colour": 1}')$$, 'hint'),
               'owner, account_id, contact_id, source, status.*amount.*expected_close_date, created_at, '
               'closed_at.*text, custom_fields',
               'the hint names the keys of a filter');
SELECT matches(t.error($$SELECT crm_deals.board(group_by => 'colour')$$, 'hint'), 'stage.*owner.*custom_fields.KEY',
               'the hint names what deals can be grouped by');
SELECT matches(t.error($$SELECT crm_deals.board('None')$$, 'detail'), '"Sales" \(\d+\), "Service"',
               'an unknown pipeline: those that exist');
-- Text that would be SQL is text.
SELECT is((SELECT count(*)
           FROM crm_deals.board(filter => jsonb_build_object('owner', v.text, 'text', v.text,
                                                             'source', jsonb_build_array(v.text, v.text || 'x'),
                                                             'custom_fields', jsonb_build_object(v.text, v.text)))
           WHERE deal_count > 0),
          0::bigint, 'no injection: ' || v.text)
FROM (VALUES ($$' OR true --$$), ($$\' OR true --$$), ($$%1$s$$), ($$$1$$)) AS v (text);
SELECT is(t.try(format('SELECT crm_deals.board(group_by => %L)', v.text)), v.state, 'no injection: ' || v.text)
FROM (VALUES ('custom_fields.'') OR true --', 'done'), ('owner; DROP TABLE crm_deals.deal', '22023'),
             ('custom_fields.%s', 'done')) AS v (text, state);

-- What is read: one page of 20 cards, and a whole board by stage, without a scan of the table.
TRUNCATE t.drawn;
INSERT INTO crm_deals.deal (name, stage_id)
SELECT 'Filler ' || n, CASE WHEN n % 10 = 0 THEN t.stage('lead') ELSE t.stage('ticket', 'Service') END
FROM generate_series(1, 6000) AS n;
VACUUM ANALYZE crm_deals.deal, crm_deals.account, crm_deals.stage;
-- How often the table was scanned from end to end, and how many of its rows an index led to.
CREATE FUNCTION t.scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before record;
    after record;
BEGIN
    SELECT seq_scan, idx_tup_fetch INTO before FROM pg_stat_xact_user_tables WHERE relid = 'crm_deals.deal'::regclass;
    EXECUTE query;
    SELECT seq_scan, idx_tup_fetch INTO after FROM pg_stat_xact_user_tables WHERE relid = 'crm_deals.deal'::regclass;
    RETURN format('%s scans, %s rows', after.seq_scan - before.seq_scan,
                  CASE WHEN after.idx_tup_fetch - before.idx_tup_fetch <= 50 THEN 'few' ELSE 'many' END);
END
$$;
SELECT jsonb_build_object('id', id, 'stage_entered_at', stage_entered_at) AS deep FROM crm_deals.deal
WHERE stage_id = t.stage('lead', 'Sales') ORDER BY stage_entered_at, id LIMIT 1 OFFSET 25 \gset
SELECT is(t.scans(format('SELECT count(*) FROM crm_deals.board_cards(''Sales'', ''lead'', after => %L)', v.after)),
          '0 scans, few rows', 'a page of 20 cards reads few rows: ' || v.what)
FROM (VALUES ('the first', NULL), ('a late one', :'deep')) AS v (what, after);
SELECT matches(t.scans($$SELECT count(*) FROM crm_deals.board('Sales')$$), '^0 scans',
               'a board by stage reads an index, not the table');

SELECT * FROM finish();
