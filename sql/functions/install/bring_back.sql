-- install() brings back what is missing: NOT NULL, defaults, identities, constraints, indexes, views, triggers and
-- comments. What has to be there is not written down a second time. The tables of the schema are made once more, empty
-- and under other names. PostgreSQL describes these models, and a rollback to a savepoint takes them away.

-- access: public
CREATE FUNCTION crm_deals_internal.relations_of_schema() RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(DISTINCT m.words[1])
    FROM unnest(crm_deals_internal.parts(true, true) || ARRAY['installation']) AS p (part)
    CROSS JOIN LATERAL regexp_matches(crm_deals_internal.schema(p.part),
                                      '(?:CREATE TABLE|CREATE OR REPLACE VIEW) crm_deals[.]([a-z0-9_]+)', 'g')
        AS m (words)
$$;
COMMENT ON FUNCTION crm_deals_internal.relations_of_schema() IS
    'Internal: lists the tables and views that the schema makes.';

-- The DDL of a part that makes models: tables and views get the prefix zq_, and so do names that are unique in a
-- schema. A short prefix leaves room for long names.
-- access: owner
CREATE FUNCTION crm_deals_internal.model_of(part text) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_replace(
        regexp_replace(crm_deals_internal.schema(part),
                       format(E'crm_deals[.](%s)\\M', array_to_string(crm_deals_internal.relations_of_schema(), '|')),
                       E'crm_deals.zq_\\1', 'g'),
        E'(INDEX|CONSTRAINT)\\s+([a-z0-9_]+)\\s+(ON|UNIQUE|PRIMARY|EXCLUDE)\\M', E'\\1 zq_\\2 \\3', 'g')
$$;
COMMENT ON FUNCTION crm_deals_internal.model_of(text) IS
    'Internal: returns DDL that makes a model of what the part makes.';

