/*
 * similarity.c
 *		How similar two sets of trigrams are, exactly as pg_trgm's similarity()
 *		says, and what follows from a threshold for the sizes of sets.
 */
#include "c.h"

#include "duplicates/core/similarity.h"

/* float4 holds every integer up to here exactly */
#define EXACT_FLOAT	(1 << 24)

/* Returns the similarity as pg_trgm computes it, with the same rounding. */
float
similarity_of(int common, int n, int m)
{
	float		result = (float) common / (float) (n + m - common);

	return result;
}

/*
 * Returns the fewest shared tokens that reach the threshold.
 *
 * The estimate solves the equation without rounding.  Rounding is monotone, so
 * more shared tokens never make sets less similar, and the quotient is off by a
 * few units in its last place at most.  So the answer is the estimate or a number
 * close to it.
 */
int
min_common(int n, int m, float threshold)
{
	int			limit = Min(n, m);
	double		estimate = (double) threshold * ((double) n + m) / (1.0 + threshold);
	int			common = (int) Min(estimate, (double) limit + 1);

	while (common > 0 && similarity_of(common - 1, n, m) >= threshold)
		common--;
	while (common <= limit && similarity_of(common, n, m) < threshold)
		common++;
	return common;
}

/* Returns the smallest size of a partner: of all sets of one size, a subset is the most similar. */
int
smallest_partner(int n, float threshold)
{
	int			size = Max((int) ((double) n * threshold), 1);

	while (size > 1 && similarity_of(size - 1, n, size - 1) >= threshold)
		size--;
	while (similarity_of(size, n, size) < threshold)
		size++;
	return size;
}

/* Returns the largest size of a partner: of all sets of one size, a superset is the most similar. */
int
largest_partner(int n, float threshold)
{
	int			size = (int) Min((double) n / threshold, (double) MAX_TOKENS);

	while (size < MAX_TOKENS && similarity_of(n, n, size + 1) >= threshold)
		size++;
	while (similarity_of(n, n, size) < threshold)
		size--;
	return size;
}

/*
 * Returns the most tokens that can be in only one of two partners.
 *
 * Whether a number of shared tokens is enough depends only on the sum s of the
 * sizes.  If C(s) is the fewest that are enough, at most f(s) = s - 2 C(s) tokens
 * differ.  (c + 1) / (s + 1 - c) is at least as similar as c / (s - c), so
 * C(s + 2) is at most C(s) + 1, and f(s + 2) is at least f(s).  So the maximum is
 * f of one of the two largest sums.
 *
 * If the sums are so large that float4 rounds them, the function returns an upper
 * bound instead.  It takes more off the threshold than all three roundings can,
 * and it grows with s.
 */
int
max_difference(int least_sum, int greatest_sum, float threshold)
{
	int			result;

	if (greatest_sum > EXACT_FLOAT)
	{
		double		reached = threshold * (1.0 - 1.0 / (1 << 21));

		return (int) (greatest_sum * (1.0 - reached) / (1.0 + reached));
	}
	result = greatest_sum - 2 * min_common(greatest_sum / 2, greatest_sum - greatest_sum / 2, threshold);
	if (greatest_sum > Max(least_sum, 2))
		result = Max(result, max_difference(greatest_sum - 1, greatest_sum - 1, threshold));
	return result;
}

/* Counts the shared tokens in one pass; stops as soon as at_least cannot be reached any more. */
int
common_tokens(const uint32 *a, int n, const uint32 *b, int m, int at_least)
{
	int			i = 0;
	int			j = 0;
	int			common = 0;

	while (i < n && j < m)
	{
		uint32		x = a[i];
		uint32		y = b[j];

		i += x <= y;
		j += y <= x;
		common += x == y;
		if (i - common > n - at_least || j - common > m - at_least)
			return -1;
	}
	return common >= at_least ? common : -1;
}
