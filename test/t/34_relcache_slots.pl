# Section 2: any number of other extensions. PostgreSQL has ten slots for relcache callbacks in each backend. Other
# extensions take all but those that PostgreSQL itself needs, and one: everything works.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use Business;
use CrmDeals;
use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The library that takes the slots
my $folder = PostgreSQL::Test::Utils::tempdir();
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
copy("$FindBin::RealBin/relcache_slots/$_", $folder) for 'Makefile', 'relcache_slots.c';
my $output = qx(make -C "$folder" PG_CONFIG="$pg_config" with_llvm=no 2>&1);
BAIL_OUT($output) if !-f "$folder/relcache_slots.so";

my $node = start_server('relcache_slots', "session_preload_libraries = '$folder/relcache_slots'");

# Takes so many slots in each backend, the dispatcher's too.
sub take
{
	my ($slots) = @_;

	$node->append_conf('postgresql.conf', "relcache_slots.taken = $slots\n");
	$node->restart;
	return;
}

# Whether PostgreSQL itself works with as many slots taken: plans, types of rows, row security.
sub works_without_us
{
	my ($status) = $node->psql('bare', <<'SQL');
PREPARE p AS SELECT count(*) FROM things AS t JOIN things AS u ON t = u;
EXECUTE p; EXECUTE p;
INSERT INTO things SELECT 4, 'd'; ALTER TABLE things ADD COLUMN more text; EXECUTE p;
DO $$ DECLARE t things; BEGIN SELECT * INTO t FROM things LIMIT 1; END $$;
ALTER TABLE things DROP COLUMN more;
SQL

	return $status == 0;
}

$node->safe_psql('postgres', 'CREATE DATABASE bare');
$node->safe_psql('bare',
	"CREATE TABLE things (id integer PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'a')");
my $most = 10;
do { take(--$most) } until $most == 0 || works_without_us();
cmp_ok($most, '>=', 4, "beside PostgreSQL's own $most slots are free");
take($most - 1);
is($node->safe_psql('postgres', 'SHOW relcache_slots.taken'), $most - 1, 'others take all but one');
is(run_business($node, 'crowded'), 'done', 'everything works');
take(0);
is(run_business($node, 'empty'), 'done', 'it works without them');
is(outcome_of_business($node, 'crowded'), outcome_of_business($node, 'empty'), 'with the same outcome');
$node->stop;
done_testing();
