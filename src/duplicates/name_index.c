/*
 * name_index.c
 *		Searches deal_name, the table of deal names, by its index of signatures.
 *
 * The index gives places in deal_name.  Every name found there is compared exactly,
 * so it does no harm if a place holds another row by now.  But no name may be
 * missed.  Signatures depend on the trigrams that pg_trgm makes, and these
 * change with the locale, the encoding and the versions.  The definition of the
 * index says for which environment it was made (crm_deals_internal.made_for()); if
 * that is not the present one, the index is not used.
 *
 * A writer searches with a dirty snapshot, which also sees the rows that other
 * transactions have not committed yet.  An ordinary snapshot would hide them, and two
 * transactions could write the same name without noticing each other.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "nodes/tidbitmap.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/installation.h"
#include "base/installed.h"
#include "base/owner_query.h"
#include "base/relation_watch.h"
#include "base/spi_result.h"
#include "duplicates/duplicate_rule.h"
#include "duplicates/name_index.h"
#include "duplicates/signature_ops.h"

PG_FUNCTION_INFO_V1(crm_deals_trigram_canary);

/* Arguments of crm_deals_internal.signatures() in the index */
enum
{
	ARGUMENT_ORGANIZATION,
	ARGUMENT_NAME,
	ARGUMENT_BUILT,
	ARGUMENT_MADE_FOR
};

/* What was found out about deal_name and its indexes, until the table changes */
typedef struct KnownIndex
{
	Oid			signatures;		/* the index of this name, or InvalidOid */
	float4		built;			/* threshold of its signatures; 0: it cannot be used */
	Oid			by_id;			/* the b-tree of ids, or InvalidOid if there is none that can be used */
	AttrNumber	deal_id;		/* this and the next two: numbers of columns */
	AttrNumber	organization;
	AttrNumber	name;
} KnownIndex;

struct NameIndex
{
	Relation	table;
	Relation	index;			/* NULL: it cannot be used */
	KnownIndex	known;
	SnapshotData dirty;
	Snapshot	snapshot;
	TupleTableSlot *slot;
	IndexFetchTableData *fetch;
	TokenSet   *sought;			/* trigrams of the name that is probed */
	TokenSet   *tokens;			/* trigrams of a name that was found */
	MemoryContext per_probe;
};

/* ----------
 * Can the index be used?
 * ----------
 */

static RelationWatch known_watch;
static KnownIndex known;

/* trigram_canary() */
Datum
crm_deals_trigram_canary(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_INT64((int64) trigram_canary());
}

static OwnerQuery environment_query = {
	.sql = "SELECT crm_deals_internal.made_for()",
	.returns = RETURNS(TEXTOID),
};

/* Returns the environment of this server, which does not change while the server runs. */
static const char *
present_environment(void)
{
	static char *environment = NULL;

	if (environment == NULL)
	{
		SPI_connect();
		owner_query_read_latest(&environment_query, NULL, NULL);
		environment = MemoryContextStrdup(TopMemoryContext, needed_text("deal_name", 0, 1));
		SPI_finish();
	}
	return environment;
}

/* Returns an argument that is a constant of this type, or NULL. */
static Const *
constant_argument(const FuncExpr *call, int number, Oid type)
{
	Const	   *argument = (Const *) list_nth(call->args, number);

	return IsA(argument, Const) && argument->consttype == type && !argument->constisnull ? argument : NULL;
}

/* Returns whether the function or the operator class is the one of this name among our internal ones. */
static bool
is_ours(Oid schema, const char *name, const char *expected)
{
	return schema == get_namespace_oid("crm_deals_internal", true) && name != NULL && strcmp(name, expected) == 0;
}

/* Returns whether the index has the operator class signature_ops of ours. */
static bool
has_our_operators(Relation index)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(get_index_column_opclass(RelationGetRelid(index), 1)));
	Form_pg_opclass form;
	bool		ours;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	ours = is_ours(form->opcnamespace, NameStr(form->opcname), "signature_ops");
	ReleaseSysCache(tuple);
	return ours;
}

/* Returns whether the argument is the column of the table as it is, or as a text that was a varchar. */
static bool
is_column(Node *argument, AttrNumber column)
{
	if (IsA(argument, RelabelType))
		argument = (Node *) ((RelabelType *) argument)->arg;
	return IsA(argument, Var) && ((Var *) argument)->varattno == column;
}