-- A model does not refer to a table of the host, since that would lock it. It refers to an empty table with the same
-- key and labels.
-- access: owner
CREATE FUNCTION crm_deals_internal.create_model_of_host(entity text, host regclass, columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key record := crm_deals_internal.primary_key(host);
BEGIN
    EXECUTE format('CREATE TABLE crm_deals.%I (%s, PRIMARY KEY (%I))', 'zq_host_' || entity,
                   (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ')
                    FROM pg_attribute AS a
                    WHERE a.attrelid = host AND a.attnum > 0 AND NOT a.attisdropped
                      AND (a.attname = key.name
                           OR a.attname IN (SELECT crm_deals_internal.mapped_column(m.entity, m.field, host, columns)
                                            FROM crm_deals_internal.mappable() AS m
                                            WHERE m.entity = create_model_of_host.entity AND m.in_label))),
                   key.name);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.create_model_of_host(text, regclass, jsonb) IS
    'Internal: makes the model of a table of the host.';

-- access: owner
CREATE FUNCTION crm_deals_internal.create_models(hosts jsonb, columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    host record;
    words jsonb := crm_deals_internal.words_of('owner', NULL, columns);
    part text;
BEGIN
    FOR host IN SELECT h.key AS entity, h.value::oid::regclass AS host_table FROM jsonb_each_text(hosts) AS h LOOP
        PERFORM crm_deals_internal.create_model_of_host(host.entity, host.host_table, columns);
        words := words || crm_deals_internal.words_of(host.entity, host.host_table, columns)
                 || jsonb_build_object(host.entity || '_table', 'crm_deals.zq_host_' || host.entity,
                                       host.entity || '_reference', 'REFERENCES crm_deals.zq_host_' || host.entity);
    END LOOP;
    FOREACH part IN ARRAY crm_deals_internal.parts(NOT hosts ? 'account', NOT hosts ? 'contact') LOOP
        EXECUTE crm_deals_internal.fill(crm_deals_internal.model_of(part), words);
        IF part IN ('account', 'contact') THEN
            words := words || crm_deals_internal.words_of(part, to_regclass('crm_deals.' || part), columns)
                     || jsonb_build_object(part || '_table', 'crm_deals.zq_' || part,
                                           part || '_reference', 'REFERENCES crm_deals.zq_' || part);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.create_models(jsonb, jsonb) IS
    'Internal: makes models of all tables, views and triggers.';

-- Describes our tables and views, or their models, whose names begin with the prefix: each column, NOT NULL, default,
-- identity, constraint, index, view, trigger and comment. "turn" is the order in which they can be made.
-- access: owner
CREATE FUNCTION crm_deals_internal.objects(prefix text)
RETURNS TABLE (turn integer, made oid, kind text, relation text, name text, definition text, detail text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH relation AS (
        SELECT c.oid, substr(c.relname, length(prefix) + 1) AS name, c.relkind, c.reloptions
        FROM pg_class AS c
        WHERE c.relnamespace = 'crm_deals'::regnamespace AND c.relkind IN ('r', 'p', 'v')
          AND c.relname IN (SELECT prefix || n FROM unnest(crm_deals_internal.relations_of_schema()) AS n)
    ), attribute AS (
        SELECT r.oid, r.name AS relation, a.attname::text AS name, a.attnum, a.attnotnull, a.attidentity,
               a.attgenerated, format_type(a.atttypid, a.atttypmod) AS type, d.adbin
        FROM relation AS r
        JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE r.relkind <> 'v'
    ), described AS (
        SELECT 1, a.oid, 'column', a.relation, a.name, a.type, NULL
        FROM attribute AS a
        UNION ALL
        SELECT 2, a.oid, 'not null', a.relation, a.name, 'NOT NULL', NULL
        FROM attribute AS a
        WHERE a.attnotnull
        UNION ALL
        SELECT 3, a.oid, 'default', a.relation, a.name, pg_get_expr(a.adbin, a.oid), NULL
        FROM attribute AS a
        WHERE a.adbin IS NOT NULL AND a.attgenerated = ''
        UNION ALL
        SELECT 3, a.oid, 'identity', a.relation, a.name,
               CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS' ELSE 'GENERATED BY DEFAULT' END, NULL
        FROM attribute AS a
        WHERE a.attidentity <> ''
        UNION ALL
        -- A CHECK comes after the triggers: rows of an older version are put right with their rules, before it is made.
        SELECT CASE WHEN c.contype IN ('p', 'u') THEN 4 WHEN c.contype = 'f' THEN 6 ELSE 10 END, c.oid, 'constraint',
               r.name, c.conname::text, pg_get_constraintdef(c.oid), NULL
        FROM relation AS r
        JOIN pg_constraint AS c ON c.conrelid = r.oid AND c.contype IN ('p', 'u', 'c', 'f', 'x')
        UNION ALL
        SELECT 7, i.indexrelid, 'index', r.name, c.relname::text, pg_get_indexdef(i.indexrelid), NULL
        FROM relation AS r
        JOIN pg_index AS i ON i.indrelid = r.oid
        JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
        UNION ALL
        SELECT 8, r.oid, 'view', r.name, r.name, pg_get_viewdef(r.oid),
               array_to_string(ARRAY(SELECT o FROM unnest(r.reloptions) AS o ORDER BY o), ', ')
        FROM relation AS r
        WHERE r.relkind = 'v'
        UNION ALL
        SELECT 9, t.oid, 'trigger', r.name, t.tgname::text, pg_get_triggerdef(t.oid), t.tgenabled::text
        FROM relation AS r
        JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
        UNION ALL
        SELECT 11, r.oid, 'comment', r.name, coalesce(a.attname::text, ''), d.description, r.relkind::text
        FROM relation AS r
        JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid
        LEFT JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = d.objsubid
    )
    SELECT d.turn, d.made, d.kind, d.relation, regexp_replace(d.name, '^' || prefix, ''),
           replace(regexp_replace(d.definition, '^(CREATE (?:UNIQUE )?INDEX )' || prefix, E'\\1'),
                   'crm_deals.' || prefix, 'crm_deals.'),
           d.detail
    FROM described AS d (turn, made, kind, relation, name, definition, detail)
$$;
COMMENT ON FUNCTION crm_deals_internal.objects(text) IS
    'Internal: describes tables, views and what belongs to them.';

-- A foreign key or a view of a model refers to the model of the host's table. The word in its place is a host's table.
-- A foreign key is made by the result, so names of the host's, which stand in quotes, are left alone. A view is only
-- compared with it.
-- access: owner
CREATE FUNCTION crm_deals_internal.of_host(kind text, definition text, words jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE kind
        WHEN 'constraint' THEN
            coalesce((SELECT m.words[1] || (of_host.words ->> (m.words[2] || '_table')) || m.words[3]
                      FROM regexp_matches(definition, E'^(FOREIGN KEY \\([a-z0-9_, ]+\\) REFERENCES )'
                                                      'crm_deals[.]host_(account|contact|owner)(\\(.*)$') AS m (words)),
                     definition)
        WHEN 'view' THEN
            crm_deals_internal.fill(regexp_replace(definition, E'crm_deals[.]host_(account|contact|owner)\\M',
                                                   E'@\\1_table@', 'g'), words)
        ELSE definition END
$$;
COMMENT ON FUNCTION crm_deals_internal.of_host(text, text, jsonb) IS
    'Internal: puts the table of the host in place of its model.';

-- access: owner
CREATE FUNCTION crm_deals_internal.wanted_objects(words jsonb, hosts jsonb, columns jsonb)
RETURNS TABLE (turn integer, made oid, kind text, relation text, name text, definition text, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    described jsonb;
BEGIN
    BEGIN
        PERFORM crm_deals_internal.create_models(hosts, columns);
        SELECT jsonb_agg(to_jsonb(o)) INTO described FROM crm_deals_internal.objects('zq_') AS o;
        IF jsonb_path_exists(described, '$[*].name ? (@ like_regex "^.{60}")') THEN
            RAISE EXCEPTION 'a name in the schema of crm_deals has more than 59 characters';
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'UD000', MESSAGE = 'the models are not kept';
    EXCEPTION WHEN SQLSTATE 'UD000' THEN
        NULL;
    END;
    RETURN QUERY
    SELECT o.turn, o.made, o.kind, o.relation, o.name, crm_deals_internal.of_host(o.kind, o.definition, words), o.detail
    FROM jsonb_to_recordset(described)
         AS o (turn integer, made oid, kind text, relation text, name text, definition text, detail text);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.wanted_objects(jsonb, jsonb, jsonb) IS
    'Internal: describes what install() makes in this version.';

-- An identity that is brought back gives no id twice, not even that of a deal that was deleted or merged.
-- access: owner
CREATE FUNCTION crm_deals_internal.next_id(relation text, name text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
    last_id bigint;
BEGIN
    EXECUTE format('SELECT max(%I) FROM crm_deals.%I', name, relation) INTO last_id;
    IF relation = 'deal' THEN
        last_id := greatest(last_id, (SELECT max(e.deal_id) FROM crm_deals.deal_event AS e),
                            (SELECT max(a.old_id) FROM crm_deals.deal_alias AS a));
    END IF;
    RETURN coalesce(greatest(last_id, 0), 0) + 1;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.next_id(text, text) IS
    'Internal: returns an id behind all that a table has given.';

-- Views and triggers are made by the schema's own statements. If they were made by PostgreSQL's description, it could
-- describe them in other words again.
-- access: owner
CREATE FUNCTION crm_deals_internal.statement_of(kind text, relation text, name text, words jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.fill(s.statement, words)
    FROM unnest(crm_deals_internal.parts(true, true)) AS p (part)
    CROSS JOIN LATERAL regexp_split_to_table(crm_deals_internal.schema(p.part), E';\\s*\\n') AS s (statement)
    WHERE CASE kind WHEN 'view' THEN s.statement ~ format(E'VIEW crm_deals[.]%s\\M', name)
                    WHEN 'trigger'
                    THEN s.statement ~ format(E'TRIGGER %s\\M.* ON crm_deals[.]%s\\M', name, relation) END
$$;
COMMENT ON FUNCTION crm_deals_internal.statement_of(text, text, text, jsonb) IS
    'Internal: returns the statement of the schema that makes a view or a trigger.';

-- A view or trigger that is of another version is replaced. A constraint, an index or a default that the user changed
-- stays: only its name has to be there.
-- access: owner
CREATE FUNCTION crm_deals_internal.missing_objects(words jsonb, hosts jsonb, columns jsonb)
RETURNS TABLE (kind text, relation text, name text, command text)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT w.kind, w.relation, w.name,
           CASE w.kind
               WHEN 'not null' THEN format('ALTER TABLE crm_deals.%I ALTER COLUMN %I SET NOT NULL', w.relation, w.name)
               WHEN 'default' THEN format('ALTER TABLE crm_deals.%I ALTER COLUMN %I SET DEFAULT %s', w.relation, w.name,
                                          w.definition)
               WHEN 'identity' THEN format('ALTER TABLE crm_deals.%I ALTER COLUMN %I ADD %s AS IDENTITY (START %s)',
                                           w.relation, w.name, w.definition,
                                           crm_deals_internal.next_id(w.relation, w.name))
               WHEN 'constraint' THEN format('ALTER TABLE crm_deals.%I ADD CONSTRAINT %I %s', w.relation, w.name,
                                             w.definition)
               WHEN 'index' THEN w.definition
               WHEN 'view' THEN crm_deals_internal.statement_of(w.kind, w.relation, w.name, words)
               -- A trigger that the user made ENABLE ALWAYS or disabled stays so.
               WHEN 'trigger' THEN crm_deals_internal.statement_of(w.kind, w.relation, w.name, words)
                    || coalesce(format('; ALTER TABLE crm_deals.%I %s TRIGGER %I', w.relation,
                                       CASE p.detail WHEN 'A' THEN 'ENABLE ALWAYS'
                                                     WHEN 'R' THEN 'ENABLE REPLICA'
                                                     WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END, w.name), '')
               WHEN 'comment' THEN format('COMMENT ON %s IS %L',
                                          CASE WHEN w.name <> ''
                                               THEN format('COLUMN crm_deals.%I.%I', w.relation, w.name)
                                               WHEN w.detail = 'v' THEN format('VIEW crm_deals.%I', w.relation)
                                               ELSE format('TABLE crm_deals.%I', w.relation) END, w.definition)
           END
    FROM crm_deals_internal.wanted_objects(words, hosts, columns) AS w
    LEFT JOIN crm_deals_internal.objects('') AS p
        ON p.kind = w.kind AND p.relation = w.relation AND p.name = w.name
    WHERE p.kind IS NULL OR (w.kind IN ('column', 'view', 'trigger') AND p.definition <> w.definition)
       OR (w.kind = 'view' AND p.detail <> w.detail)
    ORDER BY w.turn, w.made
$$;
COMMENT ON FUNCTION crm_deals_internal.missing_objects(jsonb, jsonb, jsonb) IS
    'Internal: returns what is missing, each with the command that makes it, or NULL.';

-- In 0.1 a closed stage could have any probability. Its deals follow, as with any change of a stage. install() keeps
-- the session's NOTICEs back, but not this one.
-- access: owner
CREATE FUNCTION crm_deals_internal.correct_stage_probabilities() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = notice
AS $$
DECLARE
    corrected text;
BEGIN
    SELECT string_agg(format('"%s" of pipeline "%s" had %s', s.name, p.name, s.probability), ', ' ORDER BY s.id)
    INTO corrected
    FROM crm_deals.stage AS s
    JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id
    WHERE s.status <> 'open' AND s.probability <> CASE s.status WHEN 'won' THEN 100 ELSE 0 END;
    IF corrected IS NULL THEN
        RETURN;
    END IF;
    UPDATE crm_deals.stage AS s
    SET probability = CASE s.status WHEN 'won' THEN 100 ELSE 0 END
    WHERE s.status <> 'open' AND s.probability <> CASE s.status WHEN 'won' THEN 100 ELSE 0 END;
    RAISE NOTICE 'the probability of closed stages was corrected'
        USING DETAIL = format('It is 100 if a stage is won, else 0. Stage %s.', corrected);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.correct_stage_probabilities() IS
    'Internal: gives won stages 100 per cent, and lost and abandoned ones 0.';

-- What cannot be brought back is named, all of it at once: a column that is gone or of another type, a constraint that
-- rows break.
-- access: owner
CREATE FUNCTION crm_deals_internal.bring_back(words jsonb, hosts jsonb, columns jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing record;
    reason text;
    state text;
    failures text[] := '{}';
BEGIN
    FOR missing IN SELECT m.* FROM crm_deals_internal.missing_objects(words, hosts, columns) AS m LOOP
        BEGIN
            IF missing.command IS NULL THEN
                RAISE EXCEPTION 'it is missing or of another type';
            END IF;
            IF missing.name = 'stage_probability' THEN
                PERFORM crm_deals_internal.correct_stage_probabilities();
            END IF;
            EXECUTE missing.command;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, reason = MESSAGE_TEXT;
            IF left(state, 2) IN ('40', '53', '57', '58', 'XX') OR state = '55P03' THEN
                RAISE;
            ELSIF state IN ('42P07', '42710', '42P16')
                AND current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'could not serialize access due to concurrent changes of the tables of crm_deals'
                    USING ERRCODE = '40001';
            END IF;
            failures := failures || format('The %s "%s" of crm_deals.%s: %s.', missing.kind, missing.name,
                                           missing.relation, reason);
        END;
    END LOOP;
    IF failures <> '{}' THEN
        RAISE EXCEPTION 'install() cannot bring back all that crm_deals needs'
            USING ERRCODE = '55000',
                  DETAIL = array_to_string(failures, E'\n'),
                  HINT = 'Repair what is named, then call install() again.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.bring_back(jsonb, jsonb, jsonb) IS
    'Internal: makes what is missing or of an older version.';
