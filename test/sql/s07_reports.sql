\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Section 7: the reports, beside plain SQL over the same deals.
CREATE FUNCTION t.day(moment timestamptz) RETURNS date LANGUAGE sql AS $$
    SELECT (moment AT TIME ZONE current_setting('timezone'))::date
$$;

-- The ways to call a report: the grouping (and its expression in plain SQL), the period, range, pipeline and filter.
CREATE TABLE t.way (number integer GENERATED ALWAYS AS IDENTITY, split text, expression text, label text, period text,
                    from_date date, to_date date, pipeline text, filter jsonb, condition text,
                    timezone text DEFAULT 'Europe/Vienna');
INSERT INTO t.way (split, expression, label, period, from_date, to_date, pipeline, filter, condition) VALUES
    (NULL, 'NULL::text', 'k', 'month', NULL, NULL, NULL, NULL, 'true'),
    (NULL, 'NULL::text', 'k', NULL, NULL, NULL, NULL, NULL, 'true'),
    (NULL, 'NULL::text', 'k', 'quarter', NULL, NULL, 'Sales', NULL, 'd.pipeline_id = 1'),
    (NULL, 'NULL::text', 'k', 'week', '2025-10-08', '2026-02-11', 'Service', NULL,
     'd.pipeline_id = t.pipeline(''Service'')'),
    (NULL, 'NULL::text', 'k', 'day', '2025-12-01', '2025-12-31', NULL, '{"owner": "ann"}', 'd.owner = ''ann'''),
    (NULL, 'NULL::text', 'k', 'year', '2025-07-15', NULL, NULL, '{"amount": {"min": 500}}', 'd.amount >= 500'),
    ('owner', 'd.owner', 'k', 'month', NULL, NULL, NULL, NULL, 'true'),
    ('owner', 'd.owner', 'k', NULL, '2025-09-10', '2026-01-20', 'Sales', NULL, 'd.pipeline_id = 1'),
    ('account', 'd.account_id', '(SELECT name FROM crm_deals.account WHERE id = k::bigint)', 'quarter', NULL,
     '2025-12-31', NULL, NULL, 'true'),
    ('contact', 'd.primary_contact_id',
     '(SELECT concat_ws('' '', first_name, last_name) FROM crm_deals.contact WHERE id = k::bigint)', NULL, NULL, NULL,
     NULL, NULL, 'true'),
    ('pipeline', 'd.pipeline_id', '(SELECT name FROM crm_deals.pipeline WHERE id = k::bigint)', 'year', NULL, NULL,
     NULL, NULL, 'true'),
    ('stage', '(SELECT key FROM crm_deals.stage AS x WHERE x.id = d.stage_id)',
     '(SELECT name FROM crm_deals.stage AS x WHERE x.key = k)', NULL, NULL, NULL, NULL, NULL, 'true'),
    ('custom_fields.region', 'd.custom_fields ->> ''region''', 'k', 'quarter', '2025-06-01', '2026-06-30', 'Sales',
     '{"source": ["web", null]}', 'd.pipeline_id = 1 AND coalesce(d.source, ''web'') = ''web'''),
    ('custom_fields.free', 'd.custom_fields ->> ''free''', 'k', NULL, NULL, NULL, NULL, NULL, 'true'),
    ('source', 'd.source', 'k', 'month', NULL, NULL, NULL, NULL, 'true'),
    ('currency', 'd.currency', 'k', 'month', NULL, NULL, NULL, NULL, 'true');
INSERT INTO t.way (split, expression, label, period, from_date, to_date, pipeline, filter, condition, timezone)
SELECT split, expression, label, period, from_date, to_date, pipeline, filter, condition, z
FROM t.way, unnest(ARRAY['Pacific/Auckland', 'America/Los_Angeles']) AS z
WHERE period = 'day' OR split = 'owner';

