# Section 6 under load: eight sessions at once write, rename and delete deals of few names. Afterwards, with `flag`,
# every pair of deals that pg_trgm calls similar is flagged with its present similarity, and no other pair is; with
# `reject`, no two deals are similar.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   twenty times as many
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

my $seed = $ENV{SEED} || time ^ ($$ << 8);
my $each = 50 * ($ENV{SOAK} ? 20 : 1);
note "SEED=$seed";
srand($seed);

my $node = start_server('concurrent', 'max_connections = 40', 'deadlock_timeout = 200ms');

# Names of some companies, each with a few spellings that are alike, and a chain: the first is not like the last.
my @companies = map { "$_ Corporation annual maintenance" } qw(Acme Umbrella Initech Hooli Globex Soylent Vandelay
	Wonka);
my @endings = ('', ' 1', ' 12', ' 123', ' 1234', ' 12345', '!', ' xyz', ' xyz 1');

sub name { return "'" . one(@companies) . one(@endings) . "'" }
sub deal { return 1 + int rand 60 }

my @creations = (
	(sub { "INSERT INTO crm_deals.deal (name) VALUES (@{[ name() ]})" }) x 4,
	sub { "INSERT INTO crm_deals.deal (name) VALUES (@{[ name() ]}), (@{[ name() ]}), (@{[ name() ]})" },
	# more than the index is asked for
	sub { 'INSERT INTO crm_deals.deal (name) VALUES ' . join ', ',
		map { '(' . one(name(), "md5(random()::text)") . ')' } 1 .. 14 },
);
my @writes = (
	@creations,
	sub { "INSERT INTO crm_deals.deal (name, external_id) VALUES (@{[ name() ]}, 'x@{[ int rand 8 ]}')
		   ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET name = excluded.name" },
	(sub { "UPDATE crm_deals.deal SET name = @{[ name() ]} WHERE id = @{[ deal() ]}" }) x 3,
	sub { "UPDATE crm_deals.deal SET name = name || ' ' || @{[ int rand 9 ]} WHERE id = @{[ deal() ]}" },
	(sub { "DELETE FROM crm_deals.deal WHERE id = (SELECT id FROM crm_deals.deal ORDER BY random() LIMIT 1)" }) x 2,
	sub { "UPDATE crm_deals.deal SET amount = @{[ int rand 99 ]}, stage_id = @{[ 1 + int rand 4 ]}
		   WHERE id = @{[ deal() ]}" },
);
my @blocks = (
	sub { join '; ', 'BEGIN', (map { one(@writes)->() } 1 .. 3), one('COMMIT', 'COMMIT', 'ROLLBACK') },
	sub { join '; ', 'BEGIN', one(@writes)->(), 'SAVEPOINT s', one(@writes)->(), one('ROLLBACK TO s', 'RELEASE s'),
		one(@writes)->(), 'COMMIT' },
	sub { join '; ', 'BEGIN', one(@writes)->(), 'SAVEPOINT s', "SET LOCAL lock_timeout = '@{[ 1 + int rand 40 ]}ms'",
		one(@writes)->(), 'ROLLBACK TO s', one(@writes)->(), 'COMMIT' },
	sub { join '; ', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) AS n FROM crm_deals.deal',
		one(@writes)->(), one(@writes)->(), 'COMMIT' },
	sub { join '; ', 'BEGIN ISOLATION LEVEL SERIALIZABLE', one(@writes)->(), 'COMMIT' },
	sub { "DO \$\$ BEGIN PERFORM crm_deals.dismiss_duplicate(f.deal_id, f.other_deal_id) FROM (
			   SELECT * FROM crm_deals.deal_duplicate ORDER BY random() LIMIT 1) AS f; END \$\$" },
);

# Statements of one transaction each in all sessions, or transactions of several in half of them, or new deals only.
# Returns how often there was which SQLSTATE.
sub run_sessions
{
	my ($what, %options) = @_;
	my (%states, @faults);
	my @sessions = map
	{
		my $number = $_;
		my $file = "$PostgreSQL::Test::Utils::tmp_check/${what}_$number.sql" =~ s/ /_/gr;
		my $script = "\\set VERBOSITY verbose\nSET client_min_messages = error;\nSET lock_timeout = '300s';\n"
			. "SET crm_deals.notify = off;\nSET crm_deals.duplicate_limit = 1000000;\n";

		# errors within a transaction end a savepoint, and the transaction goes on
		$script .= "\\set ON_ERROR_ROLLBACK on\n" if $options{blocks} && $number % 3 == 0;
		for my $n (1 .. $each)
		{
			my $statement = $options{blocks} && $number % 2 && rand() < 0.5 ? one(@blocks)->()
			  : one($options{creations} ? @creations : @writes)->();
			$statement = 'SELECT crm_deals.rebuild_duplicates() AS none'
			  if $options{rebuild} && $number == 8 && $n % 10 == 0;
			$script .= "\\echo # " . $statement =~ s/\s+/ /gr . "\n$statement;\n";
		}
		append_to_file($file, $script);
		my %session = (output => '');
		$session{handle} = IPC::Run::start(
			[ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres'), '-f', $file ],
			'</dev/null', '>&', \$session{output}, IPC::Run::timeout(20 * $PostgreSQL::Test::Utils::timeout_default));
		\%session;
	} 1 .. 8;

	for my $session (@sessions)
	{
		my $statement = '';

		$session->{handle}->finish;
		for my $line (split /\n/, $session->{output})
		{
			$statement = $line if $line =~ /^# /;
			next unless $line =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5}):/;
			$states{$1}++;
			push @faults, "$line\n    $statement" unless $options{allowed}{$1};
		}
		push @faults, grep { /server closed|connection to server was lost/ } $session->{output};
	}
	is(scalar @faults, 0, "$what: no error but those there may be")
	  or diag "SEED=$seed\n" . join "\n", splice @faults, 0, 5;
	note "$what: " . join ', ', map { "$_: $states{$_}" } sort keys %states;
	return \%states;
}

