# Owners: who makes the extension, who makes the tables, to whom they go, and by which way. Each either works, or is
# refused with what to do. And whoever makes it, CREATE EXTENSION and ALTER EXTENSION UPDATE run nothing of a user's.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('owners', 'max_worker_processes = 8');
my $folder = $PostgreSQL::Test::Utils::tmp_check;
my $traps = slurp_file("$FindBin::RealBin/../sql/include/traps.sql");

$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN")
  for qw(alice bob carol deputy mallory clerk listener);
$node->safe_psql('postgres', 'GRANT alice TO deputy');

# ----------
# Statements
# ----------

sub create_database
{
	my ($name, $owner, $template) = @_;

	$node->safe_psql('postgres',
		sprintf('DROP DATABASE IF EXISTS %s; CREATE DATABASE %s OWNER %s TEMPLATE %s', $name, $name, $owner,
			$template // 'template0'));
	return $name;
}

# What becomes of a statement of a role: "ok", or its SQLSTATE and the beginning of the hint.
sub outcome
{
	my ($database, $role, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', $role ]);

	return 'ok' if $status == 0;
	my ($state) = $stderr =~ /ERROR:  (\w{5})/;
	my ($hint) = $stderr =~ /^HINT:  (.*)$/m;
	return $state . ($hint ? ": $hint" : '');
}

sub as { my ($role, $database, $sql) = @_; return $node->safe_psql($database, $sql, extra_params => [ '-U', $role ]) }

# A row of the matrix
sub work
{
	my ($database) = @_;

	return {
		insert => outcome($database, 'clerk', "INSERT INTO crm_deals.deal (name) VALUES ('x')"),
		move => outcome($database, 'clerk', "SELECT crm_deals.move_deal(1, 'qualified')"),
		read => outcome($database, 'listener', "SELECT crm_deals.read_events('erp', 1)"),
	};
}

my $all_works = { insert => 'ok', move => 'ok', read => 'ok' };

sub all { my ($outcome) = @_; return { map { $_ => $outcome } keys %$all_works } }

sub install_warns
{
	my ($database, $role) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, 'SELECT crm_deals.install()', extra_params => [ '-U', $role ]);

	return $stderr;
}

my $business = <<'SQL';
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales');
INSERT INTO crm_deals.deal (name) VALUES ('One');
SELECT crm_deals.grant_access('clerk', 'write');
SELECT crm_deals.grant_access('listener', 'consume');
SQL

create_database('business', 'alice');
as('alice', 'business', "CREATE EXTENSION crm_deals CASCADE; $business");
as('listener', 'business', "SELECT crm_deals.subscribe('erp', from_start => true)");

# ----------
# Who makes what
# ----------

is_deeply(work('business'), $all_works, 'the owner of a database makes extension and tables');

# The schema is there before, and belongs to who will make the tables. Somebody else makes the extension.
create_database('apart', 'postgres');
$node->safe_psql('apart', 'CREATE SCHEMA crm_deals AUTHORIZATION alice; GRANT CREATE ON DATABASE apart TO carol');
as('carol', 'apart', 'CREATE EXTENSION crm_deals CASCADE');
is(outcome('apart', 'carol', 'SELECT crm_deals.install()'), '42501', 'who makes the extension makes no tables in it');
is(outcome('apart', 'postgres', 'SELECT crm_deals.install()'),
	'42501: Run SET ROLE alice before, or ALTER SCHEMA crm_deals OWNER TO postgres.', 'nor does a superuser');
as('alice', 'apart', $business);
as('listener', 'apart', "SELECT crm_deals.subscribe('erp')");
is_deeply(work('apart'), $all_works, 'the owner of the schema does, who has the functions from CREATE EXTENSION');

# The schema goes to another role before there are tables.
create_database('later', 'alice');
as('alice', 'later', 'CREATE EXTENSION crm_deals CASCADE');
$node->safe_psql('later', 'ALTER SCHEMA crm_deals OWNER TO bob');
like(outcome('later', 'bob', 'SELECT crm_deals.install()'),
	qr/^42501: A superuser has to run GRANT EXECUTE .* TO bob WITH GRANT OPTION/,
	'a new owner of the schema learns what is missing');
$node->safe_psql('later',
	'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_deals, crm_deals_internal TO bob WITH GRANT OPTION');
is(outcome('later', 'bob', 'SELECT crm_deals.install()'), 'ok', '... and goes on with it');

# install() on tables that are there
create_database('callers', 'alice', 'business');
is(outcome('callers', $_, 'SELECT crm_deals.install()'), 'ok', "install() by $_") for qw(alice deputy postgres);
is(outcome('callers', 'bob', 'SELECT crm_deals.install()'), '42501', 'install() by a stranger');
as('alice', 'callers', 'GRANT USAGE ON SCHEMA crm_deals TO bob');
is(outcome('callers', 'bob', 'SELECT crm_deals.install()'),
	'42501: Role "alice" owns them. It, a member of it or a superuser can call install().', '... who may see the schema');
is(value($node, 'BEGIN; SELECT crm_deals.install() IS NULL; SELECT current_user; COMMIT', database => 'callers'),
	"f\npostgres", 'who calls install() stays who he is');
is_deeply(work('callers'), $all_works, '... and everything works');

# What the owner put there has the owner's rights, now and at the end of the transaction.
create_database('spied', 'alice', 'business');
as('alice', 'spied', <<'SQL');
CREATE SCHEMA spy;
CREATE FUNCTION spy.look() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'spy', false);
    BEGIN
        PERFORM set_config('role', 'postgres', false);
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        ALTER ROLE alice SUPERUSER;
    END IF;
    RETURN true;
END
$$;
CREATE FUNCTION spy.look_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM spy.look(); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER spy AFTER INSERT ON crm_deals.deal_name DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION spy.look_later();
DROP VIEW crm_deals.installation;
CREATE VIEW crm_deals.installation WITH (security_invoker = true) AS
    SELECT CASE WHEN spy.look() THEN '0.2.0' END AS version, 'crm_deals.account'::regclass AS account_table,
           'crm_deals.contact'::regclass AS contact_table, NULL::regclass AS owner_table, '{}'::jsonb AS columns;
SQL
is(value($node, "SET search_path = public; SELECT crm_deals.install() IS NULL; SHOW search_path; SELECT current_user",
	database => 'spied'),
	"f\npublic\npostgres", 'a superuser calls install() over what the owner put there');
as('alice', 'spied', 'DROP INDEX crm_deals.deal_name_signatures');
is(outcome('spied', 'postgres', 'SELECT crm_deals.install()'), '42501', '... also where a trigger waits for the end');
is(value($node, "SELECT rolsuper FROM pg_roles WHERE rolname = 'alice'"), 'f', '... and nobody has become superuser');
is(outcome('spied', 'alice', 'DROP TRIGGER spy ON crm_deals.deal_name; SELECT crm_deals.install()'), 'ok',
	'... without the trigger install() goes on');

# ----------
# New owners
# ----------

create_database('reassigned', 'alice', 'business');
$node->safe_psql('reassigned', 'REASSIGN OWNED BY alice TO bob');
my $superuser = '55000: A superuser runs SELECT crm_deals.install().';
is_deeply(work('reassigned'), all($superuser), 'REASSIGN OWNED: everything is refused, with what to do');
like(outcome('reassigned', 'bob', 'SELECT crm_deals.install()'), qr/^42501: A superuser has to call install\(\)/,
	'... the new owner learns it, too');
is(install_warns('reassigned', 'postgres'), '', '... and a superuser does it, without a warning');
is_deeply(work('reassigned'), $all_works, '... then everything works, and levels and consumers are what they were');
is(install_warns('reassigned', 'bob'), '', '... install() by the new owner');
is(outcome('reassigned', 'bob', "SELECT crm_deals.grant_access('carol', 'manager')"), 'ok', '... who grants levels');
like(outcome('reassigned', 'bob', "SELECT crm_deals.revoke_access('clerk')"),
	qr/^42501: Only role "alice" can take it back .* DROP OWNED BY alice/, '... but those of the owner before are his');
$node->safe_psql('reassigned', 'DROP OWNED BY alice');
is_deeply(work('reassigned'), $all_works, '... DROP OWNED BY the owner before takes nothing away');
is(outcome('reassigned', 'bob', "SELECT crm_deals.revoke_access('clerk')"), 'ok', '... and all is the new owner\'s');

create_database('leaving', 'alice', 'business');
$node->safe_psql('leaving', 'REASSIGN OWNED BY alice TO bob; DROP OWNED BY alice');
is(work('leaving')->{insert}, $superuser, 'an owner who leaves: writes are refused');
is(install_warns('leaving', 'postgres'), '', '... install() by a superuser');
is_deeply(work('leaving'), $all_works, '... gives levels back that went with the owner before');

create_database('database', 'alice', 'business');
$node->safe_psql('database', 'ALTER DATABASE database OWNER TO bob');
is_deeply(work('database'), $all_works, 'ALTER DATABASE OWNER changes nothing');

# One object alone
my %alone = (
	'SCHEMA crm_deals' => 'ALTER SCHEMA crm_deals OWNER TO alice',
	'TABLE crm_deals.deal_event' => 'ALTER TABLE crm_deals.deal_event OWNER TO alice',
	'VIEW crm_deals.installation' => 'ALTER TABLE crm_deals.installation OWNER TO alice',
	'TABLE crm_deals.deal' => 'ALTER SCHEMA crm_deals OWNER TO bob',
);
for my $object (sort keys %alone)
{
	create_database('alone', 'alice', 'business');
	$node->safe_psql('alone', "ALTER $object OWNER TO bob");
	my $works = work('alone');

	like($works->{$_}, qr/^55000: Run $alone{$object}; then a superuser runs SELECT crm_deals\.install\(\)/,
		"$object of another owner: $_")
	  for sort keys %$works;
	like(outcome('alone', 'postgres', 'SELECT crm_deals.install()'), qr/^55000: Give all of it to one role/,
		'... install() by a superuser');
	$node->safe_psql('alone', "ALTER $object OWNER TO alice; SELECT crm_deals.install()");
	is_deeply(work('alone'), $all_works, '... and back');
}

# Of a view of a level's, which no C code reads
create_database('alone', 'alice', 'business');
$node->safe_psql('alone', 'ALTER VIEW crm_deals.stale_deals OWNER TO bob');
like(outcome('alone', 'alice', 'SELECT crm_deals.install()'), qr/^55000: Give all of it/,
	'install() goes on only if all relations have one owner');

# ----------
# DROP OWNED
# ----------

create_database('dropped', 'alice', 'business');
$node->safe_psql('dropped', 'DROP OWNED BY clerk');
is_deeply(work('dropped'), { insert => '42501', move => '42501', read => 'ok' },
	'DROP OWNED BY a role with a level takes the level');
is(install_warns('dropped', 'alice'), '', '... install() afterwards');
is(outcome('dropped', 'alice', "SELECT crm_deals.grant_access('clerk', 'write')"), 'ok', '... and it comes back');
is_deeply(work('dropped'), $all_works, '... then everything works');

create_database('dropped', 'postgres', 'apart');
like(outcome('dropped', 'postgres', 'DROP OWNED BY carol'), qr/^2BP01/,
	'DROP OWNED BY who made the extension is refused: tables depend on it');
$node->safe_psql('dropped', 'SET client_min_messages = error; DROP OWNED BY carol CASCADE');
is(value($node, 'SELECT count(*) > 0 FROM crm_deals.deal', database => 'dropped'), 't',
	'... with CASCADE the tables and rows stay');
$node->safe_psql('dropped', 'CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE EXTENSION crm_deals');
is(install_warns('dropped', 'postgres'), '', '... CREATE EXTENSION and install() by a superuser');
is_deeply(work('dropped'), $all_works, '... bring back what works on them');

# ----------
# Dumps
# ----------

create_database('dumped', 'alice', 'business');
command_ok([ 'pg_dump', '-Fc', '-f', "$folder/owners.dump", '-d', $node->connstr('dumped') ], 'pg_dump');
command_ok([ 'pg_dump', '-Fp', '-f', "$folder/owners.sql", '-d', $node->connstr('dumped') ], 'pg_dump, plain');
create_database('restored', 'bob');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$folder/owners.dump" ],
	'a superuser restores it into the database of another owner');
