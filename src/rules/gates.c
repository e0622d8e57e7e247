/*
 * gates.c
 *		The one place that says which rules a move breaks.
 *
 * Gates judge a deal that enters a stage, never one that stays, nor a closed
 * one that keeps its status. A change of pipeline counts as an insert there.
 * The deals that are judged have their derived values already.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "parser/parse_coerce.h"

#include "base/deal_row.h"
#include "base/json.h"
#include "base/texts.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "rules/custom_fields.h"
#include "rules/gates.h"

#define OVERRIDE_HINT \
	"A role of level manager can override it with move_deal(override => 'reason')."

typedef struct Move
{
	const DealRow *old;			/* or NULL for an insert */
	const DealRow *new;
	const Stage *from;			/* or NULL for an insert or a change of pipeline */
	const Stage *to;
	const Pipeline *pipeline;
} Move;

/* Returns a gate that forbids the move. */
static BrokenRule *
broken_gate(const char *rule, char *detail)
{
	BrokenRule *result = broken_rule(rule, "deal_gate", DEAL_STAGE_ID, "a gate forbids this move", detail);

	result->is_gate = true;
	result->hint = OVERRIDE_HINT;
	return result;
}

/* ----------
 * Doors that are shut
 * ----------
 */

/* Judges whether the pipeline takes deals. */
static BrokenRule *
judge_pipeline_active(const Move *move)
{
	if (move->from != NULL || move->pipeline->is_active)
		return NULL;
	return broken_rule("pipeline_active", "deal_pipeline_active", DEAL_PIPELINE_ID,
				  "the pipeline takes no new deals",
				  psprintf("Pipeline \"%s\" is not active.", move->pipeline->name));
}

/* Judges whether the stage takes deals. */
static BrokenRule *
judge_archived(const Move *move)
{
	if (!move->to->archived)
		return NULL;
	return broken_rule("stage_archived", "deal_stage_archived", DEAL_STAGE_ID,
				  "the stage takes no deals any more",
				  psprintf("Stage \"%s\" is archived.", move->to->name));
}

/* ----------
 * forbid_skipping
 * ----------
 */

/* Returns what is wrong if a deal does not start in the first open stage. */
static char *
skipping_start(const Move *move)
{
	const Stage *first = first_open_stage(move->pipeline);

	if (first == NULL || move->to == first)
		return NULL;
	return psprintf("A deal starts in \"%s\", not in \"%s\".", first->name, move->to->name);
}

/* Returns what is wrong if a deal is reopened beyond the last open stage that it was in. */
static char *
skipping_reopen(const Move *move, const Stage *was_in)
{
	const Stage *limit = was_in != NULL ? was_in : first_open_stage(move->pipeline);

	if (limit == NULL || move->to->position <= limit->position)
		return NULL;
	return psprintf("The deal can be reopened up to \"%s\", not in \"%s\".", limit->name, move->to->name);
}

/* Returns what is wrong if an open deal goes further than to the next open stage. */
static char *
skipping_forward(const Move *move)
{
	const Stage *next = next_open_stage(move->pipeline, move->from->position);

	if (move->to->position <= move->from->position || move->to == next)
		return NULL;
	return psprintf("After \"%s\" comes \"%s\", not \"%s\".", move->from->name,
					next != NULL ? next->name : move->to->name, move->to->name);
}

/* Returns what is wrong if a deal is won from any but the last open stage. */
static char *
skipping_to_won(const Move *move, const Stage *was_in)
{
	const Stage *last = last_open_stage(move->pipeline);

	if (last == NULL || move->from->status == STATUS_WON)
		return NULL;
	if (was_in != NULL && was_in->position >= last->position)
		return NULL;
	return psprintf("\"%s\" is entered from \"%s\" only.", move->to->name, last->name);
}

/* Returns the open stage that the deal is in, or was in before it was closed. */
static const Stage *
open_stage_of(const Move *move)
{
	const Stage *stage;

	if (move->from->status == STATUS_OPEN)
		return move->from;
	if (deal_isnull(move->old, DEAL_LAST_OPEN_STAGE_ID))
		return NULL;
	stage = find_stage(deal_int64(move->old, DEAL_LAST_OPEN_STAGE_ID));
	return stage != NULL && stage->pipeline->id == move->pipeline->id ? stage : NULL;
}

