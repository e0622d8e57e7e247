/*
 * duplicate_flags.c
 *		Pairs of similar deals that a search has found, and what follows from them:
 *		flags in deal_duplicate, or a refusal.
 *
 * Everything here locks rows in one order, so that transactions wait for each other
 * but never in a circle: rows of deal before rows of deal_duplicate, as a DELETE of
 * deals does, and the rows of a table in the order of their ids.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/compat.h"
#include "base/deal_row.h"
#include "base/owner_query.h"
#include "base/settings.h"
#include "base/spi_result.h"
#include "duplicates/duplicate_flags.h"
#include "duplicates/duplicate_rule.h"

#define N_PAIR_COLUMNS 2

struct SimilarPairs
{
	TupleDesc	desc;
	Tuplestorestate *pairs;
};

/* ----------
 * Collecting pairs
 * ----------
 */

/* Returns the columns of the collection as queries see them. */
static TupleDesc
pair_descriptor(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(N_PAIR_COLUMNS);

	TupleDescInitEntry(desc, 1, "deal_id", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "other_deal_id", INT8OID, -1, 0);
	TupleDescFinalize(desc);
	return desc;
}

/* Makes an empty collection. */
SimilarPairs *
similar_pairs_begin(void)
{
	SimilarPairs *pairs = palloc0(sizeof(SimilarPairs));

	pairs->desc = pair_descriptor();
	pairs->pairs = tuplestore_begin_heap(true, false, work_mem);
	return pairs;
}

/* Frees the collection, or its file. */
void
similar_pairs_end(SimilarPairs *pairs)
{
	tuplestore_end(pairs->pairs);
}

/* Adds a pair; the similarity is computed again later. */
void
similar_pairs_add(void *arg, int64 deal_id, int64 other_deal_id, float4 similarity)
{
	SimilarPairs *pairs = arg;
	Datum		values[N_PAIR_COLUMNS] = {Int64GetDatum(deal_id), Int64GetDatum(other_deal_id)};
	bool		isnull[N_PAIR_COLUMNS] = {false, false};

	(void) similarity;
	tuplestore_putvalues(pairs->pairs, pairs->desc, values, isnull);
}

/* Counts repeated pairs, too. */
int64
similar_pairs_count(const SimilarPairs *pairs)
{
	return tuplestore_tuple_count(pairs->pairs);
}

typedef uint64 (*run_query) (OwnerQuery *query, Datum *values, const char *nulls);

/* Runs a query that reads the pairs as the table crm_deals_pairs. */
static void
query_pairs(SimilarPairs *pairs, OwnerQuery *query, Datum *values, run_query run)
{
	EphemeralNamedRelationData relation = {0};

	relation.md.name = "crm_deals_pairs";
	relation.md.tupdesc = pairs->desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = 1;	/* the same plan for one pair and for a million */
	relation.reldata = pairs->pairs;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the similar deals");
	(void) run(query, values, NULL);
	SPI_unregister_relation(relation.md.name);
}

/*
 * The pairs (m) of a deal d and another deal o that the pipeline p of d counts as
 * duplicates.  The names are compared as they are now, because one may have changed
 * since the search.
 */
#define DUPLICATES \
	"(SELECT DISTINCT m.deal_id, m.other_deal_id FROM crm_deals_pairs AS m) AS m" \
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) m.deal_id" \
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id" \
	" JOIN crm_deals.deal AS o ON o.id OPERATOR(pg_catalog.=) m.other_deal_id" \
	" CROSS JOIN LATERAL (SELECT crm_deals_internal.similarity(d.name, o.name) AS similarity) AS s" \
	" WHERE " RULE_IS_CHECKED " AND " RULE_REACHED " AND " RULE_COVERS \
	" AND NOT EXISTS (SELECT FROM crm_deals.deal_duplicate AS f" \
	"  WHERE least(f.deal_id, f.other_deal_id) OPERATOR(pg_catalog.=) least(m.deal_id, m.other_deal_id)" \
	"  AND greatest(f.deal_id, f.other_deal_id) OPERATOR(pg_catalog.=) greatest(m.deal_id, m.other_deal_id)" \
	"  AND f.resolution OPERATOR(pg_catalog.=) 'dismissed')"

/* ----------
 * Refusing
 * ----------
 */

static OwnerQuery refused_query = {
	.sql = "SELECT d.name::pg_catalog.text, o.id::pg_catalog.int8, o.name::pg_catalog.text,"
	" s.similarity::pg_catalog.text,"
	" p.name::pg_catalog.text, p.duplicate_threshold::pg_catalog.text"
	" FROM " DUPLICATES
	" AND p.duplicate_policy OPERATOR(pg_catalog.=) 'reject'"
	" ORDER BY m.deal_id, s.similarity DESC, m.other_deal_id LIMIT 1",
	.returns = RETURNS(TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID),
};

