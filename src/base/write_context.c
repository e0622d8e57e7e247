/*
 * write_context.c
 *		What a function of ours says about the statements that it runs.
 *
 * move_deal() and similar functions run an ordinary UPDATE, whose triggers do
 * the work. A context passes the note, the actor and the override to these
 * triggers. It must reach that statement only, and no statement that a user's
 * trigger runs inside it: hence the trigger depth and the command id.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "port.h"
#include "storage/proc.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/write_context.h"

static WriteContext *innermost = NULL;

/* Returns whether a query of ours, or a foreign key, acts in the name of the tables' owner. */
static bool
runs_as_owner(void)
{
	return InNoForceRLSOperation();
}

/* Returns how many triggers are running, one inside the other. */
int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/* Returns the command that the running statement began as. */
CommandId
statement_command(void)
{
	return GetActiveSnapshot()->curcid;
}

/*
 * A batch whose first event is rolled back has no number any more, so the next
 * event gives a new one.  A subtransaction that began later than the one that
 * is rolled back was inside it.
 */
static void
forget_rolled_back_batch(SubXactEvent event, SubTransactionId rolled_back,
						 SubTransactionId parent pg_attribute_unused(), void *arg pg_attribute_unused())
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (WriteContext *context = innermost; context != NULL; context = context->outer)
		if (context->batch_began_in >= rolled_back)
			context->batch_id = 0;
}

/* Has forget_rolled_back_batch() called, from the session's first context on. */
static void
watch_subtransactions(void)
{
	static bool watching = false;

	if (watching)
		return;
	RegisterSubXactCallback(forget_rolled_back_batch, NULL);
	watching = true;
}

/* Makes the context the innermost one. */
static void
push(WriteContext *context)
{
	context->last_event_id = 0;
	context->batch_id = 0;
	context->batch_began_in = InvalidSubTransactionId;
	context->trigger_depth = trigger_depth();
	context->claimed = context->only_by_ticket;
	context->command = InvalidCommandId;
	context->outer = innermost;
	innermost = context;
}

/* Runs the work in the context, and leaves the context however the work ends. */
void
write_context_run(WriteContext *context, void (*work) (void *arg), void *arg)
{
	watch_subtransactions();
	push(context);
	PG_TRY();
	{
		work(arg);
	}
	PG_FINALLY();
	{
		innermost = context->outer;
	}
	PG_END_TRY();
}

/* ----------
 * Contexts of several statements
 * ----------
 */

/* Returns the ticket of the context. */
char *
write_context_ticket(WriteContext *context)
{
	uint8		secret[16];
	StringInfoData ticket;

	if (!pg_strong_random(secret, sizeof(secret)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	initStringInfo(&ticket);
	appendStringInfoString(&ticket, "ticket ");
	for (size_t i = 0; i < sizeof(secret); i++)
		appendStringInfo(&ticket, "%02x", secret[i]);
	context->only_by_ticket = true;
	write_context_expect_none(context);
	context->callers_path = pstrdup(namespace_search_path);
	context->ticket = ticket.data;
	return context->ticket;
}

/* Returns the context that the ticket is of, or NULL. */
WriteContext *
write_context_of_ticket(const char *ticket)
{
	for (WriteContext *context = innermost; context != NULL; context = context->outer)
		if (context->ticket != NULL && strcmp(context->ticket, ticket) == 0)
			return context;
	return NULL;
}

/* Lets the next statement on deals claim the context. */
void
write_context_expect(WriteContext *context)
{
	context->claimed = false;
}

/* Lets no statement claim the context any more. */
void
write_context_expect_none(WriteContext *context)
{
	context->claimed = true;
	context->command = InvalidCommandId;
}

/* ----------
 * In a trigger
 * ----------
 */

/* Ties the context to the statement whose first trigger this is. */
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

/* Returns the context of the trigger's statement, or NULL. */
WriteContext *
write_context(void)
{
	if (innermost == NULL || trigger_depth() != innermost->trigger_depth + 1)
		return NULL;
	return innermost->claimed && statement_command() == innermost->command ? innermost : NULL;
}

/* Notes the batch, and where it began. */
void
write_context_batch_is(WriteContext *context, int64 batch_id)
{
	if (context->batch_id != batch_id)
		context->batch_began_in = GetCurrentSubTransactionId();
	context->batch_id = batch_id;
}

/* Returns whether the statement prunes the log or erases a person. */
bool
in_maintenance(void)
{
	return innermost != NULL && innermost->maintenance &&
		trigger_depth() == innermost->trigger_depth + 1;
}

/*
 * A foreign key acts as the tables' owner, but the log must name the role
 * whose statement fired it. The BEFORE trigger keeps that role for the AFTER
 * trigger, because from PostgreSQL 18 on the AFTER trigger cannot tell that a
 * foreign key acts.
 */
static struct
{
	LocalTransactionId transaction;
	TimestampTz statement;
	Oid			role;
}			cascade;

/* Keeps the role for which a foreign key acts. */
void
remember_cascade(void)
{
	if (!runs_as_owner())
		return;
	cascade.transaction = my_lxid();
	cascade.statement = GetCurrentStatementStartTimestamp();
	cascade.role = GetOuterUserId();
}

/* Returns the role that the caller takes for current_user. */
static Oid
current_role_as_caller_sees_it(void)
{
	if (runs_as_owner())
		return GetOuterUserId();
	if (AFTER_TRIGGERS_RUN_AS_QUEUER && GetUserId() == tables_owner() &&
		cascade.transaction == my_lxid() && cascade.statement == GetCurrentStatementStartTimestamp())
		return cascade.role;
	return GetUserId();
}

/* Returns whether the statement may be about deals that the caller cannot see. */
bool
acts_in_owners_name(void)
{
	WriteContext *context = write_context();

	return runs_as_owner() || (context != NULL && context->in_owners_name);
}

/* Returns the actor for the log: the context's, else the setting, else current_user. */
const char *
current_actor(void)
{
	WriteContext *context = write_context();

	if (context != NULL && context->actor != NULL)
		return context->actor;
	if (setting_or_null(setting_actor) != NULL)
		return setting_actor;
	return GetUserNameFromId(current_role_as_caller_sees_it(), false);
}
