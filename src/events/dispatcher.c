/*
 * dispatcher.c
 *		The background worker that notifies after commit.
 *
 * Under crm_deals.notify = dispatch writers mark their events in the log, and
 * one worker a database sends the notifications, many in a transaction: only
 * it takes the lock that notifying commits of the whole cluster share.  It
 * keeps its place as a consumer does, in the transaction that sends, so that
 * nothing is lost when it dies.
 *
 * The worker holds a lock, by which writers know that it runs; a writer that
 * finds the lock free starts one.  Until it ends, a transaction with something
 * to send holds another one, so that the worker does not leave just before the
 * commit that it was to see: a prepared transaction, too, holds it.
 *
 * The worker leaves soon when there is nothing to do: DROP DATABASE waits five
 * seconds for it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/owner_query.h"
#include "config/pipeline_cache.h"
#include "events/dispatcher.h"
#include "events/event_row.h"
#include "events/notification.h"
#include "events/subscriptions.h"

PG_FUNCTION_INFO_V1(crm_deals_start_dispatcher);

PGDLLEXPORT void crm_deals_dispatcher_main(Datum database);

#define BATCH 1000				/* events a transaction */
#define LEAVES_AFTER 3000		/* all in milliseconds */
#define SHORTEST_SLEEP 10
#define LONGEST_SLEEP 100
#define LONGEST_START 1000

/* ----------
 * Finding and starting it
 * ----------
 */

typedef enum DispatcherLock
{
	LOCK_RUNNING,				/* held by the worker, exclusively */
	LOCK_STARTING,				/* held by who starts it */
	LOCK_EXPECTING				/* shared by transactions with events to send */
} DispatcherLock;

/* Of the kind of advisory locks, with a last number that SQL cannot give them */
static LOCKTAG
dispatcher_lock(DispatcherLock which)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0x63726d5f, 0x6465616c, 100 + which);
	return tag;
}

/* The worker's last until they are let go, writers' end with the transaction at the latest. */
static bool
try_lock(DispatcherLock which, LOCKMODE mode, bool by_worker)
{
	LOCKTAG		tag = dispatcher_lock(which);

	return LockAcquire(&tag, mode, by_worker, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock(DispatcherLock which, LOCKMODE mode, bool by_worker)
{
	LOCKTAG		tag = dispatcher_lock(which);

	(void) LockRelease(&tag, mode, by_worker);
}

static bool
is_running(void)
{
	if (!try_lock(LOCK_RUNNING, ShareLock, false))
		return true;
	unlock(LOCK_RUNNING, ShareLock, false);
	return false;
}

/* The worker, where it was found before, and which process that was */
static PGPROC *known = NULL;
static int	known_pid = 0;

/*
 * Between two of its transactions it is not found: then it is about to look at
 * the log by itself.
 */
static void
find_process(void)
{
	LOCKTAG		tag = dispatcher_lock(LOCK_RUNNING);
	VirtualTransactionId *holders;
	int			n;

	if (known != NULL && known->pid == known_pid)
		return;
	holders = GetLockConflicts(&tag, ShareLock, &n);
	known = n > 0 ? process_of_vxid(holders[0]) : NULL;
	known_pid = known != NULL ? known->pid : 0;
}

/* NULL where all the slots are taken */
static BackgroundWorkerHandle *
start_worker(void)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle = NULL;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "crm_deals");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "crm_deals_dispatcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "crm_deals dispatcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "crm_deals dispatcher");
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

/* Until then others would start more of them, which take the few slots there are. */
static void
wait_until_it_runs(BackgroundWorkerHandle *worker)
{
	TimestampTz since = GetCurrentTimestamp();
	pid_t		pid;

	while (!is_running() &&
		   GetBackgroundWorkerPid(worker, &pid) != BGWH_STOPPED &&
		   !TimestampDifferenceExceeds(since, GetCurrentTimestamp(), LONGEST_START))
		pg_usleep(1000);
}

