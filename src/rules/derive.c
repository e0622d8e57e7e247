/*
 * derive.c
 *		What a deal derives from its stage, and which rules a writer contradicts.
 *
 * A broken rule is returned, not raised: the trigger raises the first one, and
 * check_move() and an import show them all.
 *
 * Whether a deal may enter its stage is judged in gates.c, once the row is
 * really written: an INSERT … ON CONFLICT passes through here for rows that
 * are never inserted.
 *
 * A value that an UPDATE leaves as it was is not a statement: a client that
 * writes whole rows sends the old status along with the new stage.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "base/currency.h"
#include "base/deal_row.h"
#include "base/settings.h"
#include "base/texts.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "rules/derive.h"

/* Returns whether a deal is restored: what it says stays as it is. */
static bool
context_restores(const WriteContext *context)
{
	return context != NULL && context->restores;
}

/* Returns whether import_deals() writes. */
static bool
context_imports(const WriteContext *context)
{
	return context != NULL && context->imports;
}

/* Returns whether the writer says what the value is. */
static bool
stated(const DealRow *old, const DealRow *new, DealColumn column)
{
	if (old == NULL)
		return !deal_isnull(new, column);
	return !deal_column_same(old, new, column);
}

/*
 * Gives a stamp the microseconds back that a client left out.  JavaScript
 * counts in milliseconds: such a client says nothing new.
 */
static void
restore_microseconds(const DealRow *old, DealRow *new, DealColumn column)
{
	TimestampTz stored;
	int64		microseconds;

	if (deal_isnull(old, column) || deal_isnull(new, column))
		return;
	stored = deal_time(old, column);
	microseconds = stored % 1000;
	if (microseconds < 0)
		microseconds += 1000;
	if (deal_time(new, column) == stored - microseconds)
		deal_set(new, column, TimestampTzGetDatum(stored));
}