/* Raises the error for the first row of refused_query.  Names the other deal only if the caller may see it. */
static void
raise_duplicate(void)
{
	char	   *name = result_text(1);
	int64		other_id = result_int64(2);
	char	   *other_name = result_text(3);
	char	   *similarity = result_text(4);
	char	   *pipeline = result_text(5);
	char	   *threshold = result_text(6);

	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("deal \"%s\" looks like a duplicate", name),
			 caller_sees_deal(other_id) ?
			 errdetail("Deal %lld is named \"%s\": the similarity is %s, and pipeline \"%s\" refuses from %s on.",
					   (long long) other_id, other_name, similarity, pipeline, threshold) :
			 errdetail("Pipeline \"%s\" refuses names whose similarity with another deal's is %s or more.",
					   pipeline, threshold),
			 errhint("Give it another name, or dismiss_duplicate() the pair, "
					 "or have the pipeline flag duplicates instead."),
			 err_deal(DEAL_NAME, "deal_duplicate")));
}

/* Looks for a pair whose pipeline refuses duplicates. */
void
refuse_duplicates(SimilarPairs *pairs)
{
	query_pairs(pairs, &refused_query, NULL, owner_query_run_latest);
	if (SPI_processed > 0)
		raise_duplicate();
}

/* ----------
 * Flagging
 * ----------
 */

static OwnerQuery unseen_query = {
	.sql = "SELECT FROM crm_deals_pairs AS m"
	" WHERE NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) m.other_deal_id) LIMIT 1",
};

static OwnerQuery flag_query = {
	.sql = "WITH ranked AS ("
	" SELECT m.deal_id, m.other_deal_id, s.similarity,"
	"  pg_catalog.row_number() OVER (PARTITION BY m.deal_id ORDER BY s.similarity DESC, m.other_deal_id) AS place"
	" FROM " DUPLICATES
	"), locked AS MATERIALIZED ("
	/* waits for a transaction that deletes one of the deals; a deleted deal is left out */
	" SELECT l.id FROM crm_deals.deal AS l"
	" WHERE l.id OPERATOR(pg_catalog.=) ANY (ARRAY("
	"  SELECT i.id FROM ranked AS r, LATERAL (VALUES (r.deal_id), (r.other_deal_id)) AS i (id)"
	"  WHERE r.place OPERATOR(pg_catalog.<=) $1))"
	" ORDER BY l.id FOR KEY SHARE"
	"), flagged AS ("
	" INSERT INTO crm_deals.deal_duplicate AS f (deal_id, other_deal_id, similarity)"
	" SELECT r.deal_id, r.other_deal_id, r.similarity FROM ranked AS r"
	" JOIN locked AS a ON a.id OPERATOR(pg_catalog.=) r.deal_id"
	" JOIN locked AS b ON b.id OPERATOR(pg_catalog.=) r.other_deal_id"
	" WHERE r.place OPERATOR(pg_catalog.<=) $1"
	" ORDER BY r.deal_id, r.other_deal_id"
	" ON CONFLICT (least(deal_id, other_deal_id), greatest(deal_id, other_deal_id)) DO UPDATE"
	"  SET similarity = excluded.similarity"
	"  WHERE f.resolution OPERATOR(pg_catalog.=) 'open' AND f.similarity OPERATOR(pg_catalog.<>) excluded.similarity"
	" RETURNING f.deal_id, f.other_deal_id, f.xmax OPERATOR(pg_catalog.=) 0 AS is_new"
	")"
	" SELECT (SELECT pg_catalog.count(*) FROM ranked AS r WHERE r.place OPERATOR(pg_catalog.>) $1),"
	" (SELECT pg_catalog.count(*) FROM flagged AS f WHERE f.is_new),"
	" ARRAY(SELECT f.deal_id FROM flagged AS f WHERE f.is_new AND $2),"
	" ARRAY(SELECT f.other_deal_id FROM flagged AS f WHERE f.is_new AND $2)",
	.nargs = 2,
	.argtypes = {INT8OID, BOOLOID},
	.returns = RETURNS(INT8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID),
	.one_plan = true,
};

static CallerQuery seen_flags_query = {
	.sql = "SELECT pg_catalog.count(*) FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
	"  AS f (deal_id, other_deal_id)"
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) f.deal_id"
	" JOIN crm_deals.deal AS o ON o.id OPERATOR(pg_catalog.=) f.other_deal_id",
	.nargs = 2,
	.argtypes = {INT8ARRAYOID, INT8ARRAYOID},
	.returns = RETURNS(INT8OID),
};

/*
 * Fails to serialize if the transaction cannot see one of the deals.  The foreign
 * key of a flag reads with the transaction's own snapshot, and would not find it.
 */
