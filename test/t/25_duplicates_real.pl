# Section 6 on the 8,800 sales opportunities of a real CRM and their accounts. They are written at once, one by one and
# by import; finding, flagging and scanning give exactly the pairs of pg_trgm's own similarity() over all of them.
#
#   CRM_DEALS_DATA=FOLDER   where accounts.csv and sales_pipeline.csv are
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = $ENV{CRM_DEALS_DATA} // '';
plan skip_all => 'no sales opportunities here: CRM_DEALS_DATA names no folder with sales_pipeline.csv'
  unless -r "$data/sales_pipeline.csv";

my $node = start_server('real_names', 'log_statement = none');
my $quiet = 'SET client_min_messages = error; SET crm_deals.notify = off;';

# The opportunities' names are few and repeat: every pair of deals has the similarity of its two names.
value($node, <<"SQL");
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Opportunities', organization => 'opportunities'),
       crm_deals.create_pipeline('Accounts', organization => 'accounts'),
       crm_deals.create_pipeline('Agents', organization => 'agents');
CREATE TABLE public.opportunity (opportunity_id text, sales_agent text, product text, account text, deal_stage text,
    engage_date date, close_date date, close_value numeric);
\\copy public.opportunity FROM '$data/sales_pipeline.csv' (FORMAT csv, HEADER true)
CREATE TABLE public.incoming_account (account text, sector text, year_established integer, revenue numeric,
                                      employees integer,
    office_location text, subsidiary_of text);
\\copy public.incoming_account FROM '$data/accounts.csv' (FORMAT csv, HEADER true)
CREATE TABLE public.named AS
    SELECT opportunity_id AS external_id, concat_ws(' – ', account, product, extract(year FROM engage_date)) AS name
    FROM public.opportunity;
CREATE TABLE public.alike AS
    WITH n AS (SELECT DISTINCT name FROM public.named)
    SELECT a.name AS one, b.name AS other, similarity(a.name, b.name) AS similarity FROM n AS a, n AS b
    WHERE similarity(a.name, b.name) >= 0.6::real;
CREATE INDEX ON public.alike (one);
ANALYZE public.alike;
ANALYZE public.named;
CREATE FUNCTION public.pairs(wanted text, threshold real)
RETURNS TABLE (deal_id bigint, other_deal_id bigint, similarity real) LANGUAGE sql STABLE AS
    'SELECT d.id, o.id, a.similarity FROM crm_deals.deal AS d JOIN public.alike AS a ON a.one = d.name
     JOIN crm_deals.deal AS o ON o.name = a.other AND o.id < d.id
     WHERE d.organization = wanted AND o.organization = wanted AND a.similarity >= threshold';
SQL

sub same_rows
{
	my ($got, $want, $name) = @_;
	my ($many, $few, $there) = split / /,
		value($node,
			"SET work_mem = '64MB';
			 WITH a AS MATERIALIZED ($got), b AS MATERIALIZED ($want)
			 SELECT (SELECT count(*) FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b) AS x) || ' '
					|| (SELECT count(*) FROM (SELECT * FROM b EXCEPT ALL SELECT * FROM a) AS x) || ' '
					|| (SELECT count(*) FROM b)");

	is("$many too many, $few missing", '0 too many, 0 missing', "$name: $there");
	cmp_ok($there, '>', 20, "$name: (there are some)");
	return;
}

sub ranked
{
	my ($organization, $limit) = @_;
	return "SELECT deal_id, other_deal_id, similarity
			FROM (SELECT *, row_number() OVER (PARTITION BY deal_id ORDER BY similarity DESC, other_deal_id) AS place
				  FROM public.pairs('$organization', 0.85)) AS r
			WHERE place <= $limit";
}

my $flags = 'SELECT f.deal_id, f.other_deal_id, f.similarity
			 FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id';

