\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 6: thresholds are met by what equals them, limits are met exactly.
SELECT t.organization('o') AS o \gset
SET crm_deals.organization = 'o';
INSERT INTO crm_deals.deal (external_id, name, pipeline_id)
VALUES ('a', 'Lighthouse of Alexandria', :o), ('b', 'Lighthouse of Alexandria east', :o),
       ('c', 'Lighthouse of Alexandria.', :o), ('d', 'Lighthouse', :o), ('e', 'Something else', :o);
-- The similarity of one name to each, and the next smaller and larger number
CREATE TABLE t.score AS
    SELECT d.external_id AS tag, similarity(d.name, 'Lighthouse of Alexandria') AS s FROM crm_deals.deal AS d;
CREATE FUNCTION t.next(s real, up boolean) RETURNS real LANGUAGE plpgsql AS $$
DECLARE
    step double precision := 2.0 ^ -30;
BEGIN
    WHILE (s::double precision + CASE WHEN up THEN step ELSE -step END)::real = s LOOP
        step := step * 2;
    END LOOP;
    RETURN (s::double precision + CASE WHEN up THEN step ELSE -step END)::real;
END
$$;
SELECT is((SELECT string_agg(tag || ' ' || round(s::numeric, 3), ', ' ORDER BY tag) FROM t.score),
          'a 1.000, b 0.833, c 1.000, d 0.440, e 0.026', '(the similarities)');
CREATE FUNCTION t.found(threshold real, most integer DEFAULT 10) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(d.external_id, ' ' ORDER BY f.number), 'none')
    FROM crm_deals.find_duplicates('Lighthouse of Alexandria', threshold, most, 'Of o')
         WITH ORDINALITY AS f (deal_id, deal_name, similarity, number)
    JOIN crm_deals.deal AS d ON d.id = f.deal_id
$$;
SELECT is(t.found(t.next(s, false)) || ', ' || t.found(s) || ', ' || t.found(t.next(s, true)), v.wanted,
          'section 6: find_duplicates: a threshold just below the similarity of ' || v.tag || ', equal, just above')
FROM t.score JOIN (VALUES ('b', 'a c b, a c b, a c'), ('d', 'a c b d, a c b d, a c b')) AS v (tag, wanted) USING (tag);
SELECT is(t.found(1), 'a c', 'section 6: find_duplicates: a threshold of 1');
SELECT is(t.found(0.3, v.most), v.wanted, 'section 6: find_duplicates: at most ' || v.most)
FROM (VALUES (1, 'a'), (2, 'a c'), (3, 'a c b'), (4, 'a c b d'), (5, 'a c b d'), (0, 'none')) AS v (most, wanted);
-- The same for pairs: the later with the earlier
CREATE FUNCTION t.scanned(threshold real) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(d.external_id || o.external_id, ' ' ORDER BY d.external_id, o.external_id)
    FROM crm_deals.scan_duplicates(threshold) AS f
    JOIN crm_deals.deal AS d ON d.id = f.deal_id JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
$$;
SELECT is(t.scanned(t.next(s, false)) || ', ' || t.scanned(s) || ', ' || t.scanned(t.next(s, true)), v.wanted,
          'section 6: scan_duplicates: a threshold just below that of ' || v.tag || ', equal, just above')
FROM t.score
JOIN (VALUES ('b', 'ba ca cb, ba ca cb, ca'), ('d', 'ba ca cb da dc, ba ca cb da dc, ba ca cb')) AS v (tag, wanted)
     USING (tag);
-- The pipeline's threshold, by a refusal
SELECT is(t.after(format('UPDATE crm_deals.pipeline SET duplicate_policy = ''reject'', duplicate_threshold = %L
                          WHERE name = ''Of o'';
                          DELETE FROM crm_deals.deal WHERE external_id <> %L', v.threshold, v.tag),
                  'SELECT t.try(''SELECT t.add(''''n'''', ''''Lighthouse of Alexandria'''', ''''Of o'''')'')'),
          v.wanted, format('section 6: reject: as similar as %s, the threshold is %s', v.tag, v.what))
FROM (SELECT s.tag, w.* FROM t.score AS s,
             LATERAL (VALUES (1, t.next(s.s, false), '23505 deal.name deal_duplicate', 'just below'),
                             (2, s.s, '23505 deal.name deal_duplicate', 'equal'),
                             (3, t.next(s.s, true), 'done', 'just above')) AS w (place, threshold, wanted, what)
      WHERE s.tag IN ('b', 'd')) AS v
ORDER BY v.tag, v.place;

-- duplicate_limit: three deals are like the new one. A NOTICE says what is cut, and there is none at the limit.
DELETE FROM crm_deals.deal;
INSERT INTO crm_deals.deal (external_id, name, pipeline_id)
VALUES ('p', 'Colossus of Rhodes', :o), ('q', 'Colossus of Rhodes', :o), ('r', 'Colossus of Rhodes', :o);
SET client_min_messages = notice;
CREATE FUNCTION t.limited(most integer, statement text) RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('SET LOCAL crm_deals.duplicate_limit = %s; DELETE FROM crm_deals.deal_duplicate; %s',
                          most, statement),
                   'SELECT t.flags(''^[npqr]$'')')
$$;
SELECT is(t.limited(v.most, $$SELECT t.add('n', 'Colossus of Rhodes', 'Of o')$$), v.wanted,
          'section 6: duplicate_limit: a new deal, limit ' || v.most)
FROM (VALUES (4, 'n > p 1.000, n > q 1.000, n > r 1.000'), (3, 'n > p 1.000, n > q 1.000, n > r 1.000'),
             (2, 'n > p 1.000, n > q 1.000'), (1, 'n > p 1.000'), (0, 'none')) AS v (most, wanted);
SELECT is(t.limited(v.most, $$SELECT crm_deals.flag_duplicates('Of o')$$), v.wanted,
          'section 6: duplicate_limit: flag_duplicates(), limit ' || v.most)
FROM (VALUES (3, 'q > p 1.000, r > p 1.000, r > q 1.000'), (2, 'q > p 1.000, r > p 1.000, r > q 1.000'),
             (1, 'q > p 1.000, r > p 1.000'), (0, 'none')) AS v (most, wanted);
SET client_min_messages = warning;

SELECT * FROM finish();
