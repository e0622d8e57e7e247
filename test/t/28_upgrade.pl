# From 0.1.0 to this version, with data and all that users add, and by every way: as superuser and as the owner of the
# database, in one transaction and in two steps, and by a dump of 0.1.0 that is restored where only this version is.
#
# The databases of 0.1.0 are restored from the dumps in test/releases, which real servers of 0.1.0 wrote.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use Catalog;
use CrmDeals;
use Delivery::Session;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old_version = '0.1.0';
my $releases = "$FindBin::RealBin/../releases";
my $folder = $PostgreSQL::Test::Utils::tmp_check;
my @roles = qw(reader consumer clerk boss admin visitor);
my $upgrade = 'ALTER EXTENSION crm_deals UPDATE';
my $install = 'SELECT crm_deals.install()';

# What the library refuses while the tables are not those of the extension
my %writes = (
	'a new deal' => "INSERT INTO crm_deals.deal (name) VALUES ('x')",
	'an edit of a deal' => 'UPDATE crm_deals.deal SET amount = 5 WHERE id = 1',
	'a deletion' => 'DELETE FROM crm_deals.deal WHERE id = 1',
	'a move' => "SELECT crm_deals.move_deal(1, 'won')",
	'an edit of a stage' => 'UPDATE crm_deals.stage SET probability = 11 WHERE id = 1',
);

# What either works or is refused in the same way, and has no other error
my @calls = (
	"SELECT FROM crm_deals.read_events('half')",
	"SELECT crm_deals.ack_events('half', 40)",
	"SELECT crm_deals.subscribe('new')",
	"SELECT crm_deals.unsubscribe('asleep')",
	"SELECT crm_deals.create_pipeline('New')",
	"SELECT crm_deals.add_stage(1, 'New')",
	"SELECT crm_deals.remove_stage(3, 2)",
	"SELECT crm_deals.reorder_stages(3, '{b,a,w}')",
	"SELECT crm_deals.index_custom_field('deal', 'seats')",
	"SELECT crm_deals.move_deals('{1}', 'won')",
	'SELECT crm_deals.merge_deals(29, 30)',
	'SELECT crm_deals.dismiss_duplicate(33, 31)',
	"SELECT crm_deals.flag_duplicates('Sales')",
	'SELECT crm_deals.rebuild_duplicates()',
	'SELECT crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event))',
	'SELECT crm_deals.restore_deal(24)',
	'SELECT crm_deals.convert_lead(2)',
	"SELECT crm_deals.redact(deals => '{1}')",
	"SELECT crm_deals.prune_events('2026-01-01')",
	"CREATE TEMPORARY TABLE incoming AS SELECT 'x' AS name; SELECT crm_deals.import_deals('incoming')",
	"SELECT crm_deals.check_move(1, 'won')",
	"SELECT crm_deals.board('Sales')",
	'SELECT crm_deals.forecast()',
	"SELECT crm_deals.find_duplicates('Deal')",
	'SELECT count(*) FROM crm_deals.consumer_status',
	"INSERT INTO crm_deals.lead (last_name) VALUES ('x')",
	"INSERT INTO crm_deals.exchange_rate VALUES ('GBP', 'EUR', 1, '2026-01-01')",
	'INSERT INTO crm_deals.stage_transition (to_stage_id) VALUES (1)',
);

my $node = start_server('upgrade', 'max_worker_processes = 8', 'wal_level = logical');
$node->safe_psql('postgres', "CREATE ROLE $_") for @roles;
$node->safe_psql('postgres', 'CREATE ROLE keeper LOGIN');
my $new_version = value($node, "SELECT default_version FROM pg_available_extensions WHERE name = 'crm_deals'");

# ----------
# Databases and statements
# ----------

# Whose database it is, and over whose tables, follows from its name.
sub user_of { return $_[0] =~ /keeper/ ? 'keeper' : 'postgres' }
sub hosts_of { return $_[0] =~ /hosts/ ? 1 : 0 }

sub create_database
{
	my ($name, $template) = @_;

	$node->safe_psql('postgres', sprintf('CREATE DATABASE %s TEMPLATE %s OWNER %s', $name, $template // 'template0',
		user_of($name)));
	return $name;
}

