# What a client that listens hears: which channels and payloads, when, and when nothing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @channels = ('crm_deals', map { "crm_deals_$_" } qw(stage_changed won lost abandoned reopened));
my $node = start_server('notify');
install($node);
$node->safe_psql('postgres', <<'SQL');
SELECT crm_deals.create_pipeline('Sales', '[
    {"key": "lead", "name": "Lead", "probability": 10},
    {"key": "talk", "name": "Talk", "probability": 50},
    {"key": "won", "name": "Won", "status": "won"},
    {"key": "lost", "name": "Lost", "status": "lost"},
    {"key": "dropped", "name": "Dropped", "status": "abandoned"}]');
SQL
my ($lead, $talk, $won, $lost, $dropped) = 1 .. 5;
my $json = JSON::PP->new->utf8->canonical;

# What a session that listens to all channels hears of its own script: [channel, payload], in order.
sub heard
{
	my ($script, %options) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		join('', map { "LISTEN $_;\n" } @channels) . "$script\n", %options);
	my @heard;

	$options{may_fail} or is($stderr, '', 'no error') if $stderr ne '' || $status != 0;
	push @heard, [ $1, $2 ]
	  while $stdout =~ /^Asynchronous notification "([^"]*)" (?:with payload "(.*)" )?received from/mg;
	return @heard;
}

