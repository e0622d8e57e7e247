\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: redact(…), the erasure of a person.
-- Every row of every table, sequence aside, as text: where one matches.
CREATE FUNCTION t.occurs(pattern text, wanted_schema text DEFAULT 'crm_deals') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    hits bigint;
    result text[] := '{}';
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = wanted_schema::regnamespace AND c.relkind IN ('r', 'p', 'm') ORDER BY c.relname LOOP
        EXECUTE format('SELECT count(*) FROM %s AS r WHERE r::text ~* $1', relation) INTO hits USING pattern;
        IF hits > 0 THEN
            result := result || format('%s %s', relation::text, hits);
        END IF;
    END LOOP;
    RETURN array_to_string(result, ', ');
END
$$;
CREATE FUNCTION t.redact(arguments text, as_role text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT t.get('SELECT string_agg(relation || '' '' || rows, '', '' ORDER BY relation) FROM crm_deals.redact('
                 || arguments || ') WHERE rows > 0',
                 as_role)
$$;
-- All that history and forecasts are made of.
CREATE VIEW t.history AS
    SELECT 'deal' AS what, d.id,
           to_jsonb(d) - 'name' - 'notes' - 'custom_fields' - 'owner' - 'version' - 'updated_at' AS facts
    FROM crm_deals.deal AS d
    UNION ALL
    SELECT 'event', e.id,
           to_jsonb(e) - 'note' - 'changes' - 'actor' - 'session_user_name' - 'owner' - 'bypassed' - 'transaction'
               - 'dispatch'
                          || jsonb_build_object(
                              'changed', (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_object_keys(e.changes) AS k),
                              'stages', e.changes -> 'stage_id', 'amounts', e.changes -> 'amount',
                              'closed', e.changes -> 'closed_at', 'since', e.changes -> 'stage_entered_at')
    FROM crm_deals.deal_event AS e WHERE e.kind <> 'redacted';
CREATE TABLE t.before (what text, id bigint, facts jsonb);

-- A person, Erika Müstermann, contact, lead and in the texts of two deals, and others
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.custom_field (entity, key, type, options, required)
VALUES ('deal', 'referrer', 'text', NULL, true), ('deal', 'born', 'date', NULL, false),
       ('deal', 'size', 'select', '["s", "l"]', false), ('deal', 'tags', 'multiselect', '["vip"]', false),
       ('lead', 'twitter', 'text', NULL, true), ('contact', 'nick', 'text', NULL, true);
INSERT INTO crm_deals.contact (first_name, last_name, email, phone, external_id, account_id, custom_fields)
VALUES ('Erika', 'Müstermann', 'erika@example.org', '+49 171 4711', 'erika@example.org', 1,
        '{"nick": "Eri-Müstermann"}'),
       ('Max', 'Other', 'max@example.org', '+1', 'max', 1, '{"nick": "m"}');
INSERT INTO crm_deals.lead (company_name, first_name, last_name, email, phone, external_id, source, custom_fields)
VALUES ('Müstermann GmbH', 'Erika', 'Müstermann', 'erika@example.org', '+49 171 4711', 'erika@example.org', 'fair',
        '{"twitter": "@müstermann"}'),
       ('Other', 'Max', 'Other', 'max@example.org', '+1', 'max', 'fair', '{"twitter": "@max"}');
INSERT INTO crm_deals.deal (name, notes, primary_contact_id, account_id, amount, custom_fields) VALUES
    ('Bike for Müstermann', 'call Erika, +49 171 4711', 1, 1, 100,
     '{"referrer": "erika@example.org", "born": "1970-01-01", "size": "s", "tags": ["vip"], '
     '"free": {"who": "Müstermann"}}'),
    ('Second of Müstermann', 'erika@example.org', 1, 1, 200, '{"referrer": "Müstermann"}'),
    ('Other', 'fine', 2, 1, 300, '{"referrer": "somebody"}');
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) VALUES (1, 1, 'buyer'), (3, 2, 'buyer');
UPDATE crm_deals.deal
SET notes = concat(notes, ' Müstermann'), custom_fields = custom_fields || '{"referrer": "Müstermann senior"}'
WHERE id = 1;
UPDATE crm_deals.deal SET name = 'Bike for Erika Müstermann', custom_fields = custom_fields - 'free' WHERE id = 1;
SELECT crm_deals.move_deal(1, 'proposal', note => 'Erika wants it'),
       crm_deals.move_deal(1, 'lost', lost_reason => 'price', note => 'Müstermann has said no',
                           override => 'Müstermann') \gset none_
