\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Section 7: the forecast, beside plain SQL over the same deals.

-- By plain SQL: the open part and the won part, each aggregated by itself.
CREATE FUNCTION t.forecast(condition text DEFAULT 'true', by text DEFAULT 'NULL::text', label text DEFAULT 'k',
                           from_date text DEFAULT '-infinity', to_date text DEFAULT 'infinity',
                           deals text DEFAULT 'crm_deals.deal')
RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT o.month, o.k, %3$s, o.currency, sum(o.n)::bigint, sum(o.a), sum(o.w), sum(o.wn)::bigint,
                          sum(o.wa)
                   FROM (
                   SELECT date_trunc(''month'', d.expected_close_date)::date AS month, (%2$s)::text AS k, d.currency,
                          count(*) AS n, sum(coalesce(d.amount, 0)) AS a,
                          sum(coalesce(d.amount * d.probability / 100, 0)) AS w, 0 AS wn, 0 AS wa
                   FROM %6$s AS d
                   WHERE d.status::text = ''open'' AND (d.expected_close_date BETWEEN %4$L AND %5$L
                                                      OR %4$L = ''-infinity'' AND %5$L = ''infinity'') AND %1$s
                   GROUP BY 1, 2, 3
                   UNION ALL
                   SELECT date_trunc(''month'', d.closed_at)::date, (%2$s)::text, d.currency, 0, 0, 0, count(*),
                          sum(coalesce(d.amount, 0))
                   FROM %6$s AS d
                   WHERE d.status::text = ''won''
                     AND (d.closed_at AT TIME ZONE current_setting(''timezone''))::date BETWEEN %4$L AND %5$L AND %1$s
                   GROUP BY 1, 2, 3) AS o
                   GROUP BY 1, 2, 3, 4',
            condition, by, label, from_date, to_date, deals)
$$;
SELECT is(t.same('SELECT * FROM crm_deals.forecast()', t.forecast()), 'same',
          'forecast: every pipeline, month and currency');
SELECT is((SELECT count(*) FROM crm_deals.forecast() WHERE month IS NULL AND won_count = 0), 3::bigint,
          'deals without a date are rows with month NULL');
SELECT is((SELECT sum(deal_count) || ' ' || sum(won_count) FROM crm_deals.forecast()),
          (SELECT count(*) FILTER (WHERE status = 'open') || ' ' || count(*) FILTER (WHERE status = 'won')
           FROM crm_deals.deal),
          'no open or won deal is missing');
SELECT is(t.same(format('SELECT * FROM crm_deals.forecast(%L)', v.pipeline), t.forecast('d.pipeline_id = ' || v.id)),
          'same', 'forecast of ' || v.pipeline)
FROM (VALUES ('Sales', :sales), ('Service', :service), (:'service', :service)) AS v (pipeline, id);
SELECT is(t.same(format('SELECT * FROM crm_deals.forecast(from_date => %L, to_date => %L)', v.f, v.t),
                 t.forecast(from_date => coalesce(v.f, '-infinity'), to_date => coalesce(v.t, 'infinity'))),
          'same', format('forecast from %s to %s: both days included', v.f, v.t))
FROM (VALUES ('2026-04-15', '2026-06-15'), ('2026-05-01', '2026-05-01'), ('2026-05-01', NULL),
             (NULL, '2026-05-01')) AS v (f, t);
SELECT is((SELECT count(*) FROM crm_deals.forecast(from_date => '1990-01-01', to_date => '1990-12-31')), 0::bigint,
          'a range without deals has no rows');
SELECT is((SELECT count(*) FROM crm_deals.forecast(from_date => '2026-04-01') WHERE month IS NULL), 0::bigint,
          'a range leaves out deals without a date');
SELECT is(t.same(format('SELECT * FROM crm_deals.forecast(group_by => %L)', v.by),
                 t.forecast(by => v.expression, label => v.label)),
          'same', 'forecast by ' || v.by)
