-- The host has its own table of agents. Deals refer to its key.
CREATE TABLE public.sales_team (sales_agent text PRIMARY KEY, manager text, regional_office text);
\copy public.sales_team FROM 'sales_teams.csv' (FORMAT csv, HEADER true)

CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install(
    owner_table => 'public.sales_team',
    columns => '{"owner": {"name": "sales_agent"}}') AS "installed version";

SELECT crm_deals.create_pipeline('Opportunities', '[
    {"name": "Prospecting", "probability": 10},
    {"name": "Engaging",    "probability": 40},
    {"name": "Won",         "status": "won"},
    {"name": "Lost",        "status": "lost"}]',
    currency => 'USD') AS created \gset

-- The file gives no reasons for lost deals. Its deals have no names of their own, so equal names are no mistake.
UPDATE crm_deals.pipeline SET lost_reason_required = false, duplicate_policy = 'off' WHERE id = :created;
