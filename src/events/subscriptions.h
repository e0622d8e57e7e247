/*
 * subscriptions.h
 *		What the rest of the code must know of consumers.
 */
#ifndef CRM_DEALS_SUBSCRIPTIONS_H
#define CRM_DEALS_SUBSCRIPTIONS_H

/* The dispatcher's name among consumers; crm_deals_internal.dispatcher() in SQL */
#define DISPATCHER_CONSUMER "crm_deals dispatcher"

extern bool any_consumer(void);
extern void forget_places_of_consumers(void);

#endif							/* CRM_DEALS_SUBSCRIPTIONS_H */