# Statements as the user whose database it is. Returns what they printed, or the error.
sub run
{
	my ($database, $sql) = @_;
	my ($status, $stdout, $stderr) =
	  $node->psql($database, $sql, extra_params => [ '-U', user_of($database) ]);

	return $status == 0 ? $stdout : $stderr;
}

# Returns the error, or nothing.
sub run_as_superuser
{
	my ($database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, $sql);

	return $stderr;
}

# The lines of a catalog without those that say whether a superuser made the extensions
sub without_superuser
{
	my ($lines) = @_;

	return [ grep { !/^extension|: postgres may EXECUTE/ } @$lines ];
}

# The error of a statement: state, message, detail, hint, text (all of it)
sub error_of
{
	my ($database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', user_of($database) ]);
	my %error = (state => '00000', message => '', detail => '', hint => '', text => $stderr);

	return \%error if $status == 0;
	@error{qw(state message)} = ($1, $2) if $stderr =~ /ERROR:  (\w{5}): (.*)/;
	$error{detail} = $1 if $stderr =~ /^DETAIL:  (.*?)(?=^[A-Z]+: |\z)/ms;
	$error{hint} = $1 if $stderr =~ /^HINT:  (.*?)(?=^[A-Z]+: |\z)/ms;
	return \%error;
}

sub works
{
	my ($database, $sql, $name) = @_;

	return is(error_of($database, $sql)->{text}, '', $name);
}

# Runs a file; returns its errors.
sub run_file
{
	my ($database, $file, @options) = @_;
	my ($stdout, $stderr) = run_command([ 'psql', '-X', '-q', '-U', user_of($database), '-d',
		$node->connstr($database), '-v', 'hosts=' . hosts_of($database), @options, '-f', $file ]);

	return $stderr;
}

sub dump_of
{
	my ($database) = @_;

	return slurp_file("$releases/$old_version" . (hosts_of($database) ? '-hosts' : '') . '.sql');
}

sub write_file
{
	my ($name, $text) = @_;

	open my $file, '>', "$folder/$name" or die "$folder/$name: $!";
	print $file $text;
	close $file;
	return "$folder/$name";
}

# A database of the old version, as it was dumped
sub create_old
{
	my ($name) = @_;
	my $dump = dump_of($name);

	$dump =~ s/^(CREATE EXTENSION IF NOT EXISTS crm_deals) [^;]*;/$1 SCHEMA crm_deals VERSION '$old_version';/m or die;
	create_database($name);
	is(run_file($name, write_file("$name.sql", $dump)), '', "$name: the dump goes in under $old_version");
	return;
}

# A database of this version, to which users add the same
sub create_fresh
{
	my ($name) = @_;

	create_database($name);
	is(join('', map { run_file($name, "$releases/$_.sql") } qw(install additions)), '', "$name: is there");
	return;
}

# Statements that count the rows of every table and of the user's views, and sum them up. They are made before the
# upgrade, so that they are about the columns of before.
sub count_rows
{
	my ($database) = @_;

	return run($database, <<'SQL');
SELECT format('SELECT %L, count(*), md5(string_agg(t::text, '' '' ORDER BY t::text))
			   FROM (SELECT %s FROM %s) AS t;', c.oid::regclass,
			  (SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a
			   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), c.oid::regclass)
FROM pg_class AS c
WHERE c.relkind IN ('r', 'm') AND c.relnamespace IN ('crm_deals'::regnamespace, 'public'::regnamespace)
	OR c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace
ORDER BY c.relkind, c.oid::regclass::text
SQL
}

# What the roles may do, by names: a function whose arguments change is the same one to who may execute it.
sub privileges
{
	my ($database) = @_;
	my $sql = <<'SQL';
WITH role AS (SELECT oid, rolname FROM pg_roles WHERE rolname IN (ROLES)),
with_option (option) AS (VALUES (''), (' WITH GRANT OPTION'))
SELECT format('%s may EXECUTE%s %s', r.rolname, w.option, p.proname)
FROM role AS r, with_option AS w, pg_proc AS p
WHERE p.pronamespace = 'crm_deals'::regnamespace AND p.proname !~ '^_'
  AND has_function_privilege(r.oid, p.oid, 'EXECUTE' || w.option)
UNION
SELECT format('%s may %s%s %s', r.rolname, k.kind, w.option, c.oid::regclass)
FROM role AS r, with_option AS w, pg_class AS c,
	 unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS k (kind)
WHERE c.relnamespace IN ('crm_deals'::regnamespace, 'public'::regnamespace) AND c.relkind IN ('r', 'v', 'm')
  AND has_table_privilege(r.oid, c.oid, k.kind || w.option)
UNION
SELECT format('%s may %s %s.%I', r.rolname, k.kind, c.oid::regclass, a.attname)
FROM role AS r, pg_class AS c, pg_attribute AS a, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) AS k (kind)
WHERE c.relnamespace IN ('crm_deals'::regnamespace, 'public'::regnamespace) AND c.relkind IN ('r', 'v', 'm')
  AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  AND has_column_privilege(r.oid, c.oid, a.attnum, k.kind)
UNION
SELECT format('%s may %s %s', r.rolname, k.kind, c.oid::regclass)
FROM role AS r, pg_class AS c, unnest('{SELECT,USAGE,UPDATE}'::text[]) AS k (kind)
WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'S' AND has_sequence_privilege(r.oid, c.oid, k.kind)
ORDER BY 1
SQL
	my $names = join ', ', map { "'$_'" } @roles;

	return [ split /\n/, run($database, $sql =~ s/ROLES/$names/r) ];
}

