/*
 * config_triggers.c
 *		The triggers of stage, pipeline and exchange_rate, and of custom fields.
 *
 * Names, labels and descriptions change while deals are written. A change of
 * what the rules read waits for the writers.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/currency.h"
#include "base/deal_row.h"
#include "base/owner_query.h"
#include "base/settings.h"
#include "base/spi_result.h"
#include "base/texts.h"
#include "base/transition.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "config/stage_lock.h"
#include "duplicates/duplicate_rule.h"
#include "rules/custom_fields.h"
#include "triggers/relatives.h"

static const char *const stage_table[] = {"stage", NULL};
static const char *const pipeline_table[] = {"pipeline", NULL};
static const char *const exchange_rate_table[] = {"exchange_rate", NULL};
static const char *const lost_reason_table[] = {"lost_reason", NULL};
static const char *const edited_tables[] = {"stage", "pipeline", "lost_reason", NULL};
static const char *const locked_tables[] = {"stage", "stage_transition", NULL};

PG_FUNCTION_INFO_V1(crm_deals_edit_begin);
PG_FUNCTION_INFO_V1(crm_deals_lock_before_change);
PG_FUNCTION_INFO_V1(crm_deals_stage_rules);
PG_FUNCTION_INFO_V1(crm_deals_pipeline_rules);
PG_FUNCTION_INFO_V1(crm_deals_clear_other_default);
PG_FUNCTION_INFO_V1(crm_deals_currency_rules);
PG_FUNCTION_INFO_V1(crm_deals_custom_field_rules);
PG_FUNCTION_INFO_V1(crm_deals_rederive_deals);
PG_FUNCTION_INFO_V1(crm_deals_stages_given_up);
PG_FUNCTION_INFO_V1(crm_deals_rename_lost_reasons);
PG_FUNCTION_INFO_V1(crm_deals_keep_stage_name);

/* ----------
 * The row of a trigger, column by column
 * ----------
 */

typedef struct RowChange
{
	Relation	relation;
	HeapTuple	old;			/* or NULL for an insert */
	HeapTuple	new;
} RowChange;

/* Returns the old and the new row of the trigger. */
static RowChange
row_change(const TriggerData *data)
{
	RowChange change = {.relation = data->tg_relation};

	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		change.old = data->tg_trigtuple;
		change.new = data->tg_newtuple;
	}
	else
		change.new = data->tg_trigtuple;
	return change;
}

/* Returns the number of a column. */
static AttrNumber
column_number(const RowChange *change, const char *column)
{
	return installed_column(change->relation, column);
}

/* Returns the value of a column in one of the rows. */
static Datum
value_in(const RowChange *change, HeapTuple tuple, const char *column, bool *isnull)
{
	return heap_getattr(tuple, column_number(change, column), RelationGetDescr(change->relation), isnull);
}

/* Returns the value of a column that is never NULL in a stored row. */
static Datum
filled_value_in(const RowChange *change, HeapTuple tuple, const char *column)
{
	bool		isnull;
	Datum		value = value_in(change, tuple, column, &isnull);

	if (isnull)
		raise_null_column(RelationGetRelationName(change->relation), RelationGetDescr(change->relation),
						  column_number(change, column));
	return value;
}

/* Returns whether the write changes the column; an insert changes all. */
static bool
changes_column(const RowChange *change, const char *column)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(change->relation),
										  column_number(change, column) - 1);
	bool		old_null;
	bool		new_null;
	Datum		old;
	Datum		new;

	if (change->old == NULL)
		return true;
	old = value_in(change, change->old, column, &old_null);
	new = value_in(change, change->new, column, &new_null);
	if (old_null || new_null)
		return old_null != new_null;
	return !datum_image_eq(old, new, att->attbyval, att->attlen);
}

/* Returns whether the write changes any of the columns. */
static bool
changes_any_of(const RowChange *change, const char *const *columns, int n)
{
	for (int i = 0; i < n; i++)
		if (changes_column(change, columns[i]))
			return true;
	return false;
}

