# Eight sessions at once move, create, upsert and delete deals, and change stages and gates. Afterwards the rules hold,
# and no session met an error or a deadlock that the contract does not name.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   twenty times as many
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} // time ^ ($$ << 8);
my $each = 250 * ($ENV{SOAK} ? 20 : 1);
note "SEED=$seed";
srand($seed);

my $node = start_server('concurrent');
install($node);
value($node, proof() . <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.create_pipeline('Other');
SELECT crm_deals.add_stage(1, 'Given up', status => 'abandoned');
INSERT INTO crm_deals.deal (name, pipeline_id) SELECT 'Deal ' || n, 1 + n % 2 FROM generate_series(1, 40) AS n;
INSERT INTO crm_deals.account (name) VALUES ('Acme');
SQL

sub one { return $_[ rand @_ ] }
sub deal { return 1 + int rand 60 }
sub stage { return 1 + int rand 13 }
sub key { return "'" . one(qw(lead qualified proposal negotiation won lost given_up)) . "'" }

# A statement each of its own; where a statement takes several deals it takes them in one order.
my @writes = (
	(sub { "UPDATE crm_deals.deal SET stage_id = @{[ stage() ]} WHERE id = @{[ deal() ]}" }) x 3,
	(sub { "SELECT FROM crm_deals.move_deal(@{[ deal() ]}, @{[ key() ]}, note => 'n')" }) x 4,
	sub { "SELECT FROM crm_deals.move_deal(@{[ deal() ]}, 'lost', lost_reason => 'Price')" },
	sub { "SELECT FROM crm_deals.move_deals(ARRAY[@{[ deal() ]}, @{[ deal() ]}, @{[ deal() ]}, @{[ deal() ]}],
											@{[ key() ]}, lost_reason => 'Price')" },
	(sub { "UPDATE crm_deals.deal SET amount = @{[ int rand 100 ]} WHERE id = @{[ deal() ]}" }) x 2,
	sub { "UPDATE crm_deals.deal
		   SET custom_fields = custom_fields || jsonb_build_object('k', @{[ int rand 9 ]}),
			   probability = @{[ int rand 101 ]}
		   WHERE id = @{[ deal() ]}" },
	sub { "UPDATE crm_deals.deal SET amount = 1, version = @{[ 1 + int rand 9 ]} WHERE id = @{[ deal() ]}" },
	(sub { "INSERT INTO crm_deals.deal (name, stage_id, account_id) VALUES ('New', @{[ stage() ]}, 1)" }) x 2,
	sub { "INSERT INTO crm_deals.deal (name, external_id) VALUES ('Upserted', 'x@{[ int rand 5 ]}')
		   ON CONFLICT (organization, external_id)
		   WHERE external_id IS NOT NULL DO UPDATE SET stage_id = @{[ stage() ]}" },
	sub { "DELETE FROM crm_deals.deal WHERE id = @{[ 30 + deal() ]}" },
	sub { my ($a, $b) = sort { $a <=> $b } deal(), deal();
		"BEGIN; UPDATE crm_deals.deal SET amount = 1 WHERE id = $a; SAVEPOINT s;
		 UPDATE crm_deals.deal SET stage_id = @{[ stage() ]} WHERE id = $b;
		 @{[ one('', 'ROLLBACK TO s;') ]} COMMIT" },
	sub { my ($a, $b) = sort { $a <=> $b } deal(), deal();
		"BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE crm_deals.deal SET amount = 1 WHERE id = $a;
		 SELECT FROM crm_deals.move_deal($b, @{[ key() ]}); COMMIT" },
);
# One statement a transaction: two of them, or deals before them, may deadlock, as documented.
my @edits = (
	(sub { "UPDATE crm_deals.stage SET status = '@{[ one(qw(open won abandoned)) ]}'
			WHERE id = @{[ one(2, 3, 5, 8, 13) ]}" }) x 2,
	sub { "SET crm_deals.default_lost_reason = 'Price';
		   UPDATE crm_deals.stage SET status = '@{[ one(qw(open lost)) ]}' WHERE id = @{[ one(3, 4, 10) ]}" },
	sub { "UPDATE crm_deals.stage SET probability = @{[ int rand 101 ]} WHERE id = @{[ stage() ]}" },
	sub { "UPDATE crm_deals.pipeline
		   SET @{[ one(qw(forbid_skipping forbid_backward is_active)) ]} = @{[ one('true', 'false') ]}
		   WHERE id = @{[ one(1, 2) ]}" },
	sub { 'UPDATE crm_deals.pipeline SET forbid_skipping = false, forbid_backward = false, is_active = true
		   WHERE id = 1' },
	sub { "UPDATE crm_deals.stage SET name = name || '.' WHERE id = @{[ stage() ]}" },
	sub { "UPDATE crm_deals.pipeline SET is_default = true WHERE id = @{[ one(1, 2) ]}" },
	sub { "SELECT crm_deals.reorder_stages(2,
										   ARRAY(SELECT key FROM crm_deals.stage WHERE pipeline_id = 2
												 ORDER BY md5(key || @{[ int rand 9 ]})))" },
	sub { "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM crm_deals.deal;
		   UPDATE crm_deals.stage SET probability = @{[ int rand 101 ]} WHERE id = @{[ stage() ]}; COMMIT" },
);

my %allowed = map { $_ => 1 } qw(23514 23503 23505 UD001 P0002 25P02 40001);
my @sessions = map
{
	my $number = $_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/session_$number.sql";
	my $script = "\\set VERBOSITY verbose\nSET client_min_messages = error;\nSET lock_timeout = '300s';\n";

	for my $n (1 .. $each)
	{
		my $edits = $number <= 2 ? 0.4 : 0.02;
		my $statement = rand() < $edits ? one(@edits)->() : one(@writes)->();
		$script .= "\\echo # " . $statement =~ s/\s+/ /gr . "\n$statement;\n";
	}
	append_to_file($file, $script);
	my %session = (output => '');
	$session{handle} = IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres'), '-f', $file ],
		'</dev/null', '>&', \$session{output}, IPC::Run::timeout(20 * $PostgreSQL::Test::Utils::timeout_default));
	\%session;
} 1 .. 8;

my (%states, @faults);
for my $session (@sessions)
{
	my $statement = '';

	$session->{handle}->finish;
	for my $line (split /\n/, $session->{output})
	{
		$statement = $line if $line =~ /^# /;
		next unless $line =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5}):/;
		$states{$1}++;
		push @faults, "$line\n    $statement" unless $allowed{$1};
	}
	push @faults, grep { /server closed|connection to server was lost/ } $session->{output};
}
is(join("\n", @faults), '', 'no error but the contract\'s, and no deadlock') or diag "SEED=$seed";
note join ', ', map { "$_: $states{$_}" } sort keys %states;

is(value($node, 'SELECT proof.check(false)'), '',
	'the rules hold, versions follow each other, and the log replayed is the table of deals');
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');
is(value($node,
	'SELECT count(*)
	 FROM (SELECT 1 FROM crm_deals.deal_event GROUP BY deal_id HAVING count(*) <> max(version) OR min(version) <> 1)
			  AS e'),
	0, 'the versions of every deal are 1, 2, 3, …');
is(value($node, 'SELECT count(*) FILTER (WHERE is_default) FROM crm_deals.pipeline'), 1, 'one pipeline is the default');
is(value($node,
	"SELECT count(*) FROM crm_deals.activity AS a
	 WHERE subject LIKE 'Deal moved%' AND NOT EXISTS (SELECT FROM crm_deals.deal_event AS e
													  WHERE e.deal_id = a.deal_id AND e.occurred_at = a.occurred_at)"),
	0, 'every note of a move has its event');
cmp_ok(value($node, 'SELECT count(*) FROM crm_deals.deal_event'), '>', $each * 2,
	'a good part of the statements changed deals');
is(value($node,
	"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR relation = 'crm_deals.installation'::regclass"),
	0, 'no lock is left');

$node->stop;
done_testing();
