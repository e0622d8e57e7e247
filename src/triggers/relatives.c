/*
 * relatives.c
 *		Parents and children of the table deal, and parents of stage and pipeline.
 *
 * A statement that writes deals through a parent fires their row triggers, but
 * not their statement triggers: nothing would be logged.  A child holds rows
 * that no trigger of ours sees.  So nobody writes while there is either.  Every
 * row trigger asks too, as no statement trigger may have fired.
 *
 * The same is true of stage and pipeline: deals would not follow their stage, and
 * other sessions would keep the old rules in their caches.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_inherits.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "triggers/relatives.h"

#define HOW_TO_PART "Run ALTER TABLE with NO INHERIT or DETACH PARTITION."

/* Returns a parent of the table, or InvalidOid. */
static Oid
parent_of(Oid relid)
{
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	Oid			parent = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return parent;
}

/* Returns a child of the table, or InvalidOid.  The mark in pg_class may be of a child that is gone. */
static Oid
child_of(Relation deal)
{
	List	   *children = deal->rd_rel->relhassubclass
		? find_inheritance_children(RelationGetRelid(deal), NoLock) : NIL;

	return children != NIL ? linitial_oid(children) : InvalidOid;
}

/* Returns the relation's name with its schema, or its number if somebody drops it. */
static char *
name_of(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return psprintf("%u", relid);
	return psprintf("%s.%s", get_namespace_name_or_temp(get_rel_namespace(relid)), name);
}

/* Refuses every write of a row of stage or pipeline while the table has a parent. */
void
refuse_parent(Relation table)
{
	Oid			parent = parent_of(RelationGetRelid(table));

	if (!OidIsValid(parent))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is not written while it inherits from \"%s\"",
					RelationGetRelationName(table), name_of(parent)),
			 errdetail("Deals do not follow a write through a parent."),
			 errhint(HOW_TO_PART),
			 errtable(table)));
}

/* Refuses a write of deals if their table has a parent or a child. */
static void
look_for_relatives(Relation deal)
{
	Oid			parent = parent_of(RelationGetRelid(deal));
	Oid			child = OidIsValid(parent) ? InvalidOid : child_of(deal);

	if (!OidIsValid(parent) && !OidIsValid(child))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("deals are not written while table \"deal\" %s \"%s\"",
					OidIsValid(parent) ? "inherits from" : "is inherited by",
					name_of(OidIsValid(parent) ? parent : child)),
			 errdetail("A write through a parent leaves no event, and rows of a child obey no rule."),
			 errhint(HOW_TO_PART),
			 errtable(deal)));
}

/* Refuses every write of deals while their table has a parent or a child; looks once in a statement. */
void
refuse_relatives(Relation deal)
{
	static struct
	{
		LocalTransactionId transaction;
		CommandId	command;
	}			looked;
	CommandId	command = GetCurrentCommandId(false);

	if (looked.transaction == my_lxid() && looked.command == command)
		return;
	look_for_relatives(deal);
	looked.transaction = my_lxid();
	looked.command = command;
}
