\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 7: each change of a deal is exactly one event, in the same transaction.
CREATE FUNCTION t.events() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM crm_deals.deal_event);
END
$$;
SELECT t.new_deals('d', 3, 'lead') AS none \gset
SELECT is(t.events(), 3::bigint, 'rule 7: three deals, three events');
SELECT is(t.kinds('d1'), 'created', 'rule 7: created');
UPDATE crm_deals.deal SET amount = 5, stage_id = t.stage('won'), notes = 'x' WHERE name = 'd1';
SELECT is(t.kinds('d1'), 'created won', 'rule 7: one change of many columns is one event');
UPDATE crm_deals.deal SET stage_id = t.stage('qualified');
SELECT is(t.events(), 7::bigint, 'rule 7: a statement over three rows is one event each');
SELECT t.deal('d3') AS d3 \gset
DELETE FROM crm_deals.deal WHERE name = 'd3';
SELECT is(t.kinds(:d3), 'created stage_changed deleted', 'rule 7: a delete is an event, too');
SELECT is((SELECT array_agg(version ORDER BY version) FROM crm_deals.deal_event WHERE deal_id = :d3), '{1,2,3}',
          'rule 7: the log outlives the deal');

-- It commits with the change or not at all.
BEGIN;
UPDATE crm_deals.deal SET amount = 77;
INSERT INTO crm_deals.deal (name) VALUES ('gone');
SELECT is(t.events(), 11::bigint, 'rule 7: the writer sees its events at once');
ROLLBACK;
SELECT is(t.events(), 8::bigint, 'rule 7: a rollback leaves none');
BEGIN;
SAVEPOINT s;
UPDATE crm_deals.deal SET amount = 78 WHERE name = 'd1';
ROLLBACK TO s;
UPDATE crm_deals.deal SET amount = 79 WHERE name = 'd1';
RELEASE s;
COMMIT;
SELECT is((SELECT string_agg(changes::text, ' ') FROM crm_deals.deal_event
           WHERE deal_id = t.deal('d1') AND version > 3),
          '{"amount": [5, 79]}', 'rule 7: a savepoint rolled back takes its event along, what follows counts');
SELECT is(t.try($$UPDATE crm_deals.deal SET amount = -1$$), '23514 deal deal_amount',
          'rule 7: a statement refused by a constraint');
SELECT is(t.try($$UPDATE crm_deals.deal SET stage_id = t.stage('lost')$$), '23514 deal.lost_reason deal_lost_reason',
          'rule 7: or by a rule');
SELECT is(t.events(), 9::bigint, 'rule 7: leaves nothing behind');

-- What never changes
SELECT is(t.dry($$UPDATE crm_deals.deal SET id = 4711 WHERE name = 'd1'$$), '23514 deal.id deal_immutable',
          'rule 7: deal.id does not change');
SELECT is(t.dry($$UPDATE crm_deals.deal SET created_at = '2001-01-01' WHERE name = 'd1'$$),
          '23514 deal.created_at deal_immutable', 'rule 7: created_at does not change');
SELECT is(t.dry($$UPDATE crm_deals.deal SET created_at = NULL WHERE name = 'd1'$$), 'done',
          'rule 7: nor become NULL: that says nothing');
SELECT is(t.dry($$UPDATE crm_deals.deal SET id = id, created_at = created_at WHERE name = 'd1'$$), 'done',
          'rule 7: they may be sent as they are');
SELECT crm_deals.create_pipeline('Other') AS other \gset
SELECT is(t.dry($$UPDATE crm_deals.stage SET pipeline_id = t.pipeline('Other') WHERE id = t.stage('won')$$),
          '23514 stage.pipeline_id stage_immutable',
          'rule 7: stage.pipeline_id does not change');
SELECT is(t.dry($$UPDATE crm_deals.stage SET pipeline_id = t.pipeline('Other'), key = 'new', position = 9
                  WHERE id = t.stage('negotiation')$$),
          '23514 stage.pipeline_id stage_immutable',
          'rule 7: of an empty stage neither');
-- created_at may be given on INSERT
INSERT INTO crm_deals.deal (name, created_at) VALUES ('old', '2019-05-06 07:08:09Z');
SELECT is((SELECT created_at = '2019-05-06 07:08:09Z' FROM crm_deals.deal WHERE name = 'old'), true,
          'section 3: created_at may be given on INSERT');
SELECT is((SELECT occurred_at > now() - interval '1 day' FROM crm_deals.deal_event WHERE deal_id = t.deal('old')), true,
          'section 5: occurred_at is still the clock');
SELECT alike(t.dry($$INSERT INTO crm_deals.deal (name, created_at) VALUES ('a', 'infinity')$$),
             '23514 deal% deal_created_at', 'section 3: infinity is no time of creation');

-- The declared part
SELECT is((SELECT pg_get_constraintdef(oid) FROM pg_constraint
           WHERE conrelid = 'crm_deals.deal_event'::regclass AND contype = 'u'),
          'UNIQUE (deal_id, version)', 'section 4: UNIQUE (deal_id, version) on the log');
-- A deal under an explicit id, and one under the id of a deleted deal
INSERT INTO crm_deals.deal (id, name) VALUES (5000, 'chosen');
SELECT is(t.kinds(5000), 'created', 'rule 7: an explicit id is logged as any');
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
