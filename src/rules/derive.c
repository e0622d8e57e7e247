/*
 * derive.c
 *		What a deal derives from its stage, and statements that contradict it.
 *
 * Whether a deal may enter its stage is not asked here but in gates.c, once
 * the row is really written: an INSERT … ON CONFLICT comes by here for rows
 * that are never inserted.
 *
 * A value that an UPDATE leaves as it was is not a statement: a writer of
 * whole rows sends the old status along with the new stage.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "base/currency.h"
#include "base/deal_row.h"
#include "base/settings.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "rules/derive.h"

/* Did the writer state this value? */
static bool
stated(const DealRow *old, const DealRow *new, DealColumn column)
{
	if (old == NULL)
		return !deal_isnull(new, column);
	return !deal_column_same(old, new, column);
}

/*
 * A client that counts in milliseconds, as JavaScript does, sends a stamp back
 * without its microseconds: it says nothing new.
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

/* ----------
 * Rules 6 and 7: what does not change, and the version
 * ----------
 */

static void
refuse_immutable(const DealRow *old, const DealRow *new, DealColumn column)
{
	if (!deal_column_same(old, new, column))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s of deal %lld cannot change", deal_column_name(column),
						(long long) deal_int64(old, DEAL_ID)),
				 errdetail("The log of a deal hangs on its id and its creation time."),
				 err_deal(column, "deal_immutable")));
}

static void
refuse_stale_version(const DealRow *old, const DealRow *new)
{
	int32		stored = deal_int32(old, DEAL_VERSION);
	int32		sent = deal_isnull(new, DEAL_VERSION) ? 0 : deal_int32(new, DEAL_VERSION);

	if (sent != stored && sent - (int64) stored != 1)
		ereport(ERROR,
				(errcode(ERRCODE_STALE_VERSION),
				 errmsg("deal %lld was changed since it was read", (long long) deal_int64(old, DEAL_ID)),
				 errdetail("Its current version is %d, the update came with %d.", stored, sent),
				 errhint("Read the deal again and repeat the change."),
				 err_deal(DEAL_VERSION, "deal_version")));
}

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

/* A version that was raised by the writer is a change of its own. */
static void
derive_version(const DealRow *old, DealRow *new, TimestampTz now, bool restores)
{
	if (old == NULL)
	{
		if (!restores || deal_isnull(new, DEAL_VERSION))
			deal_set(new, DEAL_VERSION, Int32GetDatum(1));
		deal_set(new, DEAL_UPDATED_AT, TimestampTzGetDatum(now));
	}
	else if (stated(old, new, DEAL_VERSION) || deal_row_differs(old, new))
	{
		deal_set(new, DEAL_VERSION, Int32GetDatum(next_version(old)));
		deal_set(new, DEAL_UPDATED_AT, TimestampTzGetDatum(now));
	}
	else
		deal_set(new, DEAL_UPDATED_AT, deal_get(old, DEAL_UPDATED_AT));
}

/* ----------
 * Rule 1: stage, pipeline, organization, status
 * ----------
 */

static void
raise_unknown(DealColumn column, int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("deal violates foreign key constraint \"deal_stage_fkey\""),
			 errdetail("There is no row %lld that its %s could mean.", (long long) id, deal_column_name(column)),
			 err_deal(column, "deal_stage_fkey")));
}

static const Stage *
stage_by_id(int64 stage_id)
{
	const Stage *stage = find_stage(stage_id);

	if (stage == NULL)
		raise_unknown(DEAL_STAGE_ID, stage_id);
	return stage;
}

static const Stage *
start_of(const Pipeline *pipeline)
{
	const Stage *stage = first_open_stage(pipeline);

	if (stage == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("pipeline \"%s\" has no open stage to start in", pipeline->name),
				 errhint("Add one with crm_deals.add_stage(), or name the stage.")));
	return stage;
}

static const Stage *
start_by_id(int64 pipeline_id)
{
	const Pipeline *pipeline = find_pipeline(pipeline_id);

	if (pipeline == NULL)
		raise_unknown(DEAL_PIPELINE_ID, pipeline_id);
	return start_of(pipeline);
}

