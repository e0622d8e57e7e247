\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/random_deals.sql
-- Section 15: pipeline_trend. Each point is compared with sums over deals_as_of, which s07_past compares with copies.
SET crm_deals.notify = off;
ALTER TABLE crm_deals.deal ADD COLUMN sign text, ADD COLUMN "until Now" date;
CREATE FUNCTION t.round(number integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target bigint;
    deals bigint[];
BEGIN
    FOR target IN SELECT s.id FROM crm_deals.stage AS s ORDER BY s.id LOOP
        UPDATE crm_deals.deal AS d
        SET stage_id = target, lost_reason = CASE WHEN s.status = 'lost' THEN 'round ' || number END
        FROM crm_deals.stage AS s WHERE s.id = target AND random() < 0.03;
    END LOOP;
    UPDATE crm_deals.deal
    SET amount = CASE WHEN random() < 0.8 THEN round((random() * 100)::numeric, 3) END,
        currency = t.draw(ARRAY['EUR', 'JPY']), sign = t.draw(ARRAY['-', '+', NULL]),
        "until Now" = t.draw(ARRAY['2026-01-01'::date, NULL])
    WHERE random() < 0.1;
    UPDATE crm_deals.deal
    SET account_id = t.draw(ARRAY[NULL, 1, 8]), owner = t.draw(ARRAY['zoe', NULL]),
        expected_close_date = t.draw(ARRAY[NULL, '2030-01-01'::date]), notes = t.draw(ARRAY['a note', NULL])
    WHERE random() < 0.1;
    UPDATE crm_deals.deal SET probability = floor(random() * 100) WHERE status = 'open' AND random() < 0.1;
    UPDATE crm_deals.deal
    SET custom_fields = (custom_fields - 'hot') || jsonb_build_object('region', t.draw(ARRAY['south', 'north', 'nowhere']))
    WHERE random() < 0.1;
    PERFORM crm_deals.undo_batch((SELECT e.batch_id FROM crm_deals.deal_event AS e ORDER BY random() LIMIT 1));
    deals := ARRAY(SELECT d.id FROM crm_deals.deal AS d ORDER BY random() LIMIT 8);
    PERFORM crm_deals.merge_deals(d.id, o.id)
    FROM crm_deals.deal AS d
    JOIN crm_deals.deal AS o ON o.status = d.status AND o.id > d.id
    WHERE d.id = ANY (deals[1:4]) AND o.id = ANY (deals[5:8])
      AND NOT EXISTS (SELECT FROM crm_deals.deal_alias AS a WHERE a.old_id IN (d.id, o.id))
    LIMIT 1;
    DELETE FROM crm_deals.deal WHERE random() < 0.03;
    PERFORM crm_deals.restore_deal(g.deal_id)
    FROM (SELECT e.deal_id FROM crm_deals.deal_event AS e
          WHERE e.kind = 'deleted' AND NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id = e.deal_id)
          ORDER BY random() LIMIT 3) AS g;
    INSERT INTO crm_deals.deal (name, stage_id, amount, owner) VALUES ('Deal of round ' || number, NULL, number, 'ann');
END
$$;
SELECT count(t.round(n)) AS none FROM generate_series(1, 6) AS n \gset
-- The events of these minutes become those of fifteen months, in the same order; one is exactly at the end of a week.
SET session_replication_role = replica;
UPDATE crm_deals.deal_event AS e
SET occurred_at = date_trunc('second', now()) - interval '450 days' + (e.id - b.first) * interval '450 days' / b.number
FROM (SELECT min(id) AS first, max(id) - min(id) + 1 AS number FROM crm_deals.deal_event) AS b;
UPDATE crm_deals.deal_event SET occurred_at = date_trunc('week', occurred_at) + interval '1 week'
WHERE id = (SELECT max(e.id) FROM crm_deals.deal_event AS e
            WHERE e.kind = 'stage_changed' AND e.occurred_at < now() - interval '30 days'
              AND NOT EXISTS (SELECT FROM crm_deals.deal_event AS v
                              WHERE v.deal_id = e.deal_id AND v.version > e.version));
RESET session_replication_role;

