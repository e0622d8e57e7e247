/*
 * rivals.c
 *		Transactions that are writing a similar name at the same moment.
 *
 * Each writer puts its names where others see them before it looks, so of two
 * at least one sees the other.  Who sees a rival claims the pair of transactions
 * by a lock that ends with its own, waits for the rival to end, and looks again
 * with all names that its transaction has written (src/duplicates.c).  Where both
 * see each other, now or later, the second to claim goes on: the first looks for
 * both.  So two writers of similar names never deadlock over them, and nobody
 * else waits.
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "rivals.h"

/* Apart from the advisory locks of users, whose class is 1 or 2 */
#define CLAIM_CLASS		0x4344

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

/* What is owed to the rival outlives a subtransaction that is rolled back. */
static bool
claim(TransactionId rival)
{
	TransactionId mine = GetTopTransactionId();
	ResourceOwner owner = CurrentResourceOwner;
	LockAcquireResult result;
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, Min(mine, rival), Max(mine, rival), CLAIM_CLASS);
	CurrentResourceOwner = TopTransactionResourceOwner;
	result = LockAcquire(&tag, ExclusiveLock, false, true);
	CurrentResourceOwner = owner;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

bool
rivals_claim(Rivals *rivals)
{
	int			claimed = 0;

	for (int i = 0; i < rivals->n; i++)
		if (claim(rivals->transactions[i]))
			rivals->transactions[claimed++] = rivals->transactions[i];
	rivals->n = claimed;
	return claimed > 0;
}

void
rivals_wait(Rivals *rivals)
{
	for (int i = 0; i < rivals->n; i++)
		XactLockTableWait(rivals->transactions[i], NULL, NULL, XLTW_None);
	rivals->n = 0;
}
