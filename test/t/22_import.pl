# What listeners and consumers hear of an import: everybody hears the doorbell, and only consumers that include imports
# get the events.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('import');
install($node);
$node->safe_psql('postgres', <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
CREATE TABLE source AS
    SELECT 'd' || n AS external_id, 'Deal ' || n AS name, CASE n % 2 WHEN 0 THEN 'won' ELSE 'lead' END AS stage
    FROM generate_series(1, 300) AS n;
CREATE TABLE history AS
    SELECT 'd' || n AS external_id, s.stage, timestamptz '2020-01-01' + s.place * interval '1 day' AS entered_at
FROM generate_series(2, 300, 2) AS n, (VALUES (1, 'lead'), (2, 'won')) AS s (place, stage);
SQL

# The channels that a session hears of while it runs a script.
sub heard
{
	my ($script) = @_;
	my ($stdout, $stderr);

	$node->psql('postgres',
		join('', map { "LISTEN $_;\n" } 'crm_deals',
			map { "crm_deals_$_" } qw(stage_changed won lost abandoned reopened)) . $script,
		stdout => \$stdout, stderr => \$stderr);
	is($stderr, '', 'no error');
	return join ' ', sort $stdout =~ /^Asynchronous notification "([^"]*)"/mg;
}

for my $notify (qw(on dispatch))
{
	my $begin = "SET crm_deals.notify = $notify;";

	$node->safe_psql('postgres', 'DELETE FROM crm_deals.deal');
	is(heard("$begin SELECT count(*) FROM crm_deals.import_deals('source', 'history');"), '',
		"$notify: without consumers an import is silent");
	is(heard("$begin UPDATE source SET stage = 'lead'; SELECT count(*) FROM crm_deals.import_deals('source');"), '',
		"$notify: changes, too");
	$node->safe_psql('postgres',
		"UPDATE source SET stage = CASE right(external_id, 1)::integer % 2 WHEN 0 THEN 'won' ELSE 'lead' END");
}

$node->safe_psql('postgres', q{
	DELETE FROM crm_deals.deal;
	SELECT crm_deals.subscribe('live');
	SELECT crm_deals.subscribe('wins', kinds => '{won}');
	SELECT crm_deals.subscribe('all', include_imports => true);
	SELECT crm_deals.subscribe('all wins', kinds => '{won}', include_imports => true);});
is(heard(q{SELECT count(*) FROM crm_deals.import_deals('source', 'history');}), 'crm_deals',
	'with consumers it rings the doorbell, once');
$node->safe_psql('postgres', q{INSERT INTO crm_deals.deal (name) VALUES ('live')});

# Of each consumer how many events it gets, and of which kinds.
for my $case ([ 'live', '1 created' ], [ 'wins', '0' ], [ 'all', '451 created,won' ], [ 'all wins', '150 won' ])
{
	my ($consumer, $expected) = @$case;

	is(value($node,
			"SELECT concat_ws(' ', count(*), string_agg(DISTINCT kind, ','))
			 FROM crm_deals.read_events('$consumer', 1000)"),
		$expected, "consumer $consumer");
}
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), '0', 'no rule is broken');

$node->stop;
done_testing();
