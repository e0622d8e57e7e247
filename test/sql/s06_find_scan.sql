\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 6: the functions of duplicates: find, scan, flag later, rebuild, dismiss; who may call them; row security.
SELECT setseed(0.06) AS none \gset
CREATE TABLE t.names AS SELECT n, name FROM t.random_names(180);
SELECT crm_deals.create_pipeline('Loose') AS loose, crm_deals.create_pipeline('Off') AS off_,
       crm_deals.create_pipeline('Theirs', organization => 'theirs') AS theirs,
       crm_deals.create_pipeline('Silent', organization => 'silent') AS silent \gset
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.5, duplicate_scope = 'open' WHERE id = :loose;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off' WHERE id IN (:off_, :silent);
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.95 WHERE id = :theirs;
SET crm_deals.duplicate_limit = 2;
SET client_min_messages = error;
INSERT INTO crm_deals.deal (name, pipeline_id, stage_id)
SELECT r.name, p.id,
       CASE WHEN r.n % 7 = 0 THEN (SELECT id FROM crm_deals.stage WHERE pipeline_id = p.id AND key = 'won') END
FROM t.names AS r, LATERAL (SELECT (ARRAY[:sales, :loose, :off_, :theirs, :silent])[1 + r.n % 5] AS id) AS p
ORDER BY r.n;
SET client_min_messages = warning;
RESET crm_deals.duplicate_limit;

-- scan_duplicates
SELECT is(t.same(format('SELECT * FROM crm_deals.scan_duplicates(%s)', s),
                 format('SELECT deal_id, other_deal_id, similarity FROM t.pair WHERE similarity >= %s::real', s)),
          'same', 'scan_duplicates: the pairs of the join, threshold ' || s)
FROM unnest('{1,0.97,0.86,0.85,0.8,0.6,0.59,0.3,0.1}'::numeric[]) AS s;
SELECT is(t.same('SELECT * FROM crm_deals.scan_duplicates()',
                 'SELECT deal_id, other_deal_id, similarity FROM t.pair WHERE similarity >= threshold'),
          'same',
          'scan_duplicates: the threshold and the scope are those of the later deal''s pipeline; nothing is cut');
SELECT is(t.same('SELECT * FROM crm_deals.scan_duplicates(NULL)',
                 'SELECT deal_id, other_deal_id, similarity FROM t.pair WHERE similarity >= threshold'),
          'same', 'scan_duplicates: NULL, too');
SELECT is((SELECT string_agg(p.name, ' ' ORDER BY p.id) FROM crm_deals.pipeline AS p
           WHERE EXISTS (SELECT FROM crm_deals.scan_duplicates(0.9) AS s
                         JOIN crm_deals.deal AS d ON d.id = s.deal_id AND d.pipeline_id = p.id)),
          'Sales Loose Off Theirs Silent', 'scan_duplicates: whatever the policy');
SELECT is((SELECT count(*) FROM crm_deals.scan_duplicates(1) WHERE deal_id <= other_deal_id), 0::bigint,
          'scan_duplicates: the higher id first');

