# pipeline_changes by another program: deal by deal, from what deals_as_of() says of the two moments, in the words of
# section 15 of the contract.
#
#   told.compare(from_at, to_at, pipeline, close_from, close_to, filter, condition, group_by, groups)
#
# returns where crm_deals.pipeline_changes() differs, NULL if nowhere. The condition says in SQL what the filter means,
# over a row d of deals_as_of(), with TODAY for the day of the moment; groups are those of d, an array of texts.
package Changes;
use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(told_changes);

sub told_changes
{
	return <<'SQL';
CREATE SCHEMA told;
-- What happened, a row for each deal and cell; and the answers that were compared, to see that every change occurred.
CREATE TABLE told.step (group_key text, currency text, change text, deals integer, amount numeric);
CREATE TABLE told.answer (change text, deals bigint, amount numeric);

-- The creation of a deal, by its row, else by the last event that names it.
CREATE FUNCTION told.created_at(deal bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT d.created_at FROM crm_deals.deal AS d WHERE d.id = deal),
                    (SELECT coalesce(e.changes -> 'created_at' ->> 0, e.changes -> 'created_at' ->> 1)::timestamptz
                     FROM crm_deals.deal_event AS e
                     WHERE e.deal_id = deal AND e.changes ? 'created_at' ORDER BY e.version DESC LIMIT 1))
$$;

CREATE FUNCTION told.note(groups text[], currency text, change text, deals integer, amount numeric) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO told.step SELECT g, currency, change, deals, amount FROM unnest(groups) AS g
$$;

CREATE FUNCTION told.common(a text[], b text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT unnest(a) INTERSECT SELECT unnest(b))
$$;
CREATE FUNCTION told.without(a text[], b text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT unnest(a) EXCEPT SELECT unnest(b))
$$;

CREATE TYPE told.deal AS (id bigint, status text, amount numeric, currency text, closed_at timestamptz, fits boolean,
                          is_in boolean, groups_in text[]);
CREATE FUNCTION told.deals(at timestamptz, pipeline bigint, close_from date, close_to date, condition text, groups text)
RETURNS SETOF told.deal LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT f.id, f.status, coalesce(f.amount, 0), f.currency, f.closed_at, f.fits,
                                        f.fits AND f.status = ''open''
                                        AND ($2 IS NULL OR f.expected_close_date >= $2) IS TRUE
                                        AND ($3 IS NULL OR f.expected_close_date <= $3) IS TRUE, f.groups_in
                                 FROM (SELECT d.*, ($1 IS NULL OR d.pipeline_id = $1) AND (%s) IS TRUE AS fits,
                                              %s AS groups_in
                                       FROM crm_deals.deals_as_of(%L) AS d) AS f',
                                replace(condition, 'TODAY', format('date %L', at::date)), groups, at)
    USING pipeline, close_from, close_to;
END
$$;