/* Refuses to change a column, and says why. */
static void
refuse_change(const RowChange *change, const char *column, const char *why)
{
	const char *table = RelationGetRelationName(change->relation);

	if (change->old != NULL && changes_column(change, column))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s of a %s cannot change", column, table),
				 errdetail("%s", why),
				 err_column_constraint(change->relation, column_number(change, column),
									   psprintf("%s_immutable", table))));
}

/* Refuses a value that is no code of ISO 4217. */
static void
check_currency_column(const RowChange *change, const char *column)
{
	const char *table = RelationGetRelationName(change->relation);
	bool		isnull;
	Datum		value = value_in(change, change->new, column, &isnull);

	if (!isnull && !is_currency_code(TextDatumGetCString(value)))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("\"%s\" is not a currency code", TextDatumGetCString(value)),
				 errdetail("Currencies are ISO 4217 codes, three capital letters."),
				 err_column_constraint(change->relation, column_number(change, column),
									   psprintf("%s_%s", table, column))));
}

/* Refuses a name of which nothing is seen. */
static void
check_name(const RowChange *change)
{
	const char *table = RelationGetRelationName(change->relation);
	bool		isnull;
	Datum		value = value_in(change, change->new, "name", &isnull);
	text	   *name;

	if (isnull || !changes_column(change, "name"))
		return;
	name = DatumGetTextPP(value);
	if (is_blank(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the name of a %s must not be blank", table),
				 errdetail("It has no character that can be seen."),
				 err_column_constraint(change->relation, column_number(change, "name"), psprintf("%s_name", table))));
}

/* ----------
 * stage
 *
 * The rules of stage and pipeline fire before each row, to take the lock in
 * time, and again after it, for what a user's own trigger changed in between.
 * ----------
 */

/* BEFORE … FOR EACH STATEMENT: a row trigger would come too late */
Datum
crm_deals_lock_before_change(PG_FUNCTION_ARGS)
{
	(void) trigger_data(fcinfo, BEFORE_STATEMENT, locked_tables);
	lock_out_writers();
	return PointerGetDatum(NULL);
}

/* BEFORE … FOR EACH STATEMENT of stage, pipeline and lost_reason */
Datum
crm_deals_edit_begin(PG_FUNCTION_ARGS)
{
	(void) trigger_data(fcinfo, BEFORE_STATEMENT, edited_tables);
	enter_as_editor();
	return PointerGetDatum(NULL);
}

/* Refuses a name that is neither a column of deal nor custom_fields.KEY. */
static void
check_required_field(const RowChange *change, const char *field)
{
	const char *key = custom_field_key(field);

	if (key != NULL ? key[0] != '\0' : get_attnum(installed_table("deal"), field) > 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a stage cannot require the field \"%s\"", field),
			 errdetail("A required field is a column of deal, or custom_fields.KEY."),
			 errtablecol(change->relation, column_number(change, "required_fields"))));
}

/* Checks the fields that a stage requires, if the write changes them. */
static void
check_required_fields(const RowChange *change)
{
	bool		isnull;
	Datum		value = value_in(change, change->new, "required_fields", &isnull);
	ListCell   *cell;

	if (isnull || !changes_column(change, "required_fields"))
		return;
	if (array_contains_nulls(DatumGetArrayTypeP(value)))
		check_required_field(change, "");
	foreach(cell, text_array_elements(value))
		check_required_field(change, lfirst(cell));
}

/* Refuses a status that somebody added to the enum: the rules do not know what it means. */
static void
check_status(const RowChange *change)
{
	bool		isnull;
	Datum		value = value_in(change, change->new, "status", &isnull);
	const char *name;

	if (isnull || !changes_column(change, "status"))
		return;
	name = DatumGetCString(DirectFunctionCall1(enum_out, value));
	for (int status = 0; status < N_STATUSES; status++)
		if (strcmp(name, deal_status_name(status)) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("a stage cannot have status \"%s\"", name),
			 errdetail("The statuses are open, won, lost and abandoned."),
			 err_column_constraint(change->relation, column_number(change, "status"), "stage_status")));
}

