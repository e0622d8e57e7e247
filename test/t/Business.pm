# A business that uses every part of the product, and what it comes to: the same in every database in which nothing
# disturbs it.
package Business;
use strict;
use warnings;

use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(run_business outcome_of_business);

# Runs the business of test/releases in a new database, as each session of it is.
sub run_business
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION crm_deals CASCADE; SELECT crm_deals.install()');
	my ($status, undef, $stderr) = $node->psql($database,
		slurp_file("$FindBin::RealBin/../releases/business.sql"), extra_params => [ '-v', 'hosts=false' ]);
	return "status $status $stderr" if $status != 0 || $stderr =~ /ERROR|FATAL|PANIC/;
	return 'done';
}

# All that the business has, and that functions say of it; moments and transactions aside.
sub outcome_of_business
{
	my ($node, $database) = @_;

	return $node->safe_psql($database, <<'SQL');
CREATE FUNCTION pg_temp.facts(r jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(f.key || '=' || regexp_replace(f.value::text, '\d{4}-\d\d-\d\d[T ][\d:.]+([+-]\d\d(:\d\d)?)?',
                                                     'T', 'g'), ' ' ORDER BY f.key)
    FROM jsonb_each(r) AS f WHERE f.key NOT IN ('transaction', 'seen', 'upto', 'stage_id_since')
$$;
SELECT 'deal ' || pg_temp.facts(to_jsonb(d)) FROM crm_deals.deal AS d ORDER BY d.id;
SELECT 'event ' || pg_temp.facts(to_jsonb(e)) FROM crm_deals.deal_event AS e ORDER BY e.id;
SELECT 'flag ' || pg_temp.facts(to_jsonb(f)) FROM crm_deals.deal_duplicate AS f ORDER BY f.deal_id, f.other_deal_id;
SELECT 'activity ' || pg_temp.facts(to_jsonb(a)) FROM crm_deals.activity AS a ORDER BY a.id;
SELECT 'consumer ' || pg_temp.facts(to_jsonb(c)) FROM crm_deals.consumer_status AS c ORDER BY c.consumer;
SELECT 'board ' || pg_temp.facts(to_jsonb(b)) FROM crm_deals.board('Sales') AS b ORDER BY b.ordinal;
SELECT 'forecast ' || pg_temp.facts(to_jsonb(f)) FROM crm_deals.forecast(convert_to => 'EUR') AS f ORDER BY f.month;
SELECT 'duplicate ' || pg_temp.facts(to_jsonb(f)) FROM crm_deals.find_duplicates('Harbour office lease') AS f;
SELECT 'verify ' || v::text FROM crm_deals.verify() AS v;
SQL
}

1;
