\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/duplicates.sql
-- Section 6: the name of a new or renamed deal is checked. The pipeline of the deal decides whether it is flagged,
-- refused or accepted.
SELECT crm_deals.create_pipeline('Loose') AS loose, crm_deals.create_pipeline('Off') AS off_,
       crm_deals.create_pipeline('Strict') AS strict,
       crm_deals.create_pipeline('Theirs', organization => 'theirs') AS theirs,
       crm_deals.create_pipeline('Theirs too', organization => 'theirs') AS theirs_too \gset
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.5 WHERE id = :loose;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off' WHERE id = :off_;
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :strict;
SELECT is((SELECT string_agg(format('%s %s %s', duplicate_policy, duplicate_threshold, duplicate_scope), ', ')
           FROM crm_deals.pipeline WHERE id = :sales),
          'flag 0.85 all', 'section 6: what a pipeline asks for where nothing is said');

-- Creation
SELECT t.add('a1', 'Acme Corporation renewal 2026') AS a1, t.add('a2', 'Acme Corporation renewal 2027') AS a2,
       t.add('a3', 'Acme Corporation'), t.add('a4', 'ACME corporation -- renewal: 2026') AS a4 \gset
SELECT is(t.flags('^a'), 'a2 > a1 0.875, a4 > a1 1.000, a4 > a2 0.875',
          'section 6: a new deal is flagged against those before it, and others are not');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           JOIN crm_deals.deal AS o ON o.id = f.other_deal_id WHERE f.similarity = similarity(d.name, o.name)),
          3::bigint, 'section 6: by pg_trgm''s similarity, to the bit');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', resolution, resolved_by, resolved_at,
                                                found_at BETWEEN now() - interval '1 hour' AND now()),
                             ', ')
           FROM crm_deals.deal_duplicate),
          'open t', 'section 6: the flags are open, and say since when');
SELECT is((SELECT string_agg(external_id || ' ' || open_duplicates, ', ' ORDER BY id) FROM crm_deals.deal_overview),
          'a1 2, a2 2, a3 0, a4 2', 'section 3: deal_overview counts them');
SELECT is(t.kinds(:a2), 'created', 'section 6: a flag is no event of its own');
SELECT is((SELECT version FROM crm_deals.deal WHERE id = :a2), 1, 'section 6: and no change of the deal');

-- Names without a word character have no trigrams. They are like no name, not even an equal one.
SELECT t.add('n1', '!!!'), t.add('n2', '!!!'), t.add('n3', '- . -'), t.add('n4', 'x'), t.add('n5', 'X'),
       t.add('n6', 'x x x') \gset none_
SELECT is(t.flags('^n'), 'n5 > n4 1.000, n6 > n4 1.000, n6 > n5 1.000',
          'section 6: names without a word character are like nothing, names of one letter like themselves');

