/*
 * acting_as_owner.h
 *		Being the owner of the tables for a while.
 */
#ifndef CRM_DEALS_ACTING_AS_OWNER_H
#define CRM_DEALS_ACTING_AS_OWNER_H

/* Who one was before */
typedef struct FormerRole
{
	Oid			role;
	int			context;
	int			settings;		/* nest level of the search path; 0: it was pinned already */
} FormerRole;

/* The search path of all that runs as the owner */
#define OWNERS_SEARCH_PATH "pg_catalog, pg_temp"

/* An error ends it too: PostgreSQL then restores role and settings. */
extern FormerRole become_owner(void);
extern void become_former(const FormerRole *former);

#endif							/* CRM_DEALS_ACTING_AS_OWNER_H */
