/*
 * arguments.h
 *		Reads the arguments of an SQL function into C, and passes them on to SPI.
 */
#ifndef CRM_DEALS_ARGUMENTS_H
#define CRM_DEALS_ARGUMENTS_H

#include "fmgr.h"
#include "utils/builtins.h"

/* Returns the text in the current memory context, or NULL. */
static inline char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/* Returns the boolean; false stands for NULL. */
static inline bool
bool_argument(FunctionCallInfo fcinfo, int number)
{
	return !PG_ARGISNULL(number) && PG_GETARG_BOOL(number);
}

/* Copies the first n arguments for SPI: "nulls" has room for n + 1 characters. */
static inline void
spi_arguments(FunctionCallInfo fcinfo, int n, Datum *values, char *nulls)
{
	for (int i = 0; i < n; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	nulls[n] = '\0';
}

#endif							/* CRM_DEALS_ARGUMENTS_H */
