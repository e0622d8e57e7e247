# Section 5: a notification is cut where it is a byte too long, and not before; and the dispatcher looks at the log once
# more before it leaves, so that what was committed in the meantime does not wait for the next write.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $most = 7999;    # bytes that NOTIFY takes
my $node = start_server('notify_bounds', 'max_worker_processes = 20');
install($node);
$node->safe_psql('postgres', <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
INSERT INTO crm_deals.deal (name) VALUES ('Alpha'), ('Beta');
SQL

# ----------
# Length
# ----------

# The payload of a move of deal 1, which gets a name of so many bytes before.
sub payload_of_move
{
	my ($length) = @_;
	my (undef, $output) = $node->psql('postgres', <<SQL);
UPDATE crm_deals.deal SET stage_id = 1, name = repeat('n', $length) WHERE id = 1;
LISTEN crm_deals_stage_changed;
UPDATE crm_deals.deal SET stage_id = 2 WHERE id = 1;
SQL

	return $output =~ /^Asynchronous notification "crm_deals_stage_changed" with payload "(.*)" received from/m
	  ? $1
	  : '';
}

# The length without the name differs by the digits of a moment: what it would be uncut is told by the payload.
my $rest = length(payload_of_move(1)) - 1;
my (%tried, @wrong);
for my $try (1 .. 60)
{
	my $length = $most - $rest - 4 + $try % 9;
	my $payload = payload_of_move($length);
	my $name = eval { JSON::PP->new->decode($payload)->{deal_name} } // '';
	my $uncut = length($payload) - length($name) + $length;

	$tried{$uncut}++;
	push @wrong, "$length: name of " . length($name) . ', payload of ' . length($payload) . ", uncut $uncut"
	  if length($payload) > $most || $name !~ /^n+$/ || (length($name) == $length) != ($uncut <= $most);
	last if $try >= 9 && $tried{$most} && $tried{ $most + 1 };
}
is_deeply(\@wrong, [], "a payload is cut if it is longer than $most bytes, and not otherwise");
ok($tried{$most} && $tried{ $most + 1 }, "... also one of $most bytes and one of " . ($most + 1));

# ----------
# The dispatcher's last look
# ----------

sub session
{
	my ($in, $out) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(120));

	return { psql => $psql, in => \$in, out => \$out };
}

sub ask
{
	my ($session, $sql) = @_;

	${ $session->{out} } = '';
	${ $session->{in} } .= "$sql\n\\echo -- done\n";
	$session->{psql}->pump until ${ $session->{out} } =~ /^-- done$/m;
	return ${ $session->{out} };
}

sub workers
{
	return value($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm_deals dispatcher'");
}

# A trigger of a user's holds the dispatcher after it has read the log and before it finds that it has nothing to send.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(27); RETURN NULL; END';
CREATE TRIGGER hold AFTER UPDATE ON crm_deals.event_consumer
    FOR EACH ROW WHEN (new.consumer = 'crm_deals dispatcher') EXECUTE FUNCTION public.hold();
SQL
my ($listener, $holder) = (session(), session());
ask($listener, 'LISTEN crm_deals_won;');
ask($holder, 'SELECT pg_advisory_lock(27);');
my $since = time;
$node->safe_psql('postgres', 'SELECT crm_deals.start_dispatcher()');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 27 AND NOT granted"),
	'the dispatcher has read the log, and is held');
$node->safe_psql('postgres',
	'SET crm_deals.notify = dispatch; UPDATE crm_deals.deal SET stage_id = 5 WHERE id = 2');
# Idle for three seconds it leaves as soon as it goes on.
sleep 0.1 while time - $since < 4;
is(workers(), 1, '... still, when it has been idle for long enough to leave');
unlike(ask($listener, 'SELECT 1;'), qr/Asynchronous/, '... and has sent nothing of what was written since');
ask($holder, 'SELECT pg_advisory_unlock(27);');
my $heard = '';
for (1 .. 100)
{
	$heard .= ask($listener, 'SELECT 1;');
	last if $heard =~ /Asynchronous/;
	sleep 0.05;
}
like($heard, qr/^Asynchronous notification "crm_deals_won" .*"deal_id": 2\b/m,
	'it looks once more before it leaves, and sends that');
ok($node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'crm_deals dispatcher')"),
	'then it leaves');

$_->{psql}->kill_kill for $listener, $holder;
$node->stop;
done_testing();
