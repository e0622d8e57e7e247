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

#include "access/subtrans.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

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

/* The generation that was entered last, and the highest numbers that are stored */
static OwnerQuery latest_query = {
	.sql = "SELECT g.generation, g.system_identifier,"
	" (SELECT e.transaction FROM crm_deals.deal_event AS e ORDER BY e.transaction DESC LIMIT 1),"
	" (SELECT pg_catalog.pg_snapshot_xmax(coalesce(c.upto, c.seen)) AS transaction"
	" FROM crm_deals.event_consumer AS c ORDER BY 1 DESC LIMIT 1)"
	" FROM (SELECT) AS one LEFT JOIN"
	" (SELECT l.generation, l.system_identifier FROM crm_deals.log_generation AS l"
	" ORDER BY l.generation DESC, l.id LIMIT 1) AS g ON true",
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

static uint64
result_number(int column, uint64 otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? otherwise : (uint64) DatumGetInt64(value);
}

/*
 * The generation to go on in: the latest, if this cluster entered it and has
 * come further than any stored number.  A clone has the same identifier as the
 * cluster that it was copied from, and a log from there may be ahead of ours.
 */
static int32
generation_here(bool *is_new)
{
	bool		isnull;
	int32		latest;
	uint64		stored;

	owner_query_latest(&latest_query, NULL, NULL);
	latest = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (isnull)
		latest = NO_GENERATION;
	stored = Max(result_number(3, 0) + 1, result_number(4, 0));

	*is_new = isnull || result_number(2, 0) != GetSystemIdentifier() ||
		stored > (((uint64) latest << GENERATION_SHIFT) | U64FromFullTransactionId(ReadNextFullTransactionId()));
	if (isnull && stored <= U64FromFullTransactionId(ReadNextFullTransactionId()))
		return 0;
	return *is_new ? Max(latest, (int32) (stored >> GENERATION_SHIFT)) + 1 : latest;
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
compare_ids(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return left < right ? -1 : left > right ? 1 : 0;
}

/*
 * All that run, as far as the snapshot knows: those that it lists, this one,
 * and those that it leaves out since no later one has ended yet.  These have
 * begun, and may have written events already; what begins from "next" on has
 * not.  Subtransactions have no events in their own name.
 */
static uint64 *
running_transactions(Snapshot snapshot, FullTransactionId next, int *n)
{
	uint64		end = U64FromFullTransactionId(next);
	uint64		begin = widen(snapshot->xmax, next);
	TransactionId mine = GetTopTransactionIdIfAny();
	uint64	   *running = palloc((snapshot->xcnt + 1 + (end - begin)) * sizeof(uint64));

	*n = 0;
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		running[(*n)++] = widen(snapshot->xip[i], next);
	if (TransactionIdIsValid(mine) && widen(mine, next) < begin)
		running[(*n)++] = widen(mine, next);
	for (uint64 id = begin; id < end; id++)
	{
		TransactionId xid = (TransactionId) id;

		CHECK_FOR_INTERRUPTS();
		if (TransactionIdIsNormal(xid) && !TransactionIdIsValid(SubTransGetParent(xid)))
			running[(*n)++] = id;
	}
	qsort(running, *n, sizeof(uint64), compare_ids);
	return running;
}

/* _log_snapshot(): the snapshot of the calling statement, as pg_snapshot */
Datum
crm_deals_log_snapshot(PG_FUNCTION_ARGS)
{
	uint64		base = (uint64) log_generation() << GENERATION_SHIFT;
	Snapshot	snapshot = GetActiveSnapshot();
	FullTransactionId next = ReadNextFullTransactionId();
	StringInfoData text;
	uint64	   *running;
	int			n;

	(void) fcinfo;
	if (snapshot->takenDuringRecovery)
		elog(ERROR, "a standby has no snapshot of the log");
	running = running_transactions(snapshot, next, &n);
	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":",
					 base + (n > 0 ? running[0] : U64FromFullTransactionId(next)),
					 base + U64FromFullTransactionId(next));
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, "%s" UINT64_FORMAT, i > 0 ? "," : "", base + running[i]);
	return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text.data));
}
