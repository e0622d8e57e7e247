-- Compares the rows of two queries: 'same', or a few rows that one of them has more often.
CREATE FUNCTION t.same(query text, expected text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    difference text;
    compared bigint;
BEGIN
    EXECUTE format('WITH have AS MATERIALIZED (%s), want AS MATERIALIZED (%s)
                    SELECT (SELECT string_agg(x, E''\n'')
                            FROM ((SELECT ''has '' || left(h::text, 250) AS x
                                   FROM (SELECT * FROM have EXCEPT ALL SELECT * FROM want) AS h LIMIT 3)
                                  UNION ALL
                                  (SELECT ''lacks '' || left(w::text, 250)
                                   FROM (SELECT * FROM want EXCEPT ALL SELECT * FROM have) AS w LIMIT 3)) AS d),
                           (SELECT count(*) FROM want)', query, expected) INTO difference, compared;
    RETURN coalesce(difference, CASE compared WHEN 0 THEN 'no rows' ELSE 'same' END);
END
$$;
