/*
 * acting_as_owner.c
 *		Being the owner of the tables for a while.
 *
 * A writer of deals needs no privilege to read stages or to write the log.
 * Only a query of ours runs as the owner, as a foreign key's check does, and
 * row security hides nothing from it. A trigger that the owner has put on the
 * log runs inside it. The search path is pinned, so that such a trigger never
 * finds what the writer has put into his own path. It also keeps the plans of
 * our queries valid: PostgreSQL makes a plan anew under another path.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/acting_as_owner.h"
#include "base/installed.h"

/* Pins the search path, unless it is so already; returns the nest level of settings, or 0. */
static int
pin_search_path(void)
{
	int			level;

	if (strcmp(namespace_search_path, OWNERS_SEARCH_PATH) == 0)
		return 0;
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", OWNERS_SEARCH_PATH, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* Acts as the tables' owner from here on. */
FormerRole
become_owner(void)
{
	FormerRole	former;

	former.settings = pin_search_path();
	GetUserIdAndSecContext(&former.role, &former.context);
	SetUserIdAndSecContext(tables_owner(),
						   former.context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	return former;
}

/* Acts as before. */
void
become_former(const FormerRole *former)
{
	SetUserIdAndSecContext(former->role, former->context);
	if (former->settings != 0)
		AtEOXact_GUC(true, former->settings);
}
