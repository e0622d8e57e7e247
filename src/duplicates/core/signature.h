/*
 * signature.h
 *		Signatures: keys by which an index finds every partner of a set.  Two
 *		sets whose similarity reaches the threshold share at least one key.
 *
 * `built` is the threshold that the keys of the rows are made for, `threshold`
 * is the one of a probe; built <= threshold.  Sets with different seeds (the
 * organization) have different keys, but two keys can be equal by chance, so the
 * caller compares every row that is found.
 */
#ifndef CRM_DEALS_SIGNATURE_H
#define CRM_DEALS_SIGNATURE_H

/* Writes the keys of a row to `keys`, which has space for signature_count(); no keys if n is 0. */
extern int	signature_count(int n, float built);
extern int	signatures(uint64 seed, const uint32 *tokens, int n, float built, int64 *keys);

/*
 * Writes a probe to one array: PROBE_HEADER elements, then one for each look-up.
 * `query` has space for probe_query_length(); returns the number of elements used.
 */
#define PROBE_HEADER	2

extern int	probe_query_length(int n, float built, float threshold);
extern int	probe_query(uint64 seed, const uint32 *tokens, int n, float built, float threshold,
						int64 *query);

/* The number of sizes that a key can tell apart */
#define SIGNATURE_SIZES	64

/* One look-up: it reads every key from `low` (of the smallest partner) to `high` (of the largest) */
typedef struct SignatureProbe
{
	int64		low;
	int64		high;
	uint32		parity;
	uint8		reach[SIGNATURE_SIZES]; /* by size: parities whose distance is below this may match */
} SignatureProbe;

/* Writes length - PROBE_HEADER look-ups; returns false if probe_query() cannot have made the array. */
extern bool probe_decode(const int64 *query, int length, SignatureProbe *probes);

/* Can the row that has this key be a partner, as far as the key says? */
extern bool signature_may_match(const SignatureProbe *probe, int64 key);

#endif							/* CRM_DEALS_SIGNATURE_H */
