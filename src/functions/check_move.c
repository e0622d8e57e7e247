/*
 * check_move.c
 *		Says which rules a change of a deal would break, before the change is made.
 *
 * check_move(), move_deals() and the import come here. The answer is given by
 * the code that the triggers run.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/arguments.h"
#include "base/deal_row.h"
#include "base/result_set.h"
#include "base/settings.h"
#include "config/pipeline_cache.h"
#include "config/stage_lookup.h"
#include "rules/derive.h"
#include "rules/gates.h"

PG_FUNCTION_INFO_V1(crm_deals_rules_broken_by_move);
PG_FUNCTION_INFO_V1(crm_deals_why_not);
PG_FUNCTION_INFO_V1(crm_deals_import_broken_rules);

/* ----------
 * Deals as arguments
 * ----------
 */

/* Refuses a row of any other type: the argument is declared anyelement, since the row type of deal is the user's. */
static void
check_is_deal(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	if (!OidIsValid(type) || type != get_rel_type_id(installed_table("deal")))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a row of crm_deals.deal is needed")));
}

/* Returns the argument as a row of deal.  The caller releases the descriptor. */
static DealRow
deal_argument(FunctionCallInfo fcinfo, int number, TupleDesc *desc)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(number);
	const DealTable *table = deal_table_by_name();
	HeapTupleData tuple = {0};

	*desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	tuple.t_data = header;
	return deal_row_from_tuple(table, *desc, &tuple);
}

/* ----------
 * Moves
 * ----------
 */

/* Returns the rules that a move to the stage would break. */
static List *
broken_by_move(const DealRow *deal, const Stage *to, const char *lost_reason)
{
	DealRow		moved = deal_row_copy(deal);
	List	   *broken;

	deal_set(&moved, DEAL_STAGE_ID, Int64GetDatum(to->id));
	if (lost_reason != NULL)
		deal_set(&moved, DEAL_LOST_REASON, CStringGetTextDatum(lost_reason));
	broken = derive_deal(deal, &moved, moment_after(deal));
	return list_concat(broken_rules(deal, &moved), broken);
}

/* broken_rules(deal, to_stage_id, lost_reason, override): a row for each rule that the move would break */
Datum
crm_deals_rules_broken_by_move(PG_FUNCTION_ARGS)
{
	bool		override = !setting_enforce_gates || bool_argument(fcinfo, 3);
	ReturnSetInfo *result;
	TupleDesc	desc;
	DealRow		deal;
	ListCell   *cell;

	check_is_deal(fcinfo);
	result = result_set_begin(fcinfo);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	AcceptInvalidationMessages();
	refresh_pipelines();

	deal = deal_argument(fcinfo, 0, &desc);
	foreach(cell, broken_by_move(&deal, known_stage(PG_GETARG_INT64(1)), text_argument(fcinfo, 2)))
	{
		const BrokenRule *rule = lfirst(cell);
		Datum		values[3] = {
			CStringGetTextDatum(rule->rule), CStringGetTextDatum(broken_rule_text(rule)), rule->data
		};
		bool		isnull[3] = {false, false, rule->data == (Datum) 0};

		if (!override || !rule->is_gate)
			result_set_add(result, values, isnull);
	}
	ReleaseTupleDesc(desc);
	return (Datum) 0;
}

/* ----------
 * Any change
 * ----------
 */

/* Adds the rules to the text, one a line; gates only if they count. */
static void
append_rules(StringInfo why, List *broken, bool gates)
{
	ListCell   *cell;

	foreach(cell, broken)
	{
		const BrokenRule *rule = lfirst(cell);

		if (rule->is_gate && !gates)
			continue;
		appendStringInfo(why, "%s%s", why->len > 0 ? "\n" : "", rule->message);
		if (rule->detail != NULL)
			appendStringInfo(why, ": %s", rule->detail);
	}
}

/*
 * Returns why a deal may not become so, or NULL if it may.  A deal that
 * contradicts its stage is not judged by the gates.
 */
static char *
why_not(const DealRow *old, DealRow *new, bool gates)
{
	List	   *broken;
	StringInfoData why;

	/* An import's probability of a closed deal is derived. */
	if (old != NULL && deal_status(old) != STATUS_OPEN)
		deal_set_from(new, old, DEAL_PROBABILITY);
	broken = derive_deal(old, new, moment_after(old));

	initStringInfo(&why);
	append_rules(&why, broken != NIL ? broken : broken_rules(old, new), gates);
	return why.len > 0 ? why.data : NULL;
}

/* Answers a call (old, new): "old" is NULL for a new deal. */
static Datum
answer(FunctionCallInfo fcinfo, bool gates, char *(*judge) (const DealRow *old, DealRow *new, bool gates))
{
	TupleDesc	old_desc = NULL;
	TupleDesc	new_desc;
	DealRow		old;
	DealRow		new;
	char	   *why;

	check_is_deal(fcinfo);
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	refresh_pipelines();
	if (!PG_ARGISNULL(0))
		old = deal_argument(fcinfo, 0, &old_desc);
	new = deal_argument(fcinfo, 1, &new_desc);

	why = judge(old_desc != NULL ? &old : NULL, &new, gates);
	if (old_desc != NULL)
		ReleaseTupleDesc(old_desc);
	ReleaseTupleDesc(new_desc);
	if (why == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(why));
}

/* why_not(old, new, gates) */
Datum
crm_deals_why_not(PG_FUNCTION_ARGS)
{
	return answer(fcinfo, bool_argument(fcinfo, 2) && setting_enforce_gates, why_not);
}

/* ----------
 * A row of an import
 * ----------
 */

/* Returns the existing deal as a row of an import wants it. */
static DealRow
as_stated(const DealRow *old, const DealRow *stated, DealStatus status)
{
	DealRow		new = deal_row_copy(old);

	deal_set_from(&new, stated, DEAL_STAGE_ID);
	deal_set_from(&new, stated, DEAL_CUSTOM_FIELDS);
	if (!deal_isnull(stated, DEAL_CREATED_AT))
		deal_set_from(&new, stated, DEAL_CREATED_AT);
	if (status == STATUS_LOST)
		deal_set_from(&new, stated, DEAL_LOST_REASON);
	return new;
}

/*
 * Returns the rules that a row of an import breaks, or NULL.  The row must
 * agree with itself, as a new deal must: what it says counts even if the deal
 * has that value already.  Then the deal is judged as the row wants it.
 */
static char *
why_not_import(const DealRow *old, DealRow *stated, bool gates)
{
	DealRow		new = deal_row_copy(stated);
	List	   *contradictions = derive_deal(NULL, &new, moment_after(NULL));
	const Stage *stage = deal_isnull(&new, DEAL_STAGE_ID) ? NULL : find_stage(deal_int64(&new, DEAL_STAGE_ID));
	StringInfoData why;

	if (stage != NULL && old != NULL)
	{
		new = as_stated(old, stated, stage->status);
		contradictions = list_concat(contradictions, derive_deal(old, &new, moment_after(old)));
	}
	initStringInfo(&why);
	append_rules(&why, contradictions, gates);
	if (stage != NULL)
		append_rules(&why, broken_rules(old, &new), gates);
	return why.len > 0 ? why.data : NULL;
}

/* import_broken_rules(old, stated) */
Datum
crm_deals_import_broken_rules(PG_FUNCTION_ARGS)
{
	return answer(fcinfo, false, why_not_import);
}
