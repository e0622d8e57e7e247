/*
 * old_values.c
 *		Functions of SQL that read the column "changes" of the log.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/json.h"
#include "log/log_value.h"

PG_FUNCTION_INFO_V1(crm_deals_old_row);
PG_FUNCTION_INFO_V1(crm_deals_old_value);
PG_FUNCTION_INFO_V1(crm_deals_logged);
PG_FUNCTION_INFO_V1(crm_deals_hide_later);

/* Reads the value that the column had before; returns false if it was NULL. */
static bool
read_old_value(JsonbValue *pair, Oid type, int32 typmod, Datum *value)
{
	JsonbValue *before;
	JsonbValue *null_side;
	bool		is_json_null;

	if (pair->type != jbvBinary || !JsonContainerIsArray(pair->val.binary.data) ||
		JsonContainerSize(pair->val.binary.data) < 2)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("a change of a column is a pair of an old and a new value"));
	before = getIthJsonbValueFromContainer(pair->val.binary.data, 0);
	null_side = getIthJsonbValueFromContainer(pair->val.binary.data, 2);
	is_json_null = null_side != NULL && null_side->type == jbvString &&
		!(null_side->val.string.len == 3 && memcmp(null_side->val.string.val, "new", 3) == 0);
	return log_value_read(before, is_json_null, type, typmod, value);
}

/* Reads the old values of those columns that the changes are about. */
static void
read_old_values(Jsonb *changes, TupleDesc desc, Datum *values, bool *isnull)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		JsonbValue	pair;

		if (!att->attisdropped &&
			json_get(changes, NameStr(att->attname), strlen(NameStr(att->attname)), &pair))
			isnull[i] = !read_old_value(&pair, att->atttypid, att->atttypmod, &values[i]);
	}
}

/* Gives values and NULLs those of the row; without a row all are NULL. */
static void
deform_row(HeapTupleHeader row, TupleDesc desc, Datum *values, bool *isnull)
{
	HeapTupleData tuple = {0};

	memset(isnull, true, desc->natts * sizeof(bool));
	if (row == NULL)
		return;
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	heap_deform_tuple(&tuple, desc, values, isnull);
}

/*
 * old_row(row, changes) returns the row with the old values of the columns that
 * the changes are about. The row may be NULL: then all other columns are NULL.
 */
Datum
crm_deals_old_row(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	TupleDesc	desc;
	Datum	   *values;
	bool	   *isnull;
	HeapTuple	result;

	if (get_typtype(type) != TYPTYPE_COMPOSITE)
		ereport(ERROR,
				errcode(ERRCODE_DATATYPE_MISMATCH),
				errmsg("old_row() needs a row of a table"));
	desc = lookup_rowtype_tupdesc(type, -1);
	values = palloc0(desc->natts * sizeof(Datum));
	isnull = palloc(desc->natts * sizeof(bool));
	deform_row(PG_ARGISNULL(0) ? NULL : PG_GETARG_HEAPTUPLEHEADER(0), desc, values, isnull);
	if (!PG_ARGISNULL(1))
		read_old_values(PG_GETARG_JSONB_P(1), desc, values, isnull);
	result = heap_form_tuple(desc, values, isnull);
	ReleaseTupleDesc(desc);
	PG_RETURN_DATUM(HeapTupleGetDatum(result));
}

/* old_value(pair, NULL::type) returns the old value of a pair. */
Datum
crm_deals_old_value(PG_FUNCTION_ARGS)
{
	JsonbValue	pair;
	Jsonb	   *json;
	Datum		value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	json = PG_GETARG_JSONB_P(0);
	pair.type = jbvBinary;
	pair.val.binary.data = &json->root;
	pair.val.binary.len = VARSIZE(json) - VARHDRSZ;
	if (!read_old_value(&pair, get_fn_expr_argtype(fcinfo->flinfo, 1), -1, &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/* logged(value) returns the form that the value has in the log. */
Datum
crm_deals_logged(PG_FUNCTION_ARGS)
{
	JsonbValue	value;

	log_value_write(PG_GETARG_DATUM(0), get_fn_expr_argtype(fcinfo->flinfo, 0), &value);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(&value));
}

/* Returns the keys of single custom fields, as an array of texts. */
static Datum
custom_field_keys(Jsonb *changes)
{
	static const char prefix[] = "custom_fields.";
	ArrayBuildState *keys = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	JsonbIterator *iterator = JsonbIteratorInit(&changes->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY && value.val.string.len >= (int) strlen(prefix) &&
			memcmp(value.val.string.val, prefix, strlen(prefix)) == 0)
			accumArrayResult(keys, PointerGetDatum(cstring_to_text_with_len(value.val.string.val,
																			 value.val.string.len)),
							 false, TEXTOID, CurrentMemoryContext);
	return makeArrayResult(keys, CurrentMemoryContext);
}

/*
 * hide_later(later, earlier) returns the changes of two events of a deal, the
 * earlier on top.  A change of all custom fields hides later ones of single fields.
 */
Datum
crm_deals_hide_later(PG_FUNCTION_ARGS)
{
	static const char whole[] = "custom_fields";
	Datum		later = PG_GETARG_DATUM(0);
	JsonbValue	value;

	if (json_get(PG_GETARG_JSONB_P(1), whole, strlen(whole), &value))
		later = DirectFunctionCall2(jsonb_delete_array, later, custom_field_keys(PG_GETARG_JSONB_P(0)));
	PG_RETURN_DATUM(DirectFunctionCall2(jsonb_concat, later, PG_GETARG_DATUM(1)));
}
