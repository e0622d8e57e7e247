WITH batch AS (
    SELECT nextval('crm_deals.deal_event_id_seq') AS id
), before AS (
    SELECT d.id, d.stage_id, d.status, d.probability, d.stage_entered_at, d.version, clock_timestamp() AS moment
    FROM crm_deals.deal AS d
    WHERE d.id BETWEEN :first AND :last
    FOR UPDATE
), after AS (
    UPDATE crm_deals.deal AS d
    SET stage_id = s.id, status = s.status, probability = s.probability, version = b.version + 1,
        stage_entered_at = b.moment, updated_at = b.moment
    FROM before AS b
    JOIN crm_deals.stage AS s ON s.id = 5 - b.stage_id
    WHERE d.id = b.id
    RETURNING d.*, b.stage_id AS from_stage_id, b.status AS from_status, b.probability AS from_probability,
              b.stage_entered_at AS entered_before
)
INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, origin,
                                  pipeline_id, from_stage_id, to_stage_id, from_status, status, amount, currency,
                                  probability, expected_close_date, owner, lost_reason, changes)
SELECT (SELECT b.id FROM batch AS b), a.id, a.version, 'stage_changed', a.updated_at, current_user, session_user,
       'live', a.pipeline_id, a.from_stage_id, a.stage_id, a.from_status, a.status, a.amount, a.currency, a.probability,
       a.expected_close_date, a.owner, a.lost_reason,
       jsonb_build_object('stage_id', jsonb_build_array(a.from_stage_id, a.stage_id),
                          'probability', jsonb_build_array(a.from_probability, a.probability),
                          'stage_entered_at', jsonb_build_array(a.entered_before, a.stage_entered_at))
FROM after AS a;
