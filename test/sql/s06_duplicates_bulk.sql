\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 6: many names at once. However they are written, the flags are those of a plain join by similarity().
SELECT setseed(0.17) AS none \gset
CREATE TABLE t.names AS SELECT n, name FROM t.random_names(120);

-- New against new
SELECT t.organization('one statement') AS pipeline \gset
INSERT INTO crm_deals.deal (name, pipeline_id) SELECT name, :pipeline FROM t.names ORDER BY n;
SELECT is(
    t.same('SELECT * FROM t.open_flags(''one statement'')', 'SELECT * FROM t.wanted_flags(''one statement'')'), 'same',
    'section 6: one INSERT of 120 names: the pairs of the join, each deal against its 20 most similar of lower ids');
SELECT is((SELECT concat_ws(' ', count(*) > 60, bool_or(similarity = 1), bool_or(similarity < 0.87),
                            bool_or(similarity BETWEEN 0.9 AND 0.99))
           FROM t.open_flags('one statement')),
          't t t t', 'section 6: (there are many, and of every kind)');
SELECT is((SELECT count(*) > 30 FROM t.pair
           WHERE organization = 'one statement' AND similarity >= 0.75 AND similarity < 0.85::real),
          true, 'section 6: (and as many just below)');
-- One at a time
SELECT t.organization('one at a time') AS pipeline \gset
CREATE FUNCTION t.each_name(pipeline text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT name FROM t.names ORDER BY n LOOP
        INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (r.name, t.pipeline(pipeline));
    END LOOP;
END
$$;
SELECT t.each_name('Of one at a time') AS none \gset
SELECT is(t.same('SELECT * FROM t.open_flags(''one at a time'')', 'SELECT * FROM t.wanted_flags(''one at a time'')'),
          'same', 'section 6: one at a time');
-- Both
SELECT t.organization('both') AS pipeline \gset
SELECT set_config('t.pipeline', :'pipeline', false) AS none \gset
DO $$DECLARE r record; BEGIN
    FOR r IN SELECT min(n) AS first, max(n) AS last FROM t.names
        GROUP BY CASE WHEN n <= 80 THEN n / 20 WHEN n <= 100 THEN 100 + n WHEN n <= 110 THEN 1000 ELSE 1000 + n END
        ORDER BY 1 LOOP
        INSERT INTO crm_deals.deal (name, pipeline_id)
        SELECT name, current_setting('t.pipeline')::bigint
        FROM t.names
        WHERE n BETWEEN r.first AND r.last
        ORDER BY n;
    END LOOP;
END$$;
SELECT is(t.same('SELECT * FROM t.open_flags(''both'')', 'SELECT * FROM t.wanted_flags(''both'')'), 'same',
          'section 6: in statements of many and of one');
-- The order of the rows in the statement is not that of the ids.
SELECT t.organization('backwards') AS pipeline \gset
INSERT INTO crm_deals.deal (id, name, pipeline_id) SELECT 1000000 - n, name, :pipeline FROM t.names ORDER BY n;
SELECT is(t.same('SELECT * FROM t.open_flags(''backwards'')', 'SELECT * FROM t.wanted_flags(''backwards'')'), 'same',
          'section 6: ids in the reverse order');
-- Thresholds and limits
SELECT is(t.after(format('SELECT set_config(''crm_deals.duplicate_limit'', %L, true), '
                         'set_config(''client_min_messages'', ''error'', true), t.organization(''x'', %L); '
                         'INSERT INTO crm_deals.deal (name, pipeline_id) SELECT name, t.pipeline(''Of x'') '
                         'FROM t.names ORDER BY n',
                         v.most, v.threshold),
                  format('SELECT t.same(''SELECT * FROM t.open_flags(''''x'''')'', ''SELECT * '
                         'FROM t.wanted_flags(''''x'''', %s)'')',
                         v.most)),
          'same', format('section 6: one INSERT of 120 names, threshold %s, limit %s', v.threshold, v.most))
FROM (VALUES (1, 20), (0.97, 2), (0.86, 1), (0.85, 1000000), (0.849, 5), (0.6, 20), (0.59, 1000000), (0.3, 20),
             (0.1, 7), (0.01, 1000000)) AS v (threshold, most);
SELECT is(t.after(format('SELECT set_config(''crm_deals.duplicate_limit'', %L, true), '
                         'set_config(''client_min_messages'', ''error'', true), t.organization(''x'', %L); '
                         'SELECT t.each_name(''Of x'')',
                         v.most, v.threshold),
                  format('SELECT t.same(''SELECT * FROM t.open_flags(''''x'''')'', ''SELECT * '
                         'FROM t.wanted_flags(''''x'''', %s)'')',
                         v.most)),
          'same', format('section 6: one at a time, threshold %s, limit %s', v.threshold, v.most))
FROM (VALUES (1, 20), (0.86, 1), (0.7, 20), (0.3, 1000000)) AS v (threshold, most);
-- Scopes, with deals that are closed already
INSERT INTO crm_deals.account (name) VALUES ('One'), ('Two'), ('Three');
SELECT array_agg(id ORDER BY id) AS accounts FROM crm_deals.account \gset
CREATE FUNCTION t.write_scoped(pipeline text, accounts bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO crm_deals.deal (name, stage_id, lost_reason, account_id)
    SELECT r.name, s.id, CASE s.status WHEN 'lost' THEN 'price' END, accounts[n % 4]
    FROM t.names AS r,
         LATERAL (SELECT * FROM crm_deals.stage
                  WHERE pipeline_id = t.pipeline(pipeline)
                    AND key = CASE WHEN n % 3 > 0 THEN 'qualified' WHEN n % 2 = 1 THEN 'won' ELSE 'lost' END) AS s
    ORDER BY n
$$;
SELECT is(t.after(format('SELECT t.organization(%L, scope => %1$L); SELECT t.write_scoped(%L, %L)', scope,
                         'Of ' || scope, :'accounts'),
                  format('SELECT t.same(%L, %L)', format('SELECT * FROM t.open_flags(%L)', scope),
                         format('SELECT * FROM t.wanted_flags(%L)', scope))),
          'same', 'section 6: one INSERT of 120 names, scope ' || scope)
FROM unnest(ARRAY['all', 'open', 'account']) AS scope;
SELECT is(t.after(format('SELECT t.organization(%L, scope => %1$L, threshold => 0.6); SELECT t.write_scoped(%L, %L)',
                         scope, 'Of ' || scope, :'accounts'),
                  format('SELECT t.same(%L, %L)', format('SELECT * FROM t.open_flags(%L)', scope),
                         format('SELECT * FROM t.wanted_flags(%L)', scope))),
          'same', 'section 6: threshold 0.6, scope ' || scope)
FROM unnest(ARRAY['open', 'account']) AS scope;
-- Several pipelines in one statement: each deal by its own; several organizations
SELECT t.organization('mixed') AS p0, crm_deals.create_pipeline('M1', organization => 'mixed') AS p1,
       crm_deals.create_pipeline('M2', organization => 'mixed') AS p2,
       crm_deals.create_pipeline('M3', organization => 'mixed') AS p3, t.organization('other') AS p4 \gset
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.6 WHERE id = :p1;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off' WHERE id = :p2;
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.95, duplicate_scope = 'open' WHERE id = :p3;
INSERT INTO crm_deals.deal (name, pipeline_id, stage_id)
SELECT name, pipeline,
       CASE WHEN n % 2 = 0 THEN (SELECT id FROM crm_deals.stage AS s WHERE s.pipeline_id = pipeline AND key = 'won') END
FROM (SELECT *, (ARRAY[:p0, :p1, :p2, :p3, :p4])[1 + n % 5] AS pipeline FROM t.names) AS v
ORDER BY n;
SELECT is(t.same('SELECT * FROM t.open_flags(''mixed'')', 'SELECT * FROM t.wanted_flags(''mixed'')'), 'same',
          'section 6: one INSERT into pipelines of every threshold, policy and scope');
SELECT is(t.same('SELECT * FROM t.open_flags(''other'')', 'SELECT * FROM t.wanted_flags(''other'')'), 'same',
          'section 6: and of another organization');
-- and by the index, which is made again for the lowest threshold
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT set_config('t.pipelines', ARRAY[:p0, :p1, :p2, :p3, :p4]::text, false) AS none \gset
DO $$BEGIN
    FOR five IN 0..23 LOOP
        INSERT INTO crm_deals.deal (name, pipeline_id)
        SELECT name, (current_setting('t.pipelines')::bigint[])[1 + n % 5]
        FROM t.names
        WHERE (n - 1) / 5 = five
        ORDER BY n;
    END LOOP;
END$$;
SELECT is(t.same('SELECT * FROM t.open_flags(''mixed'')', 'SELECT * FROM t.wanted_flags(''mixed'')'), 'same',
          'section 6: five deals a statement, of every pipeline');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           JOIN crm_deals.deal AS o ON o.id = f.other_deal_id WHERE d.organization IS DISTINCT FROM o.organization),
          0::bigint, 'section 6: no pair is of two organizations');

