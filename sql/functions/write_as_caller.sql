-- What functions write in the caller's name. A function pins search_path, so that nothing of the caller's captures a
-- name in it. A user's trigger must run under the caller's path nevertheless. So such a function gets the caller's
-- path as its last argument, and hands each INSERT, UPDATE and DELETE of deals, accounts, contacts and tables of the
-- host's to these functions (src/base/write_as_caller.c). The statement has its arguments as $1, $2, ...; the first
-- one is necessary. All names in it mean what they mean under the pinned path.

-- access: write
CREATE FUNCTION crm_deals_internal.write_as_caller(callers_path text, statement text, VARIADIC arguments "any")
RETURNS bigint
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_write_as_caller';
COMMENT ON FUNCTION crm_deals_internal.write_as_caller(text, text, "any") IS
    'Internal: writes under the search_path of the caller; returns the number of rows.';

-- access: write
CREATE FUNCTION crm_deals_internal.write_as_caller_returning(callers_path text, statement text,
                                                             VARIADIC arguments "any") RETURNS text
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'crm_deals_write_as_caller_returning';
COMMENT ON FUNCTION crm_deals_internal.write_as_caller_returning(text, text, "any") IS
    'Internal: does the same with a statement that returns one text; returns that of the first row.';
