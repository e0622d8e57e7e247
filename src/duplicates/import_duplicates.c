/*
 * import_duplicates.c
 *		Finds all rows of an import that their pipelines refuse as duplicates.
 *
 * A trigger refuses a whole statement because of the first such row.  After that has
 * happened, the rows are judged here as if they were written one after the other: a
 * row is refused if its name is like that of a deal that exists, or like that of an
 * earlier row that is not refused.  The triggers have the last word: they find what
 * is not found here.
 *
 * The rows are held in memory, in batches that maintenance_work_mem has space for.
 * All deals are read once for each batch and compared with it; then the rows of the
 * batch are judged in their order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/memutils.h"

#include "base/caller_query.h"
#include "base/owner_query.h"
#include "base/result_set.h"
#include "base/spi_result.h"
#include "duplicates/deal_cursor.h"
#include "duplicates/deal_ids.h"
#include "duplicates/growing_array.h"
#include "duplicates/name_groups.h"

PG_FUNCTION_INFO_V1(crm_deals_import_similar);

#define N_RESULT_COLUMNS 4
#define MOST_ROWS		1000000000	/* in one range */
#define NO_CANDIDATE	(-1)

/* A row that writes a name */
typedef struct Candidate
{
	int64		row;
	int32		group;
	uint32		account;
	bool		is_open;
	int32		next;			/* the next accepted row of its group */
} Candidate;

/* The most similar deal, or row of an earlier batch; similarity 0: none */
typedef struct Likeness
{
	int64		deal_id;
	int64		row;			/* 0: it is a deal */
	float4		similarity;
} Likeness;

/* Rows of one name and one rule; a row is checked if its pipeline refuses duplicates */
typedef struct RowGroup
{
	DuplicateRule rule;
	Likeness	existing;
	int32		first_accepted;
	int32		last_accepted;
} RowGroup;

typedef struct Import
{
	int64		low;
	int64		high;
	float4		threshold;		/* the lowest of the pipelines */
	DealIds		renamed;		/* deals whose name the import changes: they are not compared */
	Datum		dismissing;		/* of these, the deals that have dismissed pairs: only the triggers check them */
	DealIds		moved;			/* deals whose account or status changes: not in a scope that depends on these */
	Bitmapset  *refused;		/* rows, counted from low */
	ReturnSetInfo *result;
	MemoryContext memory;		/* lives longer than a batch */
} Import;

typedef struct Batch
{
	Import	   *import;
	NameGroups	names;
	Candidate  *candidates;
	int32		n_candidates;
	int32		allocated_candidates;
	RowGroup   *groups;
	int32		n_groups;
	int32		allocated_groups;
	int64		first_row;
	int64		last_row;
} Batch;

/* ----------
 * Reading rows into memory
 * ----------
 */

/*
 * The tables are temporary tables of this import, so no plan is kept.  An account
 * that the import will create has no id yet: its name stands for it.  $3 are the
 * deals that are not checked.
 */
static const Oid *const rows_returned = RETURNS(COMPARED_COLUMNS);

static const char *const rows_query =
"SELECT r._row::pg_catalog.int8, r.organization::pg_catalog.text, s.name::pg_catalog.text,"
" CASE WHEN r._creates_account AND r.account_id IS NULL"
"  THEN pg_catalog.format('new %L %L', pg_catalog.lower(s.account), r._account_organization)"
"  ELSE r.account_id::pg_catalog.text END,"
" t.status::pg_catalog.text OPERATOR(pg_catalog.=) 'open',"
" p.duplicate_policy OPERATOR(pg_catalog.=) 'reject' AND r.id OPERATOR(pg_catalog.<>) ALL ($3) IS TRUE,"
" p.duplicate_threshold::pg_catalog.float4, p.duplicate_scope::pg_catalog.text"
" FROM pg_temp._crm_deals_rows AS r"
" JOIN pg_temp._crm_deals_source AS s ON s._row OPERATOR(pg_catalog.=) r._row"
" LEFT JOIN pg_temp._crm_deals_steps AS f ON f._row OPERATOR(pg_catalog.=) r._row AND f.step OPERATOR(pg_catalog.=) 1"
" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) r.pipeline_id"
" JOIN crm_deals.stage AS t ON t.id OPERATOR(pg_catalog.=) coalesce(f.stage_id, r.stage_id)"
" WHERE r._row OPERATOR(pg_catalog.>=) $1 AND r._row OPERATOR(pg_catalog.<=) $2"
" AND r._writes_name AND r._problem IS NULL AND NOT r._again AND s.name IS NOT NULL"
" ORDER BY r._row";

