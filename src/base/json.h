/*
 * json.h
 *		Small helpers over PostgreSQL's jsonb.
 */
#ifndef CRM_DEALS_JSON_H
#define CRM_DEALS_JSON_H

#include "base/compat.h"

/* Finds the value of a top-level key; returns false if there is none. */
extern bool json_get(Jsonb *object, const char *key, int length, JsonbValue *value);

/* Compares as jsonb does: 1.0 is 1.00. */
extern bool json_same(const JsonbValue *a, const JsonbValue *b);

/* Null, a blank text, an empty array and an empty object are not filled. */
extern bool json_is_filled(const JsonbValue *value);

extern void json_push_key(JsonbBuilder *builder, const char *key, int length);

#endif							/* CRM_DEALS_JSON_H */
