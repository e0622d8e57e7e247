/*
 * notify_send.c
 *		Puts notifications into PostgreSQL's queue.
 *
 * PostgreSQL keeps what Async_Notify() gets until commit, and drops it on
 * rollback.
 */
#include "postgres.h"

#include "commands/async.h"
#include "utils/fmgrprotos.h"

#include "events/notify_send.h"

#define QUEUE_LIMIT 0.5

/* Puts a notification into the queue. */
static void
send(Channel channel, const char *payload)
{
	char		name[NAMEDATALEN];

	snprintf(name, sizeof(name), "crm_deals_%s", channel_name(channel));
	Async_Notify(name, payload);
}

/* Sends the event on each of the channels. */
void
send_event(Channels channels, EventFacts *facts, bool ids_only)
{
	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (channels & channel_bit(channel))
		{
			facts->event = channel_name(channel);
			send(channel, event_notification(facts, ids_only));
		}
}

/* Sends one notification for many events. */
void
send_summary(Channel channel, int64 batch_id, int64 count, int64 first_event_id, int64 last_event_id)
{
	char	   *batch = batch_id != 0 ? psprintf(INT64_FORMAT, batch_id) : pstrdup("null");

	send(channel, psprintf("{\"event\": \"deal.%s\", \"batch_id\": %s, \"count\": " INT64_FORMAT
						   ", \"first_event_id\": " INT64_FORMAT ", \"last_event_id\": " INT64_FORMAT "}",
						   channel_name(channel), batch, count, first_event_id, last_event_id));
}

/* Tells consumers that something is new in the log. */
void
send_doorbell(void)
{
	Async_Notify("crm_deals", "");
}

/* Returns whether so much of the queue is used that nothing more is sent. */
bool
notification_queue_is_filled(void)
{
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) > QUEUE_LIMIT;
}
