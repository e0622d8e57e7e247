/*
 * import_duplicates.c
 *		Which rows of an import their pipelines refuse as duplicates, all at once.
 *
 * Triggers refuse a statement for the first such row.  Where they have, the rows
 * are judged here as if they came one after the other: a row is refused that is
 * like a deal that is there, or like an earlier row that is not refused.  The
 * triggers have the last word: what is not found here, they find.
 *
 * The rows are held in memory, as many at a time as maintenance_work_mem has
 * room for, while the deals stream by; then they are gone through in their order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "duplicates/core/similarity.h"
#include "duplicates/core/similarity_join.h"
#include "duplicates/deal_ids.h"
#include "duplicates/deal_reader.h"
#include "duplicates/memory_budget.h"
#include "duplicates/signature_ops.h"
#include "duplicates/text_numbers.h"
#include "duplicates/trigram.h"

PG_FUNCTION_INFO_V1(crm_deals_import_similar);

#define N_RESULT_COLUMNS 4
#define NO_CANDIDATE	(-1)

/* A row that writes a name */
typedef struct Candidate
{
	int64		row;
	int32		group;
	uint32		account;
	bool		is_open;
	int32		next;			/* accepted row of its group that comes after it */
} Candidate;

/* The most similar deal that is there, or row of an earlier batch; similarity 0: none */
typedef struct Likeness
{
	int64		deal_id;
	int64		row;			/* 0: a deal */
	float4		similarity;
} Likeness;

/* Rows of one name that ask for the same */
typedef struct NameGroup
{
	bool		refuses;
	float4		threshold;
	DuplicateScope scope;
	uint32		account;		/* where the scope asks for it */
	Likeness	there;
	int32		first_accepted;
	int32		last_accepted;
} NameGroup;

typedef struct Import
{
	int64		low;
	int64		high;
	float4		threshold;		/* the lowest that is asked for */
	DealIds		renamed;		/* deals whose name goes: not compared */
	Datum		dismissing;		/* of those: deals that have dismissed pairs, which are left to the triggers */
	DealIds		moved;			/* deals whose account or status changes: in scope for no one who asks for it */
	Bitmapset  *refused;		/* rows, counted from low */
	ReturnSetInfo *result;
	MemoryContext memory;		/* outlives a batch */
} Import;

typedef struct Batch
{
	Import	   *import;
	SimilarityJoin *names;
	TextNumbers *organizations;
	TextNumbers *accounts;
	TokenSet   *tokens;
	Candidate  *candidates;
	int32		n_candidates;
	int32		allocated_candidates;
	NameGroup  *groups;
	int32		n_groups;
	int32		allocated_groups;
	int64		first_row;
	int64		last_row;
} Batch;

/* ----------
 * Rows into memory
 * ----------
 */

/*
 * Temporary tables of the caller, of this import alone: no plan is kept.  An
 * account that is still to be made is known by its name.  $3: deals that do not look.
 */
static const char *const rows_query =
"SELECT r._row::pg_catalog.int8, r.organization::pg_catalog.text, s.name::pg_catalog.text,"
" CASE WHEN r._creates_account AND r.account_id IS NULL"
"  THEN pg_catalog.format('new %L %L', pg_catalog.lower(s.account), r._account_organization)"
"  ELSE r.account_id::pg_catalog.text END,"
" t.status::pg_catalog.text OPERATOR(pg_catalog.=) 'open',"
" CASE WHEN p.duplicate_policy OPERATOR(pg_catalog.=) 'reject' AND r.id OPERATOR(pg_catalog.<>) ALL ($3) THEN 'reject' ELSE 'off' END,"
" p.duplicate_threshold::pg_catalog.float4, p.duplicate_scope::pg_catalog.text"
" FROM pg_temp._crm_deals_rows AS r"
" JOIN pg_temp._crm_deals_source AS s ON s._row OPERATOR(pg_catalog.=) r._row"
" LEFT JOIN pg_temp._crm_deals_steps AS f ON f._row OPERATOR(pg_catalog.=) r._row AND f.step OPERATOR(pg_catalog.=) 1"
" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) r.pipeline_id"
" JOIN crm_deals.stage AS t ON t.id OPERATOR(pg_catalog.=) coalesce(f.stage_id, r.stage_id)"
" WHERE r._row OPERATOR(pg_catalog.>=) $1 AND r._row OPERATOR(pg_catalog.<=) $2"
" AND r._writes_name AND r._problem IS NULL AND NOT r._again AND s.name IS NOT NULL"
" ORDER BY r._row";

