\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/setup.sql
-- Section 2: the host's own tables.
CREATE SCHEMA "Host app";
CREATE TABLE "Host app"."Firms" ("Firm id" uuid PRIMARY KEY, company text, city text);
CREATE TABLE "Host app".people (id integer PRIMARY KEY, given text, family text, mail text);
CREATE TABLE "Host app".users (login text PRIMARY KEY, name text);
CREATE TABLE "Host app".two_keys (a integer, b integer, PRIMARY KEY (a, b));
CREATE TABLE "Host app".no_key (a integer);
CREATE TABLE "Host app".odd_key (a numeric PRIMARY KEY);
CREATE TABLE "Host app".big (id bigint PRIMARY KEY, name text);
INSERT INTO "Host app"."Firms"
VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', 'Berlin'),
       ('00000000-0000-0000-0000-000000000002', 'Globex', 'Wien');
INSERT INTO "Host app".people VALUES (1, 'Ada', 'Lovelace', 'ada@example.org'), (2, 'Bob', NULL, NULL);
INSERT INTO "Host app".users VALUES ('anna', 'Anna A.'), ('tom', NULL);
CREATE FUNCTION t.install(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT t.try('SELECT crm_deals.install(' || arguments || ')')
$$;

-- What cannot be installed
SELECT is(t.install($$account_table => '"Host app".two_keys'$$), '42830', 'section 2: a key of two columns is refused');
SELECT is(t.install($$account_table => '"Host app".no_key'$$), '42830', 'section 2: so is a table without a key');
SELECT is(t.install($$owner_table => '"Host app".odd_key'$$), '42804',
          'section 2: a key is bigint, integer, uuid or text');
SELECT is(t.install($$account_table => '"Host app"."Firms"', columns => '{"account": {"name": "nowhere"}}'$$), '42703',
          'section 2: a column that is not there');
SELECT is(t.install(format('account_table => ''"Host app"."Firms"'', columns => %L', v.columns)), '22023',
          'section 2: no mapping: ' || v.columns)
FROM (VALUES ('[]'), ('"x"'), ('{"account": "company"}'), ('{"account": {"nmae": "company"}}'),
             ('{"firm": {"name": "company"}}'), ('{"account": {"name": 5}}'), ('null')) AS v (columns);
SELECT is((SELECT count(*) FROM pg_class WHERE relnamespace = 'crm_deals'::regnamespace), 0::bigint,
          'section 10: a refused install() leaves nothing behind');

-- All three
SELECT is(t.install($$'"Host app"."Firms"', '"Host app".people', '"Host app".users',
                      '{"account": {"name": "company"},
                        "contact": {"first_name": "given", "last_name": "family", "email": "mail"}}'$$),
          'done', 'section 2: install() with host tables');
SELECT is((SELECT to_regclass('crm_deals.account') IS NULL AND to_regclass('crm_deals.contact') IS NULL), true,
          'section 2: then there is no account and no contact of ours');
SELECT is((SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attname)
           FROM pg_attribute
           WHERE attrelid = 'crm_deals.deal'::regclass AND attname IN ('account_id', 'primary_contact_id', 'owner')),
          'account_id uuid, owner text, primary_contact_id integer', 'section 2: columns of the host keys'' types');
SELECT is((SELECT string_agg(format('%s %s', a.attname, pg_get_constraintdef(c.oid)), ', ' ORDER BY a.attname)
           FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
           WHERE conrelid = 'crm_deals.deal'::regclass AND contype = 'f' AND a.attname <> 'stage_id'),
          'account_id FOREIGN KEY (account_id) REFERENCES "Host app"."Firms"("Firm id"), '
          'owner FOREIGN KEY (owner) REFERENCES "Host app".users(login), primary_contact_id FOREIGN KEY '
          '(primary_contact_id) REFERENCES "Host app".people(id) ON DELETE SET NULL',
          'section 2: real foreign keys');
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, owner)
VALUES ('d', '00000000-0000-0000-0000-000000000001', 1, 'anna'),
       ('e', '00000000-0000-0000-0000-000000000002', 2, 'tom'), ('f', NULL, NULL, NULL);
SELECT is((SELECT string_agg(concat_ws(' | ', name, account_label, contact_label, owner_label), '; ' ORDER BY name)
           FROM crm_deals.deal_overview),
          'd | Acme | Ada Lovelace | Anna A.; e | Globex | Bob | tom; f',
          'section 2: labels come from the mapping, else a column of that name, else the key');
