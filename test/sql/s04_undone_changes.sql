\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 3: writers go by what is, whatever a user's trigger read in the middle of an edit: what an error undid is
-- forgotten, and what was changed is seen.
SET crm_deals.notify = off;
SELECT crm_deals.create_pipeline('P', '[
    {"name": "A", "probability": 10}, {"name": "B", "probability": 20},
    {"name": "Won", "key": "w", "status": "won"}, {"name": "Lost", "key": "l", "status": "lost"}]',
    gates => '{"forbid_unlisted": true}') AS p \gset
INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (:p, 'price');
INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id) VALUES (t.stage('a', 'P'), t.stage('b', 'P'));
SELECT t.new_deal('d', 'a', 'P') AS none \gset

-- What a query answers, undone; the error as t.get() gives it.
CREATE FUNCTION t.answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    result := t.get(query);
    RAISE EXCEPTION USING ERRCODE = 'TT000';
EXCEPTION WHEN SQLSTATE 'TT000' THEN
    RETURN result;
END
$$;
-- A user's trigger that comes between ours before and after the statement: it writes a deal, and then it fails.
CREATE FUNCTION t.write_and_fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('t.query', true) <> '' THEN
        RAISE EXCEPTION '%', t.answer(current_setting('t.query'));
    END IF;
    RETURN NULL;
END
$$;
CREATE TABLE t.edited (name text);
INSERT INTO t.edited
VALUES ('pipeline'), ('stage'), ('stage_transition'), ('lost_reason'), ('custom_field'), ('event_consumer');
SELECT format('CREATE TRIGGER a_first AFTER INSERT OR UPDATE OR DELETE ON crm_deals.%I
               FOR EACH ROW EXECUTE FUNCTION t.write_and_fail()', name) FROM t.edited
\gexec
CREATE FUNCTION t.key_of(wanted bigint) RETURNS text LANGUAGE sql AS $$
    SELECT key FROM crm_deals.stage WHERE id = wanted
$$;
CREATE TABLE t.edit (number integer GENERATED ALWAYS AS IDENTITY,
                     what text, edit text, query text, before text, during text);
INSERT INTO t.edit (what, edit, query, before, during) VALUES
    ('a stage''s probability',
     $$UPDATE crm_deals.stage SET probability = 99 WHERE id = t.stage('a', 'P')$$,
     $$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('n', t.pipeline('P')) RETURNING probability$$,
     '10', '99'),
    ('a stage''s status',
     $$UPDATE crm_deals.stage SET status = 'abandoned' WHERE id = t.stage('b', 'P')$$,
     $$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'P') WHERE name = 'd' RETURNING status$$,
     'open', 'abandoned'),
    ('a stage''s position',
     $$UPDATE crm_deals.stage SET position = 0 WHERE id = t.stage('b', 'P')$$,
     $$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('n', t.pipeline('P')) RETURNING t.key_of(stage_id)$$,
     'a', 'b'),
    ('a stage''s required fields',
     $$UPDATE crm_deals.stage SET required_fields = '{notes}' WHERE id = t.stage('b', 'P')$$,
     $$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'P') WHERE name = 'd' RETURNING status$$,
     'open', '23514 deal.stage_id deal_required_fields'),
    ('a new stage',
     $$INSERT INTO crm_deals.stage (pipeline_id, key, name, position) VALUES (t.pipeline('P'), 'z', 'Z', -5)$$,
     $$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('n', t.pipeline('P')) RETURNING t.key_of(stage_id)$$,
     'a', 'z'),
    ('a pipeline''s gate',
     $$UPDATE crm_deals.pipeline SET forbid_unlisted = false WHERE name = 'P'$$,
     $$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('n', t.stage('b', 'P')) RETURNING status$$,
     '23514 deal.stage_id deal_gate', 'open'),
    ('a pipeline''s currency',
     $$UPDATE crm_deals.pipeline SET currency = 'CHF' WHERE name = 'P'$$,
     $$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('n', t.pipeline('P')) RETURNING currency$$,
     'EUR', 'CHF'),
    ('a shut pipeline',
     $$UPDATE crm_deals.pipeline SET is_active = false WHERE name = 'P'$$,
     $$INSERT INTO crm_deals.deal (name, pipeline_id) VALUES ('n', t.pipeline('P')) RETURNING currency$$,
     'EUR', '23514 deal.pipeline_id deal_pipeline_active'),
    ('a listed move',
     $$INSERT INTO crm_deals.stage_transition (from_stage_id, to_stage_id)
       VALUES (t.stage('a', 'P'), t.stage('w', 'P'))$$,
     $$UPDATE crm_deals.deal SET stage_id = t.stage('w', 'P') WHERE name = 'd' RETURNING status$$,
     '23514 deal.stage_id deal_gate', 'won'),
    ('a move that is listed no longer',
     $$DELETE FROM crm_deals.stage_transition$$,
     $$UPDATE crm_deals.deal SET stage_id = t.stage('b', 'P') WHERE name = 'd' RETURNING status$$,
     'open', '23514 deal.stage_id deal_gate'),
    ('a lost reason',
     $$INSERT INTO crm_deals.lost_reason (pipeline_id, name) VALUES (t.pipeline('P'), 'mood')$$,
     $$UPDATE crm_deals.deal SET stage_id = t.stage('l', 'P'), lost_reason = 'mood' WHERE name = 'd' RETURNING status$$,
     '23514 deal.lost_reason deal_lost_reason', 'lost'),
    ('a custom field',
     $$INSERT INTO crm_deals.custom_field (entity, key, type) VALUES ('deal', 'seats', 'number')$$,
     $$UPDATE crm_deals.deal SET custom_fields = '{"seats": "ten"}' WHERE name = 'd' RETURNING status$$,
     'open', '23514 deal.custom_fields deal_custom_fields');
