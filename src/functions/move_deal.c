/*
 * move_deal.c
 *		move_deal(), and the UPDATE of move_deals().
 *
 * Deals are read and written as the caller, with an ordinary UPDATE. So
 * privileges, row security and the rules hold as for the caller's own
 * statements.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "base/arguments.h"
#include "base/caller_query.h"
#include "base/compat.h"
#include "base/deal_row.h"
#include "base/installation.h"
#include "base/retired.h"
#include "base/search_path.h"
#include "base/spi_result.h"
#include "base/texts.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "config/stage_lock.h"
#include "config/stage_lookup.h"

PG_FUNCTION_INFO_V1(crm_deals_move_deal_and_write);
PG_FUNCTION_INFO_V1(crm_deals_move_deal_to_id_and_write);
PG_FUNCTION_INFO_V1(crm_deals_move_under_path);
PG_FUNCTION_INFO_V1(crm_deals_moved_subject);

/* ----------
 * Which deal, which stage
 * ----------
 */

static CallerQuery lock_deal = {
	.sql = "SELECT d.id, d.pipeline_id, d.stage_id, d.version, d.lost_reason::pg_catalog.text "
	"FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(INT8OID, INT8OID, INT8OID, INT4OID, TEXTOID),
};

static CallerQuery follow_alias = {
	.sql = "SELECT a.deal_id FROM crm_deals.deal_alias AS a WHERE a.old_id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(INT8OID),
};

typedef struct LockedDeal
{
	int64		id;
	int64		pipeline_id;
	int64		stage_id;
	int32		version;
	char	   *lost_reason;
} LockedDeal;

/* Locks the deal and reads it; returns false if there is none. */
static bool
lock_deal_row(int64 id, LockedDeal *deal)
{
	Datum		argument = Int64GetDatum(id);

	caller_query(&lock_deal, &argument, NULL);
	if (SPI_processed == 0)
		return false;
	deal->id = result_int64(1);
	deal->pipeline_id = result_int64(2);
	deal->stage_id = result_int64(3);
	deal->version = DatumGetInt32(needed_value("deal", 0, 4));
	deal->lost_reason = result_text(5);
	return true;
}

/* Locks the deal, or the one that it was merged into. */
static LockedDeal
lock_deal_or_alias(int64 id)
{
	LockedDeal	deal;
	Datum		argument = Int64GetDatum(id);

	if (lock_deal_row(id, &deal))
		return deal;
	caller_query(&follow_alias, &argument, NULL);
	if (SPI_processed == 0 || !lock_deal_row(result_int64(1), &deal))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("deal %lld does not exist", (long long) id)));
	return deal;
}

/* Returns the pipeline of the deal, as the cache has it. */
static const Pipeline *
pipeline_of(const LockedDeal *deal)
{
	const Pipeline *pipeline = find_pipeline(deal->pipeline_id);

	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("pipeline %lld does not exist", (long long) deal->pipeline_id)));
	return pipeline;
}

/* ----------
 * The right to override
 * ----------
 */

/* Refuses an override by a role of a level below manager. */
static void
check_may_override(void)
{
	List	   *name = list_make2(makeString("crm_deals_internal"), makeString("override_gates"));
	Oid			function;

	check_internal_schema();
	function = LookupFuncName(name, 0, NULL, false);
	if (!role_may_execute(function, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to override gates"),
				 errhint("Grant the role the level manager with crm_deals.grant_access().")));
}

