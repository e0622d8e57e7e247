\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: an external_id is one of its organization: what one organization has is no matter of another's rows.
SET crm_deals.notify = off;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT crm_deals.create_pipeline('Sales', organization => 'acme') AS acme,
       crm_deals.create_pipeline('Second', organization => 'acme') AS second,
       crm_deals.create_pipeline('Sales', organization => 'globex') AS globex \gset
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';

-- The outcomes of rows 'external_id organization', in the order of the rows, which are named by their place.
CREATE FUNCTION t.import(VARIADIC lines text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp.source;
    CREATE TEMPORARY TABLE source AS
        SELECT split_part(l.line, ' ', 1) AS external_id, 'row ' || l.place AS name,
               nullif(split_part(l.line, ' ', 2), '-') AS organization
        FROM unnest(lines) WITH ORDINALITY AS l (line, place) ORDER BY l.place;
    RETURN (SELECT string_agg(concat_ws(': ', i.outcome, i.detail), ', ' ORDER BY i.row_number)
            FROM crm_deals.import_deals('source') AS i);
END
$$;
CREATE FUNCTION t.deals() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s of %s is %s', d.external_id, coalesce(d.organization, 'all'), d.name), ', '
                      ORDER BY d.external_id, d.organization NULLS FIRST)
    FROM crm_deals.deal AS d
$$;
-- Twice in one organization, in every order with the rows of others
SELECT is(t.after('SELECT 1', format('SELECT t.import(VARIADIC %L)', v.lines)), v.wanted,
          'import: ' || array_to_string(v.lines, ', '))
FROM (VALUES ('{x acme,x globex,x -}'::text[], 'created, created, created'),
             ('{x acme,x acme,x globex}', 'created, rejected: Row 1 has the same external_id., created'),
             ('{x acme,x globex,x acme}', 'created, created, rejected: Row 1 has the same external_id.'),
             ('{x globex,x acme,x acme}', 'created, created, rejected: Row 2 has the same external_id.'),
             ('{x -,x -,x acme}', 'created, rejected: Row 1 has the same external_id., created'),
             ('{x acme,x -,x -}', 'created, created, rejected: Row 2 has the same external_id.'),
             ('{x acme,x acme,x -}', 'created, rejected: Row 1 has the same external_id., created'),
             ('{x acme,x -,x acme,x -,x globex}',
              'created, created, rejected: Row 1 has the same external_id., rejected: Row 2 has the same external_id., '
              'created'),
             ('{x acme,y acme,x globex,y globex}', 'created, created, created, created')) AS v (lines, wanted);
-- The same where the deals are there
SELECT is(t.import('x acme', 'x globex', 'x -'), 'created, created, created',
          'import: the same external_id in three organizations');
SELECT is(t.import('x -', 'x -', 'x acme', 'x globex'),
          'updated, rejected: Row 1 has the same external_id., updated, updated', 'import: again, one of them twice');
SELECT is(t.deals(), 'x of all is row 1, x of acme is row 3, x of globex is row 4',
          'import: each has its own row''s name');
SELECT is(t.import('x globex'), 'updated', 'import: one of them');
SELECT is(t.deals(), 'x of all is row 1, x of acme is row 3, x of globex is row 1',
          'import: the others stay as they are');
-- Other pipelines of the organization are the same organization.
CREATE TEMPORARY TABLE by_pipeline (external_id text, name text, pipeline_id bigint);
INSERT INTO by_pipeline VALUES ('y', 'first', :acme), ('y', 'second', :second), ('y', 'third', :globex);
SELECT is((SELECT string_agg(concat_ws(': ', i.outcome, i.detail), ', ' ORDER BY i.row_number)
           FROM crm_deals.import_deals('by_pipeline', columns => '{"pipeline_id": "pipeline_id"}') AS i),
          'created, rejected: Row 1 has the same external_id., created', 'import: two pipelines of one organization');
-- Merged deals: an alias is one of its organization, too.
SELECT t.import('z acme', 'w acme') AS none \gset
SELECT crm_deals.merge_deals(w.id, z.id) AS none
FROM crm_deals.deal AS w, crm_deals.deal AS z WHERE w.external_id = 'w' AND z.external_id = 'z' \gset
SELECT is(t.after('SELECT 1', format('SELECT t.import(VARIADIC %L)', v.lines)), v.wanted,
          'import after a merge: ' || array_to_string(v.lines, ', '))
FROM (VALUES ('{z acme}'::text[], 'updated'), ('{z globex}', 'created'), ('{z -}', 'created'),
             ('{z globex,z acme}', 'created, unchanged'),
             ('{w acme,z acme,z globex,w globex}', 'updated, rejected: Row 1 is the same deal., created, created'),
             ('{w globex,z globex,w acme,z acme}', 'created, created, updated, rejected: Row 3 is the same deal.'),
             ('{w -,z acme}', 'created, unchanged')) AS v (lines, wanted);
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