-- The threshold is compared at float4, whatever it is.
CREATE FUNCTION t.at_threshold(one text, other text, above boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s real := similarity(one, other);
BEGIN
    -- the next larger real; of 0.5 to 1 they are 2^-24 apart, of 0.25 to 0.5 half of that
    UPDATE crm_deals.pipeline
    SET duplicate_threshold
            = CASE WHEN above THEN s::double precision + CASE WHEN s >= 0.5 THEN 2 ELSE 1 END * 2.0 ^ -25 ELSE s END
    WHERE name = 'Theirs';
    IF above AND (SELECT duplicate_threshold FROM crm_deals.pipeline WHERE name = 'Theirs') <= s THEN
        RETURN 'no larger one';
    END IF;
    RETURN t.after(format('SELECT t.add(''f1'', %L, ''Theirs''), t.add(''f2'', %L, ''Theirs'')', one, other),
                   'SELECT t.flags(''^f'')');
END
$$;
CREATE TABLE t.two AS
    SELECT *
    FROM (VALUES (1, 'Acme renewal 2026', 'Acme renewal 2027'),
                 (2, 'Acme Corporation renewal 2026', 'Acme Corporation renewal 2027'),
                 (3, 'abcdefghijklmnopq', 'abcdefghijklmnopqrst'),
        (4, 'one two three', 'one two four'), (5, 'one two three four five', 'one two'),
        (6, 'one two three four five six', 'one'),
        (7, 'Umbrella Corporation maintenance contract',
         'Umbrella Corporation maintenance contracts')) AS v (n, one, other);
SELECT is(t.at_threshold(one, other, false), format('f2 > f1 %s', round(similarity(one, other)::numeric, 3)),
          format('section 6: as similar as the threshold: flagged: %s and %s', one, other))
FROM t.two ORDER BY n;
SELECT is(t.at_threshold(one, other, true), 'none',
          format('section 6: the next larger number as the threshold: not: %s and %s', one, other))
FROM t.two ORDER BY n;
SELECT is((SELECT string_agg(round(similarity(one, other)::numeric, 3)::text, ' ' ORDER BY n) FROM t.two),
          '0.800 0.875 0.773 0.444 0.364 0.154 0.929', 'section 6: these were pairs of every kind');
UPDATE crm_deals.pipeline SET duplicate_threshold = 1 WHERE id = :theirs;
SELECT is(t.after($$SELECT t.add('f1', 'Acme renewal', 'Theirs'), t.add('f2', 'Acme renewals', 'Theirs'),
                           t.add('f3', 'RENEWAL Acme', 'Theirs')$$,
                  $$SELECT t.flags('^f')$$),
          'f3 > f1 1.000', 'section 6: a threshold of 1: the same trigrams');
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.85 WHERE id = :theirs;

-- The writer's pipeline decides.
SELECT t.add('w1', 'Windmills of the north'), t.add('w2', 'Windmills of the south', 'Loose'),
       t.add('w3', 'Windmills of the northern', 'Sales'), t.add('w4', 'Windmills of the north', 'Off'),
       t.add('w5', 'Windmills of the north!', 'Sales') \gset none_
SELECT is(t.flags('^w'), 'w2 > w1 0.643, w5 > w1 1.000, w5 > w4 1.000',
          'section 6: the threshold is that of the writer''s pipeline, in every pipeline of the organization; '
          'of a pipeline that is off nothing is looked at, and others see its deals');
SELECT is(t.try($$SELECT t.add('w6', 'WINDMILLS of the north', 'Strict')$$), '23505 deal.name deal_duplicate',
          'section 6: of one that rejects the write is refused, by deals of every pipeline');

-- Organizations
SELECT t.add('o1', 'Orchard of Hooli 2026'), t.add('o2', 'Orchard of Hooli 2026', 'Theirs'),
       t.add('o3', 'Orchard of Hooli 2026', 'Theirs too'), t.add('o4', 'Orchard of Hooli 2026', 'Loose') \gset none_
SELECT is(t.flags('^o'), 'o3 > o2 1.000, o4 > o1 1.000',
          'section 6: deals of one organization only; of none is one, too');

-- A change of the name
SELECT t.add('r1', 'Reservoir of Vienna east'), t.add('r2', 'Something else entirely'),
       t.add('r3', 'Reservoir of Vienna west'), t.add('r4', 'Reservoir of Vienna eastern') \gset none_
SELECT is(t.flags('^r'), 'none', 'section 6: to begin with');
UPDATE crm_deals.deal SET name = 'Reservoir of Vienna East' WHERE external_id = 'r2';
SELECT is(t.flags('^r'), 'r2 > r1 1.000', 'section 6: a rename is looked at');
UPDATE crm_deals.deal SET name = 'Reservoir of vienna EAST' WHERE external_id = 'r1';
SELECT is(t.flags('^r'), 'r2 > r1 1.000', 'section 6: of a pair that is flagged no second flag is made');
UPDATE crm_deals.deal SET name = 'Reservoir of Vienna easter' WHERE external_id = 'r2';
SELECT is(t.flags('^r'), 'r2 > r1 0.857, r2 > r4 0.897',
          'section 6: a rename re-scores what is flagged, and flags what is not; '
          'the deal that was renamed is the later written, whatever its id');
UPDATE crm_deals.deal SET name = 'Reservoir of Vienna eastern' WHERE external_id = 'r1';
SELECT is((SELECT string_agg(concat_ws(' ', d.external_id, o.external_id, round(f.similarity::numeric, 3)),
                             ', ' ORDER BY d.external_id, o.external_id)
           FROM crm_deals.deal AS d JOIN crm_deals.deal AS o ON d.external_id < o.external_id
           JOIN crm_deals.deal_duplicate AS f ON (f.deal_id, f.other_deal_id) IN ((d.id, o.id), (o.id, d.id))
           WHERE d.external_id ~ '^r'),
          'r1 r2 0.897, r1 r4 1.000, r2 r4 0.897', 'section 6: a rename of the other deal re-scores, too');
UPDATE crm_deals.deal SET name = 'Nothing of the kind' WHERE external_id = 'r2';
SELECT is(t.flags('^r'), 'r1 > r4 1.000', 'section 6: a rename removes the flags that are none any more');
UPDATE crm_deals.deal SET name = 'Neither is this one' WHERE external_id = 'r4';
SELECT is(t.flags('^r'), 'none', 'section 6: also where the other deal is renamed');
-- What is not looked at
SELECT t.add('u1', 'Unchanging name of a deal'), t.add('u2', 'Unchanging name of a deal') AS u2 \gset
DELETE FROM crm_deals.deal_duplicate WHERE deal_id = :u2;
UPDATE crm_deals.deal SET amount = 1 WHERE id = :u2;
UPDATE crm_deals.deal SET name = name WHERE id = :u2;
UPDATE crm_deals.deal SET name = name, amount = 2, notes = 'x' WHERE id = :u2;
SELECT crm_deals.move_deal(:u2, 'proposal') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE id = :u2;
UPDATE crm_deals.deal SET pipeline_id = :loose WHERE id = :u2;
INSERT INTO crm_deals.deal (external_id, name) VALUES ('u2', 'Unchanging name of a deal')
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO NOTHING;
INSERT INTO crm_deals.deal (external_id, name, amount) VALUES ('u2', 'Unchanging name of a deal', 3)
ON CONFLICT (organization, external_id)
WHERE external_id IS NOT NULL DO UPDATE SET amount = excluded.amount, name = excluded.name;
SELECT is(t.flags('^u'), 'none',
          'section 6: other changes, moves, and whole rows with the same name are not looked at');
SELECT is((SELECT version FROM crm_deals.deal WHERE id = :u2), 7, 'section 6: (they were changes)');

-- Every way to write
SELECT t.add('s1', 'Seven bridges of Koenigsberg') \gset none_
INSERT INTO crm_deals.deal (external_id, name) VALUES ('s2', 'Seven bridges of Koenigsberg'), ('s3', 'Another thing');
INSERT INTO crm_deals.deal (external_id, name)
VALUES ('s3', 'Seven bridges of Königsberg'), ('s4', 'Seven bridges of Koenigsberg.')
ON CONFLICT (organization, external_id)
WHERE external_id IS NOT NULL DO UPDATE SET name = 'Seven Bridges of Koenigsberg';
MERGE INTO crm_deals.deal AS d
USING (VALUES ('s1', 'x'), ('s5', 'SEVEN bridges of Koenigsberg')) AS v (tag, name) ON d.external_id = v.tag
WHEN MATCHED THEN UPDATE SET notes = 'x' WHEN NOT MATCHED THEN INSERT (external_id, name) VALUES (v.tag, v.name);
COPY crm_deals.deal (external_id, name) FROM stdin;
s6	Seven bridges - of Koenigsberg
s7	Seven hills of Rome
\.
WITH added AS (INSERT INTO crm_deals.deal (external_id, name) VALUES ('s8', 'Seven bridges of Koenigsberg')
               RETURNING id)
SELECT count(*) AS none FROM added \gset
SELECT is((SELECT string_agg(format('%s %s', d.external_id, n), ', ' ORDER BY d.external_id)
           FROM (SELECT deal_id, count(*) AS n FROM crm_deals.deal_duplicate GROUP BY deal_id) AS f
           JOIN crm_deals.deal AS d ON d.id = f.deal_id WHERE d.external_id ~ '^s'),
          's2 1, s3 2, s4 3, s5 4, s6 5, s8 6',
          'section 6: INSERT, ON CONFLICT, MERGE, COPY and WITH are looked at alike');
-- In one statement the deal with the higher id is the later; else the deal that was written later is, whatever its id.
INSERT INTO crm_deals.deal (id, external_id, name)
VALUES (100002, 'i2', 'Ivory tower of Babel'), (100001, 'i1', 'Ivory tower of Babel');
SELECT is(t.flags('^i'), 'i2 > i1 1.000', 'section 6: of a pair in one statement the higher id counts as the later');
INSERT INTO crm_deals.deal (id, external_id, name) VALUES (99999, 'i0', 'Ivory tower of Babel');
SELECT is(t.flags('^i'), 'i0 > i1 1.000, i0 > i2 1.000, i2 > i1 1.000', 'section 6: of two statements the second');
UPDATE crm_deals.deal SET name = 'Iron tower of the Champ de Mars ' || right(external_id, 1) WHERE external_id ~ '^i';
SELECT is(t.flags('^i'), 'i0 > i1 0.886, i0 > i2 0.886, i2 > i1 0.886',
          'section 6: renamed in one statement: re-scored, the others are the later as they were');
DELETE FROM crm_deals.deal_duplicate WHERE deal_id IN (99999, 100002);
UPDATE crm_deals.deal SET name = 'Ivory tower of Babel' WHERE external_id ~ '^i';
SELECT is(t.flags('^i'), 'i1 > i0 1.000, i2 > i0 1.000, i2 > i1 1.000',
          'section 6: new flags of renames in one statement: the higher id is the later');

-- With a user's own triggers the final row counts.
CREATE FUNCTION t.own() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF new.name ~ '^raw ' THEN
        new.name := substr(new.name, 5);
    END IF;
    RETURN new;
END$$;
CREATE TRIGGER zz_own BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.own();
SELECT t.add('t1', 'Tunnel under the Channel'), t.add('t2', 'raw Tunnel under the Channel') \gset none_
SELECT is(t.flags('^t'), 't2 > t1 1.000', 'section 6: a name that a user''s trigger makes');
CREATE FUNCTION t.rename() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF new.name ~ '^late ' THEN
        UPDATE crm_deals.deal
        SET name = CASE WHEN new.name ~ 'away' THEN 'Gone away ' || md5(new.name) ELSE 'Tunnel under the Channel' END
        WHERE id = new.id;
    END IF;
    RETURN NULL;
END$$;
CREATE TRIGGER late AFTER INSERT ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.rename();
SELECT t.add('t4', 'late Tunnel'), t.add('t5', 'late away'), t.add('t6', 'late away') \gset none_
SELECT is(t.flags('^t'), 't2 > t1 1.000, t4 > t1 1.000, t4 > t2 1.000, t6 > t5 1.000',
          'section 6: a deal that is renamed while it is created is looked at under the name it has then');
DROP TRIGGER zz_own ON crm_deals.deal;
DROP TRIGGER late ON crm_deals.deal;

-- Scope: open
SELECT crm_deals.create_pipeline('Scoped', organization => 'scoped') AS scoped \gset
UPDATE crm_deals.pipeline SET duplicate_scope = 'open' WHERE id = :scoped;
SELECT t.add('c1', 'Cathedral of Cologne', 'Scoped'), t.add('c2', 'Cathedral of Cologne', 'Scoped') AS c2 \gset none_
SELECT crm_deals.move_deal(t.id('c1'), 'lost', lost_reason => 'price') \gset none_
SELECT t.add('c3', 'Cathedral of Cologne', 'Scoped') \gset none_
SELECT is(t.flags('^c'), 'c2 > c1 1.000, c3 > c2 1.000',
          'section 6: scope open: a closed deal is no duplicate of a new one, and what was flagged stays');
SELECT crm_deals.move_deal(t.id('c1'), 'lead') \gset none_
SELECT is(t.flags('^c'), 'c2 > c1 1.000, c3 > c2 1.000', 'section 6: scope open: reopening is not looked at');
UPDATE crm_deals.deal SET name = 'Cathedral of cologne' WHERE external_id = 'c3';
SELECT is(t.flags('^c'), 'c2 > c1 1.000, c3 > c1 1.000, c3 > c2 1.000',
          'section 6: scope open: a reopened deal is one');
UPDATE crm_deals.pipeline SET duplicate_scope = 'all' WHERE id = :scoped;
SELECT crm_deals.move_deal(t.id('c2'), 'won') \gset none_
SELECT t.add('c4', 'Cathedral of Cologne', 'Scoped') \gset none_
SELECT is(t.flags('^c[24]'), 'c4 > c2 1.000', 'section 6: scope all: closed ones, too');
-- Scope: account
UPDATE crm_deals.pipeline SET duplicate_scope = 'account' WHERE id = :scoped;
INSERT INTO crm_deals.account (name) VALUES ('One'), ('Two');
SELECT min(id) AS one, max(id) AS two FROM crm_deals.account \gset
SELECT t.add('k1', 'Kremlin roof repair', 'Scoped', :one), t.add('k2', 'Kremlin roof repair', 'Scoped', :two),
       t.add('k3', 'Kremlin roof repair', 'Scoped', :one), t.add('k4', 'Kremlin roof repair', 'Scoped'),
       t.add('k5', 'Kremlin roof repair', 'Scoped'), t.add('k6', 'Kremlin roof repair', 'Scoped', :two) \gset none_
SELECT is(t.flags('^k'),
          'k3 > k1 1.000, k4 > k1 1.000, k4 > k2 1.000, k4 > k3 1.000, k5 > k1 1.000, k5 > k2 1.000, k5 > k3 1.000, '
          'k5 > k4 1.000, k6 > k2 1.000, k6 > k4 1.000, k6 > k5 1.000',
          'section 6: scope account: the same account, or none on either');
INSERT INTO crm_deals.deal (external_id, name, pipeline_id, account_id)
VALUES ('l1', 'Louvre glass pyramid', :scoped, :one), ('l2', 'Louvre glass pyramid', :scoped, :two),
       ('l3', 'Louvre glass pyramid', :scoped, :one), ('l4', 'Louvre glass pyramid', :scoped, NULL);
SELECT is(t.flags('^l'), 'l3 > l1 1.000, l4 > l1 1.000, l4 > l2 1.000, l4 > l3 1.000',
          'section 6: scope account, in one statement');

-- Another organization, by another pipeline
SELECT t.add('p1', 'Pyramids of Giza', 'Theirs'), t.add('p2', 'Pyramids of Giza'),
       t.add('p3', 'Pyramids of Giza') \gset none_
SELECT is(t.flags('^p'), 'p3 > p2 1.000', 'section 6: (before the deal changes hands)');
UPDATE crm_deals.deal SET pipeline_id = :theirs WHERE external_id = 'p2';
SELECT is(t.flags('^p'), 'p2 > p1 1.000',
          'section 6: a deal that goes to another organization has flags with deals of that one only');
SELECT t.add('p4', 'Pyramids of Giza'), t.add('p5', 'Pyramids of Giza', 'Theirs') \gset none_
SELECT is(t.flags('^p'), 'p2 > p1 1.000, p4 > p3 1.000, p5 > p1 1.000, p5 > p2 1.000', 'section 6: and is found there');

-- Deletes
SELECT t.add('d1', 'Dam of the Nile'), t.add('d2', 'Dam of the Nile'), t.add('d3', 'Dam of the Nile') \gset none_
DELETE FROM crm_deals.deal WHERE external_id = 'd2';
SELECT is(t.flags('^d'), 'd3 > d1 1.000', 'section 6: a delete removes the flags of both sides');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate AS f
           WHERE NOT EXISTS (SELECT FROM crm_deals.deal WHERE id = f.deal_id)
             OR NOT EXISTS (SELECT FROM crm_deals.deal WHERE id = f.other_deal_id)),
          0::bigint, 'section 6: none is left of deals that are gone');
