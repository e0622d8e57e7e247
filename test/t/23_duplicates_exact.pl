# Section 6: the answer is exactly that of pg_trgm, pair for pair, at float4, for any encoding and locale. In databases
# of several of them names are compared in every possible way (COPY, one at a time, scan, find, flags, with the index
# and without), each time with all pairs of the names by pg_trgm's own similarity().
#
#   SEED=n   repeats the names      SOAK=1   five times as many
use strict;
use warnings;
use utf8;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use Encode ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || time ^ ($$ << 8);
note "SEED=$seed";
srand($seed);

# ----------
# Locales: those of the C library that are made here, for this server alone
# ----------

my $locales = PostgreSQL::Test::Utils::tempdir('locales');
my %made = map { my ($name, $language, $charset) = @$_;
	$name => run_log([ 'localedef', '-i', $language, '-f', $charset, "$locales/$name" ]) || -d "$locales/$name" }
  [ 'tr_TR.UTF-8', 'tr_TR', 'UTF-8' ], [ 'de_DE.ISO-8859-1', 'de_DE', 'ISO-8859-1' ],
	  [ 'tr_TR.ISO-8859-9', 'tr_TR', 'ISO-8859-9' ];
$ENV{LOCPATH} = $locales if grep { $_ } values %made;

my $node = start_server('exact', 'maintenance_work_mem = 4MB', 'log_statement = none', 'log_min_messages = error');

# Name, encoding for PostgreSQL and for Perl, what CREATE DATABASE is told, and the locale of ours that it needs.
my @databases = (
	[ 'utf8_c', 'UTF8', 'UTF-8', "LOCALE 'C'" ],
	[ 'utf8_c_utf8', 'UTF8', 'UTF-8', "LOCALE 'C.UTF-8'" ],
	[ 'utf8_icu_und', 'UTF8', 'UTF-8', "LOCALE_PROVIDER icu ICU_LOCALE 'und' LOCALE 'C.UTF-8'" ],
	[ 'utf8_icu_turkish', 'UTF8', 'UTF-8', "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C.UTF-8'" ],
	[ 'utf8_turkish', 'UTF8', 'UTF-8', "LOCALE 'tr_TR.UTF-8'", 'tr_TR.UTF-8' ],
	[ 'latin1_c', 'LATIN1', 'iso-8859-1', "LOCALE 'C'" ],
	[ 'latin1_german', 'LATIN1', 'iso-8859-1', "LOCALE 'de_DE.ISO-8859-1'", 'de_DE.ISO-8859-1' ],
	[ 'latin5_turkish', 'LATIN5', 'iso-8859-9', "LOCALE 'tr_TR.ISO-8859-9'", 'tr_TR.ISO-8859-9' ],
	[ 'euc_jp_c', 'EUC_JP', 'euc-jp', "LOCALE 'C'" ],
	[ 'sql_ascii_c', 'SQL_ASCII', undef, "LOCALE 'C'" ],
);

for my $database (grep { $_->[4] && !$made{ $_->[4] } } @databases)
{
  SKIP:
	{
		skip "$database->[0]: localedef could not make $database->[4] (Debian: locales)", 1;
	}
}
@databases = grep { !$_->[4] || $made{ $_->[4] } } @databases;

# So many names that all pairs of all databases are a million
my $number = 1 + int sqrt(2_200_000 / @databases) * ($ENV{SOAK} ? 5 : 1);

# ----------
# Names
# ----------

sub one { return $_[ rand @_ ] }
sub letters { return map { chr } map { ref $_ ? $_->[0] .. $_->[1] : $_ } @_ }

