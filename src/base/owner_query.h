/*
 * owner_query.h
 *		Prepared queries that run as the owner of the tables.
 */
#ifndef CRM_DEALS_OWNER_QUERY_H
#define CRM_DEALS_OWNER_QUERY_H

#include "executor/spi.h"
#include "utils/snapshot.h"

#include "base/write_context.h"

#define OWNER_QUERY_MAX_ARGS 4

/* A static of the caller: text and argument types, and the plan once made */
typedef struct OwnerQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[OWNER_QUERY_MAX_ARGS];
	bool		one_plan;		/* for all arguments: planning costs more than it brings */
	SPIPlanPtr	plan;
} OwnerQuery;

/*
 * Reads what is committed now, whatever the transaction's own snapshot; the
 * result stands in SPI_tuptable.  Call between SPI_connect and SPI_finish.
 */
extern void owner_query_latest(OwnerQuery *query, Datum *values, const char *nulls);

/* The same row by row, for results of any size: the caller fetches from the portal and closes it. */
extern Portal owner_query_cursor(OwnerQuery *query, Datum *values, const char *nulls);

/* Writes with an ordinary snapshot; returns the number of rows. */
extern uint64 owner_query_write(OwnerQuery *query, Datum *values, const char *nulls);

/* The same; what it writes of deals means what the context says. */
extern uint64 owner_query_write_in_context(OwnerQuery *query, Datum *values, const char *nulls, WriteContext *context);

/*
 * Writes every row that is committed now; a transaction whose own snapshot is
 * too old to see one of them fails to serialize, as foreign keys do it.
 */
extern uint64 owner_query_write_all(OwnerQuery *query, Datum *values, const char *nulls);

/* An error (25001) where the transaction keeps one snapshot */
extern void need_read_committed(const char *function);

/* The plan of a query, made and kept on first use */
extern SPIPlanPtr kept_plan(SPIPlanPtr *plan, const char *sql, int nargs, Oid *argtypes, bool one_plan);

#endif							/* CRM_DEALS_OWNER_QUERY_H */