/* Returns the probability that a stage of this status has, -1 if any will do. */
static int
fixed_probability(const RowChange *change)
{
	bool		isnull;
	Datum		value = value_in(change, change->new, "status", &isnull);
	const char *status = isnull ? "open" : DatumGetCString(DirectFunctionCall1(enum_out, value));

	if (strcmp(status, deal_status_name(STATUS_OPEN)) == 0)
		return -1;
	return strcmp(status, deal_status_name(STATUS_WON)) == 0 ? 100 : 0;
}

/* Gives a stage that becomes a closed one its probability.  One that the write itself gives is left to the CHECK. */
static HeapTuple
set_probability(const RowChange *change)
{
	int			probability = fixed_probability(change);
	int			column = column_number(change, "probability");
	bool		set_null = false;
	Datum		value;

	if (change->old == NULL || probability < 0 || !changes_column(change, "status") ||
		changes_column(change, "probability"))
		return change->new;
	value = NumericGetDatum(int64_to_numeric(probability));
	return heap_modify_tuple_by_cols(change->new, RelationGetDescr(change->relation), 1, &column, &value, &set_null);
}

/* BEFORE and AFTER INSERT OR UPDATE of stage ... FOR EACH ROW */
Datum
crm_deals_stage_rules(PG_FUNCTION_ARGS)
{
	static const char *const seen_by_writers[] = {
		"status", "position", "probability", "required_fields", "archived_at"
	};
	TriggerData *data = trigger_data(fcinfo, ANY_ROW, stage_table);
	RowChange	change = row_change(data);

	refuse_parent(change.relation);
	check_name(&change);
	check_required_fields(&change);
	check_status(&change);
	if (change.old != NULL)
	{
		refuse_change(&change, "id", "Deals and the log hang on it.");
		refuse_change(&change, "pipeline_id", "Its deals would change pipeline with it.");
		if (changes_any_of(&change, seen_by_writers, lengthof(seen_by_writers)))
			lock_out_writers();
	}
	return PointerGetDatum(TRIGGER_FIRED_BEFORE(data->tg_event) ? set_probability(&change) : change.new);
}

/* ----------
 * pipeline, exchange_rate
 * ----------
 */

/* Stamps the moment from which a pipeline requires a reason. */
static HeapTuple
stamp_reason_required(const RowChange *change)
{
	bool		isnull;
	bool		required = DatumGetBool(value_in(change, change->new, "lost_reason_required", &isnull));
	int			column = column_number(change, "lost_reason_required_since");
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());
	bool		set_null = false;

	if (isnull || !required || !changes_column(change, "lost_reason_required"))
		return change->new;
	return heap_modify_tuple_by_cols(change->new, RelationGetDescr(change->relation),
									 1, &column, &now, &set_null);
}

/* BEFORE and AFTER INSERT OR UPDATE of pipeline ... FOR EACH ROW */
Datum
crm_deals_pipeline_rules(PG_FUNCTION_ARGS)
{
	static const char *const seen_by_writers[] = {
		"is_active", "forbid_skipping", "forbid_backward", "forbid_unlisted", "lost_reason_required"
	};
	TriggerData *data = trigger_data(fcinfo, ANY_ROW, pipeline_table);
	RowChange change = row_change(data);

	refuse_parent(change.relation);
	check_name(&change);
	check_currency_column(&change, "currency");
	if (change.old != NULL)
	{
		refuse_change(&change, "id", "Stages and deals hang on it.");
		refuse_change(&change, "organization", "Its deals would change organization with it.");
		if (changes_any_of(&change, seen_by_writers, lengthof(seen_by_writers)))
			lock_out_writers();
	}
	return PointerGetDatum(TRIGGER_FIRED_BEFORE(data->tg_event) ? stamp_reason_required(&change) : change.new);
}

static CallerQuery conflicting_query = {
	.sql = "SELECT FROM crm_deals.pipeline AS p WHERE p.id OPERATOR(pg_catalog.=) $1"
	" OR (p.name OPERATOR(pg_catalog.=) $3 AND " SAME_ORGANIZATION("p.organization", "$2") ")",
	.nargs = 3,
	.argtypes = {INT8OID, TEXTOID, TEXTOID},
};

