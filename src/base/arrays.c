/*
 * arrays.c
 *		Arrays of bigint and of text without NULLs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/arrays.h"
#include "base/compat.h"

/* Returns the bytes of an array of n numbers. */
static Size
size_of(int64 n)
{
	return ARR_OVERHEAD_NONULLS(1) + sizeof(int64) * (Size) n;
}

/* Returns an array of n numbers, all of them 0. */
ArrayType *
int8_array_create(int64 n)
{
	ArrayType  *array;

	if (n == 0)
		return construct_empty_array(INT8OID);
	if (!AllocSizeIsValid(size_of(n)))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("an array of %lld numbers is too large", (long long) n)));
	array = palloc0(size_of(n));
	SET_VARSIZE(array, size_of(n));
	array->ndim = 1;
	array->elemtype = INT8OID;
	ARR_DIMS(array)[0] = (int) n;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

/* Shortens the array to n elements. */
void
int8_array_cut(ArrayType *array, int n)
{
	ARR_DIMS(array)[0] = n;
	SET_VARSIZE(array, size_of(n));
}

/* Returns the number of elements of a plain array. */
int
int8_array_length(const ArrayType *array)
{
	if (ARR_NDIM(array) == 0)
		return 0;
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is no plain array of numbers")));
	return ARR_DIMS(array)[0];
}

/* Returns the texts, a list of char *, as text[]. */
Datum
text_array(List *texts)
{
	Datum	   *elements = palloc(sizeof(Datum) * list_length(texts));
	ListCell   *cell;

	foreach(cell, texts)
		elements[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, list_length(texts), TEXTOID, -1, false, TYPALIGN_INT));
}

/* Returns the elements as a list of char *, without the NULLs. */
List *
text_array_elements(Datum array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	List	   *texts = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			texts = lappend(texts, TextDatumGetCString(elements[i]));
	return texts;
}
