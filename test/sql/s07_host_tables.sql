\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 7 beside the host's own tables: keys of other types, labels from the mapped columns, else the key.
CREATE TABLE t.customer (number text PRIMARY KEY, company text);
CREATE TABLE t.person (id uuid PRIMARY KEY, given text);
CREATE TABLE t.employee (id integer PRIMARY KEY, full_name text);
SELECT crm_deals.install(
    't.customer', 't.person', 't.employee',
    '{"account": {"name": "company"}, "contact": {"first_name": "given"}, "owner": {"name": "full_name"}}') \gset none_
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO t.customer VALUES ('N-1', 'Nordvik'), ('N-2', NULL);
INSERT INTO t.person VALUES ('00000000-0000-0000-0000-000000000001', 'Ada');
INSERT INTO t.employee VALUES (7, 'Tom'), (10, 'Anna');
INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, owner, amount, expected_close_date) VALUES
    ('a', 'N-1', '00000000-0000-0000-0000-000000000001', 7, 100, '2027-01-05'),
    ('b', 'N-2', NULL, 10, 200, '2027-01-06'), ('c', NULL, NULL, NULL, 300, '2027-01-07');
CREATE FUNCTION t.columns(group_by text, filter text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(format('%s %s %s', coalesce(column_key, '-'), label, deal_count), ', ' ORDER BY ordinal)
            FROM crm_deals.board(group_by => group_by, filter => filter::jsonb) WHERE deal_count > 0);
END
$$;
SELECT is(t.columns(v.by, v.filter), v.columns, format('board by %s, %s', v.by, v.filter))
FROM (VALUES ('owner', NULL, '10 Anna 1, 7 Tom 1, - Unassigned 1'),
             ('account', NULL, 'N-2 N-2 1, N-1 Nordvik 1, - Unassigned 1'),
             ('contact', NULL, '00000000-0000-0000-0000-000000000001 Ada 1, - Unassigned 2'),
             ('owner', '{"owner": 7}', '7 Tom 1'), ('owner', '{"owner": ["10", null]}', '10 Anna 1, - Unassigned 1'),
             ('stage', '{"account_id": ["N-1", "N-2"]}', 'lead Lead 2'),
             ('stage', '{"contact_id": "00000000-0000-0000-0000-000000000001"}',
              'lead Lead 1')) AS v (by, filter, columns);
SELECT is((SELECT jsonb_agg(card -> 'owner' ORDER BY card ->> 'name')::text
                  || jsonb_agg(card -> 'account' ORDER BY card ->> 'name')::text
           FROM crm_deals.board_cards(NULL, 'lead')),
          '[{"id": 7, "label": "Tom"}, {"id": 10, "label": "Anna"}, null][{"id": "N-1", "label": "Nordvik"}, '
          '{"id": "N-2", "label": "N-2"}, null]',
          'cards: ids of the host''s type, labels of the host');
INSERT INTO crm_deals.activity (kind, subject, due_at, assignee, deal_id, account_id, contact_id)
SELECT 'task', 'call back', '2026-02-02', 7, id, 'N-1', '00000000-0000-0000-0000-000000000001'
FROM crm_deals.deal WHERE name = 'a';
SELECT is((SELECT card -> 'next_activity' -> 'assignee' FROM crm_deals.board_cards(NULL, 'lead') WHERE card ->> 'name' = 'a'),
          '{"id": 7, "label": "Tom"}', 'cards: the assignee of the next activity is the host''s');
SELECT is((SELECT concat_ws(' ', assignee + 0, assignee_label, account_label, contact_label) FROM crm_deals.open_task),
          '7 Tom Nordvik Ada', 'open_task: keys and labels of the host');
SELECT is(t.try($$INSERT INTO crm_deals.activity (kind, subject, assignee) VALUES ('task', 'x', 8)$$),
          '23503 activity activity_assignee_fkey', 'an assignee is in the host''s table');
