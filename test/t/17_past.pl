# The past is exact: deals_as_of(t) equals a copy of the deals that was taken at t under a SHARE lock. Meanwhile sixteen
# sessions write; some of them began before the copy and commit after it. Also "what if": a forecast in a transaction
# that is rolled back.
#
#   SEED=n   repeats the statements (not their order)      SOAK=1   ten times as many
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
my $each = 120 * ($ENV{SOAK} ? 10 : 1);
note "SEED=$seed";
srand($seed);

my $node = start_server('past', 'max_connections = 40');
install($node);
value($node, <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.create_pipeline('Other');
UPDATE crm_deals.pipeline SET lost_reason_required = false;
INSERT INTO crm_deals.account (name) SELECT 'Account ' || n FROM generate_series(1, 5) AS n;
INSERT INTO crm_deals.deal (name, pipeline_id, amount)
SELECT 'Deal ' || n, 1 + n % 2, n
FROM generate_series(1, 300) AS n;
CREATE TABLE public.copy AS
    SELECT 0 AS number, now() AS taken_at, 0 AS in_flight, id, name, account_id::text, pipeline_id, stage_id,
           status::text, amount, currency, probability,
           expected_close_date, closed_at, owner::text, lost_reason, custom_fields, version
    FROM crm_deals.deal WHERE false;
SQL

sub one { return $_[ rand @_ ] }
sub deal { return 1 + int rand 400 }
sub text { return "'$_[0]'" }

my @changes = (
	(sub { "UPDATE crm_deals.deal SET stage_id = @{[ 1 + int rand 12 ]} WHERE id = @{[ deal() ]}" }) x 4,
	(sub { "UPDATE crm_deals.deal
			SET amount = @{[ one('NULL', int rand 1000, '0.10') ]}, currency = '@{[ one(qw(EUR USD)) ]}'
			WHERE id = @{[ deal() ]}" }) x 2,
	sub { "UPDATE crm_deals.deal
		   SET name = name || '.', owner = @{[ one('NULL', text('ann'), text('bob')) ]},
			   account_id = @{[ one('NULL', 1 .. 5) ]}
		   WHERE id = @{[ deal() ]}" },
	sub { "UPDATE crm_deals.deal
		   SET expected_close_date = @{[ one('NULL', text('2030-01-01')) ]},
			   probability = CASE status WHEN 'open' THEN @{[ int rand 101 ]} END
		   WHERE id = @{[ deal() ]}" },
	sub { "UPDATE crm_deals.deal
		   SET custom_fields = custom_fields
			   || jsonb_build_object('@{[ one(qw(a b c)) ]}', @{[ one('NULL', 1, text('x') . '::text') ]})
		   WHERE id = @{[ deal() ]}" },
	sub {
		"UPDATE crm_deals.deal SET custom_fields = custom_fields - '@{[ one(qw(a b c)) ]}' WHERE id = @{[ deal() ]}" },
	sub { my $from = deal(); "UPDATE crm_deals.deal SET amount = amount + 1 WHERE id BETWEEN $from AND $from + 20" },
	sub { "INSERT INTO crm_deals.deal (name, amount, stage_id) VALUES ('New', 1, @{[ 1 + int rand 12 ]})" },
	sub { "DELETE FROM crm_deals.deal WHERE id = @{[ deal() ]}" },
);
# Deals of one transaction in the order of their ids would be asking too much: a deadlock's victim just tries no more.
my @transactions = (
	(sub { one(@changes)->() . ';' }) x 6,
	sub { "BEGIN; @{[ one(@changes)->() ]}; @{[ one(@changes)->() ]}; @{[ one('COMMIT', 'ROLLBACK') ]};" },
	sub { "BEGIN; @{[ one(@changes)->() ]}; SAVEPOINT s; @{[ one(@changes)->() ]}; ROLLBACK TO s;
		   @{[ one(@changes)->() ]}; COMMIT;" },
	# began earlier, and commits later
	sub {
		"BEGIN; INSERT INTO crm_deals.account (name) VALUES ('early'); SELECT pg_sleep(0.15); @{[ one(@changes)->() ]};
		 SELECT pg_sleep(0.02); COMMIT;" },
);

sub session
{
	my ($name, $script) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
	my %session = (output => '');

	append_to_file($file,
		"\\set VERBOSITY verbose\nSET client_min_messages = error;\nSET deadlock_timeout = '50ms';\n"
			. "SET application_name = '$name';\n$script");
	$session{handle} = IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres'), '-f', $file ],
		'</dev/null', '>&', \$session{output}, IPC::Run::timeout(10 * $PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

my @sessions = map { session("writer_$_", join("\n", map { one(@transactions)->() } 1 .. $each) . "\n") } 1 .. 16;
my $copy = <<'SQL';
BEGIN;
LOCK TABLE crm_deals.deal IN SHARE MODE;
INSERT INTO public.copy
SELECT NUMBER, c.at,
       (SELECT count(*) FROM pg_stat_activity
        WHERE application_name LIKE 'writer%' AND xact_start < c.at AND backend_xid IS NOT NULL),
       id, name, account_id::text, pipeline_id, stage_id, status::text, amount, currency, probability,
       expected_close_date, closed_at, owner::text, lost_reason, custom_fields, version
FROM (SELECT clock_timestamp() AS at OFFSET 0) AS c, crm_deals.deal;
COMMIT;
SELECT pg_sleep(0.1);
SQL
push @sessions, session('copier', join '', map { $copy =~ s/NUMBER/$_/r } 1 .. 20);

my %states;
for my $session (@sessions)
{
	$session->{handle}->finish;
	$states{$1}++ while $session->{output} =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5}):/g;
}
note join ', ', map { "$_: $states{$_}" } sort keys %states;
my $deadlocks = $states{'40P01'};
# The statements of a deadlock's victim go on to fail: 25P02, and 3B001 if it was the one before the savepoint.
delete @states{qw(40P01 25P02 23503)};
delete $states{'3B001'} if $deadlocks;
is(join(' ', %states), '', 'no error but deadlocks of transactions that take deals in any order, and accounts');

is(value($node, 'SELECT count(DISTINCT number) FROM public.copy'), 20, 'twenty copies');
cmp_ok(value($node, 'SELECT count(DISTINCT number) FROM public.copy WHERE in_flight > 0'), '>', 0,
	'some were taken while a writer had begun that committed later');
cmp_ok(value($node,
	'SELECT count(*) FROM crm_deals.deal_event
	 WHERE occurred_at > (SELECT max(taken_at) FROM public.copy WHERE number = 1)'),
	'>', $each, 'much was written after the first');
for my $number (1 .. 20)
{
	is(value($node, <<"SQL"), '', "deals_as_of equals copy $number");
WITH past AS MATERIALIZED (SELECT *
                           FROM crm_deals.deals_as_of((SELECT max(taken_at) FROM public.copy WHERE number = $number))),
copy AS (SELECT id, name, account_id, pipeline_id, stage_id, status, amount, currency, probability, expected_close_date,
                closed_at, owner, lost_reason, custom_fields, version
         FROM public.copy WHERE number = $number)
SELECT 'more', p FROM (SELECT * FROM past EXCEPT ALL SELECT * FROM copy) AS p
UNION ALL SELECT 'less', c FROM (SELECT * FROM copy EXCEPT ALL SELECT * FROM past) AS c
SQL
}
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');
is(value($node,
	'SELECT count(*)
	 FROM (SELECT left_at, lead(entered_at) OVER (PARTITION BY deal_id ORDER BY entered_at) AS next
		   FROM crm_deals.deal_stage_history) AS h
	 WHERE next IS NOT NULL AND left_at IS DISTINCT FROM next'),
	0, 'stays never overlap nor leave a hole');

# What if: the forecast as it would be; nothing is left of it, and no listener hears of it.
value($node, "INSERT INTO crm_deals.deal (name, amount, stage_id, currency) VALUES ('What if', 4711, 1, 'CHF')");
my ($out) = (value($node, <<'SQL'));
LISTEN crm_deals_won;
LISTEN crm_deals_stage_changed;
SELECT sum(amount) || ' ' || sum(won_amount) FROM crm_deals.forecast() WHERE currency = 'CHF';
SELECT count(*) AS events FROM crm_deals.deal_event \gset
BEGIN;
SELECT count(*) FROM crm_deals.move_deal((SELECT id FROM crm_deals.deal WHERE name = 'What if'), 'won') \g /dev/null
SELECT sum(amount) || ' ' || sum(won_amount) FROM crm_deals.forecast() WHERE currency = 'CHF';
ROLLBACK;
SELECT sum(amount) || ' ' || sum(won_amount) FROM crm_deals.forecast() WHERE currency = 'CHF';
SELECT count(*) - :events FROM crm_deals.deal_event;
SQL
is($out, "4711 0\n0 4711\n4711 0\n0",
	'what if: the forecast as it would be, then as it was, no event, no notification');

$node->stop;
done_testing();