-- For each edit: one that changes nothing, after which the next reader reads all anew; the edit itself, whose trigger
-- sees what it changed; and a writer, who must not. Each is a statement, and a transaction, of its own.
SELECT format(s.statement, e.what, e.edit, e.query, e.before, e.during)
FROM t.edit AS e,
     (VALUES (1, 'SET t.query = '''''),
             (2, 'UPDATE crm_deals.pipeline SET description = %1$L'),
             (3, 'SET t.query = %3$L'),
             (4, 'SELECT is(t.error(%2$L, ''message''), %5$L, ''section 3: a trigger sees '' || %1$L)'),
             (5, 'SELECT is(t.answer(%3$L), %4$L,
                            ''section 3: a writer after the failed statement does not see '' || %1$L)'))
     AS s (place, statement)
ORDER BY e.number, s.place
\gexec
-- A trigger before the row reads what was before the edit: later statements of the transaction read anew.
SET t.query = '';
CREATE FUNCTION t.write_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM t.answer(current_setting('t.before'));
    RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;
END
$$;
SELECT format('CREATE TRIGGER zz_last BEFORE INSERT OR UPDATE OR DELETE ON crm_deals.%I
               FOR EACH ROW EXECUTE FUNCTION t.write_before()', name) FROM t.edited WHERE name <> 'event_consumer'
\gexec
SELECT format(s.statement, e.what, e.edit, e.query, e.before, e.during)
FROM t.edit AS e,
     (VALUES (1, 'SET t.before = %3$L'),
             (2, 'SELECT is(t.after(%2$L, ''SELECT t.answer('' || quote_literal(%3$L) || '')''), %5$L,
                            ''section 3: a later statement sees '' || %1$L || '', though a trigger read before it'')'))
     AS s (place, statement)
ORDER BY e.number, s.place
\gexec
SELECT format('DROP TRIGGER zz_last ON crm_deals.%I', name) FROM t.edited WHERE name <> 'event_consumer'
\gexec
-- The same where the whole transaction fails.
SET t.query = '';
UPDATE crm_deals.pipeline SET description = 'whole';
BEGIN;
UPDATE crm_deals.stage SET probability = 99 WHERE id = t.stage('a', 'P');
SELECT t.answer(query) AS answer FROM t.edit WHERE number = 1 \gset
ROLLBACK;
SELECT is(:'answer'::text, '99', 'section 3: a transaction sees its own change');
SELECT is(t.answer(query), '10', 'section 3: a writer after the failed transaction does not see it')
FROM t.edit WHERE number = 1;
-- Whether there is a consumer is read along with the pipelines: without one no doorbell is left to the dispatcher. The
-- transaction is rolled back, so that no dispatcher starts.
UPDATE crm_deals.pipeline SET description = 'consumer';
SET t.query = $$UPDATE crm_deals.deal SET notes = 'rung' WHERE name = 'd' RETURNING notes$$;
BEGIN;
SET LOCAL crm_deals.notify = dispatch;
SELECT t.error($$INSERT INTO crm_deals.event_consumer (consumer) VALUES ('erp')$$, 'message') AS during \gset
UPDATE crm_deals.deal SET amount = coalesce(amount, 0) + 1 WHERE name = 'd';
SELECT coalesce(dispatch, 'none') AS bell
FROM crm_deals.deal_event WHERE deal_id = t.deal('d') ORDER BY version DESC LIMIT 1 \gset
ROLLBACK;
SELECT is(:'during'::text, 'rung', 'section 5: a trigger wrote while there was a consumer');
SELECT is(:'bell'::text, 'none', 'section 5: a writer after the failed statement does not ring');
SET t.query = '';
SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
