# Section 5: consumers get every event that is committed, no other event, none before its commit, and those of each deal
# in order; nobody holds up the events of others. First one thing at a time. Then sixteen writers and a dozen readers
# die, roll back, acknowledge in part and come back. Their books are compared with each other and with the log.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   five minutes of load
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
my $seconds = $ENV{SOAK} ? 300 : 10;
note "SEED=$seed";
srand($seed);

my $node = start_server('consumers', 'log_statement = none', 'max_connections = 120', 'max_prepared_transactions = 60',
	'autovacuum = on', 'autovacuum_naptime = 1', 'deadlock_timeout = 50ms');
$node->safe_psql('postgres', prepare_business());
$node->safe_psql('postgres', 'CREATE DATABASE other');
my $delivery = Delivery->new(node => $node);
my ($writer, $reader) = map { $delivery->session($_) } qw(writer reader);

my $new = "INSERT INTO crm_deals.deal (name) VALUES ('New')";
my $move = 'UPDATE crm_deals.deal SET stage_id = CASE stage_id WHEN 2 THEN 3 ELSE 2 END WHERE id =';

# What a consumer gets now, all acknowledged: the parts of exactly these transactions.
sub comes
{
	my ($consumer, $name, @transactions) = @_;
	my %tags;

	while (my @batch = $delivery->read_batch($reader, $consumer, one(1, 2, 1000)))
	{
		$tags{ $_->[1] }++ for @batch;
		$delivery->acknowledge($reader, $consumer, \@batch, scalar @batch, 1)->();
	}
	return is(join(' ', sort keys %tags), join(' ', sort map { /:/ ? $_ : "$_:1" } @transactions), $name);
}

$delivery->subscribe($reader, 'first', from_start => 1);
comes('first', 'a consumer from the start gets what is there', 'setup');
comes('first', '... once');

