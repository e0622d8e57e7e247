/*
 * caller_query.h
 *		Prepared queries that run as the caller.
 */
#ifndef CRM_DEALS_CALLER_QUERY_H
#define CRM_DEALS_CALLER_QUERY_H

#include "base/kept_query.h"
#include "base/write_context.h"

typedef KeptQuery CallerQuery;

/* The result stands in SPI_tuptable. The code calls these functions between SPI_connect and SPI_finish. */
extern void caller_query(CallerQuery *query, Datum *values, const char *nulls);

/* Reads row by row; if it only reads, under the snapshot of the calling query. The calling code closes the portal. */
extern Portal caller_query_cursor(CallerQuery *query, Datum *values, const char *nulls, bool read_only);

/* The same as caller_query(); what it writes of deals means what the context says. */
extern void caller_query_in_context(CallerQuery *query, Datum *values, const char *nulls, WriteContext *context);

/* Returns whether row security may hide deals from the caller. Then numbers of deals are not for him to know. */
extern bool deals_are_hidden(void);

/* Returns whether the caller may read the deal. */
extern bool caller_sees_deal(int64 deal_id);

#endif							/* CRM_DEALS_CALLER_QUERY_H */
