\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: every column of deal_event.
SELECT crm_deals.create_pipeline(
    'P',
    '[{"name": "A"}, {"name": "B", "probability": 20}, {"name": "Won", "key": "w", "status": "won"}, '
    '{"name": "Paid", "key": "w2", "status": "won"}, {"name": "Lost", "key": "l", "status": "lost"}, '
    '{"name": "Silent", "key": "s", "status": "abandoned"}]') AS p \gset
-- An event as one text, stages by key.
CREATE FUNCTION t.event(wanted_deal bigint, wanted_version integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT format('%s: %s -> %s, %s -> %s', e.kind, f.key, s.key, e.from_status, e.status)
            FROM crm_deals.deal_event AS e
            LEFT JOIN crm_deals.stage AS f ON f.id = e.from_stage_id
            LEFT JOIN crm_deals.stage AS s ON s.id = e.to_stage_id
            WHERE e.deal_id = wanted_deal AND e.version = wanted_version);
END
$$;
SELECT is((SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = 'crm_deals.deal_event'::regclass AND attnum > 0 AND NOT attisdropped),
          'id batch_id deal_id version kind occurred_at actor session_user_name origin pipeline_id from_stage_id '
          'to_stage_id from_status status amount currency probability expected_close_date owner lost_reason changes '
          'bypassed merged_into note transaction dispatch',
          'section 5: the columns of deal_event');

-- Kinds
INSERT INTO crm_deals.deal (name, pipeline_id, amount, currency, expected_close_date, owner, custom_fields)
VALUES ('d', :p, 100, 'USD', '2030-01-31', 'anna', '{"budget": 7, "tags": ["x"]}');
SELECT t.deal('d') AS d \gset
SELECT is(t.event(:d, 1), 'created:  -> a,  -> open', 'section 5: created');
UPDATE crm_deals.deal SET amount = 250 WHERE id = :d;
SELECT is(t.event(:d, 2), 'updated: a -> a, open -> open', 'section 5: updated');
UPDATE crm_deals.deal SET stage_id = t.stage('b', 'P') WHERE id = :d;
SELECT is(t.event(:d, 3), 'stage_changed: a -> b, open -> open', 'section 5: stage_changed');
UPDATE crm_deals.deal SET stage_id = t.stage('w', 'P') WHERE id = :d;
SELECT is(t.event(:d, 4), 'won: b -> w, open -> won', 'section 5: won');
UPDATE crm_deals.deal SET stage_id = t.stage('w2', 'P') WHERE id = :d;
SELECT is(t.event(:d, 5), 'stage_changed: w -> w2, won -> won', 'section 5: won -> won is stage_changed');
UPDATE crm_deals.deal SET stage_id = t.stage('l', 'P'), lost_reason = 'price' WHERE id = :d;
SELECT is(t.event(:d, 6), 'lost: w2 -> l, won -> lost', 'section 5: lost');
UPDATE crm_deals.deal SET stage_id = t.stage('s', 'P') WHERE id = :d;
SELECT is(t.event(:d, 7), 'abandoned: l -> s, lost -> abandoned', 'section 5: abandoned');
UPDATE crm_deals.deal SET stage_id = t.stage('a', 'P'), amount = 300 WHERE id = :d;
SELECT is(t.event(:d, 8), 'reopened: s -> a, abandoned -> open', 'section 5: reopened is the first that applies');
DELETE FROM crm_deals.deal WHERE id = :d;
SELECT is(t.event(:d, 9), 'deleted: a -> , open -> ', 'section 5: deleted');
INSERT INTO crm_deals.deal (name, stage_id) VALUES ('born won', t.stage('w', 'P'));
SELECT is(t.event(t.deal('born won'), 1), 'created:  -> w,  -> won', 'section 5: created goes before won');

-- Tracked values after the change
SELECT is((SELECT string_agg(concat_ws(' ', version, amount, currency, probability, expected_close_date, owner,
                                       lost_reason),
                             ', ' ORDER BY version)
           FROM crm_deals.deal_event WHERE deal_id = :d),
          '1 100 USD 0 01-31-2030 anna, 2 250 USD 0 01-31-2030 anna, 3 250 USD 20 01-31-2030 anna, '
          '4 250 USD 100 01-31-2030 anna, 5 250 USD 100 01-31-2030 anna, 6 250 USD 0 01-31-2030 anna price, '
          '7 250 USD 0 01-31-2030 anna, 8 300 USD 0 01-31-2030 anna, 9',
          'section 5: the tracked values after the change');
