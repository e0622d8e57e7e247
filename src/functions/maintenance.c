/*
 * maintenance.c
 *		prune_events(), one of the two exceptions from the append-only log.
 *
 * The work is in sql/functions/maintenance.sql and runs as the owner of the
 * tables. The context "maintenance" makes the log accept these statements. It
 * does not accept a statement that a trigger runs inside them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/owner_query.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_prune_events);

static OwnerQuery prune_query = {
	.sql = "SELECT crm_deals_internal.prune_events($1, $2)",
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, TEXTOID},
	.returns = RETURNS(INT8OID),
};

/* prune_events(before) returns the number of events that it removed. */
Datum
crm_deals_prune_events(PG_FUNCTION_ARGS)
{
	Datum		values[2] = {PG_GETARG_DATUM(0), CStringGetTextDatum(current_actor())};
	WriteContext context = {.maintenance = true};
	int64		pruned;

	need_read_committed("prune_events()");
	SPI_connect();
	owner_query_run_in_context(&prune_query, values, PG_ARGISNULL(0) ? "n " : NULL, &context);
	pruned = result_int64(1);
	SPI_finish();
	PG_RETURN_INT64(pruned);
}
