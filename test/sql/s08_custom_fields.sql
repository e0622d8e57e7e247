\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: custom fields against their definitions.
INSERT INTO crm_deals.custom_field (entity, key, type, options, required) VALUES
    ('deal', 'text', 'text', NULL, false), ('deal', 'number', 'number', NULL, false),
    ('deal', 'boolean', 'boolean', NULL, false), ('deal', 'date', 'date', NULL, false),
    ('deal', 'select', 'select', '["small", "large", "größer"]', false),
    ('deal', 'multi', 'multiselect', '["a", {"value": "b", "labels": {"de": "B"}}]', false);
CREATE FUNCTION t.with_fields(fields jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT t.dry(format('INSERT INTO crm_deals.deal (name, custom_fields) VALUES (''x'', %L)', fields))
$$;
SELECT is(t.with_fields(v.fields::jsonb), 'done', 'section 8: as defined: ' || v.fields)
FROM (VALUES ('{}'), ('{"text": ""}'), ('{"text": "any"}'), ('{"number": -1.5e3}'), ('{"boolean": false}'),
             ('{"date": "2024-02-29"}'), ('{"date": "0001-01-01"}'), ('{"date": "9999-12-31"}'),
             ('{"select": "small"}'), ('{"select": "größer"}'), ('{"multi": []}'), ('{"multi": ["a", "b"]}'),
             ('{"text": null, "number": null, "select": null, "multi": null}'),
             ('{"other": {"anything": [1, "x", null]}}')) AS v (fields);
SELECT is(t.with_fields(v.fields::jsonb), '23514 deal.custom_fields deal_custom_fields',
          'section 8: not as defined: ' || v.fields)
FROM (VALUES ('{"text": 5}'), ('{"text": ["a"]}'), ('{"text": {}}'), ('{"number": "5"}'), ('{"number": ""}'),
             ('{"boolean": []}'), ('{"number": true}'), ('{"boolean": "true"}'), ('{"boolean": 0}'),
             ('{"date": "2023-02-29"}'), ('{"date": "29.02.2024"}'), ('{"date": "2024-2-9"}'),
             ('{"date": "2024-02-29T00:00:00Z"}'), ('{"date": 20240229}'), ('{"date": ""}'), ('{"date": "0000-01-01"}'),
             ('{"select": "medium"}'), ('{"select": ["small"]}'), ('{"select": "Small"}'), ('{"select": ""}'),
             ('{"multi": "a"}'), ('{"multi": ["a", "c"]}'), ('{"multi": [["a"]]}'), ('{"multi": {"a": 1}}'),
             ('{"multi": [null]}'), ('{"multi": [{"value": "b"}]}')) AS v (fields);
SELECT is(t.error($$INSERT INTO crm_deals.deal (name, custom_fields)
                    VALUES ('x', '{"number": "x", "select": "y", "text": "fine"}')$$,
                  'detail') ~ 'number(.|\n)*select',
          true, 'section 8: the error names all that are wrong');
-- On UPDATE the keys that change
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('d', '{"text": "a", "later": 5, "select": "small"}');
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'later', 'text');
UPDATE crm_deals.custom_field SET options = '["large"]' WHERE key = 'select';
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"text": "b"}'$$), 'done',
          'section 8: an UPDATE is checked for the keys it changes');
SELECT is(t.dry($$UPDATE crm_deals.deal SET amount = 5, stage_id = t.stage('won')$$), 'done',
          'section 8: a move checks none');
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"later": 6}'$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: a key that changes is checked');
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"select": "small", "text": "b"}'$$),
          'done', 'section 8: one that stays is not, though its option is gone');
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields - 'later'$$), 'done',
          'section 8: a key may go');
-- required
UPDATE crm_deals.custom_field SET required = true WHERE key = 'number';
SELECT is(t.with_fields('{}'), '23514 deal.custom_fields deal_custom_fields', 'section 8: a required field on INSERT');
SELECT is(t.with_fields('{"number": null}'), '23514 deal.custom_fields deal_custom_fields',
          'section 8: null is not filled in');
SELECT is(t.with_fields('{"number": 0}'), 'done', 'section 8: 0 is');
SELECT is(t.dry($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"text": "b"}'$$), 'done',
          'section 8: a deal from before is not asked when other keys change');
SELECT is(t.after($$UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"number": 5}';
                    UPDATE crm_deals.deal SET custom_fields = custom_fields - 'number'$$,
                  'SELECT 1'),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: nor may it lose one');
