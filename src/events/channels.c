/*
 * channels.c
 *		The channels that an event concerns. Consumers subscribe to them as kinds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "base/arguments.h"
#include "base/catalog.h"
#include "events/channels.h"

PG_FUNCTION_INFO_V1(crm_deals_event_kinds);

#define CHANNEL_NAME(symbol, name) name,
static const char *const names[N_CHANNELS] = {CHANNEL_LIST(CHANNEL_NAME)};

/* Returns the name of the channel without the prefix crm_deals_. */
const char *
channel_name(Channel channel)
{
	return names[channel];
}

/* Returns the channels for a deal that went from one stage to another. */
Channels
channels_of(int64 from_stage, DealStatus from_status, int64 to_stage, DealStatus to_status)
{
	static const Channel by_status[] = {
		[STATUS_OPEN] = CHANNEL_REOPENED,
		[STATUS_WON] = CHANNEL_WON,
		[STATUS_LOST] = CHANNEL_LOST,
		[STATUS_ABANDONED] = CHANNEL_ABANDONED,
	};
	DealStatus	before = from_stage != 0 ? from_status : STATUS_OPEN;
	Channels	channels = 0;

	StaticAssertStmt(lengthof(by_status) == N_STATUSES, "each status needs a channel");
	if (from_stage != 0 && from_stage != to_stage)
		channels |= channel_bit(CHANNEL_STAGE_CHANGED);
	if (to_status != before)
		channels |= channel_bit(by_status[to_status]);
	return channels;
}

/* Returns the status; STATUS_OPEN stands for NULL. */
static DealStatus
status_argument(FunctionCallInfo fcinfo, int number)
{
	char	   *name = text_argument(fcinfo, number);

	return name != NULL ? deal_status_by_name(name) : STATUS_OPEN;
}

/*
 * event_kinds(version, kind, from_stage_id, from_status, to_stage_id, status)
 * returns every kind by which a consumer may subscribe to the event.
 */
Datum
crm_deals_event_kinds(PG_FUNCTION_ARGS)
{
	Datum		kinds[N_CHANNELS + 2];
	int			n = 0;
	Channels	channels = 0;

	if (!PG_ARGISNULL(1))
		kinds[n++] = PG_GETARG_DATUM(1);
	if (!PG_ARGISNULL(0) && PG_GETARG_INT32(0) == 1)
		kinds[n++] = CStringGetTextDatum("created");
	if (!PG_ARGISNULL(4) && !PG_ARGISNULL(5))
		channels = channels_of(PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2), status_argument(fcinfo, 3),
							   PG_GETARG_INT64(4), status_argument(fcinfo, 5));
	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (channels & channel_bit(channel))
			kinds[n++] = CStringGetTextDatum(names[channel]);
	PG_RETURN_ARRAYTYPE_P(construct_array(kinds, n, TEXTOID, -1, false, TYPALIGN_INT));
}