-- find_duplicates, in its order
CREATE FUNCTION t.find(name text, threshold real, most integer, pipeline text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', f.deal_id, f.deal_name, f.similarity), E'\n')
    FROM crm_deals.find_duplicates(name, threshold, most,
                                   CASE WHEN pipeline = 'Sales' THEN pipeline ELSE t.pipeline(pipeline)::text END) AS f
$$;
CREATE FUNCTION t.wanted(name text, threshold real, most integer, pipeline text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', f.id, f.name, f.similarity), E'\n' ORDER BY f.similarity DESC, f.id)
    FROM (SELECT d.id, d.name, similarity(d.name, wanted.name) AS similarity
          FROM crm_deals.pipeline AS p
          JOIN crm_deals.deal AS d ON d.organization IS NOT DISTINCT FROM p.organization
              AND CASE p.duplicate_scope WHEN 'open' THEN d.status = 'open' ELSE true END
          WHERE CASE WHEN pipeline IS NULL THEN p.is_default AND p.organization IS NULL ELSE p.name = pipeline END
            AND similarity(d.name, wanted.name) >= coalesce(threshold, p.duplicate_threshold)
          ORDER BY 3 DESC, 1 LIMIT most) AS f
$$;
CREATE TABLE t.asked AS
    SELECT n, name, v.threshold, v.most, p.pipeline
    FROM (SELECT n, name FROM t.names WHERE n % 9 = 0
          UNION ALL SELECT 1000 + n, t.slip(t.slip(name)) FROM t.names WHERE n % 12 = 0
          UNION ALL VALUES (2000, ''), (2001, '!!!'), (2002, 'a'), (2003, 'nothing like it')) AS r,
         (VALUES (NULL::real, 10), (1, 10), (0.85, 1), (0.86, 1000), (0.6, 3), (0.3, 1000),
                 (0.05, 10)) AS v (threshold, most),
         (VALUES (NULL), ('Sales'), ('Theirs'), ('Silent')) AS p (pipeline)
    WHERE v.threshold IS NULL OR p.pipeline IS NOT NULL OR n % 2 = 0;
SELECT is((SELECT string_agg(
               format('%s %s %s %s: %s instead of %s', a.name, a.threshold, a.most, a.pipeline, a.have, a.want), E'\n')
           FROM (SELECT a.*, t.find(name, threshold, most, pipeline) AS have,
                        t.wanted(name, threshold, most, pipeline) AS want
                 FROM t.asked AS a) AS a
           WHERE a.have IS DISTINCT FROM a.want),
          NULL, 'find_duplicates: what plain SQL finds, in its order');
SELECT is((SELECT count(*) > 100 FROM t.asked AS a WHERE t.wanted(name, threshold, most, pipeline) LIKE E'%\n%'), true,
          'find_duplicates: (that is something)');
SELECT is((SELECT count(*) FROM t.asked WHERE n = 2001 AND t.find(name, threshold, most, pipeline) IS NOT NULL),
          0::bigint, 'find_duplicates: a name without a word character is like nothing');
SELECT name AS probe FROM t.names WHERE n = 6 \gset
SELECT is((SELECT string_agg(concat_ws(' ', f.deal_id, f.deal_name, f.similarity), E'\n')
           FROM crm_deals.find_duplicates(:'probe') AS f),
          t.wanted(:'probe', NULL, 10, NULL),
          'find_duplicates: of a name alone: the default pipeline, its threshold, ten at most');
SET crm_deals.organization = 'theirs';
SELECT is(t.find(:'probe', 0.3, 100, NULL), t.wanted(:'probe', 0.3, 100, 'Theirs'),
          'find_duplicates: the default pipeline of the session''s organization');
SELECT is((SELECT count(*) FROM crm_deals.find_duplicates(:'probe', 0.3, 100, 'Theirs')),
          (SELECT count(*) FROM crm_deals.find_duplicates(:'probe', 0.3, 100, :'theirs')),
          'find_duplicates: a pipeline by its name');
RESET crm_deals.organization;
UPDATE crm_deals.pipeline SET is_active = false WHERE id = :theirs;
SELECT is(t.find(:'probe', 0.3, 100, 'Theirs'), t.wanted(:'probe', 0.3, 100, 'Theirs'),
          'find_duplicates: of a pipeline that is not active');
UPDATE crm_deals.pipeline SET is_active = true WHERE id = :theirs;
-- They see what the transaction wrote, and they write nothing.
SELECT is(t.after($$INSERT INTO crm_deals.deal (external_id, name) VALUES ('new', 'Just written');
                    UPDATE crm_deals.deal SET name = 'Just Renamed now' WHERE id = 1;
                    DELETE FROM crm_deals.deal WHERE id = 6$$,
                  $$SELECT concat_ws(
                        ' ', (SELECT count(*) FROM crm_deals.find_duplicates('just written!')),
                        (SELECT count(*) FROM crm_deals.find_duplicates('just renamed NOW')),
                        (SELECT count(*) FROM crm_deals.find_duplicates((SELECT name FROM t.names WHERE n = 1), 1)
                         WHERE deal_id = 1),
                        (SELECT count(*) FROM crm_deals.scan_duplicates(0.1) WHERE 6 IN (deal_id, other_deal_id)),
                        t.same('SELECT * FROM crm_deals.scan_duplicates(0.6)',
                               'SELECT deal_id, other_deal_id, similarity FROM t.pair '
                               'WHERE similarity >= 0.6::real'))$$),
          '1 1 0 0 same', 'find_duplicates, scan_duplicates: after writes in the transaction');
SELECT is(t.after($$SET LOCAL transaction_read_only = on$$,
                  $$SELECT concat_ws(' ', (SELECT count(*) > 0 FROM crm_deals.scan_duplicates(0.9)),
                                     (SELECT count(*) > 0
                                      FROM crm_deals.find_duplicates(
                                          (SELECT name FROM crm_deals.deal ORDER BY id LIMIT 1), 0.3)))$$),
          't t', 'find_duplicates, scan_duplicates: in a read-only transaction');
SELECT is((SELECT string_agg(proname || ' ' || provolatile::text, ', ' ORDER BY proname) FROM pg_proc
           WHERE pronamespace = 'crm_deals'::regnamespace AND proname ~ '^(find|scan|flag|rebuild|dismiss)_duplicate'),
          'dismiss_duplicate v, find_duplicates s, flag_duplicates v, rebuild_duplicates v, scan_duplicates s',
          'section 11: which are STABLE');

-- Errors
SELECT is(t.try('SELECT crm_deals.' || v.call), v.result, 'section 10: ' || v.call)
FROM (VALUES (1, 'find_duplicates(''x'', 0)', '22023'), (2, 'find_duplicates(''x'', -0.5)', '22023'),
             (3, 'find_duplicates(''x'', 1.01)', '22023'), (4, 'find_duplicates(''x'', ''NaN'')', '22023'),
             (5, 'find_duplicates(''x'', ''Infinity'')', '22023'),
             (6, 'find_duplicates(''x'', max_results => -1)', '22023'),
             (7, 'find_duplicates(''x'', pipeline => ''None of these'')', 'P0002'),
             (8, 'find_duplicates(''x'', pipeline => ''4711'')', 'P0002'), (9, 'scan_duplicates(0)', '22023'),
             (10, 'scan_duplicates(-1)', '22023'), (11, 'scan_duplicates(1.01)', '22023'),
             (12, 'scan_duplicates(''NaN'')', '22023'), (13, 'flag_duplicates(''None of these'')', 'P0002'),
             (14, 'dismiss_duplicate(1, 4711)', 'P0002'), (15, 'dismiss_duplicate(4711, 4712)', 'P0002'),
             (16, 'dismiss_duplicate(1, 1)', '22023'), (17, 'dismiss_duplicate(NULL, 1)', '22004'),
             (18, 'dismiss_duplicate(1, NULL)', '22004')) AS v (n, call, result)
ORDER BY v.n;
SELECT is((SELECT string_agg(call, ', ')
           FROM unnest('{"find_duplicates(''x'', 0)","find_duplicates(''x'', max_results => '
                       '-1)","scan_duplicates(2)","dismiss_duplicate(1, 4711)","find_duplicates(''x'', '
                       'pipeline => ''None of these'')","flag_duplicates(''None of these'')"}'::text[]) AS call,
                LATERAL (SELECT t.error('SELECT crm_deals.' || call, 'message') AS message,
                                t.error('SELECT crm_deals.' || call, 'detail') AS detail,
                                t.error('SELECT crm_deals.' || call, 'hint') AS hint) AS e
           WHERE message !~ '^[[:lower:]]' OR message ~ '\.$' OR detail !~ '^(["[:upper:]].*\.)?$'
             OR hint !~ '^(["[:upper:]].*\.)?$'),
          NULL, 'section 10: lower-case messages, full-sentence DETAIL and HINT');
SELECT matches(t.error(format('SELECT crm_deals.%s(%s)', f.name, f.arguments), 'detail')
               || t.error(format('SELECT crm_deals.%s(%s)', f.name, f.arguments), 'hint'),
               'Sales.*Loose', 'section 10: an unknown pipeline: the ones there are: ' || f.name)
FROM (VALUES ('find_duplicates', '''x'', pipeline => ''None of these'''),
             ('flag_duplicates', '''None of these''')) AS f (name, arguments);
SELECT is(t.get('SELECT count(*) FROM crm_deals.find_duplicates(''Acme'', max_results => 0)'), '0',
          'find_duplicates: none at most');

-- A refusal: fields, and text that names the deal
SELECT t.organization('guarded', policy => 'reject') AS guarded \gset
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('Gate of Brandenburg', :guarded) RETURNING id AS gate \gset
SELECT is(t.error(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''Gate of brandenburg!'', %s)',
                         :guarded),
                  'schema'),
          'crm_deals', 'section 10: the schema of a refusal');
