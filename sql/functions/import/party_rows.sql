-- What is to be done with each account, contact or lead: which one a row means, and the keys of what it names.

-- access: write
CREATE FUNCTION crm_deals_internal.import_make_party_tables(entity text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key_type text := (SELECT p.key_type FROM crm_deals_internal.import_party(entity) AS p);
BEGIN
    EXECUTE format('CREATE TEMPORARY TABLE pg_temp._crm_deals_rows ON COMMIT DROP AS '
                   'SELECT NULL::bigint AS _row, NULL::text AS _problem, NULL::boolean AS _is_new, '
                   '       NULL::boolean AS _again, NULL::boolean AS _is_written, NULL::%s AS id, '
                   '       NULL::text AS external_id, NULL::text AS organization, d.account_id, '
                   '       d.primary_contact_id AS contact_id, d.id AS deal_id, d.owner, NULL::text AS status, '
                   '       NULL::timestamptz AS converted_at, NULL::jsonb AS custom_fields '
                   'FROM crm_deals.deal AS d WHERE false', key_type);
    EXECUTE format('CREATE TEMPORARY TABLE pg_temp._crm_deals_found (_row bigint, id %s, problem text) ON COMMIT DROP',
                   key_type);
    EXECUTE format('CREATE TEMPORARY TABLE pg_temp._crm_deals_written (place bigint, id %s) ON COMMIT DROP', key_type);
    CREATE INDEX ON pg_temp._crm_deals_rows (_row);
    CREATE INDEX ON pg_temp._crm_deals_rows (id);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_make_party_tables(text) IS
    'Internal: makes the empty tables _crm_deals_rows, _crm_deals_found and _crm_deals_written.';

-- A row that names no organization is of that of the session.
-- access: write
CREATE FUNCTION crm_deals_internal.import_place_parties() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE pg_temp._crm_deals_source AS s
    SET organization = current_setting('crm_deals.organization', true)
    WHERE s.organization IS NULL AND current_setting('crm_deals.organization', true) <> ''
$$;
COMMENT ON FUNCTION crm_deals_internal.import_place_parties() IS
    'Internal: gives the rows the organization of the session.';

-- ----------
-- Those that are there
-- ----------

-- The table is read once and joined by hashes: the planner may know nothing of it, and a host's table may have no
-- index.
-- access: write
CREATE FUNCTION crm_deals_internal.import_find_parties(entity text, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
#variable_conflict use_variable
DECLARE
    party record;
BEGIN
    SELECT * INTO party FROM crm_deals_internal.import_party(entity);
    DELETE FROM pg_temp._crm_deals_found AS f WHERE chosen IS NULL OR f._row = ANY (chosen);
    EXECUTE format(
        'WITH wanted AS MATERIALIZED (SELECT DISTINCT s.external_id, s.organization '
        '                             FROM pg_temp._crm_deals_source AS s WHERE s.external_id IS NOT NULL), '
        'named AS (SELECT w.external_id, w.organization, array_agg(t.%1$I ORDER BY t.%1$I) AS keys '
        '          FROM %2$s AS t JOIN wanted AS w ON %3$s AND %4$s GROUP BY w.external_id, w.organization) '
        'INSERT INTO pg_temp._crm_deals_found (_row, id, problem) '
        'SELECT s._row, CASE WHEN cardinality(n.keys) = 1 THEN n.keys[1] END, '
        '       CASE WHEN cardinality(n.keys) > 1 '
        '            THEN format(''Table %%s has this external_id several times: %%s.'', %2$L, '
        '                        array_to_string(n.keys[:20], '', '')) END '
        'FROM pg_temp._crm_deals_source AS s '
        'LEFT JOIN named AS n ON n.external_id = s.external_id AND n.organization IS NOT DISTINCT FROM s.organization '
        'WHERE $1 IS NULL OR s._row = ANY ($1)',
        party.key_column, party.relation,
        coalesce('t.' || quote_ident(party.columns ->> 'external_id') || '::text = w.external_id', 'false'),
        coalesce('t.' || quote_ident(party.columns ->> 'organization') || '::text IS NOT DISTINCT FROM w.organization',
                 'true'))
    USING chosen;
    ANALYZE pg_temp._crm_deals_found;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_find_parties(text, bigint[]) IS
    'Internal: fills _crm_deals_found with the account, contact or lead that each row means, if it is there.';

-- They are locked in the order of their keys. What changes a column of none of ours need not wait.
-- access: write
CREATE FUNCTION crm_deals_internal.import_lock_parties(entity text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    party record;
    locked bigint;
BEGIN
    SELECT * INTO party FROM crm_deals_internal.import_party(entity);
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %1$s AS t '
                   'WHERE t.%2$I = ANY (ARRAY(SELECT f.id FROM pg_temp._crm_deals_found AS f WHERE f.id IS NOT NULL)) '
                   'ORDER BY t.%2$I FOR NO KEY UPDATE) AS l', party.relation, party.key_column)
    INTO locked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_lock_parties(text) IS
    'Internal: locks the accounts, contacts or leads that the rows may change.';

-- What a lead says of its conversion is in import_fill_leads().
-- access: write
CREATE FUNCTION crm_deals_internal.import_fill_party_rows(entity text, given text[], chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    party record;
BEGIN
    SELECT * INTO party FROM crm_deals_internal.import_party(entity);
    EXECUTE format($query$
        INSERT INTO pg_temp._crm_deals_rows (_row, _problem, _is_new, _again, id, external_id, organization,
                                             custom_fields)
        SELECT j._row, j.problem, j.is_new, false, j.id, j.external_id, j.organization,
               crm_deals_internal.import_merged(
                   CASE WHEN NOT j.is_new AND $2 THEN j.there ELSE coalesce(j.custom_fields, '{}') END,
                   CASE WHEN j._fields IS NOT NULL
                        THEN crm_deals_internal.import_fields(j._fields, j.organization, $3) END)
        FROM (SELECT s._row, nullif(concat_ws(chr(10), s._problem, f.problem), '') AS problem, f.id IS NULL AS is_new,
                     f.id, s.external_id, s.organization, s.custom_fields, s._fields, coalesce(t.there, '{}') AS there
              FROM pg_temp._crm_deals_source AS s
              JOIN pg_temp._crm_deals_found AS f ON f._row = s._row
              LEFT JOIN LATERAL (SELECT %s AS there FROM %s AS t WHERE t.%I = f.id OFFSET 0) AS t
                     ON f.id IS NOT NULL
              WHERE $1 IS NULL OR s._row = ANY ($1)
              ORDER BY s._row
              OFFSET 0) AS j
        $query$, party.fields_there, party.relation, party.key_column)
    USING chosen, 'custom_fields' <> ALL (given), entity;
    ANALYZE pg_temp._crm_deals_rows;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fill_party_rows(text, text[], bigint[]) IS
    'Internal: adds the rows, or the chosen ones, to _crm_deals_rows.';

-- ----------
-- What the rows name
-- ----------

-- Without a table of owners any text is one.
-- access: write
CREATE FUNCTION crm_deals_internal.import_take_keys(reference text, field text, chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_known text := CASE WHEN reference = 'deal' THEN 'EXISTS (SELECT FROM crm_deals.deal AS k WHERE k.id = s.deal_id)'
                          WHEN (SELECT h.host FROM crm_deals_internal.host(reference) AS h) IS NULL THEN 'true'
                          ELSE format('EXISTS (SELECT FROM crm_deals.%I AS k WHERE k.id = s.%I)', '_' || reference,
                                      reference || '_id') END;
BEGIN
    EXECUTE format(
        'UPDATE pg_temp._crm_deals_rows AS r '
        'SET %1$I = s.%2$I, _problem = CASE WHEN %3$s THEN r._problem '
        '        ELSE concat_ws(chr(10), r._problem, format(''%4$s %%s does not exist.'', s.%2$I)) END '
        'FROM pg_temp._crm_deals_source AS s '
        'WHERE s._row = r._row AND s.%2$I IS NOT NULL AND ($1 IS NULL OR r._row = ANY ($1))',
        field, reference || '_id', is_known, initcap(reference))
    USING chosen;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_take_keys(text, text, bigint[]) IS
    'Internal: takes the keys that the source gives itself.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_take_names(entity text, reference text, field text, chosen bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_deals_internal.import_find_names(reference, true, entity);
    EXECUTE format(
        'UPDATE pg_temp._crm_deals_rows AS r '
        'SET %1$I = n.key, _problem = nullif(concat_ws(chr(10), r._problem, n.problem), '''') '
        'FROM pg_temp._crm_deals_source AS s, pg_temp.%2$I AS n '
        'WHERE s._row = r._row AND n.name = s.%3$I AND ($1 IS NULL OR r._row = ANY ($1)) %4$s',
        field, '_crm_deals_' || reference || 's', reference,
        CASE reference WHEN 'owner' THEN ''
                       WHEN 'account' THEN 'AND n.organization IS NOT DISTINCT FROM s.organization'
                       ELSE 'AND n.organization IS NOT DISTINCT FROM s.organization '
                            'AND n.account IS NOT DISTINCT FROM r.account_id::text' END)
    USING chosen;
    EXECUTE format('DROP TABLE pg_temp.%I', '_crm_deals_' || reference || 's');
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_take_names(text, text, text, bigint[]) IS
    'Internal: finds the accounts, contacts or owners that the rows name.';

-- Accounts go before contacts: a contact is looked for in the account of its row first.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fill_references(entity text, given text[], chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    named record;
BEGIN
    FOR named IN SELECT f.reading, f.field, regexp_replace(f.name, '_id$', '') AS reference
                 FROM crm_deals_internal.import_party_fields(entity) AS f
                 WHERE f.field IN ('owner', 'account_id', 'contact_id', 'deal_id') AND f.name = ANY (given)
                 ORDER BY f.field LOOP
        IF named.reading = 'key' THEN
            PERFORM crm_deals_internal.import_take_keys(named.reference, named.field, chosen);
        ELSE
            PERFORM crm_deals_internal.import_take_names(entity, named.reference, named.field, chosen);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fill_references(text, text[], bigint[]) IS
    'Internal: notes in _crm_deals_rows the keys of what the rows name.';

-- A lead that is there keeps what the row does not say.
-- access: write
CREATE FUNCTION crm_deals_internal.import_fill_leads(chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE pg_temp._crm_deals_rows AS r
    SET status = j.status, converted_at = j.converted_at,
        _problem = nullif(concat_ws(E'\n', r._problem,
            CASE WHEN j.status IS NULL
                 THEN format('Status "%s" is unknown. There are new, working, qualified, disqualified and converted.',
                             j.word)
                 WHEN j.old_status = 'converted' AND j.status <> 'converted'
                 THEN format('The lead was converted on %s, so its status cannot become %s. Leave the status out.',
                             to_char(j.old_converted_at, 'YYYY-MM-DD'), j.status)
                 WHEN j.status = 'converted' AND j.converted_at IS NULL
                 THEN 'A converted lead needs the moment of its conversion: give it in a column converted_at.'
                 WHEN j.status <> 'converted' AND j.converted_at IS NOT NULL
                 THEN format('Only a converted lead has converted_at; the status of this one is %s.', j.status)
                 WHEN NOT isfinite(j.converted_at) THEN 'A date is not finite.' END), '')
    FROM (SELECT x._row, l.status AS old_status, l.converted_at AS old_converted_at, s.status AS word,
                 CASE WHEN s.status IS NULL THEN coalesce(l.status, 'new')
                      ELSE (SELECT w.word
                            FROM unnest('{new,working,qualified,disqualified,converted}'::text[]) AS w (word)
                            WHERE w.word = lower(crm_deals_internal.import_folded(s.status))) END AS status,
                 coalesce(s.converted_at, l.converted_at) AS converted_at
          FROM pg_temp._crm_deals_rows AS x
          JOIN pg_temp._crm_deals_source AS s ON s._row = x._row
          LEFT JOIN LATERAL (SELECT l.status, l.converted_at FROM crm_deals.lead AS l WHERE l.id = x.id OFFSET 0) AS l
                 ON NOT x._is_new) AS j
    WHERE r._row = j._row AND (chosen IS NULL OR r._row = ANY (chosen));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_fill_leads(bigint[]) IS
    'Internal: notes status and conversion of leads, and refuses those that contradict themselves.';

-- ----------
-- Refusals
-- ----------

-- "old" is NULL for what is new.
-- access: write
CREATE FUNCTION crm_deals_internal.import_wrong_fields(entity text, organization text, old jsonb, stated jsonb)
RETURNS text
LANGUAGE c STABLE COST 100 AS 'MODULE_PATHNAME', 'crm_deals_import_wrong_fields';
COMMENT ON FUNCTION crm_deals_internal.import_wrong_fields(text, text, jsonb, jsonb) IS
    'Internal: says which custom fields are not as defined, or returns NULL.';

-- access: write
CREATE FUNCTION crm_deals_internal.import_needed_texts(entity text, given text[], OUT texts text, OUT message text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(format('s.%I', n.name), ', '), 'NULL::text'),
           CASE entity WHEN 'account' THEN 'An account needs a name.'
                       WHEN 'contact' THEN 'A contact needs a name, an e-mail address or a phone number.'
                       ELSE 'A lead needs a company, a person, an e-mail address or a phone number.' END
    FROM unnest(CASE entity WHEN 'account' THEN '{name}'::text[]
                            WHEN 'contact' THEN '{first_name,last_name,email,phone}'
                            ELSE '{company_name,first_name,last_name,email,phone}' END) AS n (name)
    WHERE n.name = ANY (given)
$$;
COMMENT ON FUNCTION crm_deals_internal.import_needed_texts(text, text[]) IS
    'Internal: returns the texts of which a new account, contact or lead needs one, and the message if it has none.';

-- All rows at once: a row that only its writing refuses costs more (write.sql).
-- access: write
CREATE FUNCTION crm_deals_internal.import_refuse_parties(entity text, given text[], chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    party record;
    needed record;
BEGIN
    SELECT * INTO party FROM crm_deals_internal.import_party(entity);
    SELECT * INTO needed FROM crm_deals_internal.import_needed_texts(entity, given);
    EXECUTE format($query$
        UPDATE pg_temp._crm_deals_rows AS r
        SET _problem = concat_ws(chr(10), r._problem, j.problem)
        FROM (SELECT r._row, nullif(concat_ws(chr(10),
                  CASE WHEN (r._is_new OR $3) AND num_nonnulls(%1$s) = 0 THEN $4 END,
                  CASE WHEN jsonb_typeof(r.custom_fields) <> 'object' THEN 'custom_fields is not an object.'
                       ELSE crm_deals_internal.import_wrong_fields($2, r.organization, t.there, r.custom_fields)
                       END), '') AS problem
              FROM pg_temp._crm_deals_rows AS r
              JOIN pg_temp._crm_deals_source AS s ON s._row = r._row
              LEFT JOIN LATERAL (SELECT %2$s AS there FROM %3$s AS t WHERE t.%4$I = r.id OFFSET 0) AS t
                     ON NOT r._is_new
              WHERE $1 IS NULL OR r._row = ANY ($1)) AS j
        WHERE r._row = j._row AND j.problem IS NOT NULL
        $query$, needed.texts, party.fields_there, party.relation, party.key_column)
    USING chosen, entity, entity = 'account' AND 'name' = ANY (given), needed.message;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_refuse_parties(text, text[], bigint[]) IS
    'Internal: refuses rows that say too little, or whose custom fields are not as defined.';

-- "given" are the columns of the source. "chosen" are numbers of rows; NULL stands for all.
-- access: write
CREATE FUNCTION crm_deals_internal.import_resolve_parties(entity text, given text[], chosen bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET default_statistics_target = 10
AS $$
BEGIN
    PERFORM crm_deals_internal.import_find_parties(entity, chosen);
    PERFORM crm_deals_internal.import_lock_parties(entity);
    PERFORM crm_deals_internal.import_fill_party_rows(entity, given, chosen);
    PERFORM crm_deals_internal.import_fill_references(entity, given, chosen);
    IF entity = 'lead' THEN
        PERFORM crm_deals_internal.import_fill_leads(chosen);
    END IF;
    PERFORM crm_deals_internal.import_refuse_parties(entity, given, chosen);
    PERFORM crm_deals_internal.import_refuse_twins(chosen);
    ANALYZE pg_temp._crm_deals_rows;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.import_resolve_parties(text, text[], bigint[]) IS
    'Internal: notes in _crm_deals_rows what is to be done with each row, or why it is refused.';