static const Stage *
start_by_default(const DealRow *new)
{
	const char *organization = deal_isnull(new, DEAL_ORGANIZATION)
		? setting_or_null(setting_organization) : deal_text(new, DEAL_ORGANIZATION);
	const Pipeline *pipeline = default_pipeline(organization);

	if (pipeline == NULL && organization != NULL)
		pipeline = default_pipeline(NULL);
	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no default pipeline"),
				 errdetail("The deal names neither a stage nor a pipeline."),
				 errhint("Create a pipeline with crm_deals.create_pipeline(), or make one the default.")));
	return start_of(pipeline);
}

static void
refuse_stage_of_other_pipeline(const DealRow *new, const Stage *stage)
{
	if (deal_int64(new, DEAL_PIPELINE_ID) != stage->pipeline->id)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("pipeline %lld contradicts stage %lld", (long long) deal_int64(new, DEAL_PIPELINE_ID),
						(long long) stage->id),
				 errdetail("Stage \"%s\" belongs to pipeline \"%s\" (%lld).", stage->name,
						   stage->pipeline->name, (long long) stage->pipeline->id),
				 errhint("Write the stage alone: the deal's pipeline follows it."),
				 err_deal(DEAL_PIPELINE_ID, "deal_stage_in_pipeline")));
}

static void
refuse_null(const DealRow *new, DealColumn column)
{
	if (deal_isnull(new, column))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in column \"%s\" of a deal", deal_column_name(column)),
				 errdetail("A deal is always in one stage of one pipeline."),
				 err_deal(column, NULL)));
}

static const Stage *
derive_stage(const DealRow *old, const DealRow *new)
{
	bool		stage_stated = stated(old, new, DEAL_STAGE_ID);
	bool		pipeline_stated = stated(old, new, DEAL_PIPELINE_ID);
	const Stage *stage;

	if (old != NULL)
	{
		refuse_null(new, DEAL_STAGE_ID);
		refuse_null(new, DEAL_PIPELINE_ID);
	}
	if (stage_stated)
	{
		stage = stage_by_id(deal_int64(new, DEAL_STAGE_ID));
		if (pipeline_stated)
			refuse_stage_of_other_pipeline(new, stage);
		return stage;
	}
	if (pipeline_stated)
		return start_by_id(deal_int64(new, DEAL_PIPELINE_ID));
	if (old == NULL)
		return start_by_default(new);
	return stage_by_id(deal_int64(old, DEAL_STAGE_ID));
}

static void
derive_organization(const DealRow *old, DealRow *new, const Pipeline *pipeline)
{
	const char *organization = pipeline->organization;

	if (stated(old, new, DEAL_ORGANIZATION) &&
		(deal_isnull(new, DEAL_ORGANIZATION) != (organization == NULL) ||
		 (organization != NULL && strcmp(deal_text(new, DEAL_ORGANIZATION), organization) != 0)))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("organization contradicts the pipeline of the deal"),
				 organization != NULL
				 ? errdetail("Pipeline \"%s\" belongs to organization \"%s\"; a deal's organization follows it.",
							 pipeline->name, organization)
				 : errdetail("Pipeline \"%s\" belongs to no organization; a deal's organization follows it.",
							 pipeline->name),
				 err_deal(DEAL_ORGANIZATION, "deal_organization_matches_pipeline")));

	if (organization == NULL)
		deal_set_null(new, DEAL_ORGANIZATION);
	else if (deal_isnull(new, DEAL_ORGANIZATION) ||
			 strcmp(deal_text(new, DEAL_ORGANIZATION), organization) != 0)
		deal_set(new, DEAL_ORGANIZATION, CStringGetTextDatum(organization));
}

static void
derive_status(const DealRow *old, DealRow *new, const Stage *stage)
{
	if (stated(old, new, DEAL_STATUS) &&
		(deal_isnull(new, DEAL_STATUS) || deal_status(new) != stage->status))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("status \"%s\" contradicts the stage of the deal",
						deal_isnull(new, DEAL_STATUS) ? "null" : deal_status_name(deal_status(new))),
				 errdetail("Stage \"%s\" has status \"%s\"; a deal's status follows its stage.",
						   stage->name, deal_status_name(stage->status)),
				 errhint("Move the deal to a stage of that status."),
				 err_deal(DEAL_STATUS, "deal_status_matches_stage")));
	deal_set_status(new, stage->status);
}

