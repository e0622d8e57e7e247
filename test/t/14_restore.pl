# Section 5: after dump and restore a consumer goes on where it was, whatever the transaction ids of the new cluster
# are. The same business goes from cluster to cluster, by every form of dump. When it is dumped, some events are unread,
# some are delivered but not acknowledged, some are leased, and some belong to open transactions. In each cluster there
# is work, and then the books, which go along, are compared.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   half a minute of load in each place
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
my $seconds = $ENV{SOAK} ? 30 : 0.6;
note "SEED=$seed";
srand($seed);

my $folder = PostgreSQL::Test::Utils::tempdir('dumps');
my $insert = "INSERT INTO crm_deals.deal (name) VALUES ('New')";

sub cluster
{
	my ($name, %from) = @_;
	my $node = start_server($name, 'log_statement = none', 'max_connections = 60', 'max_prepared_transactions = 60',
		'deadlock_timeout = 50ms');

	start_ids_from($node, %from) if %from;
	return $node;
}

# The cluster's next transaction gets this id, of this epoch.
sub start_ids_from
{
	my ($node, %from) = @_;
	my $file = sprintf '%s/pg_xact/%04X', $node->data_dir, $from{id} / 2**20;    # the state of a million

	$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'what is there is older than any id')
	  if $from{epoch};
	$node->stop;
	append_to_file($file, '');
	truncate $file, 32 * 8192 or die "$file: $!" if -s $file < 32 * 8192;
	system_or_bail('pg_resetwal', '-x', $from{id}, '-e', $from{epoch} // 0, '-D', $node->data_dir);
	$node->start;
	return;
}

sub next_id { my ($node) = @_; return value($node, 'SELECT pg_snapshot_xmax(pg_current_snapshot())') }

my %cluster = (
	first => cluster('first', id => 900_000),
	lower => cluster('lower'),
	higher => cluster('higher', id => 2**32 - 5000, epoch => 3),    # soon 0 of the next epoch
);
my $databases = 0;
my ($node, $database) = ($cluster{first}, 'crm0');
my $dispatch = sqlstate_of($node, "LOAD 'crm_deals'; SET crm_deals.notify = dispatch") eq '00000' ? 'dispatch' : 'off';

$node->safe_psql('postgres', 'CREATE DATABASE crm0');
$node->safe_psql($database, prepare_business());
my $delivery = Delivery->new(node => $node, database => $database);
my $session = $delivery->session('main');
$delivery->subscribe($session, 'all', from_start => 1);
$delivery->subscribe($session, 'pair', from_start => 1);
$delivery->subscribe($session, 'leased', from_start => 1);
$delivery->subscribe($session, 'closed', kinds => [qw(won lost)]);
$delivery->subscribe($session, 'partly', from_start => 1);
$delivery->subscribe($session, 'asleep', from_start => 1);
$session->close_session;

sub load
{
	$delivery->writer($_, notify => one('off', 'on', $dispatch), prepare => $_ % 2, pause => 0.02) for 1 .. 4;
	$delivery->reader('all', alone => 1, styles => ['transaction']);
	$delivery->reader('pair');
	$delivery->reader('leased', styles => ['lease']);
	$delivery->reader('closed', alone => 1);
	sleep $seconds;
	$delivery->stop_workers('writer');
	$delivery->stop_workers('reader');
	$delivery->end_all_prepared;
	return;
}

# Runs a dump while transactions are in progress. Nothing of them may be there after the restore, and nothing may be
# missing because of them.
sub in_progress
{
	my ($dump) = @_;
	my ($writer, $prepared, $reader, $main) = map { $delivery->session($_) } qw(writer prepared reader main);
	my $open = $delivery->begin_written($writer, $insert, 'SAVEPOINT s', $insert, 'RELEASE s', $insert);
	my $half = $delivery->begin_written($prepared, $insert);
	my @batch;

	# several see the open ones as open; the ids of the log go on past theirs
	$prepared->must("PREPARE TRANSACTION '$half-kept'");
	$delivery->written($main, $insert, $insert) for 1 .. 3;
	@batch = $delivery->read_batch($main, 'partly', 9);
	$delivery->acknowledge($main, 'partly', \@batch, 4, 1)->() if @batch >= 4;
	$delivery->drain('pair');    # also of what a reader that is gone has leased
	$delivery->read_batch($main, 'closed', 2);
	$delivery->read_batch($main, 'leased', 5, $databases == 1 ? '2 s' : '300 ms');
	$delivery->written($main, $insert) for 1 .. 2;
	$reader->must('BEGIN');
	@batch = $delivery->read_batch($reader, 'all', 20);
	$delivery->acknowledge($reader, 'all', \@batch, scalar @batch, 1) if @batch;

	$dump->();

	# they go on where they are; it is no history of the copy
	$reader->must('COMMIT');
	$writer->must('COMMIT');
	$main->must("COMMIT PREPARED '$half-kept'");
	my ($here) = $main->must('SELECT count(*) FROM crm_deals.read_events(\'pair\', 1000)');
	is($here, 6, 'in the place that was dumped the consumers go on, too');
	$_->close_session for $writer, $prepared, $reader, $main;
	$delivery->note_in_book('undone', $_) for $open, $half;
	return;
}

