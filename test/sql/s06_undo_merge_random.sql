\set ECHO none
\getenv here PG_ABS_SRCDIR
\getenv soak SOAK
\set include :here /sql/include
\i :include/installed.sql
-- Sections 5 and 6: merges, later changes and undos at random, against a model that knows only copies of the tables.
-- With SOAK in the environment it takes minutes. A difference names its seed.
ALTER TABLE crm_deals.deal ADD COLUMN parent_id bigint REFERENCES crm_deals.deal, ADD COLUMN span interval;
ALTER TABLE crm_deals.deal_contact ADD COLUMN weight numeric;
INSERT INTO crm_deals.account (name) VALUES ('A'), ('B');
INSERT INTO crm_deals.contact (first_name) SELECT 'c' || n FROM generate_series(1, 4) AS n;
CREATE FUNCTION t.dice(sides integer) RETURNS integer LANGUAGE sql AS 'SELECT floor(random() * sides)::integer';
-- A value in half of the cases.
CREATE FUNCTION t.maybe(value anyelement) RETURNS anyelement LANGUAGE sql AS
    'SELECT CASE WHEN random() < 0.5 THEN value END';

CREATE FUNCTION t.deal_at_random() RETURNS bigint LANGUAGE sql AS
    'SELECT id FROM crm_deals.deal ORDER BY random() LIMIT 1';
CREATE FUNCTION t.fill(deals integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm_deals.deal (name, stage_id, amount, currency, notes, source, account_id, primary_contact_id, span,
                                external_id, custom_fields, expected_close_date, lost_reason)
    SELECT 'Bridge project ' || g % 5, s.id, t.maybe(t.dice(1000) / 7.0), t.maybe('USD'::text), t.maybe('note ' || g),
           t.maybe('web'::text), t.maybe(1 + t.dice(2)), t.maybe(1 + t.dice(4)),
           t.maybe(make_interval(months => t.dice(5), secs => t.dice(99))),
           t.maybe(format('x%s-%s', g, t.dice(1e9::integer))),
           jsonb_strip_nulls(jsonb_build_object('a', t.maybe(t.dice(9)), 'b', t.maybe('[1, {"x": 2}]'::jsonb))),
           t.maybe('2030-01-01'::date + t.dice(99)), CASE s.status WHEN 'lost' THEN 'why' END
    FROM generate_series(1, deals) AS g,
         LATERAL (SELECT s.id, s.status FROM crm_deals.stage AS s WHERE g > 0 ORDER BY random() LIMIT 1) AS s;
    UPDATE crm_deals.deal SET parent_id = t.maybe(t.deal_at_random());
    INSERT INTO crm_deals.activity (kind, subject, body, deal_id)
    SELECT 'call', 'call ' || g, t.maybe('body'::text), t.deal_at_random() FROM generate_series(1, 2 * deals) AS g;
    INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role, weight)
    SELECT d.id, c.id, t.maybe((ARRAY['buyer', 'decides', 'Buyer', 'pays, signs', ''])[1 + t.dice(5)]), t.maybe(0.10)
    FROM crm_deals.deal AS d, crm_deals.contact AS c WHERE random() < 0.4;
    INSERT INTO crm_deals.lead (company_name, status, converted_at, deal_id)
    SELECT 'lead ' || g, 'converted', now(), t.deal_at_random() FROM generate_series(1, deals / 2) AS g;
    PERFORM crm_deals.dismiss_duplicate(f.deal_id, f.other_deal_id, 'eve')
    FROM crm_deals.deal_duplicate AS f WHERE random() < 0.3;
END
$$;

