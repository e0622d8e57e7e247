/*
 * broken_rule.c
 *		A rule that a write breaks: what check_move() shows, an import reports and an error says.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "base/deal_row.h"
#include "rules/broken_rule.h"

/* Returns a rule that refuses with check_violation; the caller may set the other fields. */
BrokenRule *
broken_rule(const char *rule, const char *constraint, DealColumn column, const char *message, char *detail)
{
	BrokenRule *result = palloc0(sizeof(BrokenRule));

	result->rule = rule;
	result->sqlstate = ERRCODE_CHECK_VIOLATION;
	result->constraint = constraint;
	result->column = column;
	result->message = message;
	result->detail = detail;
	return result;
}

/* Gives the rule the data {"key": [names]}. */
void
broken_rule_names(BrokenRule *rule, const char *key, char *const *names, int n)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"%s\": [", key);
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(&json, i > 0 ? ", " : "");
		escape_json(&json, names[i]);
	}
	appendStringInfoString(&json, "]}");
	rule->data = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* Returns the detail, or the message if there is no detail. */
const char *
broken_rule_text(const BrokenRule *rule)
{
	return rule->detail != NULL ? rule->detail : rule->message;
}

/* Raises the rule as an error, with its fields for programs. */
void
raise_broken_rule(const BrokenRule *rule, const char *detail)
{
	ereport(ERROR,
			(errcode(rule->sqlstate),
			 errmsg("%s", rule->message),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 rule->hint != NULL ? errhint("%s", rule->hint) : 0,
			 rule->column != NO_DEAL_COLUMN ? err_deal(rule->column, rule->constraint) : 0));
}
