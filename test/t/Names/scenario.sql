-- Calls every public function and fires every trigger. Its own SQL names every column by an alias that is no name of
-- the product's. :install is the call of install(), :account and :contact are the tables of accounts and contacts.
\set ON_ERROR_STOP off
\set VERBOSITY default
\pset format unaligned
\pset null '(null)'
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT :install;
CREATE FUNCTION public.qq_shown(qq_deal bigint) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', qq1.id, qq1.name, qq1.stage_id, qq1.status, qq1.amount, qq1.currency, qq1.probability,
                     qq1.probability_overridden, qq1.expected_close_date, qq1.account_id, qq1.primary_contact_id,
                     qq1.owner, qq1.lost_reason, qq1.source, qq1.notes, qq1.custom_fields, qq1.external_id, qq1.version,
                     qq1.closed_at IS NOT NULL)
    FROM crm_deals.deal AS qq1 WHERE qq1.id = qq_deal
$$;
CREATE FUNCTION public.qq_batch() RETURNS bigint LANGUAGE sql AS
$$ SELECT qq1.batch_id FROM crm_deals.deal_event AS qq1 ORDER BY qq1.id DESC LIMIT 1 $$;

-- Pipelines and stages
SELECT crm_deals.create_pipeline('Sales', is_default => true) AS sales \gset
SELECT crm_deals.create_pipeline('Strict', gates => '{"forbid_skipping": true, "forbid_backward": true}',
                                 stages => '[{"name": "In", "labels": {"de": "Rein"}},
                                             {"name": "Mid", "required_fields": ["amount", "custom_fields.size"]},
                                             {"name": "Won", "status": "won"},
                                             {"name": "Lost", "status": "lost"}]') AS strict \gset
SELECT crm_deals.create_pipeline('Listed', gates => '{"forbid_unlisted": true}', organization => 'acme',
                                 is_default => true) AS listed \gset
SELECT crm_deals.add_stage(:strict, 'Late', before_key => 'won', rots_after => '1 day', probability => 80) AS late \gset
SELECT crm_deals.add_stage(:strict, 'Late');
SELECT crm_deals.add_stage(:strict, 'Gone', before_key => 'late', required_fields => '{name}') AS gone \gset
SELECT crm_deals.reorder_stages(:strict, '{in,mid,gone,late,won,lost}');
SELECT crm_deals.reorder_stages(:strict, '{in,mid}');
SELECT crm_deals.remove_stage(:gone);
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
SELECT qq1.id, qq2.id FROM crm_deals.stage AS qq1, crm_deals.stage AS qq2
WHERE qq1.pipeline_id = :listed AND qq2.pipeline_id = :listed AND qq2.position = qq1.position + 1;
INSERT INTO crm_deals.lost_reason (pipeline_id, name, labels) VALUES (:strict, 'price', '{"de": "Preis"}');
UPDATE crm_deals.lost_reason SET name = 'Price' WHERE name = 'price';
INSERT INTO crm_deals.custom_field (entity, key, label, type, options, required)
VALUES ('deal', 'size', 'Size', 'select', '["small", {"value": "large", "labels": {"de": "groß"}}]', false),
       ('deal', 'seats', 'Seats', 'number', NULL, false), ('deal', 'tags', 'Tags', 'multiselect', '["a", "b"]', false),
       ('lead', 'size', 'Size', 'select', '["small"]', false);
INSERT INTO crm_deals.exchange_rate (currency, base, rate, valid_from)
VALUES ('USD', 'EUR', 0.9, '2020-01-01'), ('CHF', 'USD', 1.1, '2020-01-01');
SELECT crm_deals.index_custom_field('deal', 'seats'), crm_deals.index_custom_field('deal', 'tags'),
       crm_deals.index_custom_field('deal', 'seats');
SELECT crm_deals.index_custom_field('lead', 'size'), crm_deals.index_custom_field('account', 'size');

-- Consumers
SELECT crm_deals.subscribe('all', from_start => true, include_imports => true), crm_deals.subscribe('won', '{won}');
SELECT crm_deals.subscribe('wrong', '{nonsense}');

