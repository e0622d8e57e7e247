/*
 * json.c
 *		Small helpers over PostgreSQL's jsonb.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "base/texts.h"

/* Finds the value of a top-level key; returns false if there is none. */
bool
json_get(Jsonb *object, const char *key, int length, JsonbValue *value)
{
	return JB_ROOT_IS_OBJECT(object) &&
		getKeyJsonValueFromContainer(&object->root, key, length, value) != NULL;
}

/* Returns whether two values are equal as jsonb is: 1.0 is 1.00. */
bool
json_same(const JsonbValue *a, const JsonbValue *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type)
	{
		case jbvNull:
			return true;
		case jbvBool:
			return a->val.boolean == b->val.boolean;
		case jbvString:
			return a->val.string.len == b->val.string.len &&
				memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
		case jbvNumeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(a->val.numeric),
													NumericGetDatum(b->val.numeric)));
		case jbvBinary:
			return compareJsonbContainers(a->val.binary.data, b->val.binary.data) == 0;
		default:
			elog(ERROR, "unexpected jsonb value type %d", (int) a->type);
	}
}

/* Returns whether there is anything in the value: no null, no blank text, no empty container. */
bool
json_is_filled(const JsonbValue *value)
{
	if (value->type == jbvString)
		return !is_blank(value->val.string.val, value->val.string.len);
	if (value->type == jbvBinary)
		return JsonContainerSize(value->val.binary.data) > 0;
	return value->type != jbvNull;
}

/* Adds a key to the object that is being built. */
void
json_push_key(JsonbBuilder *builder, const char *key, int length)
{
	JsonbValue	name = {.type = jbvString};

	name.val.string.val = unconstify(char *, key);
	name.val.string.len = length;
	jsonb_push(builder, WJB_KEY, &name);
}
