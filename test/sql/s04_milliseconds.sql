\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 4, rule 1: a writer of whole rows that counts in milliseconds, as JavaScript does.
SELECT t.new_deals('d', 1, 'lead') AS none \gset
CREATE FUNCTION t.stamps() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', d.created_at = e.occurred_at, d.closed_at = c.occurred_at)
    FROM crm_deals.deal AS d
    JOIN crm_deals.deal_event AS e ON e.deal_id = d.id AND e.kind = 'created'
    LEFT JOIN crm_deals.deal_event AS c ON c.deal_id = d.id AND c.kind = 'won'
    WHERE d.name = 'd1'
$$;
SELECT is(t.try($$ UPDATE crm_deals.deal SET created_at = date_trunc('milliseconds', created_at),
                       updated_at = date_trunc('milliseconds', updated_at),
                       stage_id = t.stage('won') WHERE name = 'd1' $$),
          'done', 'rule 7: created_at without its microseconds is left as it was');
SELECT is(t.stamps(), 't t', 'rule 7: and keeps them');
SELECT is(t.try($$ UPDATE crm_deals.deal SET created_at = date_trunc('milliseconds', created_at),
                       closed_at = date_trunc('milliseconds', closed_at), notes = 'seen' WHERE name = 'd1' $$),
          'done', 'rule 2: closed_at without its microseconds is left as it was');
SELECT is(t.stamps(), 't t', 'rule 2: and keeps them');
SELECT is((SELECT changes
           FROM crm_deals.deal_event AS e JOIN crm_deals.deal AS d ON d.id = e.deal_id AND d.version = e.version),
          '{"notes": [null, "seen"]}', 'rule 7: the log tells the one change');
SELECT is(t.try($$ UPDATE crm_deals.deal
                   SET closed_at = date_trunc('milliseconds', closed_at), stage_id = t.stage('lead')
                   WHERE name = 'd1' $$),
          'done', 'rule 2: nor does it contradict reopening');
SELECT is(t.try($$ UPDATE crm_deals.deal SET created_at = created_at - interval '1 millisecond' WHERE name = 'd1' $$),
          '23514 deal.created_at deal_immutable', 'rule 7: another millisecond is a change');
SELECT * FROM finish();
