/*
 * event_log.c
 *		Appending to the log: the events of one statement at a time.
 *
 * Events gather in a tuplestore, which spills to disk, and go into the log by
 * one INSERT … SELECT through a kept plan: the log keeps its own indexes,
 * defaults and triggers, whatever its owner added.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "deal_row.h"
#include "event_log.h"
#include "owner_query.h"
#include "settings.h"
#include "write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_append_only);

enum
{
	EVENT_ID,
	EVENT_BATCH_ID,
	EVENT_DEAL_ID,
	EVENT_VERSION,
	EVENT_KIND,
	EVENT_OCCURRED_AT,
	EVENT_ACTOR,
	EVENT_SESSION_USER_NAME,
	EVENT_PIPELINE_ID,
	EVENT_FROM_STAGE_ID,
	EVENT_TO_STAGE_ID,
	EVENT_FROM_STATUS,
	EVENT_STATUS,
	EVENT_AMOUNT,
	EVENT_CURRENCY,
	EVENT_PROBABILITY,
	EVENT_EXPECTED_CLOSE_DATE,
	EVENT_OWNER,
	EVENT_LOST_REASON,
	EVENT_CHANGES,
	EVENT_BYPASSED,
	EVENT_NOTE,
	N_EVENT_COLUMNS
};

/* In the order of the enum above */
static const struct
{
	const char *name;
	Oid			type;			/* InvalidOid: deal_status */
}			event_columns[N_EVENT_COLUMNS] = {
	{"id", INT8OID},
	{"batch_id", INT8OID},
	{"deal_id", INT8OID},
	{"version", INT4OID},
	{"kind", TEXTOID},
	{"occurred_at", TIMESTAMPTZOID},
	{"actor", TEXTOID},
	{"session_user_name", TEXTOID},
	{"pipeline_id", INT8OID},
	{"from_stage_id", INT8OID},
	{"to_stage_id", INT8OID},
	{"from_status", InvalidOid},
	{"status", InvalidOid},
	{"amount", NUMERICOID},
	{"currency", TEXTOID},
	{"probability", NUMERICOID},
	{"expected_close_date", DATEOID},
	{"owner", TEXTOID},
	{"lost_reason", TEXTOID},
	{"changes", JSONBOID},
	{"bypassed", TEXTARRAYOID},
	{"note", TEXTOID},
};

static OwnerQuery insert_query = {
	.sql = "INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at,"
	" actor, session_user_name, pipeline_id, from_stage_id, to_stage_id, from_status, status,"
	" amount, currency, probability, expected_close_date, owner, lost_reason, changes, bypassed, note)"
	" OVERRIDING SYSTEM VALUE "
	"SELECT id, batch_id, deal_id, version, kind, occurred_at,"
	" actor, session_user_name, pipeline_id, from_stage_id, to_stage_id, from_status, status,"
	" amount, currency, probability, expected_close_date, owner, lost_reason, changes, bypassed, note "
	"FROM crm_deals_new_events",
};

struct EventBatch
{
	int64		id;				/* 0 until the first event */
	TupleDesc	desc;
	Tuplestorestate *events;
	Oid			id_sequence;
	Datum		actor;
	Datum		session_user_name;
};

/* ----------
 * One number a statement
 * ----------
 */

/*
 * MERGE, upserts and WITH fire several of our triggers in one statement.  They
 * run at one trigger depth, with nothing of ours between them at that depth.
 */
typedef struct StatementBatch
{
	LocalTransactionId transaction;
	CommandId	command;
	int64		batch_id;
} StatementBatch;

#define N_DEPTHS 16

static StatementBatch *
batch_of_statement(void)
{
	static StatementBatch batches[N_DEPTHS];
	static StatementBatch deeper;
	int			depth = trigger_depth();
	StatementBatch *batch = depth < N_DEPTHS ? &batches[depth] : &deeper;

	if (batch->transaction != my_lxid() || batch->command != statement_command() || depth >= N_DEPTHS)
	{
		batch->transaction = my_lxid();
		batch->command = statement_command();
		batch->batch_id = 0;
	}
	return batch;
}

/* ----------
 * Gathering
 * ----------
 */

/* Made once, and again where deal_status is another type */
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

EventBatch *
event_batch_begin(const DealTable *table, const char *actor)
{
	EventBatch *batch = palloc0(sizeof(EventBatch));

	batch->id = batch_of_statement()->batch_id;
	batch->desc = event_descriptor(table);
	batch->events = tuplestore_begin_heap(false, false, work_mem);
	batch->id_sequence = event_id_sequence();
	batch->actor = CStringGetTextDatum(actor);
	batch->session_user_name = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	return batch;
}

