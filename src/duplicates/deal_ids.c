/*
 * deal_ids.c
 *		Any number of ids of deals.
 *
 * The deals that one statement writes usually have consecutive ids, so ranges of
 * ids are kept: a COPY of a million deals takes one range.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/arrays.h"
#include "duplicates/deal_ids.h"

/* How many ids a query gets at once */
#define SLICE_SIZE	10000

/* Makes space for n more ranges, and returns the first of them. */
static DealIdRange *
add_ranges(DealIds *ids, int64 n, MemoryContext memory)
{
	if (ids->n_ranges + n > ids->allocated)
	{
		ids->allocated = Max(2 * (ids->n_ranges + n), 16);
		ids->ranges = ids->ranges == NULL ? MemoryContextAllocHuge(memory, sizeof(DealIdRange) * ids->allocated)
			: repalloc_huge(ids->ranges, sizeof(DealIdRange) * ids->allocated);
	}
	ids->n_ranges += n;
	return &ids->ranges[ids->n_ranges - n];
}

/* Is the id in the range, or the next one after it? */
static bool
continues(const DealIdRange *range, int64 id)
{
	return id <= range->last || id - 1 == range->last;
}

/* Adds an id, to the last range if it continues that. */
void
deal_ids_add(DealIds *ids, int64 id, MemoryContext memory)
{
	DealIdRange *last = ids->n_ranges > 0 ? &ids->ranges[ids->n_ranges - 1] : NULL;

	if (last != NULL && id > last->last && continues(last, id))
		last->last = id;
	else
		*add_ranges(ids, 1, memory) = (DealIdRange) {id, id};
	ids->n++;
}

/* Adds the ranges of other ids. */
void
deal_ids_add_all(DealIds *ids, const DealIds *more, MemoryContext memory)
{
	if (more->n_ranges > 0)
		memcpy(add_ranges(ids, more->n_ranges, memory), more->ranges, sizeof(DealIdRange) * more->n_ranges);
	ids->n += more->n;
}

/* Reads the elements of an array. */
DealIds
deal_ids_of_array(Datum array)
{
	ArrayType  *elements = DatumGetArrayTypeP(array);
	DealIds		ids = {0};

	for (int i = 0; i < int8_array_length(elements); i++)
		deal_ids_add(&ids, int8_array_elements(elements)[i], CurrentMemoryContext);
	return ids;
}

/* Orders ranges for qsort(). */
static int
compare_ranges(const void *a, const void *b)
{
	int64		x = ((const DealIdRange *) a)->first;
	int64		y = ((const DealIdRange *) b)->first;

	return x < y ? -1 : x > y;
}

/* Sorts the ranges, merges those that touch or overlap, and counts the ids anew. */
void
deal_ids_sort(DealIds *ids)
{
	DealIdRange *last = ids->ranges;

	if (ids->n_ranges == 0)
		return;
	qsort(ids->ranges, ids->n_ranges, sizeof(DealIdRange), compare_ranges);
	for (int64 i = 1; i < ids->n_ranges; i++)
	{
		if (continues(last, ids->ranges[i].first))
			last->last = Max(last->last, ids->ranges[i].last);
		else
			*++last = ids->ranges[i];
	}
	ids->n_ranges = last - ids->ranges + 1;
	ids->n = 0;
	for (int64 i = 0; i < ids->n_ranges; i++)
		ids->n += ids->ranges[i].last - ids->ranges[i].first + 1;
}

/* Compares an id with a range for bsearch(). */
static int
compare_with_range(const void *key, const void *range)
{
	int64		id = *(const int64 *) key;

	if (id < ((const DealIdRange *) range)->first)
		return -1;
	return id > ((const DealIdRange *) range)->last;
}

/* Is the id in any of the ranges?  They must be sorted. */
bool
is_among(const DealIds *sorted, int64 id)
{
	return sorted->n_ranges > 0 &&
		bsearch(&id, sorted->ranges, sorted->n_ranges, sizeof(DealIdRange), compare_with_range) != NULL;
}

/* Writes the next `most` ids or fewer, and returns how many there were. */
static int64
copy_ids(const DealIds *ids, DealIdsPlace *place, int64 *to, int64 most)
{
	int64		n = 0;

	while (n < most && place->range < ids->n_ranges)
	{
		const DealIdRange *range = &ids->ranges[place->range];

		to[n++] = range->first + place->within++;
		if (to[n - 1] == range->last)
			*place = (DealIdsPlace) {place->range + 1, 0};
	}
	return n;
}

/* Reads one id. */
bool
deal_ids_next(const DealIds *ids, DealIdsPlace *place, int64 *id)
{
	return copy_ids(ids, place, id, 1) == 1;
}

/* Reads a slice. */
bool
deal_ids_next_slice(const DealIds *ids, DealIdsPlace *place, Datum *array)
{
	ArrayType  *slice;

	if (place->range == ids->n_ranges)
		return false;
	slice = int8_array_create(Min(ids->n, SLICE_SIZE));
	int8_array_cut(slice, (int) copy_ids(ids, place, int8_array_elements(slice), Min(ids->n, SLICE_SIZE)));
	*array = PointerGetDatum(slice);
	return true;
}

/* Writes all ids to one array. */
Datum
deal_ids_array(const DealIds *ids)
{
	ArrayType  *array = int8_array_create(ids->n);
	DealIdsPlace place = {0};

	(void) copy_ids(ids, &place, int8_array_elements(array), ids->n);
	return PointerGetDatum(array);
}
