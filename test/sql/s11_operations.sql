\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 11: operations, as far as the catalogs show them.
SELECT is((SELECT string_agg(relname, ' ') FROM pg_class AS c
           WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'
             AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)),
          NULL, 'section 11: every table has a primary key');
SELECT is((SELECT string_agg(format('%s %s', c.relname, a.attidentity), ', ' ORDER BY c.relname)
           FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attidentity <> ''
           WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'),
          'account d, activity d, contact d, custom_field d, deal d, deal_event a, lead d, log_generation a, '
          'log_pruning a, lost_reason d, pipeline d, stage d, stage_transition d, target d',
          'section 11: identity BY DEFAULT on user tables, ALWAYS on the log');
SELECT is((SELECT string_agg(p.oid::regprocedure::text, ' ') FROM pg_proc AS p
           WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace)
             AND coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '^[A-Z].*\.$'),
          NULL, 'section 11: every function has a COMMENT, a sentence');
-- Volatility, parallel safety, cost
SELECT is((SELECT string_agg(DISTINCT proname || ' ' || provolatile::text,
                             ', ' ORDER BY proname || ' ' || provolatile::text)
           FROM pg_proc WHERE pronamespace = 'crm_deals'::regnamespace),
          'ack_events v, add_stage v, attainment s, board s, board_cards s, check_move s, convert_lead v, '
          'create_pipeline v, deals_as_of s, dismiss_duplicate v, find_duplicates s, flag_duplicates v, forecast s, '
          'grant_access v, import_accounts v, import_contacts v, import_deals v, import_leads v, '
          'index_custom_field v, install v, load_sample v, lost_reasons s, merge_deals v, move_deal v, move_deals v, '
          'pipeline_changes s, pipeline_summary s, pipeline_trend s, protect_children v, prune_events v, '
          'read_events v, rebuild_duplicates v, redact v, '
          'remove_stage v, reorder_stages v, resolve_deal s, restore_deal v, revoke_access v, sales_velocity s, '
          'scan_duplicates s, stage_conversion s, start_dispatcher v, subscribe v, timeline s, undo_batch v, '
          'unsubscribe v, verify s, win_rate s',
          'section 11: read functions are STABLE, those that write VOLATILE');
SELECT is((SELECT string_agg(proname, ' ') FROM pg_proc
           WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace) AND provolatile = 'v'
             AND proparallel <> 'u'),
          NULL, 'section 11: what writes is not parallel safe');
SELECT is((SELECT string_agg(proname || ' ' || proparallel::text, ', ' ORDER BY proname) FROM pg_proc
           WHERE pronamespace = 'crm_deals'::regnamespace AND provolatile = 's'),
          'attainment s, board s, board_cards s, check_move u, deals_as_of s, find_duplicates u, forecast s, '
          'lost_reasons s, pipeline_changes s, pipeline_summary s, pipeline_trend s, resolve_deal s, '
          'sales_velocity s, scan_duplicates u, stage_conversion s, timeline s, verify u, win_rate s',
          'section 11: PARALLEL SAFE where true');
SELECT is((SELECT string_agg(proname, ' ') FROM pg_proc
           WHERE pronamespace = 'crm_deals'::regnamespace AND provolatile = 's' AND proname <> 'resolve_deal'
             AND procost <= 100),
          NULL, 'section 11: read functions have a COST');
SELECT is((SELECT string_agg(DISTINCT proname, ' ') FROM pg_proc
           WHERE pronamespace = 'crm_deals'::regnamespace AND proname IN ('check_move', 'verify', 'move_deal')
             AND procost <= 100),
          NULL, 'section 11: with a COST');
-- Signatures of section 12
SELECT is(pg_get_function_identity_arguments(p.oid) || ' -> ' || CASE WHEN p.proretset THEN 'setof ' ELSE '' END
          || format_type(p.prorettype, NULL),
          v.signature, 'section 12: ' || v.name)
