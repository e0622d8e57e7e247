/*
 * acting_as_owner.c
 *		Being the owner of the tables, or another role, for a while.
 *
 * A writer of deals needs no privilege to read stages or to write the log.
 * Only a query of ours runs as the owner, as a foreign key's check does, and
 * row security hides nothing from it. A trigger that the owner has put on the
 * log runs inside it. The search path is pinned, so that such a trigger never
 * finds what the writer has put into his own path. It also keeps the plans of
 * our queries valid: PostgreSQL makes a plan anew under another path.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/acting_as_owner.h"
#include "base/installed.h"
#include "base/search_path.h"

/* Acts as the tables' owner from here on. */
FormerRole
become_owner(void)
{
	FormerRole	former;

	former.settings = 0;
	former.search_path = search_path_set(PINNED_PATH);
	GetUserIdAndSecContext(&former.role, &former.context);
	SetUserIdAndSecContext(tables_owner(),
						   former.context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	return former;
}

/* Acts as the role; no setting of its code outlives this. */
FormerRole
become_role(Oid role, int restrictions)
{
	FormerRole	former = {.settings = NewGUCNestLevel()};

	(void) search_path_set(PINNED_PATH);
	GetUserIdAndSecContext(&former.role, &former.context);
	SetUserIdAndSecContext(role, former.context | SECURITY_LOCAL_USERID_CHANGE | restrictions);
	return former;
}

/*
 * Acts as the owner, but no setting of his triggers outlives this. If the
 * caller is a superuser, they cannot defer another trigger or a cursor to the
 * end of the transaction either: it would run as the superuser.
 */
FormerRole
become_guarded_owner(void)
{
	Oid			owner = tables_owner();
	bool		lends_superuser = superuser() && !superuser_arg(owner);

	if (GetUserId() == owner)
		return become_owner();
	return become_role(owner, SECURITY_NOFORCE_RLS | (lends_superuser ? SECURITY_RESTRICTED_OPERATION : 0));
}

/* Acts as before. */
void
become_former(const FormerRole *former)
{
	SetUserIdAndSecContext(former->role, former->context);
	if (former->settings != 0)
		AtEOXact_GUC(false, former->settings);
	else
		search_path_restore(former->search_path);
}
