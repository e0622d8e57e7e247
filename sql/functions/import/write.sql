-- Writes the deals: all at once if that succeeds. If it fails, the rows that break a rule are found (judge.sql), and
-- then the range is halved until the rows that cannot be written stand alone.

-- ----------
-- A range of rows
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.import_as(actor text) RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_import_as';
COMMENT ON FUNCTION crm_deals_internal.import_as(text) IS
    'Internal: names the actor of what the running import writes next; NULL is the actor of the import.';

-- access: write
CREATE FUNCTION crm_deals_internal.next_deal_id() RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_next_deal_id';
COMMENT ON FUNCTION crm_deals_internal.next_deal_id() IS
    'Internal: returns the next id of a deal.';

-- Creating an account needs a column for its name.
-- access: write
CREATE FUNCTION crm_deals_internal.import_check_accounts() RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    host record;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host('account');
    IF NOT host.columns ? 'name' THEN
        RAISE EXCEPTION 'accounts cannot be created in table %', host.host
            USING ERRCODE = '55000', DETAIL = 'It has no column for their name.',
                  HINT = 'Name it with install(columns => ''{"account": {"name": "company"}}'').';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_check_accounts() IS
    'Internal: refuses create_accounts if the table of accounts cannot hold them.';

-- An account that several rows name is created once.
-- access: write
CREATE FUNCTION crm_deals_internal.import_create_accounts(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    host record;
    name_column text;
    organization_column text;
    wanted CONSTANT text := '(SELECT r._row, crm_deals_internal.import_folded(s.account) AS name, '
        'r._account_organization AS organization '
        'FROM pg_temp._crm_deals_rows AS r '
        'JOIN pg_temp._crm_deals_source AS s ON s._row = r._row '
        'WHERE r._row BETWEEN $1 AND $2 AND r._creates_account AND r._problem IS NULL AND NOT r._again)';
    same text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host('account');
    name_column := host.columns ->> 'name';
    organization_column := host.columns ->> 'organization';
    same := format('lower(crm_deals_internal.import_folded(t.%I::text)) = lower(w.name)', name_column)
            || CASE WHEN organization_column IS NOT NULL
                    THEN format(' AND t.%I::text IS NOT DISTINCT FROM w.organization', organization_column)
                    ELSE '' END;
    PERFORM crm_deals_internal.write_as_caller(
        callers_path,
        format('INSERT INTO %1$s (%2$s) SELECT %3$s '
               'FROM (SELECT DISTINCT ON (lower(w.name), w.organization) w.name, w.organization FROM %4$s AS w '
               '      ORDER BY lower(w.name), w.organization, w._row) AS w '
               'WHERE NOT EXISTS (SELECT FROM %1$s AS t WHERE %5$s)',
               host.host, concat_ws(', ', quote_ident(name_column), quote_ident(organization_column)),
               concat_ws(', ', 'w.name', CASE WHEN organization_column IS NOT NULL THEN 'w.organization' END),
               wanted, same),
        low, high);
    EXECUTE format('UPDATE pg_temp._crm_deals_rows AS r SET account_id = t.%I '
                   'FROM %s AS w JOIN %s AS t ON %s WHERE r._row = w._row',
                   host.key_column, wanted, host.host, same)
    USING low, high;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_create_accounts(bigint, bigint, text) IS
    'Internal: creates the accounts that these rows lack, and notes their keys in the rows.';

-- One INSERT for each actor. A row that a trigger of the user's or row security kept out is refused.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write_new(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    columns text := (SELECT string_agg(quote_ident(c.name), ', ')
                     FROM unnest(crm_deals_internal.import_written_columns('_crm_deals_new')) AS c (name));
    who text;
    total bigint := 0;
BEGIN
    FOR who IN SELECT NULL
               UNION
               SELECT f.actor FROM pg_temp._crm_deals_steps AS f WHERE f.step = 1 AND f._row BETWEEN low AND high LOOP
        PERFORM crm_deals_internal.import_as(who);
        total := total + crm_deals_internal.write_as_caller(
            callers_path,
            format('INSERT INTO crm_deals.deal (%1$s) SELECT %1$s FROM pg_temp._crm_deals_new AS n '
                   'WHERE n._row BETWEEN $1 AND $2 AND n._actor IS NOT DISTINCT FROM $3 ORDER BY n._row', columns),
            low, high, who);
    END LOOP;
    PERFORM crm_deals_internal.import_as(NULL);
    IF total < (SELECT count(*) FROM pg_temp._crm_deals_rows AS r
                WHERE r._row BETWEEN low AND high AND r._is_new AND r._problem IS NULL AND NOT r._again) THEN
        UPDATE pg_temp._crm_deals_rows AS r
        SET _problem = 'A trigger or row security suppressed the row.'
        WHERE r._row BETWEEN low AND high AND r._problem IS NULL AND r._is_new AND NOT r._again
          AND NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = r.id);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_new(bigint, bigint, text) IS
    'Internal: inserts the new deals of these rows.';

