\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: what import_deals() reads: headers, numbers, dates, stages and parties as people write them.
CREATE FUNCTION t.moment(at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
$$;
\i :include/import.sql
-- One deal with one text: the outcome, and the amount or the date that it became.
CREATE FUNCTION t.reads(text, formats text, field text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
    result text;
BEGIN
    outcome := t.import(format('[{"external_id": "x", "name": "X", "stage": "lead", %s: %s}]', to_json(field),
                               to_json($1)),
                        CASE WHEN formats IS NOT NULL THEN format(', formats => %L', formats) END);
    SELECT to_jsonb(d) ->> field INTO result FROM crm_deals.deal AS d WHERE d.external_id = 'x';
    DELETE FROM crm_deals.deal WHERE external_id = 'x';
    RETURN coalesce(result, outcome);
END
$$;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, DMY';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';

-- Numbers
SELECT is(t.reads(v.given, v.formats, 'amount'), v.wanted, format('section 8: the number %s with %s', v.given, v.formats))
FROM (VALUES ('1234', NULL, '1234'), ('1234.5', NULL, '1234.5'), ('0.1250', NULL, '0.1250'), ('-0', NULL, '0'),
             ('1.234,50', '{"decimal": ",", "thousands": "."}', '1234.50'),
             ('1,234.50', '{"thousands": ","}', '1234.50'), ('1 234,5', '{"decimal": ",", "thousands": " "}', '1234.5'),
             ('1''234.50', '{"thousands": "''"}', '1234.50'), ('1.250', '{"decimal": "."}', '1.250'),
             ('1.250', '{"decimal": ",", "thousands": "."}', '1250')) AS v (given, formats, wanted);
SELECT matches(t.reads(v.given, NULL, 'amount'), v.wanted, format('section 8: the number %s is ambiguous', v.given))
FROM (VALUES ('0.125', '^x rejected: amount "0.125".*ambiguous'), ('1.250', '^x rejected: amount "1.250".*ambiguous.*"thousands": "\."'),
             ('1,250', '^x rejected: amount "1,250".*ambiguous.*"thousands": ","'),
             ('1.234,50', '^x rejected: .*"decimal": ",".*'), ('12 €', '^x rejected: .*No format reads')) AS v (given, wanted);
SELECT matches(t.import('[{"external_id": "a", "name": "A", "amount": "12"}, {"external_id": "b", "name": "B"},
                          {"external_id": "c", "name": "C", "amount": "1.250"}]'),
               '^a rejected: amount "1.250" \(row 3\).*; b created; c rejected: amount "1.250" \(row 3\)',
               'section 8: one such value rejects every row that has a text in that column, and no other');
SELECT is(t.import('[{"external_id": "a", "name": "A", "amount": 1.250}]'), 'a created', 'section 8: a JSON number is no text');
SELECT is((SELECT amount FROM crm_deals.deal WHERE external_id = 'a'), 1.250, 'section 8: and is taken as it is');

-- Dates
SELECT is(t.reads(v.given, v.formats, 'expected_close_date'), v.wanted,
          format('section 8: the date %s with %s', v.given, v.formats))
FROM (VALUES ('2024-02-03', NULL, '2024-02-03'), ('03.02.2024', '{"date": "DMY"}', '2024-02-03'),
             ('02/03/2024', '{"date": "MDY"}', '2024-02-03'), ('2024/02/03', '{"date": "YMD"}', '2024-02-03'),
             ('1706918400', '{"date": "epoch"}', '2024-02-03'), ('1706918400000', '{"date": "epoch_ms"}', '2024-02-03'))
     AS v (given, formats, wanted);
SELECT matches(t.reads(v.given, v.formats, 'expected_close_date'), v.wanted, format('section 8: the date %s', v.given))
FROM (VALUES ('03/02/2024', NULL, '^x rejected: .*03/02/2024.*"date": "DMY".*"date": "MDY"'),
             ('31/12/2024', NULL, '^x rejected: .*"date": "DMY"'), ('2024-02-30', NULL, '^x rejected: .*2024-02-30'),
             ('13/13/2024', '{"date": "DMY"}', '^x rejected: .*13/13/2024')) AS v (given, formats, wanted);
SELECT is(t.dry($$SELECT crm_deals.import_deals(rows => '[{"name": "A"}]', formats => '{"date": "YDM"}')$$), '22023',
          'section 8: a format that there is not');
SELECT is(t.import('[{"external_id": "z", "name": "Z", "stage": "lead", "created_at": "03.02.2024 14:05"}]',
                   $$, formats => '{"date": "DMY", "time_zone": "Europe/Berlin"}'$$), 'z created', 'section 8: a moment');
SELECT is((SELECT t.moment(created_at) FROM crm_deals.deal WHERE external_id = 'z'), '2024-02-03 13:05:00',
          'section 8: is read in formats.time_zone');
-- Columns of a type are taken as they are.
CREATE TEMPORARY TABLE typed AS SELECT 'typed'::text AS external_id, 'T'::text AS name, 1.250 AS amount,
                                       date '2024-02-03' AS expected_close_date;
SELECT is((SELECT outcome FROM crm_deals.import_deals('typed', formats => '{"decimal": ",", "thousands": ".", "date": "MDY"}')),
          'created', 'section 8: columns of a number or date type');
SELECT is((SELECT concat_ws(' ', amount, expected_close_date) FROM crm_deals.deal WHERE external_id = 'typed'),
          '1.250 2024-02-03', 'section 8: are taken as they are');

-- Headers
SELECT is(t.import(E'[{"\uFEFFExternal ID": "h", "NAME": "H", "Expected Close Date": "2024-02-03"}]'), 'h created',
          'section 8: headers match in any case, with blanks, with a BOM');
SELECT is(t.import('[{"Record": "h", "Title": "H2", "Owner phone": "1", "Value": "7"}]',
                   $$, columns => '{"Record": "external_id", "title": "name", "Owner phone": null, "Value": "amount"}'$$),
          'h updated', 'section 8: columns maps headers, and null leaves one out');
SELECT is((SELECT concat_ws(' ', name, amount, expected_close_date) FROM crm_deals.deal WHERE external_id = 'h'),
          'H2 7 2024-02-03', 'section 8: a missing column leaves a value');
SELECT throws_like($$SELECT crm_deals.import_deals(rows => '[{"name": "A", "Phase": "x"}]')$$, '%Phase%',
                   'section 8: an unknown column fails the call by name');
SELECT matches(t.import('[{"external_id": "h", "expected_close_date": null}]'), '^h updated', 'section 8: a NULL');
SELECT is((SELECT expected_close_date FROM crm_deals.deal WHERE external_id = 'h'), NULL, 'section 8: clears it');

-- Stages, accounts, owners
UPDATE crm_deals.stage SET labels = '{"de": "Angebot"}' WHERE key = 'proposal';
INSERT INTO crm_deals.account (name, external_id) VALUES ('Acme  Ltd', 'acme-1'), ('Twin', 't1'), ('twin', 't2');
INSERT INTO crm_deals.contact (last_name, first_name, email, account_id)
VALUES ('Doe', 'Jane', 'jane@example.org', 1), ('Doe', 'Jane', 'jane@twin.example', 2);
SELECT is(t.import(format('[{"external_id": "s", "name": "S", "stage": %s}]', to_json(v.given))), v.wanted,
          'section 8: the stage ' || v.given)
FROM (VALUES (1, 'proposal', 's created'), (2, 'PROPOSAL', 's unchanged'), (3, ' angebot ', 's unchanged'))
     AS v (n, given, wanted)
ORDER BY v.n;
SELECT matches(t.import('[{"external_id": "s", "name": "S", "stage": "4"}]'),
               '^s rejected: Stage "4" does not exist in pipeline "Sales". Its stages are "Lead", "Qualified"',
               'section 8: our id is no stage; the detail names the stages that there are');
SELECT is(t.import(format('[{"external_id": "s", "Stage": %s}]', (SELECT id FROM crm_deals.stage WHERE key = 'qualified')),
                   $$, columns => '{"Stage": "stage_id"}'$$), 's updated', 'section 8: but if columns names stage_id');
SELECT is(t.import(format('[{"external_id": "s", "account": %s}]', to_json(v.given))), v.wanted,
          'section 8: the account ' || v.given)
FROM (VALUES (1, 'acme-1', 's updated'), (2, E'ACME\tltd', 's unchanged')) AS v (n, given, wanted)
ORDER BY v.n;
SELECT is((SELECT account_id FROM crm_deals.deal WHERE external_id = 's'), 1::bigint, 'section 8: is that of its external id');
SELECT matches(t.import('[{"external_id": "s", "name": "S", "account": "Twin"}, {"external_id": "t", "name": "T", "account": "1"}]'),
               '^s rejected: Account "Twin" is ambiguous: it can be 2, 3\..*; t rejected: Account "1" does not exist', 'section 8: several matches, and ids, are rejected');
SELECT is(t.import('[{"external_id": "s", "account": "acme ltd", "primary_contact": "jane doe"}]'), 's updated',
          'section 8: a contact of a name that is not unique');
SELECT is((SELECT primary_contact_id FROM crm_deals.deal WHERE external_id = 's'), 1::bigint,
          'section 8: is looked for in the row''s account first');
SELECT is(t.import('[{"external_id": "s", "account": "t1", "primary_contact": "JANE@twin.example"}]'), 's updated',
          'section 8: a contact by e-mail');
SELECT is((SELECT primary_contact_id FROM crm_deals.deal WHERE external_id = 's'), 2::bigint, 'section 8: is found');

-- A rehearsal
SELECT is(t.import('[{"external_id": "r", "name": "R", "account": "Newco"}, {"external_id": "s", "name": "S", "amount": "9"},
                     {"external_id": "q", "name": "Q", "stage": "nowhere"}]', ', create_accounts => true, dry_run => true') ~
          '^r created; s updated; q rejected', true, 'section 8: dry_run gives the same rows');
SELECT is((SELECT concat_ws(' ', (SELECT count(*) FROM crm_deals.deal WHERE external_id = 'r'),
                            (SELECT count(*) FROM crm_deals.account WHERE name = 'Newco'), d.amount, d.version))
          , '0 0 ' || d.version, 'section 8: and leaves nothing behind')
FROM crm_deals.deal AS d WHERE d.external_id = 's';
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'section 8: no rule is broken');

SELECT * FROM finish();
