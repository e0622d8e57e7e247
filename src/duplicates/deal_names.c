/*
 * deal_names.c
 *		The table deal_name, and the names that a statement changes.
 *
 * deal_name holds the names of deals a second time, so that a move of a deal does
 * not write to the index of names.  It holds those of an organization only if one
 * of its pipelines has a duplicate policy other than 'off'.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/deal_row.h"
#include "base/owner_query.h"
#include "base/spi_result.h"
#include "config/pipeline_cache.h"
#include "config/stage_lock.h"
#include "duplicates/deal_names.h"
#include "duplicates/duplicate_rule.h"

PG_FUNCTION_INFO_V1(crm_deals_keep_names);

/* ----------
 * Noting changes of names
 * ----------
 */

/* Begins without any change. */
NameChanges
name_changes_begin(void)
{
	return (NameChanges) {.memory = CurrentMemoryContext, .threshold = 1};
}

/* Returns a text column of a deal, or NULL. */
static text *
text_of(const DealRow *row, DealColumn column)
{
	return deal_isnull(row, column) ? NULL : DatumGetTextPP(deal_get(row, column));
}

/* Returns a copy of a text, or NULL. */
static text *
copy_text(text *value)
{
	return value != NULL ? DatumGetTextPCopy(PointerGetDatum(value)) : NULL;
}

/* Copies both texts. */
OldName *
old_name_copy(const OldName *old)
{
	OldName    *copy = palloc(sizeof(OldName));

	copy->organization = copy_text(old->organization);
	copy->name = copy_text(old->name);
	return copy;
}

/* Notes that a deal had another name. */
static void
note_renamed(NameChanges *changes, const DealRow *old)
{
	MemoryContext caller = MemoryContextSwitchTo(changes->memory);

	deal_ids_add(&changes->renamed, deal_int64(old, DEAL_ID), changes->memory);
	if (changes->renamed.n <= MAX_OLD_NAMES)
	{
		OldName		old_name = {text_of(old, DEAL_ORGANIZATION), text_of(old, DEAL_NAME)};

		changes->old_names = lappend(changes->old_names, old_name_copy(&old_name));
	}
	MemoryContextSwitchTo(caller);
}

/* Notes a name that is to be stored, and whether duplicates are to be sought for it. */
static void
note_written(NameChanges *changes, const Pipeline *pipeline, const DealRow *new)
{
	deal_ids_add(&changes->written, deal_int64(new, DEAL_ID), changes->memory);
	if (pipeline->duplicate_policy == DUPLICATES_OFF)
		return;
	changes->any_checked = true;
	changes->any_rejects |= pipeline->duplicate_policy == DUPLICATES_REJECT;
	changes->threshold = Min(changes->threshold, pipeline->duplicate_threshold);
}

/* Notes nothing if neither the name nor the organization changed; so it is with most statements. */
void
name_changes_note(NameChanges *changes, const DealRow *old, const DealRow *new)
{
	const Pipeline *pipeline;

	if (old != NULL && new != NULL &&
		deal_column_same(old, new, DEAL_NAME) && deal_column_same(old, new, DEAL_ORGANIZATION))
		return;
	if (old != NULL && new != NULL)
		note_renamed(changes, old);
	pipeline = new != NULL ? find_pipeline(deal_int64(new, DEAL_PIPELINE_ID)) : NULL;
	if (pipeline != NULL && pipeline->keeps_names)
	{
		note_written(changes, pipeline, new);
		return;
	}
	if (old == NULL)
		return;
	pipeline = find_pipeline(deal_int64(old, DEAL_PIPELINE_ID));
	if (pipeline == NULL || pipeline->keeps_names)
		deal_ids_add(&changes->gone, deal_int64(old, DEAL_ID), changes->memory);
}

/* Is there nothing to store and nothing to score? */
bool
name_changes_empty(const NameChanges *changes)
{
	return changes->written.n == 0 && changes->gone.n == 0 && changes->renamed.n == 0;
}

/* ----------
 * Storing
 * ----------
 */