/* Takes NULL where a deal always has a value for nothing said: as it was, or as the rules will say. */
static void
ignore_nulls(const DealRow *old, DealRow *new)
{
	static const DealColumn never_null[] = {
		DEAL_PIPELINE_ID, DEAL_STAGE_ID, DEAL_STATUS, DEAL_CLOSED_AT, DEAL_CURRENCY, DEAL_CUSTOM_FIELDS, DEAL_VERSION,
		DEAL_STAGE_ENTERED_AT, DEAL_CREATED_AT, DEAL_UPDATED_AT, DEAL_PROBABILITY_OVERRIDDEN
	};

	if (old != NULL)
	{
		for (size_t i = 0; i < lengthof(never_null); i++)
			if (deal_isnull(new, never_null[i]))
				deal_set_from(new, old, never_null[i]);
	}
	else if (deal_isnull(new, DEAL_CUSTOM_FIELDS))
		deal_set(new, DEAL_CUSTOM_FIELDS, DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
}

/* ----------
 * Bounds: what reports and boards could not bear is refused when it is written
 * ----------
 */

#define DAY_OF(year, month, day) (date2j(year, month, day) - POSTGRES_EPOCH_JDATE)
#define FIRST_STAMP (DAY_OF(1900, 1, 1) * USECS_PER_DAY)

/* Adds that a value is out of its bounds. */
static void
out_of_bounds(DealColumn column, const char *bounds, List **broken)
{
	*broken = lappend(*broken, broken_rule("bounds", "deal_bounds", column,
										   psprintf("%s is out of bounds", deal_column_name(column)),
										   pstrdup(bounds)));
}

/* Adds a rule if the write gives a stamp before 1900 or more than a day ahead.  A CHECK refuses infinity. */
static void
judge_stamp(const DealRow *old, const DealRow *new, DealColumn column, TimestampTz now, List **broken)
{
	TimestampTz stamp = deal_time(new, column);

	if (deal_isnull(new, column) || !stated(old, new, column) || TIMESTAMP_NOT_FINITE(stamp))
		return;
	if (stamp < FIRST_STAMP || stamp > Max(now, GetCurrentTimestamp()) + USECS_PER_DAY)
		out_of_bounds(column, "It is a moment between 1900 and tomorrow.", broken);
}

/* Adds a rule if the write expects the deal to be closed before 1900 or after 2999. */
static void
judge_expected_close_date(const DealRow *old, const DealRow *new, List **broken)
{
	DateADT		day;

	if (deal_isnull(new, DEAL_EXPECTED_CLOSE_DATE) || !stated(old, new, DEAL_EXPECTED_CLOSE_DATE))
		return;
	day = DatumGetDateADT(deal_get(new, DEAL_EXPECTED_CLOSE_DATE));
	if (!DATE_NOT_FINITE(day) && (day < DAY_OF(1900, 1, 1) || day >= DAY_OF(3000, 1, 1)))
		out_of_bounds(DEAL_EXPECTED_CLOSE_DATE, "It is a day between 1900 and 2999.", broken);
}

/* Adds a rule if the write gives an amount of 10^18 or more. */
static void
judge_amount(const DealRow *old, const DealRow *new, List **broken)
{
	Numeric		amount;

	if (deal_isnull(new, DEAL_AMOUNT) || !stated(old, new, DEAL_AMOUNT))
		return;
	amount = DatumGetNumeric(deal_get(new, DEAL_AMOUNT));
	if (!numeric_is_nan(amount) && !numeric_is_inf(amount) &&
		DatumGetBool(DirectFunctionCall2(numeric_ge, NumericGetDatum(amount),
										 NumericGetDatum(int64_to_numeric(INT64CONST(1000000000000000000))))))
		out_of_bounds(DEAL_AMOUNT, "It is less than 10^18.", broken);
}

/* Adds the bounds that the write breaks.  Values from before stay. */
static void
judge_bounds(const DealRow *old, const DealRow *new, TimestampTz now, List **broken)
{
	judge_stamp(old, new, DEAL_CREATED_AT, now, broken);
	judge_stamp(old, new, DEAL_CLOSED_AT, now, broken);
	judge_stamp(old, new, DEAL_STAGE_ENTERED_AT, now, broken);
	judge_expected_close_date(old, new, broken);
	judge_amount(old, new, broken);
}

/* Adds a rule if nothing is seen of the name that the write gives.  NOT NULL refuses one that is missing. */
static void
judge_name(const DealRow *old, const DealRow *new, List **broken)
{
	text	   *name;

	if (deal_isnull(new, DEAL_NAME) || !stated(old, new, DEAL_NAME))
		return;
	name = DatumGetTextPP(deal_get(new, DEAL_NAME));
	if (is_blank(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)))
		*broken = lappend(*broken, broken_rule("name", "deal_name", DEAL_NAME, "the name of a deal must not be blank",
											   pstrdup("It has no character that can be seen.")));
}

/* ----------
 * Rules 6 and 7: what does not change, and the version
 * ----------
 */

/* Adds a rule if the write changes a column that never changes. */
static void
judge_immutable(const DealRow *old, const DealRow *new, DealColumn column, List **broken)
{
	if (!deal_column_same(old, new, column))
		*broken = lappend(*broken, broken_rule("immutable", "deal_immutable", column,
											   psprintf("%s of deal %lld cannot change", deal_column_name(column),
														(long long) deal_int64(old, DEAL_ID)),
											   pstrdup("The log refers to a deal by its id and its creation time.")));
}

/* A writer sends the version that it read, or the one after it. */
static void
judge_version(const DealRow *old, const DealRow *new, List **broken)
{
	int32		stored = deal_int32(old, DEAL_VERSION);
	int32		sent = deal_int32(new, DEAL_VERSION);
	BrokenRule *rule;

	if (sent == stored || sent - (int64) stored == 1)
		return;
	rule = broken_rule("version", "deal_version", DEAL_VERSION,
					   psprintf("deal %lld was changed since it was read", (long long) deal_int64(old, DEAL_ID)),
					   psprintf("Its current version is %d, the update came with %d.", stored, sent));
	rule->sqlstate = ERRCODE_STALE_VERSION;
	rule->hint = "Read the deal again and repeat the change.";
	*broken = lappend(*broken, rule);
}

