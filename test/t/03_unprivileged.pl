# Everything without a superuser: the owner of a database installs and grants, and other roles do what they were
# granted.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;

use CrmDeals;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server('unprivileged');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE shopkeeper LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE consumer LOGIN;
CREATE ROLE clerk LOGIN;
CREATE ROLE boss LOGIN;
CREATE ROLE admin LOGIN;
CREATE ROLE nobody LOGIN;
CREATE DATABASE shop OWNER shopkeeper;
CREATE DATABASE shop2 OWNER shopkeeper;
SQL

sub as
{
	my ($user, $sql, $database) = @_;
	return value($node, $sql, database => $database // 'shop', extra_params => [ '-U', $user ]);
}

sub refused
{
	my ($user, $state, $sql, $name) = @_;
	return fails_with($node, $state, $sql, $name // "$user may not: $sql", database => 'shop',
		extra_params => [ '-U', $user ]);
}

# ----------
# Installing
# ----------

as('shopkeeper', 'CREATE EXTENSION crm_deals CASCADE', 'shop2');
like(as('shopkeeper', 'SELECT crm_deals.install()', 'shop2'), qr/^\d+\.\d+\.\d+/,
	'the owner of a database creates the extension with CASCADE and installs');

as('shopkeeper', <<'SQL');
CREATE SCHEMA tools;
CREATE EXTENSION pg_trgm SCHEMA tools;
CREATE TABLE public.company (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), company text);
CREATE TABLE public.employee (login text PRIMARY KEY, full_name text, salary numeric);
INSERT INTO public.company (company) VALUES ('Acme');
INSERT INTO public.employee VALUES ('ann', 'Ann Smith', 1);
CREATE EXTENSION crm_deals;
SELECT crm_deals.install(account_table => 'public.company', owner_table => 'public.employee',
    columns => '{"account": {"name": "company"}, "owner": {"name": "full_name"}}');
SELECT crm_deals.create_pipeline('Sales', gates => '{"forbid_skipping": true}');
SELECT crm_deals.grant_access('reader', 'read');
SELECT crm_deals.grant_access('consumer', 'consume');
SELECT crm_deals.grant_access('clerk', 'write');
SELECT crm_deals.grant_access('boss', 'manager');
SELECT crm_deals.grant_access('admin', 'admin');
SELECT crm_deals.grant_access('clerk', 'write');
SQL
is(value($node,
	"SELECT count(*) FROM pg_class
	 WHERE relnamespace = 'crm_deals'::regnamespace AND relowner <> 'shopkeeper'::regrole",
	database => 'shop'),
	0, 'every table, view and sequence is the installer\'s, pg_trgm in another schema');
is(value($node, "SELECT string_agg(proname, ' ') FROM pg_proc
				 WHERE pronamespace = 'crm_deals'::regnamespace AND has_function_privilege('nobody', oid, 'EXECUTE')",
	database => 'shop'),
	'install', 'of what is public, PUBLIC may execute only install()');
cmp_ok(value($node, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'crm_deals'::regnamespace", database => 'shop'),
	'>', 20, '... and there are some');
refused('nobody', '42501', 'SELECT crm_deals.install()');
refused('nobody', '42501', 'SELECT * FROM crm_deals.deal');
refused('shopkeeper', '42501', 'CREATE FUNCTION crm_deals_internal.board() RETURNS integer RETURN 1',
	'nobody creates anything among what is internal, not even who creates the extension');

# ----------
# A clerk's day
# ----------

as('clerk', <<'SQL');
INSERT INTO crm_deals.deal (name, account_id, owner, amount) SELECT 'Alpha', id, 'ann', 10 FROM public.company;
INSERT INTO crm_deals.deal (name, external_id) VALUES ('Beta', 'b'), ('Gamma', 'c')
    ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET name = excluded.name;
COPY crm_deals.deal (name) FROM STDIN;
Delta
\.
UPDATE crm_deals.deal SET amount = 20, custom_fields = '{"seats": 5}' WHERE id = 1;
SELECT crm_deals.move_deal(1, 'qualified', 'well', actor => 'mia');
SELECT crm_deals.move_deals('{2, 3}', 'lost', lost_reason => 'Price', note => 'both');
SELECT crm_deals.check_move(1, 'won');
DELETE FROM crm_deals.deal WHERE name = 'Delta';
INSERT INTO crm_deals.contact (last_name) VALUES ('Doe');
INSERT INTO crm_deals.deal_contact (deal_id, contact_id) VALUES (1, 1);
INSERT INTO crm_deals.lead (last_name) VALUES ('Roe');
INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'Rang', 1);
SELECT crm_deals.resolve_deal(1);
SQL
is(as('clerk',
	"SELECT stage_key || ' ' || account_label || ' ' || owner_label FROM crm_deals.deal_overview WHERE id = 1"),
	'qualified Acme Ann Smith', 'a login of level write does the whole job, and sees the labels of the host\'s tables');
