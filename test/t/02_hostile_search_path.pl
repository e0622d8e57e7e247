# A hostile schema stands before pg_catalog. Nothing of it is called, and every answer is the same as without it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('hostile');

# Operators and functions that raise when they are called, better matches than those of pg_catalog where they can be,
# and types and tables that shadow.
my @types = qw(bigint integer text boolean numeric timestamptz jsonb date name oid smallint);
my @operators = map { my $operator = $_; map { [ $operator, $_, $_, 'boolean' ] } @types }
  '=', '<>', '<', '>', '<=', '>=';
push @operators, [ '||', 'text', 'text', 'text' ], [ '||', 'jsonb', 'jsonb', 'jsonb' ],
	[ '->', 'jsonb', 'text', 'jsonb' ], [ '->>', 'jsonb', 'text', 'text' ], [ '->', 'jsonb', 'integer', 'jsonb' ],
	[ '#>>', 'jsonb', 'text[]', 'text' ], [ '-', 'jsonb', 'text', 'jsonb' ], [ '+', 'integer', 'integer', 'integer' ],
	[ '+', 'bigint', 'bigint', 'bigint' ], [ '-', 'integer', 'integer', 'integer' ],
	[ '-', 'timestamptz', 'timestamptz', 'interval' ], [ '*', 'numeric', 'numeric', 'numeric' ],
	[ '/', 'numeric', 'numeric', 'numeric' ], [ '~', 'text', 'text', 'boolean' ], [ '~~', 'text', 'text', 'boolean' ],
	[ '=', '"char"', '"char"', 'boolean' ], [ '=', 'regclass', 'regclass', 'boolean' ],
	[ '<>', 'regclass', 'regclass', 'boolean' ], [ '=', 'oid', 'regclass', 'boolean' ],
	[ '=', 'name', 'text', 'boolean' ], [ '=', 'bigint', 'integer', 'boolean' ],
	[ '<>', 'bigint', 'integer', 'boolean' ], [ '=', 'text[]', 'text[]', 'boolean' ],
	[ '&&', 'text[]', 'text[]', 'boolean' ], [ '?', 'jsonb', 'text', 'boolean' ],
	[ '||', 'bigint[]', 'bigint[]', 'bigint[]' ], map { [ $_, 'xid8', 'xid8', 'boolean' ] } '=', '>', '>=';
my @functions = ('now() timestamptz', 'clock_timestamp() timestamptz', 'current_setting(text, boolean) text',
	'set_config(text, text, boolean) text', 'lower(text) text', 'btrim(text) text', 'btrim(text, text) text',
	'replace(text, text, text) text', 'format(text, text) text', 'length(text) integer', 'md5(text) text',
	'to_regclass(text) regclass', 'format_type(oid, integer) text', 'jsonb_typeof(jsonb) text',
	'to_jsonb(bigint) jsonb', 'pg_get_userbyid(oid) name', 'pg_advisory_xact_lock(bigint) void',
	'hashtextextended(text, bigint) bigint', 'isfinite(timestamptz) boolean', 'nextval(regclass) bigint',
	'quote_ident(text) text', 'array_position(text[], text) integer', 'cardinality(bigint[]) integer',
	'regexp_replace(text, text, text, text) text', 'floor(numeric) numeric', 'length(jsonb) integer',
	'max(bigint) bigint', 'min(bigint) bigint', 'max(xid8) xid8', 'max(timestamptz) timestamptz',
	'min(timestamptz) timestamptz', 'sum(bigint) numeric', 'array_agg(bigint) bigint',
	'pg_current_snapshot() pg_snapshot', 'pg_current_xact_id() xid8', 'pg_snapshot_xmax(pg_snapshot) xid8',
	'pg_visible_in_snapshot(xid8, pg_snapshot) boolean', 'width_bucket(bigint, bigint) integer',
	'array_position(bigint[], bigint) integer', 'num_nonnulls(text, bigint) integer',
	'count_up(bigint, bigint) bigint');
