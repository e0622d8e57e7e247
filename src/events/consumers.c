/*
 * consumers.c
 *		Consumers of events, for callers who have no right to the log.
 *
 * The work is in sql/functions/consumers/ and runs as the owner of the
 * tables. The functions here call it. Of a deal that row security hides from
 * the caller, read_events() returns only ids.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "base/arguments.h"
#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "events/event_row.h"

PG_FUNCTION_INFO_V1(crm_deals_subscribe);
PG_FUNCTION_INFO_V1(crm_deals_read_events);
PG_FUNCTION_INFO_V1(crm_deals_ack_events);
PG_FUNCTION_INFO_V1(crm_deals_unsubscribe);

/* ----------
 * As the owner of the tables
 * ----------
 */

/* Runs the query as the owner of the tables, with the arguments of the call and the name of the caller's role. */
static void
run_for_caller(OwnerQuery *query, FunctionCallInfo fcinfo)
{
	Datum		values[KEPT_QUERY_MAX_ARGS];
	char		nulls[KEPT_QUERY_MAX_ARGS + 1];
	int			last = query->nargs - 1;
	NameData	caller;

	spi_arguments(fcinfo, last, values, nulls);
	namestrcpy(&caller, GetUserNameFromId(GetUserId(), false));
	values[last] = NameGetDatum(&caller);
	nulls[last] = ' ';
	nulls[query->nargs] = '\0';
	(void) owner_query_run(query, values, nulls);
}

/* Does the same in a connection of its own. Returns the result if it is a number. */
static int64
call_for_caller(OwnerQuery *query, FunctionCallInfo fcinfo)
{
	int64		number;

	SPI_connect();
	run_for_caller(query, fcinfo);
	number = SPI_tuptable->tupdesc->natts > 0 ? result_int64(1) : 0;
	SPI_finish();
	return number;
}

static OwnerQuery subscribe_query = {
	.sql = "SELECT FROM crm_deals_internal.subscribe($1, $2, $3, $4, $5)",
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTARRAYOID, BOOLOID, BOOLOID, NAMEOID},
	.is_guarded = true,
};

/* subscribe(consumer, kinds, from_start, include_imports) makes a consumer or changes what it reads. */
Datum
crm_deals_subscribe(PG_FUNCTION_ARGS)
{
	need_read_committed("subscribe()");
	(void) call_for_caller(&subscribe_query, fcinfo);
	PG_RETURN_VOID();
}

static OwnerQuery unsubscribe_query = {
	.sql = "SELECT FROM crm_deals_internal.unsubscribe($1, $2)",
	.nargs = 2,
	.argtypes = {TEXTOID, NAMEOID},
	.is_guarded = true,
};

/* unsubscribe(consumer) removes a consumer. */
Datum
crm_deals_unsubscribe(PG_FUNCTION_ARGS)
{
	(void) call_for_caller(&unsubscribe_query, fcinfo);
	PG_RETURN_VOID();
}

static OwnerQuery ack_query = {
	.sql = "SELECT crm_deals_internal.ack_events($1, $2, $3)",
	.nargs = 3,
	.argtypes = {TEXTOID, INT8OID, NAMEOID},
	.returns = RETURNS(INT8OID),
	.is_guarded = true,
};

/* ack_events(consumer, event_id) returns the number of events that it acknowledges. */
Datum
crm_deals_ack_events(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(call_for_caller(&ack_query, fcinfo));
}

/* ----------
 * What the caller may see of a batch
 * ----------
 */

static CallerQuery visible_query = {
	.sql = "SELECT d.id FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(INT8OID),
};

/* Returns the ids of the deals that the events are about. */
static Datum
deals_of(SPITupleTable *events, uint64 n)
{
	ArrayType  *ids = int8_array_create(n);
	bool		isnull;

	for (uint64 i = 0; i < n; i++)
		int8_array_elements(ids)[i] = DatumGetInt64(fact(events->vals[i], events->tupdesc, "deal_id", &isnull));
	return PointerGetDatum(ids);
}

/*
 * Returns the deals of these events that row security shows to the caller, or
 * NULL if it hides none. A caller who may not read deals at all sees none of
 * them.
 */
