# The processes that write and read during a test, and the sessions that they use.
package Delivery::Workers;
use strict;
use warnings;

use Delivery::Common;
use Delivery::Session;
use POSIX ();
use Time::HiRes qw(sleep);

# Says where workers connect to from now on. With undef there is no server, and they wait.
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

# A session of the test's own.
sub session
{
	my ($self, $name, $database) = @_;
	my $connstr = $self->{node}->connstr($database // $self->{database});
	my $session = Delivery::Session->new($connstr, $name // $self->{name}, "$self->{folder}/errors");

	$session->{owner} = $$;
	$session->run('SET crm_deals.notify = off');    # a transaction that has notified cannot be prepared
	return $session;
}

# Returns the worker's own session, and connects again if it was lost. Returns nothing if there is no server.
sub connected
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

# Whether workers of this kind must stop. They also stop when the test itself is gone.
sub told_to_stop
{
	my ($self, $kind) = @_;

	return -e "$self->{folder}/stop-$kind" || getppid() != $self->{parent};
}

# Starts a process that does $work and then exits.
sub start_worker
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
		$self->open_book;
		eval { $work->(); 1 } or $self->fault("died: $@");
		$self->{session}->close_session if $self->{session};
		POSIX::_exit(0);
	}
	push @{ $self->{workers} }, { pid => $pid, name => $name };
	return;
}

# Tells the workers of a kind (writer, reader) to stop, and waits for them at most $patience seconds.
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

# Kills the workers that are left: a test that dies must not leave any behind.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	for my $worker (@{ $self->{workers} })
	{
		kill 'KILL', $worker->{pid};
		waitpid $worker->{pid}, 0;
	}
	return;
}

1;