-- Deals
INSERT INTO :account (name) VALUES ('Acme'), ('Globex'), ('Globex');
INSERT INTO :contact (first_name, last_name, email) VALUES ('Ada', 'Lovelace', 'ada@example.org'), ('Bob', 'Roe', NULL);
INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, owner, amount, expected_close_date, custom_fields,
                            created_at, external_id, source)
VALUES ('Alpha bridge', 1, 1, 'anna', 100, '2026-03-01', '{"size": "large", "seats": 4, "tags": ["a", "b"]}',
        '2026-01-01', 'x1', 'fair'),
       ('Alpha bridge two', 2, NULL, 'tom', 250, '2026-04-01', '{"seats": 7}', '2026-01-02', 'x2', 'web'),
       ('Beta', NULL, NULL, NULL, NULL, NULL, '{}', '2026-01-03', NULL, NULL);
INSERT INTO crm_deals.deal (name, pipeline_id, amount, currency) VALUES ('Gamma', :strict, 10, 'USD');
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('Delta', :listed);
INSERT INTO crm_deals.deal (name, custom_fields) VALUES ('wrong field', '{"size": "huge"}');
INSERT INTO crm_deals.deal (name, status) VALUES ('wrong status', 'won');
INSERT INTO crm_deals.deal (name) VALUES ('upserted') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
COPY crm_deals.deal (name, external_id) FROM stdin;
Copied	x3
\.
MERGE INTO crm_deals.deal AS qq1 USING (VALUES ('x3')) AS qq2 (qq_id) ON qq1.external_id = qq2.qq_id
WHEN MATCHED THEN UPDATE SET amount = 5 WHEN NOT MATCHED THEN INSERT (name) VALUES ('no');
SELECT public.qq_shown(qq1.id) FROM crm_deals.deal AS qq1 ORDER BY qq1.id;
INSERT INTO crm_deals.deal_contact (deal_id, contact_id, role) VALUES (1, 1, 'buyer'), (2, 1, 'user'), (2, 2, NULL);
INSERT INTO crm_deals.activity (kind, subject, deal_id, contact_id) VALUES ('call', 'Hello', 1, 1), ('note', 'N', 2, 2);

-- Moves
SELECT qq1.stage_key, qq1.status, qq1.version, qq1.event_id FROM crm_deals.move_deal(1, 'qualified', 'a note') AS qq1;
SELECT qq1.stage_key FROM crm_deals.move_deal(2, 'nowhere') AS qq1;
SELECT qq1.stage_key FROM crm_deals.move_deal(2, 'qualified', expected_version => 9) AS qq1;
SELECT qq1.stage_key FROM crm_deals.move_deal(99, 'qualified') AS qq1;
SELECT * FROM crm_deals.check_move(4, 'won');
SELECT * FROM crm_deals.check_move(4, 'lost', 'price');
SELECT qq1.stage_key FROM crm_deals.move_deal(4, 'mid') AS qq1;
SELECT qq1.stage_key, qq1.status FROM crm_deals.move_deal(4, 'late', override => 'because') AS qq1;
SELECT qq1.stage_key, qq1.status FROM crm_deals.move_deal(4, 'lost', lost_reason => 'no idea') AS qq1;
SELECT qq1.stage_key, qq1.status FROM crm_deals.move_deal(4, 'lost', lost_reason => 'Price') AS qq1;
SELECT * FROM crm_deals.check_move(5, 'won');
SELECT qq1.deal_id, qq1.outcome, qq1.detail FROM crm_deals.move_deals('{1,2,3,99}', 'won', 'all', 'mia') AS qq1;
SELECT qq1.deal_id, qq1.outcome, qq1.detail
FROM crm_deals.move_deals('{1,2}', 'lost', lost_reason => 'late', override => 'yes') AS qq1;
UPDATE crm_deals.deal SET stage_id = (SELECT qq1.id FROM crm_deals.stage AS qq1
                                      WHERE qq1.pipeline_id = :sales AND qq1.position = 1) WHERE id = 3;
