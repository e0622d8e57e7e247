# The regression tests under settings that a session may have: what the product does must not depend on them. `make
# test` runs a sample of the files, each under several settings at once.
#   SOAK=1                 every file under each setting
#   SETTINGS="a b+c"       these settings; b+c are two at once        FILES="..."   these files
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
	compiled => { PGOPTIONS => '-c jit=on -c jit_above_cost=0' },
	parallel => { PGOPTIONS => '-c PARALLEL=on' },
	german => {
		PGTZ => 'Europe/Berlin', PGDATESTYLE => 'German, DMY',
		PGOPTIONS => '-c intervalstyle=sql_standard -c extra_float_digits=-15 -c bytea_output=escape'
	},
	apia => { PGTZ => 'Pacific/Apia', PGDATESTYLE => 'SQL, DMY', PGOPTIONS => '-c intervalstyle=iso_8601' },
	path => { PGOPTIONS => '-c search_path=tap' },    # where nothing but the test's tools is
	latin1 => { PGCLIENTENCODING => 'LATIN1' },
);

# Files that are about what a setting changes
my %left_out = (
	strings => { s12_signatures => 'psql looks for functions with literals of its own' },
	path => {
		s05_formats => 'it sets paths of its own',
		s05_plans => 'it sets a path of its own',
		s02_host_lifecycle => 'it sets paths of its own',
	},
	nulls => { s04_move_deals => 'it writes arrays with a NULL as texts' },
	latin1 => { s05_payload => 'it counts the bytes of texts' },
);

# Checks whose own query depends on the setting, by the beginnings of their names
my $dates = 'section 5: the tracked values after the change';
my $intervals = 'section 3: everything that stages may say|add_stage: everything it may say';
my %own_words = (
	strings => {
		s08_index_custom_field => 'section 8: index of deal odd',    # it prints a literal with a backslash
	},
	quotes => {
		# they search a text that PostgreSQL made for a name
		s02_install => 'section 2: the extension owns code and the schema of what is internal',
		s09_public => 'section 9: of what is public, everybody may execute',
		s02_two_schemas => 'section 2: (?:of the extension|the rest is internal|and nothing is elsewhere|which would be' .
			' found|these are many|and they work)|section 9: and there is much of it',
		s03_tables => 'section 3: (?:bigint keys, timestamptz|a lead begins as new)',
		s04_verify => "the tests' own queries see it, too",
		s06_merge => 'merge_deals: and is named',
		s07_forecast => 'section 12: the columns of',
		s07_reports => 'section 12: the arguments of the reports',
		s08_import => 'import: all of them are named',
		s08_index_custom_field => 'section 8: (?:the plan of|values from before the definition|and one of the other kind' .
			'|in place of the one before)',
	},
	nulls => {
		# they write an array with a NULL as a text
		s05_redact => quotemeta("section 10: redact(deals => '{NULL}')"),
		s10_hostile_input => quotemeta("section 10: move_deals of '{NULL,NULL}'"),
	},
	german => {
		s05_events => $dates, s03_pipelines => $intervals, s03_stages => $intervals,
		s08_import => "import: columns of the user's own", s08_leads => 'section 8: deal ',
		s04_columns => 'section 5: as to_jsonb\(\) shows them',
	},
	apia => { s05_events => $dates, s03_pipelines => $intervals, s03_stages => $intervals },
);

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

	$sql =~ s{^(\\[^\n]*|--[^\n]*)|(--[^\n]*|"[^"\n]*"|\$[a-z_]+\$[^\n]*?\$[a-z_]+\$)|
			  (?<![A-Za-z0-9_])($escaped_literal)|\$\$([^\n]*?)\$\$|($literal(?:[ \t]*\n\s*$literal)*)}
			 {$1 // $2 // $3 // (defined $4 ? '$$' . inside_dollars($4) . '$$' : escaped($5))}gmex;
	return $sql;
}