SELECT matches(t.error(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''Gate of brandenburg!'', %s)',
                              :guarded),
                       'message'),
               '^[[:lower:]].*[^.]$', 'section 10: its message');
SELECT matches(t.error(format('INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (''Gate of brandenburg!'', %s)',
                              :guarded),
                       'detail'),
               format('^[[:upper:]].*(\m%s\M.*"Gate of Brandenburg"|"Gate of Brandenburg".*\m%1$s\M).*\.$', :gate),
               'section 10: its DETAIL names the deal that is there');
SELECT matches(t.error(format('UPDATE crm_deals.deal SET name = ''Gate of brandenburg!'', pipeline_id = %s '
                              'WHERE id = (SELECT id FROM crm_deals.deal WHERE organization = ''theirs'' '
                              'ORDER BY id LIMIT 1)',
                              :guarded),
                       'detail'),
               '"Gate of Brandenburg"', 'section 10: of a rename, too');

-- flag_duplicates
DELETE FROM crm_deals.deal_duplicate;
SELECT is(crm_deals.flag_duplicates('Sales'),
          (SELECT count(*) FROM t.wanted_flags() AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           WHERE d.pipeline_id = :sales),
          'flag_duplicates: of a pipeline: as many flags as were made');
SELECT is(t.same('SELECT * FROM t.open_flags()',
                 format('SELECT f.* FROM t.wanted_flags() AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id '
                        'WHERE d.pipeline_id = %s',
                        :sales)),
          'same',
          'flag_duplicates: each of its deals against those of lower ids, in every pipeline of the organization');
