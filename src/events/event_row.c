/*
 * event_row.c
 *		Rows of crm_deals_internal.event_facts(): events of the log with names of their time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/arrays.h"
#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "events/event_row.h"

static OwnerQuery facts_query = {
	.sql = "SELECT f.* FROM crm_deals_internal.event_facts($1) AS f",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, INT8OID,
					   TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID,
					   TEXTOID, JSONBOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, XID8OID, TEXTOID),
};

/*
 * Loads the facts of the events whose ids the last query returned. It is a
 * statement of its own, so it sees all that the taking query saw.
 */
void
load_taken_events(void)
{
	Datum		ids = needed_value("event_consumer", 0, 1);
	int			n = int8_array_length(DatumGetArrayTypeP(ids));

	(void) owner_query_run(&facts_query, &ids, NULL);
	if (SPI_processed != (uint64) n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("events that a consumer waits for are gone from the log"),
				 errhint("Something other than prune_events() removed them. "
						 "Unsubscribe and subscribe again to go on.")));
}

/* Returns the number of the column. */
static int
column_number(TupleDesc desc, const char *column)
{
	int			number = SPI_fnumber(desc, column);

	if (number <= 0)
		elog(ERROR, "event_facts() has no column \"%s\"", column);
	return number;
}

/* Returns a column as text, or NULL. */
char *
fact_text(HeapTuple row, TupleDesc desc, const char *column)
{
	return SPI_getvalue(row, desc, column_number(desc, column));
}

/* Returns a column. */
Datum
fact(HeapTuple row, TupleDesc desc, const char *column, bool *isnull)
{
	return SPI_getbinval(row, desc, column_number(desc, column), isnull);
}

/* Returns a number; 0 stands for NULL. */
static int64
fact_int64(HeapTuple row, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = fact(row, desc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* Returns a status; STATUS_OPEN stands for NULL. */
static DealStatus
fact_status(HeapTuple row, TupleDesc desc, const char *column)
{
	char	   *status = fact_text(row, desc, column);

	return status != NULL ? deal_status_by_name(status) : STATUS_OPEN;
}

/* Returns what a payload says of the event, without the name of the event. */
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

/* Returns the channels that the event concerns. */
Channels
event_channels(HeapTuple row, TupleDesc desc)
{
	int64		to_stage = fact_int64(row, desc, "new_stage_id");

	if (to_stage == 0)
		return 0;
	return channels_of(fact_int64(row, desc, "old_stage_id"), fact_status(row, desc, "old_status"),
					   to_stage, fact_status(row, desc, "status"));
}
