/*
 * maintenance.c
 *		The two exceptions from the append-only log: pruning and redaction.
 *
 * What they do is in sql/functions/maintenance.sql and runs as the owner of the
 * tables.  The log lets them, and no statement that a trigger runs inside them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_prune_events);
PG_FUNCTION_INFO_V1(crm_deals_redact);

static void
maintain(OwnerQuery *query, Datum *values, const char *nulls, WriteContext *context)
{
	(void) installed_table("log_pruning");
	context->maintenance = true;
	(void) owner_query_write_in_context(query, values, nulls, context);
}

static OwnerQuery prune_query = {
	.sql = "SELECT crm_deals_internal.prune_events($1, $2)",
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, TEXTOID},
};

Datum
crm_deals_prune_events(PG_FUNCTION_ARGS)
{
	Datum		values[2] = {PG_GETARG_DATUM(0), CStringGetTextDatum(current_actor())};
	WriteContext context = {0};
	Datum		pruned;
	bool		isnull;

	need_read_committed("prune_events()");
	SPI_connect();
	maintain(&prune_query, values, PG_ARGISNULL(0) ? "n " : NULL, &context);
	pruned = result_column(1, &isnull);
	SPI_finish();
	PG_RETURN_DATUM(pruned);
}

static OwnerQuery redact_query = {
	.sql = "SELECT r.relation, pg_catalog.sum(r.rows)::pg_catalog.int8"
	" FROM crm_deals_internal.redact($1, $2, $3, $4) AS r GROUP BY 1 ORDER BY 1",
	.nargs = 4,
	.argtypes = {TEXTOID, INT8OID, INT8ARRAYOID, TEXTOID},
};

/* redact(contact, lead, deals, actor, reason): the reason is the note of the events */
Datum
crm_deals_redact(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	WriteContext context = {.kind = "redacted"};
	Datum		values[4];
	char		nulls[5] = {0};

	for (int i = 0; i < 4; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	if (!PG_ARGISNULL(4))
		context.note = text_to_cstring(PG_GETARG_TEXT_PP(4));
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	maintain(&redact_query, values, nulls, &context);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
	return (Datum) 0;
}
