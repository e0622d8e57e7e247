/*
 * notify.c
 *		Decides what of a statement is notified.
 *
 * PostgreSQL sends a notification at commit and drops it on rollback. The
 * counts and summaries here follow the same subtransactions.
 *
 * A commit that notifies takes one lock for the whole cluster, and it fails if
 * the queue is full. Therefore the first deals of a transaction are notified
 * one by one, up to crm_deals.notify_limit, and the others by one summary for
 * each channel. If the queue is half full, nothing is sent. Under
 * crm_deals.notify = dispatch, writers only mark their events in the log, and
 * the dispatcher notifies after the commit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/deal_row.h"
#include "base/settings.h"
#include "config/pipeline_cache.h"
#include "events/channels.h"
#include "events/dispatcher.h"
#include "events/notify.h"
#include "events/notify_send.h"
#include "events/subscriptions.h"

typedef struct Summary
{
	int64		batch_id;		/* 0: of several batches */
	int64		count;
	int64		first_event_id;
	int64		last_event_id;
} Summary;

/* What a transaction or subtransaction has notified; its parent gets it when it commits. */
typedef struct Notified
{
	int			level;
	int			deals;			/* notified one by one, the parents' included */
	int64		left_to_count;	/* events for the dispatcher's summary, likewise */
	Summary		summaries[N_CHANNELS];
	struct Notified *parent;
} Notified;

static Notified *notified = NULL;

typedef enum QueueState
{
	QUEUE_UNKNOWN,
	QUEUE_FREE,
	QUEUE_FILLED
} QueueState;

static QueueState queue_state = QUEUE_UNKNOWN;

/* Whether this transaction has written events for the dispatcher */
static bool left_to_dispatcher = false;

/* ----------
 * Transactions and subtransactions
 * ----------
 */

/* Returns what the running subtransaction has notified. A new one starts with the counts of its parent. */
static Notified *
notified_here(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (notified == NULL || notified->level < level)
	{
		Notified   *here = MemoryContextAllocZero(TopTransactionContext, sizeof(Notified));

		here->level = level;
		here->deals = notified != NULL ? notified->deals : 0;
		here->left_to_count = notified != NULL ? notified->left_to_count : 0;
		here->parent = notified;
		notified = here;
	}
	return notified;
}

/* Adds the events of one summary to another. */
static void
add_to_summary(Summary *summary, const Summary *more)
{
	if (more->count == 0)
		return;
	if (summary->count == 0)
	{
		*summary = *more;
		return;
	}
	if (summary->batch_id != more->batch_id)
		summary->batch_id = 0;
	summary->count += more->count;
	summary->first_event_id = Min(summary->first_event_id, more->first_event_id);
	summary->last_event_id = Max(summary->last_event_id, more->last_event_id);
}

/*
 * Gives what a subtransaction has notified to its parent, or drops it on
 * rollback. If the parent has notified nothing itself, the entry becomes the
 * parent's.
 */
static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	Notified   *done = notified;
	int			level = GetCurrentTransactionNestLevel();

	(void) mine;
	(void) parent;
	(void) arg;
	if (done == NULL || done->level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		notified = done->parent;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		done->level = level - 1;
		if (done->parent != NULL && done->parent->level == level - 1)
		{
			done->parent->deals = done->deals;
			done->parent->left_to_count = done->left_to_count;
			for (int channel = 0; channel < N_CHANNELS; channel++)
				add_to_summary(&done->parent->summaries[channel], &done->summaries[channel]);
			notified = done->parent;
		}
	}
}

/* Sends the summaries of the transaction. */
static void
send_summaries(void)
{
	if (notified == NULL)
		return;
	for (int channel = 0; channel < N_CHANNELS; channel++)
	{
		const Summary *summary = &notified->summaries[channel];

		if (summary->count > 0)
			send_summary(channel, summary->batch_id, summary->count,
						 summary->first_event_id, summary->last_event_id);
	}
}

/* Sends the summaries before commit, wakes the dispatcher after it, and forgets the transaction. */
static void
on_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		send_summaries();
		if (left_to_dispatcher)
			summon_dispatcher();
	}
	else
	{
		if (event == XACT_EVENT_COMMIT && left_to_dispatcher)
			wake_dispatcher();
		notified = NULL;
		queue_state = QUEUE_UNKNOWN;
		left_to_dispatcher = false;
	}
}

/* Registers the callbacks. */
void
notify_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* ----------
 * Whether to send at all
 * ----------
 */