SELECT is(t.dry($$UPDATE crm_deals.deal SET owner = 'nobody'$$), '23503 deal deal_owner_fkey',
          'section 2: an owner who is not there is refused');
SELECT is((SELECT string_agg(concat_ws(' ', owner, changes ->> 'account_id', changes ->> 'primary_contact_id'),
                             ', ' ORDER BY id)
           FROM crm_deals.deal_event WHERE changes ? 'account_id'),
          'anna [null, "00000000-0000-0000-0000-000000000001"] [null, 1], tom [null, '
          '"00000000-0000-0000-0000-000000000002"] [null, 2]',
          'section 5: host keys in the log');
-- Deletes
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) VALUES (t.deal('d'), 1, 'buyer');
INSERT INTO crm_deals.activity (kind, subject, contact_id, account_id, deal_id)
VALUES ('call', 'hello', 1, '00000000-0000-0000-0000-000000000001', t.deal('e'));
SELECT is(t.dry($$DELETE FROM "Host app"."Firms"$$), '23503 deal deal_account_id_fkey',
          'section 2: deleting an account that has deals: NO ACTION');
SELECT is(t.dry($$DELETE FROM "Host app".users$$), '23503 deal deal_owner_fkey', 'section 2: an owner: NO ACTION');
DELETE FROM "Host app".people WHERE id = 1;
SELECT is((SELECT concat_ws(' ', coalesce(primary_contact_id::text, 'none'), version,
                            (SELECT count(*) FROM crm_deals.deal_contact), t.kinds('d'))
           FROM crm_deals.deal WHERE name = 'd'),
          'none 2 0 created updated',
          'section 2: a contact: primary_contact_id SET NULL, logged as any change, deal_contact CASCADE');
SELECT is((SELECT coalesce(contact_id::text, 'none') FROM crm_deals.activity), 'none',
          'section 2: its activities stay');
-- Later calls
SELECT is(t.install(''), 'done', 'section 2: NULL on a later call means as installed');
SELECT is(t.install($$'"Host app"."Firms"', '"Host app".people', '"Host app".users'$$), 'done',
          'section 2: so do the same tables');
SELECT is(t.install(v.arguments), '55000', 'section 2: other tables on a later call are an error: ' || v.arguments)
FROM (VALUES ($$account_table => '"Host app".big'$$), ($$contact_table => '"Host app".big'$$),
             ($$owner_table => '"Host app".big'$$)) AS v (arguments);
SELECT is(t.install($$columns => '{"account": {"name": "city"}}'$$), 'done',
          'section 2: the columns may be mapped anew');
SELECT is((SELECT string_agg(account_label, ' ' ORDER BY name) FROM crm_deals.deal_overview), 'Berlin Wien',
          'section 2: labels follow');
SELECT is(t.install(''), 'done', 'section 2: and stay');
SELECT is((SELECT string_agg(account_label, ' ' ORDER BY name) FROM crm_deals.deal_overview), 'Berlin Wien',
          'section 2: when install() is called without');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

-- One alone, and ours beside it
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
CREATE EXTENSION crm_deals;
SELECT is(t.install($$owner_table => '"Host app".big'$$), 'done', 'section 2: each may be given singly');
INSERT INTO "Host app".big VALUES (9223372036854775807, 'Olga');
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO crm_deals.account (name, owner) VALUES ('Ours', 9223372036854775807);
INSERT INTO crm_deals.contact (first_name, last_name, account_id) VALUES ('Eve', 'Ent', 1);
INSERT INTO crm_deals.lead (company_name, owner) VALUES ('New', 9223372036854775807);
INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, owner) VALUES ('d', 1, 1, 9223372036854775807);
SELECT is((SELECT concat_ws(' | ', account_label, contact_label, owner_label) FROM crm_deals.deal_overview),
          'Ours | Eve Ent | Olga', 'section 2: our account and contact, the host''s owner');
SELECT is((SELECT owner FROM crm_deals.deal_event), '9223372036854775807', 'section 5: owner as text in the log');
SELECT is(t.dry('DELETE FROM crm_deals.account'), '23503 contact contact_account_id_fkey',
          'section 2: our own account: NO ACTION');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP SCHEMA "Host app" CASCADE;
CREATE EXTENSION crm_deals;

SELECT * FROM finish();
