/*
 * duplicate_join.c
 *		Similar names among many deals, compared in memory.
 *
 * Deals that look alike to all others, by name and by what they ask for, are
 * one group: a thousand deals of one name are compared once, and what is kept
 * of their pairs is what will be told.  similarity_join.c compares the groups.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "duplicates/core/similarity.h"
#include "duplicates/core/similarity_join.h"
#include "duplicates/duplicate_join.h"
#include "duplicates/memory_budget.h"
#include "duplicates/text_numbers.h"
#include "duplicates/trigram.h"

typedef struct Member
{
	int64		id;
	uint32		account;
	int32		group;
	bool		is_open;
} Member;

typedef struct Partner
{
	int64		id;
	float4		similarity;
} Partner;

/* The best partners so far, and how many there were */
typedef struct Best
{
	Partner    *partners;
	int			n;
	int			allocated;
	int64		seen;
} Best;

/* Deals of one name that ask for the same; members in the order of their ids */
typedef struct Group
{
	int32		first;			/* place of its members, once they stand together */
	int32		n;
	uint32		account;
	float4		threshold;
	DuplicateScope scope;
	bool		looks;
	bool		has_dismissed;	/* its only member has dismissed pairs */
	Best		others;			/* of those that were not added */
	int32		neighbours;		/* last of its similar groups, -1: none */
} Group;

typedef struct Neighbour
{
	int32		group;
	int32		next;
	float4		similarity;
} Neighbour;

/* What deals of a pipeline ask for */
typedef struct Asking
{
	float4		threshold;
	DuplicateScope scope;
} Asking;

typedef struct DismissedPair
{
	int64		lower;
	int64		higher;
} DismissedPair;

struct DuplicateJoin
{
	MemoryContext memory;
	SimilarityJoin *names;
	TextNumbers *organizations;
	TextNumbers *accounts;
	int64		limit;
	pair_found	found;
	void	   *arg;
	TokenSet   *tokens;

	Asking	   *askings;
	int32		n_askings;
	int32		allocated_askings;
	Member	   *members;
	int32		n_members;
	int32		allocated_members;
	Group	   *groups;
	int32		n_groups;
	int32		allocated_groups;
	Neighbour  *neighbours;
	int32		n_neighbours;
	int32		allocated_neighbours;

	HTAB	   *dismissed;		/* of DismissedPair; NULL: none */
	HTAB	   *dismissing;		/* ids that are in any */
	int64		cut;
};

/* ----------
 * Memory and interrupts of the core
 * ----------
 */

void *
join_alloc(size_t size)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, size);
}

void *
join_realloc(void *memory, size_t size)
{
	return repalloc_huge(memory, size);
}

void
join_free(void *memory)
{
	pfree(memory);
}

void
join_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/* ----------
 * Adding
 * ----------
 */

DuplicateJoin *
duplicate_join_create(float4 threshold, int64 limit, pair_found found, void *arg)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals duplicates", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	DuplicateJoin *join = palloc0(sizeof(DuplicateJoin));

	join->memory = memory;
	join->names = join_create(threshold);
	join->organizations = text_numbers_create();
	join->accounts = text_numbers_create();
	join->limit = limit;
	join->found = found;
	join->arg = arg;
	join->tokens = token_set_create();
	MemoryContextSwitchTo(caller);
	return join;
}

