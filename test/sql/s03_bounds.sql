\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: what reading could not bear is refused when it is written, and NULL says nothing.
SET timezone = 'UTC';
SET datestyle = ISO;
INSERT INTO crm_deals.deal (name, amount, currency, custom_fields, expected_close_date)
VALUES ('a', 5, 'USD', '{"k": 1}', '2026-01-01');

-- Bounds, on INSERT and UPDATE
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, stage_id, %1$I) VALUES (''b'', t.stage(%2$L), %3$s)',
                       v.field, CASE v.field WHEN 'closed_at' THEN 'won' ELSE 'lead' END, v.value)),
          '23514 deal.' || v.field || ' deal_bounds', format('section 3: %s = %s', v.field, v.value))
FROM (VALUES ('created_at', '''1899-12-31'''), ('created_at', '''4713-01-01 BC'''), ('created_at', 'now() + ''25:00'''),
             ('closed_at', '''1899-12-31'''), ('closed_at', 'now() + ''25:00'''),
             ('stage_entered_at', '''1899-12-31'''), ('stage_entered_at', 'now() + ''25:00'''),
             ('expected_close_date', '''1899-12-31'''), ('expected_close_date', '''3000-01-01'''),
             ('expected_close_date', '''300000-01-01'''), ('amount', '1e18'), ('amount', '1e131071'))
    AS v (field, value);
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, %I) VALUES (''b'', %s)', v.field, v.value)), 'done',
          format('section 3: %s = %s is accepted', v.field, v.value))
FROM (VALUES ('created_at', '''1900-01-01'''), ('created_at', 'now() + ''23:00'''),
             ('stage_entered_at', '''1900-01-01'''), ('expected_close_date', '''1900-01-01'''),
             ('expected_close_date', '''2999-12-31'''), ('amount', '999999999999999999.99')) AS v (field, value);
SELECT is(t.dry('UPDATE crm_deals.deal SET ' || v.change), '23514 deal.' || v.field || ' deal_bounds',
          'section 3: SET ' || v.change)
FROM (VALUES ('amount', 'amount = 1e18'), ('expected_close_date', 'expected_close_date = ''3000-01-01'''),
             ('closed_at', 'stage_id = t.stage(''won''), closed_at = ''1800-01-01''')) AS v (field, change);
CREATE FUNCTION t.enlarge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.amount := 1e20; RETURN new; END $$;
CREATE TRIGGER zzz_enlarge BEFORE INSERT ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.enlarge();
SELECT is(t.dry('INSERT INTO crm_deals.deal (name) VALUES (''b'')'), '23514 deal.amount deal_bounds',
          'section 3: what a user''s trigger writes is judged, too');
DROP TRIGGER zzz_enlarge ON crm_deals.deal;
SELECT is(t.dry(format('INSERT INTO crm_deals.activity (kind, subject, done_at) VALUES (''task'', ''x'', %s)', v.moment)),
          v.result, 'section 3: an activity that was done at ' || v.moment)
FROM (VALUES ('''1899-12-31''', '23514 activity.done_at deal_bounds'),
             ('now() + ''25:00''', '23514 activity.done_at deal_bounds'), ('''1900-01-02''', 'done'),
             ('NULL', 'done')) AS v (moment, result);
INSERT INTO crm_deals.activity (kind, subject) VALUES ('task', 'x');
SELECT is(t.dry('UPDATE crm_deals.activity SET done_at = ''infinity'''), '23514 activity.done_at deal_bounds',
          'section 3: an UPDATE of an activity, too');

-- Rows from before stay, can be changed, are listed, and come back.
SET session_replication_role = replica;
UPDATE crm_deals.activity SET done_at = '1800-01-01';
RESET session_replication_role;
SELECT is(t.try('UPDATE crm_deals.activity SET subject = ''y'''), 'done', 'section 3: an activity from before stays');
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
INSERT INTO crm_deals.deal (id, name, pipeline_id, stage_id, status, currency, probability, amount, expected_close_date,
                            created_at, stage_entered_at, updated_at)
SELECT 90, 'old', d.pipeline_id, d.stage_id, d.status, 'EUR', d.probability, 1e20, '300000-01-01', '1000-01-01',
       '1000-01-01', d.updated_at