DELETE FROM crm_deals.deal WHERE external_id IN ('d1', 'd3');
SELECT t.add('d4', 'Dam of the Nile') \gset none_
SELECT is(t.flags('^d'), 'none', 'section 6: a deal that is gone is no duplicate');
SELECT is(t.after($$INSERT INTO crm_deals.deal (external_id, name) VALUES ('d5', 'Dam of the Rhine');
                    DELETE FROM crm_deals.deal WHERE external_id = 'd5'; SELECT t.add('d6', 'Dam of the Rhine')$$,
                  $$SELECT t.flags('^d')$$),
          'none', 'section 6: also in one transaction');

-- Dismissed
SELECT t.add('m1', 'Museum of Baghdad'), t.add('m2', 'Museum of Baghdad'), t.add('m3', 'Museum of Baghdad') \gset none_
SELECT crm_deals.dismiss_duplicate(t.id('m1'), t.id('m2'), 'judge') \gset none_
SELECT is(t.flags('^m'), 'm2 > m1 1.000 dismissed, m3 > m1 1.000, m3 > m2 1.000',
          'dismiss_duplicate: the pair, in any order');
SELECT is((SELECT concat_ws(' ', resolved_by, resolved_at BETWEEN now() - interval '1 hour' AND clock_timestamp())
           FROM crm_deals.deal_duplicate WHERE deal_id = t.id('m2')),
          'judge t', 'dismiss_duplicate: by whom and when');
