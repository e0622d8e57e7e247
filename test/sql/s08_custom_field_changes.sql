\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: definitions that are added, changed or removed, and the data that is there.
INSERT INTO crm_deals.custom_field (entity, key, type, options) SELECT e.entity, f.key, f.type, f.options
FROM unnest('{deal,lead,account,contact}'::text[]) AS e (entity),
     (VALUES ('text', 'text', NULL), ('number', 'number', NULL), ('boolean', 'boolean', NULL), ('date', 'date', NULL),
             ('select', 'select', '["a", {"value": "b", "labels": {"de": "B"}}]'::jsonb),
             ('multi', 'multiselect', '["a", "b"]')) AS f (key, type, options);
SELECT '{"text": "t", "number": 5, "boolean": true, "date": "2027-01-31", "select": "a", '
       '"multi": ["a", "b"], "free": {"x": 1}}' AS fields \gset
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('d', :'fields');
INSERT INTO crm_deals.lead (company_name, custom_fields) VALUES ('d', :'fields');
INSERT INTO crm_deals.account (name, custom_fields) VALUES ('d', :'fields');
INSERT INTO crm_deals.contact (first_name, custom_fields) VALUES ('d', :'fields');

-- A change of a definition leaves the rows as they are, and refuses no write that does not touch the field: a whole row
-- that comes back unchanged, a move, a change of another field, the removal of the field.
CREATE TABLE t.change (number integer GENERATED ALWAYS AS IDENTITY, statement text, key text);
INSERT INTO t.change (statement, key) VALUES
    ('DELETE FROM crm_deals.custom_field WHERE key = ''text''', 'text'),
    ('DELETE FROM crm_deals.custom_field', 'number'),
    ('UPDATE crm_deals.custom_field SET key = ''renamed'' WHERE key = ''number''', 'number'),
    ('UPDATE crm_deals.custom_field SET key = ''free'' WHERE key = ''number''', 'free'),
    ('UPDATE crm_deals.custom_field SET type = ''number'' WHERE key = ''text''', 'text'),
    ('UPDATE crm_deals.custom_field SET type = ''text'' WHERE key = ''number''', 'number'),
    ('UPDATE crm_deals.custom_field SET type = ''date'' WHERE key = ''boolean''', 'boolean'),
    ('UPDATE crm_deals.custom_field SET type = ''boolean'' WHERE key = ''date''', 'date'),
    ('UPDATE crm_deals.custom_field SET type = ''multiselect'' WHERE key = ''select''', 'select'),
    ('UPDATE crm_deals.custom_field SET type = ''select'' WHERE key = ''multi''', 'multi'),
    ('UPDATE crm_deals.custom_field SET type = ''select'', options = ''["x"]'' WHERE key = ''text''', 'text'),
    ('UPDATE crm_deals.custom_field SET options = ''["b"]'' WHERE key = ''select''', 'select'),
    ('UPDATE crm_deals.custom_field SET options = ''[]'' WHERE key = ''select''', 'select'),
    ('UPDATE crm_deals.custom_field SET options = ''["b", "c"]'' WHERE key = ''multi''', 'multi'),
    ('INSERT INTO crm_deals.custom_field (entity, key, type) '
     'SELECT unnest(''{deal,lead,account,contact}''::text[]), ''free'', ''number''',
     'free'),
    ('INSERT INTO crm_deals.custom_field (entity, key, type, required) '
     'SELECT unnest(''{deal,lead,account,contact}''::text[]), ''new'', ''text'', true',
     'new');
