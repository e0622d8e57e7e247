\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 7: the deals of an archived stage are in every answer, on the board too. An empty one is in no board.
SET crm_deals.notify = off;
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SELECT crm_deals.add_stage(:sales, 'Given up', status => 'abandoned') AS none,
       crm_deals.create_pipeline('Other') AS other \gset
INSERT INTO crm_deals.deal (name, stage_id, amount, owner, lost_reason, expected_close_date)
SELECT key, id, 10 ^ position, 'ann', CASE status WHEN 'lost' THEN 'price' END, '2026-05-05'
FROM crm_deals.stage WHERE pipeline_id = :sales;
INSERT INTO crm_deals.deal (name, pipeline_id, amount, owner, expected_close_date)
VALUES ('elsewhere', :other, 5, 'ann', '2026-05-05');

-- What each function says of a pipeline, or of all.
CREATE FUNCTION t.answers(pipeline text) RETURNS TABLE (what text, answer text) LANGUAGE sql AS $$
    SELECT 'forecast', format('%s deals %s, won %s', sum(deal_count), sum(amount), sum(won_amount))
    FROM crm_deals.forecast(pipeline)
    UNION ALL
    SELECT 'forecast of a range', format('%s deals %s', sum(deal_count), sum(amount))
    FROM crm_deals.forecast(pipeline, from_date => '2026-05-05', to_date => '2026-05-05')
    UNION ALL
    SELECT 'forecast by owner', format('%s deals %s, won %s', sum(deal_count), sum(amount), sum(won_amount))
    FROM crm_deals.forecast(pipeline, group_by => 'owner')
    UNION ALL
    SELECT 'forecast as of now', format('%s deals %s, won %s', sum(deal_count), sum(amount), sum(won_amount))
    FROM crm_deals.forecast(pipeline, as_of => clock_timestamp())
    UNION ALL
    SELECT 'win_rate', format('%s %s %s', sum(won_count), sum(lost_count), sum(abandoned_count))
    FROM crm_deals.win_rate(pipeline => pipeline)
    UNION ALL
    SELECT 'lost_reasons', sum(amount)::text FROM crm_deals.lost_reasons(pipeline => pipeline)
    UNION ALL
    SELECT 'sales_velocity', format('%s %s %s', sum(open_count), sum(won_count), sum(mean_won_amount))
    FROM crm_deals.sales_velocity(period => NULL, pipeline => pipeline)    -- a month may begin meanwhile
    UNION ALL
    SELECT 'pipeline_summary', format('%s deals %s', sum(deal_count), sum(amount))
    FROM crm_deals.pipeline_summary(pipeline => pipeline)
    UNION ALL
    SELECT 'stage_conversion', sum(entered_count)::text FROM crm_deals.stage_conversion(pipeline => pipeline)
    UNION ALL
    SELECT 'board by owner', string_agg(format('%s %s %s', column_key, deal_count, amounts), ', ')
    FROM crm_deals.board(coalesce(pipeline, 'Sales'), 'owner')
    UNION ALL
    SELECT 'board_cards by owner', count(*)::text
    FROM crm_deals.board_cards(coalesce(pipeline, 'Sales'), 'ann', 'owner', card_limit => 100)
    UNION ALL
    SELECT 'deals_as_of', count(*)::text FROM crm_deals.deals_as_of(clock_timestamp())
    UNION ALL
    SELECT 'deal_overview', count(*)::text FROM crm_deals.deal_overview
$$;
CREATE TABLE t.before AS SELECT p.name, a.* FROM (VALUES (NULL), ('Sales')) AS p (name), t.answers(p.name) AS a;
SELECT is(b.answer, v.answer, '(before: ' || b.what || ')')
FROM t.before AS b
JOIN (VALUES ('forecast', '4 deals 11110, won 100000'), ('win_rate', '1 1 1'), ('pipeline_summary', '7 deals 11111110'),
             ('board by owner', 'ann 7 {"EUR": 11111110}')) AS v (what, answer) ON v.what = b.what
WHERE b.name = 'Sales'
ORDER BY b.what;
-- One stage of each status; rows of the past that archiving would not leave behind today.
SET session_replication_role = replica;
UPDATE crm_deals.stage SET archived_at = now()
WHERE pipeline_id = :sales AND key IN ('qualified', 'won', 'lost', 'given_up');
RESET session_replication_role;
SELECT is(a.answer, b.answer, format('section 7: %s of %s counts the deals of archived stages', b.what,
                                     coalesce(b.name, 'all pipelines')))
FROM t.before AS b, LATERAL t.answers(b.name) AS a
WHERE a.what = b.what
ORDER BY b.name, b.what;
SELECT is((SELECT string_agg(column_key || ' ' || deal_count, ', ' ORDER BY ordinal)
           FROM crm_deals.board('Sales', filter => v.filter)),
          v.columns,
          'section 7: board by stage: archived stages that hold deals'
          || coalesce(' with filter ' || v.filter::text, ''))
FROM (VALUES (NULL::jsonb, 'lead 1, qualified 1, proposal 1, negotiation 1, won 1, lost 1, given_up 1'),
             ('{"owner": "ann"}', 'lead 1, qualified 1, proposal 1, negotiation 1, won 1, lost 1, given_up 1'),
             ('{"status": "open"}', 'lead 1, qualified 1, proposal 1, negotiation 1'),
             ('{"owner": "bob"}', 'lead 0, proposal 0, negotiation 0')) AS v (filter, columns);
SELECT is((SELECT count(*) FROM crm_deals.board_cards('Sales', v.key)), 1::bigint,
          'section 7: board_cards: ' || v.key || ' is archived')
FROM (VALUES ('qualified'), ('won')) AS v (key);

SELECT * FROM finish();
