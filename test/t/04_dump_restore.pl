# pg_dump and pg_restore in every form, and DROP EXTENSION and back. Every row stays, no row is added, and work goes on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('dump', 'max_worker_processes = 8');
my $objects;
my $folder = $PostgreSQL::Test::Utils::tmp_check;

# A business with a history, host tables of its own, and what users add
my $business = <<'SQL';
CREATE TABLE public.company (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
INSERT INTO public.company (name) VALUES ('Acme'), ('Umbrella');
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install(account_table => 'public.company');
SELECT crm_deals.create_pipeline('Sales', description => 'the first');
SELECT crm_deals.create_pipeline('Gated',
                                 '[{"name": "New", "next": ["won"], "required_fields": ["amount"]}, '
                                 '{"name": "Won", "status": "won"}]',
    organization => 'acme', gates => '{"forbid_skipping": true}');
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (1, 'Price');
INSERT INTO crm_deals.custom_field (entity, key, label, type) VALUES ('deal', 'seats', 'Seats', 'number');
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from) VALUES ('USD', 'EUR', 0.9, '2026-01-01');
INSERT INTO crm_deals.contact (first_name, last_name, email) VALUES ('Jo', 'Doe', 'jo@example.com');
INSERT INTO crm_deals.lead (last_name, company_name) VALUES ('Roe', 'Acme');
INSERT INTO crm_deals.deal (name, account_id, amount, custom_fields, external_id, created_at)
    SELECT 'Deal ' || n, (SELECT id FROM public.company ORDER BY name LIMIT 1), n,
           jsonb_build_object('seats', n, 'odd', 'a"b\c'), 'x' || n, '2025-01-01'
    FROM generate_series(1, 40) AS n;
UPDATE crm_deals.deal SET stage_id = 1 + id % 5 WHERE id % 2 = 0;
UPDATE crm_deals.deal SET stage_id = 6, lost_reason = 'Price' WHERE id % 7 = 0;
SELECT crm_deals.move_deals(ARRAY(SELECT id FROM crm_deals.deal WHERE id % 3 = 0), 'negotiation', note => 'on');
SELECT crm_deals.move_deal(1, 'won', override => 'because');
UPDATE crm_deals.deal SET probability = 77 WHERE id = 3;
UPDATE crm_deals.deal SET primary_contact_id = 1 WHERE id = 4;
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) VALUES (4, 1, 'buyer');
INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity) VALUES (5, 4, 0.9);
INSERT INTO crm_deals.deal_alias (old_id, deal_id) VALUES (1000, 5);
INSERT INTO crm_deals.event_consumer (consumer) VALUES ('erp');
DELETE FROM crm_deals.deal WHERE id > 35;
UPDATE crm_deals.stage SET status = 'abandoned' WHERE id = 3;
SELECT crm_deals.remove_stage(2, 4);
-- a deal that entered a gated stage before its fields were asked for: valid, and not to be judged again
INSERT INTO crm_deals.deal (name, pipeline_id, amount) VALUES ('Gated', 2, 1);
UPDATE crm_deals.deal SET amount = NULL WHERE name = 'Gated';
UPDATE crm_deals.pipeline SET is_active = false WHERE id = 2;
SQL
my $additions = <<'SQL';
CREATE TABLE public.campaign (id integer PRIMARY KEY, title text);
INSERT INTO public.campaign VALUES (1, 'Spring');
ALTER TABLE crm_deals.deal ADD COLUMN campaign_id integer REFERENCES public.campaign,
    ADD COLUMN tags text[] DEFAULT '{new}';
CREATE INDEX deal_campaign ON crm_deals.deal (campaign_id);
UPDATE crm_deals.deal SET campaign_id = 1 WHERE id < 5;
CREATE TABLE public.invoice (id bigint PRIMARY KEY, deal_id bigint REFERENCES crm_deals.deal);
INSERT INTO public.invoice VALUES (1, 3);
CREATE FUNCTION public.shout()
RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.notes := upper(new.notes); RETURN new; END';
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION public.shout();
CREATE POLICY everybody ON crm_deals.deal USING (true);
CREATE ROLE clerk;
SELECT crm_deals.grant_access('clerk', 'write');
SQL

sub create_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
	return $name;
}

# Each table's rows, whatever their order and that of the columns
sub rows_of
{
	my ($database, %options) = @_;
	my %rows;

	for my $table (rows($node,
		"SELECT c.oid::regclass FROM pg_class AS c
		 WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('crm_deals', 'public') ORDER BY 1",
		database => $database))
	{
		$rows{$table} = value($node,
			"SELECT count(*) || ' ' || coalesce(md5(string_agg(to_jsonb(t)::text, ' ' ORDER BY to_jsonb(t)::text)), '')
			 FROM $table AS t",
			database => $database);
	}
	return \%rows;
}