static void
check_can_be_seen(SimilarPairs *pairs)
{
	if (!IsolationUsesXactSnapshot())
		return;
	query_pairs(pairs, &unseen_query, NULL, owner_query_run);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to a deal of a similar name"),
				 errdetail("It was written by a transaction that this one cannot see."),
				 errhint("The transaction might succeed if retried.")));
}

/* Writes the flags of all pairs that count; adds to cut how many were above the limit. */
static void
write_flags(SimilarPairs *pairs, bool wants_pairs, int64 *cut)
{
	Datum		values[2] = {Int64GetDatum(setting_duplicate_limit), BoolGetDatum(wants_pairs)};

	check_can_be_seen(pairs);
	query_pairs(pairs, &flag_query, values, owner_query_run_latest);
	*cut += result_int64(1);
}

/* Writes the flags of all pairs that count. */
void
flag_pairs(SimilarPairs *pairs, int64 *cut)
{
	write_flags(pairs, false, cut);
}

/* Does the same, and returns how many new flags the caller may see: those between deals that he sees. */
int64
flag_and_count_pairs(SimilarPairs *pairs, int64 *cut)
{
	bool		hidden = deals_are_hidden();
	Datum		flags[2];
	bool		isnull;

	write_flags(pairs, hidden, cut);
	if (!hidden)
		return result_int64(2);
	flags[0] = result_column(3, &isnull);
	flags[1] = result_column(4, &isnull);
	caller_query(&seen_flags_query, flags, NULL);
	return result_int64(1);
}

static OwnerQuery by_account_query = {
	.sql = "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE r.differs) FROM ("
	"SELECT (o.account_id OPERATOR(pg_catalog.=) d.account_id) IS FALSE AS differs,"
	"  pg_catalog.row_number() OVER (PARTITION BY m.deal_id ORDER BY s.similarity DESC, m.other_deal_id) AS place"
	" FROM " DUPLICATES
	" AND p.duplicate_scope OPERATOR(pg_catalog.<>) 'account') AS r WHERE r.place OPERATOR(pg_catalog.<=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(INT8OID, INT8OID),
	.one_plan = true,
};

/* Counts the pairs that pipelines of another scope than "account" flag. */
void
count_by_account(SimilarPairs *pairs, int64 *all, int64 *different)
{
	Datum		limit = Int64GetDatum(setting_duplicate_limit);

	query_pairs(pairs, &by_account_query, &limit, owner_query_run_latest);
	*all = result_int64(1);
	*different = result_int64(2);
}

/* A user whom row security hides deals from gets no number of similar deals. */
void
notice_cut_flags(int64 cut)
{
	if (cut == 0 || deals_are_hidden())
		return;
	ereport(NOTICE,
			(errmsg_plural("%lld more similar deal is not flagged",
						   "%lld more similar deals are not flagged", (unsigned long) cut, (long long) cut),
			 errdetail("A deal is flagged against its %d most similar ones (crm_deals.duplicate_limit).",
					   setting_duplicate_limit),
			 errhint("scan_duplicates() shows all.")));
}

/* ----------
 * Scoring flags again
 * ----------
 */

/* The open flags of the deals $1; `written` is the deal of $1, and a flag comes twice if both are */
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

/*
 * Locks the flags in one order, because other transactions score flags, too.  The
 * names are read only afterwards: whoever held a lock may have changed them.
 */
static OwnerQuery lock_flags_query = {
	.sql = "SELECT FROM crm_deals.deal_duplicate AS f"
	" WHERE (f.deal_id, f.other_deal_id) OPERATOR(pg_catalog.=) ANY"
	"  (SELECT t.deal_id, t.other_deal_id FROM " OPEN_FLAGS " AS t)"
	" ORDER BY f.deal_id, f.other_deal_id FOR UPDATE OF f",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

/* The pipeline of the deal in $1 decides; if both deals are in it, that of the higher id. */
static OwnerQuery score_again_query = {
	.sql = "WITH scored AS ("
	" SELECT DISTINCT ON (t.deal_id, t.other_deal_id) t.deal_id, t.other_deal_id, p.duplicate_threshold AS threshold,"
	"  CASE WHEN " SAME_ORGANIZATION("a.organization", "b.organization")
	"   THEN crm_deals_internal.similarity(a.name, b.name) ELSE 0 END AS similarity"
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

/*
 * Locks the open flags of the deals, then scores them.  Both queries see all that is
 * committed; a transaction that keeps an older snapshot fails to serialize.
 */
void
score_flags(const DealIds *deals)
{
	Datum		argument;

	if (deals->n == 0)
		return;
	SPI_connect();
	argument = deal_ids_array(deals);
	if (owner_query_run_latest(&lock_flags_query, &argument, NULL) > 0)
		(void) owner_query_run_latest(&score_again_query, &argument, NULL);
	SPI_finish();
}
