/*
 * installation.c
 *		What install() left: tables of a version, and stages in the log.
 *
 * Asked with the latest snapshot, so that a transaction under REPEATABLE READ
 * is answered by what is, not by what was when it began.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "base/installation.h"
#include "base/owner_query.h"
#include "base/spi_result.h"

PG_FUNCTION_INFO_V1(crm_deals_code_version);
PG_FUNCTION_INFO_V1(crm_deals_stage_is_logged);
PG_FUNCTION_INFO_V1(crm_deals_stage_holds_deals);

static OwnerQuery version_query = {
	.sql = "SELECT i.version FROM crm_deals.installation AS i",
};

static OwnerQuery log_query = {
	.sql = "SELECT EXISTS (SELECT FROM crm_deals.deal_event AS e"
	" WHERE e.from_stage_id OPERATOR(pg_catalog.=) $1 OR e.to_stage_id OPERATOR(pg_catalog.=) $1)",
	.nargs = 1,
	.argtypes = {INT8OID},
};

static OwnerQuery deals_query = {
	.sql = "SELECT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.stage_id OPERATOR(pg_catalog.=) $1)",
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* In the caller's memory; empty where the row is missing */
static char *
version_of_tables(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *version;

	SPI_connect();
	owner_query_latest(&version_query, NULL, NULL);
	version = MemoryContextStrdup(caller, SPI_processed == 1
								  ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : "");
	SPI_finish();
	return version;
}

void
check_version_of_tables(void)
{
	char	   *version = version_of_tables();

	if (version[0] == '\0' || atoi(version) != atoi(CRM_DEALS_VERSION))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of crm_deals do not fit its library"),
				 errdetail("The tables are of version \"%s\", the library is of version \"%s\".",
						   version, CRM_DEALS_VERSION),
				 errhint("Run ALTER EXTENSION crm_deals UPDATE; SELECT crm_deals.install().")));
}

/* code_version() */
Datum
crm_deals_code_version(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_TEXT_P(cstring_to_text(CRM_DEALS_VERSION));
}

static bool
ask_of_stage(OwnerQuery *query, Datum stage)
{
	bool		answer;

	CommandCounterIncrement();
	SPI_connect();
	owner_query_latest(query, &stage, NULL);
	answer = result_bool(1);
	SPI_finish();
	return answer;
}

/* stage_is_logged(stage) */
Datum
crm_deals_stage_is_logged(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ask_of_stage(&log_query, PG_GETARG_DATUM(0)));
}

/* stage_holds_deals(stage) */
Datum
crm_deals_stage_holds_deals(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ask_of_stage(&deals_query, PG_GETARG_DATUM(0)));
}
