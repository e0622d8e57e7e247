-- The life of a deal, from the first mail to the signature, by a role that has the level "write" and nothing else.
-- It is the same on tables of its own (own_tables.sql) and on a host's (host_tables.sql), after setup.sql.

-- Who acts is said once; the log will name her.
SET crm_deals.actor = 'anna';

-- 1. A lead comes in from the web site. The key of the other system is kept, so that it never comes in twice.
INSERT INTO crm_deals.lead (external_id, company_name, first_name, last_name, email, source, custom_fields)
VALUES ('web-4711', 'Nordvik Timber', 'Ingrid', 'Solberg', 'ingrid@nordvik.example', 'web site', '{"seats": 40}')
ON CONFLICT (organization, external_id) WHERE external_id IS NOT NULL DO NOTHING;

-- 2. Anna calls.
INSERT INTO crm_deals.activity (kind, subject, body, actor, lead_id)
SELECT 'call', 'First call', 'They replace a system from 2009.', 'anna', l.id
FROM crm_deals.lead AS l
WHERE l.external_id = 'web-4711';

UPDATE crm_deals.lead SET status = 'qualified' WHERE external_id = 'web-4711';

-- 3. The lead becomes an account, a contact and a deal. Source and seats go with it.
SELECT c.account_id IS NOT NULL AS has_account,
       c.contact_id IS NOT NULL AS has_contact,
       c.deal_id IS NOT NULL AS has_deal
FROM crm_deals.lead AS l,
     crm_deals.convert_lead(l.id, deal => '{"name": "Nordvik: order intake", "external_id": "nordvik-1",
                                            "expected_close_date": "2027-01-31"}') AS c
WHERE l.external_id = 'web-4711';

-- 4. Her boss writes: one more contact of the same account, found by its name, and no second deal.
--    Both are stakeholders.
INSERT INTO crm_deals.lead (external_id, company_name, first_name, last_name, email)
VALUES ('mail-17', 'nordvik timber', 'Olav', 'Nordvik', 'olav@nordvik.example');

SELECT c.deal_id IS NULL AS no_deal
FROM crm_deals.lead AS l, crm_deals.convert_lead(l.id, create_deal => false) AS c
WHERE l.external_id = 'mail-17';

INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role)
SELECT d.id, l.contact_id, CASE l.external_id WHEN 'mail-17' THEN 'decides' ELSE 'champion' END
FROM crm_deals.deal AS d, crm_deals.lead AS l
WHERE d.external_id = 'nordvik-1' AND l.external_id IN ('web-4711', 'mail-17');

-- 5. May it be proposed? Not yet: the gate asks for an amount.
SELECT m.rule, m.detail
FROM crm_deals.deal AS d, crm_deals.check_move(d.id, 'proposal') AS m
WHERE d.external_id = 'nordvik-1';

UPDATE crm_deals.deal
SET amount = 24000, custom_fields = custom_fields || '{"region": "north"}'
WHERE external_id = 'nordvik-1';

SELECT m.stage_key, m.status, m.probability
FROM crm_deals.deal AS d, crm_deals.move_deal(d.id, 'proposal', note => 'Sent by mail') AS m
WHERE d.external_id = 'nordvik-1';

-- 6. A meeting, and a task that is done.
INSERT INTO crm_deals.activity (kind, subject, actor, deal_id)
SELECT 'meeting', 'Proposal walked through', 'anna', d.id FROM crm_deals.deal AS d WHERE d.external_id = 'nordvik-1';

INSERT INTO crm_deals.activity (kind, subject, actor, due_at, deal_id)
SELECT 'task', 'Ask legal for the data processing agreement', 'anna', '2027-01-15', d.id
FROM crm_deals.deal AS d WHERE d.external_id = 'nordvik-1';

UPDATE crm_deals.activity SET done_at = now() WHERE kind = 'task' AND subject LIKE 'Ask legal%';

-- 7. The next stage in plain SQL: the same rules, the same log.
UPDATE crm_deals.deal AS d
SET stage_id = s.id, amount = 21500
FROM crm_deals.stage AS s
WHERE d.external_id = 'nordvik-1' AND s.pipeline_id = d.pipeline_id AND s.key = 'negotiation';

-- 8. Signed. Whoever listens on crm_deals_won hears it when this commits.
SELECT m.stage_key, m.status, m.probability, m.closed_at IS NOT NULL AS closed, m.version
FROM crm_deals.deal AS d, crm_deals.move_deal(d.id, 'won', note => 'Signed by both sides') AS m
WHERE d.external_id = 'nordvik-1';

-- What there is now: the deal, ...
SELECT o.name, o.account_label, o.contact_label, o.stage_label,
       o.status, o.amount, o.currency, o.source, o.custom_fields
FROM crm_deals.deal_overview AS o
WHERE o.external_id = 'nordvik-1';

-- ... who has to do with it, ...
SELECT c.role, l.first_name, l.last_name
FROM crm_deals.deal_contact AS c
JOIN crm_deals.lead AS l ON l.contact_id = c.contact_id
ORDER BY c.role;

-- ... what was done, from the first call on, ...
SELECT a.kind, a.subject, a.actor
FROM crm_deals.activity AS a
JOIN crm_deals.deal AS d ON d.id = a.deal_id
WHERE d.external_id = 'nordvik-1'
ORDER BY a.id;

-- ... what the log says, ...
SELECT e.version, e.kind, s.key AS stage, e.actor, e.changes -> 'amount' AS amount
FROM crm_deals.deal_event AS e
JOIN crm_deals.stage AS s ON s.id = e.to_stage_id
WHERE e.deal_id = (SELECT d.id FROM crm_deals.deal AS d WHERE d.external_id = 'nordvik-1')
ORDER BY e.version;

-- ... and whether every rule holds: no rows.
SELECT v.rule, v.deal_id, v.detail FROM crm_deals.verify() AS v;

RESET crm_deals.actor;