/* Lets the statement bypass gates for this reason, which must not be blank. */
static void
set_override(WriteContext *context, const char *reason)
{
	if (reason == NULL)
		return;
	if (is_blank(reason, strlen(reason)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an override needs a reason")));
	check_may_override();
	context->override_gates = true;
	context->override_reason = reason;
}

/* ----------
 * The UPDATE
 * ----------
 */

/* The columns of a moved deal that move_deal() returns, and when it was moved */
#define MOVED_COLUMNS INT8OID, INT8OID, INT8OID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID

#define UPDATE_DEALS \
	"UPDATE crm_deals.deal SET stage_id = $2, lost_reason = coalesce($3, lost_reason) WHERE id OPERATOR(pg_catalog.=) "

static CallerQuery update_one = {
	.sql = UPDATE_DEALS "$1 RETURNING id, pipeline_id, stage_id, status::pg_catalog.text, probability,"
	" closed_at, version, updated_at",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
	.returns = RETURNS(MOVED_COLUMNS),
};

static CallerQuery update_many = {
	.sql = UPDATE_DEALS "ANY ($1)",
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, INT8OID, TEXTOID},
};

/* Runs the UPDATE that moves one deal or many. */
static void
update_in_context(CallerQuery *query, Datum which, int64 stage_id, const char *lost_reason,
				  WriteContext *context)
{
	Datum		arguments[3] = {which, Int64GetDatum(stage_id), (Datum) 0};

	if (lost_reason != NULL)
		arguments[2] = CStringGetTextDatum(lost_reason);
	caller_query_in_context(query, arguments, lost_reason != NULL ? NULL : "  n", context);
}

/* ----------
 * Other fields of the deal, which the same UPDATE writes
 * ----------
 */

/* Returns whether users write the column: it is there, and no rule and no expression fills it. */
static bool
is_writable(const char *name)
{
	static const char *const derived[] = {
		"id", "organization", "pipeline_id", "stage_id", "status", "probability_overridden", "version",
		"last_open_stage_id", "stage_entered_at", "created_at", "updated_at"
	};
	Oid			deal = installed_table("deal");
	AttrNumber	number = get_attnum(deal, name);

	for (size_t i = 0; i < lengthof(derived); i++)
		if (strcmp(name, derived[i]) == 0)
			return false;
	return number > 0 && get_attgenerated(deal, number) == '\0';
}

/* Refuses fields that cannot be written. */
static void
check_field(const char *name)
{
	const char *key = custom_field_key(name);

	if (key != NULL ? key[0] == '\0' : !is_writable(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("move_deal cannot write the field \"%s\"", name),
				 errdetail("A field is a column of deal that the rules do not fill, or custom_fields.KEY.")));
}

/* Refuses custom fields that are no object: the single ones could not be put into them. */
static void
check_custom_fields(const Jsonb *fields)
{
	JsonbValue *all = getKeyJsonValueFromContainer((JsonbContainer *) &fields->root, "custom_fields",
												   strlen("custom_fields"), NULL);

	if (all != NULL && all->type != jbvNull &&
		!(all->type == jbvBinary && JsonContainerIsObject(all->val.binary.data)))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("custom fields are an object"),
				 errhint("Such as {\"region\": \"north\"}."),
				 err_deal(DEAL_CUSTOM_FIELDS, "deal_custom_fields")));
}

/* Returns the columns of deal that the fields give, for SQL: "amount", "custom_fields".  A reason is an argument. */
static char *
columns_of_fields(Jsonb *fields, const char *prefix)
{
	StringInfoData columns;
	JsonbIterator *iterator = JsonbIteratorInit(&fields->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	initStringInfo(&columns);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		check_field(name);
		if (custom_field_key(name) == NULL && strcmp(name, "custom_fields") != 0 && strcmp(name, "lost_reason") != 0)
			appendStringInfo(&columns, ", %s%s", prefix, quote_identifier(name));
	}
	return columns.data;
}

/* The custom fields: those that are given one by one are put into the others; a null takes one out. */
#define EACH_CUSTOM_FIELD(condition) \
	" FROM pg_catalog.jsonb_each($4) AS k (key, value)" \
	" WHERE pg_catalog.starts_with(k.key, '" CUSTOM_FIELDS_PREFIX "')" \
	" AND k.value OPERATOR(pg_catalog." condition ") 'null'"
#define KEY_OF_CUSTOM_FIELD \
	"pg_catalog.substr(k.key, pg_catalog.length('" CUSTOM_FIELDS_PREFIX "') OPERATOR(pg_catalog.+) 1)"
#define CUSTOM_FIELDS_WITH_FIELDS \
	"coalesce(f.custom_fields, d.custom_fields)" \
	" OPERATOR(pg_catalog.-) ARRAY(SELECT " KEY_OF_CUSTOM_FIELD EACH_CUSTOM_FIELD("=") ")" \
	" OPERATOR(pg_catalog.||) coalesce((SELECT pg_catalog.jsonb_object_agg(" KEY_OF_CUSTOM_FIELD ", k.value)" \
	EACH_CUSTOM_FIELD("<>") "), '{}')"

typedef struct FieldsUpdate
{
	char	   *sql;
	Datum		arguments[4];	/* deal, stage, lost reason, fields */
	const char *nulls;
} FieldsUpdate;

