/*
 * corrections.c
 *		A batch undone, a deleted deal brought back, two deals that are one.
 *
 * What they do is in sql/functions/corrections.sql and runs as the caller: its
 * rights, row security and triggers hold as for any statement.  Here the rules
 * are told what the statements mean, and aliases, which no caller may write, are
 * written as the owner of the tables.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/compat.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_undo_batch);
PG_FUNCTION_INFO_V1(crm_deals_restore_deal);
PG_FUNCTION_INFO_V1(crm_deals_merge_deals);

static const char *
actor_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* ----------
 * Undo and restore
 * ----------
 */

static CallerQuery undo_query = {
	.sql = "SELECT u.deal_id, u.outcome, u.detail FROM crm_deals_internal.undo_batch($1) AS u",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* undo_batch(batch_id, actor) */
Datum
crm_deals_undo_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WriteContext context = {.actor = actor_argument(fcinfo, 1), .kind = "reverted", .restores = true, .every_statement = true};
	Datum		batch = PG_GETARG_DATUM(0);

	(void) installed_table("deal");
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	caller_query_in_context(&undo_query, &batch, PG_ARGISNULL(0) ? "n" : NULL, &context);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	return (Datum) 0;
}

static CallerQuery restore_query = {
	.sql = "SELECT crm_deals_internal.restore_deal($1)",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* restore_deal(deal_id, actor) */
Datum
crm_deals_restore_deal(PG_FUNCTION_ARGS)
{
	WriteContext context = {.actor = actor_argument(fcinfo, 1), .kind = "reverted", .restores = true, .every_statement = true};
	Datum		id = PG_GETARG_DATUM(0);

	(void) installed_table("deal");
	SPI_connect();
	caller_query_in_context(&restore_query, &id, PG_ARGISNULL(0) ? "n" : NULL, &context);
	SPI_finish();
	return id;
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

/* Before the duplicate goes, whose aliases would go with it */
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

/* The two, aliases followed */
static void
lock_to_merge(FunctionCallInfo fcinfo, Datum *deals)
{
	Datum		values[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	char		nulls[] = {PG_ARGISNULL(0) ? 'n' : ' ', PG_ARGISNULL(1) ? 'n' : ' ', '\0'};
	bool		isnull;
	ArrayType  *locked;

	caller_query(&lock_query, values, nulls);
	locked = DatumGetArrayTypeP(result_column(1, &isnull));
	for (int i = 0; i < 2; i++)
		deals[i] = Int64GetDatum(((int64 *) ARR_DATA_PTR(locked))[i]);
}

/* merge_deals(survivor, duplicate, actor) */
Datum
crm_deals_merge_deals(PG_FUNCTION_ARGS)
{
	WriteContext context = {.actor = actor_argument(fcinfo, 2), .every_statement = true};
	Datum		values[3];
	bool		isnull;

	(void) installed_table("deal");
	SPI_connect();
	lock_to_merge(fcinfo, values);
	context.merged_into = DatumGetInt64(values[0]);
	(void) owner_query_write(&repoint_aliases_query, values, NULL);
	caller_query_in_context(&merge_query, values, NULL, &context);
	values[2] = result_column(1, &isnull);
	(void) owner_query_write(&add_alias_query, values, isnull ? "  n" : NULL);
	SPI_finish();
	return values[0];
}
