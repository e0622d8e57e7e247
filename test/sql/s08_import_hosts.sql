\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 8: import_deals() with the host's own tables.
CREATE SCHEMA "Host app";
CREATE TABLE "Host app"."Firms" ("Firm id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), company text NOT NULL,
                                 tenant text);
CREATE TABLE "Host app".people (id integer PRIMARY KEY, given text);
CREATE TABLE "Host app".users (login text PRIMARY KEY, name text);
INSERT INTO "Host app"."Firms"
VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', NULL),
       ('00000000-0000-0000-0000-000000000002', 'Globex', 'north'),
       ('00000000-0000-0000-0000-000000000003', 'Globex', 'south'),
       ('00000000-0000-0000-0000-000000000004', 'acme', 'south'),
       ('00000000-0000-0000-0000-000000000005', E'Acne\u00a0 ', NULL);
INSERT INTO "Host app".people VALUES (1, 'Ada');
INSERT INTO "Host app".users VALUES ('anna', 'Anna A.'), ('tom', 'Tom'), ('eve', 'Eve'), ('eva', 'eve ');
SELECT crm_deals.install(
    '"Host app"."Firms"', '"Host app".people', '"Host app".users',
    '{"account": {"name": "company", "organization": "tenant"}, "contact": {"first_name": "given"}}') AS version \gset
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
SELECT crm_deals.create_pipeline('South', organization => 'south') AS south \gset
CREATE FUNCTION t.import(arguments text DEFAULT '''source''') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', i.external_id, '
                   'i.outcome || coalesce('': '' || replace(i.detail, E''\n'', '' '') , '''')), ''; '' '
                   'ORDER BY i.row_number) '
                   'FROM crm_deals.import_deals(%s, columns => ''{"primary_contact_id": "primary_contact_id"}'') AS i',
                   arguments) INTO result;
    RETURN result;
END
$$;
CREATE TEMPORARY TABLE source (external_id text, name text, account text, owner text, organization text,
                               primary_contact_id text);
INSERT INTO source
VALUES ('a', 'A', 'acme', 'anna a.', NULL, '1'), ('b', 'B', 'acne', 'TOM', NULL, NULL),
       ('c', 'C', 'Globex', NULL, NULL, NULL), ('d', 'D', 'globex ', NULL, 'south', NULL),
       ('e', 'E', '00000000-0000-0000-0000-000000000009', 'nobody', NULL, NULL), ('f', 'F', NULL, 'Eve', NULL, '2'),
       ('g', 'G', 'ACME', NULL, 'south', NULL);
SELECT is(t.import(),
          'a created; b created; c rejected: Account "Globex" is ambiguous: it can be '
          '00000000-0000-0000-0000-000000000002, 00000000-0000-0000-0000-000000000003. Name it by its external id, or '
          'give its key in a column that "columns" maps to account_id.; d created; '
    'e rejected: Account "00000000-0000-0000-0000-000000000009" does not exist. It is looked for by external id, name '
    'and e-mail address. With create_accounts => true it is created. Owner "nobody" does not exist. It is looked for by '
    'external id, name and e-mail address.; f rejected: Owner "Eve" is ambiguous: it can be eva, eve. Name it by its '
    'external id, or give its key in a column that "columns" maps to owner_id. Contact 2 does not exist.; g created',
    'import: accounts and owners of the host by name, in their organization');
SELECT is((SELECT string_agg(concat_ws(' ', external_id, right(account_id::text, 1), owner, primary_contact_id),
                             ', ' ORDER BY external_id)
           FROM crm_deals.deal),
          'a 1 anna 1, b 5 tom, d 3, g 4', 'import: the keys that they mean');
-- Accounts made in the host's table, by a role of level write
SELECT t.drop_roles('t_import') \gset none_
CREATE ROLE t_import;
SELECT crm_deals.grant_access('t_import', 'write') \gset none_
DELETE FROM source;
INSERT INTO source
VALUES ('n1', 'N1', 'New', NULL, NULL, NULL), ('n2', 'N2', ' new', NULL, NULL, NULL),
       ('n3', 'N3', 'New', NULL, 'south', NULL);
GRANT SELECT ON source TO t_import;
SELECT is(t.get($$SELECT t.import('''source'', create_accounts => true')$$, 't_import'),
          'n1 created; n2 created; n3 created', 'import: create_accounts in the host''s table, as level write');
SELECT is((SELECT string_agg(concat_ws(' ', company, tenant), ', ' ORDER BY tenant NULLS FIRST) FROM "Host app"."Firms"
           WHERE company = 'New'),
          'New, New south', 'import: one of each organization');
ALTER TABLE "Host app"."Firms" ADD CONSTRAINT short CHECK (length(company) < 7);
DELETE FROM source;
INSERT INTO source VALUES ('o1', 'O1', 'Much too long', NULL, NULL, NULL), ('o2', 'O2', 'Short', NULL, NULL, NULL);
SELECT is((SELECT string_agg(outcome || coalesce(' ' || split_part(detail, E'\n', 1), ''), '; ' ORDER BY row_number)
           FROM crm_deals.import_deals('source', create_accounts => true,
                                       columns => '{"primary_contact_id": null}')),
          'rejected new row for relation "Firms" violates check constraint "short"; created',
          'import: what the host''s table refuses rejects the row');
SELECT is((SELECT string_agg(company, ', ' ORDER BY company) FROM "Host app"."Firms"
           WHERE length(company) > 4 AND company !~ '^Acne'),
          'Globex, Globex, Short', 'import: nothing of it is left');
SELECT crm_deals.install(columns => '{"account": {"organization": "tenant"}}') AS version \gset
SELECT is(t.try($$SELECT t.import('''source'', create_accounts => true')$$), '55000',
          'import: without a column for the name none can be made');
SELECT t.drop_roles('t_import') \gset none_
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP SCHEMA "Host app" CASCADE;
CREATE EXTENSION crm_deals;

SELECT * FROM finish();
