/*
 * retired.c
 *		C functions of older releases.
 *
 * A session can load this library while the functions are still the older
 * release's: these tell what to do.
 *
 * A C function whose arguments or result change gets a new name, and its old
 * name comes here. Otherwise old functions would pass it what it misreads.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"

#include "base/retired.h"

/* Raises that the extension is older than the library. */
static void
raise_retired(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("this function of crm_deals is older than the library"),
			 errdetail("The library is of version \"%s\".", CRM_DEALS_VERSION),
			 errhint("Run " UPDATE_COMMANDS ".")));
}

/* Raises 55000, with the commands to run, if the functions are of 0.1: then no query of this library works. */
void
check_internal_schema(void)
{
	if (!OidIsValid(get_namespace_oid("crm_deals_internal", true)))
		raise_retired();
}

#define RETIRED(name) \
	PG_FUNCTION_INFO_V1(name); \
	Datum name(PG_FUNCTION_ARGS) { raise_retired(); PG_RETURN_NULL(); }

/* of 0.1 */
RETIRED(crm_deals_broken_rules)
RETIRED(crm_deals_import_deals)
RETIRED(crm_deals_is_currency)
RETIRED(crm_deals_move)
RETIRED(crm_deals_move_deal)
RETIRED(crm_deals_move_deal_to_id)
RETIRED(crm_deals_wrong_custom_fields)
