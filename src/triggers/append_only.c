/*
 * append_only.c
 *		The trigger that refuses changes of the log, and TRUNCATE of deals.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "base/settings.h"
#include "base/write_context.h"
#include "duplicates/deal_names.h"
#include "events/subscriptions.h"

PG_FUNCTION_INFO_V1(crm_deals_append_only);
PG_FUNCTION_INFO_V1(crm_deals_append_only_row);

/* Raises that nobody changes the log. */
static void
refuse_change_of_log(Relation log)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the log of deals is append-only"),
			 errdetail("Nobody updates or deletes events, not even its owner."),
			 errhint("Remove old events with prune_events(), erase a person with redact()."),
			 errtable(log)));
}

/* BEFORE UPDATE or DELETE … FOR EACH ROW, on the log: a statement on a parent fires no statement trigger of ours */
Datum
crm_deals_append_only_row(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"deal_event", NULL};
	TriggerData *data = trigger_data(fcinfo, BEFORE_ROW, in_maintenance() ? NULL : tables);

	if (!in_maintenance())
		refuse_change_of_log(data->tg_relation);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}

/* BEFORE UPDATE, DELETE or TRUNCATE … FOR EACH STATEMENT, on the log; BEFORE TRUNCATE on deal */
Datum
crm_deals_append_only(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"deal_event", "deal", NULL};
	TriggerData *data = trigger_data(fcinfo, BEFORE_STATEMENT, tables);
	bool		is_log = RelationGetRelid(data->tg_relation) == installed_table("deal_event");

	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event) && setting_allow_truncate)
	{
		if (is_log)
			forget_places_of_consumers();
		else
			deal_names_truncate();
		return PointerGetDatum(NULL);
	}
	if (in_maintenance() && is_log && !TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		return PointerGetDatum(NULL);

	if (!is_log)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("deals are not truncated"),
				 errdetail("TRUNCATE would leave no trace in the log."),
				 errhint("Use DELETE, or in a test suite, as superuser, set crm_deals.allow_truncate."),
				 errtable(data->tg_relation)));
	refuse_change_of_log(data->tg_relation);
	return PointerGetDatum(NULL);
}