UPDATE crm_deals.deal SET pipeline_id = :strict WHERE name = 'Copied';
UPDATE crm_deals.deal SET name = 'Alpha bridge three', amount = 12, custom_fields = '{"seats": 1}', version = version
WHERE id = 3;
UPDATE crm_deals.deal SET version = 1 WHERE id = 3;
SELECT public.qq_shown(qq1.id) FROM crm_deals.deal AS qq1 ORDER BY qq1.id;

-- Changes of stages
UPDATE crm_deals.stage SET probability = 33, name = 'Later', key = 'later' WHERE id = :late;
UPDATE crm_deals.stage SET status = 'lost' WHERE pipeline_id = :sales AND position = 1;
UPDATE crm_deals.pipeline SET lost_reason_required = false WHERE id = :listed;
UPDATE crm_deals.pipeline SET is_default = true WHERE id = :strict;
UPDATE crm_deals.pipeline SET is_default = true, duplicate_policy = 'off' WHERE id = :sales;
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag' WHERE id = :sales;
SELECT crm_deals.remove_stage((SELECT qq1.id FROM crm_deals.stage AS qq1
                               WHERE qq1.pipeline_id = :sales AND qq1.position = 3));

-- Events
SELECT qq1.id, qq1.deal_id, qq1.kind, qq1.payload - 'occurred_at' - 'changes' - 'closed_at' AS qq_payload
FROM crm_deals.read_events('all', 4) AS qq1;
SELECT crm_deals.ack_events('all', 2);
SELECT count(*) FROM crm_deals.read_events('all', 100, '1 minute') AS qq1;
SELECT qq1.deal_id, qq1.kind FROM crm_deals.read_events('won') AS qq1 ORDER BY 1;
SELECT count(*) FROM crm_deals.read_events('nobody') AS qq1;
SELECT qq1.consumer, qq1.pending FROM crm_deals.consumer_status AS qq1 ORDER BY 1;
SELECT crm_deals.subscribe('won', '{lost}'), crm_deals.unsubscribe('won');
SELECT crm_deals.unsubscribe('won');

-- Undo, delete, restore: what is there is there again, columns of users included.
CREATE TABLE public.qq_before AS SELECT qq1.id AS qq_id, to_jsonb(qq1.*) - 'version' - 'updated_at' AS qq_row
                                 FROM crm_deals.deal AS qq1;
UPDATE crm_deals.deal SET amount = 77, expected_close_date = '2026-05-05', notes = 'n' WHERE id IN (1, 2);
SELECT * FROM crm_deals.undo_batch(public.qq_batch());
SELECT * FROM crm_deals.undo_batch(0);
DELETE FROM crm_deals.deal WHERE id IN (2, 3);
SELECT * FROM crm_deals.undo_batch(public.qq_batch());
DELETE FROM crm_deals.deal WHERE id = 3;
SELECT crm_deals.restore_deal(3);
SELECT crm_deals.restore_deal(3);
SELECT count(*), count(*) FILTER (WHERE qq2.qq_row = to_jsonb(qq1.*) - 'version' - 'updated_at') AS qq_same
FROM crm_deals.deal AS qq1 JOIN public.qq_before AS qq2 ON qq2.qq_id = qq1.id;
INSERT INTO crm_deals.deal (name) VALUES ('undone');
SELECT * FROM crm_deals.undo_batch(public.qq_batch());

-- Duplicates
SELECT qq1.deal_id, qq1.deal_name FROM crm_deals.find_duplicates('alpha bridge', 0.3) AS qq1;
SELECT * FROM crm_deals.scan_duplicates(0.3);
UPDATE crm_deals.pipeline SET duplicate_threshold = 0.3 WHERE id = :sales;
SELECT crm_deals.flag_duplicates('Sales');
SELECT crm_deals.flag_duplicates();
SELECT crm_deals.dismiss_duplicate(1, 3);
SELECT qq1.deal_id, qq1.other_deal_id, qq1.resolution FROM crm_deals.deal_duplicate AS qq1 ORDER BY 1, 2;
INSERT INTO crm_deals.deal (name) VALUES ('Alpha bridge four');
UPDATE crm_deals.deal SET name = 'Something else' WHERE name = 'Alpha bridge four';
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :sales;
INSERT INTO crm_deals.deal (name) VALUES ('Alpha bridge');
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag' WHERE id = :sales;
SELECT crm_deals.rebuild_duplicates();
SELECT crm_deals.merge_deals(1, 2, 'mia');
SELECT crm_deals.resolve_deal(2), public.qq_shown(1);
SELECT qq1.contact_id, qq1.role FROM crm_deals.deal_contact AS qq1 ORDER BY 1;
SELECT crm_deals.merge_deals(1, 99);

