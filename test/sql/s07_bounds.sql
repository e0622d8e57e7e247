\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: both ends of every range are inclusive, to the cent, the day and the microsecond; a limit is met exactly.
SET crm_deals.notify = off;
SET timezone = 'Europe/Vienna';
SET datestyle = 'ISO';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';

-- ----------
-- Filters: the names that board() and board_cards() show, and the number that each report counts
-- ----------

-- By the index on the board and by a pass over the deals: with and without a grouping.
CREATE FUNCTION t.shown(filter text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    by_stage text := (SELECT string_agg(c ->> 'name', ' ' ORDER BY c ->> 'name')
                      FROM crm_deals.board(card_limit => 100, filter => shown.filter::jsonb) AS b,
                           jsonb_array_elements(b.cards) AS c);
    by_owner text := (SELECT string_agg(c ->> 'name', ' ' ORDER BY c ->> 'name')
                      FROM crm_deals.board(group_by => 'owner', card_limit => 100, filter => shown.filter::jsonb) AS b,
                           jsonb_array_elements(b.cards) AS c);
    paged text := (SELECT string_agg(c.card ->> 'name', ' ' ORDER BY c.card ->> 'name')
                   FROM crm_deals.stage AS s,
                        crm_deals.board_cards('Sales', s.key, card_limit => 100, filter => shown.filter::jsonb) AS c);
    number bigint := (SELECT sum(p.deal_count) FROM crm_deals.pipeline_summary(filter => shown.filter::jsonb) AS p);
BEGIN
    IF (by_owner, paged) IS DISTINCT FROM (by_stage, by_stage)
       OR number <> coalesce(cardinality(string_to_array(by_stage, ' ')), 0) THEN
        RETURN format('by stage: %s; by owner: %s; paged: %s; counted: %s', by_stage, by_owner, paged, number);
    END IF;
    RETURN coalesce(by_stage, 'none');
END
$$;
INSERT INTO crm_deals.deal (name, amount, owner)
VALUES ('none', NULL, 'ann'), ('nought', 0, 'bob'), ('below', 999.99, NULL), ('at', 1000, 'ann'),
       ('at00', 1000.00, 'bob'), ('above', 1000.01, 'ann');
SELECT is(t.shown(v.filter), v.wanted, 'section 7: filter ' || v.filter)
FROM (VALUES ('{"amount": {"max": 1000}}', 'at at00 below nought'), ('{"amount": {"min": 1000}}', 'above at at00'),
             ('{"amount": {"min": 1000, "max": 1000}}', 'at at00'),
             ('{"amount": {"min": 1000.00, "max": 1000.0}}', 'at at00'),
             ('{"amount": {"max": 999.99}}', 'below nought'), ('{"amount": {"max": 999.989}}', 'nought'),
             ('{"amount": {"min": 1000.01}}', 'above'), ('{"amount": {"min": 1000.011}}', 'none'),
             ('{"amount": {"max": 0}}', 'nought'), ('{"amount": {"min": 0}}', 'above at at00 below nought'),
             ('{"amount": {"max": -0.01}}', 'none'), ('{"amount": {"min": 1000.01, "max": 999.99}}', 'none'))
     AS v (filter, wanted);

DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (name, expected_close_date)
VALUES ('none', NULL), ('a', '2026-03-31'), ('b', '2026-04-01'), ('c', '2026-04-30'), ('d', '2026-05-01');
SELECT is(t.shown(v.filter), v.wanted, 'section 7: filter ' || v.filter)
FROM (VALUES ('{"expected_close_date": {"from": "2026-04-01", "to": "2026-04-30"}}', 'b c'),
             ('{"expected_close_date": {"from": "2026-04-30", "to": "2026-04-30"}}', 'c'),
             ('{"expected_close_date": {"from": "2026-04-30"}}', 'c d'),
             ('{"expected_close_date": {"from": "2026-05-01"}}', 'd'),
             ('{"expected_close_date": {"from": "2026-05-02"}}', 'none'),
             ('{"expected_close_date": {"to": "2026-04-01"}}', 'a b'),
             ('{"expected_close_date": {"to": "2026-03-31"}}', 'a'),
             ('{"expected_close_date": {"to": "2026-03-30"}}', 'none'))
     AS v (filter, wanted);

-- Moments: the first and the last microsecond of a day of 23 hours, and their neighbours
DELETE FROM crm_deals.deal;
CREATE TABLE t.moment (name text, at timestamptz);
INSERT INTO t.moment VALUES ('a', '2026-03-28 23:59:59.999999'), ('b', '2026-03-29 00:00'),
                            ('c', '2026-03-29 23:59:59.999999'), ('d', '2026-03-30 00:00');
INSERT INTO crm_deals.deal (name, created_at) SELECT name, at FROM t.moment;
CREATE TABLE t.range (range text, wanted text);
INSERT INTO t.range VALUES ('{"from": "2026-03-29", "to": "2026-03-29"}', 'b c'), ('{"from": "2026-03-29"}', 'b c d'),
    ('{"to": "2026-03-29"}', 'a b c'), ('{"from": "2026-03-30"}', 'd'), ('{"to": "2026-03-28"}', 'a'),
    ('{"from": "2026-03-28", "to": "2026-03-30"}', 'a b c d'), ('{"from": "2026-03-30", "to": "2026-03-29"}', 'none');
SELECT is(t.shown(format('{"created_at": %s}', range)), wanted, 'section 7: filter created_at ' || range) FROM t.range;
DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (name, created_at, stage_id, closed_at)
SELECT name, '2026-01-01', t.stage('won'), at FROM t.moment;
SELECT is(t.shown(format('{"closed_at": %s}', range)), wanted, 'section 7: filter closed_at ' || range) FROM t.range;

-- ----------
-- Date ranges of reports: deals that are worth 1, 10, 100 and 1,000, so that a sum says which they are
-- ----------

CREATE TABLE t.days (from_date date, to_date date, wanted text);
INSERT INTO t.days VALUES ('2026-03-29', '2026-03-29', 'b c'), ('2026-03-29', NULL, 'b c d'),
                          (NULL, '2026-03-29', 'a b c'),
    ('2026-03-30', NULL, 'd'), (NULL, '2026-03-28', 'a'), ('2026-03-28', '2026-03-30', 'a b c d'),
    ('2026-03-28', '2026-03-28', 'a'), ('2026-03-30', '2026-03-30', 'd'), ('2026-03-31', '2026-04-30', 'none');
CREATE FUNCTION t.worth(name text) RETURNS numeric LANGUAGE sql AS $$ SELECT 10 ^ (ascii(name) - ascii('a')) $$;
-- 1011 is 'a b d'.
CREATE FUNCTION t.names(worth numeric) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(n.name, ' ' ORDER BY n.name), 'none')
    FROM unnest(ARRAY['a', 'b', 'c', 'd']) AS n (name) WHERE div(worth, t.worth(n.name)) % 10 = 1
