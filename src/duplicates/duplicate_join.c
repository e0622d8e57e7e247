/*
 * duplicate_join.c
 *		Finds the duplicates of many deals, in memory.
 *
 * Deals that compare alike are one group (name_groups.c), and the groups are
 * compared with each other (core/similarity_join.c).  What is kept of the pairs is
 * only what will be reported: the best partners of each group among the deals that
 * were not added, and the groups that are similar to each other.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/owner_query.h"
#include "base/spi_result.h"
#include "duplicates/core/memory.h"
#include "duplicates/duplicate_join.h"
#include "duplicates/growing_array.h"
#include "duplicates/name_groups.h"

/* A deal that was added */
typedef struct Member
{
	int64		id;
	uint32		account;
	int32		group;
	bool		is_open;
} Member;

/* A duplicate that was found */
typedef struct Partner
{
	int64		id;
	float4		similarity;
} Partner;

/* The best partners so far, and how many were found */
typedef struct Best
{
	Partner    *partners;
	int			n;
	int			allocated;
	int64		seen;
} Best;

/* A group and its members, in the order of their ids */
typedef struct DealGroup
{
	DuplicateRule rule;
	int32		first;			/* number of its first member, once the members are sorted by group */
	int32		n;
	bool		has_dismissed;	/* its only member has dismissed pairs */
	Best		others;			/* among the deals that were not added */
	int32		neighbours;		/* the last of its similar groups, -1: none */
} DealGroup;

/* A similar group, in a chain */
typedef struct Neighbour
{
	int32		group;
	int32		next;
	float4		similarity;
} Neighbour;

typedef struct DismissedPair
{
	int64		lower;
	int64		higher;
} DismissedPair;

struct DuplicateJoin
{
	MemoryContext memory;
	NameGroups	names;
	int64		limit;
	pair_found	found;
	void	   *arg;

	Member	   *members;
	int32		n_members;
	int32		allocated_members;
	DealGroup  *groups;
	int32		n_groups;
	int32		allocated_groups;
	Neighbour  *neighbours;
	int32		n_neighbours;
	int32		allocated_neighbours;

	HTAB	   *dismissed;		/* of DismissedPair; NULL: none */
	HTAB	   *dismissing;		/* the ids in these pairs */
	int64		cut;
};

/* Makes an empty join, in a memory context of its own. */
DuplicateJoin *
duplicate_join_create(float4 threshold, int64 limit, pair_found found, void *arg)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals duplicates", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	DuplicateJoin *join = palloc0(sizeof(DuplicateJoin));

	join->memory = memory;
	join->names = name_groups_create(threshold);
	join->limit = limit;
	join->found = found;
	join->arg = arg;
	MemoryContextSwitchTo(caller);
	return join;
}

/* ----------
 * Dismissed pairs
 * ----------
 */

