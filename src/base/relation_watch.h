/*
 * relation_watch.h
 *		Tells whether a relation was changed since something was read of it.
 */
#ifndef CRM_DEALS_RELATION_WATCH_H
#define CRM_DEALS_RELATION_WATCH_H

/*
 * Belongs to one thing that is kept; a static, zeroed at first.  The watch
 * begins before the relation is read, so a change that arrives in the middle
 * of the reading is not lost.
 */
typedef struct RelationWatch
{
	Oid			relid;
	bool		unchanged;
	struct RelationWatch *next;
} RelationWatch;

/* Rises with every change of a relation that is watched, of a schema and of a function. */
extern uint64 watched_changes;

extern void relation_watch_init(void);
extern void relation_watch_begin(RelationWatch *watch, Oid relid);

/* Is the watch on, and has nothing invalidated the relation since it began? */
static inline bool
relation_unchanged(const RelationWatch *watch)
{
	return watch->unchanged;
}

/*
 * An OID that was found, and whether it still holds. The watch begins before
 * the look-up, so a change that arrives during the look-up counts.
 */
typedef struct Finding
{
	RelationWatch watch;		/* of the relation whose change ends it */
	bool		complete;
	Oid			oid;			/* what was found */
} Finding;

/* Returns whether the finding is complete and its relation has not changed since. */
static inline bool
still_holds(const Finding *finding)
{
	return finding->complete && relation_unchanged(&finding->watch);
}

/* Begins a finding that a change of the relation ends. */
extern void begin_finding(Finding *finding, Oid relid);

/* Completes the finding and returns what was found. */
extern Oid	end_finding(Finding *finding, Oid oid);

#endif							/* CRM_DEALS_RELATION_WATCH_H */
