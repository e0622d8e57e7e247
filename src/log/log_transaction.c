/*
 * log_transaction.c
 *		Transaction numbers that keep their order through dump and restore.
 *
 * Consumers find what is new in the log by the numbers of transactions, so
 * these must rise as long as the log lives. The log may outlive its cluster:
 * pg_dump carries it into another one, whose transaction ids may be lower.
 * Therefore the log's number of a transaction is its id and, above 48 bits, a
 * generation. A restored log goes on in the next generation.
 *
 * The table log_generation remembers each generation and the identifier of the
 * cluster that entered it. A backend looks there when it first needs a number.
 * If its cluster entered the latest generation, it goes on in that one, else
 * it enters the next. Failover keeps the identifier and the transaction ids,
 * so the generation stays. pg_upgrade changes the identifier, so a new
 * generation begins, which does no harm.
 *
 * Transactions that write at the same time must agree on the generation before
 * any of them commits. So each of them reads rows that others have not
 * committed. It scans tables itself, with a dirty snapshot, because a query
 * would let serializable transactions fail because of each other. Two that
 * find no generation enter the same one, each with a row of its own: neither
 * waits, and the number is the same, whichever of them commits.
 *
 * A consumer keeps its place as a snapshot in these numbers. The snapshot
 * lists every transaction that had begun and not ended, so none is missed.
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
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/installation.h"
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
	List	   *ours;			/* the generations that this cluster entered */
	LocalTransactionId entered_in;	/* the transaction that entered it, if it was in this backend */
}			current;

static OwnerQuery enter_query = {
	.sql = "INSERT INTO crm_deals.log_generation (generation, system_identifier) VALUES ($1, $2)",
	.nargs = 2,
	.argtypes = {INT4OID, INT8OID},
};

/* A transaction had ended for a consumer if it is below xmax of its snapshot and not in the list. */
static OwnerQuery ended_query = {
	.sql = "SELECT pg_catalog.max(s.xmax OPERATOR(pg_catalog.-) t.running OPERATOR(pg_catalog.-) 1)"
	" FROM crm_deals.event_consumer AS c,"
	" LATERAL (SELECT coalesce(c.upto, c.seen)) AS u (snapshot),"
	" LATERAL (SELECT pg_catalog.pg_snapshot_xmax(u.snapshot)::pg_catalog.text::pg_catalog.int8) AS s (xmax),"
	" LATERAL (SELECT pg_catalog.count(*) FROM (SELECT r.id::pg_catalog.text::pg_catalog.int8,"
	" pg_catalog.row_number() OVER (ORDER BY r.id DESC)"
	" FROM pg_catalog.pg_snapshot_xip(u.snapshot) AS r (id)) AS l (id, place)"
	" WHERE l.id OPERATOR(pg_catalog.=) (s.xmax OPERATOR(pg_catalog.-) l.place)) AS t (running)",
	.returns = RETURNS(INT8OID),
};

/* Returns the highest transaction number that had ended for a consumer, or 0. */
static uint64
highest_ended_for_consumers(void)
{
	owner_query_read_latest(&ended_query, NULL, NULL);
	return (uint64) result_int64(1);
}

/* Returns the transaction number of an event. */
static uint64
transaction_of(Relation log, HeapTuple event)
{
	bool		isnull;
	Datum		number = heap_getattr(event, installed_column(log, "transaction"), RelationGetDescr(log), &isnull);

	return isnull ? 0 : U64FromFullTransactionId(DatumGetFullTransactionId(number));
}

/* Returns the last transaction number in the index, or 0. */
static uint64
highest_by_index(Relation log, Oid index_oid)
{
	SnapshotData dirty;
	Relation	index = index_open(index_oid, AccessShareLock);
	SysScanDesc scan;
	HeapTuple	event;
	uint64		highest;

	InitDirtySnapshot(dirty);
	scan = systable_beginscan_ordered(log, index, &dirty, 0, NULL);
	event = systable_getnext_ordered(scan, BackwardScanDirection);
	highest = HeapTupleIsValid(event) ? transaction_of(log, event) : 0;
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	return highest;
}

/* Returns the highest transaction number of all events, or 0. It reads them all: the index is missing. */
static uint64
highest_of_all(Relation log)
{
	SnapshotData dirty;
	SysScanDesc scan;
	HeapTuple	event;
	uint64		highest = 0;

	InitDirtySnapshot(dirty);
	scan = systable_beginscan(log, InvalidOid, false, &dirty, 0, NULL);
	while (HeapTupleIsValid(event = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		highest = Max(highest, transaction_of(log, event));
	}
	systable_endscan(scan);
	return highest;
}

/* Returns the highest transaction number in the log, committed or not, or 0. */
static uint64
highest_in_log(void)
{
	Relation	log = table_open(installed_table("deal_event"), AccessShareLock);
	Oid			index;
	uint64		highest;

	check_installation();		/* it is locked now, and was perhaps altered just before */
	index = installed_btree(log, "deal_event_transaction", "transaction");
	highest = OidIsValid(index) ? highest_by_index(log, index) : highest_of_all(log);
	table_close(log, AccessShareLock);
	return highest;
}

/* Adds the generation to those that this cluster has entered. */
static void
remember_as_ours(int32 generation)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	current.ours = list_append_unique_int(current.ours, generation);
	MemoryContextSwitchTo(caller);
}

/*
 * Returns the latest generation, or NO_GENERATION, and fills current.ours.
 * "is_entered" says whether this cluster has entered it and committed that;
 * another transaction may be entering it now.
 */
