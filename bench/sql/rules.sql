-- What the sides with rules must agree on: it runs statements and prints what became of each, and the deals and the log
-- that they left. Moments and ids of events differ and are left out. test/t/30_bench_sides.pl compares the output.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SET crm_deals.notify = off;
SET crm_deals.actor = 'anna';

CREATE TEMPORARY TABLE tried (n integer GENERATED ALWAYS AS IDENTITY, statement text, outcome text);
CREATE FUNCTION pg_temp.try(statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    code text;
    rule text;
    done bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS done = ROW_COUNT;
    INSERT INTO tried (statement, outcome) VALUES (statement, done || ' written');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, rule = CONSTRAINT_NAME;
    INSERT INTO tried (statement, outcome) VALUES (statement, code || ' ' || rule);
END
$$;

-- Pipeline 100 as sales has it, 200 with every gate, 300 of an organization, 400 closed to new deals.
INSERT INTO crm_deals.pipeline (id, name, organization, currency, is_active, is_default, forbid_skipping,
                                forbid_backward, forbid_unlisted) VALUES
    (100, 'Plain', NULL, NULL, true, false, false, false, false),
    (200, 'Strict', NULL, 'CHF', true, false, true, true, false),
    (300, 'Listed', 'acme', NULL, true, true, false, false, true),
    (400, 'Closed', NULL, NULL, false, false, false, false, false);
INSERT INTO crm_deals.stage (id, pipeline_id, key, name, position, status, probability, required_fields,
                             archived_at) VALUES
    (101, 100, 'lead', 'Lead', 1, 'open', 10, '{}', NULL),
    (102, 100, 'offer', 'Offer', 2, 'open', 50, '{}', NULL),
    (103, 100, 'won', 'Won', 3, 'won', 100, '{}', NULL),
    (104, 100, 'lost', 'Lost', 4, 'lost', 0, '{}', NULL),
    (105, 100, 'gone', 'Gone', 5, 'abandoned', 0, '{}', NULL),
    (106, 100, 'old', 'Old', 6, 'open', 20, '{}', '2026-01-01'),
    (201, 200, 'lead', 'Lead', 1, 'open', 10, '{}', NULL),
    (202, 200, 'offer', 'Offer', 2, 'open', 50, '{amount,custom_fields.contact}', NULL),
    (203, 200, 'talks', 'Talks', 3, 'open', 70, '{notes}', NULL),
    (204, 200, 'won', 'Won', 4, 'won', 100, '{owner}', NULL),
    (205, 200, 'lost', 'Lost', 5, 'lost', 0, '{source}', NULL),
    (301, 300, 'a', 'A', 1, 'open', 10, '{}', NULL),
    (302, 300, 'b', 'B', 2, 'open', 30, '{}', NULL),
    (303, 300, 'won', 'Won', 3, 'won', 100, '{}', NULL),
    (304, 300, 'lost', 'Lost', 4, 'lost', 0, '{}', NULL),
    (401, 400, 'lead', 'Lead', 1, 'open', 10, '{}', NULL);
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id) VALUES (301, 302), (302, 303);
INSERT INTO crm_deals.lost_reason (pipeline_id, name, is_active) VALUES (200, 'price', true), (200, 'weather', false);