SELECT is((SELECT string_agg(card ->> 'name', ' ') FROM crm_deals.board_cards(NULL, 'lead', sort => v.sort)), v.names,
          'board_cards sorted by ' || v.sort)
FROM (VALUES ('owner', 'b a c'), ('-owner', 'a b c'), ('account', 'b a c'), ('-account', 'a b c')) AS v (sort, names);
SELECT is((SELECT string_agg(card ->> 'name', ' ') FROM crm_deals.board_cards(NULL, v.key, v.by)), v.names,
          format('board_cards by %s: %s', v.by, v.key))
FROM (VALUES ('owner', '7', 'a'), ('owner', NULL, 'c'), ('account', 'N-2', 'b'),
             ('contact', '00000000-0000-0000-0000-000000000001', 'a')) AS v (by, key, names);
SELECT is((SELECT string_agg(format('%s %s %s', coalesce(group_key, '-'), group_label, amount), ', ')
           FROM crm_deals.forecast(group_by => v.by)),
          v.rows, 'forecast by ' || v.by)
FROM (VALUES ('owner', '10 Anna 200, 7 Tom 100, -  300'),
             ('account', 'N-2 N-2 200, N-1 Nordvik 100, -  300')) AS v (by, rows);
SELECT clock_timestamp() AS then \gset
UPDATE crm_deals.deal SET owner = 10, account_id = NULL;
UPDATE t.customer SET number = 'N-3' WHERE number = 'N-2';
DELETE FROM crm_deals.deal WHERE name = 'b';
SELECT is((SELECT string_agg(concat_ws(' ', name, account_id, owner), ', ' ORDER BY name)
           FROM crm_deals.deals_as_of(:'then')),
          'a N-1 7, b N-2 10, c', 'deals_as_of: keys as text');
SELECT is((SELECT string_agg(format('%s %s %s', coalesce(group_key, '-'), group_label, amount), ', ')
           FROM crm_deals.forecast(group_by => 'owner', as_of => :'then', filter => '{"owner": [7, 10]}')),
          '10 Anna 200, 7 Tom 100', 'forecast as of a moment, by the owner of then');
SELECT is((SELECT string_agg(format('%s %s %s', coalesce(group_key, '-'), group_label, amount), ', ')
           FROM crm_deals.forecast(group_by => 'account', as_of => :'then')),
          'N-2 N-2 200, N-1 Nordvik 100, -  300', 'a label that is gone is the key');
SELECT is((SELECT string_agg(format('%s %s %s %s %s', coalesce(r.group_key, '-'), r.group_label, r.change, r.deal_count,
                                    r.amount), ', ' ORDER BY r.ordinality)
           FROM crm_deals.pipeline_changes(:'then', clock_timestamp(), filter => v.filter, group_by => v.by)
                WITH ORDINALITY AS r), v.rows, 'pipeline_changes by ' || v.by)
FROM (VALUES ('owner', NULL, '10 Anna opening 1 200, 10 Anna entered 2 400, 10 Anna deleted -1 -200, '
              '10 Anna closing 2 400, 7 Tom opening 1 100, 7 Tom left -1 -100, -  opening 1 300, -  left -1 -300'),
             ('account', '{"account_id": ["N-1", "N-2"]}'::jsonb, 'N-2 N-2 opening 1 200, N-2 N-2 deleted -1 -200, '
              'N-1 Nordvik opening 1 100, N-1 Nordvik left -1 -100')) AS v (by, filter, rows);
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'a';
SELECT is((SELECT string_agg(format('%s %s %s', group_key, group_label, won_count), ', ')
           FROM crm_deals.win_rate('owner', NULL)),
          '10 Anna 1', 'win_rate by owner');
SELECT is((SELECT string_agg(format('%s %s %s', group_key, group_label, open_count), ', ')
           FROM crm_deals.sales_velocity('owner', NULL)),
          '10 Anna 1', 'sales_velocity by owner');

SELECT * FROM finish();
