/*
 * concurrent_writers.h
 *		Transactions that write similar names at the same time.
 */
#ifndef CRM_DEALS_CONCURRENT_WRITERS_H
#define CRM_DEALS_CONCURRENT_WRITERS_H

/* Each transaction stands here once. */
typedef struct ConcurrentWriters
{
	MemoryContext memory;
	TransactionId *transactions;
	int32		n;
	int32		allocated;
} ConcurrentWriters;

/* Adds the transaction that a (sub)transaction id belongs to. */
extern void concurrent_writers_add(ConcurrentWriters *writers, TransactionId transaction);

/*
 * Must this transaction wait for any of the writers?  Keeps only those.  If it returns
 * true, this transaction is marked as waiting: from then on others do not wait for
 * it, and they rely on it to search again, with all names that it has written.
 */
extern bool concurrent_writers_must_wait(ConcurrentWriters *writers);

/* Waits until all of them have ended; the list is empty then. */
extern void concurrent_writers_wait(ConcurrentWriters *writers);

/* Call before the new search: from then on others wait for this transaction again. */
extern void concurrent_writers_unmark(void);

#endif							/* CRM_DEALS_CONCURRENT_WRITERS_H */