-- Creation, and what it derives.
SELECT pg_temp.try(s) FROM unnest(ARRAY[
    $$INSERT INTO crm_deals.deal (id, name) VALUES (1001, 'Default pipeline')$$,
    $$INSERT INTO crm_deals.deal (id, name, pipeline_id, amount, custom_fields)
      VALUES (1002, 'First open stage', 100, 5.50, '{"a": 1, "b": ["x"]}')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, currency) VALUES (1003, 'A stage', 102, 'USD')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1004, 'Won at once', 103)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, closed_at)
      VALUES (1005, 'Won then', 103, '2026-01-01 00:00+00')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1006, 'Lost without reason', 104)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, lost_reason) VALUES (1007, 'Lost', 104, 'price')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, probability) VALUES (1008, 'Overridden', 102, 33)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, probability) VALUES (1009, 'Not overridden', 102, 50.0)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, status) VALUES (1010, 'Contradiction', 102, 'won')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, pipeline_id) VALUES (1011, 'Contradiction', 102, 200)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, organization) VALUES (1012, 'Contradiction', 102, 'acme')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, closed_at) VALUES (1013, 'Contradiction', 102, now())$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id, lost_reason) VALUES (1014, 'Contradiction', 102, 'price')$$,
    $$INSERT INTO crm_deals.deal (id, name, currency) VALUES (1015, 'No currency', 'ABC')$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1016, 'No such stage', 999)$$,
    $$INSERT INTO crm_deals.deal (id, name, pipeline_id) VALUES (1017, 'No such pipeline', 999)$$,
    $$INSERT INTO crm_deals.deal (id, name) VALUES (1018, ' ')$$,
    $$INSERT INTO crm_deals.deal (id, name, amount) VALUES (1019, 'Negative', -1)$$,
    $$INSERT INTO crm_deals.deal (id, name, pipeline_id) VALUES (1020, 'Not active', 400)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1021, 'Archived', 106)$$,
    $$INSERT INTO crm_deals.deal (id, name, organization) VALUES (1022, 'Of an organization', 'acme')$$,
    $$INSERT INTO crm_deals.deal (id, name, organization) VALUES (1023, 'Of an unknown organization', 'nobody')$$,
    $$INSERT INTO crm_deals.deal (id, name, pipeline_id, version, created_at)
      VALUES (1024, 'Older', 100, 7, '2025-01-01 00:00+00')$$,
    $$INSERT INTO crm_deals.deal (id, name, pipeline_id)
      VALUES (2001, 'Strict', 200), (2002, 'Strict', 200), (2003, 'Strict', 200), (2004, 'Strict', 200)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (2005, 'Skips the start', 202)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (3001, 'Listed', 301), (3002, 'Listed', 301)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (3003, 'Not listed as a start', 302)$$
]) AS s \g /dev/null

-- Moves and edits of pipeline 100.
SELECT pg_temp.try(s) FROM unnest(ARRAY[
    $$UPDATE crm_deals.deal SET stage_id = 102 WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 102 WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 103, notes = 'signed' WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET status = 'open' WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET closed_at = NULL WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET closed_at = '2026-02-02 00:00+00' WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 104 WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 104, lost_reason = 'price' WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET lost_reason = NULL WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 101 WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET lost_reason = 'price' WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 105 WHERE id = 1002$$,
    $$UPDATE crm_deals.deal SET stage_id = 101 WHERE id = 1008$$,
    $$UPDATE crm_deals.deal SET probability = NULL WHERE id = 1008$$,
    $$UPDATE crm_deals.deal SET probability = 44 WHERE id = 1008$$,
    $$UPDATE crm_deals.deal SET probability_overridden = false WHERE id = 1008$$,
    $$UPDATE crm_deals.deal SET probability = 45 WHERE id = 1008$$,
    $$UPDATE crm_deals.deal SET stage_id = 103 WHERE id = 1008$$,
    $$UPDATE crm_deals.deal SET stage_id = 999 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET stage_id = NULL WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET stage_id = 106 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET pipeline_id = 200 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET pipeline_id = 400 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET pipeline_id = 100, stage_id = 101 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET organization = 'acme' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET currency = 'XYZ' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET currency = 'GBP', amount = 12.0, owner = 'tom', expected_close_date = '2027-01-01'
      WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET amount = 12.00 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET custom_fields = '{"a": 2, "c": {"d": null}}' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET custom_fields = '{"c": {"d": 1}}' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET id = 9 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET created_at = '2020-01-01' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET created_at = date_trunc('milliseconds', created_at), notes = 'from JavaScript'
      WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET version = 1, notes = 'stale' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET version = version, notes = 'fresh' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET version = version + 1, notes = 'counted' WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET version = version + 1 WHERE id = 1003$$,
    $$UPDATE crm_deals.deal SET stage_entered_at = '2020-01-01' WHERE id = 1003$$
]) AS s \g /dev/null

