\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: a lead becomes an account, a contact and a deal.
CREATE FUNCTION t.lead(company text DEFAULT NULL, first text DEFAULT NULL, email text DEFAULT NULL,
                       organization text DEFAULT NULL, external_id text DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
    DELETE FROM crm_deals.lead AS l WHERE l.external_id = $5;
    INSERT INTO crm_deals.lead (company_name, first_name, email, organization, external_id) VALUES ($1, $2, $3, $4, $5)
    RETURNING id
$$;
-- What a conversion returned: account, contact and deal, each by its name or 'none'.
CREATE FUNCTION t.convert(lead bigint, arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    EXECUTE format('SELECT * FROM crm_deals.convert_lead(%s%s)', lead, arguments) INTO c;
    RETURN concat_ws(' | ', coalesce((SELECT name FROM crm_deals.account WHERE id::text = c.account_id), 'none'),
                     coalesce((SELECT concat_ws(' ', first_name, last_name, nullif(email, '')) FROM crm_deals.contact
                               WHERE id::text = c.contact_id),
                              'none'),
                     coalesce((SELECT name FROM crm_deals.deal WHERE id = c.deal_id), 'none'));
END
$$;
CREATE FUNCTION t.counts() RETURNS text LANGUAGE sql AS $$
    SELECT format('%s accounts, %s contacts, %s deals, %s events, %s converted',
                  (SELECT count(*) FROM crm_deals.account), (SELECT count(*) FROM crm_deals.contact),
                  (SELECT count(*) FROM crm_deals.deal), (SELECT count(*) FROM crm_deals.deal_event),
                  (SELECT count(*) FROM crm_deals.lead WHERE status = 'converted'))
$$;

-- All three
INSERT INTO crm_deals.custom_field (entity, key, type)
VALUES ('lead', 'seats', 'number'), ('deal', 'seats', 'number'), ('deal', 'region', 'text'), ('account', 'vat', 'text'),
       ('contact', 'birthday', 'date'), ('lead', 'campaign', 'text');
INSERT INTO crm_deals.lead (company_name, first_name, last_name, email, phone, source, owner, external_id, status,
                            custom_fields)
VALUES (' Acme ', 'Ada', 'Lovelace', 'ada@acme.example', '+44 1', 'fair', 'anna', 'L-1', 'qualified',
        '{"seats": 40, "region": null, "vat": "GB1", "birthday": "1815-12-10", "campaign": "x", "free": true}')
RETURNING id AS lead \gset
INSERT INTO crm_deals.activity (kind, subject, lead_id) VALUES ('call', 'first call', :lead);
SELECT is(t.convert(:lead, ', actor => ''tom'''), 'Acme | Ada Lovelace ada@acme.example | Acme',
          'section 8: account, contact and deal');
SELECT is((SELECT concat_ws(' | ', name, owner, external_id, custom_fields) FROM crm_deals.account),
          'Acme | anna | L-1 | {"vat": "GB1"}', 'section 8: the account');
SELECT is((SELECT concat_ws(' | ', c.first_name, c.last_name, c.email, c.phone, c.owner, c.external_id, c.custom_fields,
                            a.name)
           FROM crm_deals.contact AS c JOIN crm_deals.account AS a ON a.id = c.account_id),
          'Ada | Lovelace | ada@acme.example | +44 1 | anna | L-1 | {"birthday": "1815-12-10"} | Acme',
          'section 8: the contact, of the account');
SELECT is((SELECT concat_ws(' | ', d.name, a.name, c.last_name, d.owner, d.source, d.custom_fields, d.external_id)
           FROM crm_deals.deal AS d JOIN crm_deals.account AS a ON a.id = d.account_id
           JOIN crm_deals.contact AS c ON c.id = d.primary_contact_id),
          'Acme | Acme | Lovelace | anna | fair | {"seats": 40}',
          'section 8: the deal inherits source, owner, and the custom fields whose key deals have, too');
SELECT is((SELECT concat_ws(' ', l.status, l.converted_at IS NOT NULL, l.account_id = a.id, l.contact_id = c.id,
                            l.deal_id = d.id)
           FROM crm_deals.lead AS l, crm_deals.account AS a, crm_deals.contact AS c, crm_deals.deal AS d),
          'converted t t t t', 'section 3: the lead says what it became');
SELECT is((SELECT concat_ws(' ', a.lead_id = l.id, a.account_id = l.account_id, a.contact_id = l.contact_id,
                            a.deal_id = l.deal_id)
           FROM crm_deals.activity AS a, crm_deals.lead AS l),
          't t t t', 'section 8: its activities are found with the deal, too');
SELECT is((SELECT string_agg(kind || ' ' || actor, ', ') FROM crm_deals.deal_event), 'created tom',
          'section 4: the actor of the deal''s event is the argument');
SELECT is(t.state('Acme'), 'lead open 10 v1', 'section 3: in the default pipeline''s first open stage');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', :lead)), '55000', 'section 8: a lead converts once');
SELECT matches(t.error(format('SELECT crm_deals.convert_lead(%s)', :lead), 'detail'),
               '^It became account 1, contact 1, deal 1 at ', 'section 10: the error says what it became');

-- The contact: given, else same external_id, else same e-mail
INSERT INTO crm_deals.contact (first_name, email, external_id, organization, account_id)
VALUES ('by mail', 'Same@x.example', NULL, NULL, NULL), ('by id', 'other@x.example', 'X-1', NULL, NULL),
       ('given', NULL, NULL, NULL, 1), ('of globex', 'globex@x.example', 'X-9', 'globex', NULL),
       ('twin 1', 'twin@x.example', NULL, NULL, NULL), ('twin 2', 'TWIN@x.example', NULL, NULL, NULL),
       ('no mail', '', NULL, NULL, NULL);
SELECT is(t.convert(t.lead(NULL, 'New', 'same@X.example')), 'none | by mail Same@x.example | New',
          'section 8: contact: the same e-mail, in any case');
SELECT is(t.convert(t.lead(NULL, 'New', ' same@x.example ')), 'none | by mail Same@x.example | New',
          'section 8: contact: blanks around an e-mail do not count');
SELECT is(t.convert(t.lead(NULL, 'New', 'same@x.example', NULL, 'X-1')), 'none | by id other@x.example | New',
          'section 8: contact: the same external_id goes before');
SELECT is(t.convert(t.lead(NULL, 'New', 'same@x.example', NULL, 'X-1'),
                    ', use_contact => ''' || (SELECT id FROM crm_deals.contact WHERE first_name = 'given') || ''''),
          'Acme | given | Acme',
          'section 8: contact: a given one before all; the account is the contact''s, the deal''s name the account''s');
SELECT is(t.convert(t.lead(NULL, 'New', 'globex@x.example', NULL, 'X-9')), 'none | New globex@x.example | New',
          'section 8: contact: not one of another organization');
SELECT is(t.convert(t.lead(NULL, 'New', ' ')), 'none | New | New', 'section 8: contact: a blank e-mail is nobody''s');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead(NULL, 'New', 'twin@x.example'))), 'P0003',
          'section 8: contact: two of one e-mail are an error');
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s)', t.lead(NULL, 'New', 'twin@x.example')), 'detail'),
          format('There are %s (twin@x.example), %s (TWIN@x.example).',
                 (SELECT id FROM crm_deals.contact WHERE first_name = 'twin 1'),
                 (SELECT id FROM crm_deals.contact WHERE first_name = 'twin 2')),
          'section 10: it names them');
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s)', t.lead(NULL, 'New', 'twin@x.example')), 'hint'),
          'Say which one is meant with use_contact.', 'section 10: and what to do');
SELECT is(t.convert(t.lead('Ghost town')), 'Ghost town | none | Ghost town',
          'section 8: a lead that names nobody makes no contact');
SELECT is(t.convert(t.lead(NULL, NULL, 'only@mail.example')), 'none | only@mail.example | only@mail.example',
          'section 8: an e-mail alone makes one');

-- The account: given, else same external_id, else the contact's, else of that name
INSERT INTO crm_deals.account (name, external_id, organization)
VALUES ('Initech', 'A-1', NULL), (E'  Umbrella', NULL, NULL), ('Globex', NULL, 'globex'), ('Twin', NULL, NULL),
       (' TWIN ', NULL, NULL), ('Müller', NULL, NULL);
SELECT is(t.convert(t.lead('iniTECH  ')), 'Initech | none | iniTECH',
          'section 8: account: of that name, blanks trimmed, any case');
SELECT is(t.convert(t.lead('umbrella')), '  Umbrella | none | umbrella', 'section 8: account: blanks on either side');
SELECT is(t.convert(t.lead('MÜLLER')), 'Müller | none | MÜLLER', 'section 8: account: any case of any letter');
SELECT is(t.convert(t.lead('Umbrella', NULL, NULL, NULL, 'A-1')), 'Initech | none | Umbrella',
          'section 8: account: the same external_id goes before');
SELECT is(t.convert(t.lead('Umbrella', NULL, 'ada@acme.example')), 'Acme | Ada Lovelace ada@acme.example | Umbrella',
          'section 8: account: the matched contact''s goes before the name');
SELECT is(t.convert(t.lead('Umbrella', NULL, 'ada@acme.example', NULL, 'A-1')),
          'Initech | Ada Lovelace ada@acme.example | Umbrella',
          'section 8: account: the external_id before the contact''s');
SELECT is(t.convert(t.lead('Umbrella', NULL, 'ada@acme.example', NULL, 'A-1'),
                    ', use_account => ''' || (SELECT id FROM crm_deals.account WHERE name = 'Müller') || ''''),
          'Müller | Ada Lovelace ada@acme.example | Umbrella', 'section 8: account: a given one before all');
SELECT is(t.convert(t.lead('Globex')), 'Globex | none | Globex',
          'section 8: account: a company that only another organization has');
SELECT is((SELECT count(*) FROM crm_deals.account WHERE name = 'Globex'), 2::bigint,
          'section 8: account: is a new one');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead('twin'))), 'P0003',
          'section 8: account: more than one of that name is an error');
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s)', t.lead('twin')), 'message'),
          'more than one account has the name "twin"', 'section 10: which says so');
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s)', t.lead('twin')), 'detail'),
          format('There are %s (Twin), %s ( TWIN ).', (SELECT id FROM crm_deals.account WHERE name = 'Twin'),
                 (SELECT id FROM crm_deals.account WHERE name = ' TWIN ')),
          'section 8: and names them');
SELECT is(t.convert(t.lead('twin'),
                    format(', use_account => %L', (SELECT id FROM crm_deals.account WHERE name = 'Twin'))),
          'Twin | none | twin', 'section 8: use_account says which');
SELECT is(t.convert(t.lead(E' \t', 'Only me')), 'none | Only me | Only me', 'section 8: no company name, no account');
SELECT is(t.convert(t.lead('Stark', 'Tony')) || ', ' || t.convert(t.lead('Stark', 'Pepper')),
          'Stark | Tony | Stark, Stark | Pepper | Stark',
          'section 8: the second lead of a company finds the account that the first made');
SELECT is((SELECT count(*) FROM crm_deals.account WHERE name = 'Stark'), 1::bigint, 'section 8: one account');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s, %s)', t.lead('X', 'Y'), v.argument)), 'P0002',
          'section 10: does not exist: ' || v.argument)
FROM (VALUES ('use_account => ''4711'''), ('use_account => ''Acme'''), ('use_account => '''''),
             ('use_account => ''99999999999999999999999'''), ('use_contact => ''4711'''),
             ('use_contact => ''x''')) AS v (argument);

-- The argument deal
CREATE FUNCTION t.deal_of(argument text, company text DEFAULT 'C') RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('SELECT crm_deals.convert_lead(%s, deal => %L)', t.lead(company, 'P'), argument),
                   'SELECT concat_ws('' | '', d.name, s.key, d.amount, d.currency, d.owner, d.source, d.custom_fields, '
                   'd.expected_close_date::text, d.probability) '
                   'FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id ORDER BY d.id DESC LIMIT 1')
$$;
SELECT crm_deals.create_pipeline('Second', '[{"name": "In"}, {"name": "Out", "status": "won"}]',
                                 currency => 'CHF') AS second \gset
SELECT is(t.deal_of(v.argument), v.result, 'section 8: deal ' || v.argument)
FROM (VALUES ('{}', 'C | lead | EUR | {} | 10'), ('{"name": "N"}', 'N | lead | EUR | {} | 10'),
             ('{"name": null}', 'C | lead | EUR | {} | 10'),
             ('{"amount": 12.50, "currency": "USD"}', 'C | lead | 12.50 | USD | {} | 10'),
             ('{"stage": "proposal"}', 'C | proposal | EUR | {} | 50'),
             ('{"stage": "Negotiation"}', 'C | negotiation | EUR | {} | 75'),
             ('{"pipeline": "Second"}', 'C | in | CHF | {} | 0'),
             ('{"pipeline": "Second", "stage": "out"}', 'C | out | CHF | {} | 100'),
             (format('{"pipeline": "%s"}', :second), 'C | in | CHF | {} | 0'),
             (format('{"pipeline_id": %s}', :second), 'C | in | CHF | {} | 0'),
             (format('{"pipeline_id": %s, "stage": "out"}', :second), 'C | out | CHF | {} | 100'),
             (format('{"stage_id": %s}', t.stage('qualified')), 'C | qualified | EUR | {} | 25'),
             (format('{"stage": "%s"}', t.stage('out', 'Second')), 'C | out | CHF | {} | 100'),
             ('{"pipeline": null, "stage": null}', 'C | lead | EUR | {} | 10'),
             ('{"owner": "eve", "source": "web", "expected_close_date": "2027-01-31", "probability": 33}',
              'C | lead | EUR | eve | web | {} | 01-31-2027 | 33'),
             ('{"custom_fields": {"seats": 5}}', 'C | lead | EUR | {"seats": 5} | 10'),
             ('{"custom_fields.seats": 5, "custom_fields.a.b": [1]}', 'C | lead | EUR | {"a.b": [1], "seats": 5} | 10'),
             ('{"custom_fields": null}', 'C | lead | EUR | {} | 10'), ('{"nonsense": 1}', '22023'),
             ('{"pipeline": "Second", "pipeline_id": 1}', '22023'), ('{"stage": "won", "stage_id": 1}', '22023'),
             ('{"Name": "x"}', '22023'), ('{"custom_field": {}}', '22023'), ('[]', '22023'), ('5', '22023'),
             ('null', '22023'), ('{"amount": -1}', '23514 deal deal_amount'), ('{"amount": "much"}', '22P02'),
             ('{"name": " "}', '23514 deal.name deal_name'), ('{"stage": "nowhere"}', 'P0002'),
             ('{"pipeline": "nowhere"}', 'P0002'), ('{"status": "won"}', '23514 deal.status deal_status_matches_stage'),
             ('{"stage": "lost"}', '23514 deal.lost_reason deal_lost_reason'),
             ('{"stage": "lost", "lost_reason": "price"}', 'C | lost | EUR | {} | 0'),
             ('{"custom_fields": {"seats": "many"}}', '23514 deal.custom_fields deal_custom_fields'),
             ('{"custom_fields": [1]}', '23514 deal deal_custom_fields'),
             ('{"account_id": 4711}', '23503 deal deal_account_id_fkey'),
             ('{"stage_id": 4711}', '23503 deal.stage_id deal_stage_fkey')) AS v (argument, result);
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s, deal => ''{"nonsense": 1, "amount": 2, "also": 3}'')',
                         t.lead('C')),
                  'message'),
          'a deal has no "also", "nonsense"', 'section 10: unknown keys are named');
