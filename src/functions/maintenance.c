/*
 * maintenance.c
 *		The two exceptions from the append-only log: pruning and redaction.
 *
 * The work is in sql/functions/maintenance.sql and runs as the owner of the
 * tables. The context "maintenance" makes the log accept these statements. It
 * does not accept a statement that a trigger runs inside them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/arguments.h"
#include "base/owner_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_prune_events);
PG_FUNCTION_INFO_V1(crm_deals_redact);

/* Runs the query as a statement that may change the log. */
static void
maintain(OwnerQuery *query, Datum *values, const char *nulls, WriteContext *context)
{
	context->maintenance = true;
	owner_query_run_in_context(query, values, nulls, context);
}

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
	WriteContext context = {0};
	int64		pruned;

	need_read_committed("prune_events()");
	SPI_connect();
	maintain(&prune_query, values, PG_ARGISNULL(0) ? "n " : NULL, &context);
	pruned = result_int64(1);
	SPI_finish();
	PG_RETURN_INT64(pruned);
}

static OwnerQuery redact_query = {
	.sql = "SELECT r.relation, pg_catalog.sum(r.rows)::pg_catalog.int8"
	" FROM crm_deals_internal.redact($1, $2, $3, $4) AS r GROUP BY 1 ORDER BY 1",
	.nargs = 4,
	.argtypes = {TEXTOID, INT8OID, INT8ARRAYOID, TEXTOID},
	.returns = RETURNS(TEXTOID, INT8OID),
};

/* redact(contact, lead, deals, actor, reason) returns the rows changed in each table. The reason becomes the note. */
Datum
crm_deals_redact(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = result_set_begin(fcinfo);
	WriteContext context = {.kind = "redacted", .note = text_argument(fcinfo, 4)};
	Datum		values[4];
	char		nulls[5];

	spi_arguments(fcinfo, 4, values, nulls);
	SPI_connect();
	maintain(&redact_query, values, nulls, &context);
	result_set_add_spi_rows(result);
	SPI_finish();
	return (Datum) 0;
}
