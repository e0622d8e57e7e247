-- :deals deals with a history of three years, the same at every run. Ten pipelines of six stages; 40 % of the deals are
-- open, 27 % won, 33 % lost; three currencies, 200 owners, one account for 20 deals; one deal in ten has no amount, one
-- no date, one no owner. Each deal has an activity: a task, a call that is due, or a note; one in three is done. Rows and log are written as a restore writes them, and agree: verify() finds nothing.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install() \g /dev/null
SELECT crm_deals.create_pipeline('Pipeline ' || n) FROM generate_series(1, 10) AS n \g /dev/null
-- Nobody looks for duplicates here: the rows below come without their names in deal_name.
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';

SET session_replication_role = replica;
SET work_mem = '256MB';
SET timezone = 'UTC';

INSERT INTO crm_deals.account (name) SELECT 'Account ' || n FROM generate_series(1, greatest(:deals / 20, 10)) AS n;

-- A number below the limit, of a deal and a purpose.
CREATE FUNCTION pg_temp.pick(n bigint, purpose integer, below integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT ((hashint8extended(n, purpose) & 9223372036854775807) % below)::integer $$;

-- The path of a deal: the first open stages, then won or lost; a stage takes some days.
CREATE TEMPORARY TABLE path AS
SELECT n AS id,
       1 + pg_temp.pick(n, 1, 10) AS pipeline_id,
       CASE WHEN open THEN 1 + pg_temp.pick(n, 2, 4) WHEN won THEN 4 ELSE 1 + pg_temp.pick(n, 2, 4) END AS opened,
       CASE WHEN open THEN 'open' WHEN won THEN 'won' ELSE 'lost' END AS status,
       CASE WHEN pg_temp.pick(n, 3, 10) > 0 THEN (100 + pg_temp.pick(n, 4, 5000000)) / 100.0 END AS amount,
       (ARRAY['EUR', 'EUR', 'USD', 'CHF'])[1 + pg_temp.pick(n, 5, 4)] AS currency,
       CASE WHEN pg_temp.pick(n, 6, 10) > 0 THEN 'owner ' || pg_temp.pick(n, 7, 200) END AS owner,
       1 + pg_temp.pick(n, 8, greatest(:deals / 20, 10)) AS account_id,
       CASE WHEN pg_temp.pick(n, 9, 10) > 0
            THEN CASE WHEN open THEN date '2026-06-01' + pg_temp.pick(n, 10, 365)
                     ELSE created::date + pg_temp.pick(n, 10, 365) END END AS expected_close_date,
       (ARRAY['web', 'fair', 'referral', 'call', NULL])[1 + pg_temp.pick(n, 11, 5)] AS source,
       CASE WHEN NOT open AND NOT won
            THEN (ARRAY['price', 'timing', 'competitor'])[1 + pg_temp.pick(n, 12, 3)] END AS lost_reason,
       jsonb_build_object('region', (ARRAY['north', 'south', 'east', 'west'])[1 + pg_temp.pick(n, 13, 4)],
                          'seats', pg_temp.pick(n, 14, 500)) AS custom_fields,
       created,
       interval '1 second' * (3600 + pg_temp.pick(n, 15, 1500000)) AS stay
FROM (SELECT n,
             pg_temp.pick(n, 16, 100) < 40 AS open,
             pg_temp.pick(n, 17, 100) < 45 AS won,
             CASE WHEN pg_temp.pick(n, 16, 100) < 40 AND pg_temp.pick(n, 18, 2) = 0
                  THEN timestamptz '2026-04-01 00:00+00' + interval '1 second' * pg_temp.pick(n, 19, 15000000)
                  ELSE timestamptz '2023-11-01 00:00+00' + interval '1 second' * pg_temp.pick(n, 19, 85000000)
             END AS created
      FROM generate_series(1, :deals) AS n) AS seed;

-- A step is an event: number 1 the creation, then a move each.
CREATE TEMPORARY TABLE step AS
SELECT p.id AS deal_id, k AS version,
       created + (k - 1) * stay AS occurred_at,
       CASE WHEN k > 1 THEN (p.pipeline_id - 1) * 6 + k - 1 END AS from_stage_id,
       (p.pipeline_id - 1) * 6 + CASE WHEN k <= opened THEN k WHEN status = 'won' THEN 5 ELSE 6 END AS stage_id,
       CASE WHEN k <= opened THEN 'open' ELSE status END AS status,
       CASE WHEN k <= opened THEN (ARRAY[10, 25, 50, 75])[k] WHEN status = 'won' THEN 100 ELSE 0 END AS probability
FROM path AS p, generate_series(1, opened + CASE status WHEN 'open' THEN 0 ELSE 1 END) AS k;
ANALYZE path, step;

INSERT INTO crm_deals.deal (id, name, account_id, pipeline_id, stage_id, status, amount, currency, probability,
                            expected_close_date, closed_at, lost_reason, owner, source, custom_fields, version,
                            last_open_stage_id, stage_entered_at, created_at, updated_at)
SELECT p.id, 'Deal ' || p.id || ' of ' || p.account_id, p.account_id, p.pipeline_id, s.stage_id,
       s.status::crm_deals.deal_status, p.amount, p.currency, s.probability, p.expected_close_date,
       CASE WHEN p.status <> 'open' THEN s.occurred_at END, p.lost_reason, p.owner, p.source, p.custom_fields,
       s.version, CASE WHEN p.status <> 'open' THEN s.from_stage_id END, s.occurred_at, p.created, s.occurred_at
FROM path AS p
JOIN step AS s ON s.deal_id = p.id AND s.version = p.opened + CASE p.status WHEN 'open' THEN 0 ELSE 1 END
ORDER BY p.created, p.id;

INSERT INTO crm_deals.deal_event (batch_id, deal_id, version, kind, occurred_at, actor, session_user_name, pipeline_id,
                                  from_stage_id, to_stage_id, from_status, status, amount, currency, probability,
                                  expected_close_date, owner, lost_reason, changes)
SELECT 1, s.deal_id, s.version,
       CASE WHEN s.version = 1 THEN 'created' WHEN s.status = 'open' THEN 'stage_changed' ELSE s.status END,
       s.occurred_at, 'bench', 'bench', p.pipeline_id, s.from_stage_id, s.stage_id, b.status::crm_deals.deal_status,
       s.status::crm_deals.deal_status, p.amount, p.currency, s.probability, p.expected_close_date, p.owner,
       CASE WHEN s.status = 'lost' THEN p.lost_reason END,
       CASE WHEN s.version = 1 THEN
           (SELECT jsonb_object_agg(c.key, jsonb_build_array(NULL, c.value))
            FROM jsonb_each(jsonb_strip_nulls(jsonb_build_object(
                'id', p.id, 'name', 'Deal ' || p.id || ' of ' || p.account_id, 'account_id', p.account_id,
                'pipeline_id', p.pipeline_id, 'stage_id', s.stage_id, 'status', s.status, 'amount', p.amount,
                'currency', p.currency, 'probability', s.probability, 'probability_overridden', false,
                'expected_close_date', p.expected_close_date, 'owner', p.owner, 'source', p.source, 'version', 1,
                'stage_entered_at', s.occurred_at, 'created_at', p.created, 'updated_at', s.occurred_at,
                'custom_fields.region', p.custom_fields -> 'region',
                'custom_fields.seats', p.custom_fields -> 'seats'))) AS c)
       ELSE
           jsonb_build_object('stage_id', jsonb_build_array(s.from_stage_id, s.stage_id),
                              'probability', jsonb_build_array(b.probability, s.probability),
                              'stage_entered_at', jsonb_build_array(b.occurred_at, s.occurred_at))
           || CASE WHEN s.status = 'open' THEN '{}'
                   ELSE jsonb_build_object('status', jsonb_build_array('open', s.status),
                                           'closed_at', jsonb_build_array(NULL, s.occurred_at),
                                           'last_open_stage_id', jsonb_build_array(NULL, s.from_stage_id)) END
           || CASE WHEN s.status = 'lost' THEN jsonb_build_object('lost_reason', jsonb_build_array(NULL, p.lost_reason))
                   ELSE '{}' END
       END
FROM step AS s
JOIN path AS p ON p.id = s.deal_id
LEFT JOIN step AS b ON b.deal_id = s.deal_id AND b.version = s.version - 1
ORDER BY s.occurred_at, s.deal_id;

INSERT INTO crm_deals.activity (kind, subject, occurred_at, due_at, done_at, actor, assignee, deal_id)
SELECT (ARRAY['task', 'call', 'note'])[1 + pg_temp.pick(p.id, 20, 3)], 'Activity of ' || p.id, p.created,
       timestamptz '2026-01-01 00:00+00' + interval '1 second' * pg_temp.pick(p.id, 21, 40000000),
       CASE WHEN pg_temp.pick(p.id, 22, 3) = 0 THEN p.created END, 'bench', 'owner ' || pg_temp.pick(p.id, 23, 200), p.id
FROM path AS p;

SELECT setval(pg_get_serial_sequence('crm_deals.deal', 'id'), :deals) \g /dev/null
RESET session_replication_role;
DROP TABLE path, step;
VACUUM ANALYZE;