sub lost
{
	my ($before, $after) = @_;
	my %after = map { $_ => 1 } @$after;

	return join "\n", grep { !$after{$_} } @$before;
}

# ----------
# What is checked of an upgraded database
# ----------

sub refuses_writes
{
	my ($database, $hint, $name) = @_;

	for my $write (sort keys %writes)
	{
		my $error = error_of($database, "BEGIN; $writes{$write}; ROLLBACK");

		is($error->{state}, '55000', "$database, $name: $write is refused") or diag($error->{text});
		like($error->{hint}, $hint, "$database, $name: ... and the HINT names the command");
	}
	like(run($database, 'SELECT count(*) FROM crm_deals.deal'), qr/^\d+$/, "$database, $name: tables can be read");

	my ($status, $stdout, $stderr) = $node->psql($database,
		join('', "\\set VERBOSITY verbose\n", map { "BEGIN;\n$_;\nROLLBACK;\n" } @calls),
		on_error_stop => 0, extra_params => [ '-U', user_of($database) ]);
	my @errors = grep { /ERROR:/ } split /^(?=psql:)/m, $stderr;

	is(join('', grep { !/ERROR:  55000/ || $_ !~ /^HINT:  .*$hint/m } @errors), '',
		"$database, $name: everything else works or is refused alike");
	return;
}

# Upgraded and fresh databases have the same catalogs, apart from the order of columns.
sub is_like_fresh
{
	my ($database, $name) = @_;
	my $fresh = 'fresh' . (hosts_of($database) ? '_hosts' : '') . (user_of($database) eq 'keeper' ? '_keeper' : '');

	is(differences(catalog($node, $database), catalog($node, $fresh)), '',
		"$database, $name: catalogs are those of $fresh");
	return;
}

sub goes_on
{
	my ($database, $name) = @_;

	is(run($database, "SELECT crm_deals.install() || ' ' || extversion FROM pg_extension WHERE extname = 'crm_deals'"),
		"$new_version $new_version", "$database, $name: is of this version");
	is(run($database, 'SELECT v::text FROM crm_deals.verify() AS v'), '', "$database, $name: verify() finds nothing");
	is(run($database, <<'SQL'), 'open|2|2', "$database, $name: deals are written and logged");
INSERT INTO crm_deals.deal (name) VALUES ('A deal after the upgrade');
SELECT FROM crm_deals.move_deal((SELECT id FROM crm_deals.deal WHERE name = 'A deal after the upgrade'), 'negotiation',
								override => 'x');
SELECT min(d.status::text), min(d.version), count(*)
FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id WHERE d.name = 'A deal after the upgrade';
SQL
	is(error_of($database, "UPDATE crm_deals.deal SET status = 'won' WHERE id = 1")->{state}, '23514',
		"$database, $name: rules refuse");
	is(run($database, 'SELECT v::text FROM crm_deals.verify() AS v'), '',
		"$database, $name: verify() finds nothing then");
	return;
}