CREATE FUNCTION told.tell(from_at timestamptz, to_at timestamptz, pipeline bigint, close_from date, close_to date,
                          condition text, groups text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pair record;
    g0 text[];
    g1 text[];
    same text[];    -- groups of cells that the deal was and is in
    came text;
BEGIN
    FOR pair IN
        SELECT b, a, coalesce(a.id, b.id) AS id, b.amount AS a0, a.amount AS a1
        FROM told.deals(from_at, pipeline, close_from, close_to, condition, groups) AS b
        FULL JOIN told.deals(to_at, pipeline, close_from, close_to, condition, groups) AS a ON a.id = b.id
    LOOP
        g0 := (pair.b).groups_in;
        g1 := (pair.a).groups_in;
        same := CASE WHEN (pair.b).currency = (pair.a).currency THEN told.common(g0, g1) ELSE '{}' END;
        IF (pair.b).is_in THEN
            PERFORM told.note(g0, (pair.b).currency, 'opening', 1, pair.a0);
        END IF;
        IF (pair.a).is_in THEN
            PERFORM told.note(g1, (pair.a).currency, 'closing', 1, pair.a1);
        END IF;

        IF (pair.b).is_in AND ((pair.a).is_in OR (pair.a).status <> 'open') THEN
            PERFORM told.note(told.without(g0, same), (pair.b).currency, 'left', -1, -pair.a0);
            PERFORM told.note(told.without(g1, same), (pair.a).currency, 'entered', 1, pair.a1);
            IF (pair.a).status IN ('open', 'won') AND pair.a1 > pair.a0 THEN
                PERFORM told.note(same, (pair.a).currency, 'increased', 1, pair.a1 - pair.a0);
            ELSIF (pair.a).status IN ('open', 'won') AND pair.a1 < pair.a0 THEN
                PERFORM told.note(same, (pair.a).currency, 'decreased', -1, pair.a1 - pair.a0);
            END IF;
            IF (pair.a).status = 'won' THEN
                PERFORM told.note(same, (pair.a).currency, 'won', -1, -pair.a1);
            ELSIF (pair.a).status <> 'open' THEN
                PERFORM told.note(same, (pair.a).currency, (pair.a).status, -1, -pair.a0);
            END IF;
            IF (pair.a).status <> 'open' THEN
                PERFORM told.note(told.without(g1, same), (pair.a).currency, (pair.a).status, -1, -pair.a1);
            END IF;
        ELSIF (pair.b).is_in THEN
            PERFORM told.note(g0, (pair.b).currency,
                              CASE WHEN (pair.a).id IS NULL THEN 'deleted'
                                   WHEN (pair.a).fits THEN 'pushed_out' ELSE 'left' END, -1, -pair.a0);
        ELSIF (pair.a).is_in
              OR (pair.a).status <> 'open' AND (pair.a).fits
                 AND (pair.a).closed_at > from_at AND (pair.a).closed_at <= to_at
                 AND (close_from IS NULL OR (pair.a).closed_at::date >= close_from)
                 AND (close_to IS NULL OR (pair.a).closed_at::date <= close_to) THEN
            came := CASE WHEN (pair.b).id IS NULL AND told.created_at(pair.id) > from_at THEN 'created'
                         WHEN (pair.b).id IS NULL THEN 'entered'
                         WHEN (pair.b).status <> 'open' THEN 'reopened'
                         WHEN (pair.b).fits THEN 'pulled_in'
                         ELSE 'entered' END;
            PERFORM told.note(g1, (pair.a).currency, came, 1, pair.a1);
            IF NOT (pair.a).is_in THEN
                PERFORM told.note(g1, (pair.a).currency, (pair.a).status, -1, -pair.a1);
            END IF;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION told.compare(from_at timestamptz, to_at timestamptz, pipeline text, close_from date, close_to date,
                             filter jsonb, condition text, group_by text, groups text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    differences text;
BEGIN
    DELETE FROM told.step;
    PERFORM told.tell(from_at, to_at, (SELECT p.id FROM crm_deals.pipeline AS p WHERE p.name = compare.pipeline),
                      close_from, close_to, condition, groups);
    WITH ours AS MATERIALIZED (
        SELECT c.group_key, c.currency, c.change, c.deal_count, c.amount
        FROM crm_deals.pipeline_changes(from_at, to_at, pipeline, close_from, close_to, filter, group_by) AS c
    ), theirs AS MATERIALIZED (
        SELECT s.group_key, s.currency, s.change, sum(s.deals) AS deal_count, sum(s.amount) AS amount
        FROM told.step AS s GROUP BY s.group_key, s.currency, s.change
    ), kept AS (
        INSERT INTO told.answer SELECT o.change, o.deal_count, o.amount FROM ours AS o
    ), unequal AS (
        SELECT o.group_key, o.currency FROM ours AS o GROUP BY o.group_key, o.currency
        HAVING sum(CASE o.change WHEN 'closing' THEN -o.amount ELSE o.amount END) <> 0
            OR sum(CASE WHEN o.change = 'closing' THEN -o.deal_count
                        WHEN o.change IN ('increased', 'decreased') THEN 0 ELSE o.deal_count END) <> 0
    )
    SELECT string_agg(x.what, '; ') INTO differences
    FROM (SELECT 'more: ' || m::text FROM (SELECT * FROM ours EXCEPT ALL SELECT * FROM theirs) AS m
          UNION ALL
          SELECT 'less: ' || l::text FROM (SELECT * FROM theirs EXCEPT ALL SELECT * FROM ours) AS l
          UNION ALL
          SELECT 'opening and the rest is not closing: ' || u::text FROM unequal AS u) AS x (what);
    RETURN differences;
END
$$;
SQL
}

1;