SELECT is(t.deal_of(NULL), 'C | lead | EUR | {} | 10', 'section 8: deal NULL is none said');
SELECT is(t.deal_of('{}', NULL), 'P | lead | EUR | {} | 10',
          'section 8: the name is the company''s, else the person''s');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead())), '23514 deal.name deal_name',
          'section 8: a lead without any name makes no deal');
SELECT is(t.convert(t.lead(), ', deal => ''{"name": "Named"}'''), 'none | none | Named',
          'section 8: but one that is named');
ALTER TABLE crm_deals.deal ADD COLUMN "Our ref" integer, ADD COLUMN tags text[];
SELECT is(t.after(format('SELECT crm_deals.convert_lead(%s, deal => ''{"Our ref": 7, "tags": ["a", "b"]}'')',
                         t.lead('C')),
                  'SELECT concat_ws('' '', "Our ref", tags) FROM crm_deals.deal ORDER BY id DESC LIMIT 1'),
          '7 {a,b}', 'section 8: any column, the user''s own, too');
SELECT is(t.convert(t.lead('Without', 'Anybody'), ', create_deal => false'), 'Without | Anybody | none',
          'section 8: without a deal where told so');
SELECT is((SELECT concat_ws(' ', status, coalesce(deal_id::text, 'none')) FROM crm_deals.lead
           WHERE company_name = 'Without'),
          'converted none', 'section 8: converted all the same');