$$;
CREATE FUNCTION t.reported(query text, d t.days) RETURNS text LANGUAGE sql AS $$
    SELECT t.names(t.get(format(query, format('from_date => %L, to_date => %L', d.from_date, d.to_date)))::numeric)
$$;
UPDATE crm_deals.deal SET amount = t.worth(name);
SELECT is(t.reported(v.query, d), d.wanted, format('section 7: %s from %s to %s', v.report, d.from_date, d.to_date))
FROM t.days AS d,
     (VALUES ('forecast, what was won', 'SELECT sum(won_amount) FROM crm_deals.forecast(%s)'),
             ('forecast in another currency, what was won',
              'SELECT sum(won_amount) FROM crm_deals.forecast(convert_to => ''EUR'', %s)'),
             ('forecast as of now, what was won', 'SELECT sum(won_amount) FROM crm_deals.forecast(as_of => now(), %s)'),
             ('sales_velocity',
              'SELECT sum(won_count * mean_won_amount) FROM crm_deals.sales_velocity(period => NULL, %s)'),
             ('sales_velocity by day',
              'SELECT sum(won_count * mean_won_amount) FROM crm_deals.sales_velocity(period => ''day'', %s)'))
     AS v (report, query);
SELECT is((SELECT w.won_count
           FROM crm_deals.win_rate(period => NULL, from_date => d.from_date, to_date => d.to_date) AS w),
          CASE d.wanted WHEN 'none' THEN 0 ELSE cardinality(string_to_array(d.wanted, ' ')) END::bigint,
          format('section 7: win_rate from %s to %s', d.from_date, d.to_date))
FROM t.days AS d;
DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (name, amount, created_at, stage_id, closed_at, lost_reason)
SELECT name, t.worth(name), '2026-01-01', t.stage('lost'), at, 'price' FROM t.moment;
SELECT is(t.reported('SELECT sum(amount) FROM crm_deals.lost_reasons(%s)', d), d.wanted,
          format('section 7: lost_reasons from %s to %s', d.from_date, d.to_date))
FROM t.days AS d;

