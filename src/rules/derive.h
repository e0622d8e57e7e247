/*
 * derive.h
 *		What a deal derives from its stage, and which rules a writer contradicts.
 */
#ifndef CRM_DEALS_DERIVE_H
#define CRM_DEALS_DERIVE_H

#include "rules/broken_rule.h"

/*
 * Makes of the row that was written the row to be stored.  "old" is NULL for an
 * insert; "now" is the moment of the change.  Returns the rules that the writer
 * contradicts, as BrokenRule *; if there are any, the row is not to be stored.
 */
extern List *derive_deal(const DealRow *old, DealRow *new, TimestampTz now);

/* Raises the first of these rules, if there is one. */
extern void refuse_contradictions(List *broken);

/* Returns the version that a change of the row gives it. */
extern int32 next_version(const DealRow *row);

/* Returns the moment of a change: the clock, but later than the deal's last event. */
extern TimestampTz moment_after(const DealRow *old);

/* Returns the same, or the moment that an import or a restore gives. */
extern TimestampTz moment_of_change(const DealRow *old, const DealRow *new);

/*
 * Refuses a row that a user's trigger changed after derive_deal(); "old" is
 * NULL for an insert.
 */
extern void check_still_derived(const DealRow *old, const DealRow *new);

#endif							/* CRM_DEALS_DERIVE_H */
