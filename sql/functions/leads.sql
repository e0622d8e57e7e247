-- Leads become accounts, contacts and deals. All runs as the caller; what it reads
-- and writes of accounts and contacts it knows from the mapping of install(), for
-- the host's tables and for ours alike.

-- Where accounts, contacts or owners are: their table, its key, and by field the column that holds it.
-- access: write
CREATE FUNCTION crm_deals_internal.host(entity text, OUT host regclass, OUT key_column text, OUT key_type text, OUT columns jsonb)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mapping jsonb;
BEGIN
    SELECT CASE entity WHEN 'account' THEN i.account_table WHEN 'contact' THEN i.contact_table ELSE i.owner_table END,
           coalesce(i.columns -> entity, '{}')
    INTO host, mapping
    FROM crm_deals.installation AS i;
    SELECT k.name, k.type INTO key_column, key_type FROM crm_deals_internal.primary_key(host) AS k;
    SELECT coalesce(jsonb_object_agg(m.field, a.attname), '{}')
    INTO columns
    FROM crm_deals_internal.mappable() AS m
    JOIN pg_attribute AS a ON a.attrelid = host AND a.attname = coalesce(mapping ->> m.field, m.field)
                              AND a.attnum > 0 AND NOT a.attisdropped
    WHERE m.entity = entity;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.host(text) IS
    'Internal: table, key and mapped columns of accounts, contacts or owners.';

