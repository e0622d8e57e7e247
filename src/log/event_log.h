/*
 * event_log.h
 *		Appending to the log: the events of one statement at a time.
 */
#ifndef CRM_DEALS_EVENT_LOG_H
#define CRM_DEALS_EVENT_LOG_H

#include "base/types.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct DealEvent
{
	int64		id;				/* set by event_batch_add */
	const char *kind;
	TimestampTz occurred_at;
	int32		version;
	const DealRow *old;			/* NULL: created */
	const DealRow *new;			/* NULL: deleted */
	Jsonb	   *changes;
	List	   *bypassed;		/* of char *, or NIL */
	const char *note;			/* or NULL */
	const char *dispatch;		/* how to notify it after commit, or NULL */
	bool		imported;
	int64		merged_into;	/* or 0 */
} DealEvent;

typedef struct EventBatch EventBatch;

/* In the triggers of deal: BEFORE STATEMENT, BEFORE ROW, in AFTER STATEMENT when all events have their ids */
extern void event_log_statement_begins(void);
extern void event_log_expect(bool update, int64 deal_id);
extern void event_log_captured(bool update);

extern EventBatch *event_batch_begin(const DealTable *table, const char *actor);

/* Gives the event its id, and the batch its own if it is the first. */
extern void event_batch_add(EventBatch *batch, DealEvent *event);
extern int64 event_batch_id(const EventBatch *batch);

/* One INSERT for all of them, as the owner of the log; how many there were */
extern int64 event_batch_write(EventBatch *batch);

#endif							/* CRM_DEALS_EVENT_LOG_H */