/*
 * Reads the next row. Whoever calls import_similar() himself can put a view in
 * place of the rows, which returns others each time.
 */
static bool
next_row(const Import *import, DealCursor *rows)
{
	if (!deal_cursor_next(rows))
		return false;
	if (rows->deal.id < import->low || rows->deal.id > import->high)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("row %lld is not among those that are imported", (long long) rows->deal.id)));
	return true;
}

/* Opens the rows of the import up to this one. */
static DealCursor
read_rows(const Import *import, int64 high)
{
	Oid			types[] = {INT8OID, INT8OID, INT8ARRAYOID};
	Datum		values[] = {Int64GetDatum(import->low), Int64GetDatum(high), import->dismissing};
	MemoryContext caller = CurrentMemoryContext;
	Portal		portal = SPI_cursor_open_with_args(NULL, rows_query, lengthof(types), types, values, NULL, true, 0);

	MemoryContextSwitchTo(caller);
	if (portal == NULL)
		elog(ERROR, "could not open the rows of the import: %s", SPI_result_code_string(SPI_result));
	check_columns(rows_query, rows_returned, portal->tupDesc);
	return deal_cursor_open(cursor_keep(portal), 0);
}

/* Begins a group. */
static void
add_group(Batch *batch, const DuplicateRule *rule)
{
	batch->groups = grow_array(batch->groups, batch->n_groups, &batch->allocated_groups, sizeof(RowGroup));
	batch->groups[batch->n_groups++] = (RowGroup) {
		.rule = *rule,
		.first_accepted = NO_CANDIDATE,
		.last_accepted = NO_CANDIDATE,
	};
}

/* Adds a row, unless its name has no trigrams. */
static void
add_row(Batch *batch, ComparedDeal *row)
{
	int			group = name_groups_add(&batch->names, row, false);

	if (group == NO_GROUP)
		return;
	if (group == batch->n_groups)
		add_group(batch, &row->rule);
	batch->candidates = grow_array(batch->candidates, batch->n_candidates, &batch->allocated_candidates,
								   sizeof(Candidate));
	batch->candidates[batch->n_candidates++] =
		(Candidate) {row->id, group, row->rule.account, row->is_open, NO_CANDIDATE};
}

/* Returns the bytes that the batch takes. */
static Size
batch_size(const Batch *batch)
{
	return name_groups_bytes(&batch->names) + sizeof(Candidate) * (Size) batch->allocated_candidates +
		sizeof(RowGroup) * (Size) batch->allocated_groups;
}

/* Reads rows until the memory is used up; returns false after the last. */
static bool
fill_batch(Batch *batch, DealCursor *rows)
{
	Size		budget = maintenance_work_mem * (Size) 1024;
	bool		more;

	do
	{
		more = next_row(batch->import, rows);
		if (!more)
			break;
		if (batch->first_row == 0)
			batch->first_row = rows->deal.id;
		batch->last_row = rows->deal.id;
		add_row(batch, &rows->deal);
	} while (batch_size(batch) < budget);
	join_build(batch->names.names);
	return more;
}

/* ----------
 * Comparing the batch with deals and with rows of earlier batches
 * ----------
 */

/* A deal, or an accepted row of an earlier batch */
typedef struct Existing
{
	Batch	   *batch;
	Likeness	likeness;
	uint32		account;
	bool		is_open;
} Existing;

/* Is it more similar?  Of equally similar ones a deal comes before a row, then the lower number counts. */
static bool
is_better(const Likeness *likeness, const Likeness *than)
{
	if (likeness->similarity != than->similarity)
		return likeness->similarity > than->similarity;
	if (likeness->row != than->row)
		return likeness->row < than->row;
	return likeness->deal_id < than->deal_id;
}