SELECT is((SELECT string_agg(external_id || ' ' || open_duplicates, ', ' ORDER BY id) FROM crm_deals.deal_overview
           WHERE external_id ~ '^m'),
          'm1 1, m2 1, m3 2', 'section 3: deal_overview does not count it any more');
UPDATE crm_deals.deal SET name = 'Museum of baghdad' WHERE external_id = 'm2';
UPDATE crm_deals.deal SET name = 'museum of Baghdad' WHERE external_id = 'm1';
SELECT is(t.flags('^m'), 'm2 > m1 1.000 dismissed, m3 > m1 1.000, m3 > m2 1.000',
          'section 6: a dismissed pair is not flagged again');
UPDATE crm_deals.deal SET name = 'Something about museums' WHERE external_id = 'm2';
UPDATE crm_deals.deal SET name = 'Museum of Baghdad' WHERE external_id = 'm2';
SELECT is(t.flags('^m[12]'), 'm2 > m1 1.000 dismissed', 'section 6: nor when a deal has had another name in between');
SELECT is(t.flags('^m[23]'), 'm2 > m3 1.000', 'section 6: the flag that was open is made anew');
SELECT set_config('crm_deals.actor', 'setting', false) AS none \gset
SELECT crm_deals.dismiss_duplicate(t.id('m3'), t.id('m1')) \gset none_
RESET crm_deals.actor;
SELECT crm_deals.dismiss_duplicate(t.id('m3'), t.id('m2')) \gset none_
SELECT is((SELECT string_agg(resolved_by, ', ' ORDER BY f.deal_id, f.other_deal_id) FROM crm_deals.deal_duplicate AS f
           WHERE deal_id IN (t.id('m2'), t.id('m3'))),
          'judge, ' || current_user || ', setting',
          'dismiss_duplicate: the actor is the argument, else the setting, else the user');
