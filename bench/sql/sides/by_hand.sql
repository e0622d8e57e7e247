-- The side "by hand" is what a careful developer would write for the same functions in SQL and PL/pgSQL on the same
-- tables: row triggers keep the rules, write the log and notify. by_hand_indexes.sql has the indexes.
--
-- It keeps the rules of deals (status, closing time, probability, lost reason, gates, required fields, version) and
-- writes the log as the extension does; test/t/30_bench_sides.pl checks that. It leaves out what would make it slower:
-- definitions of custom fields, consumers, dispatch, summaries of many notifications, a log that writers have no right
-- to, and the order against sessions that change stages at the same time. A batch is a transaction.
\set ON_ERROR_STOP on
CREATE SCHEMA by_hand;

-- ---------- Rules ----------

CREATE FUNCTION by_hand.refuse(code text, rule text, message text, detail text DEFAULT '') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = detail, SCHEMA = 'crm_deals', TABLE = 'deal',
        CONSTRAINT = rule;
END
$$;

CREATE FUNCTION by_hand.is_currency(code text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT code = ANY (string_to_array(
        'AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN '
        'BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD '
        'FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS '
        'KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN '
        'MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR '
        'SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD '
        'USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT '
        'XSU XTS XUA XXX YER ZAR ZMW ZWG ZWL', ' '))
$$;

CREATE FUNCTION by_hand.first_open_stage(pipeline bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT s.id FROM crm_deals.stage AS s
    WHERE s.pipeline_id = pipeline AND s.status = 'open' AND s.archived_at IS NULL
    ORDER BY s.position LIMIT 1
$$;

CREATE FUNCTION by_hand.is_filled(deal jsonb, field text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(f.value)
               WHEN 'string' THEN btrim(f.value #>> '{}', E' \t\r\n\f\v') <> ''
               WHEN 'array' THEN f.value <> '[]'
               WHEN 'object' THEN f.value <> '{}' OR field NOT LIKE 'custom_fields.%'
               WHEN 'null' THEN false
               ELSE f.value IS NOT NULL
           END
    FROM (SELECT CASE WHEN field LIKE 'custom_fields.%'
                      THEN deal -> 'custom_fields' -> substr(field, length('custom_fields.') + 1)
                      ELSE deal -> field END) AS f (value)
$$;

-- What a deal that enters a stage must satisfy. "before" is NULL for an insert.
CREATE FUNCTION by_hand.judge(before crm_deals.deal, after crm_deals.deal, target crm_deals.stage,
                              pipeline crm_deals.pipeline) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    source     crm_deals.stage;    -- nothing for an insert, or from another pipeline
    open_stage crm_deals.stage;    -- where it is, or was when it was closed
    missing    text;
BEGIN
    IF before.pipeline_id = after.pipeline_id THEN
        SELECT * INTO source FROM crm_deals.stage AS s WHERE s.id = before.stage_id;
    ELSIF NOT pipeline.is_active THEN
        PERFORM by_hand.refuse('23514', 'deal_pipeline_active', 'the pipeline takes no new deals');
    END IF;
    IF target.archived_at IS NOT NULL THEN
        PERFORM by_hand.refuse('23514', 'deal_stage_archived', 'the stage takes no deals any more');
    END IF;

    IF pipeline.forbid_skipping THEN
        IF source.status = 'open' THEN
            open_stage := source;
        ELSIF source.id IS NOT NULL THEN
            SELECT * INTO open_stage FROM crm_deals.stage AS s
                WHERE s.id = before.last_open_stage_id AND s.pipeline_id = pipeline.id;
        END IF;
        IF source.id IS NULL AND target.id <> by_hand.first_open_stage(pipeline.id)
           OR target.status = 'open' AND source.status = 'open' AND EXISTS (
                SELECT FROM crm_deals.stage AS s
                WHERE s.pipeline_id = pipeline.id AND s.status = 'open' AND s.archived_at IS NULL
                  AND s.position > source.position AND s.position < target.position)
           OR target.status = 'open' AND source.status <> 'open' AND target.position > coalesce(open_stage.position,
                (SELECT s.position FROM crm_deals.stage AS s WHERE s.id = by_hand.first_open_stage(pipeline.id)))
           OR target.status = 'won' AND source.status <> 'won' AND coalesce(open_stage.position, -2147483648) < (
                SELECT max(s.position) FROM crm_deals.stage AS s
                WHERE s.pipeline_id = pipeline.id AND s.status = 'open' AND s.archived_at IS NULL)
        THEN
            PERFORM by_hand.refuse('23514', 'deal_gate', 'a gate forbids this move', 'forbid_skipping');
        END IF;
    END IF;
    IF pipeline.forbid_backward AND target.status = 'open'
        AND (source.status <> 'open' OR target.position < source.position) THEN
        PERFORM by_hand.refuse('23514', 'deal_gate', 'a gate forbids this move', 'forbid_backward');
    END IF;
    IF pipeline.forbid_unlisted AND target.status IN ('open', 'won')
       AND NOT EXISTS (SELECT FROM crm_deals.stage_transition AS t
                       WHERE t.to_stage_id = target.id AND t.from_stage_id IS NOT DISTINCT FROM source.id)
       AND NOT (source.id IS NULL AND target.id = by_hand.first_open_stage(pipeline.id)
                AND NOT EXISTS (SELECT FROM crm_deals.stage_transition AS t
                                JOIN crm_deals.stage AS s ON s.id = t.to_stage_id
                                WHERE t.from_stage_id IS NULL AND s.pipeline_id = pipeline.id)) THEN
        PERFORM by_hand.refuse('23514', 'deal_gate', 'a gate forbids this move', 'forbid_unlisted');
    END IF;

    SELECT string_agg(DISTINCT f.name, ', ') INTO missing
    FROM crm_deals.stage AS s, unnest(s.required_fields) AS f (name)
    WHERE s.pipeline_id = pipeline.id
      AND (s.id = target.id
           OR target.status IN ('open', 'won') AND s.status = 'open' AND s.archived_at IS NULL
               AND s.position < target.position)
      AND by_hand.is_filled(to_jsonb(after), f.name) IS NOT TRUE;
    IF missing IS NOT NULL THEN
        PERFORM by_hand.refuse('23514', 'deal_required_fields', 'the stage requires fields that are not filled in',
                               missing);
    END IF;
END
$$;

CREATE FUNCTION by_hand.judge_lost_reason(reason text, pipeline crm_deals.pipeline) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF btrim(coalesce(reason, ''), E' \t\r\n\f\v') = '' THEN
        IF pipeline.lost_reason_required THEN
            PERFORM by_hand.refuse('23514', 'deal_lost_reason', 'a lost deal needs a reason');
        END IF;
    ELSIF EXISTS (SELECT FROM crm_deals.lost_reason AS r WHERE r.pipeline_id = pipeline.id AND r.is_active)
          AND NOT EXISTS (SELECT FROM crm_deals.lost_reason AS r
                          WHERE r.pipeline_id = pipeline.id AND r.is_active AND r.name = reason) THEN
        PERFORM by_hand.refuse('23514', 'deal_lost_reason', 'the lost reason is not one of the pipeline''s');
    END IF;
END
$$;

-- BEFORE: what a deal derives from its stage, and statements that contradict it. On INSERT "old" is all NULL, so
-- "IS DISTINCT FROM old" means: the writer said so.
CREATE FUNCTION by_hand.deal_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_new   boolean := TG_OP = 'INSERT';
    moment   timestamptz := clock_timestamp();
    target   crm_deals.stage;
    pipeline crm_deals.pipeline;
    closes   boolean;
BEGIN
    IF NOT is_new THEN
        IF moment <= old.updated_at THEN
            moment := old.updated_at + interval '1 microsecond';
        END IF;
        -- NULL says nothing of what a deal always has.
        new.pipeline_id := coalesce(new.pipeline_id, old.pipeline_id);
        new.stage_id := coalesce(new.stage_id, old.stage_id);
        new.status := coalesce(new.status, old.status);
        new.closed_at := coalesce(new.closed_at, old.closed_at);
        new.currency := coalesce(new.currency, old.currency);
        new.custom_fields := coalesce(new.custom_fields, old.custom_fields);
        new.version := coalesce(new.version, old.version);
        new.stage_entered_at := coalesce(new.stage_entered_at, old.stage_entered_at);
        new.created_at := coalesce(new.created_at, old.created_at);
        -- A client that counts in milliseconds sends stamps back without their microseconds.
        IF new.created_at <> old.created_at AND new.created_at = date_trunc('milliseconds', old.created_at) THEN
            new.created_at := old.created_at;
        END IF;
        IF new.closed_at <> old.closed_at AND new.closed_at = date_trunc('milliseconds', old.closed_at) THEN
            new.closed_at := old.closed_at;
        END IF;
        IF new.id IS DISTINCT FROM old.id OR new.created_at IS DISTINCT FROM old.created_at THEN
            PERFORM by_hand.refuse('23514', 'deal_immutable', 'id and created_at of a deal cannot change');
        END IF;
        IF new.version <> old.version AND new.version <> old.version + 1 THEN
            PERFORM by_hand.refuse('UD001', 'deal_version', 'the deal was changed since it was read');
        END IF;
    END IF;

    IF new.stage_id IS NOT DISTINCT FROM old.stage_id AND (is_new OR new.pipeline_id <> old.pipeline_id) THEN
        IF new.pipeline_id IS NULL THEN
            SELECT p.id INTO new.pipeline_id FROM crm_deals.pipeline AS p
            WHERE p.is_default AND (p.organization = new.organization OR p.organization IS NULL)
            ORDER BY p.organization NULLS LAST LIMIT 1;
            IF NOT FOUND THEN
                PERFORM by_hand.refuse('P0002', '', 'there is no default pipeline');
            END IF;
        END IF;
        IF old.status <> 'open' AND new.status IS NOT DISTINCT FROM old.status THEN
            SELECT s.id INTO new.stage_id FROM crm_deals.stage AS s
            WHERE s.pipeline_id = new.pipeline_id AND s.status = old.status AND s.archived_at IS NULL
            ORDER BY s.position LIMIT 1;
            IF NOT FOUND THEN
                PERFORM by_hand.refuse('23514', 'deal_status_matches_stage', 'the pipeline has no stage of that status');
            END IF;
        ELSE
            new.stage_id := by_hand.first_open_stage(new.pipeline_id);
        END IF;
        IF new.stage_id IS NULL AND EXISTS (SELECT FROM crm_deals.pipeline AS p WHERE p.id = new.pipeline_id) THEN
            PERFORM by_hand.refuse('P0002', '', 'the pipeline has no open stage to start in');
        END IF;
    END IF;
    SELECT * INTO target FROM crm_deals.stage AS s WHERE s.id = new.stage_id;
    IF NOT FOUND THEN
        PERFORM by_hand.refuse('23503', 'deal_stage_fkey', 'there is no such stage or pipeline');
    END IF;
    SELECT * INTO pipeline FROM crm_deals.pipeline AS p WHERE p.id = target.pipeline_id;
    IF new.pipeline_id IS DISTINCT FROM old.pipeline_id AND new.pipeline_id <> pipeline.id THEN
        PERFORM by_hand.refuse('23514', 'deal_stage_in_pipeline', 'the pipeline contradicts the stage');
    END IF;
    new.pipeline_id := pipeline.id;
    IF new.organization IS DISTINCT FROM old.organization
        AND new.organization IS DISTINCT FROM pipeline.organization THEN
        PERFORM by_hand.refuse('23514', 'deal_organization_matches_pipeline',
                               'the organization contradicts the pipeline');
    END IF;
    new.organization := pipeline.organization;
    IF new.status IS DISTINCT FROM old.status AND new.status IS DISTINCT FROM target.status THEN
        PERFORM by_hand.refuse('23514', 'deal_status_matches_stage', 'the status contradicts the stage');
    END IF;
    new.status := target.status;
    closes := target.status <> 'open';

    IF new.closed_at IS DISTINCT FROM old.closed_at AND closes <> (new.closed_at IS NOT NULL) THEN
        PERFORM by_hand.refuse('23514', 'deal_closed_at', 'closed_at contradicts the stage');
    END IF;
    IF NOT closes THEN
        new.closed_at := NULL;
    ELSIF new.closed_at IS NOT DISTINCT FROM old.closed_at AND new.status IS DISTINCT FROM old.status THEN
        new.closed_at := moment;
    END IF;
    IF new.status <> 'lost' THEN
        IF new.lost_reason IS NOT NULL AND new.lost_reason IS DISTINCT FROM old.lost_reason THEN
            PERFORM by_hand.refuse('23514', 'deal_lost_reason', 'a deal that is not lost has no lost reason');
        END IF;
        new.lost_reason := NULL;
    END IF;

    IF new.probability IS NOT NULL AND new.probability IS DISTINCT FROM old.probability THEN
        IF closes AND old.status = new.status AND new.probability <> target.probability THEN
            PERFORM by_hand.refuse('23514', 'deal_probability', 'a closed deal keeps the probability of its stage');
        END IF;
        new.probability_overridden := NOT closes AND new.probability <> target.probability;
    ELSE
        new.probability_overridden := coalesce(new.probability IS NOT NULL AND old.probability_overridden
            AND coalesce(new.probability_overridden, true) AND old.status = new.status
            AND (NOT closes OR old.stage_id = new.stage_id), false);
    END IF;
    IF NOT new.probability_overridden THEN
        new.probability := target.probability;
    END IF;

    IF is_new AND new.currency IS NULL THEN
        new.currency := coalesce(pipeline.currency, nullif(current_setting('crm_deals.default_currency', true), ''),
                                 'EUR');
    END IF;
    IF new.currency IS DISTINCT FROM old.currency AND NOT by_hand.is_currency(new.currency) THEN
        PERFORM by_hand.refuse('23514', 'deal_currency', 'not a currency code');
    END IF;

    IF is_new OR NOT closes THEN
        new.last_open_stage_id := NULL;
    ELSIF old.status = 'open' THEN
        new.last_open_stage_id := old.stage_id;
    ELSE
        new.last_open_stage_id := old.last_open_stage_id;
    END IF;

    IF is_new THEN
        new.custom_fields := coalesce(new.custom_fields, '{}');
        new.created_at := coalesce(new.created_at, least(moment, new.closed_at));
        IF new.created_at > moment AND new.created_at <= moment + interval '1 day' THEN
            moment := new.created_at;
        END IF;
        new.stage_entered_at := coalesce(new.stage_entered_at, moment);
        new.updated_at := moment;
        new.version := CASE new.version WHEN 0 THEN 0 ELSE 1 END;
        RETURN new;
    END IF;
    new.stage_entered_at := CASE WHEN new.stage_id <> old.stage_id THEN moment ELSE old.stage_entered_at END;
    new.updated_at := old.updated_at;
    IF new IS DISTINCT FROM old THEN
        new.version := old.version + 1;
        new.updated_at := moment;
    END IF;
    -- An insert is judged AFTER: an upsert that becomes an update comes by here, too.
    -- A closed deal that keeps its status is asked nothing.
    IF new.stage_id <> old.stage_id AND (new.status = 'open' OR new.status <> old.status) THEN
        PERFORM by_hand.judge(old, new, target, pipeline);
    END IF;
    IF new.status = 'lost' AND (old.status <> 'lost' OR new.lost_reason IS DISTINCT FROM old.lost_reason) THEN
        PERFORM by_hand.judge_lost_reason(new.lost_reason, pipeline);
    END IF;
    RETURN new;
END
$$;

CREATE FUNCTION by_hand.judge_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target   crm_deals.stage;
    pipeline crm_deals.pipeline;
BEGIN
    SELECT * INTO target FROM crm_deals.stage AS s WHERE s.id = new.stage_id;
    SELECT * INTO pipeline FROM crm_deals.pipeline AS p WHERE p.id = new.pipeline_id;
    PERFORM by_hand.judge(NULL, new, target, pipeline);
    IF new.status = 'lost' THEN
        PERFORM by_hand.judge_lost_reason(new.lost_reason, pipeline);
    END IF;
    RETURN NULL;
END
$$;

-- ---------- Log and NOTIFY ----------

-- Each column that changed, as [before, after]; custom fields by key.
CREATE FUNCTION by_hand.changes(before jsonb, after jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(c.key, jsonb_build_array(c.old_value, c.new_value)), '{}')
    FROM (SELECT key, o.value AS old_value, n.value AS new_value
          FROM jsonb_each(before - 'custom_fields') AS o FULL JOIN jsonb_each(after - 'custom_fields') AS n USING (key)
          UNION ALL
          SELECT 'custom_fields.' || key, o.value, n.value
          FROM jsonb_each(before -> 'custom_fields') AS o
              FULL JOIN jsonb_each(after -> 'custom_fields') AS n USING (key)
          WHERE before -> 'custom_fields' IS DISTINCT FROM after -> 'custom_fields') AS c
    WHERE coalesce(c.old_value, 'null') <> coalesce(c.new_value, 'null')
$$;

CREATE FUNCTION by_hand.stage_json(stage_id bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('id', s.id, 'key', left(s.key, 100), 'name', left(s.name, 100))
    FROM crm_deals.stage AS s WHERE s.id = stage_id
$$;

CREATE FUNCTION by_hand.notify(event_id bigint, acting text, old_stage_id bigint, old_status crm_deals.deal_status,
                               deal crm_deals.deal) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    facts  jsonb := jsonb_build_object('event_id', event_id, 'batch_id', pg_current_xact_id()::text::bigint,
        'deal_id', deal.id, 'deal_name', left(deal.name, 500), 'pipeline_id', deal.pipeline_id,
        'old_stage', by_hand.stage_json(old_stage_id), 'new_stage', by_hand.stage_json(deal.stage_id),
        'status', deal.status, 'amount', deal.amount, 'currency', deal.currency, 'actor', left(acting, 100),
        'occurred_at', deal.updated_at);
    became text := CASE deal.status WHEN 'open' THEN 'reopened' ELSE deal.status::text END;
BEGIN
    IF old_stage_id <> deal.stage_id THEN
        PERFORM pg_notify('crm_deals_stage_changed', (facts || '{"event": "deal.stage_changed"}')::text);
    END IF;
    IF deal.status <> coalesce(old_status, 'open') THEN
        PERFORM pg_notify('crm_deals_' || became, (facts || jsonb_build_object('event', 'deal.' || became))::text);
    END IF;
END
$$;

CREATE FUNCTION by_hand.deal_log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    deal     crm_deals.deal;
    changed  jsonb;
    what     text;
    moment   timestamptz;
    number   integer;
    event_id bigint;
    acting   text := coalesce(nullif(current_setting('crm_deals.actor', true), ''), current_user);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF new.version = old.version THEN
            RETURN NULL;
        END IF;
        deal := new;
        what := CASE WHEN new.status <> old.status
                     THEN CASE new.status WHEN 'open' THEN 'reopened' ELSE new.status::text END
                     WHEN new.stage_id <> old.stage_id THEN 'stage_changed' ELSE 'updated' END;
        changed := by_hand.changes(to_jsonb(old) - '{version,updated_at}'::text[],
                                   to_jsonb(new) - '{version,updated_at}'::text[]);
    ELSIF TG_OP = 'INSERT' THEN
        deal := new;
        what := 'created';
        changed := by_hand.changes('{}', to_jsonb(new));
    ELSE
        deal := old;
        what := 'deleted';
        changed := by_hand.changes(to_jsonb(old), '{}');
    END IF;
    moment := deal.updated_at;
    number := deal.version;
    IF TG_OP = 'DELETE' THEN
        moment := greatest(clock_timestamp(), moment + interval '1 microsecond');
        number := number + 1;
    END IF;

    INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name,
                                      pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency,
                                      probability, expected_close_date, owner, lost_reason, changes)
    VALUES (pg_current_xact_id()::text::bigint, deal.id, number, what, moment, acting, session_user, deal.pipeline_id,
            old.stage_id, new.stage_id, old.status, new.status, new.amount, new.currency, new.probability,
            new.expected_close_date, new.owner, new.lost_reason, changed)
    RETURNING id INTO event_id;

    IF TG_OP <> 'DELETE' AND (new.stage_id <> old.stage_id OR new.status <> coalesce(old.status, 'open'))
       AND coalesce(current_setting('crm_deals.notify', true), 'on') <> 'off' THEN
        PERFORM by_hand.notify(event_id, acting, old.stage_id, old.status, new);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION by_hand.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = format('%s is not allowed on %s', TG_OP, TG_TABLE_NAME);
END
$$;

-- Deals follow a stage whose status or probability is edited.
CREATE FUNCTION by_hand.follow_stage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE crm_deals.deal SET updated_at = updated_at WHERE stage_id = new.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER zz_rules BEFORE INSERT OR UPDATE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION by_hand.deal_rules();
CREATE TRIGGER judge_insert AFTER INSERT ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION by_hand.judge_insert();
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION by_hand.deal_log();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON crm_deals.deal FOR EACH STATEMENT EXECUTE FUNCTION by_hand.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON crm_deals.deal_event
    FOR EACH STATEMENT EXECUTE FUNCTION by_hand.append_only();
CREATE TRIGGER follow_stage AFTER UPDATE ON crm_deals.stage
    FOR EACH ROW WHEN ((old.status, old.probability) IS DISTINCT FROM (new.status, new.probability))
        EXECUTE FUNCTION by_hand.follow_stage();