/* Returns the version that a change of the row gives it. */
int32
next_version(const DealRow *row)
{
	int32		next;

	if (pg_add_s32_overflow(deal_int32(row, DEAL_VERSION), 1, &next))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("deal %lld has reached the last version", (long long) deal_int64(row, DEAL_ID))));
	return next;
}

/* Raises the version if anything changed.  A version that the writer raised is a change of its own. */
static void
derive_version(const DealRow *old, DealRow *new, TimestampTz now, bool restores)
{
	if (old == NULL)
	{
		/* Some ORMs count from 0. */
		if (deal_isnull(new, DEAL_VERSION) || (!restores && deal_int32(new, DEAL_VERSION) != 0))
			deal_set(new, DEAL_VERSION, Int32GetDatum(1));
		deal_set(new, DEAL_UPDATED_AT, TimestampTzGetDatum(now));
	}
	else if (stated(old, new, DEAL_VERSION) || deal_row_differs(old, new))
	{
		deal_set(new, DEAL_VERSION, Int32GetDatum(next_version(old)));
		deal_set(new, DEAL_UPDATED_AT, TimestampTzGetDatum(now));
	}
	else
		deal_set_from(new, old, DEAL_UPDATED_AT);
}

/* ----------
 * Rule 1: stage, pipeline, organization, status
 * ----------
 */

/* Adds a rule that leaves the deal without a stage.  Returns no stage. */
static const Stage *
no_stage(BrokenRule *rule, int sqlstate, List **broken)
{
	rule->sqlstate = sqlstate;
	*broken = lappend(*broken, rule);
	return NULL;
}

/* Adds that the column names no row.  Returns no stage. */
static const Stage *
unknown(DealColumn column, int64 id, List **broken)
{
	return no_stage(broken_rule("stage_exists", "deal_stage_fkey", column,
								"deal violates foreign key constraint \"deal_stage_fkey\"",
								psprintf("No row has the id %lld that its %s names.", (long long) id,
										 deal_column_name(column))),
					ERRCODE_FOREIGN_KEY_VIOLATION, broken);
}

/* Returns the stage of this id, or NULL after a broken rule. */
static const Stage *
stage_by_id(int64 stage_id, List **broken)
{
	const Stage *stage = find_stage(stage_id);

	return stage != NULL ? stage : unknown(DEAL_STAGE_ID, stage_id, broken);
}

/* Returns the stage that a deal of the pipeline starts in. */
static const Stage *
start_of(const Pipeline *pipeline, List **broken)
{
	const Stage *stage = first_open_stage(pipeline);
	BrokenRule *rule;

	if (stage != NULL)
		return stage;
	rule = broken_rule("stage_exists", NULL, NO_DEAL_COLUMN,
					   psprintf("pipeline \"%s\" has no open stage to start in", pipeline->name), NULL);
	rule->hint = "Add one with crm_deals.add_stage(), or name the stage.";
	return no_stage(rule, ERRCODE_NO_DATA_FOUND, broken);
}

/* Returns where a deal of this status goes in the pipeline of this id, or NULL after a broken rule. */
static const Stage *
place_by_id(int64 pipeline_id, DealStatus status, List **broken)
{
	const Pipeline *pipeline = find_pipeline(pipeline_id);
	const Stage *stage;
	const char *name = deal_status_name(status);
	BrokenRule *rule;

	if (pipeline == NULL)
		return unknown(DEAL_PIPELINE_ID, pipeline_id, broken);
	if (status == STATUS_OPEN)
		return start_of(pipeline, broken);
	stage = first_stage(pipeline, status);
	if (stage != NULL)
		return stage;
	rule = broken_rule("status", "deal_status_matches_stage", DEAL_PIPELINE_ID,
					   psprintf("pipeline \"%s\" has no stage of status \"%s\"", pipeline->name, name),
					   psprintf("The deal is %s, and stays so in another pipeline.", name));
	rule->hint = "Write the stage that the deal goes to.";
	return no_stage(rule, ERRCODE_CHECK_VIOLATION, broken);
}

