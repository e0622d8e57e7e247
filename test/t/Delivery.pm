# What the tests of delivery share: writers that commit, roll back, prepare and die, readers of consumers that do too,
# and books of both, kept outside of the server, which are closed against each other and against the log.
#
# A writer names each part of a transaction that can be undone by itself (between savepoints) by a tag, TRANSACTION:PART,
# and writes it as the actor, so that an event tells where it comes from without a look at how the log works. The books
# are files in a folder, one a process; a line is a moment (of a clock that only goes forward), a verb, its arguments:
#
#   wrote TRANSACTION TAG=EVENTS,...    what is about to be committed or prepared; "?" where the answer never came
#   void TAG                            rolled back to a savepoint
#   ending TRANSACTION                  before COMMIT, COMMIT PREPARED, or a statement of its own, is sent
#   committed | undone TRANSACTION      the server has said so
#   got CONSUMER BATCH SINCE ID|TAG ... what a read_events gave that was sent at SINCE
#   acking CONSUMER BATCH FROM TO       before the acknowledgement of these places of the batch can become durable
#   acked CONSUMER BATCH FROM TO        the server has said that it is
#   subscribing | subscribed CONSUMER
#   fault TEXT                          what must not be
package Delivery;
use strict;
use warnings;

use CrmDeals ();
use Exporter 'import';
use POSIX ();
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);
use Test::More;

our @EXPORT = qw(one chance prepare_tables prepare_business rows_of);

sub now { return clock_gettime(CLOCK_MONOTONIC) }
sub one { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }

# Also a user's own triggers: changes inside of changes, of the same deal after it, of another before it.
sub prepare_tables
{
	return <<'SQL';
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
CREATE FUNCTION public.change_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        UPDATE crm_deals.deal SET notes = 'changed again' || clock_timestamp() WHERE id = new.id;
    ELSE
        INSERT INTO crm_deals.deal (name) VALUES ('Before ' || new.id);
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER again AFTER UPDATE OF source ON crm_deals.deal FOR EACH ROW WHEN (new.source LIKE 'again%') EXECUTE FUNCTION public.change_more();
CREATE TRIGGER before BEFORE UPDATE OF source ON crm_deals.deal FOR EACH ROW WHEN (new.source LIKE 'before%') EXECUTE FUNCTION public.change_more();
SQL
}

# The business that writers work on: deals 1 .. 60 are everybody's.
sub prepare_business
{
	return prepare_tables() . <<'SQL';
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.add_stage(1, 'Given up', status => 'abandoned');
UPDATE crm_deals.pipeline SET lost_reason_required = false, duplicate_policy = 'off';
SET crm_deals.actor = 'setup:1';
INSERT INTO crm_deals.deal (name) SELECT 'Deal ' || n FROM generate_series(1, 60) AS n;
SQL
}

