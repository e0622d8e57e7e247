\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 5, required_fields: a deal needs these fields to enter a stage.
SELECT crm_deals.create_pipeline('Asks', '[{"name": "A", "required_fields": ["source"]},
    {"name": "B", "required_fields": ["amount", "custom_fields.budget"]}, {"name": "C"},
    {"name": "D", "required_fields": ["amount", "expected_close_date", "primary_contact_id"]},
    {"name": "Won", "key": "w", "status": "won", "required_fields": ["owner"]},
    {"name": "Lost", "key": "l", "status": "lost", "required_fields": ["notes"]},
    {"name": "Silent", "key": "s", "status": "abandoned"}]') AS asks \gset
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('x', t.stage('a', 'Asks'))$$),
          '23514 deal.stage_id deal_required_fields', 'rule 5 required_fields: an INSERT needs those of its stage');
INSERT INTO crm_deals.deal (name, stage_id, source) VALUES ('d', t.stage('a', 'Asks'), 'fair');
SELECT is(t.state('d'), 'a open 0 v1', 'rule 5 required_fields: with them it succeeds');
CREATE FUNCTION t.missing(stage_key text, settings text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT substring(t.error(format('UPDATE crm_deals.deal SET stage_id = %s, lost_reason = %L %s WHERE name = ''d''',
                                    t.stage(stage_key, 'Asks'),
                                    CASE stage_key WHEN 'l' THEN 'price' END, settings),
                             'detail') FROM 'needs (.*)\.$')
$$;
SELECT is(t.missing('b'), 'amount, custom_fields.budget',
          'rule 5 required_fields: the error names all that are missing at once');
SELECT is(t.missing('c'), 'amount, custom_fields.budget',
          'rule 5 required_fields: an open stage asks for those of the open stages before it');
SELECT is(t.missing('d'), 'amount, custom_fields.budget, expected_close_date, primary_contact_id',
          'rule 5 required_fields: and its own, each named once');
SELECT is(t.missing('w'), 'amount, custom_fields.budget, expected_close_date, primary_contact_id, owner',
          'rule 5 required_fields: so does a won one');
SELECT is(t.missing('l'), 'notes', 'rule 5 required_fields: a lost one asks for its own only');
SELECT is(t.missing('s'), NULL, 'rule 5 required_fields: an abandoned one, too: here none');
SELECT is(t.missing('d', ', amount = 5, expected_close_date = ''2030-01-01'''),
          'custom_fields.budget, primary_contact_id',
          'rule 5 required_fields: what the statement fills in counts');
SELECT is(t.dry($$UPDATE crm_deals.deal
                  SET stage_id = t.stage('b', 'Asks'), amount = 0, custom_fields = '{"budget": false}'
                  WHERE name = 'd'$$),
          'done', 'rule 5 required_fields: 0 and false are filled in');
SELECT is(t.missing('b', format(', amount = 5, custom_fields = %L', v.fields)), 'custom_fields.budget',
          'rule 5 required_fields: ' || v.fields || ' is not filled in')
FROM (VALUES ('{"budget": null}'), ('{"budget": ""}'), ('{"budget": "  "}'), ('{"Budget": 5}'),
             ('{"other": {"budget": 5}}')) AS v (fields);
SELECT is(t.missing('l', format(', notes = %L', v.notes)), 'notes', 'rule 5 required_fields: nor is a blank text')
FROM (VALUES (''), (E' \n')) AS v (notes);
-- A deal that stays is not judged.
UPDATE crm_deals.deal SET stage_id = t.stage('b', 'Asks'), amount = 5, custom_fields = '{"budget": 7}' WHERE name = 'd';
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = NULL, source = NULL WHERE name = 'd'$$),
          'done', 'rule 5 required_fields: judged on entering, not on staying');
SELECT is(t.after($$UPDATE crm_deals.deal SET amount = NULL WHERE name = 'd';
                    UPDATE crm_deals.deal SET stage_id = t.stage('s', 'Asks') WHERE name = 'd'$$,
                  $$SELECT t.state('d')$$),
          's abandoned 0 closed v4', 'rule 5 required_fields: abandoned is reachable without');
SELECT is(t.after($$UPDATE crm_deals.deal SET source = NULL WHERE name = 'd';
                    UPDATE crm_deals.deal SET stage_id = t.stage('a', 'Asks') WHERE name = 'd'$$,
                  $$SELECT t.state('d')$$),
          '23514 deal.stage_id deal_required_fields', 'rule 5 required_fields: going back is entering, too');
-- A change of the list counts at once. The list accepts only fields that exist.
UPDATE crm_deals.stage SET required_fields = '{}' WHERE id = t.stage('b', 'Asks');
SELECT is(t.missing('c', ', amount = NULL'), NULL, 'rule 5 required_fields: a list that was emptied asks for nothing');
SELECT alike(t.dry(format('UPDATE crm_deals.stage SET required_fields = %L WHERE id = t.stage(''b'', ''Asks'')',
                          v.fields)),
             '22023 stage.required_fields%',
             'rule 5 required_fields: ' || v.fields || ' are no fields')
FROM (VALUES ('{amuont}'), ('{custom_fields.}'), ('{""}'), ('{NULL}'), ('{ctid}')) AS v (fields);
-- A column of the user's own.
ALTER TABLE crm_deals.deal ADD COLUMN region text;
UPDATE crm_deals.stage SET required_fields = '{region}' WHERE id = t.stage('c', 'Asks');
SELECT is(t.missing('c'), 'region', 'rule 5 required_fields: any deal column, the user''s own, too');
SELECT is(t.missing('c', ', region = ''north'''), NULL, 'rule 5 required_fields: filled in it is fine');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
