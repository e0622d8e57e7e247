SELECT count(*) AS broken,
       (SELECT count(*) FROM crm_deals.deal) AS deals,
       (SELECT count(*) FROM crm_deals.deal_event) AS events
FROM crm_deals.verify() \gset

SELECT :broken = 0 AS clean \gset
\if :clean
    \echo no rule broken: :deals deals, :events events
\else
    SELECT * FROM crm_deals.verify();
    DO $$BEGIN RAISE 'rules are broken (above)'; END$$;
\endif
