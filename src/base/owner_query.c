/*
 * owner_query.c
 *		Prepared queries that run as the owner of the tables.
 *
 * A writer of deals needs no privilege to read stages or to write the log.
 * Only the query runs as the owner, as a foreign key's check does, and row
 * security hides nothing from it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/retired.h"

/* Returns the plan of the query, which is made and kept on first use. */
SPIPlanPtr
kept_plan(SPIPlanPtr *plan, const char *sql, int nargs, Oid *argtypes, bool one_plan)
{
	if (*plan == NULL)
	{
		SPIPlanPtr	made;

		check_internal_schema();
		made = SPI_prepare_cursor(sql, nargs, argtypes, one_plan ? CURSOR_OPT_GENERIC_PLAN : 0);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
		*plan = made;
	}
	return *plan;
}

/* Returns the query's plan. */
static SPIPlanPtr
plan_of(OwnerQuery *query)
{
	return kept_plan(&query->plan, query->sql, query->nargs, query->argtypes, query->one_plan);
}

/* Acts as the tables' owner from here on; the caller goes back to the role and context that it gets. */
static void
become_owner(Oid *role, int *context)
{
	GetUserIdAndSecContext(role, context);
	SetUserIdAndSecContext(tables_owner(),
						   *context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
}

/* Runs the query as the owner, with these snapshots. */
static void
execute(OwnerQuery *query, Datum *values, const char *nulls,
		Snapshot snapshot, Snapshot crosscheck, bool read_only)
{
	Oid			role;
	int			context;
	int			result;

	become_owner(&role, &context);
	result = SPI_execute_snapshot(plan_of(query), values, nulls,
								  snapshot, crosscheck, read_only, true, 0);
	SetUserIdAndSecContext(role, context);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", query->sql, SPI_result_code_string(result));
}

/* Reads what is committed now, whatever the transaction's own snapshot. */
void
owner_query_read_latest(OwnerQuery *query, Datum *values, const char *nulls)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	execute(query, values, nulls, snapshot, InvalidSnapshot, true);
	UnregisterSnapshot(snapshot);
}

/*
 * Opens the query as a cursor in the caller's memory. PostgreSQL checks
 * privileges at this point, so the owner's role is not needed later.
 */
Portal
owner_query_cursor(OwnerQuery *query, Datum *values, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			role;
	int			context;
	Portal		portal;

	become_owner(&role, &context);
	PushActiveSnapshot(GetLatestSnapshot());
	portal = SPI_cursor_open(NULL, plan_of(query), values, nulls, true);
	PopActiveSnapshot();
	SetUserIdAndSecContext(role, context);
	MemoryContextSwitchTo(caller);
	if (portal == NULL)
		elog(ERROR, "could not open \"%s\": %s", query->sql, SPI_result_code_string(SPI_result));
	return portal;
}

/* Runs the query with an ordinary snapshot and returns the number of rows. */
uint64
owner_query_run(OwnerQuery *query, Datum *values, const char *nulls)
{
	execute(query, values, nulls, InvalidSnapshot, InvalidSnapshot, false);
	return SPI_processed;
}

typedef struct QueryCall
{
	OwnerQuery *query;
	Datum	   *values;
	const char *nulls;
} QueryCall;

/* Runs the query of a QueryCall: the work of write_context_run(). */
static void
run_call(void *arg)
{
	QueryCall  *call = arg;

	(void) owner_query_run(call->query, call->values, call->nulls);
}

/* Runs the query; what it writes of deals means what the context says. */
void
owner_query_run_in_context(OwnerQuery *query, Datum *values, const char *nulls, WriteContext *context)
{
	QueryCall	call = {query, values, nulls};

	write_context_run(context, run_call, &call);
}

/* Writes all rows that are committed now, or fails to serialize. */
uint64
owner_query_run_latest(OwnerQuery *query, Datum *values, const char *nulls)
{
	if (IsolationUsesXactSnapshot())
	{
		CommandCounterIncrement();
		execute(query, values, nulls, GetLatestSnapshot(), GetTransactionSnapshot(), false);
	}
	else
		execute(query, values, nulls, InvalidSnapshot, InvalidSnapshot, false);
	return SPI_processed;
}

/* Raises an error if the transaction keeps one snapshot. */
void
need_read_committed(const char *function)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s needs the isolation level READ COMMITTED", function),
				 errdetail("A transaction that keeps one snapshot does not see what was committed since.")));
}
