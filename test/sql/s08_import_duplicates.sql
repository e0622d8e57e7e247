\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 8: under `reject` an import of many rows does what imports of one row after the other do.
SELECT count(crm_deals.create_pipeline(name, organization => 'many'))
FROM unnest('{Guarded,By account,Open ones,Flagging}'::text[]) AS name \gset none_
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE name IN ('Guarded', 'By account', 'Open ones');
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.7, duplicate_scope = 'account' WHERE name = 'By account';
UPDATE crm_deals.pipeline SET duplicate_scope = 'open' WHERE name = 'Open ones';
SET crm_deals.organization = 'many';
INSERT INTO crm_deals.account (organization, name) VALUES ('many', 'One'), ('many', 'Two');

CREATE TABLE t.source (n integer, external_id text, name text, pipeline text, account text, stage text, amount numeric);
CREATE TABLE t.history (external_id text, stage text, entered_at timestamptz, actor text);
CREATE TABLE t.outcome (way text, n bigint, external_id text, outcome text, detail text);
CREATE FUNCTION t.import(chosen integer, with_history boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE source AS
        SELECT external_id, name, pipeline, account, stage, amount FROM t.source WHERE chosen IS NULL OR n = chosen
        ORDER BY n;
    CREATE TEMPORARY TABLE history AS
        SELECT h.* FROM t.history AS h JOIN source AS s USING (external_id) WHERE with_history;
    INSERT INTO t.outcome
    SELECT CASE WHEN chosen IS NULL THEN 'all at once' ELSE 'one by one' END, coalesce(chosen, i.row_number),
           i.external_id, i.outcome, i.detail
    FROM crm_deals.import_deals('pg_temp.source', 'pg_temp.history', create_accounts => true) AS i;
    DROP TABLE source, history;
END
$$;
-- What is in the way, by names: ids differ.
CREATE VIEW t.told AS
    SELECT way, n, external_id, CASE WHEN outcome = 'flagged' THEN 'created' ELSE outcome END AS outcome,
           CASE WHEN outcome = 'rejected' THEN regexp_replace(detail, 'Deal \d+ is named.*', 'Deal N is there.') END
               AS why FROM t.outcome;
CREATE FUNCTION t.one_by_one(with_history boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    done jsonb;
BEGIN
    BEGIN
        FOR i IN 1 .. (SELECT count(*) FROM t.source) LOOP
            PERFORM t.import(i::integer, with_history);
        END LOOP;
        SELECT jsonb_agg(o) INTO done FROM t.outcome AS o;
        RAISE SQLSTATE 'TT002';
    EXCEPTION WHEN SQLSTATE 'TT002' THEN
        INSERT INTO t.outcome SELECT * FROM jsonb_populate_recordset(NULL::t.outcome, done);
    END;
END
$$;
CREATE FUNCTION t.compared(with_history boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE t.outcome;
    PERFORM t.one_by_one(with_history);
    PERFORM t.import(NULL, with_history);
    RETURN t.same('SELECT n, external_id, outcome, why FROM t.told WHERE way = ''all at once''',
                  'SELECT n, external_id, outcome, why FROM t.told WHERE way = ''one by one''');
END
$$;
CREATE FUNCTION t.rejected(reason text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM t.outcome WHERE way = 'all at once' AND outcome = 'rejected' AND detail ~ reason
$$;
CREATE FUNCTION t.subtransactions(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint := pg_current_xact_id()::text::bigint;
BEGIN
    EXECUTE statement;
    BEGIN
        CREATE TEMPORARY TABLE one_more ();
        RAISE SQLSTATE 'TT002';
    EXCEPTION WHEN SQLSTATE 'TT002' THEN
    END;
    RETURN (pg_snapshot_xmax(pg_current_snapshot())::text::bigint) - before;
END
$$;

-- New deals beside those that are there
SELECT setseed(0.31) AS none \gset
INSERT INTO crm_deals.deal (external_id, name, pipeline_id, stage_id, account_id)
SELECT 'there' || r.n, r.name, p.id,
       (SELECT s.id FROM crm_deals.stage AS s
        WHERE s.pipeline_id = p.id AND s.key = CASE WHEN r.n % 4 = 0 THEN 'won' ELSE 'lead' END),
       (SELECT a.id FROM crm_deals.account AS a WHERE a.name = (ARRAY['One', 'Two', NULL])[1 + r.n % 3])
FROM t.random_names(60) AS r, crm_deals.pipeline AS p WHERE p.name = 'Flagging';
INSERT INTO t.source
SELECT r.n, 'x' || r.n, r.name,
       (ARRAY['Guarded', 'By account', 'Open ones', 'Flagging'])[1 + floor(random() * 4)::integer],
       (ARRAY['One', 'Two', 'Three', 'Four', NULL, NULL])[1 + floor(random() * 6)::integer],
       CASE WHEN random() < 0.3 THEN 'won' ELSE 'lead' END,
       CASE WHEN random() < 0.05 THEN -1 ELSE 100 END
FROM t.random_names(60) AS r;
SELECT is(t.compared(), 'same', 'import_deals: reject: new deals: as one after the other');
SELECT is(t.rejected('duplicate') BETWEEN 10 AND 50 AND t.rejected('negative') > 0, true,
          'import_deals: reject: (there were some of each kind)');
SELECT is((SELECT count(DISTINCT regexp_replace(detail, '.*pipeline "([^"]*)".*', '\1')) FROM t.outcome
           WHERE way = 'all at once' AND detail ~ 'duplicate'),
          3::bigint, 'import_deals: reject: (of each pipeline that rejects)');
SELECT is((SELECT count(*) FROM t.outcome
           WHERE way = 'all at once' AND detail ~ 'duplicate'
             AND detail !~ 'is named "[^"]+": the similarity is [01](\.\d+)?, and pipeline'),
          0::bigint, 'import_deals: reject: each is told the deal, and how similar it is');
SELECT is((SELECT count(*) FROM t.outcome AS o WHERE way = 'all at once' AND detail ~ 'duplicate'
             AND NOT EXISTS (SELECT FROM crm_deals.deal AS d
                             WHERE d.id = substring(o.detail FROM 'Deal (\d+) is named')::bigint
                               AND d.name = substring(o.detail FROM 'is named "([^"]+)"')
                               AND similarity(d.name, substring(o.detail FROM 'deal "([^"]+)"'))
                                   = substring(o.detail FROM 'similarity is ([0-9.]+),')::real)),
          0::bigint, 'import_deals: reject: which is there');

-- A row fails in the end because of a user's trigger. Then the rows that are similar to it are good.
CREATE FUNCTION t.fail()
RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'failed on purpose' USING ERRCODE = 'TT001'; END$$;
CREATE TRIGGER fail BEFORE INSERT ON crm_deals.deal FOR EACH ROW WHEN (new.amount = 13) EXECUTE FUNCTION t.fail();
DELETE FROM crm_deals.deal WHERE external_id ~ '^x';
UPDATE t.source SET amount = CASE WHEN n % 20 = 1 THEN 13 ELSE 7 END;
SELECT is(t.compared(), 'same', 'import_deals: reject: where rows fail that others are like');
SELECT is(t.rejected('on purpose') = 3 AND t.rejected('duplicate') > 10, true,
          'import_deals: reject: (there were some)');
DROP TRIGGER fail ON crm_deals.deal;

-- Renames, and names that they make free
DELETE FROM crm_deals.deal;
TRUNCATE t.source;
INSERT INTO crm_deals.deal (external_id, name, pipeline_id)
SELECT 'x' || r.n, r.n || ' ' || r.name, p.id
FROM t.random_names(24) AS r, crm_deals.pipeline AS p
WHERE p.name = 'Flagging';
UPDATE crm_deals.deal SET pipeline_id = (SELECT id FROM crm_deals.pipeline WHERE name = 'Guarded')
WHERE external_id ~ '[02468]$';
INSERT INTO t.source (n, external_id, name, pipeline)
SELECT row_number() OVER (ORDER BY random()), external_id, name, 'Guarded'
FROM (
    SELECT external_id,
           CASE WHEN substring(external_id FROM 2)::integer % 3 = 0
                         THEN (SELECT r.name FROM t.random_names(1 + d.id::integer % 2) AS r ORDER BY r.n DESC LIMIT 1)
                ELSE name END
    FROM crm_deals.deal AS d WHERE external_id ~ '[02468]$'
    UNION ALL SELECT 'y' || substring(external_id FROM 2), t.slip(name) FROM crm_deals.deal AS d
    UNION ALL SELECT 'z' || n, name FROM t.random_names(10)) AS v;
SELECT crm_deals.dismiss_duplicate(t.id('x6'), t.id('x7')),
       crm_deals.dismiss_duplicate(t.id('x12'), t.id('x13')) \gset none_
UPDATE t.source AS s SET name = t.slip(d.name) FROM crm_deals.deal AS d
WHERE (s.external_id, d.external_id) IN (('x6', 'x7'), ('x12', 'x13'));
SELECT is(t.compared(), 'same', 'import_deals: reject: renames');
SELECT is(t.rejected('duplicate') > 10
          AND (SELECT count(*) FROM t.outcome WHERE way = 'all at once' AND outcome = 'updated') > 2,
          true, 'import_deals: reject: (there were some)');

-- Histories by several actors: deals are written in another order than they come
DELETE FROM crm_deals.deal;
TRUNCATE t.source;
INSERT INTO t.source (n, external_id, name, pipeline)
SELECT r.n, 'h' || r.n, r.name, 'Guarded'
FROM t.random_names(36) AS r;
INSERT INTO t.history
SELECT s.external_id, v.stage, timestamptz '2024-01-01' + v.place * interval '1 day',
       (ARRAY['ann', 'bob', NULL])[1 + s.n % 3]
FROM t.source AS s, (VALUES (1, 'qualified'), (2, 'lead')) AS v (place, stage)
WHERE s.n % 2 = 0;
SELECT is(t.compared(true), 'same', 'import_deals: reject: with histories');
SELECT is(t.rejected('duplicate') > 10, true, 'import_deals: reject: (there were some)');

-- More rows than fit into maintenance_work_mem, with no more attempts than needed
DELETE FROM crm_deals.deal;
TRUNCATE t.source, t.history;
INSERT INTO t.source (n, external_id, name, pipeline)
SELECT n, 'm' || n, md5((n % 4000)::text) || ' ' || md5((n % 4000 + 10000)::text), 'Guarded'
FROM generate_series(1, 8000) AS n;
SET maintenance_work_mem = '1MB';
TRUNCATE t.outcome;
SELECT t.subtransactions('SELECT t.import(NULL, false)') < 100 AS few_subtransactions \gset
RESET maintenance_work_mem;
SELECT is((SELECT string_agg(DISTINCT format('%s %s', (n > 4000), outcome), ', ') FROM t.outcome),
          'f created, t rejected', 'import_deals: reject: in several batches');
SELECT is(:'few_subtransactions'::text, 't', 'import_deals: reject: without a subtransaction for each row');
SELECT is((SELECT count(*)
           FROM t.outcome AS o JOIN crm_deals.deal AS d ON d.id = substring(o.detail FROM 'Deal (\d+) is named')::bigint
           WHERE d.external_id = 'm' || (o.n - 4000)),
          4000::bigint, 'import_deals: reject: each is told the first of its name');

-- No reason names a deal that the caller cannot see.
SELECT t.drop_roles('t_import') \gset none_
CREATE ROLE t_import;
GRANT USAGE ON SCHEMA t TO t_import;
SELECT crm_deals.grant_access('t_import', 'write') \gset none_
CREATE TABLE t.rows AS
    SELECT 'r' || n AS external_id, 'Guarded' AS pipeline,
           CASE WHEN n IN (2, 20) THEN d.name ELSE md5(n::text || 'r') END AS name
    FROM generate_series(1, 30) AS n, (SELECT name FROM crm_deals.deal WHERE external_id = 'm1') AS d;
INSERT INTO t.rows SELECT 'r31', 'Guarded', name FROM t.rows WHERE external_id = 'r3';
GRANT SELECT ON t.rows TO t_import;
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON crm_deals.deal USING (external_id !~ '^m');
SET ROLE t_import;
SELECT string_agg(external_id || ': ' || regexp_replace(detail, '\d{2,} is|[0-9a-f]{32}( [0-9a-f]{32})?', '…', 'g'),
                  E'\n' ORDER BY row_number) AS told,
       count(*) FILTER (WHERE outcome = 'created') AS created
FROM crm_deals.import_deals('t.rows') WHERE outcome <> 'unchanged' \gset
RESET ROLE;
SELECT is(:'told' || ' ' || :created,
          E'r2: deal "…" looks like a duplicate\nPipeline "Guarded" refuses names whose similarity with another '
          'deal''s is 0.85 or more.\nr20: deal "…" looks like a duplicate\nPipeline "Guarded" refuses names whose '
          'similarity with another deal''s is 0.85 or more.\nr31: deal "…" looks like a duplicate\nDeal … named "…": '
          'the similarity is 1, and pipeline "Guarded" refuses from 0.85 on. 28',
          'section 9: import_deals: a refusal names no deal that the caller cannot see');
-- Its internal functions do not tell them either, whatever tables of the same names the caller makes.
SET ROLE t_import;
CREATE TEMPORARY TABLE _crm_deals_rows AS
    SELECT 1::bigint AS _row, NULL::text AS _problem, true AS _writes_name, false AS _again, false AS _creates_account,
           NULL::text AS _account_organization, 0::bigint AS id, 'many' AS organization, p.id AS pipeline_id,
           s.id AS stage_id, NULL::bigint AS account_id
FROM crm_deals.pipeline AS p JOIN crm_deals.stage AS s ON s.pipeline_id = p.id AND s.key = 'lead'
WHERE p.name = 'Guarded';
CREATE TEMPORARY TABLE _crm_deals_source AS
    SELECT 1::bigint AS _row, NULL::text AS account, name FROM t.rows WHERE external_id = 'r2'
    UNION ALL SELECT 1, NULL, NULL
    UNION ALL SELECT 1, NULL, '!';
CREATE TEMPORARY TABLE _crm_deals_steps (_row bigint, step bigint, stage_id bigint);
SELECT concat_ws(' ', row_number, coalesce(other_deal_id, other_row)::text, similarity) AS told
FROM crm_deals_internal.import_similar(1, 9, 0.85, '{}', '{}') \gset
DROP TABLE pg_temp._crm_deals_rows, pg_temp._crm_deals_source, pg_temp._crm_deals_steps;
RESET ROLE;
SELECT is(:'told'::text, '1', 'section 9: import_deals: nor does the function that finds it');
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT t.drop_roles('t_import') \gset none_
RESET crm_deals.organization;

SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