FROM (VALUES ('install', 'account_table regclass, contact_table regclass, owner_table regclass, columns jsonb -> text'),
             ('create_pipeline',
              'name text, stages jsonb, description text, currency text, organization text, is_default boolean, '
              'gates jsonb -> bigint'),
             ('add_stage',
              'pipeline bigint, name text, key text, before_key text, probability numeric, status text, labels jsonb, '
              'required_fields text[], rots_after interval -> bigint'),
             ('reorder_stages', 'pipeline bigint, keys text[] -> void'),
             ('remove_stage', 'stage bigint, move_deals_to bigint -> bigint'),
             ('move_deals',
              'deal_ids bigint[], to_stage text, note text, actor text, lost_reason text, '
              'override text -> setof record'),
             ('check_move', 'deal bigint, to_stage text, lost_reason text -> setof record'),
             ('resolve_deal', 'deal_id bigint -> bigint'),
             ('verify', ' -> setof record'),
             ('subscribe', 'consumer text, kinds text[], from_start boolean, include_imports boolean -> void'),
             ('read_events', 'consumer text, max_events integer, lease interval -> setof record'),
             ('ack_events', 'consumer text, event_id bigint -> bigint'),
             ('unsubscribe', 'consumer text -> void'),
             ('start_dispatcher', ' -> void'),
             ('prune_events', 'before timestamp with time zone -> bigint'),
             ('redact', 'contact text, lead bigint, deals bigint[], actor text, reason text -> setof record'),
             ('grant_access', 'role regrole, level text -> void'),
             ('revoke_access', 'role regrole -> void')) AS v (name, signature)
LEFT JOIN pg_proc AS p ON p.pronamespace = 'crm_deals'::regnamespace AND p.proname = v.name;
SELECT is((SELECT string_agg(regexp_replace(pg_get_function_arguments(oid), ', OUT .*', ''), '; ' ORDER BY oid)
           FROM pg_proc WHERE pronamespace = 'crm_deals'::regnamespace AND proname = 'move_deal'),
          'deal bigint, to_stage text, note text DEFAULT NULL::text, actor text DEFAULT NULL::text, '
          'lost_reason text DEFAULT NULL::text, expected_version integer DEFAULT NULL::integer, '
          'override text DEFAULT NULL::text, fields jsonb DEFAULT NULL::jsonb; deal bigint, to_stage_id bigint, note text DEFAULT NULL::text, '
          'actor text DEFAULT NULL::text, lost_reason text DEFAULT NULL::text, '
          'expected_version integer DEFAULT NULL::integer, override text DEFAULT NULL::text, fields jsonb DEFAULT NULL::jsonb',
          'section 12: move_deal by text and by id');
SELECT is((SELECT string_agg(name, ' ' ORDER BY position)
           FROM pg_proc, unnest(proargnames, proargmodes) WITH ORDINALITY AS a (name, mode, position)
           WHERE proname = v.name AND pronamespace = 'crm_deals'::regnamespace AND mode = 't'),
          v.columns, 'section 12: columns of ' || v.name)
FROM (VALUES ('move_deals', 'deal_id outcome detail event_id'), ('check_move', 'rule detail data'),
             ('read_events', 'id deal_id kind occurred_at payload'), ('redact', 'relation rows')) AS v (name, columns);
-- fillfactor and autovacuum where they help
SELECT is((SELECT string_agg(relname || ' ' || (SELECT option_value FROM pg_options_to_table(reloptions)
                                                WHERE option_name = 'fillfactor'),
                             ', ' ORDER BY relname)
           FROM pg_class
           WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r' AND reloptions::text LIKE '%fillfactor%'),
          'deal 90, deal_event 100, event_consumer 50', 'section 11: fillfactor');
SELECT is((SELECT count(*) FROM pg_class
           WHERE oid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_event'::regclass)
             AND reloptions::text LIKE '%autovacuum%'),
          2::bigint, 'section 11: autovacuum');
-- The columns of foreign keys have an index, so that a delete in the other table does not scan this one.
SELECT is((SELECT string_agg(format('%s.%s', c.conrelid::regclass, c.conname), ', ') FROM pg_constraint AS c
           WHERE c.contype = 'f' AND c.connamespace = 'crm_deals'::regnamespace
             AND c.confrelid::regclass::text ~ '(deal|contact|account|lead|stage)$'
             AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])),
          NULL, 'section 11: foreign keys are indexed');
