/*
 * corrections.c
 *		Undoes a batch, restores a deleted deal.
 *
 * The work is in sql/functions/corrections.sql and runs as the caller: the
 * caller's privileges, row security and triggers hold as for any statement.
 * The functions here tell the triggers what the statements mean.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/arguments.h"
#include "base/caller_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_undo_batch);
PG_FUNCTION_INFO_V1(crm_deals_restore_deal);

/* ----------
 * Undo and restore
 * ----------
 */

/*
 * Runs the query with the first argument of the call and the caller's
 * search_path. The second argument is the actor of the events, and their kind
 * is "reverted".
 */
static void
revert(CallerQuery *query, FunctionCallInfo fcinfo)
{
	WriteContext context = {.kind = "reverted", .restores = true, .every_statement = true};
	Datum		values[2];
	char		nulls[] = "  ";

	context.actor = text_argument(fcinfo, 1);
	spi_arguments(fcinfo, 1, values, nulls);
	values[1] = CStringGetTextDatum(namespace_search_path);
	nulls[1] = ' ';
	caller_query_in_context(query, values, nulls, &context);
}

static CallerQuery undo_query = {
	.sql = "SELECT u.deal_id, u.outcome, u.detail FROM crm_deals_internal.undo_batch($1, $2) AS u",
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
	.returns = RETURNS(INT8OID, TEXTOID, TEXTOID),
};

/* undo_batch(batch_id, actor) returns what became of each deal of the batch. */
Datum
crm_deals_undo_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = result_set_begin(fcinfo);

	SPI_connect();
	revert(&undo_query, fcinfo);
	result_set_add_spi_rows(result);
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
	SPI_connect();
	revert(&restore_query, fcinfo);
	SPI_finish();
	return PG_GETARG_DATUM(0);
}