/* Returns the start of the default pipeline: the organization's own, else the system's. */
static const Stage *
start_by_default(const DealRow *new, List **broken)
{
	const char *organization = deal_isnull(new, DEAL_ORGANIZATION)
		? setting_or_null(setting_organization) : deal_text(new, DEAL_ORGANIZATION);
	const Pipeline *pipeline = default_pipeline(organization);
	BrokenRule *rule;

	if (pipeline == NULL && organization != NULL)
		pipeline = default_pipeline(NULL);
	if (pipeline != NULL)
		return start_of(pipeline, broken);
	rule = broken_rule("default_pipeline", NULL, NO_DEAL_COLUMN, "there is no default pipeline",
					   pstrdup("The deal names neither a stage nor a pipeline."));
	rule->hint = "Create a pipeline with crm_deals.create_pipeline(), or make one the default.";
	return no_stage(rule, ERRCODE_NO_DATA_FOUND, broken);
}

/* Returns the status that a deal has in the pipeline that the write names: a closed deal keeps its own. */
static DealStatus
status_in_pipeline(const DealRow *old, const DealRow *new)
{
	if (old == NULL || (stated(old, new, DEAL_STATUS) && deal_status(new) == STATUS_OPEN))
		return STATUS_OPEN;
	return deal_status(old);
}

/* Adds a rule if the write names a pipeline that is not the stage's. */
static void
judge_pipeline_of_stage(const DealRow *new, const Stage *stage, List **broken)
{
	BrokenRule *rule;

	if (deal_int64(new, DEAL_PIPELINE_ID) == stage->pipeline->id)
		return;
	rule = broken_rule("pipeline", "deal_stage_in_pipeline", DEAL_PIPELINE_ID,
					   psprintf("pipeline %lld contradicts stage %lld", (long long) deal_int64(new, DEAL_PIPELINE_ID),
								(long long) stage->id),
					   psprintf("Stage \"%s\" belongs to pipeline \"%s\" (%lld).", stage->name,
								stage->pipeline->name, (long long) stage->pipeline->id));
	rule->hint = "Write the stage alone: the deal's pipeline follows it.";
	*broken = lappend(*broken, rule);
}

/* Returns the stage that the deal is in, or NULL after a broken rule. */
static const Stage *
derive_stage(const DealRow *old, const DealRow *new, List **broken)
{
	bool		pipeline_stated = stated(old, new, DEAL_PIPELINE_ID);
	const Stage *stage;

	if (stated(old, new, DEAL_STAGE_ID))
	{
		stage = stage_by_id(deal_int64(new, DEAL_STAGE_ID), broken);
		if (stage != NULL && pipeline_stated)
			judge_pipeline_of_stage(new, stage, broken);
		return stage;
	}
	if (pipeline_stated)
		return place_by_id(deal_int64(new, DEAL_PIPELINE_ID), status_in_pipeline(old, new), broken);
	if (old == NULL)
		return start_by_default(new, broken);
	return stage_by_id(deal_int64(old, DEAL_STAGE_ID), broken);
}

/* Returns whether the row is of this organization; NULL stands for the whole system. */
static bool
is_organization(const DealRow *row, const char *organization)
{
	if (deal_isnull(row, DEAL_ORGANIZATION) || organization == NULL)
		return deal_isnull(row, DEAL_ORGANIZATION) && organization == NULL;
	return strcmp(deal_text(row, DEAL_ORGANIZATION), organization) == 0;
}