is(as('clerk', 'SELECT count(*) FROM crm_deals.verify()'), 0, '... and the rules hold');
is(as('clerk', 'SELECT count(*) FROM crm_deals.deal_event'), 9, 'the log has it all');
is(as('clerk', 'SELECT DISTINCT session_user_name FROM crm_deals.deal_event'), 'clerk', '... by the session\'s user');
is(as('clerk', "SELECT string_agg(DISTINCT actor, ' ' ORDER BY actor) FROM crm_deals.deal_event"), 'clerk mia',
	'... and actor');
refused('clerk', '42501', $_)
  for "INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name,
										 pipeline_id, changes)
	   VALUES (1, 1, 99, 'updated', now(), 'x', 'x', 1, '{}')",
	  'UPDATE crm_deals.deal_event SET actor = \'x\'', 'DELETE FROM crm_deals.deal_event',
	  'TRUNCATE crm_deals.deal_event', 'TRUNCATE crm_deals.deal CASCADE',
	  'SELECT nextval(pg_get_serial_sequence(\'crm_deals.deal_event\', \'id\'))',
	  'ALTER TABLE crm_deals.deal DISABLE TRIGGER ALL', 'SET session_replication_role = replica',
	  map({ "SELECT crm_deals.resolve_deal(1); SET crm_deals.$_" } 'enforce_gates = off', 'allow_truncate = on'),
	  'SELECT crm_deals.create_pipeline(\'Mine\')', 'UPDATE crm_deals.stage SET status = \'won\'',
	  'SELECT crm_deals.add_stage(1, \'X\')', 'SELECT crm_deals.remove_stage(1)',
	  'SELECT crm_deals.reorder_stages(1, \'{}\')', 'UPDATE crm_deals.pipeline SET forbid_skipping = false',
	  'INSERT INTO crm_deals.deal_duplicate VALUES (1, 2, 1)', 'INSERT INTO crm_deals.deal_alias VALUES (99, NULL, 1)',
	  'INSERT INTO crm_deals.event_consumer (consumer) VALUES (\'x\')', 'DROP VIEW crm_deals.installation',
	  'CREATE FUNCTION crm_deals_internal.mine() RETURNS integer RETURN 1',
	  'CREATE TABLE crm_deals_internal.mine (id bigint)', 'SELECT crm_deals.grant_access(\'clerk\', \'admin\')',
	  'SELECT crm_deals.revoke_access(\'boss\')', 'SELECT crm_deals.install()',
	  'SELECT crm_deals_internal.lock_out_writers()', 'SELECT crm_deals_internal.override_gates()',
	  'BEGIN; LOCK crm_deals.installation', 'SELECT salary FROM public.employee',
	  'SELECT crm_deals.move_deal(1, \'won\', override => \'me\')',
	  'SELECT crm_deals.move_deals(\'{1}\', \'won\', override => \'me\')';
refused('clerk', '23514', 'SELECT crm_deals.move_deal(1, \'won\')', 'the gate holds for a clerk');
refused('clerk', '23514', 'SET crm_deals.enforce_gates = off; SELECT crm_deals.move_deal(1, \'won\')',
	'... also for one who sets enforce_gates before the library is loaded');
for my $function (rows($node,
	"SELECT proname FROM pg_proc
	 WHERE pronamespace = 'crm_deals_internal'::regnamespace AND prorettype = 'trigger'::regtype
	   AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')",
	database => 'shop'))
{
	my ($when, $references) = $function =~ /capture|rederive/
	  ? ('AFTER UPDATE', 'REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT')
	  : $function =~ /append_only|begin|lock_before|forget/ ? ('BEFORE UPDATE', 'FOR EACH STATEMENT')
	  : ('BEFORE UPDATE', 'FOR EACH ROW');
	refused('clerk', '39P01',
		"CREATE TEMPORARY TABLE fake (LIKE crm_deals.deal INCLUDING ALL); INSERT INTO fake SELECT * FROM crm_deals.deal;
		 CREATE TRIGGER t $when ON fake $references EXECUTE FUNCTION crm_deals_internal.$function();
		 UPDATE fake SET name = name || '!', custom_fields = '{\"x\": 1}'",
		"$function refuses to run on another table");
}

# ----------
# The other levels
# ----------

