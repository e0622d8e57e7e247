\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: undo_batch puts back what a statement changed, restore_deal brings a deleted deal back.
ALTER TABLE crm_deals.deal ADD COLUMN score integer, ADD COLUMN tag text NOT NULL DEFAULT 'none',
    ADD COLUMN doubled integer GENERATED ALWAYS AS (score * 2) STORED;
SELECT t.new_deals('d', 4, 'lead'), t.new_deal('lost', 'lost'), t.new_deal('won', 'won') \gset none_
UPDATE crm_deals.deal
SET score = 1, amount = 10.50, probability = 33, custom_fields = '{"keep": 1, "gone": "x", "null": null}'
WHERE name ~ '^d';
CREATE TABLE t.copy AS SELECT * FROM crm_deals.deal;
CREATE FUNCTION t.last_batch() RETURNS bigint LANGUAGE sql AS $$
    SELECT batch_id FROM crm_deals.deal_event ORDER BY id DESC LIMIT 1
$$;
CREATE FUNCTION t.undo(batch bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', coalesce(d.name, u.deal_id::text), u.outcome, u.detail), ', ' ORDER BY d.name,
                      u.deal_id)
    FROM crm_deals.undo_batch(batch, 'auditor') AS u LEFT JOIN crm_deals.deal AS d ON d.id = u.deal_id
$$;
-- Deals that differ from the copy, but for version and updated_at.
CREATE FUNCTION t.differing() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', c.name, e.key, e.value, to_jsonb(d) -> e.key), ', ' ORDER BY c.name, e.key)
    FROM t.copy AS c LEFT JOIN crm_deals.deal AS d USING (id), jsonb_each(to_jsonb(c)) AS e
    WHERE e.key NOT IN ('version', 'updated_at') AND e.value IS DISTINCT FROM to_jsonb(d) -> e.key
$$;
UPDATE crm_deals.deal
SET stage_id = t.stage('won'), amount = NULL, score = 7, tag = 'bulk', notes = 'bulk', owner = 'bob',
    custom_fields = (custom_fields - 'gone'::text - 'null'::text) || '{"new": true, "keep": [2]}'
WHERE name ~ '^d';
SELECT t.last_batch() AS batch \gset
UPDATE crm_deals.deal SET notes = 'since' WHERE name = 'd4';
SELECT is(t.undo(:batch),
          'd1 reverted, d2 reverted, d3 reverted, d4 changed_since Its version is 4, that of the batch was 3.',
          'undo_batch: an outcome for every deal; one changed since is left alone');
SELECT is((SELECT notes || ' ' || status FROM crm_deals.deal WHERE name = 'd4'), 'since won', 'undo_batch: left alone');
DELETE FROM t.copy WHERE name = 'd4';
SELECT is(
    t.differing(), NULL,
    'undo_batch: every column has its old value, stamps, overrides, user-added columns and custom fields included');
SELECT is(t.kinds('d1'), 'created updated won reverted', 'undo_batch: as events of kind reverted');
SELECT is((SELECT string_agg(DISTINCT actor, ' ') FROM crm_deals.deal_event WHERE kind = 'reverted'), 'auditor',
          'undo_batch: the actor is the argument');
SELECT is((SELECT count(DISTINCT batch_id) FROM crm_deals.deal_event WHERE kind = 'reverted'), 1::bigint,
          'undo_batch: one batch');
SELECT is(t.undo(:batch),
          'd1 changed_since Its version is 4, that of the batch was 3., d2 changed_since Its version is 4, '
          'that of the batch was 3., d3 changed_since Its version is 4, that of the batch was 3., '
          'd4 changed_since Its version is 4, that of the batch was 3.',
          'undo_batch: twice does nothing');
SELECT is(t.undo(t.last_batch()), 'd1 reverted, d2 reverted, d3 reverted',
          'undo_batch: what was reverted can be reverted');
SELECT is(t.state('d1'), 'won won 100 closed v5', 'undo_batch: and is as it was before');
SELECT is((SELECT closed_at
                      = (SELECT occurred_at FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 3)
           FROM crm_deals.deal WHERE name = 'd1'),
          true, 'undo_batch: with the closing time of then');
