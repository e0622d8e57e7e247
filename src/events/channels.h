/*
 * channels.h
 *		The channels that an event concerns. Consumers subscribe to them as kinds.
 *
 * A new channel needs
 *		a line in CHANNEL_LIST, and channels_of() to say which events it is for;
 *		the list of kinds in crm_deals_internal.subscribe();
 *		kind_of() in triggers/deal_triggers.c and the CHECK deal_event_kind, if
 *		the log names events so;
 *		a sentence in doc/contract.md and in doc/crm_deals.md.
 */
#ifndef CRM_DEALS_CHANNELS_H
#define CRM_DEALS_CHANNELS_H

#include "base/types.h"

/* Each with its name; the channel in PostgreSQL is crm_deals_NAME. */
#define CHANNEL_LIST(channel) \
	channel(STAGE_CHANGED, "stage_changed") \
	channel(WON, "won") \
	channel(LOST, "lost") \
	channel(ABANDONED, "abandoned") \
	channel(REOPENED, "reopened")

#define CHANNEL_NUMBER(symbol, name) CHANNEL_##symbol,
typedef enum Channel
{
	CHANNEL_LIST(CHANNEL_NUMBER)
	N_CHANNELS
} Channel;

/* A set of channels */
typedef uint32 Channels;

#define channel_bit(channel)	((Channels) 1 << (channel))

extern const char *channel_name(Channel channel);

/* Returns the channels for a deal that went from one stage to another. A new deal comes from stage 0. */
extern Channels channels_of(int64 from_stage, DealStatus from_status, int64 to_stage, DealStatus to_status);

#endif							/* CRM_DEALS_CHANNELS_H */
