\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: import_accounts(), import_contacts() and import_leads() do for theirs what import_deals() does for deals.
INSERT INTO crm_deals.custom_field (organization, entity, key, type, options)
VALUES (NULL, 'account', 'size', 'number', NULL), (NULL, 'contact', 'tier', 'select', '["a", "b"]'),
       (NULL, 'lead', 'size', 'date', NULL), (NULL, 'deal', 'size', 'boolean', NULL),
       (NULL, 'account', 'area', 'number', NULL), ('north', 'account', 'area', 'text', NULL);
-- What an import of rows returns, in their order: external_id outcome (key: reason).
CREATE FUNCTION t.import(entity text, rows jsonb, more text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', coalesce(i.external_id, ''-''), i.outcome, i.id, '
                   '''('' || replace(i.detail, E''\n'', '' '') || '')''), ''; '' ORDER BY i.row_number) '
                   'FROM crm_deals.import_%s(rows => $1%s) AS i', entity, more) INTO result USING rows;
    RETURN result;
END
$$;
-- Accounts: each outcome
SELECT is(t.import('accounts', '[{"external_id": "a1", "name": "Acme", "owner": "anna", "custom_fields.size": "12"},
                                 {"external_id": "a2", "name": " \u00a0", "custom_fields.size": null},
                                 {"external_id": "a3", "name": "Globex", "custom_fields.size": "big"},
                                 {"external_id": "a1", "name": "Twin"}, {"name": "\ufeff Initech \t"}, 7,
                                 {"external_id": 4, "name": "Hooli", "custom_fields.own": true}]'),
          'a1 created 1; a2 rejected (An account needs a name.); a3 rejected (Custom field "size" must be a number.); '
          'a1 rejected (Row 1 has the same external_id.); - created 2; '
          '- rejected (The row is not an object. An account needs a name.); 4 created 3',
          'import_accounts: good rows are created, each bad one says why');
SELECT is((SELECT string_agg(concat_ws(' ', a.id, a.external_id, a.name, a.owner, a.custom_fields), '; ' ORDER BY a.id)
           FROM crm_deals.account AS a),
          '1 a1 Acme anna {"size": 12}; 2 Initech {}; 3 4 Hooli {"own": true}',
          'import_accounts: what they say is stored');
SELECT is(t.import('accounts', '[{"external_id": "a1", "name": "Acme", "owner": "anna", "custom_fields.size": 12},
                                 {"external_id": "4", "name": "Hooli", "owner": null, "custom_fields.size": null}]'),
          'a1 unchanged 1; 4 unchanged 3', 'import_accounts: a second run changes nothing');
SELECT is((SELECT count(DISTINCT a.xmin::text) FROM crm_deals.account AS a), 1::bigint,
          'import_accounts: it writes no row either');
SELECT is(t.import('accounts', '[{"external_id": "a1", "owner": null}, {"external_id": "4", "owner": "tom"},
                                 {"external_id": "a9", "owner": "tom"}]'),
          'a1 updated 1; 4 updated 3; a9 rejected (An account needs a name.)',
          'import_accounts: a missing column leaves its value, so a new account without a name is refused');
SELECT is(t.import('accounts', '[{"external_id": "a1", "name": null}, {"external_id": "4", "name": "Hooli"}]'),
          'a1 rejected 1 (An account needs a name.); 4 unchanged 3', 'import_accounts: NULL cannot clear the name');
SELECT is(t.import('accounts', '[{"external_id": "a1", "custom_fields.own": [1], "custom_fields.size": null}]'),
          'a1 updated 1', 'import_accounts: custom fields, key by key');
SELECT is((SELECT string_agg(concat_ws(' ', a.id, a.name, a.owner, a.custom_fields), '; ' ORDER BY a.id)
           FROM crm_deals.account AS a),
          '1 Acme {"own": [1]}; 2 Initech {}; 3 Hooli tom {"own": true}', 'import_accounts: NULL clears, others stay');
-- Rows without an external_id are new each time; a rehearsal leaves nothing.
CREATE TEMPORARY TABLE before AS SELECT * FROM crm_deals.account;
SELECT is(regexp_replace(t.import('accounts', '[{"name": "Initech"}, {"external_id": "a1", "name": "A"}, {"name": ""}]',
                                  ', dry_run => true'), 'created \d+', 'created'),
          '- created; a1 updated 1; - rejected (An account needs a name.)', 'import_accounts: dry_run says the same');
SELECT is_empty('(TABLE before EXCEPT TABLE crm_deals.account) UNION ALL (TABLE crm_deals.account EXCEPT TABLE before)',
                'import_accounts: dry_run leaves nothing behind');
SELECT is_empty('SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = pg_my_temp_schema() '
                'AND c.relname ~ ''crm_deals''', 'nor do imports leave tables of theirs');
