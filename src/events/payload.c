/*
 * payload.c
 *		An event as JSON: what notifications carry and consumers read.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "events/payload.h"

/* The longest payload, in bytes, that NOTIFY accepts */
#define MAX_NOTIFICATION 7999

/* Appends a text, cut to whole characters that fit into "limit" bytes. */
static void
append_text(StringInfo json, const char *name, const char *text, int limit)
{
	int			length;

	appendStringInfo(json, "\"%s\": ", name);
	if (text == NULL)
	{
		appendStringInfoString(json, "null");
		return;
	}
	length = strlen(text);
	if (length > limit)
		text = pnstrdup(text, pg_mbcliplen(text, length, limit));
	escape_json(json, text);
}

/* Appends a stage. */
static void
append_stage(StringInfo json, const char *name, const EventStage *stage, bool ids_only, int limit)
{
	appendStringInfo(json, ", \"%s\": ", name);
	if (stage->id == 0)
	{
		appendStringInfoString(json, "null");
		return;
	}
	appendStringInfo(json, "{\"id\": " INT64_FORMAT, stage->id);
	if (!ids_only && stage->key != NULL)
	{
		appendStringInfoString(json, ", ");
		append_text(json, "key", stage->key, limit);
		appendStringInfoString(json, ", ");
		append_text(json, "name", stage->name, limit);
	}
	appendStringInfoChar(json, '}');
}

/* Appends the moment of the event. */
static void
append_moment(StringInfo json, TimestampTz moment)
{
	char		text[MAXDATELEN + 1];

	JsonEncodeDateTime(text, TimestampTzGetDatum(moment), TIMESTAMPTZOID, NULL);
	appendStringInfo(json, ", \"occurred_at\": \"%s\"", text);
}

/* Returns the event as JSON, each text in it cut to "limit" bytes. */
static char *
build_payload(const EventFacts *facts, bool ids_only, int limit)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"event\": \"deal.%s\", \"event_id\": " INT64_FORMAT
					 ", \"batch_id\": " INT64_FORMAT ", \"deal_id\": " INT64_FORMAT,
					 facts->event, facts->event_id, facts->batch_id, facts->deal_id);
	if (!ids_only)
	{
		appendStringInfoString(&json, ", ");
		append_text(&json, "deal_name", facts->deal_name, limit);
	}
	appendStringInfo(&json, ", \"pipeline_id\": " INT64_FORMAT, facts->pipeline_id);
	append_stage(&json, "old_stage", &facts->old_stage, ids_only, limit);
	append_stage(&json, "new_stage", &facts->new_stage, ids_only, limit);
	if (!ids_only)
	{
		appendStringInfoString(&json, ", ");
		append_text(&json, "status", facts->status, limit);
		appendStringInfo(&json, ", \"amount\": %s, ", facts->amount != NULL ? facts->amount : "null");
		append_text(&json, "currency", facts->currency, limit);
		appendStringInfoString(&json, ", ");
		append_text(&json, "actor", facts->actor, limit);
		append_moment(&json, facts->occurred_at);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Returns the event as JSON. */
char *
event_payload(const EventFacts *facts, bool ids_only)
{
	return build_payload(facts, ids_only, INT_MAX);
}

/* Returns the event as JSON, each text in it cut until NOTIFY accepts the whole. */
char *
event_notification(const EventFacts *facts, bool ids_only)
{
	for (int limit = MAX_NOTIFICATION; limit > 0; limit /= 2)
	{
		char	   *payload = build_payload(facts, ids_only, limit);

		if (strlen(payload) <= MAX_NOTIFICATION)
			return payload;
		pfree(payload);
	}
	/* Only an amount of thousands of digits gets here. */
	return build_payload(facts, true, 1);
}
