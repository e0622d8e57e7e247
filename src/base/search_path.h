/*
 * search_path.h
 *		Another search_path for a while.
 */
#ifndef CRM_DEALS_SEARCH_PATH_H
#define CRM_DEALS_SEARCH_PATH_H

/* The path under which our own SQL is read, and under which the owner of the tables acts */
#define PINNED_SEARCH_PATH "pg_catalog, pg_temp"

/* Sets the path; returns what search_path_restore() needs. An error restores the path too. */
extern int	search_path_set(const char *path);
extern void search_path_restore(int level);

#endif							/* CRM_DEALS_SEARCH_PATH_H */