SELECT is(t.flags('^m'), 'm2 > m1 1.000 dismissed, m2 > m3 1.000 dismissed, m3 > m1 1.000 dismissed',
          'dismiss_duplicate: all of them');
SELECT is(t.after($$UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE name = 'Sales';
                    UPDATE crm_deals.deal SET name = 'Museums' WHERE external_id = 'm2';
                    UPDATE crm_deals.deal SET name = 'Museum OF Baghdad' WHERE external_id = 'm2'$$,
                  $$SELECT t.flags('^m')$$),
          'm2 > m1 1.000 dismissed, m2 > m3 1.000 dismissed, m3 > m1 1.000 dismissed',
          'section 6: nor is a dismissed pair refused');

-- The limit. Of equally similar deals those with the lowest ids are kept; a NOTICE says how many were left out.
SET client_min_messages = error;
SELECT t.add('y1', 'Yacht races of Sydney 2026'), t.add('y2', 'Yacht races of Sydney 2025'),
       t.add('y3', 'Yacht races of Sydney 2026'), t.add('y4', 'Yacht races of Sydney 2024'),
       t.add('y5', 'Yacht races of Sydney 2026') \gset none_
DELETE FROM crm_deals.deal_duplicate;
SET client_min_messages = notice;
SET crm_deals.duplicate_limit = 3;
INSERT INTO crm_deals.deal (external_id, name) VALUES ('y6', 'Yacht races of Sydney 2026');
SELECT is(t.flags('^y'), 'y6 > y1 1.000, y6 > y3 1.000, y6 > y5 1.000',
          'section 6: flagged against the most similar ones, of these');
SET crm_deals.duplicate_limit = 4;
INSERT INTO crm_deals.deal (external_id, name) VALUES ('y7', 'Yacht races of Sydney 2023');
SELECT is(t.flags('^y7|^y[1-6]'),
          'y6 > y1 1.000, y6 > y3 1.000, y6 > y5 1.000, y7 > y1 0.862, y7 > y2 0.862, y7 > y3 0.862, y7 > y4 0.862',
          'section 6: of equal ones the lowest ids');
INSERT INTO crm_deals.deal (external_id, name)
VALUES ('y8', 'Yacht races of Sydney 2023'), ('y9', 'Yacht races of Sydney 2023');
SELECT is(t.flags('^y[789]'), 'y8 > y7 1.000, y9 > y7 1.000, y9 > y8 1.000',
          'section 6: in a statement of several the limit is of each deal');
SELECT is((SELECT string_agg(n::text, ' ')
           FROM (SELECT count(*) AS n FROM crm_deals.deal_duplicate WHERE deal_id IN (t.id('y8'), t.id('y9'))
                 GROUP BY deal_id) AS c),
          '4 4', 'section 6: and the NOTICE of the statement');
