-- The application knows pipeline and stage by heart, and reads the stage's probability.
\set n random(1, 1000000000)
WITH after AS (
    INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, amount, expected_close_date, owner, source,
                                pipeline_id, stage_id, status, currency, probability, stage_entered_at, created_at,
                                updated_at)
    SELECT public.deal_name(:n), 1 + :n % 10000, 1 + :n % 9999, :n::numeric, '2027-03-01', 'owner ' || :n % 200, 'web',
           s.pipeline_id, s.id, s.status, 'EUR', s.probability, t.moment, t.moment, t.moment
    FROM crm_deals.stage AS s, clock_timestamp() AS t (moment)
    WHERE s.id = 1
    RETURNING *, nextval('crm_deals.deal_event_id_seq') AS event_id
)
INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, origin,
                                  pipeline_id, to_stage_id, status, amount, currency, probability, expected_close_date,
                                  owner, changes)
OVERRIDING SYSTEM VALUE
SELECT a.event_id, a.event_id, a.id, a.version, 'created', a.updated_at, current_user, session_user, 'live',
       a.pipeline_id, a.stage_id, a.status, a.amount, a.currency, a.probability, a.expected_close_date, a.owner,
       jsonb_build_object('id', jsonb_build_array(NULL, a.id), 'name', jsonb_build_array(NULL, a.name),
           'account_id', jsonb_build_array(NULL, a.account_id),
           'primary_contact_id', jsonb_build_array(NULL, a.primary_contact_id),
           'pipeline_id', jsonb_build_array(NULL, a.pipeline_id), 'stage_id', jsonb_build_array(NULL, a.stage_id),
           'status', jsonb_build_array(NULL, a.status), 'amount', jsonb_build_array(NULL, a.amount),
           'currency', jsonb_build_array(NULL, a.currency), 'probability', jsonb_build_array(NULL, a.probability),
           'probability_overridden', jsonb_build_array(NULL, a.probability_overridden),
           'expected_close_date', jsonb_build_array(NULL, a.expected_close_date),
           'owner', jsonb_build_array(NULL, a.owner), 'source', jsonb_build_array(NULL, a.source),
           'version', jsonb_build_array(NULL, a.version),
           'stage_entered_at', jsonb_build_array(NULL, a.stage_entered_at),
           'created_at', jsonb_build_array(NULL, a.created_at), 'updated_at', jsonb_build_array(NULL, a.updated_at))
FROM after AS a;
