/*
 * subscriptions.h
 *		What the rest of the code must know of consumers.
 */
#ifndef CRM_DEALS_SUBSCRIPTIONS_H
#define CRM_DEALS_SUBSCRIPTIONS_H

extern bool any_consumer(void);
extern void forget_places_of_consumers(void);

#endif							/* CRM_DEALS_SUBSCRIPTIONS_H */
