/*
 * notify.h
 *		Decides what of a statement is notified.
 */
#ifndef CRM_DEALS_NOTIFY_H
#define CRM_DEALS_NOTIFY_H

#include "log/deal_event.h"

extern void notify_init(void);

/* Notifies an event of the log. Row security on deal makes it "ids_only". */
extern void notify_event(const DealEvent *event, int64 batch_id, const char *actor, bool ids_only);

/* Tells consumers that something is new in the log. */
extern void notify_doorbell(void);

/* Returns deal_event.dispatch for an event, which tells the dispatcher what to send; or NULL. */
extern const char *dispatch_mark(const DealEvent *event, bool ids_only);

#endif							/* CRM_DEALS_NOTIFY_H */
