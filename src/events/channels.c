/*
 * channels.c
 *		What an event means: the channels it is notified on, by which
 *		consumers ask for it, too.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/catalog.h"
#include "events/channels.h"

PG_FUNCTION_INFO_V1(crm_deals_event_kinds);

static const char *const names[N_CHANNELS] = {
	[CHANNEL_STAGE_CHANGED] = "stage_changed",
	[CHANNEL_WON] = "won",
	[CHANNEL_LOST] = "lost",
	[CHANNEL_ABANDONED] = "abandoned",
	[CHANNEL_REOPENED] = "reopened",
};

const char *
channel_name(Channel channel)
{
	return names[channel];
}

Channels
channels_of(int64 from_stage, DealStatus from_status, int64 to_stage, DealStatus to_status)
{
	static const Channel by_status[N_STATUSES] = {
		[STATUS_OPEN] = CHANNEL_REOPENED,
		[STATUS_WON] = CHANNEL_WON,
		[STATUS_LOST] = CHANNEL_LOST,
		[STATUS_ABANDONED] = CHANNEL_ABANDONED,
	};
	DealStatus	before = from_stage != 0 ? from_status : STATUS_OPEN;
	Channels	channels = 0;

	if (from_stage != 0 && from_stage != to_stage)
		channels |= channel_bit(CHANNEL_STAGE_CHANGED);
	if (to_status != before)
		channels |= channel_bit(by_status[to_status]);
	return channels;
}

/*
 * _event_kinds(version, kind, from_stage_id, from_status, to_stage_id, status):
 * every kind by which a consumer may ask for the event
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
		channels = channels_of(PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2),
							   PG_ARGISNULL(3) ? STATUS_OPEN
							   : deal_status_by_name(text_to_cstring(PG_GETARG_TEXT_PP(3))),
							   PG_GETARG_INT64(4),
							   deal_status_by_name(text_to_cstring(PG_GETARG_TEXT_PP(5))));
	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (channels & channel_bit(channel))
			kinds[n++] = CStringGetTextDatum(names[channel]);
	PG_RETURN_ARRAYTYPE_P(construct_array(kinds, n, TEXTOID, -1, false, TYPALIGN_INT));
}
