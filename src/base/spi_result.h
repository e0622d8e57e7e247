/*
 * spi_result.h
 *		The first row that a query of SPI's gave.
 */
#ifndef CRM_DEALS_SPI_RESULT_H
#define CRM_DEALS_SPI_RESULT_H

#include "executor/spi.h"

static inline Datum
result_column(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, isnull);
}

/* 0 for NULL */
static inline int64
result_int64(int column)
{
	bool		isnull;
	Datum		value = result_column(column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

#endif							/* CRM_DEALS_SPI_RESULT_H */
