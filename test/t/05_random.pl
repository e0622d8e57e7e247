# Random statements against the rules: after each one the data is held against the contract (CrmDeals::proof), and the
# log, replayed from nothing, must give exactly the deals that are there.
#
#   SEED=n        repeats a run          STATEMENTS=n   how many (3000)
#   SOAK=1        twenty times as many
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} // time ^ ($$ << 8);
my $statements = ($ENV{STATEMENTS} // 3000) * ($ENV{SOAK} ? 20 : 1);
note "SEED=$seed STATEMENTS=$statements";
srand($seed);

# What the contract and PostgreSQL say of wrong statements; anything else is a fault.
my %allowed = map { $_ => 1 } qw(
  23502 23503 23505 23514 UD001 P0002 22023 25P02 25001 21000 3B001
);

my $node = start_server('random');
install($node);
$node->safe_psql('postgres', proof() . <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.add_stage(1, 'Given up', status => 'abandoned');
SELECT crm_deals.create_pipeline('Gated', '[
    {"key": "new", "name": "New", "probability": 5},
    {"key": "talk", "name": "Talk", "probability": 30, "required_fields": ["amount"]},
    {"key": "offer", "name": "Offer", "probability": 60, "required_fields": ["custom_fields.seats", "owner"]},
    {"key": "won", "name": "Won", "status": "won"},
    {"key": "lost", "name": "Lost", "status": "lost"},
    {"key": "dropped", "name": "Dropped", "status": "abandoned", "required_fields": ["notes"]}]',
    gates => '{"forbid_skipping": true, "forbid_backward": true}');
SELECT crm_deals.create_pipeline('Listed', '[
    {"key": "a", "name": "A", "next": ["b", "c", "won"]},
    {"key": "b", "name": "B", "next": ["c", "a"]},
    {"key": "c", "name": "C", "next": ["won"]},
    {"key": "won", "name": "Won", "status": "won", "next": ["b"]},
    {"key": "lost", "name": "Lost", "status": "lost", "next": ["a"]}]',
    organization => 'acme', gates => '{"forbid_unlisted": true}');
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (2, 'Price'), (2, 'Time');
INSERT INTO crm_deals.account (name) VALUES ('Acme'), ('Umbrella');
INSERT INTO crm_deals.deal (name, pipeline_id) SELECT 'Deal ' || n, 1 + n % 3 FROM generate_series(1, 30) AS n;
DO 'BEGIN IF EXISTS (SELECT FROM proof.check()) THEN RAISE ''wrong from the start''; END IF; END';

CREATE FUNCTION proof.deal(n integer) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT coalesce((SELECT id FROM crm_deals.deal ORDER BY id
                    OFFSET n % (SELECT greatest(count(*), 1) FROM crm_deals.deal) LIMIT 1), 1) $$;
CREATE FUNCTION proof.deals(n integer, much integer) RETURNS bigint[] LANGUAGE sql STABLE AS
$$ SELECT array_agg(id) FROM (SELECT id FROM crm_deals.deal ORDER BY (id * 7919 + n) % 101, id LIMIT much) AS d $$;
CREATE FUNCTION proof.stage(n integer) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT id FROM crm_deals.stage ORDER BY id OFFSET n % (SELECT count(*) FROM crm_deals.stage) LIMIT 1 $$;

-- What users have: a trigger that completes rows before ours, and one that writes the same deal again.
CREATE FUNCTION public.complete() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN new.notes := coalesce(new.notes, ''from '' || new.source); RETURN new; END';
CREATE TRIGGER complete BEFORE INSERT OR UPDATE ON crm_deals.deal
    FOR EACH ROW WHEN (new.source = 'complete') EXECUTE FUNCTION public.complete();
CREATE FUNCTION public.again() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN UPDATE crm_deals.deal SET notes = ''again at '' || new.stage_id WHERE id = new.id; RETURN NULL; END';
CREATE TRIGGER again AFTER UPDATE ON crm_deals.deal
    FOR EACH ROW WHEN (new.source = 'again' AND new.stage_id <> old.stage_id) EXECUTE FUNCTION public.again();
-- a database that has no priority column until a user adds it
CREATE FUNCTION proof.add_column() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE crm_deals.deal ADD COLUMN priority integer DEFAULT 3, ADD COLUMN tags text[],
        ADD COLUMN mailed timestamptz;
    UPDATE proof.replayed SET "row" = "row" || '{"priority": 3}' WHERE "row" IS NOT NULL;
