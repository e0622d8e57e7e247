/*
 * notify_send.h
 *		Puts notifications into PostgreSQL's queue.
 */
#ifndef CRM_DEALS_NOTIFY_SEND_H
#define CRM_DEALS_NOTIFY_SEND_H

#include "events/channels.h"
#include "events/payload.h"

/* Sends the event on each of the channels. */
extern void send_event(Channels channels, EventFacts *facts, bool ids_only);

/* Sends one notification for many events. Batch 0 means that they are of several batches. */
extern void send_summary(Channel channel, int64 batch_id, int64 count,
						 int64 first_event_id, int64 last_event_id);

/* Tells consumers that something is new in the log. */
extern void send_doorbell(void);

/* Returns whether the queue is half full. Nothing is sent then: a full queue makes commits fail. */
extern bool notification_queue_is_filled(void);

#endif							/* CRM_DEALS_NOTIFY_SEND_H */
