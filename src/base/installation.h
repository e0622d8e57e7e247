/*
 * installation.h
 *		The versions of the library, the functions and the tables.
 */
#ifndef CRM_DEALS_INSTALLATION_H
#define CRM_DEALS_INSTALLATION_H

/* Raises 55000, with the command to run, unless library, functions and tables are of the same release. */
extern void check_versions(void);

#endif							/* CRM_DEALS_INSTALLATION_H */