# ----------
# The databases
# ----------

my @variants = ('', '_hosts', '_keeper', '_hosts_keeper');
for my $variant (@variants)
{
	create_fresh("fresh$variant");
	create_old("old$variant");
}

# ----------
# Before, between and after the two steps
# ----------

for my $variant ('_keeper', '_hosts')
{
	my $database = create_database("two_steps$variant", "old$variant");
	my $count_rows = count_rows($database);
	my ($rows, $privileges) = (run($database, $count_rows), privileges($database));

	refuses_writes($database, qr/ALTER EXTENSION crm_deals UPDATE; SELECT crm_deals\.install\(\)/, 'before');
	run($database, $install);
	is(run($database, 'SELECT version FROM crm_deals.installation'), $old_version,
		"$database, before: install() does not say that the tables are new");
	works($database, $upgrade, "$database: the first step");
	refuses_writes($database, qr/SELECT crm_deals\.install\(\)/, 'between the steps');
	is(run($database, $install), $new_version, "$database: the second step");
	is(run($database, $count_rows), $rows, "$database: every row of every table and view is there");
	is(lost($privileges, privileges($database)), '', "$database: no role has lost a privilege");
	is_like_fresh($database, 'after two steps');
	goes_on(create_database("goes_on$variant", $database), 'after two steps');
}

for my $variant ('', '_hosts_keeper')
{
	my $database = create_database("upgraded$variant", "old$variant");
	my $catalog = catalog($node, $database);
	my $count_rows = count_rows($database);
	my ($rows, $privileges) = (run($database, $count_rows), privileges($database));

	works($database, "BEGIN; $upgrade; $install; ROLLBACK", "$database: one transaction, rolled back");
	is(differences(catalog($node, $database), $catalog), '', "$database: ... which leaves everything as it was");
	works($database, "BEGIN; $upgrade; $install; COMMIT", "$database: one transaction");
	is(run($database, $count_rows), $rows, "$database: every row of every table and view is there");
	is(lost($privileges, privileges($database)), '', "$database: no role has lost a privilege");
	is_like_fresh($database, 'after one transaction');
	goes_on(create_database("goes_on$variant", $database), 'after one transaction');
}

# A superuser upgrades the owner's database: the owner has the same rights afterwards.
create_database('by_superuser_keeper', 'old_keeper');
is(run_as_superuser('by_superuser_keeper', "BEGIN; $upgrade; $install; COMMIT"), '',
	'a superuser upgrades the database of its owner');
is(differences(without_superuser(catalog($node, 'by_superuser_keeper')),
	without_superuser(catalog($node, 'fresh_keeper'))), '', '... with the same catalogs');
works('by_superuser_keeper', "SELECT crm_deals.grant_access('visitor', 'admin')", '... whose owner goes on granting');
$node->safe_psql('by_superuser_keeper', "DROP VIEW crm_deals.stale_deals CASCADE; $install");
is(value($node, "SELECT relowner::regrole FROM pg_class WHERE oid = 'crm_deals.stale_deals'::regclass",
		database => 'by_superuser_keeper'), 'keeper', '... to whom all belongs that install() makes for the superuser');
goes_on('by_superuser_keeper', 'a superuser has upgraded it');

# ----------
# install() again changes nothing
# ----------

# Each row of the catalogs but for what vacuum writes
my $written = join "\nUNION ALL\n",
  map {
	"SELECT '$_ ' || (to_jsonb(c) - '{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[])"
	  . " FROM $_ AS c" }
  qw(pg_class pg_attribute pg_attrdef pg_constraint pg_index pg_trigger pg_proc pg_policy pg_rewrite pg_description
  pg_namespace pg_depend pg_shdepend pg_init_privs pg_extension);
