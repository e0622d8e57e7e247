/*
 * installed.h
 *		The relations that install() made: where they are, and whether they are as it made them.
 */
#ifndef CRM_DEALS_INSTALLED_H
#define CRM_DEALS_INSTALLED_H

#include "utils/rel.h"

#include "base/compat.h"

/* Returns whether install() has run. */
extern bool is_installed(void);

/* Returns a relation of the schema crm_deals, or InvalidOid. */
extern Oid	find_relation(const char *name);

/* Returns a table of the schema crm_deals, or raises an error whose hint names install(). */
extern Oid	installed_table(const char *name);

/*
 * Returns the b-tree of this name whose first key is the column, or InvalidOid
 * if a scan of it would not find every row of the table in the column's order.
 */
extern Oid	installed_btree(Relation table, const char *name, const char *column);

/* Returns whether the index has a row for every row of the table that is visible, and is of this access method. */
extern bool is_complete_index(Relation index, Relation table, Oid access_method);

/* Returns the number of a column that is as installed. */
extern AttrNumber installed_column(Relation table, const char *column);

/* The names of the columns that install() gives a relation, a list of char * */
extern List *installed_columns(const char *relation);

/* The relation whose lock orders writers of deals against changes of stages */
extern Oid	writers_token(void);

/* C code writes logs, flags and aliases as this role. */
extern Oid	tables_owner(void);

/* What a relation has become in place of what install() made */
typedef struct Difference
{
	char	   *message;
	char	   *detail;
	char	   *hint;
} Difference;

/* Returns the first difference of all relations, or NULL; reads only those that changed since the last call. */
extern const Difference *find_difference(void);

/* The difference of the schema alone, or NULL */
extern const Difference *difference_of_schema(void);

/* The same of one relation, which is not the host's for sure. */
extern const Difference *find_difference_of(const char *relation);

pg_noreturn extern void raise_difference(const Difference *difference);

/* Raises that the table's content or shape is not what install() lets it be. */
pg_noreturn extern void raise_not_as_installed(const char *table, const char *detail);

/* Raises that a column of a row, counted from 1, is NULL. */
pg_noreturn extern void raise_null_column(const char *table, TupleDesc desc, int column);

#endif							/* CRM_DEALS_INSTALLED_H */
