/*
 * redact.c
 *		redact(): the erasure of a person.
 *
 * Deals, contacts, leads, accounts and activities are written as the caller,
 * like by a plain UPDATE: row security decides which rows the statements
 * reach, and the user's triggers run under the caller's search_path. Nobody
 * may write the log, the flags and the history of pruning. They are written as
 * the owner of the tables, but only as far as the caller sees their deals.
 *
 * The context "maintenance" makes the log accept these statements, and lets no
 * gate refuse them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/arguments.h"
#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/installation.h"
#include "base/installed.h"
#include "base/owner_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_redact);

/* The tables of the result, in its order */
typedef enum Table
{
	ACCOUNT,
	ACTIVITY,
	CONTACT,
	DEAL,
	DEAL_DUPLICATE,
	DEAL_EVENT,
	LEAD,
	N_TABLES
} Table;

static const char *const table_names[N_TABLES] = {
	"account", "activity", "contact", "deal", "deal_duplicate", "deal_event", "lead"
};

/* The arguments of each query that runs as the caller: $1 to $5 */
typedef enum Argument
{
	THE_CONTACT,
	THE_LEAD,
	THE_DEALS,
	THE_ACTOR,
	THE_OWNER,					/* the actor if owners are texts, else NULL */
	N_ARGUMENTS
} Argument;

#define ARGUMENT_TYPES {TEXTOID, INT8OID, INT8ARRAYOID, TEXTOID, TEXTOID}

typedef struct Redaction
{
	Datum		values[N_ARGUMENTS];
	char		nulls[N_ARGUMENTS + 1];
	const char *reason;
	bool		is_counted[N_TABLES];
	int64		rows[N_TABLES];
} Redaction;

/* Returns whether the call names this. */
static bool
names(const Redaction *redaction, Argument argument)
{
	return redaction->nulls[argument] != 'n';
}

/* Adds rows of a table to the result. */
static void
count_rows(Redaction *redaction, Table table, int64 rows)
{
	redaction->is_counted[table] = true;
	redaction->rows[table] += rows;
}

/* Runs the statement as the caller. Only one that writes deals may bypass their rules. */
static void
run_as_caller(Redaction *redaction, CallerQuery *query, Table table)
{
	WriteContext context = {.maintenance = true, .kind = "redacted", .note = redaction->reason,
	.only_by_ticket = table != DEAL};

	caller_query_in_context(query, redaction->values, redaction->nulls, &context);
}

/* Runs the UPDATE or DELETE as the caller, and counts its rows. Returns their number. */
static uint64
write_rows(Redaction *redaction, CallerQuery *query, Table table)
{
	run_as_caller(redaction, query, table);
	count_rows(redaction, table, (int64) SPI_processed);
	return SPI_processed;
}

/* Runs the query as the owner, and returns its result if that is a number. */
static int64
run_as_owner(OwnerQuery *query, Datum *values, const char *nulls)
{
	WriteContext context = {.maintenance = true};

	owner_query_run_in_context(query, values, nulls, &context);
	return SPI_tuptable->tupdesc->natts > 0 ? result_int64(1) : 0;
}

/* ----------
 * The owner of deals, accounts, contacts and leads
 * ----------
 */

static OwnerQuery owners_query = {
	.sql = "SELECT i.owner_table IS NULL FROM crm_deals.installation AS i",
	.returns = RETURNS(BOOLOID),
};

/* If owners are in a table of the host's, an owner is a key, and stays. */
static void
decide_about_owner(Redaction *redaction)
{
	(void) owner_query_run(&owners_query, NULL, NULL);
	redaction->values[THE_OWNER] = redaction->values[THE_ACTOR];
	redaction->nulls[THE_OWNER] = result_bool(1) ? redaction->nulls[THE_ACTOR] : 'n';
}

static CallerQuery policy_query = {
	.sql = "SELECT crm_deals_internal.policy_reads_owner($1)",
	.nargs = 1,
	.argtypes = {TEXTOID},
	.returns = RETURNS(BOOLOID),
};

/* Returns whether a policy reads the owner of the table's rows. */
static bool
policy_reads_owner(Table table)
{
	Datum		name = CStringGetTextDatum(table_names[table]);

	caller_query(&policy_query, &name, NULL);
	return result_bool(1);
}