-- Loops check for interrupts: a statement over many deals can be cancelled.
SELECT t.new_deals('m', 300, 'lead') AS none \gset
SET statement_timeout = 200;
\set ON_ERROR_STOP off
INSERT INTO crm_deals.deal (name) SELECT 'x' || n FROM generate_series(1, 5000000) AS n;
\set ON_ERROR_STOP on
SET statement_timeout = 0;
SELECT is((SELECT count(*) FROM crm_deals.deal), 300::bigint,
          'section 11: a bulk write that is cancelled leaves nothing behind');
-- Read functions in a read-only transaction, as on a standby
BEGIN READ ONLY;
SELECT is((SELECT count(*) FROM crm_deals.verify()), 0::bigint, 'section 11: verify() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.check_move(t.deal('m1'), 'won')), 0::bigint,
          'section 11: check_move() writes nothing');
SELECT is(crm_deals.resolve_deal(t.deal('m1')), t.deal('m1'), 'section 11: resolve_deal() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.deal_overview), 300::bigint, 'section 11: deal_overview');
SELECT is((SELECT sum(deal_count) FROM crm_deals.board()), 300::numeric, 'section 11: board() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.board_cards(NULL, 'lead', card_limit => 1000)),
          (SELECT count(*) FROM crm_deals.deal WHERE stage_id = t.stage('lead')),
          'section 11: board_cards() writes nothing');
SELECT is((SELECT sum(deal_count) + sum(won_count) FROM crm_deals.forecast(as_of => now())),
          (SELECT count(*) FROM crm_deals.deal WHERE status IN ('open', 'won'))::numeric,
          'section 11: forecast() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.deals_as_of(now())), 300::bigint, 'section 11: deals_as_of() writes nothing');
SELECT is((SELECT sum(deal_count) FROM crm_deals.pipeline_changes('-infinity') WHERE change = 'created'), 300::numeric,
          'section 11: pipeline_changes() writes nothing');
SELECT is((SELECT sum(deal_count) FROM crm_deals.pipeline_trend(NULL)),
          (SELECT count(*) FROM crm_deals.deal WHERE status = 'open')::numeric,
          'section 11: pipeline_trend() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.attainment(NULL, 'day', '2020-01-01', '2020-01-02')), 0::bigint,
          'section 11: attainment() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.win_rate(NULL, NULL)), 1::bigint, 'section 11: win_rate() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.stage_conversion(NULL, NULL)), 4::bigint,
          'section 11: stage_conversion() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.sales_velocity(NULL, NULL)), 1::bigint,
          'section 11: sales_velocity() writes nothing');
SELECT is((SELECT count(*) FROM crm_deals.lost_reasons(NULL, NULL)),
          (SELECT count(DISTINCT lost_reason) FROM crm_deals.deal WHERE status = 'lost'),
          'section 11: lost_reasons() writes nothing');
SELECT is((SELECT sum(deal_count) FROM crm_deals.pipeline_summary()), 300::numeric,
          'section 11: pipeline_summary() writes nothing');
SELECT is(t.dry('SELECT * FROM crm_deals.read_events(''none'')'), '25006',
          'section 11: read_events() is refused with 25006');
COMMIT;
SELECT is((SELECT string_agg(pg_get_function_arguments(oid), '; ' ORDER BY proname) FROM pg_proc
           WHERE pronamespace = 'crm_deals'::regnamespace AND proname IN ('subscribe', 'read_events', 'redact')),
          'consumer text, max_events integer DEFAULT 100, lease interval DEFAULT NULL::interval; '
          'contact text DEFAULT NULL::text, lead bigint DEFAULT NULL::bigint, deals bigint[] DEFAULT NULL::bigint[], '
          'actor text DEFAULT NULL::text, reason text DEFAULT NULL::text; consumer text, '
          'kinds text[] DEFAULT NULL::text[], from_start boolean DEFAULT false, include_imports boolean DEFAULT false',
          'section 12: defaults of the consumers'' functions and redact');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
