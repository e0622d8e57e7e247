/*
 * log_value.c
 *		The form of values in the column "changes" of the log.
 *
 * A value of a type that JSON has, too, is written as that: booleans, numbers,
 * texts, dates and timestamps (ISO 8601, in UTC), jsonb, and plain arrays of
 * them. A value of any other type is a JSON string: what the type's output
 * function makes of it under fixed settings. The type's input function reads
 * it under the same settings, so the value is the same in every session, and
 * exactly what it was. postgres_fdw sends values to other servers in this way.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/xml.h"

#include "base/json.h"
#include "log/log_value.h"

/* ----------
 * Settings
 * ----------
 */

/* Gives a setting a value until the level of settings ends. */
static void
fix(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Begins a level of settings in which input and output functions do not depend
 * on the session. Changes only what differs; AtEOXact_GUC() ends the level.
 */
static int
begin_fixed_settings(void)
{
	int			level = NewGUCNestLevel();

	if (DateStyle != USE_ISO_DATES)
		fix("datestyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		fix("intervalstyle", "postgres");
	if (strcmp(pg_get_timezone_name(session_timezone), "UTC") != 0)
		fix("timezone", "UTC");
	if (extra_float_digits < 1)
		fix("extra_float_digits", "1");
	if (bytea_output != BYTEA_OUTPUT_HEX)
		fix("bytea_output", "hex");
	if (xmloption != XMLOPTION_CONTENT)
		fix("xmloption", "content");
	if (!Array_nulls)
		fix("array_nulls", "on");
	if (quote_all_identifiers)
		fix("quote_all_identifiers", "off");
	/* Its variable is declared in a header that includes those of ICU, which few machines have. */
	if (strcmp(GetConfigOption("lc_monetary", false, false), "C") != 0)
		fix("lc_monetary", "C");
	if (strcmp(namespace_search_path, "pg_catalog") != 0)
		fix("search_path", "pg_catalog");
	return level;
}

/* Puts the session's settings back. */
static void
end_fixed_settings(int level)
{
	AtEOXact_GUC(true, level);
}

/* Returns whether no setting has a say in the type's text. */
static bool
has_one_text(Oid type)
{
	char		category;
	bool		preferred;

	if (type == UUIDOID || type == JSONOID)
		return true;
	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING || category == TYPCATEGORY_ENUM || category == TYPCATEGORY_NETWORK;
}

/* ----------
 * Writing
 * ----------
 */

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

/* Makes a JSON number of the shortest text that means this float, or a string if JSON has no such number. */
static void
set_float(JsonbValue *result, double number, char *text)
{
	if (isnan(number) || isinf(number) || (number == 0 && signbit(number)))
		set_string(result, text, strlen(text));
	else
		set_numeric(result, DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
																ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
}

/* Makes a JSON string of a date or a timestamp. */
static void
set_moment(JsonbValue *result, Datum value, Oid type)
{
	char	   *text = palloc(MAXDATELEN + 1);
	int			utc = 0;

	JsonEncodeDateTime(text, value, type, type == TIMESTAMPTZOID ? &utc : NULL);
	set_string(result, text, strlen(text));
}

/* Makes a value of a whole jsonb. */
static void
set_jsonb(JsonbValue *result, Jsonb *json)
{
	if (JsonbExtractScalar(&json->root, result))
		return;
	result->type = jbvBinary;
	result->val.binary.data = &json->root;
	result->val.binary.len = VARSIZE(json) - VARHDRSZ;
}

/* Makes a JSON string of the type's own text. */
static void
set_text_of(JsonbValue *result, Datum value, Oid type)
{
	Oid			output;
	bool		is_varlena;
	bool		fixed = !has_one_text(type);
	int			level = fixed ? begin_fixed_settings() : 0;
	char	   *text;

	getTypeOutputInfo(type, &output, &is_varlena);
	text = OidOutputFunctionCall(output, value);
	if (fixed)
		end_fixed_settings(level);
	set_string(result, text, strlen(text));
}

/* Converts a scalar of a type that JSON has, too; returns false if JSON does not have the type. */
static bool
set_plain(JsonbValue *result, Datum value, Oid type)
{
	switch (type)
	{
		case BOOLOID:
			result->type = jbvBool;
			result->val.boolean = DatumGetBool(value);
			return true;
		case INT2OID:
			set_numeric(result, int64_to_numeric(DatumGetInt16(value)));
			return true;
		case INT4OID:
			set_numeric(result, int64_to_numeric(DatumGetInt32(value)));
			return true;
		case INT8OID:
			set_numeric(result, int64_to_numeric(DatumGetInt64(value)));
			return true;
		case NUMERICOID:
			set_numeric(result, DatumGetNumeric(value));
			return true;
		case FLOAT4OID:
			set_float(result, DatumGetFloat4(value), float_to_shortest_decimal(DatumGetFloat4(value)));
			return true;
		case FLOAT8OID:
			set_float(result, DatumGetFloat8(value), double_to_shortest_decimal(DatumGetFloat8(value)));
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case XMLOID:			/* its output function would leave a plain XML declaration out */
			{
				text	   *string = DatumGetTextPP(value);

				set_string(result, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
				return true;
			}
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			set_moment(result, value, type);
			return true;
		default:
			return false;
	}
}

/*
 * Converts an array to a JSON array if that loses nothing: it has one dimension
 * that begins at 1, and its elements are plain. Returns false if it would.
 */
static bool
set_plain_array(JsonbValue *result, Datum value, Oid element_type)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	ArrayIterator iterator;
	JsonbBuilder builder = {0};
	Datum		element;
	bool		isnull;

	if (ARR_NDIM(array) > 1 || (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] != 1))
		return false;
	iterator = array_create_iterator(array, 0, NULL);
	jsonb_push(&builder, WJB_BEGIN_ARRAY, NULL);
	while (array_iterate(iterator, &element, &isnull))
	{
		JsonbValue	item = {.type = jbvNull};

		if (!isnull && !set_plain(&item, element, element_type))
			return false;
		jsonb_push(&builder, WJB_ELEM, &item);
	}
	jsonb_push(&builder, WJB_END_ARRAY, NULL);
	set_jsonb(result, JsonbValueToJsonb(builder.result));
	return true;
}

/* Converts a value of any type. */
void
log_value_write(Datum value, Oid type, JsonbValue *result)
{
	Oid			base;
	Oid			element_type;

	if (set_plain(result, value, type))
		return;
	base = getBaseType(type);
	element_type = get_base_element_type(base);
	if (base == JSONBOID)
		set_jsonb(result, DatumGetJsonbP(value));
	else if (!set_plain(result, value, base) &&
			 !(OidIsValid(element_type) && set_plain_array(result, value, getBaseType(element_type))))
		set_text_of(result, value, base);
}

/* ----------
 * Reading
 * ----------
 */

/* Returns the text that an input function reads: that of a string, or JSON's own. */
static char *
text_in(JsonbValue *logged)
{
	Jsonb	   *json;

	if (logged->type == jbvString)
		return pnstrdup(logged->val.string.val, logged->val.string.len);
	if (logged->type == jbvBinary)
		return JsonbToCString(NULL, logged->val.binary.data, logged->val.binary.len);
	json = JsonbValueToJsonb(logged);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

/* Adds an element to the text of an array, in quotes. */
static void
append_element(StringInfo literal, JsonbValue *element)
{
	if (element->type == jbvNull)
	{
		appendStringInfoString(literal, "NULL");
		return;
	}
	appendStringInfoChar(literal, '"');
	for (const char *c = text_in(element); *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(literal, '\\');
		appendStringInfoChar(literal, *c);
	}
	appendStringInfoChar(literal, '"');
}

/* Adds a JSON array as the text of an array; release 0.1 wrote nested ones. */
static void
append_array(StringInfo literal, JsonbContainer *array, char delimiter)
{
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbValue	element;
	JsonbIteratorToken token;
	bool		first = true;

	check_stack_depth();
	appendStringInfoChar(literal, '{');
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (!first)
			appendStringInfoChar(literal, delimiter);
		first = false;
		if (element.type == jbvBinary && JsonContainerIsArray(element.val.binary.data))
			append_array(literal, element.val.binary.data, delimiter);
		else
			append_element(literal, &element);
	}
	appendStringInfoChar(literal, '}');
}

/* Returns what stands between the elements of an array. */
static char
delimiter_of(Oid element_type)
{
	int16		length;
	bool		by_value;
	char		alignment;
	char		delimiter;
	Oid			io_param;
	Oid			function;

	get_type_io_data(element_type, IOFunc_input, &length, &by_value, &alignment, &delimiter, &io_param, &function);
	return delimiter;
}

/* Returns the text of a value for the input function of the type. */
static char *
text_for(JsonbValue *logged, Oid type)
{
	Oid			element_type = get_base_element_type(type);
	StringInfoData literal;

	if (!OidIsValid(element_type) || logged->type != jbvBinary || !JsonContainerIsArray(logged->val.binary.data))
		return text_in(logged);
	initStringInfo(&literal);
	append_array(&literal, logged->val.binary.data, delimiter_of(element_type));
	return literal.data;
}

/* Reads a value of a type that is no domain. */
static Datum
read_base(JsonbValue *logged, Oid type, int32 typmod)
{
	Oid			input;
	Oid			io_param;
	char	   *text;
	int			level;
	Datum		value;

	if (type == JSONBOID)
		return JsonbPGetDatum(JsonbValueToJsonb(logged));
	text = text_for(logged, type);
	getTypeInputInfo(type, &input, &io_param);
	level = begin_fixed_settings();
	value = OidInputFunctionCall(input, text, io_param, typmod);
	end_fixed_settings(level);
	return value;
}

/* Reads a value of any type; a domain checks it under the session's own settings. */
bool
log_value_read(const JsonbValue *logged, bool is_json_null, Oid type, int32 typmod, Datum *value)
{
	JsonbValue	copy = *logged;
	bool		isnull = logged->type == jbvNull && !is_json_null;
	Oid			base = getBaseTypeAndTypmod(type, &typmod);

	*value = isnull ? (Datum) 0 : read_base(&copy, base, typmod);
	if (base != type)
		domain_check(*value, isnull, type, NULL, CurrentMemoryContext);
	return !isnull;
}