FROM (VALUES ('owner', 'd.owner', 'k'),
             ('account', 'd.account_id', '(SELECT name FROM crm_deals.account WHERE id = k::bigint)'),
             ('contact', 'd.primary_contact_id',
              '(SELECT concat_ws('' '', first_name, last_name) FROM crm_deals.contact WHERE id = k::bigint)'),
             ('source', 'd.source', 'k'), ('custom_fields.region', 'd.custom_fields ->> ''region''', 'k'),
             ('custom_fields.seats', 'd.custom_fields ->> ''seats''', 'k'),
             ('stage', '(SELECT key FROM crm_deals.stage AS s WHERE s.id = d.stage_id)',
              '(SELECT name FROM crm_deals.stage AS s WHERE s.key = k)'),
             ('pipeline', 'd.pipeline_id', '(SELECT name FROM crm_deals.pipeline WHERE id = k::bigint)'),
             ('stage_id', 'd.stage_id', '(SELECT name FROM crm_deals.stage WHERE id = k::bigint)'),
             ('currency', 'd.currency', 'k')) AS v (by, expression, label);
SELECT is(t.same(format('SELECT * FROM crm_deals.forecast(''Sales'', from_date => ''2026-04-01'', filter => %L, '
                        'group_by => ''source'')',
                        v.filter),
                 t.forecast('d.pipeline_id = 1 AND ' || v.condition, 'd.source', from_date => '2026-04-01')),
          'same', 'forecast with a filter: ' || v.filter)
FROM (VALUES ('{"owner": "ann"}', 'd.owner = ''ann'''),
             ('{"owner": null, "custom_fields": {"region": ["north", "south"]}}',
              'd.owner IS NULL AND d.custom_fields ? ''region'''),
             ('{"amount": {"min": 2000}}', 'd.amount >= 2000'),
             ('{"status": "won"}', 'd.status = ''won''')) AS v (filter, condition);
-- Months are those of the session's time zone. A deal that was won at midnight in Vienna belongs to the month before in
-- New York.
SELECT t.new_deal('Midnight', 'lead') AS midnight \gset
UPDATE crm_deals.deal SET stage_id = t.stage('won'), closed_at = '2026-01-01 00:30 Europe/Vienna', amount = 77
WHERE id = :midnight;
SELECT is((SELECT to_char(month, 'YYYY-MM-DD') FROM crm_deals.forecast(filter => '{"text": "Midnight"}')), '2026-01-01',
          'won in January in Vienna');
SET timezone = 'America/New_York';
SELECT is((SELECT to_char(month, 'YYYY-MM-DD') FROM crm_deals.forecast(filter => '{"text": "Midnight"}')), '2025-12-01',
          'in December in New York');
SELECT is(t.same('SELECT * FROM crm_deals.forecast()', t.forecast()), 'same', 'forecast in another time zone');
SELECT is((SELECT count(*)
           FROM crm_deals.forecast(filter => '{"text": "Midnight"}', from_date => '2025-12-31',
                                   to_date => '2025-12-31')),
          1::bigint, 'a range in days of the session''s time zone');
SET timezone = 'Europe/Vienna';
DELETE FROM crm_deals.deal WHERE id = :midnight;
-- Sums are exact.
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, currency, amount, probability, expected_close_date)
                    VALUES ('Large', 'JPY', 123456789012345678.12, 33.3333, '2030-01-01'),
                           ('Small', 'JPY', 0.0001, 0.01, '2030-01-31')$$,
                  $$SELECT amount::text || ' ' || trim_scale(weighted_amount)::text FROM crm_deals.forecast()
                    WHERE currency = 'JPY'$$),
          '123456789012345678.1201 '
          || trim_scale(123456789012345678.12 * 0.333333 + 0.0001 * 0.0001)::text,
          'sums are exact');

-- Exchange rates: direct, else inverse, else through one common base; the rate of the day.
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('USD', 'EUR', 0.8, '2020-01-01'), ('USD', 'EUR', 0.9, '2026-01-01'), ('USD', 'EUR', 0.1, '2100-01-01'),
       ('EUR', 'CHF', 0.5, '2020-01-01');
-- What was won in 2025 has the rates of then.
CREATE FUNCTION t.converted(rates jsonb, rates_of_2025 jsonb, target text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT month, k, l, %2$L, sum(n)::bigint, round(sum(a * r), 8), round(sum(w * r), 8), '
                  'sum(wn)::bigint, round(sum(wa * CASE WHEN month < ''2026-01-01'' THEN o ELSE r END), 8) '
                  'FROM (SELECT *, (%1$L::jsonb ->> c)::numeric AS r, (%4$L::jsonb ->> c)::numeric AS o '
                  'FROM (%3$s) AS f (month, k, l, c, n, a, w, wn, wa)) AS x GROUP BY 1, 2, 3',
                  rates, target, t.forecast(), rates_of_2025)
