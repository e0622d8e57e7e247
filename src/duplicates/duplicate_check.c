/*
 * duplicate_check.c
 *		What a statement does about duplicates, after its rows are written.
 *
 * A few deals are looked up in the index of names, one by one.  Many are held in
 * memory, as many at a time as half of maintenance_work_mem has space for, while all
 * other deals are read and compared with them.  In both cases the names of every pair
 * are compared exactly.
 *
 * Several transactions may write similar names at the same time.  Each stores its names
 * before it searches, and the search sees names that are not committed yet, so at least
 * one of two writers meets the other and waits for it (concurrent_writers.c).
 *
 * After it has waited, it searches again from the beginning, because the other
 * transaction may have committed or rolled back, so no result of the first
 * search is certain any more.  And it searches for all names that it has written since
 * it began, not only for those of this statement: while it was marked as waiting, other
 * transactions met its names and did not wait, because they relied on this search.
 *
 * A transaction that does not wait for a marked writer relies on it, too.  But it may
 * have flagged a deal against a name that the marked writer is about to change.
 * So it searches once more before it commits.  So does a transaction that has
 * waited, if it renamed deals, or if the rollback to a savepoint undid its flags.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/owner_query.h"
#include "base/settings.h"
#include "duplicates/concurrent_writers.h"
#include "duplicates/duplicate_check.h"
#include "duplicates/duplicate_flags.h"
#include "duplicates/duplicate_join.h"
#include "duplicates/name_index.h"
#include "duplicates/progress.h"

/*
 * The index is used for at most 10 deals, and for more if the table is so large that
 * reading it takes longer: a probe costs as much as reading 60 names.
 */
#define ALWAYS_FEW			10
#define NAMES_PER_PROBE		60

/* The index is given up after this many pairs, because a probe looks at each pair. */
#define MANY_PAIRS			1000000

/* Deals whose duplicates are sought: those of a statement, or all that the transaction wrote */
typedef struct CheckedDeals
{
	DealIds		ids;			/* sorted while they are searched for */
	float4		threshold;		/* the lowest of their pipelines */
	bool		any_rejects;
	bool		any_renamed;
	List	   *old_names;		/* of renamed deals */
	bool		is_repeated;	/* other deals may have been renamed since the first search */
} CheckedDeals;

typedef struct Search
{
	const CheckedDeals *checked;
	SimilarPairs *pairs;
	ConcurrentWriters writers;
	int64		cut;			/* number of pairs that were left out */
	int64		deal_id;		/* the deal that is looked up in the index */
} Search;

/* ----------
 * Few deals: by the index
 * ----------
 */

/*
 * Called for a name like that of search->deal_id.  Of two deals in one statement the
 * higher id counts as the later one.  A name that another transaction is deleting
 * still counts; one that another transaction has inserted does not count yet.
 */
static void
found_by_index(void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new)
{
	Search	   *search = arg;

	if (deal_id == search->deal_id || (deal_id > search->deal_id && is_among(&search->checked->ids, deal_id)))
		return;
	if (TransactionIdIsValid(writer))
		concurrent_writers_add(&search->writers, writer);
	if (!is_new)
		similar_pairs_add(search->pairs, search->deal_id, deal_id, similarity);
}

/* Called for a name like a renamed deal's old one: whoever inserted it may be flagging the deal by its old name. */
static void
found_by_old_name(void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new)
{
	Search	   *search = arg;

	(void) deal_id;
	(void) similarity;
	if (is_new)
		concurrent_writers_add(&search->writers, writer);
}

/* Looks for other transactions that write names like the old names of renamed deals. */
static void
probe_old_names(Search *search, NameIndex *index)
{
	ListCell   *cell;

	foreach(cell, search->checked->old_names)
	{
		const OldName *old = lfirst(cell);

		name_index_probe(index, old->organization, old->name, search->checked->threshold, found_by_old_name, search);
	}
}

/*
 * Looks up each deal by the lowest threshold; the pairs are judged later by each deal's
 * own pipeline.  Returns false if that would take too long.
 */
static bool
probe_deals(Search *search, NameIndex *index)
{
	const CheckedDeals *checked = search->checked;
	DealIdsPlace place = {0};
	Progress	progress = progress_begin();

	while (deal_ids_next(&checked->ids, &place, &search->deal_id))
	{
		name_index_probe_deal(index, search->deal_id, checked->threshold, found_by_index, search);
		if (similar_pairs_count(search->pairs) > MANY_PAIRS)
			return false;
		progress_tell(&progress, 1);
	}
	return true;
}

