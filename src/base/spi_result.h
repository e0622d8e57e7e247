/*
 * spi_result.h
 *		Values of the rows in SPI_tuptable.  Rows count from 0, columns from 1.
 */
#ifndef CRM_DEALS_SPI_RESULT_H
#define CRM_DEALS_SPI_RESULT_H

#include "executor/spi.h"
#include "utils/builtins.h"

#include "base/installed.h"

static inline Datum
row_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* Returns the number; 0 stands for NULL. */
static inline int64
row_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = row_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

/* Returns a value that is never NULL in the table. */
static inline Datum
needed_value(const char *table, uint64 row, int column)
{
	bool		isnull;
	Datum		value = row_value(row, column, &isnull);

	if (isnull)
		raise_null_column(table, SPI_tuptable->tupdesc, column);
	return value;
}

/* Returns a copy of a text that is never NULL in the table. */
static inline char *
needed_text(const char *table, uint64 row, int column)
{
	return TextDatumGetCString(needed_value(table, row, column));
}

/* Returns the boolean; false stands for NULL. */
static inline bool
row_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = row_value(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* Returns a copy of the text in the current memory context, or NULL. */
static inline char *
row_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = row_value(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* The same for the first row, which is often the only one */
#define result_column(column, isnull)	row_value(0, column, isnull)
#define result_int64(column)			row_int64(0, column)
#define result_bool(column)				row_bool(0, column)
#define result_text(column)				row_text(0, column)

#endif							/* CRM_DEALS_SPI_RESULT_H */