-- Custom fields that are inherited, and said
SELECT is(t.after(format('UPDATE crm_deals.lead SET custom_fields = ''{"seats": 3, "region": "N", "x": 1}'' '
                         'WHERE id = %s; SELECT crm_deals.convert_lead(%1$s, '
                         'deal => ''{"custom_fields": {"seats": 4}}'')',
                         t.lead('C')),
                  'SELECT custom_fields FROM crm_deals.deal ORDER BY id DESC LIMIT 1'),
          '{"seats": 4, "region": "N"}', 'section 8: what is said goes before what is inherited');
UPDATE crm_deals.custom_field SET type = 'text' WHERE entity = 'lead' AND key = 'seats';
SELECT is(t.after(format('UPDATE crm_deals.lead SET custom_fields = ''{"seats": "few"}'' WHERE id = %s; '
                         'SELECT crm_deals.convert_lead(%1$s)',
                         t.lead('C')),
                  'SELECT 1'),
          '23514 deal.custom_fields deal_custom_fields', 'section 8: an inherited value is checked as any');
SELECT is(t.after(format('UPDATE crm_deals.lead SET custom_fields = ''{"seats": "few"}'' WHERE id = %s; '
                         'SELECT crm_deals.convert_lead(%1$s, deal => ''{"custom_fields.seats": null}'')',
                         t.lead('C')),
                  'SELECT custom_fields FROM crm_deals.deal ORDER BY id DESC LIMIT 1'),
          '{"seats": null}', 'section 8: and can be left out');
