/*
 * deal_ids.h
 *		Ids of deals, of any number.
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
	int64		n;				/* ids in them */
} DealIds;

/* Where a walk through them is; starts as {0} */
typedef struct DealIdsPlace
{
	int64		range;
	int64		within;
} DealIdsPlace;

/* The memory context counts at the first. */
extern void deal_ids_add(DealIds *ids, int64 id, MemoryContext memory);
extern void deal_ids_add_all(DealIds *ids, const DealIds *more, MemoryContext memory);

/* Also drops what is there twice */
extern void deal_ids_sort(DealIds *ids);
extern bool is_among(const DealIds *sorted, int64 id);

/* False: there are no more. */
extern bool deal_ids_next(const DealIds *ids, DealIdsPlace *place, int64 *id);

/* The next of them as bigint[], palloc'd: so few that they take no room to speak of */
extern bool deal_ids_next_slice(const DealIds *ids, DealIdsPlace *place, Datum *array);

/* All */
extern Datum deal_ids_array(const DealIds *ids);

#endif							/* CRM_DEALS_DEAL_IDS_H */