/* Returns the call of signatures(organization, name, ...) that the index holds for each row, or NULL. */
static FuncExpr *
indexed_call(Relation table, Relation index)
{
	List	   *expressions = RelationGetIndexExpressions(index);
	FuncExpr   *call = list_length(expressions) == 1 ? linitial(expressions) : NULL;

	if (index->rd_index->indnatts != 1 || call == NULL || !IsA(call, FuncExpr) ||
		list_length(call->args) != ARGUMENT_MADE_FOR + 1 ||
		!is_ours(get_func_namespace(call->funcid), get_func_name(call->funcid), "signatures") ||
		!is_column(list_nth(call->args, ARGUMENT_ORGANIZATION), installed_column(table, "organization")) ||
		!is_column(list_nth(call->args, ARGUMENT_NAME), installed_column(table, "name")))
		return NULL;
	return call;
}

/*
 * Reads the threshold of the signatures from the definition of the index; returns
 * 0 if it is not the index that install() makes, or was made for another environment.
 */
static float4
read_threshold(Relation table, Relation index)
{
	FuncExpr   *call = is_complete_index(index, table, GIN_AM_OID) && has_our_operators(index)
		? indexed_call(table, index) : NULL;
	Const	   *built;
	Const	   *made_for;
	float4		threshold;

	if (call == NULL)
		return 0;
	built = constant_argument(call, ARGUMENT_BUILT, FLOAT4OID);
	made_for = constant_argument(call, ARGUMENT_MADE_FOR, TEXTOID);
	if (built == NULL || made_for == NULL ||
		strcmp(TextDatumGetCString(made_for->constvalue), present_environment()) != 0)
		return 0;
	threshold = DatumGetFloat4(built->constvalue);
	return threshold > 0 && threshold <= 1 ? threshold : 0;
}

/* Finds out about the table and its indexes. */
static KnownIndex
find_out(Relation table, Oid signatures)
{
	KnownIndex	found = {.signatures = signatures};

	found.deal_id = installed_column(table, "deal_id");
	found.organization = installed_column(table, "organization");
	found.name = installed_column(table, "name");
	found.by_id = installed_btree(table, "deal_name_pkey", "deal_id");
	if (OidIsValid(signatures) && get_rel_relkind(signatures) == RELKIND_INDEX)
	{
		Relation	index = index_open(signatures, AccessShareLock);

		found.built = read_threshold(table, index);
		index_close(index, AccessShareLock);
	}
	return found;
}

/* Returns what is known of the table and its indexes; finds out again only if the table has changed. */
static const KnownIndex *
known_index(Relation table)
{
	Oid			signatures = find_relation("deal_name_signatures");

	if (relation_unchanged(&known_watch) && known_watch.relid == RelationGetRelid(table) &&
		known.signatures == signatures)
		return &known;
	relation_watch_begin(&known_watch, RelationGetRelid(table));
	known.signatures = InvalidOid;
	known = find_out(table, signatures);
	return &known;
}

/* ----------
 * Opening
 * ----------
 */

/* Opens the table and its index. */
NameIndex *
name_index_open(Snapshot snapshot)
{
	NameIndex  *index = palloc0(sizeof(NameIndex));

	check_installation();
	index->table = table_open(installed_table("deal_name"), AccessShareLock);
	check_installation();		/* it is locked now, and was perhaps altered just before */
	index->known = *known_index(index->table);
	if (index->known.built > 0)
		index->index = index_open(index->known.signatures, AccessShareLock);
	InitDirtySnapshot(index->dirty);
	index->snapshot = snapshot != NULL ? snapshot : &index->dirty;
	index->fetch = index_fetch_begin(index->table);
	index->slot = table_slot_create(index->table, NULL);
	index->sought = token_set_create();
	index->tokens = token_set_create();
	index->per_probe = AllocSetContextCreate(CurrentMemoryContext, "crm_deals probe", ALLOCSET_DEFAULT_SIZES);
	return index;
}

/* Closes the table and its index. */
void
name_index_close(NameIndex *index)
{
	table_index_fetch_end(index->fetch);
	ExecDropSingleTupleTableSlot(index->slot);
	if (index->index != NULL)
		index_close(index->index, AccessShareLock);
	table_close(index->table, AccessShareLock);
	MemoryContextDelete(index->per_probe);
}

