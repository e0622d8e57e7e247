# The sides that the benchmark compares do the same: PL/pgSQL keeps the same rules and writes the same log as the
# extension. So do the statements of bare PostgreSQL, as far as the benchmark runs them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sql = "$FindBin::RealBin/../../bench/sql";
my $deals = 64;
my $node = start_server('sides');

# Without the ids of events, and moments only by whether they are there and in order.
my $content = <<'END';
SELECT d.id, d.name, d.stage_id, d.pipeline_id, d.status, d.amount, d.currency, d.probability,
       d.probability_overridden, d.notes IS NULL, d.version, d.stage_entered_at <= d.updated_at, d.closed_at,
       d.last_open_stage_id
FROM crm_deals.deal AS d ORDER BY d.id;
SELECT e.deal_id, e.version, e.kind, e.actor, e.session_user_name, e.origin, e.pipeline_id, e.from_stage_id,
       e.to_stage_id, e.from_status, e.status, e.amount, e.currency, e.probability, e.expected_close_date, e.owner,
       e.lost_reason,
       (SELECT jsonb_object_agg(c.key, CASE WHEN c.key ~ '_at$|notes'
                                            THEN to_jsonb(c.value -> 0 = 'null') ELSE c.value END)
        FROM jsonb_each(e.changes) AS c),
       e.occurred_at = d.updated_at OR e.version < d.version
FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id ORDER BY e.deal_id, e.version;
END

