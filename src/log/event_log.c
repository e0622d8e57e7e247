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
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
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
#include "base/write_context.h"
#include "log/event_log.h"
#include "log/log_transaction.h"

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
	EVENT_TRANSACTION,
	EVENT_DISPATCH,
	EVENT_ORIGIN,
	EVENT_MERGED_INTO,
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
	{"transaction", XID8OID},
	{"dispatch", TEXTOID},
	{"origin", TEXTOID},
	{"merged_into", INT8OID},
};

static OwnerQuery insert_query = {
	.sql = "INSERT INTO crm_deals.deal_event (id, batch_id, deal_id, version, kind, occurred_at,"
	" actor, session_user_name, pipeline_id, from_stage_id, to_stage_id, from_status, status,"
	" amount, currency, probability, expected_close_date, owner, lost_reason, changes, bypassed, note,"
	" transaction, dispatch, origin, merged_into)"
	" OVERRIDING SYSTEM VALUE "
	"SELECT id, batch_id, deal_id, version, kind, occurred_at,"
	" actor, session_user_name, pipeline_id, from_stage_id, to_stage_id, from_status, status,"
	" amount, currency, probability, expected_close_date, owner, lost_reason, changes, bypassed, note,"
	" transaction, dispatch, origin, merged_into "
	"FROM crm_deals_new_events",
};

/* ----------
 * One number a statement, and ids that rise with the version of a deal
 * ----------
 */

/* Rows of one kind, inserted or updated, that a statement has written and not logged yet */
typedef struct ExpectedRows
{
	int64		n;
	int64		allocated;
	int64	   *deal_ids;		/* in the order they were written */
	int64		n_reserved;		/* of them, that have an event id already */
	int64	   *event_ids;
	int64		next;			/* reserved one to be taken */
} ExpectedRows;

/*
 * A statement that writes deals.  MERGE, upserts and WITH fire several of our
 * triggers in one statement: at one trigger depth, in one command.
 *
 * Its events are logged when all its rows are written.  A trigger of the user's,
 * or a function that the statement calls, may change the same deals again before
 * that, and its events come first into the log: then the rows written so far
 * get their ids before.  That is what the ids of a statement's deals are kept
 * for, eight bytes a row.
 */
typedef struct LogStatement
{
	int			depth;
	CommandId	command;
	SubTransactionId subtransaction;
	int64		batch_id;		/* 0 until the first event */
	ExpectedRows expected[2];	/* inserted, updated */
} LogStatement;

/* Those of the transaction that may be running, the latest last */
static struct
{
	LocalTransactionId transaction;
	List	   *statements;
	LogStatement *used_last;
}			running;

#define MANY_STATEMENTS 128

static void
forget_rows(ExpectedRows *rows)
{
	if (rows->deal_ids != NULL)
		pfree(rows->deal_ids);
	if (rows->event_ids != NULL)
		pfree(rows->event_ids);
	memset(rows, 0, sizeof(ExpectedRows));
}

/* The memory of an earlier transaction is gone with it. */
static void
forget_other_transaction(void)
{
	if (running.transaction == my_lxid())
		return;
	running.transaction = my_lxid();
	running.statements = NIL;
	running.used_last = NULL;
}

static bool
is_finished(const LogStatement *statement)
{
	return !SubTransactionIsActive(statement->subtransaction) ||
		(statement->expected[false].n == 0 && statement->expected[true].n == 0);
}

/* Of very many statements in a transaction the older half is over. */
static void
drop_finished(void)
{
	int			to_look_at = list_length(running.statements) - MANY_STATEMENTS / 2;
	ListCell   *cell;

	foreach(cell, running.statements)
	{
		LogStatement *statement = lfirst(cell);

		if (to_look_at-- <= 0)
			break;
		if (!is_finished(statement))
			continue;
		forget_rows(&statement->expected[false]);
		forget_rows(&statement->expected[true]);
		running.statements = foreach_delete_current(running.statements, cell);
		pfree(statement);
	}
}

static bool
is_this(const LogStatement *statement, int depth)
{
	return statement->depth == depth && statement->command == statement_command() &&
		statement->subtransaction == GetCurrentSubTransactionId();
}

