/*
 * write_context.h
 *		What a function of ours says about the statements that it runs.
 */
#ifndef CRM_DEALS_WRITE_CONTEXT_H
#define CRM_DEALS_WRITE_CONTEXT_H

typedef struct WriteContext
{
	const char *actor;			/* or NULL: as for any statement */
	const char *note;			/* or NULL */
	const char *kind;			/* of its events, or NULL: by what they did */
	int64		merged_into;	/* deals that go are merged into this one; or 0 */
	bool		override_gates; /* gates are recorded as bypassed */
	const char *override_reason;
	bool		no_gates;		/* gates are not asked */
	bool		imports;		/* updated_at is the moment of each row, where it is given */
	bool		restores;		/* stamps and version are as given, nothing is judged */
	bool		in_owners_name; /* on deals that the caller may not see */
	bool		maintenance;	/* see in_maintenance() */
	bool		every_statement;	/* that the function itself runs, not only the first */
	int64		last_event_id;	/* out: 0 where nothing was logged */
	int64		batch_id;		/* out: likewise */

	/* private */
	int			trigger_depth;
	bool		claimed;
	CommandId	command;
	struct WriteContext *outer;
} WriteContext;

/*
 * Runs the work in this context, and leaves the context if the work raises an error.
 */
extern void write_context_run(WriteContext *context, void (*work) (void *arg), void *arg);

/* In a statement trigger that fires first: this statement is the one. */
extern void write_context_claim(void);

/* In a trigger: the context of its statement, or NULL */
extern WriteContext *write_context(void);

/*
 * In a trigger of any statement that the function itself runs: it prunes the
 * log or erases a person.  The log lets it, and no value is judged.
 */
extern bool in_maintenance(void);

/* The command that the running statement began as: tells statements apart */
extern CommandId statement_command(void);
extern int	trigger_depth(void);

/* In a BEFORE STATEMENT trigger: a foreign key may act here in the owner's name. */
extern void remember_cascade(void);

/* May the statement be about deals that the caller cannot see? */
extern bool acts_in_owners_name(void);

/* Who is named in the log: the context's actor, the setting, current_user */
extern const char *current_actor(void);

#endif							/* CRM_DEALS_WRITE_CONTEXT_H */