my $evil = "CREATE SCHEMA SCHEMA_NAME;\n";
for my $operator (@operators)
{
	my ($name, $left, $right, $result) = @$operator;
	my $function = 'op_' . unpack('H*', "$name $left $right");
	$evil .= qq{CREATE FUNCTION SCHEMA_NAME."$function"($left, $right) RETURNS $result
LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil operator $name ($left, $right)''; END';
CREATE OPERATOR SCHEMA_NAME.$name (LEFTARG = $left, RIGHTARG = $right, FUNCTION = SCHEMA_NAME."$function");\n};
}
for my $function (@functions)
{
	my ($signature, $result) = $function =~ /(.*\)) (\w+)$/;
	$evil .= "CREATE FUNCTION SCHEMA_NAME.$signature RETURNS $result LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil "
		. "function $signature''; END';\n";
}
# variadic and polymorphic ones, an aggregate, tables and types
$evil .= <<'SQL';
CREATE FUNCTION SCHEMA_NAME.jsonb_build_object(VARIADIC "any") RETURNS jsonb LANGUAGE internal AS 'pg_typeof';
CREATE FUNCTION SCHEMA_NAME.jsonb_array_elements(jsonb)
RETURNS SETOF jsonb LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil jsonb_array_elements''; END';
CREATE FUNCTION SCHEMA_NAME.unnest(bigint[])
RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil unnest''; END';
CREATE FUNCTION SCHEMA_NAME.unnest(text[])
RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil unnest''; END';
CREATE FUNCTION SCHEMA_NAME.generate_series(bigint, bigint)
RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil generate_series''; END';
CREATE AGGREGATE SCHEMA_NAME.count(*) (SFUNC = SCHEMA_NAME.count_one, STYPE = bigint);
CREATE AGGREGATE SCHEMA_NAME.max(integer) (SFUNC = SCHEMA_NAME.max_one, STYPE = integer);
CREATE TABLE SCHEMA_NAME.pg_class (oid oid, relname name, relnamespace oid, relowner oid);
CREATE TABLE SCHEMA_NAME.pg_extension (extname name, extversion text);
CREATE TABLE SCHEMA_NAME.pg_proc (oid oid, proname name, pronamespace oid);
CREATE TABLE SCHEMA_NAME.pg_attribute (attrelid oid, attname name, attnum smallint, attisdropped boolean, atttypid oid);
CREATE TABLE SCHEMA_NAME.pg_roles (rolname name);
CREATE TABLE SCHEMA_NAME.deal (id bigint, name text);
CREATE TABLE SCHEMA_NAME.stage (id bigint, key text);
CREATE TABLE SCHEMA_NAME.crm_deals_new_events (id bigint);
CREATE TABLE SCHEMA_NAME.new_deals (id bigint);
CREATE TYPE SCHEMA_NAME.deal_status AS ENUM ('evil');
CREATE DOMAIN SCHEMA_NAME.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN SCHEMA_NAME.timestamptz AS pg_catalog.timestamptz CHECK (false);
CREATE DOMAIN SCHEMA_NAME.int8 AS pg_catalog.int8 CHECK (false);
CREATE DOMAIN SCHEMA_NAME.jsonb AS pg_catalog.jsonb CHECK (false);
CREATE DOMAIN SCHEMA_NAME.regclass AS pg_catalog.regclass CHECK (false);
SQL
$evil =~ s/^(CREATE AGGREGATE)/CREATE FUNCTION SCHEMA_NAME.count_one(bigint) RETURNS bigint
LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil count''; END';
CREATE FUNCTION SCHEMA_NAME.max_one(integer, integer) RETURNS integer
LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil max''; END';\n$1/m;

sub evil { my ($schema) = @_; (my $sql = $evil) =~ s/SCHEMA_NAME/$schema/g; return $sql }

# In pg_temp, which needs no CREATE SCHEMA and can hold no operators that are found, but relations and types that are.
my $temporary = <<'SQL';
CREATE TEMPORARY TABLE deal (id bigint, name text);
CREATE TEMPORARY TABLE stage (id bigint, key text, pipeline_id bigint, position integer);
CREATE TEMPORARY TABLE pipeline (id bigint);
CREATE TEMPORARY TABLE installation (version text);
CREATE TEMPORARY TABLE pg_class (oid oid, relname name, relnamespace oid);
CREATE TEMPORARY TABLE pg_extension (extname name, extversion text);
CREATE TEMPORARY TABLE pg_attribute (attrelid oid, attname name);
CREATE TEMPORARY TABLE pg_trigger (tgrelid oid, tgname name);
CREATE TEMPORARY TABLE pg_proc (oid oid, proname name, pronamespace oid);
CREATE TEMPORARY TABLE pg_roles (rolname name);
CREATE TEMPORARY TABLE crm_deals_new_events (id bigint);
CREATE TEMPORARY TABLE new_deals (id bigint);
CREATE TEMPORARY TABLE old_deals (id bigint);
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (false);
CREATE DOMAIN pg_temp.regclass AS pg_catalog.regclass CHECK (false);
CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.timestamptz CHECK (false);
SQL

