\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: the keys of a filter, NULLs, and what is refused; groups of a multiselect field.
SET crm_deals.notify = off;
SET timezone = 'Europe/Vienna';
SET datestyle = 'ISO';
UPDATE crm_deals.pipeline SET duplicate_policy = 'off', lost_reason_required = false;
SELECT crm_deals.create_pipeline('Service', '[{"key": "lead", "name": "Ticket"},
    {"name": "Offer", "labels": {"de": "Angebot"}}, {"key": "verhandlung", "name": "Deep"},
    {"name": "Done", "status": "won"}]') AS service \gset
INSERT INTO crm_deals.account (name) VALUES ('Acme');
INSERT INTO crm_deals.contact (first_name) VALUES ('Ann');
INSERT INTO crm_deals.custom_field (entity, key, type, options) VALUES
    ('deal', 'tags', 'multiselect', '["a", {"value": "b", "labels": {"de": "Be"}}, "c", "z"]');
-- Each is worth another power of two, so that a sum says which they are.
INSERT INTO crm_deals.deal (id, name, amount, stage_id, currency, account_id, primary_contact_id, lost_reason,
                            expected_close_date, custom_fields)
VALUES (101, 'a', 1, t.stage('lead'), 'EUR', 1, 1, NULL, CURRENT_DATE - 1, '{"tags": ["a", "b"]}'),
       (102, 'b', 2, t.stage('proposal'), 'USD', NULL, NULL, NULL, CURRENT_DATE, '{"tags": ["b"]}'),
       (103, 'c', 4, t.stage('negotiation'), 'EUR', NULL, NULL, NULL, NULL, '{"tags": []}'),
       (104, 'd', 8, t.stage('won'), 'EUR', NULL, NULL, NULL, CURRENT_DATE - 1, '{}'),
       (105, 'e', 16, t.stage('lost'), 'CHF', NULL, NULL, 'price', NULL, '{"tags": ["z", "b"]}'),
       (106, 'f', 32, t.stage('lead', 'Service'), 'EUR', NULL, NULL, NULL, CURRENT_DATE + 1, '{}'),
       (107, 'g', 64, t.stage('offer', 'Service'), 'EUR', NULL, NULL, NULL, NULL, '{}'),
       (108, 'h', 128, t.stage('verhandlung', 'Service'), 'EUR', NULL, NULL, NULL, NULL, '{}');
