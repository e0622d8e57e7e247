SELECT d.id AS deal, format('Deal %s is "%s", in stage "%s".', d.id, d.name, d.stage_name) AS who
FROM crm_deals.deal_overview AS d
WHERE d.pipeline = 'Enterprise' AND d.stage_key = 'discovery'
ORDER BY d.expected_close_date IS NULL DESC, d.id
LIMIT 1 \gset

\echo '--' :who
\echo '-- The dry run names every rule that the move would break.'
\set ECHO queries
SELECT * FROM crm_deals.check_move(:deal, 'contract');

\set ON_ERROR_STOP off
\set VERBOSITY verbose
\set SHOW_CONTEXT never
SELECT * FROM crm_deals.move_deal(:deal, 'contract', actor => 'jonas');
\set first :SQLSTATE

\echo
\echo '-- Nobody can write a status that contradicts the stage.'
UPDATE crm_deals.deal SET status = 'won' WHERE id = :deal;
\set second :SQLSTATE

\set ECHO none
\set ON_ERROR_STOP on
SELECT :'first' <> '23514' OR :'second' <> '23514' AS let_through \gset
\if :let_through
    DO $$BEGIN RAISE 'a move that breaks a rule was not refused'; END$$;
\endif