SELECT is(crm_deals.flag_duplicates('Sales'), 0::bigint, 'flag_duplicates: once more: none');
SELECT is(crm_deals.flag_duplicates() > 0, true, 'flag_duplicates: of all pipelines');
SELECT is(t.same('SELECT * FROM t.open_flags()', 'SELECT * FROM t.wanted_flags()'), 'same',
          'flag_duplicates: what creation would have flagged');
SELECT is(t.same('SELECT * FROM t.open_flags(''theirs'')', 'SELECT * FROM t.wanted_flags(''theirs'')'), 'same',
          'flag_duplicates: in every organization');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           WHERE d.pipeline_id IN (:off_, :silent)),
          0::bigint, 'flag_duplicates: not of pipelines that are off');
SELECT is(crm_deals.flag_duplicates('Off') + crm_deals.flag_duplicates(:'silent'), 0::bigint,
          'flag_duplicates: nor when they are named');
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag' WHERE id = :silent;
SELECT is((SELECT count(*) FROM t.open_flags('silent')), 0::bigint, 'section 6: changing a policy flags nothing');
SELECT is(crm_deals.flag_duplicates(:'silent'), (SELECT count(*) FROM t.wanted_flags('silent')),
          'section 6: until flag_duplicates is called');
SELECT is(t.same('SELECT * FROM t.open_flags(''silent'')', 'SELECT * FROM t.wanted_flags(''silent'')'), 'same',
          'flag_duplicates: what was written while the policy was off');
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.4 WHERE id = :silent;
SELECT is(t.same('SELECT * FROM t.open_flags(''silent'')',
                 'SELECT * FROM t.wanted_flags(''silent'') WHERE similarity >= 0.85::real'),
          'same', 'section 6: changing a threshold flags nothing');
SELECT crm_deals.flag_duplicates(:'silent') \gset none_
SELECT is(t.same('SELECT * FROM t.open_flags(''silent'')',
                 'SELECT * FROM t.wanted_flags(''silent'') UNION SELECT * FROM t.open_flags(''silent'') '
                 'WHERE similarity >= 0.85::real'),
          'same', 'flag_duplicates: by the new threshold');
SELECT crm_deals.dismiss_duplicate(f.deal_id, f.other_deal_id) FROM t.open_flags('silent') AS f
ORDER BY f.deal_id, f.other_deal_id LIMIT 10 \g /dev/null
SELECT is(crm_deals.flag_duplicates(:'silent'), 0::bigint, 'flag_duplicates: dismissed pairs are not flagged again');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate WHERE resolution = 'dismissed'), 10::bigint,
          'flag_duplicates: and stay dismissed');
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :theirs;
DELETE FROM crm_deals.deal_duplicate;
SELECT is(crm_deals.flag_duplicates(:'theirs') > 0, true,
          'flag_duplicates: of a pipeline that rejects, what is there is flagged');
SET crm_deals.duplicate_limit = 1;
SET client_min_messages = notice;
DELETE FROM crm_deals.deal_duplicate;
SELECT crm_deals.flag_duplicates('Sales') \gset none_
SET client_min_messages = warning;
SELECT is(t.same('SELECT * FROM t.open_flags()',
                 format('SELECT f.* FROM t.wanted_flags(most => 1) AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id '
                        'WHERE d.pipeline_id = %s',
                        :sales)),
          'same', 'flag_duplicates: the limit holds');
RESET crm_deals.duplicate_limit;

