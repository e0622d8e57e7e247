/*
 * generation.c
 *		Transaction numbers that keep their order through dump and restore.
 *
 * The log names a transaction by its id and, above 48 bits, a generation.
 * Restored into another cluster, whose ids may be lower, the log goes on in
 * the next generation: table log_generation remembers the clusters it has been
 * in.  Failover keeps the cluster's identifier; pg_upgrade changes it, which
 * does no harm.
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

static OwnerQuery latest_query = {
	.sql = "SELECT g.generation, g.system_identifier FROM crm_deals.log_generation AS g"
	" ORDER BY g.generation DESC, g.id LIMIT 1",
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

/* The latest generation, if any; is it this cluster's? */
static int32
latest_generation(bool *ours)
{
	TupleDesc	desc;
	bool		isnull;
	int32		generation;

	*ours = false;
	owner_query_latest(&latest_query, NULL, NULL);
	if (SPI_processed == 0)
		return NO_GENERATION;
	desc = SPI_tuptable->tupdesc;
	generation = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], desc, 1, &isnull));
	*ours = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], desc, 2, &isnull)) == (int64) GetSystemIdentifier();
	return generation;
}

static int32
enter_generation(int32 generation)
{
	Datum		values[2] = {Int32GetDatum(generation), Int64GetDatum((int64) GetSystemIdentifier())};

	(void) owner_query_write(&enter_query, values, NULL);
	current.entered_in = my_lxid();
	return generation;
}

static int32
log_generation(void)
{
	bool		ours;

	if (current.known && current.generation != NO_GENERATION)
		return current.generation;

	current.generation = NO_GENERATION;
	current.relid = installed_table("log_generation");
	current.known = true;
	SPI_connect();
	current.generation = latest_generation(&ours);
	if (!ours)
		current.generation = enter_generation(current.generation + 1);
	SPI_finish();
	/* what this transaction entered may yet be rolled back */
	if (current.entered_in == my_lxid())
		current.known = false;
	return current.generation;
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
