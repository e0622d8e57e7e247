-- Questions, each asked of the extension's function and of the query that a developer would write by hand, in turns; in
-- a database that history.sql filled. Prints for each question and round: question, seconds of the function, seconds by
-- hand.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET timezone = 'UTC';
SET work_mem = '64MB';

CREATE TEMPORARY TABLE question (
    number integer GENERATED ALWAYS AS IDENTITY, name text, function text, by_hand text
);

-- By hand a board is a window over the join, as examples of boards have it: every card numbered, the first ones kept.
-- Ours also looks up the next activity of each card.
CREATE FUNCTION pg_temp.board_by_hand(what text, condition text, sort text DEFAULT 'd.stage_entered_at DESC, d.id DESC')
RETURNS text LANGUAGE sql AS $$
    SELECT format($query$
        SELECT * FROM (
            SELECT %s, d.id, d.name, a.name AS account, d.amount, d.currency, d.probability, d.expected_close_date,
                   d.stage_entered_at, d.version, d.custom_fields,
                   row_number() OVER (PARTITION BY %2$s ORDER BY %5$s) AS place,
                   count(*) OVER (PARTITION BY %2$s) AS deals,
                   sum(d.amount) OVER (PARTITION BY %2$s, d.currency) AS amount_sum,
                   sum(d.amount * d.probability / 100) OVER (PARTITION BY %2$s, d.currency) AS weighted_sum
            FROM crm_deals.deal AS d
            JOIN crm_deals.stage AS s ON s.id = d.stage_id
            JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
            LEFT JOIN crm_deals.account AS a ON a.id = d.account_id
            WHERE p.name = 'Pipeline 1' AND %3$s) AS numbered
        WHERE place <= 20 ORDER BY %4$s, place$query$,
        CASE what WHEN 'owner' THEN 'd.owner, s.key' ELSE 's.key, s.name AS stage, s.position, d.owner' END,
        CASE what WHEN 'owner' THEN 'd.owner' ELSE 'd.stage_id' END,
        condition,
        CASE what WHEN 'owner' THEN 'owner' ELSE 'position' END,
        sort)
$$;
-- The trend is to take at most three times as long as one moment of the past.
INSERT INTO question (name, function, by_hand) VALUES
('pipeline_trend: 260 weeks by stage, beside one deals_as_of a year ago',
 $$SELECT count(*) FROM crm_deals.pipeline_trend('week', date '2026-11-30' - 259 * 7, '2026-11-30')$$,
 $$SELECT count(*) FROM crm_deals.deals_as_of('2025-11-30')$$),
('pipeline_trend: the same by owner, beside the same',
 $$SELECT count(*) FROM crm_deals.pipeline_trend('week', date '2026-11-30' - 259 * 7, '2026-11-30',
                                                group_by => 'owner')$$,
 $$SELECT count(*) FROM crm_deals.deals_as_of('2025-11-30')$$),
('attainment: the quarters of a year, by owner',
 $$SELECT * FROM crm_deals.attainment('owner', 'quarter', '2026-01-01', '2026-12-31')$$,
 $$SELECT date_trunc('quarter', coalesce(d.closed_at::date, d.expected_close_date)), d.owner, d.currency,
          sum(d.amount) FILTER (WHERE d.status = 'won'), sum(d.amount) FILTER (WHERE d.status = 'open'),
          sum(d.amount * d.probability / 100) FILTER (WHERE d.status = 'open')
   FROM crm_deals.deal AS d
   WHERE d.status = 'won' AND d.closed_at >= '2026-01-01' AND d.closed_at < '2027-01-01'
      OR d.status = 'open' AND d.expected_close_date BETWEEN '2026-01-01' AND '2026-12-31'
   GROUP BY 1, 2, 3$$);

INSERT INTO question (name, function, by_hand) VALUES
('board: first 20 cards of each column, counts, sums',
 $$SELECT * FROM crm_deals.board('Pipeline 1')$$, pg_temp.board_by_hand('stage', 'true')),
('board: the same, open deals only',
 $$SELECT * FROM crm_deals.board('Pipeline 1', filter => '{"status": "open"}')$$,
 pg_temp.board_by_hand('stage', $$d.status = 'open'$$)),
