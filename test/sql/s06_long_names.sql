\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 6: names of any length are compared exactly as pg_trgm does, and a cancelled query stops.
-- Long names of every kind of letter: with and without those whose lower case depends on others, in words and in one.
CREATE TABLE t.long (what text, name text);
INSERT INTO t.long
SELECT w.what, string_agg(w.letters || CASE WHEN i % 3 = 0 THEN w.between ELSE '' END
                          || (i % 977)::text, w.between ORDER BY i)
FROM generate_series(1, 13000) AS i,
     (VALUES ('plain', 'Abc', ' '), ('one word', 'Abc', ''), ('umlauts', 'Größe', ', '), ('sigma', 'ΟΔΟΣ', ' '),
             ('sigma in one word', 'ΟΔΟΣ', ''), ('marks', E'I\u0307e\u0301', '-'), ('capital dotted i', 'İzmir', ' '),
             ('beyond', E'a\U0001F600b\U00010400', ' '), ('Chinese', '中文公司', '。'),
             ('ends', 'Σ', '''')) AS w (what, letters, between)
GROUP BY w.what;
INSERT INTO t.long VALUES ('blanks', repeat(' ', 100000)), ('one letter', repeat('a', 200000)),
    ('letter and blank', repeat('a ', 100000));
SELECT is((SELECT min(octet_length(name)) > 65536 FROM t.long), true, 'section 6: the names are long');
SELECT is(string_agg(a.what || '/' || b.what, ', '), NULL, 'section 6: similarity is that of pg_trgm')
FROM t.long AS a, t.long AS b
WHERE b.what IN (a.what, 'plain', 'sigma')
  AND crm_deals_internal.similarity(a.name, b.name) IS DISTINCT FROM similarity(a.name, b.name);
SELECT is(string_agg(a.what, ', '), NULL, 'section 6: also with a short one')
FROM t.long AS a
WHERE crm_deals_internal.similarity(a.name, left(a.name, 300)) IS DISTINCT FROM similarity(a.name, left(a.name, 300));
-- Found among deals
SELECT repeat('Long name of ', 10000) AS long \gset
INSERT INTO crm_deals.deal (name) VALUES (:'long');
SELECT is((SELECT count(*) FROM crm_deals.find_duplicates(:'long' || 'x')), 1::bigint,
          'section 6: a long name is found');
SELECT is((SELECT count(*) FROM crm_deals.find_duplicates('Long name of')), 1::bigint,
          'section 6: also by a short one of the same trigrams');

-- To be cancelled at once takes a small part of the time of the whole.
CREATE FUNCTION t.seconds(statement text, timeout text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    since timestamptz := clock_timestamp();
BEGIN
    BEGIN
        EXECUTE statement;
        IF timeout <> '0' THEN
            RETURN 'Infinity';
        END IF;
    EXCEPTION WHEN query_canceled THEN
        NULL;
    END;
    RETURN extract(epoch FROM clock_timestamp() - since);
END
$$;
CREATE TABLE t.statement (place serial, call text);
INSERT INTO t.statement (call) VALUES
    ('SELECT * FROM crm_deals.find_duplicates((SELECT name FROM t.huge))'),
    ('INSERT INTO crm_deals.deal (name) SELECT name FROM t.huge');
CREATE TABLE t.huge (name text);
INSERT INTO t.huge SELECT repeat('abcdefghi j', 1000000);
CREATE TABLE t.took (place integer, cancelled double precision, whole double precision);
SELECT format('SET statement_timeout = ''50ms''; INSERT INTO t.took SELECT %s, t.seconds(%L, ''50ms''); '
              'RESET statement_timeout', s.place, s.call) FROM t.statement AS s \gexec
UPDATE t.took AS k SET whole = t.seconds(s.call, '0') FROM t.statement AS s WHERE s.place = k.place;
SELECT is(k.cancelled < k.whole / 2, true, 'section 11: it stops when it is cancelled: ' || left(s.call, 40))
FROM t.took AS k JOIN t.statement AS s ON s.place = k.place ORDER BY s.place;
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
