\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: index_custom_field makes the index by which a custom field is filtered.
INSERT INTO crm_deals.custom_field (entity, key, type, options) VALUES
    ('deal', 'text', 'text', NULL), ('deal', 'number', 'number', NULL), ('deal', 'boolean', 'boolean', NULL),
    ('deal', 'date', 'date', NULL), ('deal', 'select', 'select', '["a", "b"]'),
    ('deal', 'multi', 'multiselect', '["a", "b"]'),
    ('lead', 'text', 'text', NULL), ('account', 'text', 'text', NULL), ('contact', 'text', 'text', NULL),
    ('deal', E'odd ''key'' \\ "x"', 'text', NULL), ('deal', 'odd key x', 'number', NULL),
    ('deal', repeat('ü', 100), 'text', NULL);
INSERT INTO crm_deals.deal (name, custom_fields)
SELECT 'd' || n,
       jsonb_build_object('text', 't' || n, 'number', n, 'boolean', n % 50 = 0, 'date', '2027-01-01'::date + n % 300,
                          'select', CASE WHEN n % 50 = 0 THEN 'b' ELSE 'a' END,
                          'multi', CASE WHEN n % 50 = 0 THEN '["b"]' ELSE '["a"]' END::jsonb,
                          E'odd ''key'' \\ "x"', n::text)
FROM generate_series(1, 3000) AS n;
SELECT is(regexp_replace(t.get(format('SELECT pg_get_indexdef(crm_deals.index_custom_field(%L, %L))', v.entity, v.key)),
                         '^.* USING ', ''),
          v.definition, 'section 8: index of ' || v.entity || ' ' || v.key)
FROM (VALUES ('deal', 'text', $$btree (((custom_fields ->> 'text'::text)))$$),
             ('deal', 'number',
              $$btree ((((custom_fields ->> 'number'::text))::numeric))$$
              || $$ WHERE (jsonb_typeof((custom_fields -> 'number'::text)) = 'number'::text)$$),
             ('deal', 'boolean', $$btree (((custom_fields ->> 'boolean'::text)))$$),
             ('deal', 'date', $$btree (((custom_fields ->> 'date'::text)))$$),
             ('deal', 'select', $$btree (((custom_fields ->> 'select'::text)))$$),
             ('deal', 'multi', $$gin (((custom_fields -> 'multi'::text)))$$),
             ('lead', 'text', $$btree (((custom_fields ->> 'text'::text)))$$),
             ('account', 'text', $$btree (((custom_fields ->> 'text'::text)))$$),
             ('contact', 'text', $$btree (((custom_fields ->> 'text'::text)))$$),
             ('deal', E'odd ''key'' \\ "x"', $$btree (((custom_fields ->> 'odd ''key'' \ "x"'::text)))$$),
             ('deal', 'odd key x',
              $$btree ((((custom_fields ->> 'odd key x'::text))::numeric))$$
              || $$ WHERE (jsonb_typeof((custom_fields -> 'odd key x'::text)) = 'number'::text)$$))
         AS v (entity, key, definition);
SELECT is(crm_deals.index_custom_field('deal', 'select')::text, 'crm_deals.deal_custom_select',
          'section 8: named after its field');
SELECT is((SELECT count(DISTINCT crm_deals.index_custom_field('deal', repeat('ü', 100))) FROM generate_series(1, 2)),
          1::bigint, 'section 8: a long key');
CREATE FUNCTION t.indexes() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes
    WHERE schemaname = 'crm_deals' AND indexname LIKE '%\_custom\_%'
$$;
SELECT t.indexes() AS indexes \gset
SELECT is((SELECT count(crm_deals.index_custom_field(f.entity, f.key)) FROM crm_deals.custom_field AS f), 12::bigint,
          'section 8: once more for all of them');
SELECT is(t.indexes(), :'indexes', 'section 8: idempotent');
CREATE INDEX by_hand ON crm_deals.lead ((custom_fields ->> 'hand'));
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('lead', 'hand', 'text');
SELECT is(crm_deals.index_custom_field('lead', 'hand')::text, 'crm_deals.by_hand',
          'section 8: one that was made by hand is the one');

