\set deal :client_id * :own + random(1, :own)
WITH before AS (
    SELECT d.id, d.notes, d.version, clock_timestamp() AS moment, nextval('crm_deals.deal_event_id_seq') AS event_id
    FROM crm_deals.deal AS d
    WHERE d.id = :deal
    FOR UPDATE
), after AS (
    UPDATE crm_deals.deal AS d
    SET notes = 'called at ' || b.moment, version = b.version + 1, updated_at = b.moment
    FROM before AS b
    WHERE d.id = b.id
    RETURNING d.*
)
INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, origin,
                                  pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency,
                                  probability, expected_close_date, owner, lost_reason, changes)
OVERRIDING SYSTEM VALUE
SELECT b.event_id, b.event_id, a.id, a.version, 'updated', b.moment, current_user, session_user, 'live', a.pipeline_id,
       a.stage_id, a.stage_id, a.status, a.status, a.amount, a.currency, a.probability, a.expected_close_date, a.owner,
       a.lost_reason, jsonb_build_object('notes', jsonb_build_array(b.notes, a.notes))
FROM after AS a
JOIN before AS b ON b.id = a.id;
