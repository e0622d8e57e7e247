/*
 * dispatcher.h
 *		The background worker that notifies after commit.
 */
#ifndef CRM_DEALS_DISPATCHER_H
#define CRM_DEALS_DISPATCHER_H

/* Before commit: finds the worker of this database, starts it where there is none. */
extern void summon_dispatcher(void);

/* After commit: there is work for the one that was found. */
extern void wake_dispatcher(void);

#endif							/* CRM_DEALS_DISPATCHER_H */