static CallerQuery clear_query = {
	.sql = "UPDATE crm_deals.pipeline AS p SET is_default = false WHERE p.is_default"
	" AND p.id OPERATOR(pg_catalog.<>) $1 AND " SAME_ORGANIZATION("p.organization", "$2"),
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

/*
 * Returns whether another pipeline stops being the default. Not if the row
 * was the default before, nor if it will conflict: INSERT ... ON CONFLICT DO
 * NOTHING must not change the other default.
 */
static bool
replaces_default(const RowChange *change, Datum *values, const char *nulls)
{
	bool		isnull;

	if (change->old != NULL)
		return !DatumGetBool(value_in(change, change->old, "is_default", &isnull)) || isnull;
	caller_query(&conflicting_query, values, nulls);
	return SPI_processed == 0;
}

/* When a pipeline becomes the default, the former default of its organization stops being it. */
Datum
crm_deals_clear_other_default(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, BEFORE_ROW, pipeline_table);
	RowChange	change = row_change(data);
	Datum		values[3];
	char		nulls[4] = "   ";
	static const char *const columns[] = {"id", "organization", "name"};

	for (int i = 0; i < 3; i++)
	{
		bool		isnull;

		values[i] = value_in(&change, change.new, columns[i], &isnull);
		if (isnull)
			nulls[i] = 'n';
	}
	SPI_connect();
	if (replaces_default(&change, values, nulls))
		caller_query(&clear_query, values, nulls);
	SPI_finish();
	return PointerGetDatum(change.new);
}

/* AFTER INSERT OR UPDATE of exchange_rate ... FOR EACH ROW */
Datum
crm_deals_currency_rules(PG_FUNCTION_ARGS)
{
	RowChange change = row_change(trigger_data(fcinfo, AFTER_ROW, exchange_rate_table));

	check_currency_column(&change, "currency");
	check_currency_column(&change, "base");
	return PointerGetDatum(change.new);
}

/* ----------
 * lead, account, contact: custom fields.  Those of deals are judged in gates.c.  lead: its deal.
 * ----------
 */

/*
 * Refuses a lead of a deal that row security hides from the writer, with the
 * error that a deal has which does not exist: the foreign key finds both.
 */
static void
refuse_hidden_deal(const RowChange *change)
{
	bool		isnull;
	bool		old_null = true;
	Datum		old = change->old != NULL ? value_in(change, change->old, "deal_id", &old_null) : (Datum) 0;
	Datum		deal = value_in(change, change->new, "deal_id", &isnull);
	bool		sees;

	if (isnull || !deals_are_hidden() || (!old_null && DatumGetInt64(old) == DatumGetInt64(deal)))
		return;
	SPI_connect();
	sees = caller_sees_deal(DatumGetInt64(deal));
	SPI_finish();
	if (!sees)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("insert or update on table \"lead\" violates foreign key constraint \"lead_deal_id_fkey\""),
				 check_enable_rls(RelationGetRelid(change->relation), InvalidOid, true) == RLS_ENABLED ?
				 errdetail("Key is not present in table \"deal\".") :
				 errdetail("Key (deal_id)=(%lld) is not present in table \"deal\".",
						   (long long) DatumGetInt64(deal)),
				 errtableconstraint(change->relation, "lead_deal_id_fkey")));
}

