# Section 6: after a change of locale or encoding the answers are still exact, with a WARNING until
# rebuild_duplicates(). A database is dumped and restored into others, or gets another locale under its feet. Each time
# what is written, found and scanned is compared with all pairs by pg_trgm's own similarity() there.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('locale', 'log_statement = none');
my $folder = $PostgreSQL::Test::Utils::tmp_check;
my $warning = qr/WARNING: .*index/;

# Names that LATIN1 has, too, whose similarity hangs on what a letter is: without locale letters beyond ASCII vanish
my $names = <<'SQL';
CREATE TABLE public.name (n integer PRIMARY KEY, name text NOT NULL);
INSERT INTO public.name
SELECT row_number() OVER (ORDER BY a.n, b.n, c.n), concat_ws(' ', a.word, b.word, c.word)
FROM unnest(ARRAY['Müller & Söhne', 'MÜLLER & SÖHNE', 'Mller & Shne', 'M ller S hne', 'Zürich Straße', 'Zurich Strasse',
                  'Éclair Ñandú øre', 'éclair ñandú ØRE', 'Umbrella Corporation',
                  'UMBRELLA Corporation']) WITH ORDINALITY AS a (word, n),
     unnest(ARRAY['Lizenz', 'Übernahme', 'bernahme', 'renewal of the contract']) WITH ORDINALITY AS b (word, n),
     unnest(ARRAY[NULL, '2026', 'ß', 'ÆØÅ äöü', 'x']) WITH ORDINALITY AS c (word, n);
SQL
my $business = <<"SQL";
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales'), crm_deals.create_pipeline('Fresh', organization => 'fresh');
$names
ALTER TABLE crm_deals.deal ADD COLUMN n integer;
SET client_min_messages = error;
SET crm_deals.notify = off;
INSERT INTO crm_deals.deal (n, name) SELECT n, name FROM public.name ORDER BY n;
SELECT crm_deals.dismiss_duplicate(deal_id, other_deal_id)
FROM (SELECT * FROM crm_deals.deal_duplicate ORDER BY 1, 2 LIMIT 3) AS f;
SQL

# What a session wrote to stderr while it did something
sub warnings_of
{
	my ($database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database,
		"SET crm_deals.notify = off; SET crm_deals.duplicate_limit = 1000000;\n$sql", on_error_die => 1);

	return $stderr;
}

sub same_rows
{
	my ($database, $got, $want, $name) = @_;
	my $answer = value($node, <<"SQL", database => $database);
WITH a AS MATERIALIZED ($got), b AS MATERIALIZED ($want)
SELECT (SELECT count(*) FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b) AS x) || ' too many, '
       || (SELECT count(*) FROM (SELECT * FROM b EXCEPT ALL SELECT * FROM a) AS x) || ' missing, '
       || CASE WHEN count(*) > 20 THEN 'many' ELSE 'few' END || ' there'
FROM b
SQL
	is($answer, '0 too many, 0 missing, many there', $name);
	return;
}

my $pair = "SELECT a.n AS later, b.n AS earlier, similarity(a.name, b.name) AS similarity FROM public.name AS a
			JOIN public.name AS b ON b.n < a.n WHERE similarity(a.name, b.name) >= real";
my $flag = 'SELECT d.n, o.n, f.similarity FROM crm_deals.deal_duplicate AS f
			JOIN crm_deals.deal AS d ON d.id = f.deal_id JOIN crm_deals.deal AS o ON o.id = f.other_deal_id';