-- The events of deals that exist by now: event by event, all deals at once, one UPDATE for each actor. The deals are
-- looked up by their ids, whatever the planner believes of the table.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write_history(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    next record;
BEGIN
    FOR next IN SELECT f.step, f.actor, array_agg(f.id) AS ids
                FROM pg_temp._crm_deals_steps AS f
                JOIN pg_temp._crm_deals_rows AS r ON r._row = f._row
                WHERE f._row BETWEEN low AND high AND r._problem IS NULL AND NOT r._again
                  AND NOT (r._is_new AND f.step = 1)
                GROUP BY f.step, f.actor
                ORDER BY f.step, f.actor LOOP
        PERFORM crm_deals_internal.import_as(next.actor);
        PERFORM crm_deals_internal.write_as_caller(callers_path, $write$
            UPDATE crm_deals.deal AS d
            SET (stage_id, updated_at, amount, lost_reason, closed_at, probability, stage_entered_at,
                 last_open_stage_id)
                = (SELECT f.stage_id, f.entered_at,
                          coalesce(f.amount, CASE WHEN f.is_last THEN s.amount END, d.amount),
                          CASE WHEN f.is_last THEN r.lost_reason ELSE coalesce(f.lost_reason, d.lost_reason) END,
                          coalesce(CASE WHEN f.is_last THEN r.closed_at END,
                                   CASE WHEN f.status NOT IN ('open', d.status) THEN f.entered_at END, d.closed_at),
                          coalesce(CASE WHEN f.is_last AND r.closed_at IS NULL THEN s.probability END, d.probability),
                          coalesce(CASE WHEN f.is_last THEN r.stage_entered_at END, d.stage_entered_at),
                          coalesce(CASE WHEN f.is_last THEN r.last_open_stage_id END, d.last_open_stage_id)
                   FROM pg_temp._crm_deals_steps AS f
                   JOIN pg_temp._crm_deals_rows AS r ON r._row = f._row
                   JOIN pg_temp._crm_deals_source AS s ON s._row = f._row
                   WHERE f.step = $2 AND f.id = d.id)
            WHERE d.id = ANY ($1)
            $write$, next.ids, next.step);
    END LOOP;
    PERFORM crm_deals_internal.import_as(NULL);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_history(bigint, bigint, text) IS
    'Internal: writes the later events of the history of these rows.';

-- Finds the deals of these rows that are not as the source says. "differs" comes from import_changes().
-- access: write
CREATE FUNCTION crm_deals_internal.import_changed(low bigint, high bigint, differs text)
RETURNS TABLE (_row bigint, id bigint, version integer)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT n._row, n.id, x.version FROM pg_temp._crm_deals_changes AS n '
        'CROSS JOIN LATERAL (SELECT d.version FROM crm_deals.deal AS d WHERE d.id = n.id AND (%s) OFFSET 0) AS x '
        'WHERE n._row BETWEEN $1 AND $2', differs)
    USING low, high;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_changed(bigint, bigint, text) IS
    'Internal: lists the deals of these rows that an UPDATE would change.';

-- Deals that are already as the source says are not touched.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write_changes(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    change record;
    changed bigint[];
    statement text;
BEGIN
    SELECT * INTO change FROM crm_deals_internal.import_changes();
    IF change.columns IS NULL THEN
        RETURN;
    END IF;
    changed := ARRAY(SELECT c.id FROM crm_deals_internal.import_changed(low, high, change.differs) AS c);
    statement := format('UPDATE crm_deals.deal AS d SET (%s) = (SELECT %s FROM pg_temp._crm_deals_changes AS n '
                        'WHERE n.id = d.id) WHERE d.id = ANY ($1)', change.columns, change.changed_values);
    FOR attempt IN 1..2 LOOP
        EXIT WHEN changed = '{}';
        IF crm_deals_internal.write_as_caller(callers_path, statement, changed) < cardinality(changed) THEN
            UPDATE pg_temp._crm_deals_rows AS r
            SET _problem = 'A trigger or row security suppressed the change.'
            FROM crm_deals_internal.import_changed(low, high, change.differs) AS c
            WHERE r._row = c._row AND c.version = r._version;
        END IF;
        -- A closing time or probability that the deal had before it moved is no statement of the UPDATE that moves it.
        -- The source does state it: hence once more.
        changed := ARRAY(SELECT c.id FROM crm_deals_internal.import_changed(low, high, change.differs) AS c);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_changes(bigint, bigint, text) IS
    'Internal: updates the deals of these rows that exist and differ.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_write_range(low bigint, high bigint, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF to_regclass('pg_temp._crm_deals_statements') IS NOT NULL THEN    -- accounts, contacts or leads
        PERFORM crm_deals_internal.import_insert_parties(low, high, callers_path);
        PERFORM crm_deals_internal.import_update_parties(low, high, callers_path);
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_temp._crm_deals_rows AS r WHERE r._row BETWEEN low AND high AND r._creates_account) THEN
        PERFORM crm_deals_internal.import_create_accounts(low, high, callers_path);
    END IF;
    PERFORM crm_deals_internal.import_write_new(low, high, callers_path);
    PERFORM crm_deals_internal.import_write_history(low, high, callers_path);
    PERFORM crm_deals_internal.import_write_changes(low, high, callers_path);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_range(bigint, bigint, text) IS
    'Internal: writes the rows with these numbers, all of them or none.';

