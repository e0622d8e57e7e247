/*
 * kept_query.h
 *		Prepared queries, and what they return.
 */
#ifndef CRM_DEALS_KEPT_QUERY_H
#define CRM_DEALS_KEPT_QUERY_H

#include "executor/spi.h"
#include "utils/snapshot.h"

#define KEPT_QUERY_MAX_ARGS 12

/* A static variable of the code that runs it */
typedef struct KeptQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[KEPT_QUERY_MAX_ARGS];
	const Oid  *returns;		/* RETURNS(…); NULL: no columns */
	bool		one_plan;		/* one plan serves all arguments: planning each time costs more than it saves */
	bool		is_guarded;		/* if it runs as the owner: as become_guarded_owner() makes it */
	SPIPlanPtr	plan;
} KeptQuery;

/* The types of the columns that the query returns, in their order */
#define RETURNS(...) (const Oid[]) {__VA_ARGS__, InvalidOid}

/* Runs the query, as SPI_execute_snapshot() does, and checks what it returns. */
extern void kept_query_run(KeptQuery *query, Datum *values, const char *nulls,
						   Snapshot snapshot, Snapshot crosscheck, bool read_only);

/* Opens the query as a cursor in the caller's memory, and checks what it returns; cursor_close() closes it. */
extern Portal kept_query_open(KeptQuery *query, Datum *values, const char *nulls, bool read_only);

/* Lets nobody but cursor_close() close the cursor, and returns it. */
extern Portal cursor_keep(Portal portal);
extern void cursor_close(Portal portal);

/* Raises an error unless the columns have these types. */
extern void check_columns(const char *sql, const Oid *types, TupleDesc desc);

/* Raises an error unless a result has the columns of another. */
extern void check_same_columns(TupleDesc result, TupleDesc wanted);

#endif							/* CRM_DEALS_KEPT_QUERY_H */