/* Says that rows keep their owner, if there are any. */
static void
notice_kept_owner(Redaction *redaction, CallerQuery *owned, Table table)
{
	caller_query(owned, redaction->values, redaction->nulls);
	if (SPI_processed > 0)
		ereport(NOTICE,
				(errmsg("rows of table %s keep their owner", table_names[table]),
				 errdetail("A policy reads the owner. Without it, nobody might see these rows."),
				 errhint("Give them another owner, then call redact() again.")));
}

#define OWNED(table) { \
	.sql = "SELECT FROM crm_deals." table " AS t WHERE t.owner OPERATOR(pg_catalog.=) $5 LIMIT 1", \
	.nargs = N_ARGUMENTS, .argtypes = ARGUMENT_TYPES}

#define BLANK_OWNER(table) { \
	.sql = "UPDATE crm_deals." table " AS t SET owner = '[redacted]' WHERE t.owner OPERATOR(pg_catalog.=) $5", \
	.nargs = N_ARGUMENTS, .argtypes = ARGUMENT_TYPES}

/* Blanks the owner in accounts, contacts and leads of ours. */
static void
redact_owners(Redaction *redaction)
{
	static struct
	{
		Table		table;
		CallerQuery owned;
		CallerQuery blank;
	}			steps[] = {
		{ACCOUNT, OWNED("account"), BLANK_OWNER("account")},
		{CONTACT, OWNED("contact"), BLANK_OWNER("contact")},
		{LEAD, OWNED("lead"), BLANK_OWNER("lead")}
	};

	for (size_t i = 0; i < lengthof(steps); i++)
	{
		if (!OidIsValid(find_relation(table_names[steps[i].table])))
			continue;
		if (policy_reads_owner(steps[i].table))
			notice_kept_owner(redaction, &steps[i].owned, steps[i].table);
		else
			(void) write_rows(redaction, &steps[i].blank, steps[i].table);
	}
}

/* ----------
 * Deals
 * ----------
 */

static CallerQuery named_query = {
	.sql = "SELECT crm_deals_internal.deals_to_redact($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(INT8ARRAYOID),
};

/* Replaces the deals that are named by those that the redaction is about. */
static void
find_deals(Redaction *redaction)
{
	bool		isnull;

	if (!names(redaction, THE_DEALS))
		redaction->values[THE_DEALS] = PointerGetDatum(int8_array_create(0));
	caller_query(&named_query, &redaction->values[THE_DEALS], NULL);
	redaction->values[THE_DEALS] = result_column(1, &isnull);
	redaction->nulls[THE_DEALS] = ' ';
}

/*
 * Returns the number of deals that were written, and which of the named deals
 * go on: those that were written, and those that are deleted or merged.
 */
#define WRITE_DEALS(update) \
	"WITH written AS (" update " RETURNING d.id)" \
	" SELECT (SELECT pg_catalog.count(*) FROM written AS w)," \
	" ARRAY(SELECT a.id FROM pg_catalog.unnest($3) AS a (id)" \
	"  WHERE a.id OPERATOR(pg_catalog.=) ANY (SELECT w.id FROM written AS w)" \
	"   OR NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) a.id))"

#define NAMED "d.id OPERATOR(pg_catalog.=) ANY ($3)"

static CallerQuery deals_query = {
	.sql = WRITE_DEALS("UPDATE crm_deals.deal AS d SET name = '[redacted]',"
					   " notes = CASE WHEN d.notes IS NOT NULL THEN '[redacted]' END,"
					   " custom_fields = crm_deals_internal.redacted_fields(d.custom_fields)"
					   " WHERE " NAMED),
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
	.returns = RETURNS(INT8OID, INT8ARRAYOID),
};