SELECT is((SELECT count(*) FROM crm_deals.deal_event
           WHERE deal_id = :d
             AND (origin <> 'live' OR session_user_name <> session_user OR actor <> current_user OR pipeline_id <> :p
                  OR merged_into IS NOT NULL OR bypassed IS NOT NULL OR note IS NOT NULL)),
          0::bigint, 'section 5: origin live, who, which pipeline, and nothing merged, bypassed or noted');

-- changes
SELECT is((SELECT changes FROM crm_deals.deal_event WHERE deal_id = :d AND version = 2), '{"amount": [100, 250]}',
          'section 5: changes: every column that changed');
SELECT is((SELECT changes - 'closed_at' - 'stage_entered_at' - 'last_open_stage_id' FROM crm_deals.deal_event
           WHERE deal_id = :d AND version = 4),
          jsonb_build_object('stage_id', jsonb_build_array(t.stage('b', 'P'), t.stage('w', 'P')),
                             'status', '["open", "won"]'::jsonb, 'probability', '[20, 100]'::jsonb),
          'section 5: changes: the derived ones, too');
SELECT is((SELECT string_agg(key || ' ' || (value -> 0), ', ' ORDER BY key)
           FROM crm_deals.deal_event, jsonb_each(changes) WHERE deal_id = :d AND version = 1),
          'amount null, created_at null, currency null, custom_fields.budget null, custom_fields.tags null, '
          'expected_close_date null, id null, name null, owner null, pipeline_id null, probability null, '
          'probability_overridden null, stage_entered_at null, stage_id null, status null, updated_at null, '
          'version null',
          'section 5: changes: on created every non-null column');
SELECT is((SELECT string_agg(key, ' ' ORDER BY key) FROM crm_deals.deal_event, jsonb_each(changes)
           WHERE deal_id = :d AND version = 9 AND value -> 1 = 'null' AND value -> 0 <> 'null'),
          'amount created_at currency custom_fields.budget custom_fields.tags expected_close_date id name owner '
          'pipeline_id probability probability_overridden stage_entered_at stage_id status updated_at version',
          'section 5: changes: on deleted every non-null column');
SELECT is((SELECT changes -> 'amount' || (changes -> 'custom_fields.tags') || (changes -> 'version')
           FROM crm_deals.deal_event WHERE deal_id = :d AND version = 9),
          '[300, null, ["x"], null, 8, null]', 'section 5: changes: as they were');
