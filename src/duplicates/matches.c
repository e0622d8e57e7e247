/*
 * matches.c
 *		Pairs of similar deals, and what follows from them: flags, or a refusal.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/rls.h"
#include "utils/tuplestore.h"

#include "base/caller_query.h"
#include "base/catalog.h"
#include "base/compat.h"
#include "base/deal_row.h"
#include "base/owner_query.h"
#include "base/settings.h"
#include "base/spi_result.h"
#include "duplicates/matches.h"

#define N_MATCH_COLUMNS 2

struct Matches
{
	TupleDesc	desc;
	Tuplestorestate *pairs;
};

/* ----------
 * Gathering
 * ----------
 */

static TupleDesc
match_descriptor(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(N_MATCH_COLUMNS);

	TupleDescInitEntry(desc, 1, "deal_id", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "other_deal_id", INT8OID, -1, 0);
	TupleDescFinalize(desc);
	return desc;
}

Matches *
matches_begin(void)
{
	Matches    *matches = palloc0(sizeof(Matches));

	matches->desc = match_descriptor();
	matches->pairs = tuplestore_begin_heap(true, false, work_mem);
	return matches;
}

void
matches_end(Matches *matches)
{
	tuplestore_end(matches->pairs);
}

void
matches_add(void *arg, int64 deal_id, int64 other_deal_id, float4 similarity)
{
	Matches    *matches = arg;
	Datum		values[N_MATCH_COLUMNS] = {Int64GetDatum(deal_id), Int64GetDatum(other_deal_id)};
	bool		isnull[N_MATCH_COLUMNS] = {false, false};

	(void) similarity;
	tuplestore_putvalues(matches->pairs, matches->desc, values, isnull);
}

int64
matches_count(const Matches *matches)
{
	return tuplestore_tuple_count(matches->pairs);
}

typedef uint64 (*run_query) (OwnerQuery *query, Datum *values, const char *nulls);

static void
query_matches(Matches *matches, OwnerQuery *query, Datum *values, run_query run)
{
	EphemeralNamedRelationData relation = {0};

	relation.md.name = "crm_deals_matches";
	relation.md.tupdesc = matches->desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = 1;	/* one plan for one pair and for a million */
	relation.reldata = matches->pairs;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the similar deals");
	(void) run(query, values, NULL);
	SPI_unregister_relation(relation.md.name);
}

/*
 * Pairs (m) of a deal d with another, o, that its pipeline p takes for
 * duplicates: by the names they have now, one may have been changed since.
 */
#define DUPLICATES \
	"(SELECT DISTINCT m.deal_id, m.other_deal_id FROM crm_deals_matches AS m) AS m" \
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) m.deal_id" \
	" JOIN crm_deals.pipeline AS p ON p.id OPERATOR(pg_catalog.=) d.pipeline_id" \
	" JOIN crm_deals.deal AS o ON o.id OPERATOR(pg_catalog.=) m.other_deal_id" \
	" CROSS JOIN LATERAL (SELECT crm_deals_internal.similarity(d.name, o.name) AS similarity) AS s" \
	" WHERE p.duplicate_policy OPERATOR(pg_catalog.<>) 'off' AND s.similarity OPERATOR(pg_catalog.>=) p.duplicate_threshold" \
	" AND (p.duplicate_scope OPERATOR(pg_catalog.<>) 'open' OR o.closed_at IS NULL)" \
	" AND (p.duplicate_scope OPERATOR(pg_catalog.<>) 'account' OR (o.account_id OPERATOR(pg_catalog.=) d.account_id) IS NOT FALSE)" \
	" AND NOT EXISTS (SELECT FROM crm_deals.deal_duplicate AS f" \
	"  WHERE least(f.deal_id, f.other_deal_id) OPERATOR(pg_catalog.=) least(m.deal_id, m.other_deal_id)" \
	"  AND greatest(f.deal_id, f.other_deal_id) OPERATOR(pg_catalog.=) greatest(m.deal_id, m.other_deal_id)" \
	"  AND f.resolution OPERATOR(pg_catalog.=) 'dismissed')"

/* ----------
 * Refusing
 * ----------
 */

