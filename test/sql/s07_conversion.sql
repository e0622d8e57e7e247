\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: stage_conversion: of the deals that entered a stage, those that later entered a later open stage or won.
SET crm_deals.notify = off;
SET timezone = 'UTC';
SET datestyle = 'ISO';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT crm_deals.add_stage(:sales, 'Given up', status => 'abandoned') AS none,
       crm_deals.create_pipeline('Other') AS other \gset

-- A way through the stages as a deal went it, a stage a day; what it counts for in the stages of the report.
CREATE FUNCTION t.way(way text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    deal bigint;
    step record;
BEGIN
    FOR step IN SELECT s.key, s.number FROM unnest(string_to_array(way, ' ')) WITH ORDINALITY AS s (key, number) LOOP
        IF step.number = 1 THEN
            deal := t.new_deal(way, step.key);
        ELSE
            PERFORM crm_deals.move_deal(deal, step.key,
                                        lost_reason => CASE WHEN step.key = 'lost' THEN 'price' END);
        END IF;
    END LOOP;
    RETURN deal;
END
$$;
CREATE FUNCTION t.conversion() RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(format('%s %s of %s', c.stage_key, c.converted_count, c.entered_count), ', '
                               ORDER BY s.position), 'none')
    FROM crm_deals.stage_conversion(period => NULL) AS c
    JOIN crm_deals.stage AS s ON s.id = c.stage_id
    WHERE c.entered_count > 0 AND s.pipeline_id = t.pipeline('Sales')
$$;
SELECT is(t.after(format('SELECT t.way(%L)', v.way), 'SELECT t.conversion()'), v.wanted,
          'section 7: conversion of ' || v.way)
FROM (VALUES ('lead', 'lead 0 of 1'), ('lead qualified', 'lead 1 of 1, qualified 0 of 1'),
             ('lead won', 'lead 1 of 1'), ('lead lost', 'lead 0 of 1'), ('lead given_up', 'lead 0 of 1'),
             -- there again is not further on
             ('lead lost lead', 'lead 0 of 1'), ('lead given_up lead', 'lead 0 of 1'),
             ('qualified lead qualified', 'lead 1 of 1, qualified 0 of 1'),
             ('lead qualified lead qualified', 'lead 1 of 1, qualified 0 of 1'),
             ('proposal lost qualified proposal', 'qualified 1 of 1, proposal 0 of 1'),
             -- nor is back
             ('negotiation proposal qualified lead',
              'lead 0 of 1, qualified 0 of 1, proposal 0 of 1, negotiation 0 of 1'),
             -- each deal once, whatever it did in between
             ('lead qualified lead proposal', 'lead 1 of 1, qualified 1 of 1, proposal 0 of 1'),
             ('lead lost lead qualified', 'lead 1 of 1, qualified 0 of 1'),
             ('lead lost qualified', 'lead 1 of 1, qualified 0 of 1'),
             ('negotiation lost won', 'negotiation 1 of 1'), ('negotiation won lost', 'negotiation 1 of 1'),
             -- what came before does not count
             ('proposal lead', 'lead 0 of 1, proposal 0 of 1'), ('won lead', 'lead 0 of 1'),
             ('won lead lost', 'lead 0 of 1'), ('qualified won qualified', 'qualified 1 of 1')) AS v (way, wanted);
-- Two stays of one deal of which the first went on and the second did not: once, and converted
SELECT is(t.after($$SELECT t.way('lead qualified lead'), t.way('lead'), t.way('lead qualified')$$,
                  'SELECT t.conversion()'),
          'lead 2 of 3, qualified 0 of 2', 'section 7: conversion of several deals');
-- A later stage of another pipeline is no later stage, a change of it no end of the stay there.
SELECT is(t.after($$SELECT t.way('qualified'); UPDATE crm_deals.deal SET stage_id = t.stage('negotiation', 'Other')$$,
                  'SELECT t.conversion()'),
          'qualified 0 of 1', 'section 7: conversion: another pipeline is not further on');
SELECT is(t.after($$SELECT t.way('qualified');
                    UPDATE crm_deals.deal SET stage_id = t.stage('negotiation', 'Other');
                    UPDATE crm_deals.deal SET stage_id = t.stage('proposal')$$,
                  'SELECT t.conversion()'),
          'qualified 1 of 1, proposal 0 of 1', 'section 7: conversion: back from it, it may be');
-- A change that is no change of stage is no entry.
SELECT is(t.after($$SELECT t.way('lead qualified');
                    UPDATE crm_deals.deal SET amount = 1;
                    UPDATE crm_deals.deal SET amount = 2$$,
                  'SELECT t.conversion()'),
          'lead 1 of 1, qualified 0 of 1', 'section 7: conversion: other changes do not count');

-- The range is that of the entry: what came of it later counts, and what was entered before the range does not,
-- though it was written down in it.
CREATE TABLE t.source (external_id text, name text, stage text, created_at timestamptz);
CREATE TABLE t.history (external_id text, stage text, entered_at timestamptz);
INSERT INTO t.source VALUES ('x', 'x', 'proposal', '2026-01-10'), ('y', 'y', 'qualified', '2026-01-10');
INSERT INTO t.history VALUES ('x', 'lead', '2026-01-10'), ('x', 'qualified', '2026-01-31 23:59:59.999999'),
    ('x', 'proposal', '2026-02-10'), ('y', 'lead', '2026-01-10'), ('y', 'qualified', '2026-02-01');
SELECT is((SELECT string_agg(outcome || coalesce(detail, ''), ' ')
           FROM crm_deals.import_deals('t.source', 't.history')),
          'created created', '(imported)');
INSERT INTO crm_deals.deal (name, created_at, stage_entered_at, stage_id)
VALUES ('z', '2026-01-05', '2026-01-05', t.stage('qualified'));
SELECT is((SELECT string_agg(format('%s %s of %s', c.stage_key, c.converted_count, c.entered_count), ', '
                             ORDER BY s.position)
           FROM crm_deals.stage_conversion(period => NULL, from_date => v.f, to_date => v.t, pipeline => 'Sales') AS c
           JOIN crm_deals.stage AS s ON s.id = c.stage_id
           WHERE c.entered_count > 0),
          v.wanted, format('section 7: conversion from %s to %s', v.f, v.t))
FROM (VALUES (NULL::date, NULL::date, 'lead 2 of 2, qualified 1 of 3, proposal 0 of 1'),
             ('2026-01-01', '2026-01-31', 'lead 2 of 2, qualified 1 of 2'),
             ('2026-01-06', '2026-01-31', 'lead 2 of 2, qualified 1 of 1'),
             ('2026-01-05', '2026-01-05', 'qualified 0 of 1'),
             ('2026-02-01', '2026-02-28', 'qualified 0 of 1, proposal 0 of 1'),
             ('2026-02-01', NULL, 'qualified 0 of 1, proposal 0 of 1'), ('2026-02-02', NULL, 'proposal 0 of 1'),
             (NULL, '2026-01-31', 'lead 2 of 2, qualified 1 of 2'),
             (NULL, '2026-01-30', 'lead 2 of 2, qualified 0 of 1'))
     AS v (f, t, wanted);
SELECT is((SELECT string_agg(format('%s: %s of %s', c.period_start, c.converted_count, c.entered_count), ', '
                             ORDER BY c.period_start)
           FROM crm_deals.stage_conversion(from_date => '2026-01-01', to_date => '2026-02-28', pipeline => 'Sales') AS c
           WHERE c.stage_key = 'qualified'),
          '2026-01-01: 1 of 2, 2026-02-01: 0 of 1', 'section 7: conversion by month');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