# The business moves. dump and restore: the commands, given a connection.
sub move
{
	my ($what, $to, $dump, $restore, %options) = @_;
	my $target = $cluster{$to};
	my $new = 'crm' . ++$databases;
	my $id;

	load();
	in_progress(sub {
		$id = next_id($node);
		command_ok([ 'pg_dump', @$dump, '-d', $node->connstr($database) ], "$what: pg_dump");
	});
	$target->safe_psql('postgres', "CREATE DATABASE $new TEMPLATE template0");
	$target->safe_psql($new, prepare_tables()) if $options{installed};
	my ($last, @command) = reverse @$restore;
	command_ok([ reverse(@command), '-d', $target->connstr($new), $last eq '-f' ? ('-f', $dump->[-1]) : $last ],
		"$what: restore, without an error");
	start_ids_from($target, id => $id - 12) if $options{collide};
	cmp_ok(next_id($target), $options{ids}, $id, "$what: transaction ids here are $options{ids} those there")
	  if $options{ids};
	($node, $database) = ($target, $new);
	$delivery->aim($node, $database);
	if ($options{round})
	{
		my $left = ((next_id($node) >> 32) + 1 << 32) - next_id($node) - 20;

		$node->safe_psql('postgres',
			"DO \$\$ BEGIN FOR i IN 1 .. $left LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END \$\$");
	}

	{
		# some have ids from before the log wakes up here, and end after the first cut
		my $main = $delivery->session('main');
		my @early = map { $delivery->session("early$_") } 1 .. 5;

		for my $session (@early)
		{
			$session->must('BEGIN');
			$session->must('SELECT pg_current_xact_id()');
		}
		$delivery->written($main, $insert);
		for my $consumer ('closed', 'pair')
		{
			while (my @batch = $delivery->read_batch($main, $consumer, 1000))
			{
				$delivery->acknowledge($main, $consumer, \@batch, scalar @batch, 1)->();
			}
		}
		$_->must('COMMIT') for @early;
		is_deeply([ map { $_->[1] } $delivery->read_batch($main, 'pair', 10) ], [],
			"$what: what was acknowledged does not come again");
		$_->close_session for $main, @early;
	}
	if ($options{collide})
	{
		# new transactions get the ids of those that were in progress
		my $main = $delivery->session('main');

		for (1 .. 30)
		{
			$delivery->written($main, $insert);
			my @batch = $delivery->read_batch($main, 'pair', one(1, 2, 100));
			$delivery->acknowledge($main, 'pair', \@batch, scalar @batch, 1)->() if @batch && chance(0.8);
		}
		# more transactions than the first cluster has had when the business comes back: there the same ids mean others
		$delivery->note_in_book('wrote', 'many', 'many:1=1200');
		$delivery->note_in_book('ending', 'many');
		$main->must("SET crm_deals.actor = 'many:1'");
		$main->must(join ';', ($insert) x 1200);
		$delivery->note_in_book('committed', 'many');
		cmp_ok(next_id($target), '>', $id, "$what: new transactions had the ids of those that were in progress there");
		$main->close_session;
	}
	load();
	$delivery->drain;
	$delivery->closed_books_ok($what);
	is(value($node, 'SELECT sum(pending) FROM crm_deals.consumer_status', database => $database), 0,
		"$what: nothing is pending");
	return;
}

my @psql = qw(psql -X -q -v ON_ERROR_STOP=1);
move('custom, -j 4', 'lower', [ '-Fc', '-f', "$folder/1.dump" ],
	[ qw(pg_restore --exit-on-error -j 4), "$folder/1.dump" ], ids => '<', collide => 1);
move('directory, -j 2', 'higher', [ '-Fd', '-j', '2', '-f', "$folder/2" ],
	[ qw(pg_restore --exit-on-error -j 2), "$folder/2" ], ids => '>', round => 1);
cmp_ok(next_id($node) >> 32, '==', 4, 'transaction ids have gone round in the meantime');
move('plain, back into the first cluster', 'first', [ '-Fp', '-f', "$folder/3.sql" ], [ @psql, '-f' ], ids => '<');
move('data only, into an installed database of the same cluster', 'first',
	[ qw(-Fp --data-only --disable-triggers -f), "$folder/4.sql" ], [ @psql, '-f' ], ids => '>', installed => 1);
move('one transaction, into the second cluster again', 'lower', [ '-Fc', '-f', "$folder/5.dump" ],
	[ qw(pg_restore --exit-on-error --single-transaction), "$folder/5.dump" ]) if $ENV{SOAK};

# ----------
# The schema alone
# ----------
{
	command_ok([ 'pg_dump', '--schema-only', '-f', "$folder/schema.sql", '-d', $node->connstr($database) ],
		'schema only: pg_dump');
	$node->safe_psql('postgres', 'CREATE DATABASE empty TEMPLATE template0');
	command_ok([ @psql, '-d', $node->connstr('empty'), '-f', "$folder/schema.sql" ], 'schema only: restore');
	is_deeply([ grep { !/^0 / } values %{ rows_of($node, 'empty') } ], [], 'schema only: no row of any table');
	is(value($node, <<'SQL', database => 'empty'), "1|1\n2|1", 'schema only: consumers begin');
SET crm_deals.notify = off;
DO $$ BEGIN PERFORM crm_deals.create_pipeline('Sales'); PERFORM crm_deals.subscribe('new', from_start => true); END $$;
INSERT INTO crm_deals.deal (name) VALUES ('First');
INSERT INTO crm_deals.deal (name) VALUES ('Second');
SELECT deal_id, 1 FROM crm_deals.read_events('new');
SQL
}

$_->stop for values %cluster;
done_testing();