-- Organizations
SELECT crm_deals.create_pipeline('Sales', '[{"name": "Hooli start"}]', organization => 'hooli') AS hooli,
       crm_deals.create_pipeline('Other', '[{"name": "Other start"}]', organization => 'hooli') AS other \gset
INSERT INTO crm_deals.custom_field (organization, entity, key, type) VALUES ('hooli', 'deal', 'own', 'text');
CREATE FUNCTION t.place(argument text, organization text) RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('UPDATE crm_deals.lead SET custom_fields = ''{"own": "x"}'' WHERE id = %s; '
                          'SELECT crm_deals.convert_lead(%1$s, deal => %2$L)',
                          t.lead('C', 'P', NULL, organization), argument),
                   'SELECT concat_ws('' | '', s.key, coalesce(d.organization, ''none''), a.organization, '
                   'd.custom_fields) FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id '
                   'JOIN crm_deals.account AS a ON a.id = d.account_id ORDER BY d.id DESC LIMIT 1')
$$;
SELECT is(t.place(v.argument, v.organization), v.result,
          format('section 8: a lead of %s, deal %s', coalesce(v.organization, 'none'), v.argument))
FROM (VALUES ('{}', 'hooli', 'hooli_start | hooli | hooli | {"own": "x"}'), ('{}', 'acme', 'lead | none | acme | {}'),
             ('{}', NULL, 'lead | none | {}'),
             ('{"pipeline": "Sales"}', 'hooli', 'hooli_start | hooli | hooli | {"own": "x"}'),
             ('{"pipeline": "Sales"}', 'acme', 'lead | none | acme | {}'),
             ('{"pipeline": "Other"}', 'hooli', 'other_start | hooli | hooli | {"own": "x"}'),
             ('{"pipeline": "Second"}', 'hooli', 'in | none | hooli | {}'), ('{"pipeline": "Other"}', 'acme', 'P0002'),
             ('{"stage": "hooli_start"}', 'hooli', 'hooli_start | hooli | hooli | {"own": "x"}'),
             ('{"stage": "lead"}', 'hooli', 'P0002')) AS v (argument, organization, result);
