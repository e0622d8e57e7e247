/*
 * merge.c
 *		merge_deals(): makes one deal of two.
 *
 * Deals, stakeholders, activities and leads are written as the caller
 * (sql/functions/merge.sql). Flags, aliases and the record of what moved are
 * written as the owner of the tables, because no caller may write them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "base/arguments.h"
#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "base/write_context.h"
#include "functions/repoint.h"

PG_FUNCTION_INFO_V1(crm_deals_merge_deals);

typedef struct Merge
{
	int64		survivor;
	int64		duplicate;
	const char *actor;
	char	   *path;			/* of the caller */
	char	   *ticket;
	StringInfoData moved;		/* JSON: which rows of which references; see record_query */
	char	   *external_id;	/* out: of the duplicate, or NULL */
	Datum		moved_by_sql;	/* out: jsonb */
} Merge;

/* ----------
 * References
 * ----------
 */

/* Adds to the record which rows were repointed: their ids, or only their table. */
static void
record_reference(Merge *merge, const Reference *reference, ArrayType *rows)
{
	if (merge->moved.len > 1)
		appendStringInfoChar(&merge->moved, ',');
	appendStringInfoString(&merge->moved, "{\"table\": ");
	escape_json(&merge->moved, reference->table_name);
	appendStringInfoString(&merge->moved, ", \"column\": ");
	escape_json(&merge->moved, reference->column);
	if (rows != NULL)
	{
		appendStringInfoString(&merge->moved, ", \"ids\": ");
		for (int i = 0; i < int8_array_length(rows); i++)
			appendStringInfo(&merge->moved, "%c%lld", i == 0 ? '[' : ',', (long long) int8_array_elements(rows)[i]);
		appendStringInfoChar(&merge->moved, ']');
	}
	appendStringInfoChar(&merge->moved, '}');
}

/* Lets what refers to the duplicate refer to the survivor: the work of write_context_run(). */
static void
repoint_references(void *arg)
{
	Merge	   *merge = arg;
	Repointing	repointing = {.from = merge->duplicate, .to = merge->survivor, .path = merge->path, .what = "merged"};
	List	   *references = references_to_deal();
	ListCell   *cell;

	initStringInfo(&merge->moved);
	appendStringInfoChar(&merge->moved, '[');
	foreach(cell, references)
	{
		ArrayType  *rows;

		if (repoint_reference(lfirst(cell), &repointing, &rows))
			record_reference(merge, lfirst(cell), rows);
	}
	appendStringInfoChar(&merge->moved, ']');
}

/* ----------
 * Stakeholders, notes, values; the end of the duplicate
 * ----------
 */

static CallerQuery merge_query = {
	.sql = "SELECT m.external_id, m.moved FROM crm_deals_internal.merge_deals($1, $2, $3, $4) AS m",
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, TEXTOID, TEXTOID},
	.returns = RETURNS(TEXTOID, JSONBOID),
};

/* Makes one deal of the two: the work of write_context_run(). */
static void
unite(void *arg)
{
	Merge	   *merge = arg;
	Datum		values[4] = {Int64GetDatum(merge->survivor), Int64GetDatum(merge->duplicate),
	CStringGetTextDatum(merge->actor), CStringGetTextDatum(merge->ticket)};

	caller_query(&merge_query, values, NULL);
	merge->external_id = result_text(1);
	merge->moved_by_sql = needed_value("deal_merge", 0, 2);
}

/* ----------
 * What only the owner of the tables may write
 * ----------
 */

/* It runs before the duplicate is deleted, which would delete its aliases too. */
static OwnerQuery repoint_aliases_query = {
	.sql = "WITH moved AS (UPDATE crm_deals.deal_alias AS a SET deal_id = $1"
	"  WHERE a.deal_id OPERATOR(pg_catalog.=) $2 RETURNING a.old_id)"
	" SELECT coalesce(pg_catalog.jsonb_agg(m.old_id), '[]') FROM moved AS m",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(JSONBOID),
};

