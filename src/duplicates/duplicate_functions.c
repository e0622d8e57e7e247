/*
 * duplicate_functions.c
 *		The SQL functions about duplicates: find, scan, flag, dismiss, rebuild.
 *
 * What find_duplicates() and scan_duplicates() show is read as the caller, so that row
 * security hides from them what it hides from a query.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/caller_query.h"
#include "base/installed.h"
#include "base/owner_query.h"
#include "base/relation_watch.h"
#include "base/result_set.h"
#include "base/settings.h"
#include "base/spi_result.h"
#include "base/write_context.h"
#include "config/pipeline_cache.h"
#include "duplicates/deal_cursor.h"
#include "duplicates/duplicate_flags.h"
#include "duplicates/duplicate_join.h"
#include "duplicates/duplicate_rule.h"
#include "duplicates/name_index.h"

PG_FUNCTION_INFO_V1(crm_deals_similar_deals);
PG_FUNCTION_INFO_V1(crm_deals_names_are_missing);
PG_FUNCTION_INFO_V1(crm_deals_scan_duplicates);
PG_FUNCTION_INFO_V1(crm_deals_flag_duplicates);
PG_FUNCTION_INFO_V1(crm_deals_rebuild_duplicates);
PG_FUNCTION_INFO_V1(crm_deals_dismiss_duplicate);

/* ----------
 * find_duplicates()
 * ----------
 */

/* Two arrays of equal length: the query that shows the deals gets them as arguments. */
typedef struct Similar
{
	ArrayBuildState *ids;
	ArrayBuildState *similarities;
} Similar;

/* Adds a deal to the arrays. */
static void
add_similar(void *arg, int64 deal_id, float4 similarity, TransactionId writer, bool is_new)
{
	Similar    *similar = arg;
	MemoryContext memory = GetMemoryChunkContext(similar);

	(void) writer;
	(void) is_new;
	similar->ids = accumArrayResult(similar->ids, Int64GetDatum(deal_id), false, INT8OID, memory);
	similar->similarities = accumArrayResult(similar->similarities, Float4GetDatum(similarity), false,
											 FLOAT4OID, memory);
}

static CallerQuery names_query = {
	.sql = "SELECT " COLUMNS_TO_COMPARE("true")
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id"
	" WHERE " SAME_ORGANIZATION("d.organization", "$1"),
	.nargs = 1,
	.argtypes = {TEXTOID},
	.returns = RETURNS(COMPARED_COLUMNS),
};

/* Compares the name with every deal of the organization; this is for a case in which the index cannot answer. */
static void
compare_every_name(text *organization, text *name, float4 threshold, Similar *similar)
{
	Datum		argument = PointerGetDatum(organization);
	DealCursor	deals = deal_cursor_open(caller_query_cursor(&names_query, &argument,
														 organization ? NULL : "n", true), 0);
	TokenSet   *set = token_set_create();
	TokenSet   *tokens = token_set_create();

	token_set_read(set, name);
	while (set->n > 0 && deal_cursor_next(&deals))
	{
		float4		similarity;

		token_set_read(tokens, deals.deal.name);
		similarity = token_set_similarity(set, tokens);
		if (similarity >= threshold)
			add_similar(similar, deals.deal.id, similarity, InvalidTransactionId, false);
	}
	deal_cursor_close(&deals);
}

/* names_are_missing() */
Datum
crm_deals_names_are_missing(PG_FUNCTION_ARGS)
{
	bool		missing;

	(void) fcinfo;
	SPI_connect();
	missing = names_are_missing();
	SPI_finish();
	PG_RETURN_BOOL(missing);
}

/* Finds the similar deals of the pipeline's organization, by the index if possible. */
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
	.returns = RETURNS(INT8OID, TEXTOID, FLOAT4OID),
	.one_plan = true,
};

