-- Values in what additions.sql adds.
\set ON_ERROR_STOP on
\set QUIET on
INSERT INTO public.campaign VALUES (1, 'Spring');
UPDATE crm_deals.deal SET campaign_id = 1, tags = '{a,b}', "Mixed Case" = id, share = 50, title = 'Title ' || id
WHERE id < 5;
UPDATE crm_deals.deal_duplicate SET remark = 'looked at it';
UPDATE crm_deals.stage SET colour = 'red' WHERE id = 1;
UPDATE crm_deals.lead SET score = 7;
UPDATE crm_deals.event_consumer SET contact_person = 'me' WHERE consumer = 'half';
INSERT INTO public.invoice
SELECT 1, d.id, d.stage_id, (SELECT min(e.id) FROM crm_deals.deal_event AS e) FROM crm_deals.deal AS d WHERE d.id = 3;
REFRESH MATERIALIZED VIEW public.my_sums;