-- Gates are not asked, nor is the reason again
UPDATE crm_deals.pipeline SET forbid_backward = true, forbid_skipping = true;
UPDATE crm_deals.stage SET required_fields = '{source}' WHERE key = 'lead';
SELECT is(t.try($$UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd1'$$),
          '23514 deal.stage_id deal_gate', 'the gates are closed');
UPDATE crm_deals.pipeline SET forbid_backward = false;
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE false;
SELECT is(t.undo((SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = t.deal('d2')
                  ORDER BY version DESC LIMIT 1)),
          'd1 reverted, d2 reverted, d3 reverted', 'undo_batch: gates and required fields are not asked');
SELECT is((SELECT bypassed FROM crm_deals.deal_event WHERE deal_id = t.deal('d2') ORDER BY version DESC LIMIT 1), NULL,
          'undo_batch: nor recorded');
UPDATE crm_deals.pipeline SET forbid_skipping = false;
UPDATE crm_deals.stage SET required_fields = '{}';
-- closed to closed, with the same closing time
UPDATE crm_deals.deal SET stage_id = t.stage('won'), closed_at = closed_at WHERE name = 'lost';
SELECT is(t.undo(t.last_batch()), 'lost reverted', 'undo_batch: from won to lost');
SELECT is(t.state('lost'), 'lost lost 0 closed (price) v3', 'undo_batch: with the reason');
DELETE FROM t.copy WHERE name ~ '^d';
SELECT is(t.differing(), NULL, 'undo_batch: and the closing time of then');
-- Creation and deletion
INSERT INTO crm_deals.deal (name) VALUES ('new1'), ('new2');
SELECT t.last_batch() AS batch, t.deal('new1') AS new1 \gset
UPDATE crm_deals.deal SET notes = 'since' WHERE name = 'new2';
SELECT is(t.undo(:batch), 'new1 reverted, new2 changed_since Its version is 2, that of the batch was 1.',
          'undo_batch: of a creation deletes');
SELECT is(t.kinds(:new1), 'created deleted', 'undo_batch: and logs it as that');
INSERT INTO crm_deals.deal (name, external_id, score, custom_fields, source, closed_at, stage_id, created_at)
VALUES ('old', 'ext', 5, '{"a": 1, "b": "x"}', 'web', '2020-02-02', t.stage('won'), '2020-01-01');
INSERT INTO t.copy SELECT * FROM crm_deals.deal WHERE name = 'old';
SELECT t.deal('old') AS old, t.deal('won') AS won \gset
DELETE FROM crm_deals.deal WHERE name IN ('old', 'won');
SELECT t.last_batch() AS batch \gset
SELECT is(t.undo(:batch), format('%s reverted, %s reverted', :won, :old), 'undo_batch: of a deletion brings back');
SELECT is(t.differing(), NULL, 'undo_batch: as they were');
SELECT is(t.kinds(:old), 'created deleted reverted', 'undo_batch: as an event of kind reverted');
SELECT is((SELECT version FROM crm_deals.deal WHERE id = :old), 3, 'undo_batch: the version goes on');
-- restore_deal
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :old)), '55000',
          'restore_deal: of a deal that is there: 55000');
SELECT is(t.try('SELECT crm_deals.restore_deal(4711)'), 'P0002', 'restore_deal: of one that never was: P0002');
SELECT is(t.try('SELECT crm_deals.restore_deal(NULL)'), 'P0002', 'restore_deal: of none: P0002');
SELECT is(t.try('SELECT crm_deals.undo_batch(4711)'), 'P0002', 'undo_batch: of none: P0002');
SELECT is(t.try('SELECT crm_deals.undo_batch(NULL)'), 'P0002', 'undo_batch: of NULL: P0002');
DELETE FROM crm_deals.deal WHERE id = :old;
SELECT is(crm_deals.restore_deal(:old, 'auditor'), :old::bigint, 'restore_deal: under its old id');
SELECT is(t.differing(), NULL, 'restore_deal: as it was');
SELECT is((SELECT actor || ' ' || kind || ' ' || version FROM crm_deals.deal_event WHERE deal_id = :old
           ORDER BY version DESC LIMIT 1),
          'auditor reverted 5', 'restore_deal: the log has it');
