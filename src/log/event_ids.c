/*
 * event_ids.c
 *		The ids of events: they rise with the version of a deal.
 *
 * Consumers read events in the order of their ids, so a later version of a
 * deal needs a higher id.  The events of a statement are logged when all its
 * rows are written.  Before that, a user's trigger, or a function that the
 * statement calls, may change the same deals again.  The events of that inner
 * statement get into the log first, but the versions of the outer one are
 * older.  So when a statement begins inside another one, the rows that the
 * outer one has written so far get their ids.  For this the ids of a
 * statement's deals are kept, eight bytes for each row.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/deal_row.h"
#include "base/write_context.h"
#include "log/event_ids.h"

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

/* A statement that writes deals: MERGE, upserts and WITH fire several of our triggers in one statement. */
struct LogStatement
{
	int			depth;			/* of triggers */
	CommandId	command;
	SubTransactionId subtransaction;
	int64		batch_id;		/* 0 until the first event */
	ExpectedRows expected[2];	/* inserted, updated */
};

/* The statements of this transaction that may still be running, the latest last */
static struct
{
	LocalTransactionId transaction;
	List	   *statements;
	LogStatement *used_last;
}			running;

#define MANY_STATEMENTS 128

/* Frees what is kept of the rows. */
static void
forget_rows(ExpectedRows *rows)
{
	if (rows->deal_ids != NULL)
		pfree(rows->deal_ids);
	if (rows->event_ids != NULL)
		pfree(rows->event_ids);
	memset(rows, 0, sizeof(ExpectedRows));
}

/* Forgets the statements of an earlier transaction, whose memory is gone. */
static void
forget_other_transaction(void)
{
	if (running.transaction == my_lxid())
		return;
	running.transaction = my_lxid();
	running.statements = NIL;
	running.used_last = NULL;
}

/* Returns whether the statement has logged all its rows, or was rolled back. */
static bool
is_finished(const LogStatement *statement)
{
	return !SubTransactionIsActive(statement->subtransaction) ||
		(statement->expected[false].n == 0 && statement->expected[true].n == 0);
}

/*
 * Drops statements that have ended from the older half of the list. The newer
 * half stays: between two of its triggers a MERGE has no row to log either, but
 * it still needs its batch.
 */
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

/* Returns whether it is the running statement. */
static bool
is_this(const LogStatement *statement, int depth)
{
	return statement->depth == depth && statement->command == statement_command() &&
		statement->subtransaction == GetCurrentSubTransactionId();
}

/* Adds the running statement to the list. */
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

/* Returns the running statement. */
LogStatement *
running_statement(void)
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

/* Returns a larger array with the same content, and its size in *allocated. */
static int64 *
grow(int64 *array, int64 *allocated, int64 wanted)
{
	*allocated = Max(wanted, 64);
	if (array != NULL)
		return repalloc_huge(array, *allocated * sizeof(int64));
	return MemoryContextAllocHuge(TopTransactionContext, *allocated * sizeof(int64));
}

/* Notes a row that is being written. */
void
event_ids_expect(bool update, int64 deal_id)
{
	ExpectedRows *rows = &running_statement()->expected[update];

	if (rows->n == rows->allocated)
		rows->deal_ids = grow(rows->deal_ids, &rows->allocated, 2 * rows->n);
	rows->deal_ids[rows->n++] = deal_id;
}

/* Forgets the rows of one kind: their events have their ids. */
void
event_ids_captured(bool update)
{
	forget_rows(&running_statement()->expected[update]);
}

/* Takes ids for all rows written so far.  Consumers rely on a transaction having its own id before its first event. */
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

/* Takes ids for the rows of the statements that this one runs inside. */
void
event_ids_statement_begins(void)
{
	LogStatement *begins = running_statement();
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
 * Returns the id of an event: the one reserved for its row, else a new one.
 * Events come in the order in which their rows were written.  A row that a
 * user's trigger or a conflict kept from being written has no event, so its
 * reserved id is passed over.
 */
static int64
take_reserved_or_new(LogStatement *statement, const DealEvent *event, Oid sequence)
{
	ExpectedRows *rows = &statement->expected[event->old != NULL];

	/* Nothing changes a deal after its deletion, so no id was reserved. */
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

/* Gives the event its id.  The first event of a statement gives the batch its id. */
void
event_ids_take(LogStatement *statement, DealEvent *event, Oid sequence)
{
	event->id = take_reserved_or_new(statement, event, sequence);
	if (statement->batch_id == 0)
		statement->batch_id = event->id;
}

/* Returns the batch of the statement's events: the id of the first of them. */
int64
batch_of_statement(const LogStatement *statement)
{
	return statement->batch_id;
}

/* Lets the events of the statement go on with an earlier batch. */
void
batch_of_statement_is(LogStatement *statement, int64 batch_id)
{
	if (statement->batch_id == 0)
		statement->batch_id = batch_id;
}
