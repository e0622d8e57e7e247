# Columns of users that are named like an alias, a variable, an argument or a column of ours. Every table gets one for
# each name in the product's SQL, of a type that nothing compares to. A scenario that calls every public function
# gives the same as without these columns. In the long form it does so without tables of a host's, too, and the regression
# tests pass.
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

# Not run in the long form: these tests list columns, plans or times.
my %left_out = map { $_ => 1 } qw(s02_brings_back s05_plans s06_bounds s06_duplicates_bulk s07_bounds s12_signatures);

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
	$sql =~ s/^COMMENT ON .*?;$//gms;
	find(sub { $sql .= join "\n", slurp_file($_) =~ /(".*\b(?:SELECT|FROM|JOIN|AS|INTO|UPDATE)\b.*")/g if /\.[ch]$/ },
		"$tree/src");
	return $sql;
}

# Names that SQL gives to relations, columns and variables. Words of messages that come along do no harm.
sub names_in
{
	my ($sql) = @_;
	my $name = qr/([a-z_][a-z0-9_]*)/;
	my @names = $sql =~ /\b$name\.[a-z*]/g;

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

# A database in which every table that has a primary key gets a column for each of the names as soon as it is created.
sub create_database
{
	my ($database, @of) = @_;
	my $list = join ', ', map { "('$_')" } @of;
	# install() takes a host's column of such a name for what the name says
	my $mapped = join ', ', map { "'$_'" }
	  qw(name first_name last_name email phone account_id organization external_id owner custom_fields);

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	return if !@of;
	$node->safe_psql($database, <<"SQL");
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE TYPE hostile.pair AS (a point, b xml);
CREATE DOMAIN hostile.spot AS point;
CREATE TABLE hostile.kind (number integer, definition text);
INSERT INTO hostile.kind VALUES (0, 'point'), (1, 'json'), (2, 'xml'), (3, 'hostile.pair'), (4, 'hostile.spot'),
    (5, 'point NOT NULL DEFAULT ''(1,2)'''), (6, 'json DEFAULT ''{"a": [1]}'''), (7, 'xml DEFAULT ''<a/>'''),
    (8, 'hostile.pair DEFAULT ROW(''(1,2)'', NULL)'), (9, 'point GENERATED ALWAYS AS (''(3,4)'') STORED');
CREATE TABLE hostile.name (number integer GENERATED ALWAYS AS IDENTITY, name text);
INSERT INTO hostile.name (name) VALUES $list;
GRANT SELECT ON hostile.kind, hostile.name TO PUBLIC;
CREATE FUNCTION hostile.add_columns() RETURNS event_trigger LANGUAGE plpgsql AS \$\$
DECLARE
    added record;
BEGIN
    FOR added IN SELECT c.oid::regclass AS relation FROM pg_event_trigger_ddl_commands() AS m
                 JOIN pg_class AS c ON c.oid = m.objid AND c.relkind = 'r' AND c.relpersistence = 'p'
                 WHERE m.classid = 'pg_class'::regclass AND m.command_tag = 'CREATE TABLE'
                   AND EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p') LOOP
        EXECUTE format('ALTER TABLE %s %s', added.relation,
            (SELECT string_agg(format('ADD COLUMN %I %s', n.name, k.definition), ', ' ORDER BY n.number)
             FROM hostile.name AS n
             JOIN hostile.kind AS k ON k.number = n.number % 10
             WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                               WHERE a.attrelid = added.relation AND a.attname = n.name)
               AND (added.relation::text LIKE 'crm_deals.%' OR n.name NOT IN ($mapped))));
    END LOOP;
END \$\$;
CREATE EVENT TRIGGER hostile_columns ON ddl_command_end WHEN tag IN ('CREATE TABLE')
    EXECUTE FUNCTION hostile.add_columns();
SQL
	return;
}

# What psql prints for a file.
sub output_of
{
	my ($database, $file, @options) = @_;
	my $output = '';

	IPC::Run::run([ 'psql', '-X', '-a', '-q', '-d', $node->connstr($database), @options ],
		'<', $file, '>', \$output, '2>&1');
	return $output;
}

# ----------
# The scenario, with our tables of accounts and contacts, and with a host's
# ----------

my $hosts = <<'SQL';
CREATE EXTENSION crm_deals CASCADE;
CREATE TABLE public.firm (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE public.person (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, first_name text, last_name text,
                            email text);
CREATE TABLE public.member (login text PRIMARY KEY, name text);
INSERT INTO public.member (login, name) VALUES ('anna', 'Anna A.'), ('tom', 'Tom T.');
SQL
my %variables = (
	own => {
		install => 'crm_deals.install()',
		account => 'crm_deals.account',
		contact => 'crm_deals.contact',
	},
	host => {
		install => "crm_deals.install('public.firm', 'public.person', 'public.member')",
		account => 'public.firm',
		contact => 'public.person',
	});

for my $tables ($ENV{SOAK} ? sort keys %variables : 'host')
{
	my %printed;

	for my $columns ('no', 'hostile')
	{
		my $database = "${columns}_columns_$tables";

		create_database($database, $columns eq 'hostile' ? @names : ());
		$node->safe_psql($database, $hosts);
		$printed{$columns} = output_of($database, "$tree/test/t/Names/scenario.sql", '-v', 'role=qq_clerk',
			map { ('-v', "$_=$variables{$tables}{$_}") } sort keys %{ $variables{$tables} });
	}
	is($printed{hostile}, $printed{no}, "$tables tables: columns of such names change nothing");
}

# ----------
# The regression tests, with the names that their own SQL does not use
# ----------

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

# The names that neither a test nor what it includes uses without a qualifier.
sub names_beside
{
	my ($test) = @_;
	my $sql = join ' ', map { slurp_file($_) } "$tree/test/sql/$test.sql", glob "$tree/test/sql/include/*.sql";
	my %used = map { $_ => 1 } $sql =~ /(?<![.\w])([a-z_][a-z0-9_]*)/g;

	return grep { !$used{$_} } @names;
}

sub test_with_columns
{
	my ($test) = @_;

	local $ENV{PG_ABS_SRCDIR} = "$tree/test";
	local $ENV{PGTZ} = 'PST8PDT';
	local $ENV{PGDATESTYLE} = 'Postgres, MDY';
	local $ENV{PGOPTIONS} = '-c intervalstyle=postgres_verbose';
	create_database($test, names_beside($test));
	# these tests compare rows with the log in their own way: no column has a value
	$node->safe_psql($test, 'UPDATE hostile.kind SET definition = \'json\' WHERE number > 4');
	my $output = output_of($test, "$tree/test/sql/$test.sql");
	ok(is_expected($test, $output), "$test: columns of such names change nothing")
	  or diag join "\n", grep { /^(?:not ok|# |.*ERROR:)/ } split /\n/, $output;
	$node->safe_psql('postgres', "DROP DATABASE $test");
	return;
}

if ($ENV{SOAK})
{
	my @tests = grep { !$left_out{$_} } map { m{(\w+)\.sql$} } glob "$tree/test/sql/s*.sql";

	test_with_columns($_) for @tests;
}

$node->stop;
done_testing();
