/*
 * matches.h
 *		Pairs of similar deals, and what follows from them.
 */
#ifndef CRM_DEALS_MATCHES_H
#define CRM_DEALS_MATCHES_H

typedef struct Matches Matches;

/* In the current memory context; spills to disk. */
extern Matches *matches_begin(void);
extern void matches_end(Matches *matches);

/* deal_id looks for its duplicates; a pair may come more than once, and is compared again. */
extern void matches_add(void *matches, int64 deal_id, int64 other_deal_id, float4 similarity);
extern int64 matches_count(const Matches *matches);

/*
 * Scope, dismissed pairs and the limit are looked at here; between SPI_connect
 * and SPI_finish.
 */

/* Refuses the statement where a deal's pipeline does. */
extern void matches_refuse(Matches *matches);

/* Flags each deal against its most similar ones; returns how many flags are new, counts what was cut. */
extern int64 matches_flag(Matches *matches, int64 *cut);

/* A NOTICE of what was cut, where it tells nothing of hidden deals */
extern void tell_cut(int64 cut);

#endif							/* CRM_DEALS_MATCHES_H */
