-- convert_lead(): makes an account, a contact and a deal of a lead.

-- The row is locked until commit: the second of two conversions waits and finds the lead converted.
-- access: write
CREATE FUNCTION crm_deals_internal.lead_to_convert(lead bigint) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current jsonb;
BEGIN
    SELECT to_jsonb(l.*) INTO current FROM crm_deals.lead AS l WHERE l.id = lead FOR NO KEY UPDATE;
    IF current IS NULL THEN
        RAISE EXCEPTION 'lead % does not exist', lead USING ERRCODE = 'P0002';
    ELSIF current ->> 'status' = 'converted' THEN
        RAISE EXCEPTION 'lead % is converted already', lead
            USING ERRCODE = '55000',
                  DETAIL = format('It became account %s, contact %s, deal %s at %s.',
                                  coalesce(current ->> 'account_id', 'none'),
                                  coalesce(current ->> 'contact_id', 'none'),
                                  -- a deal that the caller may not see is not named
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
    'Internal: locks a lead that may be converted and returns it.';

-- The activities of the lead become activities of the account, the contact and the deal, too.
-- access: write
CREATE FUNCTION crm_deals_internal.mark_converted(lead bigint, account text, contact text, deal bigint,
                                                  callers_path text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    account_type text := (SELECT h.key_type FROM crm_deals_internal.host('account') AS h);
    contact_type text := (SELECT h.key_type FROM crm_deals_internal.host('contact') AS h);
    changed bigint;
BEGIN
    changed := crm_deals_internal.write_as_caller(callers_path, format($write$
        UPDATE crm_deals.lead AS l
        SET status = 'converted', converted_at = now(), account_id = $2::%s, contact_id = $3::%s, deal_id = $4
        WHERE l.id = $1
        $write$, account_type, contact_type), lead, account, contact, deal);
    IF changed <> 1 THEN
        RAISE EXCEPTION 'the conversion of lead % was suppressed', lead
            USING ERRCODE = '09000', DETAIL = 'A trigger or a rule on crm_deals.lead let no row be updated.';
    END IF;
    PERFORM crm_deals_internal.write_as_caller(callers_path, format($write$
        UPDATE crm_deals.activity AS a
        SET account_id = coalesce(a.account_id, $2::%s), contact_id = coalesce(a.contact_id, $3::%s),
            deal_id = coalesce(a.deal_id, $4)
        WHERE a.lead_id = $1
        $write$, account_type, contact_type), lead, account, contact, deal);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.mark_converted(bigint, text, text, bigint, text) IS
    'Internal: notes in a lead and in its activities what the lead became.';

-- access: write
CREATE FUNCTION crm_deals_internal.check_use_deal(use_deal bigint, create_deal boolean, deal jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF use_deal IS NOT NULL AND (create_deal IS FALSE OR deal <> '{}') THEN
        RAISE EXCEPTION 'use_deal goes with neither deal nor create_deal => false'
            USING ERRCODE = '22023', HINT = 'The deal that is there keeps what it has. Change it afterwards.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.check_use_deal(bigint, boolean, jsonb) IS
    'Internal: refuses use_deal beside arguments for a new deal.';

-- "existing" is the deal that the caller named, locked, or NULL for a new one. The setting names the actor for what is
-- written to the deal, also by its triggers. If that fails, the end of the (sub)transaction puts the setting back.
-- access: write
CREATE FUNCTION crm_deals_internal.write_deal_of_lead(lead jsonb, existing jsonb, deal jsonb, account text,
                                                      contact text, actor text, callers_path text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    actor_before text := coalesce(current_setting('crm_deals.actor', true), '');
    id bigint := (existing -> 'id')::bigint;
BEGIN
    IF actor IS NOT NULL THEN
        PERFORM set_config('crm_deals.actor', actor, true);
    END IF;
    IF id IS NOT NULL THEN
        PERFORM crm_deals_internal.fill_deal_from_lead(existing, lead, account, contact, callers_path);
    ELSE
        id := crm_deals_internal.insert_row('crm_deals.deal', 'id',
                                            crm_deals_internal.deal_of_lead(lead, deal, account, contact),
                                            callers_path);
    END IF;
    IF actor IS NOT NULL THEN
        PERFORM set_config('crm_deals.actor', actor_before, true);
    END IF;
    RETURN id;
END
$$;
COMMENT ON FUNCTION crm_deals_internal.write_deal_of_lead(jsonb, jsonb, jsonb, text, text, text, text) IS
    'Internal: creates the deal of a lead, or fills the one that is there, and returns its id.';

-- access: write
CREATE FUNCTION crm_deals_internal.convert_lead(lead bigint, create_deal boolean, deal jsonb, use_account text,
                                                use_contact text, actor text, use_deal bigint, callers_path text,
                                                OUT account_id text, OUT contact_id text, OUT deal_id bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    current jsonb;
    existing jsonb;
BEGIN
    PERFORM crm_deals_internal.check_installed();
    IF lead IS NULL THEN
        RAISE EXCEPTION 'convert_lead needs a lead' USING ERRCODE = '22004';
    END IF;
    deal := coalesce(deal, '{}');
    PERFORM crm_deals_internal.check_deal_argument(deal);
    PERFORM crm_deals_internal.check_use_deal(use_deal, create_deal, deal);

    -- Every writer of deals does this before it locks a row.
    PERFORM crm_deals_internal.enter_as_writer();
    current := crm_deals_internal.lead_to_convert(lead);
    IF use_deal IS NOT NULL THEN
        existing := crm_deals_internal.lock_deal(use_deal);
    END IF;
    contact_id := CASE WHEN use_contact IS NOT NULL THEN crm_deals_internal.given_key('contact', use_contact) END;
    account_id := CASE WHEN use_account IS NOT NULL THEN crm_deals_internal.given_key('account', use_account) END;
    SELECT p.account, p.contact
    INTO account_id, contact_id
    FROM crm_deals_internal.parties_of_lead(current, account_id, contact_id, existing, callers_path) AS p;
    IF create_deal IS NOT FALSE THEN
        deal_id := crm_deals_internal.write_deal_of_lead(current, existing, deal, account_id, contact_id, actor,
                                                         callers_path);
    END IF;
    PERFORM crm_deals_internal.mark_converted(lead, account_id, contact_id, deal_id, callers_path);
END
$$;
COMMENT ON FUNCTION crm_deals_internal.convert_lead(bigint, boolean, jsonb, text, text, text, bigint, text) IS
    'Internal: what crm_deals.convert_lead() does.';
