/*
 * json.h
 *		Small helpers over PostgreSQL's jsonb.
 */
#ifndef CRM_DEALS_JSON_H
#define CRM_DEALS_JSON_H

#include "base/compat.h"

/* The value of a top-level key; false where there is none */
extern bool json_get(Jsonb *object, const char *key, int length, JsonbValue *value);

/* Equal as jsonb is: 1.0 is 1.00 */
extern bool json_same(const JsonbValue *a, const JsonbValue *b);

/* Is there anything in it: no null, no blank text, no empty array or object? */
extern bool json_is_filled(const JsonbValue *value);

/* A datum of any type as to_jsonb() makes it */
extern void json_from_datum(Datum value, Oid type, JsonbValue *result);

extern void json_push_key(JsonbBuilder *builder, const char *key, int length);
extern void json_push_pair(JsonbBuilder *builder, JsonbValue *old, JsonbValue *new);

#endif							/* CRM_DEALS_JSON_H */
