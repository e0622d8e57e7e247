-- The few functions of pgTAP that the tests use, because pgTAP does not exist for every server yet.
CREATE TEMPORARY SEQUENCE tap;
GRANT USAGE ON SEQUENCE tap TO public;    -- checks under SET ROLE count, too

CREATE OR REPLACE FUNCTION public.ok(passed boolean, description text) RETURNS text LANGUAGE sql AS $$
    SELECT format('%sok %s - %s', CASE WHEN passed THEN '' ELSE 'not ' END, nextval('pg_temp.tap'), description)
$$;

CREATE OR REPLACE FUNCTION public.report(passed boolean, have text, want text, description text)
RETURNS text LANGUAGE sql AS $$
    SELECT public.ok(passed, description)
           || CASE WHEN passed THEN ''
                   ELSE format(E'\n#         have: %s\n#         want: %s', coalesce(have, 'NULL'),
                               coalesce(want, 'NULL')) END
$$;

CREATE OR REPLACE FUNCTION public.is(have anyelement, want anyelement, description text) RETURNS text LANGUAGE sql AS $$
    SELECT public.report(have IS NOT DISTINCT FROM want, have::text, want::text, description)
$$;

CREATE OR REPLACE FUNCTION public.isnt(have anyelement, want anyelement, description text)
RETURNS text LANGUAGE sql AS $$
    SELECT public.report(have IS DISTINCT FROM want, have::text, 'anything else', description)
$$;

CREATE OR REPLACE FUNCTION public.matches(have text, pattern text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT public.report(coalesce(have ~ pattern, false), have, 'matching ' || pattern, description)
$$;

CREATE OR REPLACE FUNCTION public.alike(have text, pattern text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT public.report(coalesce(have LIKE pattern, false), have, 'like ' || pattern, description)
$$;

CREATE OR REPLACE FUNCTION public.unalike(have text, pattern text, description text) RETURNS text LANGUAGE sql AS $$
    SELECT public.report(coalesce(have NOT LIKE pattern, false), have, 'not like ' || pattern, description)
$$;

CREATE OR REPLACE FUNCTION public.cmp_ok(have anyelement, operator text, want anyelement, description text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    passed boolean;
BEGIN
    EXECUTE format('SELECT $1 %s $2', operator) INTO passed USING have, want;
    RETURN public.report(coalesce(passed, false), have::text, operator || ' ' || want::text, description);
END
$$;

CREATE OR REPLACE FUNCTION public.is_empty(query text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    rows text;
BEGIN
    EXECUTE format('SELECT string_agg(q::text, E''\n#   '') FROM (%s) AS q', query) INTO rows;
    RETURN public.report(rows IS NULL, rows, 'no row', description);
END
$$;

CREATE OR REPLACE FUNCTION public.set_eq(have text, want text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    different boolean;
BEGIN
    EXECUTE format('SELECT EXISTS ((%1$s) EXCEPT (%2$s)) OR EXISTS ((%2$s) EXCEPT (%1$s))', have, want) INTO different;
    RETURN public.report(NOT different, 'other rows', 'those of ' || want, description);
END
$$;

CREATE OR REPLACE FUNCTION public.no_plan() RETURNS SETOF boolean LANGUAGE sql AS 'SELECT true';

CREATE OR REPLACE FUNCTION public.finish() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT '1..' || currval('pg_temp.tap')
$$;
