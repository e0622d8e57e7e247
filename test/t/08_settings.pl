# The settings: in a session that has not loaded the library yet, for roles and databases, and who may set which of
# them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('settings');
install($node);
value($node, <<'SQL');
SELECT crm_deals.create_pipeline('Sales', gates => '{"forbid_skipping": true}');
CREATE ROLE clerk LOGIN;
SELECT crm_deals.grant_access('clerk', 'write');
INSERT INTO crm_deals.deal (name) VALUES ('Alpha');
SQL

my @clerk = (extra_params => [ '-U', 'clerk' ]);
# what makes a session load the library, and changes nothing
my $load = 'SELECT FROM crm_deals.check_move(1, \'qualified\');';
my %defaults = (actor => '', organization => '', language => '', default_currency => 'EUR', default_lost_reason => '',
	enforce_gates => 'on', notify => 'on', notify_payload => 'full', notify_limit => 100, duplicate_limit => 20,
	allow_truncate => 'off');
my @anybody = qw(actor organization language default_currency default_lost_reason notify notify_payload notify_limit
	duplicate_limit);
my %other = (actor => 'mia', organization => 'acme', language => 'de-AT', default_currency => 'USD',
	default_lost_reason => 'Price', notify => 'off', notify_payload => 'ids', notify_limit => 7, duplicate_limit => 5);

# ----------
# A fresh session
# ----------

for my $setting (sort keys %defaults)
{
	is(value($node, "SELECT coalesce(current_setting('crm_deals.$setting', true), 'none')"), 'none',
		"$setting: unknown, without an error, until the library is loaded");
	is(value($node, "$load SHOW crm_deals.$setting", @clerk), $defaults{$setting}, '... and its default then');
}
is(value($node, "INSERT INTO crm_deals.deal (name) VALUES ('USD') RETURNING currency"), 'EUR',
	'a session that sets nothing has the defaults');

