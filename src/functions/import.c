/*
 * import.c
 *		import_deals(), import_accounts(), import_contacts() and import_leads():
 *		what SQL cannot do.
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
#include "nodes/pathnodes.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "base/arguments.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/compat.h"
#include "base/result_set.h"
#include "base/write_context.h"
#include "rules/custom_fields.h"

PG_FUNCTION_INFO_V1(crm_deals_import);
PG_FUNCTION_INFO_V1(crm_deals_import_accounts);
PG_FUNCTION_INFO_V1(crm_deals_import_contacts);
PG_FUNCTION_INFO_V1(crm_deals_import_leads);
PG_FUNCTION_INFO_V1(crm_deals_import_wrong_fields);
PG_FUNCTION_INFO_V1(crm_deals_import_as);
PG_FUNCTION_INFO_V1(crm_deals_next_deal_id);

#define SLICE 1000				/* rows */
#define ROWS_OF_A_PAGE 10		/* the planner's guess where statistics say nothing */
#define MAX_ARGUMENTS 11

/* What a function imports, and where its arguments are that concern this file */
typedef struct ImportKind
{
	const char *entity;
	CallerQuery *query;			/* of the arguments, the ticket and, if it asks, the entity */
	int			nargs;
	int			actor;
	int			dry_run;
	int			rows;			/* the source is the first one */
	int			gates;			/* or -1 */
} ImportKind;

/* The import that is running */
typedef struct Import
{
	WriteContext context;
	const ImportKind *kind;
	FunctionCallInfo call;
	char	   *actor;			/* of what has no actor of its own in the history */
	MemoryContext memory;		/* for the actors of the history */
	struct Import *outer;
} Import;

static Import *running = NULL;

static build_simple_rel_hook_type next_rel_hook = NULL;

static CallerQuery deals_query = {
	.sql = "SELECT i.row_number, i.external_id, i.outcome, i.deal_id, i.detail"
	" FROM crm_deals_internal.import_deals($1, $2, $3, $4, $6, $7, $9, $10, $11, $12) AS i",
	.nargs = 12,
	.argtypes = {REGCLASSOID, REGCLASSOID, BOOLOID, BOOLOID, TEXTOID, JSONBOID, JSONBOID, BOOLOID, TEXTOID, TEXTOID,
	JSONBOID, TEXTOID},
	.returns = RETURNS(INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID),
};

static CallerQuery parties_query = {
	.sql = "SELECT i.row_number, i.external_id, i.outcome, i.id, i.detail"
	" FROM crm_deals_internal.import_parties($8, $1, $2, $3, $4, $6, $7) AS i",
	.nargs = 8,
	.argtypes = {REGCLASSOID, TEXTOID, JSONBOID, JSONBOID, BOOLOID, JSONBOID, TEXTOID, TEXTOID},
	.returns = RETURNS(INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID),
};

static const ImportKind deals = {"deal", &deals_query, 11, .gates = 2, .actor = 4, .dry_run = 7, .rows = 10};
static const ImportKind accounts = {"account", &parties_query, 6, .actor = 1, .dry_run = 4, .rows = 5, .gates = -1};
static const ImportKind contacts = {"contact", &parties_query, 6, .actor = 1, .dry_run = 4, .rows = 5, .gates = -1};
static const ImportKind leads = {"lead", &parties_query, 6, .actor = 1, .dry_run = 4, .rows = 5, .gates = -1};