int64
event_batch_id(const EventBatch *batch)
{
	return batch->id;
}

static Datum
text_array(List *texts)
{
	Datum	   *elements = palloc(sizeof(Datum) * list_length(texts));
	ListCell   *cell;

	foreach(cell, texts)
		elements[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, list_length(texts), TEXTOID, -1, false, TYPALIGN_INT));
}

/* The host's key of an owner, as text */
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

static void
put(EventTuple *tuple, int column, Datum value)
{
	tuple->values[column] = value;
	tuple->isnull[column] = false;
}

static void
put_from(EventTuple *tuple, int column, const DealRow *row, DealColumn source)
{
	if (!deal_isnull(row, source))
		put(tuple, column, source == DEAL_OWNER ? owner_as_text(row) : deal_get(row, source));
}

static void
put_before(EventTuple *tuple, const DealRow *old)
{
	put_from(tuple, EVENT_FROM_STAGE_ID, old, DEAL_STAGE_ID);
	put_from(tuple, EVENT_FROM_STATUS, old, DEAL_STATUS);
}

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

void
event_batch_add(EventBatch *batch, DealEvent *event)
{
	const DealRow *any = event->new != NULL ? event->new : event->old;
	EventTuple	tuple;

	event->id = nextval_internal(batch->id_sequence, false);
	if (batch->id == 0)
		batch->id = batch_of_statement()->batch_id = event->id;

	memset(tuple.isnull, true, sizeof(tuple.isnull));
	put(&tuple, EVENT_ID, Int64GetDatum(event->id));
	put(&tuple, EVENT_BATCH_ID, Int64GetDatum(batch->id));
	put(&tuple, EVENT_DEAL_ID, deal_get(any, DEAL_ID));
	put(&tuple, EVENT_VERSION, Int32GetDatum(event->version));
	put(&tuple, EVENT_KIND, CStringGetTextDatum(event->kind));
	put(&tuple, EVENT_OCCURRED_AT, TimestampTzGetDatum(event->occurred_at));
	put(&tuple, EVENT_ACTOR, batch->actor);
	put(&tuple, EVENT_SESSION_USER_NAME, batch->session_user_name);
	put(&tuple, EVENT_PIPELINE_ID, deal_get(any, DEAL_PIPELINE_ID));
	if (event->old != NULL)
		put_before(&tuple, event->old);
	if (event->new != NULL)
		put_after(&tuple, event->new);
	put(&tuple, EVENT_CHANGES, JsonbPGetDatum(event->changes));
	if (event->bypassed != NIL)
		put(&tuple, EVENT_BYPASSED, text_array(event->bypassed));
	if (event->note != NULL)
		put(&tuple, EVENT_NOTE, CStringGetTextDatum(event->note));
	tuplestore_putvalues(batch->events, batch->desc, tuple.values, tuple.isnull);
}

/* ----------
 * Writing
 * ----------
 */

int64
event_batch_write(EventBatch *batch)
{
	EphemeralNamedRelationData relation = {0};
	int64		count = tuplestore_tuple_count(batch->events);

	relation.md.name = "crm_deals_new_events";
	relation.md.tupdesc = batch->desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = 1;	/* one plan for one event and for a million */
	relation.reldata = batch->events;

	if (count > 0)
	{
		SPI_connect();
		if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
			elog(ERROR, "could not register the new events");
		(void) owner_query_write(&insert_query, NULL, NULL);
		SPI_finish();
	}
	tuplestore_end(batch->events);
	return count;
}

/* ----------
 * Append-only
 * ----------
 */

Datum
crm_deals_append_only(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"deal_event", "deal", NULL};
	TriggerData *data = trigger_data(fcinfo, BEFORE_STATEMENT, tables);

	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) && setting_allow_truncate)
		return PointerGetDatum(NULL);

	if (strcmp(RelationGetRelationName(data->tg_relation), "deal") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("deals are not truncated"),
				 errdetail("TRUNCATE would leave no trace in the log."),
				 errhint("Use DELETE, or in a test suite, as superuser, set crm_deals.allow_truncate."),
				 errtable(data->tg_relation)));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the log of deals is append-only"),
			 errdetail("Events are never updated or deleted, by its owner neither."),
			 errtable(data->tg_relation)));
}
