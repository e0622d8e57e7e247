/*
 * payload.h
 *		An event as JSON: what notifications carry and consumers read.
 */
#ifndef CRM_DEALS_PAYLOAD_H
#define CRM_DEALS_PAYLOAD_H

#include "base/types.h"

typedef struct EventStage
{
	int64		id;				/* 0: none */
	const char *key;			/* NULL: the stage is unknown today */
	const char *name;
} EventStage;

/* An event with names as they were when it happened */
typedef struct EventFacts
{
	const char *event;			/* without the prefix "deal.", such as won */
	int64		event_id;
	int64		batch_id;
	int64		deal_id;
	const char *deal_name;		/* or NULL */
	int64		pipeline_id;
	EventStage	old_stage;
	EventStage	new_stage;
	const char *status;			/* NULL: the deal was deleted */
	const char *amount;			/* or NULL */
	const char *currency;		/* or NULL */
	const char *actor;
	TimestampTz occurred_at;
} EventFacts;

/* Returns the event as JSON; "ids_only" leaves out names, amounts and people. */
extern char *event_payload(const EventFacts *facts, bool ids_only);

/* Returns the same in ASCII, each text in it cut until NOTIFY accepts the whole. */
extern char *event_notification(const EventFacts *facts, bool ids_only);

#endif							/* CRM_DEALS_PAYLOAD_H */
