/*
 * generation.c
 *		Transaction numbers that keep their order through dump and restore.
 *
 * The log names a transaction by its id and, above 48 bits, a generation.
 * Restored into another cluster, whose ids may be lower, the log goes on in
 * the next generation: table log_generation remembers the clusters it has been
 * in.  Failover keeps the cluster's identifier and its transaction ids;
 * pg_upgrade changes the identifier, which does no harm.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "catalog.h"
#include "compat.h"
#include "generation.h"
#include "owner_query.h"

PG_FUNCTION_INFO_V1(crm_deals_log_snapshot);

#define GENERATION_SHIFT 48

#define NO_GENERATION (-1)

static struct
{
	bool		known;
	int32		generation;
	List	   *ours;			/* all that this cluster entered */
	Oid			relid;			/* the table that was read */
	LocalTransactionId entered_in;	/* the transaction that entered it, if ours */
}			current;

/* May run at any moment: sets a flag only. */
static void
forget_generation(Datum arg, Oid relid)
{
	(void) arg;
	if (relid == InvalidOid || relid == current.relid)
		current.known = false;
}

void
generation_init(void)
{
	CacheRegisterRelcacheCallback(forget_generation, (Datum) 0);
}

/*
 * The generation that was entered last; whether it, and which others, are this
 * cluster's ($1); and whether a transaction has ended whose number is not below
 * that of the next ($2) one here.
 */
static OwnerQuery latest_query = {
	.sql = "WITH latest AS (SELECT g.generation, g.system_identifier OPERATOR(pg_catalog.=) $1 AS is_ours"
	" FROM crm_deals.log_generation AS g ORDER BY g.generation DESC, g.id LIMIT 1)"
	" SELECT l.generation, l.is_ours,"
	" (SELECT e.transaction FROM crm_deals.deal_event AS e ORDER BY e.transaction DESC LIMIT 1),"
	" (SELECT s.xmax FROM crm_deals.event_consumer AS c,"
	" LATERAL (SELECT coalesce(c.upto, c.seen)) AS u (seen),"
	" LATERAL (SELECT pg_catalog.pg_snapshot_xmax(u.seen)) AS s (xmax),"
	" LATERAL (SELECT ((coalesce(l.generation, 0)::int8 OPERATOR(pg_catalog.<<) 48)"
	" OPERATOR(pg_catalog.+) $2)::pg_catalog.text::pg_catalog.xid8) AS n (next)"
	" WHERE s.xmax OPERATOR(pg_catalog.>) n.next"
	" AND s.xmax::pg_catalog.text::numeric OPERATOR(pg_catalog.-) n.next::pg_catalog.text::numeric"
	" OPERATOR(pg_catalog.>) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_snapshot_xip(u.seen) AS r (transaction)"
	" WHERE r.transaction OPERATOR(pg_catalog.>=) n.next)"
	" ORDER BY 1 DESC LIMIT 1),"
	" ARRAY(SELECT DISTINCT g.generation FROM crm_deals.log_generation AS g"
	" WHERE g.system_identifier OPERATOR(pg_catalog.=) $1)"
	" FROM (SELECT) AS one LEFT JOIN latest AS l ON true",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

/*
 * Two first writers enter the same generation, each a row: neither waits for
 * the other, and whichever commits, the number is the same.
 */
static OwnerQuery enter_query = {
	.sql = "INSERT INTO crm_deals.log_generation (generation, system_identifier) VALUES ($1, $2)",
	.nargs = 2,
	.argtypes = {INT4OID, INT8OID},
};

static Datum
result_column(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, isnull);
}

static uint64
result_number(int column)
{
	bool		isnull;
	Datum		value = result_column(column, &isnull);

	return isnull ? 0 : U64FromFullTransactionId(DatumGetFullTransactionId(value));
}

/* For the backend's life */
static void
remember_ours(Datum array, int32 latest)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	ArrayType  *generations = DatumGetArrayTypeP(array);
	int			n = ArrayGetNItems(ARR_NDIM(generations), ARR_DIMS(generations));

	list_free(current.ours);
	current.ours = NIL;
	for (int i = 0; i < n; i++)
		current.ours = list_append_unique_int(current.ours, ((int32 *) ARR_DATA_PTR(generations))[i]);
	current.ours = list_append_unique_int(current.ours, latest);
	MemoryContextSwitchTo(caller);
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
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	Datum		values[2] = {Int64GetDatum((int64) GetSystemIdentifier()), Int64GetDatum((int64) next)};
	bool		none;
	bool		isnull;
	int32		latest;
	uint64		stored;

	owner_query_latest(&latest_query, values, NULL);
	latest = DatumGetInt32(result_column(1, &none));
	if (none)
		latest = 0;
	stored = Max(result_number(3), result_number(4));

	*is_new = none || !DatumGetBool(result_column(2, &isnull));
	if (stored >= (((uint64) latest << GENERATION_SHIFT) | next))
	{
		*is_new = true;
		latest = Max(latest, (int32) (stored >> GENERATION_SHIFT)) + 1;
	}
	else if (*is_new && !none)
		latest++;
	remember_ours(result_column(5, &isnull), latest);
	return latest;
}

static void
enter_generation(int32 generation)
{
	Datum		values[2] = {Int32GetDatum(generation), Int64GetDatum((int64) GetSystemIdentifier())};

	(void) owner_query_write(&enter_query, values, NULL);
	CacheInvalidateRelcacheByRelid(current.relid);
	current.entered_in = my_lxid();
}

static int32
log_generation(void)
{
	int32		generation;
	bool		is_new;

	if (current.known && current.generation != NO_GENERATION)
		return current.generation;

	current.generation = NO_GENERATION;
	current.relid = installed_table("log_generation");
	current.known = true;
	SPI_connect();
	generation = generation_here(&is_new);
	if (is_new)
		enter_generation(generation);
	SPI_finish();
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
		if (TransactionIdIsNormal((TransactionId) id))
			numbers = add_number(numbers, id);
	}
	list_sort(numbers, compare_numbers);
	return numbers;
}

/* _log_snapshot(): the snapshot of the calling statement, as pg_snapshot */
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
