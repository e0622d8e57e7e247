/*
 * dispatcher.c
 *		The background worker that notifies after commit.
 *
 * Under crm_deals.notify = dispatch, writers only mark their events in the
 * log. One worker for each database sends the notifications, many in one
 * transaction. So writers never take the lock that all notifying commits of
 * the cluster share. The worker keeps its place in the log as a consumer does,
 * in the transaction that sends. If it dies, nothing is lost: the next worker
 * goes on from there.
 *
 * Its life: a writer that is about to commit tries LOCK_RUNNING, which the
 * worker holds. If the lock is free, no worker runs, and the writer starts
 * one. After the commit, the writer wakes the worker. The worker sends batch
 * after batch, then sleeps and looks at the log from time to time. It leaves
 * after LEAVES_AFTER without work. That is soon, because DROP DATABASE waits
 * only five seconds for it.
 *
 * The worker must not leave just before a commit that counts on it. So a
 * transaction with events to send holds LOCK_EXPECTING until it ends, even
 * while it is prepared, and the worker leaves only if it gets this lock.
 *
 * The worker fires the triggers that the owner of the tables has on
 * event_consumer. One of them may sleep, or catch every error. So they have
 * TRIGGER_SECONDS. Then the worker ends like one that pg_terminate_backend()
 * stops, which no EXCEPTION block can catch.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
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
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/acting_as_owner.h"
#include "base/compat.h"
#include "base/installation.h"
#include "base/installed.h"
#include "base/owner_query.h"
#include "base/search_path.h"
#include "base/spi_result.h"
#include "config/pipeline_cache.h"
#include "events/dispatcher.h"
#include "events/event_row.h"
#include "events/notify_send.h"
#include "events/subscriptions.h"

PG_FUNCTION_INFO_V1(crm_deals_start_dispatcher);

PGDLLEXPORT void crm_deals_dispatcher_main(Datum database);

#define BATCH 1000				/* events in one transaction */
#define TRIGGER_SECONDS 20		/* for the triggers of a batch; longer ones end the worker */
#define LEAVES_AFTER 3000		/* this and those below: milliseconds */
#define SHORTEST_SLEEP 10
#define LONGEST_SLEEP 100
#define LONGEST_START 1000
#define STARTS_AGAIN_AFTER 1000

/* ----------
 * Finding and starting it
 * ----------
 */

typedef enum DispatcherLock
{
	LOCK_RUNNING,				/* held by the worker, exclusively */
	LOCK_STARTING,				/* held by the process that starts the worker */
	LOCK_EXPECTING				/* shared by transactions with events to send */
} DispatcherLock;

/*
 * Returns the tag of a lock of this database. It is of the kind of advisory
 * locks, with a last number that SQL cannot give them.
 */
static LOCKTAG
dispatcher_lock(DispatcherLock which)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0x63726d5f, 0x6465616c, 100 + which);
	return tag;
}

/*
 * Takes the lock if it is free. A lock of the worker lasts until the worker
 * releases it, a writer's until the transaction ends at the latest.
 */
static bool
try_lock(DispatcherLock which, LOCKMODE mode, bool by_worker)
{
	LOCKTAG		tag = dispatcher_lock(which);

	return LockAcquire(&tag, mode, by_worker, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Releases the lock. */
static void
unlock(DispatcherLock which, LOCKMODE mode, bool by_worker)
{
	LOCKTAG		tag = dispatcher_lock(which);

	(void) LockRelease(&tag, mode, by_worker);
}

/* Returns whether a worker runs for this database. */
static bool
is_running(void)
{
	if (!try_lock(LOCK_RUNNING, ShareLock, false))
		return true;
	unlock(LOCK_RUNNING, ShareLock, false);
	return false;
}

/* The worker that was found last. Another process may have its place since: then the pid differs. */
static PGPROC *known = NULL;
static int	known_pid = 0;

/*
 * Looks for the process of the worker. Between two of its transactions it is
 * not found, but then it is about to look at the log by itself.
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

/* Starts a worker; returns NULL if no slot for one is free. */
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

/*
 * Waits until the worker holds its lock. Otherwise more writers would start
 * workers, and use up the few slots for them.
 */
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

/* Starts a worker, unless another process is just starting one. */
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
				 errdetail("The events are in the log. They are notified when a worker can be started."),
				 errhint("Raise max_worker_processes.")));
	unlock(LOCK_STARTING, ExclusiveLock, false);
}

/* Finds the worker of this database, or starts one; until the transaction ends, the worker does not leave. */
void
summon_dispatcher(void)
{
	static TimestampTz started = 0;
	LOCKTAG		expecting = dispatcher_lock(LOCK_EXPECTING);

	(void) LockAcquire(&expecting, ShareLock, false, false);
	/* If a worker leaves at once, it failed. So this process does not start the next one with its next commit. */
	if (!is_running() &&
		(started == 0 || TimestampDifferenceExceeds(started, GetCurrentTimestamp(), STARTS_AGAIN_AFTER)))
	{
		start_dispatcher();
		started = GetCurrentTimestamp();
	}
	find_process();
}

/* Wakes the worker that was found. */
void
wake_dispatcher(void)
{
	if (known != NULL && known->pid == known_pid)
		SetLatch(&known->procLatch);
}

/* start_dispatcher() starts the worker, if it does not run. */
Datum
crm_deals_start_dispatcher(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PreventCommandDuringRecovery("start_dispatcher()");
	check_installation();
	if (!is_running())
		start_dispatcher();
	PG_RETURN_VOID();
}

/* ----------
 * The time that triggers have
 * ----------
 */

static TimeoutId trigger_timeout;
static volatile sig_atomic_t triggers_took_too_long = false;

