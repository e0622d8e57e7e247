/*
 * repoint.h
 *		Lets rows of any table refer to another deal.
 */
#ifndef CRM_DEALS_REPOINT_H
#define CRM_DEALS_REPOINT_H

#include "nodes/pg_list.h"
#include "utils/array.h"

/* A foreign key to deal */
typedef struct Reference
{
	char	   *constraint;
	char	   *column;
	Oid			table;
	bool		deferrable;
	bool		deferred;		/* initially */
	char	   *table_name;		/* with its schema, quoted */
} Reference;

typedef struct Repointing
{
	int64		from;			/* the deal that the rows refer to */
	int64		to;
	ArrayType  *rows;			/* ids of the rows, in a table of ours; or NULL: all that refer */
	const char *path;			/* the caller's, or a ticket; see write_under_path() */
	const char *what;			/* is done to the deal "from", for an error */
} Repointing;

/* Returns a list of Reference: all but those of stakeholders, flags and aliases. */
extern List *references_to_deal(void);

/* Returns whether the table is deal, activity or lead, whose rows undo_batch() can put back. */
extern bool is_of_a_merge(const Reference *reference);

/* Returns whether there was a row to repoint. "rows" gets the ids, if the table is one of a merge, else NULL. */
extern bool repoint_reference(const Reference *reference, const Repointing *repointing, ArrayType **rows);

#endif							/* CRM_DEALS_REPOINT_H */