SELECT crm_deals.move_deal(3, 'won', note => 'signed') AS none \gset
INSERT INTO crm_deals.activity (kind, subject, body, contact_id, lead_id, deal_id)
VALUES ('call', 'Müstermann', 'said yes', 1, NULL, NULL), ('email', 'Müstermann', NULL, NULL, 1, NULL),
       ('note', 'of the lead and the deal', 'Müstermann', NULL, 1, 1),
       ('note', 'of the deal', 'Müstermann', NULL, NULL, 1), ('note', 'of the deal', NULL, NULL, NULL, 2),
       ('note', 'another''s', 'fine', 2, 2, 3);
SELECT crm_deals.subscribe('erp', from_start => true) AS none \gset
SELECT is(t.occurs('müstermann|erika|171 4711'),
          'crm_deals.activity 6, crm_deals.contact 1, crm_deals.deal 2, crm_deals.deal_event 6, crm_deals.deal_name 2, '
          'crm_deals.lead 1',
          'section 5: a person is all over the place');
INSERT INTO t.before TABLE t.history;
SELECT md5(string_agg(r::text, ' ' ORDER BY id)) AS others
FROM (SELECT id, c::text AS r FROM crm_deals.contact AS c WHERE id = 2
      UNION ALL SELECT id, l::text FROM crm_deals.lead AS l WHERE id = 2
      UNION ALL SELECT id, a::text FROM crm_deals.activity AS a WHERE deal_id = 3
      UNION ALL SELECT id, e::text FROM crm_deals.deal_event AS e WHERE deal_id = 3
      UNION ALL SELECT id, d::text FROM crm_deals.deal AS d WHERE id = 3) AS r \gset

-- What it refuses, and leaves as it was
SELECT is(t.try('SELECT * FROM crm_deals.redact(' || v.arguments || ')'), v.state,
          'section 10: redact(' || v.arguments || ')')
FROM (VALUES ('', '22023'), ('reason => ''x''', '22023'), ('contact => ''99''', 'P0002'), ('contact => ''x''', 'P0002'),
             ('lead => 99', 'P0002'), ('deals => ''{1,99}''', 'P0002'), ('deals => ''{NULL}''', 'P0002'),
             ('contact => ''1'', lead => 99, deals => ''{1}''', 'P0002')) AS v (arguments, state);
SELECT is_empty('(TABLE t.history EXCEPT TABLE t.before) UNION ALL (TABLE t.before EXCEPT TABLE t.history)',
                'section 10: a refusal leaves nothing behind');
SELECT is(t.occurs('müstermann|erika|171 4711'),
          'crm_deals.activity 6, crm_deals.contact 1, crm_deals.deal 2, crm_deals.deal_event 6, crm_deals.deal_name 2, '
          'crm_deals.lead 1',
          'section 10: nor does it take anything away');

-- One thing at a time, each undone
SELECT is(t.after('SELECT crm_deals.redact(contact => ''1'')', v.query), v.result, 'section 5: a contact: ' || v.what)
FROM (VALUES ('it is blanked', $$SELECT (to_jsonb(c) - 'created_at')::text FROM crm_deals.contact AS c WHERE id = 1$$,
              '{"id": 1, "email": null, "owner": null, "phone": null, "last_name": "[redacted]", "account_id": 1, '
              '"first_name": null, "external_id": null, "organization": null, "custom_fields": {}}'),
             ('its activities go',
              'SELECT string_agg(id::text, '' '' ORDER BY id) FROM crm_deals.activity WHERE contact_id = 1', NULL),
             ('where else it was', 'SELECT t.occurs(''müstermann|erika|171 4711'')',
              'crm_deals.activity 5, crm_deals.deal 2, crm_deals.deal_event 6, crm_deals.deal_name 2, '
              'crm_deals.lead 1'),
             ('it is still the deal''s',
              'SELECT string_agg(primary_contact_id::text, '' '' ORDER BY id) || '' '' || (SELECT count(*) '
              'FROM crm_deals.deal_contact) FROM crm_deals.deal',
              '1 1 2 2')) AS v (what, query, result);
