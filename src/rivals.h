/*
 * rivals.h
 *		Similar names that other transactions are writing at the same moment.
 */
#ifndef CRM_DEALS_RIVALS_H
#define CRM_DEALS_RIVALS_H

typedef struct Rival
{
	int64		deal_id;		/* ours */
	int64		other_deal_id;
	TransactionId transaction;
} Rival;

typedef struct Rivals
{
	MemoryContext memory;
	Rival	   *rivals;
	int64		n;
	int64		allocated;
} Rivals;

extern void rivals_add(Rivals *rivals, int64 deal_id, int64 other_deal_id, TransactionId transaction);

/* Waits until those that are ours to wait for have ended; what remains in the list are these. */
extern void rivals_wait(Rivals *rivals);

#endif							/* CRM_DEALS_RIVALS_H */
