/*
 * write_context.c
 *		What a function of ours says about the one statement that it runs.
 *
 * move_deal() and its like update deals with an ordinary UPDATE, whose
 * triggers do the work; note, actor and override reach them by this way.  They
 * must reach that statement alone, none that a user's trigger runs inside it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "owner_query.h"
#include "settings.h"
#include "write_context.h"

static WriteContext *innermost = NULL;

int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

CommandId
statement_command(void)
{
	return GetActiveSnapshot()->curcid;
}

void
write_context_push(WriteContext *context)
{
	context->last_event_id = 0;
	context->batch_id = 0;
	context->trigger_depth = trigger_depth();
	context->claimed = false;
	context->outer = innermost;
	innermost = context;
}

void
write_context_pop(WriteContext *context)
{
	innermost = context->outer;
}

void
write_context_claim(void)
{
	if (innermost != NULL && !innermost->claimed &&
		trigger_depth() == innermost->trigger_depth + 1)
	{
		innermost->claimed = true;
		innermost->command = statement_command();
	}
}

WriteContext *
write_context(void)
{
	if (innermost != NULL && innermost->claimed &&
		trigger_depth() == innermost->trigger_depth + 1 &&
		statement_command() == innermost->command)
		return innermost;
	return NULL;
}

const char *
current_actor(void)
{
	WriteContext *context = write_context();

	if (context != NULL && context->actor != NULL)
		return context->actor;
	if (setting_or_null(setting_actor) != NULL)
		return setting_actor;
	/* A foreign key acts as the table's owner: not who did it. */
	return GetUserNameFromId(runs_as_owner() ? GetOuterUserId() : GetUserId(), false);
}
