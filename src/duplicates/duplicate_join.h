/*
 * duplicate_join.h
 *		Similar names among many deals, compared in memory.
 */
#ifndef CRM_DEALS_DUPLICATE_JOIN_H
#define CRM_DEALS_DUPLICATE_JOIN_H

typedef enum DuplicateScope
{
	SCOPE_ALL,
	SCOPE_OPEN,					/* open deals alone are its duplicates */
	SCOPE_ACCOUNT				/* deals of the same account, or of none on either side */
} DuplicateScope;

/* A deal to be compared; texts may be NULL, but for the name */
typedef struct ComparedDeal
{
	int64		id;
	text	   *organization;
	text	   *name;
	text	   *account;
	bool		is_open;
	bool		looks;			/* for its duplicates; else it is only found by others */
	float4		threshold;		/* of a deal that looks */
	DuplicateScope scope;
} ComparedDeal;

/* Is a deal in the scope of one that looks?  Accounts by their numbers, 0 is none. */
static inline bool
is_in_scope(DuplicateScope scope, uint32 account, uint32 other_account, bool other_is_open)
{
	if (scope == SCOPE_OPEN)
		return other_is_open;
	if (scope == SCOPE_ACCOUNT)
		return account == 0 || other_account == 0 || account == other_account;
	return true;
}

typedef struct DuplicateJoin DuplicateJoin;
typedef void (*pair_found) (void *arg, int64 deal_id, int64 other_deal_id, float4 similarity);

#define EVERY_PAIR	PG_INT64_MAX

/*
 * Every deal is told its `limit` most similar ones (ties: lowest id).  The
 * threshold is the lowest of the deals that look.
 */
extern DuplicateJoin *duplicate_join_create(float4 threshold, int64 limit, pair_found found, void *arg);

/* A pair that is not to be told; before any deal is added */
extern void duplicate_join_dismiss(DuplicateJoin *join, int64 deal_id, int64 other_deal_id);

/* In the order of their ids; of two that are added the higher id looks */
extern void duplicate_join_add(DuplicateJoin *join, const ComparedDeal *deal);
extern size_t duplicate_join_bytes(const DuplicateJoin *join);

/* Ends adding */
extern void duplicate_join_build(DuplicateJoin *join);

/* Deals that are not among those added: these look for them, not the other way */
extern void duplicate_join_compare(DuplicateJoin *join, const ComparedDeal *other);

/* Deals added that look and reach their threshold, each pair told at once, whatever was dismissed or the scope */
extern void duplicate_join_probe(DuplicateJoin *join, text *organization, text *name, pair_found found, void *arg);

/* Tells the pairs; returns how many were cut. */
extern int64 duplicate_join_finish(DuplicateJoin *join);

#endif							/* CRM_DEALS_DUPLICATE_JOIN_H */
