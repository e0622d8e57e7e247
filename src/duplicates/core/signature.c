/*
 * signature.c
 *		Keys under which an index finds every similar set.
 *
 * Sizes are in classes, each a range [lo, largest partner of lo].  No set of a
 * class differs from one that it is similar to in more than H tokens.  Tokens
 * are hashed into H + 1 parts, and a set has a key for each part: a token that
 * differs spoils one part, so one part stays equal.  A set is stored under its
 * own class, and looked for in every class that its partners can be in.
 *
 * A probe that allows for only h <= H tokens to differ needs only h + 1 of the
 * parts, whichever: they too cannot all be spoilt.  It takes the fullest, which
 * the fewest sets share by chance.
 *
 * A key is a hash of seed, class, part and the tokens in the part (32 bits), a
 * range of sizes (6), and the parity of the whole set (26): each token flips
 * one bit, so two parities are never further apart than their sets.
 */
#include "c.h"

#include "duplicates/core/signature.h"
#include "duplicates/core/similarity.h"

#define PARITY_BITS		26
#define PARITY_MASK		((1U << PARITY_BITS) - 1)

/* Rows for higher thresholds are stored as for this one: classes stay few */
#define HIGHEST_BUILT	0.9f

typedef struct SizeClass
{
	int			lo;
	int			hi;
	int			parts;
} SizeClass;

static SizeClass
class_from(int lo, float built)
{
	SizeClass	class;

	built = Min(built, HIGHEST_BUILT);
	class.lo = lo;
	class.hi = largest_partner(lo, built);
	class.parts = max_difference(2, class.hi + largest_partner(class.hi, built), built) + 1;
	return class;
}

static SizeClass
class_of(int n, float built)
{
	int			lo = 1;
	int			next = 1;

	while (next <= n)
	{
		lo = next;
		next = largest_partner(lo, Min(built, HIGHEST_BUILT)) + 1;
	}
	return class_from(lo, built);
}

/* A class of more sizes than a key has room for: so many share a number */
static int
sizes_a_number(const SizeClass *class)
{
	return (class->hi - class->lo) / SIGNATURE_SIZES + 1;
}

static int
number_of_size(const SizeClass *class, int size)
{
	return (size - class->lo) / sizes_a_number(class);
}

static uint64
token_hash(uint32 token)
{
	return mix_bits(token + UINT64CONST(0x9e3779b97f4a7c15));
}

static int
part_of(uint64 hash, int parts)
{
	return (int) (((hash >> 32) * parts) >> 32);
}

static uint32
parity_of(const uint32 *tokens, int n)
{
	uint32		parity = 0;

	for (int i = 0; i < n; i++)
		parity ^= 1U << (((token_hash(tokens[i]) & 0xffffffff) * PARITY_BITS) >> 32);
	return parity;
}

/* The upper half of a key */
static uint64
key_hash(uint64 seed, int lo, int part, uint64 sum)
{
	uint64		place = mix_bits(seed ^ ((uint64) lo << 32 | (uint32) part));

	return mix_bits(place + sum) & UINT64CONST(0xffffffff00000000);
}

int
signature_count(int n, float built)
{
	return n > 0 ? class_of(n, built).parts : 0;
}

int
signatures(uint64 seed, const uint32 *tokens, int n, float built, int64 *keys)
{
	uint64	   *sums = (uint64 *) keys;
	SizeClass	class;
	uint64		low;

	if (n == 0)
		return 0;
	class = class_of(n, built);
	low = (uint64) number_of_size(&class, n) << PARITY_BITS | parity_of(tokens, n);
	memset(sums, 0, class.parts * sizeof(uint64));
	for (int i = 0; i < n; i++)
	{
		uint64		hash = token_hash(tokens[i]);

		sums[part_of(hash, class.parts)] += hash;
	}
	for (int part = 0; part < class.parts; part++)
		keys[part] = (int64) (key_hash(seed, class.lo, part, sums[part]) | low);
	return class.parts;
}

/* Sets of n tokens at a threshold, looked for in one class after the other */
typedef struct ClassScan
{
	int			n;
	float		built;
	float		threshold;
	int			smallest;		/* sizes of partners */
	int			largest;
	SizeClass	class;
} ClassScan;

static void
start_scan(ClassScan *scan, int n, float built, float threshold)
{
	scan->n = n;
	scan->built = built;
	scan->threshold = threshold;
	scan->smallest = smallest_partner(n, threshold);
	scan->largest = largest_partner(n, threshold);
	scan->class = class_of(scan->smallest, built);
}

static bool
next_class(ClassScan *scan)
{
	if (scan->class.hi >= scan->largest)
		return false;
	scan->class = class_from(scan->class.hi + 1, scan->built);
	return true;
}

/* The most tokens in which partners of these sizes differ; -1 without any */
static int
reach_of(const ClassScan *scan, int least, int greatest)
{
	least = Max(least, scan->smallest);
	greatest = Min(greatest, scan->largest);
	return least > greatest ? -1
		: max_difference(scan->n + least, scan->n + greatest, scan->threshold);
}

static int
look_ups(const ClassScan *scan)
{
	return reach_of(scan, scan->class.lo, scan->class.hi) + 1;
}

int
probe_query_length(int n, float built, float threshold)
{
	ClassScan	scan;
	int			length = PROBE_HEADER;

	if (n == 0)
		return length;
	start_scan(&scan, n, built, threshold);
	do
		length += look_ups(&scan);
	while (next_class(&scan));
	return length;
}