static OwnerQuery refused_query = {
	.sql = "SELECT d.name::pg_catalog.text, o.id::pg_catalog.int8, o.name::pg_catalog.text, s.similarity, p.name::pg_catalog.text,"
	" p.duplicate_threshold::pg_catalog.float4"
	" FROM " DUPLICATES
	" AND p.duplicate_policy OPERATOR(pg_catalog.=) 'reject'"
	" ORDER BY m.deal_id, s.similarity DESC, m.other_deal_id LIMIT 1",
};

static char *
float4_text(Datum value)
{
	return DatumGetCString(DirectFunctionCall1(float4out, value));
}

static void
raise_duplicate(void)
{
	SPITupleTable *found = SPI_tuptable;
	bool		isnull;
	Datum		other = SPI_getbinval(found->vals[0], found->tupdesc, 2, &isnull);
	char	   *name = SPI_getvalue(found->vals[0], found->tupdesc, 1);
	char	   *other_name = SPI_getvalue(found->vals[0], found->tupdesc, 3);
	char	   *similarity = float4_text(SPI_getbinval(found->vals[0], found->tupdesc, 4, &isnull));
	char	   *pipeline = SPI_getvalue(found->vals[0], found->tupdesc, 5);
	char	   *threshold = float4_text(SPI_getbinval(found->vals[0], found->tupdesc, 6, &isnull));
	bool		visible = caller_sees_deal(DatumGetInt64(other));

	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("deal \"%s\" looks like a duplicate", name),
			 visible ? errdetail("Deal %lld is named \"%s\": the similarity is %s, and pipeline \"%s\" refuses from %s on.",
								 (long long) DatumGetInt64(other), other_name, similarity, pipeline, threshold) :
			 errdetail("Pipeline \"%s\" refuses names whose similarity with another deal's is %s or more.", pipeline, threshold),
			 errhint("Give it another name, or dismiss_duplicate() the pair, or have the pipeline flag duplicates instead."),
			 err_deal(DEAL_NAME, "deal_duplicate")));
}

void
matches_refuse(Matches *matches)
{
	query_matches(matches, &refused_query, NULL, owner_query_write_all);
	if (SPI_processed > 0)
		raise_duplicate();
}

/* ----------
 * Flagging
 * ----------
 */

static OwnerQuery unseen_query = {
	.sql = "SELECT FROM crm_deals_matches AS m"
	" WHERE NOT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) m.other_deal_id) LIMIT 1",
};

static OwnerQuery flag_query = {
	.sql = "WITH ranked AS ("
	" SELECT m.deal_id, m.other_deal_id, s.similarity,"
	"  pg_catalog.row_number() OVER (PARTITION BY m.deal_id ORDER BY s.similarity DESC, m.other_deal_id) AS place"
	" FROM " DUPLICATES
	"), locked AS MATERIALIZED ("
	/* a deal that is being deleted is waited for, and left out */
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
	" RETURNING f.xmax OPERATOR(pg_catalog.=) 0 AS is_new"
	")"
	" SELECT (SELECT pg_catalog.count(*) FROM flagged AS f WHERE f.is_new),"
	" (SELECT pg_catalog.count(*) FROM ranked AS r WHERE r.place OPERATOR(pg_catalog.>) $1)",
	.nargs = 1,
	.argtypes = {INT8OID},
	.one_plan = true,
};

/* A flag's foreign key finds the other deal by the transaction's own snapshot. */
static void
check_can_be_seen(Matches *matches)
{
	if (!IsolationUsesXactSnapshot())
		return;
	query_matches(matches, &unseen_query, NULL, owner_query_write);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to a deal of a similar name"),
				 errdetail("It was written by a transaction that this one cannot see."),
				 errhint("The transaction might succeed if retried.")));
}

int64
matches_flag(Matches *matches, int64 *cut)
{
	Datum		limit = Int64GetDatum(setting_duplicate_limit);

	check_can_be_seen(matches);
	query_matches(matches, &flag_query, &limit, owner_query_write_all);
	*cut += result_int64(2);
	return result_int64(1);
}

void
tell_cut(int64 cut)
{
	if (cut == 0 || check_enable_rls(installed_table("deal"), InvalidOid, true) == RLS_ENABLED)
		return;
	ereport(NOTICE,
			(errmsg_plural("%lld similar deal more is not flagged",
						   "%lld similar deals more are not flagged", (unsigned long) cut, (long long) cut),
			 errdetail("A deal is flagged against its %d most similar ones (crm_deals.duplicate_limit).", setting_duplicate_limit),
			 errhint("scan_duplicates() shows all.")));
}