/*
 * Names are stored with their deals, so those of the oldest deals tell whether a
 * dump left the names out.  A deal of this transaction does not: a user's trigger
 * may be writing deals before the names of the outer statement are stored.
 */
static OwnerQuery missing_query = {
	.sql = "SELECT EXISTS (SELECT"
	" FROM (SELECT o.id, o.organization, o.xmin AS written FROM crm_deals.deal AS o ORDER BY o.id LIMIT 100) AS d"
	" WHERE pg_catalog.age(d.written) OPERATOR(pg_catalog.>) 0"
	" AND EXISTS (SELECT FROM crm_deals.pipeline AS p"
	"  WHERE " RULE_IS_CHECKED " AND " SAME_ORGANIZATION("p.organization", "d.organization") ")"
	" AND NOT EXISTS (SELECT FROM crm_deals.deal_name AS n WHERE n.deal_id OPERATOR(pg_catalog.=) d.id))",
	.returns = RETURNS(BOOLOID),
};

/* Returns whether deal_name lacks names; asks again only after the table was made anew. */
bool
names_are_missing(void)
{
	static Finding complete;

	if (still_holds(&complete))
		return false;
	begin_finding(&complete, installed_table("deal_name"));
	owner_query_read_latest(&missing_query, NULL, NULL);
	if (result_bool(1))
		return true;
	(void) end_finding(&complete, InvalidOid);
	return false;
}

/* Warns that the index does not answer. */
static void
warn_of_no_answer(const char *problem, const char *cause)
{
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("%s", problem),
			 errdetail("%sEvery name is compared instead, which takes long.", cause),
			 errhint("Run SELECT crm_deals.rebuild_duplicates().")));
}

/* Compares the threshold with the one that the signatures were made for, and looks whether names are missing. */
bool
name_index_answers(NameIndex *index, float4 threshold)
{
	if (index->known.built == 0)
		warn_of_no_answer("the index of deal names cannot be used",
						  "It is missing, or it was made for another locale, encoding or version.  ");
	if (index->known.built == 0 || threshold < index->known.built)
		return false;
	if (!names_are_missing())
		return true;
	warn_of_no_answer("the names of deals are missing in crm_deals.deal_name", "");
	return false;
}

/* Estimates the number of rows as the planner does. */
double
name_index_size(const NameIndex *index)
{
	BlockNumber pages;
	double		rows;
	double		all_visible;

	table_relation_estimate_size(index->table, NULL, &pages, &rows, &all_visible);
	return rows;
}

/* ----------
 * Reading
 * ----------
 */

/* Returns the transaction in progress that has inserted or is deleting the row that the dirty snapshot saw last. */
static TransactionId
writer_of_row(const NameIndex *index)
{
	if (index->snapshot != &index->dirty)
		return InvalidTransactionId;
	return TransactionIdIsValid(index->dirty.xmin) ? index->dirty.xmin : index->dirty.xmax;
}

/* Returns a text of the row in the slot, or NULL. */
static text *
text_of_slot(NameIndex *index, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(index->slot, column, &isnull);

	return isnull ? NULL : DatumGetTextPP(value);
}

/* Are both texts equal, or both NULL? */
static bool
same_organization(text *a, text *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return datum_image_eq(PointerGetDatum(a), PointerGetDatum(b), false, -1);
}

typedef struct Probe
{
	NameIndex  *index;
	text	   *organization;
	float4		threshold;
	name_found	found;
	void	   *arg;
} Probe;

/* Compares the row in the slot with the name that is probed. */
static void
compare_row(const Probe *probe)
{
	NameIndex  *index = probe->index;
	TransactionId writer = writer_of_row(index);
	bool		is_new = TransactionIdIsValid(index->dirty.xmin);
	float4		similarity;
	Datum		deal_id;
	bool		isnull;

	if (!same_organization(text_of_slot(index, index->known.organization), probe->organization))
		return;
	token_set_read(index->tokens, text_of_slot(index, index->known.name));
	similarity = token_set_similarity(index->sought, index->tokens);
	deal_id = slot_getattr(index->slot, index->known.deal_id, &isnull);
	if (similarity >= probe->threshold && !isnull)
		probe->found(probe->arg, DatumGetInt64(deal_id), similarity, writer, is_new);
}

