/*
 * similarity.c
 *		How alike two sets of trigrams are: pg_trgm's similarity(), exactly,
 *		and what follows from it for the sizes of sets.
 */
#include "c.h"

#include "duplicates/core/similarity.h"

/* Up to here every integer is a float4 */
#define EXACT_FLOAT	(1 << 24)

/* As pg_trgm computes it, rounding included */
float
similarity_of(int common, int n, int m)
{
	float		result = (float) common / (float) (n + m - common);

	return result;
}

/*
 * Rounding is monotone, so more common tokens are never less similar, and the
 * quotient is off by a few units in its last place at most: the estimate is
 * right or the answer is near.
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

/* A set that contains the other is the most similar of its size */
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
 * Whether `common` is enough depends on the sum s of the sizes alone, so with
 * C(s) the fewest that are, at most f(s) = s - 2 C(s) tokens differ.  As
 * (c + 1) / (s + 1 - c) is no less similar than c / (s - c), C(s + 2) is at
 * most C(s) + 1 and f(s + 2) at least f(s): the maximum is one of the last two.
 * Where float4 rounds the integers themselves, a real bound that takes off
 * more than all three roundings can, and that grows with s.
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