# Everything there is to ask, and what is written, by the index or by all names; and whether there is a WARNING
sub exact
{
	my ($database, $what, $warns) = @_;
	my $likeness = $warns ? sub { like($_[0], $warning, $_[1]) } : sub { is($_[0], '',
		$_[1] =~ s/a WARNING/no WARNING/r) };

	value($node, "DELETE FROM crm_deals.deal WHERE organization = 'fresh'", database => $database);
	$likeness->(warnings_of($database, "SELECT count(*) FROM crm_deals.find_duplicates('Umbrella Corporation')"),
		"$what: find_duplicates() with a WARNING");
	$likeness->(warnings_of($database,
		"INSERT INTO crm_deals.deal (name) VALUES ('x'); DELETE FROM crm_deals.deal WHERE name = 'x'"),
		"$what: a write with a WARNING");
	same_rows($database,
		"SELECT d.n, o.n, s.similarity FROM crm_deals.scan_duplicates() AS s
		 JOIN crm_deals.deal AS d ON d.id = s.deal_id JOIN crm_deals.deal AS o ON o.id = s.other_deal_id",
		"$pair '0.85'", "$what: scan_duplicates()");
	same_rows($database,
		"SELECT a.n, d.n, f.similarity
		 FROM public.name AS a, LATERAL crm_deals.find_duplicates(a.name, real '$_', 2147483647) AS f
		 JOIN crm_deals.deal AS d ON d.id = f.deal_id",
		"SELECT a.n, b.n, similarity(a.name, b.name) FROM public.name AS a, public.name AS b
		 WHERE similarity(a.name, b.name) >= real '$_'",
		"$what: find_duplicates() from $_ on")
	  for 0.85, 0.6;
	warnings_of($database,
		"DO \$\$ DECLARE r record;
		 BEGIN FOR r IN SELECT * FROM public.name WHERE n % 2 = 0
		 ORDER BY n LOOP INSERT INTO crm_deals.deal (n, name, pipeline_id) VALUES (r.n, r.name, 2);
		 END LOOP; END \$\$");
	same_rows($database, "$flag WHERE d.organization = 'fresh'", "$pair '0.85' AND a.n % 2 = 0 AND b.n % 2 = 0",
		"$what: written one at a time");
	warnings_of($database,
		'INSERT INTO crm_deals.deal (n, name, pipeline_id)
		 SELECT n, name, 2
		 FROM public.name
		 WHERE n % 2 = 1
		 ORDER BY n');
	same_rows($database,
		"SELECT greatest(x.a, x.b), least(x.a, x.b), x.s FROM ($flag WHERE d.organization = 'fresh') AS x (a, b, s)",
		"$pair '0.85'", "$what: and all the others at once");
	value($node, "DELETE FROM crm_deals.deal WHERE organization = 'fresh'", database => $database);
	is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => $database), 0,
		"$what: verify() finds nothing");
	return;
}

sub rebuilt
{
	my ($database, $what) = @_;

	is(warnings_of($database, 'SELECT crm_deals.rebuild_duplicates()'), '', "$what: rebuild_duplicates() says nothing");
	exact($database, "$what, rebuilt", 0);
	return;
}

$node->safe_psql('postgres', "CREATE DATABASE source TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'");
warnings_of('source', $business);
exact('source', 'where it was made', 0);
my $flags = value($node, 'SELECT md5(string_agg(f::text, E\'\n\' ORDER BY f)) FROM crm_deals.deal_duplicate AS f',
	database => 'source');
my $pairs = value($node, "SELECT count(*) FROM ($pair '0.85') AS p", database => 'source');
command_ok([ 'pg_dump', '-Fc', '-f', "$folder/locale.dump", '-d', $node->connstr('source') ], 'pg_dump');

# ----------
# Restored elsewhere
# ----------

my @elsewhere = ([ 'the same locale', "ENCODING 'UTF8' LOCALE 'C.UTF-8'", 0 ],
	[ 'another locale', "ENCODING 'UTF8' LOCALE 'C'", 1 ], [ 'another encoding', "ENCODING 'LATIN1' LOCALE 'C'", 1 ],
	[ 'ICU', "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C.UTF-8'", 1 ]);
