/*
 * kept_query.c
 *		Prepared queries, and what they return.
 *
 * Every query of C code passes through here. The code reads the values of a
 * result by types that it knows; here they are compared with those that the
 * result has. They differ if somebody altered what the query reads.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/portal.h"

#include "base/kept_query.h"
#include "base/retired.h"
#include "base/spi_result.h"

/* Returns the plan of the query, which is made and kept on first use. */
static SPIPlanPtr
plan_of(KeptQuery *query)
{
	if (query->plan == NULL)
	{
		SPIPlanPtr	made;

		check_internal_schema();
		made = SPI_prepare_cursor(query->sql, query->nargs, query->argtypes,
								  query->one_plan ? CURSOR_OPT_GENERIC_PLAN : 0);
		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", query->sql, SPI_result_code_string(SPI_result));
		query->plan = made;
	}
	return query->plan;
}

/* Raises that a column, counted from 0, is not there or has another type. */
static void
raise_other_columns(const char *sql, const Oid *types, TupleDesc desc, int column)
{
	const char *has = column < desc->natts ? format_type_be(TupleDescAttr(desc, column)->atttypid) : "nothing";
	const char *should = types != NULL && OidIsValid(types[column]) ? format_type_be(types[column]) : "nothing";

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a query of crm_deals returns other columns than it should"),
			 errdetail("Column %d is %s, not %s.", column + 1, has, should),
			 errhint("Undo what was changed of the tables or functions that it reads."),
			 errcontext("query \"%s\"", sql)));
}

/* Raises an error unless the columns have these types. */
void
check_columns(const char *sql, const Oid *types, TupleDesc desc)
{
	int			n = 0;

	while (types != NULL && OidIsValid(types[n]) && n < desc->natts && TupleDescAttr(desc, n)->atttypid == types[n])
		n++;
	if (n < desc->natts || (types != NULL && OidIsValid(types[n])))
		raise_other_columns(sql, types, desc, n);
}

/* Raises an error unless a result has the columns of another. */
void
check_same_columns(TupleDesc result, TupleDesc wanted)
{
	Oid		   *types = palloc0(sizeof(Oid) * (wanted->natts + 1));

	for (int i = 0; i < wanted->natts; i++)
		types[i] = TupleDescAttr(wanted, i)->atttypid;
	check_columns("", types, result);
	pfree(types);
}

/* Runs the query and checks what it returns. */
void
kept_query_run(KeptQuery *query, Datum *values, const char *nulls,
			   Snapshot snapshot, Snapshot crosscheck, bool read_only)
{
	int			result = SPI_execute_snapshot(plan_of(query), values, nulls, snapshot, crosscheck, read_only, true, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", query->sql, SPI_result_code_string(result));
	if (SPI_tuptable != NULL)
		check_columns(query->sql, query->returns, SPI_tuptable->tupdesc);
}

/*
 * Lets nobody but cursor_close() close the cursor. Code of a user's that runs
 * between two fetches, such as a policy, may say CLOSE ALL.
 */
Portal
cursor_keep(Portal portal)
{
	PinPortal(portal);
	return portal;
}

/* Closes the cursor. */
void
cursor_close(Portal portal)
{
	UnpinPortal(portal);
	SPI_cursor_close(portal);
}

/* Opens the query as a cursor in the caller's memory, and checks what it returns. */
Portal
kept_query_open(KeptQuery *query, Datum *values, const char *nulls, bool read_only)
{
	MemoryContext caller = CurrentMemoryContext;
	Portal		portal = SPI_cursor_open(NULL, plan_of(query), values, nulls, read_only);

	MemoryContextSwitchTo(caller);
	if (portal == NULL)
		elog(ERROR, "could not open \"%s\": %s", query->sql, SPI_result_code_string(SPI_result));
	check_columns(query->sql, query->returns, portal->tupDesc);
	return cursor_keep(portal);
}
