/*
 * undo_merge.h
 *		Puts back what a merge moved.
 */
#ifndef CRM_DEALS_UNDO_MERGE_H
#define CRM_DEALS_UNDO_MERGE_H

/*
 * Puts back what the merge moved whose event this is, once its duplicate is
 * back. The ticket is that of the context. Returns sentences about what stays,
 * or NULL.
 */
extern char *undo_merge(int64 event_id, const char *ticket);

#endif							/* CRM_DEALS_UNDO_MERGE_H */
