\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 5: every deal gets an outcome that is true, whatever became of its stages since; a deal goes only where a
-- board shows it.
CREATE FUNCTION t.last_batch(name text) RETURNS bigint LANGUAGE sql AS $$
    SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = t.deal(name) ORDER BY version DESC LIMIT 1
$$;
CREATE FUNCTION t.undo(batch bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', u.outcome, u.detail), ' / ' ORDER BY u.deal_id)
    FROM crm_deals.undo_batch(batch) AS u
$$;
CREATE FUNCTION t.drop(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    gone bigint := t.deal(name);
BEGIN
    DELETE FROM crm_deals.deal WHERE id = gone;
    RETURN gone;
END
$$;
CREATE FUNCTION t.status(stage_key text, status text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE crm_deals.stage SET status = %L WHERE key = %L', status, stage_key);
END
$$;
SELECT crm_deals.add_stage(:sales, 'Extra', 'extra', probability => 40),
       crm_deals.add_stage(:sales, 'Second', 'second', status => 'won'),
       crm_deals.add_stage(:sales, 'Gone', 'gone', probability => 40) \gset none_

-- The stage was closed, and is open now
SELECT t.new_deal('a', 'second'), t.new_deal('b', 'second'), t.new_deal('c', 'second') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'a';
SELECT t.last_batch('a') AS a, t.drop('b') AS b, t.drop('c') AS c \gset
SELECT t.status('second', 'open') AS none \gset
SELECT is(t.undo(:a), 'reverted Its stage "Second" is open now; it was won.',
          'undo_batch: to a stage that is open now');
SELECT is(t.state('a'), 'second open 100 v3', 'undo_batch: the stamps are derived anew');
SELECT is(crm_deals.restore_deal(:b), :b::bigint, 'restore_deal: to a stage that is open now');
SELECT is(t.state('b'), 'second open 100 v3', 'restore_deal: the stamps are derived anew');
SELECT is(t.undo((SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = :c AND kind = 'deleted')),
          'reverted Its stage "Second" is open now; it was won.',
          'undo_batch: of a deletion, to a stage that is open now');
-- It was open, and is closed now
SELECT t.new_deal('d', 'extra'), t.new_deal('e', 'extra') \gset none_
UPDATE crm_deals.deal SET probability = 70 WHERE name = 'e';
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd';
SELECT t.last_batch('d') AS d, t.drop('e') AS e, clock_timestamp() AS before_undo \gset
SELECT t.status('extra', 'won') AS none \gset
SELECT is(t.undo(:d), 'reverted Its stage "Extra" is won now; it was open.', 'undo_batch: to a stage that is won now');
SELECT is((SELECT status || ' ' || (closed_at >= :'before_undo') FROM crm_deals.deal WHERE name = 'd'), 'won true',
          'undo_batch: it is closed at the moment of the undo');
SELECT is(crm_deals.restore_deal(:e), :e::bigint, 'restore_deal: to a stage that is won now');
SELECT is((SELECT concat_ws(' ', status, closed_at IS NULL, probability_overridden)
           FROM crm_deals.deal WHERE name = 'e'),
          'won f f', 'restore_deal: closed, and the override ends');
-- It was open, and is lost now: nobody knows why
SELECT t.new_deal('f', 'gone'), t.new_deal('g', 'gone') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'f';
SELECT t.last_batch('f') AS f, t.drop('g') AS g \gset
SELECT t.status('gone', 'lost') AS none \gset
SELECT is(t.undo(:f), 'changed_since Its stage "Gone" is lost now, and it has no lost reason.',
          'undo_batch: to a stage that is lost now');
SELECT is(t.state('f'), 'lead open 10 v2', 'undo_batch: leaves it alone');
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :g)), '23514 deal.lost_reason deal_lost_reason',
          'restore_deal: to a stage that is lost now: 23514');
