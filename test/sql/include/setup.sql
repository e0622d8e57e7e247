-- Every test begins with an empty schema of its own, and prints one line for each check.
\set QUIET on
\set ON_ERROR_STOP on
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
\pset fieldsep '\n'
\pset pager off
\pset null '(null)'
SET client_min_messages = warning;
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgtap') AS has_pgtap \gset
\if :has_pgtap
    CREATE EXTENSION IF NOT EXISTS pgtap;
\else
    \i :include/tap.sql
\endif
DROP SCHEMA IF EXISTS t CASCADE;
DROP EXTENSION IF EXISTS crm_deals CASCADE;
DROP SCHEMA IF EXISTS crm_deals CASCADE;
CREATE SCHEMA t;
GRANT USAGE ON SCHEMA t TO public;

-- Roles outlive the database, so those of an earlier run that was interrupted are dropped first.
CREATE FUNCTION t.drop_roles(VARIADIC roles text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY roles LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('DROP OWNED BY %I CASCADE', name);
            EXECUTE format('DROP ROLE %I', name);
        END IF;
    END LOOP;
END
$$;

-- Runs a statement and keeps what it did: 'done', or SQLSTATE, table.column, constraint.
CREATE FUNCTION t.try(statement text, as_role text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text;
    table_name text;
    column_name text;
    constraint_name text;
BEGIN
    BEGIN
        IF as_role IS NOT NULL THEN
            EXECUTE format('SET LOCAL ROLE %I', as_role);
        END IF;
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, table_name = TABLE_NAME,
                                column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
        RETURN concat_ws(' ', state,
                         nullif(concat_ws('.', nullif(table_name, ''), nullif(column_name, '')), ''),
                         nullif(constraint_name, ''));
    END;
    EXECUTE 'RESET ROLE';
    RETURN 'done';
END
$$;

-- The first column of the first row that a query returns, as text; the error as t.try() gives it.
CREATE FUNCTION t.get(query text, as_role text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    state text;
    table_name text;
    column_name text;
    constraint_name text;
BEGIN
    BEGIN
        IF as_role IS NOT NULL THEN
            EXECUTE format('SET LOCAL ROLE %I', as_role);
        END IF;
        EXECUTE query INTO result;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, table_name = TABLE_NAME,
                                column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
        RETURN concat_ws(' ', state,
                         nullif(concat_ws('.', nullif(table_name, ''), nullif(column_name, '')), ''),
                         nullif(constraint_name, ''));
    END;
    EXECUTE 'RESET ROLE';
    RETURN result;
END
$$;

-- Runs a statement, then a query, returns what the query returned, and undoes both.
CREATE FUNCTION t.after(statement text, query text, as_role text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    state text;
    table_name text;
    column_name text;
    constraint_name text;
BEGIN
    IF as_role IS NOT NULL THEN
        EXECUTE format('SET LOCAL ROLE %I', as_role);
    END IF;
    EXECUTE statement;
    EXECUTE query INTO result;
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION
    WHEN SQLSTATE 'TT000' THEN
        RETURN result;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, table_name = TABLE_NAME,
                                column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
        RETURN concat_ws(' ', state,
                         nullif(concat_ws('.', nullif(table_name, ''), nullif(column_name, '')), ''),
                         nullif(constraint_name, ''));
END
$$;

-- As t.try(), but what a statement did is undone.
CREATE FUNCTION t.dry(statement text, as_role text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT t.after(statement, 'SELECT ''done''', as_role)
$$;

-- One field of the error that a statement raises: message, detail, hint, schema; what it did is undone.
CREATE FUNCTION t.error(statement text, field text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
    schema_name text;
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION
    WHEN SQLSTATE 'TT000' THEN
        RETURN 'no error';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                                hint = PG_EXCEPTION_HINT, schema_name = SCHEMA_NAME;
        RETURN CASE field WHEN 'message' THEN message WHEN 'detail' THEN detail
                          WHEN 'hint' THEN hint WHEN 'schema' THEN schema_name END;
END
$$;

CREATE FUNCTION t.stage(wanted_key text, pipeline_name text DEFAULT 'Sales') RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT s.id FROM crm_deals.stage AS s JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id
            WHERE s.key = wanted_key AND p.name = pipeline_name);
END
$$;

CREATE FUNCTION t.pipeline(wanted_name text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT id FROM crm_deals.pipeline WHERE name = wanted_name);
END
$$;

CREATE FUNCTION t.deal(wanted_name text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT id FROM crm_deals.deal WHERE name = wanted_name);
END
$$;

-- A new deal in a stage, with a reason where that is a lost one; gates are as they are.
CREATE FUNCTION t.new_deal(new_name text, stage_key text, pipeline_name text DEFAULT 'Sales') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
BEGIN
    INSERT INTO crm_deals.deal (name, stage_id, lost_reason)
    SELECT new_name, s.id, CASE WHEN s.status = 'lost' THEN 'price' END
    FROM crm_deals.stage AS s WHERE s.id = t.stage(stage_key, pipeline_name)
    RETURNING id INTO result;
    RETURN result;
END
$$;

CREATE FUNCTION t.new_deals(prefix text, number integer, stage_key text, pipeline_name text DEFAULT 'Sales')
RETURNS void LANGUAGE sql AS $$
    SELECT t.new_deal(prefix || n, stage_key, pipeline_name) FROM generate_series(1, number) AS n
$$;

-- Where a deal is: stage, status, probability, closed, reason, version.
CREATE FUNCTION t.state(wanted_name text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT concat_ws(' ', s.key, d.status, d.probability,
                             CASE WHEN d.closed_at IS NOT NULL THEN 'closed' END,
                             '(' || d.lost_reason || ')', 'v' || d.version)
            FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id
            WHERE d.name = wanted_name);
END
$$;

-- The events of a deal, oldest first.
CREATE FUNCTION t.kinds(wanted_deal bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(e.kind, ' ' ORDER BY e.version) FROM crm_deals.deal_event AS e
            WHERE e.deal_id = wanted_deal);
END
$$;

CREATE FUNCTION t.kinds(wanted_name text) RETURNS text LANGUAGE sql AS $$
    SELECT t.kinds(t.deal(wanted_name))
$$;

-- What the log says that a row was after the event of a version: the changes folded. A pair that does not
-- start from what was there leaves a mark.
CREATE FUNCTION t.fold(wanted_deal bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    event record;
    change record;
    key text;
    result jsonb := '{}';
BEGIN
    FOR event IN SELECT * FROM crm_deals.deal_event AS e WHERE e.deal_id = wanted_deal ORDER BY e.version LOOP
        IF event.kind = 'created' THEN
            result := '{"custom_fields": {}}';
        END IF;
        FOR change IN SELECT * FROM jsonb_each(event.changes) LOOP
            IF change.key LIKE 'custom_fields.%' THEN
                key := substr(change.key, length('custom_fields.') + 1);
                IF coalesce(result -> 'custom_fields' -> key, 'null') <> change.value -> 0 THEN
                    result := result || jsonb_build_object('! ' || change.key, change.value);
                END IF;
                result := jsonb_set(result, ARRAY['custom_fields'],
                                    CASE WHEN change.value -> 1 = 'null' THEN (result -> 'custom_fields') - key
                                         ELSE (result -> 'custom_fields')
                                              || jsonb_build_object(key, change.value -> 1) END);
            ELSE
                IF change.key <> 'custom_fields' AND coalesce(result -> change.key, 'null') <> change.value -> 0 THEN
                    result := result || jsonb_build_object('! ' || change.key, change.value);
                END IF;
                result := CASE WHEN change.value -> 1 = 'null' THEN result - change.key
                               ELSE result || jsonb_build_object(change.key, change.value -> 1) END;
            END IF;
        END LOOP;
    END LOOP;
    RETURN result - 'version' - 'updated_at';
END
$$;

-- Checks the seven rules of section 4 on the data, by queries that know nothing of the implementation.
CREATE FUNCTION t.broken() RETURNS SETOF text LANGUAGE plpgsql
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
SET extra_float_digits = 1
SET bytea_output = 'hex'
AS $$
BEGIN
    RETURN QUERY
    SELECT format('rule 1: %s: %s in a stage that is %s', d.name, d.status, s.status)
    FROM crm_deals.deal AS d LEFT JOIN crm_deals.stage AS s ON s.id = d.stage_id
    WHERE s.status IS DISTINCT FROM d.status OR s.pipeline_id IS DISTINCT FROM d.pipeline_id;
    RETURN QUERY
    SELECT format('organization: %s: %s', d.name, d.organization)
    FROM crm_deals.deal AS d LEFT JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
    WHERE p.organization IS DISTINCT FROM d.organization;
    RETURN QUERY
    SELECT format('rule 2: %s: %s, closed at %s', d.name, d.status, d.closed_at)
    FROM crm_deals.deal AS d WHERE (d.status = 'open') <> (d.closed_at IS NULL);
    RETURN QUERY
    SELECT format('rule 3: %s: %s, the stage has %s', d.name, d.probability, s.probability)
    FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id
    WHERE NOT d.probability_overridden AND d.probability <> s.probability;
    RETURN QUERY
    SELECT format('rule 4: %s: %s, reason %L', d.name, d.status, d.lost_reason)
    FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
    WHERE CASE WHEN d.status = 'lost' THEN p.lost_reason_required AND coalesce(d.lost_reason, '') = ''
               ELSE d.lost_reason IS NOT NULL END;
    RETURN QUERY
    SELECT format('rule 5: deal %s: from %s to %s', e.deal_id, f.key, s.key)
    FROM crm_deals.deal_event AS e
    JOIN crm_deals.stage AS f ON f.id = e.from_stage_id AND f.status = 'open' AND f.archived_at IS NULL
    JOIN crm_deals.stage AS s ON s.id = e.to_stage_id AND s.status = 'open' AND s.pipeline_id = f.pipeline_id
    JOIN crm_deals.pipeline AS p ON p.id = s.pipeline_id
    WHERE e.bypassed IS NULL
      AND (p.forbid_backward AND s.position < f.position
           OR p.forbid_skipping AND EXISTS (SELECT FROM crm_deals.stage AS b
                                            WHERE b.pipeline_id = f.pipeline_id AND b.status = 'open'
                                              AND b.archived_at IS NULL
                                              AND b.position > f.position AND b.position < s.position));
    RETURN QUERY
    SELECT format('rule 6: %s: version %s, events %s', d.name, d.version, array_agg(e.version ORDER BY e.version))
    FROM crm_deals.deal AS d LEFT JOIN crm_deals.deal_event AS e ON e.deal_id = d.id
    GROUP BY d.id
    HAVING array_agg(e.version ORDER BY e.version) IS DISTINCT FROM ARRAY(SELECT generate_series(1, d.version));
    RETURN QUERY
    SELECT format('rule 7: %s: the log says %s, the row %s', d.name, t.fold(d.id),
                  jsonb_strip_nulls(to_jsonb(d)) - 'version' - 'updated_at')
    FROM crm_deals.deal AS d
    WHERE t.fold(d.id) IS DISTINCT FROM jsonb_strip_nulls(to_jsonb(d) - 'custom_fields') - 'version' - 'updated_at'
                                        || jsonb_build_object('custom_fields', d.custom_fields);
    RETURN QUERY
    SELECT format('rule 7: %s: last event %s', d.name, to_jsonb(e) - 'changes')
    FROM crm_deals.deal AS d LEFT JOIN crm_deals.deal_event AS e ON e.deal_id = d.id AND e.version = d.version
    WHERE (e.to_stage_id, e.status, e.pipeline_id, e.amount, e.currency, e.probability, e.expected_close_date,
           e.owner, e.lost_reason, e.occurred_at)
          IS DISTINCT FROM (d.stage_id, d.status, d.pipeline_id, d.amount, d.currency, d.probability,
                            d.expected_close_date, d.owner::text, d.lost_reason, d.updated_at);
    RETURN QUERY
    SELECT format('order: deal %s, version %s', e.deal_id, e.version)
    FROM (SELECT *, lag(o.occurred_at) OVER w AS before, lag(o.to_stage_id) OVER w AS came_from
          FROM crm_deals.deal_event AS o WINDOW w AS (PARTITION BY o.deal_id ORDER BY o.version)) AS e
    WHERE e.occurred_at <= e.before OR e.kind <> 'created' AND e.came_from IS DISTINCT FROM e.from_stage_id;
END
$$;
CREATE EXTENSION crm_deals CASCADE;
DO $$BEGIN PERFORM * FROM no_plan(); END$$;
