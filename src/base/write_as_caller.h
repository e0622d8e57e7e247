/*
 * write_as_caller.h
 *		Statements that write under the caller's search_path.
 */
#ifndef CRM_DEALS_WRITE_AS_CALLER_H
#define CRM_DEALS_WRITE_AS_CALLER_H

#include "nodes/params.h"

/*
 * Runs one INSERT, UPDATE or DELETE: its names are looked up under the pinned
 * path, and triggers and all else that it runs see the given one. A ticket
 * (base/write_context.h) may stand for the path. Returns the number of rows.
 * "returned", if not NULL, gets the one text that the statement returns for its
 * first row, or NULL.
 */
extern uint64 write_under_path(const char *path, const char *statement, ParamListInfo parameters, char **returned);

#endif							/* CRM_DEALS_WRITE_AS_CALLER_H */