-- Many renames in one statement, by UPDATE, ON CONFLICT and MERGE: no pair is missing, none is too many.
SET crm_deals.duplicate_limit = 1000000;
SELECT t.organization('renamed') AS pipeline \gset
INSERT INTO crm_deals.deal (name, external_id, pipeline_id)
SELECT name, n, :pipeline
FROM t.names
WHERE n <= 90
ORDER BY n;
SELECT $$SELECT deal_id, other_deal_id, similarity FROM t.pair
         WHERE organization = 'renamed' AND similarity >= threshold$$ AS pairs \gset
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same', 'section 6: before the renames');
UPDATE crm_deals.deal AS d SET name = r.name FROM t.names AS r
WHERE d.organization = 'renamed' AND r.n = 1 + (d.external_id::integer + 40) % 120;
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same', 'section 6: an UPDATE of all names');
UPDATE crm_deals.deal AS d SET name = r.name FROM t.names AS r
WHERE d.organization = 'renamed' AND r.n = d.external_id::integer AND r.n % 3 = 0;
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same', 'section 6: an UPDATE of some');
UPDATE crm_deals.deal AS d SET name = r.name FROM t.names AS r
WHERE d.organization = 'renamed' AND r.n = d.external_id::integer AND r.n IN (4, 71, 90);
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same', 'section 6: of a few');
INSERT INTO crm_deals.deal (name, external_id, pipeline_id)
SELECT name, 121 - n, :pipeline
FROM t.names
ORDER BY n
ON CONFLICT (organization, external_id)
WHERE external_id IS NOT NULL DO UPDATE SET name = excluded.name;
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same',
          'section 6: an upsert that renames some and creates others');
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE organization = 'renamed'), 120::bigint, 'section 6: (it did)');
MERGE INTO crm_deals.deal AS d USING t.names AS r ON d.organization = 'renamed' AND d.external_id = (r.n * 2)::text
WHEN MATCHED AND r.n % 5 = 0 THEN DELETE
WHEN MATCHED THEN UPDATE SET name = r.name
WHEN NOT MATCHED THEN INSERT (name, external_id, pipeline_id) VALUES (r.name, r.n * 2, :pipeline);
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same',
          'section 6: a MERGE that renames, creates and deletes');
