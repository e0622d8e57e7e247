/*
 * event_row.c
 *		Logged events, as the queries on the log return them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "events/event_row.h"

static OwnerQuery facts_query = {
	.sql = "SELECT f.* FROM crm_deals_internal.event_facts($1) AS f",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

/* A statement of its own, which sees all that the taking saw */
void
load_taken_events(void)
{
	bool		isnull;
	Datum		ids = result_column(1, &isnull);
	ArrayType  *array = DatumGetArrayTypeP(ids);
	uint64		n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	(void) owner_query_write(&facts_query, &ids, NULL);
	if (SPI_processed != n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("events that a consumer waits for are gone from the log"),
				 errhint("Something removed them other than prune_events(). Unsubscribe and subscribe again to go on.")));
}

static int
column_number(TupleDesc desc, const char *column)
{
	int			number = SPI_fnumber(desc, column);

	if (number <= 0)
		elog(ERROR, "an event without column \"%s\"", column);
	return number;
}

char *
fact_text(HeapTuple row, TupleDesc desc, const char *column)
{
	return SPI_getvalue(row, desc, column_number(desc, column));
}

Datum
fact(HeapTuple row, TupleDesc desc, const char *column, bool *isnull)
{
	return SPI_getbinval(row, desc, column_number(desc, column), isnull);
}

static int64
fact_int64(HeapTuple row, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = fact(row, desc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static DealStatus
fact_status(HeapTuple row, TupleDesc desc, const char *column)
{
	char	   *status = fact_text(row, desc, column);

	return status != NULL ? deal_status_by_name(status) : STATUS_OPEN;
}

EventFacts
event_facts(HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	EventFacts	facts = {
		.event_id = fact_int64(row, desc, "id"),
		.batch_id = fact_int64(row, desc, "batch_id"),
		.deal_id = fact_int64(row, desc, "deal_id"),
		.deal_name = fact_text(row, desc, "deal_name"),
		.pipeline_id = fact_int64(row, desc, "pipeline_id"),
		.old_stage = {
			.id = fact_int64(row, desc, "old_stage_id"),
			.key = fact_text(row, desc, "old_stage_key"),
			.name = fact_text(row, desc, "old_stage_name"),
		},
		.new_stage = {
			.id = fact_int64(row, desc, "new_stage_id"),
			.key = fact_text(row, desc, "new_stage_key"),
			.name = fact_text(row, desc, "new_stage_name"),
		},
		.status = fact_text(row, desc, "status"),
		.amount = fact_text(row, desc, "amount"),
		.currency = fact_text(row, desc, "currency"),
		.actor = fact_text(row, desc, "actor"),
		.occurred_at = DatumGetTimestampTz(fact(row, desc, "occurred_at", &isnull)),
	};

	return facts;
}

Channels
event_channels(HeapTuple row, TupleDesc desc)
{
	int64		to_stage = fact_int64(row, desc, "new_stage_id");

	if (to_stage == 0)
		return 0;
	return channels_of(fact_int64(row, desc, "old_stage_id"), fact_status(row, desc, "old_status"),
					   to_stage, fact_status(row, desc, "status"));
}