static HTAB *
deals_shown(SPITupleTable *events, uint64 n)
{
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(int64)};
	Oid			deal = installed_table("deal");
	HTAB	   *shown;

	if (!deals_are_hidden())
		return NULL;
	control.hcxt = CurrentMemoryContext;
	shown = hash_create("deals shown", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (pg_class_aclcheck(deal, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
	{
		Datum		ids = deals_of(events, n);

		caller_query(&visible_query, &ids, NULL);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			int64		id = row_int64(i, 1);

			(void) hash_search(shown, &id, HASH_ENTER, NULL);
		}
	}
	return shown;
}

/* ----------
 * Payloads
 * ----------
 */

/* Appends a column as a JSON text. */
static void
append_text_fact(StringInfo json, HeapTuple row, TupleDesc desc, const char *column)
{
	char	   *value = fact_text(row, desc, column);

	appendStringInfo(json, ", \"%s\": ", column);
	if (value != NULL)
		escape_json(json, value);
	else
		appendStringInfoString(json, "null");
}

/* Appends a column whose text is JSON already. */
static void
append_json_fact(StringInfo json, HeapTuple row, TupleDesc desc, const char *column)
{
	char	   *value = fact_text(row, desc, column);

	appendStringInfo(json, ", \"%s\": %s", column, value != NULL ? value : "null");
}

/* Appends a moment. */
static void
append_moment_fact(StringInfo json, HeapTuple row, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = fact(row, desc, column, &isnull);
	char		text[MAXDATELEN + 1];

	if (isnull)
		appendStringInfo(json, ", \"%s\": null", column);
	else
		appendStringInfo(json, ", \"%s\": \"%s\"", column,
						 JsonEncodeDateTime(text, value, TIMESTAMPTZOID, NULL));
}

/* Returns the payload: what a notification says of the event, and more. */
static Datum
payload_of(HeapTuple row, TupleDesc desc, bool ids_only)
{
	EventFacts	facts = event_facts(row, desc);
	StringInfoData json;

	facts.event = fact_text(row, desc, "kind");
	initStringInfo(&json);
	appendStringInfoString(&json, event_payload(&facts, ids_only));
	if (!ids_only)
	{
		json.data[--json.len] = '\0';	/* the closing brace */
		append_json_fact(&json, row, desc, "changes");
		append_text_fact(&json, row, desc, "note");
		append_text_fact(&json, row, desc, "external_id");
		append_json_fact(&json, row, desc, "account_id");
		append_text_fact(&json, row, desc, "owner");
		append_text_fact(&json, row, desc, "lost_reason");
		append_moment_fact(&json, row, desc, "closed_at");
		appendStringInfoChar(&json, '}');
	}
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* ----------
 * read_events
 * ----------
 */

/* Refuses arguments and transactions with which read_events() does not work. */
static void
check_reading(FunctionCallInfo fcinfo)
{
	static const Interval none = {0};

	PreventCommandIfReadOnly("read_events()");
	need_read_committed("read_events()");
	if (PG_ARGISNULL(1) || PG_GETARG_INT32(1) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must be at least 1")));
	if (!PG_ARGISNULL(2) &&
		!DatumGetBool(DirectFunctionCall2(interval_gt, PG_GETARG_DATUM(2), IntervalPGetDatum(&none))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lease must be longer than nothing")));
}

static OwnerQuery read_query = {
	.sql = "SELECT crm_deals_internal.read_events($1, $2, $3, $4)",
	.nargs = 4,
	.argtypes = {TEXTOID, INT4OID, INTERVALOID, NAMEOID},
	.returns = RETURNS(INT8ARRAYOID),
	.is_guarded = true,
};

/* Adds the event to the result, with ids alone if the caller may not see its deal. */
static void
return_event(ReturnSetInfo *result, HeapTuple row, TupleDesc desc, HTAB *shown)
{
	static const char *const columns[] = {"id", "deal_id", "kind", "occurred_at"};
	Datum		values[lengthof(columns) + 1];
	bool		isnull[lengthof(columns) + 1] = {0};
	int64		deal_id;

	for (size_t i = 0; i < lengthof(columns); i++)
		values[i] = fact(row, desc, columns[i], &isnull[i]);
	deal_id = DatumGetInt64(values[1]);
	values[lengthof(columns)] = payload_of(row, desc, shown != NULL &&
										   hash_search(shown, &deal_id, HASH_FIND, NULL) == NULL);
	result_set_add(result, values, isnull);
}

/* read_events(consumer, max_events, lease) takes the next events of the consumer and returns them. */
Datum
crm_deals_read_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result;
	SPITupleTable *events;
	uint64		n;
	HTAB	   *shown;
	MemoryContext per_event;

	check_reading(fcinfo);
	result = result_set_begin(fcinfo);
	SPI_connect();
	run_for_caller(&read_query, fcinfo);
	load_taken_events();
	events = SPI_tuptable;
	n = SPI_processed;
	shown = n > 0 ? deals_shown(events, n) : NULL;
	per_event = AllocSetContextCreate(CurrentMemoryContext, "crm_deals event", ALLOCSET_DEFAULT_SIZES);
	for (uint64 i = 0; i < n; i++)
	{
		MemoryContext caller = MemoryContextSwitchTo(per_event);

		CHECK_FOR_INTERRUPTS();
		return_event(result, events->vals[i], events->tupdesc, shown);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(per_event);
	}
	SPI_finish();
	return (Datum) 0;
}
