/*
 * search_path.h
 *		Setting search_path for a while.
 */
#ifndef CRM_DEALS_SEARCH_PATH_H
#define CRM_DEALS_SEARCH_PATH_H

/* The path under which our own SQL is read, and what runs as the owner of the tables runs */
#define PINNED_PATH "pg_catalog, pg_temp"

/* Sets search_path; the calling code, or the end of the (sub)transaction, puts it back. */
extern int	search_path_set(const char *path);
extern void search_path_restore(int level);

#endif							/* CRM_DEALS_SEARCH_PATH_H */
