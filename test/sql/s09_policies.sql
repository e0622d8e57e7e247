\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 9: the three policies of examples/row_security, as they stand there.
\set examples :here /../examples/row_security
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'write'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
CREATE FUNCTION t.seen(role text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(t.get('SELECT string_agg(name, '', '' ORDER BY name) FROM crm_deals.deal_overview', role), 'none')
$$;
SELECT is(t.seen('regress_crm_alice'), 'none', 'section 9: without deals nothing is seen');

BEGIN;
\set owner_sql :examples /owner.sql
\i :owner_sql
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name) VALUES ('a1'), ('a2') $$, 'regress_crm_alice'), 'done',
          'section 9: owner: a deal is its writer''s');
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name) VALUES ('b1') $$, 'regress_crm_bob'), 'done',
          'section 9: owner: and another''s his');
SELECT is(t.seen('regress_crm_alice') || ' / ' || t.seen('regress_crm_bob'), 'a1, a2 / b1',
          'section 9: owner: each sees the own ones');
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name, owner) VALUES ('x', 'regress_crm_bob') $$, 'regress_crm_alice'),
          '42501', 'section 9: owner: nobody writes for another');
SELECT is(t.try(format('SELECT crm_deals.move_deal(%s, ''won'')', t.deal('b1')), 'regress_crm_alice'), 'P0002',
          'section 9: owner: nobody moves another''s deal');
SELECT is(t.try($$ UPDATE crm_deals.deal SET stage_id = t.stage('won') $$, 'regress_crm_alice'), 'done',
          'section 9: owner: an UPDATE of all');
SELECT is(t.state('a1') || ', ' || t.state('b1'), 'won won 100 closed v2, lead open 10 v1',
          'section 9: owner: changes the own ones only');
ROLLBACK;

BEGIN;
CREATE SCHEMA teams;
SET LOCAL search_path = teams;
\set team_sql :examples /team.sql
\i :team_sql
RESET search_path;
GRANT USAGE ON SCHEMA teams TO PUBLIC;
INSERT INTO teams.team_member
VALUES ('north', 'regress_crm_alice'), ('north', 'regress_crm_bob'), ('south', 'regress_crm_bob');
INSERT INTO crm_deals.deal (name, team) VALUES ('n1', 'north'), ('s1', 'south'), ('free', NULL);
SELECT is(t.seen('regress_crm_alice') || ' / ' || t.seen('regress_crm_bob'), 'n1 / n1, s1',
          'section 9: team: each sees the deals of their teams');
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name, team) VALUES ('n2', 'north') $$, 'regress_crm_alice'), 'done',
          'section 9: team: writes for the own team');
SELECT is(t.try($$ UPDATE crm_deals.deal SET team = 'south' WHERE name = 'n1' $$, 'regress_crm_alice'), '42501',
          'section 9: team: does not hand a deal to a team of others');
SELECT is(t.try(format('SELECT crm_deals.move_deal(%s, ''won'')', t.deal('n1')), 'regress_crm_alice'), 'done',
          'section 9: team: moves the team''s deals');
DELETE FROM teams.team_member WHERE member = 'regress_crm_bob' AND team = 'south';
SELECT is(t.seen('regress_crm_bob'), 'n1, n2', 'section 9: team: who leaves a team sees its deals no more');
ROLLBACK;

BEGIN;
SELECT crm_deals.create_pipeline('Acme sales', organization => 'acme'),
       crm_deals.create_pipeline('Bolt sales', organization => 'bolt') \gset none_
\set organization_sql :examples /organization.sql
\i :organization_sql
SET LOCAL crm_deals.organization = 'acme';
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name) VALUES ('acme 1') $$, 'regress_crm_alice'), 'done',
          'section 9: organization: a deal enters its default pipeline');
SET LOCAL crm_deals.organization = 'bolt';
SELECT is(t.try($$ INSERT INTO crm_deals.deal (name) VALUES ('bolt 1') $$, 'regress_crm_alice'), 'done',
          'section 9: organization: and another''s its own');
SELECT is(t.seen('regress_crm_alice'), 'bolt 1', 'section 9: organization: only its deals are seen');
SELECT is(t.try($$ UPDATE crm_deals.deal SET pipeline_id = t.pipeline('Acme sales') $$, 'regress_crm_alice'), '42501',
          'section 9: organization: a deal does not leave it');
SET LOCAL crm_deals.organization = '';
SELECT is(t.seen('regress_crm_alice'), 'none', 'section 9: organization: none named, none seen');
ROLLBACK;

SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