static void
start_dispatcher(void)
{
	BackgroundWorkerHandle *worker;

	if (!try_lock(LOCK_STARTING, ExclusiveLock, false))
		return;
	worker = start_worker();
	if (worker != NULL)
		wait_until_it_runs(worker);
	else
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free to send the notifications of deals"),
				 errdetail("The events are in the log; they are notified when a worker can be started."),
				 errhint("Raise max_worker_processes.")));
	unlock(LOCK_STARTING, ExclusiveLock, false);
}

void
summon_dispatcher(void)
{
	LOCKTAG		expecting = dispatcher_lock(LOCK_EXPECTING);

	(void) LockAcquire(&expecting, ShareLock, false, false);
	if (!is_running())
		start_dispatcher();
	find_process();
}

void
wake_dispatcher(void)
{
	if (known != NULL && known->pid == known_pid)
		SetLatch(&known->procLatch);
}

Datum
crm_deals_start_dispatcher(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PreventCommandDuringRecovery("start_dispatcher()");
	(void) installed_table("event_consumer");
	if (!is_running())
		start_dispatcher();
	PG_RETURN_VOID();
}

/* ----------
 * Sending
 * ----------
 */

static OwnerQuery take_query = {
	.sql = "SELECT crm_deals_internal.take_for_dispatch($1)",
	.nargs = 1,
	.argtypes = {INT4OID},
};

static OwnerQuery summaries_query = {
	.sql = "SELECT s.* FROM crm_deals_internal.summaries($1) AS s",
	.nargs = 1,
	.argtypes = {XID8OID},
};

static Channel
channel_by_name(const char *name)
{
	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (strcmp(channel_name(channel), name) == 0)
			return (Channel) channel;
	elog(ERROR, "unknown channel \"%s\"", name);
}

static void
send_summaries_of(Datum transaction)
{
	SPITupleTable *summaries;
	uint64		n;

	(void) owner_query_write(&summaries_query, &transaction, NULL);
	summaries = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
	{
		int64		numbers[4];

		for (int column = 0; column < 4; column++)
		{
			bool		isnull;
			Datum		value = SPI_getbinval(summaries->vals[i], summaries->tupdesc, column + 2, &isnull);

			numbers[column] = isnull ? 0 : DatumGetInt64(value);
		}
		send_summary(channel_by_name(SPI_getvalue(summaries->vals[i], summaries->tupdesc, 1)),
					 numbers[0], numbers[1], numbers[2], numbers[3]);
	}
	SPI_freetuptable(summaries);
}

static void
send_as_marked(HeapTuple row, TupleDesc desc)
{
	char	   *mark = fact_text(row, desc, "dispatch");
	bool		isnull;

	if (strcmp(mark, "full") == 0 || strcmp(mark, "ids") == 0)
	{
		EventFacts	facts = event_facts(row, desc);

		send_event(event_channels(row, desc), &facts, strcmp(mark, "ids") == 0);
	}
	else if (strcmp(mark, "summary") == 0)
		send_summaries_of(fact(row, desc, "transaction", &isnull));
}

/* In a transaction, as the owner of the tables; how many events there were */
static uint64
send_batch(void)
{
	Datum		most = Int32GetDatum(BATCH);
	SPITupleTable *events;
	uint64		n;

	SPI_connect();
	(void) owner_query_write(&take_query, &most, NULL);
	load_taken_events();
	events = SPI_tuptable;
	n = SPI_processed;
	for (uint64 i = 0; i < n; i++)
		send_as_marked(events->vals[i], events->tupdesc);
	SPI_finish();

	refresh_pipelines();
	if (n > 0 && any_consumer())
		send_doorbell();
	return n;
}

/* ----------
 * The worker
 * ----------
 */

typedef enum Turn
{
	TURN_NOTHING,
	TURN_SENT,					/* all there was */
	TURN_SENT_BATCH,			/* there may be more */
	TURN_QUEUE_FILLED,
	TURN_NOT_INSTALLED
} Turn;

