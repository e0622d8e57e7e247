/*
 * corrections.c
 *		Undoes a batch, restores a deleted deal, merges two deals.
 *
 * The work is in sql/functions/corrections.sql and runs as the caller: the
 * caller's privileges, row security and triggers hold as for any statement.
 * The functions here tell the triggers what the statements mean. They also
 * write aliases, as the owner of the tables, because no caller may write them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/arguments.h"
#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/installation.h"
#include "base/owner_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_undo_batch);
PG_FUNCTION_INFO_V1(crm_deals_restore_deal);
PG_FUNCTION_INFO_V1(crm_deals_merge_deals);

/* ----------
 * Undo and restore
 * ----------
 */

/*
 * Runs the query with the first argument of the call. The second one is the
 * actor of the events, and their kind is "reverted".
 */
static void
revert(CallerQuery *query, FunctionCallInfo fcinfo)
{
	WriteContext context = {.kind = "reverted", .restores = true, .every_statement = true};
	Datum		value;
	char		nulls[2];

	(void) installed_table("deal");
	check_versions();
	context.actor = text_argument(fcinfo, 1);
	spi_arguments(fcinfo, 1, &value, nulls);
	caller_query_in_context(query, &value, nulls, &context);
}

static CallerQuery undo_query = {
	.sql = "SELECT u.deal_id, u.outcome, u.detail FROM crm_deals_internal.undo_batch($1) AS u",
	.nargs = 1,
	.argtypes = {INT8OID},
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
	.sql = "SELECT crm_deals_internal.restore_deal($1)",
	.nargs = 1,
	.argtypes = {INT8OID},
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

/* ----------
 * Merge
 * ----------
 */

static CallerQuery lock_query = {
	.sql = "SELECT crm_deals_internal.lock_to_merge($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static CallerQuery merge_query = {
	.sql = "SELECT crm_deals_internal.merge_deals($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

/* It runs before the duplicate is deleted, which would delete its aliases too. */
static OwnerQuery repoint_aliases_query = {
	.sql = "UPDATE crm_deals.deal_alias SET deal_id = $1 WHERE deal_id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static OwnerQuery add_alias_query = {
	.sql = "INSERT INTO crm_deals.deal_alias (deal_id, old_id, old_external_id) VALUES ($1, $2, $3)",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
};

/* Locks both deals and returns their ids; the arguments may be aliases. */
static void
lock_to_merge(FunctionCallInfo fcinfo, Datum *deals)
{
	Datum		values[2];
	char		nulls[3];
	bool		isnull;
	ArrayType  *locked;

	spi_arguments(fcinfo, 2, values, nulls);
	caller_query(&lock_query, values, nulls);
	locked = DatumGetArrayTypeP(result_column(1, &isnull));
	for (int i = 0; i < 2; i++)
		deals[i] = Int64GetDatum(int8_array_elements(locked)[i]);
}

/* merge_deals(survivor, duplicate, actor) returns the survivor. */
Datum
crm_deals_merge_deals(PG_FUNCTION_ARGS)
{
	WriteContext context = {.actor = text_argument(fcinfo, 2), .every_statement = true};
	Datum		values[3];
	bool		isnull;

	(void) installed_table("deal");
	SPI_connect();
	lock_to_merge(fcinfo, values);
	context.merged_into = DatumGetInt64(values[0]);
	(void) owner_query_run(&repoint_aliases_query, values, NULL);
	caller_query_in_context(&merge_query, values, NULL, &context);
	values[2] = result_column(1, &isnull);
	(void) owner_query_run(&add_alias_query, values, isnull ? "  n" : NULL);
	SPI_finish();
	PG_RETURN_INT64(context.merged_into);
}
