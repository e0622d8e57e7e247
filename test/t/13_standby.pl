# Section 5: after a failover to a standby a consumer goes on where it was. Twice the primary dies under load and its
# standby is promoted. With synchronous replication nothing that was committed or acknowledged may be missing; without
# it, the log of the promoted server decides. Before that, the standby answers every question but read_events.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   a minute of load before each failover
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use Delivery;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{SEED} || time ^ ($$ << 8);
my $seconds = $ENV{SOAK} ? 60 : 2;
note "SEED=$seed";
srand($seed);

my @settings = ('log_statement = none', 'max_connections = 100', 'max_prepared_transactions = 60',
	'deadlock_timeout = 50ms', 'shared_buffers = 32MB', 'fsync = off', 'jit = off', 'wal_receiver_status_interval = 1',
	'hot_standby_feedback = on');
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
$primary->append_conf('postgresql.conf', join("\n", @settings, ''));
$primary->start;
$primary->safe_psql('postgres', prepare_business());

sub standby_of
{
	my ($node, $name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$node->backup($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	$standby->start;
	return $standby;
}

my $delivery = Delivery->new(node => $primary);
my $session = $delivery->session('main');
my $dispatch =
  sqlstate_of($primary, "LOAD 'crm_deals'; SET crm_deals.notify = dispatch") eq '00000' ? 'dispatch' : 'off';

$delivery->subscribe($session, 'all', from_start => 1);
$delivery->subscribe($session, 'pair', from_start => 1);
$delivery->subscribe($session, 'leased', from_start => 1);
$delivery->subscribe($session, 'closed', kinds => [qw(won lost)]);
$delivery->subscribe($session, 'asleep', from_start => 1);    # reads nothing before the end

my $standby = standby_of($primary, 'standby');
$primary->append_conf('postgresql.conf', "synchronous_standby_names = '*'\n");
$primary->reload;
$primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");

# ----------
# What a standby answers
# ----------
{
	$delivery->written($session, "INSERT INTO crm_deals.deal (name, amount) VALUES ('Read on the standby', 7)");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
	is(value($standby, "SELECT name, amount FROM crm_deals.deal_overview ORDER BY id DESC LIMIT 1"),
		'Read on the standby|7', 'views answer on the standby');
	is(value($standby, "SELECT count(*) FROM crm_deals.open_task"), 0, 'open_task, too');
	like(value($standby, "SELECT page_key FROM crm_deals.board(sort => '-amount') ORDER BY ordinal LIMIT 1"),
		qr/"sort": "-amount"/, 'board() sorts there');
	is(value($standby, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify(), too');
	is(value($standby, "SELECT change, amount FROM crm_deals.pipeline_changes(now() - interval '1 hour', 'infinity',
		filter => '{\"text\": \"Read on the standby\"}') ORDER BY change"), "closing|7\ncreated|7",
		'pipeline_changes(), too');
	is(value($standby, "SELECT count(*) FROM crm_deals.check_move(1, 'won')"), 0, 'check_move(), too');
	is(value($standby, 'SELECT count(*) >= 0 FROM crm_deals.attainment()'), 't', 'attainment(), too');
	is(value($standby, 'SELECT sum(deal_count) FROM crm_deals.pipeline_trend(NULL)'),
		value($standby, "SELECT count(*) FROM crm_deals.deal WHERE status = 'open'"), 'pipeline_trend(), too');
	is(value($standby, 'SELECT count(*), sum(pending) > 0 FROM crm_deals.consumer_status'), '5|t',
		'consumer_status, too');
	fails_with($standby, '25006', "SELECT * FROM crm_deals.read_events('all')", 'read_events() is 25006');
	fails_with($standby, '25006', "SELECT crm_deals.ack_events('all', 1)", 'ack_events() is 25006');
	fails_with($standby, '25006', "SELECT crm_deals.subscribe('x')", 'subscribe() is 25006');
}

# ----------
# Failover, once with nothing lost, once with what the server lost
# ----------

sub load
{
	for my $number (1 .. 8)
	{
		$delivery->writer($number, notify => one('off', 'on', $dispatch), prepare => $number % 4 != 0, pause => 0.02,
			$number == 8 ? (hold => 1) : (), $number == 5 ? (statements => 40) : ());
	}
	$delivery->reader('all', alone => 1);
	$delivery->reader('pair') for 1 .. 2;
	$delivery->reader('leased', styles => ['lease']);
	$delivery->reader('closed', alone => 1, styles => ['transaction']);
	return;
}

# From mid-load on the one into mid-load on the other. A prepared transaction goes over and is committed there, an open
# one does not. Cut off, the standby misses the last moments.
sub fail_over
{
	my ($from, $to, %options) = @_;
	my ($prepared, $open) = map { $delivery->session($_) } qw(prepared open);
	my $half = $delivery->begin_written($prepared, "INSERT INTO crm_deals.deal (name) VALUES ('Prepared')",
		"INSERT INTO crm_deals.deal (name) VALUES ('Prepared, too')");
	my $gone = $delivery->begin_written($open, "INSERT INTO crm_deals.deal (name) VALUES ('Open')");
	my $promoted;

	$prepared->must("PREPARE TRANSACTION '$half-kept'");
	load();
	sleep $seconds;
	if ($options{cut_off})
	{
		$to->stop;
		sleep 0.7;
	}
	$delivery->aim(undef);
	$from->kill9;
	$_->die_now for $prepared, $open;
	$delivery->note_in_book('undone', $gone);
	$to->start if $options{cut_off};
	$to->promote;
	$to->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not promoted';
	$promoted = Delivery::now();
	$delivery->aim($to);
	sleep $seconds / 3;
	is(value($to, "SELECT count(*) FROM pg_prepared_xacts WHERE gid = '$half-kept'"), 1,
		'what was prepared is prepared on the promoted server');
	$delivery->note_in_book('ending', $half);
	$to->safe_psql('postgres', "COMMIT PREPARED '$half-kept'");
	$delivery->note_in_book('committed', $half);
	sleep $seconds / 3;
	$delivery->stop_workers('writer');
	$delivery->end_all_prepared;
	$delivery->stop_workers('reader');
	$delivery->drain;
	return $promoted;
}

fail_over($primary, $standby);
my $figures = $delivery->closed_books_ok('failover, synchronous');
cmp_ok($figures->{committed}, '>', 100 * $seconds, 'a good many events');

my $second = standby_of($standby, 'second');
$standby->wait_for_catchup($second, 'replay', $standby->lsn('write'));
my $promoted = fail_over($standby, $second, cut_off => 1);
$figures = $delivery->closed_books_ok('failover, asynchronous', lossy => 1, since => $promoted);
cmp_ok($figures->{vanished}, '>', 0, 'some that had been committed, and delivered, went with the old primary');
is(value($second, 'SELECT count(*) FILTER (WHERE pending <> 0) FROM crm_deals.consumer_status'), 0,
	'nothing is pending');

$second->stop;
done_testing();