/* Gives the deal its pipeline's organization. */
static void
derive_organization(const DealRow *old, DealRow *new, const Pipeline *pipeline, List **broken)
{
	const char *organization = pipeline->organization;

	if (is_organization(new, organization))
		return;
	if (stated(old, new, DEAL_ORGANIZATION))
	{
		char	   *owner = organization != NULL ? psprintf("organization \"%s\"", organization) : "no organization";

		*broken = lappend(*broken, broken_rule("organization", "deal_organization_matches_pipeline", DEAL_ORGANIZATION,
											   "organization contradicts the pipeline of the deal",
											   psprintf("Pipeline \"%s\" belongs to %s;"
														" a deal's organization follows it.",
														pipeline->name, owner)));
	}
	if (organization == NULL)
		deal_set_null(new, DEAL_ORGANIZATION);
	else
		deal_set(new, DEAL_ORGANIZATION, CStringGetTextDatum(organization));
}

/* Returns, for a detail, which status the stage gives its deals. */
static char *
status_of_stage(const Stage *stage)
{
	return psprintf("Stage \"%s\" has status \"%s\".", stage->name, deal_status_name(stage->status));
}

/* Gives the deal its stage's status. */
static void
derive_status(const DealRow *old, DealRow *new, const Stage *stage, List **broken)
{
	if (stated(old, new, DEAL_STATUS) && deal_status(new) != stage->status)
	{
		BrokenRule *rule = broken_rule("status", "deal_status_matches_stage", DEAL_STATUS,
									   psprintf("status \"%s\" contradicts the stage of the deal",
												deal_status_name(deal_status(new))),
									   psprintf("Stage \"%s\" has status \"%s\"; a deal's status follows its stage.",
												stage->name, deal_status_name(stage->status)));

		rule->hint = "Move the deal to a stage of that status.";
		*broken = lappend(*broken, rule);
	}
	deal_set_status(new, stage->status);
}

/* ----------
 * Rules 2 to 4: closing time, reason, probability
 * ----------
 */

/*
 * Stamps a deal that is closed now, and clears the stamp of one that is open.  A
 * deal that is restored keeps its stamp, as far as its stage still has that
 * status; "was_open" says that it had none.
 */
static void
derive_closed_at(const DealRow *old, DealRow *new, const Stage *stage, TimestampTz now, const WriteContext *context,
				 bool was_open, List **broken)
{
	bool		restores = context_restores(context);
	bool		given = stated(old, new, DEAL_CLOSED_AT);
	bool		given_null = given && deal_isnull(new, DEAL_CLOSED_AT);
	/* An import invents no moment: a closed deal keeps its own. */
	bool		status_stays = old != NULL &&
		(context_imports(context) ? deal_status(old) != STATUS_OPEN : deal_status(old) == stage->status);
	bool		open = stage->status == STATUS_OPEN;

	if (given && given_null != open && !restores)
	{
		BrokenRule *rule = broken_rule("closed_at", "deal_closed_at", DEAL_CLOSED_AT,
									   open ? "an open deal has no closing time" : "a closed deal keeps a closing time",
									   status_of_stage(stage));

		rule->hint = "The move stamps closed_at; write it only to say when a closed deal was closed.";
		*broken = lappend(*broken, rule);
	}
	if (open)
		deal_set_null(new, DEAL_CLOSED_AT);
	else if ((restores ? was_open : !given) && !status_stays)
		deal_set(new, DEAL_CLOSED_AT, TimestampTzGetDatum(now));
}

/* Clears the reason of a deal that is not lost. */
static void
derive_lost_reason(const DealRow *old, DealRow *new, const Stage *stage, bool restores, List **broken)
{
	if (stage->status == STATUS_LOST)
		return;
	if (!restores && stated(old, new, DEAL_LOST_REASON) && !deal_isnull(new, DEAL_LOST_REASON))
		*broken = lappend(*broken, broken_rule("lost_reason", "deal_lost_reason", DEAL_LOST_REASON,
											   "a deal that is not lost has no lost reason", status_of_stage(stage)));
	deal_set_null(new, DEAL_LOST_REASON);
}