FROM crm_deals.deal AS d WHERE d.name = 'a';
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
INSERT INTO crm_deals.deal_name (deal_id, name) VALUES (90, 'old');
SELECT is((SELECT string_agg(concat_ws(' ', v.rule, v.deal_id, regexp_replace(v.detail, 'activity \d+', 'activity N')), '; '
                             ORDER BY v.detail)
           FROM crm_deals.verify() AS v WHERE v.rule = 0),
          '0 90 amount is out of bounds: 100000000000000000000; 0 90 created_at is out of bounds: 1000-01-01 00:00:00+00; '
          '0 done_at of activity N is out of bounds: 1800-01-01 00:00:00+00; '
          '0 90 expected_close_date is out of bounds: 300000-01-01; '
          '0 90 stage_entered_at is out of bounds: 1000-01-01 00:00:00+00',
          'section 3: verify() lists what is out of bounds');
SELECT is(t.try('UPDATE crm_deals.deal SET notes = ''n'', amount = amount WHERE id = 90'), 'done',
          'section 3: a deal from before can be changed');
SELECT is(t.dry('UPDATE crm_deals.deal SET amount = 2e20 WHERE id = 90'), '23514 deal.amount deal_bounds',
          'section 3: but not to another value out of bounds');
UPDATE crm_deals.deal SET amount = 1, expected_close_date = NULL WHERE id = 90;
SELECT crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event)) AS undone \gset
DELETE FROM crm_deals.deal WHERE id = 90;
SELECT crm_deals.restore_deal(90) AS restored \gset
SELECT is((SELECT concat_ws(' ', d.amount, d.expected_close_date, d.created_at) FROM crm_deals.deal AS d WHERE d.id = 90),
          '100000000000000000000 300000-01-01 1000-01-01 00:00:00+00',
          'section 3: undo and restore do not judge what was there before');

-- NULL says nothing
SELECT is(t.after('UPDATE crm_deals.deal SET pipeline_id = NULL, stage_id = NULL, status = NULL, currency = NULL, '
                  'custom_fields = NULL, version = NULL, created_at = NULL, stage_entered_at = NULL, updated_at = NULL, '
                  'probability_overridden = NULL, closed_at = NULL, notes = ''new'' WHERE name = ''a''',
                  $$SELECT concat_ws(' ', d.status, d.currency, d.custom_fields, d.version, d.probability, d.notes)
                    FROM crm_deals.deal AS d WHERE d.name = 'a'$$),
          'open USD {"k": 1} 2 10 new', 'section 3: NULL says nothing on UPDATE');
SELECT is(t.after('INSERT INTO crm_deals.deal (name, pipeline_id, stage_id, status, currency, custom_fields, version, '
                  'created_at, stage_entered_at, updated_at, probability_overridden, closed_at) VALUES (''n'', NULL, NULL, '
                  'NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)',
                  $$SELECT concat_ws(' ', d.status, d.currency, d.custom_fields, d.version, d.probability)
                    FROM crm_deals.deal AS d WHERE d.name = 'n'$$),
          'open EUR {} 1 10', 'section 3: nor on INSERT');
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'a';
SELECT is(t.after('UPDATE crm_deals.deal SET closed_at = NULL, notes = ''m'' WHERE name = ''a''',
                  $$SELECT (d.closed_at IS NOT NULL)::text || ' ' || d.version FROM crm_deals.deal AS d
                    WHERE d.name = 'a'$$),
          'true 3', 'section 3: NULL for closed_at of a closed deal says nothing');
SELECT is(t.after('UPDATE crm_deals.deal SET custom_fields = NULL WHERE name = ''a''',
                  $$SELECT d.version::text FROM crm_deals.deal AS d WHERE d.name = 'a'$$),
          '2', 'rule 6: that alone is no change');

-- A status that somebody added to the enum
ALTER TYPE crm_deals.deal_status ADD VALUE 'paused';
SELECT is(t.dry($$INSERT INTO crm_deals.stage (pipeline_id, key, name, position, status)
                  VALUES ((SELECT id FROM crm_deals.pipeline WHERE name = 'Sales'), 'p', 'P', 99, 'paused')$$),
          '23514 stage.status stage_status', 'section 3: a stage of an unknown status is refused');
SELECT is(t.dry($$UPDATE crm_deals.stage SET status = 'paused' WHERE key = 'lead'$$),
          '23514 stage.status stage_status', 'section 3: on UPDATE, too');
SELECT is(t.dry('INSERT INTO crm_deals.deal (name) VALUES (''z'')'), 'done', 'section 3: and deals are written as before');

SELECT * FROM finish();
