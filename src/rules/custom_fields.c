/*
 * custom_fields.c
 *		Checks custom fields against their definitions.
 *
 * A key without a definition is kept as it is. A JSON null counts as a missing
 * key.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/builtins.h"
#include "utils/datetime.h"

#include "base/json.h"
#include "base/texts.h"
#include "config/pipeline_cache.h"
#include "rules/custom_fields.h"

/* Returns whether the value is a text with a date like 2026-03-31. */
static bool
is_iso_date(const JsonbValue *value)
{
	char		text[11];
	int			year;
	int			month;
	int			day;
	int			again[3];

	if (value->type != jbvString || value->val.string.len != 10)
		return false;
	memcpy(text, value->val.string.val, 10);
	text[10] = '\0';
	for (int i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? text[i] != '-' : !isdigit((unsigned char) text[i]))
			return false;
	year = atoi(text);
	month = atoi(text + 5);
	day = atoi(text + 8);
	if (year < 1 || month < 1 || month > 12)
		return false;
	j2date(date2j(year, month, day), &again[0], &again[1], &again[2]);
	return again[0] == year && again[1] == month && again[2] == day;
}

/* Returns whether the value is one of the field's options. */
static bool
is_option(const CustomField *field, const JsonbValue *value)
{
	if (value->type != jbvString)
		return false;
	for (int i = 0; i < field->n_options; i++)
		if ((int) strlen(field->options[i]) == value->val.string.len &&
			memcmp(field->options[i], value->val.string.val, value->val.string.len) == 0)
			return true;
	return false;
}

/* Returns whether the value is an array of the field's options. */
static bool
is_array_of_options(const CustomField *field, const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return false;
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
		if (token == WJB_ELEM && !is_option(field, &element))
			return false;
	return true;
}

/* Returns what the value should have been, or NULL if it is that. */
static char *
expectation_missed(const CustomField *field, const JsonbValue *value)
{
	switch (field->type)
	{
		case FIELD_TEXT:
			return value->type == jbvString ? NULL : pstrdup("a text");
		case FIELD_NUMBER:
			return value->type == jbvNumeric ? NULL : pstrdup("a number");
		case FIELD_BOOLEAN:
			return value->type == jbvBool ? NULL : pstrdup("true or false");
		case FIELD_DATE:
			return is_iso_date(value) ? NULL : pstrdup("a date as YYYY-MM-DD");
		case FIELD_SELECT:
			return is_option(field, value) ? NULL
				: psprintf("one of %s", quoted_list(field->options, field->n_options));
		case FIELD_MULTISELECT:
			return is_array_of_options(field, value) ? NULL
				: psprintf("an array of %s", quoted_list(field->options, field->n_options));
	}
	return NULL;
}

/* Returns whether the key is there with a value other than null. */
static bool
is_there(Jsonb *object, const CustomField *field, JsonbValue *value)
{
	return json_get(object, field->key, strlen(field->key), value) && value->type != jbvNull;
}

/* Adds a line if the field is not as defined and the write changed it. */
static void
check_field(const CustomField *field, Jsonb *old, Jsonb *new, StringInfo wrong)
{
	JsonbValue	before;
	JsonbValue	after;
	bool		had = old != NULL && is_there(old, field, &before);
	bool		has = is_there(new, field, &after);
	char	   *expected;

	/* A key that an update leaves as it was is not checked. */
	if (old != NULL && had == has && (!has || json_same(&before, &after)))
		return;
	if (field->required && !(has && json_is_filled(&after)))
	{
		appendStringInfo(wrong, "%sCustom field \"%s\" is required.",
						 wrong->len > 0 ? "\n" : "", field->key);
		return;
	}
	expected = has ? expectation_missed(field, &after) : NULL;
	if (expected != NULL)
		appendStringInfo(wrong, "%sCustom field \"%s\" must be %s.",
						 wrong->len > 0 ? "\n" : "", field->key, expected);
}

/* Returns a line for each field that is not as defined, or NULL. */
char *
wrong_custom_fields(const CustomFields *definitions, Jsonb *old, Jsonb *new)
{
	StringInfoData wrong;

	if (definitions->n == 0 || !JB_ROOT_IS_OBJECT(new))
		return NULL;
	initStringInfo(&wrong);
	for (int i = 0; i < definitions->n; i++)
		check_field(&definitions->fields[i], old, new, &wrong);
	return wrong.len > 0 ? wrong.data : NULL;
}