# What is in each table: TABLE => 'COUNT DIGEST'
sub rows_of
{
	my ($node, $database) = @_;
	my $tables = $node->safe_psql($database // 'postgres', <<'SQL' . '\gexec');
SELECT format('SELECT %L, count(*) || '' '' || coalesce(md5(string_agg(t::text, '' '' ORDER BY t::text)), '''') FROM %s AS t', relname, oid::regclass)
FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace AND relkind = 'r'
SQL

	return { map { split /\|/ } split /\n/, $tables };
}

# ----------
# A session of psql
# ----------

package Delivery::Session;
use strict;
use warnings;

sub new
{
	my ($class, $connstr, $name, $errors) = @_;
	my $self = bless { name => $name, alive => 1, state => '00000', message => '' }, $class;

	pipe(my $child_in, $self->{in}) and pipe($self->{out}, my $child_out) or die "pipe: $!";
	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<&', $child_in) and open(STDOUT, '>&', $child_out) and open(STDERR, '>>', $errors) or POSIX::_exit(126);
		$ENV{PGAPPNAME} = $name;
		exec('psql', '-X', '-q', '-A', '-t', '-d', $connstr) or POSIX::_exit(127);
	}
	close $child_in;
	close $child_out;
	$self->{in}->autoflush(1);
	return $self;
}

# The rows of a statement. Afterwards {state} is its SQLSTATE, {message} what went wrong, {count} its count of rows; the
# state of a connection that is lost is 'lost'.
sub run
{
	my ($self, $sql) = @_;

	$self->start($sql);
	return $self->finish;
}

sub start
{
	my ($self, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';

	print { $self->{in} } "$sql" . ($sql =~ /\\\.$/ ? "" : ";") . "\n\\echo '\x01' :SQLSTATE :ROW_COUNT :LAST_ERROR_MESSAGE\n" if $self->{alive};
	return;
}

sub finish
{
	my ($self) = @_;
	my @rows;

	while ($self->{alive} && defined(my $line = readline $self->{out}))
	{
		chomp $line;
		if ($line =~ /^\x01/)
		{
			last if $line !~ /^\x01 (?!57P)(\w{5}) (\d+) ?(.*)/;    # the connection is lost: there is no SQLSTATE, or of a shutdown
			($self->{state}, $self->{count}, $self->{message}) = ($1, $2, $3);
			return @rows;
		}
		push @rows, $line;
	}
	$self->die_now;
	($self->{state}, $self->{count}, $self->{message}) = ('lost', 0, 'the connection is lost');
	return;
}

sub ok { return $_[0]{state} eq '00000' }

# Like run, for a statement that must succeed
sub must
{
	my ($self, $sql) = @_;
	my @rows = $self->run($sql);

	die "$self->{name}: $self->{state} $self->{message}\n    $sql" if !$self->ok;
	return wantarray ? @rows : $rows[0];
}

sub _gone
{
	my ($self) = @_;

	return if !$self->{alive};
	$self->{alive} = 0;
	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	return;
}

# The client goes, in the middle of whatever it did.
sub die_now
{
	my ($self) = @_;

	kill 'KILL', $self->{pid} if $self->{alive};
	$self->_gone;
	return;
}

sub close_session
{
	my ($self) = @_;
	local $SIG{PIPE} = 'IGNORE';

	return if !$self->{alive};
	print { $self->{in} } "\\q\n";
	$self->_gone;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	$self->die_now if $self->{alive} && ($self->{owner} // $$) == $$;
	return;
}

# ----------
# Books
# ----------

package Delivery;

# Delivery->new(node => the server, database => ...)
sub new
{
	my ($class, %options) = @_;
	my $self = bless { database => 'postgres', workers => [], name => 'main', transaction => 0, batch => 0, consumers => {},
		folder => PostgreSQL::Test::Utils::tempdir('books'), %options }, $class;

	$SIG{$_} = sub { exit 1 } for qw(TERM INT);    # so that servers and workers end with the test
	$self->_open_book;
	$self->aim($self->{node}) if $self->{node};
	$self->note_in_book('wrote', 'setup', 'setup:1=60');
	$self->note_in_book($_, 'setup') for 'ending', 'committed';
	return $self;
}

sub _open_book
{
	my ($self) = @_;

	open($self->{book}, '>>', "$self->{folder}/$self->{name}.book") or die "$self->{folder}: $!";
	$self->{book}->autoflush(1);
	return;
}

sub note_in_book
{
	my ($self, @fields) = @_;

	syswrite $self->{book}, join("\t", sprintf('%.6f', now()), @fields) . "\n";
	return;
}

sub fault { my ($self, $text) = @_; $text =~ s/\s+/ /g; $self->note_in_book('fault', "$self->{name}: $text"); return }

# Where workers connect to from now on; undef: nowhere, they wait.
sub aim
{
	my ($self, $node, $database) = @_;

	$self->{database} = $database if $database;
	open(my $file, '>', "$self->{folder}/target.new") or die $!;
	print $file $node->connstr($self->{database}) if $node;
	close $file;
	rename "$self->{folder}/target.new", "$self->{folder}/target" or die $!;
	$self->{node} = $node if $node;
	return;
}

sub session
{
	my ($self, $name, $database) = @_;
	my $session = Delivery::Session->new($self->{node}->connstr($database // $self->{database}), $name // $self->{name}, "$self->{folder}/errors");

	$session->{owner} = $$;
	$session->run('SET crm_deals.notify = off');    # what has notified cannot be PREPAREd
	return $session;
}

# The worker's own session, connected anew where it was lost; nothing while there is nowhere to connect to.
sub _connected
{
	my ($self, @settings) = @_;

	return $self->{session} if $self->{session} && $self->{session}{alive};
	open(my $file, '<', "$self->{folder}/target") or die $!;
	my $connstr = <$file>;
	if ($connstr)
	{
		my $session = Delivery::Session->new($connstr, $self->{name}, "$self->{folder}/errors");
		$session->{owner} = $$;
		$session->run($_) for 'SET lock_timeout = \'500ms\'', @settings;
		return $self->{session} = $session if $session->{alive};
	}
	sleep 0.03;
	return;
}

# ... or when the test is gone
sub _told_to_stop { my ($self, $kind) = @_; return -e "$self->{folder}/stop-$kind" || getppid() != $self->{parent} }

sub _worker
{
	my ($self, $name, $work) = @_;
	my $seed = int rand 2**31;
	my $parent = $$;
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		$SIG{TERM} = $SIG{INT} = 'DEFAULT';
		srand($seed);
		$self->{name} = $name;
		$self->{parent} = $parent;
		$self->{workers} = [];
		$self->_open_book;
		eval { $work->(); 1 } or $self->fault("died: $@");
		$self->{session}->close_session if $self->{session};
		POSIX::_exit(0);
	}
	push @{ $self->{workers} }, { pid => $pid, name => $name };
	return;
}

# Tells the workers of a kind (writers, readers) to come to an end, and waits for them.
sub stop_workers
{
	my ($self, $kind, $patience) = @_;
	my $until = now() + ($patience // 90);
	my @left = grep { $_->{name} =~ /^$kind/ } @{ $self->{workers} };

	open(my $file, '>', "$self->{folder}/stop-$kind") or die $!;
	while (@left && now() < $until)
	{
		@left = grep { waitpid($_->{pid}, POSIX::WNOHANG()) == 0 } @left;
		sleep 0.02 if @left;
	}
	for my $worker (@left)
	{
		$self->fault("$worker->{name} hangs");
		kill 'KILL', $worker->{pid};
		waitpid $worker->{pid}, 0;
	}
	$self->{workers} = [ grep { $_->{name} !~ /^$kind/ } @{ $self->{workers} } ];
	unlink "$self->{folder}/stop-$kind";
	return;
}

# A test that dies must not leave workers behind.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	for my $worker (@{ $self->{workers} }) { kill 'KILL', $worker->{pid}; waitpid $worker->{pid}, 0 }
	return;
}

# ----------
# Writers
# ----------

# What a writer may meet: a deadlock, a rival under REPEATABLE READ, a lock not got in time, its end by the administrator or with the server.
my %expected = map { $_ => 1 } qw(lost 40001 40P01 55P03);
# ... and of somebody else's prepared transaction: that it is gone, or busy.
my %expected_of_prepared = (%expected, map { $_ => 1 } qw(42704 55000));

sub writer
{
	my ($self, $number, %options) = @_;

	$self->_worker("writer$number", sub {
		$self->write_once(%options) while !$self->_told_to_stop('writer');
	});
	return;
}

# One transaction, or somebody's prepared transaction brought to its end.
sub write_once
{
	my ($self, %options) = @_;
	my $notify = $options{notify} // 'off';
	my $session = $self->_connected("SET crm_deals.notify = $notify") or return;

	if ($options{prepare} && chance(0.2))
	{
		$self->end_prepared($session, 1);
	}
	elsif (chance(0.3) && !$options{hold})
	{
		$self->_write_alone($session);
	}
	else
	{
		$self->_write_together($session, %options);
	}
	sleep rand($options{pause}) if $options{pause};
	return;
}

sub _new_transaction { my ($self) = @_; return "$self->{name}." . ++$self->{transaction} . '.' . $$ }

# A statement that changes deals: [sql, where the count of its events is, whether ids come back]. A change of source is
# two events (change_more), any other one.
sub _statement
{
	my ($self, $own) = @_;
	my $mine = $own && @{ $self->{own} //= [] };
	my $deal = $mine && chance($own) ? one(@{ $self->{own} }) : $own && $own == 1 ? 0 : 1 + int rand 60;
	my $stage = 1 + int rand 7;
	my $many = 1 + int rand 15;
	my $case = rand;

	return [ "UPDATE crm_deals.deal SET source = '" . one('again', 'before') . "' || clock_timestamp() WHERE id IN ($deal, @{[ 1 + int rand 60 ]})", 'twice' ] if chance(0.1);
	# every update changes a number besides: one that changes nothing is no event
	return [ "UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE id = $deal", 'rows' ] if $case < 0.15;
	return [ "UPDATE crm_deals.deal SET stage_id = $stage, amount = coalesce(amount, 0) + 1 WHERE id = $deal", 'rows' ] if $case < 0.45;
	return [ "INSERT INTO crm_deals.deal (name, stage_id) VALUES ('New', $stage) RETURNING id", 'rows', 'ids' ] if $case < 0.6;
	return [ "INSERT INTO crm_deals.deal (name, stage_id, owner) SELECT 'Bulk ' || n, 1 + (n + $stage) % 7, 'bulk' FROM generate_series(1, $many) AS n RETURNING id", 'rows', 'ids' ] if $case < 0.68;
	return [ "COPY crm_deals.deal (name, amount) FROM STDIN;\n" . join('', map { "Copied\t$_\n" } 1 .. $many) . '\\.', 'rows' ] if $case < 0.75;
	return [ "SELECT count(*) FILTER (WHERE outcome = 'moved') FROM crm_deals.move_deals(ARRAY[$deal], '" . one(qw(lead qualified proposal won lost given_up)) . "')", 'value' ] if $case < 0.85;
	return [ "DELETE FROM crm_deals.deal WHERE id = " . ($mine ? one(@{ $self->{own} }) : 0), 'rows' ] if $case < 0.89;
	return [ 'UPDATE crm_deals.deal SET expected_close_date = coalesce(expected_close_date, current_date) + 1, notes = \'x\' WHERE id = ANY (\'{'
		  . join(',', $mine ? @{ $self->{own} }[ -10 .. -1 ] : 0) =~ s/^,+//r . '}\')', 'rows' ] if $case < 0.95 && (!$mine || $mine >= 10);
	return [ "MERGE INTO crm_deals.deal AS d USING (VALUES ($deal), (0)) AS v (id) ON d.id = v.id WHEN MATCHED THEN UPDATE SET amount = coalesce(d.amount, 0) + 2, stage_id = $stage WHEN NOT MATCHED THEN INSERT (name) VALUES ('Merged')", 'rows' ];
}

# How many events it wrote; undef where it failed.
sub _change
{
	my ($self, $session, $own) = @_;
	my ($sql, $counted, $ids) = @{ $self->_statement($own) };
	my @rows = $session->run($sql);

	if (!$session->ok)
	{
		$self->fault("$session->{state} $session->{message}: $sql") if !$expected{ $session->{state} };
		return;
	}
	push @{ $self->{own} }, @rows if $ids;
	splice @{ $self->{own} }, 0, -200 if @{ $self->{own} // [] } > 400;
	return $counted eq 'value' ? $rows[0] : $counted eq 'twice' ? 2 * $session->{count} : $session->{count};
}

# What the tag has written becomes a part of an import.
sub _import
{
	my ($self, $session, $tag) = @_;

	$session->run('SET LOCAL session_replication_role = replica');
	$session->run("UPDATE crm_deals.deal_event SET origin = 'import' WHERE id > (SELECT max(id) - 5000 FROM crm_deals.deal_event) AND actor = '$tag'");
	$session->run('SET LOCAL session_replication_role = origin');
	return;
}

sub _write_alone
{
	my ($self, $session) = @_;
	my $transaction = $self->_new_transaction;

	$session->run("SET crm_deals.actor = '$transaction:1'");
	return if !$session->ok;
	$self->note_in_book('wrote', $transaction, "$transaction:1=?");
	$self->note_in_book('ending', $transaction);
	my $count = $self->_change($session, 0.5);
	if (defined $count)
	{
		$self->note_in_book('wrote', $transaction, "$transaction:1=$count");
		$self->note_in_book('committed', $transaction);
	}
	elsif ($session->{state} ne 'lost')
	{
		$self->note_in_book('undone', $transaction);
	}
	return;
}

sub _write_together
{
	my ($self, $session, %options) = @_;
	my $transaction = $self->_new_transaction;
	my $part = 0;
	my @levels = ({});    # of savepoints; TAG => events
	my $current;
	my $next_part = sub {
		$current = "$transaction:" . ++$part;
		$session->run("SET LOCAL crm_deals.actor = '$current'");
	};

	$session->run(chance(0.1) ? 'BEGIN ISOLATION LEVEL REPEATABLE READ' : 'BEGIN');
	$next_part->();
	if (chance(0.15))
	{
		$session->run('SELECT pg_current_xact_id()');    # an early id, late events
		sleep rand(0.1);
	}
	for (1 .. 1 + int rand($options{statements} // 5))
	{
		my $case = rand;

		last if !$session->ok;
		if ($case < 0.2)
		{
			$session->run('SAVEPOINT s' . @levels);
			push @levels, {};
			$next_part->();
		}
		elsif ($case < 0.3 && @levels > 1)
		{
			my $to = 1 + int rand $#levels;

			if (chance(0.5))
			{
				$session->run("ROLLBACK TO s$to");
				$self->note_in_book('void', $_) for map { keys %$_ } @levels[ $to .. $#levels ];
				@levels = (@levels[ 0 .. $to - 1 ], {});
			}
			else
			{
				my @released;

				$session->run("RELEASE s$to");
				@released = splice @levels, $to;
				$levels[-1] = { %{ $levels[-1] }, map { %$_ } @released };
			}
			$next_part->();
		}
		my $count = $self->_change($session, $options{hold} ? 1 : 0.5);
		$self->_import($session, $current) if $count && $options{import};
		if (defined $count)
		{
			$levels[-1]{$current} += $count;
		}
		elsif (@levels > 1 && $session->{state} ne 'lost')
		{
			# goes on after an error, without what the savepoint holds
			$session->run("ROLLBACK TO s$#levels");
			$self->note_in_book('void', $_) for keys %{ $levels[-1] }, $current;
			$levels[-1] = {};
			$next_part->();
		}
	}
	sleep 0.2 + rand($options{hold}) if $options{hold} && $session->ok;
	sleep rand(1) if chance(0.01);
	$self->_end($session, $transaction, { map { %$_ } @levels }, %options);
	return;
}

sub _end
{
	my ($self, $session, $transaction, $wrote, %options) = @_;
	my $case = rand;

	if (!$session->ok || $case < 0.12)
	{
		$session->run('ROLLBACK');
		$self->note_in_book('undone', $transaction);
		return;
	}
	if ($case < 0.15)
	{
		$session->die_now;
		$self->note_in_book('undone', $transaction);
		return;
	}
	if ($case < 0.16 && chance(0.5))
	{
		# as a server-side end of the session, with the work done
		$session->run('SELECT pg_terminate_backend(pg_backend_pid())');
		$self->note_in_book('undone', $transaction);
		return;
	}
	$self->note_in_book('wrote', $transaction, join ',', map { "$_=$wrote->{$_}" } sort keys %$wrote);
	if ($options{prepare} && $case < 0.45)
	{
		$session->run("PREPARE TRANSACTION '$transaction'");
		if ($session->{state} eq '0A000' && $options{notify} eq 'on')
		{
			$self->note_in_book('undone', $transaction);    # it has notified: section 5
		}
		elsif (!$session->ok && !$expected{ $session->{state} })
		{
			$self->fault("PREPARE: $session->{state} $session->{message}");
		}
		return;
	}
	$self->note_in_book('ending', $transaction);
	$session->run('COMMIT');
	$self->note_in_book('committed', $transaction) if $session->ok;
	$self->fault("COMMIT: $session->{state} $session->{message}") if !$session->ok && $session->{state} ne 'lost';
	return;
}

# Some prepared transaction, whoever's, is committed or rolled back, but those of a test's own (-kept). Returns whether
# there was one.
sub end_prepared
{
	my ($self, $session, $may_wait, $commit) = @_;
	my @prepared = $session->run('SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND gid NOT LIKE \'%-kept\' ORDER BY prepared');

	return if !@prepared || ($may_wait && @prepared < 5 && chance(0.5));
	my $transaction = $may_wait ? one(@prepared) : $prepared[0];
	my $verb = $commit || chance(0.7) ? 'COMMIT' : 'ROLLBACK';
	$self->note_in_book('ending', $transaction) if $verb eq 'COMMIT';
	$session->run("$verb PREPARED '$transaction'");
	if ($session->ok)
	{
		$self->note_in_book($verb eq 'COMMIT' ? 'committed' : 'undone', $transaction);
	}
	elsif (!$expected_of_prepared{ $session->{state} })
	{
		$self->fault("$verb PREPARED: $session->{state} $session->{message}");
	}
	return 1;
}

# A transaction of statements given, by a session of the test's own: open, to be ended by commit_written or undone.
sub begin_written
{
	my ($self, $session, @statements) = @_;
	my $transaction = $self->_new_transaction;
	my $count = 0;

	$session->must('BEGIN');
	$session->must("SET LOCAL crm_deals.actor = '$transaction:1'");
	for my $statement (@statements) { $session->must($statement); $count += $session->{count} }
	$self->note_in_book('wrote', $transaction, "$transaction:1=$count");
	return $transaction;
}

sub end_written
{
	my ($self, $session, $transaction, $sql) = @_;
	my $commits = $sql =~ /^COMMIT/;

	$self->note_in_book('ending', $transaction) if $commits;
	$session->must($sql);
	$self->note_in_book($commits ? 'committed' : 'undone', $transaction) if $sql !~ /^PREPARE/;
	return;
}

sub written
{
	my ($self, $session, @statements) = @_;

	my $transaction = $self->begin_written($session, @statements);
	$self->end_written($session, $transaction, 'COMMIT');
	return $transaction;
}

# ----------
# Consumers
# ----------

# kinds => [...], from_start, include_imports, styles => [qw(transaction plain lease)]
sub subscribe
{
	my ($self, $session, $consumer, %options) = @_;
	my $kinds = $options{kinds} ? "'{" . join(',', @{ $options{kinds} }) . "}'" : 'NULL';

	$self->{consumers}{$consumer} = \%options;
	$self->note_in_book('subscribing', $consumer);
	$session->must(sprintf "SELECT crm_deals.subscribe('%s', %s, %s, %s)", $consumer, $kinds,
		map { $options{$_} ? 'true' : 'false' } qw(from_start include_imports));
	$self->note_in_book('subscribed', $consumer);
	return;
}

# One batch: a list of [id, tag, batch, place]. Written into the book before anything else is done with it.
sub read_batch
{
	my ($self, $session, $consumer, $max, $lease) = @_;
	my $since = sprintf '%.6f', now();
	my $name = "$self->{name}.$$." . ++$self->{batch};
	my @batch;

	$lease = $lease ? ", '$lease'" : '';
	my @rows = $session->run("SELECT id, deal_id, payload ->> 'event', kind, payload ->> 'event_id', payload ->> 'deal_id', payload ->> 'actor' FROM crm_deals.read_events('$consumer', $max$lease)");
	if (!$session->ok)
	{
		$self->fault("read_events: $session->{state} $session->{message}") if $session->{state} ne 'lost';
		return;
	}
	for my $row (@rows)
	{
		my ($id, $deal, $event, $kind, $its_id, $its_deal, $tag) = split /\|/, $row, 7;

		$self->fault("the payload of event $id says: event $event ($kind), id $its_id, deal $its_deal ($deal)")
		  if $event ne "deal.$kind" || $its_id != $id || $its_deal != $deal;
		push @batch, [ $id, $tag, $name, scalar @batch ];
	}
	$self->fault("a batch of @{[ scalar @batch ]}, $max were asked for") if @batch > $max;
	my %seen;
	$self->fault("event $_->[0] comes twice in a batch") for grep { $seen{ $_->[0] }++ } @batch;
	$self->note_in_book('got', $consumer, $name, $since, join ' ', map { "$_->[0]|$_->[1]" } @batch) if @batch;
	return @batch;
}

# Acknowledges the first so many of a batch; alone: nobody else can have done so. In a transaction, what is returned is to
# be called once it has committed.
sub acknowledge
{
	my ($self, $session, $consumer, $batch, $many, $alone) = @_;
	my ($first, $last) = @$batch[ 0, $many - 1 ];
	my @what = ($consumer, $first->[2], $first->[3], $last->[3]);

	$self->note_in_book('acking', @what);
	my ($count) = $session->run("SELECT crm_deals.ack_events('$consumer', $last->[0])");
	if (!$session->ok)
	{
		$self->fault("ack_events: $session->{state} $session->{message}") if $session->{state} ne 'lost';
		return;
	}
	$self->fault("ack_events of $many events of $consumer gave $count") if $alone ? $count != $many : $count > $many;
	return sub { $self->note_in_book('acked', @what) };
}

sub reader
{
	my ($self, $consumer, %options) = @_;
	my $number = @{ $self->{workers} };

	$self->_worker("reader$number-$consumer", sub {
		while (!$self->_told_to_stop('reader'))
		{
			my $session = $self->_connected or next;
			my $got = $self->_read_once($session, $consumer, %options);
			sleep 0.01 + rand(0.05) if !$got;
			sleep rand($options{pause}) if $options{pause};
		}
	});
	return;
}

sub _read_once
{
	my ($self, $session, $consumer, %options) = @_;
	my $style = one(@{ $options{styles} // [ 'transaction', 'plain', 'lease' ] });
	my $max = one(1, 2, 7, 30, 100, 400);
	my $alone = $options{alone};
	my $case = rand;
	my ($many, $acked);

	if ($style eq 'transaction')
	{
		# some write, too, in the same transaction
		my $own = chance(0.1) && $self->_new_transaction;
		$session->run('BEGIN');
		if ($own)
		{
			$session->run("SET LOCAL crm_deals.actor = '$own:1'");
			$session->run("INSERT INTO crm_deals.deal (name) VALUES ('Read')");
			$self->note_in_book('wrote', $own, "$own:1=1");
		}
		my @batch = $self->read_batch($session, $consumer, $max);
		@batch = $self->read_batch($session, $consumer, one(1, $max, 200)) if $session->ok && chance(0.1);
		if ($session->ok && @batch)
		{
			$many = $case < 0.7 ? @batch : 1 + int rand @batch;
			$acked = $self->acknowledge($session, $consumer, \@batch, $many, 1) if $case < 0.9;
		}
		return 1 if !$session->{alive};
		if ($case > 0.8 && $case < 0.87)
		{
			sleep rand(0.2) if chance(0.3);
			$session->run('ROLLBACK');
			$self->note_in_book('undone', $own) if $own;
		}
		elsif ($case > 0.87 && $case < 0.94)
		{
			$session->die_now;
			$self->note_in_book('undone', $own) if $own;
		}
		else
		{
			$self->note_in_book('ending', $own) if $own;
			$session->run('COMMIT');
			$acked->() if $session->ok && $acked;
			$self->note_in_book('committed', $own) if $session->ok && $own;
		}
		return scalar @batch;
	}

	my @batch = $self->read_batch($session, $consumer, $max, $style eq 'lease' ? int(30 + rand(300)) . ' ms' : undef);
	return if !@batch;
	if ($case < 0.6)
	{
		$acked = $self->acknowledge($session, $consumer, \@batch, scalar @batch, $alone);
		$acked->() if $acked;
	}
	elsif ($case < 0.9)
	{
		# in part, and perhaps the rest
		$many = 1 + int rand @batch;
		$acked = $self->acknowledge($session, $consumer, \@batch, $many, $alone);
		$acked->() if $acked;
		splice @batch, 0, $many;
		if (@batch && $session->ok && chance(0.5))
		{
			$acked = $self->acknowledge($session, $consumer, \@batch, scalar @batch, $alone && $style eq 'plain');
			$acked->() if $acked;
		}
	}
	elsif ($case < 0.95)
	{
		$session->die_now;
	}
	return 1;
}

# Reads and acknowledges until nothing is left; what a lease holds comes when that expires. Returns how many came.
sub drain
{
	my ($self, @consumers) = @_;
	my $session = $self->session('drain');
	my $came = 0;

	@consumers = sort keys %{ $self->{consumers} } if !@consumers;
	for my $consumer (@consumers)
	{
		my $until = now() + 5;

		while (now() < $until)
		{
			my @batch = $self->read_batch($session, $consumer, one(10, 1000, 5000));

			$came += @batch;
			if (@batch)
			{
				my $acked = $self->acknowledge($session, $consumer, \@batch, scalar @batch, 1);
				$acked->() if $acked;
				$until = now() + 5;
			}
			else
			{
				my $pending = $session->must("SELECT pending FROM crm_deals.consumer_status WHERE consumer = '$consumer'");
				last if !$pending;
				sleep 0.05;
			}
		}
		$self->fault("$consumer: events are pending that are never read") if now() >= $until;
	}
	$session->close_session;
	return $came;
}

# Ends what writers have left prepared.
sub end_all_prepared
{
	my ($self) = @_;
	my $session = $self->session('end');

	1 while $self->end_prepared($session);
	$session->close_session;
	return;
}

# ----------
# Closing the books
# ----------

# Every line of every book that says one of these things, in the order of their moments.
sub _each_entry
{
	my ($self, $verbs, $do) = @_;
	my @books;

	for my $file (glob "$self->{folder}/*.book")
	{
		open(my $handle, '<', $file) or die "$file: $!";
		push @books, { handle => $handle };
	}
	my $next = sub {
		my ($book) = @_;

		while (defined(my $line = readline $book->{handle}))
		{
			chomp $line;
			$book->{entry} = [ split /\t/, $line, -1 ];
			return 1 if $book->{entry}[1] =~ $verbs;
		}
		return 0;
	};
	@books = grep { $next->($_) } @books;
	while (@books)
	{
		my ($first) = @books;

		for my $book (@books) { $first = $book if $book->{entry}[0] < $first->{entry}[0] }
		$do->(@{ $first->{entry} });
		@books = grep { $_ != $first } @books if !$next->($first);
	}
	return;
}

# By the words of the contract: whether a consumer of these kinds gets an event.
sub _wanted
{
	my ($event, $options) = @_;
	my $opened = ($event->{status} ne '' && $event->{status} ne ($event->{from_status} || 'open')) ? $event->{status} : '';
	my %meant = (
		created => $event->{version} == 1,
		stage_changed => $event->{from_stage} ne '' && $event->{to_stage} ne '' && $event->{from_stage} != $event->{to_stage},
		reopened => $opened eq 'open',
		map({ $_ => $opened eq $_ } qw(won lost abandoned)));

	return 0 if $event->{origin} eq 'import' && !$options->{include_imports};
	return 1 if !$options->{kinds};
	return !!grep { $meant{$_} // $event->{kind} eq $_ } @{ $options->{kinds} };
}

sub log_of
{
	my ($self) = @_;
	my @log;

	for my $row (split /\n/, $self->{node}->safe_psql($self->{database},
		'SELECT id, deal_id, version, kind, origin, from_stage_id, to_stage_id, from_status, status, actor FROM crm_deals.deal_event ORDER BY id'))
	{
		my %event;
		@event{qw(id deal version kind origin from_stage to_stage from_status status tag)} = split /\|/, $row, 10;
		push @log, \%event;
	}
	return \@log;
}

# Everything known is compared; returns the faults by the check that they fail, and figures. Options:
#   lossy => 1       the server lost what it had not replicated: the log says what was committed, and acknowledged
#                    events may come again
#   since => MOMENT  (lossy) from which on acknowledgements hold
sub close_books
{
	my ($self, %options) = @_;
	my $log = $self->log_of;
	my %number = map { ("$log->[$_]{id}|$log->[$_]{tag}" => $_) } 0 .. $#$log;
	my (%tags, %transactions, %void, %in_log, %subscribed);
	my %faults = map { $_ => [] } qw(log delivered early order acknowledged other);
	my %figures = (committed => scalar @$log, map { $_ => 0 } qw(delivered repeated lost acknowledged));
	my $complain = sub { my ($check, $text) = @_; push @{ $faults{$check} }, $text };

	# 1. The log is what was committed: each part of each transaction, whole or not at all.
	$self->_each_entry(qr/^(wrote|void|ending|committed|undone|subscrib\w+|fault)$/, sub {
		my ($moment, $verb, @args) = @_;

		if ($verb eq 'wrote') { $transactions{ $args[0] }{tags} = { map { split /=/ } split /,/, $args[1] } }
		elsif ($verb eq 'void') { $void{ $args[0] } = 1 }
		elsif ($verb eq 'ending') { $transactions{ $args[0] }{ending} //= $moment }
		elsif ($verb eq 'fault') { $complain->('other', $args[0]) }
		elsif ($verb =~ /^subscrib/) { $subscribed{ $args[0] }{$verb} //= $moment }
		else { $transactions{ $args[0] }{$verb} = $moment }
	});
	$in_log{ $_->{tag} }++ for @$log;
	for my $name (keys %transactions)
	{
		my $transaction = $transactions{$name};
		my $tags = $transaction->{tags} // {};
		my $known = !$options{lossy} && ($transaction->{committed} ? 'committed' : $transaction->{undone} ? 'undone' : '');
		my $happened = $known ? $known eq 'committed' : !!grep { $in_log{$_} } keys %$tags;

		$transaction->{happened} = $happened;
		$complain->('log', "$name has been committed and rolled back") if $transaction->{committed} && $transaction->{undone} && !$options{lossy};
		$complain->('log', "$name: committed, of which the client never asked") if $happened && !$transaction->{ending};
		for my $tag (keys %$tags)
		{
			my $expected = $happened ? $tags->{$tag} : 0;
			my $found = $in_log{$tag} // 0;

			$complain->('log', "$name ($tag): $found events, $expected were " . ($happened ? 'committed' : 'rolled back'))
			  if $expected ne '?' && $found != $expected;
			$tags{$tag} = $transaction;
		}
	}
	for my $tag (keys %in_log)
	{
		$complain->('log', "events of $tag, of which nobody knows") if !$tags{$tag};
		$complain->('log', "events of $tag, which was rolled back to a savepoint") if $void{$tag};
	}

	# 2. What each consumer got, in the order in which it did
	my (%got, %batches);
	$self->_each_entry(qr/^(got|acking|acked)$/, sub {
		my ($moment, $verb, $consumer, $batch, @args) = @_;
		my $mine = $got{$consumer} //= { count => [], acked => [], asked => '', version => {} };

		if ($verb eq 'got')
		{
			my ($since, $events) = @args;

			for my $key (split / /, $events)
			{
				my $place = $number{$key} //= @$log + keys %number;    # of what is not in the log: beyond
				my $event = $place <= $#$log ? $log->[$place] : undef;

				push @{ $batches{$batch} }, $place;
				if (defined $mine->{acked}[$place] && $mine->{acked}[$place] < $since && (!$options{lossy} || $mine->{acked}[$place] > $options{since}))
				{
					$complain->('acknowledged', "$consumer: event $key comes again, it was acknowledged before");
				}
				if ($mine->{count}[$place]++)
				{
					$figures{repeated}++;
					next;
				}
				$figures{delivered}++;
				if (!$event)
				{
					$complain->('early', "$consumer got event $key, which was never committed") if !$options{lossy};
					next;
				}
				my $ending = ($tags{ $event->{tag} } // {})->{ending} // 9e99;
				$complain->('early', sprintf '%s got event %s %.3f ms before it was committed', $consumer, $key, ($ending - $moment) * 1000) if $ending > $moment;
				my $version = \$mine->{version}{ $event->{deal} };
				$complain->('order', "$consumer got version $event->{version} of deal $event->{deal} after version $$version") if $event->{version} <= ($$version // 0);
				$$version = $event->{version};
			}
			return;
		}
		my ($from, $to) = @args;
		for my $place (@{ $batches{$batch} }[ $from .. $to ])
		{
			if ($verb eq 'acking') { vec($mine->{asked}, $place, 1) = 1 }
			else
			{
				$mine->{acked}[$place] = $moment if $options{lossy} || !$mine->{acked}[$place];
				$figures{acknowledged}++;
			}
		}
	});

	# 3. What each consumer should have got
	for my $consumer (sort keys %{ $self->{consumers} })
	{
		my $options = $self->{consumers}{$consumer};
		my $began = $subscribed{$consumer};
		my $mine = $got{$consumer} // { count => [], asked => '' };

		for my $place (0 .. $#$log)
		{
			my $event = $log->[$place];
			my $name = "$event->{id} of $event->{tag}";
			my $transaction = $tags{ $event->{tag} } // {};
			my $wanted = _wanted($event, $options);
			my $early = $wanted && !$options->{from_start} && ($transaction->{committed} // 9e99) < $began->{subscribing};
			my $perhaps = $wanted && !$options->{from_start} && !$early && ($transaction->{ending} // 0) < $began->{subscribed};

			if ($mine->{count}[$place])
			{
				$complain->('delivered', "$consumer got event $name, $event->{kind}, which it did not ask for") if !$wanted;
				$complain->('delivered', "$consumer got event $name from before it subscribed") if $early;
				$complain->('acknowledged', "$consumer: event $name was never acknowledged") if !vec($mine->{asked}, $place, 1);
			}
			elsif ($wanted && !$early && !$perhaps)
			{
				$figures{lost}++;
				$complain->('delivered', "$consumer never got event $name: deal $event->{deal}, version $event->{version}, $event->{kind}");
			}
		}
	}
	$figures{transactions} = grep { $_->{happened} } values %transactions;
	$figures{vanished} = grep { $_->{committed} && !$_->{happened} } values %transactions;
	$figures{unknown} = grep { !$_->{committed} && !$_->{undone} } values %transactions;
	$figures{undone} = grep { !$_->{happened} } values %transactions;
	return (\%faults, \%figures);
}

# The same as tests, and a summary. Afterwards the seven rules; with proof => 1 by CrmDeals::proof, too, which takes a
# millisecond an event.
sub closed_books_ok
{
	my ($self, $name, %options) = @_;
	my ($faults, $figures) = $self->close_books(%options);
	my %names = (
		log => 'the log is exactly what writers committed, part by part',
		delivered => 'every consumer got every event that it asked for, and no other',
		early => 'none was got before its commit, none of a transaction or savepoint that was rolled back',
		order => 'first deliveries of each deal come in order of version',
		acknowledged => 'all is acknowledged, and what was acknowledged did not come again',
		other => 'nothing went wrong besides');

	for my $check (qw(log delivered early order acknowledged other))
	{
		my @faults = sort @{ $faults->{$check} };

		is(join("\n", @faults > 20 ? (@faults[ 0 .. 19 ], '... ' . @faults . ' in all') : @faults), '', "$name: $names{$check}");
	}
	note sprintf '%s: %d transactions committed, %d not (of %d the client could not know); %d events committed; %d consumers: %d delivered, %d repeated, %d acknowledged, %d lost',
	  $name, @$figures{qw(transactions undone unknown committed)}, scalar(keys %{ $self->{consumers} }), @$figures{qw(delivered repeated acknowledged lost)};
	is($self->{node}->safe_psql($self->{database}, 'SELECT count(*) FROM crm_deals.verify()'), 0, "$name: the seven rules hold: verify() finds nothing");
	is($self->{node}->safe_psql($self->{database}, 'SELECT count(*) FROM (SELECT FROM crm_deals.deal_event GROUP BY deal_id HAVING count(*) <> max(version) OR min(version) <> 1) AS e'),
		0, "$name: the versions of every deal are 1, 2, 3, ...");
	if ($options{proof})
	{
		$self->{node}->safe_psql($self->{database}, CrmDeals::proof());
		is($self->{node}->safe_psql($self->{database}, 'SELECT proof.check()'), '', "$name: the log folded into rows is the table of deals, every move was permitted");
	}
	return $figures;
}

1;
