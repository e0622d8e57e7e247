# Events that 0.1.0 wrote: it logged some values as the session's settings had them. After the upgrade undo and restore
# take such a value back only if it can have one meaning.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('old_values', 'wal_level = logical');
$node->safe_psql('postgres', "CREATE ROLE $_") for qw(reader consumer clerk boss admin visitor);
$node->safe_psql('postgres', 'CREATE ROLE keeper LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE old');
my $dump = slurp_file("$FindBin::RealBin/../releases/0.1.0.sql");
my $file = "$PostgreSQL::Test::Utils::tmp_check/old.sql";
$dump =~ s/^(CREATE EXTENSION IF NOT EXISTS crm_deals) [^;]*;/$1 SCHEMA crm_deals VERSION '0.1.0';/m or die;
append_to_file($file, $dump);
is((run_command([ 'psql', '-X', '-q', '-d', $node->connstr('old'), '-v', 'hosts=0', '-f', $file ]))[1], '',
	'the dump of 0.1.0 goes in');

# Each case: the settings of the session that wrote, a column of deal, the old value as SQL, what undo does with it
my @cases = (
	[ 'datestyle = ISO', 'period', "daterange('2026-02-03', '2026-04-05')", 'reverted' ],
	[ "datestyle = 'German'", 'period', "daterange('2026-02-03', '2026-04-05')", 'uncertain' ],
	[ "datestyle = 'German'", 'period', "daterange('2026-02-13', '2026-04-25')", 'reverted' ],
	[ "datestyle = 'SQL, MDY'", 'period', "daterange('2026-04-04', '2026-05-05')", 'reverted' ],
	[ "datestyle = 'SQL, MDY'", 'period', "'empty'::daterange", 'reverted' ],
	[ "timezone = 'Pacific/Apia'", 'open', "tstzrange('2026-02-03 04:05:06+00', NULL)", 'reverted' ],
	[ "timezone = 'Asia/Kolkata'; SET datestyle = 'Postgres, DMY'", 'open',
		"tstzrange('2026-02-03 04:05:06+00', NULL)", 'uncertain' ],
	[ "intervalstyle = 'postgres'", 'stay', "interval '-1 day 1 second'", 'reverted' ],
	[ "intervalstyle = 'postgres_verbose'", 'stay', "interval '-1 day 1 second'", 'reverted' ],
	[ "intervalstyle = 'sql_standard'", 'stay', "interval '-1 day -1 second'", 'uncertain' ],
	[ "intervalstyle = 'iso_8601'", 'stay', "interval '-1 day 1 second'", 'reverted' ],
	[ 'datestyle = ISO', 'price', "'\$1.50'::money", 'uncertain' ],
	[ 'datestyle = ISO', 'size', '0.5::float8', 'reverted' ],
	[ 'datestyle = ISO', 'words', "hstore('a', 'b')", 'uncertain' ],
	[ "datestyle = 'German'", 'place', "ROW('a', '2026-02-03', '1 day')::place", 'reverted' ],
	[ "datestyle = 'German'", 'days', "'{2026-02-03,NULL}'::date[]", 'reverted' ],
	[ "datestyle = 'German'", 'expected_close_date', "'2026-02-03'::date", 'reverted' ],
	[ 'search_path = elsewhere, public', 'relation', "'elsewhere.odd'::regclass", 'uncertain' ],
	[ 'search_path = elsewhere, public', 'relation', "'pg_class'::regclass", 'reverted' ],
	[ 'datestyle = ISO', 'extra', "'{\"a\": 1.50}'::jsonb", 'reverted' ],
);

# What 0.1.0 would have written: the triggers are off.
value($node, <<'SQL', database => 'old');
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.odd (a integer);
CREATE EXTENSION hstore;
CREATE TYPE place AS (name text, since date, waits interval);
ALTER TABLE crm_deals.deal ADD COLUMN period daterange, ADD COLUMN open tstzrange, ADD COLUMN stay interval,
    ADD COLUMN price money, ADD COLUMN size float8, ADD COLUMN words hstore, ADD COLUMN place place,
    ADD COLUMN days date[], ADD COLUMN relation regclass, ADD COLUMN extra jsonb;
CREATE TABLE expected (deal_id bigint, batch_id bigint, name text, value text);
CREATE FUNCTION public.log_as_0_1(deal bigint, kind text, changes jsonb) RETURNS bigint LANGUAGE sql
SET session_replication_role = replica AS $$
    UPDATE crm_deals.deal AS d SET version = d.version + 1, updated_at = clock_timestamp()
    WHERE d.id = log_as_0_1.deal;
    INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name,
                                      pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency,
                                      probability, expected_close_date, owner, lost_reason, changes)
    OVERRIDING SYSTEM VALUE
    SELECT n.id, n.id, d.id, d.version, log_as_0_1.kind, d.updated_at, 'old', 'old', d.pipeline_id, d.stage_id,
           CASE WHEN kind <> 'deleted' THEN d.stage_id END, d.status, CASE WHEN kind <> 'deleted' THEN d.status END,
           d.amount, d.currency, d.probability, d.expected_close_date, d.owner, d.lost_reason, log_as_0_1.changes
    FROM crm_deals.deal AS d, nextval('crm_deals.deal_event_id_seq') AS n (id) WHERE d.id = log_as_0_1.deal
    RETURNING batch_id;
