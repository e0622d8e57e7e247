-- The trigger flagged these pairs while the deals were loaded: their names differ only in case, punctuation or a word.
SELECT d.name AS "written later",
       d.owner_label AS by,
       o.name AS "was there",
       o.owner_label AS "of",
       round(f.similarity::numeric, 2) AS alike
FROM crm_deals.deal_duplicate AS f
JOIN crm_deals.deal_overview AS d ON d.id = f.deal_id
JOIN crm_deals.deal_overview AS o ON o.id = f.other_deal_id
ORDER BY f.similarity DESC, d.name;

SELECT count(*) AS flagged,
       count(*) > 0 AS any,
       count(*) <> (SELECT count(*) FROM crm_deals.scan_duplicates()) AS differ
FROM crm_deals.deal_duplicate \gset
\if :differ
    DO $$BEGIN RAISE 'a scan of all names finds other pairs than the trigger flagged'; END$$;
\endif
\echo pairs of similar names: :flagged

\if :any
    SELECT f.deal_id AS deal, f.other_deal_id AS other, lower(replace(o.name, ':', ' -')) AS typed,
           o.pipeline_id AS pipeline,
           format('Pipeline %s is "%s".', p.id, p.name) AS which,
           format('Deal %s is "%s". Deal %s is "%s".', o.id, o.name, d.id, d.name) AS who
    FROM crm_deals.deal_duplicate AS f
    JOIN crm_deals.deal AS d ON d.id = f.deal_id
    JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
    JOIN crm_deals.pipeline AS p ON p.id = o.pipeline_id
    ORDER BY f.similarity DESC, o.name
    LIMIT 1 \gset
    \echo
    \echo '-- Before you create a deal, you can ask if there is one like it.'
    \set ECHO queries
SELECT * FROM crm_deals.find_duplicates(:'typed');
    \set ECHO none

    \echo '-- A pipeline can refuse such a deal.' :which
    \set ON_ERROR_STOP off
    \set VERBOSITY verbose
    \set SHOW_CONTEXT never
    BEGIN;
    \set ECHO queries
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :pipeline;
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (:'typed', :pipeline);
    \set ECHO none
    \set refused :SQLSTATE
    ROLLBACK;
    \set VERBOSITY default
    \set SHOW_CONTEXT errors
    \set ON_ERROR_STOP on
    SELECT :'refused' <> '23505' AS let_through \gset
    \if :let_through
        DO $$BEGIN RAISE 'a duplicate was not refused'; END$$;
    \endif

    \echo
    \echo '-- If two deals are really one, you merge them: one deal stays. Their flag goes away.'
    \echo '--' :who
    \set ECHO queries
SELECT crm_deals.merge_deals(survivor => :other, duplicate => :deal, actor => 'anna');
SELECT count(*) AS "flags left" FROM crm_deals.deal_duplicate;
    \set ECHO none
\endif
