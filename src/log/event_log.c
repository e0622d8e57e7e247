/*
 * event_log.c
 *		Appends the events of one statement at a time to the log.
 *
 * Events gather in a tuplestore, which spills to disk.  One INSERT … SELECT with
 * a kept plan writes them, so that indexes, defaults and triggers work that the
 * owner of the log added.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

#include "base/arrays.h"
#include "base/compat.h"
#include "base/deal_row.h"
#include "base/owner_query.h"
#include "log/event_ids.h"
#include "log/event_log.h"
#include "log/log_transaction.h"

/* The columns of the log: FIRST begins the list, NEXT goes on.  The rest of this file derives everything from it. */
#define EVENT_COLUMNS(FIRST, NEXT) \
	FIRST(EVENT_ID, id, INT8OID) \
	NEXT(EVENT_BATCH_ID, batch_id, INT8OID) \
	NEXT(EVENT_DEAL_ID, deal_id, INT8OID) \
	NEXT(EVENT_VERSION, version, INT4OID) \
	NEXT(EVENT_KIND, kind, TEXTOID) \
	NEXT(EVENT_OCCURRED_AT, occurred_at, TIMESTAMPTZOID) \
	NEXT(EVENT_ACTOR, actor, TEXTOID) \
	NEXT(EVENT_SESSION_USER_NAME, session_user_name, TEXTOID) \
	NEXT(EVENT_PIPELINE_ID, pipeline_id, INT8OID) \
	NEXT(EVENT_FROM_STAGE_ID, from_stage_id, INT8OID) \
	NEXT(EVENT_TO_STAGE_ID, to_stage_id, INT8OID) \
	NEXT(EVENT_FROM_STATUS, from_status, DEAL_STATUS_OID) \
	NEXT(EVENT_STATUS, status, DEAL_STATUS_OID) \
	NEXT(EVENT_AMOUNT, amount, NUMERICOID) \
	NEXT(EVENT_CURRENCY, currency, TEXTOID) \
	NEXT(EVENT_PROBABILITY, probability, NUMERICOID) \
	NEXT(EVENT_EXPECTED_CLOSE_DATE, expected_close_date, DATEOID) \
	NEXT(EVENT_OWNER, owner, TEXTOID) \
	NEXT(EVENT_LOST_REASON, lost_reason, TEXTOID) \
	NEXT(EVENT_CHANGES, changes, JSONBOID) \
	NEXT(EVENT_BYPASSED, bypassed, TEXTARRAYOID) \
	NEXT(EVENT_NOTE, note, TEXTOID) \
	NEXT(EVENT_TRANSACTION, transaction, XID8OID) \
	NEXT(EVENT_DISPATCH, dispatch, TEXTOID) \
	NEXT(EVENT_ORIGIN, origin, TEXTOID) \
	NEXT(EVENT_MERGED_INTO, merged_into, INT8OID)

#define DEAL_STATUS_OID		InvalidOid	/* stands for the enum, whose OID differs between databases */

#define COLUMN_NUMBER(number, name, type)	number,
#define COLUMN_TYPE(number, name, type)		{#name, type},
#define COLUMN_NAME(number, name, type)		#name
#define NEXT_COLUMN_NAME(number, name, type) ", " #name

enum
{
	EVENT_COLUMNS(COLUMN_NUMBER, COLUMN_NUMBER)
	N_EVENT_COLUMNS
};

static const struct
{
	const char *name;
	Oid			type;
}			event_columns[N_EVENT_COLUMNS] = {
	EVENT_COLUMNS(COLUMN_TYPE, COLUMN_TYPE)
};

#define COLUMN_NAMES EVENT_COLUMNS(COLUMN_NAME, NEXT_COLUMN_NAME)

static OwnerQuery insert_query = {
	.sql = "INSERT INTO crm_deals.deal_event (" COLUMN_NAMES ") OVERRIDING SYSTEM VALUE"
	" SELECT " COLUMN_NAMES " FROM crm_deals_new_events",
};