$$;
CREATE FUNCTION t.rounded(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT month, group_key, group_label, currency, deal_count, round(amount, 8), '
                  'round(weighted_amount, 8), won_count, round(won_amount, 8) FROM crm_deals.forecast(%s)',
                  arguments)
$$;
SELECT is(t.same(t.rounded($$convert_to => 'EUR'$$),
                 t.converted('{"EUR": 1, "USD": 0.9, "CHF": 2}', '{"EUR": 1, "USD": 0.8, "CHF": 2}', 'EUR')),
          'same', 'convert_to: direct, and inverse');
SELECT is(t.same(t.rounded($$convert_to => 'USD'$$),
                 t.converted(jsonb_build_object('EUR', 1 / 0.9, 'USD', 1, 'CHF', 2 / 0.9),
                             '{"EUR": 1.25, "USD": 1, "CHF": 2.5}', 'USD')),
          'same', 'convert_to: CHF to USD through EUR');
SELECT is(t.same(t.rounded($$convert_to => 'CHF'$$),
                 t.converted('{"EUR": 0.5, "USD": 0.45, "CHF": 1}', '{"EUR": 0.5, "USD": 0.4, "CHF": 1}', 'CHF')),
          'same', 'convert_to: USD to CHF through EUR');
SELECT is(t.after($$INSERT INTO crm_deals.exchange_rate (currency, base, rate) VALUES ('EUR', 'USD', 4)$$,
                  'SELECT t.same(t.rounded(''convert_to => ''''EUR''''''), t.converted(''{"EUR": 1, "USD": 0.9, '
                  '"CHF": 2}'', ''{"EUR": 1, "USD": 0.8, "CHF": 2}'', ''EUR''))'),
          'same', 'the direct rate goes before the inverse');
SELECT is((SELECT sum(amount) FROM crm_deals.forecast(convert_to => 'EUR', filter => '{"text": "Deal 1 "}')),
          (SELECT amount * CASE currency WHEN 'EUR' THEN 1 WHEN 'USD' THEN 0.9 ELSE 2 END * (status = 'open')::integer
           FROM crm_deals.deal WHERE id = 1),
          'a converted amount');
-- What if: a forecast inside a transaction that is rolled back, so nothing is left of it.
CREATE TABLE t.before AS SELECT * FROM crm_deals.forecast();
SELECT count(*) AS events FROM crm_deals.deal_event \gset
BEGIN;
SET LOCAL crm_deals.notify = on;
LISTEN crm_deals_won;
SELECT id AS deal FROM crm_deals.deal WHERE status = 'open' AND amount > 0 ORDER BY id LIMIT 1 \gset
SELECT count(*) FROM crm_deals.move_deal(:deal, 'won', override => 'what if') \g /dev/null
SELECT is(t.same('SELECT * FROM crm_deals.forecast()', t.forecast()), 'same', 'what if: the forecast as it would be');
SELECT isnt(t.same('SELECT * FROM crm_deals.forecast()', 'SELECT * FROM t.before'), 'same',
            'what if: another than before');
ROLLBACK;
SELECT is(t.same('SELECT * FROM crm_deals.forecast()', 'SELECT * FROM t.before'), 'same',
          'what if: after ROLLBACK the forecast is what it was');
SELECT is((SELECT count(*) FROM crm_deals.deal_event), :events::bigint, 'what if: and no event is left');

-- As of a moment: the same forecast over the deals as they were then, whatever happened since.
SELECT clock_timestamp() AS then \gset
CREATE TABLE t.then AS SELECT * FROM crm_deals.deal;
UPDATE crm_deals.deal
SET amount = amount * 2, owner = t.draw(ARRAY['ann', 'zoe']), source = 'new',
    custom_fields = custom_fields || '{"region": "nowhere"}'
WHERE id % 3 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE pipeline_id = :sales AND status = 'open' AND id % 2 = 0;
UPDATE crm_deals.deal SET currency = 'JPY', expected_close_date = '2031-01-01', account_id = NULL WHERE id % 5 = 0;
DELETE FROM crm_deals.deal WHERE id % 13 = 0;
INSERT INTO crm_deals.deal (name, amount) SELECT 'Later ' || n, 1000 FROM generate_series(1, 20) AS n;
SELECT is(t.same(format('SELECT * FROM crm_deals.forecast(as_of => %L)', :'then'), t.forecast(deals => 't.then')),
          'same', 'forecast as of a moment');
SELECT is(t.same(format('SELECT * FROM crm_deals.forecast(as_of => %L, group_by => %L)', :'then', v.by),
                 t.forecast(deals => 't.then', by => v.expression, label => v.label)),
          'same', 'forecast as of a moment, by ' || v.by)
FROM (VALUES ('owner', 'd.owner', 'k'),
             ('account', 'd.account_id', '(SELECT name FROM crm_deals.account WHERE id = k::bigint)'),
             ('source', 'd.source', 'k'), ('custom_fields.region', 'd.custom_fields ->> ''region''', 'k'),
             ('stage_id', 'd.stage_id', '(SELECT name FROM crm_deals.stage WHERE id = k::bigint)'),
             ('name', 'd.name', 'k')) AS v (by, expression, label);
