/*
 * relation_watch.c
 *		Tells whether a relation was changed since something was read of it.
 *
 * PostgreSQL has ten slots for relcache callbacks in all, and other extensions
 * need some: all that this library keeps shares one.
 */
#include "postgres.h"

#include "utils/inval.h"
#include "utils/syscache.h"

#include "base/relation_watch.h"

uint64		watched_changes = 1;

static RelationWatch *watches = NULL;

/* Marks what was read of the relation as changed.  It may run at any moment, so it sets flags only. */
static void
on_invalidation(Datum arg, Oid relid)
{
	(void) arg;
	for (RelationWatch *watch = watches; watch != NULL; watch = watch->next)
		if (relid == InvalidOid || relid == watch->relid)
		{
			watch->unchanged = false;
			watched_changes++;
		}
}

/* Counts a change of a schema or of a function, its owner and its grants included. */
static void
on_catalog_change(Datum arg, int cache, uint32 hash)
{
	(void) arg;
	(void) cache;
	(void) hash;
	watched_changes++;
}

/* Registers the callbacks, once for each backend. */
void
relation_watch_init(void)
{
	CacheRegisterRelcacheCallback(on_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, on_catalog_change, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, on_catalog_change, (Datum) 0);
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

/* Begins a finding that a change of the relation ends. */
void
begin_finding(Finding *finding, Oid relid)
{
	finding->complete = false;
	relation_watch_begin(&finding->watch, relid);
}

/* Completes the finding and returns what was found. */
Oid
end_finding(Finding *finding, Oid oid)
{
	finding->oid = oid;
	finding->complete = true;
	return oid;
}