$$;
SQL
for my $i (0 .. $#cases)
{
	my ($settings, $column, $written, undef) = @{ $cases[$i] };

	value($node, <<"SQL", database => 'old');
SET client_min_messages = error;
CREATE TEMPORARY TABLE wrote AS SELECT $written AS value;
CREATE TEMPORARY TABLE chosen AS
SELECT d.id FROM crm_deals.deal AS d
WHERE d.id NOT IN (SELECT deal_id FROM public.expected) AND d.stage_id IS NOT NULL ORDER BY d.id LIMIT 1;
INSERT INTO public.expected (deal_id, name, value)
SELECT c.id, '$column', encode(record_send(ROW(w.value)), 'hex') FROM wrote AS w, chosen AS c;
SET $settings;
UPDATE public.expected
SET batch_id = public.log_as_0_1(deal_id, 'updated',
						jsonb_build_object('$column', jsonb_build_array((SELECT to_jsonb(value) FROM wrote), NULL)))
WHERE deal_id = (SELECT id FROM chosen);
SQL
}

# Two that were deleted: one with a value that is certain, and a JSON null
value($node, <<'SQL', database => 'old');
CREATE TABLE gone AS SELECT d.id, row_number() OVER (ORDER BY d.id DESC) AS n
FROM crm_deals.deal AS d WHERE d.id NOT IN (SELECT deal_id FROM expected) ORDER BY n LIMIT 2;
SELECT public.log_as_0_1(g.id, 'deleted',
    (SELECT jsonb_object_agg(e.key, jsonb_build_array(e.value, NULL)) FROM jsonb_each(to_jsonb(d)) AS e
     WHERE e.value <> 'null')
    || jsonb_build_object('extra', '[null, null]'::jsonb,
                          'period', jsonb_build_array(CASE g.n WHEN 1 THEN '[2026-02-03,2026-02-04)'
                                                               ELSE '[03.02.2026,05.04.2026)' END, NULL)))
FROM gone AS g JOIN crm_deals.deal AS d USING (id);
SET session_replication_role = replica;
DELETE FROM crm_deals.deal WHERE id IN (SELECT id FROM gone);
DROP FUNCTION public.log_as_0_1;
SQL
my $highest = value($node, 'SELECT max(id) FROM crm_deals.deal_event', database => 'old');
value($node, 'ALTER EXTENSION crm_deals UPDATE; SELECT crm_deals.install()', database => 'old');
is(value($node, 'SELECT last_session_event FROM crm_deals.log_format', database => 'old'), $highest,
	'the upgrade notes the highest id of the log');
value($node, 'INSERT INTO crm_deals.deal (name) VALUES (\'later\'); SELECT crm_deals.install()', database => 'old');
is(value($node, 'SELECT last_session_event FROM crm_deals.log_format', database => 'old'), $highest,
	'... and install() leaves it');

for my $i (0 .. $#cases)
{
	my ($settings, $column, $written, $outcome) = @{ $cases[$i] };
	my $case = "(SELECT e FROM expected AS e ORDER BY e.batch_id OFFSET $i LIMIT 1)";

	is(value($node, <<"SQL", database => 'old'), "$outcome|t", "$column, $written, logged under $settings: $outcome");
SET datestyle = 'SQL, DMY';
SET intervalstyle = sql_standard;
CREATE TEMPORARY TABLE undone AS SELECT u.* FROM crm_deals.undo_batch(($case).batch_id) AS u;
SELECT u.outcome,
       CASE u.outcome WHEN 'reverted' THEN encode(record_send(ROW(d.$column)), 'hex') = e.value
                      ELSE d.version = v.version AND d.$column IS NULL
                           AND u.detail = 'Release 0.1 logged the old value of $column in a form that depended on the '
                                          'session.' END
FROM undone AS u
JOIN crm_deals.deal AS d ON d.id = u.deal_id
JOIN expected AS e ON e.deal_id = u.deal_id
JOIN crm_deals.deal_event AS v ON v.id = e.batch_id;
SQL
}
is(value($node, <<'SQL', database => 'old'), "t|t", 'restore_deal: what is certain, a JSON null among it');
SELECT FROM gone AS g, crm_deals.restore_deal(g.id) WHERE g.n = 1;
SELECT d.extra = 'null', d.period = daterange('2026-02-03', '2026-02-04')
FROM gone AS g JOIN crm_deals.deal AS d USING (id);
SQL
fails_with($node, '55000', 'SELECT crm_deals.restore_deal(g.id) FROM gone AS g WHERE g.n = 2',
	'restore_deal: not what is uncertain', database => 'old');
is(value($node, 'SELECT v::text FROM crm_deals.verify() AS v', database => 'old'), '', 'verify() finds nothing');

$node->stop;
done_testing();