-- ----------
-- All rows
-- ----------

-- Errors of these kinds are not about a row: no other row would fare better.
-- access: write
CREATE FUNCTION crm_deals_internal.import_is_fatal(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT left(state, 2) IN ('25', '40', '53', '57', '58', 'XX') OR state = '55P03'
           OR left(state, 2) = '42' AND state <> '42501'
$$;
COMMENT ON FUNCTION crm_deals_internal.import_is_fatal(text) IS
    'Internal: tells whether an error has nothing to do with the row that was written.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_try_range(low bigint, high bigint, callers_path text, OUT problem text,
                                                    OUT constraint_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state text;
    message text;
    detail text;
BEGIN
    PERFORM crm_deals_internal.import_write_range(low, high, callers_path);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                            constraint_name = CONSTRAINT_NAME;
    IF crm_deals_internal.import_is_fatal(state) THEN
        RAISE;
    END IF;
    problem := concat_ws(E'\n', message, nullif(detail, ''));
    constraint_name := CASE WHEN state = '23505' THEN constraint_name END;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_try_range(bigint, bigint, text) IS
    'Internal: tries to write these rows; returns why it failed, and the unique constraint that was violated.';

-- If another session has just inserted a deal of the same external_id, the row gets a second attempt, which finds it.
-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_row(chosen bigint, problem text, may_repeat boolean) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET _again = may_repeat AND r._is_new,
        _problem = CASE WHEN NOT (may_repeat AND r._is_new) THEN problem END
    WHERE r._row = chosen AND r._problem IS NULL;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_row(bigint, text, boolean) IS
    'Internal: notes why a row could not be written, or that it gets a second attempt.';

-- "gates" looks for rows that break a gate, once. "may_repeat" says that a row may get a second attempt later.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write(low bigint, high bigint, gates boolean, may_repeat boolean,
                                                callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    failure record;
    judged boolean := false;
    middle bigint := low + (high - low) / 2;
BEGIN
    IF low > high THEN
        RETURN;
    END IF;
    SELECT * INTO failure FROM crm_deals_internal.import_try_range(low, high, callers_path);
    IF failure.problem IS NULL THEN
        RETURN;
    END IF;
    IF gates THEN
        judged := crm_deals_internal.import_judge_gates(low, high);
    END IF;
    IF (judged OR low < high AND failure.constraint_name IS NOT DISTINCT FROM 'deal_duplicate')
       AND crm_deals_internal.import_try_without_duplicates(low, high, judged, callers_path) THEN
        RETURN;
    END IF;
    IF low = high THEN
        PERFORM crm_deals_internal.import_refuse_row(
            low, failure.problem,
            may_repeat AND failure.constraint_name ~ '^(deal|account|contact|lead)_external_id$' IS TRUE);
    ELSE
        PERFORM crm_deals_internal.import_write(low, middle, false, may_repeat, callers_path);
        PERFORM crm_deals_internal.import_write(middle + 1, high, false, may_repeat, callers_path);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write(bigint, bigint, boolean, boolean, text) IS
    'Internal: writes these rows and refuses those that cannot be written.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_write_all(gates boolean, callers_path text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.import_write(1, coalesce(max(s._row), 0), import_write_all.gates, true,
                                           import_write_all.callers_path)
    FROM pg_temp._crm_deals_source AS s
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_all(boolean, text) IS
    'Internal: writes all rows that are not refused.';

-- These rows were to become new deals, but another session inserted deals of their external_id first. They are
-- resolved once more and become updates.
-- access: write
CREATE FUNCTION crm_deals_internal.import_write_again(given text[], create_accounts boolean, lost_reason text,
                                                      time_zone text, gates boolean, callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    chosen bigint[] := ARRAY(SELECT r._row FROM pg_temp._crm_deals_rows AS r WHERE r._again ORDER BY r._row);
BEGIN
    IF chosen = '{}' THEN
        RETURN;
    END IF;
    DELETE FROM pg_temp._crm_deals_rows AS r WHERE r._again;
    PERFORM crm_deals_internal.import_resolve(given, create_accounts, chosen);
    UPDATE pg_temp._crm_deals_rows AS r
    SET _problem = 'Another session has just created the deal: import its history once more.'
    WHERE r._row = ANY (chosen) AND NOT r._is_new AND r._problem IS NULL
      AND EXISTS (SELECT FROM pg_temp._crm_deals_steps AS f WHERE f._row = r._row);
    DELETE FROM pg_temp._crm_deals_steps AS f
    USING pg_temp._crm_deals_rows AS r
    WHERE r._row = f._row AND r._row = ANY (chosen) AND NOT r._is_new;
    PERFORM crm_deals_internal.import_settle(given, lost_reason, time_zone, chosen);
    PERFORM crm_deals_internal.import_write(w._row, w._row, gates, false, callers_path)
    FROM unnest(chosen) AS w (_row);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_write_again(text[], boolean, text, text, boolean, text) IS
    'Internal: gives rows that met another session''s deals their second attempt.';