SET crm_deals.organization = 'hooli';
SELECT is(t.place('{}', NULL), 'hooli_start | hooli | {"own": "x"}',
          'section 8: a lead of none, in a session of an organization');
RESET crm_deals.organization;
SELECT is(t.after('UPDATE crm_deals.pipeline SET is_default = false',
                  format('SELECT t.dry(''SELECT crm_deals.convert_lead(%s)'')', t.lead('C'))),
          'P0002', 'section 10: no default pipeline');

-- Gates and duplicates hold; nothing is left behind whatever fails
SELECT t.counts() AS before \gset
SELECT is(t.dry(format('UPDATE crm_deals.pipeline SET forbid_skipping = true; '
                       'SELECT crm_deals.convert_lead(%s, deal => ''{"stage": "proposal"}'')',
                       t.lead('Gate', 'G'))),
          '23514 deal.stage_id deal_gate', 'section 8: gates hold');
SELECT is(t.dry(format('UPDATE crm_deals.stage SET required_fields = ''{amount,custom_fields.region}'' '
                       'WHERE id = t.stage(''lead''); SELECT crm_deals.convert_lead(%s)',
                       t.lead('Gate', 'G'))),
          '23514 deal.stage_id deal_required_fields', 'section 8: so do required fields');
SELECT is(t.dry(format('UPDATE crm_deals.custom_field SET required = true WHERE entity = %L AND key = %L; '
                       'SELECT crm_deals.convert_lead(%s)',
                       v.entity, v.key, t.lead('Gate', 'G'))),
          v.result, 'section 8: a required custom field of the ' || v.entity)
FROM (VALUES ('deal', 'seats', '23514 deal.custom_fields deal_custom_fields'),
             ('account', 'vat', '23514 account.custom_fields account_custom_fields'),
             ('contact', 'birthday', '23514 contact.custom_fields contact_custom_fields')) AS v (entity, key, result);
