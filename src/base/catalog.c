/*
 * catalog.c
 *		The tables of triggers, and the columns of deal by name.
 *
 * A user may add columns to deal, drop and recreate it at any time. So a change
 * of the table ends what was found of it, and the code looks it up again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_sequence.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/compat.h"
#include "base/installation.h"
#include "base/relation_watch.h"

static const char *const columns[N_DEAL_COLUMNS] = {
	[DEAL_ID] = "id",
	[DEAL_ORGANIZATION] = "organization",
	[DEAL_NAME] = "name",
	[DEAL_PIPELINE_ID] = "pipeline_id",
	[DEAL_STAGE_ID] = "stage_id",
	[DEAL_STATUS] = "status",
	[DEAL_AMOUNT] = "amount",
	[DEAL_CURRENCY] = "currency",
	[DEAL_PROBABILITY] = "probability",
	[DEAL_PROBABILITY_OVERRIDDEN] = "probability_overridden",
	[DEAL_EXPECTED_CLOSE_DATE] = "expected_close_date",
	[DEAL_CLOSED_AT] = "closed_at",
	[DEAL_LOST_REASON] = "lost_reason",
	[DEAL_OWNER] = "owner",
	[DEAL_CUSTOM_FIELDS] = "custom_fields",
	[DEAL_VERSION] = "version",
	[DEAL_LAST_OPEN_STAGE_ID] = "last_open_stage_id",
	[DEAL_STAGE_ENTERED_AT] = "stage_entered_at",
	[DEAL_CREATED_AT] = "created_at",
	[DEAL_UPDATED_AT] = "updated_at",
};

static const char *const status_names[N_STATUSES] = {
	[STATUS_OPEN] = "open",
	[STATUS_WON] = "won",
	[STATUS_LOST] = "lost",
	[STATUS_ABANDONED] = "abandoned",
};

static DealTable deal;
static Finding deal_finding;
static Finding event_sequence;

/*
 * Refuses a sequence whose ids do not rise. Consumers rely on the order, and a
 * sequence that caches numbers gives old ones out late.
 */
static void
check_gives_ids_in_order(Oid sequence)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
	Form_pg_sequence form;
	bool		in_order;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", sequence);
	form = (Form_pg_sequence) GETSTRUCT(tuple);
	in_order = form->seqcache == 1 && form->seqincrement > 0 && !form->seqcycle;
	ReleaseSysCache(tuple);
	if (!in_order)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the ids of events would not rise"),
				 errdetail("Their sequence caches numbers, counts down or cycles; consumers would miss events."),
				 errhint("Run ALTER TABLE crm_deals.deal_event ALTER COLUMN id"
						 " SET CACHE 1 SET INCREMENT 1 SET NO CYCLE.")));
}

/* Returns the sequence that gives the column its values. */
Oid
identity_of(Relation table, const char *column)
{
	Oid			sequence = identity_sequence_of(table, installed_column(table, column));

	if (!OidIsValid(sequence))
		raise_not_as_installed(RelationGetRelationName(table),
							   psprintf("Column \"%s\" is not an identity column.", column));
	return sequence;
}

/* Returns the sequence behind deal_event.id. */
Oid
event_id_sequence(void)
{
	Relation	log;
	Oid			sequence;

	if (still_holds(&event_sequence))
		return event_sequence.oid;
	log = table_open(installed_table("deal_event"), AccessShareLock);
	sequence = identity_of(log, "id");
	table_close(log, AccessShareLock);
	begin_finding(&event_sequence, sequence);
	check_gives_ids_in_order(sequence);
	return end_finding(&event_sequence, sequence);
}

/* Returns which of the tables of these names the trigger fired on, or refuses it on any other relation. */
const char *
trigger_table(Relation relation, const char *const *tables)
{
	for (int i = 0; tables[i] != NULL; i++)
		if (RelationGetRelid(relation) == find_relation(tables[i]))
			return tables[i];
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("this trigger function belongs to crm_deals.%s", tables[0]),
			 errdetail("It was called for table \"%s\".", RelationGetRelationName(relation)),
			 errtable(relation)));
	return NULL;
}