/* similar_deals(name, threshold, max_results, pipeline): a NULL threshold means that of the pipeline */
Datum
crm_deals_similar_deals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = result_set_begin(fcinfo);
	Similar    *similar = palloc0(sizeof(Similar));
	const Pipeline *pipeline;

	refresh_pipelines();
	pipeline = PG_ARGISNULL(3) ? NULL : find_pipeline(PG_GETARG_INT64(3));
	if (pipeline == NULL || PG_ARGISNULL(0))
		return (Datum) 0;
	SPI_connect();
	find_similar(PG_GETARG_TEXT_PP(0),
				 PG_ARGISNULL(1) ? pipeline->duplicate_threshold : checked_threshold(PG_GETARG_FLOAT4(1)),
				 pipeline, similar);
	if (similar->ids != NULL)
	{
		Datum		values[3] = {makeArrayResult(similar->ids, CurrentMemoryContext),
		makeArrayResult(similar->similarities, CurrentMemoryContext), PG_GETARG_DATUM(2)};

		caller_query(&similar_query, values, PG_ARGISNULL(2) ? "  n" : NULL);
		result_set_add_spi_rows(result);
	}
	SPI_finish();
	return (Datum) 0;
}

/* ----------
 * scan_duplicates() and flag_duplicates(): every deal against every other
 * ----------
 */

/*
 * All deals, in the order of their ids.  If $1 is not NULL, only deals of the
 * organization of this pipeline; if $2 is not NULL, only lower ids.
 */
#define ALL_DEALS(is_checked, scope) \
	"SELECT " COLUMNS_TO_COMPARE_IN(is_checked, scope) \
	" FROM crm_deals.deal AS d JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id" \
	" WHERE ($1 IS NULL OR EXISTS (SELECT FROM crm_deals.pipeline AS a WHERE a.id OPERATOR(pg_catalog.=) $1" \
	"  AND " SAME_ORGANIZATION("a.organization", "d.organization") "))" \
	" AND ($2 IS NULL OR d.id OPERATOR(pg_catalog.<) $2)" \
	" ORDER BY d.id"

static CallerQuery visible_deals = {
	.sql = ALL_DEALS("true", "p.duplicate_scope"),
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(COMPARED_COLUMNS),
};

static OwnerQuery all_deals = {
	.sql = ALL_DEALS(RULE_IS_CHECKED " AND ($1 IS NULL OR p.id OPERATOR(pg_catalog.=) $1)", "p.duplicate_scope"),
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(COMPARED_COLUMNS),
};

/* The same as if every pipeline had the scope "account" */
static OwnerQuery all_deals_by_account = {
	.sql = ALL_DEALS(RULE_IS_CHECKED " AND ($1 IS NULL OR p.id OPERATOR(pg_catalog.=) $1)"
					 " AND p.duplicate_scope OPERATOR(pg_catalog.<>) 'account'", "'account'"),
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(COMPARED_COLUMNS),
};

typedef struct Comparison
{
	OwnerQuery *as_owner;		/* reads the deals; NULL: those that the caller sees */
	bool		of_one_pipeline;
	int64		pipeline_id;
	float4		threshold;		/* of every deal; 0: that of its pipeline */
	float4		lowest;			/* threshold of all deals */
	int64		limit;			/* of the duplicates of each deal */
	pair_found	found;
	void	   *arg;
} Comparison;

/* Reads all deals, or those whose ids are lower. */
static DealCursor
read_deals(const Comparison *comparison, bool all, int64 below)
{
	Datum		values[2] = {Int64GetDatum(comparison->pipeline_id), Int64GetDatum(below)};
	char		nulls[3] = {comparison->of_one_pipeline ? ' ' : 'n', all ? 'n' : ' ', '\0'};

	return deal_cursor_open(comparison->as_owner != NULL ? owner_query_cursor(comparison->as_owner, values, nulls)
							: caller_query_cursor(&visible_deals, values, nulls, true), comparison->threshold);
}