/* Returns whether the queue is too full to send. Looks, and warns, once in a transaction. */
static bool
queue_is_filled(void)
{
	if (queue_state == QUEUE_UNKNOWN)
	{
		queue_state = notification_queue_is_filled() ? QUEUE_FILLED : QUEUE_FREE;
		if (queue_state == QUEUE_FILLED)
			ereport(WARNING,
					(errmsg("the notification queue is more than half full: nothing is sent"),
					 errdetail("The change is in the log of deals as always."),
					 errhint("A session that listens in a long transaction holds the queue; "
							 "pg_notification_queue_usage() shows how full it is.")));
	}
	return queue_state == QUEUE_FILLED;
}

/* ----------
 * One event
 * ----------
 */

/* Returns the channels that the event concerns: none for an import and for a delete. */
static Channels
channels_of_event(const DealEvent *event)
{
	bool		is_new = event->old == NULL;

	if (event->new == NULL || event->imported)
		return 0;
	return channels_of(is_new ? 0 : deal_int64(event->old, DEAL_STAGE_ID),
					   is_new ? STATUS_OPEN : deal_status(event->old),
					   deal_int64(event->new, DEAL_STAGE_ID), deal_status(event->new));
}

/* Counts the deal; returns whether the transaction may still send a notification of its own for it. */
static bool
one_by_one(void)
{
	if (notified_here()->deals >= setting_notify_limit)
		return false;
	notified_here()->deals++;
	return true;
}

/* Returns the stage of the deal as a payload shows it. */
static EventStage
stage_of(const DealRow *row)
{
	EventStage	stage = {0};
	const Stage *known;

	if (row == NULL)
		return stage;
	stage.id = deal_int64(row, DEAL_STAGE_ID);
	known = find_stage(stage.id);
	if (known != NULL)
	{
		stage.key = known->key;
		stage.name = known->name;
	}
	return stage;
}

/* Returns what a payload says of the event. */
static EventFacts
facts_of(const DealEvent *event, int64 batch_id, const char *actor)
{
	const DealRow *deal = event->new;
	EventFacts	facts = {
		.event_id = event->id,
		.batch_id = batch_id,
		.deal_id = deal_int64(deal, DEAL_ID),
		.deal_name = deal_text(deal, DEAL_NAME),
		.pipeline_id = deal_int64(deal, DEAL_PIPELINE_ID),
		.old_stage = stage_of(event->old),
		.new_stage = stage_of(deal),
		.status = deal_status_name(deal_status(deal)),
		.currency = deal_text(deal, DEAL_CURRENCY),
		.actor = actor,
		.occurred_at = event->occurred_at,
	};

	if (!deal_isnull(deal, DEAL_AMOUNT))
		facts.amount = DatumGetCString(DirectFunctionCall1(numeric_out, deal_get(deal, DEAL_AMOUNT)));
	return facts;
}

/* Adds the event to the summaries of its channels. */
static void
count_one(Channels channels, const DealEvent *event, int64 batch_id)
{
	Summary		one = {batch_id, 1, event->id, event->id};

	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (channels & channel_bit(channel))
			add_to_summary(&notified_here()->summaries[channel], &one);
}

/* Notifies the event by itself, or counts it for the summaries. */
void
notify_event(const DealEvent *event, int64 batch_id, const char *actor, bool ids_only)
{
	Channels	channels;

	if (setting_notify != NOTIFY_ON || (channels = channels_of_event(event)) == 0 || queue_is_filled())
		return;
	if (one_by_one())
	{
		EventFacts	facts = facts_of(event, batch_id, actor);

		send_event(channels, &facts, ids_only || setting_notify_ids_only);
	}
	else
		count_one(channels, event, batch_id);
}

/* Tells consumers, if there are any, that something is new in the log. */
void
notify_doorbell(void)
{
	if (setting_notify == NOTIFY_ON && any_consumer() && !queue_is_filled())
		send_doorbell();
}

/*
 * Returns what the dispatcher is to send of the event, or NULL. Only the first
 * event beyond the limit is marked "summary".
 */
const char *
dispatch_mark(const DealEvent *event, bool ids_only)
{
	if (setting_notify != NOTIFY_DISPATCH)
		return NULL;
	if (channels_of_event(event) == 0)
	{
		if (!any_consumer())
			return NULL;
		left_to_dispatcher = true;
		return "doorbell";
	}
	left_to_dispatcher = true;
	if (one_by_one())
		return ids_only || setting_notify_ids_only ? "ids" : "full";
	return notified_here()->left_to_count++ == 0 ? "summary" : "counted";
}