/* Runs the UPDATE of a FieldsUpdate: the work of write_context_run().  Its text depends on the fields. */
static void
run_fields_update(void *arg)
{
	FieldsUpdate *update = arg;
	Oid			types[4] = {INT8OID, INT8OID, TEXTOID, JSONBOID};
	int			result;

	check_installation();
	result = SPI_execute_with_args(update->sql, 4, types, update->arguments, update->nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not move the deal: %s", SPI_result_code_string(result));
	if (SPI_tuptable != NULL)
		check_columns("the UPDATE of move_deal()", update_one.returns, SPI_tuptable->tupdesc);
}

/* Runs the UPDATE that moves a deal and writes other fields of it. */
static void
update_with_fields(Datum deal, int64 stage_id, const char *lost_reason, Jsonb *fields, WriteContext *context)
{
	FieldsUpdate update = {
		.arguments = {deal, Int64GetDatum(stage_id), (Datum) 0, JsonbPGetDatum(fields)},
		.nulls = lost_reason != NULL ? NULL : "  n ",
	};

	if (lost_reason != NULL)
		update.arguments[2] = CStringGetTextDatum(lost_reason);
	update.sql = psprintf(
		"UPDATE crm_deals.deal AS d SET stage_id = $2, (lost_reason, custom_fields%s) ="
		" (SELECT coalesce($3, f.lost_reason), " CUSTOM_FIELDS_WITH_FIELDS "%s"
		" FROM pg_catalog.jsonb_populate_record(d.*, $4) AS f)"
		" WHERE d.id OPERATOR(pg_catalog.=) $1"
		" RETURNING d.id, d.pipeline_id, d.stage_id, d.status::pg_catalog.text, d.probability, d.closed_at, d.version,"
		" d.updated_at", columns_of_fields(fields, ""), columns_of_fields(fields, "f."));
	write_context_run(context, run_fields_update, &update);
}

/* Returns the argument fields, or NULL if it gives none. */
static Jsonb *
fields_argument(FunctionCallInfo fcinfo)
{
	Jsonb	   *fields = PG_ARGISNULL(7) ? NULL : PG_GETARG_JSONB_P(7);

	if (fields == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(fields))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fields must be an object"),
				 errhint("Such as {\"amount\": 100, \"custom_fields.region\": \"north\"}.")));
	(void) columns_of_fields(fields, "");
	check_custom_fields(fields);
	return JB_ROOT_COUNT(fields) > 0 ? fields : NULL;
}

/* Returns the note for the log, with the reason of an override. */
static const char *
note_of_event(const char *note, const char *override)
{
	if (note != NULL && override != NULL)
		return psprintf("%s (override: %s)", note, override);
	return note != NULL ? note : override != NULL ? psprintf("override: %s", override) : NULL;
}

/* ----------
 * move_deal
 * ----------
 */

static CallerQuery insert_note = {
	.sql = "INSERT INTO crm_deals.activity (kind, subject, body, occurred_at, actor, deal_id)"
	" VALUES ('note', $1, $2, $3, $4, $5)",
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT8OID},
};

/* Returns the subject of the note. Not every server encoding has an arrow. */
static char *
moved_subject(const char *from, const char *to)
{
	return psprintf("Deal moved: %s %s %s", from,
					GetDatabaseEncoding() == PG_UTF8 ? "\xe2\x86\x92" : "->", to);
}

/* moved_subject(from, to) */
Datum
crm_deals_moved_subject(PG_FUNCTION_ARGS)
{
	char	   *from = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *to = text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_TEXT_P(cstring_to_text(moved_subject(from, to)));
}

/* Records the move as a note activity of the deal. */
static void
record_note(const LockedDeal *deal, const char *subject, const char *body,
			TimestampTz moment, const char *actor)
{
	Datum		arguments[5];

	arguments[0] = CStringGetTextDatum(subject);
	arguments[1] = CStringGetTextDatum(body);
	arguments[2] = TimestampTzGetDatum(moment);
	arguments[3] = CStringGetTextDatum(actor);
	arguments[4] = Int64GetDatum(deal->id);
	caller_query(&insert_note, arguments, NULL);
}

/* Refuses the move if the deal has another version than the caller expects. */
static void
check_expected_version(FunctionCallInfo fcinfo, const LockedDeal *deal)
{
	if (PG_ARGISNULL(5) || PG_GETARG_INT32(5) == deal->version)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_STALE_VERSION),
			 errmsg("deal %lld was changed since it was read", (long long) deal->id),
			 errdetail("Its current version is %d, %d was expected.", deal->version, PG_GETARG_INT32(5)),
			 errhint("Read the deal again and repeat the move."),
			 err_deal(DEAL_VERSION, "deal_version")));
}

/* Returns whether the move changes anything. */
static bool
is_change(const LockedDeal *deal, const Stage *to, const char *lost_reason)
{
	if (deal->stage_id != to->id)
		return true;
	return lost_reason != NULL && (deal->lost_reason == NULL || strcmp(deal->lost_reason, lost_reason) != 0);
}

static CallerQuery read_one = {
	.sql = "SELECT d.id, d.pipeline_id, d.stage_id, d.status::pg_catalog.text, d.probability, d.closed_at,"
	" d.version, d.updated_at FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(MOVED_COLUMNS),
};