/*
 * The worker is connected as superuser, since the owner may not be able to log
 * in.  Nothing of the user's may run as such: no deferred trigger at commit,
 * which a restricted operation forbids.
 */
static Turn
send_batch_as_owner(void)
{
	Oid			role;
	int			context;
	uint64		n;

	GetUserIdAndSecContext(&role, &context);
	SetUserIdAndSecContext(tables_owner(), context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	n = send_batch();
	SetUserIdAndSecContext(role, context);
	return n == 0 ? TURN_NOTHING : n < BATCH ? TURN_SENT : TURN_SENT_BATCH;
}

static Turn
take_turn(void)
{
	Turn		turn;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "dispatching notifications of deals");
	if (!OidIsValid(get_extension_oid("crm_deals", true)) || !is_installed())
		turn = TURN_NOT_INSTALLED;
	else if (notification_queue_is_filled())
		turn = TURN_QUEUE_FILLED;
	else
		turn = send_batch_as_owner();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return turn;
}

/* A writer that just looks whether we run holds the lock for a moment. */
static bool
try_to_be_the_one(void)
{
	bool		is_one;

	StartTransactionCommand();
	for (int tries = 0; !(is_one = try_lock(LOCK_RUNNING, ExclusiveLock, true)) && tries < 10; tries++)
		pg_usleep(1000);
	CommitTransactionCommand();
	return is_one;
}

/* Who held the lock has committed when we get it: one more look. */
static bool
leave(void)
{
	bool		leaves;

	if (!try_lock(LOCK_EXPECTING, ExclusiveLock, true))
		return false;
	leaves = take_turn() == TURN_NOTHING;
	if (leaves)
		unlock(LOCK_RUNNING, ExclusiveLock, true);
	unlock(LOCK_EXPECTING, ExclusiveLock, true);
	return leaves;
}

/* In a transaction, for writers to find us by: they do not find locks of sessions that have none. */
static void
rest(long milliseconds, bool *woken)
{
	int			events;

	StartTransactionCommand();
	events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CommitTransactionCommand();
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	*woken = (events & WL_LATCH_SET) != 0;
}

static void
dispatch_until_idle(void)
{
	TimestampTz idle_since = GetCurrentTimestamp();
	long		sleep = SHORTEST_SLEEP;

	for (;;)
	{
		Turn		turn = take_turn();
		bool		woken = false;

		if (turn == TURN_NOT_INSTALLED)
			return;
		if (turn != TURN_NOTHING)
			idle_since = GetCurrentTimestamp();
		if (turn == TURN_SENT || turn == TURN_SENT_BATCH)
		{
			/* a little later it is more: its commits are in the way of writers' */
			if (turn == TURN_SENT)
				pg_usleep(SHORTEST_SLEEP * 1000L);
			CHECK_FOR_INTERRUPTS();
			sleep = SHORTEST_SLEEP;
			continue;
		}
		if (TimestampDifferenceExceeds(idle_since, GetCurrentTimestamp(), LEAVES_AFTER))
		{
			if (leave())
				return;
			idle_since = GetCurrentTimestamp();
		}
		rest(sleep, &woken);
		sleep = woken ? SHORTEST_SLEEP : Min(2 * sleep, LONGEST_SLEEP);
	}
}

/*
 * Whatever the database's or the server's are.  Its commits wait for this
 * server's disk with those of writers, one write for all; without waiting they
 * would have the walwriter write in between.
 */
static void
keep_to_own_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"lock_timeout", "10s"},		/* it holds back vacuum while it waits */
		{"deadlock_timeout", "50ms"},	/* not DROP EXTENSION is the one to give in */
		{"synchronous_commit", "local"},
		{"jit", "off"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

void
crm_deals_dispatcher_main(Datum database)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);

	keep_to_own_settings();
	if (try_to_be_the_one())
		dispatch_until_idle();
	proc_exit(0);
}