-- The sums of deals_as_of at the points that pipeline_trend(arguments) has, grouped by an expression.
CREATE FUNCTION t.sums(arguments text, expression text, condition text DEFAULT 'true') RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT p.at, (%s)::text, d.currency, count(*), coalesce(sum(d.amount), 0),
                          coalesce(sum(d.amount * d.probability / 100), 0)
                   FROM (SELECT DISTINCT at FROM crm_deals.pipeline_trend(%s)) AS p
                   CROSS JOIN LATERAL crm_deals.deals_as_of(p.at) AS d
                   LEFT JOIN crm_deals.stage AS s ON s.id = d.stage_id
                   %s
                   WHERE d.status = ''open'' AND %s
                   GROUP BY 1, 2, 3', expression, arguments,
                  CASE expression WHEN 'f.tag' THEN
                      'LEFT JOIN LATERAL jsonb_array_elements_text(d.custom_fields -> ''tags'') AS f (tag) ON true' END,
                  condition)
$$;
CREATE FUNCTION t.trend(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT at, group_key, currency, deal_count, amount, weighted_amount
                   FROM crm_deals.pipeline_trend(%s)', arguments)
$$;
SELECT is(t.same(t.trend(v.arguments), t.sums(v.arguments, v.expression, v.condition)), 'same',
          'section 15: pipeline_trend(' || v.arguments || ')')
FROM (VALUES ('''week'', current_date - 80', 's.key', 'true'),
             ('''quarter'', current_date - 400, group_by => ''owner''', 'd.owner', 'true'),
             ('''quarter'', current_date - 400, pipeline => ''Service'', group_by => ''pipeline''', 'd.pipeline_id',
              'd.pipeline_id = ' || :service),
             ('''quarter'', current_date - 400, group_by => NULL', 'NULL', 'true'),
             ('''month'', current_date - 300, current_date - 40, group_by => ''account''', 'd.account_id', 'true'),
             ('''quarter'', current_date - 400, group_by => ''custom_fields.region''', 'd.custom_fields ->> ''region''',
              'true'),
             ('''quarter'', current_date - 400, filter => ''{"custom_fields": {"hot": true}, "amount": {"min": 40}}''',
              's.key', 'd.custom_fields ->> ''hot'' = ''true'' AND d.amount >= 40'),
             ('''quarter'', current_date - 400, filter => ''{"owner": ["zoe", null]}'', group_by => ''probability''',
              'd.probability', '(d.owner = ''zoe'' OR d.owner IS NULL)'),
             ('''quarter'', current_date - 400, group_by => ''version''', 'd.version', 'true'),
             ('''quarter'', current_date - 400, filter => ''{"overdue": true}''', 's.key',
              'd.expected_close_date < p.at::date'),
             ('''quarter'', current_date - 400, filter => ''{"overdue": false}'', group_by => ''account''',
              'd.account_id', '(d.expected_close_date < p.at::date) IS NOT TRUE'),
             ('''quarter'', current_date - 400, group_by => ''custom_fields.tags''',
              'f.tag', 'true'),
             ('''year'', current_date - 400, group_by => ''expected_close_date''', 'd.expected_close_date', 'true'))
     AS v (arguments, expression, condition);
-- Columns of users, and columns that deals_as_of does not have: the piece of SQL from which it is made has them.
SELECT is(t.same(t.trend(format('''quarter'', current_date - 400, group_by => %L', v.name)),
                 format('SELECT p.at, d.%I::text, d.currency, count(*), coalesce(sum(d.amount), 0),
                                coalesce(sum(d.amount * d.probability / 100), 0)
                         FROM (SELECT DISTINCT at FROM crm_deals.pipeline_trend(''quarter'', current_date - 400)) AS p,
                              LATERAL (SELECT 1) AS x, %s AS d WHERE p.at = %L::timestamptz AND d.status = ''open''
                         GROUP BY 1, 2, 3', v.name, crm_deals_internal.deals_before(q.at), q.at)
                 || ' UNION ALL ' || t.trend(format('''quarter'', current_date - 400, group_by => %L', v.name))
                 || format(' WHERE at <> %L', q.at)),
          'same', 'section 15: by ' || v.name)
FROM (VALUES ('sign'), ('until Now'), ('notes'), ('updated_at'), ('created_at'), ('stage_entered_at')) AS v (name),
     (SELECT at FROM crm_deals.pipeline_trend('quarter', current_date - 400) GROUP BY at ORDER BY at OFFSET 2 LIMIT 1)
         AS q;
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', s.group_key, s.group_label), ', ')
           FROM crm_deals.pipeline_trend(group_by => 'pipeline') AS s),
          format('%s Sales, %s Service', :sales, :service), 'section 15: groups have labels');

-- The points: the moments at which the next steps begin, in the session's time zone, the last one now.
CREATE FUNCTION t.points(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    points text;
BEGIN
    EXECUTE format('SELECT string_agg(to_char(p.at, ''MM-DD HH24:MI OF''), '', '' ORDER BY p.at)
                    FROM (SELECT DISTINCT at FROM crm_deals.pipeline_trend(%s)) AS p', arguments) INTO points;
    RETURN points;
END
$$;
SELECT is(t.points('''day'', ''2026-10-23'', ''2026-10-26'''),
          '10-24 00:00 +02, 10-25 00:00 +02, 10-26 00:00 +01, 10-27 00:00 +01',
          'section 15: days of 23 to 25 hours, both ends inclusive');
SELECT is(t.points('''week'', ''2026-10-07'', ''2026-10-21'''), '10-12 00:00 +02, 10-19 00:00 +02, 10-22 00:00 +02',
          'section 15: the last step ends with the range');
SELECT is(t.points('NULL, ''2026-10-07'', ''2026-10-21'''), '10-22 00:00 +02', 'section 15: without steps, one point');
SELECT is((SELECT concat_ws(' ', count(DISTINCT at), max(at) = now()) FROM crm_deals.pipeline_trend(s)), '12 t',
          format('section 15: by default the last twelve: %s', s))
FROM unnest(ARRAY['day', 'week', 'month']) AS s;
SELECT is((SELECT count(DISTINCT at) FROM crm_deals.pipeline_trend('day', current_date - 2, current_date + 20)),
          3::bigint, 'section 15: no step of the future');
SELECT is((SELECT count(*) FROM crm_deals.pipeline_trend('day', current_date + 2)), 0::bigint,
          'section 15: nothing begins in the future');
SELECT is(t.try('SELECT crm_deals.pipeline_trend(' || v.arguments || ')'), v.wanted,
          'section 15: pipeline_trend(' || v.arguments || ')')
FROM (VALUES ('''fortnight''', '22023'), ('''week'', ''2026-02-02'', ''2026-02-01''', '22023'),
             ('''day'', ''1999-01-01'', ''2026-05-19''', '22023'), ('''day'', ''1999-01-01'', ''2026-05-18''', 'done'),
             ('from_date => ''-infinity''', '22023'), ('to_date => ''infinity''', '22023'),
             ('group_by => ''nobody''', '22023'), ('filter => ''{"nobody": 1}''', '22023'),
             ('pipeline => ''nobody''', 'P0002')) AS v (arguments, wanted);

-- Row security: deals that the caller sees now; deleted ones are nobody's.
SELECT t.drop_roles('regress_crm_alice') AS none \gset
CREATE ROLE regress_crm_alice;
SELECT crm_deals.grant_access('regress_crm_alice', 'read') AS none \gset
GRANT USAGE ON SCHEMA t TO regress_crm_alice;
CREATE POLICY own ON crm_deals.deal USING (owner = 'ann');
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
SET ROLE regress_crm_alice;
SELECT is(t.same(t.trend(v.arguments), t.sums(v.arguments, v.expression)), 'same',
          'section 15: row security: pipeline_trend(' || v.arguments || ')')
FROM (VALUES ('''quarter'', current_date - 400', 's.key'),
             ('''quarter'', current_date - 400, group_by => ''account''', 'd.account_id')) AS v (arguments, expression);
RESET ROLE;
ALTER TABLE crm_deals.deal DISABLE ROW LEVEL SECURITY;
SELECT t.drop_roles('regress_crm_alice') AS none \gset

-- Before the horizon: an error, never a wrong answer; without dates, what the log still has.
SELECT cmp_ok(crm_deals.prune_events(now() - interval '50 days'), '>', 0::bigint, 'section 15: events are pruned');
SELECT is(t.try('SELECT crm_deals.pipeline_trend(''week'', current_date - 60)'), '22023',
          'section 15: a step that ends before the horizon');
SELECT is(t.same(t.trend('''week'''), t.sums('''week''', 's.key')), 'same', 'section 15: the steps after the horizon');
SELECT is((SELECT count(DISTINCT at) FROM crm_deals.pipeline_trend('week')) BETWEEN 7 AND 9, true,
          'section 15: they are fewer');

SELECT * FROM finish();