# A text in dollars may be a statement. It is none if its quotes come in no pairs, or stand inside words.
sub inside_dollars
{
	my ($text) = @_;

	return ($text =~ tr/'//) % 2 || $text =~ /[a-z0-9]'[a-z0-9]/i ? $text : with_escaped_literals($text);
}

# Writes a literal, and the literals in it if it is a statement.
sub escaped
{
	my ($literals) = @_;
	my $text = '';

	return $literals if $literals !~ /\\/;
	$text .= $1 =~ s/''/'/gr while $literals =~ /'((?:[^']|'')*)'/g;
	$text = with_escaped_literals($text) if $text =~ /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/;
	$text =~ s/\\/\\\\/g;
	return "E'" . $text =~ s/'/''/gr . "'";
}

# Copies the tests for settings. Returns those files that it can be about, and those that it cannot, with the reason.
sub copy_tests
{
	my ($target, @together) = @_;
	my $encoding = environment(@together)->{PGCLIENTENCODING};
	my (@files, %skipped);

	make_path("$target/sql/include");
	symlink "$tests/../examples", "$folder/examples" if !-e "$folder/examples";
	for my $path (glob("$tests/sql/include/*.sql $tests/sql/*.sql"))
	{
		my $file = $path =~ s{^\Q$tests\E/}{}r;
		my $name = basename($file, '.sql');
		my $text = decode('UTF-8', slurp_file($path));

		$text = with_escaped_literals($text) if grep { $_ eq 'strings' } @together;
		if ($encoding && (!defined eval { encode($encoding, $text, Encode::FB_CROAK | Encode::LEAVE_SRC) }
				|| grep { $skipped{$_} } $text =~ m{^\\i :include/(\w+)\.sql}mg))
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

# The results of the checks, by their names. A failure that is about quotes alone counts as none under "quotes".
sub results
{
	my ($text, $without_quotes) = @_;
	my %results;

	while ($text =~ /^(not ok|ok) (\d+) - (.*)$(?:\n# Failed.*\n# +have: (.*)\n# +want: (.*)$)?/mg)
	{
		my ($result, $name, $have, $want) = ($1, "$2 $3", $4, $5);

		$result = 'ok' if $without_quotes && defined $have && $have =~ tr/"//dr eq $want =~ tr/"//dr;
		$results{$name} = $result;
	}
	return \%results;
}

# Says what differs from the expected results, but for the checks that print what the setting changes.
sub differing
{
	my ($name, $output, @together) = @_;
	my $own = join '|', grep { defined } map { $own_words{$_}{$name} } @together;
	my $encoding = environment(@together)->{PGCLIENTENCODING} // 'UTF-8';
	my $text = decode($encoding, $output);
	my $results = results($text, scalar grep { $_ eq 'quotes' } @together);
	my (@differing, %expected_errors);

	for my $file (grep { -e } "$expected/$name.out", "$expected/${name}_1.out")
	{
		my $words = decode('UTF-8', slurp_file($file));
		my $wanted = results($words);

		$expected_errors{$_} = 1 for $words =~ /(ERROR:  .*)/g;
		@differing = grep { ($results->{$_} // 'missing') ne $wanted->{$_} && !($own && /^\d+ (?:$own)/) } sort keys %$wanted;
		last if !@differing;
	}
	push @differing, grep { !$expected_errors{$_} } $text =~ /(ERROR:  .*|WARNING:  nonstandard use .*)/g;
	return join("\n", @differing);
}

# ----------
# A setting
# ----------

my $node = start_server('settings_of_sessions');

# The environment of a session that has all of these settings
sub environment
{
	my @together = @_;
	my %environment = map { %{ $settings{$_} } } @together;

	$environment{PGOPTIONS} = join ' ', $usual{PGOPTIONS}, map { $settings{$_}{PGOPTIONS} // () } @together;
	return \%environment;
}

sub run_file
{
	my ($name, $folder, @together) = @_;
	local %ENV = (%ENV, %usual, %{ environment(@together) }, PG_ABS_SRCDIR => $folder, PGHOST => $node->host,
		PGPORT => $node->port, PGDATABASE => join('_', @together));

	system("psql -X -q < '$folder/sql/$name.sql' > '$folder/$name.out' 2>&1");
	return slurp_file("$folder/$name.out");
}

sub run_settings
{
	my @together = @_;
	my $database = join '_', @together;
	my $target = "$folder/$database";
	my ($files, $skipped) = copy_tests($target, @together);
	my @chosen = $ENV{FILES} ? split(/ /, $ENV{FILES}) : grep { $ENV{SOAK} || $short{$_} } @$files, keys %$skipped;

	%$skipped = (%$skipped, map { %{ $left_out{$_} // {} } } @together);
	value($node, "CREATE DATABASE $database");
	my $schema = (grep { $_ eq 'path' } @together) ? 'tap' : 'public';
	value($node, "CREATE SCHEMA tap; CREATE EXTENSION pgtap SCHEMA $schema", database => $database);
	for my $name (sort @chosen)
	{
	  SKIP:
		{
			skip "@together: $name: $skipped->{$name}", 1 if $skipped->{$name};
			is(differing($name, run_file($name, $target, @together), @together), '', "@together: $name");
		}
	}
	value($node, "DROP DATABASE $database");
	return;
}

my $parallel = value($node, 'SHOW server_version_num') >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
$settings{parallel}{PGOPTIONS} =~ s/PARALLEL/$parallel/;
my @runs = $ENV{SETTINGS} ? split(/ /, $ENV{SETTINGS})
  : $ENV{SOAK} ? sort keys %settings : ('strings+quotes+nulls+path', 'german+latin1+parallel');
run_settings(split /\+/) for @runs;

# ----------
# No path at all, from CREATE EXTENSION on
# ----------

value($node, 'CREATE DATABASE nowhere');
my $answers = "reverted\nwon|1\n1|created\n1|Acme renewal\n1\n1\n1|2";
is(value($node, <<'SQL', database => 'nowhere'), $answers, 'search_path is empty');
SET search_path = '';
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION crm_deals;
SELECT FROM crm_deals.install();
SELECT FROM crm_deals.create_pipeline('Sales');
INSERT INTO crm_deals.custom_field (entity, key, label, type) VALUES ('deal', 'region', 'Region', 'text');
INSERT INTO crm_deals.deal (name, custom_fields)
VALUES ('Acme renewal', '{"region": "north"}'), ('Acme renewals', '{}');
SELECT FROM crm_deals.move_deal(1, 'won');
SELECT FROM crm_deals.move_deals('{2}', 'negotiation');
SELECT outcome FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event));
SELECT status, version - 1 FROM crm_deals.deal WHERE id = 1;
CREATE TEMPORARY TABLE incoming AS SELECT 'Umbrella' AS name, 'u1' AS external_id;
SELECT row_number, outcome FROM crm_deals.import_deals('incoming');
SELECT deal_id, deal_name FROM crm_deals.find_duplicates('Acme renewal') WHERE deal_id = 1;
SELECT FROM crm_deals.index_custom_field('deal', 'region');
SELECT sum(deal_count) FROM crm_deals.board(filter => '{"custom_fields": {"region": "north"}, "text": "acme"}');
SELECT crm_deals.merge_deals(1, 2);
SELECT count(*) FILTER (WHERE d.id = 1), count(*) FROM crm_deals.deal AS d;
SQL
is(value($node, 'SELECT v::text FROM crm_deals.verify() AS v', database => 'nowhere'), '', 'verify() finds nothing');

$node->stop;
done_testing();