static LogStatement *
add_statement(int depth)
{
	MemoryContext caller;
	LogStatement *statement;

	if (list_length(running.statements) >= MANY_STATEMENTS)
		drop_finished();
	caller = MemoryContextSwitchTo(TopTransactionContext);
	statement = palloc0(sizeof(LogStatement));
	statement->depth = depth;
	statement->command = statement_command();
	statement->subtransaction = GetCurrentSubTransactionId();
	running.statements = lappend(running.statements, statement);
	MemoryContextSwitchTo(caller);
	return statement;
}

static LogStatement *
this_statement(void)
{
	int			depth = trigger_depth();
	ListCell   *cell;

	forget_other_transaction();
	if (running.used_last != NULL && is_this(running.used_last, depth))
		return running.used_last;
	running.used_last = NULL;
	foreach(cell, running.statements)
		if (is_this(lfirst(cell), depth))
			running.used_last = lfirst(cell);
	if (running.used_last == NULL)
		running.used_last = add_statement(depth);
	return running.used_last;
}

/* An array of a transaction that is bigger than the last one; *allocated is its size */
static int64 *
grow(int64 *array, int64 *allocated, int64 wanted)
{
	*allocated = Max(wanted, 64);
	if (array != NULL)
		return repalloc_huge(array, *allocated * sizeof(int64));
	return MemoryContextAllocHuge(TopTransactionContext, *allocated * sizeof(int64));
}

void
event_log_expect(bool update, int64 deal_id)
{
	ExpectedRows *rows = &this_statement()->expected[update];

	if (rows->n == rows->allocated)
		rows->deal_ids = grow(rows->deal_ids, &rows->allocated, 2 * rows->n);
	rows->deal_ids[rows->n++] = deal_id;
}

void
event_log_captured(bool update)
{
	forget_rows(&this_statement()->expected[update]);
}

/* Consumers rely on it that a transaction has its own id before its first event has one. */
static void
reserve_ids(ExpectedRows *rows)
{
	int64		allocated;

	if (rows->n_reserved == rows->n)
		return;
	(void) GetTopTransactionId();
	rows->event_ids = grow(rows->event_ids, &allocated, rows->n);
	while (rows->n_reserved < rows->n)
	{
		CHECK_FOR_INTERRUPTS();
		rows->event_ids[rows->n_reserved++] = nextval_internal(event_id_sequence(), false);
	}
}

void
event_log_statement_begins(void)
{
	LogStatement *begins = this_statement();
	ListCell   *cell;

	foreach(cell, running.statements)
	{
		LogStatement *outer = lfirst(cell);

		if (outer == begins || is_finished(outer))
			continue;
		reserve_ids(&outer->expected[false]);
		reserve_ids(&outer->expected[true]);
	}
}

/*
 * Rows are logged in the order they were written, but for those that a user's
 * trigger or a conflict kept from being written; after the reserved ones come
 * those that were written later.
 */
static int64
take_id(LogStatement *statement, const DealEvent *event, Oid sequence)
{
	ExpectedRows *rows = &statement->expected[event->old != NULL];

	/* nothing changes a deal once it is deleted */
	if (event->new == NULL)
		return nextval_internal(sequence, false);
	while (rows->next < rows->n_reserved)
	{
		int64		place = rows->next++;

		if (rows->deal_ids[place] == deal_int64(event->new, DEAL_ID))
			return rows->event_ids[place];
	}
	return nextval_internal(sequence, false);
}

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

	batch->statement = this_statement();
	batch->desc = event_descriptor(table);
	batch->events = tuplestore_begin_heap(false, false, work_mem);
	batch->id_sequence = event_id_sequence();
	batch->actor = CStringGetTextDatum(actor);
	batch->session_user_name = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	batch->transaction = FullTransactionIdGetDatum(log_transaction());
	return batch;
}

int64
event_batch_id(const EventBatch *batch)
{
	return batch->statement->batch_id;
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

	event->id = take_id(batch->statement, event, batch->id_sequence);
	if (batch->statement->batch_id == 0)
		batch->statement->batch_id = event->id;

	memset(tuple.isnull, true, sizeof(tuple.isnull));
	put(&tuple, EVENT_ID, Int64GetDatum(event->id));
	put(&tuple, EVENT_BATCH_ID, Int64GetDatum(batch->statement->batch_id));
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