('board of one owner',
 $$SELECT * FROM crm_deals.board('Pipeline 1', filter => '{"owner": "owner 7"}')$$,
 pg_temp.board_by_hand('stage', $$d.owner = 'owner 7'$$)),
('board by owner',
 $$SELECT * FROM crm_deals.board('Pipeline 1', 'owner')$$, pg_temp.board_by_hand('owner', 'true')),
('board: the biggest deals first',
 $$SELECT * FROM crm_deals.board('Pipeline 1', sort => '-amount')$$,
 pg_temp.board_by_hand('stage', 'true', 'd.amount DESC NULLS LAST, d.id DESC')),
('a page of one''s open tasks',
 $$SELECT * FROM crm_deals.open_task WHERE assignee = 'owner 7' ORDER BY due_at, id LIMIT 20$$,
 $$SELECT a.*, d.name FROM crm_deals.activity AS a LEFT JOIN crm_deals.deal AS d ON d.id = a.deal_id
   WHERE a.assignee = 'owner 7' AND a.done_at IS NULL AND a.kind <> 'note' ORDER BY a.due_at LIMIT 20$$);

-- By hand pages are counted off.
CREATE FUNCTION pg_temp.deep() RETURNS integer LANGUAGE sql AS $$
    SELECT (count(*) * 9 / 10)::integer FROM crm_deals.deal WHERE stage_id = 5