sub begin
{
	my ($policy) = @_;

	value($node, <<"SQL");
SET client_min_messages = error;
DROP EXTENSION IF EXISTS crm_deals CASCADE;
DROP SCHEMA IF EXISTS crm_deals CASCADE;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales');
UPDATE crm_deals.pipeline SET duplicate_policy = '$policy';
SET crm_deals.notify = off;
INSERT INTO crm_deals.deal (name) SELECT md5(n::text) FROM generate_series(1, 30) AS n;
CREATE VIEW public.similar AS
    SELECT d.id AS deal_id, o.id AS other_deal_id, n.similarity, f.similarity AS flagged, f.resolution
    FROM (SELECT a.name, b.name AS other, similarity(a.name, b.name) AS similarity
          FROM (SELECT DISTINCT name FROM crm_deals.deal) AS a, (SELECT DISTINCT name FROM crm_deals.deal) AS b) AS n
    JOIN crm_deals.deal AS d ON d.name = n.name
    JOIN crm_deals.deal AS o ON o.name = n.other AND o.id < d.id
    LEFT JOIN crm_deals.deal_duplicate AS f ON least(f.deal_id, f.other_deal_id) = o.id
        AND greatest(f.deal_id, f.other_deal_id) = d.id;
SQL
	return;
}

# Pairs that are as they must not be: none
sub none_of
{
	my ($condition, $name) = @_;
	my @examples = rows($node,
		"SELECT format('%s \"%s\", %s \"%s\": %s, flagged %s', s.deal_id, d.name, s.other_deal_id, o.name,
					   s.similarity, s.flagged)
		 FROM public.similar AS s JOIN crm_deals.deal AS d ON d.id = s.deal_id
		 JOIN crm_deals.deal AS o ON o.id = s.other_deal_id WHERE $condition");

	is(scalar @examples, 0, $name) or diag "SEED=$seed\n" . join "\n", splice @examples, 0, 3;
	return;
}