/* AFTER INSERT OR UPDATE of lead, account and contact … FOR EACH ROW */
Datum
crm_deals_custom_field_rules(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"lead", "account", "contact", NULL};
	RowChange	change = row_change(trigger_data(fcinfo, AFTER_ROW, tables));
	const char *entity = RelationGetRelationName(change.relation);
	bool		isnull;
	Datum		fields = value_in(&change, change.new, "custom_fields", &isnull);
	Datum		organization;
	Datum		old = (Datum) 0;
	bool		old_null = true;
	bool		organization_null;
	char	   *wrong;

	if (strcmp(entity, "lead") == 0)
		refuse_hidden_deal(&change);
	if (in_maintenance() || isnull)
		return PointerGetDatum(change.new);
	refresh_pipelines();
	organization = value_in(&change, change.new, "organization", &organization_null);
	if (change.old != NULL)
		old = value_in(&change, change.old, "custom_fields", &old_null);

	wrong = wrong_custom_fields(custom_fields_of(entity, organization_null ? NULL : TextDatumGetCString(organization)),
								old_null ? NULL : DatumGetJsonbP(old), DatumGetJsonbP(fields));
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("custom fields of the %s are not as defined", entity),
				 errdetail("%s", wrong),
				 err_column_constraint(change.relation, column_number(&change, "custom_fields"),
									   psprintf("%s_custom_fields", entity))));
	return PointerGetDatum(change.new);
}

/* ----------
 * Deals follow their stage
 * ----------
 */

/* Is true of a deal d that differs from what its stage s gives it */
#define DIFFERS_FROM_STAGE \
	"(d.status OPERATOR(pg_catalog.<>) s.status" \
	" OR NOT d.probability_overridden AND d.probability OPERATOR(pg_catalog.<>) s.probability)"

static OwnerQuery rederive_query = {
	.sql = "UPDATE crm_deals.deal AS d"
	" SET status = s.status,"
	" probability = CASE WHEN d.probability_overridden THEN d.probability ELSE s.probability END,"
	" lost_reason = CASE WHEN s.status::pg_catalog.text OPERATOR(pg_catalog.=) 'lost'"
	" AND d.lost_reason IS NULL THEN $2 ELSE d.lost_reason END "
	"FROM crm_deals.stage AS s WHERE s.id OPERATOR(pg_catalog.=) d.stage_id"
	" AND d.stage_id OPERATOR(pg_catalog.=) ANY ($1)"
	" AND " DIFFERS_FROM_STAGE,
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, TEXTOID},
};

static OwnerQuery reasonless_query = {
	.sql = "SELECT pg_catalog.count(*) "
	"FROM crm_deals.deal AS d"
	" JOIN crm_deals.stage AS s ON s.id OPERATOR(pg_catalog.=) d.stage_id"
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) s.pipeline_id "
	"WHERE d.stage_id OPERATOR(pg_catalog.=) ANY ($1)"
	" AND d.status OPERATOR(pg_catalog.<>) s.status"
	" AND s.status::pg_catalog.text OPERATOR(pg_catalog.=) 'lost' AND p.lost_reason_required",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(INT8OID),
};

static OwnerQuery differing_query = {
	.sql = "SELECT pg_catalog.count(*) "
	"FROM crm_deals.deal AS d JOIN crm_deals.stage AS s ON s.id OPERATOR(pg_catalog.=) d.stage_id "
	"WHERE d.stage_id OPERATOR(pg_catalog.=) ANY ($1)"
	" AND " DIFFERS_FROM_STAGE,
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(INT8OID),
};

/* Returns the count that the query gives for these stages. */
static int64
count_deals(OwnerQuery *query, Datum stages)
{
	owner_query_read_latest(query, &stages, NULL);
	return result_int64(1);
}

/* Raises an error if a user's trigger kept deals from following. */
static void
refuse_deals_left_behind(Datum stages)
{
	int64		count;

	CommandCounterIncrement();
	count = count_deals(&differing_query, stages);
	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("deals did not follow their stage"),
				 errdetail("A trigger on crm_deals.deal held back %lld deals.", (long long) count),
				 err_deal(DEAL_STATUS, "deal_status_matches_stage")));
}

/* Refuses to make deals lost if they have no reason and there is no default one. */
static void
refuse_without_default_reason(Datum stages)
{
	int64		count;

	if (setting_or_null(setting_default_lost_reason) != NULL)
		return;
	count = count_deals(&reasonless_query, stages);
	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("lost deals need a reason"),
				 errdetail("The change would lose %lld deals, and crm_deals.default_lost_reason is not set.",
						   (long long) count),
				 errhint("Set crm_deals.default_lost_reason to the reason that these deals get."),
				 err_deal(DEAL_LOST_REASON, "deal_lost_reason")));
}

