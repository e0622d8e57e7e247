/*
 * growing_array.h
 *		An array whose size doubles when it is full.
 */
#ifndef CRM_DEALS_GROWING_ARRAY_H
#define CRM_DEALS_GROWING_ARRAY_H

#include "utils/memutils.h"

/*
 * Returns an array of n elements with space for at least one more; it may have
 * moved.  A NULL array is created in the current memory context.
 */
static inline void *
grow_array(void *array, int32 n, int32 *allocated, Size element)
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

#endif							/* CRM_DEALS_GROWING_ARRAY_H */
