/*
 * field_index.c
 *		Indexes on custom fields.
 *
 * The work is in sql/functions/custom_fields.sql and runs as the owner of the
 * tables. Only the owner of a table may create an index on it, but everyone
 * who may define a custom field may index it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

#include "base/arguments.h"
#include "base/owner_query.h"
#include "base/spi_result.h"

PG_FUNCTION_INFO_V1(crm_deals_index_custom_field);

static OwnerQuery index_query = {
	.sql = "SELECT crm_deals_internal.index_custom_field($1, $2)",
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
	.returns = RETURNS(REGCLASSOID),
};

/* index_custom_field(entity, key) returns the index. */
Datum
crm_deals_index_custom_field(PG_FUNCTION_ARGS)
{
	Datum		values[2];
	char		nulls[3];
	Oid			index;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("index_custom_field needs an entity and a key")));
	spi_arguments(fcinfo, 2, values, nulls);
	SPI_connect();
	(void) owner_query_run(&index_query, values, nulls);
	index = DatumGetObjectId(needed_value("custom_field", 0, 1));
	SPI_finish();
	PG_RETURN_OID(index);
}
