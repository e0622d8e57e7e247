/*
 * duplicate_rule.h
 *		Which deals a pipeline counts as duplicates of its own deals.
 *
 * The rule stands here twice, in C for the comparison in memory and in SQL for
 * the pairs that are flagged or refused.  A change must change both.
 */
#ifndef CRM_DEALS_DUPLICATE_RULE_H
#define CRM_DEALS_DUPLICATE_RULE_H

#include "config/pipeline_cache.h"

typedef enum DuplicateScope
{
	SCOPE_ALL,
	SCOPE_OPEN,					/* only open deals can be the duplicate */
	SCOPE_ACCOUNT				/* only deals of the same account, or if either deal has no account */
} DuplicateScope;

/* What applies to a deal whose duplicates are sought */
typedef struct DuplicateRule
{
	bool		is_checked;		/* false: the deal can only be the duplicate of another deal */
	float4		threshold;
	DuplicateScope scope;
	uint32		account;		/* number of the deal's account, 0: none */
} DuplicateRule;

/* Is a name of this similarity close enough? */
static inline bool
rule_reached(const DuplicateRule *rule, float4 similarity)
{
	return rule->is_checked && similarity >= rule->threshold;
}

/* Is a deal with this account and state in the scope? */
static inline bool
rule_covers(const DuplicateRule *rule, uint32 account, bool is_open)
{
	if (rule->scope == SCOPE_OPEN)
		return is_open;
	if (rule->scope == SCOPE_ACCOUNT)
		return rule->account == 0 || account == 0 || rule->account == account;
	return true;
}

/* Compares two organizations in SQL.  IS NOT DISTINCT FROM would find its operator by the search_path. */
#define SAME_ORGANIZATION(a, b) \
	"(" a " OPERATOR(pg_catalog.=) " b " OR (" a " IS NULL AND " b " IS NULL))"

/*
 * The rule in SQL.  The deal d, whose pipeline is p, is checked against the deal
 * o; s.similarity is the similarity of their names.
 */
#define RULE_IS_CHECKED "p.duplicate_policy OPERATOR(pg_catalog.<>) 'off'"
#define RULE_REACHED "s.similarity OPERATOR(pg_catalog.>=) p.duplicate_threshold"
#define RULE_COVERS \
	"(p.duplicate_scope OPERATOR(pg_catalog.<>) 'open' OR o.closed_at IS NULL)" \
	" AND (p.duplicate_scope OPERATOR(pg_catalog.<>) 'account'" \
	"  OR (o.account_id OPERATOR(pg_catalog.=) d.account_id) IS NOT FALSE)"

#endif							/* CRM_DEALS_DUPLICATE_RULE_H */