-- Organizations: the row's, else the session's. A definition of its own goes before the system-wide one.
SELECT is(t.import('accounts', '[{"external_id": "a1", "name": "North", "organization": "north", "custom_fields.area": "x"},
                                 {"external_id": "a1", "name": "Acme", "custom_fields.area": "x"}]'),
          'a1 created 5; a1 rejected 1 (Custom field "area" must be a number.)',
          'import_accounts: an external_id is one of its organization');
SET crm_deals.organization = 'north';
SELECT is(t.import('accounts', '[{"external_id": "a1", "owner": "nora"}]'), 'a1 updated 5',
          'import_accounts: rows are of the session''s organization');
RESET crm_deals.organization;
SELECT is((SELECT concat_ws(' ', a.organization, a.owner, a.custom_fields) FROM crm_deals.account AS a WHERE a.id = 5),
          'north nora {"area": "x"}', 'import_accounts: and stay there');
-- Columns and formats
CREATE TEMPORARY TABLE sheet ("Record ID" text, "Company Name" text, "CREATED at" text, "Staff" text, junk text);
INSERT INTO sheet VALUES ('s1', 'Umbrella', '28.09.2019', '1.250', 'x'), ('s2', 'Cyberdyne', '01.02.2020', '7', NULL);
SELECT is(t.try($$SELECT * FROM crm_deals.import_accounts('sheet')$$), '42703', 'import_accounts: unknown columns');
SELECT is(t.error($$SELECT * FROM crm_deals.import_accounts('sheet')$$, 'message'),
          'table sheet has columns that cannot be imported: "Record ID", "Company Name", "Staff", junk',
          'import_accounts: are all named');
SELECT is(t.error($$SELECT * FROM crm_deals.import_accounts('sheet')$$, 'detail'),
          'There are created_at, custom_fields, external_id, name, organization, owner, owner_id, custom_fields.KEY.',
          'import_accounts: with those that there are');
SELECT is((SELECT string_agg(outcome || ' ' || coalesce(detail, ''), '; ' ORDER BY row_number)
           FROM crm_deals.import_accounts('sheet', columns => '{"Record ID": "external_id", "Company Name": "name",
                                                                "Staff": "custom_fields.size", "junk": null}')),
          'rejected created_at "28.09.2019" (row 1) is ambiguous: without formats, a date is one of ISO 8601, like '
          '2025-04-28. All texts of this column are read with formats => ''{"date": "DMY"}''.' || E'\n'
          'custom_fields.size "1.250" (row 1) is ambiguous: without formats, a number is digits with at most one point, '
          'which does not stand before exactly three digits. All texts of this column are read with formats => '
          '''{"decimal": "."}'' or formats => ''{"decimal": ",", "thousands": "."}''.; rejected created_at "28.09.2019" '
          '(row 1) is ambiguous: without formats, a date is one of ISO 8601, like 2025-04-28. All texts of this column are '
          'read with formats => ''{"date": "DMY"}''.' || E'\n'
          'custom_fields.size "1.250" (row 1) is ambiguous: without formats, a number is digits with at most one point, '
          'which does not stand before exactly three digits. All texts of this column are read with formats => '
          '''{"decimal": "."}'' or formats => ''{"decimal": ",", "thousands": "."}''.',
          'import_accounts: ambiguous texts reject their column');
SELECT is((SELECT string_agg(outcome || ' ' || coalesce(detail, ''), '; ' ORDER BY row_number)
           FROM crm_deals.import_accounts(
               'sheet', columns => '{"record_id": "external_id", "Company Name": "name", "Staff": "custom_fields.size",
                                     "junk": null}',
               formats => '{"date": "DMY", "thousands": ".", "time_zone": "Asia/Tokyo"}')),
          'created ; created ', 'import_accounts: formats read them');