static DealReader
read_rows(const Import *import, int64 high)
{
	Oid			types[] = {INT8OID, INT8OID, INT8ARRAYOID};
	Datum		values[] = {Int64GetDatum(import->low), Int64GetDatum(high), import->dismissing};
	MemoryContext caller = CurrentMemoryContext;
	Portal		portal = SPI_cursor_open_with_args(NULL, rows_query, lengthof(types), types, values, NULL, true, 0);

	MemoryContextSwitchTo(caller);
	if (portal == NULL)
		elog(ERROR, "could not open the rows of the import: %s", SPI_result_code_string(SPI_result));
	return deal_reader_open(portal, 0);
}

/* What besides its name parts a row from others; the bits of a threshold are never 0, accounts are fewer than rows */
static uint64
kind_of(const ComparedDeal *row, uint32 account)
{
	uint32		threshold;

	if (!row->looks)
		return 0;
	memcpy(&threshold, &row->threshold, sizeof(threshold));
	return (uint64) threshold << 32 | (uint64) row->scope << 30 | (row->scope == SCOPE_ACCOUNT ? account : 0);
}

static void
add_group(Batch *batch, const ComparedDeal *row, uint32 account)
{
	batch->groups = room_for_one(batch->groups, batch->n_groups, &batch->allocated_groups, sizeof(NameGroup));
	batch->groups[batch->n_groups++] = (NameGroup) {
		.refuses = row->looks,
		.threshold = row->threshold,
		.scope = row->scope,
		.account = account,
		.first_accepted = NO_CANDIDATE,
		.last_accepted = NO_CANDIDATE,
	};
}

static void
add_row(Batch *batch, const ComparedDeal *row)
{
	uint32		account;
	int			group;

	token_set_read(batch->tokens, row->name);
	if (batch->tokens->n == 0)
		return;
	account = text_number(batch->accounts, row->account);
	group = join_add(batch->names, text_number(batch->organizations, row->organization), kind_of(row, account),
					 batch->tokens->tokens, batch->tokens->n);
	if (group == batch->n_groups)
		add_group(batch, row, account);
	batch->candidates = room_for_one(batch->candidates, batch->n_candidates, &batch->allocated_candidates,
									 sizeof(Candidate));
	batch->candidates[batch->n_candidates++] = (Candidate) {row->id, group, account, row->is_open, NO_CANDIDATE};
}

static size_t
batch_bytes(const Batch *batch)
{
	return join_bytes(batch->names) + text_numbers_bytes(batch->organizations) + text_numbers_bytes(batch->accounts) +
		sizeof(Candidate) * (Size) batch->allocated_candidates + sizeof(NameGroup) * (Size) batch->allocated_groups;
}

static void
begin_batch(Batch *batch, Import *import)
{
	memset(batch, 0, sizeof(Batch));
	batch->import = import;
	batch->names = join_create(import->threshold);
	batch->organizations = text_numbers_create();
	batch->accounts = text_numbers_create();
	batch->tokens = token_set_create();
}

/* As many rows as there is room for; false after the last */
static bool
fill_batch(Batch *batch, DealReader *rows)
{
	Size		budget = maintenance_work_mem * (Size) 1024;
	bool		more;

	do
	{
		more = deal_reader_next(rows);
		if (!more)
			break;
		if (batch->first_row == 0)
			batch->first_row = rows->deal.id;
		batch->last_row = rows->deal.id;
		add_row(batch, &rows->deal);
	} while (batch_bytes(batch) < budget);
	join_build(batch->names);
	return more;
}