CREATE FUNCTION t.fail()
RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'failed on purpose' USING ERRCODE = 'TT001'; END$$;
CREATE FUNCTION t.suppress() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE FUNCTION t.failing(relation text, event text, trigger_function text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('CREATE TRIGGER a_test %s ON crm_deals.%I FOR EACH ROW EXECUTE FUNCTION t.%I()', event, relation,
                   trigger_function);
    result := t.try(format('SELECT crm_deals.convert_lead(%s)',
                           (SELECT id FROM crm_deals.lead WHERE company_name = 'Breaks')));
    EXECUTE format('DROP TRIGGER a_test ON crm_deals.%I', relation);
    RETURN result || ', ' || t.counts();
END
$$;
SELECT t.lead('Breaks', 'Breaks', 'b@x.example') AS breaks \gset
INSERT INTO crm_deals.activity (kind, subject, lead_id) VALUES ('note', 'x', :breaks);
SELECT is(t.failing(v.relation, v.event, v.function), v.result || ', ' || :'before',
          format('section 8: nothing is left where %s %s does %s', v.event, v.relation, v.function))
FROM (VALUES ('account', 'BEFORE INSERT', 'fail', 'TT001'), ('account', 'AFTER INSERT', 'fail', 'TT001'),
             ('account', 'BEFORE INSERT', 'suppress', '09000'), ('contact', 'BEFORE INSERT', 'fail', 'TT001'),
             ('contact', 'AFTER INSERT', 'fail', 'TT001'), ('contact', 'BEFORE INSERT', 'suppress', '09000'),
             ('deal', 'BEFORE INSERT', 'fail', 'TT001'), ('deal', 'AFTER INSERT', 'fail', 'TT001'),
             ('deal', 'BEFORE INSERT', 'suppress', '09000'), ('deal_event', 'BEFORE INSERT', 'fail', 'TT001'),
             ('lead', 'BEFORE UPDATE', 'fail', 'TT001'), ('lead', 'AFTER UPDATE', 'fail', 'TT001'),
             ('lead', 'BEFORE UPDATE', 'suppress', '09000'), ('activity', 'BEFORE UPDATE', 'fail', 'TT001'))
         AS v (relation, event, function, result);
SELECT is(t.convert(:breaks), 'Breaks | Breaks b@x.example | Breaks', 'section 8: afterwards it converts');
ALTER TABLE crm_deals.account ADD COLUMN must integer NOT NULL DEFAULT 1;
ALTER TABLE crm_deals.account ALTER COLUMN must DROP DEFAULT;
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead('Cannot'))), '23502 account.must',
          'section 8: what our own table refuses, too');
SELECT is(t.error(format('SELECT crm_deals.convert_lead(%s)', t.lead('Cannot')), 'hint'),
          'Create the account yourself and give its key as use_account.',
          'section 8: needs use_account, and the error says so');
ALTER TABLE crm_deals.account DROP COLUMN must;

-- The actor
SELECT is(t.after(format('SET LOCAL crm_deals.actor = ''outer''; SELECT crm_deals.convert_lead(%s%s)', t.lead('Actor'),
                         v.argument),
                  'SELECT actor || '' '' || current_setting(''crm_deals.actor'') FROM crm_deals.deal_event '
                  'ORDER BY id DESC LIMIT 1'),
          v.result, 'section 4: actor: ' || v.result)
FROM (VALUES (', actor => ''inner''', 'inner outer'), ('', 'outer outer')) AS v (argument, result);
SELECT is(t.after(format('SELECT crm_deals.convert_lead(%s, actor => ''inner'')', t.lead('Actor')),
                  'SELECT actor || '' '' || coalesce(nullif(current_setting(''crm_deals.actor''), ''''), ''none'') '
                  'FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1'),
          'inner none', 'section 4: actor: where no setting was');
SELECT is(t.after(format('SELECT t.dry(''SELECT crm_deals.convert_lead(%s, actor => ''''inner'''', '
                         'deal => ''''{"amount": -1}'''')'')',
                         t.lead('Actor')),
                  'SELECT coalesce(nullif(current_setting(''crm_deals.actor''), ''''), ''none'')'),
          'none', 'section 4: actor: put back where the deal fails');
BEGIN;
SET LOCAL crm_deals.actor = 'outer';
SAVEPOINT s;
\set ON_ERROR_STOP off
SELECT crm_deals.convert_lead(t.lead('Actor'), actor => 'inner', deal => '{"amount": -1}');
\set ON_ERROR_STOP on
ROLLBACK TO s;
SELECT is(current_setting('crm_deals.actor'), 'outer', 'section 4: actor: put back by a savepoint');
SELECT crm_deals.convert_lead(t.lead('Actor'), actor => 'inner') AS none \gset
INSERT INTO crm_deals.deal (name) VALUES ('after');
SELECT is((SELECT string_agg(actor, ' ' ORDER BY id)
           FROM (SELECT id, actor FROM crm_deals.deal_event ORDER BY id DESC LIMIT 2) AS e),
          'inner outer', 'section 4: actor: the next statement''s is the setting''s again');