SELECT is(
    t.same(format('SELECT * FROM crm_deals.forecast(''Sales'', as_of => %L, from_date => ''2026-04-01'', filter => %L)',
                  :'then', v.filter),
           t.forecast('d.pipeline_id = 1 AND ' || v.condition, from_date => '2026-04-01', deals => 't.then')),
    'same', 'forecast as of a moment, filtered by what was: ' || v.filter)
FROM (VALUES ('{"owner": "ann", "source": ["web", null]}',
              'd.owner = ''ann'' AND coalesce(d.source, ''web'') = ''web'''),
             ('{"text": "note of"}', 'd.notes LIKE ''Note of%'''),
             ('{"custom_fields": {"region": "south", "seats": 1}}',
              'd.custom_fields @> ''{"region": "south", "seats": 1}'''),
             ('{"created_at": {"from": "2025-10-01"}, "contact_id": 2}',
              'd.created_at >= ''2025-10-01'' AND d.primary_contact_id = 2')) AS v (filter, condition);
SELECT is(t.try(v.call), v.state, 'error: ' || v.call)
FROM (VALUES ($$SELECT crm_deals.forecast('None')$$, 'P0002'),
             ($$SELECT crm_deals.forecast(group_by => 'colour')$$, '22023'),
             ($$SELECT crm_deals.forecast(filter => '{"colour": 1}')$$, '22023'),
             ($$SELECT crm_deals.forecast(convert_to => 'EURO')$$, '22023'),
             ($$SELECT crm_deals.forecast(convert_to => '')$$, '22023'),
             ($$SELECT crm_deals.forecast(from_date => '2026-01-02', to_date => '2026-01-01')$$, '22023'),
             ($$SELECT crm_deals.forecast(from_date => '2026-01-01', to_date => '2026-01-01')$$, 'done'),
             ($$SELECT crm_deals.forecast(to_date => '5874897-12-31')$$, '22023'),
             ($$SELECT crm_deals.forecast(from_date => '-infinity', to_date => 'infinity')$$, 'done')) AS v (call, state);
SELECT is((SELECT string_agg(format('%s %s', name, format_type(type, NULL)), ', ' ORDER BY position)
           FROM pg_proc,
                unnest(proargnames, proallargtypes, proargmodes) WITH ORDINALITY AS a (name, type, mode, position)
           WHERE proname = v.name AND pronamespace = 'crm_deals'::regnamespace AND mode = 't'),
          v.columns, 'section 12: the columns of ' || v.name)
FROM (VALUES ('board',
              'column_key text, label text, ordinal integer, deal_count bigint, amounts jsonb, weighted_amounts jsonb, '
              'cards jsonb, page_key jsonb'),
             ('board_cards', 'card jsonb, page_key jsonb'),
             ('forecast',
              'month date, group_key text, group_label text, currency text, deal_count bigint, amount numeric, '
              'weighted_amount numeric, won_count bigint, won_amount numeric'),
             ('deals_as_of',
              'id bigint, name text, account_id text, pipeline_id bigint, stage_id bigint, status text, '
              'amount numeric, currency text, probability numeric, expected_close_date date, '
              'closed_at timestamp with time zone, owner text, lost_reason text, custom_fields jsonb, '
              'version integer')) AS v (name, columns);

SELECT * FROM finish();
