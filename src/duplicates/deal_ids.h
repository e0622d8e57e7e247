/*
 * deal_ids.h
 *		Any number of ids of deals.
 */
#ifndef CRM_DEALS_DEAL_IDS_H
#define CRM_DEALS_DEAL_IDS_H

typedef struct DealIdRange
{
	int64		first;
	int64		last;
} DealIdRange;

typedef struct DealIds
{
	DealIdRange *ranges;
	int64		n_ranges;
	int64		allocated;
	int64		n;				/* number of ids in the ranges */
} DealIds;

/* The position of a loop over ids; begins as {0} */
typedef struct DealIdsPlace
{
	int64		range;
	int64		within;
} DealIdsPlace;

/* The first call decides in which memory context the ids live. */
extern void deal_ids_add(DealIds *ids, int64 id, MemoryContext memory);
extern void deal_ids_add_all(DealIds *ids, const DealIds *more, MemoryContext memory);

/* The ids of a bigint[], in its order */
extern DealIds deal_ids_of_array(Datum array);

/* Sorts the ids and removes repeated ones. */
extern void deal_ids_sort(DealIds *ids);
extern bool is_among(const DealIds *sorted, int64 id);

/* Sets the next id; returns false if there are no more. */
extern bool deal_ids_next(const DealIds *ids, DealIdsPlace *place, int64 *id);

/* Sets the next slice as a palloc'd bigint[], which is never large; returns false if there are no more. */
extern bool deal_ids_next_slice(const DealIds *ids, DealIdsPlace *place, Datum *array);

/* All ids as bigint[] */
extern Datum deal_ids_array(const DealIds *ids);

#endif							/* CRM_DEALS_DEAL_IDS_H */
