\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 2: installed by a database owner who is not superuser, in a database full of other things.
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
SELECT t.drop_roles('regress_crm_owner', 'regress_crm_writer') AS none \gset
CREATE ROLE regress_crm_owner;
CREATE ROLE regress_crm_writer;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_crm_owner', current_database()); END$$;
GRANT regress_crm_owner TO CURRENT_USER;
-- pg_trgm is in a schema that is in nobody's search_path.
DROP EXTENSION pg_trgm;
CREATE SCHEMA t_trgm;
CREATE EXTENSION pg_trgm SCHEMA t_trgm;
SET ROLE regress_crm_owner;
CREATE EXTENSION crm_deals;
SELECT crm_deals.install() AS version \gset
RESET ROLE;
SELECT is((SELECT string_agg(DISTINCT pg_get_userbyid(relowner)::text, ' ') FROM pg_class
           WHERE relnamespace = 'crm_deals'::regnamespace),
          'regress_crm_owner', 'section 2: the tables belong to who installed them');
SELECT is((SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'crm_deals'), 'regress_crm_owner',
          'section 2: so does the schema');
SELECT is(t.try(v.statement, 'regress_crm_owner'), 'done', 'section 2: the owner: ' || v.statement)
FROM (VALUES ('SELECT crm_deals.create_pipeline(''Sales'')'), ('SELECT crm_deals.install()'),
             ('INSERT INTO crm_deals.account (name) VALUES (''Acme'')'),
             ('INSERT INTO crm_deals.deal (name) VALUES (''d'')'),
             ('SELECT crm_deals.move_deal(t.deal(''d''), ''won'', override => ''x'', note => ''y'')'),
             ('SELECT * FROM crm_deals.verify()'), ('SELECT crm_deals.add_stage(t.pipeline(''Sales''), ''More'')'),
             ('SELECT crm_deals.grant_access(''regress_crm_writer'', ''write'')')) AS v (statement);
SELECT is(t.try(v.statement, 'regress_crm_writer'), 'done',
          'section 2: a writer that the owner lets in: ' || v.statement)
FROM (VALUES ('INSERT INTO crm_deals.deal (name) VALUES (''w'')'),
             ('SELECT crm_deals.move_deal(t.deal(''w''), ''qualified'')'),
             ('UPDATE crm_deals.deal SET amount = 5 WHERE name = ''w'''),
             ('SELECT * FROM crm_deals.move_deals(ARRAY[t.deal(''w'')], ''lost'', lost_reason => ''price'', '
              'note => ''n'')')) AS v (statement);
SELECT is(t.kinds('w') || ' '
          || (SELECT string_agg(DISTINCT actor, ' ') FROM crm_deals.deal_event WHERE deal_id = t.deal('w')),
          'created stage_changed updated lost regress_crm_writer', 'section 9: its changes reach the log');
SELECT is(t.dry(v.statement, v.role), v.result, 'section 5: ' || v.role || ': ' || v.statement)
FROM (VALUES ('regress_crm_owner', 'DELETE FROM crm_deals.deal_event', '42501 deal_event'),
             ('regress_crm_owner', 'TRUNCATE crm_deals.deal CASCADE', '42501 deal'),
             ('regress_crm_owner', 'SET LOCAL crm_deals.allow_truncate = on', '42501'),
             ('regress_crm_owner', 'SET LOCAL crm_deals.enforce_gates = off', '42501'),
             ('regress_crm_writer', 'DELETE FROM crm_deals.deal_event', '42501'),
             ('regress_crm_writer', 'SELECT crm_deals.move_deal(t.deal(''d''), ''lead'', override => ''x'')',
              '42501')) AS v (role, statement, result);
-- When an admin changes a stage, its deals change with it, although the admin owns nothing.
SELECT is(t.after('SELECT crm_deals.grant_access(''regress_crm_writer'', ''admin'')', 'SELECT 1', 'regress_crm_owner'),
          '1', 'section 9: the owner grants admin');
SELECT is(t.try('UPDATE crm_deals.stage SET status = ''abandoned'' WHERE key = ''lost''',
                'regress_crm_owner'), 'done',
          'section 3: the owner edits a stage');
SELECT is(t.state('w'), 'lost abandoned 0 closed v5', 'section 3: its deals follow');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is(t.try('DROP EXTENSION crm_deals CASCADE', 'regress_crm_owner'), 'done',
          'section 2: the owner drops the code');
SELECT is((SELECT count(*) FROM crm_deals.deal), 2::bigint, 'section 2: the data stays');
SELECT is(t.try('CREATE EXTENSION crm_deals', 'regress_crm_owner') || ' '
          || t.try('SELECT crm_deals.install()', 'regress_crm_owner'),
          'done done', 'section 2: and brings it back');
SELECT is(t.try('UPDATE crm_deals.deal SET amount = 6 WHERE name = ''w''', 'regress_crm_writer'), 'done',
          'section 9: for those who were let in, too');
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP SCHEMA t_trgm CASCADE;
DO $$BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM regress_crm_owner', current_database()); END$$;
SELECT t.drop_roles('regress_crm_owner', 'regress_crm_writer') AS none \gset

SELECT * FROM finish();
