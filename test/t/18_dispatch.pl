# crm_deals.notify = dispatch: a background worker sends what the transaction would have sent, a little after the
# commit. It loses nothing, whatever happens to it. It leaves when it is idle, and it disturbs nobody.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use Delivery;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my @channels = ('crm_deals', map { "crm_deals_$_" } qw(stage_changed won lost abandoned reopened));
my $errors = PostgreSQL::Test::Utils::tempdir() . '/errors';
my $node = start_server('dispatch', 'max_worker_processes = 20');

sub make_database
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	install($node, $database);
	$node->safe_psql($database, <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.create_pipeline(
    'P',
    '[{"key": "a", "name": "A"}, {"key": "b", "name": "B"}, {"key": "w", "name": "Won", "status": "won"}, '
    '{"key": "l", "name": "Lost", "status": "lost"}, {"key": "s", "name": "Silent", "status": "abandoned"}]');
INSERT INTO crm_deals.deal (name, pipeline_id, amount) SELECT 'Deal ' || n, 2, n FROM generate_series(1, 200) AS n;
SQL
	return;
}

sub session
{
	my ($database, $name) = @_;

	return Delivery::Session->new($node->connstr($database), $name // 'session', $errors);
}

sub listen_to
{
	my ($database) = @_;
	my $listener = session($database, 'listener');

	$listener->must("LISTEN $_") for @channels;
	return $listener;
}

# What a listener has heard since it was asked: [channel, payload], in order
sub heard
{
	my ($listener) = @_;
	my @heard;

	for my $line ($listener->must('SELECT 1'), $listener->must('SELECT 1'))
	{
		push @heard, [ $1, $2 // '' ]
		  if $line =~ /^Asynchronous notification "([^"]*)" (?:with payload "(.*)" )?received from/;
	}
	return @heard;
}

sub event_ids
{
	return sort { $a <=> $b } map { $_->[1] =~ /"event_id": (\d+)/ ? $1 : () } @_;
}

sub wait_until
{
	my ($seconds, $holds) = @_;
	my $since = time;

	while (!$holds->())
	{
		return 0 if time - $since > $seconds;
		sleep 0.02;
	}
	return 1;
}

# Waits until all that was left to the dispatcher is sent, or for so many seconds.
sub all_sent
{
	my ($database, $seconds) = @_;

	return wait_until($seconds // 20, sub {
		value($node, "SELECT count(*) = 0 AND EXISTS (SELECT FROM crm_deals.event_consumer
													  WHERE consumer = crm_deals_internal.dispatcher())
					  FROM crm_deals_internal.pending(crm_deals_internal.dispatcher())", database => $database) eq 't';
	});
}

sub workers
{
	my ($database) = @_;

	return value($node,
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm_deals dispatcher'" . ($database
			? " AND datname = '$database'" : ''));
}

sub kill_worker
{
	my ($database) = @_;

	return value($node,
		"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		 WHERE backend_type = 'crm_deals dispatcher' AND datname = '$database'");
}

sub start_psql
{
	my ($database, $number, @statements) = @_;

	return IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr($database),
		map { ('-c', $_) } "SET crm_deals.notify = 'dispatch'", @statements ],
		'<', '/dev/null', '>', '/dev/null', '2>', "$errors.$number", IPC::Run::timeout(180));
}

sub any_is_running
{
	my $running = 0;

	for my $process (@_)
	{
		next if $process->{ended};
		eval { $process->pump_nb if $process->pumpable };    # it may end just then
		$process->pumpable ? $running++ : $process->finish;
		$process->{ended} = 1 if !$process->pumpable;
	}
	return $running;
}

sub move
{
	my ($deal, $stage) = @_;

	return "UPDATE crm_deals.deal
			SET stage_id = (SELECT id FROM crm_deals.stage WHERE key = '$stage' AND pipeline_id = 2),
				lost_reason = CASE '$stage' WHEN 'l' THEN 'price' END
			WHERE "
	  . ($deal =~ /^\d+$/ ? "name = 'Deal $deal'" : $deal) . ';';
}

# ----------
# The same notifications
# ----------

make_database($_) for qw(direct dispatched);
my %listeners = map { $_ => listen_to($_) } qw(direct dispatched);