/* Compares every visible version of the row at a place. */
static void
compare_place(const Probe *probe, BlockNumber block, OffsetNumber offset)
{
	NameIndex  *index = probe->index;
	ItemPointerData place;
	bool		again = false;
	bool		all_dead = false;

	ItemPointerSet(&place, block, offset);
	do
	{
		if (table_index_fetch_tuple(index->fetch, &place, index->snapshot, index->slot, &again, &all_dead))
			compare_row(probe);
	} while (again);
}

/* Compares the rows of a page: all of them if the bitmap had no memory for single rows. */
static void
compare_page(const Probe *probe, const BitmapPage *page)
{
	CHECK_FOR_INTERRUPTS();
	if (page->lossy)
		for (OffsetNumber offset = FirstOffsetNumber; offset <= MaxHeapTuplesPerPage; offset++)
			compare_place(probe, page->block, offset);
	else
		for (int i = 0; i < page->n; i++)
			compare_place(probe, page->block, page->offsets[i]);
}

/* Collects the places that the index gives, and compares the rows there. */
static void
scan_bitmap(const Probe *probe, Datum query)
{
	Relation	index = probe->index->index;
	IndexScanDesc scan = bitmap_index_scan_begin(index, probe->index->snapshot);
	TIDBitmap  *places = tbm_create(work_mem * (Size) 1024, NULL);
	BitmapPages *pages;
	BitmapPage	page;
	/* GIN knows the operator by its strategy number, and does not call its function */
	ScanKeyData key = {.sk_attno = 1, .sk_strategy = 1, .sk_argument = query};

	index_rescan(scan, &key, 1, NULL, 0);
	(void) index_getbitmap(scan, places);
	pages = bitmap_pages_begin(places);
	while (bitmap_pages_next(pages, &page))
		compare_page(probe, &page);
	bitmap_pages_end(pages);
	tbm_free(places);
	index_endscan(scan);
}

/* Makes the signatures of a name and scans the index for them. */
void
name_index_probe(NameIndex *index, text *organization, text *name, float4 threshold,
				 name_found found, void *arg)
{
	Probe		probe = {index, organization, threshold, found, arg};
	MemoryContext caller = MemoryContextSwitchTo(index->per_probe);

	token_set_read(index->sought, name);
	if (index->sought->n > 0)
		scan_bitmap(&probe, signature_query_of(organization, index->sought, index->known.built, threshold));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(index->per_probe);
}

/* Returns a copy of a text of the row, or NULL. */
static text *
text_of_row(const NameIndex *index, HeapTuple row, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, RelationGetDescr(index->table), &isnull);

	return isnull ? NULL : DatumGetTextPCopy(value);
}

/*
 * Returns the name that deal_name has of a deal, or NULL.  It is read in the way
 * of system catalogs, because a query for one row costs more than all the rest.
 */
static text *
name_of_deal(const NameIndex *index, int64 deal_id, text **organization)
{
	Oid			oid = index->known.by_id;
	text	   *name = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, index->known.deal_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(deal_id));
	scan = systable_beginscan(index->table, oid, OidIsValid(oid), index->snapshot, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		name = text_of_row(index, row, index->known.name);
		*organization = text_of_row(index, row, index->known.organization);
	}
	systable_endscan(scan);
	return name;
}

/* Reads the name of the deal and probes it. */
void
name_index_probe_deal(NameIndex *index, int64 deal_id, float4 threshold, name_found found, void *arg)
{
	MemoryContext caller = MemoryContextSwitchTo(index->per_probe);
	text	   *organization;
	text	   *name = name_of_deal(index, deal_id, &organization);

	/* this resets the memory context, and so frees the texts */
	if (name != NULL)
		name_index_probe(index, organization, name, threshold, found, arg);
	MemoryContextSwitchTo(caller);
}

/* Reads the whole table. */
void
name_index_scan_uncommitted(NameIndex *index, uncommitted_name_found found, void *arg)
{
	TableScanDesc scan = sequential_scan_begin(index->table, &index->dirty);

	while (table_scan_getnextslot(scan, ForwardScanDirection, index->slot))
	{
		TransactionId writer = writer_of_row(index);

		CHECK_FOR_INTERRUPTS();
		if (TransactionIdIsValid(writer))
			found(arg, text_of_slot(index, index->known.organization), text_of_slot(index, index->known.name), writer);
	}
	table_endscan(scan);
}
