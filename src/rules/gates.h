/*
 * gates.h
 *		The one place that says which rules a move breaks.
 */
#ifndef CRM_DEALS_GATES_H
#define CRM_DEALS_GATES_H

#include "rules/broken_rule.h"

/*
 * Returns the rules that the deal breaks when it enters its stage, with its
 * lost reason and its custom fields, as BrokenRule *. "old" is NULL for an
 * insert.
 */
extern List *broken_rules(const DealRow *old, const DealRow *new);

/*
 * Raises the first rule that may not be bypassed; returns the names of those
 * that were, as char *.
 */
extern List *enforce_rules(List *broken, const DealRow *new, bool bypass_gates);

#endif							/* CRM_DEALS_GATES_H */