/* Likewise: else they would go under the caller's search_path. */
static OwnerQuery remove_flags_query = {
	.sql = "WITH removed AS (DELETE FROM crm_deals.deal_duplicate AS f"
	"  WHERE f.deal_id OPERATOR(pg_catalog.=) $1 OR f.other_deal_id OPERATOR(pg_catalog.=) $1"
	"  RETURNING crm_deals_internal.logged_row(f.*) AS flag)"
	" SELECT coalesce(pg_catalog.jsonb_agg(r.flag), '[]') FROM removed AS r",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(JSONBOID),
};

static OwnerQuery add_alias_query = {
	.sql = "INSERT INTO crm_deals.deal_alias (deal_id, old_id, old_external_id) VALUES ($1, $2, $3)",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
};

/*
 * The record of the merge: {"references": [{"table", "column", "ids"}], "stakeholders", "note" (see
 * sql/functions/merge.sql), "aliases": [id], "flags": [row]}. A table that undo_batch() does not put back has no "ids".
 */
static OwnerQuery record_query = {
	.sql = "INSERT INTO crm_deals.deal_merge (event_id, moved)"
	" SELECT e.id, $2 OPERATOR(pg_catalog.||)"
	"  pg_catalog.jsonb_build_object('references', $3::pg_catalog.jsonb, 'aliases', $4, 'flags', $5)"
	" FROM crm_deals.deal_event AS e WHERE e.deal_id OPERATOR(pg_catalog.=) $1"
	" ORDER BY e.version DESC LIMIT 1",
	.nargs = 5,
	.argtypes = {INT8OID, JSONBOID, TEXTOID, JSONBOID, JSONBOID},
};

/* Runs a query that says what it moved; returns a copy. */
static Datum
owner_query_moves(OwnerQuery *query, Datum *values)
{
	bool		isnull;

	(void) owner_query_run(query, values, NULL);
	return result_column(1, &isnull);
}

/* ----------
 * merge_deals()
 * ----------
 */

static CallerQuery lock_query = {
	.sql = "SELECT crm_deals_internal.lock_to_merge($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(INT8ARRAYOID),
};

/* Locks both deals; the arguments of the call may be aliases. */
static void
lock_to_merge(FunctionCallInfo fcinfo, Merge *merge)
{
	Datum		values[2];
	char		nulls[3];
	ArrayType  *locked;

	spi_arguments(fcinfo, 2, values, nulls);
	caller_query(&lock_query, values, nulls);
	locked = DatumGetArrayTypeP(needed_value("deal", 0, 1));
	if (int8_array_length(locked) != 2)
		elog(ERROR, "lock_to_merge() returned %d deals", int8_array_length(locked));
	merge->survivor = int8_array_elements(locked)[0];
	merge->duplicate = int8_array_elements(locked)[1];
}

/* Merges the two deals, which are locked. The context is that of their events. */
static void
merge_locked(Merge *merge, WriteContext *context)
{
	WriteContext references_context = {.actor = context->actor, .only_by_ticket = true};
	Datum		both[3] = {Int64GetDatum(merge->survivor), Int64GetDatum(merge->duplicate)};
	Datum		record[5] = {both[1]};

	record[3] = owner_query_moves(&repoint_aliases_query, both);
	record[4] = owner_query_moves(&remove_flags_query, &both[1]);
	merge->path = write_context_ticket(&references_context);
	write_context_run(&references_context, repoint_references, merge);
	merge->ticket = write_context_ticket(context);
	write_context_run(context, unite, merge);

	if (merge->external_id != NULL)
		both[2] = CStringGetTextDatum(merge->external_id);
	(void) owner_query_run(&add_alias_query, both, merge->external_id == NULL ? "  n" : NULL);
	record[1] = merge->moved_by_sql;
	record[2] = CStringGetTextDatum(merge->moved.data);
	(void) owner_query_run(&record_query, record, NULL);
}

/* merge_deals(survivor, duplicate, actor) returns the survivor. */
Datum
crm_deals_merge_deals(PG_FUNCTION_ARGS)
{
	WriteContext context = {.actor = text_argument(fcinfo, 2), .one_batch = true};
	Merge		merge = {.actor = context.actor != NULL ? context.actor : current_actor()};

	SPI_connect();
	lock_to_merge(fcinfo, &merge);
	context.merged_into = merge.survivor;
	merge_locked(&merge, &context);
	SPI_finish();
	PG_RETURN_INT64(merge.survivor);
}
