/*
 * repoint.c
 *		Lets rows of any table refer to another deal.
 *
 * Rows of a table that is neither ours nor the caller's are repointed as the
 * owner of their table, as a foreign key's own actions are. A table may belong
 * to somebody whom the caller does not trust; its triggers must not run as the
 * caller, neither now nor at the end of the transaction. No SQL function
 * reaches this code but merge_deals() and undo_batch(), which hold locks on
 * both deals.
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
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/search_path.h"
#include "base/spi_result.h"
#include "base/write_as_caller.h"
#include "functions/repoint.h"

/* ----------
 * Foreign keys to deal
 * ----------
 */

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

/* Returns the foreign keys to deal. */
List *
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
		reference->table_name = full_name(reference->table);
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

/* The parameters of the queries and statements: where the rows refer to, where they shall, and their ids or NULL */
#define N_PARAMETERS 3

static const Oid parameter_types[N_PARAMETERS] = {INT8OID, INT8OID, INT8ARRAYOID};

/* Sets the parameters. */
static void
set_parameters(const Repointing *repointing, Datum *values, char *nulls)
{
	values[0] = Int64GetDatum(repointing->from);
	values[1] = Int64GetDatum(repointing->to);
	values[2] = PointerGetDatum(repointing->rows);
	strcpy(nulls, repointing->rows != NULL ? "   " : "  n");
}

/* Returns the parameters of a statement. */
static ParamListInfo
statement_parameters(const Repointing *repointing)
{
	ParamListInfo parameters = makeParamList(N_PARAMETERS);
	Datum		values[N_PARAMETERS];
	char		nulls[N_PARAMETERS + 1];

	set_parameters(repointing, values, nulls);
	for (int i = 0; i < N_PARAMETERS; i++)
		parameters->params[i] = (ParamExternData)
	{
		.value = values[i],
			.isnull = nulls[i] == 'n',
			.pflags = PARAM_FLAG_CONST,
			.ptype = parameter_types[i],
	};
	return parameters;
}

/* Returns the condition on the rows "r" that are to be repointed. */
static char *
condition(const Reference *reference, const Repointing *repointing)
{
	return psprintf("r.%s OPERATOR(pg_catalog.=) $1%s", quote_identifier(reference->column),
					repointing->rows != NULL ? " AND r.id OPERATOR(pg_catalog.=) ANY ($3)" : "");
}

