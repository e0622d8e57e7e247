/*
 * stages.c
 *		Says which stage a text means, and whether anything refers to a stage.
 *
 * The latest snapshot answers, so that a transaction under REPEATABLE READ
 * sees what is, not what was when it began.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/owner_query.h"
#include "base/spi_result.h"
#include "config/pipeline_cache.h"
#include "config/stage_lookup.h"

PG_FUNCTION_INFO_V1(crm_deals_find_stage);
PG_FUNCTION_INFO_V1(crm_deals_stage_is_logged);
PG_FUNCTION_INFO_V1(crm_deals_stage_holds_deals);

/* find_stage(pipeline_id, text): NULL if the text means no stage of the pipeline */
Datum
crm_deals_find_stage(PG_FUNCTION_ARGS)
{
	const Pipeline *pipeline;
	const Stage *stage;

	AcceptInvalidationMessages();
	refresh_pipelines();
	pipeline = find_pipeline(PG_GETARG_INT64(0));
	stage = pipeline != NULL ? find_stage_by_text(pipeline, text_to_cstring(PG_GETARG_TEXT_PP(1))) : NULL;
	if (stage == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(stage->id);
}

static OwnerQuery log_query = {
	.sql = "SELECT EXISTS (SELECT FROM crm_deals.deal_event AS e"
	" WHERE e.from_stage_id OPERATOR(pg_catalog.=) $1 OR e.to_stage_id OPERATOR(pg_catalog.=) $1)",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(BOOLOID),
};

static OwnerQuery deals_query = {
	.sql = "SELECT EXISTS (SELECT FROM crm_deals.deal AS d WHERE d.stage_id OPERATOR(pg_catalog.=) $1)",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(BOOLOID),
};

/* Returns what the query says of the stage, as committed now. */
static bool
answer_for_stage(OwnerQuery *query, Datum stage)
{
	bool		answer;

	CommandCounterIncrement();
	SPI_connect();
	owner_query_read_latest(query, &stage, NULL);
	answer = result_bool(1);
	SPI_finish();
	return answer;
}

/* stage_is_logged(stage) */
Datum
crm_deals_stage_is_logged(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(answer_for_stage(&log_query, PG_GETARG_DATUM(0)));
}

/* stage_holds_deals(stage) */
Datum
crm_deals_stage_holds_deals(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(answer_for_stage(&deals_query, PG_GETARG_DATUM(0)));
}
