/*
 * signature.c
 *		Signatures: keys by which an index finds every partner of a set.
 *
 * Sizes are divided into classes.  Each class is a range [lo, largest partner of
 * lo].  A set of a class differs from each of its partners in at most H tokens.
 * The tokens of a set are hashed into H + 1 parts, and the set has one key for
 * each part.  A token that differs changes one part only, so at least one part
 * stays equal.  A set is stored under its own class; a probe looks in every class
 * that can hold its partners.
 *
 * If the threshold of a probe allows only h < H tokens to differ, any h + 1 parts
 * are enough, because h tokens cannot change all of them.  The probe takes the
 * parts with the most tokens, because the fewest other sets share those by chance.
 *
 * A key has three fields: a hash of the seed, the class, the part and the part's
 * tokens (32 bits), the size within the class (6 bits), and the parity of the
 * whole set (26 bits).  Each token flips one bit of the parity.  So the parities
 * of two sets differ in at most as many bits as the sets differ in tokens, and a
 * key alone can show that a row is no partner.
 */
#include "c.h"

#include "duplicates/core/bits.h"
#include "duplicates/core/memory.h"
#include "duplicates/core/signature.h"
#include "duplicates/core/similarity.h"

#define PARITY_BITS		26
#define PARITY_MASK		((1U << PARITY_BITS) - 1)

/* Higher thresholds get the keys of this one, because they would make too many classes. */
#define HIGHEST_BUILT	0.9f

typedef struct SizeClass
{
	int			lo;
	int			hi;
	int			parts;
} SizeClass;

/* Returns the class that begins with this size. */
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

/* Returns the class that this size belongs to. */
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

/* Returns how many sizes share one number, because a class can have more sizes than a key can tell apart. */
static int
sizes_per_number(const SizeClass *class)
{
	return (class->hi - class->lo) / SIGNATURE_SIZES + 1;
}

/* Returns the number that stands for the size in a key. */
static int
number_of_size(const SizeClass *class, int size)
{
	return (size - class->lo) / sizes_per_number(class);
}

/* Returns a hash of a token. */
static uint64
token_hash(uint32 token)
{
	return mix_bits(token + UINT64CONST(0x9e3779b97f4a7c15));
}

/* Returns the part that a token with this hash belongs to. */
static int
part_of(uint64 hash, int parts)
{
	return (int) (((hash >> 32) * parts) >> 32);
}

/* Returns the parity of a set: each token flips one bit. */
static uint32
parity_of(const uint32 *tokens, int n)
{
	uint32		parity = 0;

	for (int i = 0; i < n; i++)
		parity ^= 1U << (((token_hash(tokens[i]) & 0xffffffff) * PARITY_BITS) >> 32);
	return parity;
}

/* Returns the upper half of a key. */
static uint64
key_hash(uint64 seed, int lo, int part, uint64 sum)
{
	uint64		place = mix_bits(seed ^ ((uint64) lo << 32 | (uint32) part));

	return mix_bits(place + sum) & UINT64CONST(0xffffffff00000000);
}

/* Returns how many keys a set of n tokens has. */
int
signature_count(int n, float built)
{
	return n > 0 ? class_of(n, built).parts : 0;
}

/* Writes the keys of a set: first sums the hashes of each part, then makes a key of each sum. */
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

/* Goes through the classes that can hold partners of a set of n tokens. */
typedef struct ClassScan
{
	int			n;
	float		built;
	float		threshold;
	int			smallest;		/* size of a partner */
	int			largest;
	SizeClass	class;
} ClassScan;

/* Begins with the class of the smallest partner. */
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

/* Goes to the next class; returns false if no partner can be in it. */
static bool
next_class(ClassScan *scan)
{
	if (scan->class.hi >= scan->largest)
		return false;
	scan->class = class_from(scan->class.hi + 1, scan->built);
	return true;
}

/* Returns the most tokens in which a partner of these sizes can differ; -1 if there is no such partner. */
static int
reach_of(const ClassScan *scan, int least, int greatest)
{
	least = Max(least, scan->smallest);
	greatest = Min(greatest, scan->largest);
	return least > greatest ? -1
		: max_difference(scan->n + least, scan->n + greatest, scan->threshold);
}

/* Returns how many look-ups the present class needs. */
static int
look_ups(const ClassScan *scan)
{
	return reach_of(scan, scan->class.lo, scan->class.hi) + 1;
}

/* Returns how many elements probe_query() writes. */
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

/* Returns the least number of tokens in one of the `wanted` fullest parts. */
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

/* Writes the keys of the fullest parts, with the class in place of the size and the parity. */
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

/* Writes the look-ups of one class. */
static void
look_up_class(uint64 seed, const uint32 *tokens, int n, const SizeClass *class, int wanted, int64 *keys)
{
	uint64	   *sums = core_alloc(class->parts * (sizeof(uint64) + sizeof(uint8)));
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
	core_free(sums);
}

/* Returns the bits of a float. */
static uint32
float_bits(float value)
{
	uint32		bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Returns the float that has these bits. */
static float
bits_float(uint32 bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Writes the header and then the look-ups, class by class. */
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

/* Sets the range of keys of a look-up that has this hash. */
static void
set_range(SignatureProbe *probe, const ClassScan *scan, uint64 hash)
{
	int			smallest = Max(scan->smallest, scan->class.lo);
	int			largest = Min(scan->largest, scan->class.hi);

	probe->low = (int64) (hash | (uint64) number_of_size(&scan->class, smallest) << PARITY_BITS);
	probe->high = (int64) (hash | (uint64) number_of_size(&scan->class, largest) << PARITY_BITS | PARITY_MASK);
}

/* Sets, for each size that a key can name, how far parities may be apart. */
static void
set_reach(SignatureProbe *probe, const ClassScan *scan)
{
	int			step = sizes_per_number(&scan->class);

	for (int i = 0; i < SIGNATURE_SIZES; i++)
	{
		int			least = scan->class.lo + i * step;
		int			greatest = Min(least + step - 1, scan->class.hi);
		int			reach = least > scan->class.hi ? -1 : reach_of(scan, least, greatest);

		probe->reach[i] = Min(reach, PARITY_BITS) + 1;
	}
}

/* Reads the header of a probe; returns false if its values are impossible. */
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

/* Reads the look-ups of a probe; their classes must ascend. */
bool
probe_decode(const int64 *query, int length, SignatureProbe *probes)
{
	ClassScan	scan;
	uint32		parity = 0;
	int			lo = 0;			/* the class of the previous probe */

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

/* Compares the hash, and then the distance of the parities with what the size in the key allows. */
bool
signature_may_match(const SignatureProbe *probe, int64 key)
{
	uint32		low = (uint32) key;

	return !((key ^ probe->low) >> 32) &&
		bits_set((low & PARITY_MASK) ^ probe->parity) < probe->reach[low >> PARITY_BITS];
}
