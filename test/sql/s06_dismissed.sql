\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 6: a dismissed pair is one whichever of the two was the later written, then and now: it is not flagged again,
-- refuses nothing, and takes nobody's place among the most similar deals.
SET client_min_messages = error;    -- how many were cut is not the matter
-- a and b are dismissed; c is a little less like both; f1 to f20 are like nothing.
CREATE FUNCTION t.prepare(stored text, policy text, threshold real) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.organization('o', threshold);
    PERFORM t.add('a', 'Aqueduct of Segovia', 'Of o'), t.add('b', 'Aqueduct of Segovia', 'Of o');
    IF stored = 'a > b' THEN
        UPDATE crm_deals.deal SET name = 'Something else' WHERE external_id = 'a';
        UPDATE crm_deals.deal SET name = 'Aqueduct of Segovia' WHERE external_id = 'a';
    ELSIF stored = 'unflagged' THEN
        DELETE FROM crm_deals.deal_duplicate;
    END IF;
    PERFORM crm_deals.dismiss_duplicate(t.id('a'), t.id('b'));
    IF policy = 'flag' THEN
        PERFORM t.add('c', 'Aqueducts of Segovia', 'Of o');
        DELETE FROM crm_deals.deal_duplicate WHERE resolution = 'open';
    END IF;
    PERFORM t.add('f' || n, md5(n::text), 'Of o') FROM generate_series(1, 20) AS n;
    UPDATE crm_deals.pipeline SET duplicate_policy = policy WHERE name = 'Of o';
    -- what import_deals() takes: a, b or both under another spelling, and, for many, the others under other names
    CREATE TEMPORARY TABLE source AS
        SELECT d.external_id, CASE WHEN d.external_id ~ '^[ab]' THEN upper(d.name) ELSE md5(d.name) END AS name,
               d.pipeline_id
        FROM crm_deals.deal AS d WHERE d.external_id <> 'c' AND d.organization = 'o';