my @ascii = ('a' .. 'z', 'A' .. 'Z', '0' .. '9');
my @vowels = split //, 'aeiouäöüAEIOÄÖÜ';
my %alphabet = (
	ascii => \@ascii,
	latin => [ letters([ 0xC0, 0xFF ]), split //, 'ŠšŽžŒœĀāĐđŁłñßẞﬁﬂǄǅǆĿŉſ' ],
	turkish => [ split //, 'IİıiŞşĞğÇçÖöÜüÂâ' ],
	greek => [ letters([ 0x391, 0x3A1 ], [ 0x3A3, 0x3C9 ]) ],
	cyrillic => [ letters([ 0x410, 0x44F ], 0x401, 0x451) ],
	hebrew => [ letters([ 0x5D0, 0x5EA ]) ],
	arabic => [ letters([ 0x628, 0x63A ], [ 0x660, 0x669 ]) ],
	devanagari => [ letters([ 0x905, 0x939 ], [ 0x93E, 0x94D ]) ],
	thai => [ letters([ 0xE01, 0xE3A ]) ],
	kana => [ letters([ 0x3041, 0x3094 ], [ 0x30A1, 0x30F4 ]) ],
	han => [ letters([ 0x4E00, 0x4E40 ], 0x6771, 0x4EAC, 0x65E5, 0x672C) ],
	hangul => [ letters([ 0xAC00, 0xAC60 ]) ],
	combining => [ map { chr(0x61 + int rand 26) . chr(0x300 + int rand 0x50) } 1 .. 60 ],
	emoji => [ letters([ 0x1F600, 0x1F640 ], 0x1F1E9, 0x1F1EA), "\x{1F468}\x{200D}\x{1F469}", "\x{1F44D}\x{1F3FD}" ],
	far => [ letters([ 0x10400, 0x1044F ], [ 0x1D400, 0x1D433 ], [ 0xFF21, 0xFF5A ], [ 0x24B6, 0x24E9 ],
		[ 0x13A0, 0x13C0 ]) ],
	odd => [ "\x{200B}", "\x{A0}", "\x{FEFF}", "\x{202E}", "\x{3000}", "\x{AD}", "\x{2013}", "\x{2019}", "\x{B7}",
		"\x{AA}", "\x{B2}", "\x{BD}", "\x{2167}", "\x{E000}", "\x{7F}", "\x{1}", "\x{2028}", "\x{FFFD}" ],
	signs => [ split //, q(!"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~) ],
);
my @rare = grep { $_ ne 'ascii' } sort keys %alphabet;

sub word
{
	my ($kind) = @_;
	return join '',
		map { $kind eq 'ascii' && rand() < 0.4 ? one(@vowels) : one(@{ $alphabet{$kind} }) } 1 .. 1 + int rand 9;
}

sub fresh_name
{
	my $dice = rand;

	return one(@ascii, map { @{ $alphabet{$_} } } qw(latin turkish han emoji)) if $dice < 0.05;
	return join '', map { one(@{ $alphabet{ one(qw(signs odd emoji)) } }) } 1 .. 1 + int rand 6 if $dice < 0.12;
	return join one(' ', ' ', ' - ', '/', '_', "\t", "\n"),
		map { word($dice < 0.7 ? 'ascii' : $dice < 0.9 ? one('ascii', one(@rare)) : one(@rare)) } 1 .. 1 + int rand 7;
}

# A slip of the pen: what makes pairs that are near a threshold
sub slip
{
	my ($name) = @_;
	my @letters = split //, $name;
	my $place = int rand @letters;
	my $new = one(@ascii, @{ $alphabet{ one(@rare) } });
	my $kind = int rand 9;

	return join '', @letters[ 0 .. $place - 1 ], $new, @letters[ $place + 1 .. $#letters ] if $kind == 0;
	return join '', @letters[ 0 .. $place ], $new, @letters[ $place + 1 .. $#letters ] if $kind == 1;
	return join '', @letters[ 0 .. $place - 1 ], @letters[ $place + 1 .. $#letters ] if $kind == 2 && @letters > 1;
	return uc $name if $kind == 3;
	return lc $name if $kind == 4;
	return join ' ', reverse split / /, $name if $kind == 5;
	return "$name $new" if $kind == 6;
	return join one('-', '.', ' '), split / /, $name if $kind == 7;
	return $name . ' ' . one(split(/ /, $name), $name);
}

sub encoded
{
	my ($encoding, $letter) = @_;
	return eval { Encode::encode($encoding, $letter, Encode::FB_CROAK) };
}

sub names
{
	my ($encoding) = @_;
	my @names = map { substr $_, 0, 10000 } (join '', map { one('a' .. 'z') } 1 .. 10000), join ' ',
		map { word('ascii') } 1 .. 2000;

	push @names, substr($names[0], 0, 9500) . substr($names[1], 0, 500);
	push @names, '!!!', '!!!', '_', '.-.', 'a', 'A', ' a ', 'ab', 'i', 'I', 'ß', 'ss', 'SS', 'İ', 'ı', "e\x{301}",
		"\x{e9}";
	# families of a name of some length and what slips make of it, and of what they made: near every threshold
	my @family;
	while (@names < $number)
	{
		my $name = rand() < 0.25 ? fresh_name() : one(@family ? @family : @names[ 3 .. $#names ]);

		$name = slip($name) for 1 .. int rand 3;
		@family = () if @family > 40;
		push @family, $name if length $name > (@family ? 12 : 25);
		push @names, substr $name, 0, 200;
	}
	# no name is blank, and each can be had in the encoding; an unknown one holds any bytes
	for my $name (@names)
	{
		$name .= '?' if $name !~ /[^\s\p{Z}\p{C}]/;
		if ($encoding) { $name = join '', map { encoded($encoding, $_) // one('?', 'x', '') } split //, $name }
		else { $name = join '', map { ord($_) < 128 ? $_ : chr(128 + ord($_) % 128) } split //, $name }
		$name = 'x' if $name !~ /[^\s]/;
	}
	return @names;
}

sub write_names
{
	my ($file, @names) = @_;
	my $n = 0;
	my %escape = ("\\" => "\\\\", "\t" => "\\t", "\n" => "\\n", "\r" => "\\r");

	open my $handle, '>:raw', $file or die "$file: $!";
	for my $name (@names)
	{
		$n++;
		print $handle "$n\t", $name =~ s/([\\\t\n\r])/$escape{$1}/gr, "\n";
	}
	close $handle or die $!;
	return;
}

# ----------
# What must be the same
# ----------

my $prepare = <<'SQL';
SET client_min_messages = warning;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Copied', organization => 'copied'),
       crm_deals.create_pipeline('Single', organization => 'single'),
       crm_deals.create_pipeline('Half', organization => 'half');
CREATE TABLE public.name (n integer PRIMARY KEY, name text NOT NULL);
ALTER TABLE crm_deals.deal ADD COLUMN n integer;
SQL

# Every pair once, by pg_trgm alone; and the deals of an organization by the numbers of their names
my $expected = <<'SQL';
CREATE TABLE public.pair AS
    SELECT a.n AS later, b.n AS earlier, similarity(a.name, b.name) AS similarity
    FROM public.name AS a JOIN public.name AS b ON b.n < a.n;
CREATE INDEX ON public.pair (similarity);
ANALYZE public.pair;
CREATE VIEW public.numbered AS SELECT id, organization, n FROM crm_deals.deal;
-- How many rows two queries of (later, earlier, similarity) do not share, and the first of them
CREATE FUNCTION public.differences(one text, other text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    example text;
BEGIN
    EXECUTE format('WITH a (later, earlier, similarity) AS MATERIALIZED (%s),
        b (later, earlier, similarity) AS MATERIALIZED (%s),
        d AS ((SELECT ''too many'' AS which, * FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b) AS x)
              UNION ALL
              (SELECT ''missing'', * FROM (SELECT * FROM b EXCEPT ALL SELECT * FROM a) AS y))
        SELECT count(*),
               (SELECT concat_ws('' '', which, later, earlier, d.similarity,
                                 convert_to(l.name, getdatabaseencoding()), convert_to(e.name, getdatabaseencoding()))
                FROM d JOIN public.name AS l ON l.n = later JOIN public.name AS e ON e.n = earlier
                ORDER BY 1 LIMIT 1)
        FROM d', one, other) INTO number, example;
    RETURN CASE WHEN number > 0 THEN number || ': ' || coalesce(left(example, 1000), '') ELSE '' END;
END
$$;
SQL

sub flags_of
{
	my ($organization) = @_;
	return "SELECT d.n, o.n, f.similarity FROM crm_deals.deal_duplicate AS f
			JOIN public.numbered AS d ON d.id = f.deal_id JOIN public.numbered AS o ON o.id = f.other_deal_id
			WHERE d.organization = '$organization'";
}

sub pairs_from
{
	my ($threshold, $and) = @_;
	return "SELECT later, earlier, similarity FROM public.pair WHERE similarity >= real '$threshold'"
	  . ($and ? " AND $and" : '');
}

sub same_rows
{
	my ($database, $got, $want, $name) = @_;

	s/'/''/g for $got, $want;
	is(value($node, "SET work_mem = '64MB'; SELECT public.differences('$got', '$want')", database => $database), '',
		$name) or diag "SEED=$seed";
	return;
}

# What names find: themselves, too. Without the index it takes long: some of them.
sub found_as
{
	my ($database, $threshold, $name, $each) = @_;
	my $some = '% ' . ($each // 1) . ' = 0';

	same_rows($database,
		"SELECT a.n, d.n, f.similarity
		 FROM public.name AS a, crm_deals.pipeline AS p,
			  LATERAL crm_deals.find_duplicates(a.name, real '$threshold', 2147483647, p.id::text) AS f
		 JOIN public.numbered AS d ON d.id = f.deal_id WHERE p.name = 'Copied' AND a.n $some",
		pairs_from($threshold, "later $some") . " UNION ALL SELECT earlier, later, similarity FROM public.pair "
			. "WHERE similarity >= real '$threshold' AND earlier $some UNION ALL SELECT n, n, similarity(name, name) "
			. "FROM public.name WHERE similarity(name, name) >= real '$threshold' AND n $some",
		"$name: find_duplicates() from $threshold on");
	return;
}

my ($compared, $near, $on_it, $tested) = (0, 0, 0, 0);

sub check_database
{
	my ($name, $encoding, $perl_encoding, $options) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.names";
	my $from = "FROM '$file' (ENCODING '$encoding')";
	my $quiet = 'SET client_min_messages = warning; SET crm_deals.notify = off;
				 SET crm_deals.duplicate_limit = 2147483647;';

	write_names($file, names($perl_encoding));
	value($node, "$prepare COPY public.name $from; $expected", database => $name);
	my ($pairs, $close, $exactly) = split /\|/,
		value($node, "SELECT count(*), count(*) FILTER (WHERE similarity BETWEEN 0.82 AND 0.88),
							 count(*) FILTER (WHERE similarity = real '0.85')
					  FROM public.pair", database => $name);
	$compared += $pairs;
	$near += $close;
	$on_it += $exactly;

	value($node,
		"$quiet ALTER TABLE crm_deals.deal ALTER COLUMN pipeline_id SET DEFAULT 1; COPY crm_deals.deal (n, name) $from;
		 ALTER TABLE crm_deals.deal ALTER COLUMN pipeline_id DROP DEFAULT",
		database => $name);
	same_rows($name, flags_of('copied'), pairs_from(0.85), "$name: COPY");
	value($node, "$quiet DO \$\$ DECLARE r record;
				  BEGIN FOR r IN SELECT * FROM public.name
				  ORDER BY n LOOP INSERT INTO crm_deals.deal (n, name, pipeline_id) VALUES (r.n, r.name, 2);
				  END LOOP; END \$\$", database => $name);
	same_rows($name, flags_of('single'), pairs_from(0.85), "$name: one at a time");
	# a half, the other half with them, and all names changed to those of the neighbours
	my $half = $number / 2;
	value($node, "$quiet INSERT INTO crm_deals.deal (n, name, pipeline_id) SELECT n, name, 3 FROM public.name
				  WHERE n <= $half ORDER BY n;
				  INSERT INTO crm_deals.deal (n, name, pipeline_id)
				  SELECT n, name, 3
				  FROM public.name
				  WHERE n > $half
				  ORDER BY n", database => $name);
	same_rows($name, flags_of('half'), pairs_from(0.85), "$name: half of them against the other half");
	value($node, "$quiet UPDATE crm_deals.deal AS d SET name = r.name, n = r.n FROM public.name AS r
				  WHERE d.organization = 'half' AND r.n = 1 + (d.n + 6) % $number", database => $name);
	same_rows($name, "SELECT greatest(x.a, x.b), least(x.a, x.b), x.s FROM (@{[ flags_of('half') ]}) AS x (a, b, s)",
		pairs_from(0.85), "$name: all are renamed");

	# thresholds: those in use, and what the data has, and the next real number above that
	my @found = rows($node,
		"SELECT v FROM (SELECT DISTINCT similarity AS v FROM public.pair WHERE similarity > 0.05) AS d
		 ORDER BY md5(v::text) LIMIT 4",
		database => $name);
	my @above = rows($node,
		join(' UNION ALL ', map { "SELECT (float8 '$_' + 1.2e-7 * greatest(float8 '$_', 0.5))::real" } @found),
		database => $name);
	for my $threshold (1, 0.85, 0.6, 0.3, @found, @above)
	{
		next if $threshold > 1;
		same_rows($name,
			"SELECT d.n, o.n, s.similarity FROM crm_deals.scan_duplicates(real '$threshold') AS s
			 JOIN public.numbered AS d ON d.id = s.deal_id JOIN public.numbered AS o ON o.id = s.other_deal_id
			 WHERE d.organization = 'copied'",
			pairs_from($threshold), "$name: scan_duplicates() from $threshold on");
	}

	found_as($name, $_, $name) for 0.85, 0.93;
	found_as($name, 0.5, $name, 7);
	my $built = one(0.6, 0.62, 0.65, 0.7, 0.75, 0.8);
	value($node, "UPDATE crm_deals.pipeline SET duplicate_threshold = $built WHERE id = 1;
				  SELECT crm_deals.rebuild_duplicates()", database => $name);
	found_as($name, $_, "$name, an index for $built") for $built, 0.85, 1;
	found_as($name, 0.45, "$name, an index for $built", 9);
	# and names that are written by that index
	value($node, "$quiet DELETE FROM crm_deals.deal WHERE organization <> 'copied';
				  UPDATE crm_deals.pipeline SET duplicate_threshold = $built WHERE id = 2; DO \$\$ DECLARE r record;
				  BEGIN FOR r IN SELECT * FROM public.name
				  ORDER BY n LOOP INSERT INTO crm_deals.deal (n, name, pipeline_id) VALUES (r.n, r.name, 2);
				  END LOOP; END \$\$", database => $name);
	same_rows($name, flags_of('single'), pairs_from($built), "$name, an index for $built: one at a time");
	is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => $name), 0, "$name: verify() finds nothing");
	$tested++;
	return;
}

for my $database (@databases)
{
  SKIP:
	{
		my ($name, $encoding, undef, $options) = @$database;

		my ($status, undef, $stderr) = $node->psql('postgres',
			"CREATE DATABASE $name TEMPLATE template0 ENCODING '$encoding' $options");
		skip "$name: $stderr", 1 if $status != 0 && $options =~ /icu/ && $stderr =~ /ICU is not supported/;
		is($status, 0, "$name: can be made") or diag $stderr;
		skip "$name: there is none", 1 if $status != 0;
		check_database(@$database);
		$node->safe_psql('postgres', "DROP DATABASE $name") if Test::More->builder->is_passing;
	}
}

note "$compared pairs, $near near the threshold, $on_it on it";
cmp_ok($compared, '>=', 1_000_000, 'a million pairs');
cmp_ok($near, '>', 1000, '... of which many are near the threshold');
cmp_ok($on_it, '>', 10, '... and some on it');
cmp_ok($tested, '>', 5, 'in several encodings and locales');

$node->stop;
done_testing();
