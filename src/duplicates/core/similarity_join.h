/*
 * similarity_join.h
 *		Finds every pair of similar sets in memory: among the sets that were
 *		added, or between them and other sets.
 *
 * A join has no function that frees it: the caller drops all memory of the core
 * together (see memory.h).
 */
#ifndef CRM_DEALS_SIMILARITY_JOIN_H
#define CRM_DEALS_SIMILARITY_JOIN_H

typedef struct SimilarityJoin SimilarityJoin;

typedef void (*join_found) (void *arg, int group, int other_group, float similarity);

/* A join finds the pairs whose similarity reaches the threshold. */
extern SimilarityJoin *join_create(float threshold);

/*
 * Adds a set of n >= 1 tokens, and returns the number of its group.  Sets that
 * have the same space, kind and tokens are one group.  Groups are numbered from 0
 * in the order in which they first come.  Only sets of one space are compared.
 */
extern int	join_add(SimilarityJoin *join, uint32 space, uint64 kind, const uint32 *tokens, int n);

/* The memory that is in use, and what join_build(), join_self() and join_probe() will use besides */
extern size_t join_bytes(const SimilarityJoin *join);

/* Ends the adding of sets. */
extern void join_build(SimilarityJoin *join);

/* Calls `found` once for every pair of similar groups of one space, whatever their kinds are. */
extern void join_self(SimilarityJoin *join, join_found found, void *arg);

/* Calls `found` once for every group of the space that is similar to the set; other_group is -1. */
extern void join_probe(SimilarityJoin *join, uint32 space, const uint32 *tokens, int n,
					   join_found found, void *arg);

#endif							/* CRM_DEALS_SIMILARITY_JOIN_H */
