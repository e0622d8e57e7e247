\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: tasks with an assignee, what is open, the next activity of a deal, the columns that users added.
SELECT t.drop_roles('regress_crm_reader', 'regress_crm_ann') AS none \gset
CREATE ROLE regress_crm_reader;
CREATE ROLE regress_crm_ann;
SELECT crm_deals.grant_access('regress_crm_reader', 'read'),
       crm_deals.grant_access('regress_crm_ann', 'write') \gset none_
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- The actor of an activity
INSERT INTO crm_deals.activity (kind, subject) VALUES ('note', 'mine');
SET crm_deals.actor = 'anna';
INSERT INTO crm_deals.activity (kind, subject) VALUES ('note', 'by setting');
INSERT INTO crm_deals.activity (kind, subject, actor) VALUES ('note', 'given', 'bob'), ('note', 'nobody', NULL);
SET crm_deals.actor = '';
SELECT is(t.try($$INSERT INTO crm_deals.activity (kind, subject) VALUES ('note', 'by role')$$, 'regress_crm_ann'),
          'done', 'section 3: a level of write writes activities');
SELECT is((SELECT string_agg(concat_ws(': ', subject, replace(actor, current_user, 'me')), ', ' ORDER BY id)
           FROM crm_deals.activity),
          'mine: me, by setting: anna, given: bob, nobody, by role: regress_crm_ann',
          'section 3: actor is the setting, else the current user');
INSERT INTO crm_deals.deal (name) VALUES ('moved');
SELECT crm_deals.move_deal(t.deal('moved'), 'qualified', actor => 'carl') \gset none_
SELECT is((SELECT actor FROM crm_deals.activity WHERE deal_id = t.deal('moved')), 'carl',
          'section 3: what the product writes keeps its own actor');

-- NULL says nothing
DELETE FROM crm_deals.activity;
INSERT INTO crm_deals.activity (kind, subject, occurred_at) VALUES ('note', 'x', NULL);
INSERT INTO crm_deals.lead (company_name, status, custom_fields, created_at) VALUES ('x', NULL, NULL, NULL);
INSERT INTO crm_deals.account (name, custom_fields, created_at) VALUES ('x', NULL, NULL);
INSERT INTO crm_deals.contact (custom_fields, created_at) VALUES (NULL, NULL);
CREATE FUNCTION t.said() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' | ',
        (SELECT occurred_at > now() - interval '1 minute' FROM crm_deals.activity),
        (SELECT concat_ws(' ', status, custom_fields, created_at > now() - interval '1 minute') FROM crm_deals.lead),
        (SELECT concat_ws(' ', custom_fields, created_at > now() - interval '1 minute') FROM crm_deals.account),
        (SELECT concat_ws(' ', custom_fields, created_at > now() - interval '1 minute') FROM crm_deals.contact))
$$;
SELECT is(t.said(), 't | new {} t | {} t | {} t', 'section 3: NULL on INSERT is the default');
UPDATE crm_deals.activity SET occurred_at = '2026-01-01';
UPDATE crm_deals.lead SET status = 'working', custom_fields = '{"a": 1}', created_at = '2026-01-01';
UPDATE crm_deals.account SET custom_fields = '{"a": 1}', created_at = '2026-01-01';
UPDATE crm_deals.contact SET custom_fields = '{"a": 1}', created_at = '2026-01-01';
UPDATE crm_deals.activity SET occurred_at = NULL;
UPDATE crm_deals.lead SET status = NULL, custom_fields = NULL, created_at = NULL;
UPDATE crm_deals.account SET custom_fields = NULL, created_at = NULL;
UPDATE crm_deals.contact SET custom_fields = NULL, created_at = NULL;
SELECT is(t.said(), 'f | working {"a": 1} f | {"a": 1} f | {"a": 1} f',
          'section 3: NULL on UPDATE leaves the value as it was');
SELECT is(t.try('UPDATE crm_deals.lead SET custom_fields = ''{}'''), 'done', 'section 3: ''{}'' empties custom fields');
SELECT is(t.said(), 'f | working {} f | {"a": 1} f | {"a": 1} f', '... of a lead');
SELECT is(t.try('INSERT INTO crm_deals.activity (kind, subject) VALUES (''task'', NULL)'), '23502 activity.subject',
          'section 3: no other NULL is filled');
