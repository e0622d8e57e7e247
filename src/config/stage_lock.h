/*
 * stage_lock.h
 *		Order between writers of deals and changes of stages and gates.
 */
#ifndef CRM_DEALS_STAGE_LOCK_H
#define CRM_DEALS_STAGE_LOCK_H

/* Before any row of deal is locked: stages cannot change until commit. */
extern void enter_as_writer(void);

/* Before any row of stage or pipeline is locked: one editor at a time. */
extern void enter_as_editor(void);

/* Before a change that writers must see: waits for them, and holds new ones. */
extern void lock_out_writers(void);

#endif							/* CRM_DEALS_STAGE_LOCK_H */