INSERT INTO crm_deals.deal (id, name) VALUES (109, 'i');
UPDATE crm_deals.custom_field SET options = options - 3;    -- an option that is gone
-- i has no amount: it shows in the count.
CREATE FUNCTION t.shown(filter jsonb, pipeline text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(nullif((SELECT string_agg(chr(97 + n), '' ORDER BY n) FROM generate_series(0, 7) AS n
                            WHERE sum(s.amount)::integer & (1 << n) <> 0), '')
                    || CASE WHEN sum(s.deal_count) > bit_count(sum(s.amount)::integer::bit(32)) THEN 'i' ELSE '' END,
                    CASE sum(s.deal_count) WHEN 1 THEN 'i' ELSE 'none' END)
    FROM crm_deals.pipeline_summary(filter => filter, pipeline => pipeline) AS s
$$;

SELECT is(t.shown(v.filter::jsonb), v.wanted, 'section 7: filter ' || v.filter)
FROM (VALUES
    ('{"id": 101}', 'a'), ('{"id": ["101", 102, null]}', 'ab'), ('{"id": null}', 'none'), ('{"id": []}', 'none'),
    ('{"currency": "USD"}', 'b'), ('{"currency": ["usd", "CHF"]}', 'be'), ('{"currency": null}', 'none'),
    ('{"lost_reason": "price"}', 'e'), ('{"lost_reason": ["price", null]}', 'abcdefghi'),
    ('{"lost_reason": null}', 'abcdfghi'), ('{"contact_id": 1}', 'a'), ('{"primary_contact_id": 1}', 'a'),
    ('{"primary_contact_id": null, "currency": "CHF"}', 'e'),
    ('{"pipeline": "Service"}', 'fgh'), ('{"pipeline": ["Service", "1"]}', 'abcdefghi'), ('{"pipeline": 1}', 'abcdei'),
    ('{"pipeline": null}', 'none'), ('{"pipeline": []}', 'none'),
    -- in any pipeline: a key goes before a name, a name before a label
    ('{"stage": "lead"}', 'afi'), ('{"stage": "Lead"}', 'ai'), ('{"stage": "Ticket"}', 'f'),
    ('{"stage": "Angebot"}', 'bg'),
    ('{"stage": "verhandlung"}', 'h'), ('{"stage": "Verhandlung"}', 'c'), ('{"stage": ["won", "Angebot"]}', 'bdg'),
    ('{"stage": "lead", "pipeline": "Service"}', 'f'), ('{"stage": 1}', 'ai'), ('{"stage": "3"}', 'b'),
    ('{"stage": null}', 'none'), ('{"stage": ["lost", null]}', 'e'), ('{"stage": "lead", "pipeline": null}', 'none'),
    ('{"overdue": true}', 'a'), ('{"overdue": false}', 'bcdefghi'),
    ('{"overdue": true, "stage": "lead"}', 'a'),
    ('{"amount": null}', 'i'), ('{"amount": [null, {"max": 2}]}', 'abi'), ('{"amount": [{"min": 2, "max": 4}]}', 'bc'),
    ('{"amount": [{"max": 1}, {"min": 128}]}', 'ah'), ('{"amount": []}', 'none'),
    ('{"amount": {"max": 1e400}}', 'abcdefgh'),
    ('{"amount": {"min": 1e-400}}', 'abcdefgh'),
    ('{"expected_close_date": null}', 'ceghi'), ('{"closed_at": null}', 'abcfghi'), ('{"created_at": null}', 'none'),
    ('{"closed_at": [null, {"from": "1900-01-01"}]}', 'abcdefghi'),
    ('{"custom_fields": {"tags": "b"}}', 'abe'), ('{"custom_fields": {"tags": null}}', 'cdfghi'),
    ('{"custom_fields": {"tags": ["z", null]}}', 'cdefghi'), ('{"source": null, "owner": [null]}', 'abcdefghi'))
    AS v (filter, wanted);
SELECT is(t.shown(format('{"expected_close_date": [null, {"from": "%1$s", "to": "%1$s"}]}', CURRENT_DATE)::jsonb),
          'bceghi', 'section 7: filter: without a date, or of today');
-- With a pipeline a stage is one of it. Digits that are no key or name there are an id.
UPDATE crm_deals.stage SET key = t.stage('won')::text WHERE id = t.stage('offer', 'Service');
SELECT is(t.shown(v.filter::jsonb, v.pipeline), v.wanted,
          format('section 7: filter %s of pipeline %s', v.filter, coalesce(v.pipeline, 'NULL')))
FROM (VALUES ('{"stage": "lead"}', 'Sales', 'ai'), ('{"stage": "5"}', 'Sales', 'd'), ('{"stage": "5"}', 'Service', 'g'),
             ('{"stage": "5"}', NULL, 'g')) AS v (filter, pipeline, wanted);
UPDATE crm_deals.stage SET key = 'offer' WHERE key = '5';
-- Writers look stages up alike.
SELECT is(t.after(format('SELECT crm_deals.move_deal(%s, %L)', d.id, v.stage),
                  format('SELECT stage_id FROM crm_deals.deal WHERE id = %s', d.id)),
          array_to_string(crm_deals_internal.stages_called(ARRAY[v.stage], ARRAY[d.pipeline_id]), ' '),
          format('section 7: "%s" is the same stage to move_deal and to a filter', v.stage))
FROM (VALUES ('a', 'proposal'), ('a', 'Proposal'), ('a', '4'), ('g', 'verhandlung'), ('g', 'Deep')) AS v (deal, stage)
JOIN crm_deals.deal AS d ON d.name = v.deal;
-- board and board_cards take the same filter; a column of stages is named by key, name, label or id.
SELECT is((SELECT string_agg(c.card ->> 'name', '' ORDER BY c.card ->> 'name')
           FROM crm_deals.board_cards('Service', v.stage, filter => '{"stage": ["lead", "Offer"]}') AS c), v.wanted,
          'section 7: board_cards: stage ' || v.stage)
FROM (VALUES ('lead', 'f'), ('Offer', 'g'), ('Angebot', 'g'), (t.stage('offer', 'Service')::text, 'g'), ('Deep', NULL))
     AS v (stage, wanted);

-- What is overdue is so on the day of the moment.
SELECT is((SELECT coalesce(sum(f.deal_count), 0)
           FROM crm_deals.forecast(as_of => now() + v.later, filter => '{"overdue": true}') AS f), v.wanted::numeric,
          'section 7: overdue, as of ' || v.later)
FROM (VALUES (interval '0', 1), ('1 day', 2), ('2 days', 3)) AS v (later, wanted);

-- Refused: the message names the key, what was given and what is accepted. No context shows SQL.
CREATE FUNCTION t.refused(filter text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    context text;
    state text;
BEGIN
    EXECUTE format('SELECT count(*) FROM crm_deals.' || call, filter);
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT, state = RETURNED_SQLSTATE;
    -- The last two lines are of this function and its statement.
    RETURN state || ' ' || message || CASE WHEN context ~ 'SQL (statement|expression)(.|\n)*SQL statement' THEN ' (SQL)'
                                           ELSE '' END;
END
$$;
CREATE TABLE t.refusal (number integer GENERATED ALWAYS AS IDENTITY, filter text, wanted text);
INSERT INTO t.refusal (filter, wanted)
VALUES
    ('{"account_id": "abc"}', '22023 filter account_id must be an integer, null, or an array of these, not "abc"'),
    ('{"id": [1, 1.5]}', '22023 filter id must be an integer, null, or an array of these, not 1.5'),
    ('{"id": 9223372036854775808}',
     '22023 filter id must be an integer, null, or an array of these, not 9223372036854775808'),
    ('{"contact_id": "1e3"}', '22023 filter contact_id must be an integer, null, or an array of these, not "1e3"'),
    ('{"id": ""}', '22023 filter id must be an integer, null, or an array of these, not ""'),
    ('{"owner": true}', '22023 filter owner must be a text, null, or an array of these, not true'),
    ('{"lost_reason": {"a": 1}}', '22023 filter lost_reason must be a text, null, or an array of these, not {"a": 1}'),
    ('{"currency": [["EUR"]]}', '22023 filter currency must be a text, null, or an array of these, not ["EUR"]'),
    ('{"stage": [true]}', '22023 filter stage must be a text, null, or an array of these, not true'),
    ('{"pipeline": {}}', '22023 filter pipeline must be a text, null, or an array of these, not {}'),
    ('{"overdue": null}', '22023 filter overdue must be true or false, not null'),
    ('{"overdue": "yes"}', '22023 filter overdue must be true or false, not "yes"'),
    ('{"status": null}', '22023 filter status must be open, won, lost or abandoned, or an array of these, not null'),
    ('{"amount": "NaN"}',
     '22023 filter amount must be {"min": number, "max": number}, null, or an array of these, not "NaN"'),
    ('{"amount": {"min": "NaN"}}',
     '22023 filter amount must be {"min": number, "max": number}, null, or an array of these, not {"min": "NaN"}'),
    ('{"amount": [[{"min": 1}]]}',
     '22023 filter amount must be {"min": number, "max": number}, null, or an array of these, not [{"min": 1}]'),
    ('{"closed_at": {"from": "2026-02-30"}}', '22023 filter closed_at must be {"from": day, "to": day} with days as '
     'YYYY-MM-DD, null, or an array of these, not {"from": "2026-02-30"}'),
    ('{"created_at": {"to": "0000-01-01"}}', '22023 filter created_at must be {"from": day, "to": day} with days as '
     'YYYY-MM-DD, null, or an array of these, not {"to": "0000-01-01"}'),
    ('{"expected_close_date": "2026-02-01"}', '22023 filter expected_close_date must be {"from": day, "to": day} with '
     'days as YYYY-MM-DD, null, or an array of these, not "2026-02-01"'),
    ('{"text": null}', '22023 filter text must be a text, not null'),
    ('{"custom_fields": [1]}', '22023 filter custom_fields must be an object of fields and their values, not [1]'),
    ('{"custom_fields": {"tags": [{"a": 1}]}}',
     '22023 filter custom_fields.tags must be a value, null, or an array of these, not {"a": 1}'),
    ('{"colour": 1}', '22023 a filter has no "colour"'), ('{"": 1}', '22023 a filter has no ""'),
    ('5', '22023 the filter must be an object'),
    ('{"stage": "nowhere"}', 'P0002 stage "nowhere" does not exist'),
    ('{"pipeline": ["Sales", "None"]}', 'P0002 pipeline "None" does not exist');
-- One call each, and a transaction of its own: after an error PL/pgSQL shows expressions until the transaction ends.
SELECT format('SELECT is(t.refused(%L, %L), %L, %L)', r.filter, c.call, r.wanted,
              format('section 7: refused by %s: %s', split_part(c.call, '(', 1), r.filter))
FROM t.refusal AS r
JOIN (VALUES (0, 'board(filter => %L)'), (1, 'board(group_by => ''owner'', filter => %L)'),
             (2, 'forecast(filter => %L)'), (3, 'board_cards(''Sales'', ''lead'', filter => %L)'),
             (4, 'win_rate(filter => %L)'),
             (5, 'forecast(filter => %L, as_of => now())'), (6, 'stage_conversion(filter => %L)')) AS c (number, call)
  ON c.number = r.number % 7
ORDER BY r.number \gexec
SELECT is(t.error('SELECT crm_deals.forecast(filter => ''{"stage": "x", "pipeline": "Service"}'')', 'detail'),
          format('There are "lead" (%s), "offer" (%s), "verhandlung" (%s), "done" (%s).', t.stage('lead', 'Service'),
                 t.stage('offer', 'Service'), t.stage('verhandlung', 'Service'), t.stage('done', 'Service')),
          'section 7: an unknown stage: those of the pipeline that the filter names');
-- Large and odd values are only values.
SELECT is(t.shown(v.filter), v.wanted, 'section 7: filter: ' || v.what)
FROM (VALUES (jsonb_build_object('owner', (SELECT jsonb_agg(n) FROM generate_series(1, 3000) AS n)), 'none',
              '3,000 values'),
             (jsonb_build_object('text', repeat('x', 1000000)), 'none', 'a text of a megabyte'),
             (jsonb_build_object('custom_fields', jsonb_build_object(repeat('k''%s{', 10000), null)), 'abcdefghi',
              'a key of 50,000 characters'),
             ('{"currency": ["\\", "\"", "{,}", "NULL"]}', 'none', 'signs of arrays')) AS v (filter, wanted, what);

-- ----------
-- Groups of a multiselect field: a deal is in each of its values
-- ----------

SET crm_deals.language = 'de-AT';
SELECT is((SELECT string_agg(concat_ws(' ', b.column_key, b.label, b.deal_count, b.amounts,
                                       (SELECT string_agg(c.card ->> 'name', '' ORDER BY c.number)
                                        FROM jsonb_array_elements(b.cards) WITH ORDINALITY AS c (card, number))),
                             ', ' ORDER BY b.ordinal)
           FROM crm_deals.board('Sales', 'custom_fields.tags') AS b), v.wanted,
          'section 7: board by a multiselect field')
FROM (VALUES ('a a 1 {"EUR": 1} a, b Be 3 {"CHF": 16, "EUR": 1, "USD": 2} eba, c c 0 {}, z z 1 {"CHF": 16} e, '
              'Unassigned 3 {"EUR": 12} idc')) AS v (wanted);
SELECT is((SELECT string_agg(c.card ->> 'name', '')
           FROM crm_deals.board_cards('Sales', v.value, 'custom_fields.tags') AS c),
          v.wanted, 'section 7: board_cards of a multiselect field: ' || coalesce(v.value, 'NULL'))
FROM (VALUES ('a', 'a'), ('b', 'eba'), ('c', NULL), ('z', 'e'), (NULL, 'idc'), ('["b"]', NULL)) AS v (value, wanted);
SELECT is(t.get(v.query), v.wanted, 'section 7: by a multiselect field: ' || v.report)
FROM (VALUES
    ('forecast', '5, a a 1, b Be 2', 'SELECT string_agg(concat_ws('' '', k, l, n), '', '') FROM (
         SELECT group_key AS k, group_label AS l, sum(deal_count) AS n
         FROM crm_deals.forecast(group_by => ''custom_fields.tags'') GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 3) AS f'),
    ('win_rate', 'a 0 0, b 0 1, c 0 0, z 0 1, 1 0',
     'SELECT string_agg(concat_ws('' '', group_key, won_count, lost_count), '', '' ORDER BY group_key)
      FROM crm_deals.win_rate(''custom_fields.tags'', NULL)'),
    ('lost_reasons', 'b Be price 1 1.0000, z z price 1 1.0000',
     'SELECT string_agg(concat_ws('' '', group_key, group_label, lost_reason, deal_count, share), '', ''
                        ORDER BY group_key)
      FROM crm_deals.lost_reasons(''custom_fields.tags'', NULL) WHERE deal_count > 0'),
    ('sales_velocity', 'a 1 0 0, b 1 0 0, b 1 0 0, b 0 0 1, z 0 0 1, 5 1 0',
     'SELECT string_agg(concat_ws('' '', group_key, open_count, won_count, lost_count), '', ''
                        ORDER BY group_key, currency DESC, open_count DESC)
      FROM (SELECT * FROM crm_deals.sales_velocity(''custom_fields.tags'', NULL) WHERE currency IS NOT NULL) AS v'),
    ('pipeline_summary', 'a 1, b 3, z 1, 6',
     'SELECT string_agg(concat_ws('' '', k, n), '', '' ORDER BY k)
      FROM (SELECT group_key AS k, sum(deal_count) AS n FROM crm_deals.pipeline_summary(''custom_fields.tags'')
            GROUP BY 1 HAVING sum(deal_count) > 0) AS s'),
    ('stage_conversion', 'a 1, b 2, 5',
     'SELECT string_agg(concat_ws('' '', k, n), '', '' ORDER BY k)
      FROM (SELECT group_key AS k, sum(entered_count) AS n
            FROM crm_deals.stage_conversion(''custom_fields.tags'', NULL)
            GROUP BY 1 HAVING sum(entered_count) > 0) AS s'))
    AS v (report, wanted, query);
-- Values from before the field was defined, and one that stands twice
SET crm_deals.language = '';
ALTER TABLE crm_deals.deal DISABLE TRIGGER USER;
UPDATE crm_deals.deal SET custom_fields = v.fields::jsonb
FROM (VALUES ('a', '{"tags": "b"}'), ('b', '{"tags": ["b", "b", null]}'), ('c', '{"tags": null}'),
             ('d', '{"tags": 5}'), ('e', '{"tags": [["x"], {"y": 1}]}')) AS v (name, fields)
WHERE deal.name = v.name;
ALTER TABLE crm_deals.deal ENABLE TRIGGER USER;
SELECT is((SELECT string_agg(concat_ws(' ', b.column_key, b.deal_count), ', ' ORDER BY b.ordinal)
           FROM crm_deals.board('Sales', 'custom_fields.tags') AS b WHERE b.deal_count > 0),
          'b 2, 5 1, ["x"] 1, {"y": 1} 1, 3', 'section 7: odd values of a multiselect field');

SELECT * FROM finish();
