/*
 * payload.h
 *		An event as JSON: what notifications carry and consumers read.
 */
#ifndef CRM_DEALS_PAYLOAD_H
#define CRM_DEALS_PAYLOAD_H

#include "base/types.h"
#include "lib/stringinfo.h"

typedef struct EventStage
{
	int64		id;				/* 0: none */
	const char *key;			/* NULL: not known any more */
	const char *name;
} EventStage;

/* An event with the names as they were when it happened */
typedef struct EventFacts
{
	const char *event;			/* won: it is the event deal.won */
	int64		event_id;
	int64		batch_id;
	int64		deal_id;
	const char *deal_name;		/* or NULL */
	int64		pipeline_id;
	EventStage	old_stage;
	EventStage	new_stage;
	const char *status;			/* NULL: the deal is no more */
	const char *amount;			/* or NULL */
	const char *currency;		/* or NULL */
	const char *actor;
	TimestampTz occurred_at;
} EventFacts;

/* Without names, amounts and people where "ids_only" */
extern char *event_payload(const EventFacts *facts, bool ids_only);

/* The same, every text in it cut until NOTIFY takes it */
extern char *event_notification(const EventFacts *facts, bool ids_only);

#endif							/* CRM_DEALS_PAYLOAD_H */