static int32
latest_generation(bool *is_entered)
{
	SnapshotData dirty;
	Relation	table = table_open(current.watch.relid, AccessShareLock);
	AttrNumber	generation_column;
	AttrNumber	identifier_column;
	int32		latest = NO_GENERATION;
	int32		latest_entered = NO_GENERATION;
	SysScanDesc scan;
	HeapTuple	tuple;

	check_installation();		/* it is locked now, and was perhaps altered just before */
	generation_column = installed_column(table, "generation");
	identifier_column = installed_column(table, "system_identifier");
	list_free(current.ours);
	current.ours = NIL;
	InitDirtySnapshot(dirty);
	scan = systable_beginscan(table, InvalidOid, false, &dirty, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		is_null;
		bool		is_foreign;
		int32		generation = DatumGetInt32(heap_getattr(tuple, generation_column, RelationGetDescr(table),
															&is_null));
		Datum		identifier = heap_getattr(tuple, identifier_column, RelationGetDescr(table), &is_foreign);

		if (is_null)
			raise_null_column("log_generation", RelationGetDescr(table), generation_column);
		latest = Max(latest, generation);
		if (is_foreign || DatumGetInt64(identifier) != (int64) GetSystemIdentifier())
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
 * Returns the generation in which this cluster writes, and whether it still has
 * to be entered. It is the latest one if this cluster entered it and has come
 * further than every transaction number in the log and behind a consumer. A
 * clone needs the second condition: it has the same identifier as the cluster
 * that it was copied from, and a log from there may be ahead of it.
 */
static int32
generation_here(bool *is_new)
{
	bool		is_entered;
	int32		latest = latest_generation(&is_entered);
	bool		is_ours = list_member_int(current.ours, latest);
	int32		generation = latest == NO_GENERATION ? 0 : is_ours ? latest : latest + 1;
	uint64		stored = Max(highest_in_log(), highest_ended_for_consumers());

	/* It is read last, so that every number of this cluster that was read is below it. */
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	if (stored >= (((uint64) generation << GENERATION_SHIFT) | next))
		generation = Max(generation, (int32) (stored >> GENERATION_SHIFT)) + 1;
	*is_new = generation != latest || !is_entered;
	return generation;
}

/* Enters the generation in the table, which invalidates what all backends know of it. */
static void
enter_generation(int32 generation)
{
	Datum		values[2] = {Int32GetDatum(generation), Int64GetDatum((int64) GetSystemIdentifier())};

	(void) owner_query_run(&enter_query, values, NULL);
	CacheInvalidateRelcacheByRelid(current.watch.relid);
	current.entered_in = my_lxid();
}

/* Returns the generation of the log, and enters it if nobody has. */
static int32
log_generation(void)
{
	int32		generation;
	bool		is_new;

	if (relation_unchanged(&current.watch) && current.generation != NO_GENERATION)
		return current.generation;

	check_installation();
	current.generation = NO_GENERATION;
	relation_watch_begin(&current.watch, installed_table("log_generation"));
	SPI_connect();
	generation = generation_here(&is_new);
	if (is_new)
		enter_generation(generation);
	SPI_finish();
	remember_as_ours(generation);
	/* It is not kept if this transaction entered it and may yet roll back. */
	if (current.entered_in != my_lxid())
		current.generation = generation;
	return generation;
}

/* Returns the number of the running transaction. */
FullTransactionId
log_transaction(void)
{
	uint64		id = U64FromFullTransactionId(GetTopFullTransactionId());

	Assert(id >> GENERATION_SHIFT == 0);
	return FullTransactionIdFromU64(((uint64) log_generation() << GENERATION_SHIFT) | id);
}

/* ----------
 * Snapshots in numbers of the log
 * ----------
 */

/* Returns a recent transaction id with its epoch. */
static uint64
widen(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return ((uint64) epoch << 32) | xid;
}

/* Orders numbers for list_sort(). */
static int
compare_numbers(const ListCell *a, const ListCell *b)
{
	uint64		left = *(const uint64 *) lfirst(a);
	uint64		right = *(const uint64 *) lfirst(b);

	return left < right ? -1 : left > right ? 1 : 0;
}

/*
 * Adds the numbers of a transaction id, one for each generation that this
 * cluster has entered. A transaction that was prepared before a generation
 * began has its events in an earlier one, and nothing tells in which.
 */
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

/* If there are more ids than this, nearly all belong to subtransactions of one transaction. */
#define MANY_IDS 10000

/*
 * Returns the numbers of all transactions that may be running, as far as the
 * snapshot knows: those that it lists, this one, and those from its xmax on up
 * to "next". PostgreSQL leaves the last kind out because no later transaction
 * had ended. They have begun, and may have written events already. Transactions
 * from "next" on have not begun.
 *
 * Some of the ids belong to subtransactions, which have no events in their own
 * name. They are listed all the same, because a crash may give the id to
 * another transaction.
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

/* log_snapshot() returns the snapshot of the calling statement, in numbers of the log. */
Datum
crm_deals_log_snapshot(PG_FUNCTION_ARGS)
{
	int32		generation;
	Snapshot	snapshot = GetActiveSnapshot();
	FullTransactionId next;
	uint64		xmax;
	List	   *running;
	ListCell   *cell;
	StringInfoData text;

	(void) fcinfo;
	if (snapshot->takenDuringRecovery)
		elog(ERROR, "a standby has no snapshot of the log");
	check_acts_as_owner();
	generation = log_generation();
	next = ReadNextFullTransactionId();
	xmax = ((uint64) generation << GENERATION_SHIFT) | U64FromFullTransactionId(next);
	running = running_numbers(snapshot, next);
	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":",
					 running != NIL ? *(uint64 *) linitial(running) : xmax, xmax);
	foreach(cell, running)
		appendStringInfo(&text, "%s" UINT64_FORMAT, foreach_current_index(cell) > 0 ? "," : "",
						 *(uint64 *) lfirst(cell));
	return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text.data));
}
