/*
 * broken_rule.h
 *		A rule that a write breaks: what check_move() shows, an import reports and an error says.
 */
#ifndef CRM_DEALS_BROKEN_RULE_H
#define CRM_DEALS_BROKEN_RULE_H

#include "base/types.h"
#include "nodes/pg_list.h"

/* The rule is not about one column. */
#define NO_DEAL_COLUMN ((DealColumn) -1)

typedef struct BrokenRule
{
	const char *rule;			/* its name in check_move and deal_event.bypassed */
	int			sqlstate;
	const char *constraint;		/* or NULL */
	DealColumn	column;			/* or NO_DEAL_COLUMN */
	bool		is_gate;		/* an override skips it */
	const char *message;
	char	   *detail;			/* or NULL */
	const char *hint;			/* or NULL */
	Datum		data;			/* a jsonb of what a program needs to know, or 0 */
} BrokenRule;

extern BrokenRule *broken_rule(const char *rule, const char *constraint, DealColumn column,
							   const char *message, char *detail);

/* Tells a program the names in a list: {"missing": ["amount"]}. */
extern void broken_rule_names(BrokenRule *rule, const char *key, char *const *names, int n);

/* Returns what a program shows of the rule: its detail, else its message. */
extern const char *broken_rule_text(const BrokenRule *rule);

/* Raises the rule as an error with this detail, which may be NULL. */
extern void raise_broken_rule(const BrokenRule *rule, const char *detail);

#endif							/* CRM_DEALS_BROKEN_RULE_H */
