/*
 * install.c
 *		The part of install() that works as the owner of the tables.
 *
 * The owner can have put anything into the schema: views, triggers, functions
 * in indexes. If somebody else calls install(), none of it gets more rights
 * than the owner has. So this part runs as REFRESH MATERIALIZED VIEW does: it
 * cannot change the role back, it leaves nothing that runs later, and its
 * settings end with it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"

#include "base/acting_as_owner.h"
#include "base/arguments.h"
#include "base/compat.h"

PG_FUNCTION_INFO_V1(crm_deals_install_as);

#define OWNER 0					/* the argument that the work itself does not need */

/* Does the work with the rights of whoever is the current user. */
static void
install_tables(FunctionCallInfo fcinfo)
{
	static Oid	types[] = {OIDOID, REGCLASSOID, REGCLASSOID, REGCLASSOID, JSONBOID};
	static const char *const sql = "SELECT crm_deals_internal.install_tables($2, $3, $4, $5)";
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1];

	spi_arguments(fcinfo, lengthof(types), values, nulls);
	SPI_connect();
	if (SPI_execute_with_args(sql, lengthof(types), types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
}

/* Does the work as another role. An error takes back the role and the settings, too. */
static void
install_tables_as(Oid owner, FunctionCallInfo fcinfo)
{
	FormerRole	former = become_role(owner, SECURITY_RESTRICTED_OPERATION);

	install_tables(fcinfo);
	become_former(&former);
}

/* install_as(owner, account_table, contact_table, owner_table, columns) */
Datum
crm_deals_install_as(PG_FUNCTION_ARGS)
{
	Oid			owner = PG_ARGISNULL(OWNER) ? InvalidOid : PG_GETARG_OID(OWNER);
	char	   *name = GetUserNameFromId(owner, false);

	if (!role_may_become(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to act as role \"%s\"", name)));
	if (owner == GetUserId())
		install_tables(fcinfo);
	else
		install_tables_as(owner, fcinfo);
	PG_RETURN_VOID();
}
