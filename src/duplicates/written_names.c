/*
 * written_names.c
 *		The names that a statement writes, and their rows in deal_name.
 *
 * deal_name is kept beside deals so that a move does not pay for the index of
 * names, and only for organizations in which a pipeline looks for duplicates.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/deal_row.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "config/pipeline_cache.h"
#include "config/stage_lock.h"
#include "duplicates/written_names.h"

PG_FUNCTION_INFO_V1(crm_deals_keep_names);

/* ----------
 * Noting
 * ----------
 */

WrittenNames
written_names_begin(void)
{
	return (WrittenNames) {.memory = CurrentMemoryContext, .threshold = 1};
}

static text *
text_of(const DealRow *row, DealColumn column)
{
	return deal_isnull(row, column) ? NULL : DatumGetTextPP(deal_get(row, column));
}

static text *
copy_text(text *value)
{
	return value != NULL ? DatumGetTextPCopy(PointerGetDatum(value)) : NULL;
}

OldName *
old_name_copy(const OldName *old)
{
	OldName    *copy = palloc(sizeof(OldName));

	copy->organization = copy_text(old->organization);
	copy->name = copy_text(old->name);
	return copy;
}

static void
note_renamed(WrittenNames *names, const DealRow *old)
{
	MemoryContext caller = MemoryContextSwitchTo(names->memory);

	deal_ids_add(&names->renamed, deal_int64(old, DEAL_ID), names->memory);
	if (names->renamed.n <= MAX_OLD_NAMES)
	{
		OldName		old_name = {text_of(old, DEAL_ORGANIZATION), text_of(old, DEAL_NAME)};

		names->old_names = lappend(names->old_names, old_name_copy(&old_name));
	}
	MemoryContextSwitchTo(caller);
}

static void
note_written(WrittenNames *names, const Pipeline *pipeline, const DealRow *new)
{
	deal_ids_add(&names->written, deal_int64(new, DEAL_ID), names->memory);
	if (pipeline->duplicate_policy == DUPLICATES_OFF)
		return;
	names->any_looks = true;
	names->any_rejects |= pipeline->duplicate_policy == DUPLICATES_REJECT;
	names->threshold = Min(names->threshold, pipeline->duplicate_threshold);
}

void
written_names_note(WrittenNames *names, const DealRow *old, const DealRow *new)
{
	const Pipeline *pipeline;

	if (old != NULL && new != NULL && deal_column_same(old, new, DEAL_NAME) && deal_column_same(old, new, DEAL_ORGANIZATION))
		return;
	if (old != NULL && new != NULL)
		note_renamed(names, old);
	pipeline = new != NULL ? find_pipeline(deal_int64(new, DEAL_PIPELINE_ID)) : NULL;
	if (pipeline != NULL && pipeline->keeps_names)
	{
		note_written(names, pipeline, new);
		return;
	}
	if (old == NULL)
		return;
	pipeline = find_pipeline(deal_int64(old, DEAL_PIPELINE_ID));
	if (pipeline == NULL || pipeline->keeps_names)
		deal_ids_add(&names->gone, deal_int64(old, DEAL_ID), names->memory);
}

bool
written_names_empty(const WrittenNames *names)
{
	return names->written.n == 0 && names->gone.n == 0 && names->renamed.n == 0;
}

/* ----------
 * Storing
 * ----------
 */

/* IS NOT DISTINCT FROM would find its operator by the search_path */
#define SAME_ORGANIZATION(a, b) \
	"(" a ".organization OPERATOR(pg_catalog.=) " b ".organization" \
	" OR (" a ".organization IS NULL AND " b ".organization IS NULL))"

/* By what deals are now: a trigger of the user's may have renamed one since. */
static OwnerQuery store_query = {
	.sql = "INSERT INTO crm_deals.deal_name (deal_id, organization, name)"
	" SELECT d.id, d.organization, d.name"
	" FROM pg_catalog.unnest($1) AS w (deal_id)"
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) w.deal_id"
	" ON CONFLICT (deal_id) DO UPDATE SET organization = excluded.organization, name = excluded.name",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