for my $database ('fresh', 'upgraded', 'upgraded_hosts_keeper')
{
	my $before = [ split /\n/, run($database, $written) ];

	is(run($database, $install), $new_version, "$database: install() again");
	is(differences([ split /\n/, run($database, $written) ], $before), '',
		"$database: ... changes no row of a catalog");
}

# ----------
# Who reads the log goes on
# ----------

create_database('consumers', 'upgraded');
my $last = run('consumers', 'SELECT max(id) FROM crm_deals.deal_event');
my $read = 'SELECT string_agg(id::text, \' \' ORDER BY id) FROM crm_deals.read_events';
my $all_after = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM crm_deals.deal_event WHERE origin = 'live' AND id >";

is(run('consumers', "$read('half', 20)"), join(' ', 21 .. 40), 'a consumer gets what it read and did not acknowledge');
is(run('consumers', "SELECT FROM crm_deals.ack_events('half', 40); $read('half', 1000)"),
	run('consumers', "$all_after 40"),
	'... and then exactly the other half');
is(run('consumers', "SELECT FROM crm_deals.ack_events('leasing', 10); $read('leasing', 1000)"),
	run('consumers', "$all_after 10"), 'a lease from before can be acknowledged, and reading goes on behind it');
is(run('consumers', "$read('closed', 1000)"),
	run('consumers', "$all_after 0 AND kind IN ('won', 'lost')"),
	'a consumer of two kinds gets all of them');
is(run('consumers', "$read('asleep', 1000)"), run('consumers', "$all_after 0"), 'one that never read gets all events');
works('consumers', "INSERT INTO crm_deals.deal (name) VALUES ('new')", 'a new deal');
is(run('consumers', "SELECT FROM crm_deals.ack_events('half', $last); $read('half', 1000)"),
	run('consumers', "$all_after $last"), 'its event follows');

my $listener = Delivery::Session->new($node->connstr('consumers'), 'listener', "$folder/listener");
$listener->must('LISTEN crm_deals');
works('consumers', "SET crm_deals.notify = dispatch; UPDATE crm_deals.deal SET amount = 3 WHERE name = 'new'",
	'a write that the dispatcher announces');
my @heard;
for (1 .. 1000)
{
	push @heard, grep { /^Asynchronous/ } $listener->must('SELECT pg_sleep(0.02)');
	last if @heard;
}
like("@heard", qr/^Asynchronous notification "crm_deals"/, 'the dispatcher goes on');
is(scalar @heard, 1, '... and says nothing twice');
$listener->close_session;

# ----------
# A session from before
# ----------

create_database('sessions', 'old');
my $session = Delivery::Session->new($node->connstr('sessions'), 'from before', "$folder/session");
my $overview = 'SELECT count(*) FROM crm_deals.deal_overview';
my $board = "SELECT sum(deal_count) FROM crm_deals.board('Sales')";
my $counted = $session->must($overview);