/* Runs the query as the owner of the table, who can do nothing meanwhile. */
static void
ask(const char *query, const Repointing *repointing, Oid owner)
{
	Oid			types[N_PARAMETERS];
	Datum		values[N_PARAMETERS];
	char		nulls[N_PARAMETERS + 1];
	FormerRole	former;

	memcpy(types, parameter_types, sizeof(types));
	set_parameters(repointing, values, nulls);
	former = become_role(owner, SECURITY_NOFORCE_RLS | SECURITY_RESTRICTED_OPERATION);
	if (SPI_execute_with_args(query, N_PARAMETERS, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", query);
	become_former(&former);
}

/* Returns whether a row is still to be repointed. */
static bool
refers(const Reference *reference, const Repointing *repointing, Oid owner)
{
	ask(psprintf("SELECT FROM %s AS r WHERE %s LIMIT 1", reference->table_name, condition(reference, repointing)),
		repointing, owner);
	return SPI_processed > 0;
}

/* Returns the ids of the rows of a table of ours that are to be repointed. */
static ArrayType *
referring_rows(const Reference *reference, const Repointing *repointing, Oid owner)
{
	bool		isnull;
	Datum		rows;

	ask(psprintf("SELECT pg_catalog.array_agg(r.id::pg_catalog.int8 ORDER BY r.id) FROM %s AS r WHERE %s",
				 reference->table_name, condition(reference, repointing)),
		repointing, owner);
	rows = result_column(1, &isnull);
	return isnull ? NULL : DatumGetArrayTypePCopy(rows);
}

/* Repoints the rows, as the caller. */
static void
repoint_as_caller(const char *statement, const Repointing *repointing)
{
	(void) write_under_path(repointing->path, statement, statement_parameters(repointing), NULL);
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
repoint_as_owner(const char *statement, const Repointing *repointing, Oid owner, int restrictions)
{
	FormerRole	former = become_role(owner, SECURITY_NOFORCE_RLS | restrictions);

	(void) write_under_path(PINNED_PATH, statement, statement_parameters(repointing), NULL);
	become_former(&former);
}

/*
 * Repoints the rows of a third owner's table. A security-restricted operation
 * lets nothing of hers wait for the end of the transaction. It would refuse a
 * deferred foreign key, too; so this one is checked at once.
 */
static void
repoint_as_third_owner(const Reference *reference, const char *statement, const Repointing *repointing, Oid owner)
{
	if (reference->deferrable)
		set_deferred(reference, false);
	repoint_as_owner(statement, repointing, owner, SECURITY_RESTRICTED_OPERATION);
	if (reference->deferred)
		set_deferred(reference, true);
}

/* Returns whether it is a table that a merge is about. */
bool
is_of_a_merge(const Reference *reference)
{
	return reference->table == installed_table("deal") || reference->table == installed_table("activity") ||
		reference->table == installed_table("lead");
}

/*
 * Repoints the rows. The caller writes his own tables and those that a merge is
 * about. A row of deal, activity or lead that row security hides from the
 * caller is repointed as the owner: else it would go with the duplicate.
 */
static void
repoint(const Reference *reference, const Repointing *repointing, Oid owner)
{
	char	   *statement = psprintf("UPDATE %s AS r SET %s = $2 WHERE %s", reference->table_name,
									 quote_identifier(reference->column), condition(reference, repointing));

	if (owner == GetUserId() || is_of_a_merge(reference))
		repoint_as_caller(statement, repointing);
	if (is_third_owner(owner))
		repoint_as_third_owner(reference, statement, repointing, owner);
	else if (owner != GetUserId() && refers(reference, repointing, owner))
		repoint_as_owner(statement, repointing, owner, 0);
	if (refers(reference, repointing, owner))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger, a rule or row security lets a row keep its value")));
}

/* Raises the error that says why a table could not be repointed once more; it names the table. */
static void
raise_not_repointed(const Reference *reference, const Repointing *repointing, MemoryContext memory)
{
	ErrorData  *cause;

	MemoryContextSwitchTo(memory);
	cause = CopyErrorData();
	if (cause->sqlerrcode == ERRCODE_QUERY_CANCELED || cause->sqlerrcode == ERRCODE_ASSERT_FAILURE)
		PG_RE_THROW();
	FlushErrorState();
	ereport(ERROR,
			(errcode(cause->sqlerrcode),
			 errmsg("deal %lld cannot be %s: column \"%s\" of table %s cannot be repointed",
					(long long) repointing->from, repointing->what, reference->column, reference->table_name),
			 errdetail("Foreign key \"%s\": %s", reference->constraint, cause->message),
			 err_generic_string(PG_DIAG_TABLE_NAME, reference->table_name),
			 err_generic_string(PG_DIAG_COLUMN_NAME, reference->column),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, reference->constraint)));
}

/* Repoints the rows of one foreign key; see repoint.h. */
bool
repoint_reference(const Reference *reference, const Repointing *repointing, ArrayType **rows)
{
	MemoryContext memory = CurrentMemoryContext;
	Relation	table = try_relation_open(reference->table, RowExclusiveLock);
	bool		referred = false;
	Oid			owner;

	*rows = NULL;
	if (table == NULL)
		return false;
	owner = table->rd_rel->relowner;
	relation_close(table, NoLock);
	PG_TRY();
	{
		referred = refers(reference, repointing, owner);
		if (referred)
		{
			if (is_of_a_merge(reference))
				*rows = referring_rows(reference, repointing, owner);
			repoint(reference, repointing, check_owner(reference, owner));
		}
	}
	PG_CATCH();
	{
		raise_not_repointed(reference, repointing, memory);
	}
	PG_END_TRY();
	return referred;
}