sub check
{
	my ($what, $policy) = @_;

	if ($policy eq 'flag')
	{
		none_of('s.similarity >= 0.85::real AND s.flagged IS NULL', "$what: every similar pair is flagged");
		none_of("s.resolution = 'open' AND s.similarity < 0.85::real", "$what: no other pair is");
		none_of("s.resolution = 'open' AND s.similarity >= 0.85::real AND s.similarity <> s.flagged",
			"$what: every flag has the similarity of now");
		cmp_ok(value($node, 'SELECT count(*) FROM crm_deals.deal_duplicate'), '>', 100, "$what: (there are many)");
	}
	else
	{
		none_of('s.similarity >= 0.85::real', "$what: no two deals are similar");
	}
	is(value($node,
		'SELECT count(*) FROM crm_deals.deal AS d FULL JOIN crm_deals.deal_name AS n ON n.deal_id = d.id
		 WHERE n.name IS DISTINCT FROM d.name'),
		0, "$what: the names beside are those of the deals");
	is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, "$what: verify() finds nothing");
	is(value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, "$what: no lock is left");
	return;
}

# Who only creates deals never meets a deadlock. Who renames or deletes deals that others do, too, may: by the locks of
# these rows and of their flags. It is rare.
my %refused = (flag => {}, reject => { 23505 => 1 });
for my $policy (qw(flag reject))
{
	my $allowed = { %{ $refused{$policy} }, '40P01' => 1 };
	my $states;

	begin($policy);
	$states = run_sessions("$policy, new deals", allowed => $refused{$policy}, creations => 1);
	check("$policy, new deals", $policy);
	cmp_ok($states->{23505} // 0, '>', $each / 2, "$policy, new deals: (many were refused)") if $policy eq 'reject';

	begin($policy);
	$states = run_sessions("$policy, statements", allowed => $allowed);
	check("$policy, statements", $policy);
	cmp_ok($states->{'40P01'} // 0, '<', $each / 2, "$policy, statements: deadlocks are rare");

	begin($policy);
	run_sessions("$policy, transactions",
		allowed => { %$allowed, map { $_ => 1 } qw(40001 55P03 25P02 3B001 23505 P0002) }, blocks => 1);
	check("$policy, transactions", $policy);

	begin($policy);
	run_sessions("$policy, rebuilt", allowed => $allowed, rebuild => 1);
	check("$policy, rebuilt", $policy);
}

# A statement of many deals reads all names and does not use the index. Meanwhile a deal of a similar name commits: it
# was there first and does not know of the statement.
for my $policy (qw(flag reject))
{
	my ($one, $many) = map { Delivery::Session->new($node->connstr('postgres'), $_,
		"$PostgreSQL::Test::Utils::tmp_check/errors") } qw(one many);
	my $long = 0;

	begin($policy);
	value($node, 'INSERT INTO crm_deals.deal (name) SELECT md5(n::text) FROM generate_series(1001, 21000) AS n');
	for my $round (1 .. 20)
	{
		my $began = time;

		$one->must('BEGIN');
		$one->must("INSERT INTO crm_deals.deal (name) VALUES (md5('both $round'))");
		$many->start("INSERT INTO crm_deals.deal (name)
					  SELECT md5('both $round')
					  UNION ALL SELECT md5('$round, ' || n)
					  FROM generate_series(1, 400) AS n");
		# first of all as long as it takes
		sleep($round == 1 ? 0 : rand $long);
		$one->must('COMMIT');
		$many->finish;
		$long = time - $began if $round == 1;
		is($many->{state}, $policy eq 'flag' ? '00000' : '23505', "$policy, many: round $round");
	}
	my $expected = $policy eq 'flag' ? '20, 20 of them flagged' : '0, 0 of them flagged';
	is(value($node, <<'SQL'), $expected, "$policy, many: every pair of the same name is flagged, or there is none");
SELECT count(*) || ', ' || count(f) || ' of them flagged'
FROM crm_deals.deal AS d
JOIN crm_deals.deal AS o ON o.name = d.name AND o.id < d.id
LEFT JOIN crm_deals.deal_duplicate AS f ON least(f.deal_id, f.other_deal_id) = o.id
    AND greatest(f.deal_id, f.other_deal_id) = d.id
SQL
	$_->close_session for $one, $many;
}

$node->stop;
done_testing();
