# The 8,800 sales opportunities of a real CRM are loaded in plain SQL. Then the counts and sums of the database are
# compared with those that Perl computes from the files.
#
#   CRM_DEALS_DATA=FOLDER   where accounts.csv, sales_teams.csv and sales_pipeline.csv are
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use Changes;
use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local qw(timegm);

my $data = $ENV{CRM_DEALS_DATA} // '';
plan skip_all => 'no sales opportunities here: CRM_DEALS_DATA names no folder with sales_pipeline.csv'
  unless -r "$data/sales_pipeline.csv";

# Rows of a CSV file, as hashes; none of these has quotes, which would need more than this.
sub csv
{
	my ($file) = @_;
	open my $handle, '<:crlf', "$data/$file" or die "$file: $!";
	chomp(my @lines = <$handle>);
	die "$file has quotes" if grep { /"/ } @lines;
	my @names = split /,/, shift @lines;

	return map { my %row; @row{@names} = split /,/, $_, -1; \%row } grep { $_ ne '' } @lines;
}

my @deals = csv('sales_pipeline.csv');
my @accounts = csv('accounts.csv');
my @agents = csv('sales_teams.csv');
cmp_ok(scalar @deals, '>', 8000, 'the file holds thousands of opportunities');

my $node = start_server('real', q(timezone = 'UTC'));
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE public.sales_team (sales_agent text PRIMARY KEY, manager text, regional_office text);
\\copy public.sales_team FROM '$data/sales_teams.csv' (FORMAT csv, HEADER true)
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install(owner_table => 'public.sales_team', columns => '{"owner": {"name": "sales_agent"}}');
SELECT crm_deals.create_pipeline('Opportunities', '[
    {"name": "Prospecting", "probability": 10}, {"name": "Engaging", "probability": 40},
    {"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"}]', currency => 'USD');
CREATE TABLE public.opportunity (opportunity_id text, sales_agent text, product text, account text, deal_stage text,
    engage_date date, close_date date, close_value numeric);
\\copy public.opportunity FROM '$data/sales_pipeline.csv' (FORMAT csv, HEADER true)
CREATE TABLE public.incoming_account (account text, sector text, year_established integer, revenue numeric,
                                      employees integer,
    office_location text, subsidiary_of text);
\\copy public.incoming_account FROM '$data/accounts.csv' (FORMAT csv, HEADER true)
INSERT INTO crm_deals.account (name, custom_fields)
SELECT account, jsonb_build_object('sector', sector)
FROM public.incoming_account;
SQL

my $load = <<'SQL';
INSERT INTO crm_deals.deal (external_id, name, account_id, stage_id, owner, amount, created_at, closed_at,
                            custom_fields)
SELECT o.opportunity_id, concat_ws(' – ', o.account, o.product), a.id, s.id, o.sales_agent, o.close_value,
       coalesce(o.engage_date, '2017-01-01'), o.close_date, jsonb_build_object('product', o.product)
FROM public.opportunity AS o
JOIN crm_deals.stage AS s ON s.name = o.deal_stage
LEFT JOIN crm_deals.account AS a ON a.name = o.account
SQL

# No opportunity says why it was lost: the pipeline asks, so that the whole load is refused, and leaves nothing.
fails_with($node, '23514', $load, 'lost opportunities without a reason are refused');
is(value($node, 'SELECT (SELECT count(*) FROM crm_deals.deal) + (SELECT count(*) FROM crm_deals.deal_event)'), 0,
	'... and leave nothing behind');
value($node, "UPDATE crm_deals.pipeline SET lost_reason_required = false; $load");

sub tally
{
	my ($of, @which) = @_;
	my (%count, %sum);

	for my $row (@which)
	{
		$count{ $row->{$of} }++;
		$sum{ $row->{$of} } += $row->{close_value} || 0;
	}
	return { map { $_ => "$count{$_} $sum{$_}" } keys %count };
}

sub database_tally
{
	my ($expression, $where) = @_;
	return { map { split /\|/ } rows($node,
			"SELECT $expression, count(*) || ' ' || coalesce(sum(amount), 0)::bigint FROM crm_deals.deal_overview
			 WHERE $where GROUP BY 1") };
}

is(value($node, 'SELECT count(*) FROM crm_deals.deal'), scalar @deals, 'every opportunity is a deal');
is(value($node, "SELECT count(*) FROM crm_deals.deal_event WHERE kind = 'created' AND version = 1"), scalar @deals,
	'with one event each');
is(value($node, 'SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event'), 1, '... of one batch');
is_deeply(database_tally('stage_name', 'true'), tally('deal_stage', @deals), 'counts and sums by stage');
is_deeply(database_tally('status', "status IN ('won', 'lost')"),
	{ map { (lc $_->[0]) => $_->[1] } map { [ $_, tally('deal_stage', @deals)->{$_} ] } qw(Won Lost) }, 'by status');
is_deeply(database_tally('owner_label', 'true'), tally('sales_agent', @deals), 'by sales agent');
is_deeply(database_tally("custom_fields ->> 'product'", "status = 'won'"),
	tally('product', grep { $_->{deal_stage} eq 'Won' } @deals), 'won by product');
is_deeply(database_tally('account_label', "status = 'won' AND account_id IS NOT NULL"), tally('account',
	grep { my $name = $_->{account}; $_->{deal_stage} eq 'Won' && grep { $_->{account} eq $name } @accounts } @deals),
	'won by account');
is_deeply(database_tally("to_char(closed_at, 'YYYY-MM')", 'closed_at IS NOT NULL'),
	tally('month', map { { %$_, month => substr($_->{close_date}, 0, 7) } } grep { $_->{close_date} ne '' } @deals),
	'closed by month');
is(value($node, 'SELECT count(*) FROM crm_deals.deal WHERE closed_at IS NULL'),
	scalar(grep { $_->{close_date} eq '' } @deals), 'the open ones have no closing time');
is(value($node,
	"SELECT count(*) FROM crm_deals.deal AS d JOIN public.opportunity AS o ON o.opportunity_id = d.external_id
	 WHERE (d.closed_at::date, d.created_at::date, d.currency, d.amount)
			   IS DISTINCT FROM (o.close_date, coalesce(o.engage_date, '2017-01-01'), 'USD', o.close_value)"),
	0, 'moments, currency and amounts are the file\'s, deal by deal');
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');

# The reports, against what Perl makes of the file.
my %is_account = map { $_->{account} => 1 } @accounts;
my @closed = grep { $_->{close_date} ne '' } @deals;

sub midnight { my ($year, $month, $day) = split /-/, $_[0]; return timegm(0, 0, 0, $day, $month - 1, $year) }
sub quarter { my ($year, $month) = split /-/, $_[0]; return sprintf '%d-%02d-01', $year, 3 * int(($month - 1) / 3) + 1 }

# Won, lost, rate, and mean days of the won ones, by group.
sub rates
{
	my ($group) = @_;
	my (%won, %lost, %days);

	for my $row (@closed)
	{
		my $key = $group->($row);
		if ($row->{deal_stage} eq 'Won')
		{
			$won{$key}++;
			$days{$key} += (midnight($row->{close_date}) - midnight($row->{engage_date})) / 86400;
		}
		else
		{
			$lost{$key}++;
		}
	}
	my %rates;
	for my $key (keys %{ { %won, %lost } })
	{
		my ($won, $lost) = ($won{$key} // 0, $lost{$key} // 0);
		# A half is rounded up, which a binary fraction cannot do.
		my $rate = int((2 * 10_000 * $won + $won + $lost) / (2 * ($won + $lost)));
		$rates{$key} = sprintf '%d %d %.4f %s', $won, $lost, $rate / 10_000,
			$won ? sprintf('%.9f', $days{$key} / $won) : '';
	}
	return \%rates;
}

# The same from the database: won, lost and rate of win_rate, days of sales_velocity (there is one currency).
sub database_rates
{
	my ($by, $period) = @_;
	my $arguments = join ', ', map { defined $_ ? "'$_'" : 'NULL' } $by, $period;

	return { map { my ($key, $value) = split /\|/, $_, 2; $key => $value } rows($node, <<"SQL") };
SELECT coalesce(w.period_start::text, w.group_label, ''),
       concat_ws(' ', w.won_count, w.lost_count, to_char(w.win_rate, 'FM0.0000'),
                 coalesce(to_char(v.mean_days_to_win, 'FM99990.000000000'), ''))
FROM crm_deals.win_rate($arguments) AS w
LEFT JOIN crm_deals.sales_velocity($arguments, to_date => '2018-01-31') AS v
       ON v.period_start IS NOT DISTINCT FROM w.period_start AND v.group_key IS NOT DISTINCT FROM w.group_key
SQL
}

is_deeply(database_rates('owner'), rates(sub { $_[0]{sales_agent} }), 'win rate and sales cycle by agent');
is_deeply(database_rates('account'), rates(sub { $is_account{ $_[0]{account} } ? $_[0]{account} : '' }), 'by account');
is_deeply(database_rates(undef, 'quarter'), rates(sub { quarter($_[0]{close_date}) }), 'by quarter');
is_deeply(database_rates('custom_fields.product'), rates(sub { $_[0]{product} }), 'by product, a custom field');
is_deeply(database_rates(), rates(sub { '' }), 'and in all');
is(value($node, "SELECT count(*), sum(deal_count) FROM crm_deals.board(group_by => 'account', card_limit => 1)"),
	(1 + grep { my $name = $_; grep { $_->{account} eq $name } @deals } keys %is_account) . '|' . @deals,
	'the board by account holds every opportunity');
is(value($node,
	"SELECT sum(won_amount)::bigint FROM crm_deals.forecast(from_date => '2017-04-01', to_date => '2017-06-30')"),
	eval { my $sum = 0; $sum += $_->{close_value} for
		grep { $_->{deal_stage} eq 'Won' && quarter($_->{close_date}) eq '2017-04-01' } @deals; $sum },
	'won in the second quarter, by the forecast');

# In euros: the dollar falls on 15 July. Cents, so that Perl counts in integers.
my %cents;
for my $row (grep { $_->{deal_stage} eq 'Won' } @deals)
{
	$cents{ substr $row->{close_date}, 0, 7 } += $row->{close_value} * ($row->{close_date} lt '2017-07-15' ? 90 : 80);
}
value($node, "INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
			  VALUES ('USD', 'EUR', 0.9, '2017-01-01'), ('USD', 'EUR', 0.8, '2017-07-15'), ('USD', 'EUR', 7, CURRENT_DATE)");
is_deeply({ map { split /\|/ } rows($node, "SELECT to_char(month, 'YYYY-MM'), (sum(won_amount) * 100)::bigint
	FROM crm_deals.forecast(convert_to => 'EUR') WHERE won_count > 0 AND currency = 'EUR' GROUP BY 1") },
	\%cents, 'won by month in euros, each deal at the rate of its day');
is_deeply({ map { split /\|/ } rows($node, "SELECT stage_label, sum(deal_count) || ' ' || sum(amount)::bigint
	FROM crm_deals.pipeline_summary() WHERE deal_count > 0 GROUP BY 1") }, tally('deal_stage', @deals),
	'pipeline_summary by stage');
is_deeply({ map { split /\|/ } rows($node, "SELECT group_key, sum(deal_count) || ' ' || sum(amount)::bigint
	FROM crm_deals.lost_reasons('owner', NULL) WHERE deal_count > 0 GROUP BY 1") },
	tally('sales_agent', grep { $_->{deal_stage} eq 'Lost' } @deals), 'lost_reasons by agent');
my $engaging = grep { $_->{deal_stage} eq 'Engaging' } @deals;
is(value($node, "SELECT sum(deal_count) FROM crm_deals.forecast(filter => '{\"stage\": \"Engaging\", \"pipeline\": 1}')"),
	$engaging, 'the filter by stage');

# The whole load again, as an upsert, changes nothing.
value($node,
	"$load ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE "
		. "SET name = excluded.name, amount = excluded.amount");
is(value($node, 'SELECT count(*) FROM crm_deals.deal_event'), scalar @deals,
	'loaded once more as an upsert: no change, no event');

# All that is engaged is won, in one statement
my $engaged = grep { $_->{deal_stage} eq 'Engaging' } @deals;
is(value($node,
	"SELECT count(*), count(*) FILTER (WHERE outcome = 'moved')
	 FROM crm_deals.move_deals(ARRAY(SELECT id FROM crm_deals.deal WHERE stage_id = 2), 'Won')"),
	"$engaged|$engaged", 'move_deals moves what is engaged');
is(value($node, "SELECT count(*), count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE kind = 'won'"), "$engaged|1",
	'... with an event each, in one batch');
my $won = grep { $_->{deal_stage} =~ /^(Engaging|Won)$/ } @deals;
is(value($node, "SELECT count(*) FROM crm_deals.deal WHERE status = 'won' AND closed_at IS NOT NULL"), $won,
	'as many are won');
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');

# The same opportunities, imported with their history: what happened to the pipeline in a quarter of 2017.
$node->safe_psql('postgres', 'CREATE DATABASE history');
my %history = (database => 'history');
value($node, <<"SQL" . told_changes(), %history);
SET client_min_messages = warning;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Opportunities', '[{"name": "Prospecting"}, {"name": "Engaging"},
    {"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"}]', currency => 'USD');
UPDATE crm_deals.pipeline SET lost_reason_required = false, duplicate_policy = 'off';
CREATE TABLE public.opportunity (opportunity_id text, sales_agent text, product text, account text, deal_stage text,
    engage_date date, close_date date, close_value numeric);
\\copy public.opportunity FROM '$data/sales_pipeline.csv' (FORMAT csv, HEADER true)
CREATE TABLE public.source AS
SELECT opportunity_id AS external_id, product AS name, sales_agent AS owner, deal_stage AS stage, close_value AS amount,
       coalesce(engage_date, '2017-01-01')::timestamptz AS created_at, close_date + interval '12 hours' AS closed_at
FROM public.opportunity;
CREATE TABLE public.history AS
SELECT external_id, CASE stage WHEN 'Prospecting' THEN stage ELSE 'Engaging' END AS stage, created_at AS entered_at
FROM public.source
UNION ALL SELECT external_id, stage, closed_at FROM public.source WHERE closed_at IS NOT NULL;
SQL
is(value($node, "SELECT DISTINCT outcome FROM crm_deals.import_deals('public.source', 'public.history')", %history),
	'created', 'the opportunities are imported with their history');
sub open_on { my ($day) = @_; return grep { ($_->{engage_date} || '2017-01-01') le $day
	  && ($_->{close_date} eq '' || $_->{close_date} ge $day) } @deals }
my $quarter = "'2017-07-01', '2017-10-01'";
is(value($node, "SELECT string_agg(change || ' ' || deal_count, ' ')
	FROM crm_deals.pipeline_changes($quarter)", %history), join(' ', 'opening', scalar open_on('2017-07-01'),
		'created', scalar(grep { $_->{engage_date} gt '2017-07-01' && $_->{engage_date} le '2017-10-01' } @deals),
		map({ my $stage = $_; lc($stage), -grep { $_->{deal_stage} eq $stage
			&& $_->{close_date} ge '2017-07-01' && $_->{close_date} lt '2017-10-01' } @deals } qw(Won Lost)),
		'closing', scalar open_on('2017-10-01')), 'pipeline_changes of a quarter, by the file');
is(value($node, "SELECT told.compare($quarter, NULL, NULL, NULL, NULL, 'true', $_)", %history), '',
	'... and by another program, by ' . substr($_, 1, 5))
  for q('owner', 'ARRAY[d.owner]'), ($ENV{SOAK} ? q('stage', 'ARRAY[d.stage_id::text]') : ());

# The trend of 2017 by month and stage, and the quarters of a team with targets, from the file.
sub sums
{
	my ($group, @which) = @_;
	my (%count, %sum);

	for my $row (@which)
	{
		my $key = $group->($row);
		$count{$key}++;
		$sum{$key} += $row->{close_value} || 0;
	}
	return map { $_ => [ $count{$_}, $sum{$_} ] } keys %count;
}
my %trend;
for my $month (map { sprintf '2017-%02d-01', $_ } 2 .. 12)
{
	my %stages = sums(sub { $_[0]{deal_stage} eq 'Prospecting' ? 'prospecting' : 'engaging' }, open_on($month));
	$trend{"$month $_"} = join ' ', @{ $stages{$_} } for keys %stages;
}
is_deeply({ map { split /\|/ } rows($node, "SELECT at::date || ' ' || group_key, deal_count || ' ' || amount::bigint
	FROM crm_deals.pipeline_trend('month', '2017-01-01', '2017-11-30')", %history) }, \%trend,
	'pipeline_trend of the months of 2017, by the file');
is(value($node, <<'SQL', %history), 0, '... and by owner and by a column that the log does not track, by deals_as_of');
SELECT count(*)
FROM (VALUES ('owner'), ('source')) AS g (name)
CROSS JOIN LATERAL (SELECT DISTINCT at FROM crm_deals.pipeline_trend('quarter', '2016-10-01', '2018-03-31')) AS p
CROSS JOIN LATERAL (
	(SELECT t.group_key, t.deal_count, t.amount, t.weighted_amount
	 FROM crm_deals.pipeline_trend('quarter', '2016-10-01', '2018-03-31', group_by => g.name) AS t WHERE t.at = p.at)
	EXCEPT ALL
	SELECT CASE g.name WHEN 'owner' THEN d.owner END, count(*), coalesce(sum(d.amount), 0),
		   coalesce(sum(d.amount * d.probability / 100), 0)
	FROM crm_deals.deals_as_of(p.at) AS d WHERE d.status = 'open' GROUP BY 1) AS difference
SQL

# 10,000 dollars for each of the team in 2017, split by days: 90, 91, 92 and 92 of 365. What is open is expected after a
# hundred days.
my %target = ('2017-01-01' => 2465.75, '2017-04-01' => 2493.15, '2017-07-01' => 2520.55, '2017-10-01' => 2520.55);
my (%won, %expected, %attained);
for my $row (@deals)
{
	my ($day, $month, $year) = (gmtime(midnight($row->{engage_date} || '2017-01-01') + 100 * 86400))[ 3 .. 5 ];
	my $closes = sprintf '%d-%02d-%02d', $year + 1900, $month + 1, $day;

	$won{ quarter($row->{close_date}) }{ $row->{sales_agent} } += $row->{close_value} if $row->{deal_stage} eq 'Won';
	$expected{ quarter($closes) }{ $row->{sales_agent} } += $row->{close_value} || 100 if $row->{close_date} eq '';
}
for my $quarter (keys %target)
{
	for my $agent (map { $_->{sales_agent} } @deals)
	{
		my ($won, $open) = ($won{$quarter}{$agent} // 0, $expected{$quarter}{$agent} // 0);
		my $gap = $target{$quarter} - $won;

		$attained{"$quarter $agent"} = sprintf '%.2f %.2f %.2f %.2f %s', $target{$quarter}, $won, $open, $gap,
		  $gap > 0 ? sprintf('%.3f', $open / $gap) : '';
	}
}
value($node, <<'SQL', %history);
UPDATE crm_deals.deal SET amount = 100, expected_close_date = (created_at AT TIME ZONE 'UTC')::date + 100
WHERE status = 'open';
INSERT INTO crm_deals.target (owner, starts_on, ends_on, currency, amount)
SELECT DISTINCT owner, date '2017-01-01', date '2017-12-31', 'USD', 10000 FROM crm_deals.deal;
SQL
is_deeply({ map { split /\|/ } rows($node, <<'SQL', %history) }, \%attained, 'attainment by agent and quarter, by the file');
SELECT period_start || ' ' || group_key,
	   concat_ws(' ', target, won::numeric(20, 2), open_amount::numeric(20, 2), gap::numeric(20, 2), '')
	   || coalesce(coverage::numeric(20, 3)::text, '')
FROM crm_deals.attainment('owner', 'quarter', '2017-01-01', '2017-12-31')
SQL

$node->stop;
done_testing();