/* Returns whether two numbers are equal, whatever their scales. */
static bool
same_number(Datum a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, a, NumericGetDatum(b)));
}

/* Returns whether an overridden probability stays so: moves between open stages keep it, closing ends it. */
static bool
override_goes_on(const DealRow *old, const DealRow *new, const Stage *stage)
{
	if (old == NULL || !deal_bool(old, DEAL_PROBABILITY_OVERRIDDEN))
		return false;
	if (!deal_isnull(new, DEAL_PROBABILITY_OVERRIDDEN) && !deal_bool(new, DEAL_PROBABILITY_OVERRIDDEN))
		return false;
	if (deal_status(old) != stage->status)
		return false;
	return stage->status == STATUS_OPEN || deal_int64(old, DEAL_STAGE_ID) == stage->id;
}

/* Adds a rule if the write gives a probability of its own to a deal that stays closed.  One of 0.1 stays. */
static void
judge_probability(const DealRow *old, const Stage *stage, List **broken)
{
	BrokenRule *rule;
	char	   *percent;

	if (old == NULL || deal_status(old) != stage->status)
		return;
	percent = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(stage->probability)));
	rule = broken_rule("probability", "deal_probability", DEAL_PROBABILITY,
					   psprintf("a deal that is %s keeps the probability of its stage",
								deal_status_name(stage->status)),
					   psprintf("Stage \"%s\" has %s per cent.", stage->name, percent));
	rule->hint = "Reopen the deal to give it another probability.";
	*broken = lappend(*broken, rule);
}

/*
 * Gives the deal its stage's probability, unless somebody overrode it.  What
 * the write says that closes the deal, or an import, counts for nothing.
 */
static void
derive_probability(const DealRow *old, DealRow *new, const Stage *stage, const WriteContext *context, List **broken)
{
	bool		says = stated(old, new, DEAL_PROBABILITY) && !deal_isnull(new, DEAL_PROBABILITY);
	bool		differs = says && !same_number(deal_get(new, DEAL_PROBABILITY), stage->probability);
	bool		overridden;

	if (context != NULL && context->restores)
		overridden = !deal_isnull(new, DEAL_PROBABILITY_OVERRIDDEN) && deal_bool(new, DEAL_PROBABILITY_OVERRIDDEN) &&
			(stage->status == STATUS_OPEN || override_goes_on(old, new, stage));
	else if (!says)
		overridden = !deal_isnull(new, DEAL_PROBABILITY) && override_goes_on(old, new, stage);
	else
		overridden = differs && stage->status == STATUS_OPEN;
	if (differs && stage->status != STATUS_OPEN && (context == NULL || !(context->restores || context->imports)))
		judge_probability(old, stage, broken);

	deal_set(new, DEAL_PROBABILITY_OVERRIDDEN, BoolGetDatum(overridden));
	if (!overridden)
		deal_set(new, DEAL_PROBABILITY, NumericGetDatum(stage->probability));
}

/* ----------
 * The rest: currency and stamps
 * ----------
 */

/* Gives a new deal the pipeline's currency, else the default one. */
static void
derive_currency(const DealRow *old, DealRow *new, const Pipeline *pipeline, List **broken)
{
	if (old == NULL && deal_isnull(new, DEAL_CURRENCY))
		deal_set(new, DEAL_CURRENCY, CStringGetTextDatum(pipeline->currency != NULL
														 ? pipeline->currency : setting_default_currency));
	if (!stated(old, new, DEAL_CURRENCY))
		return;
	if (!is_currency_code(deal_text(new, DEAL_CURRENCY)))
		*broken = lappend(*broken, broken_rule("currency", "deal_currency", DEAL_CURRENCY,
											   psprintf("\"%s\" is not a currency code", deal_text(new, DEAL_CURRENCY)),
											   pstrdup("Currencies are ISO 4217 codes, three capital letters.")));
}

