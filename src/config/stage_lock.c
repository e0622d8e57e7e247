/*
 * stage_lock.c
 *		Order between writers of deals and changes of stages and gates.
 *
 * Writers hold a weak lock on one small relation, which the fast path gives
 * them without touching shared state; writers never wait for each other.
 * Whoever changes what the rules go by takes a strong one first.  A commit
 * sends its invalidations before it lets go of its locks, so the writer that
 * waited for it reads the new stages.
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/inval.h"

#include "base/catalog.h"
#include "config/stage_lock.h"

PG_FUNCTION_INFO_V1(crm_deals_enter_as_writer);
PG_FUNCTION_INFO_V1(crm_deals_enter_as_editor);
PG_FUNCTION_INFO_V1(crm_deals_lock_out_writers);

/* Holds changes of stages off until commit, and learns of those that are committed. */
void
enter_as_writer(void)
{
	LockRelationOid(writers_token(), RowShareLock);
	/* LockRelationOid does not read them when the lock is held already */
	AcceptInvalidationMessages();
}

/*
 * Writers do not wait for this one.  Without it an editor that has locked a
 * stage and waits for writers to leave could meet one who locked writers out
 * and waits for that stage.
 */
void
enter_as_editor(void)
{
	LockRelationOid(writers_token(), ShareUpdateExclusiveLock);
	AcceptInvalidationMessages();
}

/* Waits for writers of deals, and holds new ones off until commit. */
void
lock_out_writers(void)
{
	int			level = NewGUCNestLevel();

	/* Queued, this lock holds every new writer: not for ever. */
	if (LockTimeout == 0)
		(void) set_config_option("lock_timeout", "5s", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	LockRelationOid(writers_token(), ExclusiveLock);
	AtEOXact_GUC(true, level);
	AcceptInvalidationMessages();
}

/* enter_as_writer(): see above */
Datum
crm_deals_enter_as_writer(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	enter_as_writer();
	PG_RETURN_VOID();
}

/* enter_as_editor(): see above */
Datum
crm_deals_enter_as_editor(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	enter_as_editor();
	PG_RETURN_VOID();
}

/* lock_out_writers(): see above */
Datum
crm_deals_lock_out_writers(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	lock_out_writers();
	PG_RETURN_VOID();
}