SELECT is((SELECT string_agg(concat_ws(' ', a.name, to_char(a.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), a.custom_fields), '; ' ORDER BY a.name)
           FROM crm_deals.account AS a WHERE a.external_id ~ '^s'),
          'Cyberdyne 2020-01-31 15:00 {"size": 7}; Umbrella 2019-09-27 15:00 {"size": 1250}',
          'import_accounts: as they say, in their time zone');
SELECT is(t.import('accounts', '[{"external_id": "s1", "created_at": "2001-01-01"}]'), 's1 unchanged '
          || (SELECT a.id FROM crm_deals.account AS a WHERE a.external_id = 's1'), 'import_accounts: created_at stays');
-- A column of the user's, of a type that has no equality, and one with a scale
ALTER TABLE crm_deals.account ADD COLUMN site point, ADD COLUMN revenue numeric(12,2), ADD COLUMN code varchar(3),
    ADD COLUMN id2 bigint GENERATED ALWAYS AS (id * 2) STORED;
SELECT is(t.import('accounts', '[{"external_id": "s1", "site": "(1,2)", "revenue": 5, "code": "abc"},
                                 {"external_id": "s2", "site": "nowhere", "revenue": "7", "code": "abc"},
                                 {"external_id": "a1", "site": "(1,2)", "revenue": 5, "code": "abcd"}]'),
          's1 updated 6; s2 rejected 7 (site "nowhere" is not of type point.); '
          'a1 rejected 1 (value too long for type character varying(3))', 'import_accounts: columns of the user''s');
SELECT is(t.import('accounts', '[{"external_id": "s1", "site": "(1,2)", "revenue": 5, "code": "abc"}]'), 's1 unchanged 6',
          'import_accounts: 5 is 5.00');
SELECT is(t.try($$SELECT * FROM crm_deals.import_accounts(rows => '[{"name": "x", "id2": 1}]')$$), '42703',
          'import_accounts: a generated column cannot be imported');
ALTER TABLE crm_deals.account DROP COLUMN site, DROP COLUMN revenue, DROP COLUMN code, DROP COLUMN id2;
-- Contacts and their accounts, as people write them
INSERT INTO crm_deals.account (name, organization) VALUES ('Twins', NULL), ('TWINS ', NULL), ('Acme', 'south');
SELECT is(t.import('contacts', '[{"external_id": "c1", "First Name": "Ada", "last_name": "Byron", "account": " aCME"},
                                 {"external_id": "c2", "email": "b@x.example", "account": "a1"},
                                 {"external_id": "c3", "phone": 4930123, "account": "Nobody"},
                                 {"external_id": "c4", "phone": "1", "account": "twins"},
                                 {"external_id": "c5", "account": "a1", "custom_fields.tier": "z"},
                                 {"external_id": "c6", "last_name": "S", "organization": "south", "account": " aCME"},
                                 {"external_id": "c7", "last_name": "N", "custom_fields.tier": "b"}]'),
          format('c1 created 1; c2 created 2; c3 rejected (Account "Nobody" does not exist. It is looked for by external id, '
                 'name and e-mail address.); c4 rejected (Account "twins" is ambiguous: it can be %s, %s. Name it by its '
                 'external id, or give its key in a column that "columns" maps to account_id.); c5 rejected (A contact '
                 'needs a name, an e-mail address or a phone number. Custom field "tier" must be one of "a", "b".); '
                 'c6 created 3; c7 created 4', v.low, v.high), 'import_contacts: accounts by external id and name')
