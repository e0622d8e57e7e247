/*
 * deal_reader.h
 *		Deals to be compared, read from a query of any size.
 */
#ifndef CRM_DEALS_DEAL_READER_H
#define CRM_DEALS_DEAL_READER_H

#include "executor/spi.h"

#include "base/owner_query.h"
#include "duplicates/deal_ids.h"
#include "duplicates/duplicate_join.h"
#include "duplicates/progress.h"

/* What such a query selects of a deal d and its pipeline p; a deal of policy 'off' is only found by others. */
#define COLUMNS_TO_COMPARE(policy) \
	"d.id::pg_catalog.int8, d.organization::pg_catalog.text, d.name::pg_catalog.text, d.account_id::pg_catalog.text," \
	" d.closed_at IS NULL, (" policy ")::pg_catalog.text, p.duplicate_threshold::pg_catalog.float4," \
	" p.duplicate_scope::pg_catalog.text"

typedef struct DealReader
{
	Portal		portal;
	OwnerQuery *query;			/* is opened again for the next of the ids; NULL: there is one portal */
	const DealIds *ids;
	DealIdsPlace place;
	SPITupleTable *rows;
	uint64		n;
	uint64		next;
	ComparedDeal deal;			/* its texts last until the next is read */
	MemoryContext memory;
	float4		threshold;		/* of every deal; 0: its pipeline's */
	Progress	progress;
} DealReader;

/* Between SPI_connect and SPI_finish; the portal is closed with the reader. */
extern DealReader deal_reader_open(Portal portal, float4 threshold);

/* Of the owner's query for the deals $1 (sorted, at least one), by and by */
extern DealReader deal_reader_open_ids(OwnerQuery *query, const DealIds *ids);

extern bool deal_reader_next(DealReader *reader);
extern void deal_reader_close(DealReader *reader);

/*
 * Adds as many deals as there is room for, and builds; false after the last.
 * *first is the lowest id, they must come in this order.
 */
extern bool read_into_join(DealReader *reader, DuplicateJoin *join, Size room, int64 *first);

/* Every pair that was dismissed */
extern void add_dismissed_pairs(DuplicateJoin *join);

#endif							/* CRM_DEALS_DEAL_READER_H */