sub objects_of
{
	my ($database) = @_;
	my ($stdout, $stderr) = run_command([ 'pg_dump', '--schema-only', '-d', $node->connstr($database) ]);

	# newer versions put a key of their own into each dump
	return join "\n", grep { !/^\\(un)?restrict|^--|^$/ } split /\n/, $stdout;
}

# Differences alone are shown: a dump is long.
sub same_objects
{
	my ($got, $name, $any_order, $only) = @_;
	my ($here, $there) = map { +{ map { $_ => 1 } split /\n/, $_ } } $got, $objects;
	my @differences = (map({ "+$_" } grep { !$there->{$_} } sort keys %$here),
		map({ "-$_" } grep { !$here->{$_} } sort keys %$there));

	@differences = grep { $_ =~ $only } @differences if $only;
	push @differences, 'another order' if !@differences && !$any_order && $got ne $objects;
	is(join("\n", @differences), '', $name);
	return;
}

sub goes_on
{
	my ($database, $name) = @_;
	my ($events, $deals) = split /\|/,
		value($node, 'SELECT (SELECT max(id) FROM crm_deals.deal_event), (SELECT max(id) FROM crm_deals.deal)',
			database => $database);

	is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => $database), 0,
		"$name: verify() finds nothing");
	is(value($node, <<'SQL', database => $database), "t|won|2|2", "$name: deals are written and logged as ever");
INSERT INTO crm_deals.deal (name, notes) VALUES ('After', 'x');
UPDATE crm_deals.deal SET stage_id = 5 WHERE name = 'After';
SELECT min(d.id) > 35, min(d.status::text), min(d.version), count(*)
FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id WHERE d.name = 'After';
SQL
	cmp_ok(value($node, 'SELECT min(id) FROM crm_deals.deal WHERE name = \'After\'', database => $database), '>',
		$deals, "$name: ... under a new id");
	is(value($node, "SELECT count(*) FROM crm_deals.deal_event WHERE id > $events", database => $database), 2,
		"$name: ... by new events");
	is(value($node, "SELECT stage_key FROM crm_deals.move_deal(1, 'negotiation', override => 'x')",
		database => $database),
		'negotiation', "$name: an old deal moves");
	fails_with($node, '23514', "UPDATE crm_deals.deal SET status = 'won' WHERE id = 1", "$name: rules refuse",
		database => $database);
	fails_with($node, '42501', 'DELETE FROM crm_deals.deal_event', "$name: the log is append-only",
		database => $database);
	value($node, 'SELECT crm_deals.create_pipeline(\'After\')', database => $database);
	is(value($node, 'SELECT crm_deals.install() = extversion FROM pg_extension WHERE extname = \'crm_deals\'',
		database => $database),
		't', "$name: install() finds all in place");
	is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => $database), 0,
		"$name: verify() finds nothing then");
	return;
}

value($node, $business, database => create_database('plain_source'));
$node->safe_psql('postgres', 'CREATE DATABASE source TEMPLATE plain_source');
value($node, $additions, database => 'source');
my $rows = rows_of('source');
$objects = objects_of('source');
is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => 'source'), 0, 'the source keeps the rules');
is(value($node,
	"SELECT count(*) FROM pg_depend
	 WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'crm_deals')
	   AND classid NOT IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opfamily'::regclass,
						   'pg_opclass'::regclass)
	   AND (classid, objid) <> ('pg_namespace'::regclass, 'crm_deals_internal'::regnamespace)",
	database => 'source'),
	0, 'the extension has code only: no type, no table, no schema but that of internal functions');
cmp_ok(value($node, "SELECT count(*) FROM pg_depend
					 WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'crm_deals')
					   AND refclassid = 'pg_extension'::regclass", database => 'source'),
	'>', 20, '... and there are some');

# ----------
# Whole databases
# ----------