$$;
CREATE FUNCTION pg_temp.page_key(at integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('stage_entered_at', stage_entered_at, 'id', id)
    FROM crm_deals.deal WHERE stage_id = 5 ORDER BY stage_entered_at DESC, id DESC OFFSET at LIMIT 1
$$;
INSERT INTO question (name, function, by_hand)
SELECT v.name,
       format('SELECT * FROM crm_deals.board_cards(''Pipeline 1'', ''won'', after => %L)',
              CASE WHEN v.at > 0 THEN pg_temp.page_key(v.at - 1) END),
       format($$SELECT d.id, d.name, a.name AS account, d.owner, d.amount, d.currency, d.probability,
                       d.expected_close_date, d.stage_entered_at, d.version, d.custom_fields
                FROM crm_deals.deal AS d
                JOIN crm_deals.stage AS s ON s.id = d.stage_id
                JOIN crm_deals.pipeline AS p ON p.id = d.pipeline_id
                LEFT JOIN crm_deals.account AS a ON a.id = d.account_id
                WHERE p.name = 'Pipeline 1' AND s.key = 'won'
                ORDER BY d.stage_entered_at DESC, d.id DESC OFFSET %s LIMIT 20$$, v.at)
FROM (VALUES ('board_cards: the first page', 0),
             ('board_cards: a page nine tenths down the column', pg_temp.deep())) AS v (name, at);

CREATE FUNCTION pg_temp.forecast_by_hand(open_deals text, won_deals text) RETURNS text LANGUAGE sql AS $$
    SELECT format($query$
        SELECT month, currency, sum(deals), sum(amount), sum(weighted), sum(won), sum(won_amount)
        FROM (SELECT date_trunc('month', expected_close_date) AS month, currency, count(*) AS deals,
                     sum(amount) AS amount, sum(amount * probability / 100) AS weighted, 0 AS won, 0 AS won_amount
              FROM crm_deals.deal WHERE status = 'open' AND %s GROUP BY 1, 2
              UNION ALL
              SELECT date_trunc('month', closed_at), currency, 0, 0, 0, count(*), sum(amount)
              FROM crm_deals.deal WHERE status = 'won' AND %s GROUP BY 1, 2) AS f
        GROUP BY 1, 2 ORDER BY 1, 2$query$, open_deals, won_deals)
$$;
CREATE FUNCTION pg_temp.past_by_hand(moment text) RETURNS text LANGUAGE sql AS $$
    SELECT format($query$
        SELECT count(*)
        FROM (SELECT DISTINCT ON (deal_id) * FROM crm_deals.deal_event
              WHERE occurred_at <= %L ORDER BY deal_id, version DESC) AS e
        WHERE kind <> 'deleted'$query$, moment)
$$;
-- The last event of each deal at both moments, joined. By hand a deal has one reason to change, and no filter.
CREATE FUNCTION pg_temp.changes_by_hand(from_at text, to_at text) RETURNS text LANGUAGE sql AS $$
    SELECT format($query$
        WITH a AS (SELECT DISTINCT ON (deal_id) * FROM crm_deals.deal_event
                   WHERE occurred_at <= %L ORDER BY deal_id, version DESC),
             b AS (SELECT DISTINCT ON (deal_id) * FROM crm_deals.deal_event
                   WHERE occurred_at <= %L ORDER BY deal_id, version DESC)
        SELECT currency, change, count(*), sum(amount)
        FROM (SELECT coalesce(b.currency, a.currency) AS currency, coalesce(b.amount, a.amount) AS amount,
                     CASE WHEN a.deal_id IS NULL THEN 'created'
                          WHEN b.kind = 'deleted' THEN 'deleted'
                          WHEN b.status = 'open' AND a.status <> 'open' THEN 'reopened'
                          WHEN b.status <> 'open' THEN b.status::text
                          WHEN b.amount <> a.amount THEN 'changed' ELSE 'same' END AS change
              FROM a FULL JOIN b ON b.deal_id = a.deal_id
              WHERE a.status = 'open' OR b.status = 'open') AS c
        GROUP BY 1, 2 ORDER BY 1, 2$query$, from_at, to_at)
$$;
INSERT INTO question (name, function, by_hand) VALUES
('timeline of a deal',
 $$SELECT * FROM crm_deals.timeline(500)$$,
 $$SELECT occurred_at, kind, actor, changes::text FROM crm_deals.deal_event WHERE deal_id = 500
   UNION ALL
   SELECT occurred_at, kind, actor, subject FROM crm_deals.activity WHERE deal_id = 500
   ORDER BY 1 DESC LIMIT 50$$),
('forecast by month, all pipelines', $$SELECT * FROM crm_deals.forecast()$$, pg_temp.forecast_by_hand('true', 'true')),
('forecast of one pipeline, this quarter',
 $$SELECT * FROM crm_deals.forecast('Pipeline 1', from_date => '2026-10-01', to_date => '2026-12-31')$$,
 pg_temp.forecast_by_hand($$pipeline_id = 1 AND expected_close_date BETWEEN '2026-10-01' AND '2026-12-31'$$,
                          $$pipeline_id = 1 AND closed_at >= '2026-10-01' AND closed_at < '2027-01-01'$$)),
('win rate of one quarter by month',
 $$SELECT * FROM crm_deals.win_rate(from_date => '2026-07-01', to_date => '2026-09-30')$$,
 $$SELECT date_trunc('month', closed_at), count(*) FILTER (WHERE status = 'won'),
          count(*) FILTER (WHERE status = 'lost'),
          count(*) FILTER (WHERE status = 'won')::numeric
              / nullif(count(*) FILTER (WHERE status IN ('won', 'lost')), 0)
   FROM crm_deals.deal WHERE closed_at >= '2026-07-01' AND closed_at < '2026-10-01' GROUP BY 1 ORDER BY 1$$),
('deals_as_of a year ago',
 $$SELECT count(*) FROM crm_deals.deals_as_of('2025-11-01')$$, pg_temp.past_by_hand('2025-11-01')),
('deals_as_of a week ago',
 $$SELECT count(*) FROM crm_deals.deals_as_of('2026-10-25')$$, pg_temp.past_by_hand('2026-10-25')),
('pipeline_changes of the last week',
 $$SELECT * FROM crm_deals.pipeline_changes('2026-10-25', '2026-11-01')$$,
 pg_temp.changes_by_hand('2026-10-25', '2026-11-01')),
('pipeline_changes of two months, by owner',
 $$SELECT * FROM crm_deals.pipeline_changes('2026-09-01', '2026-11-01', group_by => 'owner')$$,
 pg_temp.changes_by_hand('2026-09-01', '2026-11-01'));

-- Every row is made and thrown away on the server.
CREATE FUNCTION pg_temp.seconds(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    EXECUTE 'SELECT count(x) FROM (SELECT t::text AS x FROM (' || query || ') AS t OFFSET 0) AS y';
    RETURN extract(epoch FROM clock_timestamp() - began);
END
$$;
SELECT count(pg_temp.seconds(function)), count(pg_temp.seconds(by_hand)) FROM question \g /dev/null
SELECT q.name, pg_temp.seconds(q.function), pg_temp.seconds(q.by_hand)
FROM generate_series(1, :rounds) AS round, question AS q;