-- rebuild_duplicates changes no answer, even after the stored names were lost.
CREATE FUNCTION t.exact() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ',
                     t.same('SELECT * FROM crm_deals.scan_duplicates(0.6)',
                            'SELECT deal_id, other_deal_id, similarity FROM t.pair WHERE similarity >= 0.6::real'),
                     (SELECT count(*) FROM t.asked
                      WHERE n % 18 = 0 AND t.find(name, threshold, most, pipeline) IS DISTINCT FROM t.wanted(
                          name, threshold, most, pipeline)),
                     t.after('SET LOCAL crm_deals.duplicate_limit = 1000000; '
                             'INSERT INTO crm_deals.deal (external_id, name) SELECT ''new'' || n, name FROM t.names '
                             'WHERE n % 20 = 0; INSERT INTO crm_deals.deal (external_id, name) '
                             'SELECT ''new'' || n, name FROM t.names WHERE n = 1',
                             'SELECT t.same(''SELECT f.* FROM t.open_flags() AS f '
                             'JOIN crm_deals.deal AS d ON d.id = f.deal_id '
                             'WHERE d.external_id ~ ''''^new'''''', ''SELECT deal_id, other_deal_id, similarity '
                             'FROM t.pair AS p JOIN crm_deals.deal AS d ON d.id = p.deal_id '
                             'WHERE d.external_id ~ ''''^new'''' AND similarity >= threshold'')'))
$$;
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: (before)');
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: the answers are the same');
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.6 WHERE id = :sales;
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: (a threshold below what the index was made for)');
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: for a lower threshold');
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.2 WHERE id = :sales;
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: for a very low one');
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.85 WHERE id = :sales;
SELECT crm_deals.rebuild_duplicates() \gset none_
DELETE FROM crm_deals.deal_name WHERE deal_id % 3 = 0;
UPDATE crm_deals.deal_name SET name = 'wrong', organization = 'wrong' WHERE deal_id % 3 = 1;
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: makes good what was lost or wrong');
SET session_replication_role = replica;
UPDATE crm_deals.deal SET name = 'Renamed by another ' || id WHERE id % 9 = 0;
DELETE FROM crm_deals.deal WHERE id % 9 = 1;
RESET session_replication_role;
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: and what was written without our triggers');
REINDEX TABLE crm_deals.deal_name;
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: REINDEX harms nothing');
VACUUM FULL crm_deals.deal_name;
SELECT is(t.exact(), 'same 0 same', 'rebuild_duplicates: nor VACUUM FULL');

-- Privileges
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob', 'regress_crm_read', 'regress_crm_write',
                    'regress_crm_manager', 'regress_crm_admin', 'regress_crm_consume', 'regress_crm_none') AS none \gset
CREATE ROLE regress_crm_none; CREATE ROLE regress_crm_consume; CREATE ROLE regress_crm_read;
CREATE ROLE regress_crm_write; CREATE ROLE regress_crm_manager; CREATE ROLE regress_crm_admin;
SELECT crm_deals.grant_access(('regress_crm_' || l)::regrole, l)
FROM unnest('{consume,read,write,manager,admin}'::text[]) AS l \g /dev/null
INSERT INTO crm_deals.deal (external_id, name)
VALUES ('priv1', 'Privileged deal of the crown'), ('priv2', 'Privileged deal of the crown');
SELECT is((SELECT string_agg(l || ' ' || t.dry(c.call, 'regress_crm_' || l), ', ' ORDER BY n)
           FROM unnest('{none,consume,read,write,manager,admin}'::text[]) WITH ORDINALITY AS levels (l, n)),
          c.result, 'section 9: ' || c.call)
FROM (VALUES (1, 'SELECT crm_deals.find_duplicates(''x'')',
              'none 42501, consume 42501, read done, write done, manager done, admin done'),
             (2, 'SELECT crm_deals.scan_duplicates()',
              'none 42501, consume 42501, read done, write done, manager done, admin done'),
             (3, format('SELECT crm_deals.dismiss_duplicate(%s, %s)', t.id('priv1'), t.id('priv2')),
              'none 42501, consume 42501, read 42501, write done, manager done, admin done'),
             (4, 'SELECT crm_deals.flag_duplicates()',
              'none 42501, consume 42501, read 42501, write 42501, manager 42501, admin done'),
             (5, 'SELECT crm_deals.rebuild_duplicates()',
              'none 42501, consume 42501, read 42501, write 42501, manager 42501, admin done'),
             (6, 'UPDATE crm_deals.deal_duplicate SET resolution = ''dismissed''',
              'none 42501, consume 42501, read 42501, write 42501, manager 42501, admin 42501'),
             (7, 'DELETE FROM crm_deals.deal_duplicate',
              'none 42501, consume 42501, read 42501, write 42501, manager 42501, admin 42501'),
             (8, 'INSERT INTO crm_deals.deal_name (deal_id, name) VALUES (1, ''x'')',
              'none 42501, consume 42501, read 42501, write 42501, manager 42501, admin 42501'),
             (9, 'DELETE FROM crm_deals.deal_name',
              'none 42501, consume 42501, read 42501, write 42501, manager 42501, admin 42501'),
             (10, 'SELECT FROM crm_deals.deal_duplicate',
              'none 42501, consume 42501, read done, write done, manager done, admin done')) AS c (n, call, result)