-- Every gate.
SELECT pg_temp.try(s) FROM unnest(ARRAY[
    $$UPDATE crm_deals.deal SET stage_id = 202 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 202, amount = 5, custom_fields = '{"contact": " "}' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 202, amount = 5, custom_fields = '{"contact": "Ada"}' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 203 WHERE id = 2002$$,
    $$UPDATE crm_deals.deal SET stage_id = 204 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 201 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 203, notes = ' ' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 203, notes = 'met' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 204 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 204, owner = 'tom' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 203 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 205, lost_reason = 'price' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 205, lost_reason = 'price', source = 'web' WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 204 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 205, lost_reason = 'weather', source = 'web' WHERE id = 2002$$,
    $$UPDATE crm_deals.deal SET stage_id = 205, lost_reason = 'price', source = 'web' WHERE id = 2002$$,
    $$UPDATE crm_deals.deal SET stage_id = 204, owner = 'tom', amount = 1, notes = 'n',
      custom_fields = '{"contact": "Ada"}' WHERE id = 2002$$,
    $$UPDATE crm_deals.deal SET stage_id = 303 WHERE id = 3001$$,
    $$UPDATE crm_deals.deal SET stage_id = 302 WHERE id = 3001$$,
    $$UPDATE crm_deals.deal SET stage_id = 301 WHERE id = 3001$$,
    $$UPDATE crm_deals.deal SET stage_id = 303 WHERE id = 3001$$,
    $$UPDATE crm_deals.deal SET stage_id = 304, lost_reason = 'why' WHERE id = 3002$$
]) AS s \g /dev/null
UPDATE crm_deals.pipeline SET forbid_backward = false WHERE id = 200;
SELECT pg_temp.try(s) FROM unnest(ARRAY[
    $$UPDATE crm_deals.deal SET stage_id = 202, amount = 1, custom_fields = '{"contact": "Ada"}' WHERE id = 2002$$,
    $$UPDATE crm_deals.deal SET stage_id = 201 WHERE id = 2002$$,
    $$UPDATE crm_deals.deal SET stage_id = 203 WHERE id = 2001$$,
    $$UPDATE crm_deals.deal SET stage_id = 201 WHERE id = 2001$$
]) AS s \g /dev/null

-- Many at once, upserts, MERGE, deletion, a stage that changes, the log.
SELECT pg_temp.try(s) FROM unnest(ARRAY[
    $$UPDATE crm_deals.deal SET stage_id = 202 WHERE id IN (2003, 2004)$$,
    $$UPDATE crm_deals.deal SET amount = id, custom_fields = '{"contact": 1}' WHERE id IN (2003, 2004)$$,
    $$UPDATE crm_deals.deal SET stage_id = 202 WHERE id IN (2003, 2004)$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1001, 'Upsert', 202)
      ON CONFLICT (id) DO UPDATE SET name = 'Upserted'$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1001, 'Nothing', 202) ON CONFLICT (id) DO NOTHING$$,
    $$INSERT INTO crm_deals.deal (id, name, stage_id) VALUES (1025, 'Upsert', 202)
      ON CONFLICT (id) DO UPDATE SET name = 'Upserted'$$,
    $$MERGE INTO crm_deals.deal AS d USING (VALUES (1001, 102), (1026, 101)) AS v (id, stage_id) ON v.id = d.id
      WHEN MATCHED THEN UPDATE SET source = 'merge'
      WHEN NOT MATCHED THEN INSERT (id, name, stage_id) VALUES (v.id, 'Merged', v.stage_id)$$,
    $$DELETE FROM crm_deals.deal WHERE id = 1026$$,
    $$UPDATE crm_deals.stage SET probability = 55 WHERE id = 102$$,
    $$UPDATE crm_deals.stage SET name = 'Offers' WHERE id = 102$$,
    $$UPDATE crm_deals.deal_event SET note = 'forged'$$,
    $$DELETE FROM crm_deals.deal_event$$,
    $$TRUNCATE crm_deals.deal_event$$,
    $$TRUNCATE crm_deals.deal CASCADE$$
]) AS s \g /dev/null

SELECT outcome, left(regexp_replace(statement, '\s+', ' ', 'g'), 120) FROM tried ORDER BY n;

SELECT d.id, d.organization, d.name, d.pipeline_id, d.stage_id, d.status, trim_scale(d.amount), d.currency,
       trim_scale(d.probability), d.probability_overridden, d.expected_close_date, d.closed_at IS NULL,
       d.closed_at < d.created_at, d.lost_reason, d.owner, d.source, d.notes, d.custom_fields, d.version,
       d.last_open_stage_id, d.stage_entered_at < d.updated_at, d.created_at < d.updated_at
FROM crm_deals.deal AS d
WHERE d.id > 1000
ORDER BY d.id;

SELECT e.deal_id, e.version, e.kind, e.actor, e.session_user_name, e.origin, e.pipeline_id, e.from_stage_id,
       e.to_stage_id, e.from_status, e.status, trim_scale(e.amount), e.currency, trim_scale(e.probability),
       e.expected_close_date, e.owner, e.lost_reason, e.bypassed, e.note,
       (SELECT jsonb_object_agg(c.key, CASE WHEN c.key ~ '_at$'
                                            THEN to_jsonb((c.value -> 0 = 'null', c.value -> 1 = 'null'))
                                            ELSE c.value END)
        FROM jsonb_each(e.changes) AS c),
       e.occurred_at > lag(e.occurred_at) OVER (PARTITION BY e.deal_id ORDER BY e.version)
FROM crm_deals.deal_event AS e
WHERE e.deal_id > 1000
ORDER BY e.deal_id, e.version;
