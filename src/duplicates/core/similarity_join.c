/*
 * similarity_join.c
 *		Finds every pair of similar sets in memory.
 *
 * The tokens of every set are put in the same order, the rarest token first.  Two
 * sets of n and m tokens whose similarity reaches the threshold share at least
 * `alpha` tokens.  So the first n - alpha + 1 tokens of one set and the first
 * m - alpha + 1 tokens of the other share at least one.  Only these prefixes are
 * indexed and looked up.  A set that is found is checked by its parities (64 bits,
 * each token flips one bit), and then compared exactly.
 *
 * The first token that two sets share is at a position i <= n - alpha of one set
 * and at a position j <= m - alpha of the other.  So each token has a list for
 * each position, ordered by the size of the sets, and only a range of the list
 * can match.
 *
 * Tokens are hashed into buckets.  If two tokens fall into the same bucket, this
 * costs time but loses no pair: they count as equally rare (the tokens themselves
 * then decide the order), and sets may come up that the comparison rejects.
 */
#include "c.h"

#include "duplicates/core/bits.h"
#include "duplicates/core/memory.h"
#include "duplicates/core/similarity.h"
#include "duplicates/core/similarity_join.h"

#define MIN_CHUNK	4096		/* tokens */
#define MAX_CHUNK	262144
#define MIN_SLOTS	256
#define MIN_BUCKET_BITS	8
#define MAX_BUCKET_BITS	20
#define SCAN_STEP	4096		/* postings */
#define POSITIONS	4			/* lists of a token; the last one also holds all later positions */
#define CUTS		8			/* positions in a query that are distinguished */
#define NEAR_SIZES	64			/* partner sizes whose differences are kept */
#define KEPT_SIZES	256
#define FETCHED		8			/* tokens of a prefix whose lists are prefetched */
#define AHEAD		8			/* postings whose groups are prefetched */
#define SHORT_LIST	128			/* postings; a list with no more is scanned whole */

typedef struct Group
{
	const uint32 *tokens;
	uint64		parity;
	union
	{
		uint64		kind;		/* while sets are added */
		uint64		parity2;	/* once they are */
	};
	uint32		space;
	int			n;
} Group;

/* Facts about every query of n tokens */
typedef struct SizeFacts
{
	int			n;
	int			length;			/* of the prefix */
	int			smallest;		/* partner */
	int			reach;			/* sets whose parities differ in more bits are no partners */
	uint32		first[POSITIONS];	/* the first place of a list that can match */
	uint32		behind[CUTS];	/* the first place after it that cannot */
	int			differing[NEAR_SIZES];	/* most tokens that differ, by size - smallest */
} SizeFacts;

typedef struct Chunk
{
	struct Chunk *next;
	size_t		size;
	size_t		used;
	uint32		tokens[];
} Chunk;

/* An entry of the hash table that finds a group while sets are added */
typedef struct Slot
{
	uint32		hash;
	uint32		group;			/* + 1; 0: empty */
} Slot;

/* A set that has a token at this position of its prefix */
typedef struct Posting
{
	uint32		place;
	uint32		position;
} Posting;

/* The postings [from, to) of a bucket's tokens at one position */
typedef struct List
{
	size_t		from;
	size_t		to;
} List;

typedef size_t (*ScanFunction) (const uint64 *parities, size_t n, uint64 parity, int reach, uint32 *hits);

struct SimilarityJoin
{
	float		threshold;
	Group	   *groups;
	size_t		n_groups;
	size_t		max_groups;
	Chunk	   *chunks;
	size_t		chunk_bytes;
	size_t		n_postings;		/* that the index for probes needs */
	int			largest;		/* size of the largest set */

	Slot	   *slots;
	size_t		n_slots;

	/* The place of a group is its number in the order of sizes. */
	uint32	   *order;			/* group at a place */
	uint32	   *seen;			/* the last round in which a place was found */
	uint32		round;

	int			bucket_bits;
	uint32	   *frequencies;	/* how often tokens of a bucket occur */
	List	   *lists;			/* NULL until the first probe */
	uint64	   *parities;		/* of postings */
	uint32	   *places;

	SizeFacts  *facts[KEPT_SIZES];	/* by size; element 0 is for the last larger size */

	ScanFunction scan;
	size_t		steps;			/* since the last check for interrupts */
	uint64	   *prefix;
	int			max_prefix;
	uint32		hits[SCAN_STEP];
};

/* A set whose partners are sought */
typedef struct Query
{
	const uint32 *tokens;
	int			n;
	uint32		space;
	uint64		parity;
	uint64		parity2;
	const SizeFacts *facts;
	int			group;			/* -1: none */
	join_found	found;
	void	   *arg;
} Query;