-- Open deals: the forecast by the day they are expected, the summary by that of their creation
DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (name, amount, created_at, expected_close_date)
SELECT name, t.worth(name), at, at::date FROM t.moment;
INSERT INTO crm_deals.deal (name, amount) VALUES ('undated', 50000);
SELECT is(t.reported(v.query, d), d.wanted, format('section 7: %s from %s to %s', v.report, d.from_date, d.to_date))
FROM t.days AS d,
     (VALUES ('forecast', 'SELECT sum(amount) FROM crm_deals.forecast(%s)'),
             ('forecast of a pipeline by owner',
              'SELECT sum(amount) FROM crm_deals.forecast(''Sales'', group_by => ''owner'', %s)'),
             ('forecast in another currency', 'SELECT sum(amount) FROM crm_deals.forecast(convert_to => ''EUR'', %s)'),
             ('forecast as of now', 'SELECT sum(amount) FROM crm_deals.forecast(as_of => now(), %s)'))
     AS v (report, query);
SELECT is((SELECT sum(amount) FROM crm_deals.forecast()), 51111::numeric,
          'section 7: forecast of no range: also those without a date');
DELETE FROM crm_deals.deal WHERE name = 'undated';
SELECT is(t.reported('SELECT sum(amount) FROM crm_deals.pipeline_summary(%s)', d), d.wanted,
          format('section 7: pipeline_summary from %s to %s', d.from_date, d.to_date))
FROM t.days AS d;
-- Open at the end of a range is what was created until then, that day included.
SELECT is((SELECT coalesce(max(v.open_count), 0)
           FROM crm_deals.sales_velocity(period => NULL, from_date => d.day, to_date => d.day) AS v),
          d.wanted, 'section 7: sales_velocity: open on ' || d.day)
FROM (VALUES (date '2026-03-27', 0::bigint), ('2026-03-28', 1), ('2026-03-29', 3), ('2026-03-30', 4), ('2026-03-31', 4))
     AS d (day, wanted);
-- and not closed until then, that day included
UPDATE crm_deals.deal SET stage_id = t.stage('won'), closed_at = '2026-04-02 00:00' WHERE name = 'b';
UPDATE crm_deals.deal SET stage_id = t.stage('won'), closed_at = '2026-04-02 23:59:59.999999' WHERE name = 'c';
SELECT is((SELECT max(v.open_count) || ' ' || max(v.won_count)
           FROM crm_deals.sales_velocity(period => NULL, from_date => d.day, to_date => d.day) AS v),
          d.wanted, 'section 7: sales_velocity: open and won on ' || d.day)
FROM (VALUES (date '2026-04-01', '4 0'), ('2026-04-02', '2 2'), ('2026-04-03', '2 0')) AS d (day, wanted);
-- A deal that is closed on the day it was created is never open at the end of one; nor is one closed before that.
INSERT INTO crm_deals.deal (name, created_at, stage_id, closed_at)
VALUES ('same day', '2026-04-05 08:00', t.stage('won'), '2026-04-05 09:00'),
       ('backwards', '2026-04-06', t.stage('won'), '2026-04-04');
SELECT is((SELECT max(v.open_count) || ' ' || max(v.won_count)
           FROM crm_deals.sales_velocity(period => NULL, from_date => d.day, to_date => d.day) AS v),
          d.wanted, 'section 7: sales_velocity: open and won on ' || d.day || ', some on the day they were created')
FROM (VALUES (date '2026-04-03', '2 0'), ('2026-04-04', '2 1'), ('2026-04-05', '2 1'), ('2026-04-06', '2 0'))
     AS d (day, wanted);

-- Stays: by the moment the deal entered the stage, as a history has it
DELETE FROM crm_deals.deal;
CREATE TABLE t.source AS
    SELECT name AS external_id, name, 'proposal' AS stage, at - interval '10 days' AS created_at FROM t.moment;
CREATE TABLE t.history AS
    SELECT name AS external_id, s.stage, s.entered_at
    FROM t.moment, LATERAL (VALUES ('lead', at - interval '10 days'), ('qualified', at), ('proposal', '2026-05-01'))
                   AS s (stage, entered_at);
SELECT is((SELECT string_agg(DISTINCT outcome || coalesce(detail, ''), ' ')
           FROM crm_deals.import_deals('t.source', 't.history')), 'created', '(imported)');
SELECT is((SELECT sum(s.entered_count)
           FROM crm_deals.stage_conversion(period => p.period, from_date => d.from_date, to_date => d.to_date) AS s
           WHERE s.stage_key = 'qualified'),
          CASE d.wanted WHEN 'none' THEN 0 ELSE cardinality(string_to_array(d.wanted, ' ')) END::numeric,
          format('section 7: stage_conversion by %s from %s to %s', p.period, d.from_date, d.to_date))
FROM t.days AS d, (VALUES (NULL), ('day'), ('month')) AS p (period);

-- Periods: each that the range touches is a row, the first and the last included, and no other
SELECT is((SELECT string_agg(DISTINCT w.period_start::text, ' ')
           FROM crm_deals.win_rate(period => v.period, from_date => v.f, to_date => v.t) AS w),
          v.wanted, format('section 7: the periods: %s from %s to %s', v.period, v.f, v.t))
