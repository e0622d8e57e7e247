-- The deals of the tests of section 7: deals of every kind, drawn with a fixed seed. There are two pipelines, three
-- currencies and an empty stage; deals with and without amount, date, owner, account and source; deals won, lost and
-- abandoned in the last 400 days.
\i :include/installed.sql
SET timezone = 'Europe/Vienna';
SELECT crm_deals.create_pipeline('Service',
                                 '[{"name": "Ticket", "probability": 30}, {"name": "Offer", "probability": 60, '
                                 '"labels": {"de": "Angebot"}}, {"name": "Done", "status": "won"}, '
                                 '{"name": "Gone", "status": "lost"}, {"name": "Asleep", '
                                 '"status": "abandoned"}]') AS service \gset
SELECT crm_deals.add_stage(:sales, 'Silent', status => 'abandoned'),
       crm_deals.add_stage(:sales, 'Nobody here', before_key => 'won', probability => 90) \gset none_
INSERT INTO crm_deals.account (name) SELECT 'Account ' || n FROM generate_series(1, 8) AS n;
INSERT INTO crm_deals.contact (first_name, last_name) SELECT 'Contact', n::text FROM generate_series(1, 5) AS n;
INSERT INTO crm_deals.custom_field (entity, key, type, options) VALUES
    ('deal', 'region', 'select', '["south", {"value": "north", "labels": {"de": "Nord"}}, "nowhere"]'),
    ('deal', 'seats', 'number', NULL), ('deal', 'since', 'date', NULL), ('deal', 'hot', 'boolean', NULL),
    ('deal', 'tags', 'multiselect', '["a", "b", "c"]');
SET crm_deals.notify = off;
SELECT setseed(0.42) \gset none_
-- One of several values, a NULL among them; v keeps the draws of different rows and columns apart.
CREATE FUNCTION t.draw(v anyarray) RETURNS anyelement LANGUAGE sql VOLATILE AS $$
    SELECT v[1 + floor(random() * cardinality(v))::integer]
$$;
CREATE TABLE t.drawn AS
SELECT n, t.draw(ARRAY(SELECT id FROM crm_deals.stage WHERE name <> 'Nobody here' ORDER BY id)) AS stage_id,
       CASE WHEN random() < 0.8 THEN round((random() * 10000)::numeric, 2) END AS amount,
       t.draw(ARRAY['EUR', 'USD', 'CHF']) AS currency,
       t.draw(ARRAY[NULL, 1, 2, 3, 4, 5, 6, 7]) AS account_id, t.draw(ARRAY[NULL, 1, 2, 3]) AS contact_id,
       t.draw(ARRAY['ann', 'bob', 'cleo', NULL]) AS owner, t.draw(ARRAY['web', 'fair', '', NULL]) AS source,
       CASE WHEN random() < 0.8 THEN date '2026-03-01' + floor(random() * 300)::integer END AS expected_close_date,
       timestamptz '2025-06-01 00:00+00' + random() * interval '300 days' AS created_at,
       random() * interval '90 days' AS took,
       t.draw(ARRAY['price', 'timing', 'features']) AS lost_reason,
       jsonb_strip_nulls(jsonb_build_object('region', t.draw(ARRAY['north', 'south', NULL]),
                                            'seats', floor(random() * 4),
                             'since', '2026-01-0' || floor(1 + random() * 3), 'hot', random() < 0.5,
                             'tags', t.draw(ARRAY['["a"]', '["a", "b"]', '[]', NULL])::jsonb,
                             'free', t.draw(ARRAY['x', 'y', NULL]))) AS custom_fields
FROM generate_series(1, 400) AS n;
INSERT INTO crm_deals.deal (name, stage_id, amount, currency, account_id, primary_contact_id, owner, source,
                            expected_close_date,
                            created_at, stage_entered_at, closed_at, lost_reason, custom_fields, external_id, notes)
SELECT format('Deal %s %s', r.n, t.draw(ARRAY['Order_intake', '50% off', 'back\slash', 'plain'])), r.stage_id, r.amount,
       r.currency, r.account_id,
       r.contact_id, r.owner, r.source, r.expected_close_date, r.created_at, r.created_at + r.took,
       CASE WHEN s.status <> 'open' THEN r.created_at + r.took END, CASE WHEN s.status = 'lost' THEN r.lost_reason END,
       r.custom_fields,
       CASE WHEN r.n % 3 = 0 THEN 'ext-' || r.n END, CASE WHEN r.n % 7 = 0 THEN 'Note of ' || r.n END
FROM t.drawn AS r JOIN crm_deals.stage AS s ON s.id = r.stage_id
ORDER BY r.n;
UPDATE crm_deals.deal SET probability = 33.3 WHERE id % 11 = 0 AND status = 'open';

\i :include/same.sql