CREATE FUNCTION t.writes(entity text, key text) RETURNS TABLE (what text, statement text) LANGUAGE sql AS $$
    SELECT w.what, format(w.statement, 'crm_deals.' || entity, key)
    FROM (VALUES ('the whole row again', 'UPDATE %1$s SET custom_fields = (custom_fields::text)::jsonb'),
                 ('another field', 'UPDATE %1$s SET custom_fields = custom_fields || ''{"other": 1}'''),
                 ('another column', 'UPDATE %1$s SET external_id = ''x'''),
                 ('the field goes', 'UPDATE %1$s SET custom_fields = custom_fields - %2$L'),
                 ('the same number in another scale',
                  'UPDATE %1$s SET custom_fields = CASE WHEN custom_fields ? ''number'' THEN custom_fields || '
                  '''{"number": 5.00}'' ELSE custom_fields END')) AS w (what, statement)
    UNION ALL
    SELECT 'a move', 'SELECT crm_deals.move_deal(t.deal(''d''), ''won'')' WHERE entity = 'deal'
    UNION ALL
    SELECT 'a conversion of names only',
           'SELECT crm_deals.convert_lead(id, create_deal => false, use_account => (SELECT id::text '
           'FROM crm_deals.account)) FROM crm_deals.lead'
    WHERE entity = 'lead'
    UNION ALL
    SELECT 'a delete', format('DELETE FROM crm_deals.%I', entity)
$$;
SELECT is((SELECT string_agg(w.what || ': ' || r.result, ', ')
           FROM unnest('{deal,lead,account,contact}'::text[]) AS e (entity), t.writes(e.entity, c.key) AS w,
                t.dry(c.statement || '; ' || w.statement) AS r (result)
           WHERE r.result <> 'done'),
          NULL, 'section 8: no write is refused that leaves the field, or removes it: ' || c.statement)
FROM t.change AS c ORDER BY c.number;
SELECT is((SELECT string_agg(
               t.after(c.statement, format('SELECT custom_fields = %L FROM crm_deals.%I', :'fields', e.entity)), ' ')
           FROM unnest('{deal,lead,account,contact}'::text[]) AS e (entity)),
          'true true true true', 'section 8: the data stays: ' || c.statement)
FROM t.change AS c ORDER BY c.number;
SELECT is(t.after(c.statement, 'SELECT count(*) FROM crm_deals.verify()'), '0',
          'section 4: nor does verify() complain: ' || c.statement)
FROM t.change AS c ORDER BY c.number;
-- A change of the field is checked by the present definition.
SELECT is((SELECT string_agg(DISTINCT regexp_replace(
                                 t.dry(v.change
                                       || format('; UPDATE crm_deals.%I SET custom_fields = custom_fields || %L',
                                                 e.entity, v.value)),
                                 e.entity, 'ENTITY', 'g'),
                             ' ')
           FROM unnest('{deal,lead,account,contact}'::text[]) AS e (entity)),
          v.result, format('section 8: then %s: %s', v.value, v.change))
FROM (VALUES ('DELETE FROM crm_deals.custom_field WHERE key = ''number''', '{"number": "many"}', 'done'),
             ('UPDATE crm_deals.custom_field SET type = ''text'' WHERE key = ''number''', '{"number": "many"}', 'done'),
             ('UPDATE crm_deals.custom_field SET type = ''text'' WHERE key = ''number''', '{"number": 6}',
              '23514 ENTITY.custom_fields ENTITY_custom_fields'),
             ('UPDATE crm_deals.custom_field SET options = ''["b", "c"]'' WHERE key = ''select''', '{"select": "c"}',
              'done'),
             ('UPDATE crm_deals.custom_field SET options = ''["b"]'' WHERE key = ''select''', '{"select": "b"}',
              'done'),
             ('UPDATE crm_deals.custom_field SET options = ''["x", "a"]'' WHERE key = ''select''', '{"select": "b"}',
              '23514 ENTITY.custom_fields ENTITY_custom_fields'),
             ('UPDATE crm_deals.custom_field SET options = ''["a"]'' WHERE key = ''multi''', '{"multi": ["a"]}',
              'done'),
             ('UPDATE crm_deals.custom_field SET options = ''["a"]'' WHERE key = ''multi''', '{"multi": ["b"]}',
              '23514 ENTITY.custom_fields ENTITY_custom_fields'),
             ('INSERT INTO crm_deals.custom_field (entity, key, type) '
              'SELECT unnest(''{deal,lead,account,contact}''::text[]), ''free'', ''number''',
              '{"free": "x"}', '23514 ENTITY.custom_fields ENTITY_custom_fields'),
             ('INSERT INTO crm_deals.custom_field (entity, key, type) '
              'SELECT unnest(''{deal,lead,account,contact}''::text[]), ''free'', ''number''',
              '{"free": 7}', 'done'),
             ('UPDATE crm_deals.custom_field SET key = ''renamed'' WHERE key = ''number''', '{"renamed": "x"}',
              '23514 ENTITY.custom_fields ENTITY_custom_fields'),
             ('UPDATE crm_deals.custom_field SET key = ''renamed'' WHERE key = ''number''', '{"number": "x"}', 'done'),
             ('UPDATE crm_deals.custom_field SET organization = ''acme''', '{"number": "x"}', 'done'),
             ('UPDATE crm_deals.custom_field SET entity = ''deal'', key = entity || key WHERE entity <> ''deal''',
              '{"deal": "x"}', 'done'),
             ('UPDATE crm_deals.custom_field SET required = true', '{"text": ""}',
              '23514 ENTITY.custom_fields ENTITY_custom_fields'),
             ('UPDATE crm_deals.custom_field SET required = true', '{"text": "u"}', 'done'),
             ('TRUNCATE crm_deals.custom_field', '{"number": "x"}', 'done')) AS v (change, value, result);
