/*
 * installed.c
 *		The relations that install() made: where they are, and whether they are as it made them.
 *
 * They belong to the user, who may alter, drop and recreate them at any time.
 * C code reads their values by the types that install() gave the columns, and
 * writes them in the name of their owner. So before it does, each must be what
 * install() made: a plain table or a view, of the same owner as deal, with its
 * columns, their types and their NOT NULL. A user may add columns, in any place.
 *
 * What was found of a relation holds until the relation changes. The catalogs
 * are read without a lock on the relation: nobody waits who does not use it.
 * Whoever uses it afterwards locks it, and then learns of a change in between.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/installed.h"
#include "base/relation_watch.h"

/* A column's type, besides the OIDs of types */
#define HOST_KEY_TYPE		ANYELEMENTOID	/* any that the key of a host's table may have */
#define DEAL_STATUS_TYPE	ANYENUMOID

typedef struct InstalledColumn
{
	const char *name;
	Oid			type;			/* TEXTOID: or varchar */
	bool		not_null;
} InstalledColumn;

#include "base/installed_tables.h"

typedef struct InstalledRelation
{
	const char *name;
	char		kind;
	bool		or_hosts;		/* made unless the host has such a table: then a relation of that name is the host's */
	const InstalledColumn *columns;
	int			n_columns;
} InstalledRelation;

#define A_TABLE(name)			{#name, RELKIND_RELATION, false, columns_of_##name, lengthof(columns_of_##name)},
#define A_TABLE_OR_HOSTS(name)	{#name, RELKIND_RELATION, true, columns_of_##name, lengthof(columns_of_##name)},
#define A_VIEW(name)			{#name, RELKIND_VIEW, false, NULL, 0},

static const InstalledRelation relations[] = {
	INSTALLED_RELATIONS(A_TABLE, A_TABLE_OR_HOSTS, A_VIEW)
};

/* Of each relation: it is as installed if its watch is on and nothing changed it since. */
static RelationWatch as_installed[lengthof(relations)];

static Finding token;
static Finding owner;

/* Returns a difference. */
static const Difference *
make_difference(char *message, const char *detail, const char *hint)
{
	Difference *made = palloc(sizeof(Difference));

	*made = (Difference) {message, pstrdup(detail), pstrdup(hint)};
	return made;
}

/* Raises the difference. */
void
raise_difference(const Difference *difference)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_internal("%s", difference->message),
			 errdetail_internal("%s", difference->detail),
			 errhint("%s", difference->hint)));
}

/* ----------
 * Where they are
 * ----------
 */

/* Returns a relation of the schema crm_deals, or InvalidOid. */
Oid
find_relation(const char *name)
{
	Oid			schema = get_namespace_oid("crm_deals", true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/* Returns whether install() has made the tables. */
bool
is_installed(void)
{
	return OidIsValid(find_relation("deal")) && OidIsValid(find_relation("event_consumer"));
}

/* Returns the difference of a relation that is not there. */
static const Difference *
missing(const char *relation)
{
	return make_difference(psprintf("table crm_deals.%s does not exist", relation),
						   "The extension holds the code; its tables are made by install().",
						   "Run SELECT crm_deals.install().");
}

/* Returns a relation of ours, or raises that install() has to run. */
Oid
installed_table(const char *name)
{
	Oid			relid = find_relation(name);

	if (!OidIsValid(relid))
		raise_difference(missing(name));
	return relid;
}

/* Returns the relation whose lock orders writers of deals against editors of stages. */
Oid
writers_token(void)
{
	Oid			relid;

	if (still_holds(&token))
		return token.oid;
	relid = installed_table("installation");
	begin_finding(&token, relid);
	return end_finding(&token, relid);
}

/* Returns the role that owns a relation. */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			role = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		role = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return role;
}

/* Returns the role that owns the table deal. */
Oid
tables_owner(void)
{
	Oid			relid;

	if (still_holds(&owner))
		return owner.oid;
	relid = installed_table("deal");
	begin_finding(&owner, relid);
	return end_finding(&owner, owner_of(relid));
}

/* ----------
 * Differences
 * ----------
 */

#define HINT_UNDO "What the code reads cannot be dropped, renamed, emptied or given another type: undo the change."

/* Returns the difference of a relation, or of the schema if the name is NULL. */
static const Difference *
differs(const char *relation, const char *detail, const char *hint)
{
	return make_difference(relation != NULL ? psprintf("table crm_deals.%s is not as installed", relation)
						   : pstrdup("schema crm_deals is not as installed"), detail, hint);
}

/* Raises that the table's content or shape is not what install() lets it be. */
void
raise_not_as_installed(const char *table, const char *detail)
{
	raise_difference(differs(table, detail, HINT_UNDO));
}

/* Raises that a column of a row, counted from 1, is NULL. */
void
raise_null_column(const char *table, TupleDesc desc, int column)
{
	raise_difference(differs(table, psprintf("Column \"%s\" is NULL in a row.",
											 NameStr(TupleDescAttr(desc, column - 1)->attname)),
							 "Give the column a value in every row, and make it NOT NULL again."));
}

/* Returns a difference if the role is not the owner of deal. */
static const Difference *
differs_in_owner(const char *relation, Oid role)
{
	char	   *has = GetUserNameFromId(role, true);
	char	   *should = GetUserNameFromId(tables_owner(), true);

	if (role == tables_owner())
		return NULL;
	return differs(relation,
				   psprintf("It belongs to role \"%s\", the table deal to role \"%s\".",
							has != NULL ? has : "?", should != NULL ? should : "?"),
				   psprintf("Run ALTER %s OWNER TO %s; then a superuser runs SELECT crm_deals.install().",
							relation == NULL ? "SCHEMA crm_deals" : psprintf("TABLE crm_deals.%s", relation),
							should != NULL ? quote_identifier(should) : "?"));
}

/* Returns the difference of the schema, or NULL. */
const Difference *
difference_of_schema(void)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(get_namespace_oid("crm_deals", false)));
	Oid			role;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	role = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return differs_in_owner(NULL, role);
}

