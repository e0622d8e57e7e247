-- A business that has used crm_deals for a while, after install.sql. The variable hosts is that of install.sql.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;
\if :hosts
    INSERT INTO public.employee VALUES ('ann', 'Ann Ash', 'ann@example.com'), ('bob', 'Bob Birch', NULL);
    INSERT INTO public.customer
    SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, 'Customer ' || n
    FROM generate_series(1, 5) AS n;
    INSERT INTO public.person (customer, given, family, mail)
    SELECT c.id, 'Jo', 'Doe ' || c.company, 'jo' || row_number() OVER () || '@example.com' FROM public.customer AS c;
\else
    INSERT INTO crm_deals.account (name, organization, external_id)
    SELECT 'Customer ' || n, CASE WHEN n = 5 THEN 'acme' END, 'c' || n FROM generate_series(1, 5) AS n;
    INSERT INTO crm_deals.contact (account_id, first_name, last_name, email)
    SELECT n, 'Jo', 'Doe ' || n, 'jo' || n || '@example.com' FROM generate_series(1, 5) AS n;
\endif

SELECT crm_deals.create_pipeline('Sales', description => 'the first');
SELECT crm_deals.create_pipeline('Gated', '[{"name": "New", "rots_after": "2 days", "labels": {"de": "Neu"}},
    {"name": "Offer", "probability": 40, "required_fields": ["amount"]}, {"name": "Talks", "probability": 60},
    {"name": "Won", "status": "won"}, {"name": "Lost", "status": "lost"},
    {"name": "Dropped", "status": "abandoned"}]',
    organization => 'acme', gates => '{"forbid_skipping": true, "forbid_backward": true}');
SELECT crm_deals.create_pipeline('Listed', '[{"key": "a", "name": "A"}, {"key": "b", "name": "B"},
    {"key": "w", "name": "W", "status": "won"}]', currency => 'CHF', gates => '{"forbid_unlisted": true}');
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
SELECT f.id, t.id
FROM crm_deals.stage AS t LEFT JOIN crm_deals.stage AS f ON f.pipeline_id = t.pipeline_id AND f.key = 'a'
WHERE t.pipeline_id = 3 AND t.key = 'b';
INSERT INTO crm_deals.stage_transition (to_stage_id)
SELECT s.id FROM crm_deals.stage AS s WHERE s.pipeline_id = 3 AND s.key = 'a';
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject', duplicate_scope = 'open' WHERE id = 3;
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (1, 'Price'), (1, 'Silence');
INSERT INTO crm_deals.custom_field (entity, key, label, type, options)
VALUES ('deal', 'seats', 'Seats', 'number', NULL), ('lead', 'fair', 'Fair', 'text', NULL);
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('USD', 'EUR', 0.9, '2026-01-01'), ('CHF', 'EUR', 1.05, '2026-01-01');

-- Those who read the log. The first event of each is theirs.
SELECT crm_deals.subscribe('half', from_start => true);
SELECT crm_deals.subscribe('leasing', from_start => true);
SELECT crm_deals.subscribe('closed', kinds => '{won,lost}');
SELECT crm_deals.subscribe('asleep');

INSERT INTO crm_deals.deal (name, amount, currency, expected_close_date, source, notes, custom_fields, external_id,
                            created_at)
SELECT 'Deal ' || left(md5(n::text), 12), n * 100, (ARRAY['EUR', 'USD', 'CHF'])[1 + n % 3],
       date '2026-12-01' + n, CASE n % 2 WHEN 0 THEN 'web' END, 'note ' || n,
       jsonb_build_object('seats', n, 'plan', CASE n % 2 WHEN 0 THEN 'small' ELSE 'big' END), 'x' || n,
       timestamptz '2026-10-01 09:00+00' + n * interval '1 hour'
FROM generate_series(1, 24) AS n;
\if :hosts
    UPDATE crm_deals.deal
    SET account_id = format('00000000-0000-0000-0000-%s', lpad((1 + id % 5)::text, 12, '0'))::uuid,
        primary_contact_id = 1 + id % 5, owner = CASE id % 2 WHEN 0 THEN 'ann' ELSE 'bob' END;
\else
    UPDATE crm_deals.deal SET account_id = 1 + id % 5, primary_contact_id = 1 + id % 5,
        owner = CASE id % 2 WHEN 0 THEN 'reader' ELSE 'clerk' END;
