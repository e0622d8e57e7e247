# Runs the webhook relay of examples/ as its users do: the process itself, against an HTTP server that fails, stalls and
# dies, and against a PostgreSQL that crashes.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use List::Util qw(max uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $example = "$FindBin::RealBin/../../examples/webhook-relay";
my $node_version = `node --version 2>/dev/null` // '';

plan skip_all => 'Node.js (Debian: nodejs) is missing' if $node_version !~ /^v(\d+)\.(\d+)/;
plan skip_all => "Node.js 18.11 or later is missing: this is $node_version" if $1 < 18 || $1 == 18 && $2 < 11;
plan skip_all => 'the npm package pg is missing: run "npm ci" in examples/webhook-relay'
  if !-d "$example/node_modules/pg";

my $json = JSON::PP->new->utf8->canonical;
my $home = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $secret = 'whsec_' . ('dGhlIHJlY2VpdmVyJ3M' x 3) . 'A';
my $dead_letters = "$home/dead-letters.jsonl";
my ($receiver, @processes, @logs);

# Whatever happens nothing goes on running.
END
{
	my $status = $?;
	IPC::Run::kill_kill($_, grace => 0) for grep { $_->pumpable } @processes;
	$? = $status;
}

sub write_file
{
	my ($path, $text) = @_;

	open my $file, '>', "$path.new" or die "$path: $!";
	print $file $text;
	close $file;
	rename "$path.new", $path or die "$path: $!";    # the receiver never sees a half
	return;
}

sub json_lines
{
	my ($path) = @_;

	return -e $path ? map { $json->decode($_) } split /\n/, slurp_file($path) : ();
}

