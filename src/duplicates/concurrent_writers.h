/*
 * concurrent_writers.h
 *		Transactions that are writing a similar name at the same moment.
 */
#ifndef CRM_DEALS_CONCURRENT_WRITERS_H
#define CRM_DEALS_CONCURRENT_WRITERS_H

/* Each once */
typedef struct Rivals
{
	MemoryContext memory;
	TransactionId *transactions;
	int			n;
	int			allocated;
} Rivals;

extern void rivals_add(Rivals *rivals, TransactionId transaction);

/*
 * Keeps those that are to be waited for; if there are any, others rely on it
 * from now on that this transaction looks again with all its names.
 */
extern bool rivals_decide(Rivals *rivals);

/* Until all of them have ended; the list is empty then. */
extern void rivals_wait(Rivals *rivals);

/* Before it looks again: from now on a rival that sees its names waits for it. */
extern void rivals_promise_nothing(void);

#endif							/* CRM_DEALS_CONCURRENT_WRITERS_H */
