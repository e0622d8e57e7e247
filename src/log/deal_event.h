/*
 * deal_event.h
 *		One change of a deal, on its way into the log and to listeners.
 */
#ifndef CRM_DEALS_DEAL_EVENT_H
#define CRM_DEALS_DEAL_EVENT_H

#include "base/types.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct DealEvent
{
	int64		id;				/* set by event_batch_add() */
	const char *kind;
	TimestampTz occurred_at;
	int32		version;
	const DealRow *old;			/* or NULL: created */
	const DealRow *new;			/* or NULL: deleted */
	Jsonb	   *changes;
	List	   *bypassed;		/* of char *, or NIL */
	const char *note;			/* or NULL */
	const char *dispatch;		/* how to notify it after commit, or NULL */
	bool		imported;
	int64		merged_into;	/* or 0 */
} DealEvent;

#endif							/* CRM_DEALS_DEAL_EVENT_H */
