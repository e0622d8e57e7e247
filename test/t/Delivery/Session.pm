# One session of psql. A test can wait for its statements, start them without waiting, and kill it.
package Delivery::Session;
use strict;
use warnings;

use POSIX ();

# Connects; psql writes its errors to the file $errors.
sub new
{
	my ($class, $connstr, $name, $errors) = @_;
	my $self = bless { name => $name, alive => 1, state => '00000', message => '' }, $class;

	pipe(my $child_in, $self->{in}) and pipe($self->{out}, my $child_out) or die "pipe: $!";
	$self->{pid} = fork // die "fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDIN, '<&', $child_in)
		  and open(STDOUT, '>&', $child_out)
		  and open(STDERR, '>>', $errors)
		  or POSIX::_exit(126);
		$ENV{PGAPPNAME} = $name;
		exec('psql', '-X', '-q', '-A', '-t', '-d', $connstr) or POSIX::_exit(127);
	}
	close $child_in;
	close $child_out;
	$self->{in}->autoflush(1);
	return $self;
}

# Runs a statement and returns its rows. Afterwards {state} is its SQLSTATE, {message} the error message and {count} the
# number of rows. If the connection is lost, {state} is 'lost'.
sub run
{
	my ($self, $sql) = @_;

	$self->start($sql);
	return $self->finish;
}

# Sends a statement and does not wait for its result.
sub start
{
	my ($self, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';

	print { $self->{in} } "$sql"
	  . ($sql =~ /\\\.$/ ? "" : ";")
	  . "\n\\echo '\x01' :SQLSTATE :ROW_COUNT :LAST_ERROR_MESSAGE\n"
	  if $self->{alive};
	return;
}

# Waits for the result of start() and returns the rows.
sub finish
{
	my ($self) = @_;
	my @rows;

	while ($self->{alive} && defined(my $line = readline $self->{out}))
	{
		chomp $line;
		if ($line =~ /^\x01/)
		{
			# without an SQLSTATE, or with one of a shutdown, the connection is lost
			last if $line !~ /^\x01 (?!57P)(\w{5}) (\d+) ?(.*)/;
			($self->{state}, $self->{count}, $self->{message}) = ($1, $2, $3);
			return @rows;
		}
		push @rows, $line;
	}
	$self->die_now;
	($self->{state}, $self->{count}, $self->{message}) = ('lost', 0, 'the connection is lost');
	return;
}

# Whether the last statement succeeded.
sub ok { return $_[0]{state} eq '00000' }

# Like run(), but dies if the statement fails.
sub must
{
	my ($self, $sql) = @_;
	my @rows = $self->run($sql);

	die "$self->{name}: $self->{state} $self->{message}\n    $sql" if !$self->ok;
	return wantarray ? @rows : $rows[0];
}

# Closes the pipes and waits for psql to end.
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

# Kills psql, in the middle of whatever it is doing.
sub die_now
{
	my ($self) = @_;

	kill 'KILL', $self->{pid} if $self->{alive};
	$self->_gone;
	return;
}

# Ends psql in the regular way.
sub close_session
{
	my ($self) = @_;
	local $SIG{PIPE} = 'IGNORE';

	return if !$self->{alive};
	print { $self->{in} } "\\q\n";
	$self->_gone;
	return;
}

# Kills psql when the object goes, but only in the process that owns the session.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	$self->die_now if $self->{alive} && ($self->{owner} // $$) == $$;
	return;
}

1;
