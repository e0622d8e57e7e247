-- The life of a deal on host tables whose keys are of one type:
--   key_type   bigint, integer, uuid or text
--   key_default  how the host fills its own keys, as the column's default; without one the caller must give
--                use_account and use_contact
-- A role of level write does everything but the installation.
DROP EXTENSION IF EXISTS crm_deals CASCADE;
DROP SCHEMA IF EXISTS crm_deals CASCADE;
CREATE SCHEMA shop;
CREATE SEQUENCE shop.key_seq;
CREATE TABLE shop.users (login_id :key_type PRIMARY KEY :key_default, full_name text NOT NULL);
CREATE TABLE shop.customers (customer_id :key_type PRIMARY KEY :key_default, company text NOT NULL, legacy_no text,
                             account_manager :key_type REFERENCES shop.users, city text DEFAULT 'Wien');
CREATE TABLE shop.people ("Person Id" :key_type PRIMARY KEY :key_default, employer :key_type REFERENCES shop.customers,
                          given text, family text, mail varchar(100), extra jsonb);
ALTER SEQUENCE shop.key_seq OWNED BY shop.customers.customer_id;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install('shop.customers', 'shop.people', 'shop.users',
                         '{"account": {"name": "company", "external_id": "legacy_no", "owner": "account_manager"}, '
                         '"contact": {"first_name": "given", "last_name": "family", "email": "mail", '
                         '"account_id": "employer", "custom_fields": "extra"}, '
                         '"owner": {"name": "full_name"}}') AS version \gset
SELECT crm_deals.create_pipeline('Sales') AS sales \gset
INSERT INTO crm_deals.custom_field (entity, key, type)
VALUES ('lead', 'seats', 'number'), ('deal', 'seats', 'number'), ('contact', 'title', 'text');
INSERT INTO shop.users VALUES (:key1, 'Anna A.'), (:key2, 'Tom T.');
INSERT INTO shop.customers (customer_id, company, legacy_no)
VALUES (:key1, 'Acme', 'L-1'), (:key2, 'Twin', NULL), (:key3, ' TWIN', NULL);
INSERT INTO shop.people ("Person Id", employer, given, family, mail)
VALUES (:key1, :key1, 'Ada', 'Lovelace', 'Ada@acme.example');
SELECT setval('shop.key_seq', 100) AS none \gset
SELECT crm_deals.grant_access('regress_crm_sales', 'write') AS none \gset
SELECT is((SELECT string_agg(format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod)),
                             ', ' ORDER BY c.relname, a.attname)
           FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
           WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind = 'r'
             AND c.relname IN ('deal', 'lead', 'activity', 'deal_contact')
             AND a.attname IN ('account_id', 'contact_id', 'primary_contact_id', 'owner')
             AND format_type(a.atttypid, a.atttypmod) <> :'key_type'),
          NULL, 'section 2: ' || :'key_type' || ': every reference is of that type');
SET ROLE regress_crm_sales;

-- A lead whose contact and account are there
INSERT INTO crm_deals.lead (company_name, first_name, email, owner, source, custom_fields)
VALUES ('Acme', 'A.', 'ADA@acme.example', :key1, 'fair', '{"seats": 5}') RETURNING id AS lead \gset
SELECT is(
    t.get(format('SELECT concat_ws('' '', c.account_id = %L, c.contact_id = %L) FROM crm_deals.convert_lead(%s) AS c',
                 :key1, :key1, :lead)),
    't t', 'section 8: ' || :'key_type' || ': convert_lead finds contact by e-mail and account by contact');
SELECT is((SELECT concat_ws(' | ', name, account_label, contact_label, owner_label, source, custom_fields)
           FROM crm_deals.deal_overview),
          'Acme | Acme | Ada Lovelace | Anna A. | fair | {"seats": 5}',
          'section 2: ' || :'key_type' || ': labels through the mapping, owner and fields inherited');
INSERT INTO crm_deals.lead (company_name, external_id) VALUES ('Other', 'L-1') RETURNING id AS lead \gset
SELECT is(t.get(format('SELECT account_id = %L FROM crm_deals.convert_lead(%s, false)', :key1, :lead)), 'true',
          'section 8: ' || :'key_type' || ': account by the mapped external_id');
INSERT INTO crm_deals.lead (company_name) VALUES ('twin') RETURNING id AS lead \gset
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s)', :lead), 'message'),
          'more than one account has the name "twin"',
          'section 8: ' || :'key_type' || ': two of one name are an error');
SELECT is(t.get(format('SELECT account_id = %L FROM crm_deals.convert_lead(%s, use_account => %L)', :key3, :lead,
                       :key3)),
          'true', 'section 8: ' || :'key_type' || ': use_account');

-- A lead that is new
INSERT INTO crm_deals.lead (company_name, first_name, last_name, email, phone, owner, external_id, custom_fields)
VALUES ('Globex', 'Hank', 'Scorpio', 'hank@globex.example', '1', :key2, 'L-9', '{"title": "Dr.", "seats": 7}')
RETURNING id AS lead \gset
SELECT is(t.get(format('SELECT concat_ws('' '', account_id IS NOT NULL, contact_id IS NOT NULL, deal_id IS NOT NULL) '
                       'FROM crm_deals.convert_lead(%s)',
                       :lead)),
          CASE WHEN :'key_default' = '' THEN '23502 customers.customer_id' ELSE 't t t' END,
          'section 8: ' || :'key_type' || ': new rows in the host''s tables, where the host fills their keys');
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s, use_account => %L)', :lead, :key1), 'hint'),
          'Create the contact yourself and give its key as use_contact.',
          'section 8: ' || :'key_type' || ': else the error says what to give')
