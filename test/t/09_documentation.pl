# The examples in README.md run, and the reference names everything that exists.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub slurp { my ($file) = @_; open my $in, '<', $file or die "$file: $!"; local $/; return scalar <$in>; }

my $readme = slurp('README.md');
my $reference = slurp('doc/crm_deals.md');

my $node = PostgreSQL::Test::Cluster->new('documentation');
$node->init;
$node->append_conf('postgresql.conf', 'fsync = off');
$node->start;

# Runs the SQL of a part of the README in a database of its own, as a reader
# would paste it; returns what psql printed.
sub run_snippets
{
	my ($database, $part) = @_;
	my $sql = join("\n", $part =~ /^```sql\n(.*?)^```/msg);
	$sql =~ s/(FROM STDIN[^;]*;)/$1\n\\./g;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	my ($stdout, $stderr);
	$node->psql($database, "\\set VERBOSITY verbose\n$sql",
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
	return ($stdout, $stderr, $sql);
}

sub errors_in { return join ' ', $_[0] =~ /ERROR:\s+(\w{5}):/g; }

$node->safe_psql('postgres', 'CREATE ROLE sales_app');

my ($tour, $hosts) = $readme =~ /^(.*?)^### Beside your own tables\n(.*)^## Settings/ms;
ok(defined $hosts, 'README has a tour and a part on host tables');

my ($stdout, $stderr, $sql) = run_snippets('tour', $tour);
is(errors_in($stderr), join(' ', $sql =~ /-- ERROR (\w{5})/g),
	'README: the tour fails where it says so, and nowhere else') or diag $stderr;
like($stdout, qr/notification "crm_deals_won" with payload "\{"event": "deal\.won"/,
	'README: the listener hears the won deal');
is($node->safe_psql('tour', 'SELECT count(*) FROM crm_deals.verify()'), '0',
	'README: no rule is broken after the tour');

is($node->safe_psql('tour', 'SELECT pending FROM crm_deals.consumer_status'), '0', 'README: the consumer has read all');

my $install = "```sql\nCREATE EXTENSION crm_deals CASCADE;\n```\n";
($stdout, $stderr) = run_snippets('hosts', $install . $hosts);
is(errors_in($stderr), '', 'README: the part on host tables runs') or diag $stderr;
like($stdout, qr/^Nordvik: order intake\|Nordvik Timber\|Tom Hendriks\|Lead\|/m,
	'README: labels come from the host tables');
like($stdout, qr/^Nordvik Timber\|Ingrid\|Solberg$/m,
	'README: a lead finds the customer of its company, and becomes a contact of it');

# The reference against the catalogs.
my @functions = split /\n/, $node->safe_psql('tour', q{
	SELECT DISTINCT p.proname FROM pg_proc AS p
	JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	WHERE p.pronamespace = 'crm_deals'::regnamespace ORDER BY 1});
for my $function (@functions)
{
	like($reference, qr/^###.*\b\Q$function\E\(/m, "reference: function $function");
}
for my $function ($reference =~ /^### (\w+)\(/mg)
{
	ok((grep { $_ eq $function } @functions), "reference: $function() exists");
}

my @columns = split /\n/, $node->safe_psql('tour', q{
	SELECT c.relname || '.' || a.attname FROM pg_class AS c
	JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r'
	AND c.relname NOT IN ('event_consumer', 'deal_duplicate', 'deal_alias') ORDER BY 1});
my @missing = grep { my ($column) = /\.(.*)/; $column ne 'id' && $reference !~ /`\Q$column\E`/ } @columns;
is("@missing", '', 'reference: names every column');

my @settings = split /\n/, $node->safe_psql('tour', q{
	LOAD 'crm_deals'; SELECT name || '=' || boot_val FROM pg_settings WHERE name LIKE 'crm\_deals.%' ORDER BY 1});
for (@settings)
{
	my ($name, $default) = /^(.*?)=(.*)$/;
	like($reference, qr/^\| `\Q$name\E` \| `?\Q$default\E`? *\|/m, "reference: setting $name with its default");
}

my @constraints = $reference =~ /\| 23514 \|(.*?)\|/g;
my %known = map { $_ => 1 } join(' ', @constraints) =~ /`(\w+)`/g;
my @undocumented = grep { !$known{$_} } split /\n/, $node->safe_psql('tour', q{
	SELECT conname FROM pg_constraint WHERE conrelid = 'crm_deals.deal'::regclass AND contype = 'c'});
is("@undocumented", '', 'reference: names every check of deal');

my $control = slurp('crm_deals.control');
my ($version) = $control =~ /default_version = '(.*)'/;
my @versions = slurp('META.json') =~ /"version": "([^"]+)"/g;
is("@versions", "$version $version 1.0.0",
	'META.json has the version of the control file, twice, and that of its format');

$node->stop;
done_testing();