my @forms = (
	[ 'plain', ['-Fp', '-f', "$folder/plain.sql"],
		sub { [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$folder/plain.sql" ] } ],
	[ 'inserts', ['-Fp', '--column-inserts', '-f', "$folder/inserts.sql"],
		sub { [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$folder/inserts.sql" ] } ],
	[ 'custom', ['-Fc', '-f', "$folder/custom.dump"],
		sub { [ 'pg_restore', '--exit-on-error', '-d', $_[0], "$folder/custom.dump" ] } ],
	[ 'directory', ['-Fd', '-j', '2', '-f', "$folder/directory"],
		sub { [ 'pg_restore', '--exit-on-error', '-j', '3', '-d', $_[0], "$folder/directory" ] } ],
	[ 'single_transaction', ['-Fc', '-f', "$folder/single.dump"],
		sub { [ 'pg_restore', '--exit-on-error', '--single-transaction', '-d', $_[0], "$folder/single.dump" ] } ],
);
for my $form (@forms)
{
	my ($name, $dump, $restore) = @$form;
	my $database = create_database("to_$name");

	command_ok([ 'pg_dump', @$dump, '-d', $node->connstr('source') ], "$name: pg_dump");
	command_ok($restore->($node->connstr($database)), "$name: restore, without an error");
	is_deeply(rows_of($database), $rows, "$name: every row of every table, and none besides");
	same_objects(objects_of($database), "$name: every object");
	goes_on($database, $name);
}

# ----------
# Schema and data apart
# ----------

command_ok([ 'pg_dump', '--schema-only', '-f', "$folder/schema.sql", '-d', $node->connstr('source') ],
	'schema only: pg_dump');
create_database('schema_only');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('schema_only'), '-f',
	"$folder/schema.sql" ],
	'schema only: restore');
is_deeply([ grep { !/^0 / } values %{ rows_of('schema_only') } ], [], 'schema only: no row');
same_objects(objects_of('schema_only'), 'schema only: every object');
$node->safe_psql('postgres', 'CREATE DATABASE empty_business TEMPLATE schema_only');
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '-d', $node->connstr('schema_only'),
	"$folder/custom.dump" ],
	'data only into that schema: pg_restore --disable-triggers');
is_deeply(rows_of('schema_only'), $rows, 'data only into that schema: every row, and none besides');
goes_on('schema_only', 'schema, then data');
is(value($node, "SELECT crm_deals.install() = extversion FROM pg_extension WHERE extname = 'crm_deals'",
	database => 'empty_business'),
	't', 'a schema restored without its rows is installed: install() returns the version');
fails_with($node, '00000',
	"SELECT crm_deals.create_pipeline('First'); INSERT INTO crm_deals.deal (name, account_id) VALUES ('x', NULL)",
	'... and deals can be written', database => 'empty_business');

# Into a database where install() was run
command_ok([ 'pg_dump', '--data-only', '--disable-triggers', '-f', "$folder/data.sql", '-d',
	$node->connstr('plain_source') ],
	'data only: pg_dump');
value($node,
	"CREATE TABLE public.company (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
	 CREATE EXTENSION crm_deals CASCADE; SELECT crm_deals.install(account_table => 'public.company')",
	database => create_database('installed'));
my $restored = run_log([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('installed'), '-f',
	"$folder/data.sql" ]);
ok($restored, 'data only into an installed database: restore');
is_deeply(rows_of('installed'), rows_of('plain_source'),
	'data only into an installed database: every row, and none besides');
goes_on('installed', 'data only into an installed database') if $restored;

# A part of the database
command_ok([ 'pg_dump', '-Fc', '-n', 'crm_deals', '-e', 'crm_deals', '-e', 'pg_trgm', '-f', "$folder/part.dump", '-d',
	$node->connstr('plain_source') ],
	'a part: pg_dump -n -e -e');
value($node, 'CREATE TABLE public.company (id uuid PRIMARY KEY, name text)', database => create_database('part'));
$node->command_ok([ 'sh', '-c',
	"psql -X -q -d '@{[ $node->connstr('plain_source') ]}' -c '\\copy public.company TO stdout' | psql -X -q -d "
		. "'@{[ $node->connstr('part') ]}' -c '\\copy public.company FROM stdin'" ],
	'a part: the table it hangs on is there');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('part'), "$folder/part.dump" ], 'a part: restore');
is_deeply(rows_of('part'), rows_of('plain_source'), 'a part: every row, and none besides');
goes_on('part', 'a part');

# ----------
# DROP EXTENSION
# ----------

fails_with($node, '2BP01', 'DROP EXTENSION crm_deals', 'DROP EXTENSION is refused', database => 'source');
fails_with($node, '2BP01', 'DROP EXTENSION pg_trgm', 'DROP EXTENSION pg_trgm, too', database => 'source');
my $columns = "SELECT c.oid::regclass || '.' || attname || ' ' || atttypid::regtype || ' '
					  || coalesce(pg_get_expr(adbin, adrelid), '')
			   FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
			   LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
			   WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r' ORDER BY 1";
my $before = value($node, $columns, database => 'source');
value($node, 'SET client_min_messages = error; DROP EXTENSION crm_deals CASCADE', database => 'source');
is_deeply(rows_of('source'), $rows, 'with CASCADE every row stays');
is(value($node, $columns, database => 'source'), $before, '... and every column');
is(value($node, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%crm_deals%'", database => 'source'), 0,
	'... and our triggers are gone');
value($node, 'CREATE EXTENSION crm_deals', database => 'source');
is(value($node, 'SELECT crm_deals.install() = extversion FROM pg_extension WHERE extname = \'crm_deals\'',
	database => 'source'),
	't', 'CREATE EXTENSION and install()');
is_deeply(rows_of('source'), $rows, '... change no row');
same_objects(objects_of('source'), '... and bring back every trigger, view and function', 'any order', qr/^.(?!GRANT)/);
same_objects(objects_of('source'), '... and the grants of roles', 'any order', qr/^.GRANT/);
goes_on('source', 'after DROP and CREATE EXTENSION');

$node->stop;
done_testing();
