\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 9: undo, restore, merge and redact are exempt from rules. A function that a policy calls meanwhile is not:
-- here a name of it is unqualified, so that a temporary view of the caller's decides what it does.
SELECT t.drop_roles('regress_crm_manager') AS none \gset
CREATE ROLE regress_crm_manager;
SELECT crm_deals.grant_access('regress_crm_manager', 'manager') \gset none_
CREATE FUNCTION t.may_see() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT bool_and(yes) FROM seen);
END
$$;
SELECT t.new_deals('d', 3, 'lead'), t.new_deal('victim', 'lead') \gset none_
SELECT t.deal('victim') AS victim \gset
UPDATE crm_deals.stage SET required_fields = '{source}' WHERE key = 'proposal';
UPDATE crm_deals.deal SET amount = 5 WHERE name = 'd1';
SELECT max(batch_id) AS batch FROM crm_deals.deal_event \gset
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY team ON crm_deals.deal USING (t.may_see());
ALTER TABLE crm_deals.activity ENABLE ROW LEVEL SECURITY;
CREATE POLICY team ON crm_deals.activity USING (t.may_see());
-- The manager's own "seen" moves a deal past its gate, once for each way to write it.
CREATE SCHEMA evil;
GRANT ALL ON SCHEMA evil TO regress_crm_manager;
CREATE TABLE evil.log (way text, state text, kind text);
GRANT ALL ON evil.log TO regress_crm_manager;
CREATE FUNCTION t.stage_of_victim() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT t.stage('proposal') $$;
SET ROLE regress_crm_manager;
CREATE FUNCTION evil.strike() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    way text;
BEGIN
    IF current_setting('evil.strikes', true) = 'on' THEN
        PERFORM set_config('evil.strikes', 'off', false);
        FOREACH way IN ARRAY ARRAY['plain', 'ours'] LOOP
            BEGIN
                IF way = 'plain' THEN
                    UPDATE crm_deals.deal SET stage_id = t.stage_of_victim() WHERE name = 'victim';
                ELSE
                    PERFORM crm_deals_internal.write_as_caller(
                        'public', 'UPDATE crm_deals.deal SET stage_id = t.stage_of_victim() WHERE name = $1',
                        'victim'::text);
                END IF;
                INSERT INTO evil.log VALUES (way, 'done');
            EXCEPTION WHEN OTHERS THEN
                INSERT INTO evil.log VALUES (way, SQLSTATE);
            END;
        END LOOP;
        PERFORM set_config('evil.strikes', 'on', false);
    END IF;
    RETURN true;
END
$$;
CREATE TEMPORARY VIEW seen AS SELECT evil.strike() AS yes;
SET evil.strikes = on;
SELECT count(*) AS none FROM crm_deals.undo_batch(:batch) \gset
SET evil.strikes = off;
RESET ROLE;
SELECT is((SELECT string_agg(DISTINCT way || ' ' || state, ', ' ORDER BY way || ' ' || state) FROM evil.log),
          'ours 23514, plain 23514', 'undo_batch: a policy''s function is not exempt from gates');
SELECT is(t.kinds(:victim), 'created', 'undo_batch: nor are its events of kind reverted');
TRUNCATE evil.log;
DELETE FROM crm_deals.deal WHERE name = 'd2';
SELECT deal_id AS d2 FROM crm_deals.deal_event WHERE kind = 'deleted' \gset
SET ROLE regress_crm_manager;
SET evil.strikes = on;
SELECT crm_deals.restore_deal(:d2) AS none \gset
SELECT crm_deals.merge_deals(1, :d2) AS none \gset
SELECT count(*) AS none
FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event WHERE kind = 'merged')) \gset
SET evil.strikes = off;
RESET ROLE;
SELECT is((SELECT string_agg(DISTINCT way || ' ' || state, ', ' ORDER BY way || ' ' || state) FROM evil.log),
          'ours 23514, plain 23514', 'restore_deal, merge_deals, the undoing of a merge: nor there');
SELECT is(t.kinds(:victim), 'created', 'the deal is where it was');
-- An administrator who erases somebody
TRUNCATE evil.log;
SELECT crm_deals.grant_access('regress_crm_manager', 'admin') \gset none_
SET ROLE regress_crm_manager;
SET evil.strikes = on;
SELECT count(*) AS none FROM crm_deals.redact(deals => ARRAY[1], actor => 'nobody') \gset
SET evil.strikes = off;
RESET ROLE;
SELECT is((SELECT string_agg(DISTINCT way || ' ' || state, ', ' ORDER BY way || ' ' || state) FROM evil.log),
          'ours 23514, plain 23514', 'redact: nor there');
SELECT is(t.kinds(:victim), 'created', 'redact: the deal is where it was');
SELECT is(t.try($$SELECT crm_deals_internal.write_as_caller(
                      'ticket 00', 'UPDATE crm_deals.deal SET stage_id = t.stage_of_victim() WHERE name = $1',
                      'victim'::text)$$),
          '22023', 'a ticket that nobody handed out is refused');
DROP SCHEMA evil CASCADE;
SELECT t.drop_roles('regress_crm_manager') AS none \gset

SELECT * FROM finish();
