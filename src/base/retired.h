/*
 * retired.h
 *		C functions of older releases.
 */
#ifndef CRM_DEALS_RETIRED_H
#define CRM_DEALS_RETIRED_H

#define UPDATE_COMMANDS "ALTER EXTENSION crm_deals UPDATE; SELECT crm_deals.install()"

/* Raises 55000, with the commands to run, if the functions are of 0.1: then no query of this library works. */
extern void check_internal_schema(void);

#endif							/* CRM_DEALS_RETIRED_H */