# Whether no more was heard than these channels, in any order.
sub hears
{
	my ($script, $expected, $name) = @_;
	my @heard = heard($script);

	is_deeply([ sort map { $_->[0] } @heard ], [ sort @$expected ], $name);
	return map { $_->[0], ($_->[1] // '') eq '' ? '' : $json->decode($_->[1]) } @heard;
}

sub new_deal
{
	my ($stage) = @_;
	my $reason = $stage == $lost ? "'Price'" : 'NULL';

	return value($node,
		"INSERT INTO crm_deals.deal (name, stage_id, lost_reason, amount, currency)
		 VALUES ('Größe \"9\"', $stage, $reason, 12.50, 'USD') RETURNING id");
}

# The payload as the contract has it, from the log.
sub payload_of
{
	my ($event, $deal_id, %stages) = @_;
	my ($id, $batch, $status, $actor, $occurred_at) = split /\|/,
		value($node,
			"SELECT id, batch_id, status, actor, to_jsonb(occurred_at) #>> '{}' FROM crm_deals.deal_event
			 WHERE deal_id = $deal_id ORDER BY version DESC LIMIT 1");
	my %stage = map { $_->[0] => { id => $_->[0] + 0, key => $_->[1], name => $_->[2] } }
	  map { [ split /\|/ ] } rows($node, 'SELECT id, key, name FROM crm_deals.stage');

	return {
		event => $event, event_id => $id + 0, batch_id => $batch + 0, deal_id => $deal_id + 0,
		deal_name => "Gr\x{f6}\x{df}e \"9\"", pipeline_id => 1,
		old_stage => $stages{old} ? $stage{ $stages{old} } : undef, new_stage => $stage{ $stages{new} },
		status => $status, amount => 12.5, currency => 'USD', actor => $actor, occurred_at => $occurred_at,
	};
}

# ----------
# Channels and payloads
# ----------

my $user = value($node, 'SELECT current_user');
for my $case (
	[ $lead, $talk, 'moves', 'stage_changed' ],
	[ $lead, $won, 'is won', 'stage_changed', 'won' ],
	[ $lead, $lost, 'is lost', 'stage_changed', 'lost' ],
	[ $lead, $dropped, 'is abandoned', 'stage_changed', 'abandoned' ],
	[ $won, $talk, 'is reopened', 'stage_changed', 'reopened' ],
	[ $lost, $won, 'is won after all', 'stage_changed', 'won' ])
{
	my ($from, $to, $what, @events) = @$case;
	my $deal = new_deal($from);
	my %heard = hears("UPDATE crm_deals.deal SET stage_id = $to, lost_reason = " . ($to == $lost ? "'Price'" : 'NULL')
		. " WHERE id = $deal;",
		[ map { "crm_deals_$_" } @events ], "a deal that $what is heard on @events");

	is_deeply($heard{"crm_deals_$_"}, payload_of("deal.$_", $deal, old => $from, new => $to),
		"... with the payload of the contract: $_") for @events;
}
for my $case ([ $won, 'won' ], [ $lost, 'lost' ], [ $dropped, 'abandoned' ])
{
	my ($stage, $event) = @$case;
	my %heard = hears(
		"INSERT INTO crm_deals.deal (name, stage_id, lost_reason, amount, currency) VALUES ('Größe \"9\"', $stage, "
		  . ($stage == $lost ? "'Price'" : 'NULL') . ", 12.50, 'USD');",
		["crm_deals_$event"], "a deal that is created $event is heard on that channel only");

	is_deeply($heard{"crm_deals_$event"},
		payload_of("deal.$event", value($node, 'SELECT max(id) FROM crm_deals.deal'), new => $stage),
		'... without an old stage');
}

hears("INSERT INTO crm_deals.deal (name) VALUES ('Open');", [], 'a deal that is created open is not heard');
my $deal = new_deal($lead);
hears("UPDATE crm_deals.deal SET amount = 1, name = 'X', owner = 'ann' WHERE id = $deal;", [],
	'nor a change of no stage');
hears("UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal;", [], 'nor a move to where the deal is');
hears("DELETE FROM crm_deals.deal WHERE id = $deal;", [], 'nor a delete');

# The stage becomes won under its deals: their status changes, not their stage.
$deal = new_deal($talk);
value($node, "DELETE FROM crm_deals.deal WHERE stage_id = $talk AND id <> $deal");
my %heard = hears("UPDATE crm_deals.stage SET status = 'won' WHERE id = $talk;", ['crm_deals_won'],
	'a stage that becomes won: its deals are won');
is_deeply($heard{crm_deals_won}, payload_of('deal.won', $deal, old => $talk, new => $talk),
	'... in the stage where they are');
%heard = hears("UPDATE crm_deals.stage SET status = 'open' WHERE id = $talk;", ['crm_deals_reopened'],
	'and reopened when it opens');

# The actor: the argument, else the setting, else the user.
$deal = new_deal($lead);
%heard = hears("SELECT FROM crm_deals.move_deal($deal, 'talk');", ['crm_deals_stage_changed'], 'move_deal is heard');
is($heard{crm_deals_stage_changed}{actor}, $user, 'the actor is the user');
%heard = hears("SET crm_deals.actor = 'mia'; SELECT FROM crm_deals.move_deal($deal, 'lead');",
	['crm_deals_stage_changed'], 'move_deal is heard');
is($heard{crm_deals_stage_changed}{actor}, 'mia', 'the actor is the one set');
%heard = hears("SET crm_deals.actor = 'mia'; SELECT FROM crm_deals.move_deals('{$deal}', 'talk', actor => 'leo');",
	['crm_deals_stage_changed'], 'move_deals is heard');
is($heard{crm_deals_stage_changed}{actor}, 'leo', 'the actor is the argument');

# ----------
# When: at commit, for other sessions, and never what was rolled back
# ----------

my ($in, $out, $err) = ('', '', '');
my $listener = IPC::Run::start(
	[ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
my $pings = 0;

# What the other session has heard until now
sub overheard
{
	my $ping = 'ping ' . ++$pings;

	$in .= "SELECT '$ping';\nSELECT '$ping again';\n";
	$listener->pump until $out =~ /^$ping again$/m;
	my @heard = map { [ $1, $2 ] if /"([^"]*)" (?:with payload "(.*)" )?received/ }
	  grep { /^Asynchronous/ } split /\n/, $out;
	$out = '';
	return @heard;
}

$in = join '', map { "LISTEN $_;\n" } @channels;
is(scalar overheard(), 0, 'another session listens');
$deal = new_deal($lead);
$node->safe_psql('postgres', "UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal");
is_deeply([ map { $_->[0] } overheard() ], [ 'crm_deals_stage_changed', 'crm_deals_won' ],
	'it hears of a move after its commit');

my ($writer_in, $writer_out) = ('', '');
my $writer = IPC::Run::start(
	[ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ],
	'<', \$writer_in, '>', \$writer_out, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
$writer_in .= "BEGIN; UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal; SELECT 'written';\n";
$writer->pump until $writer_out =~ /written/;
is(scalar overheard(), 0, 'nothing before the commit');
$writer_in .= "COMMIT; SELECT 'committed';\n";
$writer->pump until $writer_out =~ /committed/;
is_deeply([ map { $_->[0] } overheard() ], [ 'crm_deals_stage_changed', 'crm_deals_reopened' ], 'all after it');
$writer_in .= "BEGIN; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal; ROLLBACK; SELECT 'rolled back';\n";
$writer->pump until $writer_out =~ /rolled back/;
is(scalar overheard(), 0, 'nothing of what was rolled back');
$writer->finish;
$in .= "\\q\n";
$listener->finish;

hears("BEGIN; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal; ROLLBACK;", [], 'nor in the session itself');
hears("BEGIN; SAVEPOINT a; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal; ROLLBACK TO a; COMMIT;", [],
	'nothing after ROLLBACK TO');
hears("BEGIN; SAVEPOINT a; SAVEPOINT b; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal; RELEASE b;
	ROLLBACK TO a; UPDATE crm_deals.deal SET stage_id = $talk WHERE id = $deal; COMMIT;",
	['crm_deals_stage_changed'],
	'what was released into a savepoint that is rolled back is not heard, what comes after is');

# The same move again is another event.
my @heard = heard(join '',
	map { "UPDATE crm_deals.deal SET stage_id = $_ WHERE id = $deal;\n" } $lead, $talk, $lead, $talk);
is(scalar @heard, 4, 'each of four moves to and fro is heard');
@heard = heard(join '', 'BEGIN;',
	map({ "UPDATE crm_deals.deal SET stage_id = $_ WHERE id = $deal;\n" } $lead, $talk, $lead, $talk), 'COMMIT;');
is(scalar @heard, 4, 'also in one transaction');
is(scalar(keys %{ { map { $json->decode($_->[1])->{event_id} => 1 } @heard } }), 4,
	'... with an event of its own each');

# ----------
# notify_limit: the rest of a transaction in one summary per channel
# ----------

$node->safe_psql('postgres',
	"INSERT INTO crm_deals.deal (name, source) SELECT 'Deal ' || n, 'many' FROM generate_series(1, 130) AS n");

sub summaries
{
	my %by_channel;

	for my $heard (@_)
	{
		my $payload = $json->decode($heard->[1]);
		my $of = $by_channel{ $heard->[0] } //= { one_by_one => 0, summaries => [] };
		exists $payload->{count} ? push @{ $of->{summaries} }, $payload : $of->{one_by_one}++;
	}
	return \%by_channel;
}

sub summary
{
	my ($event, $which) = @_;
	my ($batch, $count, $first, $last) = split /\|/,
		value($node,
			"SELECT min(batch_id), count(*), min(id), max(id)
			 FROM (SELECT * FROM crm_deals.deal_event ORDER BY id DESC LIMIT $which) AS e");

	return { event => $event, batch_id => $batch + 0, count => $count + 0, first_event_id => $first + 0,
		last_event_id => $last + 0 };
}

is_deeply(summaries(heard("UPDATE crm_deals.deal SET stage_id = $won WHERE source = 'many';")),
	{   crm_deals_stage_changed => { one_by_one => 100, summaries => [ summary('deal.stage_changed', 30) ] },
		crm_deals_won => { one_by_one => 100, summaries => [ summary('deal.won', 30) ] } },
	'of 130 deals 100 are heard one by one, 30 in a summary per channel');
is_deeply(summaries(heard("BEGIN; UPDATE crm_deals.deal SET stage_id = $lead WHERE source = 'many' AND id % 2 = 0;
	UPDATE crm_deals.deal SET stage_id = $lead WHERE source = 'many' AND id % 2 = 1; COMMIT;")),
	{   crm_deals_stage_changed => { one_by_one => 100, summaries => [ summary('deal.stage_changed', 30) ] },
		crm_deals_reopened => { one_by_one => 100, summaries => [ summary('deal.reopened', 30) ] } },
	'the limit is of the transaction, not of the statement');
is_deeply(summaries(heard(
	"BEGIN; SAVEPOINT a; UPDATE crm_deals.deal SET stage_id = $talk WHERE source = 'many'; ROLLBACK TO a;
	UPDATE crm_deals.deal SET stage_id = $talk WHERE source = 'many'; COMMIT;")),
	{ crm_deals_stage_changed => { one_by_one => 100, summaries => [ summary('deal.stage_changed', 30) ] } },
	'what was rolled back counts for nothing, neither in the limit nor in a summary');
is_deeply(summaries(heard("BEGIN; UPDATE crm_deals.deal SET amount = 7 WHERE source = 'many';
						   UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal; COMMIT;")),
	{ crm_deals_stage_changed => { one_by_one => 1, summaries => [] } },
	'changes that nobody is notified of do not use up the limit');
is_deeply(summaries(heard("SET crm_deals.notify_limit = 0;
						   UPDATE crm_deals.deal SET stage_id = $lead WHERE source = 'many' AND id % 10 = 0;")),
	{ crm_deals_stage_changed => { one_by_one => 0, summaries => [ summary('deal.stage_changed', 13) ] } },
	'a limit of 0: summaries only');

# ----------
# off, ids, row security
# ----------

hears("SET crm_deals.notify = off; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal;", [],
	'notify = off sends nothing');
is(value($node, "SELECT kind FROM crm_deals.deal_event WHERE deal_id = $deal ORDER BY version DESC LIMIT 1"), 'won',
	'... and keeps the log');

sub is_ids_only
{
	my ($name, %payloads) = @_;

	for my $channel (sort keys %payloads)
	{
		my $payload = $payloads{$channel};
		my @keys = grep { !/^(event|event_id|batch_id|deal_id|pipeline_id|old_stage|new_stage)$/ } keys %$payload;

		is_deeply([ @keys, grep { $_ ne 'id' } map { keys %{ $payload->{$_} } } qw(old_stage new_stage) ],
			[], "$name: $channel carries ids only");
		is($payload->{deal_id}, $deal, q(... the deal's));
	}
}

%heard = hears("SET crm_deals.notify_payload = ids; UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal;",
	[ 'crm_deals_stage_changed', 'crm_deals_reopened' ], 'notify_payload = ids');
is_ids_only('notify_payload = ids', %heard);
$node->safe_psql('postgres', 'ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY');
%heard = hears("UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal;",
	[ 'crm_deals_stage_changed', 'crm_deals_won' ], 'row security on deal');
is_ids_only('row security', %heard);
%heard = hears("UPDATE crm_deals.stage SET status = 'abandoned' WHERE id = $lead;",
	[ map { 'crm_deals_abandoned' } rows($node, "SELECT id FROM crm_deals.deal WHERE stage_id = $lead") ],
	'row security and a change of a stage');
ok(!exists $heard{crm_deals_abandoned}{deal_name}, '... ids only, too');
$node->safe_psql('postgres',
	"UPDATE crm_deals.stage SET status = 'open' WHERE id = $lead;
	 ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY");
%heard = hears("UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal;",
	[ 'crm_deals_stage_changed', 'crm_deals_reopened' ], 'row security off again');
ok(exists $heard{crm_deals_reopened}{deal_name}, '... with its name again');

# ----------
# Under 8,000 bytes, whatever is in it
# ----------

for my $case (
	[ "repeat('x', 1000000)", 'a name of 1 MB' ],
	[ "repeat(U&'\\+01F600', 250000)", 'emoji' ],
	[ "repeat(E'\\x01', 100000) || 'x'", 'control characters' ],
	[ "repeat('\"\\', 100000)", 'quotes and backslashes' ],
	[ "E'tab\\there, newline\\nthere, \"quoted\", \\\\, \\u00e4, \\U0001F600'", 'a bit of everything' ])
{
	my ($name, $what) = @$case;

	$node->safe_psql('postgres', "UPDATE crm_deals.deal SET name = $name, stage_id = $lead WHERE id = $deal");
	@heard = heard("UPDATE crm_deals.deal SET stage_id = $talk WHERE id = $deal;");
	is(scalar @heard, 1, "$what: is heard");
	cmp_ok(length $heard[0][1], '<', 8000, '... in less than 8,000 bytes');
	my $payload = eval { $json->decode($heard[0][1]) };
	is($@, '', '... of valid JSON and UTF-8');
	my $literal = $payload->{deal_name};
	$literal =~ s/'/''/g;
	utf8::encode($literal);
	is(value($node,
		"SELECT starts_with(name, '$literal') AND length('$literal') >= least(length(name), 500) FROM crm_deals.deal
		 WHERE id = $deal"),
		't', '... with as much of the name as fits');
}
# Names whose payload is about as long as one may be, each 6 bytes longer than the one before.
@heard = heard(join '',
	map { my $to = $_ % 2 ? $lead : $talk;
		"UPDATE crm_deals.deal SET name = repeat('x', 7500 + 6 * $_), stage_id = $to WHERE id = $deal;\n" } 1 .. 79);
is(scalar @heard, 79, 'payloads about the limit: all are heard');
is(scalar(grep { length $_->[1] >= 8000 } @heard), 0, '... in less than 8,000 bytes each');
cmp_ok(scalar(grep { length $_->[1] >= 7900 } @heard), '>', 3, '... some of them just so');
$node->safe_psql('postgres',
	"UPDATE crm_deals.stage SET name = repeat(U&'\\+01F600\"', 50000) WHERE id IN ($lead, $talk)");
for my $actor ("repeat(E'\\x02', 20000)", "repeat('é', 100000)")
{
	@heard = heard(
		"SELECT set_config('crm_deals.actor', $actor, false) IS NULL; UPDATE crm_deals.deal SET name = repeat(
			 '\"', 9999), stage_id = CASE stage_id WHEN $lead THEN $talk ELSE $lead END WHERE id = $deal;");
	cmp_ok(length $heard[0][1], '<', 8000, 'long names of stages and actor besides: less than 8,000 bytes');
	ok(eval { $json->decode($heard[0][1])->{event_id} }, '... of valid JSON');
}
@heard = heard("UPDATE crm_deals.deal
				SET amount = ('1.' || repeat('0', 8999) || '1')::numeric,
					stage_id = CASE stage_id WHEN $lead THEN $talk ELSE $lead END
				WHERE id = $deal;");
is(scalar @heard, 1, 'an amount of 9,001 digits: is heard');
cmp_ok(length $heard[0][1], '<', 8000, '... in less than 8,000 bytes');
$node->safe_psql('postgres',
	"UPDATE crm_deals.stage SET name = key; UPDATE crm_deals.deal SET name = 'Deal', amount = 1 WHERE id = $deal");

# ----------
# The doorbell
# ----------

hears("UPDATE crm_deals.deal SET amount = 2 WHERE id = $deal;", [], 'no consumer, no doorbell');
$node->safe_psql('postgres', "INSERT INTO crm_deals.event_consumer (consumer) VALUES ('erp')");
%heard = hears("UPDATE crm_deals.deal SET amount = 3 WHERE id = $deal;", ['crm_deals'],
	'a consumer: every change rings');
is($heard{crm_deals}, '', '... with an empty payload');
hears("BEGIN; UPDATE crm_deals.deal SET amount = 4 WHERE id = $deal;
	UPDATE crm_deals.deal SET amount = 5 WHERE id = $deal;
	INSERT INTO crm_deals.deal (name) VALUES ('New'); DELETE FROM crm_deals.deal WHERE name = 'New'; COMMIT;",
	['crm_deals'], 'once a transaction');
hears("INSERT INTO crm_deals.deal (name) VALUES ('New');", ['crm_deals'], 'for a created deal');
hears("DELETE FROM crm_deals.deal WHERE name = 'New';", ['crm_deals'], 'for a deleted one');
hears("UPDATE crm_deals.deal SET amount = amount WHERE id = $deal;", [], 'not for an update that is no change');
hears("BEGIN; UPDATE crm_deals.deal SET amount = 6 WHERE id = $deal; ROLLBACK;", [], 'not for what is rolled back');
hears("BEGIN; SAVEPOINT a; UPDATE crm_deals.deal SET amount = 6 WHERE id = $deal; ROLLBACK TO a; COMMIT;", [],
	'nor to a savepoint');
hears("BEGIN; SAVEPOINT a; UPDATE crm_deals.deal SET amount = 6 WHERE id = $deal; ROLLBACK TO a;
	   UPDATE crm_deals.deal SET amount = 7 WHERE id = $deal; COMMIT;",
	['crm_deals'], '... but for what follows it');
hears("SET crm_deals.notify = off; UPDATE crm_deals.deal SET amount = 8 WHERE id = $deal;", [],
	'not with notify = off');
hears("UPDATE crm_deals.deal SET stage_id = CASE stage_id WHEN $lead THEN $talk ELSE $lead END WHERE id = $deal;",
	[ 'crm_deals', 'crm_deals_stage_changed' ], 'beside the others');
$node->safe_psql('postgres', 'DELETE FROM crm_deals.event_consumer');
hears("UPDATE crm_deals.deal SET amount = 9 WHERE id = $deal;", [], 'not when the last consumer is gone');

# ----------
# PREPARE TRANSACTION
# ----------

$node->safe_psql('postgres', "UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal");
$node->safe_psql('postgres',
	"SET crm_deals.notify = off; BEGIN; UPDATE crm_deals.deal SET stage_id = $talk WHERE id = $deal;
	 PREPARE TRANSACTION 'move';");
is(value($node, "SELECT stage_id FROM crm_deals.deal WHERE id = $deal"), $lead, 'a prepared move is not there yet');
fails_with($node, '55P03', "SET lock_timeout = '100ms'; UPDATE crm_deals.stage SET status = 'won' WHERE id = $talk",
	'a change of a stage waits for it as for any writer');
$node->safe_psql('postgres', "COMMIT PREPARED 'move'");
is(value($node, "SELECT stage_id FROM crm_deals.deal WHERE id = $deal"), $talk, 'COMMIT PREPARED moves the deal');
$node->safe_psql('postgres',
	"SET crm_deals.notify = off; BEGIN; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal;
	 PREPARE TRANSACTION 'move'; ROLLBACK PREPARED 'move';");
is(value($node, "SELECT stage_id FROM crm_deals.deal WHERE id = $deal"), $talk, 'ROLLBACK PREPARED does not');
$node->safe_psql('postgres',
	"BEGIN; UPDATE crm_deals.deal SET amount = 10 WHERE id = $deal; PREPARE TRANSACTION 'amount';
	 COMMIT PREPARED 'amount';");
is(value($node, "SELECT amount FROM crm_deals.deal WHERE id = $deal"), 10,
	'what notifies nobody can be prepared with notify = on');
for my $limit (100, 0)
{
	fails_with($node, '0A000',
		"SET crm_deals.notify_limit = $limit; BEGIN; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal;
		 PREPARE TRANSACTION 'move'",
		"with notify = on, notify_limit = $limit, PREPARE TRANSACTION is refused");
	is(value($node, "SELECT stage_id FROM crm_deals.deal WHERE id = $deal"), $talk, '... and leaves nothing behind');
}
is(value($node, 'SELECT count(*) FROM pg_prepared_xacts'), 0, 'no prepared transaction is left');
@heard = heard("BEGIN; UPDATE crm_deals.deal SET stage_id = $won WHERE id = $deal; PREPARE TRANSACTION 'move';
				UPDATE crm_deals.deal SET stage_id = $lead WHERE id = $deal;",
	on_error_stop => 0, may_fail => 1);
is_deeply([ map { $_->[0] } @heard ], ['crm_deals_stage_changed'],
	'the session goes on after that, and tells nothing of what failed');

is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');
$node->stop;
done_testing();
