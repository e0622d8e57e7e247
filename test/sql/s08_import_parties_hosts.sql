\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 8: import_accounts() and import_contacts() with the host's own tables: through the mapping.
CREATE SCHEMA "Host app";
CREATE TABLE "Host app"."Firms" ("Firm id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), company varchar(20) NOT NULL,
                                 tenant integer, ref text, fields jsonb, boss text, "Web site" text DEFAULT 'none');
CREATE TABLE "Host app".people (id text PRIMARY KEY, "full name" text, mail text, firm uuid REFERENCES "Host app"."Firms",
                                code integer);
-- Their keys come from a trigger.
CREATE FUNCTION t.key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id := coalesce(NEW.id, 'p-' || NEW.mail);
    RETURN NEW;
END
$$;
CREATE TRIGGER key BEFORE INSERT ON "Host app".people FOR EACH ROW EXECUTE FUNCTION t.key();
CREATE TABLE "Host app".users (login text PRIMARY KEY, name text);
INSERT INTO "Host app".users VALUES ('anna', 'Anna A.'), ('tom', 'Tom');
SELECT crm_deals.install(
    '"Host app"."Firms"', '"Host app".people', '"Host app".users',
    '{"account": {"name": "company", "organization": "tenant", "external_id": "ref", "custom_fields": "fields",
                  "owner": "boss"},
      "contact": {"last_name": "full name", "email": "mail", "account_id": "firm", "external_id": "code"}}') AS v \gset
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('account', 'size', 'number');
CREATE FUNCTION t.import(entity text, rows jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', coalesce(i.external_id, ''-''), i.outcome, '
                   '''('' || split_part(i.detail, E''\n'', 1) || '')''), ''; '' ORDER BY i.row_number) '
                   'FROM crm_deals.import_%s(rows => $1) AS i', entity) INTO result USING rows;
    RETURN result;
END
$$;
CREATE VIEW t.firms AS
    SELECT string_agg(concat_ws(' ', f.ref, f.company, f.tenant, f.boss, f.fields, f."Web site"), '; '
                      ORDER BY f.ref, f.tenant NULLS FIRST) AS all
    FROM "Host app"."Firms" AS f;
SELECT is(t.import('accounts', '[{"external_id": "a", "name": "Acme", "owner": "anna a.", "custom_fields.size": "5"},
    {"external_id": "b", "name": "Much too long a name for it", "owner": "tom"},
    {"external_id": "c", "name": "Globex", "owner": "tim"}, {"external_id": "d", "name": "D", "custom_fields.size": "x"},
    {"external_id": "e", "name": "E", "organization": "x"}, {"external_id": "a", "name": "Acme 7", "organization": 7}]'),
    'a created; b rejected (value too long for type character varying(20)); '
    'c rejected (Owner "tim" does not exist. It is looked for by external id, name and e-mail address.); '
    'd rejected (Custom field "size" must be a number.); e rejected (invalid input syntax for type integer: "x"); a created',
    'import_accounts: into the host''s table, by its rules and ours');
SELECT is(f.all, 'a Acme anna {"size": 5} none; a Acme 7 7 {} none', 'import_accounts: what they say is stored') FROM t.firms AS f;
SELECT is(t.import('accounts', '[{"external_id": "a", "name": "Acme", "custom_fields.size": 5.0},
    {"external_id": "a", "organization": "7", "name": "Acme 8", "custom_fields.size": null}]'), 'a unchanged; a updated',
    'import_accounts: upsert in their organization');
SELECT is(t.import('accounts', '[{"external_id": "a", "web site": "acme.example"}]'), 'a updated',
          'import_accounts: a further column by its own name');
SELECT is(f.all, 'a Acme anna {"size": 5} acme.example; a Acme 8 7 {} none', 'import_accounts: a missing column leaves')
FROM t.firms AS f;
-- Contacts: one column for the whole name, keys by a trigger, an external id of another type
SELECT is((SELECT string_agg(concat_ws(' ', i.external_id, i.outcome, i.id, i.detail), '; ' ORDER BY i.row_number)
           FROM crm_deals.import_contacts(rows => '[
               {"external_id": 1, "first_name": "Ada", "last_name": "Byron", "email": "ada", "account": "acme 8"},
               {"external_id": 2, "first_name": null, "last_name": "Curie", "email": "marie", "account": "Acme"},
               {"external_id": 3, "first_name": "No", "last_name": "Key", "account": null}]') AS i),
          '1 created p-ada; 2 created p-marie; 3 rejected null value in column "id" of relation "people" violates not-null '
          'constraint' || E'\n' || 'Failing row contains (null, No Key, null, null, 3).',
          'import_contacts: into the host''s table');
SELECT is((SELECT string_agg(concat_ws(' ', p.id, p."full name", f.company, p.code), '; ' ORDER BY p.id)
           FROM "Host app".people AS p LEFT JOIN "Host app"."Firms" AS f ON f."Firm id" = p.firm),
          'p-ada Ada Byron Acme 8 1; p-marie Curie Acme 2', 'import_contacts: what they say is stored');
SELECT is(t.import('contacts', '[{"external_id": 1, "last_name": "Lovelace"}]'), '1 updated',
          'import_contacts: one name alone is the whole name');
SELECT is((SELECT p."full name" FROM "Host app".people AS p WHERE p.id = 'p-ada'), 'Lovelace', 'import_contacts: so it is');
INSERT INTO "Host app".people VALUES ('x', 'X', NULL, NULL, 2);
SELECT is(t.import('contacts', '[{"external_id": 2, "last_name": "Who"}]'),
          '2 rejected (Table "Host app".people has this external_id several times: p-marie, x.)',
          'import_contacts: two of one external id');
-- What the table has no column for
SELECT is(t.try($$SELECT t.import('contacts', '[{"last_name": "x", "phone": "1", "owner": "tom"}]')$$), '55000',
          'import_contacts: a field without a column');
SELECT is(concat_ws(' | ', t.error(e.query, 'message'), t.error(e.query, 'hint')),
          'table "Host app".people has no column for: owner, phone | Name the column with '
          'install(columns => ''{"contact": {"owner": "..."}}''), or leave the field out: map its header to null in the '
          'argument "columns".', 'import_contacts: is named, and the ways out')
FROM (SELECT $$SELECT t.import('contacts', '[{"last_name": "x", "phone": "1", "owner": "tom"}]')$$) AS e (query);
-- Leads name accounts, contacts and owners of the host's.
SELECT is((SELECT string_agg(concat_ws(' ', i.external_id, i.outcome, i.detail), '; ' ORDER BY i.row_number)
           FROM crm_deals.import_leads(rows => '[
               {"external_id": "l1", "email": "q", "account": "ACME", "contact": "marie", "owner": "Tom"}]') AS i),
          'l1 created', 'import_leads: with host tables');
SELECT is((SELECT concat_ws(' ', f.company, l.contact_id, l.owner) FROM crm_deals.lead AS l
           JOIN "Host app"."Firms" AS f ON f."Firm id" = l.account_id), 'Acme p-marie tom', 'import_leads: their keys');
-- Level write may do it, and changes nothing but what is mapped.
SELECT t.drop_roles('t_import') \gset none_
CREATE ROLE t_import;
SELECT crm_deals.grant_access('t_import', 'write') \gset none_
SELECT is(t.get($$SELECT t.import('accounts', '[{"external_id": "a", "name": "Acme 1", "owner": null},
                                                {"external_id": "n", "name": "New", "owner": "tom"}]')$$, 't_import'),
          'a updated; n created', 'import_accounts: level write');
SELECT is(t.get($$SELECT t.import('contacts', '[{"external_id": 1, "email": "ada@x", "account": "New"}]')$$, 't_import'),
          '1 updated', 'import_contacts: level write');
SELECT is(t.try($$UPDATE "Host app"."Firms" SET ref = 'z'$$, 't_import'), '42501', 'level write: no key of the host''s');
SELECT is(f.all, 'a Acme 1 {"size": 5} acme.example; a Acme 8 7 {} none; n New tom none', 'import_accounts: as level write')
FROM t.firms AS f;
-- No column for the name: no accounts; none for external_id: an upsert is not possible.
SELECT crm_deals.install(columns => '{"account": {"organization": "tenant"}}') AS v \gset
SELECT is(t.try($$SELECT t.import('accounts', '[{"name": "x"}]')$$), '55000', 'import_accounts: no column for the name');
SELECT crm_deals.install(columns => '{"account": {"name": "company"}}') AS v \gset
SELECT is(t.try($$SELECT t.import('accounts', '[{"external_id": "x", "name": "x"}]')$$), '55000',
          'import_accounts: no column for external_id');
SELECT is(t.import('accounts', '[{"name": "x"}]'), '- created', 'import_accounts: without it all rows are new');
SELECT t.drop_roles('t_import') \gset none_
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP SCHEMA "Host app" CASCADE;
CREATE EXTENSION crm_deals;

SELECT * FROM finish();
