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

extern void relation_watch_init(void);
extern void relation_watch_begin(RelationWatch *watch, Oid relid);

/* Is the watch on, and has nothing invalidated the relation since it began? */
static inline bool
relation_unchanged(const RelationWatch *watch)
{
	return watch->unchanged;
}

#endif							/* CRM_DEALS_RELATION_WATCH_H */
