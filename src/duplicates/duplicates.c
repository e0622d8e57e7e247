/*
 * duplicates.c
 *		Deals whose name a statement wrote, and the deals that they look like.
 *
 * Few deals are looked for in the index of names, one by one.  Many are held in
 * memory, as many at a time as half of maintenance_work_mem has room for, while
 * all other deals stream by.  Either way each pair is compared exactly.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/owner_query.h"
#include "base/settings.h"
#include "duplicates/concurrent_writers.h"
#include "duplicates/deal_reader.h"
#include "duplicates/duplicates.h"
#include "duplicates/matches.h"
#include "duplicates/name_index.h"
#include "duplicates/progress.h"

/* So many are few, whatever the table's size; else a probe costs as much as so many names streaming by */
#define ALWAYS_FEW			10
#define NAMES_A_PROBE		60

/* Of one statement; so many pairs are too many for probes, which look at each */
#define MANY_PAIRS			1000000

/* Deals that look for their duplicates: a statement's, or all that a transaction wrote */
typedef struct Looking
{
	DealIds		deals;			/* sorted when they are searched for */
	float4		threshold;		/* the lowest */
	bool		any_rejects;
	bool		any_renamed;
	List	   *old_names;		/* theirs */
	bool		again;			/* others may have been renamed since */
} Looking;

typedef struct Search
{
	const Looking *looking;
	Matches    *matches;
	Rivals		rivals;
	int64		cut;
	int64		deal_id;		/* whose duplicates the index is asked for */
} Search;

/* ----------
 * Few: by the index
 * ----------
 */

/*
 * Of a pair in one statement the higher id is the later one.  A name that is
 * about to go counts as long as it is there.
 */
static void
found_by_index(void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new)
{
	Search	   *search = arg;

	if (deal_id == search->deal_id || (deal_id > search->deal_id && is_among(&search->looking->deals, deal_id)))
		return;
	if (TransactionIdIsValid(writer))
		rivals_add(&search->rivals, writer);
	if (!is_new)
		matches_add(search->matches, search->deal_id, deal_id, similarity);
}

/* Who is writing a name like the one that a deal had may be flagging that deal. */
static void
found_by_old_name(void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new)
{
	Search	   *search = arg;

	(void) deal_id;
	(void) similarity;
	if (is_new)
		rivals_add(&search->rivals, writer);
}

static void
probe_old_names(Search *search, NameIndex *index)
{
	ListCell   *cell;

	foreach(cell, search->looking->old_names)
	{
		const OldName *old = lfirst(cell);

		name_index_probe(index, old->organization, old->name, search->looking->threshold, found_by_old_name, search);
	}
}

/*
 * False where that would take too long.  Each deal's own pipeline judges what the
 * lowest threshold finds.
 */
static bool
probe_deals(Search *search, NameIndex *index)
{
	const Looking *looking = search->looking;
	DealIdsPlace place = {0};
	Progress	progress = progress_begin();

	while (deal_ids_next(&looking->deals, &place, &search->deal_id))
	{
		name_index_probe_deal(index, search->deal_id, looking->threshold, found_by_index, search);
		if (matches_count(search->matches) > MANY_PAIRS)
			return false;
		progress_tell(&progress, 1);
	}
	return true;
}

static bool
search_by_index(Search *search)
{
	NameIndex  *index = name_index_open(NULL);
	int64		n = search->looking->deals.n;
	bool		answers = name_index_answers(index, search->looking->threshold);
	bool		done = answers && (n <= ALWAYS_FEW || n * NAMES_A_PROBE <= name_index_size(index)) &&
		probe_deals(search, index);

	if (answers)
		probe_old_names(search, index);
	name_index_close(index);
	return done;
}

/* ----------
 * Many: in memory
 * ----------
 */

static OwnerQuery written_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE("p.duplicate_policy")
	" FROM pg_catalog.unnest($1) AS w (deal_id)"
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) w.deal_id"
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id"
	" ORDER BY d.id",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

static OwnerQuery all_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE("p.duplicate_policy")
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id",
};

/* Those of the statement that come later look themselves; those in the join are compared there. */
static void
stream_others(const Search *search, DuplicateJoin *join, int64 first)
{
	DealReader	others = deal_reader_open(owner_query_cursor(&all_query, NULL, NULL), 0);

	while (deal_reader_next(&others))
		if (others.deal.id < first || !is_among(&search->looking->deals, others.deal.id))
			duplicate_join_compare(join, &others.deal);
	deal_reader_close(&others);
}

typedef struct RivalSearch
{
	Search	   *search;
	DuplicateJoin *join;
	TransactionId writer;
} RivalSearch;

static void
found_rival(void *arg, int64 deal_id, int64 none, float4 similarity)
{
	const RivalSearch *rival = arg;

	(void) deal_id;
	(void) none;
	(void) similarity;
	rivals_add(&rival->search->rivals, rival->writer);
}

static void
name_in_hand_of(void *arg, int64 deal_id, text *organization, text *name, TransactionId writer)
{
	RivalSearch *rival = arg;

	(void) deal_id;
	rival->writer = writer;
	duplicate_join_probe(rival->join, organization, name, found_rival, rival);
}

