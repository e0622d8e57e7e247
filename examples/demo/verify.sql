SELECT count(*) AS broken,
       (SELECT count(*) FROM crm_deals.deal) AS deals,
       (SELECT CASE WHEN count(*) FILTER (WHERE kind = 'merged') = 0 THEN ''
                    ELSE format(' (%s created, %s of them merged into another)',
                                count(*) FILTER (WHERE kind = 'created'), count(*) FILTER (WHERE kind = 'merged'))
               END
        FROM crm_deals.deal_event) AS merged,
       (SELECT count(*) FROM crm_deals.deal_event) AS events
FROM crm_deals.verify() \gset

SELECT :broken = 0 AS clean \gset
\if :clean
    \echo no rule broken: :deals deals:merged, :events events
\else
    SELECT * FROM crm_deals.verify();
    DO $$BEGIN RAISE 'rules are broken (above)'; END$$;
\endif