END $$;
CREATE FUNCTION proof.drop_column() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ALTER TABLE crm_deals.deal DROP COLUMN priority, DROP COLUMN tags, DROP COLUMN mailed;
    UPDATE proof.replayed SET "row" = "row" - 'priority' - 'tags' - 'mailed' WHERE "row" IS NOT NULL;
END $$;
SQL

# ----------
# Random pieces
# ----------

sub one { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }
sub n { return int rand $_[0] }
sub deal { return chance(0.03) ? 1000000 + n(9) : 'proof.deal(' . n(1000) . ')' }
sub stage { return chance(0.01) ? 987654 : 'proof.stage(' . n(1000) . ')' }
sub pipeline { return one(1, 1, 2, 3) }
sub stage_text { return "'" . one(
	qw(lead qualified proposal negotiation won lost Won Lost Offer talk offer a b c nowhere), 'Given up', 3, 11) . "'" }
sub reason { return one('NULL', "'Price'", "'Price'", "'Time'", "'Mood'", "' '") }
sub amount { return chance(0.02) ? -1 : one('NULL', n(1000), n(1000), n(100) / 8, "'1e17'") }
sub external { return one('NULL', map { "'x$_'" } 1 .. 8) }
sub moment { return one("'2024-02-29 12:00+00'", "now()", "now() - interval '3 days'", 'NULL') }

my $named = 0;
sub name { return "'" . one('Deal', 'Größe', 'a "quoted" \\ name', "it''s", "tab\there", '取引') . ' ' . ++$named . "'" }

sub custom
{
	return one(
		q('{}'), q('{"seats": 5}'), q('{"seats": 7, "color": "red"}'), q('{"seats": null}'),
		q('{"a b": [1, 2, {"c": null}], "seats": 1}'), q('{"color": "blue", "deep": {"x": {"y": 1.50}}}'),
		q('{"custom_fields.seats": 1}'), q('{"seats": "many"}'), q('"text"'));
}

# an assignment of an UPDATE
my %column = (
	name => \&name,
	amount => \&amount,
	probability => sub { one('NULL', 10, 25, 50, 33, n(101), 100.5) },
	probability_overridden => sub { one('true', 'false') },
	custom_fields => sub { chance(0.5) ? custom() : 'custom_fields || ' . custom() },
	lost_reason => \&reason,
	closed_at => \&moment,
	stage_id => \&stage,
	status => sub { one(qw('open' 'won' 'lost' 'abandoned')) },
	pipeline_id => \&pipeline,
	expected_close_date => sub { one('NULL', "'2026-05-01'", "date '2026-01-01' + " . n(300)) },
	owner => sub { one('NULL', "'ann'", "'bob'") },
	source => sub { one('NULL', "'web'", "'complete'", "'again'") },
	notes => sub { one('NULL', "'n" . n(9) . "'") },
	currency => sub { one("'EUR'", "'USD'", "'usd'", "'ZZZ'", 'NULL') },
	external_id => \&external,
	account_id => sub { one('NULL', 1, 2, 77) },
	organization => sub { one('NULL', "'acme'") },
	version => sub { one('version', 'version + 1', 'version + 1', 'version + 2', 1, 'NULL') },
	stage_entered_at => sub { 'now()' },
	updated_at => sub { one('NULL', 'now()', 'updated_at') },
	created_at => sub { one('created_at', 'created_at', 'now()') },
	last_open_stage_id => sub { one('NULL', 3) },
	priority => sub { n(9) },
	tags => sub { one('NULL', q('{a,b}'), q(array['x, y', null])) },
	mailed => \&moment,
);
my @likely = (qw(name amount probability custom_fields stage_id stage_id stage_id expected_close_date owner source
	notes)) x 2;
my $has_priority = 0;

sub columns
{
	my ($much) = @_;
	my %set;

	while (keys %set < $much)
	{
		my $name = chance(0.85) ? one(@likely) : one(sort keys %column);
		next if $name =~ /^(priority|tags|mailed)$/ && !$has_priority;
		$set{$name} = $column{$name}->();
	}
	return %set;
}

sub assignments
{
	my %set = columns(1 + n(3));
	return join ', ', map { "$_ = $set{$_}" } sort keys %set;
}