-- Copies: every row of the tables as JSON, under its key.
CREATE TABLE t.copy (round text, relation text, key text, row jsonb);
CREATE FUNCTION t.rows() RETURNS TABLE (relation text, key text, "row" jsonb) LANGUAGE sql AS $$
    SELECT 'deal', d.id::text, to_jsonb(d) - 'version'::text - 'updated_at'::text FROM crm_deals.deal AS d
    UNION ALL SELECT 'activity', a.id::text, to_jsonb(a) FROM crm_deals.activity AS a
    UNION ALL SELECT 'stakeholder', c.deal_id || '-' || c.contact_id, to_jsonb(c) FROM crm_deals.deal_contact AS c
    UNION ALL SELECT 'lead', l.id::text, to_jsonb(l) FROM crm_deals.lead AS l
    UNION ALL SELECT 'alias', a.old_id::text, to_jsonb(a) FROM crm_deals.deal_alias AS a
    UNION ALL SELECT 'flag', least(f.deal_id, f.other_deal_id) || '-' || greatest(f.deal_id, f.other_deal_id),
                     to_jsonb(f)
    FROM crm_deals.deal_duplicate AS f
$$;
CREATE FUNCTION t.copy(name text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM t.copy WHERE round = name;
    INSERT INTO t.copy SELECT name, r.* FROM t.rows() AS r;
$$;
CREATE FUNCTION t.difference(name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(x.line, E'\n')
    FROM (SELECT format('%s %s: is %s, was %s', relation, key, r.row, c.row) AS line
          FROM t.rows() AS r FULL JOIN (SELECT * FROM t.copy WHERE round = name) AS c USING (relation, key)
          WHERE r.row IS DISTINCT FROM c.row LIMIT 3) AS x
$$;

-- Two deals that may be merged: the survivor ranks at least as high.
CREATE FUNCTION t.pair(OUT survivor bigint, OUT duplicate bigint) LANGUAGE sql AS $$
    SELECT s.id, d.id
    FROM crm_deals.deal AS s, crm_deals.deal AS d
    WHERE s.id <> d.id
      AND (s.status = 'won' OR s.status = 'open' AND d.status <> 'won' OR d.status IN ('lost', 'abandoned'))
    ORDER BY random() LIMIT 1
$$;
CREATE FUNCTION t.batch(duplicate bigint) RETURNS bigint LANGUAGE sql AS $$
    SELECT batch_id FROM crm_deals.deal_event
    WHERE deal_id = duplicate AND kind = 'merged' ORDER BY version DESC LIMIT 1
$$;

-- Some merges one after the other, undone from the last to the first: all is as it was.
CREATE FUNCTION t.there_and_back(merges integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    pair record;
    gone bigint[] := '{}';
    outcomes text;
BEGIN
    PERFORM t.copy('before');
    FOR n IN 1..merges LOOP
        SELECT * INTO pair FROM t.pair();
        PERFORM crm_deals.merge_deals(pair.survivor, pair.duplicate);
        gone := pair.duplicate || gone;
    END LOOP;
    FOR n IN 1..merges LOOP
        SELECT string_agg(DISTINCT u.outcome || coalesce(' ' || u.detail, ''), ', ') INTO outcomes
        FROM crm_deals.undo_batch(t.batch(gone[n])) AS u;
        IF outcomes <> 'reverted' THEN
            RETURN outcomes;
        END IF;
    END LOOP;
    RETURN t.difference('before');
END
$$;

-- What the tables shall hold after the undo of one merge: computed from the copies before the merge, after it, and
-- after later changes.
CREATE FUNCTION t.model(s bigint, d bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := (SELECT row FROM t.copy WHERE round = 'before' AND relation = 'deal' AND key = s::text);
    merged jsonb := (SELECT row FROM t.copy WHERE round = 'merged' AND relation = 'deal' AND key = s::text);
    later jsonb := (SELECT row FROM t.copy WHERE round = 'later' AND relation = 'deal' AND key = s::text);
    now CONSTANT jsonb := later;
    field text;
BEGIN
    DELETE FROM t.copy WHERE round = 'model';
    INSERT INTO t.copy SELECT 'model', relation, key, row FROM t.copy WHERE round = 'later' AND relation <> 'flag';
    INSERT INTO t.copy SELECT 'model', relation, key, row FROM t.copy WHERE round = 'before' AND relation = 'flag';
    -- The duplicate as it was, the survivor value by value
    INSERT INTO t.copy SELECT 'model', relation, key, row FROM t.copy
    WHERE round = 'before' AND relation = 'deal' AND key = d::text;
    FOR field IN SELECT jsonb_object_keys(before) EXCEPT VALUES ('custom_fields') LOOP
        IF merged -> field <> before -> field AND field <> 'parent_id'
           AND (CASE WHEN field IN ('amount', 'currency')
                     THEN merged -> 'amount' = now -> 'amount' AND merged -> 'currency' = now -> 'currency'
                     ELSE merged -> field = now -> field END) THEN
            later := jsonb_set(later, ARRAY[field], before -> field);
        END IF;
    END LOOP;
    FOR field IN SELECT jsonb_object_keys(merged -> 'custom_fields') LOOP
        IF before -> 'custom_fields' -> field IS NULL
           AND merged -> 'custom_fields' -> field = now -> 'custom_fields' -> field THEN
            later := later #- ARRAY['custom_fields', field];
        END IF;
    END LOOP;
    UPDATE t.copy SET row = later WHERE round = 'model' AND relation = 'deal' AND key = s::text;
    -- What referred to the duplicate, and refers to the survivor still. A survivor that took its parent from the
    -- duplicate has it back by value.
    UPDATE t.copy AS m SET row = jsonb_set(m.row, ARRAY[f.name], to_jsonb(d))
    FROM t.copy AS b, (VALUES ('deal', 'parent_id'), ('activity', 'deal_id'), ('lead', 'deal_id')) AS f (relation, name)
    WHERE m.round = 'model' AND b.round = 'before' AND (m.relation, m.key) = (b.relation, b.key)
      AND m.relation = f.relation AND b.row -> f.name = to_jsonb(d) AND m.row -> f.name = to_jsonb(s)
      AND (m.relation, m.key) <> ('deal', d::text);
    UPDATE t.copy AS m SET row = jsonb_set(m.row, '{parent_id}', before -> 'parent_id')
    WHERE m.round = 'model' AND m.relation = 'deal' AND m.key = s::text
      AND before -> 'parent_id' = 'null' AND merged -> 'parent_id' = m.row -> 'parent_id';
    -- The note
    DELETE FROM t.copy AS m
    WHERE m.round = 'model' AND m.relation = 'activity' AND m.row ->> 'kind' = 'note'
      AND m.row ->> 'body' = (SELECT row ->> 'notes' FROM t.copy
                              WHERE round = 'before' AND relation = 'deal' AND key = d::text)
      AND NOT EXISTS (SELECT FROM t.copy AS b WHERE b.round = 'before' AND (b.relation, b.key) = (m.relation, m.key));
    -- Stakeholders of both deals: the duplicate's row as it was, the survivor's role unless somebody changed it
    UPDATE t.copy AS m SET row = jsonb_set(m.row, '{role}', b.row -> 'role')
    FROM t.copy AS b, t.copy AS g
    WHERE m.round = 'model' AND b.round = 'before' AND g.round = 'merged' AND m.relation = 'stakeholder'
      AND (m.relation, m.key) = (b.relation, b.key) AND (m.relation, m.key) = (g.relation, g.key)
      AND m.row ->> 'deal_id' = s::text AND m.row -> 'role' = g.row -> 'role'
      AND EXISTS (SELECT FROM t.copy AS o WHERE o.round = 'before' AND o.relation = 'stakeholder'
                  AND o.key = format('%s-%s', d, b.row ->> 'contact_id'));
    INSERT INTO t.copy
    SELECT 'model', b.relation, b.key, b.row FROM t.copy AS b
    WHERE b.round = 'before' AND b.relation = 'stakeholder' AND b.row ->> 'deal_id' = d::text
      AND EXISTS (SELECT FROM t.copy AS o WHERE o.round = 'before' AND o.relation = 'stakeholder'
                  AND o.key = format('%s-%s', s, b.row ->> 'contact_id'));
    -- Those of the duplicate alone go back as they are now
    UPDATE t.copy AS m
    SET key = format('%s-%s', d, m.row ->> 'contact_id'), row = jsonb_set(m.row, '{deal_id}', to_jsonb(d))
    WHERE m.round = 'model' AND m.relation = 'stakeholder' AND m.row ->> 'deal_id' = s::text
      AND EXISTS (SELECT FROM t.copy AS b WHERE b.round = 'before' AND b.relation = 'stakeholder'
                  AND b.key = format('%s-%s', d, m.row ->> 'contact_id'))
      AND NOT EXISTS (SELECT FROM t.copy AS b WHERE b.round = 'before' AND (b.relation, b.key) = (m.relation, m.key));
    DELETE FROM t.copy AS m WHERE m.round = 'model' AND m.relation = 'alias' AND m.key = d::text;
END
$$;
CREATE FUNCTION t.change_at_random(s bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CASE t.dice(9)
        WHEN 0 THEN UPDATE crm_deals.deal SET amount = t.dice(1000) WHERE id = s;
        WHEN 1 THEN UPDATE crm_deals.deal SET source = 'fair', span = '3 days' WHERE id = s;
        WHEN 2 THEN UPDATE crm_deals.deal SET custom_fields = custom_fields || '{"a": 77, "z": 1}' WHERE id = s;
        WHEN 3 THEN UPDATE crm_deals.deal SET external_id = NULL, account_id = 1 WHERE id = s;
        WHEN 4 THEN UPDATE crm_deals.activity SET deal_id = t.deal_at_random()
                    WHERE deal_id = s AND kind = 'call' AND random() < 0.5;
        WHEN 5 THEN DELETE FROM crm_deals.activity WHERE deal_id = s AND kind = 'call' AND random() < 0.3;
        WHEN 6 THEN UPDATE crm_deals.deal_contact SET role = 'later' WHERE deal_id = s AND random() < 0.4;
        WHEN 7 THEN DELETE FROM crm_deals.deal_contact WHERE deal_id = s AND random() < 0.3;
        ELSE INSERT INTO crm_deals.activity (kind, subject, deal_id) VALUES ('call', 'later', s);
    END CASE;
END
$$;
-- One merge, later changes, the undo: as the model says.
CREATE FUNCTION t.with_later_changes() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    pair record;
BEGIN
    PERFORM t.copy('before');
    SELECT * INTO pair FROM t.pair();
    PERFORM crm_deals.merge_deals(pair.survivor, pair.duplicate);
    PERFORM t.copy('merged');
    PERFORM t.change_at_random(pair.survivor) FROM generate_series(1, 1 + t.dice(4));
    PERFORM t.copy('later');
    PERFORM t.model(pair.survivor, pair.duplicate);
    PERFORM crm_deals.undo_batch(t.batch(pair.duplicate));
    RETURN t.difference('model');
END
$$;
-- Each round is rolled back, and has its own seed.
CREATE FUNCTION t.rounds(what text, number integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    difference text;
BEGIN
    FOR n IN 1..number LOOP
        PERFORM setseed(n / 10000.0);
        BEGIN
            EXECUTE 'SELECT ' || what INTO difference;
            IF difference IS NULL AND EXISTS (SELECT FROM crm_deals.verify()) THEN
                difference := (SELECT string_agg(v.detail, ', ') FROM crm_deals.verify() AS v);
            END IF;
            RAISE EXCEPTION 'rolled back' USING ERRCODE = 'TT000';
        EXCEPTION WHEN SQLSTATE 'TT000' THEN
            IF difference IS NOT NULL THEN
                RETURN NEXT format('seed %s: %s', n, difference);
            END IF;
        END;
    END LOOP;
END
$$;
SELECT setseed(0.5), t.fill(14) \gset none_
ANALYZE crm_deals.deal, crm_deals.deal_event, crm_deals.deal_contact, crm_deals.activity;
\if :{?soak}
    \set rounds 1500
\else
    \set rounds 6
\endif
SELECT cmp_ok((SELECT count(*) FROM crm_deals.deal_duplicate), '>', 10::bigint, 'there are flags');
SELECT is_empty(format('SELECT t.rounds(''t.there_and_back(1 + t.dice(4))'', %s)', :rounds),
                'merges undone from the last to the first: all is as before');
SELECT is_empty(format('SELECT t.rounds(''t.with_later_changes()'', 2 * %s)', :rounds),
                'a merge, later changes of the survivor, the undo: as the model says');

SELECT * FROM finish();
