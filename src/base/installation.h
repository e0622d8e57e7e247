/*
 * installation.h
 *		The version of the tables that install() left.
 */
#ifndef CRM_DEALS_INSTALLATION_H
#define CRM_DEALS_INSTALLATION_H

/* The tables and this library must be of one major version. */
extern void check_version_of_tables(void);

#endif							/* CRM_DEALS_INSTALLATION_H */
