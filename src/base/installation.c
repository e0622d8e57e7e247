/*
 * installation.c
 *		Whether library, functions and tables fit together.
 *
 * The library changes if its file is replaced; a session that has loaded it
 * keeps the old one. ALTER EXTENSION UPDATE changes the functions, install()
 * the tables. The functions' version counts: if one of the others is of
 * another release, writes are refused with the command that mends it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/acting_as_owner.h"
#include "base/compat.h"
#include "base/installation.h"
#include "base/installed.h"
#include "base/kept_query.h"
#include "base/relation_watch.h"
#include "base/retired.h"
#include "base/spi_result.h"

PG_FUNCTION_INFO_V1(crm_deals_check_installed);
PG_FUNCTION_INFO_V1(crm_deals_check_library_version);
PG_FUNCTION_INFO_V1(crm_deals_check_acts_as_owner);
PG_FUNCTION_INFO_V1(crm_deals_code_version);

static KeptQuery version_query = {
	.sql = "SELECT e.extversion::pg_catalog.text, i.version::pg_catalog.text"
	" FROM pg_catalog.pg_extension AS e, crm_deals.installation AS i"
	" WHERE e.extname OPERATOR(pg_catalog.=) 'crm_deals'",
	.returns = RETURNS(TEXTOID, TEXTOID),
};

static const char *const extension_query =
	"SELECT e.extversion::pg_catalog.text FROM pg_catalog.pg_extension AS e"
	" WHERE e.extname OPERATOR(pg_catalog.=) 'crm_deals'";

/* Returns the release of a version as one number: 0.2 of "0.2.1". It is 0 if the text is no version. */
static long
release_of(const char *version)
{
	char	   *end;
	long		major = strtol(version, &end, 10);

	return *end == '.' ? major * 1000 + strtol(end + 1, NULL, 10) : 0;
}

/* Raises that two versions do not fit, with the command to run. */
static void
raise_other_release(const char *what, const char *version, const char *functions, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the functions of crm_deals and %s are of different releases", what),
			 errdetail("The functions are of version \"%s\"; %s: version \"%s\".", functions, what, version),
			 errhint("%s", hint)));
}

/* Raises an error if the library and the functions are of different releases. */
static void
check_library(const char *functions)
{
	if (release_of(functions) < release_of(CRM_DEALS_VERSION))
		raise_other_release("the library", CRM_DEALS_VERSION, functions,
							"Run " UPDATE_COMMANDS ".");
	if (release_of(functions) > release_of(CRM_DEALS_VERSION))
		raise_other_release("the library of this session", CRM_DEALS_VERSION, functions,
							"Connect again. If that does not help, install the library of that version.");
}

/* Raises an error if the tables and the functions are of different releases. */
static void
check_tables(const char *functions, const char *tables)
{
	if (release_of(tables) < release_of(functions))
		raise_other_release("the tables", tables, functions,
							"Run SELECT crm_deals.install().");
	if (release_of(tables) > release_of(functions))
		raise_other_release("the tables", tables, functions,
							"Run ALTER EXTENSION crm_deals UPDATE.");
}

/* Returns a column of the only row, as a text that is never NULL. */
static const char *
version_in_row(int column)
{
	char	   *version = SPI_processed == 1
		? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column) : NULL;

	return version != NULL ? version : "";
}

/*
 * Reads both versions, as the owner. Only the view that it reads, and its schema,
 * have to be as installed: tables of another release differ from those of this one.
 */
static void
read_versions(void)
{
	const Difference *difference = difference_of_schema();
	Snapshot	snapshot;
	FormerRole	former;

	if (difference == NULL)
		difference = find_difference_of("installation");
	if (difference != NULL)
		raise_difference(difference);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	former = become_owner();
	kept_query_run(&version_query, NULL, NULL, snapshot, InvalidSnapshot, true);
	become_former(&former);
	UnregisterSnapshot(snapshot);
}

/* Raises an error unless library, functions and tables are of the same release. */
void
check_versions(void)
{
	SPI_connect();
	read_versions();
	check_library(version_in_row(1));
	check_tables(version_in_row(1), version_in_row(2));
	SPI_finish();
}

/* ----------
 * What install() made
 * ----------
 */

/*
 * Raises an error if the owner of the tables may not execute our functions, as
 * after a change of owner. One function stands for all that he is granted.
 */
static void
check_grants_of_owner(void)
{
	List	   *name = list_make2(makeString("crm_deals_internal"), makeString("override_gates"));
	Oid			function = LookupFuncName(name, 0, NULL, true);

	if (OidIsValid(function) && !role_may_execute(function, tables_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the owner of the tables of crm_deals may not execute its functions"),
				 errdetail("The tables belong to role \"%s\".", GetUserNameFromId(tables_owner(), false)),
				 errhint("A superuser runs SELECT crm_deals.install().")));
}

/* Raises the difference; but if library, functions and tables are of different releases, that is the reason. */
static void
refuse(const Difference *difference)
{
	if (difference == NULL)
		return;
	check_versions();
	raise_difference(difference);
}

/* Raises 55000 unless the relations are as install() made them. Looks only if anything changed. */
void
check_installation(void)
{
	static uint64 checked = 0;
	uint64		began = watched_changes;

	if (checked == began)
		return;
	check_internal_schema();
	refuse(find_difference());
	check_grants_of_owner();
	checked = began;
}

/* The same, and of a relation that may be the host's. */
void
check_installed_relation(const char *relation)
{
	check_installation();
	refuse(find_difference_of(relation));
}

/* check_installed(): raises an error if install() has not run, or if it has to run again. */
Datum
crm_deals_check_installed(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	(void) installed_table("installation");
	check_installation();
	PG_RETURN_VOID();
}

/* ----------
 * The functions
 * ----------
 */

/* Returns the version of the functions, in the caller's memory. */
static char *
version_of_functions(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *version;

	SPI_connect();
	SPI_execute(extension_query, true, 1);
	check_columns(extension_query, RETURNS(TEXTOID), SPI_tuptable->tupdesc);
	version = MemoryContextStrdup(caller, version_in_row(1));
	SPI_finish();
	return version;
}

/* check_library_version() */
Datum
crm_deals_check_library_version(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	check_library(version_of_functions());
	PG_RETURN_VOID();
}

/* Raises an error unless the current user has the rights of the tables' owner. */
void
check_acts_as_owner(void)
{
	if (!has_privs_of_role(GetUserId(), tables_owner()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("this function acts as the owner of the tables of crm_deals"),
				 errhint("Call the function of the schema crm_deals that has the same name.")));
}

/* check_acts_as_owner() */
Datum
crm_deals_check_acts_as_owner(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	check_acts_as_owner();
	PG_RETURN_VOID();
}

/* _code_version() of 0.1, whose install() notes it as the version of the tables that it makes */
Datum
crm_deals_code_version(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_TEXT_P(cstring_to_text(version_of_functions()));
}