is_deeply(work('restored'), $all_works, '... everything works, and belongs to the owner before');
is(install_warns('restored', 'alice'), '', '... install() by the owner');
create_database('restored', 'bob');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f',
	"$folder/owners.sql" ],
	'a plain dump, too');
is_deeply(work('restored'), $all_works, '... everything works');

create_database('restored', 'bob');
command_ok([ 'pg_restore', '--no-owner', '--no-acl', '--exit-on-error', '-d', $node->connstr('restored'),
	"$folder/owners.dump" ],
	'restored without owners and privileges: all is the superuser\'s');
is(install_warns('restored', 'postgres'), '', '... install()');
$node->safe_psql('restored', 'REASSIGN OWNED BY alice TO bob; ALTER SCHEMA crm_deals OWNER TO bob');
like(outcome('restored', 'postgres', "SELECT crm_deals.grant_access('clerk', 'write')"), qr/^55000: Run ALTER SCHEMA/,
	'... the schema alone given away is refused');

create_database('restored', 'bob');
run_log([ 'pg_restore', '--no-owner', '-d', $node->connstr('restored'), "$folder/owners.dump" ]);
is(install_warns('restored', 'postgres'), '', 'restored without owners, but with privileges: install()');
is_deeply(work('restored'), $all_works, '... gives what levels need');