# What both hear of one script: sorted, times aside; the doorbell apart.
sub compare
{
	my ($name, $script, %options) = @_;
	my (%sent, %rang);

	for my $database (qw(direct dispatched))
	{
		my $mode = $database eq 'direct' ? 'on' : 'dispatch';
		my ($status, undef, $stderr) = $node->psql($database, "SET crm_deals.notify = '$mode';\n$script",
			on_error_stop => 0);
		is($stderr, '', "$name: $mode: no error") if $stderr ne '' && !$options{may_fail};
		all_sent($database) if $mode eq 'dispatch' && value($node, 'SELECT count(dispatch) FROM crm_deals.deal_event',
			database => $database) > 0;
		my @heard = heard($listeners{$database});
		$rang{$database} = (grep { $_->[0] eq 'crm_deals' } @heard) > 0;
		$sent{$database} = [ sort map { my $text = "$_->[0] $_->[1]"; $text
			=~ s/"occurred_at": "[^"]*"/"occurred_at": "then"/; $text } grep { $_->[0] ne 'crm_deals' } @heard ];
	}
	is_deeply($sent{dispatched}, $sent{direct}, "the same notifications: $name (" . @{ $sent{direct} } . ')');
	is($rang{dispatched}, $rang{direct}, '... and the doorbell ' . ($rang{direct} ? 'rings' : 'does not ring'));
	is(scalar @{ $sent{direct} }, $options{count}, '... as many as there should be') if defined $options{count};
	return;
}

for my $consumer (0, 1)
{
	if ($consumer)
	{
		$node->safe_psql($_, "SELECT crm_deals.subscribe('erp')") for qw(direct dispatched);
	}
	compare('a move', move(1, $consumer ? 'a' : 'b'), count => 1);
	compare('a deal is won', move(2, $consumer ? 'a' : 'w'), count => 2);
	compare('a deal is born won',
		"INSERT INTO crm_deals.deal (name, stage_id) SELECT 'Born $consumer', id FROM crm_deals.stage WHERE key = 'w'",
		count => 1);
	compare('an update of no stage', "UPDATE crm_deals.deal SET amount = amount + 1 WHERE name = 'Deal 3'", count => 0);
	compare('a new deal and a deleted one',
		"INSERT INTO crm_deals.deal (name) VALUES ('New $consumer');
		 DELETE FROM crm_deals.deal WHERE name = 'New $consumer'",
		count => 0);
	compare('several in a transaction',
		"BEGIN; " . move(3, 'b') . move(4, 'l') . move(3, 'w') . move(5, 's') . move(5, 'a')
		  . "UPDATE crm_deals.deal SET amount = 7 WHERE name = 'Deal 6'; COMMIT;");
	compare('a rollback', 'BEGIN; ' . move(7, 'w') . ' ROLLBACK;', count => 0);
	compare('savepoints',
		'BEGIN; ' . move(7, 'b') . ' SAVEPOINT a; ' . move(8, 'w') . ' ROLLBACK TO a; ' . move(9, 'w')
		  . ' SAVEPOINT b; ' . move(10, 'l') . ' RELEASE b; COMMIT;');
	compare('what fails', move(7, 'a') . 'BEGIN; ' . move(8, 'w') . ' SELECT 1 / 0; COMMIT;', may_fail => 1,
		count => 1);
	compare('more than the limit', move("id BETWEEN 20 AND 180", $consumer ? 'a' : 'w'),
		$consumer ? () : (count => 202));
	compare('a limit of 3 over several statements',
		'SET crm_deals.notify_limit = 3; BEGIN; ' . move(11, 's') . move('id BETWEEN 21 AND 24', 'l') . move(12, 's')
		  . move(13, 'b') . ' COMMIT;');
	compare('a limit of 0', 'SET crm_deals.notify_limit = 0; ' . move('id BETWEEN 30 AND 35', 's'), count => 2);
	compare('a limit, and savepoints',
		'SET crm_deals.notify_limit = 2; BEGIN; SAVEPOINT a; ' . move('id BETWEEN 40 AND 45', 'l')
		  . ' ROLLBACK TO a; SAVEPOINT b; ' . move('id BETWEEN 46 AND 50', 'l') . ' RELEASE b; '
		  . move('id BETWEEN 51 AND 52', 'l') . ' SAVEPOINT c; ' . move('id BETWEEN 53 AND 54', 'l')
		  . ' ROLLBACK TO c; COMMIT;');
	compare('the first of a summary in a savepoint that is taken back',
		'SET crm_deals.notify_limit = 1; BEGIN; ' . move(14, 'l') . ' SAVEPOINT a; ' . move(15, 'l')
		  . ' ROLLBACK TO a; ' . move('id BETWEEN 16 AND 18', 'l') . ' COMMIT;');
	compare('ids only', "SET crm_deals.notify_payload = 'ids'; " . move(14, 'w'), count => 2);
	compare('row security',
		'ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY; ' . move(14, 'a')
		  . ' ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;',
		count => 2);
	compare('a change of a stage',
		"UPDATE crm_deals.stage SET status = 'abandoned' WHERE key = 'b';
		 UPDATE crm_deals.stage SET status = 'open' WHERE key = 'b';");
	compare('long and odd names',
		"UPDATE crm_deals.deal SET name = repeat('\"\\ä', 20000) WHERE id = 60;
		 UPDATE crm_deals.deal SET name = E'tab\\t\\x01' WHERE id = 61; "
		  . move('id IN (60, 61)', 'a') . move('id IN (60, 61)', 'b'));
	compare('a stage that is renamed in the same transaction',
		'BEGIN; ' . move(15, 'a') . " UPDATE crm_deals.stage SET name = 'Renamed $consumer' WHERE key = 'a'; "
		  . move(15, 'b') . ' COMMIT;');
	compare('a name that changes at once',
		move(16, 'a') . "UPDATE crm_deals.deal SET name = 'Deal 16 $consumer' WHERE name = 'Deal 16';");
	compare('notify = off', 'SET crm_deals.notify = off; ' . move(17, 'a'), count => 0);
	compare('off and on in one transaction',
		'BEGIN; ' . move(17, 's') . ' SET LOCAL crm_deals.notify = off; ' . move(17, 'b') . ' COMMIT;', count => 2);
}

# Each kind of consumer gets exactly the events of its channel.
for my $database (qw(direct dispatched))
{
	my $mode = $database eq 'direct' ? 'on' : 'dispatch';
	my @kinds = qw(stage_changed won lost abandoned reopened);

	$node->safe_psql($database, "SELECT crm_deals.subscribe('$_', '{$_}')") for @kinds;
	$node->safe_psql($database, "SET crm_deals.notify = '$mode'; SET crm_deals.notify_limit = 100000;" . join '',
		map { move("id % 7 = $_ % 7 AND id > 20", (qw(a b w l s))[ $_ % 5 ]) } 1 .. 20);
	$node->safe_psql($database,
		"SET crm_deals.notify = '$mode';
		 INSERT INTO crm_deals.deal (name, stage_id, lost_reason)
		 SELECT 'x', id, CASE status WHEN 'lost' THEN 'price' END
		 FROM crm_deals.stage
		 WHERE pipeline_id = 2;
		 UPDATE crm_deals.stage SET status = 'won' WHERE key = 's';
		 UPDATE crm_deals.stage SET status = 'abandoned' WHERE key = 's';");
	all_sent('dispatched');
	my @heard = heard($listeners{$database});

	for my $kind (@kinds)
	{
		my @ids = event_ids(grep { $_->[0] eq "crm_deals_$kind" } @heard);
		is(join(' ', @ids),
			join(' ',
				sort { $a <=> $b } rows($node, "SELECT id FROM crm_deals.read_events('$kind', 100000)",
					database => $database)),
			"$mode: a consumer of $kind gets the events of crm_deals_$kind (" . @ids . ')');
	}
}

# ----------
# When
# ----------

my $database = 'dispatched';
my $listener = $listeners{dispatched};
my $writer = session($database, 'writer');

$writer->must("SET crm_deals.notify = 'dispatch'");
$writer->must(move(1, 'a') . move(1, 'w'));
all_sent($database);
heard($listener);
# It leaves when it has had nothing to do for a while, which a busy machine can take for this look.
cmp_ok(workers($database), '<=', 1, 'one worker is running');
$writer->must('BEGIN');
$writer->must(move(1, 'b'));
sleep 0.6;
is(scalar(heard($listener)), 0, 'nothing is heard before commit');
$writer->must('COMMIT');
my $since = time;
ok(wait_until(10, sub { heard($listener) > 0 }), 'it is heard after');
note sprintf 'heard %.0f ms after commit', (time - $since) * 1000;
$writer->must('BEGIN');
$writer->must(move(1, 'w'));
$writer->must('ROLLBACK');
$writer->must('BEGIN');
$writer->must('SAVEPOINT a');
$writer->must(move(1, 'w'));
$writer->must('ROLLBACK TO a');
$writer->must('COMMIT');
sleep 0.5;
is(scalar(heard($listener)), 0, 'what is rolled back, to a savepoint too, is never heard');

# A writer that began earlier and commits later is heard, too.
$writer->must('BEGIN');
$writer->must(move(2, 'l'));
$node->safe_psql($database, "SET crm_deals.notify = 'dispatch';" . move(3, 'l'));
ok(wait_until(10, sub { scalar(grep { $_->[0] eq 'crm_deals_lost' } heard($listener)) == 1 }),
	'a long transaction does not hold back the others');
$writer->must('COMMIT');
ok(wait_until(10, sub { scalar(grep { $_->[0] eq 'crm_deals_lost' } heard($listener)) == 1 }),
	'... and is heard when it has committed');

# ----------
# Idle
# ----------

is(workers($database), 1, 'the worker is there still');
ok(wait_until(10, sub { workers($database) == 0 }), 'it leaves when it is idle');
$node->safe_psql($database, 'SELECT crm_deals.start_dispatcher()');
is(workers($database), 1, 'start_dispatcher() starts it');
$node->safe_psql($database, 'SELECT crm_deals.start_dispatcher()');
is(workers($database), 1, '... once');
ok(wait_until(10, sub { workers($database) == 0 }), '... and it leaves again');
is(value($node,
	'SELECT count(*) FROM crm_deals.deal_event AS e
	 JOIN crm_deals_internal.pending(crm_deals_internal.dispatcher()) AS p ON p.id = e.id',
	database => $database),
	0, 'it has left nothing behind');
$node->safe_psql($database, "SET crm_deals.notify = 'dispatch';" . move(4, 'b'));
ok(wait_until(10, sub { heard($listener) > 0 }), 'the next write starts it again');

# ----------
# PREPARE TRANSACTION
# ----------

$node->safe_psql($database,
	"SET crm_deals.notify = 'dispatch'; BEGIN; " . move(5, 'w') . " PREPARE TRANSACTION 'one';");
sleep 4;
is(scalar(heard($listener)), 0, 'a prepared move is not heard');
$node->safe_psql($database, "COMMIT PREPARED 'one'");
ok(wait_until(10, sub { heard($listener) > 0 }),
	'it is heard after COMMIT PREPARED, though that knows nothing of it and time has passed');
$node->safe_psql($database,
	"SET crm_deals.notify = 'dispatch'; BEGIN; " . move(6, 'w')
	  . " PREPARE TRANSACTION 'two'; ROLLBACK PREPARED 'two';");
sleep 0.5;
is(scalar(heard($listener)), 0, 'nor is one that is rolled back');
$node->safe_psql($database,
	"SET crm_deals.notify = 'dispatch'; BEGIN; " . move(6, 'l') . " PREPARE TRANSACTION 'three';");
kill_worker($database);
wait_until(10, sub { workers($database) == 0 });
$node->safe_psql($database, "COMMIT PREPARED 'three'");
$node->safe_psql($database, 'SELECT crm_deals.start_dispatcher()');
ok(wait_until(10, sub { heard($listener) > 0 }), 'one that is committed while there is no worker is sent by the next');

# ----------
# The worker dies
# ----------

heard($listener);
my $from = value($node, 'SELECT max(id) FROM crm_deals.deal_event', database => $database);
my $killed = 0;
my @heard;

# Writers load it again until the worker was killed twice: a fast machine is done with one load before that.
for (my $loads = 0; $killed < 2 && $loads < 50; $loads++)
{
	my @loaders;

	for my $number (1 .. 3)
	{
		push @loaders, start_psql($database, $number, map { move("id = 1$number", $_ % 2 ? 'a' : 'b') } 1 .. 500);
	}

	while (any_is_running(@loaders))
	{
		$killed += kill_worker($database);
		push @heard, heard($listener);
		sleep 0.05;
	}
}
$node->safe_psql($database, "SET crm_deals.notify = 'dispatch';" . move(7, 'w'));
ok(all_sent($database), 'all is sent');
push @heard, heard($listener);
cmp_ok($killed, '>', 1, "the worker was killed $killed times in mid-load");
is(join(' ', event_ids(grep { $_->[0] eq 'crm_deals_stage_changed' } @heard)), join(' ',
	rows($node, "SELECT id FROM crm_deals.deal_event WHERE id > $from AND from_stage_id <> to_stage_id ORDER BY id",
		database => $database)), 'none is lost, none comes twice (' . @heard . ')');

# The server dies: what was not sent is sent by the next worker.
my $holder = session($database, 'holder');
$node->safe_psql($database, 'SET crm_deals.notify = off;' . move('id BETWEEN 100 AND 113', 'a'));
$holder->must('BEGIN');
$holder->must('SELECT FROM crm_deals.event_consumer WHERE consumer = crm_deals_internal.dispatcher() FOR UPDATE');
$from = value($node, 'SELECT max(id) FROM crm_deals.deal_event', database => $database);
$node->safe_psql($database,
	"SET crm_deals.notify = 'dispatch'; SET crm_deals.notify_limit = 5;" . move('id BETWEEN 100 AND 110', 'l')
	  . move('id BETWEEN 111 AND 113', 'w'));
sleep 0.3;
is(scalar(heard($listener)), 0, 'a dispatcher that cannot go on sends nothing');
$node->kill9;
$_->die_now for $holder, $listener, $writer, values %listeners;
# its children take a moment to notice
ok(wait_until(60,
	sub { system_log('pg_ctl', '-w', '-s', '-D', $node->data_dir, '-l', $node->logfile, '-o', '--cluster-name=dispatch',
		'start') == 0 }),
	'the server was killed and starts again');
$node->_update_pid(1);
is(workers(), 0, 'no worker starts by itself');
$listener = listen_to($database);
$node->safe_psql($database, 'SELECT crm_deals.start_dispatcher()');
ok(all_sent($database), 'all is sent after it');
@heard = heard($listener);
is(join(' ', event_ids(grep { $_->[0] eq 'crm_deals_stage_changed' } @heard)),
	join(' ', (sort { $a <=> $b } rows($node,
		"SELECT id FROM crm_deals.deal_event WHERE id > $from AND status = 'lost' ORDER BY id LIMIT 5",
		database => $database)), rows($node,
		"SELECT id FROM crm_deals.deal_event WHERE id > $from AND status = 'won' ORDER BY id", database => $database)),
	'what was committed before is heard');
my $rest = value($node,
	"SELECT count(*) - 5 FROM crm_deals.deal_event WHERE id > $from AND status = 'lost' AND from_status <> 'lost'",
	database => $database);
is(scalar(grep { $_->[0] eq 'crm_deals_stage_changed' && $_->[1] =~ /"count": $rest,/ } @heard), 1,
	"... with the summary of the rest ($rest)");

# ----------
# In nobody's way
# ----------

sub write_and_have_a_worker
{
	my ($database) = @_;

	$node->safe_psql($database, "SET crm_deals.notify = 'dispatch';" . move(8, 'w') . move(8, 'a'));
	wait_until(10, sub { workers($database) == 1 });
	return is(workers($database), 1, "$database: a worker is running");
}

$listener->close_session;
all_sent($database);
write_and_have_a_worker($database);
is(sqlstate_of($node, "CREATE DATABASE copy TEMPLATE $database"), '00000', 'CREATE DATABASE ... TEMPLATE waits for it');
my $copy = listen_to('copy');
$from = value($node, 'SELECT max(id) FROM crm_deals.deal_event', database => 'copy');
$node->safe_psql('copy', "SET crm_deals.notify = 'dispatch';" . move(9, 'w'));
ok(all_sent('copy'), 'the copy has a dispatcher of its own');
is(join(' ', event_ids(grep { $_->[0] eq 'crm_deals_won' } heard($copy))),
	join(' ', rows($node, "SELECT id FROM crm_deals.deal_event WHERE id > $from", database => 'copy')),
	'which sends what is written there, nothing of before');
$copy->close_session;
write_and_have_a_worker('copy');
is(sqlstate_of($node, 'DROP DATABASE copy'), '00000', 'DROP DATABASE waits for it');
make_database('forced');
write_and_have_a_worker('forced');
is(sqlstate_of($node, 'DROP DATABASE forced WITH (FORCE)'), '00000', 'DROP DATABASE ... WITH (FORCE) does not');
ok(wait_until(5, sub { workers() == 0 || workers($database) == workers() }), '... and no worker is left of it');

make_database('dropped');
write_and_have_a_worker('dropped');
is(sqlstate_of($node, 'DROP EXTENSION crm_deals CASCADE', database => 'dropped'), '00000',
	'DROP EXTENSION beside a worker');
ok(wait_until(5, sub { workers('dropped') == 0 }), '... it leaves');
is(sqlstate_of($node,
	'CREATE EXTENSION crm_deals; SELECT crm_deals.install(); SET crm_deals.notify = dispatch;' . move(9, 'b'),
	database => 'dropped'),
	'00000', '... and comes with the extension');
ok(all_sent('dropped'), '... to send');
wait_until(10, sub { workers('dropped') == 1 });
is(sqlstate_of($node, 'DROP SCHEMA crm_deals CASCADE', database => 'dropped'), '00000', 'DROP SCHEMA beside a worker');
ok(wait_until(5, sub { workers('dropped') == 0 }), '... it leaves, too');

# ----------
# An owner who is no superuser and cannot log in
# ----------

$node->safe_psql('postgres', 'CREATE ROLE keeper NOLOGIN; CREATE ROLE clerk LOGIN; CREATE DATABASE kept OWNER keeper');
$node->safe_psql('kept', <<'SQL');
SET ROLE keeper;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales'),
       crm_deals.create_pipeline('P', '[{"key": "a", "name": "A"}, {"key": "w", "name": "Won", "status": "won"}]');
SELECT crm_deals.grant_access('clerk', 'write');
INSERT INTO crm_deals.deal (name, pipeline_id) SELECT 'Deal ' || n, 2 FROM generate_series(1, 20) AS n;
CREATE TABLE public.who (name text);
CREATE FUNCTION public.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.who
    VALUES (tg_name || ': ' || current_user || ' ' || (SELECT rolsuper FROM pg_roles WHERE rolname = current_user));
    BEGIN
        EXECUTE 'RESET ROLE';
        EXECUTE 'RESET SESSION AUTHORIZATION';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        EXECUTE 'ALTER ROLE keeper SUPERUSER';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN NULL;
END
$$;
SQL
$listener = listen_to('kept');
$node->safe_psql('kept', "SET crm_deals.notify = 'dispatch';" . move(1, 'w'), extra_params => [ '-U', 'clerk' ]);
ok(wait_until(10, sub { heard($listener) == 2 }), 'an owner who cannot log in: a clerk\'s move is sent');
$node->safe_psql('kept',
	'SET ROLE keeper;
	 CREATE TRIGGER at_once AFTER INSERT
	 OR UPDATE ON crm_deals.event_consumer FOR EACH ROW EXECUTE FUNCTION public.look()');
$node->safe_psql('kept', "SET crm_deals.notify = 'dispatch';" . move(2, 'w'), extra_params => [ '-U', 'clerk' ]);
ok(wait_until(10, sub { heard($listener) == 2 }), 'a trigger of the owner\'s on event_consumer does not stop it');
is(value($node, 'SELECT DISTINCT name FROM public.who', database => 'kept'), 'at_once: keeper false',
	'... and runs as the owner');
$node->safe_psql('kept',
	'SET ROLE keeper; DROP TRIGGER at_once ON crm_deals.event_consumer;
	 CREATE CONSTRAINT TRIGGER later AFTER INSERT
	 OR UPDATE ON crm_deals.event_consumer DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.look()');
$node->safe_psql('kept', "SET crm_deals.notify = 'dispatch';" . move(3, 'w'), extra_params => [ '-U', 'clerk' ]);
ok(wait_until(10, sub { heard($listener) == 2 }), 'a deferred trigger of the owner\'s does not stop it');
is(value($node, "SELECT DISTINCT name FROM public.who WHERE name LIKE 'later%'", database => 'kept'),
	'later: keeper false', '... and runs as the owner');
# A deferred trigger that defers another one, which then fires at commit
$node->safe_psql('kept',
	"SET ROLE keeper; DROP TRIGGER later ON crm_deals.event_consumer;
	 CREATE TABLE public.last (n integer);
	 CREATE CONSTRAINT TRIGGER at_last AFTER INSERT
	 ON public.last DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.look();
	 CREATE FUNCTION public.defer() RETURNS trigger LANGUAGE plpgsql AS \$\$
	 BEGIN SET search_path = public; SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.last VALUES (1); RETURN NULL; END \$\$;
	 CREATE CONSTRAINT TRIGGER later AFTER INSERT
	 OR UPDATE ON crm_deals.event_consumer DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.defer()");
$node->safe_psql('kept', "SET crm_deals.notify = 'dispatch';" . move(6, 'w'), extra_params => [ '-U', 'clerk' ]);
ok(wait_until(10, sub { heard($listener) == 2 }), 'nor does one that defers another');
is(value($node, "SELECT DISTINCT name FROM public.who WHERE name LIKE 'at_last%'", database => 'kept'),
	'at_last: keeper false', '... and that one runs as the owner, too, at commit');
is(value($node, "SELECT rolsuper FROM pg_roles WHERE rolname = 'keeper'"), 'f', '... and gains nothing');
unlike(slurp_file($node->logfile), qr/GUC nest level/, '... nor does a setting of his outlive the commit');
heard($listener);
$node->safe_psql('kept', 'SET ROLE keeper; DROP TRIGGER later ON crm_deals.event_consumer');
$node->safe_psql('kept', "SET crm_deals.notify = 'dispatch';" . move(4, 'w'), extra_params => [ '-U', 'clerk' ]);
ok(all_sent('kept'), 'without it all is sent');
# functions of the owner's in its search_path, operators, a default of the database
$node->safe_psql('kept', <<'SQL');
ALTER DATABASE kept SET search_path = evil, public;
SET ROLE keeper;
CREATE SCHEMA evil;
CREATE FUNCTION evil.count(bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO public.who VALUES ('evil ' || current_user); RETURN 0; END
$$;
CREATE FUNCTION evil.look(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO public.who VALUES ('evil ' || current_user); RETURN true; END
$$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.look);
CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.look);
SQL
wait_until(10, sub { workers('kept') == 0 });
heard($listener);
$node->safe_psql('kept', "SET search_path = public; SET crm_deals.notify = 'dispatch';" . move(5, 'w'),
	extra_params => [ '-U', 'clerk' ]);
ok(wait_until(10, sub { heard($listener) == 2 }), 'a hostile search_path of the database: sent');
is(value($node, "SET search_path = public; SELECT count(*) FROM public.who WHERE name LIKE 'evil%'",
	database => 'kept'),
	0, '... and nothing of it ran');
$listener->close_session;
write_and_have_a_worker('kept');
is(sqlstate_of($node, 'DROP OWNED BY keeper CASCADE', database => 'kept'), '00000', 'DROP OWNED beside a worker');
ok(wait_until(5, sub { workers('kept') == 0 }), '... it leaves');

# ----------
# A trigger of the owner's that sleeps and catches what it can
# ----------

make_database('sleepy');
$node->safe_psql('sleepy', <<'SQL');
CREATE FUNCTION public.sleep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN
            PERFORM pg_sleep(1000);
        EXCEPTION WHEN OTHERS OR query_canceled THEN
            NULL;
        END;
    END LOOP;
END
$$;
CREATE TRIGGER sleep BEFORE UPDATE ON crm_deals.event_consumer FOR EACH ROW EXECUTE FUNCTION public.sleep();
SQL
my $place = -s $node->logfile;
$node->safe_psql('sleepy', "SET crm_deals.notify = 'dispatch';" . move(1, 'w'));
ok(wait_until(10, sub { workers('sleepy') == 1 }), 'a trigger that sleeps in the worker');
$node->safe_psql('sleepy', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE datname = 'sleepy' AND backend_type = 'crm_deals dispatcher'");
is(workers('sleepy'), 1, '... and catches cancel');
ok(wait_until(120, sub { workers('sleepy') == 0 }), '... does not hold it for ever');
like(slurp_file($node->logfile, $place),
	qr/LOG:  the dispatcher of deals leaves: a trigger took longer than \d+ seconds/,
	'... which the log of the server tells');
$listener = listen_to('sleepy');
$node->safe_psql('sleepy', 'DROP TRIGGER sleep ON crm_deals.event_consumer');
$node->safe_psql('sleepy', "SET crm_deals.notify = 'dispatch';" . move(2, 'w'));
ok(all_sent('sleepy'), 'without the trigger the next write starts another one');
is(scalar(grep { $_->[0] eq 'crm_deals_won' } heard($listener)), 2, '... and all is sent');
$listener->close_session;
wait_until(10, sub { workers('sleepy') == 0 });
# Workers that fail at once are not started with every commit.
$node->safe_psql('sleepy', <<'SQL');
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fails'; END $$;
CREATE TRIGGER fail BEFORE UPDATE ON crm_deals.event_consumer FOR EACH ROW EXECUTE FUNCTION public.fail();
SQL
$place = -s $node->logfile;
my $began = time;
$node->safe_psql('sleepy',
	join '', "SET crm_deals.notify = 'dispatch';", map { move($_, 'a') . move($_, 'b') } 10 .. 59);
my $failed = () = slurp_file($node->logfile, $place) =~ /ERROR:  fails/g;
cmp_ok($failed, '<=', 2 + time - $began, 'a worker that fails is not started again at once');
cmp_ok($failed, '>=', 1, '... but it was started');
# DROP DATABASE need not wait for the trigger.
$node->safe_psql('sleepy', 'DROP TRIGGER fail ON crm_deals.event_consumer; CREATE TRIGGER sleep BEFORE UPDATE ON
	crm_deals.event_consumer FOR EACH ROW EXECUTE FUNCTION public.sleep()');
sleep 1;
$node->safe_psql('sleepy', "SET crm_deals.notify = 'dispatch';" . move(3, 'w'));
ok(wait_until(10, sub { workers('sleepy') == 1 }), 'it sleeps again');
$node->safe_psql('postgres', 'DROP DATABASE sleepy WITH (FORCE)');
is(value($node, "SELECT count(*) FROM pg_database WHERE datname = 'sleepy'"), 0, '... and DROP DATABASE ends it');

# ----------
# Many first writers at once
# ----------

make_database('crowded');
$listener = listen_to('crowded');
my $most = 0;
my @crowd;
my $gate = session('crowded', 'gate');
$gate->must('SELECT pg_advisory_lock(1)');
for my $number (1 .. 8)
{
	push @crowd, start_psql('crowded', "crowd$number", 'SELECT pg_advisory_lock_shared(1)', move(100 + $number, 'w'));
}
wait_until(20, sub { value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 8 });
$gate->close_session;
while (any_is_running(@crowd))
{
	my $now = workers('crowded');
	$most = $now if $now > $most;
}
ok(all_sent('crowded'), 'eight first writers at once: all is sent');
$most = workers('crowded') if workers('crowded') > $most;
is($most, 1, '... by one worker');
is(scalar(grep { $_->[0] eq 'crm_deals_won' } heard($listener)), 8, '... once each');
is(join('', map { slurp_file("$errors.crowd$_") } 1 .. 8), '', '... without a warning');
$listener->close_session;

# Each database has its own.
write_and_have_a_worker('dispatched');
write_and_have_a_worker('crowded');

is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => $database), 0, 'verify() finds nothing');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal (?!9)/, 'nothing crashed');
$node->stop;

# ----------
# No free slot
# ----------

$node->append_conf('postgresql.conf', "max_worker_processes = 1\n");    # the launcher of logical replication takes it
$node->start;
my ($status, undef, $stderr) = $node->psql('crowded', "SET crm_deals.notify = 'dispatch';" . move(1, 'w'));
is($status, 0, 'no free worker: the write succeeds');
like($stderr, qr/WARNING:.*worker.*\n(?:DETAIL:.*\n)?HINT:.*max_worker_processes/, '... with a warning');
($status, undef, $stderr) = $node->psql('crowded', 'SELECT crm_deals.start_dispatcher()');
like($stderr, qr/WARNING:/, 'start_dispatcher() warns, too');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->restart;
$listener = listen_to('crowded');
$node->safe_psql('crowded', 'SELECT crm_deals.start_dispatcher()');
ok(all_sent('crowded'), 'when a worker can be started');
is(scalar(grep { $_->[0] eq 'crm_deals_won' } heard($listener)), 1, '... it is sent');
$listener->close_session;
$node->stop;
done_testing();
