-- Deals of all kinds, and a role of each level, for test/fuzz/server.
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install();
SELECT crm_deals.create_pipeline('Sales');
SELECT crm_deals.create_pipeline('Renewals', gates => '{"forbid_skipping": true, "forbid_backward": true}');
INSERT INTO crm_deals.account (name) SELECT 'Account ' || n FROM generate_series(1, 20) AS n;
INSERT INTO crm_deals.contact (first_name, last_name, email)
SELECT 'Ada', 'No ' || n, n || '@example.org' FROM generate_series(1, 20) AS n;
INSERT INTO crm_deals.custom_field (entity, key, label, type, options)
VALUES ('deal', 'region', 'Region', 'select', '["north", "south"]'), ('deal', 'seats', 'Seats', 'number', NULL);
INSERT INTO crm_deals.deal (name, account_id, amount, owner, expected_close_date, custom_fields, external_id)
SELECT 'Deal of ' || n, 1 + n % 20, n * 10, 'owner ' || n % 5, current_date + n, '{"region": "north"}', 'x' || n
FROM generate_series(1, 200) AS n;
INSERT INTO crm_deals.lead (company_name, email)
SELECT 'Lead ' || n, 'l' || n || '@example.org' FROM generate_series(1, 20) AS n;
SELECT crm_deals.move_deals(ARRAY(SELECT d.id FROM crm_deals.deal AS d WHERE d.id % 3 = 0), 'won');
SELECT crm_deals.subscribe('billing', from_start => true);
DO $$
DECLARE
    level text;
BEGIN
    FOREACH level IN ARRAY ARRAY['read', 'consume', 'write', 'manager', 'admin'] LOOP
        EXECUTE format('CREATE ROLE fuzz_%s', level);
        PERFORM crm_deals.grant_access(('fuzz_' || level)::regrole, level);
    END LOOP;
    -- So that the fuzzer reaches what lies behind the privileges, too.
    CREATE ROLE fuzz_owner;
    EXECUTE 'GRANT USAGE ON SCHEMA crm_deals, crm_deals_internal TO fuzz_owner';
    EXECUTE 'GRANT ALL ON ALL TABLES IN SCHEMA crm_deals TO fuzz_owner';
    EXECUTE 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm_deals, crm_deals_internal TO fuzz_owner';
END
$$;
