-- These deals are named after their account and product, so many have the same name on purpose. The policy is off, and
-- nothing was flagged.
SELECT count(*) AS "pairs of similar names",
       count(*) FILTER (WHERE d.name = o.name) AS "of one name",
       count(*) FILTER (WHERE d.account_id = o.account_id) AS "of one account",
       count(DISTINCT s.deal_id) AS "deals like an earlier one"
FROM crm_deals.scan_duplicates() AS s
JOIN crm_deals.deal AS d ON d.id = s.deal_id
JOIN crm_deals.deal AS o ON o.id = s.other_deal_id;

SELECT d.name, count(*) AS deals, count(DISTINCT d.owner) AS agents
FROM crm_deals.deal AS d
GROUP BY d.name
HAVING count(*) > 1
ORDER BY count(*) DESC, d.name
LIMIT 5;
