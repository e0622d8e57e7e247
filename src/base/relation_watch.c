/*
 * relation_watch.c
 *		Tells whether a relation was changed since something was read of it.
 *
 * PostgreSQL has ten slots for relcache callbacks in all, and other extensions
 * need some: all that this library keeps shares one.
 */
#include "postgres.h"

#include "utils/inval.h"

#include "base/relation_watch.h"

static RelationWatch *watches = NULL;

/* Marks what was read of the relation as changed.  It may run at any moment, so it sets flags only. */
static void
on_invalidation(Datum arg, Oid relid)
{
	(void) arg;
	for (RelationWatch *watch = watches; watch != NULL; watch = watch->next)
		if (relid == InvalidOid || relid == watch->relid)
			watch->unchanged = false;
}

/* Registers the callback, once for each backend. */
void
relation_watch_init(void)
{
	CacheRegisterRelcacheCallback(on_invalidation, (Datum) 0);
}

/* Adds the watch to those that the callback goes through, unless it is there. */
static void
enlist(RelationWatch *watch)
{
	for (const RelationWatch *listed = watches; listed != NULL; listed = listed->next)
		if (listed == watch)
			return;
	watch->next = watches;
	watches = watch;
}

/* Begins to watch the relation in place of any other. */
void
relation_watch_begin(RelationWatch *watch, Oid relid)
{
	enlist(watch);
	watch->relid = relid;
	watch->unchanged = true;
}