DELETE FROM crm_deals.custom_field WHERE key = 'number';
SELECT is(t.with_fields('{"number": "text"}'), 'done', 'section 8: without a definition a key is kept as it is');
-- Upserts: judged on rows really inserted
INSERT INTO crm_deals.deal (name, external_id) VALUES ('e', 'e');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, external_id, custom_fields) VALUES ('e', 'e', '{"date": "never"}')
                  ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO NOTHING$$),
          'done', 'section 8: DO NOTHING checks nothing');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, external_id, custom_fields) VALUES ('e', 'e', '{"date": "never"}')
                  ON CONFLICT (organization, external_id)
                  WHERE external_id IS NOT NULL DO UPDATE SET custom_fields = excluded.custom_fields$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: DO UPDATE does');
-- The definition of an organization goes before the system-wide one.
SELECT crm_deals.create_pipeline('Acme', organization => 'acme') AS acme \gset
INSERT INTO crm_deals.custom_field (organization, entity, key, type)
VALUES ('acme', 'deal', 'text', 'number'), ('globex', 'deal', 'only', 'number');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, organization, custom_fields) VALUES ('x', 'acme', '{"text": 5}')$$),
          'done', 'section 8: an organization''s own definition goes before');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, organization, custom_fields)
                  VALUES ('x', 'acme', '{"text": "a"}')$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: and alone counts');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, organization, custom_fields)
                  VALUES ('x', 'acme', '{"date": "never"}')$$),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: beside it the system-wide ones hold');
SELECT is(t.with_fields('{"only": "text"}'), 'done', 'section 8: another organization''s definition does not');
-- Leads, accounts, contacts
INSERT INTO crm_deals.custom_field (entity, key, type)
SELECT entity, 'since', 'date'
FROM unnest('{lead,account,contact}'::text[]) AS entity;
INSERT INTO crm_deals.custom_field (organization, entity, key, type) VALUES ('acme', 'account', 'since', 'number');
SELECT is(t.dry(format('INSERT INTO crm_deals.%I (%I, custom_fields) VALUES (''x'', %L)', v.entity, v.name,
                       '{"since": "2020-01-01", "other": 1}')),
          'done', 'section 8: ' || v.entity || ': as defined'),
       is(t.dry(format('INSERT INTO crm_deals.%I (%I, custom_fields) VALUES (''x'', %L)', v.entity, v.name,
                       '{"since": "long ago"}')),
          format('23514 %1$s.custom_fields %1$s_custom_fields', v.entity),
          'section 8: ' || v.entity || ': not as defined'),
       is(t.after(format('INSERT INTO crm_deals.%1$I (%2$I, custom_fields) '
                         'VALUES (''x'', ''{"since": "2020-01-01"}''); '
                         'UPDATE crm_deals.%1$I SET custom_fields = ''{"since": 5}''',
                         v.entity, v.name),
                  'SELECT 1'),
          format('23514 %1$s.custom_fields %1$s_custom_fields', v.entity),
          'section 8: ' || v.entity || ': on UPDATE, too'),
       is(t.dry(format('INSERT INTO crm_deals.%I (%I, custom_fields) VALUES (''x'', ''[]'')', v.entity, v.name)),
          format('23514 %1$s %1$s_custom_fields', v.entity),
          'section 3: ' || v.entity || ': custom fields are an object')
FROM (VALUES ('lead', 'company_name'), ('account', 'name'), ('contact', 'first_name')) AS v (entity, name);
SELECT is(t.dry($$INSERT INTO crm_deals.account (name, organization, custom_fields)
                  VALUES ('x', 'acme', '{"since": 5}')$$),
          'done', 'section 8: account: of an organization');
-- Definitions
SELECT is(t.dry(format('INSERT INTO crm_deals.custom_field (entity, key, type, options) VALUES (%L, %L, %L, %L)',
                       v.entity, v.key, v.type, v.options)),
          v.result, 'section 3: a definition: ' || concat_ws(' ', v.entity, v.key, v.type, v.options))
FROM (VALUES ('deal', 'new', 'text', NULL, 'done'),
             ('stage', 'new', 'text', NULL, '23514 custom_field custom_field_entity'),
             ('deal', ' ', 'text', NULL, '23514 custom_field custom_field_key'),
             ('deal', 'new', 'money', NULL, '23514 custom_field custom_field_type'),
             ('deal', 'date', 'text', NULL, '23505 custom_field custom_field_once'),
             ('deal', 'new', 'select', NULL, '23514 custom_field custom_field_has_options'),
             ('deal', 'new', 'select', '{}', '23514 custom_field custom_field_options'),
             ('deal', 'new', 'select', '[5]', '23514 custom_field custom_field_options'),
             ('deal', 'new', 'select', '[{"label": "x"}]', '23514 custom_field custom_field_options'),
             ('deal', 'new', 'select', '["a", {"value": "b", "labels": {"de": "B"}}]', 'done'))
         AS v (entity, key, type, options, result);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
