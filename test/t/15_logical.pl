# Logical replication of every table to a server that also has the extension. Rows are taken as they are (section 4), so
# nothing happens twice there. After a switch-over consumers go on there where they were (section 5).
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   a minute of load
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
my $seconds = $ENV{SOAK} ? 60 : 1.5;
note "SEED=$seed";
srand($seed);

my @settings = ('log_statement = none', 'wal_level = logical', 'max_wal_senders = 20', 'max_replication_slots = 20',
	'max_connections = 60', 'max_logical_replication_workers = 12', 'max_worker_processes = 20',
	'max_sync_workers_per_subscription = 6', 'wal_retrieve_retry_interval = 100ms', 'max_prepared_transactions = 60',
	'deadlock_timeout = 50ms');
my ($publisher, $subscriber) = map { start_server($_, @settings) } qw(publisher subscriber);
$publisher->safe_psql('postgres', prepare_business());
$publisher->safe_psql('postgres', 'CREATE PUBLICATION deals FOR TABLES IN SCHEMA crm_deals');
$subscriber->safe_psql('postgres', prepare_tables());

my $delivery = Delivery->new(node => $publisher);
my $session = $delivery->session('main');
$delivery->subscribe($session, 'all', from_start => 1);
$delivery->subscribe($session, 'pair', from_start => 1);
$delivery->subscribe($session, 'closed', kinds => [qw(won lost)]);
$delivery->subscribe($session, 'asleep', from_start => 1);

sub load
{
	my ($prepare) = @_;
	my $dispatch =
	  sqlstate_of($publisher, "LOAD 'crm_deals'; SET crm_deals.notify = dispatch") eq '00000' ? 'dispatch' : 'off';

	$delivery->writer($_, notify => one('on', $dispatch), prepare => $prepare && $_ % 2, pause => 0.02) for 1 .. 4;
	$delivery->reader('all', alone => 1);
	$delivery->reader('pair');
	$delivery->reader('closed', alone => 1, styles => ['transaction']);
	return;
}

# ----------
# Initial copy and changes, under load
# ----------

# a slot, one for each table, waits for what is prepared
load(0);
sleep $seconds / 2;
my $listener = Delivery::Session->new($subscriber->connstr('postgres'), 'listener', "$delivery->{folder}/errors");
$listener->must("LISTEN $_") for 'crm_deals', map { "crm_deals_$_" } qw(stage_changed won lost abandoned reopened);
my $conninfo = $publisher->connstr('postgres') =~ s/'/''/gr;
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION deals CONNECTION '$conninfo' PUBLICATION deals WITH (streaming = on)");
$subscriber->wait_for_subscription_sync($publisher, 'deals');
ok(1, 'the initial copy is done, under load');
$delivery->stop_workers('writer');
$delivery->stop_workers('reader');
load(1);
sleep $seconds;
$delivery->stop_workers('writer');
$delivery->end_all_prepared;
$delivery->stop_workers('reader');
# some are delivered and not acknowledged, some unread
$delivery->read_batch($session, 'all', 3);
$delivery->written($session, "INSERT INTO crm_deals.deal (name) VALUES ('The last')") for 1 .. 5;
$delivery->read_batch($session, 'pair', 2);
$session->close_session;
# the dispatcher is a consumer, too: until it leaves, its place may change
$publisher->poll_query_until('postgres',
	"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type ILIKE '%deal%')")
  or die 'the dispatcher does not leave';
$publisher->wait_for_catchup('deals');

is_deeply(rows_of($subscriber), rows_of($publisher),
	'every row of every table is there, none is changed, none is there twice');
is(value($_, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing on the ' . $_->name)
  for $publisher, $subscriber;
is(join("\n", $listener->run('SELECT 1')), 1, 'nobody is notified on the subscriber');
is(value($subscriber, "SELECT count(*) FROM pg_stat_activity WHERE backend_type ILIKE '%deal%'"), 0,
	'nothing is dispatched there');
is(value($subscriber, 'SELECT * FROM crm_deals.consumer_status ORDER BY consumer'),
	value($publisher, 'SELECT * FROM crm_deals.consumer_status ORDER BY consumer'),
	'consumers stand there where they stand here');
is(join("\n", grep { /ERROR|conflict/ } split /\n/, slurp_file($subscriber->logfile)), '',
	'nothing had to be tried again');
$listener->close_session;

# ----------
# Switch-over
# ----------

$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION deals');
$publisher->stop;
# sequences are not replicated
$subscriber->safe_psql('postgres', <<'SQL');
DO $$
DECLARE
    "column" record;
BEGIN
    FOR "column" IN SELECT table_name, column_name FROM information_schema.columns
                    WHERE table_schema = 'crm_deals' AND is_identity = 'YES' LOOP
        EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), (SELECT coalesce(max(%I), 0) + 1 '
                       'FROM crm_deals.%I), false)',
                       'crm_deals.' || "column".table_name, "column".column_name, "column".column_name,
                       "column".table_name);
    END LOOP;
END $$;
SQL
$delivery->aim($subscriber);
$publisher = $subscriber;
load(1);
sleep $seconds;
$delivery->stop_workers('writer');
$delivery->end_all_prepared;
$delivery->stop_workers('reader');
$delivery->drain;
$delivery->closed_books_ok('switch-over', proof => !$ENV{SOAK});
is(value($subscriber, 'SELECT sum(pending) FROM crm_deals.consumer_status'), 0, 'nothing is pending');

$subscriber->stop;
done_testing();