WHERE :'key_default' = '';
SELECT is(t.get(format('SELECT concat_ws('' '', account_id IS NOT NULL, contact_id IS NOT NULL, deal_id IS NOT NULL) '
                       'FROM crm_deals.convert_lead(%s, use_account => %L, use_contact => %L)',
                       :lead, :key1, :key1)),
          't t t', 'section 8: ' || :'key_type' || ': which does')
WHERE :'key_default' = '';
RESET ROLE;
SELECT is((SELECT concat_ws(' | ', c.company, c.legacy_no, u.full_name, c.city, p.given, p.family, p.mail, p.extra)
           FROM shop.customers AS c JOIN shop.people AS p ON p.employer = c.customer_id
           JOIN shop.users AS u ON u.login_id = c.account_manager WHERE c.company = 'Globex'),
          'Globex | L-9 | Tom T. | Wien | Hank | Scorpio | hank@globex.example | {"title": "Dr."}',
          'section 8: ' || :'key_type' || ': under the columns that are mapped, the others by default')
WHERE :'key_default' <> '';
SET ROLE regress_crm_sales;

-- Stakeholders, activities, moves
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role)
SELECT id, :key1, 'buyer'
FROM crm_deals.deal
WHERE name = 'Acme';
INSERT INTO crm_deals.activity (kind, subject, deal_id, account_id, contact_id)
SELECT 'call', 'hello', id, account_id, primary_contact_id
FROM crm_deals.deal
WHERE name = 'Acme';
SELECT is((SELECT status || ' ' || stage_key FROM crm_deals.move_deal(t.deal('Acme'), 'won', note => 'x')), 'won won',
          'section 4: ' || :'key_type' || ': move_deal');
SELECT is((SELECT outcome
           FROM crm_deals.move_deals(ARRAY(SELECT id FROM crm_deals.deal WHERE account_id = :key3), 'won')),
          'moved', 'section 4: ' || :'key_type' || ': move_deals');
SELECT is((SELECT string_agg(e.owner, ' ' ORDER BY e.version) FROM crm_deals.deal_event AS e
           WHERE e.deal_id = t.deal('Acme')),
          concat_ws(' ', (:key1)::text, (:key1)::text), 'section 5: ' || :'key_type' || ': the owner in the log');
SELECT is(t.dry(format('UPDATE crm_deals.deal SET %I = %L WHERE name = ''Acme''', v.field, :no_key)),
          '23503 deal deal_' || v.field || '_fkey', 'section 2: ' || :'key_type' || ': real foreign keys: ' || v.field)
FROM (VALUES ('account_id'), ('primary_contact_id'), ('owner')) AS v (field);
RESET ROLE;
-- Deletes in the host
SELECT is(t.dry(format('DELETE FROM shop.customers WHERE customer_id = %L', :key3)), '23503 deal deal_account_id_fkey',
          'section 2: ' || :'key_type' || ': a customer with deals cannot vanish');
UPDATE shop.customers SET account_manager = NULL;
SELECT is(t.dry(format('DELETE FROM shop.users WHERE login_id = %L', :key1)), '23503 deal deal_owner_fkey',
          'section 2: ' || :'key_type' || ': nor a user');
SELECT is(t.after(format('DELETE FROM shop.people WHERE "Person Id" = %L', :key1),
                  format('SELECT concat_ws('' '', d.primary_contact_id IS NULL, (SELECT count(*) '
                         'FROM crm_deals.deal_contact), (SELECT count(*) FROM crm_deals.activity '
                         'WHERE kind = ''call''), l.contact_id IS NULL, l.status) '
                         'FROM crm_deals.deal AS d JOIN crm_deals.lead AS l ON l.deal_id = d.id '
                         'WHERE d.name = ''Acme''')),
          't 0 1 t converted', 'section 2: ' || :'key_type' || ': a person goes, the deal and what was done stay');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is((SELECT count(*) FROM crm_deals.verify()), 0::bigint, 'section 4: ' || :'key_type' || ': verify()');
-- What grant_access gave of the host's tables goes with it.
SELECT crm_deals.revoke_access('regress_crm_sales') AS none \gset
SELECT is(
    (SELECT concat_ws(' ', has_any_column_privilege('regress_crm_sales', 'shop.customers', 'SELECT, INSERT, UPDATE'),
                      has_any_column_privilege('regress_crm_sales', 'shop.people', 'SELECT, INSERT, UPDATE'),
                      has_any_column_privilege('regress_crm_sales', 'shop.users', 'SELECT, INSERT, UPDATE'),
                      has_sequence_privilege('regress_crm_sales', 'shop.key_seq', 'USAGE'),
                      has_schema_privilege('regress_crm_sales', 'shop', 'USAGE'))),
    'f f f f f', 'section 9: ' || :'key_type' || ': revoke_access takes what grant_access gave of the host''s tables');
DROP EXTENSION crm_deals CASCADE;
DROP SCHEMA crm_deals CASCADE;
DROP SCHEMA shop CASCADE;