/* ----------
 * Rules 2 to 4: closing time, reason, probability
 * ----------
 */

static void
refuse_closed_at(const Stage *stage)
{
	bool		open = stage->status == STATUS_OPEN;

	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 open ? errmsg("an open deal has no closing time")
			 : errmsg("a closed deal keeps a closing time"),
			 errdetail("Stage \"%s\" has status \"%s\".", stage->name, deal_status_name(stage->status)),
			 errhint("The move stamps closed_at; write it only to say when a closed deal was closed."),
			 err_deal(DEAL_CLOSED_AT, "deal_closed_at")));
}

static void
derive_closed_at(const DealRow *old, DealRow *new, const Stage *stage, TimestampTz now, bool restores)
{
	bool		given = stated(old, new, DEAL_CLOSED_AT);
	bool		given_null = given && deal_isnull(new, DEAL_CLOSED_AT);
	bool		status_stays = old != NULL && deal_status(old) == stage->status;

	if (given && given_null != (stage->status == STATUS_OPEN))
		refuse_closed_at(stage);

	if (stage->status == STATUS_OPEN)
		deal_set_null(new, DEAL_CLOSED_AT);
	else if (restores ? deal_isnull(new, DEAL_CLOSED_AT) : !given && !status_stays)
		deal_set(new, DEAL_CLOSED_AT, TimestampTzGetDatum(now));
}

static void
derive_lost_reason(const DealRow *old, DealRow *new, const Stage *stage)
{
	if (stage->status == STATUS_LOST)
		return;
	if (stated(old, new, DEAL_LOST_REASON) && !deal_isnull(new, DEAL_LOST_REASON))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("a deal that is not lost has no lost reason"),
				 errdetail("Stage \"%s\" has status \"%s\".", stage->name, deal_status_name(stage->status)),
				 err_deal(DEAL_LOST_REASON, "deal_lost_reason")));
	deal_set_null(new, DEAL_LOST_REASON);
}

static bool
same_number(Datum a, Numeric b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, a, NumericGetDatum(b)));
}

/* It survives moves between open stages; closing ends it. */
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

static void
derive_probability(const DealRow *old, DealRow *new, const Stage *stage, bool restores)
{
	bool		overridden;

	if (restores)
		overridden = !deal_isnull(new, DEAL_PROBABILITY_OVERRIDDEN) && deal_bool(new, DEAL_PROBABILITY_OVERRIDDEN);
	else if (stated(old, new, DEAL_PROBABILITY) && !deal_isnull(new, DEAL_PROBABILITY))
		overridden = !same_number(deal_get(new, DEAL_PROBABILITY), stage->probability);
	else
		overridden = !deal_isnull(new, DEAL_PROBABILITY) && override_goes_on(old, new, stage);

	deal_set(new, DEAL_PROBABILITY_OVERRIDDEN, BoolGetDatum(overridden));
	if (!overridden)
		deal_set(new, DEAL_PROBABILITY, NumericGetDatum(stage->probability));
}

/* ----------
 * The rest: currency and stamps
 * ----------
 */

static void
derive_currency(const DealRow *old, DealRow *new, const Pipeline *pipeline)
{
	if (old == NULL && deal_isnull(new, DEAL_CURRENCY))
		deal_set(new, DEAL_CURRENCY, CStringGetTextDatum(pipeline->currency != NULL
														 ? pipeline->currency : setting_default_currency));
	if (!stated(old, new, DEAL_CURRENCY) || deal_isnull(new, DEAL_CURRENCY))
		return;
	if (!is_currency_code(deal_text(new, DEAL_CURRENCY)))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("\"%s\" is not a currency code", deal_text(new, DEAL_CURRENCY)),
				 errdetail("Currencies are ISO 4217 codes, three capital letters."),
				 err_deal(DEAL_CURRENCY, "deal_currency")));
}

static void
derive_last_open_stage(const DealRow *old, DealRow *new, const Stage *stage, bool restores)
{
	if (stage->status == STATUS_OPEN || (old == NULL && !restores))
		deal_set_null(new, DEAL_LAST_OPEN_STAGE_ID);
	else if (restores)
		return;
	else if (deal_status(old) == STATUS_OPEN)
		deal_set(new, DEAL_LAST_OPEN_STAGE_ID, deal_get(old, DEAL_STAGE_ID));
	else if (deal_isnull(old, DEAL_LAST_OPEN_STAGE_ID))
		deal_set_null(new, DEAL_LAST_OPEN_STAGE_ID);
	else
		deal_set(new, DEAL_LAST_OPEN_STAGE_ID, deal_get(old, DEAL_LAST_OPEN_STAGE_ID));
}

