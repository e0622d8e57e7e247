\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 2: install() is safe among owners who trust each other with nothing: those of the host's tables, of the
-- schema, and roles that may create in it. Whatever they leave there, none of it runs with the rights of the caller.
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
SELECT t.drop_roles('regress_crm_keeper', 'regress_crm_hoster', 'regress_crm_visitor') AS none \gset
CREATE ROLE regress_crm_keeper;
CREATE ROLE regress_crm_hoster;
CREATE ROLE regress_crm_visitor;
SELECT current_database() AS database \gset
GRANT CREATE ON DATABASE :database TO regress_crm_keeper;
CREATE SCHEMA h AUTHORIZATION regress_crm_hoster;
GRANT USAGE ON SCHEMA h TO PUBLIC;

-- Every role that runs the spy is noted.
CREATE TABLE t.spied (role name);
GRANT INSERT ON t.spied TO PUBLIC;
CREATE FUNCTION h.spy() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO t.spied VALUES (current_user);
    RETURN true;
END
$$;

-- The owner of the host's tables
SET SESSION AUTHORIZATION regress_crm_hoster;
CREATE TABLE h.account (id integer PRIMARY KEY, name text);
CREATE TABLE h.contact (id integer PRIMARY KEY, name text);
CREATE TABLE h."h." (id integer PRIMARY KEY, name text);
CREATE TABLE h."@contact_table@" (id integer PRIMARY KEY, name text);
CREATE TABLE h." AS t;SELECT h.spy();--" (id integer PRIMARY KEY, name text);
GRANT SELECT (id, name), REFERENCES ON h.account, h.contact, h."h.", h."@contact_table@", h." AS t;SELECT h.spy();--"
    TO regress_crm_keeper;
SET SESSION AUTHORIZATION regress_crm_keeper;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install('h."@contact_table@"', 'h." AS t;SELECT h.spy();--"') \gset
RESET SESSION AUTHORIZATION;
SELECT is_empty('SELECT * FROM t.spied', 'section 2: a name that looks like a word of the schema is a name');
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
SET SESSION AUTHORIZATION regress_crm_keeper;
CREATE EXTENSION crm_deals;
SELECT crm_deals.install('h.account', 'h.contact') \gset
SET SESSION AUTHORIZATION regress_crm_hoster;
ALTER TABLE h.account RENAME TO "crm_deals.host_contact";
ALTER TABLE h.contact RENAME TO " t;SELECT h.spy();--";
SET SESSION AUTHORIZATION regress_crm_keeper;
ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_account_id_fkey;
DROP VIEW crm_deals.deal_overview;
SELECT crm_deals.install() \gset
RESET SESSION AUTHORIZATION;
SELECT crm_deals.install() \gset
SELECT is_empty('SELECT * FROM t.spied', 'section 2: a host table may be renamed to anything');
SELECT is((SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'deal_account_id_fkey'),
          'h."crm_deals.host_contact"', 'section 2: and the foreign key that comes back refers to it');
SELECT is(t.try('SELECT crm_deals.install()', 'regress_crm_keeper'), 'done',
          'section 2: the right to read key and label of the host is enough');

-- Or its key to what stands for the other table in the models
ALTER TABLE h."crm_deals.host_contact" RENAME COLUMN id TO "x crm_deals.host_contact y";
ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_account_id_fkey;
SELECT t.try('SELECT crm_deals.install()', 'regress_crm_keeper') AS tried \gset
SELECT is_empty('SELECT * FROM t.spied', 'section 2: and so may its key');
SELECT is(:'tried'::text, 'done', 'section 2: which is a name, too');
ALTER TABLE h."crm_deals.host_contact" RENAME COLUMN "x crm_deals.host_contact y" TO id;

-- The host's key is made anew, and took the foreign keys along.
ALTER TABLE h."crm_deals.host_contact" DROP CONSTRAINT account_pkey CASCADE;
ALTER TABLE h."crm_deals.host_contact" ADD PRIMARY KEY (id);
SELECT crm_deals.install() \gset
SELECT is((SELECT count(*) FROM pg_constraint
           WHERE confrelid = 'h."crm_deals.host_contact"'::regclass AND connamespace = 'crm_deals'::regnamespace),
          3::bigint, 'section 2: the foreign keys to a host table come back');

-- A role that may create in the schema
GRANT USAGE, CREATE ON SCHEMA crm_deals TO regress_crm_visitor;
SET SESSION AUTHORIZATION regress_crm_visitor;
CREATE TABLE crm_deals.upgrade_grants (role_name text, function text, grantable boolean);
INSERT INTO crm_deals.upgrade_grants VALUES ('regress_crm_visitor', 'merge_deals', true);
CREATE POLICY spy ON crm_deals.upgrade_grants USING (h.spy());
ALTER TABLE crm_deals.upgrade_grants ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE crm_deals.upgrade_grants IS 'Grants that crm_deals.install() gives back.';
GRANT SELECT ON crm_deals.upgrade_grants TO PUBLIC;
RESET SESSION AUTHORIZATION;
SELECT t.try('SELECT crm_deals.install()', 'regress_crm_keeper') \gset
SELECT is_empty('SELECT * FROM t.spied', 'section 2: a table of grants that somebody else made is not read');
SELECT ok(NOT has_function_privilege('regress_crm_visitor', p.oid, 'EXECUTE'), 'section 2: and grants nothing')
FROM pg_proc AS p WHERE p.oid = to_regproc('crm_deals.merge_deals');