CREATE FUNCTION t.name(w t.way) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', 'by ' || w.split, coalesce(w.period, 'all'), 'from ' || to_char(w.from_date, 'YYYY-MM-DD'),
                     'to ' || to_char(w.to_date, 'YYYY-MM-DD'), 'of ' || w.pipeline, w.filter, w.timezone)
$$;
CREATE FUNCTION t.call(function text, w t.way) RETURNS text LANGUAGE sql AS $$
    SELECT format('crm_deals.%s(%L, %L, %L, %L, %L, %L)', function, w.split, w.period, w.from_date, w.to_date,
                  w.pipeline, w.filter)
$$;
-- Fills a query for one way: $period and $range are those of a moment, $key is the group; $keys and $starts are the
-- groups and periods that a report shows even if they are empty.
CREATE FUNCTION t.query(query text, w t.way, moment text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(replace(replace(replace(replace(query,
                                       '$period',
                                       CASE WHEN w.period IS NULL THEN 'NULL::date'
                                            ELSE format('date_trunc(%L, t.day(%s)::timestamp)::date', w.period,
                                                        moment) END),
                                       '$key', '(' || w.expression || ')::text'),
                                   '$label', w.label),
        '$range',
        format('t.day(%s) BETWEEN %L AND %L AND %s', moment, coalesce(w.from_date, '-infinity'),
               coalesce(w.to_date, 'infinity'), w.condition)),
        '$condition', w.condition)
$$;
-- The first days of all periods from one day to another.
CREATE FUNCTION t.starts(period text, first date, last date) RETURNS SETOF date LANGUAGE sql AS $$
    SELECT DISTINCT date_trunc(period, day)::date
    FROM generate_series(first::timestamp, last::timestamp, '1 day') AS day WHERE period IS NOT NULL
    UNION ALL SELECT NULL WHERE period IS NULL
$$;
CREATE FUNCTION t.compare(function text, query text, moment text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    w t.way;
BEGIN
    FOR w IN SELECT * FROM t.way ORDER BY number LOOP
        PERFORM set_config('timezone', w.timezone, true);
        RETURN NEXT is(t.same('SELECT * FROM ' || t.call(function, w), t.query(query, w, moment)), 'same',
                       function || ' ' || t.name(w));
    END LOOP;
END
$$;
-- The rows that a report has without any deal: every period if it has no groups, else the options of a select field in
-- every period.
CREATE FUNCTION t.empty(w t.way, first date, last date)
RETURNS TABLE (period date, key text, label text) LANGUAGE sql AS $$
    SELECT s, k, k
    FROM t.starts(w.period, coalesce(w.from_date, first), coalesce(w.to_date, last)) AS s,
         unnest(CASE WHEN w.split IS NULL THEN ARRAY[NULL]
                     WHEN w.split = 'custom_fields.region' THEN ARRAY['south', 'north', 'nowhere'] END) AS k
$$;
CREATE FUNCTION t.compare_with_empty(function text, query text, moment text, grid text)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    w t.way;
BEGIN
    FOR w IN SELECT * FROM t.way ORDER BY number LOOP
        PERFORM set_config('timezone', w.timezone, true);
        RETURN NEXT is(t.same('SELECT * FROM ' || t.call(function, w),
                              replace(replace(t.query(query, w, moment), '$empty',
                                              format('(SELECT e.* FROM t.way AS w, LATERAL t.empty(w, (SELECT min(day) '
                                                     'FROM days), (SELECT max(day) FROM days)) AS e '
                                                     'WHERE w.number = %s)',
                                                     w.number)),
                                      '$sales', (w.pipeline IS DISTINCT FROM 'Service')::text)),
                       'same', function || ' ' || t.name(w));
    END LOOP;
END
$$;

-- win_rate: won / (won + lost), or NULL if there are neither; abandoned deals are counted separately.
SELECT t.compare_with_empty('win_rate',
                            $$
    WITH days AS (SELECT t.day(d.closed_at) AS day FROM crm_deals.deal AS d WHERE d.status <> 'open' AND $range),
    part AS (SELECT $period AS p, $key AS k, d.status FROM crm_deals.deal AS d WHERE d.status <> 'open' AND $range),
    g AS (SELECT p, k, count(*) FILTER (WHERE status = 'won') AS won, count(*) FILTER (WHERE status = 'lost') AS lost,
                 count(*) FILTER (WHERE status = 'abandoned') AS abandoned
          FROM (SELECT p, k, status FROM part UNION ALL SELECT e.period, e.key, NULL FROM $empty AS e) AS x
          GROUP BY p, k)
    SELECT p, k, $label, won, lost, abandoned, CASE WHEN won + lost > 0 THEN round(won::numeric / (won + lost), 4) END
    FROM g$$,
                            'd.closed_at', NULL);
SELECT is((SELECT concat_ws(' ', won_count, lost_count, abandoned_count, coalesce(win_rate::text, 'NULL'))
           FROM crm_deals.win_rate(NULL, NULL, '1990-01-01', '1990-12-31')),
          '0 0 0 NULL', 'win_rate of nothing is NULL');
SELECT is((SELECT win_rate FROM crm_deals.win_rate(NULL, NULL, filter => '{"status": ["won"]}')), 1.0,
          'win_rate of won deals only');
SELECT is((SELECT concat_ws(' ', won_count, coalesce(win_rate::text, 'NULL'))
           FROM crm_deals.win_rate(NULL, NULL, filter => '{"status": ["abandoned"]}')),
          '0 NULL', 'win_rate of abandoned deals only');

-- lost_reasons: count, amount, share of the lost deals of the period and group, per currency.
INSERT INTO crm_deals.lost_reason (pipeline_id, name, labels)
VALUES (:sales, 'price', '{"de": "Preis"}'), (:sales, 'timing', '{}'), (:sales, 'features', '{}'),
       (:sales, 'never', '{"de": "Nie"}');
INSERT INTO crm_deals.lost_reason (pipeline_id, name, is_active) VALUES (:sales, 'old', false);
SELECT t.compare_with_empty('lost_reasons', $$
    WITH days AS (SELECT t.day(d.closed_at) AS day FROM crm_deals.deal AS d WHERE d.status = 'lost' AND $range),
    part AS (SELECT $period AS p, $key AS k, d.lost_reason AS r, d.currency AS c, count(*) AS n,
                    sum(coalesce(d.amount, 0)) AS a
             FROM crm_deals.deal AS d WHERE d.status = 'lost' AND $range GROUP BY 1, 2, 3, 4),
    known AS (SELECT name FROM crm_deals.lost_reason WHERE is_active AND $sales),
    g AS (SELECT * FROM part
          UNION ALL SELECT e.period, e.key, l.name, NULL, 0, 0 FROM $empty AS e, known AS l
          WHERE NOT EXISTS (SELECT FROM part AS o
                            WHERE o.p IS NOT DISTINCT FROM e.period AND o.k IS NOT DISTINCT FROM e.key
                              AND o.r = l.name))
    SELECT p, k, $label, r, r, c, n, a,
           round(n / nullif((SELECT sum(n) FROM part AS o
                             WHERE o.p IS NOT DISTINCT FROM g.p AND o.k IS NOT DISTINCT FROM g.k), 0), 4)
    FROM g$$, 'd.closed_at', NULL);
SELECT is((SELECT round(sum(share), 2) FROM crm_deals.lost_reasons(NULL, NULL)), 1.0,
          'lost_reasons: the shares are one whole');
SELECT is(t.after('SET LOCAL crm_deals.language = ''de-AT''',
                  $$SELECT string_agg(DISTINCT reason_label COLLATE "C", ', ' ORDER BY reason_label COLLATE "C")
                    FROM crm_deals.lost_reasons(NULL, NULL, pipeline => 'Sales')$$),
          'Nie, Preis, features, timing', 'lost_reasons: labels, and reasons that nobody gave');
SELECT is(t.after('UPDATE crm_deals.pipeline SET lost_reason_required = false; '
                  'INSERT INTO crm_deals.deal (name, stage_id) VALUES (''No reason'', t.stage(''lost''))',
                  $$SELECT deal_count || ' ' || amount
                    FROM crm_deals.lost_reasons(NULL, NULL, filter => '{"text": "No reason"}')
                    WHERE lost_reason IS NULL$$),
          '1 0', 'lost_reasons: without a reason, and without an amount');

-- sales_velocity: open at the end of the period × win rate × mean won amount / mean days from creation to won.
CREATE FUNCTION t.velocity(w t.way) RETURNS text LANGUAGE sql AS $$
    SELECT replace(replace(t.query($q$
        WITH d AS (SELECT $key AS k, d.* FROM crm_deals.deal AS d WHERE $condition),
        range AS (SELECT coalesce($from,
                                  (SELECT min(least(t.day(d.created_at), t.day(d.closed_at))) FROM d
                                   WHERE (d.closed_at IS NULL OR t.day(d.closed_at) >= coalesce($from, '-infinity'))
                                     AND t.day(d.created_at) <= coalesce($to, 'infinity'))) AS first,
                         coalesce($to, CURRENT_DATE) AS last),
        day AS (SELECT x::date AS day, $period AS p
                FROM range, generate_series(first::timestamp, last::timestamp, '1 day') AS x),
        period AS (SELECT p, min(day) AS first, max(day) AS last FROM day GROUP BY p),
        g AS (SELECT DISTINCT k, currency AS c FROM d, range
              WHERE t.day(d.created_at) <= range.last AND (d.closed_at IS NULL OR t.day(d.closed_at) >= range.first)),
        total AS (SELECT period.p, g.k, g.c,
                (SELECT count(*) FROM d
                 WHERE d.k IS NOT DISTINCT FROM g.k AND d.currency = g.c AND t.day(d.created_at) <= period.last
                   AND (d.closed_at IS NULL OR t.day(d.closed_at) > period.last)) AS open,
                won.n AS won, won.a, won.s,
                (SELECT count(*) FROM d
                 WHERE d.k IS NOT DISTINCT FROM g.k AND d.currency = g.c AND d.status = 'lost'
                   AND t.day(d.closed_at) BETWEEN period.first AND period.last) AS lost
            FROM period, g,
                 LATERAL (SELECT count(*) AS n, avg(d.amount) AS a,
                                 avg(greatest(extract(epoch FROM d.closed_at) - extract(epoch FROM d.created_at), 0))
                                     / 86400 AS s
                     FROM d
                     WHERE d.k IS NOT DISTINCT FROM g.k AND d.currency = g.c AND d.status = 'won'
                       AND t.day(d.closed_at) BETWEEN period.first AND period.last) AS won)
        SELECT p, k, $label, c, open, won, lost, round(won / nullif(won + lost, 0)::numeric, 4), round(a, 8),
               round(s, 8), round(open * won / nullif(won + lost, 0)::numeric * a / s, 6)
        FROM total WHERE open + won + lost > 0 OR $grouped
        UNION ALL
        SELECT period.p, o, o, NULL, 0, 0, 0, NULL, NULL, NULL, NULL FROM period, unnest($known) AS o
        WHERE o NOT IN (SELECT k FROM g WHERE k IS NOT NULL)$q$,
                                   w, 'x'),
                       '$from', format('%L::date', w.from_date)),
                   '$to', format('%L::date', w.to_date))
$$;
CREATE FUNCTION t.compare_velocity() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    w t.way;
BEGIN
    FOR w IN SELECT * FROM t.way ORDER BY number LOOP
        PERFORM set_config('timezone', w.timezone, true);
        RETURN NEXT is(t.same('SELECT period_start, group_key, group_label, currency, open_count, won_count, '
                              'lost_count, round(win_rate, 8), round(mean_won_amount, 8), round(mean_days_to_win, 8), '
                              'round(velocity, 6) FROM ' || t.call('sales_velocity', w),
                              replace(replace(t.velocity(w), '$grouped',
                                              CASE WHEN w.split IS NULL THEN 'true'
                                                   WHEN w.split = 'custom_fields.region'
                                                            THEN 'k IN (''north'', ''south'', ''nowhere'')'
                                                   ELSE 'false' END),
                                      '$known',
                                      CASE WHEN w.split = 'custom_fields.region'
                                                    THEN 'ARRAY[''north'', ''south'', ''nowhere'']'
                                           ELSE '''{}''::text[]' END)),
                       'same', 'sales_velocity ' || t.name(w));
    END LOOP;
END
$$;
SELECT t.compare_velocity();
SELECT is((SELECT string_agg(currency || ' ' || open_count, ', ' ORDER BY currency)
           FROM crm_deals.sales_velocity(period => NULL)),
          (SELECT string_agg(currency || ' ' || n, ', ' ORDER BY currency)
           FROM (SELECT currency, count(*) AS n FROM crm_deals.deal WHERE status = 'open' GROUP BY 1) AS o),
          'sales_velocity: in the end, what is open now');

-- pipeline_summary: count, amount, weighted amount by stage and currency; every stage.
CREATE FUNCTION t.compare_summary() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    w t.way;
BEGIN
    FOR w IN SELECT * FROM t.way ORDER BY number LOOP
        PERFORM set_config('timezone', w.timezone, true);
        RETURN NEXT is(t.same('SELECT * FROM ' || t.call('pipeline_summary', w),
                              t.query(replace($q$
            WITH part AS (SELECT $key AS k, d.stage_id AS s, d.currency AS c, count(*) AS n,
                                 sum(coalesce(d.amount, 0)) AS a, sum(coalesce(d.amount * d.probability / 100, 0)) AS w
                          FROM crm_deals.deal AS d WHERE $range GROUP BY 1, 2, 3),
            g AS (SELECT * FROM part
                  UNION ALL SELECT e, s.id, NULL, 0, 0, 0 FROM unnest($known) AS e, crm_deals.stage AS s
                  WHERE (%1$L IS NULL OR s.pipeline_id = t.pipeline(%1$L))
                    AND NOT EXISTS (SELECT FROM part AS o WHERE o.k IS NOT DISTINCT FROM e AND o.s = s.id))
            SELECT k, $label, s.pipeline_id, s.id, s.key, s.name, c, n, a, w
            FROM g JOIN crm_deals.stage AS s ON s.id = g.s$q$,
                                              '%1$L', format('%L', w.pipeline)),
                                      w, 'd.created_at')
                           ),
                       'same', 'pipeline_summary ' || t.name(w));
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION t.query(query text, w t.way, moment text) RETURNS text LANGUAGE sql AS $$
    SELECT replace(replace(replace(replace(replace(replace(query,
                                               '$period',
                                               CASE WHEN w.period IS NULL THEN 'NULL::date'
                                                    ELSE format('date_trunc(%L, t.day(%s)::timestamp)::date', w.period,
                                                                moment) END),
                                               '$key', '(' || w.expression || ')::text'),
                                           '$label', w.label),
        '$range',
        format('t.day(%s) BETWEEN %L AND %L AND %s', moment, coalesce(w.from_date, '-infinity'),
               coalesce(w.to_date, 'infinity'), w.condition)),
        '$condition', w.condition),
        '$known',
        CASE WHEN w.split IS NULL THEN 'ARRAY[NULL::text]'
             WHEN w.split = 'custom_fields.region' THEN 'ARRAY[''north'', ''south'', ''nowhere'']'
             ELSE '''{}''::text[]' END)
$$;
SELECT t.compare_summary();

-- stage_conversion, beside a walk through the stays. Stages of the log: some deals move on, back, and away.
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE stage_id = t.stage('lead') AND id % 3 > 0;
UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE stage_id = t.stage('qualified') AND id % 4 > 0;
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE stage_id = t.stage('proposal') AND id % 5 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE stage_id = t.stage('lead') AND id % 2 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE stage_id = t.stage('proposal') AND id % 2 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'price'
WHERE stage_id = t.stage('negotiation') AND id % 2 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('offer', 'Service')
WHERE stage_id = t.stage('ticket', 'Service') AND id % 2 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE stage_id = t.stage('offer', 'Service') AND id % 3 = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE stage_id = t.stage('won') AND id % 4 = 0;
DELETE FROM crm_deals.deal WHERE id % 17 = 0;
CREATE TABLE t.stay AS SELECT * FROM crm_deals.deal_stage_history;
CREATE FUNCTION t.compare_conversion() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    w t.way;
BEGIN
    FOR w IN SELECT * FROM t.way ORDER BY number LOOP
        PERFORM set_config('timezone', w.timezone, true);
        RETURN NEXT is(t.same('SELECT period_start, group_key, group_label, pipeline_id, stage_id, stage_key, '
                              'stage_label, entered_count, converted_count, conversion_rate, median_stay FROM '
                              || t.call('stage_conversion', w),
                              t.query(replace(replace(replace($q$
            WITH days AS (SELECT t.day(h.entered_at) AS day FROM t.stay AS h
                          JOIN crm_deals.deal AS d ON d.id = h.deal_id JOIN crm_deals.stage AS s ON s.id = h.stage_id
                          WHERE s.status = 'open' AND $range),
            part AS (SELECT $period AS p, $key AS k, h.deal_id, h.stage_id AS s, h.left_at - h.entered_at AS stayed,
                            EXISTS (SELECT FROM t.stay AS l JOIN crm_deals.stage AS x ON x.id = l.stage_id
                                    WHERE l.deal_id = h.deal_id AND l.entered_at > h.entered_at
                                      AND x.pipeline_id = s.pipeline_id
                                      AND (x.status = 'won'
                                           OR x.status = 'open' AND x.position > s.position)) AS converted
                     FROM t.stay AS h JOIN crm_deals.deal AS d ON d.id = h.deal_id
                     JOIN crm_deals.stage AS s ON s.id = h.stage_id WHERE s.status = 'open' AND $range),
            g AS (SELECT p, k, s, count(DISTINCT deal_id) AS n, count(DISTINCT deal_id) FILTER (WHERE converted) AS c,
                         percentile_cont(0.5) WITHIN GROUP (ORDER BY stayed) AS m
                  FROM part GROUP BY p, k, s
                  UNION ALL SELECT e.period, e.key, s.id, 0, 0, NULL FROM $empty AS e, crm_deals.stage AS s
                  WHERE s.status = 'open' AND (%1$L IS NULL OR s.pipeline_id = t.pipeline(%1$L))
                  AND NOT EXISTS (SELECT FROM part AS o
                                  WHERE o.p IS NOT DISTINCT FROM e.period AND o.k IS NOT DISTINCT FROM e.key
                                    AND o.s = s.id))
            SELECT p, k, $label, s.pipeline_id, s.id, s.key, s.name, n, c, round(c / nullif(n, 0)::numeric, 4), m
            FROM g JOIN crm_deals.stage AS s ON s.id = g.s$q$,
                                                              '%1$L', format('%L', w.pipeline)),
                                                  '$empty',
                                                  format('(SELECT e.* FROM t.way AS w, LATERAL t.empty(w, '
                                                         '(SELECT min(day) FROM days), (SELECT max(day) '
                                                         'FROM days)) AS e WHERE w.number = %s)',
                                                         w.number)),
                                              'no', 'no'),
                                      w, 'h.entered_at')
                           ),
                       'same', 'stage_conversion ' || t.name(w));
    END LOOP;
END
$$;
SELECT t.compare_conversion();
-- A small one, by hand: of three that entered Lead one went on, one went on after it came back, one was lost.
SELECT crm_deals.create_pipeline('Small') AS small \gset
SELECT t.new_deals('Small ', 3, 'lead', 'Small') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('qualified', 'Small') WHERE name IN ('Small 1', 'Small 2');
UPDATE crm_deals.deal SET stage_id = t.stage('lead', 'Small') WHERE name = 'Small 2';
UPDATE crm_deals.deal SET stage_id = t.stage('won', 'Small') WHERE name = 'Small 2';
UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Small'), lost_reason = 'price' WHERE name = 'Small 3';
SELECT is((SELECT string_agg(format('%s %s/%s', stage_key, converted_count, entered_count), ', ' ORDER BY stage_id)
           FROM crm_deals.stage_conversion(period => NULL, pipeline => 'Small')),
          'lead 2/3, qualified 1/2, proposal 0/0, negotiation 0/0', 'stage_conversion: each deal once');

SELECT is(t.try(format(v.call, f)), v.state, 'error: ' || format(v.call, f))
FROM (VALUES ('SELECT crm_deals.%s(period => ''fortnight'')', '22023'),
             ('SELECT crm_deals.%s(by => ''colour'')', '22023'), ('SELECT crm_deals.%s(pipeline => ''None'')', 'P0002'),
             ('SELECT crm_deals.%s(filter => ''{"colour": 1}'')', '22023'),
             ('SELECT crm_deals.%s(from_date => ''2026-02-01'', to_date => ''2026-01-01'')', '22023'),
             ('SELECT crm_deals.%s(from_date => ''-infinity'', to_date => ''infinity'')', 'done')) AS v (call, state),
     unnest(ARRAY['win_rate', 'lost_reasons', 'sales_velocity', 'pipeline_summary', 'stage_conversion']) AS f;
SELECT is(t.error('SELECT crm_deals.win_rate(period => ''fortnight'')', 'hint'),
          'The periods are day, week, month, quarter, year; NULL is the whole range.', 'the hint names the periods');
SELECT is((SELECT string_agg(proname || ' ' || pg_get_function_arguments(oid), '; ') FROM pg_proc
           WHERE pronamespace = 'crm_deals'::regnamespace
             AND proname IN ('win_rate', 'lost_reasons', 'sales_velocity', 'pipeline_summary', 'stage_conversion')
             AND pg_get_function_identity_arguments(oid)
                 <> 'by text, period text, from_date date, to_date date, pipeline text, filter jsonb'),
          NULL, 'section 12: the arguments of the reports');

-- In a parallel worker and under other settings of dates they answer the same.
SET datestyle = 'ISO';
CREATE TABLE t.call AS
    SELECT q, NULL::text AS answer
    FROM unnest(ARRAY['board()', 'board(group_by => ''owner'', filter => ''{"created_at": {"from": "2025-09-10"}}'')',
                      'board_cards(''Sales'', ''qualified'')', 'forecast(group_by => ''account'')',
                      'forecast(as_of => now(), from_date => ''2026-02-03'', to_date => ''2026-06-01'')',
                      'deals_as_of(now())', 'pipeline_changes(''2025-12-01Z'', now(), group_by => ''owner'')',
                      'pipeline_changes(''2025-12-01Z'', close_from => ''2026-02-03'', close_to => ''2026-06-01'')',
                      'win_rate(from_date => ''2026-02-03'')', 'lost_reasons()',
                      'sales_velocity()', 'pipeline_summary()', 'stage_conversion(''owner'')']) AS q;
CREATE FUNCTION t.answer(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT md5(string_agg(to_jsonb(x)::text, '' '' ORDER BY to_jsonb(x)::text)) FROM crm_deals.%s AS x',
                   q) INTO result;
    RETURN result;
END
$$;
UPDATE t.call SET answer = t.answer(q);
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SELECT set_config(name, 'on', false) FROM pg_settings
WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset none_
SELECT is(t.answer(q), answer, 'in a parallel worker, with German dates: ' || q) FROM t.call
WHERE q !~ 'stage_conversion';

SELECT * FROM finish();