static void
derive_stamps(const DealRow *old, DealRow *new, const Stage *stage, TimestampTz now, bool restores)
{
	Datum		moment = TimestampTzGetDatum(now);

	if (old == NULL && deal_isnull(new, DEAL_CREATED_AT))
		deal_set(new, DEAL_CREATED_AT, moment);
	if (old == NULL || restores)
	{
		if (deal_isnull(new, DEAL_STAGE_ENTERED_AT))
			deal_set(new, DEAL_STAGE_ENTERED_AT, moment);
	}
	else if (deal_int64(old, DEAL_STAGE_ID) != stage->id)
		deal_set(new, DEAL_STAGE_ENTERED_AT, moment);
	else
		deal_set(new, DEAL_STAGE_ENTERED_AT, deal_get(old, DEAL_STAGE_ENTERED_AT));
}

TimestampTz
moment_after(const DealRow *old)
{
	TimestampTz now = GetCurrentTimestamp();

	if (old != NULL && now <= deal_time(old, DEAL_UPDATED_AT))
		now = deal_time(old, DEAL_UPDATED_AT) + 1;
	return now;
}

TimestampTz
moment_of_change(const DealRow *old, const DealRow *new)
{
	WriteContext *context = write_context();
	TimestampTz moment;

	if (context == NULL || !stated(old, new, DEAL_UPDATED_AT) || deal_isnull(new, DEAL_UPDATED_AT))
		return moment_after(old);
	moment = deal_time(new, DEAL_UPDATED_AT);
	if (!context->imports)
		return context->restores && old == NULL ? Max(moment_after(NULL), moment + 1) : moment_after(old);
	return old != NULL ? Max(moment, deal_time(old, DEAL_UPDATED_AT) + 1) : moment;
}

void
derive_deal(const DealRow *old, DealRow *new, TimestampTz now)
{
	const WriteContext *context = write_context();
	bool		restores = context != NULL && context->restores;
	const Stage *stage;

	if (old != NULL)
	{
		deal_row_keep_same(old, new);
		restore_microseconds(old, new, DEAL_CREATED_AT);
		restore_microseconds(old, new, DEAL_CLOSED_AT);
		refuse_immutable(old, new, DEAL_ID);
		refuse_immutable(old, new, DEAL_CREATED_AT);
		refuse_stale_version(old, new);
	}
	stage = derive_stage(old, new);
	derive_organization(old, new, stage->pipeline);
	derive_status(old, new, stage);
	derive_closed_at(old, new, stage, now, restores);
	derive_lost_reason(old, new, stage);
	derive_probability(old, new, stage, restores);
	derive_currency(old, new, stage->pipeline);
	derive_last_open_stage(old, new, stage, restores);
	derive_stamps(old, new, stage, now, restores);
	deal_set(new, DEAL_PIPELINE_ID, Int64GetDatum(stage->pipeline->id));
	deal_set(new, DEAL_STAGE_ID, Int64GetDatum(stage->id));
	derive_version(old, new, now, restores);
}

/* ----------
 * The row that a later trigger of the user left
 * ----------
 */

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

/*
 * Deriving is idempotent: what is derived from the final row must be that row.
 */
void
check_still_derived(const DealRow *old, const DealRow *new)
{
	DealRow		again = deal_row_copy(new);
	bool		changed = old == NULL || deal_int32(old, DEAL_VERSION) != deal_int32(new, DEAL_VERSION);

	if (changed && old != NULL && deal_time(new, DEAL_UPDATED_AT) <= deal_time(old, DEAL_UPDATED_AT))
		refuse_undone(new, DEAL_UPDATED_AT);

	derive_deal(old, &again, deal_time(new, DEAL_UPDATED_AT));
	for (int column = 0; column < N_DEAL_COLUMNS; column++)
		if (!deal_column_same(&again, new, column))
			refuse_undone(new, column);
}