SELECT is(t.after('SELECT crm_deals.redact(lead => 1)', v.query), v.result, 'section 5: a lead: ' || v.what)
FROM (VALUES ('it is blanked', $$SELECT (to_jsonb(l) - 'created_at')::text FROM crm_deals.lead AS l WHERE id = 1$$,
              '{"id": 1, "email": null, "owner": null, "phone": null, "source": "fair", "status": "new", '
              '"deal_id": null, "last_name": null, "account_id": null, "contact_id": null, "first_name": null, '
              '"external_id": null, "company_name": "[redacted]", "converted_at": null, "organization": null, '
              '"custom_fields": {}}'),
             ('its activities go', 'SELECT count(*) FROM crm_deals.activity WHERE lead_id = 1', '0'),
             ('where else it was', 'SELECT t.occurs(''müstermann|erika|171 4711'')',
              'crm_deals.activity 4, crm_deals.contact 1, crm_deals.deal 2, crm_deals.deal_event 6, '
              'crm_deals.deal_name 2')) AS v (what, query, result);
SELECT is(t.after('SELECT crm_deals.redact(deals => ''{1}'')', v.query), v.result, 'section 5: a deal: ' || v.what)
FROM (VALUES ('name and notes', 'SELECT name || '' '' || notes FROM crm_deals.deal WHERE id = 1',
              '[redacted] [redacted]'),
             ('custom fields', 'SELECT custom_fields::text ~* ''müst|erika|1970'' FROM crm_deals.deal WHERE id = 1',
              'false'),
             ('its log',
              'SELECT string_agg(e::text, '' '') ~* ''müst|erika'' FROM crm_deals.deal_event AS e WHERE deal_id = 1',
              'false'),
             ('changes of name',
              'SELECT changes ->> ''name'' FROM crm_deals.deal_event WHERE deal_id = 1 AND version = 3',
              '["[redacted]", "[redacted]"]'),
             ('changes of custom fields',
              'SELECT changes::text FROM crm_deals.deal_event WHERE deal_id = 1 AND version = 2',
              '{"notes": ["[redacted]", "[redacted]"], "custom_fields.referrer": ["[redacted]", "[redacted]"]}'),
             ('what was NULL is NULL',
              'SELECT changes ->> ''name'' || (changes ->> ''notes'') || (changes ->> ''custom_fields.born'') '
              'FROM crm_deals.deal_event WHERE deal_id = 1 AND version = 1',
              '[null, "[redacted]"][null, "[redacted]"][null, "[redacted]"]'),
             ('notes of moves',
              'SELECT string_agg(note, '', '' ORDER BY version) FROM crm_deals.deal_event WHERE deal_id = 1',
              '[redacted], [redacted]'),
             ('one event, of kind redacted', 'SELECT t.kinds(1)',
              'created updated updated stage_changed lost redacted'),
             ('which says nothing',
              'SELECT (changes -> ''name'' || (changes -> ''notes''))::text FROM crm_deals.deal_event '
              'WHERE deal_id = 1 AND kind = ''redacted''',
              '["[redacted]", "[redacted]", "[redacted]", "[redacted]"]'),
             ('its activities',
              'SELECT string_agg(concat_ws('': '', subject, body), '', '' ORDER BY id) FROM crm_deals.activity '
              'WHERE deal_id = 1',
              '[redacted]: [redacted], [redacted]: [redacted], [redacted]: [redacted], [redacted]: [redacted]'),
             ('of another deal nothing',
              'SELECT string_agg(concat(name, notes), '', '' ORDER BY id) FROM crm_deals.deal WHERE id > 1',
              'Second of Müstermannerika@example.org, Otherfine'),
             ('verify() agrees', 'SELECT string_agg(v::text, '' '') FROM crm_deals.verify() AS v',
              NULL)) AS v (what, query, result);
