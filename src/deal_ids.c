/*
 * deal_ids.c
 *		Lists of ids of deals, of any length.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "deal_ids.h"
#include "int8_array.h"

static void
make_room(DealIds *ids, int64 n, MemoryContext memory)
{
	if (n <= ids->allocated)
		return;
	ids->allocated = Max(2 * n, 16);
	ids->ids = ids->ids == NULL ? MemoryContextAllocHuge(memory, sizeof(int64) * ids->allocated)
		: repalloc_huge(ids->ids, sizeof(int64) * ids->allocated);
}

void
deal_ids_add(DealIds *ids, int64 id, MemoryContext memory)
{
	make_room(ids, ids->n + 1, memory);
	ids->ids[ids->n++] = id;
}

void
deal_ids_add_all(DealIds *ids, const DealIds *more, MemoryContext memory)
{
	make_room(ids, ids->n + more->n, memory);
	memcpy(ids->ids + ids->n, more->ids, sizeof(int64) * more->n);
	ids->n += more->n;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

void
deal_ids_sort(DealIds *ids)
{
	qsort(ids->ids, ids->n, sizeof(int64), compare_ids);
}

bool
is_among(const DealIds *sorted, int64 id)
{
	return sorted->n > 0 && bsearch(&id, sorted->ids, sorted->n, sizeof(int64), compare_ids) != NULL;
}

Datum
deal_ids_array(const DealIds *ids)
{
	ArrayType  *array = int8_array_create(ids->n);

	memcpy(int8_array_elements(array), ids->ids, sizeof(int64) * ids->n);
	return PointerGetDatum(array);
}
