\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: convert_to. What was won has the rate of the day it was closed, what is open that of today or of as_of.
SET crm_deals.notify = off;
SET timezone = 'Europe/Vienna';
SET datestyle = 'ISO';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
CREATE FUNCTION t.forecast(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get(format(
        'SELECT string_agg(concat_ws('' '', to_char(f.month, ''YYYY-MM''), f.group_key, f.currency || '':'',
                                     f.deal_count,
                                     round(f.amount, 4)::float8, round(f.weighted_amount, 4)::float8, ''won'',
                                     f.won_count, round(f.won_amount, 4)::float8), '', ''
                           ORDER BY f.month, f.group_key, f.currency)
         FROM crm_deals.forecast(%s) AS f', arguments))
$$;
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('USD', 'EUR', 0.95, '2025-01-01'), ('USD', 'EUR', 0.8, '2026-01-01'), ('USD', 'EUR', 0.7, CURRENT_DATE),
       ('USD', 'EUR', 0.1, CURRENT_DATE + 1), ('EUR', 'CHF', 0.5, '2025-01-01'), ('GBP', 'USD', 2, '2025-06-01'),
       ('EUR', 'USD', 4, '2024-12-31');

-- A deal that was won in 2025 is worth 950, whatever the dollar is worth today; one of 2026, 800.
INSERT INTO crm_deals.deal (name, amount, currency, created_at, stage_id, closed_at)
SELECT v.name, v.amount, v.currency, '2024-01-01', t.stage('won'), v.closed_at::timestamptz
FROM (VALUES ('eve', 1000, 'USD', '2025-12-31 23:59:59.999999'), ('new year', 1000, 'USD', '2026-01-01 00:00'),
             ('first', 10, 'USD', '2025-01-01 00:00'), ('day before', 10, 'USD', '2024-12-31 23:59:59.999999'),
             ('two days earlier', 10, 'USD', '2024-12-30'), ('franc', 10, 'CHF', '2025-01-01'),
             ('pound', 10, 'GBP', '2025-06-01'), ('sterling', 10, 'GBP', '2025-05-31 23:59'),
             ('yen', 10, 'JPY', '2025-07-01'), ('euro', 10, 'EUR', '2024-01-02'))
     AS v (name, amount, currency, closed_at);
SELECT is(t.forecast(format('convert_to => %L, filter => %L', v.convert_to, format('{"text": "%s"}', v.name))),
          v.wanted, format('section 7: %s in %s', v.name, v.convert_to))
FROM (VALUES ('eve', 'EUR', '2025-12 EUR: 0 0 0 won 1 950'), ('new year', 'EUR', '2026-01 EUR: 0 0 0 won 1 800'),
             ('first', 'EUR', '2025-01 EUR: 0 0 0 won 1 9.5'),
             -- The direct rate begins on 1 January; the inverse one day earlier; before that there is none.
             ('day before', 'EUR', '2024-12 EUR: 0 0 0 won 1 2.5'),
             ('two days earlier', 'EUR', '2024-12 USD: 0 0 0 won 1 10'),
             ('franc', 'EUR', '2025-01 EUR: 0 0 0 won 1 20'), ('franc', 'chf', '2025-01 CHF: 0 0 0 won 1 10'),
             -- through one common base: pounds by dollars, dollars by euros
             ('pound', 'EUR', '2025-06 EUR: 0 0 0 won 1 19'), ('sterling', 'EUR', '2025-05 GBP: 0 0 0 won 1 10'),
             ('eve', 'CHF', '2025-12 CHF: 0 0 0 won 1 475'), ('first', 'GBP', '2025-01 USD: 0 0 0 won 1 10'),
             ('franc', 'USD', '2025-01 USD: 0 0 0 won 1 80'),
             -- but not through two
             ('pound', 'CHF', '2025-06 GBP: 0 0 0 won 1 10'), ('yen', 'EUR', '2025-07 JPY: 0 0 0 won 1 10'),
             ('euro', 'EUR', '2024-01 EUR: 0 0 0 won 1 10')) AS v (name, convert_to, wanted);
-- The day is one of the session's time zone: in New York it is still 2025.
SET timezone = 'America/New_York';
SELECT is(t.forecast('convert_to => ''EUR'', filter => ''{"text": "new year"}'''), '2025-12 EUR: 0 0 0 won 1 950',
          'section 7: the day of closing is one of the session''s time zone');
SET timezone = 'Europe/Vienna';

-- Everything at once: what has no rate has rows of its own currency, and one WARNING names the currencies.
INSERT INTO crm_deals.deal (name, amount, currency, expected_close_date)
VALUES ('open dollar', 100, 'USD', '2026-02-01'), ('open euro', 1, 'EUR', '2026-02-02'),
       ('open franc', 10, 'CHF', '2026-02-03'), ('open yen', 7, 'JPY', '2026-02-04'),
       ('no amount', NULL, 'JPY', '2026-02-05'),
       ('no date', 50, 'USD', NULL);
SELECT is(t.forecast('convert_to => ''EUR'''),
          '2024-01 EUR: 0 0 0 won 1 10, 2024-12 EUR: 0 0 0 won 1 2.5, 2024-12 USD: 0 0 0 won 1 10, '
          '2025-01 EUR: 0 0 0 won 2 29.5, 2025-05 GBP: 0 0 0 won 1 10, 2025-06 EUR: 0 0 0 won 1 19, '
          '2025-07 JPY: 0 0 0 won 1 10, 2025-12 EUR: 0 0 0 won 1 950, 2026-01 EUR: 0 0 0 won 1 800, '
          '2026-02 EUR: 3 91 9.1 won 0 0, 2026-02 JPY: 2 7 0.7 won 0 0, EUR: 1 35 3.5 won 0 0',
          'section 7: nothing is mixed, nothing is left out');
SELECT is((SELECT concat_ws(' ', sum(deal_count), sum(won_count)) FROM crm_deals.forecast(convert_to => 'EUR')), '6 10',
          'section 7: every deal counts once');
SELECT is(t.forecast('convert_to => ''EUR'', group_by => ''currency'', filter => ''{"text": "open"}'''),
          '2026-02 CHF EUR: 1 20 2 won 0 0, 2026-02 EUR EUR: 1 1 0.1 won 0 0, 2026-02 JPY JPY: 1 7 0.7 won 0 0, '
          '2026-02 USD EUR: 1 70 7 won 0 0', 'section 7: converted, by group');
SELECT is(t.forecast('convert_to => ''XXX'', filter => ''{"text": "open"}'''),
          '2026-02 CHF: 1 10 1 won 0 0, 2026-02 EUR: 1 1 0.1 won 0 0, 2026-02 JPY: 1 7 0.7 won 0 0, '
          '2026-02 USD: 1 100 10 won 0 0', 'section 7: a currency without any rate');
SELECT is(t.forecast('convert_to => ''EUR'', filter => ''{"currency": ["EUR", "USD"], "text": "open"}'''),
          '2026-02 EUR: 2 71 7.1 won 0 0', 'section 7: no warning if nothing lacks a rate');

-- As of a moment: the rate of that day for what was open then, that of its day for what was won by then. Of several
-- common bases the first by name counts.
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('JPY', 'CHF', 3, '2025-01-01'), ('JPY', 'AUD', 5, '2026-01-01'), ('AUD', 'EUR', 10, '2025-01-01');
SELECT is((SELECT string_agg(concat_ws(' ', r.currency, r.day, trim_scale(r.times), trim_scale(r.per)), ', '
                             ORDER BY r.currency COLLATE "C", r.day)
           FROM crm_deals_internal.rates('{JPY,JPY,EUR,JPY,ZAR}',
                                         '{2025-12-31,2026-01-01,2025-01-01,2024-12-31,2025-01-01}',
                                         'EUR') AS r),
          'EUR 2025-01-01 1 1, JPY 2025-12-31 3 0.5, JPY 2026-01-01 50 1',
          'section 7: of several common bases the first by name that has both rates');
CREATE TABLE t.source (external_id text, name text, stage text, amount numeric, currency text, created_at timestamptz,
                       expected_close_date date);
CREATE TABLE t.history (external_id text, stage text, entered_at timestamptz);
INSERT INTO t.source VALUES ('p', 'past', 'won', 100, 'USD', '2025-03-01', '2025-09-09');
INSERT INTO t.history VALUES ('p', 'lead', '2025-03-01'), ('p', 'won', '2025-12-15 12:00');
SELECT is((SELECT string_agg(outcome || coalesce(detail, ''), ' ')
           FROM crm_deals.import_deals('t.source', 't.history')), 'created', '(imported)');
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('USD', 'EUR', 3, '2025-12-15'), ('USD', 'EUR', 2, '2025-12-16');
SELECT is(t.forecast(format('convert_to => ''EUR'', as_of => %L, filter => ''{"text": "past"}''', v.as_of)), v.wanted,
          'section 7: converted as of ' || v.as_of)
FROM (VALUES ('2025-03-01', '2025-09 EUR: 1 95 9.5 won 0 0'), ('2025-12-15 11:59', '2025-09 EUR: 1 300 30 won 0 0'),
             ('2025-12-15 12:00', '2025-12 EUR: 0 0 0 won 1 300'), ('2026-06-01', '2025-12 EUR: 0 0 0 won 1 300'))
     AS v (as_of, wanted);

-- The same sum, digit by digit, in whatever order the deals come: 33 and 33.0 are equal, but not alike.
DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (name, amount, probability, expected_close_date) VALUES ('a', 10, 33, '2026-03-01'),
                                                                                   ('b', 10, 33.0, '2026-03-01');
CREATE TABLE t.digits AS
SELECT (SELECT weighted_amount::text FROM crm_deals.forecast()) AS f,
       (SELECT weighted_amount::text FROM crm_deals.pipeline_summary() WHERE deal_count > 0) AS s;
DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (name, amount, probability, expected_close_date) VALUES ('b', 10, 33.0, '2026-03-01'),
                                                                                   ('a', 10, 33, '2026-03-01');
SELECT is((SELECT concat_ws(' ', d.f, (SELECT weighted_amount FROM crm_deals.forecast()), d.s,
                            (SELECT weighted_amount FROM crm_deals.pipeline_summary() WHERE deal_count > 0))
           FROM t.digits AS d), '6.600 6.600 6.600 6.600', 'section 7: sums do not depend on the order of the deals');

-- A deal that was closed before it was created took 0 days; its velocity is that of the others.
DELETE FROM crm_deals.deal;
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
INSERT INTO crm_deals.deal (name, amount, pipeline_id, stage_id, status, probability, currency, created_at, closed_at,
                            stage_entered_at, updated_at)
SELECT v.name, 100, 1, t.stage('won'), 'won', 100, 'EUR', '2026-01-11', v.closed_at::timestamptz, now(), now()
FROM (VALUES ('backwards', '2026-01-01'), ('ten days', '2026-01-21')) AS v (name, closed_at);
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
SELECT is((SELECT concat_ws(' ', won_count, win_rate, mean_days_to_win::float8)
           FROM crm_deals.sales_velocity(period => NULL)),
          '2 1.0000 5', 'section 7: closed before it was created counts 0 days');

SELECT * FROM finish();
