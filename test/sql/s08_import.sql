\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 8: import_deals().
-- Makes a source of text columns, as from a CSV file. '-' stands for NULL, and an empty value for ''.
CREATE FUNCTION t.source(columns text, VARIADIC lines text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    DROP TABLE IF EXISTS pg_temp.source;
    EXECUTE format('CREATE TEMPORARY TABLE source (%s)',
                   (SELECT string_agg(format('%I text', c.name), ', ' ORDER BY c.n)
                    FROM regexp_split_to_table(columns, ', ') WITH ORDINALITY AS c (name, n)));
    FOREACH line IN ARRAY lines LOOP
        EXECUTE format('INSERT INTO source SELECT %s',
                       (SELECT string_agg(CASE WHEN f.value = '-' THEN 'NULL' ELSE quote_literal(f.value) END,
                                          ', ' ORDER BY f.n)
                        FROM regexp_split_to_table(line, ' *\| *') WITH ORDINALITY AS f (value, n)));
    END LOOP;
END
$$;
-- What import_deals() returns for each row: 'a created; b rejected: why'.
CREATE FUNCTION t.import(arguments text DEFAULT '''source''') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws('' '', coalesce(i.external_id, i.row_number::text), '
                   'i.outcome || coalesce('': '' || replace(i.detail, E''\n'', '' '') , '''')), ''; '' '
                   'ORDER BY i.row_number, i.external_id) FROM crm_deals.import_deals(%s) AS i', arguments) INTO result;
    RETURN result;
END
$$;
CREATE FUNCTION t.row(wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', d.name, s.key, d.status, d.amount, d.currency, d.probability, d.owner, d.lost_reason,
                             d.expected_close_date, a.name, d.custom_fields, 'v' || d.version)
            FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id
            LEFT JOIN crm_deals.account AS a ON a.id = d.account_id
            WHERE d.external_id = wanted);
END
$$;
SET TimeZone = 'UTC';
SET DateStyle = ISO;
INSERT INTO crm_deals.account (name, external_id)
VALUES ('Acme', 'erp-1'), ('Globex', NULL), ('Twice', NULL), (' twice', NULL), ('7', NULL);
INSERT INTO crm_deals.contact (first_name) VALUES ('Ada');

-- New deals: defaults, names and keys, historical stamps
SELECT t.source('external_id, name, stage, account, amount, currency, owner, created_at, closed_at, lost_reason, '
                'expected_close_date, probability, source, notes',
    'a | A | - | - | - | - | - | - | - | - | - | - | - | -',
    'b | B | won | acme | 1250.50 | USD | tom | 2020-01-01 | 2020-03-01 12:00+01 | - | - | - | fair | a note',
    'c | C | Qualified |  Globex  | 7 |  |  | 2021-01-01 |  |  | 2027-01-31 | 60 | | ',
    'd | D | lost | ERP-1 | 0 | EUR | - | - | 2022-02-02 | price | - | - | - | -',
    '- | E | lead | 7 | - | - | - | - | - | - | - | - | - | -') \gset none_
SELECT is(t.import(), 'a created; b created; c created; d created; 5 created', 'import: new deals');
SELECT is(t.row('a'), 'A lead open EUR 10 {} v1', 'import: only the name is needed');
SELECT is(t.row('b') || ' ' || (SELECT created_at || ' ' || closed_at || ' ' || source || ' ' || notes
                                FROM crm_deals.deal WHERE external_id = 'b'),
          'B won won 1250.50 USD 100 tom Acme {} v1 2020-01-01 00:00:00+00 2020-03-01 11:00:00+00 fair a note',
          'import: historical created_at and closed_at are kept; an account by name in any case');
SELECT is(t.row('c'), 'C qualified open 7 EUR 60 2027-01-31 Globex {} v1',
          'import: a stage by name; a blank is nothing');
SELECT is(t.row('d'), 'D lost lost 0 EUR 0 price Acme {} v1', 'import: an account by its external id, a reason');
SELECT is((SELECT a.name FROM crm_deals.deal AS d JOIN crm_deals.account AS a ON a.id = d.account_id
           WHERE d.name = 'E'),
          '7', 'import: a name of digits is a name');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', kind, origin, actor, bypassed, note), ', ') || ' ' || count(*)
                  || ' ' || count(DISTINCT batch_id)
           FROM crm_deals.deal_event),
          'created import postgres 5 1', 'import: one event a deal, of origin import, in one batch');
SELECT is((SELECT bool_and(d.updated_at = e.occurred_at AND e.occurred_at > now() - interval '1 hour')
           FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id),
          true, 'import: without a history the event is of the moment of the import');

-- Upsert: a missing column leaves a value, a NULL clears it
SELECT is(regexp_replace(t.import(), 'deal \d+', 'deal N', 'g'),
          'a unchanged; b unchanged; c unchanged; d unchanged; 5 flagged: Similar to deal N, "E".',
          'import: the same again changes nothing; without an external_id there is no upsert');
SELECT t.source('external_id, amount', 'b | 2000', 'c | -', 'd | 0.00') \gset none_
SELECT is(t.import($$'source', actor => 'the erp'$$), 'b updated; c updated; d unchanged', 'import: changes');
SELECT is(t.row('b') || '; ' || t.row('c'),
          'B won won 2000 USD 100 tom Acme {} v2; C qualified open EUR 60 2027-01-31 Globex {} v2',
          'import: a missing column leaves a value, a NULL clears it');
SELECT is((SELECT concat_ws(' ', kind, origin, actor, changes) FROM crm_deals.deal_event WHERE actor = 'the erp'
           ORDER BY id LIMIT 1),
          'updated import the erp {"amount": [1250.50, 2000]}', 'import: a change is an event, of the actor given');
SELECT t.source('external_id, name, stage, account, owner, expected_close_date, probability, source, notes, currency, '
                'closed_at, lost_reason, pipeline',
                'b | B | won | - | - | - | - | - | - | - | - | - | -',
                'c | C | - | - | - | - | - | - | - | - | - | - | -') \gset none_
SELECT is(t.import(), 'b updated; c updated', 'import: NULLs');
SELECT is(t.row('b') || '; ' || t.row('c'), 'B won won 2000 USD 100 {} v3; C qualified open EUR 25 {} v3',
          'import: they clear what a deal can be without: stage, currency and closing time stay, an override ends');
SELECT t.source('external_id, stage, lost_reason, closed_at', 'b | lost | price | -', 'c | won | - | 2024-05-06',
                'd | lead | - | -') \gset none_
SELECT is(t.import() || ' ' || t.row('b') || '; ' || t.row('c') || '; ' || t.row('d'),
          'b updated; c updated; d updated B lost lost 2000 USD 0 price {} v4; C won won EUR 100 {} v4; '
          'D lead open 0 EUR 10 Acme {} v2',
          'import: moves to closed stages and back');
SELECT t.source('external_id, name, stage, probability, closed_at, lost_reason', 'm1 | M1 | lead | 60 | - | -',
                'm2 | M2 | won | - | 2020-01-01 | -') \gset none_
SELECT is(t.import(), 'm1 created; m2 created', 'import: an override and a closing time');
UPDATE source
SET stage = CASE external_id WHEN 'm1' THEN 'won' ELSE 'lost' END,
    closed_at = CASE external_id WHEN 'm1' THEN '2021-01-01 01:00' ELSE closed_at END,
    lost_reason = CASE external_id WHEN 'm2' THEN 'price' END;
SELECT is(t.import(), 'm1 updated; m2 updated', 'import: that stay while the deal moves');
SELECT is((SELECT string_agg(concat_ws(' ', d.name, d.status, d.probability,
                                       d.closed_at),
                             ', ' ORDER BY d.name)
           FROM crm_deals.deal AS d WHERE d.name ~ '^M'),
          'M1 won 100 2021-01-01 01:00:00+00, M2 lost 0 2020-01-01 12:00:00+00',
          'import: closing times are what the source says; a closed deal''s probability is its stage''s');
SELECT is(t.import(), 'm1 unchanged; m2 unchanged', 'import: and once more changes nothing');
SELECT t.source('external_id', 'a', 'b') \gset none_
SELECT is(t.import(), 'a unchanged; b unchanged', 'import: a source that says nothing of its deals');

-- Bad rows of every kind; the good one among them is written
SELECT crm_deals.create_pipeline('Closed',
                                 '[{"name": "In"}, {"name": "Same"}, {"name": "Same", "key": "same2"}, '
                                 '{"name": "Old"}, {"name": "Lost", "status": "lost"}]') AS closed \gset
UPDATE crm_deals.stage SET archived_at = now() WHERE key = 'old';
SELECT crm_deals.create_pipeline('Inactive') AS inactive \gset
UPDATE crm_deals.pipeline SET is_active = false WHERE name = 'Inactive';
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:closed, 'price');
SELECT t.source('external_id, name, pipeline, stage, status, account, amount, currency, probability, '
                'expected_close_date, closed_at, lost_reason, created_at, primary_contact_id, organization',
    'good | Good | Sales | won | won | Acme | 5 | EUR | - | - | 2024-01-01 | - | - | 1 | -',
    '- |  | - | - | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Nowhere | - | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Sales | nowhere | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Closed | Same | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Closed | Old | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Inactive | - | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Sales | won | open | - | - | - | - | - | - | - | - | - | -',
    '- | x | - | - | - | Nobody | - | - | - | - | - | - | - | - | -',
    '- | x | - | - | - | Twice | - | - | - | - | - | - | - | - | -',
    '- | x | - | - | - | - | -1 | - | - | - | - | - | - | - | -',
    '- | x | - | - | - | - | NaN | - | - | - | - | - | - | - | -',
    '- | x | - | - | - | - | 1,5 | - | - | - | - | - | - | - | -',
    '- | x | - | - | - | - | - | Euro | - | - | - | - | - | - | -',
    '- | x | - | - | - | - | - | - | 101 | - | - | - | - | - | -',
    '- | x | - | - | - | - | - | - | - | 2023-02-29 | - | - | - | - | -',
    '- | x | - | - | - | - | - | - | - | infinity | - | - | - | - | -',
    '- | x | - | - | - | - | - | - | - | - | 2023-01-01 | - | - | - | -',
    '- | x | - | won | - | - | - | - | - | - | yesterday noon | - | - | - | -',
    '- | x | - | lost | - | - | - | - | - | - | 2024-01-01 | - | - | - | -',
    '- | x | Closed | lost | - | - | - | - | - | - | 2024-01-01 | weather | - | - | -',
    '- | x | - | lead | - | - | - | - | - | - | - | price | - | - | -',
    'a | A | - | - | - | - | - | - | - | - | - | - | 2019-01-01 | - | -',
    '- | x | - | - | - | - | - | - | - | - | - | - | - | 99 | -',
    '- | x | - | - | - | - | - | - | - | - | - | - | - | one | -',
    '- | x | Sales | - | - | - | - | - | - | - | - | - | - | - | acme',
    'good | Again | - | - | - | - | - | - | - | - | - | - | - | - | -',
    '- | x | Nowhere | - | - | Nobody | -2 | x | - | - | - | - | - | - | -') \gset none_
CREATE TEMPORARY TABLE result AS
    SELECT *
    FROM crm_deals.import_deals('source', columns => '{"primary_contact_id": "primary_contact_id"}',
                                formats => '{"decimal": ".", "date": "YMD"}');
SELECT is(outcome
          || coalesce(': ' || regexp_replace(replace(detail, E'\n', ' '), '\d{4}-\d\d-\d\d \d\d:.*?\+00', 'then'), ''),
          w.result, 'import: row ' || row_number || ': ' || w.result)
FROM result
JOIN (VALUES (1, 'created'), (2, 'rejected: A deal needs a name.'), (3, 'rejected: Pipeline "Nowhere" does not exist. There are "Closed", "Inactive", "Sales".'),
             (4,
              'rejected: Stage "nowhere" does not exist in pipeline "Sales". Its stages are "Lead", "Qualified", '
              '"Proposal", "Negotiation", "Won", "Lost".'),
    (5, 'rejected: Stage "Same" is ambiguous: it can be same, same2. Name it by its key.'),
    (6, 'rejected: the stage takes no deals any more: Stage "Old" is archived.'),
    (7, 'rejected: the pipeline takes no new deals: Pipeline "Inactive" is not active.'),
    (8, 'rejected: Status "open" contradicts stage "Won", which is won. Leave one of them out.'),
    (9, 'rejected: Account "Nobody" does not exist. It is looked for by external id, name and e-mail address. '
        'With create_accounts => true it is created.'),
    (10, 'rejected: Account "Twice" is ambiguous: it can be 3, 4. Name it by its external id, or give its key in a '
         'column that "columns" maps to account_id.'),
    (11, 'rejected: The amount is negative.'), (12, 'rejected: amount "NaN" cannot be read as a number with formats => ''{"decimal": "."}''.'),
    (13, 'rejected: amount "1,5" cannot be read as a number with formats => ''{"decimal": "."}''.'),
    (14, 'rejected: "EURO" is not a currency code: Currencies are ISO 4217 codes, three capital letters.'),
    (15, 'rejected: The probability is not between 0 and 100.'),
    (16,
     'rejected: expected_close_date "2023-02-29" cannot be read as a date with formats => ''{"date": "YMD"}''.'),
    (17,
     'rejected: expected_close_date "infinity" cannot be read as a date with formats => ''{"date": "YMD"}''.'),
    (18, 'rejected: an open deal has no closing time: Stage "Lead" has status "open".'),
    (19, 'rejected: closed_at "yesterday noon" cannot be read as a date with formats => ''{"date": "YMD"}''.'),
    (20, 'rejected: a lost deal needs a reason: Pipeline "Sales" requires lost_reason in stage "Lost".'),
    (21, 'rejected: the lost reason is not one of the pipeline''s: "weather" is not one of "price".'),
    (22, 'rejected: a deal that is not lost has no lost reason: Stage "Lead" has status "open".'),
    (23, 'rejected: created_at of deal 1 cannot change: The log refers to a deal by its id and its creation time.'),
    (24, 'rejected: Contact 99 does not exist.'),
    (25,
     'rejected: primary_contact_id "one" cannot be read as a number with formats => ''{"decimal": "."}''.'),
    (26, 'rejected: organization contradicts the pipeline of the deal: '
         'Pipeline "Sales" belongs to no organization; a deal''s organization follows it.'),
    (27, 'rejected: Row 1 has the same external_id.'),
    (28, 'rejected: Pipeline "Nowhere" does not exist. There are "Closed", "Inactive", "Sales". '
         'Account "Nobody" does not exist. It is looked for by external id, name and e-mail address. '
         'With create_accounts => true it is created. The amount is negative.'))
    AS w (number, result) ON w.number = row_number
ORDER BY row_number;
SELECT is((SELECT count(*) || ' ' || max(row_number) || ' ' || count(DISTINCT deal_id) FROM result), '28 28 2',
          'import: every row has its outcome');
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE name = 'x'), 0::bigint, 'import: nothing of a bad row is left');

-- Errors that only the write itself finds: constraints and triggers of the user
ALTER TABLE crm_deals.deal ADD COLUMN region text, ADD COLUMN size varchar(3), ADD COLUMN place point,
    ADD CONSTRAINT no_mars CHECK (region <> 'Mars');
CREATE FUNCTION t.object() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF new.name LIKE 'pass%' THEN RETURN NULL; END IF;
    IF new.name LIKE 'bad%' THEN RAISE 'not this one' USING DETAIL = new.name; END IF;
    RETURN new;
END$$;
CREATE TRIGGER object BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.object();
DROP TABLE source;
CREATE TEMPORARY TABLE source AS
    SELECT 'n' || n AS external_id,
           CASE n WHEN 7 THEN 'bad 7' WHEN 90 THEN 'bad 90' WHEN 50 THEN 'pass' ELSE 'N' || n END AS name,
           CASE n WHEN 33 THEN 'Mars' WHEN 34 THEN 'Earth' END AS region,
           CASE n WHEN 60 THEN 'much too long' END AS size, point(n, n) AS place
    FROM generate_series(1, 100) AS n;
CREATE TEMPORARY TABLE outcome AS SELECT * FROM crm_deals.import_deals('source');
SELECT is((SELECT string_agg(row_number || ' ' || split_part(detail, E'\n', 1), '; ' ORDER BY row_number) FROM outcome
           WHERE outcome = 'rejected'),
          '7 not this one; 33 new row for relation "deal" violates check constraint "no_mars"; '
          '50 A trigger or row security suppressed the row.; 60 value too long for type character varying(3); '
          '90 not this one',
          'import: what only the write finds rejects the rows that it is about');
SELECT is((SELECT count(*) FROM outcome WHERE outcome = 'created') || ' '
          || (SELECT count(*) FROM crm_deals.deal WHERE name LIKE 'N%'),
          '95 95', 'import: all others are written');
SELECT is((SELECT region || ' ' || place FROM crm_deals.deal WHERE external_id = 'n34'), 'Earth (34,34)',
          'import: columns of the user''s own');
UPDATE source
SET name = CASE external_id WHEN 'n1' THEN 'bad' WHEN 'n2' THEN 'pass' WHEN 'n3' THEN 'N three' ELSE name END,
    place = CASE external_id WHEN 'n4' THEN point(0, 0) ELSE place END;
SELECT is((SELECT string_agg(concat_ws(' ', external_id, outcome, detail), '; ' ORDER BY row_number)
           FROM crm_deals.import_deals('source') WHERE outcome <> 'unchanged' AND row_number < 5),
          E'n1 rejected not this one\nbad; n2 rejected A trigger or row security suppressed the change.; n3 updated; '
          'n4 updated',
          'import: of changes, too');
DROP TRIGGER object ON crm_deals.deal;
CREATE FUNCTION t.broken_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM * FROM nowhere; RETURN new; END
$$;
CREATE TRIGGER broken BEFORE INSERT ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.broken_trigger();
SELECT is(t.dry($$SELECT t.import()$$), '42P01', 'import: an error that is about no row fails the call');
DROP TRIGGER broken ON crm_deals.deal;

-- Values at the limits of what there is
SELECT t.source('external_id, name, amount, created_at, custom_fields, notes',
                'l1 | L1 | 999999999999999999.99 | 1900-01-02 | {} | ', 'l2 | L2 | 1e200000 | - | - | -',
                'l3 | L3 | infinity | - | - | -', 'l4 | L4 | - | 300000-01-01 | - | -',
                'l5 | L5 | - | - | {"a": "\u0000"} | -', 'l7 | L7 | x10 | - | - | -') \gset none_
INSERT INTO source
VALUES ('l6', 'L6', NULL, NULL, repeat('[', 1000000), NULL),
       ((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n), 'L8', NULL, NULL, NULL, NULL),
       ('l9', repeat('long', 300000), NULL, NULL, NULL, repeat('note', 300000));
SELECT is(
    (SELECT string_agg(left(external_id, 2) || ' ' || outcome, ', ' ORDER BY row_number)
     FROM crm_deals.import_deals('source', formats => '{"decimal": ".", "date": "YMD"}')),
    'l1 created, l2 rejected, l3 rejected, l4 rejected, l5 rejected, l7 rejected, l6 rejected, c4 rejected, l9 created',
    'import: values at their limits');

-- Columns
SELECT t.source('external_id, name, stage_id, id, colour, updated_at', 'a | A | - | - | - | -') \gset none_
SELECT is(t.try($$SELECT t.import()$$), '42703', 'import: an unknown column fails the call');
SELECT is(t.error($$SELECT t.import()$$, 'message')
              ~ 'columns that cannot be imported: stage_id, id, colour, updated_at$',
          true, 'import: all of them are named, those that the product keeps, too');
SELECT t.source('name, stage, stage_id', 'A | - | -') \gset none_
SELECT is(t.try($$SELECT t.import('''source'', columns => ''{"stage_id": "stage_id"}''')$$), '42701',
          'import: two columns for one thing');
SELECT is(t.try($$SELECT t.import('NULL')$$), '22004', 'import: no source');
SELECT is(t.try($$SELECT t.import('''crm_deals.deal_board''')$$) <> 'done', true, 'import: an index is no source');
ALTER TABLE source DROP COLUMN stage, DROP COLUMN stage_id;
SELECT is(regexp_replace(t.import(), ':.*', ''), '1 flagged', 'import: a dropped column is none');
CREATE VIEW t.named AS
    SELECT 'v' || n AS external_id, 'V' || n AS name, n * 1.5::real AS amount, current_date AS created_at,
           '{"k": 1}'::json AS custom_fields
    FROM generate_series(1, 3) AS n;
SELECT is(t.import($$'t.named'$$), 'v1 created; v2 created; v3 created', 'import: from a view, of other types');
SELECT is((SELECT amount || ' ' || custom_fields FROM crm_deals.deal WHERE external_id = 'v3'), '4.5 {"k": 1}',
          'import: what they become');
CREATE TABLE t.parts (external_id text,
                      name text GENERATED ALWAYS AS ('Part ' || external_id) STORED) PARTITION BY HASH (external_id);
CREATE TABLE t.part0 PARTITION OF t.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t.part1 PARTITION OF t.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO t.parts SELECT 'p' || n FROM generate_series(1, 4) AS n;
SELECT is((SELECT count(*) || ' ' || string_agg(DISTINCT outcome, ' ') FROM crm_deals.import_deals('t.parts')),
          '4 created', 'import: from a partitioned table with a generated column');
TRUNCATE t.parts;
SELECT is(t.import($$'t.parts'$$), NULL, 'import: of no rows');
SELECT t.source('external_id, name, owner, custom_fields.a"b',
                $$x'1 | O'Hara "quoted" %s \ $1 | l'owner | it's "$$) \gset none_
SELECT is(t.import() || ' ' || t.row($$x'1$$),
          $$x'1 created O'Hara "quoted" %s \ $1 lead open EUR 10 l'owner {"a\"b": "it's \""} v1$$,
          'import: quotes in names, values and columns');

-- Twice in a transaction, from a function, and names that are taken
BEGIN;
SELECT t.source('external_id, name', 'twice | T') \gset none_
SELECT is(t.import() || ', ' || t.import(), 'twice created, twice unchanged', 'import: twice in one statement');
COMMIT;
SELECT is((SELECT count(*) FROM pg_class WHERE relname LIKE '\_crm\_deals%' AND relpersistence = 't'), 0::bigint,
          'import: leaves no temporary table');
CREATE TEMPORARY TABLE _crm_deals_rows (a integer);
SELECT is(t.try($$SELECT t.import()$$), '55006', 'import: a temporary table of one of its names is told');
DROP TABLE _crm_deals_rows;

-- Custom fields
INSERT INTO crm_deals.custom_field (entity, key, type, options)
VALUES ('deal', 'seats', 'number', NULL), ('deal', 'renewal', 'boolean', NULL), ('deal', 'since', 'date', NULL),
       ('deal', 'size', 'select', '["small", "large"]'), ('deal', 'colours', 'multiselect', '["red", "blue"]');
SELECT t.source('external_id, name, custom_fields.seats, custom_fields.renewal, custom_fields.since, '
                'custom_fields.size, custom_fields.colours, custom_fields.free',
    'f1 | F1 | 12 | yes | 2024-02-29 | small | red; blue | 5',
    'f2 | F2 | twelve | maybe | spring | medium | green | -', 'f3 | F3 | - | - | - | - | ["blue"] | -') \gset none_
SELECT is(regexp_replace(t.import(), 'must be [^.]*', 'x', 'g')
              ~ '^f1 created; f2 rejected: custom fields of the deal are not as defined: '
                '(Custom field "(seats|renewal|since|size|colours)" x[. ;]+){5}f3 created$',
          true, 'import: custom fields against their definitions, all that are wrong');
SELECT is(t.row('f1') || '; ' || t.row('f3'),
          'F1 lead open EUR 10 {"free": "5", "size": "small", "seats": 12, "since": "2024-02-29", "colours": ["red", '
          '"blue"], "renewal": true} v1; F3 lead open EUR 10 {"colours": ["blue"]} v1',
          'import: texts become what the definition wants');
SELECT t.source('external_id, custom_fields.seats, custom_fields.free', 'f1 | 13 | -') \gset none_
SELECT is(t.import(), 'f1 updated', 'import: custom fields of a deal that is there');
SELECT is((SELECT custom_fields::text FROM crm_deals.deal WHERE external_id = 'f1'),
          '{"size": "small", "seats": 13, "since": "2024-02-29", "colours": ["red", "blue"], "renewal": true}',
          'import: a key that is missing stays, a NULL removes it');
SELECT t.source('external_id, custom_fields', 'f1 | {"other": 1}', 'f3 | [1]', 'v1 | nonsense', 'v2 | -') \gset none_
SELECT is(t.import(), 'f1 updated; f3 rejected: custom_fields is not an object.; v1 rejected: custom_fields "nonsense" '
                      'is not of type jsonb.; v2 updated', 'import: custom fields as a whole');
SELECT is((SELECT string_agg(custom_fields::text, ' ' ORDER BY external_id) FROM crm_deals.deal
           WHERE external_id IN ('f1', 'f3', 'v1', 'v2')),
          '{"other": 1} {"colours": ["blue"]} {"k": 1} {}', 'import: take their place, NULL clears them');

-- Accounts
SELECT t.source('external_id, name, account', 'k1 | K1 | New One', 'k2 | K2 | new one ', 'k3 | K3 | Acme',
                'k4 |  | Never', 'k5 | K5 | Twice') \gset none_
SELECT is(t.import($$'source', create_accounts => true$$),
          'k1 created; k2 created; k3 created; k4 rejected: A deal needs a name.; '
          'k5 rejected: Account "Twice" is ambiguous: it can be 3, 4. Name it by its external id, or give its key in a '
          'column that "columns" maps to account_id.',
          'import: create_accounts');
SELECT is((SELECT string_agg(a.name, ', ' ORDER BY a.id) FROM crm_deals.account AS a WHERE a.id > 5) || ' '
          || (SELECT count(DISTINCT account_id) FROM crm_deals.deal WHERE external_id IN ('k1', 'k2')),
          'New One 1', 'import: an account is made once, and none for a row that is refused');

-- Merged deals
INSERT INTO crm_deals.deal_alias (old_id, old_external_id, deal_id) VALUES (999999, 'gone', t.deal('K1'));
SELECT t.source('external_id, amount', 'gone | 77', 'k1 | 78') \gset none_
SELECT is(t.import() || ' ' || t.row('k1'),
          'gone updated; k1 rejected: Row 1 is the same deal. K1 lead open 77 EUR 10 New One {} v2',
          'import: a merged deal is found by its old external_id');

-- Gates
SELECT crm_deals.create_pipeline('Strict',
                                 '[{"name": "A"}, {"name": "B"}, {"name": "C", "required_fields": ["amount"]}, '
                                 '{"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"}]',
                                 gates => '{"forbid_skipping": true}') AS strict \gset
SELECT t.source('external_id, name, pipeline, stage, amount, closed_at', 's1 | S1 | Strict | a | - | -',
                's2 | S2 | Strict | b | - | -', 's3 | S3 | Strict | won | - | 2024-01-01',
                's4 | S4 | STRICT | B | - | -') \gset none_
SELECT is(t.import($$'source', gates => true$$),
          's1 created; s2 rejected: a gate forbids this move: A deal starts in "A", not in "B".; '
          's3 rejected: a gate forbids this move: A deal starts in "A", not in "Won". '
          'the stage requires fields that are not filled in: Stage "Won" needs amount.; '
          's4 rejected: a gate forbids this move: A deal starts in "A", not in "B".',
          'import: gates are asked with gates => true');
SELECT is(t.import(), 's1 unchanged; s2 created; s3 created; s4 created', 'import: else not');
-- The rules that the log says were bypassed: 'S2 created: forbid_skipping; ...'.
CREATE FUNCTION t.bypassed() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat(d.name, ' ', e.kind, ': ', array_to_string(e.bypassed, ' ')), '; ' ORDER BY e.id)
    FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE e.bypassed IS NOT NULL
$$;
SELECT is(t.bypassed(), 'S2 created: forbid_skipping; S3 created: forbid_skipping required_fields; '
                        'S4 created: forbid_skipping', 'import: the log names those that would have refused');
SELECT t.source('external_id, stage, closed_at', 's1 | won | 2024-01-01', 's2 | c | -') \gset none_
SELECT is(
    t.import($$'source', gates => true$$),
    's1 rejected: a gate forbids this move: "Won" is entered from "C" only. '
    'the stage requires fields that are not filled in: Stage "Won" needs amount.; '
    's2 rejected: the stage requires fields that are not filled in: Stage "C" needs amount.',
    'import: gates of a change');
SELECT is(t.import() || ' ' || t.state('S1') || '; ' || t.state('S2'),
          's1 updated; s2 updated won won 100 closed v2; c open 0 v2', 'import: a change without gates');
SELECT is(t.bypassed(), 'S2 created: forbid_skipping; S3 created: forbid_skipping required_fields; '
                        'S4 created: forbid_skipping; S1 won: forbid_skipping required_fields; '
                        'S2 stage_changed: required_fields', 'import: also for a change');

-- Organizations: an external_id counts within its organization
SELECT crm_deals.create_pipeline('Sales', organization => 'acme') AS acme \gset
SELECT t.source('external_id, name, organization', 'b | B of acme | acme', 'b | B of all | -') \gset none_
SELECT is(t.import(), 'b created; b updated', 'import: an external_id is one of an organization');
SET crm_deals.organization = 'acme';
SELECT t.source('external_id, name, pipeline', 'b | B of acme again | -', 'b2 | x | Sales',
                'b3 | x | Strict') \gset none_
SELECT is(t.import(), 'b updated; b2 created; b3 created', 'import: rows of several organizations');
SELECT is((SELECT string_agg(coalesce(d.organization, 'all') || ' ' || d.name, ', ' ORDER BY d.id)
           FROM crm_deals.deal AS d WHERE d.external_id ~ '^b'),
          'all B of all, acme B of acme again, acme x, all x',
          'import: names are looked up in the setting''s organization first');
RESET crm_deals.organization;

-- A history
SELECT t.source('external_id, name, stage, amount, closed_at, lost_reason, created_at, owner',
                'h1 | H1 | won | 500 | - | - | - | ann', 'h2 | H2 | lost | 20 | 2021-06-01 | price | 2020-12-24 | -',
                'h3 | H3 | lead | - | - | - | - | -', 'h4 | H4 | won | - | - | - | - | -',
                'h5 | H5 | proposal | 9 | - | - | - | -', 'h6 | H6 | proposal | - | - | - | - | -',
                'h7 | H7 | proposal | - | - | - | - | -', 'a | A | lead | - | - | - | - | -',
                'h8 | H8 | won | - | - | - | - | -', 'h9 | H9 | lead | - | - | - | - | -') \gset none_
CREATE TEMPORARY TABLE history (external_id text, stage text, entered_at text, actor text, lost_reason text,
                                amount text);
INSERT INTO history
VALUES ('h1', 'won', '2020-03-01', 'bob', NULL, '500'), ('h1', 'lead', '2020-01-01', 'ann', NULL, '400'),
       ('h1', 'Qualified', '2020-02-01 10:00', NULL, NULL, NULL),
    ('h2', 'lead', '2021-01-01', NULL, NULL, NULL), ('h2', 'lost', '2021-02-01', NULL, 'too late', NULL),
    ('h2', 'lead', '2021-03-01', NULL, NULL, NULL), ('h2', 'lost', '2021-04-01', NULL, NULL, NULL),
    ('h4', 'lead', '2021-01-01', NULL, NULL, NULL), ('h4', 'proposal', '2021-01-02', NULL, NULL, NULL),
    ('h5', 'lead', '2021-01-01', NULL, NULL, NULL), ('h5', 'proposal', '2021-01-01', NULL, NULL, '8'),
    ('h6', 'nowhere', '2021-01-01', NULL, NULL, NULL), ('h6', 'lost', '2021-01-02', NULL, NULL, NULL),
    ('h6', 'lost', '2021-01-03', NULL, 'x', '-1'), ('h6', 'proposal', '2999-01-02', NULL, 'x', NULL),
    ('h7', 'lead', 'once', NULL, NULL, NULL), ('h7', 'proposal', NULL, NULL, NULL, NULL),
    ('a', 'lead', '2021-01-01', NULL, NULL, NULL),
    ('h8', 'won', '2020-05-05 05:05:05.5', 'eve', NULL, NULL), ('stray', 'lead', '2020-01-01', NULL, NULL, NULL),
    ('stray', 'lead', '2020-01-01', NULL, NULL, NULL);
CREATE TEMPORARY TABLE with_history AS
    SELECT * FROM crm_deals.import_deals('source', 'history', actor => 'imp', formats => '{"date": "YMD"}');
SELECT is((SELECT string_agg(external_id, ' ' ORDER BY row_number) FROM with_history WHERE outcome = 'created'),
          'h1 h2 h3 h8 h9', 'import: a history');
SELECT is(external_id || ': ' || regexp_replace(replace(detail, E'\n', ' '), 'changed at [^.]*[.][^.]*', 'changed at then'),
          w.why, 'import: history of ' || w.why)
FROM with_history
JOIN (VALUES (4, 'h4: Its history ends in another stage than the deal is in.'),
             (5,
              'h5: Its history ends with the amount 8, the deal has 9.'),
    (6,
     'h6: An amount of its history is negative or not finite. Its history goes on in the future. Stage "lost" of its '
     'history needs a lost_reason. Stage "nowhere" does not exist in pipeline "Sales". Its stages are "Lead", '
     '"Qualified", "Proposal", "Negotiation", "Won", "Lost". Stage "proposal" of its history is not lost, yet has a lost '
     'reason.'),
    (7, 'h7: A row of its history has no entered_at. entered_at "once" cannot be read as a date with formats => '
        '''{"date": "YMD"}''.'),
    (8, 'a: Its history has a step of 2021-01-01 00:00:00+00 that is not in the log, and the deal has changed at then. '
        'What is added to a deal that exists comes after its last change.'),
    (NULL, 'stray: The source has no row of this external_id, only the history has.')) AS w (number, why)
  ON w.number IS NOT DISTINCT FROM row_number
ORDER BY row_number;
SELECT is((SELECT string_agg(concat_ws(' ', e.version, e.kind, e.origin, e.occurred_at, e.actor, e.amount,
                                       e.lost_reason),
                             ', ' ORDER BY e.version)
           FROM crm_deals.deal_event AS e WHERE e.deal_id = t.deal(v.name)),
          v.events, 'import: the log of ' || v.name)
FROM (VALUES ('H1',
              '1 created import 2020-01-01 00:00:00+00 ann 400, 2 stage_changed import 2020-02-01 10:00:00+00 imp 400, '
              '3 won import 2020-03-01 00:00:00+00 bob 500'),
             ('H2',
              '1 created import 2021-01-01 00:00:00+00 imp 20, 2 lost import 2021-02-01 00:00:00+00 imp 20 too late, '
              '3 reopened import 2021-03-01 00:00:00+00 imp 20, 4 lost import 2021-04-01 00:00:00+00 imp 20 price'),
             ('H8', '1 created import 2020-05-05 05:05:05.5+00 eve')) AS v (name, events);
SELECT is((SELECT string_agg(concat_ws(' ', name, created_at, stage_entered_at, closed_at, updated_at),
                             ', ' ORDER BY name)
           FROM crm_deals.deal WHERE name IN ('H1', 'H2', 'H8')),
          'H1 2020-01-01 00:00:00+00 2020-03-01 00:00:00+00 2020-03-01 00:00:00+00 2020-03-01 00:00:00+00, '
          'H2 2020-12-24 00:00:00+00 2021-06-01 12:00:00+00 2021-06-01 12:00:00+00 2021-04-01 00:00:00+00, '
          'H8 2020-05-05 05:05:05.5+00 2020-05-05 05:05:05.5+00 2020-05-05 05:05:05.5+00 2020-05-05 05:05:05.5+00',
          'import: the stamps of a history');
DELETE FROM history WHERE external_id NOT IN ('h1', 'h2', 'h8');
SELECT is((SELECT string_agg(external_id, ' ' ORDER BY row_number) FROM crm_deals.import_deals('source', 'history')
           WHERE outcome = 'unchanged'),
          'h1 h2 h3 a h8 h9', 'import: a history that is in the log already says nothing');
UPDATE history SET entered_at = '2020-01-02' WHERE external_id = 'h1' AND stage = 'lead';
SELECT is((SELECT detail FROM crm_deals.import_deals('source', 'history') WHERE external_id = 'h1'),
          'Its history has a step of 2020-01-02 00:00:00+00 that is not in the log, and the deal has changed at 2020-03-01 '
          '00:00:00+00. What is added to a deal that exists comes after its last change.',
          'import: a step in between is refused');
ALTER TABLE history ADD COLUMN reason text;
SELECT is(t.try($$SELECT t.import('''source'', ''history''')$$), '42703', 'import: an unknown column of the history');
ALTER TABLE history DROP COLUMN reason, DROP COLUMN entered_at;
SELECT is(t.error($$SELECT t.import('''source'', ''history''')$$, 'message') ~ 'lacks columns: entered_at$', true,
          'import: a history needs its columns');

-- With gates a history is checked step by step; if one step breaks a rule, the whole row is rejected
SELECT t.source('external_id, name, pipeline, stage, amount', 'g1 | G1 | Strict | b | -', 'g2 | G2 | Strict | c | 5',
                'g3 | G3 | Strict | c | -', 'g4 | G4 | Strict | c | 6') \gset none_
CREATE TEMPORARY TABLE steps AS
    SELECT 'g' || n AS external_id, s.stage, timestamptz '2022-01-01' + s.place * interval '1 day' AS entered_at
FROM generate_series(1, 4) AS n, (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS s (place, stage)
WHERE (n, s.place) NOT IN ((1, 3), (4, 2));
SELECT is(regexp_replace(t.import($$'source', 'steps', gates => true$$), 'Deal \d+', 'D', 'g'),
          'g1 created; g2 created; g3 rejected: the stage requires fields that are not filled in D: Stage "C" needs '
          'amount.; g4 rejected: a gate forbids this move D: After "A" comes "B", not "C".',
          'import: gates of a history');
SELECT is((SELECT count(*) FROM crm_deals.deal_event AS e
           WHERE e.to_stage_id = ANY (ARRAY[t.stage('a', 'Strict'), t.stage('b', 'Strict'), t.stage('c', 'Strict')])
             AND e.occurred_at < '2023-01-01'),
          5::bigint, 'import: nothing of a refused one is left');

-- Flags of duplicates; more of them in s08_import_duplicates
SELECT t.source('external_id, name', 'fl1 | A name of its own', 'fl2 | A name of its own', 'fl3 | Another',
                'c | Another') \gset none_
SELECT is(regexp_replace(t.import(), 'deal \d+', 'deal N', 'g'),
          'fl1 created; fl2 flagged: Similar to deal N, "A name of its own".; fl3 created; '
          'c flagged: Similar to deal N, "Another".',
          'import: flagged');
SELECT is(t.import(), 'fl1 unchanged; fl2 unchanged; fl3 unchanged; c unchanged',
          'import: a flag of before is not told again');

-- Where triggers are off
BEGIN;
SET LOCAL session_replication_role = replica;
SELECT is(t.try('SELECT t.import()'), '55000', 'import: not without the triggers');
COMMIT;

-- Rights: level write, row security on the source, none at all
SELECT t.drop_roles('t_import', 't_nobody') \gset none_
CREATE ROLE t_import; CREATE ROLE t_nobody;
GRANT USAGE ON SCHEMA t TO t_import, t_nobody;
SELECT crm_deals.grant_access('t_import', 'write') \gset none_
SELECT is_empty($$SELECT p.proname FROM pg_proc AS p
                  WHERE p.pronamespace = 'crm_deals_internal'::regnamespace AND p.proname ~ '^import'
                    AND NOT has_function_privilege('t_import', p.oid, 'EXECUTE')$$,
                'section 9: level write has what an import is made of');
CREATE TABLE t.rows AS
    SELECT 'r' || n AS external_id, 'R' || n AS name, 'Their account' AS account, n FROM generate_series(1, 4) AS n;
SELECT is(t.try('SELECT t.import(''''''t.rows'''''')', 't_import'), '42703', 'import: the columns are looked at first');
ALTER TABLE t.rows RENAME COLUMN n TO amount;
SELECT is(t.try('SELECT t.import(''''''t.rows'''''')', 't_import'), '42501',
          'section 9: a source that the caller cannot read');
ALTER TABLE t.rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON t.rows USING (amount > 2);
GRANT SELECT ON t.rows TO t_import;
SELECT is(t.get($$SELECT t.import('''t.rows'', create_accounts => true')$$, 't_import'), 'r3 created; r4 created',
          'section 9: a role of level write; row security of the source holds');
SELECT is((SELECT string_agg(DISTINCT actor, ' ') FROM crm_deals.deal_event AS e
           JOIN crm_deals.deal AS d ON d.id = e.deal_id WHERE d.name IN ('R3', 'R4')),
          't_import', 'section 4: the actor is the caller');
SELECT is(t.try('SELECT t.import(''''''t.rows'''''')', 't_nobody'), '42501', 'section 9: a role without a level');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON crm_deals.deal USING (amount IS DISTINCT FROM 4) WITH CHECK (amount IS DISTINCT FROM 5);
UPDATE t.rows SET amount = CASE external_id WHEN 'r3' THEN 5 ELSE 6 END WHERE amount > 2;
SELECT is(regexp_replace(t.get($$SELECT t.import('''t.rows''')$$, 't_import'), '" .*$', '"'),
          'r3 rejected: new row violates row-level security policy for table "deal"; '
          'r4 rejected: duplicate key value violates unique constraint "deal_external_id"',
          'section 9: row security of deals holds');
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT t.drop_roles('t_import', 't_nobody') \gset none_

SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
