/*
 * log_value.h
 *		The form of values in the column "changes" of the log.
 */
#ifndef CRM_DEALS_LOG_VALUE_H
#define CRM_DEALS_LOG_VALUE_H

#include "utils/jsonb.h"

/* Converts a value into its form in the log; the same value has the same form in every session. */
extern void log_value_write(Datum value, Oid type, JsonbValue *result);

/*
 * Reads a value of the log. Returns false if it is NULL. A JSON null is NULL
 * unless the caller knows that the value was a JSON null of the column.
 */
extern bool log_value_read(const JsonbValue *logged, bool is_json_null, Oid type, int32 typmod, Datum *value);

#endif							/* CRM_DEALS_LOG_VALUE_H */
