# The regression tests under settings that a session may have: what the product does must not depend on them. `make
# test` runs a sample of the files under all settings that go together; with SOAK set, every file runs under each one.
#
# A check of a test fails here if the product depends on the setting, and also if the test's own query prints what the
# setting changes. The latter are listed below by their names, with the reason; nothing else is left out.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use Encode;
use File::Basename;
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tests = "$FindBin::RealBin/..";
my $expected = "$FindBin::RealBin/../../expected";
my $folder = $PostgreSQL::Test::Utils::tmp_check;
# What pg_regress gives its sessions
my %usual = (PGTZ => 'PST8PDT', PGDATESTYLE => 'Postgres, MDY', PGOPTIONS => '-c intervalstyle=postgres_verbose');

# Each setting: what it is, and the environment that gives it to a session
my %settings = (
	strings => { PGOPTIONS => '-c standard_conforming_strings=off' },
	quotes => { PGOPTIONS => '-c quote_all_identifiers=on' },
	nulls => { PGOPTIONS => '-c transform_null_equals=on -c array_nulls=off' },
	compiled => { PGOPTIONS => '-c jit=on -c jit_above_cost=0 -c jit_inline_above_cost=0 -c jit_optimize_above_cost=0' },
	parallel => { PGOPTIONS => '-c PARALLEL=on' },
	german => {
		PGTZ => 'Europe/Berlin', PGDATESTYLE => 'German, DMY',
		PGOPTIONS => '-c intervalstyle=sql_standard -c extra_float_digits=-15 -c bytea_output=escape'
	},
	apia => { PGTZ => 'Pacific/Apia', PGDATESTYLE => 'SQL, DMY', PGOPTIONS => '-c intervalstyle=iso_8601' },
	path => { PGOPTIONS => '-c search_path=tap' },    # where nothing but the test's tools is
	latin1 => { PGCLIENTENCODING => 'LATIN1' },
);

# Files whose own SQL cannot do without what a setting takes away
my %left_out = (
	path => {
		s05_formats => 'it sets paths of its own',
		s02_host_lifecycle => 'its tables are in schema public',
	},
);

# Checks that compare what the setting prints
my %own_words = ();

my %short = map { $_ => 1 } qw(s02_install s04_rule7_event s05_undo s06_merge s08_index_custom_field);

# ----------
# The files as they are run
# ----------

my $literal = qr/'(?:[^']|'')*'/;
my $escaped_literal = qr/[eE]'(?:[^'\\]|\\.|'')*'(?:[ \t]*\n\s*'(?:[^'\\]|\\.|'')*')*/s;

# Literals with a backslash become E'...', so that they say the same under standard_conforming_strings = off.
sub with_escaped_literals
{
	my ($sql) = @_;

	$sql =~ s{^(\\[^\n]*)|(--[^\n]*)|(?<![A-Za-z0-9_])($escaped_literal)|($literal(?:[ \t]*\n\s*$literal)*)}
			 {$1 // $2 // $3 // escaped($4)}gme;
	return $sql;
}

sub escaped
{
	my ($literals) = @_;

	return $literals =~ /\\/ ? 'E' . $literals =~ s/\\/\\\\/gr : $literals;
}

# Copies the tests for a setting. Returns those files that it can be about, and those that it cannot, with the reason.
sub copy_tests
{
	my ($setting, $target) = @_;
	my $encoding = $settings{$setting}{PGCLIENTENCODING};
	my (@files, %skipped);

	make_path("$target/sql/include");
	for my $path (glob("$tests/sql/include/*.sql $tests/sql/*.sql"))
	{
		my $file = $path =~ s{^\Q$tests\E/}{}r;
		my $name = basename($file, '.sql');
		my $text = with_escaped_literals(decode('UTF-8', slurp_file($path)));

		if ($encoding && !defined eval { encode($encoding, $text, Encode::FB_CROAK | Encode::LEAVE_SRC) })
		{
			$skipped{$name} = "it has characters that $encoding has not";
			next;
		}
		append_to_file("$target/$file", encode($encoding // 'UTF-8', $text));
		push @files, $name if $file !~ /include/;
	}
	return (\@files, \%skipped);
}

# ----------
# What they print
# ----------

# The results of the checks, by their names
sub results
{
	my ($text) = @_;
	my %results;

	while ($text =~ /^(not ok|ok) (\d+) - (.*)$/mg)
	{
		$results{"$2 $3"} = $1;
	}
	return \%results;
}

# Says what differs from the expected results, but for the checks that print what the setting changes.
sub differing
{
	my ($setting, $name, $output) = @_;
	my $own = $own_words{$setting}{$name} // $own_words{$setting}{'*'};
	my $encoding = $settings{$setting}{PGCLIENTENCODING} // 'UTF-8';
	my $text = decode($encoding, $output);
	my $results = results($text);
	my @differing;

	for my $file (grep { -e } "$expected/$name.out", "$expected/${name}_1.out")
	{
		my $wanted = results(decode('UTF-8', slurp_file($file)));

		@differing = grep { ($results->{$_} // 'missing') ne $wanted->{$_} && !($own && /$own/) } sort keys %$wanted;
		last if !@differing;
	}
	push @differing, $text =~ /(ERROR:  .*|WARNING:  nonstandard use .*)/g;
	return join("\n", @differing);
}

# ----------
# A setting
# ----------

my $node = start_server('settings_of_sessions');

sub run_file
{
	my ($setting, $database, $folder, $name) = @_;
	local %ENV = (%ENV, %usual, %{ $settings{$setting} });

	$ENV{PGOPTIONS} = "$usual{PGOPTIONS} $settings{$setting}{PGOPTIONS}"
	  if $settings{$setting}{PGOPTIONS};
	$ENV{PG_ABS_SRCDIR} = $folder;
	$ENV{PGHOST} = $node->host;
	$ENV{PGPORT} = $node->port;
	$ENV{PGDATABASE} = $database;
	system("psql -X -q < '$folder/sql/$name.sql' > '$folder/$name.out' 2>&1");
	return slurp_file("$folder/$name.out");
}

sub run_setting
{
	my ($setting) = @_;
	my $target = "$folder/$setting";
	my ($files, $skipped) = copy_tests($setting, $target);
	my @chosen = grep { $ENV{SOAK} || $short{$_} } @$files;

	%$skipped = (%$skipped, %{ $left_out{$setting} // {} });
	@chosen = split / /, $ENV{FILES} if $ENV{FILES};
	value($node, "CREATE DATABASE $setting");
	value($node, 'CREATE SCHEMA tap; CREATE EXTENSION pgtap SCHEMA ' . ($setting eq 'path' ? 'tap' : 'public'),
		database => $setting);
	for my $name (@chosen)
	{
	  SKIP:
		{
			skip "$setting: $name: $skipped->{$name}", 1 if $skipped->{$name};
			is(differing($setting, $name, run_file($setting, $setting, $target, $name)), '', "$setting: $name");
		}
	}
	value($node, "DROP DATABASE $setting");
	return;
}

my $parallel = value($node, 'SHOW server_version_num') >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
$settings{parallel}{PGOPTIONS} =~ s/PARALLEL/$parallel/;
run_setting($_) for $ENV{SETTINGS} ? split / /, $ENV{SETTINGS} : sort keys %settings;

$node->stop;
done_testing();