-- Filters by these expressions use the indexes.
ANALYZE crm_deals.deal;
CREATE FUNCTION t.index_of_plan(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := 'no index';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT * FROM crm_deals.deal AS d WHERE ' || condition LOOP
        result := coalesce(substring(line FROM '(?:on|using) (deal_custom_\w+)'), result);
    END LOOP;
    RETURN result;
END
$$;
SELECT is(t.index_of_plan(v.condition), v.index, 'section 8: the plan of ' || v.condition)
FROM (VALUES ('d.custom_fields ->> ''text'' = ''t5''', 'deal_custom_text'),
             ('d.custom_fields ->> ''text'' = ANY (''{t5,t6}'')', 'deal_custom_text'),
             ('jsonb_typeof(d.custom_fields -> ''number'') = ''number'' AND (d.custom_fields ->> ''number'')::numeric '
              'BETWEEN 5 AND 9',
              'deal_custom_number'),
             ('jsonb_typeof(d.custom_fields -> ''number'') = ''number'' AND (d.custom_fields ->> ''number'')::numeric '
              '= 5',
              'deal_custom_number'),
             ('d.custom_fields ->> ''boolean'' = ''true''', 'deal_custom_boolean'),
             ('d.custom_fields ->> ''date'' = ''2027-03-01''', 'deal_custom_date'),
             ('d.custom_fields ->> ''date'' >= ''2027-10-25''', 'deal_custom_date'),
             ('d.custom_fields ->> ''select'' = ''b''', 'deal_custom_select'),
             ('d.custom_fields -> ''multi'' ?| ''{b}''', 'deal_custom_multi'),
             ('d.custom_fields ->> ''other'' = ''b''', 'no index')) AS v (condition, index);

-- When a definition changes, no index refuses a value that it allows.
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('x', '{"number": "many"}')$$),
          '23514 deal.custom_fields deal_custom_fields',
          'section 8: what is no number is refused by the definition, not by the index');
DELETE FROM crm_deals.custom_field WHERE key = 'number';
SELECT is(t.try($$INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('x', '{"number": "many"}')$$), 'done',
          'section 8: without a definition the index takes any value');
SELECT is(t.dry('SELECT crm_deals.index_custom_field(''deal'', ''number'')'), 'P0002',
          'section 8: an index takes a definition');
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'number', 'number');
SELECT is(t.after('DROP INDEX crm_deals.deal_custom_number; SELECT crm_deals.index_custom_field(''deal'', ''number'')',
                  'SELECT t.index_of_plan(''jsonb_typeof(d.custom_fields -> ''''number'''') = ''''number'''' '
                  'AND (d.custom_fields ->> ''''number'''')::numeric = 5'')'),
          'deal_custom_number', 'section 8: values from before the definition are not in its way');
SELECT is(t.dry('UPDATE crm_deals.deal SET amount = 1'), 'done', 'section 8: nor it in the way of a write to them');
INSERT INTO crm_deals.custom_field (organization, entity, key, type) VALUES ('acme', 'deal', 'number', 'text');
SELECT is(crm_deals.index_custom_field('deal', 'number')::text, 'crm_deals.deal_custom_number',
          'section 8: where organizations differ, the system''s own index');
SELECT is((SELECT count(*) FROM pg_indexes
           WHERE schemaname = 'crm_deals' AND tablename = 'deal' AND indexdef ~ '> ''number''::text'),
          2::bigint, 'section 8: and one of the other kind');
UPDATE crm_deals.custom_field SET type = 'number' WHERE key = 'text' AND entity = 'deal';
SELECT is(t.get($$SELECT pg_get_indexdef(crm_deals.index_custom_field('deal', 'text')) ~ 'numeric.*WHERE'$$), 'true',
          'section 8: another type, another index');
SELECT is((SELECT count(*) FROM pg_indexes
           WHERE schemaname = 'crm_deals' AND tablename = 'deal' AND indexdef ~ '''text''::text'),
          1::bigint, 'section 8: in place of the one before');
-- Errors
SELECT is(t.dry(format('SELECT crm_deals.index_custom_field(%L, %L)', v.entity, v.key)), v.result,
          format('section 10: no index of %L %L', v.entity, v.key))
FROM (VALUES ('deal', 'nowhere', 'P0002'), ('deal', '', 'P0002'), ('account', 'number', 'P0002'),
             ('stage', 'number', '22023'), ('', '', '22023'), (NULL, 'number', '22004'),
             ('deal', NULL, '22004')) AS v (entity, key, result);
SELECT is(t.error('SELECT crm_deals.index_custom_field(''account'', ''nowhere'')', 'detail'), 'There are "text".',
          'section 10: the error names those that are defined');
SELECT is(current_setting('lock_timeout'), '0', 'section 11: lock_timeout is as it was');
-- Who may
SELECT t.drop_roles('regress_crm_admin', 'regress_crm_manager') AS none \gset
CREATE ROLE regress_crm_admin;
CREATE ROLE regress_crm_manager;
SELECT crm_deals.grant_access('regress_crm_admin', 'admin'),
       crm_deals.grant_access('regress_crm_manager', 'manager') \gset none_
SELECT is(t.after('INSERT INTO crm_deals.custom_field (entity, key, type) VALUES (''deal'', ''new'', ''number''); '
                  'SELECT crm_deals.index_custom_field(''deal'', ''new''); '
                  'DELETE FROM crm_deals.custom_field WHERE key = ''new''; '
                  'INSERT INTO crm_deals.deal (name, custom_fields) VALUES (''x'', ''{"new": "text"}'')',
                  'SELECT current_user', 'regress_crm_admin'),
          'regress_crm_admin', 'section 9: admin: defines, indexes, removes, though it owns no table');
SELECT is(t.dry('SELECT crm_deals.index_custom_field(''deal'', ''date'')', 'regress_crm_manager'), '42501',
          'section 9: manager: not');
SELECT t.drop_roles('regress_crm_admin', 'regress_crm_manager') AS none \gset
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