$session->must('PREPARE edit AS UPDATE crm_deals.deal SET amount = $1 WHERE id = $2');
$session->must("PREPARE overview AS $overview");
$session->must('EXECUTE overview') for 1 .. 6;
$session->run($board);
$session->run('EXECUTE edit (1, 5)');
is($session->{state}, '55000', 'a session before the upgrade: its write is refused');
works('sessions', "BEGIN; $upgrade; $install; COMMIT", '... the upgrade runs beside it');
$session->run('EXECUTE edit (1, 5)');
is("$session->{state} $session->{count}", '00000 1', '... then its prepared write works') or diag($session->{message});
is(($session->run('EXECUTE overview'))[0], $counted, '... and its prepared reading') or diag($session->{message});
like(($session->run($board))[0] // $session->{message}, qr/^\d+$/, '... and a board');
$session->run("SELECT FROM crm_deals.move_deal(5, 'won', override => 'x')");
is($session->{state}, '00000', '... and a move') or diag($session->{message});
is(run('sessions', 'SELECT v::text FROM crm_deals.verify() AS v'), '', '... and all of it was logged');
$session->close_session;

# ----------
# Dumps of upgraded databases
# ----------

# By whom and into whose database it is restored: the name says it, as ever.
for my $dump ([ 'upgraded', 'Fc', 'dumped' ], [ 'two_steps_keeper', 'Fp', 'dumped_keeper' ],
	[ 'upgraded_hosts_keeper', 'Fc', 'dumped_hosts_keeper' ], [ 'two_steps_hosts', 'Fp', 'dumped_hosts' ])
{
	my ($from, $format, $to) = @$dump;
	my @user = ('-U', user_of($to));
	my $count_rows = count_rows($from);

	create_database($to);
	command_ok([ 'pg_dump', "-$format", '-f', "$folder/$to", @user, '-d', $node->connstr($from) ], "$to: pg_dump");
	command_ok($format eq 'Fc'
		? [ 'pg_restore', '--exit-on-error', @user, '-d', $node->connstr($to), "$folder/$to" ]
		: [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @user, '-d', $node->connstr($to), '-f', "$folder/$to" ],
		"$to: restore");
	is(run($to, $count_rows), run($from, $count_rows), "$to: every row is there");
	is_like_fresh($to, 'a dump of an upgraded database, restored');
	goes_on($to, 'a dump of an upgraded database, restored');
}

# A superuser restores the owner's dump into the owner's database: only the extensions, and so the functions, are his.
create_database('restored_by_superuser_keeper');
my ($printed, $errors) = run_command([ 'pg_restore', '--exit-on-error', '-d',
	$node->connstr('restored_by_superuser_keeper'), "$folder/dumped_hosts_keeper" ]);
is($errors, '', 'a superuser restores into the database of its owner');
is(differences(without_superuser(catalog($node, 'restored_by_superuser_keeper')),
	without_superuser(catalog($node, 'dumped_hosts_keeper'))), '', '... with the same catalogs');

# ----------
# A dump of the old version, restored where only this version is
# ----------

for my $variant ('', '_hosts_keeper')
{
	my $database = create_database("restored$variant");
	my $dump = dump_of($database);
	my $count_rows = count_rows("old$variant");

	run_file($database, write_file("$database.sql", $dump));
	is(run($database, $install), $new_version, "$database: install()");
	# what failed for want of our views: the objects of the dump again, without its rows
	$dump =~ s/^COPY .*?^\\\.$|^SELECT pg_catalog\.setval.*?$//msg;
	run_file($database, write_file("$database-again.sql", $dump));
	run($database, 'REFRESH MATERIALIZED VIEW public.my_sums');
	# this version has it with other arguments than the dump
	run($database, 'GRANT EXECUTE ON FUNCTION crm_deals.board TO visitor');
	is(run($database, $count_rows), run("old$variant", $count_rows), "$database: every row is there");
	is_like_fresh($database, 'an old dump, restored');
	goes_on($database, 'an old dump, restored');
}

# ----------
# What stands in the way
# ----------

# Statements that put something in the way of each change that the upgrade made, with the name that the error must give.
# A copy of a database keeps the OIDs: what has lost its OID was dropped.
sub obstacles
{
	my ($before, $after) = @_;
	my %of;
	my %queries = (
		function => "SELECT p.oid, format('CREATE VIEW public.in_the_way_%s AS SELECT count(*) AS n FROM %s(%s) AS f',
									  p.oid, p.oid::regproc,
									  (SELECT string_agg('NULL::' || CASE t.type WHEN 'anyelement'::regtype THEN 'text'
																	  ELSE format_type(t.type, NULL) END,
											  ', ' ORDER BY t.n)
									   FROM unnest(p.proargtypes) WITH ORDINALITY AS t (type, n))),
							'in_the_way_' || p.oid
					 FROM pg_proc AS p
					 WHERE p.pronamespace::regnamespace::text IN ('crm_deals', 'crm_deals_internal') AND p.prokind = 'f'
					   AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype)
					   AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
					   AND (p.prorettype <> 'record'::regtype OR p.proargmodes IS NOT NULL)",
		view => "SELECT c.oid, format('CREATE VIEW public.in_the_way_%s AS SELECT count(*) AS n FROM %s', c.oid,
									  c.oid::regclass), 'in_the_way_' || c.oid
				 FROM pg_class AS c WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'v'",
		# a column that goes, or gets another type
		column => "SELECT concat_ws('.', a.attrelid, a.attname, a.atttypid),
						  format('CREATE VIEW public.in_the_way_%s_%s AS SELECT %I FROM %s', a.attrelid, a.attnum,
								 a.attname, a.attrelid::regclass), format('in_the_way_%s_%s', a.attrelid, a.attnum)
				   FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
				   WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
					 AND NOT a.attisdropped",
		key => "SELECT k.oid,
					   format('CREATE TABLE public.in_the_way_%s AS SELECT %s FROM %s; '
							  'ALTER TABLE public.in_the_way_%1\$s ADD FOREIGN KEY (%2\$s) REFERENCES %3\$s (%2\$s)',
							  k.oid, string_agg(format('%I', a.attname), ', ' ORDER BY u.n),
							  k.conrelid::regclass),
					   'in_the_way_' || k.oid
				FROM pg_constraint AS k
				CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS u (attnum, n)
				JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
				WHERE k.connamespace = 'crm_deals'::regnamespace AND k.contype IN ('p', 'u') AND NOT k.condeferrable
				GROUP BY k.oid");
	my %new = (
		'new relation' => "SELECT c.relname, format('CREATE TABLE crm_deals.%I ()', c.relname), c.relname
						   FROM pg_class AS c
						   WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'i')
							 AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)",
		'new column' => "SELECT format('%s.%I', a.attrelid::regclass, a.attname),
								format('ALTER TABLE %s ADD COLUMN %I text', a.attrelid::regclass, a.attname), a.attname
						 FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
						 WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
						   AND NOT a.attisdropped
						   AND c.relname IN (RELATIONS)",
		'new function' => "SELECT p.oid::regprocedure,
								  format('CREATE FUNCTION %s RETURNS integer LANGUAGE sql AS ''SELECT 1''',
										 p.oid::regprocedure), p.proname
						   FROM pg_proc AS p WHERE p.pronamespace = 'crm_deals'::regnamespace");
	my $relations = run($before, "SELECT string_agg(quote_literal(relname), ', ') FROM pg_class
								  WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'");

	for my $kind (keys %queries)
	{
		my ($had, $has) = map { my $database = $_; +{ map { my @row = split /\|/; ($row[0] => [ @row[1, 2] ]) }
			  rows($node, $queries{$kind}, database => $database) } } $before, $after;
		$of{$kind} = [ map { $had->{$_} } grep { !$has->{$_} } sort keys %$had ];
	}
	for my $kind (keys %new)
	{
		my ($had, $has) = map { my $database = $_; +{ map { my @row = split /\|/; ($row[0] => [ @row[1, 2] ]) }
			  rows($node, $new{$kind} =~ s/RELATIONS/$relations/r, database => $database) } } $before, $after;
		$of{$kind} = [ map { $has->{$_} } grep { !$had->{$_} } sort keys %$has ];
	}
	return \%of;
}

