/*
 * rivals.h
 *		Transactions that are writing a similar name at the same moment.
 */
#ifndef CRM_DEALS_RIVALS_H
#define CRM_DEALS_RIVALS_H

/* Each once */
typedef struct Rivals
{
	MemoryContext memory;
	TransactionId *transactions;
	int			n;
	int			allocated;
} Rivals;

extern void rivals_add(Rivals *rivals, TransactionId transaction);

/* Waits for those that are ours to wait for, until they have ended; were there any? */
extern bool rivals_wait(Rivals *rivals);

#endif							/* CRM_DEALS_RIVALS_H */
