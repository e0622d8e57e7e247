-- Reads the column "changes" of the log. The form of values there is that of src/log/log_value.c, which also reads it.
-- Values that release 0.1 wrote are brought into that form first, if they can have one meaning only.

-- access: public
CREATE FUNCTION crm_deals_internal.old_row(deal anyelement, changes jsonb) RETURNS anyelement
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_old_row';
COMMENT ON FUNCTION crm_deals_internal.old_row(anyelement, jsonb) IS
    'Internal: returns a row of deal, which may be NULL, with the old values of the columns that changed.';

-- access: read
CREATE FUNCTION crm_deals_internal.old_value(pair jsonb, type anyelement) RETURNS anyelement
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_old_value';
COMMENT ON FUNCTION crm_deals_internal.old_value(jsonb, anyelement) IS
    'Internal: returns the old value of the change of a column, in the type of the second argument.';

-- access: public
CREATE FUNCTION crm_deals_internal.logged(value anyelement) RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_logged';
COMMENT ON FUNCTION crm_deals_internal.logged(anyelement) IS
    'Internal: returns the form that a value has in the log.';

-- In the form of the log, as if the row had been deleted: old_row() reads it back.
-- access: public
CREATE FUNCTION crm_deals_internal.logged_row("row" anyelement) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fields text;
    logged jsonb;
BEGIN
    SELECT string_agg(format('(%L, crm_deals_internal.logged(($1).%I))', a.attname, a.attname), ', ')
    INTO fields
    FROM pg_type AS t
    JOIN pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE t.oid = pg_typeof($1);
    EXECUTE format('SELECT jsonb_object_agg(v.key, jsonb_build_array(v.value, NULL)
                                                   || CASE WHEN v.value = ''null'' THEN ''["old"]''::jsonb
                                                      ELSE ''[]'' END)
                    FROM (VALUES %s) AS v (key, value)
                    WHERE v.value IS NOT NULL', fields)
    INTO logged
    USING $1;
    RETURN coalesce(logged, '{}');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.logged_row(anyelement) IS
    'Internal: returns the columns of a row that are not NULL, in the form of the log.';

-- ----------
-- Events of 0.1
-- ----------

-- The text of such a type did not depend on the session.
-- access: write
CREATE FUNCTION crm_deals_internal.has_one_text(type oid) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
    SELECT t.typcategory IN ('B', 'S', 'E', 'I') OR t.typcategory = 'N' AND t.oid <> 'money'::regtype
               AND t.oid::regtype::text !~ '^reg'
           OR t.oid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'time'::regtype,
                        'timetz'::regtype, 'uuid'::regtype, 'jsonb'::regtype, 'bytea'::regtype)
    FROM pg_type AS t
    WHERE t.oid = has_one_text.type AND t.typtype IN ('b', 'e')
$$;
COMMENT ON FUNCTION crm_deals_internal.has_one_text(oid) IS
    'Internal: returns whether release 0.1 logged values of a type in the same way in every session.';

-- A text that one of the settings cannot read has no meaning under it.
-- access: write
CREATE FUNCTION crm_deals_internal.meanings(logged jsonb, type text) RETURNS jsonb[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO'
SET intervalstyle = 'postgres'
SET timezone = 'UTC'
SET timezone_abbreviations = 'Default'
AS $$
DECLARE
    setting record;
    meaning jsonb;
    found jsonb[] := '{}';
BEGIN
    FOR setting IN
        SELECT d.style, i.style AS interval_style, z.zone, z.abbreviations
        FROM unnest(ARRAY['DMY', 'MDY', 'YMD']) AS d (style)
        CROSS JOIN unnest(ARRAY['postgres', 'sql_standard']) AS i (style)
        CROSS JOIN (VALUES ('UTC', 'Default'), ('Pacific/Apia', 'Default'), ('UTC', 'Australia'),
                           ('UTC', 'India')) AS z (zone, abbreviations)
    LOOP
        BEGIN
            PERFORM set_config('datestyle', 'ISO, ' || setting.style, true),
                    set_config('intervalstyle', setting.interval_style, true),
                    set_config('timezone', setting.zone, true),
                    set_config('timezone_abbreviations', setting.abbreviations, true);
            EXECUTE format('SELECT crm_deals_internal.logged(r.v) FROM jsonb_to_record($1) AS r (v %s)', type)
            INTO meaning
            USING jsonb_build_object('v', logged);
            IF meaning <> ALL (found) THEN
                found := found || meaning;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) IN ('40', '53', '57', '58') THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.meanings(jsonb, text) IS
    'Internal: returns what a value that release 0.1 logged may have been, in the form of this release.';

