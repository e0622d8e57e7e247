\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: a forecast as of a moment takes the deals of then and the rates of that day; every other argument works
-- beside the moment.
SET crm_deals.notify = off;
SET timezone = 'Europe/Vienna';
SET datestyle = 'ISO';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT crm_deals.create_pipeline('Other') AS other \gset

-- Deals with a history: x is raised from 100 to 200 on 10 March, y is won on that day, z was always there, w is another
-- pipeline's.
CREATE TABLE t.source (external_id text, name text, pipeline text, stage text, amount numeric, currency text,
                       owner text, expected_close_date date, created_at timestamptz);
CREATE TABLE t.history (external_id text, stage text, entered_at timestamptz, amount numeric);
INSERT INTO t.source VALUES
    ('x', 'x', 'Sales', 'qualified', 200, 'USD', 'ann', '2026-05-05', '2026-03-01 12:00'),
    ('y', 'y', 'Sales', 'won', 1000, 'USD', 'bob', '2026-05-06', '2026-03-01 12:00'),
    ('z', 'z', 'Sales', 'lead', 10000, 'EUR', 'ann', '2026-06-06', '2026-03-01 12:00'),
    ('w', 'w', 'Other', 'lead', 100000, 'USD', 'ann', '2026-05-05', '2026-03-01 12:00');
INSERT INTO t.history VALUES
    ('x', 'lead', '2026-03-01 12:00', 100), ('x', 'qualified', '2026-03-10 12:00', 200),
    ('y', 'lead', '2026-03-01 12:00', 1000), ('y', 'won', '2026-03-10 12:00', 1000),
    ('z', 'lead', '2026-03-01 12:00', 10000), ('w', 'lead', '2026-03-01 12:00', 100000);
SELECT is((SELECT string_agg(outcome || coalesce(detail, ''), ' ')
           FROM crm_deals.import_deals('t.source', 't.history')), 'created created created created', '(imported)');
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('USD', 'EUR', 2, '2026-02-01'), ('USD', 'EUR', 3, '2026-03-09'), ('USD', 'EUR', 4, '2026-03-11'),
       ('USD', 'EUR', 7, '2026-07-01');
