# Section 5: after a crash a consumer goes on where it was. While eight writers and six readers work, the server is
# killed again and again: by SIGKILL, by an immediate stop, or by SIGKILL of a backend that was at work. Committed
# events are delivered, acknowledged events do not come again, and prepared transactions can still be committed.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   a hundred crashes
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use Delivery;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{SEED} || time ^ ($$ << 8);
my $crashes = $ENV{SOAK} ? 100 : 6;
note "SEED=$seed";
srand($seed);

my $node = start_server('crash', 'log_statement = none', 'max_connections = 100', 'max_prepared_transactions = 60',
	'restart_after_crash = on', 'deadlock_timeout = 50ms');
$node->safe_psql('postgres', prepare_business());
my $delivery = Delivery->new(node => $node);
my $session = $delivery->session('main');
my $dispatch = sqlstate_of($node, "LOAD 'crm_deals'; SET crm_deals.notify = dispatch") eq '00000' ? 'dispatch' : 'off';

$delivery->subscribe($session, 'all', from_start => 1);
$delivery->subscribe($session, 'pair', from_start => 1);
$delivery->subscribe($session, 'leased', from_start => 1);
$delivery->subscribe($session, 'closed', kinds => [qw(won lost)]);
$delivery->subscribe($session, 'asleep', from_start => 1);    # reads nothing before the end
$session->close_session;

# The server's last moment in one way or another, then its return.
sub crash
{
	my ($how) = @_;
	my $backend;

	if ($how eq 'immediate')
	{
		$node->stop('immediate');
	}
	elsif ($how eq 'postmaster')
	{
		$node->kill9;
	}
	else
	{
		# the postmaster ends all others and starts them anew by itself
		my ($status, $pid) = $node->psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE application_name ~ '^(writer|reader)'
			 ORDER BY state = 'active' DESC, random() LIMIT 1");

		kill 'KILL', $pid if $status == 0 && $pid;
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = @{[ $pid || 0 ]}");
		return;
	}
	# the children of a killed postmaster take a moment to notice
	my $until = time + 60;
	sleep 0.1 while system_log('pg_ctl', '-w', '-s', '-D', $node->data_dir, '-l', $node->logfile, '-o',
		'--cluster-name=crash', 'start') != 0 && time < $until;
	$node->_update_pid(1);
	return;
}

# After a crash the ids of transactions that wrote nothing are used again. Events of the new transactions with these ids
# are delivered, and so are those of a transaction that was prepared before.
for my $round (1 .. 2)
{
	my ($prepared, $reader, @open) = map { $delivery->session($_) } qw(prepared reader), ('open') x 20;
	my $half = $delivery->begin_written($prepared, "INSERT INTO crm_deals.deal (name) VALUES ('Prepared')");

	$prepared->must("PREPARE TRANSACTION '$half-kept'");
	$delivery->written($prepared, "INSERT INTO crm_deals.deal (name) VALUES ('After it')");
	$reader->must('BEGIN');
	$reader->must('SELECT pg_current_xact_id()');
	for my $open (@open)
	{
		$open->must('BEGIN');
		$open->must('SELECT pg_current_xact_id()');
	}
	my @batch = $delivery->read_batch($reader, 'all', 1000);
	my $acked = $delivery->acknowledge($reader, 'all', \@batch, scalar @batch, 1);
	$reader->must('COMMIT');
	$acked->();
	my $next = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
	crash('postmaster');
	$_->die_now for $prepared, $reader, @open;
	cmp_ok($node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())'), '<=', $next,
		'transaction ids are handed out again');
	($prepared, $reader) = map { $delivery->session($_) } qw(prepared reader);
	if ($round == 2)
	{
		$reader->must('SELECT pg_current_xact_id()') for 1 .. 30;
	}
	for (1 .. 25)
	{
		$delivery->written($prepared, "INSERT INTO crm_deals.deal (name) VALUES ('After the crash')");
		@batch = $delivery->read_batch($reader, 'all', 1000)
		  and $delivery->acknowledge($reader, 'all', \@batch, scalar @batch, 1)->();
	}
	$delivery->end_written($prepared, $half, "COMMIT PREPARED '$half-kept'");
	is_deeply([ map { $_->[1] } $delivery->read_batch($reader, 'all', 1000) ], ["$half:1"],
		'what was prepared before the crash is delivered when it commits');
	$_->close_session for $prepared, $reader;
}

for my $number (1 .. 8)
{
	$delivery->writer($number, notify => one('off', 'on', $dispatch), prepare => $number % 4 != 0, pause => 0.02,
		$number == 8 ? (hold => 1) : (), $number == 5 ? (statements => 40) : ());
}
$delivery->reader('all', alone => 1);
$delivery->reader('pair') for 1 .. 2;
$delivery->reader('leased', styles => ['lease']);
$delivery->reader('closed', alone => 1, styles => ['transaction']);

my %crashed;
for my $number (1 .. $crashes)
{
	sleep 0.3 + rand($ENV{SOAK} ? 3 : 0.8);
	my $how = (qw(postmaster backend immediate))[ $number % 3 ];
	crash($how);
	$crashed{$how}++;
}
sleep 0.5;
$delivery->stop_workers('writer');
$delivery->end_all_prepared;
$delivery->stop_workers('reader');
crash('immediate');
$delivery->drain;

my $figures = $delivery->closed_books_ok("@{[ $crashes + 3 ]} crashes", proof => !$ENV{SOAK});
cmp_ok($figures->{committed}, '>', 50 * $crashes, 'a good many events');
cmp_ok($figures->{unknown}, '>', 0, 'some clients could not know how their transaction had ended');
note join ', ', map { "$_: $crashed{$_}" } sort keys %crashed;
is($node->safe_psql('postgres', 'SELECT count(*) FILTER (WHERE pending <> 0) FROM crm_deals.consumer_status'), 0,
	'nothing is pending');

$node->stop;
done_testing();
