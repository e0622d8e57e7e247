/*
 * deal_triggers.c
 *		The three triggers of a write to deal: begin, derive, capture.
 *
 * BEFORE STATEMENT takes the writer's lock, BEFORE ROW derives, AFTER
 * STATEMENT reads the transition tables. These hold the rows that were really
 * written, as the user's own triggers left them. Each row is judged, becomes
 * one event and is notified. At the end the log is written once, and names are
 * compared.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/deal_row.h"
#include "base/settings.h"
#include "base/transition.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "config/stage_lock.h"
#include "duplicates/duplicate_check.h"
#include "events/notify.h"
#include "log/changes.h"
#include "log/event_ids.h"
#include "log/event_log.h"
#include "rules/derive.h"
#include "rules/gates.h"
#include "triggers/relatives.h"

PG_FUNCTION_INFO_V1(crm_deals_deal_begin);
PG_FUNCTION_INFO_V1(crm_deals_deal_rules);
PG_FUNCTION_INFO_V1(crm_deals_deal_delete);
PG_FUNCTION_INFO_V1(crm_deals_deal_capture);

/* ----------
 * BEFORE: the order of writers, and what a deal derives from its stage
 * ----------
 */

/* BEFORE … FOR EACH STATEMENT; no row is locked yet */
Datum
crm_deals_deal_begin(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, BEFORE_STATEMENT, NULL);

	(void) deal_table(data->tg_relation);
	refuse_relatives(data->tg_relation);
	enter_as_writer();
	write_context_claim();
	remember_cascade();
	event_ids_statement_begins();
	return PointerGetDatum(NULL);
}

/* BEFORE INSERT OR UPDATE … FOR EACH ROW; the row is locked */
Datum
crm_deals_deal_rules(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, BEFORE_ROW, NULL);
	bool		update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	HeapTuple	written = update ? data->tg_newtuple : data->tg_trigtuple;
	const DealTable *table = deal_table(data->tg_relation);
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	DealRow		new = deal_row_from_tuple(table, desc, written);

	refuse_relatives(data->tg_relation);
	refresh_pipelines();
	if (!deal_isnull(&new, DEAL_ID))
		event_ids_expect(update, deal_int64(&new, DEAL_ID));
	if (update)
	{
		DealRow		old = deal_row_from_tuple(table, desc, data->tg_trigtuple);

		refuse_contradictions(derive_deal(&old, &new, moment_of_change(&old, &new)));
	}
	else
		refuse_contradictions(derive_deal(NULL, &new, moment_of_change(NULL, &new)));

	return PointerGetDatum(deal_row_to_tuple(&new, written));
}

/* BEFORE DELETE … FOR EACH ROW */
Datum
crm_deals_deal_delete(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, BEFORE_ROW, NULL);

	(void) deal_table(data->tg_relation);
	refuse_relatives(data->tg_relation);
	return PointerGetDatum(data->tg_trigtuple);
}

/* ----------
 * AFTER: one deal
 * ----------
 */

typedef struct Capture
{
	const DealTable *table;
	EventBatch *batch;
	WriteContext *context;		/* or NULL */
	NameChanges name_changes;
	const char *actor;
	bool		ids_only;
	bool		bypass_gates;
} Capture;


/* Returns the kind of the event, the first that applies. */
static const char *
kind_of(const DealRow *old, const DealRow *new)
{
	DealStatus	status;

	if (new == NULL)
		return "deleted";
	if (old == NULL)
		return "created";
	status = deal_status(new);
	if (status != deal_status(old))
		return status == STATUS_OPEN ? "reopened" : deal_status_name(status);
	if (deal_int64(old, DEAL_STAGE_ID) != deal_int64(new, DEAL_STAGE_ID))
		return "stage_changed";
	return "updated";
}

/* Judges the row as it was really written; returns the gates that were bypassed. */
static List *
judge(Capture *capture, const DealRow *old, const DealRow *new)
{
	check_still_derived(old, new);
	if (capture->context != NULL && (capture->context->restores || capture->context->maintenance))
		return NIL;
	if (capture->context != NULL && capture->context->follows_catalogue && old != NULL &&
		deal_column_same(old, new, DEAL_STAGE_ID))
		return NIL;
	return enforce_rules(broken_rules(old, new), new, capture->bypass_gates);
}

/* Adds to the event what the function that runs the statement says of it. */
static void
apply_context(const WriteContext *context, DealEvent *event)
{
	event->note = context->note;
	event->imported = context->imports;
	if (context->kind != NULL && event->new != NULL)
		event->kind = context->kind;
	if (context->merged_into != 0 && event->new == NULL)
	{
		event->kind = "merged";
		event->merged_into = context->merged_into;
	}
}

