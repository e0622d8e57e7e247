\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 5 and 9: level write may undo a batch that is wholly its own, and of which no deal has changed since.
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_manager', 'regress_crm_other') AS none \gset
CREATE ROLE regress_crm_writer; CREATE ROLE regress_crm_manager; CREATE ROLE regress_crm_other;
SELECT crm_deals.grant_access('regress_crm_writer', 'write'), crm_deals.grant_access('regress_crm_other', 'write'),
       crm_deals.grant_access('regress_crm_manager', 'manager') \gset none_
CREATE FUNCTION t.batch(name text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = t.deal(name) ORDER BY version DESC LIMIT 1
$$;
-- What undo_batch says of the last batch of a deal, as a role and an actor.
CREATE FUNCTION t.undo(name text, as_role text, actor text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint := t.batch(name);
    result text;
BEGIN
    PERFORM set_config('crm_deals.actor', actor, true);
    EXECUTE format('SET LOCAL ROLE %I', as_role);
    SELECT string_agg(u.outcome, ' ' ORDER BY u.deal_id) INTO result FROM crm_deals.undo_batch(number) AS u;
    RESET ROLE;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
-- Each deal is changed by one role and actor, and another one undoes it.
SELECT t.new_deals('a', 6, 'lead') AS none \gset
CREATE FUNCTION t.change(name text, as_role text, actor text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('crm_deals.actor', actor, true);
    EXECUTE format('SET LOCAL ROLE %I', as_role);
    EXECUTE format('UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE name = %L', name);
    RESET ROLE;
END
$$;
SELECT count(t.change('a' || n, 'regress_crm_writer', CASE n WHEN 4 THEN 'anna' ELSE '' END)) AS none
FROM generate_series(1, 6) AS n \gset
SELECT is(t.undo('a1', 'regress_crm_writer'), 'reverted', 'section 9: write may undo its own batch');
SELECT is(t.undo('a2', 'regress_crm_other'), '42501', 'section 9: not that of another role');
SELECT is(t.undo('a2', 'regress_crm_writer', 'anna'), '42501', 'section 9: nor as another actor');
SELECT is(t.undo('a2', 'regress_crm_manager'), 'reverted', 'section 9: manager may undo that of others');
SELECT is(t.undo('a4', 'regress_crm_writer'), '42501', 'section 9: what an actor did, another one may not undo');
SELECT is(t.undo('a4', 'regress_crm_writer', 'anna'), 'reverted', 'section 9: the actor may');
-- The actor can be set by anybody: the session must be of the same user, too
ALTER ROLE regress_crm_other LOGIN;
SET SESSION AUTHORIZATION regress_crm_other;
SET crm_deals.actor = 'regress_crm_writer';
UPDATE crm_deals.deal SET amount = 9 WHERE name = 'a1';
RESET crm_deals.actor;
RESET SESSION AUTHORIZATION;
SELECT is((SELECT actor || ' ' || session_user_name FROM crm_deals.deal_event WHERE deal_id = t.deal('a1')
           ORDER BY version DESC LIMIT 1),
          'regress_crm_writer regress_crm_other', 'an actor that somebody borrowed');
SELECT is(t.undo('a1', 'regress_crm_writer'), '42501', 'section 9: nor with the actor of a session of another user');
-- Changed since
SELECT t.change('a5', 'regress_crm_writer') AS none \gset
SELECT batch_id AS first FROM crm_deals.deal_event WHERE deal_id = t.deal('a5') AND version = 2 \gset
SELECT is(t.try(format('SELECT crm_deals.undo_batch(%s)', :first), 'regress_crm_writer'), '42501',
          'section 9: not if a deal was changed since');
SELECT is(t.error(format('SET LOCAL ROLE regress_crm_writer; SELECT crm_deals.undo_batch(%s)', :first), 'detail'),
          'Level write may undo a batch that is wholly its own, and of which no deal has changed since. '
          || format('Deal %s has changed.', t.deal('a5')), 'section 9: the error names the rule');
-- A batch of several: wholly its own
UPDATE crm_deals.deal SET source = 'bulk' WHERE name ~ '^a[56]';
SELECT is(t.undo('a6', 'regress_crm_writer'), '42501', 'section 9: of several deals');
-- A merge
SELECT t.new_deals('m', 6, 'lead') AS none \gset
SELECT t.deal('m2') AS m2, t.deal('m4') AS m4, t.deal('m6') AS m6 \gset
SET ROLE regress_crm_writer;
SELECT crm_deals.merge_deals(t.deal('m1'), :m2), crm_deals.merge_deals(t.deal('m3'), :m4) AS none \gset none_
RESET ROLE;
UPDATE crm_deals.deal SET source = 'since' WHERE name = 'm3';
SELECT is(t.try(format('SELECT crm_deals.undo_batch(%s)',
                       (SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = :m4 AND kind = 'merged')),
                'regress_crm_writer'),
          '42501', 'section 9: a merge whose survivor was changed since');
SELECT is(t.get(format('SELECT string_agg(outcome, '' '') FROM crm_deals.undo_batch(%s)',
                       (SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = :m2 AND kind = 'merged')),
                'regress_crm_writer'),
          'reverted', 'section 9: write may undo its own merge');
SELECT is((SELECT count(*) FROM crm_deals.deal_alias WHERE old_id = :m2), 0::bigint, 'section 9: aliases included');
SELECT is(t.try('SELECT crm_deals.undo_batch(4711)', 'regress_crm_writer'), 'P0002', 'undo_batch: of none: P0002');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_manager', 'regress_crm_other') AS none \gset

SELECT * FROM finish();
