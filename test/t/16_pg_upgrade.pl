# pg_upgrade to a later major: every row is there, the rules hold, and consumers go on where they stood, though the new
# cluster is another one with the old one's transaction ids.
#
# CRM_DEALS_UPGRADE_TO names the folder of a later PostgreSQL's executables, with crm_deals installed for it; without it
# the test is skipped. Servers of both run on this machine.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   a minute of load before and after
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

my $new_bin = $ENV{CRM_DEALS_UPGRADE_TO}
  or plan skip_all =>
	'CRM_DEALS_UPGRADE_TO names no later PostgreSQL (the folder of its executables, with crm_deals installed)';
chomp(my $old_bin = `pg_config --bindir`);
my $seed = $ENV{SEED} || time ^ ($$ << 8);
my $seconds = $ENV{SOAK} ? 60 : 3;
note "SEED=$seed";
srand($seed);

my @settings = ('log_statement = none', 'max_connections = 60', 'max_prepared_transactions = 60',
	'deadlock_timeout = 50ms', 'fsync = off', 'jit = off');
my ($old, $new) = (PostgreSQL::Test::Cluster->new('old'),
	PostgreSQL::Test::Cluster->new('new', install_path => $new_bin =~ s{/bin/?$}{}r));
my $major = ($new->config_data('--version') =~ /(\d+)/)[0];
for my $node ($old, $new)
{
	# the default from 18 on, and both must be alike
	my @no_checksums = ($node->config_data('--version') =~ /(\d+)/)[0] >= 18 ? '--no-data-checksums' : ();

	$node->init(extra => [ '--encoding=UTF8', '--locale=C.UTF-8', @no_checksums ]);
	$node->append_conf('postgresql.conf', join("\n", @settings, ''));
}
$old->start;
$old->safe_psql('postgres', prepare_business());
my $delivery = Delivery->new(node => $old);
my $session = $delivery->session('main');
my $dispatch = sqlstate_of($old, "LOAD 'crm_deals'; SET crm_deals.notify = dispatch") eq '00000' ? 'dispatch' : 'off';

$delivery->subscribe($session, 'all', from_start => 1);
$delivery->subscribe($session, 'pair', from_start => 1);
$delivery->subscribe($session, 'leased', from_start => 1);
$delivery->subscribe($session, 'closed', kinds => [qw(won lost)]);
$delivery->subscribe($session, 'asleep', from_start => 1);

sub load
{
	$delivery->writer($_, notify => one('off', 'on', $dispatch), prepare => $_ % 2, pause => 0.02) for 1 .. 4;
	$delivery->reader('all', alone => 1);
	$delivery->reader('pair');
	$delivery->reader('leased', styles => ['lease']);
	$delivery->reader('closed', alone => 1, styles => ['transaction']);
	sleep $seconds;
	$delivery->stop_workers('writer');
	$delivery->end_all_prepared;
	$delivery->stop_workers('reader');
	return;
}

load();
$delivery->read_batch($session, 'all', 3);
$delivery->written($session, "INSERT INTO crm_deals.deal (name) VALUES ('The last')") for 1 .. 5;
$delivery->read_batch($session, 'pair', 2);
$session->close_session;
# Nothing writes any more after a restart: no dispatcher, and no session whose client was killed.
$old->restart;
my $rows = rows_of($old);
my $status = value($old, 'SELECT * FROM crm_deals.consumer_status ORDER BY consumer');
$old->stop;

chdir $PostgreSQL::Test::Utils::tmp_check or die $!;
command_ok([ "$new_bin/pg_upgrade", '-b', $old_bin, '-B', $new_bin, '-d', $old->data_dir, '-D', $new->data_dir, '-p',
	$old->port, '-P', $new->port, '-s', $new->host ],
	"pg_upgrade to $major");
$new->start;
note value($new, 'SELECT version()');
is_deeply(rows_of($new), $rows, 'every row of every table, none besides');
is(value($new, 'SELECT * FROM crm_deals.consumer_status ORDER BY consumer'), $status,
	'consumers stand where they stood');
is(value($new, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');
is(value($new, "SELECT crm_deals.install() = extversion FROM pg_extension WHERE extname = 'crm_deals'"), 't',
	'install() finds all in place');
$delivery->aim($new);
load();
$delivery->drain;
$delivery->closed_books_ok("upgraded to $major", proof => !$ENV{SOAK});
is(value($new, 'SELECT sum(pending) FROM crm_deals.consumer_status'), 0, 'nothing is pending');

$new->stop;
done_testing();
