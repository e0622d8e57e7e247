/*
 * added_columns.c
 *		The columns that users added to deal, for the view deal_overview.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "base/arrays.h"
#include "base/installed.h"

PG_FUNCTION_INFO_V1(crm_deals_added_columns);

/* Takes a row of deal as jsonb, and returns it without the columns that install() made. */
Datum
crm_deals_added_columns(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall2(jsonb_delete_array, PG_GETARG_DATUM(0), text_array(installed_columns("deal")));
}
