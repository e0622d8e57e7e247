/*
 * dispatcher.h
 *		The background worker that notifies after commit.
 */
#ifndef CRM_DEALS_DISPATCHER_H
#define CRM_DEALS_DISPATCHER_H

/* Before commit: finds the worker of this database, or starts one. */
extern void summon_dispatcher(void);

/* After commit: tells the worker that there is work. */
extern void wake_dispatcher(void);

#endif							/* CRM_DEALS_DISPATCHER_H */
