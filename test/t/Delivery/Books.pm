# The books: what each process wrote down about its own work, outside of the server. See Delivery.pm for the format.
package Delivery::Books;
use strict;
use warnings;

use Delivery::Common;

# Opens the book of this process.
sub open_book
{
	my ($self) = @_;

	open($self->{book}, '>>', "$self->{folder}/$self->{name}.book") or die "$self->{folder}: $!";
	$self->{book}->autoflush(1);
	return;
}

# Writes a line into the book at once.
sub note_in_book
{
	my ($self, @fields) = @_;

	syswrite $self->{book}, join("\t", sprintf('%.6f', now()), @fields) . "\n";
	return;
}

# Writes down that something happened that must not happen.
sub fault
{
	my ($self, $text) = @_;

	$text =~ s/\s+/ /g;
	$self->note_in_book('fault', "$self->{name}: $text");
	return;
}

# Calls $do for each line, of all books, whose verb matches $verbs, in the order of their moments.
sub each_entry
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

1;
