\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 8: the duplicate policy holds for leads that are converted and for deals that are imported.
CREATE FUNCTION t.counts() RETURNS text LANGUAGE sql AS $$
    SELECT format('%s accounts, %s contacts, %s deals, %s events, %s flags, %s converted',
                  (SELECT count(*) FROM crm_deals.account), (SELECT count(*) FROM crm_deals.contact),
                  (SELECT count(*) FROM crm_deals.deal), (SELECT count(*) FROM crm_deals.deal_event),
                  (SELECT count(*) FROM crm_deals.deal_duplicate),
                  (SELECT count(*) FROM crm_deals.lead WHERE status = 'converted'))
$$;
CREATE FUNCTION t.policy(new_policy text) RETURNS void LANGUAGE sql AS $$
    UPDATE crm_deals.pipeline SET duplicate_policy = new_policy WHERE name = 'Sales'
$$;

-- convert_lead
SELECT t.add('l1', 'Globex Corporation') \gset none_
INSERT INTO crm_deals.lead (company_name, first_name, email) VALUES (' GLOBEX corporation', 'Ada', 'ada@globex.example')
RETURNING id AS lead \gset
SELECT t.counts() AS before \gset
SELECT t.policy('reject') \gset none_
SELECT is(t.try(format('SELECT crm_deals.convert_lead(%s)', :lead)), '23505 deal.name deal_duplicate',
          'section 8: convert_lead: a company that has a deal is refused');
SELECT is(t.counts(), :'before', 'section 8: convert_lead: and nothing is left behind');
SELECT is((SELECT concat_ws(' ', status, converted_at, account_id, contact_id, deal_id) FROM crm_deals.lead
           WHERE id = :lead),
          'new', 'section 8: convert_lead: the lead is as it was');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s, deal => ''{"name": "Something else"}'')', :lead)), 'done',
          'section 8: convert_lead: with another name for the deal');
SELECT is(t.try(format('SELECT crm_deals.convert_lead(%s, deal => ''{"name": "globex, CORPORATION"}'')', :lead)),
          '23505 deal.name deal_duplicate', 'section 8: convert_lead: the name that is given is looked at');
SELECT is(t.dry(format('SELECT crm_deals.convert_lead(%s, create_deal => false)', :lead)), 'done',
          'section 8: convert_lead: without a deal');
SELECT t.policy('off') \gset none_
SELECT is(t.after(format('SELECT crm_deals.convert_lead(%s)', :lead), 'SELECT count(*) FROM crm_deals.deal_duplicate'),
          '0', 'section 8: convert_lead: off: not looked at');
SELECT t.policy('flag') \gset none_
SELECT deal_id AS converted FROM crm_deals.convert_lead(:lead) \gset
SELECT is((SELECT concat_ws(' ', deal_id = :converted, other_deal_id = t.id('l1'), similarity)
           FROM crm_deals.deal_duplicate),
          't t 1', 'section 8: convert_lead: flagged');
SELECT is((SELECT status FROM crm_deals.lead WHERE id = :lead), 'converted',
          'section 8: convert_lead: (it is converted)');

-- import_deals: what the call says of each row
CREATE TABLE t.source (n integer, external_id text, name text, pipeline text, amount text, stage text);
CREATE FUNCTION t.rows(VARIADIC lines text[]) RETURNS void LANGUAGE sql AS $$
    TRUNCATE t.source;
    INSERT INTO t.source (n, external_id, name, pipeline, amount)
    SELECT n, f.c[1], f.c[2], coalesce(f.c[3], 'Sales'), f.c[4]
    FROM unnest(lines) WITH ORDINALITY AS l (line, n), regexp_split_to_array(l.line, ' *\| *') AS f (c);