ALTER TABLE crm_deals.activity ALTER COLUMN occurred_at SET DEFAULT '2025-05-05';
SELECT is(t.after($$INSERT INTO crm_deals.activity (kind, subject, occurred_at) VALUES ('note', 'y', NULL)$$,
                  $$SELECT occurred_at::date FROM crm_deals.activity WHERE subject = 'y'$$),
          '2025-05-05', 'section 3: the default may be the user''s own');
ALTER TABLE crm_deals.activity ALTER COLUMN occurred_at SET DEFAULT now();

-- open_task
DELETE FROM crm_deals.activity;
INSERT INTO crm_deals.activity (kind, subject, due_at, done_at)
SELECT k.kind, concat_ws(' ', k.kind, d.due, n.done), CASE d.due WHEN 'due' THEN now() + interval '1 hour' END,
       CASE n.done WHEN 'done' THEN now() END
FROM unnest(ARRAY['meeting', 'email', 'note', 'call', 'task', 'event']) AS k (kind),
     unnest(ARRAY['due', NULL]) AS d (due), unnest(ARRAY['done', NULL]) AS n (done);
SELECT is((SELECT string_agg(subject, ', ' ORDER BY subject) FROM crm_deals.open_task),
          'call due, email due, event due, meeting due, task, task due', 'section 3: open_task: what is not done');
BEGIN;
INSERT INTO crm_deals.activity (kind, subject, due_at)
SELECT 'task', d.due, now() + d.due::interval
FROM unnest(ARRAY['-1 day', '-1 microsecond', '0', '1 microsecond', '1 day']) AS d (due);
INSERT INTO crm_deals.activity (kind, subject, due_at) VALUES ('task', '-9 ever', '-infinity'), ('task', '9 ever', 'infinity');
SELECT is((SELECT string_agg(subject, ', ' ORDER BY due_at) FROM crm_deals.open_task WHERE is_overdue),
          '-9 ever, -1 day, -1 microsecond', 'section 3: is_overdue: due_at < now()');
SELECT is((SELECT string_agg(subject, ', ' ORDER BY due_at, id) FROM crm_deals.open_task
           WHERE NOT is_overdue AND subject !~ ' due'),
          '0, 1 microsecond, 1 day, 9 ever, task', '... what is due never is not overdue');
ROLLBACK;

-- The next activity
DELETE FROM crm_deals.activity;
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.deal (id, name) SELECT 100 + n, 'd' || n FROM generate_series(1, 7) AS n;
INSERT INTO crm_deals.activity (id, kind, subject, due_at, done_at, deal_id, assignee) VALUES
    (1, 'task', 'whenever', NULL, NULL, 101, NULL), (2, 'task', 'later', '2126-05-02 10:00', NULL, 101, NULL),
    (3, 'call', 'sooner', '2126-05-01 10:00:00.000001', NULL, 101, 'ann'), (4, 'note', 'no task', '2020-01-01', NULL, 101, NULL),
    (5, 'task', 'done', '2020-01-01', '2026-01-01', 101, NULL),
    (7, 'task', 'second id', NULL, NULL, 102, NULL), (6, 'task', 'first id', NULL, NULL, 102, NULL),
    (9, 'email', 'twin', '2020-01-01', NULL, 103, NULL), (8, 'event', 'overdue', '2020-01-01', NULL, 103, NULL),
    (10, 'meeting', 'some day', NULL, NULL, 104, NULL),
    (11, 'task', 'at the end', 'infinity', NULL, 105, NULL), (12, 'task', 'never', NULL, NULL, 105, NULL),
    (13, 'task', 'long ago', '-infinity', NULL, 106, NULL), (14, 'task', 'an account', '2020-01-01', NULL, NULL, 'ann');
SELECT is((SELECT string_agg(format('%s %s %s', name, next_activity, next_activity_due_at), ', ' ORDER BY id)
           FROM crm_deals.deal_overview WHERE id > 100),
          'd1 sooner 2126-05-01 10:00:00.000001+00, d2 first id , d3 overdue 2020-01-01 00:00:00+00, d4  , '
          'd5 at the end infinity, d6 long ago -infinity, d7  ',
          'section 3: deal_overview: the earliest due, overdue ones too, none last, then the lowest id');
