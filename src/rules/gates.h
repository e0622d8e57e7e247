/*
 * gates.h
 *		Which rules a move breaks: the one place that says so.
 */
#ifndef CRM_DEALS_GATES_H
#define CRM_DEALS_GATES_H

#include "rules/broken_rule.h"

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

#endif							/* CRM_DEALS_GATES_H */
