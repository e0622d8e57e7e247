-- The side "bare" does the same in one statement: it locks and reads the deal, writes what a move derives, and writes
-- the row of the log.
\set place :place + 1
\set deal case when :once = 1 then 1 + (:place * 7919) % :deals else :client_id * :own + random(1, :own) end
WITH before AS (
    SELECT d.id, d.stage_id, d.status, d.probability, d.stage_entered_at, d.version, clock_timestamp() AS moment,
           nextval('crm_deals.deal_event_id_seq') AS event_id
    FROM crm_deals.deal AS d
    WHERE d.id = :deal
    FOR UPDATE
), after AS (
    UPDATE crm_deals.deal AS d
    SET stage_id = s.id, status = s.status, probability = s.probability, version = b.version + 1,
        stage_entered_at = b.moment, updated_at = b.moment
    FROM before AS b
    JOIN crm_deals.stage AS s ON s.id = 5 - b.stage_id
    WHERE d.id = b.id
    RETURNING d.*
)
INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, origin,
                                  pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency,
                                  probability, expected_close_date, owner, lost_reason, changes)
OVERRIDING SYSTEM VALUE
SELECT b.event_id, b.event_id, a.id, a.version, 'stage_changed', b.moment, current_user, session_user, 'live',
       a.pipeline_id, b.stage_id, a.stage_id, b.status, a.status, a.amount, a.currency, a.probability,
       a.expected_close_date, a.owner, a.lost_reason,
       jsonb_build_object('stage_id', jsonb_build_array(b.stage_id, a.stage_id),
                          'probability', jsonb_build_array(b.probability, a.probability),
                          'stage_entered_at', jsonb_build_array(b.stage_entered_at, a.stage_entered_at))
FROM after AS a
JOIN before AS b ON b.id = a.id;
