\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 4: the actor of a change is the argument, else the setting, else current_user as the caller sees it.
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset
CREATE ROLE regress_crm_alice;
CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'write'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
CREATE FUNCTION t.last_actor() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN (SELECT actor || ' / ' || (session_user_name = session_user) FROM crm_deals.deal_event
            ORDER BY id DESC LIMIT 1);
END
$$;
SELECT t.new_deal('d', 'lead') AS none \gset
SELECT is(t.last_actor(), current_user || ' / true', 'section 4: current_user, and the session user beside it');
SET ROLE regress_crm_alice;
UPDATE crm_deals.deal SET amount = 1;
RESET ROLE;
SELECT is(t.last_actor(), 'regress_crm_alice / true', 'section 4: SET ROLE changes the actor, not session_user_name');
CREATE FUNCTION t.as_bob()
RETURNS void LANGUAGE sql SECURITY DEFINER AS 'UPDATE crm_deals.deal SET amount = amount + 1';
ALTER FUNCTION t.as_bob() OWNER TO regress_crm_bob;
SET ROLE regress_crm_alice;
SELECT t.as_bob() AS none \gset
RESET ROLE;
SELECT is(t.last_actor(), 'regress_crm_bob / true',
          'section 4: in a SECURITY DEFINER function of the user''s it is its owner');
SET crm_deals.actor = 'maya@example.org';
UPDATE crm_deals.deal SET amount = 3;
SELECT is(t.last_actor(), 'maya@example.org / true', 'section 4: the setting goes before');
SELECT crm_deals.move_deal(t.deal('d'), 'won', actor => 'tom') AS none \gset
SELECT is(t.last_actor(), 'tom / true', 'section 4: the argument goes before the setting');
UPDATE crm_deals.deal SET amount = 4;
SELECT is(t.last_actor(), 'maya@example.org / true', 'section 4: and ends with the call');
SELECT crm_deals.move_deal(t.deal('d'), 'qualified') AS none \gset
SELECT is(t.last_actor(), 'maya@example.org / true', 'section 4: move_deal without it takes the setting');
SELECT is((SELECT actor FROM crm_deals.activity ORDER BY id DESC LIMIT 1), 'maya@example.org',
          'section 4: for its activity, too');
SELECT is((SELECT outcome FROM crm_deals.move_deals(ARRAY[t.deal('d')], 'won', actor => 'eve')), 'moved',
          'move_deals with an actor');
SELECT is(t.last_actor(), 'eve / true', 'section 4: the argument of move_deals');
RESET crm_deals.actor;
SET ROLE regress_crm_alice;
SELECT crm_deals.move_deal(t.deal('d'), 'lead') AS none \gset
RESET ROLE;
SELECT is(t.last_actor(), 'regress_crm_alice / true', 'section 4: move_deal of a role');
SELECT is((SELECT actor FROM crm_deals.activity ORDER BY id DESC LIMIT 1), 'regress_crm_alice',
          'section 4: and its activity');
SET crm_deals.actor = '';
UPDATE crm_deals.deal SET amount = 5;
SELECT is(t.last_actor(), current_user || ' / true', 'section 4: an empty setting is none');
-- A failed call leaves no actor behind.
SELECT is(t.try($$SELECT crm_deals.move_deal(t.deal('d'), 'lost', actor => 'mallory')$$),
          '23514 deal.lost_reason deal_lost_reason', 'a call that fails');
UPDATE crm_deals.deal SET amount = 6;
SELECT is(t.last_actor(), current_user || ' / true', 'section 4: leaves no actor behind');
-- What a user's trigger writes during the call also has the actor of the call, on purpose: it is the same change by the
-- same caller.
BEGIN;
SET LOCAL crm_deals.actor = 'just here';
UPDATE crm_deals.deal SET amount = 7;
COMMIT;
UPDATE crm_deals.deal SET amount = 8;
SELECT is((SELECT string_agg(actor, ', ' ORDER BY id)
           FROM (SELECT * FROM crm_deals.deal_event ORDER BY id DESC LIMIT 2) AS e),
          'just here, ' || current_user, 'section 4: SET LOCAL holds for the transaction');
-- What the action of a foreign key does is the caller's change, although PostgreSQL runs it as the table's owner.
INSERT INTO crm_deals.contact (first_name) VALUES ('Ada') RETURNING id AS ada \gset
UPDATE crm_deals.deal SET primary_contact_id = :ada;
SELECT is(t.try('DELETE FROM crm_deals.contact', 'regress_crm_alice'), 'done', 'a contact goes');
SELECT is(t.last_actor(), 'regress_crm_alice / true', 'section 4: the actor of ON DELETE SET NULL is who deleted');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
DROP FUNCTION t.as_bob();
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob') AS none \gset

SELECT * FROM finish();