UPDATE crm_deals.deal SET name = 'One and the same name' WHERE organization = 'renamed' AND id % 4 = 0;
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same', 'section 6: many get one name');
DELETE FROM crm_deals.deal WHERE organization = 'renamed' AND id % 8 = 0;
SELECT is(t.same('SELECT * FROM t.open_pairs(''renamed'')', :'pairs'), 'same', 'section 6: a DELETE of many');
RESET crm_deals.duplicate_limit;

-- Equal names: flagged against each other and against those that are there, up to the limit.
SELECT t.organization('identical') AS pipeline \gset
SET client_min_messages = notice;
INSERT INTO crm_deals.deal (name, pipeline_id) SELECT 'One and the same name', :pipeline FROM generate_series(1, 1000);
SELECT is((SELECT concat_ws(' ', count(*), count(DISTINCT deal_id), min(similarity), bool_and(deal_id > other_deal_id))
           FROM t.open_flags('identical')),
          (20 * 21 / 2 + 979 * 20) || ' 999 1 t', 'section 6: 1,000 identical names: 20 each');
SELECT is((SELECT count(*) FROM t.open_flags('identical')
           WHERE other_deal_id NOT
                     IN (SELECT id FROM crm_deals.deal WHERE organization = 'identical' ORDER BY id LIMIT 20)),
          0::bigint, 'section 6: the lowest ids');
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('One and the same NAME', :pipeline);
SELECT is((SELECT count(*) FROM t.open_flags('identical')
           WHERE deal_id = (SELECT max(id) FROM crm_deals.deal WHERE organization = 'identical')),
          20::bigint, 'section 6: one more');
