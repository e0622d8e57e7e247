\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: settings of NOTIFY. What is sent to whom is tested by the TAP tests.
SELECT is(current_setting(v.name), v.value, 'section 5: default of ' || v.name)
FROM (VALUES ('crm_deals.notify', 'on'), ('crm_deals.notify_payload', 'full'),
             ('crm_deals.notify_limit', '100')) AS v (name, value);
SELECT is(t.dry(format('SET LOCAL crm_deals.notify = %L', v.value)), 'done',
          'section 5: crm_deals.notify = ' || v.value)
FROM (VALUES ('on'), ('off')) AS v (value);
SELECT is(t.dry(format('SET LOCAL crm_deals.notify = %L', v.value)), '22023',
          'section 5: crm_deals.notify is not ' || v.value)
FROM (VALUES ('perhaps'), ('')) AS v (value);
SELECT is(t.dry(format('SET LOCAL crm_deals.notify_payload = %L', v.value)), 'done',
          'section 5: crm_deals.notify_payload = ' || v.value)
FROM (VALUES ('full'), ('ids')) AS v (value);
SELECT is(t.dry('SET LOCAL crm_deals.notify_payload = ''names'''), '22023',
          'section 5: crm_deals.notify_payload is not names');
SELECT is(t.dry('SET LOCAL crm_deals.notify_limit = ' || v.value), v.result,
          'section 5: crm_deals.notify_limit = ' || v.value)
FROM (VALUES ('0', 'done'), ('1000000', 'done'), ('-1', '22023'), ('many', '22023')) AS v (value, result);
-- A setting of that prefix that does not exist is refused once the library is loaded.
SELECT is(t.dry('SET LOCAL crm_deals.notifications = on'), '42602',
          'section 5: a setting that does not exist is refused');
-- Whatever is set, the log is written.
SELECT t.new_deal('d', 'lead') AS none \gset
SET crm_deals.notify = off;
UPDATE crm_deals.deal SET stage_id = t.stage('won');
RESET crm_deals.notify;
SET crm_deals.notify_limit = 0;
UPDATE crm_deals.deal SET stage_id = t.stage('lead');
RESET crm_deals.notify_limit;
SELECT is(t.kinds('d'), 'created won reopened', 'section 5: crm_deals.notify = off keeps the log');
-- Payloads stay under 8,000 bytes whatever the deal's name.
INSERT INTO crm_deals.deal (name) VALUES (repeat('ü"\', 100000));
UPDATE crm_deals.deal SET stage_id = t.stage('won');
UPDATE crm_deals.stage SET name = repeat('€', 20000) WHERE id = t.stage('lead');
SET crm_deals.actor = 'x';
SELECT is(t.try(format('SET LOCAL crm_deals.actor = %L; UPDATE crm_deals.deal SET stage_id = t.stage(''lead'')',
                       repeat('ä', 9000))),
          'done', 'section 5: names of a megabyte do not break a move');
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE kind = 'reopened' AND length(actor) = 9000), 2::bigint,
          'section 5: the log has them whole');
SELECT is(t.try($$UPDATE crm_deals.deal SET amount = ('9.' || repeat('5', 16000))::numeric, stage_id = t.stage('won')$$),
          'done', 'section 5: nor does an amount of 16,000 digits');
SELECT cmp_ok(pg_notification_queue_usage(), '<', 0.5::double precision, 'section 5: the queue is free');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');

SELECT * FROM finish();
