/*
 * memory_budget.h
 *		Room for one more element of an array that doubles.
 */
#ifndef CRM_DEALS_MEMORY_BUDGET_H
#define CRM_DEALS_MEMORY_BUDGET_H

#include "utils/memutils.h"

/* The array, which may have moved; NULL is an empty one, made in the current memory context. */
static inline void *
room_for_one(void *array, int32 n, int32 *allocated, Size element)
{
	if (n < *allocated)
		return array;
	if (n > PG_INT32_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many names to be compared at once")));
	*allocated = Max(2 * n, 64);
	return array == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, *allocated * element)
		: repalloc_huge(array, *allocated * element);
}

#endif							/* CRM_DEALS_MEMORY_BUDGET_H */