/* Counts the work that was done, and checks for interrupts now and then. */
static inline void
count_steps(SimilarityJoin *join, size_t steps)
{
	join->steps += steps;
	if (join->steps >= 4 * SCAN_STEP)
	{
		join->steps = 0;
		core_check_interrupts();
	}
}

/* Returns a hash of a whole set, and sets its two parities. */
static uint64
digest(const uint32 *tokens, int n, uint64 *parity, uint64 *parity2)
{
	uint64		sum = 0;

	*parity = *parity2 = 0;
	for (int i = 0; i < n; i++)
	{
		uint64		hash = (tokens[i] + UINT64CONST(1)) * UINT64CONST(0x9e3779b97f4a7c15);

		hash ^= hash >> 32;
		hash *= UINT64CONST(0xd6e8feb86659fd93);
		*parity ^= UINT64CONST(1) << (hash >> 58);
		*parity2 ^= UINT64CONST(1) << ((hash >> 52) & 63);
		sum += hash;
	}
	return sum;
}

/* Returns the bucket of a token. */
static inline uint32
bucket_of(const SimilarityJoin *join, uint32 space, uint32 token)
{
	uint64		hash = (((uint64) space << 32) + token + 1) * UINT64CONST(0x9e3779b97f4a7c15);

	hash ^= hash >> 32;
	return (uint32) ((hash * UINT64CONST(0xd6e8feb86659fd93)) >> (64 - join->bucket_bits));
}

/*
 * Comparing parities.  This is most of the work.
 */

/* Writes the numbers of the parities that differ from `parity` in at most `reach` bits; returns how many there are. */
static size_t
scan_portably(const uint64 *parities, size_t n, uint64 parity, int reach, uint32 *hits)
{
	size_t		found = 0;

	for (size_t i = 0; i < n; i++)
	{
		hits[found] = (uint32) i;
		found += bits_set(parities[i] ^ parity) <= reach;
	}
	return found;
}

#ifdef CHOOSE_POPCNT
/* Does the same by the processor's own instruction. */
__attribute__((target("popcnt")))
static size_t
scan_by_popcnt(const uint64 *parities, size_t n, uint64 parity, int reach, uint32 *hits)
{
	size_t		found = 0;

	for (size_t i = 0; i < n; i++)
	{
		hits[found] = (uint32) i;
		found += __builtin_popcountll(parities[i] ^ parity) <= reach;
	}
	return found;
}
#endif

/* Returns the fastest scan that this processor can run. */
static ScanFunction
best_scan(void)
{
#ifdef CHOOSE_POPCNT
	__builtin_cpu_init();
	if (__builtin_cpu_supports("popcnt"))
		return scan_by_popcnt;
#endif
	return scan_portably;
}

/* Makes a join without sets. */
SimilarityJoin *
join_create(float threshold)
{
	SimilarityJoin *join = core_alloc(sizeof(SimilarityJoin));

	memset(join, 0, sizeof(SimilarityJoin));
	join->threshold = threshold;
	join->scan = best_scan();
	join->n_slots = MIN_SLOTS;
	join->slots = core_alloc(join->n_slots * sizeof(Slot));
	memset(join->slots, 0, join->n_slots * sizeof(Slot));
	return join;
}

/*
 * Adding sets.
 */

/* Returns the slot in which a group with this hash is to be put. */
static Slot *
empty_slot(SimilarityJoin *join, uint32 hash)
{
	size_t		i = hash & (join->n_slots - 1);

	while (join->slots[i].group != 0)
		i = (i + 1) & (join->n_slots - 1);
	return &join->slots[i];
}

/* Doubles the hash table. */
static void
double_slots(SimilarityJoin *join)
{
	Slot	   *old = join->slots;
	size_t		n = join->n_slots;

	join->n_slots = 2 * n;
	join->slots = core_alloc(join->n_slots * sizeof(Slot));
	memset(join->slots, 0, join->n_slots * sizeof(Slot));
	for (size_t i = 0; i < n; i++)
		if (old[i].group != 0)
			*empty_slot(join, old[i].hash) = old[i];
	core_free(old);
}

/* Returns a copy of the tokens, in one of the chunks. */
static const uint32 *
store_tokens(SimilarityJoin *join, const uint32 *tokens, int n)
{
	Chunk	   *chunk = join->chunks;
	uint32	   *result;

	if (chunk == NULL || chunk->size - chunk->used < (size_t) n)
	{
		size_t		size = Min(Max(join->chunk_bytes / sizeof(uint32), MIN_CHUNK), MAX_CHUNK);

		size = Max(size, (size_t) n);
		chunk = core_alloc(offsetof(Chunk, tokens) + size * sizeof(uint32));
		chunk->next = join->chunks;
		chunk->size = size;
		chunk->used = 0;
		join->chunks = chunk;
		join->chunk_bytes += offsetof(Chunk, tokens) + size * sizeof(uint32);
	}
	result = chunk->tokens + chunk->used;
	memcpy(result, tokens, n * sizeof(uint32));
	chunk->used += n;
	return result;
}

