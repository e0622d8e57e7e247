/*
 * similarity_fuzz.c
 *		The similarity, the signatures and the join against what is computed
 *		pair by pair, on sets that are as different as the threshold allows.
 *
 * A target of libFuzzer; with -DDRIVER a program that feeds itself
 * pseudo-random inputs for so many seconds.
 */
#include "c.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "duplicates/core/bits.h"
#include "duplicates/core/memory.h"
#include "duplicates/core/signature.h"
#include "duplicates/core/similarity.h"
#include "duplicates/core/similarity_join.h"

#define MAX_SETS	24
#define MAX_GROWN	200		/* tokens of a set made to be a partner */

#define check(condition) \
	do { \
		if (!(condition)) \
			fail(#condition, __LINE__); \
	} while (0)

typedef struct Set
{
	uint32	   *tokens;
	int			n;
	uint32		space;
	uint64		kind;
	int			group;
} Set;

typedef struct Input
{
	const uint8 *data;
	size_t		size;
	uint64		state;			/* once the data is used up */
	float		threshold;
	Set			sets[MAX_SETS];
	int			n_sets;
	float		similarity[MAX_SETS][MAX_SETS];
	int			n_groups;
	float		found[MAX_SETS][MAX_SETS];	/* by group; 0: not */
} Input;

static void
fail(const char *condition, int line)
{
	fprintf(stderr, "line %d: not true: %s\n", line, condition);
	abort();
}

/* Every allocation that was not freed: a join has no function that frees it */
static void *held[10000];
static int	n_held;

/* Remembers an allocation. */
static void *
hold(void *memory)
{
	check(memory != NULL && n_held < 10000);
	held[n_held++] = memory;
	return memory;
}

/* Forgets an allocation; most are freed soon after they were made. */
static void
let_go(const void *memory)
{
	int			i = n_held - 1;

	while (i >= 0 && held[i] != memory)
		i--;
	check(i >= 0);
	held[i] = held[--n_held];
}

/* Frees everything, as PostgreSQL does with a memory context. */
static void
free_all(void)
{
	while (n_held > 0)
		free(held[--n_held]);
}

void *
core_alloc(size_t size)
{
	return hold(malloc(size));
}

void *
core_realloc(void *memory, size_t size)
{
	let_go(memory);
	return hold(realloc(memory, size));
}

void
core_free(void *memory)
{
	let_go(memory);
	free(memory);
}

void
core_check_interrupts(void)
{
}

/* Choices: a byte of the input each, then pseudo-random ones that depend on it */

static uint32
any(Input *input)
{
	input->state = mix_bits(input->state + UINT64CONST(0x9e3779b97f4a7c15));
	return (uint32) input->state;
}

static int
choose(Input *input, int n)
{
	if (input->size == 0 || n > 256)
		return (int) (any(input) % n);
	input->size--;
	input->state ^= (uint64) *input->data << 8;
	return *input->data++ % n;
}

static float
choose_threshold(Input *input)
{
	static const float usual[] = {0.85f, 0.6f, 1.0f, 0.3f, 0.7f, 0.9f, 0.5f, 0.8f, 0.95f, 0.99f};
	int			choice = choose(input, 16);

	if (choice < 10)
		return usual[choice];
	if (choice == 10)
		return 0.01f;
	if (choice == 11)
		return 1e-30f;
	return (float) (any(input) % 1000 + 1) / 1000.0f;
}

/* Sets */

static int
by_value(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

static void
make_sorted(Set *set)
{
	int			n = 0;

	qsort(set->tokens, set->n, sizeof(uint32), by_value);
	for (int i = 0; i < set->n; i++)
		if (n == 0 || set->tokens[i] != set->tokens[n - 1])
			set->tokens[n++] = set->tokens[i];
	set->n = n;
}

static uint32
any_token(Input *input, int universe)
{
	switch (universe)
	{
		case 0:
			return any(input) % 40;
		case 1:
			return any(input) & 0xffffff;
		default:
			return any(input);
	}
}

static void
make_fresh(Input *input, Set *set, int universe)
{
	int			n = choose(input, 32) == 0 ? 1 + (int) (any(input) % 1500) : 1 + choose(input, 70);

	set->tokens = core_alloc(n * sizeof(uint32));
	set->n = n;
	for (int i = 0; i < n; i++)
		set->tokens[i] = any_token(input, universe);
	make_sorted(set);
}

/* Puts a random choice of so many tokens in front */
static void
shuffle(Input *input, uint32 *tokens, int n, int chosen)
{
	for (int i = 0; i < chosen; i++)
	{
		int			other = i + (int) (any(input) % (n - i));
		uint32		token = tokens[i];

		tokens[i] = tokens[other];
		tokens[other] = token;
	}
}

/* Of a partner's size, with just as many tokens in common as it takes, or nearly */
static void
make_partner(Input *input, Set *set, const Set *of, int universe)
{
	int			smallest = smallest_partner(of->n, input->threshold);
	int			largest = Max(of->n, Min(largest_partner(of->n, input->threshold), MAX_GROWN));
	int			choice = choose(input, 4);
	int			n = choice == 0 ? smallest : choice == 1 ? largest
		: smallest + (int) (any(input) % (largest - smallest + 1));
	int			common = min_common(of->n, n, input->threshold) + choose(input, 4) - 1;

	common = Max(0, Min(common, Min(n, of->n)));
	set->tokens = core_alloc(Max(n, of->n) * sizeof(uint32));
	memcpy(set->tokens, of->tokens, of->n * sizeof(uint32));
	shuffle(input, set->tokens, of->n, common);
	for (int i = common; i < n; i++)
		set->tokens[i] = any_token(input, Max(universe, 1));
	set->n = n;
	make_sorted(set);
}

static void
make_sets(Input *input)
{
	int			universe = choose(input, 3);
	int			spaces = 1 + choose(input, 3);

	input->n_sets = 1 + choose(input, MAX_SETS);
	for (int i = 0; i < input->n_sets; i++)
	{
		Set		   *set = &input->sets[i];

		if (i == 0 || choose(input, 4) == 0)
			make_fresh(input, set, universe);
		else
			make_partner(input, set, &input->sets[choose(input, i)], universe);
		set->space = choose(input, 8) == 0 ? any(input) : (uint32) choose(input, spaces);
		set->kind = choose(input, 2);
	}
}

static int
count_common(const Set *a, const Set *b)
{
	int			common = 0;

	for (int i = 0; i < a->n; i++)
		common += bsearch(&a->tokens[i], b->tokens, b->n, sizeof(uint32), by_value) != NULL;
	return common;
}

static void
compare_all(Input *input)
{
	for (int i = 0; i < input->n_sets; i++)
		for (int k = 0; k <= i; k++)
		{
			const Set  *a = &input->sets[i];
			const Set  *b = &input->sets[k];
			int			common = count_common(a, b);
			float		similarity = (float) common / (float) (a->n + b->n - common);

			input->similarity[i][k] = input->similarity[k][i] = similarity;
		}
}

/* Sizes */

static void
check_sizes(float threshold, int n, int m)
{
	int			common = 0;
	bool		partners;

	while (common <= Min(n, m) && (float) common / (float) (n + m - common) < threshold)
		common++;
	check(min_common(n, m, threshold) == common);
	partners = common <= Min(n, m);
	check(partners == (m >= smallest_partner(n, threshold) && m <= largest_partner(n, threshold)));
	if (partners)
	{
		check(max_difference(n + m, n + m, threshold) >= n + m - 2 * common);
		check(max_difference(2, n + m, threshold) >= n + m - 2 * common);
		if (threshold >= 0.2f)
			check(signature_count(n, threshold) > n + m - 2 * common);
	}
}

static void
check_common_tokens(const Set *a, const Set *b)
{
	int			common = count_common(a, b);

	check(common_tokens(a->tokens, a->n, b->tokens, b->n, 0) == common);
	check(common_tokens(a->tokens, a->n, b->tokens, b->n, common) == common);
	check(common_tokens(a->tokens, a->n, b->tokens, b->n, common + 1) == -1);
}

/* Signatures */

static bool
meet(const SignatureProbe *probes, int n_probes, const int64 *keys, int n_keys)
{
	for (int i = 0; i < n_probes; i++)
		for (int k = 0; k < n_keys; k++)
			if (signature_may_match(&probes[i], keys[k]))
			{
				check(keys[k] >= probes[i].low && keys[k] <= probes[i].high);
				return true;
			}
	return false;
}

static int64 *
keys_of(const Set *set, float built, int *n)
{
	int64	   *keys = core_alloc(signature_count(set->n, built) * sizeof(int64));

	*n = signatures(7, set->tokens, set->n, built, keys);
	check(*n == signature_count(set->n, built));
	return keys;
}

static SignatureProbe *
probes_of(Input *input, const Set *set, float built, int *n)
{
	int			length = probe_query_length(set->n, built, input->threshold);
	int64	   *query = core_alloc(length * sizeof(int64));
	SignatureProbe *probes = core_alloc((length - PROBE_HEADER + 1) * sizeof(SignatureProbe));

	check(probe_query(7, set->tokens, set->n, built, input->threshold, query) == length);
	check(probe_decode(query, length, probes));
	*n = length - PROBE_HEADER;
	core_free(query);
	return probes;
}

static void
check_signatures(Input *input, float built)
{
	for (int i = 0; i < input->n_sets; i++)
	{
		int			n_probes;
		SignatureProbe *probes = probes_of(input, &input->sets[i], built, &n_probes);

		for (int k = 0; k < input->n_sets; k++)
		{
			int			n_keys;
			int64	   *keys;

			if (input->similarity[i][k] < input->threshold)
				continue;
			keys = keys_of(&input->sets[k], built, &n_keys);
			check(meet(probes, n_probes, keys, n_keys));
			core_free(keys);
		}
		core_free(probes);
	}
}

/* Anybody can write an array of bigint */
static void
decode_garbage(Input *input, float built)
{
	const Set  *set = &input->sets[0];
	int			length = probe_query_length(set->n, built, input->threshold);
	int64	   *query = core_alloc(length * sizeof(int64));
	SignatureProbe *probes = core_alloc((length - PROBE_HEADER + 1) * sizeof(SignatureProbe));

	probe_query(7, set->tokens, set->n, built, input->threshold, query);
	for (int i = choose(input, 3); i >= 0; i--)
		query[any(input) % Min(length, 4)] ^= (int64) ((uint64) any(input) << choose(input, 33));
	probe_decode(query, choose(input, 2) == 0 ? length : (int) (any(input) % (length + 1)), probes);
	core_free(query);
	core_free(probes);
}

/* The join */

static bool
same_set(const Set *a, const Set *b)
{
	return a->space == b->space && a->kind == b->kind && a->n == b->n &&
		memcmp(a->tokens, b->tokens, a->n * sizeof(uint32)) == 0;
}

static SimilarityJoin *
add_sets(Input *input)
{
	SimilarityJoin *join = join_create(input->threshold);

	for (int i = 0; i < input->n_sets; i++)
	{
		Set		   *set = &input->sets[i];

		set->group = input->n_groups;
		for (int k = 0; k < i; k++)
			if (same_set(set, &input->sets[k]))
				set->group = input->sets[k].group;
		check(join_add(join, set->space, set->kind, set->tokens, set->n) == set->group);
		input->n_groups = Max(input->n_groups, set->group + 1);
	}
	return join;
}

static void
pair_found(void *arg, int group, int other_group, float similarity)
{
	Input	   *input = arg;
	int			a = Max(group, other_group);
	int			b = Min(group, other_group);

	check(b >= 0 && a < input->n_groups && a != b && input->found[a][b] == 0);
	input->found[a][b] = similarity;
}

static void
match_found(void *arg, int group, int other_group, float similarity)
{
	Input	   *input = arg;

	check(group >= 0 && group < input->n_groups && other_group == -1 && input->found[group][0] == 0);
	input->found[group][0] = similarity;
}

static float
expected(const Input *input, int i, int k)
{
	float		similarity = input->sets[i].space == input->sets[k].space ? input->similarity[i][k] : 0;

	return similarity >= input->threshold ? similarity : 0;
}

static void
check_self(Input *input, SimilarityJoin *join)
{
	memset(input->found, 0, sizeof(input->found));
	join_self(join, pair_found, input);
	for (int i = 0; i < input->n_sets; i++)
		for (int k = 0; k < input->n_sets; k++)
		{
			int			a = input->sets[i].group;
			int			b = input->sets[k].group;

			if (a > b)
				check(input->found[a][b] == expected(input, i, k));
		}
}

static void
check_probes(Input *input, SimilarityJoin *join)
{
	for (int i = 0; i < input->n_sets; i++)
	{
		const Set  *set = &input->sets[i];

		memset(input->found, 0, sizeof(input->found));
		join_probe(join, set->space, set->tokens, set->n, match_found, input);
		for (int k = 0; k < input->n_sets; k++)
			check(input->found[input->sets[k].group][0] == expected(input, i, k));
	}
}

static void
check_join(Input *input)
{
	SimilarityJoin *join = add_sets(input);
	bool		probe_first = choose(input, 2) == 0;

	check(join_bytes(join) > 0);
	join_build(join);
	if (probe_first)
		check_probes(input, join);
	check_self(input, join);
	check_probes(input, join);
}

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		input = {.data = data, .size = size};

	for (size_t i = 0; i < size; i++)
		input.state = mix_bits(input.state + data[i]);
	input.threshold = choose_threshold(&input);
	make_sets(&input);
	compare_all(&input);
	check_sizes(input.threshold, 1 + (int) (any(&input) % 3000), 1 + (int) (any(&input) % 3000));
	for (int i = 0; i < input.n_sets; i++)
	{
		check_sizes(input.threshold, input.sets[i].n, input.sets[0].n);
		check_common_tokens(&input.sets[i], &input.sets[0]);
	}
	if (input.threshold >= 0.2f)
	{
		float		built = Max(0.2f, input.threshold * (choose(&input, 2) == 0 ? 1.0f : 0.75f));

		check_signatures(&input, built);
		decode_garbage(&input, built);
	}
	check_join(&input);
	free_all();
	return 0;
}

#ifdef DRIVER
int
main(int argc, char **argv)
{
	time_t		end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 60);
	uint64		state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	long		runs = 0;

	for (; time(NULL) < end; runs++)
	{
		uint8		data[200];

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8) (mix_bits(++state) >> 8);
		LLVMFuzzerTestOneInput(data, state % sizeof(data));
	}
	printf("%ld inputs\n", runs);
	return 0;
}
#endif