SELECT is((SELECT string_agg(next_activity_id::text, ', ' ORDER BY next_activity_due_at, id)
           FROM crm_deals.deal_overview WHERE next_activity_due_at < now() OR next_activity = 'first id'),
          '13, 8, 6', 'section 3: deal_overview filters and sorts by it');
CREATE FUNCTION t.next_activities() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(c.card ->> 'next_activity', ' ' ORDER BY c.card ->> 'name')
    FROM crm_deals.board('Sales', card_limit => 100) AS b, jsonb_array_elements(b.cards) AS c (card)
    WHERE c.card ->> 'name' IN ('d1', 'd2', 'd3', 'd4', 'd5')
$$;
SELECT is(t.next_activities(),
          '{"id": 3, "kind": "call", "due_at": "2126-05-01T10:00:00.000001+00:00", "subject": "sooner", '
          '"assignee": {"id": "ann", "label": "ann"}, "is_overdue": false} '
          '{"id": 6, "kind": "task", "due_at": null, "subject": "first id", "assignee": null, "is_overdue": false} '
          '{"id": 8, "kind": "event", "due_at": "2020-01-01T00:00:00+00:00", "subject": "overdue", '
          '"assignee": null, "is_overdue": true} '
          '{"id": 11, "kind": "task", "due_at": "infinity", "subject": "at the end", "assignee": null, '
          '"is_overdue": false}',
          'section 3: cards have it, or null');
SELECT is((SELECT jsonb_agg(c.card -> 'next_activity' -> 'id' ORDER BY c.card -> 'id')
           FROM crm_deals.board_cards('Sales', 'lead', card_limit => 100) AS c WHERE c.card ->> 'name' ~ '^d'),
          '[3, 6, 8, null, 11, 13, null]', 'section 3: those of board_cards, too');
SELECT is((SELECT string_agg(concat_ws(' ', id, kind, subject, assignee_label, deal_name, account_label), ', ' ORDER BY id)
           FROM crm_deals.open_task WHERE assignee = 'ann'),
          '3 call sooner ann d1, 14 task an account ann', 'section 3: open_task: deal, assignee and labels');
UPDATE crm_deals.activity SET done_at = now() WHERE id = 3;
SELECT is(t.after('UPDATE crm_deals.activity SET account_id = (SELECT max(id) FROM crm_deals.account) WHERE id = 14',
                  'SELECT next_activity FROM crm_deals.deal_overview WHERE id = 101'), 'later',
          'section 3: what is done is no longer next');
SELECT is(t.try($$INSERT INTO crm_deals.activity (kind, subject, done_at) VALUES ('task', 'x', now() + interval '25 hours')$$),
          '23514 activity.done_at deal_bounds', 'section 3: done_at more than a day ahead');

-- Who sees it
SELECT is(t.get('SELECT string_agg(id::text, '' '' ORDER BY id) FROM crm_deals.open_task', 'regress_crm_reader'),
          '1 2 6 7 8 9 11 12 13 14', 'section 9: open_task: level read');
CREATE POLICY odd ON crm_deals.deal USING (id % 2 = 1);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT is(t.get('SELECT string_agg(id::text, '' '' ORDER BY id) FROM crm_deals.open_task', 'regress_crm_reader'),
          '1 2 8 9 11 12 14', 'section 9: open_task: nothing of hidden deals');
SELECT is(t.get('SELECT string_agg(next_activity, '', '' ORDER BY id) FROM crm_deals.deal_overview', 'regress_crm_reader'),
          'later, overdue, at the end', 'section 9: nor the next activity of one');
SELECT is(t.get('SELECT count(*) FROM crm_deals._next_activity', 'regress_crm_reader'), '3',
          'section 9: nor the view of next activities');
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
DROP POLICY odd ON crm_deals.deal;

-- Columns that users added
SELECT is((SELECT string_agg(DISTINCT added::text, ', ') FROM crm_deals.deal_overview), '{}',
          'section 3: added: none of ours');
