/*
 * name_groups.h
 *		Groups of deals that compare alike: they have the same organization, the
 *		same set of trigrams and the same rule.
 *
 * A thousand deals with one name are compared once.  Callers keep what they know
 * of a group in an array of their own, by the number of the group.
 */
#ifndef CRM_DEALS_NAME_GROUPS_H
#define CRM_DEALS_NAME_GROUPS_H

#include "duplicates/core/similarity_join.h"
#include "duplicates/deal_cursor.h"
#include "duplicates/text_numbers.h"
#include "duplicates/trigram.h"

typedef struct NameGroups
{
	SimilarityJoin *names;
	TextNumbers *organizations;
	TextNumbers *accounts;
	TokenSet   *tokens;			/* of the name that was read last */
} NameGroups;

#define NO_GROUP	(-1)

/* Lives in the current memory context.  The threshold is the lowest of the deals that are checked. */
extern NameGroups name_groups_create(float4 threshold);

/*
 * Adds a deal and returns its group, NO_GROUP if its name has no trigrams.  Sets
 * the number of the account in the deal's rule.  A deal that stands alone is a
 * group of its own, whatever its name.
 */
extern int	name_groups_add(NameGroups *groups, ComparedDeal *deal, bool stands_alone);

/* The memory that is in use and that will be needed */
extern size_t name_groups_bytes(const NameGroups *groups);

/* Calls `found` for every group whose name is similar. */
extern void name_groups_probe(NameGroups *groups, text *organization, text *name, join_found found, void *arg);

/* The number of an account; NO_NUMBER if no deal that was added has it */
static inline uint32
name_groups_account(const NameGroups *groups, const text *account)
{
	return text_number_if_known(groups->accounts, account);
}

#endif							/* CRM_DEALS_NAME_GROUPS_H */
