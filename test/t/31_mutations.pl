# Whatever a user alters of what install() made, a statement answers or fails with an error of its own: the server does
# not crash, and there is no internal error. mutations.sql has the mutations and the statements that use everything.
#
#   SEED=n   repeats the choice
#   SOAK=1   every mutation, as two roles; otherwise the known ones, and one more of each kind
#   ONLY=REGEXP   only mutations whose kind matches
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $of_each_kind = $ENV{SOAK} ? 10_000 : 1;
my @roles = $ENV{SOAK} ? qw(m_boss postgres) : qw(m_boss);
my $only = $ENV{ONLY} // '';
my $seed = $ENV{SEED} // time ^ ($$ << 8);
note "SEED=$seed";

my $node = start_server('mutations');
$node->safe_psql('postgres', 'CREATE DATABASE mutated');
$node->safe_psql('mutated', slurp_file("$FindBin::RealBin/mutations.sql"));

sub run
{
	my ($number, $role) = @_;

	return value($node, "SET client_min_messages = error; SELECT mutated, succeeded, array_to_string(wrong, E'\\n')
						 FROM m.run($number, '$role')", database => 'mutated');
}

# Without a mutation nearly everything succeeds, or nothing is proven.
my ($nothing) = value($node, "SELECT number FROM m.mutation WHERE kind = 'nothing'", database => 'mutated');
my ($statements) = value($node, 'SELECT count(*) FROM m.statement', database => 'mutated');
my ($mutated, $succeeded, $wrong) = split /\|/, run($nothing, 'postgres');
is($wrong, '', 'without a mutation nothing is wrong');
cmp_ok($succeeded, '>=', $statements - 6, 'and nearly every statement succeeds');

my %of_kind;
for my $line (rows($node, "SELECT number, kind, what, known::integer FROM m.mutation WHERE kind ~ '$only'
						   ORDER BY kind, known DESC, md5(number::text || '$seed')", database => 'mutated'))
{
	my ($number, $kind, $what, $known) = split /\|/, $line;
	my $of_this = $of_kind{$kind} //= { mutated => 0, wrong => [] };
	next if $of_this->{mutated} >= $of_each_kind && !$known;
	for my $role (@roles)
	{
		my ($done, undef, $problem) = split /\|/, run($number, $role), 3;

		# PostgreSQL itself refuses some, such as another type for a column that a trigger's condition reads.
		if ($done ne 't')
		{
			note "$kind, $what: $problem";
			next;
		}
		$of_this->{mutated}++;
		push @{ $of_this->{wrong} }, "$what, as $role: $problem" if $problem ne '';
	}
}
for my $kind (sort keys %of_kind)
{
	cmp_ok($of_kind{$kind}{mutated}, '>', 0, "$kind: can be made");
	is(join("\n", @{ $of_kind{$kind}{wrong} }), '', "$kind: no internal error and no crash");
}
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'the server never crashed');

done_testing();
