/*
 * similarity.h
 *		How alike two sets of trigrams are: pg_trgm's similarity(), exactly,
 *		and what follows from it for the sizes of sets.
 *
 * Like signature.c and similarity_join.c this needs nothing of PostgreSQL but
 * c.h, so that it can be fuzzed alone (test/fuzz).  A set is a sorted array of
 * unique unsigned tokens; its size is at least 1 and at most MAX_TOKENS.
 * Thresholds are above 0 and at most 1.
 */
#ifndef CRM_DEALS_SIMILARITY_H
#define CRM_DEALS_SIMILARITY_H

/* Two sizes can be added as int */
#define MAX_TOKENS	(1 << 29)

/* Two sets of n and m tokens that share `common` */
extern float similarity_of(int common, int n, int m);

/* The fewest shared tokens that reach the threshold; above Min(n, m) if none do */
extern int	min_common(int n, int m, float threshold);

/* The sizes of the sets that can reach the threshold with one of n tokens */
extern int	smallest_partner(int n, float threshold);
extern int	largest_partner(int n, float threshold);

/*
 * The most tokens that are in just one of two sets which reach the threshold,
 * where their sizes add up to something in this range; -1 if none can.
 */
extern int	max_difference(int least_sum, int greatest_sum, float threshold);

/* How many tokens two sets share; -1 if fewer than at_least */
extern int	common_tokens(const uint32 *a, int n, const uint32 *b, int m, int at_least);

/* Spreads a number over 64 bits */
static inline uint64
mix_bits(uint64 x)
{
	x ^= x >> 30;
	x *= UINT64CONST(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/*
 * Memory and interrupts, defined by who uses this.  An allocation may exceed
 * 1 GB; it does not return if there is no memory.  join_interrupts() may leave
 * by longjmp: nothing is in a state that matters then.
 */
extern void *join_alloc(size_t size);
extern void *join_realloc(void *memory, size_t size);
extern void join_free(void *memory);
extern void join_interrupts(void);

#endif							/* CRM_DEALS_SIMILARITY_H */
