/*
 * arrays.h
 *		Arrays of bigint and of text without NULLs.
 */
#ifndef CRM_DEALS_ARRAYS_H
#define CRM_DEALS_ARRAYS_H

#include "nodes/pg_list.h"
#include "utils/array.h"

/* An array of n numbers that the caller fills in place */
extern ArrayType *int8_array_create(int64 n);

/* Shortens an array to the n elements that were filled */
extern void int8_array_cut(ArrayType *array, int n);

/* Raises an error if the array has NULLs or more than one dimension */
extern int	int8_array_length(const ArrayType *array);

static inline int64 *
int8_array_elements(ArrayType *array)
{
	return (int64 *) ARR_DATA_PTR(array);
}

/* A text[] of a list of char * */
extern Datum text_array(List *texts);

/* The elements of a text[], or of an array of varchar, that are not NULL, as a list of char * */
extern List *text_array_elements(Datum array);

#endif							/* CRM_DEALS_ARRAYS_H */
