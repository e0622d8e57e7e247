/*
 * subscriptions.h
 *		What the rest of the code must know of consumers.
 */
#ifndef CRM_DEALS_SUBSCRIPTIONS_H
#define CRM_DEALS_SUBSCRIPTIONS_H

/* Returns whether any consumer but the dispatcher is subscribed. */
extern bool any_consumer(void);

/* Lets consumers go on with events that come after a TRUNCATE of the log. */
extern void forget_places_of_consumers(void);

#endif							/* CRM_DEALS_SUBSCRIPTIONS_H */
