/*
 * installation.c
 *		The version of the tables that install() left.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "base/installation.h"
#include "base/owner_query.h"
#include "base/spi_result.h"

PG_FUNCTION_INFO_V1(crm_deals_code_version);

static OwnerQuery version_query = {
	.sql = "SELECT i.version FROM crm_deals.installation AS i",
};

/* Returns the version in the caller's memory; it is empty if the row is missing. */
static char *
version_of_tables(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *version;

	SPI_connect();
	owner_query_read_latest(&version_query, NULL, NULL);
	version = MemoryContextStrdup(caller, SPI_processed == 1
								  ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : "");
	SPI_finish();
	return version;
}

/* Raises an error if tables and library are of different major versions. */
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
