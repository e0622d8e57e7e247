/*
 * relcache_slots.c
 *		Stands for other extensions: it takes as many of PostgreSQL's slots for
 *		relcache callbacks as the setting relcache_slots.taken says.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"
#include "utils/inval.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/* Does nothing, as a callback may. */
static void
ignore(Datum arg, Oid relid)
{
	(void) arg;
	(void) relid;
}

/* Takes the slots of this backend. */
void
_PG_init(void)
{
	static int	taken = 0;

	DefineCustomIntVariable("relcache_slots.taken", "Number of slots that are taken.", NULL, &taken, 0, 0, 100,
							PGC_BACKEND, 0, NULL, NULL, NULL);
	for (int i = 0; i < taken; i++)
		CacheRegisterRelcacheCallback(ignore, (Datum) 0);
}
