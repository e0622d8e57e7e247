# Section 5: when more than half of the notification queue is full, only the log is written, with a WARNING. From
# PostgreSQL 17 on the queue can be made small enough to fill it; before, half of it is four gigabytes.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('queue');
$node->init;
plan skip_all => 'the notification queue has no setting for its size before PostgreSQL 17'
  if $node->pg_version < 17;
$node->append_conf('postgresql.conf', "fsync = off\nmax_notify_queue_pages = 64");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION crm_deals CASCADE;
	SELECT crm_deals.install();
	SELECT crm_deals.create_pipeline('Sales');
	INSERT INTO crm_deals.deal (name) VALUES ('d');
});

sub move
{
	my ($stage) = @_;
	my ($stdout, $stderr);
	$node->psql('postgres', "LISTEN crm_deals_stage_changed; SELECT event_id FROM crm_deals.move_deal(1, '$stage')",
		stdout => \$stdout, stderr => \$stderr);
	return ($stdout, $stderr);
}

my ($stdout, $stderr) = move('qualified');
like($stdout, qr/Asynchronous notification "crm_deals_stage_changed"/, 'queue: with room, a move is sent');
is($stderr, '', 'queue: without a warning');

# A listener in an open transaction holds the tail of the queue.
my $holder = $node->background_psql('postgres');
$holder->query_safe('LISTEN filler; BEGIN; SELECT 1');
$node->safe_psql('postgres', q{SELECT pg_notify('filler', repeat('x', 7900) || n) FROM generate_series(1, 40) AS n});
cmp_ok($node->safe_psql('postgres', 'SELECT pg_notification_queue_usage()'), '>', 0.5, 'queue: is more than half full');

($stdout, $stderr) = move('proposal');
unlike($stdout, qr/Asynchronous notification/, 'queue: above half of it nothing is sent');
like($stderr, qr/WARNING:  the notification queue is more than half full/, 'queue: with a warning');
is($node->safe_psql('postgres', 'SELECT string_agg(kind, \' \' ORDER BY version) FROM crm_deals.deal_event'),
	'created stage_changed stage_changed', 'queue: the log has the move');

$holder->query_safe('COMMIT');
$holder->quit;
$node->poll_query_until('postgres', 'SELECT pg_notification_queue_usage() < 0.5');
($stdout, $stderr) = move('negotiation');
like($stdout, qr/Asynchronous notification/, 'queue: once it is free, moves are sent again');

$node->stop;
done_testing();