/* Called for a group whose name is similar: keeps the most similar of what exists. */
static void
found_group(void *arg, int number, int none, float similarity)
{
	Existing   *existing = arg;
	RowGroup   *group = &existing->batch->groups[number];

	(void) none;
	existing->likeness.similarity = similarity;
	if (rule_reached(&group->rule, similarity) &&
		rule_covers(&group->rule, existing->account, existing->is_open) &&
		is_better(&existing->likeness, &group->existing))
		group->existing = existing->likeness;
}

static OwnerQuery deals_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE("false")
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id",
	.returns = RETURNS(COMPARED_COLUMNS),
};

/*
 * Compares all deals with the batch.  If the import changes a deal, only the
 * triggers know what the deal will be, so it counts only if that does not matter.
 */
static void
compare_deals(Batch *batch)
{
	DealCursor	deals = deal_cursor_open(owner_query_cursor(&deals_query, NULL, NULL), 0);

	while (deal_cursor_next(&deals))
	{
		const ComparedDeal *deal = &deals.deal;
		Existing	existing = {.batch = batch, .likeness = {.deal_id = deal->id}};
		bool		moved = is_among(&batch->import->moved, deal->id);

		if (is_among(&batch->import->renamed, deal->id))
			continue;
		existing.account = moved ? NO_NUMBER : name_groups_account(&batch->names, deal->account);
		existing.is_open = deal->is_open && !moved;
		name_groups_probe(&batch->names, deal->organization, deal->name, found_group, &existing);
	}
	deal_cursor_close(&deals);
}

/* Compares a row of an earlier batch with this one, unless the row is refused. */
static void
compare_earlier_row(Batch *batch, const ComparedDeal *row)
{
	Import	   *import = batch->import;
	Existing	existing = {.batch = batch, .likeness = {.row = row->id}, .is_open = row->is_open};

	existing.account = name_groups_account(&batch->names, row->account);
	if (!bms_is_member((int) (row->id - import->low), import->refused))
		name_groups_probe(&batch->names, row->organization, row->name, found_group, &existing);
}

/* ----------
 * Judging the rows of the batch
 * ----------
 */

/* Refuses a row; says nothing about a deal that the caller cannot see. */
static void
refuse(Import *import, int64 row, const Likeness *likeness)
{
	bool		is_row = likeness->row != 0;
	bool		is_told = is_row || caller_sees_deal(likeness->deal_id);
	Datum		values[N_RESULT_COLUMNS] = {Int64GetDatum(row), Int64GetDatum(likeness->deal_id),
	Int64GetDatum(likeness->row), Float4GetDatum(likeness->similarity)};
	bool		isnull[N_RESULT_COLUMNS] = {false, is_row || !is_told, !is_row, !is_told};
	MemoryContext caller = MemoryContextSwitchTo(import->memory);

	import->refused = bms_add_member(import->refused, (int) (row - import->low));
	result_set_add(import->result, values, isnull);
	MemoryContextSwitchTo(caller);
}

/* Accepts a row, so that later rows are checked against it. */
static void
accept(Batch *batch, int32 number)
{
	RowGroup   *group = &batch->groups[batch->candidates[number].group];

	if (group->first_accepted == NO_CANDIDATE)
		group->first_accepted = number;
	else
		batch->candidates[group->last_accepted].next = number;
	group->last_accepted = number;
}

typedef struct Judging
{
	Batch	   *batch;
	const DuplicateRule *rule;	/* of the row that is judged */
	Likeness	best;
} Judging;

/*
 * Called for a similar group.  Its accepted rows are all equally similar, so the
 * first one in the scope is enough.
 */
static void
found_accepted(void *arg, int number, int none, float similarity)
{
	Judging    *judging = arg;
	Batch	   *batch = judging->batch;
	int32		accepted = batch->groups[number].first_accepted;

	(void) none;
	if (!rule_reached(judging->rule, similarity))
		return;
	while (accepted != NO_CANDIDATE &&
		   !rule_covers(judging->rule, batch->candidates[accepted].account, batch->candidates[accepted].is_open))
	{
		CHECK_FOR_INTERRUPTS();
		accepted = batch->candidates[accepted].next;
	}
	if (accepted != NO_CANDIDATE)
	{
		Likeness	likeness = {.row = batch->candidates[accepted].row, .similarity = similarity};

		if (is_better(&likeness, &judging->best))
			judging->best = likeness;
	}
}

