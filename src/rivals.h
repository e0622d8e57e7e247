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

/* Keeps those that are ours to wait for; are there any? */
extern bool rivals_claim(Rivals *rivals);

/* Until all of them have ended; the list is empty then. */
extern void rivals_wait(Rivals *rivals);

#endif							/* CRM_DEALS_RIVALS_H */
