-- The host has its own table of people. Deals refer to its key.
CREATE TABLE public.team (login text PRIMARY KEY, full_name text NOT NULL, region text);
\copy public.team FROM 'team.csv' (FORMAT csv, HEADER match)

\set ECHO queries
CREATE EXTENSION crm_deals CASCADE;
SELECT crm_deals.install(
    owner_table => 'public.team',
    columns => '{"owner": {"name": "full_name"}}');
