/*
 * installation.h
 *		The versions of the library, the functions and the tables.
 */
#ifndef CRM_DEALS_INSTALLATION_H
#define CRM_DEALS_INSTALLATION_H

/* Raises 55000, with the command to run, unless library, functions and tables are of the same release. */
extern void check_versions(void);

/* Raises 42501 unless the current user has the rights of the tables' owner. */
extern void check_acts_as_owner(void);

#endif							/* CRM_DEALS_INSTALLATION_H */
