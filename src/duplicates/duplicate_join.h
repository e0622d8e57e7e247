/*
 * duplicate_join.h
 *		Finds the duplicates of many deals, in memory.
 *
 * A join is filled with as many deals as memory allows.  Then all other deals are
 * compared with it one by one.  At the end the join reports the pairs.
 */
#ifndef CRM_DEALS_DUPLICATE_JOIN_H
#define CRM_DEALS_DUPLICATE_JOIN_H

#include "duplicates/deal_cursor.h"

typedef struct DuplicateJoin DuplicateJoin;

/* deal_id is the deal that is checked, other_deal_id is its duplicate. */
typedef void (*pair_found) (void *arg, int64 deal_id, int64 other_deal_id, float4 similarity);

#define EVERY_PAIR	PG_INT64_MAX

/*
 * Reports to `found`, for every deal that is checked, its `limit` most similar
 * duplicates (of equally similar ones those with the lowest ids).  The threshold is
 * the lowest of the deals that are checked.
 */
extern DuplicateJoin *duplicate_join_create(float4 threshold, int64 limit, pair_found found, void *arg);

/* Leaves out every pair that was dismissed.  Call before duplicate_join_fill(). */
extern void duplicate_join_read_dismissed(DuplicateJoin *join);

/*
 * Adds deals until the join takes `budget` bytes, and returns false after the last
 * deal.  The deals must come in the order of their ids; *first becomes the lowest id.
 * Of two deals that were added, the one with the higher id is checked against the other.
 */
extern bool duplicate_join_fill(DuplicateJoin *join, DealCursor *deals, Size budget, int64 *first);

/* Checks the deals that were added against a deal that was not. */
extern void duplicate_join_compare(DuplicateJoin *join, const ComparedDeal *other);

/*
 * Calls `found` at once for every checked deal whose threshold the name reaches,
 * whatever its scope is and whatever was dismissed; other_deal_id is 0.
 */
extern void duplicate_join_probe(DuplicateJoin *join, text *organization, text *name, pair_found found, void *arg);

/* Reports the pairs and frees the join; returns how many pairs were above the limit. */
extern int64 duplicate_join_finish(DuplicateJoin *join);

#endif							/* CRM_DEALS_DUPLICATE_JOIN_H */
