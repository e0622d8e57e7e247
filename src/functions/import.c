/*
 * import.c
 *		import_deals(): what the SQL of sql/functions/import.sql cannot say.
 *
 * The work is done by ordinary statements of the caller.  Here they get their
 * context, their results are handed on in slices, and values are asked of the
 * same code that the triggers ask.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/currency.h"
#include "base/owner_query.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "rules/custom_fields.h"

PG_FUNCTION_INFO_V1(crm_deals_import_deals);
PG_FUNCTION_INFO_V1(crm_deals_import_as);
PG_FUNCTION_INFO_V1(crm_deals_next_deal_id);
PG_FUNCTION_INFO_V1(crm_deals_wrong_custom_fields);
PG_FUNCTION_INFO_V1(crm_deals_is_currency);

#define SLICE 1000
#define ACTOR 4					/* the last argument: for the context, not for the query */

/* The import that is running, and who did what has no actor of its own */
typedef struct Import
{
	WriteContext context;
	char	   *actor;
	MemoryContext memory;		/* for the actors of its history */
	struct Import *outer;
} Import;

static Import *running = NULL;

/* Not all at once: a million rows are many. */
static void
fetch_result(void *arg)
{
	FunctionCallInfo fcinfo = arg;
	static Oid	types[] = {REGCLASSOID, REGCLASSOID, BOOLOID, BOOLOID};
	static SPIPlanPtr plan = NULL;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1] = {0};
	Portal		portal;

	for (int i = 0; i < (int) lengthof(types); i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	portal = SPI_cursor_open(NULL, kept_plan(&plan, "SELECT * FROM crm_deals_internal.import_deals($1, $2, $3, $4)",
											 lengthof(types), types, false), values, nulls, false);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, SLICE);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
			tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
}

/* import_deals(source, history, gates, create_accounts, actor) */
Datum
crm_deals_import_deals(PG_FUNCTION_ARGS)
{
	Import		import = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("import_deals needs a table to import")));
	(void) installed_table("deal");
	import.context.imports = true;
	import.context.every_statement = true;
	import.context.no_gates = PG_ARGISNULL(2) || !PG_GETARG_BOOL(2);
	import.actor = PG_ARGISNULL(ACTOR) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(ACTOR));
	import.context.actor = import.actor;
	import.memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals import", ALLOCSET_SMALL_SIZES);
	import.outer = running;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
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
	SPI_finish();
	return (Datum) 0;
}

/* import_as(actor): what comes next was done by this one; NULL: by the actor of the import. */
Datum
crm_deals_import_as(PG_FUNCTION_ARGS)
{
	if (running == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no import is running")));
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
 * _next_deal_id(): who may insert a deal draws such a number with each, without
 * a right to the sequence.
 */
Datum
crm_deals_next_deal_id(PG_FUNCTION_ARGS)
{
	Oid		   *sequence = (Oid *) fcinfo->flinfo->fn_extra;

	if (sequence == NULL)
	{
		Relation	deal = table_open(installed_table("deal"), AccessShareLock);

		sequence = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Oid));
		*sequence = identity_sequence_of(deal, get_attnum(RelationGetRelid(deal), "id"));
		table_close(deal, NoLock);
		fcinfo->flinfo->fn_extra = sequence;
	}
	PG_RETURN_INT64(nextval_internal(*sequence, false));
}

/* wrong_custom_fields(pipeline_id, old, new): NULL where all are as defined */
Datum
crm_deals_wrong_custom_fields(PG_FUNCTION_ARGS)
{
	const Pipeline *pipeline;
	char	   *wrong = NULL;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	refresh_pipelines();
	pipeline = find_pipeline(PG_GETARG_INT64(0));
	if (pipeline != NULL)
		wrong = wrong_custom_fields(pipeline->deal_fields, PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1),
									PG_GETARG_JSONB_P(2));
	if (wrong == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(wrong));
}

/* is_currency(code) */
Datum
crm_deals_is_currency(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_currency_code(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}