SELECT is(t.after('SELECT crm_deals.redact(deals => ''{1}'', reason => ''request 7'')',
                  'SELECT string_agg(note, '', '' ORDER BY version) FROM crm_deals.deal_event WHERE deal_id = 1'),
          '[redacted], [redacted], request 7', 'section 5: the reason is the note of the event');

-- All of it
SELECT is(t.redact('contact => ''1'', lead => 1, deals => ''{1,2}'', reason => ''request 8'''),
          'activity 7, contact 1, deal 2, deal_event 8, lead 1', 'section 5: how many rows of which table');
SELECT is(t.occurs('müstermann|erika|171 4711|1970-01-01'), '',
          'section 5: the person''s name, e-mail and phone occur nowhere');
SELECT is_empty('TABLE t.history EXCEPT SELECT what, id, facts FROM t.before',
                'section 5: ids, stages, amounts and times stay as they were');
SELECT is_empty('TABLE t.before EXCEPT TABLE t.history', 'section 5: and none is gone');
SELECT is((SELECT string_agg(concat_ws(' ', d.name, d.notes, d.custom_fields ->> 'referrer', d.amount, d.version),
                             ', ' ORDER BY id)
           FROM crm_deals.deal AS d),
          '[redacted] [redacted] [redacted] 100 6, [redacted] [redacted] [redacted] 200 2, Other fine somebody 300 2',
          'section 5: the deals');
SELECT is((SELECT string_agg(e.note || ' ' || e.actor, ', ' ORDER BY e.deal_id) FROM crm_deals.deal_event AS e
           WHERE kind = 'redacted'),
          'request 8 ' || current_user || ', request 8 ' || current_user, 'section 5: who did it and why');
SELECT is((SELECT md5(string_agg(r::text, ' ' ORDER BY id))
           FROM (SELECT id, c::text AS r FROM crm_deals.contact AS c WHERE id = 2
                 UNION ALL SELECT id, l::text FROM crm_deals.lead AS l WHERE id = 2
                 UNION ALL SELECT id, a::text FROM crm_deals.activity AS a WHERE deal_id = 3
                 UNION ALL SELECT id, e::text FROM crm_deals.deal_event AS e WHERE deal_id = 3
                 UNION ALL SELECT id, d::text FROM crm_deals.deal AS d WHERE id = 3) AS r),
          :'others', 'section 5: nobody else lost a letter');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: verify() agrees');
SELECT is((SELECT count(*) FROM crm_deals.read_events('erp') AS r WHERE r.payload::text ~* 'müstermann|erika|171 4711'),
          0::bigint, 'section 5: what consumers read says nothing of the person');
SELECT is((SELECT string_agg(r.kind || ' ' || (r.payload ->> 'deal_name'), ', ' ORDER BY r.id)
           FROM crm_deals.read_events('erp') AS r WHERE deal_id = 2),
          'created [redacted], redacted [redacted]', 'section 5: they do get every event');
-- A second time there is nothing to do; the deals go on.
SELECT is(t.try('SELECT * FROM crm_deals.redact(contact => ''1'', lead => 1, deals => ''{1,2}'')'), 'done',
          'section 5: again');
