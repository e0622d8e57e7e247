/*
 * concurrent_writers.c
 *		Transactions that write similar names at the same time.
 *
 * Each transaction stores its names in deal_name first, where others can see them
 * before it commits, and searches for similar names afterwards.  So of two
 * transactions that write similar names, at least one sees the other.  That one
 * waits until the other has ended, and then searches again, with all names that
 * it has written.
 *
 * Two transactions that see each other must not both wait.  So a transaction that
 * waits is marked as waiting, and nobody waits for a marked transaction: it will
 * search later, and will then see what the others have written.  The mark is an
 * advisory lock on the transaction id.  Only one transaction at a time looks at the
 * marks and sets its own; for this it holds the "decision" lock.  A transaction
 * waits only for transactions without a mark, and nobody waits for it from then on,
 * so transactions never wait in a circle.
 *
 * A transaction that has met no concurrent writer takes none of these locks.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "duplicates/concurrent_writers.h"
#include "duplicates/growing_array.h"

/* Keeps these locks apart from the advisory locks of users, whose class is 1 or 2. */
#define LOCK_CLASS	0x4344

/* The transaction of this backend that is marked as waiting */
static LocalTransactionId marked = InvalidLocalTransactionId;

/* Adds the top transaction, unless it is there already. */
void
concurrent_writers_add(ConcurrentWriters *writers, TransactionId transaction)
{
	MemoryContext caller;

	/* if it has ended meanwhile, its subtransactions may be forgotten */
	if (TransactionIdFollowsOrEquals(transaction, TransactionXmin))
		transaction = SubTransGetTopmostTransaction(transaction);
	for (int32 i = 0; i < writers->n; i++)
		if (writers->transactions[i] == transaction)
			return;
	caller = MemoryContextSwitchTo(writers->memory);
	writers->transactions = grow_array(writers->transactions, writers->n, &writers->allocated, sizeof(TransactionId));
	writers->transactions[writers->n++] = transaction;
	MemoryContextSwitchTo(caller);
}

/* Returns the lock that a transaction holds while it decides whether it waits. */
static LOCKTAG
decision_lock(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, InvalidTransactionId, 0, LOCK_CLASS);
	return tag;
}

/* Returns the lock that a transaction holds while it is marked as waiting. */
static LOCKTAG
waiting_mark(TransactionId transaction)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, transaction, 1, LOCK_CLASS);
	return tag;
}

/* Is the other transaction marked as waiting? */
static bool
is_marked(TransactionId transaction)
{
	LOCKTAG		tag = waiting_mark(transaction);

	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);
	return false;
}

/* Marks this transaction; the mark outlives a subtransaction that is rolled back. */
static void
mark_as_waiting(void)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag = waiting_mark(GetTopTransactionId());

	if (marked == my_lxid())
		return;
	CurrentResourceOwner = TopTransactionResourceOwner;
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	CurrentResourceOwner = owner;
	marked = my_lxid();
}

/* Removes the mark of this transaction, if it has one. */
void
concurrent_writers_unmark(void)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag = waiting_mark(GetTopTransactionId());

	if (marked != my_lxid())
		return;
	CurrentResourceOwner = TopTransactionResourceOwner;
	LockRelease(&tag, ExclusiveLock, false);
	CurrentResourceOwner = owner;
	marked = InvalidLocalTransactionId;
}

/* Keeps the writers without a mark, and marks this transaction if there are any. */
bool
concurrent_writers_must_wait(ConcurrentWriters *writers)
{
	LOCKTAG		tag = decision_lock();
	int32		kept = 0;

	if (writers->n == 0)
		return false;
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	for (int32 i = 0; i < writers->n; i++)
		if (!is_marked(writers->transactions[i]))
			writers->transactions[kept++] = writers->transactions[i];
	writers->n = kept;
	if (kept > 0)
		mark_as_waiting();
	LockRelease(&tag, ExclusiveLock, false);
	return kept > 0;
}

/* Waits for one transaction after the other. */
void
concurrent_writers_wait(ConcurrentWriters *writers)
{
	for (int32 i = 0; i < writers->n; i++)
		XactLockTableWait(writers->transactions[i], NULL, NULL, XLTW_None);
	writers->n = 0;
}
