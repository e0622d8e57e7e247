\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Sections 3 and 15: targets, and what was won of them.
SET datestyle = 'ISO';
SELECT crm_deals.create_pipeline('Ours', organization => 'acme') AS ours \gset

-- ----------
-- Targets
-- ----------
CREATE FUNCTION t.target(given text) RETURNS text LANGUAGE sql AS $$
    SELECT t.try(format('INSERT INTO crm_deals.target (organization, pipeline_id, owner, starts_on, ends_on, currency, '
                        'amount) VALUES (%s)', given))
$$;
SELECT is(t.target(v.given), v.wanted, 'section 3: target ' || v.given)
FROM (VALUES (1, 'NULL, NULL, NULL, ''2026-01-01'', ''2026-03-31'', ''EUR'', 100', 'done'),
             (2, 'NULL, NULL, NULL, ''2026-03-31'', ''2026-06-30'', ''EUR'', 100', '23514 target target_overlap'),
             (3, 'NULL, NULL, NULL, ''2025-06-01'', ''2026-01-01'', ''EUR'', 100', '23514 target target_overlap'),
             (4, 'NULL, NULL, NULL, ''2026-02-01'', ''2026-02-01'', ''EUR'', 100', '23514 target target_overlap'),
             (5, 'NULL, NULL, NULL, ''2025-01-01'', ''2027-01-01'', ''EUR'', 100', '23514 target target_overlap'),
             (6, 'NULL, NULL, NULL, ''2026-04-01'', ''2026-06-30'', ''EUR'', 100', 'done'),
             (7, 'NULL, NULL, NULL, ''2026-01-01'', ''2026-03-31'', ''USD'', 100', 'done'),
             (8, '''acme'', NULL, NULL, ''2026-01-01'', ''2026-03-31'', ''EUR'', 100', 'done'),
             (9, 'NULL, 1, NULL, ''2026-01-01'', ''2026-03-31'', ''EUR'', 100', 'done'),
             (10, 'NULL, NULL, ''ann'', ''2026-01-01'', ''2026-03-31'', ''EUR'', 100', 'done'),
             (11, 'NULL, NULL, '''', ''2026-01-01'', ''2026-03-31'', ''EUR'', 100', 'done'),
             (12, 'NULL, 1, ''ann'', ''2026-01-01'', ''2026-03-31'', ''EUR'', 100', 'done'),
             (13, 'NULL, 1, ''ann'', ''2026-03-01'', ''2026-03-31'', ''EUR'', 100', '23514 target target_overlap'),
             (14, 'NULL, NULL, NULL, ''2027-01-02'', ''2027-01-01'', ''EUR'', 100', '23514 target target_days'),
             (15, 'NULL, NULL, NULL, ''1899-12-31'', ''1900-01-01'', ''EUR'', 100', '23514 target target_bounds'),
             (16, 'NULL, NULL, NULL, ''2999-12-31'', ''infinity'', ''EUR'', 100', '23514 target target_bounds'),
             (17, 'NULL, NULL, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', 0', '23514 target target_amount'),
             (18, 'NULL, NULL, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', ''NaN''', '23514 target target_amount'),
             (19, 'NULL, NULL, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', 1e18', '23514 target target_amount'),
             (20, 'NULL, NULL, NULL, ''2027-01-01'', ''2027-01-01'', ''EUX'', 1', '23514 target target_currency'),
             (21, 'NULL, NULL, NULL, ''2027-01-01'', ''2027-01-01'', ''euro'', 1', '23514 target target_currency'),
             (22, 'NULL, NULL, NULL, ''2027-01-01'', NULL, ''EUR'', 1', '23502 target.ends_on'),
             (23, 'NULL, 99, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', 1', '23503 target target_pipeline_id_fkey'),
             (24, '''globex'', 3, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', 1', '23514 target target_organization'),
             (25, '''acme'', 1, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', 1', '23514 target target_organization'),
             (26, 'NULL, 3, NULL, ''2027-01-01'', ''2027-01-01'', ''EUR'', 1', 'done'))
     AS v (number, given, wanted)
ORDER BY v.number;
SELECT is((SELECT organization FROM crm_deals.target WHERE pipeline_id = :ours), 'acme',
          'section 3: a target of a pipeline is of its organization');
SELECT is(t.try('UPDATE crm_deals.target SET ends_on = ''2026-04-01'' WHERE id = 1'), '23514 target target_overlap',
          'section 3: nor by UPDATE');
SELECT is(t.try('UPDATE crm_deals.target SET starts_on = starts_on + 91, ends_on = ends_on + 91
                 WHERE owner IS NULL AND pipeline_id IS NULL'), 'done',
          'section 3: a statement is judged when it is done');
SELECT is(t.try('UPDATE crm_deals.target SET currency = ''XXZ'' WHERE id = 1'), '23514 target target_currency',
          'section 3: a currency by UPDATE');
DELETE FROM crm_deals.target WHERE pipeline_id = :ours;
INSERT INTO crm_deals.target (pipeline_id, starts_on, ends_on, currency, amount)
VALUES (:ours, '2027-01-01', '2027-12-31', 'EUR', 1);
DELETE FROM crm_deals.stage WHERE pipeline_id = :ours;
DELETE FROM crm_deals.pipeline WHERE id = :ours;
SELECT is((SELECT count(*) FROM crm_deals.target WHERE pipeline_id = :ours), 0::bigint,
          'section 3: the targets of a pipeline go with it');

-- Row security on targets hides no overlap. Levels: read reads, manager writes.
SELECT t.drop_roles('regress_crm_read', 'regress_crm_write', 'regress_crm_manager') AS none \gset
CREATE ROLE regress_crm_read;
CREATE ROLE regress_crm_write;
CREATE ROLE regress_crm_manager;
SELECT crm_deals.grant_access('regress_crm_read', 'read'), crm_deals.grant_access('regress_crm_write', 'write'),
       crm_deals.grant_access('regress_crm_manager', 'manager') \gset none_
DELETE FROM crm_deals.target;
INSERT INTO crm_deals.target (owner, starts_on, ends_on, currency, amount)
VALUES ('ann', '2026-01-01', '2026-01-31', 'EUR', 1);
SELECT is(t.try(v.statement, 'regress_crm_' || v.role), v.wanted, 'section 9: ' || v.role || ': ' || v.statement)
FROM (VALUES ('read', 'SELECT FROM crm_deals.target', 'done'),
             ('write', 'UPDATE crm_deals.target SET amount = 2', '42501'),
             ('write', 'INSERT INTO crm_deals.target DEFAULT VALUES', '42501'),
             ('write', 'DELETE FROM crm_deals.target', '42501'),
             ('manager', 'UPDATE crm_deals.target SET amount = 2', 'done'),
             ('manager', 'INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount)
                          VALUES (''2026-01-01'', ''2026-01-31'', ''EUR'', 1)', 'done'),
             ('manager', 'DELETE FROM crm_deals.target WHERE owner IS NULL', 'done')) AS v (role, statement, wanted);
CREATE POLICY own ON crm_deals.target USING (owner = 'bob');
ALTER TABLE crm_deals.target ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON crm_deals.target FOR INSERT WITH CHECK (true);
SELECT is(t.try('INSERT INTO crm_deals.target (owner, starts_on, ends_on, currency, amount)
                 VALUES (''ann'', ''2026-01-31'', ''2026-02-28'', ''EUR'', 1)', 'regress_crm_manager'),
          '23514 target target_overlap', 'section 3: nor with a target that is hidden');
ALTER TABLE crm_deals.target DISABLE ROW LEVEL SECURITY;
SELECT t.drop_roles('regress_crm_read', 'regress_crm_write', 'regress_crm_manager') AS none \gset

-- ----------
-- attainment, by hand
-- ----------
DELETE FROM crm_deals.target;
CREATE FUNCTION t.shown(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    shown text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', a.period_start, coalesce(a.group_label, ''-''), a.currency,
                                                coalesce(a.target::text, ''-''), round(a.won, 2), round(a.open_amount, 2),
                                                round(a.weighted, 2), coalesce(a.gap::numeric(20, 2)::text, ''-''),
                                                coalesce(round(a.coverage, 3)::text, ''-'')), ''; '')
                    FROM crm_deals.attainment(%s) AS a', arguments) INTO shown;
    RETURN coalesce(shown, 'none');
END
$$;
INSERT INTO crm_deals.deal (name, pipeline_id, owner, amount, currency, closed_at, expected_close_date, stage_id,
                            probability) VALUES
    ('w1', :sales, 'ann', 60, 'GBP', '2024-01-10', NULL, t.stage('won'), NULL),
    ('w2', :service, 'bob', 50, 'GBP', '2024-03-31 23:59', NULL, t.stage('done', 'Service'), NULL),
    ('w3', :sales, NULL, 5, 'GBP', '2024-02-01', NULL, t.stage('won'), NULL),
    ('w4', :sales, 'ann', NULL, 'CHF', '2024-02-01', NULL, t.stage('won'), NULL),
    ('o1', :sales, 'ann', 30, 'GBP', NULL, '2024-01-01', t.stage('lead'), 50),
    ('o2', :service, 'bob', 20, 'GBP', NULL, '2024-03-31', t.stage('ticket', 'Service'), 10),
    ('o3', :sales, 'ann', 99, 'GBP', NULL, '2024-04-01', t.stage('lead'), 50);
INSERT INTO crm_deals.target (pipeline_id, owner, starts_on, ends_on, currency, amount) VALUES
    (NULL, NULL, '2024-01-01', '2024-12-31', 'GBP', 1000), (NULL, 'ann', '2024-01-01', '2024-03-31', 'GBP', 100),
    (NULL, 'ann', '2024-01-01', '2024-03-31', 'CHF', 7), (NULL, 'bob', '2024-01-01', '2024-03-31', 'CHF', 8),
    (:sales, 'ann', '2024-01-01', '2024-01-31', 'GBP', 40), (:sales, 'bob', '2024-03-01', '2024-04-30', 'GBP', 61),
    (:service, NULL, '2024-03-31', '2024-04-01', 'GBP', 10.01), (:service, 'bob', '2024-01-01', '2024-03-31', 'GBP', 3);
SELECT is(t.shown(v.arguments), v.wanted, 'section 15: attainment(' || v.arguments || ')')
FROM (VALUES
    -- 1000 * 91 / 366 = 248.63; the owners' 40 + 61 * 31 / 61 = 71 of Sales; the team's half of 10.01 of Service. ann's
    -- 100 without a pipeline is part of the team's, and so is bob's 3.
    ('NULL, ''quarter'', ''2024-01-01'', ''2024-03-31''',
     '2024-01-01 - CHF 15 0.00 0.00 0.00 15.00 0.000; '
     '2024-01-01 - GBP 324.64 115.00 50.00 17.00 209.64 0.239'),
    ('''owner'', ''quarter'', ''2024-01-01'', ''2024-03-31''',
     '2024-01-01 ann CHF 7 0.00 0.00 0.00 7.00 0.000; 2024-01-01 ann GBP 140 60.00 30.00 15.00 80.00 0.375; '
     '2024-01-01 bob CHF 8 0.00 0.00 0.00 8.00 0.000; '
     '2024-01-01 bob GBP 34.00 50.00 20.00 2.00 -16.00 -; 2024-01-01 - GBP - 5.00 0.00 0.00 - -'),
    ('''pipeline'', ''quarter'', ''2024-01-01'', ''2024-03-31''',
     '2024-01-01 Sales CHF - 0.00 0.00 0.00 - -; 2024-01-01 Sales GBP 71.00 65.00 30.00 15.00 6.00 5.000; '
     '2024-01-01 Service GBP 5.01 50.00 20.00 2.00 -44.99 -'),
    ('NULL, ''quarter'', ''2024-01-01'', ''2024-03-31'', ''Sales''',
     '2024-01-01 - CHF - 0.00 0.00 0.00 - -; 2024-01-01 - GBP 71.00 65.00 30.00 15.00 6.00 5.000'),
    ('''owner'', ''quarter'', ''2024-01-01'', ''2024-03-31'', ''Service''',
     '2024-01-01 bob GBP 3 50.00 20.00 2.00 -47.00 -'),
    ('''organization'', ''quarter'', ''2024-04-01'', ''2024-06-30''',
     '2024-04-01 - GBP 283.64 0.00 99.00 49.50 283.64 0.349'),
    -- the range cuts the periods: one day of Service's target in each
    ('NULL, ''month'', ''2024-03-31'', ''2024-04-01'', ''Service''',
     '2024-03-01 - GBP 5.01 50.00 20.00 2.00 -44.99 -; 2024-04-01 - GBP 5.00 0.00 0.00 0.00 5.00 0.000'),
    ('NULL, NULL, ''2024-03-31'', ''2024-04-01'', ''Service''', '- GBP 10.01 50.00 20.00 2.00 -39.99 -'),
    ('NULL, ''day'', ''2024-01-10'', ''2024-01-10'', ''Sales''', '2024-01-10 - GBP 1.29 60.00 0.00 0.00 -58.71 -'))
    AS v (arguments, wanted);
SELECT is((SELECT concat_ws(' ', count(*), sum(a.target))
           FROM crm_deals.attainment(NULL, p, '2024-01-01', '2024-12-31', 'Sales') AS a WHERE a.target IS NOT NULL), v.wanted, 'section 15: the parts of a target sum to it: ' || p)
FROM (VALUES ('day', '92 101.00'), ('week', '15 101.00'), ('month', '3 101.00'), ('year', '1 101')) AS v (p, wanted);
SELECT is(t.try('SELECT crm_deals.attainment(' || v.arguments || ')'), v.wanted,
          'section 15: attainment(' || v.arguments || ')')
FROM (VALUES ('''nobody''', '22023'), ('''account''', '22023'), ('NULL, ''fortnight''', '22023'),
             ('NULL, ''day'', ''2024-02-02'', ''2024-02-01''', '22023'),
             ('NULL, ''day'', ''1999-01-01'', ''2026-05-19''', '22023'),
             ('NULL, ''day'', ''1999-01-01'', ''2026-05-18''', 'done'),
             ('NULL, NULL, ''-infinity''', '22023'), ('NULL, NULL, NULL, NULL', 'done'),
             ('pipeline => ''nobody''', 'P0002'), ('convert_to => ''euros''', '22023')) AS v (arguments, wanted);
-- Without dates: the period of today, to its end.
DELETE FROM crm_deals.target;
INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount) VALUES
    (date_trunc('quarter', now())::date - 1, (date_trunc('quarter', now()) + interval '3 months')::date, 'NOK', 10);
