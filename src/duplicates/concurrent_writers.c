/*
 * concurrent_writers.c
 *		Transactions that are writing a similar name at the same moment.
 *
 * Each writer puts its names where others see them before it looks, so of two
 * at least one sees the other.  Who sees a rival waits for it to end and then
 * looks again, with all names that its transaction has written.  A rival that is
 * waiting so itself need not be waited for: it will look later, and see.
 *
 * One decides at a time, and is marked as waiting before the next does.  Who
 * waits is waited for by nobody from then on, so there is never a circle.
 * Only writers that have met a rival come here; nobody else waits.
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

/* Apart from the advisory locks of users, whose class is 1 or 2 */
#define RIVALS_CLASS	0x4344

/* The transaction that is marked as waiting, of this backend */
static LocalTransactionId marked = InvalidLocalTransactionId;

void
rivals_add(Rivals *rivals, TransactionId transaction)
{
	/* it may have ended meanwhile, and with it what is known of its subtransactions */
	if (TransactionIdFollowsOrEquals(transaction, TransactionXmin))
		transaction = SubTransGetTopmostTransaction(transaction);
	for (int i = 0; i < rivals->n; i++)
		if (rivals->transactions[i] == transaction)
			return;
	if (rivals->n == rivals->allocated)
	{
		rivals->allocated = Max(2 * rivals->n, 16);
		rivals->transactions = rivals->transactions == NULL
			? MemoryContextAlloc(rivals->memory, sizeof(TransactionId) * rivals->allocated)
			: repalloc(rivals->transactions, sizeof(TransactionId) * rivals->allocated);
	}
	rivals->transactions[rivals->n++] = transaction;
}

static LOCKTAG
deciding(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, InvalidTransactionId, 0, RIVALS_CLASS);
	return tag;
}

static LOCKTAG
waiting(TransactionId transaction)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, transaction, 1, RIVALS_CLASS);
	return tag;
}

static bool
is_waiting(TransactionId rival)
{
	LOCKTAG		tag = waiting(rival);

	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);
	return false;
}

/* The promise outlives a subtransaction that is rolled back. */
static void
mark_as_waiting(void)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag = waiting(GetTopTransactionId());

	if (marked == my_lxid())
		return;
	CurrentResourceOwner = TopTransactionResourceOwner;
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	CurrentResourceOwner = owner;
	marked = my_lxid();
}

void
rivals_promise_nothing(void)
{
	ResourceOwner owner = CurrentResourceOwner;
	LOCKTAG		tag = waiting(GetTopTransactionId());

	if (marked != my_lxid())
		return;
	CurrentResourceOwner = TopTransactionResourceOwner;
	LockRelease(&tag, ExclusiveLock, false);
	CurrentResourceOwner = owner;
	marked = InvalidLocalTransactionId;
}

bool
rivals_decide(Rivals *rivals)
{
	LOCKTAG		tag = deciding();
	int			kept = 0;

	if (rivals->n == 0)
		return false;
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	for (int i = 0; i < rivals->n; i++)
		if (!is_waiting(rivals->transactions[i]))
			rivals->transactions[kept++] = rivals->transactions[i];
	rivals->n = kept;
	if (kept > 0)
		mark_as_waiting();
	LockRelease(&tag, ExclusiveLock, false);
	return kept > 0;
}

void
rivals_wait(Rivals *rivals)
{
	for (int i = 0; i < rivals->n; i++)
		XactLockTableWait(rivals->transactions[i], NULL, NULL, XLTW_None);
	rivals->n = 0;
}
