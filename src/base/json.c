/*
 * json.c
 *		Small helpers over PostgreSQL's jsonb.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

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

/* Makes a JSON string of a C string. */
static void
set_string(JsonbValue *result, char *text, int length)
{
	result->type = jbvString;
	result->val.string.val = text;
	result->val.string.len = length;
}

/* Makes a JSON number, or a string if JSON has no such number. */
static void
set_numeric(JsonbValue *result, Numeric number)
{
	if (numeric_is_nan(number) || numeric_is_inf(number))
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));

		set_string(result, text, strlen(text));
		return;
	}
	result->type = jbvNumeric;
	result->val.numeric = number;
}

/* Makes a value of a whole jsonb. */
static void
set_jsonb(JsonbValue *result, Jsonb *json)
{
	result->type = jbvBinary;
	result->val.binary.data = &json->root;
	result->val.binary.len = VARSIZE(json) - VARHDRSZ;
}

/* Makes a JSON string of a date or a time. */
static void
set_moment(JsonbValue *result, Datum value, Oid type)
{
	char	   *text = palloc(MAXDATELEN + 1);

	JsonEncodeDateTime(text, value, type, NULL);
	set_string(result, text, strlen(text));
}

/* Converts a value of any type, as to_jsonb() does. */
static void
set_by_to_jsonb(JsonbValue *result, Datum value, Oid type)
{
	FmgrInfo	function;
	Node	   *argument = (Node *) makeNullConst(type, -1, InvalidOid);

	fmgr_info(F_TO_JSONB, &function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &function);
	set_jsonb(result, DatumGetJsonbP(FunctionCall1(&function, value)));
}

/* Converts a value; the types of our own columns need no to_jsonb(). */
void
json_from_datum(Datum value, Oid type, JsonbValue *result)
{
	switch (type)
	{
		case BOOLOID:
			result->type = jbvBool;
			result->val.boolean = DatumGetBool(value);
			break;
		case INT4OID:
			set_numeric(result, int64_to_numeric(DatumGetInt32(value)));
			break;
		case INT8OID:
			set_numeric(result, int64_to_numeric(DatumGetInt64(value)));
			break;
		case NUMERICOID:
			set_numeric(result, DatumGetNumeric(value));
			break;
		case TEXTOID:
			{
				text	   *string = DatumGetTextPP(value);

				set_string(result, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
				break;
			}
		case DATEOID:
		case TIMESTAMPTZOID:
			set_moment(result, value, type);
			break;
		case JSONBOID:
			set_jsonb(result, DatumGetJsonbP(value));
			break;
		default:
			set_by_to_jsonb(result, value, type);
	}
}

/* Adds a key to the object that is being built. */
void
json_push_key(JsonbBuilder *builder, const char *key, int length)
{
	JsonbValue	name;

	set_string(&name, unconstify(char *, key), length);
	jsonb_push(builder, WJB_KEY, &name);
}

/* Adds [old, new]; NULL becomes a JSON null. */
void
json_push_pair(JsonbBuilder *builder, JsonbValue *old, JsonbValue *new)
{
	JsonbValue	null = {.type = jbvNull};

	jsonb_push(builder, WJB_BEGIN_ARRAY, NULL);
	jsonb_push(builder, WJB_ELEM, old != NULL ? old : &null);
	jsonb_push(builder, WJB_ELEM, new != NULL ? new : &null);
	jsonb_push(builder, WJB_END_ARRAY, NULL);
}
