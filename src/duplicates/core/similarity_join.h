/*
 * similarity_join.h
 *		Every similar pair of many sets, in memory: among themselves, or of
 *		other sets with them.
 *
 * Include similarity.h before: the memory and interrupts are its functions.
 */
#ifndef CRM_DEALS_SIMILARITY_JOIN_H
#define CRM_DEALS_SIMILARITY_JOIN_H

typedef struct SimilarityJoin SimilarityJoin;

typedef void (*join_found) (void *arg, int group, int other_group, float similarity);

/* For pairs that reach the threshold */
extern SimilarityJoin *join_create(float threshold);

/*
 * Sets of one space, kind and content are one group, numbered from 0 in the
 * order of coming; n is at least 1.  Only sets of one space are compared.
 */
extern int	join_add(SimilarityJoin *join, uint32 space, uint64 kind, const uint32 *tokens, int n);

/* Memory held now plus what is still needed if no more is added */
extern size_t join_bytes(const SimilarityJoin *join);

/* Ends adding */
extern void join_build(SimilarityJoin *join);

/* Every pair of different groups of one space, once, whatever their kinds */
extern void join_self(SimilarityJoin *join, join_found found, void *arg);

/* Every group of the space that matches the set, once; other_group is -1 */
extern void join_probe(SimilarityJoin *join, uint32 space, const uint32 *tokens, int n,
					   join_found found, void *arg);

extern void join_free_all(SimilarityJoin *join);

#endif							/* CRM_DEALS_SIMILARITY_JOIN_H */
