-- The public functions: all that people and programs call, on one page (section 12 of doc/contract.md).
--
-- Each is a face. It has the defaults and the description, and it calls the function of the same name in the schema
-- crm_deals_internal, or C. Our own code calls internal functions only, never these. PostgreSQL looks up the names in
-- these SQL bodies once, when it creates the extension; so they need no search_path, and nothing that a user creates
-- later changes what they call.

-- ----------
-- Installation
-- ----------

-- access: public
CREATE FUNCTION crm_deals.install(account_table regclass DEFAULT NULL, contact_table regclass DEFAULT NULL,
                                  owner_table regclass DEFAULT NULL, columns jsonb DEFAULT NULL) RETURNS text
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.install(account_table, contact_table, owner_table, columns);
COMMENT ON FUNCTION crm_deals.install(regclass, regclass, regclass, jsonb) IS
    'Creates what is missing of the tables, indexes, triggers and views of crm_deals. The caller owns them. Returns '
    'the installed version.';

-- ----------
-- Pipelines and stages
-- ----------

-- access: admin
CREATE FUNCTION crm_deals.create_pipeline(name text, stages jsonb DEFAULT NULL, description text DEFAULT NULL,
                                          currency text DEFAULT NULL, organization text DEFAULT NULL,
                                          is_default boolean DEFAULT NULL, gates jsonb DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.create_pipeline(name, stages, description, currency, organization, is_default, gates,
                                          current_setting('search_path'));
COMMENT ON FUNCTION crm_deals.create_pipeline(text, jsonb, text, text, text, boolean, jsonb) IS
    'Creates a pipeline with the given stages, or with the six default ones, and returns its id. The first pipeline '
    'of an organization becomes its default.';

-- access: admin
CREATE FUNCTION crm_deals.add_stage(pipeline bigint, name text, key text DEFAULT NULL, before_key text DEFAULT NULL,
                                    probability numeric DEFAULT NULL, status text DEFAULT NULL,
                                    labels jsonb DEFAULT NULL, required_fields text[] DEFAULT NULL,
                                    rots_after interval DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.add_stage(pipeline, name, key, before_key, probability, status, labels, required_fields,
                                    rots_after, current_setting('search_path'));
COMMENT ON FUNCTION crm_deals.add_stage(bigint, text, text, text, numeric, text, jsonb, text[], interval) IS
    'Adds a stage before the one with before_key, or at the end, and returns its id.';

-- access: admin
CREATE FUNCTION crm_deals.reorder_stages(pipeline bigint, keys text[]) RETURNS void
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.reorder_stages(pipeline, keys, current_setting('search_path'));
COMMENT ON FUNCTION crm_deals.reorder_stages(bigint, text[]) IS
    'Puts the stages of a pipeline in the order of the keys. The keys must name every stage.';

-- access: admin
CREATE FUNCTION crm_deals.remove_stage(stage bigint, move_deals_to bigint DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.remove_stage(stage, move_deals_to, current_setting('search_path'));
COMMENT ON FUNCTION crm_deals.remove_stage(bigint, bigint) IS
    'Moves the deals of a stage, then deletes the stage, or archives it if the log mentions it. Returns the number '
    'of deals moved.';

-- ----------
-- Moves
-- ----------

-- access: write
CREATE FUNCTION crm_deals.move_deal(deal bigint, to_stage text, note text DEFAULT NULL, actor text DEFAULT NULL,
                                    lost_reason text DEFAULT NULL, expected_version integer DEFAULT NULL,
                                    override text DEFAULT NULL, fields jsonb DEFAULT NULL,
                                    OUT deal_id bigint, OUT pipeline_id bigint, OUT stage_id bigint,
                                    OUT stage_key text, OUT status text, OUT probability numeric,
                                    OUT closed_at timestamptz, OUT version integer, OUT event_id bigint,
                                    OUT batch_id bigint)
LANGUAGE c VOLATILE COST 1000 AS 'MODULE_PATHNAME', 'crm_deals_move_deal_and_write';
COMMENT ON FUNCTION crm_deals.move_deal(bigint, text, text, text, text, integer, text, jsonb) IS
    'Moves a deal to a stage of its pipeline, given by key, name, label or id, writes other fields of it, and records '
    'a note. event_id is NULL if nothing changed.';

-- access: write
CREATE FUNCTION crm_deals.move_deal(deal bigint, to_stage_id bigint, note text DEFAULT NULL, actor text DEFAULT NULL,
                                    lost_reason text DEFAULT NULL, expected_version integer DEFAULT NULL,
                                    override text DEFAULT NULL, fields jsonb DEFAULT NULL,
                                    OUT deal_id bigint, OUT pipeline_id bigint, OUT stage_id bigint,
                                    OUT stage_key text, OUT status text, OUT probability numeric,
                                    OUT closed_at timestamptz, OUT version integer, OUT event_id bigint,
                                    OUT batch_id bigint)
LANGUAGE c VOLATILE COST 1000 AS 'MODULE_PATHNAME', 'crm_deals_move_deal_to_id_and_write';
COMMENT ON FUNCTION crm_deals.move_deal(bigint, bigint, text, text, text, integer, text, jsonb) IS
    'Moves a deal to a stage of any pipeline, given by id, writes other fields of it, and records a note. event_id is '
    'NULL if nothing changed.';

-- access: write
CREATE FUNCTION crm_deals.move_deals(deal_ids bigint[], to_stage text, note text DEFAULT NULL,
                                     actor text DEFAULT NULL, lost_reason text DEFAULT NULL,
                                     override text DEFAULT NULL)
RETURNS TABLE (deal_id bigint, outcome text, detail text, event_id bigint)
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.move_deals(deal_ids, to_stage, note, actor, lost_reason, override,
                                                current_setting('search_path'));
END;
COMMENT ON FUNCTION crm_deals.move_deals(bigint[], text, text, text, text, text) IS
    'Moves many deals at once. Returns an outcome for each id: moved, unchanged, rejected or not_found.';

-- access: read
CREATE FUNCTION crm_deals.check_move(deal bigint, to_stage text, lost_reason text DEFAULT NULL)
RETURNS TABLE (rule text, detail text, data jsonb)
LANGUAGE sql STABLE COST 1000 ROWS 1
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.check_move(deal, to_stage, lost_reason);
END;
COMMENT ON FUNCTION crm_deals.check_move(bigint, text, text) IS
    'Tells what a move would break, without moving: a row for each rule, and none if the deal may move.';

-- ----------
-- Corrections and checks
-- ----------

-- access: write
CREATE FUNCTION crm_deals.undo_batch(batch_id bigint, actor text DEFAULT NULL)
RETURNS TABLE (deal_id bigint, outcome text, detail text)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_undo_batch';
COMMENT ON FUNCTION crm_deals.undo_batch(bigint, text) IS
    'Undoes what one statement changed of deals, a merge included. Returns what became of each deal. Level write may '
    'undo its own statements only.';

-- access: manager
CREATE FUNCTION crm_deals.restore_deal(deal_id bigint, actor text DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_restore_deal';
COMMENT ON FUNCTION crm_deals.restore_deal(bigint, text) IS
    'Brings a deleted deal back under its old id, as it was. Its stakeholders and activities do not come back.';

-- access: read
CREATE FUNCTION crm_deals.resolve_deal(deal_id bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN crm_deals_internal.resolve_deal(deal_id);
COMMENT ON FUNCTION crm_deals.resolve_deal(bigint) IS
    'Returns the id under which a deal is found now: its own, or that of the deal it was merged into.';

-- access: read
CREATE FUNCTION crm_deals.verify()
RETURNS TABLE (rule integer, deal_id bigint, detail text)
LANGUAGE sql STABLE COST 1000000
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.verify();
END;
COMMENT ON FUNCTION crm_deals.verify() IS
    'Checks the rules of deals on the data: returns a row for each that is broken, and none if all hold.';

-- ----------
-- Events
-- ----------

-- access: consume
CREATE FUNCTION crm_deals.subscribe(consumer text, kinds text[] DEFAULT NULL, from_start boolean DEFAULT false,
                                    include_imports boolean DEFAULT false) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_subscribe';
COMMENT ON FUNCTION crm_deals.subscribe(text, text[], boolean, boolean) IS
    'Makes a consumer of events, of all or of some kinds, from now on or from the start of the log.';

-- access: consume
CREATE FUNCTION crm_deals.read_events(consumer text, max_events integer DEFAULT 100, lease interval DEFAULT NULL)
RETURNS TABLE (id bigint, deal_id bigint, kind text, occurred_at timestamptz, payload jsonb)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_read_events';
COMMENT ON FUNCTION crm_deals.read_events(text, integer, interval) IS
    'Delivers the next events to a consumer. Those that it does not acknowledge come again.';

-- access: consume
CREATE FUNCTION crm_deals.ack_events(consumer text, event_id bigint) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_ack_events';
COMMENT ON FUNCTION crm_deals.ack_events(text, bigint) IS
    'Acknowledges an event and all that were delivered before it, and returns how many.';

-- access: consume
CREATE FUNCTION crm_deals.unsubscribe(consumer text) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_unsubscribe';
COMMENT ON FUNCTION crm_deals.unsubscribe(text) IS
    'Removes a consumer of events and its place in the log.';

-- access: write
CREATE FUNCTION crm_deals.start_dispatcher() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_start_dispatcher';
COMMENT ON FUNCTION crm_deals.start_dispatcher() IS
    'Starts the background worker that notifies under crm_deals.notify = dispatch, if it does not run.';

-- access: admin
CREATE FUNCTION crm_deals.prune_events(before timestamptz) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_prune_events';
COMMENT ON FUNCTION crm_deals.prune_events(timestamptz) IS
    'Removes events older than a moment, and returns how many. Keeps the latest event of each deal and those that '
    'consumers wait for.';

-- access: admin
CREATE FUNCTION crm_deals.redact(contact text DEFAULT NULL, lead bigint DEFAULT NULL, deals bigint[] DEFAULT NULL,
                                 actor text DEFAULT NULL, reason text DEFAULT NULL)
RETURNS TABLE (relation text, rows bigint)
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_redact';
COMMENT ON FUNCTION crm_deals.redact(text, bigint, bigint[], text, text) IS
    'Erases a person from contacts, leads, activities, the deals that are named, and their log. Returns the rows '
    'changed in each table.';

-- ----------
-- Duplicates
-- ----------

-- access: read
CREATE FUNCTION crm_deals.find_duplicates(name text, threshold real DEFAULT NULL, max_results integer DEFAULT 10,
                                          pipeline text DEFAULT NULL)
RETURNS TABLE (deal_id bigint, deal_name text, similarity real)
LANGUAGE sql STABLE COST 1000 ROWS 10
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.find_duplicates(name, threshold, max_results, pipeline);
END;
COMMENT ON FUNCTION crm_deals.find_duplicates(text, real, integer, text) IS
    'Finds deals of the pipeline''s organization with a similar name, the most similar first.';

-- access: read
CREATE FUNCTION crm_deals.scan_duplicates(threshold real DEFAULT NULL)
RETURNS TABLE (deal_id bigint, other_deal_id bigint, similarity real)
LANGUAGE c STABLE COST 100000 ROWS 1000 AS 'MODULE_PATHNAME', 'crm_deals_scan_duplicates';
COMMENT ON FUNCTION crm_deals.scan_duplicates(real) IS
    'Finds every pair of similar deals of an organization, by the given threshold or by that of the later deal''s '
    'pipeline.';

-- access: admin
CREATE FUNCTION crm_deals.flag_duplicates(pipeline text DEFAULT NULL) RETURNS bigint
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.flag_duplicates(pipeline);
COMMENT ON FUNCTION crm_deals.flag_duplicates(text) IS
    'Flags the deals of a pipeline, or of all, as if they were written now. Returns how many flags are new.';

-- access: admin
CREATE FUNCTION crm_deals.rebuild_duplicates() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_rebuild_duplicates';
COMMENT ON FUNCTION crm_deals.rebuild_duplicates() IS
    'Makes the index of names anew. It is necessary after a change of locale, encoding, major version or threshold.';

-- access: write
CREATE FUNCTION crm_deals.dismiss_duplicate(deal_id bigint, other_deal_id bigint,
                                            actor text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_dismiss_duplicate';
COMMENT ON FUNCTION crm_deals.dismiss_duplicate(bigint, bigint, text) IS
    'Records that two deals are no duplicates of each other. The pair is not flagged again.';

-- access: write
CREATE FUNCTION crm_deals.merge_deals(survivor bigint, duplicate bigint, actor text DEFAULT NULL) RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_merge_deals';
COMMENT ON FUNCTION crm_deals.merge_deals(bigint, bigint, text) IS
    'Makes one deal of two and returns its id. What belongs to the duplicate, and values that it alone has, move to '
    'it.';

-- ----------
-- Board, forecast, reports
-- ----------

-- access: read
CREATE FUNCTION crm_deals.board(pipeline text DEFAULT NULL, group_by text DEFAULT 'stage',
                                card_limit integer DEFAULT 20, filter jsonb DEFAULT NULL, language text DEFAULT NULL,
                                sort text DEFAULT NULL)
RETURNS TABLE (column_key text, label text, ordinal integer, deal_count bigint, amounts jsonb, weighted_amounts jsonb,
               cards jsonb, page_key jsonb)
LANGUAGE sql STABLE PARALLEL SAFE COST 100000 ROWS 10
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.board(pipeline, group_by, card_limit, filter, language, sort);
END;
COMMENT ON FUNCTION crm_deals.board(text, text, integer, jsonb, text, text) IS
    'Returns the columns of a pipeline''s board, empty ones too: exact counts, sums per currency, and the first '
    'cards.';

-- access: read
CREATE FUNCTION crm_deals.board_cards(pipeline text, column_key text, group_by text DEFAULT 'stage',
                                      after jsonb DEFAULT NULL, card_limit integer DEFAULT 20,
                                      filter jsonb DEFAULT NULL, language text DEFAULT NULL, sort text DEFAULT NULL)
RETURNS TABLE (card jsonb, page_key jsonb)
LANGUAGE sql STABLE PARALLEL SAFE COST 10000 ROWS 20
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.board_cards(pipeline, column_key, group_by, after, card_limit, filter, language,
                                                 sort);
END;
COMMENT ON FUNCTION crm_deals.board_cards(text, text, text, jsonb, integer, jsonb, text, text) IS
    'Returns the next cards of one column of a board, those after the page_key of the last card before.';

-- access: read
CREATE FUNCTION crm_deals.forecast(pipeline text DEFAULT NULL, convert_to text DEFAULT NULL,
                                   from_date date DEFAULT NULL, to_date date DEFAULT NULL, filter jsonb DEFAULT NULL,
                                   group_by text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS TABLE (month date, group_key text, group_label text, currency text, deal_count bigint, amount numeric,
               weighted_amount numeric, won_count bigint, won_amount numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.forecast(pipeline, convert_to, from_date, to_date, filter, group_by, as_of);
END;
COMMENT ON FUNCTION crm_deals.forecast(text, text, date, date, jsonb, text, timestamptz) IS
    'Returns open deals by the month they are expected in, also weighted by probability, and the deals won in it; '
    'now, or as of a moment.';

-- access: read
CREATE FUNCTION crm_deals.deals_as_of(at timestamptz)
RETURNS TABLE (id bigint, name text, account_id text, pipeline_id bigint, stage_id bigint, status text,
               amount numeric, currency text, probability numeric, expected_close_date date, closed_at timestamptz,
               owner text, lost_reason text, custom_fields jsonb, version integer)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100000
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.deals_as_of(at);
END;
COMMENT ON FUNCTION crm_deals.deals_as_of(timestamptz) IS
    'Returns the deals as they were at a moment, deleted ones too. A copy taken then would differ only by '
    'transactions in flight.';

-- access: read
CREATE FUNCTION crm_deals.timeline(deal bigint, max_entries integer DEFAULT 50, before timestamptz DEFAULT NULL,
                                   language text DEFAULT NULL)
RETURNS TABLE (at timestamptz, kind text, actor text, title text, detail jsonb)
LANGUAGE sql STABLE PARALLEL SAFE COST 10000 ROWS 50
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.timeline(deal, max_entries, before, language);
END;
COMMENT ON FUNCTION crm_deals.timeline(bigint, integer, timestamptz, text) IS
    'Returns the events and activities of a deal as one list that a person can read, newest first.';

-- access: read
CREATE FUNCTION crm_deals.pipeline_changes(from_at timestamptz, to_at timestamptz DEFAULT now(),
                                           pipeline text DEFAULT NULL, close_from date DEFAULT NULL,
                                           close_to date DEFAULT NULL, filter jsonb DEFAULT NULL,
                                           group_by text DEFAULT NULL)
RETURNS TABLE (group_key text, group_label text, currency text, change text, deal_count bigint, amount numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.pipeline_changes(from_at, to_at, pipeline, close_from, close_to, filter,
                                                      group_by);
END;
COMMENT ON FUNCTION crm_deals.pipeline_changes(timestamptz, timestamptz, text, date, date, jsonb, text) IS
    'Returns what happened to the open deals between two moments: what was open, what came, grew, shrank, was won or '
    'lost, went, and what is open. Opening plus the changes is closing.';

-- access: read
CREATE FUNCTION crm_deals.win_rate(by text DEFAULT NULL, period text DEFAULT 'month', from_date date DEFAULT NULL,
                                   to_date date DEFAULT NULL, pipeline text DEFAULT NULL, filter jsonb DEFAULT NULL)
RETURNS TABLE (period_start date, group_key text, group_label text, won_count bigint, lost_count bigint,
               abandoned_count bigint, win_rate numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.win_rate(by, period, from_date, to_date, pipeline, filter);
END;
COMMENT ON FUNCTION crm_deals.win_rate(text, text, date, date, text, jsonb) IS
    'Returns won, lost and abandoned deals by the period in which they were closed, and won / (won + lost).';

-- access: read
CREATE FUNCTION crm_deals.stage_conversion(by text DEFAULT NULL, period text DEFAULT 'month',
                                           from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                           pipeline text DEFAULT NULL, filter jsonb DEFAULT NULL)
RETURNS TABLE (period_start date, group_key text, group_label text, pipeline_id bigint, stage_id bigint,
               stage_key text, stage_label text, entered_count bigint, converted_count bigint,
               conversion_rate numeric, median_stay interval)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.stage_conversion(by, period, from_date, to_date, pipeline, filter);
END;
COMMENT ON FUNCTION crm_deals.stage_conversion(text, text, date, date, text, jsonb) IS
    'Returns, of the deals that entered an open stage in a period, how many went on or were won later, and the '
    'median stay.';

-- access: read
CREATE FUNCTION crm_deals.sales_velocity(by text DEFAULT NULL, period text DEFAULT 'month',
                                         from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                         pipeline text DEFAULT NULL, filter jsonb DEFAULT NULL)
RETURNS TABLE (period_start date, group_key text, group_label text, currency text, open_count bigint,
               won_count bigint, lost_count bigint, win_rate numeric, mean_won_amount numeric,
               mean_days_to_win numeric, velocity numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.sales_velocity(by, period, from_date, to_date, pipeline, filter);
END;
COMMENT ON FUNCTION crm_deals.sales_velocity(text, text, date, date, text, jsonb) IS
    'Returns, per currency, open deals * win rate * mean won amount / mean days to win: an amount per day.';

-- access: read
CREATE FUNCTION crm_deals.lost_reasons(by text DEFAULT NULL, period text DEFAULT 'month', from_date date DEFAULT NULL,
                                       to_date date DEFAULT NULL, pipeline text DEFAULT NULL,
                                       filter jsonb DEFAULT NULL)
RETURNS TABLE (period_start date, group_key text, group_label text, lost_reason text, reason_label text,
               currency text, deal_count bigint, amount numeric, share numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.lost_reasons(by, period, from_date, to_date, pipeline, filter);
END;
COMMENT ON FUNCTION crm_deals.lost_reasons(text, text, date, date, text, jsonb) IS
    'Returns lost deals by reason and currency and by the period in which they were closed: count, amount, share.';

-- access: read
CREATE FUNCTION crm_deals.pipeline_summary(by text DEFAULT NULL, period text DEFAULT 'month',
                                           from_date date DEFAULT NULL, to_date date DEFAULT NULL,
                                           pipeline text DEFAULT NULL, filter jsonb DEFAULT NULL)
RETURNS TABLE (group_key text, group_label text, pipeline_id bigint, stage_id bigint, stage_key text,
               stage_label text, currency text, deal_count bigint, amount numeric, weighted_amount numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.pipeline_summary(by, period, from_date, to_date, pipeline, filter);
END;
COMMENT ON FUNCTION crm_deals.pipeline_summary(text, text, date, date, text, jsonb) IS
    'Returns the deals of now by stage and currency: count, amount, weighted amount. Empty stages are included.';

-- access: read
CREATE FUNCTION crm_deals.pipeline_trend(step text DEFAULT 'week', from_date date DEFAULT NULL,
                                         to_date date DEFAULT NULL, pipeline text DEFAULT NULL,
                                         group_by text DEFAULT 'stage', filter jsonb DEFAULT NULL)
RETURNS TABLE (at timestamptz, group_key text, group_label text, currency text, deal_count bigint, amount numeric,
               weighted_amount numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 1000
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.pipeline_trend(step, from_date, to_date, pipeline, group_by, filter);
END;
COMMENT ON FUNCTION crm_deals.pipeline_trend(text, date, date, text, text, jsonb) IS
    'Returns the open deals at the end of each step, by group and currency: count, amount, weighted amount.';

-- access: read
CREATE FUNCTION crm_deals.attainment(by text DEFAULT NULL, period text DEFAULT 'quarter', from_date date DEFAULT NULL,
                                     to_date date DEFAULT NULL, pipeline text DEFAULT NULL,
                                     convert_to text DEFAULT NULL)
RETURNS TABLE (period_start date, group_key text, group_label text, currency text, target numeric, won numeric,
               open_amount numeric, weighted numeric, gap numeric, coverage numeric)
LANGUAGE sql STABLE PARALLEL SAFE COST 1000000 ROWS 100
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.attainment(by, period, from_date, to_date, pipeline, convert_to);
END;
COMMENT ON FUNCTION crm_deals.attainment(text, text, date, date, text, text) IS
    'Returns targets by period, with what was won, what is open and what is missing.';

-- ----------
-- Leads, imports, custom fields
-- ----------

-- access: write
CREATE FUNCTION crm_deals.convert_lead(lead bigint, create_deal boolean DEFAULT true, deal jsonb DEFAULT '{}',
                                       use_account text DEFAULT NULL, use_contact text DEFAULT NULL,
                                       actor text DEFAULT NULL, use_deal bigint DEFAULT NULL,
                                       OUT account_id text, OUT contact_id text, OUT deal_id bigint)
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT * FROM crm_deals_internal.convert_lead(lead, create_deal, deal, use_account, use_contact, actor, use_deal,
                                                  current_setting('search_path'));
END;
COMMENT ON FUNCTION crm_deals.convert_lead(bigint, boolean, jsonb, text, text, text, bigint) IS
    'Converts a lead, once: finds or creates its account and its contact and, unless told not to, creates a deal or '
    'joins one that is there.';

-- access: write
CREATE FUNCTION crm_deals.import_deals(source regclass DEFAULT NULL, history regclass DEFAULT NULL,
                                       gates boolean DEFAULT false, create_accounts boolean DEFAULT false,
                                       actor text DEFAULT NULL, columns jsonb DEFAULT NULL, formats jsonb DEFAULT NULL,
                                       dry_run boolean DEFAULT false, lost_reason text DEFAULT NULL,
                                       closed_at_from text DEFAULT NULL, rows jsonb DEFAULT NULL)
RETURNS TABLE (row_number bigint, external_id text, outcome text, deal_id bigint, detail text)
LANGUAGE c VOLATILE COST 1000000 AS 'MODULE_PATHNAME', 'crm_deals_import';
COMMENT ON FUNCTION crm_deals.import_deals(regclass, regclass, boolean, boolean, text, jsonb, jsonb, boolean, text,
                                           text, jsonb) IS
    'Imports deals, and their history, from tables or from JSON. Returns an outcome for each row: created, updated, '
    'unchanged, flagged or rejected. A dry run returns the same and changes nothing.';

-- access: write
CREATE FUNCTION crm_deals.import_accounts(source regclass DEFAULT NULL, actor text DEFAULT NULL,
                                          columns jsonb DEFAULT NULL, formats jsonb DEFAULT NULL,
                                          dry_run boolean DEFAULT false, rows jsonb DEFAULT NULL)
RETURNS TABLE (row_number bigint, external_id text, outcome text, id text, detail text)
LANGUAGE c VOLATILE COST 1000000 AS 'MODULE_PATHNAME', 'crm_deals_import_accounts';
COMMENT ON FUNCTION crm_deals.import_accounts(regclass, text, jsonb, jsonb, boolean, jsonb) IS
    'Imports accounts from a table or from JSON. Returns an outcome for each row: created, updated, unchanged or '
    'rejected. A dry run returns the same and changes nothing.';

-- access: write
CREATE FUNCTION crm_deals.import_contacts(source regclass DEFAULT NULL, actor text DEFAULT NULL,
                                          columns jsonb DEFAULT NULL, formats jsonb DEFAULT NULL,
                                          dry_run boolean DEFAULT false, rows jsonb DEFAULT NULL)
RETURNS TABLE (row_number bigint, external_id text, outcome text, id text, detail text)
LANGUAGE c VOLATILE COST 1000000 AS 'MODULE_PATHNAME', 'crm_deals_import_contacts';
COMMENT ON FUNCTION crm_deals.import_contacts(regclass, text, jsonb, jsonb, boolean, jsonb) IS
    'Imports contacts from a table or from JSON. Returns an outcome for each row: created, updated, unchanged or '
    'rejected. A dry run returns the same and changes nothing.';

-- access: write
CREATE FUNCTION crm_deals.import_leads(source regclass DEFAULT NULL, actor text DEFAULT NULL,
                                       columns jsonb DEFAULT NULL, formats jsonb DEFAULT NULL,
                                       dry_run boolean DEFAULT false, rows jsonb DEFAULT NULL)
RETURNS TABLE (row_number bigint, external_id text, outcome text, id text, detail text)
LANGUAGE c VOLATILE COST 1000000 AS 'MODULE_PATHNAME', 'crm_deals_import_leads';
COMMENT ON FUNCTION crm_deals.import_leads(regclass, text, jsonb, jsonb, boolean, jsonb) IS
    'Imports leads from a table or from JSON. Returns an outcome for each row: created, updated, unchanged or '
    'rejected. A dry run returns the same and changes nothing.';

-- access: owner
CREATE FUNCTION crm_deals.load_sample() RETURNS void
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.load_sample(current_setting('search_path'));
COMMENT ON FUNCTION crm_deals.load_sample() IS
    'Loads a small sales team to try things on, into a database without deals.';

-- access: admin
CREATE FUNCTION crm_deals.index_custom_field(entity text, key text) RETURNS regclass
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_index_custom_field';
COMMENT ON FUNCTION crm_deals.index_custom_field(text, text) IS
    'Returns the index by which a custom field is filtered, and makes it first if it is missing.';

-- ----------
-- Access
-- ----------

-- access: owner
CREATE FUNCTION crm_deals.grant_access(role regrole, level text) RETURNS void
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.grant_access(role, level);
COMMENT ON FUNCTION crm_deals.grant_access(regrole, text) IS
    'Gives a role one level of access, read, consume, write, manager or admin, in place of the one it had.';

-- access: owner
CREATE FUNCTION crm_deals.revoke_access(role regrole) RETURNS void
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.revoke_access(role);
COMMENT ON FUNCTION crm_deals.revoke_access(regrole) IS
    'Takes from a role what grant_access() gave it.';

-- access: owner
CREATE FUNCTION crm_deals.protect_children() RETURNS void
LANGUAGE sql VOLATILE
RETURN crm_deals_internal.protect_children();
COMMENT ON FUNCTION crm_deals.protect_children() IS
    'Gives the tables that belong to deals, the log too, a policy: a row is visible if its deal is.';
