/*
 * deal_names.h
 *		The table deal_name, and the names that a statement changes.
 */
#ifndef CRM_DEALS_DEAL_NAMES_H
#define CRM_DEALS_DEAL_NAMES_H

#include "nodes/pg_list.h"

#include "base/types.h"
#include "duplicates/deal_ids.h"

/* A name that a deal had before */
typedef struct OldName
{
	text	   *organization;
	text	   *name;
} OldName;

/* A copy in the current memory context */
extern OldName *old_name_copy(const OldName *old);

/* Old names above this number are not kept; see old_names. */
#define MAX_OLD_NAMES	1000

typedef struct NameChanges
{
	MemoryContext memory;
	DealIds		written;		/* deals that are new or have a new name, and belong into deal_name */
	DealIds		gone;			/* deals that are deleted or belong into deal_name no more */
	DealIds		renamed;		/* deals that have a new name, in deal_name or not */
	List	   *old_names;		/* of OldName, of renamed deals: other transactions may just be flagging these */
	bool		any_checked;	/* for any deal duplicates must be sought */
	bool		any_rejects;	/* any pipeline refuses duplicates */
	float4		threshold;		/* the lowest of the deals that are checked */
} NameChanges;

/* Begins in the current memory context. */
extern NameChanges name_changes_begin(void);

/* Notes what a statement did to one deal; old or new may be NULL. */
extern void name_changes_note(NameChanges *changes, const DealRow *old, const DealRow *new);

/* Did the statement change no name? */
extern bool name_changes_empty(const NameChanges *changes);

/* Writes the changes to deal_name; sorts the written ids. */
extern void deal_names_store(NameChanges *changes);

/* Empties deal_name when all deals are truncated. */
extern void deal_names_truncate(void);

#endif							/* CRM_DEALS_DEAL_NAMES_H */