FROM (SELECT min(a.id), max(a.id) FROM crm_deals.account AS a WHERE a.name ~* 'twins') AS v (low, high);
SELECT is((SELECT string_agg(concat_ws(' ', c.external_id, c.first_name, c.last_name, c.email, a.name, a.organization), '; '
                             ORDER BY c.id)
           FROM crm_deals.contact AS c LEFT JOIN crm_deals.account AS a ON a.id = c.account_id),
          'c1 Ada Byron Acme; c2 b@x.example Acme; c6 S Acme south; c7 N', 'import_contacts: what they say is stored');
SELECT is(t.import('contacts', '[{"external_id": "c1", "account": null, "e-mail": "ada@x.example"},
                                 {"external_id": "c2", "account": "hooli", "e-mail": "b@x.example"}]',
                   ', columns => ''{"E-Mail": "email"}'''), 'c1 updated 1; c2 updated 2',
          'import_contacts: NULL clears the account');
SELECT is((SELECT string_agg(concat_ws(' ', c.first_name, c.email, c.account_id), '; ' ORDER BY c.id)
           FROM crm_deals.contact AS c WHERE c.id < 3), 'Ada ada@x.example; b@x.example 3',
          'import_contacts: and the rest stays');
SELECT is(t.try($$SELECT * FROM crm_deals.import_contacts(rows => '[{"last_name": "x", "account_id": 1}]')$$), '42703',
          'import_contacts: no foreign id is taken for ours');
SELECT is(t.import('contacts', '[{"external_id": "k1", "last_name": "K", "account_id": 3},
                                 {"external_id": "k2", "last_name": "K", "account_id": 999}]',
                   ', columns => ''{"account_id": "account_id"}'''), 'k1 created 5; k2 rejected (Account 999 does not exist.)',
          'import_contacts: ours count if columns names them');
SELECT is(t.try($$SELECT * FROM crm_deals.import_contacts(rows => '[{"account": "x", "account_id": 1}]',
                                                          columns => '{"account_id": "account_id"}')$$), '42701',
          'import_contacts: not beside the name');
-- Leads
SELECT is(t.import('leads', '[{"external_id": "l1", "company_name": "Acme", "status": " WORKING", "source": "fair",
                               "owner": "anna", "custom_fields.size": "2020-01-05"},
                              {"external_id": "l2", "email": "x@y.example", "status": null},
                              {"external_id": "l3", "company_name": "B", "status": "Hot"},
                              {"external_id": "l4", "company_name": "B", "status": "converted"},
                              {"external_id": "l5", "company_name": "B", "status": "new", "converted_at": "2020-01-01"},
                              {"external_id": "l6", "source": "fair"},
                              {"external_id": "l7", "company_name": "Old", "status": "Converted", "account": "a1",
                               "converted_at": "2020-01-02", "contact": "ada byron"},
                              {"external_id": "l8", "company_name": "B", "custom_fields.size": "soon"}]'),
          'l1 created 1; l2 created 2; l3 rejected (Status "Hot" is unknown. There are new, working, qualified, disqualified '
          'and converted.); l4 rejected (A converted lead needs the moment of its conversion: give it in a column '
          'converted_at.); l5 rejected (Only a converted lead has converted_at; the status of this one is new.); '
          'l6 rejected (A lead needs a company, a person, an e-mail address or a phone number.); l7 created 3; '
          'l8 rejected (Custom field "size" must be a date as YYYY-MM-DD.)', 'import_leads: outcomes');