for my $setting (@anybody)
{
	is(value($node, "SET crm_deals.$setting = '$other{$setting}'; $load SHOW crm_deals.$setting", @clerk),
		$other{$setting}, "$setting: set by anybody, before the library is loaded");
	is(value($node, "$load SET crm_deals.$setting = '$other{$setting}'; SHOW crm_deals.$setting", @clerk),
		$other{$setting}, '... and after');
}
for my $mode (qw(on off dispatch))
{
	is(value($node, "SET crm_deals.notify = '$mode'; $load SHOW crm_deals.notify", @clerk), $mode, "notify = $mode");
}
is(value($node, "SET crm_deals.actor = 'mia'; UPDATE crm_deals.deal SET amount = 1 WHERE id = 1;
				 SELECT actor FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1", @clerk),
	'mia', 'what was set before counts for the first write');
is(value($node, "BEGIN; SET LOCAL crm_deals.actor = 'leo'; UPDATE crm_deals.deal SET amount = 2 WHERE id = 1; COMMIT;
				 UPDATE crm_deals.deal SET amount = 3 WHERE id = 1;
				 SELECT string_agg(actor, ' ' ORDER BY id) FROM crm_deals.deal_event WHERE version IN (3, 4)", @clerk),
	'leo clerk', 'SET LOCAL ends with the transaction');
is(value($node,
	"SET crm_deals.default_currency = 'USD'; INSERT INTO crm_deals.deal (name) VALUES ('USD') RETURNING currency",
	@clerk),
	'USD', 'default_currency');

# ----------
# Wrong values
# ----------

for my $wrong ("default_currency = 'usd'", "default_currency = 'XXXX'", 'default_currency = \'\'', "notify = 'perhaps'",
	"notify_payload = 'all'", 'notify_limit = -1', 'duplicate_limit = -1')
{
	fails_with($node, '22023', "$load SET crm_deals.$wrong", "$wrong is refused", @clerk);
}
fails_with($node, '42602', "$load SET crm_deals.aktor = 'mia'", 'a setting that there is not is refused', @clerk);
my (undef, undef, $stderr) = $node->psql('postgres',
	"SET crm_deals.default_currency = 'usd'; INSERT INTO crm_deals.deal (name) VALUES ('x')", @clerk);
like($stderr, qr/WARNING:.*invalid value for parameter "crm_deals.default_currency"/,
	'a wrong value that was set before the library is loaded: a warning');
is(value($node, 'SELECT currency FROM crm_deals.deal ORDER BY id DESC LIMIT 1'), 'EUR', '... and the default counts');

# ----------
# Superusers' settings
# ----------

for my $case ([ 'enforce_gates', 'off', 'on' ], [ 'allow_truncate', 'on', 'off' ])
{
	my ($setting, $value, $default) = @$case;

	fails_with($node, '42501', "$load SET crm_deals.$setting = $value", "$setting: not for anybody", @clerk);
	is(value($node, "SET client_min_messages = error; SET crm_deals.$setting = $value; $load SHOW crm_deals.$setting",
		@clerk),
		$default, '... set before the library is loaded it counts for nothing');
	is(value($node, "$load SET crm_deals.$setting = $value; SHOW crm_deals.$setting"), $value, '... for a superuser');
	is(value($node, "SET crm_deals.$setting = $value; $load SHOW crm_deals.$setting"), $value,
		'... before the library is loaded, too');
}
fails_with($node, '23514', "SET crm_deals.enforce_gates = off; UPDATE crm_deals.deal SET stage_id = 3 WHERE id = 1",
	'the gate holds for who may not set it', @clerk);
fails_with($node, '42501', 'SET crm_deals.allow_truncate = on; TRUNCATE crm_deals.deal CASCADE',
	'and deals are not truncated', @clerk);
fails_with($node, '42501', 'TRUNCATE crm_deals.deal CASCADE', 'by a superuser neither, without the setting');
is(value($node,
	"BEGIN; SET LOCAL crm_deals.enforce_gates = off;
	 UPDATE crm_deals.deal SET stage_id = 3 WHERE id = 1 RETURNING stage_id;
	 SELECT bypassed FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1; ROLLBACK"),
	"3\n{forbid_skipping}", 'a superuser goes through the gate, and the log says so');
is(value($node,
	'BEGIN; SET LOCAL crm_deals.allow_truncate = on; TRUNCATE crm_deals.deal, crm_deals.deal_event CASCADE;
	 SELECT count(*) FROM crm_deals.deal; ROLLBACK'),
	0, 'a superuser who allows it truncates, as test suites do');

# ----------
# ALTER ROLE, ALTER DATABASE, GRANT SET
# ----------

value($node,
	"ALTER ROLE clerk SET crm_deals.actor = 'the clerk';
	 ALTER DATABASE postgres SET crm_deals.default_currency = 'USD'");
is(value($node, "INSERT INTO crm_deals.deal (name) VALUES ('New') RETURNING currency;
				 SELECT actor FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1", @clerk),
	"USD\nthe clerk", 'ALTER ROLE and ALTER DATABASE SET by a superuser hold from the first statement on');
value($node, "$load ALTER ROLE clerk SET crm_deals.language = 'de'", @clerk);
is(value($node, "$load SHOW crm_deals.language", @clerk), 'de', 'a role sets for itself once the library is loaded');
fails_with($node, '42501', "$load ALTER ROLE clerk SET crm_deals.enforce_gates = off",
	'... but not what is the superuser\'s', @clerk);
value($node, "ALTER ROLE clerk SET crm_deals.enforce_gates = off");
is(value($node, "UPDATE crm_deals.deal SET stage_id = 3 WHERE id = 1 RETURNING stage_id", @clerk), 3,
	'what a superuser set for a role holds');
value($node,
	"ALTER ROLE clerk RESET ALL; ALTER DATABASE postgres RESET ALL;
	 UPDATE crm_deals.deal SET stage_id = 1 WHERE id = 1");

value($node, "$load GRANT SET ON PARAMETER crm_deals.enforce_gates TO clerk");
is(value($node,
	"$load SET crm_deals.enforce_gates = off; UPDATE crm_deals.deal SET stage_id = 3 WHERE id = 1 RETURNING stage_id",
	@clerk),
	3, 'GRANT SET ON PARAMETER gives the right');
value($node, 'UPDATE crm_deals.deal SET stage_id = 1 WHERE id = 1');
is(value($node,
	"SET crm_deals.enforce_gates = off; UPDATE crm_deals.deal SET stage_id = 3 WHERE id = 1 RETURNING stage_id",
	@clerk),
	3, '... before the library is loaded, too');
fails_with($node, '42501', "$load SET crm_deals.allow_truncate = on", '... to that one alone', @clerk);
value($node, "REVOKE SET ON PARAMETER crm_deals.enforce_gates FROM clerk");
fails_with($node, '42501', "$load SET crm_deals.enforce_gates = off", 'REVOKE takes it back', @clerk);

# As a preloaded library
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'crm_deals'\ncrm_deals.notify_limit = 3\n");
$node->restart;
is(value($node, 'SHOW crm_deals.notify_limit'), 3, 'preloaded: settings of postgresql.conf are there from the start');
fails_with($node, '42501', 'SET crm_deals.enforce_gates = off', 'preloaded: the superuser\'s are the superuser\'s',
	@clerk);
is(value($node, "UPDATE crm_deals.deal SET amount = 9 WHERE id = 1 RETURNING amount", @clerk), 9,
	'preloaded: deals are written');
is(value($node, 'SELECT count(*) FROM crm_deals.verify()'), 0, 'verify() finds nothing');
SKIP:
{
	skip 'pg_get_loaded_modules() is there from PostgreSQL 18 on', 1
	  if value($node, 'SHOW server_version_num') < 180000;
	is(value($node, "SELECT module_name, version FROM pg_get_loaded_modules() WHERE file_name LIKE 'crm_deals%'"),
		value($node, "SELECT extname, extversion FROM pg_extension WHERE extname = 'crm_deals'"),
		'the library says its name and its version');
}

$node->stop;
done_testing();
