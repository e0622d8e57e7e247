/*
 * stage_lock.c
 *		Order between writers of deals and changes of stages and gates.
 *
 * Writers of deals hold a weak lock on one small relation, the token.
 * PostgreSQL's fast path grants it without touching shared state, and writers
 * never wait for each other. A transaction that changes what the rules read
 * takes a strong lock on the token first. A commit sends its invalidations
 * before it releases its locks, so a writer that waited for the lock reads the
 * new stages.
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
	/* LockRelationOid() reads no invalidations if the lock is held already. */
	AcceptInvalidationMessages();
}

/*
 * Lets one editor in at a time; writers do not wait for it. Without this lock,
 * one editor could hold a stage and wait for writers to leave, while another
 * has locked writers out and waits for that stage.
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

	/* While this lock waits in the queue, every new writer waits behind it, so it must not wait for ever. */
	if (LockTimeout == 0)
		(void) set_config_option("lock_timeout", "5s", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	LockRelationOid(writers_token(), ExclusiveLock);
	AtEOXact_GUC(true, level);
	AcceptInvalidationMessages();
}

/* enter_as_writer(), for SQL */
Datum
crm_deals_enter_as_writer(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	enter_as_writer();
	PG_RETURN_VOID();
}

/* enter_as_editor(), for SQL */
Datum
crm_deals_enter_as_editor(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	enter_as_editor();
	PG_RETURN_VOID();
}

/* lock_out_writers(), for SQL */
Datum
crm_deals_lock_out_writers(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	lock_out_writers();
	PG_RETURN_VOID();
}
