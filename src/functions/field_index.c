/*
 * field_index.c
 *		Indexes on custom fields.
 *
 * What they are is in sql/functions/custom_fields.sql and runs as the owner of
 * the tables: an index takes its owner, a definition only a level of access.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/spi_result.h"

PG_FUNCTION_INFO_V1(crm_deals_index_custom_field);

static OwnerQuery index_query = {
	.sql = "SELECT crm_deals_internal.index_custom_field($1, $2)",
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};

/* index_custom_field(entity, key): the index */
Datum
crm_deals_index_custom_field(PG_FUNCTION_ARGS)
{
	Datum		values[2];
	Datum		index;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("index_custom_field needs an entity and a key")));
	(void) installed_table("custom_field");
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	SPI_connect();
	(void) owner_query_write(&index_query, values, NULL);
	index = result_column(1, &isnull);
	SPI_finish();
	PG_RETURN_DATUM(index);
}
