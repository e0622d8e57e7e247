/*
 * payload.c
 *		An event as JSON: what notifications carry and consumers read.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "events/payload.h"

/* The longest payload, in bytes, that NOTIFY accepts */
#define MAX_NOTIFICATION 7999

/* ----------
 * ASCII: no encoding of a listener lacks it
 * ----------
 */

#define REPLACEMENT 0xFFFD

/* The longest text of a character: two escapes of UTF-16 */
#define MAX_ESCAPED 12

/* Writes a character as JSON in ASCII; returns its length. */
static int
escape_character(char *escaped, pg_wchar character)
{
	if (character == '"' || character == '\\')
		return sprintf(escaped, "\\%c", (char) character);
	if (character >= ' ' && character < 0x7F)
		return sprintf(escaped, "%c", (char) character);
	if (character < 0x10000)
		return sprintf(escaped, "\\u%04x", (unsigned int) character);
	return sprintf(escaped, "\\u%04x\\u%04x", 0xD800 + (unsigned int) ((character - 0x10000) >> 10),
				   0xDC00 + (unsigned int) ((character - 0x10000) & 0x3FF));
}

/*
 * Returns the next character of a text in UTF-8 and moves on.  A byte that is
 * no UTF-8, which a database of SQL_ASCII may hold, has no Unicode form.
 */
static pg_wchar
next_character(const unsigned char **text)
{
	int			length = pg_utf_mblen(*text);
	pg_wchar	character = REPLACEMENT;

	if (length > (int) strnlen((const char *) *text, length) || !pg_utf8_islegal(*text, length))
		length = 1;
	else
		character = utf8_to_unicode(*text);
	*text += length;
	return character;
}

/* Appends as much of a text in UTF-8 as fits into "limit" bytes once it is escaped. */
static void
append_escaped(StringInfo json, const char *utf8, int limit)
{
	const unsigned char *rest = (const unsigned char *) utf8;
	int			end = json->len + limit;

	while (*rest != '\0')
	{
		char		escaped[MAX_ESCAPED + 1];
		int			length = escape_character(escaped, next_character(&rest));

		if (length > end - json->len)
			break;
		appendBinaryStringInfo(json, escaped, length);
	}
}

/* Returns a text of the database in UTF-8; a character that has no form there becomes one byte that is no UTF-8. */
static char *
in_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	int			length = strlen(text);
	Oid			conversion;
	StringInfoData utf8;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return unconstify(char *, text);
	conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	initStringInfo(&utf8);
	while (length > 0)
	{
		int			done = 0;

		if (OidIsValid(conversion))
		{
			enlargeStringInfo(&utf8, length * MAX_CONVERSION_GROWTH + 1);
			done = pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8,
												 (unsigned char *) unconstify(char *, text), length,
												 (unsigned char *) utf8.data + utf8.len, utf8.maxlen - utf8.len, true);
			utf8.len += strlen(utf8.data + utf8.len);
		}
		text += done;
		length -= done;
		if (length > 0)
		{
			int			skipped = Min(pg_mblen(text), length);

			appendStringInfoChar(&utf8, '\xFF');
			text += skipped;
			length -= skipped;
		}
	}
	return utf8.data;
}

/* ----------
 * The parts of a payload
 * ----------
 */

/* The limit of a payload whose texts stay as they are */
#define WHOLE_TEXTS INT_MAX

/* Appends a text: whole if the limit is WHOLE_TEXTS, else in ASCII, cut to "limit" bytes. */
static void
append_text(StringInfo json, const char *name, const char *text, int limit)
{
	appendStringInfo(json, "\"%s\": ", name);
	if (text == NULL)
		appendStringInfoString(json, "null");
	else if (limit == WHOLE_TEXTS)
		escape_json(json, text);
	else
	{
		appendStringInfoChar(json, '"');
		append_escaped(json, in_utf8(text), limit);
		appendStringInfoChar(json, '"');
	}
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

/* Returns the event as JSON, each text in it as append_text() writes it. */
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
	return build_payload(facts, ids_only, WHOLE_TEXTS);
}

/* Returns the event as JSON in ASCII, each text in it cut until NOTIFY accepts the whole. */
char *
event_notification(const EventFacts *facts, bool ids_only)
{
	for (int limit = MAX_NOTIFICATION; limit > 0; limit -= limit / 8 + 1)
	{
		char	   *payload = build_payload(facts, ids_only, limit);

		if (strlen(payload) <= MAX_NOTIFICATION)
			return payload;
		pfree(payload);
	}
	/* Only an amount of thousands of digits gets here. */
	return build_payload(facts, true, 1);
}
