/*
 * duplicate_search.c
 *		find_duplicates(), scan_duplicates(), flag_duplicates(), and what
 *		keeps the index of names and the flags.
 *
 * What is shown to a caller is read as the caller: row security hides from
 * these functions what it hides from a query.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "base/arrays.h"
#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/compat.h"
#include "base/owner_query.h"
#include "base/settings.h"
#include "base/spi_result.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "duplicates/deal_reader.h"
#include "duplicates/matches.h"
#include "duplicates/name_index.h"
#include "duplicates/signature_ops.h"

PG_FUNCTION_INFO_V1(crm_deals_similar_deals);
PG_FUNCTION_INFO_V1(crm_deals_scan_duplicates);
PG_FUNCTION_INFO_V1(crm_deals_flag_duplicates);
PG_FUNCTION_INFO_V1(crm_deals_rebuild_duplicates);
PG_FUNCTION_INFO_V1(crm_deals_dismiss_duplicate);

/* ----------
 * Deals of a similar name
 * ----------
 */

/* Ids and similarities go side by side into the caller's query. */
typedef struct Similar
{
	ArrayBuildState *ids;
	ArrayBuildState *similarities;
} Similar;

static void
add_similar(void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new)
{
	Similar    *similar = arg;
	MemoryContext memory = GetMemoryChunkContext(similar);

	(void) writer;
	(void) is_new;
	similar->ids = accumArrayResult(similar->ids, Int64GetDatum(deal_id), false, INT8OID, memory);
	similar->similarities = accumArrayResult(similar->similarities, Float4GetDatum(similarity), false, FLOAT4OID, memory);
}

static CallerQuery names_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE("p.duplicate_policy")
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id"
	" WHERE d.organization OPERATOR(pg_catalog.=) $1 OR (d.organization IS NULL AND $1 IS NULL)",
	.nargs = 1,
	.argtypes = {TEXTOID},
};

static void
compare_every_name(text *organization, text *name, float4 threshold, Similar *similar)
{
	Datum		argument = PointerGetDatum(organization);
	DealReader	reader = deal_reader_open(caller_query_cursor(&names_query, &argument, organization ? NULL : "n"),
										 0);
	TokenSet   *set = token_set_create();
	TokenSet   *tokens = token_set_create();

	token_set_read(set, name);
	while (set->n > 0 && deal_reader_next(&reader))
	{
		float4		similarity;

		token_set_read(tokens, reader.deal.name);
		similarity = token_set_similarity(set, tokens);
		if (similarity >= threshold)
			add_similar(similar, reader.deal.id, similarity, InvalidTransactionId, false);
	}
	deal_reader_close(&reader);
}

static void
find_similar(text *name, float4 threshold, const Pipeline *pipeline, Similar *similar)
{
	NameIndex  *index = name_index_open(GetActiveSnapshot());
	text	   *organization = pipeline->organization ? cstring_to_text(pipeline->organization) : NULL;

	if (pipeline->keeps_names && name_index_answers(index, threshold))
		name_index_probe(index, organization, name, threshold, add_similar, similar);
	else
		compare_every_name(organization, name, threshold, similar);
	name_index_close(index);
}

static CallerQuery similar_query = {
	.sql = "SELECT d.id::pg_catalog.int8, d.name::pg_catalog.text, s.similarity"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS s (deal_id, similarity)"
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) s.deal_id"
	" ORDER BY s.similarity DESC, d.id LIMIT $3",
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, FLOAT4ARRAYOID, INT4OID},
	.one_plan = true,
};

static void
put_rows(ReturnSetInfo *result)
{
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
}

/* similar_deals(name, threshold, max_results, pipeline): threshold NULL is the pipeline's */
Datum
crm_deals_similar_deals(PG_FUNCTION_ARGS)
{
	Similar    *similar = palloc0(sizeof(Similar));
	const Pipeline *pipeline;

	InitMaterializedSRF(fcinfo, 0);
	refresh_pipelines();
	pipeline = find_pipeline(PG_GETARG_INT64(3));
	if (pipeline == NULL || PG_ARGISNULL(0))
		return (Datum) 0;
	SPI_connect();
	find_similar(PG_GETARG_TEXT_PP(0), PG_ARGISNULL(1) ? pipeline->duplicate_threshold : checked_threshold(PG_GETARG_FLOAT4(1)),
				 pipeline, similar);
	if (similar->ids != NULL)
	{
		Datum		values[3] = {makeArrayResult(similar->ids, CurrentMemoryContext),
		makeArrayResult(similar->similarities, CurrentMemoryContext), PG_GETARG_DATUM(2)};

		caller_query(&similar_query, values, PG_ARGISNULL(2) ? "  n" : NULL);
		put_rows((ReturnSetInfo *) fcinfo->resultinfo);
	}
	SPI_finish();
	return (Datum) 0;
}

