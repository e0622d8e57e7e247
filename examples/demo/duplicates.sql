-- What was flagged while the deals were loaded: names alike but for case, signs or a word.
SELECT d.name AS "written later",
       d.owner_label AS by,
       o.name AS "was there",
       o.owner_label AS "of",
       round(f.similarity::numeric, 2) AS similarity
FROM crm_deals.deal_duplicate AS f
JOIN crm_deals.deal_overview AS d ON d.id = f.deal_id
JOIN crm_deals.deal_overview AS o ON o.id = f.other_deal_id
ORDER BY f.similarity DESC, d.name;

SELECT count(*) AS flagged,
       count(*) > 0 AS any,
       count(*) <> (SELECT count(*) FROM crm_deals.scan_duplicates()) AS differ
FROM crm_deals.deal_duplicate \gset
\if :differ
    DO $$BEGIN RAISE 'a scan of all names finds other pairs than were flagged'; END$$;
\endif
\echo pairs of similar names: :flagged

\if :any
    SELECT f.deal_id AS deal, f.other_deal_id AS other, lower(replace(o.name, ':', ' -')) AS typed,
           o.pipeline_id AS pipeline
    FROM crm_deals.deal_duplicate AS f
    JOIN crm_deals.deal AS o ON o.id = f.other_deal_id
    ORDER BY f.similarity DESC, o.name
    LIMIT 1 \gset
    \echo
    \echo '-- Before a deal is created: is there one like it?'
    \set ECHO queries
SELECT * FROM crm_deals.find_duplicates(:'typed');
    \set ECHO none

    \echo '-- A pipeline can refuse them.'
    \set ON_ERROR_STOP off
    \set VERBOSITY verbose
    BEGIN;
    \set ECHO queries
UPDATE crm_deals.pipeline SET duplicate_policy = 'reject' WHERE id = :pipeline;
INSERT INTO crm_deals.deal (name, pipeline_id) VALUES (:'typed', :pipeline);
    \set ECHO none
    \set refused :SQLSTATE
    ROLLBACK;
    \set VERBOSITY default
    \set ON_ERROR_STOP on
    SELECT :'refused' <> '23505' AS let_through \gset
    \if :let_through
        DO $$BEGIN RAISE 'a duplicate was not refused'; END$$;
    \endif

    \echo
    \echo '-- Two deals that are one are merged, and their flag goes.'
    \set ECHO queries
SELECT crm_deals.merge_deals(survivor => :other, duplicate => :deal, actor => 'anna');
SELECT count(*) AS "flags left" FROM crm_deals.deal_duplicate;
    \set ECHO none
\endif