command_ok([ 'pg_dump', '-Fc', '-n', 'crm_deals', '-e', 'crm_deals', '-e', 'pg_trgm', '-f', "$folder/part.dump", '-d',
	$node->connstr('dumped') ],
	'a part: pg_dump -n -e -e');
create_database('restored', 'bob');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$folder/part.dump" ],
	'... restored by a superuser into the database of another owner');
is_deeply(work('restored'), $all_works, '... everything works');

# ----------
# Names of owners
# ----------

for my $name ('a%b', 'a%%c', 'a"b', q(a'b), '$$', 'a\b', 'A b', '@extowner@')
{
	(my $role = $name) =~ s/"/""/g;
	(my $text = $name) =~ s/'/''/g;
	create_database('named', 'postgres');
	$node->safe_psql('named', qq{CREATE ROLE "$role"; GRANT CREATE ON DATABASE named TO "$role";
		SET client_min_messages = warning; CREATE EXTENSION pg_trgm;});
	my $before = "SET SESSION AUTHORIZATION \"$role\";\n";

	is(outcome('named', 'postgres', <<"SQL"), 'ok', "an owner named $name");
$before CREATE EXTENSION crm_deals;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.grant_access('clerk', 'write');
INSERT INTO crm_deals.deal (name) VALUES ('One');
SELECT crm_deals.install();
RESET SESSION AUTHORIZATION;
SELECT crm_deals.install();
SQL
	is_deeply([ rows($node, <<'SQL', database => 'named') ], [ sort 'clerk', $name ], '... and nobody else has anything');
SELECT DISTINCT r.rolname COLLATE "C" FROM pg_proc AS p, aclexplode(p.proacl) AS a, pg_roles AS r
WHERE p.oid = 'crm_deals.merge_deals'::regproc AND a.grantee <> p.proowner AND r.oid = a.grantee ORDER BY 1
SQL
}

# ----------
# Traps
# ----------

# Somebody who may create in the database has made both schemas, and put into them what a careless script would use.
sub lay_traps
{
	my ($database) = @_;

	as('mallory', $database, "$traps SELECT trap.lay('crm_deals'), trap.lay('trgm')");
	return;
}

sub create_trapped
{
	my ($database) = @_;

	create_database($database, 'postgres');
	$node->safe_psql($database, "GRANT CREATE ON DATABASE $database TO mallory");
	as('mallory', $database, 'CREATE SCHEMA trgm; CREATE EXTENSION pg_trgm SCHEMA trgm');
	return;
}

my $into_the_traps = 'SET search_path = crm_deals, trgm, trap, pg_catalog;';
for my $role (qw(mallory postgres))
{
	create_trapped('trapped');
	as('mallory', 'trapped', 'CREATE SCHEMA crm_deals');
	lay_traps('trapped');
	is(outcome('trapped', $role, "$into_the_traps CREATE EXTENSION crm_deals"), 'ok',
		"among traps $role makes the extension");
	is(outcome('trapped', 'mallory', "$into_the_traps SELECT crm_deals.install()"), 'ok',
		'... install() by their owner');
	is(outcome('trapped', 'postgres', "$into_the_traps SELECT crm_deals.install()"), 'ok', '... and by a superuser');
}
like(outcome('trapped', 'mallory', "$into_the_traps SELECT 1::oid = 'pg_class'::pg_catalog.regclass"), qr/^P0001/,
	'... the traps work');

create_trapped('trapped');
as('mallory', 'trapped', "CREATE EXTENSION crm_deals VERSION '0.1.0'");
lay_traps('trapped');
is(outcome('trapped', 'mallory', "$into_the_traps ALTER EXTENSION crm_deals UPDATE; SELECT crm_deals.install()"), 'ok',
	'among traps the extension is upgraded');

create_trapped('trapped');
as('mallory', 'trapped', "CREATE EXTENSION crm_deals; $business");
lay_traps('trapped');
command_ok([ 'pg_dump', '-Fc', '-f', "$folder/trapped.dump", '-d', $node->connstr('trapped') ], 'among traps pg_dump');
create_database('restored', 'bob');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$folder/trapped.dump" ],
	'... and a superuser restores all of it');
is(outcome('restored', 'postgres', 'SELECT crm_deals.install()'), 'ok', '... install() by a superuser');
is(value($node, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', 'nobody has become superuser');

$node->stop;
done_testing();
