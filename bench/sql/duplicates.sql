-- What the work "duplicates" asks: names of deals, the same at every run, and the same question put to the extension
-- and to pg_trgm's own index. Everything is in the schema `bench` of a throw-away database. A side is `ours` or
-- `pg_trgm`.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION pg_prewarm SCHEMA public;
CREATE EXTENSION crm_deals;
SELECT crm_deals.install() \g /dev/null
CREATE SCHEMA bench;

-- The names of all deals under pg_trgm's index: what a developer would have without the extension.
CREATE TABLE bench.peer (id bigint PRIMARY KEY, name text NOT NULL);
-- Deals that come later, and names to look up.
CREATE TABLE bench.fresh (id bigint PRIMARY KEY, name text NOT NULL);
-- What was found: the run, the side, the deal or the number of the question, how long it took each time.
CREATE TABLE bench.answer (
    run text, side text, id bigint, seconds double precision[], found bigint[], similarity real[],
    PRIMARY KEY (run, side, id)
);

-- A number below the limit, of a deal and a purpose.
CREATE FUNCTION bench.pick(n bigint, purpose integer, below integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT ((hashint8extended(n, purpose) & 9223372036854775807) % below)::integer $$;

-- A third of the companies have a common name, the others one of their own.
CREATE FUNCTION bench.company(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN bench.pick(n, 1, 3) = 0 THEN
        (
            '{Müller,Schröder,Weiß,Krüger,Böhm,Brandt,Hoffmann,Lindner,Østergaard,Søndergård,Bjørnson,'
            'Lindqvist,Åkesson,Nyström,Mäkinen,Łukasiewicz,Wójcik,Żak,Dvořák,Černý,Horváth,Szabó,Popescu,'
            'Ionescu,Yılmaz,Şahin,Öztürk,García,Núñez,Ibáñez,Gonçalves,Magalhães,Lefèvre,François,Benoît,'
            'Rossi,Bianchi,Conti,"De Vries","Van den Berg",Jansen,"O''Brien",Murphy,Walsh,Hughes,Fletcher,'
            'Whitfield,Harrington,Bennett,Marlowe,Иванов,Смирнов,Кузнецов,Шевченко,Παπαδόπουλος,Γεωργίου,'
            '東京電機,山田製作所,上海机械,한국전자}'::text[])
            [1 + bench.pick(n, 2, 60)]
    ELSE
        initcap((CASE WHEN bench.pick(n, 3, 2) = 0 THEN (
            '{al,be,cor,del,em,fin,gra,hel,in,jo,kal,lum,mer,nor,or,pro,qui,ros,sol,tri,ul,ver,wes,xen,zet}'::text[])
            [1 + bench.pick(n, 4, 25)]
             ELSE '' END)
                || (
                    '{ba,ca,do,fe,ga,ha,ka,la,ma,na,pa,ra,sa,ta,va,bri,cla,dre,fri,gle,kro,pla,ste,tra,vo}'::text[])
                    [1 + bench.pick(n, 5, 25)]
                || (
                    '{bel,cent,dan,fort,gen,lan,lex,line,lor,mark,mond,nex,nova,pex,quest,ran,rix,son,tek,tis,'
                    'tron,vance,vex,wick,zon}'::text[])
                    [1 + bench.pick(n, 6, 25)])
    END
    || ' ' || (
        '{Logistik,Logistics,Maschinenbau,Engineering,Pharma,Foods,Energie,Energy,Bau,Construction,Software,'
        'Systems,Consulting,Media,Textil,Chemie,Automotive,Verpackung,Packaging,Medical,Elektronik,Insurance,'
        'Immobilien,Properties,Transport,Metall,Optik,Labs,Holding,Trading}'::text[])
        [1 + bench.pick(n, 7, 30)]
    || ' ' || (
        '{GmbH,AG,"GmbH & Co. KG",Ltd,Inc.,LLC,S.A.,"Sp. z o.o.",B.V.,AB}'::text[])
        [1 + bench.pick(n, 8, 10)]
$$;

-- Company, kind of deal, period: twenty deals a company.
CREATE FUNCTION bench.plain_name(n bigint, companies integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT bench.company(bench.pick(n, 10, companies))
        || ('{" – "," - ",": "," / "}'::text[])[1 + bench.pick(n, 11, 4)]
        || (
            '{Renewal,"New licences","Support contract",Pilot,Rollout,"Consulting days",Onboarding,'
            '"Annual maintenance",Upgrade,"Cloud migration","Hardware refresh",Training,"Data platform",'
            '"Security audit","Framework agreement",Wartungsvertrag,Schulung,Erweiterung,Verlängerung,'
            'Rahmenvertrag,"Spare parts",Ersatzteile,"Field service",Integration,Fördermittel}'::text[])
            [1 + bench.pick(n, 12, 25)]
        || ' ' || CASE bench.pick(n, 13, 4)
            WHEN 0 THEN 'Q' || 1 + bench.pick(n, 14, 4) || ' ' || 2021 + bench.pick(n, 15, 7)
            WHEN 1 THEN (
                '{January,February,March,April,May,June,July,August,September,October,November,December}'::text[])
                [1 + bench.pick(n, 14, 12)]
                || ' ' || 2021 + bench.pick(n, 15, 7)
            WHEN 2 THEN 2021 + bench.pick(n, 15, 7) || '/' || 22 + bench.pick(n, 15, 7)
            ELSE 'FY' || 21 + bench.pick(n, 15, 7) END
$$;

-- What becomes of a name that is written down a second time.
CREATE FUNCTION bench.written_again(name text, n bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE bench.pick(n, 21, 8)
        WHEN 0 THEN left(name, p - 1) || substr(name, p + 1, 1) || substr(name, p, 1)
                    || substr(name, p + 2)    -- two letters swapped
        WHEN 1 THEN left(name, p - 1) || substr(name, p + 1)    -- one forgotten
        WHEN 2 THEN left(name, p) || substr(name, p)    -- one twice
        WHEN 3 THEN left(name, p - 1) || substr('aeinrst', 1 + bench.pick(n, 23, 7), 1)
                    || substr(name, p + 1)    -- another one
        WHEN 4 THEN regexp_replace(name, '^(\S+) (\S+)', '\2 \1')    -- words swapped
        WHEN 5 THEN regexp_replace(name, '\d(\D*)$', bench.pick(n, 23, 10) || '\1')    -- another digit
        WHEN 6 THEN regexp_replace(upper(name), ' [–:/-] ', ' ')    -- punctuation, case
        ELSE regexp_replace(name, ' (GmbH|AG|Ltd|LLC|AB|Inc\.|S\.A\.|B\.V\.)', '')    -- legal form left out
    END
    FROM (SELECT 2 + bench.pick(n, 22, length(name) - 2) AS p) AS at
$$;

-- 4 % are names of earlier deals, written again.
CREATE FUNCTION bench.deal_name(n bigint, companies integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN n > 1 AND bench.pick(n, 20, 25) = 0
        THEN bench.written_again(bench.plain_name(1 + bench.pick(n, 24, (n - 1)::integer), companies), n)
        ELSE bench.plain_name(n, companies) END
$$;

-- Names of one template, which differ in a number only.
CREATE FUNCTION bench.site_name(n bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'Acme Facility Services Site ' || to_char(n - 1, 'FM00000') $$;

-- Deals as a restore writes them: neither logged nor looked at.
CREATE PROCEDURE bench.fill(deals integer, pipeline bigint, templated boolean DEFAULT false)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    INSERT INTO bench.peer
    SELECT n, CASE WHEN templated THEN bench.site_name(n) ELSE bench.deal_name(n, deals / 20) END
    FROM generate_series(1, deals) AS n;
    INSERT INTO crm_deals.deal (id, organization, name, pipeline_id, stage_id, status, currency, probability, version,
                                stage_entered_at, created_at, updated_at)
    SELECT b.id, s.organization, b.name, s.pipeline_id, s.stage_id, 'open', 'EUR', s.probability, 1, now(), now(), now()
    FROM bench.peer AS b,
         (SELECT p.organization, s.pipeline_id, s.id AS stage_id, s.probability
          FROM crm_deals.pipeline AS p JOIN crm_deals.stage AS s ON s.pipeline_id = p.id
          WHERE p.id = fill.pipeline ORDER BY s.position LIMIT 1) AS s
    ORDER BY b.id;
    PERFORM setval(pg_get_serial_sequence('crm_deals.deal', 'id'), deals);
END
$$;

-- Deals that are written later; every second question is a stored name, written again.
CREATE PROCEDURE bench.later_deals(after integer, deals integer, companies integer)
LANGUAGE sql AS $$
    TRUNCATE bench.fresh;
    INSERT INTO bench.fresh SELECT n, bench.deal_name(n, companies) FROM generate_series(after + 1, after + deals) AS n;
$$;
CREATE PROCEDURE bench.questions(after integer, questions integer, companies integer)
LANGUAGE sql AS $$
    TRUNCATE bench.fresh;
    INSERT INTO bench.fresh
    SELECT n, CASE WHEN n % 2 = 0 THEN bench.plain_name(n, companies)
                   ELSE bench.written_again(bench.plain_name(1 + bench.pick(n, 25, after), companies), n) END
    FROM generate_series(after + 1, after + questions) AS n;
$$;

-- Everything that was written after the first deals goes away again, unlogged.
CREATE PROCEDURE bench.forget(after integer)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    DELETE FROM crm_deals.deal_duplicate WHERE deal_id > after;
    DELETE FROM crm_deals.deal_event WHERE deal_id > after;
    DELETE FROM crm_deals.deal_name WHERE deal_id > after;
    DELETE FROM crm_deals.deal WHERE id > after;
    DELETE FROM bench.peer WHERE id > after;
END
$$;

-- Into shared buffers with what either side reads.
CREATE FUNCTION bench.warm_up() RETURNS void
LANGUAGE sql AS $$
    SELECT count(pg_prewarm(c.oid)) FROM pg_class AS c
    WHERE c.relkind IN ('r', 'i') AND c.relnamespace IN ('crm_deals'::regnamespace, 'bench'::regnamespace)
      AND c.relname !~ '^deal_event'
$$;

CREATE FUNCTION bench.seconds_since(began timestamptz) RETURNS double precision
LANGUAGE sql AS $$ SELECT extract(epoch FROM clock_timestamp() - began)::double precision $$;

CREATE FUNCTION bench.seconds(statement text) RETURNS double precision
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN bench.seconds_since(began);
END
$$;

-- Each question on its own: what is similar to this name?
CREATE PROCEDURE bench.ask(run text, side text, questions integer)
LANGUAGE plpgsql AS $$
DECLARE
    question record;
    began timestamptz;
    answer record;
BEGIN
    FOR question IN SELECT * FROM bench.fresh ORDER BY id LIMIT questions LOOP
        began := clock_timestamp();
        IF side = 'ours' THEN
            SELECT array_agg(f.deal_id) AS found, array_agg(f.similarity) AS similarity INTO answer
            FROM crm_deals.find_duplicates(question.name) AS f;
        ELSE
            SELECT array_agg(f.id) AS found, array_agg(f.similarity) AS similarity INTO answer
            FROM (SELECT b.id, similarity(b.name, question.name) AS similarity FROM bench.peer AS b
                  WHERE b.name % question.name ORDER BY 2 DESC, 1 LIMIT 10) AS f;
        END IF;
        INSERT INTO bench.answer AS a
        VALUES (run, side, question.id, ARRAY[bench.seconds_since(began)], answer.found, answer.similarity)
        ON CONFLICT ON CONSTRAINT answer_pkey DO UPDATE SET seconds = a.seconds || excluded.seconds;
    END LOOP;
END
$$;

-- Deal by deal, a transaction each: look, write.
CREATE PROCEDURE bench.write_each(run text, side text, skip integer, deals integer)
LANGUAGE plpgsql AS $$
DECLARE
    later record;
    began timestamptz;
    answer record;
    took double precision;
BEGIN
    FOR later IN SELECT * FROM bench.fresh ORDER BY id OFFSET skip LIMIT deals LOOP
        began := clock_timestamp();
        IF side = 'ours' THEN
            INSERT INTO crm_deals.deal (id, name) VALUES (later.id, later.name);
            COMMIT;
            took := bench.seconds_since(began);
            SELECT NULL::bigint[] AS found, NULL::real[] AS similarity INTO answer;
        ELSE
            INSERT INTO bench.peer VALUES (later.id, later.name);
            SELECT array_agg(f.id) AS found, array_agg(f.similarity) AS similarity INTO answer
            FROM (SELECT b.id, similarity(b.name, later.name) AS similarity FROM bench.peer AS b
                  WHERE b.name % later.name AND b.id + 0 < later.id ORDER BY 2 DESC, 1 LIMIT 20) AS f;
            COMMIT;
            took := bench.seconds_since(began);
        END IF;
        INSERT INTO bench.answer VALUES (run, side, later.id, ARRAY[took], answer.found, answer.similarity);
        COMMIT;
    END LOOP;
END
$$;

-- pg_trgm's answers about every n-th of the names, of those that stand before it; seconds.
CREATE FUNCTION bench.sample(run text, names regclass, every integer, most integer) RETURNS double precision
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    EXECUTE format($sql$
        INSERT INTO bench.answer (run, side, id, found, similarity)
        SELECT %L, 'pg_trgm', s.id, f.found, f.similarity
        FROM %s AS s
        CROSS JOIN LATERAL (SELECT array_agg(t.id) AS found, array_agg(t.similarity) AS similarity
                            FROM (SELECT b.id, similarity(b.name, s.name) AS similarity FROM bench.peer AS b
                                  WHERE b.name %% s.name AND b.id + 0 < s.id ORDER BY 2 DESC, 1 LIMIT %s) AS t) AS f
        WHERE s.id %% %s = 0$sql$, run, names, most, every);
    RETURN bench.seconds_since(began);
END
$$;

-- What the extension flagged for the deals that pg_trgm was asked about.
CREATE PROCEDURE bench.flagged(run text)
LANGUAGE sql AS $$
    DELETE FROM bench.answer AS a WHERE a.run = flagged.run AND a.side = 'ours' AND a.seconds IS NULL;
    INSERT INTO bench.answer AS o (run, side, id, found, similarity)
    SELECT a.run, 'ours', a.id, f.found, f.similarity
    FROM bench.answer AS a
    CROSS JOIN LATERAL (SELECT array_agg(u.other_deal_id ORDER BY u.similarity DESC, u.other_deal_id) AS found,
                               array_agg(u.similarity ORDER BY u.similarity DESC, u.other_deal_id) AS similarity
                        FROM crm_deals.deal_duplicate AS u WHERE u.deal_id = a.id) AS f
    WHERE a.run = flagged.run AND a.side = 'pg_trgm'
    ON CONFLICT ON CONSTRAINT answer_pkey DO UPDATE SET found = excluded.found, similarity = excluded.similarity;
$$;

-- All pairs: seconds, and the most memory that the backend ever had of its own, in bytes.
CREATE TABLE bench.pair (deal_id bigint, other_deal_id bigint, similarity real);
CREATE FUNCTION bench.scan(OUT seconds double precision, OUT memory bigint)
LANGUAGE plpgsql AS $$
DECLARE
    status text;
BEGIN
    TRUNCATE bench.pair;
    seconds := bench.seconds('INSERT INTO bench.pair
                              SELECT deal_id, other_deal_id, similarity FROM crm_deals.scan_duplicates()');
    status := pg_read_file('/proc/self/status');
    memory := (substring(status FROM 'VmHWM:\s*(\d+)')::bigint - substring(status FROM 'RssFile:\s*(\d+)')::bigint
                  - substring(status FROM 'RssShmem:\s*(\d+)')::bigint) * 1024;
END
$$;

-- What the scan found for the deals that pg_trgm was asked about.
CREATE PROCEDURE bench.scanned(run text)
LANGUAGE sql AS $$
    DELETE FROM bench.answer AS a WHERE a.run = scanned.run AND a.side = 'ours';
    INSERT INTO bench.answer (run, side, id, found, similarity)
    SELECT a.run, 'ours', a.id,
           array_agg(p.other_deal_id ORDER BY p.similarity DESC, p.other_deal_id) FILTER (WHERE p.deal_id IS NOT NULL),
           array_agg(p.similarity ORDER BY p.similarity DESC, p.other_deal_id) FILTER (WHERE p.deal_id IS NOT NULL)
    FROM bench.answer AS a LEFT JOIN bench.pair AS p ON p.deal_id = a.id
    WHERE a.run = scanned.run AND a.side = 'pg_trgm' GROUP BY a.run, a.id;
$$;

-- Rows into the table of names, with the index and without it; all of it is rolled back by the caller.
CREATE FUNCTION bench.write_names() RETURNS double precision
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    RETURN bench.seconds('INSERT INTO crm_deals.deal_name (deal_id, name) SELECT id, name FROM bench.fresh');
END
$$;
CREATE FUNCTION bench.matching_index() RETURNS regclass
LANGUAGE sql STABLE AS $$
    SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'crm_deals.deal_name'::regclass AND NOT indisprimary
$$;

-- Over the questions; of a question that was asked several times the median counts.
CREATE FUNCTION bench.quantile(run text, side text, fraction double precision) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT percentile_cont(fraction) WITHIN GROUP (ORDER BY m.median)
    FROM bench.answer AS a
    CROSS JOIN LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t.taken) AS median
                        FROM unnest(a.seconds) AS t (taken)) AS m
    WHERE a.run = quantile.run AND a.side = quantile.side
$$;

-- Questions, questions answered alike, pairs in these answers.
CREATE FUNCTION bench.compare(run text, OUT asked bigint, OUT alike bigint, OUT pairs bigint)
LANGUAGE sql STABLE AS $$
    SELECT count(*),
           count(*) FILTER (WHERE o.id IS NOT NULL
                              AND (o.found, o.similarity) IS NOT DISTINCT FROM (t.found, t.similarity)),
           coalesce(sum(cardinality(t.found)), 0)
    FROM bench.answer AS t
    LEFT JOIN bench.answer AS o ON o.run = t.run AND o.id = t.id AND o.side = 'ours'
    WHERE t.run = compare.run AND t.side = 'pg_trgm'
$$;