\endif
UPDATE crm_deals.deal SET stage_id = 2 + id % 3 WHERE id % 2 = 0;
UPDATE crm_deals.deal SET stage_id = 6, lost_reason = 'Price' WHERE id % 7 = 0;
SELECT crm_deals.move_deals(ARRAY[3, 6, 9, 12], 'negotiation', note => 'on');
SELECT crm_deals.move_deals(ARRAY[2, 4], 'won', actor => 'ann');
INSERT INTO crm_deals.deal (name, pipeline_id, amount)
VALUES ('Gated one', 2, NULL), ('Gated two', 2, 200), ('Gated three', 2, 300);
SELECT crm_deals.move_deal(27, 'offer');
SELECT crm_deals.move_deal(26, 'dropped', override => 'because');
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('Listed one', 3);
UPDATE crm_deals.deal SET probability = 77 WHERE id = 5;
UPDATE crm_deals.stage SET name = 'In talks' WHERE pipeline_id = 1 AND key = 'negotiation';
SELECT crm_deals.add_stage(1, 'Trial', before_key => 'proposal', probability => 30, required_fields => '{amount}');
SELECT crm_deals.remove_stage((SELECT s.id FROM crm_deals.stage AS s WHERE s.key = 'qualified' AND s.pipeline_id = 1),
    (SELECT s.id FROM crm_deals.stage AS s WHERE s.key = 'trial' AND s.pipeline_id = 1));

-- Flags, one dismissed; a merge; a deal that is gone, one that came back, an undone statement
INSERT INTO crm_deals.deal (name, external_id) VALUES ('Harbour office lease', 'h1'), ('Harbour office leases', 'h2'),
    ('Mountain railway maintenance', 'm1'), ('Mountain railway maintenance.', 'm2'),
    ('Mountain Railway maintenance', 'm3');
SELECT crm_deals.dismiss_duplicate(30, 29);
SELECT crm_deals.merge_deals(31, 32);
DELETE FROM crm_deals.deal WHERE id IN (23, 24);
SELECT crm_deals.restore_deal(23);
UPDATE crm_deals.deal SET source = 'oops' WHERE id < 4;
SELECT crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event));

INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) VALUES (1, 1, 'buyer'), (1, 2, NULL), (5, 3, 'user');
INSERT INTO crm_deals.lead (last_name, company_name, email, custom_fields)
VALUES ('Roe', 'Roe Ltd', 'roe@example.com', '{"fair": "Basel"}'), ('Poe', 'Poe & Sons', NULL, '{}');
SELECT crm_deals.convert_lead(1, deal => '{"amount": 12}');
INSERT INTO crm_deals.activity (kind, subject, body, occurred_at, due_at, done_at, deal_id, contact_id, lead_id)
SELECT (ARRAY['meeting', 'email', 'note', 'call', 'task', 'event'])[1 + n % 6], 'Activity ' || n, 'body',
       timestamptz '2026-10-05 12:00+00' + n * interval '1 day',
       CASE n % 3 WHEN 0 THEN timestamptz '2026-12-05 12:00+00' END, CASE n % 5 WHEN 0 THEN now() END,
       CASE WHEN n < 9 THEN n END, CASE n % 4 WHEN 0 THEN 1 END, CASE WHEN n > 9 THEN 2 END
FROM generate_series(1, 12) AS n;
CREATE TEMPORARY TABLE incoming (external_id text, name text, stage text, amount text, created_at text);
INSERT INTO incoming VALUES ('erp-1', 'Imported', 'proposal', '12000', '2024-03-01');
SELECT count(*) FROM crm_deals.import_deals('incoming');
SELECT crm_deals.redact(deals => '{21}', reason => 'asked for');

-- The dispatcher sends one event, and its name stands among the consumers.
SET crm_deals.notify = dispatch;
UPDATE crm_deals.deal SET amount = 1 WHERE id = 10;
SELECT crm_deals.move_deal(10, 'won');
DO $$
BEGIN
    FOR n IN 1 .. 1000 LOOP
        EXIT WHEN EXISTS (SELECT FROM crm_deals.event_consumer WHERE consumer ~ 'dispatcher'
                          AND last_acked_at IS NOT NULL);
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
RESET crm_deals.notify;

-- One consumer has read and acknowledged a third, and read another third that it has not acknowledged. Another one
-- holds a lease.
SELECT crm_deals.ack_events('half', (SELECT max(e.id) FROM (SELECT id FROM crm_deals.read_events('half', 20)) AS e));
SELECT count(*) FROM crm_deals.read_events('half', 20);
SELECT count(*) FROM crm_deals.read_events('leasing', 10, lease => '1000 days');