SELECT is((SELECT string_agg(a.period_start || ' ' || (a.target BETWEEN 9.6 AND 9.9), ', ')
           FROM crm_deals.attainment() AS a WHERE a.currency = 'NOK'),
          date_trunc('quarter', now())::date || ' true', 'section 15: without dates the period of today');

-- Rates: what was won at the rate of its day, the rest at that of today. What has no rate keeps a row of its own.
DELETE FROM crm_deals.target;
INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount) VALUES
    ('2024-01-01', '2024-03-31', 'GBP', 100), ('2024-01-01', '2024-03-31', 'CHF', 10),
    ('2024-01-01', '2024-03-31', 'NOK', 1);
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from) VALUES
    ('GBP', 'CHF', 2, '2024-01-31'), ('GBP', 'CHF', 3, '2024-04-01');
SELECT is(t.shown('NULL, ''quarter'', ''2024-01-01'', ''2024-03-31'', NULL, ''CHF'''),
          '2024-01-01 - CHF 310 110.00 150.00 51.00 200.00 0.750; 2024-01-01 - GBP - 60.00 0.00 0.00 - -; '
          '2024-01-01 - NOK 1 0.00 0.00 0.00 1.00 0.000', 'section 15: convert_to');

-- ----------
-- attainment, compared with a walk over the days of each target
-- ----------
DELETE FROM crm_deals.target;
INSERT INTO crm_deals.target (pipeline_id, owner, starts_on, ends_on, currency, amount)
SELECT p.id, o.owner, m.day, m.day + 40 + p.id::integer, c.currency, round((random() * 10000)::numeric, 2) + 1
FROM (VALUES (NULL), (1::bigint), (2)) AS p (id), (VALUES (NULL), ('ann'), ('cleo'), ('nobody else')) AS o (owner),
     (VALUES ('EUR'), ('USD')) AS c (currency), LATERAL (SELECT date '2025-01-05' + 50 * n AS day
                                                        FROM generate_series(0, 12) AS n) AS m