/* Returns what a relation of this kind is, for a detail. */
static const char *
kind_name(char kind)
{
	switch (kind)
	{
		case RELKIND_RELATION:
			return "a table";
		case RELKIND_VIEW:
			return "a view";
		case RELKIND_MATVIEW:
			return "a materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "a foreign table";
		case RELKIND_PARTITIONED_TABLE:
			return "a partitioned table";
		default:
			return "no table";
	}
}

/* Returns a difference if it is no plain table, or no view, or not the owner's. */
static const Difference *
differs_as_relation(const InstalledRelation *relation, Form_pg_class class)
{
	if (class->relkind != relation->kind)
		return differs(relation->name, psprintf("It is %s.", kind_name(class->relkind)),
					   psprintf("Put %s of its columns there.", kind_name(relation->kind)));
	if (relation->kind == RELKIND_RELATION && class->relpersistence != RELPERSISTENCE_PERMANENT)
		return differs(relation->name, "It is not permanent.",
					   psprintf("Run ALTER TABLE crm_deals.%s SET LOGGED.", relation->name));
	if (relation->kind == RELKIND_RELATION && class->relam != HEAP_TABLE_AM_OID)
		return differs(relation->name, "Its access method is not heap.", HINT_UNDO);
	return differs_in_owner(relation->name, class->relowner);
}

/* Returns whether a column of this type has values as C code reads them. */
static bool
is_of_type(Oid has, Oid type)
{
	switch (type)
	{
		case DEAL_STATUS_TYPE:
			return type_is_enum(has);
		case HOST_KEY_TYPE:
			return has == INT8OID || has == INT4OID || has == UUIDOID || has == TEXTOID || has == VARCHAROID;
		case TEXTOID:
			return has == TEXTOID || has == VARCHAROID;
		default:
			return has == type;
	}
}

/* Returns the name of a column's type, for a detail. */
static const char *
type_name(Oid type)
{
	return type == DEAL_STATUS_TYPE ? "crm_deals.deal_status" : type == HOST_KEY_TYPE ? "that of a key"
		: format_type_be(type);
}

/* Returns the detail of a difference of the column, or NULL. */
static char *
column_differs(Oid relid, const InstalledColumn *column)
{
	HeapTuple	tuple = SearchSysCacheAttName(relid, column->name);
	Form_pg_attribute att;
	char	   *detail = NULL;

	if (!HeapTupleIsValid(tuple))
		return psprintf("Column \"%s\" is missing.", column->name);
	att = (Form_pg_attribute) GETSTRUCT(tuple);
	if (!is_of_type(att->atttypid, column->type))
		detail = psprintf("Column \"%s\" has type %s, not %s.", column->name,
						  format_type_be(att->atttypid), type_name(column->type));
	else if (column->not_null && !att->attnotnull)
		detail = psprintf("Column \"%s\" may be NULL.", column->name);
	ReleaseSysCache(tuple);
	return detail;
}

