/*
 * owner_query.c
 *		Prepared queries that run as the owner of the tables.
 *
 * Every one of them is refused while a table is not as install() made it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "base/acting_as_owner.h"
#include "base/installation.h"
#include "base/owner_query.h"

/* Runs the query as the owner, with these snapshots. */
static void
execute(OwnerQuery *query, Datum *values, const char *nulls,
		Snapshot snapshot, Snapshot crosscheck, bool read_only)
{
	FormerRole	former;

	check_installation();
	former = query->is_guarded ? become_guarded_owner() : become_owner();
	kept_query_run(query, values, nulls, snapshot, crosscheck, read_only);
	become_former(&former);
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
 * privileges at this point, so the owner's role is not needed later, nor his
 * search path: such a query only reads, and calls functions of C alone.
 */
Portal
owner_query_cursor(OwnerQuery *query, Datum *values, const char *nulls)
{
	FormerRole	former;
	Portal		portal;

	check_installation();
	former = become_owner();
	PushActiveSnapshot(GetLatestSnapshot());
	portal = kept_query_open(query, values, nulls, true);
	PopActiveSnapshot();
	become_former(&former);
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