/* Makes a hash table that has keys alone. */
static HTAB *
create_set(DuplicateJoin *join, Size key)
{
	HASHCTL		control = {.keysize = key, .entrysize = key, .hcxt = join->memory};

	return hash_create("crm_deals dismissed", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Remembers a pair that was dismissed. */
static void
add_dismissed(DuplicateJoin *join, int64 deal_id, int64 other_deal_id)
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

static OwnerQuery dismissed_query = {
	.sql = "SELECT f.deal_id, f.other_deal_id FROM crm_deals.deal_duplicate AS f"
	" WHERE f.resolution OPERATOR(pg_catalog.=) 'dismissed'",
	.returns = RETURNS(INT8OID, INT8OID),
};

/* Reads all pairs that were dismissed. */
void
duplicate_join_read_dismissed(DuplicateJoin *join)
{
	owner_query_read_latest(&dismissed_query, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		add_dismissed(join, row_int64(i, 1), row_int64(i, 2));
	SPI_freetuptable(SPI_tuptable);
}

/* Is the deal in any pair that was dismissed? */
static bool
has_dismissed_pairs(const DuplicateJoin *join, int64 deal_id)
{
	return join->dismissing != NULL && hash_search(join->dismissing, &deal_id, HASH_FIND, NULL) != NULL;
}

/* Was this pair dismissed? */
static bool
is_dismissed(const DuplicateJoin *join, int64 deal_id, int64 other_deal_id)
{
	DismissedPair pair = {Min(deal_id, other_deal_id), Max(deal_id, other_deal_id)};

	return hash_search(join->dismissed, &pair, HASH_FIND, NULL) != NULL;
}

/* ----------
 * Filling
 * ----------
 */

/* Begins a group. */
static void
add_group(DuplicateJoin *join, const DuplicateRule *rule, bool has_dismissed)
{
	join->groups = grow_array(join->groups, join->n_groups, &join->allocated_groups, sizeof(DealGroup));
	join->groups[join->n_groups++] = (DealGroup) {.rule = *rule, .has_dismissed = has_dismissed, .neighbours = -1};
}

/* Adds a deal, unless its name has no trigrams. */
static void
add_deal(DuplicateJoin *join, ComparedDeal *deal)
{
	bool		has_dismissed = deal->rule.is_checked && has_dismissed_pairs(join, deal->id);
	int			group = name_groups_add(&join->names, deal, has_dismissed);

	if (group == NO_GROUP)
		return;
	if (group == join->n_groups)
		add_group(join, &deal->rule, has_dismissed);
	join->members = grow_array(join->members, join->n_members, &join->allocated_members, sizeof(Member));
	join->members[join->n_members++] = (Member) {deal->id, deal->rule.account, group, deal->is_open};
	join->groups[group].n++;
}

/* Returns the bytes that the join takes. */
static Size
join_size(const DuplicateJoin *join)
{
	return name_groups_bytes(&join->names) + sizeof(Member) * (Size) join->allocated_members +
		sizeof(DealGroup) * (Size) join->allocated_groups;
}

/* Remembers that a group is similar to another, if its rule says so. */
static void
add_neighbour(DuplicateJoin *join, int32 group, int32 neighbour, float4 similarity)
{
	if (!rule_reached(&join->groups[group].rule, similarity))
		return;
	join->neighbours = grow_array(join->neighbours, join->n_neighbours, &join->allocated_neighbours, sizeof(Neighbour));
	join->neighbours[join->n_neighbours] = (Neighbour) {neighbour, join->groups[group].neighbours, similarity};
	join->groups[group].neighbours = join->n_neighbours++;
}

/* Called for two similar groups: each can be checked against the other. */
static void
found_groups(void *arg, int group, int other, float similarity)
{
	DuplicateJoin *join = arg;

	add_neighbour(join, group, other, similarity);
	add_neighbour(join, other, group, similarity);
}

/* Sorts the members by group; in a group they stay in the order of their ids. */
static void
sort_members(DuplicateJoin *join)
{
	Member	   *sorted = core_alloc(sizeof(Member) * Max(join->n_members, 1));
	int32		place = 0;

	for (int32 g = 0; g < join->n_groups; g++)
	{
		join->groups[g].first = place;
		place += join->groups[g].n;
		join->groups[g].n = 0;
	}
	for (int32 m = 0; m < join->n_members; m++)
	{
		DealGroup  *group = &join->groups[join->members[m].group];

		sorted[group->first + group->n++] = join->members[m];
	}
	if (join->members != NULL)
		core_free(join->members);
	join->members = sorted;
}

/* Adds the deals, and finds the similar groups among them. */
bool
duplicate_join_fill(DuplicateJoin *join, DealCursor *deals, Size budget, int64 *first)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		more;

	*first = PG_INT64_MAX;
	do
	{
		more = deal_cursor_next(deals);
		if (!more)
			break;
		*first = Min(*first, deals->deal.id);
		MemoryContextSwitchTo(join->memory);
		add_deal(join, &deals->deal);
		MemoryContextSwitchTo(caller);
	} while (join_size(join) < budget);

	MemoryContextSwitchTo(join->memory);
	sort_members(join);
	join_build(join->names.names);
	join_self(join->names.names, found_groups, join);
	MemoryContextSwitchTo(caller);
	return more;
}

/* ----------
 * The best partners
 * ----------
 */

/* Orders partners for qsort(): the most similar first, then the lowest id. */
static int
compare_partners(const void *a, const void *b)
{
	const Partner *x = a;
	const Partner *y = b;

	if (x->similarity != y->similarity)
		return x->similarity > y->similarity ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Keeps only the best `limit` partners, sorted. */
static void
keep_best(Best *best, int64 limit)
{
	qsort(best->partners, best->n, sizeof(Partner), compare_partners);
	best->n = (int) Min(best->n, limit);
}

/* Adds a partner; sorts only when twice the limit has come together. */
static void
best_add(Best *best, int64 id, float4 similarity, int64 limit)
{
	if (limit == 0)
		return;
	if (best->n >= 2 * limit)
		keep_best(best, limit);
	best->partners = grow_array(best->partners, best->n, &best->allocated, sizeof(Partner));
	best->partners[best->n++] = (Partner) {id, similarity};
}

/* Frees the partners. */
static void
best_free(Best *best)
{
	if (best->partners != NULL)
		core_free(best->partners);
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

/* Reports the other deal as a duplicate of every member of the group. */
static void
report_to_members(const Comparison *comparison, DealGroup *group, float4 similarity)
{
	DuplicateJoin *join = comparison->join;

	for (int32 m = group->first; m < group->first + group->n; m++)
		if (!group->has_dismissed || !is_dismissed(join, join->members[m].id, comparison->other->id))
			join->found(join->arg, join->members[m].id, comparison->other->id, similarity);
}

/* Called for a group whose name is similar to the other deal's. */
static void
found_other(void *arg, int number, int none, float similarity)
{
	const Comparison *comparison = arg;
	DuplicateJoin *join = comparison->join;
	DealGroup  *group = &join->groups[number];

	(void) none;
	if (!rule_reached(&group->rule, similarity) ||
		!rule_covers(&group->rule, comparison->account, comparison->other->is_open))
		return;
	if (join->limit == EVERY_PAIR)
		report_to_members(comparison, group, similarity);
	else if (!group->has_dismissed || !is_dismissed(join, join->members[group->first].id, comparison->other->id))
	{
		group->others.seen++;
		best_add(&group->others, comparison->other->id, similarity, join->limit);
	}
}

/* Looks the other deal's name up among the groups. */
void
duplicate_join_compare(DuplicateJoin *join, const ComparedDeal *other)
{
	Comparison	comparison = {join, other, name_groups_account(&join->names, other->account)};
	MemoryContext caller = MemoryContextSwitchTo(join->memory);

	name_groups_probe(&join->names, other->organization, other->name, found_other, &comparison);
	MemoryContextSwitchTo(caller);
}

typedef struct NameProbe
{
	DuplicateJoin *join;
	pair_found	found;
	void	   *arg;
} NameProbe;

/* Called for a group whose name is similar to the name that is probed. */
static void
found_name(void *arg, int number, int none, float similarity)
{
	const NameProbe *probe = arg;
	DuplicateJoin *join = probe->join;
	DealGroup  *group = &join->groups[number];

	(void) none;
	if (rule_reached(&group->rule, similarity))
		for (int32 m = group->first; m < group->first + group->n; m++)
			probe->found(probe->arg, join->members[m].id, 0, similarity);
}

/* Looks the name up among the groups. */
void
duplicate_join_probe(DuplicateJoin *join, text *organization, text *name, pair_found found, void *arg)
{
	NameProbe	probe = {join, found, arg};
	MemoryContext caller = MemoryContextSwitchTo(join->memory);

	name_groups_probe(&join->names, organization, name, found_name, &probe);
	MemoryContextSwitchTo(caller);
}

/* ----------
 * Deals that were added
 * ----------
 */

/* Counts the members of the group whose id is lower than the deal's. */
static int32
count_lower(const DuplicateJoin *join, const DealGroup *group, int64 deal_id)
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
 * Checks a deal against the members of a similar group whose ids are lower: reports
 * them or adds them to the best.  All members are equally similar, so if neither
 * the scope nor dismissed pairs matter, the first `limit` members are the best.
 */
static void
check_against_group(DuplicateJoin *join, const DealGroup *checked, int64 deal_id,
					const DealGroup *group, float4 similarity,
					Best *best)
{
	bool		every_member_counts = checked->rule.scope == SCOPE_ALL && !checked->has_dismissed;
	int32		n = count_lower(join, group, deal_id);

	if (every_member_counts)
		best->seen += n;
	if (every_member_counts && join->limit != EVERY_PAIR)
		n = (int32) Min(n, join->limit);
	for (int32 m = group->first; m < group->first + n; m++)
	{
		const Member *member = &join->members[m];

		CHECK_FOR_INTERRUPTS();
		if (!rule_covers(&checked->rule, member->account, member->is_open) ||
			(checked->has_dismissed && is_dismissed(join, deal_id, member->id)))
			continue;
		if (!every_member_counts)
			best->seen++;
		if (join->limit == EVERY_PAIR)
			join->found(join->arg, deal_id, member->id, similarity);
		else
			best_add(best, member->id, similarity, join->limit);
	}
}

/* Collects the best partners of a deal and reports them. */
static void
finish_member(DuplicateJoin *join, const DealGroup *group, int64 deal_id, Best *best)
{
	best->n = 0;
	best->seen = group->others.seen;
	for (int i = 0; i < group->others.n; i++)
		best_add(best, group->others.partners[i].id, group->others.partners[i].similarity, join->limit);

	check_against_group(join, group, deal_id, group, 1, best);
	for (int32 n = group->neighbours; n >= 0; n = join->neighbours[n].next)
		check_against_group(join, group, deal_id, &join->groups[join->neighbours[n].group],
							join->neighbours[n].similarity, best);
	if (join->limit == EVERY_PAIR)
		return;
	keep_best(best, join->limit);
	for (int i = 0; i < best->n; i++)
		join->found(join->arg, deal_id, best->partners[i].id, best->partners[i].similarity);
	join->cut += best->seen - best->n;
}

/* Reports the pairs of every member, if the group is checked. */
static void
finish_group(DuplicateJoin *join, DealGroup *group)
{
	Best		best = {0};

	if (!group->rule.is_checked)
		return;
	keep_best(&group->others, join->limit);
	for (int32 m = group->first; m < group->first + group->n; m++)
		finish_member(join, group, join->members[m].id, &best);
	best_free(&best);
	best_free(&group->others);
}

/* Reports the pairs of all groups, and frees the join. */
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
