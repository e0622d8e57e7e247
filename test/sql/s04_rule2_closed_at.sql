\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 2: a deal is open or has a closing time.
SELECT crm_deals.create_pipeline('Long', '[{"name": "Start"}, {"name": "Signed", "status": "won"},
    {"name": "Paid", "status": "won"},
    {"name": "Lost", "status": "lost"}, {"name": "Refused", "status": "lost"},
    {"name": "Silent", "status": "abandoned"}]') AS long \gset
CREATE FUNCTION t.closed_at(wanted text) RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT closed_at FROM crm_deals.deal WHERE name = wanted);
END
$$;

SELECT t.new_deals('d', 4, 'start', 'Long') AS none \gset
SELECT is(t.closed_at('d1'), NULL, 'rule 2: an open deal has no closing time');

-- open -> closed stamps the moment
SELECT clock_timestamp() AS before \gset
UPDATE crm_deals.deal SET stage_id = t.stage('signed', 'Long') WHERE name = 'd1';
SELECT ok(t.closed_at('d1') BETWEEN :'before' AND clock_timestamp(), 'rule 2: open -> won stamps the moment');
SELECT is((SELECT ARRAY[closed_at, d.updated_at, stage_entered_at] = array_fill(e.occurred_at, '{3}')
           FROM crm_deals.deal AS d JOIN crm_deals.deal_event AS e ON e.deal_id = d.id AND e.version = d.version
           WHERE d.name = 'd1'),
          true, 'section 5: the stamps of one write equal occurred_at of its event');

-- won -> won keeps, won -> lost stamps anew, lost -> lost keeps, lost -> abandoned stamps anew
SELECT t.closed_at('d1') AS first \gset
UPDATE crm_deals.deal SET stage_id = t.stage('paid', 'Long') WHERE name = 'd1';
SELECT is(t.closed_at('d1'), :'first', 'rule 2: won -> won keeps it');
UPDATE crm_deals.deal SET stage_id = t.stage('lost', 'Long'), lost_reason = 'price' WHERE name = 'd1';
SELECT ok(t.closed_at('d1') > :'first', 'rule 2: won -> lost stamps anew');
SELECT t.closed_at('d1') AS second \gset
UPDATE crm_deals.deal SET stage_id = t.stage('refused', 'Long') WHERE name = 'd1';
SELECT is(t.closed_at('d1'), :'second', 'rule 2: lost -> lost keeps it');
UPDATE crm_deals.deal SET stage_id = t.stage('silent', 'Long') WHERE name = 'd1';
SELECT ok(t.closed_at('d1') > :'second', 'rule 2: lost -> abandoned stamps anew');
SELECT t.closed_at('d1') AS third \gset
UPDATE crm_deals.deal SET notes = 'any' WHERE name = 'd1';
SELECT is(t.closed_at('d1'), :'third', 'rule 2: a change of another column keeps it');
UPDATE crm_deals.deal SET stage_id = t.stage('start', 'Long') WHERE name = 'd1';
SELECT is(t.closed_at('d1'), NULL, 'rule 2: closed -> open clears it');
SELECT is((SELECT (changes -> 'closed_at' ->> 0)::timestamptz || coalesce(changes -> 'closed_at' ->> 1, ' none')
           FROM crm_deals.deal_event WHERE deal_id = t.deal('d1') AND kind = 'reopened'),
          :'third'::timestamptz || ' none', 'rule 2: and the log keeps it');

-- A moment given by the same statement
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('signed', 'Long'), closed_at = '2020-02-03 04:05:06Z'
                    WHERE name = 'd2'$$,
                  $$SELECT (t.closed_at('d2') = '2020-02-03 04:05:06Z')::text$$),
          'true', 'rule 2: the closing time that the same statement gives is taken');
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, stage_id, closed_at)
                    VALUES ('a', t.stage('signed', 'Long'), '2020-02-03 04:05:06Z')$$,
                  $$SELECT (t.closed_at('a') = '2020-02-03 04:05:06Z')::text$$),
          'true', 'rule 2: on INSERT too');
UPDATE crm_deals.deal SET stage_id = t.stage('signed', 'Long') WHERE name = 'd2';
SELECT is(t.after($$UPDATE crm_deals.deal SET closed_at = '2020-02-03 04:05:06Z' WHERE name = 'd2'$$,
                  $$SELECT (t.closed_at('d2') = '2020-02-03 04:05:06Z')::text$$),
          'true', 'rule 2: the closing time of a closed deal may be corrected');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('paid', 'Long'), closed_at = '2020-02-03 04:05:06Z'
                    WHERE name = 'd2'$$,
                  $$SELECT (t.closed_at('d2') = '2020-02-03 04:05:06Z')::text$$),
          'true', 'rule 2: won -> won with a closing time takes it');

-- What contradicts
SELECT is(t.dry($$UPDATE crm_deals.deal SET closed_at = now() WHERE name = 'd3'$$),
          '23514 deal.closed_at deal_closed_at', 'rule 2: an open deal cannot be given a closing time');
SELECT is(t.dry($$INSERT INTO crm_deals.deal (name, stage_id, closed_at)
                  VALUES ('a', t.stage('start', 'Long'), now())$$),
          '23514 deal.closed_at deal_closed_at', 'rule 2: on INSERT neither');
SELECT is(t.dry($$UPDATE crm_deals.deal SET closed_at = NULL WHERE name = 'd2'$$),
          'done', 'rule 2: a closed deal cannot lose its closing time: NULL says nothing');
SELECT is(t.after($$UPDATE crm_deals.deal SET stage_id = t.stage('start', 'Long'), closed_at = NULL WHERE name = 'd2'$$,
                  $$SELECT t.state('d2')$$),
          'start open 0 v3', 'rule 2: NULL may be said with a move to an open stage');
SELECT alike(t.dry(format('UPDATE crm_deals.deal SET closed_at = %L WHERE name = ''d2''', v.moment)),
             '23514 deal% deal_closed_at',
             'rule 2: ' || v.moment || ' is no moment')
FROM (VALUES ('infinity'), ('-infinity')) AS v (moment);

-- What it was, sent along with the new stage
SELECT is(t.after($$UPDATE crm_deals.deal AS d
                    SET stage_id = t.stage('start', 'Long'), closed_at = d.closed_at, status = d.status
                    WHERE name = 'd2'$$,
                  $$SELECT t.state('d2')$$),
          'start open 0 v3', 'rule 2: closing time and status left as they were are not statements');

SELECT is_empty('SELECT t.broken()', 'rules 1 to 7 hold on the data');
SELECT is_empty('SELECT * FROM crm_deals.verify()', 'verify() agrees');

SELECT * FROM finish();
