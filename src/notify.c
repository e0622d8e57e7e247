/*
 * notify.c
 *		Notifications of stage and status changes, sent at commit.
 *
 * PostgreSQL keeps what Async_Notify() is given until commit and drops it on
 * rollback; the counts and summaries here follow the same subtransactions.
 * A notifying commit takes one lock for the whole cluster, and a full queue
 * fails it, hence the limit, the summaries and the look at the queue.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "deal_row.h"
#include "notify.h"
#include "pipeline_cache.h"
#include "settings.h"

#define MAX_PAYLOAD 7999
#define QUEUE_LIMIT 0.5

typedef enum Channel
{
	CHANNEL_STAGE_CHANGED,
	CHANNEL_WON,
	CHANNEL_LOST,
	CHANNEL_ABANDONED,
	CHANNEL_REOPENED
} Channel;

#define N_CHANNELS (CHANNEL_REOPENED + 1)

/* the channel is crm_deals_NAME, the event deal.NAME */
static const char *const channel_names[N_CHANNELS] = {
	[CHANNEL_STAGE_CHANGED] = "stage_changed",
	[CHANNEL_WON] = "won",
	[CHANNEL_LOST] = "lost",
	[CHANNEL_ABANDONED] = "abandoned",
	[CHANNEL_REOPENED] = "reopened",
};

typedef struct Summary
{
	int64		batch_id;		/* 0: several */
	int64		count;
	int64		first_event_id;
	int64		last_event_id;
} Summary;

/* What a (sub)transaction has notified; its parent gets it when it commits. */
typedef struct Notified
{
	int			level;
	int			deals;			/* one by one, those of the parents included */
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

/* ----------
 * Per transaction and subtransaction
 * ----------
 */

static Notified *
notified_here(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (notified == NULL || notified->level < level)
	{
		Notified   *here = MemoryContextAllocZero(TopTransactionContext, sizeof(Notified));

		here->level = level;
		here->deals = notified != NULL ? notified->deals : 0;
		here->parent = notified;
		notified = here;
	}
	return notified;
}

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
			for (int channel = 0; channel < N_CHANNELS; channel++)
				add_to_summary(&done->parent->summaries[channel], &done->summaries[channel]);
			notified = done->parent;
		}
	}
}

static void
send(Channel channel, const char *payload)
{
	char		name[NAMEDATALEN];

	snprintf(name, sizeof(name), "crm_deals_%s", channel_names[channel]);
	Async_Notify(name, payload);
}

static void
send_summary(Channel channel, const Summary *summary)
{
	char	   *batch = summary->batch_id != 0
		? psprintf(INT64_FORMAT, summary->batch_id) : pstrdup("null");

	send(channel, psprintf("{\"event\": \"deal.%s\", \"batch_id\": %s, \"count\": " INT64_FORMAT
						   ", \"first_event_id\": " INT64_FORMAT ", \"last_event_id\": " INT64_FORMAT "}",
						   channel_names[channel], batch, summary->count,
						   summary->first_event_id, summary->last_event_id));
}

static void
send_summaries(void)
{
	if (notified == NULL)
		return;
	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (notified->summaries[channel].count > 0)
			send_summary(channel, &notified->summaries[channel]);
}

static void
on_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		send_summaries();
	else
	{
		notified = NULL;
		queue_state = QUEUE_UNKNOWN;
	}
}

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

static bool
queue_is_filled(void)
{
	if (queue_state == QUEUE_UNKNOWN)
	{
		float8		usage = DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));

		queue_state = usage > QUEUE_LIMIT ? QUEUE_FILLED : QUEUE_FREE;
		if (queue_state == QUEUE_FILLED)
			ereport(WARNING,
					(errmsg("the notification queue is more than half full: nothing is sent"),
					 errdetail("The change is in the log of deals as always."),
					 errhint("A session that listens in a long transaction holds the queue; "
							 "pg_notification_queue_usage() shows how full it is.")));
	}
	return queue_state == QUEUE_FILLED;
}

void
notify_doorbell(void)
{
	if (setting_notify && any_consumer() && !queue_is_filled())
		Async_Notify("crm_deals", "");
}

/* ----------
 * Payloads
 * ----------
 */

/* A text as JSON, cut to so many bytes of whole characters */
static void
append_text(StringInfo json, const char *text, int limit)
{
	int			length = strlen(text);

	if (length > limit)
		text = pnstrdup(text, pg_mbcliplen(text, length, limit));
	escape_json(json, text);
}

static void
append_stage(StringInfo json, const char *name, const DealRow *row, bool ids_only, int limit)
{
	const Stage *stage;

	appendStringInfo(json, ", \"%s\": ", name);
	if (row == NULL)
	{
		appendStringInfoString(json, "null");
		return;
	}
	appendStringInfo(json, "{\"id\": " INT64_FORMAT, deal_int64(row, DEAL_STAGE_ID));
	if (!ids_only && (stage = find_stage(deal_int64(row, DEAL_STAGE_ID))) != NULL)
	{
		appendStringInfoString(json, ", \"key\": ");
		append_text(json, stage->key, limit);
		appendStringInfoString(json, ", \"name\": ");
		append_text(json, stage->name, limit);
	}
	appendStringInfoChar(json, '}');
}

