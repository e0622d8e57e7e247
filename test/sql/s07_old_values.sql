\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: one odd row, from before there were bounds, does not stop boards, forecasts and reports for everybody.
SET timezone = 'UTC';
SET datestyle = ISO;
INSERT INTO crm_deals.deal (name, amount, expected_close_date, created_at, owner)
VALUES ('a', 100, '2026-03-10', '2026-01-01', 'ann'), ('b', 50, '2026-03-20', '2026-01-02', 'bob');
UPDATE crm_deals.deal SET stage_id = t.stage('won'), closed_at = '2026-02-01' WHERE name = 'b';
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
INSERT INTO crm_deals.deal (id, name, pipeline_id, stage_id, status, currency, probability, probability_overridden, amount,
                            expected_close_date, closed_at, created_at, stage_entered_at, updated_at, owner)
SELECT v.id, 'old', s.pipeline_id, s.id, s.status, 'CHF', 90, true, 1e131071, v.expected, v.closed, v.created, v.created,
       now(), 'old'
FROM (VALUES (90, 'lead', '5874897-12-31'::date, NULL::timestamptz, '4713-01-01 00:00:00+00 BC'::timestamptz),
             (91, 'won', '4713-01-01 BC', '4713-01-02 00:00:00+00 BC', '4713-01-01 00:00:00+00 BC'),
             (92, 'won', NULL, '294276-12-30 00:00:00+00', '2026-01-01')) AS v (id, stage, expected, closed, created)
JOIN crm_deals.stage AS s ON s.id = t.stage(v.stage);
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;

SELECT is(t.try('SELECT * FROM ' || v.call), 'done', 'section 7: ' || v.call)
FROM (VALUES ('crm_deals.board()'), ('crm_deals.board(group_by => ''owner'')'),
             ('crm_deals.board_cards(''Sales'', ''lead'')'), ('crm_deals.forecast()'),
             ('crm_deals.forecast(group_by => ''owner'')'), ('crm_deals.pipeline_summary()'),
             ('crm_deals.win_rate()'), ('crm_deals.win_rate(period => ''day'')'),
             ('crm_deals.win_rate(''owner'', ''week'')'), ('crm_deals.lost_reasons(period => ''day'')'),
             ('crm_deals.sales_velocity(period => ''month'')'), ('crm_deals.stage_conversion(period => ''day'')'),
             ('crm_deals.deal_overview'), ('crm_deals.deals_as_of(now())'), ('crm_deals.verify()')) AS v (call);
SELECT is((SELECT string_agg(concat_ws(' ', f.month, f.deal_count, f.amount), ', ' ORDER BY f.month)
           FROM crm_deals.forecast() AS f WHERE f.currency = 'EUR' AND f.deal_count > 0),
          '2026-03-01 1 100', 'section 7: the others are as they would be without it');
SELECT is((SELECT string_agg(f.month::text, ', ' ORDER BY f.month) FROM crm_deals.forecast() AS f
           WHERE f.currency = 'CHF' AND f.deal_count > 0), '5874897-12-01',
          'section 7: a day beyond timestamps has its month');
SELECT is((SELECT count(*) <= 10002 AND sum(w.won_count) = 3 FROM crm_deals.win_rate(period => 'day') AS w), true,
          'section 7: a report''s range is not set by one outlier');

-- Too many periods
SELECT is(t.try('SELECT * FROM crm_deals.' || v.call), v.result, 'section 10: ' || v.call)
FROM (VALUES ('win_rate(period => ''day'', from_date => ''1900-01-01'', to_date => ''2026-01-01'')', '22023'),
             ('lost_reasons(period => ''week'', from_date => ''1500-01-01'', to_date => ''2026-01-01'')', '22023'),
             ('sales_velocity(period => ''day'', from_date => ''1900-01-01'')', '22023'),
             ('stage_conversion(period => ''month'', from_date => ''0900-01-01'', to_date => ''2026-01-01'')', '22023'),
             ('win_rate(period => ''day'', from_date => ''2000-01-01'', to_date => ''2027-05-18'')', 'done'),
             ('win_rate(period => ''day'', from_date => ''2000-01-01'', to_date => ''2027-05-19'')', '22023'),
             ('win_rate(period => ''year'', from_date => ''0001-01-01'', to_date => ''2026-01-01'')', 'done'))
    AS v (call, result);

-- A dump without the rows of deal_name
SELECT is_empty('SELECT FROM crm_deals.verify() AS v WHERE v.deal_id IS NULL AND v.detail !~ ''deal_name''',
                'section 6: nothing else is said of no deal');
SELECT crm_deals.rebuild_duplicates() AS rebuilt \gset
SELECT is_empty('SELECT FROM crm_deals.verify() AS v WHERE v.detail ~ ''deal_name''', 'section 6: names are complete');
TRUNCATE crm_deals.deal_name;
SELECT is((SELECT v.detail FROM crm_deals.verify() AS v WHERE v.deal_id IS NULL),
          'names of deals are missing in deal_name: run rebuild_duplicates()',
          'section 6: verify() tells of missing names');
SET client_min_messages = error;
SELECT is((SELECT string_agg(f.deal_id::text, ' ' ORDER BY f.deal_id) FROM crm_deals.find_duplicates('old') AS f),
          '90 91 92', 'section 6: find_duplicates answers exactly all the same');
INSERT INTO crm_deals.deal (name) VALUES ('old');
SELECT is((SELECT string_agg(f.other_deal_id::text, ' ' ORDER BY f.other_deal_id) FROM crm_deals.deal_duplicate AS f),
          '90 91 92', 'section 6: a new deal is flagged all the same');
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject';
SELECT is(t.try('INSERT INTO crm_deals.deal (name) VALUES (''old'')'), '23505 deal.name deal_duplicate',
          'section 6: and refused');
RESET client_min_messages;

SELECT * FROM finish();