UPDATE crm_deals.pipeline SET lost_reason_required = false;
SELECT is(t.undo(:f), 'reverted Its stage "Gone" is lost now; it was open.', 'undo_batch: unless no reason is needed');
UPDATE crm_deals.pipeline SET lost_reason_required = true;
-- The batch of a change of status, of a probability: the deal follows its stage
SELECT t.new_deal('h', 'qualified'), t.new_deal('i', 'qualified') \gset none_
UPDATE crm_deals.stage SET probability = 33 WHERE key = 'qualified';
SELECT is(t.undo(t.last_batch('h')),
          'unchanged It follows its stage "Qualified": status open, probability 33. / '
          'unchanged It follows its stage "Qualified": status open, probability 33.',
          'undo_batch: of the edit of a stage''s probability');
SELECT t.status('qualified', 'won') AS none \gset
SELECT is(t.undo(t.last_batch('h'))
              ~ '^unchanged It follows its stage "Qualified": status won, probability [0-9]+\. / unchanged',
          true, 'undo_batch: of the edit of a stage''s status');
SELECT is((SELECT count(*) FROM crm_deals.deal_event WHERE kind = 'reverted' AND deal_id = t.deal('h')), 0::bigint,
          'undo_batch: what is unchanged has no event');
-- Archived, and gone
SELECT crm_deals.add_stage(:sales, 'Old', 'old'), crm_deals.add_stage(:sales, 'Void', 'void') \gset none_
SELECT t.new_deal('k', 'old'), t.new_deal('l', 'old'), t.new_deal('m', 'void') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'k';
SELECT t.last_batch('k') AS k, t.drop('l') AS l, t.drop('m') AS m \gset
UPDATE crm_deals.stage SET archived_at = now() WHERE key = 'old';
SELECT is(t.undo(:k), 'changed_since Its stage "Old" is archived: no board would show it.',
          'undo_batch: to an archived stage');
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :l)), '23514 deal.stage_id deal_stage_archived',
          'restore_deal: to an archived stage: 23514');
DELETE FROM crm_deals.stage WHERE key = 'void';
SELECT is(t.try(format('SELECT crm_deals.restore_deal(%s)', :m)), '23503 deal.stage_id deal_stage_fkey',
          'restore_deal: to a stage that is gone: 23503');
SELECT is(t.undo((SELECT batch_id FROM crm_deals.deal_event WHERE deal_id = :m AND kind = 'deleted'))
              ~ '^changed_since Its stage [0-9]+ is gone\.$',
          true, 'undo_batch: to a stage that is gone');
UPDATE crm_deals.stage SET archived_at = NULL WHERE key = 'old';
SELECT is(t.undo(:k), 'reverted', 'undo_batch: once the stage is back');
-- A pipeline that is not active: those inside go on, and its board shows them
SELECT crm_deals.create_pipeline('Side', '[{"name": "One", "key": "one"}, {"name": "Two", "key": "two"}]') AS side \gset
SELECT t.new_deal('n', 'one', 'Side') AS none \gset
SELECT t.drop('n') AS n \gset
UPDATE crm_deals.pipeline SET is_active = false WHERE id = :side;
SELECT is(crm_deals.restore_deal(:n), :n::bigint, 'restore_deal: into a pipeline that is not active');
SELECT is((SELECT deal_count FROM crm_deals.board('Side') WHERE column_key = 'one'), 1::bigint,
          'restore_deal: its board shows it');
-- A reason that the catalogue does not have any more
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:sales, 'Pricing'), (:sales, 'Rival');
SELECT t.new_deal('o', 'lead') AS none \gset
UPDATE crm_deals.deal SET stage_id = t.stage('lost'), lost_reason = 'Pricing' WHERE name = 'o';
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'o';
SELECT t.last_batch('o') AS o \gset
UPDATE crm_deals.lost_reason SET name = 'Price' WHERE name = 'Pricing';
SELECT is(t.undo(:o), 'reverted The lost reason "Pricing" is not in the catalogue any more.',
          'undo_batch: with a reason that was renamed');
