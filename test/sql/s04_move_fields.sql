\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Sections 4 and 12: the fields that move_deal() writes, what check_move() tells a program, how a stage is named.
ALTER TABLE crm_deals.deal ADD COLUMN "Größe d" integer, ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED;
UPDATE crm_deals.stage SET required_fields = '{amount,custom_fields.legal}' WHERE id = t.stage('qualified');
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('d', '{"a": 1, "b": 2}');
CREATE FUNCTION t.row_of(wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', s.key, d.amount, d.twice, d.notes, d.lost_reason, d.custom_fields, d."Größe d", 'v' || d.version)
            FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id WHERE d.name = wanted);
END
$$;
CREATE FUNCTION t.move(to_stage text, fields text) RETURNS text LANGUAGE sql
RETURN format('SELECT crm_deals.move_deal(t.deal(''d''), %L, fields => %L)', to_stage, fields);

SELECT is((SELECT string_agg(rule || ' ' || data, ', ') FROM crm_deals.check_move(t.deal('d'), 'qualified')),
          'required_fields {"missing": ["amount", "custom_fields.legal"]}', 'check_move: which fields are missing');
SELECT is(t.after('INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (1, ''price''), (1, ''time'')',
                  'SELECT data FROM crm_deals.check_move(t.deal(''d''), ''lost'')'),
          '{"reasons": ["price", "time"]}', 'check_move: which reasons there are');
SELECT is((SELECT outcome || ' ' || detail FROM crm_deals.move_deals(ARRAY[t.deal('d')], 'qualified')),
          'rejected required_fields: Stage "Qualified" needs amount, custom_fields.legal.',
          'move_deals: the detail says the rule and the reason');
SELECT is(t.dry('SELECT crm_deals.move_deal(t.deal(''d''), ''qualified'')'), '23514 deal.stage_id deal_required_fields',
          'move_deal: without the fields it is refused');
SELECT is(t.after(t.move(v.stage, v.fields), 'SELECT t.row_of(''d'')'), v.result, 'move_deal: fields ' || v.fields)
FROM (VALUES ('qualified', '{"amount": 5, "custom_fields.legal": "ann", "custom_fields.a": null, "Größe d": "7"}',
              'qualified 5 10 {"b": 2, "legal": "ann"} 7 v2'),
             ('qualified', '{"amount": 5, "custom_fields": {"legal": "x"}, "notes": "n"}',
              'qualified 5 10 n {"legal": "x"} v2'),
             ('qualified', '{"amount": 5, "custom_fields": {"q": 1}, "custom_fields.legal": {"x": [1]}}',
              'qualified 5 10 {"q": 1, "legal": {"x": [1]}} v2'),
             ('lost', '{"lost_reason": "price"}', 'lost price {"a": 1, "b": 2} v2'),
             ('lead', '{"notes": "here"}', 'lead here {"a": 1, "b": 2} v2'),
             ('lead', '{"notes": null, "custom_fields": null}', 'lead {"a": 1, "b": 2} v1'),
             ('lead', '{}', 'lead {"a": 1, "b": 2} v1'),
             ('qualified', '{"amount": -1, "custom_fields.legal": 1}', '23514 deal deal_amount'),
             ('qualified', '{"amount": "much"}', '22P02'),
             ('lead', '{"custom_fields": 5}', '23514 deal.custom_fields deal_custom_fields'),
             ('lead', '{"custom_fields": [1], "custom_fields.a": 2}', '23514 deal.custom_fields deal_custom_fields'),
             ('lead', '{"nowhere": 1}', '22023'), ('lead', '{"custom_fields.": 1}', '22023'), ('lead', '[1]', '22023'),
             ('lead', '"x"', '22023'), ('lead', '{"twice": 1}', '22023'), ('lead', '{"ctid": 1}', '22023'),
             ('lead', '{"": 1}', '22023'), ('lead', '{"name\" = 1 --": 1}', '22023')) AS v (stage, fields, result);
SELECT is(t.dry(t.move('lead', jsonb_build_object(a.attname, null)::text)), '22023', 'move_deal: derived: ' || a.attname)
FROM pg_attribute AS a
WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0
  AND a.attname IN ('id', 'organization', 'pipeline_id', 'stage_id', 'status', 'probability_overridden', 'version',
                    'last_open_stage_id', 'stage_entered_at', 'created_at', 'updated_at')
ORDER BY a.attname;
SELECT m.event_id, m.batch_id
FROM crm_deals.move_deal(t.deal('d'), 'qualified', note => 'go',
                         fields => '{"amount": 9, "custom_fields.legal": "ann"}') AS m \gset
SELECT is((SELECT id || ' ' || batch_id FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1),
          :event_id || ' ' || :batch_id, 'move_deal: its event and its batch');
SELECT is((SELECT kind || ' ' || array_to_string(ARRAY(
               SELECT k FROM jsonb_object_keys(changes) AS k WHERE k <> 'stage_entered_at' ORDER BY k), ' ')
           FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1),
          'stage_changed amount custom_fields.legal probability stage_id twice',
          'move_deal: one event has the move and the fields');
SELECT is((SELECT count(*) || ' ' || min(body) FROM crm_deals.activity), '1 go', 'move_deal: and one note');
SELECT is((SELECT concat_ws(' ', event_id, batch_id, 'none') FROM crm_deals.move_deal(t.deal('d'), 'qualified')), 'none',
          'move_deal: no event, no batch');
-- How a stage is named
SELECT is((SELECT stage_key FROM crm_deals.move_deal(t.deal('d'), v.text)), v.key, 'section 7: a stage is ' || v.what)
FROM (VALUES ('proposal', 'proposal', 'a key'), ('Lead', 'lead', 'a name'), ('Angebot', 'proposal', 'a label'),
             (t.stage('lead')::text, 'lead', 'an id as text')) AS v (text, key, what);
SELECT is(t.after('UPDATE crm_deals.stage SET labels = ''{"fr": "Lead"}'' WHERE key = ''won''; '
                  'UPDATE crm_deals.stage SET name = ''Angebot'' WHERE key = ''lost''',
                  format('SELECT string_agg(crm_deals_internal.find_stage(1, v.t)::text, '' '') FROM (VALUES (''Lead''), '
                         '(''Angebot'')) AS v (t)')),
          t.stage('lead') || ' ' || t.stage('lost'), 'section 7: a name comes before a label');
SELECT is(t.dry('SELECT crm_deals.move_deal(t.deal(''d''), ''nirgends'')'), 'P0002', 'section 10: an unknown one is P0002');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT * FROM finish();