-- Custom fields per key
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('c', '{"a": 1, "b": "x", "c": {"d": [1, 2]}, "k.l": true}');
CREATE FUNCTION t.custom(fields jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE crm_deals.deal SET custom_fields = fields WHERE name = 'c';
    RETURN (SELECT changes FROM crm_deals.deal_event WHERE deal_id = t.deal('c') ORDER BY version DESC LIMIT 1);
END
$$;
SELECT is(t.custom('{"a": 2, "b": "x", "c": {"d": [1, 2]}, "k.l": true}'), '{"custom_fields.a": [1, 2]}',
          'section 5: custom fields per key: changed');
SELECT is(t.custom('{"a": 2, "c": {"d": [1, 2]}, "k.l": true, "n": [], "o": {}}'),
          '{"custom_fields.b": ["x", null], "custom_fields.n": [null, []], "custom_fields.o": [null, {}]}',
          'section 5: custom fields per key: gone and new');
SELECT is(t.custom('{"a": 2, "c": {"d": [1, 3]}, "k.l": false, "n": [], "o": {}}'),
          '{"custom_fields.c": [{"d": [1, 2]}, {"d": [1, 3]}], "custom_fields.k.l": [true, false]}',
          'section 5: custom fields per key: within');
SELECT is(t.custom('{}'),
          '{"custom_fields.a": [2, null], "custom_fields.c": [{"d": [1, 3]}, '
          'null], "custom_fields.n": [[], null], "custom_fields.o": [{}, null], "custom_fields.k.l": [false, null]}',
          'section 5: custom fields per key: all gone');
SELECT is(t.custom('{"z": "ü \" \\ \u2192", "": 1}'),
          '{"custom_fields.z": [null, "ü \" \\ →"], "custom_fields.": [null, 1]}',
          'section 5: custom fields per key: any text, any key');
SELECT is((SELECT version FROM crm_deals.deal WHERE name = 'c'), 6, 'rule 6: each was one change');
UPDATE crm_deals.deal SET custom_fields = '{"": 1.00, "z": "ü \" \\ →"}' WHERE name = 'c';
SELECT is((SELECT version FROM crm_deals.deal WHERE name = 'c') IN (6, 7), true,
          'section 5: the same number at another scale breaks nothing');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
-- With a JSON null in custom fields the event still tells the old value and the new one.
SELECT t.custom('{"x": null, "y": 1}') AS first \gset
SELECT is(:'first'::jsonb -> 'custom_fields' -> 1, '{"x": null, "y": 1}',
          'section 5: a JSON null among the custom fields is in the event');
SELECT is(t.custom('{"y": 1}') -> 'custom_fields', '[{"x": null, "y": 1}, {"y": 1}]', 'section 5: and that it went');

-- occurred_at: the clock, later than the deal's previous event, equal to the stamps
INSERT INTO crm_deals.deal (name) VALUES ('o');
BEGIN;
UPDATE crm_deals.deal SET amount = 1 WHERE name = 'o';
SELECT pg_sleep(0.01) AS none \gset
UPDATE crm_deals.deal SET amount = 2 WHERE name = 'o';
SELECT is((SELECT max(occurred_at) - min(occurred_at) >= interval '0.01 s' FROM crm_deals.deal_event
           WHERE deal_id = t.deal('o') AND version > 1),
          true, 'section 5: occurred_at is the clock, not the start of the transaction');
COMMIT;
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal SET updated_at = '2099-01-01 00:00:00Z' WHERE name = 'o';
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
UPDATE crm_deals.deal SET amount = 3 WHERE name = 'o';
SELECT is((SELECT occurred_at = '2099-01-01 00:00:00.000001Z' FROM crm_deals.deal_event
           WHERE deal_id = t.deal('o') AND version = 4),
          true, 'section 5: raised to 1 µs after the previous event where it would not be later');
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'o';
SELECT is((SELECT ARRAY[closed_at, stage_entered_at, d.updated_at] = array_fill(e.occurred_at, '{3}')
                  AND e.occurred_at = '2099-01-01 00:00:00.000002Z'
           FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id AND e.version = d.version
           WHERE name = 'o'),
          true, 'section 5: the stamps equal it');
SELECT t.deal('o') AS o \gset
DELETE FROM crm_deals.deal WHERE name = 'o';
SELECT is((SELECT occurred_at = '2099-01-01 00:00:00.000003Z' FROM crm_deals.deal_event
           WHERE deal_id = :o AND kind = 'deleted'),
          true, 'section 5: of a delete, too');

-- Append-only, for its owner too
SELECT is(current_user::text,
          (SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 'crm_deals.deal_event'::regclass),
          'section 2: the tables are the caller''s of install()');
SELECT is(t.dry(v.statement), v.result, 'section 5: ' || v.statement)
FROM (VALUES ('UPDATE crm_deals.deal_event SET note = ''x''', '42501 deal_event'),
             ('UPDATE crm_deals.deal_event SET note = ''x'' WHERE false', '42501 deal_event'),
             ('DELETE FROM crm_deals.deal_event', '42501 deal_event'),
             ('TRUNCATE crm_deals.deal_event', '42501 deal_event'), ('TRUNCATE crm_deals.deal CASCADE', '42501 deal'),
             ('INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, '
              'session_user_name, pipeline_id, changes) VALUES (1, 1, 1, 1, ''created'', now(), ''a'', ''a'', 1, '
              '''{}'')',
              '428C9')) AS v (statement, result);
SELECT is(t.dry($$MERGE INTO crm_deals.deal_event AS e USING (VALUES (1)) AS v (n) ON e.version = v.n
                  WHEN MATCHED THEN DELETE$$),
          '42501 deal_event', 'section 5: MERGE into the log');
SELECT is((SELECT count(*) FROM pg_constraint WHERE conrelid = 'crm_deals.deal_event'::regclass AND contype = 'f'),
          0::bigint, 'section 5: the log has no foreign key');
-- crm_deals.allow_truncate
SET crm_deals.allow_truncate = on;
SELECT is(t.dry('TRUNCATE crm_deals.deal CASCADE'), 'done',
          'section 5: crm_deals.allow_truncate permits TRUNCATE of deals');
SELECT is(t.dry('DELETE FROM crm_deals.deal_event'), '42501 deal_event', 'section 5: but no DELETE from the log');
RESET crm_deals.allow_truncate;
SELECT t.drop_roles('regress_crm_owner') AS none \gset
CREATE ROLE regress_crm_owner;
SELECT is(t.dry('SET LOCAL crm_deals.allow_truncate = on', 'regress_crm_owner'), '42501',
          'section 5: it takes a superuser');
SELECT t.drop_roles('regress_crm_owner') AS none \gset

SELECT * FROM finish();