-- What a deal refers to is gone, or its external id taken: only this deal is left alone, in a batch of many
INSERT INTO crm_deals.account (name) VALUES ('Acme'), ('Beta');
INSERT INTO crm_deals.deal (name, account_id, external_id)
SELECT 'p' || n, CASE WHEN n IN (3, 4) THEN 1 ELSE 2 END, 'ext' || n FROM generate_series(1, 9) AS n;
DELETE FROM crm_deals.deal WHERE name ~ '^p[1-9]$';
SELECT max(batch_id) AS deleted FROM crm_deals.deal_event WHERE kind = 'deleted' \gset
DELETE FROM crm_deals.account WHERE name = 'Acme';
INSERT INTO crm_deals.deal (name, external_id) VALUES ('rival', 'ext7');
SELECT is((SELECT string_agg(u.outcome || CASE WHEN u.outcome <> 'reverted' THEN ' ' || u.detail ELSE '' END, E'\n'
                             ORDER BY u.deal_id)
           FROM crm_deals.undo_batch(:deleted) AS u),
          format(E'reverted\nreverted\n%1$s\n%1$s\nreverted\nreverted\n%2$s\nreverted\nreverted',
                 'changed_since Insert or update on table "deal" violates foreign key constraint '
                 '"deal_account_id_fkey". Key (account_id)=(1) is not present in table "account".',
                 'changed_since Duplicate key value violates unique constraint "deal_external_id". '
                 'Key (external_id, organization)=(ext7, null) already exists.'),
          'undo_batch: a deal that cannot come back does not stop the others');
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM crm_deals.deal WHERE name ~ '^p[1-9]$'), 'p1 p2 p5 p6 p8 p9',
          'undo_batch: they are back');
-- A user's constraint and a user's trigger
ALTER TABLE crm_deals.deal ADD CONSTRAINT small CHECK (amount < 100) NOT VALID;
INSERT INTO crm_deals.deal (name, amount) VALUES ('q1', 50), ('q2', 50);
UPDATE crm_deals.deal SET amount = NULL WHERE name ~ '^q';
SELECT t.last_batch('q1') AS q \gset
ALTER TABLE crm_deals.deal DROP CONSTRAINT small, ADD CONSTRAINT small CHECK (name <> 'q2' OR amount < 10) NOT VALID;
SELECT is(t.undo(:q) ~ '^reverted / rejected New row for relation "deal" violates check constraint "small"', true,
          'undo_batch: a constraint of the user''s');
ALTER TABLE crm_deals.deal DROP CONSTRAINT small;
-- An import: several events of a deal
CREATE TABLE t.source AS
    SELECT 'imp' || n AS external_id, 'Imported ' || n AS name, 'proposal' AS stage FROM generate_series(1, 3) AS n;
CREATE TABLE t.history AS
    SELECT 'imp1' AS external_id, v.stage, now() - v.ago AS entered_at
    FROM (VALUES ('lead', interval '9 days'), ('proposal', '2 days')) AS v (stage, ago);
SELECT count(*) AS none FROM crm_deals.import_deals('t.source', 't.history') \gset
SELECT batch_id AS import FROM crm_deals.deal_event WHERE deal_id = t.deal('Imported 2') AND kind = 'created' \gset
SELECT is((SELECT string_agg(concat_ws(' ', u.outcome, u.detail), ' / ') FROM crm_deals.undo_batch(:import) AS u),
          'reverted / reverted / reverted', 'undo_batch: an import with histories is one batch');
SELECT is((SELECT count(*) FROM crm_deals.deal WHERE external_id LIKE 'imp%'), 0::bigint,
          'undo_batch: the deals of the import are gone');
SELECT is((SELECT string_agg(u.outcome, ' ')
           FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event)) AS u),
          'reverted reverted reverted', 'undo_batch: of that undo');