/* Adds a group, and returns its number. */
static int
new_group(SimilarityJoin *join, const Group *group)
{
	if (join->n_groups == join->max_groups)
	{
		join->max_groups = join->max_groups / 4 * 5 + 64;
		join->groups = join->groups == NULL ? core_alloc(join->max_groups * sizeof(Group))
			: core_realloc(join->groups, join->max_groups * sizeof(Group));
	}
	join->groups[join->n_groups] = *group;
	join->groups[join->n_groups].tokens = store_tokens(join, group->tokens, group->n);
	join->n_postings += group->n - smallest_partner(group->n, join->threshold) + 1;
	join->largest = Max(join->largest, group->n);
	return join->n_groups++;
}

/* Are the space, the kind and the tokens equal? */
static bool
same_group(const Group *a, const Group *b)
{
	return a->space == b->space && a->kind == b->kind && a->n == b->n &&
		memcmp(a->tokens, b->tokens, a->n * sizeof(uint32)) == 0;
}

/* Returns the group of the set, which is a new one if no equal set was added before. */
int
join_add(SimilarityJoin *join, uint32 space, uint64 kind, const uint32 *tokens, int n)
{
	Group		group = {.tokens = tokens, .kind = kind, .space = space, .n = n};
	uint64		parity2;
	uint64		sum = digest(tokens, n, &group.parity, &parity2);
	uint32		hash = (uint32) mix_bits(sum ^ mix_bits(kind ^ mix_bits(space)));
	size_t		i;

	if (join->n_groups >= join->n_slots / 4 * 3)
		double_slots(join);
	for (i = hash & (join->n_slots - 1); join->slots[i].group != 0; i = (i + 1) & (join->n_slots - 1))
		if (join->slots[i].hash == hash && same_group(&join->groups[join->slots[i].group - 1], &group))
			return (int) join->slots[i].group - 1;
	join->slots[i].hash = hash;
	join->slots[i].group = new_group(join, &group) + 1;
	return (int) join->slots[i].group - 1;
}

/* What join_self() needs for each group */
#define PAIRS_BYTES		(sizeof(size_t) + sizeof(uint64) + sizeof(Posting))

/* Returns a size for which lists are short, whether there are many sets or a few huge ones. */
static int
bucket_bits_for(const SimilarityJoin *join)
{
	size_t		wanted = Max(join->n_groups, join->n_postings / 8);
	int			bits = MIN_BUCKET_BITS;

	while (bits < MAX_BUCKET_BITS && ((size_t) 1 << bits) < wanted)
		bits++;
	return bits;
}

/* Returns the memory that is in use and that will be needed. */
size_t
join_bytes(const SimilarityJoin *join)
{
	size_t		n_buckets = (size_t) 1 << bucket_bits_for(join);

	return sizeof(SimilarityJoin) + join->max_groups * sizeof(Group) + join->chunk_bytes +
		join->n_slots * sizeof(Slot) + join->n_groups * (2 * sizeof(uint32) + PAIRS_BYTES) +
		n_buckets * (sizeof(uint32) + sizeof(List)) +
		join->n_postings * (sizeof(uint64) + sizeof(uint32)) + join->largest * sizeof(uint64);
}

/*
 * Sorting by size: a radix sort, because there are few different sizes.
 */

/* Sorts groups by eight bits of their sizes; groups whose bits are equal keep their order. */
static void
sort_by_digit(const SimilarityJoin *join, const uint32 *from, uint32 *to, int shift)
{
	size_t		start[257] = {0};

	for (size_t i = 0; i < join->n_groups; i++)
		start[((join->groups[from[i]].n >> shift) & 255) + 1]++;
	for (int digit = 0; digit < 256; digit++)
		start[digit + 1] += start[digit];
	for (size_t i = 0; i < join->n_groups; i++)
		to[start[(join->groups[from[i]].n >> shift) & 255]++] = from[i];
}

/* Sets the order of the groups. */
static void
sort_by_size(SimilarityJoin *join)
{
	join->order = core_alloc(Max(join->n_groups, 1) * sizeof(uint32));
	join->seen = core_alloc(Max(join->n_groups, 1) * sizeof(uint32));
	for (size_t i = 0; i < join->n_groups; i++)
		join->order[i] = i;
	for (int shift = 0; join->largest >> shift > 0; shift += 8)
	{
		uint32	   *sorted = join->seen;

		sort_by_digit(join, join->order, sorted, shift);
		join->seen = join->order;
		join->order = sorted;
	}
	memset(join->seen, 0, join->n_groups * sizeof(uint32));
}