my $number = 0;
for my $place (@elsewhere)
{
  SKIP:
	{
		my ($what, $options, $warns) = @$place;
		my $database = 'there' . ++$number;
		my ($status, undef, $stderr) = $node->psql('postgres', "CREATE DATABASE $database TEMPLATE template0 $options");

		skip "no database of ICU: $stderr", 1 if $status != 0 && $options =~ /icu/;
		command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($database), "$folder/locale.dump" ],
			"$what: pg_restore, without an error");
		is(value($node, 'SELECT md5(string_agg(f::text, E\'\n\' ORDER BY f)) FROM crm_deals.deal_duplicate AS f',
			database => $database),
			$flags, "$what: the flags are those that were dumped, none is made or lost");
		isnt(value($node, "SELECT count(*) FROM ($pair '0.85') AS p", database => $database), $pairs,
			"$what: (other names are similar here)") if $options =~ /LOCALE 'C'/;
		exact($database, $what, $warns);
		value($node, 'REINDEX TABLE crm_deals.deal_name', database => $database);
		exact($database, "$what, after REINDEX", $warns) if $warns;
		rebuilt($database, $what) if $warns;
		is(value($node, 'SELECT crm_deals.install() = extversion FROM pg_extension WHERE extname = \'crm_deals\'',
			database => $database),
			't', "$what: install() finds all in place");
		$node->safe_psql('postgres', "DROP DATABASE $database");
	}
}

# Rows alone, into an installed database of another locale: its index is of its own.
$node->safe_psql('postgres', "CREATE DATABASE installed TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
value($node, 'CREATE EXTENSION crm_deals CASCADE; SELECT crm_deals.install();
			  CREATE TABLE public.name (n integer PRIMARY KEY, name text NOT NULL);
			  ALTER TABLE crm_deals.deal ADD COLUMN n integer', database => 'installed');
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '-d', $node->connstr('installed'),
	"$folder/locale.dump" ],
	'data only, into an installed database: pg_restore');
is(value($node, 'SELECT md5(string_agg(f::text, E\'\n\' ORDER BY f)) FROM crm_deals.deal_duplicate AS f',
	database => 'installed'),
	$flags, 'data only: the flags are those that were dumped');
exact('installed', 'data only', 0);

# The schema alone, then rows
$node->safe_psql('postgres', "CREATE DATABASE apart TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '-d', $node->connstr('apart'), "$folder/locale.dump" ],
	'schema only, elsewhere: pg_restore');
command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '--disable-triggers', '-d', $node->connstr('apart'),
	"$folder/locale.dump" ],
	'schema only, elsewhere: and the rows');
exact('apart', 'schema, then data', 1);
rebuilt('apart', 'schema, then data');

# Without the names beside: a dump that left them out, or rows that came without our triggers
value($node, 'TRUNCATE crm_deals.deal_name', database => 'apart');
rebuilt('apart', 'without the names beside');

# ----------
# The same files in another locale: the index was built by what letters were before
# ----------

$node->safe_psql('postgres', "UPDATE pg_database SET datcollate = 'C', datctype = 'C' WHERE datname = 'source'");
isnt(value($node, "SELECT count(*) FROM ($pair '0.85') AS p", database => 'source'), $pairs,
	'overnight: (other names are similar now)');
exact('source', 'overnight', 1);
value($node, 'REINDEX TABLE crm_deals.deal_name', database => 'source');
exact('source', 'overnight, after REINDEX', 1);
rebuilt('source', 'overnight');
# and back, while a session knows what it was
{
	my $session = $node->background_psql('source', on_error_stop => 0);

	$session->query("SELECT crm_deals.find_duplicates('x')");
	value($node, 'DROP INDEX crm_deals.deal_name_signatures', database => 'source');
	is($session->query("SELECT count(*) = (SELECT count(*) FROM public.name AS b
										   WHERE similarity(b.name, 'Umbrella Corporation Lizenz') >= 0.85::real)
						FROM crm_deals.find_duplicates('Umbrella Corporation Lizenz', 0.85, 1000)"),
		't', 'without the index a session that knew it answers exactly');
	$session->query('SELECT crm_deals.rebuild_duplicates()');
	is($session->query("SELECT count(*) = (SELECT count(*) FROM public.name AS b
										   WHERE similarity(b.name, 'Umbrella Corporation Lizenz') >= 0.85::real)
						FROM crm_deals.find_duplicates('Umbrella Corporation Lizenz', 0.85, 1000)"),
		't', '... and with a new one');
	$session->quit;
}
exact('source', 'the index made again', 0);

$node->stop;
done_testing();