static CallerQuery owned_deals_query = {
	.sql = WRITE_DEALS("UPDATE crm_deals.deal AS d SET name = CASE WHEN " NAMED " THEN '[redacted]' ELSE d.name END,"
					   " notes = CASE WHEN " NAMED " AND d.notes IS NOT NULL THEN '[redacted]' ELSE d.notes END,"
					   " custom_fields = CASE WHEN " NAMED
					   " THEN crm_deals_internal.redacted_fields(d.custom_fields) ELSE d.custom_fields END,"
					   " owner = CASE WHEN d.owner OPERATOR(pg_catalog.=) $5 THEN '[redacted]' ELSE d.owner END"
					   " WHERE " NAMED " OR d.owner OPERATOR(pg_catalog.=) $5"),
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
	.returns = RETURNS(INT8OID, INT8ARRAYOID),
};

/* Blanks the deals, and their owner unless a policy reads it. */
static void
redact_deals(Redaction *redaction)
{
	static CallerQuery owned = OWNED("deal");
	bool		has_owner = names(redaction, THE_OWNER);
	bool		keeps_owner = has_owner && policy_reads_owner(DEAL);
	bool		isnull;

	run_as_caller(redaction, has_owner && !keeps_owner ? &owned_deals_query : &deals_query, DEAL);
	count_rows(redaction, DEAL, result_int64(1));
	redaction->values[THE_DEALS] = result_column(2, &isnull);
	if (keeps_owner)
		notice_kept_owner(redaction, &owned, DEAL);
}

/* ----------
 * Contacts, leads and activities
 * ----------
 */

static CallerQuery contact_query = {
	.sql = "UPDATE crm_deals.contact AS c SET first_name = NULL, last_name = '[redacted]', email = NULL, phone = NULL,"
	" external_id = NULL, custom_fields = '{}' WHERE c.id::pg_catalog.text OPERATOR(pg_catalog.=) $1",
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
};

/* Blanks the contact, unless it is the host's. */
static void
redact_contact(Redaction *redaction)
{
	if (!OidIsValid(find_relation("contact")))
		ereport(NOTICE,
				(errmsg("the contacts are in a table of the host"),
				 errhint("The host erases them; their activities in crm_deals are removed.")));
	else if (write_rows(redaction, &contact_query, CONTACT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("contact %s does not exist", TextDatumGetCString(redaction->values[THE_CONTACT]))));
}

static CallerQuery lead_query = {
	.sql = "UPDATE crm_deals.lead AS l SET company_name = '[redacted]', first_name = NULL, last_name = NULL,"
	" email = NULL, phone = NULL, external_id = NULL, custom_fields = '{}'"
	" WHERE l.id OPERATOR(pg_catalog.=) $2",
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
};

/* Blanks the lead. */
static void
redact_lead(Redaction *redaction)
{
	if (write_rows(redaction, &lead_query, LEAD) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("lead %lld does not exist", (long long) DatumGetInt64(redaction->values[THE_LEAD]))));
}

static CallerQuery activities_of_person = {
	.sql = "DELETE FROM crm_deals.activity AS a WHERE a.contact_id::pg_catalog.text OPERATOR(pg_catalog.=) $1"
	" OR a.lead_id OPERATOR(pg_catalog.=) $2",
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
};

#define OF_DEAL "a.deal_id OPERATOR(pg_catalog.=) ANY ($3)"

static CallerQuery other_activities = {
	.sql = "UPDATE crm_deals.activity AS a SET"
	" subject = CASE WHEN " OF_DEAL " THEN '[redacted]' ELSE a.subject END,"
	" body = CASE WHEN " OF_DEAL " AND a.body IS NOT NULL THEN '[redacted]' ELSE a.body END,"
	" actor = CASE WHEN a.actor OPERATOR(pg_catalog.=) $4 THEN '[redacted]' ELSE a.actor END"
	" WHERE " OF_DEAL " OR a.actor OPERATOR(pg_catalog.=) $4",
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
};

/* ----------
 * What only the owner of the tables may write
 * ----------
 */

static CallerQuery visible_events = {
	.sql = "SELECT crm_deals_internal.events_to_redact($3, $4, $5)",
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
	.returns = RETURNS(INT8ARRAYOID),
};

static OwnerQuery events_query = {
	.sql = "SELECT crm_deals_internal.redact_events($1, $2, $3, $4)",
	.nargs = 4,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID, TEXTOID, TEXTOID},
	.returns = RETURNS(INT8OID),
};