/* Counts how often each token occurs, and sets both parities of each group. */
static void
count_tokens(SimilarityJoin *join)
{
	size_t		bytes = sizeof(uint32) << join->bucket_bits;

	join->frequencies = core_alloc(bytes);
	memset(join->frequencies, 0, bytes);
	for (size_t i = 0; i < join->n_groups; i++)
	{
		Group	   *group = &join->groups[i];

		digest(group->tokens, group->n, &group->parity, &group->parity2);
		for (int k = 0; k < group->n; k++)
			join->frequencies[bucket_of(join, group->space, group->tokens[k])]++;
		count_steps(join, group->n);
	}
}

/* Prepares what probing and finding pairs have in common. */
void
join_build(SimilarityJoin *join)
{
	core_free(join->slots);
	join->slots = NULL;
	join->n_slots = 0;
	join->bucket_bits = bucket_bits_for(join);
	sort_by_size(join);
	count_tokens(join);
}

/*
 * Choosing the prefix of a set.
 *
 * The rarest tokens are collected in a heap by (frequency, token), with the
 * greatest at the top.
 */

/* Moves the value at i down to its place in the heap. */
static void
sift_down(uint64 *heap, int n, int i)
{
	uint64		value = heap[i];

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child + 1 < n && heap[child + 1] > heap[child])
			child++;
		if (child >= n || heap[child] <= value)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = value;
}

/* Makes space for a prefix of this length. */
static void
need_prefix(SimilarityJoin *join, int length)
{
	if (length <= join->max_prefix)
		return;
	if (join->prefix != NULL)
		core_free(join->prefix);
	join->prefix = NULL;
	join->max_prefix = 0;
	join->prefix = core_alloc((length + 16) * sizeof(uint64));
	join->max_prefix = length + 16;
}

/* Sorts the heap, the rarest token first. */
static void
sort_prefix(SimilarityJoin *join, int length)
{
	for (int end = length - 1; end > 0; end--)
	{
		uint64		greatest = join->prefix[0];

		join->prefix[0] = join->prefix[end];
		join->prefix[end] = greatest;
		sift_down(join->prefix, end, 0);
	}
}

/* Puts the `length` rarest tokens of a set into join->prefix, the rarest first. */
static void
choose_prefix(SimilarityJoin *join, uint32 space, const uint32 *tokens, int n, int length)
{
	uint64	   *heap;

	need_prefix(join, length);
	heap = join->prefix;
	for (int i = 0; i < n; i++)
	{
		uint64		key = (uint64) join->frequencies[bucket_of(join, space, tokens[i])] << 32 | tokens[i];

		if (i < length)
			heap[i] = key;
		else if (key < heap[0])
		{
			heap[0] = key;
			sift_down(heap, length, 0);
		}
		if (i == length - 1)
			for (int parent = length / 2 - 1; parent >= 0; parent--)
				sift_down(heap, length, parent);
	}
	sort_prefix(join, length);
}

/* Returns the length of the prefix that finds partners which are not smaller. */
static int
half_prefix(float threshold, int n)
{
	return n - min_common(n, n, threshold) + 1;
}

/* Returns the length of the prefix that finds partners of any size. */
static int
whole_prefix(float threshold, int n)
{
	return n - smallest_partner(n, threshold) + 1;
}

/*
 * Facts about sizes.
 */