$$;
CREATE FUNCTION t.import(arguments text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    CREATE TEMPORARY TABLE source ON COMMIT DROP AS SELECT external_id, name, pipeline, amount FROM t.source ORDER BY n;
    EXECUTE format('SELECT string_agg(regexp_replace(concat_ws('' '', i.external_id, i.outcome, i.detail), '
                   '''(.)eal \d+'', ''\1eal N'', ''g''), E''\n'' ORDER BY i.row_number) '
                   'FROM crm_deals.import_deals(''pg_temp.source''%s) AS i',
                   arguments) INTO result;
    DROP TABLE source;
    RETURN result;
END
$$;
-- The first word or two of each row, the text after it apart.
CREATE FUNCTION t.outcomes(imported text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(substring(line FROM '^\S+ \S+'), ', ' ORDER BY n)
    FROM regexp_split_to_table(imported, '\n') WITH ORDINALITY AS l (line, n)
    WHERE line ~ '^\S+ (created|updated|unchanged|flagged|rejected)'
$$;
SELECT t.add('there', 'Initech migration project') \gset none_
SELECT t.rows('i1 | Initech migration project', 'i2 | Initech Migration Project!', 'i3 | Hooli pilot',
              'i4 | Hooli pilots', 'i5 | Hooli: pilot', 'i6 | Unlike any other') \gset none_
SELECT is(t.import(),
          E'i1 flagged Similar to deal N, "Initech migration project".\ni2 flagged Similar to deal N, '
          '"Initech migration project".\nSimilar to deal N, "Initech migration project".\ni3 created\ni4 created\ni5 '
          'flagged Similar to deal N, "Hooli pilot".\ni6 created',
          'import_deals: flagged: against what is there, and among the rows of one import');
SELECT is(t.flags('^(i\d|there)$'), 'i1 > there 1.000, i2 > there 1.000, i2 > i1 1.000, i5 > i3 1.000',
          'import_deals: the flags');
SELECT is(t.outcomes(t.import()), 'i1 unchanged, i2 unchanged, i3 unchanged, i4 unchanged, i5 unchanged, i6 unchanged',
          'import_deals: once more: nothing changes, and no flag is told again');
SELECT t.rows('i6 | Hooli, PILOT', 'i3 | Unlike any other', 'i1 | Initech migration project | Sales | 5') \gset none_
SELECT is(t.outcomes(t.import()), 'i6 flagged, i3 updated, i1 updated',
          'import_deals: an update that renames is looked at, one that does not is not');
SELECT is(t.flags('^i[356]$'), 'i6 > i5 1.000', 'import_deals: the flags of what was renamed');

-- reject: a bad row never stops the good ones
SELECT crm_deals.create_pipeline('Guarded', organization => 'guarded') AS guarded,
       crm_deals.create_pipeline('Flagging', organization => 'guarded') AS flagging \gset
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :guarded;
SET crm_deals.organization = 'guarded';
SELECT t.add('there', 'Umbrella audit of the year', 'Guarded') AS there \gset
SELECT t.rows('j1 | A good one | Guarded', 'j2 | UMBRELLA audit of the year | Guarded',
              'j3 | Another good one | Guarded | 7', 'j4 | Umbrella audit of the years | Guarded',
              'j5 | Umbrella audit of the year | Flagging', 'j6 | A third | Guarded | -1') \gset none_
SELECT t.import() AS imported \gset
SELECT is(t.outcomes(:'imported'), 'j1 created, j2 rejected, j3 created, j4 rejected, j5 flagged, j6 rejected',
          'import_deals: reject: duplicates are rejected, the others are created');
SELECT matches(:'imported'::text,
               '\nj2 rejected [^\n]*duplicate[^\n]*\n?[^\n]*[Dd]eal N is named "Umbrella audit of the year"',
               'import_deals: reject: with the reason');
SELECT is((SELECT string_agg(name, ', ' ORDER BY name) FROM crm_deals.deal WHERE organization = 'guarded'),
          'A good one, Another good one, Umbrella audit of the year, Umbrella audit of the year',
          'import_deals: reject: these are there');
SELECT is((SELECT count(*) FROM crm_deals.deal_event AS e
           WHERE NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = e.deal_id)),
          0::bigint, 'import_deals: reject: nothing is left of the others');
-- Among the rows of one import: as if they came one after the other
SELECT t.rows('k1 | Twice in one file | Guarded', 'k2 | TWICE in one file | Guarded', 'k3 | Something good | Guarded',
              'k4 | twice in one FILE | Guarded') \gset none_
SELECT is(t.outcomes(t.import()), 'k1 created, k2 rejected, k3 created, k4 rejected',
          'import_deals: reject: of the rows that are alike the first');
SELECT t.rows('m1 | Acme Corporation renewal 2026 abc | Guarded', 'm2 | Acme Corporation renewal 2026 | Guarded',
              'm3 | Acme Corporation renewal 2026 xyz | Guarded') \gset none_
SELECT is(t.outcomes(t.import()), 'm1 created, m2 rejected, m3 created',
          'import_deals: reject: what is like a rejected row only is good');
SELECT is(t.outcomes(t.import()), 'm1 unchanged, m2 rejected, m3 unchanged', 'import_deals: reject: once more');
SELECT t.rows('k1 | A good one! | Guarded', 'k3 | Something good | Guarded | 12', 'm3 | No duplicate of any | Guarded',
              'm2 | Acme Corporation renewal 2026 pqr | Guarded') \gset none_
SELECT is(t.outcomes(t.import()), 'k1 rejected, k3 updated, m3 updated, m2 created',
          'import_deals: reject: updates that rename');
SELECT is((SELECT string_agg(external_id || ' ' || name, ', ' ORDER BY external_id) FROM crm_deals.deal
           WHERE external_id IN ('k1', 'k3', 'm1', 'm2', 'm3')),
          'k1 Twice in one file, k3 Something good, m1 Acme Corporation renewal 2026 abc, '
          'm2 Acme Corporation renewal 2026 pqr, m3 No duplicate of any',
          'import_deals: reject: what became of them');
SELECT is((SELECT count(*) FROM t.open_flags('guarded') AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           WHERE d.pipeline_id = :guarded),
          0::bigint, 'import_deals: reject flags nothing');
-- With a history
SELECT t.rows('n1 | Umbrella audit of the YEAR | Guarded', 'n2 | Not like the audit | Guarded') \gset none_
CREATE TEMPORARY TABLE steps AS
    SELECT e AS external_id, s AS stage, timestamptz '2024-01-01' + p * interval '1 day' AS entered_at
    FROM unnest('{n1,n2}'::text[]) AS e, (VALUES (1, 'qualified'), (2, 'lead')) AS v (p, s);
SELECT is(t.outcomes(t.import(', ''steps''')), 'n1 rejected, n2 created', 'import_deals: reject: with a history');
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE occurred_at < '2025-01-01'), 2::bigint,
          'import_deals: reject: whose events are those of the good one');
