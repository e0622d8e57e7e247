/*
 * target_rules.c
 *		The triggers of target: what is to be won.
 *
 * Writers of targets come one at a time, so that each sees those of the others
 * before it says that none overlaps.  They are few.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "base/catalog.h"
#include "base/currency.h"
#include "base/installed.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "config/pipeline_cache.h"
#include "duplicates/duplicate_rule.h"

static const char *const target_table[] = {"target", NULL};

PG_FUNCTION_INFO_V1(crm_deals_lock_targets);
PG_FUNCTION_INFO_V1(crm_deals_target_organization);
PG_FUNCTION_INFO_V1(crm_deals_target_rules);

/* The new row of a trigger */
typedef struct Target
{
	Relation	relation;
	HeapTuple	row;
} Target;

/* Returns a column of the row. */
static Datum
value_of(const Target *target, const char *column, bool *isnull)
{
	return heap_getattr(target->row, installed_column(target->relation, column), RelationGetDescr(target->relation),
						isnull);
}

/* Refuses the row. */
static void
refuse(const Target *target, const char *constraint, const char *message, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("%s", message),
			 errdetail("%s", detail),
			 errtableconstraint(target->relation, constraint)));
}

/* BEFORE INSERT OR UPDATE … FOR EACH STATEMENT: holds the other writers off until commit. */
Datum
crm_deals_lock_targets(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, BEFORE_STATEMENT, target_table);

	/* It conflicts with itself, but not with the lock that the statement has already. */
	LockRelationOid(RelationGetRelid(data->tg_relation), ShareUpdateExclusiveLock);
	return PointerGetDatum(NULL);
}

/* Returns the pipeline of the target, or NULL. */
static const Pipeline *
pipeline_of(const Target *target)
{
	bool		isnull;
	Datum		id = value_of(target, "pipeline_id", &isnull);

	if (isnull)
		return NULL;
	AcceptInvalidationMessages();
	refresh_pipelines();
	return find_pipeline(DatumGetInt64(id));
}

/* BEFORE INSERT OR UPDATE … FOR EACH ROW: a target of a pipeline is of its organization. */
Datum
crm_deals_target_organization(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, BEFORE_ROW, target_table);
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	Target		target = {data->tg_relation, is_update ? data->tg_newtuple : data->tg_trigtuple};
	const Pipeline *pipeline = pipeline_of(&target);
	int			column = installed_column(target.relation, "organization");
	bool		isnull;
	Datum		value;

	(void) value_of(&target, "organization", &isnull);
	if (pipeline == NULL || pipeline->organization == NULL || !isnull)
		return PointerGetDatum(target.row);
	value = CStringGetTextDatum(pipeline->organization);
	isnull = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(target.row, RelationGetDescr(target.relation), 1, &column, &value,
													 &isnull));
}

static void
check_currency(const Target *target)
{
	bool		isnull;
	char	   *code = TextDatumGetCString(value_of(target, "currency", &isnull));

	if (!is_currency_code(code))
		refuse(target, "target_currency", psprintf("\"%s\" is not a currency code", code),
			   "Currencies are ISO 4217 codes, three capital letters.");
}

static void
check_organization(const Target *target)
{
	const Pipeline *pipeline = pipeline_of(target);
	bool		isnull;
	Datum		value = value_of(target, "organization", &isnull);
	const char *organization = isnull ? NULL : TextDatumGetCString(value);

	if (pipeline != NULL && ((organization == NULL) != (pipeline->organization == NULL) ||
							 (organization != NULL && strcmp(organization, pipeline->organization) != 0)))
		refuse(target, "target_organization", "a target of a pipeline is of the pipeline's organization",
			   "Leave the organization out, or give that of the pipeline.");
}

static OwnerQuery overlap_query = {
	.sql = "SELECT EXISTS (SELECT FROM crm_deals.target AS n, crm_deals.target AS o"
	" WHERE n.id OPERATOR(pg_catalog.=) $1 AND o.id OPERATOR(pg_catalog.<>) n.id"
	/* what the index has */
	" AND coalesce(o.owner::pg_catalog.text, '') OPERATOR(pg_catalog.=) coalesce(n.owner::pg_catalog.text, '')"
	" AND coalesce(o.pipeline_id, 0) OPERATOR(pg_catalog.=) coalesce(n.pipeline_id, 0)"
	" AND o.currency OPERATOR(pg_catalog.=) n.currency AND o.ends_on OPERATOR(pg_catalog.>=) n.starts_on"
	" AND o.starts_on OPERATOR(pg_catalog.<=) n.ends_on"
	" AND (o.owner IS NULL) OPERATOR(pg_catalog.=) (n.owner IS NULL)"
	" AND (o.pipeline_id IS NULL) OPERATOR(pg_catalog.=) (n.pipeline_id IS NULL)"
	" AND " SAME_ORGANIZATION("o.organization", "n.organization") ")",
	.nargs = 1,
	.argtypes = {INT8OID},
	.returns = RETURNS(BOOLOID),
};

/* Also one that row security hides from the writer counts, and one that was committed after the transaction began. */
static void
check_overlap(const Target *target)
{
	bool		isnull;
	Datum		id = value_of(target, "id", &isnull);
	bool		overlaps;

	CommandCounterIncrement();
	SPI_connect();
	owner_query_read_latest(&overlap_query, &id, NULL);
	overlaps = result_bool(1);
	SPI_finish();
	if (overlaps)
		refuse(target, "target_overlap", "the target overlaps another one",
			   "Targets of one organization, pipeline, owner and currency have no day in common.");
}

/* AFTER INSERT OR UPDATE … FOR EACH ROW: judges the row as it is stored, after the user's own triggers. */
Datum
crm_deals_target_rules(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, AFTER_ROW, target_table);
	Target		target = {data->tg_relation,
	TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple};

	LockRelationOid(RelationGetRelid(target.relation), ShareUpdateExclusiveLock);
	check_currency(&target);
	check_organization(&target);
	check_overlap(&target);
	return PointerGetDatum(target.row);
}
