/*
 * write_context.h
 *		What a function of ours says about the statements that it runs.
 */
#ifndef CRM_DEALS_WRITE_CONTEXT_H
#define CRM_DEALS_WRITE_CONTEXT_H

typedef struct WriteContext
{
	const char *actor;			/* or NULL: the setting, else current_user */
	const char *note;			/* or NULL */
	const char *kind;			/* of the events, or NULL: their kind follows from the change */
	int64		merged_into;	/* deleted deals were merged into this one; or 0 */
	bool		override_gates; /* the log names the gates that would have refused */
	const char *override_reason;
	bool		imports;		/* a row's updated_at, if given, is the moment of its event */
	bool		restores;		/* stamps and version stay as given; no rule is judged */
	bool		follows_catalogue;	/* lost reasons take names that may be inactive in the catalogue */
	bool		in_owners_name; /* errors must not name a deal: the caller may not see it */
	bool		maintenance;	/* see in_maintenance() */
	bool		only_by_ticket; /* holds for no statement but those that are run with its ticket */
	bool		one_batch;		/* the events of all its statements are one batch */
	int64		last_event_id;	/* out: 0 if nothing was logged */
	int64		batch_id;		/* out: 0 if nothing was logged */

	/* private */
	SubTransactionId batch_began_in;
	char	   *callers_path;
	char	   *ticket;			/* or NULL */
	int			trigger_depth;
	bool		claimed;
	CommandId	command;
	struct WriteContext *outer;
} WriteContext;

/*
 * Runs the work in this context, and leaves the context if the work raises an error.
 */
extern void write_context_run(WriteContext *context, void (*work) (void *arg), void *arg);

/*
 * Returns a text that stands for the caller's search_path in
 * write_under_path(): the statement that is run with it is one of the context.
 * Nobody can guess it, so no function of a user's that runs meanwhile can claim
 * the context for a statement of its own.  Call it before write_context_run().
 */
extern char *write_context_ticket(WriteContext *context);

/* Returns the context that the ticket is of, or NULL if the text is a search_path. */
extern WriteContext *write_context_of_ticket(const char *ticket);

/* Makes the next statement on deals that of the context, and no further one. */
extern void write_context_expect(WriteContext *context);
extern void write_context_expect_none(WriteContext *context);

/* Ties the context to the running statement; the trigger that fires first calls it. */
extern void write_context_claim(void);

/* Returns, in a trigger, the context of its statement, or NULL. */
extern WriteContext *write_context(void);

/* Notes, in a trigger, the batch of the context's events. */
extern void write_context_batch_is(WriteContext *context, int64 batch_id);

/*
 * Returns, in a trigger, whether prune_events() or redact() runs the
 * statement. The log permits it, and no rule is judged.
 */
extern bool in_maintenance(void);

/* Returns the command that the running statement began as; it tells statements apart. */
extern CommandId statement_command(void);
extern int	trigger_depth(void);

/* A BEFORE STATEMENT trigger calls it, in case a foreign key acts in the owner's name. */
extern void remember_cascade(void);

/* Returns whether the statement may be about deals that the caller cannot see. */
extern bool acts_in_owners_name(void);

/* Returns the actor for the log: the context's, else the setting, else current_user. */
extern const char *current_actor(void);

#endif							/* CRM_DEALS_WRITE_CONTEXT_H */