/* ----------
 * Gathering
 * ----------
 */

struct EventBatch
{
	LogStatement *statement;
	TupleDesc	desc;
	Tuplestorestate *events;
	Oid			id_sequence;
	Datum		actor;
	Datum		session_user_name;
	Datum		transaction;
};

/* Returns the descriptor of the events.  It is made once, and again if deal_status is another type. */
static TupleDesc
event_descriptor(const DealTable *table)
{
	static TupleDesc desc = NULL;
	static Oid	status_type = InvalidOid;
	MemoryContext caller;

	if (status_type == table->status_type)
		return desc;
	caller = MemoryContextSwitchTo(TopMemoryContext);
	desc = CreateTemplateTupleDesc(N_EVENT_COLUMNS);
	for (int i = 0; i < N_EVENT_COLUMNS; i++)
		TupleDescInitEntry(desc, i + 1, event_columns[i].name,
						   OidIsValid(event_columns[i].type) ? event_columns[i].type : table->status_type, -1, 0);
	TupleDescFinalize(desc);
	MemoryContextSwitchTo(caller);
	status_type = table->status_type;
	return desc;
}

/* Begins the events of the running statement. */
EventBatch *
event_batch_begin(const DealTable *table, const char *actor)
{
	EventBatch *batch = palloc0(sizeof(EventBatch));

	batch->statement = running_statement();
	batch->desc = event_descriptor(table);
	batch->events = tuplestore_begin_heap(false, false, work_mem);
	batch->id_sequence = event_id_sequence();
	batch->actor = CStringGetTextDatum(actor);
	batch->session_user_name = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	batch->transaction = FullTransactionIdGetDatum(log_transaction());
	return batch;
}

/* Makes the events those of an earlier batch. */
void
event_batch_join(EventBatch *batch, int64 batch_id)
{
	batch_of_statement_is(batch->statement, batch_id);
}

/* Returns the batch, 0 before its first event. */
int64
event_batch_id(const EventBatch *batch)
{
	return batch_of_statement(batch->statement);
}

/* Returns the owner as text; it may be a key of a host table. */
static Datum
owner_as_text(const DealRow *row)
{
	Oid			type = TupleDescAttr(row->desc, deal_index(row, DEAL_OWNER))->atttypid;
	Oid			output;
	bool		is_varlena;

	if (type == TEXTOID)
		return deal_get(row, DEAL_OWNER);
	getTypeOutputInfo(type, &output, &is_varlena);
	return CStringGetTextDatum(OidOutputFunctionCall(output, deal_get(row, DEAL_OWNER)));
}

typedef struct EventTuple
{
	Datum		values[N_EVENT_COLUMNS];
	bool		isnull[N_EVENT_COLUMNS];
} EventTuple;

/* Sets a column of the event. */
static void
put(EventTuple *tuple, int column, Datum value)
{
	tuple->values[column] = value;
	tuple->isnull[column] = false;
}

/* Puts a column of the deal into the event, unless it is NULL. */
static void
put_from(EventTuple *tuple, int column, const DealRow *row, DealColumn source)
{
	if (!deal_isnull(row, source))
		put(tuple, column, source == DEAL_OWNER ? owner_as_text(row) : deal_get(row, source));
}

/* Puts where the deal was before. */
static void
put_before(EventTuple *tuple, const DealRow *old)
{
	put_from(tuple, EVENT_FROM_STAGE_ID, old, DEAL_STAGE_ID);
	put_from(tuple, EVENT_FROM_STATUS, old, DEAL_STATUS);
}