/* Runs the import and adds its outcomes to the result, in slices: a million rows at once would be many. */
static void
fetch_result(void *arg)
{
	Import	   *import = arg;
	ReturnSetInfo *result = (ReturnSetInfo *) import->call->resultinfo;
	int			nargs = import->kind->nargs;
	Datum		values[MAX_ARGUMENTS + 2];
	char		nulls[MAX_ARGUMENTS + 2];
	Portal		portal;

	spi_arguments(import->call, nargs, values, nulls);
	values[nargs] = CStringGetTextDatum(write_context_ticket(&import->context));
	values[nargs + 1] = CStringGetTextDatum(import->kind->entity);
	nulls[nargs] = nulls[nargs + 1] = ' ';
	portal = caller_query_cursor(import->kind->query, values, nulls, false);
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

/*
 * Corrects what the planner believes of a table during an import.  A table that was
 * analysed while it was empty, or while an import was under way, has pages and no
 * rows, so all its indexes seem to cost the same: a deal would be looked up by its
 * id through an index that has the id last, which reads the whole index.
 */
static void
expect_rows(REL_HOOK_ARGUMENTS)
{
	if (next_rel_hook != NULL)
		call_rel_hook(next_rel_hook);
	if (running == NULL || rel->tuples >= rel->pages)
		return;
	rel->tuples = rel->pages * ROWS_OF_A_PAGE;
	for (int i = 0; i < list_length(rel->indexlist); i++)
	{
		IndexOptInfo *index = list_nth_node(IndexOptInfo, rel->indexlist, i);

		index->tuples = rel->tuples;
	}
}

/* Has expect_rows() called, from the session's first import on. */
static void
watch_plans(void)
{
	static bool watching = false;

	if (watching)
		return;
	next_rel_hook = build_simple_rel_hook;
	build_simple_rel_hook = expect_rows;
	watching = true;
}

/* Runs the import in its context. */
static void
run_import(FunctionCallInfo fcinfo, const ImportKind *kind)
{
	Import		import = {.kind = kind,.call = fcinfo};

	import.context.imports = true;
	import.context.one_batch = true;
	import.context.override_gates = kind->gates < 0 || !bool_argument(fcinfo, kind->gates);
	import.actor = text_argument(fcinfo, kind->actor);
	import.context.actor = import.actor;
	import.memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals import", ALLOCSET_SMALL_SIZES);
	import.outer = running;

	PG_TRY();
	{
		running = &import;
		write_context_run(&import.context, fetch_result, &import);
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
rehearse_import(FunctionCallInfo fcinfo, const ImportKind *kind)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		run_import(fcinfo, kind);
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

/* Imports what the arguments give; a rehearsal leaves nothing behind. */
static Datum
import(FunctionCallInfo fcinfo, const ImportKind *kind)
{
	if (PG_ARGISNULL(0) && PG_ARGISNULL(kind->rows))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an import needs a table or rows"),
				 errhint("Name a table as \"source\", or give an array of objects as \"rows\".")));
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(kind->rows))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an import takes either a table or rows, not both")));
	(void) result_set_begin(fcinfo);
	watch_plans();
	SPI_connect();
	if (bool_argument(fcinfo, kind->dry_run))
		rehearse_import(fcinfo, kind);
	else
		run_import(fcinfo, kind);
	SPI_finish();
	return (Datum) 0;
}

/*
 * import_deals(source, history, gates, create_accounts, actor, columns, formats,
 * dry_run, lost_reason, closed_at_from, rows)
 */
Datum
crm_deals_import(PG_FUNCTION_ARGS)
{
	return import(fcinfo, &deals);
}

/* import_accounts(source, actor, columns, formats, dry_run, rows) */
Datum
crm_deals_import_accounts(PG_FUNCTION_ARGS)
{
	return import(fcinfo, &accounts);
}

/* import_contacts(source, actor, columns, formats, dry_run, rows) */
Datum
crm_deals_import_contacts(PG_FUNCTION_ARGS)
{
	return import(fcinfo, &contacts);
}

/* import_leads(source, actor, columns, formats, dry_run, rows) */
Datum
crm_deals_import_leads(PG_FUNCTION_ARGS)
{
	return import(fcinfo, &leads);
}

/* import_wrong_fields(entity, organization, old, stated) */
Datum
crm_deals_import_wrong_fields(PG_FUNCTION_ARGS)
{
	Jsonb	   *old = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	char	   *wrong;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(3) || !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(3)))
		PG_RETURN_NULL();
	if (old != NULL && !JB_ROOT_IS_OBJECT(old))
		old = NULL;
	refresh_pipelines();
	wrong = wrong_custom_fields(custom_fields_of(text_argument(fcinfo, 0), text_argument(fcinfo, 1)), old,
								PG_GETARG_JSONB_P(3));
	if (wrong == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(wrong));
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
