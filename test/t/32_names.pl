# Columns of users that are named like an alias, a variable, an argument or a column of ours. Every table gets one for
# each name in the product's SQL, of a type that nothing compares to, and the regression tests still pass.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use Cwd;
use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Not run: with these tests the columns have no part in what is tested, or the tests count columns.
my %left_out = map { $_ => 1 } qw(s05_plans s06_bounds s06_duplicates_bulk s07_bounds s12_signatures);

my $tree = getcwd();
my $node = start_server('names', "timezone = 'PST8PDT'");

# ----------
# The names
# ----------

# The SQL that the product runs: the extension's script, and the strings of the C code.
sub our_sql
{
	my $sql = slurp_file("$tree/" . (glob 'crm_deals--[0-9].[0-9].[0-9].sql')[0]);

	$sql =~ s/--.*//g;
	find(sub { $sql .= join ' ', slurp_file($_) =~ /"((?:[^"\\\n]|\\.)*)"/g if /\.c$/ }, "$tree/src");
	return $sql;
}

# Names that SQL gives to relations, columns and variables. Words of messages that come along do no harm.
sub names_in
{
	my ($sql) = @_;
	my $name = qr/([a-z_][a-z0-9_]*)/;
	my @names = $sql =~ /\b$name\./g;

	push @names, $sql =~ /\b(?:AS|FOR|INTO|JOIN|OUT)\s+(?:MATERIALIZED\s+)?$name\b/g;
	push @names, $sql =~ /(?:\bWITH|,)\s+$name\s+AS\b/g;
	push @names, map { split /[ ,]+/ } $sql =~ /\bAS\s+\w+\s*\(([a-z0-9_, ]+)\)/g;
	push @names, map { /^\s+$name\s+[a-z]/gm } $sql =~ /\bDECLARE\b(.*?)\bBEGIN\b/gs;
	return @names;
}

# The arguments and OUT columns of our functions, and the columns of our relations, which other tables lack.
sub names_in_catalog
{
	return rows($node, <<'SQL', database => 'catalog');
SELECT a.name FROM pg_proc AS p, unnest(p.proargnames) AS a (name)
WHERE p.pronamespace::regnamespace::text LIKE 'crm_deals%' AND a.name <> ''
UNION
SELECT a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'crm_deals'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
SQL
}

$node->safe_psql('postgres', 'CREATE DATABASE catalog');
install($node, 'catalog');
my %seen;
my @names = sort grep { !$seen{$_}++ } names_in(our_sql()), names_in_catalog();
cmp_ok(scalar @names, '>', 500, 'the names of our SQL: ' . @names);

# ----------
# The databases
# ----------

# A database in which every table that has a primary key gets a column for each name as soon as it is created.
sub create_database
{
	my ($database, $prefix) = @_;
	my $list = join ', ', map { "'$prefix$_'" } @names;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, <<"SQL");
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE TYPE hostile.pair AS (a point, b xml);
CREATE DOMAIN hostile.spot AS point;
CREATE FUNCTION hostile.add_columns() RETURNS event_trigger LANGUAGE plpgsql AS \$\$
DECLARE
    added record;
BEGIN
    FOR added IN SELECT c.oid::regclass AS relation FROM pg_event_trigger_ddl_commands() AS m
                 JOIN pg_class AS c ON c.oid = m.objid AND c.relkind = 'r' AND c.relpersistence = 'p'
                 WHERE m.classid = 'pg_class'::regclass AND m.command_tag = 'CREATE TABLE'
                   AND EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p') LOOP
        EXECUTE format('ALTER TABLE %s %s', added.relation,
            (SELECT string_agg(format('ADD COLUMN %I %s', n.name,
                                      (ARRAY['point', 'xml', 'json', 'hostile.pair', 'hostile.spot'])[n.i % 5 + 1]),
                               ', ')
             FROM unnest(ARRAY[$list]) WITH ORDINALITY AS n (name, i)
             WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                               WHERE a.attrelid = added.relation AND a.attname = n.name)));
    END LOOP;
END \$\$;
CREATE EVENT TRIGGER hostile_columns ON ddl_command_end WHEN tag IN ('CREATE TABLE')
    EXECUTE FUNCTION hostile.add_columns();
SQL
	return;
}

# What a regression test prints, as pg_regress would see it.
sub run_test
{
	my ($test, $database) = @_;
	my $output = '';

	local $ENV{PG_ABS_SRCDIR} = "$tree/test";
	local $ENV{PGTZ} = 'PST8PDT';
	local $ENV{PGDATESTYLE} = 'Postgres, MDY';
	local $ENV{PGOPTIONS} = '-c intervalstyle=postgres_verbose';
	IPC::Run::run([ 'psql', '-X', '-a', '-q', '-d', $node->connstr($database) ],
		'<', "$tree/test/sql/$test.sql", '>', \$output, '2>&1');
	return $output;
}

sub squeezed
{
	my ($text) = @_;

	$text =~ s/\s+/ /g;
	return $text;
}

sub is_expected
{
	my ($test, $output) = @_;

	return grep { squeezed(slurp_file($_)) eq squeezed($output) } glob "$tree/expected/${test}*.out";
}

# ----------
# The tests: a test that lists columns prints the same with columns of harmless names.
# ----------

create_database('hostile', '');
create_database('harmless', 'zz_');
my @tests = map { m{(\w+)\.sql$} } glob "$tree/test/sql/s*.sql";
@tests = grep { !$left_out{$_} } @tests;
@tests = split / /, $ENV{NAMES_TESTS} if $ENV{NAMES_TESTS};

for my $test (@tests)
{
	my $output = run_test($test, 'hostile');
	my $passed = is_expected($test, $output);

	if (!$passed)
	{
		my $harmless = run_test($test, 'harmless');
		$harmless =~ s/zz_//g;
		$passed = squeezed($harmless) eq squeezed($output);
	}
	ok($passed, "$test: columns of such names change nothing")
	  or diag join "\n", (grep { /^(?:not ok|#|ERROR|psql|.*ERROR:)/ } split /\n/, $output)[0 .. 20];
}

$node->stop;
done_testing();
