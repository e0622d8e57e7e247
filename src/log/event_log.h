/*
 * event_log.h
 *		Appends the events of one statement at a time to the log.
 */
#ifndef CRM_DEALS_EVENT_LOG_H
#define CRM_DEALS_EVENT_LOG_H

#include "log/deal_event.h"

typedef struct EventBatch EventBatch;

extern EventBatch *event_batch_begin(const DealTable *table, const char *actor);

/* Makes the events those of an earlier batch, unless that is 0. */
extern void event_batch_join(EventBatch *batch, int64 batch_id);

/* Gives the event its id, and the batch its own if it is the first event. */
extern void event_batch_add(EventBatch *batch, DealEvent *event);
extern int64 event_batch_id(const EventBatch *batch);

/* Writes all events with one INSERT, as the owner of the log; returns their number. */
extern int64 event_batch_write(EventBatch *batch);

#endif							/* CRM_DEALS_EVENT_LOG_H */