/* Remembers the open stage that a closed deal came from.  An import can say which one it was. */
static void
derive_last_open_stage(const DealRow *old, DealRow *new, const Stage *stage, const WriteContext *context)
{
	if (stage->status == STATUS_OPEN || (old == NULL && !context_restores(context) && !context_imports(context)))
		deal_set_null(new, DEAL_LAST_OPEN_STAGE_ID);
	else if (context_restores(context) || (context_imports(context) && stated(old, new, DEAL_LAST_OPEN_STAGE_ID)) ||
			 old == NULL)
		return;
	else if (deal_status(old) == STATUS_OPEN)
		deal_set(new, DEAL_LAST_OPEN_STAGE_ID, Int64GetDatum(deal_int64(old, DEAL_STAGE_ID)));
	else
		deal_set_from(new, old, DEAL_LAST_OPEN_STAGE_ID);
}

/* Says when the deal was created and when it entered its stage. */
static void
derive_stamps(const DealRow *old, DealRow *new, const Stage *stage, TimestampTz now, const WriteContext *context)
{
	Datum		moment = TimestampTzGetDatum(now);

	if (old == NULL && deal_isnull(new, DEAL_CREATED_AT))
		deal_set(new, DEAL_CREATED_AT, deal_isnull(new, DEAL_CLOSED_AT) ? moment
				 : TimestampTzGetDatum(Min(now, deal_time(new, DEAL_CLOSED_AT))));
	if (old == NULL || context_restores(context) ||
		(context_imports(context) && stated(old, new, DEAL_STAGE_ENTERED_AT)))
	{
		if (deal_isnull(new, DEAL_STAGE_ENTERED_AT))
			deal_set(new, DEAL_STAGE_ENTERED_AT, moment);
	}
	else if (deal_int64(old, DEAL_STAGE_ID) != stage->id)
		deal_set(new, DEAL_STAGE_ENTERED_AT, moment);
	else
		deal_set_from(new, old, DEAL_STAGE_ENTERED_AT);
}

/* Returns the clock, or a microsecond after the deal's last event if that is later. */
TimestampTz
moment_after(const DealRow *old)
{
	TimestampTz now = GetCurrentTimestamp();

	if (old != NULL && now <= deal_time(old, DEAL_UPDATED_AT))
		now = deal_time(old, DEAL_UPDATED_AT) + 1;
	return now;
}

/* Raises the moment of a write to the deal's creation, if that is a little ahead: no stamp is earlier. */
static TimestampTz
not_before_creation(const DealRow *row, TimestampTz moment)
{
	TimestampTz created_at = deal_time(row, DEAL_CREATED_AT);

	return created_at > moment && created_at <= moment + USECS_PER_DAY ? created_at : moment;
}

/* Returns moment_after(), or the moment that an import or a restore gives. */
TimestampTz
moment_of_change(const DealRow *old, const DealRow *new)
{
	WriteContext *context = write_context();
	TimestampTz moment;

	if (context == NULL || !stated(old, new, DEAL_UPDATED_AT) || deal_isnull(new, DEAL_UPDATED_AT))
		return not_before_creation(new, moment_after(old));
	moment = deal_time(new, DEAL_UPDATED_AT);
	if (!context->imports)
		return context->restores && old == NULL ? Max(moment_after(NULL), moment + 1) : moment_after(old);
	return old != NULL ? Max(moment, deal_time(old, DEAL_UPDATED_AT) + 1) : moment;
}