-- access: write
CREATE FUNCTION crm_deals_internal.certain_change(pair jsonb, type oid, is_deletion boolean) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $$
DECLARE
    found jsonb[];
BEGIN
    IF type = 'jsonb'::regtype AND pair -> 0 = 'null'::jsonb THEN
        -- A deletion lists what was not NULL. Of two nulls one was NULL and the other a JSON null.
        RETURN CASE WHEN is_deletion THEN pair || '["old"]'::jsonb
                    WHEN pair -> 1 <> 'null'::jsonb THEN pair END;
    ELSIF pair -> 0 = 'null'::jsonb OR crm_deals_internal.has_one_text(type) THEN
        RETURN pair;
    ELSIF type = 'money'::regtype THEN
        RETURN NULL;
    END IF;
    found := crm_deals_internal.meanings(pair -> 0, format_type(type, -1));
    RETURN CASE WHEN cardinality(found) = 1 THEN jsonb_build_array(found[1], pair -> 1) END;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.certain_change(jsonb, oid, boolean) IS
    'Internal: returns a change that release 0.1 logged in the form of this release, or NULL if it may be another.';

-- Nobody reads the old values of a creation.
-- access: write
CREATE FUNCTION crm_deals_internal.certain_changes(changes jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field record;
    certain jsonb := changes;
BEGIN
    IF changes -> 'id' -> 0 = 'null'::jsonb THEN
        RETURN changes;
    END IF;
    FOR field IN
        SELECT a.attname::text AS name,
               crm_deals_internal.certain_change(certain_changes.changes -> a.attname::text, a.atttypid,
                                                 certain_changes.changes ? 'id') AS change
        FROM pg_attribute AS a
        WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attname <> 'custom_fields' AND certain_changes.changes ? a.attname::text
    LOOP
        certain := certain || jsonb_build_object(field.name, field.change);
    END LOOP;
    RETURN certain;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.certain_changes(jsonb) IS
    'Internal: returns the changes of an event of 0.1 in the form of this release; one of uncertain meaning is a null.';

-- access: write
CREATE FUNCTION crm_deals_internal.why_uncertain(changes jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Release 0.1 logged the old value of %s in a form that depended on the session.',
                  string_agg(quote_ident(c.key), ', ' ORDER BY c.key))
    FROM jsonb_each(why_uncertain.changes) AS c
    WHERE c.value = 'null'::jsonb
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION crm_deals_internal.why_uncertain(jsonb) IS
    'Internal: says which old values of an event have no certain meaning; NULL if all have one.';

-- access: write
CREATE FUNCTION crm_deals_internal.last_session_event() RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(max(f.last_session_event), 0) FROM crm_deals.log_format AS f
$$;
COMMENT ON FUNCTION crm_deals_internal.last_session_event() IS
    'Internal: returns the highest id of the events that release 0.1 wrote.';

-- access: write
CREATE FUNCTION crm_deals_internal.readable_changes(changes jsonb, is_of_session boolean, OUT readable jsonb,
                                                    OUT uncertain text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    readable := changes;
    IF is_of_session THEN
        readable := crm_deals_internal.certain_changes(changes);
        uncertain := crm_deals_internal.why_uncertain(readable);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.readable_changes(jsonb, boolean) IS
    'Internal: returns the changes of an event in the form of this release, and which of them are uncertain.';