-- Boards, forecasts, reports
SELECT qq1.column_key, qq1.label, qq1.ordinal, qq1.deal_count, qq1.amounts, qq1.weighted_amounts,
       jsonb_path_query_array(qq1.cards, '$[*].id') AS qq_cards
FROM (VALUES ('stage'), ('owner'), ('account'), ('contact'), ('source'), ('status'), ('custom_fields.size'),
             ('custom_fields.tags'), ('pipeline'), ('stage_id'), ('lost_reason')) AS qq2 (qq_by),
     LATERAL crm_deals.board('Sales', qq2.qq_by, language => 'de') AS qq1;
SELECT qq1.column_key, qq1.deal_count FROM crm_deals.board(filter => '{"owner": "anna", "amount": {"min": 1},
    "expected_close_date": {"from": "2026-01-01"}, "text": "a", "custom_fields": {"seats": 4, "tags": ["a"]},
    "status": ["open", "won"]}') AS qq1;
SELECT qq1.column_key FROM crm_deals.board('nowhere') AS qq1;
SELECT qq1.card ->> 'name' AS qq_name FROM crm_deals.board_cards('Sales', 'lead') AS qq1;
SELECT qq1.qq_sort, qq2.column_key, qq2.page_key -> 'id' AS qq_id, qq3.card -> 'id' AS qq_next
FROM (VALUES ('account'), ('-owner'), ('stage'), ('name'), ('-amount')) AS qq1 (qq_sort),
     LATERAL crm_deals.board('Sales', card_limit => 1, sort => qq1.qq_sort) AS qq2
     LEFT JOIN LATERAL crm_deals.board_cards('Sales', qq2.column_key, after => qq2.page_key, sort => qq1.qq_sort) AS qq3
     ON qq2.page_key IS NOT NULL;
INSERT INTO crm_deals.activity (kind, subject, due_at, assignee, deal_id, occurred_at)
SELECT 'task', 'qq', '2026-03-03', 'anna', qq1.id, NULL FROM crm_deals.deal AS qq1 ORDER BY qq1.id;
SELECT qq1.subject, qq1.deal_name, qq1.assignee_label, qq1.is_overdue FROM crm_deals.open_task AS qq1 ORDER BY qq1.id;
SELECT qq1.id, qq1.next_activity, qq1.next_activity_due_at FROM crm_deals.deal_overview AS qq1 ORDER BY qq1.id;
UPDATE crm_deals.activity AS qq1 SET done_at = '2026-03-03', occurred_at = NULL WHERE qq1.subject = 'qq';
SELECT qq1.card ->> 'name' AS qq_name FROM crm_deals.board_cards('Sales', 'anna', 'owner') AS qq1;
SELECT qq1.card ->> 'name' AS qq_name FROM crm_deals.board_cards('Sales', 'nowhere') AS qq1;
SELECT * FROM crm_deals.forecast();
SELECT * FROM crm_deals.forecast('Sales', 'EUR', '2020-01-01', '2027-01-01', '{"source": "fair"}', 'owner');
SELECT * FROM crm_deals.forecast(convert_to => 'CHF', group_by => 'account', as_of => now());
SELECT * FROM crm_deals.deals_as_of('2000-01-01');
SELECT qq1.id, qq1.name, qq1.status, qq1.custom_fields, qq1.version FROM crm_deals.deals_as_of(now()) AS qq1
ORDER BY 1;
SELECT * FROM crm_deals.pipeline_changes('2000-01-01', group_by => 'owner');
SELECT * FROM crm_deals.pipeline_changes('2000-01-01', now(), 'Sales', '2020-01-01', '2027-01-01', '{"text": "a"}',
                                         'custom_fields.tags');
