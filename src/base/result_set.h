/*
 * result_set.h
 *		The rows that a set-returning function returns.
 */
#ifndef CRM_DEALS_RESULT_SET_H
#define CRM_DEALS_RESULT_SET_H

#include "executor/spi.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/kept_query.h"

/* Begins the result; the caller then adds rows to what this returns, and returns (Datum) 0. */
static inline ReturnSetInfo *
result_set_begin(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

static inline void
result_set_add(ReturnSetInfo *result, Datum *values, bool *isnull)
{
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* Adds the rows of SPI_tuptable, whose columns must be those of the result. */
static inline void
result_set_add_spi_rows(ReturnSetInfo *result)
{
	check_same_columns(SPI_tuptable->tupdesc, result->setDesc);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
}

#endif							/* CRM_DEALS_RESULT_SET_H */
