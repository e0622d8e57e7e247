/*
 * deal_cursor.c
 *		Reads the deals that are to be compared, one by one, from a query whose
 *		result can have any size.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "duplicates/deal_cursor.h"

/* Rows that are fetched at once */
#define BATCH_SIZE		1000

enum
{
	COLUMN_ID = 1,
	COLUMN_ORGANIZATION,
	COLUMN_NAME,
	COLUMN_ACCOUNT,
	COLUMN_IS_OPEN,
	COLUMN_IS_CHECKED,
	COLUMN_THRESHOLD,
	COLUMN_SCOPE
};

/* Begins to read the rows of a portal. */
DealCursor
deal_cursor_open(Portal portal, float4 threshold)
{
	DealCursor	cursor = {.portal = portal, .threshold = threshold, .progress = progress_begin()};

	cursor.memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals reader", ALLOCSET_DEFAULT_SIZES);
	return cursor;
}

/* Opens the query for the next slice of the ids; returns false if there is none. */
static bool
open_next(DealCursor *cursor)
{
	Datum		ids;

	if (cursor->query == NULL || !deal_ids_next_slice(cursor->ids, &cursor->place, &ids))
		return false;
	if (cursor->portal != NULL)
		cursor_close(cursor->portal);
	cursor->portal = owner_query_cursor(cursor->query, &ids, NULL);
	pfree(DatumGetPointer(ids));
	return true;
}

/* Begins to read the deals of the ids. */
DealCursor
deal_cursor_open_ids(OwnerQuery *query, const DealIds *ids)
{
	DealCursor	cursor = deal_cursor_open(NULL, 0);

	cursor.query = query;
	cursor.ids = ids;
	(void) open_next(&cursor);
	return cursor;
}

/*
 * Fetches the next batch of rows; returns false after the last.  SPI leaves its own
 * memory context as the current one, so the function restores that of the caller.
 */
static bool
fetch(DealCursor *cursor)
{
	MemoryContext caller = CurrentMemoryContext;

	do
	{
		CHECK_FOR_INTERRUPTS();
		/* a batch that is not full is the last of its portal */
		if (cursor->rows != NULL && cursor->n < BATCH_SIZE && !open_next(cursor))
			return false;
		if (cursor->rows != NULL)
			SPI_freetuptable(cursor->rows);
		SPI_cursor_fetch(cursor->portal, true, BATCH_SIZE);
		MemoryContextSwitchTo(caller);
		cursor->rows = SPI_tuptable;
		cursor->n = SPI_processed;
		cursor->next = 0;
		progress_tell(&cursor->progress, cursor->n);
	} while (cursor->n == 0);
	return true;
}

/* Returns a column of the next row; the caller may have run other queries since the fetch. */
static Datum
column(DealCursor *cursor, int number, bool *isnull)
{
	return SPI_getbinval(cursor->rows->vals[cursor->next], cursor->rows->tupdesc, number, isnull);
}

/* Returns a column of the next row, or raises that it is NULL: nobody but a row that a user made up may lack it. */
static Datum
needed_column(DealCursor *cursor, int number)
{
	bool		isnull;
	Datum		value = column(cursor, number, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a deal to be compared has no %s",
						NameStr(TupleDescAttr(cursor->rows->tupdesc, number - 1)->attname))));
	return value;
}

/* Returns the boolean of the next row; false stands for NULL. */
static bool
bool_column(DealCursor *cursor, int number)
{
	bool		isnull;
	Datum		value = column(cursor, number, &isnull);

	return !isnull && DatumGetBool(value);
}

/* Returns a text of the next row, or NULL. */
static text *
text_column(DealCursor *cursor, int number)
{
	bool		isnull;
	Datum		value = column(cursor, number, &isnull);

	return isnull ? NULL : DatumGetTextPP(value);
}

/* Is the text equal to a C string? */
static bool
is_text(const text *value, const char *expected)
{
	return VARSIZE_ANY_EXHDR(value) == strlen(expected) && memcmp(VARDATA_ANY(value), expected, strlen(expected)) == 0;
}

/* Returns the scope of the next row's pipeline. */
static DuplicateScope
scope_column(DealCursor *cursor)
{
	text	   *scope = DatumGetTextPP(needed_column(cursor, COLUMN_SCOPE));

	if (is_text(scope, "open"))
		return SCOPE_OPEN;
	return is_text(scope, "account") ? SCOPE_ACCOUNT : SCOPE_ALL;
}

/* Puts the next row into cursor->deal. */
bool
deal_cursor_next(DealCursor *cursor)
{
	ComparedDeal *deal = &cursor->deal;
	MemoryContext caller;

	if (cursor->next == cursor->n && !fetch(cursor))
		return false;
	MemoryContextReset(cursor->memory);
	caller = MemoryContextSwitchTo(cursor->memory);
	deal->id = DatumGetInt64(needed_column(cursor, COLUMN_ID));
	deal->organization = text_column(cursor, COLUMN_ORGANIZATION);
	deal->name = DatumGetTextPP(needed_column(cursor, COLUMN_NAME));
	deal->account = text_column(cursor, COLUMN_ACCOUNT);
	deal->is_open = bool_column(cursor, COLUMN_IS_OPEN);
	deal->rule.is_checked = bool_column(cursor, COLUMN_IS_CHECKED);
	deal->rule.threshold = cursor->threshold > 0 ? cursor->threshold :
		checked_threshold(DatumGetFloat4(needed_column(cursor, COLUMN_THRESHOLD)));
	deal->rule.scope = scope_column(cursor);
	MemoryContextSwitchTo(caller);
	cursor->next++;
	return true;
}

/* Closes the portal and frees the texts. */
void
deal_cursor_close(DealCursor *cursor)
{
	cursor_close(cursor->portal);
	MemoryContextDelete(cursor->memory);
}