/* Refuses or accepts a row. */
static void
judge_row(Batch *batch, int32 number, const ComparedDeal *row)
{
	const RowGroup *group = &batch->groups[batch->candidates[number].group];
	Judging		judging = {.batch = batch, .rule = &group->rule, .best = group->existing};

	if (group->rule.is_checked && judging.best.similarity == 0)
		name_groups_probe(&batch->names, row->organization, row->name, found_accepted, &judging);
	if (group->rule.is_checked && judging.best.similarity > 0)
		refuse(batch->import, row->id, &judging.best);
	else
		accept(batch, number);
}

/* Goes through the rows again: compares those of earlier batches, then judges those of this one. */
static void
judge_rows(Batch *batch)
{
	DealCursor	rows = read_rows(batch->import, batch->last_row);
	int32		number = 0;

	while (number < batch->n_candidates && next_row(batch->import, &rows))
	{
		if (rows.deal.id < batch->first_row)
			compare_earlier_row(batch, &rows.deal);
		else if (rows.deal.id == batch->candidates[number].row)
			judge_row(batch, number++, &rows.deal);
	}
	deal_cursor_close(&rows);
}

/* Judges all rows, batch by batch. */
static void
judge_import(Import *import)
{
	DealCursor	rows = read_rows(import, import->high);
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals import duplicates",
												 ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	bool		more = true;

	while (more)
	{
		Batch		batch = {.import = import, .names = name_groups_create(import->threshold)};

		more = fill_batch(&batch, &rows);
		if (batch.n_candidates > 0)
		{
			compare_deals(&batch);
			judge_rows(&batch);
		}
		MemoryContextReset(memory);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
	deal_cursor_close(&rows);
}

static OwnerQuery dismissing_query = {
	.sql = "SELECT ARRAY(SELECT w.deal_id FROM pg_catalog.unnest($1) AS w (deal_id)"
	" WHERE EXISTS (SELECT FROM crm_deals.deal_duplicate AS f"
	"  WHERE f.deal_id OPERATOR(pg_catalog.=) w.deal_id AND f.resolution OPERATOR(pg_catalog.=) 'dismissed')"
	" OR EXISTS (SELECT FROM crm_deals.deal_duplicate AS f"
	"  WHERE f.other_deal_id OPERATOR(pg_catalog.=) w.deal_id AND f.resolution OPERATOR(pg_catalog.=) 'dismissed'))",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.returns = RETURNS(INT8ARRAYOID),
};

/* Returns the deals among these that have dismissed pairs, as bigint[]. */
static Datum
deals_with_dismissed_pairs(Datum among)
{
	bool		isnull;

	owner_query_read_latest(&dismissing_query, &among, NULL);
	return result_column(1, &isnull);
}

/* Refuses a range of rows that cannot be counted from its first. */
static void
check_range(const Import *import)
{
	if (import->low < 1 || import->high < import->low - 1 || import->high - import->low >= MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is no range of rows of an import")));
}

/* import_similar(low, high, threshold, renamed, moved): the ids ascend */
Datum
crm_deals_import_similar(PG_FUNCTION_ARGS)
{
	Import		import = {.result = result_set_begin(fcinfo)};

	SPI_connect();
	import.low = PG_GETARG_INT64(0);
	import.high = PG_GETARG_INT64(1);
	check_range(&import);
	import.threshold = checked_threshold(PG_GETARG_FLOAT4(2));
	import.renamed = deal_ids_of_array(PG_GETARG_DATUM(3));
	import.dismissing = deals_with_dismissed_pairs(PG_GETARG_DATUM(3));
	import.moved = deal_ids_of_array(PG_GETARG_DATUM(4));
	import.memory = CurrentMemoryContext;
	judge_import(&import);
	SPI_finish();
	return (Datum) 0;
}
