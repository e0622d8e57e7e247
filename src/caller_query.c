/*
 * caller_query.c
 *		Prepared queries that run as the caller.
 *
 * Rights, row security and triggers hold as for any statement of the caller's.
 */
#include "postgres.h"

#include "caller_query.h"
#include "owner_query.h"

void
caller_query(CallerQuery *query, Datum *values, const char *nulls)
{
	SPIPlanPtr	plan = kept_plan(&query->plan, query->sql, query->nargs, query->argtypes, query->one_plan);
	int			result = SPI_execute_plan(plan, values, nulls, false, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", query->sql, SPI_result_code_string(result));
}

Portal
caller_query_cursor(CallerQuery *query, Datum *values, const char *nulls)
{
	SPIPlanPtr	plan = kept_plan(&query->plan, query->sql, query->nargs, query->argtypes, query->one_plan);
	Portal		portal = SPI_cursor_open(NULL, plan, values, nulls, true);

	if (portal == NULL)
		elog(ERROR, "could not open \"%s\": %s", query->sql, SPI_result_code_string(SPI_result));
	return portal;
}

void
caller_query_in_context(CallerQuery *query, Datum *values, const char *nulls, WriteContext *context)
{
	write_context_push(context);
	PG_TRY();
	{
		caller_query(query, values, nulls);
	}
	PG_FINALLY();
	{
		write_context_pop(context);
	}
	PG_END_TRY();
}
