/*
 * event_ids.h
 *		The ids of events: they rise with the version of a deal.
 */
#ifndef CRM_DEALS_EVENT_IDS_H
#define CRM_DEALS_EVENT_IDS_H

#include "log/deal_event.h"

typedef struct LogStatement LogStatement;

/* The triggers of deal call these: BEFORE STATEMENT, BEFORE ROW, and AFTER STATEMENT when all events have ids. */
extern void event_ids_statement_begins(void);
extern void event_ids_expect(bool update, int64 deal_id);
extern void event_ids_captured(bool update);

/* The running statement, and the batch of its events */
extern LogStatement *running_statement(void);
extern int64 batch_of_statement(const LogStatement *statement);
extern void batch_of_statement_is(LogStatement *statement, int64 batch_id);

/* Gives the event its id. */
extern void event_ids_take(LogStatement *statement, DealEvent *event, Oid sequence);

#endif							/* CRM_DEALS_EVENT_IDS_H */
