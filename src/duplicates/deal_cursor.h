/*
 * deal_cursor.h
 *		Reads the deals that are to be compared, one by one, from a query whose
 *		result can have any size.
 */
#ifndef CRM_DEALS_DEAL_CURSOR_H
#define CRM_DEALS_DEAL_CURSOR_H

#include "executor/spi.h"

#include "base/owner_query.h"
#include "duplicates/deal_ids.h"
#include "duplicates/duplicate_rule.h"
#include "duplicates/progress.h"

/*
 * What such a query selects of a deal d and its pipeline p.  `is_checked` is an
 * SQL expression: false if the deal can only be the duplicate of another deal.
 */
#define COLUMNS_TO_COMPARE(is_checked) \
	COLUMNS_TO_COMPARE_IN(is_checked, "p.duplicate_scope")
#define COLUMNS_TO_COMPARE_IN(is_checked, scope) \
	"d.id::pg_catalog.int8, d.organization::pg_catalog.text, d.name::pg_catalog.text, d.account_id::pg_catalog.text," \
	" d.closed_at IS NULL, " is_checked ", p.duplicate_threshold::pg_catalog.float4," \
	" " scope "::pg_catalog.text"

/* The types of these columns */
#define COMPARED_COLUMNS INT8OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID, FLOAT4OID, TEXTOID

/* A deal to be compared; texts may be NULL, except for the name */
typedef struct ComparedDeal
{
	int64		id;
	text	   *organization;
	text	   *name;
	text	   *account;
	bool		is_open;
	DuplicateRule rule;			/* the number of the account is not set yet */
} ComparedDeal;

typedef struct DealCursor
{
	Portal		portal;
	OwnerQuery *query;			/* opened again for each slice of the ids; NULL: there is one portal */
	const DealIds *ids;
	DealIdsPlace place;
	SPITupleTable *rows;
	uint64		n;
	uint64		next;
	ComparedDeal deal;			/* the texts last until the next deal is read */
	MemoryContext memory;
	float4		threshold;		/* of every deal; 0: that of its pipeline */
	Progress	progress;
} DealCursor;

/* Call between SPI_connect and SPI_finish; closing the cursor closes the portal. */
extern DealCursor deal_cursor_open(Portal portal, float4 threshold);

/* Reads the deals $1 of the query, slice by slice; the ids are sorted, and there is at least one. */
extern DealCursor deal_cursor_open_ids(OwnerQuery *query, const DealIds *ids);

/* Reads the next deal; returns false after the last. */
extern bool deal_cursor_next(DealCursor *cursor);
extern void deal_cursor_close(DealCursor *cursor);

#endif							/* CRM_DEALS_DEAL_CURSOR_H */