FROM (VALUES ('month', date '2026-01-31', date '2026-02-01', '2026-01-01 2026-02-01'),
             ('month', '2026-01-01', '2026-01-31', '2026-01-01'),
             ('month', '2026-01-31', '2026-01-31', '2026-01-01'),
             ('day', '2026-02-28', '2026-03-01', '2026-02-28 2026-03-01'),
             ('week', '2026-03-01', '2026-03-02', '2026-02-23 2026-03-02'),
             ('week', '2026-03-02', '2026-03-08', '2026-03-02'),
             ('quarter', '2026-03-31', '2026-04-01', '2026-01-01 2026-04-01'),
             ('quarter', '2026-04-01', '2026-06-30', '2026-04-01'),
             ('year', '2025-12-31', '2026-01-01', '2025-01-01 2026-01-01'))
     AS v (period, f, t, wanted);

-- ----------
-- Limits of the board, and its pages
-- ----------

DELETE FROM crm_deals.deal;
-- Three of them entered the stage at one moment: the id decides.
INSERT INTO crm_deals.deal (id, name, stage_entered_at, owner)
SELECT 1000 + n, 'p' || n,
       CASE WHEN n BETWEEN 2 AND 4 THEN '2026-01-02' ELSE '2026-01-01'::timestamptz + n * interval '1 hour' END, 'ann'
FROM generate_series(1, 5) AS n;
CREATE FUNCTION t.pages(size integer, by text, filter jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    after jsonb;
    page record;
    pages text[] := '{}';
BEGIN
    LOOP
        SELECT string_agg(c.card ->> 'name', ' ' ORDER BY c.number) AS names, count(*) AS cards,
               (array_agg(c.page_key ORDER BY c.number DESC))[1] AS key
        INTO page
        FROM crm_deals.board_cards('Sales', CASE by WHEN 'stage' THEN 'lead' ELSE 'ann' END, by, after, size, filter)
             WITH ORDINALITY AS c (card, page_key, number);
        pages := pages || coalesce(page.names, 'end');
        EXIT WHEN page.cards = 0 OR cardinality(pages) > 9;
        after := page.key;
    END LOOP;
    RETURN array_to_string(pages, ', ');
END
$$;
SELECT is(t.pages(v.size, b.by, b.filter), v.wanted,
          format('section 7: pages of %s by %s%s', v.size, b.by, ' with filter ' || b.filter::text))
FROM (VALUES (1, 'p4, p3, p2, p5, p1, end'), (2, 'p4 p3, p2 p5, p1, end'), (3, 'p4 p3 p2, p5 p1, end'),
             (4, 'p4 p3 p2 p5, p1, end'), (5, 'p4 p3 p2 p5 p1, end'), (6, 'p4 p3 p2 p5 p1, end'),
             (0, 'end')) AS v (size, wanted),
     (VALUES ('stage', NULL::jsonb), ('stage', '{"text": "p"}'), ('owner', NULL)) AS b (by, filter);
SELECT is((SELECT string_agg(c ->> 'name', ' ' ORDER BY c.number) || ' of ' || max(b.deal_count)
           FROM crm_deals.board(group_by => b.by, card_limit => v.size, filter => b.filter) AS b,
                jsonb_array_elements(b.cards) WITH ORDINALITY AS c (c, number)),
          v.wanted, format('section 7: board by %s with %s cards%s', b.by, v.size, ' with filter ' || b.filter::text))
FROM (VALUES (1, 'p4 of 5'), (4, 'p4 p3 p2 p5 of 5'), (5, 'p4 p3 p2 p5 p1 of 5'), (6, 'p4 p3 p2 p5 p1 of 5'), (0, NULL))
     AS v (size, wanted),
     (VALUES ('stage', NULL::jsonb), ('stage', '{"text": "p"}'), ('owner', NULL)) AS b (by, filter);

-- stale_deals: longer in the stage than its rots_after, and not as long; now() is that of the transaction.
UPDATE crm_deals.stage SET rots_after = '3 days' WHERE key = 'lead';
SELECT is(t.after(format('INSERT INTO crm_deals.deal (name, stage_entered_at)
                          VALUES (''s'', now() - interval ''3 days'' - interval %L)', v.more),
                  'SELECT count(*) FROM crm_deals.stale_deals WHERE name = ''s'''), v.wanted,
          format('section 7: stale_deals: three days and %s', v.more))
FROM (VALUES ('-1 microseconds', '0'), ('0', '0'), ('1 microsecond', '1')) AS v (more, wanted);

SELECT * FROM finish();