create_database('obstructed', 'old');
my $obstacles = obstacles('old', 'upgraded');
my (@sql, @names);
for my $kind (sort keys %$obstacles)
{
	note sprintf('what can stand in the way: %s: %d', $kind, scalar @{ $obstacles->{$kind} });
	push @sql, map { $_->[0] } @{ $obstacles->{$kind} };
	push @names, map { "$kind $_->[1]" } @{ $obstacles->{$kind} };
}
works('obstructed', join(";\n", 'SET check_function_bodies = off', @sql), 'all of it can stand in the way at once');
SKIP:
{
	skip 'nothing can stand in the way of this upgrade', 2 if !@names;
	my $error = error_of('obstructed', $upgrade);

	is($error->{state}, '55000', 'the upgrade is refused') or diag($error->{text});
	is(join("\n", grep { my ($name) = / (\S+)$/; $error->{text} !~ /\b\Q$name\E\b/ } @names), '',
		'... and all that stands in the way is named at once');
}
create_database('taken', 'old');
works('taken', 'CREATE SCHEMA crm_deals_internal', 'somebody has made the internal schema');
is(error_of('taken', $upgrade)->{state}, '42P06', '... then the upgrade is refused');

# ----------
# Closed stages of 0.1 could have any probability, and so could closed deals
# ----------

