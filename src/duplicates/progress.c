/*
 * progress.c
 *		Tells the user how far a long search for duplicates has come.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/caller_query.h"
#include "duplicates/progress.h"

#define NOTICE_AFTER_MS	10000

/* Begins to count; the first NOTICE comes after ten seconds. */
Progress
progress_begin(void)
{
	return (Progress) {.next_notice = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NOTICE_AFTER_MS)};
}

/* Adds to the count, and raises a NOTICE every ten seconds. */
void
progress_tell(Progress *progress, int64 deals)
{
	TimestampTz now = GetCurrentTimestamp();

	progress->deals += deals;
	if (now < progress->next_notice || deals_are_hidden())
		return;
	progress->next_notice = TimestampTzPlusMilliseconds(now, NOTICE_AFTER_MS);
	ereport(NOTICE,
			(errmsg("looking for duplicates: %lld deals read", (long long) progress->deals)));
}