SET client_min_messages = warning;
UPDATE crm_deals.deal SET name = 'Another name ' || id WHERE organization = 'identical';
SELECT is((SELECT count(*) FROM t.open_flags('identical') AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
           WHERE f.similarity <> similarity(d.name, o.name) OR f.similarity < 0.85),
          0::bigint, 'section 6: all of them get names of their own');

-- More names than are read at once, and than fit into memory. The first 100 names come again at the end.
CREATE VIEW t.same_names AS
    SELECT d.organization, d.id AS deal_id, o.id AS other_deal_id, 1::real AS similarity
    FROM crm_deals.deal AS d
    JOIN crm_deals.deal AS o ON o.organization = d.organization AND o.name = d.name AND o.id < d.id;
SET maintenance_work_mem = '1MB';
SELECT t.organization('long') AS pipeline \gset
INSERT INTO crm_deals.deal (name, pipeline_id)
SELECT md5((n % 11900)::text), :pipeline
FROM generate_series(1, 12000) AS n;
SELECT is(t.same('SELECT * FROM t.open_flags(''long'')',
                 'SELECT deal_id, other_deal_id, similarity FROM t.same_names WHERE organization = ''long'''),
          'same', 'section 6: one INSERT of 12,000 names');
SELECT is((SELECT count(*) FROM t.open_flags('long')), 100::bigint, 'section 6: (of which 100 are there twice)');
-- By then a user's trigger has deleted some of them: the first that are read at once.
SELECT t.organization('gaps') AS pipeline \gset
CREATE FUNCTION t.delete_some() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM crm_deals.deal WHERE organization = 'gaps' AND id <= 10020400;
    RETURN NULL;
END $$;
CREATE TRIGGER a_first AFTER INSERT ON crm_deals.deal FOR EACH STATEMENT EXECUTE FUNCTION t.delete_some();
INSERT INTO crm_deals.deal (id, name, pipeline_id)
SELECT 10000000 + 2 * n, md5((n % 1700)::text), :pipeline
FROM generate_series(1, 12000) AS n;
DROP TRIGGER a_first ON crm_deals.deal;
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE organization = 'gaps'), 1800::bigint,
          'section 6: (of 12,000 with gaps between their ids 1,800 are left)');
SELECT is(t.same('SELECT * FROM t.open_flags(''gaps'')',
                 'SELECT deal_id, other_deal_id, similarity FROM t.same_names WHERE organization = ''gaps'''),
          'same', 'section 6: of those every pair is flagged');
SELECT is((SELECT count(*) FROM t.open_flags('gaps')), 100::bigint, 'section 6: (there are as many)');
RESET maintenance_work_mem;
DELETE FROM crm_deals.deal WHERE organization IN ('long', 'gaps');

