/*
 * installation.h
 *		Whether library, functions and tables fit together.
 */
#ifndef CRM_DEALS_INSTALLATION_H
#define CRM_DEALS_INSTALLATION_H

/* Raises 55000, with the command to run, unless library, functions and tables are of the same release. */
extern void check_versions(void);

/* Raises 55000, with what to do, unless the relations are as install() made them; cheap while nothing changes. */
extern void check_installation(void);

/* The same, and of a relation that may be the host's, or none of ours. */
extern void check_installed_relation(const char *relation);
/* Raises 42501 unless the current user has the rights of the tables' owner. */
extern void check_acts_as_owner(void);

#endif							/* CRM_DEALS_INSTALLATION_H */
