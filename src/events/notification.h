/*
 * notification.h
 *		Notifications in PostgreSQL's queue: of one event, of many, of anything.
 */
#ifndef CRM_DEALS_NOTIFICATION_H
#define CRM_DEALS_NOTIFICATION_H

#include "events/channels.h"
#include "events/payload.h"

/* On each of the channels */
extern void send_event(Channels channels, EventFacts *facts, bool ids_only);

/* "batch_id" 0: of several batches */
extern void send_summary(Channel channel, int64 batch_id, int64 count,
						 int64 first_event_id, int64 last_event_id);

/* Something is new in the log. */
extern void send_doorbell(void);

/* When the queue is full, commits fail: nothing is sent above half of it. */
extern bool notification_queue_is_filled(void);

#endif							/* CRM_DEALS_NOTIFICATION_H */
