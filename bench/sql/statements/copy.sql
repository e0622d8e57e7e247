COPY crm_deals.deal (name, account_id, primary_contact_id, amount, expected_close_date, owner, source, external_id)
FROM :'plain' (FORMAT csv);