# ----------
# Everything that a user calls. Its literals have their types by themselves: what the caller's own SQL means is the
# caller's path's business, what ours means is not.
# ----------

my $installing = <<'SQL';
CREATE EXTENSION pg_trgm WITH SCHEMA public;
CREATE EXTENSION crm_deals;
SELECT crm_deals.install();
SELECT crm_deals.install();
SQL

my $using = <<'SQL';
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.create_pipeline('Gated', '[
    {"name": "New", "next": ["talk"], "labels": {"de": "Neu"}},
    {"name": "Talk", "next": ["won"], "required_fields": ["amount", "custom_fields.seats"], "rots_after": "3 days"},
    {"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"}]', 'gated', 'USD', 'acme', NULL,
    '{"forbid_skipping": true, "forbid_backward": true, "forbid_unlisted": true}');
SELECT crm_deals.add_stage(1, 'Demo', 'demo', 'proposal', 40, 'open', '{"de": "Vorführung"}', '{amount}', '1 day');
SELECT crm_deals.add_stage(1, 'Demo');
SELECT crm_deals.reorder_stages(1, '{lead,demo,qualified,proposal,negotiation,demo_2,won,lost}');
INSERT INTO crm_deals.custom_field (entity, key, label, type, options)
VALUES ('deal', 'seats', 'Seats', 'number', NULL), ('deal', 'color', 'Color', 'select', '["red", {"value": "blue"}]'),
       ('lead', 'seats', 'Seats', 'number', NULL);
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (1, 'Price');
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (last_name, account_id) VALUES ('Doe', 1);
INSERT INTO crm_deals.lead (last_name, custom_fields) VALUES ('Roe', '{"seats": 1}');
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from) VALUES ('USD', 'EUR', 0.9, '2026-01-01');
INSERT INTO crm_deals.deal (name, account_id, amount, custom_fields, external_id)
VALUES ('Alpha', 1, 10, '{"seats": 3, "color": "red"}', 'a'), ('Beta', NULL, NULL, '{}', 'b');
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('Gamma', 2);
INSERT INTO crm_deals.deal (name, external_id) VALUES ('Alpha again', 'a') ON CONFLICT (organization, external_id)
WHERE external_id IS NOT NULL DO UPDATE SET name = excluded.name;
UPDATE crm_deals.deal
SET amount = 5, custom_fields = '{"seats": 4}', probability = 33, expected_close_date = '2026-05-05'
WHERE id OPERATOR(pg_catalog.=) ANY ('{1,3}');
COPY crm_deals.deal (name) FROM STDIN;
Delta
\.
SELECT stage_key, status, probability, version FROM crm_deals.move_deal(1, 'qualified', 'a note', 'mia');
SELECT stage_key, status, probability, version FROM crm_deals.move_deal(1, 'Won');
SELECT rule, detail FROM crm_deals.check_move(3, 'won');
SELECT rule, detail FROM crm_deals.check_move(2, 'lost', 'Mood');
SELECT stage_key, status, version FROM crm_deals.move_deal(3, 'won', override => 'the boss');
SELECT deal_id, outcome, detail FROM crm_deals.move_deals('{1,2,3,99}', 'lost', 'all lost', 'mia', 'Price');
SELECT crm_deals.resolve_deal(1);
UPDATE crm_deals.stage SET status = 'won' WHERE id OPERATOR(pg_catalog.=) 1;
UPDATE crm_deals.stage SET status = 'open', probability = 15 WHERE id OPERATOR(pg_catalog.=) 1;
DELETE FROM crm_deals.deal WHERE id OPERATOR(pg_catalog.=) 2;
SELECT crm_deals.remove_stage(8, 1);
SELECT id, stage_key, stage_label, account_label, open_duplicates FROM crm_deals.deal_overview ORDER BY id;
SELECT crm_deals.subscribe('erp', NULL, true);
SELECT crm_deals.subscribe('won', '{won,lost}', true, true);
SELECT id, deal_id, kind FROM crm_deals.read_events('erp', 5);
SELECT crm_deals.ack_events('erp', 3);
SELECT id, deal_id, kind FROM crm_deals.read_events('erp', 1000, '1 hour');
SELECT id, deal_id, kind FROM crm_deals.read_events('won');
SELECT consumer, pending FROM crm_deals.consumer_status ORDER BY consumer;
UPDATE crm_deals.stage SET name = 'Proposed' WHERE key OPERATOR(pg_catalog.=) 'proposal'::pg_catalog.text;
SELECT group_key, deal_count, amount FROM crm_deals.pipeline_trend('month', group_by => 'pipeline');
SELECT * FROM crm_deals.pipeline_changes('today', group_by => 'pipeline');
SELECT crm_deals.prune_events('now');
SELECT crm_deals.unsubscribe('erp');
SELECT crm_deals.prune_events('now');
SELECT relation, rows FROM crm_deals.redact('1', 1, '{3}', 'mia', 'a request');
SET crm_deals.notify = 'dispatch';
UPDATE crm_deals.deal SET amount = 7 WHERE id OPERATOR(pg_catalog.=) 1;
SELECT crm_deals.start_dispatcher();
SET crm_deals.notify = 'on';
INSERT INTO crm_deals.lead (company_name, last_name, email, custom_fields)
VALUES ('Initech', 'Poe', 'poe@example.org', '{"seats": 2}');
INSERT INTO crm_deals.activity (kind, subject, lead_id) VALUES ('call', 'a call', 2);
SELECT account_id, contact_id, deal_id
FROM crm_deals.convert_lead(2, deal => '{"stage": "qualified", "amount": 5}', actor => 'mia');
CREATE TABLE public.source (external_id pg_catalog.text, name pg_catalog.text, account pg_catalog.text,
    stage pg_catalog.text, lost_reason pg_catalog.text, amount pg_catalog.text, "custom_fields.seats" pg_catalog.text);