ORDER BY c.n;
SELECT is(t.after('INSERT INTO crm_deals.deal (external_id, name) VALUES (''priv3'', ''PRIVILEGED deal of the crown'')',
                  'SELECT t.flags(''^priv'')', 'regress_crm_write'),
          'priv2 > priv1 1.000, priv3 > priv1 1.000, priv3 > priv2 1.000',
          'section 9: what write writes is flagged without a right to the flags');
SELECT is(t.after('UPDATE crm_deals.deal SET name = ''Something of its own'' WHERE external_id = ''priv2''',
                  'SELECT t.flags(''^priv'')', 'regress_crm_write'),
          'none', 'section 9: and removed');
SELECT is(t.after('DELETE FROM crm_deals.deal WHERE external_id = ''priv2''', 'SELECT t.flags(''^priv'')',
                  'regress_crm_write'),
          'none', 'section 9: by deletes, too');
SELECT is(t.after(format('SELECT crm_deals.dismiss_duplicate(%s, %s)', t.id('priv1'), t.id('priv2')),
                  'SELECT resolved_by FROM crm_deals.deal_duplicate WHERE deal_id = t.id(''priv2'')',
                  'regress_crm_write'),
          'regress_crm_write', 'section 9: dismissed by the user');
SELECT is((SELECT string_agg(c.relname, ', ') FROM pg_class AS c
           WHERE c.oid = 'crm_deals.deal_name'::regclass
             AND (has_table_privilege('regress_crm_consume', c.oid, 'SELECT')
                  OR has_table_privilege('regress_crm_none', c.oid, 'SELECT'))),
          NULL, 'section 9: the names beside are not for everybody');

-- Row security: bob's deals are hidden from alice.
CREATE ROLE regress_crm_alice; CREATE ROLE regress_crm_bob;
SELECT crm_deals.grant_access('regress_crm_alice', 'admin'),
       crm_deals.grant_access('regress_crm_bob', 'write') \gset none_
SELECT t.organization('shared') AS shared, t.organization('barred', policy => 'reject') AS barred \gset
CREATE POLICY own ON crm_deals.deal USING (owner = current_user);
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SELECT crm_deals.protect_children() \gset none_
CREATE FUNCTION t.write(role text, tag text, name text, pipeline text) RETURNS text LANGUAGE sql AS $$
    SELECT t.try(format('INSERT INTO crm_deals.deal (external_id, name, pipeline_id, owner) VALUES (%L, %L, %s, %L)',
                        tag, name, t.pipeline(pipeline), role),
                 role)
$$;
INSERT INTO crm_deals.deal (external_id, name, pipeline_id, owner)
SELECT 'bob' || n, 'Merger of Hooli and Pied Piper', :shared, 'regress_crm_bob'
FROM generate_series(1, 15) AS n;
SET client_min_messages = notice;
INSERT INTO crm_deals.deal (external_id, name, pipeline_id, owner)
SELECT 'bob' || n, 'Merger of Hooli and Pied Piper', :shared, 'regress_crm_bob'
FROM generate_series(16, 30) AS n;
SELECT is(t.write('regress_crm_alice', 'alice1', 'Merger of Hooli and Pied Pipers', 'Of shared'), 'done',
          'section 9: alice writes a deal like 30 of bob''s, which she cannot see, and is told of no count');
SELECT is(t.write('regress_crm_alice', 'alice2', 'Merger of Hooli and Pied Pipers', 'Of shared'), 'done',
          'section 9: and another');
SET client_min_messages = warning;
SELECT is(t.get('SELECT string_agg(d.external_id || '' '' || o.external_id, '', '') '
                'FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id '
                'JOIN crm_deals.deal AS o ON o.id = f.other_deal_id',
                'regress_crm_alice'),
          'alice2 alice1', 'section 9: the flags she sees are between her own deals');
SELECT is(t.get('SELECT count(*) FROM crm_deals.deal_duplicate', 'regress_crm_alice'), '1', 'section 9: and no others');
SELECT is(
    t.get('SELECT string_agg(external_id || '' '' || open_duplicates, '', '' ORDER BY id) FROM crm_deals.deal_overview',
          'regress_crm_alice'),
    'alice1 1, alice2 1', 'section 9: counted so');
SELECT is((SELECT count(*) > 1 FROM crm_deals.deal_duplicate AS f WHERE deal_id = t.id('alice1')), true,
          'section 9: who sees all deals sees that hers are like bob''s');
