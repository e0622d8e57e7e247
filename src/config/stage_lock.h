/*
 * stage_lock.h
 *		Order between writers of deals and changes of stages and gates.
 */
#ifndef CRM_DEALS_STAGE_LOCK_H
#define CRM_DEALS_STAGE_LOCK_H

/* Comes before the lock of any row of deal. No stage changes from here to commit. */
extern void enter_as_writer(void);

/* Comes before the lock of any row of stage or pipeline. One editor enters at a time. */
extern void enter_as_editor(void);

/* Comes before a change that writers must see. Waits for the writers that are there, and holds new ones off. */
extern void lock_out_writers(void);

#endif							/* CRM_DEALS_STAGE_LOCK_H */