COMMIT;
SELECT is(coalesce(nullif(current_setting('crm_deals.actor'), ''), 'none'), 'none',
          'section 4: actor: nothing is left of it after the transaction');

-- Which leads
SELECT is(t.dry(format('UPDATE crm_deals.lead SET status = %L WHERE id = %s; SELECT crm_deals.convert_lead(%2$s)',
                       v.status, t.lead('Status'))),
          v.result, 'section 8: a lead that is ' || v.status)
FROM (VALUES ('new', 'done'), ('working', 'done'), ('qualified', 'done'),
             ('disqualified', '55000')) AS v (status, result);
SELECT is(t.dry('SELECT crm_deals.convert_lead(4711)'), 'P0002', 'section 10: a lead that does not exist');
SELECT is(t.dry('SELECT crm_deals.convert_lead(NULL)'), '22004', 'section 10: no lead');
SELECT is(
    t.after(format('SELECT crm_deals.convert_lead(%s); DELETE FROM crm_deals.deal WHERE name = ''Status''',
                   t.lead('Status')),
            'SELECT status || '' '' || coalesce(deal_id::text, ''none'') FROM crm_deals.lead ORDER BY id DESC LIMIT 1'),
    'converted none', 'section 3: a lead whose deal was deleted stays converted');
-- Into a deal that is there
CREATE FUNCTION t.joined(setup text, lead bigint, wanted text DEFAULT 'D') RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format($query$
               INSERT INTO crm_deals.deal (name) VALUES ('D');
               %s;
               SELECT crm_deals.convert_lead(%s, use_deal => t.deal(%L), actor => 'joiner')$query$, setup, lead, wanted),
               $query$SELECT concat_ws(' | ', a.name, c.first_name, c.last_name, d.source, d.owner, d.custom_fields,
                                       'v' || d.version, (SELECT string_agg(k.first_name, ',' ORDER BY k.id)
                                                          FROM crm_deals.deal_contact AS s
                                                          JOIN crm_deals.contact AS k ON k.id = s.contact_id
                                                          WHERE s.deal_id = d.id),
                                       (SELECT e.actor FROM crm_deals.deal_event AS e
                                        WHERE e.deal_id = d.id AND e.version = d.version AND e.actor = 'joiner'))
                      FROM crm_deals.deal AS d
                      LEFT JOIN crm_deals.account AS a ON a.id = d.account_id
                      LEFT JOIN crm_deals.contact AS c ON c.id = d.primary_contact_id
                      WHERE d.name = 'D'$query$)
$$;
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'tier', 'text');
INSERT INTO crm_deals.lead (company_name, first_name, last_name, email, source, owner, custom_fields)
VALUES ('ACME', 'Joe', 'Join', 'joe@acme.example', 'fair', 'anna', '{"tier": "5", "region": "north"}')
RETURNING id AS joins \gset
SELECT is(t.joined(v.setup, :joins), v.result, 'section 8: use_deal: ' || v.what)
FROM (VALUES
    ('an empty deal is filled', 'SELECT 1',
     'Acme | Joe | Join | fair | {"tier": "5", "region": "north"} | v2 | Joe | joiner'),
    ('nothing is overwritten', 'UPDATE crm_deals.deal SET account_id = 1, primary_contact_id = 1, source = ''web'', '
     'owner = ''tom'', custom_fields = ''{"tier": "7"}'' WHERE name = ''D''',
     'Acme | Ada | Lovelace | web | tom | {"tier": "7", "region": "north"} | v3 | Joe | joiner'),
    ('what is null or blank is empty', 'UPDATE crm_deals.deal SET source = '' '', custom_fields = '
     '''{"region": null, "x": null}'' WHERE name = ''D''',
     'Acme | Joe | Join | fair | {"x": null, "tier": "5", "region": "north"} | v3 | Joe | joiner'),
    ('a deal that lacks nothing is not changed', 'UPDATE crm_deals.deal SET account_id = 1, primary_contact_id = 1, '
     'source = ''web'', custom_fields = ''{"tier": "7", "region": "x"}'' WHERE name = ''D''',
     'Acme | Ada | Lovelace | web | {"tier": "7", "region": "x"} | v2 | Joe'),
    ('another account', 'UPDATE crm_deals.deal SET account_id = (SELECT max(id) FROM crm_deals.account) '
     'WHERE name = ''D''', '55000')) AS v (what, setup, result);