/* The least number of tokens that one of the `wanted` fullest parts has */
static int
fullness(const uint8 *tokens_in, int parts, int wanted)
{
	int			having[256] = {0};
	int			least = 256;

	for (int part = 0; part < parts; part++)
		having[tokens_in[part]]++;
	while (wanted > 0)
		wanted -= having[--least];
	return least;
}

/* The keys of the fullest parts, with the class in the place of size and parity */
static void
choose_parts(uint64 seed, const SizeClass *class, const uint64 *sums, const uint8 *tokens_in,
			 int wanted, int64 *keys)
{
	int			least = fullness(tokens_in, class->parts, wanted);
	int			n = 0;

	for (int pass = 0; pass < 2; pass++)
		for (int part = 0; part < class->parts && n < wanted; part++)
			if (pass == 0 ? tokens_in[part] > least : tokens_in[part] == least)
				keys[n++] = (int64) (key_hash(seed, class->lo, part, sums[part]) | (uint32) class->lo);
}

static void
look_up_class(uint64 seed, const uint32 *tokens, int n, const SizeClass *class, int wanted, int64 *keys)
{
	uint64	   *sums = join_alloc(class->parts * (sizeof(uint64) + sizeof(uint8)));
	uint8	   *tokens_in = (uint8 *) (sums + class->parts);

	memset(sums, 0, class->parts * (sizeof(uint64) + sizeof(uint8)));
	for (int i = 0; i < n; i++)
	{
		uint64		hash = token_hash(tokens[i]);
		int			part = part_of(hash, class->parts);

		sums[part] += hash;
		if (tokens_in[part] < 255)
			tokens_in[part]++;
	}
	choose_parts(seed, class, sums, tokens_in, wanted, keys);
	join_free(sums);
}

static uint32
float_bits(float value)
{
	uint32		bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static float
bits_float(uint32 bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

int
probe_query(uint64 seed, const uint32 *tokens, int n, float built, float threshold, int64 *query)
{
	ClassScan	scan;
	int			length = PROBE_HEADER;

	query[0] = (int64) ((uint64) float_bits(built) << 32 | float_bits(threshold));
	query[1] = (int64) ((uint64) n << 32 | parity_of(tokens, n));
	if (n == 0)
		return length;
	start_scan(&scan, n, built, threshold);
	do
	{
		int			wanted = look_ups(&scan);

		if (wanted > 0)
			look_up_class(seed, tokens, n, &scan.class, wanted, query + length);
		length += wanted;
	} while (next_class(&scan));
	return length;
}

/* By the upper half of its keys */
static void
set_range(SignatureProbe *probe, const ClassScan *scan, uint64 hash)
{
	int			smallest = Max(scan->smallest, scan->class.lo);
	int			largest = Min(scan->largest, scan->class.hi);

	probe->low = (int64) (hash | (uint64) number_of_size(&scan->class, smallest) << PARITY_BITS);
	probe->high = (int64) (hash | (uint64) number_of_size(&scan->class, largest) << PARITY_BITS | PARITY_MASK);
}

static void
set_reach(SignatureProbe *probe, const ClassScan *scan)
{
	int			step = sizes_a_number(&scan->class);

	for (int i = 0; i < SIGNATURE_SIZES; i++)
	{
		int			least = scan->class.lo + i * step;
		int			greatest = Min(least + step - 1, scan->class.hi);
		int			reach = least > scan->class.hi ? -1 : reach_of(scan, least, greatest);

		probe->reach[i] = Min(reach, PARITY_BITS) + 1;
	}
}

static bool
read_header(const int64 *query, int length, ClassScan *scan, uint32 *parity)
{
	float		built;
	float		threshold;
	int64		n;

	if (length <= PROBE_HEADER)
		return length == PROBE_HEADER;
	built = bits_float((uint64) query[0] >> 32);
	threshold = bits_float((uint32) query[0]);
	n = query[1] >> 32;
	*parity = (uint32) query[1];
	if (!(built > 0 && built <= threshold && threshold <= 1) ||
		n < 1 || n > MAX_TOKENS || *parity > PARITY_MASK)
		return false;
	start_scan(scan, (int) n, built, threshold);
	return true;
}

bool
probe_decode(const int64 *query, int length, SignatureProbe *probes)
{
	ClassScan	scan;
	uint32		parity = 0;
	int			lo = 0;			/* the class of the probe before */

	if (!read_header(query, length, &scan, &parity))
		return false;
	for (int i = 0; i < length - PROBE_HEADER; i++)
	{
		uint64		key = (uint64) query[PROBE_HEADER + i];

		probes[i].parity = parity;
		while (scan.class.lo < (int64) (uint32) key)
			if (!next_class(&scan))
				return false;
		if (scan.class.lo != (int64) (uint32) key)
			return false;
		set_range(&probes[i], &scan, key & UINT64CONST(0xffffffff00000000));
		if (scan.class.lo == lo)
			memcpy(probes[i].reach, probes[i - 1].reach, SIGNATURE_SIZES);
		else
			set_reach(&probes[i], &scan);
		lo = scan.class.lo;
	}
	return true;
}

static int
bits_set(uint32 x)
{
	x = x - ((x >> 1) & 0x55555555);
	x = (x & 0x33333333) + ((x >> 2) & 0x33333333);
	return (((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101) >> 24;
}

bool
signature_may_match(const SignatureProbe *probe, int64 key)
{
	uint32		low = (uint32) key;

	return !((key ^ probe->low) >> 32) &&
		bits_set((low & PARITY_MASK) ^ probe->parity) < probe->reach[low >> PARITY_BITS];
}