SET crm_deals.duplicate_limit = 9;
UPDATE crm_deals.deal SET name = 'Yacht Races of Sydney 2023' WHERE external_id = 'y1';
UPDATE crm_deals.deal SET name = 'Yacht races of Sydney 2022' WHERE external_id = 'y2';
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate WHERE t.id('y2') IN (deal_id, other_deal_id)), 8::bigint,
          'section 6: as many as the limit: none is cut, and there is no NOTICE');
SET crm_deals.duplicate_limit = 0;
INSERT INTO crm_deals.deal (external_id, name) VALUES ('y10', 'Yacht races of Sydney 2026');
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate WHERE deal_id = t.id('y10')), 0::bigint,
          'section 6: a limit of 0: nothing is flagged, all are counted');
SELECT is(t.try($$SELECT t.add('y11', 'Yacht races of Sydney 2026', 'Strict')$$), '23505 deal.name deal_duplicate',
          'section 6: and a refusal has no limit');
RESET crm_deals.duplicate_limit;
INSERT INTO crm_deals.deal (external_id, name)
SELECT 'z' || n, 'Zeppelin over Friedrichshafen'
FROM generate_series(1, 23) AS n;
SELECT is((SELECT string_agg(n::text, ' ' ORDER BY deal_id)
           FROM (SELECT deal_id, count(*) AS n FROM crm_deals.deal_duplicate
                 WHERE deal_id >= t.id('z1') AND deal_id < 99999 GROUP BY deal_id) AS c),
          '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 20 20', 'section 6: 20 where nothing is said');
SET client_min_messages = warning;

-- Refused
SELECT crm_deals.create_pipeline('Guarded', organization => 'guarded') AS guarded,
       crm_deals.create_pipeline('Open door', organization => 'guarded') AS open_door \gset
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :guarded;
SELECT t.add('g1', 'Gate of Brandenburg 1', 'Guarded') AS g1,
       t.add('g2', 'Gate of Brandenburg second', 'Guarded') AS g2 \gset
SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate WHERE deal_id = :g2), 0::bigint,
          'section 6: reject: what is not similar enough is written');
SELECT is(t.try(v.statement), v.result, 'section 6: reject: ' || v.statement)
FROM (VALUES (1, 'SELECT t.add(''g3'', ''Gate of Brandenburg 1'', ''Guarded'')', '23505 deal.name deal_duplicate'),
             (2, 'SELECT t.add(''g3'', ''GATE -- of Brandenburg: 1'', ''Guarded'')', '23505 deal.name deal_duplicate'),
             (3, 'SELECT t.add(''g3'', ''Gate of Brandenburg 1a'', ''Guarded'')', '23505 deal.name deal_duplicate'),
             (4,
              'INSERT INTO crm_deals.deal (name, pipeline_id) SELECT v.name, t.pipeline(''Guarded'') '
              'FROM (VALUES (''Good one''), (''Gate of Brandenburg 1''), (''Better one'')) AS v (name)',
              '23505 deal.name deal_duplicate'),
             (5,
              'INSERT INTO crm_deals.deal (name, pipeline_id) SELECT v.name, t.pipeline(''Guarded'') '
              'FROM (VALUES (''Twice in one''), (''Good one''), (''Twice in one'')) AS v (name)',
              '23505 deal.name deal_duplicate'),
             (6, 'UPDATE crm_deals.deal SET name = ''Gate of Brandenburg 1'' WHERE external_id = ''g2''',
              '23505 deal.name deal_duplicate'),
             (7, 'UPDATE crm_deals.deal SET name = ''One for both'' WHERE organization = ''guarded''',
              '23505 deal.name deal_duplicate'),
             (8,
              'MERGE INTO crm_deals.deal AS d USING (VALUES (''g9'')) AS v (tag) ON d.external_id = v.tag '
              'WHEN NOT MATCHED THEN INSERT (external_id, name, pipeline_id) '
              'VALUES (v.tag, ''Gate of Brandenburg 1'', t.pipeline(''Guarded''))',
              '23505 deal.name deal_duplicate'),
             (9, 'INSERT INTO crm_deals.deal (external_id, name, pipeline_id) '
                 'VALUES (''g2'', ''Gate of Brandenburg 1'', t.pipeline(''Guarded'')) '
                 'ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE '
                 'SET name = excluded.name', '23505 deal.name deal_duplicate')) AS v (n, statement, result)
ORDER BY v.n;
SELECT is((SELECT string_agg(name, ', ' ORDER BY id) || ' '
                  || (SELECT count(*) FROM crm_deals.deal_duplicate WHERE deal_id IN (:g1, :g2)) || ' '
                  || (SELECT count(*) FROM crm_deals.deal_event AS e WHERE e.pipeline_id = :guarded)
           FROM crm_deals.deal WHERE organization = 'guarded'),
          'Gate of Brandenburg 1, Gate of Brandenburg second 0 2', 'section 6: reject: nothing is left behind');