WHERE p.id IS NOT NULL AND random() < 0.3;
CREATE FUNCTION t.month_of(day date) RETURNS date LANGUAGE sql AS $$ SELECT date_trunc('month', day)::date $$;
CREATE FUNCTION t.parts(by_owner boolean, by_pipeline boolean)
RETURNS TABLE (month date, raw text, currency text, target numeric) LANGUAGE sql AS $$
    WITH part AS (
        SELECT t.month_of(y.day::date) AS month, g.*, count(*) AS days, max(y.day::date) - g.starts_on + 1 AS until
        FROM crm_deals.target AS g, generate_series(g.starts_on, g.ends_on, '1 day') AS y (day)
        GROUP BY 1, g.id
    ), money AS (
        SELECT p.*, round(p.amount * p.until / (p.ends_on - p.starts_on + 1), 2)
                    - round(p.amount * (p.until - p.days) / (p.ends_on - p.starts_on + 1), 2) AS money
        FROM part AS p
    )
    SELECT m.month, CASE WHEN by_owner THEN m.owner WHEN by_pipeline THEN m.pipeline_id::text END, m.currency,
           sum(m.money)
    FROM money AS m
    WHERE CASE WHEN by_owner THEN m.owner IS NOT NULL
               ELSE m.owner IS NULL OR NOT EXISTS (
                   SELECT FROM money AS o WHERE o.owner IS NULL AND o.month = m.month AND o.currency = m.currency
                                            AND o.pipeline_id IS NOT DISTINCT FROM m.pipeline_id) END
    GROUP BY 1, 2, 3
