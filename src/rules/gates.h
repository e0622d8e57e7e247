/*
 * gates.h
 *		Which rules a move breaks: the one place that says so.
 */
#ifndef CRM_DEALS_GATES_H
#define CRM_DEALS_GATES_H

#include "config/pipeline_cache.h"
#include "nodes/pg_list.h"

/* A rule that a write breaks; what check_move shows and what an error says */
typedef struct BrokenRule
{
	const char *rule;			/* name in check_move and deal_event.bypassed */
	const char *constraint;
	DealColumn	column;
	bool		is_gate;		/* may be overridden */
	const char *message;
	char	   *detail;
	const char *hint;			/* or NULL */
} BrokenRule;

/*
 * The rules that entering its stage, its lost reason and its custom fields
 * break, as BrokenRule *, NIL where it may be so; "old" is NULL for an insert.
 */
extern List *broken_rules(const DealRow *old, const DealRow *new);

/*
 * Raises the first that may not be bypassed; returns the names of those that
 * were, as char *.
 */
extern List *enforce_rules(List *broken, const DealRow *new, bool bypass_gates);

/* A lost reason for a move to a stage that is not lost: NULL where that is not so */
extern BrokenRule *needless_lost_reason(const Stage *to, const char *lost_reason);

#endif							/* CRM_DEALS_GATES_H */
