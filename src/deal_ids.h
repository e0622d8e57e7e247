/*
 * deal_ids.h
 *		Lists of ids of deals, of any length.
 */
#ifndef CRM_DEALS_DEAL_IDS_H
#define CRM_DEALS_DEAL_IDS_H

typedef struct DealIds
{
	int64	   *ids;
	int64		n;
	int64		allocated;
} DealIds;

/* The memory context counts at the first. */
extern void deal_ids_add(DealIds *ids, int64 id, MemoryContext memory);
extern void deal_ids_add_all(DealIds *ids, const DealIds *more, MemoryContext memory);

extern void deal_ids_sort(DealIds *ids);
extern bool is_among(const DealIds *sorted, int64 id);

/* As bigint[] */
extern Datum deal_ids_array(const DealIds *ids);

#endif							/* CRM_DEALS_DEAL_IDS_H */
