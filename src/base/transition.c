/*
 * transition.c
 *		Reading the transition tables of an AFTER STATEMENT trigger.
 *
 * Each reader has a read pointer of its own, since other triggers read these
 * tables too. The old and new rows of an update stand in the same order:
 * PostgreSQL stores both in one call.
 */
#include "postgres.h"

#include "executor/executor.h"

#include "base/transition.h"

/* Opens a transition table with a read pointer of its own. */
TransitionReader
transition_open(Tuplestorestate *store, TupleDesc desc)
{
	TransitionReader reader = {.store = store};

	if (store == NULL)
		return reader;
	reader.pointer = tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND);
	tuplestore_select_read_pointer(store, reader.pointer);
	tuplestore_rescan(store);
	reader.slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	return reader;
}

/* Reads the next row into the reader's slot; returns false after the last. */
bool
transition_next(TransitionReader *reader)
{
	if (reader->store == NULL)
		return false;
	tuplestore_select_read_pointer(reader->store, reader->pointer);
	return tuplestore_gettupleslot(reader->store, true, false, reader->slot);
}

/* Frees the reader's slot. */
void
transition_close(TransitionReader *reader)
{
	if (reader->store != NULL)
		ExecDropSingleTupleTableSlot(reader->slot);
}