/* Stores the names that deals have now, because a trigger of the user may have changed one again. */
static OwnerQuery store_query = {
	.sql = "INSERT INTO crm_deals.deal_name (deal_id, organization, name)"
	" SELECT d.id, d.organization, d.name"
	" FROM pg_catalog.unnest($1) AS w (deal_id)"
	" JOIN crm_deals.deal AS d ON d.id OPERATOR(pg_catalog.=) w.deal_id"
	" ON CONFLICT (deal_id) DO UPDATE SET organization = excluded.organization, name = excluded.name",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

static OwnerQuery remove_query = {
	.sql = "DELETE FROM crm_deals.deal_name AS n WHERE n.deal_id OPERATOR(pg_catalog.=) ANY ($1)",
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
	.one_plan = true,
};

/* Runs a query on all ids, slice by slice. */
static void
run_on(OwnerQuery *query, const DealIds *ids)
{
	DealIdsPlace place = {0};
	Datum		argument;

	while (deal_ids_next_slice(ids, &place, &argument))
	{
		(void) owner_query_run_latest(query, &argument, NULL);
		pfree(DatumGetPointer(argument));
	}
}

/* Removes the names that are gone, then stores the written ones. */
void
deal_names_store(NameChanges *changes)
{
	deal_ids_sort(&changes->written);
	SPI_connect();
	run_on(&remove_query, &changes->gone);
	run_on(&store_query, &changes->written);
	SPI_finish();
}

static OwnerQuery truncate_query = {
	.sql = "TRUNCATE crm_deals.deal_name",
};

/* Empties the table. */
void
deal_names_truncate(void)
{
	SPI_connect();
	(void) owner_query_run(&truncate_query, NULL, NULL);
	SPI_finish();
}

/* ----------
 * A pipeline changes its duplicate policy
 * ----------
 */

static OwnerQuery others_query = {
	.sql = "SELECT pg_catalog.count(*),"
	" pg_catalog.count(*) FILTER (WHERE " RULE_IS_CHECKED ")"
	" FROM crm_deals.pipeline AS p"
	" WHERE p.id OPERATOR(pg_catalog.<>) $1 AND " SAME_ORGANIZATION("p.organization", "$2"),
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
	.returns = RETURNS(INT8OID, INT8OID),
};

static OwnerQuery fill_query = {
	.sql = "INSERT INTO crm_deals.deal_name (deal_id, organization, name)"
	" SELECT d.id, d.organization, d.name FROM crm_deals.deal AS d"
	" WHERE $1 IS NOT NULL AND " SAME_ORGANIZATION("d.organization", "$2")
	" ON CONFLICT (deal_id) DO UPDATE SET organization = excluded.organization, name = excluded.name",
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

static OwnerQuery any_query = {
	.sql = "SELECT FROM crm_deals.deal_name LIMIT 1",
};

/* If the table is empty, it takes a third of the time to fill it first and to make the index last. */
static OwnerQuery fill_all_query = {
	.sql = "SELECT crm_deals_internal.rebuild_duplicates()",
	.returns = RETURNS(VOIDOID),
};

static OwnerQuery empty_query = {
	.sql = "DELETE FROM crm_deals.deal_name AS n"
	" WHERE $1 IS NOT NULL AND " SAME_ORGANIZATION("n.organization", "$2"),
	.nargs = 2,
	.argtypes = {INT8OID, TEXTOID},
};

/* Returns a column of a row of the trigger's table. */
static Datum
pipeline_column(const TriggerData *data, HeapTuple tuple, const char *column, bool *isnull)
{
	return heap_getattr(tuple, installed_column(data->tg_relation, column),
						RelationGetDescr(data->tg_relation), isnull);
}

/* Stores or removes the names of all deals of the organization; no deal may be written meanwhile. */
static void
keep_names(bool wanted, Datum *values, const char *nulls)
{
	lock_out_writers();
	if (!wanted)
		(void) owner_query_run_latest(&empty_query, values, nulls);
	else if (owner_query_run_latest(&any_query, NULL, NULL) == 0)
		(void) owner_query_run_latest(&fill_all_query, NULL, NULL);
	else
		(void) owner_query_run_latest(&fill_query, values, nulls);
}

/*
 * AFTER ROW on pipeline, if its duplicate policy changes to 'off' or from it.  Does
 * nothing if another pipeline of the organization is not 'off', because the names
 * are there anyway.  Nor for a new pipeline that is the only one of its
 * organization, because it has no deals yet.
 */
Datum
crm_deals_keep_names(PG_FUNCTION_ARGS)
{
	static const char *const tables[] = {"pipeline", NULL};
	TriggerData *data = trigger_data(fcinfo, AFTER_ROW, tables);
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
	bool		isnull;
	Datum		policy = pipeline_column(data, row, "duplicate_policy", &isnull);
	bool		is_off = isnull || strcmp(TextDatumGetCString(policy), "off") == 0;
	Datum		values[2];
	const char *nulls;

	values[0] = pipeline_column(data, row, "id", &isnull);
	values[1] = pipeline_column(data, row, "organization", &isnull);
	nulls = isnull ? " n" : "  ";

	SPI_connect();
	owner_query_read_latest(&others_query, values, nulls);
	if (result_int64(2) == 0 && (result_int64(1) > 0 || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
		keep_names(!TRIGGER_FIRED_BY_DELETE(data->tg_event) && !is_off, values, nulls);
	SPI_finish();
	return PointerGetDatum(NULL);
}