/* Judges the gate forbid_skipping: no open stage is left out. */
static BrokenRule *
judge_skipping(const Move *move)
{
	char	   *detail = NULL;

	if (!move->pipeline->forbid_skipping)
		return NULL;
	if (move->from == NULL)
		detail = skipping_start(move);
	else if (move->to->status == STATUS_WON)
		detail = skipping_to_won(move, open_stage_of(move));
	else if (move->to->status == STATUS_OPEN)
		detail = move->from->status == STATUS_OPEN
			? skipping_forward(move) : skipping_reopen(move, open_stage_of(move));
	return detail != NULL ? broken_gate("forbid_skipping", detail) : NULL;
}

/* ----------
 * forbid_backward, forbid_unlisted
 * ----------
 */

/* Judges the gate forbid_backward: never to an earlier open stage, nor from closed to open. */
static BrokenRule *
judge_backward(const Move *move)
{
	if (!move->pipeline->forbid_backward || move->from == NULL || move->to->status != STATUS_OPEN)
		return NULL;
	if (move->from->status != STATUS_OPEN)
		return broken_gate("forbid_backward",
						   psprintf("A closed deal is not reopened in pipeline \"%s\".", move->pipeline->name));
	if (move->to->position >= move->from->position)
		return NULL;
	return broken_gate("forbid_backward",
					   psprintf("\"%s\" comes before \"%s\".", move->to->name, move->from->name));
}

/* Returns whether stage_transition lists the move. */
static bool
is_listed(const Move *move)
{
	int64		from = move->from != NULL ? move->from->id : 0;

	for (int i = 0; i < move->to->n_allowed_from; i++)
		if (move->to->allowed_from[i] == from)
			return true;
	return false;
}

/* Judges the gate forbid_unlisted: moves to open and won stages must be listed. */
static BrokenRule *
judge_unlisted(const Move *move)
{
	if (!move->pipeline->forbid_unlisted || is_listed(move))
		return NULL;
	if (move->to->status == STATUS_LOST || move->to->status == STATUS_ABANDONED)
		return NULL;
	if (move->from == NULL)
	{
		if (!move->pipeline->has_listed_start && move->to == first_open_stage(move->pipeline))
			return NULL;
		return broken_gate("forbid_unlisted",
						   psprintf("\"%s\" is not listed as a start.", move->to->name));
	}
	return broken_gate("forbid_unlisted",
					   psprintf("The move from \"%s\" to \"%s\" is not listed.",
								move->from->name, move->to->name));
}

/* ----------
 * required_fields
 * ----------
 */

/* Returns whether the custom field holds anything. */
static bool
custom_field_is_there(const DealRow *row, const char *key)
{
	JsonbValue	value;

	return !deal_isnull(row, DEAL_CUSTOM_FIELDS) &&
		json_get(DatumGetJsonbP(deal_get(row, DEAL_CUSTOM_FIELDS)), key, strlen(key), &value) &&
		json_is_filled(&value);
}