static void
look_for_rivals(Search *search, DuplicateJoin *join)
{
	RivalSearch rival = {.search = search, .join = join};
	NameIndex  *index = name_index_open(NULL);

	name_index_in_hand(index, name_in_hand_of, &rival);
	name_index_close(index);
}

static void
search_in_memory(Search *search)
{
	DealReader	deals = deal_reader_open_ids(&written_query, &search->looking->deals);
	/* to refuse it takes one */
	int64		limit = search->looking->any_rejects ? Max(setting_duplicate_limit, 1) : setting_duplicate_limit;
	/* the statement holds what it wrote besides */
	Size		room = maintenance_work_mem * (Size) 1024 / 2;
	bool		more = true;

	while (more)
	{
		DuplicateJoin *join = duplicate_join_create(search->looking->threshold, limit, matches_add, search->matches);
		int64		first;

		/* new deals have none */
		if (search->looking->any_renamed)
			add_dismissed_pairs(join);
		more = read_into_join(&deals, join, room, &first);
		/* rivals first: who commits after that is one, who has before streams by */
		look_for_rivals(search, join);
		stream_others(search, join, first);
		search->cut += duplicate_join_finish(join);
	}
	deal_reader_close(&deals);
}

/* ----------
 * Searching
 * ----------
 */

static void
search_once(Search *search)
{
	search->matches = matches_begin();
	if (search_by_index(search))
		return;
	matches_end(search->matches);
	search->matches = matches_begin();
	search_in_memory(search);
}

/* Deals first and flags then, as who deletes deals takes their locks. */
static void
conclude(Search *search)
{
	if (matches_count(search->matches) > 0)
	{
		if (search->looking->any_rejects)
			matches_refuse(search->matches);
		(void) matches_flag(search->matches, &search->cut);
	}
	tell_cut(search->cut);
	matches_end(search->matches);
	if (search->looking->any_renamed || search->looking->again)
		written_names_score(&search->looking->deals);
}

/* ----------
 * Rivals
 * ----------
 */

/* What the transaction wrote that looks for duplicates: who waits for a rival looks for all of it again. */
static struct
{
	LocalTransactionId transaction;
	Looking		looking;
	bool		waited;			/* others may rely on that */
	bool		owes;			/* and it is not done, or undone with a subtransaction */
}			written;

static void
remember_old_names(const List *old_names)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	ListCell   *cell;

	foreach(cell, old_names)
		if (list_length(written.looking.old_names) < MAX_OLD_NAMES)
			written.looking.old_names = lappend(written.looking.old_names, old_name_copy(lfirst(cell)));
	MemoryContextSwitchTo(caller);
}

static void
remember_written(const Looking *more)
{
	Looking    *all = &written.looking;

	if (written.transaction != my_lxid())
	{
		memset(&written, 0, sizeof(written));
		written.transaction = my_lxid();
		all->threshold = 1;
		all->again = true;
	}
	deal_ids_add_all(&all->deals, &more->deals, TopTransactionContext);
	all->threshold = Min(all->threshold, more->threshold);
	all->any_rejects |= more->any_rejects;
	all->any_renamed |= more->any_renamed;
	remember_old_names(more->old_names);
}

/*
 * What a rival left counts, not what it had: all over again.  Who goes on beside
 * a rival that waits may have taken a name for one that stays.
 */
static void
search_until_alone(Search *search)
{
	search_once(search);
	written.owes |= search->rivals.n > 0;
	while (rivals_decide(&search->rivals))
	{
		written.waited = true;
		rivals_wait(&search->rivals);
		rivals_promise_nothing();
		deal_ids_sort(&written.looking.deals);
		search->looking = &written.looking;
		matches_end(search->matches);
		search->cut = 0;
		search_once(search);
		written.owes = search->rivals.n > 0;
	}
}

static void
look_for_duplicates(const Looking *looking)
{
	Search		search = {.looking = looking, .rivals = {.memory = CurrentMemoryContext}};

	SPI_connect();
	search_until_alone(&search);
	conclude(&search);
	SPI_finish();
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	(void) id;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_ABORT_SUB && written.transaction == my_lxid())
		written.owes |= written.waited;
}

static void
on_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if ((event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) ||
		written.transaction != my_lxid() || !(written.owes || (written.waited && written.looking.any_renamed)))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	rivals_promise_nothing();
	deal_ids_sort(&written.looking.deals);
	look_for_duplicates(&written.looking);
	PopActiveSnapshot();
}

void
duplicates_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/* ----------
 * The statement
 * ----------
 */

void
duplicates_of_statement(WrittenNames *names, bool may_refuse)
{
	Looking		looking;

	if (written_names_empty(names))
		return;
	written_names_store(names);
	if (!names->any_looks)
	{
		written_names_score(&names->renamed);
		return;
	}
	looking = (Looking) {
		.deals = names->written, .threshold = names->threshold, .any_rejects = names->any_rejects && may_refuse,
		.any_renamed = names->renamed.n > 0, .old_names = names->old_names
	};
	remember_written(&looking);
	look_for_duplicates(&looking);
}