static void
append_amount(StringInfo json, const DealRow *row)
{
	appendStringInfo(json, ", \"amount\": %s, \"currency\": ",
					 deal_isnull(row, DEAL_AMOUNT) ? "null"
					 : DatumGetCString(DirectFunctionCall1(numeric_out, deal_get(row, DEAL_AMOUNT))));
	escape_json(json, deal_text(row, DEAL_CURRENCY));
}

static void
append_moment(StringInfo json, TimestampTz moment)
{
	char		text[MAXDATELEN + 1];

	JsonEncodeDateTime(text, TimestampTzGetDatum(moment), TIMESTAMPTZOID, NULL);
	appendStringInfo(json, ", \"occurred_at\": \"%s\"", text);
}

static char *
build_payload(Channel channel, const DealEvent *event, int64 batch_id, const char *actor,
			  bool ids_only, int limit)
{
	StringInfoData json;
	const DealRow *deal = event->new;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"event\": \"deal.%s\", \"event_id\": " INT64_FORMAT
					 ", \"batch_id\": " INT64_FORMAT ", \"deal_id\": " INT64_FORMAT,
					 channel_names[channel], event->id, batch_id, deal_int64(deal, DEAL_ID));
	if (!ids_only)
	{
		appendStringInfoString(&json, ", \"deal_name\": ");
		append_text(&json, deal_text(deal, DEAL_NAME), limit);
	}
	appendStringInfo(&json, ", \"pipeline_id\": " INT64_FORMAT, deal_int64(deal, DEAL_PIPELINE_ID));
	append_stage(&json, "old_stage", event->old, ids_only, limit);
	append_stage(&json, "new_stage", deal, ids_only, limit);
	if (!ids_only)
	{
		appendStringInfo(&json, ", \"status\": \"%s\"", deal_status_name(deal_status(deal)));
		append_amount(&json, deal);
		appendStringInfoString(&json, ", \"actor\": ");
		append_text(&json, actor, limit);
		append_moment(&json, event->occurred_at);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Cuts every text in it until it fits. */
static char *
payload_that_fits(Channel channel, const DealEvent *event, int64 batch_id, const char *actor, bool ids_only)
{
	char	   *payload = NULL;

	for (int limit = MAX_PAYLOAD; limit > 0; limit /= 2)
	{
		payload = build_payload(channel, event, batch_id, actor, ids_only, limit);
		if (strlen(payload) <= MAX_PAYLOAD)
			return payload;
	}
	/* only an amount of thousands of digits comes here */
	return build_payload(channel, event, batch_id, actor, true, 1);
}

/* ----------
 * Channels of an event
 * ----------
 */

/* The channel of the status that the deal now has and had not before, or -1 */
static int
status_channel(const DealEvent *event)
{
	static const Channel by_status[N_STATUSES] = {
		[STATUS_OPEN] = CHANNEL_REOPENED,
		[STATUS_WON] = CHANNEL_WON,
		[STATUS_LOST] = CHANNEL_LOST,
		[STATUS_ABANDONED] = CHANNEL_ABANDONED,
	};
	DealStatus	status = deal_status(event->new);
	DealStatus	before = event->old != NULL ? deal_status(event->old) : STATUS_OPEN;

	return status != before ? (int) by_status[status] : -1;
}

static void
notify_on(Channel channel, const DealEvent *event, int64 batch_id, const char *actor,
		  bool ids_only, bool one_by_one)
{
	Summary		one = {batch_id, 1, event->id, event->id};

	if (one_by_one)
		send(channel, payload_that_fits(channel, event, batch_id, actor, ids_only));
	else
		add_to_summary(&notified_here()->summaries[channel], &one);
}

void
notify_event(const DealEvent *event, int64 batch_id, const char *actor, bool ids_only)
{
	bool		stage_changed;
	int			by_status;
	bool		one_by_one;

	if (!setting_notify || event->new == NULL)
		return;
	stage_changed = event->old != NULL &&
		deal_int64(event->old, DEAL_STAGE_ID) != deal_int64(event->new, DEAL_STAGE_ID);
	by_status = status_channel(event);
	if ((!stage_changed && by_status < 0) || queue_is_filled())
		return;

	ids_only = ids_only || setting_notify_ids_only;
	one_by_one = notified_here()->deals < setting_notify_limit;
	if (one_by_one)
		notified_here()->deals++;
	if (stage_changed)
		notify_on(CHANNEL_STAGE_CHANGED, event, batch_id, actor, ids_only, one_by_one);
	if (by_status >= 0)
		notify_on(by_status, event, batch_id, actor, ids_only, one_by_one);
}
