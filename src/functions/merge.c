/*
 * merge.c
 *		merge_deals(): makes one deal of two.
 *
 * Deals, stakeholders, activities and leads are written as the caller
 * (sql/functions/merge.sql). Two things are not:
 *
 * Aliases are written as the owner of the tables, because no caller may write
 * them.
 *
 * Rows of any other table that refer to the duplicate are repointed as the
 * owner of their table, as a foreign key's own actions are. A table may belong
 * to somebody whom the caller does not trust; its triggers must not run as the
 * caller, neither now nor at the end of the transaction. No SQL function
 * reaches this code but merge_deals(), which holds locks on both deals.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/acting_as_owner.h"
#include "base/arguments.h"
#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/owner_query.h"
#include "base/search_path.h"
#include "base/spi_result.h"
#include "base/write_as_caller.h"
#include "base/write_context.h"

PG_FUNCTION_INFO_V1(crm_deals_merge_deals);

typedef struct Merge
{
	int64		survivor;
	int64		duplicate;
	const char *callers_path;
	char	   *external_id;	/* out: of the duplicate, or NULL */
} Merge;

/* ----------
 * Foreign keys to deal
 * ----------
 */

typedef struct Reference
{
	char	   *constraint;
	char	   *column;
	Oid			table;
	bool		deferrable;
	bool		deferred;		/* initially */
	char	   *table_name;		/* with its schema, quoted */
} Reference;

static CallerQuery references_query = {
	.sql = "SELECT r.name, r.field, r.relation::pg_catalog.oid, r.may_wait, r.waits"
	" FROM crm_deals_internal.references_to_deal() AS r",
	.returns = RETURNS(TEXTOID, TEXTOID, OIDOID, BOOLOID, BOOLOID),
};

/* Returns the table's name with its schema. */
static char *
full_name(Oid table)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), get_rel_name(table));
}

/* Returns the foreign keys to deal, as a list of Reference. */
static List *
references_to_deal(void)
{
	List	   *references = NIL;

	caller_query(&references_query, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Reference  *reference = palloc0(sizeof(Reference));

		reference->constraint = needed_text("pg_constraint", i, 1);
		reference->column = needed_text("pg_constraint", i, 2);
		reference->table = DatumGetObjectId(needed_value("pg_constraint", i, 3));
		reference->deferrable = row_bool(i, 4);
		reference->deferred = row_bool(i, 5);
		references = lappend(references, reference);
	}
	return references;
}

/* Returns whether a user's trigger on the table, or on a part of it, may wait for the end of the transaction. */
static bool
has_deferrable_trigger(Oid table)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, RowExclusiveLock, NULL))
	{
		Relation	part = relation_open(lfirst_oid(cell), NoLock);
		bool		found = false;

		for (int i = 0; part->trigdesc != NULL && i < part->trigdesc->numtriggers && !found; i++)
		{
			Trigger    *trigger = &part->trigdesc->triggers[i];

			found = trigger->tgdeferrable && !trigger->tgisinternal && trigger->tgenabled != TRIGGER_DISABLED;
		}
		relation_close(part, NoLock);
		if (found)
			return true;
	}
	return false;
}

/* Returns whether the owner is neither the caller nor the owner of deal. */
static bool
is_third_owner(Oid owner)
{
	return owner != GetUserId() && owner != tables_owner();
}

/*
 * Refuses a table whose triggers would run at the end of the transaction, and
 * then as the caller: that of a third owner. Returns the owner.
 */