/* ----------
 * What is there already
 * ----------
 */

/* A deal that is there, or an accepted row of an earlier batch */
typedef struct There
{
	Batch	   *batch;
	Likeness	likeness;
	uint32		account;
	bool		is_open;
} There;

static bool
is_better(const Likeness *likeness, const Likeness *than)
{
	if (likeness->similarity != than->similarity)
		return likeness->similarity > than->similarity;
	if (likeness->row != than->row)
		return likeness->row < than->row;
	return likeness->deal_id < than->deal_id;
}

static void
found_group(void *arg, int number, int none, float similarity)
{
	There	   *there = arg;
	NameGroup  *group = &there->batch->groups[number];

	(void) none;
	there->likeness.similarity = similarity;
	if (group->refuses && similarity >= group->threshold &&
		is_in_scope(group->scope, group->account, there->account, there->is_open) &&
		is_better(&there->likeness, &group->there))
		group->there = there->likeness;
}

static void
compare_with_batch(There *there, const ComparedDeal *deal)
{
	Batch	   *batch = there->batch;
	uint32		organization = text_number_if_known(batch->organizations, deal->organization);

	if (organization == NO_NUMBER)
		return;
	token_set_read(batch->tokens, deal->name);
	if (batch->tokens->n > 0)
		join_probe(batch->names, organization, batch->tokens->tokens, batch->tokens->n, found_group, there);
}

static OwnerQuery deals_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE("'off'")
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id",
};

/* A deal that the import itself changes is left to the triggers where what it was may matter. */
static void
compare_deals(Batch *batch)
{
	DealReader	deals = deal_reader_open(owner_query_cursor(&deals_query, NULL, NULL), 0);

	while (deal_reader_next(&deals))
	{
		There		there = {.batch = batch, .likeness = {.deal_id = deals.deal.id}};
		bool		moved = is_among(&batch->import->moved, deals.deal.id);

		if (is_among(&batch->import->renamed, deals.deal.id))
			continue;
		there.account = moved ? NO_NUMBER : text_number_if_known(batch->accounts, deals.deal.account);
		there.is_open = deals.deal.is_open && !moved;
		compare_with_batch(&there, &deals.deal);
	}
	deal_reader_close(&deals);
}

/* ----------
 * Row by row
 * ----------
 */

static bool
was_refused(const Import *import, int64 row)
{
	return bms_is_member((int) (row - import->low), import->refused);
}

/* Nothing is told of a deal that the caller cannot see. */
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
	tuplestore_putvalues(import->result->setResult, import->result->setDesc, values, isnull);
	MemoryContextSwitchTo(caller);
}

static void
accept(Batch *batch, int32 number)
{
	NameGroup  *group = &batch->groups[batch->candidates[number].group];

	if (group->first_accepted == NO_CANDIDATE)
		group->first_accepted = number;
	else
		batch->candidates[group->last_accepted].next = number;
	group->last_accepted = number;
}

typedef struct Asking
{
	Batch	   *batch;
	const NameGroup *group;		/* of the row that asks */
	Likeness	best;
} Asking;

/* The first of a group that counts for who asks: the others of it are as similar. */
static void
found_accepted(void *arg, int number, int none, float similarity)
{
	Asking	   *asking = arg;
	Batch	   *batch = asking->batch;
	int32		accepted = batch->groups[number].first_accepted;

	(void) none;
	if (similarity < asking->group->threshold)
		return;
	while (accepted != NO_CANDIDATE &&
		   !is_in_scope(asking->group->scope, asking->group->account,
						batch->candidates[accepted].account, batch->candidates[accepted].is_open))
	{
		CHECK_FOR_INTERRUPTS();
		accepted = batch->candidates[accepted].next;
	}
	if (accepted != NO_CANDIDATE)
	{
		Likeness	likeness = {.row = batch->candidates[accepted].row, .similarity = similarity};

		if (is_better(&likeness, &asking->best))
			asking->best = likeness;
	}
}

