/*
 * changes.c
 *		The column "changes" of the log: what a write did to a deal.
 *
 * It covers columns that users added too. For an update it leaves out version
 * and updated_at: the event has them as version and occurred_at.
 */
#include "postgres.h"

#include "base/deal_row.h"
#include "base/json.h"
#include "config/pipeline_cache.h"
#include "log/changes.h"
#include "log/log_value.h"

/* Returns the column as JSON, or NULL if there is no row or no value. */
static JsonbValue *
value_of(const DealRow *row, int index, JsonbValue *value)
{
	if (row == NULL || row->isnull[index])
		return NULL;
	log_value_write(row->values[index], TupleDescAttr(row->desc, index)->atttypid, value);
	return value;
}

/* Returns whether the value is a JSON null, which is not NULL. */
static bool
is_json_null(const JsonbValue *value)
{
	return value != NULL && value->type == jbvNull;
}

/* Adds a text to the array that is being built. */
static void
push_word(JsonbBuilder *builder, const char *word)
{
	JsonbValue	text = {.type = jbvString};

	text.val.string.val = unconstify(char *, word);
	text.val.string.len = strlen(word);
	jsonb_push(builder, WJB_ELEM, &text);
}

/*
 * Adds [old, new]. NULL becomes a JSON null. If a value was a JSON null, a third
 * element says which one: "old", "new" or "both".
 */
static void
push_pair(JsonbBuilder *builder, JsonbValue *old, JsonbValue *new)
{
	JsonbValue	null = {.type = jbvNull};

	jsonb_push(builder, WJB_BEGIN_ARRAY, NULL);
	jsonb_push(builder, WJB_ELEM, old != NULL ? old : &null);
	jsonb_push(builder, WJB_ELEM, new != NULL ? new : &null);
	if (is_json_null(old) || is_json_null(new))
		push_word(builder, !is_json_null(new) ? "old" : is_json_null(old) ? "both" : "new");
	jsonb_push(builder, WJB_END_ARRAY, NULL);
}

/* Adds the pair of a column. */
static void
push_column(JsonbBuilder *builder, const DealRow *old, const DealRow *new, int index)
{
	const DealRow *any = old != NULL ? old : new;
	Form_pg_attribute att = TupleDescAttr(any->desc, index);
	JsonbValue	before;
	JsonbValue	after;

	json_push_key(builder, NameStr(att->attname), strlen(NameStr(att->attname)));
	push_pair(builder, value_of(old, index, &before), value_of(new, index, &after));
}

/* ----------
 * Custom fields: a pair for each key
 * ----------
 */

/* Returns the custom fields of the row, or NULL if there are none. */
static Jsonb *
object_in(const DealRow *row)
{
	Jsonb	   *object;

	if (row == NULL || deal_isnull(row, DEAL_CUSTOM_FIELDS))
		return NULL;
	object = DatumGetJsonbP(deal_get(row, DEAL_CUSTOM_FIELDS));
	return JB_ROOT_IS_OBJECT(object) ? object : NULL;
}

/* Adds the pair of one custom field. */
static void
push_custom_field(JsonbBuilder *builder, const JsonbValue *key, JsonbValue *old, JsonbValue *new)
{
	StringInfoData name;

	initStringInfo(&name);
	appendStringInfoString(&name, CUSTOM_FIELDS_PREFIX);
	appendBinaryStringInfo(&name, key->val.string.val, key->val.string.len);
	json_push_key(builder, name.data, name.len);
	push_pair(builder, old, new);
}

/* The keys whose values differ between two objects */
typedef struct KeyWalk
{
	JsonbBuilder *builder;		/* NULL: only looks for JSON nulls */
	bool		null_found;
} KeyWalk;

/* Takes note of a key whose values differ. */
static void
add_key(KeyWalk *walk, const JsonbValue *key, JsonbValue *old, JsonbValue *new)
{
	if ((old != NULL && old->type == jbvNull) || (new != NULL && new->type == jbvNull))
		walk->null_found = true;
	if (walk->builder != NULL)
		push_custom_field(walk->builder, key, old, new);
}

/* Takes note of the keys that the object "before" has, if their values differ. */
static void
add_old_keys(KeyWalk *walk, Jsonb *before, Jsonb *after)
{
	JsonbIterator *iterator = JsonbIteratorInit(&before->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		JsonbValue	old;
		JsonbValue	new;
		bool		stays;

		if (token != WJB_KEY)
			continue;
		(void) json_get(before, key.val.string.val, key.val.string.len, &old);
		stays = after != NULL && json_get(after, key.val.string.val, key.val.string.len, &new);
		if (!stays || !json_same(&old, &new))
			add_key(walk, &key, &old, stays ? &new : NULL);
	}
}

/* Takes note of the keys that only the object "after" has. */
static void
add_new_keys(KeyWalk *walk, Jsonb *before, Jsonb *after)
{
	JsonbIterator *iterator = JsonbIteratorInit(&after->root);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		JsonbValue	value;

		if (token != WJB_KEY ||
			(before != NULL && json_get(before, key.val.string.val, key.val.string.len, &value)))
			continue;
		(void) json_get(after, key.val.string.val, key.val.string.len, &value);
		add_key(walk, &key, NULL, &value);
	}
}

/* Adds the pair of each key that differs; returns whether one of the values is a JSON null. */
static bool
add_keys(JsonbBuilder *builder, Jsonb *before, Jsonb *after)
{
	KeyWalk		walk = {.builder = builder};

	if (before != NULL)
		add_old_keys(&walk, before, after);
	if (after != NULL)
		add_new_keys(&walk, before, after);
	return walk.null_found;
}

/*
 * Adds a pair for each custom field that differs. A pair cannot tell an absent
 * key from a JSON null, so if there is a JSON null, one pair has the whole
 * objects.
 */
static void
push_custom_fields(JsonbBuilder *builder, const DealRow *old, const DealRow *new)
{
	Jsonb	   *before = object_in(old);
	Jsonb	   *after = object_in(new);

	if (add_keys(NULL, before, after))
		push_column(builder, old, new, deal_index(old != NULL ? old : new, DEAL_CUSTOM_FIELDS));
	else
		(void) add_keys(builder, before, after);
}

/* ----------
 * The whole row
 * ----------
 */

/* Returns whether the column belongs into "changes". */
static bool
is_listed(const DealRow *old, const DealRow *new, int index)
{
	const DealRow *any = old != NULL ? old : new;

	if (TupleDescAttr(any->desc, index)->attisdropped)
		return false;
	if (old == NULL || new == NULL)
		return !any->isnull[index];
	return index != deal_index(any, DEAL_VERSION) &&
		index != deal_index(any, DEAL_UPDATED_AT) &&
		!deal_attribute_same(old, new, index);
}

/* Returns {"column": [old, new]} for each column that differs. */
Jsonb *
deal_changes(const DealRow *old, const DealRow *new)
{
	const DealRow *any = old != NULL ? old : new;
	int			custom_fields = deal_index(any, DEAL_CUSTOM_FIELDS);
	JsonbBuilder builder = {0};

	jsonb_push(&builder, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < any->desc->natts; i++)
	{
		if (!is_listed(old, new, i))
			continue;
		if (i == custom_fields)
			push_custom_fields(&builder, old, new);
		else
			push_column(&builder, old, new, i);
	}
	jsonb_push(&builder, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(builder.result);
}