SELECT is((SELECT string_agg(concat_ws(' ', l.external_id, l.company_name, l.status, l.source, l.owner, l.account_id,
                                       l.contact_id, to_char(l.converted_at, 'YYYY-MM-DD'), l.custom_fields), '; ' ORDER BY l.id)
           FROM crm_deals.lead AS l),
          'l1 Acme working fair anna {"size": "2020-01-05"}; l2 new {}; l7 Old converted 1 1 2020-01-02 {}',
          'import_leads: what they say is stored');
-- A lead that has been converted
SELECT crm_deals.convert_lead(1, create_deal => false) \gset none_
SELECT is(t.import('leads', '[{"external_id": "l1", "status": "working", "source": "web"},
                              {"external_id": "l7", "status": "converted", "source": null}]'),
          format('l1 rejected 1 (The lead was converted on %s, so its status cannot become working. Leave the status out.); '
                 'l7 unchanged 3', to_char(now(), 'YYYY-MM-DD')), 'import_leads: a converted lead stays so');
SELECT is(t.import('leads', '[{"external_id": "l1", "source": "web", "converted_at": null}]'), 'l1 updated 1',
          'import_leads: the rest of it can change');
SELECT is((SELECT concat_ws(' ', l.status, l.source, l.account_id, l.converted_at IS NOT NULL) FROM crm_deals.lead AS l WHERE l.id = 1),
          'converted web 1 t', 'import_leads: and its conversion is kept');
-- Deals by key: one that is there
SELECT t.new_deal('Crane', 'lead') AS crane \gset
SELECT is(t.import('leads', format('[{"external_id": "l2", "deal_id": %s}, {"external_id": "l9", "email": "q", "deal_id": 999}]',
                                   :crane)::jsonb, ', columns => ''{"deal_id": "deal_id"}'''),
          'l2 updated 2; l9 rejected (Deal 999 does not exist.)', 'import_leads: the deal by its key');
-- Arguments
SELECT is(t.try(format('SELECT * FROM crm_deals.import_%s(%s)', e.entity, a.arguments)), a.wanted,
          format('import_%s(%s)', e.entity, a.arguments))
FROM unnest('{accounts,contacts,leads}'::text[]) AS e (entity),
     (VALUES ('', '22004'), ('''sheet'', rows => ''[]''', '22023'), ('rows => ''{}''', '22023'),
             ('rows => ''[]'', columns => ''[]''', '22023'), ('rows => ''[]'', formats => ''{"date": "x"}''', '22023'),
             ('rows => ''[]''', 'done')) AS a (arguments, wanted);
-- Triggers of the user's: one that suppresses rows, one that needs the caller's path and the actor, a constraint
CREATE SCHEMA mine;
CREATE TABLE mine.seen (name text, actor text);
CREATE FUNCTION mine.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (NEW.name, current_setting('crm_deals.actor', true));
    RETURN CASE WHEN NEW.name !~ 'ghost' THEN NEW END;