/* Puts where the deal is now, and its tracked values. */
static void
put_after(EventTuple *tuple, const DealRow *new)
{
	put_from(tuple, EVENT_TO_STAGE_ID, new, DEAL_STAGE_ID);
	put_from(tuple, EVENT_STATUS, new, DEAL_STATUS);
	put_from(tuple, EVENT_AMOUNT, new, DEAL_AMOUNT);
	put_from(tuple, EVENT_CURRENCY, new, DEAL_CURRENCY);
	put_from(tuple, EVENT_PROBABILITY, new, DEAL_PROBABILITY);
	put_from(tuple, EVENT_EXPECTED_CLOSE_DATE, new, DEAL_EXPECTED_CLOSE_DATE);
	put_from(tuple, EVENT_OWNER, new, DEAL_OWNER);
	put_from(tuple, EVENT_LOST_REASON, new, DEAL_LOST_REASON);
}

/* Adds an event to the batch and gives it its id. */
void
event_batch_add(EventBatch *batch, DealEvent *event)
{
	const DealRow *any = event->new != NULL ? event->new : event->old;
	EventTuple	tuple;

	event_ids_take(batch->statement, event, batch->id_sequence);
	memset(tuple.isnull, true, sizeof(tuple.isnull));
	put(&tuple, EVENT_ID, Int64GetDatum(event->id));
	put(&tuple, EVENT_BATCH_ID, Int64GetDatum(batch_of_statement(batch->statement)));
	put(&tuple, EVENT_DEAL_ID, deal_value(any, DEAL_ID));
	put(&tuple, EVENT_VERSION, Int32GetDatum(event->version));
	put(&tuple, EVENT_KIND, CStringGetTextDatum(event->kind));
	put(&tuple, EVENT_OCCURRED_AT, TimestampTzGetDatum(event->occurred_at));
	put(&tuple, EVENT_ACTOR, batch->actor);
	put(&tuple, EVENT_SESSION_USER_NAME, batch->session_user_name);
	put(&tuple, EVENT_PIPELINE_ID, deal_value(any, DEAL_PIPELINE_ID));
	if (event->old != NULL)
		put_before(&tuple, event->old);
	if (event->new != NULL)
		put_after(&tuple, event->new);
	put(&tuple, EVENT_CHANGES, JsonbPGetDatum(event->changes));
	if (event->bypassed != NIL)
		put(&tuple, EVENT_BYPASSED, text_array(event->bypassed));
	if (event->note != NULL)
		put(&tuple, EVENT_NOTE, CStringGetTextDatum(event->note));
	put(&tuple, EVENT_TRANSACTION, batch->transaction);
	if (event->dispatch != NULL)
		put(&tuple, EVENT_DISPATCH, CStringGetTextDatum(event->dispatch));
	put(&tuple, EVENT_ORIGIN, CStringGetTextDatum(event->imported ? "import" : "live"));
	if (event->merged_into != 0)
		put(&tuple, EVENT_MERGED_INTO, Int64GetDatum(event->merged_into));
	tuplestore_putvalues(batch->events, batch->desc, tuple.values, tuple.isnull);
}

/* ----------
 * Writing
 * ----------
 */

/* Describes a key that the log has already without saying whose: the deal may be hidden from the writer. */
static void
hide_key(void *arg)
{
	(void) arg;
	if (geterrcode() == ERRCODE_UNIQUE_VIOLATION)
		errdetail("The log has an event of this version of the deal already. The id of a deal is not used again.");
}

/* Writes the events to the log and returns their number. */
int64
event_batch_write(EventBatch *batch)
{
	ErrorContextCallback hiding = {.previous = error_context_stack, .callback = hide_key};
	EphemeralNamedRelationData relation = {0};
	int64		count = tuplestore_tuple_count(batch->events);

	relation.md.name = "crm_deals_new_events";
	relation.md.tupdesc = batch->desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = 1;	/* so one plan serves one event and a million */
	relation.reldata = batch->events;

	if (count > 0)
	{
		SPI_connect();
		if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
			elog(ERROR, "could not register the new events");
		error_context_stack = &hiding;
		(void) owner_query_run(&insert_query, NULL, NULL);
		error_context_stack = hiding.previous;
		SPI_finish();
	}
	tuplestore_end(batch->events);
	return count;
}