static Oid
check_owner(const Reference *reference, Oid owner)
{
	if (is_third_owner(owner) && has_deferrable_trigger(reference->table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has a deferrable trigger of another owner's", reference->table_name)));
	return owner;
}

/* ----------
 * Repointing
 * ----------
 */

/* Returns the parameters $1 and $2 of the statements. */
static ParamListInfo
both_deals(const Merge *merge)
{
	ParamListInfo deals = makeParamList(2);

	for (int i = 0; i < 2; i++)
		deals->params[i] = (ParamExternData)
	{
		.value = Int64GetDatum(i == 0 ? merge->survivor : merge->duplicate),
			.pflags = PARAM_FLAG_CONST,
			.ptype = INT8OID,
	};
	return deals;
}

/* Returns whether a row refers to the duplicate; asks as the owner of the table, who can do nothing meanwhile. */
static bool
refers(const Reference *reference, const Merge *merge, Oid owner)
{
	char	   *query = psprintf("SELECT FROM %s AS r WHERE r.%s OPERATOR(pg_catalog.=) $1 LIMIT 1",
								 reference->table_name, quote_identifier(reference->column));
	Oid			type = INT8OID;
	Datum		duplicate = Int64GetDatum(merge->duplicate);
	FormerRole	former = become_role(owner, SECURITY_NOFORCE_RLS | SECURITY_RESTRICTED_OPERATION);

	if (SPI_execute_with_args(query, 1, &type, &duplicate, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", query);
	become_former(&former);
	return SPI_processed > 0;
}

/* Repoints the rows, as the caller. */
static void
repoint_as_caller(const char *statement, const Merge *merge)
{
	(void) write_under_path(merge->callers_path, statement, both_deals(merge), NULL);
}

/* Lets the foreign key be checked at once, or at the end of the transaction. */
static void
set_deferred(const Reference *reference, bool deferred)
{
	ConstraintsSetStmt *set = makeNode(ConstraintsSetStmt);

	set->constraints = list_make1(makeRangeVar(get_namespace_name(get_rel_namespace(reference->table)),
											   reference->constraint, -1));
	set->deferred = deferred;
	AfterTriggerSetState(set);
}

/* Repoints the rows, as the owner of the table. */
static void
repoint_as_owner(const char *statement, const Merge *merge, Oid owner, int restrictions)
{
	FormerRole	former = become_role(owner, SECURITY_NOFORCE_RLS | restrictions);

	(void) write_under_path(PINNED_PATH, statement, both_deals(merge), NULL);
	become_former(&former);
}

/*
 * Repoints the rows of a third owner's table. A security-restricted operation
 * lets nothing of hers wait for the end of the transaction. It would refuse a
 * deferred foreign key, too; so this one is checked at once.
 */
static void
repoint_as_third_owner(const Reference *reference, const char *statement, const Merge *merge, Oid owner)
{
	if (reference->deferrable)
		set_deferred(reference, false);
	repoint_as_owner(statement, merge, owner, SECURITY_RESTRICTED_OPERATION);
	if (reference->deferred)
		set_deferred(reference, true);
}

/* Returns whether the caller writes the table himself, if he can: it is his, or one that a merge is about. */
static bool
is_written_as_caller(Oid table, Oid owner)
{
	return owner == GetUserId() || table == installed_table("deal") || table == installed_table("activity") ||
		table == installed_table("lead");
}

/*
 * Repoints the rows of the table that refer to the duplicate. A row of deal,
 * activity or lead that row security hides from the caller is repointed as the
 * owner: else it would go with the duplicate.
 */
static void
repoint(const Reference *reference, const Merge *merge, Oid owner)
{
	const char *column = quote_identifier(reference->column);
	char	   *statement = psprintf("UPDATE %s AS r SET %s = $1 WHERE r.%s OPERATOR(pg_catalog.=) $2",
									 reference->table_name, column, column);

	if (is_written_as_caller(reference->table, owner))
		repoint_as_caller(statement, merge);
	if (is_third_owner(owner))
		repoint_as_third_owner(reference, statement, merge, owner);
	else if (owner != GetUserId() && refers(reference, merge, owner))
		repoint_as_owner(statement, merge, owner, 0);
	if (refers(reference, merge, owner))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger, a rule or row security lets a row keep its value")));
}

/* Raises the error that says why a table could not be repointed once more; it names the table. */
static void
raise_not_repointed(const Reference *reference, const Merge *merge, MemoryContext memory)
{
	ErrorData  *cause;

	MemoryContextSwitchTo(memory);
	cause = CopyErrorData();
	if (cause->sqlerrcode == ERRCODE_QUERY_CANCELED || cause->sqlerrcode == ERRCODE_ASSERT_FAILURE)
		PG_RE_THROW();
	FlushErrorState();
	ereport(ERROR,
			(errcode(cause->sqlerrcode),
			 errmsg("deal %lld cannot be merged: column \"%s\" of table %s cannot be repointed",
					(long long) merge->duplicate, reference->column, reference->table_name),
			 errdetail("Foreign key \"%s\": %s", reference->constraint, cause->message),
			 err_generic_string(PG_DIAG_TABLE_NAME, reference->table_name),
			 err_generic_string(PG_DIAG_COLUMN_NAME, reference->column),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, reference->constraint)));
}

/* Repoints one foreign key if a row refers to the duplicate. */
static void
repoint_reference(Reference *reference, const Merge *merge)
{
	MemoryContext memory = CurrentMemoryContext;
	Relation	table = try_relation_open(reference->table, RowExclusiveLock);
	Oid			owner;

	if (table == NULL)
		return;
	owner = table->rd_rel->relowner;
	relation_close(table, NoLock);
	reference->table_name = full_name(reference->table);
	PG_TRY();
	{
		if (refers(reference, merge, owner))
			repoint(reference, merge, check_owner(reference, owner));
	}
	PG_CATCH();
	{
		raise_not_repointed(reference, merge, memory);
	}
	PG_END_TRY();
}

/* ----------
 * Merge
 * ----------
 */

static CallerQuery lock_query = {
	.sql = "SELECT crm_deals_internal.lock_to_merge($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(INT8ARRAYOID),
};

static CallerQuery merge_query = {
	.sql = "SELECT crm_deals_internal.merge_deals($1, $2, $3)",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
	.returns = RETURNS(TEXTOID),
};

/* It runs before the duplicate is deleted, which would delete its aliases too. */
static OwnerQuery repoint_aliases_query = {
	.sql = "UPDATE crm_deals.deal_alias SET deal_id = $1 WHERE deal_id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static OwnerQuery add_alias_query = {
	.sql = "INSERT INTO crm_deals.deal_alias (deal_id, old_id, old_external_id) VALUES ($1, $2, $3)",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
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

/* Makes one deal of the two: the work of write_context_run(). */
static void
merge_locked(void *arg)
{
	Merge	   *merge = arg;
	Datum		values[3] = {Int64GetDatum(merge->survivor), Int64GetDatum(merge->duplicate),
	CStringGetTextDatum(merge->callers_path)};
	List	   *references = references_to_deal();
	ListCell   *cell;

	foreach(cell, references)
		repoint_reference(lfirst(cell), merge);
	caller_query(&merge_query, values, NULL);
	merge->external_id = result_text(1);
}

/* merge_deals(survivor, duplicate, actor) returns the survivor. */
Datum
crm_deals_merge_deals(PG_FUNCTION_ARGS)
{
	WriteContext context = {.actor = text_argument(fcinfo, 2), .every_statement = true};
	Merge		merge = {.callers_path = pstrdup(namespace_search_path)};
	Datum		values[3];

	SPI_connect();
	lock_to_merge(fcinfo, &merge);
	context.merged_into = merge.survivor;
	values[0] = Int64GetDatum(merge.survivor);
	values[1] = Int64GetDatum(merge.duplicate);
	(void) owner_query_run(&repoint_aliases_query, values, NULL);
	write_context_run(&context, merge_locked, &merge);
	if (merge.external_id != NULL)
		values[2] = CStringGetTextDatum(merge.external_id);
	(void) owner_query_run(&add_alias_query, values, merge.external_id == NULL ? "  n" : NULL);
	SPI_finish();
	PG_RETURN_INT64(merge.survivor);
}