/* Returns the difference of a relation that is there, or NULL. */
static const Difference *
difference_as_found(const InstalledRelation *relation, Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	const Difference *found;

	if (!HeapTupleIsValid(tuple))
		return differs(relation->name, "It is being dropped.", "Run SELECT crm_deals.install().");
	found = differs_as_relation(relation, (Form_pg_class) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	for (int i = 0; found == NULL && i < relation->n_columns; i++)
	{
		char	   *detail = column_differs(relid, &relation->columns[i]);

		if (detail != NULL)
			found = differs(relation->name, detail, HINT_UNDO);
	}
	return found;
}

/* Returns the difference of a relation, or NULL; looks only if the relation changed since it was looked at. */
static const Difference *
difference_of(int number, Oid relid)
{
	RelationWatch *watch = &as_installed[number];
	const Difference *found;

	relation_watch_begin(watch, relid);
	found = difference_as_found(&relations[number], relid);
	if (found != NULL)
		watch->unchanged = false;
	return found;
}

/* Returns whether deals refer to the table: a host may have a table account or contact of its own in our schema. */
static bool
deals_refer_to(Oid relid)
{
	Relation	deal = table_open(installed_table("deal"), AccessShareLock);
	ListCell   *cell;
	bool		refers = false;

	foreach(cell, RelationGetFKeyList(deal))
		refers = refers || ((ForeignKeyCacheInfo *) lfirst(cell))->confrelid == relid;
	table_close(deal, AccessShareLock);
	return refers;
}

/* Returns the difference of a relation, or NULL if there is none, or if it is not there and need not be. */
static const Difference *
find_difference_at(int number)
{
	const InstalledRelation *relation = &relations[number];
	bool		must_exist = relation->kind == RELKIND_RELATION && !relation->or_hosts;
	Oid			relid;

	if (relation_unchanged(&as_installed[number]))
		return NULL;
	relid = find_relation(relation->name);
	if (!OidIsValid(relid) && must_exist)
		return missing(relation->name);
	if (OidIsValid(relid) && (!relation->or_hosts || deals_refer_to(relid)))
		return difference_of(number, relid);
	/* Nothing watches a view that is not there: the next call looks again. */
	if (!relation->or_hosts)
		watched_changes++;
	return NULL;
}

/* Forgets what was found in a schema that has another name now. */
static void
forget_other_schema(void)
{
	static Oid	schema = InvalidOid;
	Oid			now = get_namespace_oid("crm_deals", true);

	if (schema == now)
		return;
	schema = now;
	token.complete = owner.complete = false;
	for (int i = 0; i < (int) lengthof(relations); i++)
		as_installed[i].unchanged = false;
}

/* Returns the first difference, or NULL. */
const Difference *
find_difference(void)
{
	const Difference *found;

	forget_other_schema();
	(void) installed_table("deal");
	found = difference_of_schema();
	for (int i = 0; found == NULL && i < (int) lengthof(relations); i++)
		found = find_difference_at(i);
	return found;
}

/* Returns the difference of the relation of this name, or NULL. */
const Difference *
find_difference_of(const char *relation)
{
	for (int i = 0; i < (int) lengthof(relations); i++)
		if (strcmp(relations[i].name, relation) == 0)
			return relation_unchanged(&as_installed[i]) ? NULL : difference_of(i, installed_table(relation));
	elog(ERROR, "install() makes no relation \"%s\"", relation);
}

/* Returns the number of a column that is as installed. */
AttrNumber
installed_column(Relation table, const char *column)
{
	AttrNumber	number = get_attnum(RelationGetRelid(table), column);

	if (number <= 0)
		raise_not_as_installed(RelationGetRelationName(table), psprintf("Column \"%s\" is missing.", column));
	return number;
}

/* Returns the names of the columns that install() gives a relation. */
List *
installed_columns(const char *relation)
{
	List	   *names = NIL;

	for (int i = 0; i < (int) lengthof(relations); i++)
		for (int column = 0; strcmp(relations[i].name, relation) == 0 && column < relations[i].n_columns; column++)
			names = lappend(names, pstrdup(relations[i].columns[column].name));
	return names;
}

/* ----------
 * Indexes
 * ----------
 */

/* Returns whether the index has a row for every row of the table that is visible, and is of this access method. */
bool
is_complete_index(Relation index, Relation table, Oid access_method)
{
	Form_pg_index form = index->rd_index;

	return form->indrelid == RelationGetRelid(table) && index->rd_rel->relam == access_method &&
		form->indisvalid && form->indisready && form->indislive &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

/* Returns whether the first key of the b-tree is the column, in its usual order. */
static bool
is_first_key(Relation index, Relation table, AttrNumber column)
{
	Oid			type = TupleDescAttr(RelationGetDescr(table), column - 1)->atttypid;
	Oid			usual = GetDefaultOpClass(type, BTREE_AM_OID);

	return index->rd_index->indkey.values[0] == column && index->rd_indoption[0] == 0 &&
		OidIsValid(usual) && index->rd_opfamily[0] == get_opclass_family(usual);
}

/* Returns the b-tree of this name, or InvalidOid if it is not what it should be. */
Oid
installed_btree(Relation table, const char *name, const char *column)
{
	Oid			oid = find_relation(name);
	Relation	index;
	bool		fits;

	if (!OidIsValid(oid) || get_rel_relkind(oid) != RELKIND_INDEX)
		return InvalidOid;
	index = index_open(oid, AccessShareLock);
	fits = is_complete_index(index, table, BTREE_AM_OID) &&
		is_first_key(index, table, installed_column(table, column));
	index_close(index, AccessShareLock);
	return fits ? oid : InvalidOid;
}
