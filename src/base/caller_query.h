/*
 * caller_query.h
 *		Prepared queries that run as the caller.
 */
#ifndef CRM_DEALS_CALLER_QUERY_H
#define CRM_DEALS_CALLER_QUERY_H

#include "executor/spi.h"

#include "base/write_context.h"

/* A static of the user: text and argument types, and the plan once made */
typedef struct CallerQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[6];
	bool		one_plan;		/* for all arguments: planning costs more than it brings */
	SPIPlanPtr	plan;
} CallerQuery;

/* The result stands in SPI_tuptable.  Call between SPI_connect and SPI_finish. */
extern void caller_query(CallerQuery *query, Datum *values, const char *nulls);

/* Row by row, by the snapshot of the calling query; the caller fetches from the portal and closes it. */
extern Portal caller_query_cursor(CallerQuery *query, Datum *values, const char *nulls);

/* The same as caller_query(); what it writes of deals means what the context says. */
extern void caller_query_in_context(CallerQuery *query, Datum *values, const char *nulls, WriteContext *context);

/* May the caller read the deal of this id?  Between SPI_connect and SPI_finish. */
extern bool caller_sees_deal(int64 deal_id);

#endif							/* CRM_DEALS_CALLER_QUERY_H */