END
$$;
CREATE FUNCTION t.renaming(tags text, how text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE how
        WHEN 'update' THEN format('UPDATE crm_deals.deal AS d SET name = s.name FROM source AS s
                                   WHERE s.external_id = d.external_id AND s.external_id ~ %L', tags)
        WHEN 'upsert' THEN format('INSERT INTO crm_deals.deal (external_id, name, pipeline_id)
                                   SELECT external_id, name, pipeline_id FROM source WHERE external_id ~ %L
                                   ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL
                                   DO UPDATE SET name = excluded.name', tags)
        WHEN 'import' THEN format('DELETE FROM source WHERE external_id !~ %L;
                                   SELECT * FROM crm_deals.import_deals(''source'', columns => ''{"pipeline_id": "pipeline_id"}'')', tags)
        WHEN 'flag_duplicates' THEN 'SELECT crm_deals.flag_duplicates()' END
$$;
CREATE FUNCTION t.outcome(stored text, policy text, tags text, how text, threshold real) RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('SELECT t.prepare(%L, %L, %L); SET LOCAL crm_deals.duplicate_limit = %s; %s',
                          stored, policy, threshold,
                          CASE policy WHEN 'flag' THEN 1 ELSE 20 END, t.renaming(tags, how)),
                   'SELECT t.flags(''^[abc]$'') || CASE WHEN count(*) > 0 THEN '', renamed'' ELSE '''' END
                    FROM crm_deals.deal WHERE name = ''AQUEDUCT OF SEGOVIA''')
$$;
-- By the index of names; a threshold that it was not made for compares in memory.
CREATE TABLE t.threshold AS SELECT * FROM (VALUES (0.85::real), (0.8)) AS v (threshold);
SELECT is(t.outcome(s.stored, 'reject', v.tags, h.how, t.threshold),
          CASE s.stored WHEN 'a > b' THEN 'a > b' ELSE 'b > a' END || ' 1.000 dismissed, renamed',
          format('section 6: dismissed, %s, reject from %s on: %s of %s', s.stored, t.threshold, h.how, v.tags))
FROM t.threshold AS t, (VALUES ('b > a'), ('a > b')) AS s (stored),
     (VALUES ('update'), ('upsert'), ('import')) AS h (how),
     (VALUES ('^a$'), ('^b$'), ('^[ab]$'), ('.')) AS v (tags);
-- The limit is 1: the place goes to c, or, of b and c, to the only one that is left.
SELECT is(t.outcome(s.stored, 'flag', v.tags, h.how, t.threshold),
          (SELECT string_agg(f.flag, ', ' ORDER BY f.flag)
           FROM (SELECT CASE s.stored WHEN 'a > b' THEN 'a > b' ELSE 'b > a' END || ' 1.000 dismissed' AS flag
                 UNION ALL
                 SELECT d || ' > c 0.864' FROM unnest(string_to_array(v.flagged, ' ')) AS d) AS f) || ', renamed',
          format('section 6: dismissed, %s, limit 1, from %s on: %s of %s', s.stored, t.threshold, h.how, v.tags))
FROM t.threshold AS t, (VALUES ('b > a'), ('a > b')) AS s (stored),
     (VALUES ('update'), ('upsert'), ('import')) AS h (how),
     (VALUES ('^a$', 'a'), ('^b$', 'b'), ('^[ab]$', 'a b'), ('.', 'a b')) AS v (tags, flagged);
-- flag_duplicates() looks at all: c is the later of its pairs, and has one place.
SELECT is(t.outcome(s.stored, 'flag', '.', 'flag_duplicates', t.threshold),
          CASE s.stored WHEN 'a > b' THEN 'a > b' ELSE 'b > a' END || ' 1.000 dismissed, c > a 0.864',
          format('section 6: dismissed, %s, limit 1, from %s on: flag_duplicates()', s.stored, t.threshold))
FROM t.threshold AS t, (VALUES ('b > a'), ('a > b'), ('unflagged')) AS s (stored);
-- An import that has to find out which of its rows are refused: g2 is, a and b are not.
SELECT is(t.after(format('SELECT t.prepare(%L, ''reject'', %L); DELETE FROM source WHERE external_id ~ %L;
                          INSERT INTO source SELECT v.tag, v.name, t.pipeline(''Of o'')
                          FROM (VALUES (''g1'', ''Gate of Ishtar''), (''g2'', ''GATE of Ishtar'')) AS v (tag, name)',
                         s.stored, t.threshold, v.without),
                  'SELECT string_agg(i.external_id || '' '' || i.outcome, '', '' ORDER BY i.external_id)
                              FILTER (WHERE i.external_id ~ ''^[abg]'')
                   FROM crm_deals.import_deals(''source'', columns => ''{"pipeline_id": "pipeline_id"}'') AS i'),
          v.wanted, format('section 6: dismissed, %s, reject from %s on: an import without %s that refuses others',
                           s.stored, t.threshold, v.without))
FROM t.threshold AS t, (VALUES ('b > a'), ('a > b'), ('unflagged')) AS s (stored),
     (VALUES ('^$', 'a updated, b updated, g1 created, g2 rejected'), ('^a$', 'b updated, g1 created, g2 rejected'),
             ('^b$', 'a updated, g1 created, g2 rejected')) AS v (without, wanted);
-- A third deal like both is no dismissed one.
SELECT is(t.after(format('SELECT t.prepare(%L, ''reject'', 0.85)', s.stored),
                  'SELECT t.dry(''SELECT t.add(''''d'''', ''''Aqueduct of segovia'''', ''''Of o'''')'')'),
          '23505 deal.name deal_duplicate', format('section 6: dismissed, %s: a third deal is refused', s.stored))
FROM (VALUES ('b > a'), ('a > b'), ('unflagged')) AS s (stored);

SELECT * FROM finish();