/* Its name is what the batch's tokens were read from. */
static void
judge_row(Batch *batch, int32 number, const ComparedDeal *row)
{
	const NameGroup *group = &batch->groups[batch->candidates[number].group];
	Asking		asking = {.batch = batch, .group = group, .best = group->there};

	if (group->refuses && asking.best.similarity == 0)
		join_probe(batch->names, text_number_if_known(batch->organizations, row->organization),
				   batch->tokens->tokens, batch->tokens->n, found_accepted, &asking);
	if (group->refuses && asking.best.similarity > 0)
		refuse(batch->import, batch->candidates[number].row, &asking.best);
	else
		accept(batch, number);
}

static void
compare_earlier_row(Batch *batch, const ComparedDeal *row)
{
	There		there = {.batch = batch, .likeness = {.row = row->id}, .is_open = row->is_open};

	there.account = text_number_if_known(batch->accounts, row->account);
	if (!was_refused(batch->import, row->id))
		compare_with_batch(&there, row);
}

/* Those of earlier batches are compared, those of this one judged. */
static void
judge_rows(Batch *batch)
{
	DealReader	rows = read_rows(batch->import, batch->last_row);
	int32		number = 0;

	while (number < batch->n_candidates && deal_reader_next(&rows))
	{
		if (rows.deal.id < batch->first_row)
		{
			compare_earlier_row(batch, &rows.deal);
			continue;
		}
		token_set_read(batch->tokens, rows.deal.name);
		if (batch->tokens->n > 0)
			judge_row(batch, number++, &rows.deal);
	}
	deal_reader_close(&rows);
}

static void
judge_import(Import *import)
{
	DealReader	rows = read_rows(import, import->high);
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "crm_deals import duplicates", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	bool		more = true;

	while (more)
	{
		Batch		batch;

		begin_batch(&batch, import);
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
	deal_reader_close(&rows);
}

static OwnerQuery dismissing_query = {
	.sql = "SELECT ARRAY(SELECT w.deal_id FROM pg_catalog.unnest($1) AS w (deal_id)"
	" WHERE EXISTS (SELECT FROM crm_deals.deal_duplicate AS f"
	"  WHERE f.deal_id OPERATOR(pg_catalog.=) w.deal_id AND f.resolution OPERATOR(pg_catalog.=) 'dismissed')"
	" OR EXISTS (SELECT FROM crm_deals.deal_duplicate AS f"
	"  WHERE f.other_deal_id OPERATOR(pg_catalog.=) w.deal_id AND f.resolution OPERATOR(pg_catalog.=) 'dismissed'))",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

static Datum
deals_with_dismissed_pairs(Datum among)
{
	bool		isnull;

	owner_query_latest(&dismissing_query, &among, NULL);
	return result_column(1, &isnull);
}

static DealIds
sorted_ids(Datum array)
{
	ArrayType  *elements = DatumGetArrayTypeP(array);
	DealIds		ids = {0};

	for (int i = 0; i < int8_array_length(elements); i++)
		deal_ids_add(&ids, int8_array_elements(elements)[i], CurrentMemoryContext);
	return ids;
}

/* import_similar(low, high, threshold, renamed, moved): ids ascend */
Datum
crm_deals_import_similar(PG_FUNCTION_ARGS)
{
	Import		import = {0};

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	import.low = PG_GETARG_INT64(0);
	import.high = PG_GETARG_INT64(1);
	import.threshold = checked_threshold(PG_GETARG_FLOAT4(2));
	import.renamed = sorted_ids(PG_GETARG_DATUM(3));
	import.dismissing = deals_with_dismissed_pairs(PG_GETARG_DATUM(3));
	import.moved = sorted_ids(PG_GETARG_DATUM(4));
	import.result = (ReturnSetInfo *) fcinfo->resultinfo;
	import.memory = CurrentMemoryContext;
	judge_import(&import);
	SPI_finish();
	return (Datum) 0;
}