-- The order of two statements in a transaction, and of a rolled back change
BEGIN;
DELETE FROM crm_deals.custom_field WHERE key = 'number';
SAVEPOINT s;
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'number', 'date');
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"number": 6}'$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: a definition counts from the next statement on');
ROLLBACK TO s;
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"number": "x"}'$$), 'done',
          'section 8: one that was rolled back does not');
ROLLBACK;
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"number": "x"}'$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: one whose removal was rolled back does');
-- Undone and restored values were legal when they were written, so undo and restore do not check them.
SELECT crm_deals.create_pipeline('Two') AS two \gset
UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"select": "b"}' WHERE name = 'd';
SELECT max(batch_id) AS batch FROM crm_deals.deal_event \gset
UPDATE crm_deals.custom_field SET options = '["b"]' WHERE entity = 'deal' AND key = 'select';
SELECT is(t.after(format('SELECT * FROM crm_deals.undo_batch(%s)', :batch),
                  'SELECT custom_fields ->> ''select'' FROM crm_deals.deal WHERE name = ''d'''),
          'a', 'section 5: undo_batch puts back an option that is gone');
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('gone', '{"number": 1}') RETURNING id AS gone \gset
DELETE FROM crm_deals.deal WHERE name = 'gone';
UPDATE crm_deals.custom_field SET type = 'text' WHERE entity = 'deal' AND key = 'number';
SELECT is(t.after(format('SELECT crm_deals.restore_deal(%s)', :gone),
                  'SELECT custom_fields ->> ''number'' FROM crm_deals.deal WHERE name = ''gone'''),
          '1', 'section 5: restore_deal brings back a value of another type');
-- A stage may require a field that has no definition.
UPDATE crm_deals.stage SET required_fields = '{custom_fields.date}' WHERE id = t.stage('proposal');
DELETE FROM crm_deals.custom_field WHERE key = 'date';
SELECT is(t.dry('SELECT crm_deals.move_deal(t.deal(''d''), ''proposal'')'), 'done',
          'section 4: a required field without a definition, filled');
SELECT is(t.after('UPDATE crm_deals.deal SET custom_fields = custom_fields - ''date''; '
                  'SELECT crm_deals.move_deal(t.deal(''d''), ''proposal'')',
                  'SELECT 1'),
          '23514 deal.stage_id deal_required_fields', 'section 4: and missing');
-- Options
SELECT is(t.dry(format('UPDATE crm_deals.custom_field SET options = %L WHERE entity = ''deal'' AND key = ''select''',
                       v.options)),
          v.result, 'section 3: options ' || coalesce(v.options, 'NULL'))
FROM (VALUES ('["a", {"value": "b", "labels": {"de": "B", "en": "B"}}]', 'done'), ('["a", "a"]', 'done'),
             (NULL, '23514 custom_field custom_field_has_options'),
             ('{"a": 1}', '23514 custom_field custom_field_options'),
             ('["a", 1]', '23514 custom_field custom_field_options'),
             ('[null]', '23514 custom_field custom_field_options'),
             ('[["a"]]', '23514 custom_field custom_field_options'),
             ('[{"value": 1}]', '23514 custom_field custom_field_options'),
             ('"a"', '23514 custom_field custom_field_options')) AS v (options, result);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