/* Derives what the stage determines, and returns what the writer contradicts. */
List *
derive_deal(const DealRow *old, DealRow *new, TimestampTz now)
{
	const WriteContext *context = write_context();
	bool		restores = context_restores(context);
	bool		was_open = deal_isnull(new, DEAL_CLOSED_AT);
	List	   *broken = NIL;
	const Stage *stage;

	ignore_nulls(old, new);
	if (old != NULL)
	{
		deal_row_keep_same(old, new);
		restore_microseconds(old, new, DEAL_CREATED_AT);
		restore_microseconds(old, new, DEAL_CLOSED_AT);
		judge_immutable(old, new, DEAL_ID, &broken);
		judge_immutable(old, new, DEAL_CREATED_AT, &broken);
		judge_version(old, new, &broken);
	}
	if (!restores)
	{
		judge_name(old, new, &broken);
		judge_bounds(old, new, now, &broken);
	}
	stage = derive_stage(old, new, &broken);
	if (stage == NULL)
		return broken;
	derive_organization(old, new, stage->pipeline, &broken);
	derive_status(old, new, stage, &broken);
	derive_closed_at(old, new, stage, now, context, was_open, &broken);
	derive_lost_reason(old, new, stage, restores, &broken);
	derive_probability(old, new, stage, context, &broken);
	derive_currency(old, new, stage->pipeline, &broken);
	derive_last_open_stage(old, new, stage, context);
	derive_stamps(old, new, stage, now, context);
	deal_set(new, DEAL_PIPELINE_ID, Int64GetDatum(stage->pipeline->id));
	deal_set(new, DEAL_STAGE_ID, Int64GetDatum(stage->id));
	/* The last version has none after it, which must not hide the rules that are broken. */
	if (broken == NIL)
		derive_version(old, new, now, restores);
	return broken;
}

/* Raises the first of these rules, if there is one. */
void
refuse_contradictions(List *broken)
{
	if (broken != NIL)
		raise_broken_rule(linitial(broken), ((BrokenRule *) linitial(broken))->detail);
}

/* ----------
 * The row that a later trigger of the user left
 * ----------
 */

/* Raises that a trigger undid what the rules had derived. */
static void
refuse_undone(const DealRow *row, DealColumn column)
{
	static const struct
	{
		DealColumn	column;
		const char *constraint;
	}			names[] = {
		{DEAL_STATUS, "deal_status_matches_stage"},
		{DEAL_PIPELINE_ID, "deal_stage_in_pipeline"},
		{DEAL_ORGANIZATION, "deal_organization_matches_pipeline"},
		{DEAL_CLOSED_AT, "deal_closed_at"},
		{DEAL_LOST_REASON, "deal_lost_reason"},
		{DEAL_PROBABILITY, "deal_probability"},
		{DEAL_PROBABILITY_OVERRIDDEN, "deal_probability"},
	};
	const char *constraint = "deal_version";

	for (size_t i = 0; i < lengthof(names); i++)
		if (names[i].column == column)
			constraint = names[i].constraint;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("a trigger changed deal %lld after the rules had derived its %s",
					(long long) deal_int64(row, DEAL_ID), deal_column_name(column)),
			 errhint("Name the trigger so that it sorts before \"zz_crm_deals_rules\"."),
			 err_deal(column, constraint)));
}

/* Derives from the final row once more: it must come out as it is. */
void
check_still_derived(const DealRow *old, const DealRow *new)
{
	DealRow		again = deal_row_copy(new);
	bool		changed = old == NULL || deal_int32(old, DEAL_VERSION) != deal_int32(new, DEAL_VERSION);

	if (changed && old != NULL && deal_time(new, DEAL_UPDATED_AT) <= deal_time(old, DEAL_UPDATED_AT))
		refuse_undone(new, DEAL_UPDATED_AT);

	refuse_contradictions(derive_deal(old, &again, deal_time(new, DEAL_UPDATED_AT)));
	for (int column = 0; column < N_DEAL_COLUMNS; column++)
		if (!deal_column_same(&again, new, column))
			refuse_undone(new, column);
}