END
$$;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON crm_deals.account FOR EACH ROW EXECUTE FUNCTION mine.see();
ALTER TABLE crm_deals.account ADD CONSTRAINT no_x CHECK (name !~ '^x');
SET search_path = mine, public;
SELECT is((SELECT string_agg(regexp_replace(concat_ws(' ', i.external_id, i.outcome, split_part(i.detail, E'\n', 1)), 'relation.*', ''), '; '
                             ORDER BY i.row_number)
           FROM crm_deals.import_accounts(rows => '[{"external_id": "g1", "name": "One"}, {"external_id": "g2", "name": "ghost"},
                    {"external_id": "g3", "name": "x"}, {"external_id": "g4", "name": "Two"},
                    {"external_id": "a1", "name": "ghost"}, {"external_id": "4", "name": "Hooli 2"}]', actor => 'erp') AS i),
          'g1 created; g2 rejected A trigger or row security suppressed the row.; g3 rejected new row for ; g4 created; '
          'a1 rejected A trigger or row security suppressed the change.; 4 updated',
          'import_accounts: triggers and constraints of the user''s');
SELECT is((SELECT string_agg(i.external_id || ' ' || a.name, ', ' ORDER BY a.name)
           FROM crm_deals.import_accounts(rows => '[{"external_id": "g1", "name": "One"}, {"external_id": "g4", "name": "Two"},
                                                    {"external_id": "4", "name": "Hooli 2"}]') AS i
           JOIN crm_deals.account AS a ON a.id::text = i.id AND i.outcome = 'unchanged'),
          '4 Hooli 2, g1 One, g4 Two', 'import_accounts: the ids are those of the rows');
RESET search_path;
SELECT is((SELECT string_agg(DISTINCT s.actor, ', ') FROM mine.seen AS s), 'erp', 'import_accounts: the actor');
SELECT isnt(current_setting('crm_deals.actor', true), 'erp', 'import_accounts: afterwards it is what it was');
DROP SCHEMA mine CASCADE;
-- Levels and row security
SELECT t.drop_roles('t_write', 't_read') \gset none_
CREATE ROLE t_write;
CREATE ROLE t_read;
SELECT crm_deals.grant_access('t_write', 'write'), crm_deals.grant_access('t_read', 'read') \gset none_
SELECT is(t.get(format('SELECT string_agg(i.outcome, ''; '' ORDER BY i.row_number) FROM crm_deals.import_%s(rows => %L) AS i',
                       e.entity, e.rows), 't_write'), e.wanted, 'import_' || e.entity || ': level write')
FROM (VALUES ('accounts', '[{"external_id": "w", "name": "W"}, {"external_id": "a1", "name": "Acme!"}]', 'created; updated'),
             ('contacts', '[{"external_id": "w", "phone": "1"}, {"external_id": "c1", "phone": "2"}]', 'created; updated'),
             ('leads', '[{"external_id": "w", "phone": "1"}, {"external_id": "l1", "phone": "2"}]', 'created; updated'))
     AS e (entity, rows, wanted);
SELECT is(t.try(format('SELECT * FROM crm_deals.import_%s(rows => ''[]'')', e.entity), 't_read'), '42501',
          'import_' || e.entity || ': not level read')
FROM unnest('{accounts,contacts,leads}'::text[]) AS e (entity);
ALTER TABLE crm_deals.account ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON crm_deals.account TO t_write USING (owner = 'w' OR owner IS NULL) WITH CHECK (owner = 'w');
SELECT is(t.get($$SELECT string_agg(concat_ws(' ', i.external_id, i.outcome, split_part(i.detail, E'\n', 1)), '; '
                                    ORDER BY i.row_number)
                  FROM crm_deals.import_accounts(rows => '[{"external_id": "w", "owner": "anna", "name": "W"},
                      {"external_id": "r", "owner": "w", "name": "R"}, {"external_id": "s1", "owner": "w", "name": "S"},
                      {"external_id": "s", "owner": "anna", "name": "S"},
                      {"external_id": "4", "owner": "w", "name": "Mine"}]') AS i$$, 't_write'),
          'w rejected new row violates row-level security policy for table "account"; r created; s1 updated; '
          's rejected new row violates row-level security policy for table "account"; '
          '4 rejected duplicate key value violates unique constraint "account_external_id"',
          'import_accounts: row security holds, row by row');
SELECT is((SELECT string_agg(a.external_id || ' ' || a.name, ', ' ORDER BY a.external_id) FROM crm_deals.account AS a
           WHERE a.owner = 'w'), 'r R, s1 S', 'import_accounts: nothing else was written');
SELECT t.drop_roles('t_write', 't_read') \gset none_
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
SELECT * FROM finish();
