/*
 * deal_reader.c
 *		Deals to be compared, read from a query of any size.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "duplicates/deal_reader.h"

/* Rows fetched at once */
#define BATCH_SIZE		1000

enum
{
	COLUMN_ID = 1,
	COLUMN_ORGANIZATION,
	COLUMN_NAME,
	COLUMN_ACCOUNT,
	COLUMN_IS_OPEN,
	COLUMN_POLICY,
	COLUMN_THRESHOLD,
	COLUMN_SCOPE
};

DealReader
deal_reader_open(Portal portal, float4 threshold)
{
	DealReader	reader = {.portal = portal, .threshold = threshold, .progress = progress_begin()};

	reader.memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals reader", ALLOCSET_DEFAULT_SIZES);
	return reader;
}

static bool
open_next(DealReader *reader)
{
	Datum		ids;

	if (reader->query == NULL || !deal_ids_next_slice(reader->ids, &reader->place, &ids))
		return false;
	if (reader->portal != NULL)
		SPI_cursor_close(reader->portal);
	reader->portal = owner_query_cursor(reader->query, &ids, NULL);
	pfree(DatumGetPointer(ids));
	return true;
}

DealReader
deal_reader_open_ids(OwnerQuery *query, const DealIds *ids)
{
	DealReader	reader = deal_reader_open(NULL, 0);

	reader.query = query;
	reader.ids = ids;
	(void) open_next(&reader);
	return reader;
}

/* SPI leaves its own memory context behind as the current one: here, and where a cursor is opened. */
static bool
fetch(DealReader *reader)
{
	MemoryContext caller = CurrentMemoryContext;

	do
	{
		CHECK_FOR_INTERRUPTS();
		/* a batch that is not full was the last */
		if (reader->rows != NULL && reader->n < BATCH_SIZE && !open_next(reader))
			return false;
		if (reader->rows != NULL)
			SPI_freetuptable(reader->rows);
		SPI_cursor_fetch(reader->portal, true, BATCH_SIZE);
		MemoryContextSwitchTo(caller);
		reader->rows = SPI_tuptable;
		reader->n = SPI_processed;
		reader->next = 0;
		progress_tell(&reader->progress, reader->n);
	} while (reader->n == 0);
	return true;
}

static Datum
column(DealReader *reader, int number, bool *isnull)
{
	return SPI_getbinval(reader->rows->vals[reader->next], reader->rows->tupdesc, number, isnull);
}

static text *
text_column(DealReader *reader, int number)
{
	bool		isnull;
	Datum		value = column(reader, number, &isnull);

	return isnull ? NULL : DatumGetTextPP(value);
}

static bool
is_text(const text *value, const char *expected)
{
	return VARSIZE_ANY_EXHDR(value) == strlen(expected) && memcmp(VARDATA_ANY(value), expected, strlen(expected)) == 0;
}

static DuplicateScope
scope_column(DealReader *reader)
{
	text	   *scope = text_column(reader, COLUMN_SCOPE);

	if (is_text(scope, "open"))
		return SCOPE_OPEN;
	return is_text(scope, "account") ? SCOPE_ACCOUNT : SCOPE_ALL;
}

bool
deal_reader_next(DealReader *reader)
{
	MemoryContext caller;
	bool		isnull;

	if (reader->next == reader->n && !fetch(reader))
		return false;
	MemoryContextReset(reader->memory);
	caller = MemoryContextSwitchTo(reader->memory);
	reader->deal.id = DatumGetInt64(column(reader, COLUMN_ID, &isnull));
	reader->deal.organization = text_column(reader, COLUMN_ORGANIZATION);
	reader->deal.name = text_column(reader, COLUMN_NAME);
	reader->deal.account = text_column(reader, COLUMN_ACCOUNT);
	reader->deal.is_open = DatumGetBool(column(reader, COLUMN_IS_OPEN, &isnull));
	reader->deal.looks = !is_text(text_column(reader, COLUMN_POLICY), "off");
	reader->deal.threshold = reader->threshold > 0 ? reader->threshold :
		DatumGetFloat4(column(reader, COLUMN_THRESHOLD, &isnull));
	reader->deal.scope = scope_column(reader);
	MemoryContextSwitchTo(caller);
	reader->next++;
	return true;
}

void
deal_reader_close(DealReader *reader)
{
	SPI_cursor_close(reader->portal);
	MemoryContextDelete(reader->memory);
}

bool
read_into_join(DealReader *reader, DuplicateJoin *join, Size room, int64 *first)
{
	bool		more;

	*first = PG_INT64_MAX;
	do
	{
		more = deal_reader_next(reader);
		if (more)
			duplicate_join_add(join, &reader->deal);
		if (more && *first == PG_INT64_MAX)
			*first = reader->deal.id;
	} while (more && duplicate_join_bytes(join) < room);
	duplicate_join_build(join);
	return more;
}

static OwnerQuery dismissed_query = {
	.sql = "SELECT f.deal_id, f.other_deal_id FROM crm_deals.deal_duplicate AS f"
	" WHERE f.resolution OPERATOR(pg_catalog.=) 'dismissed'",
};

void
add_dismissed_pairs(DuplicateJoin *join)
{
	bool		isnull;

	owner_query_latest(&dismissed_query, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		duplicate_join_dismiss(join,
							   DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)),
							   DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull)));
	SPI_freetuptable(SPI_tuptable);
}
