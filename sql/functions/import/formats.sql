-- How the texts of a source are read (src/functions/import_texts.c): numbers and dates, in the formats of the call.

-- ----------
-- Texts
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_text(value text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_text';
COMMENT ON FUNCTION crm_deals_internal.import_text(text) IS
    'Internal: returns a text without the blanks and invisible characters around it, or NULL if nothing is left.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_folded(value text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_folded';
COMMENT ON FUNCTION crm_deals_internal.import_folded(text) IS
    'Internal: does the same, makes one space of blanks of any kind, and leaves out invisible characters.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_number(value text, decimal_sign text, thousands_sign text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_number';
COMMENT ON FUNCTION crm_deals_internal.import_number(text, text, text) IS
    'Internal: returns a number as PostgreSQL writes it, or NULL if the text is none in this format.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_day(value text, date_format text) RETURNS date
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_day';
COMMENT ON FUNCTION crm_deals_internal.import_day(text, text) IS
    'Internal: returns the day that a text says, or NULL if it says none in this format; NULL: ISO 8601.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_moment(value text, date_format text, hour_of_day integer) RETURNS timestamptz
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_moment';
COMMENT ON FUNCTION crm_deals_internal.import_moment(text, text, integer) IS
    'Internal: returns the moment that a text says, or NULL; a mere day stands for that hour of it.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_number_readings(value text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_number_readings';
COMMENT ON FUNCTION crm_deals_internal.import_number_readings(text) IS
    'Internal: returns the formats that can read a text as a number, as bits; bit 0: it needs no format.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_moment_readings(value text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_deals_import_moment_readings';
COMMENT ON FUNCTION crm_deals_internal.import_moment_readings(text) IS
    'Internal: returns the formats that can read a text as a date, as bits; bit 0: it needs no format.';

-- ----------
-- Formats
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_formats(formats jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(formats) NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'formats is not an object' USING ERRCODE = '22023',
            HINT = 'Write it like ''{"decimal": ",", "thousands": ".", "date": "DMY", "time_zone": "Europe/Berlin"}''.';
    END IF;
    SELECT string_agg(format('"%s": %s', f.key, f.value), ', ' ORDER BY f.key)
    INTO wrong
    FROM jsonb_each(CASE WHEN jsonb_typeof(formats) = 'object' THEN formats END) AS f
    WHERE NOT CASE f.key WHEN 'decimal' THEN f.value IN ('null', '"."', '","')
                         WHEN 'thousands' THEN f.value IN ('null', '""', '"."', '","', '" "', '"''"')
                         WHEN 'date' THEN f.value IN ('null', '"YMD"', '"DMY"', '"MDY"', '"epoch"', '"epoch_ms"')
                         WHEN 'time_zone' THEN jsonb_typeof(f.value) IN ('null', 'string')
                         ELSE false END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'unknown formats: %', wrong USING ERRCODE = '22023',
            HINT = 'There are decimal ("." or ","), thousands (".", ",", " " or "''"), date (YMD, DMY, MDY, epoch or '
                   'epoch_ms) and time_zone.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_formats(jsonb) IS
    'Internal: refuses an argument "formats" that is none.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_check_time_zone(time_zone text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM timestamptz '2000-01-01 00:00:00+00' AT TIME ZONE time_zone;
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE EXCEPTION 'unknown time zone: "%"', time_zone
        USING ERRCODE = '22023', HINT = 'The view pg_timezone_names lists them.';
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_time_zone(text) IS
    'Internal: refuses a time zone that PostgreSQL does not know.';

-- Returns the formats with all four keys; null stands for the plain reading. A call that names one of the two signs of
-- numbers names both: the other one follows.
-- access: write
CREATE FUNCTION crm_deals_internal.import_formats(formats jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    decimal_sign text;
    thousands_sign text;
    time_zone text;
BEGIN
    PERFORM crm_deals_internal.import_check_formats(formats);
    thousands_sign := nullif(formats ->> 'thousands', '');
    decimal_sign := coalesce(formats ->> 'decimal',
                             CASE WHEN thousands_sign = '.' THEN ',' WHEN thousands_sign IS NOT NULL THEN '.' END);
    IF decimal_sign = thousands_sign THEN
        RAISE EXCEPTION 'the decimal sign and the thousands sign are the same: "%"', decimal_sign
            USING ERRCODE = '22023';
    END IF;
    time_zone := coalesce(formats ->> 'time_zone', current_setting('TimeZone'));
    PERFORM crm_deals_internal.import_check_time_zone(time_zone);
    RETURN jsonb_build_object('decimal', decimal_sign, 'thousands', thousands_sign, 'date', formats ->> 'date',
                              'time_zone', time_zone);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_formats(jsonb) IS
    'Internal: reads the argument "formats" of an import.';

-- A format with a thousands sign is not named where the same format without it reads the texts, too.
-- access: write
CREATE FUNCTION crm_deals_internal.import_formats_of(reading text, readings integer) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format('formats => ''%s''', f.format), ' or ' ORDER BY f.bit)
    FROM (VALUES ('number', 1, NULL, '{"decimal": "."}'), ('number', 2, 1, '{"decimal": ".", "thousands": ","}'),
                 ('number', 3, NULL, '{"decimal": ","}'), ('number', 4, 3, '{"decimal": ",", "thousands": "."}'),
                 ('number', 5, 1, '{"decimal": ".", "thousands": " "}'),
                 ('number', 6, 3, '{"decimal": ",", "thousands": " "}'),
                 ('number', 7, 1, '{"decimal": ".", "thousands": "''''"}'),
                 ('number', 8, 3, '{"decimal": ",", "thousands": "''''"}'),
                 ('moment', 1, NULL, '{"date": "YMD"}'), ('moment', 2, NULL, '{"date": "DMY"}'),
                 ('moment', 3, NULL, '{"date": "MDY"}'), ('moment', 4, NULL, '{"date": "epoch"}'),
                 ('moment', 5, NULL, '{"date": "epoch_ms"}')) AS f (reading, bit, simpler, format)
    WHERE f.reading = CASE import_formats_of.reading WHEN 'number' THEN 'number' ELSE 'moment' END
      AND readings & (1 << f.bit) <> 0 AND (f.simpler IS NULL OR readings & (1 << f.simpler) = 0)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_formats_of(text, integer) IS
    'Internal: writes formats, given as bits, as a caller writes them.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_ambiguity(name text, reading text, example text, example_row bigint,
                                                    readings integer) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s "%s" (row %s) is ambiguous: without formats, %s. %s', name, left(example, 100), example_row,
                  CASE reading WHEN 'number' THEN 'a number is digits with at most one point, which does not stand '
                                                  'before exactly three digits'
                               ELSE 'a date is one of ISO 8601, like 2025-04-28' END,
                  coalesce('All texts of this column are read with '
                           || crm_deals_internal.import_formats_of(reading, readings) || '.',
                           'No format reads all texts of this column: mend this one, or leave it empty.'))
$$;
COMMENT ON FUNCTION crm_deals_internal.import_ambiguity(text, text, text, bigint, integer) IS
    'Internal: says why all rows with a text in this column are rejected, and which formats would help.';
