-- The file holds what the rules derive already; the log is written in the same transaction.
BEGIN;
COPY crm_deals.deal (name, account_id, primary_contact_id, amount, expected_close_date, owner, source, external_id,
                     pipeline_id, stage_id, status, currency, probability, stage_entered_at, created_at, updated_at)
FROM :'derived' (FORMAT csv);
INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, origin,
                                  pipeline_id, to_stage_id, status, amount, currency, probability, expected_close_date,
                                  owner, changes)
SELECT 1, a.id, a.version, 'created', a.updated_at, current_user, session_user, 'live', a.pipeline_id,
       a.stage_id, a.status, a.amount, a.currency, a.probability, a.expected_close_date, a.owner,
       jsonb_build_object('id', jsonb_build_array(NULL, a.id), 'name', jsonb_build_array(NULL, a.name),
           'account_id', jsonb_build_array(NULL, a.account_id),
           'primary_contact_id', jsonb_build_array(NULL, a.primary_contact_id),
           'pipeline_id', jsonb_build_array(NULL, a.pipeline_id), 'stage_id', jsonb_build_array(NULL, a.stage_id),
           'status', jsonb_build_array(NULL, a.status), 'amount', jsonb_build_array(NULL, a.amount),
           'currency', jsonb_build_array(NULL, a.currency), 'probability', jsonb_build_array(NULL, a.probability),
           'probability_overridden', jsonb_build_array(NULL, a.probability_overridden),
           'expected_close_date', jsonb_build_array(NULL, a.expected_close_date),
           'owner', jsonb_build_array(NULL, a.owner), 'source', jsonb_build_array(NULL, a.source),
           'external_id', jsonb_build_array(NULL, a.external_id), 'version', jsonb_build_array(NULL, a.version),
           'stage_entered_at', jsonb_build_array(NULL, a.stage_entered_at),
           'created_at', jsonb_build_array(NULL, a.created_at), 'updated_at', jsonb_build_array(NULL, a.updated_at))
FROM crm_deals.deal AS a;
COMMIT;