SELECT is(t.dry(v.statement), 'done', 'section 6: reject: ' || v.statement)
FROM (VALUES (1, 'SELECT t.add(''g3'', ''Gate of Munich'', ''Guarded'')'),
             (2, 'UPDATE crm_deals.deal SET name = ''Gate of Brandenburg first'' WHERE external_id = ''g2'''),
             (3, 'UPDATE crm_deals.deal SET name = ''Gate of Brandenburg one'' WHERE external_id = ''g1'''),
             (4,
              'INSERT INTO crm_deals.deal (external_id, name, pipeline_id) '
              'VALUES (''g2'', ''Gate of Brandenburg 1'', t.pipeline(''Guarded'')) '
              'ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO NOTHING'),
             (5,
              'INSERT INTO crm_deals.deal (external_id, name, pipeline_id) '
              'VALUES (''g2'', ''Gate of Brandenburg 1'', t.pipeline(''Guarded'')) '
              'ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO UPDATE SET amount = 1'),
             (6,
              'DELETE FROM crm_deals.deal WHERE external_id = ''g1''; '
              'SELECT t.add(''g3'', ''Gate of Brandenburg 1'', ''Guarded'')'),
             (7,
              'UPDATE crm_deals.deal SET name = ''Another name'' WHERE external_id = ''g1''; '
              'SELECT t.add(''g3'', ''Gate of Brandenburg 1'', ''Guarded'')'),
             (8,
              'UPDATE crm_deals.deal SET name = CASE external_id '
              'WHEN ''g1'' THEN ''Gate of Brandenburg second'' ELSE ''Gate of Brandenburg 1'' END '
              'WHERE organization = ''guarded'''),
             (9,
              'UPDATE crm_deals.pipeline SET duplicate_policy = ''off'' WHERE name = ''Guarded''; '
              'SELECT t.add(''g3'', ''Gate of Brandenburg 1'', ''Guarded'')')) AS v (n, statement)
ORDER BY v.n;
SELECT is(t.after($$SELECT t.add('g3', 'Gate of Brandenburg 1', 'Open door')$$, $$SELECT t.flags('^g')$$),
          'g3 > g1 1.000', 'section 6: one that only flags writes it');
SELECT is(t.after($$SELECT t.add('g3', 'Gate of Brandenburg 1', 'Open door');
                    UPDATE crm_deals.deal SET amount = 1 WHERE organization = 'guarded';
                    SELECT crm_deals.move_deal(t.id('g1'), 'proposal');
                    UPDATE crm_deals.deal SET name = name || '' WHERE organization = 'guarded';
                    UPDATE crm_deals.deal SET stage_id = t.stage('won', 'Guarded') WHERE external_id = 'g3'$$,
                  $$SELECT t.state('Gate of Brandenburg second')$$),
          'lead open 10 v2', 'section 6: reject: duplicates that are there go on');
-- Deals that are undone, restored, redacted or merged are never refused, and are flagged like others.
SELECT t.add('h1', 'House of the rising sun', 'Guarded') AS h1,
       t.add('h2', 'House of cards in Washington', 'Guarded') AS h2 \gset
UPDATE crm_deals.deal SET name = 'House of nobody' WHERE id = :h1;
SELECT max(batch_id) AS renamed FROM crm_deals.deal_event WHERE deal_id = :h1 \gset
UPDATE crm_deals.deal SET name = 'House of the rising sun' WHERE id = :h2;
SELECT is((SELECT outcome FROM crm_deals.undo_batch(:renamed)), 'reverted',
          'undo_batch: of a rename, though the name has been given to another since');
SELECT is(t.flags('^h'), 'h1 > h2 1.000', 'undo_batch: flags the deal that gets its name back');
DELETE FROM crm_deals.deal WHERE id = :h2;
SELECT is(t.flags('^h'), 'none', 'restore_deal: (the flag went with the deal)');
SELECT is(crm_deals.restore_deal(:h2), :h2::bigint, 'restore_deal: a duplicate comes back');
SELECT is(t.flags('^h'), 'h2 > h1 1.000', 'restore_deal: and is flagged');
SELECT is(t.after(format('SELECT crm_deals.merge_deals(%s, %s)', :h1, :h2), 'SELECT t.flags(''^h'')'), 'none',
          'merge_deals: the flag between the two goes');
SELECT is(t.after(format('SELECT t.add(''h3'', ''House of the rising suns'', ''Open door''); '
                         'SELECT crm_deals.merge_deals(%s, %s)',
                         :h1, :h2),
                  'SELECT t.flags(''^h'')'),
          'h3 > h1 0.885', 'merge_deals: the survivor keeps its own');
SELECT is(t.after(format('SELECT crm_deals.redact(deals => ARRAY[%s, %s])', :h1, :h2),
                  'SELECT string_agg(name, '' '') || '' '' || t.flags(''^h'') FROM crm_deals.deal '
                  'WHERE external_id ~ ''^h'''),
          '[redacted] [redacted] h2 > h1 1.000', 'redact: is not refused');
SELECT is(t.after(format('SELECT crm_deals.redact(deals => ARRAY[%s])', :h1), 'SELECT t.flags(''^h'')'), 'none',
          'redact: a flag that is none any more goes');

-- A change of the pipeline counts from then on.
SELECT crm_deals.create_pipeline('Late', organization => 'late') AS late \gset
UPDATE crm_deals.pipeline SET duplicate_policy = 'off' WHERE id = :late;
SELECT t.add('v1', 'Viaduct of Millau', 'Late'), t.add('v2', 'Viaduct of Millau', 'Late') \gset none_
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag' WHERE id = :late;
SELECT is(t.flags('^v'), 'none', 'section 6: changing a policy flags nothing');
SELECT t.add('v3', 'Viaduct of Millau', 'Late') \gset none_
SELECT is(t.flags('^v'), 'v3 > v1 1.000, v3 > v2 1.000',
          'section 6: what is written then is looked at, against what was there before');