/* Returns whether the write changes what the stage's deals derive from it. */
static bool
stage_binds_deals(const RowChange *change)
{
	return changes_column(change, "status") || changes_column(change, "probability");
}

/* Returns the ids of the stages whose status or probability changed, and their number in n. */
static Datum
changed_stages(const TriggerData *data, int *n)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	TransitionReader olds = transition_open(data->tg_oldtable, desc);
	TransitionReader news = transition_open(data->tg_newtable, desc);
	ArrayType  *ids = int8_array_create(Max(tuplestore_tuple_count(data->tg_newtable), 1));

	*n = 0;
	while (transition_next(&olds) && transition_next(&news))
	{
		RowChange change = {.relation = data->tg_relation};

		change.old = ExecFetchSlotHeapTuple(olds.slot, true, NULL);
		change.new = ExecFetchSlotHeapTuple(news.slot, true, NULL);
		if (stage_binds_deals(&change))
			int8_array_elements(ids)[(*n)++] = DatumGetInt64(filled_value_in(&change, change.new, "id"));
	}
	transition_close(&olds);
	transition_close(&news);
	int8_array_cut(ids, *n);
	return PointerGetDatum(ids);
}

/* Gives the deals of stages $1 what their stage says; lost ones without a reason get $2, which may be NULL. */
static void
rederive(void *arg)
{
	Datum	   *arguments = arg;

	(void) owner_query_run_latest(&rederive_query, arguments, DatumGetPointer(arguments[1]) != NULL ? NULL : " n");
}

/* AFTER UPDATE OF stage: writers are locked out, the stages are in place. */
Datum
crm_deals_rederive_deals(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, AFTER_STATEMENT, stage_table);
	WriteContext context = {.actor = current_actor(), .in_owners_name = true};
	const char *reason = setting_or_null(setting_default_lost_reason);
	Datum		arguments[2] = {0};
	int			n;

	if (data->tg_oldtable == NULL || data->tg_newtable == NULL)
		return PointerGetDatum(NULL);
	arguments[0] = changed_stages(data, &n);
	if (n == 0)
		return PointerGetDatum(NULL);
	if (reason != NULL)
		arguments[1] = CStringGetTextDatum(reason);

	/* The queries must see the stages as they are now. */
	CommandCounterIncrement();
	SPI_connect();
	refuse_without_default_reason(arguments[0]);
	write_context_run(&context, rederive, arguments);
	refuse_deals_left_behind(arguments[0]);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/* ----------
 * Stages that are archived or deleted
 * ----------
 */

static OwnerQuery holding_query = {
	.sql = "SELECT s.name::pg_catalog.text FROM crm_deals.stage AS s WHERE s.id OPERATOR(pg_catalog.=) ANY ($1)"
	" AND EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.stage_id OPERATOR(pg_catalog.=) s.id)"
	" ORDER BY s.pipeline_id, s.position LIMIT 1",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(TEXTOID),
};

/* A pipeline of which no stage is left is being deleted. */
static OwnerQuery bereft_query = {
	.sql = "SELECT p.name::pg_catalog.text, g.status "
	"FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS g (pipeline_id, status)"
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) g.pipeline_id "
	"WHERE (g.status OPERATOR(pg_catalog.=) 'open' OR g.status OPERATOR(pg_catalog.=) 'won')"
	" AND EXISTS (SELECT FROM crm_deals.stage AS s WHERE s.pipeline_id OPERATOR(pg_catalog.=) p.id)"
	" AND NOT EXISTS (SELECT FROM crm_deals.stage AS s WHERE s.pipeline_id OPERATOR(pg_catalog.=) p.id"
	"                 AND s.status::pg_catalog.text OPERATOR(pg_catalog.=) g.status AND s.archived_at IS NULL) "
	"LIMIT 1",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID},
	.returns = RETURNS(TEXTOID, TEXTOID),
};