static HTAB *
create_set(DuplicateJoin *join, Size key)
{
	HASHCTL		control = {.keysize = key, .entrysize = key, .hcxt = join->memory};

	return hash_create("crm_deals dismissed", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
duplicate_join_dismiss(DuplicateJoin *join, int64 deal_id, int64 other_deal_id)
{
	DismissedPair pair = {Min(deal_id, other_deal_id), Max(deal_id, other_deal_id)};

	if (join->dismissed == NULL)
	{
		join->dismissed = create_set(join, sizeof(DismissedPair));
		join->dismissing = create_set(join, sizeof(int64));
	}
	(void) hash_search(join->dismissed, &pair, HASH_ENTER, NULL);
	(void) hash_search(join->dismissing, &deal_id, HASH_ENTER, NULL);
	(void) hash_search(join->dismissing, &other_deal_id, HASH_ENTER, NULL);
}

static bool
is_dismissed(const DuplicateJoin *join, int64 deal_id, int64 other_deal_id)
{
	DismissedPair pair = {Min(deal_id, other_deal_id), Max(deal_id, other_deal_id)};

	return hash_search(join->dismissed, &pair, HASH_FIND, NULL) != NULL;
}

static int32
number_of_asking(DuplicateJoin *join, const ComparedDeal *deal)
{
	for (int32 i = 0; i < join->n_askings; i++)
		if (join->askings[i].threshold == deal->threshold && join->askings[i].scope == deal->scope)
			return i;
	join->askings = room_for_one(join->askings, join->n_askings, &join->allocated_askings, sizeof(Asking));
	join->askings[join->n_askings] = (Asking) {deal->threshold, deal->scope};
	return join->n_askings++;
}

/* What besides its name parts a deal from others */
static uint64
kind_of(DuplicateJoin *join, const ComparedDeal *deal, uint32 account, bool has_dismissed)
{
	if (!deal->looks)
		return 0;
	if (has_dismissed)
		return UINT64CONST(1) << 63 | (uint64) deal->id;
	return UINT64CONST(1) << 62 | (uint64) number_of_asking(join, deal) << 32 |
		(deal->scope == SCOPE_ACCOUNT ? account : 0);
}

static Group *
add_group(DuplicateJoin *join, const ComparedDeal *deal, uint32 account, bool has_dismissed)
{
	Group	   *group;

	join->groups = room_for_one(join->groups, join->n_groups, &join->allocated_groups, sizeof(Group));
	group = &join->groups[join->n_groups++];
	memset(group, 0, sizeof(Group));
	group->neighbours = -1;
	group->account = account;
	group->threshold = deal->threshold;
	group->scope = deal->scope;
	group->looks = deal->looks;
	group->has_dismissed = has_dismissed;
	return group;
}

static void
add_member(DuplicateJoin *join, int32 group, const ComparedDeal *deal, uint32 account)
{
	join->members = room_for_one(join->members, join->n_members, &join->allocated_members, sizeof(Member));
	join->members[join->n_members++] = (Member) {deal->id, account, group, deal->is_open};
	join->groups[group].n++;
}

void
duplicate_join_add(DuplicateJoin *join, const ComparedDeal *deal)
{
	MemoryContext caller = MemoryContextSwitchTo(join->memory);

	token_set_read(join->tokens, deal->name);
	if (join->tokens->n > 0)
	{
		uint32		account = text_number(join->accounts, deal->account);
		bool		has_dismissed = join->dismissing != NULL && deal->looks &&
			hash_search(join->dismissing, &deal->id, HASH_FIND, NULL) != NULL;
		int			group = join_add(join->names, text_number(join->organizations, deal->organization),
									 kind_of(join, deal, account, has_dismissed), join->tokens->tokens, join->tokens->n);

		if (group == join->n_groups)
			(void) add_group(join, deal, account, has_dismissed);
		add_member(join, group, deal, account);
	}
	MemoryContextSwitchTo(caller);
}

size_t
duplicate_join_bytes(const DuplicateJoin *join)
{
	return join_bytes(join->names) + text_numbers_bytes(join->accounts) + text_numbers_bytes(join->organizations) +
		sizeof(Member) * (Size) join->allocated_members + sizeof(Group) * (Size) join->allocated_groups;
}

/* ----------
 * What a deal is told
 * ----------
 */

static int
compare_partners(const void *a, const void *b)
{
	const Partner *x = a;
	const Partner *y = b;

	if (x->similarity != y->similarity)
		return x->similarity > y->similarity ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void
keep_best(Best *best, int64 limit)
{
	qsort(best->partners, best->n, sizeof(Partner), compare_partners);
	best->n = (int) Min(best->n, limit);
}

/* Twice the limit is kept before the worse half goes. */
static void
best_add(Best *best, int64 id, float4 similarity, int64 limit)
{
	if (limit == 0)
		return;
	if (best->n >= 2 * limit)
		keep_best(best, limit);
	best->partners = room_for_one(best->partners, best->n, &best->allocated, sizeof(Partner));
	best->partners[best->n++] = (Partner) {id, similarity};
}

static void
best_forget(Best *best)
{
	if (best->partners != NULL)
		join_free(best->partners);
	memset(best, 0, sizeof(Best));
}

/* ----------
 * Deals that were not added
 * ----------
 */

typedef struct Comparison
{
	DuplicateJoin *join;
	const ComparedDeal *other;
	uint32		account;
} Comparison;

static void
tell_every_member(const Comparison *comparison, Group *group, float4 similarity)
{
	DuplicateJoin *join = comparison->join;

	for (int32 m = group->first; m < group->first + group->n; m++)
		if (!group->has_dismissed || !is_dismissed(join, join->members[m].id, comparison->other->id))
			join->found(join->arg, join->members[m].id, comparison->other->id, similarity);
}

static void
found_other(void *arg, int number, int none, float similarity)
{
	const Comparison *comparison = arg;
	DuplicateJoin *join = comparison->join;
	Group	   *group = &join->groups[number];

	(void) none;
	if (!group->looks || similarity < group->threshold ||
		!is_in_scope(group->scope, group->account, comparison->account, comparison->other->is_open))
		return;
	if (join->limit == EVERY_PAIR)
		tell_every_member(comparison, group, similarity);
	else if (!group->has_dismissed || !is_dismissed(join, join->members[group->first].id, comparison->other->id))
	{
		group->others.seen++;
		best_add(&group->others, comparison->other->id, similarity, join->limit);
	}
}

void
duplicate_join_compare(DuplicateJoin *join, const ComparedDeal *other)
{
	Comparison	comparison = {join, other, text_number_if_known(join->accounts, other->account)};
	uint32		organization = text_number_if_known(join->organizations, other->organization);
	MemoryContext caller;

	if (organization == NO_NUMBER)
		return;
	caller = MemoryContextSwitchTo(join->memory);
	token_set_read(join->tokens, other->name);
	if (join->tokens->n > 0)
		join_probe(join->names, organization, join->tokens->tokens, join->tokens->n, found_other, &comparison);
	MemoryContextSwitchTo(caller);
}

typedef struct NameProbe
{
	DuplicateJoin *join;
	pair_found	found;
	void	   *arg;
} NameProbe;

static void
found_name(void *arg, int number, int none, float similarity)
{
	const NameProbe *probe = arg;
	DuplicateJoin *join = probe->join;
	Group	   *group = &join->groups[number];

	(void) none;
	if (group->looks && similarity >= group->threshold)
		for (int32 m = group->first; m < group->first + group->n; m++)
			probe->found(probe->arg, join->members[m].id, 0, similarity);
}

void
duplicate_join_probe(DuplicateJoin *join, text *organization, text *name, pair_found found, void *arg)
{
	NameProbe	probe = {join, found, arg};
	uint32		number = text_number_if_known(join->organizations, organization);
	MemoryContext caller;

	if (number == NO_NUMBER)
		return;
	caller = MemoryContextSwitchTo(join->memory);
	token_set_read(join->tokens, name);
	if (join->tokens->n > 0)
		join_probe(join->names, number, join->tokens->tokens, join->tokens->n, found_name, &probe);
	MemoryContextSwitchTo(caller);
}

/* ----------
 * Deals that were added
 * ----------
 */

static void
add_neighbour(DuplicateJoin *join, int32 group, int32 neighbour, float4 similarity)
{
	if (!join->groups[group].looks || similarity < join->groups[group].threshold)
		return;
	join->neighbours = room_for_one(join->neighbours, join->n_neighbours, &join->allocated_neighbours, sizeof(Neighbour));
	join->neighbours[join->n_neighbours] = (Neighbour) {neighbour, join->groups[group].neighbours, similarity};
	join->groups[group].neighbours = join->n_neighbours++;
}

static void
found_groups(void *arg, int group, int other, float similarity)
{
	DuplicateJoin *join = arg;

	add_neighbour(join, group, other, similarity);
	add_neighbour(join, other, group, similarity);
}

/* Members of a group stand together, still in the order of their ids. */
static void
sort_members(DuplicateJoin *join)
{
	Member	   *sorted = join_alloc(sizeof(Member) * Max(join->n_members, 1));
	int32		place = 0;

	for (int32 g = 0; g < join->n_groups; g++)
	{
		join->groups[g].first = place;
		place += join->groups[g].n;
		join->groups[g].n = 0;
	}
	for (int32 m = 0; m < join->n_members; m++)
	{
		Group	   *group = &join->groups[join->members[m].group];

		sorted[group->first + group->n++] = join->members[m];
	}
	if (join->members != NULL)
		join_free(join->members);
	join->members = sorted;
}

void
duplicate_join_build(DuplicateJoin *join)
{
	MemoryContext caller = MemoryContextSwitchTo(join->memory);

	sort_members(join);
	join_build(join->names);
	join_self(join->names, found_groups, join);
	MemoryContextSwitchTo(caller);
}

/* How many of the group are lower than the deal */
static int32
count_lower(const DuplicateJoin *join, const Group *group, int64 deal_id)
{
	int32		low = 0;
	int32		high = group->n;

	while (low < high)
	{
		int32		middle = low + (high - low) / 2;

		if (join->members[group->first + middle].id < deal_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Those of the group that are lower than the deal, which is told them or keeps
 * the best.  They are all alike: where nothing but the id decides, the first will do.
 */
static void
look_at_group(DuplicateJoin *join, const Group *asking, int64 deal_id, const Group *group, float4 similarity, Best *best)
{
	bool		any_will_do = asking->scope == SCOPE_ALL && !asking->has_dismissed;
	int32		n = count_lower(join, group, deal_id);

	if (any_will_do)
		best->seen += n;
	if (any_will_do && join->limit != EVERY_PAIR)
		n = (int32) Min(n, join->limit);
	for (int32 m = group->first; m < group->first + n; m++)
	{
		const Member *member = &join->members[m];

		CHECK_FOR_INTERRUPTS();
		if (!is_in_scope(asking->scope, asking->account, member->account, member->is_open) ||
			(asking->has_dismissed && is_dismissed(join, deal_id, member->id)))
			continue;
		if (!any_will_do)
			best->seen++;
		if (join->limit == EVERY_PAIR)
			join->found(join->arg, deal_id, member->id, similarity);
		else
			best_add(best, member->id, similarity, join->limit);
	}
}

static void
finish_member(DuplicateJoin *join, const Group *group, int64 deal_id, Best *best)
{
	best->n = 0;
	best->seen = group->others.seen;
	for (int i = 0; i < group->others.n; i++)
		best_add(best, group->others.partners[i].id, group->others.partners[i].similarity, join->limit);

	look_at_group(join, group, deal_id, group, 1, best);
	for (int32 n = group->neighbours; n >= 0; n = join->neighbours[n].next)
		look_at_group(join, group, deal_id, &join->groups[join->neighbours[n].group], join->neighbours[n].similarity, best);
	if (join->limit == EVERY_PAIR)
		return;
	keep_best(best, join->limit);
	for (int i = 0; i < best->n; i++)
		join->found(join->arg, deal_id, best->partners[i].id, best->partners[i].similarity);
	join->cut += best->seen - best->n;
}

static void
finish_group(DuplicateJoin *join, Group *group)
{
	Best		best = {0};

	if (!group->looks)
		return;
	keep_best(&group->others, join->limit);
	for (int32 m = group->first; m < group->first + group->n; m++)
		finish_member(join, group, join->members[m].id, &best);
	best_forget(&best);
	best_forget(&group->others);
}

int64
duplicate_join_finish(DuplicateJoin *join)
{
	MemoryContext caller = MemoryContextSwitchTo(join->memory);
	int64		cut;

	for (int32 g = 0; g < join->n_groups; g++)
		finish_group(join, &join->groups[g]);
	cut = join->cut;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(join->memory);
	return cut;
}
