# The life of a deal from Node.js, as examples/orm shows it: through pg, and through Drizzle, which writes whole rows;
# on our own tables, and on a host's tables with keys of type uuid; by a role of level write.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $examples = "$FindBin::RealBin/../../examples";
my $version = `node --version 2>/dev/null` // '';

plan skip_all => 'Node.js (Debian: nodejs) is missing' if $version !~ /^v(\d+)\.(\d+)/;
plan skip_all => "Node.js 18.11 or later is missing: this is $version" if $1 < 18 || $1 == 18 && $2 < 11;
plan skip_all => 'the npm packages are missing: run "npm ci" in examples/orm'
  if !-d "$examples/orm/node_modules/drizzle-orm";

my $node = start_server('orm');
my %expected = (
	pg => {
		missing => ['required_fields'],
		refused => [ '23514', 'deal_required_fields' ],
		won => [ 'won', 'won', JSON::PP::true, 5 ],
		log => [ map { "$_ anna" } qw(created updated stage_changed stage_changed won) ],
		heard => ['crm_deals_won'],
		broken => 0,
	},
	drizzle => {
		unchanged => 1,
		refused => [ '23514', 'deal_gate' ],
		won => [ 'won', '100', JSON::PP::true, 5 ],
		stale => 'UD001',
		contradiction => [ '23514', 'deal_status_matches_stage' ],
		log => [ map { "$_ anna" } qw(created updated stage_changed stage_changed won) ],
		broken => 0,
	});

sub run_example
{
	my ($database, $way) = @_;
	my ($stdout, $stderr) = ('', '');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'sales', PGDATABASE => $database);

	IPC::Run::run([ 'node', "$examples/orm/lifecycle.js", $way, $way ], '>', \$stdout, '2>', \$stderr,
		IPC::Run::timeout(60)) or return diag $stderr;
	return decode_json($stdout);
}

$node->safe_psql('postgres', 'CREATE ROLE sales LOGIN');
for my $tables ('own_tables', 'host_tables')
{
	$node->safe_psql('postgres', "CREATE DATABASE $tables");
	$node->safe_psql($tables, slurp_file("$examples/lifecycle/$_.sql")) for $tables, 'setup';
	is_deeply(run_example($tables, $_), $expected{$_}, "$_: the life of a deal, $tables") for 'pg', 'drizzle';
	is($node->safe_psql($tables, 'SELECT count(*) FROM crm_deals.deal'), '2', "two deals, $tables");
	is($node->safe_psql($tables, 'SELECT count(*) FROM crm_deals.verify()'), '0', "no rule is broken, $tables");
	is($node->safe_psql($tables, q{SELECT string_agg(DISTINCT session_user_name, ' ') FROM crm_deals.deal_event}),
		'sales', "by a role of level write, $tables");
}
$node->stop;
done_testing();