/* Completes the event, adds it to the batch and notifies it. */
static void
log_event(Capture *capture, DealEvent *event)
{
	event->kind = kind_of(event->old, event->new);
	event->changes = deal_changes(event->old, event->new);
	if (capture->context != NULL)
		apply_context(capture->context, event);
	event->dispatch = dispatch_mark(event, capture->ids_only);
	event_batch_add(capture->batch, event);
	notify_event(event, event_batch_id(capture->batch), capture->actor, capture->ids_only);
	if (capture->context != NULL)
		capture->context->last_event_id = event->id;
}

/* Judges and logs one inserted or updated deal. */
static void
capture_write(Capture *capture, const DealRow *old, const DealRow *new)
{
	DealEvent	event = {.old = old, .new = new};

	event.bypassed = judge(capture, old, new);
	/* An update that left every column as it was is no change. */
	if (old != NULL && deal_int32(old, DEAL_VERSION) == deal_int32(new, DEAL_VERSION))
		return;
	event.version = deal_int32(new, DEAL_VERSION);
	event.occurred_at = deal_time(new, DEAL_UPDATED_AT);
	log_event(capture, &event);
	name_changes_note(&capture->name_changes, old, new);
}

/* Logs one deleted deal. */
static void
capture_delete(Capture *capture, const DealRow *old)
{
	DealEvent	event = {.old = old};

	event.version = next_version(old);
	event.occurred_at = moment_after(old);
	log_event(capture, &event);
	name_changes_note(&capture->name_changes, old, NULL);
}

/* ----------
 * AFTER: the statement
 * ----------
 */

/* Captures the rows that the readers stand on. */
static void
capture_row(Capture *capture, TransitionReader *olds, TransitionReader *news, bool has_old, bool has_new)
{
	DealRow		old;
	DealRow		new;

	if (has_old)
		old = deal_row_from_slot(capture->table, olds->slot);
	if (has_new)
		new = deal_row_from_slot(capture->table, news->slot);

	if (has_new)
		capture_write(capture, has_old ? &old : NULL, &new);
	else
		capture_delete(capture, &old);
}

/* Captures all rows that the statement wrote, each in a memory context that is reset. */
static void
capture_rows(Capture *capture, TriggerData *data)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	TransitionReader olds = transition_open(data->tg_oldtable, desc);
	TransitionReader news = transition_open(data->tg_newtable, desc);
	MemoryContext per_row = AllocSetContextCreate(CurrentMemoryContext, "crm_deals row",
												  ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		bool		has_old = transition_next(&olds);
		bool		has_new = transition_next(&news);
		MemoryContext caller;

		if (!has_old && !has_new)
			break;
		CHECK_FOR_INTERRUPTS();
		caller = MemoryContextSwitchTo(per_row);
		capture_row(capture, &olds, &news, has_old, has_new);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(per_row);
	}
	transition_close(&olds);
	transition_close(&news);
	MemoryContextDelete(per_row);
}

/* Returns whether the statement wrote no row. */
static bool
nothing_written(const TriggerData *data)
{
	Tuplestorestate *any = data->tg_newtable != NULL ? data->tg_newtable : data->tg_oldtable;

	return any == NULL || tuplestore_tuple_count(any) == 0;
}

/* Forgets the rows that the BEFORE ROW trigger counted; it counts none for a DELETE. */
static void
forget_expected(const TriggerData *data)
{
	if (!TRIGGER_FIRED_BY_DELETE(data->tg_event))
		event_ids_captured(TRIGGER_FIRED_BY_UPDATE(data->tg_event));
}

/* Judges, logs and notifies what the statement wrote, then compares its names. */
static void
capture_statement(TriggerData *data, const DealTable *table)
{
	Capture		capture = {.table = table};

	refresh_pipelines();
	capture.context = write_context();
	capture.actor = current_actor();
	capture.ids_only = data->tg_relation->rd_rel->relrowsecurity;
	capture.bypass_gates = !setting_enforce_gates ||
		(capture.context != NULL && capture.context->override_gates);
	capture.batch = event_batch_begin(capture.table, capture.actor);
	if (capture.context != NULL && capture.context->one_batch)
		event_batch_join(capture.batch, capture.context->batch_id);
	capture.name_changes = name_changes_begin();

	capture_rows(&capture, data);
	if (capture.context != NULL)
		write_context_batch_is(capture.context, event_batch_id(capture.batch));
	forget_expected(data);
	if (event_batch_write(capture.batch) > 0)
		notify_doorbell();
	/* Undo and restore are never refused as duplicates, and erased names are not compared. */
	if (capture.context != NULL && capture.context->maintenance)
		capture.name_changes.any_checked = false;
	check_duplicates(&capture.name_changes, capture.context == NULL || !capture.context->restores);
}

/* AFTER INSERT, UPDATE or DELETE ... FOR EACH STATEMENT */
Datum
crm_deals_deal_capture(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, AFTER_STATEMENT, NULL);
	const DealTable *table = deal_table(data->tg_relation);

	if (nothing_written(data))
		forget_expected(data);
	else
		capture_statement(data, table);
	return PointerGetDatum(NULL);
}