-- The owner of the schema, and a superuser who calls install()
SET SESSION AUTHORIZATION regress_crm_keeper;
DROP VIEW crm_deals.installation;
CREATE VIEW crm_deals.installation WITH (security_invoker = true) AS
    SELECT CASE WHEN h.spy() THEN '0.2.0' END AS version, 'h."crm_deals.host_contact"'::regclass AS account_table,
           'h." t;SELECT h.spy();--"'::regclass AS contact_table, NULL::regclass AS owner_table, '{}'::jsonb AS columns;
RESET SESSION AUTHORIZATION;
SELECT is(t.try('SELECT crm_deals.install()'), 'done', 'section 2: a superuser may call install() for the owner');
SELECT is((SELECT string_agg(DISTINCT role::text, ' ') FROM t.spied), 'regress_crm_keeper',
          'section 2: what the owner of the tables put into the schema runs as that owner');
DROP SCHEMA crm_deals CASCADE;
CREATE SCHEMA crm_deals AUTHORIZATION regress_crm_keeper;
CREATE EXTENSION IF NOT EXISTS crm_deals;
SELECT is(t.try('SELECT crm_deals.install()'), '42501',
          'section 2: a superuser makes no tables in the schema of somebody else');
SELECT is(t.try('SELECT crm_deals.install()', 'regress_crm_keeper'), 'done', 'section 2: its owner does');

-- A trigger of the owner's on consumers, and a superuser who subscribes: it leaves nothing that runs as the superuser.
DELETE FROM t.spied;
SET SESSION AUTHORIZATION regress_crm_keeper;
CREATE FUNCTION crm_deals.spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM h.spy();
    RETURN NULL;
END
$$;
CREATE TABLE crm_deals.later (n integer);
CREATE CONSTRAINT TRIGGER spy AFTER INSERT ON crm_deals.later DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION crm_deals.spy();
CREATE FUNCTION crm_deals.leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE current_setting('regress.leaves');
    RETURN new;
END
$$;
CREATE TRIGGER leave BEFORE INSERT ON crm_deals.event_consumer FOR EACH ROW EXECUTE FUNCTION crm_deals.leave();
RESET SESSION AUTHORIZATION;
SET regress.leaves = 'SET search_path = h';
SELECT is(t.try('SELECT crm_deals.subscribe(''setting'')') || ' ' || current_setting('search_path'),
          'done ' || current_setting('search_path'), 'section 2: no setting');
SET regress.leaves = 'DECLARE spy CURSOR WITH HOLD FOR SELECT h.spy()';
SELECT is(t.try('SELECT crm_deals.subscribe(''cursor'')'), '42501', 'section 2: no cursor');
SET regress.leaves = 'INSERT INTO crm_deals.later VALUES (1)';
SELECT is(t.try('SELECT crm_deals.subscribe(''trigger'')'), '42501', 'section 2: no deferred trigger');
SELECT is_empty('SELECT * FROM t.spied', 'section 2: and nothing ran');
SELECT is(t.try('SELECT crm_deals.subscribe(''trigger'')', 'regress_crm_keeper'), 'done',
          'section 2: the owner may defer what he likes');
DROP TRIGGER leave ON crm_deals.event_consumer;

-- Ids that were given are not given again, and a policy does not hide them.
SELECT crm_deals.create_pipeline('Sales') \gset
INSERT INTO crm_deals.deal (name) VALUES ('One');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm_deals.deal ALTER COLUMN id DROP IDENTITY;
SELECT is(t.try('SELECT crm_deals.install()', 'regress_crm_keeper'), '42501',
          'section 2: an identity does not come back if a policy hides the ids');
ALTER TABLE crm_deals.deal NO FORCE ROW LEVEL SECURITY;
SELECT is(t.try('SELECT crm_deals.install()', 'regress_crm_keeper'), 'done', 'section 2: else it does');
INSERT INTO crm_deals.deal (name) VALUES ('Two');
SELECT is((SELECT max(id) FROM crm_deals.deal), 2::bigint, 'section 2: behind the ids that were given');

DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP SCHEMA h CASCADE;
REVOKE ALL ON DATABASE :database FROM regress_crm_keeper;
SELECT t.drop_roles('regress_crm_keeper', 'regress_crm_hoster', 'regress_crm_visitor') AS none \gset

SELECT * FROM finish();
