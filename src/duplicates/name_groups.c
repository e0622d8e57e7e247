/*
 * name_groups.c
 *		Groups of deals that compare alike: they have the same organization, the
 *		same set of trigrams and the same rule.
 */
#include "postgres.h"

#include "duplicates/name_groups.h"

/* In the bits of a scope: the deal stands alone. */
#define ALONE	UINT64CONST(3)

/* Makes an empty collection of groups. */
NameGroups
name_groups_create(float4 threshold)
{
	return (NameGroups) {
		.names = join_create(threshold),
		.organizations = text_numbers_create(),
		.accounts = text_numbers_create(),
		.tokens = token_set_create(),
	};
}

/*
 * Returns a number for what separates a deal from others besides its name: two
 * bits for the scope, 30 for the threshold and 32 for the account.  A threshold
 * is above 0 and at most 1, so the upper two bits of the float are 0 and the
 * others are not; 0 stands for a deal that is not checked.
 */
static uint64
kind_of(const ComparedDeal *deal, bool stands_alone)
{
	const DuplicateRule *rule = &deal->rule;
	uint32		threshold;

	if (!rule->is_checked)
		return 0;
	if (stands_alone)
		return ALONE << 62 | (uint64) deal->id;
	memcpy(&threshold, &rule->threshold, sizeof(threshold));
	return (uint64) rule->scope << 62 | (uint64) threshold << 32 | (rule->scope == SCOPE_ACCOUNT ? rule->account : 0);
}

/* Adds a deal to its group, which may be new. */
int
name_groups_add(NameGroups *groups, ComparedDeal *deal, bool stands_alone)
{
	token_set_read(groups->tokens, deal->name);
	if (groups->tokens->n == 0)
		return NO_GROUP;
	deal->rule.account = text_number(groups->accounts, deal->account);
	return join_add(groups->names, text_number(groups->organizations, deal->organization),
					kind_of(deal, stands_alone), groups->tokens->tokens, groups->tokens->n);
}

/* Adds up what the names, accounts and organizations take. */
size_t
name_groups_bytes(const NameGroups *groups)
{
	return join_bytes(groups->names) + text_numbers_bytes(groups->accounts) + text_numbers_bytes(groups->organizations);
}

/* Looks the name up, unless no group has its organization. */
void
name_groups_probe(NameGroups *groups, text *organization, text *name, join_found found, void *arg)
{
	uint32		number = text_number_if_known(groups->organizations, organization);

	if (number == NO_NUMBER)
		return;
	token_set_read(groups->tokens, name);
	if (groups->tokens->n > 0)
		join_probe(groups->names, number, groups->tokens->tokens, groups->tokens->n, found, arg);
}
