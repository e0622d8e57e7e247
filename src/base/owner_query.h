/*
 * owner_query.h
 *		Prepared queries that run as the owner of the tables.
 */
#ifndef CRM_DEALS_OWNER_QUERY_H
#define CRM_DEALS_OWNER_QUERY_H

#include "base/kept_query.h"
#include "base/write_context.h"

typedef KeptQuery OwnerQuery;

/*
 * Reads what is committed now, whatever the transaction's own snapshot. The
 * result stands in SPI_tuptable. The code calls these functions between
 * SPI_connect and SPI_finish.
 */
extern void owner_query_read_latest(OwnerQuery *query, Datum *values, const char *nulls);

/* Does the same row by row, for a result of any size; the calling code closes the portal. */
extern Portal owner_query_cursor(OwnerQuery *query, Datum *values, const char *nulls);

/* Runs the query with an ordinary snapshot; returns the number of rows. */
extern uint64 owner_query_run(OwnerQuery *query, Datum *values, const char *nulls);

/* Does the same; what it writes of deals means what the context says. */
extern void owner_query_run_in_context(OwnerQuery *query, Datum *values, const char *nulls, WriteContext *context);

/*
 * Writes all rows that are committed now. A transaction whose own snapshot is
 * too old to see one of them fails to serialize, as with foreign keys.
 */
extern uint64 owner_query_run_latest(OwnerQuery *query, Datum *values, const char *nulls);

/* Raises 25001 if the transaction keeps one snapshot. */
extern void need_read_committed(const char *function);

#endif							/* CRM_DEALS_OWNER_QUERY_H */
