/*
 * similarity.h
 *		How similar two sets of trigrams are, exactly as pg_trgm's similarity()
 *		says, and what follows from a threshold for the sizes of sets.
 *
 * The files of core/ need nothing of PostgreSQL but c.h, so that they can be
 * fuzzed alone (test/fuzz).  A set is a sorted array of unique unsigned tokens;
 * it has at least 1 and at most MAX_TOKENS of them.  A threshold is above 0 and
 * at most 1.  A partner of a set is a set whose similarity to it reaches the
 * threshold.
 */
#ifndef CRM_DEALS_SIMILARITY_H
#define CRM_DEALS_SIMILARITY_H

/* The sum of two sizes fits into an int */
#define MAX_TOKENS	(1 << 29)

/* The similarity of two sets of n and m tokens that share `common` tokens */
extern float similarity_of(int common, int n, int m);

/* The fewest shared tokens that reach the threshold; above Min(n, m) if no number does */
extern int	min_common(int n, int m, float threshold);

/* The smallest and the largest size of a partner of a set of n tokens */
extern int	smallest_partner(int n, float threshold);
extern int	largest_partner(int n, float threshold);

/*
 * The most tokens that can be in only one of two partners, if the sum of their
 * sizes is in this range; -1 if there are no such partners.
 */
extern int	max_difference(int least_sum, int greatest_sum, float threshold);

/* How many tokens two sets share; -1 if fewer than at_least */
extern int	common_tokens(const uint32 *a, int n, const uint32 *b, int m, int at_least);

#endif							/* CRM_DEALS_SIMILARITY_H */
