/*
 * caller_query.c
 *		Prepared queries that run as the caller.
 *
 * The caller's privileges and row security apply, and triggers fire, as for any statement of the caller's.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rls.h"

#include "base/caller_query.h"
#include "base/installation.h"
#include "base/installed.h"

/* Runs the query; its result stands in SPI_tuptable. */
void
caller_query(CallerQuery *query, Datum *values, const char *nulls)
{
	check_installation();
	kept_query_run(query, values, nulls, InvalidSnapshot, InvalidSnapshot, false);
}

/* Opens the query as a cursor in the caller's memory. */
Portal
caller_query_cursor(CallerQuery *query, Datum *values, const char *nulls, bool read_only)
{
	check_installation();
	return kept_query_open(query, values, nulls, read_only);
}

typedef struct QueryCall
{
	CallerQuery *query;
	Datum	   *values;
	const char *nulls;
} QueryCall;

/* Runs the query of a QueryCall: the work of write_context_run(). */
static void
run_call(void *arg)
{
	QueryCall  *call = arg;

	caller_query(call->query, call->values, call->nulls);
}

/* Runs the query; what it writes of deals means what the context says. */
void
caller_query_in_context(CallerQuery *query, Datum *values, const char *nulls, WriteContext *context)
{
	QueryCall	call = {query, values, nulls};

	write_context_run(context, run_call, &call);
}

/* Returns whether row security is on for the caller's queries of deals. */
bool
deals_are_hidden(void)
{
	return check_enable_rls(installed_table("deal"), InvalidOid, true) == RLS_ENABLED;
}

static CallerQuery visible_query = {
	.sql = "SELECT FROM crm_deals.deal AS d WHERE d.id OPERATOR(pg_catalog.=) $1",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* Returns whether the caller may read the deal. */
bool
caller_sees_deal(int64 deal_id)
{
	Datum		argument = Int64GetDatum(deal_id);
	bool		sees;

	if (pg_class_aclcheck(installed_table("deal"), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return false;
	caller_query(&visible_query, &argument, NULL);
	sees = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return sees;
}