/* Refuses a trigger on any relation but the installed ones of these names, and on one that is not as installed. */
static void
check_trigger_table(Relation relation, const char *const *tables)
{
	check_installed_relation(trigger_table(relation, tables));
}

/* Returns whether the event is of this moment and level. */
static bool
fired_at(TriggerEvent event, TriggerEvent moment)
{
	if (moment == ANY_STATEMENT)
		return TRIGGER_FIRED_FOR_STATEMENT(event);
	if (moment == ANY_ROW)
		return TRIGGER_FIRED_FOR_ROW(event);
	return (event & (TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK)) == moment;
}

/* Returns the trigger's data, or refuses a call that is not what the function is made for. */
TriggerData *
trigger_data(FunctionCallInfo fcinfo, TriggerEvent moment, const char *const *tables)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !fired_at(data->tg_event, moment))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function is a trigger function of another kind")));
	if (tables != NULL)
		check_trigger_table(data->tg_relation, tables);
	return data;
}

/* Returns the OID of an enum's label, or InvalidOid. */
static Oid
enum_label(Oid type, const char *label)
{
	return GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid,
						   ObjectIdGetDatum(type), CStringGetDatum(label));
}

/* Finds the number of each column that the code knows by name. */
static void
find_deal_columns(DealTable *found, Relation relation)
{
	for (int column = 0; column < N_DEAL_COLUMNS; column++)
		found->attnum[column] = installed_column(relation, columns[column]);
}

/* Finds the labels of the enum deal_status. */
static void
find_status_labels(DealTable *found, TupleDesc desc)
{
	found->status_type = TupleDescAttr(desc, found->attnum[DEAL_STATUS] - 1)->atttypid;
	for (int status = 0; status < N_STATUSES; status++)
	{
		found->status_label[status] = enum_label(found->status_type, status_names[status]);
		if (!OidIsValid(found->status_label[status]))
			raise_not_as_installed("deal", psprintf("Its status has no label \"%s\".", status_names[status]));
	}
}

/* Reads columns and labels of deal, and keeps them until deal changes. */
static void
learn_deal_table(Relation relation)
{
	static const char *const tables[] = {"deal", NULL};
	DealTable	found = {.relid = RelationGetRelid(relation)};

	check_trigger_table(relation, tables);
	begin_finding(&deal_finding, found.relid);
	find_deal_columns(&found, relation);
	find_status_labels(&found, RelationGetDescr(relation));
	deal = found;
	(void) end_finding(&deal_finding, found.relid);
}

/* Returns what is known of deal, and refuses any other relation. */
const DealTable *
deal_table(Relation relation)
{
	check_installation();
	if (!still_holds(&deal_finding) || deal.relid != RelationGetRelid(relation))
		learn_deal_table(relation);
	return &deal;
}

/* Returns what is known of deal; it stays locked until the transaction ends. */
const DealTable *
deal_table_by_name(void)
{
	Relation	relation = table_open(installed_table("deal"), AccessShareLock);

	(void) deal_table(relation);
	table_close(relation, NoLock);
	return &deal;
}

/* Adds schema, table, column and constraint to an error report. */
int
err_column_constraint(Relation relation, AttrNumber column, const char *constraint)
{
	errtablecol(relation, column);
	err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint);
	return 0;
}

/* Returns the name of a column of deal. */
const char *
deal_column_name(DealColumn column)
{
	return columns[column];
}

/* Returns the status that a value of the enum stands for. */
DealStatus
deal_status_of(const DealTable *table, Datum value)
{
	for (int status = 0; status < N_STATUSES; status++)
		if (table->status_label[status] == DatumGetObjectId(value))
			return (DealStatus) status;
	raise_not_as_installed("deal", psprintf("Its status has a value that the rules do not know: \"%s\".",
											DatumGetCString(DirectFunctionCall1(enum_out, value))));
}

/* Returns the name of a status. */
const char *
deal_status_name(DealStatus status)
{
	return status_names[status];
}

/* Returns the status of this name, or raises an error. */
DealStatus
deal_status_by_name(const char *name)
{
	for (int status = 0; status < N_STATUSES; status++)
		if (strcmp(status_names[status], name) == 0)
			return (DealStatus) status;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("\"%s\" is no status of a deal", name)));
}
