\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: a consumer is read, acknowledged and dropped by the role that subscribed, by its members, and by admins.
SELECT t.drop_roles('regress_crm_erp', 'regress_crm_mail', 'regress_crm_member', 'regress_crm_admin',
                    'regress_crm_erp2') AS none \gset
CREATE ROLE regress_crm_erp;
CREATE ROLE regress_crm_mail;
CREATE ROLE regress_crm_member NOINHERIT;
CREATE ROLE regress_crm_admin;
SELECT crm_deals.grant_access('regress_crm_erp', 'consume'), crm_deals.grant_access('regress_crm_mail', 'consume'),
       crm_deals.grant_access('regress_crm_member', 'consume'),
       crm_deals.grant_access('regress_crm_admin', 'admin') \gset none_
GRANT regress_crm_erp TO regress_crm_member;
SELECT is(t.try('SELECT crm_deals.subscribe(''erp'')', 'regress_crm_erp'), 'done', 'section 5: a role subscribes');
SELECT is(t.try('SELECT crm_deals.subscribe(''mail'')', 'regress_crm_mail'), 'done', 'section 5: another one, too');
SELECT is(string_agg(format('%s %s', consumer, subscribed_by), ', ' ORDER BY consumer),
          'erp regress_crm_erp, mail regress_crm_mail', 'section 3: a consumer belongs to the role that subscribed')
FROM crm_deals.event_consumer;
INSERT INTO crm_deals.deal (name) VALUES ('one');

-- Everything that can be done to the consumer of erp, by each role
CREATE FUNCTION t.calls() RETURNS TABLE (place integer, call text) LANGUAGE sql AS $$
    VALUES (1, 'SELECT count(*) FROM crm_deals.read_events(''erp'')'), (2, 'SELECT crm_deals.ack_events(''erp'', 1)'),
           (3, 'SELECT crm_deals.subscribe(''erp'')'), (4, 'SELECT crm_deals.subscribe(''erp'', ''{won}'')'),
           (5, 'SELECT crm_deals.unsubscribe(''erp'')')
$$;
CREATE FUNCTION t.answers(role text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(t.dry(c.call, role), ', ' ORDER BY c.place) FROM t.calls() AS c
$$;
SELECT is(t.answers('regress_crm_' || w.role), w.answers, 'section 5: the consumer of erp is for ' || w.role)
FROM (VALUES ('erp', 'done, done, done, done, done'), ('member', 'done, done, done, done, done'),
             ('admin', 'done, done, done, done, done'),
             ('mail', 'P0002, P0002, 42501, 42501, P0002')) AS w (role, answers);
SELECT is(t.answers(current_user), 'done, done, done, done, done', 'section 5: and for a superuser');

-- The error of an unknown consumer names those that the caller may use.
CREATE FUNCTION t.unknown(consumer text, role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    result := t.error(format('SELECT * FROM crm_deals.read_events(%L)', consumer), 'detail');
    RESET ROLE;
    RETURN result;
END
$$;
SELECT is(t.unknown(w.consumer, 'regress_crm_' || w.role), w.detail,
          format('section 10: %s asks for "%s"', w.role, w.consumer))
FROM (VALUES ('mail', 'erp', 'There are "mail".'), ('mail', 'nobody', 'There are "mail".'),
             ('member', 'nobody', 'There are "erp".'), ('admin', 'nobody', 'There are "erp", "mail".'),
             ('mail', 'crm_deals dispatcher', 'There are "mail".')) AS w (role, consumer, detail);

-- The view, also for a role that the owner gives it besides
SELECT is(t.get('SELECT string_agg(consumer, '' '' ORDER BY consumer) FROM crm_deals.consumer_status',
                'regress_crm_admin'), 'erp mail', 'section 9: consumer_status: an admin sees all');
BEGIN;
GRANT SELECT ON crm_deals.consumer_status, crm_deals.event_consumer, crm_deals.deal_event TO regress_crm_mail;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_deals_internal TO regress_crm_mail;
SELECT is(t.get('SELECT string_agg(consumer, '' '' ORDER BY consumer) FROM crm_deals.consumer_status',
                'regress_crm_mail'), 'mail', 'section 9: a level''s role sees a consumer of its own only');
ROLLBACK;

-- A consumer without a role, as after an upgrade
BEGIN;
UPDATE crm_deals.event_consumer SET subscribed_by = NULL WHERE consumer = 'erp';
SELECT is(t.get(c.call, 'regress_crm_' || w.role), w.answer,
          format('section 5: without a role: %s, %s', w.role, w.which))
FROM t.calls() AS c,
     (VALUES (1, 'admin', '1', 'who is no owner'), (2, 'mail', '1', 'the first of level consume'),
             (3, 'erp', 'P0002', 'the second')) AS w (place, role, answer, which)
WHERE c.place = 1 ORDER BY w.place;
SELECT is(c.subscribed_by, 'regress_crm_mail', 'section 5: it belongs to the first')
FROM crm_deals.event_consumer AS c WHERE c.consumer = 'erp';
ROLLBACK;
SELECT is(t.after('UPDATE crm_deals.event_consumer SET subscribed_by = NULL WHERE consumer = ''erp''',
                  'SELECT t.get(''SELECT crm_deals.unsubscribe(''''erp'''')'', ''regress_crm_mail'')'),
          'P0002', 'section 5: nobody drops it who has not read it');
-- A role that is renamed
ALTER ROLE regress_crm_erp RENAME TO regress_crm_erp2;
SELECT is(t.answers('regress_crm_erp2') || '; ' || t.answers('regress_crm_admin'),
          'P0002, P0002, 42501, 42501, P0002; done, done, done, done, done',
          'section 5: of a role that is unknown: admins only');
UPDATE crm_deals.event_consumer SET subscribed_by = 'regress_crm_erp2' WHERE consumer = 'erp';
SELECT is(t.answers('regress_crm_erp2'), 'done, done, done, done, done', 'section 5: the owner corrects the name');
-- A function that runs as another role
CREATE FUNCTION t.read_mail() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT count(*) FROM crm_deals.read_events('mail') $$;
GRANT CREATE ON SCHEMA t TO regress_crm_mail;
ALTER FUNCTION t.read_mail() OWNER TO regress_crm_mail;
SELECT is(t.get('SELECT t.read_mail()', 'regress_crm_erp2'), '1', 'section 5: SECURITY DEFINER: its owner reads');
SELECT t.drop_roles('regress_crm_mail', 'regress_crm_member', 'regress_crm_admin', 'regress_crm_erp2') AS none \gset
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