SELECT * FROM crm_deals.pipeline_changes('2000-01-01', group_by => 'stage');
SELECT * FROM crm_deals.win_rate('owner', NULL);
SELECT * FROM crm_deals.win_rate('custom_fields.size', NULL, pipeline => 'Strict', filter => '{"source": null}');
SELECT * FROM crm_deals.win_rate('stage', 'year', '2026-01-01', '2026-12-31');
SELECT * FROM crm_deals.lost_reasons('account', NULL);
SELECT * FROM crm_deals.lost_reasons(NULL, NULL, pipeline => 'Strict');
SELECT qq1.group_key, qq1.currency, qq1.open_count, qq1.won_count, qq1.lost_count
FROM crm_deals.sales_velocity('pipeline', 'year', '2025-01-01', '2026-12-31') AS qq1;
SELECT qq1.group_key, qq1.stage_key, qq1.entered_count, qq1.converted_count
FROM crm_deals.stage_conversion('source', NULL) AS qq1;
SELECT * FROM crm_deals.pipeline_summary('contact', pipeline => 'Sales');
SELECT * FROM crm_deals.pipeline_summary();
INSERT INTO crm_deals.target (pipeline_id, starts_on, ends_on, currency, amount)
SELECT p.id, '2026-01-01', '2030-12-31', 'EUR', 1000 FROM crm_deals.pipeline AS p WHERE p.name = 'Sales';
INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount) VALUES ('2026-01-01', '2030-12-31', 'EUR', 10);
INSERT INTO crm_deals.target (starts_on, ends_on, currency, amount) VALUES ('2026-01-01', '2030-12-31', 'EUR', 20);
SELECT group_key, group_label, currency, target > 0, won, open_amount, weighted FROM crm_deals.attainment('pipeline');
SELECT group_key, group_label, currency, target > 0, won, open_amount, weighted
FROM crm_deals.attainment('owner', 'year', convert_to => 'EUR');
SELECT group_key, group_label, currency, deal_count, amount, weighted_amount FROM crm_deals.pipeline_trend('day');
SELECT group_key, group_label, currency, deal_count, amount, weighted_amount
FROM crm_deals.pipeline_trend('month', group_by => 'account', filter => '{"custom_fields": {"seats": [1, null]}}');
SELECT * FROM crm_deals.pipeline_summary('nonsense');
SELECT qq1.id, qq1.name, qq1.pipeline, qq1.stage_key, qq1.account_label, qq1.contact_label, qq1.owner_label,
       qq1.open_duplicates
FROM crm_deals.deal_overview AS qq1 ORDER BY 1;
SELECT qq1.deal_id, qq1.stage_key, qq1.left_at IS NULL, qq1.actor FROM crm_deals.deal_stage_history AS qq1
ORDER BY qq1.deal_id, qq1.entered_at;
SELECT qq1.deal_id FROM crm_deals.stale_deals AS qq1;
SELECT * FROM crm_deals.verify();

-- Leads and imports
INSERT INTO crm_deals.lead (company_name, first_name, last_name, email, source, owner, custom_fields)
VALUES ('Acme', 'Ada', 'Lovelace', 'ada@example.org', 'web', 'anna', '{"size": "small"}'),
       ('Newco', 'Eve', 'Poe', 'eve@example.org', 'web', NULL, '{}'), ('Globex', 'Max', 'Foe', NULL, NULL, NULL, '{}');
SELECT * FROM crm_deals.convert_lead(1, deal => '{"amount": 5, "pipeline": "Sales", "stage": "qualified"}');
\set VERBOSITY terse
SELECT * FROM crm_deals.convert_lead(1);
\set VERBOSITY default
SELECT * FROM crm_deals.convert_lead(2, actor => 'mia');
SELECT * FROM crm_deals.convert_lead(3);
SELECT * FROM crm_deals.convert_lead(3, false, use_account => '2');
CREATE TEMPORARY TABLE qq_source (external_id text, name text, stage text, account text, amount text, owner text,
                                  "custom_fields.seats" text);
