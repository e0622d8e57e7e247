-- The side "ours" is the extension as it is. All sides start with its :deals deals: one pipeline, open deals in its
-- second and third stage, each with account, contact, owner and external id, so that a move pays for every index. The
-- other sides are copies of this database (bare.sql, by_hand.sql).
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION pg_prewarm;
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install() \g /dev/null
SELECT crm_deals.create_pipeline('Sales') \g /dev/null
-- Rows of their own measure duplicates.
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
SET crm_deals.notify = off;

INSERT INTO crm_deals.account (name) SELECT 'Account ' || n FROM generate_series(1, 10000) AS n;
INSERT INTO crm_deals.contact (account_id, last_name) SELECT n, 'Contact ' || n FROM generate_series(1, 10000) AS n;

-- Returns a name as people write them, about forty characters long, the same at every run. It has only immutable parts,
-- so PostgreSQL inlines it.
CREATE FUNCTION public.deal_name(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['Alpen', 'Nord', 'Hanse', 'Donau', 'Elbe', 'Rhein', 'Havel', 'Isar', 'Weser', 'Saale', 'Lausitz',
                  'Harz'])[1 + (n * 7919) % 12]
        || (ARRAY['werk', 'rad', 'bau', 'glas', 'stahl', 'holz', 'kraft', 'bank', 'mode', 'papier',
                  'technik'])[1 + (n * 104729) % 11]
        || ' ' || (ARRAY['GmbH', 'AG', 'KG', 'SE', '& Partner', 'Holding', 'eG'])[1 + (n * 1299709) % 7]
        || ': ' || (ARRAY['renewal', 'roll-out', 'migration', 'retrofit', 'licences', 'support contract', 'pilot',
                          'training'])[1 + (n * 15485863) % 8]
        || ' ' || (ARRAY['phase', 'site', 'region', 'year', 'lot'])[1 + (n * 32452843) % 5]
        || ' ' || to_hex(n * 2654435761 % 4294967296)
$$;

-- Several statements, so that what each keeps until its end stays small.
SELECT format($$
    INSERT INTO crm_deals.deal (name, account_id, primary_contact_id, stage_id, amount, expected_close_date, owner,
                                source, external_id, custom_fields)
    SELECT public.deal_name(n), 1 + n %% 10000, 1 + n * 7 %% 10000, 2 + n %% 2, 100 + n %% 90000,
           date '2027-01-01' + (n %% 365)::integer, 'owner ' || n %% 200, 'web', 'erp-' || n,
           '{"region": "north", "seats": 25}'
    FROM generate_series(%s, %s) AS n $$, first, least(first + 499999, :deals))
FROM generate_series(1, :deals, 500000) AS first \gexec

VACUUM (FREEZE, ANALYZE);