typedef struct GivenUp
{
	int			n;
	ArrayType  *stages;			/* their ids, and, parallel to them, the pipelines that they were in … */
	ArrayType  *pipelines;
	List	   *statuses;		/* … and what they were, as char * */
} GivenUp;

/* Returns the stages that the statement archives or deletes; archived ones were given up before. */
static GivenUp
stages_given_up(const TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	TransitionReader olds = transition_open(data->tg_oldtable, desc);
	TransitionReader news = transition_open(data->tg_newtable, desc);
	int64		rows = tuplestore_tuple_count(data->tg_oldtable);
	GivenUp		result = {0, int8_array_create(Max(rows, 1)), int8_array_create(Max(rows, 1)), NIL};
	RowChange	change = {.relation = data->tg_relation};

	while (transition_next(&olds) && (news.store == NULL || transition_next(&news)))
	{
		bool		was_in_use;
		bool		is_in_use = false;

		change.old = ExecFetchSlotHeapTuple(olds.slot, true, NULL);
		(void) value_in(&change, change.old, "archived_at", &was_in_use);
		if (news.store != NULL)
			(void) value_in(&change, ExecFetchSlotHeapTuple(news.slot, true, NULL), "archived_at", &is_in_use);
		if (!was_in_use || is_in_use)
			continue;
		int8_array_elements(result.stages)[result.n] = DatumGetInt64(filled_value_in(&change, change.old, "id"));
		int8_array_elements(result.pipelines)[result.n++] =
			DatumGetInt64(filled_value_in(&change, change.old, "pipeline_id"));
		result.statuses = lappend(result.statuses, DatumGetCString(
			DirectFunctionCall1(enum_out, filled_value_in(&change, change.old, "status"))));
	}
	transition_close(&olds);
	transition_close(&news);
	int8_array_cut(result.stages, result.n);
	int8_array_cut(result.pipelines, result.n);
	return result;
}

/* Refuses to hide deals: a stage that holds any is not archived.  A DELETE of it is refused by the foreign key. */
static void
refuse_holding_deals(const GivenUp *given_up)
{
	Datum		argument = PointerGetDatum(given_up->stages);

	owner_query_read_latest(&holding_query, &argument, NULL);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("stage \"%s\" holds deals", needed_text("stage", 0, 1)),
				 errdetail("An archived stage takes no deals."),
				 errhint("Say where they go: crm_deals.remove_stage(stage, move_deals_to)."),
				 err_deal(DEAL_STAGE_ID, "deal_stage_fkey")));
}

/* Refuses to take the last open or the last won stage from a pipeline. */
static void
refuse_last_of_status(const RowChange *change, const GivenUp *given_up)
{
	Datum		arguments[2] = {PointerGetDatum(given_up->pipelines), text_array(given_up->statuses)};

	owner_query_read_latest(&bereft_query, arguments, NULL);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("pipeline \"%s\" needs a stage of status \"%s\"", needed_text("pipeline", 0, 1),
						needed_text("stage", 0, 2)),
				 errdetail("This is its last one."),
				 errhint("Add another one before, or set is_active = false to retire the pipeline."),
				 err_column_constraint(change->relation, column_number(change, "status"), "stage_last_of_status")));
}

/* AFTER UPDATE or DELETE of stage ... FOR EACH STATEMENT: writers are locked out, the stages are in place. */
Datum
crm_deals_stages_given_up(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, AFTER_STATEMENT, stage_table);
	RowChange	change = {.relation = data->tg_relation};
	GivenUp		given_up;

	if (data->tg_oldtable == NULL)
		return PointerGetDatum(NULL);
	given_up = stages_given_up(data);
	if (given_up.n == 0)
		return PointerGetDatum(NULL);

	/* The queries must see the stages as they are now. */
	CommandCounterIncrement();
	SPI_connect();
	refuse_holding_deals(&given_up);
	refuse_last_of_status(&change, &given_up);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/* ----------
 * Deals follow a lost reason that is renamed
 * ----------
 */

