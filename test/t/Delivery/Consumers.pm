# Consumers, and the processes that read their events. They acknowledge in part, roll back, lose leases and die.
package Delivery::Consumers;
use strict;
use warnings;

use Delivery::Common;
use Time::HiRes qw(sleep);

# Subscribes a consumer. Options: kinds => [...], from_start, include_imports, styles => [qw(transaction plain lease)].
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

# Reads one batch, a list of [id, tag, batch, place], and writes it into the book before anything else happens to it.
sub read_batch
{
	my ($self, $session, $consumer, $max, $lease) = @_;
	my $since = sprintf '%.6f', now();
	my $name = "$self->{name}.$$." . ++$self->{batch};
	my @batch;

	$lease = $lease ? ", '$lease'" : '';
	my @rows = $session->run(
		"SELECT id, deal_id, payload ->> 'event', kind, payload ->> 'event_id', payload ->> 'deal_id',
		        payload ->> 'actor'
		 FROM crm_deals.read_events('$consumer', $max$lease)");
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

# Acknowledges the first $many events of a batch. $alone says that nobody else can have acknowledged them. Returns a
# function that notes the acknowledgement in the book; the caller calls it once the transaction has committed.
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

# Starts a process that reads and acknowledges until it is told to stop.
sub reader
{
	my ($self, $consumer, %options) = @_;
	my $number = @{ $self->{workers} };

	$self->start_worker("reader$number-$consumer", sub {
		while (!$self->told_to_stop('reader'))
		{
			my $session = $self->connected or next;
			my $got = $self->_read_once($session, $consumer, %options);
			sleep 0.01 + rand(0.05) if !$got;
			sleep rand($options{pause}) if $options{pause};
		}
	});
	return;
}

# Reads one batch in a random way, and acknowledges all of it, a part of it or nothing.
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
		# some readers also write in the same transaction
		my $own = chance(0.1) && $self->new_transaction;
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
		# a part, and perhaps the rest afterwards
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

# Reads and acknowledges until nothing is left. Events that a lease holds come when it expires. Returns the number of
# events that came.
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
				my $pending =
				  $session->must("SELECT pending FROM crm_deals.consumer_status WHERE consumer = '$consumer'");
				last if !$pending;
				sleep 0.05;
			}
		}
		$self->fault("$consumer: events are pending that are never read") if now() >= $until;
	}
	$session->close_session;
	return $came;
}

1;
