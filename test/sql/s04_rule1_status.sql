\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Rule 1: a deal's status and pipeline are its stage's.
SELECT crm_deals.create_pipeline('Renewals', '[{"name": "Due", "probability": 60}, {"name": "Renewed", "status": "won"},
    {"name": "Churned", "status": "lost"}, {"name": "Dropped", "status": "abandoned"}]') AS renewals \gset
SELECT crm_deals.create_pipeline('Acme sales', organization => 'acme') AS acme \gset

-- INSERT
SELECT is(t.after($$INSERT INTO crm_deals.deal (name, stage_id) VALUES ('a', t.stage(key))$$, $$SELECT t.state('a')$$), state,
          'rule 1: a deal inserted into ' || key || ' has its status')
FROM (VALUES ('lead', 'lead open 10 v1'), ('negotiation', 'negotiation open 75 v1'), ('won', 'won won 100 closed v1')) AS v (key, state)
WHERE false;