static OwnerQuery rename_reasons_query = {
	.sql = "UPDATE crm_deals.deal AS d SET lost_reason = r.new_name "
	"FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
	" AS r (pipeline_id, old_name, new_name)"
	" JOIN crm_deals.stage AS s ON s.pipeline_id OPERATOR(pg_catalog.=) r.pipeline_id"
	" AND s.status::pg_catalog.text OPERATOR(pg_catalog.=) 'lost' "
	"WHERE d.stage_id OPERATOR(pg_catalog.=) s.id AND d.lost_reason OPERATOR(pg_catalog.=) r.old_name",
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID},
};

/* Puts pipelines, old names and new names of the reasons that were renamed into the arguments; returns their number. */
static int
renamed_reasons(const TriggerData *data, Datum *arguments)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	TransitionReader olds = transition_open(data->tg_oldtable, desc);
	TransitionReader news = transition_open(data->tg_newtable, desc);
	ArrayType  *pipelines = int8_array_create(Max(tuplestore_tuple_count(data->tg_newtable), 1));
	List	   *old_names = NIL;
	List	   *new_names = NIL;

	while (transition_next(&olds) && transition_next(&news))
	{
		RowChange	change = {.relation = data->tg_relation};

		change.old = ExecFetchSlotHeapTuple(olds.slot, true, NULL);
		change.new = ExecFetchSlotHeapTuple(news.slot, true, NULL);
		if (!changes_column(&change, "name") || changes_column(&change, "pipeline_id"))
			continue;
		int8_array_elements(pipelines)[list_length(old_names)] =
			DatumGetInt64(filled_value_in(&change, change.old, "pipeline_id"));
		old_names = lappend(old_names, TextDatumGetCString(filled_value_in(&change, change.old, "name")));
		new_names = lappend(new_names, TextDatumGetCString(filled_value_in(&change, change.new, "name")));
	}
	transition_close(&olds);
	transition_close(&news);
	int8_array_cut(pipelines, list_length(old_names));
	arguments[0] = PointerGetDatum(pipelines);
	arguments[1] = text_array(old_names);
	arguments[2] = text_array(new_names);
	return list_length(old_names);
}

/* Gives the deals their reasons' new names. */
static void
rename_reasons(void *arguments)
{
	(void) owner_query_run_latest(&rename_reasons_query, arguments, NULL);
}

/* AFTER UPDATE OF lost_reason FOR EACH STATEMENT: a writer who took the old name is waited for. */
Datum
crm_deals_rename_lost_reasons(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, AFTER_STATEMENT, lost_reason_table);
	WriteContext context = {.actor = current_actor(), .in_owners_name = true, .follows_catalogue = true};
	Datum		arguments[3];

	if (data->tg_oldtable == NULL || data->tg_newtable == NULL || renamed_reasons(data, arguments) == 0)
		return PointerGetDatum(NULL);
	lock_out_writers();
	CommandCounterIncrement();
	SPI_connect();
	write_context_run(&context, rename_reasons, arguments);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/* ----------
 * What stages were called
 * ----------
 */

static OwnerQuery keep_name_query = {
	.sql = "INSERT INTO crm_deals.stage_name (stage_id, until, key, name) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT DO NOTHING",
	.nargs = 4,
	.argtypes = {INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
};

/* AFTER UPDATE OF stage FOR EACH ROW. It writes as the owner: a role that renames a stage may lack the privilege. */
Datum
crm_deals_keep_stage_name(PG_FUNCTION_ARGS)
{
	static const char *const columns[] = {"id", NULL, "key", "name"};
	TriggerData *data = trigger_data(fcinfo, AFTER_ROW, stage_table);
	RowChange change = {.relation = data->tg_relation, .old = data->tg_trigtuple, .new = data->tg_newtuple};
	Datum		values[4];

	if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		return PointerGetDatum(NULL);
	for (size_t i = 0; i < lengthof(columns); i++)
		values[i] = columns[i] != NULL
			? filled_value_in(&change, change.old, columns[i]) : TimestampTzGetDatum(GetCurrentTimestamp());
	SPI_connect();
	(void) owner_query_run(&keep_name_query, values, NULL);
	SPI_finish();
	return PointerGetDatum(NULL);
}
