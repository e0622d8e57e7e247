/*
 * acting_as_owner.h
 *		Being the owner of the tables, or another role, for a while.
 */
#ifndef CRM_DEALS_ACTING_AS_OWNER_H
#define CRM_DEALS_ACTING_AS_OWNER_H

/* Who one was before */
typedef struct FormerRole
{
	Oid			role;
	int			context;
	int			search_path;	/* for search_path_restore() */
	int			settings;		/* 0, or the level at which all settings are put back */
} FormerRole;

/* An error ends it too: PostgreSQL then restores role and settings. */
extern FormerRole become_owner(void);
extern FormerRole become_guarded_owner(void);

/*
 * Acts as any role, under the pinned search path. No setting that its code makes
 * outlives this. The restrictions are flags of SetUserIdAndSecContext().
 */
extern FormerRole become_role(Oid role, int restrictions);
extern void become_former(const FormerRole *former);

#endif							/* CRM_DEALS_ACTING_AS_OWNER_H */