$$;
CREATE FUNCTION t.wanted(expression text, by_owner boolean, by_pipeline boolean) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT month, raw, currency, sum(target), sum(won), sum(open), sum(weighted)
                   FROM (SELECT month, raw, currency, target, 0.0 AS won, 0.0 AS open, 0.0 AS weighted
                         FROM t.parts(%2$L, %3$L)
                         UNION ALL
                         SELECT t.month_of(d.closed_at::date), (%1$s)::text, d.currency, NULL, coalesce(d.amount, 0), 0, 0
                         FROM crm_deals.deal AS d WHERE d.status = ''won''
                         UNION ALL
                         SELECT t.month_of(d.expected_close_date), (%1$s)::text, d.currency, NULL, 0,
                                coalesce(d.amount, 0), coalesce(d.amount * d.probability / 100, 0)
                         FROM crm_deals.deal AS d WHERE d.status = ''open'' AND d.expected_close_date IS NOT NULL) AS x
                   WHERE month BETWEEN ''2025-01-01'' AND ''2027-12-31''
                   GROUP BY 1, 2, 3', expression, by_owner, by_pipeline)
$$;
SELECT is(t.same(format('SELECT a.period_start, a.group_key, a.currency, a.target, a.won, a.open_amount, a.weighted
                         FROM crm_deals.attainment(%L, ''month'', ''2025-01-01'', ''2027-12-31'') AS a', v.by),
                 t.wanted(v.expression, v.by_owner, v.by_pipeline)), 'same',
          format('section 15: attainment by %s', v.by))
FROM (VALUES (NULL, 'NULL', false, false), ('owner', 'd.owner', true, false),
             ('pipeline', 'd.pipeline_id', false, true), ('organization', 'd.organization', false, false)) AS v (by, expression, by_owner, by_pipeline);
SELECT is((SELECT count(*) FROM crm_deals.attainment('owner', 'month', '2025-01-01', '2027-12-31') AS a
           WHERE a.gap IS DISTINCT FROM a.target - a.won
              OR a.coverage IS DISTINCT FROM CASE WHEN a.gap > 0 THEN a.open_amount / a.gap END),
          0::bigint, 'section 15: gap and coverage');

SELECT * FROM finish();