SELECT is((SELECT occurred_at > (SELECT occurred_at FROM crm_deals.deal_event WHERE deal_id = :old AND version = 4)
           FROM crm_deals.deal_event WHERE deal_id = :old AND version = 5),
          true, 'restore_deal: later than the deletion');
INSERT INTO crm_deals.deal (name, external_id) VALUES ('rival', 'other');
DELETE FROM crm_deals.deal WHERE id = :old;
UPDATE crm_deals.deal SET external_id = 'ext' WHERE name = 'rival';
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :old)), '23505 deal deal_external_id',
          'restore_deal: an external id that another deal has now: 23505');
-- Who may
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_manager') AS none \gset
CREATE ROLE regress_crm_writer; CREATE ROLE regress_crm_manager;
SELECT crm_deals.grant_access('regress_crm_writer', 'write'),
       crm_deals.grant_access('regress_crm_manager', 'manager') \gset none_
SELECT is(t.try(format('SELECT crm_deals.undo_batch(%s)', :batch), 'regress_crm_writer'), '42501',
          'section 9: write may not undo');
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :old), 'regress_crm_writer'), '42501',
          'section 9: nor restore');
SELECT is(t.dry(format('UPDATE crm_deals.deal SET external_id = NULL WHERE name = ''rival''; '
                       'SELECT crm_deals.restore_deal(%s)',
                       :old),
                'regress_crm_manager'),
          'done', 'section 9: manager may restore');
UPDATE crm_deals.deal SET notes = 'x' WHERE name = 'd1';
SELECT is(t.get(format('SELECT outcome FROM crm_deals.undo_batch(%s)', t.last_batch()), 'regress_crm_manager'),
          'reverted', 'section 9: and undo');
SELECT t.drop_roles('regress_crm_writer', 'regress_crm_manager') AS none \gset
-- Many, and the plan of finding them
SELECT t.new_deals('m', 300, 'lead') AS none \gset
UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE name ~ '^m';
SELECT is((SELECT string_agg(DISTINCT outcome, ' ') || ' ' || count(*) FROM crm_deals.undo_batch(t.last_batch())),
          'reverted 300', 'undo_batch: three hundred');
UPDATE crm_deals.deal SET custom_fields = '{}', external_id = NULL;
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');
-- A trigger of the user's finds what it names, as under a plain statement
CREATE TABLE t.heard (n integer GENERATED ALWAYS AS IDENTITY, operation text);
CREATE FUNCTION t.hear() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO heard (operation) VALUES (TG_OP);
    RETURN NULL;
END
$$;
SET search_path = public, t;
INSERT INTO crm_deals.deal (name) VALUES ('heard');
SELECT t.last_batch() AS creation, t.deal('heard') AS heard \gset
UPDATE crm_deals.deal SET notes = 'x' WHERE id = :heard;
CREATE TRIGGER hear AFTER INSERT OR UPDATE OR DELETE ON crm_deals.deal FOR EACH ROW EXECUTE FUNCTION t.hear();
SELECT outcome AS none FROM crm_deals.undo_batch(t.last_batch()) \gset
DELETE FROM crm_deals.deal WHERE id = :heard;
SELECT crm_deals.restore_deal(:heard) AS none \gset
INSERT INTO crm_deals.deal (name) VALUES ('heard again');
SELECT outcome AS none FROM crm_deals.undo_batch(t.last_batch()) \gset
RESET search_path;
DROP TRIGGER hear ON crm_deals.deal;
SELECT is((SELECT string_agg(operation, ' ' ORDER BY n) FROM t.heard), 'UPDATE DELETE INSERT INSERT DELETE',
          'section 9: triggers of the user''s run under the caller''s search_path');
-- After ALTER TABLE, which is not in the log
ALTER TABLE crm_deals.deal DROP COLUMN score CASCADE, ADD COLUMN extra integer NOT NULL DEFAULT 5,
    ADD COLUMN maybe integer DEFAULT 6;
SELECT is(crm_deals.restore_deal(:old), :old::bigint, 'restore_deal: after ALTER TABLE');
SELECT is((SELECT concat_ws(' ', name, extra, maybe, tag) FROM crm_deals.deal WHERE id = :old), 'old 5 none',
          'restore_deal: a column that cannot be NULL gets its default');

SELECT * FROM finish();
