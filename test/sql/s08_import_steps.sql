\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: the history of import_deals(): stays, moments, and deals that are there.
CREATE FUNCTION t.moment(at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
$$;
\i :include/import.sql
SET TimeZone = 'UTC';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
CREATE TEMPORARY TABLE history (external_id text, stage text, entered_at text, position text);
-- Brings in deal "a" with steps 'stage moment [position]'; returns the outcome.
CREATE FUNCTION t.steps(deal text, VARIADIC steps text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE history;
    INSERT INTO history
    SELECT deal::jsonb ->> 'external_id', split_part(s.step, '|', 1), split_part(s.step, '|', 2),
           nullif(split_part(s.step, '|', 3), '')
    FROM unnest(steps) AS s (step);
    RETURN t.import('[' || deal || ']', $q$, history => 'history'$q$);
END
$$;
-- The stages of a deal's events, with their moments to the microsecond.
CREATE FUNCTION t.log(wanted text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s.key || ' ' || to_char(e.occurred_at AT TIME ZONE 'UTC', 'MM-DD US'), ', ' ORDER BY e.version)
    FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id
    JOIN crm_deals.stage AS s ON s.id = e.to_stage_id
    WHERE d.external_id = wanted
$$;

SELECT is(t.steps('{"external_id": "a", "name": "A", "stage": "proposal"}', 'lead|2024-01-01', 'lead|2024-01-02',
                  'qualified|2024-01-03', 'qualified|2024-01-03', 'proposal|2024-01-03'),
          'a created: Its history enters stage "lead" several times in a row: that is one stay. '
          'Its history enters stage "qualified" several times in a row: that is one stay.',
          'section 8: a stage entered twice in a row is one stay, and the outcome says so');
SELECT is(t.log('a'), 'lead 01-01 000000, qualified 01-03 000000, proposal 01-03 000001',
          'section 8: equal moments go by the order of the rows, a microsecond apart');
SELECT is(t.imported('a'), 'proposal open made 2024-01-01 00:00 in it since 2024-01-03 00:00',
          'section 8: stage_entered_at is the last step of the history');
SELECT is(t.steps('{"external_id": "b", "name": "B", "stage": "proposal"}', 'proposal|2024-01-03|3',
                  'lead|2024-01-03|1', 'qualified|2024-01-03|2'), 'b created', 'section 8: a column "position"');
SELECT is(t.log('b'), 'lead 01-03 000000, qualified 01-03 000001, proposal 01-03 000002',
          'section 8: equal moments go by it');

-- A deal that is there
SELECT is(t.steps('{"external_id": "b", "name": "B", "stage": "won"}', 'lead|2024-01-03|1', 'qualified|2024-01-03|2',
                  'proposal|2024-01-03|3', 'won|2024-02-05 10:00'), 'b updated',
          'section 8: steps can be added to deals that are there');
SELECT is(t.log('b'), 'lead 01-03 000000, qualified 01-03 000001, proposal 01-03 000002, won 02-05 000000',
          'section 8: those that are in the log already are not added again');
SELECT is(t.imported('b'), 'won won made 2024-01-03 00:00 closed 2024-02-05 10:00 in it since 2024-02-05 10:00',
          'section 8: the step into the last status is the closing time');
SELECT is(t.steps('{"external_id": "b", "name": "B", "stage": "won"}', 'lead|2024-01-03|1', 'qualified|2024-01-03|2',
                  'proposal|2024-01-03|3', 'won|2024-02-05 10:00'), 'b unchanged', 'section 8: a second run');

-- The last row is the deal's stage.
SELECT is(t.steps('{"external_id": "c", "name": "C", "stage": "lead"}', 'lead|2024-01-01', 'qualified|2024-01-02'),
          'c rejected: Its history ends in another stage than the deal is in.',
          'section 8: a deal''s last row must be its stage, else it is rejected');
SELECT is(t.import('[{"external_id": "c", "name": "C", "stage": "lost", "lost_reason": "x", "amount": -5,
                      "closed_at": "2024-03-01"}]'), 'c rejected: The amount is negative.',
          'section 8: a row that is rejected has the reasons that are true, and no others');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 8: no rule is broken');

SELECT * FROM finish();
