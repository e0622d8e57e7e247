/*
 * transition.h
 *		Reading the transition tables of an AFTER STATEMENT trigger.
 */
#ifndef CRM_DEALS_TRANSITION_H
#define CRM_DEALS_TRANSITION_H

#include "executor/tuptable.h"
#include "utils/tuplestore.h"

typedef struct TransitionReader
{
	Tuplestorestate *store;		/* or NULL if the event has no such table */
	int			pointer;
	TupleTableSlot *slot;		/* the row that was read last */
} TransitionReader;

extern TransitionReader transition_open(Tuplestorestate *store, TupleDesc desc);
extern bool transition_next(TransitionReader *reader);
extern void transition_close(TransitionReader *reader);

#endif							/* CRM_DEALS_TRANSITION_H */
