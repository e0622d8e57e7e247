# Processes that write deals at random. They commit, roll back, go back to savepoints, prepare and die.
package Delivery::Writers;
use strict;
use warnings;

use Delivery::Common;
use Time::HiRes qw(sleep);

# The errors that a writer may meet: the connection is lost, another transaction changed the row under REPEATABLE READ,
# a deadlock, a lock that it did not get in time.
my %expected = map { $_ => 1 } qw(lost 40001 40P01 55P03);
# With a prepared transaction of somebody else also: it is gone, or in use.
my %expected_of_prepared = (%expected, map { $_ => 1 } qw(42704 55000));

# Starts a process that writes until it is told to stop.
sub writer
{
	my ($self, $number, %options) = @_;

	$self->start_worker("writer$number", sub {
		$self->write_once(%options) while !$self->told_to_stop('writer');
	});
	return;
}

# Runs one transaction, or ends a prepared transaction of anybody.
sub write_once
{
	my ($self, %options) = @_;
	my $notify = $options{notify} // 'off';
	my $session = $self->connected("SET crm_deals.notify = $notify") or return;

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

# A new name for a transaction.
sub new_transaction
{
	my ($self) = @_;

	return "$self->{name}." . ++$self->{transaction} . '.' . $$;
}

# Returns a random statement that changes deals: [sql, where the number of its events is found, whether it returns ids].
# A change of source makes two events (see change_more in Delivery.pm), every other change makes one.
sub _statement
{
	my ($self, $own) = @_;
	my $mine = $own && @{ $self->{own} //= [] };
	my $deal = $mine && chance($own) ? one(@{ $self->{own} }) : $own && $own == 1 ? 0 : 1 + int rand 60;
	my $stage = 1 + int rand 7;
	my $many = 1 + int rand 15;
	my $case = rand;

	if (chance(0.1))
	{
		my $source = one('again', 'before');
		my $other = 1 + int rand 60;

		return [
			"UPDATE crm_deals.deal SET source = '$source' || clock_timestamp() WHERE id IN ($deal, $other)",
			'twice' ];
	}
	# Every update also changes a number: one that changes nothing makes no event.
	return [ "UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE id = $deal", 'rows' ] if $case < 0.15;
	return [ "UPDATE crm_deals.deal SET stage_id = $stage, amount = coalesce(amount, 0) + 1 WHERE id = $deal", 'rows' ]
	  if $case < 0.45;
	return [ "INSERT INTO crm_deals.deal (name, stage_id) VALUES ('New', $stage) RETURNING id", 'rows', 'ids' ]
	  if $case < 0.6;
	return [
		"INSERT INTO crm_deals.deal (name, stage_id, owner)
		 SELECT 'Bulk ' || n, 1 + (n + $stage) % 7, 'bulk' FROM generate_series(1, $many) AS n RETURNING id",
		'rows', 'ids' ]
	  if $case < 0.68;
	if ($case < 0.75)
	{
		my $rows = join '', map { "Copied\t$_\n" } 1 .. $many;

		return [ "COPY crm_deals.deal (name, amount) FROM STDIN;\n$rows\\.", 'rows' ];
	}
	if ($case < 0.85)
	{
		my $key = one(qw(lead qualified proposal won lost given_up));

		return [
			"SELECT count(*) FILTER (WHERE outcome = 'moved') FROM crm_deals.move_deals(ARRAY[$deal], '$key')",
			'value' ];
	}
	return [ "DELETE FROM crm_deals.deal WHERE id = " . ($mine ? one(@{ $self->{own} }) : 0), 'rows' ] if $case < 0.89;
	if ($case < 0.95 && (!$mine || $mine >= 10))
	{
		my $ids = join(',', $mine ? @{ $self->{own} }[ -10 .. -1 ] : 0) =~ s/^,+//r;

		return [
			"UPDATE crm_deals.deal
			 SET expected_close_date = coalesce(expected_close_date, current_date) + 1, notes = 'x'
			 WHERE id = ANY ('{$ids}')",
			'rows' ];
	}
	return [
		"MERGE INTO crm_deals.deal AS d USING (VALUES ($deal), (0)) AS v (id) ON d.id = v.id
		 WHEN MATCHED THEN UPDATE SET amount = coalesce(d.amount, 0) + 2, stage_id = $stage
		 WHEN NOT MATCHED THEN INSERT (name) VALUES ('Merged')",
		'rows' ];
}

# Runs a random statement and returns the number of its events, or undef if it failed.
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

# Turns the events that the tag has written into events of an import.
sub _import
{
	my ($self, $session, $tag) = @_;

	$session->run('SET LOCAL session_replication_role = replica');
	$session->run(
		"UPDATE crm_deals.deal_event SET origin = 'import'
		 WHERE id > (SELECT max(id) - 5000 FROM crm_deals.deal_event) AND actor = '$tag'");
	$session->run('SET LOCAL session_replication_role = origin');
	return;
}

# Writes by one statement outside of a transaction block.
sub _write_alone
{
	my ($self, $session) = @_;
	my $transaction = $self->new_transaction;

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

# Writes by several statements, some of them between savepoints, in a transaction block.
sub _write_together
{
	my ($self, $session, %options) = @_;
	my $transaction = $self->new_transaction;
	my $part = 0;
	my @levels = ({});    # for each open savepoint: TAG => the number of its events
	my $current;
	my $next_part = sub {
		$current = "$transaction:" . ++$part;
		$session->run("SET LOCAL crm_deals.actor = '$current'");
	};

	$session->run(chance(0.1) ? 'BEGIN ISOLATION LEVEL REPEATABLE READ' : 'BEGIN');
	$next_part->();
	if (chance(0.15))
	{
		$session->run('SELECT pg_current_xact_id()');    # so the id is early and the events are late
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
			# go on after an error, without what was written since the savepoint
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

# Ends a transaction: commits, prepares, rolls back or dies.
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
		# the server ends the session after the work is done
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
			$self->note_in_book('undone', $transaction);    # a transaction that has notified cannot be prepared
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

# Commits or rolls back one prepared transaction of anybody, but not those that a test keeps (-kept). Returns whether
# there was one.
sub end_prepared
{
	my ($self, $session, $may_wait, $commit) = @_;
	my @prepared = $session->run(
		"SELECT gid FROM pg_prepared_xacts
		 WHERE database = current_database() AND gid NOT LIKE '%-kept' ORDER BY prepared");

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

# Runs statements in a transaction of the test's own session and leaves it open for end_written().
sub begin_written
{
	my ($self, $session, @statements) = @_;
	my $transaction = $self->new_transaction;
	my $count = 0;

	$session->must('BEGIN');
	$session->must("SET LOCAL crm_deals.actor = '$transaction:1'");
	for my $statement (@statements)
	{
		$session->must($statement);
		$count += $session->{count};
	}
	$self->note_in_book('wrote', $transaction, "$transaction:1=$count");
	return $transaction;
}

# Ends such a transaction by $sql: COMMIT, ROLLBACK, PREPARE TRANSACTION and so on.
sub end_written
{
	my ($self, $session, $transaction, $sql) = @_;
	my $commits = $sql =~ /^COMMIT/;

	$self->note_in_book('ending', $transaction) if $commits;
	$session->must($sql);
	$self->note_in_book($commits ? 'committed' : 'undone', $transaction) if $sql !~ /^PREPARE/;
	return;
}

# Runs statements in a transaction of the test's own session, commits it and returns its name.
sub written
{
	my ($self, $session, @statements) = @_;

	my $transaction = $self->begin_written($session, @statements);
	$self->end_written($session, $transaction, 'COMMIT');
	return $transaction;
}

# Ends every prepared transaction that writers have left.
sub end_all_prepared
{
	my ($self) = @_;
	my $session = $self->session('end');

	1 while $self->end_prepared($session);
	$session->close_session;
	return;
}

1;
