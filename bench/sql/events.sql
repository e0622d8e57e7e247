-- A log of :events events as it comes out of another cluster: all of its transactions are of an earlier generation. One
-- event a transaction, ten a deal: a deal is created, moved and edited eight times, and won. Three consumers stand at
-- the start, in the middle and 1,000 events before the end.
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales');
SET session_replication_role = replica;
INSERT INTO crm_deals.log_generation (generation, system_identifier) VALUES (0, 1);
INSERT INTO crm_deals.deal (name, account_id, pipeline_id, stage_id, status, amount, currency, probability, closed_at,
                            version, last_open_stage_id, stage_entered_at, created_at, updated_at)
SELECT 'Customer ' || n || ': renewal', NULL, 1, 5, 'won', n, 'EUR', 100, '2026-01-10', 10, 4, '2026-01-10',
       '2026-01-01', '2026-01-10'
FROM generate_series(1, :events / 10) AS n;
INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, pipeline_id,
                                  from_stage_id, to_stage_id, from_status, status, amount, currency, probability,
                                  changes, transaction)
SELECT n, 1 + n % (:events / 10), v,
       CASE v WHEN 1 THEN 'created' WHEN 10 THEN 'won' ELSE CASE v % 2 WHEN 0 THEN 'stage_changed'
           ELSE 'updated' END END,
       '2026-01-01'::timestamptz + (v - 1) * interval '1 day' + n * interval '1 us', 'anna', 'app', 1,
       CASE WHEN v = 1 THEN NULL ELSE v / 2 END, CASE WHEN v = 10 THEN 5 ELSE (v + 1) / 2 END,
       CASE WHEN v > 1 THEN 'open' END::crm_deals.deal_status,
       CASE v WHEN 10 THEN 'won' ELSE 'open' END::crm_deals.deal_status, n, 'EUR', 50,
       CASE v WHEN 1 THEN jsonb_build_object('name', jsonb_build_array(NULL, 'Customer ' || n % (:events / 10)),
                                             'amount', jsonb_build_array(NULL, n))
              WHEN 10 THEN jsonb_build_object('stage_id', jsonb_build_array(4, 5), 'status', '["open", "won"]'::jsonb,
                                              'closed_at', '[null, "2026-01-10"]'::jsonb)
              ELSE jsonb_build_object('amount', jsonb_build_array(n, n + 1)) END,
       (1000 + n)::text::xid8
FROM (SELECT n, (1 + (n - 1) / (:events / 10))::integer AS v FROM generate_series(1, :events) AS n) AS e;
RESET session_replication_role;
VACUUM (FREEZE, ANALYZE) crm_deals.deal_event, crm_deals.deal;
SELECT crm_deals.subscribe(name, from_start => true) FROM unnest(ARRAY['start', 'middle', 'end']) AS name;
-- They seem to have read up to there, while 20 transactions were running that have committed since.
UPDATE crm_deals.event_consumer
SET seen = format('%s:%s:%s', 1000 + p.id - 20, 1001 + p.id,
                  (SELECT string_agg((1000 + p.id - r)::text, ',' ORDER BY r DESC)
                   FROM generate_series(1, 20) AS r))::pg_snapshot,
    seen_id = p.id
FROM (VALUES ('middle', :events / 2), ('end', :events - 1000)) AS p (name, id)
WHERE consumer = p.name;
CHECKPOINT;