SELECT is(t.get('SELECT string_agg(deal_name || '' '' || round(similarity::numeric, 3), '', '') '
                'FROM crm_deals.find_duplicates(''Merger of Hooli and Pied Piper'', 0.5, 2, '
                't.pipeline(''Of shared'')::text)',
                'regress_crm_alice'),
          'Merger of Hooli and Pied Pipers 0.933, Merger of Hooli and Pied Pipers 0.933',
          'section 9: find_duplicates finds her own, though 30 of bob''s are more similar');
SELECT is(t.get('SELECT string_agg(concat_ws('' '', deal_id, other_deal_id, similarity), '', '') '
                'FROM crm_deals.scan_duplicates(0.3)',
                'regress_crm_alice'),
          concat_ws(' ', t.id('alice2'), t.id('alice1'), 1), 'section 9: scan_duplicates sees her own');
SELECT is(t.get('SELECT count(*) FROM crm_deals.scan_duplicates(0.3)', 'regress_crm_bob'), (30 * 29 / 2)::text,
          'section 9: and bob his');
SELECT is(t.get('SELECT string_agg(relname, '', '') FROM pg_class '
                'WHERE relnamespace = ''crm_deals''::regnamespace AND relkind = ''r'' AND relname = ''deal_name'' '
                'AND has_table_privilege(oid, ''SELECT'') AND EXISTS (SELECT FROM crm_deals.deal_name '
                'WHERE name ~ ''Piper$'')',
                'regress_crm_alice') ~ 'deal_name',
          NULL, 'section 9: the names beside show her none of his')
WHERE has_table_privilege('regress_crm_alice', 'crm_deals.deal_name', 'SELECT');
-- Dismissing a hidden pair fails in the same way as dismissing a pair that does not exist.
SELECT is(replace(t.get(format('SELECT t.error(''SELECT crm_deals.dismiss_duplicate(%s, %s)'', '
                               '''message'') || t.error(''SELECT crm_deals.dismiss_duplicate(%1$s, %2$s)'', '
                               '''detail'') || t.error(''SELECT crm_deals.dismiss_duplicate(%1$s, %2$s)'', ''hint'')',
                               t.id(v.one), t.id(v.other)),
                        'regress_crm_alice'),
                  t.id(v.other)::text, 'N'),
          replace(t.get(format('SELECT t.error(''SELECT crm_deals.dismiss_duplicate(%s, 987654)'', '
                               '''message'') || t.error(''SELECT crm_deals.dismiss_duplicate(%1$s, 987654)'', '
                               '''detail'') || t.error(''SELECT crm_deals.dismiss_duplicate(%1$s, 987654)'', ''hint'')',
                               t.id(v.one)),
                        'regress_crm_alice'),
                  '987654', 'N'),
          format('section 9: dismiss_duplicate: %s and %s: the error of a deal that does not exist', v.one, v.other))
FROM (VALUES ('alice1', 'bob1'), ('alice1', 'bob30'), ('bob2', 'bob1')) AS v (one, other);
SELECT is(t.try(format('SELECT crm_deals.dismiss_duplicate(%s, %s)', t.id('alice1'), t.id('bob1')),
                'regress_crm_alice'),
          'P0002', 'section 9: which is P0002');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate WHERE resolution = 'dismissed'), 0::bigint,
          'section 9: nothing of his is dismissed');
SELECT is(t.try(format('SELECT crm_deals.dismiss_duplicate(%s, %s)', t.id('alice1'), t.id('alice2')),
                'regress_crm_alice'),
          'done', 'section 9: hers are');
-- A hidden deal also makes a write fail, but the error does not name it.
SELECT t.write('regress_crm_bob', 'bob41', 'Secret takeover of Initech', 'Of barred'),
       t.write('regress_crm_bob', 'bob42', 'Another plan of his', 'Of barred'),
       t.write('regress_crm_alice', 'alice41', 'Plan of her own', 'Of barred') \gset none_
SELECT is(t.write('regress_crm_alice', 'alice42', 'secret TAKEOVER of Initech', 'Of barred'),
          '23505 deal.name deal_duplicate', 'section 9: a deal like one of bob''s is refused');