/* Returns whether the column holds anything; a blank text holds nothing. */
static bool
column_is_there(const DealRow *row, const char *name)
{
	int			number = SPI_fnumber(row->desc, name);

	if (number <= 0 || row->isnull[number - 1])
		return false;
	if (TypeCategory(TupleDescAttr(row->desc, number - 1)->atttypid) == TYPCATEGORY_STRING &&
		TupleDescAttr(row->desc, number - 1)->attlen == -1)
	{
		text	   *value = DatumGetTextPP(row->values[number - 1]);

		return !is_blank(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	}
	return true;
}

/* Adds the stage's required fields that the row lacks, each name once. */
static List *
add_missing(List *missing, const Stage *stage, const DealRow *row)
{
	for (int i = 0; i < stage->n_required; i++)
	{
		RequiredField *field = &stage->required[i];
		ListCell   *cell;
		bool		named = false;

		if (field->custom_key != NULL ? custom_field_is_there(row, field->custom_key)
			: column_is_there(row, field->name))
			continue;
		foreach(cell, missing)
			named = named || strcmp(lfirst(cell), field->name) == 0;
		if (!named)
			missing = lappend(missing, field->name);
	}
	return missing;
}

/* Returns the missing fields. An open or won stage also requires what the open stages before it require. */
static List *
missing_fields(const Move *move)
{
	List	   *missing = NIL;
	const Pipeline *pipeline = move->pipeline;

	if (move->to->status == STATUS_OPEN || move->to->status == STATUS_WON)
		for (int i = 0; i < pipeline->n_stages; i++)
		{
			const Stage *stage = &pipeline->stages[i];

			if (stage->status == STATUS_OPEN && !stage->archived && stage->position < move->to->position)
				missing = add_missing(missing, stage, move->new);
		}
	return add_missing(missing, move->to, move->new);
}

/* Judges whether the deal has the fields that the stage requires. */
static BrokenRule *
judge_required_fields(const Move *move)
{
	List	   *missing = missing_fields(move);
	StringInfoData detail;
	BrokenRule *result;
	char	  **names = palloc(sizeof(char *) * Max(list_length(missing), 1));
	ListCell   *cell;

	if (missing == NIL)
		return NULL;
	initStringInfo(&detail);
	appendStringInfo(&detail, "Stage \"%s\" needs ", move->to->name);
	foreach(cell, missing)
	{
		names[foreach_current_index(cell)] = lfirst(cell);
		appendStringInfo(&detail, "%s%s", foreach_current_index(cell) > 0 ? ", " : "", (char *) lfirst(cell));
	}
	appendStringInfoChar(&detail, '.');

	result = broken_rule("required_fields", "deal_required_fields", DEAL_STAGE_ID,
					"the stage requires fields that are not filled in", detail.data);
	result->is_gate = true;
	result->hint = "Fill them in with the same statement, or before.";
	broken_rule_names(result, "missing", names, list_length(missing));
	return result;
}

/* ----------
 * Lost reason, custom fields
 * ----------
 */

/* Returns whether the reason is in the catalogue; a pipeline without one accepts any. */
static bool
in_catalogue(const Pipeline *pipeline, const char *reason)
{
	for (int i = 0; i < pipeline->n_lost_reasons; i++)
		if (strcmp(pipeline->lost_reasons[i], reason) == 0)
			return true;
	return pipeline->n_lost_reasons == 0;
}

/* Returns that the reason for losing the deal is missing or wrong. */
static BrokenRule *
broken_lost_reason(const Pipeline *pipeline, const char *message, char *detail)
{
	BrokenRule *result = broken_rule("lost_reason", "deal_lost_reason", DEAL_LOST_REASON, message, detail);

	if (pipeline->n_lost_reasons > 0)
		broken_rule_names(result, "reasons", pipeline->lost_reasons, pipeline->n_lost_reasons);
	return result;
}

/* Judges the reason of a lost deal: the pipeline may require one, and one of its catalogue. */
static BrokenRule *
judge_lost_reason(const Move *move)
{
	const Pipeline *pipeline = move->pipeline;
	char	   *reason = deal_isnull(move->new, DEAL_LOST_REASON) ? NULL : deal_text(move->new, DEAL_LOST_REASON);

	if (reason == NULL || is_blank(reason, strlen(reason)))
	{
		if (!pipeline->lost_reason_required)
			return NULL;
		return broken_lost_reason(pipeline, "a lost deal needs a reason",
								  psprintf("Pipeline \"%s\" requires lost_reason in stage \"%s\".",
										   pipeline->name, move->to->name));
	}
	if (in_catalogue(pipeline, reason))
		return NULL;
	return broken_lost_reason(pipeline, "the lost reason is not one of the pipeline's",
							  psprintf("\"%s\" is not one of %s.", reason,
									   quoted_list(pipeline->lost_reasons, pipeline->n_lost_reasons)));
}

/* Judges the custom fields that the write changes. */
static BrokenRule *
judge_custom_fields(const Move *move)
{
	const DealRow *old = move->old;
	bool		had_any = old != NULL && !deal_isnull(old, DEAL_CUSTOM_FIELDS);
	char	   *wrong;

	if (deal_isnull(move->new, DEAL_CUSTOM_FIELDS) ||
		(had_any && deal_column_same(old, move->new, DEAL_CUSTOM_FIELDS)))
		return NULL;
	wrong = wrong_custom_fields(move->pipeline->deal_fields,
								had_any ? DatumGetJsonbP(deal_get(old, DEAL_CUSTOM_FIELDS)) : NULL,
								DatumGetJsonbP(deal_get(move->new, DEAL_CUSTOM_FIELDS)));
	if (wrong == NULL)
		return NULL;
	return broken_rule("custom_fields", "deal_custom_fields", DEAL_CUSTOM_FIELDS,
				  "custom fields of the deal are not as defined", wrong);
}

/* ----------
 * The judgement
 * ----------
 */

/* Adds the rule to the list, unless it holds. */
static List *
add_broken(List *list, BrokenRule *rule)
{
	return rule != NULL ? lappend(list, rule) : list;
}

/* Judges the deal against all gates and returns what it breaks. */
List *
broken_rules(const DealRow *old, const DealRow *new)
{
	Move		move = {.old = old, .new = new, .to = find_stage(deal_int64(new, DEAL_STAGE_ID))};
	const Stage *from = old != NULL ? find_stage(deal_int64(old, DEAL_STAGE_ID)) : NULL;
	List	   *list = NIL;
	DealStatus	was = old != NULL ? deal_status(old) : STATUS_OPEN;
	bool		enters;
	bool		stays_closed;

	if (move.to == NULL || (old != NULL && from == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("the stage of deal %lld does not exist", (long long) deal_int64(new, DEAL_ID)),
				 err_deal(DEAL_STAGE_ID, "deal_stage_fkey")));
	move.pipeline = move.to->pipeline;
	if (from != NULL && from->pipeline->id == move.pipeline->id)
		move.from = from;
	enters = from == NULL || from->id != move.to->id;
	stays_closed = was != STATUS_OPEN && was == move.to->status;

	if (enters)
	{
		list = add_broken(list, judge_pipeline_active(&move));
		list = add_broken(list, judge_archived(&move));
	}
	if (enters && !stays_closed)
	{
		list = add_broken(list, judge_skipping(&move));
		list = add_broken(list, judge_backward(&move));
		list = add_broken(list, judge_unlisted(&move));
		list = add_broken(list, judge_required_fields(&move));
	}
	if (move.to->status == STATUS_LOST &&
		(!stays_closed || !deal_column_same(old, new, DEAL_LOST_REASON)))
		list = add_broken(list, judge_lost_reason(&move));
	return add_broken(list, judge_custom_fields(&move));
}

/* Raises the rule with the details of all rules that are broken. */
static void
raise_first(const BrokenRule *first, List *broken, const DealRow *new)
{
	StringInfoData detail;
	ListCell   *cell;

	initStringInfo(&detail);
	/* A statement in the owner's name may be about a deal that the caller cannot see. */
	if (!acts_in_owners_name())
		appendStringInfo(&detail, "Deal %lld: ", (long long) deal_int64(new, DEAL_ID));
	foreach(cell, broken)
		appendStringInfo(&detail, "%s%s", foreach_current_index(cell) > 0 ? "\n" : "",
						 ((BrokenRule *) lfirst(cell))->detail);
	raise_broken_rule(first, detail.data);
}

/* Raises the first rule that cannot be bypassed, and returns the names of the others. */
List *
enforce_rules(List *broken, const DealRow *new, bool bypass_gates)
{
	List	   *bypassed = NIL;
	ListCell   *cell;

	foreach(cell, broken)
	{
		BrokenRule *rule = lfirst(cell);

		if (!rule->is_gate || !bypass_gates)
			raise_first(rule, broken, new);
		bypassed = lappend(bypassed, unconstify(char *, rule->rule));
	}
	return bypassed;
}
