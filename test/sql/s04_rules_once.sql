\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 4: the rules are written once. import_deals() refuses what a plain INSERT or UPDATE refuses, in the same
-- words.
INSERT INTO crm_deals.lost_reason (pipeline_id, name)
SELECT id, 'price' FROM crm_deals.pipeline WHERE is_default;
INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'seats', 'number');
UPDATE crm_deals.stage SET required_fields = '{amount}' WHERE key = 'proposal';
SELECT t.new_deal('stored', 'lead') \gset none_
UPDATE crm_deals.deal SET external_id = 'stored' WHERE name = 'stored';

-- Rows that break one rule each, as an assignment and as a source of an import
CREATE TABLE t.case AS
SELECT c.number, c.external_id, c.columns, c.row
FROM (VALUES
    (2, NULL, 'stage_id = t.stage(''lead''), closed_at = ''2024-03-01''',
     '{"stage": "lead", "closed_at": "2024-03-01"}'),
    (3, NULL, 'stage_id = t.stage(''lead''), lost_reason = ''price''', '{"stage": "lead", "lost_reason": "price"}'),
    (4, NULL, 'stage_id = t.stage(''lost'')', '{"stage": "lost", "closed_at": "2024-03-01"}'),
    (5, NULL, 'stage_id = t.stage(''lost''), lost_reason = ''weather''',
     '{"stage": "lost", "lost_reason": "weather", "closed_at": "2024-03-01"}'),
    (6, NULL, 'currency = ''EURO''', '{"currency": "Euro"}'),
    (7, NULL, 'organization = ''acme''', '{"organization": "acme"}'),
    (8, NULL, 'custom_fields = ''{"seats": "many"}''', '{"custom_fields.seats": "many"}'),
    (9, 'stored', 'created_at = ''2020-01-01''', '{"created_at": "2020-01-01"}'),
    (11, NULL, 'stage_id = t.stage(''proposal'')', '{"stage": "proposal"}'))
    AS c (number, external_id, columns, "row");

-- The refusal of the plain statement. Its message, and its detail without the id of the deal.
CREATE FUNCTION t.refused(external_id text, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    IF external_id IS NULL THEN
        EXECUTE (SELECT format('INSERT INTO crm_deals.deal (name, %s) VALUES (''x'', %s)',
                               string_agg(split_part(c, ' = ', 1), ', '), string_agg(split_part(c, ' = ', 2), ', '))
                 FROM regexp_split_to_table(columns, ', (?=[a-z_]+ = )') AS c);
    ELSE
        EXECUTE format('UPDATE crm_deals.deal SET %s WHERE external_id = %L', columns, external_id);
    END IF;
    RAISE EXCEPTION 'it was not refused';
EXCEPTION WHEN check_violation THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN format('%s: %s', message, regexp_replace(detail, '^Deal \d+: ', ''));
END
$$;

CREATE FUNCTION t.rejected(number integer, external_id text, "row" jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    EXECUTE format('CREATE TEMPORARY TABLE source AS SELECT %L::text AS name, %L::text AS external_id%s',
                   'x', external_id,
                   (SELECT string_agg(format(', %L::text AS %I', value, key), '') FROM jsonb_each_text("row")));
    SELECT i.outcome || ': ' || i.detail INTO outcome
    FROM crm_deals.import_deals('source', gates => true) AS i;
    DROP TABLE source;
    RETURN outcome;
END
$$;

SELECT is(t.rejected(c.number, c.external_id, c.row::jsonb), 'rejected: ' || t.refused(c.external_id, c.columns),
          format('rule: the import and the triggers say the same of row %s: %s', c.number, c.columns))
FROM t.case AS c
ORDER BY c.number;
SELECT is((SELECT count(*) FROM crm_deals.deal), 1::bigint, 'rule: none of them got in');

SELECT * FROM finish();