# All in one statement, flagged against the 20 most similar
value($node,
	"$quiet INSERT INTO crm_deals.deal (external_id, name, pipeline_id) SELECT external_id, name, 1 FROM public.named
	 ORDER BY external_id");
is(value($node, 'SELECT count(*) FROM crm_deals.deal'), value($node, 'SELECT count(*) FROM public.named'),
	'every opportunity is a deal');
same_rows("$flags WHERE d.organization = 'opportunities'", ranked('opportunities', 20),
	'opportunities in one statement');
my ($status, undef, $stderr) = $node->psql('postgres',
	"BEGIN; DELETE FROM crm_deals.deal;
	 INSERT INTO crm_deals.deal (external_id, name, pipeline_id)
	 SELECT external_id, name, 1
	 FROM public.named
	 ORDER BY external_id;
	 ROLLBACK",
	on_error_die => 1);
my $cut = value($node,
	"SELECT count(*) - (SELECT count(*) FROM (@{[ ranked('opportunities', 20) ]}) AS r)
	 FROM public.pairs('opportunities', 0.85)");
like($stderr, qr/NOTICE: .*\b$cut\b/, "the NOTICE counts what was cut: $cut");
same_rows("SELECT * FROM crm_deals.scan_duplicates(real '$_')", "SELECT * FROM public.pairs('opportunities', $_)",
	"scan_duplicates() from $_ on")
  for 0.85, 0.9, 1;
same_rows("SELECT d.id, f.deal_id, f.similarity
		   FROM (SELECT * FROM crm_deals.deal WHERE organization = 'opportunities' AND id % 97 = 0) AS d,
				LATERAL crm_deals.find_duplicates(d.name, real '$_', 100000, '1') AS f",
	"SELECT d.id, o.id, a.similarity FROM crm_deals.deal AS d
	 JOIN public.alike AS a ON a.one = d.name AND a.similarity >= $_
	 JOIN crm_deals.deal AS o ON o.name = a.other AND o.organization = d.organization
	 WHERE d.organization = 'opportunities' AND d.id % 97 = 0",
	"find_duplicates() from $_ on")
  for 0.85, 0.6;

# Accounts: by import, at a lower threshold; then refused where they come again
value($node, <<"SQL");
$quiet
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.6 WHERE id = 2;
TRUNCATE public.alike;
INSERT INTO public.alike
SELECT a.account, b.account, similarity(a.account, b.account)
FROM public.incoming_account AS a, public.incoming_account AS b;
INSERT INTO public.alike
SELECT a.sales_agent, b.sales_agent, similarity(a.sales_agent, b.sales_agent)
FROM (SELECT DISTINCT sales_agent FROM public.opportunity) AS a,
     (SELECT DISTINCT sales_agent FROM public.opportunity) AS b;
CREATE TABLE public.source AS
    SELECT account AS external_id, account AS name, 'Accounts' AS pipeline FROM public.incoming_account
    UNION ALL SELECT account || ' 2', upper(account), 'Accounts' FROM public.incoming_account ORDER BY 1;
INSERT INTO public.alike
SELECT a.name, b.name, similarity(a.name, b.name)
FROM public.source AS a, public.source AS b
WHERE NOT EXISTS (SELECT FROM public.alike AS x WHERE x.one = a.name AND x.other = b.name);
SET crm_deals.organization = 'accounts';
CREATE TABLE public.outcome AS SELECT * FROM crm_deals.import_deals('public.source');
SQL
same_rows("$flags WHERE d.organization = 'accounts'", "SELECT * FROM public.pairs('accounts', 0.6)",
	'accounts by import');
is(value($node,
	"SELECT count(*) FILTER (WHERE outcome = 'flagged'), count(*) FILTER (WHERE outcome NOT IN ('created', 'flagged'))
	 FROM public.outcome"),
	value($node, "SELECT count(DISTINCT deal_id), 0 FROM public.pairs('accounts', 0.6)"),
	'import_deals says which are flagged');
value($node,
	"DELETE FROM crm_deals.deal WHERE organization = 'accounts';
	 UPDATE crm_deals.pipeline SET duplicate_policy = 'reject', duplicate_threshold = 0.85 WHERE id = 2;
	 SET crm_deals.organization = 'accounts'; DROP TABLE public.outcome;
	 CREATE TABLE public.outcome AS SELECT * FROM crm_deals.import_deals('public.source')");
my $accounts = value($node, 'SELECT count(*) FROM public.incoming_account');
is(value($node,
	"SELECT count(*) FILTER (WHERE outcome = 'created'), count(*) FILTER (WHERE outcome = 'rejected'),
			count(DISTINCT row_number)
	 FROM public.outcome"),
	"$accounts|$accounts|" . 2 * $accounts,
	'under reject each account is created once, and its second row is rejected');
is(value($node, "SELECT count(*) FROM public.pairs('accounts', 0.85)"), 0, '... so that no two are similar');

# One at a time: the names of the agents, and the same once more with a slip
value($node,
	"$quiet DO \$\$ DECLARE r record;
	 BEGIN FOR r IN SELECT sales_agent FROM public.opportunity
	 LIMIT 400 LOOP INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (r.sales_agent, 3);
	 END LOOP; END \$\$");
same_rows("$flags WHERE d.organization = 'agents'", ranked('agents', 20), 'agents one at a time');
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');

$node->stop;
done_testing();
