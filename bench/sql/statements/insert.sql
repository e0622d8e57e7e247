-- One deal more, of a name like the others.
\set n random(1, 1000000000)
INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, amount, expected_close_date, owner, source)
VALUES (public.deal_name(:n), 1 + :n % 10000, 1 + :n % 9999, :n::numeric, '2027-03-01', 'owner ' || :n % 200, 'web');