/* Ends the worker at its next check for interrupts, wherever it is. */
static void
end_worker(void)
{
	triggers_took_too_long = true;
	ProcDiePending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* Says in the server's log why the worker leaves. */
static void
tell_of_long_triggers(int code, Datum arg)
{
	(void) code;
	(void) arg;
	if (triggers_took_too_long)
		ereport(LOG,
				(errmsg("the dispatcher of deals leaves: a trigger took longer than %d seconds", TRIGGER_SECONDS),
				 errdetail("Its notifications come again when the next write starts another one."),
				 errhint("Look for a slow trigger on crm_deals.event_consumer.")));
}

/* Prepares the worker for the limit. */
static void
limit_triggers(void)
{
	trigger_timeout = RegisterTimeout(USER_TIMEOUT, end_worker);
	before_shmem_exit(tell_of_long_triggers, (Datum) 0);
}

/*
 * Of the code of others only triggers on event_consumer run in the worker. They
 * run between these two calls. Reading the log may take longer.
 */
static void
triggers_may_run(void)
{
	enable_timeout_after(trigger_timeout, TRIGGER_SECONDS * 1000);
}

static void
no_trigger_runs(void)
{
	disable_timeout(trigger_timeout, false);
}

/* ----------
 * Sending
 * ----------
 */

static OwnerQuery take_query = {
	.sql = "SELECT crm_deals_internal.take_for_dispatch($1)",
	.nargs = 1,
	.argtypes = {INT4OID},
	.returns = RETURNS(INT8ARRAYOID),
};

static OwnerQuery summaries_query = {
	.sql = "SELECT s.* FROM crm_deals_internal.summaries($1) AS s",
	.nargs = 1,
	.argtypes = {XID8OID},
	.returns = RETURNS(TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID),
};

/* Sends the summary in this row of SPI_tuptable, if its kind is a channel. */
static void
send_summary_row(uint64 row)
{
	char	   *kind = row_text(row, 1);

	for (int channel = 0; channel < N_CHANNELS; channel++)
		if (strcmp(channel_name(channel), kind) == 0)
			send_summary(channel, row_int64(row, 2), row_int64(row, 3), row_int64(row, 4), row_int64(row, 5));
}

/* Sends the summaries of a transaction, one for each channel. */
static void
send_summaries_of(Datum transaction)
{
	(void) owner_query_run(&summaries_query, &transaction, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		send_summary_row(i);
	SPI_freetuptable(SPI_tuptable);
}

/* Sends what the writer of the event has marked. */
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

/* Sends the next events, in a transaction and as the owner of the tables; returns their number. */
static uint64
send_batch(void)
{
	Datum		most = Int32GetDatum(BATCH);
	SPITupleTable *events;
	uint64		n;

	SPI_connect();
	triggers_may_run();
	(void) owner_query_run(&take_query, &most, NULL);
	no_trigger_runs();
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
	TURN_SENT,					/* all that there was */
	TURN_SENT_BATCH,			/* there may be more */
	TURN_QUEUE_FILLED,
	TURN_NOT_INSTALLED
} Turn;

/* Fires what constraints and triggers have deferred, and lets them defer no more. */
static void
fire_deferred_triggers(void)
{
	ConstraintsSetStmt *all_immediate = makeNode(ConstraintsSetStmt);

	triggers_may_run();
	AfterTriggerSetState(all_immediate);
	no_trigger_runs();
}

/* Sends the next events as the owner of the tables, which the worker then is until "former". */
static Turn
send_batch_as_owner(FormerRole *former)
{
	uint64		n;

	check_installation();
	*former = become_owner();
	n = send_batch();
	fire_deferred_triggers();
	return n == 0 ? TURN_NOTHING : n < BATCH ? TURN_SENT : TURN_SENT_BATCH;
}

/*
 * Runs one transaction of the worker: sends what there is to send, if it can.
 * The worker is connected as a superuser, because the owner may not be able to
 * log in. No code of the owner's may run as superuser. So the worker is the
 * owner until the commit is over: a trigger can defer another one to it.
 */
static Turn
take_turn(void)
{
	FormerRole	former = {0};
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
		turn = send_batch_as_owner(&former);
	PopActiveSnapshot();
	triggers_may_run();
	CommitTransactionCommand();
	no_trigger_runs();
	former.search_path = 0;		/* the commit has put it back */
	if (OidIsValid(former.role))
		become_former(&former);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return turn;
}

/*
 * Takes the lock of the running worker; returns false if another worker has it.
 * It tries more than once, since a writer that looks whether a worker runs
 * holds the lock for a moment.
 */
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

/*
 * Lets the worker leave, if no transaction has events to send. A transaction
 * that held the lock has committed when the worker gets it, so the worker looks
 * at the log once more.
 */
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

/*
 * Sleeps until a writer wakes the worker, or the time is over. It sleeps in a
 * transaction, because writers do not find the locks of a session that has
 * none.
 */
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

/* Sends until nothing has come for LEAVES_AFTER. */
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
			/* Wait a little, so that more events share a commit: each commit of the worker slows writers down. */
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

/* Sets what the worker relies on, whatever the settings of the database and the server are. */
static void
keep_to_own_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"lock_timeout", "10s"},		/* while it waits, it holds back vacuum */
		{"deadlock_timeout", "50ms"},	/* in a deadlock it gives in, not DROP EXTENSION */
		/* Its commits wait for the disk, with those of writers. Else the walwriter would write in between. */
		{"synchronous_commit", "local"},
		{"jit", "off"},
		{"search_path", PINNED_PATH},	/* what runs as the owner then sets none */
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/* The main function of the worker. */
void
crm_deals_dispatcher_main(Datum database)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);

	keep_to_own_settings();
	limit_triggers();
	if (try_to_be_the_one())
		dispatch_until_idle();
	proc_exit(0);
}
