/*
 * signature.h
 *		Keys under which an index finds every similar set: two sets that reach
 *		the threshold have at least one key in common.
 *
 * Include similarity.h before.  `built` is the threshold that the keys of the
 * rows are made for, `threshold` what a probe asks for: built <= threshold.
 * Sets with different seeds are not looked for under each other's keys, but
 * may meet by chance: the caller checks every row that is found.
 */
#ifndef CRM_DEALS_SIGNATURE_H
#define CRM_DEALS_SIGNATURE_H

/* The keys of a row; `keys` has room for signature_count().  None if n is 0. */
extern int	signature_count(int n, float built);
extern int	signatures(uint64 seed, const uint32 *tokens, int n, float built, int64 *keys);

/*
 * A probe as one array: PROBE_HEADER elements, then one for each look-up.
 * `query` has room for probe_query_length(); returns the elements used.
 */
#define PROBE_HEADER	2

extern int	probe_query_length(int n, float built, float threshold);
extern int	probe_query(uint64 seed, const uint32 *tokens, int n, float built, float threshold,
						int64 *query);

/* A look-up: every key from `low` to `high` */
#define SIGNATURE_SIZES	64

typedef struct SignatureProbe
{
	int64		low;			/* of the smallest partner, and the largest */
	int64		high;
	uint32		parity;
	uint8		reach[SIGNATURE_SIZES]; /* parity distances below it may match, by size in the key */
} SignatureProbe;

/* length - PROBE_HEADER look-ups; false if that is no array of probe_query() */
extern bool probe_decode(const int64 *query, int length, SignatureProbe *probes);

/* May the row that has this key match, as far as the key tells? */
extern bool signature_may_match(const SignatureProbe *probe, int64 key);

#endif							/* CRM_DEALS_SIGNATURE_H */
