/*
 * notify.h
 *		Notifications of stage and status changes, sent at commit.
 */
#ifndef CRM_DEALS_NOTIFY_H
#define CRM_DEALS_NOTIFY_H

#include "log/deal_event.h"

extern void notify_init(void);

/* One event of the log; "ids_only" where row security is on for deal */
extern void notify_event(const DealEvent *event, int64 batch_id, const char *actor, bool ids_only);

/* Something is new in the log. */
extern void notify_doorbell(void);

/* Under crm_deals.notify = dispatch: deal_event.dispatch of an event about to be logged */
extern const char *dispatch_mark(const DealEvent *event, bool ids_only);

#endif							/* CRM_DEALS_NOTIFY_H */
