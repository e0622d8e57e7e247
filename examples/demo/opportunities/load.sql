-- We load accounts.csv and sales_pipeline.csv by COPY into temporary tables. Then one INSERT copies each of them.
CREATE TEMPORARY TABLE incoming_account (
    account text,
    sector text,
    year_established integer,
    revenue numeric,
    employees integer,
    office_location text,
    subsidiary_of text
);
\copy incoming_account FROM 'accounts.csv' (FORMAT csv, HEADER true)

INSERT INTO crm_deals.account (name, custom_fields)
SELECT account, jsonb_strip_nulls(to_jsonb(a) - 'account')
FROM incoming_account AS a;

CREATE TEMPORARY TABLE opportunity (
    opportunity_id text,
    sales_agent text,
    product text,
    account text,
    deal_stage text,
    engage_date date,
    close_date date,
    close_value numeric
);
\copy opportunity FROM 'sales_pipeline.csv' (FORMAT csv, HEADER true)

INSERT INTO crm_deals.deal (external_id, name, account_id, stage_id, owner, amount, created_at, closed_at)
SELECT o.opportunity_id,
       concat_ws(' – ', o.account, o.product),
       a.id,
       s.id,
       o.sales_agent,
       CASE WHEN o.deal_stage = 'Won' THEN o.close_value END,
       coalesce(o.engage_date, now()),
       o.close_date
FROM opportunity AS o
JOIN crm_deals.stage AS s ON s.name = o.deal_stage
LEFT JOIN crm_deals.account AS a ON a.name = o.account;

SELECT count(*) AS deals,
       count(*) FILTER (WHERE account_id IS NULL) AS "without account",
       count(DISTINCT account_id) AS accounts,
       count(DISTINCT owner) AS agents,
       (SELECT count(*) FROM crm_deals.deal_event) AS "events logged"
FROM crm_deals.deal;