/* Returns the place of the first set of this size or a larger one. */
static uint32
place_of_size(const SimilarityJoin *join, int n)
{
	size_t		low = 0;
	size_t		high = join->n_groups;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (join->groups[join->order[middle]].n < n)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Returns the least partner size m that can share its token at this position.
 * alpha grows by at most one if m does, so m - alpha never falls, and a binary
 * search is possible.
 */
static int
least_size_at(int position, int n, int smallest, int largest, float threshold)
{
	while (smallest < largest)
	{
		int			middle = smallest + (largest - smallest) / 2;

		if (middle - min_common(n, middle, threshold) < position)
			smallest = middle + 1;
		else
			largest = middle;
	}
	return smallest;
}

/*
 * Returns the first partner size that is too large to share the query's token at
 * this position.  alpha never falls if the size grows.
 */
static int
size_behind(int position, int n, int smallest, int largest, float threshold)
{
	int			behind = largest + 1;

	while (smallest < behind)
	{
		int			middle = smallest + (behind - smallest) / 2;

		if (min_common(n, middle, threshold) <= n - position)
			smallest = middle + 1;
		else
			behind = middle;
	}
	return behind;
}

/* Computes the facts about queries of n tokens. */
static void
set_facts(const SimilarityJoin *join, SizeFacts *facts, int n)
{
	float		threshold = join->threshold;
	int			smallest = smallest_partner(n, threshold);
	int			largest = Min(largest_partner(n, threshold), Max(n, join->largest));

	facts->n = n;
	facts->smallest = smallest;
	facts->length = n - smallest + 1;
	facts->reach = max_difference(n + smallest, n + largest, threshold);
	for (int i = 0; i < POSITIONS; i++)
		facts->first[i] = place_of_size(join, least_size_at(i, n, smallest, largest, threshold));
	for (int i = 0; i < CUTS; i++)
		facts->behind[i] = place_of_size(join, size_behind(i, n, smallest, largest, threshold));
	for (int i = 0; i < NEAR_SIZES; i++)
		facts->differing[i] = n + smallest + i - 2 * min_common(n, smallest + i, threshold);
}

/* Returns the facts about queries of n tokens, computed once for each of the usual sizes. */
static const SizeFacts *
facts_of(SimilarityJoin *join, int n)
{
	SizeFacts **facts = &join->facts[n < KEPT_SIZES ? n : 0];

	if (*facts == NULL)
	{
		*facts = core_alloc(sizeof(SizeFacts));
		(*facts)->n = 0;
	}
	if ((*facts)->n != n)
		set_facts(join, *facts, n);
	return *facts;
}

/* Returns in how many tokens a partner of this size can differ at most. */
static inline int
most_differing(const SimilarityJoin *join, const SizeFacts *facts, int size)
{
	int			i = size - facts->smallest;

	return i >= 0 && i < NEAR_SIZES ? facts->differing[i]
		: facts->n + size - 2 * min_common(facts->n, size, join->threshold);
}

/*
 * The index for probes.
 *
 * A first pass counts the postings of each list and gives the list its place; a
 * second pass writes the postings, by size.
 */

/* Returns the list of a token at a position. */
static inline List *
list_of(const SimilarityJoin *join, uint32 space, uint32 token, int position)
{
	return &join->lists[(bucket_of(join, space, token) & ~(uint32) (POSITIONS - 1)) |
						Min(position, POSITIONS - 1)];
}

/* Counts the postings of each list in its `to`, and returns their sum. */
static size_t
count_postings(SimilarityJoin *join)
{
	size_t		result = 0;

	for (size_t i = 0; i < join->n_groups; i++)
	{
		const Group *group = &join->groups[i];
		int			length = whole_prefix(join->threshold, group->n);

		choose_prefix(join, group->space, group->tokens, group->n, length);
		for (int k = 0; k < length; k++)
			list_of(join, group->space, (uint32) join->prefix[k], k)->to++;
		result += length;
		count_steps(join, group->n);
	}
	return result;
}

/* Makes space for the postings of each list. */
static void
make_lists(SimilarityJoin *join)
{
	size_t		n_lists = (size_t) 1 << join->bucket_bits;
	size_t		n_postings;
	size_t		start = 0;

	join->lists = core_alloc(n_lists * sizeof(List));
	memset(join->lists, 0, n_lists * sizeof(List));
	n_postings = count_postings(join);
	join->parities = core_alloc(Max(n_postings, 1) * sizeof(uint64));
	join->places = core_alloc(Max(n_postings, 1) * sizeof(uint32));
	for (size_t i = 0; i < n_lists; i++)
	{
		size_t		n = join->lists[i].to;

		join->lists[i].from = start;
		join->lists[i].to = start;
		start += n;
	}
}

/* Frees the index for probes and the facts. */
static void
drop_index(SimilarityJoin *join)
{
	if (join->lists != NULL)
	{
		core_free(join->lists);
		core_free(join->parities);
		core_free(join->places);
		join->lists = NULL;
	}
	for (int i = 0; i < KEPT_SIZES; i++)
		if (join->facts[i] != NULL)
		{
			core_free(join->facts[i]);
			join->facts[i] = NULL;
		}
}

/* Adds a posting for each of the first tokens of join->prefix. */
static void
index_prefix(SimilarityJoin *join, const Group *group, uint32 place, int length)
{
	for (int k = 0; k < length; k++)
	{
		List	   *list = list_of(join, group->space, (uint32) join->prefix[k], k);

		join->parities[list->to] = group->parity;
		join->places[list->to] = place;
		list->to++;
	}
}

/* Makes the index for probes. */
static void
index_all(SimilarityJoin *join)
{
	make_lists(join);
	for (size_t place = 0; place < join->n_groups; place++)
	{
		const Group *group = &join->groups[join->order[place]];
		int			length = whole_prefix(join->threshold, group->n);

		choose_prefix(join, group->space, group->tokens, group->n, length);
		index_prefix(join, group, place, length);
		count_steps(join, group->n);
	}
}

/*
 * Probing.
 */

/* Begins a query: no place has been seen in it yet. */
static void
new_round(SimilarityJoin *join)
{
	if (++join->round == 0)
	{
		memset(join->seen, 0, join->n_groups * sizeof(uint32));
		join->round = 1;
	}
}

/* Compares the query with the set at this place, unless this query did so before. */
static void
compare(SimilarityJoin *join, const Query *query, uint32 place)
{
	const Group *group;
	int			differing;
	int			common;

	if (join->seen[place] == join->round)
		return;
	join->seen[place] = join->round;
	group = &join->groups[join->order[place]];
	differing = most_differing(join, query->facts, group->n);
	if (group->space != query->space ||
		bits_set(group->parity ^ query->parity) > differing ||
		bits_set(group->parity2 ^ query->parity2) > differing)
		return;
	common = common_tokens(query->tokens, query->n, group->tokens, group->n,
						   (query->n + group->n - differing) / 2);
	count_steps(join, query->n);
	if (common >= 0)
		query->found(query->arg, join->order[place], query->group,
					 similarity_of(common, query->n, group->n));
}

/* Compares the query with the sets of the postings [from, to) whose parities are close enough. */
static void
scan_postings(SimilarityJoin *join, const Query *query, size_t from, size_t to)
{
	while (from < to)
	{
		size_t		n = Min(to - from, SCAN_STEP);
		size_t		found = join->scan(join->parities + from, n, query->parity, query->facts->reach, join->hits);

		for (size_t i = 0; i < found; i++)
			compare(join, query, join->places[from + join->hits[i]]);
		from += n;
		count_steps(join, n);
	}
}

/* Returns the first posting of [low, high) whose place is this one or a later one. */
static size_t
posting_at(const SimilarityJoin *join, size_t low, size_t high, uint32 place)
{
	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (join->places[middle] < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Compares the query with every set that can share its token at this position, but no earlier token. */
static void
scan_lists(SimilarityJoin *join, const Query *query, uint32 token, int position)
{
	const SizeFacts *facts = query->facts;
	uint32		behind = facts->behind[Min(position, CUTS - 1)];
	const List *lists = list_of(join, query->space, token, 0);

	for (int i = 0; i < POSITIONS; i++)
	{
		size_t		from = lists[i].from;
		size_t		to = lists[i].to;

		if (facts->first[i] >= behind)
			continue;
		if (to - from > SHORT_LIST)
		{
			from = posting_at(join, from, to, facts->first[i]);
			to = posting_at(join, from, to, behind);
		}
		scan_postings(join, query, from, to);
	}
}

/* Prefetches all lists at once, because a look-up mostly waits for memory. */
static void
fetch_lists(const SimilarityJoin *join, const Query *query)
{
	int			length = Min(query->facts->length, FETCHED);
	const List *lists[FETCHED];

	for (int k = 0; k < length; k++)
	{
		lists[k] = list_of(join, query->space, (uint32) join->prefix[k], 0);
		__builtin_prefetch(lists[k]);
	}
	for (int k = 0; k < length; k++)
		for (int i = 0; i < POSITIONS; i++)
			if (lists[k][i].from < lists[k][i].to)
			{
				__builtin_prefetch(join->parities + lists[k][i].from);
				__builtin_prefetch(join->parities + lists[k][i].from + 8);
			}
}

/* Finds the partners of the query. */
static void
look_up(SimilarityJoin *join, const Query *query)
{
	const SizeFacts *facts = query->facts;

	choose_prefix(join, query->space, query->tokens, query->n, facts->length);
	new_round(join);
	fetch_lists(join, query);
	for (int k = 0; k < facts->length; k++)
		scan_lists(join, query, (uint32) join->prefix[k], k);
	count_steps(join, query->n);
}

/* Makes the index when it is first needed, and looks up the set. */
void
join_probe(SimilarityJoin *join, uint32 space, const uint32 *tokens, int n, join_found found, void *arg)
{
	Query		query = {.tokens = tokens, .n = n, .space = space, .group = -1, .found = found, .arg = arg};

	if (join->lists == NULL)
		index_all(join);
	query.facts = facts_of(join, n);
	digest(tokens, n, &query.parity, &query.parity2);
	look_up(join, &query);
}

/*
 * Finding all pairs.
 *
 * This goes list by list, so that the data in use stays in the processor's cache.
 * The sets of a list come in the order of their sizes.  Each set is compared with
 * the earlier sets of the list.  It is then kept as an earlier set itself, if a
 * set that is not smaller can share the token with it.  A pair can meet in several
 * lists; it counts only in the list of the first token that both share.
 */

typedef struct Prefixes
{
	uint32	   *tokens;
	size_t	   *start;			/* of the tokens of a place */
	size_t		n;
	size_t	   *list;			/* where the postings of a bucket start */
	Posting    *postings;
} Prefixes;

/* The earlier sets of one list that have the token at one position */
typedef struct Earlier
{
	size_t		n;
	size_t		from;			/* the sets before this one are too small */
	size_t		to[CUTS];		/* the sets from here on are too large */
	uint64	   *parities;
	Posting    *postings;
} Earlier;

/* Stores the prefixes of all sets, by place. */
static void
collect_prefixes(SimilarityJoin *join, Prefixes *prefixes)
{
	prefixes->tokens = core_alloc(Max(join->n_postings, 1) * sizeof(uint32));
	prefixes->start = core_alloc(Max(join->n_groups, 1) * sizeof(size_t));
	prefixes->n = 0;
	for (size_t place = 0; place < join->n_groups; place++)
	{
		const Group *group = &join->groups[join->order[place]];
		int			length = whole_prefix(join->threshold, group->n);

		choose_prefix(join, group->space, group->tokens, group->n, length);
		prefixes->start[place] = prefixes->n;
		for (int k = 0; k < length; k++)
			prefixes->tokens[prefixes->n++] = (uint32) join->prefix[k];
		count_steps(join, group->n);
	}
}

/* Returns where the prefix of a place ends. */
static size_t
prefix_end(const SimilarityJoin *join, const Prefixes *prefixes, size_t place)
{
	return place + 1 < join->n_groups ? prefixes->start[place + 1] : prefixes->n;
}

/*
 * Sorts the postings by bucket, by counting.  While the postings are written,
 * list[bucket + 1] is where the next posting of the bucket goes.
 */
static void
collect_postings(SimilarityJoin *join, Prefixes *prefixes)
{
	size_t		n_buckets = (size_t) 1 << join->bucket_bits;

	prefixes->postings = core_alloc(Max(prefixes->n, 1) * sizeof(Posting));
	prefixes->list = core_alloc((n_buckets + 2) * sizeof(size_t));
	memset(prefixes->list, 0, (n_buckets + 2) * sizeof(size_t));
	for (int pass = 0; pass < 2; pass++)
	{
		for (size_t place = 0; place < join->n_groups; place++)
		{
			uint32		space = join->groups[join->order[place]].space;
			size_t		start = prefixes->start[place];
			size_t		end = prefix_end(join, prefixes, place);

			for (size_t k = start; k < end; k++)
			{
				uint32		bucket = bucket_of(join, space, prefixes->tokens[k]);

				if (pass == 0)
					prefixes->list[bucket + 2]++;
				else
					prefixes->postings[prefixes->list[bucket + 1]++] = (Posting) {place, k - start};
			}
			count_steps(join, end - start);
		}
		for (size_t i = 0; pass == 0 && i < n_buckets; i++)
			prefixes->list[i + 2] += prefixes->list[i + 1];
	}
}

/* Returns the key by which tokens are ordered in a prefix. */
static inline uint64
rarity(const SimilarityJoin *join, uint32 space, uint32 token)
{
	return (uint64) join->frequencies[bucket_of(join, space, token)] << 32 | token;
}

/* Do two sets share one of their n and m rarest tokens? */
static bool
share_before(const SimilarityJoin *join, uint32 space, const uint32 *a, int n, const uint32 *b, int m)
{
	int			i = 0;
	int			j = 0;

	while (i < n && j < m)
	{
		if (a[i] == b[j])
			return true;
		if (rarity(join, space, a[i]) < rarity(join, space, b[j]))
			i++;
		else
			j++;
	}
	return false;
}

/* Compares two sets, unless they share an earlier token, in whose list the pair counts. */
static void
compare_postings(SimilarityJoin *join, const Prefixes *prefixes, const Query *query,
				 Posting mine, Posting other)
{
	int			number = join->order[other.place];
	const Group *group = &join->groups[number];
	const uint32 *a = prefixes->tokens + prefixes->start[mine.place];
	const uint32 *b = prefixes->tokens + prefixes->start[other.place];
	int			differing = most_differing(join, query->facts, group->n);
	int			common;

	if (bits_set(group->parity ^ query->parity) > differing ||
		bits_set(group->parity2 ^ query->parity2) > differing ||
		group->space != query->space || a[mine.position] != b[other.position] ||
		share_before(join, query->space, a, mine.position, b, other.position))
		return;
	common = common_tokens(query->tokens, query->n, group->tokens, group->n,
						   (query->n + group->n - differing) / 2);
	count_steps(join, query->n);
	if (common >= 0)
		query->found(query->arg, number, query->group, similarity_of(common, query->n, group->n));
}

/* Compares the query with the earlier sets [from, to) whose parities are close enough. */
static void
scan_earlier(SimilarityJoin *join, const Prefixes *prefixes, const Query *query, Posting mine,
			 const Earlier *earlier, size_t from, size_t to)
{
	while (from < to)
	{
		size_t		n = Min(to - from, SCAN_STEP);
		size_t		found = join->scan(earlier->parities + from, n, query->parity, query->facts->reach, join->hits);

		for (size_t i = 0; i < found; i++)
			compare_postings(join, prefixes, query, mine, earlier->postings[from + join->hits[i]]);
		from += n;
		count_steps(join, n);
	}
}

/*
 * Compares the query with the earlier sets of the list.  The sets come in the
 * order of their sizes, so both ends of the range that can match only move forward.
 */
static void
look_among(SimilarityJoin *join, const Prefixes *prefixes, const Query *query, Posting mine, Earlier *earlier)
{
	const SizeFacts *facts = query->facts;
	int			cut = Min(mine.position, CUTS - 1);

	for (int i = 0; i < POSITIONS; i++)
	{
		Earlier    *those = &earlier[i];
		size_t		to = those->to[cut];

		while (those->from < those->n && those->postings[those->from].place < facts->first[i])
			those->from++;
		while (to < those->n && those->postings[to].place < facts->behind[cut])
			to++;
		those->to[cut] = to;
		scan_earlier(join, prefixes, query, mine, those, those->from, to);
	}
}

/* Finds the pairs that count in one list. */
static void
join_list(SimilarityJoin *join, const Prefixes *prefixes, const Posting *postings, size_t n,
		  Earlier *earlier, join_found found, void *arg)
{
	for (size_t k = 0; k < n; k++)
	{
		int			number = join->order[postings[k].place];
		const Group *group = &join->groups[number];
		Query		query = {.tokens = group->tokens, .n = group->n, .space = group->space,
			.parity = group->parity, .parity2 = group->parity2, .facts = facts_of(join, group->n),
		.group = number, .found = found, .arg = arg};

		if (k + AHEAD < n)
			__builtin_prefetch(&join->groups[join->order[postings[k + AHEAD].place]]);
		look_among(join, prefixes, &query, postings[k], earlier);
		if ((int) postings[k].position < half_prefix(join->threshold, group->n))
		{
			Earlier    *those = &earlier[Min(postings[k].position, POSITIONS - 1)];

			those->parities[those->n] = group->parity;
			those->postings[those->n++] = postings[k];
		}
	}
	count_steps(join, n);
}

/* Divides the space for earlier sets among the positions, by the number of postings of each. */
static void
clear_earlier(Earlier *earlier, const Posting *postings, size_t n, uint64 *parities, Posting *space)
{
	size_t		start = 0;

	memset(earlier, 0, POSITIONS * sizeof(Earlier));
	for (size_t k = 0; k < n; k++)
		earlier[Min(postings[k].position, POSITIONS - 1)].from++;
	for (int i = 0; i < POSITIONS; i++)
	{
		earlier[i].parities = parities + start;
		earlier[i].postings = space + start;
		start += earlier[i].from;
		earlier[i].from = 0;
	}
}

/* Returns the number of postings of the longest list, and at least 1. */
static size_t
longest_list(const SimilarityJoin *join, const Prefixes *prefixes)
{
	size_t		longest = 1;

	for (size_t i = 0; i < (size_t) 1 << join->bucket_bits; i++)
		longest = Max(longest, prefixes->list[i + 1] - prefixes->list[i]);
	return longest;
}

/* Collects the prefixes of all sets, and goes through the lists. */
void
join_self(SimilarityJoin *join, join_found found, void *arg)
{
	Prefixes	prefixes;
	Earlier		earlier[POSITIONS];
	uint64	   *parities;
	Posting    *space;
	size_t		longest;

	drop_index(join);
	collect_prefixes(join, &prefixes);
	collect_postings(join, &prefixes);
	longest = longest_list(join, &prefixes);
	parities = core_alloc(longest * sizeof(uint64));
	space = core_alloc(longest * sizeof(Posting));
	for (size_t i = 0; i < (size_t) 1 << join->bucket_bits; i++)
	{
		const Posting *postings = prefixes.postings + prefixes.list[i];
		size_t		n = prefixes.list[i + 1] - prefixes.list[i];

		if (n < 2)
			continue;
		clear_earlier(earlier, postings, n, parities, space);
		join_list(join, &prefixes, postings, n, earlier, found, arg);
	}
	core_free(parities);
	core_free(space);
	core_free(prefixes.tokens);
	core_free(prefixes.start);
	core_free(prefixes.list);
	core_free(prefixes.postings);
}