/* Searches by the index; returns false if it cannot answer or would take too long. */
static bool
search_by_index(Search *search)
{
	NameIndex  *index = name_index_open(NULL);
	int64		n = search->checked->ids.n;
	bool		answers = name_index_answers(index, search->checked->threshold);
	bool		done = answers && (n <= ALWAYS_FEW || n * NAMES_PER_PROBE <= name_index_size(index)) &&
		probe_deals(search, index);

	if (answers)
		probe_old_names(search, index);
	name_index_close(index);
	return done;
}

/* ----------
 * Many deals: in memory
 * ----------
 */

static OwnerQuery written_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE(RULE_IS_CHECKED)
	" FROM pg_catalog.unnest($1) AS w (deal_id)"
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) w.deal_id"
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id"
	" ORDER BY d.id",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(COMPARED_COLUMNS),
	.one_plan = true,
};

static OwnerQuery all_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE(RULE_IS_CHECKED)
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id",
	.returns = RETURNS(COMPARED_COLUMNS),
};

/*
 * Compares all other deals with the join.  Deals of the statement with higher ids than
 * the join's are left out: they are in the join, or are checked later themselves.
 */
static void
compare_others(const Search *search, DuplicateJoin *join, int64 first)
{
	DealCursor	others = deal_cursor_open(owner_query_cursor(&all_query, NULL, NULL), 0);

	while (deal_cursor_next(&others))
		if (others.deal.id < first || !is_among(&search->checked->ids, others.deal.id))
			duplicate_join_compare(join, &others.deal);
	deal_cursor_close(&others);
}

typedef struct WriterSearch
{
	Search	   *search;
	DuplicateJoin *join;
	TransactionId writer;
} WriterSearch;

/* Called for a deal of the join whose name is like that of an uncommitted row. */
static void
found_writer(void *arg, int64 deal_id, int64 none, float4 similarity)
{
	const WriterSearch *found = arg;

	(void) deal_id;
	(void) none;
	(void) similarity;
	concurrent_writers_add(&found->search->writers, found->writer);
}

/* Called for an uncommitted row. */
static void
found_uncommitted(void *arg, text *organization, text *name, TransactionId writer)
{
	WriterSearch *uncommitted = arg;

	uncommitted->writer = writer;
	duplicate_join_probe(uncommitted->join, organization, name, found_writer, uncommitted);
}

/* Looks for other transactions that write names like those in the join. */
static void
search_concurrent_writers(Search *search, DuplicateJoin *join)
{
	WriterSearch uncommitted = {.search = search, .join = join};
	NameIndex  *index = name_index_open(NULL);

	name_index_scan_uncommitted(index, found_uncommitted, &uncommitted);
	name_index_close(index);
}

/* Searches part by part, each as large as the memory allows. */
static void
search_in_memory(Search *search)
{
	DealCursor	deals = deal_cursor_open_ids(&written_query, &search->checked->ids);
	/* a refusal needs one pair, even if no flag may be written */
	int64		limit = search->checked->any_rejects ? Max(setting_duplicate_limit, 1) : setting_duplicate_limit;
	/* the other half is for what the statement keeps of its rows */
	Size		budget = maintenance_work_mem * (Size) 1024 / 2;
	bool		more = true;

	while (more)
	{
		DuplicateJoin *join = duplicate_join_create(search->checked->threshold, limit,
													  similar_pairs_add, search->pairs);
		int64		first;

		/* a new deal is in no dismissed pair */
		if (search->checked->any_renamed)
			duplicate_join_read_dismissed(join);
		more = duplicate_join_fill(join, &deals, budget, &first);
		/* in this order: a row that is committed in between is found twice, and none is missed */
		search_concurrent_writers(search, join);
		compare_others(search, join, first);
		search->cut += duplicate_join_finish(join);
	}
	deal_cursor_close(&deals);
}

/* ----------
 * Searching
 * ----------
 */

/* Searches by the index if possible, else in memory. */
static void
search_once(Search *search)
{
	search->pairs = similar_pairs_begin();
	if (search_by_index(search))
		return;
	similar_pairs_end(search->pairs);
	search->pairs = similar_pairs_begin();
	search_in_memory(search);
}