/* ----------
 * All deals with all
 * ----------
 */

/* $1: the pipeline whose deals look for their duplicates, NULL: every one; $2: up to this id */
#define ALL_DEALS(policy) \
	"SELECT " COLUMNS_TO_COMPARE(policy) \
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id" \
	" WHERE ($1 IS NULL OR EXISTS (SELECT FROM crm_deals.pipeline AS a WHERE a.id OPERATOR(pg_catalog.=) $1" \
	"  AND (a.organization OPERATOR(pg_catalog.=) d.organization OR (a.organization IS NULL AND d.organization IS NULL))))" \
	" AND ($2 IS NULL OR d.id OPERATOR(pg_catalog.<) $2)" \
	" ORDER BY d.id"

static CallerQuery visible_deals = {
	.sql = ALL_DEALS("'flag'"),
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static OwnerQuery all_deals = {
	.sql = ALL_DEALS("CASE WHEN $1 IS NULL OR p.id OPERATOR(pg_catalog.=) $1 THEN p.duplicate_policy ELSE 'off' END"),
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

typedef struct Comparing
{
	bool		as_owner;
	bool		of_one_pipeline;
	int64		pipeline_id;
	float4		threshold;		/* of every deal; 0: its pipeline's */
	float4		lowest;			/* threshold of any */
	int64		limit;			/* of each deal's duplicates */
	pair_found	found;
	void	   *arg;
} Comparing;

static DealReader
read_deals(const Comparing *comparing, bool all, int64 below)
{
	Datum		values[2] = {Int64GetDatum(comparing->pipeline_id), Int64GetDatum(below)};
	char		nulls[3] = {comparing->of_one_pipeline ? ' ' : 'n', all ? 'n' : ' ', '\0'};

	return deal_reader_open(comparing->as_owner ? owner_query_cursor(&all_deals, values, nulls)
							: caller_query_cursor(&visible_deals, values, nulls), comparing->threshold);
}

static void
compare_with_lower(const Comparing *comparing, DuplicateJoin *join, int64 first)
{
	DealReader	lower = read_deals(comparing, false, first);

	while (deal_reader_next(&lower))
		duplicate_join_compare(join, &lower.deal);
	deal_reader_close(&lower);
}

/* As many deals at a time as there is memory for, with each other and with those before; returns what was cut */
static int64
compare_all(const Comparing *comparing)
{
	DealReader	deals = read_deals(comparing, true, 0);
	int64		cut = 0;
	bool		more = true;
	bool		any_before = false;

	while (more)
	{
		DuplicateJoin *join = duplicate_join_create(comparing->lowest, comparing->limit, comparing->found, comparing->arg);
		int64		first;

		if (comparing->limit != EVERY_PAIR)
			add_dismissed_pairs(join);
		more = read_into_join(&deals, join, maintenance_work_mem * (Size) 1024, &first);
		if (any_before)
			compare_with_lower(comparing, join, first);
		any_before = true;
		cut += duplicate_join_finish(join);
	}
	deal_reader_close(&deals);
	return cut;
}

static OwnerQuery lowest_query = {
	.sql = "SELECT coalesce(pg_catalog.min(p.duplicate_threshold), 1)::pg_catalog.float4 FROM crm_deals.pipeline AS p",
};

static float4
lowest_threshold(void)
{
	bool		isnull;

	owner_query_latest(&lowest_query, NULL, NULL);
	return DatumGetFloat4(result_column(1, &isnull));
}

static void
put_pair(void *arg, int64 deal_id, int64 other_deal_id, float4 similarity)
{
	ReturnSetInfo *result = arg;
	Datum		values[3] = {Int64GetDatum(deal_id), Int64GetDatum(other_deal_id), Float4GetDatum(similarity)};
	bool		isnull[3] = {false, false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* scan_duplicates(threshold) */
Datum
crm_deals_scan_duplicates(PG_FUNCTION_ARGS)
{
	Comparing	comparing = {.limit = EVERY_PAIR, .found = put_pair, .arg = fcinfo->resultinfo};

	(void) installed_table("deal");
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (PG_ARGISNULL(0))
		comparing.lowest = lowest_threshold();
	else
		comparing.threshold = comparing.lowest = checked_threshold(PG_GETARG_FLOAT4(0));
	(void) compare_all(&comparing);
	SPI_finish();
	return (Datum) 0;
}

/* flag_duplicates(pipeline): how many flags are new */
Datum
crm_deals_flag_duplicates(PG_FUNCTION_ARGS)
{
	Comparing	comparing = {.as_owner = true, .limit = setting_duplicate_limit, .found = matches_add};
	int64		flags = 0;
	int64		cut;
	Matches    *matches;

	SPI_connect();
	matches = matches_begin();
	comparing.of_one_pipeline = !PG_ARGISNULL(0);
	comparing.pipeline_id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);
	comparing.lowest = lowest_threshold();
	comparing.arg = matches;
	cut = compare_all(&comparing);
	if (matches_count(matches) > 0)
		flags = matches_flag(matches, &cut);
	tell_cut(cut);
	matches_end(matches);
	SPI_finish();
	PG_RETURN_INT64(flags);
}

/* ----------
 * Keeping
 * ----------
 */

static OwnerQuery rebuild_query = {
	.sql = "SELECT crm_deals_internal.rebuild_duplicates()",
};

/* rebuild_duplicates(): an index takes its owner */
Datum
crm_deals_rebuild_duplicates(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	(void) installed_table("deal_name");
	SPI_connect();
	(void) owner_query_write(&rebuild_query, NULL, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

static CallerQuery both_query = {
	.sql = "SELECT d.id FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) $1 OR d.id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

/* A deal that is being deleted is waited for. */
static OwnerQuery lock_both_query = {
	.sql = "SELECT FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) $1 OR d.id OPERATOR(pg_catalog.=) $2"
	" ORDER BY d.id FOR KEY SHARE",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static OwnerQuery dismiss_query = {
	.sql = "INSERT INTO crm_deals.deal_duplicate AS f (deal_id, other_deal_id, similarity, resolution, resolved_by, resolved_at)"
	" SELECT greatest(a.id, b.id), least(a.id, b.id), crm_deals_internal.similarity(a.name, b.name), 'dismissed', $3, pg_catalog.now()"
	" FROM crm_deals.deal AS a, crm_deals.deal AS b"
	" WHERE a.id OPERATOR(pg_catalog.=) $1 AND b.id OPERATOR(pg_catalog.=) $2"
	" ON CONFLICT (least(deal_id, other_deal_id), greatest(deal_id, other_deal_id)) DO UPDATE"
	"  SET resolution = 'dismissed', resolved_by = excluded.resolved_by, resolved_at = excluded.resolved_at"
	"  WHERE f.resolution OPERATOR(pg_catalog.=) 'open'",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
};

static void
check_both_exist(Datum *pair)
{
	caller_query(&both_query, pair, NULL);
	if (SPI_processed == 2)
		return;
	for (int i = 0; i < 2; i++)
	{
		Datum		one[2] = {pair[i], pair[i]};

		caller_query(&both_query, one, NULL);
		if (SPI_processed == 0)
			ereport(ERROR,
					(errcode(ERRCODE_NO_DATA_FOUND),
					 errmsg("deal %lld does not exist", (long long) DatumGetInt64(pair[i]))));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a deal is no duplicate of itself")));
}

/* dismiss_duplicate(deal_id, other_deal_id, actor) */
Datum
crm_deals_dismiss_duplicate(PG_FUNCTION_ARGS)
{
	Datum		values[3];

	(void) installed_table("deal_duplicate");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("dismiss_duplicate needs two deals")));
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = PG_ARGISNULL(2) ? CStringGetTextDatum(current_actor()) : PG_GETARG_DATUM(2);
	SPI_connect();
	check_both_exist(values);
	if (owner_query_write(&lock_both_query, values, NULL) < 2)
		check_both_exist(values);
	(void) owner_query_write(&dismiss_query, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}
