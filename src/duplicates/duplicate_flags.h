/*
 * duplicate_flags.h
 *		Pairs of similar deals that a search has found, and what follows from them:
 *		flags in deal_duplicate, or a refusal.
 */
#ifndef CRM_DEALS_DUPLICATE_FLAGS_H
#define CRM_DEALS_DUPLICATE_FLAGS_H

#include "duplicates/deal_ids.h"

typedef struct SimilarPairs SimilarPairs;

/* Makes an empty collection in the current memory context; large ones go to disk. */
extern SimilarPairs *similar_pairs_begin(void);
extern void similar_pairs_end(SimilarPairs *pairs);

/*
 * Adds a pair: deal_id is the deal that is checked.  A pair may come more than once.
 * It need not obey the rule of the pipeline, because the functions below compare the
 * names again, and look at the scope, the dismissed pairs and the limit.
 */
extern void similar_pairs_add(void *pairs, int64 deal_id, int64 other_deal_id, float4 similarity);
extern int64 similar_pairs_count(const SimilarPairs *pairs);

/* The functions below are called between SPI_connect and SPI_finish. */

/* Raises an error if the pipeline of any deal refuses duplicates. */
extern void refuse_duplicates(SimilarPairs *pairs);

/* Flags each deal against its most similar ones; *cut grows by what was left out. */
extern void flag_pairs(SimilarPairs *pairs, int64 *cut);

/* Does the same, and returns how many new flags the caller may see. */
extern int64 flag_and_count_pairs(SimilarPairs *pairs, int64 *cut);

/* Counts the pairs that pipelines of another scope than "account" flag, and those of them of different accounts. */
extern void count_by_account(SimilarPairs *pairs, int64 *all, int64 *different);

/* Raises a NOTICE about flags that were left out, unless that could tell the user of hidden deals. */
extern void notice_cut_flags(int64 cut);

/* Computes the similarity of the open flags of these deals again, and deletes flags that are none any more. */
extern void score_flags(const DealIds *deals);

#endif							/* CRM_DEALS_DUPLICATE_FLAGS_H */
