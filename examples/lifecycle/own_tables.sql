-- Before the life of a deal, first way: accounts and contacts in tables that install() makes.
-- Run by the owner of the database; then setup.sql.
CREATE EXTENSION IF NOT EXISTS crm_deals CASCADE;
SELECT crm_deals.install();