SELECT is(t.joined('UPDATE crm_deals.deal SET account_id = 1 WHERE name = ''D''', t.lead(NULL, 'Solo')),
          'Acme | Solo | {} | v3 | Solo | joiner', 'section 8: use_deal: a lead without a company joins the deal''s');
SELECT is(t.after(format($$INSERT INTO crm_deals.deal (id, name) VALUES (9001, 'D'), (9002, 'E');
                           SELECT crm_deals.merge_deals(9001, 9002);
                           SELECT crm_deals.convert_lead(%s, use_deal => 9002)$$, :joins),
                  format('SELECT deal_id::text FROM crm_deals.lead WHERE id = %s', :joins)),
          '9001', 'section 8: use_deal: a merged deal means the survivor; section 3: the lead says which');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s, %s)', :joins, v.arguments)), v.result,
          'section 8: use_deal: ' || v.arguments)
FROM (VALUES ('use_deal => 4711', 'P0002'), ('use_deal => 1, deal => ''{"amount": 1}''', '22023'),
             ('use_deal => 1, create_deal => false', '22023'), ('use_deal => 1, deal => ''{}''', 'done'),
             ('use_deal => 1, create_deal => NULL', 'done'), ('use_deal => 1, use_account => ''2''', '55000'))
     AS v (arguments, result);

-- A contact that is found gets what it lacks.
CREATE FUNCTION t.completed(contact text, lead text, arguments text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format($query$
               INSERT INTO crm_deals.contact (external_id, first_name, last_name, phone, email) VALUES ('F-1', %s);
               INSERT INTO crm_deals.lead (external_id, first_name, last_name, phone, email) VALUES ('F-1', %s);
               SELECT crm_deals.convert_lead((SELECT max(id) FROM crm_deals.lead) %s)$query$, contact, lead, arguments),
               'SELECT concat_ws('' | '', first_name, last_name, phone, email) '
               'FROM crm_deals.contact WHERE external_id = ''F-1''')
$$;
SELECT is(t.completed(v.contact, v.lead), v.result, 'section 8: contact: ' || v.result)
FROM (VALUES ('NULL, '' '', NULL, ''f@x.example''', '''Fay'', ''Found'', '' 12 '', NULL',
              'Fay | Found | 12 | f@x.example'),
             ('''Faye'', NULL, ''34'', NULL', '''Fay'', ''Found'', ''12'', ''f@x.example''', 'Faye | Found | 34'),
             ('''Faye'', ''F'', NULL, NULL', '''Fay'', ''Found'', NULL, NULL', 'Faye | F')) AS v (contact, lead, result);
SELECT is(t.completed('NULL, ''F'', NULL, NULL', '''Fay'', ''Found'', ''12'', NULL',
                      ', use_contact => (SELECT max(id)::text FROM crm_deals.contact)'), 'F',
          'section 8: contact: one that is given stays as it is');

-- By a role of level write, and no other
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_reader') AS none \gset
CREATE ROLE regress_crm_writer;
CREATE ROLE regress_crm_reader;
SELECT crm_deals.grant_access('regress_crm_writer', 'write'),
       crm_deals.grant_access('regress_crm_reader', 'read') \gset none_
SELECT is(t.get(format('SELECT account_id IS NOT NULL AND contact_id IS NOT NULL AND deal_id IS NOT NULL '
                       'FROM crm_deals.convert_lead(%s)',
                       t.lead('Written', 'W')),
                'regress_crm_writer'),
          'true', 'section 9: write: convert_lead');
SELECT is((SELECT actor FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1), 'regress_crm_writer',
          'section 4: the actor is who called it');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead('Read')), 'regress_crm_reader'), '42501',
          'section 9: read: not convert_lead');
ALTER TABLE crm_deals.lead ENABLE ROW LEVEL SECURITY;
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead('Hidden')), 'regress_crm_writer'), 'P0002',
          'section 9: row security: a hidden lead does not exist');
ALTER TABLE crm_deals.lead DISABLE ROW LEVEL SECURITY;
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT matches(t.after('SET LOCAL ROLE regress_crm_writer',
                       format('SELECT t.error(''SELECT crm_deals.convert_lead(%s)'', ''detail'')', :lead)),
               '^It became account 1, contact 1, deal none at ',
               'section 9: row security: no error names a hidden deal');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s)', t.lead('Hidden')), 'regress_crm_writer') || ', '
          || t.dry(format('SELECT crm_deals.convert_lead(%s, create_deal => false)', t.lead('Hidden')),
                   'regress_crm_writer'),
          '42501, done', 'section 9: row security: nor is one made that the caller may not');
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_reader') AS none \gset
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