/*
 * Refuses or flags the pairs, then scores older flags.  A DELETE of deals locks the
 * deals first and their flags afterwards; this order is the same.
 */
static void
conclude(Search *search)
{
	const CheckedDeals *checked = search->checked;

	if (similar_pairs_count(search->pairs) > 0)
	{
		if (checked->any_rejects)
			refuse_duplicates(search->pairs);
		flag_pairs(search->pairs, &search->cut);
	}
	notice_cut_flags(search->cut);
	similar_pairs_end(search->pairs);
	if (checked->any_renamed || checked->is_repeated)
		score_flags(&checked->ids);
}

/* ----------
 * Concurrent writers
 * ----------
 */

/* What the present transaction has written */
static struct
{
	LocalTransactionId transaction;
	CheckedDeals checked;
	bool		has_waited;		/* others may rely on a later search of this transaction */
	bool		must_repeat;	/* before it commits, see above */
}			written;

/* Keeps old names until the transaction ends. */
static void
remember_old_names(const List *old_names)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	ListCell   *cell;

	foreach(cell, old_names)
		if (list_length(written.checked.old_names) < MAX_OLD_NAMES)
			written.checked.old_names = lappend(written.checked.old_names, old_name_copy(lfirst(cell)));
	MemoryContextSwitchTo(caller);
}

/* Adds the deals of a statement to those of the transaction. */
static void
remember_written(const CheckedDeals *more)
{
	CheckedDeals *all = &written.checked;

	if (written.transaction != my_lxid())
	{
		memset(&written, 0, sizeof(written));
		written.transaction = my_lxid();
		all->threshold = 1;
		all->is_repeated = true;
	}
	deal_ids_add_all(&all->ids, &more->ids, TopTransactionContext);
	all->threshold = Min(all->threshold, more->threshold);
	all->any_rejects |= more->any_rejects;
	all->any_renamed |= more->any_renamed;
	remember_old_names(more->old_names);
}

/* Searches, and searches again for everything as long as there are writers to wait for. */
static void
search_and_wait(Search *search)
{
	search_once(search);
	written.must_repeat |= search->writers.n > 0;
	while (concurrent_writers_must_wait(&search->writers))
	{
		written.has_waited = true;
		concurrent_writers_wait(&search->writers);
		concurrent_writers_unmark();
		deal_ids_sort(&written.checked.ids);
		search->checked = &written.checked;
		similar_pairs_end(search->pairs);
		search->cut = 0;
		search_once(search);
		written.must_repeat = search->writers.n > 0;
	}
}

/* Searches for the duplicates of the deals, and flags or refuses them. */
static void
search_duplicates(const CheckedDeals *checked)
{
	Search		search = {.checked = checked, .writers = {.memory = CurrentMemoryContext}};

	SPI_connect();
	search_and_wait(&search);
	conclude(&search);
	SPI_finish();
}

/* A rollback to a savepoint undoes the flags of a later search on which others rely. */
static void
on_subtransaction(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	(void) id;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_ABORT_SUB && written.transaction == my_lxid())
		written.must_repeat |= written.has_waited;
}

/* Searches once more before the transaction commits, if that is needed. */
static void
on_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if ((event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) ||
		written.transaction != my_lxid() ||
		!(written.must_repeat || (written.has_waited && written.checked.any_renamed)))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	concurrent_writers_unmark();
	deal_ids_sort(&written.checked.ids);
	search_duplicates(&written.checked);
	PopActiveSnapshot();
}

/* Registers what happens at the end of a transaction or subtransaction. */
void
duplicate_check_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* ----------
 * The statement
 * ----------
 */

/* Stores the names; then searches, or only scores the flags of renamed deals. */
void
check_duplicates(NameChanges *changes, bool may_refuse)
{
	CheckedDeals checked;

	if (name_changes_empty(changes))
		return;
	deal_names_store(changes);
	if (!changes->any_checked)
	{
		score_flags(&changes->renamed);
		return;
	}
	checked = (CheckedDeals) {
		.ids = changes->written, .threshold = changes->threshold, .any_rejects = changes->any_rejects && may_refuse,
		.any_renamed = changes->renamed.n > 0, .old_names = changes->old_names
	};
	remember_written(&checked);
	search_duplicates(&checked);
}