is(as('reader', 'SELECT count(*) FROM crm_deals.deal'), 3, 'read: reads deals');
is(as('reader', 'SELECT count(*) FROM crm_deals.deal_event WHERE deal_id = 1'), 3, '... and their log');
is(as('reader', 'SELECT count(*) FROM crm_deals.check_move(1, \'won\')'), 1, '... and asks beforehand');
refused('reader', '42501', $_)
  for 'SELECT * FROM crm_deals.event_consumer', 'INSERT INTO crm_deals.deal (name) VALUES (\'x\')',
	  'UPDATE crm_deals.deal SET amount = 1', 'DELETE FROM crm_deals.deal', 'SELECT crm_deals.move_deal(1, \'lead\')',
	  'SELECT crm_deals.move_deals(\'{1}\', \'lead\')',
	  'INSERT INTO crm_deals.activity (kind, subject) VALUES (\'note\', \'x\')';
refused('consumer', '42501', $_)
  for 'SELECT * FROM crm_deals.deal', 'SELECT * FROM crm_deals.deal_event', 'UPDATE crm_deals.deal SET amount = 1';

is(as('boss', 'SELECT stage_key FROM crm_deals.move_deal(1, \'won\', override => \'he knows him\')'), 'won',
	'manager: overrides gates');
is(as('reader', 'SELECT bypassed || note || actor FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1'),
	as('reader', "SELECT '{forbid_skipping}'::text[] || 'override: he knows him'::text || 'boss'::text"),
	'... which the log says');
refused('boss', '42501', $_)
  for 'SELECT crm_deals.create_pipeline(\'Mine\')', 'UPDATE crm_deals.stage SET probability = 1',
	  'SELECT crm_deals.grant_access(\'boss\', \'admin\')', 'DELETE FROM crm_deals.deal_event';

as('admin', <<'SQL');
SELECT crm_deals.create_pipeline('Second');
SELECT crm_deals.add_stage(2, 'Demo');
UPDATE crm_deals.stage SET status = 'won' WHERE key = 'demo';
UPDATE crm_deals.stage SET status = 'abandoned' WHERE id = 1;
UPDATE crm_deals.stage SET status = 'open', probability = 11 WHERE id = 1;
UPDATE crm_deals.pipeline SET forbid_skipping = false;
INSERT INTO crm_deals.custom_field (entity, key, label, type) VALUES ('deal', 'seats', 'Seats', 'number');
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from) VALUES ('USD', 'EUR', 0.9, '2026-01-01');
SELECT crm_deals.remove_stage(2, 1);
SELECT crm_deals.reorder_stages(1, ARRAY(SELECT key FROM crm_deals.stage WHERE pipeline_id = 1 ORDER BY position DESC));
SQL
pass('admin: pipelines, stages, fields, rates');
refused('admin', '42501', $_)
  for 'DELETE FROM crm_deals.deal_event', 'SELECT crm_deals.grant_access(\'admin\', \'write\')',
	  'SELECT crm_deals.resolve_deal(1); SET crm_deals.enforce_gates = off', 'DROP TABLE crm_deals.deal',
	  'TRUNCATE crm_deals.deal CASCADE';
refused('shopkeeper', '42501', 'DELETE FROM crm_deals.deal_event',
	'the owner of the log deletes nothing from it, neither');

# A role that acts as another: the actor is who it acts as.
value($node, 'GRANT clerk TO boss');
as('boss', 'SET ROLE clerk; UPDATE crm_deals.deal SET amount = 77 WHERE id = 1');
is(as('reader', "SELECT actor || ' ' || session_user_name FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1"),
	'clerk boss', 'SET ROLE: the actor is the role, the session\'s user the login');

# A foreign key's own action is logged under the name of who deleted, not of the owner.
as('clerk', 'UPDATE crm_deals.deal SET primary_contact_id = 1 WHERE id = 1');
as('boss', 'DELETE FROM crm_deals.contact WHERE id = 1');
is(as('reader',
	"SELECT actor || ' ' || (changes ->> 'primary_contact_id') FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1"),
	'boss [1, null]', 'a contact deleted: its deals say by whom');

as('shopkeeper', "SELECT crm_deals.revoke_access('clerk'); SELECT crm_deals.revoke_access('clerk')");
refused('clerk', '42501', $_) for 'SELECT * FROM crm_deals.deal', 'SELECT crm_deals.move_deal(1, \'lead\')';
as('shopkeeper', "SELECT crm_deals.grant_access('boss', 'read')");
refused('boss', '42501', $_) for 'UPDATE crm_deals.deal SET amount = 1';
is(value($node, 'SELECT count(*) FROM crm_deals.verify()', database => 'shop'), 0, 'verify() finds nothing');

$node->stop;
done_testing();