-- COPY, with whatever a name may hold
SELECT t.organization('copied') AS pipeline \gset
ALTER TABLE crm_deals.deal ALTER COLUMN pipeline_id SET DEFAULT :pipeline;
COPY crm_deals.deal (external_id, name) FROM stdin;
c1	Tab\there and there
c2	tab here\nand there
c3	%_\\ 'quoted' "twice" {a,b} $1 --
c4	quoted twice a b 1
c5	!!!
c6	¿¡…—–
c7	¿¡…—–
c8	É
c9	é
c10	É
c11	日本語の名前
c12	日本語の名前!
c13	日本語の名前です
c14	😀😀😀
c15	😀😀😀
c16	a😀b
c17	a b
c18	Straße 7
c19	STRASSE 7
c20	straße (7)
c21	Ωmega Ελλάδα
c22	ωMEGA ελλάδα
c23	İstanbul ışık
c24	istanbul isik
c25	İSTANBUL IŞIK
c26	a​b
c27	ab
c28	مرحبا بالعالم
c29	مرحبا بالعالم.
c30	ﬁnance ﬂow
c31	finance flow
\.
ALTER TABLE crm_deals.deal ALTER COLUMN pipeline_id DROP DEFAULT;
INSERT INTO crm_deals.deal (external_id, name, pipeline_id) SELECT format('l%s', row_number() OVER ()), name, :pipeline
FROM (SELECT string_agg(chr(97 + abs(hashint4(i) % 26)), '' ORDER BY i)
      FROM generate_series(1, 10000) AS i) AS long (name_),
     LATERAL (VALUES (name_), (left(name_, 9999)), (upper(name_)), (left(name_, 9000)), (left(name_, 7500)),
                     (reverse(name_)), (repeat('a', 10000)), (repeat('A', 3)), (repeat('ab', 5000)),
                     (repeat('ab ', 3000)), (repeat(' ', 9999) || 'ab ab')) AS v (name);
SELECT is(t.same('SELECT * FROM t.open_flags(''copied'')', 'SELECT * FROM t.wanted_flags(''copied'')'), 'same',
          'section 6: COPY of names of every script, and names of 10,000 characters');
SELECT is((SELECT array_agg(d.external_id) FROM t.open_flags('copied') AS f
           JOIN crm_deals.deal AS d ON d.id = f.deal_id) @> '{c2,c4,c9,c10,c12,c20,c22,c29}',
          true, 'section 6: (some of them are alike)');
SELECT is((SELECT string_agg(d.external_id || ' ' || o.external_id, ', ' ORDER BY d.id, o.id)
           FROM t.open_flags('copied') AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           JOIN crm_deals.deal AS o ON o.id = f.other_deal_id WHERE d.external_id ~ '^l'),
          'l2 l1, l3 l1, l3 l2, l4 l1, l4 l2, l4 l3, l5 l4, l8 l7, l10 c27, l11 c27, l11 l10',
          'section 6: (of the long ones, too)');

-- reject: one bad name refuses the statement, and names that are not alike are written
CREATE TABLE t.apart AS
    SELECT DISTINCT ON (name) * FROM t.names AS r
    WHERE NOT EXISTS (SELECT FROM t.names AS o WHERE o.n < r.n AND similarity(o.name, r.name) >= 0.85::real);
SELECT t.organization('guarded', policy => 'reject') AS pipeline \gset
SELECT is(t.try(format('INSERT INTO crm_deals.deal (name, pipeline_id) SELECT name, %s FROM t.names', :pipeline)),
          '23505 deal.name deal_duplicate', 'section 6: reject: an INSERT of 120 names of which some are alike');
SELECT is(t.try(format('INSERT INTO crm_deals.deal (name, pipeline_id) SELECT name, %s FROM t.apart', :pipeline)),
          'done', 'section 6: reject: of those of them that are not');
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE organization = 'guarded'), (SELECT count(*) FROM t.apart),
          'section 6: reject: all are there');
SELECT is((SELECT string_agg(DISTINCT t.dry(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (%L, %s)',
                                                   r.name, :pipeline)),
                             ', ')
           FROM t.names AS r WHERE EXISTS (SELECT FROM t.apart AS a WHERE similarity(a.name, r.name) >= 0.85::real)),
          '23505 deal.name deal_duplicate', 'section 6: reject: every name that is like one of them, one at a time');
SELECT is(t.dry(format('INSERT INTO crm_deals.deal (name, pipeline_id) SELECT v.name, %s FROM (SELECT md5(i::text) '
                       'FROM generate_series(1, 200) AS i UNION ALL SELECT (SELECT upper(name) FROM t.apart '
                       'ORDER BY n LIMIT 1)) AS v (name)',
                       :pipeline)),
          '23505 deal.name deal_duplicate', 'section 6: reject: one among 200');
SELECT is((SELECT count(*) FROM t.open_flags('guarded')), 0::bigint, 'section 6: reject flags nothing');

SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
