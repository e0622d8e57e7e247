\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Section 7: the past of deals, compared with copies that were taken then; the history of stages; stale deals.
CREATE TABLE t.copy AS
    SELECT 0 AS number, now() AS taken_at, d.id, d.name, d.account_id::text, d.pipeline_id, d.stage_id, d.status::text,
           d.amount, d.currency, d.probability, d.expected_close_date, d.closed_at, d.owner::text, d.lost_reason,
           d.custom_fields, d.version
    FROM crm_deals.deal AS d WHERE false;
CREATE FUNCTION t.take_copy(number integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO t.copy
    SELECT number, c.at, d.id, d.name, d.account_id::text, d.pipeline_id, d.stage_id, d.status::text, d.amount,
           d.currency, d.probability, d.expected_close_date, d.closed_at, d.owner::text, d.lost_reason, d.custom_fields,
           d.version
    FROM (SELECT clock_timestamp() AS at) AS c, crm_deals.deal AS d
$$;
CREATE FUNCTION t.compare(wanted integer) RETURNS text LANGUAGE sql AS $$
    SELECT t.same(format('SELECT * FROM crm_deals.deals_as_of(%L)',
                         (SELECT max(taken_at) FROM t.copy WHERE number = wanted)),
                  format('SELECT id, name, account_id, pipeline_id, stage_id, status, amount, currency, probability,
                                 expected_close_date, closed_at, owner, lost_reason, custom_fields, version
                          FROM t.copy WHERE number = %s',
                         wanted))
$$;
SELECT t.take_copy(1) \gset none_
-- Everything that can happen to a deal, several times over, with a copy after each round.
CREATE FUNCTION t.round(number integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target bigint;
BEGIN
    FOR target IN SELECT s.id FROM crm_deals.stage AS s ORDER BY s.id LOOP
        UPDATE crm_deals.deal AS d
        SET stage_id = target, lost_reason = CASE WHEN s.status = 'lost' THEN 'round ' || number END
        FROM crm_deals.stage AS s WHERE s.id = target AND random() < 0.03;
    END LOOP;
    UPDATE crm_deals.deal
    SET amount = CASE WHEN random() < 0.8 THEN round((random() * 100)::numeric, 3) END,
        currency = t.draw(ARRAY['EUR', 'JPY'])
    WHERE random() < 0.1;
    UPDATE crm_deals.deal
    SET name = name || ' ' || number, account_id = t.draw(ARRAY[NULL, 1, 8]), owner = t.draw(ARRAY['zoe', NULL]),
        expected_close_date = t.draw(ARRAY[NULL, '2030-01-01'::date])
    WHERE random() < 0.1;
    UPDATE crm_deals.deal SET probability = floor(random() * 100) WHERE status = 'open' AND random() < 0.1;
    UPDATE crm_deals.deal
    SET custom_fields = custom_fields || jsonb_build_object(
        'seats', number, 'k' || number % 2, t.draw(ARRAY['"v"', '{"deep": [1, null]}', '"\"quoted\""', NULL]::jsonb[]))
    WHERE random() < 0.15;
    UPDATE crm_deals.deal SET custom_fields = custom_fields - 'seats' - 'k0' WHERE random() < 0.1;
    UPDATE crm_deals.deal SET custom_fields = '{}' WHERE random() < 0.03;
    UPDATE crm_deals.deal SET closed_at = closed_at - interval '1 day' WHERE status = 'won' AND random() < 0.1;
    DELETE FROM crm_deals.deal WHERE random() < 0.03;
    INSERT INTO crm_deals.deal (name, stage_id, amount, custom_fields)
    SELECT format('Round %s, deal %s', number, n), t.stage('lead'), n, jsonb_build_object('free', n)
    FROM generate_series(1, 10) AS n;
    PERFORM t.take_copy(number);
END
$$;
SELECT t.round(2) \gset none_
SELECT t.round(3) \gset none_
UPDATE crm_deals.stage SET probability = 55, name = 'Renamed' WHERE id = t.stage('proposal');
UPDATE crm_deals.stage SET status = 'won' WHERE id = t.stage('negotiation');
ALTER TABLE crm_deals.deal ADD COLUMN region text[] DEFAULT '{}';
SELECT t.round(4) \gset none_
UPDATE crm_deals.deal SET region = ARRAY['x', 'y'] WHERE id % 4 = 0;
SELECT t.round(5) \gset none_
SELECT t.round(6) \gset none_
SELECT is(t.compare(n), 'same', format('deals_as_of equals copy %s', n)) FROM generate_series(1, 6) AS n;
SELECT is(t.same('SELECT * FROM crm_deals.deals_as_of(clock_timestamp())',
                 'SELECT d.id, d.name, d.account_id::text, d.pipeline_id, d.stage_id, d.status::text, d.amount, '
                 'd.currency, d.probability, d.expected_close_date, d.closed_at, d.owner::text, d.lost_reason, '
                 'd.custom_fields, d.version FROM crm_deals.deal AS d'),
          'same', 'deals_as_of now: the deals');
SELECT is((SELECT count(*) FROM crm_deals.deals_as_of('2020-01-01')), 0::bigint,
          'deals_as_of a time before the first deal: none');
SELECT is((SELECT count(*) FROM crm_deals.deals_as_of('infinity')), (SELECT count(*) FROM crm_deals.deal),
          'deals_as_of infinity: the deals');
-- To the microsecond: at the moment of an event it has happened, one microsecond before it has not.
SELECT deal_id, version, occurred_at FROM crm_deals.deal_event WHERE kind = 'updated'
ORDER BY id DESC LIMIT 1 \gset event_
SELECT is((SELECT version FROM crm_deals.deals_as_of(:'event_occurred_at') WHERE id = :event_deal_id) || ' '
          || (SELECT version FROM crm_deals.deals_as_of(:'event_occurred_at'::timestamptz - interval '1 microsecond')
              WHERE id = :event_deal_id),
          format('%s %s', :event_version, :event_version - 1), 'deals_as_of is exact to the microsecond');
SELECT is(t.try('SELECT crm_deals.deals_as_of(NULL)'), '22004', 'deals_as_of NULL');
-- Before the pruning horizon: an error, never a wrong answer.
SELECT is(t.after($$CREATE OR REPLACE FUNCTION crm_deals_internal.pruning_horizon() RETURNS timestamptz
                    LANGUAGE sql STABLE AS 'SELECT timestamptz ''2026-03-01'''$$,
                  format('SELECT string_agg(t.try(format(%L, m)), '' '') '
                         'FROM unnest(ARRAY[''2026-02-28 00:00'', ''2026-03-01 00:00 Europe/Vienna'']) AS m',
                         v.call)),
          '22023 done', 'before the horizon: ' || v.call)
FROM (VALUES ('SELECT crm_deals.deals_as_of(%L)'), ('SELECT crm_deals.forecast(as_of => %L)')) AS v (call);

-- If a person was erased from the log, the past shows what is left of the changes.
SELECT deal_id AS redacted, version AS redacted_version, occurred_at - interval '1 microsecond' AS before_redacted
FROM crm_deals.deal_event WHERE changes ? 'custom_fields' AND kind = 'updated' ORDER BY id LIMIT 1 \gset
SELECT is(t.after(format('SET LOCAL session_replication_role = replica; '
                         'UPDATE crm_deals.deal_event SET changes = changes || ''{"custom_fields": ["[redacted]", '
                         '"[redacted]"], "name": ["[redacted]", "[redacted]"]}'' WHERE deal_id = %s AND version = %s',
                         :redacted, :redacted_version),
                  format('SELECT name || '' '' || custom_fields FROM crm_deals.deals_as_of(%L) WHERE id = %s',
                         :'before_redacted', :redacted)),
          '[redacted] {}', 'deals_as_of of a redacted deal');

-- deal_stage_history, beside a walk through the events.
CREATE FUNCTION t.stays()
RETURNS TABLE (deal_id bigint, stage_id bigint, stage_key text, entered_at timestamptz, left_at timestamptz,
               actor text) LANGUAGE plpgsql AS $$
DECLARE
    deal bigint;
    event record;
    stage bigint;
    entered timestamptz;
    mover text;
BEGIN
    FOR deal IN SELECT DISTINCT e.deal_id FROM crm_deals.deal_event AS e LOOP
        stage := NULL;
        FOR event IN SELECT * FROM crm_deals.deal_event AS e WHERE e.deal_id = deal ORDER BY e.version LOOP
            IF event.kind = 'created' OR event.to_stage_id IS DISTINCT FROM event.from_stage_id THEN
                IF stage IS NOT NULL THEN
                    RETURN QUERY SELECT deal, s.id, s.key, entered, event.occurred_at, mover FROM crm_deals.stage AS s
                        WHERE s.id = stage;
                END IF;
                stage := event.to_stage_id;
                entered := CASE event.kind
                                WHEN 'created' THEN coalesce((event.changes -> 'stage_entered_at' ->> 1)::timestamptz,
                                                             event.occurred_at)
                                ELSE event.occurred_at END;
                mover := event.actor;
            END IF;
        END LOOP;
        IF stage IS NOT NULL THEN
            RETURN QUERY SELECT deal, s.id, s.key, entered, NULL::timestamptz, mover FROM crm_deals.stage AS s
                WHERE s.id = stage;
        END IF;
    END LOOP;
END
$$;
SELECT is(t.same('SELECT deal_id, stage_id, stage_key, entered_at, left_at, actor FROM crm_deals.deal_stage_history',
                 'SELECT * FROM t.stays()'),
          'same', 'deal_stage_history: the stays that the events tell of');
SELECT is((SELECT count(*)
           FROM (SELECT h.*, lead(h.entered_at) OVER (PARTITION BY h.deal_id ORDER BY h.entered_at) AS next_entered,
                        lead(h.deal_id) OVER (PARTITION BY h.deal_id ORDER BY h.entered_at) AS next
                 FROM crm_deals.deal_stage_history AS h) AS h
           WHERE next IS NOT NULL AND left_at IS DISTINCT FROM next_entered),
          0::bigint, 'stays never overlap nor leave a hole');
SELECT is(t.same('SELECT deal_id, stage_id, entered_at FROM crm_deals.deal_stage_history WHERE left_at IS NULL',
                 'SELECT id, stage_id, stage_entered_at FROM crm_deals.deal'),
          'same', 'the last stay is where the deal is, since stage_entered_at');
SELECT is((SELECT count(*) FROM crm_deals.deal_stage_history
           WHERE duration IS DISTINCT FROM coalesce(left_at, now()) - entered_at),
          0::bigint, 'duration: until it was left, or now');
-- A pruned log: although its beginning is lost, the history has no stay too many and none too few.
SELECT t.new_deal('Pruned', 'lead') AS pruned \gset
UPDATE crm_deals.deal SET stage_id = t.stage('qualified') WHERE id = :pruned;
UPDATE crm_deals.deal SET amount = 5 WHERE id = :pruned;
UPDATE crm_deals.deal SET stage_id = t.stage('proposal') WHERE id = :pruned;
UPDATE crm_deals.deal SET amount = 6 WHERE id = :pruned;
CREATE FUNCTION t.pruned(before integer) RETURNS text LANGUAGE sql AS $$
    SELECT t.after(format('SET LOCAL session_replication_role = replica; '
                          'DELETE FROM crm_deals.deal_event WHERE deal_id = t.deal(''Pruned'') AND version < %s',
                          before),
                   'SELECT string_agg(concat_ws('' '', h.stage_key,
                                                CASE WHEN h.entered_at IS NULL THEN ''unknown''
                                                     WHEN h.entered_at = d.stage_entered_at THEN ''as the deal''
                                                     ELSE ''known'' END,
                                                CASE WHEN h.left_at IS NULL THEN ''now'' END),
                                      '', '' ORDER BY h.entered_at NULLS FIRST)
                    FROM crm_deals.deal_stage_history AS h JOIN crm_deals.deal AS d ON d.id = h.deal_id
                    WHERE h.deal_id = t.deal(''Pruned'')')
$$;
SELECT is(t.pruned(v.before), v.stays, 'deal_stage_history of a log without versions below ' || v.before)
FROM (VALUES (1, 'lead known, qualified known, proposal as the deal now'),
             (2, 'lead unknown, qualified known, proposal as the deal now'),
             (3, 'qualified unknown, proposal as the deal now'), (4, 'qualified unknown, proposal as the deal now'),
             (5, 'proposal as the deal now')) AS v (before, stays);

-- stale_deals
UPDATE crm_deals.stage SET rots_after = '30 days' WHERE id = t.stage('lead');
UPDATE crm_deals.stage SET rots_after = '1 year' WHERE id = t.stage('qualified');
UPDATE crm_deals.stage SET rots_after = '1 hour', labels = '{"de": "Warten"}' WHERE id = t.stage('ticket', 'Service');
SELECT is(t.same('SELECT deal_id, name, pipeline_id, stage_id, stage_key, stage_label, owner, owner_label, amount, '
                 'currency, stage_entered_at, rots_after FROM crm_deals.stale_deals',
                 'SELECT d.id, d.name, d.pipeline_id, d.stage_id, s.key, s.name, d.owner, d.owner, d.amount, '
                 'd.currency, d.stage_entered_at, s.rots_after '
                 'FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id = d.stage_id '
                 'WHERE d.stage_entered_at + s.rots_after < now()'),
          'same', 'stale_deals: longer in their stage than its rots_after');
SELECT is((SELECT count(*) FROM crm_deals.stale_deals WHERE overdue <= interval '0'), 0::bigint,
          'stale_deals: overdue since');

SELECT * FROM finish();