UPDATE crm_deals.deal SET amount = 101 WHERE id = 1;
SELECT is(t.try($$UPDATE crm_deals.deal SET custom_fields = '{"referrer": "x", "size": "xl"}' WHERE id = 1$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: custom fields are judged as before');
SELECT is(t.try($$UPDATE crm_deals.deal SET custom_fields = '{"referrer": "x", "size": "l"}' WHERE id = 1$$), 'done',
          'section 5: new values can be entered');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: verify() still agrees');

-- Required fields and gates do not stand in the way.
UPDATE crm_deals.stage SET required_fields = '{custom_fields.budget,notes}' WHERE id = t.stage('qualified');
INSERT INTO crm_deals.deal (name, stage_id, notes, custom_fields)
VALUES ('Gate of Müstermann', t.stage('qualified'), 'n', '{"referrer": "r", "budget": 5}');
UPDATE crm_deals.pipeline SET forbid_skipping = true, forbid_backward = true;
SELECT is(t.redact('deals => ARRAY[t.deal(''Gate of Müstermann'')]'), 'deal 1, deal_event 2',
          'section 5: required fields and gates are not asked');
SELECT is(t.occurs('müstermann'), '', 'section 5: gone');
UPDATE crm_deals.pipeline SET forbid_skipping = false, forbid_backward = false;
UPDATE crm_deals.stage SET required_fields = '{}' WHERE id = t.stage('qualified');

-- Deals that are deleted, all at once, none
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('Gone with Müstermann', '{"referrer": "r"}');
SELECT t.deal('Gone with Müstermann') AS gone \gset
DELETE FROM crm_deals.deal WHERE id = :gone;
SELECT is(t.redact(format('deals => ''{%s}''', :gone)), 'deal_event 2', 'section 5: of a deleted deal the log');
SELECT is(t.occurs('müstermann'), '', 'section 5: it says nothing any more');
SELECT is(t.redact('deals => ''{}'''), NULL, 'section 5: no deals: nothing');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: verify() agrees, too');

-- A named actor everywhere, and an owner, where that is a text
SET crm_deals.actor = 'erika@example.org';
INSERT INTO crm_deals.deal (name, owner, custom_fields)
VALUES ('hers', 'erika@example.org', '{"referrer": "r"}'), ('not hers', 'max', '{"referrer": "r"}');
UPDATE crm_deals.deal SET amount = 1, owner = 'max' WHERE name = 'hers';
UPDATE crm_deals.deal SET owner = 'erika@example.org' WHERE name = 'hers';
SELECT crm_deals.move_deal(t.deal('not hers'), 'qualified', note => 'x') AS none \gset
RESET crm_deals.actor;
SELECT crm_deals.move_deal(t.deal('not hers'), 'proposal', note => 'y') AS none \gset
INSERT INTO crm_deals.account (name, owner) VALUES ('A', 'erika@example.org');
INSERT INTO crm_deals.contact (last_name, owner, custom_fields) VALUES ('C', 'erika@example.org', '{"nick": "n"}');
INSERT INTO crm_deals.lead (company_name, owner, custom_fields) VALUES ('L', 'erika@example.org', '{"twitter": "n"}');
INSERT INTO crm_deals.activity (kind, subject, actor, deal_id)
VALUES ('call', 'stays', 'erika@example.org', t.deal('not hers'));
INSERT INTO crm_deals.deal_duplicate (deal_id, other_deal_id, similarity, resolution, resolved_by)
VALUES (t.deal('not hers'), t.deal('hers'), 0.9, 'dismissed', 'erika@example.org');
SELECT is(t.occurs('erika'),
          'crm_deals.account 1, crm_deals.activity 2, crm_deals.contact 1, crm_deals.deal 1, '
          'crm_deals.deal_duplicate 1, crm_deals.deal_event 5, crm_deals.lead 1',
          'section 5: an actor and owner is all over the place');
TRUNCATE t.before;
INSERT INTO t.before TABLE t.history;
SELECT is(t.redact('actor => ''erika@example.org'''),
          'account 1, activity 2, contact 1, deal 1, deal_duplicate 1, deal_event 6, lead 1',
          'section 5: how many rows of which table');
SELECT is(t.occurs('erika'), '', 'section 5: a named actor is erased everywhere');
SELECT is((SELECT string_agg(name || ' ' || owner, ', ' ORDER BY id) FROM crm_deals.deal WHERE name ~ 'hers'),
          'hers [redacted], not hers max', 'section 5: names of deals stay, owners do not');
SELECT is((SELECT string_agg(actor || ' ' || subject, ', ' ORDER BY id) FROM crm_deals.activity
           WHERE deal_id = t.deal('not hers')),
          format('[redacted] Deal moved: Lead → Qualified, %s Deal moved: Qualified → Proposal, [redacted] stays',
                 current_user),
          'section 5: what was said stays');
SELECT is((SELECT string_agg(concat(kind, ' ', actor, ' ', owner), ', ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('hers')),
          format('created [redacted] [redacted], updated [redacted] max, updated [redacted] [redacted], '
                 'redacted %s [redacted]',
                 current_user),
          'section 5: the log of a deal that was owned');
SELECT is((SELECT string_agg(changes ->> 'owner', ' ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('hers')),
          '[null, "[redacted]"] ["[redacted]", "max"] ["max", "[redacted]"] ["[redacted]", "[redacted]"]',
          'section 5: changes of the owner');
SELECT is_empty('TABLE t.before EXCEPT TABLE t.history', 'section 5: ids, stages, amounts and times stay as they were');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 5: verify() agrees here, too');
SELECT is(t.redact('actor => ''nobody'''), NULL, 'section 5: an actor who never was');
-- The session's user is named, too; who erases himself is erased in what it writes.
SET crm_deals.actor = 'self';
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('s', '{"referrer": "r"}');
SELECT is(t.try('SELECT * FROM crm_deals.redact(actor => ''self'', deals => ARRAY[t.deal(''s'')])'), 'done',
          'section 5: somebody erases himself');
RESET crm_deals.actor;
SELECT is(t.occurs('\mself\M'), '', 'section 5: also of the event that tells of it');
SELECT is(t.after(format('SELECT crm_deals.redact(actor => %L)', session_user),
                  'SELECT count(*) FROM crm_deals.deal_event WHERE session_user_name = session_user'),
          '0', 'section 5: as the session''s user, too');
SELECT crm_deals.unsubscribe('erp') AS none \gset
SELECT crm_deals.prune_events(now()) AS none \gset
SELECT is(t.after(format('SELECT crm_deals.redact(actor => %L)', current_user),
                  'SELECT string_agg(pruned_by, '' '') FROM crm_deals.log_pruning'),
          '[redacted]', 'section 5: as the one who pruned, too');

-- Append-only otherwise, also inside the user's triggers
SELECT is(t.dry(v.statement), '42501 deal_event', 'section 5: after it as before: ' || v.statement)
FROM (VALUES ('DELETE FROM crm_deals.deal_event'), ('UPDATE crm_deals.deal_event SET note = ''x''')) AS v (statement);
CREATE FUNCTION t.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE tg_argv[0];
    RETURN new;
END
$$;
CREATE FUNCTION t.meddled(at text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER e_meddle %s FOR EACH %s EXECUTE FUNCTION t.meddle(%L)', split_part(at, ' / ', 1),
                   split_part(at, ' / ', 2), statement);
    RETURN t.dry('SELECT * FROM crm_deals.redact(deals => ARRAY[t.deal(''Other'')])');
END
$$;
SELECT is(t.after('SELECT 1', format('SELECT t.meddled(%L, %L)', v.at, s.statement)), s.result,
          'section 5: a user''s trigger ' || v.at || ' during it: ' || s.statement)
FROM (VALUES ('BEFORE UPDATE ON crm_deals.deal_event / STATEMENT'), ('AFTER UPDATE ON crm_deals.deal_event / ROW'),
             ('BEFORE UPDATE ON crm_deals.deal / ROW'), ('AFTER UPDATE ON crm_deals.deal / STATEMENT'),
             ('AFTER INSERT ON crm_deals.deal_event / ROW'), ('BEFORE UPDATE ON crm_deals.activity / ROW')) AS v (at),
     (VALUES ('SELECT 1', 'done'), ('DELETE FROM crm_deals.deal_event', '42501 deal_event'),
             ('UPDATE crm_deals.deal_event SET note = ''x''', '42501 deal_event')) AS s (statement, result);
SELECT is(t.dry('UPDATE crm_deals.deal_event SET note = ''x'''), '42501 deal_event',
          'section 5: a redaction that failed leaves no door open');
-- A move that a user's trigger makes inside it is judged as any other, and is of its own kind.
UPDATE crm_deals.pipeline SET forbid_skipping = true;
CREATE FUNCTION t.move_other() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF new.name = '[redacted]' THEN UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 's2'; END IF;
    RETURN NULL; END
$$;
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('s2', '{"referrer": "r"}'), ('s3', '{"referrer": "r"}');
CREATE TRIGGER move_other AFTER UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.move_other();
SELECT is(t.dry('SELECT * FROM crm_deals.redact(deals => ARRAY[t.deal(''s3'')])'), '23514 deal.stage_id deal_gate',
          'rule 5: what a user''s trigger does inside it is judged');
UPDATE crm_deals.pipeline SET forbid_skipping = false;
SELECT t.deal('s3') AS s3 \gset
SELECT is(t.after(format('SELECT * FROM crm_deals.redact(deals => ''{%s}'')', :s3),
                  'SELECT t.kinds(''s2'') || '', '' || t.kinds(' || :s3 || ')'),
          'created won, created redacted', 'section 5: and is of its own kind');
DROP TRIGGER move_other ON crm_deals.deal;

-- Who may
SELECT t.drop_roles('regress_crm_manager', 'regress_crm_admin') AS none \gset
CREATE ROLE regress_crm_manager;
CREATE ROLE regress_crm_admin;
SELECT crm_deals.grant_access('regress_crm_manager', 'manager'),
       crm_deals.grant_access('regress_crm_admin', 'admin') \gset none_
SELECT is(t.redact('deals => ''{1}''', 'regress_crm_manager'), '42501', 'section 9: manager: not redact()');
SELECT is(t.redact(format('deals => ''{%s}''', :s3), 'regress_crm_admin'), 'deal 1, deal_event 2',
          'section 9: admin: redact()');
SELECT is((SELECT actor FROM crm_deals.deal_event WHERE deal_id = :s3 AND kind = 'redacted'), 'regress_crm_admin',
          'section 4: the actor is the caller');
SELECT is(t.dry('UPDATE crm_deals.deal_event SET note = ''x''', 'regress_crm_admin'), '42501',
          'section 9: admin: nothing else of the log');
SELECT t.drop_roles('regress_crm_manager', 'regress_crm_admin') AS none \gset
BEGIN READ ONLY;
SELECT is(t.try('SELECT * FROM crm_deals.redact(actor => ''x'')'), '25006',
          'section 11: not in a read-only transaction');
COMMIT;
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

-- The host's contacts are the host's; an owner with a table of its own is a key.
DROP SCHEMA crm_deals CASCADE;
CREATE EXTENSION crm_deals CASCADE;
CREATE TABLE t.person (id uuid PRIMARY KEY, last_name text);
CREATE TABLE t.login (name text PRIMARY KEY);
INSERT INTO t.person VALUES ('00000000-0000-0000-0000-000000000001', 'Müstermann');
INSERT INTO t.login VALUES ('erika');
SELECT crm_deals.install(contact_table => 't.person', owner_table => 't.login') AS none,
       crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO crm_deals.deal (name, primary_contact_id, owner)
VALUES ('of Müstermann', '00000000-0000-0000-0000-000000000001', 'erika');
INSERT INTO crm_deals.activity (kind, subject, contact_id)
VALUES ('call', 'Müstermann', '00000000-0000-0000-0000-000000000001');
INSERT INTO crm_deals.lead (company_name, owner) VALUES ('of Müstermann', 'erika');
SELECT is(t.redact('contact => ''00000000-0000-0000-0000-000000000001'', lead => 1, '
                   'deals => ARRAY[t.deal(''of Müstermann'')]'),
          'activity 1, deal 1, deal_event 2, lead 1',
          'section 5: a contact of the host''s: its activities, not its row');
SELECT is(t.occurs('müstermann') || (SELECT string_agg(last_name, '') FROM t.person), 'Müstermann',
          'section 5: nothing is left of it but there');
UPDATE crm_deals.deal SET amount = 1;
SELECT is(t.try('SELECT * FROM crm_deals.redact(actor => ''erika'')'), 'done',
          'section 5: an owner with a table of its own');
SELECT is((SELECT string_agg(DISTINCT d.owner || ' ' || e.owner, ', ')
           FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id),
          'erika erika', 'section 5: is a key, and ids stay');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees with that');

SELECT * FROM finish();
