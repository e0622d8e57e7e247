/*
 * log_transaction.c
 *		Transaction numbers that keep their order through dump and restore.
 *
 * The log names a transaction by its id and, above 48 bits, a generation.
 * Restored into another cluster, whose ids may be lower, the log goes on in
 * the next generation: table log_generation remembers the clusters it has been
 * in.  Failover keeps the cluster's identifier and its transaction ids;
 * pg_upgrade changes the identifier, which does no harm.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/proc.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/owner_query.h"
#include "base/relation_watch.h"
#include "base/spi_result.h"
#include "log/log_transaction.h"

PG_FUNCTION_INFO_V1(crm_deals_log_snapshot);

#define GENERATION_SHIFT 48

#define NO_GENERATION (-1)

static struct
{
	RelationWatch watch;		/* of the table that was read */
	int32		generation;
	List	   *ours;			/* all that this cluster entered */
	LocalTransactionId entered_in;	/* the transaction that entered it, if ours */
}			current;

/*
 * Two first writers enter the same generation, each a row: neither waits for
 * the other, and whichever commits, the number is the same.
 */
static OwnerQuery enter_query = {
	.sql = "INSERT INTO crm_deals.log_generation (generation, system_identifier) VALUES ($1, $2)",
	.nargs = 2,
	.argtypes = {INT4OID, INT8OID},
};

/*
 * The highest number of a transaction that had ended for a consumer: below xmax
 * and not in the list.
 */
static OwnerQuery ended_query = {
	.sql = "SELECT pg_catalog.max(s.xmax OPERATOR(pg_catalog.-) t.running OPERATOR(pg_catalog.-) 1)"
	" FROM crm_deals.event_consumer AS c,"
	" LATERAL (SELECT coalesce(c.upto, c.seen)) AS u (snapshot),"
	" LATERAL (SELECT pg_catalog.pg_snapshot_xmax(u.snapshot)::pg_catalog.text::pg_catalog.int8) AS s (xmax),"
	" LATERAL (SELECT pg_catalog.count(*) FROM (SELECT r.id::pg_catalog.text::pg_catalog.int8,"
	" pg_catalog.row_number() OVER (ORDER BY r.id DESC)"
	" FROM pg_catalog.pg_snapshot_xip(u.snapshot) AS r (id)) AS l (id, place)"
	" WHERE l.id OPERATOR(pg_catalog.=) (s.xmax OPERATOR(pg_catalog.-) l.place)) AS t (running)",
};

static uint64
highest_ended_for_consumers(void)
{
	bool		isnull;
	Datum		value;

	owner_query_latest(&ended_query, NULL, NULL);
	value = result_column(1, &isnull);
	return isnull ? 0 : (uint64) DatumGetInt64(value);
}

/*
 * What is read here has to be seen before it is committed, so that all who
 * write at one time are of one generation, and no serializable transaction may
 * be in the way of another: hence the scans.
 */
static uint64
highest_in_log(void)
{
	SnapshotData dirty;
	Oid			index_oid = installed_index("deal_event_transaction");
	Relation	log;
	Relation	index;
	SysScanDesc scan;
	HeapTuple	tuple;
	uint64		highest = 0;

	if (!OidIsValid(index_oid))
		return 0;
	InitDirtySnapshot(dirty);
	log = table_open(installed_table("deal_event"), AccessShareLock);
	index = index_open(index_oid, AccessShareLock);
	scan = systable_beginscan_ordered(log, index, &dirty, 0, NULL);
	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		number = heap_getattr(tuple, get_attnum(RelationGetRelid(log), "transaction"),
										  RelationGetDescr(log), &isnull);

		highest = isnull ? 0 : U64FromFullTransactionId(DatumGetFullTransactionId(number));
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(log, AccessShareLock);
	return highest;
}

static void
remember_as_ours(int32 generation)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	current.ours = list_append_unique_int(current.ours, generation);
	MemoryContextSwitchTo(caller);
}

/*
 * The latest generation, NO_GENERATION where there is none, and whether this
 * cluster has entered it for good: another transaction may be entering it.  All
 * that this cluster has entered are in current.ours.
 */
static int32
latest_generation(bool *is_entered)
{
	SnapshotData dirty;
	Relation	table = table_open(current.watch.relid, AccessShareLock);
	AttrNumber	generation_column = get_attnum(current.watch.relid, "generation");
	AttrNumber	identifier_column = get_attnum(current.watch.relid, "system_identifier");
	int32		latest = NO_GENERATION;
	int32		latest_entered = NO_GENERATION;
	SysScanDesc scan;
	HeapTuple	tuple;

	list_free(current.ours);
	current.ours = NIL;
	InitDirtySnapshot(dirty);
	scan = systable_beginscan(table, InvalidOid, false, &dirty, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int32		generation = DatumGetInt32(heap_getattr(tuple, generation_column, RelationGetDescr(table), &isnull));

		latest = Max(latest, generation);
		if (DatumGetInt64(heap_getattr(tuple, identifier_column, RelationGetDescr(table), &isnull)) !=
			(int64) GetSystemIdentifier())
			continue;
		remember_as_ours(generation);
		if (!TransactionIdIsValid(dirty.xmin))
			latest_entered = Max(latest_entered, generation);
	}
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	*is_entered = latest_entered == latest;
	return latest;
}

