-- What the tests of duplicates share. Deals and flags are named by a tag, the external_id of the deal. The expected
-- pairs come from plain SQL with pg_trgm's own similarity(), which knows nothing of the implementation.
\i :include/installed.sql
SET crm_deals.notify = off;

CREATE FUNCTION t.add(tag text, name text, pipeline text DEFAULT 'Sales', account bigint DEFAULT NULL,
                      stage text DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO crm_deals.deal (external_id, name, pipeline_id, account_id, stage_id)
    VALUES (tag, name, t.pipeline(pipeline), account, t.stage(stage, pipeline)) RETURNING id
$$;

CREATE FUNCTION t.id(tag text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT id FROM crm_deals.deal WHERE external_id = tag
$$;

-- The flags between deals whose tags match: later > other similarity.
CREATE FUNCTION t.flags(tags text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(format('%s > %s %s%s', d.external_id, o.external_id, round(f.similarity::numeric, 3),
                                      CASE WHEN f.resolution <> 'open' THEN ' ' || f.resolution END),
                               ', ' ORDER BY f.deal_id, f.other_deal_id),
                    'none')
    FROM crm_deals.deal_duplicate AS f
    JOIN crm_deals.deal AS d ON d.id = f.deal_id
    JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
    WHERE d.external_id ~ tags AND o.external_id ~ tags
$$;

-- Every possible pair, with the policy of the later deal's pipeline; the higher id counts as the later.
CREATE VIEW t.pair AS
    SELECT d.organization, d.id AS deal_id, o.id AS other_deal_id, similarity(d.name, o.name) AS similarity,
           p.duplicate_threshold AS threshold, p.duplicate_policy AS policy
    FROM crm_deals.deal AS d
    JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
    JOIN crm_deals.deal AS o ON o.id < d.id AND o.organization IS NOT DISTINCT FROM d.organization
    WHERE CASE p.duplicate_scope
               WHEN 'open' THEN o.status = 'open'
               WHEN 'account' THEN o.account_id = d.account_id OR o.account_id IS NULL OR d.account_id IS NULL
               ELSE true END;

-- The flags that an organization must have if each deal was written once, in the order of ids, or all by one statement.
CREATE FUNCTION t.wanted_flags(organization text DEFAULT NULL, most bigint DEFAULT 20)
RETURNS TABLE (deal_id bigint, other_deal_id bigint, similarity real) LANGUAGE sql STABLE AS $$
    SELECT r.deal_id, r.other_deal_id, r.similarity
    FROM (SELECT *, row_number() OVER (PARTITION BY p.deal_id ORDER BY p.similarity DESC, p.other_deal_id) AS n
          FROM t.pair AS p
          WHERE p.similarity >= p.threshold AND p.policy = 'flag'
            AND p.organization IS NOT DISTINCT FROM wanted_flags.organization) AS r
    WHERE r.n <= most
$$;

-- The flags that are there; and the same without the order of the two deals.
CREATE FUNCTION t.open_flags(organization text DEFAULT NULL)
RETURNS TABLE (deal_id bigint, other_deal_id bigint, similarity real) LANGUAGE sql STABLE AS $$
    SELECT f.deal_id, f.other_deal_id, f.similarity
    FROM crm_deals.deal_duplicate AS f JOIN crm_deals.deal AS d ON d.id = f.deal_id
    WHERE d.organization IS NOT DISTINCT FROM open_flags.organization AND f.resolution = 'open'
$$;
CREATE FUNCTION t.open_pairs(organization text DEFAULT NULL)
RETURNS TABLE (deal_id bigint, other_deal_id bigint, similarity real) LANGUAGE sql STABLE AS $$
    SELECT greatest(f.deal_id, f.other_deal_id), least(f.deal_id, f.other_deal_id), f.similarity
    FROM t.open_flags(organization) AS f
$$;

-- A pipeline of an organization of its own.
CREATE FUNCTION t.organization(name text, threshold real DEFAULT 0.85, scope text DEFAULT 'all',
                               policy text DEFAULT 'flag')
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    result bigint := crm_deals.create_pipeline('Of ' || name, organization => name);
BEGIN
    UPDATE crm_deals.pipeline SET duplicate_threshold = threshold, duplicate_scope = scope, duplicate_policy = policy
    WHERE id = result;
    RETURN result;
END
$$;

\i :include/same.sql

-- Names made of few words, with a typing error or two. Many pairs are near the threshold, on both sides; some are
-- equal.
CREATE FUNCTION t.word() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT (ARRAY['Acme', 'Umbrella', 'Corporation', 'Müller & Söhne', 'renewal', 'annual', 'maintenance', 'Lizenz',
                  'Zürich', 'support', 'contract', '2026', '2027', 'Phase', 'two', 'île', 'GmbH', 'Ω mega', '東京',
                  'site 7'])[1 + floor(random() * 20)::integer]
$$;
CREATE FUNCTION t.slip(name text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    place integer := 1 + floor(random() * length(name))::integer;
    letter text := chr(97 + floor(random() * 26)::integer);
BEGIN
    RETURN CASE floor(random() * 4)
        WHEN 0 THEN overlay(name PLACING letter FROM place FOR 1)
        WHEN 1 THEN overlay(name PLACING letter FROM place FOR 0)
        WHEN 2 THEN coalesce(nullif(btrim(overlay(name PLACING '' FROM place FOR 1)), ''), name)
        ELSE upper(name) END;
END
$$;
CREATE FUNCTION t.random_names(number integer) RETURNS TABLE (n integer, name text) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known text[] := '{}';
BEGIN
    FOR i IN 1 .. number LOOP
        IF i % 4 = 1 THEN
            name := concat_ws(' ', t.word(), t.word(), t.word(), t.word(), CASE WHEN random() < 0.5 THEN t.word() END,
                              CASE WHEN random() < 0.5 THEN t.word() END);
        ELSE
            name := known[1 + floor(random() * cardinality(known))::integer];
            FOR slips IN 1 .. floor(random() * 3)::integer LOOP
                name := t.slip(name);
            END LOOP;
        END IF;
        known := known || name;
        n := i;
        RETURN NEXT;
    END LOOP;
END
$$;
