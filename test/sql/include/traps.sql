-- trap.lay(schema) makes objects there that raise when they are used, and returns how many: operators between all of
-- these types (pg_catalog has no "oid = regclass", for instance), functions, an aggregate, domains and tables.
CREATE SCHEMA trap;
CREATE FUNCTION trap.raise() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.lay(schema text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    types text[] := '{oid,regclass,regproc,regprocedure,regnamespace,regrole,name,text,"\"char\"",bigint,integer,jsonb,
                      text[],oid[]}';
    trap record;
    laid bigint := 0;
BEGIN
    FOR trap IN
        SELECT o.name, l.type AS left_type, r.type AS right_type
        FROM unnest('{=,<>,<,||,~,?,+}'::text[]) AS o (name),
             unnest(types) AS l (type), unnest(types) AS r (type)
    LOOP
        EXECUTE format('CREATE FUNCTION %1$I.%2$I(%3$s, %4$s) RETURNS boolean LANGUAGE sql AS ''SELECT trap.raise()''',
                       schema, 'op' || laid, trap.left_type, trap.right_type);
        EXECUTE format('CREATE OPERATOR %1$I.%2$s (LEFTARG = %3$s, RIGHTARG = %4$s, FUNCTION = %1$I.%5$I)',
                       schema, trap.name, trap.left_type, trap.right_type, 'op' || laid);
        laid := laid + 1;
    END LOOP;
    FOR trap IN
        SELECT DISTINCT ON (p.proname, p.proargtypes) p.proname AS name,
               pg_get_function_identity_arguments(p.oid) AS arguments
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.provariadic = 0
          AND NOT 'internal'::regtype = ANY (p.proargtypes) AND p.proargmodes IS NULL
          AND p.proname IN ('format_type', 'quote_ident', 'quote_literal', 'to_regclass', 'to_regnamespace', 'unnest',
                            'to_regprocedure', 'pg_get_userbyid', 'pg_describe_object', 'aclexplode', 'lower', 'btrim',
                            'array_to_string', 'string_to_array', 'to_jsonb', 'jsonb_each', 'jsonb_each_text', 'now',
                            'current_setting', 'set_config', 'pg_has_role', 'has_function_privilege', 'strpos', 'left',
                            'regexp_replace', 'pg_get_indexdef', 'pg_get_expr', 'starts_with', 'hashtextextended')
    LOOP
        EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS boolean LANGUAGE sql AS ''SELECT trap.raise()''',
                       schema, trap.name, trap.arguments);
        laid := laid + 1;
    END LOOP;
    EXECUTE format('CREATE FUNCTION %1$I.format(text, text) RETURNS text LANGUAGE sql AS ''SELECT trap.raise()::text'';
                    CREATE FUNCTION %1$I.format(text, regrole) RETURNS text LANGUAGE sql AS ''SELECT trap.raise()::text'';
                    CREATE FUNCTION %1$I.format(text, regprocedure) RETURNS text
                        LANGUAGE sql AS ''SELECT trap.raise()::text'';
                    CREATE FUNCTION %1$I.format(text, text, text) RETURNS text
                        LANGUAGE sql AS ''SELECT trap.raise()::text'';
                    CREATE AGGREGATE %1$I.string_agg(text, text) (SFUNC = %1$I.format, STYPE = text);
                    CREATE DOMAIN %1$I.text AS pg_catalog.text CHECK (trap.raise());
                    CREATE DOMAIN %1$I.regclass AS pg_catalog.regclass CHECK (trap.raise());
                    CREATE TABLE %1$I.pg_class (oid oid); CREATE TABLE %1$I.pg_proc (oid oid);
                    CREATE TABLE %1$I.pg_extension (oid oid); CREATE TABLE %1$I.pg_depend (objid oid)', schema);
    RETURN laid;
END
$$;