/* Compares the deals with lower ids with those in the join. */
static void
compare_with_lower(const Comparison *comparison, DuplicateJoin *join, int64 first)
{
	DealCursor	lower = read_deals(comparison, false, first);

	while (deal_cursor_next(&lower))
		duplicate_join_compare(join, &lower.deal);
	deal_cursor_close(&lower);
}

/*
 * Compares all deals, part by part, each as large as the memory allows: with each other
 * and with those of the earlier parts.  Returns how many pairs were above the limit.
 */
static int64
compare_all(const Comparison *comparison)
{
	DealCursor	deals = read_deals(comparison, true, 0);
	int64		cut = 0;
	bool		more = true;
	bool		is_first_part = true;

	while (more)
	{
		DuplicateJoin *join = duplicate_join_create(comparison->lowest, comparison->limit,
													comparison->found, comparison->arg);
		int64		first;

		if (comparison->limit != EVERY_PAIR)
			duplicate_join_read_dismissed(join);
		more = duplicate_join_fill(join, &deals, maintenance_work_mem * (Size) 1024, &first);
		if (!is_first_part)
			compare_with_lower(comparison, join, first);
		is_first_part = false;
		cut += duplicate_join_finish(join);
	}
	deal_cursor_close(&deals);
	return cut;
}

static OwnerQuery lowest_query = {
	.sql = "SELECT coalesce(pg_catalog.min(p.duplicate_threshold), 1)::pg_catalog.float4 FROM crm_deals.pipeline AS p",
	.returns = RETURNS(FLOAT4OID),
};

/* Returns the lowest threshold of all pipelines. */
static float4
lowest_threshold(void)
{
	bool		isnull;

	owner_query_read_latest(&lowest_query, NULL, NULL);
	return DatumGetFloat4(result_column(1, &isnull));
}

/* Adds a pair to the result. */
static void
add_pair(void *arg, int64 deal_id, int64 other_deal_id, float4 similarity)
{
	Datum		values[3] = {Int64GetDatum(deal_id), Int64GetDatum(other_deal_id), Float4GetDatum(similarity)};
	bool		isnull[3] = {false, false, false};

	result_set_add(arg, values, isnull);
}

/* scan_duplicates(threshold) */
Datum
crm_deals_scan_duplicates(PG_FUNCTION_ARGS)
{
	Comparison	comparison = {.limit = EVERY_PAIR, .found = add_pair};

	comparison.arg = result_set_begin(fcinfo);
	SPI_connect();
	if (PG_ARGISNULL(0))
		comparison.lowest = lowest_threshold();
	else
		comparison.threshold = comparison.lowest = checked_threshold(PG_GETARG_FLOAT4(0));
	(void) compare_all(&comparison);
	SPI_finish();
	return (Datum) 0;
}

/*
 * Says how many of the pairs are of different accounts, and how many the scope
 * "account" would give: on real data most pairs are of different accounts. Deals are
 * compared a second time only if that matters.
 */
static void
notice_different_accounts(Comparison comparison, SimilarPairs *pairs)
{
	SimilarPairs *of_accounts;
	int64		all;
	int64		different;
	int64		by_account;
	int64		none;

	if (deals_are_hidden())
		return;
	count_by_account(pairs, &all, &different);
	if (different == 0)
		return;
	of_accounts = similar_pairs_begin();
	comparison.as_owner = &all_deals_by_account;
	comparison.arg = of_accounts;
	(void) compare_all(&comparison);
	count_by_account(of_accounts, &by_account, &none);
	ereport(NOTICE,
			(errmsg_plural("%lld of %lld pair is of different accounts", "%lld of %lld pairs are of different accounts",
						   (unsigned long) all, (long long) different, (long long) all),
			 errdetail_plural("With duplicate_scope \"account\" it would be %lld pair.",
							  "With duplicate_scope \"account\" it would be %lld pairs.",
							  (unsigned long) by_account, (long long) by_account),
			 errhint("Set duplicate_scope of the pipeline to \"account\" "
					 "if deals of different accounts are no duplicates.")));
	similar_pairs_end(of_accounts);
}

