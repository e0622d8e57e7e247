/*
 * channels.h
 *		What an event means: the channels it is notified on, by which
 *		consumers ask for it, too.
 */
#ifndef CRM_DEALS_CHANNELS_H
#define CRM_DEALS_CHANNELS_H

#include "base/types.h"

typedef enum Channel
{
	CHANNEL_STAGE_CHANGED,
	CHANNEL_WON,
	CHANNEL_LOST,
	CHANNEL_ABANDONED,
	CHANNEL_REOPENED
} Channel;

#define N_CHANNELS (CHANNEL_REOPENED + 1)

/* A set of channels */
typedef uint32 Channels;

#define channel_bit(channel)	((Channels) 1 << (channel))

/* stage_changed and so on; the channel in PostgreSQL is crm_deals_NAME */
extern const char *channel_name(Channel channel);

/* Where a deal was (stage 0: nowhere, it is new) and where it is now */
extern Channels channels_of(int64 from_stage, DealStatus from_status, int64 to_stage, DealStatus to_status);

#endif							/* CRM_DEALS_CHANNELS_H */