# ----------
# Nobody holds up the events of others
# ----------
{
	my ($long, $prepared, $idle, $elsewhere) = map { $delivery->session($_) } qw(long prepared idle elsewhere);
	my $early = $delivery->begin_written($long, $new, "$move 1", "$move 2");
	my $half = $delivery->begin_written($prepared, $new, "$move 3");
	my $never = $delivery->begin_written($idle, $new);

	$delivery->end_written($prepared, $half, "PREPARE TRANSACTION '$half'");
	$delivery->end_written($idle, $never, "PREPARE TRANSACTION '$never'");
	$idle->must('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$idle->must('SELECT count(*), pg_current_xact_id() FROM crm_deals.deal');
	$elsewhere->close_session;
	$elsewhere = $delivery->session('elsewhere', 'other');
	$elsewhere->must('BEGIN ISOLATION LEVEL SERIALIZABLE');
	$elsewhere->must('SELECT pg_current_xact_id()');
	comes('first', 'open and prepared transactions are not seen');
	for my $round (1 .. 30)
	{
		my @transactions = map { $delivery->written($writer, $new, "$move 4", "$move 4") } 1 .. one(1, 2, 3);

		comes('first', "round $round: others are delivered while a writer, "
			. "a prepared transaction and one in another database are open", @transactions) or last;
	}
	$delivery->end_written($long, $early, 'COMMIT');
	my $late = $delivery->written($writer, $new);
	comes('first', 'the long transaction is delivered when it commits', $early, $late);
	$idle->must('ROLLBACK');
	$delivery->end_written($idle, $never, "ROLLBACK PREPARED '$never'");
	comes('first', 'ROLLBACK PREPARED delivers nothing');
	$delivery->end_written($writer, $half, "COMMIT PREPARED '$half'");
	comes('first', 'COMMIT PREPARED by another session delivers', $half);
	$elsewhere->must('COMMIT');
	comes('first', 'nothing comes twice');
	$_->close_session for $long, $prepared, $idle, $elsewhere;
}

# ----------
# Orders of commit, batches that end in between
# ----------
{
	my @sessions = map { $delivery->session("open$_") } 1 .. 24;
	my @transactions = map { $delivery->begin_written($sessions[$_], $new, $new, "$move " . (10 + $_)) }
	  0 .. $#sessions;

	for my $number (sort { rand() <=> 0.5 } 0 .. $#sessions)
	{
		my $commits = chance(0.8);

		$delivery->end_written($sessions[$number], $transactions[$number], $commits ? 'COMMIT' : 'ROLLBACK');
		comes('first', "open transaction $number ends with " . ($commits ? 'COMMIT' : 'ROLLBACK'),
			$commits ? $transactions[$number] : ()) or last;
	}

	# of twelve, some are read; then older and younger ones commit; then the rest is read
	for my $round (1 .. 6)
	{
		my @open = map { $delivery->begin_written($sessions[$_], $new, "$move " . (10 + $_)) } 0 .. 5;
		my @all = map { $delivery->written($writer, $new, $new, $new) } 1 .. 4;
		my (@batch, %came, $left);

		for my $number (sort { rand() <=> 0.5 } 0 .. 5)
		{
			@batch = $delivery->read_batch($reader, 'first', one(1, 2, 3));
			$came{ $_->[1] }++ for @batch;
			$delivery->acknowledge($reader, 'first', \@batch, scalar @batch, 1)->() if @batch;
			$delivery->end_written($sessions[$number], $open[$number], 'COMMIT');
		}
		while (@batch = $delivery->read_batch($reader, 'first', one(1, 2, 3)))
		{
			$came{ $_->[1] }++ for @batch;
			$delivery->acknowledge($reader, 'first', \@batch, scalar @batch, 1)->();
		}
		is_deeply(\%came, { map({ ("$_:1" => 2) } @open), map({ ("$_:1" => 3) } @all) },
			"batches with commits in between, round $round: each event once") or last;
	}
	$_->close_session for @sessions;
}

# ----------
# Subtransactions
# ----------
{
	my $session = $delivery->session('savepoints');
	my $name = 'savepoints';
	my (@kept, %wrote);

	$session->must('BEGIN');
	for my $part (1 .. 100)    # more than a snapshot lists
	{
		$session->must("SAVEPOINT s");
		$session->must("SET LOCAL crm_deals.actor = '$name:$part'");
		$session->must($part % 2 ? $new : "$move 40");
		if ($part % 3)
		{
			$session->must('RELEASE s');
			push @kept, "$name:$part";
		}
		else
		{
			$session->must('ROLLBACK TO s');
			$delivery->note_in_book('void', "$name:$part");
		}
		if ($part % 25 == 0)
		{
			my $other = $delivery->written($writer, $new);
			comes('first', "after $part savepoints of another transaction: what has committed since", $other);
		}
	}
	$delivery->note_in_book('wrote', $name, join ',', map { "$_=1" } @kept);
	$delivery->note_in_book('ending', $name);
	$session->must('COMMIT');
	$delivery->note_in_book('committed', $name);
	comes('first', 'released savepoints come, those rolled back do not', @kept);
	$session->close_session;
}

# ----------
# The reader's own transaction
# ----------
{
	my $own = $delivery->begin_written($reader, $new);
	my $other = $delivery->written($writer, $new);

	is_deeply([ map { $_->[1] } $delivery->read_batch($reader, 'first', 100) ], ["$other:1"],
		'own events are not delivered before they are committed');
	$delivery->end_written($reader, $own, 'COMMIT');
	comes('first', '... and are, once they are', $own, $other);

	$delivery->written($writer, $new) for 1 .. 3;
	$reader->must('BEGIN');
	my @batch = $delivery->read_batch($reader, 'first', 2);
	my @others = $delivery->read_batch($writer, 'first', 2);
	is(scalar @others, 0, 'a batch is the reading transaction\'s');
	$reader->must('SAVEPOINT s');
	$delivery->acknowledge($reader, 'first', \@batch, 1, 1);
	$reader->must('ROLLBACK TO s');
	$reader->must('COMMIT');
	is_deeply([ map { $_->[0] } $delivery->read_batch($reader, 'first', 2) ], [ map { $_->[0] } @batch ],
		'an acknowledgement that is rolled back is none: the events come again');
	$reader->must('BEGIN');
	my @more = $delivery->read_batch($reader, 'first', 3);
	is(scalar @more, 3, 'unacknowledged ones first, then new ones');
	$delivery->acknowledge($reader, 'first', \@more, 3, 1);
	$reader->die_now;
	$reader = $delivery->session('reader');
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'reader'");
	is_deeply([ map { $_->[0] } $delivery->read_batch($reader, 'first', 3) ], [ map { $_->[0] } @more ],
		'a reader that dies has read nothing');
	my @leased = $delivery->read_batch($reader, 'first', 1, '1 hour');
	is(scalar $delivery->read_batch($writer, 'first', 10), 0, 'a lease holds for all');
	$node->safe_psql('postgres',
		"UPDATE crm_deals.event_consumer SET leased_until = leased_until - interval '1 hour' WHERE consumer = 'first'");
	is_deeply([ map { $_->[0] } $delivery->read_batch($reader, 'first', 3) ], [ map { $_->[0] } @more ],
		'... until it expires');
	$delivery->acknowledge($reader, 'first', \@more, 3, 1)->();
	comes('first', 'that was all');
}

# ----------
# Subscribing in the middle
# ----------
{
	my ($long, $prepared, $subscriber) = map { $delivery->session($_) } qw(long prepared subscriber);
	my $before = $delivery->written($writer, $new);
	my $open = $delivery->begin_written($long, $new);
	my $half = $delivery->begin_written($prepared, $new);

	$delivery->end_written($prepared, $half, "PREPARE TRANSACTION '$half'");
	$delivery->subscribe($reader, 'middle');
	my $after = $delivery->written($writer, $new);
	comes('middle', 'a consumer gets what is committed after it subscribed', $after);
	$delivery->end_written($long, $open, 'COMMIT');
	$delivery->end_written($prepared, $half, "COMMIT PREPARED '$half'");
	comes('middle', '... also of transactions that began before', $open, $half);

	$subscriber->must('BEGIN');
	$delivery->subscribe($subscriber, 'slow');
	my $meanwhile = $delivery->written($writer, $new);
	$subscriber->must('COMMIT');
	$after = $delivery->written($writer, $new);
	my %came = map { $_->[1] => 1 } $delivery->read_batch($reader, 'slow', 100);
	ok($came{"$after:1"}, 'a subscription that commits late');
	delete $came{"$meanwhile:1"};
	is_deeply([ keys %came ], ["$after:1"], '... gets nothing from before');
	$_->close_session for $long, $prepared, $subscriber;
}

# ----------
# All at once
# ----------

$delivery->subscribe($reader, 'all', from_start => 1);
$delivery->subscribe($reader, 'pair', from_start => 1);
$delivery->subscribe($reader, 'leased');
$delivery->subscribe($reader, 'closed', kinds => [qw(won lost abandoned reopened)], from_start => 1);
$delivery->subscribe($reader, 'moves', kinds => [qw(created stage_changed)]);
$delivery->subscribe($reader, 'gone', kinds => ['deleted']);
$delivery->subscribe($reader, 'imports', include_imports => 1, from_start => 1);
$_->close_session for $reader, $writer;

my $dispatch = sqlstate_of($node, "LOAD 'crm_deals'; SET crm_deals.notify = dispatch") eq '00000' ? 'dispatch' : 'off';
for my $number (1 .. 16)
{
	$delivery->writer($number, notify => one('off', 'on', $dispatch, $dispatch), prepare => $number % 4 != 0,
		pause => 0.06, $number > 13 ? (hold => 3) : (), $number == 3 ? (import => 1) : (),
		$number == 5 ? (statements => 60) : ());
}
$delivery->reader('all', alone => 1);
$delivery->reader('first', alone => 1, styles => ['plain']);
$delivery->reader('pair') for 1 .. 2;
$delivery->reader('leased', styles => ['lease']) for 1 .. 2;
$delivery->reader('closed', alone => 1, styles => ['transaction']);
$delivery->reader('moves', pause => 0.3);
$delivery->reader('imports', alone => 1);

# What lasts all along, here and in another database; whoever is killed; who comes late.
my ($chief, $snapshot, $elsewhere) = ($delivery->session('chief'), $delivery->session('snapshot'),
	$delivery->session('elsewhere', 'other'));
for my $session ($snapshot, $elsewhere)
{
	$session->must('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$session->must('SELECT pg_current_xact_id()');
}
my $until = time + $seconds;
my $killed = 0;
while (time < $until)
{
	sleep 0.1 + rand 0.4;
	my @pids = $chief->must(
		"SELECT pid FROM pg_stat_activity WHERE application_name ~ '^(writer|reader)' ORDER BY pid");
	$killed += $chief->must('SELECT pg_terminate_backend(' . one(@pids) . ')::int') if @pids && chance(0.5);
	if (!$delivery->{consumers}{late} && time > $until - $seconds / 2)
	{
		$delivery->subscribe($chief, 'late');
		$delivery->subscribe($chief, 'late_from_start', from_start => 1);
		$delivery->reader($_) for qw(late late_from_start);
	}
}
$delivery->stop_workers('writer');
$delivery->end_all_prepared;
my $behind = $chief->must('SELECT sum(pending) FROM crm_deals.consumer_status WHERE consumer <> \'gone\'');
$delivery->stop_workers('reader');
$delivery->drain;
is($chief->must('SELECT sum(pending) FROM crm_deals.consumer_status'), 0,
	'nothing is pending, while transactions of both databases are open');
$_->close_session for $chief, $snapshot, $elsewhere;

my $figures = $delivery->closed_books_ok('sixteen writers');
cmp_ok($figures->{committed}, '>', 100 * $seconds, 'a good many events');
cmp_ok($figures->{repeated}, '>', 0, 'some came again');
note "notify = on, off, $dispatch; $killed sessions were killed; $behind events were pending when the writers stopped";

$node->stop;
done_testing();
