/*
 * corrections.c
 *		Undoes a batch, restores a deleted deal.
 *
 * The work is in sql/functions/corrections.sql and runs as the caller: the
 * caller's privileges, row security and triggers hold as for any statement.
 * The functions here tell the triggers what the statements mean.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/arguments.h"
#include "base/caller_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "base/write_context.h"
#include "functions/undo_merge.h"

PG_FUNCTION_INFO_V1(crm_deals_undo_batch);
PG_FUNCTION_INFO_V1(crm_deals_restore_deal);

/* ----------
 * Undo and restore
 * ----------
 */

typedef struct Correction
{
	WriteContext context;
	Datum		which;			/* a batch or a deal */
	bool		which_is_null;
	char	   *ticket;
	ReturnSetInfo *result;		/* of undo_batch() */
} Correction;

/* Reads the arguments: what to correct, and the actor of the events, whose kind is "reverted". */
static void
begin_correction(Correction *correction, FunctionCallInfo fcinfo)
{
	correction->context.kind = "reverted";
	correction->context.restores = true;
	correction->context.actor = text_argument(fcinfo, 1);
	correction->which = PG_GETARG_DATUM(0);
	correction->which_is_null = PG_ARGISNULL(0);
	correction->ticket = write_context_ticket(&correction->context);
}

static CallerQuery undo_query = {
	.sql = "SELECT u.deal_id, u.outcome, u.detail, u.merged_event"
	" FROM crm_deals_internal.undo_batch($1, $2, $3) AS u",
	.nargs = 3,
	.argtypes = {INT8OID, TEXTOID, TEXTOID},
	.returns = RETURNS(INT8OID, TEXTOID, TEXTOID, INT8OID),
};

/* Adds an outcome to the result, with what else is to be said of the deal. */
static void
add_outcome(Correction *correction, HeapTuple row, TupleDesc desc, const char *more)
{
	Datum		values[4];
	bool		isnull[4];

	heap_deform_tuple(row, desc, values, isnull);
	if (more != NULL)
	{
		values[2] = CStringGetTextDatum(isnull[2] ? more : psprintf("%s %s", TextDatumGetCString(values[2]), more));
		isnull[2] = false;
	}
	result_set_add(correction->result, values, isnull);
}

/* Undoes the batch: the work of write_context_run(). */
static void
undo(void *arg)
{
	Correction *correction = arg;
	Datum		values[3] = {correction->which, CStringGetTextDatum(current_actor()),
	CStringGetTextDatum(correction->ticket)};
	SPITupleTable *outcomes;
	uint64		n;

	if (correction->context.actor != NULL)
		values[1] = CStringGetTextDatum(correction->context.actor);
	caller_query(&undo_query, values, correction->which_is_null ? "n  " : NULL);
	outcomes = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		event = SPI_getbinval(outcomes->vals[i], outcomes->tupdesc, 4, &isnull);

		add_outcome(correction, outcomes->vals[i], outcomes->tupdesc,
					isnull ? NULL : undo_merge(DatumGetInt64(event), correction->ticket));
	}
}

/* undo_batch(batch_id, actor) returns what became of each deal of the batch. */
Datum
crm_deals_undo_batch(PG_FUNCTION_ARGS)
{
	Correction	correction = {.result = result_set_begin(fcinfo)};

	SPI_connect();
	begin_correction(&correction, fcinfo);
	write_context_run(&correction.context, undo, &correction);
	SPI_finish();
	return (Datum) 0;
}

static CallerQuery restore_query = {
	.sql = "SELECT crm_deals_internal.restore_deal($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
	.returns = RETURNS(INT8OID),
};

/* restore_deal(deal_id, actor) returns the deal. */
Datum
crm_deals_restore_deal(PG_FUNCTION_ARGS)
{
	Correction	correction = {.result = NULL};
	Datum		values[2];

	SPI_connect();
	begin_correction(&correction, fcinfo);
	values[0] = correction.which;
	values[1] = CStringGetTextDatum(correction.ticket);
	caller_query_in_context(&restore_query, values, correction.which_is_null ? "n " : NULL, &correction.context);
	SPI_finish();
	return PG_GETARG_DATUM(0);
}