-- Many: greedily, as one after the other would be
SELECT crm_deals.create_pipeline('Many', organization => 'many') AS many \gset
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :many;
SET crm_deals.organization = 'many';
SELECT setseed(0.88) AS none \gset
TRUNCATE t.source;
INSERT INTO t.source (n, external_id, name, pipeline) SELECT n, 'x' || n, name, 'Many' FROM t.random_names(120);
CREATE FUNCTION t.good() RETURNS TABLE (external_id text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
    names text[] := '{}';
BEGIN
    FOR r IN SELECT s.external_id, s.name FROM t.source AS s ORDER BY s.n LOOP
        IF NOT EXISTS (SELECT FROM unnest(names) AS name WHERE similarity(name, r.name) >= 0.85::real) THEN
            names := names || r.name;
            external_id := r.external_id;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
SELECT t.import() AS imported \gset
SELECT is(t.same('SELECT external_id FROM crm_deals.deal WHERE organization = ''many''', 'SELECT * FROM t.good()'),
          'same', 'import_deals: reject: of many rows those are created that are like none before them');
SELECT is((SELECT count(*) FROM regexp_split_to_table(:'imported', '\n') AS line
           WHERE line ~ '^x\d+ (created|rejected)'),
          120::bigint, 'import_deals: reject: each row has its outcome');
RESET crm_deals.organization;

SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