/* flag_duplicates(pipeline): returns how many flags are new, of those that the caller may see */
Datum
crm_deals_flag_duplicates(PG_FUNCTION_ARGS)
{
	Comparison	comparison = {.as_owner = &all_deals, .limit = setting_duplicate_limit, .found = similar_pairs_add};
	int64		flags = 0;
	int64		cut;
	SimilarPairs *pairs;

	SPI_connect();
	pairs = similar_pairs_begin();
	comparison.of_one_pipeline = !PG_ARGISNULL(0);
	comparison.pipeline_id = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);
	comparison.lowest = lowest_threshold();
	comparison.arg = pairs;
	cut = compare_all(&comparison);
	if (similar_pairs_count(pairs) > 0)
		flags = flag_and_count_pairs(pairs, &cut);
	notice_cut_flags(cut);
	if (similar_pairs_count(pairs) > 0)
		notice_different_accounts(comparison, pairs);
	similar_pairs_end(pairs);
	SPI_finish();
	PG_RETURN_INT64(flags);
}

/* ----------
 * rebuild_duplicates() and dismiss_duplicate()
 * ----------
 */

static OwnerQuery rebuild_query = {
	.sql = "SELECT crm_deals_internal.rebuild_duplicates()",
	.returns = RETURNS(VOIDOID),
};

/* rebuild_duplicates(): runs as the owner of the tables, because only he can make an index */
Datum
crm_deals_rebuild_duplicates(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	SPI_connect();
	(void) owner_query_run(&rebuild_query, NULL, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

static CallerQuery both_query = {
	.sql = "SELECT d.id FROM crm_deals.deal AS d"
	" WHERE d.id OPERATOR(pg_catalog.=) $1 OR d.id OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
	.returns = RETURNS(INT8OID),
};

/* Waits for a transaction that deletes one of the deals. */
static OwnerQuery lock_both_query = {
	.sql = "SELECT FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) $1 OR d.id OPERATOR(pg_catalog.=) $2"
	" ORDER BY d.id FOR KEY SHARE",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID},
};

static OwnerQuery dismiss_query = {
	.sql = "INSERT INTO crm_deals.deal_duplicate AS f"
	" (deal_id, other_deal_id, similarity, resolution, resolved_by, resolved_at)"
	" SELECT greatest(a.id, b.id), least(a.id, b.id), crm_deals_internal.similarity(a.name, b.name),"
	"  'dismissed', $3, pg_catalog.now()"
	" FROM crm_deals.deal AS a, crm_deals.deal AS b"
	" WHERE a.id OPERATOR(pg_catalog.=) $1 AND b.id OPERATOR(pg_catalog.=) $2"
	" ON CONFLICT (least(deal_id, other_deal_id), greatest(deal_id, other_deal_id)) DO UPDATE"
	"  SET resolution = 'dismissed', resolved_by = excluded.resolved_by, resolved_at = excluded.resolved_at"
	"  WHERE f.resolution OPERATOR(pg_catalog.=) 'open'",
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TEXTOID},
};

/* Raises an error unless the caller sees two different deals. */
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
			 errmsg("a deal cannot be a duplicate of itself")));
}

/* dismiss_duplicate(deal_id, other_deal_id, actor) */
Datum
crm_deals_dismiss_duplicate(PG_FUNCTION_ARGS)
{
	Datum		values[3];

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("dismiss_duplicate needs two deals")));
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = PG_ARGISNULL(2) ? CStringGetTextDatum(current_actor()) : PG_GETARG_DATUM(2);
	SPI_connect();
	check_both_exist(values);
	if (owner_query_run(&lock_both_query, values, NULL) < 2)
		check_both_exist(values);
	(void) owner_query_run(&dismiss_query, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}