sub wait_until
{
	my ($condition, $name, $seconds) = @_;
	my $end = time + ($seconds // 15);

	while (time < $end)
	{
		return pass($name) if $condition->();
		sleep 0.05;
	}
	return fail($name);
}

sub kill_now
{
	my ($process) = @_;

	IPC::Run::signal($process, 'KILL');
	IPC::Run::finish($process);
	return;
}

# ----------
# The receiver
# ----------

sub start_receiver
{
	$receiver = IPC::Run::start(
		[ 'node', "$FindBin::RealBin/relay/receiver.mjs", $port, $home ],
		'>', \my $out, '2>', "$home/receiver.log", IPC::Run::timeout(180));
	push @processes, $receiver;
	IPC::Run::pump($receiver) until $out =~ /listening/;
	return;
}

sub kill_receiver
{
	kill_now($receiver);
	return;
}

sub behave
{
	my (%behaviour) = @_;

	write_file("$home/behaviour.json", $json->encode(\%behaviour));
	return;
}

sub seen
{
	my ($what) = @_;

	return grep { !defined $what || $_->{what} eq $what } json_lines("$home/seen.jsonl");
}

sub forget_what_was_seen
{
	unlink "$home/seen.jsonl";
	return;
}

# ----------
# The relay
# ----------

my $node = start_server('relay');
install($node);
$node->safe_psql('postgres', "SELECT crm_deals.create_pipeline('Sales')");

my %settings = (
	RELAY_URL => "http://127.0.0.1:$port/hook?token=hidden",
	RELAY_SECRET => $secret,
	RELAY_DEAD_LETTERS => $dead_letters,
	RELAY_CONCURRENCY => 4,
	RELAY_TIMEOUT => '2s',
	RELAY_TRIES => 100,
	RELAY_BACKOFF => '20ms',
	RELAY_BACKOFF_MAX => '200ms',
	RELAY_LEASE => '4s',
	RELAY_POLL => '500ms',
	RELAY_GRACE => '5s',
	RELAY_HTTP_PORT => 0,
	PGHOST => $node->host,
	PGPORT => $node->port,
	PGDATABASE => 'postgres',
);

sub launch
{
	my ($script, $arguments, %changed) = @_;
	my $log = "$home/relay" . @logs . '.log';
	my %environment = (%settings, %changed);
	local %ENV = (%ENV, map { $_ => $environment{$_} } grep { defined $environment{$_} } keys %environment);

	push @logs, $log;
	push @processes, IPC::Run::start([ 'node', "$example/src/$script", @$arguments ], '<', \undef, '>', $log, '2>&1',
		IPC::Run::timeout(180));
	return { log => $log, process => $processes[-1] };
}

sub exit_status
{
	my ($relay) = @_;

	IPC::Run::finish($relay->{process});
	return $relay->{process}->result(0);
}

sub start_relay
{
	my (%changed) = @_;
	my $relay = launch('main.js', [], %changed);

	wait_until(sub { slurp_file($relay->{log}) =~ /"connected to PostgreSQL"/ }, 'the relay is up');
	($relay->{url}) = slurp_file($relay->{log}) =~ /"http_port":(\d+)/ or die slurp_file($relay->{log});
	$relay->{url} = "http://127.0.0.1:$relay->{url}";
	return $relay;
}

sub stops
{
	my ($relay, $name) = @_;

	IPC::Run::signal($relay->{process}, 'TERM');
	return is(exit_status($relay), 0, $name // 'SIGTERM: exit status 0');
}

sub crash
{
	my ($relay) = @_;

	kill_now($relay->{process});
	return;
}

sub state_of
{
	my ($relay) = @_;
	my $answer = HTTP::Tiny->new(timeout => 5)->get("$relay->{url}/healthz");

	return join ' ', $answer->{status}, eval { $json->decode($answer->{content})->{state} } // $answer->{content};
}

sub metrics
{
	my ($relay) = @_;

	return { HTTP::Tiny->new(timeout => 5)->get("$relay->{url}/metrics")->{content}
		=~ /^crm_deals_relay_(\w+) (\S+)$/mg };
}

# ----------
# What must hold
# ----------

my $before = 0;    # the last event of what was proven already

# Writes deals and changes each of them twice: three events a deal, of which the last is a bulk.
sub write_deals
{
	my ($count) = @_;

	return rows($node, <<"SQL");
CREATE TEMPORARY TABLE new AS WITH d AS (
    INSERT INTO crm_deals.deal (name, amount)
    SELECT 'Deal ' || i, 12.50
    FROM generate_series(1, $count) AS i
    RETURNING id)
SELECT id FROM d;
DO 'DECLARE d bigint; BEGIN FOR d IN SELECT id FROM new ORDER BY id LOOP UPDATE crm_deals.deal SET amount = 1e17 + 1 '
   'WHERE id = d; COMMIT; END LOOP; END';
UPDATE crm_deals.deal SET notes = 'Größe' WHERE id IN (SELECT id FROM new);
SELECT id FROM new ORDER BY id;
SQL
}

sub pending
{
	return value($node, "SELECT sum(pending) FROM crm_deals.consumer_status WHERE consumer = 'webhook-relay'");
}

# Writes deals, and returns when some of their events are sent and some are not: the receiver answers only a few
# requests until then.
sub in_the_middle
{
	my ($count) = @_;

	behave(after => 120, open => 3);
	write_deals($count);
	wait_until(sub { seen('accepted') > 1 }, 'some events are sent');
	cmp_ok(pending(), '>', 3, '... and some are not');
	behave(after => 120);
	return;
}

# Waits until all is acknowledged, and holds what arrived against the log.
sub all_arrived
{
	my ($name, %options) = @_;
	my @events = map { [ split /\|/ ] }
	  rows($node, "SELECT id, deal_id FROM crm_deals.deal_event WHERE id > $before ORDER BY deal_id, version");
	my %given_up = map { $_->{event_id} => 1 } json_lines($dead_letters);
	my (%arrived, %accepted, %previous, %last, @early, @seen);

	wait_until(sub { pending() == 0 }, "$name: all is acknowledged", 20);
	@seen = seen();
	for my $event (@events)
	{
		$previous{ $event->[0] } = $last{ $event->[1] };
		$last{ $event->[1] } = $event->[0];
	}
	for (@seen)
	{
		my $id = $_->{event_id};
		my $previous = $previous{$id};

		push @early, $id
		  if $_->{what} eq 'arrived' && defined $previous && !$accepted{$previous} && !$given_up{$previous};
		$arrived{$id}++ if $_->{what} eq 'arrived';
		$accepted{$id}++ if $_->{what} eq 'accepted';
	}
	is_deeply([ sort { $a <=> $b } uniq keys %accepted, keys %given_up ],
		[ sort { $a <=> $b } map { $_->[0] } @events ], '... every event was accepted or given up, and no other');
	is_deeply(\@early, [], '... none arrived before the previous of its deal was done');
	is_deeply([ map { $_->{event_id} } grep { $_->{what} eq 'arrived'
		&& (!$_->{verified} || $_->{forged} || $_->{replayed} || $_->{id} ne $_->{event_id}) } @seen ],
		[], '... every request was signed');
	is_deeply([ grep { $arrived{$_} > 1 } sort keys %arrived ], [], '... none arrived twice') if $options{once};
	$before = max($before, map { $_->[0] } @events);
	forget_what_was_seen();
	return;
}

# ----------
# Settings
# ----------

my ($verify) = slurp_file("$example/README.md") =~ /^```js\n(import .*?^)```$/ms or die 'no verify() in the README';
write_file("$home/verify.mjs", $verify);
write_file("$home/secret", $secret);
behave();
start_receiver();

sub start_fails
{
	my ($status, $messages, %changed) = @_;
	my $relay = launch('main.js', [], %changed);
	my $name = join ', ', map { "$_=" . ($changed{$_} // '') } sort keys %changed;

	is(exit_status($relay), $status, "exit status $status: $name");
	like((json_lines($relay->{log}))[-1]->{error}, $_, '... and says why') for @$messages;
	return;
}

start_fails(2,
	[ qr/RELAY_URL must begin with http/, qr/RELAY_SECRET is not set/, qr/RELAY_TIMEOUT must be .*10s/,
		qr/RELAY_TRIES must be/, qr/RELAY_TIMOUT is not a setting/ ],
	RELAY_URL => 'ftp://example.org', RELAY_SECRET => undef, RELAY_TIMEOUT => '10', RELAY_TRIES => 0,
	RELAY_TIMOUT => '10s');
start_fails(2, [ qr/RELAY_SECRET must be whsec_/, qr/RELAY_LEASE must be at least twice/ ],
	RELAY_SECRET => 'whsec_c2hvcnQ=', RELAY_LEASE => '900ms');
start_fails(1, [qr/kind/], RELAY_KINDS => 'won,eaten');
start_fails(1, [qr/dead letters cannot be written/], RELAY_DEAD_LETTERS => "$home/secret/file");

# ----------
# The doorbell, the poll, the endpoints
# ----------

my $relay = start_relay(RELAY_POLL => '1h', RELAY_TIMEOUT => '1s', RELAY_LEASE => '2s');
like(state_of($relay), qr/^200 (active|standby)$/, '/healthz');
wait_until(sub { state_of($relay) eq '200 active' }, 'the relay is active');
sleep 3.2;    # it looks some more times, as long as a relay before it could have had a lease
$node->safe_psql('postgres', "BEGIN; INSERT INTO crm_deals.deal (name) VALUES ('Undone'); ROLLBACK");
write_deals(1);
wait_until(sub { seen('accepted') == 3 }, 'the doorbell wakes the relay, which would look again in an hour');
my ($first, $second) = map { $_->{body} } seen('arrived');
is($json->decode($first)->{event}, 'deal.created', 'the body is the payload');
like($second, qr/100000000000000001\b/, '... with every digit of an amount');
all_arrived('the doorbell', once => 1);
is(metrics($relay)->{$_->[0]}, $_->[1], "metric $_->[0]")
  for [ delivered_total => 3 ], [ failed_attempts_total => 0 ], [ retries_total => 0 ], [ dead_lettered_total => 0 ],
  [ in_flight => 0 ], [ pending_events => 0 ], [ connected => 1 ], [ active => 1 ];
stops($relay);

$relay = start_relay();
$node->safe_psql('postgres', "SET crm_deals.notify = off; INSERT INTO crm_deals.deal (name) VALUES ('Silent')");
wait_until(sub { seen('accepted') == 1 }, 'without a doorbell the poll finds the event');
all_arrived('the poll', once => 1);

# ----------
# Parallel deals
# ----------

behave(after => 1000, together => $settings{RELAY_CONCURRENCY});
write_deals(10);
wait_until(sub { pending() == 0 }, 'a slow receiver gets all');
my ($at_once, $most) = (0, 0);
$most = max($most, $at_once += $_->{what} eq 'arrived' ? 1 : -1) for seen();
is($most, $settings{RELAY_CONCURRENCY}, '... as many at a time as was set');
all_arrived('a slow receiver', once => 1);

# ----------
# A receiver that fails, stalls and dies
# ----------

behave(plans => [ ['accept'], [ 'error', 'accept' ], [ 'reset', 'accept' ], [ 'stall', 'accept' ],
	[ 'error', 'reset', 'accept' ] ]);
write_deals(10);
all_arrived('a receiver that fails and stalls');
cmp_ok(metrics($relay)->{failed_attempts_total}, '>=', 24, 'failed attempts are counted');
is(metrics($relay)->{retries_total}, metrics($relay)->{failed_attempts_total}, '... each was tried again');

behave(after => 20);
write_deals(10);
kill_receiver();
write_deals(5);
my $failed = metrics($relay)->{failed_attempts_total};
sleep 1.5;
cmp_ok(metrics($relay)->{failed_attempts_total}, '>', $failed, 'while the receiver is away the relay tries');
cmp_ok(metrics($relay)->{failed_attempts_total}, '<', $failed + 1000, '... and waits between its tries');
start_receiver();
all_arrived('a receiver that dies');
stops($relay);

# The lease runs out before the failing event is tried again. What was done by then is not sent again.
$relay = start_relay(RELAY_TIMEOUT => '1500ms', RELAY_LEASE => '3s', RELAY_BACKOFF_MAX => '9s');
behave();
my ($later, @others) = write_deals(3);
all_arrived('before an event that has to wait', once => 1);
behave(deals => { $later => [ 'later', 'accept' ] });
value($node, "UPDATE crm_deals.deal SET amount = 7 WHERE id >= $later");
wait_until(sub { seen('accepted') == 2 }, 'an event that has to wait does not hold up other deals');
value($node, "UPDATE crm_deals.deal SET amount = 8 WHERE id = $others[0]");
wait_until(sub { seen('accepted') == 3 }, '... nor later events');
is_deeply([ grep { $_->{deal_id} == $later } seen('accepted') ], [], '... while it waits as long as it was told');
is_deeply([ sort { $a <=> $b } map { $_->{deal_id} } seen('arrived') ], [ $later, $others[0], $others[0], $others[1] ],
	'... and nothing is sent twice');
all_arrived('an event that has to wait');

# ----------
# PostgreSQL and the relay crash
# ----------

in_the_middle(10);
$node->stop('immediate');
wait_until(sub { state_of($relay) eq '503 disconnected' }, '/healthz tells that PostgreSQL is away');
ok(!exists metrics($relay)->{pending_events}, '... and the lag is not known');
sleep 0.5;
$node->start;
write_deals(2);
all_arrived('PostgreSQL crashes', once => 1);

in_the_middle(10);
crash($relay);
write_deals(2);
$relay = start_relay();
all_arrived('the relay is killed');

# ----------
# A stop in the middle
# ----------

in_the_middle(10);
stops($relay, 'SIGTERM in the middle: exit status 0');
cmp_ok(scalar(seen('accepted')), '<=', 30, 'the relay is gone');
$relay = start_relay();
all_arrived('a stop in the middle', once => 1);

# Behind an event that fails nothing more is sent: it could not be acknowledged.
stops($relay);
($later) = rows($node,
	"INSERT INTO crm_deals.deal (name) SELECT 'Deal ' || i FROM generate_series(1, 8) AS i RETURNING id");
behave(after => 400, deals => { $later => [ 'later', 'accept' ] });
$relay = start_relay(RELAY_BACKOFF_MAX => '1m', RELAY_CONCURRENCY => 2);
wait_until(sub { seen('accepted') }, 'sending has begun');
stops($relay, 'SIGTERM while an event waits: exit status 0');
cmp_ok(scalar(seen('arrived')), '<', 8, '... and nothing more is sent behind that event');
behave();
$relay = start_relay();
all_arrived('a stop while an event waits');
stops($relay);

# ----------
# Two relays
# ----------

behave(after => 120);
my @pair = (start_relay(), start_relay());
wait_until(sub { join(' ', sort map { state_of($_) } @pair) eq '200 active 200 standby' },
	'one works, the other stands by');
@pair = reverse @pair if state_of($pair[0]) ne '200 active';
in_the_middle(12);
# The one that sends loses its connection, and with it the lock, but not its lease. A doorbell wakes the other.
$node->safe_psql('postgres', <<'SQL');
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND application_name = 'webhook-relay webhook-relay';
INSERT INTO crm_deals.deal (name) VALUES ('Doorbell');
SQL
wait_until(sub { state_of($pair[1]) eq '200 active' }, 'the other has the lock');
all_arrived('two relays', once => 1);
in_the_middle(8);
@pair = reverse @pair if state_of($pair[0]) ne '200 active';
crash($pair[0]);
all_arrived('one of two is killed');
is(state_of($pair[1]), '200 active', '... and the other has taken over');
stops($pair[1]);

# ----------
# Dead letters
# ----------

behave();
$relay = start_relay(RELAY_TRIES => 3);
(my $failing, my $refused, @others) = rows($node,
	"INSERT INTO crm_deals.deal (name) SELECT 'Deal ' || i FROM generate_series(1, 6) AS i RETURNING id");
all_arrived('before dead letters', once => 1);
behave(deals => { $failing => ['error'], $refused => ['refuse'] });
chmod 0400, $dead_letters;
$node->safe_psql('postgres', "UPDATE crm_deals.deal SET amount = 7 WHERE id >= $failing");
wait_until(sub { metrics($relay)->{delivered_total} == 6 + 4 }, 'other deals go on');
wait_until(sub { slurp_file($relay->{log}) =~ /could not be written/ }, 'a dead letter that cannot be written is told');
cmp_ok(pending(), '>', 0, '... and not acknowledged');
chmod 0600, $dead_letters;
wait_until(sub { pending() == 0 }, 'once it is written it is acknowledged');
$node->safe_psql('postgres', "UPDATE crm_deals.deal SET amount = 8 WHERE id IN ($refused, $others[0])");
wait_until(sub { pending() == 0 }, 'the deal of a dead letter goes on');
my @letters = sort { $a->{deal_id} <=> $b->{deal_id} || $a->{event_id} <=> $b->{event_id} } json_lines($dead_letters);
is_deeply([ map { $_->{deal_id} } @letters ], [ $failing, $refused, $refused ],
	'a dead letter for each event that was given up');
cmp_ok($letters[0]->{tries}, '>=', 3, 'after the number of tries that was set');
is($letters[2]->{tries}, 1, 'at once where the receiver says that it is hopeless');
is($letters[2]->{error}, '422: no such customer', '... with its words');
is(metrics($relay)->{dead_lettered_total}, 3, '... counted');
is($json->decode($letters[0]->{body})->{event_id}, $letters[0]->{event_id}, 'the letter holds the body');
all_arrived('dead letters');

is(exit_status(launch('replay.js', [$dead_letters])), 2, "the relay's own file is not replayed");
rename $dead_letters, "$home/again.jsonl";
behave(deals => { $failing => ['error'] });
is(exit_status(launch('replay.js', ["$home/again.jsonl"])), 1, 'a replay of which not all is accepted');
is(scalar(seen('accepted')), 2, '... sends');
is_deeply([ map { $_->{deal_id} } json_lines($dead_letters) ], [$failing], '... and keeps what failed');
rename $dead_letters, "$home/again.jsonl";
behave();
is(exit_status(launch('replay.js', ["$home/again.jsonl"])), 0, 'a replay of which all is accepted');
is_deeply([ map { $_->{event_id} } json_lines("$home/seen.jsonl") ]->[-1], $letters[0]->{event_id},
	'... sends what was left');
stops($relay);

is_deeply([ grep { slurp_file($_) =~ /hidden|$secret/ } @logs ], [], 'no log holds the secret or the query of the URL');
eval { json_lines($_); 1 } or fail("a line of $_ is not JSON: $@") for @logs;

kill_receiver();
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');
$node->stop;
done_testing();
