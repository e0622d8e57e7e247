-- The deal that a lead becomes.

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
        RAISE EXCEPTION 'deal names its pipeline or stage twice'
            USING ERRCODE = '22023', HINT = 'Name it by name or key, or by id, not both.';
    END IF;
    SELECT string_agg(format('"%s"', k.key), ', ')
    INTO unknown
    FROM jsonb_object_keys(deal) AS k (key)
    WHERE k.key NOT IN ('pipeline', 'stage')
      AND NOT starts_with(k.key, 'custom_fields.')
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = 'crm_deals.deal'::regclass AND a.attname = k.key
                        AND a.attnum > 0 AND NOT a.attisdropped);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'a deal has no %', unknown
            USING ERRCODE = '22023',
                  HINT = 'deal takes the columns of crm_deals.deal, pipeline and stage by name or key, '
                         'and custom_fields.KEY.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_deal_argument(jsonb) IS
    'Internal: refuses an argument "deal" with keys that a deal does not have.';

-- access: write
CREATE FUNCTION crm_deals_internal.pipeline_for(pipeline text, organization text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint := crm_deals_internal.pipeline_in(organization, pipeline);
BEGIN
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
    'Internal: returns the pipeline that a text means, or the default one for NULL.';

-- An argument that has stage_id or pipeline_id itself needs nothing more: the rules derive the rest.
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
    pipeline := coalesce((deal ->> 'pipeline_id')::bigint,
                         crm_deals_internal.pipeline_for(deal ->> 'pipeline', organization));
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
    'Internal: returns the stage or the pipeline in which a new deal starts, from names and keys.';

-- access: write
CREATE FUNCTION crm_deals_internal.organization_of_start(start jsonb) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.organization
    FROM crm_deals.pipeline AS p
    WHERE p.id = coalesce((SELECT s.pipeline_id FROM crm_deals.stage AS s
                           WHERE s.id = (organization_of_start.start ->> 'stage_id')::bigint),
                          (organization_of_start.start ->> 'pipeline_id')::bigint)
$$;
COMMENT ON FUNCTION crm_deals_internal.organization_of_start(jsonb) IS
    'Internal: returns the organization of the pipeline in which a deal starts.';

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
    'Internal: returns the name of an account.';

-- access: write
CREATE FUNCTION crm_deals_internal.name_of_deal(lead jsonb, account text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name text := coalesce(crm_deals_internal.filled(lead ->> 'company_name'),
                          crm_deals_internal.label_of_account(account),
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
    'Internal: names a deal after the company of the lead, else after the person.';

-- What the argument "deal" says goes before what the lead says.
-- access: write
CREATE FUNCTION crm_deals_internal.deal_of_lead(lead jsonb, deal jsonb, account text, contact text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    start jsonb := crm_deals_internal.start_of_deal(
        deal, coalesce(lead ->> 'organization', nullif(current_setting('crm_deals.organization', true), '')));
    inherited jsonb;
    per_key jsonb;
    plain jsonb;
BEGIN
    SELECT coalesce(jsonb_object_agg(substr(v.key, length('custom_fields.') + 1), v.value)
                        FILTER (WHERE starts_with(v.key, 'custom_fields.')), '{}'),
           coalesce(jsonb_object_agg(v.key, v.value) FILTER (WHERE NOT starts_with(v.key, 'custom_fields.')), '{}')
    INTO per_key, plain
    FROM jsonb_each(deal) AS v;

    inherited := crm_deals_internal.inherited_fields(lead, 'deal',
                                                     crm_deals_internal.organization_of_start(start || plain));
    RETURN jsonb_build_object('account_id', account, 'primary_contact_id', contact,
                              'owner', lead -> 'owner', 'source', lead -> 'source')
        || start
        || plain - ARRAY['pipeline', 'stage']
        || jsonb_build_object('name', coalesce(deal ->> 'name', crm_deals_internal.name_of_deal(lead, account)),
                              'custom_fields', inherited
                                               || coalesce(nullif(deal -> 'custom_fields', 'null'), '{}') || per_key);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.deal_of_lead(jsonb, jsonb, text, text) IS
    'Internal: returns the deal that a lead becomes, as an object whose keys are columns.';

-- ----------
-- A deal that is there
-- ----------

-- If the deal is merged into another one while this waits for the lock, the other one is meant.
-- access: write
CREATE FUNCTION crm_deals_internal.lock_deal(deal bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current bigint;
    locked jsonb;
BEGIN
    FOR attempt IN 1 .. 2 LOOP
        current := crm_deals_internal.resolve_deal(deal);
        SELECT to_jsonb(d.*) INTO locked FROM crm_deals.deal AS d WHERE d.id = current FOR NO KEY UPDATE;
        EXIT WHEN locked IS NOT NULL;
    END LOOP;
    IF locked IS NULL THEN
        RAISE EXCEPTION 'deal % does not exist', deal USING ERRCODE = 'P0002';
    END IF;
    RETURN locked;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.lock_deal(bigint) IS
    'Internal: locks a deal, or the one that it was merged into, and returns it.';

-- access: write
CREATE FUNCTION crm_deals_internal.check_account_of_deal(deal jsonb, account text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF deal ->> 'account_id' <> account THEN
        RAISE EXCEPTION 'deal % is of another account than the lead', deal ->> 'id'
            USING ERRCODE = '55000',
                  DETAIL = format('The deal is of account %s, the lead of account %s.', deal ->> 'account_id', account),
                  HINT = 'If the account of the deal is right, give it as use_account.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_account_of_deal(jsonb, text) IS
    'Internal: refuses to convert a lead into a deal of another account.';

-- Nothing that the deal has is overwritten.
-- access: write
CREATE FUNCTION crm_deals_internal.fill_deal_from_lead(deal jsonb, lead jsonb, account text, contact text,
                                                       callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    contact_type text := (SELECT h.key_type FROM crm_deals_internal.host('contact') AS h);
BEGIN
    IF contact IS NOT NULL THEN
        PERFORM crm_deals_internal.write_as_caller(callers_path, format($write$
            INSERT INTO crm_deals.deal_contact (deal_id, contact_id) VALUES ($1, $2::%s) ON CONFLICT DO NOTHING
            $write$, contact_type), (deal ->> 'id')::bigint, contact);
    END IF;
    IF crm_deals_internal.write_as_caller(callers_path, format($write$
           UPDATE crm_deals.deal AS d
           SET account_id = coalesce(d.account_id, $2::%s),
               primary_contact_id = coalesce(d.primary_contact_id, $3::%s),
               source = coalesce(crm_deals_internal.filled(d.source), $4),
               custom_fields = d.custom_fields || ($5 - ARRAY(SELECT f.key FROM jsonb_each(d.custom_fields) AS f
                                                              WHERE f.value <> 'null'))
           WHERE d.id = $1
           $write$, (SELECT h.key_type FROM crm_deals_internal.host('account') AS h), contact_type),
           (deal ->> 'id')::bigint, account, contact, lead ->> 'source',
           crm_deals_internal.inherited_fields(lead, 'deal', deal ->> 'organization')) <> 1 THEN
        RAISE EXCEPTION 'deal % was not changed', deal ->> 'id'
            USING ERRCODE = '09000', DETAIL = 'A trigger or a rule on crm_deals.deal let no row be updated.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.fill_deal_from_lead(jsonb, jsonb, text, text, text) IS
    'Internal: makes the contact of a lead a stakeholder of a deal, and gives the deal what it lacks.';
