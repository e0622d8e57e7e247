# The comparison at the end of a test: what writers and readers wrote into their books, with each other and with the
# log.
package Delivery::Audit;
use strict;
use warnings;

use CrmDeals ();
use Test::More;

# A moment after every other one.
use constant NEVER => 9e99;

# Whether a consumer with these options gets this event, according to the contract.
sub _wanted
{
	my ($event, $options) = @_;
	my $changed = $event->{status} ne '' && $event->{status} ne ($event->{from_status} || 'open');
	my $opened = $changed ? $event->{status} : '';
	my %meant = (
		created => $event->{version} == 1,
		stage_changed => $event->{from_stage} ne ''
		  && $event->{to_stage} ne ''
		  && $event->{from_stage} != $event->{to_stage},
		reopened => $opened eq 'open',
		map({ $_ => $opened eq $_ } qw(won lost abandoned)));

	return 0 if $event->{origin} eq 'import' && !$options->{include_imports};
	return 1 if !$options->{kinds};
	return !!grep { $meant{$_} // $event->{kind} eq $_ } @{ $options->{kinds} };
}

# Returns the events of the log in their order.
sub log_of
{
	my ($self) = @_;
	my @log;

	for my $row (split /\n/, $self->{node}->safe_psql($self->{database},
		'SELECT id, deal_id, version, kind, origin, from_stage_id, to_stage_id, from_status, status, actor
		 FROM crm_deals.deal_event ORDER BY id'))
	{
		my %event;
		@event{qw(id deal version kind origin from_stage to_stage from_status status tag)} = split /\|/, $row, 10;
		push @log, \%event;
	}
	return \@log;
}

# Compares everything that is known. Returns the faults, by the check that they fail, and figures. Options:
#   lossy => 1       the server lost what it had not replicated: the log says what was committed, and acknowledged
#                    events may come again
#   since => MOMENT  (lossy) acknowledgements after this moment hold
sub close_books
{
	my ($self, %options) = @_;
	my $log = $self->log_of;
	my %audit = (
		options => \%options,
		log => $log,
		number => { map { ("$log->[$_]{id}|$log->[$_]{tag}" => $_) } 0 .. $#$log },
		tags => {},            # TAG => its transaction
		transactions => {},    # TRANSACTION => what the books say of it
		subscribed => {},      # CONSUMER => when it was subscribed
		got => {},             # CONSUMER => what it got
		faults => { map { $_ => [] } qw(log delivered early order acknowledged other) },
		figures => { committed => scalar @$log, map { $_ => 0 } qw(delivered repeated lost acknowledged) });

	$audit{complain} = sub { my ($check, $text) = @_; push @{ $audit{faults}{$check} }, $text };
	$self->_check_log(\%audit);
	$self->_check_deliveries(\%audit);
	$self->_check_gaps(\%audit);

	my @transactions = values %{ $audit{transactions} };
	my $figures = $audit{figures};
	$figures->{transactions} = grep { $_->{happened} } @transactions;
	$figures->{vanished} = grep { $_->{committed} && !$_->{happened} } @transactions;
	$figures->{unknown} = grep { !$_->{committed} && !$_->{undone} } @transactions;
	$figures->{undone} = grep { !$_->{happened} } @transactions;
	return ($audit{faults}, $figures);
}

# The log must be what was committed: each part of each transaction, whole or not at all.
sub _check_log
{
	my ($self, $audit) = @_;
	my ($transactions, $tags, $complain) = @$audit{qw(transactions tags complain)};
	my $lossy = $audit->{options}{lossy};
	my (%void, %in_log);

	$self->each_entry(qr/^(wrote|void|ending|committed|undone|subscrib\w+|fault)$/, sub {
		my ($moment, $verb, @args) = @_;

		if ($verb eq 'wrote') { $transactions->{ $args[0] }{tags} = { map { split /=/ } split /,/, $args[1] } }
		elsif ($verb eq 'void') { $void{ $args[0] } = 1 }
		elsif ($verb eq 'ending') { $transactions->{ $args[0] }{ending} //= $moment }
		elsif ($verb eq 'fault') { $complain->('other', $args[0]) }
		elsif ($verb =~ /^subscrib/) { $audit->{subscribed}{ $args[0] }{$verb} //= $moment }
		else { $transactions->{ $args[0] }{$verb} = $moment }
	});
	$in_log{ $_->{tag} }++ for @{ $audit->{log} };
	for my $name (keys %$transactions)
	{
		my $transaction = $transactions->{$name};
		my $its_tags = $transaction->{tags} // {};
		my $known = !$lossy && ($transaction->{committed} ? 'committed' : $transaction->{undone} ? 'undone' : '');
		my $happened = $known ? $known eq 'committed' : !!grep { $in_log{$_} } keys %$its_tags;

		$transaction->{happened} = $happened;
		$complain->('log', "$name has been committed and rolled back")
		  if $transaction->{committed} && $transaction->{undone} && !$lossy;
		$complain->('log', "$name was committed, but the client never sent the commit")
		  if $happened && !$transaction->{ending};
		for my $tag (keys %$its_tags)
		{
			my $expected = $happened ? $its_tags->{$tag} : 0;
			my $found = $in_log{$tag} // 0;
			my $end = $happened ? 'committed' : 'rolled back';

			$complain->('log', "$name ($tag): $found events, $expected were $end")
			  if $expected ne '?' && $found != $expected;
			$tags->{$tag} = $transaction;
		}
	}
	for my $tag (keys %in_log)
	{
		$complain->('log', "events of $tag, which is in no book") if !$tags->{$tag};
		$complain->('log', "events of $tag, which was rolled back to a savepoint") if $void{$tag};
	}
	return;
}

# What each consumer got must come after its commit, in order, and not again after an acknowledgement.
sub _check_deliveries
{
	my ($self, $audit) = @_;
	my $got = $audit->{got};
	my %batches;    # BATCH => the places of its events in the log

	$self->each_entry(qr/^(got|acking|acked)$/, sub {
		my ($moment, $verb, $consumer, $batch, @args) = @_;
		my $mine = $got->{$consumer} //= { count => [], acked => [], asked => '', version => {} };

		if ($verb eq 'got')
		{
			my ($since, $events) = @args;

			push @{ $batches{$batch} }, _check_delivery($audit, $consumer, $moment, $since, $_) for split / /, $events;
			return;
		}
		my ($from, $to) = @args;
		for my $place (@{ $batches{$batch} }[ $from .. $to ])
		{
			if ($verb eq 'acking') { vec($mine->{asked}, $place, 1) = 1 }
			else
			{
				$mine->{acked}[$place] = $moment if $audit->{options}{lossy} || !$mine->{acked}[$place];
				$audit->{figures}{acknowledged}++;
			}
		}
	});
	return;
}

# Checks one event, ID|TAG, that a consumer got. Returns its place in the log; an event that is not in the log gets a
# place after its end.
sub _check_delivery
{
	my ($audit, $consumer, $moment, $since, $key) = @_;
	my ($log, $number, $options, $figures, $complain) = @$audit{qw(log number options figures complain)};
	my $mine = $audit->{got}{$consumer};
	my $place = $number->{$key} //= @$log + keys %$number;
	my $event = $place <= $#$log ? $log->[$place] : undef;
	my $acked = $mine->{acked}[$place];

	$complain->('acknowledged', "$consumer: event $key comes again, it was acknowledged before")
	  if defined $acked && $acked < $since && (!$options->{lossy} || $acked > $options->{since});
	if ($mine->{count}[$place]++)
	{
		$figures->{repeated}++;
		return $place;
	}
	$figures->{delivered}++;
	if (!$event)
	{
		$complain->('early', "$consumer got event $key, which was never committed") if !$options->{lossy};
		return $place;
	}
	my $ending = ($audit->{tags}{ $event->{tag} } // {})->{ending} // NEVER;
	$complain->('early',
		sprintf '%s got event %s %.3f ms before it was committed', $consumer, $key, ($ending - $moment) * 1000)
	  if $ending > $moment;
	my $version = \$mine->{version}{ $event->{deal} };
	$complain->('order', "$consumer got version $event->{version} of deal $event->{deal} after version $$version")
	  if $event->{version} <= ($$version // 0);
	$$version = $event->{version};
	return $place;
}

# Each consumer must have got, and acknowledged, exactly the events that it subscribed to.
sub _check_gaps
{
	my ($self, $audit) = @_;
	my ($log, $complain) = @$audit{qw(log complain)};

	for my $consumer (sort keys %{ $self->{consumers} })
	{
		my $options = $self->{consumers}{$consumer};
		my $began = $audit->{subscribed}{$consumer};
		my $mine = $audit->{got}{$consumer} // { count => [], asked => '' };

		for my $place (0 .. $#$log)
		{
			my $event = $log->[$place];
			my $name = "$event->{id} of $event->{tag}";
			my $transaction = $audit->{tags}{ $event->{tag} } // {};
			my $wanted = _wanted($event, $options);
			my $live = $wanted && !$options->{from_start};
			my $early = $live && ($transaction->{committed} // NEVER) < $began->{subscribing};
			my $perhaps = $live && !$early && ($transaction->{ending} // 0) < $began->{subscribed};

			if ($mine->{count}[$place])
			{
				$complain->('delivered', "$consumer got event $name, $event->{kind}, which it did not subscribe to")
				  if !$wanted;
				$complain->('delivered', "$consumer got event $name from before it subscribed") if $early;
				$complain->('acknowledged', "$consumer: event $name was never acknowledged")
				  if !vec($mine->{asked}, $place, 1);
			}
			elsif ($wanted && !$early && !$perhaps)
			{
				$audit->{figures}{lost}++;
				$complain->('delivered',
					"$consumer never got event $name: deal $event->{deal}, version $event->{version}, $event->{kind}");
			}
		}
	}
	return;
}

# Does close_books() as tests, with a summary, and checks the seven rules. With proof => 1 CrmDeals::proof also checks
# them; that takes a millisecond for each event.
sub closed_books_ok
{
	my ($self, $name, %options) = @_;
	my ($node, $database) = @$self{qw(node database)};
	my ($faults, $figures) = $self->close_books(%options);
	my %names = (
		log => 'the log is exactly what writers committed, part by part',
		delivered => 'every consumer got every event that it subscribed to, and no other',
		early => 'no event came before its commit or was rolled back',
		order => 'first deliveries of each deal come in order of version',
		acknowledged => 'everything is acknowledged, and nothing came again after its acknowledgement',
		other => 'nothing else went wrong');

	for my $check (qw(log delivered early order acknowledged other))
	{
		my @faults = sort @{ $faults->{$check} };
		my @shown = @faults > 20 ? (@faults[ 0 .. 19 ], '... ' . @faults . ' in all') : @faults;

		is(join("\n", @shown), '', "$name: $names{$check}");
	}
	note sprintf '%s: %d transactions committed, %d not (of %d the client could not know); %d events committed; '
	  . '%d consumers: %d delivered, %d repeated, %d acknowledged, %d lost',
	  $name, @$figures{qw(transactions undone unknown committed)}, scalar(keys %{ $self->{consumers} }),
	  @$figures{qw(delivered repeated acknowledged lost)};
	is($node->safe_psql($database, 'SELECT count(*) FROM crm_deals.verify()'),
		0, "$name: the seven rules hold: verify() finds nothing");
	is( $node->safe_psql($database,
			'SELECT count(*) FROM (SELECT FROM crm_deals.deal_event GROUP BY deal_id
			                       HAVING count(*) <> max(version) OR min(version) <> 1) AS e'),
		0, "$name: the versions of every deal are 1, 2, 3, ...");
	if ($options{proof})
	{
		$node->safe_psql($database, CrmDeals::proof());
		is($node->safe_psql($database, 'SELECT proof.check()'),
			'', "$name: the log folded into rows is the table of deals, every move was permitted");
	}
	return $figures;
}

1;
