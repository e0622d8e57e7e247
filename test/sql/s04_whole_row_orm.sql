\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rules 1, 2, 3, 6: a client that writes whole rows also sends the columns that it does not change.
CREATE FUNCTION t.save(wanted text, VARIADIC changes text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    whole crm_deals.deal;
BEGIN
    SELECT * INTO whole FROM crm_deals.deal WHERE name = wanted;
    whole := jsonb_populate_record(whole, jsonb_object(changes));
    UPDATE crm_deals.deal SET
        organization = whole.organization, name = whole.name, account_id = whole.account_id,
        primary_contact_id = whole.primary_contact_id,
        pipeline_id = whole.pipeline_id, stage_id = whole.stage_id, status = whole.status, amount = whole.amount,
        currency = whole.currency,
        probability = whole.probability, probability_overridden = whole.probability_overridden,
        expected_close_date = whole.expected_close_date,
        closed_at = whole.closed_at, lost_reason = whole.lost_reason, owner = whole.owner, source = whole.source,
        notes = whole.notes,
        custom_fields = whole.custom_fields, external_id = whole.external_id, version = whole.version,
        stage_entered_at = whole.stage_entered_at,
        created_at = whole.created_at, updated_at = whole.updated_at
    WHERE id = whole.id;
END
$$;
SELECT t.new_deals('d', 3, 'lead') AS none \gset
SELECT t.save('d1', 'stage_id', t.stage('won')::text) AS none \gset
SELECT is(t.state('d1'), 'won won 100 closed v2',
          'rule 1: the old status, closed_at and probability are not statements: open -> won');
SELECT t.save('d1', 'stage_id', t.stage('lost')::text, 'lost_reason', 'price') AS none \gset
SELECT is(t.state('d1'), 'lost lost 0 closed (price) v3', 'rule 1: won -> lost');
SELECT is((SELECT closed_at = updated_at FROM crm_deals.deal WHERE name = 'd1'), true,
          'rule 2: stamped anew though the old closed_at was sent');
SELECT t.save('d1', 'stage_id', t.stage('proposal')::text) AS none \gset
SELECT is(t.state('d1'), 'proposal open 50 v4',
          'rule 1: lost -> open: closing time and reason are cleared though sent');
SELECT t.save('d1', 'probability', '60', 'amount', '5') AS none \gset
SELECT is(t.state('d1'), 'proposal open 60 v5', 'rule 3: a probability that was changed is an override');
SELECT t.save('d1', 'stage_id', t.stage('negotiation')::text) AS none \gset
SELECT is(t.state('d1'), 'negotiation open 60 v6', 'rule 3: it survives a move sent as a whole row');
SELECT t.save('d1', 'stage_id', t.stage('won')::text) AS none \gset
SELECT is(t.state('d1'), 'won won 100 closed v7', 'rule 3: closing ends it though it was sent');
SELECT is((SELECT probability_overridden FROM crm_deals.deal WHERE name = 'd1'), false, 'rule 3: and its flag');
SELECT t.save('d1', 'notes', 'any', 'version', '8') AS none \gset
SELECT is(t.state('d1'), 'won won 100 closed v8', 'rule 6: the ORM''s own version + 1');
SELECT t.save('d1') AS none \gset
SELECT is(t.state('d1'), 'won won 100 closed v8', 'rule 6: a whole row without a change is none');
SELECT is(t.dry($$SELECT t.save('d1', 'notes', 'other', 'version', '6')$$), 'UD001 deal.version deal_version',
          'rule 6: a stale whole row is refused');
SELECT is(t.dry($$SELECT t.save('d2', 'status', 'won')$$), '23514 deal.status deal_status_matches_stage',
          'rule 1: a status that was changed is a statement');
SELECT crm_deals.create_pipeline('Other', '[{"name": "In"}]', organization => 'acme', is_default => true) AS other \gset
SELECT t.save('d2', 'stage_id', t.stage('in', 'Other')::text) AS none \gset
SELECT is((SELECT t.state('d2') || ' ' || organization || ' ' || (pipeline_id = t.pipeline('Other')) FROM crm_deals.deal
           WHERE name = 'd2'),
          'in open 0 v2 acme true', 'rule 1: the old pipeline and organization are not statements');
SELECT t.save('d2', 'pipeline_id', t.pipeline('Sales')::text) AS none \gset
SELECT is(t.state('d2'), 'lead open 10 v3', 'rule 1: a new pipeline with the old stage goes to its first open stage');
SELECT is((SELECT string_agg(changes::text, ' ' ORDER BY version) FROM crm_deals.deal_event
           WHERE deal_id = t.deal('d1') AND version IN (5, 8)),
          '{"amount": [null, 5], "probability": [50, 60], "probability_overridden": [false, true]} {"notes": [null, '
          '"any"]}',
          'section 5: changes holds what changed, not what was sent');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