INSERT INTO public.source VALUES ('n', 'Nu', 'Newco', 'won', NULL, '7.5', '8'),
    ('a', 'Alpha', 'Acme', 'lost', 'Price', '9', NULL), (NULL, 'Bad', 'Acme', 'nowhere', NULL, '1', NULL);
CREATE TABLE public.history (external_id pg_catalog.text, stage pg_catalog.text, entered_at pg_catalog.text,
    actor pg_catalog.text);
INSERT INTO public.history VALUES ('n', 'lead', '2024-01-01', 'joe'), ('n', 'won', '2024-02-02', NULL);
SELECT row_number, external_id, outcome, deal_id, detail
FROM crm_deals.import_deals('public.source', 'public.history', create_accounts => true, actor => 'mia');
CREATE TABLE public.invoice (deal_id pg_catalog.int4 REFERENCES crm_deals.deal);
INSERT INTO public.invoice VALUES (6);
INSERT INTO crm_deals.deal_contact (deal_id, contact_id) VALUES (6, 1);
SELECT crm_deals.merge_deals(7, 6);
SELECT kind, title FROM crm_deals.timeline(7);
SELECT deal_id, outcome, detail
FROM crm_deals.undo_batch((SELECT e.batch_id FROM crm_deals.deal_event AS e ORDER BY e.id DESC LIMIT 1));
DELETE FROM crm_deals.deal WHERE id OPERATOR(pg_catalog.=) 5;
SELECT crm_deals.restore_deal(5);
SELECT deal_id FROM public.invoice;
INSERT INTO crm_deals.target (pipeline_id, owner, starts_on, ends_on, currency, amount)
VALUES (1, NULL, '2024-01-01', '2024-03-31', 'EUR', 90), (2, 'mia', '2024-01-01', '2024-12-31', 'USD', 366);
SELECT group_key, currency, target, won, gap
FROM crm_deals.attainment('pipeline', 'month', '2024-01-01', '2024-03-31', convert_to => 'EUR');
UPDATE crm_deals.lost_reason SET name = 'Too dear' WHERE name OPERATOR(pg_catalog.=) 'Price'::pg_catalog.text;
SELECT stage_key, version, probability
FROM crm_deals.move_deal(5, 'demo', fields => '{"amount": 12, "custom_fields.seats": 9}');
SELECT column_key, deal_count, amounts FROM crm_deals.board('Sales', sort => 'amount');
SELECT rule, deal_id, detail FROM crm_deals.verify();
SELECT crm_deals.grant_access('clerk', 'write');
SELECT crm_deals.revoke_access('clerk');
UPDATE crm_deals.deal SET status = 'open' WHERE id OPERATOR(pg_catalog.=) 1;
UPDATE crm_deals.deal SET version = 99 WHERE id OPERATOR(pg_catalog.=) 1;
UPDATE crm_deals.deal SET custom_fields = '{"color": "green"}' WHERE id OPERATOR(pg_catalog.=) 1;
SELECT crm_deals.move_deal(1, 'nowhere');
SELECT crm_deals.add_stage(99, 'X');
SELECT crm_deals.grant_access('clerk', 'king');
DELETE FROM crm_deals.deal_event;
TRUNCATE crm_deals.deal CASCADE;
SELECT crm_deals.read_events('nobody');
SELECT crm_deals.install('pg_catalog.pg_class');
SQL

