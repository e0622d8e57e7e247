/*
 * import.c
 *		import_deals(): what SQL cannot do.
 *
 * The work is done by ordinary statements of the caller, in
 * sql/functions/import.  This file gives them their write context, hands their
 * results on in slices, and draws ids.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "base/arguments.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/result_set.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_import);
PG_FUNCTION_INFO_V1(crm_deals_import_as);
PG_FUNCTION_INFO_V1(crm_deals_next_deal_id);

#define SLICE 1000				/* rows */
#define N_ARGUMENTS 11

/* Arguments that concern this file */
#define SOURCE 0
#define GATES 2
#define ACTOR 4
#define DRY_RUN 7
#define ROWS 10

/* The import that is running */
typedef struct Import
{
	WriteContext context;
	char	   *actor;			/* of what has no actor of its own in the history */
	MemoryContext memory;		/* for the actors of the history */
	struct Import *outer;
} Import;

static Import *running = NULL;

static CallerQuery import_query = {
	.sql = "SELECT i.row_number, i.external_id, i.outcome, i.deal_id, i.detail"
	" FROM crm_deals_internal.import_deals($1, $2, $3, $4, $6, $7, $9, $10, $11, $12) AS i",
	.nargs = N_ARGUMENTS + 1,
	.argtypes = {REGCLASSOID, REGCLASSOID, BOOLOID, BOOLOID, TEXTOID, JSONBOID, JSONBOID, BOOLOID, TEXTOID, TEXTOID,
	JSONBOID, TEXTOID},
	.returns = RETURNS(INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID),
};

/* Runs the import and adds its outcomes to the result, in slices: a million rows at once would be many. */
static void
fetch_result(void *arg)
{
	FunctionCallInfo fcinfo = arg;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[N_ARGUMENTS + 1];
	char		nulls[N_ARGUMENTS + 1];
	Portal		portal;

	spi_arguments(fcinfo, N_ARGUMENTS, values, nulls);
	values[N_ARGUMENTS] = CStringGetTextDatum(write_context_ticket(&running->context));
	nulls[N_ARGUMENTS] = ' ';
	portal = caller_query_cursor(&import_query, values, nulls, false);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, SLICE);
		if (SPI_processed == 0)
			break;
		result_set_add_spi_rows(result);
		SPI_freetuptable(SPI_tuptable);
	}
	cursor_close(portal);
}

/* Runs the import in its context. */
static void
run_import(FunctionCallInfo fcinfo)
{
	Import		import = {0};

	import.context.imports = true;
	import.context.override_gates = !bool_argument(fcinfo, GATES);
	import.actor = text_argument(fcinfo, ACTOR);
	import.context.actor = import.actor;
	import.memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals import", ALLOCSET_SMALL_SIZES);
	import.outer = running;

	PG_TRY();
	{
		running = &import;
		write_context_run(&import.context, fetch_result, fcinfo);
	}
	PG_FINALLY();
	{
		running = import.outer;
	}
	PG_END_TRY();
}

/*
 * Runs the import in a subtransaction and rolls that back.  The result stands
 * outside of it.
 */
static void
rehearse_import(FunctionCallInfo fcinfo)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		run_import(fcinfo);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(memory);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
}

/*
 * import_deals(source, history, gates, create_accounts, actor, columns, formats,
 * dry_run, lost_reason, closed_at_from, rows)
 */
Datum
crm_deals_import(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(SOURCE) && PG_ARGISNULL(ROWS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an import needs a table or rows"),
				 errhint("Name a table as \"source\", or give an array of objects as \"rows\".")));
	if (!PG_ARGISNULL(SOURCE) && !PG_ARGISNULL(ROWS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an import takes either a table or rows, not both")));
	(void) result_set_begin(fcinfo);
	SPI_connect();
	if (bool_argument(fcinfo, DRY_RUN))
		rehearse_import(fcinfo);
	else
		run_import(fcinfo);
	SPI_finish();
	return (Datum) 0;
}

/* Raises an error unless an import is running. */
static void
check_import_runs(void)
{
	if (running == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no import is running")));
}

/* import_as(actor): names the actor of what is written next; NULL is the actor of the import. */
Datum
crm_deals_import_as(PG_FUNCTION_ARGS)
{
	check_import_runs();
	running->context.actor = running->actor;
	MemoryContextReset(running->memory);
	if (!PG_ARGISNULL(0))
	{
		MemoryContext caller = MemoryContextSwitchTo(running->memory);

		running->context.actor = text_to_cstring(PG_GETARG_TEXT_PP(0));
		MemoryContextSwitchTo(caller);
	}
	PG_RETURN_VOID();
}

/*
 * next_deal_id(): draws the next id of a deal.  The caller needs no right to the
 * sequence: whoever may insert a deal draws an id with each.
 */
Datum
crm_deals_next_deal_id(PG_FUNCTION_ARGS)
{
	Oid		   *sequence = (Oid *) fcinfo->flinfo->fn_extra;

	check_import_runs();
	if (sequence == NULL)
	{
		Relation	deal = table_open(installed_table("deal"), AccessShareLock);

		sequence = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Oid));
		*sequence = identity_of(deal, "id");
		table_close(deal, NoLock);
		fcinfo->flinfo->fn_extra = sequence;
	}
	PG_RETURN_INT64(nextval_internal(*sequence, false));
}
