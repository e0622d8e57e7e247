\set ECHO none
\getenv here PG_ABS_SRCDIR
\set include :here /sql/include
\i :include/installed.sql
-- Section 6, issue 16: flag_duplicates() says how many of its pairs are of different accounts, and what the scope account
-- would give. The expected numbers come from pg_trgm.
UPDATE crm_deals.pipeline SET duplicate_policy = 'off';
INSERT INTO crm_deals.account (name) VALUES ('A'), ('B'), ('C');
INSERT INTO crm_deals.deal (name, account_id)
SELECT n.name || ' ' || repeat('x', g % 3), nullif(g % 4, 0)
FROM (VALUES ('Alpha bridge project'), ('Beta tunnel works and more'), ('Gamma')) AS n (name), generate_series(1, 9) AS g;
CREATE FUNCTION t.pairs(in_account boolean, most integer DEFAULT 20) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
    FROM (SELECT a.account_id <> b.account_id AS differs,
                 row_number() OVER (PARTITION BY a.id ORDER BY public.similarity(a.name, b.name) DESC, b.id) AS place
          FROM crm_deals.deal AS a
          JOIN crm_deals.deal AS b ON b.id < a.id AND public.similarity(a.name, b.name) >= 0.85::real
          WHERE NOT in_account OR (a.account_id <> b.account_id) IS NOT TRUE) AS p
    WHERE p.place <= most
$$;
CREATE FUNCTION t.of_different(most integer DEFAULT 20) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE p.differs)
    FROM (SELECT a.account_id <> b.account_id AS differs,
                 row_number() OVER (PARTITION BY a.id ORDER BY public.similarity(a.name, b.name) DESC, b.id) AS place
          FROM crm_deals.deal AS a
          JOIN crm_deals.deal AS b ON b.id < a.id AND public.similarity(a.name, b.name) >= 0.85::real) AS p
    WHERE p.place <= most
$$;
-- Runs the statement and compares its NOTICEs with what is expected: both are printed.
UPDATE crm_deals.pipeline SET duplicate_policy = 'flag';
SELECT format('expected: %s of %s pairs, %s by account', t.of_different(), t.pairs(false), t.pairs(true));
SET client_min_messages = notice;
\set VERBOSITY default
SELECT is(crm_deals.flag_duplicates(), t.pairs(false), 'flag_duplicates: scope all');
\echo again:
SELECT is(crm_deals.flag_duplicates(), 0::bigint, 'flag_duplicates: nothing new, but the same pairs');
SET client_min_messages = warning;
DELETE FROM crm_deals.deal_duplicate;
SET crm_deals.duplicate_limit = 2;
SELECT format('expected: %s of %s pairs, %s by account', t.of_different(2), t.pairs(false, 2), t.pairs(true, 2));
SET client_min_messages = notice;
SELECT is(crm_deals.flag_duplicates('Sales'), t.pairs(false, 2), 'flag_duplicates: at the limit');
SET client_min_messages = warning;
RESET crm_deals.duplicate_limit;
DELETE FROM crm_deals.deal_duplicate;
UPDATE crm_deals.pipeline SET duplicate_scope = 'account';
\echo nothing to say:
SET client_min_messages = notice;
SELECT is(crm_deals.flag_duplicates(), t.pairs(true), 'flag_duplicates: scope account');
SET client_min_messages = warning;
UPDATE crm_deals.pipeline SET duplicate_scope = 'all';
DELETE FROM crm_deals.deal_duplicate;
UPDATE crm_deals.deal SET account_id = NULL;
SET client_min_messages = notice;
SELECT is(crm_deals.flag_duplicates(), t.pairs(false), 'flag_duplicates: scope all, but no deal has an account');
SET client_min_messages = warning;
-- Under row security nobody learns a number of pairs
SELECT t.drop_roles('regress_crm_admin') AS none \gset
CREATE ROLE regress_crm_admin;
SELECT crm_deals.grant_access('regress_crm_admin', 'admin') AS none \gset
DELETE FROM crm_deals.deal_duplicate;
UPDATE crm_deals.deal SET account_id = id % 3 + 1;
ALTER TABLE crm_deals.deal ENABLE ROW LEVEL SECURITY;
CREATE POLICY first ON crm_deals.deal USING (id < 3);
SET ROLE regress_crm_admin;
SET client_min_messages = notice;
SELECT crm_deals.flag_duplicates() IS NULL AS none \gset
SET client_min_messages = warning;
RESET ROLE;
SELECT t.drop_roles('regress_crm_admin') AS none \gset

SELECT * FROM finish();