# What is left in the tables, but for the clock
my $result = <<'SQL';
SET search_path = pg_catalog;
SELECT id, organization, name, stage_id, status, amount, currency, probability, probability_overridden,
       closed_at IS NULL, lost_reason, custom_fields, external_id, version
FROM crm_deals.deal ORDER BY id;
SELECT id, batch_id, deal_id, version, kind, actor, from_stage_id, to_stage_id, from_status, status, amount, currency,
       probability, expected_close_date, owner, lost_reason,
       changes - 'closed_at' - 'created_at' - 'updated_at' - 'stage_entered_at', bypassed, note
FROM crm_deals.deal_event ORDER BY id;
SELECT id, pipeline_id, key, name, labels, position, status, probability, required_fields, archived_at IS NULL
FROM crm_deals.stage ORDER BY id;
SELECT kind, subject, body, actor, deal_id FROM crm_deals.activity ORDER BY id;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2;
SELECT p.oid::regprocedure,
       md5(prosrc || coalesce(pg_get_function_sqlbody(p.oid), '') || coalesce(array_to_string(proconfig, ' '), '')
           || coalesce(array_to_string(proacl, ' '), ''))
FROM pg_proc AS p WHERE pronamespace IN ('crm_deals'::regnamespace, 'crm_deals_internal'::regnamespace) ORDER BY 1;
SELECT c.oid::regclass, a.attname, a.atttypid::regtype, pg_get_expr(d.adbin, d.adrelid) FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND attnum > 0
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE relnamespace = 'crm_deals'::regnamespace
ORDER BY 1, a.attnum;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'crm_deals'::regnamespace ORDER BY 1, 2;
SELECT c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class AS c
WHERE relkind = 'v' AND relnamespace = 'crm_deals'::regnamespace ORDER BY 1;
SQL

sub outcome
{
	my ($database, $install_in, $use_in) = @_;
	my @output;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	for my $step ([ $install_in, $installing ], [ $use_in, $using ])
	{
		my ($before, $script) = @$step;
		my ($status, $stdout, $stderr) = $node->psql($database,
			"\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$before$script", on_error_stop => 0);

		$stderr =~ s/^psql:<stdin>:\d+: //mg;
		$stderr =~ s/^(LOCATION|CONTEXT|LINE \d+):.*\n//mg;
		push @output, $stdout, $stderr;
	}
	push @output, scalar value($node, $result, database => $database);
	return join "\n--\n", @output;
}

$node->safe_psql('postgres', 'CREATE ROLE clerk');
my $clean = outcome('clean', '', '');
my @refused = $clean =~ /^ERROR:  (\w{5})/mg;
is_deeply(\@refused, [qw(23514 UD001 23514 P0002 P0002 22023 42501 42501 P0002 55000)],
	'without anything hostile: only what shall be refused is');
like($clean, qr/all lost/, '... and the work is done');

for my $case (
	[ 'evil_path', evil('evil') . "SET search_path = evil, pg_catalog;\n", "SET search_path = evil, pg_catalog;\n" ],
	[ 'evil_public', evil('evil') . "SET search_path = evil, pg_catalog, public;\n",
		"SET search_path = evil, crm_deals, pg_catalog, public;\n" ],
	[ 'evil_temporary', $temporary, $temporary ],
	[ 'evil_temporary_first', $temporary . "SET search_path = pg_temp, pg_catalog;\n",
		$temporary . "SET search_path = pg_temp, pg_catalog;\n" ],
	[ 'empty_path', "SET search_path = '';\n", "SET search_path = '';\n" ])
{
	my ($database, $install_in, $use_in) = @$case;
	my $hostile = outcome($database, $install_in, $use_in);

	my @called = $hostile =~ /(evil .*)/g;
	is_deeply(\@called, [], "$database: nothing of it is called");
	ok($hostile eq $clean, "$database: every answer is the same")
	  or diag join "\n", grep { index($clean, $_) < 0 } split /\n/, $hostile;
}

# The trap works: what resolves names by the caller's path falls into it.
like(outcome('trap',
	evil('evil') . "SET search_path = evil, pg_catalog;\nSELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text;\n", ''),
	qr/evil operator = \(text, text\)/, 'the hostile schema is one');

$node->stop;
done_testing();