-- An import of new deals and of known ones, one of which changes twice: the old values are those before the import
UPDATE t.source SET name = name || ' anew', stage = 'lead' WHERE external_id = 'imp1';
INSERT INTO t.source VALUES ('imp4', 'Imported 4', 'proposal');
DELETE FROM t.history;
INSERT INTO t.history VALUES ('imp1', 'qualified', clock_timestamp()), ('imp1', 'lead', clock_timestamp()),
    ('imp4', 'lead', now() - interval '9 days'), ('imp4', 'proposal', now() - interval '2 days');
SELECT t.state('Imported 1') AS before \gset
SELECT is((SELECT string_agg(i.outcome, ' ' ORDER BY i.external_id)
           FROM crm_deals.import_deals('t.source', 't.history', gates => false) AS i),
          'updated unchanged unchanged created', 'import_deals: new deals and known ones');
SELECT batch_id AS import FROM crm_deals.deal_event WHERE deal_id = t.deal('Imported 4') AND kind = 'created' \gset
SELECT is((SELECT count(DISTINCT e.batch_id) || ' ' || count(*) FROM crm_deals.deal_event AS e
           WHERE e.origin = 'import' AND e.batch_id >= :import), '1 5',
          'import_deals: all its events are one batch');
SELECT is((SELECT string_agg(u.outcome, ' ') FROM crm_deals.undo_batch(:import) AS u), 'reverted reverted',
          'undo_batch: an import of new deals and known ones');
SELECT is((SELECT string_agg(name, ', ' ORDER BY name) FROM crm_deals.deal WHERE external_id LIKE 'imp%'),
          'Imported 1, Imported 2, Imported 3', 'undo_batch: new ones are gone, known ones have their old values');
SELECT is(regexp_replace(t.state('Imported 1'), ' v[0-9]+$', ''), regexp_replace(:'before', ' v[0-9]+$', ''),
          'undo_batch: the known one is in its old stage');
-- The first attempt to write all rows is rolled back, and its events with it
ALTER TABLE crm_deals.deal ADD CONSTRAINT not_imp6 CHECK (external_id <> 'imp6') NOT VALID;
DELETE FROM t.source;
INSERT INTO t.source SELECT 'imp' || n, 'Imported ' || n, 'proposal' FROM generate_series(5, 8) AS n;
SELECT is((SELECT string_agg(i.outcome, ' ' ORDER BY i.external_id) FROM crm_deals.import_deals('t.source') AS i),
          'created rejected created created', 'import_deals: a row that a constraint refuses');
SELECT is((SELECT string_agg(u.outcome, ' ')
           FROM crm_deals.undo_batch((SELECT max(batch_id) FROM crm_deals.deal_event)) AS u),
          'reverted reverted reverted', 'undo_batch: an import with a row that was refused');
ALTER TABLE crm_deals.deal DROP CONSTRAINT not_imp6;
-- The log has lost the first steps of a deal, but not the first event of the import: what was undone would be a guess
DELETE FROM t.source;
DELETE FROM t.history;
INSERT INTO t.source VALUES ('imp1', 'First', 'lead'), ('imp2', 'Second', 'proposal');
UPDATE t.source SET external_id = 'old' || right(external_id, 1);
INSERT INTO t.history VALUES ('old2', 'lead', now() - interval '9 days'), 
    ('old2', 'proposal', now() - interval '2 days');
SELECT count(*) AS none FROM crm_deals.import_deals('t.source', 't.history') \gset
SELECT batch_id AS import FROM crm_deals.deal_event WHERE deal_id = t.deal('First') \gset
SELECT crm_deals.prune_events(now() - interval '5 days') AS none \gset
SELECT is(t.undo(:import), 'reverted / uncertain Its earlier events were pruned, so the log may not have all that the '
                           'import did.', 'undo_batch: an import of which the log has lost events');
-- Undo of a restoration
SELECT t.new_deal('r', 'lead') AS none \gset
SELECT crm_deals.restore_deal(t.drop('r')) AS r \gset
SELECT is(t.undo(t.last_batch('r')), 'reverted', 'undo_batch: of a restoration');
SELECT is(t.kinds(:r), 'created deleted reverted deleted', 'undo_batch: deletes it again');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