sub run_file
{
	my ($database, $file, %variables) = @_;
	my @variables = map { ('-v', "$_=$variables{$_}") } sort keys %variables;
	my @psql = ('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database));
	my ($stdout, $stderr) = run_command([ @psql, @variables, '-f', "$sql/$file" ]);

	die "$file in $database: $stderr" if $stderr =~ /ERROR|FATAL/;
	return $stdout;
}

sub pgbench
{
	my ($database, $work, %variables) = @_;
	my @variables = map { ('-D', "$_=$variables{$_}") } sort keys %variables;

	my @pgbench = ('pgbench', '-n', '-M', 'prepared', '-t', 20, '-f', "$sql/$work");

	$node->command_ok([ @pgbench, @variables, $database ], "$work in $database");
	return;
}

sub statements
{
	my ($work, $side) = @_;

	return 'statements/' . $work . ($side eq 'bare' ? '.bare' : '') . '.sql';
}

sub make_sides
{
	my ($deals, %names) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $names{ours}");
	run_file($names{ours}, 'sides/ours.sql', deals => $deals);
	for my $side ('bare', 'by_hand')
	{
		$node->safe_psql('postgres', "CREATE DATABASE $names{$side} TEMPLATE $names{ours}");
		run_file($names{$side}, 'sides/bare.sql');
	}
	run_file($names{by_hand}, $_) for 'sides/by_hand.sql', 'sides/by_hand_indexes.sql';
	return;
}

# verify() is the extension's; tables without its triggers are as good for it.
sub broken_rules
{
	my ($database) = @_;

	# Only our side keeps the names of deals beside them.
	return $node->safe_psql($database, 'CREATE EXTENSION IF NOT EXISTS crm_deals;
		SELECT FROM crm_deals.rebuild_duplicates(); SELECT * FROM crm_deals.verify()') =~ s/^\s+//r;
}

make_sides($deals, ours => 'ours', bare => 'bare', by_hand => 'by_hand');

# What the benchmark runs
my %left;
for my $side ('ours', 'bare', 'by_hand')
{
	local $ENV{PGOPTIONS} = '-c crm_deals.notify=off';
	my %choice = (deals => $deals, own => $deals, place => 0);
	pgbench($side, statements('move', $side), %choice, once => 1);
	run_file($side, statements('bulk_move', $side), first => 1, last => $deals / 2);
	$left{$side} = $node->safe_psql($side, $content);
	pgbench($side, statements($_, $side), %choice, once => 0) for 'move', 'notes', 'insert';
	my $written = 84 + 20 + 32 + 40;
	is($node->safe_psql($side, 'SELECT count(*), sum(version) FROM crm_deals.deal'),
		"84|$written", "$side: each was written");
	is($node->safe_psql($side, 'SELECT count(*) FROM crm_deals.deal_event'), $written, "$side: and logged");
	is(broken_rules($side), '', "$side: no rule is broken");
}
is($left{bare}, $left{ours}, 'bare: moves leave the same deals and the same log');
is($left{by_hand}, $left{ours}, 'by hand: moves leave the same deals and the same log');

# COPY, into empty tables.
make_sides(0, ours => 'copy_ours', bare => 'copy_bare', by_hand => 'copy_by_hand');
my %files = map { ($_ => PostgreSQL::Test::Utils::tempdir() . "/$_.csv") } 'plain', 'derived';
run_file('copy_ours', 'statements/copy_source.sql', first => 1, last => $deals, %files);
for my $side ('ours', 'bare', 'by_hand')
{
	run_file("copy_$side", statements('copy', $side), %files);
	$left{$side} = $node->safe_psql("copy_$side", $content);
	is(broken_rules("copy_$side"), '', "$side: no rule is broken by COPY");
}
is($left{bare}, $left{ours}, 'bare: COPY leaves the same deals and the same log');
is($left{by_hand}, $left{ours}, 'by hand: COPY leaves the same deals and the same log');

# The rules, statement by statement.
my %outcome = map { ($_ => run_file("copy_$_", 'rules.sql')) } 'ours', 'by_hand';
is($outcome{by_hand}, $outcome{ours}, 'by hand: the same rules, refusals, deals and log');
like($outcome{ours}, qr/^23514 $_\|/m, "$_ was tried")
  for qw(deal_gate deal_required_fields deal_lost_reason deal_status_matches_stage deal_stage_in_pipeline deal_closed_at
  deal_immutable);
is(broken_rules('copy_by_hand'), '', 'by hand: no rule is broken in the end');

# NOTIFY, once the transaction has committed: on the same channels, with the same keys.
sub heard
{
	my ($database) = @_;
	my $heard = $node->safe_psql($database, <<'END');
INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (5001, 'Heard', 102);
LISTEN crm_deals_stage_changed;
LISTEN crm_deals_won;
UPDATE crm_deals.deal SET stage_id = 103 WHERE id = 5001;
UPDATE crm_deals.deal SET notes = 'won' WHERE id = 5001;
END
	my @messages;

	while ($heard =~ /^Asynchronous notification "(\w+)" with payload "(.*)" received/mg)
	{
		my ($channel, $payload) = ($1, $2);
		push @messages, join ' ', $channel, $payload =~ /("event": "[^"]*")/, sort $payload =~ /"(\w+)":/g;
	}
	return join "\n", sort @messages;
}

my $heard = heard('copy_ours');
is(scalar(split /\n/, $heard), 2, 'the move to won is heard on two channels');
is(heard('copy_by_hand'), $heard, 'by hand: the same notifications');

# Duplicates, flagged: the same pairs.
run_file('copy_ours', 'sides/ours_flag.sql');
run_file('copy_by_hand', 'sides/by_hand_flag.sql');
my %flags = map { ($_ => $node->safe_psql("copy_$_", <<'END')) } 'ours', 'by_hand';
INSERT INTO crm_deals.deal (id, name, stage_id)
SELECT 6000 + n, 'Elbe Yards: retrofit of the northern quay, lot ' || n, 101 FROM generate_series(1, 12) AS n;
SELECT least(deal_id, other_deal_id), greatest(deal_id, other_deal_id), similarity
FROM crm_deals.deal_duplicate WHERE deal_id > 6000 ORDER BY 1, 2;
END
isnt($flags{ours}, '', 'similar names are flagged');
is($flags{by_hand}, $flags{ours}, 'by hand: the same duplicates');

$node->stop;
done_testing();