CREATE FUNCTION t.refusal(name text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get(format('SELECT concat_ws('' | '', t.error(%1$L, ''message''), t.error(%1$L, ''detail''), '
                        't.error(%1$L, ''hint''))',
                        format('INSERT INTO crm_deals.deal (name, pipeline_id, owner) '
                               'VALUES (%L, %s, ''regress_crm_alice'')',
                               name, t.pipeline('Of barred'))),
                 'regress_crm_alice')
$$;
SELECT is(replace(t.refusal('SECRET takeover of Initech'), 'SECRET takeover of Initech', 'NAME'),
          replace(t.refusal('ANOTHER plan of his'), 'ANOTHER plan of his', 'NAME'),
          'section 9: in the same words whichever of his it is like');
SELECT is(t.refusal('secret takeover OF INITECH') ~ format('Secret takeover of Initech|\m%s\M', t.id('bob41')), false,
          'section 9: which name neither the deal nor its id');
SELECT matches(t.refusal('plan of her OWN'), format('\m%s\M', t.id('alice41')), 'section 9: one like her own says so');
SELECT t.write('regress_crm_bob', 'bob43', 'Moonshot of the lake', 'Of shared') AS none \gset
UPDATE crm_deals.deal SET pipeline_id = :barred WHERE external_id = 'bob43';
INSERT INTO crm_deals.deal (external_id, name, pipeline_id, owner)
VALUES ('x', 'to be hers', :barred, 'regress_crm_alice');
SET session_replication_role = replica;
UPDATE crm_deals.deal SET name = 'Moonshot of the lakes' WHERE external_id = 'x';
RESET session_replication_role;
SELECT crm_deals.rebuild_duplicates() \gset none_
SELECT is(t.refusal('Moonshot of the LAKE') ~ format('Moonshot of the lake"|\m%s\M', t.id('bob43')), false,
          'section 9: one like hers and like his does not name his');
SELECT is(t.get(format('SELECT t.error(''UPDATE crm_deals.deal SET name = ''''secret takeover of INITECH'''' '
                       'WHERE id = %s'', ''detail'')',
                       t.id('alice41')),
                'regress_crm_alice') ~ format('Secret takeover of Initech|\m%s\M', t.id('bob41')),
          false, 'section 9: nor does the refusal of a rename');
-- import_deals
CREATE TABLE t.source (external_id text, name text, pipeline text, owner text);
INSERT INTO t.source
VALUES ('im1', 'Merger of Hooli and Pied Piper', 'Of shared', 'regress_crm_alice'),
       ('im2', 'Merger of Hooli and Pied Pipers', 'Of shared', 'regress_crm_alice'),
       ('im3', 'secret takeover of initech', 'Of barred', 'regress_crm_alice');
GRANT ALL ON t.source TO public;
SET crm_deals.organization = 'shared';
UPDATE t.source SET pipeline = 'Of shared';
SELECT is(t.get('SELECT string_agg(concat_ws('' '', external_id, outcome, detail), E''\n'' ORDER BY row_number) '
                'FROM crm_deals.import_deals(''t.source'') WHERE outcome <> ''unchanged''',
                'regress_crm_alice') ~ 'Piper"|bob|Secret',
          false, 'section 9: import_deals names none of his deals');
SELECT is((SELECT string_agg(external_id, ' ' ORDER BY external_id) FROM crm_deals.deal WHERE external_id ~ '^im'),
          'im1 im2 im3', 'section 8: and writes hers');
RESET crm_deals.organization;
-- Every answer that she can get is the same with bob's deals and without them.
CREATE TABLE t.question AS
    SELECT q
    FROM unnest(ARRAY['deal_duplicate', 'deal_overview', 'scan_duplicates(0.2)', 'scan_duplicates()',
                      'find_duplicates(''Merger of Hooli'', 0.1, 100, t.pipeline(''Of shared'')::text)',
                      'find_duplicates(''Plan of hers'', 0.1, 100, t.pipeline(''Of barred'')::text)']) AS q;
CREATE FUNCTION t.answer(q text) RETURNS text LANGUAGE sql AS $$
    SELECT t.get(format('SELECT coalesce(string_agg(a, E''\n'' ORDER BY a), ''(none)'') '
                        'FROM (SELECT to_jsonb(x)::text AS a FROM crm_deals.%s AS x) AS y',
                        q),
                 'regress_crm_alice')
$$;
CREATE TABLE t.with_bob AS SELECT q, t.answer(q) AS answer FROM t.question;
SELECT is((SELECT count(*) FROM t.with_bob WHERE answer <> '(none)'), 6::bigint, 'section 9: alice is told something');
DELETE FROM crm_deals.deal WHERE owner = 'regress_crm_bob';
SELECT is(t.answer(q.q), w.answer, 'section 9: the same without bob''s deals: ' || q.q) FROM t.question AS q
JOIN t.with_bob AS w USING (q) ORDER BY q.q;

DROP POLICY own ON crm_deals.deal;
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT t.drop_roles('regress_crm_alice', 'regress_crm_bob', 'regress_crm_read', 'regress_crm_write',
                    'regress_crm_manager', 'regress_crm_admin', 'regress_crm_consume', 'regress_crm_none') AS none \gset
SELECT * FROM finish();
