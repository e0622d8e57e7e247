/*
 * arrays.h
 *		Arrays of bigint without NULLs, to be filled and read in place.
 */
#ifndef CRM_DEALS_ARRAYS_H
#define CRM_DEALS_ARRAYS_H

#include "utils/array.h"

extern ArrayType *int8_array_create(int64 n);

/* Fewer elements than it was made for */
extern void int8_array_cut(ArrayType *array, int n);

/* An error where it has NULLs or more than one dimension */
extern int	int8_array_length(const ArrayType *array);

static inline int64 *
int8_array_elements(ArrayType *array)
{
	return (int64 *) ARR_DATA_PTR(array);
}

#endif							/* CRM_DEALS_ARRAYS_H */