sub insert_row
{
	my %set = (name => name());
	%set = (%set, columns(n(4)));
	delete @set{qw(version probability_overridden updated_at stage_entered_at created_at)} if chance(0.9);
	$set{custom_fields} = custom() if exists $set{custom_fields};
	$set{$_} =~ s/^(version|updated_at|created_at).*/DEFAULT/
	  for grep { defined $set{$_} } qw(version updated_at created_at);
	return \%set;
}

sub insert_many
{
	my @names = ('name',
		grep { chance(0.2) } qw(stage_id amount custom_fields owner lost_reason probability external_id));
	my @rows = map { '(' . join(', ', map { $_ eq 'custom_fields' ? custom() : $column{$_}->() } @names) . ')' } 0 .. 1
	  + n(4);
	return 'INSERT INTO crm_deals.deal (' . join(', ', @names) . ') VALUES ' . join ', ', @rows;
}

sub arguments
{
	my @list;
	push @list, "note => 'said so'" if chance(0.3);
	push @list, "actor => 'zoe'" if chance(0.3);
	push @list, 'lost_reason => ' . reason() if chance(0.4);
	push @list, "override => 'the boss'" if chance(0.2);
	return map { ", $_" } @list;
}

my $upsert = 'ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO';

# kind => [weight, statement]; a statement that changes the stages that the gates go by is not judged by them after it
my %kinds = (
	insert => [ 8, sub { my $row = insert_row();
		'INSERT INTO crm_deals.deal (' . join(', ', sort keys %$row) . ') VALUES ('
			. join(', ', map { $row->{$_} } sort keys %$row) . ')' } ],
	insert_many => [ 4, \&insert_many ],
	insert_select => [ 2, sub { 'INSERT INTO crm_deals.deal (name, stage_id, amount, lost_reason, custom_fields, owner) '
		. 'SELECT name, stage_id, amount, lost_reason, custom_fields, owner FROM crm_deals.deal WHERE id % 7 = ' . n(7) } ],
	# from a program: psql would take the rows of a refused COPY FROM STDIN for statements
	copy => [ 3,
		sub { '\copy crm_deals.deal (name, amount, owner) FROM PROGRAM \'printf "' . join('',
			map { "copied $_\\t" . n(50) . '\tann\n' } 0 .. n(4)) . '"\'' } ],
	update => [ 25, sub { 'UPDATE crm_deals.deal SET ' . assignments() . ' WHERE id = ' . deal() } ],
	update_many => [ 6, sub { 'UPDATE crm_deals.deal SET ' . assignments() . ' WHERE id % ' . (2 + n(5)) . ' = 1' } ],
	move => [ 12,
		sub { my $to = stage(); "UPDATE crm_deals.deal SET stage_id = $to, lost_reason = " . (chance(0.2) ? reason()
			: "(SELECT 'Price' FROM crm_deals.stage WHERE id = $to AND status = 'lost')") . ' WHERE id = ' . deal() } ],
	close => [ 5, sub { "UPDATE crm_deals.deal AS d SET stage_id = s.id, "
		. "lost_reason = CASE s.status WHEN 'lost' THEN 'Price' END "
		. 'FROM crm_deals.stage AS s '
		. "WHERE s.pipeline_id = d.pipeline_id AND s.status <> 'open' AND s.position % 2 = " . n(2)
		. ' AND d.id = ' . deal() } ],
	reopen => [ 8, sub { "UPDATE crm_deals.deal AS d SET stage_id = s.id FROM crm_deals.stage AS s "
		. "WHERE s.pipeline_id = d.pipeline_id AND s.status = 'open' AND s.position = " . (1 + n(5))
		. " AND d.status <> 'open' AND d.id = (SELECT id FROM crm_deals.deal WHERE status <> 'open' "
		. "ORDER BY (id * 7919 + " . n(99) . ') % 101 LIMIT 1)' } ],
	whole_row => [ 6,
		sub { "UPDATE crm_deals.deal SET name = name || '!', stage_id = " . stage()
			. ', pipeline_id = pipeline_id, status = status, closed_at = closed_at, probability = probability, '
				. 'lost_reason = lost_reason, version = version + '
			. n(2) . ' WHERE id = ' . deal() } ],
	nothing => [ 2,
		sub { 'UPDATE crm_deals.deal SET name = name, amount = amount, version = version WHERE id % 3 = ' . n(3) } ],
	from => [ 2, sub { 'UPDATE crm_deals.deal AS d SET stage_id = s.id FROM crm_deals.stage AS s '
		. 'WHERE s.pipeline_id = d.pipeline_id AND s.position = ' . (1 + n(4)) . ' AND d.id = ' . deal() } ],
	upsert => [ 5,
		sub { 'INSERT INTO crm_deals.deal (name, external_id, stage_id, amount) VALUES (' . join('), (',
			map { join ', ', name(), external(), stage(), n(99) } 0 .. n(2)) . ") $upsert " . one('NOTHING',
			'UPDATE SET stage_id = excluded.stage_id, amount = excluded.amount', 'UPDATE SET name = excluded.name') } ],
	merge => [ 4,
		sub { 'MERGE INTO crm_deals.deal AS d USING (VALUES (' . deal() . ', ' . n(99) . '), (0, ' . n(99)
			. ')) AS v (id, amount) ON d.id = v.id WHEN MATCHED AND ' . one('true', 'd.amount > 50') . ' THEN '
			. one('UPDATE SET amount = v.amount, stage_id = ' . stage(), 'UPDATE SET amount = v.amount', 'DELETE')
			. ' WHEN NOT MATCHED THEN ' . one("INSERT (name, amount) VALUES ('merged', v.amount)", 'DO NOTHING') } ],
	with => [ 4,
		sub { my $k = 2 + n(3); 'WITH a AS (UPDATE crm_deals.deal SET ' . assignments()
			. " WHERE id % $k = 0 AND id % 5 = 1 RETURNING id), b AS ("
			. one("INSERT INTO crm_deals.deal (name) SELECT 'with' RETURNING id",
				'DELETE FROM crm_deals.deal WHERE id % ' . ($k * 5) . ' = 3 RETURNING id')
			. ') SELECT count(*) FROM a, b' } ],
	move_deal => [ 14,
		sub { 'SELECT crm_deals.move_deal(' . deal() . ', ' . one(stage_text(), stage_text(), stage())
			. join('', arguments()) . (chance(0.1) ? ', expected_version => ' . (1 + n(5)) : '') . ')' } ],
	move_deals => [ 5,
		sub { 'SELECT crm_deals.move_deals(' . one('proof.deals(' . n(99) . ', ' . (1 + n(12)) . ')',
			"'{1, 2, 3, 999999, NULL}'") . ', ' . stage_text() . join('', arguments()) . ')' } ],
	check_move => [ 1, sub { 'SELECT crm_deals.check_move(' . deal() . ', ' . stage_text() . ')' } ],
	delete => [ 2, sub { 'DELETE FROM crm_deals.deal WHERE id = ' . deal() } ],
	delete_many => [ 1,
		sub { 'DELETE FROM crm_deals.deal WHERE id < (SELECT max(id) - 60 FROM crm_deals.deal) OR id % 23 = '
			. n(23) } ],
	prepared => [ 5,
		sub { one('EXECUTE moving(' . deal() . ', ' . stage() . ')', 'EXECUTE pricing(' . n(999) . ', ' . deal() . ')',
			'EXECUTE creating(' . name() . ')') } ],
	stage_status => [ 2,
		sub { "UPDATE crm_deals.stage SET status = '" . one(qw(open won lost abandoned)) . "' WHERE id = " . stage() },
		'edits' ],
	stage_statuses => [ 1, sub { "UPDATE crm_deals.stage SET status = "
		. "CASE status WHEN 'won' THEN 'open' WHEN 'abandoned' THEN 'open' "
		. "ELSE status END::text::crm_deals.deal_status, probability = probability / 2 + 1 "
		. 'WHERE pipeline_id = ' . pipeline() }, 'edits' ],
	stage_reset => [ 0.7, sub { "UPDATE crm_deals.stage
								 SET required_fields = '{}',
									 status = CASE WHEN key IN ('won', 'lost') THEN key
												   WHEN key IN ('given_up', 'dropped') THEN 'abandoned'
												   ELSE 'open' END::crm_deals.deal_status" }, 'edits' ],
	stage_probability => [ 2, sub { 'UPDATE crm_deals.stage SET probability = ' . n(101) . ' WHERE id = ' . stage() },
		'edits' ],
	stage_order => [ 2, sub { 'SELECT crm_deals.reorder_stages(p, ARRAY(SELECT key FROM crm_deals.stage '
		. 'WHERE pipeline_id = p ORDER BY md5(key || ' . n(99) . '))) FROM (VALUES (' . pipeline() . ')) AS v (p)' } ],
	stage_fields => [ 1,
		sub { 'UPDATE crm_deals.stage SET required_fields = ' . one(q('{}'), q('{}'), q('{amount}'),
			q('{custom_fields.seats, owner}')) . ' WHERE id = ' . stage() } ],
	stage_name => [ 1, sub { "UPDATE crm_deals.stage SET name = name || '.' WHERE id = " . stage() } ],
	stage_archive => [ 1,
		sub { 'UPDATE crm_deals.stage SET archived_at = ' . one('NULL WHERE true', 'NULL WHERE true',
			'now() WHERE id = ' . stage()) } ],
	stage_add => [ 0.3,
		sub { "SELECT crm_deals.add_stage(" . pipeline() . ", 'Stage', before_key => " . one('NULL', "'won'")
			. ', probability => ' . n(90) . ')' } ],
	stage_remove => [ 0.3, sub { 'SELECT crm_deals.remove_stage(' . stage() . ', ' . one('NULL', stage()) . ')' },
		'edits' ],
	gates => [ 3,
		sub { 'UPDATE crm_deals.pipeline SET ' . one(qw(forbid_skipping forbid_skipping forbid_backward
			forbid_unlisted lost_reason_required)) . ' = ' . one('true', 'false') . ' WHERE id = ' . one(1, 2, 3) } ],
	gates_off => [ 3, sub { 'UPDATE crm_deals.pipeline SET forbid_skipping = false, forbid_backward = false, '
		. 'forbid_unlisted = false WHERE id = ' . one(1, 1, 2, 3) } ],
	active => [ 1,
		sub { 'UPDATE crm_deals.pipeline SET is_active = ' . one('true WHERE true', 'true WHERE true',
			'false WHERE id = ' . pipeline()) } ],
	transition => [ 1,
		sub { one('INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id) SELECT ' . one('NULL', stage())
			. ', ' . stage() . ' ON CONFLICT DO NOTHING',
			'DELETE FROM crm_deals.stage_transition WHERE id % 5 = ' . n(5)) } ],
	catalogue => [ 1,
		sub { one("INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (" . pipeline()
			. ", 'Mood') ON CONFLICT DO NOTHING",
			'DELETE FROM crm_deals.lost_reason WHERE pipeline_id <> 2',
			'UPDATE crm_deals.lost_reason SET is_active = NOT is_active WHERE id % 2 = 0') } ],
	field => [ 1,
		sub { one("INSERT INTO crm_deals.custom_field (entity, key, label, type)
				   VALUES ('deal', 'seats', 'Seats', 'number') ON CONFLICT DO NOTHING",
			'DELETE FROM crm_deals.custom_field') } ],
	setting => [ 3,
		sub { 'SET crm_deals.' . one("default_lost_reason = 'Price'", "default_lost_reason = ''", 'enforce_gates = on',
			'enforce_gates = on', 'enforce_gates = off', "actor = 'yan'", 'notify = on', 'notify = off',
			'notify_limit = 2', "organization = 'acme'", "organization = ''") } ],
	column => [ 0.5,
		sub { $has_priority = !$has_priority;
			$has_priority ? 'SELECT proof.add_column()' : 'SELECT proof.drop_column()' } ],
);
my $total_weight = 0;
$total_weight += $_->[0] for values %kinds;

sub random_kind
{
	my $at = rand $total_weight;

	for my $kind (sort keys %kinds)
	{
		$at -= $kinds{$kind}[0];
		return $kind if $at < 0;
	}
	return 'update';
}

# ----------
# The script
# ----------

my @log;    # number => kind, statement

sub statement
{
	my ($in_transaction) = @_;
	my $kind = random_kind();
	# its effect on the generator could not be rolled back
	$kind = 'update' if $kind eq 'column' && $in_transaction;
	my $text = $kinds{$kind}[1]->();
	my $judge = $kinds{$kind}[2] ? 'false' : 'true';

	push @log, [ $kind, $text ];
	return "\\echo #$#log\n$text" . ($text =~ /^\\copy/ ? "\n" : ";\n")
	  . "\\echo =\nSELECT 'VIOLATED ' || v FROM proof.check($judge) AS v;\n\\echo\n";
}

sub transaction
{
	my $script = one('BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ',
		'BEGIN ISOLATION LEVEL SERIALIZABLE') . ";\n";
	my $savepoints = 0;

	$script = '\set ON_ERROR_ROLLBACK ' . one('on', 'on', 'off') . "\n$script";
	for (0 .. n(8))
	{
		if (chance(0.2)) { $script .= "SAVEPOINT s;\n"; $savepoints++ }
		$script .= statement(1);
		if ($savepoints && chance(0.25)) { $script .= "ROLLBACK TO s;\n" }
		if ($savepoints && chance(0.15)) { $script .= "RELEASE s;\n"; $savepoints-- }
	}
	return $script . one('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK') . ";\n";
}

sub script
{
	my ($much, @settings) = @_;
	my $end = @log + $much;
	my $script = join '', "\\set VERBOSITY verbose\n", "SET client_min_messages = error;\n", map { "$_;\n" } @settings;

	$script .= <<'SQL';
PREPARE moving AS UPDATE crm_deals.deal SET stage_id = $2 WHERE id = $1;
PREPARE pricing AS UPDATE crm_deals.deal SET amount = $1 WHERE id = $2 RETURNING version;
PREPARE creating AS INSERT INTO crm_deals.deal (name) VALUES ($1);
SQL
	while (@log < $end)
	{
		$script .= chance(0.2) ? transaction() : statement();
		$script .= "SELECT 'VIOLATED verify: ' || v FROM crm_deals.verify() AS v;\n" if chance(0.01);
	}
	return $script . "SELECT 'VIOLATED verify: ' || v FROM crm_deals.verify() AS v;\n\\echo the end\n";
}

sub run_script
{
	my ($name, $script) = @_;
	my $first = @log;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/random.sql";
	my ($at, $in_check, $output, %tried, %failed, %states, @faults);

	append_to_file($file, '');
	open my $handle, '>:raw', $file or die $!;
	utf8::encode($script) if utf8::is_utf8($script);
	print $handle $script;
	close $handle;
	$output = `psql -X -q -A -t -d "@{[ $node->connstr('postgres') ]}" -f "$file" 2>&1`;

	for my $line (split /\n/, $output)
	{
		if ($line =~ /^#(\d+)$/)
		{
			$at = $1;
			$tried{ $log[$at][0] }++;
		}
		elsif ($line =~ /^=?$/)
		{
			$in_check = $line eq '=';
		}
		elsif ($line =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5}):/)
		{
			$states{$1}++;
			$failed{ $log[$at][0] }++ if defined $at && !$in_check;
			push @faults, [ $at, $line ] unless $in_check ? $1 eq '25P02' : $allowed{$1};
		}
		elsif ($line =~ /^VIOLATED|connection to server was lost|server closed the connection/)
		{
			push @faults, [ $at, $line ];
		}
	}
	for my $fault (@faults > 5 ? @faults[ 0 .. 4 ] : @faults)
	{
		my ($number, $line) = ($fault->[0] // 0, $fault->[1]);

		diag "SEED=$seed, statement $number: $line\n    $log[$number][1]";
		diag 'before it: ', map { "\n    $log[$_][1]" } grep { $_ >= 0 } $number - 3 .. $number - 1;
	}
	is(scalar @faults, 0, "$name: the rules hold after every statement, and no error is unforeseen");
	like($output, qr/^the end$/m, "$name: the session lives to the end");
	note join ', ', map { "$_: $states{$_}" } sort keys %states;
	note join ', ', map { "$_: " . ($tried{$_} - ($failed{$_} // 0)) . '/' . $tried{$_} } sort keys %tried;
	return \%states;
}

my $script = script($statements);
my $states = run_script('random statements', $script);

# A run in which nothing succeeded, or nothing was refused, would prove nothing.
my ($events, $kinds) = split /\|/, value($node, 'SELECT count(*), count(DISTINCT kind) FROM crm_deals.deal_event');
cmp_ok($events, '>', $statements / 4, 'a good part of the statements changed deals');
is($kinds, 8, 'every kind of event there is without merges, undo and redaction');
cmp_ok($states->{23514} // 0, '>', $statements / 20, 'and rules refused others');

# From nothing, in one go
is(value($node, <<'SQL'), '', 'the whole log, replayed once more from nothing, is the table of deals');
TRUNCATE proof.replayed;
UPDATE proof.progress SET last_event = 0;
INSERT INTO proof.ignored VALUES ('priority'), ('tags'), ('mailed');
SELECT proof.check(false);
SQL

SKIP:
{
	my ($status, undef, $stderr) = $node->psql('postgres', 'SET debug_discard_caches = 1');
	skip "this build of PostgreSQL refuses debug_discard_caches = 1 ($stderr)", 2 if $status != 0;
	run_script('with caches discarded at every turn', script(60, 'SET debug_discard_caches = 1'));
}

$node->stop;
done_testing();