/*
 * The generation to go on in: the latest, if this cluster entered it and has
 * come further than any transaction in the log or behind a consumer.  A clone
 * has the same identifier as the cluster that it was copied from, and a log
 * from there may be ahead of ours.
 */
static int32
generation_here(bool *is_new)
{
	bool		is_entered;
	int32		latest = latest_generation(&is_entered);
	int32		generation = latest == NO_GENERATION ? 0 : list_member_int(current.ours, latest) ? latest : latest + 1;
	uint64		stored = Max(highest_in_log(), highest_ended_for_consumers());

	/* read last: whatever was seen of this cluster is below */
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	if (stored >= (((uint64) generation << GENERATION_SHIFT) | next))
		generation = Max(generation, (int32) (stored >> GENERATION_SHIFT)) + 1;
	*is_new = generation != latest || !is_entered;
	return generation;
}

static void
enter_generation(int32 generation)
{
	Datum		values[2] = {Int32GetDatum(generation), Int64GetDatum((int64) GetSystemIdentifier())};

	(void) owner_query_write(&enter_query, values, NULL);
	CacheInvalidateRelcacheByRelid(current.watch.relid);
	current.entered_in = my_lxid();
}

static int32
log_generation(void)
{
	int32		generation;
	bool		is_new;

	if (relation_unchanged(&current.watch) && current.generation != NO_GENERATION)
		return current.generation;

	current.generation = NO_GENERATION;
	relation_watch_begin(&current.watch, installed_table("log_generation"));
	SPI_connect();
	generation = generation_here(&is_new);
	if (is_new)
		enter_generation(generation);
	SPI_finish();
	remember_as_ours(generation);
	/* what this transaction entered may yet be rolled back */
	if (current.entered_in != my_lxid())
		current.generation = generation;
	return generation;
}

FullTransactionId
log_transaction(void)
{
	uint64		id = U64FromFullTransactionId(GetTopFullTransactionId());

	Assert(id >> GENERATION_SHIFT == 0);
	return FullTransactionIdFromU64(((uint64) log_generation() << GENERATION_SHIFT) | id);
}

/* ----------
 * Snapshots in these numbers
 * ----------
 */

/* A transaction id of now with its epoch */
static uint64
widen(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return ((uint64) epoch << 32) | xid;
}

static int
compare_numbers(const ListCell *a, const ListCell *b)
{
	uint64		left = *(const uint64 *) lfirst(a);
	uint64		right = *(const uint64 *) lfirst(b);

	return left < right ? -1 : left > right ? 1 : 0;
}

static List *
add_number(List *numbers, uint64 id)
{
	ListCell   *cell;

	foreach(cell, current.ours)
	{
		uint64	   *number = palloc(sizeof(uint64));

		*number = ((uint64) lfirst_int(cell) << GENERATION_SHIFT) | id;
		numbers = lappend(numbers, number);
	}
	return numbers;
}

/* Beyond so many ids nearly all are of one transaction's subtransactions. */
#define MANY_IDS 10000

/*
 * All that run, as far as the snapshot knows: those that it lists, this one,
 * and those that it leaves out since no later one has ended yet.  These have
 * begun, and may have written events already; what begins from "next" on has
 * not.  Some are subtransactions, which have no events in their own name, but a
 * crash may take an id back and give it to another.
 *
 * What was prepared in an earlier generation of this cluster has its events in
 * that one: each is listed in all of them.
 */
static List *
running_numbers(Snapshot snapshot, FullTransactionId next)
{
	uint64		end = U64FromFullTransactionId(next);
	uint64		begin = widen(snapshot->xmax, next);
	TransactionId mine = GetTopTransactionIdIfAny();
	List	   *numbers = NIL;

	for (uint32 i = 0; i < snapshot->xcnt; i++)
		numbers = add_number(numbers, widen(snapshot->xip[i], next));
	if (TransactionIdIsValid(mine) && widen(mine, next) < begin)
		numbers = add_number(numbers, widen(mine, next));
	for (uint64 id = begin; id < end; id++)
	{
		CHECK_FOR_INTERRUPTS();
		if (TransactionIdIsNormal((TransactionId) id) &&
			(end - begin <= MANY_IDS || !TransactionIdIsValid(SubTransGetParent((TransactionId) id))))
			numbers = add_number(numbers, id);
	}
	list_sort(numbers, compare_numbers);
	return numbers;
}

/* log_snapshot(): the snapshot of the calling statement, as pg_snapshot */
Datum
crm_deals_log_snapshot(PG_FUNCTION_ARGS)
{
	int32		generation = log_generation();
	Snapshot	snapshot = GetActiveSnapshot();
	FullTransactionId next = ReadNextFullTransactionId();
	uint64		xmax = ((uint64) generation << GENERATION_SHIFT) | U64FromFullTransactionId(next);
	List	   *running;
	ListCell   *cell;
	StringInfoData text;

	(void) fcinfo;
	if (snapshot->takenDuringRecovery)
		elog(ERROR, "a standby has no snapshot of the log");
	running = running_numbers(snapshot, next);
	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":",
					 running != NIL ? *(uint64 *) linitial(running) : xmax, xmax);
	foreach(cell, running)
		appendStringInfo(&text, "%s" UINT64_FORMAT, foreach_current_index(cell) > 0 ? "," : "",
						 *(uint64 *) lfirst(cell));
	return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text.data));
}