CREATE TYPE t.pair AS (a integer, b text);
ALTER TABLE crm_deals.deal ADD COLUMN d integer DEFAULT 5, ADD COLUMN added text, ADD COLUMN "Own ""one" daterange,
    ADD COLUMN pair t.pair, ADD COLUMN list integer[], ADD COLUMN fields jsonb;
UPDATE crm_deals.deal SET "Own ""one" = '[2026-02-03,2026-04-05)', pair = (1, 'x'), list = '{1,2}', fields = '{"a": null}'
WHERE id = 101;
SELECT is((SELECT added::text FROM crm_deals.deal_overview WHERE id = 101),
          '{"d": 5, "list": [1, 2], "pair": {"a": 1, "b": "x"}, "added": null, "fields": {"a": null}, '
          '"Own \"one": "[2026-02-03,2026-04-05)"}', 'section 3: added: columns of any name and type');
SELECT is(t.try('ALTER TABLE crm_deals.deal DROP COLUMN d, DROP COLUMN pair, ALTER COLUMN list TYPE text'), 'done',
          'section 3: the view depends on no column of the user''s');
SELECT is((SELECT added::text FROM crm_deals.deal_overview WHERE id = 101),
          '{"list": "{1,2}", "added": null, "fields": {"a": null}, "Own \"one": "[2026-02-03,2026-04-05)"}',
          'section 3: added: what is left');
SELECT is((SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = 'crm_deals.deal_overview'::regclass
           ORDER BY a.attnum DESC LIMIT 1), 'added', 'section 3: it is the last column');
SELECT is(t.get('SELECT added ->> ''list'' FROM crm_deals.deal_overview WHERE id = 101', 'regress_crm_reader'), '{1,2}',
          'section 3: level read sees it');

-- Plans: a page of one's open tasks, and the next activity, are read from an index; what is not selected costs nothing.
SET session_replication_role = replica;
INSERT INTO crm_deals.activity (kind, subject, due_at, done_at, assignee, deal_id)
SELECT (ARRAY['task', 'note', 'call'])[1 + n % 3], 'a' || n, now() + (n * 7919 % 2000 - 1000) * interval '1 hour',
       CASE WHEN n % 4 > 0 THEN now() END, 'u' || n % 11, 101 + n % 7
FROM generate_series(1, 30000) AS n;
RESET session_replication_role;
ANALYZE crm_deals.activity, crm_deals.deal;
CREATE FUNCTION t.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    lines text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
        lines := lines || line || E'\n';
    END LOOP;
    RETURN lines;
END
$$;
SELECT matches(p.plan, 'Index Scan using activity_open_of_assignee on crm_deals.activity t \(actual rows=20(\.00)? loops=1\)',
               'section 3: a page of one''s open tasks reads a page of the index: ' || v.order)
FROM (VALUES ('due_at'), ('due_at, id')) AS v ("order"),
     LATERAL t.plan(format('SELECT * FROM crm_deals.open_task WHERE assignee = ''u3'' ORDER BY %s LIMIT 20', v.order))
         AS p (plan);
SELECT is(t.plan('SELECT * FROM crm_deals.open_task WHERE assignee = ''u3'' ORDER BY due_at, id LIMIT 20') ~ 'Sort', false,
          'section 3: ... and sorts nothing');
SELECT matches(t.plan('SELECT next_activity FROM crm_deals.deal_overview WHERE id = 101'),
               'Index Scan using activity_open_of_deal on crm_deals.activity t \(actual rows=1(\.00)? loops=1\)',
               'section 3: the next activity is an index read of a row');
SELECT is(t.plan('SELECT id, name, owner_label FROM crm_deals.deal_overview') ~ 'activity|to_jsonb', false,
          'section 3: deal_overview: what is not selected is not looked up');
SELECT is((SELECT next_activity_id FROM crm_deals.deal_overview WHERE id = 107),
          (SELECT id FROM crm_deals.activity WHERE deal_id = 107 AND done_at IS NULL AND kind <> 'note'
           ORDER BY due_at, id LIMIT 1), 'section 3: the next of very many');
DELETE FROM crm_deals.activity;
SELECT t.drop_roles('regress_crm_reader', 'regress_crm_ann') AS none \gset
SELECT * FROM finish();