UPDATE crm_deals.pipeline SET duplicate_policy = 'off' WHERE id = :late;
UPDATE crm_deals.deal SET name = 'Viaduct of Garabit' WHERE external_id = 'v1';
SELECT t.add('v4', 'Viaduct of Garabit', 'Late') \gset none_
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :late;
SELECT is(t.try($$SELECT t.add('v5', 'Viaduct of Garabit', 'Late')$$) || ' '
          || t.dry($$DELETE FROM crm_deals.deal WHERE external_id IN ('v1', 'v4');
                     SELECT t.add('v5', 'Viaduct of Garabit', 'Late')$$),
          '23505 deal.name deal_duplicate done', 'section 6: and against what was written while it was off');
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag', duplicate_threshold = 0.3 WHERE id = :late;
SELECT t.add('v6', 'Viaduct of Glenfinnan', 'Late') \gset none_
SELECT is((SELECT t.same(
               'SELECT deal_id, other_deal_id, similarity FROM crm_deals.deal_duplicate WHERE deal_id = t.id(''v6'')',
               'SELECT deal_id, other_deal_id, similarity FROM t.pair '
               'WHERE similarity >= 0.3::real AND deal_id = t.id(''v6'')')),
          'same', 'section 6: a threshold that is lower since');

-- Rows that are taken as they are
SET session_replication_role = replica;
INSERT INTO crm_deals.deal (external_id, name, pipeline_id, stage_id, status, currency, probability, version,
                            stage_entered_at, created_at, updated_at, custom_fields)
SELECT 'q' || n, 'Quarry of Carrara', :strict, t.stage('lead', 'Strict'), 'open', 'EUR', 10, 1, now(), now(), now(),
       '{}'
FROM generate_series(1, 2) AS n;
SELECT is(t.flags('^q'), 'none', 'section 4: under session_replication_role = replica rows are taken as they are');
DELETE FROM crm_deals.deal WHERE external_id ~ '^q';
RESET session_replication_role;

-- A stage move reads and writes nothing of the names and of their index.
CREATE FUNCTION t.touched(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rows_before text;
    rows_after text;
    before text;
    after text;
    counts text := 'SELECT string_agg(concat_ws('' '', relname, seq_scan, idx_scan, n_tup_ins, n_tup_upd, n_tup_del), '
                   ''','' ORDER BY relname) FROM pg_stat_xact_user_tables '
                   'WHERE relid IN (''crm_deals.deal_name''::regclass, ''crm_deals.deal_duplicate''::regclass)';
    rows text := 'SELECT string_agg(concat_ws('' '', deal_id, ctid, xmin), '','' ORDER BY deal_id) '
                 'FROM crm_deals.deal_name';
BEGIN
    EXECUTE rows INTO rows_before;
    EXECUTE counts INTO before;
    EXECUTE statement;
    EXECUTE counts INTO after;
    EXECUTE rows INTO rows_after;
    RETURN coalesce(nullif(concat_ws(' and ', CASE WHEN after IS DISTINCT FROM before THEN 'read' END,
                                     CASE WHEN rows_after IS DISTINCT FROM rows_before THEN 'written' END),
                           ''),
                    'nothing');
END
$$;
SELECT is(t.touched(v.statement), v.result, 'section 6: of the names and the flags ' || v.result || ': ' || v.statement)
FROM (VALUES (1, 'UPDATE crm_deals.deal SET name = ''Acme Corporation renewal 2028'' WHERE external_id = ''a2''',
              'read and written'),
             (2, 'UPDATE crm_deals.deal SET stage_id = t.stage(''proposal'') WHERE external_id = ''a2''', 'nothing'),
             (3, 'SELECT crm_deals.move_deal(t.id(''a1''), ''won'')', 'nothing'),
             (4, 'SELECT crm_deals.move_deals(ARRAY(SELECT id FROM crm_deals.deal '
                 'WHERE pipeline_id = t.pipeline(''Sales'')), ''negotiation'')', 'nothing'),
             (5, 'UPDATE crm_deals.deal SET amount = 7, notes = ''x'', custom_fields = ''{"a": 1}''', 'nothing'),
             (6, 'UPDATE crm_deals.deal SET name = name WHERE external_id = ''a2''', 'nothing'),
             (7, 'UPDATE crm_deals.stage SET status = ''won'' WHERE id = t.stage(''proposal'')',
              'nothing')) AS v (n, statement, result)
ORDER BY v.n;
SELECT is((SELECT count(*) FROM pg_index
           WHERE indrelid = 'crm_deals.deal'::regclass AND pg_get_indexdef(indexrelid) ~ '\mname\M'),
          0::bigint, 'section 6: no index of deal is on the name');

SELECT is((SELECT count(*) FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
           JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
           WHERE f.resolution = 'open'
             AND (f.similarity <> similarity(d.name, o.name) OR d.organization IS DISTINCT FROM o.organization)),
          0::bigint, 'section 6: every open flag has the similarity that the two names have now');
DELETE FROM crm_deals.deal WHERE external_id ~ '^h';    -- the log of one that came back is s05_undo's matter
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