-- A text that says nothing is none.
-- access: write
CREATE FUNCTION crm_deals_internal.filled(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT nullif(btrim(value, E' \t\r\n'), '') $$;
COMMENT ON FUNCTION crm_deals_internal.filled(text) IS
    'Internal: a text without the blanks around it, NULL where nothing is left.';

-- What a host table cannot do has one way out, and every such error names it.
-- access: write
CREATE FUNCTION crm_deals_internal.way_out(entity text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT format('Create the %1$s yourself and give its key as use_%1$s.', entity) $$;
COMMENT ON FUNCTION crm_deals_internal.way_out(text) IS
    'Internal: the hint of errors that use_account or use_contact avoids.';

-- ----------
-- Finding
-- ----------

-- The key of a row, as the table writes it; NULL where there is no such row.
-- access: write
CREATE FUNCTION crm_deals_internal.existing_key(entity text, key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    found_key text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    BEGIN
        EXECUTE format('SELECT t.%1$I::text FROM %2$s AS t WHERE t.%1$I = $1::%3$s', host.key_column, host.host, host.key_type)
        INTO found_key
        USING key;
    EXCEPTION WHEN data_exception THEN
        RETURN NULL;    -- a text that is no such key
    END;
    RETURN found_key;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.existing_key(text, text) IS
    'Internal: the key of an account, contact or owner that exists, else NULL.';

-- access: write
CREATE FUNCTION crm_deals_internal.given_key(entity text, key text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_key text := crm_deals_internal.existing_key(entity, key);
BEGIN
    IF found_key IS NULL THEN
        RAISE EXCEPTION '% "%" does not exist', entity, key USING ERRCODE = 'P0002';
    END IF;
    RETURN found_key;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.given_key(text, text) IS
    'Internal: the key given as use_account or use_contact, an error where there is no such row.';

-- The one row that has a value, both sides as the expression says; several are an error that names them.
-- Ours have an index on each of these expressions: external_id, lower(btrim(name)), lower(email).
-- access: write
CREATE FUNCTION crm_deals_internal.key_by(entity text, field text, expression text, value text, organization text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    keys text[];
    names text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    IF value IS NULL OR NOT host.columns ? field THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT array_agg(f.key::text ORDER BY f.key), '
                   'string_agg(format(''%%s (%%s)'', f.key, f.value), '', '' ORDER BY f.key) '
                   'FROM (SELECT t.%I AS key, t.%I AS value FROM %s AS t WHERE %s = %s AND %s LIMIT 20) AS f',
                   host.key_column, host.columns ->> field, host.host,
                   format(expression, format('t.%I::text', host.columns ->> field)), format(expression, '$1'),
                   CASE WHEN host.columns ? 'organization'
                        THEN format('t.%I::text IS NOT DISTINCT FROM $2', host.columns ->> 'organization') ELSE 'true' END)
    INTO keys, names
    USING value, organization;
    IF cardinality(keys) > 1 THEN
        RAISE EXCEPTION 'more than one % has the % "%"', entity, field, value
            USING ERRCODE = 'P0003',
                  DETAIL = format('There are %s.', names),
                  HINT = format('Say which one is meant with use_%s.', entity);
    END IF;
    RETURN keys[1];
END
$$;
COMMENT ON FUNCTION crm_deals_internal.key_by(text, text, text, text, text) IS
    'Internal: the key of the one account or contact with a value, NULL where there is none.';

-- access: write
CREATE FUNCTION crm_deals_internal.account_of_contact(contact text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
    account text;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host('contact');
    IF contact IS NULL OR NOT host.columns ? 'account_id' THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT t.%I::text FROM %s AS t WHERE t.%I = $1::%s',
                   host.columns ->> 'account_id', host.host, host.key_column, host.key_type)
    INTO account
    USING contact;
    RETURN account;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.account_of_contact(text) IS
    'Internal: the account that a contact belongs to.';

-- access: write
CREATE FUNCTION crm_deals_internal.find_contact(lead jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(crm_deals_internal.key_by('contact', 'external_id', '%s', lead ->> 'external_id', lead ->> 'organization'),
                    crm_deals_internal.key_by('contact', 'email', 'lower(%s)', crm_deals_internal.filled(lead ->> 'email'),
                                      lead ->> 'organization'))
$$;
COMMENT ON FUNCTION crm_deals_internal.find_contact(jsonb) IS
    'Internal: the contact that a lead is already, by external_id, else by e-mail.';

-- access: write
CREATE FUNCTION crm_deals_internal.find_account(lead jsonb, contact text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(crm_deals_internal.key_by('account', 'external_id', '%s', lead ->> 'external_id', lead ->> 'organization'),
                    crm_deals_internal.account_of_contact(contact),
                    crm_deals_internal.key_by('account', 'name', 'lower(btrim(%s))', crm_deals_internal.filled(lead ->> 'company_name'),
                                      lead ->> 'organization'))
$$;
COMMENT ON FUNCTION crm_deals_internal.find_account(jsonb, text) IS
    'Internal: the account of a lead, by external_id, by its contact, else by name.';

-- Two conversions that are about to make the same account or contact: the second waits, and finds
-- it. Of a limited number of locks, so that one transaction can convert any number of leads.
-- access: write
CREATE FUNCTION crm_deals_internal.lock_new(entity text, organization text, value text) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(hashtext('crm_deals.convert_lead'),
                                 hashtext(concat_ws(' ', lock_new.entity, lock_new.organization, lower(lock_new.value))) & 1023)
    WHERE lock_new.value IS NOT NULL
$$;
COMMENT ON FUNCTION crm_deals_internal.lock_new(text, text, text) IS
    'Internal: one conversion at a time makes an account of a name, or a contact of an e-mail.';

-- ----------
-- Creating
-- ----------

-- Columns and types for jsonb_to_record(): each of the fields that the table has a column for.
-- access: write
CREATE FUNCTION crm_deals_internal.record_columns(relation regclass, fields text[], OUT names text, OUT definitions text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
           string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (fields)
$$;
COMMENT ON FUNCTION crm_deals_internal.record_columns(regclass, text[]) IS
    'Internal: columns of a table, as an INSERT lists them and as jsonb_to_record() does.';

-- One row, from an object whose keys are columns; its key as a text.
-- access: write
CREATE FUNCTION crm_deals_internal.insert_row(relation regclass, key_column text, columns jsonb) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    listed record;
    new_key text;
BEGIN
    SELECT * INTO listed FROM crm_deals_internal.record_columns(relation, ARRAY(SELECT jsonb_object_keys(columns)));
    EXECUTE format('INSERT INTO %s AS t (%2$s) SELECT %2$s FROM jsonb_to_record($1) AS r (%3$s) RETURNING t.%4$I::text',
                   relation, listed.names, listed.definitions, key_column)
    INTO new_key
    USING columns;
    IF new_key IS NULL THEN
        RAISE EXCEPTION 'the new row of % was suppressed', relation
            USING ERRCODE = '09000', DETAIL = 'A trigger or a rule on the table let no row be inserted.';
    END IF;
    RETURN new_key;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.insert_row(regclass, text, jsonb) IS
    'Internal: inserts a row given as an object, returns its key.';

-- Fields under the names of the columns that hold them. Where people have one column for their
-- name, the whole name goes there.
-- access: write
CREATE FUNCTION crm_deals_internal.as_columns(entity text, fields jsonb, columns jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(columns ->> f.key, f.value), '{}')
    FROM jsonb_each(jsonb_strip_nulls(
             fields || CASE WHEN as_columns.entity = 'contact' AND NOT columns ?& ARRAY['first_name', 'last_name']
                            THEN (SELECT jsonb_build_object('first_name', whole.name, 'last_name', whole.name)
                                  FROM (SELECT crm_deals_internal.person_name(fields)) AS whole (name))
                            ELSE '{}' END)) AS f
    WHERE columns ? f.key
$$;
COMMENT ON FUNCTION crm_deals_internal.as_columns(text, jsonb, jsonb) IS
    'Internal: fields of an account or contact under the names of the table''s columns.';

-- access: write
CREATE FUNCTION crm_deals_internal.person_name(lead jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm_deals_internal.filled(concat_ws(' ', lead ->> 'first_name', lead ->> 'last_name')) $$;
COMMENT ON FUNCTION crm_deals_internal.person_name(jsonb) IS
    'Internal: the name of a person, NULL where there is none.';

-- The lead's custom fields whose key is defined for what it becomes.
-- access: write
CREATE FUNCTION crm_deals_internal.inherited_fields(lead jsonb, entity text, organization text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(v.key, v.value), '{}')
    FROM jsonb_each(lead -> 'custom_fields') AS v
    WHERE v.value <> 'null'
      AND EXISTS (SELECT FROM crm_deals.custom_field AS f
                  WHERE f.entity = inherited_fields.entity AND f.key = v.key
                    AND (f.organization IS NULL OR f.organization = inherited_fields.organization))
$$;
COMMENT ON FUNCTION crm_deals_internal.inherited_fields(jsonb, text, text) IS
    'Internal: the custom fields of a lead that what it becomes has, too.';

-- essential: fields of which the table must have one, else nothing of the lead would be kept.
-- access: write
CREATE FUNCTION crm_deals_internal.create_from_lead(entity text, lead jsonb, fields jsonb, essential text[]) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    host record;
BEGIN
    SELECT * INTO host FROM crm_deals_internal.host(entity);
    IF NOT host.columns ?| essential THEN
        RAISE EXCEPTION 'the % of the lead cannot be written to table %', entity, host.host
            USING ERRCODE = '55000',
                  DETAIL = format('No column of it is mapped to %s.', array_to_string(essential, ' or ')),
                  HINT = crm_deals_internal.way_out(entity);
    END IF;
    fields := fields || jsonb_build_object(
        'organization', lead -> 'organization', 'external_id', lead -> 'external_id', 'owner', lead -> 'owner',
        'custom_fields', nullif(crm_deals_internal.inherited_fields(lead, entity, lead ->> 'organization'), '{}'));
    RETURN crm_deals_internal.insert_row(host.host, host.key_column, crm_deals_internal.as_columns(entity, fields, host.columns));
END
$$;
COMMENT ON FUNCTION crm_deals_internal.create_from_lead(text, jsonb, jsonb, text[]) IS
    'Internal: a new account or contact; its key.';

-- access: write
CREATE FUNCTION crm_deals_internal.create_account(lead jsonb) RETURNS text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.create_from_lead('account', lead, jsonb_build_object('name', crm_deals_internal.filled(lead ->> 'company_name')),
                                       ARRAY['name'])
$$;
COMMENT ON FUNCTION crm_deals_internal.create_account(jsonb) IS
    'Internal: the account that a lead becomes.';

-- access: write
CREATE FUNCTION crm_deals_internal.create_contact(lead jsonb, account text) RETURNS text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.create_from_lead('contact', lead,
               jsonb_build_object('first_name', crm_deals_internal.filled(lead ->> 'first_name'),
                                  'last_name', crm_deals_internal.filled(lead ->> 'last_name'),
                                  'email', crm_deals_internal.filled(lead ->> 'email'), 'phone', crm_deals_internal.filled(lead ->> 'phone'),
                                  'account_id', account),
               CASE WHEN crm_deals_internal.person_name(lead) IS NOT NULL THEN ARRAY['first_name', 'last_name']
                    WHEN crm_deals_internal.filled(lead ->> 'email') IS NOT NULL THEN ARRAY['email'] ELSE ARRAY['phone'] END)
$$;
COMMENT ON FUNCTION crm_deals_internal.create_contact(jsonb, text) IS
    'Internal: the contact that a lead becomes.';

-- ----------
-- Account and contact of a lead
-- ----------

-- What the table refused, said once more with the way out; state, constraint and the like are kept.
-- access: write
CREATE FUNCTION crm_deals_internal.raise_refused(entity text, state text, message text, detail text,
                                         table_name text, column_name text, constraint_name text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'the % of the lead cannot be found or written in table %',
                    entity, (SELECT h.host FROM crm_deals_internal.host(entity) AS h)
        USING ERRCODE = state, DETAIL = concat_ws(E'\n', message, nullif(detail, '')), HINT = crm_deals_internal.way_out(entity),
              TABLE = table_name, COLUMN = column_name, CONSTRAINT = constraint_name;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.raise_refused(text, text, text, text, text, text, text) IS
    'Internal: an error of a table of accounts or contacts, with the hint to use_account or use_contact.';

-- step: find or create, of the account or the contact.
-- access: write
CREATE FUNCTION crm_deals_internal.try_table(entity text, step text, lead jsonb, other text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state text;
    message text;
    detail text;
    table_name text;
    column_name text;
    constraint_name text;
BEGIN
    RETURN CASE step || ' ' || entity
        WHEN 'find contact' THEN crm_deals_internal.find_contact(lead)
        WHEN 'find account' THEN crm_deals_internal.find_account(lead, other)
        WHEN 'create contact' THEN crm_deals_internal.create_contact(lead, other)
        WHEN 'create account' THEN crm_deals_internal.create_account(lead)
    END;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                            table_name = TABLE_NAME, column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
    PERFORM crm_deals_internal.raise_refused(entity, state, message, detail, table_name, column_name, constraint_name);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.try_table(text, text, jsonb, text) IS
    'Internal: finds or creates an account or contact; where the table refuses, the error says what to do.';

-- access: write
CREATE FUNCTION crm_deals_internal.contact_of_lead(lead jsonb, use_contact text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    contact text;
BEGIN
    IF use_contact IS NOT NULL THEN
        RETURN crm_deals_internal.given_key('contact', use_contact);
    END IF;
    contact := crm_deals_internal.try_table('contact', 'find', lead, NULL);
    IF contact IS NULL THEN
        PERFORM crm_deals_internal.lock_new('contact', lead ->> 'organization', crm_deals_internal.filled(lead ->> 'email'));
        contact := crm_deals_internal.try_table('contact', 'find', lead, NULL);
    END IF;
    RETURN contact;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.contact_of_lead(jsonb, text) IS
    'Internal: the contact of a lead, NULL where it has to be made.';

-- No company, no account.
-- access: write
CREATE FUNCTION crm_deals_internal.account_of_lead(lead jsonb, contact text, use_account text) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    account text;
    company text := crm_deals_internal.filled(lead ->> 'company_name');
BEGIN
    IF use_account IS NOT NULL THEN
        RETURN crm_deals_internal.given_key('account', use_account);
    END IF;
    account := crm_deals_internal.try_table('account', 'find', lead, contact);
    IF account IS NULL AND company IS NOT NULL THEN
        PERFORM crm_deals_internal.lock_new('account', lead ->> 'organization', company);
        account := coalesce(crm_deals_internal.try_table('account', 'find', lead, contact),
                            crm_deals_internal.try_table('account', 'create', lead, NULL));
    END IF;
    RETURN account;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.account_of_lead(jsonb, text, text) IS
    'Internal: the account of a lead, found or made.';

-- access: write
CREATE FUNCTION crm_deals_internal.names_person(lead jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_deals_internal.filled(concat(lead ->> 'first_name', lead ->> 'last_name', lead ->> 'email', lead ->> 'phone')) IS NOT NULL
$$;
COMMENT ON FUNCTION crm_deals_internal.names_person(jsonb) IS
    'Internal: whether there is anything that a contact could be made of.';

-- ----------
-- The deal
-- ----------

-- access: write
CREATE FUNCTION crm_deals_internal.check_deal_argument(deal jsonb) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    unknown text;
BEGIN
    IF jsonb_typeof(deal) <> 'object' THEN
        RAISE EXCEPTION 'deal must be an object'
            USING ERRCODE = '22023', HINT = 'Such as {"amount": 5000, "stage": "qualified"}.';
    END IF;
    IF deal ?& ARRAY['pipeline', 'pipeline_id'] OR deal ?& ARRAY['stage', 'stage_id'] THEN
        RAISE EXCEPTION 'deal names its pipeline or stage twice' USING ERRCODE = '22023', HINT = 'By name or key, or by id.';
    END IF;
    SELECT string_agg(format('"%s"', k.key), ', ')
    INTO unknown
    FROM jsonb_object_keys(deal) AS k (key)
    WHERE k.key NOT IN ('pipeline', 'stage')
      AND k.key NOT LIKE 'custom\_fields.%'
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attname = k.key
                        AND a.attnum > 0 AND NOT a.attisdropped);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'a deal has no %', unknown
            USING ERRCODE = '22023',
                  HINT = 'deal takes the columns of crm_deals.deal, pipeline and stage by name or key, and custom_fields.KEY.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_deal_argument(jsonb) IS
    'Internal: refuses keys that a deal does not have.';

-- By name in the organization, then among those of the whole system, else by id; the default where none is named.
-- access: write
CREATE FUNCTION crm_deals_internal.pipeline_for(pipeline text, organization text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_id bigint;
BEGIN
    SELECT p.id
    INTO found_id
    FROM crm_deals.pipeline AS p
    WHERE CASE WHEN pipeline IS NULL THEN p.is_default ELSE p.name = pipeline END
      AND (p.organization = organization OR p.organization IS NULL)
    ORDER BY p.organization NULLS LAST
    LIMIT 1;
    found_id := coalesce(found_id, (SELECT p.id FROM crm_deals.pipeline AS p WHERE p.id::text = pipeline));
    IF found_id IS NULL AND pipeline IS NULL THEN
        RAISE EXCEPTION 'there is no default pipeline'
            USING ERRCODE = 'P0002', HINT = 'Name one: deal => ''{"pipeline": "..."}''.';
    ELSIF found_id IS NULL THEN
        PERFORM crm_deals_internal.raise_unknown_pipeline(pipeline);
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.pipeline_for(text, text) IS
    'Internal: the pipeline of a name or id, the default one where none is named.';

-- Where the new deal starts: columns that the argument names itself, else the stage or the pipeline that it
-- means. The rules do the rest.
-- access: write
CREATE FUNCTION crm_deals_internal.start_of_deal(deal jsonb, organization text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    pipeline bigint;
    stage bigint;
BEGIN
    IF deal ->> 'stage' IS NULL AND coalesce(deal ->> 'stage_id', deal ->> 'pipeline_id') IS NOT NULL THEN
        RETURN '{}';
    END IF;
    pipeline := coalesce((deal ->> 'pipeline_id')::bigint, crm_deals_internal.pipeline_for(deal ->> 'pipeline', organization));
    IF deal ->> 'stage' IS NULL THEN
        RETURN jsonb_build_object('pipeline_id', pipeline);
    END IF;
    stage := crm_deals_internal.find_stage(pipeline, deal ->> 'stage');
    IF stage IS NULL THEN
        PERFORM crm_deals_internal.raise_unknown_stage(deal ->> 'stage', pipeline);
    END IF;
    RETURN jsonb_build_object('stage_id', stage);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.start_of_deal(jsonb, text) IS
    'Internal: stage or pipeline of a new deal, from names and keys.';

-- access: write
CREATE FUNCTION crm_deals_internal.organization_of_start(start jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.organization
    FROM crm_deals.pipeline AS p
    WHERE p.id = coalesce((SELECT s.pipeline_id FROM crm_deals.stage AS s WHERE s.id = (start ->> 'stage_id')::bigint),
                          (start ->> 'pipeline_id')::bigint)
$$;
COMMENT ON FUNCTION crm_deals_internal.organization_of_start(jsonb) IS
    'Internal: the organization of the pipeline in which a deal starts.';

-- access: write
CREATE FUNCTION crm_deals_internal.label_of_account(account text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    label text;
BEGIN
    EXECUTE format('SELECT a.label FROM crm_deals._account AS a WHERE a.id = $1::%s',
                   (SELECT h.key_type FROM crm_deals_internal.host('account') AS h))
    INTO label
    USING account;
    RETURN label;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.label_of_account(text) IS
    'Internal: what an account is called.';

-- access: write
CREATE FUNCTION crm_deals_internal.name_of_deal(lead jsonb, account text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name text := coalesce(crm_deals_internal.filled(lead ->> 'company_name'), crm_deals_internal.label_of_account(account),
                          crm_deals_internal.person_name(lead), crm_deals_internal.filled(lead ->> 'email'));
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'the deal of lead % has no name', lead ->> 'id'
            USING ERRCODE = '23514', DETAIL = 'The lead names neither a company nor a person.',
                  HINT = 'Name it: deal => ''{"name": "..."}''.',
                  SCHEMA = 'crm_deals', TABLE = 'deal', COLUMN = 'name', CONSTRAINT = 'deal_name';
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.name_of_deal(jsonb, text) IS
    'Internal: the company''s name, else the person''s.';

-- What the lead says, and over it what the argument says.
-- access: write
CREATE FUNCTION crm_deals_internal.deal_of_lead(lead jsonb, deal jsonb, account text, contact text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    start jsonb := crm_deals_internal.start_of_deal(deal, coalesce(lead ->> 'organization',
                                                           nullif(current_setting('crm_deals.organization', true), '')));
    per_key jsonb;
    plain jsonb;
BEGIN
    SELECT coalesce(jsonb_object_agg(substr(v.key, length('custom_fields.') + 1), v.value)
                        FILTER (WHERE v.key LIKE 'custom\_fields.%'), '{}'),
           coalesce(jsonb_object_agg(v.key, v.value) FILTER (WHERE v.key NOT LIKE 'custom\_fields.%'), '{}')
    INTO per_key, plain
    FROM jsonb_each(deal) AS v;

    RETURN jsonb_build_object('account_id', account, 'primary_contact_id', contact,
                              'owner', lead -> 'owner', 'source', lead -> 'source')
        || start
        || plain - ARRAY['pipeline', 'stage']
        || jsonb_build_object('name', coalesce(deal ->> 'name', crm_deals_internal.name_of_deal(lead, account)),
                              'custom_fields', crm_deals_internal.inherited_fields(lead, 'deal', crm_deals_internal.organization_of_start(start || plain))
                                               || coalesce(nullif(deal -> 'custom_fields', 'null'), '{}') || per_key);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deal_of_lead(jsonb, jsonb, text, text) IS
    'Internal: the deal that a lead becomes, as an object of columns.';

-- The setting names the actor for this one INSERT and what its triggers write. Where it fails, the setting
-- goes back with the rest of the (sub)transaction.
-- access: write
CREATE FUNCTION crm_deals_internal.insert_deal(deal jsonb, actor text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    actor_before text := coalesce(current_setting('crm_deals.actor', true), '');
    new_id bigint;
BEGIN
    IF actor IS NOT NULL THEN
        PERFORM set_config('crm_deals.actor', actor, true);
    END IF;
    new_id := crm_deals_internal.insert_row('crm_deals.deal', 'id', deal);
    IF actor IS NOT NULL THEN
        PERFORM set_config('crm_deals.actor', actor_before, true);
    END IF;
    RETURN new_id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.insert_deal(jsonb, text) IS
    'Internal: a new deal, and who is named as its creator.';

-- ----------
-- The lead
-- ----------

-- The row is locked until commit: of two conversions the second finds it converted.
-- access: write
CREATE FUNCTION crm_deals_internal.lead_to_convert(lead bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current jsonb;
BEGIN
    SELECT to_jsonb(l) INTO current FROM crm_deals.lead AS l WHERE l.id = lead FOR NO KEY UPDATE;
    IF current IS NULL THEN
        RAISE EXCEPTION 'lead % does not exist', lead USING ERRCODE = 'P0002';
    ELSIF current ->> 'status' = 'converted' THEN
        RAISE EXCEPTION 'lead % is converted already', lead
            USING ERRCODE = '55000',
                  DETAIL = format('It became account %s, contact %s, deal %s at %s.',
                                  coalesce(current ->> 'account_id', 'none'), coalesce(current ->> 'contact_id', 'none'),
                                  -- one that the caller may not see is not named
                                  coalesce((SELECT d.id::text FROM crm_deals.deal AS d
                                            WHERE d.id = (current ->> 'deal_id')::bigint), 'none'),
                                  current ->> 'converted_at');
    ELSIF current ->> 'status' = 'disqualified' THEN
        RAISE EXCEPTION 'lead % is disqualified', lead
            USING ERRCODE = '55000', HINT = 'Set its status to qualified first.';
    END IF;
    RETURN current;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.lead_to_convert(bigint) IS
    'Internal: a lead that may be converted, locked.';

-- Its activities are the history of what it became, too.
-- access: write
CREATE FUNCTION crm_deals_internal.mark_converted(lead bigint, account text, contact text, deal bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    account_type text := (SELECT h.key_type FROM crm_deals_internal.host('account') AS h);
    contact_type text := (SELECT h.key_type FROM crm_deals_internal.host('contact') AS h);
    changed bigint;
BEGIN
    EXECUTE format('UPDATE crm_deals.lead SET status = ''converted'', converted_at = now(), '
                   'account_id = $2::%s, contact_id = $3::%s, deal_id = $4 WHERE id = $1', account_type, contact_type)
    USING lead, account, contact, deal;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> 1 THEN
        RAISE EXCEPTION 'the conversion of lead % was suppressed', lead
            USING ERRCODE = '09000', DETAIL = 'A trigger or a rule on crm_deals.lead let no row be updated.';
    END IF;
    EXECUTE format('UPDATE crm_deals.activity SET account_id = coalesce(account_id, $2::%s), '
                   'contact_id = coalesce(contact_id, $3::%s), deal_id = coalesce(deal_id, $4) WHERE lead_id = $1',
                   account_type, contact_type)
    USING lead, account, contact, deal;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.mark_converted(bigint, text, text, bigint) IS
    'Internal: a lead says what it became, and so do its activities.';

-- access: write
CREATE FUNCTION crm_deals_internal.convert_lead(lead bigint, create_deal boolean, deal jsonb, use_account text,
                                                use_contact text, actor text, OUT account_id text,
                                                OUT contact_id text, OUT deal_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current jsonb;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    IF lead IS NULL THEN
        RAISE EXCEPTION 'convert_lead needs a lead' USING ERRCODE = '22004';
    END IF;
    deal := coalesce(deal, '{}');
    PERFORM crm_deals_internal.check_deal_argument(deal);

    -- A writer of deals enters before it locks a row.
    PERFORM crm_deals_internal.enter_as_writer();
    current := crm_deals_internal.lead_to_convert(lead);
    contact_id := crm_deals_internal.contact_of_lead(current, use_contact);
    account_id := crm_deals_internal.account_of_lead(current, contact_id, use_account);
    IF contact_id IS NULL AND crm_deals_internal.names_person(current) THEN
        contact_id := crm_deals_internal.try_table('contact', 'create', current, account_id);
    END IF;
    IF create_deal IS NOT FALSE THEN
        deal_id := crm_deals_internal.insert_deal(crm_deals_internal.deal_of_lead(current, deal, account_id, contact_id), actor);
    END IF;
    PERFORM crm_deals_internal.mark_converted(lead, account_id, contact_id, deal_id);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.convert_lead(bigint, boolean, jsonb, text, text, text) IS
    'Internal: what crm_deals.convert_lead() does.';
