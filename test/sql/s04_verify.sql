\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 4: verify() checks all rules on the data. The test breaks every rule once without triggers, and verify()
-- reports it once.
SELECT crm_deals.create_pipeline('Other', '[{"name": "X"}]', organization => 'acme') AS other \gset
SELECT t.new_deals('d', 3, 'lead'), t.new_deal('w', 'won'), t.new_deal('l', 'lost') \gset none_
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE name LIKE 'd_';
UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE name LIKE 'd_';
UPDATE crm_deals.deal SET stage_id = t.stage('won') WHERE name = 'd3';
UPDATE crm_deals.deal SET stage_id = t.stage('lead') WHERE name = 'd3';
UPDATE crm_deals.deal SET probability = 66 WHERE name = 'd2';
INSERT INTO crm_deals.deal (name) VALUES ('gone');
DELETE FROM crm_deals.deal WHERE name = 'gone';
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify: nothing on sound data');
SELECT is_empty('SELECT t.broken()', 'verify: the tests'' own queries agree');

-- What verify() says after a statement that no trigger saw: rules, with deals.
CREATE FUNCTION t.verdict(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT t.after('SET LOCAL session_replication_role = replica; ' || statement,
                   'SELECT string_agg(DISTINCT format(''%s %s'', v.rule, coalesce(d.name, v.deal_id::text)), '', '') '
                   'FROM crm_deals.verify() AS v LEFT JOIN crm_deals.deal AS d ON d.id = v.deal_id')
$$;
CREATE FUNCTION t.own_verdict(statement text) RETURNS text LANGUAGE sql AS $$
    SELECT t.after('SET LOCAL session_replication_role = replica; ' || statement,
                   'SELECT string_agg(DISTINCT substring(b FROM ''^(rule .|\w+)''), '', '') FROM t.broken() AS b')
$$;
SELECT matches(t.verdict(v.statement), v.verdict, 'verify: ' || v.what)
FROM (VALUES ('1 d1', 'a status that is not its stage''s',
              $$ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_closed_at;
                UPDATE crm_deals.deal SET status = 'won' WHERE name = 'd1'$$),
             ('1 d1', 'a pipeline that is not its stage''s',
              $$UPDATE crm_deals.deal SET pipeline_id = t.pipeline('Other') WHERE name = 'd1'$$),
             ('1 d1', 'a stage that does not exist', $$UPDATE crm_deals.deal SET stage_id = 4711 WHERE name = 'd1'$$),
             ('1 d1', 'an organization that is not its pipeline''s',
              $$UPDATE crm_deals.deal SET organization = 'acme' WHERE name = 'd1'$$),
             ('2 d1', 'an open deal with a closing time',
              $$ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_closed_at;
                UPDATE crm_deals.deal SET closed_at = now() WHERE name = 'd1'$$),
             ('2 w', 'a closed deal without one',
              $$ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_closed_at;
                UPDATE crm_deals.deal SET closed_at = NULL WHERE name = 'w'$$),
             ('3 d1', 'a probability that is not its stage''s',
              $$UPDATE crm_deals.deal SET probability = 5 WHERE name = 'd1'$$),
             ('3 d2', 'an override that lost its flag',
              $$UPDATE crm_deals.deal SET probability_overridden = false WHERE name = 'd2'$$),
             ('4 l', 'a lost deal without a reason', $$UPDATE crm_deals.deal SET lost_reason = NULL WHERE name = 'l'$$),
             ('4 l', 'a blank reason', $$UPDATE crm_deals.deal SET lost_reason = ' ' WHERE name = 'l'$$),
             ('4 w', 'a reason of a deal that is not lost',
              $$ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_lost_reason;
                UPDATE crm_deals.deal SET lost_reason = 'price' WHERE name = 'w'$$),
             ('5 d1', 'a move in the log that does not start where the deal was',
              $$UPDATE crm_deals.deal_event SET from_stage_id = t.stage('won')
                WHERE deal_id = t.deal('d1') AND version = 3$$),
             ('6 d1', 'a version that is not that of the last event',
              $$UPDATE crm_deals.deal SET version = 9 WHERE name = 'd1'$$),
             ('6 d1', 'events in another order than their versions',
              $$UPDATE crm_deals.deal_event SET occurred_at = '2001-01-01'
                WHERE deal_id = t.deal('d1') AND version = 2$$),
             ('[67] d1', 'an event missing in the middle',
              $$DELETE FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 2$$),
             ('[67] d1', 'the last event missing',
              $$DELETE FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND version = 3$$),
             ('7 d1', 'a deal without an event', $$DELETE FROM crm_deals.deal_event WHERE deal_id = t.deal('d1')$$),
             ('7 d1', 'an amount that the log does not know',
              $$UPDATE crm_deals.deal SET amount = 1 WHERE name = 'd1'$$),
             ('7 d1', 'a currency that the log does not know',
              $$UPDATE crm_deals.deal SET currency = 'USD' WHERE name = 'd1'$$),
             ('7 d1', 'an owner that the log does not know',
              $$UPDATE crm_deals.deal SET owner = 'anna' WHERE name = 'd1'$$),
             ('7 d1', 'a close date that the log does not know',
              $$UPDATE crm_deals.deal SET expected_close_date = '2030-01-01' WHERE name = 'd1'$$),
             ('7 d1', 'a stage that the log does not know',
              $$UPDATE crm_deals.deal SET stage_id = t.stage('qualified'), probability = 25 WHERE name = 'd1'$$),
             ('7 l', 'a reason that the log does not know',
              $$UPDATE crm_deals.deal SET lost_reason = 'timing' WHERE name = 'l'$$),
             ('7 \d+', 'a deal deleted behind the log', $$DELETE FROM crm_deals.deal WHERE name = 'd2'$$))
         AS v (verdict, what, statement);
SELECT is(t.own_verdict(v.statement) ~ v.verdict, true, 'the tests'' own queries see it, too: ' || v.verdict)
FROM (VALUES ('rule 1',
              $$ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_closed_at;
                UPDATE crm_deals.deal SET status = 'won' WHERE name = 'd1'$$),
             ('rule 2',
              $$ALTER TABLE crm_deals.deal DROP CONSTRAINT deal_closed_at;
                UPDATE crm_deals.deal SET closed_at = now() WHERE name = 'd1'$$),
             ('rule 3', $$UPDATE crm_deals.deal SET probability = 5 WHERE name = 'd1'$$),
             ('rule 4', $$UPDATE crm_deals.deal SET lost_reason = NULL WHERE name = 'l'$$),
             ('rule 5',
              $$UPDATE crm_deals.pipeline SET forbid_skipping = true;
                UPDATE crm_deals.deal_event SET to_stage_id = t.stage('negotiation') WHERE version = 2$$),
             ('rule 6', $$UPDATE crm_deals.deal SET version = 9 WHERE name = 'd1'$$),
             ('rule 7', $$UPDATE crm_deals.deal SET notes = 'unlogged' WHERE name = 'd1'$$),
             ('order',
              $$UPDATE crm_deals.deal_event SET occurred_at = '2001-01-01'
                WHERE deal_id = t.deal('d1') AND version = 2$$)) AS v (verdict, statement);
SELECT is((SELECT string_agg(format('%s %s', name, format_type(type, NULL)), ', ' ORDER BY position)
           FROM pg_proc, unnest(proargnames, proallargtypes) WITH ORDINALITY AS a (name, type, position)
           WHERE oid = 'crm_deals.verify()'::regprocedure),
          'rule integer, deal_id bigint, detail text', 'section 12: the columns of verify()');

SELECT * FROM finish();
