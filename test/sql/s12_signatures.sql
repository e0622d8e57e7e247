\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 12: schema crm_deals has the functions of the contract, with its arguments and results, and no others.
CREATE FUNCTION t.short(signature text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(regexp_replace(signature, $r$(NULL|'[^']*')::[a-z ]+(\[\])?$r$, '\1', 'g'),
                   'timestamp with time zone', 'timestamptz')
$$;
CREATE FUNCTION t.one_line(written text) RETURNS text LANGUAGE sql AS $$
    SELECT btrim(regexp_replace(written, '\s+', ' ', 'g'))
$$;
CREATE TABLE t.contract (name text, arguments text, result text);
INSERT INTO t.contract VALUES
('install', $$account_table regclass DEFAULT NULL, contact_table regclass DEFAULT NULL,
    owner_table regclass DEFAULT NULL, columns jsonb DEFAULT NULL$$, 'text'),
('create_pipeline', $$name text, stages jsonb DEFAULT NULL, description text DEFAULT NULL, currency text DEFAULT NULL,
    organization text DEFAULT NULL, is_default boolean DEFAULT NULL, gates jsonb DEFAULT NULL$$, 'bigint'),
('add_stage', $$pipeline bigint, name text, key text DEFAULT NULL, before_key text DEFAULT NULL,
    probability numeric DEFAULT NULL, status text DEFAULT NULL, labels jsonb DEFAULT NULL,
    required_fields text[] DEFAULT NULL, rots_after interval DEFAULT NULL$$, 'bigint'),
('reorder_stages', 'pipeline bigint, keys text[]', 'void'),
('remove_stage', 'stage bigint, move_deals_to bigint DEFAULT NULL', 'bigint'),
('move_deal', $$deal bigint, to_stage text, note text DEFAULT NULL, actor text DEFAULT NULL,
    lost_reason text DEFAULT NULL, expected_version integer DEFAULT NULL, override text DEFAULT NULL, fields jsonb DEFAULT NULL,
    OUT deal_id bigint, OUT pipeline_id bigint, OUT stage_id bigint, OUT stage_key text, OUT status text,
    OUT probability numeric, OUT closed_at timestamptz, OUT version integer, OUT event_id bigint, OUT batch_id bigint$$, 'record'),
('move_deal', $$deal bigint, to_stage_id bigint, note text DEFAULT NULL, actor text DEFAULT NULL,
    lost_reason text DEFAULT NULL, expected_version integer DEFAULT NULL, override text DEFAULT NULL, fields jsonb DEFAULT NULL,
    OUT deal_id bigint, OUT pipeline_id bigint, OUT stage_id bigint, OUT stage_key text, OUT status text,
    OUT probability numeric, OUT closed_at timestamptz, OUT version integer, OUT event_id bigint, OUT batch_id bigint$$, 'record'),
('move_deals', $$deal_ids bigint[], to_stage text, note text DEFAULT NULL, actor text DEFAULT NULL,
    lost_reason text DEFAULT NULL, override text DEFAULT NULL$$,
    'TABLE(deal_id bigint, outcome text, detail text, event_id bigint)'),
('check_move', 'deal bigint, to_stage text, lost_reason text DEFAULT NULL', 'TABLE(rule text, detail text, data jsonb)'),
('undo_batch', 'batch_id bigint, actor text DEFAULT NULL', 'TABLE(deal_id bigint, outcome text, detail text)'),
('restore_deal', 'deal_id bigint, actor text DEFAULT NULL', 'bigint'),
('resolve_deal', 'deal_id bigint', 'bigint'),
('verify', '', 'TABLE(rule integer, deal_id bigint, detail text)'),
('subscribe', $$consumer text, kinds text[] DEFAULT NULL, from_start boolean DEFAULT false,
    include_imports boolean DEFAULT false$$, 'void'),
('read_events', 'consumer text, max_events integer DEFAULT 100, lease interval DEFAULT NULL',
    'TABLE(id bigint, deal_id bigint, kind text, occurred_at timestamptz, payload jsonb)'),
('ack_events', 'consumer text, event_id bigint', 'bigint'),
('unsubscribe', 'consumer text', 'void'),
('start_dispatcher', '', 'void'),
('prune_events', 'before timestamptz', 'bigint'),
('redact', $$contact text DEFAULT NULL, lead bigint DEFAULT NULL, deals bigint[] DEFAULT NULL, actor text DEFAULT NULL,
    reason text DEFAULT NULL$$, 'TABLE(relation text, rows bigint)'),
('find_duplicates', $$name text, threshold real DEFAULT NULL, max_results integer DEFAULT 10,
    pipeline text DEFAULT NULL$$,
    'TABLE(deal_id bigint, deal_name text, similarity real)'),
('scan_duplicates', 'threshold real DEFAULT NULL', 'TABLE(deal_id bigint, other_deal_id bigint, similarity real)'),
('flag_duplicates', 'pipeline text DEFAULT NULL', 'bigint'),
('rebuild_duplicates', '', 'void'),
('dismiss_duplicate', 'deal_id bigint, other_deal_id bigint, actor text DEFAULT NULL', 'void'),
('merge_deals', 'survivor bigint, duplicate bigint, actor text DEFAULT NULL', 'bigint'),
('board', $$pipeline text DEFAULT NULL, group_by text DEFAULT 'stage', card_limit integer DEFAULT 20,
    filter jsonb DEFAULT NULL, language text DEFAULT NULL, sort text DEFAULT NULL$$,
    $$TABLE(column_key text, label text, ordinal integer, deal_count bigint, amounts jsonb, weighted_amounts jsonb,
    cards jsonb, page_key jsonb)$$),
('board_cards', $$pipeline text, column_key text, group_by text DEFAULT 'stage', after jsonb DEFAULT NULL,
    card_limit integer DEFAULT 20, filter jsonb DEFAULT NULL, language text DEFAULT NULL, sort text DEFAULT NULL$$,
    'TABLE(card jsonb, page_key jsonb)'),
('forecast', $$pipeline text DEFAULT NULL, convert_to text DEFAULT NULL, from_date date DEFAULT NULL,
    to_date date DEFAULT NULL, filter jsonb DEFAULT NULL, group_by text DEFAULT NULL, as_of timestamptz DEFAULT NULL$$,
    $$TABLE(month date, group_key text, group_label text, currency text, deal_count bigint, amount numeric,
    weighted_amount numeric, won_count bigint, won_amount numeric)$$),
('deals_as_of', 'at timestamptz', $$TABLE(id bigint, name text, account_id text, pipeline_id bigint, stage_id bigint,
    status text, amount numeric, currency text, probability numeric, expected_close_date date, closed_at timestamptz,
    owner text, lost_reason text, custom_fields jsonb, version integer)$$),
('pipeline_changes', $$from_at timestamptz, to_at timestamptz DEFAULT now(), pipeline text DEFAULT NULL,
    close_from date DEFAULT NULL, close_to date DEFAULT NULL, filter jsonb DEFAULT NULL, group_by text DEFAULT NULL$$,
    'TABLE(group_key text, group_label text, currency text, change text, deal_count bigint, amount numeric)'),
('pipeline_trend', $$step text DEFAULT 'week', from_date date DEFAULT NULL, to_date date DEFAULT NULL,
    pipeline text DEFAULT NULL, group_by text DEFAULT 'stage', filter jsonb DEFAULT NULL$$,
    $$TABLE(at timestamptz, group_key text, group_label text, currency text, deal_count bigint, amount numeric,
    weighted_amount numeric)$$),
('attainment', $$by text DEFAULT NULL, period text DEFAULT 'quarter', from_date date DEFAULT NULL,
    to_date date DEFAULT NULL, pipeline text DEFAULT NULL, convert_to text DEFAULT NULL$$,
    $$TABLE(period_start date, group_key text, group_label text, currency text, target numeric, won numeric,
    open_amount numeric, weighted numeric, gap numeric, coverage numeric)$$),
('convert_lead', $$lead bigint, create_deal boolean DEFAULT true, deal jsonb DEFAULT '{}',
    use_account text DEFAULT NULL, use_contact text DEFAULT NULL, actor text DEFAULT NULL,
    use_deal bigint DEFAULT NULL, OUT account_id text, OUT contact_id text, OUT deal_id bigint$$, 'record'),
('load_sample', '', 'void'),
('timeline', 'deal bigint, max_entries integer DEFAULT 50, before timestamptz DEFAULT NULL, language text DEFAULT NULL',
    'TABLE(at timestamptz, kind text, actor text, title text, detail jsonb)'),
('import_deals', $$source regclass DEFAULT NULL, history regclass DEFAULT NULL, gates boolean DEFAULT false,
    create_accounts boolean DEFAULT false, actor text DEFAULT NULL, columns jsonb DEFAULT NULL,
    formats jsonb DEFAULT NULL, dry_run boolean DEFAULT false, lost_reason text DEFAULT NULL,
    closed_at_from text DEFAULT NULL, rows jsonb DEFAULT NULL$$,
    'TABLE(row_number bigint, external_id text, outcome text, deal_id bigint, detail text)'),
('import_accounts', $$source regclass DEFAULT NULL, actor text DEFAULT NULL, columns jsonb DEFAULT NULL,
    formats jsonb DEFAULT NULL, dry_run boolean DEFAULT false, rows jsonb DEFAULT NULL$$,
    'TABLE(row_number bigint, external_id text, outcome text, id text, detail text)'),
('import_contacts', $$source regclass DEFAULT NULL, actor text DEFAULT NULL, columns jsonb DEFAULT NULL,
    formats jsonb DEFAULT NULL, dry_run boolean DEFAULT false, rows jsonb DEFAULT NULL$$,
    'TABLE(row_number bigint, external_id text, outcome text, id text, detail text)'),
('import_leads', $$source regclass DEFAULT NULL, actor text DEFAULT NULL, columns jsonb DEFAULT NULL,
    formats jsonb DEFAULT NULL, dry_run boolean DEFAULT false, rows jsonb DEFAULT NULL$$,
    'TABLE(row_number bigint, external_id text, outcome text, id text, detail text)'),
('index_custom_field', 'entity text, key text', 'regclass'),
('grant_access', 'role regrole, level text', 'void'),
('revoke_access', 'role regrole', 'void'),
('protect_children', '', 'void');
-- The five reports take the same arguments.
INSERT INTO t.contract
SELECT r.name, $$by text DEFAULT NULL, period text DEFAULT 'month', from_date date DEFAULT NULL,
    to_date date DEFAULT NULL, pipeline text DEFAULT NULL, filter jsonb DEFAULT NULL$$, r.result
FROM (VALUES
('win_rate', $$TABLE(period_start date, group_key text, group_label text, won_count bigint, lost_count bigint,
    abandoned_count bigint, win_rate numeric)$$),
('stage_conversion', $$TABLE(period_start date, group_key text, group_label text, pipeline_id bigint, stage_id bigint,
    stage_key text, stage_label text, entered_count bigint, converted_count bigint, conversion_rate numeric,
    median_stay interval)$$),
('sales_velocity', $$TABLE(period_start date, group_key text, group_label text, currency text, open_count bigint,
    won_count bigint, lost_count bigint, win_rate numeric, mean_won_amount numeric, mean_days_to_win numeric,
    velocity numeric)$$),
('lost_reasons', $$TABLE(period_start date, group_key text, group_label text, lost_reason text, reason_label text,
    currency text, deal_count bigint, amount numeric, share numeric)$$),
('pipeline_summary', $$TABLE(group_key text, group_label text, pipeline_id bigint, stage_id bigint, stage_key text,
    stage_label text, currency text, deal_count bigint, amount numeric, weighted_amount numeric)$$)
) AS r (name, result);

SELECT is(p.signature, t.one_line(c.name || '(' || c.arguments || ') -> ' || c.result),
          concat_ws(', ', 'section 12: ' || c.name,
                    CASE c.name WHEN 'move_deal' THEN split_part(c.arguments, ', ', 2) END))
FROM t.contract AS c
LEFT JOIN (SELECT p.proname, split_part(pg_get_function_arguments(p.oid), ', ', 2) AS second,
                  t.short(format('%s(%s) -> %s', p.proname, pg_get_function_arguments(p.oid),
                                 pg_get_function_result(p.oid))) AS signature
           FROM pg_proc AS p
           WHERE p.pronamespace = 'crm_deals'::regnamespace) AS p
    ON p.proname = c.name AND (c.name <> 'move_deal' OR p.second = split_part(c.arguments, ', ', 2))
ORDER BY c.name, c.arguments;
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p
                  WHERE p.pronamespace = 'crm_deals'::regnamespace
                    AND p.proname NOT IN (SELECT c.name FROM t.contract AS c)$$,
                'section 12: there are no other functions');
SELECT is((SELECT count(*) FROM pg_proc AS p WHERE p.pronamespace = 'crm_deals'::regnamespace),
          (SELECT count(*) FROM t.contract), 'section 12: what \df crm_deals.* lists');
-- One signature a name, also of what is internal
SELECT is((SELECT string_agg(DISTINCT p.proname, ' ') FROM pg_proc AS p
           WHERE p.pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
             AND EXISTS (SELECT FROM pg_proc AS o
                         WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname AND o.oid <> p.oid)),
          'move_deal', 'section 2: one signature a name, move_deal excepted');

SELECT * FROM finish();