CREATE FUNCTION t.forecast(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get(format(
        'SELECT string_agg(concat_ws('' '', f.month, f.group_key, f.currency || '':'', f.deal_count, f.amount,
                                     f.weighted_amount::float8, ''won'', f.won_count, f.won_amount), '', ''
                           ORDER BY f.month, f.group_key, f.currency)
         FROM crm_deals.forecast(%s) AS f', arguments))
$$;

-- Where each rate begins and ends: days of the session's time zone
SELECT is(t.forecast(format('%L, ''EUR'', as_of => %L, filter => %L', 'Sales', v.as_of, '{"text": "x"}')), v.wanted,
          format('section 7: converted as of %s: %s', v.as_of, v.what))
FROM (VALUES ('2026-03-01 11:59:59.999999', NULL, 'before the deal was there'),
             ('2026-03-01 12:00', '2026-05-01 EUR: 1 200 20 won 0 0', 'the rate of February'),
             ('2026-03-08 23:59:59.999999', '2026-05-01 EUR: 1 200 20 won 0 0', 'the last moment of that rate'),
             ('2026-03-09 00:00', '2026-05-01 EUR: 1 300 30 won 0 0', 'the first moment of the next one'),
             ('2026-03-10 11:59:59.999999', '2026-05-01 EUR: 1 300 30 won 0 0', 'the last moment of the old amount'),
             ('2026-03-10 12:00', '2026-05-01 EUR: 1 600 150 won 0 0', 'the moment of the change itself'),
             ('2026-03-10 23:59:59.999999', '2026-05-01 EUR: 1 600 150 won 0 0', 'the last moment of that day'),
             ('2026-03-11 00:00', '2026-05-01 EUR: 1 800 200 won 0 0', 'and the rate after that'),
             ('2026-07-01 00:00', '2026-05-01 EUR: 1 1400 350 won 0 0', 'months later')) AS v (as_of, wanted, what);
SELECT is((SELECT f.amount FROM crm_deals.forecast('Sales', 'EUR', filter => '{"text": "x"}') AS f),
          1400::numeric, 'section 7: converted now: the rate of today');
-- 9 March in Vienna is still 8 March in New York.
SET timezone = 'America/New_York';
SELECT is((SELECT f.amount
           FROM crm_deals.forecast('Sales', 'EUR', as_of => v.as_of::timestamptz, filter => '{"text": "x"}') AS f),
          v.wanted::numeric, 'section 7: converted as of ' || v.as_of || ', seen from New York')
FROM (VALUES ('2026-03-09 00:00 Europe/Vienna', 200), ('2026-03-08 23:59:59.999999 America/New_York', 200),
             ('2026-03-09 00:00 America/New_York', 300)) AS v (as_of, wanted);
SET timezone = 'Europe/Vienna';

-- Each argument beside the moment
SELECT is(t.forecast(v.arguments), v.wanted, 'section 7: forecast(' || v.arguments || ')')
FROM (VALUES ('as_of => ''2026-03-09''',
              '2026-05-01 USD: 3 101100 10110 won 0 0, 2026-06-01 EUR: 1 10000 1000 won 0 0'),
             ('''Sales'', as_of => ''2026-03-09''',
              '2026-05-01 USD: 2 1100 110 won 0 0, 2026-06-01 EUR: 1 10000 1000 won 0 0'),
             ('''Sales'', ''EUR'', as_of => ''2026-03-09''',
              '2026-05-01 EUR: 2 3300 330 won 0 0, 2026-06-01 EUR: 1 10000 1000 won 0 0'),
             ('''Sales'', ''USD'', as_of => ''2026-02-28''', NULL),
             ('''Sales'', ''EUR'', ''2026-05-05'', ''2026-05-05'', as_of => ''2026-03-09''',
              '2026-05-01 EUR: 1 300 30 won 0 0'),
             ('''Sales'', ''EUR'', group_by => ''owner'', as_of => ''2026-03-09''',
              '2026-05-01 ann EUR: 1 300 30 won 0 0, 2026-05-01 bob EUR: 1 3000 300 won 0 0, '
              '2026-06-01 ann EUR: 1 10000 1000 won 0 0'),
             ('''Sales'', ''EUR'', filter => ''{"owner": "bob"}'', as_of => ''2026-03-09''',
              '2026-05-01 EUR: 1 3000 300 won 0 0'),
             ('''Sales'', ''EUR'', filter => ''{"amount": {"max": 100}}'', as_of => ''2026-03-10 11:59''',
              '2026-05-01 EUR: 1 300 30 won 0 0'),
             ('''Sales'', ''EUR'', filter => ''{"amount": {"max": 100}}'', as_of => ''2026-03-10 12:00''', NULL),
             -- a closed deal is in the month it was won in
             ('''Sales'', filter => ''{"owner": "bob"}'', as_of => ''2026-03-10 12:00''',
              '2026-03-01 USD: 0 0 0 won 1 1000'),
             ('''Sales'', filter => ''{"status": "open"}'', group_by => ''stage'', as_of => ''2026-03-10 12:00''',
              '2026-05-01 qualified USD: 1 200 50 won 0 0, 2026-06-01 lead EUR: 1 10000 1000 won 0 0'))
     AS v (arguments, wanted);
-- A rate that begins later than the moment is none then.
DELETE FROM crm_deals.exchange_rate WHERE valid_from < '2026-03-11';
SELECT is(t.try(format('SELECT crm_deals.forecast(NULL, ''EUR'', as_of => %L, filter => ''{"text": "z"}'')', v.as_of)),
          'done',
          'section 7: what is in that currency needs no rate, as of ' || v.as_of)
FROM (VALUES ('2026-03-10 23:59:59.999999'), ('2026-03-11 00:00')) AS v (as_of);
SELECT is(t.forecast('''Sales'', ''EUR'', as_of => ''2026-03-10 23:59:59.999999'', filter => ''{"text": "x"}'''),
          '2026-05-01 USD: 1 200 50 won 0 0', 'section 7: a rate that begins after the moment does not count');
SELECT is(t.forecast('''Sales'', ''EUR'', as_of => ''2026-03-11'', filter => ''{"text": "x"}'''),
          '2026-05-01 EUR: 1 800 200 won 0 0', 'section 7: one that begins on its day does');

-- deals_as_of at the moment itself, and at the horizon of a pruned log
SELECT is((SELECT string_agg(d.name || ' ' || d.amount || ' ' || d.status || ' v' || d.version, ', ' ORDER BY d.name)
           FROM crm_deals.deals_as_of(v.at::timestamptz) AS d WHERE d.name IN ('x', 'y')),
          v.wanted, 'section 7: deals_as_of ' || v.at)
FROM (VALUES ('2026-03-01 11:59:59.999999', NULL), ('2026-03-01 12:00', 'x 100 open v1, y 1000 open v1'),
             ('2026-03-10 11:59:59.999999', 'x 100 open v1, y 1000 open v1'),
             ('2026-03-10 12:00', 'x 200 open v2, y 1000 won v2')) AS v (at, wanted);
SELECT is(crm_deals.prune_events('2026-03-10 12:00'), 2::bigint, '(pruned what was before 10 March, 12:00)');
SELECT is(t.try(format('SELECT * FROM crm_deals.%s', replace(c.call, '%', quote_literal(v.at)))), v.wanted,
          format('section 7: %s after pruning, as of %s', split_part(c.call, '(', 1), v.at))
FROM (VALUES ('2026-03-10 11:59:59.999999', '22023'), ('2026-03-10 12:00', 'done'),
             ('2026-03-10 12:00:00.000001', 'done'))
     AS v (at, wanted),
     (VALUES ('deals_as_of(%)'), ('forecast(as_of => %)')) AS c (call);
SELECT is((SELECT string_agg(d.name || ' ' || d.amount || ' ' || d.status, ', ' ORDER BY d.name)
           FROM crm_deals.deals_as_of('2026-03-10 12:00') AS d WHERE d.name IN ('x', 'y')),
          'x 200 open, y 1000 won', 'section 7: deals_as_of at the horizon');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