INSERT INTO qq_source VALUES ('i1', 'Imported one', 'Qualified', 'Acme', '5', 'anna', '3'),
                             ('i2', 'Imported two', 'won', 'New account', '7', NULL, NULL),
                             ('x1', 'Alpha again', NULL, NULL, '9', 'tom', '4'),
                             ('i3', 'Bad', 'nowhere', NULL, NULL, NULL, NULL),
                             ('i4', 'Bad', NULL, NULL, 'x', NULL, NULL), ('i4', 'Bad', NULL, 'Globex', NULL, NULL, NULL);
ALTER TABLE qq_source ADD COLUMN closed_at text;
UPDATE qq_source SET closed_at = '2026-01-05' WHERE external_id = 'i2';
CREATE TEMPORARY TABLE qq_history (external_id text, stage text, entered_at text, actor text);
INSERT INTO qq_history VALUES ('i1', 'Lead', '2025-01-01', 'eve'), ('i1', 'Qualified', '2025-02-01', 'eve');
SELECT * FROM crm_deals.import_deals('qq_source', 'qq_history', create_accounts => true);
SELECT * FROM crm_deals.import_deals('qq_source', gates => true, actor => 'erp');
SELECT * FROM crm_deals.import_accounts(rows => '[{"external_id": "p1", "name": "Party", "owner": "anna"}, {"name": ""},
    {"external_id": "p2", "name": "Party two"}]');
SELECT * FROM crm_deals.import_accounts(rows => '[{"external_id": "p1", "name": "The party"}]', dry_run => true);
SELECT * FROM crm_deals.import_accounts(rows => '[{"external_id": "p1", "name": "The party"}]');
SELECT * FROM crm_deals.import_contacts(rows => '[{"external_id": "p1", "first_name": "Pa", "account": "the party"},
    {"external_id": "p2", "last_name": "Ra", "account": "nobody"}]');
SELECT * FROM crm_deals.import_contacts(rows => '[{"external_id": "p1", "email": "pa@x.example"}]');
SELECT * FROM crm_deals.import_leads(actor => 'erp', rows => '[{"external_id": "p1", "company_name": "Party",
    "account": "p1", "contact": "pa@x.example", "status": "Working", "custom_fields.seats": 3}]');
SELECT public.qq_shown(qq1.id) FROM crm_deals.deal AS qq1 ORDER BY qq1.id;

-- Levels, policies, erasure, pruning
CREATE ROLE :role;
SELECT crm_deals.grant_access(:'role', 'admin'), crm_deals.revoke_access(:'role');
SELECT crm_deals.grant_access(:'role', 'write'), crm_deals.protect_children();
CREATE POLICY qq_mine ON crm_deals.deal TO :role USING (deal.owner = 'anna');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SET ROLE :role;
SELECT qq1.id, qq1.name FROM crm_deals.deal_overview AS qq1 ORDER BY 1;
SELECT count(*) FROM crm_deals.deal_event AS qq1;
SELECT qq1.id FROM crm_deals.deals_as_of(now()) AS qq1 ORDER BY 1;
UPDATE crm_deals.deal SET amount = 8 WHERE id = 1;
SELECT count(*) FROM crm_deals.verify();
RESET ROLE;
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT * FROM crm_deals.redact(contact => '1', lead => 2, deals => '{1}', actor => 'anna', reason => 'asked');
SELECT public.qq_shown(1);
UPDATE crm_deals.deal SET amount = 9 WHERE id = 1;
SELECT crm_deals.unsubscribe('all');
SELECT crm_deals.prune_events(clock_timestamp()) > 0;
SELECT count(*) FROM crm_deals.deals_as_of('2020-01-01');
SELECT * FROM crm_deals.verify();
SET crm_deals.notify = dispatch;
UPDATE crm_deals.deal SET amount = 10 WHERE id = 1;
DELETE FROM crm_deals.deal WHERE id = 3;
DELETE FROM crm_deals.deal_event;
TRUNCATE crm_deals.deal;
SELECT * FROM crm_deals.verify();
SELECT crm_deals.revoke_access(:'role');
DROP OWNED BY :role;
DROP ROLE :role;