/* Blanks what the log says of the person. */
static void
redact_events(Redaction *redaction)
{
	Datum		values[] = {0, redaction->values[THE_DEALS], redaction->values[THE_ACTOR],
	redaction->values[THE_OWNER]};
	char		nulls[] = {' ', ' ', redaction->nulls[THE_ACTOR], redaction->nulls[THE_OWNER], '\0'};
	bool		isnull;

	caller_query(&visible_events, redaction->values, redaction->nulls);
	values[0] = result_column(1, &isnull);
	nulls[0] = isnull ? 'n' : ' ';
	count_rows(redaction, DEAL_EVENT, run_as_owner(&events_query, values, nulls));
}

static CallerQuery visible_flags = {
	.sql = "SELECT f.deals, f.other_deals FROM crm_deals_internal.flags_to_redact($4) AS f",
	.nargs = N_ARGUMENTS,
	.argtypes = ARGUMENT_TYPES,
	.returns = RETURNS(INT8ARRAYOID, INT8ARRAYOID),
};

static OwnerQuery flags_query = {
	.sql = "SELECT crm_deals_internal.redact_flags($1, $2)",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID},
	.returns = RETURNS(INT8OID),
};

static OwnerQuery pruning_query = {
	.sql = "SELECT FROM crm_deals_internal.redact_pruning($1)",
	.nargs = 1,
	.argtypes = {TEXTOID},
};

static OwnerQuery merges_query = {
	.sql = "SELECT FROM crm_deals_internal.redact_merges($1)",
	.nargs = 1,
	.argtypes = {TEXTOID},
};

/* Blanks who dismissed duplicates, and who pruned the log. */
static void
redact_actor(Redaction *redaction)
{
	Datum		flags[2];
	bool		isnull;

	caller_query(&visible_flags, redaction->values, redaction->nulls);
	for (int i = 0; i < 2; i++)
		flags[i] = result_column(i + 1, &isnull);
	count_rows(redaction, DEAL_DUPLICATE, isnull ? 0 : run_as_owner(&flags_query, flags, NULL));
	(void) run_as_owner(&merges_query, &redaction->values[THE_ACTOR], NULL);
	(void) run_as_owner(&pruning_query, &redaction->values[THE_ACTOR], NULL);
}

/* ----------
 * redact()
 * ----------
 */

/* Does all that the call asks for. */
static void
redact(Redaction *redaction)
{
	if (!names(redaction, THE_CONTACT) && !names(redaction, THE_LEAD) &&
		!names(redaction, THE_DEALS) && !names(redaction, THE_ACTOR))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nothing to redact is named"),
				 errhint("Name a contact, a lead, deals or an actor.")));
	decide_about_owner(redaction);
	find_deals(redaction);
	redact_deals(redaction);
	if (names(redaction, THE_CONTACT))
		redact_contact(redaction);
	if (names(redaction, THE_LEAD))
		redact_lead(redaction);
	(void) write_rows(redaction, &activities_of_person, ACTIVITY);
	(void) write_rows(redaction, &other_activities, ACTIVITY);
	redact_events(redaction);
	if (names(redaction, THE_ACTOR))
		redact_actor(redaction);
	if (names(redaction, THE_OWNER))
		redact_owners(redaction);
}

/* redact(contact, lead, deals, actor, reason) returns the rows changed in each table. The reason becomes the note. */
Datum
crm_deals_redact(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = result_set_begin(fcinfo);
	Redaction	redaction = {.reason = text_argument(fcinfo, 4)};

	check_installation();
	spi_arguments(fcinfo, THE_OWNER, redaction.values, redaction.nulls);
	redaction.nulls[THE_OWNER] = 'n';
	redaction.nulls[N_ARGUMENTS] = '\0';
	SPI_connect();
	redact(&redaction);
	for (int i = 0; i < N_TABLES; i++)
	{
		Datum		values[2] = {CStringGetTextDatum(table_names[i]), Int64GetDatum(redaction.rows[i])};
		bool		isnull[2] = {false, false};

		if (redaction.is_counted[i])
			result_set_add(result, values, isnull);
	}
	SPI_finish();
	return (Datum) 0;
}
