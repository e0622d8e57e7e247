/*
 * written_names.h
 *		The names that a statement writes, and their rows in deal_name.
 */
#ifndef CRM_DEALS_WRITTEN_NAMES_H
#define CRM_DEALS_WRITTEN_NAMES_H

#include "nodes/pg_list.h"

#include "base/types.h"
#include "duplicates/deal_ids.h"

/* A name that a deal had before */
typedef struct OldName
{
	text	   *organization;
	text	   *name;
} OldName;

/* In the current memory context */
extern OldName *old_name_copy(const OldName *old);

/* More are not kept: see old_names */
#define MAX_OLD_NAMES	1000

typedef struct WrittenNames
{
	MemoryContext memory;
	DealIds		written;		/* new deals and those of another name */
	DealIds		gone;			/* deleted, or nothing looks for them any more */
	DealIds		renamed;		/* whoever looks for them */
	List	   *old_names;		/* of OldName, theirs: others may be flagging them */
	bool		any_looks;		/* for its duplicates */
	bool		any_rejects;
	float4		threshold;		/* the lowest of those that look */
} WrittenNames;

/* In the current memory context */
extern WrittenNames written_names_begin(void);

/* What became of a deal, either may be NULL; most statements leave names alone. */
extern void written_names_note(WrittenNames *names, const DealRow *old, const DealRow *new);

/* Was nothing written that deal_name must know? */
extern bool written_names_empty(const WrittenNames *names);

/* Afterwards deal_name has what deals have, and the ids are sorted. */
extern void written_names_store(WrittenNames *names);

/* Scores the open flags of these deals again, and removes those that are none any more. */
extern void written_names_score(const DealIds *deals);

/* With all deals */
extern void written_names_forget_all(void);

#endif							/* CRM_DEALS_WRITTEN_NAMES_H */
