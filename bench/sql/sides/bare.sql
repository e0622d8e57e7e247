-- The side "bare" has the same tables, indexes, checks and foreign keys without our triggers. The application itself
-- writes what the rules derive, and the row of the log (../statements/*.bare.sql).
\set ON_ERROR_STOP on
SET client_min_messages = error;
DROP EXTENSION crm_deals CASCADE;