/* Returns the row of move_deal(), made of the row that read_one or update_one returned. */
static HeapTupleHeader
moved_deal(FunctionCallInfo fcinfo, const WriteContext *context)
{
	TupleDesc	desc;
	Datum		values[10];
	bool		isnull[10] = {0};

	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("the move was suppressed"),
				 errdetail("A trigger or a rule on crm_deals.deal let no row be updated.")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	values[0] = result_column(1, &isnull[0]);
	values[1] = result_column(2, &isnull[1]);
	values[2] = result_column(3, &isnull[2]);
	for (int i = 4; i < 8; i++)
		values[i] = result_column(i, &isnull[i]);
	values[8] = Int64GetDatum(context->last_event_id);
	isnull[8] = context->last_event_id == 0;
	values[9] = Int64GetDatum(context->batch_id);
	isnull[9] = context->last_event_id == 0;
	values[3] = CStringGetTextDatum(known_stage(result_int64(3))->key);
	desc = BlessTupleDesc(desc);
	return SPI_returntuple(heap_form_tuple(desc, values, isnull), desc);
}

/* Moves the deal, records the note and returns the row of move_deal(). */
static HeapTupleHeader
move_locked_deal(FunctionCallInfo fcinfo, const LockedDeal *deal, const Stage *to)
{
	const char *note = text_argument(fcinfo, 2);
	const char *lost_reason = text_argument(fcinfo, 4);
	const char *from = known_stage(deal->stage_id)->name;
	WriteContext context = {.actor = text_argument(fcinfo, 3)};
	Datum		id = Int64GetDatum(deal->id);
	Jsonb	   *fields = fields_argument(fcinfo);
	HeapTupleHeader result;

	if (fields == NULL && !is_change(deal, to, lost_reason))
	{
		caller_query(&read_one, &id, NULL);
		return moved_deal(fcinfo, &context);
	}
	set_override(&context, text_argument(fcinfo, 6));
	context.note = note_of_event(note, context.override_reason);
	if (fields == NULL)
		update_in_context(&update_one, id, to->id, lost_reason, &context);
	else
		update_with_fields(id, to->id, lost_reason, fields, &context);
	refresh_pipelines();
	result = moved_deal(fcinfo, &context);
	if (deal->stage_id != to->id)
		record_note(deal, moved_subject(from, to->name),
					note != NULL ? note : psprintf("Deal stage changed from %s to %s", from, to->name),
					DatumGetTimestampTz(needed_value("deal", 0, 8)),
					context.actor != NULL ? context.actor : current_actor());
	return result;
}

/* Checks the arguments and locks the deal. */
static LockedDeal
begin_move(FunctionCallInfo fcinfo)
{
	LockedDeal	deal;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("move_deal needs a deal and a stage")));
	SPI_connect();
	enter_as_writer();
	refresh_pipelines();
	deal = lock_deal_or_alias(PG_GETARG_INT64(0));
	check_expected_version(fcinfo, &deal);
	return deal;
}

/* move_deal(deal, to_stage text, note, actor, lost_reason, expected_version, override, fields) */
Datum
crm_deals_move_deal_and_write(PG_FUNCTION_ARGS)
{
	LockedDeal	deal = begin_move(fcinfo);
	HeapTupleHeader result;

	result = move_locked_deal(fcinfo, &deal, stage_by_text(pipeline_of(&deal), text_argument(fcinfo, 1)));
	SPI_finish();
	PG_RETURN_HEAPTUPLEHEADER(result);
}

/* move_deal(deal, to_stage_id bigint, …): the rest is the same */
Datum
crm_deals_move_deal_to_id_and_write(PG_FUNCTION_ARGS)
{
	LockedDeal	deal = begin_move(fcinfo);
	HeapTupleHeader result;

	result = move_locked_deal(fcinfo, &deal, known_stage(PG_GETARG_INT64(1)));
	SPI_finish();
	PG_RETURN_HEAPTUPLEHEADER(result);
}

/* move(deal_ids, to_stage_id, note, actor, lost_reason, override, callers_path): returns the batch in the log */
Datum
crm_deals_move_under_path(PG_FUNCTION_ARGS)
{
	WriteContext context = {.actor = text_argument(fcinfo, 3)};
	int			level;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(6))
		PG_RETURN_NULL();
	set_override(&context, text_argument(fcinfo, 5));
	context.note = note_of_event(text_argument(fcinfo, 2), context.override_reason);
	SPI_connect();
	level = search_path_set(text_argument(fcinfo, 6));
	update_in_context(&update_many, PG_GETARG_DATUM(0), PG_GETARG_INT64(1),
					  text_argument(fcinfo, 4), &context);
	search_path_restore(level);
	SPI_finish();
	if (context.batch_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(context.batch_id);
}