create_database('closed', 'old');
works('closed', <<'SQL', 'a won stage of 0.1 has 0 per cent, a lost one 60');
SET session_replication_role = replica;
UPDATE crm_deals.stage SET probability = CASE status WHEN 'won' THEN 0 ELSE 60 END
WHERE pipeline_id = 1 AND status IN ('won', 'lost');
UPDATE crm_deals.deal AS d SET probability = s.probability, probability_overridden = false
FROM crm_deals.stage AS s WHERE s.id = d.stage_id AND d.pipeline_id = 1 AND d.status IN ('won', 'lost');
UPDATE crm_deals.deal SET probability = 40, probability_overridden = true
WHERE id = (SELECT min(id) FROM crm_deals.deal WHERE pipeline_id = 1 AND status = 'won');
UPDATE crm_deals.deal_event AS e SET probability = d.probability
FROM crm_deals.deal AS d WHERE d.id = e.deal_id AND e.version = d.version;
CREATE TABLE followers AS SELECT id FROM crm_deals.deal
WHERE pipeline_id = 1 AND status IN ('won', 'lost') AND NOT probability_overridden;
SQL
like(run_as_superuser('closed', "$upgrade;\n$install"), qr/NOTICE:  the probability of closed stages was corrected/,
	'the upgrade corrects it with a NOTICE');
is(value($node, "SELECT string_agg(status || ' ' || probability, ', ' ORDER BY id) FROM crm_deals.stage
	WHERE pipeline_id = 1 AND status IN ('won', 'lost')", database => 'closed'), 'won 100, lost 0', '... to 100 and 0');
is(value($node, "SELECT count(*) > 1 AND bool_and(d.probability = s.probability AND NOT d.probability_overridden
		AND (SELECT count(*) FROM crm_deals.deal_event AS e WHERE e.deal_id = d.id AND e.version = d.version
			 AND e.kind = 'updated' AND e.changes ? 'probability') = 1)
	FROM followers AS f JOIN crm_deals.deal AS d ON d.id = f.id JOIN crm_deals.stage AS s ON s.id = d.stage_id",
	database => 'closed'),
	't', '... and its deals follow, with an event each');
is(value($node, "SELECT string_agg(rule || ' ' || detail, ', ') FROM crm_deals.verify() WHERE rule <> 0",
	database => 'closed'),
	"3 probability is 40, its stage's is 100, and the deal is closed", '... a deal keeps its own, and verify() lists it');
is(value($node, $install, database => 'closed'), $new_version, '... install() finds nothing more to do');

# ----------
# The library serves the functions of both versions
# ----------

# A symbol with what it takes and gives; the library cannot know which version's function calls it.
my $symbols = <<'SQL';
SELECT p.prosrc, format('%s -> %s%s %s', ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t),
						CASE WHEN p.proretset THEN 'SETOF ' END, format_type(p.prorettype, NULL),
						ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proallargtypes) AS t))
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE l.lanname = 'c' AND p.probin LIKE '%crm_deals' ORDER BY 1, 2
SQL
my ($old_symbols, $new_symbols) = map
{
	my %signatures;
	push @{ $signatures{ (split /\|/)[0] } }, (split /\|/)[1] for split /\n/, run($_, $symbols);
	\%signatures
} 'old', 'fresh';
cmp_ok(scalar(grep { $new_symbols->{$_} } keys %$old_symbols), '>', 50, 'both versions call the same symbols');
is(join("\n", map { "$_: @{ $old_symbols->{$_} } is now @{ $new_symbols->{$_} }" }
	grep { $new_symbols->{$_} && "@{ $old_symbols->{$_} }" ne "@{ $new_symbols->{$_} }" } sort keys %$old_symbols),
	'', '... by the same arguments and results');

$node->stop;
done_testing();
