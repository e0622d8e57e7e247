# Runs the listeners of examples/listeners, which the reference shows, as their users do. Each gets what happens while
# it listens and what happened while it was away, and nothing twice.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $root = "$FindBin::RealBin/../..";
my $home = PostgreSQL::Test::Utils::tempdir();
my $reference = slurp_file("$root/doc/crm_deals.md");
my @processes;

# Whatever happens nothing goes on running.
END
{
	my $status = $?;
	IPC::Run::kill_kill($_, grace => 0) for @processes;
	$? = $status;
}

my $node = start_server('listeners');
install($node);
$node->safe_psql('postgres', <<'SQL');
SELECT crm_deals.create_pipeline('Sales');
INSERT INTO crm_deals.deal (name) VALUES ('Written before anybody subscribed');
CREATE ROLE listener LOGIN;
SELECT crm_deals.grant_access('listener', 'consume');
SQL

# A new deal, moved and won; returns the ids of its events.
sub write_events
{
	return rows($node, <<'SQL');
CREATE TEMP TABLE mine AS WITH new AS (INSERT INTO crm_deals.deal (name) VALUES ('Größe "9"') RETURNING id) SELECT id
    FROM new;
UPDATE crm_deals.deal SET stage_id = 3 WHERE id = (SELECT id FROM mine);
UPDATE crm_deals.deal SET stage_id = 5 WHERE id = (SELECT id FROM mine);
SELECT e.id FROM crm_deals.deal_event AS e JOIN mine AS m ON m.id = e.deal_id ORDER BY e.version;
SQL
}

sub start_listener
{
	my ($heard, @command) = @_;
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'listener', PGDATABASE => 'postgres');
	my $listener = IPC::Run::start([@command], '<', \undef, '>>', $heard, '2>>', "$heard.errors",
		IPC::Run::timeout(180));

	push @processes, $listener;
	return $listener;
}

# The ids of the events that a listener has printed.
sub heard
{
	my ($file) = @_;

	return -e $file ? slurp_file($file) =~ /event_id['"]: ?(\d+)|^ *(\d+) \|/mg : ();
}

sub hears
{
	my ($file, $expected, $name) = @_;
	my $end = time + 8;    # a listener that no notification wakes looks every ten seconds
	my @heard;

	do { sleep 0.05; @heard = grep { defined } heard($file) } until @heard >= @$expected || time > $end;
	is("@heard", "@$expected", $name) or diag slurp_file("$file.errors");
	return;
}

sub test_listener
{
	my ($language, $file, @command) = @_;
	my $heard = "$home/$language";
	my ($consumer) = slurp_file($file) =~ /subscribe\('(\w+)'\)/;
	my @written;

	ok(index($reference, slurp_file($file)) >= 0, "$language: the reference shows the file");

	my $listener = start_listener($heard, @command);
	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM crm_deals.consumer_status WHERE consumer = '$consumer')")
	  or die "$language: " . slurp_file("$heard.errors");
	push @written, write_events();
	hears($heard, \@written, "$language: what happens while it listens");
	push @written, write_events();
	hears($heard, \@written, '... again');

	# What it has printed and not acknowledged it would print again.
	$node->poll_query_until('postgres', "SELECT pending = 0 FROM crm_deals.consumer_status WHERE consumer = '$consumer'")
	  or die "$language: nothing is acknowledged";
	$listener->kill_kill(grace => 0);
	push @written, write_events(), write_events();
	$listener = start_listener($heard, @command);
	hears($heard, \@written, "$language: what happened while it was away");
	push @written, write_events();
	hears($heard, \@written, '... and then what happens, nothing twice');
	ok($node->poll_query_until('postgres',
			"SELECT pending = 0 FROM crm_deals.consumer_status WHERE consumer = '$consumer'"),
		"$language: all is acknowledged");
	$listener->kill_kill(grace => 0);
	return;
}

test_listener('psql', "$root/examples/listeners/listener.sql", 'psql', '-X', '-f',
	"$root/examples/listeners/listener.sql");

SKIP:
{
	my ($python) = grep { system("$_ -c 'import psycopg' 2>/dev/null") == 0 } '/usr/bin/python3', 'python3';
	skip 'Python with psycopg 3 (Debian: python3-psycopg) is missing', 1 if !defined $python;
	test_listener('Python', "$root/examples/listeners/listener.py", $python, "$root/examples/listeners/listener.py");
}

# Node.js looks for packages beside the program.
SKIP:
{
	my ($packages) = grep { -d "$_/pg" } "$root/examples/webhook-relay/node_modules", '/usr/share/nodejs';
	skip 'Node.js (Debian: nodejs) is missing', 1 if `node --version 2>/dev/null` !~ /^v(\d+)/ || $1 < 18;
	skip 'pg for Node.js is missing: run "npm ci" in examples/webhook-relay', 1 if !defined $packages;
	system('cp', "$root/examples/listeners/listener.mjs", $home) == 0
	  and symlink($packages, "$home/node_modules")
	  or die "$home: $!";
	test_listener('Node', "$root/examples/listeners/listener.mjs", 'node', "$home/listener.mjs");
}

$node->stop;
done_testing();
