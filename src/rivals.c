/*
 * rivals.c
 *		Similar names that other transactions are writing at the same moment.
 *
 * Each writer puts its names where others see them before it looks, so of two
 * at least one sees the other.  Who sees a rival claims the pair, by a lock that
 * ends with the transaction, and waits for the rival to end, to look at what
 * it left.  Where both see each other, the second to claim goes on: the first
 * looks for both.  So similar names wait for each other, without a deadlock
 * between two of them, and nobody else does.
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"

#include "rivals.h"

/* Apart from the advisory locks of users, whose class is 1 or 2 */
#define CLAIM_CLASS		0x4344

/* Claims are entries of the shared table of locks; beyond these a writer waits without. */
#define MAX_CLAIMS		256

void
rivals_add(Rivals *rivals, int64 deal_id, int64 other_deal_id, TransactionId transaction)
{
	if (rivals->n == rivals->allocated)
	{
		rivals->allocated = Max(2 * rivals->n, 16);
		rivals->rivals = rivals->rivals == NULL
			? MemoryContextAllocHuge(rivals->memory, sizeof(Rival) * rivals->allocated)
			: repalloc_huge(rivals->rivals, sizeof(Rival) * rivals->allocated);
	}
	rivals->rivals[rivals->n++] = (Rival) {deal_id, other_deal_id, transaction};
}

static bool
claim(const Rival *rival)
{
	int64		pair[2] = {Min(rival->deal_id, rival->other_deal_id), Max(rival->deal_id, rival->other_deal_id)};
	uint64		hash = hash_bytes_extended((unsigned char *) pair, sizeof(pair), 0);
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, CLAIM_CLASS);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
rivals_wait(Rivals *rivals)
{
	int64		claimed = 0;
	TransactionId ended = InvalidTransactionId;

	for (int64 i = 0; i < rivals->n; i++)
		if (i >= MAX_CLAIMS || claim(&rivals->rivals[i]))
			rivals->rivals[claimed++] = rivals->rivals[i];
	rivals->n = claimed;

	for (int64 i = 0; i < rivals->n; i++)
		if (rivals->rivals[i].transaction != ended)
		{
			ended = rivals->rivals[i].transaction;
			XactLockTableWait(ended, NULL, NULL, XLTW_None);
		}
}