static OwnerQuery remove_query = {
	.sql = "DELETE FROM crm_deals.deal_name AS n WHERE n.deal_id OPERATOR(pg_catalog.=) ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

#define OPEN_FLAGS \
	"(SELECT f.deal_id, f.other_deal_id, w.deal_id AS written" \
	" FROM pg_catalog.unnest($1) AS w (deal_id)" \
	" JOIN crm_deals.deal_duplicate AS f ON f.deal_id OPERATOR(pg_catalog.=) w.deal_id" \
	" WHERE f.resolution OPERATOR(pg_catalog.=) 'open'" \
	" UNION ALL" \
	" SELECT f.deal_id, f.other_deal_id, w.deal_id" \
	" FROM pg_catalog.unnest($1) AS w (deal_id)" \
	" JOIN crm_deals.deal_duplicate AS f ON f.other_deal_id OPERATOR(pg_catalog.=) w.deal_id" \
	" WHERE f.resolution OPERATOR(pg_catalog.=) 'open')"

/* In one order, for others score flags, too; and before names are read that these may have changed */
static OwnerQuery lock_flags_query = {
	.sql = "SELECT FROM crm_deals.deal_duplicate AS f"
	" WHERE (f.deal_id, f.other_deal_id) OPERATOR(pg_catalog.=) ANY (SELECT t.deal_id, t.other_deal_id FROM " OPEN_FLAGS " AS t)"
	" ORDER BY f.deal_id, f.other_deal_id FOR UPDATE OF f",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

/* By the pipeline of the deal that was written (of both: the higher id) */
static OwnerQuery score_again_query = {
	.sql = "WITH scored AS ("
	" SELECT DISTINCT ON (t.deal_id, t.other_deal_id) t.deal_id, t.other_deal_id, p.duplicate_threshold AS threshold,"
	"  CASE WHEN " SAME_ORGANIZATION("a", "b") " THEN crm_deals_internal.similarity(a.name, b.name) ELSE 0 END AS similarity"
	" FROM " OPEN_FLAGS " AS t"
	" JOIN crm_deals.deal AS a ON a.id OPERATOR(pg_catalog.=) t.deal_id"
	" JOIN crm_deals.deal AS b ON b.id OPERATOR(pg_catalog.=) t.other_deal_id"
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=)"
	"  CASE WHEN t.written OPERATOR(pg_catalog.=) a.id THEN a.pipeline_id ELSE b.pipeline_id END"
	" ORDER BY t.deal_id, t.other_deal_id, t.written DESC"
	"), removed AS ("
	" DELETE FROM crm_deals.deal_duplicate AS f USING scored AS s"
	" WHERE f.deal_id OPERATOR(pg_catalog.=) s.deal_id AND f.other_deal_id OPERATOR(pg_catalog.=) s.other_deal_id"
	"  AND s.similarity OPERATOR(pg_catalog.<) s.threshold"
	")"
	" UPDATE crm_deals.deal_duplicate AS f SET similarity = s.similarity FROM scored AS s"
	" WHERE f.deal_id OPERATOR(pg_catalog.=) s.deal_id AND f.other_deal_id OPERATOR(pg_catalog.=) s.other_deal_id"
	"  AND s.similarity OPERATOR(pg_catalog.>=) s.threshold AND f.similarity OPERATOR(pg_catalog.<>) s.similarity",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

/* Sees what is committed now: a transaction that does not see it fails to serialize. */
static uint64
run_on_all(OwnerQuery *query, const DealIds *ids)
{
	Datum		argument = deal_ids_array(ids);
	uint64		n = owner_query_write_all(query, &argument, NULL);

	pfree(DatumGetPointer(argument));
	return n;
}

static void
run_on(OwnerQuery *query, const DealIds *ids)
{
	DealIdsPlace place = {0};
	Datum		argument;

	while (deal_ids_next_slice(ids, &place, &argument))
	{
		(void) owner_query_write_all(query, &argument, NULL);
		pfree(DatumGetPointer(argument));
	}
}

void
written_names_store(WrittenNames *names)
{
	deal_ids_sort(&names->written);
	SPI_connect();
	run_on(&remove_query, &names->gone);
	run_on(&store_query, &names->written);
	SPI_finish();
}

void
written_names_score(const DealIds *deals)
{
	if (deals->n == 0)
		return;
	SPI_connect();
	if (run_on_all(&lock_flags_query, deals) > 0)
		(void) run_on_all(&score_again_query, deals);
	SPI_finish();
}

static OwnerQuery forget_query = {
	.sql = "TRUNCATE crm_deals.deal_name",
};

void
written_names_forget_all(void)
{
	SPI_connect();
	(void) owner_query_write(&forget_query, NULL, NULL);
	SPI_finish();
}

/* ----------
 * A pipeline begins to look for duplicates, or the last one ends
 * ----------
 */

#define OF_ORGANIZATION(a) \
	"(" a ".organization OPERATOR(pg_catalog.=) $2 OR (" a ".organization IS NULL AND $2 IS NULL))"

static OwnerQuery others_query = {
	.sql = "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE p.duplicate_policy OPERATOR(pg_catalog.<>) 'off')"
	" FROM crm_deals.pipeline AS p WHERE p.id OPERATOR(pg_catalog.<>) $1 AND " OF_ORGANIZATION("p"),
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

static OwnerQuery fill_query = {
	.sql = "INSERT INTO crm_deals.deal_name (deal_id, organization, name)"
	" SELECT d.id, d.organization, d.name FROM crm_deals.deal AS d WHERE $1 IS NOT NULL AND " OF_ORGANIZATION("d")
	" ON CONFLICT (deal_id) DO UPDATE SET organization = excluded.organization, name = excluded.name",
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

/* Into an empty table, index last, takes a third of the time. */
static OwnerQuery any_query = {
	.sql = "SELECT FROM crm_deals.deal_name LIMIT 1",
};

static OwnerQuery fill_all_query = {
	.sql = "SELECT crm_deals_internal.rebuild_duplicates()",
};

static OwnerQuery empty_query = {
	.sql = "DELETE FROM crm_deals.deal_name AS n WHERE $1 IS NOT NULL AND " OF_ORGANIZATION("n"),
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

static Datum
pipeline_column(const TriggerData *data, HeapTuple tuple, const char *column, bool *isnull)
{
	return heap_getattr(tuple, get_attnum(RelationGetRelid(data->tg_relation), column),
						RelationGetDescr(data->tg_relation), isnull);
}

/*
 * AFTER ROW on pipeline, where it begins or ends to look for duplicates.  A new
 * pipeline that is the only one of its organization has no deals yet.
 */
Datum
crm_deals_keep_names(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"pipeline", NULL};
	TriggerData *data = trigger_data(fcinfo, AFTER_ROW, tables);
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
	bool		isnull;
	bool		policy_is_off = strcmp(TextDatumGetCString(pipeline_column(data, row, "duplicate_policy", &isnull)), "off") == 0;
	bool		looks = !TRIGGER_FIRED_BY_DELETE(data->tg_event) && !policy_is_off;
	Datum		values[2] = {pipeline_column(data, row, "id", &isnull), pipeline_column(data, row, "organization", &isnull)};
	const char *nulls = isnull ? " n" : "  ";

	SPI_connect();
	owner_query_latest(&others_query, values, nulls);
	if (result_int64(2) == 0 && (result_int64(1) > 0 || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
	{
		lock_out_writers();
		if (!looks)
			(void) owner_query_write_all(&empty_query, values, nulls);
		else if (owner_query_write_all(&any_query, NULL, NULL) == 0)
			(void) owner_query_write_all(&fill_all_query, NULL, NULL);
		else
			(void) owner_query_write_all(&fill_query, values, nulls);
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}
