# Section 2: it works in a database full of other things. Beside pgaudit, pg_stat_statements, auto_explain, pg_cron,
# pg_partman and pg_repack the rules hold, and the outcome is that of a database without them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use Business;
use CrmDeals;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_server('others', 'autovacuum = on');
my @missing = rows($node,
	"SELECT name FROM unnest('{pgaudit,pg_stat_statements,pg_cron,pg_partman,pg_repack}'::text[]) AS w (name)
	WHERE NOT EXISTS (SELECT FROM pg_available_extensions AS a WHERE a.name = w.name)");
if (@missing)
{
	$node->stop;
	plan skip_all => "not installed: @missing (test/harness/packages extensions)";
}

# ----------
# pgaudit, pg_stat_statements, auto_explain: each statement, nested ones too
# ----------

is(run_business($node, 'alone'), 'done', 'a business without them');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pgaudit, pg_stat_statements, auto_explain, pg_cron'
pgaudit.log = 'all'
pgaudit.log_parameter = on
pgaudit.log_relation = on
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_triggers = on
cron.database_name = 'beside'
cron.use_background_workers = on
CONF
$node->restart;
$node->safe_psql('template1', 'CREATE EXTENSION pgaudit; CREATE EXTENSION pg_stat_statements');
my $place = -s $node->logfile;
is(run_business($node, 'beside'), 'done', 'and with them');
is(outcome_of_business($node, 'beside'), outcome_of_business($node, 'alone'), 'the outcome is the same');
my $log = slurp_file($node->logfile, $place);
like($log, qr/AUDIT: SESSION,\d+,\d+,WRITE,INSERT,TABLE,crm_deals\.deal,/, 'pgaudit saw a writer');
like($log, qr/AUDIT: SESSION,\d+,\d+,WRITE,INSERT,TABLE,crm_deals\.deal_event,/, '... and the log being written');
like($log, qr/Trigger crm_deals_capture_insert: time=/, 'auto_explain saw our triggers');
cmp_ok(value($node, "SELECT count(*) FROM pg_stat_statements WHERE NOT toplevel AND query ~ 'crm_deals'",
	database => 'beside'), '>', 20, 'pg_stat_statements saw our queries');
unlike($log, qr/PANIC|TRAP|terminated by signal/, 'nothing crashed');

# ----------
# pg_cron: in a background worker. It looks once a minute; meanwhile the rest goes on.
# ----------

$node->safe_psql('beside', <<'SQL');
CREATE EXTENSION pg_cron;
SELECT crm_deals.unsubscribe(c.consumer) FROM crm_deals.consumer_status AS c;
DELETE FROM crm_deals.event_consumer;
SELECT cron.schedule('prune', '* * * * *', 'SELECT crm_deals.prune_events(now())');
SQL

# ----------
# pg_partman: partitions of a table that refers to deals
# ----------

$node->safe_psql('alone', <<'SQL');
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;
CREATE TABLE public.visit (deal_id bigint REFERENCES crm_deals.deal, at timestamptz NOT NULL, what text)
    PARTITION BY RANGE (at);
SELECT partman.create_parent('public.visit', 'at', 'native', 'daily');
INSERT INTO crm_deals.deal (name) VALUES ('Partitioned one'), ('Partitioned two');
INSERT INTO public.visit
SELECT d.id, now() + n * interval '1 day', d.name FROM crm_deals.deal AS d, generate_series(-3, 3) AS n
WHERE d.name LIKE 'Partitioned%';
SELECT partman.run_maintenance();
SQL
is(sqlstate_of($node, "DELETE FROM crm_deals.deal WHERE name = 'Partitioned two'", database => 'alone'), '23503',
	'pg_partman: a deal that partitions refer to stays');
$node->safe_psql('alone', "SELECT crm_deals.merge_deals(a.id, b.id) FROM crm_deals.deal AS a, crm_deals.deal AS b
	WHERE a.name = 'Partitioned one' AND b.name = 'Partitioned two'");
is(value($node, "SELECT count(*) || ' ' || count(DISTINCT v.deal_id) || ' ' || count(DISTINCT v.tableoid)
	FROM public.visit AS v JOIN crm_deals.deal AS d ON d.id = v.deal_id WHERE d.name = 'Partitioned one'",
	database => 'alone'), '14 1 7', 'merge_deals() repoints the rows of each partition');

# ----------
# pg_repack of deals and of their log while they are written
# ----------

$node->safe_psql('alone', "CREATE EXTENSION pg_repack; INSERT INTO crm_deals.deal (name)
	SELECT 'Repacked ' || md5(n::text) FROM generate_series(1, 300) AS n");
my $before = value($node, "SELECT string_agg(relfilenode::text, ' ' ORDER BY relname) FROM pg_class
	WHERE oid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_event'::regclass)", database => 'alone');
my $writes = "UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE id % 7 = :n AND closed_at IS NULL;
	INSERT INTO crm_deals.deal (name) VALUES ('While repacking ' || clock_timestamp());\n";
my $script = PostgreSQL::Test::Utils::tempdir() . '/writes.sql';
append_to_file($script, "\\set n random(0, 6)\n$writes");
my ($bench_output, $repack_output) = ('', '');
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-T', 12, '-f', $script, $node->connstr('alone') ],
	'>&', \$bench_output);
sleep 1;
my $repacked = IPC::Run::run([ 'pg_repack', '-k', '-h', $node->host, '-p', $node->port, '-d', 'alone',
	'-t', 'crm_deals.deal', '-t', 'crm_deals.deal_event', '--wait-timeout=60', '--no-kill-backend' ],
	'>&', \$repack_output);
ok($repacked, 'pg_repack beside writers') or diag($repack_output);
$bench->finish;
is($bench->result(0), 0, '... which go on') or diag($bench_output);
isnt(value($node, "SELECT string_agg(relfilenode::text, ' ' ORDER BY relname) FROM pg_class
	WHERE oid IN ('crm_deals.deal'::regclass, 'crm_deals.deal_event'::regclass)", database => 'alone'), $before,
	'... it made the tables anew');
is(value($node, 'SELECT v::text FROM crm_deals.verify() AS v', database => 'alone'), '', '... and every rule holds');
is(value($node, 'SELECT count(*) FROM crm_deals.deal AS d
	WHERE d.version <> (SELECT count(*) FROM crm_deals.deal_event AS e WHERE e.deal_id = d.id)',
	database => 'alone'), 0, '... with one event for each version');
is(sqlstate_of($node, 'DELETE FROM crm_deals.deal_event', database => 'alone'), '42501',
	'... and a log that is append-only');
is(value($node, "SELECT count(*) FROM crm_deals.find_duplicates('Partitioned one')", database => 'alone'), 1,
	'... and an index of names that answers');

# ----------
# What pg_cron did
# ----------

my $since = time;
sleep 0.5 while time - $since < 150
	&& value($node, 'SELECT count(*) FROM crm_deals.log_pruning', database => 'beside') == 0;
is(value($node, 'SELECT count(*) > 0 AND bool_and(events > 0) FROM crm_deals.log_pruning', database => 'beside'), 't',
	'pg_cron prunes the log');
is(value($node, "SELECT string_agg(DISTINCT status, ' ') FROM cron.job_run_details WHERE end_time IS NOT NULL",
	database => 'beside'), 'succeeded', '... without an error');
is(value($node, 'SELECT v::text FROM crm_deals.verify() AS v', database => 'beside'), '', '... and every rule holds');
$node->stop;
done_testing();
